// SPDX-License-Identifier: GPL-2.0-only
/* Address spaces: their life, and what submission needs of them. */
#include <linux/list_sort.h>
#include <linux/slab.h>

#include "quire_bind.h"
#include "quire_dmabuf.h"
#include "quire_resv.h"
#include "quire_room.h"
#include "quire_userptr.h"

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
	int ret = quire_restart(mutex_lock_interruptible(&vm->lock));

	if (ret)
		return ret;
	if (vm->closed)
		ret = -ENOENT;
	else
		atomic_inc(&vm->queues);
	mutex_unlock(&vm->lock);
	return ret;
}

/* Without its lock, which a VM_BIND may have that waits for another card's jobs. */
void quire_vm_detach_queue(struct quire_vm *vm)
{
	atomic_dec(&vm->queues);
}

void quire_vm_add_fence(struct quire_vm *vm, struct drm_exec *exec, struct dma_fence *fence)
{
	/* Synchronisation is explicit: the fence only keeps buffers in their place. */
	drm_gpuvm_resv_add_fence(&vm->base, exec, fence, DMA_RESV_USAGE_BOOKKEEP,
				 DMA_RESV_USAGE_BOOKKEEP);
}

int quire_vm_take_spares(struct quire_vm *vm, struct quire_va **va, unsigned int count)
{
	unsigned int i = 0;

	spin_lock(&vm->job_lock);
	while (i < count && vm->spare_count)
		va[i++] = vm->spare[--vm->spare_count];
	spin_unlock(&vm->job_lock);
	for (; i < count; i++) {
		va[i] = kzalloc(sizeof(**va), QUIRE_GFP_CALL);
		if (!va[i])
			return -ENOMEM;
	}
	return 0;
}

void quire_vm_give_spares(struct quire_vm *vm, struct quire_va **va, unsigned int count)
{
	unsigned int i;

	spin_lock(&vm->job_lock);
	for (i = 0; i < count && vm->spare_count < ARRAY_SIZE(vm->spare); i++)
		if (va[i])
			vm->spare[vm->spare_count++] = va[i];
	spin_unlock(&vm->job_lock);
	for (; i < count; i++)
		kfree(va[i]);
}

static void quire_vm_free(struct drm_gpuvm *gpuvm)
{
	struct quire_vm *vm = to_quire_vm(gpuvm);
	struct quire_device *qdev = vm->qdev;

	while (vm->spare_count)
		kfree(vm->spare[--vm->spare_count]);
	quire_mmu_fini(&vm->mmu);
	quire_hold_fini(&vm->hold);
	mutex_destroy(&vm->lock);
	kfree(vm);
	drm_dev_put(&qdev->drm);
}

static struct drm_gpuvm_bo *quire_vm_bo_alloc(void)
{
	struct quire_vm_bo *tie = kzalloc(sizeof(*tie), QUIRE_GFP_CALL);

	if (!tie)
		return NULL;
	tie->ticket = QUIRE_TICKET_OVER;
	INIT_LIST_HEAD(&tie->shown);
	INIT_LIST_HEAD(&tie->of_bo);
	INIT_LIST_HEAD(&tie->of_vm);
	return &tie->base;
}

static void quire_vm_bo_free(struct drm_gpuvm_bo *vm_bo)
{
	struct quire_bo *bo = to_quire_bo(vm_bo->obj);

	if (bo->userptr)
		quire_userptr_untie(bo->userptr, to_quire_vm_bo(vm_bo));
	if (bo->import)
		quire_import_idle(bo);
	kfree(to_quire_vm_bo(vm_bo));
}

static int quire_vm_compare(void *priv, const struct list_head *a, const struct list_head *b)
{
	const struct quire_va *first = list_entry(a, struct quire_va, shown);
	const struct quire_va *second = list_entry(b, struct quire_va, shown);

	cond_resched();
	return first->base.va.addr > second->base.va.addr;
}

/*
 * Tables for what page tables show of a buffer; false if the pool has too few.  By address: in
 * another order each mapping would count tables of its own.
 */
static bool quire_vm_plan_bo(struct quire_vm_bo *tie, const struct quire_table_pool *pool,
			     struct quire_table_plan *plan)
{
	struct quire_va *va;

	lockdep_assert_held(&to_quire_vm(tie->base.vm)->mmu.lock);
	memset(plan, 0, sizeof(*plan));
	list_sort(NULL, &tie->shown, quire_vm_compare);
	list_for_each_entry(va, &tie->shown, shown) {
		quire_plan_add(plan, va->base.va.addr, va->base.va.range, true);
		cond_resched();
	}
	return pool->leaf_count >= plan->leaves && pool->directory_count >= plan->directories;
}

