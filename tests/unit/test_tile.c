// SPDX-License-Identifier: MIT
/* Tiles: every pattern, every rounding, the layout of images, on every CPU. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <quirenum/threads.h>

#include "../oracle/digest.h"
#include "tile_images.h"

#define KERNELS 3
static const char *const kernels[KERNELS] = { "generic", "avx2", "ifma" };

/* Every pattern of n bits comes back as its value. */
static void check_decode(uint32_t n, int32_t scale)
{
	uint32_t columns = 1024, rows = n <= 16 ? (1u << n) / columns + 1 : 64;
	double *x = calloc(rows * columns, sizeof(*x)), *y = calloc(rows * columns, sizeof(*y));
	const struct quire_tiled_output out = { .data = y, .format = QUIRE_FORMAT_FP64,
						.leading_dimension = columns };
	struct quire_tiled view;
	struct image im;

	for (uint32_t i = 0; i < rows * columns; i++) {
		uint64_t pattern = n <= 16 ? i & ((1u << n) - 1) : rnd() & ((1ull << n) - 1);

		x[i] = ldexp(posit_value(pattern, n), scale);
	}
	fixed_bits = n;
	fixed_scale = scale;
	im = make((struct quire_tiled_shape){ rows, columns, 32, 32 }, x, columns, choose_fixed,
		  NULL);
	assert_int_equal(quire_tiled_open(im.data, im.bytes, &view, NULL), 0);
	assert_int_equal(quire_tiled_unpack(&view, rows, columns, &out, NULL, NULL, NULL), 0);
	for (uint32_t i = 0; i < rows * columns; i++) {
		uint64_t pattern = pattern_at(im.data, i / columns, i % columns);
		double value = ldexp(posit_value(pattern, n), scale);

		if (n <= 16)
			assert_int_equal(pattern, i & ((1u << n) - 1));
		if (isnan(x[i])) {
			assert_true(isnan(y[i]) && isnan(value));
			continue;
		}
		assert_true(value == x[i]);
		assert_true(y[i] == x[i]);
		assert_true(quire_tiled_element(&view, i / columns, i % columns) == x[i]);
	}
	drop(&im);
	free(x);
	free(y);
}

static void every_pattern_decodes(void **state)
{
	(void)state;
	for (size_t k = 0; k < KERNELS; k++) {
		select_kernel(kernels[k]);
		for (uint32_t n = 3; n <= 32; n++) {
			check_decode(n, 0);
			check_decode(n, quire_tile_clamp_scale(n, -200));
			check_decode(n, quire_tile_clamp_scale(n, 200));
		}
	}
	quire_kernel_select(NULL);
}

/* Rounding at, just below and just above every value and every decision point. */
static void check_encode(uint32_t n, int32_t scale)
{
	uint32_t patterns = n <= 16 ? 1u << (n - 1) : 4096, columns = 256, i = 0;
	uint32_t total = (patterns * 12 + 32 + columns - 1) / columns * columns;
	double *x = calloc(total, sizeof(*x));
	struct image im;

	for (uint32_t p = 0; p < patterns; p++) {
		uint64_t pattern = n <= 16 ? p : rnd() & ((1ull << (n - 1)) - 1);
		const double points[] = { posit_value(pattern, n),
					  posit_value(pattern << 1 | 1, n + 1) };

		for (int j = 0; j < 2; j++) {
			double v = ldexp(points[j], scale);
			const double near[] = { v, nextafter(v, 0), nextafter(v, 1e300) };

			for (int k = 0; k < 3; k++) {
				x[i++] = near[k];
				x[i++] = -near[k];
			}
		}
	}
	x[i++] = INFINITY;
	x[i++] = -INFINITY;
	x[i++] = NAN;
	x[i++] = -0.0;
	x[i++] = 1e308;
	x[i++] = -1e308;
	x[i++] = 5e-324;
	x[i++] = -5e-324;
	x[i++] = 2.3e-308;
	assert_true(i <= total);
	fixed_bits = n;
	fixed_scale = scale;
	im = make((struct quire_tiled_shape){ total / columns, columns, 32, 32 }, x, columns,
		  choose_fixed, NULL);
	for (i = 0; i < total; i++) {
		/* dividing the ends of the range would round or overflow; every posit is between */
		double scaled = fabs(x[i]) < 1e-200 || fabs(x[i]) > 1e200 ? x[i] : ldexp(x[i], -scale);

		assert_int_equal(pattern_at(im.data, i / columns, i % columns),
				 posit_round(scaled, n));
	}
	drop(&im);
	free(x);
}

