// SPDX-License-Identifier: MIT
/* Sums around the bounds that the kernels choose their way by, and around those of rounding. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gemm_jobs.h"

/*
 * The AVX-512 kernel computes modulo as many of these as the product of the lanes' norms asks
 * for: their product is more than twice that.
 */
static const uint32_t moduli[] = { 256, 255, 253, 251, 247, 241, 239, 233, 229, 227, 223, 217, 211 };

/*
 * Rows and columns of equal elements, but for a 1 that fixes the unit: the sums are as large as
 * their bound, up to the rounding of the elements, and lie right below and above each border.
 * (Elements whose sums need one or two moduli more are cut into parts with so small a k.)
 */
static void sums_at_borders_of_moduli(void **state)
{
	static const double factor[] = { 0.2501, 0.4978, 0.4982, 0.4999, 0.5001, 0.99, 1.01 };
	enum { M = 9, N = 50, K = 61 };
	double product = 1;

	(void)state;
	for (size_t p = 0; p < sizeof(moduli) / sizeof(moduli[0]); p++) {
		product *= moduli[p];
		for (size_t x = 0; x < sizeof(factor) / sizeof(factor[0]); x++) {
			const float element = (float)sqrt(product * factor[x] / K);
			float a[M * K], b[K * N];
			double d[M * N];
			struct job job = { .g = { .m = M, .n = N, .k = K, .batch = 1, .alpha = 1 } };

			for (int i = 0; i < M; i++)
				for (int k = 0; k < K; k++)
					a[i * K + k] = i % 3 == 1 || (i % 3 == 2 && k % 2) ? -element : element;
			for (int k = 0; k < K; k++)
				for (int j = 0; j < N; j++)
					b[k * N + j] = j % 4 == 3 && k % 3 ? -element : element;
			for (int i = 0; i < M; i++)
				a[i * K + (int)(rnd() % K)] = 1;
			for (int j = 0; j < N; j++)
				b[(int)(rnd() % K) * N + j] = 1;
			memset(d, 0, sizeof(d));
			job.g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_FP32, 0, K, 0 };
			job.g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_FP32, 0, N, 0 };
			job.g.d = (struct quire_gemm_output){ d, QUIRE_FORMAT_FP64, 0, N, 0 };
			check(&job);
		}
	}
}

/*
 * The widest integers of one part, which are below 2^50, at the most k's of one pass: sums up
 * to 2^112, for which moduli are enough too.
 */
static void largest_sums_of_one_part(void **state)
{
	static const uint32_t depth[] = { 60, 257, 1024, 2047, 4096 };
	enum { M = 3, N = 19 };

	(void)state;
	for (size_t x = 0; x < sizeof(depth) / sizeof(depth[0]); x++) {
		const uint32_t k = depth[x];
		float *a = malloc(M * k * sizeof(*a)), *b = malloc(k * N * sizeof(*b));
		double d[M * N];
		struct job job = { .g = { .m = M, .n = N, .k = k, .batch = 1, .alpha = 1 } };

		assert_non_null(a);
		assert_non_null(b);
		/* equal signs in row 0 and column 0, any in the others */
		for (uint32_t i = 0; i < M * k; i++)
			a[i] = i >= k && rnd() % 2 ? -0x1.fffffcp49f : 0x1.fffffcp49f;
		for (uint32_t i = 0; i < k * N; i++)
			b[i] = i % N && rnd() % 2 ? -0x1.fffffep49f : 0x1.fffffep49f;
		for (uint32_t i = 0; i < M; i++)
			a[i * k + rnd() % k] = 3;
		for (uint32_t j = 0; j < N; j++)
			b[rnd() % k * N + j] = 3;
		memset(d, 0, sizeof(d));
		job.g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_FP32, 0, k, 0 };
		job.g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_FP32, 0, N, 0 };
		job.g.d = (struct quire_gemm_output){ d, QUIRE_FORMAT_FP64, 0, N, 0 };
		check(&job);
		free(a);
		free(b);
	}
}