bool quire_vm_show_bo(struct quire_vm_bo *tie, struct quire_table_pool *pool,
		      struct quire_table_plan *plan)
{
	struct quire_vm *vm = to_quire_vm(tie->base.vm);
	struct quire_va *va;

	lockdep_assert_held(&vm->mmu.lock);
	if (!quire_vm_plan_bo(tie, pool, plan))
		return false;
	WRITE_ONCE(tie->resident, true);
	list_for_each_entry(va, &tie->shown, shown) {
		quire_vm_map(vm, pool, &tie->base, va->base.va.addr, va->base.va.range,
			     va->base.gem.offset, va->flags);
		cond_resched();
	}
	quire_mmu_flush(&vm->mmu);
	return true;
}

int quire_vm_remember_bo(struct quire_vm *vm, struct drm_gpuvm_bo *vm_bo)
{
	struct quire_vm_bo *tie = to_quire_vm_bo(vm_bo);
	struct quire_table_plan plan;
	struct quire_table_pool pool;
	int ret = 0;

	dma_resv_assert_held(vm_bo->obj->resv);
	quire_pool_init(&pool);
	mutex_lock(&vm->mmu.lock);
	/*
	 * A process's pages may have gone again: whoever took them waits for our lock.  Calls that
	 * are applied meanwhile may show more than there are tables for.
	 */
	while (!ret && quire_bo_resident(to_quire_bo(vm_bo->obj)) &&
	       !quire_vm_show_bo(tie, &pool, &plan)) {
		mutex_unlock(&vm->mmu.lock);
		/* In a full group the look for room takes away what has just come back. */
		if (!to_quire_bo(vm_bo->obj)->userptr)
			ret = quire_room_check_work(quire_plan_bytes(&plan));
		if (!ret)
			ret = quire_mmu_reserve(&vm->mmu, &pool, &plan);
		mutex_lock(&vm->mmu.lock);
	}
	if (tie->resident)
		vm_bo->evicted = false;
	mutex_unlock(&vm->mmu.lock);
	quire_mmu_unreserve(&vm->mmu, &pool);
	return ret;
}

/* Called by drm_gpuvm for a buffer that has left its place, reservations held. */
static int quire_vm_bo_validate(struct drm_gpuvm_bo *vm_bo, struct drm_exec *exec)
{
	struct quire_bo *bo = to_quire_bo(vm_bo->obj);
	int ret = quire_bo_make_resident(bo);

	return ret ?: quire_vm_remember_bo(to_quire_vm(vm_bo->vm), vm_bo);
}

struct quire_ticket quire_vm_hide_bo(struct quire_vm *vm, struct quire_vm_bo *tie)
{
	struct quire_ticket ticket;
	struct quire_va *va;

	mutex_lock(&vm->mmu.lock);
	if (tie->resident) {
		list_for_each_entry(va, &tie->shown, shown) {
			quire_mmu_unmap(&vm->mmu, NULL, va->base.va.addr, va->base.va.range);
			cond_resched();
		}
	}
	WRITE_ONCE(tie->resident, false);
	/* Mappings that ended before may not be drained either. */
	ticket = quire_mmu_flush(&vm->mmu);
	tie->ticket = ticket;
	mutex_unlock(&vm->mmu.lock);
	return ticket;
}

int quire_vm_forget_bo(struct quire_bo *bo, bool interruptible, bool no_wait)
{
	struct drm_gem_object *object = &bo->base.base;
	struct drm_gpuvm_bo *vm_bo;
	int ret = 0;

	dma_resv_assert_held(object->resv);
	drm_gem_for_each_gpuvm_bo(vm_bo, object) {
		drm_gpuvm_bo_evict(vm_bo, true);
		quire_vm_hide_bo(to_quire_vm(vm_bo->vm), to_quire_vm_bo(vm_bo));
	}
	drm_gem_for_each_gpuvm_bo(vm_bo, object) {
		struct quire_ticket ticket = to_quire_vm_bo(vm_bo)->ticket;
		struct quire_vm *vm = to_quire_vm(vm_bo->vm);

		if (no_wait)
			ret = quire_reach_over(vm->qdev, ticket) ? 0 : -EBUSY;
		else
			ret = quire_reach_wait(vm->qdev, ticket, interruptible);
		/* Its tables, too, can be given back. */
		quire_reach_later(vm);
		if (ret)
			break;
	}
	return ret;
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
	return ret ?: quire_vm_remember_userptrs(vm);
}

