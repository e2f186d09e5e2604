// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM_BIND.  The call itself changes the tree of mappings; page tables follow, at
 * once or, when fences are to be awaited, from a worker in the order of the calls.
 *
 * The worker must neither allocate nor take a reservation: others may wait for
 * its fence holding one.  So tables are set aside by the call, and its fence goes
 * into the reservation of each buffer involved, which keeps these in their place
 * (and alive) until the worker has read where that is.  For the same reason it
 * leaves freeing to another work: the last reference to a buffer may wait.
 */
#include <linux/dma-fence.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "quire_compat.h"
#include "quire_gem.h"
#include "quire_sync.h"
#include "quire_vm.h"

#define BIND_OPS_MAX 65536

/* The fence of a call that had to wait. */
struct bind_fence {
	struct dma_fence base;
	/* Protects @base. */
	spinlock_t lock;
};

/**
 * struct bind_op - one operation
 * @flags: DRM_QUIRE_VM_BIND_*
 * @va: address
 * @size: bytes
 * @bo_offset: offset in @bo
 * @bo: buffer with a GEM reference, or NULL to unmap
 * @vm_bo: tie of @bo to the address space, between locking and commit
 * @spare: mappings set aside for the new one and what is left of a replaced one
 */
struct bind_op {
	u32 flags;
	u64 va;
	u64 size;
	u64 bo_offset;
	struct quire_bo *bo;
	struct drm_gpuvm_bo *vm_bo;
	struct quire_va *spare[3];
};

/**
 * struct quire_bind_job - one call
 * @node: in quire_vm.jobs
 * @vm: with a reference
 * @syncs: what to wait for and to signal
 * @fence: signalled when done
 * @pool: tables set aside
 * @removed: mappings taken out of the tree, each with a GEM reference
 * @count: number of @ops
 * @ops: operations
 */
struct quire_bind_job {
	struct list_head node;
	struct quire_vm *vm;
	struct quire_syncs syncs;
	struct bind_fence *fence;
	struct quire_table_pool pool;
	struct list_head removed;
	u32 count;
	struct bind_op *ops;
};

/* Passed through drm_gpuvm to the steps. */
struct bind_step {
	struct bind_op *op;
	struct list_head *removed;
};

static const char *bind_fence_driver(struct dma_fence *fence)
{
	return "quire";
}

static const char *bind_fence_timeline(struct dma_fence *fence)
{
	return "vm_bind";
}

static void bind_fence_release(struct dma_fence *fence)
{
	dma_fence_free(fence);
	/* As in quire_fence.c: a fence holds the code it calls. */
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops bind_fence_ops = {
	.get_driver_name = bind_fence_driver,
	.get_timeline_name = bind_fence_timeline,
	.release = bind_fence_release,
};

void quire_vm_map(struct quire_vm *vm, struct quire_table_pool *pool, struct quire_bo *bo,
		  u64 va, u64 size, u64 bo_offset, u32 flags)
{
	u64 bits = QUIRE_PTE_READ;
	struct ttm_resource *res = bo->base.resource;
	struct sg_table *sgt;

	if (!(flags & DRM_QUIRE_VM_BIND_READ_ONLY))
		bits |= QUIRE_PTE_WRITE;
	if (res && res->mem_type == TTM_PL_VRAM) {
		quire_mmu_map_card(&vm->mmu, pool, va, size,
				   ((u64)res->start << PAGE_SHIFT) + bo_offset, bits);
		return;
	}
	sgt = quire_bo_sgt(bo);
	if (sgt)
		quire_mmu_map_system(&vm->mmu, pool, va, size, sgt, bo_offset, bits);
	else
		/* Swapped out: nothing may be left; submission brings it back. */
		quire_mmu_unmap(&vm->mmu, pool, va, size);
}

static struct quire_va *take_spare(struct bind_op *op)
{
	struct quire_va *va = NULL;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(op->spare) && !va; i++)
		swap(va, op->spare[i]);
	return va;
}

static void remove_va(struct drm_gpuva *va, struct list_head *removed)
{
	drm_gem_object_get(va->gem.obj);
	drm_gpuva_unlink(va);
	list_add_tail(&to_quire_va(va)->removed, removed);
}

