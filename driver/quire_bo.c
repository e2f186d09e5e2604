// SPDX-License-Identifier: GPL-2.0-only
/* Buffer objects: their life, their mappings in processes, and what TTM asks of us. */
#include <linux/memcontrol.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include <drm/drm_managed.h>
#include <drm/ttm/ttm_range_manager.h>
#include <drm/ttm/ttm_tt.h>

#include "quire_compat.h"
#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_power.h"
#include "quire_resv.h"
#include "quire_room.h"
#include "quire_user.h"
#include "quire_userptr.h"

static struct quire_device *quire_from_ttm(struct ttm_device *ttm)
{
	return container_of(ttm, struct quire_device, ttm);
}

static struct quire_bo *quire_bo_from_ttm(struct ttm_buffer_object *bo)
{
	return container_of(bo, struct quire_bo, base);
}

static int quire_io_mem_reserve(struct ttm_device *ttm, struct ttm_resource *res)
{
	struct quire_device *qdev = quire_from_ttm(ttm);
	u64 offset = (u64)res->start << PAGE_SHIFT;

	if (res->mem_type != TTM_PL_VRAM)
		return 0;
	res->bus.addr = (void __force *)qdev->memory + offset;
	res->bus.offset = qdev->memory_bus + offset;
	res->bus.is_iomem = true;
	res->bus.caching = ttm_write_combined;
	return 0;
}

/*
 * What its owner has no room for stays on the card, as memory without swap space stays where it is,
 * and others look for another place: a failure would end their search.
 */
static bool quire_eviction_has_room(struct ttm_buffer_object *bo)
{
	u64 bytes = bo->base.size;

	return bo->deleted || (quire_room_in_machine(bytes) &&
			       quire_room_in_group(quire_bo_from_ttm(bo)->memcg, bytes));
}

/*
 * Who makes room waits for nobody's jobs: he would hold the owner's reservation meanwhile, which
 * his submissions take.
 *
 * TTM swaps buffers out to shared memory, which has to go to swap space from there: without it
 * that takes memory and gives none.  It counts to the caller's control group meanwhile.
 */
static bool quire_eviction_valuable(struct ttm_buffer_object *bo, const struct ttm_place *place)
{
	bool swap = place->mem_type != TTM_PL_VRAM;

	if (swap && get_nr_swap_pages() <= 0)
		return false;
	/* Card memory is given to nobody then: it would be for nothing. */
	if (!swap && READ_ONCE(quire_from_ttm(bo->bdev)->wedged))
		return false;
	/* Who is killed looks at no more of what may be many. */
	if (fatal_signal_pending(current) || quire_bo_busy(quire_bo_from_ttm(bo)))
		return false;
	if (!ttm_bo_eviction_valuable(bo, place))
		return false;
	return swap ? quire_room_in_own_group(bo->base.size) : quire_eviction_has_room(bo);
}

/*
 * Nobody has the buffer any more, no address space either: the card does not reach it.  What its
 * reservation waits for are jobs of the address space whose reservation it shared, or what others
 * have put there; TTM would have one of its few threads wait for them, and with it others' buffers.
 */
static void quire_bo_release(struct ttm_buffer_object *bo)
{
	struct dma_fence *fence, *over = dma_fence_get_stub();
	struct dma_resv *own = &bo->base._resv;
	struct dma_resv_iter cursor;
	bool locked;

	/* Who finds the buffer in a list holds its reservation only while he has this lock. */
	spin_lock(&bo->bdev->lru_lock);
	bo->base.resv = own;
	locked = dma_resv_trylock(own);
	spin_unlock(&bo->bdev->lru_lock);
	if (!WARN_ON(!locked)) {
		dma_resv_for_each_fence(&cursor, own, DMA_RESV_USAGE_BOOKKEEP, fence)
			if (!dma_fence_is_signaled(fence))
				dma_resv_replace_fences(own, fence->context, over,
							DMA_RESV_USAGE_BOOKKEEP);
		dma_resv_unlock(own);
	}
	dma_fence_put(over);
}

/* Copies from or to card memory for a debugger; the reservation is held. */
static int quire_bo_access_card(struct ttm_buffer_object *bo, unsigned long offset, void *buffer,
				int bytes, int write)
{
	struct quire_device *qdev = quire_from_ttm(bo->bdev);
	void __iomem *at = qdev->memory + ((u64)bo->resource->start << PAGE_SHIFT) + offset;
	int ret, idx;

	ret = quire_bo_clear(quire_bo_from_ttm(bo), true);
	if (!ret)
		ret = quire_card_enter_memory(qdev, true, &idx);
	if (ret)
		return ret;
	if (write) {
		memcpy_toio(at, buffer, bytes);
		/* Write-combined: it must have arrived before the card is told to use it. */
		wmb();
	} else {
		memcpy_fromio(buffer, at, bytes);
	}
	quire_card_exit_memory(qdev, idx);
	return bytes;
}

