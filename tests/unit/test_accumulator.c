// SPDX-License-Identifier: MIT
/* The quire object against GMP integers in units of 2^-298, limits and special values. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/accumulator.h>
#include <quirenum/gemm.h>
#include <quirenum/posit.h>

#include "oracle.h"

#define NAR (1ull << 63)

static const uint32_t formats[] = {
	QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT(3),
	QUIRE_FORMAT_POSIT(11), QUIRE_FORMAT_POSIT(27), QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16,
	QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
	QUIRE_FORMAT_FP64,
};
#define OPERANDS 12
#define ALL 13

/* What the accumulator should hold: sum * 2^-298, or special. */
struct reference {
	struct dyadic sum, a, b;
	enum oracle_special special;
};

static uint64_t times(uint64_t count)
{
	const char *divisor = getenv("QUIRE_TEST_DIVISOR");

	return divisor ? count / strtoul(divisor, NULL, 10) + 1 : count;
}

static void reference_init(struct reference *r)
{
	dyadic_init(&r->sum);
	dyadic_init(&r->a);
	dyadic_init(&r->b);
	r->sum.e = -298;
	r->special = ORACLE_FINITE;
}

static void reference_clear(struct reference *r)
{
	dyadic_clear(&r->sum);
	dyadic_clear(&r->a);
	dyadic_clear(&r->b);
}

static void reference_join(struct reference *r, enum oracle_special special)
{
	if (r->special == ORACLE_FINITE)
		r->special = special;
	else if (special != ORACLE_FINITE && special != r->special)
		r->special = ORACLE_NAN;
}

static int sign_of(enum oracle_special special, const struct dyadic *x)
{
	return special == ORACLE_PLUS_INF ? 1 : special == ORACLE_MINUS_INF ? -1 : dyadic_sign(x);
}

static void reference_add_product(struct reference *r, bool subtract, uint32_t format_a, uint32_t a,
				  uint32_t format_b, uint32_t b)
{
	enum oracle_special s = oracle_value(format_a, a, &r->a), t = oracle_value(format_b, b, &r->b);
	int sign = sign_of(s, &r->a) * sign_of(t, &r->b) * (subtract ? -1 : 1);

	if (s == ORACLE_NAN || t == ORACLE_NAN || ((s || t) && sign == 0)) {
		reference_join(r, ORACLE_NAN);
	} else if (s || t) {
		reference_join(r, sign > 0 ? ORACLE_PLUS_INF : ORACLE_MINUS_INF);
	} else {
		dyadic_multiply(&r->a, &r->a, &r->b);
		if (subtract)
			mpz_neg(r->a.m, r->a.m);
		dyadic_add(&r->sum, &r->sum, &r->a);
	}
}

/* The image that holds the reference. */
static void reference_image(const struct reference *r, uint64_t image[QUIRE_IMAGE_LIMBS])
{
	mpz_t v;

	memset(image, 0, QUIRE_IMAGE_BYTES);
	if (r->special) {
		image[9] = NAR;
		image[0] = r->special == ORACLE_NAN ? 0 : r->special == ORACLE_PLUS_INF ? 1 : 2;
		return;
	}
	mpz_init(v);
	if (r->sum.e + 298 >= 0) {
		mpz_mul_2exp(v, r->sum.m, (unsigned long)(r->sum.e + 298));
	} else {
		assert_true(mpz_divisible_2exp_p(r->sum.m, (unsigned long)-(r->sum.e + 298)));
		mpz_fdiv_q_2exp(v, r->sum.m, (unsigned long)-(r->sum.e + 298));
	}
	mpz_fdiv_r_2exp(v, v, 640);
	mpz_export(image, NULL, -1, 8, 0, 0, v);
	mpz_clear(v);
}

static bool is_right_word(const struct reference *r, uint32_t format, uint64_t word)
{
	if (QUIRE_FORMAT_BITS(format) < 64)
		word &= (1ull << QUIRE_FORMAT_BITS(format)) - 1;
	return r->special ? word == oracle_special_word(format, r->special) :
			    oracle_is_rounding(format, word, &r->sum);
}

