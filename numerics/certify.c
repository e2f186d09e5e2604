// SPDX-License-Identifier: MIT
/*
 * Certificates: the squares of A - A' and of A are summed as integers and compared as
 * such.
 */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "advise_tiles.h"
#include "environment.h"

void certify_tile(const struct quire_tiled_shape *s, const struct tile_kernel *kernel,
		  const struct advise_tile *tile, struct quire_tile_choice choice,
		  const float *weights, struct exact_sum *error)
{
	_Alignas(64) double y[TILE_ELEMENTS_MAX];
	_Alignas(64) uint64_t patterns[TILE_COLUMNS_MAX];

	for (uint32_t r = 0; choice.bits && r < tile->rows; r++) {
		const double *x = tile->x + r * s->tile_columns;

		kernel->encode((const uint64_t *)(const void *)x, s->tile_columns, choice.bits,
			       choice.scale, patterns);
		kernel->value(patterns, s->tile_columns, choice.bits, choice.scale,
			      y + r * s->tile_columns);
	}
	exact_add_squares(error, kernel, tile->x, choice.bits ? y : NULL, tile->rows, tile->columns,
			  s->tile_columns, weights ? weights + tile->column : NULL);
}

struct certification {
	const struct quire_dense *matrix;
	const struct quire_tiled *view;
	const struct tile_kernel *kernel;
	const float *weights;
	struct exact_sum *error, *norm;		/* one of each per worker */
	atomic_bool not_finite;
};

static bool finite_tile(const double *x, uint32_t count)
{
	bool finite = true;

	for (uint32_t i = 0; i < count; i++)
		finite &= isfinite(x[i]) != 0;
	return finite;
}

static void certify_row(void *argument, unsigned int row, unsigned int worker)
{
	struct certification *c = argument;
	const struct quire_tiled *view = c->view;
	const struct quire_tiled_shape *s = &view->shape;
	const uint32_t elements = s->tile_rows * s->tile_columns;
	struct advise_tile tile;
	_Alignas(64) double y[TILE_ELEMENTS_MAX];
	fenv_t saved;

	environment_enter(&saved);
	for (uint32_t t = 0; t < view->grid_columns; t++) {
		uint64_t index = (uint64_t)row * view->grid_columns + t;
		const struct quire_tile *packed = &view->tiles[index];
		const float *weights;

		advise_load(s, c->matrix, c->kernel, index, &tile);
		weights = c->weights ? c->weights + tile.column : NULL;
		if (packed->bits)
			c->kernel->decode(tile_data(view, packed), elements / 8 * packed->bits, 0,
					  elements, packed->bits, packed->scale,
					  (uint64_t *)(void *)y);
		if (!finite_tile(tile.x, elements) || (packed->bits && !finite_tile(y, elements))) {
			atomic_store(&c->not_finite, true);
			break;
		}
		exact_add_squares(&c->error[worker], c->kernel, tile.x, packed->bits ? y : NULL,
				  tile.rows, tile.columns, s->tile_columns, weights);
		exact_add_squares(&c->norm[worker], c->kernel, tile.x, NULL, tile.rows,
				  tile.columns, s->tile_columns, weights);
	}
	environment_leave(&saved);
}

static ENVIRONMENT_OWN int certify(const struct quire_dense *matrix, const struct quire_tiled *view,
				   const float *weights, double tau, struct quire_threads *threads,
				   struct quire_certificate *certificate)
{
	uint32_t workers = quire_threads_count(threads);
	struct certification c = { .matrix = matrix, .view = view, .weights = weights,
				   .kernel = tile_kernel_current() };

	if (!matrix || !matrix->data || !tile_format_is_number(matrix->format) || !view ||
	    view->row || view->column || !certificate || !(tau >= QUIRE_ADVISE_TAU_MIN) ||
	    tau > QUIRE_ADVISE_TAU_MAX ||
	    (view->shape.rows > 1 && matrix->leading_dimension < view->shape.columns))
		return -EINVAL;
	for (uint32_t i = 0; weights && i < view->shape.columns; i++)
		if (!(weights[i] >= 0) || !isfinite(weights[i]))
			return -EINVAL;
	c.error = calloc(2 * (size_t)workers, sizeof(*c.error));
	if (!c.error)
		return -ENOMEM;
	c.norm = c.error + workers;
	quire_threads_run(threads, view->grid_rows, certify_row, &c);
	for (uint32_t i = 1; i < workers; i++) {
		exact_add(&c.error[0], &c.error[i]);
		exact_add(&c.norm[0], &c.norm[i]);
	}
	*certificate = (struct quire_certificate){
		.holds = exact_within(&c.error[0], &c.norm[0], tau),
		.error = exact_ratio(&c.error[0], &c.norm[0]),
		.norm = exact_root(&c.norm[0]),
	};
	free(c.error);
	return c.not_finite ? -EDOM : 0;
}

int quire_certify(const struct quire_dense *matrix, const struct quire_tiled *view,
		  const float *weights, double tau, struct quire_threads *threads,
		  struct quire_certificate *certificate)
{
	fenv_t saved;
	int error;

	environment_enter(&saved);
	error = certify(matrix, view, weights, tau, threads, certificate);
	environment_leave(&saved);
	return error;
}

double quire_product_bound(double error_a, double error_b)
{
	return error_a + error_b + error_a * error_b;
}
