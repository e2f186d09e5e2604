/* SPDX-License-Identifier: MIT */
/*
 * Posits, one at a time: posit<n> of the Posit Standard (2022), n = 3..32, es = 2.
 *
 * Each function takes the width n as "bits" (3..32, not checked) and posits as
 * words: the pattern in the low n bits, bits above ignored.  A returned word has
 * its sign extended to 32 bits; cast to int8_t, int16_t or int32_t it is the
 * element of a matrix (quire/format.h) and compares as the posit does.
 *
 * Every result is the exact one rounded once (section 4.1 of the standard): never to
 * zero, never beyond the largest posit.  NaR in, NaR out, whatever the other
 * operands, except in comparisons, next and prior.
 *
 * All functions are pure integer arithmetic: no allocation, no global state, no
 * floating-point environment.  Any number of threads may call them.
 */
#ifndef QUIRENUM_POSIT_H
#define QUIRENUM_POSIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <quirenum/number.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Words of posit<bits>. */
static inline uint32_t quire_posit_extend(unsigned int bits, uint32_t a)
{
	uint32_t sign = 1u << (bits - 1);

	return ((a & (sign - 1 + sign)) ^ sign) - sign;
}

static inline uint32_t quire_posit_nar(unsigned int bits)
{
	return ~0u << (bits - 1);
}

/* 1 */
static inline uint32_t quire_posit_one(unsigned int bits)
{
	return 1u << (bits - 2);
}

/* The largest posit, 2^(4 bits - 8); the smallest above 0, its inverse, is 1. */
static inline uint32_t quire_posit_max(unsigned int bits)
{
	return (1u << (bits - 1)) - 1;
}

static inline bool quire_posit_is_nar(unsigned int bits, uint32_t a)
{
	return quire_posit_extend(bits, a) == quire_posit_nar(bits);
}

/*
 * Section 5.2, functions of one posit.  The successor of the largest posit is NaR
 * and that of NaR the most negative posit; prior() goes the other way round.
 */
static inline uint32_t quire_posit_negate(unsigned int bits, uint32_t a)
{
	return quire_posit_extend(bits, -a);
}

static inline uint32_t quire_posit_abs(unsigned int bits, uint32_t a)
{
	a = quire_posit_extend(bits, a);
	return a >> 31 ? quire_posit_negate(bits, a) : a;
}

/* The posit -1, 0, 1 or NaR. */
static inline uint32_t quire_posit_sign(unsigned int bits, uint32_t a)
{
	a = quire_posit_extend(bits, a);
	if (a == 0 || a == quire_posit_nar(bits))
		return a;
	return a >> 31 ? -quire_posit_one(bits) : quire_posit_one(bits);
}

static inline uint32_t quire_posit_next(unsigned int bits, uint32_t a)
{
	return quire_posit_extend(bits, a + 1);
}

static inline uint32_t quire_posit_prior(unsigned int bits, uint32_t a)
{
	return quire_posit_extend(bits, a - 1);
}

/* To an integral posit: nearest, ties to even; towards -infinity; towards +infinity. */
uint32_t quire_posit_nearest_integer(unsigned int bits, uint32_t a);
uint32_t quire_posit_floor(unsigned int bits, uint32_t a);
uint32_t quire_posit_ceil(unsigned int bits, uint32_t a);

/*
 * Section 5.3, comparison: -1, 0 or 1.  A total order: NaR is equal to itself and
 * below everything else.
 */
static inline int quire_posit_compare(unsigned int bits, uint32_t a, uint32_t b)
{
	int32_t x = (int32_t)quire_posit_extend(bits, a), y = (int32_t)quire_posit_extend(bits, b);

	return (x > y) - (x < y);
}

/* Section 5.4: division by zero is NaR.  Section 5.5: the root of what is below zero is NaR. */
uint32_t quire_posit_add(unsigned int bits, uint32_t a, uint32_t b);
uint32_t quire_posit_sub(unsigned int bits, uint32_t a, uint32_t b);
uint32_t quire_posit_mul(unsigned int bits, uint32_t a, uint32_t b);
uint32_t quire_posit_div(unsigned int bits, uint32_t a, uint32_t b);
uint32_t quire_posit_sqrt(unsigned int bits, uint32_t a);

/* a * b + c with one rounding.  Longer sums: <quirenum/accumulator.h>. */
uint32_t quire_posit_fma(unsigned int bits, uint32_t a, uint32_t b, uint32_t c);

/* Section 6.1: to another width.  Wider is exact. */
uint32_t quire_posit_convert(unsigned int to, unsigned int from, uint32_t a);

/*
 * Section 6.4.  To an integer: nearest, ties to even; NaR and what does not fit (for
 * unsigned types also what rounds to a negative number) give the highest bit
 * alone: INT32_MIN, INT64_MIN, 2^31, 2^63.  From one: rounded; INT32_MIN and
 * INT64_MIN are NaR.
 */
