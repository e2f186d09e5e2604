// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery of the card, after the firmware crashed, has no heartbeat or did not obey, or
 * an engine could not be stopped: bring to rest what comes to rest, stop the card, settle what that
 * means for the queues (quire_settle.c), boot it, lend slots again.
 *
 * Fences wait for what happens here: it has a workqueue of its own, and nothing is
 * allocated.
 */
#include <drm/drm_managed.h>

#include "quire_coredump.h"
#include "quire_mmu.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_reach.h"
#include "quire_trace.h"

/* How long those wait who could go on, for others to come to rest. */
#define QUIRE_RESET_REST_MS 100
#define QUIRE_RESET_STOP_MS 200
#define QUIRE_RESET_PING_MS 100
/* In a row, with no job ended in between and none in progress: it is not the jobs. */
#define QUIRE_RESET_FRUITLESS 4

/** struct quire_reset - recovery of a card */
struct quire_reset {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @wq: runs @work */
	struct workqueue_struct *wq;
	/** @work: does a reset */
	struct work_struct work;
	/** @why: reason of the reset asked for first */
	const char *why;
	/** @lock: protects @undrained and @patience */
	spinlock_t lock;
	/** @undrained: by context, a flush for which memory has waited too long, or one over */
	struct quire_ticket undrained[QUIRE_CONTEXTS];
	/** @patience: and how long bands may take to come to rest, in jiffies */
	unsigned long patience[QUIRE_CONTEXTS];
	/** @fruitless: resets in a row that helped nobody; under quire_queues.lock */
	unsigned int fruitless;
};

void quire_reset_schedule(struct quire_device *qdev, const char *why)
{
	cmpxchg(&qdev->reset->why, NULL, why);
	queue_work(qdev->reset->wq, &qdev->reset->work);
}

/* The first of a context counts; whoever complains of another does it again. */
void quire_reset_undrained(struct quire_device *qdev, struct quire_ticket ticket,
			   unsigned long patience)
{
	struct quire_reset *reset = qdev->reset;
	u32 context = ticket.context;
	unsigned long flags;

	if (context == QUIRE_NO_CONTEXT)
		return;
	spin_lock_irqsave(&reset->lock, flags);
	if (reset->undrained[context].context == QUIRE_NO_CONTEXT) {
		reset->undrained[context] = ticket;
		reset->patience[context] = patience;
	}
	reset->patience[context] = min(reset->patience[context], patience);
	spin_unlock_irqrestore(&reset->lock, flags);
	queue_work(reset->wq, &reset->work);
}

static struct quire_ticket quire_reset_take_undrained(struct quire_reset *reset, u32 context,
						      unsigned long *patience)
{
	struct quire_ticket ticket;
	unsigned long flags;

	spin_lock_irqsave(&reset->lock, flags);
	ticket = reset->undrained[context];
	*patience = reset->patience[context];
	reset->undrained[context] = QUIRE_TICKET_OVER;
	spin_unlock_irqrestore(&reset->lock, flags);
	return ticket;
}

static bool quire_reset_alive(struct quire_device *qdev)
{
	return quire_read(qdev, QUIRE_REG_BOOT_STATUS) == QUIRE_BOOT_READY &&
	       !quire_mailbox_send_within(qdev, QUIRE_MAILBOX_PING, 0, QUIRE_RESET_PING_MS);
}

/* Whether a queue must leave, and did not come to rest. */
static bool quire_reset_is_stubborn(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;

	return queue && (queue->overdue || READ_ONCE(queue->banned));
}

void quire_reset_spare(struct quire_queue *queue)
{
	struct quire_job *job;
	unsigned long flags;
	bool again;

	spin_lock_irqsave(&queue->lock, flags);
	job = list_first_entry_or_null(&queue->running, struct quire_job, node);
	again = !job || job->restartable;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (job)
		WRITE_ONCE(queue->reset, DRM_QUIRE_QUEUE_RESET_INNOCENT);
	if (again)
		quire_ring_rerun(queue);
	else
		quire_ring_abort(queue, -EIO);
}

