// SPDX-License-Identifier: MIT
/* Engine time is shared by owners, within an owner by groups, and not by queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

#define MS 1000000ull

/* Queues of one ring each: owner, group, and the length of their bands. */
struct sharer {
	uint32_t owner, group;
	uint64_t band_ns;
};

static void start_at(struct card *card, unsigned int q, const struct sharer *sharer,
		     uint32_t priority)
{
	configure_queue(card, q, priority);
	card->queue[q][QUIRE_QUEUE_PRIORITY / 4] |= sharer->group << QUIRE_QUEUE_GROUP_SHIFT |
						    sharer->owner << QUIRE_QUEUE_OWNER_SHIFT;
	card->queue[q][QUIRE_QUEUE_CONTEXT / 4] = q;
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_START, q));
	card->sequence[q] = 0;
}

static void start(struct card *card, unsigned int q, const struct sharer *sharer)
{
	start_at(card, q, sharer, QUIRE_QUEUE_PRIORITY_NORMAL);
}

/* A packet of more bands than the test waits for. */
static void begin(struct card *card, unsigned int q)
{
	struct quire_packet_gemm p = gemm(1u << 20, 1024, 64, 1);

	submit(card, q, &p, sizeof(p));
	run(card);
}

/* Jobs of one band each. */
static void begin_jobs(struct card *card, unsigned int q, unsigned int count)
{
	struct quire_packet_gemm p = gemm(1, 1, 1, 1);

	while (count--)
		submit(card, q, &p, sizeof(p));
}

/* Let bands end for so long; what each queue had of the engines goes to @used. */
static void let_run(struct card *card, const struct sharer *sharers, uint64_t until,
		    uint64_t *used)
{
	unsigned int band[ENGINES] = { 0 };	/* number of the one that runs, from 1 */
	uint64_t ends[ENGINES] = { 0 };

	while (card->time < until) {
		unsigned int first = 0;

		for (unsigned int e = 0; e < ENGINES; e++) {
			unsigned int newest = card->bands;

			assert_int_not_equal(0, card->engine_band[e]);
			while (card->history[newest - 1].engine != e)
				newest--;
			if (newest != band[e]) {
				unsigned int q = card->history[newest - 1].band.context;

				band[e] = newest;
				ends[e] = card->time + sharers[q].band_ns;
				used[q] += sharers[q].band_ns;
			}
			if (ends[e] < ends[first])
				first = e;
		}
		if (card->time < ends[first])
			card->time = ends[first];
		end_band(card, first, QUIRE_STATUS_OK);
		run(card);
		if (card->bands > HISTORY - 8)
			return;
	}
}

static void an_owner_with_many_queues_gets_no_more_than_one_with_one(void **state)
{
	static const struct sharer sharers[] = {
		{ 5, 9, 5 * MS }, { 5, 9, 5 * MS }, { 5, 9, 5 * MS }, { 5, 9, 5 * MS },
		{ 5, 9, 5 * MS }, { 5, 9, 5 * MS }, { 2, 4, 3 * MS },
	};
	struct card *card = boot(VERSIONS);
	uint64_t used[8] = { 0 }, many = 0;

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 7; q++)
		start(card, q, &sharers[q]);
	for (unsigned int q = 0; q < 7; q++)
		begin(card, q);
	let_run(card, sharers, card->time + 2000 * MS, used);
	for (unsigned int q = 0; q < 6; q++) {
		many += used[q];
		/* in turn among themselves */
		assert_in_range(used[q], 250 * MS, 420 * MS);
	}
	assert_in_range(used[6], many * 8 / 10, many * 12 / 10);
	destroy(card);
}

