// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where buffers lie and how they move: card memory (TTM_PL_VRAM, one contiguous range each)
 * or system memory mapped for the card (TTM_PL_TT).  Buffers pushed out of card memory go to
 * TTM_PL_TT; TTM_PL_SYSTEM holds what waits to be swapped out.
 *
 * A buffer moves in this order: the jobs that may use it end, address spaces forget it, the
 * card drains, other devices that have it mapped do the same, the contents are copied.  Up to
 * the copy a signal may end it at any point.
 */
#include <linux/sched/signal.h>

#include <drm/ttm/ttm_tt.h>

#include "quire_debt.h"
#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_migrate.h"
#include "quire_power.h"
#include "quire_resv.h"
#include "quire_trace.h"
#include "quire_userptr.h"
#include "quire_vm.h"

/* Card memory is cleared in pieces between which a fatal signal is looked for. */
#define QUIRE_CLEAR_BYTES SZ_1M

static const struct ttm_place quire_place_card[] = {
	{ .mem_type = TTM_PL_VRAM },
	{ .mem_type = TTM_PL_TT, .flags = TTM_PL_FLAG_FALLBACK },
};

static const struct ttm_place quire_place_back[] = {
	{ .mem_type = TTM_PL_VRAM, .flags = TTM_PL_FLAG_DESIRED },
	{ .mem_type = TTM_PL_TT, .flags = TTM_PL_FLAG_FALLBACK },
};

static const struct ttm_place quire_place_system = { .mem_type = TTM_PL_TT };
static const struct ttm_place quire_place_idle = { .mem_type = TTM_PL_SYSTEM };

/* A new buffer: others are pushed out of card memory for it. */
static struct ttm_placement quire_placement_card = {
	.num_placement = ARRAY_SIZE(quire_place_card), .placement = quire_place_card,
};

/* A buffer that comes back: to the card if there is room. */
static struct ttm_placement quire_placement_back = {
	.num_placement = ARRAY_SIZE(quire_place_back), .placement = quire_place_back,
};

static struct ttm_placement quire_placement_system = {
	.num_placement = 1, .placement = &quire_place_system,
};

static struct ttm_placement quire_placement_idle = {
	.num_placement = 1, .placement = &quire_place_idle,
};

struct ttm_placement *quire_bo_placement(struct quire_bo *bo)
{
	struct quire_device *qdev = to_quire_device(bo->base.base.dev);
	/* What another device has mapped, pinned or not, stays in system memory. */
	bool card = bo->placement == DRM_QUIRE_PLACEMENT_CARD && !bo->base.pin_count &&
		    list_empty(&bo->peers) && !READ_ONCE(qdev->wedged);

	return card ? &quire_placement_card : &quire_placement_system;
}

bool quire_bo_wants_card(struct quire_bo *bo)
{
	dma_resv_assert_held(bo->base.base.resv);
	return quire_bo_placement(bo) == &quire_placement_card && !bo->on_card;
}

struct ttm_placement *quire_bo_first_placement(struct quire_bo *bo, enum ttm_bo_type type)
{
	struct ttm_placement *placement = quire_bo_placement(bo);

	/* Pages come when somebody needs them. */
	if (placement == &quire_placement_system && type == ttm_bo_type_device)
		return &quire_placement_idle;
	return placement;
}

void quire_evict_flags(struct ttm_buffer_object *bo, struct ttm_placement *placement)
{
	if (bo->resource && bo->resource->mem_type == TTM_PL_VRAM)
		*placement = quire_placement_system;
	else
		*placement = quire_placement_idle;
}

bool quire_bo_resident(struct quire_bo *bo)
{
	struct ttm_resource *res = bo->base.resource;

	dma_resv_assert_held(bo->base.base.resv);
	if (bo->userptr)
		return quire_userptr_valid(bo->userptr);
	if (bo->import)
		return bo->import->sgt;
	return res && (res->mem_type == TTM_PL_VRAM ? !bo->uncleared : !!quire_bo_segments(bo));
}

/*
 * For a submission, which must not wait for jobs: a buffer that was swapped out gets pages,
 * which needs no wait; one that was pushed out of card memory goes back there if there is
 * room, no job uses it now and its user owes no time for such work, and else works from where it
 * is.  Memory that another device refuses is absent: jobs that use it fault, others do not suffer.
 */
