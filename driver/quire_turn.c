// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns: queues have the card one at a time, after the firmware has failed while jobs of several
 * were in progress.  Should it fail again it is known by whose job, even if that is of another
 * queue or process each time; and whoever had a job in progress both times is not blamed for it.
 *
 * Whose turn it is follows the rules by which the firmware shares engines among many: highest
 * priority first; then the user who has had the card least, and his process that has; a lower
 * priority has a sixteenth of the time of those above it.  A turn ends after a slice, or when the
 * queue has no job, if another one's claim is as good.  If it is not, because bands of others took
 * long, the turn goes on, and for a moment the card stays with a queue that has no job.  So whoever
 * submits one job after the other has his share, too.
 *
 * Only time for which others wait counts, and it is never forgiven; but who comes back after a
 * pause has saved nothing up.  The kernel's queue has its ring as ever.
 */
#include <linux/ktime.h>

#include "quire_queue.h"

/* As long as a job may take: what was in progress has the time to end. */
#define QUIRE_TURN_LONG msecs_to_jiffies(QUIRE_TIME_LIMIT_MAX_MS)
#define QUIRE_TURN_SLICE_MS 20u
/* The part of the time that a lower priority has. */
#define QUIRE_TURN_PATIENCE 16
/* What those above it have had when it has a slice. */
#define QUIRE_TURN_DUE ((s64)QUIRE_TURN_PATIENCE * QUIRE_TURN_SLICE_MS * NSEC_PER_MSEC)

static void quire_turn_forget(struct quire_number *numbers)
{
	for (u32 i = 0; i < QUIRE_QUEUE_OWNERS; i++) {
		memset(numbers[i].had, 0, sizeof(numbers[i].had));
		memset(numbers[i].reached, 0, sizeof(numbers[i].reached));
	}
}

/* The firmware failed a while ago, and nobody knows by whose job. */
bool quire_turn_by_turn(struct quire_queues *queues)
{
	lockdep_assert_held(&queues->lock);
	if (!queues->crashed || time_before(jiffies, queues->crashed + QUIRE_TURN_LONG))
		return queues->crashed;
	queues->crashed = 0;
	queues->turn = NULL;
	memset(queues->reached, 0, sizeof(queues->reached));
	memset(queues->credit, 0, sizeof(queues->credit));
	quire_turn_forget(queues->owners);
	quire_turn_forget(queues->groups);
	return false;
}

void quire_turn_wanted(struct quire_queues *queues)
{
	lockdep_assert_held(&queues->lock);
	if (queues->turn)
		queues->counted = ktime_get_ns();
}

/* A priority had the card for so long. */
static void quire_turn_settle_credit(struct quire_queues *queues, u32 level, u64 ns)
{
	bool below = false;

	for (u32 i = 0; i < level; i++)
		queues->credit[i] = min(queues->credit[i] + (s64)ns, QUIRE_TURN_DUE);
	for (u32 i = level + 1; i < QUIRE_PRIORITIES; i++)
		below |= !list_empty(&queues->waiting[i]);
	if (below)
		queues->credit[level] -= QUIRE_TURN_PATIENCE * (s64)ns;
}

/* Whoever has the card pays for it. */
static void quire_turn_count(struct quire_queues *queues)
{
	struct quire_queue *queue = queues->turn;
	u64 now = ktime_get_ns(), ns = now - queues->counted;
	u32 level;

	lockdep_assert_held(&queues->lock);
	if (!queue || !queues->waiters)
		return;
	queues->counted = now;
	level = quire_queue_level(queue);
	queues->owners[queue->user->number].had[level] += ns;
	queues->groups[queue->process->number].had[level] += ns;
	quire_turn_settle_credit(queues, level, ns);
}

static void quire_turn_begin(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_number *user = &queues->owners[queue->user->number];
	struct quire_number *process = &queues->groups[queue->process->number];
	u32 level = quire_queue_level(queue);

	lockdep_assert_held(&queues->lock);
	user->had[level] = max(user->had[level], queues->reached[level]);
	queues->reached[level] = user->had[level];
	process->had[level] = max(process->had[level], user->reached[level]);
	user->reached[level] = process->had[level];
	queues->turn = queue;
	queues->counted = ktime_get_ns();
}

void quire_turn_end(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	lockdep_assert_held(&queues->lock);
	if (queue != queues->turn)
		return;
	quire_turn_count(queues);
	queues->turn = NULL;
}

/* What somebody has had, of whom the others have @reached so much. */
static u64 quire_turn_had(struct quire_number *numbers, const struct quire_share *share,
			  u64 reached, u32 level)
{
	const struct quire_number *number = quire_share_number_of(numbers, share);

	return number ? max(number->had[level], reached) : reached;
}

