// SPDX-License-Identifier: MIT
/* Options that all sub-commands know, and opening what they name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const struct argp_option common[] = {
	{ "device", 'd', "NAME", 0, "card: index, PCI address or serial:NUMBER", 1 },
	{ "backend", 'b', "NAME", 0, "card (default), cpu or null", 1 },
	{ "seconds", 't', "S", 0, "time to spend on each figure (0.5)", 1 },
	{ "json", 'j', NULL, 0, "print JSON, schema quire-bench/1", 1 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct bench_options *options = state->input;
	char *end;

	switch (key) {
	case 'd': options->device = value; break;
	case 'b': setenv("QUIRE_BACKEND", value, 1); break;
	case 'j': options->json = true; break;
	case 't':
		options->seconds = strtod(value, &end);
		if (*end || !(options->seconds >= 0 && options->seconds <= 3600))
			argp_error(state, "--seconds is \"%s\", must be 0 to 3600", value);
		break;
	case ARGP_KEY_ARG: argp_error(state, "unexpected \"%s\"", value); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

const struct argp bench_options_argp = { common, parse, NULL, NULL, NULL, NULL, NULL };

int bench_error(int error)
{
	fprintf(stderr, "quire-bench: %s\n", quire_last_error());
	return exit_status_of(error);
}

int bench_open(const struct bench_options *options, quire_device **device)
{
	int error;

	/* A benchmark that takes the CPU because there is no card would mislead. */
	setenv("QUIRE_BACKEND", "card", 0);
	error = quire_open(options->device, device);
	return error ? bench_error(error) : 0;
}

uint64_t bench_parse_size(const char *text)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	unsigned long long size;
	char *end;

	if (*text < '0' || *text > '9')
		return 0;
	size = strtoull(text, &end, 10);
	if (size > 1ull << 40)
		return 0;
	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end[1])
			return 0;
		size <<= 10 * (suffix - suffixes + 1);
	}
	return size > 1ull << 40 ? 0 : size;
}

bool bench_next_element(const char **list, char *element, size_t room)
{
	size_t length = strcspn(*list, ",");

	if (!length || length >= room)
		return false;
	memcpy(element, *list, length);
	element[length] = '\0';
	*list = (*list)[length] ? *list + length + 1 : NULL;
	return true;
}
