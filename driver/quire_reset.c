// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery of the card.  One job over its limit ends with its queue alone
 * (quire_ring.c).  Here is what happens when the firmware itself crashed, does not
 * answer, or has lost its heartbeat: stop the card, end what was on it with -EIO,
 * boot again, start all queues again.  No queue is banned for it, but one whose job
 * could not be stopped when its time was over.
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

#define QUIRE_HEARTBEAT_INTERVAL msecs_to_jiffies(2000)
#define QUIRE_HEARTBEAT_MISSES 3

/** struct quire_reset - recovery of a card */
struct quire_reset {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @wq: runs @work and @watch, one at a time */
	struct workqueue_struct *wq;
	/** @work: does a reset */
	struct work_struct work;
	/** @why: reason of the reset asked for first */
	const char *why;
	/** @watch: looks at the heartbeat while jobs run */
	struct delayed_work watch;
	/** @heartbeat: last value seen by @watch */
	u32 heartbeat;
	/** @misses: times in a row it had not moved */
	u32 misses;
};

void quire_reset_schedule(struct quire_device *qdev, const char *why)
{
	cmpxchg(&qdev->reset->why, NULL, why);
	queue_work(qdev->reset->wq, &qdev->reset->work);
}

/* Under queues->lock, the card stopped: what was on it is lost. */
static void quire_reset_abort(struct quire_queues *queues, int error, bool pending)
{
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_queue *queue = queues->table[i];
		unsigned long flags;

		if (!queue)
			continue;
		spin_lock_irqsave(&queue->lock, flags);
		queue->live = false;
		spin_unlock_irqrestore(&queue->lock, flags);
		/* Records written before the end are results all the same. */
		quire_ring_reap(queue);
		if (queue->overdue)
			quire_ring_expel(queue);
		queue->overdue = false;
		quire_ring_abort(queue, error, error, pending);
	}
}

static int quire_reset_restart(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	int ret = quire_fw_boot(qdev);

	for (u32 i = 0; !ret && i < queues->count; i++) {
		struct quire_queue *queue = queues->table[i];

		if (!queue || !queue->on_card)
			continue;
		ret = quire_ring_start(queue);
		if (!ret)
			quire_ring_kick(queue);
	}
	return ret;
}

/* Under queues->lock: boot, and tell the card again what it has forgotten. */
static void quire_reset_revive(struct quire_device *qdev, int ret)
{
	quire_mmu_restore(qdev);
	if (!ret)
		quire_reach_running(qdev);
	if (!ret)
		ret = quire_reset_restart(qdev);
	atomic_inc(&qdev->resets);
	if (!ret)
		return;
	/* What is left of it is stopped, and nobody speaks to it, until it is back. */
	quire_fw_stop(qdev);
	quire_reset_abort(qdev->queues, -EIO, false);
	qdev->queues->in_reset = true;
	quire_recover_function(qdev);
}

static void quire_reset_card(struct quire_device *qdev, const char *why)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling = dma_fence_begin_signalling();
	int ret;

	mutex_lock(&queues->lock);
	/* Else it boots when the function is back. */
	if (!queues->in_reset && !queues->ended) {
		drm_warn(&qdev->drm, "resetting the card: %s\n", why);
		quire_coredump_reset(qdev, NULL, why);
		WRITE_ONCE(qdev->resetting, true);
		ret = quire_fw_stop(qdev);
		if (!ret)
			quire_reach_stopped(qdev);
		quire_reset_abort(queues, -EIO, ret != 0);
		quire_reset_revive(qdev, ret);
		WRITE_ONCE(qdev->resetting, false);
		trace_quire_reset(why, qdev->wedged ? -EIO : 0);
	}
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
}

int quire_queues_suspend(struct quire_device *qdev, unsigned int timeout_ms)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling = dma_fence_begin_signalling();
	int ret = 0;

	mutex_lock(&queues->lock);
	for (u32 i = 0; i < queues->count && !queues->in_reset; i++) {
		struct quire_queue *queue = queues->table[i];

		if (!queue)
			continue;
		quire_ring_reap(queue);
		if (!list_empty_careful(&queue->running))
			ret = -EBUSY;
	}
	for (u32 i = 0; i < queues->count && !ret; i++) {
		struct quire_queue *queue = queues->table[i];
		unsigned long flags;

		if (!queue)
			continue;
		spin_lock_irqsave(&queue->lock, flags);
		queue->live = false;
		spin_unlock_irqrestore(&queue->lock, flags);
	}
	if (!ret)
		queues->in_reset = true;
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	return ret;
}