static const struct ttm_device_funcs quire_ttm_funcs = {
	.ttm_tt_create = quire_tt_create,
	.ttm_tt_populate = quire_tt_populate,
	.ttm_tt_unpopulate = quire_tt_unpopulate,
	.ttm_tt_destroy = quire_tt_destroy,
	.eviction_valuable = quire_eviction_valuable,
	.evict_flags = quire_evict_flags,
	.move = quire_move,
	.io_mem_reserve = quire_io_mem_reserve,
	.access_memory = quire_bo_access_card,
	.release_notify = quire_bo_release,
};

u64 quire_gem_card_bytes(struct quire_device *qdev)
{
	return qdev->memory_bytes - QUIRE_CARD_RESERVED_BYTES;
}

u64 quire_gem_usage(struct quire_device *qdev, int placement)
{
	return READ_ONCE(ttm_manager_type(&qdev->ttm, placement)->usage);
}

u64 quire_gem_usage_shown(struct quire_device *qdev, u64 bytes)
{
	return perfmon_capable() ? bytes : bytes - bytes % (qdev->memory_bytes / 64);
}

static void quire_gem_fini(struct drm_device *drm, void *unused)
{
	struct quire_device *qdev = to_quire_device(drm);

	ttm_range_man_fini(&qdev->ttm, TTM_PL_VRAM);
	quire_tt_manager_fini(qdev);
	ttm_device_fini(&qdev->ttm);
}

/*
 * DRM's range has 1 TiB for all of a card's buffers, which a process fills in a moment with some
 * that have no pages yet.  This one is all that a file offset can say.
 */
static void quire_gem_widen_offsets(struct drm_device *drm)
{
	struct drm_vma_offset_manager *manager = drm->vma_offset_manager;

	drm_vma_offset_manager_destroy(manager);
	drm_vma_offset_manager_init(manager, DRM_FILE_PAGE_OFFSET_START,
				    (LLONG_MAX >> PAGE_SHIFT) - DRM_FILE_PAGE_OFFSET_START);
}

/* The last buffers may still be there: somebody had their reservation when they were let go. */
static void quire_gem_flush(struct drm_device *drm, void *unused)
{
	flush_workqueue(to_quire_device(drm)->ttm.wq);
	/* What TTM has let go, and whoever is told that its pages go. */
	quire_imports_fini(to_quire_device(drm));
	quire_userptr_flush();
}

int quire_gem_flush_first(struct quire_device *qdev)
{
	return drmm_add_action_or_reset(&qdev->drm, quire_gem_flush, NULL);
}

int quire_gem_init(struct quire_device *qdev)
{
	struct drm_device *drm = &qdev->drm;
	int ret;

	ret = drmm_mutex_init(drm, &qdev->dma_lock);
	if (ret)
		return ret;
	INIT_LIST_HEAD(&qdev->dma_list);
	qdev->foreign_most = quire_dma_foreign_most(qdev);
	quire_gem_widen_offsets(drm);
	ret = quire_ttm_device_init(&qdev->ttm, &quire_ttm_funcs, drm);
	if (ret)
		return ret;
	ret = ttm_range_man_init(&qdev->ttm, TTM_PL_VRAM, false,
				 quire_gem_card_bytes(qdev) >> PAGE_SHIFT);
	if (ret)
		goto err_device;
	ret = quire_ttm_charge_region(ttm_manager_type(&qdev->ttm, TTM_PL_VRAM), drm, "card",
				      quire_gem_card_bytes(qdev));
	if (ret)
		goto err_card;
	quire_rescue_attach(qdev, ttm_manager_type(&qdev->ttm, TTM_PL_VRAM));
	quire_tt_manager_init(qdev);
	return drmm_add_action_or_reset(drm, quire_gem_fini, NULL);

err_card:
	ttm_range_man_fini(&qdev->ttm, TTM_PL_VRAM);
err_device:
	ttm_device_fini(&qdev->ttm);
	return ret;
}

