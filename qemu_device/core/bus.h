/* SPDX-License-Identifier: MIT */
/*
 * What the device core needs from the machine around it.  The QEMU glue fills
 * this in for a guest; the unit tests and fuzzers fill it in with plain memory.
 *
 * Every call may come from any thread: the one that accesses a register, the
 * processor's thread or an engine's.  The core holds no lock that a register
 * access waits for while it makes one of these calls.
 */
#ifndef QUIRE_CORE_BUS_H
#define QUIRE_CORE_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	void (*wait_begin)(void *opaque);
	void (*wait_end)(void *opaque);
};

#endif /* QUIRE_CORE_BUS_H */
