// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queue of the kernel's own jobs, such as moving buffers.  Ring and context are its for
 * good, so that a move never waits for a slot of somebody who waits for the move.
 */
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

/* Why a job that comes now is too late, or 0. */
static int quire_kernel_job_late(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	if (READ_ONCE(queue->qdev->queues->ended))
		return -ENODEV;
	return READ_ONCE(queue->qdev->wedged) || queue->banned ? -EIO : 0;
}

struct dma_fence *quire_kernel_job_submit(struct quire_queue *queue, struct quire_job *job,
					  u64 stream_va, u32 bytes)
{
	bool signalling = dma_fence_begin_signalling();
	struct dma_fence *fence;
	unsigned long flags;
	int late;

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
	late = quire_kernel_job_late(queue);
	quire_ring_add(queue, job, late);
	spin_unlock_irqrestore(&queue->lock, flags);
	if (late)
		quire_end_later(queue);
	else if (READ_ONCE(queue->live))
		quire_ring_kick(queue);
	else
		quire_slot_request(queue);
	dma_fence_end_signalling(signalling);
	return fence;
}
