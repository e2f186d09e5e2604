// SPDX-License-Identifier: MIT
/* Mailbox, queues, rings, doorbells and fence records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"

/* A card that is booted, with context 0 open. */
static struct board *ready(unsigned int cards)
{
	struct board *board = board_start(cards, "");

	for (unsigned int slot = 0; slot < cards; slot++) {
		card_boot(&board->cards[slot].card);
		card_open_context(&board->cards[slot].card, 0);
	}
	return board;
}

static uint32_t queue_state(struct card *card, unsigned int queue)
{
	return card_read(card, QUIRE_REG_QUEUE(queue) + QUIRE_QUEUE_STATE);
}

static void mailbox_answers_each_command(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;

	(void)state;
	card_write(card, QUIRE_REG_EVENT_STATUS, ~0u);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_true(card_read(card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_MAILBOX);
	assert_int_equal(QUIRE_MAILBOX_BAD_COMMAND, card_mailbox(card, 77, 0));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, card_mailbox(card, QUIRE_MAILBOX_QUEUE_START, 64));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE,
			 card_mailbox(card, QUIRE_MAILBOX_QUEUE_START, 0xffffffff));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, card_mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 3));
	board_stop(board);
}

static void each_wrong_configuration_is_refused(void **state)
{
	static const struct { uint32_t offset, value; } wrong[] = {
		{ QUIRE_QUEUE_RING_LO, 0x1000040 },   { QUIRE_QUEUE_RECORD_LO, 0x1001008 },
		{ QUIRE_QUEUE_ENTRIES_LOG2, 3 },      { QUIRE_QUEUE_ENTRIES_LOG2, 13 },
		{ QUIRE_QUEUE_ENTRIES_LOG2, 32 },     { QUIRE_QUEUE_CONTEXT, 32 },
		{ QUIRE_QUEUE_CONTEXT, 0xffffffff },  { QUIRE_QUEUE_PRIORITY, 4 },
		{ QUIRE_QUEUE_PRIORITY, 0x10000001 },
	};
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		card_configure_queue(card, 1, 0, QUIRE_QUEUE_PRIORITY_LOW);
		card_write(card, QUIRE_REG_QUEUE(1) + wrong[i].offset, wrong[i].value);
		assert_int_equal(QUIRE_MAILBOX_BAD_CONFIG,
				 card_mailbox(card, QUIRE_MAILBOX_QUEUE_START, 1));
		assert_int_equal(QUIRE_QUEUE_OFF, queue_state(card, 1));
	}
	/* what belongs to the card cannot be written */
	card_write(card, QUIRE_REG_QUEUE(1) + QUIRE_QUEUE_STATE, QUIRE_QUEUE_ACTIVE);
	card_write(card, QUIRE_REG_QUEUE(1) + QUIRE_QUEUE_COMPLETED, 9);
	card_write(card, QUIRE_REG_QUEUE(1) + QUIRE_QUEUE_TAIL, 9);
	assert_int_equal(QUIRE_QUEUE_OFF, queue_state(card, 1));
	assert_int_equal(0, card_read(card, QUIRE_REG_QUEUE(1) + QUIRE_QUEUE_COMPLETED));
	assert_int_equal(0, card_read(card, QUIRE_REG_QUEUE(1) + QUIRE_QUEUE_TAIL));
	card_start_queue(card, 1, 0);
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, card_mailbox(card, QUIRE_MAILBOX_QUEUE_START, 1));
	board_stop(board);
}

static void a_product_comes_out_right(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;
	struct quire_fence_record record;
	struct quire_packet_result result;
	struct quire_packet_gemm gemm;

	(void)state;
	card_start_queue(card, 0, 0);
	gemm = card_small_gemm(card);
	gemm.header.result = CARD_VIRTUAL + 0x4000;
	record = card_run(card, 0, 0, &gemm, sizeof(gemm));
	card_check_small_gemm(card, &record);
	assert_int_equal(1, record.sequence);
	assert_int_equal(1, card_read(card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_COMPLETED));
	assert_int_equal(1, card_read(card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_TAIL));
	card->access.memory_read(card->access.opaque, CARD_DATA + 0x4000, &result, sizeof(result));
	assert_true(record.digest == result.digest);
	assert_int_equal(8, result.macs);
	assert_int_equal(32, result.bytes_read);
	assert_int_equal(16, result.bytes_written);
	assert_int_equal(0, result.exceptional);
	/* 48 bytes of card memory at 40 pJ, 8 products at 2.7 pJ */
	assert_int_equal(48 * 40 + 21, result.modelled_pj);
	assert_true(record.modelled_pj == result.modelled_pj && record.cycles == result.cycles);
	board_stop(board);
}

