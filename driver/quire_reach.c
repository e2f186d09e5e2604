// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the card may still reach.  An engine that has begun an operation uses the translation
 * it began with until that operation ends, so neither a changed page table nor a flush is a
 * reason to give memory back.  The card counts its flushes and tells which of them it has
 * drained (quire/hw.h); here is the only place that asks it.
 *
 * Nothing here allocates or takes a reservation: fences wait for those who ask.
 */
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <drm/drm_managed.h>

#include "quire_queue.h"
#include "quire_reach.h"
#include "quire_vm.h"

/* Should the event not come. */
#define QUIRE_REACH_POLL msecs_to_jiffies(4)
/* Of that, whoever has bands then has the last to come to rest. */
#define QUIRE_REACH_REST (1ul * HZ)
/* And as often it is said who has not. */
#define QUIRE_REACH_AGAIN (HZ / 20)

struct workqueue_struct *quire_memory_wq;

/** struct quire_reach - what is waited for on one card */
struct quire_reach {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @lock: protects all below but @sleepers; taken in the interrupt handler */
	spinlock_t lock;
	/** @running: the registers can be asked */
	bool running;
	/** @gone: for good */
	bool gone;
	/** @epoch: counts the times the card was stopped */
	u32 epoch;
	/** @known: contexts (bits) of which @drained says something in this epoch */
	u32 known;
	/** @drained: what DRAINED was when it was last read */
	u32 drained[QUIRE_CONTEXTS];
	/** @late: address spaces (quire_vm.late) that have something to give back */
	struct list_head late;
	/** @sleepers: threads in quire_reach_wait() */
	atomic_t sleepers;
	/** @wait: where they sleep */
	wait_queue_head_t wait;
	/** @look: has the address spaces in @late tidied up */
	struct work_struct look;
	/** @poll: stands in for the event */
	struct delayed_work poll;
};

static bool quire_reach_passed(struct quire_reach *reach, struct quire_ticket ticket)
{
	return (s32)(reach->drained[ticket.context] - ticket.number) >= 0;
}

static bool quire_reach_over_locked(struct quire_reach *reach, struct quire_ticket ticket)
{
	u32 context = ticket.context;

	lockdep_assert_held(&reach->lock);
	if (context == QUIRE_NO_CONTEXT || ticket.epoch != reach->epoch || !reach->running)
		return true;
	/* DRAINED never goes back, and a read of the card takes longer than all the rest. */
	if (reach->known & BIT(context) && quire_reach_passed(reach, ticket))
		return true;
	reach->drained[context] = quire_read(reach->qdev, QUIRE_REG_DRAINED(context));
	reach->known |= BIT(context);
	/* A card that was pulled out reaches nothing. */
	return quire_reach_passed(reach, ticket) || quire_card_is_gone(reach->qdev);
}

struct quire_ticket quire_reach_flush(struct quire_device *qdev, u32 context)
{
	struct quire_reach *reach = qdev->reach;
	struct quire_ticket ticket = QUIRE_TICKET_OVER;
	unsigned long flags;

	if (context == QUIRE_NO_CONTEXT)
		return ticket;
	spin_lock_irqsave(&reach->lock, flags);
	if (reach->running) {
		quire_write(qdev, QUIRE_REG_TLB_FLUSH, context);
		/* The read makes the write arrive, and gives this flush's number or a later one. */
		ticket.number = quire_read(qdev, QUIRE_REG_FLUSHED(context));
		ticket.context = context;
		ticket.epoch = reach->epoch;
		ticket.since = jiffies;
	}
	spin_unlock_irqrestore(&reach->lock, flags);
	return ticket;
}

bool quire_reach_over(struct quire_device *qdev, struct quire_ticket ticket)
{
	struct quire_reach *reach = qdev->reach;
	unsigned long flags;
	bool over;

	if (ticket.context == QUIRE_NO_CONTEXT)
		return true;
	spin_lock_irqsave(&reach->lock, flags);
	over = quire_reach_over_locked(reach, ticket);
	spin_unlock_irqrestore(&reach->lock, flags);
	return over;
}

