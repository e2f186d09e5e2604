// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers made of a process's own memory.  The kernel may move, share or swap out its pages
 * as ever: before it does, jobs that use them come to rest, page tables forget them, and the
 * card drains.
 */
#include <linux/dma-resv.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "quire_hold.h"
#include "quire_queue.h"
#include "quire_reach.h"
#include "quire_userptr.h"
#include "quire_vm.h"

/* Pages that are taken away again and again while we ask for them. */
#define QUIRE_USERPTR_TRIES_MS 1000
/* Pages that are asked for between two looks whether to go on. */
#define QUIRE_USERPTR_PIECE 512ul

struct workqueue_struct *quire_userptr_wq;

/* Pages that follow each other, each folio once. */
static void quire_userptr_mark_pages(struct page *page, unsigned long count)
{
	while (count) {
		struct folio *folio = page_folio(page);
		unsigned long end = folio_pfn(folio) + folio_nr_pages(folio);
		unsigned long here = min(end - page_to_pfn(page), count);

		folio_mark_dirty(folio);
		page += here;
		count -= here;
	}
}

/*
 * What the card may have written is dirty: its writes leave no trace in page tables.  The pages
 * are mapped still, or whoever takes them away waits for us: so they are nobody else's, and
 * their own lock, which he may hold, is not needed.
 */
static void quire_userptr_mark(struct quire_userptr *userptr)
{
	struct scatterlist *sg;
	unsigned int i;

	lockdep_assert_held(&userptr->lock);
	if (userptr->bo->read_only)
		return;
	for_each_sgtable_sg(&userptr->dma.sgt, sg, i) {
		quire_userptr_mark_pages(sg_page(sg), sg->length >> PAGE_SHIFT);
		cond_resched();
	}
}

static void quire_userptr_release_pages(struct quire_userptr *userptr)
{
	quire_userptr_mark(userptr);
	quire_dma_unmap(to_quire_device(userptr->bo->base.base.dev), &userptr->dma);
}

/* A submission that still saw the pages has put its fence when the lock is free. */
static void quire_userptr_pass_submissions(struct quire_userptr *userptr)
{
	struct quire_vm_bo *tie;

	mutex_lock(&userptr->ties_lock);
	list_for_each_entry(tie, &userptr->ties, of_bo) {
		struct quire_vm *vm = to_quire_vm(tie->base.vm);

		down_write(&vm->userptr_lock);
		up_write(&vm->userptr_lock);
	}
	mutex_unlock(&userptr->ties_lock);
}

static void quire_userptr_hide(struct quire_userptr *userptr)
{
	struct quire_vm_bo *tie;

	mutex_lock(&userptr->ties_lock);
	list_for_each_entry(tie, &userptr->ties, of_bo) {
		struct quire_vm *vm = to_quire_vm(tie->base.vm);

		quire_vm_hide_bo(vm, tie);
		quire_reach_later(vm);
		/* Jobs that have no ring ask for it before they get one. */
		if (!READ_ONCE(userptr->over))
			WRITE_ONCE(vm->hold.due, true);
	}
	mutex_unlock(&userptr->ties_lock);
}

/* False: no address space has mappings of the pages that the card has not drained. */
static bool quire_userptr_next_ticket(struct quire_userptr *userptr, struct quire_ticket *ticket)
{
	struct quire_device *qdev = to_quire_device(userptr->bo->base.base.dev);
	struct quire_vm_bo *tie;
	bool found = false;

	mutex_lock(&userptr->ties_lock);
	list_for_each_entry(tie, &userptr->ties, of_bo) {
		found = !quire_reach_over(qdev, tie->ticket);
		if (found) {
			*ticket = tie->ticket;
			break;
		}
	}
	mutex_unlock(&userptr->ties_lock);
	return found;
}

/*
 * The pages go.  May run in memory reclaim.  An address space that is untied meanwhile has been
 * drained before; one that is tied sees that there are no pages.
 */
