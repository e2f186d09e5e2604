// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM_BIND, first half: the call checks everything, sets everything aside, and then changes
 * the tree of mappings, which cannot fail.  Page tables follow in quire_bind_job.c, at once
 * or later.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "quire_bind.h"
#include "quire_compat.h"
#include "quire_dmabuf.h"
#include "quire_room.h"
#include "quire_userptr.h"

/* Locked by most calls; more than these have the list grow. */
#define QUIRE_BIND_FEW_BUFFERS 4

/** struct quire_bind_step - what drm_gpuvm passes to the steps of an operation */
struct quire_bind_step {
	/** @job: the call */
	struct quire_bind_job *job;
	/** @op: the operation */
	struct quire_bind_op *op;
};

static struct quire_va *quire_bind_take_spare(struct quire_bind_step *step)
{
	struct quire_va *va = NULL;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(step->op->spare) && !va; i++)
		swap(va, step->op->spare[i]);
	if (WARN_ON(!va))
		return NULL;
	INIT_LIST_HEAD(&va->shown);
	list_add_tail(&va->added, &step->job->added);
	return va;
}

/* Out of the tree; page tables may show it until the call is applied. */
static void quire_bind_remove(struct quire_bind_step *step, struct drm_gpuva *va)
{
	list_add_tail(&to_quire_va(va)->removed, &step->job->removed);
	cond_resched();
}

int quire_bind_step_map(struct drm_gpuva_op *op, void *priv)
{
	struct quire_bind_step *step = priv;
	struct drm_gpuvm_bo *vm_bo = step->op->vm_bo;
	struct quire_va *va = quire_bind_take_spare(step);

	if (!va)
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
	struct quire_bind_step *step = priv;

	if (op->remap.prev) {
		prev = quire_bind_take_spare(step);
		if (!prev)
			return -EINVAL;
		prev->flags = to_quire_va(old)->flags;
	}
	if (op->remap.next) {
		next = quire_bind_take_spare(step);
		if (!next)
			return -EINVAL;
		next->flags = to_quire_va(old)->flags;
	}
	drm_gpuva_remap(prev ? &prev->base : NULL, next ? &next->base : NULL, &op->remap);
	if (prev)
		drm_gpuva_link(&prev->base, vm_bo);
	if (next)
		drm_gpuva_link(&next->base, vm_bo);
	quire_bind_remove(step, old);
	return 0;
}

int quire_bind_step_unmap(struct drm_gpuva_op *op, void *priv)
{
	struct drm_gpuva *va = op->unmap.va;

	drm_gpuva_unmap(&op->unmap);
	quire_bind_remove(priv, va);
	return 0;
}

static int quire_bind_check_bo(struct drm_device *drm, struct drm_file *file,
			       struct quire_vm *vm, const struct drm_quire_vm_bind_op *args,
			       struct quire_bind_op *op)
{
	struct drm_gem_object *object = drm_gem_object_lookup(file, args->handle);

	if (!object)
		return -ENOENT;
	op->bo = to_quire_bo(object);
	if (args->bo_offset > object->size || args->size > object->size - args->bo_offset)
		return quire_inval(drm,
				   "vm_bind.ops.size %#llx at bo_offset %#llx must lie in %#zx",
				   args->size, args->bo_offset, object->size);
	if (op->bo->vm_object && op->bo->vm_object != drm_gpuvm_resv_obj(&vm->base))
		return quire_inval(drm, "vm_bind.ops.handle %u must be of this address space",
				   args->handle);
	if (op->bo->read_only && !(args->flags & DRM_QUIRE_VM_BIND_READ_ONLY))
		return quire_inval(drm, "vm_bind.ops.flags %#x must have READ_ONLY for handle %u",
				   args->flags, args->handle);
	return op->bo->import ? quire_import_attach(op->bo) : 0;
}

