// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who gets how much of the card: users, whom nobody can multiply, and within a user processes.
 *
 * The card's firmware gives each user with a ring as much engine time as any other, and so each
 * process of a user (owners and groups of quire/hw.h), however many queues they have.
 * Under his number it writes down what he has used: he has the same when he comes back, so that
 * no queue, file or process that ends takes debts with it.
 *
 * Whose turn it is when there are more queues with work than slots is decided here.  Higher
 * priority first; then whoever has fewer busy slots, counted by user and within a user by process;
 * then whoever has waited longest.  Queues wait at their process, processes with waiting queues
 * at their user: whatever their number, a choice looks at those that have busy slots and at one
 * that has none.  Who has got a slot goes behind the others who wait, with his process; one for
 * whom none was found keeps his place.
 */
#include <linux/cred.h>
#include <linux/hash.h>
#include <linux/slab.h>

#include "quire_queue.h"
#include "quire_vm.h"

/* How long a queue keeps its slot while others of the same priority wait. */
#define QUIRE_SHARE_SLICE_MS 20u
/* A queue of higher priority keeps it so many times as long for each step. */
#define QUIRE_SHARE_PRIORITY_SHIFT 4

static struct hlist_head *quire_share_bucket(struct quire_queues *queues, kuid_t uid, pid_t tgid)
{
	return &queues->shares[hash_32(__kuid_val(uid) * 31 + tgid, QUIRE_SHARE_BITS)];
}

static bool quire_share_has(const struct quire_number *number, kuid_t uid, pid_t tgid)
{
	return number->given && uid_eq(number->uid, uid) && number->tgid == tgid;
}

/* The number that he has, or 0. */
static u32 quire_share_given(const struct quire_number *numbers, kuid_t uid, pid_t tgid)
{
	/* 0 is the kernel's. */
	for (u32 i = 1; i < QUIRE_QUEUE_OWNERS; i++)
		if (quire_share_has(&numbers[i], uid, tgid))
			return i;
	return 0;
}

struct quire_number *quire_share_number_of(struct quire_number *numbers,
					   const struct quire_share *share)
{
	struct quire_number *number = &numbers[share->number];

	return quire_share_has(number, share->uid, share->tgid) ? number : NULL;
}

static struct quire_share *quire_share_find(struct quire_queues *queues, kuid_t uid, pid_t tgid,
					    struct quire_share **spare)
{
	struct hlist_head *bucket = quire_share_bucket(queues, uid, tgid);
	struct quire_share *share;

	lockdep_assert_held(&queues->lock);
	hlist_for_each_entry(share, bucket, node)
		if (uid_eq(share->uid, uid) && share->tgid == tgid)
			goto found;
	share = *spare;
	*spare = NULL;
	share->uid = uid;
	share->tgid = tgid;
	share->number = quire_share_given(tgid ? queues->groups : queues->owners, uid, tgid);
	for (u32 i = 0; i < QUIRE_PRIORITIES; i++) {
		INIT_LIST_HEAD(&share->waiting[i]);
		INIT_LIST_HEAD(&share->waits[i]);
	}
	hlist_add_head(&share->node, bucket);
found:
	share->queues++;
	return share;
}

/* The queue becomes one of the caller's; -ENOMEM. */
int quire_share_get(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_share *process = kzalloc(sizeof(*process), QUIRE_GFP_CALL);
	struct quire_share *user = kzalloc(sizeof(*user), QUIRE_GFP_CALL);
	int ret = -ENOMEM;

	if (process && user) {
		mutex_lock(&queues->lock);
		queue->process = quire_share_find(queues, current_uid(), task_tgid_nr(current),
						  &process);
		queue->user = quire_share_find(queues, current_uid(), 0, &user);
		mutex_unlock(&queues->lock);
		ret = 0;
	}
	kfree(process);
	kfree(user);
	return ret;
}

static void quire_share_put_one(struct quire_queues *queues, struct quire_share *share)
{
	lockdep_assert_held(&queues->lock);
	if (!share || --share->queues)
		return;
	hlist_del(&share->node);
	kfree(share);
}

