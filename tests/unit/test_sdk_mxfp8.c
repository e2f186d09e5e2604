// SPDX-License-Identifier: MIT
/*
 * MXFP8 through quire.h, on cpu and on the card: what conversions write, products whose exact
 * sums are doubles, the same bits and results on both, and what is wrong with a matrix.
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

#include <cmocka.h>

#include "../oracle/digest.h"
#include "sdk.h"

static uint8_t *bytes_of(const struct quire_matrix *matrix)
{
	void *at;

	assert_int_equal(0, quire_buffer_map(matrix->buffer, &at));
	return (uint8_t *)at + matrix->offset;
}

/* ---- The format, written out again ---- */

static double element_value(uint8_t element)
{
	int field = element >> 3 & 15, fraction = element & 7;
	double x = field ? ldexp(8 + fraction, field - 10) : ldexp(fraction, -9);

	if ((element & 0x7f) == 0x7f)
		return NAN;
	return element & 0x80 ? -x : x;
}

static double value_at(const struct quire_matrix *m, uint32_t batch, uint32_t row, uint32_t column)
{
	const uint8_t *block = bytes_of(m) + ((batch * m->batch_stride +
			       (uint64_t)row * m->leading_dimension) / 32 + column / 32) * 33;

	return block[0] == 255 ? (double)NAN :
				 ldexp(element_value(block[1 + column % 32]), block[0] - 127);
}

/* The nearest element; of two the even one. */
static uint8_t nearest(double x)
{
	uint8_t low = 0, high = 0x7e;
	double below, above;

	if (isnan(x) || isinf(x))
		return 0x7f;
	while (high - low > 1) {
		uint8_t middle = (uint8_t)((low + high) / 2);

		if (element_value(middle) <= fabs(x))
			low = middle;
		else
			high = middle;
	}
	below = fabs(x) - element_value(low);
	above = element_value(high) - fabs(x);
	return (uint8_t)((above < below || (above == below && high % 2 == 0) ? high : low) |
			 (signbit(x) ? 0x80 : 0));
}

static void block_of(const double *x, uint32_t count, uint8_t block[33])
{
	double largest = 0;
	int exponent = -1000, scale;

	for (uint32_t i = 0; i < count; i++)
		if (isfinite(x[i]) && fabs(x[i]) > largest)
			largest = fabs(x[i]);
	if (largest > 0)
		frexp(largest, &exponent);
	scale = exponent - 1 - 8 + 127;
	scale = scale < 0 ? 0 : scale > 254 ? 254 : scale;
	memset(block, 0, 33);
	block[0] = (uint8_t)scale;
	for (uint32_t i = 0; i < count; i++)
		block[1 + i] = nearest(ldexp(x[i], 127 - scale));
}

/* ---- Conversions ---- */

static void check_blocks(const struct quire_matrix *m, const double *x)
{
	const uint32_t blocks = (m->columns + 31) / 32;

	for (uint64_t row = 0; row < (uint64_t)m->rows * m->batch; row++) {
		const uint8_t *at = bytes_of(m) + (row / m->rows * m->batch_stride +
				    row % m->rows * m->leading_dimension) / 32 * 33;

		for (uint32_t b = 0; b < blocks; b++) {
			uint32_t count = m->columns - 32 * b < 32 ? m->columns - 32 * b : 32;
			uint8_t block[33];

			block_of(x + row * m->columns + 32 * b, count, block);
			assert_memory_equal(at + b * 33, block, sizeof(block));
		}
	}
}

static void numbers_go_in_and_out(void **state)
{
	enum { ROWS = 5, COLUMNS = 45, BATCH = 3, COUNT = ROWS * COLUMNS * BATCH };
	static double x[COUNT], got[COUNT];
	static float f[COUNT];
	struct quire_matrix m;

	(void)state;
	assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_MXFP8, ROWS, COLUMNS, BATCH,
						     QUIRE_PLACEMENT_SYSTEM, &m));
	assert_int_equal(m.leading_dimension, 64);
	assert_int_equal(m.batch_stride, ROWS * 64);
	assert_int_equal(quire_buffer_bytes(m.buffer), 4096);	/* 990 bytes in whole pages */
	for (int i = 0; i < COUNT; i++) {
		f[i] = ldexpf((float)rnd(4001) - 2000, (int)rnd(24) - 12 - i / COLUMNS % 5 * 40);
		x[i] = f[i];
	}
	f[3] = INFINITY;
	f[4] = -0.0f;
	f[50] = NAN;
	for (int i = 0; i < COUNT; i++)
		x[i] = f[i];
	assert_int_equal(0, quire_matrix_put_f32(&m, f, COLUMNS));
	check_blocks(&m, x);
	assert_int_equal(0, quire_matrix_get_f64(&m, got, COLUMNS));
	for (int i = 0; i < COUNT; i++) {
		double want = value_at(&m, (uint32_t)i / (ROWS * COLUMNS), (uint32_t)i / COLUMNS % ROWS,
				       (uint32_t)i % COLUMNS);

		assert_true(isnan(want) ? isnan(got[i]) : got[i] == want);
	}
	/* what a matrix has, it keeps */
	assert_int_equal(0, quire_matrix_get_f32(&m, f, COLUMNS));
	assert_int_equal(0, quire_matrix_put_f32(&m, f, COLUMNS));
	for (int i = 0; i < COUNT; i++)
		x[i] = f[i];
	check_blocks(&m, x);
	quire_matrix_free(&m);
}

