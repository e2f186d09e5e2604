// SPDX-License-Identifier: MIT
/*
 * Bands of GEMM: whole where the operands can be used in place, else a block of what fits
 * into staging memory at a time.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/gemm.h>

#include "engine_view.h"

/* The stored part of op(X) that rows [first, first + count) and all of k need. */
static struct view operand_view(const struct quire_operand *o, uint32_t unit, uint64_t batch,
				bool k_is_row, uint64_t first, uint64_t count, uint64_t k)
{
	struct view view = { .operand = o, .unit = unit, .batch = batch };

	view.row = k_is_row ? 0 : first;
	view.rows = k_is_row ? k : count;
	view.column = k_is_row ? first : 0;
	view.columns = k_is_row ? count : k;
	return view;
}

struct block {
	uint64_t batch, row, rows, column, columns;
};

static float float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* The job's scalars; operands are filled in per block. */
static void describe(const struct quire_packet_gemm *p, const struct engine *engine,
		     const struct block *block, struct quire_gemm *g)
{
	memset(g, 0, sizeof(*g));
	g->m = (uint32_t)block->rows;
	g->n = (uint32_t)block->columns;
	g->k = p->k;
	g->batch = 1;
	g->alpha = float_of(p->alpha);
	g->beta = float_of(p->beta);
	g->a.format = p->a.format;
	g->b.format = p->b.format;
	g->a.transpose = !!(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A);
	g->b.transpose = !!(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B);
	g->d.format = p->d.format;
	g->arithmetic = p->mode;
	g->activation = p->gemm_flags & QUIRE_GEMM_RELU ? QUIRE_GEMM_ACTIVATION_RELU :
							  QUIRE_GEMM_LINEAR;
	g->digest_batch = block->batch;
	g->digest_row = block->row;
	g->digest_column = block->column;
	g->digest_rows = p->m;
	g->digest_columns = p->n;
	g->cancel = &engine->cancel;
	g->threads = engine->threads;
	g->workspace = engine->workspace;
}

/*
 * All bands of a packet have the same B, and what an engine has packed of it serves the next.
 * Of staged operands the address says nothing; of others the library compares it.
 */
static uint64_t version_of_b(const struct band_job *job, const struct view *b)
{
	if (!job->band->serial || !b->in_place)
		return 0;
	return (uint64_t)job->engine->device->boots << 32 | job->band->serial;
}

static bool compute(const struct band_job *job, const struct quire_gemm *g)
{
	struct quire_gemm_result result;
	int error = quire_gemm(g, &result);

	if (error == -ECANCELED) {
		job->band->status = QUIRE_STATUS_CANCELLED;
		return false;
	}
	if (error) {
		job->band->status = QUIRE_STATUS_ENGINE_ERROR;
		job->band->detail = (uint32_t)-error;
		return false;
	}
	job->band->digest += result.digest;
	job->band->macs += result.macs;
	if (quire_packet_is_tiled(job->packet))
		for (int width = 0; width < 3; width++)
			job->macs_by_width[width] += result.tiled_macs[width];
	else
		job->macs_by_width[0] += result.macs;
	job->band->exceptional += result.exceptional;
	return true;
}

/* Views of one block, and which of them take part. */
struct operands {
	struct view a, b, c, d;
	struct engine_tiled tiled_a, tiled_b;	/* in place of a, b */
	bool product, addend, same;	/* A and B are read; C is read; C is D */
	uint8_t *bias;
};

static void get_views(const struct quire_packet_gemm *p, const struct block *block,
		      struct operands *o)
{
	bool transpose_a = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A;
	bool transpose_b = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B;

