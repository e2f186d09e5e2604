// SPDX-License-Identifier: MIT
/*
 * Conversions from and to MXFP8 against GMP: the shared scale is worked out anew from the exact
 * values, and each element judged by its decision points.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/convert.h>
#include <quirenum/gemm.h>
#include <quirenum/threads.h>

#include "../oracle/digest.h"
#include "oracle.h"

static const char *const kernels[] = { "generic", "avx2", "ifma" };
#define KERNELS (sizeof(kernels) / sizeof(kernels[0]))

static const uint32_t formats[] = {
	QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT(3),
	QUIRE_FORMAT_POSIT(13), QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16, QUIRE_FORMAT_FP32,
	QUIRE_FORMAT_FP64, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static uint32_t bytes_of(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

static uint64_t word_at(uint32_t format, const void *data, uint64_t index)
{
	uint64_t word = 0;

	memcpy(&word, (const uint8_t *)data + index * bytes_of(format), bytes_of(format));
	return QUIRE_FORMAT_BITS(format) == 64 ? word :
						 word & ((1ull << QUIRE_FORMAT_BITS(format)) - 1);
}

/* factor * the word; *minus_zero when it is that */
static enum oracle_special scaled(uint32_t format, uint64_t word, float factor, struct dyadic *x,
				  bool *minus_zero)
{
	const uint64_t sign = 1ull << (QUIRE_FORMAT_BITS(format) - 1);
	const bool signed_zeros = QUIRE_FORMAT_KIND(format) != QUIRE_KIND_POSIT &&
				  format != QUIRE_FORMAT_INT8;
	enum oracle_special special = oracle_value(format, word, x);
	struct dyadic f;
	uint32_t bits;

	memcpy(&bits, &factor, sizeof(bits));
	*minus_zero = special == ORACLE_FINITE && dyadic_sign(x) == 0 &&
		      ((signed_zeros && word & sign) != (factor < 0));
	if (special == ORACLE_FINITE) {
		dyadic_init(&f);
		oracle_value(QUIRE_FORMAT_FP32, bits, &f);
		dyadic_multiply(x, x, &f);
		dyadic_clear(&f);
	}
	return special;
}

/* The largest e with 2^e <= |x|, x not 0 */
static long exponent_of(const struct dyadic *x)
{
	return (long)mpz_sizeinbase(x->m, 2) - 1 + x->e;
}

/* Section 6.3: 2^(S - 127) = 2^floor(log2 max) / 2^8, in what E8M0 has */
static long scale_of(uint32_t format, const void *in, uint64_t first, uint64_t count, float factor)
{
	long scale = 0;
	struct dyadic x;
	bool minus_zero;

	dyadic_init(&x);
	for (uint64_t i = first; i < first + count; i++)
		if (scaled(format, word_at(format, in, i), factor, &x, &minus_zero) == ORACLE_FINITE &&
		    dyadic_sign(&x) && exponent_of(&x) - 8 + 127 > scale)
			scale = exponent_of(&x) - 8 + 127;
	dyadic_clear(&x);
	return scale < 254 ? scale : 254;
}

/* Whether a row of blocks at out is that of count elements at in. */
static void check_row(uint32_t format, const void *in, uint64_t count, float factor,
		      const uint8_t *out)
{
	struct dyadic x;
	bool minus_zero;

	dyadic_init(&x);
	for (uint64_t first = 0; first < count; first += 32, out += 33) {
		uint64_t here = count - first < 32 ? count - first : 32;
		long scale = scale_of(format, in, first, here, factor);

		assert_int_equal(out[0], scale);
		for (uint64_t i = 0; i < 32; i++) {
			uint64_t word = i < here ? word_at(format, in, first + i) : 0;

			if (i >= here) {
				assert_int_equal(out[1 + i], 0);
			} else if (scaled(format, word, factor, &x, &minus_zero) != ORACLE_FINITE) {
				assert_int_equal(out[1 + i], 0x7f);
			} else if (minus_zero) {
				assert_int_equal(out[1 + i], 0x80);
			} else {
				x.e -= scale - 127;
				assert_true(oracle_is_rounding(QUIRE_FORMAT_E4M3, out[1 + i], &x));
			}
		}
	}
	dyadic_clear(&x);
}

