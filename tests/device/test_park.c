// SPDX-License-Identifier: MIT
/* A queue parked in mid-job gives the result that it gives in one piece; what its job tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "board.h"

#define A 0x10000u	/* offsets of the operands in the data: 1024 x 2048 of INT8 */
#define B 0x210000u	/* 2048 x 512 */
#define D 0x310000u	/* 1024 x 512 of posit8 */
#define OUTCOME 0x3a0000u

struct setting {
	struct board *board;
	struct card *card;
};

static void fill(struct card *card, uint32_t place, uint64_t bytes, uint64_t pattern)
{
	const struct quire_packet_fill p = { { QUIRE_PACKET_FILL, sizeof(p), 0, 0 },
					     CARD_VIRTUAL + place, bytes, pattern, 0 };

	assert_int_equal(QUIRE_STATUS_OK, card_run(card, 0, 0, &p, sizeof(p)).status);
}

/* Four bands of 2^28 products. */
static struct quire_packet_gemm product(void)
{
	return (struct quire_packet_gemm){
		.header = { QUIRE_PACKET_GEMM, sizeof(struct quire_packet_gemm), 0, 0 },
		.m = 1024, .n = 512, .k = 2048, .batch = 1,
		.alpha = 0x3f800000,
		.a = { CARD_VIRTUAL + A, 0, QUIRE_FORMAT_INT8, 2048 },
		.b = { CARD_VIRTUAL + B, 0, QUIRE_FORMAT_INT8, 512 },
		.d = { CARD_VIRTUAL + D, 0, QUIRE_FORMAT_POSIT8, 512 },
	};
}

/* Contexts 0 and 1 have the same memory at the same addresses. */
static struct setting ready(void)
{
	struct setting s = { .board = board_start(1, "engines=2") };

	s.card = &s.board->cards[0].card;
	card_boot(s.card);
	card_open_context(s.card, 0);
	card_open_context(s.card, 1);
	card_start_queue(s.card, 0, 0);
	for (uint32_t part = 0; part < 8; part++) {
		fill(s.card, A + 0x40000 * part, 0x40000, 0x0102fffe03fd0400ull * (part + 1));
		fill(s.card, B + 0x20000 * part, 0x20000, 0x010000ff00fe0201ull * (2 * part + 1));
	}
	fill(s.card, D, 0x80000, 0);
	return s;
}

static void hang(struct setting *s, uint32_t engines)
{
	qtest_set_property(s->board->qtest, "card0", "inject-engine-hang", engines);
}

static uint32_t reg(struct setting *s, unsigned int queue, uint32_t field)
{
	return card_read(s->card, QUIRE_REG_QUEUE(queue) + field);
}

static void submit(struct setting *s, unsigned int queue)
{
	const struct quire_packet_gemm p[2] = { product(), product() };
	const struct quire_ring_entry entry = {
		.sequence = ++s->card->sequence[queue],
		.stream_address = CARD_VIRTUAL,
		.stream_bytes = sizeof(p),
		.flags = QUIRE_RING_INTERRUPT,
		.outcome = CARD_VIRTUAL + OUTCOME,
		.number = 77,
	};
	uint64_t slot = entry.sequence % CARD_ENTRIES;

	s->card->access.memory_write(s->card->access.opaque, CARD_DATA, p, sizeof(p));
	s->card->access.system_write(s->card->access.opaque,
				     card_ring(s->card, queue) + slot * sizeof(entry), &entry,
				     sizeof(entry));
	card_doorbell(s->card, queue);
}

static void check_outcome(struct setting *s, const struct quire_fence_record *r)
{
	struct quire_job_outcome o;

	s->card->access.memory_read(s->card->access.opaque, CARD_DATA + OUTCOME, &o, sizeof(o));
	assert_int_equal(77, o.number);
	assert_int_equal(QUIRE_STATUS_OK, o.status);
	assert_int_equal(r->macs, o.macs);
	assert_int_equal(r->digest, o.digest);
	assert_int_equal(r->busy_ns, o.busy_ns);
	assert_int_equal(r->started, o.started);
	assert_int_equal(r->ended, o.ended);
	assert_true(r->started <= r->ended && r->busy_ns <= r->ended - r->started);
}

static void sleep_ms(long ms)
{
	const struct timespec pause = { 0, ms * 1000000 };

	nanosleep(&pause, NULL);
}

