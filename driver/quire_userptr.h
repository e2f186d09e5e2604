/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_USERPTR_H
#define QUIRE_USERPTR_H

#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "quire_gem.h"

struct quire_vm_bo;

/**
 * struct quire_userptr - memory of a process as the pages of a buffer
 *
 * Pages are not pinned.  When the kernel takes one away the buffer has none until the next
 * submission asks for them again.
 *
 * Locks: docs/driver.md.
 */
struct quire_userptr {
	/** @bo: buffer */
	struct quire_bo *bo;
	/** @notifier: tells when pages go; its mm is the process's */
	struct mmu_interval_notifier notifier;
	/** @faulting: one thread asks for the pages at a time */
	struct mutex faulting;
	/**
	 * @lock: protects @dma and @mapped.  Held while pages go and the card drains: taken only
	 * by who takes them away and who brings them, under no lock that others need.  Nothing is
	 * allocated under it, because memory may be reclaimed by taking pages away.
	 */
	struct mutex lock;
	/** @dma: the pages, while @mapped */
	struct quire_dma dma;
	/** @mapped: page tables may show the pages */
	bool mapped;
	/**
	 * @valid: and nobody is about to take them away.  Written under @lock; while it is set
	 * and the lock of some page tables is held, @dma stays.
	 */
	bool valid;
	/** @absent: there was nothing to be had at the address, the last time; under @faulting */
	bool absent;
	/** @over: the process has unmapped it: only a submission asks anew; under @lock */
	bool over;
	/** @ties_lock: protects @ties; never held while something is waited for, nor to allocate */
	struct mutex ties_lock;
	/** @ties: address spaces (quire_vm_bo.of_bo) */
	struct list_head ties;
	/** @detach: ends it and the buffer */
	struct work_struct detach;
};

/* Where buffers end whose end may have to wait for others: of all cards. */
extern struct workqueue_struct *quire_userptr_wq;
int quire_userptr_module_init(void);
void quire_userptr_module_exit(void);
/* All detached buffers have ended when this returns. */
void quire_userptr_flush(void);

/* The memory of the caller at @address becomes that of @bo; -EFAULT if it may not use it. */
int quire_userptr_attach(struct quire_bo *bo, u64 address);
/* The buffer goes: quire_bo_end() is called from a worker, which may have to wait for jobs. */
void quire_userptr_detach(struct quire_bo *bo);

/* Ask for the pages; -EFAULT if there are none, -EAGAIN if they go all the time. */
int quire_userptr_fault(struct quire_userptr *userptr);
/*
 * For jobs that rest: also not while another thread asks for them (-EAGAIN); and the page tables of
 * that address space show them.
 */
int quire_userptr_restore(struct quire_userptr *userptr, struct quire_vm *vm);
static inline bool quire_userptr_valid(struct quire_userptr *userptr)
{
	/* Pairs with the stores in quire_userptr_begin_drop() and quire_userptr_take(). */
	return smp_load_acquire(&userptr->valid);
}

/* Whether the address space has memory of no other process; its reservation is held. */
bool quire_userptr_fits(const struct quire_userptr *userptr, struct quire_vm *vm);
/* The buffer is in an address space, and is no more; both reservations are held. */
void quire_userptr_tie(struct quire_userptr *userptr, struct quire_vm_bo *tie);
void quire_userptr_untie(struct quire_userptr *userptr, struct quire_vm_bo *tie);

#endif /* QUIRE_USERPTR_H */
