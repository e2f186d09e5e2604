// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables against a model that is a flat array of pages, read back the way the card reads
 * them: entry by entry from the root.
 */
#include <linux/prandom.h>
#include <linux/scatterlist.h>

#include <quire/dump.h>

#include "quire_kunit.h"
#include "quire_mmu.h"
#include "quire_segments.h"

#define PAGES_PER_BLOCK (QUIRE_BLOCK_BYTES / QUIRE_PAGE_BYTES)
/* Four blocks on either side of where a table of level 2 ends, and one of level 3. */
#define MODEL_PAGES (8 * PAGES_PER_BLOCK)
#define MODEL_START (BIT_ULL(39) - MODEL_PAGES / 2 * QUIRE_PAGE_BYTES)
#define MODEL_BITS (QUIRE_PTE_READ | QUIRE_PTE_WRITE)

/* struct quire_mmu_test - tables and what they should say */
struct quire_mmu_test {
	struct quire_device *qdev;
	struct quire_mmu mmu;
	/* Address and bits of each page, 0 where none is mapped. */
	u64 *model;
};

static int quire_mmu_test_init(struct kunit *test)
{
	struct quire_mmu_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->qdev = quire_kunit_card(test);
	t->model = kunit_kcalloc(test, MODEL_PAGES, sizeof(*t->model), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->model);
	KUNIT_ASSERT_EQ(test, 0, quire_mmu_init(&t->mmu, t->qdev));
	test->priv = t;
	return 0;
}

static void quire_mmu_test_exit(struct kunit *test)
{
	struct quire_mmu_test *t = test->priv;

	if (!t)
		return;
	quire_mmu_fini(&t->mmu);
	KUNIT_EXPECT_TRUE(test, list_empty(&t->qdev->tables));
}

static u64 quire_mmu_test_va(u64 page)
{
	return MODEL_START + page * QUIRE_PAGE_BYTES;
}

/* What the card finds at @va: address and bits of its page, or 0. */
static u64 quire_mmu_test_look(struct quire_mmu *mmu, u64 va)
{
	struct quire_dump_step steps[QUIRE_MMU_LEVELS], *last;
	unsigned int count = quire_mmu_walk(mmu, va, steps);

	for (unsigned int i = 0; i + 1 < count; i++)
		if (!(steps[i].entry & QUIRE_PTE_VALID))
			return 0;
	last = &steps[count - 1];
	if (!(last->entry & QUIRE_PTE_VALID))
		return 0;
	if (last->level == 1 && last->entry & QUIRE_PTE_BLOCK)
		return (last->entry & ~QUIRE_PTE_BLOCK) +
		       (va % QUIRE_BLOCK_BYTES & ~(u64)(QUIRE_PAGE_BYTES - 1));
	return last->level ? 0 : last->entry;
}

static void quire_mmu_test_compare(struct kunit *test, const char *after)
{
	struct quire_mmu_test *t = test->priv;

	for (u64 page = 0; page < MODEL_PAGES; page++) {
		u64 found = quire_mmu_test_look(&t->mmu, quire_mmu_test_va(page));

		if (found != t->model[page]) {
			KUNIT_FAIL(test, "page %llu is %#llx, not %#llx, after %s", page, found,
				   t->model[page], after);
			return;
		}
	}
}

/* Maps pages to @address with @bits, or with @bits == 0 unmaps them; tables and model. */
static void quire_mmu_test_change(struct kunit *test, u64 page, u64 pages, u64 address, u64 bits)
{
	struct quire_mmu_test *t = test->priv;
	struct quire_table_plan plan = {};
	struct quire_table_pool pool;
	u64 va = quire_mmu_test_va(page), size = pages * QUIRE_PAGE_BYTES;

	quire_pool_init(&pool);
	quire_plan_add(&plan, va, size, bits);
	KUNIT_ASSERT_EQ(test, 0, quire_mmu_reserve(&t->mmu, &pool, &plan));
	mutex_lock(&t->mmu.lock);
	if (bits)
		quire_mmu_map_card(&t->mmu, &pool, va, size, address, bits);
	else
		quire_mmu_unmap(&t->mmu, &pool, va, size);
	quire_mmu_flush(&t->mmu);
	mutex_unlock(&t->mmu.lock);
	quire_mmu_unreserve(&t->mmu, &pool);
	for (u64 i = 0; i < pages; i++)
		t->model[page + i] = bits ? (address + i * QUIRE_PAGE_BYTES) | bits |
					    QUIRE_PTE_VALID : 0;
}

