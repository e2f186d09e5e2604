// SPDX-License-Identifier: MIT
#include "oracle.h"

void dyadic_init(struct dyadic *x)
{
	mpz_init(x->m);
	x->e = 0;
}

void dyadic_clear(struct dyadic *x)
{
	mpz_clear(x->m);
}

void dyadic_set(struct dyadic *x, const struct dyadic *a)
{
	mpz_set(x->m, a->m);
	x->e = a->e;
}

void dyadic_add(struct dyadic *x, const struct dyadic *a, const struct dyadic *b)
{
	const struct dyadic *high = a->e >= b->e ? a : b, *low = high == a ? b : a;
	long e = low->e;
	mpz_t t;

	mpz_init(t);
	mpz_mul_2exp(t, high->m, (unsigned long)(high->e - e));
	mpz_add(x->m, t, low->m);
	x->e = e;
	mpz_clear(t);
}

void dyadic_multiply(struct dyadic *x, const struct dyadic *a, const struct dyadic *b)
{
	mpz_mul(x->m, a->m, b->m);
	x->e = a->e + b->e;
}

int dyadic_sign(const struct dyadic *a)
{
	return mpz_sgn(a->m);
}

int dyadic_compare(const struct dyadic *a, const struct dyadic *b)
{
	mpz_t t;
	int c;

	if (a->e == b->e)
		return (mpz_cmp(a->m, b->m) > 0) - (mpz_cmp(a->m, b->m) < 0);
	mpz_init(t);
	if (a->e > b->e) {
		mpz_mul_2exp(t, a->m, (unsigned long)(a->e - b->e));
		c = mpz_cmp(t, b->m);
	} else {
		mpz_mul_2exp(t, b->m, (unsigned long)(b->e - a->e));
		c = mpz_cmp(a->m, t);
	}
	mpz_clear(t);
	return (c > 0) - (c < 0);
}

static void set(struct dyadic *x, bool negative, uint64_t m, long e)
{
	mpz_set_ui(x->m, m);
	if (negative)
		mpz_neg(x->m, x->m);
	x->e = e;
}

/* Posit Standard (2022), section 3.3, a bit at a time; missing bits are 0. */
static enum oracle_special posit_value(unsigned int width, uint64_t word, struct dyadic *x)
{
	uint64_t mask = (1ull << width) - 1, m;
	bool negative = word >> (width - 1) & 1;
	int at = (int)width - 2, run = 0, first, fraction = 0;
	long e;

	word &= mask;
	set(x, false, 0, 0);
	if (word == 0)
		return ORACLE_FINITE;
	if (word == 1ull << (width - 1))
		return ORACLE_NAN;
	if (negative)
		word = -word & mask;
	first = word >> at & 1;
	while (at >= 0 && (int)(word >> at & 1) == first) {
		run++;
		at--;
	}
	at--;				/* the bit that ended the run */
	e = 4 * (first ? run - 1 : -run);
	for (int weight = 2; weight; weight /= 2, at--)
		if (at >= 0 && word >> at & 1)
			e += weight;
	for (m = 1; at >= 0; at--, fraction++)
		m = 2 * m + (word >> at & 1);
	set(x, negative, m, e - fraction);
	return ORACLE_FINITE;
}

static void shape(uint32_t format, int *fraction, int *exponent)
{
	*fraction = format == QUIRE_FORMAT_FP16 ? 10 : format == QUIRE_FORMAT_FP32 ? 23 :
		    format == QUIRE_FORMAT_FP64 ? 52 : format == QUIRE_FORMAT_BF16 ? 7 :
		    format == QUIRE_FORMAT_E4M3 ? 3 : 2;
	*exponent = (int)QUIRE_FORMAT_BITS(format) - 1 - *fraction;
}

static bool is_posit(uint32_t format)
{
	return QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT;
}

enum oracle_special oracle_value(uint32_t format, uint64_t word, struct dyadic *x)
{
	int fraction, exponent, bias;
	uint64_t m, field, last;
	bool negative;