/* The work holds the card until it has run. */
static void quire_reach_queue_look(struct quire_reach *reach)
{
	drm_dev_get(&reach->qdev->drm);
	if (!queue_work(quire_memory_wq, &reach->look))
		drm_dev_put(&reach->qdev->drm);
}

static void quire_reach_queue_poll(struct quire_reach *reach)
{
	unsigned long flags;

	drm_dev_get(&reach->qdev->drm);
	spin_lock_irqsave(&reach->lock, flags);
	if (!reach->gone && queue_delayed_work(quire_memory_wq, &reach->poll, QUIRE_REACH_POLL))
		drm_dev_get(&reach->qdev->drm);
	spin_unlock_irqrestore(&reach->lock, flags);
	drm_dev_put(&reach->qdev->drm);
}

/* What is left of a time that began with the flush, for however many who wait for it. */
static long quire_reach_left(struct quire_ticket ticket, unsigned long most)
{
	return max((long)(ticket.since + most - jiffies), (long)QUIRE_REACH_AGAIN);
}

static int quire_reach_sleep(struct quire_device *qdev, struct quire_ticket ticket,
			     bool interruptible, unsigned long most, unsigned long rest)
{
	struct quire_reach *reach = qdev->reach;
	long left = 0;

	if (quire_reach_over(qdev, ticket))
		return 0;
	atomic_inc(&reach->sleepers);
	quire_reach_queue_poll(reach);
	while (!left) {
		if (interruptible)
			left = wait_event_interruptible_timeout(reach->wait,
								quire_reach_over(qdev, ticket),
								quire_reach_left(ticket, most));
		else
			left = wait_event_timeout(reach->wait, quire_reach_over(qdev, ticket),
						  quire_reach_left(ticket, most));
		if (!left)
			quire_reset_undrained(qdev, ticket, rest);
	}
	atomic_dec(&reach->sleepers);
	return min(left, 0L);
}

int quire_reach_wait(struct quire_device *qdev, struct quire_ticket ticket, bool interruptible)
{
	return quire_reach_sleep(qdev, ticket, interruptible, QUIRE_REACH_LIMIT - QUIRE_REACH_REST,
				 QUIRE_REACH_REST);
}

void quire_reach_wait_for(struct quire_device *qdev, struct quire_ticket ticket,
			  unsigned long patience)
{
	quire_reach_sleep(qdev, ticket, false, patience, patience);
}

/* The work holds the address space until it has run; the caller has a reference, too. */
void quire_reach_later(struct quire_vm *vm)
{
	quire_vm_get(vm);
	if (!queue_work(quire_memory_wq, &vm->tidy))
		quire_vm_put(vm);
}

void quire_reach_event(struct quire_device *qdev)
{
	struct quire_reach *reach = qdev->reach;

	wake_up_all(&reach->wait);
	if (!list_empty_careful(&reach->late))
		quire_reach_queue_look(reach);
}

static void quire_reach_poll_work(struct work_struct *work)
{
	struct quire_reach *reach = container_of(to_delayed_work(work), struct quire_reach, poll);
	struct quire_device *qdev = reach->qdev;

	quire_reach_event(qdev);
	if (atomic_read(&reach->sleepers))
		quire_reach_queue_poll(reach);
	drm_dev_put(&qdev->drm);
}

/* Something is left: the next event, or the poll, has the address space tidied up again. */
static void quire_reach_wait_for_event(struct quire_reach *reach, struct quire_vm *vm)
{
	bool gone;

	spin_lock_irq(&reach->lock);
	gone = reach->gone;
	if (!gone && list_empty(&vm->late)) {
		quire_vm_get(vm);
		list_add_tail(&vm->late, &reach->late);
	}
	spin_unlock_irq(&reach->lock);
	if (!gone) {
		quire_reach_queue_poll(reach);
		return;
	}
	/* No event comes any more; somebody has a reservation, which he will give back. */
	schedule_timeout_uninterruptible(1);
	quire_reach_later(vm);
}