static void rounding_follows_the_standard(void **state)
{
	(void)state;
	for (size_t k = 0; k < KERNELS; k++) {
		select_kernel(kernels[k]);
		for (uint32_t n = 3; n <= 32; n++) {
			/* all kernels up to 12 bits, the best one further on */
			if (k < 2 && n > 12 && n <= 16)
				continue;
			check_encode(n, 0);
			if (n <= 12 || n > 16)
				check_encode(n, quire_tile_clamp_scale(n, n % 2 ? -60 : 60));
		}
	}
	quire_kernel_select(NULL);
}

/* Sizes, places, checksums, guards and padding as tiled.h says. */
static void check_layout(struct quire_tiled_shape shape, const double *x, uint32_t ld)
{
	struct image im = make(shape, x, ld, choose_mixed, NULL);
	const struct quire_tiled_header *h = (const void *)im.data;
	const struct quire_tile *tiles = (const void *)(h + 1);
	uint32_t gr = (shape.rows + shape.tile_rows - 1) / shape.tile_rows;
	uint32_t gc = (shape.columns + shape.tile_columns - 1) / shape.tile_columns;
	uint64_t at = (64 + gr * gc * 16ull + 63) / 64 * 64, stored = 0;

	assert_int_equal(h->magic, 0x314d5451);
	assert_int_equal(h->tiles, gr * gc);
	for (uint32_t t = 0; t < gr * gc; t++) {
		uint32_t n = tiles[t].bits, elements = shape.tile_rows * shape.tile_columns;
		uint64_t sum = 0, most = 0;

		assert_int_equal(n, im.choices[t].bits);
		assert_int_equal(tiles[t].scale, im.choices[t].scale);
		if (!n) {
			static const struct quire_tile empty;

			assert_memory_equal(&tiles[t], &empty, sizeof(empty));
			continue;
		}
		stored++;
		assert_int_equal(tiles[t].offset * 32ull, at);
		for (uint32_t i = 0; i < elements; i++) {
			uint64_t bits = read_bits(im.data + at, (uint64_t)i * n, n);
			uint32_t r = t / gc * shape.tile_rows + i / shape.tile_columns;
			uint32_t c = t % gc * shape.tile_columns + i % shape.tile_columns;
			uint64_t magnitude = bits >> (n - 1) ? -bits & ((1ull << n) - 1) : bits;
			bool inside = r < shape.rows && c < shape.columns;

			assert_int_equal(bits, inside ? posit_round(ldexp(x[(uint64_t)r * ld + c],
									  -tiles[t].scale), n) : 0);
			sum += oracle_digest_word(i, bits);
			most = magnitude > most ? magnitude : most;
		}
		assert_int_equal(tiles[t].checksum, sum);
		assert_int_equal(tiles[t].largest, most << (32 - n) >> 16);
		at += elements * n / 8;
	}
	assert_int_equal(h->stored_tiles, stored);
	assert_int_equal(h->image_bytes, at);
	assert_int_equal(im.bytes, at);
	drop(&im);
}

static void images_are_laid_out_as_specified(void **state)
{
	enum { ROWS = 150, COLUMNS = 530 };
	double *x = malloc(ROWS * COLUMNS * sizeof(*x));

	(void)state;
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		x[i] = number(20);
	for (size_t s = 0; s < SHAPES; s++) {
		check_layout((struct quire_tiled_shape){ 64, 512, shapes[s][0], shapes[s][1] }, x,
			     COLUMNS);
		check_layout((struct quire_tiled_shape){ ROWS, COLUMNS, shapes[s][0], shapes[s][1] },
			     x, COLUMNS);
		check_layout((struct quire_tiled_shape){ 1, 1, shapes[s][0], shapes[s][1] }, x, 1);
	}
	free(x);
}

static void every_cpu_and_thread_count_gives_the_same_bits(void **state)
{
	enum { ROWS = 130, COLUMNS = 300 };
	double *x = malloc(ROWS * COLUMNS * sizeof(*x));
	struct quire_threads *threads = quire_threads_create(3);

	(void)state;
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		x[i] = number(140);
	for (size_t s = 0; s < SHAPES; s++) {
		const struct quire_tiled_shape shape = { ROWS, COLUMNS, shapes[s][0], shapes[s][1] };
		struct image first;

		select_kernel(kernels[0]);
		first = make(shape, x, COLUMNS, choose_mixed, NULL);
		for (size_t k = 0; k < KERNELS; k++) {
			struct image other;

			select_kernel(kernels[k]);
			other = make(shape, x, COLUMNS, choose_mixed, k ? threads : NULL);
			assert_int_equal(first.bytes, other.bytes);
			assert_memory_equal(first.data, other.data, first.bytes);
			drop(&other);
		}
		drop(&first);
	}
	quire_kernel_select(NULL);
	quire_threads_destroy(threads);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pattern_decodes),
		cmocka_unit_test(rounding_follows_the_standard),
		cmocka_unit_test(images_are_laid_out_as_specified),
		cmocka_unit_test(every_cpu_and_thread_count_gives_the_same_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
