// SPDX-License-Identifier: MIT
/* Conversions between all formats and to and from integers, against tests/oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/posit.h>

#include "oracle.h"

static const uint32_t floats[] = {
	QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16, QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP64,
	QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
};
#define FLOATS (sizeof(floats) / sizeof(floats[0]))

static struct dyadic x;

static uint64_t times(uint64_t count)
{
	const char *divisor = getenv("QUIRE_TEST_DIVISOR");

	return divisor ? count / strtoul(divisor, NULL, 10) + 1 : count;
}

/* All words of a format of 16 bits or less, or fewer when runs are cut short. */
static uint64_t step(uint32_t format)
{
	uint64_t all = 1ull << QUIRE_FORMAT_BITS(format), some = times(all);

	return some < all ? all / some | 1 : 1;
}

static bool is_posit(uint32_t format)
{
	return QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT;
}

/* The format's own bits of a returned word; what is above must be as documented. */
static uint64_t own_bits(uint32_t format, uint64_t word)
{
	unsigned int bits = QUIRE_FORMAT_BITS(format);

	if (bits == 64)
		return word;
	if (is_posit(format))
		assert_int_equal(word, (uint32_t)((int32_t)((uint32_t)word << (32 - bits)) >>
						  (32 - bits)));
	else
		assert_int_equal(word >> bits, 0);
	return word & ((1ull << bits) - 1);
}

static void check(uint32_t to, uint32_t from, uint64_t word)
{
	const unsigned int bits = QUIRE_FORMAT_BITS(from);
	uint64_t rubbish = bits < 64 ? oracle_random() << bits : 0;
	uint64_t got = own_bits(to, quire_number_convert(to, from, word | rubbish));
	enum oracle_special special = oracle_value(from, word, &x);
	bool right;

	if (special)
		right = got == oracle_special_word(to, special);
	else if (!dyadic_sign(&x) && word && !is_posit(to) && to != QUIRE_FORMAT_INT8)
		right = got == 1ull << (QUIRE_FORMAT_BITS(to) - 1);	/* -0 */
	else
		right = oracle_is_rounding(to, got, &x);
	if (!right)
		fail_msg("format %#x, word %#llx to format %#x is not %#llx", from,
			 (unsigned long long)word, to, (unsigned long long)got);
}

static void check_to_all(uint32_t from, uint64_t word)
{
	for (unsigned int bits = 3; bits <= 32; bits++)
		check(QUIRE_FORMAT_POSIT(bits), from, word);
	for (size_t i = 0; i < FLOATS; i++)
		check(floats[i], from, word);
}

static void all_words_of_16_bits_to_all_formats(void **state)
{
	(void)state;
	for (unsigned int bits = 3; bits <= 16; bits++)
		for (uint64_t word = 0; word < 1ull << bits; word += step(QUIRE_FORMAT_POSIT(bits)))
			if (bits == 8 || bits == 16 || word % 7 == 0 || bits < 8)
				check_to_all(QUIRE_FORMAT_POSIT(bits), word);
	for (size_t i = 0; i < FLOATS; i++)
		if (QUIRE_FORMAT_BITS(floats[i]) <= 16)
			for (uint64_t word = 0; word < 1ull << QUIRE_FORMAT_BITS(floats[i]);
			     word += step(floats[i]))
				check_to_all(floats[i], word);
}

static void random_words_of_wide_formats(void **state)
{
	(void)state;
	for (uint64_t i = times(10000); i; i--) {
		unsigned int bits = 17 + (unsigned int)(oracle_random() % 16);
		uint32_t from = QUIRE_FORMAT_POSIT(bits);

		check_to_all(from, oracle_random_word(from));
		check_to_all(QUIRE_FORMAT_FP32, oracle_random_word(QUIRE_FORMAT_FP32));
		check_to_all(QUIRE_FORMAT_FP64, oracle_random_word(QUIRE_FORMAT_FP64));
	}
}

/* Two million of each, and the CPU's own conversions as a second opinion. */
static void floats_and_posit32(void **state)
{
	(void)state;
	for (uint64_t i = times(2000000); i; i--) {
		uint64_t wide = oracle_random_word(QUIRE_FORMAT_FP64);
		uint32_t narrow = (uint32_t)oracle_random_word(QUIRE_FORMAT_FP32), word;
		uint32_t posit = (uint32_t)oracle_random_word(QUIRE_FORMAT_POSIT32);
		double d;
		float f;

		check(QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP32, narrow);
		check(QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT32, posit);
		/* exponents within FP32's reach, its subnormals included */
		wide = (wide & 0x800fffffffffffffull) | (1023 - 152 + (wide >> 52) % 304) << 52;
		memcpy(&d, &wide, sizeof(d));
		f = (float)d;
		memcpy(&word, &f, sizeof(word));
		assert_int_equal(quire_number_convert(QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP64, wide), word);
		check(QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP64, wide);
		/* posit32 is exact in double, so one cast is one rounding */
		if (posit != 0x80000000u)
			assert_true((float)quire_posit_to_double(32, posit) ==
				    quire_posit_to_float(32, posit));
		assert_int_equal(quire_posit_from_double(32, quire_posit_to_double(32, posit)), posit);
	}
}