static void check(const struct quire_accumulator *q, const struct reference *r)
{
	uint64_t image[QUIRE_IMAGE_LIMBS], good[QUIRE_IMAGE_LIMBS];

	quire_accumulator_write(q, image);
	reference_image(r, good);
	assert_memory_equal(image, good, sizeof(image));
	assert_int_equal(quire_accumulator_is_nar(q), r->special == ORACLE_NAN);
	assert_int_equal(quire_accumulator_sign(q),
			 r->special == ORACLE_NAN ? 0 : sign_of(r->special, &r->sum));
	for (size_t i = 0; i < ALL; i++)
		if (!is_right_word(r, formats[i], quire_accumulator_round(q, formats[i])))
			fail_msg("format %#x: rounded to %#llx", formats[i],
				 (unsigned long long)quire_accumulator_round(q, formats[i]));
}

static uint32_t random_finite(uint32_t format)
{
	struct dyadic x;
	uint32_t word;

	dyadic_init(&x);
	do
		word = (uint32_t)oracle_random_word(format);
	while (oracle_value(format, word, &x) != ORACLE_FINITE);
	dyadic_clear(&x);
	return word;
}

static void random_product(struct quire_accumulator *q, struct reference *r, bool specials)
{
	uint32_t fa = formats[oracle_random() % OPERANDS], fb = formats[oracle_random() % OPERANDS];
	uint32_t a = specials ? (uint32_t)oracle_random_word(fa) : random_finite(fa);
	uint32_t b = specials ? (uint32_t)oracle_random_word(fb) : random_finite(fb);
	bool subtract = oracle_random() % 2;

	assert_int_equal((subtract ? quire_accumulator_subtract_product :
				     quire_accumulator_add_product)(q, fa, a, fb, b), 0);
	reference_add_product(r, subtract, fa, a, fb, b);
}

static void random_number(struct quire_accumulator *q, struct reference *r, bool specials)
{
	uint32_t format = formats[oracle_random() % OPERANDS];
	uint32_t a = specials ? (uint32_t)oracle_random_word(format) : random_finite(format);
	bool subtract = oracle_random() % 2;

	assert_int_equal((subtract ? quire_accumulator_subtract : quire_accumulator_add)(q, format, a),
			 0);
	reference_add_product(r, subtract, format, a, QUIRE_FORMAT_INT8, 1);
}

static void short_sums(void **state)
{
	(void)state;
	for (uint64_t i = times(40000); i; i--) {
		struct quire_accumulator q;
		struct reference r;
		bool specials = i % 4 == 0;

		reference_init(&r);
		quire_accumulator_clear(&q);
		for (uint64_t k = 1 + oracle_random() % 4; k; k--)
			random_product(&q, &r, specials);
		if (i % 2)
			random_number(&q, &r, specials);
		check(&q, &r);
		quire_accumulator_negate(&q);
		mpz_neg(r.sum.m, r.sum.m);
		if (r.special > ORACLE_NAN)
			r.special = r.special == ORACLE_PLUS_INF ? ORACLE_MINUS_INF : ORACLE_PLUS_INF;
		check(&q, &r);
		quire_accumulator_abs(&q);
		mpz_abs(r.sum.m, r.sum.m);
		if (r.special == ORACLE_MINUS_INF)
			r.special = ORACLE_PLUS_INF;
		check(&q, &r);
		reference_clear(&r);
	}
}

/* 1 to 100,000 terms; then all of them again with the other sign, which leaves 0. */
static void long_sums_and_cancellation(void **state)
{
	static const uint32_t lengths[] = { 1, 2, 3, 10, 100, 1000, 10000, 100000 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t n = (uint32_t)times(lengths[i]);
		uint32_t fa = formats[oracle_random() % OPERANDS];
		uint32_t *a = malloc(n * sizeof(*a)), *b = malloc(n * sizeof(*b));
		struct quire_accumulator q = { 0 }, p = { 0 };
		struct reference r;

		reference_init(&r);
		for (uint32_t k = 0; k < n; k++) {
			a[k] = random_finite(fa);
			b[k] = random_finite(QUIRE_FORMAT_POSIT32);
			reference_add_product(&r, false, fa, a[k], QUIRE_FORMAT_POSIT32, b[k]);
			assert_int_equal(quire_accumulator_add_product(&q, fa, a[k],
								       QUIRE_FORMAT_POSIT32, b[k]), 0);
		}
		check(&q, &r);
		/* in two halves, backwards, and together again */
		for (uint32_t k = n; k-- > 0;)
			quire_accumulator_add_product(k % 2 ? &p : &q, QUIRE_FORMAT_POSIT32, b[k], fa,
						      a[k]);
		assert_int_equal(quire_accumulator_add_accumulator(&q, &p), 0);
		mpz_mul_ui(r.sum.m, r.sum.m, 2);
		check(&q, &r);
		for (uint32_t k = 0; k < 2 * n; k++)
			quire_accumulator_subtract_product(&q, fa, a[k % n], QUIRE_FORMAT_POSIT32,
							   b[k % n]);
		mpz_set_ui(r.sum.m, 0);
		check(&q, &r);
		assert_int_equal(quire_accumulator_sign(&q), 0);
		reference_clear(&r);
		free(a);
		free(b);
	}
}