/*
 * Each address space has a work of its own: what one gives back may have to wait, for example
 * for the owner of an imported buffer.  The reference may be the last on it, and on the card.
 */
void quire_reach_tidy_work(struct work_struct *work)
{
	struct quire_vm *vm = container_of(work, struct quire_vm, tidy);
	struct quire_reach *reach = vm->qdev->reach;
	struct quire_ticket oldest = { .context = QUIRE_NO_CONTEXT, .since = jiffies };

	if (quire_vm_tidy(vm, &oldest))
		quire_reach_wait_for_event(reach, vm);
	if (time_after(jiffies, oldest.since + QUIRE_REACH_LIMIT - QUIRE_REACH_REST))
		quire_reset_undrained(reach->qdev, oldest, QUIRE_REACH_REST);
	quire_vm_put(vm);
}

/* The references of the list go to the works, but where one is queued already. */
static void quire_reach_look_work(struct work_struct *work)
{
	struct quire_reach *reach = container_of(work, struct quire_reach, look);
	struct quire_device *qdev = reach->qdev;
	struct quire_vm *vm;

	spin_lock_irq(&reach->lock);
	while ((vm = list_first_entry_or_null(&reach->late, struct quire_vm, late))) {
		list_del_init(&vm->late);
		spin_unlock_irq(&reach->lock);
		if (!queue_work(quire_memory_wq, &vm->tidy))
			quire_vm_put(vm);
		spin_lock_irq(&reach->lock);
	}
	spin_unlock_irq(&reach->lock);
	drm_dev_put(&qdev->drm);
}

void quire_reach_stopped(struct quire_device *qdev)
{
	struct quire_reach *reach = qdev->reach;
	unsigned long flags;

	spin_lock_irqsave(&reach->lock, flags);
	reach->running = false;
	reach->epoch++;
	reach->known = 0;
	spin_unlock_irqrestore(&reach->lock, flags);
	quire_reach_event(qdev);
}

void quire_reach_running(struct quire_device *qdev)
{
	struct quire_reach *reach = qdev->reach;
	unsigned long flags;

	spin_lock_irqsave(&reach->lock, flags);
	reach->running = !reach->gone;
	spin_unlock_irqrestore(&reach->lock, flags);
}

void quire_reach_end(struct quire_device *qdev)
{
	struct quire_reach *reach = qdev->reach;
	unsigned long flags;

	spin_lock_irqsave(&reach->lock, flags);
	reach->gone = true;
	spin_unlock_irqrestore(&reach->lock, flags);
	quire_reach_stopped(qdev);
}

void quire_reach_unplug(struct quire_device *qdev)
{
	struct quire_reach *reach = qdev->reach;

	quire_reach_end(qdev);
	/* No timer outlasts the module. */
	if (cancel_delayed_work_sync(&reach->poll))
		drm_dev_put(&qdev->drm);
}

int quire_reach_init(struct quire_device *qdev)
{
	struct quire_reach *reach = drmm_kzalloc(&qdev->drm, sizeof(*reach), GFP_KERNEL);

	if (!reach)
		return -ENOMEM;
	reach->qdev = qdev;
	spin_lock_init(&reach->lock);
	INIT_LIST_HEAD(&reach->late);
	init_waitqueue_head(&reach->wait);
	INIT_WORK(&reach->look, quire_reach_look_work);
	INIT_DELAYED_WORK(&reach->poll, quire_reach_poll_work);
	reach->running = true;
	qdev->reach = reach;
	return 0;
}

int quire_reach_module_init(void)
{
	quire_memory_wq = alloc_workqueue("quire-memory", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return quire_memory_wq ? 0 : -ENOMEM;
}

void quire_reach_module_exit(void)
{
	destroy_workqueue(quire_memory_wq);
}
