// SPDX-License-Identifier: MIT
/* Resets of a card at work: nobody waits for them but who uses the card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <linux/pci_regs.h>

#include "board.h"

struct setting {
	struct board *board;
	struct card *card;
	uint32_t ports;		/* what the other root port's identification says */
};

static struct setting ready(void)
{
	struct setting s = { .board = board_start(1, "engines=2") };

	s.card = &s.board->cards[0].card;
	s.ports = board_port_read(s.board, 1, PCI_VENDOR_ID, 4);
	card_boot(s.card);
	card_open_context(s.card, 0);
	card_start_queue(s.card, 0, 0);
	return s;
}

/* A product on an engine that nothing ends. */
static void freeze(struct setting *s)
{
	struct quire_packet_gemm gemm = card_small_gemm(s->card);

	qtest_set_property(s->board->qtest, "card0", "inject-engine-frozen", 3);
	s->card->access.memory_write(s->card->access.opaque, CARD_DATA, &gemm, sizeof(gemm));
	card_push(s->card, 0, CARD_VIRTUAL, sizeof(gemm));
	card_doorbell(s->card, 0);
	card_wait(s->card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB_BANDS, 1);
}

static void map_registers(struct setting *s)
{
	board_config_write(s->board, 0, PCI_BASE_ADDRESS_0, BOARD_REGISTERS(0), 4);
	board_config_write(s->board, 0, PCI_BASE_ADDRESS_2, BOARD_MEMORY(0), 4);
	board_config_write(s->board, 0, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

/*
 * The reset has begun and cannot end: everything else answers, the card is silent; and once it
 * can end, it does.
 */
static void check_silence(struct setting *s)
{
	const struct card_access access = s->card->access;
	struct quire_packet_gemm gemm;
	struct quire_fence_record record;

	assert_int_equal(s->ports, board_port_read(s->board, 1, PCI_VENDOR_ID, 4));
	assert_int_equal(QUIRE_PCI_VENDOR_ID, board_config_read(s->board, 0, PCI_VENDOR_ID, 2));
	map_registers(s);
	qtest_write(s->board->qtest, BOARD_MEMORY(0) + CARD_DATA, 0x1234, 4);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(0xffffffff, card_read(s->card, QUIRE_REG_ID));
		assert_int_equal(0xffffffff, card_read(s->card, QUIRE_REG_BOOT_STATUS));
		card_write(s->card, QUIRE_REG_FW_BYTES, 77);
		card_write(s->card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_START);
		card_write(s->card, QUIRE_REG_DOORBELL(0), 1);
	}
	qtest_set_property(s->board->qtest, "card0", "inject-engine-frozen", 0);
	/* waits for the end, too */
	board_plug(s->board, 0);
	assert_int_equal(0x1234, qtest_read(s->board->qtest, BOARD_MEMORY(0) + CARD_DATA, 4));
	assert_int_equal(0, card_read(s->card, QUIRE_REG_FW_BYTES));
	assert_int_equal(QUIRE_BOOT_OFF, card_read(s->card, QUIRE_REG_BOOT_STATUS));
	assert_int_equal(0, card_read(s->card, QUIRE_REG_EVENT_STATUS));
	for (unsigned int vector = 0; vector < 3; vector++) {
		assert_int_equal(0, board_take_vector(s->board, 0, vector));
		assert_false(board_vector_pending(s->board, 0, vector));
	}
	card_init(s->card, &access, BOARD_SYSTEM(0));
	card_boot(s->card);
	card_open_context(s->card, 0);
	card_start_queue(s->card, 0, 0);
	gemm = card_small_gemm(s->card);
	record = card_run(s->card, 0, 0, &gemm, sizeof(gemm));
	card_check_small_gemm(s->card, &record);
	board_stop(s->board);
}

static void reset_function(struct setting *s)
{
	board_config_write(s->board, 0, board_capability(s->board, 0, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL,
			   PCI_EXP_DEVCTL_BCR_FLR, 2);
}

static void nobody_waits_for_a_reset_of_the_function(void **state)
{
	struct setting s = ready();

	(void)state;
	freeze(&s);
	reset_function(&s);
	check_silence(&s);
}

static void nobody_waits_for_two_resets_of_the_function(void **state)
{
	struct setting s = ready();

	(void)state;
	freeze(&s);
	reset_function(&s);
	reset_function(&s);
	check_silence(&s);
}

static void nobody_waits_for_the_way_out_of_d3hot(void **state)
{
	struct setting s = ready();
	uint32_t control = board_capability(s.board, 0, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	(void)state;
	freeze(&s);
	board_config_write(s.board, 0, control, 3, 2);
	board_config_write(s.board, 0, control, 0, 2);
	check_silence(&s);
}

static void nobody_waits_for_a_reset_of_the_bus(void **state)
{
	struct setting s = ready();

	(void)state;
	freeze(&s);
	board_port_write(s.board, 0, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 2);
	board_port_write(s.board, 0, PCI_BRIDGE_CONTROL, 0, 2);
	check_silence(&s);
}

static void nobody_waits_for_a_reset_of_the_system(void **state)
{
	struct setting s = ready();
	char answer[256];

	(void)state;
	freeze(&s);
	assert_true(qtest_command(s.board->qtest, "{\"execute\": \"system_reset\"}", answer,
				  sizeof(answer)));
	qtest_wait_event(s.board->qtest, "RESET");
	assert_true(qtest_command(s.board->qtest, "{\"execute\": \"query-status\"}", answer,
				  sizeof(answer)));
	/* where configuration space is */
	qtest_out32(s.board->qtest, 0xcf8, 0x80000060u);
	qtest_out32(s.board->qtest, 0xcfc, 0xb0000001u);
	assert_int_equal(s.ports, board_port_read(s.board, 1, PCI_VENDOR_ID, 4));
	qtest_set_property(s.board->qtest, "card0", "inject-engine-frozen", 0);
	board_plug(s.board, 0);
	card_boot(s.card);
	board_stop(s.board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_for_a_reset_of_the_function),
		cmocka_unit_test(nobody_waits_for_two_resets_of_the_function),
		cmocka_unit_test(nobody_waits_for_the_way_out_of_d3hot),
		cmocka_unit_test(nobody_waits_for_a_reset_of_the_bus),
		cmocka_unit_test(nobody_waits_for_a_reset_of_the_system),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("device reset", tests, NULL, NULL);
}
