// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which queue is served next.  Highest priority first; then the owner who has used the least
 * engine time, of his groups the one that has, and its queues in turn.  So that nobody starves,
 * a priority that was passed over sixteen times in a row is served once, unless it has used more
 * than a sixteenth of the time of those above it.
 *
 * What somebody has used counts in each priority by itself, and only while he wants something:
 * who comes back after a pause is as far as who was served last, with a little in advance,
 * because a queue wants nothing while the last band of its packet runs.  What he has used more
 * than the others is never forgiven.  A band is paid for when it starts, as if it took as long as
 * its owner's last one, and what that was wrong when it ends.
 */
#include "bits.h"
#include "firmware.h"
#include "io.h"

#define PRIORITIES 3
#define PATIENCE 16
#define ADVANCE_NS 20000000u

/*
 * Owners or groups: bit per queue, the time each has used, and how much whoever was served last
 * had used: of owners in the first place, of groups in the place of their owner.
 */
struct sharers {
	uint64_t queues[QUIRE_QUEUE_OWNERS];
	uint64_t used[QUIRE_QUEUE_OWNERS];
	uint64_t reached[QUIRE_QUEUE_OWNERS];
};

/* Queues, and words of them. */
union queue_bits {
	uint64_t bits;
	uint32_t words[2];
};

bool sched_shared;
static union queue_bits runnable[PRIORITIES];
/* How many queues want something, and the sum of their addresses: with one, its address. */
static uint32_t wanting, wanting_sum;
static uint8_t last[PRIORITIES][QUIRE_QUEUE_OWNERS];	/* of a group: queue served last */
static uint8_t passed_over[PRIORITIES];
/* Time of those above, less PATIENCE times what it has used while they wanted something. */
static int64_t credit[PRIORITIES];
static uint32_t expected[QUIRE_QUEUE_OWNERS];	/* time of an owner's last band */
static struct sharers owners[PRIORITIES], groups[PRIORITIES];
/* What one queue has used and is not in its sharers' sums yet. */
static uint32_t account_of, account;

/* A queue wants the processor when it can start something without waiting for a band. */
static inline bool wants(const struct queue *q)
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

/* Somebody wants something again, unless others of his queues do already. */
static void catch_up(struct sharers *sharers, uint32_t sharer, uint64_t bits, uint64_t reached)
{
	uint64_t *used = &sharers->used[sharer];

	if (!(bits & sharers->queues[sharer]) && *used + ADVANCE_NS < reached)
		*used = reached - ADVANCE_NS;
}

static void settle_credit(uint32_t priority, int64_t ns)
{
	uint64_t above = 0;

	for (uint32_t p = 0; p < priority; p++) {
		credit[p] += ns;
		if (credit[p] > PATIENCE * (int64_t)ADVANCE_NS)
			credit[p] = PATIENCE * (int64_t)ADVANCE_NS;
	}
	for (uint32_t p = priority + 1; p < PRIORITIES; p++)
		above |= runnable[p].bits;
	if (above)
		credit[priority] -= PATIENCE * ns;
}

static __attribute__((noinline)) void settle_account(void)
{
	const struct queue *q = &queues[account_of];

	if (!account)
		return;
	owners[q->priority].used[q->owner] += account;
	groups[q->priority].used[q->group] += account;
	settle_credit(q->priority, account);
	account = 0;
}

static inline void want(struct queue *q)
{
	*q->wanting |= q->bit;
	wanting++;
	wanting_sum += (uint32_t)(uintptr_t)q;
}

/* It wants something, as others do.  Apart, because the usual way does not need its registers. */
static __attribute__((noinline)) void come_back(struct queue *q)
{
	uint64_t bits = runnable[q->priority].bits;
	struct sharers *o = &owners[q->priority], *g = &groups[q->priority];

	settle_account();
	catch_up(o, q->owner, bits, o->reached[0]);
	catch_up(g, q->group, bits, g->reached[q->owner]);
	want(q);
}

