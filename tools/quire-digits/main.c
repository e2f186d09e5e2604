// SPDX-License-Identifier: MIT
/* Train a digit classifier on the card, in several number formats, and compare. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>
#include <portable_math.h>

#include "../progress.h"
#include "network.h"

#define SEED 7
#define RATE 0.1f
#define DEFAULT_EPOCHS 20
#define STEPS (TRAIN / BATCH)

const char *argp_program_version = "quire-digits 0.1.0";

/* The last one runs only with --tiles, which sets its tau. */
static struct number_choice choices[] = {
	{ "fp32", QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP32, 0 },
	{ "bf16", QUIRE_FORMAT_BF16, QUIRE_FORMAT_BF16, 0 },
	{ "posit16", QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, 0 },
	{ "posit8", QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, 0 },
	{ "tiles", QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, 0 },
};

#define CHOICES (sizeof(choices) / sizeof(choices[0]))
#define TILES (CHOICES - 1)

struct arguments {
	const char *data;
	const char *backend;
	const char *format;
	unsigned int epochs;
	uint64_t seed;
	bool json;
	bool progress;
};

struct outcome {
	unsigned int right;
	double seconds;
	double bits, last_bits;	/* per weight, with tiles: mean of the epochs, and at the end */
	struct totals totals;
	uint8_t answer[TEST];
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* *bits: mean of the epochs, with tau */
static int train(struct network *network, const struct digits *digits,
		 const struct arguments *arguments, const char *name, double tau, double *bits)
{
	static uint32_t order[TRAIN];
	unsigned int all = arguments->epochs * STEPS, done = 0;
	uint64_t random = arguments->seed;

	*bits = 0;
	for (uint32_t i = 0; i < TRAIN; i++)
		order[i] = i;
	for (unsigned int epoch = 0; epoch < arguments->epochs; epoch++) {
		double now = 0;
		int advised = tau > 0 ? network_advise(network, &now) : 0;

		if (advised)
			return advised;
		*bits += now / arguments->epochs;
		shuffle(order, TRAIN, &random);
		for (unsigned int step = 0; step < STEPS; step++, done++) {
			float left = (float)(all - done) / (float)all;
			int error = network_train(network, digits, order + step * BATCH, RATE * left);

			if (error)
				return error;
			if (arguments->progress && done % 8 == 7)
				progress_show(name, (double)(done + 1) / all);
		}
	}
	if (arguments->progress)
		progress_show(name, 1);
	return 0;
}

/* A context of its own for each format: what it allocated goes with it. */
static int run_choice(quire_device *device, const struct digits *digits,
		      const struct arguments *arguments, const struct number_choice *choice,
		      struct outcome *outcome)
{
	double start = seconds_now();
	struct network *network;
	quire_context *context;
	int error = quire_context_create(device, 0, &context);

