// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables as a tree: four levels of 512 entries in system memory, read by the card.
 * Level 1 entries may map 2 MiB at once.
 */
#include <linux/slab.h>

#include <quire/dump.h>

#include "quire_device.h"
#include "quire_mmu.h"
#include "quire_segments.h"
#include "quire_power.h"

#define QUIRE_ROOT_LEVEL 3

/* What a quiet address space keeps for the next change. */
#define QUIRE_SPARE_LEAVES 40
#define QUIRE_SPARE_DIRECTORIES 4

/** struct quire_update - a change of page tables in progress, under their lock */
struct quire_update {
	/** @mmu: page tables */
	struct quire_mmu *mmu;
	/** @pool: tables set aside for it, or NULL: then it breaks up no block */
	struct quire_table_pool *pool;
	/** @address: where the next page lies, of the card or of the bus */
	u64 address;
	/** @bits: QUIRE_PTE_* of the entries; 0 clears them */
	u64 bits;
};

static u64 quire_table_entry(const struct quire_table *table, unsigned int i)
{
	return le64_to_cpu(READ_ONCE(table->entries[i]));
}

static void quire_table_set(struct quire_update *update, struct quire_table *table,
			    unsigned int i, u64 value)
{
	bool was_valid = quire_table_entry(table, i) & QUIRE_PTE_VALID;

	update->mmu->changed |= was_valid;
	table->used -= was_valid;
	table->used += !!(value & QUIRE_PTE_VALID);
	WRITE_ONCE(table->entries[i], cpu_to_le64(value));
}

static void quire_table_drop_child(struct quire_update *update, struct quire_table *table,
				   unsigned int i)
{
	if (table->child[i])
		quire_table_push(&update->mmu->stale, table->child[i]);
	table->child[i] = NULL;
}

/* The table below entry @i, made if need be: a block is broken up into pages. */
static struct quire_table *quire_table_child(struct quire_update *update,
					     struct quire_table *table, unsigned int i, int level)
{
	struct quire_table *child = table->child[i];
	u64 entry = quire_table_entry(table, i);
	unsigned int j;

	if (child)
		return child;
	child = update->pool ? quire_pool_take(update->pool, level == 1) : NULL;
	if (!child)
		return NULL;
	if (entry & QUIRE_PTE_BLOCK)
		for (j = 0; j < QUIRE_TABLE_ENTRIES; j++)
			quire_table_set(update, child, j,
					(entry & ~QUIRE_PTE_BLOCK) + j * QUIRE_PAGE_BYTES);
	table->child[i] = child;
	/* The entries before the entry that leads to them. */
	dma_wmb();
	quire_table_set(update, table, i, child->bus | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID);
	return child;
}

/* Entries of a leaf; the range lies in one. */
static void quire_table_update_leaf(struct quire_update *update, struct quire_table *table,
				    u64 va, u64 end)
{
	unsigned int i = (va >> 12) & (QUIRE_TABLE_ENTRIES - 1);
	u64 entry = update->bits ? update->address | update->bits : 0;
	u64 step = update->bits ? QUIRE_PAGE_BYTES : 0;

	update->address += end - va;
	for (; va < end; va += QUIRE_PAGE_BYTES, i++, entry += step)
		quire_table_set(update, table, i, entry);
}

static void quire_table_update(struct quire_update *update, struct quire_table *table, int level,
			       u64 va, u64 end)
{
	unsigned int shift = 12 + 9 * level;
	u64 span = 1ull << shift;
	u64 next;

	if (level == 0) {
		quire_table_update_leaf(update, table, va, end);
		return;
	}
	for (; va < end; va = next) {
		unsigned int i = (va >> shift) & (QUIRE_TABLE_ENTRIES - 1);
		bool whole;
		struct quire_table *child;

		next = min(end, (va | (span - 1)) + 1);
		whole = next - va == span;
		if (level == 1 && whole && (!update->bits || IS_ALIGNED(update->address, span))) {
			u64 entry = update->address | update->bits | QUIRE_PTE_BLOCK;

			quire_table_drop_child(update, table, i);
			quire_table_set(update, table, i, update->bits ? entry : 0);
			update->address += next - va;
			continue;
		}
		if (!update->bits && !(quire_table_entry(table, i) & QUIRE_PTE_VALID))
			continue;
		child = quire_table_child(update, table, i, level);
		if (!child) {
			/* One that is missing is a fault; one that stays would be a hole. */
			WARN_ONCE(1, "quire: no table reserved\n");
			quire_table_set(update, table, i, 0);
			update->address += next - va;
			continue;
		}
		quire_table_update(update, child, level - 1, va, next);
		if (!child->used) {
			quire_table_set(update, table, i, 0);
			quire_table_drop_child(update, table, i);
		}
	}
}

static void quire_mmu_update(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			     u64 size, u64 address, u64 bits)
{
	struct quire_update update = {
		.mmu = mmu, .pool = pool, .address = address, .bits = bits,
	};

	lockdep_assert_held(&mmu->lock);
	quire_table_update(&update, mmu->root, QUIRE_ROOT_LEVEL, va, va + size);
}

