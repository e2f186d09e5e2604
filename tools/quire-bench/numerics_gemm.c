// SPDX-License-Identifier: MIT
/* Rows of quire-bench numerics about products. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "numerics.h"

#define GIGA 1e-9

static const struct numerics_case cases[] = {
	{ "posit32", QUIRE_FORMAT_POSIT32, QUIRE_GEMM_EXACT, NUMERICS_NORMAL },
	{ "posit16", QUIRE_FORMAT_POSIT16, QUIRE_GEMM_EXACT, NUMERICS_NORMAL },
	{ "posit8", QUIRE_FORMAT_POSIT8, QUIRE_GEMM_EXACT, NUMERICS_NORMAL },
	{ "bf16", QUIRE_FORMAT_BF16, QUIRE_GEMM_EXACT, NUMERICS_NORMAL },
	{ "bf16", QUIRE_FORMAT_BF16, QUIRE_GEMM_FP32, NUMERICS_NORMAL },
	{ "posit32", QUIRE_FORMAT_POSIT32, QUIRE_GEMM_EXACT, NUMERICS_PATTERNS },
};

#define CASES (sizeof(cases) / sizeof(cases[0]))
#define EXACT_CASES 4		/* the first ones: exact, N(0,1) */
#define FP32_CASE 4
#define PATTERNS_CASE 5

enum { DGEMM, SGEMM, PEERS };

static const char *const peer_names[PEERS] = { "dgemm", "sgemm" };

/* All cases and the peers, to be run in turns. */
struct race {
	struct numerics_product products[CASES];
	struct numerics_peer peers[PEERS];
	struct bench_contestant contestants[CASES + PEERS];
	struct bench_statistics statistics[CASES + PEERS];
	size_t count;		/* cases, then peers if there are any */
	size_t cases;
};

static void free_race(struct race *race)
{
	for (size_t i = 0; i < race->cases; i++)
		numerics_product_free(&race->products[i]);
	for (size_t i = 0; i < PEERS; i++)
		numerics_peer_free(&race->peers[i]);
}

static int create_race(struct race *race, const struct numerics *numerics, size_t count, uint32_t n,
		       struct quire_threads *threads)
{
	int error = 0;

	memset(race, 0, sizeof(*race));
	while (!error && race->cases < count) {
		size_t i = race->cases;

		error = numerics_product_create(&race->products[i], &cases[i], n, n, n, threads);
		race->contestants[i] = (struct bench_contestant){ numerics_product_run,
								  &race->products[i], 0 };
		race->cases += !error;
	}
	race->count = race->cases;
	for (int p = 0; !error && numerics->openblas && p < PEERS; p++) {
		error = numerics_peer_create(&race->peers[p], numerics->openblas, n, p == SGEMM);
		race->contestants[race->count++] = (struct bench_contestant){
			numerics_peer_run, &race->peers[p], threads ? OPENBLAS_SPIN_SECONDS : 0 };
	}
	if (error)
		free_race(race);
	return error;
}

/* One thread: its own time, which other processes do not add to. */
static clockid_t clock_for(struct quire_threads *threads)
{
	return threads ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
}

static double gmacs(uint32_t n, double seconds)
{
	return (double)n * n * n / seconds * GIGA;
}

/* The least ratio to the peer that docs/numerics.md asks for, or NAN. */
static double asked_ratio(const char *kernel, const struct numerics_case *kind, uint32_t n)
{
	if (kind->data == NUMERICS_PATTERNS)
		return (double)NAN;
	if (!strcmp(kernel, "avx2"))
		return n != 1024 || kind->arithmetic == QUIRE_GEMM_FP32 ? (double)NAN :
		       kind->format == QUIRE_FORMAT_POSIT32 ? 0.12 : 0.25;
	if (kind->arithmetic == QUIRE_GEMM_FP32)
		return n == 1024 ? 0.8 : (double)NAN;
	return n == 1024 ? 0.85 : n == 256 ? 0.6 : (double)NAN;
}

