// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets of the function or its bus, whoever asks for them, and errors of the bus.  If the card
 * still stops and its memory can be read, a reset costs a pause only: jobs are parked and
 * memory is saved, as before the machine sleeps.  If not, it is declared lost.
 *
 * A card that does not boot climbs the ladder: reset of the function, of the bus, wedged.
 */
#include <linux/delay.h>
#include <linux/kobject.h>
#include <linux/sched/mm.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>

#include "quire_power.h"
#include "quire_queue.h"
#include "quire_trace.h"

/* Whoever holds the device's lock may be resetting it, which would do as well. */
#define QUIRE_CLIMB_TRIES 50
#define QUIRE_CLIMB_WAIT_MS 100
/* When the core's own recovery from an error must have ended: it does not say so if it fails. */
#define QUIRE_ERROR_DELAY (5 * HZ)

/*
 * Tells user space what may bring the card back.  drm_dev_wedged_event() would, where there is one,
 * but it reaches for the primary node, and an accelerator has none.
 */
static void quire_error_event(struct quire_device *qdev)
{
	char methods[] = "WEDGED=rebind,bus-reset";
	char *event[2] = { methods, NULL };

	kobject_uevent_env(&qdev->drm.accel->kdev->kobj, KOBJ_CHANGE, event);
}

static void quire_error_wedge(struct quire_device *qdev)
{
	drm_err(&qdev->drm, "the card is wedged; reset the function or bind it anew\n");
	/* Before jobs are ended: a submission that comes later sees it. */
	WRITE_ONCE(qdev->wedged, true);
	WRITE_ONCE(qdev->power->broken, false);
	qdev->power->counted = false;
	/* It may not have stopped, but without the bus it reaches no memory but its own. */
	pci_clear_master(qdev->pdev);
	quire_reach_stopped(qdev);
	quire_power_begin_away();
	quire_queues_cut_off(qdev, true);
	/*
	 * Boots that failed may have found nobody to put anything back to.  From here on counts
	 * what lies there.
	 */
	if (!quire_card_is_gone(qdev)) {
		quire_power_put_back(qdev);
		qdev->power->memory_lost = false;
		quire_rescue_drop(qdev);
	}
	/* What can be read of its memory may be read. */
	quire_power_set(qdev, QUIRE_HERE);
	quire_power_end_away();
	wake_up_all(&qdev->power->back);
	quire_error_event(qdev);
}

static void quire_recover_after(struct quire_device *qdev, unsigned long delay)
{
	WRITE_ONCE(qdev->power->broken, true);
	mod_delayed_work(system_unbound_wq, &qdev->power->climb, delay);
}

void quire_recover_function(struct quire_device *qdev)
{
	quire_recover_after(qdev, 0);
}

/* Whoever sees a job end by it finds both counted. */
static void quire_error_lose(struct quire_device *qdev)
{
	qdev->power->memory_lost = true;
	atomic_inc(&qdev->vram_lost);
}

static void quire_error_leave(struct quire_device *qdev, bool save)
{
	struct quire_power *power = qdev->power;

	if (!power->counted)
		atomic_inc(&qdev->resets);
	power->counted = true;
	/* On the ladder already: what could be saved has been. */
	if (power->away == QUIRE_RESETTING)
		return;
	/* Later memory cannot be waited for; on the ladder jobs wait for us now. */
	if (save && quire_rescue_reserve(qdev, !READ_ONCE(power->broken)))
		save = false;
	quire_power_begin_away();
	/* A wedged card may still have to forget what it lost then, and what came since. */
	if (!save || power->memory_lost)
		quire_error_lose(qdev);
	quire_power_stop(qdev);
	quire_power_take(qdev, QUIRE_RESETTING);
	if (save && quire_rescue_save(qdev))
		quire_error_lose(qdev);
	quire_power_end_away();
}

int quire_error_remember(struct quire_device *qdev)
{
	pci_save_state(qdev->pdev);
	qdev->power->config = pci_store_saved_state(qdev->pdev);
	return qdev->power->config ? 0 : -ENOMEM;
}

/* A reset of the bus that nobody has announced has cleared it. */
static void quire_error_restore_config(struct quire_device *qdev)
{
	pci_load_saved_state(qdev->pdev, qdev->power->config);
	pci_restore_state(qdev->pdev);
}

/*
 * The PCI core calls the first before and the second after a reset.  Never between probe's
 * failure and remove: it holds the device's lock.
 */
static void quire_error_reset_prepare(struct pci_dev *pdev)
{
	struct quire_device *qdev = pci_get_drvdata(pdev);
	bool here;

	drm_warn(&qdev->drm, "the function is being reset\n");
	quire_power_get(qdev);
	here = !quire_card_is_gone(qdev);
	quire_error_leave(qdev, here);
	/* The core saves and restores around the reset what it finds now. */
	if (!here)
		quire_error_restore_config(qdev);
}

