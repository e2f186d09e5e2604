// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "covariance.h"
#include "portable_math.h"

#define RBF_IMAGES 1024
#define PIXELS 64

static const struct matern defaults = { 1024, 1, 0.03, 1e-4, 7 };

static bool parse_number(const char *text, double *number)
{
	char *end;

	*number = strtod(text, &end);
	return end != text && !*end;
}

static const char *set_field(struct matern *m, const char *key, const char *value)
{
	double number;

	if (!strcmp(key, "nu")) {
		m->twice_nu = !strcmp(value, "1/2") || !strcmp(value, "0.5") ? 1 :
			      !strcmp(value, "3/2") || !strcmp(value, "1.5") ? 3 : 0;
		return m->twice_nu ? NULL : "nu must be 1/2 or 3/2";
	}
	if (!parse_number(value, &number))
		return "a value is not a number";
	if (!strcmp(key, "points")) {
		m->points = number >= 1 && number <= 65536 ? (uint32_t)number : 0;
		if (m->points != number || m->points & (m->points - 1) ||
		    !(m->points & 0x55555555u))
			return "points must be a power of 4 from 1 to 65536";
	} else if (!strcmp(key, "beta")) {
		m->beta = number;
		if (!(number > 1e-3 && number < 1e3))
			return "beta must lie between 1e-3 and 1e3";
	} else if (!strcmp(key, "nugget")) {
		m->nugget = number;
		if (!(number >= 0 && number < 1e3))
			return "nugget must lie between 0 and 1e3";
	} else if (!strcmp(key, "seed")) {
		m->seed = number >= 0 && number < 0x1p53 ? (uint64_t)number : 0;
		if ((double)m->seed != number)
			return "seed must be a whole number";
	} else {
		return "known are points, nu, beta, nugget and seed";
	}
	return NULL;
}

int matern_parse(const char *text, struct matern *matern, char *error)
{
	const char *wrong = NULL;

	*matern = defaults;
	while (*text && !wrong) {
		size_t length = strcspn(text, ",");
		char pair[64], *equals;

		wrong = "expected KEY=VALUE,...";
		if (length < sizeof(pair)) {
			memcpy(pair, text, length);
			pair[length] = '\0';
			equals = strchr(pair, '=');
			if (equals) {
				*equals = '\0';
				wrong = set_field(matern, pair, equals + 1);
			}
		}
		text += length + (text[length] == ',');
	}
	if (wrong)
		snprintf(error, MATRIX_ERROR_BYTES, "%s", wrong);
	return wrong ? -1 : 0;
}

/* Morton order: bits 0, 2, 4 ... of the index are the column, bits 1, 3, 5 ... the row. */
static uint32_t every_second_bit(uint32_t index)
{
	uint32_t result = 0;

	for (int bit = 0; bit < 16; bit++)
		result |= (index >> 2 * bit & 1) << bit;
	return result;
}

void matern_places(const struct matern *matern, double *place)
{
	double cells = sqrt(matern->points);
	uint64_t random = matern->seed;

	for (uint32_t i = 0; i < matern->points; i++) {
		double x = every_second_bit(i), y = every_second_bit(i >> 1);

		place[2 * i] = (x + 0.5 + 0.4 * (2 * random_unit(&random) - 1)) / cells;
		place[2 * i + 1] = (y + 0.5 + 0.4 * (2 * random_unit(&random) - 1)) / cells;
	}
}

int matern_covariance(const struct matern *matern, struct matrix *matrix, char *error)
{
	const struct matern m = matern->points ? *matern : defaults;
	double *place = malloc(2 * m.points * sizeof(*place)), *out;

	if (!place || matrix_alloc(matrix, MATRIX_F64, m.points, m.points, error)) {
		snprintf(error, MATRIX_ERROR_BYTES, "no memory for %u points", m.points);
		free(place);
		return -1;
	}
	matern_places(&m, place);
	out = matrix->memory;
	for (uint64_t i = 0; i < m.points; i++) {
		for (uint64_t j = 0; j <= i; j++) {
			double x = place[2 * i] - place[2 * j];
			double y = place[2 * i + 1] - place[2 * j + 1];
			double r = sqrt(x * x + y * y) / m.beta, value = portable_exp(-r);

			value = m.twice_nu == 3 ? (1 + r) * value : value;
			value += i == j ? m.nugget : 0;
			out[i * m.points + j] = value;
			out[j * m.points + i] = value;
		}
	}
	free(place);
	return 0;
}

/* Numbers of the first images in order of their label, the order of the file within one. */
static void sort_by_label(const struct matrix *digits, uint32_t order[RBF_IMAGES])
{
	uint32_t sorted = 0;

	for (int label = 0; label < 10; label++)
		for (uint32_t i = 0; i < RBF_IMAGES; i++)
			if (matrix_at(digits, i, PIXELS) == label)
				order[sorted++] = i;
}

static bool are_digits(const struct matrix *digits)
{
	if (digits->rows < RBF_IMAGES || digits->columns != PIXELS + 1)
		return false;
	for (uint64_t i = 0; i < RBF_IMAGES; i++) {
		double label = matrix_at(digits, i, PIXELS);

		if (!(label >= 0 && label < 10 && label == floor(label)))
			return false;
	}
	return true;
}

int rbf_kernel(const char *path, struct matrix *matrix, char *error)
{
	uint32_t order[RBF_IMAGES];
	struct matrix digits;
	double *out;

	if (matrix_load(path, &digits, error))
		return -1;
	if (!are_digits(&digits)) {
		snprintf(error, MATRIX_ERROR_BYTES,
			 "not 1024 or more lines of 64 pixels and a label; is this digits.csv.gz?");
		matrix_free(&digits);
		return -1;
	}
	sort_by_label(&digits, order);
	if (matrix_alloc(matrix, MATRIX_F64, RBF_IMAGES, RBF_IMAGES, error)) {
		matrix_free(&digits);
		return -1;
	}
	out = matrix->memory;
	for (uint64_t i = 0; i < RBF_IMAGES; i++) {
		for (uint64_t j = 0; j < RBF_IMAGES; j++) {
			double square = 0; /* exact: sixteenths, at most 64 * 16^2 / 16^2 */

			for (uint64_t p = 0; p < PIXELS; p++) {
				double d = (matrix_at(&digits, order[i], p) -
					    matrix_at(&digits, order[j], p)) / 16;

				square += d * d;
			}
			out[i * RBF_IMAGES + j] = portable_exp(-square / 2);
		}
	}
	matrix_free(&digits);
	return 0;
}
