// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../rows.h"
#include "advise.h"

#define MOST_WARNINGS 4

static double elements(const struct answer *answer)
{
	return (double)answer->matrix.rows * (double)answer->matrix.columns;
}

static double speed(const struct answer *answer)
{
	return elements(answer) * answer->matrix.type / 1e6 / answer->seconds;
}

/* What the user should know before he uses the image. */
static int collect_warnings(const struct answer *answer, char text[MOST_WARNINGS][256])
{
	const struct quire_definiteness *d = &answer->definite;
	int count = 0;

	if (!answer->certificate.holds)
		snprintf(text[count++], 256, "the exact check of the error failed: do not use the image");
	if (!answer->looked_at_definite || !d->symmetric)
		return count;
	if (!d->definite) {
		snprintf(text[count++], 256, "the matrix itself is not positive definite in FP64");
	} else if (!d->image_definite) {
		snprintf(text[count++], 256,
			 "the image is not positive definite (Cholesky fails at row %u): as a covariance it "
			 "needs tau below %.2g", d->pivot, d->tau_advised);
	} else if (answer->certificate.error > d->tau_advised) {
		snprintf(text[count++], 256,
			 "the image is positive definite, but only tau below %.2g would guarantee it "
			 "(condition %.2g)", d->tau_advised, d->condition);
	}
	if (d->definite && d->condition > 1e5)
		snprintf(text[count++], 256,
			 "the matrix is ill-conditioned (condition about %.2g): solutions with the image can "
			 "be off by that times its error", d->condition);
	return count;
}

static const char *budget_name(uint32_t budget)
{
	return budget == QUIRE_BUDGET_ERROR ? "error" : budget == QUIRE_BUDGET_BYTES ? "bytes" :
										       "energy";
}

static double budget_value(const struct request *request)
{
	return request->budget == QUIRE_BUDGET_ERROR ? request->tau :
	       request->budget == QUIRE_BUDGET_BYTES ? (double)request->image_bytes :
						       (double)request->modelled_pj;
}

static void print_widths(const struct answer *answer)
{
	uint64_t most = 1;

	for (int n = 0; n <= 32; n++)
		most = answer->advice.tiles[n] > most ? answer->advice.tiles[n] : most;
	printf("\nbits     tiles\n");
	for (int n = 0; n <= 32; n++) {
		uint64_t tiles = answer->advice.tiles[n];

		if (!tiles)
			continue;
		printf("%4d  %8llu  ", n, (unsigned long long)tiles);
		for (uint64_t i = 0; i < (50 * tiles + most - 1) / most; i++)
			putchar('#');
		printf("%s\n", n ? "" : "  not stored");
	}
}

static void print_covariance(const struct quire_definiteness *d)
{
	if (!d->symmetric)
		printf("covariance       no: it is not symmetric\n");
	else if (!d->definite)
		printf("covariance       no: not positive definite\n");
	else
		printf("covariance       condition about %.3g; the image is %spositive definite\n",
		       d->condition, d->image_definite ? "" : "NOT ");
}

static void print_text(const struct request *request, const struct answer *answer)
{
	const struct quire_advice *advice = &answer->advice;
	char warnings[MOST_WARNINGS][256];
	int count = collect_warnings(answer, warnings);
	unsigned int before = answer->matrix.type;

	printf("%s%s: %u x %u, %s, tiles of %u x %u\n", request->name,
	       request->detail ? ", deviations from each tile's mean" : "", answer->shape.rows,
	       answer->shape.columns, before == MATRIX_F32 ? "float32" : "float64",
	       answer->shape.tile_rows, answer->shape.tile_columns);
	printf("budget           %s %g%s\n", budget_name(request->budget), budget_value(request),
	       request->budget == QUIRE_BUDGET_ENERGY ? " pJ (modelled)" : "");
	printf("relative error   %.4g in the Frobenius norm%s, %s\n", answer->certificate.error,
	       request->calibration ? ", weighted by the calibration batch" : "",
	       answer->certificate.holds ? "certified exactly" : "NOT certified");
	printf("bits per element %.3f: %.4f bytes; with descriptors %.4f, before %u\n",
	       advice->bits_per_element, advice->bits_per_element / 8,
	       (double)advice->image_bytes / elements(answer), before);
	printf("image            %llu bytes, %.1f times smaller\n",
	       (unsigned long long)advice->image_bytes,
	       elements(answer) * before / (double)advice->image_bytes);
	printf("product bound    ||A'B - AB|| <= %.4g ||A|| ||B|| and one rounding, for an exact B\n",
	       quire_product_bound(answer->certificate.error, 0));
	printf("modelled energy  %llu pJ for a product with %u columns (a model, see uapi/quire/model.h)\n",
	       (unsigned long long)advice->modelled_pj,
	       request->product_columns ? request->product_columns : 1);
	if (answer->looked_at_definite)
		print_covariance(&answer->definite);
	printf("advice took      %.3f s, %.0f MB/s\n", answer->seconds, speed(answer));
	print_widths(answer);
	for (int i = 0; i < count; i++)
		printf("\nwarning: %s\n", warnings[i]);
}

