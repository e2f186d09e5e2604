/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_MMU_H
#define QUIRE_MMU_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct quire_device;
struct quire_table;
struct sg_table;

/**
 * struct quire_table_pool - tables set aside before a change
 *
 * A change of page tables may run where it must neither fail nor allocate.
 */
struct quire_table_pool {
	/** @leaves: tables of level 0 */
	struct list_head leaves;
	/** @directories: tables of the levels above */
	struct list_head directories;
};

/** struct quire_mmu - page tables of one context */
struct quire_mmu {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @context: hardware context */
	u32 context;
	/** @lock: protects all below; innermost */
	struct mutex lock;
	/** @root: level 3, or NULL once the card is gone */
	struct quire_table *root;
	/** @stale: tables out of use that the card may still cache */
	struct list_head stale;
};

int quire_mmu_init(struct quire_mmu *mmu, struct quire_device *qdev);
void quire_mmu_fini(struct quire_mmu *mmu);

void quire_pool_init(struct quire_table_pool *pool);
void quire_pool_free(struct quire_device *qdev, struct quire_table_pool *pool);
/* What mapping, or with !@map unmapping, @size bytes at @va can need. */
int quire_pool_reserve(struct quire_device *qdev, struct quire_table_pool *pool,
		       u64 va, u64 size, bool map);

/* @bits: QUIRE_PTE_READ, QUIRE_PTE_WRITE.  quire_mmu_flush() makes changes count. */
void quire_mmu_map_card(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			u64 size, u64 offset, u64 bits);
void quire_mmu_map_system(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			  u64 size, struct sg_table *sgt, u64 offset, u64 bits);
void quire_mmu_unmap(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
		     u64 size);
void quire_mmu_flush(struct quire_mmu *mmu);

/* Tell a card that has lost them the roots of all contexts. */
void quire_mmu_restore(struct quire_device *qdev);
/* The card has gone: give back all tables. */
void quire_mmu_unplug(struct quire_device *qdev);

#endif /* QUIRE_MMU_H */
