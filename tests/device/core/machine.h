/* SPDX-License-Identifier: MIT */
/*
 * A machine around the card's core without QEMU: memory with guard pages, a lock
 * as QEMU's big one is, and counters of what the card sends.
 */
#ifndef QUIRE_TESTS_MACHINE_H
#define QUIRE_TESTS_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "../card.h"
#include "device.h"

#define MACHINE_MEMORY_BYTES (16u << 20)	/* of the card */
#define MACHINE_SYSTEM 0x100000u		/* bus address of the system's memory */
#define MACHINE_SYSTEM_BYTES (16u << 20)

struct machine {
	struct quire_device *device;
	struct card card;
	uint8_t *memory, *system;	/* each between pages that cannot be touched */
	/* Held around register accesses, resets and pauses. */
	pthread_mutex_t lock;
	/* The bus is as slow as one lock: orders accesses of the card and of the tests. */
	pthread_mutex_t bus_lock;
	atomic_uint vectors[QUIRE_MSIX_VECTORS];
	atomic_uint traces;
	/* when the clock interrupts the card, 0: never; and who looks at it */
	_Atomic uint64_t alarm;
	pthread_t ticker;
	atomic_bool ends;
};

/* NULL and *error as quire_device_create(). */
struct machine *machine_create(unsigned int engines, unsigned int threads, const char **error);
void machine_destroy(struct machine *machine);
void machine_reset(struct machine *machine);

#endif /* QUIRE_TESTS_MACHINE_H */
