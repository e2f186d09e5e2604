// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables as memory: pages that the card reads, charged to the process that needs them,
 * and pools of them for changes that must not allocate.
 */
#include <linux/dma-mapping.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "quire_device.h"
#include "quire_table.h"

static int quire_table_map(struct quire_device *qdev, struct quire_table *table)
{
	struct device *dev = &qdev->pdev->dev;
	int idx, ret = 0;

	if (!drm_dev_enter(&qdev->drm, &idx))
		return -ENODEV;
	table->bus = dma_map_page(dev, virt_to_page(table->entries), 0, QUIRE_PAGE_BYTES,
				  DMA_TO_DEVICE);
	if (dma_mapping_error(dev, table->bus)) {
		ret = -ENOMEM;
	} else {
		spin_lock(&qdev->tables_lock);
		list_add(&table->all, &qdev->tables);
		spin_unlock(&qdev->tables_lock);
	}
	drm_dev_exit(idx);
	return ret;
}

struct quire_table *quire_table_alloc(struct quire_device *qdev, bool leaf)
{
	struct quire_table *table = kzalloc(sizeof(*table), QUIRE_GFP_CALL);

	if (!table)
		return NULL;
	INIT_LIST_HEAD(&table->all);
	table->entries = (void *)get_zeroed_page(QUIRE_GFP_CALL);
	if (!leaf)
		table->child = kcalloc(QUIRE_TABLE_ENTRIES, sizeof(*table->child),
				       QUIRE_GFP_CALL);
	if (!table->entries || (!leaf && !table->child) || quire_table_map(qdev, table)) {
		quire_table_free(qdev, table);
		return NULL;
	}
	return table;
}

void quire_table_free(struct quire_device *qdev, struct quire_table *table)
{
	bool mapped;

	/* The lock also keeps unplug, and with it the device, from passing by. */
	spin_lock(&qdev->tables_lock);
	mapped = !list_empty(&table->all);
	list_del_init(&table->all);
	if (mapped)
		dma_unmap_page(&qdev->pdev->dev, table->bus, QUIRE_PAGE_BYTES, DMA_TO_DEVICE);
	spin_unlock(&qdev->tables_lock);
	free_page((unsigned long)table->entries);
	kfree(table->child);
	kfree(table);
}

void quire_tables_unplug(struct quire_device *qdev)
{
	struct quire_table *table;

	spin_lock(&qdev->tables_lock);
	while ((table = list_first_entry_or_null(&qdev->tables, struct quire_table, all))) {
		dma_unmap_page(&qdev->pdev->dev, table->bus, QUIRE_PAGE_BYTES, DMA_TO_DEVICE);
		list_del_init(&table->all);
		/* They are those of all processes; none comes any more. */
		cond_resched_lock(&qdev->tables_lock);
	}
	spin_unlock(&qdev->tables_lock);
}

void quire_pool_init(struct quire_table_pool *pool)
{
	memset(pool, 0, sizeof(*pool));
}

void quire_pool_free(struct quire_device *qdev, struct quire_table_pool *pool)
{
	struct quire_table *table;

	while ((table = quire_pool_take(pool, true) ?: quire_pool_take(pool, false))) {
		quire_table_free(qdev, table);
		cond_resched();
	}
}

struct quire_table *quire_pool_take(struct quire_table_pool *pool, bool leaf)
{
	struct quire_table *table = quire_table_pop(leaf ? &pool->leaves : &pool->directories);

	if (table && leaf)
		pool->leaf_count--;
	else if (table)
		pool->directory_count--;
	return table;
}

void quire_pool_give(struct quire_table_pool *pool, struct quire_table *table)
{
	if (table->child) {
		quire_table_push(&pool->directories, table);
		pool->directory_count++;
	} else {
		quire_table_push(&pool->leaves, table);
		pool->leaf_count++;
	}
}

int quire_pool_fill(struct quire_device *qdev, struct quire_table_pool *pool,
		    const struct quire_table_plan *plan)
{
	while (pool->leaf_count < plan->leaves || pool->directory_count < plan->directories) {
		bool leaf = pool->leaf_count < plan->leaves;
		struct quire_table *table = quire_table_alloc(qdev, leaf);

		if (!table)
			return -ENOMEM;
		quire_pool_give(pool, table);
		cond_resched();
		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
	}
	return 0;
}

/* Pieces of 2^@shift bytes that a range touches, but for one that ends @behind touches, too. */
static u64 quire_plan_pieces(u64 va, u64 size, unsigned int shift, u64 behind)
{
	u64 pieces = ((va + size - 1) >> shift) - (va >> shift) + 1;

	return pieces - (behind && (behind - 1) >> shift == va >> shift);
}

void quire_plan_add(struct quire_table_plan *plan, u64 va, u64 size, bool map)
{
	if (va < plan->end) {
		plan->end = 0;
		plan->map_end = 0;
	}
	if (map) {
		plan->leaves += quire_plan_pieces(va, size, 21, plan->end);
		plan->directories += quire_plan_pieces(va, size, 30, plan->map_end) +
				     quire_plan_pieces(va, size, 39, plan->map_end);
		plan->map_end = va + size;
	} else {
		/* Only a block at either end must be broken up. */
		plan->leaves += !IS_ALIGNED(va, QUIRE_BLOCK_BYTES) +
				!IS_ALIGNED(va + size, QUIRE_BLOCK_BYTES);
	}
	plan->end = va + size;
}

u64 quire_plan_bytes(const struct quire_table_plan *plan)
{
	u64 leaf = sizeof(struct quire_table) + QUIRE_PAGE_BYTES;
	u64 children = QUIRE_TABLE_ENTRIES * sizeof(struct quire_table *);

	return plan->leaves * leaf + plan->directories * (leaf + children);
}
