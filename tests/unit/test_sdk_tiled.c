// SPDX-License-Identifier: MIT
/*
 * Tiled matrices through quire.h, on cpu and on the card: their products are those of the
 * numbers that tests/unit/test_tile.c holds against GMP, and what is wrong with an image
 * is said with the place.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <quire/hw.h>

#include "sdk.h"

static void *values_of(const struct quire_matrix *matrix)
{
	void *at;

	assert_int_equal(0, quire_buffer_map(matrix->buffer, &at));
	return (uint8_t *)at + matrix->offset;
}

static const uint32_t tile_shapes[][2] = { { 32, 32 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };

/* A tiled matrix, of 8 tiles `density` stored, with its numbers as a dense FP32 matrix. */
struct tiled {
	struct quire_matrix packed, dense;
	uint32_t tile_rows, tile_columns;
	struct quire_tile_choice *choices;
};

static void make_tiled(struct tiled *t, uint32_t rows, uint32_t columns, uint32_t density)
{
	const uint32_t *tile = tile_shapes[rnd(4)];
	uint64_t tiles = (uint64_t)((rows + tile[0] - 1) / tile[0]) * ((columns + tile[1] - 1) / tile[1]);
	float *x = malloc((uint64_t)rows * columns * sizeof(*x));

	t->tile_rows = tile[0];
	t->tile_columns = tile[1];
	t->choices = calloc(tiles, sizeof(*t->choices));
	for (uint64_t i = 0; i < tiles; i++)
		if (rnd(8) < density) {
			t->choices[i].bits = (uint8_t)(3 + rnd(26)); /* FP32 holds all of them */
			t->choices[i].scale = (int8_t)((int)rnd(9) - 4);
		}
	for (uint64_t i = 0; i < (uint64_t)rows * columns; i++)
		x[i] = ldexpf((float)rnd(1 << 20) - (1 << 19), (int)rnd(12) - 24);
	assert_int_equal(0, quire_matrix_pack_f32(context, rows, columns, tile[0], tile[1],
						  t->choices, x, columns, &t->packed));
	assert_int_equal(0, quire_matrix_get_f32(&t->packed, x, columns));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_FP32, rows, columns, &t->dense));
	assert_int_equal(0, quire_matrix_put_f32(&t->dense, x, columns));
	free(x);
}

static void free_tiled(struct tiled *t)
{
	quire_matrix_free(&t->packed);
	quire_matrix_free(&t->dense);
	free(t->choices);
}

/* Bits of the tile an element lies in. */
static uint32_t bits_at(const struct tiled *t, uint32_t row, uint32_t column)
{
	uint32_t columns = (t->packed.columns + t->tile_columns - 1) / t->tile_columns;

	return t->choices[row / t->tile_rows * columns + column / t->tile_columns].bits;
}

/* Products whose elements are in stored tiles, one by one, by width of A's tile. */
static void count_tiled(const struct tiled *a, uint32_t n, uint64_t macs[3])
{
	memset(macs, 0, 3 * sizeof(*macs));
	for (uint32_t r = 0; r < a->packed.rows; r++)
		for (uint32_t c = 0; c < a->packed.columns; c++) {
			uint32_t bits = bits_at(a, r, c);

			if (bits)
				macs[bits <= 8 ? 0 : bits <= 16 ? 1 : 2] += n;
		}
}

static void tiled_products_are_those_of_the_decoded_numbers(void **state)
{
	(void)state;
	for (int trial = 0; trial < 24; trial++) {
		bool at = trial & 1, bt = trial & 2, both = trial & 4;
		uint32_t m = 1 + rnd(300), n = 1 + rnd(200), k = 1 + rnd(500), density = 1 + rnd(8);
		struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
		struct quire_packet_result of_tiled, of_dense;
		uint64_t before[QUIRE_DEVICE_COUNTERS], after[QUIRE_DEVICE_COUNTERS], macs[3];
		struct quire_matrix d, e;
		struct tiled a, b;

		make_tiled(&a, at ? k : m, at ? m : k, density);
		make_tiled(&b, bt ? n : k, bt ? k : n, density);
		assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT32, m, n, &d));
		assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT32, m, n, &e));
		desc.flags = (at ? QUIRE_GEMM_TRANSPOSE_A : 0) | (bt ? QUIRE_GEMM_TRANSPOSE_B : 0);
		desc.a = &a.packed;
		desc.b = both ? &b.packed : &b.dense;
		desc.d = &d;
		assert_int_equal(0, quire_device_get_counters(device, before));
		if (quire_gemm_run(context, &desc, &of_tiled))
			fail_msg("%s", quire_last_error());
		assert_int_equal(0, quire_device_get_counters(device, after));
		desc.a = &a.dense;
		desc.b = &b.dense;
		desc.d = &e;
		assert_int_equal(0, quire_gemm_run(context, &desc, &of_dense));
		assert_int_equal(of_dense.digest, of_tiled.digest);
		assert_memory_equal(values_of(&e), values_of(&d), (uint64_t)m * n * 4);
		assert_int_equal((uint64_t)m * n * k, of_dense.macs);
		if (!both) {
			/* B is FP32: dearest, and counted as such */
			count_tiled(&a, n, macs);
			assert_int_equal(macs[0] + macs[1] + macs[2], of_tiled.macs);
			assert_int_equal(of_tiled.macs, after[QUIRE_COUNTER_MACS_FP32] -
							before[QUIRE_COUNTER_MACS_FP32] +
							after[QUIRE_COUNTER_MACS_POSIT32] -
							before[QUIRE_COUNTER_MACS_POSIT32]);
		} else {
			assert_true(of_tiled.macs <= of_dense.macs);
		}
		quire_matrix_free(&d);
		quire_matrix_free(&e);
		free_tiled(&a);
		free_tiled(&b);
	}
}