static json_object *json_covariance(const struct quire_definiteness *d)
{
	json_object *object = json_object_new_object();

	row_put_boolean(object, "symmetric", d->symmetric);
	if (d->symmetric) {
		row_put_boolean(object, "definite", d->definite);
		row_put_boolean(object, "image_definite", d->image_definite);
		row_put_number(object, "condition", d->condition);
		row_put_number(object, "tau_advised", d->tau_advised);
	}
	return object;
}

static void print_json(const struct request *request, const struct answer *answer)
{
	const struct quire_advice *advice = &answer->advice;
	json_object *all = json_object_new_object(), *widths = json_object_new_array();
	json_object *list = json_object_new_array();
	char warnings[MOST_WARNINGS][256];
	int count = collect_warnings(answer, warnings);

	row_put_string(all, "schema", "quire-advise/1");
	row_put_string(all, "matrix", request->name);
	row_put_integer(all, "rows", answer->shape.rows);
	row_put_integer(all, "columns", answer->shape.columns);
	row_put_integer(all, "element_bytes", answer->matrix.type);
	row_put_integer(all, "tile_rows", answer->shape.tile_rows);
	row_put_integer(all, "tile_columns", answer->shape.tile_columns);
	row_put_boolean(all, "detail", request->detail);
	row_put_string(all, "budget", budget_name(request->budget));
	row_put_number(all, "budget_value", budget_value(request));
	row_put_number(all, "relative_error", answer->certificate.error);
	row_put_boolean(all, "certified", answer->certificate.holds);
	row_put_number(all, "norm", answer->certificate.norm);
	row_put_number(all, "bits_per_element", advice->bits_per_element);
	row_put_number(all, "bytes_per_element", advice->bits_per_element / 8);
	row_put_number(all, "bytes_per_element_with_descriptors",
		       (double)advice->image_bytes / elements(answer));
	row_put_integer(all, "data_bytes", advice->data_bytes);
	row_put_integer(all, "image_bytes", advice->image_bytes);
	row_put_number(all, "product_bound", quire_product_bound(answer->certificate.error, 0));
	row_put_integer(all, "modelled_pj", advice->modelled_pj);
	row_put_number(all, "advice_s", answer->seconds);
	row_put_number(all, "advice_mb_per_s", speed(answer));
	for (int n = 0; n <= 32; n++) {
		json_object *width = json_object_new_object();

		row_put_integer(width, "bits", (uint64_t)n);
		row_put_integer(width, "tiles", advice->tiles[n]);
		if (advice->tiles[n])
			json_object_array_add(widths, width);
		else
			json_object_put(width);
	}
	json_object_object_add(all, "widths", widths);
	json_object_object_add(all, "covariance", answer->looked_at_definite ?
			       json_covariance(&answer->definite) : NULL);
	for (int i = 0; i < count; i++)
		json_object_array_add(list, json_object_new_string(warnings[i]));
	json_object_object_add(all, "warnings", list);
	report_print_json(all);
	json_object_put(all);
}

void report(const struct request *request, const struct answer *answer)
{
	if (request->output == OUTPUT_JSON)
		print_json(request, answer);
	else
		print_text(request, answer);
}
