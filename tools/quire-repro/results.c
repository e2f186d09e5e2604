// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repro.h"

int mode_create(struct mode *mode, const char *name, bool exact, uint32_t elements)
{
	memset(mode, 0, sizeof(*mode));
	mode->name = name;
	mode->exact = exact;
	mode->elements = elements;
	mode->first = malloc(elements * sizeof(*mode->first));
	return mode->first ? 0 : -ENOMEM;
}

void mode_destroy(struct mode *mode)
{
	free(mode->first);
	free(mode->runs);
	memset(mode, 0, sizeof(*mode));
}

/* The digest of quire/format.h of one row of elements; so it is the card's own. */
static uint64_t digest_of(const uint32_t *result, uint32_t elements)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < elements; i++)
		sum += quire_digest_word(i, result[i]);
	return sum;
}

int mode_add(struct mode *mode, const uint32_t *result, const char *what, ...)
{
	struct run *run;
	va_list arguments;

	if (mode->count == mode->room) {
		uint32_t room = mode->room ? 2 * mode->room : 16;
		struct run *more = realloc(mode->runs, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		mode->runs = more;
		mode->room = room;
	}
	if (!mode->count)
		memcpy(mode->first, result, mode->elements * sizeof(*result));
	run = &mode->runs[mode->count++];
	va_start(arguments, what);
	vsnprintf(run->what, sizeof(run->what), what, arguments);
	va_end(arguments);
	run->digest = digest_of(result, mode->elements);
	run->differing = 0;
	for (uint32_t i = 0; i < mode->elements; i++)
		run->differing += result[i] != mode->first[i];
	return 0;
}

uint32_t mode_distinct(const struct mode *mode)
{
	uint32_t distinct = 0;

	for (uint32_t i = 0; i < mode->count; i++) {
		uint32_t earlier = 0;

		while (earlier < i && mode->runs[earlier].digest != mode->runs[i].digest)
			earlier++;
		distinct += earlier == i;
	}
	return distinct;
}

double mode_differing(const struct mode *mode)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < mode->count; i++)
		most = mode->runs[i].differing > most ? mode->runs[i].differing : most;
	return (double)most / mode->elements;
}
