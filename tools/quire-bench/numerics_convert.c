// SPDX-License-Identifier: MIT
/* Rows of quire-bench numerics about conversions: beside memcpy, and of every pair of formats. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/convert.h>

#include "numerics.h"

static const struct direction {
	const char *from, *to;
	uint32_t source_format, destination_format;
} directions[] = {
	{ "fp32", "posit16", QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT16 },
	{ "posit16", "fp32", QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_FP32 },
	{ "fp32", "posit32", QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT32 },
	{ "posit32", "fp32", QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP32 },
	{ "fp32", "mxfp8", QUIRE_FORMAT_FP32, QUIRE_FORMAT_MXFP8 },
	{ "mxfp8", "fp32", QUIRE_FORMAT_MXFP8, QUIRE_FORMAT_FP32 },
};

#define DIRECTIONS (sizeof(directions) / sizeof(directions[0]))

#define COPY_TASKS 64u

struct copy {
	uint8_t *to;
	const uint8_t *from;
	size_t bytes;
	struct quire_threads *threads;
};

static void copy_task(void *argument, unsigned int index, unsigned int worker)
{
	const struct copy *copy = argument;
	size_t first = copy->bytes / COPY_TASKS * index;
	size_t end = index + 1 == COPY_TASKS ? copy->bytes : first + copy->bytes / COPY_TASKS;

	(void)worker;
	memcpy(copy->to + first, copy->from + first, end - first);
}

static int run_copy(void *argument)
{
	struct copy *copy = argument;

	if (copy->threads)
		quire_threads_run(copy->threads, COPY_TASKS, copy_task, copy);
	else
		memcpy(copy->to, copy->from, copy->bytes);
	return 0;
}

static int run_conversion(void *convert)
{
	return quire_convert(convert, NULL);
}

static double bytes_of(uint32_t format)
{
	return format == QUIRE_FORMAT_MXFP8 ? (double)QUIRE_MX_BLOCK_BYTES / QUIRE_MX_ELEMENTS :
					      QUIRE_FORMAT_BITS(format) / 8.0;
}

static void add_row(const struct numerics *numerics, const struct direction *direction,
		    uint64_t elements, struct quire_threads *threads,
		    const struct bench_statistics *own, double copy_gb_per_s)
{
	json_object *row = bench_report_row(numerics->report);
	double rate = (bytes_of(direction->source_format) + bytes_of(direction->destination_format)) *
		      (double)elements / own->median * 1e-9;

	bench_put_string(row, "what", "conversion");
	bench_put_string(row, "from", direction->from);
	bench_put_string(row, "to", direction->to);
	bench_put_integer(row, "threads", quire_threads_count(threads));
	bench_put_integer(row, "elements", elements);
	bench_put_statistics(row, own);
	bench_put_number(row, "gb_per_s", rate);
	bench_put_number(row, "memcpy_gb_per_s", copy_gb_per_s);
	bench_put_number(row, "ratio_to_memcpy", rate / copy_gb_per_s);
	bench_put_number(row, "asked_ratio", 0.5);
}

static int race(const struct numerics *numerics, uint64_t elements, struct quire_threads *threads,
		float *values, void *memory)
{
	struct quire_convert convert[DIRECTIONS];
	struct bench_contestant contestants[DIRECTIONS + 1];
	struct bench_statistics statistics[DIRECTIONS + 1];
	struct copy copy = { memory, (const uint8_t *)values, elements * sizeof(*values), threads };
	int error;

	numerics_fill_normal(values, elements, 3);
	for (size_t i = 0; i < DIRECTIONS; i++) {
		bool forth = directions[i].source_format == QUIRE_FORMAT_FP32;

		convert[i] = (struct quire_convert){
			.rows = 1, .columns = elements,
			.source = forth ? (const void *)values : memory,
			.destination = forth ? memory : (void *)values,
			.source_format = directions[i].source_format,
			.destination_format = directions[i].destination_format,
			.factor = 1, .threads = threads,
		};
		contestants[i] = (struct bench_contestant){ run_conversion, &convert[i], 0 };
	}
	/* behind "mxfp8 to fp32", so that every source holds what its format says */
	contestants[DIRECTIONS] = (struct bench_contestant){ run_copy, &copy, 0 };
	error = bench_race(numerics->seconds, threads ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID,
			   contestants, DIRECTIONS + 1, statistics);
	for (size_t i = 0; !error && i < DIRECTIONS; i++)
		add_row(numerics, &directions[i], elements, threads, &statistics[i],
			2 * (double)copy.bytes / statistics[DIRECTIONS].median * 1e-9);
	return error;
}

