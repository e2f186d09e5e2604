// SPDX-License-Identifier: MIT
/* Working memory that a caller keeps between products, and the packed B in it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gemm_jobs.h"

/*
 * Bands of rows with one B in a workspace: the digest is that of the whole; B that changed is
 * seen when its version is another, or when anything else about it is.
 */
static void packed_b_kept_between_jobs(void **state)
{
	enum { M = 40, N = 53, K = 70 };
	static const uint32_t columns[] = { N, N, 20, N };
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	uint32_t a[M * K], b[N * N + K * N], changed[K * N], d[M * N], good[M * N];

	(void)state;
	assert_non_null(workspace);
	for (size_t x = 0; x < KERNELS; x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		for (int how = 0; how < 3; how++)
			for (int version = 0; version < 3; version++) {
				fill(QUIRE_FORMAT_FP32, a, M * K, NEAR_ONE);
				fill(QUIRE_FORMAT_FP32, b, N * N + K * N, (enum fill)how);
				memcpy(changed, b, sizeof(changed));
				for (int turn = 0; turn < 12; turn++) {
					uint32_t n = columns[turn % 4], band = turn * 7 % M;
					struct quire_gemm g = { .m = M - band, .n = n, .k = K, .batch = 1,
								.alpha = 1 };

					if (turn == 6)
						fill(QUIRE_FORMAT_FP32, a, M * K, FEW);
					g.a = (struct quire_gemm_operand){ a + band * K, QUIRE_FORMAT_FP32, 0, K, 0 };
					g.b = (struct quire_gemm_operand){ turn == 9 ? changed : b,
						QUIRE_FORMAT_FP32, turn == 8, turn == 8 ? K : N, 0 };
					g.d = (struct quire_gemm_output){ good, QUIRE_FORMAT_FP32, 0, N, 0 };
					assert_int_equal(quire_gemm(&g, NULL), 0);
					g.d.data = d;
					g.workspace = workspace;
					g.b_version = version ? 100 * x + 10 * how + version : 0;
					assert_int_equal(quire_gemm(&g, NULL), 0);
					for (uint32_t i = 0; i < g.m; i++)
						assert_memory_equal(d + i * N, good + i * N, n * 4);
				}
			}
	}
	quire_kernel_select(NULL);
	quire_gemm_workspace_destroy(workspace);
}

/* ---- Which products find the packed B of the one before ---- */

/* In what a product differs from the one before, which packed B. */
enum change {
	NOTHING, OTHER_ROWS, VERSION, NO_VERSION, NO_WORKSPACE, POINTER, FORMAT, TRANSPOSE, LEADING, N, K,
	BATCH, KERNEL, CANCELLED_BETWEEN, ANOTHER_BETWEEN, CHANGES,
};

#define B_SIDE 96			/* of the memory of B, larger than any B in it */

struct bench {
	struct quire_gemm_workspace *workspace;
	uint64_t version;		/* of b[0] */
	uint16_t a[B_SIDE * B_SIDE], b[2][B_SIDE * B_SIDE];
	uint32_t d[2 * B_SIDE * B_SIDE], good[2 * B_SIDE * B_SIDE];
};

/* Posit16, row-major, 40 x 53 x 70. */
static struct quire_gemm product_of(struct bench *bench)
{
	struct quire_gemm g = { .m = 40, .n = 53, .k = 70, .batch = 1, .alpha = 1,
				.workspace = bench->workspace, .b_version = bench->version };

	g.a = (struct quire_gemm_operand){ bench->a, QUIRE_FORMAT_POSIT16, 0, B_SIDE, 0 };
	g.b = (struct quire_gemm_operand){ bench->b[0], QUIRE_FORMAT_POSIT16, 0, B_SIDE, 0 };
	g.d = (struct quire_gemm_output){ bench->d, QUIRE_FORMAT_POSIT32, 0, B_SIDE, B_SIDE * B_SIDE };
	return g;
}

/* D and digest as without a workspace and version, of B as it is in memory now. */
static void is_of_what_is_in_memory(struct bench *bench, struct quire_gemm g)
{
	struct quire_gemm_result got, good;

	memset(bench->d, 0, sizeof(bench->d));
	memset(bench->good, 0, sizeof(bench->good));
	assert_int_equal(quire_gemm(&g, &got), 0);
	g.workspace = NULL;
	g.b_version = 0;
	g.d.data = bench->good;
	assert_int_equal(quire_gemm(&g, &good), 0);
	assert_memory_equal(bench->d, bench->good, sizeof(bench->d));
	assert_int_equal(got.digest, good.digest);
}

static void fill_b(struct bench *bench)
{
	fill(QUIRE_FORMAT_POSIT16, bench->b[0], B_SIDE * B_SIDE, NEAR_ONE);
}

/* A new B that is packed by the last product. */
static struct quire_gemm packed(struct bench *bench)
{
	fill_b(bench);
	bench->version++;
	is_of_what_is_in_memory(bench, product_of(bench));
	return product_of(bench);
}

