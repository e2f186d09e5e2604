// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery of the card, after the firmware crashed, has no heartbeat or did not obey, or
 * an engine could not be stopped: bring to rest what comes to rest, stop the card, boot
 * it, lend slots again.
 *
 * What that means for a queue that had jobs on the card:
 *  - it came to rest before, even if nobody has noticed yet: it goes on where it was;
 *  - it is guilty: its job in progress ends with an error, and the queue is banned;
 *  - no job of it had begun: they are run from the beginning;
 *  - a job had begun: nobody knows what of it was done, and done again it may give something
 *    else.  It ends with -EIO, and so do those behind it, which may need what it should have
 *    done.  Unless it says that it gives the same when it is begun again.
 *  - the card counts its job as ended, and the record of that did not arrive: -EIO likewise.
 * Guilty is whose job could not be stopped; and when the firmware failed, whose job was the only
 * one in progress, or was in progress a second time within a minute.  Guilty without a reset is
 * who keeps an engine so long that memory waits for it, and whose job more than three resets have
 * interrupted for which nobody else was guilty.
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
#define QUIRE_RESET_STOP_MS 50
#define QUIRE_RESET_PING_MS 100
#define QUIRE_RESET_STRIKE (60 * HZ)
/* In a row, with no job ended in between and none in progress: it is not the jobs. */
#define QUIRE_RESET_FRUITLESS 4
/* A job that was interrupted as often is not run again. */
#define QUIRE_RESET_RERUNS 3

/** enum quire_reset_progress - what a reset means for the jobs of a queue */
enum quire_reset_progress {
	/** @QUIRE_RESET_RERUN: none had begun, or it may begin again */
	QUIRE_RESET_RERUN,
	/** @QUIRE_RESET_ABORT: one had, and it may not: all end */
	QUIRE_RESET_ABORT,
	/** @QUIRE_RESET_TOO_OFTEN: one has been interrupted too often */
	QUIRE_RESET_TOO_OFTEN,
};

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
	/** @lock: protects @undrained */
	spinlock_t lock;
	/** @undrained: a flush for which memory has waited too long, or QUIRE_TICKET_OVER */
	struct quire_ticket undrained;
	/** @fruitless: resets in a row that helped nobody; under quire_queues.lock */
	unsigned int fruitless;
};

void quire_reset_schedule(struct quire_device *qdev, const char *why)
{
	cmpxchg(&qdev->reset->why, NULL, why);
	queue_work(qdev->reset->wq, &qdev->reset->work);
}

/* The first counts; whoever complains of another does it again. */
void quire_reset_undrained(struct quire_device *qdev, struct quire_ticket ticket)
{
	struct quire_reset *reset = qdev->reset;
	unsigned long flags;

	spin_lock_irqsave(&reset->lock, flags);
	if (reset->undrained.context == QUIRE_NO_CONTEXT)
		reset->undrained = ticket;
	spin_unlock_irqrestore(&reset->lock, flags);
	queue_work(reset->wq, &reset->work);
}

static struct quire_ticket quire_reset_take_undrained(struct quire_reset *reset)
{
	struct quire_ticket ticket;
	unsigned long flags;

	spin_lock_irqsave(&reset->lock, flags);
	ticket = reset->undrained;
	reset->undrained = QUIRE_TICKET_OVER;
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

/* The firmware works: cancel what did not come to rest.  False: that did not help. */
static bool quire_reset_cancel(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;

	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		struct quire_queue *queue = slot->queue;

		if (!quire_reset_is_stubborn(slot))
			continue;
		if (quire_slot_stop(slot, QUIRE_RESET_STOP_MS))
			return false;
		/* One that is being closed ends its jobs itself. */
		if (queue->overdue && quire_ring_expel(queue, QUIRE_STATUS_CANCELLED, -ETIME) &&
		    queue->keeps)
			WRITE_ONCE(queue->reset, DRM_QUIRE_QUEUE_RESET_GUILTY);
		queue->overdue = 0;
	}
	return true;
}

