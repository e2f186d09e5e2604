// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots: rings and contexts of the card, lent to the queues that have work.
 *
 * A queue keeps its ring when its work is done, until another wants it: then the ring
 * used longest ago is taken back, and with the last ring of an address space its context.
 * While all are busy, queues that have had their share are parked: the firmware writes what
 * it needs to go on to the queue's page, at the end of a band, and the queue waits for
 * the next turn.  A queue without a ring has nothing running, and an address space
 * without a context is out of the card's reach.
 *
 * Everything here runs in fence-signalling paths: nothing allocates.
 */
#include "quire_queue.h"
#include "quire_trace.h"
#include "quire_vm.h"

/* How often it is looked whether somebody has had his share, while others wait. */
#define QUIRE_SLOT_LOOK msecs_to_jiffies(5)
/* Waiting queues for which no slot was found, before a search ends. */
#define QUIRE_SLOT_TRIES 16

/* The firmware does not do as it is told: nothing is lent until the card has been reset. */
void quire_slot_ailing(struct quire_device *qdev, const char *why)
{
	lockdep_assert_held(&qdev->queues->lock);
	qdev->queues->ailing = true;
	quire_reset_schedule(qdev, why);
}

void quire_slot_interrupt(struct quire_slot *slot)
{
	unsigned long flags;

	/* Held while jobs are ended, so that the queue stays: its users take the slot first. */
	spin_lock_irqsave(&slot->lock, flags);
	if (slot->queue)
		quire_ring_reap(slot->queue);
	spin_unlock_irqrestore(&slot->lock, flags);
}

static struct quire_context *quire_slot_context(struct quire_queue *queue)
{
	return &queue->qdev->queues->contexts[queue->vm->mmu.context];
}

static void quire_slot_attach(struct quire_slot *slot, struct quire_queue *queue)
{
	struct quire_context *context = quire_slot_context(queue);
	unsigned long flags;

	lockdep_assert_held(&queue->qdev->queues->lock);
	/* Jobs are on a ring that is nobody's only if its page holds the first of them. */
	WARN_ON_ONCE(queue->parked != quire_ring_busy(queue));
	spin_lock_irqsave(&slot->lock, flags);
	slot->queue = queue;
	spin_lock(&queue->lock);
	queue->slot = slot;
	spin_unlock(&queue->lock);
	spin_unlock_irqrestore(&slot->lock, flags);
	slot->since = jiffies;
	slot->used = jiffies;
	slot->parking = false;
	slot->busy = true;
	context->rings++;
	context->busy++;
	context->used = jiffies;
	quire_share_take(queue);
	trace_quire_slot_lend(slot, queue);
}

/*
 * The card does nothing for the queue: the ring is free.  Jobs may have come that saw the ring
 * when it was still the queue's, and whose submitter looks no more: they wait for another.
 */
void quire_slot_detach(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;
	struct quire_context *context = quire_slot_context(queue);
	unsigned long flags;

	lockdep_assert_held(&slot->qdev->queues->lock);
	trace_quire_slot_return(slot, queue);
	spin_lock_irqsave(&slot->lock, flags);
	spin_lock(&queue->lock);
	queue->live = false;
	queue->slot = NULL;
	spin_unlock(&queue->lock);
	slot->queue = NULL;
	spin_unlock_irqrestore(&slot->lock, flags);
	slot->parking = false;
	slot->doubt = false;
	quire_share_give(queue);
	context->rings--;
	context->used = jiffies;
	if (quire_hold_active(&queue->vm->hold))
		quire_hold_look(queue->vm);
	wake_up_all(&slot->qdev->queues->changed);
	if (quire_ring_wants(queue)) {
		quire_slot_want(queue);
		quire_slots_wake(slot->qdev);
	}
}

