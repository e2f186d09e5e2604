/* SPDX-License-Identifier: MIT */
/*
 * Elements to elements of another format.  Included by each kernel_*.c but that of AVX-512
 * (convert_avx512.h), so that the compiler vectorises the loops for that CPU.
 *
 * The general way leads through doubles, which hold every element of every format, and
 * the rounding of sums (round_template.h).  FP32 to posits and back, the conversions
 * between programs and the card, stay within 32 bits.
 */
#ifndef QUIRE_CONVERT_TEMPLATE_H
#define QUIRE_CONVERT_TEMPLATE_H

#include "convert_mx.h"
#include "pack_template.h"
#include "round_template.h"

#define CONVERT_WORDS (2 * ROUND_LANES)	/* of 32 bits, in a vector */
typedef uint32_t convert_words __attribute__((vector_size(8 * ROUND_LANES), may_alias));
typedef int32_t convert_ints __attribute__((vector_size(8 * ROUND_LANES), may_alias));
typedef float convert_floats __attribute__((vector_size(8 * ROUND_LANES), may_alias));

/* Zeros above the highest set bit of x, 0 < x < 2^31. */
static inline convert_ints convert_leading_zeros(convert_words x)
{
	/* the bit below the highest cleared, the conversion cannot round up to the next power */
	convert_floats f = __builtin_convertvector((convert_ints)(x & ~(x >> 1)), convert_floats);

	return 158 - ((convert_ints)f >> 23);
}

/* Containers of 8, 16 or 32 bits, count of them, to words; what is beyond is 0. */
static inline convert_words convert_load(const uint8_t *from, uint32_t bits, uint32_t count)
{
	typedef uint8_t bytes __attribute__((vector_size(2 * ROUND_LANES)));
	typedef uint16_t halves __attribute__((vector_size(4 * ROUND_LANES)));
	convert_words x = { 0 };
	halves h = { 0 };
	bytes b = { 0 };

	if (bits <= 8) {
		memcpy(&b, from, count);
		return __builtin_convertvector(b, convert_words);
	}
	if (bits <= 16) {
		memcpy(&h, from, count * 2);
		return __builtin_convertvector(h, convert_words);
	}
	memcpy(&x, from, count * 4);
	return x;
}

static inline void convert_store(uint8_t *to, uint32_t bits, convert_words x, uint32_t count)
{
	typedef uint8_t bytes __attribute__((vector_size(2 * ROUND_LANES)));
	typedef uint16_t halves __attribute__((vector_size(4 * ROUND_LANES)));

	if (bits <= 8) {
		bytes y = __builtin_convertvector(x, bytes);

		memcpy(to, &y, count);
	} else if (bits <= 16) {
		halves y = __builtin_convertvector(x, halves);

		memcpy(to, &y, count * 2);
	} else {
		memcpy(to, &x, count * 4);
	}
}

/*
 * FP32 patterns to posit<bits>, sign-extended, as round_posit() does it: "10 e f" or "01 e f" in
 * 2 + 2 + 23 bits, left-aligned in 32, shifted right by the regime.  The exponent is within
 * -127..128, so the shift is at most 31.  A subnormal is below the smallest posit, 2^-120 or
 * more: its exponent is taken as -127 and the bits kept, which rounds to that posit.
 */
static inline convert_words convert_fp32_to_posit(convert_words x, uint32_t bits)
{
	const uint32_t drop = 33 - bits, largest = (1u << (bits - 1)) - 1;
	convert_words sign = (convert_words)((convert_ints)x >> 31);
	convert_words magnitude = x & 0x7fffffff;
	convert_ints exponent = (convert_ints)(magnitude >> 23) - 127;
	convert_ints regime = exponent >> 2, small = regime >> 31;
	convert_words shift = (convert_words)(regime ^ small);
	convert_words string, moved, q, rest;

	string = ((convert_words)small & 0x40000000) | (~(convert_words)small & 0x80000000);
	string |= ((convert_words)exponent & 3) << 28 | (magnitude & 0x7fffff) << 5;
	moved = (convert_words)((convert_ints)string >> (convert_ints)shift);
	q = moved >> drop;
	/* the last bit is free: at least one bit is dropped and sticky goes below it */
	rest = moved << (32 - drop) | ((convert_words)(moved << shift != string) & 1);
	q += (convert_words)(rest > 0x80000000u - (q & 1)) & 1;
	q = ROUND_SELECT((convert_words)(q > largest), largest + (q - q), q);
	q |= (convert_words)(q == 0) & 1;
	q &= (convert_words)(magnitude != 0);
	q = (q ^ sign) - sign;
	/* NaR, sign-extended */
	return ROUND_SELECT((convert_words)(magnitude >= 0x7f800000u), (q - q) - (largest + 1), q);
}