	if (is_posit(format))
		return posit_value(QUIRE_FORMAT_BITS(format), word, x);
	if (format == QUIRE_FORMAT_INT8) {
		mpz_set_si(x->m, (int8_t)word);
		x->e = 0;
		return ORACLE_FINITE;
	}
	shape(format, &fraction, &exponent);
	bias = (1 << (exponent - 1)) - 1;
	last = (1ull << exponent) - 1;
	m = word & ((1ull << fraction) - 1);
	field = word >> fraction & last;
	negative = word >> (fraction + exponent) & 1;
	set(x, false, 0, 0);
	if (format == QUIRE_FORMAT_E4M3) {
		if ((word & 0x7f) == 0x7f)
			return ORACLE_NAN;
	} else if (field == last) {
		return m ? ORACLE_NAN : negative ? ORACLE_MINUS_INF : ORACLE_PLUS_INF;
	}
	if (field)
		set(x, negative, m + (1ull << fraction), (long)field - bias - fraction);
	else
		set(x, negative, m, 1 - bias - fraction);
	return ORACLE_FINITE;
}

uint64_t oracle_special_word(uint32_t format, enum oracle_special special)
{
	uint64_t sign = special == ORACLE_MINUS_INF ? 1ull << (QUIRE_FORMAT_BITS(format) - 1) : 0;

	if (format == QUIRE_FORMAT_INT8)
		return special == ORACLE_PLUS_INF ? 0x7f : 0x80;
	if (is_posit(format))
		return 1ull << (QUIRE_FORMAT_BITS(format) - 1);
	switch (format) {
	case QUIRE_FORMAT_BF16:
		return special == ORACLE_NAN ? 0x7fc0 : 0x7f80 | sign;
	case QUIRE_FORMAT_FP16:
		return special == ORACLE_NAN ? 0x7e00 : 0x7c00 | sign;
	case QUIRE_FORMAT_FP32:
		return special == ORACLE_NAN ? 0x7fc00000 : 0x7f800000 | sign;
	case QUIRE_FORMAT_FP64:
		return special == ORACLE_NAN ? 0x7ff8000000000000 : 0x7ff0000000000000 | sign;
	case QUIRE_FORMAT_E4M3:
		return special == ORACLE_NAN ? 0x7f : 0x7e | sign;
	default:
		return special == ORACLE_NAN ? 0x7e : 0x7c | sign;
	}
}

uint64_t oracle_largest(uint32_t format)
{
	if (is_posit(format) || format == QUIRE_FORMAT_INT8)
		return (1ull << (QUIRE_FORMAT_BITS(format) - 1)) - 1;
	return format == QUIRE_FORMAT_E4M3 ? 0x7e :
	       oracle_special_word(format, ORACLE_PLUS_INF) - 1;
}

/*
 * Section 4.1: between the posits of patterns U and U + 1 of n bits decides the posit of
 * n + 1 bits with pattern U followed by 1.  In two's complement that is 2 U + 1 for
 * negative patterns too.
 */
static bool is_posit_rounding(unsigned int n, uint64_t word, oracle_compare *compare,
			      const void *x)
{
	const int64_t largest = (int64_t)((1ull << (n - 1)) - 1);
	int64_t u = (int64_t)(word << (64 - n)) >> (64 - n);
	struct dyadic d;
	bool good = true;
	int c;

	dyadic_init(&d);
	if (u == -largest - 1) {		/* NaR */
		dyadic_clear(&d);
		return false;
	}
	c = compare(x, &d);			/* with 0 */
	if (u == 0 || (c > 0) != (u > 0) || (c < 0) != (u < 0)) {
		dyadic_clear(&d);
		return u == 0 && c == 0;
	}
	if (u != 1 && u != -largest) {		/* there is a posit below, not 0 */
		posit_value(n + 1, (uint64_t)(2 * u - 1), &d);
		c = compare(x, &d);
		good = good && (c > 0 || (c == 0 && u % 2 == 0));
	}
	if (u != -1 && u != largest) {
		posit_value(n + 1, (uint64_t)(2 * u + 1), &d);
		c = compare(x, &d);
		good = good && (c < 0 || (c == 0 && u % 2 == 0));
	}
	dyadic_clear(&d);
	return good;
}

