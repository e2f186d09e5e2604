// SPDX-License-Identifier: MIT
/*
 * Conversions, bit for bit, against GMP rationals: every pair of formats, every kernel,
 * every pattern of the formats of 8 and 16 bits.  The oracle shares no code with the library: a
 * value is an integer times 2^-1200, rounding is a search over the destination's patterns.
 */
#include <gmp.h>
#include <errno.h>
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
#include <quirenum/threads.h>

#include "../oracle/digest.h"

#define UNIT 1200

enum special { FINITE, NAN_, INF };

static uint64_t seed = 7;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static const uint32_t formats[] = {
	QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT(3),
	QUIRE_FORMAT_POSIT(5), QUIRE_FORMAT_POSIT(12), QUIRE_FORMAT_POSIT(17),
	QUIRE_FORMAT_POSIT(27), QUIRE_FORMAT_POSIT(28), QUIRE_FORMAT_POSIT(29),
	QUIRE_FORMAT_POSIT(31), QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16, QUIRE_FORMAT_FP32,
	QUIRE_FORMAT_FP64, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static bool is_posit(uint32_t f)
{
	return QUIRE_FORMAT_KIND(f) == QUIRE_KIND_POSIT;
}

static uint32_t bytes_of(uint32_t f)
{
	uint32_t w = QUIRE_FORMAT_BITS(f);

	return w <= 8 ? 1 : w <= 16 ? 2 : w <= 32 ? 4 : 8;
}

static int fraction_of(uint32_t f)
{
	switch (f) {
	case QUIRE_FORMAT_FP64: return 52;
	case QUIRE_FORMAT_FP32: return 23;
	case QUIRE_FORMAT_FP16: return 10;
	case QUIRE_FORMAT_BF16: return 7;
	case QUIRE_FORMAT_E4M3: return 3;
	}
	return 2;
}

/* |value| * 2^UNIT of a pattern without its sign (posits: of a positive word) */
static enum special magnitude_of(uint32_t f, uint64_t m, mpz_t v)
{
	int w = (int)QUIRE_FORMAT_BITS(f), fraction, expo, i = w - 2, run = 0;
	uint64_t field;
	int64_t e;

	mpz_set_ui(v, 0);
	if (f == QUIRE_FORMAT_INT8) {
		mpz_set_ui(v, m);
		mpz_mul_2exp(v, v, UNIT);
		return FINITE;
	}
	if (is_posit(f)) {
		int first = (int)(m >> i & 1);

		if (!m)
			return FINITE;
		for (; i >= 0 && (int)(m >> i & 1) == first; i--)
			run++;
		e = 4 * (first ? run - 1 : -run);
		i--;
		for (int b = 2; b; b >>= 1, i--)
			if (i >= 0 && m >> i & 1)
				e += b;
		mpz_set_ui(v, 1);
		for (; i >= 0; i--, e--) {
			mpz_mul_2exp(v, v, 1);
			mpz_add_ui(v, v, m >> i & 1);
		}
		mpz_mul_2exp(v, v, (unsigned long)(UNIT + e));
		return FINITE;
	}
	fraction = fraction_of(f);
	expo = w - 1 - fraction;
	field = m >> fraction;
	if (f == QUIRE_FORMAT_E4M3 ? m == 0x7f : field == (1ull << expo) - 1)
		return f == QUIRE_FORMAT_E4M3 || m & ((1ull << fraction) - 1) ? NAN_ : INF;
	e = (int64_t)(field ? field : 1) - ((1 << (expo - 1)) - 1) - fraction;
	mpz_set_ui(v, (m & ((1ull << fraction) - 1)) | (field ? 1ull << fraction : 0));
	mpz_mul_2exp(v, v, (unsigned long)(UNIT + e));
	return FINITE;
}

static uint64_t top_of(uint32_t f)
{
	int fraction = fraction_of(f);

	if (is_posit(f) || f == QUIRE_FORMAT_INT8)
		return (1ull << (QUIRE_FORMAT_BITS(f) - 1)) - 1;
	if (f == QUIRE_FORMAT_E4M3)
		return 0x7e;
	return (((1ull << ((int)QUIRE_FORMAT_BITS(f) - 1 - fraction)) - 1) << fraction) - 1;
}

static uint64_t nan_of(uint32_t f)
{
	switch (f) {
	case QUIRE_FORMAT_FP64: return 0x7ff8000000000000ull;
	case QUIRE_FORMAT_FP32: return 0x7fc00000;
	case QUIRE_FORMAT_FP16: return 0x7e00;
	case QUIRE_FORMAT_BF16: return 0x7fc0;
	case QUIRE_FORMAT_E4M3: return 0x7f;
	case QUIRE_FORMAT_E5M2: return 0x7e;
	}
	return 1ull << (QUIRE_FORMAT_BITS(f) - 1);
}

/* The pattern nearest to (-1)^negative * magnitude / 2^UNIT, magnitude doubled for halves */
static uint64_t expect(uint32_t to, enum special s, bool negative, const mpz_t magnitude)
{
	const uint64_t sign = 1ull << (QUIRE_FORMAT_BITS(to) - 1), top = top_of(to);
	const bool complement = is_posit(to) || to == QUIRE_FORMAT_INT8;
	uint64_t lo = 0, hi = top, r;
	mpz_t v, mid;
	int c;

	if (s == NAN_ || (s == INF && is_posit(to)))
		return nan_of(to);
	if (s == INF && to == QUIRE_FORMAT_INT8)
		return negative ? 0x80 : 0x7f;
	if (s == INF)
		return (to == QUIRE_FORMAT_E4M3 ? top : top + 1) | (negative ? sign : 0);
	mpz_inits(v, mid, NULL);
	while (lo < hi) {
		uint64_t m = lo + (hi - lo + 1) / 2;

		magnitude_of(to, m, v);
		if (mpz_cmp(v, magnitude) <= 0)
			lo = m;
		else
			hi = m - 1;
	}
	magnitude_of(to, lo, v);
	r = lo;
	if (mpz_cmp(v, magnitude)) {
		if (is_posit(to)) {
			if (lo && lo < top)
				magnitude_of(QUIRE_FORMAT_POSIT(QUIRE_FORMAT_BITS(to) + 1),
					     lo << 1 | 1, mid);
			c = !lo ? 1 : lo == top ? -1 : mpz_cmp(magnitude, mid);
		} else {
			if (lo < top) {
				magnitude_of(to, lo + 1, mid);
			} else {
				/* as if the range went on */
				mpz_t below;

				mpz_init(below);
				magnitude_of(to, lo - 1, below);
				mpz_mul_2exp(mid, v, 1);
				mpz_sub(mid, mid, below);
				mpz_clear(below);
			}
			mpz_add(mid, mid, v);
			mpz_mul_2exp(v, magnitude, 1);
			c = mpz_cmp(v, mid);
		}
		r = lo + (c > 0 || (c == 0 && lo & 1));
		if (to == QUIRE_FORMAT_E4M3 && r > top)
			r = top;
		if (to == QUIRE_FORMAT_INT8 && r > top && !negative)
			r = top;
	}
	mpz_clears(v, mid, NULL);
	if (complement)
		return negative ? -r & (sign | (sign - 1)) : r;
	return r | (negative ? sign : 0);
}

static uint64_t expect_of(uint32_t from, uint64_t bits, uint32_t to, float factor)
{
	uint64_t sign = 1ull << (QUIRE_FORMAT_BITS(from) - 1), m = bits & (sign | (sign - 1));
	bool negative = m & sign;
	enum special s;
	mpz_t v, f;
	uint32_t word;
	uint64_t r;

	mpz_inits(v, f, NULL);
	if (is_posit(from) && m == sign) {
		s = NAN_;
	} else {
		m = !negative ? m : is_posit(from) || from == QUIRE_FORMAT_INT8 ?
			-m & (sign | (sign - 1)) : m & ~sign;
		s = magnitude_of(from, m, v);
	}
	memcpy(&word, &factor, 4);
	magnitude_of(QUIRE_FORMAT_FP32, word & 0x7fffffff, f);
	mpz_mul(v, v, f);
	/* below 2^-UNIT only that there is something matters */
	mpz_fdiv_r_2exp(f, v, UNIT);
	mpz_fdiv_q_2exp(v, v, UNIT);
	if (mpz_sgn(f))
		mpz_setbit(v, 0);
	r = expect(to, s, negative ^ (word >> 31), v);
	mpz_clears(v, f, NULL);
	return r;
}

static bool is_exceptional(uint32_t f, uint64_t bits)
{
	const uint64_t sign = 1ull << (QUIRE_FORMAT_BITS(f) - 1);

	if (f == QUIRE_FORMAT_INT8)
		return false;
	return is_posit(f) ? bits == sign : (bits & ~sign) > top_of(f);
}

static const char *const kernels[] = { "ifma", "avx2", "generic" };

/* Convert count patterns with all kernels, with and without a digest. */
static void check(uint32_t from, const void *in, uint32_t to, uint64_t count, float factor)
{
	uint32_t fb = bytes_of(from), tb = bytes_of(to);
	uint8_t *good = malloc(count * tb), *out = malloc(count * tb);
	uint64_t digest = 0, exceptional = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t x = 0, y;

		memcpy(&x, (const uint8_t *)in + i * fb, fb);
		y = expect_of(from, x, to, factor);
		digest += oracle_digest_element(tb, i, y);
		exceptional += is_exceptional(to, y);
		if (is_posit(to) && y >> (QUIRE_FORMAT_BITS(to) - 1))
			y |= ~0ull << QUIRE_FORMAT_BITS(to);
		memcpy(good + i * tb, &y, tb);
	}
	for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++)
		for (int with = 0; with < 2; with++) {
			struct quire_convert c = {
				.rows = 1, .columns = count, .source = in, .destination = out,
				.source_format = from, .destination_format = to, .factor = factor,
			};
			struct quire_convert_result result;

			if (quire_kernel_select(kernels[k]))
				continue;
			memset(out, 0x55, count * tb);
			assert_int_equal(quire_convert(&c, with ? &result : NULL), 0);
			for (uint64_t i = 0; i < count * tb; i++)
				if (out[i] != good[i])
					fail_msg("%s: %x to %x factor %a element %llu: byte %u is %02x not %02x",
						 kernels[k], from, to, (double)factor,
						 (unsigned long long)(i / tb), (unsigned)(i % tb), out[i],
						 good[i]);
			if (with) {
				assert_int_equal(result.digest, digest);
				assert_int_equal(result.exceptional, exceptional);
			}
		}
	quire_kernel_select(NULL);
	free(good);
	free(out);
}

