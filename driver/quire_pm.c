// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power management.  A card that nobody uses goes to D3hot, where its memory refreshes itself
 * and all else is forgotten; calls, jobs and page faults of card memory hold a reference
 * of runtime PM and so wake it.  Before the machine sleeps or hibernates, jobs are parked
 * and card memory is copied to system memory: they go on afterwards, and notice nothing.
 */
#include <linux/pm_runtime.h>
#include <linux/suspend.h>

#include "quire_hold.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_reach.h"

/* A card wakes in some 15 ms, which is worth it after pauses much longer only. */
#define QUIRE_AUTOSUSPEND_MS 1000

/* All users together have one reference of runtime PM: it costs more than much of what they do. */
void quire_power_get(struct quire_device *qdev)
{
	struct quire_power *power = qdev->power;

	if (atomic_inc_not_zero(&power->users))
		return;
	/* A card that does not wake is seen by whoever touches it. */
	pm_runtime_get_sync(qdev->drm.dev);
	/* Somebody else has done the same meanwhile: one is enough. */
	if (atomic_inc_return(&power->users) > 1)
		pm_runtime_put_noidle(qdev->drm.dev);
}

void quire_power_put(struct quire_device *qdev)
{
	if (!atomic_dec_and_test(&qdev->power->users))
		return;
	pm_runtime_mark_last_busy(qdev->drm.dev);
	pm_runtime_put_autosuspend(qdev->drm.dev);
}

/* Whoever hands over a job is a user himself, so that this needs not wait. */
void quire_power_get_job(struct quire_device *qdev)
{
	if (WARN_ON_ONCE(atomic_inc_return(&qdev->power->users) == 1))
		pm_runtime_get(qdev->drm.dev);
}

void quire_power_put_job(struct quire_device *qdev)
{
	quire_power_put(qdev);
}

static struct quire_device *quire_pm_device(struct device *dev)
{
	return pci_get_drvdata(to_pci_dev(dev));
}

static int quire_pm_fall_asleep(struct quire_device *qdev)
{
	if (READ_ONCE(qdev->wedged) || READ_ONCE(qdev->power->broken) ||
	    READ_ONCE(qdev->power->away) != QUIRE_HERE || quire_queues_suspend(qdev, 0))
		return -EBUSY;
	/* Nothing runs, and the step back to D0 resets what may not have stopped. */
	quire_fw_stop(qdev);
	quire_reach_stopped(qdev);
	quire_power_take(qdev, QUIRE_ASLEEP);
	return 0;
}

static int quire_pm_runtime_suspend(struct device *dev)
{
	int ret;

	quire_power_begin_away();
	ret = quire_pm_fall_asleep(quire_pm_device(dev));
	quire_power_end_away();
	return ret;
}

/* A card that does not come up is reset: never an error here, which would be final. */
static int quire_pm_runtime_resume(struct device *dev)
{
	quire_power_return(quire_pm_device(dev));
	return 0;
}

/* Also freezes for an image of the machine, which holds what is saved. */
static int quire_pm_suspend(struct device *dev)
{
	struct quire_device *qdev = quire_pm_device(dev);
	struct quire_power *power = qdev->power;
	int ret;

	/* The ladder would bring the card back while the machine goes down. */
	if (power->away == QUIRE_RESETTING || READ_ONCE(power->broken))
		return -EBUSY;
	/* The notifier has done it, but for what has been allocated since. */
	ret = quire_rescue_reserve(qdev, true);
	if (ret)
		return ret;
	quire_power_begin_away();
	quire_power_stop(qdev);
	/* From here on no reset begins; one that has failed meanwhile ends on the ladder. */
	if (READ_ONCE(power->broken)) {
		quire_power_end_away();
		return -EBUSY;
	}
	quire_power_take(qdev, QUIRE_SUSPENDED);
	ret = quire_rescue_save(qdev);
	quire_power_end_away();
	if (ret) {
		quire_rescue_drop(qdev);
		quire_power_return(qdev);
	}
	return ret;
}