int quire_bind_step_map(struct drm_gpuva_op *op, void *priv)
{
	struct bind_step *step = priv;
	struct drm_gpuvm_bo *vm_bo = step->op->vm_bo;
	struct quire_va *va = take_spare(step->op);

	if (WARN_ON(!va))
		return -EINVAL;
	va->flags = step->op->flags;
	drm_gpuva_map(vm_bo->vm, &va->base, &op->map);
	drm_gpuva_link(&va->base, vm_bo);
	return 0;
}

int quire_bind_step_remap(struct drm_gpuva_op *op, void *priv)
{
	struct drm_gpuva *old = op->remap.unmap->va;
	struct drm_gpuvm_bo *vm_bo = old->vm_bo;
	struct quire_va *prev = NULL, *next = NULL;
	struct bind_step *step = priv;

	if (op->remap.prev) {
		prev = take_spare(step->op);
		if (WARN_ON(!prev))
			return -EINVAL;
		prev->flags = to_quire_va(old)->flags;
	}
	if (op->remap.next) {
		next = take_spare(step->op);
		if (WARN_ON(!next))
			return -EINVAL;
		next->flags = to_quire_va(old)->flags;
	}
	drm_gpuva_remap(prev ? &prev->base : NULL, next ? &next->base : NULL, &op->remap);
	if (prev)
		drm_gpuva_link(&prev->base, vm_bo);
	if (next)
		drm_gpuva_link(&next->base, vm_bo);
	remove_va(old, step->removed);
	return 0;
}

int quire_bind_step_unmap(struct drm_gpuva_op *op, void *priv)
{
	struct bind_step *step = priv;
	struct drm_gpuva *va = op->unmap.va;

	drm_gpuva_unmap(&op->unmap);
	remove_va(va, step->removed);
	return 0;
}

static void free_removed(struct list_head *removed)
{
	struct quire_va *va, *next;

	list_for_each_entry_safe(va, next, removed, removed) {
		drm_gem_object_put(va->base.gem.obj);
		kfree(va);
	}
	INIT_LIST_HEAD(removed);
}

static void job_free(struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;
	u32 i, j;

	free_removed(&job->removed);
	quire_pool_free(vm->qdev, &job->pool);
	for (i = 0; i < job->count; i++) {
		for (j = 0; j < ARRAY_SIZE(job->ops[i].spare); j++)
			kfree(job->ops[i].spare[j]);
		if (job->ops[i].bo)
			drm_gem_object_put(&job->ops[i].bo->base.base);
	}
	kvfree(job->ops);
	quire_syncs_put(&job->syncs);
	if (job->fence)
		dma_fence_put(&job->fence->base);
	kfree(job);
	quire_vm_put(vm);
}

/* The page tables of one call. */
static void job_run(struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;
	u32 i;

	for (i = 0; i < job->count; i++) {
		struct bind_op *op = &job->ops[i];

		if (op->bo)
			quire_vm_map(vm, &job->pool, op->bo, op->va, op->size, op->bo_offset,
				     op->flags);
		else
			quire_mmu_unmap(&vm->mmu, &job->pool, op->va, op->size);
	}
	quire_mmu_flush(&vm->mmu);
	dma_fence_signal(&job->fence->base);
}

void quire_bind_work(struct work_struct *work)
{
	struct quire_vm *vm = container_of(work, struct quire_vm, work);
	struct quire_bind_job *job;
	bool signalling;
	u32 i;

	quire_vm_get(vm);
	for (;;) {
		spin_lock(&vm->job_lock);
		job = list_first_entry_or_null(&vm->jobs, struct quire_bind_job, node);
		spin_unlock(&vm->job_lock);
		if (!job)
			break;
		for (i = 0; i < job->syncs.waits; i++)
			dma_fence_wait(job->syncs.wait[i], false);
		signalling = dma_fence_begin_signalling();
		job_run(job);
		/* Out of the list only now: an empty list means that none is running. */
		spin_lock(&vm->job_lock);
		list_move_tail(&job->node, &vm->ended);
		spin_unlock(&vm->job_lock);
		queue_work(vm->qdev->bind_wq, &vm->tidy);
		dma_fence_end_signalling(signalling);
	}
	quire_vm_put(vm);
}