/* Long rows, more rows than a band: both ways on the device, in pages that follow each other or not. */
static void conversions_on_the_device(void **state)
{
	static const uint32_t shapes[][2] = { { 7, 33 }, { 40, 32000 }, { 300, 500 } };
	const enum quire_placement places[] = { QUIRE_PLACEMENT_CARD, QUIRE_PLACEMENT_SYSTEM };
	quire_cmdlist *list;
	quire_queue *queue;

	(void)state;
	assert_int_equal(0, quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue));
	assert_int_equal(0, quire_cmdlist_create(context, 0, &list));
	for (size_t i = 0; i < 6; i++) {
		const uint32_t rows = shapes[i / 2][0], columns = shapes[i / 2][1];
		const uint64_t count = (uint64_t)rows * columns, blocks = (columns + 31) / 32;
		double *x = malloc(count * sizeof(*x)), *got = malloc(count * sizeof(*got));
		struct quire_matrix from, mx, to;
		struct quire_packet_result results[2];
		struct quire_fence fence;
		uint64_t digest = 0, exceptional = 0;

		assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_FP64, rows, columns, 1,
							     places[i % 2], &from));
		assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_MXFP8, rows, columns, 1,
							     places[i % 2], &mx));
		assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_FP64, rows, columns, 1,
							     places[i % 2], &to));
		for (uint64_t e = 0; e < count; e++)
			x[e] = e % 1009 == 5 ? (double)INFINITY : ldexp((int)rnd(1 << 20) - (1 << 19),
								       (int)rnd(20) - (int)(e / columns % 300));
		assert_int_equal(0, quire_matrix_put_f64(&from, x, columns));
		quire_cmdlist_reset(list);
		assert_int_equal(0, quire_cmdlist_convert(list, &mx, &from));
		assert_int_equal(1, quire_cmdlist_convert(list, &to, &mx));
		assert_int_equal(0, quire_queue_submit(queue, &list, 1, NULL, 0, &fence));
		assert_int_equal(0, quire_fence_wait(fence, QUIRE_FOREVER));
		check_blocks(&mx, x);
		for (uint64_t b = 0; b < rows * blocks * 33; b++) {
			uint8_t byte = bytes_of(&mx)[b];

			digest += oracle_digest_word(b, byte);
			exceptional += b % 33 && (byte & 0x7f) == 0x7f;
		}
		assert_int_equal(0, quire_cmdlist_result(list, 0, &results[0]));
		assert_int_equal(0, quire_cmdlist_result(list, 1, &results[1]));
		assert_int_equal(results[0].digest, digest);
		assert_int_equal(results[0].exceptional, exceptional);
		assert_int_equal(results[0].bytes_read, count * 8);
		assert_int_equal(results[0].bytes_written, rows * blocks * 33);
		assert_int_equal(results[1].bytes_read, rows * blocks * 33);
		assert_int_equal(results[1].exceptional, exceptional);
		assert_int_equal(0, quire_matrix_get_f64(&to, got, columns));
		for (uint64_t e = 0; e < count; e++) {
			double want = value_at(&mx, 0, (uint32_t)(e / columns), (uint32_t)(e % columns));

			assert_true(isnan(want) ? isnan(got[e]) : got[e] == want);
		}
		quire_matrix_free(&from);
		quire_matrix_free(&mx);
		quire_matrix_free(&to);
		free(x);
		free(got);
	}
	quire_cmdlist_free(list);
	quire_queue_free(queue);
}

/* ---- Products ---- */

/* Multiples of 2^-7 below 2^6: sums of some hundred products are exact in doubles. */
static void fill(const struct quire_matrix *m)
{
	uint8_t *at = bytes_of(m);
	uint64_t blocks = (m->batch > 1 ? m->batch * m->batch_stride :
					  (uint64_t)m->rows * m->leading_dimension) / 32;

	for (uint64_t i = 0; i < blocks * 33; i++)
		at[i] = (uint8_t)(i % 33 ? rnd(2) << 7 | (5 + rnd(5)) << 3 | rnd(8) : 125 + rnd(5));
}

