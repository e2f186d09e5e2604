// SPDX-License-Identifier: MIT
/*
 * The loops of the exact GEMM, after BLIS: blocks of C, of k, packing, and
 * register tiles, the parts of it that can run at once given to the pool.
 *
 * k is cut at GEMM_KC, which the bounds of the kernels need; a register tile runs
 * over all of it, so that with k <= GEMM_KC no sum ever leaves the registers but to
 * be rounded.  With more, exact sums of a block of C are kept as quire images.
 */
#include <errno.h>
#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "tile_internal.h"

#define A_BYTES (8u << 20)		/* packed, of a block; bounds the memory taken */
#define B_BYTES (8u * QUIRE_GEMM_KEPT_ELEMENTS)
#define GROUP_BYTES (704u << 10)	/* of A walked again for each panel of B: most of L2 */
#define TASKS 16u			/* of tiles for each worker, at least */
#define SUMS_ROWS 384u			/* of a block of C when k > GEMM_KC */
#define SUMS_COLUMNS 512u


#define FLAG_LOST 4			/* beside enum gemm_special: no memory, use plain */

uint32_t gemm_cut_least = 400;

struct block {
	const struct quire_gemm *gemm;
	const struct gemm_kernel *kernel;
	struct gemm_source a, b;
	struct gemm_finish finish;
	struct gemm_tally *tally;	/* one per worker, a cache line apart */
	struct gemm_panel *a_panels, *b_panels;
	double *scratch;		/* of the packing, scratch_stride of them per worker */
	size_t scratch_stride;
	uint8_t *row_flags, *column_flags;	/* of A's and B's lanes, in panels' order */
	struct gemm_lane *lanes;	/* room to sort A's */
	struct gemm_sum *sums;		/* NULL with a single run of k */
	struct gemm_gather *gather;	/* one per worker when an operand is tiled, else NULL */
	uint32_t row, rows, column, columns;
	uint32_t k, kc;			/* a run of k */
	uint32_t a_count, b_count;	/* panels there are */
	uint32_t a_group, b_group;	/* panels of one task */
	bool keep_b;			/* its panels are weighed already */
	bool last;			/* run of k */
	uint32_t precision;		/* for panels, see there */
};

static uint32_t divide_up(uint32_t x, uint32_t y)
{
	return x / y + (x % y != 0);
}

static uint32_t least(uint64_t x, uint64_t y)
{
	return (uint32_t)(x < y ? x : y);
}

/* The arithmetic of the packing needs the default environment. */
static void enter(fenv_t *saved)
{
	fegetenv(saved);
	fesetenv(FE_DFL_ENV);
}

/*
 * Weigh a panel, or pack it when it is not yet: task index of a_count + b_count.  The panels of B,
 * which are larger, lie evenly between those of A, so that all workers' shares are alike.
 */
static void panel_task(struct block *block, uint32_t index, uint32_t b_count, unsigned int worker,
		       bool weigh)
{
	const uint32_t all = block->a_count + b_count;
	const uint32_t b_before = (uint32_t)((uint64_t)index * b_count / all);
	const bool of_a = (uint64_t)(index + 1) * b_count / all == b_before;
	const uint32_t p = of_a ? index - b_before : b_before;
	uint32_t lanes = of_a ? block->kernel->mr : block->kernel->nr;
	uint32_t first = p * lanes;
	uint32_t used = least(lanes, (of_a ? block->rows : block->columns) - first);
	struct gemm_panel *panel = of_a ? &block->a_panels[p] : &block->b_panels[p];
	uint8_t *flags = (of_a ? block->row_flags : block->column_flags) + first;
	fenv_t saved;

	if (gemm_cancelled(block->gemm) || (!weigh && (!panel->stale || panel->lost)))
		return;
	panel->precision = block->precision;
	enter(&saved);
	(weigh ? block->kernel->weigh : block->kernel->pack)
		(panel, block->scratch + worker * block->scratch_stride, lanes, of_a ? &block->a : &block->b,
		 (of_a ? block->row : block->column) + first, used, block->k, block->kc);
	for (uint32_t l = 0; l < used; l++)
		flags[l] |= panel->special[l] | (panel->lost ? FLAG_LOST : 0);
	fesetenv(&saved);
}

