// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a reset of the card means for a queue that had jobs on it:
 *  - it came to rest before, even if nobody has noticed yet: it goes on where it was;
 *  - it is guilty: its job in progress ends with an error, and the queue is banned;
 *  - no job of it had begun: they are run from the beginning;
 *  - a job had begun: nobody knows what of it was done, and done again it may give something
 *    else.  It ends with -EIO, and so do those behind it, which may need what it should have
 *    done.  Unless it says that it gives the same when it is begun again.
 *  - the card counts its job as ended, and the record of that did not arrive: -EIO likewise.
 *
 * Guilty is whose job could not be stopped; and when the firmware failed, whose job was the only
 * one in progress.  If there were several, nobody is; but from then on queues have the card one at
 * a time (quire_turn.c), so that it is known the next time.  Guilty without a reset is who keeps an
 * engine so long that memory waits for it, and whose job more than three resets have interrupted
 * for which nobody else was guilty.
 */
#include "quire_queue.h"

/* A job that was interrupted as often is not run again. */
#define QUIRE_SETTLE_RERUNS 3

/** enum quire_settle_progress - what a reset means for the jobs of a queue */
enum quire_settle_progress {
	/** @QUIRE_SETTLE_RERUN: none had begun, or it may begin again */
	QUIRE_SETTLE_RERUN,
	/** @QUIRE_SETTLE_ABORT: one had, and it may not: all end */
	QUIRE_SETTLE_ABORT,
	/** @QUIRE_SETTLE_TOO_OFTEN: one has been interrupted too often */
	QUIRE_SETTLE_TOO_OFTEN,
};

/*
 * Which jobs were in progress when the card stopped: only a stopped card begins no other.  One
 * that did not stop, or does not answer, may have begun any.
 */
static void quire_settle_note(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	bool off;

	lockdep_assert_held(&queues->lock);
	off = quire_read(qdev, QUIRE_REG_BOOT_STATUS) == QUIRE_BOOT_OFF;
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		u32 base = QUIRE_REG_QUEUE(i);

		slot->job = off ? quire_read(qdev, base + QUIRE_QUEUE_JOB) : ~0u;
		slot->job_us = off ? quire_read(qdev, base + QUIRE_QUEUE_JOB_US) : ~0u;
		slot->state = off ? quire_read(qdev, base + QUIRE_QUEUE_STATE) : QUIRE_QUEUE_OFF;
		slot->completed = quire_read(qdev, base + QUIRE_QUEUE_COMPLETED);
	}
}

/* The jobs are at rest in the queue's page. */
static bool quire_settle_at_rest(const struct quire_slot *slot)
{
	return slot->state == QUIRE_QUEUE_PARKED;
}

/* The card has begun to serve the queue, or nobody knows. */
static bool quire_settle_has_started(const struct quire_slot *slot)
{
	return !slot->doubt || slot->job == ~0u || slot->state == QUIRE_QUEUE_ACTIVE ||
	       slot->state == QUIRE_QUEUE_FAULTED;
}

/*
 * Records written before the end are results all the same.  What the card had spent on the job
 * behind them counts; where it does not tell, what the watch saw last.
 */
static void quire_settle_collect(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;

	lockdep_assert_held(&slot->qdev->queues->lock);
	quire_ring_reap(queue);
	/* Else the registers are those of who had the ring before. */
	if (!quire_settle_has_started(slot))
		return;
	if (slot->job)
		quire_ring_worked(queue, slot->job, slot->job_us);
	else if (slot->state != QUIRE_QUEUE_ACTIVE)
		quire_ring_leave(queue, slot->job_us);
}

/* The oldest job on the ring has no record, though the card has come to its end. */
static bool quire_settle_lacks_record(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;
	struct quire_job *job;
	unsigned long flags;
	bool lacks;

	lockdep_assert_held(&slot->qdev->queues->lock);
	spin_lock_irqsave(&queue->lock, flags);
	job = list_first_entry_or_null(&queue->running, struct quire_job, node);
	lacks = job && slot->state != QUIRE_QUEUE_OFF &&
		(slot->state == QUIRE_QUEUE_FAULTED ||
		 (s32)(slot->completed - lower_32_bits(job->sequence)) >= 0);
	spin_unlock_irqrestore(&queue->lock, flags);
	return lacks;
}

/* The job that had begun and not ended, or NULL. */
static struct quire_job *quire_settle_begun_locked(struct quire_slot *slot)
{
	struct quire_job *job;

	lockdep_assert_held(&slot->queue->lock);
	job = list_first_entry_or_null(&slot->queue->running, struct quire_job, node);
	/* All ones: the card did not tell. */
	if (job && job->stream_bytes &&
	    (slot->job == quire_job_register(job->sequence) || slot->job == ~0u))
		return job;
	return NULL;
}

/* A card that did not stop may end the job any time: it is looked at under the queue's lock. */
static bool quire_settle_begun(struct quire_slot *slot)
{
	unsigned long flags;
	bool begun;

	lockdep_assert_held(&slot->qdev->queues->lock);
	spin_lock_irqsave(&slot->queue->lock, flags);
	begun = quire_settle_begun_locked(slot);
	spin_unlock_irqrestore(&slot->queue->lock, flags);
	return begun;
}

/* What the reset means for the job in progress, which counts it unless somebody is @guilty. */
static enum quire_settle_progress quire_settle_progress(struct quire_slot *slot, bool guilty)
{
	enum quire_settle_progress progress = QUIRE_SETTLE_RERUN;
	struct quire_job *job;
	unsigned long flags;