static void groups_share_what_their_owner_has(void **state)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 4 * MS }, { 1, 2, 4 * MS }, { 1, 2, 4 * MS }, { 1, 2, 4 * MS }, { 3, 3, 4 * MS },
	};
	struct card *card = boot(VERSIONS);
	uint64_t used[8] = { 0 }, second;

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 5; q++)
		start(card, q, &sharers[q]);
	for (unsigned int q = 0; q < 5; q++)
		begin(card, q);
	let_run(card, sharers, card->time + 2000 * MS, used);
	second = used[1] + used[2] + used[3];
	assert_in_range(used[0], second * 8 / 10, second * 12 / 10);
	assert_in_range(used[4], (used[0] + second) * 8 / 10, (used[0] + second) * 12 / 10);
	destroy(card);
}

/* Who was away has saved nothing up, and who worked alone owes nothing. */
static void a_pause_is_no_claim(void **state)
{
	static const struct sharer sharers[] = { { 1, 1, 5 * MS }, { 2, 2, 5 * MS } };
	struct card *card = boot(VERSIONS);
	uint64_t used[8] = { 0 };

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 2; q++)
		start(card, q, &sharers[q]);
	begin(card, 0);
	let_run(card, sharers, card->time + 3000 * MS, used);
	assert_true(used[0] > 5000 * MS);
	begin(card, 1);
	used[0] = used[1] = 0;
	let_run(card, sharers, card->time + 400 * MS, used);
	assert_in_range(used[0], 320 * MS, 420 * MS);
	assert_in_range(used[1], 380 * MS, 480 * MS);
	destroy(card);
}

/* However long they are: what they take is paid for, in advance where it can be. */
static void long_bands_are_no_way_to_more_than_a_share(void **state)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 2000 * MS }, { 1, 1, 2000 * MS }, { 2, 2, 20 * MS },
	};
	struct card *card = boot(VERSIONS);
	uint64_t used[8] = { 0 }, others;

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 3; q++)
		start(card, q, &sharers[q]);
	/* After each of their bands they want something anew. */
	for (unsigned int q = 0; q < 2; q++)
		begin_jobs(card, q, 30);
	begin(card, 2);
	let_run(card, sharers, card->time + 40000 * MS, used);
	others = used[0] + used[1];
	assert_in_range(used[2], others * 8 / 10, others * 12 / 10);
	destroy(card);
}

/* What a low priority gets beside a higher one is a share of time, not of bands. */
static void long_bands_of_low_priority_stay_a_small_share(void **state)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 600 * MS }, { 1, 1, 600 * MS }, { 2, 2, 20 * MS }, { 3, 3, 20 * MS },
	};
	struct card *card = boot(VERSIONS);
	uint64_t used[8] = { 0 }, low, normal;

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 4; q--;)
		start_at(card, q, &sharers[q], q < 2 ? QUIRE_QUEUE_PRIORITY_LOW : QUIRE_QUEUE_PRIORITY_NORMAL);
	for (unsigned int q = 4; q--;)
		begin(card, q);
	let_run(card, sharers, card->time + 35000 * MS, used);
	low = used[0] + used[1];
	normal = used[2] + used[3];
	assert_in_range(low, normal / 25, normal / 10);
	destroy(card);
}

/* A queue with jobs of one band each: the next comes so long after the end of the one before. */
struct caller {
	uint64_t gap_ns;
	uint64_t next;			/* when it comes, 0: it is there */
};

static void engine_began(struct card *card, unsigned int e, unsigned int *band, uint64_t *ends,
			 const struct sharer *sharers, uint64_t *used)
{
	unsigned int newest = card->bands;

	while (newest && card->history[newest - 1].engine != e)
		newest--;
	if (!newest || newest == band[e])
		return;
	band[e] = newest;
	ends[e] = card->time + sharers[card->history[newest - 1].band.context].band_ns;
	used[card->history[newest - 1].band.context] +=
		sharers[card->history[newest - 1].band.context].band_ns;
}