static void weigh_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;

	panel_task(block, index, block->keep_b ? 0 : block->b_count, worker, true);
}

static void pack_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;

	panel_task(block, index, block->b_count, worker, false);
}

/* mr x nr sums of products in 128 bits. */
static void multiply(const struct block *block, const struct gemm_panel *a, uint32_t p,
		     const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	if (!block->kernel->multiply(a->kc, a, p, b, q, low, high))
		for (uint32_t i = 0; i < block->kernel->mr * block->kernel->nr; i++)
			high[i] = (int64_t)low[i] >> 63;
}

/*
 * The top of a sum in 127 bits, what is below ORed into the last of them: more
 * than any rounding looks at.
 */
static void sum_top(const struct gemm_sum *sum, uint64_t *low, int64_t *high, int32_t *exponent)
{
	uint64_t sign = (uint64_t)((int64_t)sum->limb[QUIRE_IMAGE_LIMBS - 1] >> 63);
	uint64_t below = 0;
	int top = QUIRE_IMAGE_LIMBS - 1;

	/* limbs that only repeat the sign, as long as the next one has it too */
	while (top > 1 && sum->limb[top] == sign && (sum->limb[top - 1] ^ sign) >> 63 == 0)
		top--;
	for (int i = 0; i < top - 1; i++)
		below |= sum->limb[i];
	*high = (int64_t)sum->limb[top];
	*low = sum->limb[top - 1];
	*exponent = QUIRE_IMAGE_LSB_EXPONENT + 64 * (top - 1);
	/* two's complement: what is below adds to the number, whatever its sign; with
	 * top > 1 at least 62 bits of the number stand above the last */
	*low |= below != 0;
}

/* Rows of a tile from sums; some are infinite, or lost. */
static void finish_sums(const struct block *block, const struct gemm_panel *a, uint32_t row,
			uint32_t rows, uint32_t column, uint32_t columns, const struct gemm_sum *sums,
			uint32_t stride, struct gemm_tally *tally)
{
	for (uint32_t i = 0; i < rows; i++) {
		uint64_t low[GEMM_NR_MAX] = { 0 };
		int64_t high[GEMM_NR_MAX] = { 0 };
		int32_t exponent[GEMM_NR_MAX] = { 0 };
		uint8_t special[GEMM_NR_MAX];

		for (uint32_t j = 0; j < columns; j++) {
			uint32_t flags = block->row_flags[row + i] | block->column_flags[column + j];
			struct gemm_sum plain = { .special = GEMM_FINITE };
			const struct gemm_sum *sum = &sums[(size_t)i * stride + j];

			if (flags & GEMM_SPECIAL_NAN) {
				plain.special = GEMM_NAN;
				sum = &plain;
			} else if (flags) {
				gemm_plain_sum(&block->a, &block->b, a->lane[i],
					       block->column + column + j, block->gemm->k, &plain);
				sum = &plain;
			}
			if (block->finish.direct) {
				special[j] = (uint8_t)sum->special;
				sum_top(sum, &low[j], &high[j], &exponent[j]);
			} else {
				gemm_finish_sum(&block->finish, a->lane[i],
						block->column + column + j, sum, tally);
			}
		}
		if (block->finish.direct)
			gemm_finish_row(&block->finish, block->kernel, a->lane[i],
					block->column + column, columns, low, high, exponent,
					special, tally);
	}
}

static void add_tile(const struct block *block, const struct gemm_panel *a, uint32_t rows,
		     const struct gemm_panel *b, uint32_t columns, struct gemm_sum *sums,
		     uint32_t stride)
{
	_Alignas(64) uint64_t low[GEMM_TILE_MAX];
	_Alignas(64) int64_t high[GEMM_TILE_MAX];
	const uint32_t nr = block->kernel->nr, bits = block->kernel->part_bits;

	if (a->lost || b->lost)
		return;
	for (uint32_t p = 0; p < a->parts; p++)
		for (uint32_t q = 0; q < b->parts; q++) {
			multiply(block, a, p, b, q, low, high);
			for (uint32_t i = 0; i < rows; i++)
				for (uint32_t j = 0; j < columns; j++) {
					uint64_t l = low[i * nr + j];
					int64_t h = high[i * nr + j];

					if (l | (uint64_t)h)
						gemm_sum_add(&sums[(size_t)i * stride + j], l, h,
							     a->units.exponent[i] + b->units.exponent[j] +
							     (int32_t)((p + q) * bits));
				}
		}
}

