// SPDX-License-Identifier: MIT
/*
 * BF16 with FP32 accumulation in increasing k (QUIRE_GEMM_FP32).  Vectors run over
 * the outputs, never over k, so every output sees its additions one by one.  The
 * k loop is cut for the caches; an output's FP32 sum waits in a block of floats.
 */
#include <errno.h>
#include <fenv.h>
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

static void pack(float *out, uint32_t lanes, const struct gemm_source *source, uint64_t lane,
		 uint32_t used, uint64_t k, uint32_t kc)
{
	const uint16_t *data = (const uint16_t *)(const void *)source->data;

	if (used < lanes)
		memset(out, 0, (size_t)lanes * kc * sizeof(*out));
	if (source->k_stride == 1) {
		for (uint32_t l = 0; l < used; l++)
			for (uint32_t i = 0; i < kc; i++)
				out[(size_t)i * lanes + l] =
					widen(data[(lane + l) * source->lane_stride + k + i]);
		return;
	}
	for (uint32_t i = 0; i < kc; i++)
		for (uint32_t l = 0; l < used; l++)
			out[(size_t)i * lanes + l] =
				widen(data[(k + i) * source->k_stride + lane + l]);
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

/* A float as an integer of 25 bits times 2^exponent. */
static void split(float f, uint64_t *low, int64_t *high, int32_t *exponent, uint8_t *special)
{
	uint32_t bits, field, fraction;
	int64_t value;

	memcpy(&bits, &f, 4);
	field = bits >> 23 & 0xff;
	fraction = bits & 0x7fffff;
	value = fraction | (field ? 1u << 23 : 0);
	value = bits >> 31 ? -value : value;
	*low = (uint64_t)value;
	*high = value >> 63;
	*exponent = (int32_t)(field ? field : 1) - 150;
	*special = field != 0xff ? GEMM_FINITE : fraction ? GEMM_NAN :
		   bits >> 31 ? GEMM_MINUS_INF : GEMM_PLUS_INF;
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
		uint32_t count = least(GEMM_NR_MAX, block->columns - j), any = 0;
		uint64_t low[GEMM_NR_MAX] = { 0 };
		int64_t high[GEMM_NR_MAX] = { 0 };
		int32_t exponent[GEMM_NR_MAX] = { 0 };
		uint8_t special[GEMM_NR_MAX];

		for (uint32_t i = 0; i < count; i++) {
			split(sums[j + i], &low[i], &high[i], &exponent[i], &special[i]);
			any |= special[i];
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
	block->stride = block->b_count * kernel->fp32_nr;
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
