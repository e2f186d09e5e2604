// SPDX-License-Identifier: MIT
/*
 * Printing and parsing: every text is judged as the rational it stands for; FP64 also
 * against the C library's strtod.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/posit.h>

#include "oracle.h"

static const uint32_t formats[] = {
	QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT(3),
	QUIRE_FORMAT_POSIT(5), QUIRE_FORMAT_POSIT(13), QUIRE_FORMAT_POSIT(24), QUIRE_FORMAT_BF16,
	QUIRE_FORMAT_FP16, QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP64, QUIRE_FORMAT_E4M3,
	QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static struct dyadic x;

static uint64_t times(uint64_t count)
{
	const char *divisor = getenv("QUIRE_TEST_DIVISOR");

	return divisor ? count / strtoul(divisor, NULL, 10) + 1 : count;
}

static uint64_t mask_of(uint32_t format)
{
	unsigned int bits = QUIRE_FORMAT_BITS(format);

	return bits == 64 ? ~0ull : (1ull << bits) - 1;
}

/* How a rational compares with a dyadic number. */
static int compare_rational(const void *rational, const struct dyadic *d)
{
	mpq_t y;
	int c;

	mpq_init(y);
	mpq_set_z(y, d->m);
	if (d->e >= 0)
		mpq_mul_2exp(y, y, (unsigned long)d->e);
	else
		mpq_div_2exp(y, y, (unsigned long)-d->e);
	c = mpq_cmp(*(const mpq_t *)rational, y);
	mpq_clear(y);
	return (c > 0) - (c < 0);
}

/* digits * 10^exponent */
static void rational_of(const char *digits, long exponent, mpq_t q)
{
	mpz_t ten;

	mpz_init(ten);
	mpz_ui_pow_ui(ten, 10, (unsigned long)(exponent < 0 ? -exponent : exponent));
	mpz_set_str(mpq_numref(q), digits, 10);
	mpz_set_ui(mpq_denref(q), 1);
	if (exponent >= 0)
		mpz_mul(mpq_numref(q), mpq_numref(q), ten);
	else
		mpz_set(mpq_denref(q), ten);
	mpq_canonicalize(q);
	mpz_clear(ten);
}

/* The sign, the significant digits and the exponent of a printed decimal. */
static long take_apart(const char *text, char *digits)
{
	long exponent = 0;
	bool fraction = false;
	size_t count = 0;

	if (*text == '-')
		digits[count++] = *text++;
	for (; *text && *text != 'e'; text++) {
		if (*text == '.') {
			fraction = true;
			continue;
		}
		assert_in_range(*text, '0', '9');
		digits[count++] = *text;
		exponent -= fraction;
	}
	digits[count] = 0;
	return *text == 'e' ? exponent + atol(text + 1) : exponent;
}

/* No decimal with one digit less may read back; it would be one of two. */
static void check_shortest(uint32_t format, uint64_t word, const char *digits)
{
	size_t count;
	mpq_t value, candidate;
	mpz_t ten, scaled;
	long exponent;

	digits += strspn(digits, "-0");
	count = strlen(digits);
	while (count > 1 && digits[count - 1] == '0')
		count--;
	if (count == 1)
		return;
	mpq_inits(value, candidate, NULL);
	mpz_inits(ten, scaled, NULL);
	mpq_set_z(value, x.m);
	if (x.e >= 0)
		mpq_mul_2exp(value, value, (unsigned long)x.e);
	else
		mpq_div_2exp(value, value, (unsigned long)-x.e);
	mpq_abs(value, value);
	/* the power of ten of the last of count - 1 digits */
	for (exponent = -400;; exponent++) {
		mpz_ui_pow_ui(ten, 10, (unsigned long)(exponent < 0 ? -exponent : exponent));
		if (exponent < 0)
			mpz_mul(scaled, mpq_numref(value), ten);
		else
			mpz_set(scaled, mpq_numref(value));
		if (exponent >= 0)
			mpz_mul(ten, ten, mpq_denref(value));
		else
			mpz_set(ten, mpq_denref(value));
		mpz_fdiv_q(scaled, scaled, ten);
		mpz_ui_pow_ui(ten, 10, count - 1);
		if (mpz_cmp(scaled, ten) < 0)
			break;
	}
	for (int up = 0; up < 2; up++) {
		char *text;

		mpz_add_ui(scaled, scaled, (unsigned long)up);
		text = mpz_get_str(NULL, 10, scaled);
		rational_of(text, exponent, candidate);
		free(text);
		if (dyadic_sign(&x) < 0)
			mpq_neg(candidate, candidate);
		if (oracle_is_rounding_of(format, word, compare_rational, &candidate))
			fail_msg("format %#x, word %#llx: %s is not the shortest", format,
				 (unsigned long long)word, digits);
	}
	mpq_clears(value, candidate, NULL);
	mpz_clears(ten, scaled, NULL);
}

