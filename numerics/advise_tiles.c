// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "advise_tiles.h"

#define CHUNK_ELEMENTS (4u << 20)	/* between two calls of progress */

void advise_load(const struct quire_tiled_shape *s, const struct quire_dense *matrix,
		 const struct tile_kernel *kernel, uint64_t index, struct advise_tile *tile)
{
	uint32_t grid = quire_tiled_grid(s->columns, s->tile_columns);
	uint32_t element = gemm_element_bytes(matrix->format);

	tile->row = (uint32_t)(index / grid) * s->tile_rows;
	tile->column = (uint32_t)(index % grid) * s->tile_columns;
	tile->rows = tile_least(s->tile_rows, s->rows - tile->row);
	tile->columns = tile_least(s->tile_columns, s->columns - tile->column);
	if (tile->rows < s->tile_rows || tile->columns < s->tile_columns)
		memset(tile->x, 0, sizeof(double) * s->tile_rows * s->tile_columns);
	for (uint32_t r = 0; r < tile->rows; r++) {
		uint64_t at = (uint64_t)(tile->row + r) * matrix->leading_dimension + tile->column;
		const uint8_t *from = (const uint8_t *)matrix->data + at * element;
		uint32_t bytes = tile->columns * element;

		/* the next tile, which no hardware foresees: it comes after rows far apart */
		if (tile->column + s->tile_columns < s->columns)
			for (uint32_t line = 0; line < bytes; line += 64)
				__builtin_prefetch(from + bytes + line);
		kernel->load(matrix->format, from, tile->columns, (uint64_t *)(void *)(tile->x + r * s->tile_columns));
	}
}

struct chunk {
	void (*task)(void *argument, unsigned int row, unsigned int worker);
	void *argument;
	uint32_t first;
};

static void run_chunk(void *argument, unsigned int index, unsigned int worker)
{
	const struct chunk *chunk = argument;

	chunk->task(chunk->argument, chunk->first + index, worker);
}

int advise_rows(const struct quire_tiled_shape *s, struct quire_threads *threads,
		void (*task)(void *argument, unsigned int row, unsigned int worker), void *argument,
		int (*progress)(void *argument, double done), void *progress_argument, double from,
		double to)
{
	uint32_t rows = quire_tiled_grid(s->rows, s->tile_rows);
	uint64_t per_row = (uint64_t)s->tile_rows * s->columns;
	uint32_t step = progress ? (uint32_t)(CHUNK_ELEMENTS / per_row) + 1 : rows;
	struct chunk chunk = { .task = task, .argument = argument };

	/* whole rounds of the workers */
	if (progress && step < quire_threads_count(threads))
		step = quire_threads_count(threads);
	for (uint32_t row = 0; row < rows; row += step) {
		chunk.first = row;
		step = tile_least(step, rows - row);
		quire_threads_run(threads, step, run_chunk, &chunk);
		if (progress && progress(progress_argument, from + (to - from) * (row + step) / rows))
			return -ECANCELED;
	}
	return 0;
}