/* Half-way between two magnitudes; the one after the largest as if the range went on. */
static void middle(uint32_t format, uint64_t below, struct dyadic *d)
{
	struct dyadic a, b;

	dyadic_init(&a);
	dyadic_init(&b);
	oracle_value(format, below, &a);
	if (below < oracle_largest(format)) {
		oracle_value(format, below + 1, &b);
	} else {
		oracle_value(format, below - 1, &b);	/* 2 a - b */
		mpz_neg(b.m, b.m);
		dyadic_add(&b, &b, &a);
		dyadic_add(&b, &b, &a);
	}
	dyadic_add(d, &a, &b);
	d->e--;
	dyadic_clear(&a);
	dyadic_clear(&b);
}

static bool is_ieee_rounding(uint32_t format, uint64_t word, oracle_compare *compare,
			     const void *x)
{
	const uint64_t sign = 1ull << (QUIRE_FORMAT_BITS(format) - 1);
	uint64_t magnitude = word & (sign - 1), largest = oracle_largest(format);
	bool negative = word & sign, good = true, infinite = magnitude == largest + 1;
	struct dyadic d;
	int c;

	if (magnitude > largest + 1 || (infinite && format == QUIRE_FORMAT_E4M3))
		return false;
	dyadic_init(&d);
	c = compare(x, &d);
	good = c == 0 ? word == 0 : (c < 0) == negative;
	if (good && magnitude) {
		middle(format, magnitude - 1, &d);
		if (negative)
			mpz_neg(d.m, d.m);
		c = compare(x, &d) * (negative ? -1 : 1);
		good = c > 0 || (c == 0 && magnitude % 2 == 0);
	}
	if (good && !infinite && !(format == QUIRE_FORMAT_E4M3 && magnitude == largest)) {
		middle(format, magnitude, &d);
		if (negative)
			mpz_neg(d.m, d.m);
		c = compare(x, &d) * (negative ? -1 : 1);
		good = c < 0 || (c == 0 && magnitude % 2 == 0);
	}
	dyadic_clear(&d);
	return good;
}

/* The nearest integer, ties to even; there is none beyond -128 and 127. */
static bool is_int8_rounding(uint64_t word, oracle_compare *compare, const void *x)
{
	int value = (int8_t)word, low, high;
	struct dyadic d;

	dyadic_init(&d);
	d.e = -1;
	mpz_set_si(d.m, 2 * value - 1);
	low = compare(x, &d);
	mpz_set_si(d.m, 2 * value + 1);
	high = compare(x, &d);
	dyadic_clear(&d);
	return (value == -128 || low > 0 || (low == 0 && value % 2 == 0)) &&
	       (value == 127 || high < 0 || (high == 0 && value % 2 == 0));
}

bool oracle_is_rounding_of(uint32_t format, uint64_t word, oracle_compare *compare, const void *x)
{
	if (is_posit(format))
		return is_posit_rounding(QUIRE_FORMAT_BITS(format), word, compare, x);
	if (format == QUIRE_FORMAT_INT8)
		return is_int8_rounding(word, compare, x);
	return is_ieee_rounding(format, word, compare, x);
}

static int compare_dyadic(const void *x, const struct dyadic *d)
{
	return dyadic_compare(x, d);
}

bool oracle_is_rounding(uint32_t format, uint64_t word, const struct dyadic *x)
{
	return oracle_is_rounding_of(format, word, compare_dyadic, x);
}

/* xorshift64*, Vigna 2016 */
uint64_t oracle_random(void)
{
	static uint64_t state = 0x123456789abcdef1;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

uint64_t oracle_random_word(uint32_t format)
{
	unsigned int bits = QUIRE_FORMAT_BITS(format);
	uint64_t mask = bits == 64 ? ~0ull : (1ull << bits) - 1, word = oracle_random();
	uint64_t small = oracle_random() % 33 - 16;

	switch (word >> 61) {
	case 0:		/* near the ends of the range, zero and NaR */
		return (small + (word & 1 ? 1ull << (bits - 1) : 0)) & mask;
	case 1:		/* near powers of two: a short pattern in the middle */
		return (small + ((word >> 8 & 0xff) << (bits >= 8 ? bits - 8 : 0))) & mask;
	default:
		return word & mask;
	}
}
