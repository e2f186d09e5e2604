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

/** struct quire_bind_op - one operation */
struct quire_bind_op {
	/** @flags: DRM_QUIRE_VM_BIND_* */
	u32 flags;
	/** @va: address */
	u64 va;
	/** @size: bytes */
	u64 size;
	/** @bo_offset: offset in @bo */
	u64 bo_offset;
	/** @bo: buffer with a GEM reference, or NULL to unmap */
	struct quire_bo *bo;
	/** @vm_bo: tie of @bo to the address space; from commit on the mapping made holds it */
	struct drm_gpuvm_bo *vm_bo;
	/** @spare: mappings set aside for the new one and what is left of a replaced one */
	struct quire_va *spare[3];
};

/** struct quire_bind_job - one call */
struct quire_bind_job {
	/** @node: in quire_vm.jobs, then quire_vm.ended */
	struct list_head node;
	/** @vm: with a reference */
	struct quire_vm *vm;
	/** @number: in the order of calls */
	u64 number;
	/** @syncs: what to wait for */
	struct quire_syncs syncs;
	/** @error: of the fence, should the call be given up */
	int error;
	/** @fence: signalled when done; NULL if synchronous */
	struct quire_bind_fence *fence;
	/** @pool: tables set aside */
	struct quire_table_pool pool;
	/** @added: mappings that this call makes */
	struct list_head added;
	/** @removed: mappings that this call ends */
	struct list_head removed;
	/** @count: number of @ops */
	u32 count;
	/** @ops: operations */
	struct quire_bind_op *ops;
	/** @only: the operation of a call that has one */
	struct quire_bind_op only;
};

/* quire_bind_job.c */
struct quire_bind_job *quire_bind_job_alloc(struct quire_vm *vm);
void quire_bind_job_free(struct quire_bind_job *job);
/* The fence of an asynchronous call; -ENOMEM. */
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
