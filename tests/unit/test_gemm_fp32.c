// SPDX-License-Identifier: MIT
/* Products of BF16 with sums in FP32: the oracle is fmaf() in the order that is promised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <quirenum/threads.h>

#include "gemm_jobs.h"

static void fp32_arithmetic(void **state)
{
	(void)state;
	for (int i = 0; i < 120; i++) {
		struct job job;

		make(&job, 1 + rnd() % 30, 1 + rnd() % 60, rnd() % 600, 1, QUIRE_FORMAT_BF16,
		     QUIRE_FORMAT_BF16, formats[rnd() % 16], i % 2, i % 4);
		job.g.arithmetic = QUIRE_GEMM_FP32;
		check(&job);
		drop(&job);
	}
}

/* More than one block of rows, columns and k: samples of each kernel's result. */
static void fp32_blocks(void **state)
{
	struct quire_threads *threads = quire_threads_create(3);
	struct job job;
	uint64_t digest = 0;

	(void)state;
	assert_non_null(threads);
	make(&job, 530, 1050, 300, 1, QUIRE_FORMAT_BF16, QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP32, false,
	     FEW);
	job.g.arithmetic = QUIRE_GEMM_FP32;
	for (size_t x = 0; x < 3; x++) {
		struct quire_gemm_result r;

		/* as in many_blocks() */
		if (quire_kernel_select(kernels[x]) || (x == 2 && digest))
			continue;
		for (int t = 0; t < 2; t++) {
			job.g.threads = t ? threads : NULL;
			assert_int_equal(quire_gemm(&job.g, &r), 0);
			assert_true(!digest || digest == r.digest);
			digest = r.digest;
		}
		for (int sample = 0; sample < 300; sample++) {
			uint64_t i = rnd() % job.g.m, j = rnd() % job.g.n, good[QUIRE_IMAGE_LIMBS];

			expect(&job.g, NULL, 0, i, j, good);
			assert_int_equal(load(QUIRE_FORMAT_FP32, job.g.d.data,
					      i * job.g.d.leading_dimension + j), good[0]);
		}
	}
	drop(&job);
	quire_kernel_select(NULL);
	quire_threads_destroy(threads);
}

/* A sum that underflowed to -0 is an exact zero, +0; subnormal sums are kept. */
static void fp32_small_sums(void **state)
{
	static const uint16_t a[2] = { 0x0380, 0x1f80 }, b[2] = { 0x8380, 0x1f80 };
	struct quire_gemm g = { .m = 1, .n = 1, .batch = 1, .alpha = 1,
				.arithmetic = QUIRE_GEMM_FP32 };
	uint32_t d;

	(void)state;
	/* 2^-120 and -2^-120; 2^-64 twice */
	g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_BF16, 0, 2, 0 };
	g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_BF16, 0, 1, 0 };
	g.d = (struct quire_gemm_output){ &d, QUIRE_FORMAT_FP32, 0, 1, 0 };
	for (size_t x = 0; x < KERNELS; x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		g.k = 1;
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 0);
		g.k = 2;
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 1u << 21);
	}
	quire_kernel_select(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fp32_arithmetic),
		cmocka_unit_test(fp32_blocks),
		cmocka_unit_test(fp32_small_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