int numerics_measure_conversions(const struct numerics *numerics, uint64_t elements,
				 struct quire_threads *threads)
{
	float *values = malloc(elements * sizeof(*values));
	void *memory = malloc(elements * sizeof(*values));
	int error = -ENOMEM;

	if (values && memory)
		error = race(numerics, elements, threads, values, memory);
	free(values);
	free(memory);
	return error;
}

/* ---- Every pair ---- */

static const struct {
	const char *name;
	uint32_t format;
} formats[] = {
	{ "posit8", QUIRE_FORMAT_POSIT8 }, { "posit12", QUIRE_FORMAT_POSIT(12) },
	{ "posit16", QUIRE_FORMAT_POSIT16 }, { "posit24", QUIRE_FORMAT_POSIT(24) },
	{ "posit32", QUIRE_FORMAT_POSIT32 }, { "bf16", QUIRE_FORMAT_BF16 },
	{ "fp16", QUIRE_FORMAT_FP16 }, { "fp32", QUIRE_FORMAT_FP32 },
	{ "fp64", QUIRE_FORMAT_FP64 }, { "e4m3", QUIRE_FORMAT_E4M3 },
	{ "e5m2", QUIRE_FORMAT_E5M2 }, { "int8", QUIRE_FORMAT_INT8 },
	{ "mxfp8", QUIRE_FORMAT_MXFP8 },
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))
#define PAIR_ELEMENTS 65536u	/* operands stay in the second-level cache, mostly */
#define PAIR_BYTES (PAIR_ELEMENTS * sizeof(double))
#define PAIR_SECONDS 0.02	/* at most: there are many */

static int measure_pair(const struct numerics *numerics, size_t from, size_t to,
			const uint8_t *source, uint8_t *destination)
{
	struct quire_convert convert = {
		.rows = 1, .columns = PAIR_ELEMENTS,
		.source = source, .source_format = formats[from].format,
		.destination = destination, .destination_format = formats[to].format,
		.factor = 1,
	};
	const struct bench_contestant contestant = { run_conversion, &convert, 0 };
	struct bench_statistics statistics;
	double seconds = numerics->seconds < PAIR_SECONDS ? numerics->seconds : PAIR_SECONDS;
	int error = bench_race(seconds, CLOCK_THREAD_CPUTIME_ID, &contestant, 1, &statistics);
	json_object *row;

	if (error)
		return error;
	row = bench_report_row(numerics->report);
	bench_put_string(row, "what", "conversion_pair");
	bench_put_string(row, "from", formats[from].name);
	bench_put_string(row, "to", formats[to].name);
	bench_put_string(row, "kernel", quire_kernel_name());
	bench_put_integer(row, "elements", PAIR_ELEMENTS);
	bench_put_statistics(row, &statistics);
	bench_put_number(row, "ns_per_element", statistics.median / PAIR_ELEMENTS * 1e9);
	return 0;
}

int numerics_measure_pairs(const struct numerics *numerics)
{
	uint8_t *source = malloc(PAIR_BYTES), *destination = malloc(PAIR_BYTES);
	int error = source && destination ? 0 : -ENOMEM;

	if (!error)
		numerics_fill_patterns(source, PAIR_BYTES, 5);
	for (size_t i = 0; !error && i < FORMATS * FORMATS; i++)
		error = measure_pair(numerics, i / FORMATS, i % FORMATS, source, destination);
	free(source);
	free(destination);
	return error;
}