int quire_bo_make_resident(struct quire_bo *bo)
{
	struct ttm_operation_ctx ctx = { .interruptible = true };
	struct ttm_resource *res = bo->base.resource;
	int ret;

	dma_resv_assert_held(bo->base.base.resv);
	if (bo->import) {
		ret = quire_import_map(bo);
		return quire_import_failed_for_now(ret) ? ret : 0;
	}
	if (res && res->mem_type == TTM_PL_VRAM)
		ret = 0;
	else if (quire_bo_placement(bo) == &quire_placement_card && !quire_bo_busy(bo) &&
		 !quire_debt_owes(to_quire_device(bo->base.base.dev)))
		ret = ttm_bo_validate(&bo->base, &quire_placement_back, &ctx);
	else
		ret = ttm_bo_validate(&bo->base, &quire_placement_system, &ctx);
	return ret ?: quire_bo_clear(bo, true);
}

/* What the CPU has used already is there for jobs as soon as it is bound. */
void quire_bo_become_resident(struct quire_bo *bo)
{
	struct ttm_operation_ctx ctx = { .no_wait_gpu = true };
	struct ttm_tt *tt = bo->base.ttm;

	dma_resv_assert_held(bo->base.base.resv);
	if (bo->base.resource && bo->base.resource->mem_type == TTM_PL_SYSTEM && tt &&
	    ttm_tt_is_populated(tt))
		ttm_bo_validate(&bo->base, &quire_placement_system, &ctx);
}

int quire_bo_to_system(struct quire_bo *bo)
{
	struct ttm_operation_ctx ctx = { .interruptible = true };
	int ret = ttm_bo_validate(&bo->base, &quire_placement_system, &ctx);

	/* For evictions, this is how it fails for pages (quire_tt_populate()). */
	return ret == -ENOSPC ? -ENOMEM : ret;
}

static int quire_move_clear_by_cpu(struct quire_device *qdev, u64 offset, u64 left,
				   bool interruptible)
{
	void __iomem *to = qdev->memory + offset;
	int ret, idx;

	ret = quire_card_enter_memory(qdev, interruptible, &idx);
	if (ret)
		return ret;
	while (left && !ret) {
		size_t piece = min_t(u64, left, QUIRE_CLEAR_BYTES);

		memset_io(to, 0, piece);
		to += piece;
		left -= piece;
		cond_resched();
		if (fatal_signal_pending(current))
			ret = -ERESTARTSYS;
	}
	/* Write-combined: it must have arrived before the card reads it. */
	wmb();
	quire_card_exit_memory(qdev, idx);
	return ret;
}

int quire_bo_clear(struct quire_bo *bo, bool interruptible)
{
	struct quire_device *qdev = to_quire_device(bo->base.base.dev);
	u64 bytes = bo->base.base.size;
	struct quire_extent to = {};
	int ret;

	dma_resv_assert_held(bo->base.base.resv);
	if (!bo->uncleared)
		return 0;
	to.card = (u64)bo->base.resource->start << PAGE_SHIFT;
	ret = quire_migrate(qdev, &to, NULL, bytes);
	if (ret && ret != -ERESTARTSYS)
		ret = quire_move_clear_by_cpu(qdev, to.card, bytes, interruptible);
	if (!ret)
		bo->uncleared = false;
	return ret;
}

static struct quire_extent quire_move_extent(struct ttm_buffer_object *bo,
					     struct ttm_resource *res)
{
	struct quire_extent extent = {};

	if (res->mem_type == TTM_PL_VRAM)
		extent.card = (u64)res->start << PAGE_SHIFT;
	else
		extent.segments = quire_tt_segments(bo->ttm);
	return extent;
}

/* Nobody has seen the buffer yet: whatever lies there, it holds zeros. */
static bool quire_move_is_blank(struct quire_bo *bo)
{
	struct ttm_resource *old = bo->base.resource;
	struct ttm_tt *tt = bo->base.ttm;

	if (!old)
		return true;
	if (old->mem_type == TTM_PL_VRAM)
		return bo->uncleared;
	return !tt || (!ttm_tt_is_populated(tt) && !(tt->page_flags & TTM_TT_FLAG_SWAPPED));
}

