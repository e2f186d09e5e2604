// SPDX-License-Identifier: MIT
/* Two panels: error over bits, error over modelled energy; a colour says whether it repeats. */
#include <string.h>

#include "../gnuplot.h"
#include "rates.h"

static double number(json_object *row, const char *key)
{
	return json_object_get_double(json_object_object_get(row, key));
}

static const char *word(json_object *row, const char *key)
{
	return json_object_get_string(json_object_object_get(row, key));
}

/* The error a row is plotted at: the last of these that it has. */
static double error_of(json_object *row)
{
	static const char *const keys[] = { "logit_error", "relative_error", "product_error" };

	for (int i = 0; i < 3; i++)
		if (json_object_object_get(row, keys[i]))
			return number(row, keys[i]);
	return 0;
}

static void put_points(FILE *script, json_object *rows, const char *x_key)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i);
		const char *name = word(row, "mode");
		int group = strcmp(word(row, "repeatable"), "yes") ? 2 : !strncmp(name, "tiles", 5);

		if (!(error_of(row) > 0))
			continue; /* no place on a logarithmic axis */
		fprintf(script, "%.6g %.6g %d \"%s\"\n", number(row, x_key), error_of(row), group, name);
	}
	fputs("e\n", script);
}

static void put_panel(FILE *script, json_object *rows, const char *x_key, const char *label)
{
	fprintf(script, "set xlabel '%s'\nset ylabel 'relative error'\n$data << e\n", label);
	put_points(script, rows, x_key);
	fputs("plot $data using ($3 == 0 ? $1 : NaN):2 with points pt 7 ps 1 lc rgb '#2171b5' "
	      "title 'exact sum', \\\n"
	      "     $data using ($3 == 1 ? $1 : NaN):2 with linespoints pt 5 ps 1 lc rgb '#238b45' "
	      "title 'tiles', \\\n"
	      "     $data using ($3 == 2 ? $1 : NaN):2 with points pt 9 ps 1.2 lc rgb '#cb181d' "
	      "title 'depends on order', \\\n"
	      "     $data using 1:2:4 with labels left offset 0.8,0.3 font ',9' notitle\n", script);
}

int draw_rates(const char *path, const char *title, json_object *rows, const char *bits_key,
	       const char *energy_key, const char *energy_label)
{
	struct gnuplot plot;

	if (gnuplot_start(&plot, path, 1200, 620))
		return -1;
	fputs("set logscale y\nset logscale x\nset format y '10^{%T}'\nset grid\n"
	      "set key bottom left\nset offsets graph 0, graph 0.15, 0, 0\n"
	      "set multiplot layout 1,2 title ", plot.script);
	gnuplot_put_quoted(plot.script, title);
	fputs(" noenhanced\n", plot.script);
	put_panel(plot.script, rows, bits_key, "bits per number");
	put_panel(plot.script, rows, energy_key, energy_label);
	fputs("unset multiplot\n", plot.script);
	return gnuplot_finish(&plot);
}
