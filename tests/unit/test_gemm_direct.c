// SPDX-License-Identifier: MIT
/*
 * Sums that are taken product by product: single ones, and those of numbers so far apart, or of
 * rows and columns with infinities, that no panels of integers are made.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gemm_jobs.h"

static const uint32_t shapes[][2] = { { 1, 1 }, { 40, 1 }, { 1, 40 }, { 4, 7 }, { 2, 1 },
				      { 1, 50 } };
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* Around the least k of single sums, the runs of k, and where none is whole. */
static const uint32_t depth[] = { 1, 63, 511, 512, 513, 4095, 4096, 4097, 8200 };
#define DEPTHS (sizeof(depth) / sizeof(depth[0]))

/* Every operand's and result's format, any strides; a factor, C and a bias now and then. */
static void any_formats_and_strides(void **state)
{
	uint32_t turn = 0;

	(void)state;
	for (size_t a = 0; a < OPERANDS; a++)
		for (size_t b = 0; b < OPERANDS; b++, turn++) {
			const uint32_t *shape = shapes[turn % SHAPES];
			const uint32_t k = depth[turn % DEPTHS];

			one(1, 1, depth[3 + turn % 6], formats[a], formats[b], formats[turn % FORMATS],
			    turn % 3 == 0, turn % 2 ? PATTERNS : PATTERNS_FINITE);
			if (shape[0] * shape[1] * k <= 20000)
				one(shape[0], shape[1], k, formats[a], formats[b],
				    formats[turn % FORMATS], turn % 4 == 0,
				    turn % 3 ? PATTERNS : PATTERNS_FINITE);
		}
}

static void long_and_narrow(void **state)
{
	static const uint32_t operands[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_BF16,
					     QUIRE_FORMAT_POSIT16 };

	(void)state;
	for (size_t s = 0; s < SHAPES; s++)
		for (size_t f = 0; f < 4; f++)
			one(shapes[s][0], shapes[s][1], f % 2 ? 4097 : 8191, operands[f],
			    operands[(f + s) % 4], formats[(s + 4 * f) % FORMATS], s % 2,
			    f ? PATTERNS_FINITE : PATTERNS);
}

/* Every product is taken back by the next one, but for the last two: 2^-140 and 2^-149. */
static void all_but_the_least_cancels(void **state)
{
	(void)state;
	for (size_t s = 0; s < SHAPES; s++)
		for (size_t d = 3; d < DEPTHS; d++) {
			struct job job;
			float *a, *b;

			make(&job, shapes[s][0], shapes[s][1], depth[d], 1, QUIRE_FORMAT_FP32,
			     QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP32, false, PATTERNS_FINITE);
			a = job.memory[0];
			b = job.memory[1];
			job.g.a.transpose = 0;
			job.g.a.leading_dimension = depth[d];
			job.g.b.transpose = 1;
			job.g.b.leading_dimension = depth[d];
			for (uint32_t i = 0; i < job.g.m; i++, a += depth[d])
				for (uint32_t k = 0; k < depth[d]; k++)
					a[k] = k + 2 >= depth[d] ? ldexpf(1, k + 1 < depth[d] ? -140 : -149) :
					       k + 3 == depth[d] && k % 2 == 0 ? 0 : k % 2 ? -a[k - 1] : a[k];
			for (uint32_t j = 0; j < job.g.n; j++, b += depth[d])
				for (uint32_t k = 0; k < depth[d]; k++)
					b[k] = k + 2 >= depth[d] ? 1 : k % 2 ? b[k - 1] : b[k];
			check(&job);
			drop(&job);
		}
}