static void a_job_parked_half_way_gives_the_same(void **state)
{
	struct setting s = ready();
	struct quire_fence_record whole, pieces;
	uint64_t sequence;
	unsigned int q = 0;

	(void)state;
	submit(&s, 0);
	sequence = s.card->sequence[0];
	whole = card_wait_record(s.card, 0, sequence);
	assert_int_equal(QUIRE_STATUS_OK, whole.status);
	assert_int_equal(2ull << 30, whole.macs);
	check_outcome(&s, &whole);

	hang(&s, 3);
	submit(&s, 0);
	sequence++;
	for (unsigned int next = 1; next < 4; next++) {
		uint32_t at = QUIRE_REG_QUEUE(next);

		card_wait(s.card, QUIRE_REG_QUEUE(q) + QUIRE_QUEUE_JOB_BANDS, 2);
		assert_int_equal(sequence, reg(&s, q, QUIRE_QUEUE_JOB));
		card_write(s.card, QUIRE_REG_EVENT_STATUS, ~0u);
		assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_PARK, q));
		assert_int_equal(QUIRE_QUEUE_ACTIVE, reg(&s, q, QUIRE_QUEUE_STATE));
		hang(&s, 0);
		card_wait(s.card, QUIRE_REG_QUEUE(q) + QUIRE_QUEUE_STATE, QUIRE_QUEUE_PARKED);
		assert_true(card_read(s.card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_QUEUE_PARKED);
		assert_true(card_record(s.card, q, sequence).sequence < sequence);
		hang(&s, 3);
		/* go on with another ring, in the other context */
		card_configure_queue(s.card, next, next & 1, QUIRE_QUEUE_PRIORITY_NORMAL);
		card_write(s.card, at + QUIRE_QUEUE_SAVE_LO, (uint32_t)card_save(s.card, 0));
		card_write(s.card, at + QUIRE_QUEUE_RESUME, 1);
		assert_int_equal(QUIRE_MAILBOX_OK,
				 card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_START, next));
		q = next;
	}
	hang(&s, 0);
	pieces = card_wait_record(s.card, q, sequence);
	assert_int_equal(QUIRE_STATUS_OK, pieces.status);
	assert_int_equal(whole.digest, pieces.digest);
	assert_int_equal(whole.macs, pieces.macs);
	assert_int_equal(whole.cycles, pieces.cycles);
	check_outcome(&s, &pieces);
	/* the rings it left are free */
	card_start_queue(s.card, 0, 0);
	submit(&s, 0);
	assert_int_equal(whole.digest, card_wait_record(s.card, 0, 1).digest);
	board_stop(s.board);
}

/* The page outlives the firmware. */
static void another_firmware_goes_on_with_it(void **state)
{
	struct setting s = ready();
	struct quire_fence_record whole, pieces;
	uint64_t sequence;

	(void)state;
	submit(&s, 0);
	whole = card_wait_record(s.card, 0, s.card->sequence[0]);
	hang(&s, 3);
	submit(&s, 0);
	sequence = s.card->sequence[0];
	card_wait(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB_BANDS, 2);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_PARK, 0));
	hang(&s, 0);
	card_wait(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_STATE, QUIRE_QUEUE_PARKED);
	card_write(s.card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_wait(s.card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
	/* who has not heard of it yet can still see it */
	assert_int_equal(QUIRE_QUEUE_PARKED, reg(&s, 0, QUIRE_QUEUE_STATE));
	assert_int_equal(sequence - 1, reg(&s, 0, QUIRE_QUEUE_COMPLETED));
	assert_int_equal(QUIRE_BOOT_READY, card_start(s.card));
	card_write(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_RESUME, 1);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_START, 0));
	pieces = card_wait_record(s.card, 0, sequence);
	assert_int_equal(QUIRE_STATUS_OK, pieces.status);
	assert_int_equal(whole.digest, pieces.digest);
	board_stop(s.board);
}

static void a_job_in_progress_shows_its_time(void **state)
{
	struct setting s = ready();
	uint32_t first, stepped = 3000000;

	(void)state;
	assert_int_equal(0, reg(&s, 0, QUIRE_QUEUE_JOB));
	hang(&s, 3);
	submit(&s, 0);
	card_wait(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB_BANDS, 2);
	assert_int_equal((uint32_t)s.card->sequence[0], reg(&s, 0, QUIRE_QUEUE_JOB));
	/* the board's clock, and the firmware's alarm on it, stand still unless the test moves it on */
	qtest_clock_step(s.board->qtest, 3000000000ull);
	for (int i = 0; i < 1000 && reg(&s, 0, QUIRE_QUEUE_JOB_US) < 3000000; i++) {
		qtest_clock_step(s.board->qtest, 60000000);
		stepped += 60000;
		sleep_ms(5);
	}
	first = reg(&s, 0, QUIRE_QUEUE_JOB_US);
	assert_in_range(first, 3000000, stepped);
	hang(&s, 0);
	card_wait(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB, 0);
	assert_int_equal(0, reg(&s, 0, QUIRE_QUEUE_JOB_BANDS));
	assert_true(card_wait_record(s.card, 0, s.card->sequence[0]).busy_ns >= 3000000000ull);
	board_stop(s.board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_parked_half_way_gives_the_same),
		cmocka_unit_test(another_firmware_goes_on_with_it),
		cmocka_unit_test(a_job_in_progress_shows_its_time),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("device park", tests, NULL, NULL);
}
