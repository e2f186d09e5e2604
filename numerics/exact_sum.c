// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "exact_sum.h"
#include "tile_internal.h"

/* sum += or -= value * 2^exponent; value below 2^128, modulo the whole */
static void add_words(struct exact_sum *sum, unsigned __int128 value, int32_t exponent, bool negative)
{
	uint32_t shift = (uint32_t)(exponent - EXACT_UNIT), limb = shift / 64, bit = shift % 64;
	uint64_t low = (uint64_t)value, high = (uint64_t)(value >> 64);
	uint64_t word[3] = { low << bit, high << bit | (bit ? low >> (64 - bit) : 0),
			     bit ? high >> (64 - bit) : 0 };
	unsigned char carry = 0;

	for (uint32_t i = 0; limb + i < EXACT_LIMBS && (i < 3 || carry); i++) {
		uint64_t more = i < 3 ? word[i] : 0, t, *at = &sum->limb[limb + i];

		if (negative)
			carry = __builtin_sub_overflow(*at, more, &t) |
				__builtin_sub_overflow(t, carry, at);
		else
			carry = __builtin_add_overflow(*at, more, &t) |
				__builtin_add_overflow(t, carry, at);
	}
}

void exact_add(struct exact_sum *sum, const struct exact_sum *more)
{
	unsigned char carry = 0;

	for (uint32_t i = 0; i < EXACT_LIMBS; i++) {
		uint64_t t;

		carry = __builtin_add_overflow(sum->limb[i], more->limb[i], &t) |
			__builtin_add_overflow(t, carry, &sum->limb[i]);
	}
}

/* x = (-1)^negative * significand * 2^exponent */
struct parts {
	uint64_t significand;
	int32_t exponent;
	bool negative;
};

static struct parts parts_of(double x)
{
	struct parts p;
	uint64_t word, field;

	memcpy(&word, &x, 8);
	field = word >> 52 & 0x7ff;
	p.significand = (word & 0xfffffffffffffull) | (field ? 1ull << 52 : 0);
	p.exponent = (int32_t)(field ? field : 1) - 1075;
	p.negative = word >> 63;
	return p;
}

static struct parts parts_of_weight(const float *weight, uint32_t column)
{
	struct parts p = { 1, 0, false };

	if (weight) {
		p = parts_of(weight[column]);
		/* a float has 24 bits: the lower 29 are 0 */
		p.significand >>= 29;
		p.exponent += 29;
	}
	return p;
}

/* sum += factor * w * 2^exponent, w of 24 bits: in halves of the factor */
static void add_weighted(struct exact_sum *sum, unsigned __int128 factor, int32_t exponent,
			 struct parts w, bool negative)
{
	if (!w.significand)
		return;
	if (w.significand == 1) {
		add_words(sum, factor, exponent + w.exponent, negative);
		return;
	}
	add_words(sum, (unsigned __int128)(uint64_t)factor * w.significand, exponent + w.exponent,
		  negative);
	add_words(sum, (unsigned __int128)(uint64_t)(factor >> 64) * w.significand,
		  exponent + w.exponent + 64, negative);
}

/* w * x^2, the product of 106 bits exact */
static void add_square(struct exact_sum *sum, double x, struct parts w)
{
	struct parts p = parts_of(x);

	if (p.significand)
		add_weighted(sum, (unsigned __int128)p.significand * p.significand, 2 * p.exponent, w,
			     false);
}

/* w * (x - y)^2 = w * (x^2 - 2 x y + y^2) */
static void add_square_of_difference(struct exact_sum *sum, double x, double y, struct parts w)
{
	struct parts p = parts_of(x), q = parts_of(y);

	add_square(sum, x, w);
	add_square(sum, y, w);
	add_weighted(sum, (unsigned __int128)p.significand * q.significand,
		     p.exponent + q.exponent + 1, w, p.negative == q.negative);
}

#define RUN 256
#define SPAN 57		/* of what tile_kernel.squares takes */

/* Squares of whole numbers d / 2^unit below 2^SPAN. */
static void add_run(struct exact_sum *sum, const struct tile_kernel *kernel, const double *d,
		    uint32_t count, int32_t unit, const float *weight)
{
	const double by = weight ? ldexp(1, -unit) : 1;

	if (!weight) {
		add_words(sum, kernel->squares(d, count, unit), 2 * unit, false);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		int64_t v = (int64_t)(d[i] * by);

		add_weighted(sum, (unsigned __int128)((__int128)v * v), 2 * unit,
			     parts_of_weight(weight, i), false);
	}
}