/* The file's reference outlasts this, see vm_close(). */
void quire_bind_tidy_work(struct work_struct *work)
{
	struct quire_vm *vm = container_of(work, struct quire_vm, tidy);
	struct quire_bind_job *job, *next;
	LIST_HEAD(ended);

	spin_lock(&vm->job_lock);
	list_splice_init(&vm->ended, &ended);
	spin_unlock(&vm->job_lock);
	list_for_each_entry_safe(job, next, &ended, node)
		job_free(job);
}

static int check_op(struct drm_device *drm, struct drm_file *file, struct quire_vm *vm,
		    const struct drm_quire_vm_bind_op *args, struct bind_op *op)
{
	struct drm_gem_object *object;
	bool map = args->type == DRM_QUIRE_VM_BIND_MAP;

	if (!map && args->type != DRM_QUIRE_VM_BIND_UNMAP)
		return quire_inval(drm, "vm_bind: type %u", args->type);
	if (args->flags & ~(map ? DRM_QUIRE_VM_BIND_READ_ONLY : 0))
		return quire_inval(drm, "vm_bind: flags 0x%x", args->flags);
	if (args->pad)
		return quire_inval(drm, "vm_bind: pad 0x%x", args->pad);
	if (!args->size || !IS_ALIGNED(args->size, QUIRE_PAGE_BYTES))
		return quire_inval(drm, "vm_bind: size 0x%llx", args->size);
	if (!IS_ALIGNED(args->va, QUIRE_PAGE_BYTES) || args->va < QUIRE_VA_START ||
	    args->va >= QUIRE_VA_END || args->size > QUIRE_VA_END - args->va)
		return quire_inval(drm, "vm_bind: va 0x%llx, size 0x%llx", args->va, args->size);
	if (!IS_ALIGNED(args->bo_offset, QUIRE_PAGE_BYTES))
		return quire_inval(drm, "vm_bind: bo_offset 0x%llx", args->bo_offset);
	if (!map && (args->handle || args->bo_offset))
		return quire_inval(drm, "vm_bind: handle %u, bo_offset 0x%llx to unmap",
				   args->handle, args->bo_offset);

	op->flags = args->flags;
	op->va = args->va;
	op->size = args->size;
	op->bo_offset = args->bo_offset;
	if (!map)
		return 0;

	object = drm_gem_object_lookup(file, args->handle);
	if (!object)
		return -ENOENT;
	op->bo = to_quire_bo(object);
	if (args->bo_offset > object->size || args->size > object->size - args->bo_offset)
		return quire_inval(drm, "vm_bind: bo_offset 0x%llx, size 0x%llx of a buffer of %zu",
				   args->bo_offset, args->size, object->size);
	if (op->bo->vm_object && op->bo->vm_object != drm_gpuvm_resv_obj(&vm->base))
		return quire_inval(drm, "vm_bind: handle %u belongs to another vm_id",
				   args->handle);
	if (op->bo->read_only && !(args->flags & DRM_QUIRE_VM_BIND_READ_ONLY))
		return quire_inval(drm, "vm_bind: flags: handle %u is read-only", args->handle);
	return 0;
}