	if (error)
		return error;
	network = network_create(context, choice, arguments->seed);
	error = network ? train(network, digits, arguments, choice->name, choice->tau, &outcome->bits) :
			  -1;
	if (!error && choice->tau > 0)
		error = network_advise(network, &outcome->last_bits);
	if (!error)
		error = network_test(network, digits, outcome->answer);
	if (!error) {
		outcome->totals = *network_totals(network);
		outcome->seconds = seconds_now() - start;
		outcome->right = 0;
		for (unsigned int i = 0; i < TEST; i++)
			outcome->right += outcome->answer[i] == digits->label[TRAIN + i];
	}
	network_destroy(network);
	quire_context_unref(context);
	return error;
}

static void print_header(const char *backend)
{
	printf("Training a 64-128-64-10 network on %d handwritten digits, testing on %d; backend: %s\n",
	       TRAIN, TEST, backend);
	printf("%-8s %9s %8s %8s %9s %14s  %s\n", "format", "accuracy", "seconds", "jobs", "MB moved",
	       "modelled uJ", "digest");
	fflush(stdout);
}

static void print_row(const struct number_choice *choice, const struct outcome *o)
{
	printf("%-8s %9.4f %8.2f %8llu %9.1f %14.1f  %016llx\n", choice->name,
	       (double)o->right / TEST, o->seconds, (unsigned long long)o->totals.jobs,
	       (double)o->totals.bytes * 1e-6, (double)o->totals.modelled_pj * 1e-6,
	       (unsigned long long)o->totals.digest);
	if (o->bits > 0)
		printf("  weights in 16 x 16 tiles, tau %g: %.2f bits per weight (mean of epochs), %.2f at the end\n",
		       choice->tau, o->bits, o->last_bits);
	fflush(stdout);
}

/* A few test images with the answer of the last format, a wrong one among them if any. */
static void print_images(const struct digits *digits, const struct outcome *o, const char *name)
{
	static const char shades[] = " .:-=+*#%@";
	unsigned int shown[6] = { 0, 1, 2, 3, 4, 5 };

	for (unsigned int i = 0; i < TEST; i++) {
		if (o->answer[i] != digits->label[TRAIN + i]) {
			shown[5] = i > 4 ? i : 5;
			break;
		}
	}
	printf("\nSome test images, and what the card says in %s:\n", name);
	for (unsigned int row = 0; row < 8; row++) {
		for (unsigned int i = 0; i < 6; i++) {
			for (unsigned int column = 0; column < 8; column++) {
				float p = digits->pixel[TRAIN + shown[i]][row * 8 + column];
				char shade = shades[(unsigned int)(p * 9.0f + 0.5f)];

				putchar(shade);
				putchar(shade);
			}
			printf("  ");
		}
		putchar('\n');
	}
	for (unsigned int i = 0; i < 6; i++) {
		unsigned int label = digits->label[TRAIN + shown[i]], said = o->answer[shown[i]];

		if (said == label)
			printf("%-18u", said);
		else
			printf("%u (it is a %u)%4s", said, label, "");
	}
	putchar('\n');
}

static json_object *json_row(const struct number_choice *choice, const struct outcome *o)
{
	json_object *row = json_object_new_object();
	char digest[20];

	snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)o->totals.digest);
	json_object_object_add(row, "format", json_object_new_string(choice->name));
	json_object_object_add(row, "master_format",
			       json_object_new_string(quire_format_name(choice->master)));
	json_object_object_add(row, "accuracy", json_object_new_double((double)o->right / TEST));
	if (o->bits > 0) {
		json_object_object_add(row, "bits_per_weight", json_object_new_double(o->bits));
		json_object_object_add(row, "bits_per_weight_at_end",
				       json_object_new_double(o->last_bits));
	}
	json_object_object_add(row, "seconds", json_object_new_double(o->seconds));
	json_object_object_add(row, "jobs", json_object_new_uint64(o->totals.jobs));
	json_object_object_add(row, "macs", json_object_new_uint64(o->totals.macs));
	json_object_object_add(row, "bytes_moved", json_object_new_uint64(o->totals.bytes));
	json_object_object_add(row, "modelled_pj", json_object_new_uint64(o->totals.modelled_pj));
	json_object_object_add(row, "digest", json_object_new_string(digest));
	return row;
}

static int run_all(quire_device *device, const struct digits *digits,
		   const struct arguments *arguments)
{
	struct quire_device_info info = { .size = sizeof(info) };
	json_object *rows = json_object_new_array();
	const struct number_choice *last = NULL;
	static struct outcome outcome;
	int error = quire_device_get_info(device, &info);

	if (!error && !arguments->json)
		print_header(info.backend);
	for (size_t i = 0; !error && i < CHOICES; i++) {
		if (arguments->format && strcmp(arguments->format, choices[i].name))
			continue;
		if (i == TILES && !(choices[i].tau > 0))
			continue;
		last = &choices[i];
		error = run_choice(device, digits, arguments, last, &outcome);
		if (!error && arguments->json)
			json_object_array_add(rows, json_row(last, &outcome));
		else if (!error)
			print_row(last, &outcome);
	}
	if (!error && arguments->json) {
		json_object *all = json_object_new_object();

		json_object_object_add(all, "schema", json_object_new_string("quire-digits/1"));
		json_object_object_add(all, "backend", json_object_new_string(info.backend));
		json_object_object_add(all, "epochs",
				       json_object_new_int((int)arguments->epochs));
		json_object_object_add(all, "results", json_object_get(rows));
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY));
		json_object_put(all);
	} else if (!error && last) {
		print_images(digits, &outcome, last->name);
	}
	json_object_put(rows);
	if (error)
		fprintf(stderr, "quire-digits: %s\n", quire_last_error());
	return error ? 1 : 0;
}

