/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_HOLD_H
#define QUIRE_HOLD_H

#include <linux/list.h>
#include <linux/workqueue.h>

struct quire_queues;
struct quire_restorer;
struct quire_vm;

/** struct quire_hold - an address space whose jobs rest while memory of theirs is asked for */
struct quire_hold {
	/** @node: in quire_queues.held while it is; under quire_queues.lock, as what follows */
	struct list_head node;
	/** @number: counts them */
	u32 number;
	/** @begun: when it was asked for, in jiffies */
	unsigned long begun;
	/** @resting: its jobs have come to rest, since when its time runs */
	bool resting;
	/** @since: when they had, in jiffies */
	unsigned long since;
	/** @most: how long it may last from there on */
	long most;
	/** @least: and how long it does, though the memory be there */
	unsigned long least;
	/** @ended: when the last one that rested ended, in jiffies */
	unsigned long ended;
	/**
	 * @left: of the time there was for it, less than nothing if it lasted longer; what has
	 * passed since comes to it
	 */
	long left;
	/** @restore: asks for the memory; holds the address space, as while it waits */
	struct work_struct restore;
	/** @restorer: whose work it is */
	struct quire_restorer *restorer;
	/** @waiting: in quire_restorer.waiting while @restore waits for other works of the user */
	struct list_head waiting;
};

/* The caller's; -ENOMEM. */
int quire_hold_init(struct quire_hold *hold);
void quire_hold_fini(struct quire_hold *hold);

/* No lock is needed for a look: whoever lends rings has the lock. */
static inline bool quire_hold_active(const struct quire_hold *hold)
{
	return !list_empty(&hold->node);
}

/*
 * Memory goes that jobs of the address space may use, and is not to be had before the caller's
 * notifier has returned: the jobs come to rest (quire_hold_at_rest()), and go on when it is there
 * again.  The caller sees to it that the address space stays.  The number of the hold.
 */
u32 quire_hold_begin(struct quire_vm *vm);
/* No queue of it has a ring any more, or that hold has ended. */
bool quire_hold_at_rest(struct quire_vm *vm, u32 number);

/* Under quire_queues.lock: */
void quire_hold_end(struct quire_vm *vm);
/* Ends holds that have lasted too long; true if some are left. */
bool quire_hold_watch(struct quire_queues *queues);
/* The card goes: all of them. */
void quire_hold_end_all(struct quire_queues *queues);

int quire_hold_module_init(void);
void quire_hold_module_exit(void);

#endif /* QUIRE_HOLD_H */
