// SPDX-License-Identifier: MIT
/*
 * Packing and unpacking through quire.h, on cpu and on the card, against the library that
 * tests/unit/test_tile.c holds against exact rationals: every byte of every image.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/hw.h>
#include <quirenum/tile.h>

#include "../oracle/digest.h"
#include "sdk.h"

static const uint32_t tile_shapes[][2] = { { 32, 32 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };
static const uint32_t formats[] = {
	QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP64,	  QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32,
	QUIRE_FORMAT_BF16, QUIRE_FORMAT_POSIT(8), QUIRE_FORMAT_FP16,	QUIRE_FORMAT_E4M3,
	QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,	  QUIRE_FORMAT_POSIT(5), QUIRE_FORMAT_POSIT(27),
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

/* A dense matrix in a buffer, and the same numbers here. */
struct dense {
	struct quire_matrix matrix;
	void *at;	/* element (0, 0) in the buffer */
};

static void make_dense(struct dense *d, uint32_t format, uint32_t rows, uint32_t columns)
{
	uint64_t element = quire_format_bytes(format), pitch = columns + rnd(5), bytes;
	void *base;

	bytes = (rows * pitch + 3) * element;
	d->matrix = (struct quire_matrix){ .offset = 3 * element, .format = format, .rows = rows,
					   .columns = columns, .batch = 1,
					   .leading_dimension = (uint32_t)pitch };
	assert_int_equal(0, quire_buffer_create(context, bytes, QUIRE_PLACEMENT_SYSTEM,
						&d->matrix.buffer));
	assert_int_equal(0, quire_buffer_map(d->matrix.buffer, &base));
	d->at = (uint8_t *)base + d->matrix.offset;
}

/* Numbers of all sizes, some of them NaN, infinite and 0: random bits, mostly tamed. */
static void fill_dense(const struct dense *d)
{
	const struct quire_matrix *m = &d->matrix;
	float *x = malloc((uint64_t)m->rows * m->columns * sizeof(*x));
	uint64_t element = quire_format_bytes(m->format);

	for (uint64_t i = 0; i < (uint64_t)m->rows * m->columns; i++) {
		uint32_t bits = rnd(1u << 16) | rnd(1u << 16) << 16;

		if (rnd(50))
			bits = (bits & 0x807fffff) | (100 + rnd(50)) << 23;
		memcpy(&x[i], &bits, 4);
	}
	assert_int_equal(0, quire_matrix_put_f32(m, x, m->columns));
	free(x);
	/* what FP32 does not have */
	for (uint32_t i = 0; i < m->columns && rnd(2); i++)
		for (uint64_t b = 0; b < element; b++)
			((uint8_t *)d->at)[i * element + b] = (uint8_t)rnd(256);
}

struct plan {
	struct quire_tiled_shape shape;
	struct quire_tile_choice *choices;
	uint64_t tiles, bytes;
};

/* Each n of 0, 3 .. 32 in its turn, so that all occur. */
static void make_plan(struct plan *p, uint32_t rows, uint32_t columns, unsigned int shape)
{
	static uint32_t bits;

	p->shape = (struct quire_tiled_shape){ rows, columns, tile_shapes[shape][0],
					       tile_shapes[shape][1] };
	p->tiles = quire_tiled_count(&p->shape);
	p->choices = calloc(p->tiles, sizeof(*p->choices));
	for (uint64_t i = 0; i < p->tiles; i++) {
		bits = bits == 0 ? 3 : bits == 32 ? 0 : bits + 1;
		p->choices[i].bits = (uint8_t)bits;
		if (bits)
			p->choices[i].scale = quire_tile_clamp_scale(bits, (int)rnd(60) - 30);
	}
	p->bytes = quire_tiled_plan(&p->shape, p->choices);
	assert_true(p->bytes > 0);
}

