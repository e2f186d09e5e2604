// SPDX-License-Identifier: MIT
/* The PCI Express function: identity, registers, resets, power, properties, plugging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/pci_regs.h>

#include "board.h"

static void configuration_space_shows_the_card(void **state)
{
	struct board *board = board_start(1, "");
	uint32_t express, capabilities;

	(void)state;
	assert_int_equal(QUIRE_PCI_DEVICE_ID << 16 | QUIRE_PCI_VENDOR_ID,
			 board_config_read(board, 0, PCI_VENDOR_ID, 4));
	assert_int_equal(QUIRE_PCI_CLASS,
			 board_config_read(board, 0, PCI_CLASS_REVISION, 4) >> 8);
	express = board_capability(board, 0, PCI_CAP_ID_EXP);
	assert_true(express);
	capabilities = board_config_read(board, 0, express + PCI_EXP_DEVCAP, 4);
	assert_true(capabilities & PCI_EXP_DEVCAP_FLR);
	assert_int_equal(PCI_EXP_TYPE_ENDPOINT,
			 (board_config_read(board, 0, express + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE) >> 4);
	assert_true(board_capability(board, 0, PCI_CAP_ID_PM));
	assert_true(board_extended_capability(board, 0, PCI_EXT_CAP_ID_ERR));
	assert_int_equal(QUIRE_MSIX_VECTORS - 1,
			 board_config_read(board, 0, board_capability(board, 0, PCI_CAP_ID_MSIX) +
					   PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE);
	board_stop(board);
}

static void bars_have_the_sizes_of_the_specification(void **state)
{
	static const struct { uint32_t bar, mask; } bars[] = {
		{ 0, 0xfff00004 },		/* 1 MiB, 64-bit */
		{ 2, 0xff00000c },		/* 16 MiB, 64-bit prefetchable */
	};
	struct board *board = board_start(1, "");

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint32_t at = PCI_BASE_ADDRESS_0 + 4 * bars[i].bar;

		board_config_write(board, 0, at, 0xffffffff, 4);
		assert_int_equal(bars[i].mask, board_config_read(board, 0, at, 4));
		board_config_write(board, 0, at + 4, 0xffffffff, 4);
		assert_int_equal(0xffffffff, board_config_read(board, 0, at + 4, 4));
	}
	board_stop(board);
}

static void registers_show_what_the_card_is(void **state)
{
	struct board *board = board_start(1, "engines=5,serial=0x123456789abcdef0");
	struct card *card = &board->cards[0].card;

	(void)state;
	assert_int_equal(QUIRE_ID_VALUE, card_read(card, QUIRE_REG_ID));
	assert_int_equal(QUIRE_HW_VERSION_VALUE, card_read(card, QUIRE_REG_HW_VERSION));
	assert_int_equal(32 << 16 | 64, card_read(card, QUIRE_REG_CAP_QUEUES));
	assert_int_equal(5, card_read(card, QUIRE_REG_CAP_ENGINES));
	assert_int_equal(16 << 20, card_read64(card, QUIRE_REG_MEMORY_LO));
	assert_true(card_read64(card, QUIRE_REG_SERIAL_LO) == 0x123456789abcdef0ull);
	assert_int_equal(QUIRE_SRAM_BYTES, card_read(card, QUIRE_REG_SRAM_BYTES));
	/* read-only ones stay, unknown ones read 0 */
	card_write(card, QUIRE_REG_ID, 1);
	assert_int_equal(QUIRE_ID_VALUE, card_read(card, QUIRE_REG_ID));
	card_write(card, 0x0ff0, 0xffffffff);
	assert_int_equal(0, card_read(card, 0x0ff0));
	board_stop(board);
}

static void only_aligned_words_are_accesses(void **state)
{
	struct board *board = board_start(1, "");
	struct qtest *qtest = board->qtest;
	uint64_t at = BOARD_REGISTERS(0);

	(void)state;
	assert_int_equal(0xff, qtest_read(qtest, at, 1));
	assert_int_equal(0xffff, qtest_read(qtest, at, 2));
	assert_true(qtest_read(qtest, at, 8) == ~0ull);
	assert_int_equal(0xffffffff, qtest_read(qtest, at + 2, 4));
	card_write(&board->cards[0].card, QUIRE_REG_FW_BYTES, 0x11223344);
	qtest_write(qtest, at + QUIRE_REG_FW_BYTES, 0, 1);
	qtest_write(qtest, at + QUIRE_REG_FW_BYTES, 0, 2);
	qtest_write(qtest, at + QUIRE_REG_FW_BYTES, 0, 8);
	qtest_write(qtest, at + QUIRE_REG_FW_BYTES + 1, 0, 4);
	assert_int_equal(0x11223344, card_read(&board->cards[0].card, QUIRE_REG_FW_BYTES));
	board_stop(board);
}

