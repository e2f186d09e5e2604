// SPDX-License-Identifier: MIT
/*
 * Products with tiled operands are those of the decoded numbers, bit for bit.  The
 * dense exact GEMM, which test_gemm holds against GMP, is the oracle; up to 28 bits
 * FP32 holds every number of a tile.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/gemm.h>
#include <quirenum/threads.h>
#include <quirenum/tile.h>

static const uint32_t shapes[][2] = { { 32, 32 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };

static uint64_t seed = 7;

static uint32_t below(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed * 0x2545f4914f6cdd1dull >> 33) % limit;
}

/* A tiled matrix and the FP32 numbers it stands for. */
struct operand {
	struct quire_tiled_shape shape;
	void *image;
	struct quire_tiled view;
	float *values;
};

/* density: of 8 tiles so many are stored; spread: of the exponents */
static struct operand make(uint32_t rows, uint32_t columns, uint32_t density, int spread, bool nar)
{
	const uint32_t *tile = shapes[below(4)];
	struct operand o = { .shape = { rows, columns, tile[0], tile[1] } };
	uint64_t tiles = quire_tiled_count(&o.shape), elements = (uint64_t)rows * columns, bytes;
	struct quire_tile_choice *choices = calloc(tiles, sizeof(*choices));
	float *x = malloc(elements * sizeof(*x));
	struct quire_dense dense = { x, QUIRE_FORMAT_FP32, 0, columns };
	struct quire_tiled_output out = { .format = QUIRE_FORMAT_FP32, .leading_dimension = columns };

	for (uint64_t i = 0; i < elements; i++)
		x[i] = ldexpf((float)below(1u << 24) - 8388608, (int)below(2 * (uint32_t)spread + 1) -
			      spread - 23);
	if (nar)
		x[below((uint32_t)elements)] = NAN;
	for (uint64_t i = 0; i < tiles; i++)
		if (below(8) < density) {
			choices[i].bits = (uint8_t)(3 + below(26));
			choices[i].scale = quire_tile_clamp_scale(choices[i].bits,
								  (int)below(21) - 10);
		}
	bytes = quire_tiled_plan(&o.shape, choices);
	assert_true(bytes > 0);
	o.image = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_int_equal(quire_tiled_pack(&o.shape, &dense, choices, o.image, bytes, NULL), 0);
	assert_int_equal(quire_tiled_open(o.image, bytes, &o.view, NULL), 0);
	out.data = x;
	assert_int_equal(quire_tiled_unpack(&o.view, rows, columns, &out, NULL, NULL, NULL), 0);
	o.values = x;
	free(choices);
	return o;
}

static void drop(struct operand *o)
{
	free(o->image);
	free(o->values);
}

static bool stored(const struct operand *o, uint32_t row, uint32_t column, uint32_t *bits)
{
	uint32_t t = row / o->shape.tile_rows * o->view.grid_columns + column / o->shape.tile_columns;

	*bits = o->view.tiles[t].bits;
	return *bits != 0;
}

/* Counted one by one. */
static void count_macs(const struct quire_gemm *g, const struct operand *a, const struct operand *b,
		       uint64_t macs[3])
{
	memset(macs, 0, 3 * sizeof(*macs));
	for (uint32_t k = 0; k < g->k; k++)
		for (uint32_t i = 0; i < g->m; i++) {
			uint32_t of_a = 0, of_b = 0, most;

			if (a && !stored(a, g->a.transpose ? k : i, g->a.transpose ? i : k, &of_a))
				continue;
			for (uint32_t j = 0; j < g->n; j++) {
				if (b && !stored(b, g->b.transpose ? j : k, g->b.transpose ? k : j,
						 &of_b))
					continue;
				most = of_a > of_b ? of_a : of_b;
				macs[most <= 8 ? 0 : most <= 16 ? 1 : 2]++;
			}
		}
}

struct trial {
	uint32_t m, n, k;
	bool tiled_a, tiled_b;
	uint32_t density;
	int spread;
	bool nar;
	uint32_t format;
	struct quire_threads *threads;
};