void quire_share_put(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	mutex_lock(&queues->lock);
	quire_share_put_one(queues, queue->process);
	quire_share_put_one(queues, queue->user);
	mutex_unlock(&queues->lock);
	queue->process = NULL;
	queue->user = NULL;
}

/* The queue waits for a slot, behind others of its process. */
void quire_share_wait(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	u32 level = quire_queue_level(queue);

	lockdep_assert_held(&queues->lock);
	if (list_empty(&queue->user->waiting[level]))
		list_add_tail(&queue->user->waits[level], &queues->waiting[level]);
	if (list_empty(&queue->process->waiting[level]))
		list_add_tail(&queue->process->waits[level], &queue->user->waiting[level]);
	list_add_tail(&queue->waiting, &queue->process->waiting[level]);
	queue->process->waiters[level]++;
	queue->user->waiters[level]++;
	if (!queues->waiters++)
		quire_turn_wanted(queues);
}

void quire_share_unwait(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	u32 level = quire_queue_level(queue);

	lockdep_assert_held(&queues->lock);
	if (list_empty(&queue->waiting))
		return;
	list_del_init(&queue->waiting);
	if (list_empty(&queue->process->waiting[level]))
		list_del_init(&queue->process->waits[level]);
	if (list_empty(&queue->user->waiting[level]))
		list_del_init(&queue->user->waits[level]);
	queue->process->waiters[level]--;
	queue->user->waiters[level]--;
	queues->waiters--;
}

/* Whether a number that nobody holds is rather to be given to somebody else than another one. */
static bool quire_share_rather(const struct quire_number *number, const struct quire_number *other)
{
	if (!other || !other->given || !number->given)
		return !other || other->given;
	return time_before(number->used, other->used);
}

/* His number if he has one, else one that nobody has had, or that was given back longest ago. */
static struct quire_number *quire_share_number(struct quire_number *numbers,
					       const struct quire_share *share)
{
	struct quire_number *best = NULL;

	/* 0 is the kernel's.  There is a number for each ring that is lent. */
	for (u32 i = 1; i < QUIRE_QUEUE_OWNERS; i++) {
		struct quire_number *number = &numbers[i];

		if (quire_share_has(number, share->uid, share->tgid))
			return number;
		if (!number->held && quire_share_rather(number, best))
			best = number;
	}
	return best;
}

/* A ring is lent to the queue, and the card told whose it is.  True if the number is another's. */
static bool quire_share_take_one(struct quire_share *share, struct quire_number *numbers)
{
	struct quire_number *number;
	bool his;

	if (share->slots++)
		return false;
	number = quire_share_number(numbers, share);
	his = quire_share_has(number, share->uid, share->tgid);
	if (!his)
		*number = (struct quire_number){ .uid = share->uid, .tgid = share->tgid,
						 .given = true, .fresh = true };
	number->held = true;
	share->number = number - numbers;
	return !his;
}

static void quire_share_give_one(struct quire_share *share, struct quire_number *numbers)
{
	struct quire_number *number = &numbers[share->number];

	if (--share->slots)
		return;
	number->held = false;
	number->used = jiffies;
}

/* What processes have used is compared within their user: he is another for the card now. */
static void quire_share_forget_groups(struct quire_queues *queues, kuid_t uid)
{
	for (u32 i = 1; i < QUIRE_QUEUE_OWNERS; i++)
		if (uid_eq(queues->groups[i].uid, uid))
			queues->groups[i].given = false;
}

void quire_share_take(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	lockdep_assert_held(&queues->lock);
	if (queue->kernel)
		return;
	if (quire_share_take_one(queue->user, queues->owners))
		quire_share_forget_groups(queues, queue->user->uid);
	quire_share_take_one(queue->process, queues->groups);
}

void quire_share_give(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	lockdep_assert_held(&queues->lock);
	if (queue->kernel)
		return;
	quire_turn_end(queue);
	quire_share_give_one(queue->process, queues->groups);
	quire_share_give_one(queue->user, queues->owners);
}