static void products_are_exact(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
		uint32_t m = 1 + rnd(70), n = 1 + rnd(70), k = 1 + rnd(100), batch = 1 + rnd(3);
		bool at = round & 1, bt = round & 2;
		struct quire_matrix a, b, d;
		double *got = malloc(sizeof(*got) * batch * m * n);

		assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_MXFP8, at ? k : m,
							     at ? m : k, batch, QUIRE_PLACEMENT_CARD, &a));
		assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_MXFP8, bt ? n : k,
							     bt ? k : n, 1, QUIRE_PLACEMENT_CARD, &b));
		assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_FP64, m, n, batch,
							     QUIRE_PLACEMENT_CARD, &d));
		fill(&a);
		fill(&b);
		desc.flags = (at ? QUIRE_GEMM_TRANSPOSE_A : 0) | (bt ? QUIRE_GEMM_TRANSPOSE_B : 0);
		desc.a = &a;
		desc.b = &b;
		desc.d = &d;
		assert_int_equal(0, quire_gemm_run(context, &desc, NULL));
		assert_int_equal(0, quire_matrix_get_f64(&d, got, n));
		for (uint64_t e = 0; e < (uint64_t)batch * m * n; e++) {
			uint32_t z = (uint32_t)(e / ((uint64_t)m * n)), i = (uint32_t)(e / n % m);
			uint32_t j = (uint32_t)(e % n);
			double sum = 0;

			for (uint32_t l = 0; l < k; l++)
				sum += value_at(&a, z, at ? l : i, at ? i : l) *
				       value_at(&b, 0, bt ? j : l, bt ? l : j);
			assert_true(got[e] == sum);
		}
		quire_matrix_free(&a);
		quire_matrix_free(&b);
		quire_matrix_free(&d);
		free(got);
	}
}

/* A part from the second block of a row on is a matrix. */
static void parts_start_at_blocks(void **state)
{
	struct quire_matrix whole, part, d;
	double got[9];

	(void)state;
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_MXFP8, 10, 100, &whole));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_FP64, 3, 3, &d));
	fill(&whole);
	part = whole;
	part.rows = 3;
	part.columns = 3;
	part.offset = (2 * 128 + 64) / 32 * 33;	/* row 2, column 64 */
	assert_int_equal(0, quire_matmul(context, &part, &part, &d));
	assert_int_equal(0, quire_matrix_get_f64(&d, got, 3));
	for (uint32_t e = 0; e < 9; e++) {
		double sum = 0;

		for (uint32_t l = 0; l < 3; l++)
			sum += value_at(&whole, 0, 2 + e / 3, 64 + l) * value_at(&whole, 0, 2 + l, 64 + e % 3);
		assert_true(got[e] == sum);
	}
	quire_matrix_free(&whole);
	quire_matrix_free(&d);
}

/*
 * Bytes, few of them NaN, so that long sums are not all NaN; they repeat after a prime number, so
 * that no shift by a page or a block goes unseen.
 */
static void fill_with_anything(const struct quire_matrix *m)
{
	const uint64_t bytes = quire_buffer_bytes(m->buffer);
	uint8_t *at = bytes_of(m);
	uint64_t done = bytes < 9973 ? bytes : 9973;

	for (uint64_t i = 0; i < done; i++) {
		at[i] = (uint8_t)rnd(250);
		if (at[i] == 0x7f && rnd(8))	/* NaN as an element */
			at[i] = 0x7e;
	}
	while (done < bytes) {
		uint64_t more = done < bytes - done ? done : bytes - done;

		memcpy(at + done, at, more);
		done += more;
	}
}

/*
 * Any bytes, NaN among them: the results are those the CPU gave, so the card needs no second machine
 * beside it, which an emulated guest would be.  In system memory pages are scattered, and an operand
 * of more than 16 MiB is gathered in parts that start at blocks.
 */
