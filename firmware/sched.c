// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which queue is served next.  Highest priority first; then the owner who has used the least
 * engine time, of his groups the one that has, and its queues in turn.  So that nobody starves,
 * a priority that was passed over sixteen times in a row is served once, unless it has used more
 * than a sixteenth of the time of those above it.
 *
 * A queue that pauses for a moment between two jobs counts as one that wants something where that
 * would be somebody's chance: keep.c keeps engines for it, and a lower priority pays.
 *
 * What somebody has used counts in each priority by itself, and only while he wants something:
 * who comes back after a pause is as far as who was served last, with a little in advance,
 * because a queue wants nothing while the last band of its packet runs.  What he has used more
 * than the others is never forgiven.  A band is paid for when it starts, as if it took as long as
 * its owner's last one, and what that was wrong when it ends.
 *
 * Urgent queues come before all and are nobody's: others wait for what they do.  Each of their jobs
 * is paid for when it has been done, in every priority, by whoever its entry names, and no engine
 * is kept for the next.
 */
#include "bits.h"
#include "firmware.h"
#include "io.h"

#define PRIORITIES (QUIRE_QUEUE_PRIORITY_URGENT + 1)
#define SHARED QUIRE_QUEUE_PRIORITY_URGENT	/* priorities below are shared */
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
/*
 * The step of the processor in progress: whether its time counts, and from when on.  That is the
 * end of the step before, where the processor has not slept since: the way to a step that does
 * little takes longer than the step.
 */
static bool step_counts, awake;
static uint32_t step_began;
static union queue_bits runnable[PRIORITIES];
static uint64_t joined[PRIORITIES];	/* bit per queue: all that there are */
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

/* Whether a queue of higher priority wants something, or did a moment ago. */
static bool is_below(const struct queue *q)
{
	for (uint32_t p = q->priority + 1; p < SHARED; p++) {
		if (runnable[p].bits)
			return true;
		for (uint64_t bits = joined[p]; bits; bits &= bits - 1) {
			const struct queue *other = &queues[lowest_queue(bits)];

			if (other->state == QUIRE_QUEUE_ACTIVE &&
			    (other->running ||
			     (int64_t)(q->busy_since - other->busy_since) < KEEP_MOST_NS))
				return true;
		}
	}
	return false;
}

static void settle_credit(const struct queue *q, int64_t ns)
{
	uint32_t priority = q->priority;

	for (uint32_t p = 0; p < priority; p++) {
		credit[p] += ns;
		if (credit[p] > PATIENCE * (int64_t)ADVANCE_NS)
			credit[p] = PATIENCE * (int64_t)ADVANCE_NS;
	}
	if (is_below(q))
		credit[priority] -= PATIENCE * ns;
}

static void reach(uint64_t *reached, uint64_t used)
{
	if (*reached < used)
		*reached = used;
}

/* Of an urgent queue.  Who had it done while nobody else wanted anything owes nothing. */
static void settle_urgent(uint32_t owner, uint32_t group, uint32_t ns)
{
	if (!owner)
		return;
	for (uint32_t p = 0; p < SHARED; p++) {
		struct sharers *o = &owners[p], *g = &groups[p];
		uint64_t his = runnable[p].bits & o->queues[owner];

		o->used[owner] += ns;
		g->used[group] += ns;
		if (runnable[p].bits == his)
			reach(&o->reached[0], o->used[owner]);
		if (!(his & ~g->queues[group]))
			reach(&g->reached[owner], g->used[group]);
	}
}

