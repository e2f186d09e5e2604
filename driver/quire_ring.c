// SPDX-License-Identifier: GPL-2.0-only
/*
 * Jobs on and off the ring.  Everything here runs in fence-signalling paths:
 * nothing allocates, and nothing waits for anything but the card.
 */
#include <linux/dma-fence.h>
#include <linux/slab.h>

#include "quire_coredump.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_trace.h"
#include "quire_vm.h"

static int quire_status_error(u32 status)
{
	switch (status) {
	case QUIRE_STATUS_OK:
		return 0;
	case QUIRE_STATUS_BAD_PACKET:
	case QUIRE_STATUS_BAD_STREAM:
	case QUIRE_STATUS_MMU_FAULT:
	case QUIRE_STATUS_BAD_TILE:
		return -EFAULT;
	case QUIRE_STATUS_CANCELLED:
		return -ETIME;
	case QUIRE_STATUS_LIMIT:
		return -ERANGE;
	default:
		return -EIO;
	}
}

/* The job has ended: signal, and give back what the lists held.  No locks held. */
void quire_ring_end_job(struct quire_job *job)
{
	struct quire_queue *queue = job->queue;

	trace_quire_job_done(job);
	quire_job_disarm(job);
	if (job->error)
		dma_fence_set_error(&job->fence, job->error);
	dma_fence_signal(&job->fence);
	dma_fence_put(&job->fence);
	quire_power_put_job(queue->qdev);
	quire_queue_put(queue);
}

static void quire_ring_end_jobs(struct list_head *jobs)
{
	struct quire_job *job, *next;

	list_for_each_entry_safe(job, next, jobs, node) {
		list_del_init(&job->node);
		quire_ring_end_job(job);
	}
}

/* Under queue->lock. */
static void quire_ring_write(struct quire_queue *queue, struct quire_job *job)
{
	struct quire_ring_entry *entry;

	job->sequence = ++queue->tail;
	entry = &queue->ring[job->sequence % QUIRE_RING_ENTRIES];
	entry->sequence = job->sequence;
	entry->stream_address = job->stream_va;
	entry->stream_bytes = job->stream_bytes;
	/*
	 * quire_ring_push() looks for the record when the doorbell returns, so that only
	 * a job that takes longer needs an interrupt.  Whoever waits for room in the
	 * ring needs one in any case: that look makes room, but nobody uses it.
	 */
	if (queue->on_ring + 1 == QUIRE_RING_ENTRIES)
		entry->flags = QUIRE_RING_INTERRUPT;
	else
		entry->flags = job->interrupt ? QUIRE_RING_INTERRUPT | QUIRE_RING_LATE : 0;
	if (list_empty(&queue->running)) {
		queue->started = jiffies;
		/* One that is armed already finds out about this job by itself. */
		queue_delayed_work(queue->qdev->queues->wq, &queue->timeout, queue->limit);
	}
	list_move_tail(&job->node, &queue->running);
	queue->on_ring++;
	trace_quire_job_ring(job);
}

/* Under queue->lock: a job has failed.  What is behind it goes to @ended, cancelled. */
static void quire_ring_ban(struct quire_queue *queue, struct list_head *ended)
{
	struct quire_job *job;

	queue->banned = true;
	list_splice_tail_init(&queue->pending, &queue->running);
	list_for_each_entry(job, &queue->running, node)
		job->error = -ECANCELED;
	list_for_each_entry(job, &queue->running, node)
		queue->completed++;
	list_splice_tail_init(&queue->running, ended);
	queue->on_ring = 0;
}

static void quire_ring_fault(struct quire_queue *queue, struct quire_job *job,
			     const struct quire_fence_record *record)
{
	queue->fault = *record;
	queue->fault_job = job->fence.seqno;
	trace_quire_fault(queue->hw, record);
	quire_coredump_job(queue, job, record);
	drm_dbg(&queue->qdev->drm,
		"queue %u job %llu: status %u packet %u detail %u fault %#x at %#llx\n",
		queue->hw, job->fence.seqno, record->status, record->packet, record->detail,
		record->fault_info, record->fault_address);
}