static void operands_may_lie_in_system_memory(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;
	const uint64_t bus = card->system + 0x800000;
	struct quire_fence_record record;
	struct quire_packet_gemm gemm;
	static const float b[4] = { 5, 6, 7, 8 };

	(void)state;
	card_start_queue(card, 0, 0);
	gemm = card_small_gemm(card);
	card_map(card, 0, 0x7fff00000000ull, bus | QUIRE_PTE_SYSTEM | QUIRE_PTE_READ);
	card->access.system_write(card->access.opaque, bus + 0x20, b, sizeof(b));
	gemm.b.address = 0x7fff00000020ull;
	record = card_run(card, 0, 0, &gemm, sizeof(gemm));
	card_check_small_gemm(card, &record);
	assert_int_equal(16, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_BYTES_SYSTEM)));
	assert_int_equal(32, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_BYTES_CARD)));
	board_stop(board);
}

static void copy_fill_and_convert_do_their_work(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;
	struct {
		struct quire_packet_fill fill;
		struct quire_packet_copy copy;
		struct quire_packet_convert convert;
	} packets = {
		{ { QUIRE_PACKET_FILL, sizeof(struct quire_packet_fill), 0, 0 },
		  CARD_VIRTUAL + 0x10000, 0x20000, 0x4000000040000000ull, 0 },	/* 2.0f */
		{ { QUIRE_PACKET_COPY, sizeof(struct quire_packet_copy), 0, 0 },
		  CARD_VIRTUAL + 0x10001, CARD_VIRTUAL + 0x80003, 3, 0x1000, 7, 5, 0 },
		{ { QUIRE_PACKET_CONVERT, sizeof(struct quire_packet_convert), 0, 0 }, 2, 3, 0,
		  { CARD_VIRTUAL + 0x10000, 0, QUIRE_FORMAT_FP32, 8 },
		  { CARD_VIRTUAL + 0x90000, 0, QUIRE_FORMAT_POSIT8, 3 } },
	};
	struct quire_fence_record record;
	uint8_t bytes[40] = { 0 };

	(void)state;
	card_start_queue(card, 0, 0);
	card->access.memory_write(card->access.opaque, CARD_DATA + 0x80000, bytes, sizeof(bytes));
	record = card_run(card, 0, 0, &packets, sizeof(packets));
	assert_int_equal(QUIRE_STATUS_OK, record.status);
	card->access.memory_read(card->access.opaque, CARD_DATA + 0x80000, bytes, sizeof(bytes));
	/* five rows of 3 bytes, 00 00 40 of the second float, 7 bytes apart */
	for (int i = 0; i < 40; i++)
		assert_int_equal(i >= 5 && i < 38 && (i - 5) % 7 == 0 ? 0x40 : 0, bytes[i]);
	/* 2.0 in posit<8>: sign 0, regime 10, exponent 01, fraction 000 */
	card->access.memory_read(card->access.opaque, CARD_DATA + 0x90000, bytes, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(0x48, bytes[i]);
	board_stop(board);
}

static void many_jobs_wrap_the_ring(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;

	(void)state;
	card_start_queue(card, 5, 0);
	for (uint64_t first = 1; first <= 4 * CARD_ENTRIES; first += CARD_ENTRIES) {
		/* a full ring behind one doorbell */
		for (uint32_t i = 0; i < CARD_ENTRIES; i++)
			card_push(card, 5, 0, 0);
		card_doorbell(card, 5);
		card_wait_record(card, 5, first + CARD_ENTRIES - 1);
		for (uint64_t s = first; s < first + CARD_ENTRIES; s++) {
			assert_int_equal(s, card_record(card, 5, s).sequence);
			assert_int_equal(QUIRE_STATUS_OK, card_record(card, 5, s).status);
		}
	}
	/* and one by one, at no multiple of anything */
	for (uint64_t s = 4 * CARD_ENTRIES + 1; s <= 4 * CARD_ENTRIES + 21; s++) {
		card_push(card, 5, 0, 0);
		card_doorbell(card, 5);
		card_wait_record(card, 5, s);
	}
	assert_int_equal(4 * CARD_ENTRIES + 21,
			 card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_JOBS)));
	board_stop(board);
}

