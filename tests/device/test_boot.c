// SPDX-License-Identifier: MIT
/* The boot ROM, with the real image and with all that can be wrong about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"

#define MEMORY_BYTES (16u << 20)

static void the_real_image_boots(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	card_boot(card);
	assert_int_equal(QUIRE_INTERFACE_VERSION_MAX, card_read(card, QUIRE_REG_NEGOTIATED));
	assert_int_equal(CARD_VERSIONS, card_read(card, QUIRE_REG_FW_VERSIONS));
	assert_int_equal(0x020000, card_read(card, QUIRE_REG_FW_RELEASE));
	assert_int_equal(0, card_read(card, QUIRE_REG_BOOT_DETAIL));
	assert_true(card_read(card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_BOOT);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 7));
	/* a start while it runs is a start from the beginning */
	assert_int_equal(QUIRE_BOOT_READY, card_start(card));
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 7));
	board_stop(board);
}

static void an_image_may_lie_at_any_page(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;
	static uint8_t image[QUIRE_SRAM_BYTES];
	uint32_t bytes = card_load_firmware(card);
	uint32_t last = (MEMORY_BYTES - bytes) & ~4095u;

	(void)state;
	card->access.memory_read(card->access.opaque, 0, image, bytes);
	card->access.memory_write(card->access.opaque, last, image, bytes);
	memset(image, 0, bytes);
	card->access.memory_write(card->access.opaque, 0, image, bytes);
	card_write(card, QUIRE_REG_DRIVER_VERSIONS, CARD_VERSIONS);
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, last);
	assert_int_equal(QUIRE_BOOT_READY, card_start(card));
	board_stop(board);
}

/* A copy of the image's header with one field changed. */
static void change_header(struct card *card, size_t field, uint32_t value)
{
	card_load_firmware(card);
	card->access.memory_write(card->access.opaque, field, &value, sizeof(value));
}

static void expect(struct card *card, uint32_t status, uint32_t detail)
{
	card_write(card, QUIRE_REG_EVENT_STATUS, ~0u);
	assert_int_equal(status, card_start(card));
	assert_int_equal(detail, card_read(card, QUIRE_REG_BOOT_DETAIL));
	assert_int_equal(0, card_read(card, QUIRE_REG_NEGOTIATED));
	assert_true(card_read(card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_BOOT);
}

static void a_bad_address_is_refused(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;
	uint32_t bytes = card_load_firmware(card);

	(void)state;
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, 0x1004);	/* not aligned */
	expect(card, QUIRE_BOOT_BAD_ADDRESS, 0x1004);
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, MEMORY_BYTES);
	expect(card, QUIRE_BOOT_BAD_ADDRESS, MEMORY_BYTES);
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, MEMORY_BYTES - 4096);	/* its end is outside */
	expect(card, QUIRE_BOOT_BAD_ADDRESS, MEMORY_BYTES - 4096);
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, 0);
	card_write(card, QUIRE_REG_FW_ADDRESS_HI, 1);
	expect(card, QUIRE_BOOT_BAD_ADDRESS, 0);
	card_write(card, QUIRE_REG_FW_ADDRESS_HI, 0xffffffff);	/* a sum that wraps */
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, 0xfffff000);
	expect(card, QUIRE_BOOT_BAD_ADDRESS, 0xfffff000);
	/* and none of this keeps it from a good start */
	card_write(card, QUIRE_REG_FW_ADDRESS_HI, 0);
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, 0);
	card_write(card, QUIRE_REG_FW_BYTES, bytes);
	card_boot(card);
	board_stop(board);
}

static void a_bad_magic_is_refused(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	change_header(card, offsetof(struct quire_fw_header, magic), 0x12345678);
	expect(card, QUIRE_BOOT_BAD_MAGIC, 0x12345678);
	change_header(card, offsetof(struct quire_fw_header, header_bytes), 60);
	expect(card, QUIRE_BOOT_BAD_MAGIC, QUIRE_FW_MAGIC);
	board_stop(board);
}