static void fill(uint32_t f, void *data, uint64_t count, bool near_one)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t x = rnd();

		/* exponents near 1 hit the halfway points of short formats more often */
		if (near_one && f == QUIRE_FORMAT_FP64)
			x = (x & 0x800fffffffffffff) | (0x3f0 + rnd() % 32) << 52;
		if (near_one && f == QUIRE_FORMAT_FP32)
			x = (x & 0x807fffff) | (0x70 + rnd() % 32) << 23;
		if (near_one && rnd() % 2)
			x &= ~0ull << rnd() % QUIRE_FORMAT_BITS(f);
		/* the next number up and down: no longer half-way */
		if (near_one && (f == QUIRE_FORMAT_FP64 || f == QUIRE_FORMAT_FP32))
			x += rnd() % 3 - 1;
		memcpy((uint8_t *)data + i * bytes_of(f), &x, bytes_of(f));
	}
}

static void every_pair(void **state)
{
	static uint64_t data[400];

	(void)state;
	for (size_t a = 0; a < FORMATS; a++)
		for (size_t b = 0; b < FORMATS; b++)
			for (int near_one = 0; near_one < 2; near_one++) {
				fill(formats[a], data, 237, near_one);
				check(formats[a], data, formats[b], 237, 1);
			}
}

static void every_pattern_of_short_formats(void **state)
{
	static uint16_t words[65536];
	static uint8_t bytes[256];

	(void)state;
	for (int i = 0; i < 65536; i++)
		words[i] = (uint16_t)i;
	for (int i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	for (size_t a = 0; a < FORMATS; a++)
		if (bytes_of(formats[a]) == 1)
			for (size_t b = 0; b < FORMATS; b++)
				check(formats[a], bytes, formats[b], 256, 1);
	check(QUIRE_FORMAT_POSIT16, words, QUIRE_FORMAT_FP32, 65536, 1);
	check(QUIRE_FORMAT_BF16, words, QUIRE_FORMAT_POSIT8, 65536, 1);
	check(QUIRE_FORMAT_FP16, words, QUIRE_FORMAT_POSIT16, 65536, 1);
}

static void factors(void **state)
{
	static const float f[] = { 0.1f, -3.75f, 1.0f / 3, -1, 0x1p-149f, 0x1.fffffep127f, 0x1.000002p0f };
	static uint64_t data[400];

	(void)state;
	for (size_t a = 0; a < FORMATS; a++)
		for (size_t b = 0; b < FORMATS; b++)
			for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
				if (formats[a] == QUIRE_FORMAT_FP64 || formats[b] == QUIRE_FORMAT_FP64)
					continue;
				fill(formats[a], data, 40, i % 2);
				check(formats[a], data, formats[b], 40, f[i]);
			}
}