/*
 * Posit<bits> to FP32 patterns, see pack_posit().  The word after the regime holds two
 * exponent and up to 30 fraction bits: seven are rounded off, to nearest even; a carry
 * moves on into the exponent.  The range of posits lies within FP32's normal one.
 */
static inline convert_words convert_posit_to_fp32(convert_words x, uint32_t bits)
{
	convert_words left = x << (32 - bits);
	convert_words sign = (convert_words)((convert_ints)left >> 31);
	convert_words magnitude = (left ^ sign) - sign;
	convert_words ones = (convert_words)((convert_ints)(magnitude << 1) >> 31);
	convert_ints run = convert_leading_zeros((((magnitude ^ ones) << 1) | 1) & 0x7fffffff);
	convert_ints regime = (run - 1) ^ (convert_ints)~ones;
	/* two shifts: a run of 31 and two more would be beyond the word */
	convert_words rest = magnitude << 2 << (convert_words)run;
	convert_words kept = rest >> 7, y;

	y = (convert_words)((127 + 4 * regime) << 23) + kept;
	y += (convert_words)((rest & 0x7f) + (kept & 1) > 0x40) & 1;
	y |= sign & 0x80000000;
	y = ROUND_SELECT((convert_words)(left == 0), x - x, y);
	return ROUND_SELECT((convert_words)(left == 0x80000000), 0x7fc00000 + (x - x), y);
}

/* Whether the pair of formats has a way of its own. */
static inline bool convert_is_short(const struct gemm_convert *c)
{
	const uint32_t from = c->source_format, to = c->destination_format;

	return c->factor == 1 &&
	       ((from == QUIRE_FORMAT_FP32 && QUIRE_FORMAT_KIND(to) == QUIRE_KIND_POSIT) ||
		(to == QUIRE_FORMAT_FP32 && QUIRE_FORMAT_KIND(from) == QUIRE_KIND_POSIT));
}

/* Words to words. */
static inline void convert_short(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
				 uint8_t *out)
{
	const uint32_t from = c->source_format, to = c->destination_format;
	const uint32_t from_bits = QUIRE_FORMAT_BITS(from), to_bits = QUIRE_FORMAT_BITS(to);
	const uint32_t from_bytes = gemm_element_bytes(from), to_bytes = gemm_element_bytes(to);
	const bool to_posit = from == QUIRE_FORMAT_FP32;

	for (uint32_t i = 0; i < count; i += CONVERT_WORDS) {
		uint32_t here = count - i < CONVERT_WORDS ? count - i : CONVERT_WORDS;
		const uint8_t *at = in + (size_t)i * from_bytes;

		if (here == CONVERT_WORDS) {
			convert_words x = convert_load(at, from_bits, CONVERT_WORDS);

			x = to_posit ? convert_fp32_to_posit(x, to_bits) :
				       convert_posit_to_fp32(x, from_bits);
			convert_store(out + (size_t)i * to_bytes, to_bits, x, CONVERT_WORDS);
		} else {
			convert_words x = convert_load(at, from_bits, here);

			x = to_posit ? convert_fp32_to_posit(x, to_bits) :
				       convert_posit_to_fp32(x, from_bits);
			convert_store(out + (size_t)i * to_bytes, to_bits, x, here);
		}
	}
}

/*
 * factor * x for patterns of doubles, as a number for the rounding.  x has at most 53
 * significant bits (28 where factor is not 1) and factor 24, both far from double's limits:
 * product + error is exact, and the error below a quarter of the product's last bit shows as
 * bits below it.
 */
