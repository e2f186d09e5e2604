// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces that are held.  The kernel moves, cleans or takes away memory of a process that
 * their jobs may use: the jobs come to rest at the end of a band, the memory goes, a work asks for
 * it again, and the jobs go on as if nothing had happened.
 *
 * Fences wait for these jobs, and somebody who has memory, or a lock without which none is to be
 * had, may wait for a fence.  So a hold ends in any case, with the memory or without: some seconds
 * after the jobs have come to rest.  They come to rest when the bands that run have ended; one
 * that does not end is ended by who waits for the card to drain (quire_reach_wait()).  What is not
 * there when the hold ends is not there for jobs: they fault.  It lasts longer while the machine
 * goes to sleep: from when processes are frozen nobody may ask for their memory.
 *
 * Its time runs from rest on, for all memory that goes meanwhile, and it does not end at once where
 * bands are long: whoever takes much away waits for bands once, not for each buffer.  Holds that
 * follow each other have no more time than one and some of what passes in between.
 *
 * Whoever takes memory away looks at rings, of which there are few, and not at queues and address
 * spaces, of which a process may have as many as it can pay for.  Those without a ring find out
 * when they want one.
 */
#include <linux/delay.h>
#include <linux/freezer.h>
#include <linux/hash.h>

#include <drm/drm_drv.h>

#include "quire_hold.h"
#include "quire_queue.h"
#include "quire_user.h"
#include "quire_vm.h"

/* For a page that comes from a busy disk; below what makes a hung task, and any limit of jobs. */
#define QUIRE_HOLD_MOST (5ul * HZ)
/* While the machine goes to sleep its work is frozen: longer than processes have for that. */
#define QUIRE_HOLD_SLEEP (30ul * HZ)
/* Where memory goes again and again, jobs run a twentieth of the time. */
#define QUIRE_HOLD_SHARE 19ul
/* Who has waited for jobs finds them at rest for an eighth of that, with all he takes away. */
#define QUIRE_HOLD_REST_PART 8
/* Between attempts that failed. */
#define QUIRE_HOLD_PAUSE_MS 10
/* So long others wait in any case; and what counts: most bands last some milliseconds. */
#define QUIRE_HOLD_PATIENCE_LEAST (HZ / 8)
#define QUIRE_HOLD_PATIENCE_FREE (HZ / 20)
/* How long an end of bands, or of the card's firmware, may take. */
#define QUIRE_HOLD_CUT (2 * HZ)
/* Should nobody be woken. */
#define QUIRE_HOLD_LOOK (HZ / 20)

/* Rings of the address space. */
static u32 quire_hold_rings(const struct quire_vm *vm)
{
	const struct quire_queues *queues = vm->qdev->queues;

	lockdep_assert_held(&queues->lock);
	if (vm->mmu.context == QUIRE_NO_CONTEXT)
		return 0;
	return queues->contexts[vm->mmu.context].rings;
}

/* What is left, and what has come to it while jobs could run. */
static long quire_hold_budget(const struct quire_hold *hold)
{
	unsigned long passed = min(jiffies - hold->ended, QUIRE_HOLD_MOST);

	return min(hold->left + (long)(QUIRE_HOLD_SHARE * passed), (long)QUIRE_HOLD_MOST);
}

bool quire_hold_look(struct quire_vm *vm)
{
	struct quire_hold *hold = &vm->hold;

	if (hold->resting)
		return true;
	if (quire_hold_rings(vm))
		return false;
	hold->resting = true;
	hold->since = jiffies;
	hold->most = quire_hold_budget(hold);
	return true;
}