static void alloc_plan(const struct plan *p, struct quire_matrix *m)
{
	assert_int_equal(0, quire_matrix_alloc_tiled(context, p->shape.rows, p->shape.columns,
						     p->shape.tile_rows, p->shape.tile_columns,
						     p->choices, m));
}

/* The image as the library packs it; freed by the caller. */
static void *expected_image(const struct plan *p, const struct dense *d)
{
	const struct quire_dense dense = { d->at, d->matrix.format, 0, d->matrix.leading_dimension };
	void *image = aligned_alloc(64, (p->bytes + 63) & ~63ull);

	assert_int_equal(0, quire_tiled_pack(&p->shape, &dense, p->choices, image, p->bytes, NULL));
	return image;
}

static void check_image(const struct plan *p, const struct quire_matrix *packed, const void *want,
			const struct quire_packet_result *result)
{
	const struct quire_tile *tiles = (const void *)((const struct quire_tiled_header *)want + 1);
	uint8_t *image = malloc(p->bytes);
	uint64_t digest = 0, nar = 0;

	assert_int_equal(0, quire_buffer_read(packed->buffer, packed->offset, image, p->bytes));
	assert_memory_equal(want, image, p->bytes);
	for (uint64_t i = 0; i < p->bytes / 4; i++)
		digest += oracle_digest_word(i, ((const uint32_t *)want)[i]);
	for (uint64_t i = 0; i < p->tiles; i++)
		nar += tiles[i].largest == QUIRE_TILE_LARGEST_NAR;
	assert_int_equal(digest, result->digest);
	assert_int_equal(nar, result->exceptional);
	assert_true(result->bytes_written >= p->bytes - quire_tiled_data_start(p->tiles));
	free(image);
}

static void check_unpacked(const struct plan *p, const struct quire_matrix *packed, const void *image)
{
	uint32_t format = formats[rnd(FORMATS)];
	uint64_t element = quire_format_bytes(format), digest, exceptional;
	struct quire_packet_result result;
	struct quire_tiled_output output;
	struct quire_tiled view;
	struct dense d;
	uint8_t *want;

	make_dense(&d, format, p->shape.rows, p->shape.columns);
	want = calloc(d.matrix.leading_dimension * (uint64_t)p->shape.rows, element);
	output = (struct quire_tiled_output){ .data = want, .format = format,
					      .leading_dimension = d.matrix.leading_dimension };
	assert_int_equal(0, quire_tiled_open(image, p->bytes, &view, NULL));
	assert_int_equal(0, quire_tiled_unpack(&view, p->shape.rows, p->shape.columns, &output, NULL,
					       &digest, &exceptional));
	if (quire_matrix_unpack(&d.matrix, packed, &result))
		fail_msg("%s", quire_last_error());
	assert_memory_equal(want, d.at, (d.matrix.leading_dimension * (uint64_t)(p->shape.rows - 1) +
					 p->shape.columns) * element);
	assert_int_equal(digest, result.digest);
	assert_int_equal(exceptional, result.exceptional);
	quire_matrix_free(&d.matrix);
	free(want);
}

static void pack_once(uint32_t rows, uint32_t columns, unsigned int shape, uint32_t format)
{
	struct quire_packet_result result;
	struct quire_matrix packed;
	struct dense d;
	struct plan p;
	void *want;

	make_plan(&p, rows, columns, shape);
	make_dense(&d, format, rows, columns);
	fill_dense(&d);
	alloc_plan(&p, &packed);
	want = expected_image(&p, &d);
	if (quire_matrix_pack(&packed, &d.matrix, &result))
		fail_msg("%s", quire_last_error());
	check_image(&p, &packed, want, &result);
	check_unpacked(&p, &packed, want);
	/* Other numbers over these, by the same plan. */
	fill_dense(&d);
	free(want);
	want = expected_image(&p, &d);
	assert_int_equal(0, quire_matrix_pack(&packed, &d.matrix, &result));
	check_image(&p, &packed, want, &result);
	free(want);
	free(p.choices);
	quire_matrix_free(&packed);
	quire_matrix_free(&d.matrix);
}