/* Jobs and alarms come and bands end in the order of time. */
static void call(struct card *card, const struct sharer *sharers, struct caller *callers,
		 unsigned int count, uint64_t until, uint64_t *used)
{
	unsigned int band[ENGINES] = { 0 };
	uint64_t ends[ENGINES] = { 0 };

	while (card->time < until && card->bands < HISTORY - 8) {
		uint64_t soonest = card->alarm ? card->alarm : until;
		unsigned int engine = ENGINES, caller = count;

		for (unsigned int e = 0; e < ENGINES; e++) {
			engine_began(card, e, band, ends, sharers, used);
			if (card->engine_band[e] && ends[e] < soonest) {
				soonest = ends[e];
				engine = e;
			}
		}
		for (unsigned int q = 0; q < count; q++) {
			if (callers[q].next && callers[q].next < soonest) {
				soonest = callers[q].next;
				caller = q;
			}
		}
		if (card->time < soonest)
			card->time = soonest;
		if (caller < count) {
			callers[caller].next = 0;
			begin_jobs(card, caller, 1);
			run(card);
		} else if (engine < ENGINES) {
			unsigned int q = card->history[band[engine] - 1].band.context;

			callers[q].next = card->time + callers[q].gap_ns;
			end_band(card, engine, QUIRE_STATUS_OK);
			run(card);
		} else {
			alarm_goes_off(card);
		}
	}
}

/* What queue 0 got of the engine time that it would have alone, in a thousand. */
static unsigned int share_of_caller(const struct sharer *sharers, unsigned int count,
				    uint32_t priority, uint64_t *used)
{
	struct card *card = boot(VERSIONS);
	struct caller callers[4];
	uint64_t begun, cycle = sharers[0].band_ns + 2 * MS;

	card->engines_inline = false;
	for (unsigned int q = 0; q < count; q++) {
		start_at(card, q, &sharers[q], sharers[q].owner == 1 ? QUIRE_QUEUE_PRIORITY_NORMAL : priority);
		callers[q] = (struct caller){ sharers[q].owner == 1 ? 2 * MS : 10000, 1 };
	}
	begun = card->time;
	call(card, sharers, callers, count, begun + 30000 * MS, used);
	begun = (card->time - begun) * sharers[0].band_ns / cycle;
	destroy(card);
	return (unsigned int)(used[0] * 1000 / begun);
}

static void long_bands_of_low_priority_do_not_get_in_at_gaps(void **state)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 20 * MS }, { 2, 2, 1000 * MS }, { 2, 2, 1000 * MS }
	};
	uint64_t used[4] = { 0 };

	(void)state;
	assert_in_range(share_of_caller(sharers, 3, QUIRE_QUEUE_PRIORITY_LOW, used), 850, 1001);
}

static void low_priority_is_a_small_share_beside_gaps_on_all_engines(void **state)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 20 * MS }, { 1, 1, 20 * MS }, { 2, 2, 500 * MS }, { 2, 2, 500 * MS },
	};
	uint64_t used[4] = { 0 };

	(void)state;
	share_of_caller(sharers, 4, QUIRE_QUEUE_PRIORITY_LOW, used);
	assert_in_range(used[2] + used[3], (used[0] + used[1]) / 40, (used[0] + used[1]) / 8);
}

/* And the caller pays for the pauses in which an engine is kept for it. */
static void long_bands_of_a_user_get_no_more_than_a_share_at_gaps(void **state)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 20 * MS }, { 1, 1, 20 * MS }, { 2, 2, 700 * MS }, { 2, 2, 700 * MS },
	};
	uint64_t used[4] = { 0 };

	(void)state;
	share_of_caller(sharers, 4, QUIRE_QUEUE_PRIORITY_NORMAL, used);
	assert_in_range(used[2] + used[3], (used[0] + used[1]) * 8 / 10, (used[0] + used[1]) * 15 / 10);
}

