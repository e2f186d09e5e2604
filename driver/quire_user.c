// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users whose memory is held (quire_hold.c): the works that ask for it again, and how long others
 * wait for their jobs.
 *
 * A work may be stuck in a page fault for ever.  So a user has some at a time, and his others wait
 * for those.
 */
#include <linux/cred.h>
#include <linux/slab.h>

#include "quire_hold.h"
#include "quire_queue.h"
#include "quire_restorer.h"

/* Works of a user at a time; the kernel has 512 for all. */
#define QUIRE_RESTORER_WORKS 32
/* So long others wait for bands of a user, or a part of the time if that is less. */
#define QUIRE_RESTORER_PATIENCE ((long)HZ)

/**
 * struct quire_restorer - a user who has address spaces, or had some when others waited too often:
 * he has not all their patience again because he comes anew.  His works beyond some wait for these.
 */
struct quire_restorer {
	/** @node: in quire_restorers; under quire_restorers_lock, as all here */
	struct list_head node;
	/** @uid: the user */
	kuid_t uid;
	/** @spaces: address spaces of his */
	unsigned int spaces;
	/** @works: that have begun or are about to, and may never end */
	unsigned int works;
	/** @patience: of others with his bands when @charged; less than nothing if he had more */
	long patience;
	/** @charged: in jiffies; some of what has passed since comes to @patience */
	unsigned long charged;
	/** @rests: others have waited too often: until when, in jiffies; no lock to read it */
	unsigned long rests;
	/** @waiting: holds (quire_hold.waiting) whose work waits for one to end, oldest first */
	struct list_head waiting;
};

static struct workqueue_struct *quire_restorer_wq;
static LIST_HEAD(quire_restorers);
static DEFINE_SPINLOCK(quire_restorers_lock);

static struct quire_restorer *quire_restorer_of(kuid_t uid)
{
	struct quire_restorer *restorer;

	lockdep_assert_held(&quire_restorers_lock);
	list_for_each_entry(restorer, &quire_restorers, node)
		if (uid_eq(restorer->uid, uid))
			return restorer;
	return NULL;
}

/* What is left, and what has come to it since. */
static long quire_restorer_patience(const struct quire_restorer *restorer)
{
	unsigned long passed = (jiffies - restorer->charged) / QUIRE_RESTORER_PATIENCE_PART;

	return min(restorer->patience + (long)passed, QUIRE_RESTORER_PATIENCE);
}

/* Those that tell nothing any more. */
static void quire_restorers_prune(void)
{
	struct quire_restorer *restorer, *next;

	lockdep_assert_held(&quire_restorers_lock);
	list_for_each_entry_safe(restorer, next, &quire_restorers, node) {
		if (restorer->spaces || quire_restorer_patience(restorer) < QUIRE_RESTORER_PATIENCE)
			continue;
		list_del(&restorer->node);
		kfree(restorer);
	}
}

/* The caller's, or @fresh, which is taken over. */
static struct quire_restorer *quire_restorer_find(struct quire_restorer **fresh)
{
	struct quire_restorer *restorer = quire_restorer_of(current_uid());

	if (restorer)
		return restorer;
	restorer = *fresh;
	*fresh = NULL;
	restorer->uid = current_uid();
	restorer->patience = QUIRE_RESTORER_PATIENCE;
	restorer->charged = jiffies;
	restorer->rests = jiffies;
	INIT_LIST_HEAD(&restorer->waiting);
	list_add(&restorer->node, &quire_restorers);
	return restorer;
}

struct quire_restorer *quire_restorer_get(void)
{
	struct quire_restorer *fresh = kzalloc(sizeof(*fresh), QUIRE_GFP_CALL), *restorer;

	if (!fresh)
		return NULL;
	spin_lock(&quire_restorers_lock);
	restorer = quire_restorer_find(&fresh);
	restorer->spaces++;
	spin_unlock(&quire_restorers_lock);
	kfree(fresh);
	return restorer;
}

