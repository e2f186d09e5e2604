// SPDX-License-Identifier: MIT
/*
 * BF16 with FP32 accumulation in increasing k (QUIRE_GEMM_FP32).  Vectors run over
 * the outputs, never over k, so every output sees its additions one by one.  The
 * k loop is cut for the caches; an output's FP32 sum waits in a block of floats.
 */
#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_internal.h"

#define ROWS 240u		/* of a block of D; multiples of every kernel's tile */
#define COLUMNS 960u
#define RUN 256u		/* of k */
#define STRIPE 64u		/* columns or so of one task */

struct block {
	const struct quire_gemm *gemm;
	const struct gemm_kernel *kernel;
	struct gemm_finish finish;
	struct gemm_tally *tally;
	struct gemm_source a, b;
	float *packed_a, *packed_b, *sums;
	uint32_t row, rows, column, columns, k, kc;
	uint32_t a_count, b_count, b_group;
	uint32_t stride;		/* of sums */
};

static uint32_t divide_up(uint32_t x, uint32_t y)
{
	return x / y + (x % y != 0);
}

static uint32_t least(uint32_t x, uint32_t y)
{
	return x < y ? x : y;
}

static float widen(uint16_t x)
{
	uint32_t bits = (uint32_t)x << 16;
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

typedef uint16_t halves4 __attribute__((vector_size(8)));
typedef uint16_t halves8 __attribute__((vector_size(16)));
typedef uint32_t words4 __attribute__((vector_size(16)));

static void widen_sixteen(const uint16_t *data, float *out)
{
	for (int i = 0; i < 16; i += 8) {
		const halves8 zero = { 0 };
		halves8 x, y;

		memcpy(&x, data + i, sizeof(x));
		/* a half above a zero: a float, in the byte order of the machine */
		y = __builtin_shufflevector(zero, x, 0, 8, 1, 9, 2, 10, 3, 11);
		memcpy(out + i, &y, sizeof(y));
		y = __builtin_shufflevector(zero, x, 4, 12, 5, 13, 6, 14, 7, 15);
		memcpy(out + i + 4, &y, sizeof(y));
	}
}

/* Four rows of four elements to four columns. */
static void widen_transposed(const uint16_t *data, uint64_t pitch, float *out, uint32_t stride)
{
	words4 x[4], a, b, c, d;

	for (int j = 0; j < 4; j++) {
		halves4 h;

		memcpy(&h, data + j * pitch, sizeof(h));
		x[j] = __builtin_convertvector(h, words4) << 16;
	}
	a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5);
	b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5);
	c = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
	d = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
	x[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
	x[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
	x[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
	x[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
	for (int i = 0; i < 4; i++)
		memcpy(out + (size_t)i * stride, &x[i], sizeof(x[i]));
}

/* Lanes that lie side by side in memory. */
static void pack_across_k(float *restrict out, uint32_t lanes, const uint16_t *restrict data,
			  uint64_t pitch, uint32_t used, uint32_t kc)
{
	if (used == lanes && lanes % 16 == 0) {
		for (uint32_t i = 0; i < kc; i++, data += pitch)
			for (uint32_t l = 0; l < lanes; l += 16, out += 16)
				widen_sixteen(data + l, out);
		return;
	}
	for (uint32_t i = 0; i < kc; i++, data += pitch, out += lanes)
		for (uint32_t l = 0; l < used; l++)
			out[l] = widen(data[l]);
}

/* Lanes along which k runs: four of them, and four k, at a time. */
static void pack_along_k(float *restrict out, uint32_t lanes, const uint16_t *restrict data,
			 uint64_t pitch, uint32_t used, uint32_t kc)
{
	uint32_t l = 0;

	for (; l + 4 <= used; l += 4, data += 4 * pitch) {
		uint32_t i = 0;

		for (; i + 4 <= kc; i += 4)
			widen_transposed(data + i, pitch, out + (size_t)i * lanes + l, lanes);
		for (; i < kc; i++)
			for (uint32_t j = 0; j < 4; j++)
				out[(size_t)i * lanes + l + j] = widen(data[j * pitch + i]);
	}
	for (; l < used; l++, data += pitch)
		for (uint32_t i = 0; i < kc; i++)
			out[(size_t)i * lanes + l] = widen(data[i]);
}

static void pack(float *out, uint32_t lanes, const struct gemm_source *source, uint64_t lane,
		 uint32_t used, uint64_t k, uint32_t kc)
{
	const uint16_t *data = (const uint16_t *)(const void *)source->data +
			       lane * source->lane_stride + k * source->k_stride;

	if (used < lanes)
		memset(out, 0, (size_t)lanes * kc * sizeof(*out));
	if (source->k_stride == 1)
		pack_along_k(out, lanes, data, source->lane_stride, used, kc);
	else
		pack_across_k(out, lanes, data, source->k_stride, used, kc);
}

static void pack_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	const struct gemm_kernel *kernel = block->kernel;
	uint32_t mr = kernel->fp32_mr, nr = kernel->fp32_nr;

	(void)worker;
	if (index < block->a_count)
		pack(block->packed_a + (size_t)index * mr * block->kc, mr, &block->a,
		     block->row + index * mr, least(mr, block->rows - index * mr), block->k,
		     block->kc);
	else {
		index -= block->a_count;
		pack(block->packed_b + (size_t)index * nr * block->kc, nr, &block->b,
		     block->column + index * nr, least(nr, block->columns - index * nr),
		     block->k, block->kc);
	}
}

static void tiles_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	const struct gemm_kernel *kernel = block->kernel;
	uint32_t mr = kernel->fp32_mr, nr = kernel->fp32_nr;
	uint32_t end = least(block->b_count, (index + 1) * block->b_group);
	fenv_t saved;

	(void)worker;
	fegetenv(&saved);
	fesetenv(FE_DFL_ENV);
	for (uint32_t j = index * block->b_group; j < end; j++)
		for (uint32_t i = 0; i < block->a_count; i++)
			kernel->fp32(block->kc, block->packed_a + (size_t)i * mr * block->kc,
				     block->packed_b + (size_t)j * nr * block->kc,
				     block->sums + (size_t)i * mr * block->stride + j * nr, block->stride);
	fesetenv(&saved);
}

/*
 * Floats as integers of 25 bits times 2^exponent, GEMM_NR_MAX of them; whether one of them is
 * not finite.
 */
static bool split(const float *sums, uint64_t *low, int32_t *exponent)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < GEMM_NR_MAX; i++) {
		uint32_t bits, magnitude, field;
		int32_t value, sign;

		memcpy(&bits, &sums[i], sizeof(bits));
		magnitude = bits & 0x7fffffff;
		sign = (int32_t)bits >> 31;
		field = magnitude >> 23;
		most = magnitude > most ? magnitude : most;
		value = (int32_t)((magnitude & 0x7fffff) | (field ? 1u << 23 : 0));
		value = (value ^ sign) - sign;
		low[i] = (uint64_t)(int64_t)value;
		exponent[i] = (int32_t)(field ? field : 1) - 150;
	}
	return most >= 0x7f800000;
}