static void card_memory_is_plain_memory(void **state)
{
	struct board *board = board_start(1, "");
	uint64_t at = BOARD_MEMORY(0);

	(void)state;
	qtest_write(board->qtest, at + 0x1001, 0xab, 1);
	qtest_write(board->qtest, at + (16 << 20) - 8, 0x1122334455667788ull, 8);
	assert_int_equal(0xab00, qtest_read(board->qtest, at + 0x1000, 2));
	assert_true(qtest_read(board->qtest, at + (16 << 20) - 8, 8) == 0x1122334455667788ull);
	board_stop(board);
}

static void dirty_registers(struct card *card)
{
	card_boot(card);
	card_open_context(card, 3);
	card_write(card, QUIRE_REG_EVENT_ENABLE, 0xf);
	card_start_queue(card, 2, 3);
}

static void check_reset_values(struct card *card)
{
	static const uint32_t zero[] = {
		QUIRE_REG_FW_ADDRESS_LO, QUIRE_REG_FW_BYTES, QUIRE_REG_BOOT_STATUS,
		QUIRE_REG_BOOT_DETAIL, QUIRE_REG_HEARTBEAT, QUIRE_REG_DRIVER_VERSIONS,
		QUIRE_REG_FW_VERSIONS, QUIRE_REG_NEGOTIATED, QUIRE_REG_FW_RELEASE,
		QUIRE_REG_PANIC_PC, QUIRE_REG_PANIC_CAUSE, QUIRE_REG_PANIC_VALUE,
		QUIRE_REG_EVENT_STATUS, QUIRE_REG_EVENT_ENABLE, QUIRE_REG_MAILBOX_COMMAND,
		QUIRE_REG_MAILBOX_ARGUMENT, QUIRE_REG_MAILBOX_DONE, QUIRE_REG_MAILBOX_RESULT,
		QUIRE_REG_FAULT_CONTEXT, QUIRE_REG_FAULT_ADDRESS_LO, QUIRE_REG_FAULT_INFO,
		QUIRE_REG_CONTEXT_ROOT_LO(3), QUIRE_REG_CONTEXT_ROOT_HI(3),
	};

	for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		assert_int_equal(0, card_read(card, zero[i]));
	for (uint32_t i = 0; i < 64; i += 4)
		assert_int_equal(0, card_read(card, QUIRE_REG_QUEUE(2) + i));
	for (uint32_t i = 0; i < QUIRE_COUNTERS; i++)
		if (i != QUIRE_COUNTER_TEMPERATURE)
			assert_int_equal(0, card_read64(card, QUIRE_REG_COUNTER_LO(i)));
	assert_int_equal(35000, card_read(card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_TEMPERATURE)));
}

static void registers_start_at_their_reset_values(void **state)
{
	struct board *board = board_start(1, "");

	(void)state;
	check_reset_values(&board->cards[0].card);
	board_stop(board);
}

/* What is the same after each kind of reset, and that the card boots again. */
static void check_after_reset(struct board *board)
{
	struct card *card = &board->cards[0].card;
	const struct card_access access = card->access;

	assert_int_equal(0, board_config_read(board, 0, PCI_COMMAND, 2));
	board_plug(board, 0);
	check_reset_values(card);
	/* card memory keeps its content, so a boot finds its image again */
	card_init(card, &access, BOARD_SYSTEM(0));
	card_boot(card);
	board_stop(board);
}

