// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery of the card.  One job over its limit ends with its queue alone
 * (quire_ring.c).  Here is what happens when the firmware itself crashed, does not
 * answer, or has lost its heartbeat: stop the card, end what was on it with -EIO,
 * boot again, start all queues again.  No queue is banned for it.
 */
#include <drm/drm_managed.h>

#include "quire_mmu.h"
#include "quire_queue.h"
#include "quire_trace.h"

#define QUIRE_HEARTBEAT_INTERVAL msecs_to_jiffies(2000)
#define QUIRE_HEARTBEAT_MISSES 3

/** struct quire_reset - recovery of a card */
struct quire_reset {
	/** @qdev: card */
	struct quire_device *qdev;
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
	queue_work(system_highpri_wq, &qdev->reset->work);
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
		quire_ring_abort(queue, error, error, pending);
	}
}

static int quire_reset_restart(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	int ret = quire_fw_boot(qdev);

	for (u32 i = 0; !ret && i < queues->count; i++) {
		if (!queues->table[i])
			continue;
		ret = quire_ring_start(queues->table[i]);
		if (!ret)
			quire_ring_kick(queues->table[i]);
	}
	return ret;
}

static void quire_reset_card(struct quire_device *qdev, const char *why)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling;
	int ret;

	drm_warn(&qdev->drm, "resetting the card: %s\n", why);
	mutex_lock(&queues->lock);
	signalling = dma_fence_begin_signalling();
	ret = quire_fw_stop(qdev);
	quire_reset_abort(queues, -EIO, ret != 0);
	quire_mmu_restore(qdev);
	if (!ret)
		ret = quire_reset_restart(qdev);
	atomic_inc(&qdev->resets);
	if (ret) {
		WRITE_ONCE(qdev->wedged, true);
		quire_reset_abort(queues, -EIO, true);
		drm_err(&qdev->drm, "reset failed: the card is wedged, unbind it or reset the slot\n");
	}
	dma_fence_end_signalling(signalling);
	mutex_unlock(&queues->lock);
	trace_quire_reset(why, ret);
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

static bool quire_reset_busy(struct quire_queues *queues)
{
	bool busy = false;

	mutex_lock(&queues->lock);
	for (u32 i = 0; i < queues->count && !busy; i++)
		busy = queues->table[i] && !list_empty_careful(&queues->table[i]->running);
	mutex_unlock(&queues->lock);
	return busy;
}

static void quire_reset_watch_work(struct work_struct *work)
{
	struct quire_reset *reset =
		container_of(to_delayed_work(work), struct quire_reset, watch);
	struct quire_device *qdev = reset->qdev;
	u32 heartbeat;
	int index;

	if (!drm_dev_enter(&qdev->drm, &index))
		return;
	heartbeat = quire_read(qdev, QUIRE_REG_HEARTBEAT);
	reset->misses = heartbeat == reset->heartbeat ? reset->misses + 1 : 0;
	reset->heartbeat = heartbeat;
	if (reset->misses >= QUIRE_HEARTBEAT_MISSES) {
		reset->misses = 0;
		quire_reset_schedule(qdev, "the firmware has no heartbeat");
	}
	if (quire_reset_busy(qdev->queues))
		schedule_delayed_work(&reset->watch, QUIRE_HEARTBEAT_INTERVAL);
	else
		reset->misses = 0;
	drm_dev_exit(index);
}

/* Jobs run: see that the firmware lives. */
void quire_reset_watch(struct quire_device *qdev)
{
	if (!delayed_work_pending(&qdev->reset->watch))
		schedule_delayed_work(&qdev->reset->watch, QUIRE_HEARTBEAT_INTERVAL);
}

int quire_reset_init(struct quire_device *qdev)
{
	struct quire_reset *reset;

	reset = drmm_kzalloc(&qdev->drm, sizeof(*reset), GFP_KERNEL);
	if (!reset)
		return -ENOMEM;
	reset->qdev = qdev;
	INIT_WORK(&reset->work, quire_reset_work);
	INIT_DELAYED_WORK(&reset->watch, quire_reset_watch_work);
	qdev->reset = reset;
	return 0;
}

void quire_reset_fini(struct quire_device *qdev)
{
	if (!qdev->reset)
		return;
	cancel_delayed_work_sync(&qdev->reset->watch);
	cancel_work_sync(&qdev->reset->work);
}
