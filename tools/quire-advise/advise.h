/* SPDX-License-Identifier: MIT */
/* quire-advise: which precision each tile of a matrix needs, and what that saves. */
#ifndef QUIRE_ADVISE_TOOL_H
#define QUIRE_ADVISE_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include <matrix.h>
#include <quirenum/advise.h>

enum output { OUTPUT_TEXT, OUTPUT_JSON };

enum covariance { COVARIANCE_AUTO, COVARIANCE_YES, COVARIANCE_NO };

/*
 * struct request - what the user wants
 * @budget: enum quire_budget, with one of @tau, @image_bytes, @modelled_pj
 * @widths: 0 or a set of QUIRE_WIDTH()
 * @detail: take away the mean of every tile first
 */
struct request {
	const char *name;
	const char *calibration;
	const char *image;
	const char *map;
	enum output output;
	enum covariance covariance;
	bool detail;
	uint32_t tile_rows, tile_columns;
	uint32_t budget;
	double tau;
	uint64_t image_bytes;
	uint64_t modelled_pj;
	uint32_t product_columns;
	uint64_t widths;
	unsigned int threads;
};

/*
 * struct answer - what was found
 * @matrix:      the numbers the advice is about
 * @choices:     of the tiles, row-major, grid_rows x grid_columns
 * @image:       the packed matrix; @view looks at it
 * @certificate: of the image, computed anew from both
 * @definite:    of a covariance, when @looked_at_definite
 * @seconds:     that the advice took
 */
struct answer {
	struct matrix matrix;
	struct quire_tiled_shape shape;
	uint32_t grid_rows, grid_columns;
	struct quire_tile_choice *choices;
	struct quire_advice advice;
	void *image;
	struct quire_tiled view;
	struct quire_certificate certificate;
	struct quire_definiteness definite;
	bool looked_at_definite;
	double seconds;
};

/* Load, advise, pack, certify (ask.c). Returns an exit status, with a message if not 0. */
int ask(const struct request *request, struct answer *answer);
void answer_free(struct answer *answer);

/* Take away from every element the mean of its tile, in FP64 (detail.c). 0 or -1 with error. */
int take_means(struct matrix *matrix, uint32_t tile_rows, uint32_t tile_columns, char *error);

/* Print the report (report.c). */
void report(const struct request *request, const struct answer *answer);

/* Draw bits per tile with gnuplot (map.c). Returns an exit status, with a message if not 0. */
int draw_map(const struct request *request, const struct answer *answer);

#endif
