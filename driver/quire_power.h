/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_POWER_H
#define QUIRE_POWER_H

#include <linux/list.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/rwsem.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct quire_device;
struct ttm_resource_manager;

/** enum quire_away - why nobody may touch the card */
enum quire_away {
	/** @QUIRE_HERE: everybody may */
	QUIRE_HERE,
	/** @QUIRE_ASLEEP: nothing to do, in D3hot; card memory keeps its content */
	QUIRE_ASLEEP,
	/** @QUIRE_SUSPENDED: the machine sleeps or hibernates */
	QUIRE_SUSPENDED,
	/** @QUIRE_RESETTING: the function or its bus is being reset, or is to be */
	QUIRE_RESETTING,
};

/** enum quire_rung - what is tried next on a card that does not come back */
enum quire_rung {
	/** @QUIRE_RUNG_FUNCTION: reset the function */
	QUIRE_RUNG_FUNCTION,
	/** @QUIRE_RUNG_BUS: reset the bus it is on */
	QUIRE_RUNG_BUS,
	/** @QUIRE_RUNG_WEDGED: give up until somebody resets or binds it */
	QUIRE_RUNG_WEDGED,
};

/** struct quire_power - whether the card is there (quire_power.c) */
struct quire_power {
	/** @qdev: card */
	struct quire_device *qdev;
	/**
	 * @lock: read while somebody touches the card; written to change @away, while jobs wait:
	 * nothing is allocated under it.
	 */
	struct rw_semaphore lock;
	/** @away: under @lock */
	enum quire_away away;
	/** @back: woken when @away is QUIRE_HERE again, or the card has gone */
	wait_queue_head_t back;
	/** @memory_lost: card memory has not been saved; whoever makes the card leave and return */
	bool memory_lost;
	/** @counted: the reset that is under way is in quire_device.resets already; the same */
	bool counted;
	/** @broken: a reset or boot has failed, @climb is to try more */
	bool broken;
	/** @users: calls, jobs and faults that keep the card awake; while not 0, it is */
	atomic_t users;
	/** @held: the machine is about to sleep: a reference of runtime PM is held */
	bool held;
	/** @config: configuration space as probe left it */
	struct pci_saved_state *config;
	/** @rung: of the ladder; @climb only, and whoever brings the card back */
	enum quire_rung rung;
	/** @climb: tries the next rung */
	struct delayed_work climb;
	/** @sleep: told before the machine sleeps */
	struct notifier_block sleep;
};

int quire_power_init(struct quire_device *qdev);
void quire_power_fini(struct quire_device *qdev);
const char *quire_power_state(struct quire_device *qdev);

/*
 * May I touch registers?  Never blocks, any process context, signalling sections too.  False:
 * the card is unplugged, asleep or being reset.  It runs nothing then and has forgotten
 * its TLB; quire_mmu_restore() tells it the roots again when it is back.
 */
bool quire_card_enter(struct quire_device *qdev, int *idx);
void quire_card_exit(struct quire_device *qdev, int idx);

/*
 * Wakes the card, or waits until it is back, and keeps it: for whoever copies from or to card
 * memory or maps it.  0, -ENODEV, or -ERESTARTSYS (without @interruptible only if killed).
 * Not in signalling sections; and nothing is allocated, nor a fence waited for, until the exit.
 */
int quire_card_enter_memory(struct quire_device *qdev, bool interruptible, int *idx);
void quire_card_exit_memory(struct quire_device *qdev, int idx);

/*
 * From the first step towards a card that is away to the last back, jobs wait for whoever does
 * it.  Reclaim may wait for jobs, and reservations are held while somebody does: in between
 * nothing is allocated but with GFP_NOWAIT, and no reservation taken.  lockdep finds who does.
 */
#ifdef CONFIG_LOCKDEP
void quire_power_begin_away(void);
void quire_power_end_away(void);
void quire_power_prime_lockdep(void);
#else
static inline void quire_power_begin_away(void) {}
static inline void quire_power_end_away(void) {}
static inline void quire_power_prime_lockdep(void) {}
#endif

/* Ends what runs: by parking it, or else as a reset would. */
void quire_power_stop(struct quire_device *qdev);
void quire_power_set(struct quire_device *qdev, enum quire_away away);
/* Nobody touches the card when this returns. */
void quire_power_take(struct quire_device *qdev, enum quire_away why);
/* What lay in card memory when the card was taken, or zeros if that is lost; it answers. */
void quire_power_put_back(struct quire_device *qdev);
/* The opposite of both: memory as it was, firmware, page tables, queues. */
int quire_power_return(struct quire_device *qdev);

/* quire_pm.c */
extern const struct dev_pm_ops quire_pm_ops;
int quire_pm_init(struct quire_device *qdev);
void quire_pm_allow(struct quire_device *qdev);
void quire_pm_fini(struct quire_device *qdev);
void quire_shutdown(struct pci_dev *pdev);
/* A call wants to touch the card: wakes it, and keeps it awake until the put. */
void quire_power_get(struct quire_device *qdev);
void quire_power_put(struct quire_device *qdev);
/* A job wants the card: from commit to end, in any context. */
void quire_power_get_job(struct quire_device *qdev);
void quire_power_put_job(struct quire_device *qdev);

/* quire_rescue.c: what lies in card memory, while the card forgets it */
int quire_rescue_init(struct quire_device *qdev);
void quire_rescue_attach(struct quire_device *qdev, struct ttm_resource_manager *man);
int quire_rescue_reserve(struct quire_device *qdev, bool wait);
int quire_rescue_save(struct quire_device *qdev);
void quire_rescue_restore(struct quire_device *qdev);
void quire_rescue_clear(struct quire_device *qdev);
void quire_rescue_drop(struct quire_device *qdev);

/* quire_pci_error.c */
extern const struct pci_error_handlers quire_error_handlers;
/* At the end of probe: what configuration space is to be. */
int quire_error_remember(struct quire_device *qdev);
void quire_climb_work(struct work_struct *work);
/* The card did not come back: try the next rung.  Any context. */
void quire_recover_function(struct quire_device *qdev);

#endif /* QUIRE_POWER_H */
