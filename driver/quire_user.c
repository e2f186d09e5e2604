// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users: what each has of what others want, too.
 *
 * Works that ask for memory again that is held (quire_hold.c): one may be stuck in a page fault for
 * ever, so a user has some at a time, and his others wait for those.  How long others wait for his
 * jobs.  How much memory the card reaches that is not its driver's: it costs the user little, as
 * the same memory may be in many buffers, but each takes addresses of the bus, and whoever takes a
 * page away goes through all that have it.
 */
#include <linux/cred.h>
#include <linux/slab.h>

#include "quire_hold.h"
#include "quire_queue.h"
#include "quire_user.h"

/* Works of a user at a time; the kernel has 512 for all. */
#define QUIRE_USER_WORKS 32
/* Buffers of foreign memory of a user: as many as a process has mappings of its own. */
#define QUIRE_USER_FOREIGN 65536
/* So long others wait for bands of a user, or a part of the time if that is less. */
#define QUIRE_USER_PATIENCE ((long)HZ)

/**
 * struct quire_user - a user who has address spaces or buffers of foreign memory, or had some when
 * others waited too often: he has not all their patience again because he comes anew.  His works
 * beyond some wait for these.
 */
struct quire_user {
	/** @node: in quire_users; under quire_users_lock, as all here */
	struct list_head node;
	/** @uid: the user */
	kuid_t uid;
	/** @things: address spaces and buffers of foreign memory of his */
	unsigned int things;
	/** @foreign: of these, the buffers */
	unsigned int foreign;
	/** @foreign_bytes: what they are together */
	u64 foreign_bytes;
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

static struct workqueue_struct *quire_user_wq;
static LIST_HEAD(quire_users);
static DEFINE_SPINLOCK(quire_users_lock);

static struct quire_user *quire_user_of(kuid_t uid)
{
	struct quire_user *user;

	lockdep_assert_held(&quire_users_lock);
	list_for_each_entry(user, &quire_users, node)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* What is left, and what has come to it since. */
static long quire_user_patience(const struct quire_user *user)
{
	unsigned long passed = (jiffies - user->charged) / QUIRE_USER_PATIENCE_PART;

	return min(user->patience + (long)passed, QUIRE_USER_PATIENCE);
}

/* Those that tell nothing any more. */
static void quire_users_prune(void)
{
	struct quire_user *user, *next;

	lockdep_assert_held(&quire_users_lock);
	list_for_each_entry_safe(user, next, &quire_users, node) {
		if (user->things || quire_user_patience(user) < QUIRE_USER_PATIENCE)
			continue;
		list_del(&user->node);
		kfree(user);
	}
}

/* The caller's, or @fresh, which is taken over. */
static struct quire_user *quire_user_find(struct quire_user **fresh)
{
	struct quire_user *user = quire_user_of(current_uid());

	if (user)
		return user;
	user = *fresh;
	*fresh = NULL;
	user->uid = current_uid();
	user->patience = QUIRE_USER_PATIENCE;
	user->charged = jiffies;
	user->rests = jiffies;
	INIT_LIST_HEAD(&user->waiting);
	list_add(&user->node, &quire_users);
	return user;
}

struct quire_user *quire_user_get(void)
{
	struct quire_user *fresh = kzalloc(sizeof(*fresh), QUIRE_GFP_CALL), *user;