static void a_function_level_reset_resets(void **state)
{
	struct board *board = board_start(1, "");
	uint32_t express = board_capability(board, 0, PCI_CAP_ID_EXP);
	uint32_t msix = board_capability(board, 0, PCI_CAP_ID_MSIX);

	(void)state;
	dirty_registers(&board->cards[0].card);
	board_mask_vector(board, 0, 7, false);
	board_config_write(board, 0, express + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(0, board_config_read(board, 0, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE);
	/* MSI-X vectors are masked again */
	board_config_write(board, 0, PCI_BASE_ADDRESS_4, BOARD_MSIX(0), 4);
	board_config_write(board, 0, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(1, qtest_read(board->qtest, BOARD_MSIX(0) + 16 * 7 + 12, 4));
	board_config_write(board, 0, PCI_COMMAND, 0, 2);
	check_after_reset(board);
}

static void leaving_d3hot_resets(void **state)
{
	struct board *board = board_start(1, "");
	uint32_t control = board_capability(board, 0, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	(void)state;
	dirty_registers(&board->cards[0].card);
	board_config_write(board, 0, control, 3, 2);
	board_config_write(board, 0, control, 0, 2);
	assert_int_equal(0, board_config_read(board, 0, control, 2) & PCI_PM_CTRL_STATE_MASK);
	check_after_reset(board);
}

static void in_d3hot_only_configuration_answers(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;
	uint32_t control = board_capability(board, 0, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	(void)state;
	card_write(card, QUIRE_REG_FW_BYTES, 64);
	qtest_write(board->qtest, BOARD_MEMORY(0), 0x1234, 4);
	/* D1 and D2 are not there: the write is dropped */
	board_config_write(board, 0, control, 1, 2);
	assert_int_equal(0, board_config_read(board, 0, control, 2) & PCI_PM_CTRL_STATE_MASK);
	board_config_write(board, 0, control, 3, 2);
	assert_int_equal(3, board_config_read(board, 0, control, 2) & PCI_PM_CTRL_STATE_MASK);
	assert_int_equal(0xffffffff, card_read(card, QUIRE_REG_ID));
	assert_int_not_equal(0x1234, qtest_read(board->qtest, BOARD_MEMORY(0), 4));
	qtest_write(board->qtest, BOARD_MEMORY(0), 0x5678, 4);
	assert_int_equal(QUIRE_PCI_VENDOR_ID, board_config_read(board, 0, PCI_VENDOR_ID, 2));
	board_config_write(board, 0, control, 0, 2);
	board_plug(board, 0);
	assert_int_equal(QUIRE_ID_VALUE, card_read(card, QUIRE_REG_ID));
	assert_int_equal(0x1234, qtest_read(board->qtest, BOARD_MEMORY(0), 4));
	board_stop(board);
}

/* Injected: what a reset leaves undefined is lost; the step from D3hot loses nothing. */
static void memory_is_lost_where_it_may_be(void **state)
{
	struct board *board = board_start(1, "");
	uint32_t control = board_capability(board, 0, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	const uint32_t last = (16u << 20) - 4;

	(void)state;
	qtest_write(board->qtest, BOARD_MEMORY(0), 0x1234, 4);
	qtest_write(board->qtest, BOARD_MEMORY(0) + last, 0x5678, 4);
	qtest_set_property(board->qtest, "card0", "inject-forget-memory", 1);
	board_config_write(board, 0, control, 3, 2);
	board_config_write(board, 0, control, 0, 2);
	board_plug(board, 0);
	assert_int_equal(0x1234, qtest_read(board->qtest, BOARD_MEMORY(0), 4));
	board_reset_function(board, 0);
	assert_int_equal(0xa5a5a5a5, qtest_read(board->qtest, BOARD_MEMORY(0), 4));
	assert_int_equal(0xa5a5a5a5, qtest_read(board->qtest, BOARD_MEMORY(0) + last, 4));
	qtest_write(board->qtest, BOARD_MEMORY(0), 0x1234, 4);
	board_reset_function(board, 0);
	assert_int_equal(0x1234, qtest_read(board->qtest, BOARD_MEMORY(0), 4));
	board_stop(board);
}

static void a_bus_reset_resets(void **state)
{
	struct board *board = board_start(1, "");

	(void)state;
	dirty_registers(&board->cards[0].card);
	board_port_write(board, 0, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 2);
	board_port_write(board, 0, PCI_BRIDGE_CONTROL, 0, 2);
	check_after_reset(board);
}

static void a_bus_reset_ends_d3hot(void **state)
{
	struct board *board = board_start(1, "");
	uint32_t control = board_capability(board, 0, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	(void)state;
	board_config_write(board, 0, control, 3, 2);
	board_port_write(board, 0, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 2);
	board_port_write(board, 0, PCI_BRIDGE_CONTROL, 0, 2);
	assert_int_equal(0, board_config_read(board, 0, control, 2) & PCI_PM_CTRL_STATE_MASK);
	board_plug(board, 0);
	assert_int_equal(QUIRE_ID_VALUE, card_read(&board->cards[0].card, QUIRE_REG_ID));
	board_stop(board);
}

static void a_system_reset_resets(void **state)
{
	struct board *board = board_start(1, "");
	char answer[256];

	(void)state;
	dirty_registers(&board->cards[0].card);
	assert_true(qtest_command(board->qtest, "{\"execute\": \"system_reset\"}", answer, sizeof(answer)));
	qtest_wait_event(board->qtest, "RESET");
	qtest_out32(board->qtest, 0xcf8, 0x80000060u);
	qtest_out32(board->qtest, 0xcfc, 0xb0000001u);
	board_plug(board, 0);
	check_reset_values(&board->cards[0].card);
	board_stop(board);
}

static void without_bus_master_nothing_reaches_memory(void **state)
{
	struct board *board = board_start(1, "");
	struct card *card = &board->cards[0].card;

	(void)state;
	card_boot(card);
	card_open_context(card, 0);
	card_start_queue(card, 0, 0);
	board_config_write(board, 0, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	card_push(card, 0, 0, 0);
	card_doorbell(card, 0);
	/* the ring cannot be read, the record not be written, no message be sent */
	card_wait(card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_STATE, QUIRE_QUEUE_FAULTED);
	assert_int_equal(0, card_record(card, 0, 1).sequence);
	assert_int_equal(0, board_take_vector(board, 0, 1));
	/* a reset closes the bus as well */
	board_config_write(board, 0, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	board_config_write(board, 0, board_capability(board, 0, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL,
			   PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(0, board_config_read(board, 0, PCI_COMMAND, 2));
	board_stop(board);
}

static void wrong_properties_are_named(void **state)
{
	static const struct { const char *options, *name; } cases[] = {
		{ "quire,engines=0", "engines" },
		{ "quire,engines=17", "engines" },
		{ "quire,memory=100M", "memory" },
		{ "quire,memory=8M", "memory" },
		{ "quire,memory=0", "memory" },
		{ "quire,memory=4E", "memory" },
		{ "quire,model-threads=65", "model-threads" },
		{ "quire,serial=x", "serial" },
		{ "quire,inject-engine-hang=1", "realized" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const arguments[] = { "-device", cases[i].options, NULL };
		char errors[1024];

		assert_int_equal(1, qtest_run(arguments, errors, sizeof(errors)));
		if (!strstr(errors, cases[i].name))
			fail_msg("%s: %s", cases[i].options, errors);
	}
}

static bool plug(struct board *board, const char *options, char *answer, size_t bytes)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "{\"execute\": \"device_add\", \"arguments\": {\"driver\": \"quire\", \"id\": \"card1\","
		 " \"bus\": \"rp1\", %s}}", options);
	return qtest_command(board->qtest, command, answer, bytes);
}

static void a_card_that_failed_leaves_nothing_behind(void **state)
{
	struct board *board = board_start(0, "");
	char answer[512];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_false(plug(board, "\"engines\": 17", answer, sizeof(answer)));
		assert_non_null(strstr(answer, "engines"));
	}
	assert_true(plug(board, "\"engines\": 1, \"memory\": 16777216", answer, sizeof(answer)));
	board_plug(board, 1);
	card_boot(&board->cards[1].card);
	board_stop(board);
}

/* Ask for the unplug and let the slot's power go, as an operating system would. */
static void unplug(struct board *board, unsigned int slot)
{
	uint32_t express = board_port_capability(board, slot, PCI_CAP_ID_EXP);
	char command[128], answer[256];

	snprintf(command, sizeof(command),
		 "{\"execute\": \"device_del\", \"arguments\": {\"id\": \"card%u\"}}", slot);
	assert_true(qtest_command(board->qtest, command, answer, sizeof(answer)));
	board_port_write(board, slot, express + PCI_EXP_SLTCTL,
			 PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PWR_IND_OFF, 2);
	qtest_wait_event(board->qtest, "DEVICE_DELETED");
}

static void a_card_can_be_pulled_in_mid_job(void **state)
{
	struct board *board = board_start(2, "");
	struct card *card = &board->cards[1].card;
	struct quire_packet_gemm gemm;
	char answer[256];

	(void)state;
	card_boot(card);
	card_open_context(card, 0);
	card_start_queue(card, 0, 0);
	gemm = card_small_gemm(card);
	qtest_set_property(board->qtest, "card1", "inject-engine-deaf", 3);
	card->access.memory_write(card->access.opaque, CARD_DATA, &gemm, sizeof(gemm));
	card_push(card, 0, CARD_VIRTUAL, sizeof(gemm));
	card_doorbell(card, 0);
	unplug(board, 1);
	assert_int_equal(0xffff, board_config_read(board, 1, PCI_VENDOR_ID, 2));
	/* the other card does not care, and the slot takes a new one */
	card_boot(&board->cards[0].card);
	assert_true(plug(board, "\"memory\": 16777216", answer, sizeof(answer)));
	board_plug(board, 1);
	card_boot(card);
	board_stop(board);
}

/* The memory of the card before may still be in use, by whoever has mapped it. */
static void a_slot_takes_one_card_after_the_other(void **state)
{
	struct board *board = board_start(0, "");
	struct card *card = &board->cards[1].card;
	char answer[256];

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct quire_packet_copy copy = {
			.header = { .opcode = QUIRE_PACKET_COPY, .bytes = sizeof(copy) },
			.source = CARD_VIRTUAL + 0x1000, .destination = CARD_VIRTUAL + 0x200000,
			.row_bytes = 1, .source_stride = 1, .destination_stride = 1, .rows = 0x100000,
		};

		assert_true(plug(board, "\"memory\": 16777216", answer, sizeof(answer)));
		board_plug(board, 1);
		card_boot(card);
		card_open_context(card, 0);
		card_start_queue(card, 0, 0);
		card->access.memory_write(card->access.opaque, CARD_DATA, &copy, sizeof(copy));
		card_push(card, 0, CARD_VIRTUAL, sizeof(copy));
		card_doorbell(card, 0);
		unplug(board, 1);
	}
	board_stop(board);
}

static bool add_memory(struct board *board, const char *name, unsigned int mib)
{
	char command[256], answer[256];

	snprintf(command, sizeof(command),
		 "{\"execute\": \"object-add\", \"arguments\": {\"qom-type\": \"memory-backend-memfd\","
		 " \"id\": \"%s\", \"share\": true, \"size\": %u}}", name, mib << 20);
	return qtest_command(board->qtest, command, answer, sizeof(answer));
}

/* Memory of the user's choice; it is free again when the card has gone. */
static void card_memory_may_be_a_backend(void **state)
{
	struct board *board = board_start(0, "");
	const char *with_it = "\"memdev\": \"chosen\", \"memory\": 33554432";
	char answer[512];

	(void)state;
	assert_true(add_memory(board, "chosen", 32));
	assert_false(plug(board, "\"memdev\": \"nothing\"", answer, sizeof(answer)));
	assert_false(plug(board, "\"memdev\": \"chosen\", \"memory\": 16777216", answer,
			  sizeof(answer)));
	assert_non_null(strstr(answer, "same size"));
	for (int i = 0; i < 3; i++) {
		/* the threads of the card before may need a moment to end */
		for (int tries = 0; !plug(board, with_it, answer, sizeof(answer)); tries++)
			assert_true(i && tries < 1000);
		board_plug(board, 1);
		if (i)
			assert_int_equal(0x1234, qtest_read(board->qtest, BOARD_MEMORY(1) + (31 << 20), 4));
		assert_int_equal(32 << 20, card_read64(&board->cards[1].card, QUIRE_REG_MEMORY_LO));
		qtest_write(board->qtest, BOARD_MEMORY(1) + (31 << 20), 0x1234, 4);
		card_boot(&board->cards[1].card);
		assert_false(qtest_command(board->qtest, "{\"execute\": \"object-del\", \"arguments\":"
					   " {\"id\": \"chosen\"}}", answer, sizeof(answer)));
		unplug(board, 1);
		for (int tries = 0; tries < 1000 && i == 2; tries++)
			if (qtest_command(board->qtest, "{\"execute\": \"object-del\", \"arguments\":"
					  " {\"id\": \"chosen\"}}", answer, sizeof(answer)))
				break;
	}
	/* the name is free: it has been deleted */
	assert_true(add_memory(board, "chosen", 16));
	board_stop(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration_space_shows_the_card),
		cmocka_unit_test(bars_have_the_sizes_of_the_specification),
		cmocka_unit_test(registers_show_what_the_card_is),
		cmocka_unit_test(only_aligned_words_are_accesses),
		cmocka_unit_test(card_memory_is_plain_memory),
		cmocka_unit_test(registers_start_at_their_reset_values),
		cmocka_unit_test(a_function_level_reset_resets),
		cmocka_unit_test(leaving_d3hot_resets),
		cmocka_unit_test(in_d3hot_only_configuration_answers),
		cmocka_unit_test(a_bus_reset_resets),
		cmocka_unit_test(a_bus_reset_ends_d3hot),
		cmocka_unit_test(memory_is_lost_where_it_may_be),
		cmocka_unit_test(a_system_reset_resets),
		cmocka_unit_test(without_bus_master_nothing_reaches_memory),
		cmocka_unit_test(wrong_properties_are_named),
		cmocka_unit_test(a_card_that_failed_leaves_nothing_behind),
		cmocka_unit_test(a_card_can_be_pulled_in_mid_job),
		cmocka_unit_test(a_slot_takes_one_card_after_the_other),
		cmocka_unit_test(card_memory_may_be_a_backend),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
