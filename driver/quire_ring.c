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

#ifdef __BIG_ENDIAN
#error "Ring entries and records are written in the byte order of the CPU, which must be little"
#endif

static int quire_ring_status_error(u32 status)
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

/* The job has ended: signal, and give back what the lists held.  No locks of queues held. */
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

static void quire_ring_write(struct quire_queue *queue, struct quire_job *job)
{
	struct quire_ring_entry *entry;

	lockdep_assert_held(&queue->lock);
	job->sequence = ++queue->tail;
	entry = &queue->ring[job->sequence % QUIRE_RING_ENTRIES];
	entry->sequence = job->sequence;
	entry->stream_address = job->stream_va;
	entry->stream_bytes = job->stream_bytes;
	entry->outcome = job->outcome_va;
	entry->number = job->fence.seqno;
	/*
	 * quire_ring_push() looks for the record when the doorbell returns, so that only
	 * a job that takes longer needs an interrupt.  Whoever waits for room in the
	 * ring needs one in any case: that look makes room, but nobody uses it.
	 */
	if (queue->on_ring + 1 == QUIRE_RING_ENTRIES)
		entry->flags = QUIRE_RING_INTERRUPT;
	else
		entry->flags = job->interrupt ? QUIRE_RING_INTERRUPT | QUIRE_RING_LATE : 0;
	list_move_tail(&job->node, &queue->running);
	queue->on_ring++;
	trace_quire_job_ring(job);
}

/* All jobs end, the oldest on the ring with @error and the others with @error_behind. */
static void quire_ring_drop(struct quire_queue *queue, int error, int error_behind, bool pending,
			    struct list_head *ended)
{
	LIST_HEAD(dropped);
	struct quire_job *job;

	lockdep_assert_held(&queue->lock);
	list_splice_tail_init(&queue->running, &dropped);
	if (pending)
		list_splice_tail_init(&queue->pending, &dropped);
	queue->on_ring = 0;
	list_for_each_entry(job, &dropped, node) {
		job->error = error;
		error = error_behind;
		queue->completed++;
	}
	list_splice_tail(&dropped, ended);
}

static void quire_ring_fault(struct quire_queue *queue, struct quire_job *job,
			     const struct quire_fence_record *record)
{
	lockdep_assert_held(&queue->lock);
	queue->fault = *record;
	queue->fault_job = job->fence.seqno;
	trace_quire_fault(queue, job->fence.seqno, record);
	quire_coredump_job(queue, job, record);
	drm_dbg(&queue->qdev->drm,
		"%s[%d]: job %llu: status %u packet %u detail %u fault %#x at %#llx\n",
		queue->comm, queue->pid, job->fence.seqno, record->status, record->packet,
		record->detail, record->fault_info, record->fault_address);
}

/* The jobs whose records are there, in order, to @ended. */
static void quire_ring_collect(struct quire_queue *queue, struct list_head *ended)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_job *job, *next;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry_safe(job, next, &queue->running, node) {
		struct quire_fence_record *slot =
			&queue->records[job->sequence % QUIRE_RING_ENTRIES];
		struct quire_fence_record record;

		if (READ_ONCE(slot->sequence) != job->sequence)
			break;
		/* The card writes the sequence number last. */
		dma_rmb();
		record = *slot;
		queue->usage.cycles += record.cycles;
		queue->usage.modelled_pj += record.modelled_pj;
		queue->usage.macs += record.macs;
		queue->usage.busy_ns += record.busy_ns;
		job->busy_ns = record.busy_ns;
		queue->completed++;
		queue->on_ring--;
		list_move_tail(&job->node, ended);
		job->error = quire_ring_status_error(record.status);
		if (job->error) {
			quire_ring_fault(queue, job, &record);
			/* The ring is off.  The kernel's goes on once it has been started again. */
			queue->live = false;
			queue->banned = !queue->kernel;
			quire_ring_drop(queue, -ECANCELED, -ECANCELED, true, ended);
			return;
		}
		if (!READ_ONCE(queues->progressed))
			WRITE_ONCE(queues->progressed, true);
	}
}

static bool quire_ring_wants_locked(struct quire_queue *queue)
{
	struct quire_job *job;

	lockdep_assert_held(&queue->lock);
	job = list_first_entry_or_null(&queue->pending, struct quire_job, node);
	return !queue->banned &&
	       (!list_empty(&queue->running) || (job && !atomic_read(&job->waits)));
}

/*
 * Move what can run to the ring, and ring the doorbell: always, for there is no word that
 * both sides modify.  What has ended by then goes to @ended.
 */
static void quire_ring_push(struct quire_queue *queue, struct list_head *ended)
{
	struct quire_job *job, *next;
	bool written = false;

	lockdep_assert_held(&queue->lock);
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
	WRITE_ONCE(queue->slot->used, jiffies);
	/* The entries before the doorbell: writel() orders them. */
	quire_write(queue->qdev, QUIRE_REG_DOORBELL(queue->slot->hw), lower_32_bits(queue->tail));
	/* Short jobs are done when the doorbell returns, and do not interrupt then. */
	quire_ring_collect(queue, ended);
	/* All that fitted may have ended before this look: the others wait for its interrupt. */
	if (quire_ring_wants_locked(queue))
		quire_limit_watch(queue->qdev);
}