/* Whoever is alone waits for nobody. */
static void engines_are_kept_for_nobody_who_has_gone(void **state)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 20 * MS }, { 2, 2, 1000 * MS }, { 2, 2, 1000 * MS }
	};
	struct card *card = boot(VERSIONS);
	struct caller callers[3] = { { 100000 * MS, 1 }, { 10000, 1 }, { 10000, 1 } };
	uint64_t used[4] = { 0 }, begun;

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 3; q++)
		start(card, q, &sharers[q]);
	begun = card->time;
	call(card, sharers, callers, 3, begun + 20000 * MS, used);
	assert_in_range(used[1] + used[2], 2 * 19900 * MS - 20 * MS, 2 * 21000 * MS);
	destroy(card);
}

/*
 * Engine time that an owner gets who has had both engines while another waited, and has then
 * stopped his queues and started them again under @whose.
 */
static uint64_t time_after_a_new_start(uint32_t whose)
{
	static const struct sharer sharers[] = {
		{ 1, 1, 1000 * MS }, { 1, 1, 1000 * MS }, { 2, 2, 10 * MS }
	};
	struct card *card = boot(VERSIONS);
	uint64_t used[8] = { 0 };

	card->engines_inline = false;
	for (unsigned int q = 0; q < 3; q++)
		start(card, q, &sharers[q]);
	for (unsigned int q = 0; q < 2; q++) {
		begin_jobs(card, q, 1);
		run(card);
	}
	begin(card, 2);
	let_run(card, sharers, card->time + 1001 * MS, used);
	for (unsigned int q = 0; q < 2; q++)
		assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, q));
	for (unsigned int q = 0; q < 2; q++) {
		configure_queue(card, q, QUIRE_QUEUE_PRIORITY_NORMAL);
		card->queue[q][QUIRE_QUEUE_PRIORITY / 4] |= whose | 1u << QUIRE_QUEUE_GROUP_SHIFT |
							    1u << QUIRE_QUEUE_OWNER_SHIFT;
		card->queue[q][QUIRE_QUEUE_CONTEXT / 4] = q;
		assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_START, q));
		card->sequence[q] = 0;
	}
	for (unsigned int q = 0; q < 2; q++)
		begin_jobs(card, q, 1);
	used[0] = used[1] = 0;
	let_run(card, sharers, card->time + 500 * MS, used);
	destroy(card);
	return used[0] + used[1];
}

static void stop_and_a_new_start_wash_no_debts(void **state)
{
	(void)state;
	assert_int_equal(0, time_after_a_new_start(0));
}

static void somebody_else_under_the_same_number_owes_nothing(void **state)
{
	(void)state;
	assert_in_range(time_after_a_new_start(QUIRE_QUEUE_OWNER_NEW | QUIRE_QUEUE_GROUP_NEW), 1000 * MS,
			2000 * MS);
}

/* Four queues of two owners, and an urgent one whose jobs come with pauses. */
static const struct sharer with_urgent[] = {
	{ 1, 1, 5 * MS }, { 1, 1, 5 * MS }, { 2, 2, 5 * MS }, { 2, 2, 5 * MS }, { 0, 0, 4 * MS },
};

static struct card *boot_with_urgent(uint32_t whose)
{
	struct card *card = boot(VERSIONS);

	card->engines_inline = false;
	for (unsigned int q = 0; q < 5; q++)
		start_at(card, q, &with_urgent[q],
			 q < 4 ? QUIRE_QUEUE_PRIORITY_NORMAL : QUIRE_QUEUE_PRIORITY_URGENT);
	card->whose[4] = whose;
	return card;
}

#define WHOSE(owner, group) \
	((owner) << QUIRE_QUEUE_OWNER_SHIFT | (group) << QUIRE_QUEUE_GROUP_SHIFT)

