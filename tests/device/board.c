// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <linux/pci_regs.h>

#include "board.h"

#define ECAM 0xb0000000u
#define MCH_PCIEXBAR 0x60
#define PORT_DEVICE 4		/* of the first root port on bus 0 */
#define MESSAGE 0x51000000u	/* what vector v writes: this + v */

static uint64_t card_config(unsigned int slot, uint32_t offset)
{
	return ECAM + ((slot + 1) << 20) + offset;
}

static uint64_t port_config(unsigned int slot, uint32_t offset)
{
	return ECAM + ((PORT_DEVICE + slot) << 15) + offset;
}

uint32_t board_config_read(struct board *board, unsigned int slot, uint32_t offset,
			   unsigned int bytes)
{
	return (uint32_t)qtest_read(board->qtest, card_config(slot, offset), bytes);
}

void board_config_write(struct board *board, unsigned int slot, uint32_t offset, uint32_t value,
			unsigned int bytes)
{
	qtest_write(board->qtest, card_config(slot, offset), value, bytes);
}

uint32_t board_port_read(struct board *board, unsigned int slot, uint32_t offset,
			 unsigned int bytes)
{
	return (uint32_t)qtest_read(board->qtest, port_config(slot, offset), bytes);
}

void board_port_write(struct board *board, unsigned int slot, uint32_t offset, uint32_t value,
		      unsigned int bytes)
{
	qtest_write(board->qtest, port_config(slot, offset), value, bytes);
}

static uint32_t find_capability(struct board *board, uint64_t config, uint8_t id)
{
	uint32_t at = (uint32_t)qtest_read(board->qtest, config + PCI_CAPABILITY_LIST, 1);

	if (at == 0xff)
		fail_msg("nothing answers in this slot");
	while (at && (uint8_t)qtest_read(board->qtest, config + at, 1) != id)
		at = (uint32_t)qtest_read(board->qtest, config + at + 1, 1);
	return at;
}

uint32_t board_capability(struct board *board, unsigned int slot, uint8_t id)
{
	return find_capability(board, card_config(slot, 0), id);
}

uint32_t board_port_capability(struct board *board, unsigned int slot, uint8_t id)
{
	return find_capability(board, port_config(slot, 0), id);
}

uint32_t board_extended_capability(struct board *board, unsigned int slot, uint16_t id)
{
	uint32_t at = PCI_CFG_SPACE_SIZE;

	while (at) {
		uint32_t header = board_config_read(board, slot, at, 4);

		if (PCI_EXT_CAP_ID(header) == id)
			return at;
		at = PCI_EXT_CAP_NEXT(header);
	}
	return 0;
}

/* Bus numbers and windows of a root port: 64 MiB each, below 4 GiB. */
static void configure_port(struct board *board, unsigned int slot)
{
	uint32_t bus = slot + 1;
	uint32_t window = BOARD_REGISTERS(slot) >> 16, memory = BOARD_MEMORY(slot) >> 16;

	board_port_write(board, slot, PCI_PRIMARY_BUS, bus << 8 | bus << 16, 4);
	board_port_write(board, slot, PCI_MEMORY_BASE, window | (window + 0x3f0) << 16, 4);
	board_port_write(board, slot, PCI_PREF_MEMORY_BASE, memory | (memory + 0x3f0) << 16, 4);
	board_port_write(board, slot, PCI_PREF_BASE_UPPER32, 0, 4);
	board_port_write(board, slot, PCI_PREF_LIMIT_UPPER32, 0, 4);
	board_port_write(board, slot, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	/* the slot's power on */
	board_port_write(board, slot, board_port_capability(board, slot, PCI_CAP_ID_EXP) + PCI_EXP_SLTCTL,
			 PCI_EXP_SLTCTL_PWR_IND_ON, 2);
}

static uint64_t message_address(unsigned int slot, unsigned int vector)
{
	return BOARD_SYSTEM(slot) + 0xf00000 + 4 * vector;
}

static uint64_t vector_entry(unsigned int slot, unsigned int vector)
{
	return BOARD_MSIX(slot) + PCI_MSIX_ENTRY_SIZE * vector;
}

static void configure_msix(struct board *board, unsigned int slot)
{
	uint32_t capability = board_capability(board, slot, PCI_CAP_ID_MSIX);

	for (unsigned int v = 0; v < QUIRE_MSIX_VECTORS; v++) {
		uint64_t entry = vector_entry(slot, v);

		qtest_write(board->qtest, message_address(slot, v), 0, 4);
		qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_LOWER_ADDR,
			    message_address(slot, v), 4);
		qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 0, 4);
		qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_DATA, MESSAGE + v, 4);
		qtest_write(board->qtest, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 0, 4);
	}
	board_config_write(board, slot, capability + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
}

