// SPDX-License-Identifier: MIT
/* Numbers rounded to what a rate stores, and what they are then worth. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/number.h>

#include "rates.h"

#define INT8_LARGEST 127

static uint64_t word_of(double value)
{
	uint64_t word;

	memcpy(&word, &value, sizeof(word));
	return word;
}

static double rounded_to(uint32_t format, double value)
{
	uint64_t word = quire_number_convert(QUIRE_FORMAT_FP64, format,
					     quire_number_convert(format, QUIRE_FORMAT_FP64,
								  word_of(value)));

	memcpy(&value, &word, sizeof(value));
	return value;
}

/* Quotients to the nearest integer; the product q * scale of 8 and 24 bits is exact. */
static void round_integers(struct tensor *tensor, const double *values, size_t count, float scale)
{
	double most = 0;

	for (size_t i = 0; i < count; i++)
		most = fabs(values[i]) > most ? fabs(values[i]) : most;
	tensor->scale = scale > 0 ? scale : most > 0 ? (float)(most / INT8_LARGEST) : 1;
	for (size_t i = 0; i < count; i++) {
		double q = nearbyint(values[i] / tensor->scale);

		q = q > INT8_LARGEST ? INT8_LARGEST : q < -INT8_LARGEST ? -INT8_LARGEST : q;
		tensor->value[i] = q * tensor->scale;
	}
}

/* Advice for tau, the image, and its numbers. */
static int round_tiles(struct tensor *tensor, const struct rate *rate, const double *values)
{
	struct quire_tiled_advise question = {
		.shape = { tensor->rows, tensor->columns, rate->tile, rate->tile },
		.matrix = { values, QUIRE_FORMAT_FP64, 0, tensor->columns },
		.budget = QUIRE_BUDGET_ERROR,
		.tau = rate->tau,
	};
	struct quire_tile_choice *choices =
		malloc(quire_tiled_count(&question.shape) * sizeof(*choices));
	struct quire_advice advice;
	int error = choices ? quire_tiled_advise(&question, choices, &advice) : -ENOMEM;

	if (!error) {
		tensor->bits = advice.bits_per_element;
		tensor->bytes = advice.image_bytes;
		tensor->image = aligned_alloc(64, (advice.image_bytes + 63) / 64 * 64);
		error = tensor->image ? 0 : -ENOMEM;
	}
	error = error ? error : quire_tiled_pack(&question.shape, &question.matrix, choices,
						 tensor->image, tensor->bytes, NULL);
	error = error ? error : quire_tiled_open(tensor->image, tensor->bytes, &tensor->view, NULL);
	for (uint32_t r = 0; !error && r < tensor->rows; r++)
		for (uint32_t c = 0; c < tensor->columns; c++)
			tensor->value[(size_t)r * tensor->columns + c] =
				quire_tiled_element(&tensor->view, r, c);
	free(choices);
	return error;
}

int tensor_round(struct tensor *tensor, const struct rate *rate, enum rounding rounding,
		 const double *values, uint32_t rows, uint32_t columns, float scale)
{
	size_t count = (size_t)rows * columns;
	int error = 0;

	*tensor = (struct tensor){ .rows = rows, .columns = columns, .scale = 1 };
	tensor->value = malloc(count * sizeof(*tensor->value));
	if (!tensor->value)
		return complain(-ENOMEM, "not enough memory");
	tensor->bits = rate_bits(rate);
	tensor->bytes = count * quire_format_bytes(rate->format);
	if (rate->kind == RATE_TILES && rounding == ROUND_AS_STORED)
		error = round_tiles(tensor, rate, values);
	else if (rate->kind == RATE_INT8)
		round_integers(tensor, values, count, scale);
	else
		for (size_t i = 0; i < count; i++)
			tensor->value[i] = rounded_to(rate->format, values[i]);
	if (error == -ERANGE)
		complain(error, "tau %g cannot be met", rate->tau);
	else if (error)
		complain(error, "%s: %s", rate->name, strerror(-error));
	return error;
}

void tensor_free(struct tensor *tensor)
{
	free(tensor->value);
	free(tensor->image);
	memset(tensor, 0, sizeof(*tensor));
}
