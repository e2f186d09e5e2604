/* SPDX-License-Identifier: MIT */
/*
 * One number of any format, taken apart, and the one place where a single number
 * is rounded.  Plain integer arithmetic: needs neither libm nor an operating
 * system.  (The elements of a product are rounded many at a time by
 * round_template.h.)
 */
#ifndef QUIRE_NUMBER_H
#define QUIRE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include <quire/format.h>

enum number_special {
	NUMBER_FINITE = 0,
	NUMBER_NAN = 1,		/* NaR of a posit, NaN of the others */
	NUMBER_PLUS_INF = 2,
	NUMBER_MINUS_INF = 3,
};

/*
 * (-1)^negative * significand / 2^63 * 2^top.  The significand of a number that is
 * not zero has bit 63 set.  Its bit 0 may stand for itself and for anything below
 * ("sticky"): no format keeps more than 53 bits, so in a rounding bit 0 is neither
 * a kept bit nor the one that weighs a half, and what matters below the half is
 * only whether it is zero.
 */
struct number {
	uint64_t significand;
	int32_t top;
	bool negative;
	uint8_t special;	/* enum number_special */
};

/* Shape of an IEEE-like format. */
struct number_ieee {
	uint8_t fraction, exponent;	/* bits */
	bool infinities;		/* else the last pattern is the only NaN (E4M3) */
};

static inline struct number_ieee number_ieee_of(uint32_t format)
{
	switch (format) {
	case QUIRE_FORMAT_BF16:
		return (struct number_ieee){ 7, 8, true };
	case QUIRE_FORMAT_FP16:
		return (struct number_ieee){ 10, 5, true };
	case QUIRE_FORMAT_FP32:
		return (struct number_ieee){ 23, 8, true };
	case QUIRE_FORMAT_FP64:
		return (struct number_ieee){ 52, 11, true };
	case QUIRE_FORMAT_E4M3:
		return (struct number_ieee){ 3, 4, false };
	default:
		return (struct number_ieee){ 2, 5, true };	/* E5M2 */
	}
}

/* Is the low word of an element of this format a number of its own? */
static inline bool number_format_valid(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_BF16:
	case QUIRE_FORMAT_FP16:
	case QUIRE_FORMAT_FP32:
	case QUIRE_FORMAT_FP64:
	case QUIRE_FORMAT_E4M3:
	case QUIRE_FORMAT_E5M2:
	case QUIRE_FORMAT_INT8:
		return true;
	}
	return format == QUIRE_FORMAT_POSIT(bits) && bits >= 3 && bits <= 32;
}

static inline struct number number_special(enum number_special special)
{
	return (struct number){ .special = (uint8_t)special,
				.negative = special == NUMBER_MINUS_INF };
}

/* magnitude * 2^exponent */
static inline struct number number_scaled(bool negative, uint64_t magnitude, int32_t exponent)
{
	struct number x = { .negative = negative };
	int zeros;

	if (magnitude) {
		zeros = __builtin_clzll(magnitude);
		x.significand = magnitude << zeros;
		x.top = exponent + 63 - zeros;
	}
	return x;
}

/* x * 2^-128 * 2^exponent in 64 bits and sticky; x is 2^64 or more. */
static inline struct number number_of_128(bool negative, unsigned __int128 x, int32_t exponent)
{
	int zeros = __builtin_clzll((uint64_t)(x >> 64));

	x <<= zeros;
	return (struct number){ (uint64_t)(x >> 64) | ((uint64_t)x != 0), exponent - 1 - zeros,
				negative, NUMBER_FINITE };
}

/* significand / 2^shift to nearest even, shift >= 1; bit 63 of it is set. */
static inline uint64_t number_shift(uint64_t significand, int32_t shift)
{
	uint64_t q, rest;

	if (shift > 64)
		return 0;		/* below a half */
	if (shift == 64)
		return significand > 1ull << 63;
	q = significand >> shift;
	rest = significand << (64 - shift);
	return q + (rest > 1ull << 63 || (rest == 1ull << 63 && q & 1));
}

static inline struct number number_of_posit(uint32_t bits, uint32_t word)
{
	uint32_t left = word << (32 - bits), magnitude, rest;
	struct number x = { 0 };
	int32_t run, regime;

	if (left == 0)
		return x;
	if (left == 0x80000000u)
		return number_special(NUMBER_NAN);
	x.negative = left >> 31;
	magnitude = x.negative ? -left : left;
	/* the run of equal bits after the sign; the 1 put below ends it, run <= 31 */
	run = __builtin_clz((magnitude & 0x40000000u ? ~magnitude : magnitude) << 1 | 1);
	regime = magnitude & 0x40000000u ? run - 1 : -run;
	rest = magnitude << 2 << run;		/* two exponent bits, then the fraction */
	x.significand = 1ull << 63 | (uint64_t)(rest & 0x3fffffffu) << 33;
	x.top = 4 * regime + (int32_t)(rest >> 30);
	return x;
}

/*
 * Posit<bits>, es = 2 (Posit Standard 2022, section 4.1): the word after the sign
 * is the string regime, exponent, fraction, rounded to nearest even as a string;
 * never to 0 and never past the largest.  With value 16^r * 2^e * (1 + f) it is
 *	r >= 0:  r + 1 ones, a zero, e, f = arithmetic shift right by r of "10 e f"
 *	r <  0:  -r zeros, a one, e, f    = the same shift by -r - 1 of "01 e f"
 * A shift beyond 63 would leave the same word as one by 63 for bits <= 32.
 * Returns the low bits, the sign extended to 32.
 */