/* Look for records and end their jobs; from the interrupt, submission and the watch. */
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

/* Jobs are pending: to the ring with them, if there is one. */
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

bool quire_ring_busy(struct quire_queue *queue)
{
	unsigned long flags;
	bool busy;

	spin_lock_irqsave(&queue->lock, flags);
	busy = !list_empty(&queue->running);
	spin_unlock_irqrestore(&queue->lock, flags);
	return busy;
}

bool quire_ring_has_jobs(struct quire_queue *queue)
{
	unsigned long flags;
	bool any;

	spin_lock_irqsave(&queue->lock, flags);
	any = !list_empty(&queue->running) || !list_empty(&queue->pending);
	spin_unlock_irqrestore(&queue->lock, flags);
	return any;
}

bool quire_ring_wants(struct quire_queue *queue)
{
	unsigned long flags;
	bool wants;

	spin_lock_irqsave(&queue->lock, flags);
	wants = quire_ring_wants_locked(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	return wants;
}

void quire_ring_push_work(struct work_struct *work)
{
	struct quire_queue *queue = container_of(work, struct quire_queue, push);
	bool signalling = dma_fence_begin_signalling();
	int index;

	if (drm_dev_enter(&queue->qdev->drm, &index)) {
		if (READ_ONCE(queue->live))
			quire_ring_kick(queue);
		else
			quire_slot_request(queue);
		drm_dev_exit(index);
	}
	dma_fence_end_signalling(signalling);
}

/*
 * End all jobs: the oldest running one with @error, the others with @error_behind,
 * those not on the ring only if @pending.  The card no longer runs any of them.
 */
void quire_ring_abort(struct quire_queue *queue, int error, int error_behind, bool pending)
{
	unsigned long flags;
	LIST_HEAD(ended);
	bool signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->lock, flags);
	quire_ring_drop(queue, error, error_behind, pending, &ended);
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_ring_end_jobs(&ended);
	dma_fence_end_signalling(signalling);
}

/*
 * A job is guilty, and the card does nothing for the queue any more: end the oldest job
 * on the ring with @error and those behind it, ban the queue.  False if all had ended.
 */
bool quire_ring_expel(struct quire_queue *queue, u32 status, int error)
{
	struct quire_fence_record record = { .status = status };
	struct quire_job *guilty;
	unsigned long flags;
	LIST_HEAD(ended);
	bool signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->lock, flags);
	quire_ring_collect(queue, &ended);
	guilty = list_first_entry_or_null(&queue->running, struct quire_job, node);
	if (guilty) {
		queue->banned = !queue->kernel;
		quire_ring_fault(queue, guilty, &record);
		quire_ring_drop(queue, error, -ECANCELED, true, &ended);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_ring_end_jobs(&ended);
	dma_fence_end_signalling(signalling);
	return guilty;
}

/* What was on the ring when the card lost it is run again from its beginning. */
void quire_ring_rerun(struct quire_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->rerun += queue->on_ring;
	list_splice_init(&queue->running, &queue->pending);
	queue->on_ring = 0;
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* Give the ring of the queue to the firmware; nothing runs before the next kick. */
int quire_ring_start(struct quire_queue *queue)
{
	struct quire_device *qdev = queue->qdev;
	struct quire_slot *slot = queue->slot;
	dma_addr_t records = queue->ring_bus + QUIRE_RING_BYTES;
	u32 base = QUIRE_REG_QUEUE(slot->hw);
	unsigned long flags;
	int ret;

	lockdep_assert_held(&qdev->queues->lock);
	if (!queue->parked)
		memset(queue->records, 0, QUIRE_RECORDS_BYTES);
	quire_write64(qdev, base + QUIRE_QUEUE_RING_LO, queue->ring_bus);
	quire_write64(qdev, base + QUIRE_QUEUE_RECORD_LO, records);
	quire_write64(qdev, base + QUIRE_QUEUE_SAVE_LO, records + QUIRE_RECORDS_BYTES);
	quire_write(qdev, base + QUIRE_QUEUE_ENTRIES_LOG2, QUIRE_RING_LOG2);
	quire_write(qdev, base + QUIRE_QUEUE_CONTEXT, queue->vm->mmu.context);
	quire_write(qdev, base + QUIRE_QUEUE_PRIORITY, quire_share_register(queue));
	quire_write(qdev, base + QUIRE_QUEUE_RESUME, queue->parked);
	ret = quire_mailbox_send(qdev, QUIRE_MAILBOX_QUEUE_START, slot->hw);
	if (ret)
		return ret;
	quire_share_told(queue);
	spin_lock_irqsave(&queue->lock, flags);
	if (!queue->parked)
		queue->tail = 0;
	queue->live = true;
	/* The jobs behind the one in progress are there already. */
	if (queue->parked)
		quire_write(qdev, QUIRE_REG_DOORBELL(slot->hw), lower_32_bits(queue->tail));
	spin_unlock_irqrestore(&queue->lock, flags);
	if (queue->parked)
		quire_limit_watch(qdev);
	queue->parked = false;
	return 0;
}
