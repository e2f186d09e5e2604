// SPDX-License-Identifier: GPL-2.0-only
/*
 * Jobs and the fences they are made of.  A fence may outlive file, card and queue, in a
 * sync file or another driver's buffer, and calls back into this module: each
 * holds it in place.
 */
#include <linux/dma-fence.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "quire_queue.h"

static const char *quire_fence_driver_name(struct dma_fence *fence)
{
	return DRM_QUIRE_DRIVER_NAME;
}

static const char *quire_fence_timeline_name(struct dma_fence *fence)
{
	return "quire-queue";
}

static void quire_fence_release(struct dma_fence *fence)
{
	struct quire_job *job = container_of(fence, struct quire_job, fence);

	kfree_rcu(job, fence.rcu);
	/* The code goes when nobody is left; quire_exit() waits until we have returned. */
	module_put(THIS_MODULE);
}

/* The card interrupts for each job whose fence is given out: nothing needs to be enabled. */
static const struct dma_fence_ops quire_fence_ops = {
	.get_driver_name = quire_fence_driver_name,
	.get_timeline_name = quire_fence_timeline_name,
	.release = quire_fence_release,
};

struct quire_job *quire_job_alloc(gfp_t gfp)
{
	struct quire_job *job = kzalloc(sizeof(*job), gfp);

	if (job) {
		spin_lock_init(&job->fence_lock);
		INIT_LIST_HEAD(&job->node);
		job->error = -ECANCELED;
	}
	return job;
}

/* A job whose fence was never initialised. */
void quire_job_free(struct quire_job *job)
{
	quire_syncs_put(&job->syncs);
	quire_signals_put(&job->signals);
	kvfree(job->callbacks);
	kfree(job);
}

void quire_job_init_fence(struct quire_job *job, struct quire_queue *queue, u64 number)
{
	kref_get(&queue->ref);
	job->queue = queue;
	__module_get(THIS_MODULE);
	dma_fence_init(&job->fence, &quire_fence_ops, &job->fence_lock, queue->fence_context,
		       number);
}

int quire_job_prepare_waits(struct quire_job *job)
{
	if (!job->syncs.waits)
		return 0;
	job->callbacks = kvcalloc(job->syncs.waits, sizeof(*job->callbacks), QUIRE_GFP_CALL);
	return job->callbacks ? 0 : -ENOMEM;
}

/* Runs under the lock of the fence waited for: only wakes a worker. */
static void quire_job_wait_done(struct dma_fence *fence, struct dma_fence_cb *callback)
{
	struct quire_job *job = container_of(callback, struct quire_job_wait, callback)->job;

	if (atomic_dec_and_test(&job->waits))
		queue_work(job->queue->qdev->queues->wq, &job->queue->push);
}

/* The job counts as waiting until all callbacks are in place. */
void quire_job_arm(struct quire_job *job)
{
	atomic_set(&job->waits, 1);
	for (u32 i = 0; i < job->syncs.waits; i++) {
		struct quire_job_wait *wait = &job->callbacks[i];

		wait->job = job;
		atomic_inc(&job->waits);
		if (dma_fence_add_callback(job->syncs.wait[i], &wait->callback,
					   quire_job_wait_done))
			atomic_dec(&job->waits);
	}
	atomic_dec(&job->waits);
}

/* After this no callback touches the job: they run under the lock taken here. */
void quire_job_disarm(struct quire_job *job)
{
	if (job->callbacks)
		for (u32 i = 0; i < job->syncs.waits; i++)
			dma_fence_remove_callback(job->syncs.wait[i], &job->callbacks[i].callback);
	quire_syncs_put(&job->syncs);
	kvfree(job->callbacks);
	job->callbacks = NULL;
}
