// SPDX-License-Identifier: MIT
/* The map of bits per tile, drawn by gnuplot.  The same advice gives the same file. */
#include <stdio.h>
#include <string.h>

#include "../exit_status.h"
#include "../gnuplot.h"
#include "advise.h"

#define MOST_CELLS 256u		/* of a side; larger grids show the mean of several tiles */

/* Mean bits of the tiles in a cell of step x step tiles. */
static double mean_bits(const struct answer *answer, uint32_t row, uint32_t column, uint32_t step)
{
	unsigned long sum = 0, count = 0;

	for (uint32_t r = row; r < row + step && r < answer->grid_rows; r++) {
		for (uint32_t c = column; c < column + step && c < answer->grid_columns; c++) {
			sum += answer->choices[(size_t)r * answer->grid_columns + c].bits;
			count++;
		}
	}
	return (double)sum / (double)count;
}

static void put_cells(FILE *script, const struct answer *answer, uint32_t step)
{
	for (uint32_t r = 0; r < answer->grid_rows; r += step) {
		for (uint32_t c = 0; c < answer->grid_columns; c += step)
			fprintf(script, "%.4g ", mean_bits(answer, r, c, step));
		fputc('\n', script);
	}
	fputs("e\n", script);
}

static uint32_t most_bits(const struct answer *answer)
{
	uint32_t bits = 32;

	while (bits > 8 && !answer->advice.tiles[bits])
		bits--;
	return bits;
}

static void put_script(FILE *script, const struct request *request, const struct answer *answer)
{
	const struct quire_tiled_shape *shape = &answer->shape;
	uint32_t side = answer->grid_rows > answer->grid_columns ? answer->grid_rows :
								   answer->grid_columns;
	uint32_t step = (side + MOST_CELLS - 1) / MOST_CELLS;
	const char *slash = strrchr(request->name, '/');
	char title[512];

	snprintf(title, sizeof(title), "%.60s%s, tiles of %u x %u, error %.3g",
		 slash ? slash + 1 : request->name,
		 request->detail ? " less the tiles' means" : "", shape->tile_rows,
		 shape->tile_columns, answer->advice.error);
	fputs("set title ", script);
	gnuplot_put_quoted(script, title);
	fprintf(script, " noenhanced\nset palette defined (0 '#f7f7f7', 1 '#c6dbef', 2 '#6baed6', "
			"3 '#2171b5', 4 '#08306b')\n"
			"set cbrange [0:%u]\nset cblabel 'bits per element (computed), 0: not stored'\n"
			"set xlabel 'column'\nset ylabel 'row'\nset tics out nomirror\n"
			"set xrange [0:%u]\nset yrange [%u:0]\nset size ratio -1\n"
			"plot '-' using (($1 + 0.5) * %u):(($2 + 0.5) * %u):3 matrix with image pixels "
			"notitle\n",
		most_bits(answer), shape->columns, shape->rows, step * shape->tile_columns,
		step * shape->tile_rows);
	put_cells(script, answer, step);
}

int draw_map(const struct request *request, const struct answer *answer)
{
	struct gnuplot plot;

	if (gnuplot_start(&plot, request->map, 800, 760))
		return STATUS_FAILED;
	put_script(plot.script, request, answer);
	return gnuplot_finish(&plot) ? STATUS_FAILED : STATUS_OK;
}