static void quire_userptr_drop(struct quire_userptr *userptr, const struct quire_taking *taking)
{
	struct quire_device *qdev = to_quire_device(userptr->bo->base.base.dev);
	struct quire_ticket ticket;

	lockdep_assert_held(&userptr->lock);
	quire_userptr_hide(userptr);
	while (quire_userptr_next_ticket(userptr, &ticket))
		quire_reach_wait_for(qdev, ticket, taking->patience ?: HZ);
	quire_userptr_release_pages(userptr);
	userptr->mapped = false;
}

/* What the process unmaps, or has when it ends, is not asked for again: jobs that use it fault. */
static bool quire_userptr_is_over(const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_UNMAP || range->event == MMU_NOTIFY_RELEASE;
}

/* True if there are pages, which no submission counts on from here on. */
static bool quire_userptr_begin_drop(struct quire_userptr *userptr,
				     const struct mmu_notifier_range *range, unsigned long sequence)
{
	bool mapped;

	mutex_lock(&userptr->lock);
	mmu_interval_set_seq(&userptr->notifier, sequence);
	if (quire_userptr_is_over(range))
		WRITE_ONCE(userptr->over, true);
	mapped = userptr->mapped;
	if (mapped) {
		/* Pairs with quire_userptr_valid(): who sees pages has the locks before us. */
		smp_store_release(&userptr->valid, false);
		quire_userptr_pass_submissions(userptr);
	}
	mutex_unlock(&userptr->lock);
	return mapped;
}

static bool quire_userptr_is_tied(struct quire_userptr *userptr)
{
	bool tied;

	mutex_lock(&userptr->ties_lock);
	tied = !list_empty(&userptr->ties);
	mutex_unlock(&userptr->ties_lock);
	return tied;
}

/*
 * Jobs that may use the pages come to rest, and go on when there are pages again; what the process
 * has unmapped, or had when it ended, does not come, and they go on without.  Returns with the
 * lock, at a moment when they rest.
 */
static void quire_userptr_rest_jobs(struct quire_userptr *userptr, struct quire_taking *taking)
{
	bool tied;

	for (;;) {
		/* A buffer of no address space may be all there is of a card that has gone. */
		tied = quire_userptr_is_tied(userptr);
		if (tied)
			quire_hold_take(taking);
		mutex_lock(&userptr->lock);
		if (!tied || !userptr->mapped || quire_hold_taken(taking))
			return;
		mutex_unlock(&userptr->lock);
	}
}

/* Calls that have no lock but the process's mappings, or its end: nobody else waits for us. */
static bool quire_userptr_is_own(const struct mmu_notifier_range *range)
{
	return quire_userptr_is_over(range) || range->event == MMU_NOTIFY_PROTECTION_VMA;
}

/* There may be several at a time. */
static bool quire_userptr_invalidate(struct mmu_interval_notifier *notifier,
				     const struct mmu_notifier_range *range, unsigned long sequence)
{
	struct quire_userptr *userptr = container_of(notifier, struct quire_userptr, notifier);
	struct quire_taking taking = {
		.qdev = to_quire_device(userptr->bo->base.base.dev),
		.mm = notifier->mm,
		.own = quire_userptr_is_own(range),
		.begun = jiffies,
	};

	if (!mmu_notifier_range_blockable(range))
		return false;
	if (!quire_userptr_begin_drop(userptr, range, sequence))
		return true;
	INIT_LIST_HEAD(&taking.node);
	quire_userptr_rest_jobs(userptr, &taking);
	/* None come before the last of us has returned. */
	if (userptr->mapped)
		quire_userptr_drop(userptr, &taking);
	mutex_unlock(&userptr->lock);
	quire_hold_give(&taking);
	return true;
}

static const struct mmu_interval_notifier_ops quire_userptr_ops = {
	.invalidate = quire_userptr_invalidate,
};

/*
 * Whether to go on: 0, or who is killed does not wait for the rest (-ERESTARTSYS), and whoever asks
 * for @vm, whose jobs rest, does so only as long as they do, and its process is not frozen
 * (-EAGAIN).
 */
static int quire_userptr_may_ask(struct quire_vm *vm)
{
	if (!vm)
		return fatal_signal_pending(current) ? -ERESTARTSYS : 0;
	return quire_hold_active(&vm->hold) && !quire_hold_frozen(vm->qdev->queues) ? 0 : -EAGAIN;
}

