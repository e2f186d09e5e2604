// SPDX-License-Identifier: MIT
/*
 * Dense numbers to images: descriptors are laid out first, then tiles are packed,
 * a row of tiles at a time.
 */
#include <errno.h>
#include <string.h>

#include "environment.h"
#include "tile_internal.h"

struct packing {
	const struct quire_tiled_shape *shape;
	const struct quire_dense *dense;
	struct quire_tile *tiles;
	uint8_t *image;
	const struct tile_kernel *kernel;
	uint32_t grid_columns;
	uint32_t element;
};

static void pack_row(void *argument, unsigned int index, unsigned int worker)
{
	const struct packing *p = argument;
	const struct quire_tiled_shape *s = p->shape;
	uint32_t row = index * s->tile_rows;
	struct tile_job job = {
		.pitch = p->dense->leading_dimension * p->element,
		.format = p->dense->format,
		.rows = tile_least(s->tile_rows, s->rows - row),
		.tile_rows = s->tile_rows,
		.tile_columns = s->tile_columns,
	};
	fenv_t saved;

	(void)worker;
	environment_enter(&saved);
	for (uint32_t t = 0; t < p->grid_columns; t++) {
		uint32_t column = t * s->tile_columns;

		job.tile = &p->tiles[(uint64_t)index * p->grid_columns + t];
		if (!job.tile->bits)
			continue;
		job.columns = tile_least(s->tile_columns, s->columns - column);
		job.data = (const uint8_t *)p->dense->data + row * job.pitch +
			   (uint64_t)column * p->element;
		job.out = p->image + (uint64_t)job.tile->offset * QUIRE_TILED_UNIT;
		p->kernel->pack(&job);
	}
	environment_leave(&saved);
}

int quire_tiled_layout(const struct quire_tiled_shape *shape,
		       const struct quire_tile_choice *choices, void *image, uint64_t bytes)
{
	uint64_t count = quire_tiled_count(shape), offset = quire_tiled_data_start(count);
	struct quire_tiled_header *header = image;
	struct quire_tile *tiles = (struct quire_tile *)(header + 1);

	if (!image || (uintptr_t)image % QUIRE_TILED_ALIGN || !bytes ||
	    bytes != quire_tiled_plan(shape, choices))
		return -EINVAL;
	memset(image, 0, offset);
	*header = (struct quire_tiled_header){
		.magic = QUIRE_TILED_MAGIC,
		.version = QUIRE_TILED_VERSION,
		.rows = shape->rows,
		.columns = shape->columns,
		.tile_rows = shape->tile_rows,
		.tile_columns = shape->tile_columns,
		.tiles = count,
		.image_bytes = bytes,
	};
	for (uint64_t i = 0; i < count; i++) {
		if (!choices[i].bits)
			continue;
		tiles[i].bits = choices[i].bits;
		tiles[i].scale = choices[i].scale;
		tiles[i].offset = (uint32_t)(offset / QUIRE_TILED_UNIT);
		offset += quire_tile_bytes(shape->tile_rows, shape->tile_columns, choices[i].bits);
		header->stored_tiles++;
	}
	return 0;
}

int quire_tiled_pack_into(const struct quire_tiled *view, const struct quire_dense *dense,
			  struct quire_tile *tiles, void *image, struct quire_threads *threads)
{
	struct packing packing = { .shape = &view->shape, .dense = dense, .tiles = tiles,
				   .image = image, .kernel = tile_kernel_current(),
				   .grid_columns = view->grid_columns };

	if (!dense || !dense->data || dense->reserved || !tile_format_is_number(dense->format) ||
	    (view->shape.rows > 1 && dense->leading_dimension < view->shape.columns))
		return -EINVAL;
	packing.element = gemm_element_bytes(dense->format);
	if ((uintptr_t)dense->data % packing.element)
		return -EINVAL;
	quire_threads_run(threads, view->grid_rows, pack_row, &packing);
	return 0;
}

int quire_tiled_pack(const struct quire_tiled_shape *shape, const struct quire_dense *dense,
		     const struct quire_tile_choice *choices, void *image, uint64_t bytes,
		     struct quire_threads *threads)
{
	struct quire_tiled view;
	int error;

	error = quire_tiled_layout(shape, choices, image, bytes);
	if (!error)
		error = quire_tiled_open(image, bytes, &view, NULL);
	if (error)
		return error;
	return quire_tiled_pack_into(&view, dense,
				     (struct quire_tile *)((struct quire_tiled_header *)image + 1),
				     image, threads);
}