/*
 * Which jobs were in progress when the card stopped: only a stopped card begins no other.  One
 * that did not stop, or does not answer, may have begun any.
 */
static void quire_reset_note(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	bool off;

	lockdep_assert_held(&queues->lock);
	off = quire_read(qdev, QUIRE_REG_BOOT_STATUS) == QUIRE_BOOT_OFF;
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		u32 base = QUIRE_REG_QUEUE(i);

		slot->job = off ? quire_read(qdev, base + QUIRE_QUEUE_JOB) : ~0u;
		slot->job_us = off ? quire_read(qdev, base + QUIRE_QUEUE_JOB_US) : ~0u;
		slot->state = off ? quire_read(qdev, base + QUIRE_QUEUE_STATE) : QUIRE_QUEUE_OFF;
		slot->completed = quire_read(qdev, base + QUIRE_QUEUE_COMPLETED);
	}
}

/* The jobs are at rest in the queue's page. */
static bool quire_reset_at_rest(const struct quire_slot *slot)
{
	return slot->state == QUIRE_QUEUE_PARKED;
}

/* The card has begun to serve the queue, or nobody knows. */
static bool quire_reset_has_started(const struct quire_slot *slot)
{
	return !slot->doubt || slot->job == ~0u || slot->state == QUIRE_QUEUE_ACTIVE ||
	       slot->state == QUIRE_QUEUE_FAULTED;
}

/*
 * Records written before the end are results all the same.  What the card had spent on the job
 * behind them counts; where it does not tell, what the watch saw last.
 */
static void quire_reset_collect(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;

	lockdep_assert_held(&slot->qdev->queues->lock);
	quire_ring_reap(queue);
	/* Else the registers are those of who had the ring before. */
	if (!quire_reset_has_started(slot))
		return;
	if (slot->job)
		quire_ring_worked(queue, slot->job, slot->job_us);
	else if (slot->state != QUIRE_QUEUE_ACTIVE)
		quire_ring_leave(queue, slot->job_us);
}

/* The oldest job on the ring has no record, though the card has come to its end. */
static bool quire_reset_lacks_record(struct quire_slot *slot)
{
	struct quire_queue *queue = slot->queue;
	struct quire_job *job;
	unsigned long flags;
	bool lacks;

	lockdep_assert_held(&slot->qdev->queues->lock);
	spin_lock_irqsave(&queue->lock, flags);
	job = list_first_entry_or_null(&queue->running, struct quire_job, node);
	lacks = job && slot->state != QUIRE_QUEUE_OFF &&
		(slot->state == QUIRE_QUEUE_FAULTED ||
		 (s32)(slot->completed - lower_32_bits(job->sequence)) >= 0);
	spin_unlock_irqrestore(&queue->lock, flags);
	return lacks;
}

/* The job that had begun and not ended, or NULL. */
static struct quire_job *quire_reset_begun_locked(struct quire_slot *slot)
{
	struct quire_job *job;

	lockdep_assert_held(&slot->queue->lock);
	job = list_first_entry_or_null(&slot->queue->running, struct quire_job, node);
	/* All ones: the card did not tell. */
	if (job && job->stream_bytes &&
	    (slot->job == quire_job_register(job->sequence) || slot->job == ~0u))
		return job;
	return NULL;
}

/* A card that did not stop may end the job any time: it is looked at under the queue's lock. */
static bool quire_reset_begun(struct quire_slot *slot)
{
	unsigned long flags;
	bool begun;

	lockdep_assert_held(&slot->qdev->queues->lock);
	spin_lock_irqsave(&slot->queue->lock, flags);
	begun = quire_reset_begun_locked(slot);
	spin_unlock_irqrestore(&slot->queue->lock, flags);
	return begun;
}

/* What the reset means for the job in progress, which counts it unless somebody is @guilty. */
static enum quire_reset_progress quire_reset_progress(struct quire_slot *slot, bool guilty)
{
	enum quire_reset_progress progress = QUIRE_RESET_RERUN;
	struct quire_job *job;
	unsigned long flags;