/* The card has stopped with the queue: take what records there are, and the time without one. */
void quire_slot_leave(struct quire_slot *slot)
{
	u32 base = QUIRE_REG_QUEUE(slot->hw);

	/* In doubt it may be that of who had the ring before. */
	quire_ring_leave(slot->queue,
			 slot->doubt ? 0 : quire_read(slot->qdev, base + QUIRE_QUEUE_JOB_US));
}

/* Cancel what runs and take the ring back; a failure leaves it with the queue. */
int quire_slot_stop(struct quire_slot *slot, unsigned int timeout_ms)
{
	int ret;

	lockdep_assert_held(&slot->qdev->queues->lock);
	ret = quire_mailbox_send_within(slot->qdev, QUIRE_MAILBOX_QUEUE_STOP, slot->hw,
					timeout_ms);
	if (ret)
		return ret;
	quire_slot_leave(slot);
	quire_slot_detach(slot);
	return 0;
}

/*
 * Takes the ring of a queue that has nothing on it; false if it has, or if the firmware does not
 * obey.  Without @stop the card will be stopped in any case.
 */
bool quire_slot_take_idle(struct quire_slot *slot, bool stop)
{
	struct quire_queue *queue = slot->queue;
	unsigned long flags;
	bool idle;

	lockdep_assert_held(&slot->qdev->queues->lock);
	/* Its QUEUE_PARK may be on its way still: quire_slots_collect() or a reset takes it. */
	if (slot->parking)
		return false;
	/* From here on submissions come to us. */
	spin_lock_irqsave(&queue->lock, flags);
	idle = list_empty(&queue->running);
	if (idle)
		queue->live = false;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (!idle)
		return false;
	if (!stop) {
		quire_slot_detach(slot);
		return true;
	}
	if (!quire_slot_stop(slot, QUIRE_SLOT_STOP_MS))
		return true;
	/* It keeps a ring that it cannot use until then. */
	quire_slot_ailing(slot->qdev, "an idle queue could not be stopped");
	return false;
}

/* As it was when this search began; quire_slot_take_idle() looks again. */
static bool quire_slot_idle(const struct quire_slot *slot)
{
	return slot->queue && !slot->queue->kernel && !slot->parking && !slot->busy;
}

/* A free ring, if need be the one used longest ago, or NULL. */
static struct quire_slot *quire_slot_find(struct quire_queues *queues)
{
	struct quire_slot *oldest = NULL;

	lockdep_assert_held(&queues->lock);
	for (u32 i = QUIRE_KERNEL_RING + 1; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (!slot->queue)
			return slot;
		if (quire_slot_idle(slot) && (!oldest || time_before(slot->used, oldest->used)))
			oldest = slot;
	}
	return oldest && quire_slot_take_idle(oldest, true) ? oldest : NULL;
}

static bool quire_slot_reclaim_context(struct quire_queues *queues, struct quire_context *context)
{
	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; context->rings && i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (slot->queue && slot->queue->vm == context->vm)
			quire_slot_take_idle(slot, true);
	}
	if (context->rings)
		return false;
	quire_mmu_take_back(&context->vm->mmu);
	context->vm = NULL;
	return true;
}

/* See that the address space of a queue has a context; false if all are busy. */
static bool quire_slot_lend_context(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_context *best = NULL;

	lockdep_assert_held(&queues->lock);
	/* One whose rings are taken back is for somebody else. */
	if (queue->vm->mmu.context != QUIRE_NO_CONTEXT)
		return !quire_slot_context(queue)->leaving;
	for (u32 i = QUIRE_KERNEL_CONTEXT + 1; i < queue->qdev->contexts_total; i++) {
		struct quire_context *context = &queues->contexts[i];

		if (!context->vm) {
			best = context;
			break;
		}
		if (!context->busy && (!best || time_before(context->used, best->used)))
			best = context;
	}
	if (!best || (best->vm && !quire_slot_reclaim_context(queues, best)))
		return false;
	best->vm = queue->vm;
	best->leaving = false;
	quire_mmu_lend(&queue->vm->mmu, best - queues->contexts);
	return true;
}

