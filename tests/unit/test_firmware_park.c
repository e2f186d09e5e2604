// SPDX-License-Identifier: MIT
/* Queues that are parked and go on elsewhere, and pages that hold nothing to go on with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

#define IMAGE 0x40000u	/* of a tiled A: 640 x 640 in 16 x 16 tiles, the data left out */
#define GRID 40u

/* What PARK and RESUME need to know of a page to forge one, in words. */
#define PAGE_BYTES 1
#define PAGE_CHECKSUM 2
#define PAGE_SEQUENCE 4	/* and 5 */

static uint32_t state_of(struct card *card, unsigned int q)
{
	return card->queue[q][QUIRE_QUEUE_STATE / 4];
}

static void park(struct card *card, unsigned int q)
{
	card->events_posted = 0;
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_PARK, q));
	assert_int_equal(card->mailbox_sequence, card->mailbox_done);
}

/* Go on with what the page of `from` holds, on ring `to`, in another context. */
static uint32_t resume(struct card *card, unsigned int from, unsigned int to)
{
	uint32_t page = card->queue[from][QUIRE_QUEUE_SAVE_LO / 4];

	configure_queue(card, to, 1);
	card->queue[to][QUIRE_QUEUE_SAVE_LO / 4] = page;
	card->queue[to][QUIRE_QUEUE_CONTEXT / 4] = 3 + to % 8;
	card->queue[to][QUIRE_QUEUE_RESUME / 4] = 1;
	card->sequence[to] = card->sequence[from];
	return mailbox(card, QUIRE_MAILBOX_QUEUE_START, to);
}

static void an_idle_queue_is_parked_at_once_and_goes_on_elsewhere(void **state)
{
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	for (int i = 0; i < 40; i++) {
		push(card, 0, 0, 0);
		ring(card, 0);
		run(card);
	}
	park(card, 0);
	assert_int_equal(QUIRE_QUEUE_PARKED, state_of(card, 0));
	assert_true(card->events_posted & QUIRE_EVENT_QUEUE_PARKED);
	/* it is parked: a doorbell does nothing */
	push(card, 0, 0, 0);
	ring(card, 0);
	run(card);
	assert_int_equal(40, card->jobs);
	/* the entries that are not yet done move along */
	memcpy(card->bus + RING(5), card->bus + RING(0), 0x1000);
	assert_int_equal(QUIRE_MAILBOX_OK, resume(card, 0, 5));
	assert_int_equal(40, card->queue[5][QUIRE_QUEUE_COMPLETED / 4]);
	assert_int_equal(40, card->jobs);
	ring(card, 5);
	run(card);
	assert_int_equal(41, record(card, 5, 41).sequence);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 5, 41).status);
	/* the first ring is free for another */
	start_queue(card, 0, 1);
	push(card, 0, 0, 0);
	ring(card, 0);
	run(card);
	assert_int_equal(1, card->queue[0][QUIRE_QUEUE_COMPLETED / 4]);
	destroy(card);
}

static void end_all_bands(struct card *card)
{
	for (unsigned int e = 0; e < ENGINES; e++)
		if (card->engine_band[e])
			end_band(card, e, QUIRE_STATUS_OK);
	run(card);
}