	o->product = p->alpha << 1 && p->k;
	o->addend = p->beta << 1;
	o->same = o->addend && p->c.address == p->d.address;
	if (o->product) {
		o->a = operand_view(&p->a, QUIRE_FAULT_UNIT_A, block->batch, transpose_a,
				    block->row, block->rows, p->k);
		o->b = operand_view(&p->b, QUIRE_FAULT_UNIT_B, block->batch, !transpose_b,
				    block->column, block->columns, p->k);
	}
	o->d = operand_view(&p->d, QUIRE_FAULT_UNIT_D, block->batch, false, block->row,
			    block->rows, 0);
	o->d.column = block->column;
	o->d.columns = block->columns;
	o->d.write = true;
	o->c = o->d;
	o->c.operand = &p->c;
	o->c.unit = QUIRE_FAULT_UNIT_C;
	o->c.write = false;
}

static void put_views(const struct band_job *job, struct operands *o)
{
	view_put(job, &o->a);
	view_put(job, &o->b);
	view_put(job, &o->c);
	view_put(job, &o->d);
	engine_tiled_keep(&o->tiled_a);
	engine_tiled_keep(&o->tiled_b);
}

static bool is_tiled(const struct view *view)
{
	return view->operand->format == QUIRE_FORMAT_TILED;
}

/*
 * Gather what is scattered.  C and D share a slot, half of it each; blocks are
 * sized for that.
 */
static bool load_views(const struct band_job *job, struct operands *o)
{
	if (o->product && !is_tiled(&o->a) && !o->a.in_place && !view_stage(job, &o->a, SLOT_A, true))
		return false;
	if (o->product && !is_tiled(&o->b) && !o->b.in_place && !view_stage(job, &o->b, SLOT_B, true))
		return false;
	if (!o->d.in_place && !view_stage(job, &o->d, SLOT_D, o->same))
		return false;
	if (o->addend && !o->same && !o->c.in_place) {
		if (!view_stage(job, &o->c, SLOT_D, false))
			return false;
		o->c.data = job->engine->staging[SLOT_D] + STAGING_BYTES / 2;
		return view_transfer(job, &o->c, false);
	}
	return true;
}

static void set_factor(const struct band_job *job, struct quire_gemm_operand *to,
		       const struct view *view, const struct engine_tiled *tiled)
{
	if (is_tiled(view)) {
		to->data = &tiled->view;
		engine_tiled_charge(tiled);
		return;
	}
	to->data = view->data;
	to->leading_dimension = view->leading_dimension;
	view_charge(job, view, false);
}

/* Compute one block whose views have been looked at. */
static bool run_block(const struct band_job *job, const struct block *block, struct operands *o)
{
	const struct quire_packet_gemm *p = job->packet;
	struct quire_gemm g;

	if (!load_views(job, o))
		return false;
	describe(p, job->engine, block, &g);
	if (o->product) {
		set_factor(job, &g.a, &o->a, &o->tiled_a);
		set_factor(job, &g.b, &o->b, &o->tiled_b);
		g.b_version = version_of_b(job, &o->b);
	} else {
		g.alpha = 0;
	}
	g.d.data = o->d.data;
	g.d.leading_dimension = o->d.leading_dimension;
	if (o->addend) {
		struct view *c = o->same ? &o->d : &o->c;

		g.c.data = c->data;
		g.c.format = p->c.format;
		g.c.leading_dimension = c->leading_dimension;
		view_charge(job, c, false);
	}
	if (o->bias) {
		uint64_t first = p->gemm_flags & QUIRE_GEMM_BIAS_ROW ? block->row : block->column;

		g.bias = o->bias + (first - (p->gemm_flags & QUIRE_GEMM_BIAS_ROW ?
						     job->band->row : job->band->column)) *
					   quire_check_element_bytes(p->bias_format);
		g.bias_format = p->bias_format;
		g.bias_kind = p->gemm_flags & QUIRE_GEMM_BIAS_ROW ? QUIRE_GEMM_BIAS_PER_ROW :
								    QUIRE_GEMM_BIAS_PER_COLUMN;
	}
	if (!compute(job, &g))
		return false;
	view_charge(job, &o->d, true);
	return o->d.in_place || view_transfer(job, &o->d, true);
}

