// SPDX-License-Identifier: MIT
/* Flushes that drain: the numbers, the event, and what keeps them waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"

struct setting {
	struct board *board;
	struct card *card;
	struct quire_packet_gemm gemm;
};

static struct setting ready(void)
{
	struct setting s = { .board = board_start(1, "engines=2") };

	s.card = &s.board->cards[0].card;
	card_boot(s.card);
	for (unsigned int i = 0; i < 2; i++) {
		card_open_context(s.card, i);
		card_start_queue(s.card, i, i);
	}
	s.gemm = card_small_gemm(s.card);
	card_write(s.card, QUIRE_REG_EVENT_STATUS, ~0u);
	card_write(s.card, QUIRE_REG_EVENT_ENABLE, QUIRE_EVENT_DRAINED);
	return s;
}

static uint32_t flushed(struct setting *s, uint32_t context)
{
	return card_read(s->card, QUIRE_REG_FLUSHED(context));
}

static uint32_t drained(struct setting *s, uint32_t context)
{
	return card_read(s->card, QUIRE_REG_DRAINED(context));
}

static uint32_t take_event(struct setting *s)
{
	uint32_t events = card_read(s->card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_DRAINED;

	card_write(s->card, QUIRE_REG_EVENT_STATUS, events);
	return events;
}

/* The product on a queue, on an engine that hangs. */
static void hang(struct setting *s, unsigned int queue)
{
	qtest_set_property(s->board->qtest, "card0", "inject-engine-hang", 1);
	s->card->access.memory_write(s->card->access.opaque, CARD_DATA, &s->gemm, sizeof(s->gemm));
	card_push(s->card, queue, CARD_VIRTUAL, sizeof(s->gemm));
	card_doorbell(s->card, queue);
	card_wait(s->card, QUIRE_REG_QUEUE(queue) + QUIRE_QUEUE_JOB_BANDS, 1);
}

static void end_hang(struct setting *s)
{
	qtest_set_property(s->board->qtest, "card0", "inject-engine-hang", 0);
}

static void flushes_of_a_card_at_rest_drain_at_once(void **state)
{
	struct setting s = ready();
	uint32_t before[QUIRE_CONTEXTS];

	(void)state;
	for (uint32_t c = 0; c < QUIRE_CONTEXTS; c++) {
		before[c] = flushed(&s, c);
		assert_int_equal(before[c], drained(&s, c));
	}
	card_write(s.card, QUIRE_REG_TLB_FLUSH, 7);
	card_write(s.card, QUIRE_REG_TLB_FLUSH, QUIRE_TLB_FLUSH_ALL);
	card_write(s.card, QUIRE_REG_TLB_FLUSH, QUIRE_CONTEXTS);	/* no such context */
	for (uint32_t c = 0; c < QUIRE_CONTEXTS; c++) {
		assert_int_equal(before[c] + 1 + (c == 7), flushed(&s, c));
		assert_int_equal(flushed(&s, c), drained(&s, c));
	}
	/* they are read-only */
	card_write(s.card, QUIRE_REG_FLUSHED(3), 99);
	card_write(s.card, QUIRE_REG_DRAINED(3), 99);
	assert_int_equal(before[3] + 1, flushed(&s, 3));
	assert_int_equal(before[3] + 1, drained(&s, 3));
	assert_int_equal(0, take_event(&s));
	board_stop(s.board);
}

static void a_band_keeps_the_flushes_of_its_context_waiting(void **state)
{
	struct setting s = ready();
	uint32_t first, other;

	(void)state;
	hang(&s, 0);
	first = flushed(&s, 0);
	other = flushed(&s, 1);
	assert_int_equal(first, drained(&s, 0));
	card_write(s.card, QUIRE_REG_TLB_FLUSH, 0);
	card_write(s.card, QUIRE_REG_TLB_FLUSH, 1);
	card_write(s.card, QUIRE_REG_TLB_FLUSH, 0);
	assert_int_equal(first + 2, flushed(&s, 0));
	assert_int_equal(first, drained(&s, 0));
	assert_int_equal(other + 1, drained(&s, 1));
	/* jobs of others, and transfers of the same context that begin now, change nothing */
	card_push(s.card, 1, CARD_VIRTUAL, sizeof(s.gemm));
	card_doorbell(s.card, 1);
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(s.card, 1, 1).status);
	card_start_queue(s.card, 2, 0);
	card_push(s.card, 2, CARD_VIRTUAL, sizeof(s.gemm));
	card_doorbell(s.card, 2);
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(s.card, 2, 1).status);
	assert_int_equal(first, drained(&s, 0));
	assert_int_equal(0, take_event(&s));
	assert_int_equal(0, board_take_vector(s.board, 0, 0));
	end_hang(&s);
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(s.card, 0, 1).status);
	/* who sees the record sees the flush drained */
	assert_int_equal(first + 2, drained(&s, 0));
	assert_int_equal(QUIRE_EVENT_DRAINED, take_event(&s));
	assert_true(board_wait_vector(s.board, 0, 0));
	board_stop(s.board);
}

static void a_flush_of_all_counts_everywhere(void **state)
{
	struct setting s = ready();
	uint32_t first;

	(void)state;
	hang(&s, 0);
	first = flushed(&s, 0);
	card_write(s.card, QUIRE_REG_TLB_FLUSH, QUIRE_TLB_FLUSH_ALL);
	assert_int_equal(first, drained(&s, 0));
	assert_int_equal(flushed(&s, 1), drained(&s, 1));
	end_hang(&s);
	card_wait(s.card, QUIRE_REG_DRAINED(0), first + 1);
	assert_int_equal(QUIRE_EVENT_DRAINED, take_event(&s));
	board_stop(s.board);
}

static void without_a_flush_there_is_no_event(void **state)
{
	struct setting s = ready();

	(void)state;
	hang(&s, 0);
	card_write(s.card, QUIRE_REG_TLB_FLUSH, 1);
	end_hang(&s);
	card_wait_record(s.card, 0, 1);
	assert_int_equal(0, take_event(&s));
	board_stop(s.board);
}

static void a_stopped_card_has_drained(void **state)
{
	struct setting s = ready();
	uint32_t first;

	(void)state;
	hang(&s, 0);
	first = flushed(&s, 0);
	card_write(s.card, QUIRE_REG_TLB_FLUSH, 0);
	assert_int_equal(first, drained(&s, 0));
	card_write(s.card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_wait(s.card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
	assert_int_equal(first + 1, flushed(&s, 0));
	assert_int_equal(first + 1, drained(&s, 0));
	/* who stopped it may read which job was in progress, until it is started again */
	assert_int_equal(1, card_read(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB));
	assert_int_equal(0, card_read(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB_BANDS));
	card_boot(s.card);
	assert_int_equal(0, card_read(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB));
	assert_int_equal(0, card_read(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB_US));
	board_reset_function(s.board, 0);
	for (uint32_t c = 0; c < QUIRE_CONTEXTS; c++) {
		assert_int_equal(0, flushed(&s, c));
		assert_int_equal(0, drained(&s, c));
	}
	board_stop(s.board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flushes_of_a_card_at_rest_drain_at_once),
		cmocka_unit_test(a_band_keeps_the_flushes_of_its_context_waiting),
		cmocka_unit_test(a_flush_of_all_counts_everywhere),
		cmocka_unit_test(without_a_flush_there_is_no_event),
		cmocka_unit_test(a_stopped_card_has_drained),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("device drain", tests, NULL, NULL);
}
