// SPDX-License-Identifier: MIT
/*
 * Products of MXFP8 and of scaled INT8, bit for bit, against GMP: every element with every
 * scale, both ways an operand can lie in memory, all kernels.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/gemm.h>

#include "oracle.h"

static const char *const kernels[] = { "plain", "generic", "avx2", "ifma", "amx" };
#define KERNELS (sizeof(kernels) / sizeof(kernels[0]))

/* The value of element (row, column) of blocks. */
static enum oracle_special value(const uint8_t *data, uint64_t leading, uint64_t row,
				 uint64_t column, struct dyadic *x)
{
	const uint8_t *block = data + (row * (leading / 32) + column / 32) * 33;
	enum oracle_special s = oracle_value(QUIRE_FORMAT_E4M3, block[1 + column % 32], x);

	if (block[0] == 255)
		return ORACLE_NAN;
	x->e += (long)block[0] - 127;
	return s;
}

/*
 * Every element with every scale times one: 256 rows of 256 elements, row s has scale s.  D
 * in FP64 is then the value itself.
 */
static void every_element_and_scale(void **state)
{
	static uint8_t a[256 * 8 * 33];
	static double d[256 * 256];
	float *one = calloc(256 * 256, sizeof(*one));
	struct dyadic x;

	(void)state;
	assert_non_null(one);
	dyadic_init(&x);
	for (int row = 0; row < 256; row++)
		for (int block = 0; block < 8; block++) {
			uint8_t *at = a + (row * 8 + block) * 33;

			at[0] = (uint8_t)row;
			for (int i = 0; i < 32; i++)
				/* the two NaN would take their rows along: 448 instead */
				at[1 + i] = (uint8_t)(block * 32 + i - (i == 31 && block % 4 == 3));
		}
	for (int i = 0; i < 256; i++)
		one[i * 256 + i] = 1;
	for (size_t kernel = 0; kernel < KERNELS; kernel++)
		for (uint32_t transpose = 0; transpose < 2; transpose++) {
			/* A, or its transpose without the row whose scale is NaN */
			const uint32_t rows = transpose ? 255 : 256;
			struct quire_gemm g = {
				.m = 256, .n = transpose ? 255 : 256, .k = transpose ? 255 : 256, .batch = 1, .alpha = 1,
				.a = { a, QUIRE_FORMAT_MXFP8, transpose, 256, 0 },
				.b = { one, QUIRE_FORMAT_FP32, 0, 256, 0 },
				.d = { d, QUIRE_FORMAT_FP64, 0, 256, 0 },
			};

			if (quire_kernel_select(kernels[kernel]))
				continue;
			assert_int_equal(quire_gemm(&g, NULL), 0);
			for (uint32_t row = 0; row < rows; row++)
				for (uint32_t column = 0; column < 256; column++) {
					double got = transpose ? d[column * 256 + row] :
								 d[row * 256 + column];
					uint64_t word;

					/* the NaN scale takes its whole row of A along */
					if (row == 255) {
						assert_true(isnan(got));
						continue;
					}
					assert_int_equal(value(a, 256, row, column, &x), ORACLE_FINITE);
					memcpy(&word, &got, sizeof(word));
					if (dyadic_sign(&x) == 0)
						assert_int_equal(word, 0);
					else
						assert_true(oracle_is_rounding(QUIRE_FORMAT_FP64, word, &x));
				}
		}
	quire_kernel_select(NULL);
	dyadic_clear(&x);
	free(one);
}

static void fill(uint8_t *data, size_t blocks, int spread, bool nan)
{
	for (size_t b = 0; b < blocks; b++) {
		data[b * 33] = spread < 254 ? (uint8_t)(127 + (int)(oracle_random() % (uint64_t)(2 * spread + 1)) - spread) :
			       (uint8_t)(oracle_random() % 255);
		for (int i = 1; i <= 32; i++) {
			data[b * 33 + i] = (uint8_t)oracle_random();
			if ((data[b * 33 + i] & 0x7f) == 0x7f)
				data[b * 33 + i] ^= 1;
		}
	}
	if (nan) {
		data[oracle_random() % blocks * 33] = 255;
		data[oracle_random() % blocks * 33 + 5] = 0xff;
	}
}

struct shape {
	uint32_t m, n, k, batch;
	uint32_t leading, rows;		/* of each matrix, in any layout */
};