static void results_are_those_of_the_cpu(void **state)
{
	static const struct {
		uint32_t m, n, k, flags, a, b;
		uint64_t digest, exceptional;
	} shapes[] = {
		{ 100, 70, 90, 0, QUIRE_FORMAT_MXFP8, QUIRE_FORMAT_MXFP8,
		  0x6b22be639a557079, 664 },
		{ 64, 200, 300, QUIRE_GEMM_TRANSPOSE_A, QUIRE_FORMAT_MXFP8, QUIRE_FORMAT_BF16,
		  0x2485e806083d47fe, 2244 },
		{ 33, 31, 500, QUIRE_GEMM_TRANSPOSE_B, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_MXFP8,
		  0x9cc73a5b62b44d79, 66 },
		{ 260000, 2, 64, QUIRE_GEMM_TRANSPOSE_A, QUIRE_FORMAT_MXFP8, QUIRE_FORMAT_MXFP8,
		  0x9ec564b46dad0125, 270009 },
		{ 2, 260000, 64, 0, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_MXFP8,
		  0x422b9c37add2dfcd, 6674 },
		{ 17000, 2, 1000, 0, QUIRE_FORMAT_MXFP8, QUIRE_FORMAT_FP32,
		  0x0f548ba900041f18, 18988 },
	};
	const char *backend = getenv("QUIRE_BACKEND");
	const bool on_card = !backend || strcmp(backend, "cpu");

	(void)state;
	/* The CPU knows no placements: once is enough there, where the large ones take seconds. */
	for (size_t i = 0; i < 2 * sizeof(shapes) / sizeof(shapes[0]); i += on_card ? 1 : 2) {
		const uint32_t m = shapes[i / 2].m, n = shapes[i / 2].n, k = shapes[i / 2].k;
		const bool at = shapes[i / 2].flags & QUIRE_GEMM_TRANSPOSE_A;
		const bool bt = shapes[i / 2].flags & QUIRE_GEMM_TRANSPOSE_B;
		const enum quire_placement place = i % 2 ? QUIRE_PLACEMENT_SYSTEM : QUIRE_PLACEMENT_CARD;
		struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
		struct quire_packet_result result;
		struct quire_matrix x[3];

		assert_int_equal(0, quire_matrix_alloc_batch(context, shapes[i / 2].a, at ? k : m,
							     at ? m : k, 1, place, &x[0]));
		assert_int_equal(0, quire_matrix_alloc_batch(context, shapes[i / 2].b, bt ? n : k,
							     bt ? k : n, 1, place, &x[1]));
		assert_int_equal(0, quire_matrix_alloc_batch(context, QUIRE_FORMAT_POSIT32, m, n, 1,
							     place, &x[2]));
		rnd_state = i / 2 + 1;
		fill_with_anything(&x[0]);
		fill_with_anything(&x[1]);
		desc.flags = shapes[i / 2].flags;
		desc.a = &x[0];
		desc.b = &x[1];
		desc.d = &x[2];
		if (quire_gemm_run(context, &desc, &result))
			fail_msg("shape %zu: %s", i / 2, quire_last_error());
		for (int j = 0; j < 3; j++)
			quire_matrix_free(&x[j]);
		assert_int_equal(result.digest, shapes[i / 2].digest);
		assert_int_equal(result.exceptional, shapes[i / 2].exceptional);
		assert_int_equal(result.macs, (uint64_t)m * n * k);
	}
}

/* ---- Errors ---- */

static void what_is_wrong_is_named(void **state)
{
	struct quire_matrix mx, d, wrong;
	float x[40 * 4] = { 0 };

	(void)state;
	assert_string_equal(quire_format_name(QUIRE_FORMAT_MXFP8), "mxfp8");
	assert_int_equal(quire_format_parse("mxfp8"), QUIRE_FORMAT_MXFP8);
	assert_int_equal(quire_format_bytes(QUIRE_FORMAT_MXFP8), 0);
	assert_int_equal(-ENOSPC, quire_matrix_alloc(context, QUIRE_FORMAT_MXFP8, 1, 0xffffffffu, &mx));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_MXFP8, 40, 40, &mx));
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_FP32, 40, 40, &d));
	wrong = mx;
	wrong.leading_dimension = 40;
	assert_int_equal(-EINVAL, quire_matmul(context, &wrong, &mx, &d));
	says("a.leading_dimension is no multiple of 32");
	assert_int_equal(-EINVAL, quire_matrix_put_f32(&wrong, x, 40));
	says("leading_dimension is no multiple of 32");
	wrong.leading_dimension = 32;
	assert_int_equal(-EINVAL, quire_matmul(context, &wrong, &mx, &d));
	says("a.leading_dimension is 32");
	wrong = mx;
	wrong.batch = 2;
	wrong.batch_stride = 16;
	assert_int_equal(-EINVAL, quire_matmul(context, &wrong, &mx, &d));
	says("a.batch_stride is no multiple of 32");
	/* 40 rows of 2 blocks are 2640 bytes of the buffer's 4096 */
	wrong = mx;
	wrong.offset = 4096 - 2640;
	assert_int_equal(0, quire_matmul(context, &mx, &wrong, &d));
	wrong.offset++;
	assert_int_equal(-EINVAL, quire_matmul(context, &mx, &wrong, &d));
	says("b lies outside of its buffer");
	assert_int_equal(-EINVAL, quire_matmul(context, &d, &d, &mx));
	says("gemm: d.format is wrong");
	quire_matrix_free(&mx);
	quire_matrix_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(numbers_go_in_and_out),
		cmocka_unit_test(conversions_on_the_device),
		cmocka_unit_test(products_are_exact),
		cmocka_unit_test(parts_start_at_blocks),
		cmocka_unit_test(results_are_those_of_the_cpu),
	};

	return cmocka_run_group_tests_name("sdk mxfp8", tests, sdk_open, sdk_close);
}