/*
 * All pairs of parts in one 128-bit sum, in the unit of the lowest: it is below
 * 2^(width_a + width_b + 12), see direct_fits().
 */
static void multiply_parts(const struct block *block, const struct gemm_panel *a,
			   const struct gemm_panel *b, uint64_t *low, int64_t *high)
{
	_Alignas(64) uint64_t l[GEMM_TILE_MAX];
	_Alignas(64) int64_t h[GEMM_TILE_MAX];
	const uint32_t count = block->kernel->mr * block->kernel->nr;

	multiply(block, a, 0, b, 0, low, high);
	for (uint32_t p = 0; p < a->parts; p++)
		for (uint32_t q = p ? 0 : 1; q < b->parts; q++) {
			const uint32_t shift = (p + q) * block->kernel->part_bits;

			multiply(block, a, p, b, q, l, h);
			/* modulo 2^128: only the whole sum must fit */
			for (uint32_t i = 0; i < count; i++) {
				unsigned __int128 t = (unsigned __int128)(uint64_t)high[i] << 64 | low[i];

				t += ((unsigned __int128)(uint64_t)h[i] << 64 | l[i]) << shift;
				low[i] = (uint64_t)t;
				high[i] = (int64_t)(t >> 64);
			}
		}
}

static bool direct_fits(const struct gemm_panel *a, const struct gemm_panel *b)
{
	return (a->parts == 1 && b->parts == 1) || a->width + b->width + 12 <= 126;
}

/* Sums that fit 128 bits, with something to add to them or with NaNs. */
static void direct_tile(const struct block *block, const struct gemm_panel *a, uint32_t row,
			uint32_t rows, const struct gemm_panel *b, uint32_t column,
			uint32_t columns, uint32_t flags, struct gemm_tally *tally)
{
	_Alignas(64) uint64_t low[GEMM_TILE_MAX];
	_Alignas(64) int64_t high[GEMM_TILE_MAX];
	_Alignas(64) int32_t exponent[GEMM_NR_MAX];
	uint8_t special[GEMM_NR_MAX];
	const uint32_t nr = block->kernel->nr;

	multiply_parts(block, a, b, low, high);
	for (uint32_t i = 0; i < rows; i++) {
		for (uint32_t j = 0; j < nr; j++)
			exponent[j] = a->units.exponent[i] + b->units.exponent[j];
		if (flags)
			for (uint32_t j = 0; j < columns; j++)
				special[j] = block->row_flags[row + i] |
					     block->column_flags[column + j] ? GEMM_NAN : 0;
		gemm_finish_row(&block->finish, block->kernel, a->lane[i],
				block->column + column, columns, low + i * nr, high + i * nr,
				exponent, flags ? special : NULL, tally);
	}
}

static uint32_t flags_of(const uint8_t *flags, uint32_t count)
{
	uint32_t all = 0;

	for (uint32_t i = 0; i < count; i++)
		all |= flags[i];
	return all;
}

static void tile(struct block *block, uint32_t ia, uint32_t jb, unsigned int worker,
		 struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	const struct gemm_panel *a = &block->a_panels[ia], *b = &block->b_panels[jb];
	uint32_t row = ia * kernel->mr, column = jb * kernel->nr, flags;
	uint32_t rows = least(kernel->mr, block->rows - row);
	uint32_t columns = least(kernel->nr, block->columns - column);

	if (block->gather)
		gemm_gather_pair(gemm_gather_of(block->gather, worker), kernel, &a, &b);
	if (block->sums) {
		struct gemm_sum *sums = block->sums + (size_t)row * block->columns + column;

		add_tile(block, a, rows, b, columns, sums, block->columns);
		if (block->last)
			finish_sums(block, a, row, rows, column, columns, sums, block->columns, tally);
		return;
	}
	flags = flags_of(block->row_flags + row, rows) |
		flags_of(block->column_flags + column, columns);
	if (direct_fits(a, b) && !(flags & ~(uint32_t)GEMM_SPECIAL_NAN)) {
		direct_tile(block, a, row, rows, b, column, columns, flags, tally);
	} else {
		struct gemm_sum sums[GEMM_TILE_MAX];

		memset(sums, 0, sizeof(sums));
		add_tile(block, a, rows, b, columns, sums, kernel->nr);
		finish_sums(block, a, row, rows, column, columns, sums, kernel->nr, tally);
	}
}