	if (!fresh)
		return NULL;
	spin_lock(&quire_users_lock);
	user = quire_user_find(&fresh);
	user->things++;
	spin_unlock(&quire_users_lock);
	kfree(fresh);
	return user;
}

void quire_user_put(struct quire_user *user)
{
	spin_lock(&quire_users_lock);
	user->things--;
	quire_users_prune();
	spin_unlock(&quire_users_lock);
}

int quire_user_take_foreign(struct quire_user *user, u64 bytes, u64 most)
{
	int ret = 0;

	spin_lock(&quire_users_lock);
	if (user->foreign == QUIRE_USER_FOREIGN)
		ret = -EMFILE;
	else if (bytes > most || user->foreign_bytes > most - bytes)
		ret = -ENOMEM;
	if (!ret) {
		user->foreign++;
		user->foreign_bytes += bytes;
	}
	spin_unlock(&quire_users_lock);
	return ret;
}

void quire_user_give_foreign(struct quire_user *user, u64 bytes)
{
	spin_lock(&quire_users_lock);
	user->foreign--;
	user->foreign_bytes -= bytes;
	spin_unlock(&quire_users_lock);
}

long quire_user_left(const struct quire_user *user)
{
	long patience;

	spin_lock(&quire_users_lock);
	patience = quire_user_patience(user);
	spin_unlock(&quire_users_lock);
	return patience;
}

kuid_t quire_user_uid(const struct quire_user *user)
{
	return user->uid;
}

void quire_user_charge(kuid_t uid, unsigned long waited)
{
	struct quire_user *user;

	spin_lock(&quire_users_lock);
	user = quire_user_of(uid);
	if (user) {
		user->patience = max(quire_user_patience(user) - (long)waited,
				     -QUIRE_USER_PATIENCE);
		user->charged = jiffies;
	}
	spin_unlock(&quire_users_lock);
}

void quire_user_rest(kuid_t uid, unsigned long least)
{
	struct quire_user *user;

	spin_lock(&quire_users_lock);
	user = quire_user_of(uid);
	if (user && time_before(user->rests, jiffies + least))
		WRITE_ONCE(user->rests, jiffies + least);
	spin_unlock(&quire_users_lock);
}

bool quire_user_rests(const struct quire_user *user)
{
	return time_before(jiffies, READ_ONCE(user->rests));
}

bool quire_restore_begin(struct quire_hold *hold)
{
	struct quire_user *user = hold->user;
	bool added;

	spin_lock(&quire_users_lock);
	added = list_empty(&hold->waiting) && !work_pending(&hold->restore);
	if (added && user->works < QUIRE_USER_WORKS) {
		user->works++;
		queue_work(quire_user_wq, &hold->restore);
	} else if (added) {
		list_add_tail(&hold->waiting, &user->waiting);
	}
	spin_unlock(&quire_users_lock);
	return added;
}

bool quire_restore_again(struct quire_hold *hold)
{
	bool queued;

	/* Who begins it looks whether it is to begin already, under the same lock. */
	spin_lock(&quire_users_lock);
	queued = list_empty(&hold->waiting) && queue_work(quire_user_wq, &hold->restore);
	spin_unlock(&quire_users_lock);
	return queued;
}

void quire_restore_end(struct quire_hold *hold)
{
	struct quire_user *user = hold->user;
	struct quire_hold *next;

	spin_lock(&quire_users_lock);
	next = list_first_entry_or_null(&user->waiting, struct quire_hold, waiting);
	if (next) {
		list_del_init(&next->waiting);
		queue_work(quire_user_wq, &next->restore);
	} else {
		user->works--;
	}
	spin_unlock(&quire_users_lock);
}

int quire_user_module_init(void)
{
	/*
	 * What is there may take its time to come: others' works do not wait for it.  Frozen with
	 * the processes: an image of the machine must not miss pages that come from swap space.
	 */
	quire_user_wq = alloc_workqueue("quire-hold", WQ_UNBOUND | WQ_FREEZABLE, WQ_MAX_ACTIVE);
	return quire_user_wq ? 0 : -ENOMEM;
}

void quire_user_module_drain(void)
{
	drain_workqueue(quire_user_wq);
}

void quire_user_module_exit(void)
{
	struct quire_user *user, *next;

	destroy_workqueue(quire_user_wq);
	list_for_each_entry_safe(user, next, &quire_users, node) {
		WARN_ON(user->things);
		kfree(user);
	}
}