static void images_are_those_of_the_library_byte_for_byte(void **state)
{
	(void)state;
	for (uint32_t trial = 0; trial < 48; trial++)
		pack_once(1 + rnd(200), 1 + rnd(600), trial % 4, formats[trial % FORMATS]);
	/* bands of several rows of tiles, and of parts of a row */
	pack_once(1500, 1300, 0, QUIRE_FORMAT_FP32);
	pack_once(70, 40000, 2, QUIRE_FORMAT_POSIT16);
	pack_once(5, 1100000, 3, QUIRE_FORMAT_E4M3);
}

/* Packing, a product with it and unpacking in one job. */
static void commands_of_a_list_see_what_was_packed_before(void **state)
{
	enum { N = 90 };
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	struct quire_matrix packed, back, d, e;
	struct quire_fence fence;
	quire_cmdlist *list;
	quire_queue *queue;
	struct dense x;
	struct plan p;

	(void)state;
	make_plan(&p, N, N, 0);
	make_dense(&x, QUIRE_FORMAT_FP32, N, N);
	for (uint64_t i = 0; i < (uint64_t)N * x.matrix.leading_dimension; i++)
		((float *)x.at)[i] = (float)rnd(1000) / 16 - 30;
	alloc_plan(&p, &packed);
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_FP32, N, N, &back));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT32, N, N, &d));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT32, N, N, &e));
	assert_int_equal(0, quire_cmdlist_create(context, 0, &list));
	assert_int_equal(0, quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue));
	desc.a = desc.b = &packed;
	desc.d = &d;
	assert_int_equal(0, quire_cmdlist_pack(list, &packed, &x.matrix));
	assert_int_equal(1, quire_cmdlist_gemm(list, &desc));
	assert_int_equal(2, quire_cmdlist_unpack(list, &back, &packed));
	for (int run = 0; run < 2; run++) {
		assert_int_equal(0, quire_queue_submit(queue, &list, 1, NULL, 0, &fence));
		if (quire_fence_wait(fence, QUIRE_FOREVER))
			fail_msg("%s", quire_last_error());
		assert_int_equal(0, quire_matrix_get_f32(&packed, x.at, x.matrix.leading_dimension));
		assert_int_equal(0, quire_matmul(context, &packed, &packed, &e));
	}
	desc.a = desc.b = &back;
	desc.d = &e;
	{
		struct quire_packet_result of_tiled, of_dense;

		/* FP32 holds n up to 28 exactly; the tiles here have 0, 3 .. */
		assert_int_equal(0, quire_cmdlist_result(list, 1, &of_tiled));
		assert_int_equal(0, quire_gemm_run(context, &desc, &of_dense));
		assert_int_equal(of_dense.digest, of_tiled.digest);
	}
	quire_queue_free(queue);
	quire_cmdlist_free(list);
	quire_matrix_free(&packed);
	quire_matrix_free(&back);
	quire_matrix_free(&d);
	quire_matrix_free(&e);
	quire_matrix_free(&x.matrix);
	free(p.choices);
}

