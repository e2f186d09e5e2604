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

#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_power.h"
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
	/* What another device has mapped, pinned or not, stays in system memory. */
	bool card = bo->placement == DRM_QUIRE_PLACEMENT_CARD && !bo->base.pin_count &&
		    list_empty(&bo->peers);

	return card ? &quire_placement_card : &quire_placement_system;
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
	return res && (res->mem_type == TTM_PL_VRAM || quire_bo_sgt(bo));
}

/*
 * For a submission, which must not wait for jobs: a buffer that was swapped out gets pages,
 * which needs no wait; one that was pushed out of card memory goes back there if there is
 * room and no job uses it now, and else works from where it is.  Memory that another device
 * refuses is absent: jobs that use it fault, others do not suffer.
 */
int quire_bo_make_resident(struct quire_bo *bo)
{
	struct ttm_operation_ctx ctx = { .interruptible = true };
	struct dma_resv *resv = bo->base.base.resv;
	struct ttm_resource *res = bo->base.resource;
	int ret;

	dma_resv_assert_held(resv);
	if (bo->import) {
		ret = quire_import_map(bo);
		return quire_import_failed_for_now(ret) ? ret : 0;
	}
	if (res && res->mem_type == TTM_PL_VRAM)
		return 0;
	if (quire_bo_placement(bo) == &quire_placement_card &&
	    dma_resv_test_signaled(resv, DMA_RESV_USAGE_BOOKKEEP))
		return ttm_bo_validate(&bo->base, &quire_placement_back, &ctx);
	return ttm_bo_validate(&bo->base, &quire_placement_system, &ctx);
}

int quire_bo_to_system(struct quire_bo *bo)
{
	struct ttm_operation_ctx ctx = { .interruptible = true };

	return ttm_bo_validate(&bo->base, &quire_placement_system, &ctx);
}

/* New card memory holds what others left there. */
static int quire_move_clear(struct quire_device *qdev, struct ttm_resource *new)
{
	void __iomem *to = qdev->memory + ((u64)new->start << PAGE_SHIFT);
	size_t left = new->size;

	while (left) {
		size_t piece = min_t(size_t, left, QUIRE_CLEAR_BYTES);

		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
		memset_io(to, 0, piece);
		to += piece;
		left -= piece;
		cond_resched();
	}
	return 0;
}

/* The contents: the buffer is idle, and nothing reaches its old place. */
static int quire_move_contents(struct quire_device *qdev, struct ttm_buffer_object *bo,
			       struct ttm_operation_ctx *ctx, struct ttm_resource *new)
{
	int ret, idx;

	ret = quire_card_enter_memory(qdev, ctx->interruptible, &idx);
	if (ret)
		return ret;
	if (bo->resource) {
		ret = ttm_bo_move_memcpy(bo, ctx, new);
	} else {
		ret = quire_move_clear(qdev, new);
		if (!ret)
			ttm_bo_move_null(bo, new);
	}
	quire_card_exit_memory(qdev, idx);
	return ret;
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
	if (reached || (old && copied))
		ret = ttm_bo_wait_ctx(base, ctx);
	if (!ret && reached)
		ret = quire_vm_forget_bo(bo, ctx->interruptible, ctx->no_wait_gpu);
	if (!ret && reached)
		ret = quire_export_forget(bo, ctx);
	if (ret)
		return ret;
	if (copied)
		ret = quire_move_contents(qdev, base, ctx, new);
	else
		ttm_bo_move_null(base, new);
	if (!ret)
		WRITE_ONCE(bo->on_card, new->mem_type == TTM_PL_VRAM);
	trace_quire_move(qdev, base->base.size, from, to, evict, ret);
	return ret;
}
