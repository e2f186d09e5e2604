// SPDX-License-Identifier: MIT
/* Engines that hang, a bus that refuses: stop, reset and neighbours still work. */
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
	card_open_context(s.card, 0);
	card_start_queue(s.card, 0, 0);
	card_start_queue(s.card, 1, 0);
	s.gemm = card_small_gemm(s.card);
	return s;
}

static void inject(struct setting *s, const char *what, uint32_t value)
{
	qtest_set_property(s->board->qtest, "card0", what, value);
}

/* Submit the product to a queue and do not wait. */
static void submit(struct setting *s, unsigned int queue)
{
	s->card->access.memory_write(s->card->access.opaque, CARD_DATA, &s->gemm, sizeof(s->gemm));
	card_push(s->card, queue, CARD_VIRTUAL, sizeof(s->gemm));
	card_doorbell(s->card, queue);
}

static void check_card_works(struct setting *s, unsigned int queue)
{
	struct quire_fence_record record;

	s->gemm = card_small_gemm(s->card);
	record = card_run(s->card, queue, 0, &s->gemm, sizeof(s->gemm));
	card_check_small_gemm(s->card, &record);
}

static void a_queue_is_stopped_in_mid_job(void **state)
{
	struct setting s = ready();

	(void)state;
	inject(&s, "inject-engine-hang", 3);
	submit(&s, 0);
	assert_int_equal(0, card_record(s.card, 0, 1).sequence);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	assert_int_equal(QUIRE_QUEUE_OFF, card_read(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_STATE));
	assert_int_equal(0, card_record(s.card, 0, 1).sequence);
	inject(&s, "inject-engine-hang", 0);
	card_start_queue(s.card, 0, 0);
	check_card_works(&s, 0);
	board_stop(s.board);
}

static void a_hang_of_one_engine_leaves_the_other_to_others(void **state)
{
	struct setting s = ready();

	(void)state;
	inject(&s, "inject-engine-hang", 1);
	submit(&s, 0);
	check_card_works(&s, 1);
	assert_int_equal(0, card_record(s.card, 0, 1).sequence);
	/* the hang ends and so does the job */
	inject(&s, "inject-engine-hang", 0);
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(s.card, 0, 1).status);
	board_stop(s.board);
}

static void a_deaf_engine_keeps_a_stop_waiting(void **state)
{
	struct setting s = ready();
	uint32_t beat;

	(void)state;
	inject(&s, "inject-engine-deaf", 1);
	submit(&s, 0);
	card_write(s.card, QUIRE_REG_MAILBOX_COMMAND, QUIRE_MAILBOX_QUEUE_STOP);
	card_write(s.card, QUIRE_REG_MAILBOX_ARGUMENT, 0);
	card_write(s.card, QUIRE_REG_MAILBOX_SEND, ++s.card->mailbox);
	/* the firmware lives and serves others, the stop is not done */
	beat = card_read(s.card, QUIRE_REG_HEARTBEAT);
	check_card_works(&s, 1);
	assert_int_not_equal(beat, card_read(s.card, QUIRE_REG_HEARTBEAT));
	assert_int_equal(s.card->mailbox - 1, card_read(s.card, QUIRE_REG_MAILBOX_DONE));
	inject(&s, "inject-engine-deaf", 0);
	card_wait(s.card, QUIRE_REG_MAILBOX_DONE, s.card->mailbox);
	assert_int_equal(QUIRE_QUEUE_OFF, card_read(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_STATE));
	board_stop(s.board);
}

static void restart(struct setting *s)
{
	card_boot(s->card);
	card_open_context(s->card, 0);
	card_start_queue(s->card, 0, 0);
	check_card_works(s, 0);
}