/* Start queue 0, write one entry as it is, ring; the record of job 1. */
static struct quire_fence_record submit_entry(struct card *card,
					      const struct quire_ring_entry *entry)
{
	struct quire_fence_record record;

	card_start_queue(card, 0, 0);
	card->access.system_write(card->access.opaque, card_ring(card, 0) + sizeof(*entry), entry,
				  sizeof(*entry));
	card_write(card, QUIRE_REG_DOORBELL(0), 1);
	record = card_wait_record(card, 0, 1);
	assert_int_equal(QUIRE_QUEUE_FAULTED, queue_state(card, 0));
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	return record;
}

static void wrong_ring_entries_are_refused(void **state)
{
	static const struct { struct quire_ring_entry entry; uint32_t status; } cases[] = {
		{ { .sequence = 2 }, QUIRE_STATUS_FIRMWARE },
		{ { .sequence = 1ull << 32 | 1 }, QUIRE_STATUS_FIRMWARE },
		{ { .sequence = 1, .flags = 4 }, QUIRE_STATUS_FIRMWARE },
		{ { .sequence = 1, .reserved = { 0, 1 } }, QUIRE_STATUS_FIRMWARE },
		{ { .sequence = 1, .stream_address = CARD_VIRTUAL + 4, .stream_bytes = 16 },
		  QUIRE_STATUS_BAD_STREAM },
		{ { .sequence = 1, .stream_address = CARD_VIRTUAL, .stream_bytes = 20 },
		  QUIRE_STATUS_BAD_STREAM },
		{ { .sequence = 1, .stream_address = CARD_VIRTUAL,
		    .stream_bytes = QUIRE_STREAM_MAX_BYTES + 8 }, QUIRE_STATUS_BAD_STREAM },
		{ { .sequence = 1, .stream_address = (1ull << 48) - 8, .stream_bytes = 16 },
		  QUIRE_STATUS_BAD_STREAM },
		{ { .sequence = 1, .stream_address = ~7ull, .stream_bytes = 16 },
		  QUIRE_STATUS_BAD_STREAM },
	};
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(cases[i].status, submit_entry(card, &cases[i].entry).status);
	assert_int_equal(sizeof(cases) / sizeof(cases[0]),
			 card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_ERRORS)));
	board_stop(board);
}

static void a_doorbell_too_far_ahead_faults_the_queue(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;

	(void)state;
	card_start_queue(card, 0, 0);
	card_write(card, QUIRE_REG_DOORBELL(0), CARD_ENTRIES + 1);
	assert_int_equal(QUIRE_STATUS_FIRMWARE, card_wait_record(card, 0, 1).status);
	board_stop(board);
}

static void a_doorbell_of_no_queue_does_nothing(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;

	(void)state;
	card_configure_queue(card, 4, 0, 1);
	card_write(card, QUIRE_REG_DOORBELL(4), 1);
	/* not at the start of its page, and behind the last page */
	card_start_queue(card, 0, 0);
	card_push(card, 0, 0, 0);
	card_write(card, QUIRE_REG_DOORBELL(0) + 8, 1);
	card_write(card, QUIRE_REG_DOORBELL(QUIRE_QUEUES), 1);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(0, card_record(card, 0, 1).sequence);
	assert_int_equal(QUIRE_QUEUE_OFF, queue_state(card, 4));
	/* nor is it remembered when the queue starts */
	card_start_queue(card, 4, 0);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(QUIRE_QUEUE_ACTIVE, queue_state(card, 4));
	card_doorbell(card, 0);
	card_wait_record(card, 0, 1);
	board_stop(board);
}