/* A tile of one part, finite, that needs rounding only. */
static void plain_tile(struct block *block, uint32_t ia, uint32_t jb, struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	const struct gemm_panel *a = &block->a_panels[ia], *b = &block->b_panels[jb];
	_Alignas(64) uint64_t low[GEMM_TILE_MAX];
	_Alignas(64) int64_t high[GEMM_TILE_MAX];
	bool wide = kernel->multiply(block->kc, a, 0, b, 0, low, high);

	for (uint32_t r = 0; r < a->used; r++)
		gemm_finish_direct(&block->finish, kernel, a->lane[r],
				   block->column + jb * kernel->nr, b->used, low + r * kernel->nr,
				   wide ? high + r * kernel->nr : NULL, b->units.exponent,
				   a->units.exponent[r], tally);
}

/* The common case: many of them. */
static void strip_of_tiles(struct block *block, const uint32_t *index, uint32_t count, uint32_t jb,
			   struct gemm_tally *tally)
{
	struct gemm_store store = gemm_finish_store(&block->finish);
	const struct gemm_place place = gemm_finish_place(&block->finish, 0,
							  block->column + jb * block->kernel->nr);
	const struct gemm_panel *a[GEMM_STRIP];

	store.a = &block->a;
	store.b = &block->b;
	for (uint32_t i = 0; i < count; i++)
		a[i] = &block->a_panels[index[i]];
	block->kernel->strip(&store, block->kc, a, count, &block->b_panels[jb], &place, tally);
}

/* One panel of B with some of A. */
static void column_of_tiles(struct block *block, uint32_t ia, uint32_t a_end, uint32_t jb,
			    unsigned int worker, struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	uint32_t column = jb * kernel->nr, columns = least(kernel->nr, block->columns - column);
	bool plain = block->finish.direct && !block->sums && !block->gather && block->b_panels[jb].parts == 1 &&
		     !flags_of(block->column_flags + column, columns);
	uint32_t index[GEMM_STRIP], count = 0;

	for (uint32_t i = ia; i < a_end; i++) {
		uint32_t row = i * kernel->mr;

		if (!plain || block->a_panels[i].parts != 1 ||
		    flags_of(block->row_flags + row, least(kernel->mr, block->rows - row))) {
			tile(block, i, jb, worker, tally);
			continue;
		}
		if (!kernel->strip) {
			plain_tile(block, i, jb, tally);
			continue;
		}
		index[count++] = i;
		if (count == GEMM_STRIP) {
			strip_of_tiles(block, index, count, jb, tally);
			count = 0;
		}
	}
	if (count)
		strip_of_tiles(block, index, count, jb, tally);
}

static void tiles_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	uint32_t b_groups = divide_up(block->b_count, block->b_group);
	uint32_t ia = index / b_groups * block->a_group, jb = index % b_groups * block->b_group;
	uint32_t a_end = least(block->a_count, ia + block->a_group);
	uint32_t b_end = least(block->b_count, jb + block->b_group);
	struct gemm_tally tally = { 0, 0 };
	fenv_t saved;

	enter(&saved);
	for (uint32_t j = jb; j < b_end; j++) {
		if (gemm_cancelled(block->gemm))
			break;
		column_of_tiles(block, ia, a_end, j, worker, &tally);
	}
	fesetenv(&saved);
	block->tally[worker * GEMM_TALLY_STRIDE].digest += tally.digest;
	block->tally[worker * GEMM_TALLY_STRIDE].exceptional += tally.exceptional;
}

/* k == 0 or alpha == 0, and the plain kernel: a row of D at a time. */
static void row_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	const struct quire_gemm *g = block->gemm;
	struct gemm_tally *tally = &block->tally[worker * GEMM_TALLY_STRIDE];
	bool product = g->k && g->alpha != 0;
	fenv_t saved;

	enter(&saved);
	for (uint32_t j = 0; j < g->n; j++) {
		struct gemm_sum sum = { .special = GEMM_FINITE };

		if (gemm_cancelled(g))
			break;
		if (product)
			gemm_plain_sum(&block->a, &block->b, index, j, g->k, &sum);
		gemm_finish_sum(&block->finish, index, j, &sum, tally);
	}
	fesetenv(&saved);
}