static void check_print(uint32_t format, uint64_t word, bool shortest)
{
	char text[QUIRE_NUMBER_TEXT_SIZE], digits[40], small[6];
	enum oracle_special special = oracle_value(format, word, &x);
	size_t length = quire_number_print(format, word, QUIRE_NUMBER_DECIMAL, text, sizeof(text));
	uint64_t back = 1, good = special ? oracle_special_word(format, special) : word;
	mpq_t q;

	assert_int_equal(length, strlen(text));
	assert_true(length < sizeof(text));
	assert_int_equal(quire_number_print(format, word, QUIRE_NUMBER_DECIMAL, small, sizeof(small)),
			 length);
	assert_memory_equal(small, text, length < 5 ? length + 1 : 5);
	assert_int_equal(strlen(small), length < 5 ? length : 5);
	assert_int_equal(quire_number_print(format, word, QUIRE_NUMBER_DECIMAL, NULL, 0), length);
	assert_int_equal(quire_number_parse(format, text, NULL, &back), 0);
	assert_int_equal(back & mask_of(format), good);
	if (special) {
		if (QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT)
			assert_string_equal(text, "NaR");
		return;
	}
	/* the text's exact value must round to the word */
	if (dyadic_sign(&x)) {
		mpq_init(q);
		rational_of(digits, take_apart(text, digits), q);
		assert_true(oracle_is_rounding_of(format, word, compare_rational, &q));
		mpq_clear(q);
		/* where the range ends, decimals beyond it read back too and are not used */
		if (shortest && (word & (mask_of(format) >> 1)) != oracle_largest(format) &&
		    (-word & mask_of(format)) != oracle_largest(format) &&
		    format != QUIRE_FORMAT_INT8)
			check_shortest(format, word, digits);
	}
	length = quire_number_print(format, word, QUIRE_NUMBER_HEX, text, sizeof(text));
	assert_true(length < sizeof(text));
	mpz_set_d(x.m, 0);
	back = 1;
	assert_int_equal(quire_number_parse(format, text, NULL, &back), 0);
	assert_int_equal(back & mask_of(format), word);
	/* exact, so in double too */
	assert_int_equal(quire_number_parse(QUIRE_FORMAT_FP64, text, NULL, &back), 0);
	assert_int_equal(back, quire_number_convert(QUIRE_FORMAT_FP64, format, word));
	{
		double d = strtod(text, NULL);

		assert_memory_equal(&d, &back, sizeof(d));
	}
}

static void printing_reads_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMATS; i++) {
		unsigned int bits = QUIRE_FORMAT_BITS(formats[i]);

		if (bits <= 8)
			for (uint64_t word = 0; word < 1ull << bits; word++)
				check_print(formats[i], word, true);
		else if (bits <= 16)
			for (uint64_t word = 0; word < 1ull << bits;
			     word += 65536 / times(65536) | 1)
				check_print(formats[i], word, word % 64 == 0);
		else
			for (uint64_t k = times(30000); k; k--)
				check_print(formats[i], oracle_random_word(formats[i]), k % 64 == 0);
	}
}

static void printed_texts(void **state)
{
	static const struct { uint32_t format; uint64_t word; const char *decimal, *hex; } rows[] = {
		{ QUIRE_FORMAT_POSIT16, 0x4000, "1", "0x1p+0" },
		{ QUIRE_FORMAT_POSIT16, 0x32ab, "0.3334", "0x1.556p-2" },
		{ QUIRE_FORMAT_POSIT32, 0x94480000, "-123.5", "-0x1.eep+6" },
		{ QUIRE_FORMAT_POSIT32, 1, "8e-37", "0x1p-120" },
		{ QUIRE_FORMAT_POSIT8, 0x80, "NaR", "NaR" },
		{ QUIRE_FORMAT_POSIT8, 0, "0", "0x0p+0" },
		{ QUIRE_FORMAT_FP64, 0x3fb999999999999a, "0.1", "0x1.999999999999ap-4" },
		{ QUIRE_FORMAT_FP64, 0x7fefffffffffffff, "1.7976931348623157e308", "0x1.fffffffffffffp+1023" },
		{ QUIRE_FORMAT_FP64, 1, "5e-324", "0x1p-1074" },
		{ QUIRE_FORMAT_FP64, 0x8000000000000000, "-0", "-0x0p+0" },
		{ QUIRE_FORMAT_FP32, 0xff800000, "-inf", "-inf" },
		{ QUIRE_FORMAT_FP32, 0x7fc00000, "nan", "nan" },
		{ QUIRE_FORMAT_INT8, 0x80, "-128", "-0x1p+7" },
	};
	char text[QUIRE_NUMBER_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		quire_number_print(rows[i].format, rows[i].word, QUIRE_NUMBER_DECIMAL, text, sizeof(text));
		assert_string_equal(text, rows[i].decimal);
		quire_number_print(rows[i].format, rows[i].word, QUIRE_NUMBER_HEX, text, sizeof(text));
		assert_string_equal(text, rows[i].hex);
	}
}