/* False: there is no time left, or nobody goes on. */
static bool quire_hold_begin(struct quire_vm *vm)
{
	struct quire_queues *queues = vm->qdev->queues;
	struct quire_hold *hold = &vm->hold;

	lockdep_assert_held(&queues->lock);
	if (quire_hold_active(hold))
		return true;
	if (queues->ended || vm->qdev->wedged || quire_hold_budget(hold) <= 0)
		return false;
	hold->resting = false;
	list_add_tail(&hold->node, &queues->held);
	quire_hold_look(vm);
	quire_limit_watch(vm->qdev);
	quire_vm_get(vm);
	/* The work of the hold before may be there still, and finds this one. */
	if (!quire_restore_begin(hold))
		quire_vm_put(vm);
	return true;
}

void quire_hold_join(struct quire_vm *vm, const struct mm_struct *mm)
{
	struct quire_queues *queues = vm->qdev->queues;

	mutex_lock(&queues->lock);
	vm->hold.mm = mm;
	mutex_unlock(&queues->lock);
}

void quire_hold_quit(struct quire_vm *vm)
{
	quire_hold_join(vm, NULL);
}

/* It has memory of the process: it is waited for. */
static bool quire_hold_has(const struct quire_vm *vm, const struct mm_struct *mm)
{
	lockdep_assert_held(&vm->qdev->queues->lock);
	return vm->hold.mm && vm->hold.mm == mm;
}

/* Or it rests beside those. */
static bool quire_hold_concerns(const struct quire_taking *taking, const struct quire_vm *vm)
{
	if (quire_hold_has(vm, taking->mm))
		return true;
	return taking->all && vm->hold.mm &&
	       uid_eq(quire_user_uid(vm->hold.user), taking->uid);
}

/* The first address space whose bands somebody waits for tells whose patience it is. */
static void quire_hold_ask(struct quire_taking *taking, const struct quire_vm *vm)
{
	long patience = quire_user_left(vm->hold.user);

	taking->uid = quire_user_uid(vm->hold.user);
	taking->all = patience <= QUIRE_HOLD_PATIENCE_LEAST;
	taking->patience = max_t(long, patience, QUIRE_HOLD_PATIENCE_LEAST);
}

/* The address space of a ring, if what happens concerns it. */
static struct quire_vm *quire_hold_on_ring(const struct quire_taking *taking, u32 ring)
{
	struct quire_queue *queue = taking->qdev->queues->slots[ring].queue;

	lockdep_assert_held(&taking->qdev->queues->lock);
	return queue && quire_hold_concerns(taking, queue->vm) ? queue->vm : NULL;
}

/* Nothing of it is on a ring, or goes there, from the end of the band that runs. */
static void quire_hold_park(struct quire_vm *vm)
{
	struct quire_queues *queues = vm->qdev->queues;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count && quire_hold_rings(vm); i++) {
		struct quire_slot *slot = &queues->slots[i];

		/* Whoever has the card, or resets it, takes all rings. */
		if (queues->blocked || queues->ailing)
			return;
		if (slot->queue && slot->queue->vm == vm)
			quire_slot_park(slot);
	}
}

/* Address spaces whose jobs are on rings: others' do not begin meanwhile (quire_hold_keeps()). */
static void quire_hold_begin_all(struct quire_taking *taking)
{
	struct quire_queues *queues = taking->qdev->queues;
	struct quire_vm *vm;
	bool any = false;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		vm = quire_hold_on_ring(taking, i);
		if (!vm || (!quire_hold_active(&vm->hold) &&
			    !quire_ring_has_jobs(queues->slots[i].queue)))
			continue;
		if (!quire_hold_begin(vm))
			continue;
		any = true;
		quire_hold_park(vm);
	}
	/* Many are at rest as soon as they are asked. */
	if (any && !queues->blocked && !queues->ailing && !queues->ended)
		quire_slots_collect(taking->qdev);
}

static bool quire_hold_all_rest(struct quire_taking *taking)
{
	struct quire_queues *queues = taking->qdev->queues;
	struct quire_vm *vm;
	bool rest = true;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		vm = quire_hold_on_ring(taking, i);
		if (!vm || !quire_hold_has(vm, taking->mm) || !quire_hold_active(&vm->hold))
			continue;
		rest = false;
		if (!taking->patience)
			quire_hold_ask(taking, vm);
	}
	return rest;
}