/* posit8 times tiles: each tile's own width says where its products are counted. */
static void counters_and_cost_follow_the_widths_of_tiles(void **state)
{
	static const uint32_t counters[3] = { QUIRE_COUNTER_MACS_POSIT8, QUIRE_COUNTER_MACS_POSIT16,
					      QUIRE_COUNTER_MACS_POSIT32 };
	uint64_t before[QUIRE_DEVICE_COUNTERS], after[QUIRE_DEVICE_COUNTERS], macs[3];
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	struct quire_packet_result result, empty_result;
	struct quire_tile_choice none[49] = { { 0, 0 } };
	float *zeros = calloc(200 * 200, sizeof(*zeros));
	struct quire_matrix b, d, empty;
	struct tiled a;

	(void)state;
	make_tiled(&a, 200, 200, 5);
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT8, 200, 70, &b));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 200, 70, &d));
	assert_int_equal(0, quire_matrix_pack_f32(context, 200, 200, 32, 32, none, zeros, 200, &empty));
	desc.a = &a.packed;
	desc.b = &b;
	desc.d = &d;
	assert_int_equal(0, quire_device_get_counters(device, before));
	assert_int_equal(0, quire_gemm_run(context, &desc, &result));
	assert_int_equal(0, quire_device_get_counters(device, after));
	count_tiled(&a, 70, macs);
	for (int width = 0; width < 3; width++)
		assert_int_equal(macs[width], after[counters[width]] - before[counters[width]]);
	/* An empty matrix costs its descriptors and D, and no product at all. */
	desc.a = &empty;
	assert_int_equal(0, quire_gemm_run(context, &desc, &empty_result));
	assert_int_equal(0, empty_result.macs);
	assert_true(empty_result.modelled_pj < result.modelled_pj);
	assert_true(empty_result.bytes_read < result.bytes_read);
	quire_matrix_free(&b);
	quire_matrix_free(&d);
	quire_matrix_free(&empty);
	free_tiled(&a);
	free(zeros);
}

static void tiled_images_of_a_batch_lie_a_stride_apart(void **state)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	struct quire_matrix together = { 0 }, b, d, one;
	uint64_t stride = 0, offset = 0;
	quire_buffer *buffer;
	struct tiled t[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		make_tiled(&t[i], 70, 90, 6);
		if (quire_buffer_bytes(t[i].packed.buffer) > stride)
			stride = quire_buffer_bytes(t[i].packed.buffer);
	}
	assert_int_equal(0, quire_buffer_create(context, 3 * stride, QUIRE_PLACEMENT_SYSTEM, &buffer));
	for (int i = 0; i < 3; i++, offset += stride) {
		void *image;

		assert_int_equal(0, quire_buffer_map(t[i].packed.buffer, &image));
		assert_int_equal(0, quire_buffer_write(buffer, offset, image,
						       quire_buffer_bytes(t[i].packed.buffer)));
	}
	together = (struct quire_matrix){ .buffer = buffer, .format = QUIRE_FORMAT_TILED, .rows = 70,
					  .columns = 90, .batch = 3, .batch_stride = stride };
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_FP32, 90, 33, &b));
	for (uint32_t i = 0; i < 90 * 33; i++)
		((float *)values_of(&b))[i] = (float)rnd(1000) / 8;
	assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_FP64, 70, 33, 3,
						     QUIRE_PLACEMENT_CARD, &d));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_FP64, 70, 33, &one));
	desc.a = &together;
	desc.b = &b;
	desc.d = &d;
	if (quire_gemm_run(context, &desc, NULL))
		fail_msg("%s", quire_last_error());
	for (int i = 0; i < 3; i++) {
		assert_int_equal(0, quire_matmul(context, &t[i].dense, &b, &one));
		assert_memory_equal(values_of(&one), (double *)values_of(&d) + i * 70 * 33, 70 * 33 * 8);
		free_tiled(&t[i]);
	}
	quire_matrix_free(&together);
	quire_matrix_free(&b);
	quire_matrix_free(&d);
	quire_matrix_free(&one);
}

