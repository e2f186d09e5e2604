// SPDX-License-Identifier: MIT
/* Tiled operands and images before any engine sees them, on a faked card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

#define IMAGE 0x40000u	/* of a tiled A: 640 x 640 in 16 x 16 tiles, the data left out */
#define GRID 40u

/* Of each row of tiles the first `stored` have 8 bits. */
static struct quire_packet_gemm tiled_gemm(struct card *card, uint32_t stored)
{
	struct quire_packet_gemm p = gemm(640, 64, 640, 1);
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
	p.a = (struct quire_operand){ IMAGE, 0, QUIRE_FORMAT_TILED, 0 };
	return p;
}

static void bands_of_a_tiled_product_hold_what_is_stored(void **state)
{
	static const uint32_t stored[] = { 0, 1, 20, 40 };
	unsigned int dense, bands[4];

	(void)state;
	for (int i = -1; i < 4; i++) {
		struct card *card = boot(VERSIONS);
		struct quire_packet_gemm p = tiled_gemm(card, i < 0 ? 0 : stored[i]);

		if (i < 0)
			p = gemm(640, 64, 640, 1);
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		check_tiling(card, 640, 64, 1);
		*(i < 0 ? &dense : &bands[i]) = card->bands;
		destroy(card);
	}
	assert_int_equal(1, bands[0]);
	assert_int_equal(1, bands[1]);
	assert_in_range(bands[2], 2, dense / 2 + 1);
	assert_int_equal(dense, bands[3]);
}

static void wrong_tile_ends_the_job_before_any_band(void **state)
{
	enum { ROW = 23, COLUMN = 7 };	/* in the fourth piece of the walk */
	struct card *card = boot(VERSIONS);
	struct quire_packet_gemm p = tiled_gemm(card, GRID);
	struct quire_tiled_header *h = (struct quire_tiled_header *)(card->bus + IMAGE);
	struct quire_tile *tile = (struct quire_tile *)(h + 1) + ROW * GRID + COLUMN;

	(void)state;
#define WRONG(place, value, field, where)                                                      \
	do {                                                                                   \
		struct quire_fence_record r;                                                   \
									                       \
		p = tiled_gemm(card, GRID);                                                    \
		(place) = (value);                                                             \
		start_queue(card, 0, 1);                                                       \
		submit(card, 0, &p, sizeof(p));                                                \
		run(card);                                                                     \
		r = record(card, 0, 1);                                                        \
		assert_int_equal(QUIRE_STATUS_BAD_TILE, r.status);                             \
		assert_int_equal(field, r.detail);                                             \
		assert_int_equal(where, r.fault_address);                                      \
		assert_int_equal(QUIRE_FAULT_UNIT_A << QUIRE_FAULT_UNIT_SHIFT, r.fault_info);  \
		assert_int_equal(0, card->bands);                                              \
		assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0)); \
	} while (0)
#define WRONG_TILE(field, value)                                                               \
	WRONG(tile->field, value, offsetof(struct quire_tile, field), (uint64_t)ROW << 32 | COLUMN)
#define WRONG_HEADER(field, value)                                                             \
	WRONG(h->field, value, offsetof(struct quire_tiled_header, field), QUIRE_BAD_TILE_HEADER)
	WRONG_TILE(bits, 33);
	WRONG_TILE(bits, 1);
	WRONG_TILE(scale, 127);
	WRONG_TILE(largest, 0x8001);
	WRONG_TILE(offset, 0);
	WRONG_TILE(offset, 0xffffffff);
	WRONG_HEADER(magic, 0);
	WRONG_HEADER(version, QUIRE_TILED_VERSION + 1);
	WRONG_HEADER(rows, 639);
	WRONG_HEADER(columns, 630);
	WRONG_HEADER(tile_rows, 8);
	WRONG_HEADER(tiles, 1601);
	WRONG_HEADER(image_bytes, 64);