/* All that can be known and allocated without locks. */
static int job_prepare(struct drm_device *drm, struct drm_file *file,
		       const struct drm_quire_vm_bind *args, struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;
	struct drm_quire_vm_bind_op *ops;
	unsigned int j;
	void *copy;
	u32 i;
	int ret;

	ret = quire_copy_array(drm, "vm_bind: ops", &args->ops, sizeof(*ops), BIND_OPS_MAX, &copy);
	if (ret)
		return ret;
	ops = copy;
	if (args->ops.count) {
		job->ops = kvcalloc(args->ops.count, sizeof(*job->ops), GFP_KERNEL);
		if (!job->ops) {
			ret = -ENOMEM;
			goto out;
		}
	}
	job->count = args->ops.count;
	for (i = 0; i < job->count; i++) {
		ret = check_op(drm, file, vm, &ops[i], &job->ops[i]);
		if (ret)
			goto out;
	}
	ret = quire_syncs_get(drm, file, &args->syncs, &job->syncs);
	if (ret)
		goto out;

	for (i = 0; i < job->count; i++) {
		struct bind_op *op = &job->ops[i];

		for (j = 0; j < ARRAY_SIZE(op->spare); j++) {
			op->spare[j] = kzalloc(sizeof(*op->spare[j]), GFP_KERNEL);
			if (!op->spare[j]) {
				ret = -ENOMEM;
				goto out;
			}
		}
		ret = quire_pool_reserve(vm->qdev, &job->pool, op->va, op->size, op->bo);
		if (ret)
			goto out;
	}
	job->fence = kzalloc(sizeof(*job->fence), GFP_KERNEL);
	if (!job->fence) {
		ret = -ENOMEM;
		goto out;
	}
	spin_lock_init(&job->fence->lock);
	__module_get(THIS_MODULE);
	/* The number comes with the place in the order, under the lock of the address space. */
	dma_fence_init(&job->fence->base, &bind_fence_ops, &job->fence->lock, vm->fence_context,
		       0);
out:
	kvfree(copy);
	return ret;
}

/* Every buffer whose mappings the call adds or takes away. */
static int job_lock(struct quire_bind_job *job, struct drm_exec *exec)
{
	struct drm_gpuvm *gpuvm = &job->vm->base;
	struct drm_gpuva *va;
	u32 i;
	int ret;

	ret = drm_gpuvm_prepare_vm(gpuvm, exec, 1);
	for (i = 0; i < job->count && !ret; i++) {
		struct bind_op *op = &job->ops[i];

		if (op->bo && drm_gpuvm_is_extobj(gpuvm, &op->bo->base.base))
			ret = drm_exec_prepare_obj(exec, &op->bo->base.base, 1);
		if (ret)
			break;
		drm_gpuvm_for_each_va_range(va, gpuvm, op->va, op->va + op->size) {
			if (!drm_gpuvm_is_extobj(gpuvm, va->gem.obj))
				continue;
			ret = drm_exec_prepare_obj(exec, va->gem.obj, 1);
			if (ret)
				break;
		}
	}
	return ret;
}

/* Ties of the buffers to the address space; undone if one cannot be made. */
static int job_tie(struct quire_bind_job *job)
{
	struct drm_gpuvm *gpuvm = &job->vm->base;
	u32 i;

	for (i = 0; i < job->count; i++) {
		struct bind_op *op = &job->ops[i];
		struct drm_gpuvm_bo *vm_bo;

		if (!op->bo)
			continue;
		vm_bo = quire_gpuvm_bo_obtain(gpuvm, &op->bo->base.base);
		if (IS_ERR(vm_bo)) {
			while (i--)
				if (job->ops[i].vm_bo)
					drm_gpuvm_bo_put(job->ops[i].vm_bo);
			return PTR_ERR(vm_bo);
		}
		op->vm_bo = vm_bo;
		drm_gpuvm_bo_extobj_add(vm_bo);
		if (op->bo->base.resource->mem_type == TTM_PL_SYSTEM)
			drm_gpuvm_bo_evict(vm_bo, true);
	}
	return 0;
}

/* The tree; all was checked and set aside, so this does not fail. */
static void job_commit(struct quire_bind_job *job)
{
	struct drm_gpuvm *gpuvm = &job->vm->base;
	u32 i;

	for (i = 0; i < job->count; i++) {
		struct bind_op *op = &job->ops[i];
		struct bind_step step = { .op = op, .removed = &job->removed };

		if (op->bo)
			WARN_ON(quire_gpuvm_sm_map(gpuvm, &step, op->va, op->size,
						   &op->bo->base.base, op->bo_offset));
		else
			WARN_ON(drm_gpuvm_sm_unmap(gpuvm, &step, op->va, op->size));
	}
	for (i = 0; i < job->count; i++)
		if (job->ops[i].vm_bo)
			drm_gpuvm_bo_put(job->ops[i].vm_bo);
}

