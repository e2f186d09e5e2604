/* SPDX-License-Identifier: MIT */
/*
 * quire-rates: what accuracy costs.  One workload in every format, accumulator mode and
 * tile budget; a row each.
 */
#ifndef QUIRE_RATES_H
#define QUIRE_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>
#include <matrix.h>
#include <quire.h>
#include <quire/model.h>
#include <quirenum/advise.h>

enum rate_kind {
	RATE_CARD,	/* both operands in a format of the card */
	RATE_SUMS,	/* FP32, summed in FP32 on the host in order of k */
	RATE_INT8,	/* integers, one scale for each tensor */
	RATE_TILES,	/* A or the weights in tiles, the rest posit16 */
};

/*
 * struct rate - one way to compute
 * @format, @gemm_mode: of RATE_CARD
 * @tau, @tile: of RATE_TILES, whose tiles are tile x tile
 */
struct rate {
	char name[32];
	enum rate_kind kind;
	uint32_t format;
	uint32_t gemm_mode;
	double tau;
	uint32_t tile;
};

#define MOST_RATES 48

/*
 * The rates of a sweep: all fixed ones, then tiles of tile x tile with each of taus.
 * Returns how many; at most MOST_RATES.
 */
uint32_t list_rates(struct rate *rates, uint32_t tile, const double *taus, uint32_t count);

/* Modelled pJ of one multiply-accumulate, and the width of an element of RATE_CARD and the like. */
double rate_pj_per_mac(const struct rate *rate);
double rate_bits(const struct rate *rate);

/* ---- Products (tensor.c, product.c) ---- */

/*
 * struct tensor - numbers rounded to what a rate stores
 * @rows, @columns: shape
 * @value: what they are then worth, exactly
 * @bits:  per element, of the elements alone; @bytes with all that is stored beside
 * @scale: of RATE_INT8
 * @image: of RATE_TILES, aligned; @view of it
 */
struct tensor {
	uint32_t rows, columns;
	double *value;
	double bits;
	uint64_t bytes;
	float scale;
	void *image;
	struct quire_tiled view;
};

enum rounding {
	ROUND_AS_STORED,	/* what is kept: tiles for RATE_TILES */
	ROUND_AS_INPUT,		/* what comes along: posit16 for RATE_TILES */
};

/*
 * Round values; scale is that of RATE_INT8, 0: from their largest magnitude.  0, or
 * a negative error with a message.
 */
int tensor_round(struct tensor *tensor, const struct rate *rate, enum rounding rounding,
		 const double *values, uint32_t rows, uint32_t columns, float scale);
void tensor_free(struct tensor *tensor);

/*
 * struct product - D = A B + bias, with relu if asked
 * @a, @b:    rounded operands; with RATE_TILES the one with an image is in tiles
 * @bias:     one for each column, or NULL
 * @out:      m x n, as the rate's format holds them when @keep, else as FP64
 * @out_scale: of RATE_INT8 with @keep
 * @bands:    compute in this many bands of rows, or, for RATE_SUMS, sum in reverse:
 *            another way to the same result, if it is the same
 */
struct product {
	const struct rate *rate;
	const struct tensor *a, *b;
	const float *bias;
	bool relu, keep;
	float out_scale;
	uint32_t bands;
	double *out;
};

/* 0 or a negative error of libquire. */
int product_run(quire_context *context, const struct product *product);

/* Multiply-accumulates that are executed, in modelled pJ. */
double product_pj(const struct product *product);

/* ---- Workloads ---- */

struct options {
	const char *data;		/* digits.csv.gz */
	const char *name, *second;	/* matrices */
	double taus[16];
	uint32_t tau_count;
	uint32_t seeds;
	bool progress;
};

/* Fill rows; 0, or a negative error after a message. */
int rate_digits(quire_context *context, const struct options *options, json_object *rows);
int rate_covariance(quire_context *context, const struct options *options, json_object *rows);
int rate_pair(quire_context *context, const struct options *options, json_object *rows);

/* Print "quire-rates: ..." and return error. */
int complain(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Plot (plot.c): error over bits and over modelled energy; 0 or -1 with a message ---- */

int draw_rates(const char *path, const char *title, json_object *rows, const char *bits_key,
	       const char *energy_key, const char *energy_label);

#endif
