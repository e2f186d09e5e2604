// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables: four levels of 512 entries in coherent system memory, read by the
 * card.  Level 1 entries may map 2 MiB at once.
 */
#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "quire_device.h"
#include "quire_mmu.h"

#define TABLE_ENTRIES 512
#define ROOT_LEVEL 3

/**
 * struct quire_table - one table
 * @node: in a pool or a list of stale tables
 * @entries: what the card reads
 * @bus: bus address of @entries
 * @used: valid entries
 * @child: table below each entry; only in levels above 0
 */
struct quire_table {
	struct list_head node;
	__le64 *entries;
	dma_addr_t bus;
	unsigned int used;
	struct quire_table *child[];
};

/* A change in progress; @bits == 0 clears. */
struct quire_update {
	struct quire_mmu *mmu;
	struct quire_table_pool *pool;
	u64 address;
	u64 bits;
};

static struct quire_table *table_alloc(struct quire_device *qdev, bool leaf)
{
	struct quire_table *table;

	table = kzalloc(struct_size(table, child, leaf ? 0 : TABLE_ENTRIES), GFP_KERNEL);
	if (!table)
		return NULL;
	table->entries = dma_alloc_coherent(&qdev->pdev->dev, QUIRE_PAGE_BYTES, &table->bus,
					    GFP_KERNEL);
	if (!table->entries) {
		kfree(table);
		return NULL;
	}
	INIT_LIST_HEAD(&table->node);
	return table;
}

static void table_free(struct quire_device *qdev, struct quire_table *table)
{
	dma_free_coherent(&qdev->pdev->dev, QUIRE_PAGE_BYTES, table->entries, table->bus);
	kfree(table);
}

static void table_free_list(struct quire_device *qdev, struct list_head *list)
{
	struct quire_table *table, *next;

	list_for_each_entry_safe(table, next, list, node)
		table_free(qdev, table);
	INIT_LIST_HEAD(list);
}

static void table_free_tree(struct quire_device *qdev, struct quire_table *table, int level)
{
	unsigned int i;

	for (i = 0; level > 0 && i < TABLE_ENTRIES; i++)
		if (table->child[i])
			table_free_tree(qdev, table->child[i], level - 1);
	table_free(qdev, table);
}

static u64 table_entry(const struct quire_table *table, unsigned int i)
{
	return le64_to_cpu(READ_ONCE(table->entries[i]));
}

static void table_set(struct quire_table *table, unsigned int i, u64 value)
{
	table->used -= !!(table_entry(table, i) & QUIRE_PTE_VALID);
	table->used += !!(value & QUIRE_PTE_VALID);
	WRITE_ONCE(table->entries[i], cpu_to_le64(value));
}

void quire_pool_init(struct quire_table_pool *pool)
{
	INIT_LIST_HEAD(&pool->leaves);
	INIT_LIST_HEAD(&pool->directories);
}

void quire_pool_free(struct quire_device *qdev, struct quire_table_pool *pool)
{
	table_free_list(qdev, &pool->leaves);
	table_free_list(qdev, &pool->directories);
}

static int pool_add(struct quire_device *qdev, struct list_head *list, u64 count, bool leaf)
{
	while (count--) {
		struct quire_table *table = table_alloc(qdev, leaf);

		if (!table)
			return -ENOMEM;
		list_add(&table->node, list);
	}
	return 0;
}

/* Entries of a table one level above @shift bits that a range touches. */
static u64 touched(u64 va, u64 size, unsigned int shift)
{
	return ((va + size - 1) >> shift) - (va >> shift) + 1;
}

int quire_pool_reserve(struct quire_device *qdev, struct quire_table_pool *pool,
		       u64 va, u64 size, bool map)
{
	int ret;

	/* Unmapping needs a table only to break up a block at either end. */
	ret = pool_add(qdev, &pool->leaves, map ? touched(va, size, 21) : 2, true);
	if (ret || !map)
		return ret;
	return pool_add(qdev, &pool->directories,
			touched(va, size, 30) + touched(va, size, 39), false);
}