static u64 quire_turn_user_had(struct quire_queues *queues, const struct quire_share *user,
			       u32 level)
{
	return quire_turn_had(queues->owners, user, queues->reached[level], level);
}

static u64 quire_turn_process_had(struct quire_queues *queues, const struct quire_share *process,
				  const struct quire_share *user, u32 level)
{
	const struct quire_number *number = quire_share_number_of(queues->owners, user);

	return quire_turn_had(queues->groups, process, number ? number->reached[level] : 0, level);
}

/* Of users that wait at a priority, or with @user of his processes, who has had least; or NULL. */
static struct quire_share *quire_turn_least(struct quire_queues *queues,
					    const struct quire_share *user,
					    struct list_head *list, u32 level)
{
	struct quire_share *share, *best = NULL;
	u64 least = U64_MAX;

	list_for_each_entry(share, list, waits[level]) {
		u64 had = user ? quire_turn_process_had(queues, share, user, level) :
			  quire_turn_user_had(queues, share, level);

		if (had >= least)
			continue;
		least = had;
		best = share;
	}
	return best;
}

static struct quire_queue *quire_turn_next_at(struct quire_queues *queues, u32 level)
{
	struct quire_share *user, *process;

	user = quire_turn_least(queues, NULL, &queues->waiting[level], level);
	if (!user)
		return NULL;
	process = quire_turn_least(queues, user, &user->waiting[level], level);
	return list_first_entry(&process->waiting[level], struct quire_queue, waiting);
}

/* A lower priority has waited long enough. */
static bool quire_turn_due(const struct quire_queues *queues, u32 level)
{
	return queues->credit[level] >= QUIRE_TURN_DUE;
}

/* Who is next, or NULL: nobody waits. */
static struct quire_queue *quire_turn_next(struct quire_queues *queues)
{
	struct quire_queue *queue = NULL;

	lockdep_assert_held(&queues->lock);
	for (u32 level = 0; !queue && level < QUIRE_PRIORITIES; level++)
		if (quire_turn_due(queues, level))
			queue = quire_turn_next_at(queues, level);
	for (u32 level = QUIRE_PRIORITIES; !queue && level--;)
		queue = quire_turn_next_at(queues, level);
	return queue;
}

/* Whether the claim of @holder, who has the card, is better than that of @queue, who waits. */
static bool quire_turn_deserves(const struct quire_queue *holder, const struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	u32 level = quire_queue_level(queue);

	lockdep_assert_held(&queues->lock);
	if (holder->priority != queue->priority)
		return holder->priority > queue->priority && !quire_turn_due(queues, level);
	if (holder->user != queue->user)
		return quire_turn_user_had(queues, holder->user, level) <
		       quire_turn_user_had(queues, queue->user, level);
	return quire_turn_process_had(queues, holder->process, holder->user, level) <
	       quire_turn_process_had(queues, queue->process, queue->user, level);
}

/* True if the ring is free for @queue now, or it was before. */
static bool quire_turn_take(struct quire_slot *slot, const struct quire_queue *queue)
{
	unsigned long slice = msecs_to_jiffies(QUIRE_TURN_SLICE_MS);
	bool deserves = quire_turn_deserves(slot->queue, queue);

	lockdep_assert_held(&slot->qdev->queues->lock);
	/* It may have no job for a moment only. */
	if (deserves && time_before(jiffies, READ_ONCE(slot->used) + slice))
		return false;
	if (quire_slot_take_idle(slot, true))
		return true;
	if (!deserves && time_after_eq(jiffies, slot->since + slice))
		quire_slot_park(slot);
	return false;
}

/* True if nobody but the kernel has a ring.  Who has had it long enough for @queue is parked. */
static bool quire_turn_clear(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	bool clear = true;

	lockdep_assert_held(&queues->lock);
	for (u32 i = QUIRE_KERNEL_RING + 1; i < queues->count && !queues->ailing; i++)
		if (queues->slots[i].queue)
			clear &= quire_turn_take(&queues->slots[i], queue);
	return clear && !queues->ailing;
}

/* Lend the card to whose turn it is, once it is free.  Doorbells follow for those in @started. */
void quire_turn_search(struct quire_queues *queues, struct list_head *started)
{
	struct quire_queue *queue;

	lockdep_assert_held(&queues->lock);
	quire_share_count(queues);
	quire_turn_count(queues);
	while ((queue = quire_turn_next(queues)) &&
	       (!quire_ring_wants(queue) || quire_hold_keeps(queue->vm)))
		quire_share_unwait(queue);
	if (!queue || !quire_turn_clear(queue) || !quire_slot_lend(queue))
		return;
	quire_share_served(queue);
	quire_turn_begin(queue);
	list_add_tail(&queue->started, started);
}
