/* SPDX-License-Identifier: MIT */
/* A board with cards: what the system's own firmware would set up, done by hand. */
#ifndef QUIRE_TESTS_BOARD_H
#define QUIRE_TESTS_BOARD_H

#include "card.h"
#include "qtest.h"

#define BOARD_SLOTS 2

/* Where things of the card in `slot` are after board_plug(). */
#define BOARD_REGISTERS(slot) (0xc0000000u + 0x4000000u * (slot))
#define BOARD_MSIX(slot) (BOARD_REGISTERS(slot) + 0x200000u)
#define BOARD_MEMORY(slot) (0xd0000000u + 0x4000000u * (slot))
/* System memory of the tests; the first half belongs to slot 0. */
#define BOARD_SYSTEM(slot) (0x1000000u + 0x1000000u * (slot))

struct board {
	struct qtest *qtest;
	struct board_card {
		struct board *board;
		unsigned int slot;
		struct card card;
	} cards[BOARD_SLOTS];
};

/*
 * Start QEMU with `count` cards, called card0 and card1, behind root ports rp0 and
 * rp1; `options` is what follows -device quire, at the first.  Both ports exist
 * whatever count is.
 */
struct board *board_start(unsigned int count, const char *options);
void board_stop(struct board *board);

/* Configure the card in a slot: BARs, bus master, MSI-X vectors to board_vector(). */
void board_plug(struct board *board, unsigned int slot);

/* Configuration space, of the card or of the root port. */
uint32_t board_config_read(struct board *board, unsigned int slot, uint32_t offset,
			   unsigned int bytes);
void board_config_write(struct board *board, unsigned int slot, uint32_t offset, uint32_t value,
			unsigned int bytes);
uint32_t board_port_read(struct board *board, unsigned int slot, uint32_t offset,
			 unsigned int bytes);
void board_port_write(struct board *board, unsigned int slot, uint32_t offset, uint32_t value,
		      unsigned int bytes);
/* Offset of a capability, 0 when there is none. */
uint32_t board_capability(struct board *board, unsigned int slot, uint8_t id);
uint32_t board_port_capability(struct board *board, unsigned int slot, uint8_t id);
uint32_t board_extended_capability(struct board *board, unsigned int slot, uint16_t id);

/* Function-level reset, and the configuration again. */
void board_reset_function(struct board *board, unsigned int slot);

/* Messages a vector has left in memory since the last call: 1 or 0, and it is cleared. */
uint32_t board_take_vector(struct board *board, unsigned int slot, unsigned int vector);
bool board_wait_vector(struct board *board, unsigned int slot, unsigned int vector);
void board_mask_vector(struct board *board, unsigned int slot, unsigned int vector, bool mask);
bool board_vector_pending(struct board *board, unsigned int slot, unsigned int vector);

#endif /* QUIRE_TESTS_BOARD_H */