static void urgent_jobs_count_as_those_of_whom_they_are_for(void **state)
{
	struct card *card = boot_with_urgent(WHOSE(1, 1));
	struct caller callers[5] = {
		{ 10000, 1 }, { 10000, 1 }, { 10000, 1 }, { 10000, 1 }, { 6 * MS, 1 },
	};
	uint64_t used[8] = { 0 }, others;

	(void)state;
	call(card, with_urgent, callers, 5, card->time + 3000 * MS, used);
	assert_in_range(used[4], 700 * MS, 1300 * MS);
	others = used[2] + used[3];
	assert_in_range(used[0] + used[1] + used[4], others * 9 / 10, others * 11 / 10);
	destroy(card);
}

static void urgent_jobs_of_nobody_are_paid_for_by_nobody(void **state)
{
	struct card *card = boot_with_urgent(0);
	struct caller callers[5] = {
		{ 10000, 1 }, { 10000, 1 }, { 10000, 1 }, { 10000, 1 }, { 6 * MS, 1 },
	};
	uint64_t used[8] = { 0 }, others;

	(void)state;
	call(card, with_urgent, callers, 5, card->time + 3000 * MS, used);
	assert_in_range(used[4], 700 * MS, 1300 * MS);
	others = used[2] + used[3];
	assert_in_range(used[0] + used[1], others * 9 / 10, others * 11 / 10);
	destroy(card);
}

/* Those that were done while the card had nothing else to do are no debt. */
static void urgent_jobs_of_whom_is_alone_are_no_debt(void **state)
{
	struct card *card = boot_with_urgent(WHOSE(1, 1));
	struct caller callers[5] = {
		{ 1, 100000 * MS }, { 1, 100000 * MS }, { 1, 100000 * MS },
		{ 1, 100000 * MS }, { 10000, 1 },
	};
	uint64_t used[8] = { 0 }, others;

	(void)state;
	call(card, with_urgent, callers, 5, card->time + 2000 * MS, used);
	assert_true(used[4] > 1900 * MS);
	for (unsigned int q = 0; q < 5; q++)
		callers[q] = (struct caller){ 10000, q < 4 };
	callers[4].gap_ns = 100000 * MS;
	memset(used, 0, sizeof(used));
	call(card, with_urgent, callers, 5, card->time + 1000 * MS, used);
	others = used[2] + used[3];
	assert_in_range(used[0] + used[1], others * 8 / 10, others * 11 / 10);
	destroy(card);
}

/* No engine is kept idle for the next: a low priority has them between. */
static void no_engine_is_kept_for_urgent_jobs(void **state)
{
	static const struct sharer sharers[] = { { 1, 1, 4 * MS }, { 1, 1, 4 * MS }, { 0, 0, 4 * MS } };
	struct card *card = boot(VERSIONS);
	struct caller callers[3] = { { 10000, 1 }, { 10000, 1 }, { 8 * MS, 1 } };
	uint64_t used[4] = { 0 };

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 3; q++)
		start_at(card, q, &sharers[q],
			 q < 2 ? QUIRE_QUEUE_PRIORITY_LOW : QUIRE_QUEUE_PRIORITY_URGENT);
	card->whose[2] = WHOSE(1, 1);
	call(card, sharers, callers, 3, card->time + 2000 * MS, used);
	assert_in_range(used[0] + used[1] + used[2], 3900 * MS, 4100 * MS);
	destroy(card);
}

/* The way from one band to the next, which takes longer than a band of a few bytes. */
#define LOOK_NS 20000u
#define LONG_NS (5 * MS)

static unsigned int newest_band(const struct card *card, unsigned int engine)
{
	unsigned int newest = card->bands;

	while (card->history[newest - 1].engine != engine)
		newest--;
	return newest;
}

static struct {
	unsigned int band[ENGINES];	/* number of the one that runs, from 1 */
	uint64_t ends[ENGINES];
	uint64_t used;
} long_bands;