#undef WRONG_HEADER
#undef WRONG_TILE
#undef WRONG
	/* D in the middle of the image, whose size only its header tells. */
	p = tiled_gemm(card, GRID);
	p.d.address = IMAGE + 4096;
	start_queue(card, 0, 1);
	submit(card, 0, &p, sizeof(p));
	run(card);
	assert_int_equal(QUIRE_STATUS_BAD_PACKET, record(card, 0, 1).status);
	assert_int_equal(offsetof(struct quire_packet_gemm, d.address), record(card, 0, 1).detail);
	assert_int_equal(0, card->bands);
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	/* An image that ends where nothing is mapped. */
	p = tiled_gemm(card, GRID);
	start_queue(card, 0, 1);
	card->unmapped_from = IMAGE + 8192;
	memcpy(card->bus + 0x8000, &p, sizeof(p));
	push(card, 0, 0x8000, sizeof(p));
	ring(card, 0);
	run(card);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record(card, 0, 1).status);
	assert_int_equal(IMAGE + 8192, record(card, 0, 1).fault_address);
	destroy(card);
}

/* A plan at IMAGE: 640 x 640 in 16 x 16 tiles of 8 bits, FP32 numbers behind the bus's end. */
static struct quire_packet_pack pack_of(struct card *card, uint16_t opcode)
{
	const struct quire_operand dense = { 0x100000000ull, 0, QUIRE_FORMAT_FP32, 640 };
	const struct quire_operand image = tiled_gemm(card, GRID).a;
	struct quire_tiled_header *h = (struct quire_tiled_header *)(card->bus + IMAGE);
	bool packs = opcode == QUIRE_PACKET_PACK;

	if (packs)
		h->magic = QUIRE_TILED_PLAN;
	return (struct quire_packet_pack){
		{ opcode, sizeof(struct quire_packet_pack), 0, 0 }, 640, 640, h->image_bytes,
		packs ? dense : image, packs ? image : dense };
}

static uint32_t magic_of(const struct card *card)
{
	return ((const struct quire_tiled_header *)(card->bus + IMAGE))->magic;
}

/* Of more elements than a band may have, in tiles of `tile` rows. */
static void check_windows(struct card *card, uint32_t rows, uint32_t columns, uint32_t tile_rows,
			  uint32_t tile_columns)
{
	for (unsigned int i = 0; i < card->bands; i++) {
		const struct quire_band *b = &card->history[i].band;

		assert_int_equal(0, b->row % tile_rows);
		assert_int_equal(0, b->column % tile_columns);
		assert_true(b->rows % tile_rows == 0 || b->row + b->rows == rows);
		assert_true(b->columns % tile_columns == 0 || b->column + b->columns == columns);
		assert_true((uint64_t)b->rows * b->columns <= 1u << 20);
	}
}

static void bands_of_packing_are_whole_tiles(void **state)
{
	static const uint32_t cases[][4] = { { 640, 640, 16, 16 }, { 5000, 1000, 32, 32 },
					     { 100, 100000, 64, 64 }, { 3, 1200000, 1, 256 } };

	(void)state;
	for (int i = 0; i < 4; i++) {
		const uint32_t *c = cases[i];
		struct card *card = boot(VERSIONS);
		struct quire_packet_pack p = pack_of(card, QUIRE_PACKET_PACK);
		struct quire_tiled_header *h = (struct quire_tiled_header *)(card->bus + IMAGE);

		h->rows = p.rows = c[0];
		h->columns = p.columns = p.source.leading_dimension = c[1];
		h->tile_rows = c[2];
		h->tile_columns = c[3];
		h->tiles = (uint64_t)quire_tiled_grid(c[0], c[2]) * quire_tiled_grid(c[1], c[3]);
		h->stored_tiles = 0;
		h->image_bytes = p.image_bytes = quire_tiled_data_start(h->tiles);
		assert_true(IMAGE + h->image_bytes <= STREAM);
		memset(h + 1, 0, h->image_bytes - sizeof(*h));
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		assert_int_equal(QUIRE_TILED_MAGIC, magic_of(card));
		check_tiling(card, c[0], c[1], 1);
		check_windows(card, c[0], c[1], c[2], c[3]);
		destroy(card);
	}
}

/* Readers refuse the magic of a plan: what is half packed is no image. */
static void image_is_one_only_when_all_bands_have_ended(void **state)
{
	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		struct card *card = boot(VERSIONS);
		struct quire_packet_pack p = pack_of(card, QUIRE_PACKET_PACK);
		struct quire_tiled_header *h = (struct quire_tiled_header *)(card->bus + IMAGE);

		h->magic = QUIRE_TILED_MAGIC;	/* packed before, by the same plan */
		card->engines_inline = false;
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(1, card->bands);
		assert_int_equal(QUIRE_TILED_PLAN, magic_of(card));
		assert_int_equal(0, record(card, 0, 1).sequence);
		end_band(card, 0, fails ? QUIRE_STATUS_MMU_FAULT : QUIRE_STATUS_OK);
		run(card);
		assert_int_equal(1, record(card, 0, 1).sequence);
		assert_int_equal(fails ? QUIRE_STATUS_MMU_FAULT : QUIRE_STATUS_OK,
				 record(card, 0, 1).status);
		assert_int_equal(fails ? QUIRE_TILED_PLAN : QUIRE_TILED_MAGIC, magic_of(card));
		destroy(card);
	}
}

