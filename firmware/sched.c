// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which queue is served next.  Highest priority first, round robin inside one
 * priority.  So that nobody starves, a priority that was passed over sixteen
 * times in a row is served once.
 */
#include "bits.h"
#include "firmware.h"
#include "io.h"

#define PRIORITIES 3
#define PATIENCE 16

static uint64_t runnable[PRIORITIES];	/* bit per queue */
static uint8_t last[PRIORITIES];	/* queue served last */
static uint8_t passed_over[PRIORITIES];

/* A queue wants the processor when it can start something without waiting for a band. */
static bool wants(const struct queue *q)
{
	if (q->state != QUIRE_QUEUE_ACTIVE || q->stopping || q->parking || q->failed)
		return false;
	if (q->in_packet)
		return q->plan.more;
	if (q->in_job)
		return true;
	return (int32_t)(q->tail - (uint32_t)q->sequence) >= 0;
}

void sched_update(uint32_t number)
{
	const struct queue *q = &queues[number];
	uint64_t bit = 1ull << number;

	if (wants(q))
		runnable[q->priority] |= bit;
	else
		runnable[q->priority] &= ~bit;
}

static uint32_t lowest_queue(uint64_t bits)
{
	uint32_t low = (uint32_t)bits;

	return low ? lowest_bit(low) : 32 + lowest_bit((uint32_t)(bits >> 32));
}

static uint32_t round_robin(uint32_t priority)
{
	uint64_t bits = runnable[priority];
	uint64_t after = bits & (~1ull << last[priority]);	/* queues of higher number */

	last[priority] = (uint8_t)lowest_queue(after ? after : bits);
	return last[priority];
}

/* Nothing is picked while all engines are busy: whoever is served may need one. */
bool sched_pick(uint32_t *number)
{
	int chosen = -1;

	if (!band_engine_idle())
		return false;
	for (int p = PRIORITIES - 1; p >= 0; p--) {
		if (!runnable[p])
			continue;
		if (chosen < 0) {
			chosen = p;
		} else if (++passed_over[p] >= PATIENCE) {
			chosen = p;
			break;
		}
	}
	if (chosen < 0)
		return false;
	passed_over[chosen] = 0;
	*number = round_robin((uint32_t)chosen);
	return true;
}
