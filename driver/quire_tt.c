// SPDX-License-Identifier: GPL-2.0-only
/*
 * System memory as a place for buffers: pages, charged to the control group of whoever made the
 * buffer and mapped for the card.
 */
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_resource.h>
#include <drm/ttm/ttm_tt.h>

#include "quire_compat.h"
#include "quire_gem.h"
#include "quire_room.h"

/* Pieces of 2 MiB, where there are any, are what the page tables like best. */
#define QUIRE_TT_ORDER_MAX get_order(QUIRE_BLOCK_BYTES)

/** struct quire_tt - pages of a buffer in system memory */
struct quire_tt {
	/** @base: the pages */
	struct ttm_tt base;
	/** @dma: the same for the card, while there are any */
	struct quire_dma dma;
	/** @bo: whose they are: charged to its control group, which it has a reference to */
	struct quire_bo *bo;
};

static struct quire_device *quire_tt_device(struct ttm_device *ttm)
{
	return container_of(ttm, struct quire_device, ttm);
}

static struct quire_tt *to_quire_tt(struct ttm_tt *tt)
{
	return container_of(tt, struct quire_tt, base);
}

/* Memory that is short is an error of the call, not a reason to kill somebody. */
static struct page *quire_tt_alloc_pages(gfp_t gfp, unsigned int order)
{
	gfp |= GFP_USER | __GFP_ACCOUNT | __GFP_NOWARN;
	if (order)
		gfp = (gfp & ~__GFP_RECLAIM) | __GFP_KSWAPD_RECLAIM | __GFP_NOMEMALLOC;
	else
		gfp |= __GFP_RETRY_MAYFAIL;
	return alloc_pages(gfp, order);
}

static void quire_tt_free_pages(struct ttm_tt *tt, pgoff_t count)
{
	pgoff_t i, pieces;

	/* The first page of each piece knows its size. */
	for (i = 0; i < count; i += pieces) {
		struct page *page = tt->pages[i];
		unsigned int order = page_private(page);

		pieces = 1ul << order;
		set_page_private(page, 0);
		__free_pages(page, order);
	}
}

static int quire_tt_get_pages(struct ttm_tt *tt)
{
	gfp_t gfp = tt->page_flags & TTM_TT_FLAG_ZERO_ALLOC ? __GFP_ZERO : 0;
	unsigned int order = QUIRE_TT_ORDER_MAX;
	pgoff_t done = 0;

	while (done < tt->num_pages) {
		struct page *page;

		order = min_t(unsigned int, order, __fls(tt->num_pages - done));
		page = quire_tt_alloc_pages(gfp, order);
		if (!page && order) {
			order--;
			continue;
		}
		if (!page || fatal_signal_pending(current)) {
			if (page)
				__free_pages(page, order);
			quire_tt_free_pages(tt, done);
			return page ? -EINTR : -ENOMEM;
		}
		set_page_private(page, order);
		for (pgoff_t i = 0; i < 1ul << order; i++)
			tt->pages[done++] = page + i;
	}
	return 0;
}

/*
 * Not by ttm_tt_init(): it allocates the array of pages at once and charges it to nobody.  Here it
 * comes and goes with the pages, and memory that is not ours has none.
 */
struct ttm_tt *quire_tt_create(struct ttm_buffer_object *base, u32 page_flags)
{
	struct quire_bo *bo = to_quire_bo(&base->base);
	struct mem_cgroup *before = set_active_memcg(bo->memcg);
	struct quire_tt *tt = kzalloc(sizeof(*tt), QUIRE_GFP_CALL);

	set_active_memcg(before);
	if (!tt)
		return NULL;
	tt->base.num_pages = PFN_UP(base->base.size);
	tt->base.page_flags = page_flags;
	tt->base.caching = ttm_cached;
	tt->base.sg = base->sg;
	tt->bo = bo;
	return &tt->base;
}

static void quire_tt_free(struct ttm_tt *tt)
{
	quire_tt_free_pages(tt, tt->num_pages);
	kvfree(tt->pages);
	tt->pages = NULL;
}

