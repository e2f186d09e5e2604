// SPDX-License-Identifier: MIT
/*
 * Arithmetic of single posits.  An operand's significand has at most 31 bits
 * (struct number holds them at the upper end of 64), a result keeps at most 28, so
 * products are exact in 64 bits, quotients and roots are taken to 31 bits or more
 * with a sticky bit for the rest, and each result is rounded once.
 */
#include <quirenum/posit.h>

#include "number.h"

/* (-1)^negative * magnitude / 2^126 * 2^top, bit 126 set unless it is 0. */
struct term {
	unsigned __int128 magnitude;
	int32_t top;
	bool negative;
};

static struct term term_of(struct number x)
{
	return (struct term){ (unsigned __int128)x.significand << 63, x.top, x.negative };
}

/* The low 66 bits of the product of two significands are 0: the shift loses nothing. */
static struct term term_of_product(struct number a, struct number b)
{
	struct term t = { (unsigned __int128)a.significand * b.significand, a.top + b.top,
			  a.negative ^ b.negative };

	if (t.magnitude >> 127) {
		t.magnitude >>= 1;
		t.top++;
	}
	return t;
}

/*
 * The smaller magnitude is moved to the place of the larger; bits that leave are
 * ORed into its last.  They leave only when it lies more than 64 bits lower (its
 * significand has at most 62 bits of 127): then the larger one's low bits are 0
 * and the difference has lost at most one bit at the top, so the last bit is a
 * sticky bit far below any that a posit keeps.  Only terms less than two places apart can
 * cancel further; their bits below 65 are 0, so what is left is 0 or at least 2^65.
 */
static struct number add_terms(struct term a, struct term b)
{
	unsigned __int128 lost;
	int32_t shift;

	if (a.magnitude == 0 || (b.magnitude != 0 &&
				 (a.top < b.top || (a.top == b.top && a.magnitude < b.magnitude)))) {
		struct term larger = b;

		b = a;
		a = larger;
	}
	if (a.magnitude == 0)
		return (struct number){ 0 };
	if (b.magnitude != 0) {
		shift = a.top - b.top < 127 ? a.top - b.top : 127;
		lost = b.magnitude & (((unsigned __int128)1 << shift) - 1);
		b.magnitude = b.magnitude >> shift | (lost != 0);
		/* below 2^127 each: the sum fits */
		a.magnitude += a.negative == b.negative ? b.magnitude : -b.magnitude;
		if (a.magnitude == 0)
			return (struct number){ 0 };
	}
	return number_of_128(a.negative, a.magnitude, a.top + 2);
}

uint32_t quire_posit_add(unsigned int bits, uint32_t a, uint32_t b)
{
	struct number x = number_of_posit(bits, a), y = number_of_posit(bits, b);

	if (x.special || y.special)
		return quire_posit_nar(bits);
	return number_to_posit(bits, add_terms(term_of(x), term_of(y)));
}

uint32_t quire_posit_sub(unsigned int bits, uint32_t a, uint32_t b)
{
	return quire_posit_add(bits, a, -b);	/* -NaR is NaR */
}

uint32_t quire_posit_mul(unsigned int bits, uint32_t a, uint32_t b)
{
	struct number x = number_of_posit(bits, a), y = number_of_posit(bits, b);

	if (x.special || y.special)
		return quire_posit_nar(bits);
	if (!x.significand || !y.significand)
		return 0;
	return number_to_posit(bits, number_of_128(x.negative ^ y.negative,
						   (unsigned __int128)x.significand * y.significand,
						   x.top + y.top + 2));
}

uint32_t quire_posit_div(unsigned int bits, uint32_t a, uint32_t b)
{
	struct number x = number_of_posit(bits, a), y = number_of_posit(bits, b);
	uint64_t dividend, divisor, quotient;

	if (x.special || y.special || !y.significand)
		return quire_posit_nar(bits);
	if (!x.significand)
		return 0;
	/* 63 bits by 31: the quotient has 32 or 33, one more holds the remainder */
	dividend = x.significand >> 33 << 32;
	divisor = y.significand >> 33;
	quotient = dividend / divisor;
	quotient = quotient << 1 | (quotient * divisor != dividend);
	return number_to_posit(bits, number_scaled(x.negative ^ y.negative, quotient,
						   x.top - y.top - 33));
}

/* floor(sqrt(x)), x < 2^62, bit by bit from 2^30; *exact tells whether it is the root. */
static uint64_t square_root(uint64_t x, bool *exact)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ull << 60; bit; bit >>= 2) {
		uint64_t trial = root + bit;

		root >>= 1;
		if (x >= trial) {
			x -= trial;
			root += bit;
		}
	}
	*exact = x == 0;
	return root;
}

