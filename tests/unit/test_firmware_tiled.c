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
		struct card *card = boot(0x10001);
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
	struct card *card = boot(0x10001);
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
	WRONG_HEADER(version, 2);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bands_of_a_tiled_product_hold_what_is_stored),
		cmocka_unit_test(wrong_tile_ends_the_job_before_any_band),
	};

	return cmocka_run_group_tests_name("firmware tiled", tests, NULL, NULL);
}