static void wrong_plan_ends_the_job_with_nothing_written(void **state)
{
	enum { TILE = 23 * GRID + 7 };
	struct card *card = boot(VERSIONS);
	struct quire_tiled_header *h = (struct quire_tiled_header *)(card->bus + IMAGE);
	struct quire_tile *tile = (struct quire_tile *)(h + 1) + TILE;
	uint8_t *before = malloc(BUS_BYTES - IMAGE);

	(void)state;
#define WRONG(opcode, place, value, field, where)                                              \
	do {                                                                                   \
		struct quire_packet_pack p = pack_of(card, opcode);                            \
		uint32_t unit = (opcode) == QUIRE_PACKET_PACK ? QUIRE_FAULT_UNIT_DESTINATION : \
								QUIRE_FAULT_UNIT_SOURCE;       \
		struct quire_fence_record r;                                                   \
									                       \
		(place) = (value);                                                             \
		memcpy(before, h, BUS_BYTES - IMAGE);                                          \
		start_queue(card, 0, 1);                                                       \
		submit(card, 0, &p, sizeof(p));                                                \
		memcpy(before + (STREAM - IMAGE), card->bus + STREAM, sizeof(p));              \
		run(card);                                                                     \
		r = record(card, 0, 1);                                                        \
		assert_int_equal(QUIRE_STATUS_BAD_TILE, r.status);                             \
		assert_int_equal(field, r.detail);                                             \
		assert_int_equal(where, r.fault_address);                                      \
		assert_int_equal(unit << QUIRE_FAULT_UNIT_SHIFT, r.fault_info);                \
		assert_int_equal(0, card->bands);                                              \
		assert_memory_equal(before, h, BUS_BYTES - IMAGE);                             \
		assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0)); \
	} while (0)
#define WRONG_TILE(opcode, field, value)                                                       \
	WRONG(opcode, tile->field, value, offsetof(struct quire_tile, field), 23ull << 32 | 7)
#define WRONG_HEADER(opcode, field, value)                                                     \
	WRONG(opcode, h->field, value, offsetof(struct quire_tiled_header, field),             \
	      QUIRE_BAD_TILE_HEADER)
	WRONG_TILE(QUIRE_PACKET_PACK, bits, 2);
	WRONG_TILE(QUIRE_PACKET_PACK, scale, 127);
	WRONG_TILE(QUIRE_PACKET_PACK, offset, tile->offset + 1);	/* a gap */
	WRONG_TILE(QUIRE_PACKET_PACK, offset, tile->offset - 1);	/* an overlap */
	WRONG_HEADER(QUIRE_PACKET_PACK, magic, 0);
	WRONG_HEADER(QUIRE_PACKET_PACK, stored_tiles, GRID * GRID - 1);
	WRONG_HEADER(QUIRE_PACKET_PACK, image_bytes, h->image_bytes - 32);
	WRONG_TILE(QUIRE_PACKET_UNPACK, bits, 2);
	WRONG_TILE(QUIRE_PACKET_UNPACK, offset, 0);
	WRONG_HEADER(QUIRE_PACKET_UNPACK, magic, QUIRE_TILED_PLAN);
	WRONG_HEADER(QUIRE_PACKET_UNPACK, columns, 639);
#undef WRONG_HEADER
#undef WRONG_TILE
#undef WRONG
	free(before);
	destroy(card);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bands_of_a_tiled_product_hold_what_is_stored),
		cmocka_unit_test(wrong_tile_ends_the_job_before_any_band),
		cmocka_unit_test(bands_of_packing_are_whole_tiles),
		cmocka_unit_test(image_is_one_only_when_all_bands_have_ended),
		cmocka_unit_test(wrong_plan_ends_the_job_with_nothing_written),
	};

	return cmocka_run_group_tests_name("firmware tiled", tests, NULL, NULL);
}
