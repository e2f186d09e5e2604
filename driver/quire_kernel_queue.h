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

/* NULL without memory; kfree() it, or submit it. */
struct quire_job *quire_kernel_job_alloc(struct quire_queue *queue);
/*
 * Cannot fail, allocates nothing, may sleep; in the order of the calls.  Takes the job over, and
 * returns a reference to its fence, which has an error if the card is wedged or gone.  After a
 * reset a job is run again from its beginning: its stream must give the same then.
 */
struct dma_fence *quire_kernel_job_submit(struct quire_job *job, u64 stream_va, u32 bytes);

#endif /* QUIRE_KERNEL_QUEUE_H */