/* At most RUN elements; y has as many. */
static void add_differences(struct exact_sum *sum, const struct tile_kernel *kernel,
			    const double *x, const double *y, uint32_t count, const float *weight)
{
	_Alignas(64) double d[RUN], tail[2][8] = { { 0 } };
	uint32_t whole = count & ~7u, rest = count & 7;
	int64_t most = 0, last = INT64_MAX;
	bool exact = kernel->differences(x, y, whole, d, &most, &last);
	int32_t top, unit;

	if (rest) {
		memcpy(tail[0], x + whole, rest * sizeof(*x));
		memcpy(tail[1], y + whole, rest * sizeof(*y));
		exact &= kernel->differences(tail[0], tail[1], 8, d + whole, &most, &last);
	}
	top = (int32_t)(most >> 52) - 1023;
	unit = (int32_t)(last >> 52) - 1023;
	if (!most && exact)
		return;
	/* subnormals and the scales of the far ends take the long way */
	if (exact && unit > -900 && top < 900 && top - unit < SPAN) {
		add_run(sum, kernel, d, weight ? count : whole + (rest ? 8 : 0), unit, weight);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (exact)
			add_square(sum, d[i], parts_of_weight(weight, i));
		else
			add_square_of_difference(sum, x[i], y[i], parts_of_weight(weight, i));
}

void exact_add_squares(struct exact_sum *sum, const struct tile_kernel *kernel, const double *x,
		       const double *y, uint32_t rows, uint32_t columns, uint32_t pitch,
		       const float *weight)
{
	_Alignas(64) static const double zeros[RUN];

	/* nothing tells the rows apart */
	if (!weight && columns == pitch) {
		columns *= rows;
		rows = 1;
	}
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t c = 0, count; c < columns; c += count) {
			uint64_t at = (uint64_t)r * pitch + c;

			count = columns - c < RUN ? columns - c : RUN;
			add_differences(sum, kernel, x + at, y ? y + at : zeros, count,
					weight ? weight + c : NULL);
		}
}

/* to = from * factor, one limb longer */
static void multiply_limbs(uint64_t *to, const uint64_t *from, uint32_t count, uint64_t factor)
{
	uint64_t carry = 0;

	for (uint32_t i = 0; i < count; i++) {
		unsigned __int128 p = (unsigned __int128)from[i] * factor + carry;

		to[i] = (uint64_t)p;
		carry = (uint64_t)(p >> 64);
	}
	to[count] = carry;
}

#define WIDE (EXACT_LIMBS + 8)

bool exact_within(const struct exact_sum *error, const struct exact_sum *norm, double tau)
{
	struct parts t = parts_of(tau);
	/* error * 2^(-2 exponent) <= norm * significand^2; the exponent is -142 .. -52 */
	uint32_t shift = (uint32_t)(-2 * t.exponent), limbs = shift / 64, bit = shift % 64;
	uint64_t left[WIDE] = { 0 }, right[WIDE] = { 0 }, once[WIDE] = { 0 };

	for (uint32_t i = 0; i < EXACT_LIMBS; i++) {
		left[i + limbs] |= error->limb[i] << bit;
		left[i + limbs + 1] |= bit ? error->limb[i] >> (64 - bit) : 0;
	}
	multiply_limbs(once, norm->limb, EXACT_LIMBS, t.significand);
	multiply_limbs(right, once, EXACT_LIMBS + 1, t.significand);
	for (uint32_t i = WIDE; i-- > 0;)
		if (left[i] != right[i])
			return left[i] < right[i];
	return true;
}

/* The top 53 bits or so, rounded down or up, times 2^*exponent. */
static double leading(const struct exact_sum *sum, bool up, int *exponent)
{
	int top = EXACT_LIMBS - 1;
	double x;

	while (top > 0 && !sum->limb[top])
		top--;
	*exponent = EXACT_UNIT + 64 * top;
	if (!sum->limb[top])
		return 0;
	x = (double)sum->limb[top] + (top ? (double)sum->limb[top - 1] * 0x1p-64 : 0);
	/* the conversions and the sum are off by less than 2^-50, what is cut by 2^-63 */
	return x * (up ? 1 + 0x1p-49 : 1 - 0x1p-49);
}

double exact_ratio(const struct exact_sum *error, const struct exact_sum *norm)
{
	int e, n;
	double above = leading(error, true, &e), below = leading(norm, false, &n);

	if (above == 0)
		return 0;
	if (below == 0)
		return INFINITY;
	/* e - n is a multiple of 64; the root and the quotient add some 2^-52 */
	return ldexp(sqrt(above / below) * (1 + 0x1p-46), (e - n) / 2);
}

double exact_root(const struct exact_sum *sum)
{
	int e;
	double x = leading(sum, false, &e);

	return ldexp(sqrt(x), e / 2);
}