uint32_t quire_posit_sqrt(unsigned int bits, uint32_t a)
{
	struct number x = number_of_posit(bits, a);
	uint64_t radicand, root;
	bool exact;

	if (x.special || x.negative)
		return quire_posit_nar(bits);
	if (!x.significand)
		return 0;
	/* 31 bits, 32 when the exponent is odd; 2^60 <= radicand < 2^62, root 31 bits */
	radicand = x.significand >> 33 << (30 + (x.top & 1));
	root = square_root(radicand, &exact);
	return number_to_posit(bits, number_scaled(false, root << 1 | !exact,
						   ((x.top - (x.top & 1)) / 2) - 31));
}

uint32_t quire_posit_fma(unsigned int bits, uint32_t a, uint32_t b, uint32_t c)
{
	struct number x = number_of_posit(bits, a), y = number_of_posit(bits, b);
	struct number z = number_of_posit(bits, c);

	if (x.special || y.special || z.special)
		return quire_posit_nar(bits);
	return number_to_posit(bits, add_terms(term_of_product(x, y), term_of(z)));
}

enum direction { NEAREST, DOWN, UP };

static uint32_t to_integral(unsigned int bits, uint32_t a, enum direction direction)
{
	struct number x = number_of_posit(bits, a);
	uint64_t whole;
	bool inexact;

	/* 31 bits of significand: from 2^30 on all posits are integers */
	if (x.special || !x.significand || x.top >= 30)
		return quire_posit_extend(bits, a);
	if (direction == NEAREST) {
		number_to_integer(x, &whole);
	} else {
		whole = x.top < 0 ? 0 : x.significand >> (63 - x.top);
		inexact = x.top < 0 || whole << (63 - x.top) != x.significand;
		whole += inexact && x.negative == (direction == DOWN);
	}
	return number_to_posit(bits, number_scaled(x.negative, whole, 0));
}

uint32_t quire_posit_nearest_integer(unsigned int bits, uint32_t a)
{
	return to_integral(bits, a, NEAREST);
}

uint32_t quire_posit_floor(unsigned int bits, uint32_t a)
{
	return to_integral(bits, a, DOWN);
}

uint32_t quire_posit_ceil(unsigned int bits, uint32_t a)
{
	return to_integral(bits, a, UP);
}

uint32_t quire_posit_convert(unsigned int to, unsigned int from, uint32_t a)
{
	return number_to_posit(to, number_of_posit(from, a));
}

/* To an integer of width bits; what does not fit becomes its highest bit alone. */
static uint64_t to_integer(struct number x, unsigned int width, bool is_signed)
{
	const uint64_t highest = 1ull << (width - 1);
	uint64_t magnitude, most = is_signed ? highest - 1 + x.negative :
				   x.negative ? 0 : highest - 1 + highest;

	if (x.special || !number_to_integer(x, &magnitude) || magnitude > most)
		return highest;
	return x.negative ? -magnitude : magnitude;
}

int32_t quire_posit_to_int32(unsigned int bits, uint32_t a)
{
	return (int32_t)to_integer(number_of_posit(bits, a), 32, true);
}

int64_t quire_posit_to_int64(unsigned int bits, uint32_t a)
{
	return (int64_t)to_integer(number_of_posit(bits, a), 64, true);
}

uint32_t quire_posit_to_uint32(unsigned int bits, uint32_t a)
{
	return (uint32_t)to_integer(number_of_posit(bits, a), 32, false);
}

uint64_t quire_posit_to_uint64(unsigned int bits, uint32_t a)
{
	return to_integer(number_of_posit(bits, a), 64, false);
}

uint32_t quire_posit_from_uint64(unsigned int bits, uint64_t integer)
{
	return number_to_posit(bits, number_scaled(false, integer, 0));
}

uint32_t quire_posit_from_int64(unsigned int bits, int64_t integer)
{
	uint64_t magnitude = integer < 0 ? -(uint64_t)integer : (uint64_t)integer;

	if (integer == INT64_MIN)
		return quire_posit_nar(bits);
	return number_to_posit(bits, number_scaled(integer < 0, magnitude, 0));
}

uint32_t quire_posit_from_uint32(unsigned int bits, uint32_t integer)
{
	return quire_posit_from_uint64(bits, integer);
}

uint32_t quire_posit_from_int32(unsigned int bits, int32_t integer)
{
	return integer == INT32_MIN ? quire_posit_nar(bits) :
				      quire_posit_from_int64(bits, integer);
}
