/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_VM_H
#define QUIRE_VM_H

#include <linux/rwsem.h>

#include <drm/drm_exec.h>
#include <drm/drm_gpuvm.h>

#include "quire_device.h"
#include "quire_hold.h"
#include "quire_mmu.h"
#include "quire_reach.h"
#include "quire_sync.h"

struct quire_bo;

/* Page 0 stays unmapped, so that a null address faults. */
#define QUIRE_VA_START ((u64)QUIRE_PAGE_BYTES)
#define QUIRE_VA_END BIT_ULL(QUIRE_VA_BITS)

/* Mappings that an address space keeps memory for: a call with two operations wants as many. */
#define QUIRE_VM_SPARES 6

/**
 * struct quire_vm - an address space
 *
 * The tree of @base is what the calls have asked for.  Page tables follow it, call by call;
 * what they show is in the lists quire_vm_bo.shown.  A mapping stays linked to its buffer,
 * and with it the buffer to the address space, until the card has drained the flush that
 * ended it.  So whoever moves the pages of a buffer finds all there is: it takes away what is
 * shown, flushes and drains every address space the buffer is tied to.
 */
struct quire_vm {
	/** @base: mappings, reservation shared by private buffers, reference count */
	struct drm_gpuvm base;
	/** @qdev: card */
	struct quire_device *qdev;
	/** @mmu: page tables; its lock protects what they show, too */
	struct quire_mmu mmu;
	/** @lock: serialises changes of the tree */
	struct mutex lock;
	/** @closed: destroyed by its file, under @lock */
	bool closed;
	/** @queues: queues that use it; grows under @lock */
	atomic_t queues;
	/** @open: of these, that may still be lent a ring (of_vm), under quire_queues.lock */
	struct list_head open;
	/** @hold: they are not while memory of a process is asked for again */
	struct quire_hold hold;
	/** @calls: number of the last VM_BIND call, under @lock */
	u64 calls;

	/** @job_lock: protects @jobs, @pending, @ended, @removed, @userptrs and @spare */
	spinlock_t job_lock;
	/** @waits: what calls that are not applied wait for; added to under @lock */
	struct quire_waits waits;
	/** @jobs: VM_BIND calls not applied yet, oldest first */
	struct list_head jobs;
	/** @pending: length of @jobs; grows under @lock, too */
	unsigned int pending;
	/** @work: applies @jobs */
	struct work_struct work;
	/** @ended: VM_BIND calls applied by @work, not freed yet */
	struct list_head ended;
	/** @removed: mappings (quire_va.removed) that have ended, by ticket, oldest first */
	struct list_head removed;
	/** @spare: memory for mappings of calls to come */
	struct quire_va *spare[QUIRE_VM_SPARES];
	/** @spare_count: of @spare, under @job_lock */
	unsigned int spare_count;
	/** @userptrs: ties of buffers of a process's own memory (quire_vm_bo.of_vm); same lock */
	struct list_head userptrs;
	/**
	 * @userptr_lock: held for reading while a submission that found all pages in place puts
	 * its fence; who takes pages away takes it for writing once
	 */
	struct rw_semaphore userptr_lock;

	/** @tidy: gives back what the card does not reach any more */
	struct work_struct tidy;
	/** @late: in quire_reach.late, under its lock: something is left to be given back */
	struct list_head late;
	/** @fence_context: of the fences of @jobs */
	u64 fence_context;
};

/** struct quire_va - a mapping */
struct quire_va {
	/** @base: range and buffer */
	struct drm_gpuva base;
	/** @removed: in quire_bind_job.removed, then quire_vm.removed */
	struct list_head removed;
	/** @flags: DRM_QUIRE_VM_BIND_* */
	u32 flags;
	/** @added: in quire_bind_job.added of the call that makes it, until it is applied */
	struct list_head added;
	/** @shown: in quire_vm_bo.shown while page tables show it, or would if it were resident */
	struct list_head shown;
	/** @ticket: of the flush that ended it */
	struct quire_ticket ticket;
};

