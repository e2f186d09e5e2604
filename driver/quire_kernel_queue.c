// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queue of the kernel's own jobs, such as moving buffers.  Ring and context are its for
 * good, so that a move never waits for a slot of somebody who waits for the move.
 */
#include <linux/slab.h>

#include "quire_kernel_queue.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_trace.h"
#include "quire_vm.h"

/* Many times what a job may take; then the CPU does its work. */
#define QUIRE_KERNEL_LIMIT_MS 2000

void quire_kernel_queue_destroy(struct quire_queue *queue)
{
	struct quire_queues *queues;

	if (!queue)
		return;
	queues = queue->qdev->queues;
	mutex_lock(&queues->lock);
	queues->kernel = NULL;
	mutex_unlock(&queues->lock);
	quire_queue_close(queue);
}

struct quire_queue *quire_kernel_queue_create(struct quire_device *qdev, struct quire_vm *vm)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_context *context = &queues->contexts[QUIRE_KERNEL_CONTEXT];
	struct quire_queue *queue;
	int ret;

	/* Calls and page faults wait for its jobs. */
	queue = quire_queue_new(qdev, vm, DRM_QUIRE_QUEUE_PRIORITY_HIGH, QUIRE_KERNEL_LIMIT_MS);
	if (IS_ERR(queue))
		return queue;
	queue->kernel = true;
	mutex_lock(&queues->lock);
	if (WARN_ON(context->vm)) {
		ret = -EBUSY;
	} else {
		context->vm = vm;
		quire_mmu_lend(&vm->mmu, QUIRE_KERNEL_CONTEXT);
		list_add(&queue->listed, &queues->all);
		queues->kernel = queue;
		ret = quire_slot_start_kernel(queue);
	}
	mutex_unlock(&queues->lock);
	if (ret) {
		quire_kernel_queue_destroy(queue);
		return ERR_PTR(ret);
	}
	return queue;
}

struct quire_job *quire_kernel_job_alloc(struct quire_queue *queue)
{
	struct quire_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (job) {
		spin_lock_init(&job->fence_lock);
		INIT_LIST_HEAD(&job->node);
		job->queue = queue;
	}
	return job;
}

struct dma_fence *quire_kernel_job_submit(struct quire_job *job, u64 stream_va, u32 bytes)
{
	struct quire_queue *queue = job->queue;
	struct dma_fence *fence;
	bool signalling = dma_fence_begin_signalling();
	unsigned long flags;
	int error = 0;

	job->stream_va = stream_va;
	job->stream_bytes = bytes;
	job->interrupt = true;
	job->restartable = true;
	/* Not submit_lock: users allocate under theirs. */
	spin_lock_irqsave(&queue->lock, flags);
	quire_job_init_fence(job, queue, ++queue->submitted);
	fence = dma_fence_get(&job->fence);
	quire_power_get_job(queue->qdev);
	trace_quire_job_submit(job);
	if (READ_ONCE(queue->qdev->queues->ended))
		error = -ENODEV;
	else if (READ_ONCE(queue->qdev->wedged) || queue->banned)
		error = -EIO;
	else
		list_add_tail(&job->node, &queue->pending);
	spin_unlock_irqrestore(&queue->lock, flags);
	if (error) {
		job->error = error;
		quire_ring_end_job(job);
	} else if (READ_ONCE(queue->live)) {
		quire_ring_kick(queue);
	} else {
		quire_slot_request(queue);
	}
	dma_fence_end_signalling(signalling);
	return fence;
}