/* False: its job has ended by itself, and the queue goes on. */
static bool quire_reset_must_go(struct quire_queue *queue)
{
	quire_ring_reap(queue);
	if (!queue->overdue || quire_limit_oldest(queue) == queue->overdue)
		return true;
	quire_queue_forgive(queue);
	return READ_ONCE(queue->banned);
}

/* The firmware works: cancel what did not come to rest.  False: that did not help. */
static bool quire_reset_cancel(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		struct quire_queue *queue = slot->queue;

		if (!quire_reset_is_stubborn(slot) || !quire_reset_must_go(queue))
			continue;
		if (quire_slot_stop(slot, QUIRE_RESET_STOP_MS))
			return false;
		/* One that is being closed ends its jobs itself. */
		if (queue->overdue && !quire_ring_expel(queue, queue->overdue,
							QUIRE_STATUS_CANCELLED, -ETIME,
							queue->keeps))
			quire_reset_spare(queue);
		quire_queue_forgive(queue);
	}
	return true;
}

/* A card that has booted: rings for the kernel's queue, and for who waits for one. */
static int quire_reset_start(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_queue *kernel = queues->kernel;

	lockdep_assert_held(&queues->lock);
	queues->ailing = false;
	queues->blocked = false;
	if (kernel && quire_slot_start_kernel(kernel))
		return -EIO;
	if (kernel)
		quire_ring_kick(kernel);
	quire_slots_serve(qdev);
	return 0;
}

/* The card is stopped and all rings are taken back: boot, and go on.  Else it is stopped again. */
static int quire_reset_revive(struct quire_device *qdev)
{
	int ret;

	lockdep_assert_held(&qdev->queues->lock);
	quire_mmu_restore(qdev);
	quire_reach_running(qdev);
	ret = quire_fw_boot(qdev);
	trace_quire_reset_step(qdev, "booted", ret);
	if (!ret)
		ret = quire_reset_start(qdev);
	if (!ret)
		return 0;
	/* Whatever of it still runs must not outlive the fences. */
	quire_fw_stop(qdev);
	quire_settle_all(qdev, false);
	return ret;
}

/* Whose fault it seems to be, before it is known which jobs have ended; or NULL. */
static struct quire_queue *quire_reset_suspect(struct quire_device *qdev, bool crashed)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_queue *suspect = NULL;
	unsigned int count = 0;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (slot->queue && slot->queue->overdue)
			return slot->queue;
		if (slot->queue && quire_read(qdev, QUIRE_REG_QUEUE(i) + QUIRE_QUEUE_JOB)) {
			suspect = slot->queue;
			count++;
		}
	}
	return crashed && count == 1 ? suspect : NULL;
}

static void quire_reset_card(struct quire_device *qdev, const char *why, bool crashed)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_reset *reset = qdev->reset;
	bool blamed;
	int ret;

	lockdep_assert_held(&queues->lock);
	quire_warn_ratelimited(&qdev->drm, "resetting the card: %s\n", why);
	WRITE_ONCE(qdev->resetting, true);
	quire_coredump_reset(qdev, quire_reset_suspect(qdev, crashed), why);
	ret = quire_fw_stop(qdev);
	trace_quire_reset_step(qdev, "stopped", ret);
	if (!ret)
		quire_reach_stopped(qdev);
	/* Whoever sees a job end by it finds it counted. */
	atomic_inc(&qdev->resets);
	blamed = quire_settle_all(qdev, crashed);
	trace_quire_reset_step(qdev, blamed ? "settled: it may be the jobs" : "settled", 0);
	if (blamed || READ_ONCE(queues->progressed))
		reset->fruitless = 0;
	else
		reset->fruitless++;
	WRITE_ONCE(queues->progressed, false);
	if (reset->fruitless > QUIRE_RESET_FRUITLESS)
		ret = -EIO;
	if (reset->fruitless > 2 * QUIRE_RESET_FRUITLESS)
		qdev->power->rung = QUIRE_RUNG_WEDGED;
	ret = ret ?: quire_reset_revive(qdev);
	if (ret) {
		/* Nobody speaks to it until it is back. */
		queues->blocked = true;
		quire_recover_function(qdev);
	}
	WRITE_ONCE(qdev->resetting, false);
	trace_quire_reset(qdev, why, ret);
}