/* The largest of all, of one sign: each accumulator is as full as it gets. */
static void the_largest_sums(void **state)
{
	static const uint32_t operands[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT32,
					     QUIRE_FORMAT_POSIT8 };

	(void)state;
	for (size_t s = 0; s < 3; s++)
		for (size_t f = 0; f < 9; f++) {
			const uint32_t k = 4096 + 3, formats_of[] = { operands[f % 3], operands[f / 3] };
			struct job job;

			make(&job, shapes[s][0], shapes[s][1], k, 1, formats_of[0], formats_of[1],
			     QUIRE_FORMAT_QUIRE, false, NEAR_ONE);
			for (int x = 0; x < 2; x++) {
				const uint32_t bytes = bytes_of(formats_of[x]);
				const uint64_t most = largest(formats_of[x]);
				const uint64_t count = (x ? job.g.b : job.g.a).batch_stride;
				/* all bits of a significand are set */
				const bool wide = formats_of[x] == QUIRE_FORMAT_POSIT32;
				const uint64_t full = wide ? 0x47ffffff : most;

				uint8_t *at = job.memory[x];

				for (uint64_t i = 0; i < count; i++, at += bytes)
					memcpy(at, s ? &full : &most, bytes);
			}
			check(&job);
			drop(&job);
		}
}

/* One infinity in a row or column of near numbers, at each end of a run; and one against a zero. */
static void infinities(void **state)
{
	static const uint32_t places[] = { 0, 4095, 4096, 8199 };
	static const float others[] = { 1, -2, 0, -INFINITY };
	const float infinity = INFINITY;

	(void)state;
	for (size_t s = 0; s < SHAPES; s++)
		for (size_t i = 0; i < 16; i++) {
			const uint32_t k = i % 4 < 2 ? 4096 : 8200, at = places[i % 4];
			struct job job;
			float *a, *b;

			if (shapes[s][0] * shapes[s][1] > 2 && i % 5)
				continue;
			make(&job, shapes[s][0], shapes[s][1], k, 1, QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP32,
			     QUIRE_FORMAT_FP32, s % 2, NEAR_ONE);
			a = job.memory[0];
			b = job.memory[1];
			a[job.g.a.transpose ? at * job.g.a.leading_dimension : at] = infinity;
			b[job.g.b.transpose ? at : at * job.g.b.leading_dimension] = others[i / 4];
			check(&job);
			drop(&job);
		}
}

/* Infinity of the formats that have one, else 0. */
static uint64_t infinity_of(uint32_t f)
{
	return f == QUIRE_FORMAT_FP32 ? 0x7f800000 : f == QUIRE_FORMAT_BF16 ? 0x7f80 :
	       f == QUIRE_FORMAT_FP16 ? 0x7c00 : f == QUIRE_FORMAT_E5M2 ? 0x7c : 0;
}

static bool is_negative(uint32_t f, uint64_t bits)
{
	return bits >> (width_of(f) - 1) & 1;
}

/* An operand's element k of a lane. */
static uint8_t *element_of(const struct job *job, int x, uint64_t lane, uint64_t k)
{
	const struct quire_gemm_operand *o = x ? &job->g.b : &job->g.a;
	const bool along_k = x ? o->transpose : !o->transpose;
	const uint64_t ld = o->leading_dimension;

	return (uint8_t *)job->memory[x] +
	       (along_k ? lane * ld + k : k * ld + lane) * bytes_of(o->format);
}

static void put(const struct job *job, int x, uint64_t lane, uint64_t k, uint64_t bits)
{
	memcpy(element_of(job, x, lane, k), &bits, bytes_of((x ? job->g.b : job->g.a).format));
}

enum density { ONE, FOURTH_LANES, HALF, DENSITIES };

/* One lane of all or of each four. */
static bool is_chosen(enum density density, uint64_t lane, uint64_t one)
{
	return density == ONE ? lane == one : lane % 4 == one % 4;
}

/* Infinity's pattern plus one, or NaR. */
static uint64_t nan_of(uint32_t f)
{
	return is_posit(f) ? ~0ull << (width_of(f) - 1) :
	       infinity_of(f) ? infinity_of(f) + 1 : 0x7f;
}

/*
 * Infinities in one element, in one of each fourth lane, in half of all; of one sign or any, with
 * zeros, and a NaN now and then.
 */