/* The last queue of an address space, closed: its context is free. */
void quire_slot_forget_vm(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->qdev->queues->lock);
	if (!list_empty(&queue->vm->open))
		return;
	quire_hold_end(queue->vm);
	if (queue->vm->mmu.context == QUIRE_NO_CONTEXT)
		return;
	quire_slot_context(queue)->vm = NULL;
	quire_mmu_take_back(&queue->vm->mmu);
}

/* What a firmware has saved, this one does not take: the job in progress ends. */
static void quire_slot_forget_page(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->qdev->queues->lock);
	drm_err_ratelimited(&queue->qdev->drm, "%s[%d]: parked in job %llu, could not go on\n",
			    queue->comm, queue->pid, quire_ring_oldest_job(queue));
	queue->parked = false;
	quire_ring_abort(queue, -EIO);
}

/*
 * Without an answer the queue keeps the slot: it may run, or begin to when the firmware finds the
 * command.  Whoever speaks to the firmware next, or stops the card, finds out.
 */
static int quire_slot_start(struct quire_slot *slot, struct quire_queue *queue)
{
	int ret;

	lockdep_assert_held(&queue->qdev->queues->lock);
	quire_slot_attach(slot, queue);
	ret = quire_ring_start(queue);
	if (ret == -EIO)
		slot->doubt = true;
	else if (ret)
		quire_slot_detach(slot);
	return ret;
}

/* False: there is no slot for it now. */
bool quire_slot_lend(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_slot *slot;
	int ret;

	if (!quire_slot_lend_context(queue))
		return false;
	slot = quire_slot_find(queues);
	if (!slot)
		return false;
	ret = quire_slot_start(slot, queue);
	if (!ret)
		return true;
	if (ret == -EPROTO && queue->parked)
		quire_slot_forget_page(queue);
	else
		quire_slot_ailing(queue->qdev, "a queue could not be started");
	return false;
}

/* All slots are busy: have somebody parked for @queue. */
static void quire_slot_make_room(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_slot *victim = quire_share_victim(queues, queue);
	struct quire_vm *vm;

	lockdep_assert_held(&queues->lock);
	if (!victim)
		return;
	vm = victim->queue->vm;
	quire_slot_park(victim);
	if (queue->vm->mmu.context != QUIRE_NO_CONTEXT)
		return;
	/* It needs a context, too. */
	queues->contexts[vm->mmu.context].leaving = true;
	for (u32 i = 0; i < queues->count; i++)
		if (queues->slots[i].queue && queues->slots[i].queue->vm == vm)
			quire_slot_park(&queues->slots[i]);
}

/* Ring the doorbells only when all are started: the first job may break the card. */
static void quire_slots_kick(struct list_head *started)
{
	struct quire_queue *queue, *next;

	list_for_each_entry_safe(queue, next, started, started) {
		list_del_init(&queue->started);
		quire_ring_kick(queue);
	}
}

static void quire_slots_search(struct quire_device *qdev, struct list_head *started)
{
	struct quire_queues *queues = qdev->queues;
	unsigned int tries = QUIRE_SLOT_TRIES;
	struct quire_queue *queue;
	u32 coming;

	lockdep_assert_held(&queues->lock);
	quire_share_count(queues);
	coming = quire_slots_count_parking(queues);
	while (!queues->ailing && tries && (queue = quire_share_next(queues))) {
		if (!quire_ring_wants(queue) || quire_hold_keeps(queue->vm)) {
			quire_share_unwait(queue);
			continue;
		}
		if (quire_slot_lend(queue)) {
			quire_share_served(queue);
			list_add_tail(&queue->started, started);
			continue;
		}
		if (queues->ailing)
			break;
		quire_share_tried(queue);
		tries--;
		if (coming)
			coming--;
		else
			quire_slot_make_room(queue);
	}
}