struct gemm_source gemm_source_of(const struct quire_gemm_operand *x, bool lanes_are_rows,
				  uint32_t batch)
{
	struct gemm_source s = { .format = x->format, .element = gemm_element_bytes(x->format) };

	if (x->format == QUIRE_FORMAT_TILED) {
		s.tiled = (const struct quire_tiled *)x->data + batch * x->batch_stride;
		s.lane_stride = lanes_are_rows ? 0 : 1;
		s.k_stride = lanes_are_rows ? 1 : 0;
		return s;
	}
	s.data = (const uint8_t *)x->data + (batch ? gemm_offset(x->format, batch * x->batch_stride) : 0);
	s.lane_stride = lanes_are_rows ? x->leading_dimension : 1;
	s.k_stride = lanes_are_rows ? 1 : x->leading_dimension;
	return s;
}

/* Only strips know what to do with cut lanes: when all tiles go there. */
static bool may_cut(const struct block *block)
{
	return !flags_of(block->row_flags, block->rows) && !flags_of(block->column_flags, block->columns);
}

/*
 * Group the tiles of a block into tasks: A in groups that stay in L2, enough tasks.  Those of a group
 * follow each other, so that its panels, too, are mostly used by who packed them.
 */
static uint32_t cut(struct block *block)
{
	uint32_t workers = quire_threads_count(block->gemm->threads), a_groups, most = 1;
	uint32_t wanted = workers > 1 ? TASKS * workers : 1;
	size_t panel;

	for (uint32_t i = 0; i < block->a_count; i++)
		most = block->a_panels[i].moduli > most ? block->a_panels[i].moduli : most;
	panel = (size_t)block->kernel->mr * block->kc * (block->kernel->moduli ? most : 8);
	block->a_group = GROUP_BYTES / panel ? (uint32_t)(GROUP_BYTES / panel) : 1;
	a_groups = divide_up(block->a_count, block->a_group);
	/* even groups */
	block->a_group = divide_up(block->a_count, a_groups);
	if ((uint64_t)divide_up(block->a_count, block->a_group) * block->b_count < wanted)
		block->a_group = GEMM_STRIP * divide_up(block->a_count, GEMM_STRIP *
							divide_up(wanted, block->b_count));
	a_groups = divide_up(block->a_count, block->a_group);
	block->b_group = divide_up(block->b_count, divide_up(wanted, a_groups));
	return a_groups * divide_up(block->b_count, block->b_group);
}

/*
 * Rows of A that k runs along can be packed in any order.  Sums that wait for more k keep
 * theirs, and a panel of many parts the memory that it has for them.
 */
static void sort_rows(struct block *block)
{
	if (!block->kernel->moduli || block->sums || block->a.tiled || block->a.k_stride != 1)
		return;
	for (uint32_t i = 0; i < block->a_count; i++)
		if (block->a_panels[i].parts != 1)
			return;
	gemm_panels_sort(block->a_panels, block->a_count, block->kernel->mr, block->lanes);
	for (uint32_t i = 0, mr = block->kernel->mr; i < block->rows; i++)
		block->row_flags[i] = block->a_panels[i / mr].special[i % mr];
}

static void run_block(struct block *block, uint32_t a_count, uint32_t b_count)
{
	const struct quire_gemm *g = block->gemm;

	block->a_count = divide_up(block->rows, block->kernel->mr);
	block->b_count = divide_up(block->columns, block->kernel->nr);
	memset(block->row_flags, 0, (size_t)a_count * block->kernel->mr);
	if (!block->keep_b)
		memset(block->column_flags, 0, (size_t)b_count * block->kernel->nr);
	if (block->sums)
		memset(block->sums, 0, (size_t)block->rows * block->columns * sizeof(*block->sums));
	for (block->k = 0; block->k < g->k && !gemm_cancelled(g); block->k += block->kc) {
		block->kc = least(GEMM_KC, g->k - block->k);
		block->last = block->k + block->kc == g->k;
		quire_threads_run(g->threads, block->a_count + (block->keep_b ? 0 : block->b_count),
				  weigh_task, block);
		if (gemm_cancelled(g))
			return;
		gemm_panels_cut(block->kernel, block->a_panels, block->a_count, block->b_panels,
				block->b_count, may_cut(block) ? block->precision : 0);
		sort_rows(block);
		gemm_panels_plan(block->kernel, block->a_panels, block->a_count, block->b_panels,
				 block->b_count);
		quire_threads_run(g->threads, block->a_count + block->b_count, pack_task, block);
		gemm_gather_forget(block->gather, quire_threads_count(g->threads));
		if (gemm_cancelled(g))
			return;
		quire_threads_run(g->threads, cut(block), tiles_task, block);
	}
}

