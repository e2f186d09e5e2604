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
#include <stdlib.h>
#include <string.h>

#include "environment.h"
#include "gemm_block.h"
#include "gemm_direct.h"
#include "tile_internal.h"

#define A_BYTES (8u << 20)		/* packed, of a block; bounds the memory taken */
#define B_BYTES (8u * QUIRE_GEMM_KEPT_ELEMENTS)
#define BLOCK_LEAST 6u			/* panels of A with which strips are faster than blocks */
#define BLOCK_TASKS 4u			/* blocks for each worker, at least */
#define TASKS 16u			/* of tiles for each worker, at least */
#define SUMS_ROWS 384u			/* of a block of C when k > GEMM_KC */
#define SUMS_COLUMNS 512u

uint32_t gemm_cut_least = 400;		/* measured: cubes of 1024 gain nothing, of 1536 they do */

enum work { WEIGH, PACK, WEIGH_AND_PACK };

/* Weigh a panel; pack it when it is not yet; or both, of B, when A is weighed. */
static void do_panel(struct block *block, bool of_a, uint32_t p, unsigned int worker, enum work work)
{
	const struct gemm_kernel *kernel = block->kernel;
	double *scratch = block->scratch + worker * block->scratch_stride;
	uint32_t lanes = of_a ? kernel->mr : kernel->nr;
	uint32_t first = p * lanes;
	uint32_t used = least(lanes, (of_a ? block->rows : block->columns) - first);
	uint64_t lane = (of_a ? block->row : block->column) + first;
	struct gemm_panel *panel = of_a ? &block->a_panels[p] : &block->b_panels[p];
	const struct gemm_source *source = of_a ? &block->a : &block->b;
	uint8_t *flags = (of_a ? block->row_flags : block->column_flags) + first;
	bool kept = false;
	fenv_t saved;

	if (gemm_cancelled(block->gemm))
		return;
	environment_enter(&saved);
	if (work != PACK) {
		panel->precision = block->precision;
		kept = kernel->weigh(panel, scratch, lanes, source, lane, used, block->k, block->kc,
				     work == WEIGH_AND_PACK);
		for (uint32_t l = 0; l < used; l++)
			flags[l] |= panel->special[l];
	}
	if (work == WEIGH_AND_PACK) {
		const bool special = flags_of(block->row_flags, block->rows) || flags_of(flags, used);

		gemm_panel_plan(kernel, block->a_panels, block->a_count, panel, special ? 0 : block->precision,
				block->gather != NULL);
	}
	if (work != WEIGH && panel->stale && !panel->lost)
		kernel->pack(panel, scratch, lanes, kept ? NULL : source, lane, used, block->k, block->kc);
	for (uint32_t l = 0; l < used && panel->lost; l++)
		flags[l] |= FLAG_LOST;
	environment_leave(&saved);
}

static void weigh_a_task(void *argument, unsigned int index, unsigned int worker)
{
	do_panel(argument, true, index, worker, WEIGH);
}

static void weigh_and_pack_b_task(void *argument, unsigned int index, unsigned int worker)
{
	do_panel(argument, false, index, worker, WEIGH_AND_PACK);
}

/* Panels of A, and those of B behind them. */
static void pack_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	const bool of_a = index < block->a_count;

	do_panel(block, of_a, of_a ? index : index - block->a_count, worker, PACK);
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

	environment_enter(&saved);
	if (block->blocks && !gemm_cancelled(block->gemm) &&
	    gemm_block_of_tiles(block, ia, a_end, jb, b_end, worker, &tally))
		jb = b_end;
	for (uint32_t j = jb; j < b_end; j++) {
		if (gemm_cancelled(block->gemm))
			break;
		gemm_column_of_tiles(block, ia, a_end, j, worker, &tally);
	}
	environment_leave(&saved);
	block->tally[worker * GEMM_TALLY_STRIDE].digest += tally.digest;
	block->tally[worker * GEMM_TALLY_STRIDE].exceptional += tally.exceptional;
}

#define SUMS_TOGETHER 32u		/* of a row */

/* The plain kernel is what all others are compared with. */
static void sums_of(const struct block *block, uint32_t row, uint32_t column, uint32_t columns,
		    struct gemm_sum *sums)
{
	if (block->kernel)
		gemm_direct_sums(block->gemm, &block->a, &block->b, row, column, columns, sums);
	for (uint32_t j = 0; j < columns && !block->kernel && !gemm_cancelled(block->gemm); j++)
		gemm_plain_sum(&block->a, &block->b, row, column + j, block->gemm->k, &sums[j]);
}

