/* SPDX-License-Identifier: MIT */
/*
 * Exact sums to elements, one rounding.  Included by each kernel_*.c so that the
 * compiler vectorises the loops for that CPU; every loop body is free of branches
 * and handles one element.
 */
#ifndef QUIRE_ROUND_TEMPLATE_H
#define QUIRE_ROUND_TEMPLATE_H

#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "gemm_internal.h"
#ifdef __AVX512F__
#include "tally_avx512.h"
#endif

#define ROUND_RUN 16	/* elements treated at a time */

/*
 * sig[i] = 0 for zero, else the number is (-1)^neg * sig / 2^63 * 2^top with
 * bit 63 of sig set and its bit 0 the OR of itself and of all bits below
 * (sticky).  No format here keeps more than 53 bits, so neither the half-way bit
 * nor a kept bit is ever bit 0.
 */
struct round_run {
	uint64_t *restrict sig;
	uint64_t *restrict neg;		/* all ones when negative */
	int64_t *restrict top;
};

/*
 * Elements at a time, in the compiler's own vectors, of the width the CPU has.
 * Comparisons give all ones or zero in each.
 */
#ifdef __AVX512F__
#define ROUND_LANES 8
#else
#define ROUND_LANES 4
#endif
typedef uint64_t round_lanes __attribute__((vector_size(8 * ROUND_LANES), may_alias));
typedef int64_t round_signed __attribute__((vector_size(8 * ROUND_LANES), may_alias));
#define ROUND_SELECT(test, yes, no)                                            \
	(((__typeof__(yes))(test) & (yes)) | (~(__typeof__(yes))(test) & (no)))

static inline void round_normalise(struct round_run run, const uint64_t *low,
				   const int64_t *high, const int32_t *exponent)
{
#ifdef __AVX512CD__
	for (int i = 0; i < ROUND_RUN; i += 8) {
		const __m512i zero = _mm512_setzero_si512();
		__m512i h = _mm512_loadu_si512(high + i), l = _mm512_loadu_si512(low + i);
		__mmask8 negative = _mm512_movepi64_mask(h), wide;
		__m512i upper, lower, n, lost, e;

		/* -x = ~x + 1: the carry reaches the upper half when the lower is 0 */
		h = _mm512_mask_sub_epi64(h, negative, zero, h);
		h = _mm512_mask_sub_epi64(h, negative & _mm512_test_epi64_mask(l, l), h,
					  _mm512_set1_epi64(1));
		l = _mm512_mask_sub_epi64(l, negative, zero, l);
		wide = _mm512_test_epi64_mask(h, h);
		upper = _mm512_mask_mov_epi64(l, wide, h);
		lower = _mm512_maskz_mov_epi64(wide, l);
		/* 64 for zero, whose shifts give 0 */
		n = _mm512_lzcnt_epi64(upper);
		lost = _mm512_sllv_epi64(lower, n);
		/* a funnel shift: the upper word of (upper:lower) << n */
		upper = _mm512_or_si512(_mm512_sllv_epi64(upper, n),
			_mm512_srlv_epi64(lower, _mm512_sub_epi64(_mm512_set1_epi64(64), n)));
		upper = _mm512_mask_or_epi64(upper, _mm512_test_epi64_mask(lost, lost), upper,
					     _mm512_set1_epi64(1));
		e = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)
							     (exponent + i)));
		e = _mm512_add_epi64(e, _mm512_mask_mov_epi64(_mm512_set1_epi64(63), wide,
							      _mm512_set1_epi64(127)));
		_mm512_store_si512(run.sig + i, upper);
		_mm512_store_si512(run.neg + i, _mm512_movm_epi64(negative));
		_mm512_store_si512(run.top + i, _mm512_sub_epi64(e, n));
	}
#else
	for (int i = 0; i < ROUND_RUN; i++) {
		uint64_t s = (uint64_t)(high[i] >> 63);
		uint64_t l = (low[i] ^ s) - s;
		/* -x = ~x + 1: the carry reaches the upper half when the lower is 0 */
		uint64_t h = ((uint64_t)high[i] ^ s) + (l == 0 ? s & 1 : 0);
		uint64_t upper = h ? h : l;
		uint64_t lower = h ? l : 0;
		int64_t n = __builtin_clzll(upper | 1);
		uint64_t moved = lower >> 1 >> (63 - n);

		run.sig[i] = upper << n | moved | ((lower << n) != 0);
		run.neg[i] = s;
		run.top[i] = exponent[i] + (h ? 127 : 63) - n;
	}