static void dot_products_in_memory(void **state)
{
	(void)state;
	for (uint64_t i = times(3000); i; i--) {
		const uint32_t fa = QUIRE_FORMAT_POSIT(3 + i % 6), fb = QUIRE_FORMAT_BF16;
		struct quire_accumulator q = { 0 };
		struct reference r;
		uint8_t a[50];
		uint16_t b[50];

		reference_init(&r);
		for (int k = 0; k < 50; k++) {
			a[k] = (uint8_t)random_finite(fa);
			b[k] = (uint16_t)random_finite(fb);
			reference_add_product(&r, false, fa, a[k], fb, b[k]);
		}
		assert_int_equal(quire_accumulator_add_dot(&q, fa, a, fb, b, 50), 0);
		assert_int_equal(q.products, 50);
		check(&q, &r);
		reference_clear(&r);
	}
}

static void rules_for_special_values(void **state)
{
	const uint32_t fp32 = QUIRE_FORMAT_FP32, p16 = QUIRE_FORMAT_POSIT16;
	const uint32_t infinity = 0x7f800000, one = 0x3f800000;
	struct quire_accumulator q = { 0 }, p = { 0 };

	(void)state;
	quire_accumulator_add(&q, fp32, infinity);
	quire_accumulator_add_product(&q, fp32, one, fp32, one);
	assert_int_equal(quire_accumulator_round(&q, fp32), infinity);
	assert_int_equal(quire_accumulator_round(&q, p16), 0xffff8000);	/* NaR */
	assert_int_equal(quire_accumulator_round(&q, QUIRE_FORMAT_INT8), 127);
	assert_int_equal(quire_accumulator_round(&q, QUIRE_FORMAT_E4M3), 0x7e);
	assert_false(quire_accumulator_is_nar(&q));
	quire_accumulator_subtract_accumulator(&p, &q);
	assert_int_equal(quire_accumulator_sign(&p), -1);
	quire_accumulator_add_accumulator(&q, &p);
	assert_true(quire_accumulator_is_nar(&q));
	quire_accumulator_clear(&q);
	quire_accumulator_add_product(&q, fp32, infinity, p16, 0);
	assert_true(quire_accumulator_is_nar(&q));
	quire_accumulator_clear(&q);
	quire_accumulator_add_product(&q, p16, 0x8000, p16, 0);
	assert_true(quire_accumulator_is_nar(&q));
	quire_accumulator_negate(&q);
	quire_accumulator_abs(&q);
	quire_accumulator_add(&q, p16, 0x4000);
	assert_true(quire_accumulator_is_nar(&q));
	assert_int_equal(quire_accumulator_sign(&q), 0);
	assert_int_equal(quire_accumulator_round(&q, fp32), 0x7fc00000);
	assert_int_equal(quire_accumulator_add(&q, QUIRE_FORMAT_FP64, 0), -EINVAL);
	assert_int_equal(quire_accumulator_add_product(&q, p16, 0, QUIRE_FORMAT_QUIRE, 0), -EINVAL);
	assert_int_equal(quire_accumulator_add_dot(&q, QUIRE_FORMAT_POSIT(2), NULL, p16, NULL, 0),
			 -EINVAL);
}

/* The largest sum there can be: 2^31 - 1 times the square of the largest FP32. */
static void largest_sum(void **state)
{
	struct quire_accumulator q = { 0 }, power = { 0 };
	struct reference r;

	(void)state;
	reference_init(&r);
	quire_accumulator_add_product(&power, QUIRE_FORMAT_FP32, 0x7f7fffff, QUIRE_FORMAT_FP32,
				      0xff7fffff);
	for (int bit = 0; bit < 31; bit++) {
		assert_int_equal(quire_accumulator_add_accumulator(&q, &power), 0);
		if (bit < 30)
			assert_int_equal(quire_accumulator_add_accumulator(&power, &power), 0);
	}
	assert_int_equal(q.products, QUIRE_PRODUCT_LIMIT);
	reference_add_product(&r, false, QUIRE_FORMAT_FP32, 0x7f7fffff, QUIRE_FORMAT_FP32, 0xff7fffff);
	mpz_mul_ui(r.sum.m, r.sum.m, QUIRE_PRODUCT_LIMIT);
	check(&q, &r);
	/* one more is an error and NaR, and it stays so */
	assert_int_equal(quire_accumulator_add_accumulator(&q, &q), -EOVERFLOW);
	assert_true(quire_accumulator_is_nar(&q));
	assert_int_equal(quire_accumulator_add(&q, QUIRE_FORMAT_INT8, 0), -EOVERFLOW);
	assert_true(quire_accumulator_is_nar(&q));
	reference_clear(&r);
}