int32_t quire_posit_to_int32(unsigned int bits, uint32_t a);
int64_t quire_posit_to_int64(unsigned int bits, uint32_t a);
uint32_t quire_posit_to_uint32(unsigned int bits, uint32_t a);
uint64_t quire_posit_to_uint64(unsigned int bits, uint32_t a);
uint32_t quire_posit_from_int32(unsigned int bits, int32_t integer);
uint32_t quire_posit_from_int64(unsigned int bits, int64_t integer);
uint32_t quire_posit_from_uint32(unsigned int bits, uint32_t integer);
uint32_t quire_posit_from_uint64(unsigned int bits, uint64_t integer);

/*
 * Section 6.5.  To IEEE 754: to nearest even, NaR to the quiet NaN; posit32 and
 * below are exact in double.  From it: infinities and NaN are NaR, -0 is 0.
 * BF16, FP16, E4M3 and E5M2: quire_number_convert() with QUIRE_FORMAT_POSIT(bits).
 */
static inline double quire_posit_to_double(unsigned int bits, uint32_t a)
{
	uint64_t word = quire_number_convert(QUIRE_FORMAT_FP64, QUIRE_FORMAT_POSIT(bits), a);
	double d;

	memcpy(&d, &word, sizeof(d));
	return d;
}

static inline uint32_t quire_posit_from_double(unsigned int bits, double d)
{
	uint64_t word;

	memcpy(&word, &d, sizeof(word));
	return (uint32_t)quire_number_convert(QUIRE_FORMAT_POSIT(bits), QUIRE_FORMAT_FP64, word);
}

static inline float quire_posit_to_float(unsigned int bits, uint32_t a)
{
	uint32_t word = (uint32_t)quire_number_convert(QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT(bits), a);
	float f;

	memcpy(&f, &word, sizeof(f));
	return f;
}

static inline uint32_t quire_posit_from_float(unsigned int bits, float f)
{
	uint32_t word;

	memcpy(&word, &f, sizeof(word));
	return (uint32_t)quire_number_convert(QUIRE_FORMAT_POSIT(bits), QUIRE_FORMAT_FP32, word);
}

/* Section 6.3, see quire_number_print() and quire_number_parse(). */
static inline size_t quire_posit_print(unsigned int bits, uint32_t a, enum quire_number_style style,
				       char *text, size_t size)
{
	return quire_number_print(QUIRE_FORMAT_POSIT(bits), a, style, text, size);
}

static inline int quire_posit_parse(unsigned int bits, const char *text, const char **end,
				    uint32_t *a)
{
	uint64_t word;
	int error = quire_number_parse(QUIRE_FORMAT_POSIT(bits), text, end, &word);

	if (!error)
		*a = (uint32_t)word;
	return error;
}

/*
 * The three widths of the standard with types of their own: quire_posit8_add(a, b)
 * and so on, on int8_t, int16_t and int32_t, which compare with < and ==.
 */
#define QUIRE_POSIT_WIDTH(n)                                                            \
	static inline int##n##_t quire_posit##n##_add(int##n##_t a, int##n##_t b)       \
	{                                                                               \
		return (int##n##_t)quire_posit_add(n, (uint32_t)a, (uint32_t)b);        \
	}                                                                               \
	static inline int##n##_t quire_posit##n##_sub(int##n##_t a, int##n##_t b)       \
	{                                                                               \
		return (int##n##_t)quire_posit_sub(n, (uint32_t)a, (uint32_t)b);        \
	}                                                                               \
	static inline int##n##_t quire_posit##n##_mul(int##n##_t a, int##n##_t b)       \
	{                                                                               \
		return (int##n##_t)quire_posit_mul(n, (uint32_t)a, (uint32_t)b);        \
	}                                                                               \
	static inline int##n##_t quire_posit##n##_div(int##n##_t a, int##n##_t b)       \
	{                                                                               \
		return (int##n##_t)quire_posit_div(n, (uint32_t)a, (uint32_t)b);        \
	}                                                                               \
	static inline int##n##_t quire_posit##n##_sqrt(int##n##_t a)                    \
	{                                                                               \
		return (int##n##_t)quire_posit_sqrt(n, (uint32_t)a);                    \
	}                                                                               \
	static inline int##n##_t quire_posit##n##_fma(int##n##_t a, int##n##_t b,       \
						      int##n##_t c)                     \
	{                                                                               \
		return (int##n##_t)quire_posit_fma(n, (uint32_t)a, (uint32_t)b,         \
						   (uint32_t)c);                        \
	}                                                                               \
	static inline int##n##_t quire_posit##n##_from_double(double d)                 \
	{                                                                               \
		return (int##n##_t)quire_posit_from_double(n, d);                       \
	}                                                                               \
	static inline double quire_posit##n##_to_double(int##n##_t a)                   \
	{                                                                               \
		return quire_posit_to_double(n, (uint32_t)a);                           \
	}

QUIRE_POSIT_WIDTH(8)
QUIRE_POSIT_WIDTH(16)
QUIRE_POSIT_WIDTH(32)

#undef QUIRE_POSIT_WIDTH

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_POSIT_H */
