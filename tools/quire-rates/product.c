// SPDX-License-Identifier: MIT
/* One product in a rate's way, as jobs of the device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/tile.h>

#include "../rows.h"
#include "rates.h"

#define BANDS 7
/*
 * FP32 multiplication and addition of 7 nm: 1.31 + 0.38 pJ (Jouppi et al., ISCA 2021, as
 * model.h quotes it).  The card itself has no such unit.
 */
#define SUMS_PJ_PER_MAC 1.69

static uint32_t output_of(const struct product *p)
{
	if (!p->keep)
		return QUIRE_FORMAT_FP64;
	return p->rate->format == QUIRE_FORMAT_MXFP8 ? QUIRE_FORMAT_FP32 : p->rate->format;
}

static bool is_tiled(const struct tensor *tensor)
{
	return tensor->matrix.format == QUIRE_FORMAT_TILED;
}

/* ---- What the jobs did ---- */

static uint64_t dense_macs(const struct product *p)
{
	return (uint64_t)p->a->matrix.rows * p->a->matrix.columns * p->b->matrix.columns;
}

static int view_of(const struct tensor *tensor, struct quire_tiled *view)
{
	const struct quire_matrix *matrix = &tensor->matrix;
	void *mapped;
	int error = quire_buffer_map(matrix->buffer, &mapped);

	return error ? error : quire_tiled_open((uint8_t *)mapped + matrix->offset,
						quire_buffer_bytes(matrix->buffer) - matrix->offset,
						view, NULL);
}

/* By the widths of the tiles; their sum must be what the job says it did. */
static int count_widths(const struct product *p, uint64_t by_width[3])
{
	bool a = is_tiled(p->a), b = is_tiled(p->b);
	struct quire_tiled view_a, view_b;
	int error = a ? view_of(p->a, &view_a) : 0;

	error = error || !b ? error : view_of(p->b, &view_b);
	if (!error)
		quire_tiled_macs(a ? &view_a : NULL, 0, b ? &view_b : NULL, 0, p->a->matrix.rows,
				 p->b->matrix.columns, p->a->matrix.columns, by_width);
	return error;
}

static int add_work(const struct product *p, const struct quire_packet_result *result,
		    struct work *work)
{
	uint64_t by_width[3] = { 0 };
	uint64_t bytes = result->bytes_read + result->bytes_written;
	uint32_t bits = QUIRE_FORMAT_BITS(p->rate->format);

	if (is_tiled(p->a) || is_tiled(p->b)) {
		int error = count_widths(p, by_width);

		if (error)
			return complain(error, "%s: %s", p->rate->name, strerror(-error));
	} else {
		by_width[bits <= 8 ? 0 : bits <= 16 ? 1 : 2] = dense_macs(p);
	}
	if (by_width[0] + by_width[1] + by_width[2] != result->macs)
		return complain(-EIO, "%s: the job executed %llu products, not as many as its tiles have",
				p->rate->name, (unsigned long long)result->macs);
	for (int i = 0; i < 3; i++)
		work->by_width[i] += by_width[i];
	work->macs += result->macs;
	work->bytes += bytes;
	work->pj += (double)result->modelled_pj;
	work->memory_pj += (double)bytes * QUIRE_MODEL_CARD_PJ_PER_BYTE;
	work->digest = work->digest * QUIRE_DIGEST_SEQUENCE + result->digest;
	work->jobs++;
	return 0;
}

void put_work(json_object *row, const struct work *work, double dense)
{
	row_put_number(row, "modelled_pj_per_mac", (work->pj - work->memory_pj) / dense);
	row_put_integer(row, "macs", work->macs);
	row_put_integer(row, "macs_8_bits", work->by_width[0]);
	row_put_integer(row, "macs_16_bits", work->by_width[1]);
	row_put_integer(row, "macs_32_bits", work->by_width[2]);
	if (work->jobs)
		row_put_digest(row, "digest", work->digest);
	else
		row_put_string(row, "digest", NULL);
}

/* ---- On the device ---- */

/* Rows [from, to) of a matrix that is not tiled. */
static struct quire_matrix rows_of(const struct quire_matrix *matrix, uint32_t from, uint32_t to)
{
	struct quire_matrix part = *matrix;

	part.offset += from * row_bytes(matrix->format, matrix->leading_dimension);
	part.rows = to - from;
	return part;
}

static struct quire_gemm_desc desc_of(const struct product *p)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;

	desc.mode = p->rate->gemm_mode;
	desc.flags = p->relu ? QUIRE_GEMM_RELU : 0;
	if (p->rate->kind == RATE_INT8)
		desc.alpha = p->a->scale * p->b->scale / (p->keep ? p->out_scale : 1);
	return desc;
}

static int run_whole(quire_context *context, const struct product *p, const struct quire_matrix *d,
		     const struct quire_matrix *bias, struct work *work)
{
	struct quire_gemm_desc desc = desc_of(p);
	struct quire_packet_result result;
	int error;

	desc.a = &p->a->matrix;
	desc.b = &p->b->matrix;
	desc.d = d;
	desc.bias = bias;
	desc.flags |= bias ? QUIRE_GEMM_BIAS_COLUMN : 0;
	error = quire_gemm_run(context, &desc, &result);
	if (error)
		return complain(error, "%s: %s", p->rate->name, quire_last_error());
	return work ? add_work(p, &result, work) : 0;
}