static void check(const struct trial *t)
{
	uint32_t ta = below(2), tb = below(2);
	struct operand a = make(ta ? t->k : t->m, ta ? t->m : t->k, t->tiled_a ? t->density : 8,
				t->spread, t->nar);
	struct operand b = make(tb ? t->n : t->k, tb ? t->k : t->n, t->tiled_b ? t->density : 8,
				t->spread, false);
	uint64_t bytes = (uint64_t)t->m * t->n * (t->format == QUIRE_FORMAT_QUIRE ? 80 : 8);
	void *want = calloc(1, bytes), *got = calloc(1, bytes);
	struct quire_gemm g = {
		.m = t->m, .n = t->n, .k = t->k, .batch = 1,
		.a = { a.values, QUIRE_FORMAT_FP32, ta, a.shape.columns, 0 },
		.b = { b.values, QUIRE_FORMAT_FP32, tb, b.shape.columns, 0 },
		.d = { want, t->format, 0, t->n, 0 },
		.alpha = below(2) ? 1.0f : -1.0f,
		.threads = t->threads,
	};
	struct quire_gemm_result dense, tiled;
	uint64_t macs[3];

	if (!t->tiled_b && below(4) == 0)
		((float *)b.values)[below(t->k)] = below(2) ? INFINITY : NAN;
	assert_int_equal(quire_gemm(&g, &dense), 0);
	if (t->tiled_a)
		g.a = (struct quire_gemm_operand){ &a.view, QUIRE_FORMAT_TILED, ta, 0, 0 };
	if (t->tiled_b)
		g.b = (struct quire_gemm_operand){ &b.view, QUIRE_FORMAT_TILED, tb, 0, 0 };
	g.d.data = got;
	assert_int_equal(quire_gemm(&g, &tiled), 0);
	assert_memory_equal(want, got, bytes);
	assert_int_equal(dense.digest, tiled.digest);
	assert_int_equal(dense.exceptional, tiled.exceptional);
	count_macs(&g, t->tiled_a ? &a : NULL, t->tiled_b ? &b : NULL, macs);
	assert_memory_equal(macs, tiled.tiled_macs, sizeof(macs));
	assert_int_equal(tiled.macs, macs[0] + macs[1] + macs[2]);
	free(want);
	free(got);
	drop(&a);
	drop(&b);
}

static void products_equal_those_of_the_decoded_numbers(void **state)
{
	static const char *const kernels[] = { "generic", "avx2", "ifma", "amx", "plain" };
	static const uint32_t formats[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT16,
					    QUIRE_FORMAT_BF16, QUIRE_FORMAT_QUIRE };

	(void)state;
	for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
		const bool plain = !strcmp(kernels[k], "plain");

		if (quire_kernel_select(kernels[k]))
			continue;
		for (uint32_t i = 0; i < (plain ? 10u : 60u); i++) {
			uint32_t limit = plain ? 40 : 150;
			struct trial t = {
				.m = 1 + below(limit), .n = 1 + below(limit), .k = 1 + below(2 * limit),
				.tiled_a = i % 3 != 1, .tiled_b = i % 3 != 0,
				.density = below(9), .spread = i % 4 ? 3 : 30, .nar = i % 9 == 0,
				.format = formats[below(4)],
			};

			check(&t);
		}
	}
	quire_kernel_select(NULL);
}

static void long_sums_and_threads(void **state)
{
	struct quire_threads *threads = quire_threads_create(3);

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		struct trial t = {
			.m = 30 + below(80), .n = 20 + below(60), .k = 4000 + below(5000),
			.tiled_a = i % 3 != 1, .tiled_b = i % 3 != 0, .density = 1 + below(5),
			.spread = i & 1 ? 20 : 2, .format = QUIRE_FORMAT_POSIT16,
			.threads = threads,
		};

		check(&t);
	}
	quire_threads_destroy(threads);
}