/* What holds zeros needs nothing of the card. */
static int quire_move_blank_by_cpu(struct ttm_buffer_object *bo, struct ttm_resource *new)
{
	for (pgoff_t i = 0; i < bo->ttm->num_pages; i++) {
		clear_highpage(bo->ttm->pages[i]);
		cond_resched();
		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
	}
	ttm_bo_move_sync_cleanup(bo, new);
	return 0;
}

/* The engines did not do it. */
static int quire_move_by_cpu(struct ttm_buffer_object *bo, struct ttm_operation_ctx *ctx,
			     struct ttm_resource *new)
{
	struct quire_device *qdev = to_quire_device(bo->base.dev);
	int ret, idx;

	ret = quire_card_enter_memory(qdev, ctx->interruptible, &idx);
	if (ret)
		return ret;
	ret = ttm_bo_move_memcpy(bo, ctx, new);
	/* As above. */
	wmb();
	quire_card_exit_memory(qdev, idx);
	return ret;
}

/* To or from card memory: the buffer is idle, and nothing reaches its old place. */
static int quire_move_contents(struct quire_bo *bo, struct ttm_operation_ctx *ctx,
			       struct ttm_resource *new)
{
	struct quire_device *qdev = to_quire_device(bo->base.base.dev);
	struct ttm_buffer_object *base = &bo->base;
	bool blank = quire_move_is_blank(bo);
	struct quire_extent to, from;
	int ret;

	if (blank && new->mem_type == TTM_PL_VRAM) {
		bo->uncleared = true;
		ttm_bo_move_null(base, new);
		return 0;
	}
	to = quire_move_extent(base, new);
	from = quire_move_extent(base, base->resource);
	ret = quire_migrate(qdev, &to, blank ? NULL : &from, base->base.size);
	if (!ret)
		ttm_bo_move_sync_cleanup(base, new);
	else if (ret != -ERESTARTSYS && blank)
		ret = quire_move_blank_by_cpu(base, new);
	else if (ret != -ERESTARTSYS)
		ret = quire_move_by_cpu(base, ctx, new);
	if (!ret)
		bo->uncleared = false;
	return ret;
}

/* What is not mapped for the card gets there by way of pages that are. */
static bool quire_move_needs_hop(struct quire_bo *bo, struct ttm_resource *new)
{
	struct ttm_resource *old = bo->base.resource;

	if (!old)
		return false;
	if (old->mem_type == TTM_PL_SYSTEM)
		return new->mem_type == TTM_PL_VRAM && !quire_move_is_blank(bo);
	return old->mem_type == TTM_PL_VRAM && new->mem_type == TTM_PL_SYSTEM;
}

int quire_move(struct ttm_buffer_object *base, bool evict, struct ttm_operation_ctx *ctx,
	       struct ttm_resource *new, struct ttm_place *hop)
{
	struct quire_device *qdev = container_of(base->bdev, struct quire_device, ttm);
	struct quire_bo *bo = to_quire_bo(&base->base);
	struct ttm_resource *old = base->resource;
	int from = old ? (int)old->mem_type : -1, to = new->mem_type;
	bool reached = old && old->mem_type != TTM_PL_SYSTEM;
	bool copied = new->mem_type == TTM_PL_VRAM || (old && old->mem_type == TTM_PL_VRAM);
	int ret = 0;

	dma_resv_assert_held(base->base.resv);
	if (quire_move_needs_hop(bo, new)) {
		*hop = quire_place_system;
		return -EMULTIHOP;
	}
	if (reached || (old && copied))
		ret = ttm_bo_wait_ctx(base, ctx);
	if (!ret && reached)
		ret = quire_vm_forget_bo(bo, ctx->interruptible, ctx->no_wait_gpu);
	if (!ret && reached)
		ret = quire_export_forget(bo, ctx);
	if (ret)
		return ret;
	if (copied)
		ret = quire_move_contents(bo, ctx, new);
	else
		ttm_bo_move_null(base, new);
	if (!ret)
		WRITE_ONCE(bo->on_card, new->mem_type == TTM_PL_VRAM);
	trace_quire_move(qdev, base->base.size, from, to, evict, ret);
	return ret;
}
