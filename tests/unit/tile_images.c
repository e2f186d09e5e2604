// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tile_images.h"

const uint32_t shapes[SHAPES][2] = { { 32, 32 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };

static uint64_t seed = 1;

uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

double number(int spread)
{
	double x = ldexp((double)(int64_t)rnd(), -63);

	return ldexp(x, (int)(rnd() % (unsigned int)(2 * spread + 1)) - spread);
}

double posit_value(uint64_t pattern, uint32_t n)
{
	bool negative = pattern >> (n - 1) & 1;
	uint64_t m = negative ? -pattern & ((1ull << n) - 1) : pattern;
	int i = (int)n - 2, run = 0, e = 0, first;
	double fraction = 1, weight = 0.5;

	if (!pattern)
		return 0;
	if (pattern == 1ull << (n - 1))
		return NAN;
	first = (int)(m >> i & 1);
	for (; i >= 0 && (int)(m >> i & 1) == first; i--)
		run++;
	i--;
	for (int b = 2; b; b >>= 1, i--)
		e += i >= 0 && m >> i & 1 ? b : 0;
	for (; i >= 0; i--, weight /= 2)
		fraction += m >> i & 1 ? weight : 0;
	fraction = ldexp(fraction, 4 * (first ? run - 1 : -run) + e);
	return negative ? -fraction : fraction;
}

uint64_t posit_round(double x, uint32_t n)
{
	uint64_t low = 0, high = (1ull << (n - 1)) - 1, top = high;
	double magnitude = fabs(x), middle;

	if (!isfinite(x))
		return 1ull << (n - 1);
	if (x == 0)
		return 0;
	while (low < high) {
		uint64_t m = low + (high - low + 1) / 2;

		if (posit_value(m, n) <= magnitude)
			low = m;
		else
			high = m - 1;
	}
	if (low == 0) {
		low = 1;
	} else if (low < top && posit_value(low, n) != magnitude) {
		middle = posit_value(low << 1 | 1, n + 1);
		low += magnitude > middle || (magnitude == middle && low & 1);
	}
	return x < 0 ? -low & ((1ull << n) - 1) : low;
}

uint64_t read_bits(const uint8_t *data, uint64_t position, uint32_t n)
{
	uint64_t value = 0;

	for (uint32_t b = 0; b < n; b++)
		value |= (uint64_t)(data[(position + b) / 8] >> (position + b) % 8 & 1) << b;
	return value;
}

uint64_t pattern_at(const void *image, uint32_t row, uint32_t column)
{
	const struct quire_tiled_header *h = image;
	const struct quire_tile *tile = (const struct quire_tile *)(h + 1);
	uint32_t grid = (h->columns + h->tile_columns - 1) / h->tile_columns;
	uint64_t element = row % h->tile_rows * h->tile_columns + column % h->tile_columns;

	tile += row / h->tile_rows * grid + column / h->tile_columns;
	if (!tile->bits)
		return 0;
	return read_bits((const uint8_t *)image + tile->offset * 32ull, element * tile->bits,
			 tile->bits);
}

struct image make(struct quire_tiled_shape shape, const double *x, uint32_t ld,
			 struct quire_tile_choice (*choose)(uint64_t tile),
			 struct quire_threads *threads)
{
	const struct quire_dense dense = { x, QUIRE_FORMAT_FP64, 0, ld };
	struct image im = { .shape = shape };
	uint64_t count = quire_tiled_count(&shape);

	assert_true(count > 0);
	im.choices = malloc(count * sizeof(*im.choices));
	for (uint64_t i = 0; i < count; i++)
		im.choices[i] = choose(i);
	im.bytes = quire_tiled_plan(&shape, im.choices);
	assert_true(im.bytes > 0);
	im.data = aligned_alloc(64, (im.bytes + 63) / 64 * 64);
	assert_int_equal(quire_tiled_pack(&shape, &dense, im.choices, im.data, im.bytes, threads), 0);
	return im;
}

void drop(struct image *im)
{
	free(im->choices);
	free(im->data);
}

uint32_t fixed_bits;
int32_t fixed_scale;

struct quire_tile_choice choose_fixed(uint64_t tile)
{
	(void)tile;
	return (struct quire_tile_choice){ (uint8_t)fixed_bits, (int8_t)fixed_scale };
}

struct quire_tile_choice choose_mixed(uint64_t tile)
{
	static const uint8_t bits[] = { 0, 3, 8, 16, 5, 13, 32, 27, 0, 6, 11, 7 };
	uint8_t n = bits[tile % 12];

	return (struct quire_tile_choice){
		n, n ? quire_tile_clamp_scale(n, (int32_t)(tile % 17) - 8) : 0 };
}

void select_kernel(const char *name)
{
	if (quire_kernel_select(name) == -ENOTSUP)
		quire_kernel_select(NULL);
}