/*
 * Of a process.  Two may have one place: then it is that of whom somebody has waited for, and who
 * is forgotten is waited for again.
 */
static struct quire_rest *quire_hold_rest(struct quire_queues *queues, const struct mm_struct *mm)
{
	return &queues->rests[hash_ptr(mm, QUIRE_RESTS_BITS)];
}

static bool quire_hold_is_over(const struct quire_rest *rest)
{
	return time_after_eq(jiffies, rest->taken + rest->least);
}

/*
 * Whoever has waited finds them at rest for a while; and for as many times longer as jobs run
 * otherwise where others have waited too often.
 */
static void quire_hold_stay(struct quire_taking *taking)
{
	struct quire_rest *rest = quire_hold_rest(taking->qdev->queues, taking->mm);
	unsigned long waited = taking->patience ? jiffies - taking->begun : 0;

	lockdep_assert_held(&taking->qdev->queues->lock);
	if (taking->all)
		quire_user_rest(taking->uid, waited * (QUIRE_USER_PATIENCE_PART - 1));
	if (rest->mm != taking->mm && !quire_hold_is_over(rest) && !waited)
		return;
	if (rest->mm != taking->mm || quire_hold_is_over(rest))
		rest->least = 0;
	rest->mm = taking->mm;
	rest->taken = jiffies;
	rest->least = max(rest->least, waited / QUIRE_HOLD_REST_PART);
}

/* Somebody may come for more of its memory who would have to wait for a band again. */
static bool quire_hold_stays(const struct quire_vm *vm)
{
	const struct quire_rest *rest = quire_hold_rest(vm->qdev->queues, vm->hold.mm);

	lockdep_assert_held(&vm->qdev->queues->lock);
	if (!vm->hold.mm)
		return false;
	return (rest->mm == vm->hold.mm && !quire_hold_is_over(rest)) ||
	       quire_user_rests(vm->hold.user);
}

/* All whose bands last that long, together. */
static void quire_hold_cut(struct quire_taking *taking)
{
	struct quire_device *qdev = taking->qdev;
	struct quire_vm *vm;

	lockdep_assert_held(&qdev->queues->lock);
	for (u32 i = 0; i < QUIRE_CONTEXTS; i++) {
		vm = qdev->queues->contexts[i].vm;
		if (vm && quire_hold_has(vm, taking->mm) && quire_hold_active(&vm->hold) &&
		    quire_hold_rings(vm))
			quire_reset_undrained(qdev, quire_reach_flush(qdev, i), taking->patience);
	}
}

bool quire_hold_taken(struct quire_taking *taking)
{
	struct quire_queues *queues = taking->qdev->queues;
	bool signalling, rest;
	int index;

	/* Jobs have ended, or do at once. */
	if (!drm_dev_enter(&taking->qdev->drm, &index))
		return true;
	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	quire_hold_begin_all(taking);
	rest = quire_hold_all_rest(taking) ||
	       time_after(jiffies, taking->begun + taking->patience + QUIRE_HOLD_CUT);
	if (rest)
		quire_hold_stay(taking);
	else if (time_after_eq(jiffies, taking->begun + taking->patience))
		quire_hold_cut(taking);
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	drm_dev_exit(index);
	return rest;
}

void quire_hold_take(struct quire_taking *taking)
{
	struct quire_queues *queues = taking->qdev->queues;
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	mutex_lock(&queues->lock);
	if (list_empty(&taking->node))
		list_add(&taking->node, &queues->takings);
	mutex_unlock(&queues->lock);
	add_wait_queue(&queues->changed, &wait);
	while (!quire_hold_taken(taking))
		wait_woken(&wait, TASK_UNINTERRUPTIBLE, QUIRE_HOLD_LOOK);
	remove_wait_queue(&queues->changed, &wait);
}

