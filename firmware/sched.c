// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which queue is served next.  Highest priority first; then the owner who has used the least
 * engine time, of his groups the one that has, and its queues in turn.  So that nobody starves,
 * a priority that was passed over sixteen times in a row is served once.
 *
 * What somebody has used counts in each priority by itself, and only while he wants something:
 * who comes back after a pause is as far as those who wait, with a little in advance, because a
 * queue wants nothing while the last band of its packet runs.
 */
#include "bits.h"
#include "firmware.h"
#include "io.h"

#define PRIORITIES 3
#define PATIENCE 16
#define ADVANCE_NS 20000000u
/* Who has used more than the others by this has done so as somebody else. */
#define BEHIND_NS 500000000u

/* Owners or groups: bit per queue, and the time each has used. */
struct sharers {
	uint64_t queues[QUIRE_QUEUE_OWNERS];
	uint64_t used[QUIRE_QUEUE_OWNERS];
};

bool sched_shared;
static uint64_t runnable[PRIORITIES];	/* bit per queue */
static uint8_t last[PRIORITIES][QUIRE_QUEUE_OWNERS];	/* of a group: queue served last */
static uint8_t passed_over[PRIORITIES];
static struct sharers owners[PRIORITIES], groups[PRIORITIES];
/* What one queue has used and is not in its sharers' sums yet: as long as it is alone. */
static uint32_t account_of, account;

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

static uint32_t lowest_queue(uint64_t bits)
{
	uint32_t low = (uint32_t)bits;

	return low ? lowest_bit(low) : 32 + lowest_bit((uint32_t)(bits >> 32));
}

static uint32_t owner_of(uint32_t number)
{
	return queues[number].owner;
}

static uint32_t group_of(uint32_t number)
{
	return queues[number].group;
}

/* Of those with queues among the bits, who has used the least. */
static uint32_t least_used(const struct sharers *sharers, uint64_t bits,
			   uint32_t (*sharer_of)(uint32_t number))
{
	uint32_t best = sharer_of(lowest_queue(bits));

	for (bits &= ~sharers->queues[best]; bits;) {
		uint32_t other = sharer_of(lowest_queue(bits));

		if (sharers->used[other] < sharers->used[best])
			best = other;
		bits &= ~sharers->queues[other];
	}
	return best;
}

/* Somebody wants something again, beside the others among the bits. */
static void catch_up(struct sharers *sharers, uint32_t sharer, uint64_t others,
		     uint32_t (*sharer_of)(uint32_t number))
{
	uint64_t *used = &sharers->used[sharer], least;

	if (!others || others & sharers->queues[sharer])
		return;
	least = sharers->used[least_used(sharers, others, sharer_of)];
	if (*used + ADVANCE_NS < least)
		*used = least - ADVANCE_NS;
	else if (*used > least + BEHIND_NS)
		*used = least;
}

static __attribute__((noinline)) void settle_account(void)
{
	const struct queue *q = &queues[account_of];

	owners[q->priority].used[q->owner] += account;
	groups[q->priority].used[q->group] += account;
	account = 0;
}

/* It wants something, as others do.  Apart, because the usual way does not need its registers. */
static __attribute__((noinline)) void come_back(const struct queue *q, uint64_t others)
{
	struct sharers *o = &owners[q->priority];

	settle_account();
	catch_up(o, q->owner, others, owner_of);
	catch_up(&groups[q->priority], q->group, others & o->queues[q->owner], group_of);
}

void sched_update(uint32_t number)
{
	const struct queue *q = &queues[number];
	uint64_t *bits = &runnable[q->priority];
	uint64_t bit = 1ull << number;

	if (!wants(q)) {
		*bits &= ~bit;
		return;
	}
	if (*bits & bit)
		return;
	if (*bits)
		come_back(q, *bits);
	*bits |= bit;
}

void sched_join(uint32_t number, uint8_t priority, uint8_t group, uint8_t owner)
{
	struct queue *q = &queues[number];
	uint64_t bit = 1ull << number;

	settle_account();
	owners[q->priority].queues[q->owner] &= ~bit;
	groups[q->priority].queues[q->group] &= ~bit;
	q->priority = priority;
	q->group = group;
	q->owner = owner;
	owners[priority].queues[owner] |= bit;
	groups[priority].queues[group] |= bit;
}

void sched_charge(uint32_t number, uint32_t ns)
{
	if (number != account_of || account >> 31) {
		settle_account();
		account_of = number;
	}
	account += ns;
}

static __attribute__((noinline)) uint32_t whose_turn(uint32_t priority)
{
	uint64_t bits = runnable[priority], after;
	uint32_t group;

	settle_account();
	bits &= owners[priority].queues[least_used(&owners[priority], bits, owner_of)];
	group = least_used(&groups[priority], bits, group_of);
	bits &= groups[priority].queues[group];
	after = bits & (~1ull << last[priority][group]);	/* queues of higher number */
	last[priority][group] = (uint8_t)lowest_queue(after ? after : bits);
	return last[priority][group];
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
	/* Alone, as so often, nobody takes anything from others. */
	sched_shared = runnable[chosen] & (runnable[chosen] - 1);
	if (sched_shared)
		*number = whose_turn((uint32_t)chosen);
	else
		*number = lowest_queue(runnable[chosen]);
	return true;
}