/* Contexts that have been freed for somebody, and whom nobody has taken, stay where they are. */
static void quire_slots_end_leaving(struct quire_queues *queues)
{
	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < QUIRE_CONTEXTS; i++)
		if (!queues->contexts[i].rings)
			queues->contexts[i].leaving = false;
}

/* The kernel's queue has come to rest beside others: it goes on first. */
static void quire_slots_serve_kernel(struct quire_queues *queues)
{
	struct quire_queue *kernel = queues->kernel;

	lockdep_assert_held(&queues->lock);
	if (kernel && !kernel->slot && quire_ring_wants(kernel) &&
	    !quire_slot_start_kernel(kernel))
		quire_ring_kick(kernel);
}

/* Lend what can be lent, and have those parked whom others wait for. */
void quire_slots_serve(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	LIST_HEAD(started);

	lockdep_assert_held(&queues->lock);
	quire_slots_serve_kernel(queues);
	if (!queues->waiters || queues->blocked || queues->ended || qdev->wedged)
		return;
	if (quire_turn_by_turn(queues))
		quire_turn_search(queues, &started);
	else
		quire_slots_search(qdev, &started);
	quire_slots_end_leaving(queues);
	quire_slots_kick(&started);
	if (queues->waiters && !queues->ailing)
		mod_delayed_work(queues->wq, &queues->lend, QUIRE_SLOT_LOOK);
}

void quire_slot_want(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->qdev->queues->lock);
	if (!queue->kernel && list_empty(&queue->waiting) && !list_empty(&queue->listed))
		quire_share_wait(queue);
}

/* The ring of the kernel's queue: at boot, after a reset, and after a failed job. */
int quire_slot_start_kernel(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	struct quire_slot *slot = &queues->slots[QUIRE_KERNEL_RING];
	int ret = 0;

	lockdep_assert_held(&queues->lock);
	if (queue->live || queues->blocked || queues->ailing || queues->ended ||
	    queue->qdev->wedged)
		return 0;
	if (slot->queue)
		ret = quire_slot_stop(slot, QUIRE_SLOT_STOP_MS);
	if (!ret)
		ret = quire_slot_start(slot, queue);
	if (ret)
		quire_slot_ailing(queue->qdev, "the queue of the kernel could not be started");
	return ret;
}

static void quire_slot_request_locked(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->qdev->queues->lock);
	if (queue->kernel) {
		quire_slot_start_kernel(queue);
	} else if (!queue->slot && quire_ring_wants(queue)) {
		quire_slot_want(queue);
		quire_slots_serve(queue->qdev);
	}
}

/* The queue has, or may have, jobs that can run, and no ring. */
void quire_slot_request(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	mutex_lock(&queues->lock);
	quire_slot_request_locked(queue);
	mutex_unlock(&queues->lock);
	quire_ring_kick(queue);
}

/*
 * The same for a submitter, who does not queue for the lock: among many he would sleep for a
 * turn of the processor each time, and the worker of high priority does not.
 */
void quire_slot_request_now(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	if (!mutex_trylock(&queues->lock)) {
		queue_work(queues->wq, &queue->push);
		return;
	}
	quire_slot_request_locked(queue);
	mutex_unlock(&queues->lock);
	quire_ring_kick(queue);
}

void quire_slots_lend_work(struct work_struct *work)
{
	struct quire_queues *queues =
		container_of(to_delayed_work(work), struct quire_queues, lend);
	struct quire_device *qdev = queues->slots[0].qdev;
	bool signalling;
	int index;

	if (!drm_dev_enter(&qdev->drm, &index))
		return;
	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	if (!queues->ended && !queues->blocked) {
		quire_slots_collect(qdev);
		quire_slots_serve(qdev);
	}
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	drm_dev_exit(index);
}

/* A queue has come to rest; from the interrupt. */
void quire_slots_wake(struct quire_device *qdev)
{
	if (qdev->queues)
		mod_delayed_work(qdev->queues->wq, &qdev->queues->lend, 0);
}
