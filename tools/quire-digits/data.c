// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data.h"

/* Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014. */
uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void shuffle(uint32_t *numbers, uint32_t count, uint64_t *state)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = (uint32_t)(next_random(state) % i);
		uint32_t t = numbers[i - 1];

		numbers[i - 1] = numbers[j];
		numbers[j] = t;
	}
}

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
