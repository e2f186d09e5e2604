// SPDX-License-Identifier: MIT
/* The exact GEMM: shapes, formats, outputs, threads, digests and what is refused. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <quirenum/threads.h>

#include "gemm_jobs.h"

static void every_pair_of_formats(void **state)
{
	(void)state;
	for (int a = 0; a < OPERANDS; a++)
		for (int b = 0; b < OPERANDS; b++)
			for (int how = 0; how < 4; how++)
				one(1 + rnd() % 13, 1 + rnd() % 35, 1 + rnd() % 40, formats[a],
				    formats[b], formats[rnd() % FORMATS], false, how);
}

static void every_output_with_extras(void **state)
{
	(void)state;
	for (int d = 0; d < FORMATS; d++)
		for (int i = 0; i < 40; i++)
			one(1 + rnd() % 9, 1 + rnd() % 20, rnd() % 20, formats[rnd() % OPERANDS],
			    formats[rnd() % OPERANDS], formats[d], true, i % 4);
}

static void shapes(void **state)
{
	static const uint32_t shape[][3] = { { 1, 1, 1 }, { 1, 1, 500 }, { 1, 70, 9 }, { 70, 1, 9 },
		{ 6, 16, 8 }, { 7, 17, 33 }, { 65, 3, 257 }, { 3, 65, 300 }, { 48, 48, 48 } };

	(void)state;
	for (size_t s = 0; s < sizeof(shape) / sizeof(shape[0]); s++)
		for (int f = 0; f < 4; f++)
			for (int how = 0; how < 3; how++)
				one(shape[s][0], shape[s][1], shape[s][2], formats[f], formats[f],
				    formats[f], false, how);
}

static void long_sums(void **state)
{
	(void)state;
	for (int f = 0; f < 6; f++) {
		one(3, 5, 4095 + rnd() % 3, formats[f], formats[f], formats[f], false, NEAR_ONE);
		one(2, 3, 4097 + rnd() % 5000, formats[f], formats[f], formats[f], true, FEW);
		one(2, 2, 9000, formats[f], formats[f], QUIRE_FORMAT_QUIRE, false, PATTERNS_FINITE);
	}
}

static void empty_sums(void **state)
{
	(void)state;
	for (int i = 0; i < 40; i++)
		one(1 + rnd() % 4, 1 + rnd() % 20, 0, formats[rnd() % OPERANDS],
		    formats[rnd() % OPERANDS], formats[rnd() % FORMATS], true, i % 4);
}

static void batches_and_threads(void **state)
{
	(void)state;
	for (unsigned int t = 1; t <= 8; t++) {
		struct quire_threads *threads = quire_threads_create(t);
		struct job job;

		assert_non_null(threads);
		assert_int_equal(quire_threads_count(threads), t);
		make(&job, 40, 50, 30, 3, formats[t % 6], formats[(t + 1) % 6], formats[t], true, FEW);
		job.g.threads = threads;
		check(&job);
		drop(&job);
		quire_threads_destroy(threads);
	}
}

/* More than one block of rows, columns and k: samples of each result. */
static void many_blocks(void **state)
{
	static const uint32_t shape[][3] = { { 300, 600, 4000 }, { 400, 530, 4100 } };
	struct quire_threads *threads = quire_threads_create(4);

	(void)state;
	assert_non_null(threads);
	for (size_t s = 0; s < 2; s++) {
		uint64_t digest = 0;
		struct job job;

		make(&job, shape[s][0], shape[s][1], shape[s][2], 1, QUIRE_FORMAT_POSIT16,
		     QUIRE_FORMAT_BF16, QUIRE_FORMAT_POSIT32, false, PATTERNS_FINITE);
		job.g.threads = threads;
		for (size_t x = 0; x < 3; x++) {
			struct quire_gemm_result r;

			/* the portable kernel takes long; alone when there is no other */
			if (quire_kernel_select(kernels[x]) || (x == 2 && digest))
				continue;
			assert_int_equal(quire_gemm(&job.g, &r), 0);
			assert_true(!digest || digest == r.digest);
			digest = r.digest;
		}
		for (int sample = 0; sample < 80; sample++) {
			uint64_t i = rnd() % job.g.m, j = rnd() % job.g.n;
			uint64_t good[QUIRE_IMAGE_LIMBS];

			expect(&job.g, NULL, 0, i, j, good);
			assert_int_equal(load(QUIRE_FORMAT_POSIT32, job.g.d.data,
					      i * job.g.d.leading_dimension + j), good[0]);
		}
		drop(&job);
	}
	quire_kernel_select(NULL);
	quire_threads_destroy(threads);
}

/* 1 + 2^-4 is half-way between two posit8; 2^-240 more or less decides. */
static void tie_broken_from_afar(void **state)
{
	const uint32_t a[3] = { 0x40000000, 0x30000000, 1 }, b[3] = { 0x40000000, 0x30000000, 1 };
	const uint32_t less[3] = { 0x40000000, 0x30000000, 0xffffffff };
	struct quire_gemm g = { .m = 1, .n = 1, .k = 3, .batch = 1, .alpha = 1 };
	uint8_t d;

	(void)state;
	g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_POSIT32, 0, 3, 0 };
	g.d = (struct quire_gemm_output){ &d, QUIRE_FORMAT_POSIT8, 0, 1, 0 };
	for (size_t x = 0; x < KERNELS; x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_POSIT32, 0, 1, 0 };
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 0x41);
		g.b.data = less;
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 0x40);
	}
	quire_kernel_select(NULL);
}