/* Bring to rest what obeys.  False: the firmware has failed. */
static bool quire_reset_rest(struct quire_device *qdev)
{
	bool rested;

	lockdep_assert_held(&qdev->queues->lock);
	if (!quire_reset_alive(qdev))
		return false;
	rested = quire_slots_park(qdev, QUIRE_RESET_REST_MS);
	trace_quire_reset_step(qdev, "at rest", rested ? 0 : -ETIME);
	return true;
}

/*
 * A queue did not come to rest in time.  The others are brought to rest first, so that they
 * keep their jobs if it comes to the worst: the command that cancels would hold up theirs.
 */
void quire_reset_stubborn(struct quire_device *qdev, const char *why)
{
	struct quire_queues *queues = qdev->queues;
	bool alive;

	lockdep_assert_held(&queues->lock);
	if (queues->blocked || queues->ended || qdev->wedged)
		return;
	alive = quire_reset_rest(qdev);
	if (alive && quire_reset_cancel(qdev))
		quire_slots_serve(qdev);
	else
		quire_reset_card(qdev, why, !alive);
}

/*
 * The card does not tell when a band began.  So who has some is asked to come to rest: what was
 * begun since does within @patience.  True: the queue has to go.
 */
static bool quire_reset_keeps(struct quire_slot *slot, unsigned long patience)
{
	struct quire_queue *queue = slot->queue;

	lockdep_assert_held(&slot->qdev->queues->lock);
	if (!slot->parking) {
		quire_slot_park(slot);
		return false;
	}
	if (time_before(jiffies, slot->parked_at + patience))
		return false;
	/* It ends anyway, but maybe others of its file before it. */
	if (READ_ONCE(queue->banned))
		return true;
	queue->overdue = queue->overdue ?: quire_limit_oldest(queue);
	if (!queue->overdue || queue->keeps)
		return queue->overdue;
	queue->keeps = true;
	quire_coredump_overdue(queue);
	quire_warn_ratelimited(&slot->qdev->drm,
			       "%s[%d]: job %llu keeps an engine and memory waits, stopping its queue\n",
			       queue->comm, queue->pid, quire_ring_oldest_job(queue));
	return true;
}

/* Memory waits for what was begun in a context.  True: somebody has to go for it. */
static bool quire_reset_blame(struct quire_device *qdev, struct quire_ticket undrained,
			      unsigned long patience)
{
	struct quire_queues *queues = qdev->queues;
	bool found = false, keeps = false;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count && !queues->ailing; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (!slot->queue || slot->queue->kernel ||
		    slot->queue->vm->mmu.context != undrained.context ||
		    !quire_read(qdev, QUIRE_REG_QUEUE(i) + QUIRE_QUEUE_JOB_BANDS))
			continue;
		found = true;
		keeps |= quire_reset_keeps(slot, patience);
	}
	if (!found && !queues->ailing && !queues->blocked &&
	    time_after_eq(jiffies, undrained.since + QUIRE_REACH_LIMIT) &&
	    !quire_reach_over(qdev, undrained))
		quire_reset_card(qdev, "the card does not drain a flush", !quire_reset_rest(qdev));
	return keeps;
}

/* Whoever keeps an engine for so long that memory waits has to go: all of them together. */
static void quire_reset_drain(struct quire_device *qdev)
{
	struct quire_ticket undrained;
	unsigned long patience;
	bool keeps = false;

	lockdep_assert_held(&qdev->queues->lock);
	for (u32 i = 0; i < QUIRE_CONTEXTS; i++) {
		undrained = quire_reset_take_undrained(qdev->reset, i, &patience);
		if (!quire_reach_over(qdev, undrained))
			keeps |= quire_reset_blame(qdev, undrained, patience);
	}
	if (keeps && !qdev->queues->ailing)
		quire_reset_stubborn(qdev, "a job that memory waits for cannot be stopped");
}

