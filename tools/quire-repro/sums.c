// SPDX-License-Identifier: MIT
/*
 * The same product of BF16 numbers the usual way, for comparison: products, which
 * are exact in FP32, summed in FP32 in several orders; and OpenBLAS.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repro.h"

static float to_bf16(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* Operands rounded to BF16; B turned, so that both run along k. */
struct rounded {
	float *a, *b;
};

static int round_operands(const struct workload *w, struct rounded *rounded, bool turn)
{
	rounded->a = malloc((size_t)w->m * w->k * sizeof(float));
	rounded->b = malloc((size_t)w->k * w->n * sizeof(float));
	if (!rounded->a || !rounded->b)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)w->m * w->k; i++)
		rounded->a[i] = to_bf16(w->a[i]);
	for (size_t k = 0; k < w->k; k++)
		for (size_t j = 0; j < w->n; j++)
			rounded->b[turn ? j * w->k + k : k * w->n + j] = to_bf16(w->b[k * w->n + j]);
	return 0;
}

static float sequential(const float *x, uint32_t count)
{
	float sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += x[i];
	return sum;
}

static float reverse(const float *x, uint32_t count)
{
	float sum = 0;

	while (count-- > 0)
		sum += x[count];
	return sum;
}

/* As a GPU splits k over blocks: so many partial sums, then their sum. */
static float split(const float *x, uint32_t count, uint32_t parts)
{
	float sum = 0;

	for (uint32_t p = 0; p < parts; p++) {
		uint32_t from = (uint32_t)((uint64_t)count * p / parts);
		uint32_t to = (uint32_t)((uint64_t)count * (p + 1) / parts);

		sum += sequential(x + from, to - from);
	}
	return sum;
}

static float split_4(const float *x, uint32_t count) { return split(x, count, 4); }
static float split_16(const float *x, uint32_t count) { return split(x, count, 16); }
static float split_64(const float *x, uint32_t count) { return split(x, count, 64); }

static float pairwise(const float *x, uint32_t count)
{
	if (count <= 2)
		return count == 2 ? x[0] + x[1] : count ? x[0] : 0;
	return pairwise(x, count / 2) + pairwise(x + count / 2, count - count / 2);
}

static const struct order {
	const char *name;
	float (*sum)(const float *x, uint32_t count);
	bool permuted;
} orders[] = {
	{ "sequential", sequential, false }, { "reverse", reverse, false },
	{ "4 parts", split_4, false },	     { "16 parts", split_16, false },
	{ "64 parts", split_64, false },     { "pairwise", pairwise, false },
	{ "random order", sequential, true },
};

static void sum_all(const struct workload *w, const struct rounded *operands,
		    const struct order *order, float *products, uint32_t *result)
{
	for (uint32_t i = 0; i < w->m; i++) {
		for (uint32_t j = 0; j < w->n; j++) {
			const float *a = operands->a + (size_t)i * w->k;
			const float *b = operands->b + (size_t)j * w->k;
			float sum;

			for (uint32_t k = 0; k < w->k; k++) {
				uint32_t from = order->permuted ? w->permutation[k] : k;

				products[k] = a[from] * b[from];
			}
			sum = order->sum(products, w->k);
			memcpy(&result[(size_t)i * w->n + j], &sum, sizeof(sum));
		}
	}
}

int run_sums(const struct workload *w, struct mode *mode, struct mode *rounded)
{
	size_t elements = (size_t)w->m * w->n;
	float *products = malloc(w->k * sizeof(*products));
	uint32_t *result = malloc(elements * sizeof(*result));
	struct rounded operands = { NULL, NULL };
	int error = products && result ? round_operands(w, &operands, true) : -ENOMEM;

	for (size_t o = 0; !error && o < sizeof(orders) / sizeof(orders[0]); o++) {
		sum_all(w, &operands, &orders[o], products, result);
		error = mode_add(mode, result, "FP32, %s", orders[o].name);
		for (size_t i = 0; i < elements; i++) {
			float value;

			memcpy(&value, &result[i], sizeof(value));
			value = to_bf16(value);
			memcpy(&result[i], &value, sizeof(value));
		}
		error = error ? error : mode_add(rounded, result, "FP32, %s, rounded to BF16",
						 orders[o].name);
	}
	free(operands.a);
	free(operands.b);
	free(products);
	free(result);
	return error;
}

/* ---- OpenBLAS ---- */

/* Of cblas.h: the values and types that are needed, as the library may be missing. */
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111 };

struct openblas {
	void *library;
	void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
		      const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
	void (*set_threads)(int threads);
};

static bool load_openblas(struct openblas *blas)
{
	blas->library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!blas->library)
		return false;
	*(void **)&blas->sgemm = dlsym(blas->library, "cblas_sgemm");
	*(void **)&blas->set_threads = dlsym(blas->library, "openblas_set_num_threads");
	return blas->sgemm && blas->set_threads;
}

/* In bands of rows, as a server that batches requests differently would. */
static int run_blas(const struct openblas *blas, const struct workload *w,
		    const struct rounded *operands, int threads, uint32_t rows, float *result,
		    struct mode *mode)
{
	blas->set_threads(threads);
	for (uint32_t row = 0; row < w->m; row += rows) {
		uint32_t height = w->m - row < rows ? w->m - row : rows;

		blas->sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, (int)height, (int)w->n, (int)w->k,
			    1, operands->a + (size_t)row * w->k, (int)w->k, operands->b, (int)w->n, 0,
			    result + (size_t)row * w->n, (int)w->n);
	}
	return mode_add(mode, (const uint32_t *)result, "OpenBLAS, %d threads, %u rows at once",
			threads, rows);
}

int run_openblas(const struct workload *w, struct mode *mode)
{
	float *result = malloc((size_t)w->m * w->n * sizeof(*result));
	struct rounded operands = { NULL, NULL };
	struct openblas blas = { NULL, NULL, NULL };
	int error;

	if (!load_openblas(&blas)) {
		free(result);
		return 1;
	}
	error = result ? round_operands(w, &operands, false) : -ENOMEM;
	for (int threads = 1; !error && threads <= 4; threads *= 2)
		error = run_blas(&blas, w, &operands, threads, w->m, result, mode);
	error = error ? error : run_blas(&blas, w, &operands, 1, 1, result, mode);
	error = error ? error : run_blas(&blas, w, &operands, 1, 7, result, mode);
	error = error ? error : run_blas(&blas, w, &operands, 1, 16, result, mode);
	free(operands.a);
	free(operands.b);
	free(result);
	/* The library stays loaded: its threads may still run. */
	return error;
}