/* k == 0 or alpha == 0, few sums, and the plain kernel: a row of D at a time. */
static void row_task(void *argument, unsigned int index, unsigned int worker)
{
	struct block *block = argument;
	const struct quire_gemm *g = block->gemm;
	struct gemm_tally *tally = &block->tally[worker * GEMM_TALLY_STRIDE];
	fenv_t saved;

	environment_enter(&saved);
	for (uint32_t j = 0; j < g->n && !gemm_cancelled(g); j += SUMS_TOGETHER) {
		struct gemm_sum sums[SUMS_TOGETHER] = { 0 };
		const uint32_t columns = least(SUMS_TOGETHER, g->n - j);

		if (g->k && g->alpha != 0)
			sums_of(block, index, j, columns, sums);
		for (uint32_t i = 0; i < columns && !gemm_cancelled(g); i++)
			gemm_finish_sum(&block->finish, index, j + i, &sums[i], tally);
	}
	environment_leave(&saved);
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
 * Where L2 does not hold enough of A, all of its moduli, to make up for B passing by, tasks are blocks of
 * tiles, of which it holds one modulus of A and B: as large as it holds and as there is room for sums, but for
 * many workers smaller.
 */
static uint32_t group_blocks(struct block *block, uint32_t workers)
{
	const struct gemm_kernel *kernel = block->kernel;
	const uint32_t half = kernel->block_bytes / 2 / block->kc;
	uint32_t tasks;

	block->a_group = least(least(GEMM_BLOCK_A, half / kernel->mr), block->a_count);
	block->b_group = least(least(GEMM_BLOCK_B, half / kernel->nr), block->b_count);
	for (;;) {
		tasks = divide_up(block->a_count, block->a_group) * divide_up(block->b_count, block->b_group);
		if (workers == 1 || tasks >= BLOCK_TASKS * workers || block->a_group <= 2 * kernel->together)
			return tasks;
		block->a_group = divide_up(block->a_group / 2, kernel->together) * kernel->together;
	}
}

/*
 * Group the tiles of a block into tasks: A in groups that stay in L2, enough tasks.  Those of a group
 * follow each other, so that its panels, too, are mostly used by who packed them.  Of whole integers' planes
 * few panels would do so: there the panel of B is what stays.
 */
static uint32_t group_tiles(struct block *block)
{
	const struct gemm_kernel *kernel = block->kernel;
	uint32_t workers = quire_threads_count(block->gemm->threads), a_groups, most = 1;
	uint32_t wanted = workers > 1 ? TASKS * workers : 1, panels;

	for (uint32_t i = 0; i < block->a_count; i++)
		most = block->a_panels[i].moduli > most ? block->a_panels[i].moduli : most;
	panels = least(kernel->group_panels,
		       kernel->group_bytes / ((uint64_t)kernel->mr * block->kc * (kernel->moduli ? most : 8)));
	block->blocks = kernel->block_bytes && panels < BLOCK_LEAST && panels < block->a_count && !block->sums;
	if (block->blocks)
		return group_blocks(block, workers);
	a_groups = divide_up(block->a_count, panels ? panels : 1);
	/* even groups */
	block->a_group = divide_up(divide_up(block->a_count, a_groups), kernel->together) * kernel->together;
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

/*
 * All panels weighed.  A goes first: then what a panel of B has to be packed as is known as soon as
 * it is weighed, and it is packed while what was read of it is near.
 */
static void weigh(struct block *block)
{
	struct quire_threads *threads = block->gemm->threads;

	quire_threads_run(threads, block->a_count, weigh_a_task, block);
	if (!block->keep_b)
		quire_threads_run(threads, block->b_count, weigh_and_pack_b_task, block);
}

/* Tasks of pack_task(): most products have no panel of B that has to be packed again. */
static uint32_t count_to_pack(const struct block *block)
{
	for (uint32_t j = 0; j < block->b_count; j++)
		if (block->b_panels[j].stale)
			return block->a_count + block->b_count;
	return block->a_count;
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
		weigh(block);
		if (gemm_cancelled(g))
			return;
		gemm_panels_cut(block->kernel, block->a_panels, block->a_count, block->b_panels,
				block->b_count, may_cut(block) ? block->precision : 0);
		sort_rows(block);
		gemm_panels_plan(block->kernel, block->a_panels, block->a_count, block->b_panels,
				 block->b_count, block->gather != NULL);
		quire_threads_run(g->threads, count_to_pack(block), pack_task, block);
		gemm_gather_forget(block->gather, quire_threads_count(g->threads));
		if (gemm_cancelled(g))
			return;
		quire_threads_run(g->threads, group_tiles(block), tiles_task, block);
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
	if (!block->kernel->strips || !finish.direct || block->sums || block->gather ||
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
				     (scratch_bytes + gemm_room_bytes(kernel)) * quire_threads_count(g->threads));
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
	block->room = room_a + scratch_bytes * quire_threads_count(g->threads);
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

static ENVIRONMENT_OWN int multiply(const struct quire_gemm *gemm, struct quire_gemm_result *result)
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
			error = block.kernel && !gemm_direct_always(block.kernel, gemm) ?
				run_exact(&block) : run_rows(&block);
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

int quire_gemm(const struct quire_gemm *gemm, struct quire_gemm_result *result)
{
	fenv_t saved;
	int error;

	environment_enter(&saved);
	error = multiply(gemm, result);
	environment_leave(&saved);
	return error;
}
