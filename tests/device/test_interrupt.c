// SPDX-License-Identifier: MIT
/* Events and MSI-X: a message is a word that appears in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <linux/pci_regs.h>

#include "board.h"

static struct board *ready(void)
{
	struct board *board = board_start(1, "");

	card_boot(&board->cards[0].card);
	card_open_context(&board->cards[0].card, 0);
	return board;
}

static void run_empty_job(struct card *card, unsigned int queue)
{
	uint64_t sequence = card_push(card, queue, 0, 0);

	card_doorbell(card, queue);
	card_wait_record(card, queue, sequence);
}

static void each_queue_has_a_vector(void **state)
{
	static const unsigned int queues[] = { 0, 1, 30, 31, 32, 63 };
	struct board *board = ready();
	struct card *card = &board->cards[0].card;

	(void)state;
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		card_start_queue(card, queues[i], 0);
		run_empty_job(card, queues[i]);
		assert_true(board_wait_vector(board, 0, 1 + queues[i]));
		for (unsigned int v = 0; v < QUIRE_MSIX_VECTORS; v++)
			assert_int_equal(0, board_take_vector(board, 0, v));
	}
	board_stop(board);
}

static void a_job_asks_for_its_interrupt(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;
	struct quire_ring_entry entry = { .sequence = 1 };

	(void)state;
	card_start_queue(card, 0, 0);
	card->access.system_write(card->access.opaque, card_ring(card, 0) + sizeof(entry), &entry,
				  sizeof(entry));
	card_write(card, QUIRE_REG_DOORBELL(0), 1);
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(card, 0, 1).status);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(0, board_take_vector(board, 0, 1));
	/* but one that failed always raises it */
	entry = (struct quire_ring_entry){ .sequence = 2, .stream_address = 4, .stream_bytes = 8 };
	card->access.system_write(card->access.opaque, card_ring(card, 0) + 2 * sizeof(entry), &entry,
				  sizeof(entry));
	card_write(card, QUIRE_REG_DOORBELL(0), 2);
	assert_true(board_wait_vector(board, 0, 1));
	assert_int_equal(QUIRE_STATUS_BAD_STREAM, card_record(card, 0, 2).status);
	board_stop(board);
}

/* A record that is there when the doorbell returns needs no message; one that comes later does. */
static void a_late_job_interrupts_and_a_quick_one_does_not(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;
	struct quire_ring_entry entry = { .flags = QUIRE_RING_INTERRUPT | QUIRE_RING_LATE };
	unsigned int quick = 0;

	(void)state;
	card_start_queue(card, 0, 0);
	for (entry.sequence = 1; entry.sequence <= 8; entry.sequence++) {
		struct quire_fence_record record;
		bool there;

		card->access.system_write(card->access.opaque,
					  card_ring(card, 0) + entry.sequence * sizeof(entry), &entry,
					  sizeof(entry));
		card_write(card, QUIRE_REG_DOORBELL(0), (uint32_t)entry.sequence);
		record = card_record(card, 0, entry.sequence);
		there = record.sequence == entry.sequence;
		/* the processor's own thread may have been at it: then the message comes */
		if (!there)
			assert_true(board_wait_vector(board, 0, 1));
		quick += there && !board_take_vector(board, 0, 1);
	}
	assert_true(quick > 0);
	/* a processor that stood still finds the job when nobody waits any more */
	qtest_set_property(board->qtest, "card0", "inject-mcu-halt", 1);
	card->access.system_write(card->access.opaque, card_ring(card, 0) + 9 * sizeof(entry), &entry,
				  sizeof(entry));
	card_write(card, QUIRE_REG_DOORBELL(0), 9);
	qtest_set_property(board->qtest, "card0", "inject-mcu-halt", 0);
	assert_true(board_wait_vector(board, 0, 1));
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(card, 0, 9).status);
	board_stop(board);
}

static void a_masked_vector_waits(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;

	(void)state;
	card_start_queue(card, 4, 0);
	board_mask_vector(board, 0, 5, true);
	run_empty_job(card, 4);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(0, board_take_vector(board, 0, 5));
	assert_true(board_vector_pending(board, 0, 5));
	assert_false(board_vector_pending(board, 0, 4));
	board_mask_vector(board, 0, 5, false);
	assert_int_equal(1, board_take_vector(board, 0, 5));
	assert_false(board_vector_pending(board, 0, 5));
	board_stop(board);
}

