/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_HOLD_H
#define QUIRE_HOLD_H

#include <linux/list.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

struct mm_struct;
struct quire_device;
struct quire_queues;
struct quire_user;
struct quire_vm;

/** struct quire_hold - an address space whose jobs rest while memory of theirs is asked for */
struct quire_hold {
	/** @node: in quire_queues.held while it is; under quire_queues.lock, as what follows */
	struct list_head node;
	/** @mm: whose memory it has, or NULL; only to be compared */
	const struct mm_struct *mm;
	/**
	 * @due: memory has gone since its jobs had all of it, and it was not held; set by who
	 * takes it, under quire_userptr.ties_lock
	 */
	bool due;
	/** @resting: its jobs have come to rest, since when its time runs */
	bool resting;
	/** @since: when they had, in jiffies */
	unsigned long since;
	/** @most: how long it may last from there on */
	long most;
	/** @ended: when the last one that rested ended, in jiffies */
	unsigned long ended;
	/**
	 * @left: of the time there was for it, less than nothing if it lasted longer; what has
	 * passed since comes to it
	 */
	long left;
	/** @restore: asks for the memory; holds the address space, as while it waits */
	struct work_struct restore;
	/** @user: whose work it is */
	struct quire_user *user;
	/** @waiting: in quire_user.waiting while @restore waits for other works of the user */
	struct list_head waiting;
};

/** struct quire_rest - a process, or what is left of it, whose jobs were waited for */
struct quire_rest {
	/** @mm: only to be compared; under quire_queues.lock, as all here */
	const struct mm_struct *mm;
	/** @taken: when memory of it went for the last time, in jiffies */
	unsigned long taken;
	/** @least: how long holds last from there on, though the memory be there */
	unsigned long least;
};

/** struct quire_taking - memory of a process goes, and its jobs rest; the caller's */
struct quire_taking {
	/** @node: in quire_queues.takings; under quire_queues.lock */
	struct list_head node;
	/** @qdev: card */
	struct quire_device *qdev;
	/** @mm: whose memory */
	const struct mm_struct *mm;
	/** @own: whoever takes it has no lock but that of the process: nobody else waits */
	bool own;
	/** @uid: whose jobs, once some are waited for */
	kuid_t uid;
	/** @patience: how long they may take to come to rest; 0: none was waited for yet */
	unsigned long patience;
	/** @all: others have waited for him too often: all his that use such memory rest */
	bool all;
	/** @begun: since when somebody waits, in jiffies */
	unsigned long begun;
};

/* The caller's; -ENOMEM. */
int quire_hold_init(struct quire_hold *hold);
void quire_hold_fini(struct quire_hold *hold);

/* No lock is needed for a look: whoever lends rings has the lock. */
static inline bool quire_hold_active(const struct quire_hold *hold)
{
	return !list_empty(&hold->node);
}

/* The address space has memory of the process from here on; and none any more. */
void quire_hold_join(struct quire_vm *vm, const struct mm_struct *mm);
void quire_hold_quit(struct quire_vm *vm);

/*
 * Memory of a process goes, and is not to be had before the caller's notifier has returned: the
 * jobs of all address spaces that have such come to rest, and go on when it is there again.
 * Returns when they rest.  Whose band takes longer than others have patience is ended.
 */
void quire_hold_take(struct quire_taking *taking);
/* They still do, or have had their time. */
bool quire_hold_taken(struct quire_taking *taking);
/* The notifier returns: they may go on. */
void quire_hold_give(struct quire_taking *taking);

/* Under quire_queues.lock: */
/*
 * A queue of the address space wants a ring: true if it has to wait for memory, be it that a hold
 * begins now.
 */
bool quire_hold_keeps(struct quire_vm *vm);
/* Of one that is held: whether its jobs are at rest.  From the first look on its time runs. */
bool quire_hold_look(struct quire_vm *vm);
void quire_hold_end(struct quire_vm *vm);
/* Ends holds that have lasted too long; true if some are left. */
bool quire_hold_watch(struct quire_queues *queues);
/* The card goes: all of them. */
void quire_hold_end_all(struct quire_queues *queues);

/* The machine is about to sleep; and processes and works go on, with or without sleep. */
void quire_hold_sleep(struct quire_queues *queues, bool sleepy);
/* For that, processes are being frozen, or are: none of their memory is asked for. */
bool quire_hold_frozen(const struct quire_queues *queues);

#endif /* QUIRE_HOLD_H */
