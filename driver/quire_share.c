// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose turn it is when there are more queues with work than slots.  Higher priority
 * first; then whoever has fewer busy slots, counted by user and within a user by process,
 * so that sixty queues of one do not keep out the only one of another; then whoever has
 * waited longest.
 */
#include <linux/cred.h>
#include <linux/slab.h>

#include "quire_queue.h"
#include "quire_vm.h"

/* How long a queue keeps its slot while others of the same priority wait. */
#define QUIRE_SHARE_SLICE_MS 20u
/* A queue of higher priority keeps it so many times as long for each step. */
#define QUIRE_SHARE_PRIORITY_SHIFT 4

/** struct quire_share - a process or a user who has queues; under quire_queues.lock */
struct quire_share {
	/** @node: in quire_queues.shares */
	struct list_head node;
	/** @queues: of it */
	unsigned int queues;
	/** @uid: the user */
	kuid_t uid;
	/** @tgid: the process, or 0: all of the user */
	pid_t tgid;
	/** @busy: slots with work, while a slot is searched */
	unsigned int busy;
};

static struct quire_share *quire_share_find(struct quire_queues *queues, kuid_t uid, pid_t tgid,
					    struct quire_share **spare)
{
	struct quire_share *share;

	lockdep_assert_held(&queues->lock);
	list_for_each_entry(share, &queues->shares, node)
		if (uid_eq(share->uid, uid) && share->tgid == tgid)
			goto found;
	share = *spare;
	*spare = NULL;
	share->uid = uid;
	share->tgid = tgid;
	list_add(&share->node, &queues->shares);
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

static void quire_share_put_one(struct quire_share *share)
{
	if (!share || --share->queues)
		return;
	list_del(&share->node);
	kfree(share);
}

void quire_share_put(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	mutex_lock(&queues->lock);
	quire_share_put_one(queue->process);
	quire_share_put_one(queue->user);
	mutex_unlock(&queues->lock);
	queue->process = NULL;
	queue->user = NULL;
}

/* The queue has got a slot in this search. */
void quire_share_add(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->qdev->queues->lock);
	queue->process->busy++;
	queue->user->busy++;
}

static void quire_share_count_slot(struct quire_queues *queues, struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;

	slot->busy = queue && quire_ring_busy(queue);
	if (!slot->busy)
		return;
	queues->contexts[queue->vm->mmu.context].busy++;
	if (!queue->kernel)
		quire_share_add(queue);
}

/* A search begins. */
void quire_share_count(struct quire_queues *queues)
{
	struct quire_share *share;

	lockdep_assert_held(&queues->lock);
	queues->searches++;
	list_for_each_entry(share, &queues->shares, node)
		share->busy = 0;
	for (u32 i = 0; i < QUIRE_CONTEXTS; i++)
		queues->contexts[i].busy = 0;
	for (u32 i = 0; i < queues->count; i++)
		quire_share_count_slot(queues, &queues->slots[i]);
}

/* Whether @queue comes before @other, which has waited longer. */
static bool quire_share_before(const struct quire_queue *queue, const struct quire_queue *other)
{
	if (queue->priority != other->priority)
		return queue->priority > other->priority;
	if (queue->user->busy != other->user->busy)
		return queue->user->busy < other->user->busy;
	return queue->process->busy < other->process->busy;
}

/* The next waiting queue that has not been tried in this search, or NULL. */
struct quire_queue *quire_share_next(struct quire_queues *queues)
{
	struct quire_queue *queue, *best = NULL;

	lockdep_assert_held(&queues->lock);
	list_for_each_entry(queue, &queues->waiting, waiting)
		if (queue->tried != queues->searches &&
		    (!best || quire_share_before(queue, best)))
			best = queue;
	if (best)
		best->tried = queues->searches;
	return best;
}

static bool quire_share_had_enough(const struct quire_slot *slot, const struct quire_queue *queue)
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
		if (!best || quire_share_before(best->queue, slot->queue) ||
		    (!quire_share_before(slot->queue, best->queue) &&
		     time_before(slot->since, best->since)))
			best = slot;
	}
	return best;
}