static int quire_bind_check_op(struct drm_device *drm, struct drm_file *file,
			       struct quire_vm *vm, const struct drm_quire_vm_bind_op *args,
			       struct quire_bind_op *op)
{
	bool map = args->type == DRM_QUIRE_VM_BIND_MAP;

	if (!map && args->type != DRM_QUIRE_VM_BIND_UNMAP)
		return quire_inval(drm, "vm_bind.ops.type %u must be MAP or UNMAP", args->type);
	if (args->flags & ~(map ? DRM_QUIRE_VM_BIND_READ_ONLY : 0))
		return quire_inval(drm, "vm_bind.ops.flags %#x must be known", args->flags);
	if (args->pad)
		return quire_inval(drm, "vm_bind.ops.pad %#x must be 0", args->pad);
	if (!args->size || !IS_ALIGNED(args->size, QUIRE_PAGE_BYTES))
		return quire_inval(drm, "vm_bind.ops.size %#llx must be pages of 4 KiB",
				   args->size);
	if (!IS_ALIGNED(args->va, QUIRE_PAGE_BYTES) || args->va < QUIRE_VA_START ||
	    args->va >= QUIRE_VA_END || args->size > QUIRE_VA_END - args->va)
		return quire_inval(drm,
				   "vm_bind.ops.va %#llx must be a page with room for %#llx",
				   args->va, args->size);
	if (!IS_ALIGNED(args->bo_offset, QUIRE_PAGE_BYTES))
		return quire_inval(drm, "vm_bind.ops.bo_offset %#llx must be a page",
				   args->bo_offset);
	if (!map && args->handle)
		return quire_inval(drm, "vm_bind.ops.handle %u must be 0 to unmap", args->handle);
	if (!map && args->bo_offset)
		return quire_inval(drm, "vm_bind.ops.bo_offset %#llx must be 0 to unmap",
				   args->bo_offset);

	op->flags = args->flags;
	op->va = args->va;
	op->size = args->size;
	op->bo_offset = args->bo_offset;
	return map ? quire_bind_check_bo(drm, file, vm, args, op) : 0;
}

static int quire_bind_get_ops(struct drm_device *drm, struct drm_file *file,
			      const struct drm_quire_vm_bind *args, struct quire_bind_job *job)
{
	struct drm_quire_vm_bind_op one, *ops;
	void *copy;
	int ret;

	ret = quire_copy_array(drm, "vm_bind.ops", &args->ops, sizeof(*ops),
			       DRM_QUIRE_VM_BIND_MAX_OPS, &one, sizeof(one), &copy);
	if (ret || !args->ops.count)
		return ret;
	ops = copy;
	if (args->ops.count == 1)
		job->ops = &job->only;
	else
		job->ops = kvcalloc(args->ops.count, sizeof(*job->ops), QUIRE_GFP_CALL);
	if (!job->ops)
		ret = -ENOMEM;
	else
		job->count = args->ops.count;
	for (u32 i = 0; !ret && i < job->count; i++)
		ret = quire_bind_check_op(drm, file, job->vm, &ops[i], &job->ops[i]);
	if (copy != &one)
		kvfree(copy);
	return ret;
}

/* Mappings and tables for whatever the operations may meet. */
static int quire_bind_set_aside(struct quire_bind_job *job)
{
	u64 spares = (u64)job->count * sizeof(*job->ops->spare[0]) *
		     ARRAY_SIZE(job->ops->spare);
	struct quire_table_plan plan = {};
	bool maps = false;
	int ret = 0;

	for (u32 i = 0; i < job->count; i++) {
		quire_plan_add(&plan, job->ops[i].va, job->ops[i].size, job->ops[i].bo);
		maps |= !!job->ops[i].bo;
	}
	/* Who has no room left can unmap. */
	if (maps)
		ret = quire_room_check_work(quire_plan_bytes(&plan) + spares);
	for (u32 i = 0; i < job->count && !ret; i++) {
		struct quire_bind_op *op = &job->ops[i];

		/* What is left before and behind it, and the new one. */
		ret = quire_vm_take_spares(job->vm, op->spare, op->bo ? 3 : 2);
	}
	return ret ?: quire_mmu_reserve(&job->vm->mmu, &job->pool, &plan);
}

