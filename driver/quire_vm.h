/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_VM_H
#define QUIRE_VM_H

#include <drm/drm_exec.h>
#include <drm/drm_gpuvm.h>

#include "quire_device.h"
#include "quire_mmu.h"

struct quire_bo;

/* Page 0 stays unmapped, so that a null address faults. */
#define QUIRE_VA_START ((u64)QUIRE_PAGE_BYTES)
#define QUIRE_VA_END BIT_ULL(QUIRE_VA_BITS)

/**
 * struct quire_vm - an address space
 *
 * Lock order: @lock, then reservations (drm_exec), then the lock of @mmu.  The
 * tree of @base changes under @lock and the reservations of all buffers touched;
 * page tables follow it in the order of @jobs.
 */
struct quire_vm {
	/** @base: mappings, reservation shared by private buffers, reference count */
	struct drm_gpuvm base;
	/** @qdev: card */
	struct quire_device *qdev;
	/** @context: hardware context */
	u32 context;
	/** @mmu: page tables */
	struct quire_mmu mmu;
	/** @lock: serialises changes */
	struct mutex lock;
	/** @closed: destroyed by its file, under @lock */
	bool closed;
	/** @queues: queues that use it, under @lock */
	unsigned int queues;

	/** @job_lock: protects @jobs and @ended */
	spinlock_t job_lock;
	/** @jobs: VM_BIND calls not done yet, oldest first */
	struct list_head jobs;
	/** @work: does @jobs */
	struct work_struct work;
	/** @ended: VM_BIND calls done by @work, not freed yet */
	struct list_head ended;
	/** @tidy: frees @ended */
	struct work_struct tidy;
	/** @fence_context: of the fences of @jobs */
	u64 fence_context;
	/** @fence_seqno: last one used, under @lock */
	u64 fence_seqno;
};

/** struct quire_va - a mapping */
struct quire_va {
	/** @base: range and buffer */
	struct drm_gpuva base;
	/** @removed: in quire_bind_job.removed */
	struct list_head removed;
	/** @flags: DRM_QUIRE_VM_BIND_* */
	u32 flags;
};

static inline struct quire_va *to_quire_va(struct drm_gpuva *va)
{
	return container_of(va, struct quire_va, base);
}

static inline struct quire_vm *to_quire_vm(struct drm_gpuvm *gpuvm)
{
	return container_of(gpuvm, struct quire_vm, base);
}

static inline struct quire_vm *quire_vm_get(struct quire_vm *vm)
{
	drm_gpuvm_get(&vm->base);
	return vm;
}

static inline void quire_vm_put(struct quire_vm *vm)
{
	if (vm)
		drm_gpuvm_put(&vm->base);
}

/* NULL or a reference, by id of the file. */
struct quire_vm *quire_vm_lookup(struct quire_file *qfile, u32 id);

/* A queue starts or stops using the address space; -ENOENT once destroyed. */
int quire_vm_attach_queue(struct quire_vm *vm);
void quire_vm_detach_queue(struct quire_vm *vm);

/*
 * Inside drm_exec_until_all_locked(), followed by drm_exec_retry_on_contention();
 * the exec has DRM_EXEC_IGNORE_DUPLICATES.  Locks all buffers of the address
 * space, reserves room for @num_fences in each and brings back the evicted ones.
 */
int quire_vm_prepare_submit(struct quire_vm *vm, struct drm_exec *exec,
			    unsigned int num_fences);
void quire_vm_add_fence(struct quire_vm *vm, struct drm_exec *exec,
			struct dma_fence *fence);

/* quire_bind.c: changes of the tree, and the page tables that follow it. */
void quire_bind_work(struct work_struct *work);
void quire_bind_tidy_work(struct work_struct *work);
int quire_bind_step_map(struct drm_gpuva_op *op, void *priv);
int quire_bind_step_remap(struct drm_gpuva_op *op, void *priv);
int quire_bind_step_unmap(struct drm_gpuva_op *op, void *priv);
/* Reservation of @bo held, or a fence on it: it stays where it is. */
void quire_vm_map(struct quire_vm *vm, struct quire_table_pool *pool, struct quire_bo *bo,
		  u64 va, u64 size, u64 bo_offset, u32 flags);
/* Forgets all mappings; no VM_BIND may follow. */
void quire_vm_clear(struct quire_vm *vm);

void quire_vm_close_file(struct quire_file *qfile);

int quire_vm_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_vm_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_vm_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* QUIRE_VM_H */