/* Bands of a job have digests that add up to that of the whole. */
static void digests_of_bands(void **state)
{
	struct quire_gemm_result whole, part;
	struct quire_gemm band;
	uint64_t sum = 0;
	struct job job;

	(void)state;
	make(&job, 37, 29, 11, 1, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16,
	     false, NEAR_ONE);
	job.g.a.transpose = 0;
	job.g.a.leading_dimension = 11;
	assert_int_equal(quire_gemm(&job.g, &whole), 0);
	for (uint32_t row = 0; row < 37; row += 10) {
		band = job.g;
		band.m = row + 10 < 37 ? 10 : 37 - row;
		band.a.data = (const uint16_t *)job.g.a.data + row * 11;
		band.d.data = (uint16_t *)job.g.d.data + row * job.g.d.leading_dimension;
		band.digest_row = row;
		band.digest_rows = 37;
		assert_int_equal(quire_gemm(&band, &part), 0);
		sum += part.digest;
	}
	assert_int_equal(sum, whole.digest);
	drop(&job);
}

static void bad_jobs(void **state)
{
	const volatile uint32_t stop = 1;
	const struct { const char *field; int error; int which; } cases[] = {
		{ "a.data", -EINVAL, 0 }, { "b.data", -EINVAL, 1 }, { "d.data", -EINVAL, 2 },
		{ "a.leading_dimension", -EINVAL, 3 }, { "d.leading_dimension", -EINVAL, 4 },
		{ "a.format", -EINVAL, 5 }, { "d.format", -EINVAL, 6 }, { "alpha", -EINVAL, 7 },
		{ "k", -EOVERFLOW, 8 }, { "m", -EOVERFLOW, 9 }, { "b.data", -EINVAL, 10 },
		{ "a.leading_dimension", -EOVERFLOW, 11 }, { "c.data", -EINVAL, 12 },
		{ "bias", -EINVAL, 13 }, { "a.format", -EINVAL, 14 }, { "b.data", -EINVAL, 15 },
	};
	struct job job;

	(void)state;
	make(&job, 8, 8, 8, 1, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, false,
	     NEAR_ONE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quire_gemm g = job.g;
		uint16_t first = *(uint16_t *)g.d.data;
		const char *why = NULL;

		switch (cases[i].which) {
		case 0: g.a.data = NULL; break;
		case 1: g.b.data = (const char *)g.b.data + 1; break;
		case 2: g.d.data = NULL; break;
		case 3: g.a.leading_dimension = 7; break;
		case 4: g.d.leading_dimension = 7; break;
		case 5: g.a.format = QUIRE_FORMAT_POSIT(2); break;
		case 6: g.d.format = QUIRE_FORMAT_MXFP8; break;
		case 7: g.alpha = INFINITY; break;
		case 8: g.k = 0x80000000u; break;
		case 9: g.m = (1u << 24) + 1; break;
		case 10: g.b.data = g.d.data; break;
		case 11: g.a.leading_dimension = ~0ull / 4; break;
		case 12: g.beta = 1; g.c = g.a; g.c.transpose = 0; g.c.leading_dimension = 8;
			 g.c.data = (const uint16_t *)g.d.data + 1; break;
		case 13: g.bias_kind = QUIRE_GEMM_BIAS_PER_ROW; g.bias_format = QUIRE_FORMAT_BF16; break;
		case 14: g.arithmetic = QUIRE_GEMM_FP32; break;
		case 15: g.b.data = (const uint16_t *)g.d.data + 3; break;
		}
		assert_int_equal(quire_gemm_check(&g, &why), cases[i].error);
		assert_non_null(why);
		assert_string_equal(why, cases[i].field);
		assert_int_equal(quire_gemm(&g, NULL), cases[i].error);
		assert_int_equal(*(uint16_t *)job.g.d.data, first);
	}
	job.g.cancel = &stop;
	assert_int_equal(quire_gemm(&job.g, NULL), -ECANCELED);
	job.g.cancel = NULL;
	job.g.m = 0;
	assert_int_equal(quire_gemm(&job.g, NULL), 0);
	assert_int_equal(quire_kernel_select("none"), -EINVAL);
	drop(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_jobs),
		cmocka_unit_test(tie_broken_from_afar),
		cmocka_unit_test(shapes),
		cmocka_unit_test(every_pair_of_formats),
		cmocka_unit_test(every_output_with_extras),
		cmocka_unit_test(empty_sums),
		cmocka_unit_test(long_sums),
		cmocka_unit_test(batches_and_threads),
		cmocka_unit_test(many_blocks),
		cmocka_unit_test(digests_of_bands),
	};

	/* runs that slow everything down take fewer of these */
	cmocka_set_test_filter(getenv("QUIRE_TEST_ONLY"));
	cmocka_set_skip_filter(getenv("QUIRE_TEST_SKIP"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
