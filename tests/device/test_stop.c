// SPDX-License-Identifier: MIT
/* A machine that is stopped: its cards stand still, too, and go on with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "board.h"

#define BYTES 0x80000u		/* of one copy, by rows of one byte */
#define SOURCE 0x100000u	/* from CARD_VIRTUAL, and from CARD_DATA */
#define TARGET 0x200000u
#define COPIES 15u

struct setting {
	struct board *board;
	struct card *card;
	uint8_t source[BYTES];
};

static void command(struct setting *s, const char *name)
{
	char text[64], answer[256];

	snprintf(text, sizeof(text), "{\"execute\": \"%s\"}", name);
	if (!qtest_command(s->board->qtest, text, answer, sizeof(answer)))
		fail_msg("%s: %s", name, answer);
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ 0, ms * 1000000 }, NULL);
}

/* A job that takes a second or so, and is under way. */
static void begin(struct setting *s)
{
	struct quire_packet_copy copy[COPIES] = { 0 };
	struct card *card;

	s->board = board_start(1, "engines=2");
	s->card = card = &s->board->cards[0].card;
	card_boot(card);
	card_open_context(card, 0);
	card_start_queue(card, 0, 0);
	for (unsigned int i = 0; i < BYTES; i++)
		s->source[i] = (uint8_t)(i * 31 >> 3);
	card->access.memory_write(card->access.opaque, CARD_DATA + SOURCE, s->source, BYTES);
	for (unsigned int i = 0; i < COPIES; i++) {
		copy[i].header.opcode = QUIRE_PACKET_COPY;
		copy[i].header.bytes = sizeof(copy[i]);
		copy[i].source = CARD_VIRTUAL + SOURCE;
		copy[i].destination = CARD_VIRTUAL + TARGET + i % 2 * 0x80000u;
		copy[i].row_bytes = copy[i].source_stride = copy[i].destination_stride = 1;
		copy[i].rows = BYTES;
	}
	card->access.memory_write(card->access.opaque, CARD_DATA, copy, sizeof(copy));
	card_write(card, QUIRE_REG_EVENT_ENABLE, ~0u);
	card_push(card, 0, CARD_VIRTUAL, sizeof(copy));
	card_doorbell(card, 0);
	card_wait(card, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB_BANDS, 1);
}

struct picture {
	uint8_t card[2 * BYTES];
	uint8_t system[0x1000];		/* the records */
	uint32_t registers[6];
	uint32_t vectors;
};

static void look(struct setting *s, struct picture *p)
{
	static const uint32_t registers[6] = {
		QUIRE_REG_HEARTBEAT, QUIRE_REG_EVENT_STATUS, QUIRE_REG_MAILBOX_DONE,
		QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_COMPLETED, QUIRE_REG_QUEUE(0) + QUIRE_QUEUE_JOB,
		QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_CYCLES),
	};
	const struct card_access *access = &s->card->access;

	memset(p, 0, sizeof(*p));
	access->memory_read(access->opaque, CARD_DATA + TARGET, p->card, sizeof(p->card));
	access->system_read(access->opaque, card_records(s->card, 0), p->system, sizeof(p->system));
	for (int i = 0; i < 6; i++)
		p->registers[i] = card_read(s->card, registers[i]);
	for (unsigned int i = 0; i < 2; i++)
		p->vectors += board_take_vector(s->board, 0, i);
}

static void a_stopped_machine_changes_nothing_and_goes_on(void **state)
{
	static struct setting s;
	static struct picture before, after;
	static uint8_t result[BYTES];

	(void)state;
	begin(&s);
	for (int round = 0; round < 5; round++) {
		command(&s, "stop");
		look(&s, &before);
		assert_int_equal(0, card_record(s.card, 0, 1).sequence);
		pause_ms(120);
		look(&s, &after);
		assert_memory_equal(before.card, after.card, sizeof(before.card));
		assert_memory_equal(before.system, after.system, sizeof(before.system));
		assert_memory_equal(before.registers, after.registers, sizeof(before.registers));
		assert_int_equal(0, after.vectors);
		command(&s, "cont");
		pause_ms(10);
	}
	assert_int_equal(QUIRE_STATUS_OK, card_wait_record(s.card, 0, 1).status);
	for (uint32_t half = 0; half < 2; half++) {
		s.card->access.memory_read(s.card->access.opaque,
					   CARD_DATA + TARGET + half * BYTES, result, BYTES);
		assert_memory_equal(s.source, result, BYTES);
	}
	board_stop(s.board);
}

/* What the machine's user does to a card meanwhile counts once the machine goes on. */
static void commands_to_a_stopped_machine_wait(void **state)
{
	static struct setting s;
	uint32_t done;

	(void)state;
	begin(&s);
	command(&s, "stop");
	done = card_read(s.card, QUIRE_REG_MAILBOX_DONE);
	card_write(s.card, QUIRE_REG_MAILBOX_COMMAND, QUIRE_MAILBOX_QUEUE_STOP);
	card_write(s.card, QUIRE_REG_MAILBOX_ARGUMENT, 0);
	card_write(s.card, QUIRE_REG_MAILBOX_SEND, done + 1);
	pause_ms(100);
	assert_int_equal(done, card_read(s.card, QUIRE_REG_MAILBOX_DONE));
	command(&s, "cont");
	card_wait(s.card, QUIRE_REG_MAILBOX_DONE, done + 1);
	assert_int_equal(QUIRE_MAILBOX_OK, card_read(s.card, QUIRE_REG_MAILBOX_RESULT));
	board_stop(s.board);
}

static void a_stopped_machine_is_reset(void **state)
{
	static struct setting s;
	struct card_access access;

	(void)state;
	begin(&s);
	command(&s, "stop");
	board_reset_function(s.board, 0);
	assert_int_equal(QUIRE_BOOT_OFF, card_read(s.card, QUIRE_REG_BOOT_STATUS));
	command(&s, "cont");
	access = s.card->access;
	card_init(s.card, &access, BOARD_SYSTEM(0));
	card_boot(s.card);
	board_stop(s.board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stopped_machine_changes_nothing_and_goes_on),
		cmocka_unit_test(commands_to_a_stopped_machine_wait),
		cmocka_unit_test(a_stopped_machine_is_reset),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("device stop", tests, NULL, NULL);
}
