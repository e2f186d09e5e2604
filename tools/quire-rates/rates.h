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

/* Bits of an element of a rate without tiles, with its share of a block's scale. */
double rate_bits(const struct rate *rate);

/* Bytes of a row of count elements in a format that is not tiled. */
uint64_t row_bytes(uint32_t format, uint64_t count);

/* ---- Products (tensor.c, product.c) ---- */

/*
 * struct tensor - numbers rounded to what a rate stores
 * @matrix: on the device, in the rate's format or in tiles
 * @value:  what they are then worth, exactly
 * @bits:   per element, of the elements alone; @bytes with all that is stored beside
 * @scale:  of RATE_INT8
 */
struct tensor {
	struct quire_matrix matrix;
	double *value;
	double bits;
	uint64_t bytes;
	float scale;
};

enum rounding {
	ROUND_AS_STORED,	/* what is kept: tiles for RATE_TILES */
	ROUND_AS_INPUT,		/* what comes along: posit16 for RATE_TILES */
};

/*
 * Round values; scale is that of RATE_INT8, 0: from their largest magnitude.  0, or
 * a negative error with a message.
 */
int tensor_round(quire_context *context, struct tensor *tensor, const struct rate *rate,
		 enum rounding rounding, const double *values, uint32_t rows, uint32_t columns,
		 float scale);
void tensor_free(struct tensor *tensor);

/*
 * struct product - D = A B + bias, with relu if asked
 * @a, @b:    rounded operands
 * @bias:     one for each column, or NULL
 * @out:      m x n, as the rate's format holds them when @keep (MXFP8, which no job gives: as
 *            FP32), else as FP64
 * @out_scale: of RATE_INT8 with @keep
 * @other_way: compute in bands of rows, or transposed where A is in tiles, or, for
 *            RATE_SUMS, sum in reverse: the same result, if it is repeatable
 */
struct product {
	const struct rate *rate;
	const struct tensor *a, *b;
	const float *bias;
	bool relu, keep;
	float out_scale;
	bool other_way;
	double *out;
};

/*
 * struct work - what the jobs of products did, summed
 * @macs:      multiply-accumulates, all and by width (up to 8, 16 and 32 bits; of
 *             tiles that of the tile)
 * @pj:        modelled, of arithmetic and memory; @memory_pj of memory alone
 * @bytes:     read and written
 * @jobs:      how many there were: none for RATE_SUMS
 * @digest:    of all their results in order
 */
struct work {
	uint32_t jobs;
	uint64_t macs, by_width[3];
	double pj, memory_pj;
	uint64_t bytes;
	uint64_t digest;
};

/* Run and add to *work (NULL allowed). 0, or a negative error with a message. */
int product_run(quire_context *context, const struct product *product, struct work *work);

/* The columns that all workloads share: modelled energy, macs, digest. */
void put_work(json_object *row, const struct work *work, double dense_macs);

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
