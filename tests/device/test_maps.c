// SPDX-License-Identifier: MIT
/* Memory of the machine that changes its map while cards use it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"

#define PAGES 64u
#define ROW 64u
#define COPIES 15u			/* packets of one job */
#define SCATTERED (CARD_VIRTUAL + 0x1000000u)
#define TARGET (CARD_VIRTUAL + 0x100000u)
#define CHANGES 60000u
#define PCI_COMMAND 4u
#define PCI_COMMAND_MEMORY 2u

/* A stream of copies from pages of the system, in no order, into card memory, by rows of a line. */
static uint32_t write_stream(struct card *card)
{
	struct quire_packet_copy copy[COPIES] = { 0 };

	for (unsigned int i = 0; i < PAGES; i++)
		card_map(card, 0, SCATTERED + 4096 * i,
			 (card->system + 0x200000 + 4096 * (i * 29 % PAGES)) | QUIRE_PTE_SYSTEM |
				 QUIRE_PTE_READ | QUIRE_PTE_WRITE);
	for (unsigned int i = 0; i < COPIES; i++) {
		copy[i].header.opcode = QUIRE_PACKET_COPY;
		copy[i].header.bytes = sizeof(copy[i]);
		copy[i].source = i % 2 ? TARGET : SCATTERED;
		copy[i].destination = i % 2 ? SCATTERED : TARGET;
		copy[i].row_bytes = copy[i].source_stride = copy[i].destination_stride = ROW;
		copy[i].rows = PAGES * 4096 / ROW;
	}
	card->access.memory_write(card->access.opaque, CARD_DATA, copy, sizeof(copy));
	return sizeof(copy);
}

/* Each change of the map takes the old one away as soon as nobody reads it. */
static void changes_under_transfers_harm_nobody(void **state)
{
	struct board *board = board_start(1, "engines=2");
	struct card *card = &board->cards[0].card;
	uint64_t newest = 0;
	uint32_t command, bytes;

	(void)state;
	card_boot(card);
	card_open_context(card, 0);
	card_start_queue(card, 0, 0);
	bytes = write_stream(card);
	command = board_port_read(board, 1, PCI_COMMAND, 2);
	for (unsigned int i = 0; i < CHANGES; i++) {
		/* two jobs are under way, always */
		while (newest < 2 || card_record(card, 0, newest - 1).sequence == newest - 1) {
			if (newest >= 2)
				assert_int_equal(QUIRE_STATUS_OK,
						 card_record(card, 0, newest - 1).status);
			newest = card_push(card, 0, CARD_VIRTUAL, bytes);
			card_doorbell(card, 0);
		}
		board_port_write(board, 1, PCI_COMMAND,
				 command ^ (i % 2 ? PCI_COMMAND_MEMORY : 0), 2);
	}
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(card, 0, newest).status);
	print_message("# %llu jobs\n", (unsigned long long)newest);
	board_stop(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_under_transfers_harm_nobody),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("device maps", tests, NULL, NULL);
}