/* All tables but the root have gone: what is left in the pool of spare ones has no entry. */
static void quire_mmu_test_is_empty(struct kunit *test)
{
	struct quire_mmu_test *t = test->priv;
	struct quire_ticket oldest = { .context = QUIRE_NO_CONTEXT, .since = jiffies };

	KUNIT_EXPECT_FALSE(test, quire_mmu_tidy(&t->mmu, &oldest));
	KUNIT_EXPECT_EQ(test, 0, t->mmu.root->used);
	for (unsigned int i = 0; i < QUIRE_TABLE_ENTRIES; i++)
		KUNIT_EXPECT_NULL(test, t->mmu.root->child[i]);
}

static void quire_mmu_test_pages(struct kunit *test)
{
	quire_mmu_test_change(test, 3, 1, 0x1000, MODEL_BITS);
	quire_mmu_test_compare(test, "mapping a page");
	quire_mmu_test_change(test, 3, 1, 0x7000, QUIRE_PTE_READ);
	quire_mmu_test_compare(test, "replacing a page, read-only");
	quire_mmu_test_change(test, 3, 1, 0, 0);
	quire_mmu_test_compare(test, "unmapping a page");
	quire_mmu_test_is_empty(test);
}

static void quire_mmu_test_blocks(struct kunit *test)
{
	struct quire_mmu_test *t = test->priv;
	struct quire_dump_step steps[QUIRE_MMU_LEVELS];

	quire_mmu_test_change(test, PAGES_PER_BLOCK, PAGES_PER_BLOCK, 3 * QUIRE_BLOCK_BYTES,
			      MODEL_BITS);
	quire_mmu_test_compare(test, "mapping an aligned block");
	KUNIT_EXPECT_EQ(test, 3, quire_mmu_walk(&t->mmu, quire_mmu_test_va(PAGES_PER_BLOCK),
						steps));
	KUNIT_EXPECT_TRUE(test, steps[2].entry & QUIRE_PTE_BLOCK);
	/* The same at an address that is not aligned takes pages. */
	quire_mmu_test_change(test, PAGES_PER_BLOCK, PAGES_PER_BLOCK,
			      3 * QUIRE_BLOCK_BYTES + QUIRE_PAGE_BYTES, MODEL_BITS);
	quire_mmu_test_compare(test, "replacing a block by pages");
	KUNIT_EXPECT_EQ(test, 4, quire_mmu_walk(&t->mmu, quire_mmu_test_va(PAGES_PER_BLOCK),
						steps));
	quire_mmu_test_change(test, PAGES_PER_BLOCK, PAGES_PER_BLOCK, 0, 0);
	quire_mmu_test_is_empty(test);
}

static void quire_mmu_test_split(struct kunit *test)
{
	quire_mmu_test_change(test, 0, 2 * PAGES_PER_BLOCK, 4 * QUIRE_BLOCK_BYTES, MODEL_BITS);
	quire_mmu_test_change(test, PAGES_PER_BLOCK - 1, 2, 0, 0);
	quire_mmu_test_compare(test, "a hole over the end of two blocks");
	quire_mmu_test_change(test, 5, 1, 0x5000, QUIRE_PTE_READ);
	quire_mmu_test_compare(test, "another page in a block");
	quire_mmu_test_change(test, 0, PAGES_PER_BLOCK, 0, MODEL_BITS);
	quire_mmu_test_compare(test, "a block in place of a broken one");
	quire_mmu_test_change(test, 0, MODEL_PAGES, 0, 0);
	quire_mmu_test_compare(test, "unmapping all");
	quire_mmu_test_is_empty(test);
}

/* Unmapping where nothing is needs no table and makes none. */
static void quire_mmu_test_nothing(struct kunit *test)
{
	quire_mmu_test_change(test, 1, MODEL_PAGES - 2, 0, 0);
	quire_mmu_test_compare(test, "unmapping nothing");
	quire_mmu_test_is_empty(test);
}

static void quire_mmu_test_random(struct kunit *test)
{
	struct rnd_state random;

	prandom_seed_state(&random, 20240229);
	for (unsigned int i = 0; i < 300; i++) {
		u64 page = prandom_u32_state(&random) % MODEL_PAGES;
		u64 pages = 1 + prandom_u32_state(&random) % (MODEL_PAGES - page);
		u64 address = (u64)(prandom_u32_state(&random) % 65536) * QUIRE_PAGE_BYTES;
		u64 bits = prandom_u32_state(&random) % 3 ? MODEL_BITS : 0;

		/* Short ones, and addresses at which blocks fit, are what goes wrong. */
		if (prandom_u32_state(&random) % 2)
			pages = min(pages, 1 + prandom_u32_state(&random) % 8ull);
		if (prandom_u32_state(&random) % 2)
			address = ALIGN_DOWN(address, QUIRE_BLOCK_BYTES) +
				  quire_mmu_test_va(page) % QUIRE_BLOCK_BYTES;
		quire_mmu_test_change(test, page, pages, address, bits);
		if (i % 4 == 3)
			quire_mmu_test_compare(test, "a random change");
	}
	quire_mmu_test_change(test, 0, MODEL_PAGES, 0, 0);
	quire_mmu_test_is_empty(test);
}

