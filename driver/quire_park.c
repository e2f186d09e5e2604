// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues that come to rest: the firmware writes what it needs to go on to the queue's page, at the
 * end of a band, and the ring is free.  Which jobs end then, because they are over a limit or keep
 * memory, is seen when the ring is taken.
 *
 * Everything here runs in fence-signalling paths: nothing allocates.
 */
#include "quire_queue.h"
#include "quire_trace.h"

/*
 * The firmware has answered a later command than the QUEUE_START in doubt, so that it will not find
 * that one any more.  True if it did: the queue runs, or has failed.
 */
static bool quire_slot_has_started(struct quire_slot *slot, int parked)
{
	u32 base = QUIRE_REG_QUEUE(slot->hw);

	return !parked || quire_read(slot->qdev, base + QUIRE_QUEUE_STATE) == QUIRE_QUEUE_FAULTED;
}

/* Ask the firmware to bring the queue to rest; quire_slots_collect() sees the end. */
void quire_slot_park(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;
	int ret;

	lockdep_assert_held(&slot->qdev->queues->lock);
	if (slot->parking)
		return;
	trace_quire_slot_park(slot, queue);
	ret = quire_mailbox_send(slot->qdev, QUIRE_MAILBOX_QUEUE_PARK, slot->hw);
	/* Refused: it has just stopped on a failed job. */
	if (ret == -EIO) {
		quire_slot_ailing(slot->qdev, "a queue could not be parked");
		return;
	}
	if (slot->doubt && !quire_slot_has_started(slot, ret)) {
		/* All is as it was before: what its page holds goes on another time. */
		quire_slot_detach(slot);
		return;
	}
	slot->doubt = false;
	slot->parking = true;
	slot->parked_at = jiffies;
}

static void quire_slot_rest(struct quire_slot *slot, u32 state)
{
	struct quire_queue *queue = slot->queue;
	u64 overdue = queue->overdue;
	bool keeps = queue->keeps;
	u64 oldest;

	lockdep_assert_held(&slot->qdev->queues->lock);
	quire_slot_leave(slot);
	/* A ring that stopped on a failure is not free before it is told so. */
	if (state == QUIRE_QUEUE_PARKED) {
		/* First: who looks at the event is told whether there is a job in the middle. */
		queue->parked = !READ_ONCE(queue->banned) && quire_ring_busy(queue);
		quire_slot_detach(slot);
	} else if (quire_slot_stop(slot, QUIRE_SLOT_STOP_MS)) {
		quire_slot_ailing(slot->qdev, "a failed queue could not be stopped");
		return;
	}
	oldest = quire_limit_oldest(queue);
	quire_queue_forgive(queue);
	queue->parked = false;
	if (oldest && oldest == overdue) {
		quire_ring_expel(queue, oldest, QUIRE_STATUS_CANCELLED, -ETIME, keeps);
	} else if (oldest && state != QUIRE_QUEUE_PARKED) {
		/* It failed, and the record of that did not arrive. */
		quire_ring_expel(queue, oldest, QUIRE_STATUS_FIRMWARE, -EIO, false);
	} else if (!READ_ONCE(queue->banned)) {
		queue->parked = oldest;
	}
}

/* Take the rings of the queues that have come to rest. */
void quire_slots_collect(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;

	lockdep_assert_held(&queues->lock);
	/* Whoever has the card has it to himself. */
	if (WARN_ON(queues->blocked))
		return;
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		u32 state;

		if (!slot->queue || !slot->parking)
			continue;
		state = quire_read(qdev, QUIRE_REG_QUEUE(i) + QUIRE_QUEUE_STATE);
		if (state == QUIRE_QUEUE_PARKED || state == QUIRE_QUEUE_FAULTED)
			quire_slot_rest(slot, state);
	}
}

/* Whether somebody is on his way to rest, other than those who are to be ended in any case. */
static bool quire_slots_parking(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;

	lockdep_assert_held(&queues->lock);
	quire_slots_collect(qdev);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (slot->queue && slot->parking && !slot->queue->overdue &&
		    !READ_ONCE(slot->queue->banned))
			return true;
	}
	return false;
}

/*
 * Bring all queues to rest, but those that are over a limit; false if not all came.  Who has
 * nothing on his ring loses it at once: what he submits while others come to rest waits.
 */
bool quire_slots_park(struct quire_device *qdev, unsigned int timeout_ms)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(timeout_ms);
	struct quire_queues *queues = qdev->queues;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		struct quire_queue *queue = slot->queue;

		if (!queue || queue->overdue)
			continue;
		if (slot->doubt || !quire_slot_take_idle(slot, true))
			quire_slot_park(slot);
	}
	while (quire_slots_parking(qdev)) {
		if (time_after(jiffies, deadline))
			return false;
		schedule_timeout_uninterruptible(1);
	}
	return true;
}

u32 quire_slots_count_parking(struct quire_queues *queues)
{
	u32 count = 0;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++)
		count += queues->slots[i].queue && queues->slots[i].parking;
	return count;
}