const struct quire_segments *quire_bo_segments(struct quire_bo *bo)
{
	struct ttm_tt *tt = bo->base.ttm;

	if (bo->userptr)
		return &bo->userptr->dma.segments;
	if (bo->import)
		return bo->import->sgt ? &bo->import->segments : NULL;
	if (!bo->base.resource || bo->base.resource->mem_type != TTM_PL_TT || !tt ||
	    !ttm_tt_is_populated(tt))
		return NULL;
	return quire_tt_segments(tt);
}

void quire_bo_end(struct quire_bo *bo)
{
	struct drm_gem_object *object = &bo->base.base;

	drm_gem_object_release(object);
	if (bo->blank)
		__free_page(bo->blank);
	if (bo->vm_object)
		drm_gem_object_put(bo->vm_object);
	mem_cgroup_put(bo->memcg);
	if (bo->user) {
		quire_user_give_foreign(bo->user, object->size);
		quire_user_put(bo->user);
	}
	kfree(bo);
}

static int quire_bo_take_foreign(struct quire_device *qdev, struct quire_bo *bo, u64 size)
{
	struct quire_user *user = quire_user_get();
	int ret;

	if (!user)
		return -ENOMEM;
	ret = quire_user_take_foreign(user, size, qdev->foreign_most);
	if (ret) {
		drm_dbg(&qdev->drm, "the user has too much memory of processes or other devices\n");
		quire_user_put(user);
		return ret;
	}
	bo->user = user;
	return 0;
}

static void quire_bo_destroy(struct ttm_buffer_object *base)
{
	struct quire_bo *bo = quire_bo_from_ttm(base);

	if (bo->userptr)
		quire_userptr_detach(bo);
	else if (bo->import)
		quire_import_detach(bo);
	else
		quire_bo_end(bo);
}

/*
 * Takes over @bo: frees it on failure.  With @resv, which the caller holds, the
 * buffer shares that reservation.
 */
struct quire_bo *quire_bo_new(struct quire_device *qdev, struct quire_bo *bo, u64 size,
			      enum ttm_bo_type type, struct sg_table *sgt,
			      struct dma_resv *resv)
{
	struct ttm_operation_ctx ctx = {
		.interruptible = true, .resv = resv, .allow_res_evict = !!resv,
	};
	/* Aligned so that 2 MiB entries fit. */
	u32 alignment = size >= QUIRE_BLOCK_BYTES ? QUIRE_BLOCK_BYTES >> PAGE_SHIFT : 1;
	int ret;

	if (type == ttm_bo_type_sg) {
		ret = quire_bo_take_foreign(qdev, bo, size);
		if (ret) {
			if (bo->import)
				quire_import_put(bo->import);
			kfree(bo);
			return ERR_PTR(ret);
		}
	}
	INIT_LIST_HEAD(&bo->peers);
	bo->memcg = get_mem_cgroup_from_mm(current->mm);
	drm_gem_private_object_init(&qdev->drm, &bo->base.base, size);
	bo->base.base.funcs = &quire_gem_funcs;
	ret = ttm_bo_init_reserved(&qdev->ttm, &bo->base, type, quire_bo_first_placement(bo, type),
				   alignment, &ctx, sgt, resv, quire_bo_destroy);
	if (ret)
		return ERR_PTR(ret);
	/* It is mapped where it comes from. */
	if (type == ttm_bo_type_sg)
		drm_vma_offset_remove(qdev->ttm.vma_manager, &bo->base.base.vma_node);
	if (!resv)
		ttm_bo_unreserve(&bo->base);
	return bo;
}

static void quire_gem_free(struct drm_gem_object *object)
{
	struct quire_bo *bo = to_quire_bo(object);

	quire_bo_leave_resv(bo);
	quire_ttm_bo_free(&bo->base);
}

static int quire_gem_touch_entry(pte_t *entry, unsigned long address, void *data)
{
	return 0;
}

/*
 * The pages lie in card memory, where they are looked for only while the card is here.  Nothing
 * is allocated and no job waited for meanwhile: page tables and what moves there come first.
 */
