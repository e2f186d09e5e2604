// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM_BIND, second half: page tables follow the tree of mappings, call by call in the order of
 * the calls.
 *
 * Others may wait for the fence of a call with reservations held and for memory, so nothing
 * here allocates, takes a reservation or sleeps on a fence: the fences that a call waits for
 * wake the worker, and what the call needs was set aside.  For the same reason it leaves
 * freeing to quire_vm_tidy().
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "quire_bind.h"
#include "quire_trace.h"

static const char *quire_bind_fence_driver(struct dma_fence *fence)
{
	return DRM_QUIRE_DRIVER_NAME;
}

static const char *quire_bind_fence_timeline(struct dma_fence *fence)
{
	return "quire-vm-bind";
}

static void quire_bind_fence_release(struct dma_fence *fence)
{
	static_assert(offsetof(struct quire_bind_fence, base) == 0);
	dma_fence_free(fence);
	/* As in quire_fence.c: a fence holds the code it calls. */
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops quire_bind_fence_ops = {
	.get_driver_name = quire_bind_fence_driver,
	.get_timeline_name = quire_bind_fence_timeline,
	.release = quire_bind_fence_release,
};

struct quire_bind_job *quire_bind_job_alloc(struct quire_vm *vm)
{
	struct quire_bind_job *job = kzalloc(sizeof(*job), QUIRE_GFP_CALL);

	if (!job)
		return NULL;
	job->vm = quire_vm_get(vm);
	INIT_LIST_HEAD(&job->node);
	INIT_LIST_HEAD(&job->added);
	INIT_LIST_HEAD(&job->removed);
	quire_pool_init(&job->pool);
	return job;
}

int quire_bind_job_prepare(struct quire_bind_job *job)
{
	job->fence = kzalloc(sizeof(*job->fence), QUIRE_GFP_CALL);
	if (!job->fence)
		return -ENOMEM;
	spin_lock_init(&job->fence->lock);
	__module_get(THIS_MODULE);
	/* The number comes with the place in the order, under the lock of the address space. */
	dma_fence_init(&job->fence->base, &quire_bind_fence_ops, &job->fence->lock,
		       job->vm->fence_context, 0);
	return 0;
}

void quire_bind_job_free(struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;
	u32 i;

	/* First: a callback may still look at the job. */
	quire_syncs_put(&job->syncs);
	quire_mmu_unreserve(&vm->mmu, &job->pool);
	for (i = 0; i < job->count; i++) {
		struct quire_bind_op *op = &job->ops[i];

		quire_vm_give_spares(vm, op->spare, ARRAY_SIZE(op->spare));
		if (op->bo)
			drm_gem_object_put(&op->bo->base.base);
		cond_resched();
	}
	if (job->ops != &job->only)
		kvfree(job->ops);
	if (job->fence)
		dma_fence_put(&job->fence->base);
	kfree(job);
	quire_vm_put(vm);
}

void quire_vm_map(struct quire_vm *vm, struct quire_table_pool *pool,
		  struct drm_gpuvm_bo *vm_bo, u64 va, u64 size, u64 bo_offset, u32 flags)
{
	struct quire_bo *bo = to_quire_bo(vm_bo->obj);
	u64 bits = QUIRE_PTE_READ;

	lockdep_assert_held(&vm->mmu.lock);
	if (!(flags & DRM_QUIRE_VM_BIND_READ_ONLY))
		bits |= QUIRE_PTE_WRITE;
	if (!to_quire_vm_bo(vm_bo)->resident)
		/* On its way to another place; the next submission maps it. */
		quire_mmu_unmap(&vm->mmu, pool, va, size);
	else if (bo->base.resource->mem_type == TTM_PL_VRAM)
		quire_mmu_map_card(&vm->mmu, pool, va, size,
				   ((u64)bo->base.resource->start << PAGE_SHIFT) + bo_offset,
				   bits);
	else
		quire_mmu_map_system(&vm->mmu, pool, va, size, quire_bo_segments(bo), bo_offset,
				     bits);
}

/* What page tables show from now on.  A call may end what it has made itself. */
static void quire_bind_show(struct quire_bind_job *job)
{
	struct quire_va *va, *next;

	lockdep_assert_held(&job->vm->mmu.lock);
	list_for_each_entry_safe(va, next, &job->added, added) {
		list_del_init(&va->added);
		list_add(&va->shown, &to_quire_vm_bo(va->base.vm_bo)->shown);
	}
	list_for_each_entry(va, &job->removed, removed) {
		list_del_init(&va->shown);
		cond_resched();
	}
}

void quire_bind_job_run(struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;
	struct quire_ticket ticket;
	struct quire_va *va;
	u32 i;

	mutex_lock(&vm->mmu.lock);
	for (i = 0; i < job->count; i++) {
		struct quire_bind_op *op = &job->ops[i];

		if (op->bo)
			quire_vm_map(vm, &job->pool, op->vm_bo, op->va, op->size, op->bo_offset,
				     op->flags);
		else
			quire_mmu_unmap(&vm->mmu, &job->pool, op->va, op->size);
		cond_resched();
	}
	quire_bind_show(job);
	ticket = quire_mmu_flush(&vm->mmu);
	mutex_unlock(&vm->mmu.lock);

	list_for_each_entry(va, &job->removed, removed) {
		va->ticket = ticket;
		cond_resched();
	}
	spin_lock(&vm->job_lock);
	list_splice_tail_init(&job->removed, &vm->removed);
	spin_unlock(&vm->job_lock);
	trace_quire_bind_run(job);
	if (!job->fence)
		return;
	if (job->error)
		dma_fence_set_error(&job->fence->base, job->error);
	dma_fence_signal(&job->fence->base);
}

/* The work holds the address space until it has run; the caller has a reference, too. */
static void quire_bind_kick(struct quire_vm *vm)
{
	quire_vm_get(vm);
	if (!queue_work(quire_memory_wq, &vm->work))
		quire_vm_put(vm);
}

static void quire_bind_waits_over(struct quire_syncs *syncs)
{
	quire_bind_kick(container_of(syncs, struct quire_bind_job, syncs)->vm);
}

void quire_bind_job_queue(struct quire_bind_job *job)
{
	struct quire_vm *vm = job->vm;

	trace_quire_bind_queued(job);
	quire_syncs_arm(&job->syncs, &vm->waits, quire_bind_waits_over);
	spin_lock(&vm->job_lock);
	list_add_tail(&job->node, &vm->jobs);
	WRITE_ONCE(vm->pending, vm->pending + 1);
	/* Whoever saw its last fence signal may not have found it in the list. */
	if (!quire_syncs_waiting(&job->syncs))
		quire_bind_kick(vm);
	/* From here on the worker may run it, and others free it. */
	spin_unlock(&vm->job_lock);
}

static struct quire_bind_job *quire_bind_next(struct quire_vm *vm)
{
	struct quire_bind_job *job;

	spin_lock(&vm->job_lock);
	job = list_first_entry_or_null(&vm->jobs, struct quire_bind_job, node);
	if (job && !job->error && quire_syncs_waiting(&job->syncs))
		job = NULL;
	spin_unlock(&vm->job_lock);
	return job;
}

void quire_bind_work(struct work_struct *work)
{
	struct quire_vm *vm = container_of(work, struct quire_vm, work);
	struct quire_bind_job *job;
	bool done = false;

	while ((job = quire_bind_next(vm))) {
		bool signalling = dma_fence_begin_signalling();

		quire_bind_job_run(job);
		/* Out of the list only now: an empty list means that none is running. */
		spin_lock(&vm->job_lock);
		list_move_tail(&job->node, &vm->ended);
		/* Pairs with quire_bind_pending(): the page tables before the number. */
		smp_store_release(&vm->pending, vm->pending - 1);
		spin_unlock(&vm->job_lock);
		dma_fence_end_signalling(signalling);
		done = true;
	}
	if (done)
		quire_reach_later(vm);
	quire_vm_put(vm);
}

/* What they wait for may be much: quire_bind_job_free() gives it up. */
void quire_bind_cancel(struct quire_vm *vm)
{
	struct quire_bind_job *job;
	bool given_up = false;

	lockdep_assert_held(&vm->lock);
	spin_lock(&vm->job_lock);
	list_for_each_entry(job, &vm->jobs, node) {
		/* Those that wait for nothing may be running; behind one that waits all do. */
		if (!given_up && !quire_syncs_waiting(&job->syncs))
			continue;
		given_up = true;
		job->error = -ECANCELED;
	}
	if (!list_empty(&vm->jobs))
		quire_bind_kick(vm);
	spin_unlock(&vm->job_lock);
}