void quire_mmu_map_card(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			u64 size, u64 offset, u64 bits)
{
	quire_mmu_update(mmu, pool, va, size, offset, bits | QUIRE_PTE_VALID);
}

void quire_mmu_map_system(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va,
			  u64 size, const struct quire_segments *segments, u64 offset, u64 bits)
{
	struct quire_segment at = quire_segments_find(segments, offset);

	lockdep_assert_held(&mmu->lock);
	for (; at.left && size; at.left--, at.sg = sg_next(at.sg), at.offset = 0) {
		u64 bytes = min(sg_dma_len(at.sg) - at.offset, size);

		quire_mmu_update(mmu, pool, va, bytes, sg_dma_address(at.sg) + at.offset,
				 bits | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID);
		va += bytes;
		size -= bytes;
	}
}

void quire_mmu_unmap(struct quire_mmu *mmu, struct quire_table_pool *pool, u64 va, u64 size)
{
	quire_mmu_update(mmu, pool, va, size, 0, 0);
}

static void quire_mmu_flush_context(struct quire_mmu *mmu)
{
	lockdep_assert_held(&mmu->context_lock);
	if (mmu->context != QUIRE_NO_CONTEXT)
		mmu->last = quire_reach_flush(mmu->qdev, mmu->context);
}

struct quire_ticket quire_mmu_flush(struct quire_mmu *mmu)
{
	struct quire_ticket last;
	struct quire_table *table;

	lockdep_assert_held(&mmu->lock);
	spin_lock(&mmu->context_lock);
	/*
	 * The card keeps valid entries only: it finds what was added without being told.  What was
	 * taken away before a context came it has not seen, and what went before one was taken
	 * back, it has seen under the ticket of that.
	 */
	if (mmu->changed)
		quire_mmu_flush_context(mmu);
	last = mmu->last;
	spin_unlock(&mmu->context_lock);
	mmu->changed = false;
	while ((table = quire_table_pop(&mmu->stale))) {
		table->ticket = last;
		table->next = NULL;
		WRITE_ONCE(*mmu->limbo_end, table);
		mmu->limbo_end = &table->next;
	}
	return last;
}

/* A table out of reach serves again, or goes to @idle. */
static void quire_mmu_recycle(struct quire_mmu *mmu, struct quire_table *table,
			      struct quire_table **idle)
{
	struct quire_table_pool *spare = &mmu->spare;

	lockdep_assert_held(&mmu->lock);
	if (table->child ? spare->directory_count >= QUIRE_SPARE_DIRECTORIES :
			   spare->leaf_count >= QUIRE_SPARE_LEAVES) {
		quire_table_push(idle, table);
		return;
	}
	/* A directory goes out of use with its last entry; a leaf may give way to a block. */
	if (table->used)
		memset(table->entries, 0, QUIRE_PAGE_BYTES);
	table->used = 0;
	quire_pool_give(spare, table);
}

static void quire_mmu_free_idle(struct quire_mmu *mmu, struct quire_table *idle)
{
	struct quire_table *table;

	while ((table = quire_table_pop(&idle))) {
		quire_table_free(mmu->qdev, table);
		cond_resched();
	}
}

bool quire_mmu_tidy(struct quire_mmu *mmu, struct quire_ticket *oldest)
{
	struct quire_table *table, *idle = NULL;
	bool left = false;

	/* Whoever adds to it looks again. */
	if (!READ_ONCE(mmu->limbo))
		return false;
	mutex_lock(&mmu->lock);
	while ((table = mmu->limbo)) {
		if (!quire_reach_over(mmu->qdev, table->ticket)) {
			left = true;
			if (time_before(table->ticket.since, oldest->since))
				*oldest = table->ticket;
			break;
		}
		WRITE_ONCE(mmu->limbo, table->next);
		if (!mmu->limbo)
			mmu->limbo_end = &mmu->limbo;
		quire_mmu_recycle(mmu, table, &idle);
		cond_resched();
	}
	mutex_unlock(&mmu->lock);
	quire_mmu_free_idle(mmu, idle);
	return left;
}

int quire_mmu_reserve(struct quire_mmu *mmu, struct quire_table_pool *pool,
		      const struct quire_table_plan *plan)
{
	struct quire_table *table;

	mutex_lock(&mmu->lock);
	while (pool->leaf_count < plan->leaves &&
	       (table = quire_pool_take(&mmu->spare, true)))
		quire_pool_give(pool, table);
	while (pool->directory_count < plan->directories &&
	       (table = quire_pool_take(&mmu->spare, false)))
		quire_pool_give(pool, table);
	mutex_unlock(&mmu->lock);
	return quire_pool_fill(mmu->qdev, pool, plan);
}

void quire_mmu_unreserve(struct quire_mmu *mmu, struct quire_table_pool *pool)
{
	struct quire_table *table, *idle = NULL;

	if (!pool->leaf_count && !pool->directory_count)
		return;
	mutex_lock(&mmu->lock);
	while ((table = quire_pool_take(pool, true) ?: quire_pool_take(pool, false))) {
		quire_mmu_recycle(mmu, table, &idle);
		cond_resched();
	}
	mutex_unlock(&mmu->lock);
	quire_mmu_free_idle(mmu, idle);
}

