// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <portable_math.h>

#include "data.h"

/* 64 pixels and a label, separated by commas; false when the line is something else. */
static int parse_line(const char *line, float *pixel, uint8_t *label)
{
	const char *at = line;

	for (int i = 0; i <= PIXELS; i++) {
		char *end;
		double value = strtod(at, &end);

		if (end == at || value < 0 || value > 16 || *end != (i < PIXELS ? ',' : '\n'))
			return 0;
		if (i < PIXELS)
			pixel[i] = (float)(value / 16);
		else
			*label = (uint8_t)value;
		at = end + 1;
	}
	return *label < CLASSES;
}

int digits_load(const char *path, uint64_t seed, struct digits *digits)
{
	struct digits *raw = malloc(sizeof(*raw));
	static uint32_t order[IMAGES];
	gzFile file = gzopen(path, "rb");
	char line[4096];
	int read = 0;

	if (!file || !raw) {
		fprintf(stderr, "quire-digits: %s: %s\n", path, strerror(errno));
		if (file)
			gzclose(file);
		free(raw);
		return -1;
	}
	while (read < IMAGES && gzgets(file, line, sizeof(line))) {
		if (!parse_line(line, raw->pixel[read], &raw->label[read]))
			break;
		read++;
	}
	gzclose(file);
	if (read != IMAGES) {
		fprintf(stderr, "quire-digits: %s: line %d is not 64 pixels and a label; is this digits.csv.gz?\n",
			path, read + 1);
		free(raw);
		return -1;
	}
	for (uint32_t i = 0; i < IMAGES; i++)
		order[i] = i;
	shuffle(order, IMAGES, &seed);
	for (uint32_t i = 0; i < IMAGES; i++) {
		memcpy(digits->pixel[i], raw->pixel[order[i]], sizeof(digits->pixel[i]));
		digits->label[i] = raw->label[order[i]];
	}
	free(raw);
	return 0;
}