static void wrong_tile_stops_its_job_with_its_coordinates(void **state)
{
	enum { N = 96, TILE = 5 };	/* tile (1, 2) of a grid of 3 x 3 */
	struct quire_tile_choice choices[9];
	struct quire_matrix a, d;
	float *x = malloc(N * N * sizeof(*x));
	struct quire_tiled_header *header;
	struct quire_tile *tile, good;
	void *image;

	(void)state;
	for (int i = 0; i < 9; i++)
		choices[i] = (struct quire_tile_choice){ 9, 0 };
	for (int i = 0; i < N * N; i++)
		x[i] = (float)rnd(100) - 50;
	assert_int_equal(0, quire_matrix_pack_f32(context, N, N, 32, 32, choices, x, N, &a));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, N, N, &d));
	assert_int_equal(0, quire_buffer_map(a.buffer, &image));
	header = image;
	tile = (struct quire_tile *)(header + 1) + TILE;
	good = *tile;
#define REFUSED(change, words)                                                   \
	do {                                                                           \
		change;                                                                \
		assert_int_equal(-EFAULT, quire_matmul(context, &a, &a, &d));          \
		says(words);                                                           \
		says("of A");                                                          \
		*tile = good;                                                          \
		assert_int_equal(0, quire_matmul(context, &a, &a, &d));                \
	} while (0)
	REFUSED(tile->bits = 33, "tile (1, 2)");
	REFUSED(tile->bits = 2, "wrong bits");
	REFUSED(tile->scale = 120, "wrong scale");
	REFUSED(tile->largest = 0x8001, "wrong largest");
	REFUSED(tile->largest ^= 1, "wrong largest");
	REFUSED(tile->offset = 0, "wrong offset");
	REFUSED(tile->offset = 0xffffffff, "tile (1, 2) of A has a wrong offset");
	REFUSED(tile->checksum ^= 1ull << 63, "tile (1, 2) of A has a wrong checksum");
#undef REFUSED
	/* One bit of its data. */
	((uint8_t *)image)[tile->offset * QUIRE_TILED_UNIT + 100] ^= 4;
	assert_int_equal(-EFAULT, quire_matmul(context, &a, &a, &d));
	says("tile (1, 2) of A has a wrong checksum");
	assert_int_equal(-EBADMSG, quire_matrix_get_f32(&a, x, N));
	((uint8_t *)image)[tile->offset * QUIRE_TILED_UNIT + 100] ^= 4;
	header->version = 7;
	assert_int_equal(-EFAULT, quire_matmul(context, &a, &a, &d));
	says("wrong version");
	header->version = QUIRE_TILED_VERSION;
	header->rows = 95;
	assert_int_equal(-EFAULT, quire_matmul(context, &a, &a, &d));
	says("wrong rows");
	header->rows = N;
	/* A result inside the image, which only its header tells. */
	{
		struct quire_matrix column = d, inside = d;

		column.columns = 1;
		inside.buffer = a.buffer;
		inside.offset = 4096;
		inside.columns = inside.leading_dimension = 1;
		assert_int_equal(-EFAULT, quire_matmul(context, &a, &column, &inside));
		says("d.address");
	}
	assert_int_equal(0, quire_matrix_get_f32(&a, x, N));
	free(x);
	quire_matrix_free(&a);
	quire_matrix_free(&d);
}

static void tiled_matrices_go_through_files(void **state)
{
	char path[] = "/tmp/quire-sdk-XXXXXX";
	struct quire_matrix back;
	struct tiled t;
	float *x = malloc(100 * 80 * sizeof(*x)), *y = malloc(100 * 80 * sizeof(*y));
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	make_tiled(&t, 100, 80, 6);
	assert_int_equal(0, quire_matrix_save_qtn(&t.packed, path));
	assert_int_equal(0, quire_matrix_load_qtn(context, path, &back));
	assert_int_equal(0, quire_matrix_get_f32(&t.packed, x, 80));
	assert_int_equal(0, quire_matrix_get_f32(&back, y, 80));
	assert_memory_equal(x, y, 100 * 80 * sizeof(*x));
	assert_int_equal(0, ftruncate(fd, 0));
	assert_int_equal(-EINVAL, quire_matrix_put_f32(&back, x, 80));
	says("pack_f32");
	assert_int_equal(-EINVAL, quire_matrix_save_qtn(&t.dense, path));
	unlink(path);
	assert_int_equal(-ENOENT, quire_matrix_load_qtn(context, path, &back));
	says(path);
	t.choices[0] = (struct quire_tile_choice){ 2, 0 };
	assert_int_equal(-EINVAL, quire_matrix_pack_f32(context, 100, 80, t.tile_rows, t.tile_columns,
							t.choices, x, 80, &back));
	says("tile (0, 0)");
	assert_int_equal(-EINVAL, quire_matrix_pack_f32(context, 100, 80, 8, 8, t.choices, x, 80, &back));
	says("8 x 8");
	close(fd);
	free_tiled(&t);
	free(x);
	free(y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiled_products_are_those_of_the_decoded_numbers),
		cmocka_unit_test(counters_and_cost_follow_the_widths_of_tiles),
		cmocka_unit_test(tiled_images_of_a_batch_lie_a_stride_apart),
		cmocka_unit_test(wrong_tile_stops_its_job_with_its_coordinates),
		cmocka_unit_test(tiled_matrices_go_through_files),
	};

	return cmocka_run_group_tests_name("sdk tiled", tests, sdk_open, sdk_close);
}
