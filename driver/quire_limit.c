// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time limits: the card tells for how long it has worked on each job.  While jobs are on
 * rings a work looks at that, at records whose interrupt did not come, and at the heartbeat
 * of the firmware.
 *
 * A job over its limit is brought to rest like a queue that has had its share, and ended.
 * One that does not come to rest, because an engine hangs, is cancelled; if even that
 * does not help, the card is reset (quire_reset.c).  Others go on meanwhile.
 */
#include "quire_coredump.h"
#include "quire_hold.h"
#include "quire_queue.h"

#define QUIRE_LIMIT_LOOK msecs_to_jiffies(100)
#define QUIRE_LIMIT_REST msecs_to_jiffies(1000)
#define QUIRE_LIMIT_STOP_MS 1000
#define QUIRE_LIMIT_HEARTBEAT msecs_to_jiffies(4000)

u64 quire_limit_oldest(struct quire_queue *queue)
{
	struct quire_job *job;
	unsigned long flags;
	u64 sequence = 0;

	spin_lock_irqsave(&queue->lock, flags);
	job = list_first_entry_or_null(&queue->running, struct quire_job, node);
	if (job)
		sequence = job->sequence;
	spin_unlock_irqrestore(&queue->lock, flags);
	return sequence;
}

/* The job in progress if it is over the limit: its sequence number, else 0. */
static u64 quire_limit_overdue(struct quire_slot *slot)
{
	struct quire_device *qdev = slot->qdev;
	struct quire_queue *queue = slot->queue;
	u32 base = QUIRE_REG_QUEUE(slot->hw);
	u32 number = quire_read(qdev, base + QUIRE_QUEUE_JOB);
	u32 spent = quire_read(qdev, base + QUIRE_QUEUE_JOB_US);
	u64 oldest;

	/* The time is that of the number if this has not changed. */
	if (!number || number != quire_read(qdev, base + QUIRE_QUEUE_JOB))
		return 0;
	quire_ring_worked(queue, number, spent);
	if (spent < queue->limit_us)
		return 0;
	oldest = quire_limit_oldest(queue);
	return quire_job_register(oldest) == number ? oldest : 0;
}

/* The card has ended the oldest job, but its record did not arrive. */
static bool quire_limit_lacks_record(struct quire_slot *slot)
{
	u64 sequence = quire_limit_oldest(slot->queue);
	u32 base = QUIRE_REG_QUEUE(slot->hw);
	u32 completed = quire_read(slot->qdev, base + QUIRE_QUEUE_COMPLETED);

	if (!sequence || ((s32)(completed - lower_32_bits(sequence)) < 0 &&
			  quire_read(slot->qdev, base + QUIRE_QUEUE_STATE) != QUIRE_QUEUE_FAULTED))
		return false;
	/* Records are written before the registers. */
	quire_ring_reap(slot->queue);
	return quire_limit_oldest(slot->queue) == sequence;
}

static void quire_limit_end_unrecorded(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;
	u64 sequence = quire_limit_oldest(queue);

	quire_warn_ratelimited(&slot->qdev->drm,
			       "%s[%d]: the record of job %llu did not arrive\n",
			       queue->comm, queue->pid, quire_ring_oldest_job(queue));
	if (quire_slot_stop(slot, QUIRE_LIMIT_STOP_MS))
		quire_slot_ailing(slot->qdev, "a queue could not be stopped");
	else if (!quire_ring_expel(queue, sequence, QUIRE_STATUS_FIRMWARE, -EIO, false))
		quire_reset_spare(queue);
}

static void quire_limit_check(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;

	lockdep_assert_held(&slot->qdev->queues->lock);
	if (!slot->parking && quire_limit_lacks_record(slot)) {
		quire_limit_end_unrecorded(slot);
		return;
	}
	if (queue->overdue) {
		if (time_after(jiffies, slot->parked_at + QUIRE_LIMIT_REST))
			quire_reset_stubborn(slot->qdev, "a job over its limit cannot be stopped");
		return;
	}
	queue->overdue = quire_limit_overdue(slot);
	if (!queue->overdue)
		return;
	quire_coredump_overdue(queue);
	quire_warn_ratelimited(&slot->qdev->drm,
			       "%s[%d]: job %llu is over its limit of %llu ms, stopping its queue\n",
			       queue->comm, queue->pid, quire_ring_oldest_job(queue),
			       queue->limit_us / USEC_PER_MSEC);
	quire_slot_park(slot);
}

/* True if it has not moved for too long. */
static bool quire_limit_heartbeat(struct quire_queues *queues, struct quire_device *qdev)
{
	u32 heartbeat = quire_read(qdev, QUIRE_REG_HEARTBEAT);

	lockdep_assert_held(&queues->lock);
	if (!queues->beaten || heartbeat != queues->heartbeat) {
		queues->heartbeat = heartbeat;
		queues->beaten = jiffies ?: 1;
		return false;
	}
	return time_after(jiffies, queues->beaten + QUIRE_LIMIT_HEARTBEAT);
}

/* Whether jobs are on rings, or could be. */
static bool quire_limit_look(struct quire_queues *queues)
{
	bool busy = false;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (!slot->queue)
			continue;
		/* Else its registers may be those of who had the ring before. */
		WARN_ON_ONCE(slot->doubt && !queues->ailing);
		/* The records first: an interrupt may not have come. */
		quire_ring_reap(slot->queue);
		busy |= quire_ring_wants(slot->queue);
		if (!quire_ring_busy(slot->queue))
			continue;
		busy = true;
		quire_limit_check(slot);
	}
	return busy;
}

void quire_limit_work(struct work_struct *work)
{
	struct quire_queues *queues =
		container_of(to_delayed_work(work), struct quire_queues, watch);
	struct quire_device *qdev = queues->slots[0].qdev;
	bool busy = false, held, signalling;
	int index;

	if (!drm_dev_enter(&qdev->drm, &index))
		return;
	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	held = quire_hold_watch(queues);
	if (!queues->blocked && !queues->ended && !queues->ailing) {
		/* One that came to rest without its event, too. */
		quire_slots_collect(qdev);
		busy = quire_limit_look(queues);
		if (busy && quire_limit_heartbeat(queues, qdev))
			quire_slot_ailing(qdev, "the firmware has no heartbeat");
		quire_slots_serve(qdev);
	}
	if (!busy)
		queues->beaten = 0;
	mutex_unlock(&queues->lock);
	if (busy || held)
		queue_delayed_work(queues->wq, &queues->watch, QUIRE_LIMIT_LOOK);
	dma_fence_end_signalling(signalling);
	drm_dev_exit(index);
}

/* Jobs are on a ring. */
void quire_limit_watch(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;

	if (!delayed_work_pending(&queues->watch))
		queue_delayed_work(queues->wq, &queues->watch, QUIRE_LIMIT_LOOK);
}