/* text is digits * 10^exponent; right in every format? */
static void check_parse(const char *text, const char *digits, long exponent)
{
	mpq_t q;

	mpq_init(q);
	rational_of(digits, exponent, q);
	for (size_t i = 0; i < FORMATS; i++) {
		uint64_t word;

		assert_int_equal(quire_number_parse(formats[i], text, NULL, &word), 0);
		word &= mask_of(formats[i]);
		if (!oracle_is_rounding_of(formats[i], word, compare_rational, &q) &&
		    !(mpq_sgn(q) == 0 && (word << 1 & mask_of(formats[i])) == 0))
			fail_msg("format %#x: %.60s is not %#llx", formats[i], text,
				 (unsigned long long)word);
	}
	mpq_clear(q);
}

static void random_decimals(void **state)
{
	(void)state;
	for (uint64_t i = times(60000); i; i--) {
		size_t count = 1 + oracle_random() % (i % 16 ? 20 : 60), point;
		long exponent = (long)(oracle_random() % (i % 4 ? 40 : 700)) - (i % 4 ? 25 : 350);
		char text[120], digits[64];

		for (size_t k = 0; k < count; k++)
			digits[k] = (char)('0' + oracle_random() % 10);
		digits[count] = 0;
		point = oracle_random() % (count + 1);
		snprintf(text, sizeof(text), "%s%.*s.%s%c%ld", i % 3 ? "" : "-", (int)point, digits,
			 digits + point, i % 2 ? 'e' : 'E', exponent + (long)(count - point));
		if (i % 3 == 0) {
			memmove(digits + 1, digits, count + 1);
			digits[0] = '-';
		}
		check_parse(text, digits, exponent);
		{
			double d = strtod(text, NULL);
			uint64_t word, good;

			memcpy(&good, &d, sizeof(good));
			quire_number_parse(QUIRE_FORMAT_FP64, text, NULL, &word);
			assert_int_equal(word, good);
		}
	}
}

/*
 * Decision points written out in full, and one unit of a digit far behind more or less:
 * only exact arithmetic can tell them apart.
 */
static void decision_points(void **state)
{
	(void)state;
	for (uint64_t i = times(4000); i; i--) {
		uint32_t format = formats[oracle_random() % 11];
		bool posit = QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT;
		uint64_t word = oracle_random_word(format) & (mask_of(format) >> 1);
		char *digits, *text;
		struct dyadic next;
		long exponent = 0;
		size_t length;
		mpz_t scaled;

		if (word >= oracle_largest(format))
			continue;
		dyadic_init(&next);
		if (posit) {
			oracle_value(QUIRE_FORMAT_POSIT(QUIRE_FORMAT_BITS(format) + 1), word << 1 | 1, &x);
		} else {
			oracle_value(format, word, &x);
			oracle_value(format, word + 1, &next);
			dyadic_add(&x, &x, &next);
			x.e--;
		}
		/* m * 2^-k = m * 5^k * 10^-k */
		mpz_init(scaled);
		if (x.e < 0) {
			mpz_ui_pow_ui(scaled, 5, (unsigned long)-x.e);
			mpz_mul(scaled, scaled, x.m);
			exponent = x.e;
		} else {
			mpz_mul_2exp(scaled, x.m, (unsigned long)x.e);
		}
		length = mpz_sizeinbase(scaled, 10);
		digits = malloc(length + 300);
		text = malloc(length + 320);
		mpz_get_str(digits, 10, scaled);
		sprintf(text, "%se%ld", digits, exponent);
		check_parse(text, digits, exponent);
		strcat(digits, "000000000000000000000000000000000000000000000000000000000000000000001");
		sprintf(text, "%se%ld", digits, exponent - 69);
		check_parse(text, digits, exponent - 69);
		mpz_mul_ui(scaled, scaled, 10);
		mpz_sub_ui(scaled, scaled, 1);
		mpz_get_str(digits, 10, scaled);
		strcat(digits, "99999999999999999999");
		sprintf(text, "%se%ld", digits, exponent - 21);
		check_parse(text, digits, exponent - 21);
		mpz_clear(scaled);
		dyadic_clear(&next);
		free(digits);
		free(text);
	}
}

