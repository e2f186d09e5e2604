// SPDX-License-Identifier: MIT
/*
 * PACK and UNPACK on the card's core with its real firmware, under the sanitizers: results
 * are the library's byte for byte, memory may be scattered, and a guest that rewrites the
 * plan meanwhile harms only itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/tile.h>

#include "machine.h"

#define STREAM 0x0u	/* offsets in the data */
#define RESULT 0x8000u
#define SOURCE 0x10000u
#define IMAGE 0x180000u
#define BACK 0x280000u
#define DATA_BYTES 0x400000u

static uint64_t rnd_state = 0x853c49e6748fea9bull;

static uint32_t rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (uint32_t)(rnd_state >> 33) % below;
}

static struct machine *create(unsigned int engines)
{
	const char *error;
	struct machine *machine = machine_create(engines, 1, &error);

	assert_non_null(machine);
	card_boot(&machine->card);
	card_open_context(&machine->card, 0);
	card_start_queue(&machine->card, 0, 0);
	return machine;
}

/* The data of the jobs, which the test may look at while no job runs. */
static uint8_t *data_of(struct machine *machine, uint32_t offset)
{
	return machine->memory + CARD_DATA + offset;
}

struct work {
	struct quire_tiled_shape shape;
	struct quire_tile_choice *choices;
	uint64_t bytes;
	void *image;	/* as the library packs it */
};

