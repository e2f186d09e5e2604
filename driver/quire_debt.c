// SPDX-License-Identifier: GPL-2.0-only
/*
 * What users owe for the work of the kernel's queue.
 *
 * To clear and move buffers takes the engines before everybody's jobs, because calls and page
 * faults of anybody may wait for it.  So it is done at once and paid for afterwards.  The card
 * counts it as time of the user in whose call it was done (quire_ring_entry.whose), which his jobs
 * pay.  Who has none would pay nothing: while other users have jobs on rings, each piece of work
 * keeps him from the next for as long as it took, once for each of them.  Until then what he has
 * not touched yet is cleared by his own processor, what was pushed out of card memory stays where
 * it is, and BO_CREATE, in which others' buffers may be pushed out, waits, without any lock.
 *
 * Threads of the kernel work for nobody.
 */
#include <linux/cred.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched.h>

#include <drm/drm_managed.h>

#include "quire_debt.h"
#include "quire_device.h"

/* Users that owe something at a time; of more, who owes least is let off. */
#define QUIRE_DEBTORS 64
/* Nobody waits for longer. */
#define QUIRE_DEBT_MOST_NS (5 * NSEC_PER_SEC)

/** struct quire_debt - of a user; under quire_debts.lock */
struct quire_debt {
	/** @uid: the user */
	kuid_t uid;
	/** @until: when it is paid, in nanoseconds of ktime_get() */
	u64 until;
};

/** struct quire_debts - who owes something to those who use a card */
struct quire_debts {
	/** @lock: protects @users */
	spinlock_t lock;
	/** @users: in no order */
	struct quire_debt users[QUIRE_DEBTORS];
};

/* The caller's, or with @make that of who owes least, which becomes his; or NULL. */
static struct quire_debt *quire_debt_find(struct quire_debts *debts, bool make)
{
	struct quire_debt *least = &debts->users[0];

	lockdep_assert_held(&debts->lock);
	for (u32 i = 0; i < QUIRE_DEBTORS; i++) {
		struct quire_debt *debt = &debts->users[i];

		if (debt->until && uid_eq(debt->uid, current_uid()))
			return debt;
		if (debt->until < least->until)
			least = debt;
	}
	if (!make)
		return NULL;
	*least = (struct quire_debt){ .uid = current_uid() };
	return least;
}

static u64 quire_debt_left(struct quire_device *qdev)
{
	struct quire_debts *debts = qdev->debts;
	u64 now = ktime_get_ns();
	struct quire_debt *debt;
	u64 left = 0;

	if (current->flags & PF_KTHREAD)
		return 0;
	spin_lock(&debts->lock);
	debt = quire_debt_find(debts, false);
	if (debt && debt->until > now)
		left = debt->until - now;
	spin_unlock(&debts->lock);
	return left;
}

bool quire_debt_owes(struct quire_device *qdev)
{
	return quire_debt_left(qdev);
}

int quire_debt_pay(struct quire_device *qdev)
{
	u64 left = quire_debt_left(qdev);

	if (left && schedule_timeout_interruptible(nsecs_to_jiffies(left) + 1))
		return signal_pending(current) ? -ERESTARTSYS : 0;
	return 0;
}

void quire_debt_add(struct quire_device *qdev, u64 ns, unsigned int others)
{
	struct quire_debts *debts = qdev->debts;
	u64 now = ktime_get_ns();
	struct quire_debt *debt;

	if (!ns || !others || current->flags & PF_KTHREAD)
		return;
	spin_lock(&debts->lock);
	debt = quire_debt_find(debts, true);
	debt->until = min(max(debt->until, now) + ns * others, now + QUIRE_DEBT_MOST_NS);
	spin_unlock(&debts->lock);
}

int quire_debts_init(struct quire_device *qdev)
{
	qdev->debts = drmm_kzalloc(&qdev->drm, sizeof(*qdev->debts), GFP_KERNEL);
	if (!qdev->debts)
		return -ENOMEM;
	spin_lock_init(&qdev->debts->lock);
	return 0;
}
