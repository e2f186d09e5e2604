/* SPDX-License-Identifier: MIT */
/*
 * What the device core needs from the machine around it.  The QEMU glue fills
 * this in for a guest; the unit tests and fuzzers fill it in with plain memory.
 *
 * Every call may come from any thread: the one that accesses a register, or one
 * that @thread_start has started.  Threads that the arithmetic has for itself make
 * none.  The core holds no lock that a register access or a reset waits for while it
 * makes one of these calls.
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
 * @clock:   nanoseconds, never going back; they stand still while the machine does
 * @alarm:   call quire_device_alarm() once @clock has got so far, 0: never; what was asked
 *           for before is forgotten
 * @log:     one line of the firmware's log, without a newline
 * @trace:   something happened; for people only
 * @at_rest: a reset has brought everything to rest, and the card is about to answer again:
 *           interrupts raised before are void
 * @thread_start: run(argument) in a thread of its own, ready for all calls here; the name
 *           is for people.  NULL when there is none to be had.
 * @thread_join: wait for its end, once
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
	void (*alarm)(void *opaque, uint64_t ns);
	void (*log)(void *opaque, const char *line);
	void (*trace)(void *opaque, enum quire_trace what, uint32_t subject, uint64_t value,
		      uint32_t detail);
	void (*at_rest)(void *opaque);
	void *(*thread_start)(void *opaque, const char *name, void *(*run)(void *argument),
			      void *argument);
	void (*thread_join)(void *opaque, void *thread);
};

#endif /* QUIRE_CORE_BUS_H */