static void posit32_tiles_are_posit32(void **state)
{
	enum { N = 96 };
	int32_t *x = malloc(N * N * 4), *want = malloc(N * N * 4), *got = malloc(N * N * 4);
	const struct quire_tiled_shape shape = { N, N, 32, 32 };
	struct quire_tile_choice choices[9];
	struct quire_dense dense = { x, QUIRE_FORMAT_POSIT32, 0, N };
	struct quire_gemm_result r1, r2;
	struct quire_gemm g;
	struct quire_tiled view;
	uint64_t bytes;
	void *image;

	(void)state;
	for (int i = 0; i < N * N; i++)
		x[i] = (int32_t)(below(1u << 31) << 1 | below(2));
	for (int i = 0; i < 9; i++)
		choices[i] = (struct quire_tile_choice){ 32, 0 };
	bytes = quire_tiled_plan(&shape, choices);
	image = aligned_alloc(64, bytes);
	assert_int_equal(quire_tiled_pack(&shape, &dense, choices, image, bytes, NULL), 0);
	assert_int_equal(quire_tiled_open(image, bytes, &view, NULL), 0);
	g = (struct quire_gemm){
		.m = N, .n = N, .k = N, .batch = 1, .alpha = 1,
		.a = { x, QUIRE_FORMAT_POSIT32, 0, N, 0 }, .b = { x, QUIRE_FORMAT_POSIT32, 1, N, 0 },
		.d = { want, QUIRE_FORMAT_POSIT32, 0, N, 0 },
	};
	assert_int_equal(quire_gemm(&g, &r1), 0);
	g.a = (struct quire_gemm_operand){ &view, QUIRE_FORMAT_TILED, 0, 0, 0 };
	g.b = (struct quire_gemm_operand){ &view, QUIRE_FORMAT_TILED, 1, 0, 0 };
	g.d.data = got;
	assert_int_equal(quire_gemm(&g, &r2), 0);
	assert_memory_equal(want, got, N * N * 4);
	assert_int_equal(r1.digest, r2.digest);
	free(image);
	free(x);
	free(want);
	free(got);
}

static void batches_and_windows(void **state)
{
	enum { M = 50, N = 40, K = 70, BATCH = 3 };
	struct operand a[BATCH];
	struct quire_tiled views[BATCH];
	float b[K * N], want[M * N], got[BATCH * M * N];

	(void)state;
	for (int i = 0; i < K * N; i++)
		b[i] = (float)below(1000) - 500;
	for (int i = 0; i < BATCH; i++) {
		a[i] = make(M + 37, K + 21, 4, 3, false);
		views[i] = a[i].view;
		views[i].row = 37 - (uint32_t)i;
		views[i].column = 21 - 3 * (uint32_t)i;
	}
	for (int shared = 0; shared < 2; shared++) {
		struct quire_gemm g = {
			.m = M, .n = N, .k = K, .batch = BATCH, .alpha = 1,
			.a = { views, QUIRE_FORMAT_TILED, 0, 0, !shared },
			.b = { b, QUIRE_FORMAT_FP32, 0, N, 0 },
			.d = { got, QUIRE_FORMAT_FP32, 0, N, M * N },
		};
		struct quire_gemm_result result;
		const char *why;

		assert_int_equal(quire_gemm(&g, &result), 0);
		for (int i = 0; i < BATCH; i++) {
			const struct operand *o = &a[shared ? 0 : i];
			const struct quire_tiled *v = &views[shared ? 0 : i];
			struct quire_gemm one = {
				.m = M, .n = N, .k = K, .batch = 1, .alpha = 1,
				.a = { o->values + (size_t)v->row * (K + 21) + v->column,
				       QUIRE_FORMAT_FP32, 0, K + 21, 0 },
				.b = { b, QUIRE_FORMAT_FP32, 0, N, 0 },
				.d = { want, QUIRE_FORMAT_FP32, 0, N, 0 },
			};

			assert_int_equal(quire_gemm(&one, NULL), 0);
			assert_memory_equal(want, got + i * M * N, sizeof(want));
		}
		g.k = K + 1;
		assert_true(quire_gemm_check(&g, &why) < 0);
		assert_string_equal(why, "a.data");
	}
	for (int i = 0; i < BATCH; i++)
		drop(&a[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_equal_those_of_the_decoded_numbers),
		cmocka_unit_test(long_sums_and_threads),
		cmocka_unit_test(posit32_tiles_are_posit32),
		cmocka_unit_test(batches_and_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