static void quire_error_reset_done(struct pci_dev *pdev)
{
	struct quire_device *qdev = pci_get_drvdata(pdev);
	int ret = quire_power_return(qdev);

	qdev->power->counted = false;
	trace_quire_reset(qdev, "the function was reset", ret);
	quire_power_put(qdev);
}

static pci_ers_result_t quire_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct quire_device *qdev = pci_get_drvdata(pdev);

	switch (state) {
	case pci_channel_io_normal:
		drm_warn(&qdev->drm, "an error of the bus, not fatal\n");
		return PCI_ERS_RESULT_CAN_RECOVER;
	case pci_channel_io_frozen:
		drm_warn(&qdev->drm, "a fatal error of the bus\n");
		quire_error_leave(qdev, false);
		quire_recover_after(qdev, QUIRE_ERROR_DELAY);
		return PCI_ERS_RESULT_NEED_RESET;
	default:
		drm_err(&qdev->drm, "the bus has given up the card\n");
		quire_error_wedge(qdev);
		return PCI_ERS_RESULT_DISCONNECT;
	}
}

/* Registers can be read, whether or not they make sense. */
static pci_ers_result_t quire_error_mmio_enabled(struct pci_dev *pdev)
{
	struct quire_device *qdev = pci_get_drvdata(pdev);

	if (!quire_card_is_gone(qdev))
		return PCI_ERS_RESULT_RECOVERED;
	quire_error_leave(qdev, false);
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t quire_error_slot_reset(struct pci_dev *pdev)
{
	struct quire_device *qdev = pci_get_drvdata(pdev);

	/* Another function's wish to be reset has taken ours along. */
	quire_error_leave(qdev, false);
	quire_error_restore_config(qdev);
	if (quire_card_is_gone(qdev))
		return PCI_ERS_RESULT_DISCONNECT;
	return PCI_ERS_RESULT_RECOVERED;
}

static void quire_error_resume(struct pci_dev *pdev)
{
	struct quire_device *qdev = pci_get_drvdata(pdev);

	if (qdev->power->away != QUIRE_RESETTING)
		return;
	trace_quire_reset(qdev, "the bus had an error", quire_power_return(qdev));
	qdev->power->counted = false;
}

const struct pci_error_handlers quire_error_handlers = {
	.error_detected = quire_error_detected,
	.mmio_enabled = quire_error_mmio_enabled,
	.slot_reset = quire_error_slot_reset,
	.resume = quire_error_resume,
	.reset_prepare = quire_error_reset_prepare,
	.reset_done = quire_error_reset_done,
};

/*
 * Both resets only try for the device's lock, and so do not wait for remove, which waits for
 * this work; and both end in quire_error_reset_done().
 */
static int quire_climb_reset(struct quire_device *qdev, enum quire_rung rung)
{
	/* Jobs wait for us: whatever the core allocates does not wait for jobs. */
	unsigned int noreclaim = memalloc_noreclaim_save();
	int ret = -EAGAIN;

	for (int tries = 0; ret == -EAGAIN && tries < QUIRE_CLIMB_TRIES; tries++) {
		if (tries)
			msleep(QUIRE_CLIMB_WAIT_MS);
		if (READ_ONCE(qdev->queues->ended))
			ret = -ENODEV;
		else if (!READ_ONCE(qdev->power->broken))
			ret = 0;
		else if (rung == QUIRE_RUNG_FUNCTION)
			ret = pci_try_reset_function(qdev->pdev);
		else
			ret = pci_reset_bus(qdev->pdev);
	}
	memalloc_noreclaim_restore(noreclaim);
	return ret;
}

/*
 * The device's lock, only tried for, as above: no reset that an administrator asks for comes in the
 * middle, and leaves a card that is ready without the bus.  False: the driver leaves the card.
 */
static bool quire_climb_lock(struct quire_device *qdev)
{
	while (!READ_ONCE(qdev->queues->ended)) {
		if (device_trylock(&qdev->pdev->dev))
			return true;
		msleep(QUIRE_CLIMB_WAIT_MS);
	}
	return false;
}

static void quire_climb_wedge(struct quire_device *qdev)
{
	if (!quire_climb_lock(qdev))
		return;
	if (READ_ONCE(qdev->power->broken))
		quire_error_wedge(qdev);
	device_unlock(&qdev->pdev->dev);
}

void quire_climb_work(struct work_struct *work)
{
	struct quire_power *power =
		container_of(to_delayed_work(work), struct quire_power, climb);
	struct quire_device *qdev = power->qdev;

	while (READ_ONCE(power->broken)) {
		enum quire_rung rung = power->rung;
		int ret;

		if (rung == QUIRE_RUNG_WEDGED) {
			quire_climb_wedge(qdev);
			return;
		}
		power->rung++;
		drm_warn(&qdev->drm, "resetting %s\n",
			 rung == QUIRE_RUNG_FUNCTION ? "the function" : "the bus of the card");
		ret = quire_climb_reset(qdev, rung);
		if (ret == -ENODEV)
			return;
		if (ret)
			drm_warn(&qdev->drm, "cannot be reset (%d)\n", ret);
	}
}
