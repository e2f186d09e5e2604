/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_MMU_H
#define QUIRE_MMU_H

#include <linux/mutex.h>
#include <linux/types.h>

#include "quire_reach.h"
#include "quire_table.h"

#define QUIRE_MMU_LEVELS 4

struct quire_device;
struct quire_dump_step;
struct quire_segments;

/** struct quire_mmu - page tables of one address space */
struct quire_mmu {
	/** @qdev: card */
	struct quire_device *qdev;
	/**
	 * @lock: protects all below but @context and @last.  Innermost of the sleeping locks,
	 * taken where fences are signalled and memory is reclaimed: nothing is allocated under
	 * it.  A change of many pages holds it for long, so contexts are lent without it.
	 */
	struct mutex lock;
	/** @context_lock: protects @context and @last; taken under @lock or without it */
	spinlock_t context_lock;
	/** @context: lent to it, or QUIRE_NO_CONTEXT; changes under quire_device.mmu_lock, too */
	u32 context;
	/** @last: ticket of the last flush, which may be that of a context taken back since */
	struct quire_ticket last;
	/** @changed: an entry that the card may have kept is another since the last flush */
	bool changed;
	/** @root: level 3; stays what it is */
	struct quire_table *root;
	/** @stale: tables out of use since the last flush */
	struct quire_table *stale;
	/** @limbo: tables out of use that the card may still read, by ticket, oldest first */
	struct quire_table *limbo;
	/** @limbo_end: where the next is put */
	struct quire_table **limbo_end;
	/** @spare: a few tables for changes to come */
	struct quire_table_pool spare;
};

int quire_mmu_init(struct quire_mmu *mmu, struct quire_device *qdev);
/* No queue uses it any more. */
void quire_mmu_fini(struct quire_mmu *mmu);

/*
 * A hardware context for the address space, and back.  @context is nobody's.  After
 * quire_mmu_take_back() the context is lent to nobody, and no context to the address space,
 * before the ticket is over.
 */
void quire_mmu_lend(struct quire_mmu *mmu, u32 context);
struct quire_ticket quire_mmu_take_back(struct quire_mmu *mmu);

/* Fill @pool up to the plan, from the spare tables first; -ENOMEM. */
int quire_mmu_reserve(struct quire_mmu *mmu, struct quire_table_pool *pool,
		      const struct quire_table_plan *plan);
void quire_mmu_unreserve(struct quire_mmu *mmu, struct quire_table_pool *pool);

/*
 * Changes, under @lock.  @bits: QUIRE_PTE_READ, QUIRE_PTE_WRITE.  They count once flushed; what
 * they took away is out of reach once the ticket of the flush is over.  A flush with nothing
 * taken away since the last one gives the ticket of that.
 */
void quire_mmu_map_card(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			u64 size, u64 offset, u64 bits);
void quire_mmu_map_system(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			  u64 size, const struct quire_segments *segments, u64 offset,
			  u64 bits);
void quire_mmu_unmap(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
		     u64 size);
struct quire_ticket quire_mmu_flush(struct quire_mmu *mmu);

/* Give back tables out of reach; true, and an older flush of theirs, if some are left. */
bool quire_mmu_tidy(struct quire_mmu *mmu, struct quire_ticket *oldest);

/* The entries on the way to @va, root first; returns how many: it ends where one is not valid. */
unsigned int quire_mmu_walk(struct quire_mmu *mmu, u64 va, struct quire_dump_step *steps);

/* Tell a card that has forgotten them the roots of all contexts. */
void quire_mmu_restore(struct quire_device *qdev);

#endif /* QUIRE_MMU_H */
