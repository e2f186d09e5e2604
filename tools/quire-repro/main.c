// SPDX-License-Identifier: MIT
/* quire-repro: how many results does one product have? */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <portable_math.h>

#include "../exit_status.h"
#include "../rows.h"
#include "../table.h"
#include "repro.h"

#define MOST_CARDS 8
#define ELEMENT_LIMIT (1u << 18)	/* of the result: its 16 quire images take 336 MB */
#define OPERAND_LIMIT (1ull << 26)

const char *argp_program_version = "quire-repro 0.1.0";

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV };

struct arguments {
	uint32_t m, k, n;
	uint64_t seed;
	const char *backend;
	enum output output;
	bool list;
};

struct report {
	const struct arguments *arguments;
	struct place places[MOST_CARDS + 1];
	uint32_t count;
	json_object *rows, *runs;
	bool mismatch;
};

/* ---- Workload ---- */

static int create_workload(const struct arguments *arguments, struct workload *w)
{
	uint64_t random = arguments->seed;

	*w = (struct workload){ .m = arguments->m, .k = arguments->k, .n = arguments->n,
				.seed = arguments->seed };
	w->a = malloc((size_t)w->m * w->k * sizeof(*w->a));
	w->b = malloc((size_t)w->k * w->n * sizeof(*w->b));
	w->permutation = malloc(w->k * sizeof(*w->permutation));
	if (!w->a || !w->b || !w->permutation)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)w->m * w->k; i++)
		w->a[i] = (float)random_normal(&random);
	for (size_t i = 0; i < (size_t)w->k * w->n; i++)
		w->b[i] = (float)random_normal(&random);
	for (uint32_t i = 0; i < w->k; i++)
		w->permutation[i] = i;
	shuffle(w->permutation, w->k, &random);
	return 0;
}

static void destroy_workload(struct workload *w)
{
	free(w->a);
	free(w->b);
	free(w->permutation);
}

/* ---- Places ---- */

static int open_place(struct report *report, const char *name)
{
	int error = place_open(&report->places[report->count], name);

	report->count += !error;
	return error;
}

/* The cards that are there, and the CPU unless only cards are wanted. */
static int open_places(struct report *report)
{
	const char *backend = report->arguments->backend;
	struct quire_card_name cards[MOST_CARDS];
	int found = strcmp(backend, "cpu") ? quire_enumerate(cards, MOST_CARDS) : 0, error = 0;

	if (found < 0)
		return found;
	for (int i = 0; !error && i < found && i < MOST_CARDS; i++) {
		char name[12];

		snprintf(name, sizeof(name), "%u", cards[i].index);
		error = open_place(report, name);
	}
	if (!error && !found && !strcmp(backend, "card"))
		error = place_open(&report->places[0], "0"); /* says what is missing */
	if (!error && strcmp(backend, "card"))
		error = open_place(report, "cpu");
	return error;
}

/* ---- Rows ---- */

static void add_runs(struct report *report, const struct mode *mode)
{
	for (uint32_t i = 0; i < mode->count; i++) {
		const struct run *run = &mode->runs[i];
		json_object *row = json_object_new_object();

		row_put_string(row, "mode", mode->name);
		row_put_string(row, "run", run->what);
		row_put_digest(row, "digest", run->digest);
		row_put_number(row, "differing_percent", 100.0 * run->differing / mode->elements);
		json_object_array_add(report->runs, row);
	}
}

static void add_mode(struct report *report, const struct mode *mode)
{
	json_object *row = json_object_new_object();
	uint32_t distinct = mode_distinct(mode);
	bool broken = mode->exact && distinct != 1;

	row_put_string(row, "mode", mode->name);
	row_put_integer(row, "runs", mode->count);
	row_put_integer(row, "distinct", distinct);
	row_put_number(row, "differing_percent", 100 * mode_differing(mode));
	row_put_string(row, "verdict", broken ? "BROKEN" : mode->exact ? "one result" :
				       distinct == 1 ? "one result here" : "depends on order");
	row_put_digest(row, "digest", mode->runs[0].digest);
	json_object_array_add(report->rows, row);
	add_runs(report, mode);
	report->mismatch |= broken;
}

static int run_exact_modes(struct report *report, const struct workload *w)
{
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(arithmetics) / sizeof(arithmetics[0]); i++) {
		struct mode mode;

		error = mode_create(&mode, arithmetics[i].name, true, w->m * w->n);
		error = error ? error : run_arithmetic(&arithmetics[i], w, report->places,
						       report->count, &mode);
		if (!error)
			add_mode(report, &mode);
		mode_destroy(&mode);
	}
	return error;
}

static int run_other_modes(struct report *report, const struct workload *w)
{
	struct mode permuted, sums, rounded, blas;
	uint32_t elements = w->m * w->n;
	int error = mode_create(&permuted, "bf16 fp32, k permuted", false, elements);

	error = mode_create(&sums, "FP32 sums on the host", false, elements) ? -ENOMEM : error;
	error = mode_create(&rounded, "the same, rounded to bf16", false, elements) ? -ENOMEM : error;
	error = mode_create(&blas, "OpenBLAS sgemm", false, elements) ? -ENOMEM : error;
	error = error ? error : run_permuted(w, report->places, report->count, &permuted);
	error = error ? error : run_sums(w, &sums, &rounded);
	error = error ? error : run_openblas(w, &blas);
	if (error >= 0) {
		add_mode(report, &permuted);
		add_mode(report, &sums);
		add_mode(report, &rounded);
		if (!error)
			add_mode(report, &blas);
	}
	mode_destroy(&permuted);
	mode_destroy(&sums);
	mode_destroy(&rounded);
	mode_destroy(&blas);
	return error < 0 ? error : 0;
}

