// SPDX-License-Identifier: MIT
/* Precision maps: advice of libquirenum, kept to be looked at and packed with. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/advise.h>

#include "pmap.h"

#define DEFAULT_TILE 32

_Static_assert((uint32_t)QUIRE_GOAL_ERROR == (uint32_t)QUIRE_BUDGET_ERROR &&
		       (uint32_t)QUIRE_GOAL_BYTES == (uint32_t)QUIRE_BUDGET_BYTES &&
		       (uint32_t)QUIRE_GOAL_ENERGY == (uint32_t)QUIRE_BUDGET_ENERGY,
	       "goals are budgets");

static int wrong(const char *hint, const char *text)
{
	return fail(-EINVAL, QUIRE_LAYER_LIBRARY, hint, "quire_advise: %s", text);
}

/* ---- The matrix that is asked about ---- */

static int host_matrix(const struct quire_advise_desc *desc, struct quire_tiled_advise *q)
{
	size_t element = quire_format_bytes(desc->format);

	if (desc->format != QUIRE_FORMAT_FP32 && desc->format != QUIRE_FORMAT_FP64)
		return wrong("use QUIRE_FORMAT_FP32 or QUIRE_FORMAT_FP64",
			     "desc.format is neither FP32 nor FP64");
	if ((uintptr_t)desc->x % element)
		return wrong(NULL, "desc.x is not aligned to its numbers");
	if (desc->leading_dimension < desc->columns)
		return wrong(NULL, "desc.leading_dimension is less than desc.columns");
	q->shape.rows = desc->rows;
	q->shape.columns = desc->columns;
	q->matrix = (struct quire_dense){ desc->x, desc->format, 0, desc->leading_dimension };
	return 0;
}

/* What a tiled matrix decodes to; *decoded is the caller's to free. */
static int decode(const struct quire_matrix *matrix, struct quire_dense *dense, double **decoded)
{
	*decoded = malloc((size_t)matrix->rows * matrix->columns * sizeof(**decoded));
	if (!*decoded)
		return fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory to unpack a matrix");
	*dense = (struct quire_dense){ *decoded, QUIRE_FORMAT_FP64, 0, matrix->columns };
	return quire_matrix_get_f64(matrix, *decoded, matrix->columns);
}

static int device_matrix(const struct quire_advise_desc *desc, struct quire_tiled_advise *q,
			 double **decoded)
{
	const struct quire_matrix *matrix = desc->matrix;
	void *mapped;
	int error;

	if (desc->format || desc->rows || desc->columns || desc->leading_dimension)
		return wrong("leave format, rows, columns and leading_dimension 0",
			     "desc.matrix brings its own shape and format");
	error = matrix_check(matrix, "desc.matrix");
	if (error)
		return error;
	if (matrix->batch != 1 || matrix->format == QUIRE_FORMAT_QUIRE)
		return wrong(NULL, "desc.matrix must be one matrix, and not of quire images");
	q->shape.rows = matrix->rows;
	q->shape.columns = matrix->columns;
	if (matrix->format == QUIRE_FORMAT_TILED)
		return decode(matrix, &q->matrix, decoded);
	error = quire_buffer_map(matrix->buffer, &mapped);
	if (!error)
		q->matrix = (struct quire_dense){ (uint8_t *)mapped + matrix->offset,
						  matrix->format, 0, matrix->leading_dimension };
	return error;
}

/* ---- The question ---- */

static int check_goal(const struct quire_advise_desc *desc)
{
	if (desc->goal > QUIRE_GOAL_ENERGY)
		return wrong("use a QUIRE_GOAL_*", "desc.goal is unknown");
	if (desc->goal == QUIRE_GOAL_ERROR &&
	    (!(desc->tau >= QUIRE_ADVISE_TAU_MIN) || desc->tau > QUIRE_ADVISE_TAU_MAX))
		return wrong(NULL, "desc.tau must be 2^-90 to 1");
	if (desc->widths & ~QUIRE_WIDTHS_ALL)
		return wrong(NULL, "desc.widths has a bit that is neither 0 nor 3 to 32");
	return 0;
}

