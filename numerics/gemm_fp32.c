// SPDX-License-Identifier: MIT
/*
 * BF16 with FP32 accumulation in increasing k (QUIRE_GEMM_FP32).  Vectors run over
 * the outputs, never over k, so every output sees its additions one by one.  The
 * k loop is cut for the caches; an output's FP32 sum waits in a block of floats.
 */
#include <errno.h>
#include <float.h>
#include <string.h>

#include "environment.h"
#include "gemm_internal.h"

#define ROWS 516u		/* of a block of D; a multiple of every kernel's tile */
#define COLUMNS 1024u
#define RUN 256u		/* of k: a panel of B takes 32 KiB of the first-level cache */
#define STRIPE 64u		/* columns or so of one task */
#define FINISH_ROWS 16u		/* of one task */
#define FINISH_COLUMNS 32u	/* treated at a time; a multiple of every kernel's tile */
#define SKEW 16u		/* keeps rows of sums off one set of the first-level cache */

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
	bool plain;			/* D = round(sum) */
};

static uint32_t divide_up(uint32_t x, uint32_t y)
{
	return x / y + (x % y != 0);
}

static uint32_t least(uint32_t x, uint32_t y)
{
	return x < y ? x : y;
}

static void pack(const struct block *block, float *out, uint32_t lanes,
		 const struct gemm_source *source, uint64_t lane, uint32_t used)
{
	const uint16_t *data = (const uint16_t *)(const void *)source->data +
			       lane * source->lane_stride + block->k * source->k_stride;

	block->kernel->fp32_pack(out, lanes, data, source->lane_stride, source->k_stride, used,
				 block->kc);
}

static void pack_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	const struct gemm_kernel *kernel = block->kernel;
	uint32_t mr = kernel->fp32_mr, nr = kernel->fp32_nr;

	(void)worker;
	if (index < block->a_count) {
		pack(block, block->packed_a + (size_t)index * mr * block->kc, mr, &block->a,
		     block->row + index * mr, least(mr, block->rows - index * mr));
	} else {
		index -= block->a_count;
		pack(block, block->packed_b + (size_t)index * nr * block->kc, nr, &block->b,
		     block->column + index * nr, least(nr, block->columns - index * nr));
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
	environment_enter(&saved);
	for (uint32_t j = index * block->b_group; j < end; j++)
		for (uint32_t i = 0; i < block->a_count; i++)
			kernel->fp32(block->kc, block->packed_a + (size_t)i * mr * block->kc,
				     block->packed_b + (size_t)j * nr * block->kc,
				     block->sums + (size_t)i * mr * block->stride + j * nr,
				     block->stride, block->k == 0);
	environment_leave(&saved);
}

/*
 * Floats as integers of 25 bits times 2^exponent, FINISH_COLUMNS of them; whether one of them is
 * not finite.
 */
static bool split(const float *sums, uint64_t *low, int32_t *exponent)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < FINISH_COLUMNS; i++) {
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

/* A row of sums with alpha, C, bias or an activation. */
static void finish_row(const struct block *block, uint32_t row, const float *sums,
		       struct gemm_tally *tally)
{
	for (uint32_t j = 0; j < block->columns; j += FINISH_COLUMNS) {
		uint32_t count = least(FINISH_COLUMNS, block->columns - j);
		_Alignas(64) uint64_t low[FINISH_COLUMNS];
		int64_t high[FINISH_COLUMNS];
		int32_t exponent[FINISH_COLUMNS];
		uint8_t special[FINISH_COLUMNS];
		/* rows of sums are longer than a multiple of FINISH_COLUMNS */
		bool any = split(sums + j, low, exponent);

		if (block->finish.direct && !any) {
			gemm_finish_direct(&block->finish, block->kernel, row, block->column + j,
					   count, low, NULL, exponent, 0, tally);
			continue;
		}
		for (uint32_t i = 0; i < FINISH_COLUMNS; i++) {
			high[i] = (int64_t)low[i] >> 63;
			special[i] = special_of(sums[j + i]);
		}
		gemm_finish_row(&block->finish, block->kernel, row, block->column + j, count, low,
				high, exponent, any ? special : NULL, tally);
	}
}

static void finish_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	uint32_t end = least(block->rows, (index + 1) * FINISH_ROWS);
	struct gemm_tally tally = { 0, 0 };
	fenv_t saved;

	environment_enter(&saved);
	for (uint32_t i = index * FINISH_ROWS; i < end; i++) {
		const float *sums = block->sums + (size_t)i * block->stride;

		if (block->plain)
			gemm_finish_convert(&block->finish, block->kernel, block->row + i,
					    block->column, block->columns, sums, &tally);
		else
			finish_row(block, block->row + i, sums, &tally);
	}
	environment_leave(&saved);
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
	for (block->k = 0; block->k < g->k; block->k += block->kc) {
		if (gemm_cancelled(g))
			return;
		block->kc = least(RUN, g->k - block->k);
		quire_threads_run(g->threads, block->a_count + block->b_count, pack_task, block);
		quire_threads_run(g->threads, divide_up(block->b_count, block->b_group),
				  tiles_task, block);
	}
	quire_threads_run(g->threads, divide_up(block->rows, FINISH_ROWS), finish_task, block);
}

static uint32_t round_up(uint32_t x, uint32_t unit)
{
	return divide_up(x, unit) * unit;
}

/* Pieces of at most most, as even as they get. */
static uint32_t even(uint32_t whole, uint32_t most, uint32_t unit)
{
	return round_up(divide_up(whole, divide_up(whole, most)), unit);
}

int gemm_run_fp32(const struct quire_gemm *g, const struct gemm_kernel *kernel,
		  struct gemm_tally *tally)
{
	struct block block = { .gemm = g, .kernel = kernel ? kernel : &gemm_kernel_generic,
			       .tally = tally };
	const uint32_t rows = even(g->m, ROWS, block.kernel->fp32_mr);
	const uint32_t columns = even(g->n, COLUMNS, FINISH_COLUMNS), run = least(RUN, g->k);
	size_t a_floats = round_up(rows * run, 16), b_floats = (size_t)columns * run;
	struct quire_gemm_workspace *workspace;
	int error = gemm_workspace_take(g, &workspace);

	if (error)
		return error;
	block.stride = columns + SKEW;
	block.packed_a = (float *)(void *)gemm_workspace_room(workspace, GEMM_ROOM_A, sizeof(float) *
		round_up((uint32_t)(a_floats + b_floats) + rows * block.stride, 16));
	if (!block.packed_a) {
		gemm_workspace_keep(g, workspace);
		return -ENOMEM;
	}
	block.packed_b = block.packed_a + a_floats;
	block.sums = block.packed_b + b_floats;
	for (uint32_t batch = 0; batch < g->batch && !gemm_cancelled(g); batch++) {
		gemm_finish_init(&block.finish, g, batch);
		block.plain = gemm_finish_is_plain(&block.finish);
		block.a = gemm_source_of(&g->a, !g->a.transpose, batch);
		block.b = gemm_source_of(&g->b, g->b.transpose, batch);
		for (uint32_t i = 0; i < g->m; i += rows)
			for (uint32_t j = 0; j < g->n && !gemm_cancelled(g); j += columns) {
				block.row = i;
				block.rows = least(rows, g->m - i);
				block.column = j;
				block.columns = least(columns, g->n - j);
				run_block(&block);
			}
	}
	gemm_workspace_keep(g, workspace);
	return 0;
}
