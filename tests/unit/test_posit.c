// SPDX-License-Identifier: MIT
/*
 * Arithmetic of single posits against exact rationals (tests/oracle): a result is
 * right when the exact one lies between its decision points.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <quirenum/accumulator.h>
#include <quirenum/posit.h>

#include "oracle.h"

/* An operation with up to three operands; their exact values. */
struct operation {
	unsigned int bits;
	struct dyadic a, b, c, t, u;
};

static struct operation op;

/* For runs under valgrind and the like, which need fewer. */
static uint64_t times(uint64_t count)
{
	const char *divisor = getenv("QUIRE_TEST_DIVISOR");

	return divisor ? count / strtoul(divisor, NULL, 10) + 1 : count;
}

/* The step through count words that leaves about times(count) of them. */
static uint32_t step(uint32_t count)
{
	return count / (uint32_t)(times(count) < count ? times(count) : count) | 1;
}

/* The values of the operands; false when one is NaR. */
static bool operands(unsigned int bits, uint32_t a, uint32_t b, uint32_t c)
{
	op.bits = bits;
	return oracle_value(QUIRE_FORMAT_POSIT(bits), a, &op.a) == ORACLE_FINITE &&
	       oracle_value(QUIRE_FORMAT_POSIT(bits), b, &op.b) == ORACLE_FINITE &&
	       oracle_value(QUIRE_FORMAT_POSIT(bits), c, &op.c) == ORACLE_FINITE;
}

/* The words of a result must be extended to 32 bits. */
static bool is_extended(unsigned int bits, uint32_t word)
{
	return word == (uint32_t)((int32_t)(word << (32 - bits)) >> (32 - bits));
}

static bool is_nar(unsigned int bits, uint32_t word)
{
	return word == ~0u << (bits - 1);
}

static void judge(const char *name, unsigned int bits, uint32_t a, uint32_t b, uint32_t c,
		  uint32_t result, bool right)
{
	if (!right || !is_extended(bits, result))
		fail_msg("posit%u %s(%#x, %#x, %#x) is not %#x", bits, name, a, b, c, result);
}

static int compare_quotient(const void *x, const struct dyadic *d)
{
	(void)x;
	dyadic_multiply(&op.u, d, &op.b);
	return dyadic_compare(&op.a, &op.u) * dyadic_sign(&op.b);
}

static int compare_root(const void *x, const struct dyadic *d)
{
	(void)x;
	if (dyadic_sign(d) < 0)
		return 1;
	dyadic_multiply(&op.u, d, d);
	return dyadic_compare(&op.a, &op.u);
}

static bool is_exact_rounding(unsigned int bits, uint32_t word)
{
	return oracle_is_rounding(QUIRE_FORMAT_POSIT(bits), word, &op.t);
}

static void check_add(unsigned int bits, uint32_t a, uint32_t b)
{
	uint32_t r = quire_posit_add(bits, a, b);
	bool right;

	if (operands(bits, a, b, 0)) {
		dyadic_add(&op.t, &op.a, &op.b);
		right = is_exact_rounding(bits, r);
	} else {
		right = is_nar(bits, r);
	}
	judge("add", bits, a, b, 0, r, right);
}

static void check_sub(unsigned int bits, uint32_t a, uint32_t b)
{
	uint32_t r = quire_posit_sub(bits, a, b);
	bool right;

	if (operands(bits, a, b, 0)) {
		mpz_neg(op.b.m, op.b.m);
		dyadic_add(&op.t, &op.a, &op.b);
		right = is_exact_rounding(bits, r);
	} else {
		right = is_nar(bits, r);
	}
	judge("sub", bits, a, b, 0, r, right);
}

static void check_mul(unsigned int bits, uint32_t a, uint32_t b)
{
	uint32_t r = quire_posit_mul(bits, a, b);
	bool right;

	if (operands(bits, a, b, 0)) {
		dyadic_multiply(&op.t, &op.a, &op.b);
		right = is_exact_rounding(bits, r);
	} else {
		right = is_nar(bits, r);
	}
	judge("mul", bits, a, b, 0, r, right);
}

static void check_div(unsigned int bits, uint32_t a, uint32_t b)
{
	uint32_t r = quire_posit_div(bits, a, b);
	bool right;

	if (operands(bits, a, b, 0) && dyadic_sign(&op.b))
		right = oracle_is_rounding_of(QUIRE_FORMAT_POSIT(bits), r, compare_quotient, NULL);
	else
		right = is_nar(bits, r);
	judge("div", bits, a, b, 0, r, right);
}

static void check_sqrt(unsigned int bits, uint32_t a)
{
	uint32_t r = quire_posit_sqrt(bits, a);
	bool right;

	if (operands(bits, a, 0, 0) && dyadic_sign(&op.a) >= 0)
		right = oracle_is_rounding_of(QUIRE_FORMAT_POSIT(bits), r, compare_root, NULL);
	else
		right = is_nar(bits, r);
	judge("sqrt", bits, a, 0, 0, r, right);
}