/* MXFP8 times MXFP8 in all layouts and kernels. */
static void check_products(const struct shape *s)
{
	const uint64_t stride = s->rows * s->leading, blocks = s->batch * stride / 32;
	uint8_t *a = malloc(blocks * 33), *b = malloc(blocks * 33);
	float *d = malloc(s->batch * s->m * s->n * sizeof(*d));
	struct dyadic sum, x, y, p;

	dyadic_init(&sum);
	dyadic_init(&x);
	dyadic_init(&y);
	dyadic_init(&p);
	for (int round = 0; round < 12; round++) {
		uint32_t ta = round & 1, tb = round >> 1 & 1;
		static const int spreads[] = { 3, 40, 254 };

		fill(a, blocks, spreads[round / 4], false);
		fill(b, blocks, spreads[round / 4], round % 4 == 3);
		for (size_t kernel = 0; kernel < KERNELS; kernel++) {
			struct quire_gemm g = {
				.m = s->m, .n = s->n, .k = s->k, .batch = s->batch, .alpha = 1,
				.a = { a, QUIRE_FORMAT_MXFP8, ta, s->leading, stride },
				.b = { b, QUIRE_FORMAT_MXFP8, tb, s->leading, stride },
				.d = { d, QUIRE_FORMAT_FP32, 0, s->n, s->m * s->n },
			};

			if (quire_kernel_select(kernels[kernel]))
				continue;
			assert_int_equal(quire_gemm(&g, NULL), 0);
			for (uint64_t e = 0; e < s->batch * s->m * s->n; e++) {
				const uint8_t *za = a + e / (s->m * s->n) * stride / 32 * 33;
				const uint8_t *zb = b + e / (s->m * s->n) * stride / 32 * 33;
				uint64_t i = e % (s->m * s->n) / s->n, j = e % s->n;
				bool nan = false;
				uint32_t word;

				mpz_set_ui(sum.m, 0);
				sum.e = 0;
				for (uint64_t k = 0; k < s->k; k++) {
					nan |= value(za, s->leading, ta ? k : i, ta ? i : k, &x) != ORACLE_FINITE;
					nan |= value(zb, s->leading, tb ? j : k, tb ? k : j, &y) != ORACLE_FINITE;
					dyadic_multiply(&p, &x, &y);
					dyadic_add(&sum, &sum, &p);
				}
				memcpy(&word, &d[e], sizeof(word));
				if (nan)
					assert_int_equal(word, 0x7fc00000);
				else
					assert_true(oracle_is_rounding(QUIRE_FORMAT_FP32, word, &sum));
			}
		}
	}
	quire_kernel_select(NULL);
	dyadic_clear(&sum);
	dyadic_clear(&x);
	dyadic_clear(&y);
	dyadic_clear(&p);
	free(a);
	free(b);
	free(d);
}

/* Sizes that cut blocks, and a batch. */
static void products(void **state)
{
	(void)state;
	check_products(&(struct shape){ 21, 35, 75, 2, 96, 80 });
}

/* Which are taken one by one. */
static void few_long_sums(void **state)
{
	(void)state;
	check_products(&(struct shape){ 1, 2, 523, 1, 544, 523 });
	check_products(&(struct shape){ 2, 7, 515, 1, 544, 515 });
}

/* round(sa * sb * sum of INT8 products), sa * sb as the FP32 number that alpha is */
static void scaled_int8(void **state)
{
	enum { SIZE = 19, K = 300 };
	static int8_t a[SIZE * K], b[K * SIZE];
	static float d[SIZE * SIZE];
	const float alpha = 0.0173f * 0.00291f;
	struct dyadic x, scale;
	uint32_t word;

	(void)state;
	dyadic_init(&x);
	dyadic_init(&scale);
	memcpy(&word, &alpha, sizeof(word));
	oracle_value(QUIRE_FORMAT_FP32, word, &scale);
	for (int i = 0; i < SIZE * K; i++) {
		a[i] = (int8_t)oracle_random();
		b[i] = (int8_t)oracle_random();
	}
	for (size_t kernel = 0; kernel < KERNELS; kernel++) {
		struct quire_gemm g = {
			.m = SIZE, .n = SIZE, .k = K, .batch = 1, .alpha = alpha,
			.a = { a, QUIRE_FORMAT_INT8, 0, K, 0 },
			.b = { b, QUIRE_FORMAT_INT8, 0, SIZE, 0 },
			.d = { d, QUIRE_FORMAT_FP32, 0, SIZE, 0 },
		};

		if (quire_kernel_select(kernels[kernel]))
			continue;
		assert_int_equal(quire_gemm(&g, NULL), 0);
		for (int i = 0; i < SIZE * SIZE; i++) {
			long sum = 0;

			for (int k = 0; k < K; k++)
				sum += a[i / SIZE * K + k] * b[k * SIZE + i % SIZE];
			mpz_set_si(x.m, sum);
			x.e = 0;
			dyadic_multiply(&x, &x, &scale);
			memcpy(&word, &d[i], sizeof(word));
			assert_true(oracle_is_rounding(QUIRE_FORMAT_FP32, word, &x));
		}
	}
	quire_kernel_select(NULL);
	dyadic_clear(&x);
	dyadic_clear(&scale);
}

static void wrong(struct quire_gemm g, const char *field)
{
	const char *why = NULL;

	assert_int_equal(quire_gemm_check(&g, &why), -EINVAL);
	assert_string_equal(why, field);
}

static void bad_jobs(void **state)
{
	static _Alignas(8) uint8_t a[1024], b[4 * 4 * 33];
	static float d[64];
	const struct quire_gemm good = {
		.m = 4, .n = 4, .k = 4, .batch = 2, .alpha = 1,
		.a = { a, QUIRE_FORMAT_MXFP8, 0, 32, 128 },
		.b = { b, QUIRE_FORMAT_MXFP8, 0, 32, 128 },
		.d = { d, QUIRE_FORMAT_FP32, 0, 4, 16 },
	};
	struct quire_gemm g = good;

	(void)state;
	assert_int_equal(quire_gemm_check(&good, NULL), 0);
	g.a.leading_dimension = 40;
	wrong(g, "a.leading_dimension");
	g = good;
	g.b.batch_stride = 130;
	wrong(g, "b.batch_stride");
	g = good;
	g.d.format = QUIRE_FORMAT_MXFP8;
	wrong(g, "d.format");
	g = good;
	g.beta = 1;
	g.c = (struct quire_gemm_operand){ a, QUIRE_FORMAT_MXFP8, 0, 32, 128 };
	wrong(g, "c.format");
	/* A ends at byte 8 * 33 = 264 */
	g = good;
	g.d.data = a + 260;
	wrong(g, "a.data");
	g.d.data = a + 264;
	assert_int_equal(quire_gemm_check(&g, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_element_and_scale),
		cmocka_unit_test(products),
		cmocka_unit_test(few_long_sums),
		cmocka_unit_test(scaled_int8),
		cmocka_unit_test(bad_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