static int check_weights(const float *weights, uint32_t columns)
{
	for (uint32_t i = 0; weights && i < columns; i++)
		if (!(weights[i] >= 0) || !isfinite(weights[i]))
			return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
				    "quire_advise: desc.weights[%u] must be finite and at least 0",
				    i);
	return 0;
}

static int explain(int error, const struct quire_tiled_advise *q, const struct quire_advice *advice)
{
	switch (error) {
	case -EDOM:
		return fail(error, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_advise: element (%u, %u) is not a finite number", advice->row,
			    advice->column);
	case -ERANGE:
		if (q->budget == QUIRE_BUDGET_ERROR)
			return fail(error, QUIRE_LAYER_LIBRARY,
				    "allow more widths, or a larger tau",
				    "quire_advise: tau cannot be met with these widths");
		return fail(error, QUIRE_LAYER_LIBRARY, "allow 0 bits, or give more",
			    "quire_advise: the cheapest choice takes more than is given");
	case -ENOMEM:
		return fail(error, QUIRE_LAYER_LIBRARY, NULL, "no memory for the advice");
	case -ECANCELED:
		return fail(error, QUIRE_LAYER_LIBRARY, NULL, "quire_advise: given up as asked");
	}
	return wrong(NULL, "the question is not allowed");
}

static quire_pmap *create(const struct quire_tiled_shape *shape)
{
	size_t tiles = quire_tiled_count(shape);
	quire_pmap *pmap = malloc(sizeof(*pmap) + tiles * sizeof(pmap->choices[0]));

	if (pmap)
		atomic_init(&pmap->references, 1);
	return pmap;
}

static void fill_info(quire_pmap *pmap, const struct quire_tiled_advise *q,
		      const struct quire_advice *advice)
{
	const struct quire_tiled_shape *s = &q->shape;

	pmap->info = (struct quire_pmap_info){
		.size = sizeof(pmap->info),
		.goal = q->budget,
		.rows = s->rows,
		.columns = s->columns,
		.tile_rows = s->tile_rows,
		.tile_columns = s->tile_columns,
		.grid_rows = quire_tiled_grid(s->rows, s->tile_rows),
		.grid_columns = quire_tiled_grid(s->columns, s->tile_columns),
		.product_columns = q->product_columns ? q->product_columns : 1,
		.error = advice->error,
		.norm = advice->norm,
		.bits_per_element = advice->bits_per_element,
		.image_bytes = advice->image_bytes,
		.data_bytes = advice->data_bytes,
		.modelled_pj = advice->modelled_pj,
	};
	memcpy(pmap->info.tiles, advice->tiles, sizeof(pmap->info.tiles));
}

static int answer(const struct quire_tiled_advise *q, quire_pmap **out)
{
	struct quire_advice advice;
	quire_pmap *pmap;
	int error;

	if (!quire_tiled_count(&q->shape))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY,
			    "tiles are 32 x 32, 16 x 16, 64 x 64 or 1 x 256",
			    "quire_advise: %u x %u in tiles of %u x %u is not allowed",
			    q->shape.rows, q->shape.columns, q->shape.tile_rows,
			    q->shape.tile_columns);
	error = check_weights(q->weights, q->shape.columns);
	if (error)
		return error;
	pmap = create(&q->shape);
	if (!pmap)
		return explain(-ENOMEM, q, NULL);
	error = quire_tiled_advise(q, pmap->choices, &advice);
	if (error) {
		free(pmap);
		return explain(error, q, &advice);
	}
	fill_info(pmap, q, &advice);
	*out = pmap;
	return 0;
}