static const struct argp_option options[] = {
	{ "data", 'd', "FILE", 0, "the images, digits.csv.gz of scikit-learn", 0 },
	{ "backend", 'b', "NAME", 0, "auto, card, cpu or null", 0 },
	{ "format", 'f', "NAME", 0, "only fp32, bf16, posit16 or posit8", 0 },
	{ "tiles", 't', "TAU", 0, "also with weights in tiles, advised anew each epoch", 0 },
	{ "master", 'm', "NAME", 0, "tiles: weights between updates, posit16 (default) or fp32", 0 },
	{ "seed", 's', "N", 0, "of the first weights and the order of images (7)", 0 },
	{ "epochs", 'e', "N", 0, "times through the training images (20)", 0 },
	{ "json", 'j', NULL, 0, "print JSON", 0 },
	{ 0 },
};

static bool is_choice(const char *name)
{
	for (size_t i = 0; i < CHOICES; i++)
		if (!strcmp(choices[i].name, name))
			return true;
	return false;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	char *end;

	switch (key) {
	case 'd': arguments->data = value; break;
	case 'b': arguments->backend = value; break;
	case 'j': arguments->json = true; break;
	case 'f':
		if (!is_choice(value))
			argp_error(state, "unknown format \"%s\"", value);
		arguments->format = value;
		break;
	case 't':
		choices[TILES].tau = strtod(value, &end);
		if (*end || !(choices[TILES].tau >= 1e-6 && choices[TILES].tau <= 1))
			argp_error(state, "--tiles is \"%s\", must be 1e-6 to 1", value);
		break;
	case 'm':
		if (strcmp(value, "posit16") && strcmp(value, "fp32"))
			argp_error(state, "--master is \"%s\", must be posit16 or fp32", value);
		choices[TILES].master = quire_format_parse(value);
		break;
	case 's':
		arguments->seed = strtoull(value, &end, 10);
		if (*end || !arguments->seed)
			argp_error(state, "--seed is \"%s\", must be a whole number above 0", value);
		break;
	case 'e':
		arguments->epochs = (unsigned int)strtoul(value, &end, 10);
		if (*end || arguments->epochs < 1 || arguments->epochs > 1000)
			argp_error(state, "epochs must be 1 to 1000");
		break;
	case ARGP_KEY_ARG: argp_error(state, "unexpected \"%s\"", value); break;
	case ARGP_KEY_END:
		if (!arguments->data)
			argp_error(state, "--data is needed");
		if (arguments->format && !strcmp(arguments->format, "tiles") && !(choices[TILES].tau > 0))
			argp_error(state, "--format tiles needs --tiles");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, NULL,
		"Train a digit classifier on the card in several number formats.\v"
		"With a given seed the digests are the same on every run and machine. "
		"A progress bar is shown on a terminal, or when QUIRE_PROGRESS is \"always\".",
		NULL, NULL, NULL };
	struct arguments arguments = { .epochs = DEFAULT_EPOCHS, .seed = SEED };
	static struct digits digits;
	quire_device *device;
	int status;

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	arguments.progress = progress_wanted();
	if (digits_load(arguments.data, SEED, &digits))
		return 1;
	if (arguments.backend)
		setenv("QUIRE_BACKEND", arguments.backend, 1);
	if (quire_open(NULL, &device)) {
		fprintf(stderr, "quire-digits: %s\n", quire_last_error());
		return 3;
	}
	status = run_all(device, &digits, &arguments);
	quire_device_unref(device);
	return status;
}