static void wrong_plan_stops_the_job_and_changes_nothing(void **state)
{
	enum { N = 96, TILE = 5 };	/* tile (1, 2) of a grid of 3 x 3 */
	struct quire_tile_choice choices[9] = { { 0, 0 } };
	struct quire_tiled_header *header, good_header;
	struct quire_tile *tile, good;
	struct quire_matrix packed;
	uint8_t *before, *image;
	uint64_t bytes;
	struct dense d;
	void *mapped;

	(void)state;
	for (int i = 0; i < 9; i++)
		choices[i].bits = i == 7 ? 0 : 9;
	make_dense(&d, QUIRE_FORMAT_FP32, N, N);
	fill_dense(&d);
	assert_int_equal(0, quire_matrix_alloc_tiled(context, N, N, 32, 32, choices, &packed));
	assert_int_equal(0, quire_buffer_map(packed.buffer, &mapped));
	image = mapped;
	header = mapped;
	tile = (struct quire_tile *)(header + 1) + TILE;
	bytes = header->image_bytes;
	before = malloc(bytes);
	good = *tile;
	good_header = *header;
#define REFUSED(change, words)                                                         \
	do {                                                                           \
		change;                                                                \
		memcpy(before, image, bytes);                                          \
		assert_int_equal(-EFAULT, quire_matrix_pack(&packed, &d.matrix, NULL)); \
		says(words);                                                           \
		says("the destination");                                               \
		assert_memory_equal(before, image, bytes);                             \
		*tile = good;                                                          \
		*header = good_header;                                                 \
	} while (0)
	for (int packed_before = 0; packed_before < 2; packed_before++) {
		REFUSED(tile->bits = 33, "tile (1, 2)");
		REFUSED(tile->bits = 8, "tile (2, 0)");	/* a gap */
		REFUSED(tile->bits = 10, "tile (2, 0)"); /* an overlap */
		REFUSED(tile->scale = 120, "wrong scale");
		REFUSED(tile->offset++, "tile (1, 2) of the destination has a wrong offset");
		REFUSED(tile->offset = (tile - 1)->offset, "wrong offset");
		REFUSED(tile->offset = 0xffffffff, "wrong offset");
		REFUSED(header->version = QUIRE_TILED_VERSION + 1, "wrong version");
		REFUSED(header->magic ^= 1, "wrong magic");
		REFUSED(header->rows = 95, "wrong rows");
		REFUSED(header->stored_tiles--, "wrong stored_tiles");
		assert_int_equal(0, quire_matrix_pack(&packed, &d.matrix, NULL));
		good = *tile;
		good_header = *header;
	}
#undef REFUSED
	/* A plan alone is no operand, and neither is what a packet says of its size. */
	header->magic = QUIRE_TILED_PLAN;
	assert_int_equal(-EFAULT, quire_matrix_unpack(&d.matrix, &packed, NULL));
	says("wrong magic");
	header->magic = QUIRE_TILED_MAGIC;
	header->image_bytes += 32;
	assert_int_equal(-EFAULT, quire_matrix_pack(&packed, &d.matrix, NULL));
	says("wrong image_bytes");
	header->image_bytes -= 32;
	/* One bit of the data. */
	image[tile->offset * QUIRE_TILED_UNIT + 7] ^= 1;
	assert_int_equal(-EFAULT, quire_matrix_unpack(&d.matrix, &packed, NULL));
	says("tile (1, 2) of the source has a wrong checksum");
	image[tile->offset * QUIRE_TILED_UNIT + 7] ^= 1;
	assert_int_equal(0, quire_matrix_unpack(&d.matrix, &packed, NULL));
	quire_matrix_free(&packed);
	quire_matrix_free(&d.matrix);
	free(before);
}