static void a_bad_size_is_refused(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;
	uint32_t bytes = card_load_firmware(card);

	(void)state;
	card_write(card, QUIRE_REG_FW_BYTES, 63);	/* no header */
	expect(card, QUIRE_BOOT_BAD_SIZE, 63);
	card_write(card, QUIRE_REG_FW_BYTES, 0);
	expect(card, QUIRE_BOOT_BAD_SIZE, 0);
	card_write(card, QUIRE_REG_FW_BYTES, bytes - 4);	/* truncated */
	expect(card, QUIRE_BOOT_BAD_SIZE, bytes);
	change_header(card, offsetof(struct quire_fw_header, image_bytes), bytes + 2);
	card_write(card, QUIRE_REG_FW_BYTES, bytes + 2);
	expect(card, QUIRE_BOOT_BAD_SIZE, bytes + 2);
	change_header(card, offsetof(struct quire_fw_header, image_bytes), 32);
	card_write(card, QUIRE_REG_FW_BYTES, 32);
	expect(card, QUIRE_BOOT_BAD_SIZE, 32);
	change_header(card, offsetof(struct quire_fw_header, image_bytes), QUIRE_SRAM_BYTES + 68);
	card_write(card, QUIRE_REG_FW_BYTES, QUIRE_SRAM_BYTES + 68);
	expect(card, QUIRE_BOOT_BAD_SIZE, QUIRE_SRAM_BYTES + 68);
	change_header(card, offsetof(struct quire_fw_header, bss_bytes), QUIRE_SRAM_BYTES);
	expect(card, QUIRE_BOOT_BAD_SIZE, bytes);
	change_header(card, offsetof(struct quire_fw_header, bss_bytes), 0xfffffff0);
	expect(card, QUIRE_BOOT_BAD_SIZE, bytes);
	change_header(card, offsetof(struct quire_fw_header, entry), QUIRE_SRAM_BASE - 4);
	expect(card, QUIRE_BOOT_BAD_SIZE, bytes);
	change_header(card, offsetof(struct quire_fw_header, entry), QUIRE_SRAM_BASE + bytes);
	expect(card, QUIRE_BOOT_BAD_SIZE, bytes);
	board_stop(board);
}

static void a_flipped_bit_is_found(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;
	uint32_t bytes = card_load_firmware(card), first;
	uint8_t byte;

	(void)state;
	card->access.memory_read(card->access.opaque, bytes - 1, &byte, 1);
	byte ^= 0x80;
	card->access.memory_write(card->access.opaque, bytes - 1, &byte, 1);
	assert_int_equal(QUIRE_BOOT_BAD_DIGEST, card_start(card));
	/* what was found is the first word of a digest, and not the one in the header */
	card->access.memory_read(card->access.opaque, offsetof(struct quire_fw_header, sha256), &first, 4);
	assert_int_not_equal(first, card_read(card, QUIRE_REG_BOOT_DETAIL));
	change_header(card, offsetof(struct quire_fw_header, sha256), first ^ 1);
	/* now the digest computed is the right one, and it is shown */
	expect(card, QUIRE_BOOT_BAD_DIGEST, first);
	board_stop(board);
}

static void both_sides_name_their_versions(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	card_load_firmware(card);
	card_write(card, QUIRE_REG_DRIVER_VERSIONS,
		   (QUIRE_INTERFACE_VERSION_MAX + 1) << 16 | 9);
	expect(card, QUIRE_BOOT_BAD_VERSION, (QUIRE_INTERFACE_VERSION_MAX + 1) << 16 | 9);
	assert_int_equal(CARD_VERSIONS, card_read(card, QUIRE_REG_FW_VERSIONS));
	/* it does not run: no heartbeat, no answer; and it can be started again */
	assert_int_equal(0, card_read(card, QUIRE_REG_HEARTBEAT));
	card_boot(card);
	board_stop(board);
}

static void the_heart_beats_until_the_firmware_stands(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;
	uint32_t beat, stopped;

	(void)state;
	card_boot(card);
	beat = card_read(card, QUIRE_REG_HEARTBEAT);
	/* the board's clock stands still unless the test moves it on */
	for (int i = 0; i < 5000 && card_read(card, QUIRE_REG_HEARTBEAT) == beat; i++)
		qtest_clock_step(board->qtest, 10000000);
	assert_int_not_equal(beat, card_read(card, QUIRE_REG_HEARTBEAT));
	qtest_set_property(board->qtest, "card0", "inject-mcu-halt", 1);
	card_write(card, QUIRE_REG_MAILBOX_SEND, 1);
	stopped = card_read(card, QUIRE_REG_HEARTBEAT);
	for (int i = 0; i < 300; i++) {
		qtest_clock_step(board->qtest, 10000000);
		assert_int_equal(stopped, card_read(card, QUIRE_REG_HEARTBEAT));
	}
	assert_int_equal(0, card_read(card, QUIRE_REG_MAILBOX_DONE));
	qtest_set_property(board->qtest, "card0", "inject-mcu-halt", 0);
	card_wait(card, QUIRE_REG_MAILBOX_DONE, 1);
	board_stop(board);
}

