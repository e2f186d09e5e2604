// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers made of a process's own memory.  The kernel may move, share or swap out its pages
 * as ever: before it does, jobs that use them end, page tables forget them, and the card
 * drains.
 */
#include <linux/dma-resv.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "quire_reach.h"
#include "quire_userptr.h"
#include "quire_vm.h"

/* Pages that are taken away again and again while we ask for them. */
#define QUIRE_USERPTR_TRIES_MS 1000

/* The pages go.  May run in memory reclaim. */
static void quire_userptr_drop(struct quire_userptr *userptr)
{
	struct quire_device *qdev = to_quire_device(userptr->bo->base.base.dev);
	struct quire_vm_bo *tie;

	lockdep_assert_held(&userptr->lock);
	/* Pairs with quire_userptr_valid(): who still sees pages comes before us at the locks. */
	smp_store_release(&userptr->valid, false);
	/* A submission that still saw them has put its fence there when its lock is free. */
	list_for_each_entry(tie, &userptr->ties, of_bo) {
		struct quire_vm *vm = to_quire_vm(tie->base.vm);

		down_write(&vm->userptr_lock);
		up_write(&vm->userptr_lock);
	}
	dma_resv_wait_timeout(userptr->bo->base.base.resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	list_for_each_entry(tie, &userptr->ties, of_bo)
		quire_vm_hide_bo(to_quire_vm(tie->base.vm), tie);
	list_for_each_entry(tie, &userptr->ties, of_bo) {
		quire_reach_wait(qdev, tie->ticket, false);
		quire_reach_later(to_quire_vm(tie->base.vm));
	}
	quire_dma_unmap(qdev, &userptr->dma);
}

static bool quire_userptr_invalidate(struct mmu_interval_notifier *notifier,
				     const struct mmu_notifier_range *range, unsigned long sequence)
{
	struct quire_userptr *userptr = container_of(notifier, struct quire_userptr, notifier);

	if (!mmu_notifier_range_blockable(range))
		return false;
	mutex_lock(&userptr->lock);
	mmu_interval_set_seq(notifier, sequence);
	if (userptr->valid)
		quire_userptr_drop(userptr);
	mutex_unlock(&userptr->lock);
	return true;
}

static const struct mmu_interval_notifier_ops quire_userptr_ops = {
	.invalidate = quire_userptr_invalidate,
};

static int quire_userptr_ask(struct quire_userptr *userptr, struct hmm_range *range)
{
	struct mm_struct *mm = userptr->notifier.mm;
	int ret;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	range->notifier_seq = mmu_interval_read_begin(&userptr->notifier);
	ret = mmap_read_lock_killable(mm) ? -ERESTARTSYS : 0;
	if (!ret) {
		ret = hmm_range_fault(range);
		mmap_read_unlock(mm);
	}
	mmput(mm);
	/* No mapping, or not of this kind: for the caller it is one. */
	return ret == -EPERM || ret == -EINVAL ? -EFAULT : ret;
}

/*
 * The array becomes one of pages.  What the card may write is dirty from now on: its writes
 * leave no trace in the process's page tables.
 */
static struct page **quire_userptr_pages(struct quire_userptr *userptr, unsigned long *pfns,
					 unsigned long count)
{
	struct page **pages = (struct page **)pfns;
	unsigned long i;

	for (i = 0; i < count; i++) {
		struct page *page = hmm_pfn_to_page(pfns[i]);

		pages[i] = page;
		/* It may go at this moment; then we are told, and begin again. */
		if (!userptr->bo->read_only && get_page_unless_zero(page)) {
			set_page_dirty_lock(page);
			put_page(page);
		}
	}
	return pages;
}

/* -EAGAIN: pages have gone meanwhile. */
static int quire_userptr_take(struct quire_userptr *userptr, unsigned long *pfns,
			      unsigned long count, unsigned long sequence)
{
	struct quire_device *qdev = to_quire_device(userptr->bo->base.base.dev);
	struct quire_dma dma = {};
	int ret;

	ret = quire_dma_map(qdev, &dma, quire_userptr_pages(userptr, pfns, count), count,
			    userptr->bo->read_only ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL);
	if (ret)
		return ret;
	mutex_lock(&userptr->lock);
	if (mmu_interval_read_retry(&userptr->notifier, sequence)) {
		ret = -EAGAIN;
	} else {
		quire_dma_move(qdev, &userptr->dma, &dma);
		/* Pairs with quire_userptr_valid(): the pages before the mark. */
		smp_store_release(&userptr->valid, true);
	}
	mutex_unlock(&userptr->lock);
	if (ret)
		quire_dma_unmap(qdev, &dma);
	return ret;
}

static int quire_userptr_try(struct quire_userptr *userptr, struct hmm_range *range,
			     unsigned long count)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(QUIRE_USERPTR_TRIES_MS);
	int ret;

	do {
		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
		memset(range->hmm_pfns, 0, count * sizeof(*range->hmm_pfns));
		ret = quire_userptr_ask(userptr, range);
		if (!ret)
			ret = quire_userptr_take(userptr, range->hmm_pfns, count,
						 range->notifier_seq);
	} while ((ret == -EBUSY || ret == -EAGAIN) && time_before(jiffies, deadline));
	/* The process works on them all the time. */
	return ret == -EBUSY || ret == -EAGAIN ? -ERESTARTSYS : ret;
}