/* The panels of B are those of an earlier job: what their lanes hold. */
static void recall_b(struct block *block)
{
	for (uint32_t j = 0, nr = block->kernel->nr; j < block->gemm->n; j++)
		block->column_flags[j] = block->b_panels[j / nr].special[j % nr];
}

static void run_blocks(struct block *block, uint32_t a_most, uint32_t b_most, bool has_b)
{
	const struct quire_gemm *g = block->gemm;
	const struct gemm_kernel *kernel = block->kernel;

	for (uint32_t batch = 0; batch < g->batch; batch++) {
		gemm_finish_init(&block->finish, g, batch);
		block->a = gemm_source_of(&g->a, !g->a.transpose, batch);
		block->b = gemm_source_of(&g->b, g->b.transpose, batch);
		for (uint32_t j = 0; j < g->n; j += b_most * kernel->nr)
			for (uint32_t i = 0; i < g->m; i += a_most * kernel->mr) {
				if (gemm_cancelled(g))
					return;
				block->column = j;
				block->columns = least(b_most * kernel->nr, g->n - j);
				block->row = i;
				block->rows = least(a_most * kernel->mr, g->m - i);
				block->keep_b = has_b || (i > 0 && !block->sums);
				run_block(block, a_most, b_most);
			}
	}
}

/*
 * See struct gemm_panel.  To look for lanes to cut costs something for each element of A and B, and to have
 * cut them for each one of D: it is worth while where each takes part in many products.
 */
static uint32_t precision_of(const struct block *block)
{
	const struct quire_gemm *g = block->gemm;
	const double m = g->m, n = g->n, k = g->k;
	struct gemm_finish finish;

	gemm_finish_init(&finish, g, 0);
	if (!block->kernel->strip || !finish.direct || block->sums || block->gather ||
	    m * n * k < gemm_cut_least * (m * k + k * n + m * n))
		return 0;
	return gemm_decision_bits(g->d.format);
}

