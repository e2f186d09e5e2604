// SPDX-License-Identifier: MIT
/* Sums around the bounds that the kernels choose their way by. */
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
static const uint32_t moduli[] = { 256, 255, 253, 251, 247, 241, 239, 233, 229, 227, 223, 217 };

/*
 * Rows and columns of equal elements, but for a 1 that fixes the unit: the sums are as large as
 * their bound, up to the rounding of the elements, and lie right below and above each border.
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_at_borders_of_moduli),
		cmocka_unit_test(heavy_rows_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