/* Parked `each` bands, on another ring each time. */
static struct quire_fence_record run_in_pieces(const struct quire_packet_gemm *packets,
					       unsigned int count, unsigned int each)
{
	struct card *card = boot(VERSIONS);
	struct quire_fence_record r = { 0 };
	unsigned int q = 0;
	uint32_t contexts = 0;

	card->engines_inline = false;
	start_queue(card, q, 1);
	submit(card, q, packets, count * (uint32_t)sizeof(*packets));
	run(card);
	for (unsigned int rounds = 1; !r.sequence; rounds++) {
		assert_true(rounds < HISTORY);
		if (each && rounds % each == 0) {
			park(card, q);
			assert_int_equal(QUIRE_QUEUE_ACTIVE, state_of(card, q));
			end_all_bands(card);
			/* the job may have ended meanwhile */
			assert_int_equal(QUIRE_QUEUE_PARKED, state_of(card, q));
			assert_int_equal(0, card->queue[q][QUIRE_QUEUE_JOB / 4]);
			assert_int_equal(QUIRE_MAILBOX_OK, resume(card, q, (q + 1) % 8));
			q = (q + 1) % 8;
			run(card);
		} else {
			end_all_bands(card);
		}
		for (unsigned int i = 0; i < 8 && !r.sequence; i++)
			r = record(card, i, 1);
	}
	assert_int_equal(QUIRE_STATUS_OK, r.status);
	for (unsigned int i = 0; i < card->bands; i++)
		contexts |= 1u << card->history[i].band.context;
	assert_true(!each || card->bands < 4 || contexts != 1u << 3);
	for (unsigned int i = 0; i < card->bands; i++)
		card->history[i].band.context = 3;
	if (count == 1)
		check_tiling(card, packets->m, packets->n, packets->batch);
	destroy(card);
	return r;
}

static void a_job_in_pieces_is_the_same_job(void **state)
{
	const struct quire_packet_gemm whole[] = { gemm(8, 8, 8, 1), gemm(512, 512, 64, 1),
						   gemm(8, 8, 8, 3), gemm(64, 4096, 1024, 2),
						   gemm(300, 7, 4096, 1) };

	(void)state;
	for (unsigned int first = 0; first < 5; first++) {
		/* one packet alone, and all of them */
		unsigned int count = first ? 1 : 5;
		struct quire_fence_record plain = run_in_pieces(&whole[first], count, 0);

		for (unsigned int each = 1; each < 4; each++) {
			struct quire_fence_record r = run_in_pieces(&whole[first], count, each);

			assert_int_equal(plain.digest, r.digest);
			assert_int_equal(plain.macs, r.macs);
			assert_int_equal(plain.cycles, r.cycles);
			assert_int_equal(plain.modelled_pj, r.modelled_pj);
			assert_true(r.started < r.ended && r.busy_ns < r.ended - r.started);
		}
	}
}

static void no_serial_number_is_used_again(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(VERSIONS);
	unsigned int before;

	(void)state;
	card->engines_inline = false;
	start_queue(card, 0, 1);
	submit(card, 0, &p, sizeof(p));
	run(card);
	send(card, QUIRE_MAILBOX_QUEUE_PARK, 0);
	end_all_bands(card);
	before = card->bands;
	assert_int_equal(QUIRE_MAILBOX_OK, resume(card, 0, 0));
	assert_int_equal(1, card->queue[0][QUIRE_QUEUE_JOB / 4]);
	while (!record(card, 0, 1).sequence)
		end_all_bands(card);
	assert_true(card->bands > before + 1);
	for (unsigned int i = before; i < card->bands; i++)
		for (unsigned int j = 0; j < before; j++)
			assert_int_not_equal(card->history[j].band.serial, card->history[i].band.serial);
	destroy(card);
}

static unsigned int countdown, parked_queue;

static void park_after_some_transfers(struct card *card)
{
	if (countdown && !--countdown)
		send(card, QUIRE_MAILBOX_QUEUE_PARK, parked_queue);
}

/* Of each row of tiles the first `stored` have 8 bits. */
static void write_image(struct card *card, uint32_t stored)
{
	struct quire_tiled_header h = { QUIRE_TILED_MAGIC, QUIRE_TILED_VERSION, 640, 640, 16, 16,
					GRID * GRID, (uint64_t)GRID * stored, 0, { 0, 0 } };
	struct quire_tile *tiles = (struct quire_tile *)(card->bus + IMAGE + sizeof(h));
	uint64_t at = quire_tiled_data_start(h.tiles);

	memset(tiles, 0, GRID * GRID * sizeof(*tiles));
	for (uint32_t i = 0; i < GRID * GRID; i++)
		if (i % GRID < stored) {
			tiles[i].bits = 8;
			tiles[i].offset = (uint32_t)(at / QUIRE_TILED_UNIT);
			at += quire_tile_bytes(16, 16, 8);
		}
	h.image_bytes = at;
	memcpy(card->bus + IMAGE, &h, sizeof(h));
}