int quire_userptr_fault(struct quire_userptr *userptr)
{
	unsigned long count = userptr->bo->base.base.size >> PAGE_SHIFT;
	struct hmm_range range = {
		.notifier = &userptr->notifier,
		.start = userptr->notifier.interval_tree.start,
		.end = userptr->notifier.interval_tree.last + 1,
		.default_flags = HMM_PFN_REQ_FAULT |
				 (userptr->bo->read_only ? 0 : HMM_PFN_REQ_WRITE),
	};
	int ret = 0;

	range.hmm_pfns = kvmalloc_array(count, sizeof(*range.hmm_pfns), GFP_KERNEL_ACCOUNT);
	if (!range.hmm_pfns)
		return -ENOMEM;
	mutex_lock(&userptr->faulting);
	if (!quire_userptr_valid(userptr))
		ret = quire_userptr_try(userptr, &range, count);
	WRITE_ONCE(userptr->absent, ret == -EFAULT);
	mutex_unlock(&userptr->faulting);
	kvfree(range.hmm_pfns);
	return ret;
}

void quire_userptr_tie(struct quire_userptr *userptr, struct quire_vm_bo *tie)
{
	struct quire_vm *vm = to_quire_vm(tie->base.vm);

	dma_resv_assert_held(userptr->bo->base.base.resv);
	drm_gpuvm_resv_assert_held(&vm->base);
	if (!list_empty(&tie->of_bo))
		return;
	mutex_lock(&userptr->lock);
	list_add(&tie->of_bo, &userptr->ties);
	mutex_unlock(&userptr->lock);
	spin_lock(&vm->job_lock);
	list_add(&tie->of_vm, &vm->userptrs);
	spin_unlock(&vm->job_lock);
}

void quire_userptr_untie(struct quire_userptr *userptr, struct quire_vm_bo *tie)
{
	struct quire_vm *vm = to_quire_vm(tie->base.vm);

	mutex_lock(&userptr->lock);
	list_del_init(&tie->of_bo);
	mutex_unlock(&userptr->lock);
	spin_lock(&vm->job_lock);
	list_del_init(&tie->of_vm);
	spin_unlock(&vm->job_lock);
}

int quire_userptr_attach(struct quire_bo *bo, u64 address)
{
	struct quire_userptr *userptr = kzalloc(sizeof(*userptr), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!userptr)
		return -ENOMEM;
	userptr->bo = bo;
	mutex_init(&userptr->faulting);
	mutex_init(&userptr->lock);
	INIT_LIST_HEAD(&userptr->ties);
	ret = mmu_interval_notifier_insert(&userptr->notifier, current->mm, address,
					   bo->base.base.size, &quire_userptr_ops);
	if (ret) {
		kfree(userptr);
		return ret;
	}
	bo->userptr = userptr;
	return quire_userptr_fault(userptr);
}

void quire_userptr_detach(struct quire_bo *bo)
{
	struct quire_userptr *userptr = bo->userptr;

	/* From here on nobody tells us; the buffer is in no address space any more. */
	mmu_interval_notifier_remove(&userptr->notifier);
	WARN_ON(!list_empty(&userptr->ties));
	if (userptr->valid)
		quire_dma_unmap(to_quire_device(bo->base.base.dev), &userptr->dma);
	mutex_destroy(&userptr->lock);
	mutex_destroy(&userptr->faulting);
	kfree(userptr);
}