static int run_exact(struct block *block)
{
	const struct quire_gemm *g = block->gemm;
	const struct gemm_kernel *kernel = block->kernel;
	uint32_t kc = least(GEMM_KC, g->k), a_most, b_most;
	bool many = g->k > GEMM_KC, has_b;
	struct quire_gemm_workspace *workspace;
	size_t scratch_bytes = gemm_scratch_bytes(kernel, kc);
	int error = gemm_workspace_take(g, &workspace);
	uint8_t *room_a, *room_b;

	if (error)
		return error;
	a_most = least(divide_up(g->m, kernel->mr), A_BYTES / ((uint64_t)kernel->mr * kc * 8));
	b_most = least(divide_up(g->n, kernel->nr), B_BYTES / ((uint64_t)kernel->nr * kc * 8));
	if (many) {
		a_most = least(a_most, SUMS_ROWS / kernel->mr);
		b_most = least(b_most, SUMS_COLUMNS / kernel->nr);
	}
	has_b = gemm_workspace_use_b(workspace, g, kernel);
	room_a = gemm_workspace_room(workspace, GEMM_ROOM_A,
				     gemm_panels_bytes(kernel, a_most, kernel->mr, kc) +
				     scratch_bytes * quire_threads_count(g->threads));
	room_b = gemm_workspace_room(workspace, GEMM_ROOM_B,
				     gemm_panels_bytes(kernel, b_most, kernel->nr, kc));
	block->row_flags = malloc((size_t)a_most * kernel->mr);
	block->column_flags = malloc((size_t)b_most * kernel->nr);
	block->lanes = malloc((size_t)a_most * kernel->mr * sizeof(*block->lanes));
	block->sums = many ? malloc((size_t)a_most * kernel->mr * b_most * kernel->nr *
				    sizeof(*block->sums)) : NULL;
	error = -ENOMEM;
	if (g->a.format == QUIRE_FORMAT_TILED || g->b.format == QUIRE_FORMAT_TILED) {
		block->gather = gemm_gather_create(kernel, quire_threads_count(g->threads));
		if (!block->gather)
			goto out;
	}
	if (!room_a || !room_b || !block->row_flags || !block->column_flags ||
	    !block->lanes || (many && !block->sums))
		goto out;
	error = 0;
	block->precision = precision_of(block);
	block->b_panels = (struct gemm_panel *)(void *)room_b;
	if (has_b)
		recall_b(block);
	else
		block->b_panels = gemm_panels_place(kernel, b_most, kernel->nr, kc, &room_b);
	block->a_panels = gemm_panels_place(kernel, a_most, kernel->mr, kc, &room_a);
	block->scratch = (double *)(void *)room_a;
	block->scratch_stride = scratch_bytes / sizeof(double);
	run_blocks(block, a_most, b_most, has_b);
	if (!gemm_cancelled(g) && g->batch == 1 && !many && !block->b.tiled && !block->column &&
	    gemm_panels_can_stay(block->b_panels, b_most))
		gemm_workspace_has_b(workspace, g, kernel);
	workspace->packed_bytes = gemm_panels_packed_bytes(block->a_panels, block->a_count) +
				  gemm_panels_packed_bytes(block->b_panels, block->b_count);
	gemm_panels_free_extras(block->a_panels, a_most);
	gemm_panels_free_extras(block->b_panels, b_most);
out:
	gemm_workspace_keep(g, workspace);
	gemm_gather_destroy(block->gather, quire_threads_count(g->threads));
	free(block->row_flags);
	free(block->column_flags);
	free(block->lanes);
	free(block->sums);
	return error;
}

static int run_rows(struct block *block)
{
	const struct quire_gemm *g = block->gemm;

	for (uint32_t batch = 0; batch < g->batch && !gemm_cancelled(g); batch++) {
		gemm_finish_init(&block->finish, g, batch);
		if (g->k && g->alpha != 0) {
			block->a = gemm_source_of(&g->a, !g->a.transpose, batch);
			block->b = gemm_source_of(&g->b, g->b.transpose, batch);
		}
		quire_threads_run(g->threads, g->m, row_task, block);
	}
	return 0;
}

int quire_gemm(const struct quire_gemm *gemm, struct quire_gemm_result *result)
{
	uint32_t workers;
	struct block block = { .gemm = gemm };
	struct quire_gemm_result total = { 0 };
	int error = quire_gemm_check(gemm, NULL);

	if (error)
		return error;
	if (gemm->m && gemm->n && gemm->batch) {
		workers = quire_threads_count(gemm->threads);
		block.tally = calloc((size_t)workers * GEMM_TALLY_STRIDE, sizeof(*block.tally));
		if (!block.tally)
			return -ENOMEM;
		block.kernel = gemm_kernel_current();
		if (!gemm->k || gemm->alpha == 0)
			error = run_rows(&block);
		else if (gemm->arithmetic == QUIRE_GEMM_FP32)
			error = gemm_run_fp32(gemm, block.kernel, block.tally);
		else
			error = block.kernel ? run_exact(&block) : run_rows(&block);
		for (uint32_t i = 0; i < workers; i++) {
			total.digest += block.tally[i * GEMM_TALLY_STRIDE].digest;
			total.exceptional += block.tally[i * GEMM_TALLY_STRIDE].exceptional;
		}
		free(block.tally);
		if (!error && gemm_cancelled(gemm))
			error = -ECANCELED;
	}
	if (error)
		return error;
	/* modulo 2^64 where the product is larger, which no machine lives to see */
	total.macs = (uint64_t)gemm->m * gemm->n * gemm->k * gemm->batch;
	if (gemm->k && gemm->alpha != 0 && gemm_tiled_macs(gemm, total.tiled_macs))
		total.macs = total.tiled_macs[0] + total.tiled_macs[1] + total.tiled_macs[2];
	if (result)
		*result = total;
	return 0;
}