static uint64_t digest_of(const uint8_t *bytes, uint64_t count, uint64_t *exceptional)
{
	uint64_t digest = 0;

	*exceptional = 0;
	for (uint64_t i = 0; i < count; i++) {
		digest += oracle_digest_word(i, bytes[i]);
		*exceptional += i % 33 && (bytes[i] & 0x7f) == 0x7f;
	}
	return digest;
}

/* One row of any format to MXFP8, with all kernels, with and without a digest. */
static void check_to(uint32_t format, const void *in, uint64_t count, float factor)
{
	const uint64_t bytes = (count + 31) / 32 * 33;
	uint8_t *out = malloc(bytes + 1);
	uint64_t exceptional;

	assert_non_null(out);
	for (size_t kernel = 0; kernel < KERNELS; kernel++)
		for (int with = 0; with < 2; with++) {
			struct quire_convert_result result;
			struct quire_convert c = {
				.rows = 1, .columns = count, .source = in, .destination = out,
				.source_format = format, .destination_format = QUIRE_FORMAT_MXFP8,
				.factor = factor,
			};

			if (quire_kernel_select(kernels[kernel]))
				continue;
			memset(out, 0x55, bytes + 1);
			assert_int_equal(quire_convert(&c, with ? &result : NULL), 0);
			assert_int_equal(out[bytes], 0x55);
			check_row(format, in, count, factor, out);
			if (with) {
				assert_int_equal(result.digest, digest_of(out, bytes, &exceptional));
				assert_int_equal(result.exceptional, exceptional);
			}
		}
	quire_kernel_select(NULL);
	free(out);
}

static void fill(uint32_t format, void *data, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t word = oracle_random_word(format);

		memcpy((uint8_t *)data + i * bytes_of(format), &word, bytes_of(format));
	}
}