/* All that can be known and allocated without locks. */
static int quire_bind_prepare(struct drm_device *drm, struct drm_file *file,
			      const struct drm_quire_vm_bind *args, struct quire_bind_job *job,
			      struct quire_signals *signals)
{
	int ret = quire_bind_get_ops(drm, file, args, job);
	u32 left = DRM_QUIRE_MAX_SYNCS;

	if (!ret)
		ret = quire_syncs_get(drm, file, &args->syncs, &left, &job->syncs, signals);
	if (!ret)
		ret = quire_bind_set_aside(job);
	if (!ret && args->flags & DRM_QUIRE_VM_BIND_ASYNC)
		ret = quire_bind_job_prepare(job);
	return ret;
}

static int quire_bind_lock_range(struct drm_gpuvm *gpuvm, struct drm_exec *exec,
				 const struct quire_bind_op *op)
{
	struct drm_gpuva *va;
	int ret;

	drm_gpuvm_for_each_va_range(va, gpuvm, op->va, op->va + op->size) {
		cond_resched();
		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
		if (!drm_gpuvm_is_extobj(gpuvm, va->gem.obj))
			continue;
		ret = drm_exec_lock_obj(exec, va->gem.obj);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Every buffer to whose list of mappings the call adds.  Several operations may meet the same
 * mappings, each of them all there are: then all buffers are locked, once, as for a submission.
 */
static int quire_bind_lock(struct quire_bind_job *job, struct drm_exec *exec)
{
	struct drm_gpuvm *gpuvm = &job->vm->base;
	int ret = drm_gpuvm_prepare_vm(gpuvm, exec, 0);

	if (!ret && job->count > 1)
		ret = drm_gpuvm_prepare_objects(gpuvm, exec, 0);
	else if (!ret && job->count)
		ret = quire_bind_lock_range(gpuvm, exec, job->ops);
	for (u32 i = 0; i < job->count && !ret; i++) {
		struct quire_bo *bo = job->ops[i].bo;

		if (bo && drm_gpuvm_is_extobj(gpuvm, &bo->base.base))
			ret = drm_exec_lock_obj(exec, &bo->base.base);
	}
	return ret;
}

/* The tie is new, or as it was: what follows from where the buffer lies now? */
static void quire_bind_tie_bo(struct quire_vm *vm, struct quire_bind_op *op)
{
	struct quire_vm_bo *tie = to_quire_vm_bo(op->vm_bo);

	dma_resv_assert_held(op->bo->base.base.resv);
	drm_gpuvm_bo_extobj_add(op->vm_bo);
	quire_bo_become_resident(op->bo);
	if (op->bo->userptr)
		quire_userptr_tie(op->bo->userptr, tie);
	else if (!tie->resident && !quire_bo_resident(op->bo))
		drm_gpuvm_bo_evict(op->vm_bo, true);
	/* What is shown of a buffer that comes back is for the next submission to map. */
	mutex_lock(&vm->mmu.lock);
	if (!tie->resident && !tie->base.evicted && list_empty(&tie->shown))
		tie->resident = quire_bo_resident(op->bo);
	mutex_unlock(&vm->mmu.lock);
	/* Jobs use it where it lies; the next submission looks for room. */
	if (quire_bo_wants_card(op->bo))
		drm_gpuvm_bo_evict(op->vm_bo, true);
}

/* Memory of other devices that nothing of ours has mapped yet. */
static int quire_bind_map_imports(struct quire_bind_job *job)
{
	int ret = 0;

	for (u32 i = 0; i < job->count && !ret; i++)
		if (job->ops[i].bo && job->ops[i].bo->import)
			ret = quire_import_map(job->ops[i].bo);
	return ret;
}

static void quire_bind_unmap_imports(struct quire_bind_job *job)
{
	for (u32 i = 0; i < job->count; i++)
		if (job->ops[i].bo && job->ops[i].bo->import)
			quire_import_idle(job->ops[i].bo);
}

/*
 * The tie of the operation's buffer.  To look for it goes through all address spaces that have the
 * buffer, so other operations of the call take what the first has found.
 */
static int quire_bind_tie_op(struct quire_vm *vm, struct quire_bind_op *op)
{
	struct drm_gpuvm_bo *vm_bo = op->bo->tie;

	dma_resv_assert_held(op->bo->base.base.resv);
	if (vm_bo) {
		op->vm_bo = drm_gpuvm_bo_get(vm_bo);
		return 0;
	}
	if (fatal_signal_pending(current))
		return -ERESTARTSYS;
	if (op->bo->userptr && !quire_userptr_fits(op->bo->userptr, vm))
		return -EXDEV;
	vm_bo = quire_gpuvm_bo_obtain(&vm->base, &op->bo->base.base);
	if (IS_ERR(vm_bo))
		return PTR_ERR(vm_bo);
	op->bo->tie = vm_bo;
	op->vm_bo = vm_bo;
	quire_bind_tie_bo(vm, op);
	return 0;
}

/* Ties of the buffers to the address space; undone if one cannot be made. */
static int quire_bind_tie(struct quire_bind_job *job)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < job->count && !ret; i++) {
		if (job->ops[i].bo)
			ret = quire_bind_tie_op(job->vm, &job->ops[i]);
		cond_resched();
	}
	for (i = 0; i < job->count; i++)
		if (job->ops[i].bo)
			job->ops[i].bo->tie = NULL;
	for (i = 0; i < job->count && ret; i++)
		if (job->ops[i].vm_bo)
			drm_gpuvm_bo_put(job->ops[i].vm_bo);
	return ret;
}