static inline uint32_t number_to_posit(uint32_t bits, struct number x)
{
	const uint64_t largest = (1ull << (bits - 1)) - 1;
	uint64_t string, lost, q, rest;
	int32_t regime = x.top >> 2, shift = regime < 0 ? ~regime : regime;
	const int drop = 65 - (int)bits;	/* of 64 bits keep bits - 1 */

	if (x.special)
		return (uint32_t)~largest;
	if (!x.significand)
		return 0;
	if (shift > 63)
		shift = 63;
	/* e and f behind the two leading bits; its last three bits are ORed into one */
	string = (uint64_t)(x.top & 3) << 60 | (x.significand << 1) >> 4 |
		 ((x.significand & 7) != 0);
	string |= regime < 0 ? 1ull << 62 : 1ull << 63;
	lost = string & ((1ull << shift) - 1);
	string = (uint64_t)((int64_t)string >> shift) | (lost != 0);
	q = string >> drop;
	rest = string << (64 - drop);
	q += rest > 1ull << 63 || (rest == 1ull << 63 && q & 1);
	if (q > largest)
		q = largest;
	if (q == 0)
		q = 1;
	return (uint32_t)(x.negative ? -q : q);
}

static inline struct number number_of_ieee(struct number_ieee f, uint64_t word)
{
	const uint64_t last = (1ull << f.exponent) - 1;
	uint64_t fraction = word & ((1ull << f.fraction) - 1), field = word >> f.fraction & last;
	bool negative = word >> (f.fraction + f.exponent) & 1;
	int32_t lowest = 2 - (1 << (f.exponent - 1));	/* exponent of the smallest normal */
	struct number x;

	if (f.infinities && field == last)
		return number_special(fraction ? NUMBER_NAN :
				      negative ? NUMBER_MINUS_INF : NUMBER_PLUS_INF);
	if (!f.infinities && field == last && fraction == (1ull << f.fraction) - 1)
		return number_special(NUMBER_NAN);
	if (field)
		fraction |= 1ull << f.fraction;
	x = number_scaled(negative, fraction, (int32_t)(field ? field - 1 : 0) + lowest - f.fraction);
	x.negative = negative;				/* of a zero, too */
	return x;
}

/*
 * IEEE 754-2019, section 4.3.1, roundTiesToEven, with subnormals; E4M3 saturates
 * (OCP 8-bit Floating Point Specification 1.0, section 5.1).
 */
static inline uint64_t number_to_ieee(struct number_ieee f, struct number x)
{
	const uint64_t infinity = ((1ull << f.exponent) - 1) << f.fraction;
	const uint64_t limit = f.infinities ? infinity : (1ull << (f.exponent + f.fraction)) - 2;
	uint64_t sign = (uint64_t)x.negative << (f.exponent + f.fraction), q;
	int32_t field = x.top - (2 - (1 << (f.exponent - 1))), most = (1 << f.exponent) - 1;

	if (x.special == NUMBER_NAN)
		return f.infinities ? infinity | 1ull << (f.fraction - 1) : limit + 1;
	if (x.special)
		return limit | sign;
	if (!x.significand)
		return sign;
	q = number_shift(x.significand, 63 - f.fraction - (field < 0 ? field : 0));
	/* q holds the hidden bit, so what is added is the field less one; a carry
	 * out of the fraction moves on into the exponent as it should */
	if (field > 0)
		q += (uint64_t)(field < most ? field : most) << f.fraction;
	return (q < limit ? q : limit) | sign;
}

/* |x| to the nearest integer, ties to even; false if that is 2^64 or more. */
static inline bool number_to_integer(struct number x, uint64_t *magnitude)
{
	*magnitude = 0;
	if (!x.significand)
		return true;
	if (x.top > 63)
		return false;
	*magnitude = x.top == 63 ? x.significand : number_shift(x.significand, 63 - x.top);
	return true;
}

/* Saturating; NaN is -128. */
static inline uint32_t number_to_int8(struct number x)
{
	uint64_t magnitude;

	if (x.special)
		return x.special == NUMBER_PLUS_INF ? 0x7f : 0x80;
	if (!number_to_integer(x, &magnitude) || magnitude > 127u + x.negative)
		magnitude = 127u + x.negative;
	return (uint32_t)(x.negative ? -magnitude : magnitude) & 0xff;
}

/* Bits of word above the format's own are ignored. */
static inline struct number number_load(uint32_t format, uint64_t word)
{
	if (QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT)
		return number_of_posit(QUIRE_FORMAT_BITS(format), (uint32_t)word);
	if (format == QUIRE_FORMAT_INT8)
		return number_scaled(word >> 7 & 1, word & 0x80 ? 256 - (word & 0xff) : word & 0xff, 0);
	return number_of_ieee(number_ieee_of(format), word);
}

/* A posit's sign is extended to 32 bits; nothing else stands above the format's bits. */
static inline uint64_t number_store(uint32_t format, struct number x)
{
	if (QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT)
		return number_to_posit(QUIRE_FORMAT_BITS(format), x);
	if (format == QUIRE_FORMAT_INT8)
		return number_to_int8(x);
	return number_to_ieee(number_ieee_of(format), x);
}

#endif /* QUIRE_NUMBER_H */