/* The last rows of many weigh much more, so that panels of B lack what they need. */
static void heavy_rows_at_the_end(void **state)
{
	enum { M = 264, N = 3, K = 4096 };
	uint16_t *a = malloc(M * K * 2), *b = malloc(K * N * 2);
	double d[M * N];
	struct job job = { .g = { .m = M, .n = N, .k = K, .batch = 1, .alpha = 1 } };

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	/* BF16: 1 to 2, and 2^40 times as much beside a 1 */
	for (int i = 0; i < M * K; i++)
		a[i] = (uint16_t)((rnd() & 0x807f) + (i >= (M - 2) * K && i % 5 ? 167 << 7 : 127 << 7));
	for (int i = 0; i < K * N; i++)
		b[i] = (uint16_t)((rnd() & 0x807f) + (127 << 7));
	memset(d, 0, sizeof(d));
	job.g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_BF16, 0, K, 0 };
	job.g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_BF16, 0, N, 0 };
	job.g.d = (struct quire_gemm_output){ d, QUIRE_FORMAT_FP64, 0, N, 0 };
	check(&job);
	free(a);
	free(b);
}

/* v times 2^shift as the sum of three floats. */
static void split(mpz_t v, int shift, float part[3])
{
	mpz_t q;

	mpz_init(q);
	for (int i = 0; i < 3; i++) {
		size_t bits = mpz_sizeinbase(v, 2), lost = bits > 24 ? bits - 24 : 0;

		mpz_tdiv_q_2exp(q, v, lost);
		part[i] = (float)ldexp(mpz_get_d(q), (int)lost - UNIT + shift);
		mpz_mul_2exp(q, q, lost);
		mpz_sub(v, v, q);
	}
	assert_int_equal(mpz_sgn(v), 0);
	mpz_clear(q);
}

/*
 * A row and a column of eight:
 *
 *	row	large, -large, three parts of a number, a little, unit, -unit
 *	column	larger, larger, 1, 1, 1, 1, 1, 1
 *
 * The sum is the number and the little, whatever the others are; these set how large sums could
 * be, and so the number of moduli and what fractions of their product are exact to.
 */
struct near_job {
	float a[9 * 8], b[8 * 50];
	uint8_t d[9 * 50 * 4];
	struct job job;
};

/* whole: sums below 2^46 units, else up to the most that moduli are enough for. */
static void make_near(struct near_job *near, uint32_t format, bool whole, bool few)
{
	static const int shifts[] = { 0, 0, 1, -1, 5, -5, 90, -90 };
	const int unit = whole ? -36 : -40;
	const double larger = whole ? 1 : ldexp(1, (int)(rnd() % (few ? 42 : 45)));
	const uint32_t row = (uint32_t)(rnd() % 9), column = (uint32_t)(rnd() % 50);
	struct quire_gemm *g = &near->job.g;
	int at, shift;
	mpz_t number;

	mpz_init(number);
	/* the factor makes numbers in the rows as small as any, or near 1, of results of any size */
	if (format == QUIRE_FORMAT_BF16 && rnd() % 2)
		at = decision(format, -131, 3, number);		/* subnormal ones */
	else
		at = decision(format, 0, rnd() % 2 ? 6 : 140, number);
	shift = at + shifts[rnd() % (at > -30 && at < 30 ? 8 : 6)];
	shift = shift > 127 ? 127 : shift;
	for (uint32_t i = 0; i < 9; i++) {
		float *a = &near->a[i * 8];
		int little = (int)(rnd() % 3) - 1;

		decision(format, at, 6, number);
		split(number, -shift, a + 2);
		if (few && i != row) {
			a[2] *= 1 + (float)(rnd() % 1024) / 1024;
			a[3] = a[4] = 0;
		}
		a[0] = (float)ldexp(whole ? 1 : 256, at - shift);
		a[1] = -a[0];
		a[5] = (float)(little * ldexp(1, unit + at - shift + (rnd() % 2 ? (int)(rnd() % 30) : 0)));
		a[6] = (float)ldexp(1, unit + at - shift);
		a[7] = -a[6];
	}
	for (uint32_t j = 0; j < 50; j++) {
		float sign = rnd() % 2 ? 1 : -1;

		for (uint32_t k = 0; k < 8; k++) {
			float x = few && j != column && k == 2 ? 1 + (float)(rnd() % 8) / 8 : 1;

			if (!few && j % 8 > 5 && k > 1 && k < 5 + j % 2)
				x = 0;
			near->b[k * 50 + j] = sign * (k < 2 ? (float)larger : x);
		}
	}
	mpz_clear(number);
	memset(near->d, 0, sizeof(near->d));
	memset(g, 0, sizeof(*g));
	g->m = 9, g->n = 50, g->k = 8, g->batch = 1;
	g->alpha = (float)ldexp(rnd() % 2 ? 1 : -1, shift);
	g->activation = rnd() % 4 == 0;
	g->a = (struct quire_gemm_operand){ near->a, QUIRE_FORMAT_FP32, 0, 8, 0 };
	g->b = (struct quire_gemm_operand){ near->b, QUIRE_FORMAT_FP32, 0, 50, 0 };
	g->d = (struct quire_gemm_output){ near->d, format, 0, 50, 0 };
}

