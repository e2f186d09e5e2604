// SPDX-License-Identifier: GPL-2.0-only
/* Buffer objects: their life, their mappings in processes, and what TTM asks of us. */
#include <linux/memcontrol.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>
#include <drm/ttm/ttm_range_manager.h>
#include <drm/ttm/ttm_tt.h>

#include "quire_compat.h"
#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_power.h"
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

static const struct ttm_device_funcs quire_ttm_funcs = {
	.ttm_tt_create = quire_tt_create,
	.ttm_tt_populate = quire_tt_populate,
	.ttm_tt_unpopulate = quire_tt_unpopulate,
	.ttm_tt_destroy = quire_tt_destroy,
	.eviction_valuable = ttm_bo_eviction_valuable,
	.evict_flags = quire_evict_flags,
	.move = quire_move,
	.io_mem_reserve = quire_io_mem_reserve,
};

u64 quire_gem_card_bytes(struct quire_device *qdev)
{
	return qdev->memory_bytes - QUIRE_CARD_RESERVED_BYTES;
}

u64 quire_gem_usage(struct quire_device *qdev, int placement)
{
	return READ_ONCE(ttm_manager_type(&qdev->ttm, placement)->usage);
}

static void quire_gem_fini(struct drm_device *drm, void *unused)
{
	struct quire_device *qdev = to_quire_device(drm);

	ttm_range_man_fini(&qdev->ttm, TTM_PL_VRAM);
	ttm_range_man_fini(&qdev->ttm, TTM_PL_TT);
	ttm_device_fini(&qdev->ttm);
	/* Buffers that TTM has let go need the device to the last. */
	quire_userptr_flush();
}

int quire_gem_init(struct quire_device *qdev)
{
	struct drm_device *drm = &qdev->drm;
	int ret;

	ret = drmm_mutex_init(drm, &qdev->dma_lock);
	if (ret)
		return ret;
	INIT_LIST_HEAD(&qdev->dma_list);
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
	/* System memory is bounded by TTM's own limit, not by this range. */
	ret = ttm_range_man_init(&qdev->ttm, TTM_PL_TT, true, U32_MAX);
	if (ret)
		goto err_card;
	return drmm_add_action_or_reset(drm, quire_gem_fini, NULL);

err_card:
	ttm_range_man_fini(&qdev->ttm, TTM_PL_VRAM);
err_device:
	ttm_device_fini(&qdev->ttm);
	return ret;
}

struct sg_table *quire_bo_sgt(struct quire_bo *bo)
{
	struct ttm_tt *tt = bo->base.ttm;

	if (bo->userptr)
		return &bo->userptr->dma.sgt;
	if (bo->import)
		return bo->import->sgt;
	if (!bo->base.resource || bo->base.resource->mem_type != TTM_PL_TT || !tt ||
	    !ttm_tt_is_populated(tt))
		return NULL;
	return quire_tt_sgt(tt);
}

void quire_bo_end(struct quire_bo *bo)
{
	struct drm_gem_object *object = &bo->base.base;

	if (bo->import)
		quire_import_end(bo);
	drm_gem_object_release(object);
	if (bo->vm_object)
		drm_gem_object_put(bo->vm_object);
	mem_cgroup_put(bo->memcg);
	kfree(bo);
}

static void quire_bo_destroy(struct ttm_buffer_object *base)
{
	struct quire_bo *bo = quire_bo_from_ttm(base);

	if (bo->userptr)
		quire_userptr_detach(bo);
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

	INIT_LIST_HEAD(&bo->peers);
	bo->memcg = get_mem_cgroup_from_mm(current->mm);
	drm_gem_private_object_init(&qdev->drm, &bo->base.base, size);
	bo->base.base.funcs = &quire_gem_funcs;
	ret = ttm_bo_init_reserved(&qdev->ttm, &bo->base, type, quire_bo_first_placement(bo, type),
				   alignment, &ctx, sgt, resv, quire_bo_destroy);
	if (ret)
		return ERR_PTR(ret);
	if (!resv)
		ttm_bo_unreserve(&bo->base);
	return bo;
}

static void quire_gem_free(struct drm_gem_object *object)
{
	quire_ttm_bo_free(&to_quire_bo(object)->base);
}

static vm_fault_t quire_gem_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct ttm_buffer_object *bo = vma->vm_private_data;
	struct quire_device *qdev = to_quire_device(bo->base.dev);
	vm_fault_t ret;
	int idx, gone;

	ret = ttm_bo_vm_reserve(bo, vmf);
	if (ret)
		return ret;
	gone = quire_bo_clear(to_quire_bo(&bo->base), true);
	if (!gone)
		gone = quire_card_enter_memory(qdev, false, &idx);
	if (!gone) {
		ret = ttm_bo_vm_fault_reserved(vmf, vma->vm_page_prot, TTM_BO_VM_NUM_PREFAULT);
		quire_card_exit_memory(qdev, idx);
		/* Pages that were to come only now could not be mapped for it any more. */
		if (ret == VM_FAULT_SIGBUS && drm_dev_is_unplugged(&qdev->drm))
			gone = -ENODEV;
	}
	/* The card has gone: the application sees zeros, not a signal. */
	if (gone == -ENODEV)
		ret = ttm_bo_vm_dummy_page(vmf, vma->vm_page_prot);
	else if (gone)
		/* Killed while the card was away. */
		ret = VM_FAULT_NOPAGE;
	if (ret == VM_FAULT_RETRY && !(vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		return ret;
	dma_resv_unlock(bo->base.resv);
	return ret;
}

/* A debugger looks at it. */
static int quire_gem_access(struct vm_area_struct *vma, unsigned long address, void *buffer,
			    int bytes, int write)
{
	struct ttm_buffer_object *bo = vma->vm_private_data;
	struct quire_device *qdev = to_quire_device(bo->base.dev);
	int ret;

	quire_power_get(qdev);
	ret = ttm_bo_vm_access(vma, address, buffer, bytes, write);
	quire_power_put(qdev);
	return ret;
}

static const struct vm_operations_struct quire_gem_vm_ops = {
	.fault = quire_gem_fault,
	.open = ttm_bo_vm_open,
	.close = ttm_bo_vm_close,
	.access = quire_gem_access,
};

static int quire_gem_mmap(struct drm_gem_object *object, struct vm_area_struct *vma)
{
	struct quire_bo *bo = to_quire_bo(object);
	int ret;

	if (bo->info)
		return -EINVAL;
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
