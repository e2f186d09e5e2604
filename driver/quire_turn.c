// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns: queues have the card one at a time, after the firmware has failed while jobs of several
 * were in progress.  Should it fail again it is known by whose job, even if that is of another
 * queue or process each time; and whoever had a job in progress both times is not blamed for it.
 *
 * A turn lasts as long as a queue keeps a slot while others wait, and the order is that in which
 * slots are lent.  The kernel's queue has its ring as ever.
 */
#include "quire_queue.h"

/* As long as a job may take: what was in progress has the time to end. */
#define QUIRE_TURN_LONG msecs_to_jiffies(QUIRE_TIME_LIMIT_MAX_MS)
/* Every so many turns one is of the lowest priority, so that none starves. */
#define QUIRE_TURN_PATIENCE 16

/* The firmware failed a while ago, and nobody knows by whose job. */
bool quire_turn_by_turn(struct quire_queues *queues)
{
	lockdep_assert_held(&queues->lock);
	if (!queues->crashed || time_before(jiffies, queues->crashed + QUIRE_TURN_LONG))
		return queues->crashed;
	queues->crashed = 0;
	queues->turn = NULL;
	return false;
}

/* True if nobody but the kernel has a ring.  Who has had it long enough for @queue is parked. */
static bool quire_turn_clear(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	bool clear = true;

	lockdep_assert_held(&queues->lock);
	for (u32 i = QUIRE_KERNEL_RING + 1; i < queues->count && !queues->ailing; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (!slot->queue || quire_slot_take_idle(slot, true))
			continue;
		clear = false;
		if (!quire_share_had_enough(slot, queue))
			continue;
		/* The card is his next, or one who comes back at once with more would have it. */
		queues->turn = queue;
		quire_slot_park(slot);
	}
	return clear && !queues->ailing;
}

/* Whose turn it is, or will be; NULL if nobody waits. */
static struct quire_queue *quire_turn_next(struct quire_queues *queues)
{
	struct quire_queue *queue = queues->turn;

	lockdep_assert_held(&queues->lock);
	if (queue || (queues->turns + 1) % QUIRE_TURN_PATIENCE)
		return queue ?: quire_share_next(queues);
	for (u32 level = 0; !queue && level < QUIRE_PRIORITIES; level++)
		queue = quire_share_next_at(queues, level);
	return queue;
}

/* Lend the card to whose turn it is, once it is free.  Doorbells follow for those in @started. */
void quire_turn_search(struct quire_queues *queues, struct list_head *started)
{
	struct quire_queue *queue;

	lockdep_assert_held(&queues->lock);
	quire_share_count(queues);
	while ((queue = quire_turn_next(queues)) && !quire_ring_wants(queue))
		quire_share_unwait(queue);
	if (!queue || !quire_turn_clear(queue) || !quire_slot_lend(queue))
		return;
	quire_share_served(queue);
	queues->turns++;
	list_add_tail(&queue->started, started);
}
