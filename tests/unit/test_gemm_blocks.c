// SPDX-License-Identifier: MIT
/*
 * Products long enough in k that tiles are taken in blocks of several panels of A and B: against the
 * oracle, with rows and columns that blocks leave over, by several threads, and with lanes
 * that no block can take; and on a small stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <quire/format.h>
#include <quirenum/threads.h>

#include "gemm_jobs.h"

#define LONG 2210	/* not a multiple of what kernels take at a time */

static void by_threads(uint32_t m, uint32_t n, uint32_t fa, uint32_t fb, uint32_t fd, enum fill how,
		       unsigned int count)
{
	struct quire_threads *threads = quire_threads_create(count);
	struct job job;

	assert_non_null(threads);
	make(&job, m, n, LONG, 1, fa, fb, fd, false, how);
	job.g.threads = threads;
	check(&job);
	drop(&job);
	quire_threads_destroy(threads);
}

/*
 * Too many sums for the oracle: of the kernel that knows neither residues nor blocks, which is tested against it
 * with smaller ones.
 */
static void as_without_blocks(uint32_t m, uint32_t n, unsigned int count)
{
	struct quire_threads *threads = quire_threads_create(count);
	struct quire_gemm_result good, is;
	uint32_t *d;
	struct job job;

	assert_non_null(threads);
	make(&job, m, n, LONG, 1, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, false,
	     NEAR_ONE);
	d = malloc((size_t)m * job.g.d.leading_dimension * sizeof(*d));
	assert_non_null(d);
	memcpy(d, job.g.d.data, (size_t)m * job.g.d.leading_dimension * sizeof(*d));
	job.g.threads = threads;
	assert_int_equal(quire_kernel_select("generic"), 0);
	assert_int_equal(quire_gemm(&job.g, &good), 0);
	quire_kernel_select(NULL);
	job.g.d.data = d;
	assert_int_equal(quire_gemm(&job.g, &is), 0);
	assert_memory_equal(d, job.memory[2], (size_t)m * job.g.d.leading_dimension * sizeof(*d));
	assert_int_equal(is.digest, good.digest);
	free(d);
	drop(&job);
	quire_threads_destroy(threads);
}

static void many_blocks(void **state)
{
	(void)state;
	as_without_blocks(261, 100, 5);
	as_without_blocks(33, 242, 1);
}

static void wide_and_tall(void **state)
{
	(void)state;
	one(258, 2, LONG, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP32, false, NEAR_ONE);
	one(34, 20, LONG, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_BF16, QUIRE_FORMAT_POSIT16, false, NEAR_ONE);
}

static void many_threads(void **state)
{
	(void)state;
	by_threads(70, 9, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, NEAR_ONE, 4);
	by_threads(60, 20, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_BF16, NEAR_ONE, 3);
}

/* A few rows and columns of parts or with NaN: their blocks fall back, the others do not. */
static void some_lanes_of_another_kind(void **state)
{
	(void)state;
	by_threads(70, 12, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, FEW, 4);
	one(34, 21, LONG, QUIRE_FORMAT_BF16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP32, false, FEW);
}

/* What quirenum(3) says is enough; sanitizers put more on it. */
#ifdef __SANITIZE_ADDRESS__
#define STACK (2048 << 10)
#else
#define STACK (256 << 10)
#endif

static void *products_of_every_kind(void *argument)
{
	const uint32_t f = QUIRE_FORMAT_POSIT32;

	(void)argument;
	one(34, 20, LONG, f, f, f, false, NEAR_ONE);
	one(70, 50, 100, f, f, f, false, NEAR_ONE);
	one(70, 50, 100, f, f, f, false, PATTERNS);
	one(20, 50, 100, f, QUIRE_FORMAT_FP32, QUIRE_FORMAT_QUIRE, true, PATTERNS);
	one(20, 30, 4200, QUIRE_FORMAT_POSIT16, f, f, false, FEW);
	return NULL;
}

static void threads_with_little_stack(void **state)
{
	pthread_attr_t attributes;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, STACK), 0);
	assert_int_equal(pthread_create(&thread, &attributes, products_of_every_kind, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_blocks),
		cmocka_unit_test(wide_and_tall),
		cmocka_unit_test(many_threads),
		cmocka_unit_test(some_lanes_of_another_kind),
		cmocka_unit_test(threads_with_little_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
