// SPDX-License-Identifier: MIT
/*
 * Sums of rows and columns whose numbers do not fit one integer of 50 bits: around the bounds of how many
 * moduli they take, of all sizes after cancellation, and where there are not moduli enough.
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

#define M 17
#define N 50

/* The AVX-512 kernels take the first ones whose product is more than twice a sum's bound. */
static const uint32_t moduli[] = { 256, 255, 253, 251, 247, 241, 239, 233, 229, 227, 223, 217, 211, 199, 197,
				   193, 191, 181, 179, 173, 167, 163, 157, 151, 149, 139, 137, 131, 127, 113,
				   109, 107, 103, 101, 97,  89,	 83,  79,  73,	71,  67,  61,  59,  53,	 47 };

static void set(struct job *job, const float *a, const float *b, void *d, uint32_t k, uint32_t format)
{
	memset(d, 0, M * N * sizeof(double));
	*job = (struct job){ .g = { .m = M, .n = N, .k = k, .batch = 1, .alpha = 1 } };
	job->g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_FP32, 0, k, 0 };
	job->g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_FP32, 0, N, 0 };
	job->g.d = (struct quire_gemm_output){ d, format, 0, N, 0 };
}

/*
 * Rows and columns of equal elements, but for one that fixes the unit, 2^-70: the sums are as large as their
 * bound, up to the rounding of the elements, and lie right below and above each border.  more: bits that rows
 * have more than columns, so that these may fit 50 bits or both may not.
 */
static void sums_at_borders_of_moduli(void **state)
{
	static const double factor[] = { 0.2501, 0.4978, 0.4982, 0.4999, 0.5001 };
	static const int more[] = { 0, 40, 80 };
	enum { K = 61 };
	static float a[M * K], b[K * N];
	static double d[M * N];
	double product = 1;
	struct job job;

	(void)state;
	for (size_t p = 0; p < sizeof(moduli) / sizeof(moduli[0]); p++) {
		product *= moduli[p];
		for (size_t x = 0; x < 5 * 3; x++) {
			const double element = sqrt(product * factor[x % 5] / K) * 0x1p-70;
			const float of_a = (float)ldexp(element, more[x / 5] / 2);
			const float of_b = (float)ldexp(element, -more[x / 5] / 2);

			/* what fits is another test's */
			if (of_a < 0x1p-20f || of_b < 0x1p-69f)
				continue;
			for (int i = 0; i < M * K; i++)
				a[i] = i / K % 3 == 1 || (i / K % 3 == 2 && i % K % 2) ? -of_a : of_a;
			for (int i = 0; i < K * N; i++)
				b[i] = i % N % 4 == 3 && i / N % 3 ? -of_b : of_b;
			for (int i = 0; i < M; i++)
				a[i * K + (int)(rnd() % K)] = 0x1p-70f;
			for (int j = 0; j < N; j++)
				b[(int)(rnd() % K) * N + j] = 0x1p-70f;
			set(&job, a, b, d, K, QUIRE_FORMAT_FP64);
			check(&job);
		}
	}
}

/* A float of any size within 2^(+-size), or 0. */
static float any(int size)
{
	const double significand = (double)((rnd() & 0xffffff) | 0x800000) * 0x1p-24;
	const float x = (float)ldexp(significand, (int)(rnd() % (2 * (uint64_t)size)) - size);

	return rnd() % 8 == 0 ? 0 : rnd() % 2 ? x : -x;
}

/* Pairs that cancel, and as many more numbers as leave a sum of any size: to a decision, or a unit beside it. */
static void sums_after_cancellation(void **state)
{
	static const uint32_t results[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP64,
					    QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_BF16 };
	static const double near[] = { 0x1p60, 0x1p36, 0x1p35, 0x1p-90, -0x1p-90, 0x1p-60, 0, 0 };
	enum { K = 40 };
	static float a[M * K], b[K * N];
	static double d[M * N];
	struct job job;

	(void)state;
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < M; i++)
			for (int k = 0; k < K; k++) {
				const bool twin = k % 2 && k < K - 8;
				const int down = (int)(rnd() % 40);

				a[i * K + k] = twin ? -a[i * K + k - 1] : any(round % 2 ? 45 : 80);
				if (k >= K - 8)
					a[i * K + k] = round % 3 ? (float)near[rnd() % 8] :
								   (float)ldexp(any(1), -down * 3);
			}
		for (int k = 0; k < K; k++)
			for (int j = 0; j < N; j++) {
				const bool twin = k % 2 && k < K - 8;

				b[k * N + j] = twin ? b[(k - 1) * N + j] : any(round % 2 ? 45 : 60);
				if (k >= K - 8)
					b[k * N + j] = j % 3 ? 1 : (float)ldexp(1, (int)(rnd() % 3) - 1);
			}
		set(&job, a, b, d, K, results[round % 5]);
		check(&job);
	}
}

/* FP32 of all sizes: sums of some rows and columns take more moduli than there are, others do not. */
static void more_than_there_are_moduli(void **state)
{
	enum { K = 70 };
	static float a[M * K], b[K * N];
	static double d[M * N];
	struct job job;

	(void)state;
	for (int round = 0; round < 12; round++) {
		for (int i = 0; i < M * K; i++)
			a[i] = any(i / K == M - 1 || round % 3 == 0 ? 120 : 10 + 8 * (round % 4));
		for (int i = 0; i < K * N; i++)
			b[i] = any(i % N < 48 && round % 2 ? 30 : 120);
		set(&job, a, b, d, K, QUIRE_FORMAT_FP32);
		check(&job);
	}
}

/* Wide numbers with one operand's or both's, results of any kind, and more k's than one pass has. */
static void results_of_any_kind(void **state)
{
	static const uint32_t depth[] = { 1, 2, 5, 63, 64, 65, 130 };

	(void)state;
	for (size_t i = 0; i < FORMATS; i++)
		for (int extras = 0; extras < 2; extras++) {
			const uint32_t k = depth[(2 * i + (size_t)extras) % 7];

			one(19, 51, k, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, formats[i], extras, PATTERNS);
			one(33, 49, k, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT8, formats[i], extras, PATTERNS);
			one(7, 97, k, QUIRE_FORMAT_BF16, QUIRE_FORMAT_POSIT16, formats[i], extras, FEW);
		}
	one(3, 49, 4096, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP64, false, PATTERNS_FINITE);
	one(3, 49, 4096 + 77, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, true,
	    PATTERNS_FINITE);
}

/* B of one part stays packed from job to job, without what only an A of more has asked for. */
static void kept_panels(void **state)
{
	enum { K = 50 };
	static float a[M * K], b[K * N];
	static double d[M * N];
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	struct job job;

	(void)state;
	assert_non_null(workspace);
	for (int i = 0; i < K * N; i++)
		b[i] = any(5);
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < M * K; i++)
			a[i] = any(round % 3 == 1 ? 5 : 60);
		set(&job, a, b, d, K, QUIRE_FORMAT_FP32);
		job.g.workspace = workspace;
		job.g.b_version = 1;
		check(&job);
	}
	quire_gemm_workspace_destroy(workspace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_at_borders_of_moduli),
		cmocka_unit_test(sums_after_cancellation),
		cmocka_unit_test(more_than_there_are_moduli),
		cmocka_unit_test(results_of_any_kind),
		cmocka_unit_test(kept_panels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
