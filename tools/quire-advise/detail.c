// SPDX-License-Identifier: MIT
/*
 * A picture's samples are all of about the same size; what tells a sky from leaves is
 * how much they differ from their neighbourhood.  So the map of a picture is of the
 * deviations from the mean of each tile.
 */
#include "advise.h"

static void take_mean(double *out, uint64_t rows, uint64_t columns, uint64_t stride)
{
	double sum = 0;

	for (uint64_t r = 0; r < rows; r++)
		for (uint64_t c = 0; c < columns; c++)
			sum += out[r * stride + c];
	for (uint64_t r = 0; r < rows; r++)
		for (uint64_t c = 0; c < columns; c++)
			out[r * stride + c] -= sum / (double)(rows * columns);
}

int take_means(struct matrix *matrix, uint32_t tile_rows, uint32_t tile_columns, char *error)
{
	uint64_t rows = matrix->rows, columns = matrix->columns;
	struct matrix detail;
	double *out;

	if (matrix_alloc(&detail, MATRIX_F64, rows, columns, error))
		return -1;
	out = detail.memory;
	for (uint64_t r = 0; r < rows; r++)
		for (uint64_t c = 0; c < columns; c++)
			out[r * columns + c] = matrix_at(matrix, r, c);
	for (uint64_t r = 0; r < rows; r += tile_rows)
		for (uint64_t c = 0; c < columns; c += tile_columns)
			take_mean(out + r * columns + c, rows - r < tile_rows ? rows - r : tile_rows,
				  columns - c < tile_columns ? columns - c : tile_columns, columns);
	matrix_free(matrix);
	*matrix = detail;
	return 0;
}
