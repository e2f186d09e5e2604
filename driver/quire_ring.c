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
#include "quire_resv.h"
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
	entry->whose = job->whose;
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

/*
 * A job comes: it waits for its turn, or it is too @late and ends behind those dropped before.
 * Where there are still others, on a card that goes, it ends with them.
 */
void quire_ring_add(struct quire_queue *queue, struct quire_job *job, int late)
{
	bool last = list_empty(&queue->running) && list_empty(&queue->pending);

	lockdep_assert_held(&queue->lock);
	if (late)
		job->error = late;
	if (late && last)
		queue->dropping = true;
	list_move_tail(&job->node, late && last ? &queue->dropped : &queue->pending);
}

/* The oldest job on the ring goes without a record, or is begun anew: what was spent counts. */
static void quire_ring_count_spent(struct quire_queue *queue)
{
	struct quire_job *job;

	lockdep_assert_held(&queue->lock);
	job = list_first_entry_or_null(&queue->running, struct quire_job, node);
	if (job)
		job->busy_ns += queue->job_ns;
	queue->usage.busy_ns += queue->job_ns;
	queue->job_ns = 0;
}

/* All jobs are to end, with the errors that they have.  quire_end_later() is to follow. */
static void quire_ring_drop(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	quire_ring_count_spent(queue);
	list_splice_tail_init(&queue->running, &queue->dropped);
	list_splice_tail_init(&queue->pending, &queue->dropped);
	quire_waits_forget(&queue->waits);
	queue->dropping = true;
	queue->on_ring = 0;
}

/* No job of it runs any more.  The kernel's queue goes on once it has been started again. */
static void quire_ring_ban(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	if (!queue->kernel)
		queue->banned = true;
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

/*
 * The jobs whose records are there, in order, to @ended.  True if the next has failed, which is
 * dropped with those behind it.
 */
static bool quire_ring_collect(struct quire_queue *queue, struct list_head *ended)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_job *job, *next;

	lockdep_assert_held(&queue->order);
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
		/* The record has all of it. */
		queue->job_ns = 0;
		job->busy_ns += record.busy_ns;
		job->error = quire_ring_status_error(record.status);
		if (job->error) {
			quire_ring_fault(queue, job, &record);
			/* The ring is off. */
			queue->live = false;
			quire_ring_ban(queue);
			quire_ring_drop(queue);
			return true;
		}
		queue->completed++;
		queue->on_ring--;
		list_move_tail(&job->node, ended);
		if (!READ_ONCE(queues->progressed))
			WRITE_ONCE(queues->progressed, true);
	}
	return false;
}

static bool quire_ring_wants_locked(struct quire_queue *queue)
{
	struct quire_job *job;

	lockdep_assert_held(&queue->lock);
	job = list_first_entry_or_null(&queue->pending, struct quire_job, node);
	return !queue->banned && !quire_hold_active(&queue->vm->hold) &&
	       (!list_empty(&queue->running) || (job && !quire_syncs_waiting(&job->syncs)));
}

/*
 * Move what can run to the ring, and ring the doorbell: always, for there is no word that
 * both sides modify.  What has ended by then goes to @ended, as quire_ring_collect() does it.
 */
static bool quire_ring_push(struct quire_queue *queue, struct list_head *ended)
{
	bool written = false, failed;
	struct quire_job *job, *next;

	lockdep_assert_held(&queue->lock);
	if (!queue->live || queue->dropping)
		return false;
	list_for_each_entry_safe(job, next, &queue->pending, node) {
		if (quire_syncs_waiting(&job->syncs) || queue->on_ring == QUIRE_RING_ENTRIES)
			break;
		quire_ring_write(queue, job);
		written = true;
	}
	if (written) {
		WRITE_ONCE(queue->slot->used, jiffies);
		/* The entries before the doorbell: writel() orders them. */
		quire_write(queue->qdev, QUIRE_REG_DOORBELL(queue->slot->hw),
			    lower_32_bits(queue->tail));
	}
	/*
	 * Short jobs are done when the doorbell returns, and do not interrupt then: also that
	 * of quire_ring_start(), behind which nobody has looked yet.
	 */
	failed = quire_ring_collect(queue, ended);
	/* All that fitted may have ended before this look: the others wait for its interrupt. */
	if (quire_ring_wants_locked(queue))
		quire_limit_watch(queue->qdev);
	return failed;
}

/* Look for records and end their jobs; from the interrupt, submission and the watch. */
void quire_ring_reap(struct quire_queue *queue)
{
	unsigned long flags;
	LIST_HEAD(ended);
	bool failed, signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->order, flags);
	spin_lock(&queue->lock);
	failed = quire_ring_collect(queue, &ended);
	if (!list_empty(&queue->pending))
		failed = quire_ring_push(queue, &ended);
	spin_unlock(&queue->lock);
	quire_end_signal_jobs(queue, &ended);
	spin_unlock_irqrestore(&queue->order, flags);
	quire_end_release_jobs(queue, &ended, failed);
	dma_fence_end_signalling(signalling);
}

/* Jobs are pending: to the ring with them, if there is one. */
void quire_ring_kick(struct quire_queue *queue)
{
	unsigned long flags;
	LIST_HEAD(ended);
	bool failed, signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->order, flags);
	spin_lock(&queue->lock);
	failed = quire_ring_push(queue, &ended);
	spin_unlock(&queue->lock);
	quire_end_signal_jobs(queue, &ended);
	spin_unlock_irqrestore(&queue->order, flags);
	quire_end_release_jobs(queue, &ended, failed);
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