static void put_text_or_null(json_object *row, const char *key, const char *text)
{
	json_object_object_add(row, key, text ? json_object_new_string(text) : NULL);
}

static void put_case(json_object *row, const struct numerics_case *kind)
{
	bench_put_string(row, "format", kind->format_name);
	bench_put_string(row, "mode", kind->arithmetic == QUIRE_GEMM_FP32 ? "fp32" : "exact");
	bench_put_string(row, "data", kind->data == NUMERICS_PATTERNS ? "patterns" : "normal");
}

static void add_product_row(const struct numerics *numerics, const struct race *race, size_t index,
			    uint32_t n, struct quire_threads *threads)
{
	const struct numerics_case *kind = &cases[index];
	const struct bench_statistics *own = &race->statistics[index];
	const int p = kind->arithmetic == QUIRE_GEMM_FP32 ? SGEMM : DGEMM;
	json_object *row = bench_report_row(numerics->report);
	double other = numerics->openblas ? race->statistics[race->cases + (size_t)p].median :
					    (double)NAN;

	bench_put_string(row, "what", "product");
	put_case(row, kind);
	bench_put_string(row, "kernel", quire_kernel_name());
	bench_put_integer(row, "threads", quire_threads_count(threads));
	bench_put_integer(row, "n", n);
	bench_put_string(row, "clock", threads ? "wall" : "cpu");
	bench_put_statistics(row, own);
	bench_put_number(row, "gmacs_per_s", gmacs(n, own->median));
	bench_put_string(row, "peer", peer_names[p]);
	put_text_or_null(row, "peer_core", numerics->openblas ? numerics->openblas->core : NULL);
	bench_put_number(row, "peer_gmacs_per_s", gmacs(n, other));
	bench_put_number(row, "ratio_to_peer", other / own->median);
	bench_put_number(row, "asked_ratio", asked_ratio(quire_kernel_name(), kind, n));
}

/* Random bit patterns against N(0,1), of the same race. */
static void add_patterns_row(const struct numerics *numerics, const struct race *race, uint32_t n,
			     struct quire_threads *threads)
{
	json_object *row = bench_report_row(numerics->report);

	bench_put_string(row, "what", "patterns_to_normal");
	bench_put_string(row, "format", cases[PATTERNS_CASE].format_name);
	bench_put_integer(row, "threads", quire_threads_count(threads));
	bench_put_integer(row, "n", n);
	bench_put_number(row, "ratio_to_normal", race->statistics[0].median /
						 race->statistics[PATTERNS_CASE].median);
	bench_put_number(row, "asked_ratio", 0.05);
}

static int measure_race(const struct numerics *numerics, struct race *race,
			struct quire_threads *threads)
{
	if (numerics->openblas)
		numerics->openblas->set_threads((int)quire_threads_count(threads));
	return bench_race(numerics->seconds, clock_for(threads), race->contestants, race->count,
			  race->statistics);
}

int numerics_measure_products(const struct numerics *numerics, uint32_t n,
			      struct quire_threads *threads)
{
	struct race race;
	int error = create_race(&race, numerics, CASES, n, threads);

	if (error)
		return error;
	error = measure_race(numerics, &race, threads);
	for (size_t i = 0; !error && i < CASES; i++)
		add_product_row(numerics, &race, i, n, threads);
	if (!error)
		add_patterns_row(numerics, &race, n, threads);
	free_race(&race);
	return error;
}

int numerics_measure_avx2(const struct numerics *numerics, uint32_t n)
{
	struct race race;
	int error = create_race(&race, numerics, FP32_CASE + 1, n, NULL);

	if (error)
		return error;
	error = measure_race(numerics, &race, NULL);
	for (size_t i = 0; !error && i <= FP32_CASE; i++)
		add_product_row(numerics, &race, i, n, NULL);
	free_race(&race);
	return error;
}

