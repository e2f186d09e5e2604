/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_KERNEL_QUEUE_H
#define QUIRE_KERNEL_QUEUE_H

#include <linux/types.h>

struct dma_fence;
struct quire_device;
struct quire_job;
struct quire_queue;
struct quire_vm;

/* One per card, in probe after quire_queues_init(); ERR_PTR. */
struct quire_queue *quire_kernel_queue_create(struct quire_device *qdev, struct quire_vm *vm);
void quire_kernel_queue_destroy(struct quire_queue *queue);

/*
 * Submits what quire_job_alloc() has given and takes it over.  Cannot fail, allocates nothing, may
 * sleep; in the order of the calls.  Returns a reference to its fence, which has an error if the
 * card is wedged or gone.  After a reset a job is run again from its beginning: its stream must
 * give the same then.
 */
struct dma_fence *quire_kernel_job_submit(struct quire_queue *queue, struct quire_job *job,
					  u64 stream_va, u32 bytes);

#endif /* QUIRE_KERNEL_QUEUE_H */