static struct quire_packet_gemm tiled_gemm(void)
{
	struct quire_packet_gemm p = gemm(640, 64, 640, 1);

	p.a = (struct quire_operand){ IMAGE, 0, QUIRE_FORMAT_TILED, 0 };
	return p;
}

static struct quire_packet_pack tiled_pack(struct card *card)
{
	struct quire_tiled_header *h = (struct quire_tiled_header *)(card->bus + IMAGE);
	struct quire_packet_pack p = {
		.header = { QUIRE_PACKET_PACK, sizeof(p), 0, 0 },
		.rows = 640, .columns = 640, .image_bytes = h->image_bytes,
		.source = { 0x100000000ull, 0, QUIRE_FORMAT_FP32, 640 },
		.destination = { IMAGE, 0, QUIRE_FORMAT_TILED, 0 },
	};

	return p;
}

/* A tiled operand is walked in pieces, between any two of which a queue can be parked. */
static void a_walk_goes_on_where_it_was(void **state)
{
	(void)state;
	for (int pack = 0; pack < 2; pack++) {
		unsigned int transfers = 1, parked = 0, bands = 0;

		for (bool in_time = true; in_time; transfers++) {
			struct card *card = boot(VERSIONS);
			struct quire_packet_gemm product = tiled_gemm();
			struct quire_packet_pack packing;

			write_image(card, 20);
			packing = tiled_pack(card);
			start_queue(card, 0, 1);
			card->on_dma = park_after_some_transfers;
			countdown = transfers;
			parked_queue = 0;
			if (pack)
				submit(card, 0, &packing, sizeof(packing));
			else
				submit(card, 0, &product, sizeof(product));
			run(card);
			in_time = !record(card, 0, 1).sequence;
			if (in_time) {
				assert_int_equal(QUIRE_QUEUE_PARKED, state_of(card, 0));
				parked++;
				assert_int_equal(QUIRE_MAILBOX_OK, resume(card, 0, 1));
				run(card);
				assert_int_equal(1, record(card, 1, 1).sequence);
				assert_int_equal(QUIRE_STATUS_OK, record(card, 1, 1).status);
			}
			for (unsigned int i = 0; i < card->bands; i++)
				card->history[i].band.context = 3;
			check_tiling(card, 640, pack ? 640 : 64, 1);
			/* the k of the stored tiles was not lost */
			if (bands)
				assert_int_equal(bands, card->bands);
			bands = card->bands;
			destroy(card);
		}
		/* the walk has seven pieces */
		assert_true(parked >= 7);
	}
}

static void a_job_that_fails_while_it_is_parked_has_its_record(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(VERSIONS);

	(void)state;
	card->engines_inline = false;
	start_queue(card, 0, 1);
	submit(card, 0, &p, sizeof(p));
	run(card);
	park(card, 0);
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_PARK, 0));
	end_band(card, 0, QUIRE_STATUS_MMU_FAULT);
	run(card);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	run(card);
	assert_int_equal(QUIRE_QUEUE_FAULTED, state_of(card, 0));
	assert_true(card->events_posted & QUIRE_EVENT_QUEUE_PARKED);
	assert_true(card->events_posted & QUIRE_EVENT_QUEUE_FAULT);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record(card, 0, 1).status);
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_PARK, 0));
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	destroy(card);
}

