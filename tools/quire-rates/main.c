// SPDX-License-Identifier: MIT
#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../exit_status.h"
#include "../gnuplot.h"
#include "../progress.h"
#include "../rows.h"
#include "../table.h"
#include "rates.h"

#define SOURCES "modelled figures are arithmetic, not measurements: uapi/quire/model.h " \
	"(Jouppi et al., ISCA 2021; Horowitz, ISSCC 2014; full-adder counts), 40 pJ per byte of card memory"

const char *argp_program_version = "quire-rates 0.1.0";

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV };

static const struct workload {
	const char *name;
	uint32_t matrices;
	int (*run)(quire_context *context, const struct options *options, json_object *rows);
	const char *title, *bits_key, *energy_key, *energy_label;
} workloads[] = {
	{ "digits", 0, rate_digits, "digit classifier", "bits_per_weight", "modelled_nj_per_answer",
	  "modelled nJ per answer, batch of one" },
	{ "covariance", 1, rate_covariance, "covariance", "bits_per_element",
	  "modelled_uj_per_product", "modelled uJ per product with a vector" },
	{ "pair", 2, rate_pair, "product of two matrices", "bits_per_element",
	  "modelled_uj_per_product", "modelled uJ per product" },
};

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

struct arguments {
	const struct workload *workload;
	struct options options;
	const char *device, *plot;
	enum output output;
};

