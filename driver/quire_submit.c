// SPDX-License-Identifier: GPL-2.0-only
/*
 * SUBMIT.  A job whose dependencies have all signalled is written to the ring
 * right here: through a scheduler's worker an empty job would cost several times
 * as much.  Others wait in queue->pending, and so do those behind them.
 */
#include <linux/slab.h>

#include "quire_power.h"
#include "quire_queue.h"
#include "quire_room.h"
#include "quire_trace.h"
#include "quire_vm.h"

#define QUIRE_OUTCOME_ALIGN 8u
/* So many jobs are copied to the stack; so many reservations are expected to be locked. */
#define QUIRE_SUBMIT_FEW_JOBS 2
#define QUIRE_SUBMIT_FEW_BUFFERS 8

/** struct quire_submission - the jobs of one call */
struct quire_submission {
	/** @jobs: allocated and checked, by their nodes */
	struct list_head jobs;
	/** @count: of @jobs */
	u32 count;
	/** @syncs_left: that the call may still have */
	u32 syncs_left;
	/** @signals: of jobs that are accepted and signal something */
	struct list_head signals;
	/** @late: error with which all of them end, the queue having failed meanwhile, or 0 */
	int late;
};

static int quire_submit_check_job(struct drm_device *drm, const struct drm_quire_job *args)
{
	if (args->stream_va % QUIRE_STREAM_ALIGN)
		return quire_inval(drm, "job.stream_va %#llx must be a multiple of %u",
				   args->stream_va, QUIRE_STREAM_ALIGN);
	if (args->stream_bytes % QUIRE_STREAM_ALIGN ||
	    args->stream_bytes > QUIRE_STREAM_MAX_BYTES)
		return quire_inval(drm, "job.stream_bytes %u must be a multiple of %u up to %u",
				   args->stream_bytes, QUIRE_STREAM_ALIGN,
				   QUIRE_STREAM_MAX_BYTES);
	if (args->outcome_va % QUIRE_OUTCOME_ALIGN)
		return quire_inval(drm, "job.outcome_va %#llx must be a multiple of %u",
				   args->outcome_va, QUIRE_OUTCOME_ALIGN);
	if (args->flags & ~DRM_QUIRE_JOB_RESTARTABLE)
		return quire_inval(drm, "job.flags %#x must be 0 or RESTARTABLE", args->flags);
	return 0;
}

static int quire_submit_get_job(struct drm_device *drm, struct drm_file *file,
				const struct drm_quire_job *args,
				struct quire_submission *submission)
{
	struct quire_job *job;
	int ret = quire_submit_check_job(drm, args);

	if (ret)
		return ret;
	job = quire_job_alloc(QUIRE_GFP_CALL);
	if (!job)
		return -ENOMEM;
	job->stream_va = args->stream_va;
	job->stream_bytes = args->stream_bytes;
	job->outcome_va = args->outcome_va;
	/* Nothing but a fence and an outcome is always the same. */
	job->restartable = !args->stream_bytes || args->flags & DRM_QUIRE_JOB_RESTARTABLE;
	ret = quire_syncs_get(drm, file, &args->syncs, &submission->syncs_left, &job->syncs,
			      &job->signals);
	if (ret) {
		quire_job_free(job);
		return ret;
	}
	list_add_tail(&job->node, &submission->jobs);
	return 0;
}

static void quire_submit_put(struct quire_submission *submission)
{
	struct quire_job *job, *next;

	list_for_each_entry_safe(job, next, &submission->jobs, node)
		quire_job_free(job);
}

/* The jobs are accepted, and may have ended. */
static void quire_submit_signal(struct quire_submission *submission)
{
	struct quire_signals *signals, *next;

	list_for_each_entry_safe(signals, next, &submission->signals, node) {
		quire_signals_give(signals);
		quire_signals_put(signals);
	}
}

static int quire_submit_get(struct drm_device *drm, struct drm_file *file,
			    const struct drm_quire_submit *args,
			    struct quire_submission *submission)
{
	struct drm_quire_job few[QUIRE_SUBMIT_FEW_JOBS], *jobs;
	void *array;
	int ret;

	if (args->flags)
		return quire_inval(drm, "submit.flags %#x must be 0", args->flags);
	if (!args->jobs.count)
		return quire_inval(drm, "submit.jobs.count must not be 0");
	ret = quire_room_check_work(0);
	if (ret)
		return ret;
	ret = quire_copy_array(drm, "submit.jobs", &args->jobs, sizeof(*jobs),
			       DRM_QUIRE_SUBMIT_MAX_JOBS, few, sizeof(few), &array);
	if (ret)
		return ret;
	jobs = array;
	INIT_LIST_HEAD(&submission->jobs);
	INIT_LIST_HEAD(&submission->signals);
	submission->count = args->jobs.count;
	submission->syncs_left = DRM_QUIRE_MAX_SYNCS;
	submission->late = 0;
	for (u32 i = 0; i < submission->count && !ret; i++)
		ret = quire_submit_get_job(drm, file, &jobs[i], submission);
	if (jobs != few)
		kvfree(jobs);
	if (ret)
		quire_submit_put(submission);
	return ret;
}

/* Why jobs that come now are too late, or 0. */
static int quire_submit_late(struct quire_queue *queue)
{
	if (READ_ONCE(queue->qdev->queues->ended))
		return -ENODEV;
	if (READ_ONCE(queue->qdev->wedged))
		return -EIO;
	if (READ_ONCE(queue->banned))
		return -ECANCELED;
	return 0;
}

