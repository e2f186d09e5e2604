// SPDX-License-Identifier: MIT
/*
 * The caller's floating-point environment reaches no result and comes back as it was: rounding
 * directions, and the bits that start-up code of -ffast-math and frameworks set to take
 * subnormals for 0 (FTZ, DAZ).  Results are judged by GMP in the default environment first.
 */
#include <fenv.h>
#include <immintrin.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/advise.h>
#include <quirenum/convert.h>
#include <quirenum/threads.h>
#include <quirenum/tile.h>

#include "gemm_jobs.h"

#define FTZ 0x8000u
#define DAZ 0x0040u

static const unsigned int environments[] = {
	_MM_ROUND_NEAREST | FTZ, _MM_ROUND_NEAREST | DAZ, _MM_ROUND_NEAREST | FTZ | DAZ,
	_MM_ROUND_DOWN, _MM_ROUND_UP, _MM_ROUND_TOWARD_ZERO | FTZ | DAZ,
};
#define ENVIRONMENTS (sizeof(environments) / sizeof(environments[0]))

static fenv_t before;

/* Rounding direction of both units, as fesetround() sets it, and the bits of MXCSR. */
static void enter(unsigned int bits)
{
	static const int directions[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };

	fegetenv(&before);
	fesetround(directions[bits >> 13 & 3]);
	_mm_setcsr((_mm_getcsr() & ~0x3fu) | (bits & (FTZ | DAZ)));
}

static void leave(unsigned int bits)
{
	const unsigned int now = _mm_getcsr();

	fesetenv(&before);
	assert_int_equal(now & (_MM_ROUND_MASK | FTZ | DAZ), bits);
}

/* A job that the oracle has judged, in all environments with all kernels. */
static void run_everywhere(struct job *job, struct quire_threads *threads)
{
	struct quire_gemm *g = &job->g;
	const uint64_t bytes = bytes_of(g->d.format) *
			       ((g->batch - 1) * g->d.batch_stride + g->m * g->d.leading_dimension);
	uint8_t *start = malloc(bytes), *good = malloc(bytes);
	struct quire_gemm_result want, got;

	assert_non_null(start);
	assert_non_null(good);
	memcpy(start, g->d.data, bytes);
	check(job);
	memcpy(g->d.data, start, bytes);
	assert_int_equal(quire_gemm(g, &want), 0);
	memcpy(good, g->d.data, bytes);
	g->threads = threads;
	for (size_t x = 0; x < KERNELS; x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		for (size_t e = 0; e < ENVIRONMENTS; e++) {
			int error;

			memcpy(g->d.data, start, bytes);
			enter(environments[e]);
			error = quire_gemm(g, &got);
			leave(environments[e]);
			assert_int_equal(error, 0);
			assert_memory_equal(g->d.data, good, bytes);
			assert_int_equal(got.digest, want.digest);
		}
	}
	g->threads = NULL;
	quire_kernel_select(NULL);
	free(start);
	free(good);
}

static void products(void **state)
{
	struct quire_threads *threads;

	(void)state;
	/* a pool whose threads have an environment of their creator's */
	enter(_MM_ROUND_DOWN | FTZ | DAZ);
	threads = quire_threads_create(2);
	leave(_MM_ROUND_DOWN | FTZ | DAZ);
	assert_non_null(threads);
	for (int i = 0; i < 120; i++) {
		struct job job;

		make(&job, 1 + (uint32_t)(rnd() % 20), 1 + (uint32_t)(rnd() % 60),
		     1 + (uint32_t)(rnd() % 70), 1, formats[rnd() % OPERANDS],
		     formats[rnd() % OPERANDS], formats[rnd() % FORMATS], rnd() % 2,
		     (enum fill)(rnd() % 4));
		run_everywhere(&job, rnd() % 2 ? threads : NULL);
		drop(&job);
	}
	quire_threads_destroy(threads);
}