int complain(int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("quire-rates: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return error;
}

/* The split by width is for programs: the table is wide enough. */
static void drop_widths(json_object *rows)
{
	static const char *const keys[] = { "macs_8_bits", "macs_16_bits", "macs_32_bits" };

	for (size_t i = 0; i < json_object_array_length(rows); i++)
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			json_object_object_del(json_object_array_get_idx(rows, i), keys[k]);
}

static void print_rows(const struct arguments *arguments, const char *backend, json_object *rows)
{
	if (arguments->output == OUTPUT_CSV) {
		rows_print_csv(rows);
	} else if (arguments->output == OUTPUT_JSON) {
		json_object *all = json_object_new_object();

		row_put_string(all, "schema", "quire-rates/1");
		row_put_string(all, "version", quire_version());
		row_put_string(all, "workload", arguments->workload->name);
		row_put_string(all, "matrix", arguments->options.name);
		row_put_string(all, "backend", backend);
		row_put_string(all, "source", SOURCES);
		json_object_object_add(all, "results", json_object_get(rows));
		report_print_json(all);
		json_object_put(all);
	} else {
		printf("%s, backend %s\n\n", arguments->workload->title, backend);
		drop_widths(rows);
		table_print(rows);
		printf("\n" SOURCES "\n");
	}
}

static int run_workload(const struct arguments *arguments, quire_device *device)
{
	const struct workload *workload = arguments->workload;
	struct quire_device_info info = { .size = sizeof(info) };
	json_object *rows = json_object_new_array();
	quire_context *context = NULL;
	int error = quire_device_get_info(device, &info);

	error = error ? error : quire_context_create(device, 0, &context);
	if (error)
		complain(error, "%s", quire_last_error());
	error = error ? error : workload->run(context, &arguments->options, rows);
	if (arguments->options.progress)
		progress_show("", 1);
	if (!error && arguments->plot &&
	    draw_rates(arguments->plot, workload->title, rows, workload->bits_key,
		       workload->energy_key, workload->energy_label))
		error = -ENOENT;
	if (!error)
		print_rows(arguments, info.backend, rows);
	json_object_put(rows);
	quire_context_unref(context);
	return error ? exit_status_of(error) : STATUS_OK;
}

/* ---- Options ---- */

static const struct argp_option options[] = {
	{ "data", 'D', "FILE", 0, "digits: the images, digits.csv.gz of scikit-learn", 0 },
	{ "seeds", 's', "N", 0, "digits: networks to take the mean of (5)", 0 },
	{ "tau", 't', "LIST", 0, "error budgets of tiles, such as 0.1,0.01", 0 },
	{ "plot", 'p', "FILE", 0, "draw error over bits and energy; .svg or .png", 0 },
	{ "device", 'd', "NAME", 0, "card: index, PCI address or serial:NUMBER", 0 },
	{ "backend", 'b', "NAME", 0, "auto (default), card or cpu", 0 },
	{ "json", 'j', NULL, 0, "print JSON, schema quire-rates/1", 0 },
	{ "csv", 'c', NULL, 0, "print CSV", 0 },
	{ 0 },
};

static void parse_taus(const char *text, struct options *options, struct argp_state *state)
{
	const char *at = text;

	options->tau_count = 0;
	do {
		char *end;
		double tau = strtod(at, &end);

		if (end == at || (*end && *end != ',') || !(tau >= 1e-27 && tau <= 1) ||
		    options->tau_count == 16)
			argp_error(state, "--tau is \"%s\", must be up to 16 numbers from 1e-27 to 1",
				   text);
		options->taus[options->tau_count++] = tau;
		at = *end ? end + 1 : NULL;
	} while (at);
}

static void take_word(const char *value, struct arguments *arguments, struct argp_state *state)
{
	if (!arguments->workload) {
		for (size_t i = 0; i < WORKLOADS; i++)
			if (!strcmp(workloads[i].name, value))
				arguments->workload = &workloads[i];
		if (!arguments->workload)
			argp_error(state, "unknown workload \"%s\"; digits, covariance and pair are known",
				   value);
	} else if (!arguments->options.name && arguments->workload->matrices > 0) {
		arguments->options.name = value;
	} else if (!arguments->options.second && arguments->workload->matrices > 1) {
		arguments->options.second = value;
	} else {
		argp_error(state, "unexpected \"%s\"", value);
	}
}

static void check(struct arguments *arguments, struct argp_state *state)
{
	struct options *o = &arguments->options;

	if (!arguments->workload)
		argp_error(state, "a workload is needed: digits, covariance or pair");
	if (arguments->workload->run == rate_digits && !o->data)
		argp_error(state, "digits needs --data");
	if (arguments->workload->run == rate_covariance && !o->name)
		o->name = "matern";
	if (arguments->workload->matrices == 2 && !o->second)
		argp_error(state, "pair needs two matrices");
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	char *end;

	switch (key) {
	case 'D': arguments->options.data = value; break;
	case 's':
		arguments->options.seeds = (uint32_t)strtoul(value, &end, 10);
		if (*end || arguments->options.seeds < 1 || arguments->options.seeds > 100)
			argp_error(state, "--seeds is \"%s\", must be 1 to 100", value);
		break;
	case 't': parse_taus(value, &arguments->options, state); break;
	case 'p':
		if (!gnuplot_can_draw(value))
			argp_error(state, "--plot is \"%s\", must end in .svg or .png", value);
		arguments->plot = value;
		break;
	case 'd': arguments->device = value; break;
	case 'b':
		if (strcmp(value, "auto") && strcmp(value, "card") && strcmp(value, "cpu"))
			argp_error(state, "--backend is \"%s\", must be auto, card or cpu", value);
		setenv("QUIRE_BACKEND", value, 1);
		break;
	case 'j': arguments->output = OUTPUT_JSON; break;
	case 'c': arguments->output = OUTPUT_CSV; break;
	case ARGP_KEY_ARG: take_word(value, arguments, state); break;
	case ARGP_KEY_END: check(arguments, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "digits --data FILE\ncovariance [MATRIX]\npair MATRIX MATRIX",
		"What accuracy costs: one workload in every format, accumulator mode and tile budget.\v"
		"MATRIX is a file or a generated matrix as quire-advise takes it; covariance alone takes "
		"\"matern\". Each row is computed twice in different ways: \"repeatable\" says whether "
		"the bits were the same.",
		NULL, NULL, NULL };
	struct arguments arguments = { .options = { .seeds = 5 } };
	quire_device *device;
	int error, status;

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	arguments.options.progress = progress_wanted();
	error = quire_open(arguments.device, &device);
	if (error)
		return exit_status_of(complain(error, "%s", quire_last_error()));
	status = run_workload(&arguments, device);
	quire_device_unref(device);
	return status;
}