int quire_advise(quire_device *device, const struct quire_advise_desc *desc, quire_pmap **pmap)
{
	struct quire_tiled_advise question;
	double *decoded = NULL;
	bool any_tile;
	int error;

	if (!desc || !pmap)
		return wrong(NULL, desc ? "pmap is NULL" : "desc is NULL");
	if (desc->size != sizeof(*desc))
		return wrong("set desc.size to sizeof(struct quire_advise_desc)",
			     "desc.size is not that of this library");
	if (!desc->x == !desc->matrix)
		return wrong("set one of them",
			     desc->x ? "desc.x and desc.matrix exclude each other"
				     : "desc.x and desc.matrix are both NULL");
	error = check_goal(desc);
	if (error)
		return error;
	any_tile = !desc->tile_rows && !desc->tile_columns;
	question = (struct quire_tiled_advise){
		.budget = desc->goal,
		.tau = desc->tau,
		.image_bytes = desc->image_bytes,
		.modelled_pj = desc->modelled_pj,
		.product_columns = desc->product_columns,
		.weights = desc->weights,
		.widths = desc->widths,
		.progress = desc->progress,
		.progress_argument = desc->argument,
		.threads = device ? device->threads : NULL,
	};
	question.shape.tile_rows = any_tile ? DEFAULT_TILE : desc->tile_rows;
	question.shape.tile_columns = any_tile ? DEFAULT_TILE : desc->tile_columns;
	error = desc->x ? host_matrix(desc, &question) : device_matrix(desc, &question, &decoded);
	if (!error)
		error = answer(&question, pmap);
	free(decoded);
	return error;
}

/* ---- What a map says ---- */

quire_pmap *quire_pmap_ref(quire_pmap *pmap)
{
	if (pmap)
		atomic_fetch_add(&pmap->references, 1);
	return pmap;
}

void quire_pmap_unref(quire_pmap *pmap)
{
	if (pmap && atomic_fetch_sub(&pmap->references, 1) == 1)
		free(pmap);
}

int quire_pmap_get_info(const quire_pmap *pmap, struct quire_pmap_info *info)
{
	uint32_t size;

	if (!pmap || !info)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_pmap_get_info: %s is NULL",
			    pmap ? "info" : "pmap");
	size = info->size;
	if (size < sizeof(size))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY,
			    "set info.size to sizeof(struct quire_pmap_info)",
			    "quire_pmap_get_info: info.size is %u", size);
	memset(info, 0, size);
	memcpy(info, &pmap->info, size < sizeof(*info) ? size : sizeof(*info));
	info->size = size < sizeof(*info) ? size : sizeof(*info);
	return 0;
}

int quire_pmap_get_tile(const quire_pmap *pmap, uint32_t tile_row, uint32_t tile_column,
			struct quire_tile_choice *choice)
{
	if (!pmap || !choice)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_pmap_get_tile: %s is NULL",
			    pmap ? "choice" : "pmap");
	if (tile_row >= pmap->info.grid_rows || tile_column >= pmap->info.grid_columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_pmap_get_tile: there is no tile (%u, %u) in a grid of %u x %u",
			    tile_row, tile_column, pmap->info.grid_rows, pmap->info.grid_columns);
	*choice = pmap->choices[(size_t)tile_row * pmap->info.grid_columns + tile_column];
	return 0;
}

/* ---- Packing ---- */

static int pack(quire_context *context, const quire_pmap *pmap, const void *x, uint32_t format,
		uint64_t leading_dimension, const char *function, struct quire_matrix *matrix)
{
	const struct quire_dense dense = { x, format, 0, leading_dimension };
	struct quire_tiled_shape shape;

	if (!context || !pmap || !x || !matrix)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: %s is NULL", function,
			    !context ? "context"
			    : !pmap  ? "pmap"
			    : !x     ? "x"
				     : "matrix");
	shape = (struct quire_tiled_shape){ pmap->info.rows, pmap->info.columns,
					    pmap->info.tile_rows, pmap->info.tile_columns };
	return tiled_pack(context, &shape, &dense, pmap->choices, function, matrix);
}

int quire_matrix_pack_pmap_f32(quire_context *context, const quire_pmap *pmap, const float *x,
			       uint64_t leading_dimension, struct quire_matrix *matrix)
{
	return pack(context, pmap, x, QUIRE_FORMAT_FP32, leading_dimension,
		    "quire_matrix_pack_pmap_f32", matrix);
}

int quire_matrix_pack_pmap_f64(quire_context *context, const quire_pmap *pmap, const double *x,
			       uint64_t leading_dimension, struct quire_matrix *matrix)
{
	return pack(context, pmap, x, QUIRE_FORMAT_FP64, leading_dimension,
		    "quire_matrix_pack_pmap_f64", matrix);
}