static void end_long_bands(struct card *card)
{
	for (unsigned int e = 0; e < ENGINES; e++) {
		if (!card->engine_band[e])
			continue;
		if (long_bands.band[e] != newest_band(card, e)) {
			long_bands.band[e] = newest_band(card, e);
			long_bands.ends[e] = card->time + LONG_NS;
		}
		if (long_bands.ends[e] <= card->time) {
			long_bands.used += LONG_NS;
			end_band(card, e, QUIRE_STATUS_OK);
		}
	}
}

static void look(struct card *card)
{
	card->time += LOOK_NS;
	end_long_bands(card);
}

static void very_many_short_bands_are_no_way_to_more_than_a_share(void **state)
{
	static const struct sharer sharers[] = { { 1, 1, LONG_NS }, { 2, 2, 0 } };
	struct quire_packet_fill fills[160];
	struct card *card = boot(VERSIONS);
	uint64_t begun;

	(void)state;
	for (unsigned int i = 0; i < 160; i++)
		fills[i] = (struct quire_packet_fill){
			.header = { QUIRE_PACKET_FILL, sizeof(fills[i]), 0, 0 },
			.destination = 0x100000000ull, .bytes = 8,
		};
	card->engines_inline = false;
	card->fills_inline = true;
	card->on_look = look;
	for (unsigned int q = 0; q < 2; q++)
		start(card, q, &sharers[q]);
	begun = card->time;
	begin(card, 0);
	for (unsigned int i = 0; i < 20; i++)
		submit(card, 1, fills, sizeof(fills));
	while (!record(card, 1, 20).sequence) {
		run(card);
		for (unsigned int e = 0; e < ENGINES; e++)
			if (card->engine_band[e] && card->time < long_bands.ends[e])
				card->time = long_bands.ends[e];
		end_long_bands(card);
	}
	begun = (card->time - begun) * ENGINES;
	assert_in_range(long_bands.used, begun * 4 / 10, begun * 6 / 10);
	destroy(card);
}

static void owners_and_groups_out_of_range_are_refused(void **state)
{
	struct card *card = boot(VERSIONS);

	(void)state;
	for (int shift = QUIRE_QUEUE_GROUP_SHIFT; shift < 32; shift += 8) {
		configure_queue(card, 0, 1);
		card->queue[0][QUIRE_QUEUE_PRIORITY / 4] |= 64u << shift;
		assert_int_equal(QUIRE_MAILBOX_BAD_CONFIG, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 0));
	}
	destroy(card);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_with_many_queues_gets_no_more_than_one_with_one),
		cmocka_unit_test(groups_share_what_their_owner_has),
		cmocka_unit_test(a_pause_is_no_claim),
		cmocka_unit_test(long_bands_are_no_way_to_more_than_a_share),
		cmocka_unit_test(long_bands_of_low_priority_stay_a_small_share),
		cmocka_unit_test(long_bands_of_low_priority_do_not_get_in_at_gaps),
		cmocka_unit_test(low_priority_is_a_small_share_beside_gaps_on_all_engines),
		cmocka_unit_test(long_bands_of_a_user_get_no_more_than_a_share_at_gaps),
		cmocka_unit_test(engines_are_kept_for_nobody_who_has_gone),
		cmocka_unit_test(stop_and_a_new_start_wash_no_debts),
		cmocka_unit_test(somebody_else_under_the_same_number_owes_nothing),
		cmocka_unit_test(urgent_jobs_count_as_those_of_whom_they_are_for),
		cmocka_unit_test(urgent_jobs_of_nobody_are_paid_for_by_nobody),
		cmocka_unit_test(urgent_jobs_of_whom_is_alone_are_no_debt),
		cmocka_unit_test(no_engine_is_kept_for_urgent_jobs),
		cmocka_unit_test(very_many_short_bands_are_no_way_to_more_than_a_share),
		cmocka_unit_test(owners_and_groups_out_of_range_are_refused),
	};

	return cmocka_run_group_tests_name("firmware shares", tests, NULL, NULL);
}