#endif
}

/* The same for sums of 64 bits. */
static inline void round_normalise_64(struct round_run run, const uint64_t *low,
				      const int32_t *exponent)
{
#ifdef __AVX512CD__
	for (int i = 0; i < ROUND_RUN; i += 8) {
		__m512i l = _mm512_loadu_si512(low + i), n, e;
		__mmask8 negative = _mm512_movepi64_mask(l);

		l = _mm512_abs_epi64(l);
		n = _mm512_lzcnt_epi64(l);
		e = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)
							     (exponent + i)));
		e = _mm512_add_epi64(e, _mm512_set1_epi64(63));
		_mm512_store_si512(run.sig + i, _mm512_sllv_epi64(l, n));
		_mm512_store_si512(run.neg + i, _mm512_movm_epi64(negative));
		_mm512_store_si512(run.top + i, _mm512_sub_epi64(e, n));
	}
#else
	for (int i = 0; i < ROUND_RUN; i++) {
		uint64_t s = (uint64_t)((int64_t)low[i] >> 63);
		uint64_t l = (low[i] ^ s) - s;
		int64_t n = __builtin_clzll(l | 1);

		run.sig[i] = l << n;
		run.neg[i] = s;
		run.top[i] = exponent[i] + 63 - n;
	}
#endif
}

/*
 * Posit<bits>, es = 2: the word after the sign is the string regime, exponent,
 * fraction, rounded to nearest even as a string; never to 0 and never past the
 * largest.  With value 2^(4r + e) * (1 + f) the string is
 *	r >= 0:  r + 1 ones, a zero, e, f = arithmetic shift right by r of "10 e f"
 *	r <  0:  -r zeros, a one, e, f    = the same shift by -r - 1 of "01 e f"
 * Shifts beyond 63 would leave the same word as a shift by 63 does for bits <= 32.
 */
static inline void round_posit(struct round_run run, uint32_t bits, uint64_t *out)
{
	const uint64_t largest = (1ull << (bits - 1)) - 1;
	const uint64_t mask = largest << 1 | 1;
	const int drop = 65 - (int)bits;	/* of 64 bits keep bits - 1 */

	for (int i = 0; i < ROUND_RUN; i += ROUND_LANES) {
		round_lanes sig = *(const round_lanes *)(run.sig + i);
		round_lanes neg = *(const round_lanes *)(run.neg + i);
		round_signed top = *(const round_signed *)(run.top + i);
		round_signed regime = top >> 2;
		round_lanes small = (round_lanes)(regime >> 63);	/* regime < 0 */
		round_lanes e = (round_lanes)top & 3, fraction = sig << 1;
		/* e, f in 62 bits below the two leading bits; the sig's sticky kept */
		round_lanes string = e << 60 | fraction >> 4 |
				     ((round_lanes)((fraction & 15) != 0) & 1);
		round_signed shift = regime ^ (round_signed)small;	/* -r - 1 = ~r */
		round_lanes lost, q, rest, one = sig - sig + 1;

		shift = ROUND_SELECT(shift > 63, 63 - (shift - shift), shift);
		string |= ROUND_SELECT(small, one << 62, one << 63);
		lost = string & ((one << (round_lanes)shift) - 1);
		string = (round_lanes)((round_signed)string >> shift) |
			 ((round_lanes)(lost != 0) & 1);
		q = string >> drop;
		rest = string << (64 - drop);
		/* up when rest > half, or half and q odd */
		q += (round_lanes)(rest > (one << 63) - (q & 1)) & 1;
		q = ROUND_SELECT(q > largest, largest * one, q);
		q |= (round_lanes)(q == 0) & 1;
		q &= (round_lanes)(sig != 0);
		*(round_lanes *)(out + i) = ((q ^ neg) - neg) & mask;
	}
}