/*
 * The AVX-512 kernel rounds sums that it knows with a small error only, as far as that decides.
 * Sums at, right below and right above decisions, of 0 and of one unit, in every format; few:
 * one to a product, so that the others' do not make it take all sums exactly.
 */
static void sums_at_decisions(void **state)
{
	static struct near_job near;

	(void)state;
	for (size_t f = 0; f < OPERANDS; f++)
		for (int i = 0; i < (formats[f] == QUIRE_FORMAT_BF16 ? 240 : 40); i++) {
			make_near(&near, formats[f], i % 4 == 0, i % 2);
			check(&near.job);
		}
}

/* Element index of an array of containers of one or two bytes. */
static void put(uint32_t format, uint16_t *to, uint32_t index, uint64_t bits)
{
	if (bytes_of(format) == 1)
		((uint8_t *)to)[index] = (uint8_t)bits;
	else
		to[index] = (uint16_t)bits;
}

enum lanes { ZEROS, AFTER_ZEROS, TINY, HUGE_ONES, EXCEPTIONAL, SPANS };

/* Element k of a row or column, as the nearest in the format. */
static uint64_t lane_number(uint32_t format, int lanes, uint32_t k)
{
	int exponent = 0;
	uint64_t bits;
	mpz_t v;

	switch (lanes) {
	case ZEROS:
		return 0;
	case AFTER_ZEROS:
		if (k % 300 < 290)
			return 0;
		break;
	case TINY:
		exponent = -100;
		break;
	case HUGE_ONES:
		exponent = 100;
		break;
	case EXCEPTIONAL:
		if (k == 5)
			return encode(format, NAN_, NULL);
		break;
	default:
		/* 28 to 33 bits with the eight of BF16 */
		exponent = k % 7 ? 20 + lanes - SPANS : 0;
	}
	mpz_init_set_ui(v, 128 + rnd() % 128);
	mpz_mul_2exp(v, v, (mp_bitcnt_t)(UNIT - 7 + exponent));
	if (rnd() % 2)
		mpz_neg(v, v);
	bits = encode(format, FINITE, v);
	mpz_clear(v);
	return bits;
}

/*
 * posit8, posit16 and BF16 are weighed and packed as FP32 where that holds their squares and
 * integers: it does not hold all of these.
 */
static void lanes_of_small_formats(void **state)
{
	static const uint32_t small[] = { QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_BF16 };
	enum { M = 9, N = 50, K = 301 };
	static uint16_t a[M * K], b[K * N];
	static double d[M * N];

	(void)state;
	for (int i = 0; i < 3 * (SPANS + 6) * 4; i++) {
		const uint32_t format = small[i % 3], ta = i / 3 % 2, tb = i / 6 % 2;
		const int lanes = i / 12;
		struct job job = { .g = { .m = M, .n = N, .k = K, .batch = 1, .alpha = 1 } };

		for (uint32_t k = 0; k < K; k++) {
			for (uint32_t l = 0; l < M; l++)
				put(format, a, ta ? k * M + l : l * K + k, lane_number(format, lanes, k));
			for (uint32_t l = 0; l < N; l++)
				put(format, b, tb ? l * K + k : k * N + l, lane_number(format, lanes, k));
		}
		memset(d, 0, sizeof(d));
		job.g.a = (struct quire_gemm_operand){ a, format, ta, ta ? M : K, 0 };
		job.g.b = (struct quire_gemm_operand){ b, format, tb, tb ? K : N, 0 };
		job.g.d = (struct quire_gemm_output){ d, QUIRE_FORMAT_FP64, 0, N, 0 };
		check(&job);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_at_borders_of_moduli),
		cmocka_unit_test(largest_sums_of_one_part),
		cmocka_unit_test(heavy_rows_at_the_end),
		cmocka_unit_test(sums_at_decisions),
		cmocka_unit_test(lanes_of_small_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
