// SPDX-License-Identifier: GPL-2.0-only
/* Buffer object calls: create, map, ask, and take the caller's own memory. */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/drm_gpuvm.h>
#include <drm/drm_vma_manager.h>
#include <drm/ttm/ttm_tt.h>

#include "quire_compat.h"
#include "quire_debt.h"
#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_resv.h"
#include "quire_room.h"
#include "quire_userptr.h"
#include "quire_vm.h"

static u64 quire_gem_placement_bytes(struct quire_device *qdev, u32 placement)
{
	if (placement == DRM_QUIRE_PLACEMENT_CARD)
		return quire_gem_card_bytes(qdev);
	return (u64)ttm_tt_pages_limit() << PAGE_SHIFT;
}

/* A buffer of an address space shares its reservation, held while it is made. */
static struct quire_bo *quire_gem_new_private(struct quire_device *qdev, struct quire_bo *bo,
					      u64 size, struct quire_vm *vm)
{
	struct dma_resv *resv = drm_gpuvm_resv(&vm->base);
	int ret;

	ret = quire_restart(dma_resv_lock_interruptible(resv, NULL));
	if (ret) {
		kfree(bo);
		return ERR_PTR(ret);
	}
	bo->vm_object = drm_gpuvm_resv_obj(&vm->base);
	drm_gem_object_get(bo->vm_object);
	bo = quire_bo_new(qdev, bo, size, ttm_bo_type_device, NULL, resv);
	dma_resv_unlock(resv);
	return bo;
}

/* Gives the handle and drops the reference that creation had. */
static int quire_gem_give_handle(struct drm_file *file, struct quire_bo *bo, u32 *handle)
{
	int ret = drm_gem_handle_create(file, &bo->base.base, handle);

	drm_gem_object_put(&bo->base.base);
	return ret;
}

static int quire_bo_create_check(struct drm_device *drm, const struct drm_quire_bo_create *args)
{
	u64 limit = quire_gem_placement_bytes(to_quire_device(drm), args->placement);

	if (args->flags)
		return quire_inval(drm, "bo_create.flags %#x must be 0", args->flags);
	if (args->placement != DRM_QUIRE_PLACEMENT_CARD &&
	    args->placement != DRM_QUIRE_PLACEMENT_SYSTEM)
		return quire_inval(drm, "bo_create.placement %u must be CARD or SYSTEM",
				   args->placement);
	if (!args->size)
		return quire_inval(drm, "bo_create.size must not be 0");
	if (args->size > limit) {
		drm_dbg(drm, "bo_create.size %llu must be at most %llu\n", args->size, limit);
		return -ENOSPC;
	}
	return 0;
}

/* With @vm, for it alone. */
static struct quire_bo *quire_bo_create(struct quire_device *qdev,
					const struct drm_quire_bo_create *args, u64 size,
					struct quire_vm *vm)
{
	struct quire_bo *bo;

	if (drm_dev_is_unplugged(&qdev->drm))
		return ERR_PTR(-ENODEV);
	bo = kzalloc(sizeof(*bo), QUIRE_GFP_CALL);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->placement = args->placement;
	bo->vm_id = args->vm_id;
	if (vm)
		return quire_gem_new_private(qdev, bo, size, vm);
	return quire_bo_new(qdev, bo, size, ttm_bo_type_device, NULL, NULL);
}

int quire_bo_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_bo_create *args = data;
	struct quire_vm *vm = NULL;
	struct quire_bo *bo;
	u64 size;
	int ret;

	ret = quire_bo_create_check(drm, args);
	if (ret)
		return ret;
	size = ALIGN(args->size, QUIRE_BO_ALIGN);
	/* A look ahead: the pages themselves come later. */
	ret = quire_room_check(args->placement == DRM_QUIRE_PLACEMENT_SYSTEM ? size : 0);
	if (ret)
		return ret;
	if (args->placement == DRM_QUIRE_PLACEMENT_CARD) {
		ret = quire_debt_pay(to_quire_device(drm));
		if (ret)
			return ret;
	}
	if (args->vm_id) {
		vm = quire_vm_lookup(file->driver_priv, args->vm_id);
		if (!vm)
			return -ENOENT;
	}
	bo = quire_bo_create(to_quire_device(drm), args, size, vm);
	ret = PTR_ERR_OR_ZERO(bo);
	if (!ret) {
		ret = quire_gem_give_handle(file, bo, &args->handle);
		args->size = size;
	}
	quire_vm_put(vm);
	return ret;
}

int quire_bo_mmap_offset_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_bo_mmap_offset *args = data;
	struct drm_gem_object *object;
	int ret = 0;

	if (args->pad)
		return quire_inval(drm, "bo_mmap_offset.pad %#x must be 0", args->pad);
	object = drm_gem_object_lookup(file, args->handle);
	if (!object)
		return -ENOENT;
	if (to_quire_bo(object)->info)
		ret = quire_inval(drm, "bo_mmap_offset.handle %u must be a buffer of this driver",
				  args->handle);
	else
		args->offset = drm_vma_node_offset_addr(&object->vma_node);
	drm_gem_object_put(object);
	return ret;
}