static void check_fma(unsigned int bits, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t r = quire_posit_fma(bits, a, b, c);
	bool right;

	if (operands(bits, a, b, c)) {
		dyadic_multiply(&op.u, &op.a, &op.b);
		dyadic_add(&op.t, &op.u, &op.c);
		right = is_exact_rounding(bits, r);
	} else {
		right = is_nar(bits, r);
	}
	judge("fma", bits, a, b, c, r, right);
}

/* a * b + b * c through the quire */
static void check_dot(unsigned int bits, uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t format = QUIRE_FORMAT_POSIT(bits);
	struct quire_accumulator q = { 0 };
	uint32_t r;
	bool right;

	assert_int_equal(quire_accumulator_add_product(&q, format, a, format, b), 0);
	assert_int_equal(quire_accumulator_add_product(&q, format, b, format, c), 0);
	r = (uint32_t)quire_accumulator_round(&q, format);
	if (operands(bits, a, b, c)) {
		dyadic_multiply(&op.t, &op.a, &op.b);
		dyadic_multiply(&op.u, &op.b, &op.c);
		dyadic_add(&op.t, &op.t, &op.u);
		right = is_exact_rounding(bits, r);
	} else {
		right = is_nar(bits, r);
	}
	judge("dot", bits, a, b, c, r, right);
}

static void check_compare(unsigned int bits, uint32_t a, uint32_t b)
{
	bool real_a = oracle_value(QUIRE_FORMAT_POSIT(bits), a, &op.a) == ORACLE_FINITE;
	bool real_b = oracle_value(QUIRE_FORMAT_POSIT(bits), b, &op.b) == ORACLE_FINITE;
	int right = real_a && real_b ? dyadic_compare(&op.a, &op.b) : real_a - real_b;

	assert_int_equal(quire_posit_compare(bits, a, b), right);
}

static void check_pair(unsigned int bits, uint32_t a, uint32_t b)
{
	check_add(bits, a, b);
	check_sub(bits, a, b);
	check_mul(bits, a, b);
	check_div(bits, a, b);
	check_compare(bits, a, b);
}

/* Is r the integer nearest to a (direction 0), or next below (-1), above (1)? */
static void check_integral(const char *name, unsigned int bits, uint32_t a, uint32_t r,
			   int direction)
{
	bool right = false;
	int distance;

	if (!operands(bits, a, 0, 0)) {
		judge(name, bits, a, 0, 0, r, is_nar(bits, r));
		return;
	}
	if (oracle_value(QUIRE_FORMAT_POSIT(bits), r, &op.b) == ORACLE_FINITE) {
		/* r - a, and whether r is an integer */
		bool integer = op.b.e >= 0 || mpz_divisible_2exp_p(op.b.m, (unsigned long)-op.b.e);
		bool even = op.b.e > 0 || mpz_divisible_2exp_p(op.b.m, (unsigned long)(1 - op.b.e));

		mpz_neg(op.a.m, op.a.m);
		dyadic_add(&op.t, &op.b, &op.a);
		mpz_set_ui(op.c.m, 1);
		op.c.e = direction ? 0 : -1;
		mpz_abs(op.u.m, op.t.m);
		op.u.e = op.t.e;
		distance = dyadic_compare(&op.u, &op.c);
		right = integer && dyadic_sign(&op.t) * direction >= 0 &&
			(distance < 0 || (distance == 0 && !direction && even));
	}
	judge(name, bits, a, 0, 0, r, right);
}

static void check_one(unsigned int bits, uint32_t a)
{
	const uint32_t mask = bits == 32 ? ~0u : (1u << bits) - 1, sign = 1u << (bits - 1);
	uint32_t r;

	check_sqrt(bits, a);
	check_integral("nearest", bits, a, quire_posit_nearest_integer(bits, a), 0);
	check_integral("floor", bits, a, quire_posit_floor(bits, a), -1);
	check_integral("ceil", bits, a, quire_posit_ceil(bits, a), 1);
	r = quire_posit_negate(bits, a);
	judge("negate", bits, a, 0, 0, r, ((r + a) & mask) == 0);
	r = quire_posit_abs(bits, a);
	judge("abs", bits, a, 0, 0, r, ((r ^ (a & sign ? -a : a)) & mask) == 0);
	r = quire_posit_next(bits, a);
	judge("next", bits, a, 0, 0, r, ((r ^ (a + 1)) & mask) == 0);
	r = quire_posit_prior(bits, a);
	judge("prior", bits, a, 0, 0, r, ((r ^ (a - 1)) & mask) == 0);
	r = quire_posit_sign(bits, a);
	if (operands(bits, a, 0, 0)) {
		mpz_set_si(op.t.m, dyadic_sign(&op.a));
		op.t.e = 0;
		judge("sign", bits, a, 0, 0, r, is_exact_rounding(bits, r));
	} else {
		judge("sign", bits, a, 0, 0, r, is_nar(bits, r));
	}
	assert_int_equal(quire_posit_is_nar(bits, a), (a & mask) == sign);
}

static uint32_t random_word(unsigned int bits)
{
	/* with rubbish above the word's bits, which must be ignored */
	return (uint32_t)(oracle_random_word(QUIRE_FORMAT_POSIT(bits)) |
			  (bits < 32 ? oracle_random() << bits : 0));
}