static int quire_userptr_ask_pieces(const struct hmm_range *range, struct quire_vm *vm)
{
	struct hmm_range piece = *range;
	int ret = 0;

	for (; !ret && piece.start < range->end; piece.start = piece.end) {
		ret = quire_userptr_may_ask(vm);
		if (ret)
			break;
		piece.end = min(piece.start + QUIRE_USERPTR_PIECE * PAGE_SIZE, range->end);
		piece.hmm_pfns = range->hmm_pfns + ((piece.start - range->start) >> PAGE_SHIFT);
		ret = hmm_range_fault(&piece);
	}
	return ret;
}

static int quire_userptr_ask(struct quire_userptr *userptr, struct hmm_range *range,
			     struct quire_vm *vm)
{
	struct mm_struct *mm = userptr->notifier.mm;
	int ret;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	range->notifier_seq = mmu_interval_read_begin(&userptr->notifier);
	ret = mmap_read_lock_killable(mm) ? -ERESTARTSYS : 0;
	if (!ret) {
		ret = quire_userptr_ask_pieces(range, vm);
		mmap_read_unlock(mm);
	}
	mmput(mm);
	/* No mapping, or not of this kind: for the caller it is one. */
	return ret == -EPERM || ret == -EINVAL ? -EFAULT : ret;
}

/* The array becomes one of pages. */
static struct page **quire_userptr_pages(unsigned long *pfns, unsigned long count)
{
	struct page **pages = (struct page **)pfns;
	unsigned long i;

	for (i = 0; i < count; i++)
		pages[i] = hmm_pfn_to_page(pfns[i]);
	return pages;
}

/*
 * -EAGAIN: pages have gone meanwhile.  What the process has unmapped, be it a moment ago, jobs
 * that rest do not get (-EFAULT): something else may lie there.
 */
static int quire_userptr_take(struct quire_userptr *userptr, unsigned long *pfns,
			      unsigned long count, unsigned long sequence, struct quire_vm *vm)
{
	struct quire_device *qdev = to_quire_device(userptr->bo->base.base.dev);
	struct quire_dma dma = {};
	int ret;

	ret = quire_dma_map(qdev, &dma, quire_userptr_pages(pfns, count), count,
			    userptr->bo->read_only ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL);
	if (ret)
		return ret;
	/* Others that go keep it, until the card has drained. */
	ret = quire_restart(mutex_lock_interruptible(&userptr->lock));
	if (!ret) {
		if (vm && userptr->over) {
			ret = -EFAULT;
		} else if (mmu_interval_read_retry(&userptr->notifier, sequence)) {
			ret = -EAGAIN;
		} else {
			WARN_ON(userptr->mapped);
			quire_dma_move(qdev, &userptr->dma, &dma);
			userptr->mapped = true;
			WRITE_ONCE(userptr->absent, false);
			WRITE_ONCE(userptr->over, false);
			/* Pairs with quire_userptr_valid(): the pages before the mark. */
			smp_store_release(&userptr->valid, true);
		}
		mutex_unlock(&userptr->lock);
	}
	if (ret)
		quire_dma_unmap(qdev, &dma);
	return ret;
}

static int quire_userptr_try(struct quire_userptr *userptr, struct hmm_range *range,
			     unsigned long count, struct quire_vm *vm)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(QUIRE_USERPTR_TRIES_MS);
	int ret;

	do {
		memset(range->hmm_pfns, 0, count * sizeof(*range->hmm_pfns));
		if (vm && READ_ONCE(userptr->over))
			return -EFAULT;
		ret = quire_userptr_ask(userptr, range, vm);
		if (!ret)
			ret = quire_userptr_take(userptr, range->hmm_pfns, count,
						 range->notifier_seq, vm);
	} while ((ret == -EBUSY || ret == -EAGAIN) && !quire_userptr_may_ask(vm) &&
		 time_before(jiffies, deadline));
	return ret == -EBUSY ? -EAGAIN : ret;
}