static void quire_mmu_write_root(struct quire_device *qdev, u32 context, u64 root)
{
	int idx;

	if (!quire_card_enter(qdev, &idx))
		return;
	quire_write64(qdev, QUIRE_REG_CONTEXT_ROOT_LO(context), root);
	quire_card_exit(qdev, idx);
}

static u64 quire_mmu_root(struct quire_mmu *mmu)
{
	return mmu->root->bus | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID;
}

unsigned int quire_mmu_walk(struct quire_mmu *mmu, u64 va, struct quire_dump_step *steps)
{
	struct quire_table *table;
	unsigned int count = 0;

	mutex_lock(&mmu->lock);
	table = va < BIT_ULL(QUIRE_VA_BITS) ? mmu->root : NULL;
	for (int level = QUIRE_ROOT_LEVEL; table; level--) {
		struct quire_dump_step *step = &steps[count++];

		step->level = level;
		step->index = (va >> (12 + 9 * level)) & (QUIRE_TABLE_ENTRIES - 1);
		step->entry = quire_table_entry(table, step->index);
		table = level ? table->child[step->index] : NULL;
	}
	mutex_unlock(&mmu->lock);
	return count;
}

void quire_mmu_lend(struct quire_mmu *mmu, u32 context)
{
	struct quire_device *qdev = mmu->qdev;

	mutex_lock(&qdev->mmu_lock);
	spin_lock(&mmu->context_lock);
	WARN_ON(mmu->context != QUIRE_NO_CONTEXT || !quire_reach_over(qdev, mmu->last));
	/* From here on changes are flushed, before the card sees any of the tables. */
	mmu->context = context;
	spin_unlock(&mmu->context_lock);
	qdev->mmus[context] = mmu;
	quire_mmu_write_root(qdev, context, quire_mmu_root(mmu));
	spin_lock(&mmu->context_lock);
	quire_mmu_flush_context(mmu);
	spin_unlock(&mmu->context_lock);
	mutex_unlock(&qdev->mmu_lock);
}

struct quire_ticket quire_mmu_take_back(struct quire_mmu *mmu)
{
	struct quire_device *qdev = mmu->qdev;
	struct quire_ticket ticket;
	u32 context;

	mutex_lock(&qdev->mmu_lock);
	context = mmu->context;
	if (context != QUIRE_NO_CONTEXT) {
		qdev->mmus[context] = NULL;
		quire_mmu_write_root(qdev, context, 0);
	}
	spin_lock(&mmu->context_lock);
	quire_mmu_flush_context(mmu);
	mmu->context = QUIRE_NO_CONTEXT;
	ticket = mmu->last;
	spin_unlock(&mmu->context_lock);
	mutex_unlock(&qdev->mmu_lock);
	return ticket;
}

int quire_mmu_init(struct quire_mmu *mmu, struct quire_device *qdev)
{
	mmu->qdev = qdev;
	mutex_init(&mmu->lock);
	spin_lock_init(&mmu->context_lock);
	mmu->context = QUIRE_NO_CONTEXT;
	mmu->last = QUIRE_TICKET_OVER;
	mmu->limbo_end = &mmu->limbo;
	quire_pool_init(&mmu->spare);
	mmu->root = quire_table_alloc(qdev, false);
	if (!mmu->root) {
		mutex_destroy(&mmu->lock);
		return -ENOMEM;
	}
	return 0;
}

static void quire_mmu_free_tree(struct quire_device *qdev, struct quire_table *table)
{
	unsigned int i;

	for (i = 0; table->child && i < QUIRE_TABLE_ENTRIES; i++)
		if (table->child[i])
			quire_mmu_free_tree(qdev, table->child[i]);
	quire_table_free(qdev, table);
	cond_resched();
}

void quire_mmu_fini(struct quire_mmu *mmu)
{
	struct quire_ticket oldest = { .context = QUIRE_NO_CONTEXT, .since = jiffies };

	quire_reach_wait(mmu->qdev, quire_mmu_take_back(mmu), false);
	/* Whatever was flushed before is over, too. */
	WARN_ON(quire_mmu_tidy(mmu, &oldest));
	quire_mmu_free_tree(mmu->qdev, mmu->root);
	quire_pool_free(mmu->qdev, &mmu->spare);
	mutex_destroy(&mmu->lock);
}

void quire_mmu_restore(struct quire_device *qdev)
{
	mutex_lock(&qdev->mmu_lock);
	for (u32 i = 0; i < qdev->contexts_total; i++) {
		struct quire_mmu *mmu = qdev->mmus[i];

		quire_mmu_write_root(qdev, i, mmu ? quire_mmu_root(mmu) : 0);
		quire_write(qdev, QUIRE_REG_TLB_FLUSH, i);
	}
	mutex_unlock(&qdev->mmu_lock);
}