int quire_bo_info_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_bo_info *args = data;
	struct drm_gem_object *object;
	struct quire_bo *bo;

	if (args->pad)
		return quire_inval(drm, "bo_info.pad %#x must be 0", args->pad);
	object = drm_gem_object_lookup(file, args->handle);
	if (!object)
		return -ENOENT;
	bo = to_quire_bo(object);
	args->size = object->size;
	args->placement = bo->placement;
	args->resident = READ_ONCE(bo->on_card) ? DRM_QUIRE_PLACEMENT_CARD :
						  DRM_QUIRE_PLACEMENT_SYSTEM;
	args->vm_id = bo->vm_id;
	args->flags = bo->info;
	drm_gem_object_put(object);
	return 0;
}

/* The first buffer of the file whose handle is not before @id, with a reference, or NULL. */
static struct drm_gem_object *quire_gem_next(struct drm_file *file, int *id)
{
	struct drm_gem_object *object;

	spin_lock(&file->table_lock);
	object = idr_get_next(&file->object_idr, id);
	if (object)
		drm_gem_object_get(object);
	spin_unlock(&file->table_lock);
	return object;
}

/* Regions of fdinfo; "memory" is the name reserved for system memory. */
static const char *const quire_gem_regions[] = { "memory", "card" };

/* Not what has no pages yet, or is swapped out, or elsewhere with another device. */
static bool quire_gem_is_resident(struct quire_bo *bo)
{
	if (bo->import)
		return READ_ONCE(bo->import->sgt);
	if (bo->userptr)
		return quire_userptr_valid(bo->userptr);
	return READ_ONCE(bo->on_card) || READ_ONCE(bo->backed);
}

static void quire_gem_count(struct quire_bo *bo, struct drm_memory_stats *stats)
{
	struct drm_memory_stats *wanted = &stats[bo->placement == DRM_QUIRE_PLACEMENT_CARD];
	struct drm_memory_stats *here = &stats[READ_ONCE(bo->on_card)];
	u64 bytes = bo->base.base.size;

	if (drm_gem_object_is_shared_for_memory_stats(&bo->base.base))
		wanted->shared += bytes;
	else
		wanted->private += bytes;
	if (!quire_gem_is_resident(bo))
		return;
	here->resident += bytes;
	if (quire_bo_busy(bo))
		here->active += bytes;
}

/* Sizes of the file's buffers by where they were asked for and where they are. */
void quire_gem_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct drm_memory_stats stats[ARRAY_SIZE(quire_gem_regions)] = {};
	struct drm_gem_object *object;

	/* They may be as many as there is memory for: no lock is held from one to the next. */
	for (int id = 0; (object = quire_gem_next(file, &id)); id++) {
		quire_gem_count(to_quire_bo(object), stats);
		drm_gem_object_put(object);
		cond_resched();
		if (fatal_signal_pending(current))
			break;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(quire_gem_regions); i++)
		drm_print_memory_stats(p, &stats[i],
				       DRM_GEM_OBJECT_RESIDENT | QUIRE_GEM_OBJECT_ACTIVE,
				       quire_gem_regions[i]);
}

int quire_userptr_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct quire_device *qdev = to_quire_device(drm);
	struct drm_quire_userptr *args = data;
	struct quire_bo *bo;
	int ret;

	if (args->flags & ~DRM_QUIRE_USERPTR_READ_ONLY)
		return quire_inval(drm, "userptr.flags %#x must be known", args->flags);
	if (!IS_ALIGNED(args->address, QUIRE_BO_ALIGN))
		return quire_inval(drm, "userptr.address %#llx must be a page", args->address);
	if (!args->size || !IS_ALIGNED(args->size, QUIRE_BO_ALIGN))
		return quire_inval(drm, "userptr.size %#llx must be pages", args->size);
	/* More than memory can hold, or than an array of its pages may have. */
	if (args->size >> PAGE_SHIFT > min(totalram_pages(), INT_MAX / sizeof(unsigned long)))
		return -ENOMEM;
	if (!access_ok(u64_to_user_ptr(args->address), args->size))
		return -EFAULT;
	if (drm_dev_is_unplugged(drm))
		return -ENODEV;
	ret = quire_room_check(0);
	if (ret)
		return ret;

	bo = kzalloc(sizeof(*bo), QUIRE_GFP_CALL);
	if (!bo)
		return -ENOMEM;
	bo->placement = DRM_QUIRE_PLACEMENT_SYSTEM;
	bo->info = DRM_QUIRE_BO_INFO_USERPTR;
	bo->read_only = args->flags & DRM_QUIRE_USERPTR_READ_ONLY;
	bo = quire_bo_new(qdev, bo, args->size, ttm_bo_type_sg, NULL, NULL);
	if (IS_ERR(bo))
		return PTR_ERR(bo);
	ret = quire_userptr_attach(bo, args->address);
	if (ret) {
		drm_gem_object_put(&bo->base.base);
		return ret;
	}
	return quire_gem_give_handle(file, bo, &args->handle);
}
