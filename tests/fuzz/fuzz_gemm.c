// SPDX-License-Identifier: MIT
/*
 * Any bytes as a matrix product.  A job that quire_gemm_check() refuses is refused by
 * quire_gemm(), which then touches nothing: its pointers lead nowhere here.  One that
 * passes and is small gets operands of exactly the bytes that it may touch, and every
 * kernel must give the result and the digest of the plain loop.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/gemm.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MOST 65536
#define MACS_MOST 20000

static void must(bool condition)
{
	if (!condition)
		abort();
}

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	if (bytes > in->left)
		bytes = in->left;
	memcpy(&value, in->at, bytes);
	in->at += bytes;
	in->left -= bytes;
	return value;
}

/* Mostly small, sometimes anything. */
static uint64_t take_size(struct input *in)
{
	uint8_t kind = (uint8_t)take(in, 1);

	return kind < 248 ? kind % 24 : take(in, kind % 8 + 1);
}

static uint32_t take_format(struct input *in)
{
	static const uint32_t formats[] = {
		QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32,
		QUIRE_FORMAT_POSIT(3), QUIRE_FORMAT_POSIT(13), QUIRE_FORMAT_POSIT(31),
		QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16, QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3,
		QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8, QUIRE_FORMAT_FP64, QUIRE_FORMAT_QUIRE,
	};
	uint8_t kind = (uint8_t)take(in, 1);
	uint32_t format;

	if (kind < 250)
		return formats[kind % (sizeof(formats) / sizeof(formats[0]))];
	format = (uint32_t)take(in, 4);
	/* a view of tiles is a structure, not bytes */
	return format == QUIRE_FORMAT_TILED ? QUIRE_FORMAT_NONE : format;
}

static float take_factor(struct input *in)
{
	static const float few[] = { 0, 1, -1, 2, -0.5f, 0x1p-149f, 0x1.fffffep127f, INFINITY };
	uint8_t kind = (uint8_t)take(in, 1);
	uint32_t word;
	float f;

	if (kind < 200)
		return few[kind % 8];
	word = (uint32_t)take(in, 4);
	memcpy(&f, &word, sizeof(f));
	return f;
}

static struct quire_gemm_operand take_operand(struct input *in)
{
	struct quire_gemm_operand x = { .data = (const void *)(uintptr_t)0x10000 };

	x.format = take_format(in);
	x.transpose = (uint32_t)take(in, 1) % 16 ? (uint32_t)take(in, 1) % 2 : (uint32_t)take(in, 4);
	x.leading_dimension = take_size(in);
	x.batch_stride = take_size(in);
	return x;
}

static struct quire_gemm take_job(struct input *in)
{
	struct quire_gemm g = { 0 };

	g.m = (uint32_t)take_size(in);
	g.n = (uint32_t)take_size(in);
	g.k = (uint32_t)take_size(in);
	g.batch = (uint32_t)take_size(in) % 5 ? 1 : (uint32_t)take_size(in);
	g.a = take_operand(in);
	g.b = take_operand(in);
	g.c = take_operand(in);
	g.d.format = take_format(in);
	g.d.leading_dimension = take_size(in);
	g.d.batch_stride = take_size(in);
	g.alpha = take_factor(in);
	g.beta = take_factor(in);
	g.bias_kind = (uint32_t)take(in, 1) % 5;
	g.bias_format = take_format(in);
	g.activation = (uint32_t)take(in, 1) % 3;
	g.arithmetic = (uint32_t)take(in, 1) % 3;
	g.digest_row = take_size(in);
	/* far from each other, so that nothing overlaps */
	g.b.data = (const void *)(uintptr_t)0x100000000000;
	g.c.data = (const void *)(uintptr_t)0x200000000000;
	g.d.data = (void *)(uintptr_t)0x300000000000;
	g.bias = (const void *)(uintptr_t)0x400000000000;
	return g;
}

static uint32_t element_bytes(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	return format == QUIRE_FORMAT_QUIRE ? QUIRE_IMAGE_BYTES :
	       bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

/* Bytes from the first element to behind the last; BYTES_MOST + 1 for too many. */
static size_t extent(uint32_t format, uint64_t rows, uint64_t columns, uint64_t leading,
		     uint64_t batch, uint64_t stride)
{
	long double elements = (long double)(rows - 1) * (rows > 1 ? leading : 0) + columns +
			       (long double)(batch - 1) * (batch > 1 ? stride : 0);
	long double bytes = elements * element_bytes(format);

	return bytes > BYTES_MOST ? BYTES_MOST + 1 : (size_t)bytes;
}

static void *fill(struct input *in, size_t bytes)
{
	uint8_t *memory = malloc(bytes ? bytes : 1);	/* exactly: a byte too far is seen */

	if (!memory)
		exit(1);
	for (size_t i = 0; i < bytes; i++)
		memory[i] = in->left ? (uint8_t)take(in, 1) : (uint8_t)(i * 37);
	return memory;
}

static void run(struct quire_gemm *g, struct input *in)
{
	static const char *const kernels[] = { "generic", "avx2", "ifma" };
	bool product = g->alpha != 0 && g->k;
	size_t size[5] = { 0 };
	void *memory[5], *good;
	struct quire_gemm_result plain, result;

	if (product) {
		size[0] = extent(g->a.format, g->a.transpose ? g->k : g->m,
				 g->a.transpose ? g->m : g->k, g->a.leading_dimension, g->batch,
				 g->a.batch_stride);
		size[1] = extent(g->b.format, g->b.transpose ? g->n : g->k,
				 g->b.transpose ? g->k : g->n, g->b.leading_dimension, g->batch,
				 g->b.batch_stride);
	}
	if (g->beta != 0)
		size[2] = extent(g->c.format, g->m, g->n, g->c.leading_dimension, g->batch,
				 g->c.batch_stride);
	size[3] = extent(g->d.format, g->m, g->n, g->d.leading_dimension, g->batch,
			 g->d.batch_stride);
	if (g->bias_kind)
		size[4] = extent(g->bias_format, 1, g->bias_kind == QUIRE_GEMM_BIAS_PER_ROW ? g->m : g->n,
				 0, 1, 0);
	for (int i = 0; i < 5; i++)
		if (size[i] > BYTES_MOST)
			return;
	for (int i = 0; i < 5; i++)
		memory[i] = fill(in, size[i]);
	g->a.data = memory[0];
	g->b.data = memory[1];
	g->c.data = memory[2];
	g->d.data = memory[3];
	g->bias = memory[4];
	must(quire_kernel_select("plain") == 0);
	must(quire_gemm(g, &plain) == 0);
	good = malloc(size[3]);
	memcpy(good, memory[3], size[3]);
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		if (quire_kernel_select(kernels[i]))
			continue;
		must(quire_gemm(g, &result) == 0);
		must(memcmp(good, memory[3], size[3]) == 0);
		must(result.digest == plain.digest && result.exceptional == plain.exceptional);
	}
	free(good);
	for (int i = 0; i < 5; i++)
		free(memory[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct quire_gemm g = take_job(&in);
	const char *why = NULL;
	int error = quire_gemm_check(&g, &why);

	must((error != 0) == (why != NULL));
	if (error)
		must(quire_gemm(&g, NULL) == error);
	else if (g.m && g.n && g.batch &&
		 (long double)g.m * g.n * ((long double)g.k + 1) * g.batch <= MACS_MOST)
		run(&g, &in);
	return 0;
}