/* The fence of a job that has nothing left to do does not wait for the queue to go on. */
static void the_last_band_ends_the_job_of_a_queue_that_is_parked(void **state)
{
	struct quire_packet_gemm p = gemm(8, 8, 8, 1);
	struct card *card = boot(VERSIONS);

	(void)state;
	card->engines_inline = false;
	start_queue(card, 0, 1);
	submit(card, 0, &p, sizeof(p));
	push(card, 0, 0, 0);
	ring(card, 0);
	run(card);
	park(card, 0);
	end_band(card, 0, QUIRE_STATUS_OK);
	run(card);
	assert_int_equal(QUIRE_QUEUE_PARKED, state_of(card, 0));
	assert_int_equal(1, record(card, 0, 1).sequence);
	assert_int_equal(0, record(card, 0, 2).sequence);
	assert_int_equal(QUIRE_MAILBOX_OK, resume(card, 0, 0));
	ring(card, 0);
	run(card);
	assert_int_equal(2, record(card, 0, 2).sequence);
	destroy(card);
}

static void stopping_ends_a_queue_at_rest_and_one_on_its_way(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(VERSIONS);

	(void)state;
	card->engines_inline = false;
	for (int at_rest = 0; at_rest < 2; at_rest++) {
		memset(card->bus + RECORDS(0), 0, 0x1000);
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		park(card, 0);
		if (at_rest)
			end_all_bands(card);
		send(card, QUIRE_MAILBOX_QUEUE_STOP, 0);
		run(card);
		if (!at_rest) {
			assert_int_not_equal(card->mailbox_sequence, card->mailbox_done);
			end_band(card, 0, QUIRE_STATUS_CANCELLED);
			end_band(card, 1, QUIRE_STATUS_CANCELLED);
			run(card);
		}
		assert_int_equal(card->mailbox_sequence, card->mailbox_done);
		assert_int_equal(QUIRE_QUEUE_OFF, state_of(card, 0));
		assert_int_equal(0, record(card, 0, 1).sequence);
	}
	/* what it was parked with is still in its page */
	assert_int_equal(QUIRE_MAILBOX_OK, resume(card, 0, 1));
	while (!record(card, 1, 1).sequence)
		end_all_bands(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 1, 1).status);
	destroy(card);
}

static void without_a_page_nothing_is_parked(void **state)
{
	struct card *card = boot(VERSIONS);

	(void)state;
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_PARK, 64));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_PARK, 0));
	configure_queue(card, 0, 1);
	card->queue[0][QUIRE_QUEUE_SAVE_LO / 4] = 0;
	card->queue[0][QUIRE_QUEUE_RESUME / 4] = 1;
	assert_int_equal(QUIRE_MAILBOX_BAD_CONFIG, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 0));
	card->queue[0][QUIRE_QUEUE_RESUME / 4] = 0;
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 0));
	assert_int_equal(QUIRE_MAILBOX_BAD_CONFIG, mailbox(card, QUIRE_MAILBOX_QUEUE_PARK, 0));
	assert_int_equal(QUIRE_QUEUE_ACTIVE, state_of(card, 0));
	destroy(card);
}

static void a_page_that_cannot_be_written_fails_the_queue(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);

	(void)state;
	for (int in_job = 0; in_job < 2; in_job++) {
		struct card *card = boot(VERSIONS);

		card->engines_inline = false;
		configure_queue(card, 0, 1);
		card->queue[0][QUIRE_QUEUE_SAVE_LO / 4] = BUS_BYTES;
		assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 0));
		if (in_job)
			submit(card, 0, &p, sizeof(p));
		run(card);
		park(card, 0);
		end_all_bands(card);
		assert_int_equal(QUIRE_QUEUE_FAULTED, state_of(card, 0));
		assert_true(card->events_posted & QUIRE_EVENT_QUEUE_PARKED);
		assert_true(card->events_posted & QUIRE_EVENT_QUEUE_FAULT);
		assert_int_equal(in_job, record(card, 0, 1).sequence);
		if (in_job)
			assert_int_equal(QUIRE_STATUS_FIRMWARE, record(card, 0, 1).status);
		assert_non_null(strstr(card->log, "park failed"));
		destroy(card);
	}
}

