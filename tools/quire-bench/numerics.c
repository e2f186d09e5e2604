// SPDX-License-Identifier: MIT
/*
 * quire-bench numerics: libquirenum in this process, each figure beside a peer's:
 * OpenBLAS, memcpy, a plain loop.  docs/numerics.md holds its table.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "numerics.h"

struct numerics_options {
	struct bench_options common;
	const char *peer_core;
	unsigned int threads;
	bool quick, sweep, pairs;
};

static const uint32_t sizes[] = { 256, 512, 1024 };
static const uint32_t sweep_sizes[] = { 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define QUICK_SIZE 64u

/* ---- Processes of their own ---- */

typedef int measure_part(const struct numerics *numerics);

/* In the child: its rows, one to a line. */
static int run_child(const struct numerics *numerics, measure_part *part, int fd)
{
	struct numerics own = *numerics;
	json_object *rows;
	FILE *stream = fdopen(fd, "w");
	int error;

	if (!stream)
		return -errno;
	own.report = json_object_new_object();
	rows = json_object_new_array();
	json_object_object_add(own.report, "results", rows);
	error = part(&own);
	for (size_t i = 0; !error && i < json_object_array_length(rows); i++)
		fprintf(stream, "%s\n", json_object_to_json_string_ext(
						json_object_array_get_idx(rows, i), JSON_C_TO_STRING_PLAIN));
	if (fclose(stream) && !error)
		error = -EIO;
	return error;
}

static void take_rows(const struct numerics *numerics, FILE *stream)
{
	json_object *rows = json_object_object_get(numerics->report, "results");
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stream) > 0) {
		json_object *row = json_tokener_parse(line);

		if (row)
			json_object_array_add(rows, row);
	}
	free(line);
}

/*
 * Measure in a process of its own, made before this one loads OpenBLAS or starts a thread,
 * and take its rows.
 */
static int measure_apart(const struct numerics *numerics, measure_part *part)
{
	int ends[2], status = 0;
	FILE *stream;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	child = fork();
	if (!child) {
		close(ends[0]);
		_exit(-run_child(numerics, part, ends[1]));
	}
	close(ends[1]);
	stream = child > 0 ? fdopen(ends[0], "r") : NULL;
	if (!stream) {
		close(ends[0]);
		return -ENOMEM;
	}
	take_rows(numerics, stream);
	fclose(stream);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -EIO;
	return -WEXITSTATUS(status);
}

/* The AVX2 kernel beside an OpenBLAS that keeps to AVX2. */
static int measure_avx2(const struct numerics *numerics)
{
	struct numerics own = *numerics;
	struct openblas openblas;
	int error = 0;

	if (quire_kernel_select("avx2"))
		return 0;	/* not this kind of CPU: no rows */
	own.openblas = openblas_load(&openblas, "Haswell") ? &openblas : NULL;
	if (numerics->quick)
		return numerics_measure_avx2(&own, QUICK_SIZE);
	for (size_t i = 0; !error && i < COUNT(sizes); i++)
		error = numerics_measure_avx2(&own, sizes[i]);
	return error;
}

static int measure_memory(const struct numerics *numerics)
{
	const uint32_t size = numerics->quick ? QUICK_SIZE : 1024;

	return numerics_measure_memory(numerics, QUIRE_FORMAT_POSIT32, size, size);
}

/* Of the fewest packed bytes. */
static int measure_memory_narrow(const struct numerics *numerics)
{
	return numerics_measure_memory(numerics, QUIRE_FORMAT_POSIT8, 1024, 1024);
}

static int measure_memory_long(const struct numerics *numerics)
{
	return numerics_measure_memory(numerics, QUIRE_FORMAT_POSIT32, 256, 4096);
}

/* ---- Everything in its order ---- */

static int measure_products(const struct numerics *numerics, const uint32_t *n, size_t count,
			    struct quire_threads *threads)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++)
		error = numerics_measure_products(numerics, n[i], threads);
	return error;
}

static int measure_quick(const struct numerics *numerics)
{
	static const uint32_t size[] = { QUICK_SIZE };
	int error = measure_products(numerics, size, 1, NULL);

	error = error ? error : measure_products(numerics, size, 1, numerics->threads);
	error = error ? error : numerics_measure_scaling(numerics, QUICK_SIZE);
	error = error ? error : numerics_measure_plain(numerics, QUICK_SIZE);
	error = error ? error : numerics_measure_shares(numerics, QUICK_SIZE);
	return error ? error : numerics_measure_conversions(numerics, 1u << 16, NULL);
}