static void the_mask_of_the_function_masks_all(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;
	uint32_t flags = board_capability(board, 0, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS;

	(void)state;
	card_start_queue(card, 0, 0);
	board_config_write(board, 0, flags, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	run_empty_job(card, 0);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(0, board_take_vector(board, 0, 1));
	assert_true(board_vector_pending(board, 0, 1));
	board_config_write(board, 0, flags, PCI_MSIX_FLAGS_ENABLE, 2);
	assert_int_equal(1, board_take_vector(board, 0, 1));
	board_stop(board);
}

static void events_are_cleared_by_writing_ones(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;

	(void)state;
	card_mailbox(card, QUIRE_MAILBOX_PING, 0);
	assert_int_equal(QUIRE_EVENT_BOOT | QUIRE_EVENT_MAILBOX,
			 card_read(card, QUIRE_REG_EVENT_STATUS));
	card_write(card, QUIRE_REG_EVENT_STATUS, QUIRE_EVENT_MAILBOX);
	assert_int_equal(QUIRE_EVENT_BOOT, card_read(card, QUIRE_REG_EVENT_STATUS));
	card_write(card, QUIRE_REG_EVENT_STATUS, 0);
	assert_int_equal(QUIRE_EVENT_BOOT, card_read(card, QUIRE_REG_EVENT_STATUS));
	card_write(card, QUIRE_REG_EVENT_STATUS, ~0u);
	assert_int_equal(0, card_read(card, QUIRE_REG_EVENT_STATUS));
	assert_int_equal(0, board_take_vector(board, 0, 0));
	board_stop(board);
}

static void vector_0_follows_status_and_enable(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;

	(void)state;
	/* not enabled */
	card_write(card, QUIRE_REG_EVENT_STATUS, ~0u);
	card_mailbox(card, QUIRE_MAILBOX_PING, 0);
	assert_int_equal(0, board_take_vector(board, 0, 0));
	/* enabling what is pending makes the bit become set */
	card_write(card, QUIRE_REG_EVENT_ENABLE, QUIRE_EVENT_BOOT);
	assert_int_equal(0, board_take_vector(board, 0, 0));
	card_write(card, QUIRE_REG_EVENT_ENABLE, QUIRE_EVENT_BOOT | QUIRE_EVENT_MAILBOX);
	assert_true(board_wait_vector(board, 0, 0));
	/* a bit that is set does not become set */
	card_mailbox(card, QUIRE_MAILBOX_PING, 0);
	assert_int_equal(0, board_take_vector(board, 0, 0));
	card_write(card, QUIRE_REG_EVENT_STATUS, QUIRE_EVENT_MAILBOX);
	card_mailbox(card, QUIRE_MAILBOX_PING, 0);
	assert_true(board_wait_vector(board, 0, 0));
	board_stop(board);
}

static void a_queue_fault_is_an_event(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;

	(void)state;
	card_start_queue(card, 2, 0);
	card_write(card, QUIRE_REG_EVENT_STATUS, ~0u);
	card_write(card, QUIRE_REG_EVENT_ENABLE, QUIRE_EVENT_QUEUE_FAULT);
	card_write(card, QUIRE_REG_DOORBELL(2), 1);	/* of an entry that is not there */
	card_wait(card, QUIRE_REG_EVENT_STATUS, QUIRE_EVENT_QUEUE_FAULT);
	assert_true(board_wait_vector(board, 0, 0));
	assert_true(board_wait_vector(board, 0, 3));
	board_stop(board);
}

static void lost_interrupts_do_not_lose_records(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;

	(void)state;
	card_start_queue(card, 0, 0);
	qtest_set_property(board->qtest, "card0", "inject-drop-interrupts", 2);
	run_empty_job(card, 0);
	run_empty_job(card, 0);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(0, board_take_vector(board, 0, 1));
	run_empty_job(card, 0);
	assert_true(board_wait_vector(board, 0, 1));
	board_stop(board);
}

/* A guest may point a message at anything, the card's own reset included. */
static void a_message_may_reset_its_sender(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;
	uint32_t express = board_capability(board, 0, PCI_CAP_ID_EXP);
	uint64_t entry = BOARD_MSIX(0) + PCI_MSIX_ENTRY_SIZE;

	(void)state;
	card_start_queue(card, 0, 0);
	qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_LOWER_ADDR,
		    0xb0000000u + (1 << 20) + express + PCI_EXP_DEVCTL, 4);
	qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_DATA, PCI_EXP_DEVCTL_BCR_FLR, 4);
	card_push(card, 0, 0, 0);
	card_doorbell(card, 0);
	assert_int_equal(1, card_record(card, 0, 1).sequence);
	assert_int_equal(0, board_config_read(board, 0, PCI_COMMAND, 2));
	board_plug(board, 0);
	assert_int_equal(QUIRE_BOOT_OFF, card_read(card, QUIRE_REG_BOOT_STATUS));
	card_boot(card);
	board_stop(board);
}

/* Whoever causes it: the access of a register, or the card's own threads. */
static void a_message_to_its_sender_goes_nowhere(void **state)
{
	struct board *board = ready();
	struct card *card = &board->cards[0].card;
	uint64_t entry = BOARD_MSIX(0) + PCI_MSIX_ENTRY_SIZE;
	struct quire_packet_gemm gemm;

	(void)state;
	card_open_context(card, 0);
	card_start_queue(card, 0, 0);
	card_write(card, QUIRE_REG_FW_BYTES, 64);
	qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_LOWER_ADDR,
		    BOARD_REGISTERS(0) + QUIRE_REG_FW_BYTES, 4);
	qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_DATA, 77, 4);
	card_push(card, 0, 0, 0);
	card_doorbell(card, 0);
	card_wait_record(card, 0, 1);
	assert_int_equal(64, card_read(card, QUIRE_REG_FW_BYTES));
	gemm = card_small_gemm(card);
	gemm.k = 0;
	gemm.m = gemm.n = gemm.d.leading_dimension = gemm.b.leading_dimension = 500;
	gemm.a.leading_dimension = 1;
	card_run(card, 0, 0, &gemm, sizeof(gemm));
	for (int i = 0; i < 100; i++)
		assert_int_equal(64, card_read(card, QUIRE_REG_FW_BYTES));
	board_stop(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_queue_has_a_vector),
		cmocka_unit_test(a_job_asks_for_its_interrupt),
		cmocka_unit_test(a_late_job_interrupts_and_a_quick_one_does_not),
		cmocka_unit_test(a_masked_vector_waits),
		cmocka_unit_test(the_mask_of_the_function_masks_all),
		cmocka_unit_test(events_are_cleared_by_writing_ones),
		cmocka_unit_test(vector_0_follows_status_and_enable),
		cmocka_unit_test(a_queue_fault_is_an_event),
		cmocka_unit_test(lost_interrupts_do_not_lose_records),
		cmocka_unit_test(a_message_may_reset_its_sender),
		cmocka_unit_test(a_message_to_its_sender_goes_nowhere),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
