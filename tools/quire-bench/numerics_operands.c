// SPDX-License-Identifier: MIT
/* Matrices of quire-bench numerics. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/convert.h>

#include "numerics.h"

#define PAGE 4096u

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Box and Muller. */
void numerics_fill_normal(float *values, size_t count, uint64_t seed)
{
	for (size_t i = 0; i < count; i++) {
		double u = (double)((next_random(&seed) >> 11) + 1) * 0x1p-53;
		double v = (double)(next_random(&seed) >> 11) * 0x1p-53;

		values[i] = (float)(sqrt(-2 * log(u)) * cos(2 * M_PI * v));
	}
}

void numerics_fill_patterns(void *words, size_t bytes, uint64_t seed)
{
	for (size_t i = 0; i < bytes; i += 8) {
		uint64_t word = next_random(&seed);

		memcpy((uint8_t *)words + i, &word, bytes - i < 8 ? bytes - i : 8);
	}
}

/* On pages of its own and written once, so that no page fault is measured. */
static void *allocate(size_t bytes)
{
	size_t size = (bytes + PAGE - 1) / PAGE * PAGE;
	void *memory = aligned_alloc(PAGE, size ? size : PAGE);

	if (memory)
		memset(memory, 0, size);
	return memory;
}

static size_t element_bytes(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	return bits <= 8 ? 1 : bits <= 16 ? 2 : 4;
}

static int fill(const struct numerics_case *kind, void *matrix, size_t count, uint64_t seed)
{
	struct quire_convert convert = {
		.rows = 1, .columns = count, .destination = matrix,
		.source_format = QUIRE_FORMAT_FP32, .destination_format = kind->format, .factor = 1,
	};
	float *values;
	int error;

	if (kind->data == NUMERICS_PATTERNS) {
		numerics_fill_patterns(matrix, count * element_bytes(kind->format), seed);
		return 0;
	}
	values = malloc(count * sizeof(*values));
	if (!values)
		return -ENOMEM;
	numerics_fill_normal(values, count, seed);
	convert.source = values;
	error = quire_convert(&convert, NULL);
	free(values);
	return error;
}

int numerics_product_create(struct numerics_product *product, const struct numerics_case *kind,
			    uint32_t m, uint32_t n, uint32_t k, struct quire_threads *threads)
{
	const size_t element = element_bytes(kind->format);
	int error = -ENOMEM;

	product->kind = kind;
	product->a = allocate((size_t)m * k * element);
	product->b = allocate((size_t)k * n * element);
	product->d = allocate((size_t)m * n * element);
	product->gemm = (struct quire_gemm){
		.m = m, .n = n, .k = k, .batch = 1,
		.a = { product->a, kind->format, 0, k, 0 },
		.b = { product->b, kind->format, 0, n, 0 },
		.d = { product->d, kind->format, 0, n, 0 },
		.alpha = 1, .arithmetic = kind->arithmetic, .threads = threads,
	};
	if (product->a && product->b && product->d)
		error = fill(kind, product->a, (size_t)m * k, 1);
	if (!error)
		error = fill(kind, product->b, (size_t)k * n, 2);
	if (error)
		numerics_product_free(product);
	return error;
}

void numerics_product_free(struct numerics_product *product)
{
	free(product->a);
	free(product->b);
	free(product->d);
	product->a = product->b = product->d = NULL;
}

int numerics_product_run(void *product)
{
	struct quire_gemm_result result;

	return quire_gemm(&((struct numerics_product *)product)->gemm, &result);
}

static int create_double(struct numerics_peer *peer, size_t count)
{
	float *values = malloc(count * sizeof(*values));

	peer->a = allocate(count * sizeof(double));
	peer->b = allocate(count * sizeof(double));
	peer->c = allocate(count * sizeof(double));
	if (!values || !peer->a || !peer->b || !peer->c) {
		free(values);
		return -ENOMEM;
	}
	numerics_fill_normal(values, count, 1);
	for (size_t i = 0; i < count; i++)
		peer->a[i] = (double)values[i];
	numerics_fill_normal(values, count, 2);
	for (size_t i = 0; i < count; i++)
		peer->b[i] = (double)values[i];
	free(values);
	return 0;
}

static int create_single(struct numerics_peer *peer, size_t count)
{
	peer->a_single = allocate(count * sizeof(float));
	peer->b_single = allocate(count * sizeof(float));
	peer->c_single = allocate(count * sizeof(float));
	if (!peer->a_single || !peer->b_single || !peer->c_single)
		return -ENOMEM;
	numerics_fill_normal(peer->a_single, count, 1);
	numerics_fill_normal(peer->b_single, count, 2);
	return 0;
}

int numerics_peer_create(struct numerics_peer *peer, const struct openblas *openblas, uint32_t n,
			 bool single)
{
	size_t count = (size_t)n * n;
	int error;

	*peer = (struct numerics_peer){ .openblas = openblas, .n = (int)n };
	error = single ? create_single(peer, count) : create_double(peer, count);
	if (error)
		numerics_peer_free(peer);
	return error;
}

void numerics_peer_free(struct numerics_peer *peer)
{
	free(peer->a);
	free(peer->b);
	free(peer->c);
	free(peer->a_single);
	free(peer->b_single);
	free(peer->c_single);
	*peer = (struct numerics_peer){ 0 };
}

int numerics_peer_run(void *argument)
{
	struct numerics_peer *p = argument;
	const int order = OPENBLAS_ROW_MAJOR, plain = OPENBLAS_NO_TRANSPOSE, n = p->n;

	if (p->a)
		p->openblas->dgemm(order, plain, plain, n, n, n, 1, p->a, n, p->b, n, 0, p->c, n);
	else
		p->openblas->sgemm(order, plain, plain, n, n, n, 1, p->a_single, n, p->b_single, n,
				   0, p->c_single, n);
	return 0;
}