static inline void convert_normalise(struct round_run run, const uint64_t *patterns, double factor)
{
	for (int i = 0; i < ROUND_RUN; i++) {
		double x = pack_double(patterns[i]), product = x * factor;
		double error = __builtin_fma(x, factor, -product);
		uint64_t bits = pack_bits(product), fraction = bits & 0xfffffffffffffull;
		int64_t field = (int64_t)(bits >> 52 & 0x7ff), zeros;
		uint64_t sig = (fraction | (field ? 1ull << 52 : 0)) << 11;

		/* subnormal doubles, of FP64 only */
		zeros = __builtin_clzll(sig | 1);
		sig = sig << zeros;
		/* infinity times a factor has no error to speak of, it is put right later */
		if (error != 0) {
			/* below by sign: the bits under the last one are all ones */
			sig -= (error < 0) != (product < 0) ? 1 : 0;
			zeros += !(sig >> 63);
			sig = sig >> 63 ? sig : sig << 1;
			sig |= 1;
		}
		run.sig[i] = bits << 1 ? sig : 0;
		run.neg[i] = (uint64_t)((int64_t)bits >> 63);
		run.top[i] = (field ? field : 1) - 1023 - zeros;
	}
}

/* Patterns of normal doubles and zero, factor 1. */
static inline void convert_normalise_plain(struct round_run run, const uint64_t *patterns)
{
	for (int i = 0; i < ROUND_RUN; i += ROUND_LANES) {
		round_lanes x = *(const round_lanes *)(patterns + i);
		round_lanes some = (round_lanes)(x << 1 != 0);

		*(round_lanes *)(run.sig + i) = (x << 11 | 1ull << 63) & some;
		*(round_lanes *)(run.neg + i) = (round_lanes)((round_signed)x >> 63);
		*(round_signed *)(run.top + i) = (round_signed)(x >> 52 & 0x7ff) - 1023;
	}
}

static inline bool convert_any_subnormal(const uint64_t *patterns)
{
	uint64_t any = 0;

	for (int i = 0; i < ROUND_RUN; i++)
		any |= (patterns[i] & PACK_INF) == 0 && patterns[i] << 1 != 0;
	return any;
}

/* Doubles' patterns to elements' bits. */
static inline void convert_round(const struct gemm_convert *c, const uint64_t *patterns,
				 uint64_t *bits)
{
	const uint32_t format = c->destination_format, width = QUIRE_FORMAT_BITS(format);
	const uint64_t nan = gemm_special_bits(format, GEMM_NAN);
	const uint64_t plus = gemm_special_bits(format, GEMM_PLUS_INF);
	const uint64_t minus = gemm_special_bits(format, GEMM_MINUS_INF);
	/* -0, where there is one */
	const uint64_t zero = QUIRE_FORMAT_KIND(format) != QUIRE_KIND_POSIT &&
			      format != QUIRE_FORMAT_INT8 ? 1ull << (width - 1) : 0;
	const uint64_t flip = c->factor < 0 ? 1ull << 63 : 0;
	_Alignas(64) uint64_t sig[ROUND_RUN], neg[ROUND_RUN];
	_Alignas(64) int64_t top[ROUND_RUN];
	const struct round_run run = { sig, neg, top };

	if (c->factor == 1 &&
	    !(c->source_format == QUIRE_FORMAT_FP64 && convert_any_subnormal(patterns)))
		convert_normalise_plain(run, patterns);
	else
		convert_normalise(run, patterns, c->factor);
	round_run_to(format, run, bits);
	for (int i = 0; i < ROUND_RUN; i += ROUND_LANES) {
		round_lanes x = *(const round_lanes *)(patterns + i) ^ flip, y;
		round_lanes magnitude = x & PACK_ABS, sign = (round_lanes)((round_signed)x >> 63);

		y = *(const round_lanes *)(bits + i);
		y |= sign & (round_lanes)(magnitude == 0) & zero;
		y = ROUND_SELECT((round_lanes)(magnitude >= PACK_INF),
				 (sign & minus) | (~sign & plus), y);
		y = ROUND_SELECT((round_lanes)(magnitude > PACK_INF), nan + (x - x), y);
		*(round_lanes *)(bits + i) = y;
	}
}

