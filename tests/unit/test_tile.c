// SPDX-License-Identifier: MIT
/*
 * Tiled matrices against an oracle of their own: posit values are put together bit by
 * bit as doubles, which hold every one of up to 33 bits exactly; rounding is a search
 * over them with the standard's decision point; the image is read bit by bit as
 * quire/tiled.h lays it out.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/gemm.h>
#include <quirenum/threads.h>
#include <quirenum/tile.h>

static const uint32_t shapes[][2] = { { 32, 32 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };
static const char *const kernels[] = { "generic", "avx2", "ifma" };

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

/* A number whose exponent is anywhere within +-spread. */
static double number(int spread)
{
	double x = ldexp((double)(int64_t)rnd(), -63);

	return ldexp(x, (int)(rnd() % (unsigned int)(2 * spread + 1)) - spread);
}

/* Value of an n-bit pattern; n up to 33. */
static double posit_value(uint64_t pattern, uint32_t n)
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

static uint64_t posit_round(double x, uint32_t n)
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

static uint64_t mix(uint64_t index, uint64_t bits)
{
	uint64_t x = bits + (index + 1) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
	x = (x ^ x >> 29) * 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static uint64_t read_bits(const uint8_t *data, uint64_t position, uint32_t n)
{
	uint64_t value = 0;

	for (uint32_t b = 0; b < n; b++)
		value |= (uint64_t)(data[(position + b) / 8] >> (position + b) % 8 & 1) << b;
	return value;
}

/* Pattern of an element of an image, by the header's text alone. */
static uint64_t pattern_at(const void *image, uint32_t row, uint32_t column)
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

struct image {
	struct quire_tiled_shape shape;
	struct quire_tile_choice *choices;
	uint64_t bytes;
	uint8_t *data;
};

static struct image make(struct quire_tiled_shape shape, const double *x, uint32_t ld,
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

static void drop(struct image *im)
{
	free(im->choices);
	free(im->data);
}

static uint32_t fixed_bits;
static int32_t fixed_scale;

static struct quire_tile_choice choose_fixed(uint64_t tile)
{
	(void)tile;
	return (struct quire_tile_choice){ (uint8_t)fixed_bits, (int8_t)fixed_scale };
}

static struct quire_tile_choice choose_mixed(uint64_t tile)
{
	static const uint8_t bits[] = { 0, 3, 8, 16, 5, 13, 32, 27, 0, 6, 11, 7 };
	uint8_t n = bits[tile % 12];

	return (struct quire_tile_choice){
		n, n ? quire_tile_clamp_scale(n, (int32_t)(tile % 17) - 8) : 0 };
}

static void select_kernel(const char *name)
{
	if (quire_kernel_select(name) == -ENOTSUP)
		quire_kernel_select(NULL);
}

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
	for (size_t k = 0; k < 3; k++) {
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
	for (size_t k = 0; k < 3; k++) {
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
			sum += mix(i, bits);
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
	for (size_t s = 0; s < 4; s++) {
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
	for (size_t s = 0; s < 4; s++) {
		const struct quire_tiled_shape shape = { ROWS, COLUMNS, shapes[s][0], shapes[s][1] };
		struct image first;

		select_kernel(kernels[0]);
		first = make(shape, x, COLUMNS, choose_mixed, NULL);
		for (size_t k = 0; k < 3; k++) {
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

/* The library's other way to convert, tested against GMP in test_gemm. */
static void convert(const void *in, uint32_t in_format, void *out, uint32_t out_format, uint32_t rows,
		    uint32_t columns, struct quire_gemm_result *result)
{
	const struct quire_gemm g = {
		.m = rows, .n = columns, .batch = 1, .beta = 1,
		.a.format = QUIRE_FORMAT_POSIT8, .b.format = QUIRE_FORMAT_POSIT8,
		.c = { .data = in, .format = in_format, .leading_dimension = columns },
		.d = { .data = out, .format = out_format, .leading_dimension = columns },
	};

	assert_int_equal(quire_gemm(&g, result), 0);
}

static uint32_t bytes_of(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

static void every_format_goes_in_and_out(void **state)
{
	static const uint32_t formats[] = {
		QUIRE_FORMAT_FP32, QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16, QUIRE_FORMAT_E4M3,
		QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8, QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16,
		QUIRE_FORMAT_POSIT(11), QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP64,
	};
	enum { ROWS = 70, COLUMNS = 90 };
	float *x = malloc(ROWS * COLUMNS * 4), *y = malloc(ROWS * COLUMNS * 4);
	uint8_t *in = malloc(ROWS * COLUMNS * 8), *want = malloc(ROWS * COLUMNS * 8);
	uint8_t *got = malloc(ROWS * COLUMNS * 8);
	const struct quire_tiled_shape shape = { ROWS, COLUMNS, 16, 16 };
	struct quire_tile_choice choices[30];

	(void)state;
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		x[i] = (float)number(i % 5 ? 8 : 40);
	x[5] = NAN;
	x[6] = INFINITY;
	for (size_t i = 0; i < 30; i++)
		choices[i] = (struct quire_tile_choice){ (uint8_t)(i % 7 ? 3 + i : 0),
							 (int8_t)(i % 7 ? (int)i % 5 - 2 : 0) };
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		struct quire_dense dense = { x, QUIRE_FORMAT_FP32, 0, COLUMNS };
		struct quire_tiled_output out = { .data = got, .format = formats[f],
						  .leading_dimension = COLUMNS };
		uint64_t bytes = quire_tiled_plan(&shape, choices), digest, exceptional;
		uint8_t *a = aligned_alloc(64, (bytes + 63) / 64 * 64);
		uint8_t *b = aligned_alloc(64, (bytes + 63) / 64 * 64);
		struct quire_gemm_result result;
		struct quire_tiled view;

		/* in: packing the format is packing its values as FP32, which holds them */
		if (formats[f] != QUIRE_FORMAT_FP64 && formats[f] != QUIRE_FORMAT_POSIT32) {
			convert(x, QUIRE_FORMAT_FP32, in, formats[f], ROWS, COLUMNS, NULL);
			convert(in, formats[f], y, QUIRE_FORMAT_FP32, ROWS, COLUMNS, NULL);
			dense.data = y;
			assert_int_equal(quire_tiled_pack(&shape, &dense, choices, a, bytes, NULL), 0);
			dense.data = in;
			dense.format = formats[f];
			assert_int_equal(quire_tiled_pack(&shape, &dense, choices, b, bytes, NULL), 0);
			assert_memory_equal(a, b, bytes);
		}
		/* out: unpacking is rounding the values; tiles up to 24 significant bits */
		dense.data = x;
		dense.format = QUIRE_FORMAT_FP32;
		assert_int_equal(quire_tiled_pack(&shape, &dense, choices, a, bytes, NULL), 0);
		assert_int_equal(quire_tiled_open(a, bytes, &view, NULL), 0);
		assert_int_equal(quire_tiled_unpack(&view, ROWS, COLUMNS, &out, NULL, &digest,
						    &exceptional), 0);
		for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
			y[i] = (float)quire_tiled_element(&view, i / COLUMNS, i % COLUMNS);
		convert(y, QUIRE_FORMAT_FP32, want, formats[f], ROWS, COLUMNS, &result);
		if (formats[f] != QUIRE_FORMAT_FP64 && formats[f] != QUIRE_FORMAT_POSIT32) {
			assert_memory_equal(got, want, ROWS * COLUMNS * bytes_of(formats[f]));
			assert_int_equal(digest, result.digest);
			assert_int_equal(exceptional, result.exceptional);
		}
		free(a);
		free(b);
	}
	free(x);
	free(y);
	free(in);
	free(want);
	free(got);
}

static void windows_unpack_what_they_show(void **state)
{
	enum { ROWS = 100, COLUMNS = 520 };
	double *x = malloc(ROWS * COLUMNS * sizeof(*x)), *y = calloc(ROWS * COLUMNS, sizeof(*y));

	(void)state;
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		x[i] = number(3);
	for (size_t s = 0; s < 4; s++) {
		struct image im = make((struct quire_tiled_shape){ ROWS, COLUMNS, shapes[s][0],
								   shapes[s][1] },
				       x, COLUMNS, choose_mixed, NULL);
		struct quire_tiled view;

		assert_int_equal(quire_tiled_open(im.data, im.bytes, &view, NULL), 0);
		for (int t = 0; t < 30; t++) {
			struct quire_tiled window = view;
			uint32_t r = (uint32_t)(rnd() % ROWS), c = (uint32_t)(rnd() % COLUMNS);
			uint32_t rows = 1 + (uint32_t)(rnd() % (ROWS - r));
			uint32_t columns = 1 + (uint32_t)(rnd() % (COLUMNS - c));
			const struct quire_tiled_output out = { .data = y,
				.format = QUIRE_FORMAT_FP64, .leading_dimension = columns };

			window.row = r;
			window.column = c;
			assert_int_equal(quire_tiled_unpack(&window, rows, columns, &out, NULL, NULL,
							    NULL), 0);
			for (uint32_t i = 0; i < rows * columns; i++)
				assert_true(y[i] == quire_tiled_element(&view, r + i / columns,
									c + i % columns));
			assert_int_equal(quire_tiled_unpack(&window, ROWS - r + 1, columns, &out,
							    NULL, NULL, NULL), -EINVAL);
		}
		drop(&im);
	}
	free(x);
	free(y);
}

static void expect(const void *image, uint64_t bytes, const char *field, bool in_tile, uint32_t row,
		   uint32_t column)
{
	struct quire_tiled_error error;
	struct quire_tiled view;

	assert_int_equal(quire_tiled_open(image, bytes, &view, &error), -EINVAL);
	assert_string_equal(error.field, field);
	assert_int_equal(error.in_tile, in_tile);
	assert_int_equal(error.tile_row, row);
	assert_int_equal(error.tile_column, column);
}

static void wrong_images_are_refused_by_name(void **state)
{
	enum { ROWS = 100, COLUMNS = 70 };
	double x[ROWS * COLUMNS];
	struct quire_tiled_header *h;
	struct quire_tile *tiles, saved;
	struct image im;

	(void)state;
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		x[i] = number(3);
	fixed_bits = 9;
	fixed_scale = 1;
	im = make((struct quire_tiled_shape){ ROWS, COLUMNS, 32, 32 }, x, COLUMNS, choose_fixed,
		  NULL);
	h = (void *)im.data;
	tiles = (void *)(h + 1);
#define WRONG(field, value)                                                    \
	do {                                                                   \
		struct quire_tiled_header good = *h;                           \
									       \
		h->field = value;                                              \
		expect(im.data, im.bytes, #field, false, 0, 0);                \
		*h = good;                                                     \
	} while (0)
	WRONG(magic, 0);
	WRONG(version, 2);
	WRONG(rows, 0);
	WRONG(rows, (1u << 24) + 1);
	WRONG(columns, 0);
	WRONG(tile_rows, 17);
	WRONG(tile_columns, 16);
	WRONG(tiles, 11);
	WRONG(stored_tiles, 13);
	WRONG(stored_tiles, 11);
	WRONG(image_bytes, im.bytes + 32);
	WRONG(image_bytes, 64);
	WRONG(image_bytes, im.bytes + 1);
#undef WRONG
	h->reserved[1] = 1;
	expect(im.data, im.bytes, "reserved", false, 0, 0);
	h->reserved[1] = 0;
	for (uint64_t cut = 0; cut < im.bytes; cut += cut < 300 ? 1 : 97)
		expect(im.data, cut, cut < 64 ? "magic" : "image_bytes", false, 0, 0);
	saved = tiles[4];
#define WRONG(member, value)                                                   \
	do {                                                                   \
		tiles[4].member = value;                                       \
		expect(im.data, im.bytes, #member, true, 1, 1);                \
		tiles[4] = saved;                                              \
	} while (0)
	WRONG(bits, 2);
	WRONG(bits, 33);
	WRONG(bits, 255);
	WRONG(scale, 127);
	WRONG(scale, -128);
	WRONG(largest, 0x8001);
	WRONG(offset, 0);
	WRONG(offset, 0xffffffff);
	WRONG(offset, saved.offset + 1);
	WRONG(offset, saved.offset - 1);
#undef WRONG
	tiles[4].bits = 0;
	expect(im.data, im.bytes, "scale", true, 1, 1);
	tiles[4].scale = 0;
	expect(im.data, im.bytes, "largest", true, 1, 1);
	memset(&tiles[4], 0, sizeof(tiles[4]));
	expect(im.data, im.bytes, "offset", true, 1, 2);	/* data that nobody owns */
	tiles[4] = saved;
	expect(im.data + 8, im.bytes - 8, "image", false, 0, 0);
	drop(&im);
}

static void damage_is_found_and_located(void **state)
{
	enum { ROWS = 100, COLUMNS = 300 };
	double *x = malloc(ROWS * COLUMNS * sizeof(*x));

	(void)state;
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		x[i] = number(3);
	for (size_t s = 0; s < 4; s++) {
		struct quire_tiled_error error;
		struct quire_tiled view;
		struct quire_tile *tiles;
		struct image im;
		uint64_t start;

		fixed_bits = 11;
		fixed_scale = 0;
		im = make((struct quire_tiled_shape){ ROWS, COLUMNS, shapes[s][0], shapes[s][1] }, x,
			  COLUMNS, choose_fixed, NULL);
		tiles = (void *)(im.data + 64);
		assert_int_equal(quire_tiled_open(im.data, im.bytes, &view, NULL), 0);
		assert_int_equal(quire_tiled_verify(&view, NULL, &error), 0);
		assert_null(error.field);
		start = tiles[0].offset * 32ull;
		for (int t = 0; t < 50; t++) {
			uint64_t at = start + rnd() % (im.bytes - start);
			uint64_t tile = (at - start) / (shapes[s][0] * shapes[s][1] * 11 / 8);

			im.data[at] ^= 1u << rnd() % 8;
			memset(&error, 0, sizeof(error));
			assert_int_equal(quire_tiled_verify(&view, NULL, &error), -EBADMSG);
			assert_string_equal(error.field, "checksum");
			assert_int_equal(error.tile_row, tile / view.grid_columns);
			assert_int_equal(error.tile_column, tile % view.grid_columns);
			im.data[at] = 0;
			assert_int_equal(quire_tiled_pack(&im.shape, &(struct quire_dense){
				x, QUIRE_FORMAT_FP64, 0, COLUMNS }, im.choices, im.data, im.bytes,
				NULL), 0);
		}
		tiles[1].largest ^= 1;
		assert_int_equal(quire_tiled_verify(&view, NULL, &error), -EBADMSG);
		assert_string_equal(error.field, "largest");
		tiles[1].largest ^= 1;
		drop(&im);
	}
	free(x);
}

static void padding_must_be_zero(void **state)
{
	double x[40 * 40];
	struct quire_tiled_header *h;
	struct quire_tiled_error error;
	struct quire_tiled view;
	struct image im;

	(void)state;
	for (uint32_t i = 0; i < 40 * 40; i++)
		x[i] = number(3);
	fixed_bits = 8;
	fixed_scale = 0;
	im = make((struct quire_tiled_shape){ 40, 40, 32, 32 }, x, 40, choose_fixed, NULL);
	h = (void *)im.data;
	/* the same tiles, of a smaller matrix: what was an element is padding now */
	h->columns = 39;
	assert_int_equal(quire_tiled_open(im.data, im.bytes, &view, NULL), 0);
	assert_int_equal(quire_tiled_verify(&view, NULL, &error), -EBADMSG);
	assert_string_equal(error.field, "padding");
	assert_int_equal(error.tile_column, 1);
	drop(&im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pattern_decodes),
		cmocka_unit_test(rounding_follows_the_standard),
		cmocka_unit_test(images_are_laid_out_as_specified),
		cmocka_unit_test(every_cpu_and_thread_count_gives_the_same_bits),
		cmocka_unit_test(every_format_goes_in_and_out),
		cmocka_unit_test(windows_unpack_what_they_show),
		cmocka_unit_test(wrong_images_are_refused_by_name),
		cmocka_unit_test(damage_is_found_and_located),
		cmocka_unit_test(padding_must_be_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
