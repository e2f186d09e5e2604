// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether the card is there.  While it sleeps or is reset its registers read as all ones and its
 * memory is not there: a copy would be garbage, and a write futile.  So whoever makes the card
 * leave first stops what runs, then waits for all that touch it and keeps others off, and
 * takes the CPU's mappings of its memory away.
 *
 * Those who keep an order with the card, its page tables for example, go on without it
 * (quire_card_enter()): a card that returns has forgotten everything and is told again.
 * Those who need what lies in its memory wait (quire_card_enter_memory()).
 */
#include <linux/dma-resv.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include <drm/drm_managed.h>

#include "quire_mmu.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_reach.h"
#include "quire_trace.h"

/* Time for what runs to come to rest; bands take some milliseconds. */
#define QUIRE_PARK_MS 2000

#ifdef CONFIG_LOCKDEP
static struct lockdep_map quire_power_away_map =
	STATIC_LOCKDEP_MAP_INIT("quire_power_away", &quire_power_away_map);

void quire_power_begin_away(void)
{
	lock_map_acquire_read(&quire_power_away_map);
}

void quire_power_end_away(void)
{
	lock_map_release(&quire_power_away_map);
}

/* Tell lockdep what may wait for a job, before it happens. */
void quire_power_prime_lockdep(void)
{
	struct dma_resv resv;

	dma_resv_init(&resv);
	dma_resv_lock(&resv, NULL);
	fs_reclaim_acquire(GFP_KERNEL);
	lock_map_acquire(&quire_power_away_map);
	lock_map_release(&quire_power_away_map);
	fs_reclaim_release(GFP_KERNEL);
	dma_resv_unlock(&resv);
	dma_resv_fini(&resv);
}
#endif

bool quire_card_enter(struct quire_device *qdev, int *idx)
{
	struct quire_power *power = qdev->power;

	if (!drm_dev_enter(&qdev->drm, idx))
		return false;
	/* Somebody writes @away: the card has stopped already, or has not begun again. */
	if (down_read_trylock(&power->lock)) {
		if (power->away == QUIRE_HERE)
			return true;
		up_read(&power->lock);
	}
	drm_dev_exit(*idx);
	return false;
}

void quire_card_exit(struct quire_device *qdev, int idx)
{
	up_read(&qdev->power->lock);
	drm_dev_exit(idx);
}

static bool quire_power_away_over(struct quire_device *qdev)
{
	return READ_ONCE(qdev->power->away) == QUIRE_HERE || drm_dev_is_unplugged(&qdev->drm);
}

int quire_card_enter_memory(struct quire_device *qdev, bool interruptible, int *idx)
{
	struct quire_power *power = qdev->power;
	int ret;

	if (drm_dev_is_unplugged(&qdev->drm))
		return -ENODEV;
	quire_power_get(qdev);
	for (;;) {
		ret = -ENODEV;
		if (!drm_dev_enter(&qdev->drm, idx))
			break;
		down_read(&power->lock);
		if (power->away == QUIRE_HERE)
			return 0;
		up_read(&power->lock);
		/* Unplug does not wait for us meanwhile. */
		drm_dev_exit(*idx);
		if (interruptible)
			ret = wait_event_interruptible(power->back, quire_power_away_over(qdev));
		else
			ret = wait_event_killable(power->back, quire_power_away_over(qdev));
		if (ret)
			break;
	}
	quire_power_put(qdev);
	return ret;
}

void quire_card_exit_memory(struct quire_device *qdev, int idx)
{
	quire_card_exit(qdev, idx);
	quire_power_put(qdev);
}

void quire_power_stop(struct quire_device *qdev)
{
	int ret = quire_queues_suspend(qdev, QUIRE_PARK_MS);

	if (quire_fw_stop(qdev) || ret)
		quire_queues_cut_off(qdev, false);
	quire_reach_stopped(qdev);
}

void quire_power_set(struct quire_device *qdev, enum quire_away away)
{
	down_write(&qdev->power->lock);
	WRITE_ONCE(qdev->power->away, away);
	up_write(&qdev->power->lock);
	trace_quire_power(qdev, away);
}

void quire_power_take(struct quire_device *qdev, enum quire_away why)
{
	quire_counters_keep(qdev);
	quire_power_set(qdev, why);
	/* Whoever had a mapping made it while the card was here; a new one waits. */
	unmap_mapping_range(qdev->drm.anon_inode->i_mapping, 0, 0, 1);
}

void quire_power_put_back(struct quire_device *qdev)
{
	/* What others had there nobody shall find. */
	if (qdev->power->memory_lost)
		quire_rescue_clear(qdev);
	else
		quire_rescue_restore(qdev);
}

static int quire_power_boot(struct quire_device *qdev)
{
	struct quire_power *power = qdev->power;
	int ret = -EIO;

	if (!quire_card_is_gone(qdev)) {
		quire_counters_keep(qdev);
		if (power->memory_lost) {
			quire_queues_cut_off(qdev, true);
			drm_warn(&qdev->drm, "card memory has lost its content\n");
		}
		quire_power_put_back(qdev);
		ret = quire_fw_boot(qdev);
	}
	if (ret) {
		quire_power_set(qdev, QUIRE_RESETTING);
		quire_recover_function(qdev);
		return ret;
	}
	quire_rescue_drop(qdev);
	power->memory_lost = false;
	WRITE_ONCE(power->broken, false);
	power->rung = QUIRE_RUNG_FUNCTION;
	WRITE_ONCE(qdev->wedged, false);
	/* A root that is set from here on goes to the card; the others are in the list. */
	quire_power_set(qdev, QUIRE_HERE);
	quire_mmu_restore(qdev);
	quire_reach_running(qdev);
	quire_queues_resume(qdev);
	wake_up_all(&power->back);
	return 0;
}

int quire_power_return(struct quire_device *qdev)
{
	int ret;

	quire_power_begin_away();
	ret = quire_power_boot(qdev);
	quire_power_end_away();
	return ret;
}

const char *quire_power_state(struct quire_device *qdev)
{
	if (READ_ONCE(qdev->wedged))
		return "wedged";
	switch (READ_ONCE(qdev->power->away)) {
	case QUIRE_ASLEEP:
		return "asleep";
	case QUIRE_SUSPENDED:
		return "suspended";
	case QUIRE_RESETTING:
		return "resetting";
	default:
		return READ_ONCE(qdev->resetting) ? "resetting" : "ready";
	}
}

int quire_power_init(struct quire_device *qdev)
{
	struct quire_power *power = drmm_kzalloc(&qdev->drm, sizeof(*power), GFP_KERNEL);

	if (!power)
		return -ENOMEM;
	power->qdev = qdev;
	init_rwsem(&power->lock);
	init_waitqueue_head(&power->back);
	INIT_DELAYED_WORK(&power->climb, quire_climb_work);
	qdev->power = power;
	return quire_pm_init(qdev);
}

/* After drm_dev_unplug(): those who wait for the card see that it has gone. */
void quire_power_fini(struct quire_device *qdev)
{
	quire_pm_fini(qdev);
	cancel_delayed_work_sync(&qdev->power->climb);
	wake_up_all(&qdev->power->back);
	quire_rescue_drop(qdev);
	kfree(qdev->power->config);
	qdev->power->config = NULL;
}