/* x to the nearest integer, ties to even; the right answer for an integer type. */
static uint64_t nearest_integer(unsigned int width, bool is_signed)
{
	mpz_t q, r, low, high;
	uint64_t result = 1ull << (width - 1);

	mpz_inits(q, r, low, high, NULL);
	if (x.e >= 0) {
		mpz_mul_2exp(q, x.m, (unsigned long)x.e);
	} else {
		mpz_fdiv_q_2exp(q, x.m, (unsigned long)-x.e);
		mpz_fdiv_r_2exp(r, x.m, (unsigned long)-x.e);
		mpz_mul_2exp(r, r, 1);
		mpz_setbit(high, (unsigned long)-x.e);
		if (mpz_cmp(r, high) > 0 || (mpz_cmp(r, high) == 0 && mpz_odd_p(q)))
			mpz_add_ui(q, q, 1);
	}
	mpz_set_ui(high, 0);
	mpz_setbit(high, is_signed ? width - 1 : width);
	if (is_signed)
		mpz_neg(low, high);
	if (mpz_cmp(q, low) >= 0 && mpz_cmp(q, high) < 0) {
		mpz_fdiv_r_2exp(q, q, 64);
		result = mpz_get_ui(q);
	}
	mpz_clears(q, r, low, high, NULL);
	return result;
}

static void check_integers(unsigned int bits, uint32_t word)
{
	bool nar = oracle_value(QUIRE_FORMAT_POSIT(bits), word, &x) != ORACLE_FINITE;

	assert_int_equal(quire_posit_to_int32(bits, word),
			 nar ? INT32_MIN : (int32_t)nearest_integer(32, true));
	assert_int_equal(quire_posit_to_int64(bits, word),
			 nar ? INT64_MIN : (int64_t)nearest_integer(64, true));
	assert_int_equal(quire_posit_to_uint32(bits, word),
			 nar ? 1u << 31 : (uint32_t)nearest_integer(32, false));
	assert_int_equal(quire_posit_to_uint64(bits, word),
			 nar ? 1ull << 63 : nearest_integer(64, false));
}

static void check_from_integer(unsigned int bits, uint64_t integer)
{
	const uint32_t format = QUIRE_FORMAT_POSIT(bits);

	x.e = 0;
	mpz_set_ui(x.m, integer);
	assert_true(oracle_is_rounding(format, quire_posit_from_uint64(bits, integer), &x));
	mpz_set_ui(x.m, (uint32_t)integer);
	assert_true(oracle_is_rounding(format, quire_posit_from_uint32(bits, (uint32_t)integer), &x));
	mpz_set_si(x.m, (int64_t)integer);
	if ((int64_t)integer == INT64_MIN)
		assert_true(quire_posit_is_nar(bits, quire_posit_from_int64(bits, INT64_MIN)));
	else
		assert_true(oracle_is_rounding(format,
					       quire_posit_from_int64(bits, (int64_t)integer), &x));
	mpz_set_si(x.m, (int32_t)integer);
	if ((int32_t)integer == INT32_MIN)
		assert_true(quire_posit_is_nar(bits, quire_posit_from_int32(bits, INT32_MIN)));
	else
		assert_true(oracle_is_rounding(format,
					       quire_posit_from_int32(bits, (int32_t)integer), &x));
}

static void integers(void **state)
{
	(void)state;
	for (uint32_t word = 0; word < 65536; word += (uint32_t)step(QUIRE_FORMAT_POSIT16))
		check_integers(16, word);
	for (unsigned int bits = 3; bits <= 32; bits++)
		for (uint64_t i = times(6000); i; i--) {
			uint64_t integer = oracle_random() >> oracle_random() % 64;

			check_integers(bits, (uint32_t)oracle_random_word(QUIRE_FORMAT_POSIT(bits)));
			/* posits whose integers lie near the limits of the types */
			check_integers(bits, quire_posit_from_int64(bits, (int64_t)integer));
			check_from_integer(bits, integer);
			check_from_integer(bits, (1ull << i % 64) + oracle_random() % 3 - 1);
			check_from_integer(bits, -(1ull << i % 64) + oracle_random() % 3 - 1);
		}
}

static void formats_that_are_not(void **state)
{
	(void)state;
	assert_true(quire_number_format_valid(QUIRE_FORMAT_POSIT(3)));
	assert_true(quire_number_format_valid(QUIRE_FORMAT_FP64));
	assert_false(quire_number_format_valid(QUIRE_FORMAT_POSIT(2)));
	assert_false(quire_number_format_valid(QUIRE_FORMAT_POSIT(33)));
	assert_false(quire_number_format_valid(QUIRE_FORMAT(QUIRE_KIND_POSIT, 16, 1)));
	assert_false(quire_number_format_valid(QUIRE_FORMAT(QUIRE_KIND_IEEE, 24, 0)));
	assert_false(quire_number_format_valid(QUIRE_FORMAT_QUIRE));
	assert_false(quire_number_format_valid(QUIRE_FORMAT_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_that_are_not),
		cmocka_unit_test(all_words_of_16_bits_to_all_formats),
		cmocka_unit_test(random_words_of_wide_formats),
		cmocka_unit_test(floats_and_posit32),
		cmocka_unit_test(integers),
	};

	dyadic_init(&x);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
