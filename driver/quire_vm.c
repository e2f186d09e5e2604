// SPDX-License-Identifier: GPL-2.0-only
/* Address spaces: their life, and what submission needs of them. */
#include <linux/slab.h>

#include "quire_gem.h"
#include "quire_vm.h"

struct quire_vm *quire_vm_lookup(struct quire_file *qfile, u32 id)
{
	struct quire_vm *vm;

	xa_lock(&qfile->vms);
	vm = xa_load(&qfile->vms, id);
	if (vm)
		quire_vm_get(vm);
	xa_unlock(&qfile->vms);
	return vm;
}

int quire_vm_attach_queue(struct quire_vm *vm)
{
	int ret = -ENOENT;

	mutex_lock(&vm->lock);
	if (!vm->closed) {
		vm->queues++;
		ret = 0;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

void quire_vm_detach_queue(struct quire_vm *vm)
{
	mutex_lock(&vm->lock);
	vm->queues--;
	mutex_unlock(&vm->lock);
}

int quire_vm_prepare_submit(struct quire_vm *vm, struct drm_exec *exec,
			    unsigned int num_fences)
{
	int ret;

	ret = drm_gpuvm_prepare_vm(&vm->base, exec, num_fences);
	if (!ret)
		ret = drm_gpuvm_prepare_objects(&vm->base, exec, num_fences);
	if (!ret)
		ret = drm_gpuvm_validate(&vm->base, exec);
	return ret;
}

void quire_vm_add_fence(struct quire_vm *vm, struct drm_exec *exec, struct dma_fence *fence)
{
	/* Synchronisation is explicit: the fence only keeps buffers in their place. */
	drm_gpuvm_resv_add_fence(&vm->base, exec, fence, DMA_RESV_USAGE_BOOKKEEP,
				 DMA_RESV_USAGE_BOOKKEEP);
}

static void quire_vm_free(struct drm_gpuvm *gpuvm)
{
	struct quire_vm *vm = to_quire_vm(gpuvm);
	struct drm_device *drm = &vm->qdev->drm;

	quire_mmu_fini(&vm->mmu);
	mutex_destroy(&vm->lock);
	kfree(vm);
	drm_dev_put(drm);
}

static int vm_bo_validate(struct drm_gpuvm_bo *vm_bo, struct drm_exec *exec)
{
	struct quire_bo *bo = to_quire_bo(vm_bo->obj);
	struct quire_vm *vm = to_quire_vm(vm_bo->vm);
	struct quire_table_pool pool;
	struct drm_gpuva *va;
	int ret;

	ret = quire_bo_validate(bo);
	/* A deadlock between two who evict; the caller starts anew. */
	if (ret == -EDEADLK)
		return -EAGAIN;
	if (ret)
		return ret;

	quire_pool_init(&pool);
	drm_gpuvm_bo_for_each_va(va, vm_bo) {
		ret = quire_pool_reserve(vm->qdev, &pool, va->va.addr, va->va.range, true);
		if (ret)
			goto out;
	}
	drm_gpuvm_bo_for_each_va(va, vm_bo)
		quire_vm_map(vm, &pool, bo, va->va.addr, va->va.range, va->gem.offset,
			     to_quire_va(va)->flags);
	quire_mmu_flush(&vm->mmu);
	vm_bo->evicted = false;
out:
	quire_pool_free(vm->qdev, &pool);
	return ret;
}

static const struct drm_gpuvm_ops vm_ops = {
	.vm_free = quire_vm_free,
	.vm_bo_validate = vm_bo_validate,
	.sm_step_map = quire_bind_step_map,
	.sm_step_remap = quire_bind_step_remap,
	.sm_step_unmap = quire_bind_step_unmap,
};

static struct quire_vm *vm_create(struct quire_device *qdev)
{
	struct drm_gem_object *resv_object;
	struct quire_vm *vm;
	int ret;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	ret = quire_mmu_init(&vm->mmu, qdev);
	if (ret)
		goto err_vm;
	resv_object = drm_gpuvm_resv_object_alloc(&qdev->drm);
	if (!resv_object) {
		ret = -ENOMEM;
		goto err_mmu;
	}
	vm->qdev = qdev;
	vm->context = vm->mmu.context;
	mutex_init(&vm->lock);
	spin_lock_init(&vm->job_lock);
	INIT_LIST_HEAD(&vm->jobs);
	INIT_WORK(&vm->work, quire_bind_work);
	INIT_LIST_HEAD(&vm->ended);
	INIT_WORK(&vm->tidy, quire_bind_tidy_work);
	vm->fence_context = dma_fence_context_alloc(1);
	drm_dev_get(&qdev->drm);
	drm_gpuvm_init(&vm->base, "quire-vm", 0, &qdev->drm, resv_object, QUIRE_VA_START,
		       QUIRE_VA_END - QUIRE_VA_START, 0, 0, &vm_ops);
	/* drm_gpuvm_init() took a reference of its own. */
	drm_gem_object_put(resv_object);
	return vm;

err_mmu:
	quire_mmu_fini(&vm->mmu);
err_vm:
	kfree(vm);
	return ERR_PTR(ret);
}

/* The file's reference ends; jobs and queues may hold others. */
static void vm_close(struct quire_vm *vm)
{
	flush_work(&vm->work);
	flush_work(&vm->tidy);
	quire_vm_clear(vm);
	quire_vm_put(vm);
}

void quire_vm_close_file(struct quire_file *qfile)
{
	struct quire_vm *vm;
	unsigned long id;

	xa_for_each(&qfile->vms, id, vm) {
		mutex_lock(&vm->lock);
		vm->closed = true;
		mutex_unlock(&vm->lock);
		vm_close(vm);
	}
	xa_destroy(&qfile->vms);
}

int quire_vm_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct quire_device *qdev = to_quire_device(drm);
	struct quire_file *qfile = file->driver_priv;
	struct drm_quire_vm_create *args = data;
	struct quire_vm *vm;
	int ret, idx;

	if (args->flags)
		return quire_inval(drm, "vm_create: flags 0x%x", args->flags);
	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;
	vm = vm_create(qdev);
	drm_dev_exit(idx);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	ret = xa_alloc(&qfile->vms, &args->vm_id, vm, xa_limit_31b, GFP_KERNEL);
	if (ret)
		quire_vm_put(vm);
	return ret;
}

int quire_vm_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct quire_file *qfile = file->driver_priv;
	struct drm_quire_vm_destroy *args = data;
	struct quire_vm *vm;
	int ret = 0;

	if (args->pad)
		return quire_inval(drm, "vm_destroy: pad 0x%x", args->pad);
	vm = quire_vm_lookup(qfile, args->vm_id);
	if (!vm)
		return -ENOENT;
	mutex_lock(&vm->lock);
	if (vm->closed) {
		ret = -ENOENT;
	} else if (vm->queues) {
		drm_dbg(drm, "vm_destroy: vm_id %u has %u queues\n", args->vm_id, vm->queues);
		ret = -EBUSY;
	} else {
		vm->closed = true;
		xa_erase(&qfile->vms, args->vm_id);
	}
	mutex_unlock(&vm->lock);
	if (!ret)
		vm_close(vm);
	quire_vm_put(vm);
	return ret;
}