static void a_reset_of_the_processor_ends_any_hang(void **state)
{
	static const char *const hangs[] = { "inject-engine-hang", "inject-engine-deaf" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct setting s = ready();

		inject(&s, hangs[i], 3);
		submit(&s, 0);
		submit(&s, 1);
		card_write(s.card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
		card_wait(s.card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
		assert_int_equal(0, card_record(s.card, 0, 1).sequence);
		assert_int_equal(0, card_record(s.card, 1, 1).sequence);
		inject(&s, hangs[i], 0);
		restart(&s);
		board_stop(s.board);
	}
}

static void a_function_level_reset_ends_any_hang(void **state)
{
	struct setting s = ready();
	const struct card_access access = s.card->access;

	(void)state;
	inject(&s, "inject-engine-deaf", 3);
	submit(&s, 0);
	submit(&s, 1);
	board_reset_function(s.board, 0);
	assert_int_equal(QUIRE_BOOT_OFF, card_read(s.card, QUIRE_REG_BOOT_STATUS));
	assert_int_equal(0, card_record(s.card, 0, 1).sequence);
	inject(&s, "inject-engine-deaf", 0);
	card_init(s.card, &access, BOARD_SYSTEM(0));
	restart(&s);
	board_stop(s.board);
}

static void a_stuck_engine_keeps_the_card_from_being_off(void **state)
{
	struct setting s = ready();
	const struct card_access access = s.card->access;

	(void)state;
	inject(&s, "inject-engine-stuck", 3);
	submit(&s, 0);
	card_wait(s.card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB_BANDS, 1);
	card_write(s.card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	for (int i = 0; i < 100; i++)
		assert_int_not_equal(QUIRE_BOOT_OFF, card_read(s.card, QUIRE_REG_BOOT_STATUS));
	board_reset_function(s.board, 0);
	assert_int_equal(QUIRE_BOOT_OFF, card_read(s.card, QUIRE_REG_BOOT_STATUS));
	assert_int_equal(0, card_record(s.card, 0, 1).sequence);
	inject(&s, "inject-engine-stuck", 0);
	card_init(s.card, &access, BOARD_SYSTEM(0));
	restart(&s);
	board_stop(s.board);
}

static void a_halted_processor_is_reset_too(void **state)
{
	struct setting s = ready();

	(void)state;
	inject(&s, "inject-mcu-halt", 1);
	submit(&s, 0);
	card_write(s.card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_wait(s.card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
	inject(&s, "inject-mcu-halt", 0);
	restart(&s);
	board_stop(s.board);
}

static void a_crash_of_the_firmware_is_reported_and_a_reset_ends_it(void **state)
{
	struct setting s = ready();

	(void)state;
	inject(&s, "inject-engine-hang", 3);
	submit(&s, 0);
	inject(&s, "inject-crash-firmware", 1);
	card_wait(s.card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_CRASHED);
	assert_true(card_read(s.card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_CRASH);
	/* RISC-V Privileged Architecture, table 3.6: 1 is an instruction access fault */
	assert_int_equal(0, card_read(s.card, QUIRE_REG_PANIC_PC));
	assert_int_equal(1, card_read(s.card, QUIRE_REG_PANIC_CAUSE));
	card_write(s.card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	card_wait(s.card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
	inject(&s, "inject-engine-hang", 0);
	restart(&s);
	board_stop(s.board);
}

static void a_bus_error_ends_the_job_with_its_place(void **state)
{
	struct setting s = ready();
	const uint64_t bus = s.card->system + 0x800000, at = 0x7fff00000000ull;
	struct quire_fence_record record;

	(void)state;
	card_map(s.card, 0, at, bus | QUIRE_PTE_SYSTEM | QUIRE_PTE_READ | QUIRE_PTE_WRITE);
	s.gemm.d.address = at;
	s.card->access.memory_write(s.card->access.opaque, CARD_DATA, &s.gemm, sizeof(s.gemm));
	card_push(s.card, 0, CARD_VIRTUAL, sizeof(s.gemm));
	/* the first access is the ring's: refused, and the record says so */
	inject(&s, "inject-dma-errors", 1);
	card_doorbell(s.card, 0);
	record = card_wait_record(s.card, 0, 1);
	assert_int_equal(QUIRE_STATUS_FIRMWARE, record.status);
	card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	card_start_queue(s.card, 0, 0);
	record = card_run(s.card, 0, 0, &s.gemm, sizeof(s.gemm));
	assert_int_equal(QUIRE_STATUS_OK, record.status);
	board_stop(s.board);
}

/* Who waits for the record of a job that has ended must not wait for ever. */
static void a_record_that_the_bus_refuses_faults_the_queue(void **state)
{
	const uint32_t queue = QUIRE_REG_QUEUE(0);
	struct setting s = ready();
	struct quire_packet_header nop = { .opcode = QUIRE_PACKET_NOP, .bytes = sizeof(nop) };

	(void)state;
	/* no memory there */
	card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	card_configure_queue(s.card, 0, 0, 0);
	card_write(s.card, queue + QUIRE_QUEUE_RECORD_LO, 0x40000000);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_START, 0));
	s.card->sequence[0] = 0;
	card_write(s.card, QUIRE_REG_EVENT_STATUS, ~0u);
	s.card->access.memory_write(s.card->access.opaque, CARD_DATA, &nop, sizeof(nop));
	card_push(s.card, 0, CARD_VIRTUAL, sizeof(nop));
	card_push(s.card, 0, CARD_VIRTUAL, sizeof(nop));
	card_doorbell(s.card, 0);
	card_wait(s.card, queue + QUIRE_QUEUE_STATE, QUIRE_QUEUE_FAULTED);
	assert_true(card_read(s.card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_QUEUE_FAULT);
	assert_true(board_wait_vector(s.board, 0, 1));
	assert_int_equal(0, card_read64(s.card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_JOBS)));
	assert_int_equal(1, card_read64(s.card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_ERRORS)));
	/* It has begun and is not known to have ended; the one behind it has not begun. */
	assert_int_equal(0, card_read(s.card, queue + QUIRE_QUEUE_COMPLETED));
	assert_int_equal(1, card_read(s.card, queue + QUIRE_QUEUE_JOB));
	check_card_works(&s, 1);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	card_start_queue(s.card, 0, 0);
	assert_int_equal(0, card_read(s.card, queue + QUIRE_QUEUE_JOB));
	check_card_works(&s, 0);
	board_stop(s.board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_is_stopped_in_mid_job),
		cmocka_unit_test(a_hang_of_one_engine_leaves_the_other_to_others),
		cmocka_unit_test(a_deaf_engine_keeps_a_stop_waiting),
		cmocka_unit_test(a_reset_of_the_processor_ends_any_hang),
		cmocka_unit_test(a_function_level_reset_ends_any_hang),
		cmocka_unit_test(a_stuck_engine_keeps_the_card_from_being_off),
		cmocka_unit_test(a_halted_processor_is_reset_too),
		cmocka_unit_test(a_crash_of_the_firmware_is_reported_and_a_reset_ends_it),
		cmocka_unit_test(a_bus_error_ends_the_job_with_its_place),
		cmocka_unit_test(a_record_that_the_bus_refuses_faults_the_queue),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("injection", tests, NULL, NULL);
}