static int quire_userptr_fault_locked(struct quire_userptr *userptr, unsigned long *pfns,
				      unsigned long count, struct quire_vm *vm)
{
	struct hmm_range range = {
		.notifier = &userptr->notifier,
		.start = userptr->notifier.interval_tree.start,
		.end = userptr->notifier.interval_tree.last + 1,
		.hmm_pfns = pfns,
		.default_flags = HMM_PFN_REQ_FAULT |
				 (userptr->bo->read_only ? 0 : HMM_PFN_REQ_WRITE),
	};
	int ret = 0;

	lockdep_assert_held(&userptr->faulting);
	if (!quire_userptr_valid(userptr))
		ret = quire_userptr_try(userptr, &range, count, vm);
	if (ret)
		WRITE_ONCE(userptr->absent, ret == -EFAULT);
	return ret;
}

/* For jobs of @vm that rest: -EAGAIN if another thread asks for the pages already. */
static int quire_userptr_fault_once(struct quire_userptr *userptr, struct quire_vm *vm)
{
	unsigned long count = userptr->bo->base.base.size >> PAGE_SHIFT, *pfns;
	struct mem_cgroup *before;
	int ret;

	if (quire_userptr_valid(userptr))
		return 0;
	/* The caller may be a work, and stay in the page fault. */
	before = set_active_memcg(userptr->bo->memcg);
	pfns = kvmalloc_array(count, sizeof(*pfns), QUIRE_GFP_CALL);
	if (!pfns)
		ret = -ENOMEM;
	else if (vm)
		ret = mutex_trylock(&userptr->faulting) ? 0 : -EAGAIN;
	else
		ret = quire_restart(mutex_lock_interruptible(&userptr->faulting));
	if (!ret) {
		ret = quire_userptr_fault_locked(userptr, pfns, count, vm);
		mutex_unlock(&userptr->faulting);
	}
	kvfree(pfns);
	set_active_memcg(before);
	return ret;
}

int quire_userptr_fault(struct quire_userptr *userptr)
{
	return quire_userptr_fault_once(userptr, NULL);
}

static struct quire_vm_bo *quire_userptr_find_tie(struct quire_userptr *userptr,
						  struct quire_vm *vm)
{
	struct quire_vm_bo *tie;

	lockdep_assert_held(&userptr->ties_lock);
	list_for_each_entry(tie, &userptr->ties, of_bo)
		if (tie->base.vm == &vm->base)
			return tie;
	return NULL;
}

/*
 * True: the address space has what there is.  The tie is not the caller's, but stays where it is
 * under the lock; who takes pages away waits for that of the page tables.
 */
static bool quire_userptr_show_in(struct quire_userptr *userptr, struct quire_vm *vm,
				  struct quire_table_pool *pool, struct quire_table_plan *plan)
{
	struct quire_vm_bo *tie;
	bool shown;

	mutex_lock(&userptr->ties_lock);
	mutex_lock(&vm->mmu.lock);
	tie = quire_userptr_find_tie(userptr, vm);
	shown = !tie || tie->resident || !quire_userptr_valid(userptr) ||
		quire_vm_show_bo(tie, pool, plan);
	mutex_unlock(&vm->mmu.lock);
	mutex_unlock(&userptr->ties_lock);
	return shown;
}

int quire_userptr_restore(struct quire_userptr *userptr, struct quire_vm *vm)
{
	struct quire_table_plan plan;
	struct quire_table_pool pool;
	struct mem_cgroup *before;
	int ret = quire_userptr_fault_once(userptr, vm);

	if (ret)
		return ret;
	quire_pool_init(&pool);
	before = set_active_memcg(userptr->bo->memcg);
	/* It takes back what it gave when the pages went: nobody is asked whether there is room. */
	while (!ret && !quire_userptr_show_in(userptr, vm, &pool, &plan))
		ret = quire_mmu_reserve(&vm->mmu, &pool, &plan);
	set_active_memcg(before);
	quire_mmu_unreserve(&vm->mmu, &pool);
	return ret;
}