/* Both reservations are tried, not taken: whoever holds one may wait for fences. */
static bool quire_vm_unlink(struct quire_vm *vm, struct quire_va *va)
{
	struct dma_resv *resv = drm_gpuvm_resv(&vm->base);
	struct drm_gem_object *object = va->base.gem.obj;

	if (!dma_resv_trylock(resv))
		return false;
	if (object->resv != resv && !dma_resv_trylock(object->resv)) {
		dma_resv_unlock(resv);
		return false;
	}
	/* The last mapping unties the buffer, which may have been all that held it. */
	drm_gem_object_get(object);
	drm_gpuva_unlink(&va->base);
	if (object->resv != resv)
		dma_resv_unlock(object->resv);
	dma_resv_unlock(resv);
	drm_gem_object_put(object);
	memset(va, 0, sizeof(*va));
	quire_vm_give_spares(vm, &va, 1);
	return true;
}

/* The oldest mapping that has ended, out of the list, or NULL. */
static struct quire_va *quire_vm_next_removed(struct quire_vm *vm)
{
	struct quire_va *va;

	/* Whoever adds to it looks again. */
	if (list_empty_careful(&vm->removed))
		return NULL;
	spin_lock(&vm->job_lock);
	va = list_first_entry_or_null(&vm->removed, struct quire_va, removed);
	if (va)
		list_del_init(&va->removed);
	spin_unlock(&vm->job_lock);
	return va;
}

/*
 * Mappings that have ended and that the card does not reach any more; true if some are left.  One
 * whose buffer somebody else has the reservation of, maybe for as long as jobs run, keeps none of
 * the others.
 */
static bool quire_vm_untie(struct quire_vm *vm, struct quire_ticket *oldest)
{
	struct quire_va *va;
	LIST_HEAD(kept);
	bool left;

	while ((va = quire_vm_next_removed(vm))) {
		bool over = quire_reach_over(vm->qdev, va->ticket);

		if (!over && time_before(va->ticket.since, oldest->since))
			*oldest = va->ticket;
		if (!over || !quire_vm_unlink(vm, va))
			list_add_tail(&va->removed, &kept);
		if (!over || dma_resv_is_locked(drm_gpuvm_resv(&vm->base)))
			break;
		cond_resched();
	}
	if (list_empty(&kept))
		return !list_empty_careful(&vm->removed);
	spin_lock(&vm->job_lock);
	list_splice(&kept, &vm->removed);
	left = !list_empty(&vm->removed);
	spin_unlock(&vm->job_lock);
	return left;
}

bool quire_vm_tidy(struct quire_vm *vm, struct quire_ticket *oldest)
{
	struct quire_bind_job *job, *next;
	LIST_HEAD(ended);
	bool left;

	if (!list_empty_careful(&vm->ended)) {
		spin_lock(&vm->job_lock);
		list_splice_init(&vm->ended, &ended);
		spin_unlock(&vm->job_lock);
	}
	list_for_each_entry_safe(job, next, &ended, node)
		quire_bind_job_free(job);
	left = quire_vm_untie(vm, oldest);
	if (quire_mmu_tidy(&vm->mmu, oldest))
		left = true;
	return left;
}

static const struct drm_gpuvm_ops quire_vm_ops = {
	.vm_free = quire_vm_free,
	.vm_bo_alloc = quire_vm_bo_alloc,
	.vm_bo_free = quire_vm_bo_free,
	.vm_bo_validate = quire_vm_bo_validate,
	.sm_step_map = quire_bind_step_map,
	.sm_step_remap = quire_bind_step_remap,
	.sm_step_unmap = quire_bind_step_unmap,
};

struct quire_vm *quire_vm_new(struct quire_device *qdev)
{
	struct drm_gem_object *resv_object;
	struct quire_vm *vm;
	int ret;

	vm = kzalloc(sizeof(*vm), QUIRE_GFP_CALL);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->qdev = qdev;
	ret = quire_hold_init(&vm->hold);
	if (ret)
		goto err_vm;
	ret = quire_mmu_init(&vm->mmu, qdev);
	if (ret)
		goto err_hold;
	resv_object = quire_resv_new(qdev);
	if (!resv_object) {
		ret = -ENOMEM;
		goto err_mmu;
	}
	mutex_init(&vm->lock);
	spin_lock_init(&vm->job_lock);
	quire_waits_init(&vm->waits);
	INIT_LIST_HEAD(&vm->jobs);
	INIT_LIST_HEAD(&vm->ended);
	INIT_LIST_HEAD(&vm->removed);
	INIT_LIST_HEAD(&vm->userptrs);
	init_rwsem(&vm->userptr_lock);
	INIT_LIST_HEAD(&vm->late);
	INIT_WORK(&vm->work, quire_bind_work);
	INIT_WORK(&vm->tidy, quire_reach_tidy_work);
	INIT_LIST_HEAD(&vm->open);
	vm->fence_context = dma_fence_context_alloc(1);
	drm_dev_get(&qdev->drm);
	drm_gpuvm_init(&vm->base, "quire-vm", DRM_GPUVM_RESV_PROTECTED, &qdev->drm, resv_object,
		       QUIRE_VA_START, QUIRE_VA_END - QUIRE_VA_START, 0, 0, &quire_vm_ops);
	/* drm_gpuvm_init() took a reference of its own. */
	drm_gem_object_put(resv_object);
	return vm;

err_mmu:
	quire_mmu_fini(&vm->mmu);
err_hold:
	quire_hold_fini(&vm->hold);
err_vm:
	kfree(vm);
	return ERR_PTR(ret);
}