struct round_ieee {
	int fraction;		/* bits of it */
	int64_t lowest;		/* exponent of the smallest normal number */
	uint64_t limit;		/* pattern that overflow gives: infinity or the largest */
	int sign;		/* bit */
};

static inline void round_ieee(struct round_run run, struct round_ieee f, uint64_t *out)
{
	for (int i = 0; i < ROUND_RUN; i += ROUND_LANES) {
		round_lanes whole = *(const round_lanes *)(run.sig + i);
		round_lanes neg = *(const round_lanes *)(run.neg + i);
		round_signed top = *(const round_signed *)(run.top + i);
		round_signed zero = top - top, field = top - f.lowest, shift;
		round_lanes one = whole - whole + 1, sig, q;
		round_lanes nonzero = (round_lanes)(whole != 0);

		/* one bit lower for headroom: the sum in the rounding stays below 2^64 */
		sig = whole >> 1 | (whole & 1);
		shift = 62 - f.fraction - ROUND_SELECT(field < 0, field, zero);
		/* bit 62 is set: at 63 the number is half a unit or more, beyond it less */
		sig &= (round_lanes)(shift <= 63);
		shift = ROUND_SELECT(shift > 63, zero + 63, shift);
		q = sig >> (round_lanes)shift & 1;
		q = (sig + (one << (round_lanes)(shift - 1)) - 1 + q) >> (round_lanes)shift;
		/* q holds the hidden bit, so the field is one less; a carry out of q
		 * moves on into the exponent as it should */
		field = ROUND_SELECT(field < 0, zero, field);
		field = ROUND_SELECT(field > 4096, zero + 4096, field);
		q += (round_lanes)field << f.fraction;
		q = ROUND_SELECT(q > f.limit, f.limit * one, q);
		/* a negative number that rounds to zero is -0; an exact zero is +0 */
		*(round_lanes *)(out + i) = (q | (neg & 1) << f.sign) & nonzero;
	}
}

/* Two's complement, to nearest even, saturating. */
static inline void round_int8(struct round_run run, uint64_t *restrict out)
{
	for (int i = 0; i < ROUND_RUN; i++) {
		uint64_t sig = run.sig[i] >> 1 | (run.sig[i] & 1);
		int64_t shift = 62 - run.top[i];
		uint64_t q;

		sig = shift > 63 ? 0 : sig;
		shift = shift > 63 ? 63 : shift;
		shift = shift < 50 ? 50 : shift;	/* 2^12 and up saturate alike */
		q = sig >> shift;
		q = (sig + (1ull << (shift - 1)) - 1 + (q & 1)) >> shift;
		q = q > 127 + (run.neg[i] & 1) ? 127 + (run.neg[i] & 1) : q;
		out[i] = ((q ^ run.neg[i]) - run.neg[i]) & 0xff;
	}
}

static inline void round_run_to(uint32_t format, struct round_run run, uint64_t *restrict out)
{
	static const struct round_ieee fp16 = { 10, -14, 0x7c00, 15 };
	static const struct round_ieee fp32 = { 23, -126, 0x7f800000, 31 };
	static const struct round_ieee fp64 = { 52, -1022, 0x7ff0000000000000ull, 63 };
	static const struct round_ieee bf16 = { 7, -126, 0x7f80, 15 };
	static const struct round_ieee e4m3 = { 3, -6, 0x7e, 7 };
	static const struct round_ieee e5m2 = { 2, -14, 0x7c, 7 };

	switch (format) {
	case QUIRE_FORMAT_POSIT8:
		round_posit(run, 8, out);
		break;
	case QUIRE_FORMAT_POSIT16:
		round_posit(run, 16, out);
		break;
	case QUIRE_FORMAT_POSIT32:
		round_posit(run, 32, out);
		break;
	case QUIRE_FORMAT_FP16:
		round_ieee(run, fp16, out);
		break;
	case QUIRE_FORMAT_FP32:
		round_ieee(run, fp32, out);
		break;
	case QUIRE_FORMAT_FP64:
		round_ieee(run, fp64, out);
		break;
	case QUIRE_FORMAT_BF16:
		round_ieee(run, bf16, out);
		break;
	case QUIRE_FORMAT_E4M3:
		round_ieee(run, e4m3, out);
		break;
	case QUIRE_FORMAT_E5M2:
		round_ieee(run, e5m2, out);
		break;
	case QUIRE_FORMAT_INT8:
		round_int8(run, out);
		break;
	default:
		round_posit(run, QUIRE_FORMAT_BITS(format), out);
		break;
	}
}