void sched_update(struct queue *q)
{
	bool did = *q->wanting & q->bit;

	if (wants(q)) {
		if (did)
			return;
		/* Whoever was served last has come as far as can be. */
		if (wanting || q->number != account_of)
			come_back(q);
		else
			want(q);
	} else if (did) {
		*q->wanting &= ~q->bit;
		wanting--;
		wanting_sum -= (uint32_t)(uintptr_t)q;
	}
}

/* Whether a queue among the bits is started. */
static bool has_started(uint64_t bits)
{
	for (; bits; bits &= bits - 1) {
		uint8_t state = queues[lowest_queue(bits)].state;

		if (state == QUIRE_QUEUE_ACTIVE || state == QUIRE_QUEUE_FAULTED)
			return true;
	}
	return false;
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
	q->wanting = &runnable[priority].words[number / 32];
	/* With nothing started it is somebody else who has this number now, and owes nothing. */
	if (!has_started(owners[priority].queues[owner]))
		owners[priority].used[owner] = owners[priority].reached[0];
	if (!has_started(groups[priority].queues[group]))
		groups[priority].used[group] = groups[priority].reached[owner];
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

uint32_t sched_charge_band(uint32_t number)
{
	uint32_t ns = expected[queues[number].owner];

	sched_charge(number, ns);
	return ns;
}

void sched_correct_band(uint32_t number, uint32_t charged, uint32_t ns)
{
	const struct queue *q = &queues[number];

	expected[q->owner] = ns;
	if (ns >= charged) {
		sched_charge(number, ns - charged);
		return;
	}
	settle_account();
	charged -= ns;
	owners[q->priority].used[q->owner] -= charged;
	groups[q->priority].used[q->group] -= charged;
	settle_credit(q->priority, -(int64_t)charged);
}

static void reach(uint64_t *reached, uint64_t used)
{
	if (*reached < used)
		*reached = used;
}

/* A queue is served: so far have its sharers come. */
static __attribute__((noinline)) struct queue *begin_turn(struct queue *q)
{
	struct sharers *o = &owners[q->priority], *g = &groups[q->priority];

	settle_account();
	account_of = q->number;
	reach(&o->reached[0], o->used[q->owner]);
	reach(&g->reached[q->owner], g->used[q->group]);
	return q;
}

static uint32_t whose_turn(uint32_t priority)
{
	uint64_t bits = runnable[priority].bits, after;
	uint32_t group;

	settle_account();
	bits &= owners[priority].queues[least_used(&owners[priority], bits, owner_of)];
	group = least_used(&groups[priority], bits, group_of);
	bits &= groups[priority].queues[group];
	after = bits & (~1ull << last[priority][group]);	/* queues of higher number */
	last[priority][group] = (uint8_t)lowest_queue(after ? after : bits);
	return last[priority][group];
}

/* The priority that is served when several queues want something. */
static uint32_t pick_priority(void)
{
	int chosen = -1;

	for (int p = PRIORITIES - 1; p >= 0; p--) {
		if (!runnable[p].bits)
			continue;
		if (chosen < 0) {
			chosen = p;
		} else if (passed_over[p] < PATIENCE) {
			passed_over[p]++;
		} else if (credit[p] >= 0) {
			chosen = p;
			break;
		}
	}
	return (uint32_t)chosen;
}

static __attribute__((noinline)) struct queue *pick_of_many(void)
{
	uint32_t priority = pick_priority();

	sched_shared = true;
	passed_over[priority] = 0;
	return begin_turn(&queues[whose_turn(priority)]);
}

/* Nothing is picked while all engines are busy: whoever is served may need one. */
struct queue *sched_pick(void)
{
	struct queue *q;

	if (!wanting || !band_idle)
		return NULL;
	if (wanting > 1)
		return pick_of_many();
	/* Alone, as so often, nobody takes anything from others. */
	sched_shared = false;
	q = (struct queue *)(uintptr_t)wanting_sum;
	passed_over[q->priority] = 0;
	return account || q->number != account_of ? begin_turn(q) : q;
}

void sched_init(void)
{
	for (uint32_t number = 0; number < QUIRE_QUEUES; number++) {
		struct queue *q = &queues[number];

		q->number = number;
		q->registers = QUIRE_IO_QUEUE(number);
		q->bit = 1u << (number & 31);
		q->wanting = &runnable[0].words[number / 32];
	}
}
