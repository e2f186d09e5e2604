// SPDX-License-Identifier: MIT
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../exit_status.h"
#include "../gnuplot.h"
#include "advise.h"

const char *argp_program_version = "quire-advise 0.1.0";

enum { OPTION_ENERGY = 256, OPTION_COLUMNS, OPTION_COVARIANCE, OPTION_DETAIL };

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "The budget, one of:", 1 },
	{ "tau", 't', "TAU", 0, "relative error in the Frobenius norm, 1e-27 to 1; least bytes", 1 },
	{ "bytes", 'b', "N", 0, "bytes of the image (K, M and G may follow); least error", 1 },
	{ "energy", OPTION_ENERGY, "PJ", 0, "modelled pJ of a product; least error", 1 },
	{ NULL, 0, NULL, 0, "What is stored how:", 2 },
	{ "tile", 'T', "SHAPE", 0, "32x32 (default), 16x16, 64x64 or 1x256", 2 },
	{ "widths", 'w', "LIST", 0, "allowed bits, such as 0,8,16,32 (all of 0, 3 to 32)", 2 },
	{ "calibration", 'c', "FILE", 0, "batch of inputs, a row each: weigh columns by their mean square", 2 },
	{ "columns", OPTION_COLUMNS, "N", 0, "columns of the product whose energy is modelled (1)", 2 },
	{ "detail", OPTION_DETAIL, NULL, 0, "take away each tile's mean first, for maps of pictures", 2 },
	{ NULL, 0, NULL, 0, "What comes out:", 3 },
	{ "output", 'o', "FILE", 0, "write the tiled matrix as .qtn", 3 },
	{ "map", 'm', "FILE", 0, "draw bits per tile; .svg or .png", 3 },
	{ "covariance", OPTION_COVARIANCE, "WHEN", 0, "test definiteness: auto (symmetric up to 4096), yes, no", 3 },
	{ "threads", 'n', "N", 0, "threads (one for each processor)", 3 },
	{ "json", 'j', NULL, 0, "print JSON, schema quire-advise/1", 3 },
	{ 0 },
};

static double parse_number(const char *text, const char *name, double low, double high,
			   struct argp_state *state)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number >= low && number <= high))
		argp_error(state, "--%s is \"%s\", must be a number from %g to %g", name, text, low,
			   high);
	return number;
}

static uint64_t parse_bytes(const char *text, struct argp_state *state)
{
	static const char suffixes[] = "KMG";
	unsigned long long bytes = 0;
	const char *suffix;
	char *end = NULL;

	if (*text >= '0' && *text <= '9')
		bytes = strtoull(text, &end, 10);
	if (end && *end && (suffix = strchr(suffixes, *end)) && !end[1] && bytes < 1ull << 40)
		bytes <<= 10 * (suffix - suffixes + 1);
	else if (!end || *end)
		bytes = 0;
	if (!bytes)
		argp_error(state, "--bytes is \"%s\", must be a number of bytes; K, M or G may follow",
			   text);
	return bytes;
}

static void parse_tile(const char *text, struct request *request, struct argp_state *state)
{
	int end = 0;

	if (sscanf(text, "%4ux%4u%n", &request->tile_rows, &request->tile_columns, &end) != 2 ||
	    text[end] || !quire_tiled_shape_valid(request->tile_rows, request->tile_columns))
		argp_error(state, "--tile is \"%s\", must be 32x32, 16x16, 64x64 or 1x256", text);
}

static uint64_t parse_widths(const char *text, struct argp_state *state)
{
	const char *at = text;
	uint64_t widths = 0;

	do {
		char *end;
		unsigned long n = strtoul(at, &end, 10);

		if (end == at || n > 32 || n == 1 || n == 2 || (*end && *end != ','))
			argp_error(state, "--widths is \"%s\", must be a list of 0 and 3 to 32", text);
		widths |= QUIRE_WIDTH(n);
		at = *end ? end + 1 : NULL;
	} while (at);
	return widths;
}

static void set_budget(struct request *request, uint32_t budget, bool *chosen,
		       struct argp_state *state)
{
	if (*chosen)
		argp_error(state, "only one of --tau, --bytes and --energy can be the budget");
	*chosen = true;
	request->budget = budget;
}

static const char *covariance_words[] = { "auto", "yes", "no" };

struct input {
	struct request request;
	bool chosen;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct input *input = state->input;
	struct request *request = &input->request;
	size_t word = 0;

	switch (key) {
	case 't':
		set_budget(request, QUIRE_BUDGET_ERROR, &input->chosen, state);
		request->tau = parse_number(value, "tau", 1e-27, 1, state);
		break;
	case 'b':
		set_budget(request, QUIRE_BUDGET_BYTES, &input->chosen, state);
		request->image_bytes = parse_bytes(value, state);
		break;
	case OPTION_ENERGY:
		set_budget(request, QUIRE_BUDGET_ENERGY, &input->chosen, state);
		request->modelled_pj = (uint64_t)parse_number(value, "energy", 1, 1e18, state);
		break;
	case 'T': parse_tile(value, request, state); break;
	case 'w': request->widths = parse_widths(value, state); break;
	case 'c': request->calibration = value; break;
	case OPTION_COLUMNS:
		request->product_columns = (uint32_t)parse_number(value, "columns", 1, 1 << 24, state);
		break;
	case OPTION_DETAIL: request->detail = true; break;
	case 'o': request->image = value; break;
	case 'm':
		if (!gnuplot_can_draw(value))
			argp_error(state, "--map is \"%s\", must end in .svg or .png", value);
		request->map = value;
		break;
	case OPTION_COVARIANCE:
		while (word < 3 && strcmp(value, covariance_words[word]))
			word++;
		if (word == 3)
			argp_error(state, "--covariance is \"%s\", must be auto, yes or no", value);
		request->covariance = (enum covariance)word;
		break;
	case 'n': request->threads = (unsigned int)parse_number(value, "threads", 1, 1024, state); break;
	case 'j': request->output = OUTPUT_JSON; break;
	case ARGP_KEY_ARG:
		if (request->name)
			argp_error(state, "one matrix at a time; \"%s\" is a second one", value);
		request->name = value;
		break;
	case ARGP_KEY_END:
		if (!request->name)
			argp_error(state, "a matrix is needed");
		if (request->image && request->detail)
			argp_error(state, "--output and --detail exclude each other: the means are not stored");
		if (!input->chosen)
			argp_error(state, "a budget is needed: --tau, --bytes or --energy");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "MATRIX",
		"Choose for each tile of a matrix how many bits it needs, and certify the error.\v"
		"MATRIX is an npy, CSV (also .gz), PGM, PPM or .qtn file, or generated: "
		"\"matern[:points=1024,nu=1/2,beta=0.03,nugget=1e-4,seed=7]\", a covariance of scattered "
		"points; \"rbf:digits.csv.gz\", a kernel of handwritten digits.",
		NULL, NULL, NULL };
	struct input input = { .request = { .tile_rows = 32, .tile_columns = 32 } };
	struct answer answer;
	int status;

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &input);
	status = ask(&input.request, &answer);
	if (!status && input.request.map)
		status = draw_map(&input.request, &answer);
	if (!status)
		report(&input.request, &answer);
	answer_free(&answer);
	return status;
}
