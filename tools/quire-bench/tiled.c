// SPDX-License-Identifier: MIT
/*
 * quire-bench tiled: products of a Matern covariance in tiles beside the same of dense
 * posit16 matrices, and packing and unpacking, all through the device, in turns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/advise.h>

#include "../matrix/covariance.h"
#include "bench.h"

#define TILE 32u

struct tiled_options {
	struct bench_options common;
	double tau;
	const char *sizes;
};

/* Matrices of one size: the covariance, and random numbers of the same shape. */
struct tiled {
	uint32_t size;
	quire_context *context;
	struct quire_matrix wide;		/* the covariance in FP32 */
	struct quire_matrix dense, b, d;	/* posit16; a product is D = A B */
	struct quire_matrix sparse;		/* the covariance in tiles, as advised */
	struct quire_matrix full, full_b;	/* dense and b with 16 bits in every tile */
	struct quire_matrix back;		/* FP32 */
	double bytes_per_element;		/* of sparse, descriptors included */
};

static int allocate(struct tiled *t, const struct quire_tile_choice *advised,
		    const struct quire_tile_choice *all)
{
	struct quire_matrix *const posits[] = { &t->dense, &t->b, &t->d };
	struct quire_matrix *const floats[] = { &t->wide, &t->back };
	struct quire_matrix *const tiled[] = { &t->full, &t->full_b };
	int error = quire_matrix_alloc_tiled(t->context, t->size, t->size, TILE, TILE, advised,
					     &t->sparse);

	for (size_t i = 0; i < 3 && !error; i++)
		error = quire_matrix_alloc(t->context, QUIRE_FORMAT_POSIT16, t->size, t->size,
					   posits[i]);
	for (size_t i = 0; i < 2 && !error; i++)
		error = quire_matrix_alloc(t->context, QUIRE_FORMAT_FP32, t->size, t->size,
					   floats[i]);
	for (size_t i = 0; i < 2 && !error; i++)
		error = quire_matrix_alloc_tiled(t->context, t->size, t->size, TILE, TILE, all,
						 tiled[i]);
	return error;
}

static int fill(struct tiled *t, const double *covariance)
{
	uint64_t count = (uint64_t)t->size * t->size;
	float *x = malloc(count * sizeof(*x));
	uint32_t state = 1;
	int error;

	if (!x)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++) {
		state = state * 1664525u + 1013904223u;
		x[i] = (float)(int32_t)state * 0x1p-31f;
	}
	error = quire_matrix_put_f64(&t->wide, covariance, t->size);
	if (!error)
		error = quire_matrix_put_f64(&t->dense, covariance, t->size);
	if (!error)
		error = quire_matrix_put_f32(&t->b, x, t->size);
	if (!error)
		error = quire_matrix_pack(&t->sparse, &t->wide, NULL);
	if (!error)
		error = quire_matrix_pack(&t->full, &t->dense, NULL);
	if (!error)
		error = quire_matrix_pack(&t->full_b, &t->b, NULL);
	free(x);
	return error;
}

/* Plan the covariance for tau, and 16 bits in every tile of the others. */
static int create(struct tiled *t, const struct matrix *covariance, double tau)
{
	const struct quire_tiled_advise question = {
		.shape = { t->size, t->size, TILE, TILE },
		.matrix = { covariance->data, QUIRE_FORMAT_FP64, 0, t->size },
		.budget = QUIRE_BUDGET_ERROR,
		.tau = tau,
	};
	uint64_t tiles = quire_tiled_count(&question.shape);
	struct quire_tile_choice *advised = calloc(2 * tiles, sizeof(*advised));
	struct quire_advice advice;
	int error;

	if (!advised)
		return -ENOMEM;
	for (uint64_t i = 0; i < tiles; i++)
		advised[tiles + i].bits = 16;
	error = quire_tiled_advise(&question, advised, &advice);
	if (!error)
		error = allocate(t, advised, advised + tiles);
	if (!error)
		error = fill(t, covariance->data);
	t->bytes_per_element = (double)advice.image_bytes / ((double)t->size * t->size);
	free(advised);
	return error;
}

/* ---- Runs ---- */

struct run {
	const struct tiled *tiled;
	const struct quire_matrix *a, *b;	/* of a product; to, from otherwise */
	int (*once)(void *argument);
	const char *name;
	double asked;			/* least ratio to the dense product, 0: none */
};

static int product(void *argument)
{
	const struct run *run = argument;

	return quire_matmul(run->tiled->context, run->a, run->b, &run->tiled->d);
}

static int pack(void *argument)
{
	const struct run *run = argument;

	return quire_matrix_pack(run->a, run->b, NULL);
}

static int unpack(void *argument)
{
	const struct run *run = argument;

	return quire_matrix_unpack(run->a, run->b, NULL);
}