/* Registers read all ones until then. */
static void await_end_of_reset(struct board *board, unsigned int slot)
{
	const struct timespec pause = { 0, 100000 };

	for (int i = 0; i < 20000; i++) {
		if (qtest_read(board->qtest, BOARD_REGISTERS(slot) + QUIRE_REG_ID, 4) != 0xffffffff)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("the card is still in reset");
}

static void configure_card(struct board *board, unsigned int slot)
{
	static const uint32_t bars[3] = { 0, 2, 4 };
	const uint32_t addresses[3] = { BOARD_REGISTERS(slot), BOARD_MEMORY(slot), BOARD_MSIX(slot) };

	for (int i = 0; i < 3; i++) {
		board_config_write(board, slot, PCI_BASE_ADDRESS_0 + 4 * bars[i], addresses[i], 4);
		board_config_write(board, slot, PCI_BASE_ADDRESS_0 + 4 * bars[i] + 4, 0, 4);
	}
	board_config_write(board, slot, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	await_end_of_reset(board, slot);
	configure_msix(board, slot);
}

static uint32_t read_register(void *opaque, uint32_t offset)
{
	struct board_card *c = opaque;

	return (uint32_t)qtest_read(c->board->qtest, BOARD_REGISTERS(c->slot) + offset, 4);
}

static void write_register(void *opaque, uint32_t offset, uint32_t value)
{
	struct board_card *c = opaque;

	qtest_write(c->board->qtest, BOARD_REGISTERS(c->slot) + offset, value, 4);
}

static void system_read(void *opaque, uint64_t address, void *to, size_t bytes)
{
	struct board_card *c = opaque;

	qtest_memory_read(c->board->qtest, address, to, bytes);
}

static void system_write(void *opaque, uint64_t address, const void *from, size_t bytes)
{
	struct board_card *c = opaque;

	qtest_memory_write(c->board->qtest, address, from, bytes);
}

static void memory_read(void *opaque, uint64_t offset, void *to, size_t bytes)
{
	struct board_card *c = opaque;

	qtest_memory_read(c->board->qtest, BOARD_MEMORY(c->slot) + offset, to, bytes);
}

static void memory_write(void *opaque, uint64_t offset, const void *from, size_t bytes)
{
	struct board_card *c = opaque;

	qtest_memory_write(c->board->qtest, BOARD_MEMORY(c->slot) + offset, from, bytes);
}

void board_plug(struct board *board, unsigned int slot)
{
	struct board_card *c = &board->cards[slot];
	const struct card_access access = { c,		 read_register, write_register, system_read,
					    system_write, memory_read,	 memory_write };

	c->board = board;
	c->slot = slot;
	configure_port(board, slot);
	configure_card(board, slot);
	card_init(&c->card, &access, BOARD_SYSTEM(slot));
}

struct board *board_start(unsigned int count, const char *options)
{
	char devices[BOARD_SLOTS][256];
	const char *arguments[] = {
		"-device", "pcie-root-port,id=rp0,slot=1,addr=4", "-device",
		"pcie-root-port,id=rp1,slot=2,addr=5",		  NULL, NULL, NULL, NULL, NULL
	};
	struct board *board = calloc(1, sizeof(*board));

	assert_non_null(board);
	for (unsigned int slot = 0; slot < count; slot++) {
		snprintf(devices[slot], sizeof(devices[slot]),
			 "quire,id=card%u,bus=rp%u,memory=16M%s%s", slot, slot,
			 slot == 0 && *options ? "," : "", slot == 0 ? options : "");
		arguments[4 + 2 * slot] = "-device";
		arguments[5 + 2 * slot] = devices[slot];
	}
	board->qtest = qtest_start(arguments);
	/* Configuration space as memory: 256 MiB at ECAM, enabled. */
	qtest_out32(board->qtest, 0xcf8, 0x80000000u | MCH_PCIEXBAR);
	qtest_out32(board->qtest, 0xcfc, ECAM | 1);
	for (unsigned int slot = 0; slot < count; slot++)
		board_plug(board, slot);
	return board;
}

void board_stop(struct board *board)
{
	qtest_stop(board->qtest);
	free(board);
}

void board_reset_function(struct board *board, unsigned int slot)
{
	uint32_t express = board_capability(board, slot, PCI_CAP_ID_EXP);

	board_config_write(board, slot, express + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	configure_card(board, slot);
}

uint32_t board_take_vector(struct board *board, unsigned int slot, unsigned int vector)
{
	uint32_t value = (uint32_t)qtest_read(board->qtest, message_address(slot, vector), 4);

	if (!value)
		return 0;
	assert_int_equal(MESSAGE + vector, value);
	qtest_write(board->qtest, message_address(slot, vector), 0, 4);
	return 1;
}

bool board_wait_vector(struct board *board, unsigned int slot, unsigned int vector)
{
	const struct timespec pause = { 0, 2000000 };

	for (int i = 0; i < 5000; i++) {
		if (board_take_vector(board, slot, vector))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

void board_mask_vector(struct board *board, unsigned int slot, unsigned int vector, bool mask)
{
	qtest_write(board->qtest, vector_entry(slot, vector) + PCI_MSIX_ENTRY_VECTOR_CTRL, mask, 4);
}

bool board_vector_pending(struct board *board, unsigned int slot, unsigned int vector)
{
	uint32_t capability = board_capability(board, slot, PCI_CAP_ID_MSIX);
	uint32_t pending = board_config_read(board, slot, capability + PCI_MSIX_PBA, 4) & PCI_MSIX_PBA_OFFSET;
	uint64_t address = BOARD_MSIX(slot) + pending + vector / 32 * 4;

	return qtest_read(board->qtest, address, 4) >> vector % 32 & 1;
}
