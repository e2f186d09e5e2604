/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_COREDUMP_WRITE_H
#define QUIRE_COREDUMP_WRITE_H

#include <linux/workqueue.h>

#include <quire/dump.h>

#include "quire_queue.h"

/* Of the card (fewer than 64), of all rings and of all contexts. */
#define QUIRE_COREDUMP_REGISTERS (64 + 16 * QUIRE_QUEUES + 4 * QUIRE_CONTEXTS)

/**
 * struct quire_coredump - what goes into a dump, set aside at probe
 *
 * All but @busy belongs to whoever has set it, then to @work.
 */
struct quire_coredump {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @busy: a dump is being made */
	atomic_t busy;
	/** @work: makes the file */
	struct work_struct work;
	/** @made: there was one before */
	bool made;
	/** @made_at: when it was done, in jiffies */
	unsigned long made_at;
	/** @reason: enum quire_dump_reason */
	u32 reason;
	/** @realtime: when it happened */
	u64 realtime;
	/** @boottime: the same by another clock */
	u64 boottime;
	/** @queue: of the cause, with a reference, or NULL */
	struct quire_queue *queue;
	/** @cause: job or reason */
	struct quire_dump_cause cause;
	/** @registers_count: of @registers */
	u32 registers_count;
	/** @registers: as they were */
	struct quire_dump_register registers[QUIRE_COREDUMP_REGISTERS];
	/** @ring: of @queue */
	struct quire_ring_entry ring[QUIRE_RING_ENTRIES];
	/** @records: of @queue */
	struct quire_fence_record records[QUIRE_RING_ENTRIES];
};

/* Gathers the rest and hands the file to the kernel.  No locks held. */
void quire_coredump_write(struct quire_coredump *dump);

#endif /* QUIRE_COREDUMP_WRITE_H */