/* Under queue->lock: the jobs whose records are there, in order, to @ended. */
static void quire_ring_collect(struct quire_queue *queue, struct list_head *ended)
{
	struct quire_job *job, *next;

	list_for_each_entry_safe(job, next, &queue->running, node) {
		struct quire_fence_record *slot =
			&queue->records[job->sequence % QUIRE_RING_ENTRIES];
		struct quire_fence_record record;

		if (READ_ONCE(slot->sequence) != job->sequence)
			break;
		/* The card writes the sequence number last. */
		dma_rmb();
		record = *slot;
		queue->cycles += record.cycles;
		queue->modelled_pj += record.modelled_pj;
		queue->macs += record.macs;
		queue->busy_ns += record.busy_ns;
		queue->completed++;
		queue->on_ring--;
		queue->started = jiffies;
		list_move_tail(&job->node, ended);
		job->error = quire_status_error(record.status);
		if (job->error) {
			quire_ring_fault(queue, job, &record);
			quire_ring_ban(queue, ended);
			return;
		}
	}
}

/*
 * Under queue->lock.  Move what can run to the ring, and ring the doorbell: always,
 * for there is no word that both sides modify.  What has ended by then goes to @ended.
 */
static void quire_ring_push(struct quire_queue *queue, struct list_head *ended)
{
	struct quire_job *job, *next;
	bool written = false;

	if (!queue->live)
		return;
	list_for_each_entry_safe(job, next, &queue->pending, node) {
		if (atomic_read(&job->waits) || queue->on_ring == QUIRE_RING_ENTRIES)
			break;
		quire_ring_write(queue, job);
		written = true;
	}
	if (!written)
		return;
	/* The entries before the doorbell: writel() orders them. */
	quire_write(queue->qdev, QUIRE_REG_DOORBELL(queue->hw), lower_32_bits(queue->tail));
	/* Short jobs are done when the doorbell returns, and do not interrupt then. */
	quire_ring_collect(queue, ended);
}

/* Look for records and end their jobs; from the interrupt, submission and time-outs. */
void quire_ring_reap(struct quire_queue *queue)
{
	unsigned long flags;
	LIST_HEAD(ended);
	bool signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->lock, flags);
	quire_ring_collect(queue, &ended);
	if (!list_empty(&queue->pending))
		quire_ring_push(queue, &ended);
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_ring_end_jobs(&ended);
	dma_fence_end_signalling(signalling);
}

/* New jobs are pending. */
void quire_ring_kick(struct quire_queue *queue)
{
	unsigned long flags;
	LIST_HEAD(ended);
	bool signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->lock, flags);
	quire_ring_push(queue, &ended);
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_ring_end_jobs(&ended);
	dma_fence_end_signalling(signalling);
}

void quire_ring_push_work(struct work_struct *work)
{
	quire_ring_kick(container_of(work, struct quire_queue, push));
}

/*
 * End all jobs: the oldest running one with @error, the others with @error_behind,
 * those not on the ring only if @pending.  The card no longer runs any of them.
 */
void quire_ring_abort(struct quire_queue *queue, int error, int error_behind, bool pending)
{
	struct quire_job *job;
	unsigned long flags;
	LIST_HEAD(ended);
	bool signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->lock, flags);
	list_splice_tail_init(&queue->running, &ended);
	if (pending)
		list_splice_tail_init(&queue->pending, &ended);
	queue->on_ring = 0;
	list_for_each_entry(job, &ended, node) {
		job->error = error;
		error = error_behind;
		queue->completed++;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_ring_end_jobs(&ended);
	dma_fence_end_signalling(signalling);
}