/* The image has been written: what the card has done since does not matter. */
static int quire_pm_poweroff(struct device *dev)
{
	struct quire_device *qdev = quire_pm_device(dev);

	quire_power_begin_away();
	quire_power_stop(qdev);
	quire_power_take(qdev, QUIRE_SUSPENDED);
	quire_power_end_away();
	return 0;
}

static int quire_pm_resume(struct device *dev)
{
	struct quire_device *qdev = quire_pm_device(dev);

	quire_power_begin_away();
	/* Restored from an image, the card may run what another kernel has left on it. */
	if (quire_fw_quiet(qdev))
		drm_err(&qdev->drm, "the card does not stop\n");
	quire_power_return(qdev);
	quire_power_end_away();
	return 0;
}

static void quire_pm_let_go(struct quire_device *qdev)
{
	if (qdev->power->held)
		quire_power_put(qdev);
	qdev->power->held = false;
}

/*
 * While there is still room to be made: once devices suspend, memory cannot be swapped out, and
 * an image of the machine takes half of it.
 */
static int quire_pm_notify(struct notifier_block *sleep, unsigned long action, void *data)
{
	struct quire_power *power = container_of(sleep, struct quire_power, sleep);
	struct quire_device *qdev = power->qdev;

	switch (action) {
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
	case PM_SUSPEND_PREPARE:
		/* Awake until afterwards. */
		quire_power_get(qdev);
		power->held = true;
		if (quire_rescue_reserve(qdev, true)) {
			drm_warn(&qdev->drm, "no memory to save card memory in: no sleep\n");
			quire_rescue_drop(qdev);
			quire_pm_let_go(qdev);
			return notifier_from_errno(-ENOMEM);
		}
		quire_hold_sleep(qdev->queues, true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
	case PM_POST_SUSPEND:
		quire_hold_sleep(qdev->queues, false);
		if (READ_ONCE(power->away) == QUIRE_HERE)
			quire_rescue_drop(qdev);
		quire_pm_let_go(qdev);
		break;
	}
	return NOTIFY_DONE;
}

/* The machine goes down, or another kernel takes over: the card leaves memory alone. */
void quire_shutdown(struct pci_dev *pdev)
{
	struct quire_device *qdev = pci_get_drvdata(pdev);

	quire_queues_end(qdev);
	pci_clear_master(pdev);
}

int quire_pm_init(struct quire_device *qdev)
{
	struct quire_power *power = qdev->power;

	power->sleep.notifier_call = quire_pm_notify;
	return register_pm_notifier(&power->sleep);
}

/* At the end of probe, which holds a reference. */
void quire_pm_allow(struct quire_device *qdev)
{
	struct device *dev = qdev->drm.dev;

	/* Without power card memory would lose its content. */
	pci_d3cold_disable(qdev->pdev);
	pm_runtime_set_autosuspend_delay(dev, QUIRE_AUTOSUSPEND_MS);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_allow(dev);
	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
}

void quire_pm_fini(struct quire_device *qdev)
{
	unregister_pm_notifier(&qdev->power->sleep);
	quire_pm_let_go(qdev);
	/* As the PCI core handed it to probe, and as it takes it back after remove. */
	pm_runtime_forbid(qdev->drm.dev);
	pm_runtime_dont_use_autosuspend(qdev->drm.dev);
}

const struct dev_pm_ops quire_pm_ops = {
	.suspend = pm_sleep_ptr(quire_pm_suspend),
	.resume = pm_sleep_ptr(quire_pm_resume),
	.freeze = pm_sleep_ptr(quire_pm_suspend),
	.thaw = pm_sleep_ptr(quire_pm_resume),
	.poweroff = pm_sleep_ptr(quire_pm_poweroff),
	.restore = pm_sleep_ptr(quire_pm_resume),
	RUNTIME_PM_OPS(quire_pm_runtime_suspend, quire_pm_runtime_resume, NULL)
};