/* The tree; all was checked and set aside, so this does not fail. */
static void quire_bind_commit(struct quire_bind_job *job)
{
	struct drm_gpuvm *gpuvm = &job->vm->base;
	u32 i;

	lockdep_assert_held(&job->vm->lock);
	drm_gpuvm_resv_assert_held(gpuvm);
	job->number = ++job->vm->calls;
	for (i = 0; i < job->count; i++) {
		struct quire_bind_op *op = &job->ops[i];
		struct quire_bind_step step = { .job = job, .op = op };

		if (op->bo)
			WARN_ON(quire_gpuvm_sm_map(gpuvm, &step, op->va, op->size,
						   &op->bo->base.base, op->bo_offset));
		else
			WARN_ON(drm_gpuvm_sm_unmap(gpuvm, &step, op->va, op->size));
	}
	/* The mappings hold the ties, until after the call is applied. */
	for (i = 0; i < job->count; i++)
		if (job->ops[i].vm_bo)
			drm_gpuvm_bo_put(job->ops[i].vm_bo);
}

/* None stays none: calls that wait are added under the lock of the address space. */
static unsigned int quire_bind_pending(struct quire_vm *vm)
{
	lockdep_assert_held(&vm->lock);
	/* Pairs with quire_bind_work(): what counts no more is applied. */
	return smp_load_acquire(&vm->pending);
}

/* All is locked: the call happens.  The job may be gone when this returns @queued. */
static void quire_bind_happen(struct quire_bind_job *job, bool *queued)
{
	struct quire_vm *vm = job->vm;
	bool signalling, now = !job->syncs.count && !quire_bind_pending(vm);

	quire_bind_commit(job);
	if (job->fence)
		job->fence->base.seqno = job->number;
	/* Calls that come later wait for this one. */
	signalling = dma_fence_begin_signalling();
	if (now)
		quire_bind_job_run(job);
	else
		quire_bind_job_queue(job);
	dma_fence_end_signalling(signalling);
	*queued = !now;
}