/* Rows apart from each other, many threads: nothing between the rows is touched. */
static void rows_and_threads(void **state)
{
	enum { ROWS = 300, COLUMNS = 517 };
	struct quire_threads *threads = quire_threads_create(3);
	float *in = malloc(ROWS * 600 * sizeof(*in));
	uint16_t *out = malloc(ROWS * 520 * sizeof(*out));
	struct quire_convert c = {
		.rows = ROWS, .columns = COLUMNS, .source = in, .destination = out,
		.source_format = QUIRE_FORMAT_FP32, .destination_format = QUIRE_FORMAT_POSIT16,
		.source_leading_dimension = 600, .destination_leading_dimension = 520, .factor = 1,
		.threads = threads,
	};
	struct quire_convert_result result;
	uint64_t digest = 0;

	(void)state;
	fill(QUIRE_FORMAT_FP32, in, ROWS * 600, true);
	memset(out, 0xab, ROWS * 520 * sizeof(*out));
	assert_int_equal(quire_convert(&c, &result), 0);
	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < 520; j++) {
			uint64_t good = 0xabab;
			uint32_t word;

			memcpy(&word, &in[i * 600 + j], 4);
			if (j < COLUMNS) {
				good = expect_of(QUIRE_FORMAT_FP32, word, QUIRE_FORMAT_POSIT16, 1);
				digest += oracle_digest_word((uint64_t)i * COLUMNS + (uint64_t)j, good);
			}
			assert_int_equal(out[i * 520 + j], good);
		}
	assert_int_equal(result.digest, digest);
	quire_threads_destroy(threads);
	free(in);
	free(out);
}

