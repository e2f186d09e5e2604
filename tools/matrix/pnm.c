// SPDX-License-Identifier: MIT
/*
 * Photographs as Netpbm writes them: PGM (P2, P5) and PPM (P3, P6), 8 or 16
 * bits.  Elements are the samples as they are, 0 to the maximum; of a colour
 * picture the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).
 * Source: pgm(5), ppm(5).
 */
#include <stdio.h>
#include <string.h>

#include "matrix.h"

struct cursor {
	const uint8_t *at, *end;
};

static int fail(char *error, const char *text)
{
	snprintf(error, MATRIX_ERROR_BYTES, "%s", text);
	return -1;
}

static bool is_space(uint8_t byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* A number of the header or of P2 and P3; comments run from # to the end of a line. */
static bool take_number(struct cursor *c, uint32_t limit, uint32_t *number)
{
	uint32_t value = 0;

	while (c->at < c->end && (is_space(*c->at) || *c->at == '#')) {
		if (*c->at == '#')
			while (c->at < c->end && *c->at != '\n')
				c->at++;
		else
			c->at++;
	}
	if (c->at == c->end || *c->at < '0' || *c->at > '9')
		return false;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
		value = value * 10 + (uint32_t)(*c->at - '0');
		if (value > limit)
			return false;
	}
	*number = value;
	return true;
}

static bool take_sample(struct cursor *c, bool plain, uint32_t most, uint32_t *sample)
{
	if (plain)
		return take_number(c, most, sample);
	*sample = *c->at++;
	if (most > 255)
		*sample = *sample << 8 | *c->at++;
	return *sample <= most;
}

static int take_samples(struct cursor *c, bool plain, bool colour, uint32_t most,
			struct matrix *matrix, char *error)
{
	float *out = matrix->memory;

	for (uint64_t i = 0; i < matrix->rows * matrix->columns; i++) {
		uint32_t sample[3];

		for (int channel = 0; channel < (colour ? 3 : 1); channel++)
			if (!take_sample(c, plain, most, &sample[channel]))
				return fail(error, "a sample of the picture is missing or above the maximum");
		/* At most 65535 * 1000 < 2^26: the sum is exact, the quotient rounded twice. */
		out[i] = colour ? (float)((299 * sample[0] + 587 * sample[1] + 114 * sample[2]) /
					  1000.0) :
				  (float)sample[0];
	}
	return 0;
}

int pnm_parse(const uint8_t *bytes, size_t size, struct matrix *matrix, char *error)
{
	struct cursor c;
	uint32_t width, height, most;
	uint64_t samples, need;
	bool plain, colour;

	memset(matrix, 0, sizeof(*matrix));
	if (size < 3 || bytes[0] != 'P' || !strchr("2356", bytes[1]) || !bytes[1])
		return fail(error, "this is no PGM or PPM picture");
	c = (struct cursor){ bytes + 2, bytes + size };
	plain = bytes[1] < '4';
	colour = bytes[1] == '3' || bytes[1] == '6';
	if (!take_number(&c, 1u << 30, &width) || !take_number(&c, 1u << 30, &height) || !width ||
	    !height)
		return fail(error, "the picture's width or height is missing, 0 or above 2^30");
	if (!take_number(&c, 65535, &most) || !most)
		return fail(error, "the picture's maximum must be 1 to 65535");
	if (c.at == c.end || !is_space(*c.at++))
		return fail(error, "the picture is cut off in its header");
	samples = (uint64_t)width * height * (colour ? 3 : 1);
	/* In text each sample takes a digit and, but for the last, a space. */
	need = plain ? 2 * samples - 1 : samples * (most > 255 ? 2 : 1);
	if ((uint64_t)(c.end - c.at) < need) {
		snprintf(error, MATRIX_ERROR_BYTES,
			 "the picture is cut off: %u x %u need at least %llu bytes, %llu follow",
			 width, height, (unsigned long long)need,
			 (unsigned long long)(c.end - c.at));
		return -1;
	}
	if (matrix_alloc(matrix, MATRIX_F32, height, width, error))
		return -1;
	if (!take_samples(&c, plain, colour, most, matrix, error))
		return 0;
	matrix_free(matrix);
	return -1;
}