static void limit_of_products(void **state)
{
	const uint32_t p8 = QUIRE_FORMAT_POSIT8;
	const uint8_t ones[3] = { 0x40, 0x40, 0x40 };
	uint64_t image[QUIRE_IMAGE_LIMBS] = { 0 };
	struct quire_accumulator q;

	(void)state;
	assert_int_equal(quire_accumulator_read(&q, image, QUIRE_PRODUCT_LIMIT - 2), 0);
	assert_int_equal(quire_accumulator_add_product(&q, p8, 0x40, p8, 0x40), 0);
	assert_int_equal(quire_accumulator_add(&q, p8, 0x40), 0);
	assert_int_equal(quire_accumulator_round(&q, p8), 0x48);
	assert_int_equal(quire_accumulator_subtract(&q, p8, 0), -EOVERFLOW);
	assert_int_equal(quire_accumulator_round(&q, p8), 0xffffff80);
	assert_int_equal(quire_accumulator_read(&q, image, QUIRE_PRODUCT_LIMIT - 2), 0);
	assert_int_equal(quire_accumulator_add_dot(&q, p8, ones, p8, ones, 3), -EOVERFLOW);
	assert_true(quire_accumulator_is_nar(&q));
	assert_int_equal(quire_accumulator_read(&q, image, QUIRE_PRODUCT_LIMIT + 1), -EOVERFLOW);
	assert_true(quire_accumulator_is_nar(&q));
}

static void images(void **state)
{
	struct quire_accumulator q, p;

	(void)state;
	for (uint64_t i = times(20000); i; i--) {
		uint64_t image[QUIRE_IMAGE_LIMBS], again[QUIRE_IMAGE_LIMBS];
		struct reference r;

		reference_init(&r);
		quire_accumulator_clear(&q);
		for (uint64_t k = 1 + oracle_random() % 5; k; k--)
			random_product(&q, &r, i % 8 == 0);
		quire_accumulator_write(&q, image);
		assert_int_equal(quire_accumulator_read(&p, image, q.products), 0);
		quire_accumulator_write(&p, again);
		assert_memory_equal(image, again, sizeof(image));
		check(&p, &r);
		reference_clear(&r);
	}
	/* 2^272 and -2^272 are more than one product makes, but not more than two */
	for (int sign = 0; sign < 2; sign++) {
		uint64_t image[QUIRE_IMAGE_LIMBS] = { 0 };

		image[8] = sign ? ~0ull << 58 : 1ull << 58;
		image[9] = sign ? ~0ull : 0;
		assert_int_equal(quire_accumulator_read(&q, image, 1), -EOVERFLOW);
		assert_true(quire_accumulator_is_nar(&q));
		assert_int_equal(quire_accumulator_read(&q, image, 2), 0);
		assert_int_equal(quire_accumulator_sign(&q), sign ? -1 : 1);
		image[9] = 1ull << 62;
		assert_int_equal(quire_accumulator_read(&q, image, QUIRE_PRODUCT_LIMIT), -EOVERFLOW);
	}
	assert_int_equal(quire_accumulator_read(&q, (uint64_t[QUIRE_IMAGE_LIMBS]){ 1 }, 0), -EOVERFLOW);
}

