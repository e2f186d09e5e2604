// SPDX-License-Identifier: MIT
/*
 * Images to dense numbers, and the comparison of checksums, guards and padding with
 * the data; a row of tiles at a time.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "environment.h"
#include "tile_internal.h"

struct verification {
	const struct quire_tiled *view;
	const struct tile_kernel *kernel;
	_Atomic uint64_t first;		/* least index of a wrong tile */
};

/* Elements of the tile beyond the matrix that are not zero? */
static bool padding_dirty(const struct verification *v, const struct quire_tile *tile,
			  uint32_t rows, uint32_t columns)
{
	const struct quire_tiled_shape *s = &v->view->shape;
	uint64_t x[TILE_COLUMNS_MAX], any = 0;
	uint32_t bytes = quire_tile_bytes(s->tile_rows, s->tile_columns, tile->bits);

	for (uint32_t r = 0; r < s->tile_rows; r++) {
		uint32_t from = r < rows ? columns : 0;

		if (from == s->tile_columns)
			continue;
		v->kernel->decode(tile_data(v->view, tile), bytes, r * s->tile_columns + from,
				  s->tile_columns - from, tile->bits, 0, x);
		for (uint32_t c = 0; c < s->tile_columns - from; c++)
			any |= x[c];
	}
	return any;
}

static const char *tile_wrong(const struct verification *v, uint64_t index)
{
	const struct quire_tiled_shape *s = &v->view->shape;
	const struct quire_tile *tile = &v->view->tiles[index];
	uint32_t rows = s->rows - (uint32_t)(index / v->view->grid_columns) * s->tile_rows;
	uint32_t columns = s->columns - (uint32_t)(index % v->view->grid_columns) * s->tile_columns;
	uint64_t checksum;
	uint16_t largest;

	if (!tile->bits)
		return NULL;
	v->kernel->check(tile_data(v->view, tile), s->tile_rows * s->tile_columns, tile->bits,
			 &checksum, &largest);
	if (checksum != tile->checksum)
		return "checksum";
	if (largest != tile->largest)
		return "largest";
	if ((rows < s->tile_rows || columns < s->tile_columns) &&
	    padding_dirty(v, tile, tile_least(rows, s->tile_rows),
			  tile_least(columns, s->tile_columns)))
		return "padding";
	return NULL;
}

static void verify_row(void *argument, unsigned int row, unsigned int worker)
{
	struct verification *v = argument;
	uint64_t index = (uint64_t)row * v->view->grid_columns;
	uint64_t end = index + v->view->grid_columns, first;

	(void)worker;
	for (; index < end; index++)
		if (tile_wrong(v, index))
			break;
	first = atomic_load(&v->first);
	while (index < end && index < first)
		if (atomic_compare_exchange_weak(&v->first, &first, index))
			break;
}

int quire_tiled_verify(const struct quire_tiled *view, struct quire_threads *threads,
		       struct quire_tiled_error *error)
{
	struct verification v = { .view = view, .kernel = tile_kernel_current() };

	atomic_store(&v.first, UINT64_MAX);
	quire_threads_run(threads, view->grid_rows, verify_row, &v);
	if (error)
		memset(error, 0, sizeof(*error));
	if (v.first == UINT64_MAX)
		return 0;
	if (error) {
		error->field = tile_wrong(&v, v.first);
		/* memory that changed meanwhile and is right now was wrong all the same */
		if (!error->field)
			error->field = "checksum";
		error->in_tile = 1;
		error->tile_row = (uint32_t)(v.first / view->grid_columns);
		error->tile_column = (uint32_t)(v.first % view->grid_columns);
	}
	return -EBADMSG;
}

struct unpacking {
	const struct quire_tiled *view;
	const struct quire_tiled_output *output;
	const struct tile_kernel *kernel;
	uint32_t rows, columns, element;
	uint64_t digest_columns, nan_bits;
	_Atomic uint64_t digest, exceptional;
};

static void unpack_tile_row(void *argument, unsigned int index, unsigned int worker)
{
	struct unpacking *u = argument;
	const struct quire_tiled *view = u->view;
	const struct quire_tiled_shape *s = &view->shape;
	const struct quire_tiled_output *o = u->output;
	uint32_t grid = view->row / s->tile_rows + index;
	/* of the matrix, then of the window */
	uint32_t from = grid * s->tile_rows > view->row ? grid * s->tile_rows : view->row;
	uint32_t to = tile_least((grid + 1) * s->tile_rows, view->row + u->rows);
	struct tile_row row = { .format = o->format, .nan_bits = u->nan_bits };
	uint64_t x[TILE_COLUMNS_MAX];
	fenv_t saved;

	(void)worker;
	environment_enter(&saved);
	for (uint32_t r = from; r < to; r++) {
		uint64_t out_row = r - view->row;

		for (uint32_t c = 0, count; c < u->columns; c += count) {
			uint32_t at = view->column + c, inside = at & (s->tile_columns - 1);
			const struct quire_tile *tile =
				&view->tiles[(uint64_t)grid * view->grid_columns +
					     at / s->tile_columns];

			count = tile_least(s->tile_columns - inside, u->columns - c);
			if (tile->bits)
				u->kernel->decode(tile_data(view, tile),
						  quire_tile_bytes(s->tile_rows, s->tile_columns,
								   tile->bits),
						  (r & (s->tile_rows - 1)) * s->tile_columns + inside,
						  count, tile->bits, tile->scale, x);
			else
				memset(x, 0, count * sizeof(*x));
			row.data = (uint8_t *)o->data +
				   (out_row * o->leading_dimension + c) * u->element;
			row.index = (o->digest_row + out_row) * u->digest_columns +
				    o->digest_column + c;
			u->kernel->store(x, count, &row);
		}
	}
	environment_leave(&saved);
	atomic_fetch_add(&u->digest, row.digest);
	atomic_fetch_add(&u->exceptional, row.exceptional);
}

int quire_tiled_unpack(const struct quire_tiled *view, uint32_t rows, uint32_t columns,
		       const struct quire_tiled_output *output, struct quire_threads *threads,
		       uint64_t *digest, uint64_t *exceptional)
{
	struct unpacking u = { .view = view, .output = output, .rows = rows, .columns = columns };
	uint32_t first;

	if (!view || !output || !output->data || output->reserved ||
	    !tile_format_is_number(output->format) || !rows || !columns ||
	    view->row >= view->shape.rows || rows > view->shape.rows - view->row ||
	    view->column >= view->shape.columns || columns > view->shape.columns - view->column ||
	    (rows > 1 && output->leading_dimension < columns))
		return -EINVAL;
	u.element = gemm_element_bytes(output->format);
	if ((uintptr_t)output->data % u.element)
		return -EINVAL;
	u.kernel = tile_kernel_current();
	u.nan_bits = gemm_nan_bits(output->format);
	u.digest_columns = output->digest_columns ? output->digest_columns : columns;
	first = view->row / view->shape.tile_rows;
	quire_threads_run(threads, (view->row + rows - 1) / view->shape.tile_rows - first + 1,
			  unpack_tile_row, &u);
	if (digest)
		*digest = u.digest;
	if (exceptional)
		*exceptional = u.exceptional;
	return 0;
}