/* Stored elements to the bits that the digest wants. */
static inline void convert_read_run(uint32_t format, const uint8_t *at, uint64_t *bits)
{
	typedef uint8_t bytes __attribute__((vector_size(ROUND_LANES)));
	typedef uint16_t halves __attribute__((vector_size(2 * ROUND_LANES)));
	typedef uint32_t words __attribute__((vector_size(4 * ROUND_LANES)));
	const uint32_t width = QUIRE_FORMAT_BITS(format);
	const uint64_t own = (1ull << width) - 1;

	for (int i = 0; i < ROUND_RUN; i += ROUND_LANES) {
		round_lanes x;

		if (width <= 8) {
			bytes y;

			memcpy(&y, at + i, sizeof(y));
			x = __builtin_convertvector(y, round_lanes);
		} else if (width <= 16) {
			halves y;

			memcpy(&y, at + i * 2, sizeof(y));
			x = __builtin_convertvector(y, round_lanes);
		} else {
			words y;

			memcpy(&y, at + i * 4, sizeof(y));
			x = __builtin_convertvector(y, round_lanes);
		}
		*(round_lanes *)(bits + i) = x & own;
	}
}

static inline void convert_tally(uint32_t format, uint32_t count, const uint64_t *bits,
				 uint64_t index, struct gemm_tally *tally)
{
	tally->exceptional += gemm_count_exceptional(format, bits, count);
	tally->digest += count == ROUND_RUN ? round_digest_run(format, bits, index) :
					      round_digest(format, count, bits, index);
}

/* Elements that went the short way, read again while they are in the first-level cache. */
static void convert_tally_stored(uint32_t format, uint32_t count, const uint8_t *at, uint64_t index,
				 struct gemm_tally *tally)
{
	const uint32_t element = gemm_element_bytes(format);
	_Alignas(64) uint64_t bits[ROUND_RUN];

	for (uint32_t i = 0; i < count; i += ROUND_RUN) {
		uint32_t here = count - i < ROUND_RUN ? count - i : ROUND_RUN;
		uint8_t rest[ROUND_RUN * 4] = { 0 };

		if (here == ROUND_RUN) {
			convert_read_run(format, at + (size_t)i * element, bits);
		} else {
			memcpy(rest, at + (size_t)i * element, (size_t)here * element);
			convert_read_run(format, rest, bits);
		}
		convert_tally(format, here, bits, index + i, tally);
	}
}

#define CONVERT_PIECE 1024u	/* elements converted the short way before their digest is taken */

/* See struct gemm_kernel. */
static void convert_elements(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
			     uint8_t *out, uint64_t index, struct gemm_tally *tally)
{
	const uint32_t from = gemm_element_bytes(c->source_format);
	const uint32_t to = gemm_element_bytes(c->destination_format);

	if (c->destination_format == QUIRE_FORMAT_MXFP8) {
		convert_to_mx(c, count, in, out, index, tally);
		return;
	}
	if (convert_is_short(c)) {
		for (uint32_t i = 0; i < count; i += CONVERT_PIECE) {
			uint32_t here = count - i < CONVERT_PIECE ? count - i : CONVERT_PIECE;

			convert_short(c, here, in + (size_t)i * from, out + (size_t)i * to);
			if (tally)
				convert_tally_stored(c->destination_format, here,
						     out + (size_t)i * to, index + i, tally);
		}
		return;
	}
	for (uint32_t i = 0; i < count; i += ROUND_RUN) {
		uint32_t here = count - i < ROUND_RUN ? count - i : ROUND_RUN;
		_Alignas(64) uint64_t patterns[ROUND_RUN] = { 0 }, bits[ROUND_RUN];
		const uint8_t *at = in + (size_t)i * from;

		if (c->source_format == QUIRE_FORMAT_MXFP8)
			pack_decode_mx(in, i, here, patterns);
		else if (c->source_format == QUIRE_FORMAT_FP64)
			memcpy(patterns, at, here * sizeof(*patterns));
		else if (here == ROUND_RUN)
			pack_decode(c->source_format, at, ROUND_RUN, patterns);
		else
			pack_decode(c->source_format, at, here, patterns);
		convert_round(c, patterns, bits);
		if (tally)
			convert_tally(c->destination_format, here, bits, index + i, tally);
		if (here == ROUND_RUN)
			round_write_run(c->destination_format, bits, out + (size_t)i * to);
		else
			round_write(c->destination_format, here, bits, out + (size_t)i * to);
	}
}

#endif /* QUIRE_CONVERT_TEMPLATE_H */