void quire_restorer_put(struct quire_restorer *restorer)
{
	spin_lock(&quire_restorers_lock);
	restorer->spaces--;
	quire_restorers_prune();
	spin_unlock(&quire_restorers_lock);
}

long quire_restorer_left(const struct quire_restorer *restorer)
{
	long patience;

	spin_lock(&quire_restorers_lock);
	patience = quire_restorer_patience(restorer);
	spin_unlock(&quire_restorers_lock);
	return patience;
}

kuid_t quire_restorer_uid(const struct quire_restorer *restorer)
{
	return restorer->uid;
}

void quire_restorer_charge(kuid_t uid, unsigned long waited)
{
	struct quire_restorer *restorer;

	spin_lock(&quire_restorers_lock);
	restorer = quire_restorer_of(uid);
	if (restorer) {
		restorer->patience = max(quire_restorer_patience(restorer) - (long)waited,
					 -QUIRE_RESTORER_PATIENCE);
		restorer->charged = jiffies;
	}
	spin_unlock(&quire_restorers_lock);
}

void quire_restorer_rest(kuid_t uid, unsigned long least)
{
	struct quire_restorer *restorer;

	spin_lock(&quire_restorers_lock);
	restorer = quire_restorer_of(uid);
	if (restorer && time_before(restorer->rests, jiffies + least))
		WRITE_ONCE(restorer->rests, jiffies + least);
	spin_unlock(&quire_restorers_lock);
}

bool quire_restorer_rests(const struct quire_restorer *restorer)
{
	return time_before(jiffies, READ_ONCE(restorer->rests));
}

bool quire_restore_begin(struct quire_hold *hold)
{
	struct quire_restorer *restorer = hold->restorer;
	bool added;

	spin_lock(&quire_restorers_lock);
	added = list_empty(&hold->waiting) && !work_pending(&hold->restore);
	if (added && restorer->works < QUIRE_RESTORER_WORKS) {
		restorer->works++;
		queue_work(quire_restorer_wq, &hold->restore);
	} else if (added) {
		list_add_tail(&hold->waiting, &restorer->waiting);
	}
	spin_unlock(&quire_restorers_lock);
	return added;
}

bool quire_restore_again(struct quire_hold *hold)
{
	bool queued;

	/* Who begins it looks whether it is to begin already, under the same lock. */
	spin_lock(&quire_restorers_lock);
	queued = list_empty(&hold->waiting) && queue_work(quire_restorer_wq, &hold->restore);
	spin_unlock(&quire_restorers_lock);
	return queued;
}

void quire_restore_end(struct quire_hold *hold)
{
	struct quire_restorer *restorer = hold->restorer;
	struct quire_hold *next;

	spin_lock(&quire_restorers_lock);
	next = list_first_entry_or_null(&restorer->waiting, struct quire_hold, waiting);
	if (next) {
		list_del_init(&next->waiting);
		queue_work(quire_restorer_wq, &next->restore);
	} else {
		restorer->works--;
	}
	spin_unlock(&quire_restorers_lock);
}

int quire_restorer_module_init(void)
{
	/*
	 * What is there may take its time to come: others' works do not wait for it.  Frozen with
	 * the processes: an image of the machine must not miss pages that come from swap space.
	 */
	quire_restorer_wq = alloc_workqueue("quire-hold", WQ_UNBOUND | WQ_FREEZABLE, WQ_MAX_ACTIVE);
	return quire_restorer_wq ? 0 : -ENOMEM;
}

void quire_restorer_module_drain(void)
{
	drain_workqueue(quire_restorer_wq);
}

void quire_restorer_module_exit(void)
{
	struct quire_restorer *restorer, *next;

	destroy_workqueue(quire_restorer_wq);
	list_for_each_entry_safe(restorer, next, &quire_restorers, node) {
		WARN_ON(restorer->spaces);
		kfree(restorer);
	}
}