/* Subnormal factors are factors: C has to be read, and products do not vanish. */
static void subnormal_factors(void **state)
{
	static const float factors[] = { 0x1p-140f, 0x1.8p-130f, -0x1p-149f };

	(void)state;
	for (int i = 0; i < 24; i++) {
		struct job job;

		make(&job, 3, 5, 4, 1, QUIRE_FORMAT_FP32, QUIRE_FORMAT_BF16,
		     formats[rnd() % OPERANDS], true, PATTERNS_FINITE);
		job.g.alpha = factors[i % 3];
		job.g.beta = i % 2 ? factors[i / 2 % 3] : 0;
		if (!job.g.beta)
			job.g.c.data = NULL;
		run_everywhere(&job, NULL);
		drop(&job);
	}
}

static void conversions(void **state)
{
	static const float factors[] = { 1, 0x1p-140f, 0x1.8p-130f, 3 };
	_Alignas(64) uint64_t in[64], good[64], out[64];

	(void)state;
	for (int i = 0; i < 400; i++) {
		const uint32_t from = formats[rnd() % OPERANDS], to = formats[rnd() % OPERANDS];
		const bool plain = from == QUIRE_FORMAT_FP64 || to == QUIRE_FORMAT_FP64;
		struct quire_convert c = {
			.rows = 1, .columns = 64, .source = in, .destination = good,
			.source_format = from, .destination_format = to,
			.source_leading_dimension = 64, .destination_leading_dimension = 64,
			.factor = plain ? 1 : factors[i % 4],
		};

		fill(from, in, 64, PATTERNS);
		memset(good, 0, sizeof(good));
		assert_int_equal(quire_convert(&c, NULL), 0);
		c.destination = out;
		for (size_t e = 0; e < ENVIRONMENTS; e++) {
			int error;

			memset(out, 0, sizeof(out));
			enter(environments[e]);
			error = quire_convert(&c, NULL);
			leave(environments[e]);
			assert_int_equal(error, 0);
			assert_memory_equal(out, good, sizeof(out));
		}
	}
}

#define SIDE 128

/* Choices, certificates and definiteness of one matrix: all their numbers. */
struct opinion {
	struct quire_tile_choice choices[SIDE * SIDE / 256];
	struct quire_advice advice;
	struct quire_certificate certificate;
	struct quire_definiteness definiteness;
	uint64_t digest;
};

static void form(const float *data, struct opinion *o)
{
	const struct quire_tiled_advise q = {
		.shape = { .rows = SIDE, .columns = SIDE, .tile_rows = 16, .tile_columns = 16 },
		.matrix = { .data = data, .format = QUIRE_FORMAT_FP32, .leading_dimension = SIDE },
		.budget = QUIRE_BUDGET_ERROR, .tau = 1e-3,
	};
	struct quire_tiled view;
	uint64_t bytes;
	void *image;

	memset(o, 0, sizeof(*o));
	assert_int_equal(quire_tiled_advise(&q, o->choices, &o->advice), 0);
	bytes = quire_tiled_plan(&q.shape, o->choices);
	image = aligned_alloc(QUIRE_TILED_ALIGN, (bytes + 4095) & ~4095ull);
	assert_non_null(image);
	assert_int_equal(quire_tiled_pack(&q.shape, &q.matrix, o->choices, image, bytes, NULL), 0);
	assert_int_equal(quire_tiled_open(image, bytes, &view, NULL), 0);
	assert_int_equal(quire_certify(&q.matrix, &view, NULL, q.tau, NULL, &o->certificate), 0);
	assert_int_equal(quire_definite(&q.matrix, SIDE, &view, &o->definiteness), 0);
	o->digest = quire_tiled_digest(image, 0, bytes);
	free(image);
}

static void opinions(void **state)
{
	float *data = malloc(SIDE * SIDE * sizeof(*data));
	static struct opinion good, got;

	(void)state;
	assert_non_null(data);
	for (uint32_t i = 0; i < SIDE; i++)
		for (uint32_t j = 0; j <= i; j++)
			data[i * SIDE + j] = data[j * SIDE + i] =
				(float)(exp(-0.1 * (i - j)) + (i == j ? 0.3 : 0) +
					0x1p-126 * (double)(rnd() % 16));
	form(data, &good);
	for (size_t e = 0; e < ENVIRONMENTS; e++) {
		enter(environments[e]);
		form(data, &got);
		leave(environments[e]);
		assert_memory_equal(&got, &good, sizeof(got));
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products),
		cmocka_unit_test(subnormal_factors),
		cmocka_unit_test(conversions),
		cmocka_unit_test(opinions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