static struct quire_table *pool_take(struct quire_table_pool *pool, bool leaf)
{
	struct list_head *list;
	struct quire_table *table;

	if (!pool)
		return NULL;
	list = leaf ? &pool->leaves : &pool->directories;
	table = list_first_entry_or_null(list, struct quire_table, node);
	if (table)
		list_del_init(&table->node);
	return table;
}

static void drop_child(struct quire_update *update, struct quire_table *table, unsigned int i)
{
	if (table->child[i])
		list_add(&table->child[i]->node, &update->mmu->stale);
	table->child[i] = NULL;
}

/* The table below entry @i, made if need be: a block is broken up into pages. */
static struct quire_table *get_child(struct quire_update *update, struct quire_table *table,
				     unsigned int i, int level)
{
	struct quire_table *child = table->child[i];
	u64 entry = table_entry(table, i);
	unsigned int j;

	if (child)
		return child;
	child = pool_take(update->pool, level == 1);
	if (!child)
		return NULL;
	if (entry & QUIRE_PTE_BLOCK)
		for (j = 0; j < TABLE_ENTRIES; j++)
			table_set(child, j, (entry & ~QUIRE_PTE_BLOCK) + j * QUIRE_PAGE_BYTES);
	table->child[i] = child;
	table_set(table, i, child->bus | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID);
	return child;
}

static void table_update(struct quire_update *update, struct quire_table *table, int level,
			 u64 va, u64 end)
{
	unsigned int shift = 12 + 9 * level;
	u64 span = 1ull << shift;
	u64 next;

	for (; va < end; va = next) {
		unsigned int i = (va >> shift) & (TABLE_ENTRIES - 1);
		bool whole;
		struct quire_table *child;

		next = min(end, (va | (span - 1)) + 1);
		whole = next - va == span;
		if (level == 0 ||
		    (level == 1 && whole && (!update->bits || IS_ALIGNED(update->address, span)))) {
			u64 entry = update->address | update->bits | (level ? QUIRE_PTE_BLOCK : 0);

			if (level)
				drop_child(update, table, i);
			table_set(table, i, update->bits ? entry : 0);
			update->address += next - va;
			continue;
		}
		if (!update->bits && !(table_entry(table, i) & QUIRE_PTE_VALID))
			continue;
		child = get_child(update, table, i, level);
		if (!child) {
			/* Losing a mapping is a fault; keeping one would be a hole. */
			WARN_ONCE(1, "quire: no table reserved\n");
			table_set(table, i, 0);
			update->address += next - va;
			continue;
		}
		table_update(update, child, level - 1, va, next);
		if (!child->used) {
			table_set(table, i, 0);
			drop_child(update, table, i);
		}
	}
}

static void mmu_update(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
		       u64 size, u64 address, u64 bits)
{
	struct quire_update update = {
		.mmu = mmu, .pool = pool, .address = address, .bits = bits,
	};

	lockdep_assert_held(&mmu->lock);
	if (mmu->root)
		table_update(&update, mmu->root, ROOT_LEVEL, va, va + size);
}

void quire_mmu_map_card(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			u64 size, u64 offset, u64 bits)
{
	mutex_lock(&mmu->lock);
	mmu_update(mmu, pool, va, size, offset, bits | QUIRE_PTE_VALID);
	mutex_unlock(&mmu->lock);
}

void quire_mmu_map_system(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			  u64 size, struct sg_table *sgt, u64 offset, u64 bits)
{
	struct scatterlist *sg;
	unsigned int i;

	mutex_lock(&mmu->lock);
	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 length = sg_dma_len(sg), piece;

		if (offset >= length) {
			offset -= length;
			continue;
		}
		piece = min(length - offset, size);
		mmu_update(mmu, pool, va, piece, sg_dma_address(sg) + offset,
			   bits | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID);
		offset = 0;
		va += piece;
		size -= piece;
		if (!size)
			break;
	}
	mutex_unlock(&mmu->lock);
}

