// SPDX-License-Identifier: MIT
/* Engine time is shared by owners, within an owner by groups, and not by queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
		cmocka_unit_test(owners_and_groups_out_of_range_are_refused),
	};

	return cmocka_run_group_tests_name("firmware shares", tests, NULL, NULL);
}
