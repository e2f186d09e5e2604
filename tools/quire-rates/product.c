// SPDX-License-Identifier: MIT
/* One product in a rate's way, on the device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/gemm.h>
#include <quirenum/number.h>

#include "rates.h"

static uint64_t to_word(uint32_t format, double value)
{
	uint64_t word;

	memcpy(&word, &value, sizeof(word));
	return quire_number_convert(format, QUIRE_FORMAT_FP64, word);
}

static double from_word(uint32_t format, uint64_t word)
{
	double value;

	word = quire_number_convert(QUIRE_FORMAT_FP64, format, word);
	memcpy(&value, &word, sizeof(value));
	return value;
}

/* Containers are little-endian, as all hosts of the card. */
static void store(uint8_t *at, size_t bytes, uint64_t word)
{
	memcpy(at, &word, bytes);
}

static uint64_t load(const uint8_t *at, size_t bytes)
{
	uint64_t word = 0;

	memcpy(&word, at, bytes);
	return word;
}

/* ---- On the device ---- */

static uint32_t format_of(const struct product *p)
{
	return p->rate->format;
}

static uint32_t output_of(const struct product *p)
{
	return p->keep ? format_of(p) : QUIRE_FORMAT_FP64;
}

/* The tensor in the rate's format; its values are numbers of it, so nothing is rounded. */
static int put_tensor(const struct tensor *tensor, uint32_t format, struct quire_matrix *matrix)
{
	size_t bytes = quire_format_bytes(format);
	void *at;
	int error = quire_buffer_map(matrix->buffer, &at);

	for (size_t i = 0; !error && i < (size_t)tensor->rows * tensor->columns; i++)
		store((uint8_t *)at + i * bytes, bytes,
		      to_word(format, tensor->value[i] / tensor->scale));
	return error;
}

static int get_output(const struct product *p, const struct quire_matrix *d)
{
	size_t bytes = quire_format_bytes(d->format);
	double scale = p->rate->kind == RATE_INT8 && p->keep ? p->out_scale : 1;
	void *at;
	int error = quire_buffer_map(d->buffer, &at);

	for (size_t i = 0; !error && i < (size_t)d->rows * d->columns; i++)
		p->out[i] = scale * from_word(d->format, load((uint8_t *)at + i * bytes, bytes));
	return error;
}

struct operands {
	struct quire_matrix a, b, d, bias;
};

static int put_operands(quire_context *context, const struct product *p, struct operands *o)
{
	uint32_t format = format_of(p), n = p->b->columns;
	int error = quire_matrix_alloc(context, format, p->a->rows, p->a->columns, &o->a);

	error = error ? error : quire_matrix_alloc(context, format, p->b->rows, n, &o->b);
	error = error ? error : quire_matrix_alloc(context, output_of(p), p->a->rows, n, &o->d);
	error = error ? error : put_tensor(p->a, format, &o->a);
	error = error ? error : put_tensor(p->b, format, &o->b);
	if (!error && p->bias) {
		error = quire_matrix_alloc(context, QUIRE_FORMAT_FP32, 1, n, &o->bias);
		error = error ? error : quire_matrix_put_f32(&o->bias, p->bias, n);
	}
	return error;
}

static void free_operands(struct operands *o)
{
	quire_matrix_free(&o->a);
	quire_matrix_free(&o->b);
	quire_matrix_free(&o->d);
	quire_matrix_free(&o->bias);
}

/* Rows [from, to) of a matrix. */
static struct quire_matrix rows_of(const struct quire_matrix *matrix, uint32_t from, uint32_t to)
{
	struct quire_matrix part = *matrix;

	part.offset += (uint64_t)from * matrix->leading_dimension * quire_format_bytes(matrix->format);
	part.rows = to - from;
	return part;
}

static int run_card(quire_context *context, const struct product *p)
{
	struct operands o = { .bias = { .buffer = NULL } };
	int error = put_operands(context, p, &o);
	uint32_t m = p->a->rows;

	for (uint32_t band = 0; !error && band < p->bands; band++) {
		struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
		uint32_t from = (uint32_t)((uint64_t)m * band / p->bands);
		uint32_t to = (uint32_t)((uint64_t)m * (band + 1) / p->bands);
		struct quire_matrix a = rows_of(&o.a, from, to), d = rows_of(&o.d, from, to);

		if (from == to)
			continue;
		desc.mode = p->rate->gemm_mode;
		desc.flags = (p->bias ? QUIRE_GEMM_BIAS_COLUMN : 0) | (p->relu ? QUIRE_GEMM_RELU : 0);
		desc.a = &a;
		desc.b = &o.b;
		desc.d = &d;
		desc.bias = p->bias ? &o.bias : NULL;
		if (p->rate->kind == RATE_INT8)
			desc.alpha = p->a->scale * p->b->scale / (p->keep ? p->out_scale : 1);
		error = quire_gemm_run(context, &desc, NULL);
	}
	error = error ? error : get_output(p, &o.d);
	free_operands(&o);
	return error ? complain(error, "%s", quire_last_error()) : 0;
}