static int run_bands(quire_context *context, const struct product *p, const struct quire_matrix *d,
		     const struct quire_matrix *bias)
{
	uint32_t m = p->a->matrix.rows;
	int error = 0;

	for (uint32_t band = 0; !error && band < BANDS; band++) {
		struct quire_gemm_desc desc = desc_of(p);
		uint32_t from = (uint32_t)((uint64_t)m * band / BANDS);
		uint32_t to = (uint32_t)((uint64_t)m * (band + 1) / BANDS);
		struct quire_matrix part_a = rows_of(&p->a->matrix, from, to);
		struct quire_matrix part_d = rows_of(d, from, to);

		desc.a = &part_a;
		desc.b = &p->b->matrix;
		desc.d = &part_d;
		desc.bias = bias;
		desc.flags |= bias ? QUIRE_GEMM_BIAS_COLUMN : 0;
		error = from == to ? 0 : quire_gemm_run(context, &desc, NULL);
	}
	return error ? complain(error, "%s: %s", p->rate->name, quire_last_error()) : 0;
}

/* Into D transposed, n x m: B^T A^T + bias. */
static int run_transposed(quire_context *context, const struct product *p,
			  const struct quire_matrix *d, const struct quire_matrix *bias)
{
	struct quire_gemm_desc desc = desc_of(p);
	int error;

	desc.a = &p->b->matrix;
	desc.b = &p->a->matrix;
	desc.d = d;
	desc.bias = bias;
	desc.flags |= QUIRE_GEMM_TRANSPOSE_A | QUIRE_GEMM_TRANSPOSE_B |
		      (bias ? QUIRE_GEMM_BIAS_ROW : 0);
	error = quire_gemm_run(context, &desc, NULL);
	return error ? complain(error, "%s: %s", p->rate->name, quire_last_error()) : 0;
}

static void transpose(const double *in, uint32_t rows, uint32_t columns, double *out)
{
	for (size_t r = 0; r < rows; r++)
		for (size_t c = 0; c < columns; c++)
			out[c * rows + r] = in[r * columns + c];
}

/* The numbers of D, in order and with their scale. */
static int get_output(const struct product *p, const struct quire_matrix *d, bool transposed)
{
	size_t count = (size_t)d->rows * d->columns;
	double *values = transposed ? malloc(count * sizeof(*values)) : p->out;
	int error = values ? quire_matrix_get_f64(d, values, d->columns) : -ENOMEM;

	if (!error && transposed)
		transpose(values, d->rows, d->columns, p->out);
	for (size_t i = 0; !error && p->rate->kind == RATE_INT8 && p->keep && i < count; i++)
		p->out[i] *= p->out_scale;
	if (transposed)
		free(values);
	return error ? complain(error, "%s: %s", p->rate->name, quire_last_error()) : 0;
}

static int run_device(quire_context *context, const struct product *p, struct work *work)
{
	bool transposed = p->other_way && is_tiled(p->a);
	uint32_t m = p->a->matrix.rows, n = p->b->matrix.columns;
	struct quire_matrix d = { .buffer = NULL }, bias = { .buffer = NULL };
	int error = quire_matrix_alloc(context, output_of(p), transposed ? n : m, transposed ? m : n,
				       &d);

	if (!error && p->bias) {
		error = quire_matrix_alloc(context, QUIRE_FORMAT_FP32, 1, n, &bias);
		error = error ? error : quire_matrix_put_f32(&bias, p->bias, n);
	}
	if (error)
		complain(error, "%s", quire_last_error());
	else if (transposed)
		error = run_transposed(context, p, &d, p->bias ? &bias : NULL);
	else if (p->other_way)
		error = run_bands(context, p, &d, p->bias ? &bias : NULL);
	else
		error = run_whole(context, p, &d, p->bias ? &bias : NULL, work);
	error = error ? error : get_output(p, &d, transposed);
	quire_matrix_free(&d);
	quire_matrix_free(&bias);
	return error;
}

/* ---- Sums in FP32 on the host: no job, so the energy is reckoned here ---- */

static void add_sums_work(const struct product *p, struct work *work)
{
	uint64_t outputs = (uint64_t)p->a->matrix.rows * p->b->matrix.columns;
	uint64_t bytes = p->a->bytes + p->b->bytes + outputs * sizeof(float);
	uint64_t macs = dense_macs(p);

	work->macs += macs;
	work->by_width[2] += macs;
	work->bytes += bytes;
	work->memory_pj += (double)bytes * QUIRE_MODEL_CARD_PJ_PER_BYTE;
	work->pj += (double)macs * SUMS_PJ_PER_MAC + (double)bytes * QUIRE_MODEL_CARD_PJ_PER_BYTE;
}

static void run_sums(const struct product *p, struct work *work)
{
	uint32_t m = p->a->matrix.rows, n = p->b->matrix.columns, count = p->a->matrix.columns;

	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			float sum = 0;

			for (size_t step = 0; step < count; step++) {
				size_t k = p->other_way ? count - 1 - step : step;

				sum += (float)p->a->value[i * count + k] *
				       (float)p->b->value[k * n + j];
			}
			sum += p->bias ? p->bias[j] : 0;
			p->out[i * n + j] = p->relu && !(sum > 0) ? 0 : sum;
		}
	}
	if (work)
		add_sums_work(p, work);
}

int product_run(quire_context *context, const struct product *p, struct work *work)
{
	if (p->rate->kind != RATE_SUMS)
		return run_device(context, p, work);
	run_sums(p, work);
	return 0;
}