	lockdep_assert_held(&slot->qdev->queues->lock);
	spin_lock_irqsave(&slot->queue->lock, flags);
	job = quire_reset_begun_locked(slot);
	if (job && !job->restartable)
		progress = QUIRE_RESET_ABORT;
	else if (job && !guilty && ++job->begun > QUIRE_RESET_RERUNS)
		progress = QUIRE_RESET_TOO_OFTEN;
	spin_unlock_irqrestore(&slot->queue->lock, flags);
	return progress;
}

static unsigned int quire_reset_count_begun(struct quire_queues *queues)
{
	unsigned int count = 0;

	lockdep_assert_held(&queues->lock);
	for (u32 i = 0; i < queues->count; i++)
		if (queues->slots[i].queue)
			count += quire_reset_begun(&queues->slots[i]);
	return count;
}

/* The firmware failed while a job of the queue was in progress. */
static bool quire_reset_is_guilty(struct quire_queue *queue, bool alone)
{
	unsigned long before = queue->strike;

	queue->strike = jiffies ?: 1;
	return alone || (before && time_before(jiffies, before + QUIRE_RESET_STRIKE));
}

static void quire_reset_ban(struct quire_slot *slot, u32 status, int error)
{
	struct quire_queue *queue = slot->queue;

	if (!quire_ring_expel(queue, status, error))
		return;
	WRITE_ONCE(queue->reset, DRM_QUIRE_QUEUE_RESET_GUILTY);
	quire_warn_ratelimited(&slot->qdev->drm,
			       "%s[%d]: banned, job %llu was the reason of a reset\n",
			       queue->comm, queue->pid, queue->fault_job);
}

/*
 * The card is stopped: whether the queue of a slot is guilty, which is banned then.  @crashed: the
 * firmware failed; @alone: only one job was in progress.
 */
static bool quire_reset_blame(struct quire_slot *slot, bool crashed, bool alone)
{
	struct quire_queue *queue = slot->queue;

	lockdep_assert_held(&slot->qdev->queues->lock);
	if (queue->overdue) {
		quire_reset_ban(slot, QUIRE_STATUS_CANCELLED, -ETIME);
		queue->overdue = 0;
		return true;
	}
	/* One that is being closed ends its jobs itself. */
	if (READ_ONCE(queue->banned) || !crashed || !quire_reset_has_started(slot) ||
	    !quire_reset_begun(slot) || !quire_reset_is_guilty(queue, alone))
		return false;
	quire_reset_ban(slot, QUIRE_STATUS_FIRMWARE, -EIO);
	return true;
}

/* What becomes of others.  @guilty: somebody is; nobody else is after too many resets. */
static void quire_reset_settle(struct quire_slot *slot, bool guilty)
{
	struct quire_queue *queue = slot->queue;
	enum quire_reset_progress progress;

	lockdep_assert_held(&slot->qdev->queues->lock);
	if (READ_ONCE(queue->banned) || !quire_ring_busy(queue))
		return;
	/* The registers are those of who had the ring before.  What the page holds goes on. */
	if (!quire_reset_has_started(slot))
		return;
	queue->parked = false;
	if (quire_reset_at_rest(slot)) {
		queue->parked = true;
		return;
	}
	progress = quire_reset_progress(slot, guilty);
	if (progress == QUIRE_RESET_TOO_OFTEN) {
		quire_reset_ban(slot, QUIRE_STATUS_FIRMWARE, -EIO);
		return;
	}
	WRITE_ONCE(queue->reset, DRM_QUIRE_QUEUE_RESET_INNOCENT);
	if (quire_reset_lacks_record(slot) || progress == QUIRE_RESET_ABORT)
		quire_ring_abort(queue, -EIO);
	else
		quire_ring_rerun(queue);
}

/*
 * All rings come back from a card that is stopped.  True if somebody is guilty of it, or if others
 * had jobs in progress, who will be when it goes on.
 */