/* ---- Output ---- */

static json_object *describe_places(const struct report *report)
{
	json_object *devices = json_object_new_array();

	for (uint32_t i = 0; i < report->count; i++) {
		json_object *device = json_object_new_object();

		row_put_string(device, "name", report->places[i].name);
		row_put_integer(device, "engines", report->places[i].engines);
		json_object_array_add(devices, device);
	}
	return devices;
}

static void print_report(const struct report *report)
{
	const struct arguments *a = report->arguments;

	if (a->output == OUTPUT_CSV) {
		rows_print_csv(a->list ? report->runs : report->rows);
	} else if (a->output == OUTPUT_JSON) {
		json_object *all = json_object_new_object();

		row_put_string(all, "schema", "quire-repro/1");
		row_put_string(all, "version", quire_version());
		row_put_integer(all, "m", a->m);
		row_put_integer(all, "k", a->k);
		row_put_integer(all, "n", a->n);
		row_put_integer(all, "seed", a->seed);
		json_object_object_add(all, "devices", describe_places(report));
		json_object_object_add(all, "results", json_object_get(report->rows));
		json_object_object_add(all, "runs", json_object_get(report->runs));
		report_print_json(all);
		json_object_put(all);
	} else {
		printf("One product, %u x %u times %u x %u, seed %llu, computed by ", a->m, a->k, a->k,
		       a->n, (unsigned long long)a->seed);
		for (uint32_t i = 0; i < report->count; i++)
			printf("%s (%u engines), ", report->places[i].name, report->places[i].engines);
		printf("this process\n\n");
		table_print(a->list ? report->runs : report->rows);
	}
}

static int run(const struct arguments *arguments)
{
	struct report report = { .arguments = arguments };
	struct workload workload;
	int error = create_workload(arguments, &workload), status;

	report.rows = json_object_new_array();
	report.runs = json_object_new_array();
	error = error ? error : open_places(&report);
	error = error ? error : run_exact_modes(&report, &workload);
	error = error ? error : run_other_modes(&report, &workload);
	status = exit_status_of(error);
	if (error == -ENOMEM)
		fprintf(stderr, "quire-repro: not enough memory\n");
	else if (error == -EBADMSG)
		fprintf(stderr, "quire-repro: a device told a digest that its result does not have\n");
	else if (error)
		fprintf(stderr, "quire-repro: %s\n", quire_last_error());
	else
		print_report(&report);
	if (!error && report.mismatch) {
		fprintf(stderr, "quire-repro: an exact mode gave more than one result (--runs lists them)\n");
		status = STATUS_MISMATCH;
	}
	for (uint32_t i = 0; i < report.count; i++)
		place_close(&report.places[i]);
	json_object_put(report.rows);
	json_object_put(report.runs);
	destroy_workload(&workload);
	return status;
}

/* ---- Options ---- */

static const struct argp_option options[] = {
	{ "shape", 's', "MxKxN", 0, "an M x K matrix times a K x N one (64x4096x64)", 0 },
	{ "seed", 'S', "N", 0, "of the operands, independent normal numbers (7)", 0 },
	{ "backend", 'b', "NAME", 0, "auto: all cards and the CPU (default); card or cpu", 0 },
	{ "runs", 'r', NULL, 0, "list every run, not only the modes", 0 },
	{ "json", 'j', NULL, 0, "print JSON, schema quire-repro/1", 0 },
	{ "csv", 'c', NULL, 0, "print CSV", 0 },
	{ 0 },
};

static void parse_shape(const char *text, struct arguments *arguments, struct argp_state *state)
{
	int end = 0;

	if (sscanf(text, "%8ux%8ux%8u%n", &arguments->m, &arguments->k, &arguments->n, &end) != 3 ||
	    text[end] || !arguments->m || !arguments->k || !arguments->n ||
	    (uint64_t)arguments->m * arguments->n > ELEMENT_LIMIT ||
	    (uint64_t)arguments->m * arguments->k > OPERAND_LIMIT ||
	    (uint64_t)arguments->k * arguments->n > OPERAND_LIMIT)
		argp_error(state, "--shape is \"%s\", must be MxKxN with M N <= 2^18 and M K, K N <= 2^26",
			   text);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	char *end;

	switch (key) {
	case 's': parse_shape(value, arguments, state); break;
	case 'S':
		arguments->seed = strtoull(value, &end, 0);
		if (*end || end == value)
			argp_error(state, "--seed is \"%s\", must be a number", value);
		break;
	case 'b':
		if (strcmp(value, "auto") && strcmp(value, "card") && strcmp(value, "cpu"))
			argp_error(state, "--backend is \"%s\", must be auto, card or cpu", value);
		arguments->backend = value;
		break;
	case 'r': arguments->list = true; break;
	case 'j': arguments->output = OUTPUT_JSON; break;
	case 'c': arguments->output = OUTPUT_CSV; break;
	case ARGP_KEY_ARG: argp_error(state, "unexpected \"%s\"", value); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, NULL,
		"Compute one matrix product in many ways and count the distinct results.\v"
		"Threads, kernels, bands, parts along k, orders, cards: modes with an exact accumulator "
		"must give one result (exit status 7 if not). Sums in FP32 give as many as there are orders.",
		NULL, NULL, NULL };
	struct arguments arguments = { .m = 64, .k = 4096, .n = 64, .seed = 7, .backend = "auto" };

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	return run(&arguments);
}