/* Somebody has waited: the time counts. */
static void quire_hold_charge(const struct quire_taking *taking)
{
	unsigned long waited = jiffies - taking->begun;

	if (taking->patience && waited > QUIRE_HOLD_PATIENCE_FREE && !taking->own)
		quire_user_charge(taking->uid, waited);
}

void quire_hold_give(struct quire_taking *taking)
{
	struct quire_queues *queues = taking->qdev->queues;

	if (list_empty(&taking->node))
		return;
	mutex_lock(&queues->lock);
	list_del_init(&taking->node);
	mutex_unlock(&queues->lock);
	quire_hold_charge(taking);
}

bool quire_hold_frozen(const struct quire_queues *queues)
{
#ifdef CONFIG_FREEZER
	/* There are freezers of control groups, too. */
	return READ_ONCE(queues->sleepy) && static_branch_unlikely(&freezer_active);
#else
	return false;
#endif
}

/* Time does not count from when processes are frozen until they go on. */
static void quire_hold_thaw(struct quire_queues *queues)
{
	bool frozen = quire_hold_frozen(queues);
	struct quire_hold *hold;
	struct quire_vm *vm;

	lockdep_assert_held(&queues->lock);
	if (queues->frozen == frozen)
		return;
	queues->frozen = frozen;
	if (frozen) {
		queues->frozen_at = jiffies;
		return;
	}
	list_for_each_entry(vm, &queues->held, hold.node) {
		hold = &vm->hold;
		if (!hold->resting)
			continue;
		if (time_after(queues->frozen_at, hold->since))
			hold->since += jiffies - queues->frozen_at;
		else
			hold->since = jiffies;
	}
}

/* Since its jobs rest. */
static long quire_hold_lasted(const struct quire_vm *vm)
{
	const struct quire_queues *queues = vm->qdev->queues;
	unsigned long end = queues->frozen ? queues->frozen_at : jiffies;

	lockdep_assert_held(&queues->lock);
	return max((long)(end - vm->hold.since), 0L);
}

void quire_hold_end(struct quire_vm *vm)
{
	struct quire_hold *hold = &vm->hold;
	struct quire_queue *queue;

	lockdep_assert_held(&vm->qdev->queues->lock);
	if (!quire_hold_active(hold))
		return;
	quire_hold_thaw(vm->qdev->queues);
	if (hold->resting) {
		hold->ended = jiffies;
		hold->left = hold->most - quire_hold_lasted(vm);
	}
	WRITE_ONCE(hold->due, false);
	list_del_init(&hold->node);
	/* Jobs that come now are pushed by who submits them. */
	list_for_each_entry(queue, &vm->open, of_vm)
		if (!queue->slot && !quire_ring_is_empty(queue) && quire_ring_wants(queue))
			quire_slot_want(queue);
	wake_up_all(&vm->qdev->queues->changed);
	quire_slots_wake(vm->qdev);
}

static unsigned long quire_hold_most(const struct quire_vm *vm)
{
	unsigned long most = max(vm->hold.most, 0L);

	return quire_hold_frozen(vm->qdev->queues) ? max(most, QUIRE_HOLD_SLEEP) : most;
}

bool quire_hold_watch(struct quire_queues *queues)
{
	struct quire_vm *vm, *next;

	lockdep_assert_held(&queues->lock);
	quire_hold_thaw(queues);
	list_for_each_entry_safe(vm, next, &queues->held, hold.node)
		if (quire_hold_look(vm) &&
		    time_after_eq(jiffies, vm->hold.since + quire_hold_most(vm)))
			quire_hold_end(vm);
	return !list_empty(&queues->held);
}

void quire_hold_sleep(struct quire_queues *queues, bool sleepy)
{
	mutex_lock(&queues->lock);
	WRITE_ONCE(queues->sleepy, sleepy);
	quire_hold_thaw(queues);
	mutex_unlock(&queues->lock);
}