void quire_queues_lose(struct quire_device *qdev, bool memory)
{
	bool signalling = dma_fence_begin_signalling();

	mutex_lock(&qdev->queues->lock);
	qdev->queues->in_reset = true;
	quire_reset_abort(qdev->queues, -EIO, memory);
	mutex_unlock(&qdev->queues->lock);
	dma_fence_end_signalling(signalling);
}

int quire_queues_resume(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling = dma_fence_begin_signalling();
	int ret = 0;

	mutex_lock(&queues->lock);
	queues->in_reset = false;
	for (u32 i = 0; !ret && i < queues->count; i++) {
		struct quire_queue *queue = queues->table[i];

		if (!queue || !queue->on_card)
			continue;
		ret = quire_ring_start(queue);
		if (!ret)
			quire_ring_kick(queue);
	}
	mutex_unlock(&queues->lock);
	if (ret)
		quire_reset_schedule(qdev, "a queue could not be started");
	dma_fence_end_signalling(signalling);
	return ret;
}

static void quire_reset_work(struct work_struct *work)
{
	struct quire_reset *reset = container_of(work, struct quire_reset, work);
	struct quire_device *qdev = reset->qdev;
	const char *why = xchg(&reset->why, NULL);
	int index;

	if (!why || !qdev->queues || READ_ONCE(qdev->wedged))
		return;
	if (!drm_dev_enter(&qdev->drm, &index))
		return;
	quire_reset_card(qdev, why);
	drm_dev_exit(index);
}

/* Whether jobs run, after a look for those whose interrupt got lost. */
static bool quire_reset_busy(struct quire_queues *queues)
{
	bool busy = false;

	mutex_lock(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		if (!queues->table[i])
			continue;
		quire_ring_reap(queues->table[i]);
		busy |= !list_empty_careful(&queues->table[i]->running);
	}
	mutex_unlock(&queues->lock);
	return busy;
}

static void quire_reset_watch_work(struct work_struct *work)
{
	struct quire_reset *reset =
		container_of(to_delayed_work(work), struct quire_reset, watch);
	struct quire_device *qdev = reset->qdev;
	bool signalling;
	u32 heartbeat;
	int index;

	if (!quire_card_enter(qdev, &index))
		return;
	signalling = dma_fence_begin_signalling();
	heartbeat = quire_read(qdev, QUIRE_REG_HEARTBEAT);
	reset->misses = heartbeat == reset->heartbeat ? reset->misses + 1 : 0;
	reset->heartbeat = heartbeat;
	if (reset->misses >= QUIRE_HEARTBEAT_MISSES) {
		reset->misses = 0;
		quire_reset_schedule(qdev, "the firmware has no heartbeat");
	}
	if (quire_reset_busy(qdev->queues))
		queue_delayed_work(reset->wq, &reset->watch, QUIRE_HEARTBEAT_INTERVAL);
	else
		reset->misses = 0;
	dma_fence_end_signalling(signalling);
	quire_card_exit(qdev, index);
}

/* Jobs run: see that the firmware lives. */
void quire_reset_watch(struct quire_device *qdev)
{
	if (!delayed_work_pending(&qdev->reset->watch))
		queue_delayed_work(qdev->reset->wq, &qdev->reset->watch,
				   QUIRE_HEARTBEAT_INTERVAL);
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
	reset->wq = alloc_ordered_workqueue("quire-reset", WQ_MEM_RECLAIM | WQ_HIGHPRI);
	if (!reset->wq)
		return -ENOMEM;
	INIT_WORK(&reset->work, quire_reset_work);
	INIT_DELAYED_WORK(&reset->watch, quire_reset_watch_work);
	qdev->reset = reset;
	return drmm_add_action_or_reset(&qdev->drm, quire_reset_release, reset);
}

void quire_reset_fini(struct quire_device *qdev)
{
	if (!qdev->reset)
		return;
	cancel_delayed_work_sync(&qdev->reset->watch);
	cancel_work_sync(&qdev->reset->work);
}
