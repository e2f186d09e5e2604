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
#include "quire_resv.h"
#include "quire_vm.h"

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
		job->error = QUIRE_JOB_DROPPED;
	}
	return job;
}

/* A job whose fence was never initialised. */
void quire_job_free(struct quire_job *job)
{
	quire_syncs_put(&job->syncs);
	quire_signals_put(&job->signals);
	kfree(job);
}

void quire_job_init_fence(struct quire_job *job, struct quire_queue *queue, u64 number)
{
	kref_get(&queue->ref);
	job->queue = queue;
	quire_resv_begin_job(drm_gpuvm_resv_obj(&queue->vm->base));
	__module_get(THIS_MODULE);
	dma_fence_init(&job->fence, &quire_fence_ops, &job->fence_lock, queue->fence_context,
		       number);
}

static void quire_job_waits_over(struct quire_syncs *syncs)
{
	struct quire_queue *queue = container_of(syncs, struct quire_job, syncs)->queue;

	queue_work(queue->qdev->queues->wq, &queue->push);
}

void quire_job_arm(struct quire_job *job)
{
	quire_syncs_arm(&job->syncs, &job->queue->waits, quire_job_waits_over);
}
