// SPDX-License-Identifier: MIT
/* Numbers rounded to what a rate stores, on the device, and what they are then worth. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rates.h"

#define INT8_LARGEST 127

uint64_t row_bytes(uint32_t format, uint64_t count)
{
	if (format == QUIRE_FORMAT_MXFP8)
		return (count + QUIRE_MX_ELEMENTS - 1) / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;
	return count * quire_format_bytes(format);
}

/* Values in the rate's format: one rounding. */
static int round_dense(quire_context *context, struct tensor *t, uint32_t format,
		       const double *values, uint32_t rows, uint32_t columns)
{
	int error = quire_matrix_alloc(context, format, rows, columns, &t->matrix);

	t->bytes = rows * row_bytes(format, columns);
	error = error ? error : quire_matrix_put_f64(&t->matrix, values, columns);
	return error ? error : quire_matrix_get_f64(&t->matrix, t->value, columns);
}

/* Quotients to the nearest integer; the product q * scale of 8 and 24 bits is exact. */
static int round_integers(quire_context *context, struct tensor *t, const double *values,
			  uint32_t rows, uint32_t columns, float scale)
{
	size_t count = (size_t)rows * columns;
	double most = 0;
	int error;

	for (size_t i = 0; i < count; i++)
		most = fabs(values[i]) > most ? fabs(values[i]) : most;
	t->scale = scale > 0 ? scale : most > 0 ? (float)(most / INT8_LARGEST) : 1;
	for (size_t i = 0; i < count; i++) {
		double q = nearbyint(values[i] / t->scale);

		t->value[i] = q > INT8_LARGEST ? INT8_LARGEST : q < -INT8_LARGEST ? -INT8_LARGEST : q;
	}
	error = round_dense(context, t, QUIRE_FORMAT_INT8, t->value, rows, columns);
	for (size_t i = 0; i < count; i++)
		t->value[i] *= t->scale;
	return error;
}

/* Advice for tau, and the matrix packed as advised. */
static int round_tiles(quire_context *context, struct tensor *t, const struct rate *rate,
		       const double *values, uint32_t rows, uint32_t columns)
{
	const struct quire_advise_desc desc = {
		.size = sizeof(desc),
		.goal = QUIRE_GOAL_ERROR,
		.tau = rate->tau,
		.x = values,
		.format = QUIRE_FORMAT_FP64,
		.rows = rows,
		.columns = columns,
		.leading_dimension = columns,
		.tile_rows = rate->tile,
		.tile_columns = rate->tile,
	};
	struct quire_pmap_info info = { .size = sizeof(info) };
	quire_pmap *pmap = NULL;
	int error = quire_advise(NULL, &desc, &pmap);

	error = error ? error : quire_pmap_get_info(pmap, &info);
	error = error ? error : quire_matrix_pack_pmap_f64(context, pmap, values, columns, &t->matrix);
	error = error ? error : quire_matrix_get_f64(&t->matrix, t->value, columns);
	t->bits = info.bits_per_element;
	t->bytes = info.image_bytes;
	quire_pmap_unref(pmap);
	return error;
}

int tensor_round(quire_context *context, struct tensor *tensor, const struct rate *rate,
		 enum rounding rounding, const double *values, uint32_t rows, uint32_t columns,
		 float scale)
{
	int error;

	*tensor = (struct tensor){ .scale = 1, .bits = rate_bits(rate) };
	tensor->value = malloc((size_t)rows * columns * sizeof(*tensor->value));
	if (!tensor->value)
		return complain(-ENOMEM, "not enough memory");
	if (rate->kind == RATE_TILES && rounding == ROUND_AS_STORED)
		error = round_tiles(context, tensor, rate, values, rows, columns);
	else if (rate->kind == RATE_INT8)
		error = round_integers(context, tensor, values, rows, columns, scale);
	else
		error = round_dense(context, tensor, rate->format, values, rows, columns);
	return error ? complain(error, "%s: %s", rate->name, quire_last_error()) : 0;
}

void tensor_free(struct tensor *tensor)
{
	free(tensor->value);
	quire_matrix_free(&tensor->matrix);
	memset(tensor, 0, sizeof(*tensor));
}