void quire_mmu_unmap(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va, u64 size)
{
	mutex_lock(&mmu->lock);
	mmu_update(mmu, pool, va, size, 0, 0);
	mutex_unlock(&mmu->lock);
}

static void write_root(struct quire_mmu *mmu, u64 root)
{
	int idx;

	if (!drm_dev_enter(&mmu->qdev->drm, &idx))
		return;
	quire_write64(mmu->qdev, QUIRE_REG_CONTEXT_ROOT_LO(mmu->context), root);
	quire_write(mmu->qdev, QUIRE_REG_TLB_FLUSH, mmu->context);
	drm_dev_exit(idx);
}

void quire_mmu_flush(struct quire_mmu *mmu)
{
	int idx;

	mutex_lock(&mmu->lock);
	if (drm_dev_enter(&mmu->qdev->drm, &idx)) {
		quire_write(mmu->qdev, QUIRE_REG_TLB_FLUSH, mmu->context);
		/* The flush counts once the write has arrived: read it back. */
		quire_read(mmu->qdev, QUIRE_REG_ID);
		drm_dev_exit(idx);
		table_free_list(mmu->qdev, &mmu->stale);
	}
	mutex_unlock(&mmu->lock);
}

int quire_mmu_init(struct quire_mmu *mmu, struct quire_device *qdev)
{
	int ret;

	mmu->qdev = qdev;
	mutex_init(&mmu->lock);
	INIT_LIST_HEAD(&mmu->stale);
	mmu->root = table_alloc(qdev, false);
	if (!mmu->root)
		return -ENOMEM;

	/* The place first: a reset takes the lock, and fences wait for resets. */
	ret = xa_alloc(&qdev->mmus, &mmu->context, NULL,
		       XA_LIMIT(0, qdev->contexts_total - 1), GFP_KERNEL);
	if (ret) {
		table_free(qdev, mmu->root);
		mutex_destroy(&mmu->lock);
		return ret == -EBUSY ? -ENOSPC : ret;
	}
	mutex_lock(&qdev->mmu_lock);
	xa_store(&qdev->mmus, mmu->context, mmu, GFP_NOWAIT);
	write_root(mmu, mmu->root->bus | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID);
	mutex_unlock(&qdev->mmu_lock);
	return 0;
}

static void mmu_free_tables(struct quire_mmu *mmu)
{
	mutex_lock(&mmu->lock);
	if (mmu->root)
		table_free_tree(mmu->qdev, mmu->root, ROOT_LEVEL);
	mmu->root = NULL;
	table_free_list(mmu->qdev, &mmu->stale);
	mutex_unlock(&mmu->lock);
}

void quire_mmu_fini(struct quire_mmu *mmu)
{
	struct quire_device *qdev = mmu->qdev;

	mutex_lock(&qdev->mmu_lock);
	write_root(mmu, 0);
	mmu_free_tables(mmu);
	xa_erase(&qdev->mmus, mmu->context);
	mutex_unlock(&qdev->mmu_lock);
	mutex_destroy(&mmu->lock);
}

void quire_mmu_restore(struct quire_device *qdev)
{
	struct quire_mmu *mmu;
	unsigned long i;

	mutex_lock(&qdev->mmu_lock);
	xa_for_each(&qdev->mmus, i, mmu)
		if (mmu->root)
			write_root(mmu, mmu->root->bus | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID);
	mutex_unlock(&qdev->mmu_lock);
}

void quire_mmu_unplug(struct quire_device *qdev)
{
	struct quire_mmu *mmu;
	unsigned long i;

	mutex_lock(&qdev->mmu_lock);
	xa_for_each(&qdev->mmus, i, mmu)
		mmu_free_tables(mmu);
	mutex_unlock(&qdev->mmu_lock);
}