static int quire_bind_submit(struct quire_bind_job *job, bool *queued)
{
	struct quire_vm *vm = job->vm;
	struct drm_exec exec;
	int ret;

	lockdep_assert_held(&vm->lock);
	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES,
		      QUIRE_BIND_FEW_BUFFERS);
	drm_exec_until_all_locked(&exec) {
		ret = quire_bind_lock(job, &exec);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
	}
	if (ret)
		goto out;
	ret = quire_bind_map_imports(job);
	if (!ret)
		ret = quire_bind_tie(job);
	if (ret)
		quire_bind_unmap_imports(job);
	else
		quire_bind_happen(job, queued);
out:
	drm_exec_fini(&exec);
	return ret;
}

/* The fence of the newest call that waits, with a reference, or NULL. */
static struct dma_fence *quire_bind_newest(struct quire_vm *vm)
{
	struct dma_fence *fence = NULL;

	spin_lock(&vm->job_lock);
	if (!list_empty(&vm->jobs))
		fence = dma_fence_get(&list_last_entry(&vm->jobs, struct quire_bind_job,
						       node)->fence->base);
	spin_unlock(&vm->job_lock);
	return fence;
}

/*
 * A synchronous call waits for those before it while nothing of it has happened yet: a
 * signal ends it without a trace.  Returns with the lock held, or an error.
 */
static int quire_bind_enter(struct quire_vm *vm, bool async)
{
	struct dma_fence *fence;
	int ret;

	for (;;) {
		ret = quire_restart(mutex_lock_interruptible(&vm->lock));
		if (ret)
			return ret;
		if (vm->closed)
			ret = -ENOENT;
		else if (async && quire_bind_pending(vm) >= QUIRE_BIND_PENDING_MAX)
			ret = -EBUSY;
		fence = !ret && !async && quire_bind_pending(vm) ? quire_bind_newest(vm) : NULL;
		if (!ret && !fence)
			return 0;
		mutex_unlock(&vm->lock);
		if (fence)
			ret = dma_fence_wait(fence, true);
		dma_fence_put(fence);
		if (ret)
			return ret;
	}
}

static int quire_bind_do(struct drm_device *drm, struct drm_file *file,
			 const struct drm_quire_vm_bind *args, struct quire_vm *vm)
{
	bool async = args->flags & DRM_QUIRE_VM_BIND_ASYNC;
	struct quire_bind_job *job = quire_bind_job_alloc(vm);
	struct quire_ticket oldest = { .context = QUIRE_NO_CONTEXT, .since = jiffies };
	struct quire_signals signals = {};
	bool queued = false;
	int ret;

	if (!job)
		return -ENOMEM;
	ret = quire_bind_prepare(drm, file, args, job, &signals);
	if (!ret)
		ret = quire_bind_enter(vm, async);
	if (!ret) {
		/* The job may be gone when they get it. */
		if (job->fence)
			signals.fence = dma_fence_get(&job->fence->base);
		ret = quire_restart(quire_bind_submit(job, &queued));
		mutex_unlock(&vm->lock);
	}
	if (!ret)
		quire_signals_give(&signals);
	quire_signals_put(&signals);
	if (!queued)
		quire_bind_job_free(job);
	/* Most often nothing runs, and what the call ended can be given back right here. */
	if (!ret && !queued && quire_vm_tidy(vm, &oldest))
		quire_reach_later(vm);
	return ret;
}

int quire_vm_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_vm_bind *args = data;
	struct quire_vm *vm;
	int ret;

	if (args->flags & ~DRM_QUIRE_VM_BIND_ASYNC)
		return quire_inval(drm, "vm_bind.flags %#x must be known", args->flags);
	if (!(args->flags & DRM_QUIRE_VM_BIND_ASYNC) && (args->syncs.count || args->syncs.array))
		return quire_inval(drm, "vm_bind.syncs must be empty without ASYNC");
	if (drm_dev_is_unplugged(drm))
		return -ENODEV;
	vm = quire_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;
	ret = quire_bind_do(drm, file, args, vm);
	quire_vm_put(vm);
	return ret;
}
