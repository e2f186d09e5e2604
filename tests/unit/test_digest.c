// SPDX-License-Identifier: MIT
/* The digest of results: published values, what it detects, parts, places, all
 * kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/convert.h>
#include <quirenum/gemm.h>

#include "../oracle/digest.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *const kernels[] = { "ifma", "avx2", "generic" };
static uint64_t seed = 1;

static uint64_t random_bits(void)
{
	uint64_t x = seed += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t trials(uint64_t count)
{
	const char *divisor = getenv("QUIRE_TEST_DIVISOR");

	return divisor ? count / strtoul(divisor, NULL, 10) : count;
}

static uint32_t bytes_of(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	if (format == QUIRE_FORMAT_QUIRE)
		return 80;
	return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

/* What element index of a matrix, the bytes at it, adds to the digest. */
static uint64_t share_of(uint32_t format, uint64_t index, const uint8_t *at)
{
	const uint32_t bytes = bytes_of(format);
	uint64_t x = 0, sum = 0;

	if (bytes < 8) {
		memcpy(&x, at, bytes);
		return oracle_digest_word(index, x & ((1ull << QUIRE_FORMAT_BITS(format)) - 1));
	}
	for (uint64_t i = 0; i < bytes / 8; i++) {
		memcpy(&x, at + 8 * i, 8);
		sum += oracle_digest_pair(index * (bytes / 8) + i, x);
	}
	return sum;
}

/* One row of elements as they are. */
static uint64_t digest_of(uint32_t format, const void *row, uint32_t count, uint64_t column)
{
	uint8_t out[64 * 8] __attribute__((aligned(8)));
	struct quire_convert c = {
		.rows = 1,
		.columns = count,
		.source = row,
		.destination = out,
		.source_format = format,
		.destination_format = format,
		.factor = 1,
		.digest_column = column,
		.digest_columns = 1ull << 40,
	};
	struct quire_convert_result result;

	assert_int_equal(quire_convert(&c, &result), 0);
	return result.digest;
}

/* ---- Published values: of docs/numerics.md, by arithmetic of arbitrary
 * precision ---- */

