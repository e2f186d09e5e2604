/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_BIND_H
#define QUIRE_BIND_H

#include <linux/dma-fence.h>

#include "quire_gem.h"
#include "quire_sync.h"
#include "quire_vm.h"

/* Asynchronous calls of one address space that may wait at a time. */
#define QUIRE_BIND_PENDING_MAX 1024

/** struct quire_bind_fence - of an asynchronous call */
struct quire_bind_fence {
	/** @base: signals when the page tables show what was asked for */
	struct dma_fence base;
	/** @lock: of @base */
	spinlock_t lock;
};

/**
 * struct quire_bind_op - one operation
 * @flags: DRM_QUIRE_VM_BIND_*
 * @va: address
 * @size: bytes
 * @bo_offset: offset in @bo
 * @bo: buffer with a GEM reference, or NULL to unmap
 * @vm_bo: tie of @bo to the address space; from commit on the mapping made holds it
 * @spare: mappings set aside for the new one and what is left of a replaced one
 */
struct quire_bind_op {
	u32 flags;
	u64 va;
	u64 size;
	u64 bo_offset;
	struct quire_bo *bo;
	struct drm_gpuvm_bo *vm_bo;
	struct quire_va *spare[3];
};

/** struct quire_bind_wait - a call waits for a fence */
struct quire_bind_wait {
	/** @callback: on the fence */
	struct dma_fence_cb callback;
	/** @job: that waits */
	struct quire_bind_job *job;
};

/**
 * struct quire_bind_job - one call
 * @node: in quire_vm.jobs, then quire_vm.ended
 * @vm: with a reference
 * @number: in the order of calls
 * @syncs: what to wait for
 * @callbacks: one for each of syncs.wait
 * @waits: fences waited for that have not signalled, plus one while armed
 * @error: of the fence, should the call be given up
 * @fence: signalled when done; NULL if synchronous
 * @pool: tables set aside
 * @added: mappings that this call makes
 * @removed: mappings that this call ends
 * @count: number of @ops
 * @ops: operations
 * @only: the operation of a call that has one
 */
struct quire_bind_job {
	struct list_head node;
	struct quire_vm *vm;
	u64 number;
	struct quire_syncs syncs;
	struct quire_bind_wait *callbacks;
	atomic_t waits;
	int error;
	struct quire_bind_fence *fence;
	struct quire_table_pool pool;
	struct list_head added;
	struct list_head removed;
	u32 count;
	struct quire_bind_op *ops;
	struct quire_bind_op only;
};

/* quire_bind_job.c */
struct quire_bind_job *quire_bind_job_alloc(struct quire_vm *vm);
void quire_bind_job_free(struct quire_bind_job *job);
/* The fence and room for the waits of an asynchronous call; -ENOMEM. */
int quire_bind_job_prepare(struct quire_bind_job *job);
/* Nothing is before it and it waits for nothing: apply it here. */
void quire_bind_job_run(struct quire_bind_job *job);
/* Apply it from the worker, when what is before it is done and its waits are over. */
void quire_bind_job_queue(struct quire_bind_job *job);
void quire_bind_work(struct work_struct *work);
/* Calls that still wait are applied at once, with -ECANCELED on their fences. */
void quire_bind_cancel(struct quire_vm *vm);

/* Page tables of one range; the lock of the page tables is held. */
void quire_vm_map(struct quire_vm *vm, struct quire_table_pool *pool,
		  struct drm_gpuvm_bo *vm_bo, u64 va, u64 size, u64 bo_offset, u32 flags);

#endif /* QUIRE_BIND_H */
