// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of processes in an address space: what has gone is asked for again, for a submission or
 * for jobs that rest meanwhile (quire_hold.c), and no job begins without it.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "quire_hold.h"
#include "quire_userptr.h"
#include "quire_vm.h"

/* Page tables show the pages there are, and these stay: looked at in this order. */
static bool quire_vm_shows(struct quire_vm_bo *tie)
{
	/*
	 * Valid pages go after whoever holds userptr_lock; so what is read then is not what was
	 * so before others had brought them back.
	 */
	return quire_userptr_valid(to_quire_bo(tie->base.obj)->userptr) &&
	       READ_ONCE(tie->resident);
}

static unsigned long quire_vm_count_absent(struct quire_vm *vm)
{
	struct quire_vm_bo *tie;
	unsigned long count = 0;

	if (list_empty_careful(&vm->userptrs))
		return 0;
	spin_lock(&vm->job_lock);
	list_for_each_entry(tie, &vm->userptrs, of_vm)
		count += !quire_vm_shows(tie);
	spin_unlock(&vm->job_lock);
	return count;
}

/*
 * Buffers that jobs do not find where they are, with references: NULL, or -ENOMEM.  Those that come
 * while we look are for another pass.
 */
static struct quire_bo **quire_vm_get_absent(struct quire_vm *vm, unsigned long *count)
{
	unsigned long room = quire_vm_count_absent(vm);
	struct quire_vm_bo *tie;
	struct quire_bo **bos;

	*count = 0;
	if (!room)
		return NULL;
	bos = kvmalloc_array(room, sizeof(*bos), QUIRE_GFP_CALL);
	if (!bos)
		return ERR_PTR(-ENOMEM);
	spin_lock(&vm->job_lock);
	list_for_each_entry(tie, &vm->userptrs, of_vm) {
		if (*count == room)
			break;
		if (quire_vm_shows(tie))
			continue;
		drm_gem_object_get(tie->base.obj);
		bos[(*count)++] = to_quire_bo(tie->base.obj);
	}
	spin_unlock(&vm->job_lock);
	return bos;
}

static void quire_vm_put_absent(struct quire_bo **bos, unsigned long count)
{
	while (count--) {
		drm_gem_object_put(&bos[count]->base.base);
		cond_resched();
	}
	kvfree(bos);
}

int quire_vm_fault_userptrs(struct quire_vm *vm)
{
	unsigned long count;
	struct quire_bo **bos = quire_vm_get_absent(vm, &count);
	int ret = 0;

	if (IS_ERR(bos))
		return PTR_ERR(bos);
	for (unsigned long i = 0; i < count && !ret; i++) {
		ret = quire_userptr_fault(bos[i]->userptr);
		/* What the process has unmapped stays unmapped for jobs, too. */
		if (ret == -EFAULT)
			ret = 0;
		cond_resched();
	}
	quire_vm_put_absent(bos, count);
	return ret;
}

/* Each as soon as its pages have come: another may take longer than there is time. */
int quire_vm_restore_userptrs(struct quire_vm *vm)
{
	unsigned long count;
	struct quire_bo **bos = quire_vm_get_absent(vm, &count);
	int one, ret = 0;

	if (IS_ERR(bos))
		return PTR_ERR(bos);
	for (unsigned long i = 0; i < count; i++) {
		if (!quire_hold_active(&vm->hold) || quire_hold_frozen(vm->qdev->queues)) {
			ret = -EAGAIN;
			break;
		}
		one = quire_userptr_restore(bos[i]->userptr, vm);
		if (one && one != -EFAULT)
			ret = one;
		cond_resched();
	}
	quire_vm_put_absent(bos, count);
	return ret;
}

int quire_vm_remember_userptrs(struct quire_vm *vm)
{
	struct quire_vm_bo *tie;
	int ret = 0;

	/* It keeps the list as it is. */
	drm_gpuvm_resv_assert_held(&vm->base);
	list_for_each_entry(tie, &vm->userptrs, of_vm) {
		struct quire_bo *bo = to_quire_bo(tie->base.obj);
		struct mem_cgroup *before;

		if (READ_ONCE(tie->resident) || !quire_bo_resident(bo))
			continue;
		before = set_active_memcg(bo->memcg);
		ret = quire_vm_remember_bo(vm, &tie->base);
		set_active_memcg(before);
		if (ret)
			break;
	}
	return ret;
}

int quire_vm_begin_submit(struct quire_vm *vm)
{
	struct quire_vm_bo *tie;
	int ret = 0;

	down_read(&vm->userptr_lock);
	if (list_empty_careful(&vm->userptrs))
		return 0;
	spin_lock(&vm->job_lock);
	list_for_each_entry(tie, &vm->userptrs, of_vm) {
		if (!quire_vm_shows(tie) &&
		    !READ_ONCE(to_quire_bo(tie->base.obj)->userptr->absent)) {
			ret = -EAGAIN;
			break;
		}
	}
	spin_unlock(&vm->job_lock);
	if (ret)
		up_read(&vm->userptr_lock);
	return ret;
}

void quire_vm_end_submit(struct quire_vm *vm)
{
	up_read(&vm->userptr_lock);
}