static void published_words(void **state)
{
	static const struct {
		uint64_t index;
		uint32_t word;
		uint64_t share;
	} published[] = {
		{ 0, 0, 0x1fc2ff0ef8d13910 },
		{ 0, 1, 0xb9c9e6f794de8019 },
		{ 1, 0, 0x7f0bfc3be344e440 },
		{ 0, 0xffffffff, 0x0558fd669450dc04 },
		{ 511, 0x3f800000, 0xbaceaab0a830bac9 },
		{ 0xfffffffe, 0x80, 0x5e5d072f789bce40 },
		{ 0xffffffff, 0x80, 0x01829cf918188584 },
		{ 0x100000000, 0x80, 0x2f207ce9d458d604 },
		{ UINT64_MAX, 0x5555aaaa, 0x17e2b6bce476c964 },
		{ 0x300000005, 0xdeadbeef, 0x5e1b582702de0090 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(published); i++) {
		assert_int_equal(quire_digest_word(published[i].index, published[i].word),
				 published[i].share);
		assert_int_equal(oracle_digest_word(published[i].index, published[i].word),
				 published[i].share);
	}
}

static void published_matrices(void **state)
{
	static const uint16_t posits[6] = { 0x4000, 0xc000, 0x3800, 0x8000, 0, 0x4800 };
	static const double doubles[2] = { 1, -2.5 };
	static const float one = 1;
	uint8_t out[80] __attribute__((aligned(8)));
	struct quire_convert c = { .rows = 2,
				   .columns = 3,
				   .source = posits,
				   .destination = out,
				   .source_format = QUIRE_FORMAT_POSIT16,
				   .destination_format = QUIRE_FORMAT_POSIT16,
				   .source_leading_dimension = 3,
				   .destination_leading_dimension = 3,
				   .factor = 1 };
	struct quire_convert_result result;

	(void)state;
	for (size_t k = 0; k < LENGTH(kernels); k++) {
		if (quire_kernel_select(kernels[k]))
			continue;
		c.rows = 2, c.columns = 3;
		c.source = posits;
		c.source_format = c.destination_format = QUIRE_FORMAT_POSIT16;
		assert_int_equal(quire_convert(&c, &result), 0);
		assert_int_equal(result.digest, 0xf1d1ab22243884bd);
		c.rows = 1, c.columns = 2;
		c.source = doubles;
		c.source_format = c.destination_format = QUIRE_FORMAT_FP64;
		assert_int_equal(quire_convert(&c, &result), 0);
		assert_int_equal(result.digest, 0x7983e84e922fa6f2);
		c.columns = 1;
		c.source = &one;
		c.source_format = QUIRE_FORMAT_FP32;
		c.destination_format = QUIRE_FORMAT_QUIRE;
		assert_int_equal(quire_convert(&c, &result), 0);
		assert_int_equal(result.digest, 0x6a71193f27e14d16);
		/* a block with scale 2^-8 and 256 in it */
		c.destination_format = QUIRE_FORMAT_MXFP8;
		assert_int_equal(quire_convert(&c, &result), 0);
		assert_int_equal(result.digest, 0x6e19f5d359a9cb64);
	}
	quire_kernel_select(NULL);
}

/* ---- What it detects ---- */

/* Any bit of any element: not one goes unseen. */
static void a_changed_bit_is_seen(void **state)
{
	static const uint32_t formats[] = {
		QUIRE_FORMAT_INT8,	QUIRE_FORMAT_POSIT(5), QUIRE_FORMAT_POSIT16,
		QUIRE_FORMAT_POSIT(19), QUIRE_FORMAT_POSIT32,  QUIRE_FORMAT_FP64,
	};
	enum { COUNT = 37 };

	(void)state;
	for (size_t k = 0; k < LENGTH(kernels) * LENGTH(formats); k++) {
		const uint32_t f = formats[k / LENGTH(kernels)], bytes = bytes_of(f);
		uint64_t row[COUNT], digest, shares = 0;
		uint8_t *at = (uint8_t *)row;

		if (quire_kernel_select(kernels[k % LENGTH(kernels)]))
			continue;
		/* of FP64 exponents that no single bit makes infinite; sign bits of posits
		 * extended */
		for (uint32_t i = 0; i < COUNT * bytes; i++)
			at[i] = f == QUIRE_FORMAT_FP64 && i % 8 == 7 ? 0x2a
								     : (uint8_t)random_bits();
		digest = digest_of(f, row, COUNT, 3);
		for (uint32_t i = 0; i < COUNT; i++)
			shares += share_of(f, 3 + i, at + i * bytes);
		assert_int_equal(digest, shares);
		for (uint32_t i = 0; i < COUNT; i++)
			for (uint32_t bit = 0; bit < QUIRE_FORMAT_BITS(f); bit++) {
				at[i * bytes + bit / 8] ^= (uint8_t)(1 << bit % 8);
				assert_int_not_equal(digest_of(f, row, COUNT, 3), digest);
				at[i * bytes + bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
	}
	quire_kernel_select(NULL);
}

static uint64_t change(uint64_t index, uint32_t from, uint32_t to)
{
	return quire_digest_word(index, to) - quire_digest_word(index, from);
}

/*
 * Errors that computing in the wrong order or place makes, in 8, 16 and 32
 * bits: two elements exchanged, two rows of two, a pair exchanged twice, signs
 * lost in a rectangle, a run moved by one, opposite changes of a rectangle and
 * along a line.  Sums of squares of words plus a multiple of the place miss one
 * in three of some.
 */
static void exchanges_are_seen(void **state)
{
	enum { KINDS = 7 };
	uint64_t missed[KINDS] = { 0 };

	(void)state;
	for (uint64_t t = 0; t < trials(3000000); t++) {
		const uint32_t bits = 8u << t % 3, sign = 1u << (bits - 1);
		const uint32_t a = (uint32_t)random_bits() >> (32 - bits);
		const uint32_t d = 1 + (uint32_t)(random_bits() % (sign - 1)), b = a ^ d;
		const uint64_t i = random_bits() >> (24 + random_bits() % 20);
		const uint64_t along = 1 + random_bits() % 64, down = 65ull << random_bits() % 12;
		const uint32_t step = 1u << (random_bits() % (bits - 2)), c = a / 4 + sign / 2;

		missed[0] += !(change(i, a, b) + change(i + along * down, b, a));
		missed[1] += !(change(i, a, b) + change(i + along, b, a) + change(i + down, b, a) +
			       change(i + down + along, a, b));
		missed[2] += !(change(i, a, b) + change(i + along, b, a) + change(i + down, a, b) +
			       change(i + down + along, b, a));
		missed[3] +=
			!(change(i, a, a ^ sign) + change(i + along, a, a ^ sign) +
			  change(i + down, a, a ^ sign) + change(i + down + along, a, a ^ sign));
		missed[4] += !(change(i, a, b) + change(i + 1, b, a) + change(i + 2, a, b) +
			       change(i + 3, b, c) + change(i + 4, c, a));
		missed[5] +=
			!(change(i, c, c + step) + change(i + along, c, c - step) +
			  change(i + down, c, c - step) + change(i + down + along, c, c + step));
		missed[6] += !(change(i, c, c + step) + change(i + along, c, c - 2 * step) +
			       change(i + 2 * along, c, c + step));
	}
	for (int kind = 0; kind < KINDS; kind++)
		if (missed[kind])
			fail_msg("kind %d: %llu unseen", kind, (unsigned long long)missed[kind]);
}

/* Elements of b bits closer than 2^(29 - b) never have the same x in each
 * other's place. */
static void close_places_differ(void **state)
{
	const uint32_t step = QUIRE_DIGEST_PLACE;

	(void)state;
	for (uint32_t bits = 3; bits <= 16; bits++)
		for (uint32_t apart = 1; apart < 1u << (29 - bits); apart++) {
			uint32_t difference = apart * step;

			if (difference < 1u << bits || -difference < 1u << bits)
				fail_msg("%u bits, %u apart", bits, apart);
		}
}

/* ---- Parts and places ---- */

/* Rectangles of a matrix, converted one by one in any order, add up to the
 * whole. */
static void parts_add_up(void **state)
{
	static const uint32_t formats[] = { QUIRE_FORMAT_INT8, QUIRE_FORMAT_POSIT16,
					    QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP64,
					    QUIRE_FORMAT_QUIRE };
	enum { ROWS = 23, COLUMNS = 70 };
	static float in[ROWS * COLUMNS];
	static uint8_t out[ROWS * COLUMNS * 80] __attribute__((aligned(64)));

	(void)state;
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		in[i] = (float)(int32_t)random_bits() / 16777216;
	for (size_t k = 0; k < LENGTH(kernels) * LENGTH(formats); k++) {
		struct quire_convert c = {
			.rows = ROWS,
			.columns = COLUMNS,
			.source = in,
			.destination = out,
			.source_format = QUIRE_FORMAT_FP32,
			.destination_format = formats[k / LENGTH(kernels)],
			.source_leading_dimension = COLUMNS,
			.destination_leading_dimension = COLUMNS,
			.factor = 1,
		};
		const uint32_t bytes = bytes_of(c.destination_format);
		uint32_t right = 1 + (uint32_t)(random_bits() % (COLUMNS - 1)), below = ROWS / 2;
		struct quire_convert_result whole, part;
		uint64_t sum = 0, shares = 0;

		if (quire_kernel_select(kernels[k % LENGTH(kernels)]))
			continue;
		assert_int_equal(quire_convert(&c, &whole), 0);
		for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
			shares += share_of(c.destination_format, i, out + (size_t)i * bytes);
		assert_int_equal(whole.digest, shares);
		c.digest_columns = COLUMNS;
		for (int quarter = 3; quarter >= 0; quarter--) {
			c.digest_row = quarter & 2 ? below : 0;
			c.digest_column = quarter & 1 ? right : 0;
			c.rows = quarter & 2 ? ROWS - below : below;
			c.columns = quarter & 1 ? COLUMNS - right : right;
			c.source = in + c.digest_row * COLUMNS + c.digest_column;
			c.destination = out + (c.digest_row * COLUMNS + c.digest_column) * bytes;
			assert_int_equal(quire_convert(&c, &part), 0);
			sum += part.digest;
		}
		assert_int_equal(sum, whole.digest);
	}
	quire_kernel_select(NULL);
}

/* Runs of elements across indices of words that are multiples of 2^32. */
static void conversions_beyond_32_bits(void **state)
{
	static const uint32_t formats[] = { QUIRE_FORMAT_INT8, QUIRE_FORMAT_POSIT16,
					    QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP64 };
	enum { COUNT = 40 };
	uint64_t row[COUNT];

	(void)state;
	for (size_t k = 0; k < LENGTH(kernels) * LENGTH(formats); k++) {
		const uint32_t f = formats[k / LENGTH(kernels)], bytes = bytes_of(f);
		const uint8_t *at = (const uint8_t *)row;

		if (quire_kernel_select(kernels[k % LENGTH(kernels)]))
			continue;
		for (uint32_t i = 0; i < COUNT; i++)
			row[i] = random_bits() & 0xbfffffffffffffff;
		for (uint64_t before = 0; before <= COUNT + 2; before++) {
			uint64_t column = (3ull << 32) / (bytes == 8 ? 2 : 1) - before, shares = 0;

			for (uint32_t i = 0; i < COUNT; i++)
				shares += share_of(f, column + i, at + i * bytes);
			assert_int_equal(digest_of(f, row, COUNT, column), shares);
		}
	}
	quire_kernel_select(NULL);
}

/* The same of products, whose elements are stored in tiles. */
static void products_beyond_32_bits(void **state)
{
	static const uint32_t formats[] = { QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_BF16,
					    QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP64,
					    QUIRE_FORMAT_QUIRE };
	enum { M = 3, N = 60, K = 8 };
	static uint8_t a[M * K], b[K * N];
	static uint8_t d[M * N * 80] __attribute__((aligned(64)));

	(void)state;
	for (uint32_t i = 0; i < M * K; i++)
		a[i] = (uint8_t)(0x3c + random_bits() % 9);
	for (uint32_t i = 0; i < K * N; i++)
		b[i] = (uint8_t)(random_bits() % 0x7f);
	for (size_t k = 0; k < LENGTH(kernels) * LENGTH(formats); k++) {
		struct quire_gemm g = {
			.m = M,
			.n = N,
			.k = K,
			.batch = 1,
			.alpha = 1,
			.digest_columns = 1ull << 38,
			.a = { .data = a, .format = QUIRE_FORMAT_POSIT8, .leading_dimension = K },
			.b = { .data = b, .format = QUIRE_FORMAT_POSIT8, .leading_dimension = N },
			.d = { .data = d,
			       .format = formats[k / LENGTH(kernels)],
			       .leading_dimension = N },
		};
		const uint32_t bytes = bytes_of(g.d.format);
		const uint64_t words = bytes < 8 ? 1 : bytes / 4;
		struct quire_gemm_result result;

		if (quire_kernel_select(kernels[k % LENGTH(kernels)]))
			continue;
		for (uint64_t before = 0; before <= N; before++) {
			uint64_t shares = 0;

			g.digest_column = (1ull << 32) / words - before;
			assert_int_equal(quire_gemm(&g, &result), 0);
			for (uint64_t i = 0; i < M * N; i++)
				shares +=
					share_of(g.d.format,
						 i / N * g.digest_columns + g.digest_column + i % N,
						 d + i * bytes);
			assert_int_equal(result.digest, shares);
		}
	}
	quire_kernel_select(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_words),
		cmocka_unit_test(published_matrices),
		cmocka_unit_test(a_changed_bit_is_seen),
		cmocka_unit_test(exchanges_are_seen),
		cmocka_unit_test(close_places_differ),
		cmocka_unit_test(parts_add_up),
		cmocka_unit_test(conversions_beyond_32_bits),
		cmocka_unit_test(products_beyond_32_bits),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