	lockdep_assert_held(&slot->qdev->queues->lock);
	spin_lock_irqsave(&slot->queue->lock, flags);
	job = quire_settle_begun_locked(slot);
	if (job && !job->restartable)
		progress = QUIRE_SETTLE_ABORT;
	else if (job && !guilty && ++job->begun > QUIRE_SETTLE_RERUNS)
		progress = QUIRE_SETTLE_TOO_OFTEN;
	spin_unlock_irqrestore(&slot->queue->lock, flags);
	return progress;
}

/*
 * Whose job must be the reason of a crash: it was the only one in progress; NULL if there were
 * others, or none.  *@begun: how many there were.  One of the kernel's is no excuse for who had the
 * card to himself otherwise, or moves of memory that he causes would hide him.
 */
static struct quire_queue *quire_settle_suspect(struct quire_queues *queues, unsigned int *begun)
{
	struct quire_queue *suspect = NULL;
	unsigned int others = 0;

	lockdep_assert_held(&queues->lock);
	*begun = 0;
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_queue *queue = queues->slots[i].queue;

		if (!queue || !quire_settle_begun(&queues->slots[i]))
			continue;
		++*begun;
		others += !queue->kernel;
		if (!suspect || suspect->kernel)
			suspect = queue;
	}
	return *begun == 1 || (others == 1 && quire_turn_by_turn(queues)) ? suspect : NULL;
}

/* False: the job has ended by itself. */
static bool quire_settle_ban(struct quire_slot *slot, u64 sequence, u32 status, int error)
{
	struct quire_queue *queue = slot->queue;

	if (!quire_ring_expel(queue, sequence, status, error, true))
		return false;
	quire_warn_ratelimited(&slot->qdev->drm,
			       "%s[%d]: banned, job %llu was the reason of a reset\n",
			       queue->comm, queue->pid, queue->fault_job);
	return true;
}

/*
 * The card is stopped: whether the queue of a slot is guilty, which is banned then.  @suspect: that
 * must have crashed the firmware, or NULL.
 */
static bool quire_settle_blame(struct quire_slot *slot, const struct quire_queue *suspect)
{
	struct quire_queue *queue = slot->queue;
	u64 overdue = queue->overdue;

	lockdep_assert_held(&slot->qdev->queues->lock);
	quire_queue_forgive(queue);
	if (overdue && quire_settle_ban(slot, overdue, QUIRE_STATUS_CANCELLED, -ETIME))
		return true;
	/* One that is being closed ends its jobs itself. */
	if (queue != suspect || READ_ONCE(queue->banned) || !quire_settle_has_started(slot))
		return false;
	return quire_settle_ban(slot, quire_limit_oldest(queue), QUIRE_STATUS_FIRMWARE, -EIO);
}

/* What becomes of others.  @guilty: somebody is; nobody else is after too many resets. */
static void quire_settle_queue(struct quire_slot *slot, bool guilty)
{
	struct quire_queue *queue = slot->queue;
	enum quire_settle_progress progress;

	lockdep_assert_held(&slot->qdev->queues->lock);
	if (READ_ONCE(queue->banned) || !quire_ring_busy(queue))
		return;
	/* The registers are those of who had the ring before.  What the page holds goes on. */
	if (!quire_settle_has_started(slot))
		return;
	queue->parked = false;
	if (quire_settle_at_rest(slot)) {
		queue->parked = true;
		return;
	}
	progress = quire_settle_progress(slot, guilty);
	if (progress == QUIRE_SETTLE_TOO_OFTEN) {
		quire_settle_ban(slot, quire_limit_oldest(queue), QUIRE_STATUS_FIRMWARE, -EIO);
		return;
	}
	WRITE_ONCE(queue->reset, DRM_QUIRE_QUEUE_RESET_INNOCENT);
	if (quire_settle_lacks_record(slot) || progress == QUIRE_SETTLE_ABORT)
		quire_ring_abort(queue, -EIO);
	else
		quire_ring_rerun(queue);
}

/* The firmware has crashed with several jobs in progress: the next time there will be one. */
static void quire_settle_part(struct quire_queues *queues, const struct quire_queue *suspect,
			      unsigned int begun)
{
	lockdep_assert_held(&queues->lock);
	if (begun && (quire_turn_by_turn(queues) || !suspect))
		queues->crashed = jiffies ?: 1;
}

/* What can be known before it is seen who is guilty: which jobs have ended. */
static void quire_settle_collect_all(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;

	quire_settle_note(qdev);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (!slot->queue)
			continue;
		WRITE_ONCE(slot->queue->live, false);
		quire_settle_collect(slot);
	}
}

/*
 * All rings come back from a card that is stopped.  @crashed: the firmware failed.  True if
 * somebody is guilty of it, or if others had jobs in progress, who will be when it goes on.
 */
bool quire_settle_all(struct quire_device *qdev, bool crashed)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_queue *suspect;
	bool guilty = false;
	unsigned int begun;

	lockdep_assert_held(&queues->lock);
	quire_settle_collect_all(qdev);
	suspect = quire_settle_suspect(queues, &begun);
	if (crashed)
		quire_settle_part(queues, suspect, begun);
	for (u32 i = 0; i < queues->count; i++)
		if (queues->slots[i].queue)
			guilty |= quire_settle_blame(&queues->slots[i], crashed ? suspect : NULL);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		struct quire_queue *queue = slot->queue;

		if (!queue)
			continue;
		quire_settle_queue(slot, guilty);
		quire_slot_detach(slot);
	}
	return guilty || begun;
}
