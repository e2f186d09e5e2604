// SPDX-License-Identifier: GPL-2.0-only
/*
 * Engines that are kept free for a moment.  Between two jobs a queue wants nothing, and a band that
 * begins then may have the engine for seconds.  So an engine is kept for the queue that had it
 * last, and that has used less than the one who wants it: for a part of the difference, and never
 * for long.  An engine that stays idle is paid for by the queue for which it does, so that the
 * other gets his share all the same.
 */
#include "bits.h"
#include "firmware.h"
#include "io.h"

#define DEBT_SHIFT 2		/* a quarter of what was used too much */

bool keep_some;
uint32_t keep_sole, keep_mask;
static uint32_t users[QUIRE_QUEUES / 32];	/* bit per queue that had an engine a moment ago */
static uint32_t ranked[QUIRE_QUEUES / 32];	/* of these, who comes before the one asked about */
static const struct queue *payer;	/* an engine is idle for it, */
static uint64_t since;			/* from here on, */
static uint32_t most;			/* for so long at most; it has not paid for that yet */
static bool armed;			/* the alarm goes off when it may be over */

void keep_used(uint32_t number)
{
	if (queues[number].priority == QUIRE_QUEUE_PRIORITY_URGENT)
		return;
	if (!keep_some)
		keep_sole = number;
	else if (keep_sole != number)
		keep_sole = KEEP_SEVERAL;
	keep_some = true;
	users[number / 32] |= 1u << number % 32;
}

void keep_alarm(void)
{
	armed = false;
}

/* How long after its last work an engine is kept for @last from a queue that wants it. */
static uint32_t time_for(const struct queue *last, const struct queue *q)
{
	int64_t debt = sched_debt(q, last) >> DEBT_SHIFT;

	if (debt <= 0)
		return 0;
	return debt < KEEP_MOST_NS ? (uint32_t)debt : KEEP_MOST_NS;
}

static void pay(uint64_t now)
{
	uint64_t kept = now - since;

	if (payer)
		sched_charge(payer->number, kept < most ? (uint32_t)kept : most);
	payer = NULL;
}

static void keep(const struct queue *last, uint64_t now, uint32_t ns)
{
	payer = last;
	since = now;
	most = ns;
	keep_sole = KEEP_SEVERAL;
	if (!armed)
		io_write(QUIRE_IO_ALARM, ns / 1000 + 1);
	armed = true;
}

/* Queues that may want an engine again: how many, and the first whose time is over. */
struct pauses {
	uint32_t count;
	const struct queue *next;
	uint32_t soonest;
};

static void look_at(const struct queue *last, const struct queue *q, uint64_t now,
		    struct pauses *pauses)
{
	uint64_t pause = now - last->busy_since;
	uint32_t time;

	if (pause >= KEEP_MOST_NS || last->state != QUIRE_QUEUE_ACTIVE || last->parking ||
	    last->stopping) {
		users[last->number / 32] &= ~last->bit;
		return;
	}
	keep_some = true;
	time = last == q ? 0 : time_for(last, q);
	if (pause >= time)
		return;
	ranked[last->number / 32] |= last->bit;
	pauses->count += !last->running;
	if (time - (uint32_t)pause <= pauses->soonest) {
		pauses->soonest = time - (uint32_t)pause;
		pauses->next = last;
	}
}

/*
 * An engine is kept for each queue that pauses, and those that such a queue had last, which may be
 * several, are not taken from it.
 */
bool keep_allows(const struct queue *q)
{
	struct pauses pauses = { 0, NULL, KEEP_MOST_NS };
	uint64_t now = io_time();
	uint32_t idle = 0;

	pay(now);
	keep_some = false;
	keep_mask = 0;
	for (uint32_t word = 0; word < QUIRE_QUEUES / 32; word++) {
		ranked[word] = 0;
		for (uint32_t bits = users[word]; bits; bits &= bits - 1)
			look_at(&queues[word * 32 + lowest_bit(bits)], q, now, &pauses);
	}
	for (uint32_t bits = band_idle; bits; bits &= bits - 1, idle++) {
		const struct queue *last = &queues[band_queue[lowest_bit(bits)]];

		if (!(ranked[last->number / 32] & last->bit))
			keep_mask |= bits & -bits;
	}
	if (keep_mask && idle > pauses.count)
		return true;
	keep(pauses.next, now, pauses.soonest);
	return false;
}