/* Pieces of system memory, from the middle of one on. */
static void quire_mmu_test_system(struct kunit *test)
{
	static const struct {
		u64 address;
		unsigned int pages;
	} pieces[] = {
		{ 0x100000, 3 }, { 4 * QUIRE_BLOCK_BYTES - 0x1000, 1 },
		{ 4 * QUIRE_BLOCK_BYTES, PAGES_PER_BLOCK }, { 0x50000, 2 },
	};
	struct quire_mmu_test *t = test->priv;
	u64 first = 2 * PAGES_PER_BLOCK - 3, page = first;
	struct quire_table_plan plan = {};
	struct quire_table_pool pool;
	struct scatterlist *sg;
	struct quire_segments segments;
	struct sg_table sgt;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&sgt, ARRAY_SIZE(pieces), GFP_KERNEL));
	for_each_sgtable_sg(&sgt, sg, i) {
		sg_dma_address(sg) = pieces[i].address;
		sg_dma_len(sg) = pieces[i].pages * QUIRE_PAGE_BYTES;
		for (u64 j = i == 0; j < pieces[i].pages; j++)
			t->model[page++] = (pieces[i].address + j * QUIRE_PAGE_BYTES) |
					   MODEL_BITS | QUIRE_PTE_SYSTEM | QUIRE_PTE_VALID;
	}
	KUNIT_ASSERT_EQ(test, 0, quire_segments_init(&segments, &sgt));
	/* All but the first page, and the last. */
	t->model[--page] = 0;
	quire_pool_init(&pool);
	quire_plan_add(&plan, quire_mmu_test_va(first), (page - first) * QUIRE_PAGE_BYTES, true);
	KUNIT_EXPECT_EQ(test, 0, quire_mmu_reserve(&t->mmu, &pool, &plan));
	mutex_lock(&t->mmu.lock);
	quire_mmu_map_system(&t->mmu, &pool, quire_mmu_test_va(first),
			     (page - first) * QUIRE_PAGE_BYTES, &segments, QUIRE_PAGE_BYTES,
			     MODEL_BITS);
	mutex_unlock(&t->mmu.lock);
	quire_mmu_unreserve(&t->mmu, &pool);
	quire_segments_fini(&segments);
	sg_free_table(&sgt);
	quire_mmu_test_compare(test, "mapping pieces");
	quire_mmu_test_change(test, 0, MODEL_PAGES, 0, 0);
	quire_mmu_test_is_empty(test);
}

/* Tables set aside for several changes at once suffice for them, one after the other. */
static void quire_mmu_test_plan(struct kunit *test)
{
	struct quire_mmu_test *t = test->priv;
	struct quire_table_plan plan = {};
	struct quire_table_pool pool;

	quire_pool_init(&pool);
	for (u64 page = 0; page < MODEL_PAGES; page += 64)
		quire_plan_add(&plan, quire_mmu_test_va(page), 32 * QUIRE_PAGE_BYTES, true);
	KUNIT_ASSERT_EQ(test, 0, quire_mmu_reserve(&t->mmu, &pool, &plan));
	mutex_lock(&t->mmu.lock);
	for (u64 page = 0; page < MODEL_PAGES; page += 64) {
		quire_mmu_map_card(&t->mmu, &pool, quire_mmu_test_va(page), 32 * QUIRE_PAGE_BYTES,
				   page * QUIRE_PAGE_BYTES, MODEL_BITS);
		for (u64 i = page; i < page + 32; i++)
			t->model[i] = i * QUIRE_PAGE_BYTES | MODEL_BITS | QUIRE_PTE_VALID;
	}
	mutex_unlock(&t->mmu.lock);
	quire_mmu_unreserve(&t->mmu, &pool);
	quire_mmu_test_compare(test, "many mappings out of one pool");
	quire_mmu_test_change(test, 0, MODEL_PAGES, 0, 0);
	quire_mmu_test_is_empty(test);
}

static struct kunit_case quire_mmu_test_cases[] = {
	KUNIT_CASE(quire_mmu_test_pages),
	KUNIT_CASE(quire_mmu_test_blocks),
	KUNIT_CASE(quire_mmu_test_split),
	KUNIT_CASE(quire_mmu_test_nothing),
	KUNIT_CASE(quire_mmu_test_system),
	KUNIT_CASE(quire_mmu_test_plan),
	KUNIT_CASE_SLOW(quire_mmu_test_random),
	{ }
};

static struct kunit_suite quire_mmu_test_suite = {
	.name = "quire-mmu",
	.init = quire_mmu_test_init,
	.exit = quire_mmu_test_exit,
	.test_cases = quire_mmu_test_cases,
};
kunit_test_suite(quire_mmu_test_suite);