static void quire_reset_work(struct work_struct *work)
{
	struct quire_reset *reset = container_of(work, struct quire_reset, work);
	struct quire_device *qdev = reset->qdev;
	const char *why = xchg(&reset->why, NULL);
	struct quire_queues *queues = qdev->queues;
	bool signalling;
	int index;

	if (!queues || !drm_dev_enter(&qdev->drm, &index))
		return;
	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	/* Blocked: whoever has the card boots it.  Another reset may have helped meanwhile. */
	if (queues->blocked || queues->ended || qdev->wedged)
		goto out;
	if (why && (queues->ailing || !quire_reset_alive(qdev)))
		quire_reset_card(qdev, why, !quire_reset_rest(qdev));
	else
		quire_reset_drain(qdev);
out:
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	drm_dev_exit(index);
}

/*
 * With a timeout the caller takes the card in any case: what has not come to rest is his to end.
 * Without one he wants it only if nothing runs.
 */
int quire_queues_suspend(struct quire_device *qdev, unsigned int timeout_ms)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling = dma_fence_begin_signalling();
	bool busy = false;

	mutex_lock(&queues->lock);
	if (timeout_ms && !queues->blocked && !queues->ailing && !queues->ended)
		quire_slots_park(qdev, timeout_ms);
	for (u32 i = 0; i < queues->count && (timeout_ms || !busy); i++) {
		struct quire_queue *queue = queues->slots[i].queue;

		if (!queue)
			continue;
		quire_ring_reap(queue);
		if (!quire_slot_take_idle(&queues->slots[i], !timeout_ms))
			busy = true;
	}
	if (busy && !timeout_ms) {
		if (!queues->ailing)
			quire_reset_start(qdev);
	} else {
		queues->blocked = true;
	}
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	return busy ? -EBUSY : 0;
}

/* What lay in card memory has gone: whoever had work for the card must not go on. */
static void quire_reset_abort_all(struct quire_queues *queues)
{
	struct quire_queue *queue;

	list_for_each_entry(queue, &queues->all, listed) {
		quire_share_unwait(queue);
		queue->parked = false;
		quire_queue_forgive(queue);
		if (quire_ring_has_jobs(queue))
			WRITE_ONCE(queue->reset, DRM_QUIRE_QUEUE_RESET_INNOCENT);
		quire_ring_abort(queue, -EIO);
	}
}

void quire_queues_cut_off(struct quire_device *qdev, bool memory)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling = dma_fence_begin_signalling();

	mutex_lock(&queues->lock);
	queues->blocked = true;
	quire_settle_all(qdev, false);
	if (memory)
		quire_reset_abort_all(queues);
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
}

int quire_queues_resume(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling = dma_fence_begin_signalling();
	int ret;

	mutex_lock(&queues->lock);
	ret = quire_reset_start(qdev);
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	return ret;
}

static void quire_reset_release(struct drm_device *drm, void *data)
{
	struct quire_reset *reset = data;

	destroy_workqueue(reset->wq);
}

int quire_reset_init(struct quire_device *qdev)
{
	struct quire_reset *reset;

	reset = drmm_kzalloc(&qdev->drm, sizeof(*reset), GFP_KERNEL);
	if (!reset)
		return -ENOMEM;
	reset->qdev = qdev;
	spin_lock_init(&reset->lock);
	for (u32 i = 0; i < QUIRE_CONTEXTS; i++)
		reset->undrained[i] = QUIRE_TICKET_OVER;
	reset->wq = alloc_ordered_workqueue("quire-reset", WQ_MEM_RECLAIM | WQ_HIGHPRI);
	if (!reset->wq)
		return -ENOMEM;
	INIT_WORK(&reset->work, quire_reset_work);
	qdev->reset = reset;
	return drmm_add_action_or_reset(&qdev->drm, quire_reset_release, reset);
}

void quire_reset_fini(struct quire_device *qdev)
{
	cancel_work_sync(&qdev->reset->work);
}
