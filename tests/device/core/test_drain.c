// SPDX-License-Identifier: MIT
/*
 * What a flush that has drained promises: memory that was unmapped is not touched any more,
 * however busy the card is in the same context.  The thread sanitizer sees whether the
 * promise also orders the accesses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "machine.h"

#define WRITERS 4
#define FLIPS 60
#define WINDOW 0x40000000ull	/* what the jobs fill, once here and once there */
#define SLICE 0x28000u		/* of a writer: more than an engine fills inside the doorbell */
#define BYTES (WRITERS * SLICE)
#define PAGES (BYTES / QUIRE_PAGE_BYTES)
#define PLACE(i) (0xa00000u + 0x100000u * (i))
#define CLEAN 0x55

struct writer {
	struct machine *machine;
	unsigned int queue;
	uint32_t bytes;			/* of each fill */
	atomic_bool *stop;
	unsigned int done;
};

static void pause_a_little(void)
{
	const struct timespec pause = { 0, 50000 };

	nanosleep(&pause, NULL);
}

static void *write_on(void *argument)
{
	struct writer *w = argument;
	struct card *card = &w->machine->card;

	while (!*w->stop) {
		uint64_t sequence = card_push(card, w->queue, CARD_VIRTUAL + 0x1000 * w->queue,
					      sizeof(struct quire_packet_fill));

		card_doorbell(card, w->queue);
		while (card_record(card, w->queue, sequence).sequence != sequence)
			pause_a_little();
		assert_int_equal(QUIRE_STATUS_OK, card_record(card, w->queue, sequence).status);
		w->done++;
	}
	return NULL;
}

static void start_writer(struct writer *w)
{
	const struct quire_packet_fill fill = { { QUIRE_PACKET_FILL, sizeof(fill), 0, 0 },
						WINDOW + SLICE * w->queue, w->bytes, 0xaaaaaaaaaaaaaaaaull, 0 };

	w->machine->card.access.memory_write(w->machine, CARD_DATA + 0x1000 * w->queue, &fill,
					     sizeof(fill));
	card_start_queue(&w->machine->card, w->queue, 0);
}

/* The tables' entries change while engines walk them: whole, as a processor writes them. */
static void map_window(struct machine *machine, uint64_t place)
{
	for (uint32_t page = 0; page < PAGES; page++) {
		uint64_t offset = card_entry(&machine->card, 0, WINDOW + page * QUIRE_PAGE_BYTES, 0);
		uint64_t entry = (place + page * QUIRE_PAGE_BYTES) | QUIRE_PTE_VALID |
				 QUIRE_PTE_READ | QUIRE_PTE_WRITE;

		__atomic_store_n((uint64_t *)(machine->memory + offset), entry, __ATOMIC_RELEASE);
	}
}

static void flush_and_drain(struct card *card)
{
	uint32_t flushed;

	card_write(card, QUIRE_REG_TLB_FLUSH, 0);
	flushed = card_read(card, QUIRE_REG_FLUSHED(0));
	while ((int32_t)(card_read(card, QUIRE_REG_DRAINED(0)) - flushed) < 0)
		pause_a_little();
}

static void check_clean(const uint8_t *memory)
{
	if (memory[0] != CLEAN || memcmp(memory, memory + 1, BYTES - 1))
		fail_msg("memory was written after its flush had drained");
}

static void drained_memory_is_left_alone(void **state)
{
	const char *error;
	struct machine *machine = machine_create(2, 1, &error);
	struct card *card = &machine->card;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	atomic_bool stop = false;
	unsigned int dirty = 0;

	(void)state;
	assert_non_null(machine);
	card_boot(card);
	card_open_context(card, 0);
	for (uint32_t page = 0; page < PAGES; page++)
		card_map(card, 0, WINDOW + page * QUIRE_PAGE_BYTES,
			 (PLACE(0) + page * QUIRE_PAGE_BYTES) | QUIRE_PTE_READ | QUIRE_PTE_WRITE);
	for (unsigned int i = 0; i < WRITERS; i++) {
		/* two inside the doorbell, two on the engines' threads */
		writers[i] = (struct writer){ machine, i, i % 2 ? SLICE : 0x4000, &stop, 0 };
		start_writer(&writers[i]);
	}
	for (unsigned int i = 0; i < WRITERS; i++)
		assert_int_equal(0, pthread_create(&threads[i], NULL, write_on, &writers[i]));
	for (unsigned int flip = 0; flip < FLIPS; flip++) {
		uint8_t *old = machine->memory + PLACE(flip % 2);

		map_window(machine, PLACE(1 - flip % 2));
		flush_and_drain(card);
		dirty += memchr(old, 0xaa, BYTES) != NULL;
		memset(old, CLEAN, BYTES);
		for (int i = 0; i < 20; i++)
			pause_a_little();
		check_clean(old);
	}
	stop = true;
	for (unsigned int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(writers[i].done);
	}
	assert_int_equal(card_read(card, QUIRE_REG_FLUSHED(0)), card_read(card, QUIRE_REG_DRAINED(0)));
	/* otherwise it was no test */
	assert_true(dirty > FLIPS / 10);
	machine_destroy(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drained_memory_is_left_alone),
	};

	return cmocka_run_group_tests_name("device core drain", tests, NULL, NULL);
}