static void add_scaling_row(const struct numerics *numerics, const char *name, uint32_t n,
			    double single, double all)
{
	unsigned int threads = quire_threads_count(numerics->threads);
	json_object *row = bench_report_row(numerics->report);

	bench_put_string(row, "what", "scaling");
	bench_put_string(row, "format", name);
	bench_put_integer(row, "n", n);
	bench_put_integer(row, "threads", threads);
	bench_put_number(row, "one_thread_us", single * 1e6);
	bench_put_number(row, "all_threads_us", all * 1e6);
	bench_put_number(row, "efficiency", single / all / threads);
	bench_put_number(row, "asked_efficiency", 0.85);
}

/* One and all threads in turns, by the wall clock. */
int numerics_measure_scaling(const struct numerics *numerics, uint32_t n)
{
	struct race one, all;
	struct bench_contestant contestants[2 * EXACT_CASES];
	struct bench_statistics statistics[2 * EXACT_CASES];
	const struct numerics without = { .openblas = NULL };
	int error = create_race(&one, &without, EXACT_CASES, n, NULL);

	if (error)
		return error;
	error = create_race(&all, &without, EXACT_CASES, n, numerics->threads);
	if (!error) {
		for (size_t i = 0; i < EXACT_CASES; i++) {
			contestants[2 * i] = one.contestants[i];
			contestants[2 * i + 1] = all.contestants[i];
		}
		error = bench_race(numerics->seconds, CLOCK_MONOTONIC, contestants, 2 * EXACT_CASES,
				   statistics);
		for (size_t i = 0; !error && i < EXACT_CASES; i++)
			add_scaling_row(numerics, cases[i].format_name, n,
					statistics[2 * i].median, statistics[2 * i + 1].median);
		free_race(&all);
	}
	free_race(&one);
	return error;
}

/*
 * The reference, one accumulator per element, by the same compiler with the same flags;
 * of so few rows that it ends. Its time is that of a multiply-accumulate, times n^3.
 */
#define PLAIN_ROWS 4u

static int run_plain(void *product)
{
	const char *kernel = quire_kernel_name();
	int error = quire_kernel_select("plain");

	if (!error)
		error = numerics_product_run(product);
	quire_kernel_select(kernel);
	return error;
}

int numerics_measure_plain(const struct numerics *numerics, uint32_t n)
{
	int error = 0;

	for (size_t i = 0; !error && i < EXACT_CASES; i++) {
		struct numerics_product fast, plain;
		struct bench_contestant contestants[2] = { { numerics_product_run, &fast, 0 },
							   { run_plain, &plain, 0 } };
		struct bench_statistics statistics[2];
		double rates[2];

		error = numerics_product_create(&fast, &cases[i], n, n, n, NULL);
		if (error)
			break;
		error = numerics_product_create(&plain, &cases[i], PLAIN_ROWS, n, n, NULL);
		if (!error) {
			error = bench_race(numerics->seconds, CLOCK_THREAD_CPUTIME_ID, contestants, 2,
					   statistics);
			numerics_product_free(&plain);
		}
		numerics_product_free(&fast);
		if (!error) {
			json_object *row = bench_report_row(numerics->report);

			rates[0] = gmacs(n, statistics[0].median);
			rates[1] = gmacs(n, statistics[1].median) * PLAIN_ROWS / n;
			bench_put_string(row, "what", "plain_loop");
			bench_put_string(row, "format", cases[i].format_name);
			bench_put_integer(row, "n", n);
			bench_put_number(row, "gmacs_per_s", rates[0]);
			bench_put_number(row, "plain_gmacs_per_s", rates[1]);
			bench_put_number(row, "ratio_to_plain", rates[0] / rates[1]);
			bench_put_number(row, "asked_ratio", 500);
		}
	}
	return error;
}

/*
 * Packing and rounding, told apart from outside by their growth: a product of m x n x k
 * takes r mn + p (mk + kn) + c mnk.  Three shapes give the three terms of n x n x n:
 *
 *	whole	n x n x n	R + P + C
 *	half	n x n x n/2	R + P/2 + C/2
 *	strip	8 x n x n	(8/n) (R + C) + (1 + 8/n) P/2
 *
 * What is spent per call counts as rounding and packing; so does the digest, as rounding.
 */