/* FP32 numbers at SOURCE, a plan at IMAGE, and what is to become of them. */
static void prepare(struct machine *machine, struct work *w, uint32_t rows, uint32_t columns)
{
	static const uint32_t shapes[4][2] = { { 32, 32 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };
	static uint32_t bits;
	const uint32_t *tile = shapes[rnd(4)];
	float *x = (float *)(void *)data_of(machine, SOURCE);
	const struct quire_dense dense = { x, QUIRE_FORMAT_FP32, 0, columns };
	struct quire_tiled_header *header;
	uint64_t tiles;

	w->shape = (struct quire_tiled_shape){ rows, columns, tile[0], tile[1] };
	tiles = quire_tiled_count(&w->shape);
	w->choices = calloc(tiles, sizeof(*w->choices));
	for (uint64_t i = 0; i < tiles; i++) {
		bits = bits == 0 ? 3 : bits == 32 ? 0 : bits + 1;
		w->choices[i].bits = (uint8_t)bits;
		w->choices[i].scale = bits ? quire_tile_clamp_scale(bits, (int)rnd(20) - 10) : 0;
	}
	for (uint64_t i = 0; i < (uint64_t)rows * columns; i++)
		x[i] = ((float)rnd(1u << 20) - (1u << 19)) / 1024;
	w->bytes = quire_tiled_plan(&w->shape, w->choices);
	assert_in_range(w->bytes, 64, BACK - IMAGE);
	w->image = aligned_alloc(64, (w->bytes + 63) & ~63ull);
	assert_int_equal(0, quire_tiled_pack(&w->shape, &dense, w->choices, w->image, w->bytes, NULL));
	header = (struct quire_tiled_header *)(void *)data_of(machine, IMAGE);
	memset(header, 0xee, w->bytes);
	assert_int_equal(0, quire_tiled_layout(&w->shape, w->choices, header, w->bytes));
	header->magic = QUIRE_TILED_PLAN;
}

static void finish(struct work *w)
{
	free(w->choices);
	free(w->image);
}

static struct quire_packet_pack pack_packet(const struct work *w, uint64_t source, uint64_t image)
{
	return (struct quire_packet_pack){
		{ QUIRE_PACKET_PACK, sizeof(struct quire_packet_pack), 0, CARD_VIRTUAL + RESULT },
		w->shape.rows, w->shape.columns, w->bytes,
		{ source, 0, QUIRE_FORMAT_FP32, w->shape.columns },
		{ image, 0, QUIRE_FORMAT_TILED, 0 } };
}

static struct quire_fence_record run(struct machine *machine, const struct quire_packet_pack *p)
{
	return card_run(&machine->card, 0, STREAM, p, sizeof(*p));
}

/* After a job that failed. */
static void restart_queue(struct card *card)
{
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	card_start_queue(card, 0, 0);
}

static void packs_and_unpacks_as_the_library(void **state)
{
	struct machine *machine = create(2);

	(void)state;
	for (int trial = 0; trial < 24; trial++) {
		struct quire_packet_pack p, back;
		struct quire_packet_result result;
		struct quire_tiled_output output;
		struct quire_tiled view;
		uint64_t digest;
		struct work w;
		double *want;

		prepare(machine, &w, 1 + rnd(200), 1 + rnd(700));
		p = pack_packet(&w, CARD_VIRTUAL + SOURCE, CARD_VIRTUAL + IMAGE);
		assert_int_equal(QUIRE_STATUS_OK, run(machine, &p).status);
		assert_memory_equal(w.image, data_of(machine, IMAGE), w.bytes);
		memcpy(&result, data_of(machine, RESULT), sizeof(result));
		assert_int_equal(quire_tiled_digest(w.image, 0, w.bytes), result.digest);
		back = p;
		back.header.opcode = QUIRE_PACKET_UNPACK;
		back.source = p.destination;
		back.destination = (struct quire_operand){ CARD_VIRTUAL + BACK, 0, QUIRE_FORMAT_FP64,
							   w.shape.columns };
		assert_int_equal(QUIRE_STATUS_OK, run(machine, &back).status);
		want = calloc((uint64_t)w.shape.rows * w.shape.columns, sizeof(*want));
		output = (struct quire_tiled_output){ .data = want, .format = QUIRE_FORMAT_FP64,
						      .leading_dimension = w.shape.columns };
		assert_int_equal(0, quire_tiled_open(w.image, w.bytes, &view, NULL));
		assert_int_equal(0, quire_tiled_unpack(&view, w.shape.rows, w.shape.columns, &output,
						       NULL, &digest, NULL));
		assert_memory_equal(want, data_of(machine, BACK),
				    (uint64_t)w.shape.rows * w.shape.columns * sizeof(*want));
		memcpy(&result, data_of(machine, RESULT), sizeof(result));
		assert_int_equal(digest, result.digest);
		free(want);
		finish(&w);
	}
	machine_destroy(machine);
}

/* Every page of source and image somewhere else, in reverse. */
static void scattered_pages_make_no_difference(void **state)
{
	const uint64_t virtual = 0x7f0000000000ull;
	struct machine *machine = create(1);
	struct quire_packet_pack p;
	struct work w;

	(void)state;
	prepare(machine, &w, 150, 330);
	for (uint64_t offset = SOURCE; offset < BACK; offset += 4096) {
		uint64_t to = offset < IMAGE ? SOURCE + (IMAGE - 4096 - offset) :
					       IMAGE + (BACK - 4096 - offset);

		card_map(&machine->card, 0, virtual + to,
			 (CARD_DATA + offset) | QUIRE_PTE_READ | QUIRE_PTE_WRITE);
	}
	/* What lies in order by virtual address is in reverse in memory. */
	for (uint32_t part = 0; part < 2; part++) {
		uint32_t from = part ? IMAGE : SOURCE, to = part ? BACK : IMAGE;
		uint8_t *copy = malloc(to - from);

		memcpy(copy, data_of(machine, from), to - from);
		for (uint32_t at = 0; at < to - from; at += 4096)
			memcpy(data_of(machine, to - 4096 - at), copy + at, 4096);
		free(copy);
	}
	p = pack_packet(&w, virtual + SOURCE, virtual + IMAGE);
	assert_int_equal(QUIRE_STATUS_OK, run(machine, &p).status);
	for (uint64_t at = 0; at < w.bytes; at += 4096)
		assert_memory_equal((uint8_t *)w.image + at, data_of(machine, (uint32_t)(BACK - 4096 - at)),
				    w.bytes - at < 4096 ? w.bytes - at : 4096);
	finish(&w);
	machine_destroy(machine);
}

/* The image is packed in bands; the source ends before the last of them. */
static void what_failed_is_no_image(void **state)
{
	struct machine *machine = create(2);
	struct card *card = &machine->card;
	struct quire_packet_pack p;
	struct quire_fence_record record;
	const struct quire_tiled_header *header;
	struct work w;

	(void)state;
	prepare(machine, &w, 90, 100);
	p = pack_packet(&w, CARD_VIRTUAL + SOURCE, CARD_VIRTUAL + IMAGE);
	header = (const void *)data_of(machine, IMAGE);
	assert_int_equal(QUIRE_STATUS_OK, run(machine, &p).status);
	assert_int_equal(QUIRE_TILED_MAGIC, header->magic);
	p.source.address = CARD_VIRTUAL + DATA_BYTES - 4096;
	record = run(machine, &p);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record.status);
	assert_int_equal(QUIRE_FAULT_UNIT_SOURCE, record.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	assert_int_equal(QUIRE_TILED_PLAN, header->magic);
	/* The same again with a source that is all there. */
	restart_queue(card);
	p.source.address = CARD_VIRTUAL + SOURCE;
	assert_int_equal(QUIRE_STATUS_OK, run(machine, &p).status);
	assert_memory_equal(w.image, header, w.bytes);
	finish(&w);
	machine_destroy(machine);
}

/* With the thread sanitizer, to which the guest's writes are races, the plan changes before the job. */
#ifdef __SANITIZE_THREAD__
#define CHANGES_MEANWHILE 0
#else
#define CHANGES_MEANWHILE 1
#endif

/* Descriptors and header change all the time; whatever the jobs say, nothing outside changes. */
static void a_plan_that_changes_harms_nothing_else(void **state)
{
	struct machine *machine = create(2);
	struct card *card = &machine->card;
	struct quire_packet_pack p;
	uint8_t *before, *after;
	struct work w;

	(void)state;
	prepare(machine, &w, 120, 300);
	p = pack_packet(&w, CARD_VIRTUAL + SOURCE, CARD_VIRTUAL + IMAGE);
	before = malloc(DATA_BYTES);
	memcpy(before, data_of(machine, 0), DATA_BYTES);
	for (int trial = 0; trial < 300; trial++) {
		uint64_t sequence, word, at;

		card->access.memory_write(machine, CARD_DATA + STREAM, &p, sizeof(p));
		card->access.memory_write(machine, CARD_DATA + IMAGE, before + IMAGE,
					  quire_tiled_data_start(quire_tiled_count(&w.shape)));
		sequence = card_push(card, 0, CARD_VIRTUAL + STREAM, sizeof(p));
		at = rnd(64 + 16 * 8) / 8 * 8;
		memcpy(&word, before + IMAGE + at, sizeof(word));
		word ^= 1ull << rnd(64);
		if (trial & 1 || !CHANGES_MEANWHILE)
			card->access.memory_write(machine, CARD_DATA + IMAGE + at, &word, sizeof(word));
		card_doorbell(card, 0);
		if (!(trial & 1) && CHANGES_MEANWHILE)
			card->access.memory_write(machine, CARD_DATA + IMAGE + at, &word, sizeof(word));
		if (card_wait_record(card, 0, sequence).status != QUIRE_STATUS_OK)
			restart_queue(card);
	}
	after = data_of(machine, 0);
	assert_memory_equal(before + SOURCE, after + SOURCE, IMAGE - SOURCE);
	assert_memory_equal(before + IMAGE + w.bytes, after + IMAGE + w.bytes,
			    DATA_BYTES - IMAGE - w.bytes);
	free(before);
	finish(&w);
	machine_destroy(machine);
}

/* Two bands or more of rows, all of which need all of B; then B is wrong, and that is seen. */
static void bands_of_a_product_read_a_tiled_operand_once(void **state)
{
	enum { M = 2048, N = 512 };
	static struct quire_tile_choice choices[N / 32 * N / 32];
	const struct quire_tiled_shape shape = { N, N, 32, 32 };
	const struct quire_packet_gemm p = {
		.header = { QUIRE_PACKET_GEMM, sizeof(p), 0, CARD_VIRTUAL + RESULT },
		.m = M, .n = N, .k = N, .batch = 1, .alpha = 0x3f800000,
		.a = { CARD_VIRTUAL + SOURCE, 0, QUIRE_FORMAT_POSIT8, N },
		.b = { CARD_VIRTUAL + IMAGE, 0, QUIRE_FORMAT_TILED, 0 },
		.d = { CARD_VIRTUAL + BACK, 0, QUIRE_FORMAT_POSIT8, N },
	};
	struct machine *machine = create(1);
	struct quire_packet_result result;
	struct quire_fence_record record;
	struct quire_dense dense;
	uint64_t bytes;

	(void)state;
	for (uint32_t i = 0; i < M * N; i++)
		data_of(machine, SOURCE)[i] = (uint8_t)rnd(256);
	for (uint32_t i = 0; i < N / 32 * N / 32; i++)
		choices[i].bits = 8;
	bytes = quire_tiled_plan(&shape, choices);
	dense = (struct quire_dense){ data_of(machine, SOURCE), QUIRE_FORMAT_POSIT8, 0, N };
	assert_int_equal(0, quire_tiled_pack(&shape, &dense, choices, data_of(machine, IMAGE), bytes,
					     NULL));
	for (int run_again = 0; run_again < 2; run_again++) {
		assert_int_equal(QUIRE_STATUS_OK, card_run(&machine->card, 0, STREAM, &p, sizeof(p)).status);
		memcpy(&result, data_of(machine, RESULT), sizeof(result));
		assert_int_equal(M * N + bytes, result.bytes_read);
	}
	data_of(machine, IMAGE)[bytes - 1] ^= 0x40;
	record = card_run(&machine->card, 0, STREAM, &p, sizeof(p));
	assert_int_equal(QUIRE_STATUS_BAD_TILE, record.status);
	assert_int_equal(15ull << 32 | 15, record.fault_address);
	machine_destroy(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packs_and_unpacks_as_the_library),
		cmocka_unit_test(scattered_pages_make_no_difference),
		cmocka_unit_test(what_failed_is_no_image),
		cmocka_unit_test(bands_of_a_product_read_a_tiled_operand_once),
		cmocka_unit_test(a_plan_that_changes_harms_nothing_else),
	};

	return cmocka_run_group_tests_name("core pack", tests, NULL, NULL);
}