/* Without an answer of the firmware, nobody must take the one before for it. */
static void a_command_that_a_reset_swallows_is_answered_so(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	card_boot(card);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	qtest_set_property(board->qtest, "card0", "inject-mcu-halt", 1);
	card_write(card, QUIRE_REG_MAILBOX_COMMAND, QUIRE_MAILBOX_PING);
	card_write(card, QUIRE_REG_MAILBOX_SEND, ++card->mailbox);
	card_write(card, QUIRE_REG_EVENT_STATUS, ~0u);
	card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_wait(card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
	assert_int_equal(card->mailbox, card_read(card, QUIRE_REG_MAILBOX_DONE));
	assert_int_equal(QUIRE_MAILBOX_ABORTED, card_read(card, QUIRE_REG_MAILBOX_RESULT));
	assert_true(card_read(card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_MAILBOX);
	qtest_set_property(board->qtest, "card0", "inject-mcu-halt", 0);
	/* sent to a card that is off: not carried out by the firmware that comes */
	card_write(card, QUIRE_REG_MAILBOX_SEND, ++card->mailbox);
	assert_int_equal(QUIRE_BOOT_READY, card_start(card));
	assert_int_equal(card->mailbox, card_read(card, QUIRE_REG_MAILBOX_DONE));
	assert_int_equal(QUIRE_MAILBOX_ABORTED, card_read(card, QUIRE_REG_MAILBOX_RESULT));
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_PING, 0));
	/* an answer stays what it was */
	card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_wait(card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
	assert_int_equal(QUIRE_MAILBOX_OK, card_read(card, QUIRE_REG_MAILBOX_RESULT));
	board_stop(board);
}

static void a_reset_of_the_processor_turns_all_off(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	card_boot(card);
	card_open_context(card, 1);
	card_start_queue(card, 0, 1);
	card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_wait(card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
	assert_int_equal(0, card_read(card, QUIRE_REG_NEGOTIATED));
	/* what the queues were doing can be seen until the next start */
	assert_int_equal(QUIRE_QUEUE_ACTIVE, card_read(card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_STATE));
	/* page-table roots stay */
	assert_int_equal(card->root[1] | 1, card_read(card, QUIRE_REG_CONTEXT_ROOT_LO(1)));
	/* the last word wins: a start that a reset follows does not happen */
	card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_START);
	card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET | QUIRE_MCU_START);
	card_wait(card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_READY);
	assert_int_equal(QUIRE_QUEUE_OFF, card_read(card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_STATE));
	board_stop(board);
}

/* Also of a start that has not begun yet: who reads OFF may give the memory to others. */
static void off_means_that_nothing_comes_any_more(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	card_boot(card);
	for (int i = 0; i < 50; i++) {
		card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_START);
		card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
		card_wait(card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
		for (int look = 0; look < 50; look++)
			assert_int_equal(QUIRE_BOOT_OFF, card_read(card, QUIRE_REG_BOOT_STATUS));
	}
	board_stop(board);
}

static void a_corrupted_load_is_found_and_retried(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	qtest_set_property(board->qtest, "card0", "inject-corrupt-firmware", 1);
	card_load_firmware(card);
	card_write(card, QUIRE_REG_DRIVER_VERSIONS, CARD_VERSIONS);
	assert_int_equal(QUIRE_BOOT_BAD_DIGEST, card_start(card));
	assert_int_equal(QUIRE_BOOT_READY, card_start(card));
	board_stop(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_real_image_boots),
		cmocka_unit_test(an_image_may_lie_at_any_page),
		cmocka_unit_test(a_bad_address_is_refused),
		cmocka_unit_test(a_bad_magic_is_refused),
		cmocka_unit_test(a_bad_size_is_refused),
		cmocka_unit_test(a_flipped_bit_is_found),
		cmocka_unit_test(both_sides_name_their_versions),
		cmocka_unit_test(the_heart_beats_until_the_firmware_stands),
		cmocka_unit_test(a_command_that_a_reset_swallows_is_answered_so),
		cmocka_unit_test(a_reset_of_the_processor_turns_all_off),
		cmocka_unit_test(off_means_that_nothing_comes_any_more),
		cmocka_unit_test(a_corrupted_load_is_found_and_retried),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
