// SPDX-License-Identifier: MIT
/* Tiled matrices go in and out of dense formats, and images of unknown origin are checked. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tile_images.h"

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
	for (size_t s = 0; s < SHAPES; s++) {
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
	WRONG(version, QUIRE_TILED_VERSION + 1);
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
	for (size_t s = 0; s < SHAPES; s++) {
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
		cmocka_unit_test(every_format_goes_in_and_out),
		cmocka_unit_test(windows_unpack_what_they_show),
		cmocka_unit_test(wrong_images_are_refused_by_name),
		cmocka_unit_test(damage_is_found_and_located),
		cmocka_unit_test(padding_must_be_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
