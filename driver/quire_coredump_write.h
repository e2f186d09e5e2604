/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_COREDUMP_WRITE_H
#define QUIRE_COREDUMP_WRITE_H

#include <linux/workqueue.h>

#include <quire/dump.h>

#include "quire_queue.h"

/* Of the card (fewer than 64), of all rings and of all contexts. */
#define QUIRE_COREDUMP_REGISTERS (64 + 16 * QUIRE_QUEUES + 4 * QUIRE_CONTEXTS)

struct quire_coredumps;

/**
 * struct quire_coredump - what goes into a dump, set aside at probe
 *
 * All but @busy belongs to whoever has set it, then to @work.
 */
struct quire_coredump {
	/** @all: the card's */
	struct quire_coredumps *all;
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

/**
 * struct quire_coredumps - dumps of a card
 *
 * A job that fails can be anybody's, as often as he likes.  So it takes neither the memory of a
 * reset's dump nor its place.
 */
struct quire_coredumps {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @job: of a job that failed or took too long */
	struct quire_coredump job;
	/** @reset: of a reset */
	struct quire_coredump reset;
	/** @lock: the others' lock; a dump is handed to the kernel under it */
	struct mutex lock;
	/** @kept: reason of the dump that the kernel was handed last */
	u32 kept;
	/** @refused: another one has been dropped since, and the log says so */
	bool refused;
};

/* Gathers the rest and hands the file to the kernel.  No locks held. */
void quire_coredump_write(struct quire_coredump *dump);

#endif /* QUIRE_COREDUMP_WRITE_H */