static void seal(uint32_t *page)
{
	uint32_t sum = 0x811c9dc5u;

	page[PAGE_CHECKSUM] = 0;
	for (uint32_t i = 0; i < page[PAGE_BYTES] / 4 && i < QUIRE_SAVE_BYTES / 4; i++)
		sum = (sum ^ page[i]) * 0x01000193u;
	page[PAGE_CHECKSUM] = sum;
}

/* A job is named whatever its number: one whose low word is 0, too. */
static void a_number_whose_low_word_is_0_can_be_seen(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(VERSIONS);
	uint32_t *page = (uint32_t *)(card->bus + SAVE(0));

	(void)state;
	start_queue(card, 0, 1);
	push(card, 0, 0, 0);
	ring(card, 0);
	run(card);
	park(card, 0);
	page[PAGE_SEQUENCE] = 0;
	page[PAGE_SEQUENCE + 1] = 1;
	seal(page);
	assert_int_equal(QUIRE_MAILBOX_OK, resume(card, 0, 1));
	assert_int_equal(0, card->queue[1][QUIRE_QUEUE_JOB / 4]);
	card->sequence[1] = 0xffffffffu;
	card->engines_inline = false;
	submit(card, 1, &p, sizeof(p));
	run(card);
	assert_int_equal(QUIRE_JOB_LOW_WORD_0, card->queue[1][QUIRE_QUEUE_JOB / 4]);
	while (record(card, 1, 1ull << 32).sequence != 1ull << 32)
		end_all_bands(card);
	assert_int_equal(0, card->queue[1][QUIRE_QUEUE_JOB / 4]);
	destroy(card);
}