#define STRIP_ROWS 8u

static void add_shares_row(const struct numerics *numerics, const struct numerics_case *kind,
			   uint32_t n, const struct bench_statistics statistics[3])
{
	const double whole = statistics[0].median, half = statistics[1].median;
	const double strip = statistics[2].median, part = (double)STRIP_ROWS / n;
	json_object *row = bench_report_row(numerics->report);
	double packing = 2 * (strip - part * whole) / (1 - part) / whole;
	double rounding = (2 * half - whole) / whole;

	bench_put_string(row, "what", "shares");
	bench_put_string(row, "format", kind->format_name);
	bench_put_integer(row, "n", n);
	bench_put_number(row, "packing_share", packing);
	bench_put_number(row, "rounding_and_digest_share", rounding);
	bench_put_number(row, "asked_share_of_both", 0.15);
}

int numerics_measure_shares(const struct numerics *numerics, uint32_t n)
{
	int error = 0;

	for (size_t i = 0; !error && i < EXACT_CASES; i++) {
		const uint32_t shapes[3][2] = { { n, n }, { n, n / 2 }, { STRIP_ROWS, n } };
		struct numerics_product products[3];
		struct bench_contestant contestants[3];
		struct bench_statistics statistics[3];
		size_t made = 0;

		for (; !error && made < 3; made += !error) {
			error = numerics_product_create(&products[made], &cases[i], shapes[made][0], n,
							shapes[made][1], NULL);
			contestants[made] = (struct bench_contestant){ numerics_product_run,
								       &products[made], 0 };
		}
		if (!error)
			error = bench_race(numerics->seconds, CLOCK_THREAD_CPUTIME_ID, contestants, 3,
					   statistics);
		while (made)
			numerics_product_free(&products[--made]);
		if (!error)
			add_shares_row(numerics, &cases[i], n, statistics);
	}
	return error;
}

/* A field of /proc/self/status in bytes, 0 if there is none. */
static uint64_t status_bytes(const char *field)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)) &&
		    sscanf(line + strlen(field), ": %llu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

/* Let the peak begin anew at what is resident now. */
static void reset_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");

	if (file) {
		fputc('5', file);
		fclose(file);
	}
}

static void add_memory_row(const struct numerics *numerics, const struct numerics_case *kind,
			   uint32_t n, uint32_t k, uint64_t growth, uint64_t packed)
{
	json_object *row = bench_report_row(numerics->report);

	bench_put_string(row, "what", "memory");
	bench_put_string(row, "format", kind->format_name);
	bench_put_integer(row, "n", n);
	bench_put_integer(row, "k", k);
	bench_put_integer(row, "growth_bytes", growth);
	bench_put_integer(row, "packed_operand_bytes", packed);
	bench_put_number(row, "ratio_to_packed", (double)growth / (double)packed);
	bench_put_number(row, "asked_at_most", 1.5);
}

static const struct numerics_case *exact_case(uint32_t format)
{
	const struct numerics_case *kind = cases;

	while (kind->format != format && kind < &cases[EXACT_CASES - 1])
		kind++;
	return kind;
}

int numerics_measure_memory(const struct numerics *numerics, uint32_t format, uint32_t n, uint32_t k)
{
	const struct numerics_case *kind = exact_case(format);
	struct quire_gemm_workspace *workspace;
	struct numerics_product product;
	int error = numerics_product_create(&product, kind, n, n, k, NULL);
	uint64_t before;

	if (error)
		return error;
	workspace = quire_gemm_workspace_create();
	product.gemm.workspace = workspace;
	reset_peak();
	before = status_bytes("VmRSS");
	error = workspace ? numerics_product_run(&product) : -ENOMEM;
	if (!error)
		add_memory_row(numerics, kind, n, k, status_bytes("VmHWM") - before,
			       quire_gemm_workspace_packed_bytes(workspace));
	quire_gemm_workspace_destroy(workspace);
	numerics_product_free(&product);
	return error;
}