/* Give the queue's ring to the firmware.  Under queues->lock. */
int quire_ring_start(struct quire_queue *queue)
{
	struct quire_device *qdev = queue->qdev;
	u32 base = QUIRE_REG_QUEUE(queue->hw);
	unsigned long flags;
	int ret;

	/* Even should it fail: a reset tries again. */
	queue->on_card = true;
	if (qdev->queues->in_reset)
		return 0;
	memset(queue->records, 0, QUIRE_RING_ENTRIES * sizeof(*queue->records));
	quire_write64(qdev, base + QUIRE_QUEUE_RING_LO, queue->ring_bus);
	quire_write64(qdev, base + QUIRE_QUEUE_RECORD_LO, queue->records_bus);
	quire_write(qdev, base + QUIRE_QUEUE_ENTRIES_LOG2, QUIRE_RING_LOG2);
	quire_write(qdev, base + QUIRE_QUEUE_CONTEXT, queue->vm->context);
	quire_write(qdev, base + QUIRE_QUEUE_PRIORITY,
		    QUIRE_QUEUE_PRIORITY_NORMAL + queue->priority);
	ret = quire_mailbox_send(qdev, QUIRE_MAILBOX_QUEUE_START, queue->hw);
	if (ret)
		return ret;
	spin_lock_irqsave(&queue->lock, flags);
	queue->tail = 0;
	queue->live = true;
	spin_unlock_irqrestore(&queue->lock, flags);
	return 0;
}

/* Take the ring back: nothing of the queue runs when this returns 0.  Under queues->lock. */
int quire_ring_stop(struct quire_queue *queue)
{
	struct quire_device *qdev = queue->qdev;
	bool on_card = queue->on_card && !qdev->wedged && !qdev->queues->in_reset &&
		       !qdev->queues->ended;
	unsigned long flags;

	queue->on_card = false;
	spin_lock_irqsave(&queue->lock, flags);
	queue->live = false;
	spin_unlock_irqrestore(&queue->lock, flags);
	return on_card ? quire_mailbox_send(qdev, QUIRE_MAILBOX_QUEUE_STOP, queue->hw) : 0;
}

/*
 * The oldest job was over its limit, and the card does nothing for the queue any
 * more: end the job, ban the queue.  False if all jobs had ended meanwhile.
 */
bool quire_ring_expel(struct quire_queue *queue)
{
	struct quire_fence_record record = { .status = QUIRE_STATUS_CANCELLED };
	struct quire_job *guilty;
	unsigned long flags;
	bool over;

	quire_ring_reap(queue);
	spin_lock_irqsave(&queue->lock, flags);
	guilty = list_first_entry_or_null(&queue->running, struct quire_job, node);
	if (guilty) {
		queue->banned = true;
		quire_ring_fault(queue, guilty, &record);
	}
	over = queue->banned;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (guilty)
		quire_ring_abort(queue, -ETIME, -ECANCELED, true);
	return over;
}

/* The oldest job is over its limit: end it; other queues are untouched.  Under queues->lock. */
static void quire_ring_end_guilty(struct quire_queue *queue)
{
	struct quire_device *qdev = queue->qdev;

	drm_warn(&qdev->drm, "queue %u: a job is over its limit of %u ms, stopping the queue\n",
		 queue->hw, jiffies_to_msecs(queue->limit));
	if (quire_ring_stop(queue)) {
		queue->overdue = true;
		quire_reset_schedule(qdev, "a queue could not be stopped");
		return;
	}
	if (quire_ring_expel(queue))
		return;
	/* It was done in the last moment: those behind it run on. */
	if (quire_ring_start(queue))
		quire_reset_schedule(qdev, "a queue could not be started");
	else
		quire_ring_kick(queue);
}

void quire_ring_timeout(struct work_struct *work)
{
	struct quire_queue *queue =
		container_of(to_delayed_work(work), struct quire_queue, timeout);
	struct quire_queues *queues = queue->qdev->queues;
	unsigned long flags, deadline;
	bool running, signalling;
	int index;

	if (!drm_dev_enter(&queue->qdev->drm, &index))
		return;
	signalling = dma_fence_begin_signalling();
	/* The record first: an interrupt may have been lost. */
	quire_ring_reap(queue);
	mutex_lock(&queues->lock);
	spin_lock_irqsave(&queue->lock, flags);
	running = queue->live && !list_empty(&queue->running);
	deadline = queue->started + queue->limit;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (running && time_before(jiffies, deadline))
		mod_delayed_work(queues->wq, &queue->timeout, deadline - jiffies);
	else if (running)
		quire_ring_end_guilty(queue);
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	drm_dev_exit(index);
}