static void posit8_exhaustively(void **state)
{
	(void)state;
	for (uint32_t a = 0; a < 256; a += step(256)) {
		check_one(8, a);
		for (uint32_t b = 0; b < 256; b += step(256)) {
			check_pair(8, a, b);
			check_dot(8, a, b, random_word(8));
		}
	}
	for (uint64_t i = times(200000); i; i--)
		check_fma(8, random_word(8), random_word(8), random_word(8));
}

static void every_width(void **state)
{
	(void)state;
	for (unsigned int bits = 3; bits <= 32; bits++) {
		if (bits < 8)
			for (uint32_t a = 0; a < 1u << bits; a++)
				for (uint32_t b = 0; b < 1u << bits; b++)
					check_pair(bits, a, b);
		for (uint64_t i = times(15000); i; i--) {
			uint32_t a = random_word(bits), b = random_word(bits), c = random_word(bits);

			check_one(bits, a);
			check_pair(bits, a, b);
			check_fma(bits, a, b, c);
			check_dot(bits, a, b, c);
		}
	}
}

static void posit16_pairs(void **state)
{
	(void)state;
	for (uint32_t a = 0; a < 65536; a += step(65536))
		check_one(16, a);
	for (uint64_t i = times(1000000); i; i--) {
		uint32_t a = random_word(16), b = random_word(16);

		check_pair(16, a, b);
		check_fma(16, a, b, random_word(16));
	}
}

static void posit32_pairs(void **state)
{
	(void)state;
	for (uint64_t i = times(2000000); i; i--) {
		uint32_t a = random_word(32), b = random_word(32);

		/* five operations: ten million results in all */
		check_add(32, a, b);
		check_sub(32, a, b);
		check_mul(32, a, b);
		check_div(32, a, b);
		check_fma(32, a, b, random_word(32));
	}
	for (uint64_t i = times(500000); i; i--)
		check_one(32, random_word(32));
}

/*
 * All pairs of the words next to zero, NaR, one and minus one, the powers of 16, and
 * where a regime leaves no room for the fraction or the exponent.
 */
static void boundaries(void **state)
{
	(void)state;
	for (unsigned int bits = 16; bits <= 32; bits += 16) {
		uint32_t words[400];
		size_t count = 0;

		for (unsigned int run = 0; run < bits; run++)
			for (int offset = -2; offset <= 2; offset++) {
				words[count++] = (1u << run) + (uint32_t)offset;
				words[count++] = -(1u << run) + (uint32_t)offset;
			}
		for (size_t i = 0; i < count; i++) {
			check_one(bits, words[i]);
			for (size_t j = 0; j < count; j += step((uint32_t)count)) {
				check_pair(bits, words[i], words[j]);
				check_fma(bits, words[i], words[j],
					  words[oracle_random() % count]);
			}
		}
	}
}

/* Sums that end one unit of the quire above, at, and below a decision point. */
static void sums_at_decision_points(void **state)
{
	(void)state;
	for (uint64_t i = times(300000); i; i--) {
		unsigned int bits = 3 + (unsigned int)(oracle_random() % 30);
		uint32_t a = random_word(bits), b = quire_posit_next(bits, a);

		/* a * 1 + ulp / 2: c = half the distance where that is a posit */
		check_fma(bits, a, quire_posit_one(bits), random_word(bits));
		check_fma(bits, b, quire_posit_from_double(bits, 0.5), quire_posit_prior(bits, b));
		check_add(bits, a, quire_posit_mul(bits, quire_posit_sub(bits, b, a),
						   quire_posit_from_double(bits, 0.5)));
		check_sub(bits, a, b);
	}
}

/*
 * x^2 = 2^8 (1 + 2^-12 + 2^-26) is half-way between two posit32, and an addend 128 places
 * below decides.
 */
static void ties_broken_from_afar(void **state)
{
	const uint32_t x = quire_posit_from_double(32, 0x1.0008p4);
	const uint32_t below = quire_posit_from_double(32, 0x1.001p8);

	(void)state;
	assert_int_equal(quire_posit_fma(32, x, x, 0), below);
	assert_int_equal(quire_posit_fma(32, x, x, 1), below + 1);
	assert_int_equal(quire_posit_fma(32, x, x, -1u), below);
	assert_int_equal(quire_posit_fma(32, x, -x, -1u), -(below + 1));
	for (uint32_t tiny = 1; tiny < 200; tiny++)
		for (uint32_t y = x - 4; y < x + 4; y++) {
			check_fma(32, x, y, tiny);
			check_fma(32, x, y, -tiny);
			check_fma(32, x, -y, tiny);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posit8_exhaustively),
		cmocka_unit_test(every_width),
		cmocka_unit_test(posit16_pairs),
		cmocka_unit_test(posit32_pairs),
		cmocka_unit_test(boundaries),
		cmocka_unit_test(sums_at_decision_points),
		cmocka_unit_test(ties_broken_from_afar),
	};

	dyadic_init(&op.a);
	dyadic_init(&op.b);
	dyadic_init(&op.c);
	dyadic_init(&op.t);
	dyadic_init(&op.u);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