/* The ring is resumed right behind the stop of another queue on it, whose time is not its own. */
static void a_queue_resumed_in_the_place_of_another_counts_its_own_time(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(VERSIONS);

	(void)state;
	card->engines_inline = false;
	start_queue(card, 1, 1);
	submit(card, 1, &p, sizeof(p));
	run(card);
	park(card, 1);
	end_all_bands(card);
	assert_int_equal(QUIRE_QUEUE_PARKED, state_of(card, 1));
	start_queue(card, 0, 1);
	submit(card, 0, &p, sizeof(p));
	run(card);
	send(card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	run(card);
	card->queue[0][QUIRE_QUEUE_SAVE_LO / 4] = SAVE(1);
	card->queue[0][QUIRE_QUEUE_RESUME / 4] = 1;
	send(card, QUIRE_MAILBOX_QUEUE_START, 0);
	run(card);
	card->time += 1000000000u;
	end_band(card, 0, QUIRE_STATUS_CANCELLED);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	run(card);
	assert_int_equal(QUIRE_QUEUE_ACTIVE, state_of(card, 0));
	assert_int_equal(1, card->queue[0][QUIRE_QUEUE_JOB / 4]);
	assert_in_range(card->queue[0][QUIRE_QUEUE_JOB_US / 4], 0, 10000);
	destroy(card);
}

/* A queue parked in the middle of a packet; in the middle of a walk when tiled. */
static struct card *parked_card(bool tiled)
{
	struct quire_packet_gemm p = tiled ? tiled_gemm() : gemm(512, 512, 64, 2);
	struct card *card = boot(VERSIONS);

	write_image(card, 20);
	card->engines_inline = false;
	start_queue(card, 0, 1);
	if (tiled) {
		card->on_dma = park_after_some_transfers;
		countdown = 5;
		parked_queue = 0;
	}
	submit(card, 0, &p, sizeof(p));
	run(card);
	if (!tiled) {
		park(card, 0);
		end_all_bands(card);
	}
	card->on_dma = NULL;
	assert_int_equal(QUIRE_QUEUE_PARKED, state_of(card, 0));
	return card;
}

static void a_page_that_was_written_over_is_refused(void **state)
{
	struct card *card = parked_card(false);
	uint32_t *page = (uint32_t *)(card->bus + SAVE(0));
	uint32_t words = page[PAGE_BYTES] / 4;

	(void)state;
	assert_true(words > 100 && words <= QUIRE_SAVE_BYTES / 4);
	for (uint32_t i = 0; i < words; i++) {
		page[i] ^= 1u << (i % 32);
		assert_int_equal(QUIRE_MAILBOX_BAD_CONFIG, resume(card, 0, 0));
		assert_int_equal(QUIRE_QUEUE_PARKED, state_of(card, 0));
		page[i] ^= 1u << (i % 32);
		card->log_length = 0;
	}
	assert_int_equal(QUIRE_MAILBOX_OK, resume(card, 0, 0));
	destroy(card);
}

/* Whatever a page says under a right checksum: it is refused, or leads to bands inside D. */
static void a_forged_page_leads_nowhere(void **state)
{
	static const uint32_t values[] = { 0, 1, 3, 16, 64, 0xffff, 0x10000, 0x7fffffff, 0xffffffff };
	unsigned int refused = 0, taken = 0;

	(void)state;
	for (int tiled = 0; tiled < 2; tiled++) {
		struct card *card = parked_card(tiled);
		uint32_t *page = (uint32_t *)(card->bus + SAVE(0));
		uint32_t saved[QUIRE_SAVE_BYTES / 4], words = page[PAGE_BYTES] / 4;

		memcpy(saved, page, sizeof(saved));
		for (uint32_t i = 0; i < 9 * words; i++) {
			memcpy(page, saved, sizeof(saved));
			page[i / 9] = values[i % 9];
			seal(page);
			card->bands = 0;
			card->log_length = 0;
			if (resume(card, 0, 1) != QUIRE_MAILBOX_OK) {
				refused++;
				continue;
			}
			run(card);
			taken++;
			for (unsigned int b = 0; b < card->bands; b++) {
				const struct quire_band *band = &card->history[b].band;
				const struct quire_packet_gemm *p = &card->history[b].packet;

				assert_int_equal(QUIRE_PACKET_GEMM, p->header.opcode);
				assert_in_range(band->row, 0, p->m - 1);
				assert_in_range(band->rows, 1, p->m - band->row);
				assert_in_range(band->column, 0, p->n - 1);
				assert_in_range(band->columns, 1, p->n - band->column);
				assert_in_range(band->batch, 0, p->batch - 1);
				assert_in_range(band->batches, 1, p->batch - band->batch);
			}
			send(card, QUIRE_MAILBOX_QUEUE_STOP, 1);
			run(card);
			for (unsigned int e = 0; e < ENGINES; e++)
				if (card->engine_band[e])
					end_band(card, e, QUIRE_STATUS_CANCELLED);
			run(card);
			assert_int_equal(QUIRE_QUEUE_OFF, state_of(card, 1));
		}
		destroy(card);
	}
	print_message("forged pages: %u refused, %u went on\n", refused, taken);
	assert_true(refused > 1000 && taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_queue_is_parked_at_once_and_goes_on_elsewhere),
		cmocka_unit_test(a_job_in_pieces_is_the_same_job),
		cmocka_unit_test(no_serial_number_is_used_again),
		cmocka_unit_test(a_walk_goes_on_where_it_was),
		cmocka_unit_test(a_job_that_fails_while_it_is_parked_has_its_record),
		cmocka_unit_test(the_last_band_ends_the_job_of_a_queue_that_is_parked),
		cmocka_unit_test(stopping_ends_a_queue_at_rest_and_one_on_its_way),
		cmocka_unit_test(without_a_page_nothing_is_parked),
		cmocka_unit_test(a_page_that_cannot_be_written_fails_the_queue),
		cmocka_unit_test(a_number_whose_low_word_is_0_can_be_seen),
		cmocka_unit_test(a_queue_resumed_in_the_place_of_another_counts_its_own_time),
		cmocka_unit_test(a_page_that_was_written_over_is_refused),
		cmocka_unit_test(a_forged_page_leads_nowhere),
	};

	return cmocka_run_group_tests_name("firmware park", tests, NULL, NULL);
}