static uint8_t special_of(float f)
{
	return f != f ? GEMM_NAN : f > FLT_MAX ? GEMM_PLUS_INF : f < -FLT_MAX ? GEMM_MINUS_INF :
									      GEMM_FINITE;
}

static void finish_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	const float *sums = block->sums + (size_t)index * block->stride;
	struct gemm_tally tally = { 0, 0 };
	fenv_t saved;

	fegetenv(&saved);
	fesetenv(FE_DFL_ENV);
	for (uint32_t j = 0; j < block->columns; j += GEMM_NR_MAX) {
		uint32_t count = least(GEMM_NR_MAX, block->columns - j);
		_Alignas(64) uint64_t low[GEMM_NR_MAX];
		int64_t high[GEMM_NR_MAX];
		int32_t exponent[GEMM_NR_MAX];
		uint8_t special[GEMM_NR_MAX];
		/* rows of sums are a multiple of GEMM_NR_MAX long */
		bool any = split(sums + j, low, exponent);

		if (block->finish.direct && !any) {
			gemm_finish_direct(&block->finish, block->kernel, block->row + index,
					   block->column + j, count, low, NULL, exponent, 0, &tally);
			continue;
		}
		for (uint32_t i = 0; i < GEMM_NR_MAX; i++) {
			high[i] = (int64_t)low[i] >> 63;
			special[i] = special_of(sums[j + i]);
		}
		gemm_finish_row(&block->finish, block->kernel, block->row + index,
				block->column + j, count, low, high, exponent,
				any ? special : NULL, &tally);
	}
	fesetenv(&saved);
	block->tally[worker * GEMM_TALLY_STRIDE].digest += tally.digest;
	block->tally[worker * GEMM_TALLY_STRIDE].exceptional += tally.exceptional;
}

static void run_block(struct block *block)
{
	const struct quire_gemm *g = block->gemm;
	const struct gemm_kernel *kernel = block->kernel;

	block->a_count = divide_up(block->rows, kernel->fp32_mr);
	block->b_count = divide_up(block->columns, kernel->fp32_nr);
	block->b_group = divide_up(STRIPE, kernel->fp32_nr);
	block->stride = divide_up(block->columns, GEMM_NR_MAX) * GEMM_NR_MAX;
	memset(block->sums, 0, (size_t)block->a_count * kernel->fp32_mr * block->stride *
			       sizeof(*block->sums));
	for (block->k = 0; block->k < g->k; block->k += block->kc) {
		if (gemm_cancelled(g))
			return;
		block->kc = least(RUN, g->k - block->k);
		quire_threads_run(g->threads, block->a_count + block->b_count, pack_task, block);
		quire_threads_run(g->threads, divide_up(block->b_count, block->b_group),
				  tiles_task, block);
	}
	quire_threads_run(g->threads, block->rows, finish_task, block);
}

int gemm_run_fp32(const struct quire_gemm *g, const struct gemm_kernel *kernel,
		  struct gemm_tally *tally)
{
	struct block block = { .gemm = g, .kernel = kernel ? kernel : &gemm_kernel_generic,
			       .tally = tally };
	int error = -ENOMEM;

	block.packed_a = aligned_alloc(64, sizeof(float) * ROWS * RUN);
	block.packed_b = aligned_alloc(64, sizeof(float) * COLUMNS * RUN);
	block.sums = aligned_alloc(64, sizeof(float) * ROWS * COLUMNS);
	if (!block.packed_a || !block.packed_b || !block.sums)
		goto out;
	error = 0;
	for (uint32_t batch = 0; batch < g->batch; batch++) {
		gemm_finish_init(&block.finish, g, batch);
		block.a = gemm_source_of(&g->a, !g->a.transpose, batch);
		block.b = gemm_source_of(&g->b, g->b.transpose, batch);
		for (uint32_t i = 0; i < g->m; i += ROWS)
			for (uint32_t j = 0; j < g->n; j += COLUMNS) {
				if (gemm_cancelled(g))
					goto out;
				block.row = i;
				block.rows = least(ROWS, g->m - i);
				block.column = j;
				block.columns = least(COLUMNS, g->n - j);
				run_block(&block);
			}
	}
out:
	free(block.packed_a);
	free(block.packed_b);
	free(block.sums);
	return error;
}
