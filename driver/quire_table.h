/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_TABLE_H
#define QUIRE_TABLE_H

#include <linux/list.h>
#include <linux/types.h>

#include "quire_reach.h"

#define QUIRE_TABLE_ENTRIES 512

/** struct quire_table - a page table */
struct quire_table {
	/** @next: in a pool, or among those out of use */
	struct quire_table *next;
	/** @all: in quire_device.tables while the card can address it, under its lock */
	struct list_head all;
	/** @entries: what the card reads; a page of its own, charged to who needed it */
	__le64 *entries;
	/** @bus: bus address of @entries */
	dma_addr_t bus;
	/** @used: valid entries */
	unsigned int used;
	/** @ticket: of the flush after which it was out of use */
	struct quire_ticket ticket;
	/** @child: table below each entry; NULL in a leaf */
	struct quire_table **child;
};

/**
 * struct quire_table_pool - tables set aside before a change
 *
 * A change of page tables may run where it must neither fail nor allocate.
 */
struct quire_table_pool {
	/** @leaves: tables of level 0 */
	struct quire_table *leaves;
	/** @directories: tables of the levels above */
	struct quire_table *directories;
	/** @leaf_count: length of @leaves */
	u32 leaf_count;
	/** @directory_count: length of @directories */
	u32 directory_count;
};

/**
 * struct quire_table_plan - tables that some changes, made one after the other, can need
 *
 * Changes at ascending addresses share the tables in which they meet.
 */
struct quire_table_plan {
	/** @leaves: tables of level 0; more than there is memory for, if need be */
	u64 leaves;
	/** @directories: tables of the levels above; the same */
	u64 directories;
	/** @end: of the last change */
	u64 end;
	/** @map_end: of the last mapping among those that ascend to @end, or 0 */
	u64 map_end;
};

static inline void quire_table_push(struct quire_table **first, struct quire_table *table)
{
	table->next = *first;
	*first = table;
}

/* NULL if there is none. */
static inline struct quire_table *quire_table_pop(struct quire_table **first)
{
	struct quire_table *table = *first;

	if (table)
		*first = table->next;
	return table;
}

struct quire_table *quire_table_alloc(struct quire_device *qdev, bool leaf);
void quire_table_free(struct quire_device *qdev, struct quire_table *table);
/* The card has gone: none is mapped for it any more. */
void quire_tables_unplug(struct quire_device *qdev);

void quire_pool_init(struct quire_table_pool *pool);
void quire_pool_free(struct quire_device *qdev, struct quire_table_pool *pool);
/* NULL if there is none. */
struct quire_table *quire_pool_take(struct quire_table_pool *pool, bool leaf);
/* @table has no valid entry. */
void quire_pool_give(struct quire_table_pool *pool, struct quire_table *table);
/* Fill the pool up to the plan; -ENOMEM, or -ERESTARTSYS of a killed process. */
int quire_pool_fill(struct quire_device *qdev, struct quire_table_pool *pool,
		    const struct quire_table_plan *plan);

/* What mapping, or with !@map unmapping, @size bytes at @va can need. */
void quire_plan_add(struct quire_table_plan *plan, u64 va, u64 size, bool map);
/* Memory for all that it says. */
u64 quire_plan_bytes(const struct quire_table_plan *plan);

#endif /* QUIRE_TABLE_H */