/* Pages and what says where they are, all charged to whose buffer it is. */
static int quire_tt_alloc(struct quire_tt *tt)
{
	struct ttm_tt *base = &tt->base;
	int ret;

	base->pages = kvcalloc(base->num_pages, sizeof(*base->pages), QUIRE_GFP_CALL);
	if (!base->pages)
		return -ENOMEM;
	ret = quire_tt_get_pages(base);
	if (ret) {
		kvfree(base->pages);
		base->pages = NULL;
		return ret;
	}
	ret = quire_dma_map(to_quire_device(tt->bo->base.base.dev), &tt->dma, base->pages,
			    base->num_pages, DMA_BIDIRECTIONAL);
	if (ret)
		quire_tt_free(base);
	else
		WRITE_ONCE(tt->bo->backed, true);
	return ret;
}

static int quire_tt_get_room(struct quire_tt *tt, bool must)
{
	struct mem_cgroup *memcg = tt->bo->memcg, *before;
	struct ttm_tt *base = &tt->base;
	int ret;

	if (!must && !quire_room_in_machine((u64)base->num_pages << PAGE_SHIFT))
		return -ENOMEM;
	/* Who pushes a buffer out of card memory does not pay for it. */
	before = set_active_memcg(memcg);
	ret = quire_tt_alloc(tt);
	set_active_memcg(before);
	if (ret)
		return ret;
	if (!must && !quire_room_in_group(memcg, 0)) {
		quire_tt_unpopulate(tt->bo->base.bdev, base);
		return -ENOMEM;
	}
	return 0;
}

int quire_tt_populate(struct ttm_device *ttm, struct ttm_tt *base, struct ttm_operation_ctx *ctx)
{
	/* What has been swapped out must find its place, and a page fault must not fail. */
	bool must = quire_ttm_must_alloc(ctx) || base->page_flags & TTM_TT_FLAG_SWAPPED;
	struct quire_tt *tt = to_quire_tt(base);
	struct ttm_resource *old = tt->bo->base.resource;
	int ret;

	if (base->page_flags & TTM_TT_FLAG_EXTERNAL)
		return 0;
	ret = quire_tt_get_room(tt, must);
	/* Who wants the card memory it lies in is not to fail for that: TTM tries the next. */
	if (ret == -ENOMEM && old && old->mem_type == TTM_PL_VRAM)
		ret = -ENOSPC;
	return ret;
}

void quire_tt_unpopulate(struct ttm_device *ttm, struct ttm_tt *base)
{
	struct quire_tt *tt = to_quire_tt(base);

	if (base->page_flags & TTM_TT_FLAG_EXTERNAL)
		return;
	WRITE_ONCE(tt->bo->backed, false);
	quire_dma_unmap(quire_tt_device(ttm), &tt->dma);
	quire_tt_free(base);
}

void quire_tt_destroy(struct ttm_device *ttm, struct ttm_tt *base)
{
	ttm_tt_fini(base);
	kfree(to_quire_tt(base));
}

const struct quire_segments *quire_tt_segments(struct ttm_tt *tt)
{
	return &to_quire_tt(tt)->dma.segments;
}

/* The pages are where they are: there is no range to look for one in, which could be full. */
static int quire_tt_manager_alloc(struct ttm_resource_manager *manager,
				  struct ttm_buffer_object *base, const struct ttm_place *place,
				  struct ttm_resource **out)
{
	struct mem_cgroup *before = set_active_memcg(to_quire_bo(&base->base)->memcg);
	struct ttm_resource *resource = kzalloc(sizeof(*resource), QUIRE_GFP_CALL);

	set_active_memcg(before);
	if (!resource)
		return -ENOMEM;
	ttm_resource_init(base, place, resource);
	*out = resource;
	return 0;
}

static void quire_tt_manager_free(struct ttm_resource_manager *manager,
				  struct ttm_resource *resource)
{
	ttm_resource_fini(manager, resource);
	kfree(resource);
}

static const struct ttm_resource_manager_func quire_tt_manager_funcs = {
	.alloc = quire_tt_manager_alloc,
	.free = quire_tt_manager_free,
};

void quire_tt_manager_init(struct quire_device *qdev)
{
	struct ttm_resource_manager *manager = &qdev->system;

	manager->use_tt = true;
	manager->func = &quire_tt_manager_funcs;
	ttm_resource_manager_init(manager, &qdev->ttm, 0);
	ttm_set_driver_manager(&qdev->ttm, TTM_PL_TT, manager);
	ttm_resource_manager_set_used(manager, true);
}

void quire_tt_manager_fini(struct quire_device *qdev)
{
	ttm_resource_manager_set_used(&qdev->system, false);
	ttm_resource_manager_cleanup(&qdev->system);
	ttm_set_driver_manager(&qdev->ttm, TTM_PL_TT, NULL);
}