/* All mappings end, as by a last call.  No VM_BIND follows, and none is under way. */
static void quire_vm_clear(struct quire_vm *vm)
{
	struct drm_gpuva *base, *next;
	struct quire_ticket ticket;
	struct quire_va *va;
	LIST_HEAD(removed);

	mutex_lock(&vm->lock);
	drm_gpuvm_for_each_va_safe(base, next, &vm->base) {
		drm_gpuva_remove(base);
		list_add_tail(&to_quire_va(base)->removed, &removed);
		cond_resched();
	}
	mutex_lock(&vm->mmu.lock);
	list_for_each_entry(va, &removed, removed) {
		list_del_init(&va->shown);
		cond_resched();
	}
	quire_mmu_unmap(&vm->mmu, NULL, QUIRE_VA_START, QUIRE_VA_END - QUIRE_VA_START);
	ticket = quire_mmu_flush(&vm->mmu);
	mutex_unlock(&vm->mmu.lock);
	mutex_unlock(&vm->lock);

	list_for_each_entry(va, &removed, removed) {
		va->ticket = ticket;
		cond_resched();
	}
	spin_lock(&vm->job_lock);
	list_splice_tail(&removed, &vm->removed);
	spin_unlock(&vm->job_lock);
}

/* The file's reference ends; queues, and what the card may still reach, may hold others. */
static void quire_vm_close(struct quire_vm *vm)
{
	struct quire_ticket oldest = { .context = QUIRE_NO_CONTEXT, .since = jiffies };

	mutex_lock(&vm->lock);
	vm->closed = true;
	quire_bind_cancel(vm);
	mutex_unlock(&vm->lock);
	flush_work(&vm->work);
	quire_vm_clear(vm);
	if (quire_vm_tidy(vm, &oldest))
		quire_reach_later(vm);
	quire_vm_put(vm);
}

void quire_vm_close_file(struct quire_file *qfile)
{
	struct quire_vm *vm;
	unsigned long id;

	xa_for_each(&qfile->vms, id, vm)
		quire_vm_close(vm);
	xa_destroy(&qfile->vms);
}

int quire_vm_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct quire_device *qdev = to_quire_device(drm);
	struct quire_file *qfile = file->driver_priv;
	struct drm_quire_vm_create *args = data;
	struct quire_vm *vm;
	int ret;

	if (args->flags)
		return quire_inval(drm, "vm_create.flags %#x must be 0", args->flags);
	if (drm_dev_is_unplugged(drm))
		return -ENODEV;
	ret = quire_room_check(0);
	if (ret)
		return ret;
	if (!atomic_add_unless(&qfile->vm_count, 1, DRM_QUIRE_FILE_MAX_VMS))
		return -EMFILE;
	vm = quire_vm_new(qdev);
	ret = PTR_ERR_OR_ZERO(vm);
	if (!ret) {
		ret = xa_alloc(&qfile->vms, &args->vm_id, vm, QUIRE_ID_LIMIT, QUIRE_GFP_CALL);
		if (ret)
			quire_vm_put(vm);
	}
	if (ret)
		atomic_dec(&qfile->vm_count);
	return ret;
}

int quire_vm_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct quire_file *qfile = file->driver_priv;
	struct drm_quire_vm_destroy *args = data;
	struct quire_vm *vm;
	u32 queues;
	int ret;

	if (args->pad)
		return quire_inval(drm, "vm_destroy.pad %#x must be 0", args->pad);
	vm = quire_vm_lookup(qfile, args->vm_id);
	if (!vm)
		return -ENOENT;
	ret = quire_restart(mutex_lock_interruptible(&vm->lock));
	if (ret)
		goto out;
	queues = atomic_read(&vm->queues);
	if (vm->closed) {
		ret = -ENOENT;
	} else if (queues) {
		drm_dbg(drm, "vm_destroy: vm_id %u has %u queues\n", args->vm_id, queues);
		ret = -EBUSY;
	} else {
		vm->closed = true;
		xa_erase(&qfile->vms, args->vm_id);
		atomic_dec(&qfile->vm_count);
	}
	mutex_unlock(&vm->lock);
	if (!ret)
		quire_vm_close(vm);
out:
	quire_vm_put(vm);
	return ret;
}