/* ---- Tiles, by libquirenum in this process: the bits the card gives ---- */

static void *container_of_tensor(const struct tensor *tensor, uint32_t format)
{
	size_t bytes = quire_format_bytes(format), count = (size_t)tensor->rows * tensor->columns;
	uint8_t *out = malloc(count * bytes);

	for (size_t i = 0; out && i < count; i++)
		store(out + i * bytes, bytes, to_word(format, tensor->value[i]));
	return out;
}

static struct quire_gemm_operand operand_of(const struct tensor *tensor, uint32_t format,
					    const void *dense)
{
	if (tensor->image)
		return (struct quire_gemm_operand){ &tensor->view, QUIRE_FORMAT_TILED, 0, 0, 0 };
	return (struct quire_gemm_operand){ dense, format, 0, tensor->columns, 0 };
}

static int run_tiles(const struct product *p)
{
	uint32_t format = format_of(p), output = output_of(p), m = p->a->rows, n = p->b->columns;
	size_t bytes = quire_format_bytes(output);
	void *a = p->a->image ? NULL : container_of_tensor(p->a, format);
	void *b = p->b->image ? NULL : container_of_tensor(p->b, format);
	uint8_t *d = malloc((size_t)m * n * bytes);
	struct quire_gemm gemm = { .m = m, .n = n, .k = p->a->columns, .batch = 1, .alpha = 1 };
	int error = d && (a || p->a->image) && (b || p->b->image) ? 0 : -ENOMEM;

	gemm.a = operand_of(p->a, format, a);
	gemm.b = operand_of(p->b, format, b);
	gemm.d = (struct quire_gemm_output){ d, output, 0, n, 0 };
	if (p->bias) {
		gemm.bias = p->bias;
		gemm.bias_format = QUIRE_FORMAT_FP32;
		gemm.bias_kind = QUIRE_GEMM_BIAS_PER_COLUMN;
	}
	gemm.activation = p->relu ? QUIRE_GEMM_ACTIVATION_RELU : QUIRE_GEMM_LINEAR;
	error = error ? error : quire_gemm(&gemm, NULL);
	for (size_t i = 0; !error && i < (size_t)m * n; i++)
		p->out[i] = from_word(output, load(d + i * bytes, bytes));
	free(a);
	free(b);
	free(d);
	return error ? complain(error, "%s: %s", p->rate->name, strerror(-error)) : 0;
}

/* ---- Sums in FP32 on the host ---- */

static int run_sums(const struct product *p)
{
	uint32_t m = p->a->rows, n = p->b->columns, count = p->a->columns;

	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			float sum = 0;

			for (size_t step = 0; step < count; step++) {
				size_t k = p->bands > 1 ? count - 1 - step : step;

				sum += (float)p->a->value[i * count + k] *
				       (float)p->b->value[k * n + j];
			}
			sum += p->bias ? p->bias[j] : 0;
			p->out[i * n + j] = p->relu && !(sum > 0) ? 0 : sum;
		}
	}
	return 0;
}

int product_run(quire_context *context, const struct product *p)
{
	switch (p->rate->kind) {
	case RATE_SUMS: return run_sums(p);
	case RATE_TILES: return run_tiles(p);
	default: return run_card(context, p);
	}
}

double product_pj(const struct product *p)
{
	uint32_t m = p->a->rows, n = p->b->columns, k = p->a->columns;
	static const uint32_t widths[3] = { 8, 16, 32 };
	bool dense = !p->a->image || !p->b->image;
	uint64_t macs[3];
	double pj = 0;

	if (p->rate->kind != RATE_TILES)
		return (double)m * n * k * rate_pj_per_mac(p->rate);
	/* Empty tiles are skipped; a pair costs what its dearer operand costs. */
	quire_tiled_macs(p->a->image ? &p->a->view : NULL, 0, p->b->image ? &p->b->view : NULL, 0, m,
			 n, k, macs);
	for (int i = 0; i < 3; i++) {
		uint32_t tiles = QUIRE_FORMAT_POSIT(widths[i]);
		struct quire_model_cost cost = quire_model_product(
			tiles, dense ? p->rate->format : tiles, QUIRE_GEMM_MODE_EXACT);

		pj += (double)quire_model_pj(cost, macs[i]);
	}
	return pj;
}