/* A source that ends too early, when most of the image has been packed already. */
static void half_packed_is_no_image(void **state)
{
	enum { ROWS = 2000, COLUMNS = 1100 };
	struct quire_packet_pack packet;
	struct quire_matrix packed, small;
	struct quire_fence fence;
	struct quire_fault fault;
	quire_cmdlist *list;
	quire_queue *queue;
	struct dense d;
	struct plan p;

	(void)state;
	make_plan(&p, ROWS, COLUMNS, 0);
	make_dense(&d, QUIRE_FORMAT_FP32, ROWS, COLUMNS);
	fill_dense(&d);
	alloc_plan(&p, &packed);
	assert_int_equal(0, quire_matrix_pack(&packed, &d.matrix, NULL));
	packet = (struct quire_packet_pack){
		.header = { QUIRE_PACKET_PACK, sizeof(packet), 0, 0 },
		.rows = ROWS, .columns = COLUMNS, .image_bytes = p.bytes,
		.destination = { quire_buffer_address(packed.buffer), 0, QUIRE_FORMAT_TILED, 0 },
	};
	/* Its last pages are behind the last buffer of all. */
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_FP32, 1900, COLUMNS, &small));
	packet.source = (struct quire_operand){ quire_buffer_address(small.buffer), 0,
						QUIRE_FORMAT_FP32, COLUMNS };
	assert_int_equal(0, quire_cmdlist_create(context, 0, &list));
	assert_int_equal(0, quire_cmdlist_packet(list, &packet, sizeof(packet)));
	assert_int_equal(0, quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue));
	assert_int_equal(0, quire_queue_submit(queue, &list, 1, NULL, 0, &fence));
	assert_int_equal(-EFAULT, quire_fence_wait(fence, QUIRE_FOREVER));
	assert_int_equal(0, quire_queue_get_fault(queue, &fault));
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, fault.status);
	assert_int_equal(QUIRE_FAULT_UNIT_SOURCE, fault.info >> QUIRE_FAULT_UNIT_SHIFT);
	quire_queue_free(queue);
	/* On the card; where all is looked at first, the old image may still be there. */
	{
		struct quire_device_info info = { .size = sizeof(info) };

		assert_int_equal(0, quire_device_get_info(device, &info));
		if (!strcmp(info.backend, "card")) {
			assert_int_equal(-EFAULT, quire_matrix_unpack(&d.matrix, &packed, NULL));
			says("wrong magic");
		}
	}
	assert_int_equal(0, quire_matrix_pack(&packed, &d.matrix, NULL));
	assert_int_equal(0, quire_matrix_unpack(&d.matrix, &packed, NULL));
	quire_cmdlist_free(list);
	quire_matrix_free(&small);
	quire_matrix_free(&packed);
	quire_matrix_free(&d.matrix);
	free(p.choices);
}

static void wrong_fields_are_named(void **state)
{
	struct quire_tile_choice choices[4] = { { 8, 0 }, { 8, 0 }, { 8, 0 }, { 8, 0 } };
	struct quire_matrix packed, other, inside;
	struct dense d;

	(void)state;
	make_dense(&d, QUIRE_FORMAT_FP32, 64, 64);
	assert_int_equal(0, quire_matrix_alloc_tiled(context, 64, 64, 32, 32, choices, &packed));
#define REFUSED(destination, source, words)                                             \
	do {                                                                           \
		assert_int_equal(-EINVAL, quire_matrix_pack(destination, source, NULL)); \
		says(words);                                                           \
	} while (0)
	other = d.matrix;
	other.rows = 63;
	REFUSED(&packed, &other, "63 x 64");
	REFUSED(&d.matrix, &packed, "must be tiled");
	REFUSED(&packed, &packed, "source.format");
	REFUSED(NULL, &d.matrix, "NULL");
	REFUSED(&packed, NULL, "NULL");
	inside = packed;
	inside.format = QUIRE_FORMAT_POSIT8;
	inside.leading_dimension = 64;
	REFUSED(&packed, &inside, "destination.address");
	other = packed;
	other.offset = 64;
	REFUSED(&other, &d.matrix, "pack");
	assert_int_equal(-EINVAL, quire_matrix_unpack(&packed, &d.matrix, NULL));
	says("must be tiled");
	choices[2].bits = 2;
	assert_int_equal(-EINVAL, quire_matrix_alloc_tiled(context, 64, 64, 32, 32, choices, &other));
	says("tile (1, 0)");
#undef REFUSED
	quire_matrix_free(&packed);
	quire_matrix_free(&d.matrix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_are_those_of_the_library_byte_for_byte),
		cmocka_unit_test(commands_of_a_list_see_what_was_packed_before),
		cmocka_unit_test(wrong_plan_stops_the_job_and_changes_nothing),
		cmocka_unit_test(half_packed_is_no_image),
		cmocka_unit_test(wrong_fields_are_named),
	};

	return cmocka_run_group_tests_name("sdk pack", tests, sdk_open, sdk_close);
}