/*
 * See struct gemm_kernel.  The arrays have room for count rounded up to a
 * multiple of ROUND_RUN.
 */
static void round_elements(uint32_t format, uint32_t count, const uint64_t *low,
			   const int64_t *high, const int32_t *exponent, uint64_t *bits)
{
	_Alignas(64) uint64_t sig[ROUND_RUN], neg[ROUND_RUN];
	_Alignas(64) int64_t top[ROUND_RUN];
	_Alignas(64) uint64_t out[ROUND_RUN];
	const struct round_run run = { sig, neg, top };

	for (uint32_t i = 0; i < count; i += ROUND_RUN) {
		round_normalise(run, low + i, high + i, exponent + i);
		round_run_to(format, run, out);
		memcpy(bits + i, out, sizeof(out));
	}
}

/* Into containers: (x ^ s) - s extends the sign bit s of a posit. */
static inline void round_write(uint32_t format, uint32_t count, const uint64_t *bits, uint8_t *at)
{
	const uint32_t width = QUIRE_FORMAT_BITS(format);
	const uint64_t s = QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT ? 1ull << (width - 1) : 0;

	if (width <= 8) {
		for (uint32_t i = 0; i < count; i++)
			at[i] = (uint8_t)((bits[i] ^ s) - s);
	} else if (width <= 16) {
		for (uint32_t i = 0; i < count; i++)
			((uint16_t *)(void *)at)[i] = (uint16_t)((bits[i] ^ s) - s);
	} else if (width <= 32) {
		for (uint32_t i = 0; i < count; i++)
			((uint32_t *)(void *)at)[i] = (uint32_t)((bits[i] ^ s) - s);
	} else {
		memcpy(at, bits, count * sizeof(*bits));
	}
}

/* The same for a whole run. */
static inline void round_write_run(uint32_t format, const uint64_t *bits, uint8_t *at)
{
	typedef uint8_t bytes __attribute__((vector_size(ROUND_LANES)));
	typedef uint16_t halves __attribute__((vector_size(2 * ROUND_LANES)));
	typedef uint32_t words __attribute__((vector_size(4 * ROUND_LANES)));
	const uint32_t width = QUIRE_FORMAT_BITS(format);
	const uint64_t s = QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT ? 1ull << (width - 1) : 0;

	for (int i = 0; i < ROUND_RUN; i += ROUND_LANES) {
		round_lanes x = (*(const round_lanes *)(bits + i) ^ s) - s;

		if (width <= 8) {
			bytes y = __builtin_convertvector(x, bytes);

			memcpy(at + i, &y, sizeof(y));
		} else if (width <= 16) {
			halves y = __builtin_convertvector(x, halves);

			memcpy(at + i * 2, &y, sizeof(y));
		} else if (width <= 32) {
			words y = __builtin_convertvector(x, words);

			memcpy(at + i * 4, &y, sizeof(y));
		} else {
			memcpy(at + i * 8, &x, sizeof(x));
		}
	}
}

static inline uint64_t round_digest(uint32_t format, uint32_t count, const uint64_t *bits,
				    uint64_t index)
{
	uint64_t digest = 0;

	for (uint32_t i = 0; i < count; i++)
		digest += gemm_digest_element(format, index + i, bits[i]);
	return digest;
}

/* The same of a whole run. */
static inline uint64_t round_digest_run(uint32_t format, const uint64_t *bits, uint64_t index)
{
#ifdef __AVX512F__
	return tally_sixteen(format, _mm512_loadu_si512(bits), _mm512_loadu_si512(bits + 8), index);
#else
	return round_digest(format, ROUND_RUN, bits, index);
#endif
}

#endif /* QUIRE_ROUND_TEMPLATE_H */