static void add_row(json_object *report, const struct run *run,
		    const struct bench_statistics *statistics, const struct bench_statistics *dense)
{
	json_object *row = bench_report_row(report);
	double elements = (double)run->tiled->size * run->tiled->size;

	bench_put_string(row, "what", run->name);
	bench_put_integer(row, "size", run->tiled->size);
	bench_put_statistics(row, statistics);
	if (run->once == product) {
		bench_put_number(row, "ratio_to_dense", dense->median / statistics->median);
		if (run->asked > 0)
			bench_put_number(row, "asked", run->asked);
	} else {
		bench_put_number(row, "gb_per_s_of_fp32", elements * 4 / statistics->median * 1e-9);
	}
	if (run->a == &run->tiled->sparse || run->b == &run->tiled->sparse)
		bench_put_number(row, "bytes_per_element", run->tiled->bytes_per_element);
}

static int measure(const struct tiled_options *options, json_object *report, struct tiled *t)
{
	struct run runs[] = {
		{ t, &t->dense, &t->b, product, "dense product", 0 },
		{ t, &t->sparse, &t->b, product, "A in tiles as advised", 2 },
		{ t, &t->full, &t->b, product, "A in tiles of 16 bits", 0.8 },
		{ t, &t->full, &t->full_b, product, "A and B in tiles of 16 bits", 0 },
		{ t, &t->sparse, &t->wide, pack, "pack as advised", 0 },
		{ t, &t->back, &t->sparse, unpack, "unpack as advised", 0 },
		{ t, &t->full, &t->wide, pack, "pack to 16 bits", 0 },
		{ t, &t->back, &t->full_b, unpack, "unpack from 16 bits", 0 },
	};
	enum { RUNS = sizeof(runs) / sizeof(runs[0]) };
	struct bench_contestant contestants[RUNS];
	struct bench_statistics statistics[RUNS];
	int error;

	for (size_t i = 0; i < RUNS; i++)
		contestants[i] = (struct bench_contestant){ runs[i].once, &runs[i], 0 };
	error = bench_race(options->common.seconds, CLOCK_MONOTONIC, contestants, RUNS, statistics);
	for (size_t i = 0; !error && i < RUNS; i++)
		add_row(report, &runs[i], &statistics[i], &statistics[0]);
	return error;
}

static int measure_size(const struct tiled_options *options, json_object *report,
			quire_device *device, uint32_t size)
{
	const struct matern matern = { size, 1, 0.03, 1e-4, 7 };
	struct tiled tiled = { .size = size };
	char wrong[MATRIX_ERROR_BYTES];
	struct matrix covariance = { 0 };
	int error;

	if (matern_covariance(&matern, &covariance, wrong)) {
		fprintf(stderr, "quire-bench: %s\n", wrong);
		return -EINVAL;
	}
	error = quire_context_create(device, 0, &tiled.context);
	if (!error)
		error = create(&tiled, &covariance, options->tau);
	if (!error)
		error = measure(options, report, &tiled);
	quire_context_unref(tiled.context);
	matrix_free(&covariance);
	return error;
}

static int measure_sizes(const void *argument, json_object *report, quire_device *device)
{
	const struct tiled_options *options = argument;
	const char *sizes = options->sizes;
	char size[16];
	int error = 0;

	bench_put_number(report, "tau", options->tau);
	while (!error && sizes) {
		bench_next_element(&sizes, size, sizeof(size));
		error = measure_size(options, report, device, (uint32_t)bench_parse_size(size));
	}
	return error;
}

static const struct argp_option tiled_options[] = {
	{ "sizes", 's', "LIST", 0, "rows and columns: 64, 256, 1024 or 4096 (1024)", 0 },
	{ "tau", 'T', "TAU", 0, "error of the covariance in tiles (1e-2)", 0 },
	{ 0 },
};

static bool is_size(uint64_t size)
{
	return size == 64 || size == 256 || size == 1024 || size == 4096;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct tiled_options *options = state->input;
	const char *sizes;
	char size[16], *end;

	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &options->common; break;
	case 's':
		options->sizes = value;
		for (sizes = value; sizes;)
			if (!bench_next_element(&sizes, size, sizeof(size)) ||
			    !is_size(bench_parse_size(size)))
				argp_error(state, "--sizes is \"%s\", must be of 64,256,1024,4096",
					   value);
		break;
	case 'T':
		options->tau = strtod(value, &end);
		if (*end || !(options->tau >= QUIRE_ADVISE_TAU_MIN && options->tau <= 1))
			argp_error(state, "--tau is \"%s\", must be 2^-90 to 1", value);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int bench_tiled(int argc, char **argv)
{
	static const struct argp_child children[] = { { &bench_options_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = { tiled_options, parse, NULL,
					  "Measure products with tiled operands, packing and unpacking.",
					  children, NULL, NULL };
	struct tiled_options options = { BENCH_OPTIONS_INIT, 1e-2, "1024" };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench_device("tiled", &options.common, measure_sizes, &options);
}