static void a_bad_packet_is_named(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;
	struct quire_packet_gemm gemm[2];
	struct quire_fence_record record;

	(void)state;
	card_start_queue(card, 0, 0);
	gemm[0] = card_small_gemm(card);
	gemm[1] = gemm[0];
	gemm[1].d.leading_dimension = 1;
	record = card_run(card, 0, 0, gemm, sizeof(gemm));
	assert_int_equal(QUIRE_STATUS_BAD_PACKET, record.status);
	assert_int_equal(sizeof(gemm[0]), record.packet);
	assert_int_equal(offsetof(struct quire_packet_gemm, d.leading_dimension), record.detail);
	assert_int_equal(QUIRE_QUEUE_FAULTED, queue_state(card, 0));
	assert_true(card_read(card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_QUEUE_FAULT);
	board_stop(board);
}

static void a_faulted_queue_leaves_others_alone(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;
	static const uint64_t rubbish[4] = { ~0ull, ~0ull, ~0ull, ~0ull };
	struct quire_fence_record record;
	struct quire_packet_gemm gemm;

	(void)state;
	card_open_context(card, 1);
	card_start_queue(card, 0, 0);
	card_start_queue(card, 63, 1);
	record = card_run(card, 0, 0x8000, rubbish, sizeof(rubbish));
	assert_int_equal(QUIRE_STATUS_BAD_PACKET, record.status);
	/* later jobs of the faulted queue do not run; the other's do */
	card_push(card, 0, 0, 0);
	card_doorbell(card, 0);
	gemm = card_small_gemm(card);
	record = card_run(card, 63, 0, &gemm, sizeof(gemm));
	card_check_small_gemm(card, &record);
	assert_int_equal(0, card_record(card, 0, 2).sequence);
	/* stop and start make the queue new */
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	card_start_queue(card, 0, 0);
	record = card_run(card, 0, 0, &gemm, sizeof(gemm));
	card_check_small_gemm(card, &record);
	board_stop(board);
}

static void counters_count(void **state)
{
	struct board *board = ready(1);
	struct card *card = &board->cards[0].card;
	struct quire_packet_gemm gemm;

	(void)state;
	card_start_queue(card, 0, 0);
	gemm = card_small_gemm(card);
	card_run(card, 0, 0, &gemm, sizeof(gemm));
	assert_int_equal(1, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_JOBS)));
	assert_int_equal(1, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_PACKETS)));
	assert_int_equal(8, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_MACS_FP32)));
	assert_int_equal(0, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_MACS_BF16)));
	assert_int_equal(48, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_BYTES_CARD)));
	assert_int_equal(48 * 40 + 21, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_MODELLED_PJ)));
	assert_int_equal(0, card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_ERRORS)));
	assert_true(card_read64(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_INSTRUCTIONS)) > 100);
	assert_int_equal(35000, card_read(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_TEMPERATURE)));
	board_stop(board);
}

static void two_cards_are_independent(void **state)
{
	struct board *board = ready(2);
	struct card *first = &board->cards[0].card, *second = &board->cards[1].card;
	struct quire_fence_record record;
	struct quire_packet_gemm gemm;

	(void)state;
	card_start_queue(first, 0, 0);
	card_start_queue(second, 0, 0);
	gemm = card_small_gemm(first);
	card_small_gemm(second);
	qtest_set_property(board->qtest, "card0", "inject-engine-hang", 0xffff);
	first->access.memory_write(first->access.opaque, CARD_DATA, &gemm, sizeof(gemm));
	card_push(first, 0, CARD_VIRTUAL, sizeof(gemm));
	card_doorbell(first, 0);
	record = card_run(second, 0, 0, &gemm, sizeof(gemm));
	card_check_small_gemm(second, &record);
	assert_int_equal(0, card_record(first, 0, 1).sequence);
	assert_true(board_take_vector(board, 1, 1));
	assert_false(board_take_vector(board, 0, 1));
	/* a reset of one does not touch the other */
	board_reset_function(board, 0);
	assert_int_equal(QUIRE_BOOT_OFF, card_read(first, QUIRE_REG_BOOT_STATUS));
	assert_int_equal(QUIRE_BOOT_READY, card_read(second, QUIRE_REG_BOOT_STATUS));
	card_small_gemm(second);
	record = card_run(second, 0, 0, &gemm, sizeof(gemm));
	card_check_small_gemm(second, &record);
	board_stop(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailbox_answers_each_command),
		cmocka_unit_test(each_wrong_configuration_is_refused),
		cmocka_unit_test(a_product_comes_out_right),
		cmocka_unit_test(operands_may_lie_in_system_memory),
		cmocka_unit_test(copy_fill_and_convert_do_their_work),
		cmocka_unit_test(many_jobs_wrap_the_ring),
		cmocka_unit_test(wrong_ring_entries_are_refused),
		cmocka_unit_test(a_doorbell_too_far_ahead_faults_the_queue),
		cmocka_unit_test(a_doorbell_of_no_queue_does_nothing),
		cmocka_unit_test(a_bad_packet_is_named),
		cmocka_unit_test(a_faulted_queue_leaves_others_alone),
		cmocka_unit_test(counters_count),
		cmocka_unit_test(two_cards_are_independent),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
