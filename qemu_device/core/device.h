/* SPDX-License-Identifier: MIT */
/*
 * The card without a machine around it: what the QEMU glue and the tests call.
 */
#ifndef QUIRE_CORE_DEVICE_H
#define QUIRE_CORE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

struct quire_device;

/*
 * struct quire_device_config
 * @memory, @memory_bytes: card memory, owned by the caller; a multiple of 4 KiB
 * @engines:       1 .. QUIRE_ENGINES_MAX
 * @model_threads: host threads that share the work of one engine; 0 takes a
 *                 number that suits the host
 * @serial:        serial number, as the SERIAL registers show it
 */
struct quire_device_config {
	struct quire_bus bus;
	uint8_t *memory;
	uint64_t memory_bytes;
	uint32_t engines;
	uint32_t model_threads;
	uint64_t serial;
};

/* NULL with a text in *error when the configuration cannot work. */
struct quire_device *quire_device_create(const struct quire_device_config *config,
					 const char **error);

/*
 * Reset as by a function-level reset.  It waits for nobody: from now on registers read all
 * ones and writes are dropped, nothing new reaches the bus, and all that runs gives up; once
 * nothing runs any more the card answers again.  With refreshed memory it keeps what is in it
 * whatever is injected.
 */
void quire_device_reset(struct quire_device *device, bool refreshed);
bool quire_device_in_reset(const struct quire_device *device);

/*
 * While the machine stands still so does the card: nothing begins any more, and once it is at
 * rest nothing touches memory, sends or counts.  Bands that have begun are run to their end
 * first.  Resets are served nevertheless.  Under the lock of register accesses.
 */
void quire_device_pause(struct quire_device *device, bool paused);
bool quire_device_at_rest(struct quire_device *device);

/* The time that the bus was asked for has come.  From any thread. */
void quire_device_alarm(struct quire_device *device);

/*
 * The end, in two steps: the first under the lock of register accesses, none of which may
 * follow; the second waits for the core's threads, in a thread that holds no lock that they
 * may want.
 */
void quire_device_retire(struct quire_device *device);
void quire_device_destroy(struct quire_device *device);

/* Register accesses of any size; only aligned 4-byte ones mean something. */
uint64_t quire_device_read(struct quire_device *device, uint64_t offset, unsigned int bytes);
void quire_device_write(struct quire_device *device, uint64_t offset, uint64_t value,
			unsigned int bytes);

/* --- Fault injection: takes effect at once, survives a reset --- */
enum quire_injection {
	QUIRE_INJECT_ENGINE_HANG,	/* bitmap of engines that never finish; cancel still works */
	QUIRE_INJECT_ENGINE_DEAF,	/* bitmap of engines that hang and ignore cancel, not reset */
	QUIRE_INJECT_ENGINE_STUCK,	/* bitmap of engines that only a reset of the function ends */
	QUIRE_INJECT_ENGINE_FROZEN,	/* bitmap of engines that nothing ends, until this is cleared */
	QUIRE_INJECT_MCU_HALT,		/* not 0: the processor stands still */
	QUIRE_INJECT_CRASH_FIRMWARE,	/* this many times the processor jumps out of its memory */
	QUIRE_INJECT_DROP_INTERRUPTS,	/* this many interrupts get lost */
	QUIRE_INJECT_CORRUPT_FIRMWARE,	/* this many boots see a flipped bit in the image */
	QUIRE_INJECT_DMA_ERRORS,	/* this many accesses to the bus are refused */
	QUIRE_INJECT_FORGET_MEMORY,	/* this many resets of the function lose card memory */
	QUIRE_INJECT_LOSE_RESUMES,	/* this many answers to QUEUE_START with RESUME get lost */
	QUIRE_INJECTIONS,
};

const char *quire_injection_name(enum quire_injection injection);
const char *quire_injection_description(enum quire_injection injection);
void quire_device_inject(struct quire_device *device, enum quire_injection injection,
			 uint32_t value);
uint32_t quire_device_injected(struct quire_device *device, enum quire_injection injection);

#endif /* QUIRE_CORE_DEVICE_H */