/*
 * Under the reservations: from here on nothing fails.  Fences are in the buffers before the
 * jobs are on their way, so nothing allocates either.
 */
static void quire_submit_commit(struct quire_queue *queue, struct drm_exec *exec,
				struct quire_submission *submission)
{
	struct quire_job *last = list_last_entry(&submission->jobs, struct quire_job, node);
	struct quire_job *job, *next;
	bool signalling = dma_fence_begin_signalling();
	u32 epoch = READ_ONCE(queue->waits.epoch);
	unsigned long flags;

	lockdep_assert_held(&queue->submit_lock);
	list_for_each_entry(job, &submission->jobs, node) {
		job->interrupt = job == last || job->signals.count;
		quire_job_init_fence(job, queue, ++queue->submitted);
		if (job->signals.count) {
			/* It holds the job, too, until they have got it. */
			job->signals.fence = dma_fence_get(&job->fence);
			list_add_tail(&job->signals.node, &submission->signals);
		}
		quire_job_arm(job);
		quire_power_get_job(queue->qdev);
		trace_quire_job_submit(job);
	}
	/* Jobs of a queue end in order: the last fence stands for all. */
	quire_vm_add_fence(queue->vm, exec, &last->fence);

	spin_lock_irqsave(&queue->lock, flags);
	/* The queue may have failed since we looked: these are behind that. */
	submission->late = quire_submit_late(queue);
	/* Or those before may have been given up, which we would wait behind. */
	if (!submission->late && queue->waits.epoch != epoch)
		submission->late = -EIO;
	list_for_each_entry_safe(job, next, &submission->jobs, node)
		quire_ring_add(queue, job, submission->late);
	spin_unlock_irqrestore(&queue->lock, flags);
	if (submission->late)
		quire_end_later(queue);
	else if (READ_ONCE(queue->live))
		quire_ring_kick(queue);
	else
		quire_slot_request_now(queue);
	dma_fence_end_signalling(signalling);
}

/* -ENOBUFS: too many jobs of the queue have not ended. */
static int quire_submit_check_room(struct quire_queue *queue, u32 count)
{
	if (queue->submitted + count - READ_ONCE(queue->completed) <= DRM_QUIRE_QUEUE_MAX_JOBS)
		return 0;
	/* It may be that only nobody has looked. */
	quire_ring_reap(queue);
	if (queue->submitted + count - READ_ONCE(queue->completed) <= DRM_QUIRE_QUEUE_MAX_JOBS)
		return 0;
	return -ENOBUFS;
}

/*
 * The card is there from here on.  Not before: who waits for memory of a process, which may be
 * for ever, would hold up the removal of any DRM device.
 */
static int quire_submit_enter(struct quire_queue *queue, struct drm_exec *exec,
			      struct quire_submission *submission)
{
	int ret, index;

	if (!drm_dev_enter(&queue->qdev->drm, &index))
		return -ENODEV;
	ret = quire_submit_late(queue);
	if (!ret)
		ret = quire_vm_begin_submit(queue->vm);
	if (!ret) {
		/* All of its memory is there, and goes, if so, after us. */
		WRITE_ONCE(queue->vm->hold.due, false);
		quire_submit_commit(queue, exec, submission);
		quire_vm_end_submit(queue->vm);
	}
	drm_dev_exit(index);
	return ret;
}

/* With the pages of processes there: -EAGAIN if some have gone meanwhile. */
static int quire_submit_lock_buffers(struct quire_queue *queue, struct quire_submission *submission)
{
	struct drm_exec exec;
	int ret;

	lockdep_assert_held(&queue->submit_lock);
	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES,
		      QUIRE_SUBMIT_FEW_BUFFERS);
	drm_exec_until_all_locked(&exec) {
		ret = quire_vm_prepare_submit(queue->vm, &exec, 1);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
	}
	if (!ret)
		ret = quire_submit_enter(queue, &exec, submission);
	drm_exec_fini(&exec);
	return ret;
}

/*
 * Pages of processes are asked for without submit_lock: that may last for ever, and who closes
 * the queue waits for it.
 */
static int quire_submit_try(struct quire_queue *queue, struct quire_submission *submission)
{
	int ret = quire_submit_late(queue);

	if (!ret)
		ret = quire_vm_fault_userptrs(queue->vm);
	if (ret)
		return ret;
	ret = mutex_lock_interruptible(&queue->submit_lock);
	if (ret)
		return ret;
	ret = quire_submit_check_room(queue, submission->count);
	if (!ret)
		ret = quire_submit_lock_buffers(queue, submission);
	mutex_unlock(&queue->submit_lock);
	return ret;
}

static int quire_submit_jobs(struct quire_queue *queue, struct quire_submission *submission)
{
	int ret = quire_submit_try(queue, submission);

	while (ret == -EAGAIN)
		ret = signal_pending(current) ? -ERESTARTSYS : quire_submit_try(queue, submission);
	return quire_restart(ret);
}

int quire_submit_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_quire_submit *args = data;
	struct quire_submission submission;
	struct quire_queue *queue;
	int ret;

	queue = quire_queue_lookup(file->driver_priv, args->queue_id);
	if (!queue)
		return -ENOENT;
	ret = quire_submit_get(drm, file, args, &submission);
	if (ret)
		goto out;
	ret = quire_submit_jobs(queue, &submission);
	if (ret)
		quire_submit_put(&submission);
	else
		quire_submit_signal(&submission);
	/* Nothing of a queue that is closed meanwhile outlives its file. */
	if (submission.late)
		quire_end_all(queue);
out:
	quire_queue_put(queue);
	return ret;
}