static bool quire_reset_settle_all(struct quire_device *qdev, bool crashed)
{
	struct quire_queues *queues = qdev->queues;
	bool guilty = false;
	unsigned int begun;

	lockdep_assert_held(&queues->lock);
	quire_reset_note(qdev);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];

		if (!slot->queue)
			continue;
		WRITE_ONCE(slot->queue->live, false);
		quire_reset_collect(slot);
	}
	begun = quire_reset_count_begun(queues);
	for (u32 i = 0; i < queues->count; i++)
		if (queues->slots[i].queue)
			guilty |= quire_reset_blame(&queues->slots[i], crashed, begun == 1);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		struct quire_queue *queue = slot->queue;

		if (!queue)
			continue;
		quire_reset_settle(slot, guilty);
		quire_slot_detach(slot);
		/* Also for jobs that came when the ring could not be used any more. */
		if (quire_ring_wants(queue))
			quire_slot_want(queue);
	}
	return guilty || begun;
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
	quire_reset_settle_all(qdev, false);
	return ret;
}

/* Whose fault it seems to be, before it is known which jobs have ended; or NULL. */
static struct quire_queue *quire_reset_suspect(struct quire_device *qdev, bool crashed)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_queue *suspect = NULL;
	unsigned int count = 0;

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

	quire_warn_ratelimited(&qdev->drm, "resetting the card: %s\n", why);
	WRITE_ONCE(qdev->resetting, true);
	quire_coredump_reset(qdev, quire_reset_suspect(qdev, crashed), why);
	ret = quire_fw_stop(qdev);
	trace_quire_reset_step(qdev, "stopped", ret);
	if (!ret)
		quire_reach_stopped(qdev);
	/* Whoever sees a job end by it finds it counted. */
	atomic_inc(&qdev->resets);
	blamed = quire_reset_settle_all(qdev, crashed);
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

/* Whose job has spent most on engines, of those that have some in a context now; or NULL. */
static struct quire_slot *quire_reset_keeper(struct quire_device *qdev, u32 context)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_slot *keeper = NULL;
	u32 most = 0;

	for (u32 i = 0; i < queues->count; i++) {
		struct quire_slot *slot = &queues->slots[i];
		u32 base = QUIRE_REG_QUEUE(i), spent;

		if (!slot->queue || slot->queue->kernel ||
		    slot->queue->vm->mmu.context != context ||
		    !quire_read(qdev, base + QUIRE_QUEUE_JOB_BANDS))
			continue;
		spent = quire_read(qdev, base + QUIRE_QUEUE_JOB_US);
		if (keeper && spent < most)
			continue;
		keeper = slot;
		most = spent;
	}
	return keeper;
}

/* Memory waits for what was begun in a context: whoever keeps an engine for so long has to go. */
static void quire_reset_drain(struct quire_device *qdev, u32 context)
{
	struct quire_slot *keeper = quire_reset_keeper(qdev, context);
	struct quire_queue *queue = keeper ? keeper->queue : NULL;

	if (!queue) {
		quire_reset_card(qdev, "the card does not drain a flush", !quire_reset_rest(qdev));
		return;
	}
	/* One that is overdue or being closed is on its way. */
	if (queue->overdue || READ_ONCE(queue->banned))
		return;
	queue->overdue = quire_limit_oldest(queue);
	if (!queue->overdue)
		return;
	queue->keeps = true;
	quire_coredump_overdue(queue);
	quire_warn_ratelimited(&qdev->drm,
			       "%s[%d]: a job keeps an engine and memory waits, stopping its queue\n",
			       queue->comm, queue->pid);
	quire_reset_stubborn(qdev, "a job that memory waits for cannot be stopped");
}

static void quire_reset_work(struct work_struct *work)
{
	struct quire_reset *reset = container_of(work, struct quire_reset, work);
	struct quire_device *qdev = reset->qdev;
	struct quire_ticket undrained = quire_reset_take_undrained(reset);
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
	else if (!quire_reach_over(qdev, undrained))
		quire_reset_drain(qdev, undrained.context);
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
		queue->overdue = 0;
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
	quire_reset_settle_all(qdev, false);
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
	reset->undrained = QUIRE_TICKET_OVER;
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