/* Through the image and back nothing is lost. */
static void quire_images(void **state)
{
	static uint32_t in[300], out[300];
	static uint64_t image[300 * QUIRE_IMAGE_LIMBS];
	struct quire_convert c = {
		.rows = 3, .columns = 100, .source = in, .destination = image,
		.source_format = QUIRE_FORMAT_POSIT32, .destination_format = QUIRE_FORMAT_QUIRE,
		.source_leading_dimension = 100, .destination_leading_dimension = 100, .factor = 1,
	};

	(void)state;
	fill(QUIRE_FORMAT_POSIT32, in, 300, false);
	assert_int_equal(quire_convert(&c, NULL), 0);
	c.source = image;
	c.source_format = QUIRE_FORMAT_QUIRE;
	c.destination = out;
	c.destination_format = QUIRE_FORMAT_POSIT32;
	assert_int_equal(quire_convert(&c, NULL), 0);
	assert_memory_equal(in, out, sizeof(in));
}

static void bad_conversions(void **state)
{
	const volatile uint32_t stop = 1;
	float in[64] = { 0 };
	uint16_t out[64] = { 0 };
	const struct quire_convert good = {
		.rows = 8, .columns = 8, .source = in, .destination = out,
		.source_format = QUIRE_FORMAT_FP32, .destination_format = QUIRE_FORMAT_POSIT16,
		.source_leading_dimension = 8, .destination_leading_dimension = 8, .factor = 1,
	};
	static const struct { const char *field; int error, which; } cases[] = {
		{ "source", -EINVAL, 0 }, { "destination", -EINVAL, 1 }, { "factor", -EINVAL, 2 },
		{ "source_format", -EINVAL, 3 }, { "destination_format", -EINVAL, 4 },
		{ "source_leading_dimension", -EINVAL, 5 },
		{ "destination_leading_dimension", -EOVERFLOW, 6 }, { "destination", -EINVAL, 7 },
		{ "factor", -EINVAL, 8 }, { "reserved", -EINVAL, 9 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quire_convert c = good;
		const char *why = NULL;

		switch (cases[i].which) {
		case 0: c.source = NULL; break;
		case 1: c.destination = (uint8_t *)out + 1; break;
		case 2: c.factor = 0; break;
		case 3: c.source_format = 0; break;
		case 4: c.destination_format = QUIRE_FORMAT_POSIT(33); break;
		case 5: c.source_leading_dimension = 7; break;
		case 6: c.destination_leading_dimension = ~0ull / 4; break;
		case 7: c.destination = in; break;
		case 8: c.factor = 2; c.destination_format = QUIRE_FORMAT_FP64; break;
		case 9: c.reserved = 1; break;
		}
		assert_int_equal(quire_convert_check(&c, &why), cases[i].error);
		assert_non_null(why);
		assert_string_equal(why, cases[i].field);
		assert_int_equal(quire_convert(&c, NULL), cases[i].error);
	}
	struct quire_convert c = good;

	c.cancel = &stop;
	assert_int_equal(quire_convert(&c, NULL), -ECANCELED);
	c.cancel = NULL;
	c.rows = 0;
	assert_int_equal(quire_convert(&c, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_conversions),
		cmocka_unit_test(every_pair),
		cmocka_unit_test(every_pattern_of_short_formats),
		cmocka_unit_test(factors),
		cmocka_unit_test(rows_and_threads),
		cmocka_unit_test(quire_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
