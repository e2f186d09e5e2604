// SPDX-License-Identifier: MIT
/* The firmware's log as the driver reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"

static struct board *ready(struct card **card)
{
	struct board *board = board_start(1, "");

	*card = &board->cards[0].card;
	card_boot(*card);
	return board;
}

/* All of the log that there is; its length. */
static uint32_t read_log(struct card *card, char text[QUIRE_LOG_BYTES + 1])
{
	uint32_t written = card_read(card, QUIRE_REG_LOG_WRITTEN);
	uint32_t first = written > QUIRE_LOG_BYTES ? written - QUIRE_LOG_BYTES : 0;

	for (uint32_t i = first; i < written; i++)
		text[i - first] = (char)(card_read(card, QUIRE_REG_LOG(i % QUIRE_LOG_BYTES / 4)) >>
					 8 * (i % 4));
	text[written - first] = '\0';
	return written;
}

static void a_boot_and_a_crash_are_told(void **state)
{
	char text[QUIRE_LOG_BYTES + 1], expected[120];
	struct card *card;
	struct board *board = ready(&card);
	uint32_t length = read_log(card, text);

	(void)state;
	assert_string_equal("quire firmware 2.0.0 ready: interface 2 engines 2\n", text);
	qtest_set_property(board->qtest, "card0", "inject-crash-firmware", 1);
	card_wait(card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_CRASHED);
	read_log(card, text);
	snprintf(expected, sizeof(expected), "panic: pc 0x%x cause 0x%x value 0x%x\n",
		 card_read(card, QUIRE_REG_PANIC_PC), card_read(card, QUIRE_REG_PANIC_CAUSE),
		 card_read(card, QUIRE_REG_PANIC_VALUE));
	assert_string_equal(expected, text + length);
	/* a boot keeps it, a reset of the function does not */
	length = read_log(card, text);
	card_boot(card);
	read_log(card, text);
	assert_string_equal("quire firmware 2.0.0 ready: interface 2 engines 2\n", text + length);
	board_reset_function(board, 0);
	assert_int_equal(0, read_log(card, text));
	for (uint32_t i = 0; i < QUIRE_LOG_BYTES / 4; i++)
		assert_int_equal(0, card_read(card, QUIRE_REG_LOG(i)));
	board_stop(board);
}

static void failures_are_told_and_not_too_often(void **state)
{
	const struct quire_packet_header wrong = { 99, 16, 0, 0 };
	char text[QUIRE_LOG_BYTES + 1];
	struct card *card;
	struct board *board = ready(&card);

	(void)state;
	card_open_context(card, 0);
	for (int i = 0; i < 200; i++) {
		card_start_queue(card, 3, 0);
		assert_int_equal(QUIRE_STATUS_BAD_PACKET,
				 card_run(card, 3, 0, &wrong, sizeof(wrong)).status);
		assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 3));
	}
	/* the board's clock stands still: all of this is one second */
	read_log(card, text);
	assert_non_null(strstr(text, "queue 3: job 1 failed: status 2 packet 0 detail 0 fault 0x0 at 0x0\n"));
	assert_true(strlen(text) < 1000);
	/* the window wraps around */
	for (int i = 0; i < 100; i++) {
		qtest_clock_step(board->qtest, 1000000000);
		card_start_queue(card, 3, 0);
		assert_int_equal(QUIRE_STATUS_BAD_PACKET,
				 card_run(card, 3, 0, &wrong, sizeof(wrong)).status);
		assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 3));
	}
	assert_true(read_log(card, text) > QUIRE_LOG_BYTES);
	assert_int_equal(QUIRE_LOG_BYTES, strlen(text));
	for (const char *at = strchr(text, '\n') + 1; *at; at = strchr(at, '\n') + 1)
		assert_memory_equal("queue 3: job 1 failed: ", at, 23);
	board_stop(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_boot_and_a_crash_are_told),
		cmocka_unit_test(failures_are_told_and_not_too_often),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("device log", tests, NULL, NULL);
}
