/* SPDX-License-Identifier: MIT */
/*
 * What the device core needs from the machine around it.  The QEMU glue fills
 * this in for a guest; the unit tests and fuzzers fill it in with plain memory.
 *
 * Every call may come from any thread: the one that accesses a register, the
 * processor's thread or an engine's.  The core holds no lock that a register
 * access waits for while it makes one of these calls; but it may hold one that a
 * reset waits for, so no call may lead to quire_device_reset() in its own thread.
 */
#ifndef QUIRE_CORE_BUS_H
#define QUIRE_CORE_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a person who traces the card wants to see, with its three arguments. */
enum quire_trace {
	QUIRE_TRACE_BOOT,	/* enum quire_boot_status, -, detail */
	QUIRE_TRACE_QUEUE,	/* queue, -, enum quire_queue_state */
	QUIRE_TRACE_JOB,	/* queue, low word of the sequence number that ended, - */
	QUIRE_TRACE_BAND,	/* engine, multiply-accumulates, enum quire_status */
	QUIRE_TRACE_FAULT,	/* context, address, QUIRE_FAULT_* */
};

/*
 * struct quire_bus
 * @opaque:  first argument of every call
 * @read, @write: move bytes between a bus address and the core; false when the
 *           bus refuses any part.  They must never reach a register of a device.
 * @map:     host address of memory at a bus address, valid until @unmap; *bytes
 *           is shortened to what is contiguous there.  NULL when there is none.
 * @unmap:   give back what @map returned; written tells that bytes changed
 * @card_written: the core changed card memory (for dirty tracking)
 * @raise:   send an interrupt
 * @clock:   nanoseconds, never going back
 * @log:     one line of the firmware's log, without a newline
 * @trace:   something happened; for people only
 * @wait_begin, @wait_end: around a wait for the core's own threads
 */
struct quire_bus {
	void *opaque;
	bool (*read)(void *opaque, uint64_t address, void *to, size_t bytes);
	bool (*write)(void *opaque, uint64_t address, const void *from, size_t bytes);
	void *(*map)(void *opaque, uint64_t address, size_t *bytes, bool write);
	void (*unmap)(void *opaque, void *host, size_t bytes, bool written);
	void (*card_written)(void *opaque, uint64_t offset, uint64_t bytes);
	void (*raise)(void *opaque, unsigned int vector);
	uint64_t (*clock)(void *opaque);
	void (*log)(void *opaque, const char *line);
	void (*trace)(void *opaque, enum quire_trace what, uint32_t subject, uint64_t value,
		      uint32_t detail);
	void (*wait_begin)(void *opaque);
	void (*wait_end)(void *opaque);
};

#endif /* QUIRE_CORE_BUS_H */