/* Register PRIORITY.  Each of the kernel's jobs says itself whose it is. */
u32 quire_share_register(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	u32 value = QUIRE_QUEUE_PRIORITY_NORMAL + queue->priority;

	lockdep_assert_held(&queues->lock);
	if (queue->kernel)
		return QUIRE_QUEUE_PRIORITY_URGENT;
	value |= queue->process->number << QUIRE_QUEUE_GROUP_SHIFT |
		 queue->user->number << QUIRE_QUEUE_OWNER_SHIFT;
	if (queues->groups[queue->process->number].fresh)
		value |= QUIRE_QUEUE_GROUP_NEW;
	if (queues->owners[queue->user->number].fresh)
		value |= QUIRE_QUEUE_OWNER_NEW;
	return value;
}

/* The same, if the card has been told. */
static u32 quire_share_known(const struct quire_number *numbers, kuid_t uid, pid_t tgid)
{
	u32 number = quire_share_given(numbers, uid, tgid);

	return numbers[number].fresh ? 0 : number;
}

u32 quire_share_whose(struct quire_queues *queues)
{
	u32 owner, group;

	lockdep_assert_held(&queues->lock);
	if (current->flags & PF_KTHREAD)
		return 0;
	owner = quire_share_known(queues->owners, current_uid(), 0);
	if (!owner)
		return 0;
	group = quire_share_known(queues->groups, current_uid(), task_tgid_nr(current));
	return group << QUIRE_QUEUE_GROUP_SHIFT | owner << QUIRE_QUEUE_OWNER_SHIFT;
}

unsigned int quire_share_others(struct quire_queues *queues)
{
	DECLARE_BITMAP(users, QUIRE_QUEUE_OWNERS) = {};

	lockdep_assert_held(&queues->lock);
	for (u32 i = QUIRE_KERNEL_RING + 1; i < queues->count; i++) {
		struct quire_queue *queue = queues->slots[i].queue;

		if (queue && !uid_eq(queue->user->uid, current_uid()) && quire_ring_busy(queue))
			__set_bit(queue->user->number, users);
	}
	return bitmap_weight(users, QUIRE_QUEUE_OWNERS);
}

/* The card has taken the register. */
void quire_share_told(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	lockdep_assert_held(&queues->lock);
	if (queue->kernel)
		return;
	queues->groups[queue->process->number].fresh = false;
	queues->owners[queue->user->number].fresh = false;
}

static unsigned int quire_share_busy(struct quire_queues *queues, const struct quire_share *share)
{
	return share->search == queues->searches ? share->busy : 0;
}

/* Its counts are those of this search. */
static struct quire_share *quire_share_current(struct quire_queues *queues,
					       struct quire_share *share)
{
	if (share->search != queues->searches) {
		share->search = queues->searches;
		share->busy = 0;
		memset(share->tried, 0, sizeof(share->tried));
	}
	return share;
}

static void quire_share_add(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	lockdep_assert_held(&queues->lock);
	quire_share_current(queues, queue->process)->busy++;
	quire_share_current(queues, queue->user)->busy++;
}

/* This search has found a slot for the queue, which does not wait any more: others are next. */
void quire_share_served(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	u32 level = quire_queue_level(queue);

	quire_share_unwait(queue);
	quire_share_add(queue);
	if (!list_empty(&queue->process->waits[level]))
		list_move_tail(&queue->process->waits[level], &queue->user->waiting[level]);
	if (!list_empty(&queue->user->waits[level]))
		list_move_tail(&queue->user->waits[level], &queues->waiting[level]);
}

/* This search has found no slot for the queue, which keeps its place. */
void quire_share_tried(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	u32 level = quire_queue_level(queue);

	lockdep_assert_held(&queues->lock);
	queue->tried = queues->searches;
	quire_share_current(queues, queue->process)->tried[level]++;
	quire_share_current(queues, queue->user)->tried[level]++;
}

static void quire_share_count_slot(struct quire_queues *queues, struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;

	slot->busy = queue && quire_ring_busy(queue);
	if (!slot->busy)
		return;
	WRITE_ONCE(slot->used, jiffies);
	queues->contexts[queue->vm->mmu.context].busy++;
	if (!queue->kernel)
		quire_share_add(queue);
}