static bool look_factor(const struct band_job *job, struct view *view, struct engine_tiled *tiled,
			bool k_is_row, uint64_t lanes)
{
	const struct quire_packet_gemm *p = job->packet;
	const struct engine_tiled_part part = {
		view->operand, view->unit, view->batch, view->row, view->rows, view->column,
		view->columns, k_is_row ? p->k : lanes, k_is_row ? lanes : p->k, quire_check_output(p), NULL,
	};

	return is_tiled(view) ? engine_tiled_load_factor(job, &part, tiled) :
				view_try_in_place(job, view);
}

/* The views of a block, in place where possible; false on a fault. */
static bool look(const struct band_job *job, const struct block *block, struct operands *o)
{
	const struct quire_packet_gemm *p = job->packet;

	get_views(p, block, o);
	if (o->product && (!look_factor(job, &o->a, &o->tiled_a,
					p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A, p->m) ||
			   !look_factor(job, &o->b, &o->tiled_b,
					!(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B), p->n)))
		return false;
	if (!view_try_in_place(job, &o->d))
		return false;
	return !o->addend || o->same || view_try_in_place(job, &o->c);
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

/* How many of the lanes, rows of op(A) or columns of op(B), fit into a slot. */
static uint64_t lanes_that_fit(const struct view *view, bool k_is_row, uint64_t k, uint64_t lanes)
{
	const uint32_t format = view->operand->format;

	if (!k_is_row)
		return at_most(lanes, STAGING_BYTES / quire_check_bytes(format, k));
	if (format == QUIRE_FORMAT_MXFP8)
		return at_most(lanes, STAGING_BYTES / (k * QUIRE_MX_BLOCK_BYTES) * QUIRE_MX_ELEMENTS);
	return at_most(lanes, STAGING_BYTES / (k * quire_check_element_bytes(format)));
}

/* Part of a whole, cut where it may be. */
static uint64_t whole_units(uint64_t part, uint64_t whole, uint64_t unit)
{
	return part < whole ? part / unit * unit : whole;
}

/* Rows and columns of a block whose staged views fit; false when not even one does. */
static bool size_block(const struct operands *o, const struct quire_packet_gemm *p,
		       struct block *block)
{
	const uint64_t row_unit = quire_check_row_unit(p), column_unit = quire_check_column_unit(p);
	uint64_t rows = block->rows, columns = block->columns;

	if (o->product && is_tiled(&o->a))
		rows = o->tiled_a.too_large ? rows / 2 : rows;
	else if (o->product && !o->a.in_place)
		rows = lanes_that_fit(&o->a, p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A, p->k, rows);
	if (o->product && is_tiled(&o->b))
		columns = o->tiled_b.too_large ? columns / 2 : columns;
	else if (o->product && !o->b.in_place)
		columns = lanes_that_fit(&o->b, !(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B), p->k,
					 columns);
	if (!o->d.in_place || (o->addend && !o->same && !o->c.in_place)) {
		uint64_t element = quire_check_element_bytes(p->d.format);

		if (o->addend && !o->same && quire_check_element_bytes(p->c.format) > element)
			element = quire_check_element_bytes(p->c.format);
		columns = at_most(columns, STAGING_BYTES / 2 / element / at_most(row_unit, block->rows));
		if (columns)
			rows = at_most(rows, STAGING_BYTES / 2 / element / columns);
	}
	block->rows = whole_units(rows, block->rows, row_unit);
	block->columns = whole_units(columns, block->columns, column_unit);
	return block->rows && block->columns;
}

/* The bias of the whole band, in memory of the host: at most a few rows of it. */
static bool load_bias(const struct band_job *job, uint8_t **bias)
{
	const struct quire_packet_gemm *p = job->packet;
	bool per_row = p->gemm_flags & QUIRE_GEMM_BIAS_ROW;
	uint64_t element = quire_check_element_bytes(p->bias_format);
	uint64_t first = per_row ? job->band->row : job->band->column;
	uint64_t count = per_row ? job->band->rows : job->band->columns;
	struct fault fault;

	*bias = NULL;
	if (!(p->gemm_flags & (QUIRE_GEMM_BIAS_ROW | QUIRE_GEMM_BIAS_COLUMN)))
		return true;
	*bias = malloc(count * element);
	if (!*bias) {
		job->band->status = QUIRE_STATUS_ENGINE_ERROR;
		job->band->detail = ENOMEM;
		return false;
	}
	if (!dma_copy(job->engine->device, &job->engine->tlb, job->band->context,
		      p->bias_address + first * element, *bias, count * element, false, &fault)) {
		engine_fault(job, &fault, QUIRE_FAULT_UNIT_BIAS);
		return false;
	}
	job->band->bytes_read += count * element;
	return true;
}

/* A block, cut into smaller ones where its operands do not fit; those may be cut again. */
static bool run_blocks(const struct band_job *job, const struct block *whole, uint8_t *bias)
{
	const struct quire_packet_gemm *p = job->packet;
	struct operands o = { .bias = bias };
	struct block step = *whole;
	bool good;

	if (!look(job, whole, &o)) {
		put_views(job, &o);
		return false;
	}
	if (!size_block(&o, p, &step)) {
		put_views(job, &o);
		job->band->status = QUIRE_STATUS_ENGINE_ERROR;
		job->band->detail = E2BIG;
		return false;
	}
	if (step.rows == whole->rows && step.columns == whole->columns) {
		good = run_block(job, whole, &o);
		put_views(job, &o);
		return good;
	}
	put_views(job, &o);
	for (uint64_t r = 0; r < whole->rows; r += step.rows) {
		for (uint64_t c = 0; c < whole->columns; c += step.columns) {
			struct block block = { whole->batch, whole->row + r,
					       at_most(step.rows, whole->rows - r),
					       whole->column + c,
					       at_most(step.columns, whole->columns - c) };

			if (!run_blocks(job, &block, bias))
				return false;
		}
	}
	return true;
}

static bool run_batch(const struct band_job *job, uint64_t batch, uint8_t *bias)
{
	const struct quire_band *band = job->band;
	const struct block whole = { batch, band->row, band->rows, band->column, band->columns };

	return run_blocks(job, &whole, bias);
}

/* A matrix of a batch costs as much as some products. */
#define WORK_PER_MATRIX 2048

uint64_t engine_gemm_work(const struct quire_packet_gemm *p, const struct quire_band *band)
{
	double rows_a = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A ? p->k : band->rows;
	double rows_b = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B ? band->columns : p->k;
	double work = (double)band->rows * band->columns * (p->k ? p->k : 1);

	work += view_work(&p->a, rows_a) + view_work(&p->b, rows_b) +
		view_work(&p->c, band->rows) + view_work(&p->d, band->rows) +
		(double)engine_tiled_work(p, band);
	if (band->batches > 1)
		work = (work + WORK_PER_MATRIX) * band->batches;
	return view_saturated(work);
}

void engine_gemm(const struct band_job *job)
{
	const struct quire_packet_gemm *p = job->packet;
	struct quire_band *band = job->band;
	struct quire_model_macs cost;
	uint8_t *bias;
	bool good = load_bias(job, &bias);

	for (uint64_t z = 0; good && z < band->batches; z++) {
		good = run_batch(job, (uint64_t)band->batch + z, bias);
		if (good && z + 1 < band->batches && engine_stopped(job->engine)) {
			band->status = QUIRE_STATUS_CANCELLED;
			good = false;
		}
	}
	free(bias);
	cost = quire_model_gemm(p, job->macs_by_width);
	band->cycles = cost.cycles +
		       (band->bytes_read + band->bytes_written) / QUIRE_MODEL_BYTES_PER_CYCLE;
	band->modelled_pj += cost.picojoule;
}