static vm_fault_t quire_gem_fault_card(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct ttm_buffer_object *bo = vma->vm_private_data;
	struct quire_device *qdev = quire_from_ttm(bo->bdev);
	unsigned long left = vma->vm_end - vmf->address;
	vm_fault_t fault;
	int ret, idx;

	ret = quire_bo_clear(quire_bo_from_ttm(bo), true);
	if (!ret && dma_resv_wait_timeout(bo->base.resv, DMA_RESV_USAGE_KERNEL, true,
					  MAX_SCHEDULE_TIMEOUT) < 0)
		ret = -ERESTARTSYS;
	if (ret)
		return ret == -ENODEV ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
	if (apply_to_page_range(vma->vm_mm, vmf->address,
				min(left, TTM_BO_VM_NUM_PREFAULT * PAGE_SIZE),
				quire_gem_touch_entry, NULL))
		return VM_FAULT_OOM;
	ret = quire_card_enter_memory(qdev, false, &idx);
	/* Gone, or the process was killed while the card was away. */
	if (ret)
		return ret == -ENODEV ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
	fault = ttm_bo_vm_fault_reserved(vmf, vma->vm_page_prot, TTM_BO_VM_NUM_PREFAULT);
	quire_card_exit_memory(qdev, idx);
	return fault;
}

/*
 * The card has gone: the application sees zeros, not a signal.  One page for all of a buffer, as
 * long as it lives: who shares it are those who shared the buffer.
 */
static vm_fault_t quire_gem_fault_gone(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct quire_bo *bo = quire_bo_from_ttm(vma->vm_private_data);

	dma_resv_assert_held(bo->base.base.resv);
	if (!bo->blank)
		bo->blank = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!bo->blank)
		return VM_FAULT_OOM;
	return vmf_insert_pfn(vma, vmf->address, page_to_pfn(bo->blank));
}

static vm_fault_t quire_gem_fault_reserved(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct ttm_buffer_object *bo = vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	if (!drm_dev_is_unplugged(bo->base.dev)) {
		if (bo->resource && bo->resource->mem_type == TTM_PL_VRAM)
			ret = quire_gem_fault_card(vmf);
		else
			ret = ttm_bo_vm_fault_reserved(vmf, vma->vm_page_prot,
						       TTM_BO_VM_NUM_PREFAULT);
	}
	if (ret == VM_FAULT_SIGBUS && drm_dev_is_unplugged(bo->base.dev))
		ret = quire_gem_fault_gone(vmf);
	return ret;
}

static vm_fault_t quire_gem_fault(struct vm_fault *vmf)
{
	struct ttm_buffer_object *bo = vmf->vma->vm_private_data;
	vm_fault_t ret;

	ret = ttm_bo_vm_reserve(bo, vmf);
	if (ret)
		return ret;
	ret = quire_gem_fault_reserved(vmf);
	if (ret == VM_FAULT_RETRY && !(vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		return ret;
	dma_resv_unlock(bo->base.resv);
	return ret;
}

static void quire_gem_vm_close(struct vm_area_struct *vma)
{
	/* The mapping may have been all that held it. */
	quire_bo_leave_resv(quire_bo_from_ttm(vma->vm_private_data));
	ttm_bo_vm_close(vma);
}

static const struct vm_operations_struct quire_gem_vm_ops = {
	.fault = quire_gem_fault,
	.open = ttm_bo_vm_open,
	.close = quire_gem_vm_close,
	.access = ttm_bo_vm_access,
};

/* The pages come now, when too little memory is an error and not a signal. */
static int quire_gem_get_pages(struct quire_bo *bo)
{
	struct dma_resv *resv = bo->base.base.resv;
	int ret;

	ret = quire_restart(dma_resv_lock_interruptible(resv, NULL));
	if (ret)
		return ret;
	/* DRM looks at mappings of its own file, not at those of a dma-buf. */
	if (drm_dev_is_unplugged(bo->base.base.dev))
		ret = -ENODEV;
	else if (bo->base.resource && bo->base.resource->mem_type == TTM_PL_SYSTEM)
		ret = quire_bo_to_system(bo);
	dma_resv_unlock(resv);
	return ret;
}

static int quire_gem_mmap(struct drm_gem_object *object, struct vm_area_struct *vma)
{
	struct quire_bo *bo = to_quire_bo(object);
	int ret;

	if (bo->info)
		return -EINVAL;
	ret = quire_gem_get_pages(bo);
	if (!ret)
		ret = ttm_bo_mmap_obj(vma, &bo->base);
	/* TTM counts on the buffer, not on the GEM object. */
	if (!ret)
		drm_gem_object_put(object);
	return ret;
}

const struct drm_gem_object_funcs quire_gem_funcs = {
	.free = quire_gem_free,
	.export = quire_export,
	.vmap = quire_export_vmap,
	.vunmap = quire_export_vunmap,
	.mmap = quire_gem_mmap,
	.vm_ops = &quire_gem_vm_ops,
};
