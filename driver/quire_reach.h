/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_REACH_H
#define QUIRE_REACH_H

#include <linux/types.h>

struct quire_device;
struct quire_vm;
struct work_struct;
struct workqueue_struct;

/* The address space has no context, and never had one. */
#define QUIRE_NO_CONTEXT U32_MAX

/**
 * struct quire_ticket - a flush, to ask whether the card has drained it
 *
 * Whoever wants to give back, move or reuse memory that the card could reach takes the
 * translation away, flushes, and keeps the ticket.  Once quire_reach_over() says so, no
 * operation of the card runs any more that could have begun with the old translation.
 */
struct quire_ticket {
	/** @context: that was flushed, or QUIRE_NO_CONTEXT */
	u32 context;
	/** @number: register FLUSHED after the flush */
	u32 number;
	/** @epoch: quire_reach.epoch at the flush */
	u32 epoch;
	/** @since: when, in jiffies */
	unsigned long since;
};

/* A ticket that is over. */
#define QUIRE_TICKET_OVER ((struct quire_ticket){ .context = QUIRE_NO_CONTEXT })
/* Hardly an operation of an engine takes as long: sums of hundreds of millions of products. */
#define QUIRE_REACH_LIMIT (30ul * HZ)

/* Works of address spaces run here, of all cards: one of them may be the last user of a card. */
extern struct workqueue_struct *quire_memory_wq;
int quire_reach_module_init(void);
void quire_reach_module_exit(void);

int quire_reach_init(struct quire_device *qdev);

/*
 * The card does nothing any more and has forgotten all translations: what anybody waits for
 * is over.  Registers are not touched until quire_reach_running(), which follows once the
 * roots of the contexts are written again and before the first queue is started.
 */
void quire_reach_stopped(struct quire_device *qdev);
void quire_reach_running(struct quire_device *qdev);
/* The same, for good. */
void quire_reach_end(struct quire_device *qdev);
/* The card has gone. */
void quire_reach_unplug(struct quire_device *qdev);

/* Flush the translations of a context; any lock may be held. */
struct quire_ticket quire_reach_flush(struct quire_device *qdev, u32 context);
bool quire_reach_over(struct quire_device *qdev, struct quire_ticket ticket);
/* Sleeps until the ticket is over: 0 or -ERESTARTSYS. */
int quire_reach_wait(struct quire_device *qdev, struct quire_ticket ticket, bool interruptible);
/* The same without signals; what keeps the card after @patience (jiffies) is ended. */
void quire_reach_wait_for(struct quire_device *qdev, struct quire_ticket ticket,
			  unsigned long patience);
/* The address space has something to give back once its last flush is over. */
void quire_reach_later(struct quire_vm *vm);
/* quire_vm.tidy */
void quire_reach_tidy_work(struct work_struct *work);
/* Interrupt: DRAINED of some context has moved. */
void quire_reach_event(struct quire_device *qdev);

#endif /* QUIRE_REACH_H */
