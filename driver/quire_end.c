// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of jobs: their fences signal, in order, and what they held is given back.  Jobs that the
 * card has ended end in the interrupt, others, which may be many, in a work or by who closes their
 * queue.  Everything here runs in fence-signalling paths: nothing allocates.
 */
#include <linux/dma-fence.h>

#include "quire_power.h"
#include "quire_queue.h"
#include "quire_resv.h"
#include "quire_trace.h"
#include "quire_vm.h"

/* Jobs of a queue that are ended before those of others. */
#define QUIRE_END_SLICE 256

/*
 * The job has ended.  Whoever waits may be another queue, and takes locks of that: not under
 * quire_queue.lock, and nobody who is told takes quire_queue.order.
 */
static void quire_end_signal(struct quire_job *job)
{
	lockdep_assert_not_held(&job->queue->lock);
	trace_quire_job_done(job);
	if (job->error)
		dma_fence_set_error(&job->fence, job->error);
	/* Whoever sees the fence finds the buffers idle. */
	quire_resv_end_job(drm_gpuvm_resv_obj(&job->queue->vm->base));
	dma_fence_signal(&job->fence);
}

/* Its fence has signalled: give back what the lists held. */
static void quire_end_release(struct quire_job *job)
{
	struct quire_queue *queue = job->queue;

	list_del_init(&job->node);
	quire_syncs_put(&job->syncs);
	dma_fence_put(&job->fence);
	quire_power_put_job(queue->qdev);
	quire_queue_put(queue);
}

void quire_end_later(struct quire_queue *queue)
{
	kref_get(&queue->ref);
	if (!queue_work(queue->qdev->queues->ends, &queue->end))
		quire_queue_put(queue);
}

void quire_end_signal_jobs(struct quire_queue *queue, struct list_head *ended)
{
	struct quire_job *job;

	lockdep_assert_held(&queue->order);
	list_for_each_entry(job, ended, node)
		quire_end_signal(job);
}

void quire_end_release_jobs(struct quire_queue *queue, struct list_head *ended, bool failed)
{
	struct quire_job *job, *next;
	unsigned long flags;

	/* What they waited for may be much, and is not for the interrupt. */
	list_for_each_entry_safe(job, next, ended, node)
		if (!job->syncs.count || !in_hardirq())
			quire_end_release(job);
	if (!failed && list_empty(ended))
		return;
	spin_lock_irqsave(&queue->lock, flags);
	list_splice_tail_init(ended, &queue->spent);
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_end_later(queue);
}

/* The first jobs of a list, at most @most; how many. */
static unsigned int quire_end_take_some(struct list_head *from, struct list_head *to,
					unsigned int most)
{
	unsigned int count;

	for (count = 0; count < most && !list_empty(from); count++)
		list_move_tail(from->next, to);
	return count;
}

static bool quire_end_is_due_locked(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	return !list_empty(&queue->dropped) || !list_empty(&queue->spent);
}

/* Dropped jobs end, in order: some of them.  True: there are more. */
static bool quire_end_some(struct quire_queue *queue)
{
	bool signalling = dma_fence_begin_signalling(), more;
	struct quire_job *job, *next;
	LIST_HEAD(dropped);
	LIST_HEAD(spent);
	unsigned int count;
	u64 aborted;
	int error;

	mutex_lock(&queue->end_lock);
	spin_lock_irq(&queue->lock);
	count = quire_end_take_some(&queue->dropped, &dropped, QUIRE_END_SLICE);
	quire_end_take_some(&queue->spent, &spent, QUIRE_END_SLICE - count);
	/* Whoever sees one of them end finds it counted. */
	queue->completed += count;
	aborted = queue->aborted;
	error = queue->abort_error;
	spin_unlock_irq(&queue->lock);
	/* Whoever has taken those before them off the ring signals them first. */
	spin_lock_irq(&queue->order);
	spin_unlock_irq(&queue->order);
	list_for_each_entry_safe(job, next, &dropped, node) {
		if (job->error == QUIRE_JOB_DROPPED && job->fence.seqno <= aborted)
			job->error = error;
		quire_end_signal(job);
		quire_end_release(job);
		cond_resched();
	}
	list_for_each_entry_safe(job, next, &spent, node) {
		quire_end_release(job);
		cond_resched();
	}
	spin_lock_irq(&queue->lock);
	queue->dropping = !list_empty(&queue->dropped);
	/* Those that came meanwhile. */
	if (!queue->dropping && !list_empty(&queue->pending))
		queue_work(queue->qdev->queues->wq, &queue->push);
	more = quire_end_is_due_locked(queue);
	spin_unlock_irq(&queue->lock);
	mutex_unlock(&queue->end_lock);
	dma_fence_end_signalling(signalling);
	return more;
}

/* There may be many such queues: each waits behind the others when some of its jobs have ended. */
void quire_end_work(struct work_struct *work)
{
	struct quire_queue *queue = container_of(work, struct quire_queue, end);

	if (quire_end_some(queue))
		quire_end_later(queue);
	quire_queue_put(queue);
}

bool quire_end_is_due(struct quire_queue *queue)
{
	bool more;

	spin_lock_irq(&queue->lock);
	more = quire_end_is_due_locked(queue);
	spin_unlock_irq(&queue->lock);
	return more;
}

void quire_end_all(struct quire_queue *queue)
{
	do {
		while (quire_end_some(queue))
			;
		/* There is nothing left for the work, but the queue would stay for it. */
		if (cancel_work_sync(&queue->end))
			quire_queue_put(queue);
		/* But for what has come meanwhile. */
	} while (quire_end_is_due(queue));
}