/* Another one that packs. */
static bool select_other(const char *kernel)
{
	for (int x = 0; x < KERNELS; x++)
		if (strcmp(kernels[x], "plain") && strcmp(kernels[x], kernel) &&
		    quire_kernel_select(kernels[x]) == 0)
			return true;
	return false;
}

/* False: not on this machine. */
static bool apply(struct bench *bench, enum change change, const char *kernel, struct quire_gemm *g)
{
	static const volatile uint32_t stop = 1;
	struct quire_gemm other = *g;

	switch (change) {
	case OTHER_ROWS: g->a.data = bench->a + 17 * B_SIDE; g->m = 23; break;
	case VERSION: g->b_version += 1ull << 32; break;
	case NO_VERSION: g->b_version = 0; break;
	case NO_WORKSPACE:
		/* such jobs share one, and none of them finds what another one packed */
		g->workspace = NULL;
		assert_int_equal(quire_gemm(g, NULL), 0);
		fill_b(bench);
		break;
	case POINTER:
		memcpy(bench->b[1], bench->b[0], sizeof(bench->b[0]));
		g->b.data = bench->b[1];
		break;
	case FORMAT: g->b.format = QUIRE_FORMAT_FP16; break;
	case TRANSPOSE: g->b.transpose = 1; break;
	case LEADING: g->b.leading_dimension--; break;
	case N: g->n--; break;
	case K: g->k--; break;
	case BATCH: g->batch = 2; break;
	case KERNEL: return select_other(kernel);
	case CANCELLED_BETWEEN:
		other.cancel = &stop;
		assert_int_equal(quire_gemm(&other, NULL), -ECANCELED);
		break;
	case ANOTHER_BETWEEN:
		other.n = other.k = other.b.leading_dimension = 7;
		other.b.data = bench->b[1];
		assert_int_equal(quire_gemm(&other, NULL), 0);
		break;
	default: break;
	}
	return true;
}

/*
 * B changes in memory while its version stays: who does so is not to be helped, but the product
 * of the old B shows that the packed one was used.
 */
static void packed_b_is_used_again(struct bench *bench, enum change change)
{
	struct quire_gemm g = packed(bench);

	assert_true(apply(bench, change, NULL, &g));
	g.workspace = NULL;
	g.d.data = bench->good;
	memset(bench->good, 0, sizeof(bench->good));
	memset(bench->d, 0, sizeof(bench->d));
	assert_int_equal(quire_gemm(&g, NULL), 0);
	fill_b(bench);
	g.workspace = bench->workspace;
	g.d.data = bench->d;
	/* more than once */
	for (int turn = 0; turn < 3; turn++) {
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_memory_equal(bench->d, bench->good, sizeof(bench->d));
	}
}

static void packed_b_is_not_used(struct bench *bench, enum change change, const char *kernel)
{
	struct quire_gemm g = packed(bench);

	fill_b(bench);
	if (!apply(bench, change, kernel, &g))
		return;
	is_of_what_is_in_memory(bench, g);
	quire_kernel_select(kernel);
	if (change == NO_WORKSPACE)
		return;
	/* nor is it there any more */
	is_of_what_is_in_memory(bench, product_of(bench));
}

static void packed_b_is_that_of_the_product_before(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	(void)state;
	assert_non_null(bench);
	fill(QUIRE_FORMAT_POSIT16, bench->a, B_SIDE * B_SIDE, NEAR_ONE);
	fill(QUIRE_FORMAT_POSIT16, bench->b[1], B_SIDE * B_SIDE, NEAR_ONE);
	for (int x = 0; x < KERNELS; x++) {
		/* the plain one packs nothing */
		if (quire_kernel_select(kernels[x]) || !strcmp(kernels[x], "plain"))
			continue;
		bench->workspace = quire_gemm_workspace_create();
		assert_non_null(bench->workspace);
		for (int change = NOTHING; change < VERSION; change++)
			packed_b_is_used_again(bench, (enum change)change);
		for (int change = VERSION; change < CHANGES; change++)
			packed_b_is_not_used(bench, (enum change)change, kernels[x]);
		quire_gemm_workspace_destroy(bench->workspace);
	}
	quire_kernel_select(NULL);
	free(bench);
}

/* ---- One job at a time ---- */

struct neighbour {
	struct quire_gemm gemm;
	volatile uint32_t stop;
	int last;
};

/* Products in the same workspace, one after the other, until somebody cancels one. */
static void *multiply_until_cancelled(void *argument)
{
	struct neighbour *n = argument;

	do
		n->last = quire_gemm(&n->gemm, NULL);
	while (n->last == 0 || n->last == -EBUSY);
	return NULL;
}