static void put_specials(const struct job *job, int x, enum density density, bool one_sign,
			 bool zeros)
{
	const uint32_t f = (x ? job->g.b : job->g.a).format, lanes = x ? job->g.n : job->g.m;
	const uint64_t infinity = infinity_of(f), sign = 1ull << (width_of(f) - 1);
	const uint64_t one_lane = rnd() % lanes, one_k = rnd() % job->g.k;
	const uint64_t minus_zero = is_posit(f) || f == QUIRE_FORMAT_INT8 ? 0 : sign;

	for (uint32_t lane = 0; lane < lanes; lane++)
		for (uint32_t k = 0; k < job->g.k; k++) {
			uint64_t bits = load(f, element_of(job, x, lane, k), 0);

			if (infinity && (density == HALF ? rnd() % 2 : k == one_k &&
					 is_chosen(density, lane, one_lane)))
				bits = infinity | (!one_sign && rnd() % 2 ? sign : 0);
			else if (zeros && rnd() % 32 == 0)
				bits = rnd() % 2 ? minus_zero : 0;
			else if (one_sign && is_negative(f, bits))
				bits = sign >> 1;
			else
				continue;
			put(job, x, lane, k, bits);
		}
	if (rnd() % 4 == 0 && f != QUIRE_FORMAT_INT8)
		put(job, x, one_lane, one_k, nan_of(f));
}

/* A sum with infinities is what they make of it, however many they are and whatever they meet. */
static void infinities_of_any_density(void **state)
{
	static const uint32_t sizes[][3] = {
		{ 17, 49, 13 }, { 50, 3, 64 }, { 5, 9, 97 }, { 1, 3, 4130 },
	};
	uint32_t turn = 0;

	(void)state;
	for (size_t a = 0; a < OPERANDS; a++)
		for (size_t b = 0; b < OPERANDS; b++) {
			if (!infinity_of(formats[a]) && !infinity_of(formats[b]))
				continue;
			for (int round = 0; round < DENSITIES; round++, turn++) {
				const uint32_t *size = sizes[turn % 11 == 0 ? 3 : turn % 3];
				const enum fill how = rnd() % 2 ? NEAR_ONE : PATTERNS_FINITE;
				const bool one_sign = rnd() % 2, zeros = rnd() % 2;
				struct job job;

				make(&job, size[0], size[1], size[2], 1, formats[a], formats[b],
				     formats[rnd() % FORMATS], rnd() % 3 == 0, how);
				put_specials(&job, 0, round, one_sign, zeros);
				put_specials(&job, 1, rnd() % DENSITIES, one_sign, zeros);
				check(&job);
				drop(&job);
			}
		}
}

/* Any but NaN. */
static uint32_t far(void)
{
	return (uint32_t)(rnd() & 0x807fffff) | (uint32_t)(rnd() % 254 + 1) << 23;
}

/* Far numbers in one row or column of many: some tiles are taken so, others are not. */
static void far_and_near_together(void **state)
{
	(void)state;
	for (int round = 0; round < 16; round++) {
		const uint32_t m = 50 + (uint32_t)round, n = 100, k = 80;
		struct job job;
		uint64_t a_stride, b_stride;
		uint32_t *a, *b;

		make(&job, m, n, k, 1, QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP32, formats[round % FORMATS],
		     round % 4 == 3, NEAR_ONE);
		a = job.memory[0];
		b = job.memory[1];
		a_stride = job.g.a.leading_dimension;
		b_stride = job.g.b.leading_dimension;
		for (uint32_t i = 0; i < k && round % 3 != 1; i++)
			a[job.g.a.transpose ? i * a_stride + 7 : 7 * a_stride + i] = far();
		for (uint32_t i = 0; i < k && round % 3 != 2; i++)
			b[job.g.b.transpose ? 60 * b_stride + i : i * b_stride + 60] = far();
		check(&job);
		drop(&job);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_formats_and_strides),
		cmocka_unit_test(long_and_narrow),
		cmocka_unit_test(all_but_the_least_cancels),
		cmocka_unit_test(the_largest_sums),
		cmocka_unit_test(infinities),
		cmocka_unit_test(infinities_of_any_density),
		cmocka_unit_test(far_and_near_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