bool quire_ring_is_empty(const struct quire_queue *queue)
{
	/* In the order in which a job goes through them. */
	return list_empty_careful(&queue->pending) && list_empty_careful(&queue->running);
}

u64 quire_ring_oldest_job(struct quire_queue *queue)
{
	unsigned long flags;
	u64 job;

	spin_lock_irqsave(&queue->lock, flags);
	job = queue->completed + 1;
	spin_unlock_irqrestore(&queue->lock, flags);
	return job;
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

static void quire_ring_push_work(struct work_struct *work)
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

void quire_ring_init(struct quire_queue *queue)
{
	spin_lock_init(&queue->order);
	spin_lock_init(&queue->lock);
	quire_waits_init(&queue->waits);
	INIT_LIST_HEAD(&queue->pending);
	INIT_LIST_HEAD(&queue->running);
	INIT_LIST_HEAD(&queue->dropped);
	INIT_LIST_HEAD(&queue->spent);
	INIT_WORK(&queue->push, quire_ring_push_work);
	INIT_WORK(&queue->end, quire_end_work);
}

/* The newest job on the lists, or NULL. */
static struct quire_job *quire_ring_newest(struct quire_queue *queue)
{
	struct list_head *list = list_empty(&queue->pending) ? &queue->running : &queue->pending;

	lockdep_assert_held(&queue->lock);
	return list_empty(list) ? NULL : list_last_entry(list, struct quire_job, node);
}

/*
 * All jobs are to end with @error.  The card no longer runs any of them.  They may be many: which
 * they are is written down, and quire_end_work() tells each.
 */
void quire_ring_abort(struct quire_queue *queue, int error)
{
	struct quire_job *newest;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	newest = quire_ring_newest(queue);
	if (newest && error != QUIRE_JOB_DROPPED) {
		queue->aborted = newest->fence.seqno;
		queue->abort_error = error;
	}
	quire_ring_drop(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_end_later(queue);
}

/*
 * The job with this sequence number is guilty, and the card does nothing for the queue any more:
 * it is to end with @error, and those behind it; the queue is banned.  @guilty: of a reset, or of
 * memory that others waited for, which whoever sees the job end finds said.  False if it has
 * ended by itself: those behind it have done nothing.
 */
bool quire_ring_expel(struct quire_queue *queue, u64 sequence, u32 status, int error, bool guilty)
{
	struct quire_fence_record record = { .status = status };
	struct quire_job *oldest;
	unsigned long flags;
	LIST_HEAD(ended);
	bool failed, signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->order, flags);
	spin_lock(&queue->lock);
	failed = quire_ring_collect(queue, &ended);
	oldest = list_first_entry_or_null(&queue->running, struct quire_job, node);
	if (oldest && oldest->sequence != sequence)
		oldest = NULL;
	if (oldest) {
		oldest->error = error;
		if (guilty)
			WRITE_ONCE(queue->reset, DRM_QUIRE_QUEUE_RESET_GUILTY);
		quire_ring_ban(queue);
		quire_ring_fault(queue, oldest, &record);
		quire_ring_drop(queue);
	}
	spin_unlock(&queue->lock);
	quire_end_signal_jobs(queue, &ended);
	spin_unlock_irqrestore(&queue->order, flags);
	quire_end_release_jobs(queue, &ended, failed || oldest);
	dma_fence_end_signalling(signalling);
	return oldest;
}

static void quire_ring_worked_locked(struct quire_queue *queue, u32 job_us)
{
	lockdep_assert_held(&queue->lock);
	/* All ones: a card that does not answer. */
	if (job_us != ~0u && !list_empty(&queue->running))
		queue->job_ns = max(queue->job_ns, (u64)job_us * NSEC_PER_USEC);
}

/* So long has the card worked on a job up to now, if it is the oldest on the ring still. */
void quire_ring_worked(struct quire_queue *queue, u32 job, u32 job_us)
{
	struct quire_job *oldest;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	oldest = list_first_entry_or_null(&queue->running, struct quire_job, node);
	if (oldest && quire_job_register(oldest->sequence) == job)
		quire_ring_worked_locked(queue, job_us);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/*
 * The card has stopped with the queue, and tells how long it worked on the job that it has left,
 * or 0: that is the first without a record.
 */
void quire_ring_leave(struct quire_queue *queue, u32 job_us)
{
	unsigned long flags;
	LIST_HEAD(ended);
	bool failed, signalling = dma_fence_begin_signalling();

	spin_lock_irqsave(&queue->order, flags);
	spin_lock(&queue->lock);
	failed = quire_ring_collect(queue, &ended);
	quire_ring_worked_locked(queue, job_us);
	spin_unlock(&queue->lock);
	quire_end_signal_jobs(queue, &ended);
	spin_unlock_irqrestore(&queue->order, flags);
	quire_end_release_jobs(queue, &ended, failed);
	dma_fence_end_signalling(signalling);
}

/* What was on the ring when the card was stopped is run again from its beginning. */
void quire_ring_rerun(struct quire_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	quire_ring_count_spent(queue);
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