static void busy_workspace(uint32_t arithmetic)
{
	enum { SIDE = 400, BYTES = SIDE * SIDE * 2 };
	static const uint16_t ones[4] = { 0x3f80, 0x3f80, 0x3f80, 0x3f80 }, two = 0x4000;
	static const uint16_t before[4] = { 1, 2, 3, 4 };
	uint16_t *memory = calloc(3, BYTES), d[4];
	struct quire_gemm_result result, untouched;
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	struct neighbour n = { .gemm = { .m = SIDE, .n = SIDE, .k = SIDE, .batch = 1, .alpha = 1 } };
	struct quire_gemm g = { .m = 2, .n = 2, .k = 2, .batch = 1, .alpha = 1 };
	pthread_t thread;
	int error;

	assert_non_null(memory);
	assert_non_null(workspace);
	n.gemm.a = (struct quire_gemm_operand){ memory, QUIRE_FORMAT_BF16, 0, SIDE, 0 };
	n.gemm.b = (struct quire_gemm_operand){ memory + SIDE * SIDE, QUIRE_FORMAT_BF16, 0, SIDE, 0 };
	n.gemm.d = (struct quire_gemm_output){ memory + 2 * SIDE * SIDE, QUIRE_FORMAT_BF16, 0, SIDE, 0 };
	n.gemm.workspace = workspace;
	n.gemm.cancel = &n.stop;
	g.a = (struct quire_gemm_operand){ ones, QUIRE_FORMAT_BF16, 0, 2, 0 };
	g.b = (struct quire_gemm_operand){ ones, QUIRE_FORMAT_BF16, 0, 2, 0 };
	g.d = (struct quire_gemm_output){ d, QUIRE_FORMAT_BF16, 0, 2, 0 };
	g.arithmetic = arithmetic;
	memset(&result, 0x5a, sizeof(result));
	untouched = result;
	assert_int_equal(pthread_create(&thread, NULL, multiply_until_cancelled, &n), 0);
	do {	/* the other one is between two products: ours is done */
		memcpy(d, before, sizeof(d));
		result = untouched;
		g.workspace = workspace;
		error = quire_gemm(&g, &result);
	} while (error == 0);
	assert_int_equal(error, -EBUSY);
	assert_memory_equal(d, before, sizeof(d));
	assert_memory_equal(&result, &untouched, sizeof(result));
	/* other memory, other jobs */
	g.workspace = NULL;
	assert_int_equal(quire_gemm(&g, &result), 0);
	assert_int_equal(d[3], two);
	__atomic_store_n(&n.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(n.last, -ECANCELED);
	/* a job that was cancelled has given the workspace back */
	memcpy(d, before, sizeof(d));
	g.workspace = workspace;
	assert_int_equal(quire_gemm(&g, &result), 0);
	assert_int_equal(d[0], two);
	quire_gemm_workspace_destroy(workspace);
	free(memory);
}

static void busy_workspace_is_refused(void **state)
{
	(void)state;
	for (int x = 0; x < KERNELS; x++) {
		/* the plain one needs no memory */
		if (quire_kernel_select(kernels[x]) || !strcmp(kernels[x], "plain"))
			continue;
		busy_workspace(QUIRE_GEMM_EXACT);
		busy_workspace(QUIRE_GEMM_FP32);
	}
	quire_kernel_select(NULL);
}

/*
 * Sums of k products of 3 and 3: the AVX-512 kernel takes the first moduli, 256, 255, ..., whose
 * product is a little more than twice that (docs/numerics.md, section 6), with a byte of each
 * element for each; others take a word of 64 bits.
 */
static void packed_bytes_are_told(void **state)
{
	enum { SIDE = 60, LONGEST = 4096 };
	static const struct { uint32_t k, moduli; } sums[] = {
		{ 13, 1 }, { 15, 2 }, { 3600, 2 }, { LONGEST, 3 },
	};
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	uint8_t *threes = malloc(SIDE * LONGEST), d[SIDE * SIDE];

	(void)state;
	assert_non_null(workspace);
	assert_non_null(threes);
	assert_int_equal(quire_gemm_workspace_packed_bytes(workspace), 0);
	memset(threes, 3, SIDE * LONGEST);
	for (size_t x = 0; x < KERNELS; x++) {
		const bool residues = !strcmp(kernels[x], "amx") || !strcmp(kernels[x], "ifma");

		if (quire_kernel_select(kernels[x]) || !strcmp(kernels[x], "plain"))
			continue;
		for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
			const uint32_t k = sums[i].k;
			struct quire_gemm g = {
				.m = SIDE - 7, .n = SIDE, .k = k, .batch = 1, .alpha = 1,
				.a = { threes, QUIRE_FORMAT_INT8, 0, k, 0 },
				.b = { threes, QUIRE_FORMAT_INT8, 0, SIDE, 0 },
				.d = { d, QUIRE_FORMAT_INT8, 0, SIDE, 0 }, .workspace = workspace,
			};

			assert_int_equal(quire_gemm(&g, NULL), 0);
			assert_int_equal(quire_gemm_workspace_packed_bytes(workspace),
					 (g.m + g.n) * k *
					 (residues ? sums[i].moduli : 8));
		}
	}
	quire_kernel_select(NULL);
	free(threes);
	quire_gemm_workspace_destroy(workspace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_b_kept_between_jobs),
		cmocka_unit_test(packed_b_is_that_of_the_product_before),
		cmocka_unit_test(busy_workspace_is_refused),
		cmocka_unit_test(packed_bytes_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