static int measure_all(const struct numerics *numerics)
{
	const uint64_t elements = 16u << 20;
	int error = measure_products(numerics, sizes, COUNT(sizes), NULL);

	error = error ? error : measure_products(numerics, sizes, COUNT(sizes), numerics->threads);
	error = error ? error : numerics_measure_scaling(numerics, 1024);
	error = error ? error : numerics_measure_plain(numerics, 512);
	error = error ? error : numerics_measure_shares(numerics, 512);
	error = error ? error : numerics_measure_conversions(numerics, elements, NULL);
	return error ? error : numerics_measure_conversions(numerics, elements, numerics->threads);
}

static int measure(const struct numerics_options *options, struct numerics *numerics)
{
	struct openblas openblas;
	int error = 0;

	if (options->pairs)
		return numerics_measure_pairs(numerics);
	if (!options->sweep) {
		error = measure_apart(numerics, measure_memory);
		if (!options->quick) {
			error = error ? error : measure_apart(numerics, measure_memory_narrow);
			error = error ? error : measure_apart(numerics, measure_memory_long);
		}
		error = error ? error : measure_apart(numerics, measure_avx2);
	}
	if (error)
		return error;
	numerics->openblas = openblas_load(&openblas, options->peer_core) ? &openblas : NULL;
	bench_put_string(numerics->report, "openblas",
			 numerics->openblas ? openblas.core : "not installed");
	if (options->sweep)
		return measure_products(numerics, sweep_sizes,
					options->quick ? 2 : COUNT(sweep_sizes), NULL);
	numerics->threads = quire_threads_create(options->threads);
	if (!numerics->threads)
		return -errno;
	error = options->quick ? measure_quick(numerics) : measure_all(numerics);
	quire_threads_destroy(numerics->threads);
	return error;
}

/* ---- Options ---- */

enum { OPTION_QUICK = 256, OPTION_SWEEP, OPTION_PAIRS, OPTION_PEER_CORE };

static const struct argp_option numerics_options[] = {
	{ "threads", 'n', "N", 0, "threads beside one (0: all CPUs)", 0 },
	{ "sweep", OPTION_SWEEP, NULL, 0, "only products on one thread, of 64 to 1536", 0 },
	{ "pairs", OPTION_PAIRS, NULL, 0, "only conversions of every pair of formats", 0 },
	{ "quick", OPTION_QUICK, NULL, 0, "small sizes: to see that it works, not how fast", 0 },
	{ "peer-core", OPTION_PEER_CORE, "CORE", 0,
	  "CPU for which OpenBLAS computes (what it finds)", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct numerics_options *options = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &options->common; break;
	case OPTION_QUICK: options->quick = true; break;
	case OPTION_SWEEP: options->sweep = true; break;
	case OPTION_PAIRS: options->pairs = true; break;
	case OPTION_PEER_CORE: options->peer_core = value; break;
	case 'n':
		options->threads = (unsigned int)strtoul(value, &end, 10);
		if (*end || options->threads > QUIRE_THREADS_LIMIT)
			argp_error(state, "--threads is \"%s\", must be 0 to %u", value,
				   QUIRE_THREADS_LIMIT);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int bench_numerics(int argc, char **argv)
{
	static const struct argp_child children[] = { { &bench_options_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = { numerics_options, parse, NULL,
					  "Measure libquirenum in this process beside its peers.",
					  children, NULL, NULL };
	struct numerics_options options = { BENCH_OPTIONS_INIT, NULL, 0, false, false, false };
	struct numerics numerics = { 0 };
	int error;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	numerics.report = bench_report_create("numerics", NULL);
	numerics.seconds = options.common.seconds;
	numerics.quick = options.quick;
	bench_put_string(numerics.report, "kernel", quire_kernel_name());
	error = measure(&options, &numerics);
	if (error) {
		fprintf(stderr, "quire-bench: numerics: %s\n", strerror(-error));
		json_object_put(numerics.report);
		return STATUS_FAILED;
	}
	return bench_report_print(numerics.report, &options.common);
}
