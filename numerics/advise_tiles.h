/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the advisor:
 *
 *	advise.c         the question, the choice of widths
 *	advise_tiles.c   a pass over the matrix, tile by tile
 *	certify.c        exact errors
 *	definite.c       Cholesky factorisation and condition
 *	exact_sum.c      exact sums of squares
 */
#ifndef QUIRE_ADVISE_TILES_H
#define QUIRE_ADVISE_TILES_H

#include <quirenum/advise.h>

#include "exact_sum.h"
#include "tile_internal.h"

/* A tile of the matrix as doubles, tile_columns in a row, zero beyond the matrix. */
struct advise_tile {
	_Alignas(64) double x[TILE_ELEMENTS_MAX];
	uint32_t rows, columns;		/* inside the matrix */
	uint32_t row, column;		/* of its first element */
};

void advise_load(const struct quire_tiled_shape *shape, const struct quire_dense *matrix,
		 const struct tile_kernel *kernel, uint64_t index, struct advise_tile *tile);

/* Call task for every row of tiles; errors are the task's affair.  Gives up when told so. */
int advise_rows(const struct quire_tiled_shape *shape, struct quire_threads *threads,
		void (*task)(void *argument, unsigned int row, unsigned int worker), void *argument,
		int (*progress)(void *argument, double done), void *progress_argument, double from,
		double to);

/* sum of w (A - A')^2 of one tile, exact */
void certify_tile(const struct quire_tiled_shape *shape, const struct tile_kernel *kernel,
		  const struct advise_tile *tile, struct quire_tile_choice choice,
		  const float *weights, struct exact_sum *error);

#endif /* QUIRE_ADVISE_TILES_H */