/* A search begins. */
void quire_share_count(struct quire_queues *queues)
{
	lockdep_assert_held(&queues->lock);
	queues->searches++;
	for (u32 i = 0; i < QUIRE_CONTEXTS; i++)
		queues->contexts[i].busy = 0;
	for (u32 i = 0; i < queues->count; i++)
		quire_share_count_slot(queues, &queues->slots[i]);
}

/*
 * Of users or processes that wait at a priority, the first of those with the fewest busy slots,
 * or NULL: all their queues were tried.
 */
static struct quire_share *quire_share_least(struct quire_queues *queues, struct list_head *list,
					     u32 level)
{
	struct quire_share *share, *best = NULL;

	list_for_each_entry(share, list, waits[level]) {
		if (share->search == queues->searches &&
		    share->tried[level] >= share->waiters[level])
			continue;
		if (!quire_share_busy(queues, share))
			return share;
		if (!best || quire_share_busy(queues, share) < quire_share_busy(queues, best))
			best = share;
	}
	return best;
}

static struct quire_queue *quire_share_first(struct quire_queues *queues,
					     struct list_head *waiting)
{
	struct quire_queue *queue;

	list_for_each_entry(queue, waiting, waiting)
		if (queue->tried != queues->searches)
			return queue;
	return NULL;
}

/* Of the waiting queues of a priority that this search has not tried, the next; or NULL. */
static struct quire_queue *quire_share_next_at(struct quire_queues *queues, u32 level)
{
	struct quire_share *user, *process;

	lockdep_assert_held(&queues->lock);
	user = quire_share_least(queues, &queues->waiting[level], level);
	if (!user)
		return NULL;
	process = quire_share_least(queues, &user->waiting[level], level);
	/* What a user has not tried is the sum of what his processes have not. */
	if (WARN_ON_ONCE(!process))
		return NULL;
	return quire_share_first(queues, &process->waiting[level]);
}

/* Of all priorities. */
struct quire_queue *quire_share_next(struct quire_queues *queues)
{
	struct quire_queue *queue = NULL;

	lockdep_assert_held(&queues->lock);
	for (u32 level = QUIRE_PRIORITIES; !queue && level--;)
		queue = quire_share_next_at(queues, level);
	return queue;
}

/* Whether @queue comes before @other, which has waited longer. */
static bool quire_share_before(struct quire_queues *queues, const struct quire_queue *queue,
			       const struct quire_queue *other)
{
	unsigned int busy = quire_share_busy(queues, queue->user);
	unsigned int others = quire_share_busy(queues, other->user);

	if (queue->priority != other->priority)
		return queue->priority > other->priority;
	if (busy != others)
		return busy < others;
	return quire_share_busy(queues, queue->process) < quire_share_busy(queues, other->process);
}

/* Whether the queue of a slot has had it long enough for @queue, which waits. */
bool quire_share_had_enough(const struct quire_slot *slot, const struct quire_queue *queue)
{
	unsigned int steps = max(slot->queue->priority - queue->priority, 0);
	unsigned int slice = QUIRE_SHARE_SLICE_MS << QUIRE_SHARE_PRIORITY_SHIFT * steps;

	return time_after_eq(jiffies, slot->since + msecs_to_jiffies(slice));
}

/* A busy slot whose queue is to be parked for @queue, or NULL: all deserve theirs still. */
struct quire_slot *quire_share_victim(struct quire_queues *queues, struct quire_queue *queue)
{
	struct quire_slot *best = NULL;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (!slot->queue || slot->queue->kernel || slot->parking ||
		    !quire_share_had_enough(slot, queue))
			continue;
		/* Whoever comes last in the order of turns, and has had its slot longest. */
		if (!best || quire_share_before(queues, best->queue, slot->queue) ||
		    (!quire_share_before(queues, slot->queue, best->queue) &&
		     time_before(slot->since, best->since)))
			best = slot;
	}
	return best;
}

void quire_share_init(struct quire_queues *queues)
{
	for (u32 i = 0; i < QUIRE_PRIORITIES; i++)
		INIT_LIST_HEAD(&queues->waiting[i]);
}