void quire_hold_end_all(struct quire_queues *queues)
{
	struct quire_vm *vm, *next;

	lockdep_assert_held(&queues->lock);
	list_for_each_entry_safe(vm, next, &queues->held, hold.node)
		quire_hold_end(vm);
}

static bool quire_hold_is_taken_from(const struct quire_vm *vm)
{
	struct quire_taking *taking;

	lockdep_assert_held(&vm->qdev->queues->lock);
	list_for_each_entry(taking, &vm->qdev->queues->takings, node)
		if (quire_hold_concerns(taking, vm))
			return true;
	return false;
}

/*
 * No memory goes now, or went a moment ago where that takes the jobs long.  But there is some time
 * for it to come, too.
 */
static bool quire_hold_may_end(const struct quire_vm *vm)
{
	const struct quire_hold *hold = &vm->hold;

	if (quire_hold_is_taken_from(vm))
		return false;
	return !quire_hold_stays(vm) || time_after_eq(jiffies, hold->since + hold->most / 2);
}

/* Where it has stayed for half of its time, it does not begin again to stay. */
static bool quire_hold_is_due(const struct quire_vm *vm)
{
	const struct quire_hold *hold = &vm->hold;

	if (READ_ONCE(hold->due) || quire_hold_is_taken_from(vm))
		return true;
	return quire_hold_stays(vm) && quire_hold_budget(hold) > (long)QUIRE_HOLD_MOST / 2;
}

bool quire_hold_keeps(struct quire_vm *vm)
{
	lockdep_assert_held(&vm->qdev->queues->lock);
	if (quire_hold_active(&vm->hold))
		return true;
	if (!vm->hold.mm || !quire_hold_is_due(vm) || !quire_hold_begin(vm))
		return false;
	quire_hold_park(vm);
	return true;
}

/* The memory is there: false if more may go that somebody would wait for the jobs for again. */
static bool quire_hold_leave(struct quire_vm *vm)
{
	struct quire_hold *hold = &vm->hold;

	lockdep_assert_held(&vm->qdev->queues->lock);
	quire_hold_thaw(vm->qdev->queues);
	if (quire_hold_active(hold) && (!quire_hold_look(vm) || !quire_hold_may_end(vm)))
		return false;
	quire_hold_end(vm);
	return true;
}

/*
 * The memory comes back, and page tables show it.  -EAGAIN: some has gone meanwhile, or may.  No
 * reservation is taken: whoever has it may wait for jobs.
 */
static int quire_hold_try(struct quire_vm *vm)
{
	struct quire_queues *queues = vm->qdev->queues;
	int ret = quire_vm_restore_userptrs(vm);
	bool left;

	if (!ret)
		ret = quire_vm_begin_submit(vm);
	if (ret)
		return ret;
	/* Whoever takes memory away from here on holds it anew. */
	mutex_lock(&queues->lock);
	left = quire_hold_leave(vm);
	mutex_unlock(&queues->lock);
	quire_vm_end_submit(vm);
	return left ? 0 : -EAGAIN;
}

static void quire_hold_restore(struct work_struct *work)
{
	struct quire_vm *vm = container_of(work, struct quire_vm, hold.restore);

	if (quire_hold_active(&vm->hold) && quire_hold_try(vm)) {
		msleep(QUIRE_HOLD_PAUSE_MS);
		if (quire_restore_again(&vm->hold))
			return;
	}
	quire_restore_end(&vm->hold);
	quire_vm_put(vm);
}

int quire_hold_init(struct quire_hold *hold)
{
	hold->user = quire_user_get();
	if (!hold->user)
		return -ENOMEM;
	INIT_LIST_HEAD(&hold->waiting);
	INIT_LIST_HEAD(&hold->node);
	INIT_WORK(&hold->restore, quire_hold_restore);
	hold->left = QUIRE_HOLD_MOST;
	hold->ended = jiffies;
	return 0;
}

void quire_hold_fini(struct quire_hold *hold)
{
	quire_user_put(hold->user);
}