/* A million digits: 1 + 2^-28, half-way between two posit32, and then zeros and a one. */
static void very_long_decimals(void **state)
{
	static const char half[] = "1.0000000037252902984619140625";
	const size_t length = 1000000;
	char *text = malloc(length + 1);
	const char *end;
	uint32_t word;

	(void)state;
	memset(text, '0', length);
	memcpy(text, half, strlen(half));
	text[length] = 0;
	assert_int_equal(quire_posit_parse(32, text, NULL, &word), 0);
	assert_int_equal(word, 0x40000000);
	text[length - 1] = '1';
	assert_int_equal(quire_posit_parse(32, text, NULL, &word), 0);
	assert_int_equal(word, 0x40000001);
	/* 10^-999998 times 10^999999 */
	memset(text, '0', length);
	text[1] = '.';
	text[length - 8] = '1';
	strcpy(text + length - 7, "e999991");
	assert_int_equal(quire_posit_parse(32, text, &end, &word), 0);
	assert_int_equal(*end, 0);
	assert_int_equal(word, quire_posit_one(32));
	free(text);
}

static void hexadecimal(void **state)
{
	static const char *const texts[] = {
		"0x1p0", "0X1.8P+3", "0x.8p1", "-0xabcdefp-30", "0x1.fffffffffffff8p0",
		"0x1.fffffffffffff7ffffffffffffffp0", "0x0.00000000000000000000000000001p100",
		"0x123456789abcdef0123456789.8p-90", "0x1p-1074", "0x1p-1075", "0x1.1p-1075", "0x1p1024",
		"0x10000000000000800000000000000000000001", "0x8.", "-0x0p0", "0x1p-99999999999999999999",
		"0x1p+99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		double d = strtod(texts[i], NULL);
		uint64_t word, good;

		memcpy(&good, &d, sizeof(good));
		assert_int_equal(quire_number_parse(QUIRE_FORMAT_FP64, texts[i], NULL, &word), 0);
		assert_int_equal(word, good);
	}
}

static void words_and_bad_texts(void **state)
{
	static const char *const bad[] = { "", "+", "-", ".", "e5", " 1", "x", "--1", "na", "in", "+.e1" };
	static const struct { const char *text; size_t length; uint32_t word; } rows[] = {
		{ "1..2", 2, 0x4000 }, { "1e", 1, 0x4000 }, { "1e+", 1, 0x4000 }, { "0x", 1, 0 },
		{ "0xg", 1, 0 }, { "2,5", 1, 0x4800 }, { "1.e1x", 4, 0x5a00 }, { "NaRx", 3, 0xffff8000 },
		{ "nan", 3, 0xffff8000 }, { "-Infinity", 9, 0xffff8000 }, { "infinite", 3, 0xffff8000 },
		{ "+1", 2, 0x4000 }, { "-.5", 3, 0xffffc800 }, { "1e99999999999999999999", 22, 0x7fff },
		{ "-1e-99999999999999999999", 24, 0xffffffff }, { "0e99999999999999999999", 22, 0 },
	};
	const char *end;
	uint32_t word = 77;
	uint64_t wide;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(quire_posit_parse(16, bad[i], &end, &word), -EINVAL);
		assert_ptr_equal(end, bad[i]);
		assert_int_equal(word, 77);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(quire_posit_parse(16, rows[i].text, &end, &word), 0);
		assert_int_equal(end - rows[i].text, rows[i].length);
		assert_int_equal(word, rows[i].word);
		assert_int_equal(quire_posit_parse(16, rows[i].text, NULL, &word),
				 rows[i].text[rows[i].length] ? -EINVAL : 0);
	}
	assert_int_equal(quire_number_parse(QUIRE_FORMAT_QUIRE, "1", NULL, &wide), -EINVAL);
	assert_int_equal(quire_number_parse(QUIRE_FORMAT_FP32, "-inf", NULL, &wide), 0);
	assert_int_equal(wide, 0xff800000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printed_texts),
		cmocka_unit_test(printing_reads_back),
		cmocka_unit_test(random_decimals),
		cmocka_unit_test(decision_points),
		cmocka_unit_test(very_long_decimals),
		cmocka_unit_test(hexadecimal),
		cmocka_unit_test(words_and_bad_texts),
	};

	dyadic_init(&x);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