/** struct quire_vm_bo - a buffer in an address space */
struct quire_vm_bo {
	/** @base: the tie; lists are under the reservations of buffer and address space */
	struct drm_gpuvm_bo base;
	/**
	 * @resident: page tables may show where the buffer lies: it stays there as long as this
	 * is set.  Written under the lock of the page tables and, but for memory of a process, the
	 * buffer's reservation; read under either.  Of memory of a process, whoever takes it away
	 * or brings it back has no reservation: whoever has but quire_vm.userptr_lock looks at
	 * quire_userptr.valid before.
	 */
	bool resident;
	/** @shown: mappings (quire_va.shown), under the lock of the page tables */
	struct list_head shown;
	/**
	 * @ticket: of the last flush that took its mappings away; written under the same lock,
	 * and read under quire_userptr.ties_lock by whoever has made that flush
	 */
	struct quire_ticket ticket;
	/** @of_bo: in quire_userptr.ties, under its lock */
	struct list_head of_bo;
	/** @of_vm: in quire_vm.userptrs; changes under both reservations and job_lock */
	struct list_head of_vm;
};

static inline struct quire_vm_bo *to_quire_vm_bo(struct drm_gpuvm_bo *vm_bo)
{
	return container_of(vm_bo, struct quire_vm_bo, base);
}

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

/* Memory for mappings, all zeros; -ENOMEM with what there is.  And back: NULL are passed over. */
int quire_vm_take_spares(struct quire_vm *vm, struct quire_va **va, unsigned int count);
void quire_vm_give_spares(struct quire_vm *vm, struct quire_va **va, unsigned int count);

/* With a reference, and no id; ERR_PTR. */
struct quire_vm *quire_vm_new(struct quire_device *qdev);
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
/* The buffer is resident: page tables show it from here on.  Its reservation is held. */
int quire_vm_remember_bo(struct quire_vm *vm, struct drm_gpuvm_bo *vm_bo);
/*
 * Under the lock of the page tables: they show a buffer that is resident.  False: the pool has too
 * few tables, the plan says how many it takes.
 */
bool quire_vm_show_bo(struct quire_vm_bo *tie, struct quire_table_pool *pool,
		      struct quire_table_plan *plan);

/*
 * quire_vm_userptr.c: before that, with no lock that a page fault takes, pages of a process's own
 * memory that have gone are asked for again.  -EAGAIN: some go all the time, begin anew.
 */
int quire_vm_fault_userptrs(struct quire_vm *vm);
/* The same for jobs that rest, as long as they are held; and page tables show them. */
int quire_vm_restore_userptrs(struct quire_vm *vm);
/* Under the reservations: page tables show the pages there are. */
int quire_vm_remember_userptrs(struct quire_vm *vm);
/*
 * After it: from here to quire_vm_end_submit() no page goes without waiting for the fence that
 * is added in between.  -EAGAIN: some have gone, begin anew.
 */
int quire_vm_begin_submit(struct quire_vm *vm);
void quire_vm_end_submit(struct quire_vm *vm);
void quire_vm_add_fence(struct quire_vm *vm, struct drm_exec *exec,
			struct dma_fence *fence);

/*
 * The pages of a buffer, whose reservation is held, are going to move: no address space
 * reaches them any more when this returns 0.  -ERESTARTSYS, or with @no_wait -EBUSY: what was
 * taken away comes back with the next submission.
 */
int quire_vm_forget_bo(struct quire_bo *bo, bool interruptible, bool no_wait);

/* Page tables do not show the buffer any more; the ticket says when the card has drained it. */
struct quire_ticket quire_vm_hide_bo(struct quire_vm *vm, struct quire_vm_bo *tie);

/*
 * Give back what the card does not reach any more.  True, and an older flush of theirs, if
 * something is left.
 */
bool quire_vm_tidy(struct quire_vm *vm, struct quire_ticket *oldest);

/* quire_bind.c: changes of the tree. */
int quire_bind_step_map(struct drm_gpuva_op *op, void *priv);
int quire_bind_step_remap(struct drm_gpuva_op *op, void *priv);
int quire_bind_step_unmap(struct drm_gpuva_op *op, void *priv);

void quire_vm_close_file(struct quire_file *qfile);

int quire_vm_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_vm_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_vm_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* QUIRE_VM_H */