/* What a product leaves in memory goes on in an accumulator, and back. */
static void images_of_products(void **state)
{
	(void)state;
	for (uint64_t i = times(500); i; i--) {
		const uint32_t fa = formats[oracle_random() % OPERANDS];
		uint64_t image[QUIRE_IMAGE_LIMBS];
		uint32_t a[20], b[20], size = (QUIRE_FORMAT_BITS(fa) + 7) / 8;
		struct quire_gemm g = { .m = 1, .n = 1, .k = 20, .batch = 1, .alpha = 1 };
		struct quire_accumulator q;
		struct reference r;
		uint64_t rounded = 0;

		reference_init(&r);
		size = size == 3 ? 4 : size;
		for (uint32_t k = 0; k < 20; k++) {
			uint32_t word = (uint32_t)oracle_random_word(fa);

			b[k] = random_finite(QUIRE_FORMAT_POSIT32);
			memcpy((uint8_t *)a + k * size, &word, size);
			reference_add_product(&r, false, fa, word, QUIRE_FORMAT_POSIT32, b[k]);
		}
		g.a = (struct quire_gemm_operand){ a, fa, 0, 20, 0 };
		g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_POSIT32, 1, 20, 0 };
		g.d = (struct quire_gemm_output){ image, QUIRE_FORMAT_QUIRE, 0, 1, 0 };
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(quire_accumulator_read(&q, image, 20), 0);
		check(&q, &r);
		random_product(&q, &r, false);
		check(&q, &r);
		/* alpha = 0: D is C, rounded */
		quire_accumulator_write(&q, image);
		g.alpha = 0;
		g.beta = 1;
		g.c = (struct quire_gemm_operand){ image, QUIRE_FORMAT_QUIRE, 0, 1, 0 };
		g.d = (struct quire_gemm_output){ &rounded, QUIRE_FORMAT_FP64, 0, 1, 0 };
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(rounded, quire_accumulator_round(&q, QUIRE_FORMAT_FP64));
		reference_clear(&r);
	}
}

static uint64_t image_as(const uint64_t image[QUIRE_IMAGE_LIMBS], uint32_t format)
{
	uint64_t word = 0;
	struct quire_gemm g = { .m = 1, .n = 1, .k = 1, .batch = 1, .beta = 1 };

	g.a.format = g.b.format = QUIRE_FORMAT_POSIT8;	/* not read: alpha is 0 */
	g.c = (struct quire_gemm_operand){ image, QUIRE_FORMAT_QUIRE, 0, 1, 0 };
	g.d = (struct quire_gemm_output){ &word, format, 0, 1, 0 };
	assert_int_equal(quire_gemm(&g, NULL), 0);
	return word;
}

/* One bit decides a tie that lies just below where the product's rounding cuts the sum. */
static void lone_bit_below_a_tie(void **state)
{
	uint64_t image[QUIRE_IMAGE_LIMBS] = { 1ull << 54, 1ull << 43 };	/* 2^107 + 2^54 units */

	(void)state;
	/* 2^(107 - 298), and FP64's next number */
	assert_int_equal(image_as(image, QUIRE_FORMAT_FP64), (1023ull - 191) << 52);
	for (int bit = 0; bit < 54; bit++) {
		image[0] = 1ull << 54 | 1ull << bit;
		assert_int_equal(image_as(image, QUIRE_FORMAT_FP64), ((1023ull - 191) << 52) + 1);
	}
}

/* Halves of integers around the ends of INT8, from a product and from an accumulator. */
static void ends_of_int8(void **state)
{
	static const struct { int twice, word; } rows[] = {
		{ 252, 126 }, { 253, 126 }, { 254, 127 }, { 255, 127 }, { 256, 127 }, { 257, 127 },
		{ 258, 127 }, { 1000, 127 }, { -254, -127 }, { -255, -128 }, { -256, -128 },
		{ -257, -128 }, { -258, -128 }, { -1000, -128 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint32_t fp32 = QUIRE_FORMAT_FP32;
		float twice = (float)rows[i].twice, half = 0.5f;
		struct quire_accumulator q = { 0 };
		uint32_t a, b;
		int8_t d;
		struct quire_gemm g = { .m = 1, .n = 1, .k = 1, .batch = 1, .alpha = 1 };

		memcpy(&a, &twice, 4);
		memcpy(&b, &half, 4);
		quire_accumulator_add_product(&q, fp32, a, fp32, b);
		assert_int_equal((int8_t)quire_accumulator_round(&q, QUIRE_FORMAT_INT8), rows[i].word);
		g.a = (struct quire_gemm_operand){ &twice, fp32, 0, 1, 0 };
		g.b = (struct quire_gemm_operand){ &half, fp32, 0, 1, 0 };
		g.d = (struct quire_gemm_output){ &d, QUIRE_FORMAT_INT8, 0, 1, 0 };
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, rows[i].word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_for_special_values),
		cmocka_unit_test(short_sums),
		cmocka_unit_test(long_sums_and_cancellation),
		cmocka_unit_test(dot_products_in_memory),
		cmocka_unit_test(largest_sum),
		cmocka_unit_test(limit_of_products),
		cmocka_unit_test(images),
		cmocka_unit_test(images_of_products),
		cmocka_unit_test(lone_bit_below_a_tie),
		cmocka_unit_test(ends_of_int8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