bool quire_userptr_fits(const struct quire_userptr *userptr, struct quire_vm *vm)
{
	struct quire_vm_bo *tie;

	/* It keeps the list as it is. */
	drm_gpuvm_resv_assert_held(&vm->base);
	tie = list_first_entry_or_null(&vm->userptrs, struct quire_vm_bo, of_vm);
	return !tie || to_quire_bo(tie->base.obj)->userptr->notifier.mm == userptr->notifier.mm;
}

void quire_userptr_tie(struct quire_userptr *userptr, struct quire_vm_bo *tie)
{
	struct quire_vm *vm = to_quire_vm(tie->base.vm);

	dma_resv_assert_held(userptr->bo->base.base.resv);
	drm_gpuvm_resv_assert_held(&vm->base);
	if (!list_empty(&tie->of_bo))
		return;
	if (list_empty(&vm->userptrs))
		quire_hold_join(vm, userptr->notifier.mm);
	mutex_lock(&userptr->ties_lock);
	list_add(&tie->of_bo, &userptr->ties);
	mutex_unlock(&userptr->ties_lock);
	spin_lock(&vm->job_lock);
	list_add(&tie->of_vm, &vm->userptrs);
	spin_unlock(&vm->job_lock);
}

void quire_userptr_untie(struct quire_userptr *userptr, struct quire_vm_bo *tie)
{
	struct quire_vm *vm = to_quire_vm(tie->base.vm);

	drm_gpuvm_resv_assert_held(&vm->base);
	mutex_lock(&userptr->ties_lock);
	list_del_init(&tie->of_bo);
	mutex_unlock(&userptr->ties_lock);
	spin_lock(&vm->job_lock);
	list_del_init(&tie->of_vm);
	spin_unlock(&vm->job_lock);
	if (list_empty(&vm->userptrs))
		quire_hold_quit(vm);
}

int quire_userptr_attach(struct quire_bo *bo, u64 address)
{
	struct quire_userptr *userptr = kzalloc(sizeof(*userptr), QUIRE_GFP_CALL);
	int ret;

	if (!userptr)
		return -ENOMEM;
	userptr->bo = bo;
	mutex_init(&userptr->faulting);
	mutex_init(&userptr->lock);
	mutex_init(&userptr->ties_lock);
	INIT_LIST_HEAD(&userptr->ties);
	ret = mmu_interval_notifier_insert(&userptr->notifier, current->mm, address,
					   bo->base.base.size, &quire_userptr_ops);
	if (ret) {
		kfree(userptr);
		return ret;
	}
	bo->userptr = userptr;
	ret = quire_userptr_fault(userptr);
	/* The process works on them all the time. */
	return ret == -EAGAIN ? -EBUSY : ret;
}

static void quire_userptr_detach_work(struct work_struct *work)
{
	struct quire_userptr *userptr = container_of(work, struct quire_userptr, detach);

	mutex_lock(&userptr->lock);
	if (userptr->mapped)
		quire_userptr_release_pages(userptr);
	userptr->mapped = false;
	userptr->valid = false;
	mutex_unlock(&userptr->lock);
	/* From here on nobody tells us. */
	mmu_interval_notifier_remove(&userptr->notifier);
	WARN_ON(!list_empty(&userptr->ties));
	quire_bo_end(userptr->bo);
	mutex_destroy(&userptr->ties_lock);
	mutex_destroy(&userptr->lock);
	mutex_destroy(&userptr->faulting);
	kfree(userptr);
}

/* Not here: the caller may be TTM's worker, which others' buffers wait for. */
void quire_userptr_detach(struct quire_bo *bo)
{
	INIT_WORK(&bo->userptr->detach, quire_userptr_detach_work);
	queue_work(quire_userptr_wq, &bo->userptr->detach);
}

void quire_userptr_flush(void)
{
	flush_workqueue(quire_userptr_wq);
}

int quire_userptr_module_init(void)
{
	quire_userptr_wq = alloc_workqueue("quire-userptr", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return quire_userptr_wq ? 0 : -ENOMEM;
}

void quire_userptr_module_exit(void)
{
	destroy_workqueue(quire_userptr_wq);
}