static __attribute__((noinline)) void settle_account(void)
{
	const struct queue *q = &queues[account_of];

	if (!account)
		return;
	if (q->priority == QUIRE_QUEUE_PRIORITY_URGENT) {
		settle_urgent(q->paying_owner, q->paying_group, account);
		account = 0;
		return;
	}
	owners[q->priority].used[q->owner] += account;
	groups[q->priority].used[q->group] += account;
	settle_credit(q, account);
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

void sched_forget_owner(uint32_t owner)
{
	settle_account();
	expected[owner] = 0;
	for (uint32_t p = 0; p < PRIORITIES; p++)
		owners[p].used[owner] = 0;
}

void sched_forget_group(uint32_t group)
{
	settle_account();
	for (uint32_t p = 0; p < PRIORITIES; p++)
		groups[p].used[group] = 0;
}

/* Who begins has saved nothing up, and owes what he did, whether he had stopped or was parked. */
static void begin_at(struct sharers *sharers, uint32_t sharer, uint64_t reached)
{
	if (sharers->used[sharer] < reached)
		sharers->used[sharer] = reached;
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
	joined[q->priority] &= ~bit;
	joined[priority] |= bit;
	owners[q->priority].queues[q->owner] &= ~bit;
	groups[q->priority].queues[q->group] &= ~bit;
	q->priority = priority;
	q->group = group;
	q->owner = owner;
	q->wanting = &runnable[priority].words[number / 32];
	if (!has_started(owners[priority].queues[owner]))
		begin_at(&owners[priority], owner, owners[priority].reached[0]);
	if (!has_started(groups[priority].queues[group]))
		begin_at(&groups[priority], group, groups[priority].reached[owner]);
	owners[priority].queues[owner] |= bit;
	groups[priority].queues[group] |= bit;
}

int64_t sched_debt(const struct queue *q, const struct queue *other)
{
	const struct sharers *o = &owners[q->priority], *g = &groups[q->priority];
	int64_t more;

	settle_account();
	if (other->priority != q->priority)
		return other->priority > q->priority ? -credit[q->priority] / PATIENCE : 0;
	if (other->owner != q->owner)
		more = (int64_t)(o->used[q->owner] - o->used[other->owner]);
	else
		more = (int64_t)(g->used[q->group] - g->used[other->group]);
	/* So much comes about in the ordinary course of things. */
	return more - 2 * (int64_t)ADVANCE_NS;
}

void sched_pays(struct queue *q, uint32_t whose)
{
	settle_account();
	q->paying_group = (uint8_t)(whose >> QUIRE_QUEUE_GROUP_SHIFT);
	q->paying_owner = (uint8_t)(whose >> QUIRE_QUEUE_OWNER_SHIFT);
}

void sched_charge(uint32_t number, uint32_t ns)
{
	if (number != account_of || account >> 31) {
		settle_account();
		account_of = number;
	}
	account += ns;
}

void sched_begin_step(const struct queue *q)
{
	/* While a band runs the time counts already. */
	step_counts = !q->running;
	if (!awake)
		step_began = (uint32_t)q->busy_since;
}

void sched_end_step(const struct queue *q)
{
	uint32_t now = (uint32_t)q->busy_since;

	if (step_counts)
		sched_charge(q->number, now - step_began);
	step_began = now;
}

uint32_t sched_charge_band(uint32_t number)
{
	uint32_t ns = expected[queues[number].owner];

	if (queues[number].priority == QUIRE_QUEUE_PRIORITY_URGENT)
		return 0;
	sched_charge(number, ns);
	return ns;
}

void sched_correct_band(uint32_t number, uint32_t charged, uint32_t ns)
{
	const struct queue *q = &queues[number];

	if (q->priority != QUIRE_QUEUE_PRIORITY_URGENT)
		expected[q->owner] = ns;
	if (ns >= charged) {
		sched_charge(number, ns - charged);
		return;
	}
	settle_account();
	charged -= ns;
	owners[q->priority].used[q->owner] -= charged;
	groups[q->priority].used[q->group] -= charged;
	settle_credit(q, -(int64_t)charged);
}

/* A queue is served: so far have its sharers come. */
static struct queue *begin_turn(struct queue *q)
{
	struct sharers *o = &owners[q->priority], *g = &groups[q->priority];

	settle_account();
	account_of = q->number;
	reach(&o->reached[0], o->used[q->owner]);
	reach(&g->reached[q->owner], g->used[q->group]);
	return q;
}

static __attribute__((noinline)) uint32_t whose_turn(uint32_t priority)
{
	uint64_t bits = runnable[priority].bits, after;
	uint32_t group;

	settle_account();
	bits &= owners[priority].queues[least_used(&owners[priority], bits, owner_of)];
	group = least_used(&groups[priority], bits, group_of);
	bits &= groups[priority].queues[group];
	after = bits & (~1ull << last[priority][group]);	/* queues of higher number */
	return lowest_queue(after ? after : bits);
}

/* The priority that is served when several queues want something. */
static __attribute__((noinline)) uint32_t pick_priority(void)
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

/* The queue is next, unless the engines that are idle are kept for others. */
static __attribute__((noinline)) struct queue *turn_to(struct queue *q)
{
	if (keep_some && keep_sole != q->number && !keep_allows(q))
		return NULL;
	passed_over[q->priority] = 0;
	last[q->priority][q->group] = (uint8_t)q->number;
	return account || q->number != account_of ? begin_turn(q) : q;
}

static __attribute__((noinline)) struct queue *share(void)
{
	awake = sched_shared;
	sched_shared = true;
	return turn_to(&queues[whose_turn(pick_priority())]);
}

/* Nothing is picked while all engines are busy: whoever is served may need one. */
struct queue *sched_pick(void)
{
	struct queue *q;

	if (!wanting || !band_idle)
		return NULL;
	/* Alone, as so often, nobody takes anything from others. */
	if (wanting > 1)
		return share();
	sched_shared = false;
	q = (struct queue *)(uintptr_t)wanting_sum;
	if (keep_some || account || q->number != account_of)
		return turn_to(q);
	passed_over[q->priority] = 0;
	return q;
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