static bool vm_idle(struct quire_vm *vm)
{
	bool idle;

	spin_lock(&vm->job_lock);
	idle = list_empty(&vm->jobs);
	spin_unlock(&vm->job_lock);
	return idle;
}

static void job_queue(struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;

	spin_lock(&vm->job_lock);
	list_add_tail(&job->node, &vm->jobs);
	spin_unlock(&vm->job_lock);
	queue_work(vm->qdev->bind_wq, &vm->work);
}

/* Takes the job over on success. */
static int job_submit(struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;
	bool now, signalling;
	struct drm_exec exec;
	int ret;

	lockdep_assert_held(&vm->lock);
	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&exec) {
		ret = job_lock(job, &exec);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			goto out;
	}
	ret = job_tie(job);
	if (ret)
		goto out;
	job_commit(job);

	job->fence->base.seqno = ++vm->fence_seqno;
	now = !job->syncs.waits && vm_idle(vm);
	/* Others may wait for the fence from where it is given out. */
	signalling = dma_fence_begin_signalling();
	if (now)
		job_run(job);
	else
		quire_vm_add_fence(vm, &exec, &job->fence->base);
	quire_syncs_signal(&job->syncs, &job->fence->base);
	if (!now)
		job_queue(job);
	dma_fence_end_signalling(signalling);
	drm_exec_fini(&exec);
	if (now)
		job_free(job);
	return 0;

out:
	drm_exec_fini(&exec);
	return ret;
}

int quire_vm_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_vm_bind *args = data;
	bool async = args->flags & DRM_QUIRE_VM_BIND_ASYNC;
	struct quire_bind_job *job;
	struct dma_fence *fence;
	struct quire_vm *vm;
	int ret, idx;

	if (args->flags & ~DRM_QUIRE_VM_BIND_ASYNC)
		return quire_inval(drm, "vm_bind: flags 0x%x", args->flags);
	if (!async && (args->syncs.count || args->syncs.array))
		return quire_inval(drm, "vm_bind: syncs without ASYNC");
	vm = quire_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;
	job = kzalloc(sizeof(*job), GFP_KERNEL);
	if (!job) {
		quire_vm_put(vm);
		return -ENOMEM;
	}
	job->vm = vm;
	INIT_LIST_HEAD(&job->removed);
	quire_pool_init(&job->pool);
	if (!drm_dev_enter(drm, &idx)) {
		job_free(job);
		return -ENODEV;
	}

	ret = job_prepare(drm, file, args, job);
	if (ret)
		goto err;
	fence = dma_fence_get(&job->fence->base);
	mutex_lock(&vm->lock);
	ret = vm->closed ? -ENOENT : job_submit(job);
	mutex_unlock(&vm->lock);
	if (ret) {
		dma_fence_put(fence);
		goto err;
	}
	drm_dev_exit(idx);
	/* A signal only interrupts the wait; doing the same once more is harmless. */
	if (!async)
		ret = dma_fence_wait(fence, true);
	dma_fence_put(fence);
	return ret;

err:
	job_free(job);
	drm_dev_exit(idx);
	return ret;
}

void quire_vm_clear(struct quire_vm *vm)
{
	struct drm_gpuva *va, *next;
	LIST_HEAD(removed);
	struct drm_exec exec;
	int ret;

	mutex_lock(&vm->lock);
	drm_exec_init(&exec, DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&exec) {
		ret = drm_gpuvm_prepare_vm(&vm->base, &exec, 0);
		if (!ret)
			ret = drm_gpuvm_prepare_objects(&vm->base, &exec, 0);
		drm_exec_retry_on_contention(&exec);
		if (WARN_ON(ret))
			break;
	}
	drm_gpuvm_for_each_va_safe(va, next, &vm->base) {
		drm_gpuva_remove(va);
		remove_va(va, &removed);
	}
	quire_mmu_unmap(&vm->mmu, NULL, QUIRE_VA_START, QUIRE_VA_END - QUIRE_VA_START);
	quire_mmu_flush(&vm->mmu);
	drm_exec_fini(&exec);
	mutex_unlock(&vm->lock);
	free_removed(&removed);
}