/* Lengths around blocks; factors with and without a sign, near the ends of FP32. */
static void from_every_format(void **state)
{
	static const uint64_t lengths[] = { 1, 31, 32, 33, 64, 200 };
	static const float factors[] = { 1, 0.1f, -3.75f, 0x1p-149f, -0x1.fffffep127f };
	static uint64_t data[200];

	(void)state;
	for (size_t f = 0; f < FORMATS; f++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
			for (size_t j = 0; j < sizeof(factors) / sizeof(factors[0]); j++) {
				if (formats[f] == QUIRE_FORMAT_FP64 && j)
					continue;
				fill(formats[f], data, lengths[i]);
				check_to(formats[f], data, lengths[i], factors[j]);
			}
}

/* A block whose values lie within some binades of each other, at every scale and beyond. */
static void every_scale(void **state)
{
	static double data[32];

	(void)state;
	for (int exponent = -1074; exponent < 1024; exponent += exponent < -170 || exponent > 160 ? 31 : 1)
		for (int kind = 0; kind < 4; kind++) {
			double largest = ldexp(1, exponent);

			/* just below the next power, at the power, just above, and 1.875 of it: 480 */
			if (kind == 0)
				largest = nextafter(ldexp(2, exponent), 0);
			if (kind == 2)
				largest = nextafter(largest, INFINITY);
			if (kind == 3)
				largest *= 1.875;
			for (int i = 0; i < 32; i++)
				data[i] = largest * ldexp((double)(oracle_random() >> 11), -53 - i / 2) *
					  (i & 1 ? -1 : 1);
			data[oracle_random() % 32] = exponent & 1 ? largest : -largest;
			check_to(QUIRE_FORMAT_FP64, data, 32, 1);
		}
}

/*
 * Between all neighbours of E4M3, at the half-way points and right beside them, in a block whose scale
 * is 1; the smallest subnormal numbers and the largest number among them.
 */
static void every_decision_point(void **state)
{
	static double data[127 * 3 * 2 + 126 * 3];
	uint64_t count = 0;
	struct dyadic x;

	(void)state;
	dyadic_init(&x);
	for (int word = 0; word <= 0x7e; word++) {
		double value = 0, next = 480, middle;
		double *const at[] = { &value, &next };

		for (int i = 0; i < 2 && word + i <= 0x7e; i++) {
			oracle_value(QUIRE_FORMAT_E4M3, (uint64_t)(word + i), &x);
			*at[i] = ldexp(mpz_get_d(x.m), (int)x.e);
		}
		middle = (value + next) / 2;
		/* the first of each block sets the scale */
		for (int sign = -1; sign <= 1; sign += 2) {
			const double near[] = { middle, nextafter(middle, 0), nextafter(middle, 1e9) };

			for (int i = 0; i < 3; i++) {
				if (count % 32 == 0)
					data[count++] = 256;
				data[count++] = sign * near[i];
			}
		}
	}
	dyadic_clear(&x);
	check_to(QUIRE_FORMAT_FP64, data, count, 1);
}

static void set(float *x, float first, float second)
{
	for (int i = 0; i < 32; i++)
		x[i] = i ? second : first;
}

/* What docs/numerics.md says of zeros, infinities and NaN, in so many bytes. */
static void special_blocks(void **state)
{
	static const struct { float first, second; uint8_t scale, one, other; } blocks[] = {
		{ 0, 0, 0, 0, 0 },
		{ -0.0f, 0, 0, 0x80, 0 },
		{ NAN, 0, 0, 0x7f, 0 },
		{ INFINITY, 1, 119, 0x7f, 0x78 },	/* 1 = 2^8 * 2^-8: the infinity sets no scale */
		{ -INFINITY, -INFINITY, 0, 0x7f, 0x7f },
		{ 1, 0x1p-20f, 119, 0x78, 0 },
		{ 1, 0x1p-17f, 119, 0x78, 1 },		/* 2^-9 is the smallest element */
		{ 1, -0x1p-18f, 119, 0x78, 0x80 },	/* half of it: to even */
		{ 1.9999f, 1, 119, 0x7e, 0x78 },	/* 511.9 saturates */
		{ 0x1p-149f, 0, 0, 0, 0 },		/* 2^-22 * 2^-127 */
		{ 0x1p-136f, -0x1p-127f, 0, 1, 0xb8 },
		{ 0x1p-119f, 0x1p-118f, 1, 0x70, 0x78 },
	};
	static float in[32];
	uint8_t out[33], good[33];

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		for (size_t kernel = 0; kernel < KERNELS; kernel++) {
			struct quire_convert c = {
				.rows = 1, .columns = 32, .source = in, .destination = out,
				.source_format = QUIRE_FORMAT_FP32,
				.destination_format = QUIRE_FORMAT_MXFP8, .factor = 1,
			};

			if (quire_kernel_select(kernels[kernel]))
				continue;
			set(in, blocks[i].first, blocks[i].second);
			memset(good, blocks[i].other, sizeof(good));
			good[0] = blocks[i].scale;
			good[1] = blocks[i].one;
			assert_int_equal(quire_convert(&c, NULL), 0);
			assert_memory_equal(out, good, sizeof(good));
		}
	quire_kernel_select(NULL);
}

/* Every element with every scale to every format; a row that ends within a block. */
static void to_every_format(void **state)
{
	enum { COLUMNS = 250, ROWS = 256 };
	static uint8_t in[ROWS * 8 * 33];
	uint64_t *out = calloc(ROWS * COLUMNS, sizeof(*out));
	struct dyadic x;

	(void)state;
	assert_non_null(out);
	dyadic_init(&x);
	for (int row = 0; row < ROWS; row++)
		for (int block = 0; block < 8; block++) {
			in[(row * 8 + block) * 33] = (uint8_t)row;
			for (int i = 0; i < 32; i++)
				/* the last six, among them a NaN, are not read */
				in[(row * 8 + block) * 33 + 1 + i] = (uint8_t)(block * 32 + i + row % 2 * 6);
		}
	for (size_t f = 0; f < FORMATS; f++)
		for (size_t kernel = 0; kernel < KERNELS; kernel++) {
			struct quire_convert c = {
				.rows = ROWS, .columns = COLUMNS, .source = in, .destination = out,
				.source_format = QUIRE_FORMAT_MXFP8, .destination_format = formats[f],
				.source_leading_dimension = 256, .destination_leading_dimension = COLUMNS,
				.factor = 1,
			};

			if (quire_kernel_select(kernels[kernel]))
				continue;
			assert_int_equal(quire_convert(&c, NULL), 0);
			for (uint64_t e = 0; e < ROWS * COLUMNS; e++) {
				const uint8_t *block = in + (e / COLUMNS * 8 + e % COLUMNS / 32) * 33;
				uint8_t element = block[1 + e % COLUMNS % 32];
				uint64_t word = word_at(formats[f], out, e);
				bool nan = oracle_value(QUIRE_FORMAT_E4M3, element, &x) != ORACLE_FINITE ||
					   block[0] == 255;

				x.e += (long)block[0] - 127;
				if (nan)
					assert_int_equal(word, oracle_special_word(formats[f], ORACLE_NAN));
				else if (element == 0x80)	/* -0, where there is one */
					assert_int_equal(word & (word - 1), 0);
				else
					assert_true(oracle_is_rounding(formats[f], word, &x));
			}
		}
	quire_kernel_select(NULL);
	dyadic_clear(&x);
	free(out);
}

/* Scales are chosen anew; a block that would have got its own scale stays as it is. */
static void to_itself(void **state)
{
	static float x[96];
	uint8_t first[99], second[99];
	struct quire_convert c = {
		.rows = 1, .columns = 90, .source = x, .destination = first,
		.source_format = QUIRE_FORMAT_FP32, .destination_format = QUIRE_FORMAT_MXFP8, .factor = 1,
	};

	(void)state;
	for (int i = 0; i < 96; i++)
		x[i] = ldexpf((float)(oracle_random() % 4001) - 2000, (int)(oracle_random() % 9));
	assert_int_equal(quire_convert(&c, NULL), 0);
	c.source = first;
	c.source_format = QUIRE_FORMAT_MXFP8;
	c.destination = second;
	assert_int_equal(quire_convert(&c, NULL), 0);
	assert_memory_equal(first, second, sizeof(first));
	/* 1 with scale 2^10 is 256 with scale 2^2 */
	memset(first, 0, sizeof(first));
	first[0] = 137;
	first[5] = 0x38;
	assert_int_equal(quire_convert(&c, NULL), 0);
	assert_int_equal(second[0], 129);
	assert_int_equal(second[5], 0x78);
}

/* Rows apart, threads, and the same matrix in parts: digests add up, nothing between rows is touched. */
static void rows_threads_and_parts(void **state)
{
	enum { ROWS = 70, COLUMNS = 1003, LEADING = 1056, BLOCKS = 32, ROW_BYTES = 33 * 33 };
	struct quire_threads *threads = quire_threads_create(3);
	float *in = malloc(ROWS * COLUMNS * sizeof(*in));
	uint8_t *out = malloc(ROWS * ROW_BYTES), *parts = malloc(ROWS * ROW_BYTES);
	uint8_t *dense = malloc(ROWS * BLOCKS * 33);
	struct quire_convert c = {
		.rows = ROWS, .columns = COLUMNS, .source = in, .destination = out,
		.source_format = QUIRE_FORMAT_FP32, .destination_format = QUIRE_FORMAT_MXFP8,
		.source_leading_dimension = COLUMNS, .destination_leading_dimension = LEADING,
		.factor = 1, .threads = threads,
	};
	struct quire_convert_result result, part;
	uint64_t exceptional, digest = 0;

	(void)state;
	fill(QUIRE_FORMAT_FP32, in, ROWS * COLUMNS);
	memset(out, 0xab, ROWS * ROW_BYTES);
	memset(parts, 0xab, ROWS * ROW_BYTES);
	assert_int_equal(quire_convert(&c, &result), 0);
	for (int i = 0; i < ROWS; i++) {
		check_row(QUIRE_FORMAT_FP32, in + i * COLUMNS, COLUMNS, 1, out + i * ROW_BYTES);
		for (int j = BLOCKS * 33; j < ROW_BYTES; j++)
			assert_int_equal(out[i * ROW_BYTES + j], 0xab);
		memcpy(dense + i * BLOCKS * 33, out + i * ROW_BYTES, BLOCKS * 33);
	}
	assert_int_equal(result.digest, digest_of(dense, ROWS * BLOCKS * 33, &exceptional));
	assert_int_equal(result.exceptional, exceptional);
	c.digest_columns = COLUMNS;
	for (uint64_t row = 0; row < ROWS; row += 35)
		for (uint64_t column = 0; column < COLUMNS; column += 352) {
			c.rows = 35;
			c.columns = COLUMNS - column < 352 ? COLUMNS - column : 352;
			c.source = in + row * COLUMNS + column;
			c.destination = parts + row * ROW_BYTES + column / 32 * 33;
			c.digest_row = row;
			c.digest_column = column;
			assert_int_equal(quire_convert(&c, &part), 0);
			digest += part.digest;
		}
	assert_int_equal(digest, result.digest);
	assert_memory_equal(out, parts, ROWS * ROW_BYTES);
	quire_threads_destroy(threads);
	free(in);
	free(out);
	free(parts);
	free(dense);
}

/* A row of more than one task. */
static void long_row(void **state)
{
	enum { COLUMNS = 65536 * 2 + 100 };
	uint16_t *in = malloc(COLUMNS * sizeof(*in));

	(void)state;
	assert_non_null(in);
	fill(QUIRE_FORMAT_BF16, in, COLUMNS);
	check_to(QUIRE_FORMAT_BF16, in, COLUMNS, 1);
	free(in);
}

static void wrong(struct quire_convert c, const char *field)
{
	const char *why = NULL;

	assert_int_equal(quire_convert_check(&c, &why), -EINVAL);
	assert_non_null(why);
	assert_string_equal(why, field);
	assert_int_equal(quire_convert(&c, NULL), -EINVAL);
}

static void bad_conversions(void **state)
{
	static _Alignas(8) uint8_t memory[4096];
	static float x[80 * 4];
	const struct quire_convert good = {
		.rows = 4, .columns = 40, .source = x, .destination = memory,
		.source_format = QUIRE_FORMAT_FP32, .destination_format = QUIRE_FORMAT_MXFP8,
		.source_leading_dimension = 40, .destination_leading_dimension = 64, .factor = 1,
	};
	struct quire_convert c = good;

	(void)state;
	assert_int_equal(quire_convert(&c, NULL), 0);
	c.destination = memory + 1;		/* blocks have no alignment */
	assert_int_equal(quire_convert(&c, NULL), 0);
	c.destination_leading_dimension = 72;
	wrong(c, "destination_leading_dimension");
	c.destination_leading_dimension = 32;
	wrong(c, "destination_leading_dimension");
	c = good;
	c.source = memory;
	c.source_format = QUIRE_FORMAT_MXFP8;
	c.source_leading_dimension = 40;
	wrong(c, "source_leading_dimension");
	c.source_leading_dimension = 64;
	/* the source is 4 * 2 * 33 = 264 bytes, and so is the destination */
	c.destination = memory + 263;
	wrong(c, "destination");
	c.destination = memory + 264;
	assert_int_equal(quire_convert(&c, NULL), 0);
	c = good;
	c.digest_columns = 100;
	c.digest_column = 20;
	wrong(c, "digest_column");
	c.digest_column = 32;			/* ends within a block */
	wrong(c, "digest_column");
	c.digest_columns = 72;
	assert_int_equal(quire_convert(&c, NULL), 0);
	c = good;
	c.source = memory;
	c.destination = x;
	c.source_format = QUIRE_FORMAT_QUIRE;
	wrong(c, "destination_format");
	c.source_format = QUIRE_FORMAT_MXFP8;
	c.destination_format = QUIRE_FORMAT_QUIRE;
	wrong(c, "destination_format");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_conversions),
		cmocka_unit_test(special_blocks),
		cmocka_unit_test(from_every_format),
		cmocka_unit_test(every_scale),
		cmocka_unit_test(every_decision_point),
		cmocka_unit_test(to_every_format),
		cmocka_unit_test(to_itself),
		cmocka_unit_test(rows_threads_and_parts),
		cmocka_unit_test(long_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
