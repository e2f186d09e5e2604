/* SPDX-License-Identifier: MIT */
/*
 * Decoding and measuring (pack_template.h) with AVX-512: eight lanes at a time,
 * so that a vector holds one k of eight lanes, and what is learnt of the lanes stays
 * in registers.
 */
#ifndef QUIRE_PACK_AVX512_H
#define QUIRE_PACK_AVX512_H

#include <immintrin.h>

#include "gemm_internal.h"
#include "last_bits_avx512.h"

/*
 * Across k a panel takes a few cache lines of each row, often a page of memory from one to the next,
 * which the hardware's prefetch does not follow: so rows are asked for this many k's ahead.
 */
#define PACK_AHEAD 24

/* A prefetch never faults, and its address may be anything. */
static inline void pack_ask(const uint8_t *data, uint64_t further)
{
	_mm_prefetch((const char *)((uintptr_t)data + further), _MM_HINT_T0);
}

/* 64 bytes from first on of data, which has count; 0 behind them, where nothing is read. */
static inline __m512i pack_row_bytes(const uint8_t *data, uint32_t count, uint32_t first)
{
	const uint32_t left = count > first ? count - first : 0;
	const __mmask64 mask = left >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;

	return _mm512_maskz_loadu_epi8(mask, data + first);
}

/* Sixteen elements as doubles, in order. */
struct pack_sixteen {
	__m512d first, second;
};

/*
 * Of posits left-aligned in 32 bits: the regime by counting the leading zeros of its run, and
 * exponent and fraction behind it, left-aligned.
 */
struct pack_regime {
	__m512i regime, rest;
};

static inline __attribute__((always_inline)) struct pack_regime pack_posit_regime(__m512i left)
{
	const __m512i one = _mm512_set1_epi32(1);
	__m512i twice = _mm512_slli_epi32(_mm512_abs_epi32(left), 1);
	__m512i ones = _mm512_srai_epi32(twice, 31);
	/* 0xbe is (a xor b) or c */
	__m512i less = _mm512_sub_epi32(_mm512_lzcnt_epi32(_mm512_ternarylogic_epi32(twice, ones, one,
										     0xbe)), one);

	return (struct pack_regime){
		/* run - 1 for ones, -run = ~(run - 1) for zeros: 0xc3 is not (a xor b) */
		_mm512_ternarylogic_epi32(less, ones, ones, 0xc3),
		/* a shift of 32 or more gives 0 */
		_mm512_sllv_epi32(twice, _mm512_add_epi32(less, _mm512_set1_epi32(2))),
	};
}

/*
 * The same posits as doubles, as pack_posit() of pack_template.h.  The double's words are
 *	upper	sign, 1023 + 4 * regime + e, the 20 leading fraction bits
 *	lower	the other 10 fraction bits
 * rest >> 10 beside the regime puts e and the fraction in place.
 */
static inline __attribute__((always_inline)) struct pack_sixteen pack_posit_sixteen(__m512i left)
{
	__mmask16 some = _mm512_test_epi32_mask(left, left);
	__mmask16 nar = _mm512_cmpeq_epi32_mask(left, _mm512_set1_epi32((int)0x80000000u));
	const struct pack_regime r = pack_posit_regime(left);
	__m512i upper, lower;

	upper = _mm512_shldi_epi32(r.regime, r.rest, 22);
	upper = _mm512_add_epi32(upper, _mm512_set1_epi32(1023 << 20));
	/* the sign from left: 0xf8 is a or (b and c) */
	upper = _mm512_ternarylogic_epi32(upper, left, _mm512_set1_epi32((int)0x80000000u), 0xf8);
	upper = _mm512_maskz_mov_epi32(some, upper);
	upper = _mm512_mask_mov_epi32(upper, nar, _mm512_set1_epi32(0x7ff80000));
	lower = _mm512_maskz_slli_epi32(some, r.rest, 22);
	return (struct pack_sixteen){
		_mm512_castsi512_pd(_mm512_permutex2var_epi32(lower, _mm512_set_epi32(
			23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0), upper)),
		_mm512_castsi512_pd(_mm512_permutex2var_epi32(lower, _mm512_set_epi32(
			31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8), upper)),
	};
}

static inline __attribute__((always_inline)) struct pack_sixteen pack_fp32_sixteen(__m512i words)
{
	__m512 x = _mm512_castsi512_ps(words);

	return (struct pack_sixteen){ _mm512_cvtps_pd(_mm512_castps512_ps256(x)),
				      _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)) };
}

/*
 * A format of few bits whose magnitude, shifted by up into FP32's fields, is too
 * small by a power of two, which makes its subnormals right too.  Patterns of the
 * magnitude above finite are infinite (the next one, if there is an infinity) or NaN.
 */
static inline struct pack_sixteen pack_small_sixteen(__m512i words, uint32_t bits, int up,
						     double power, uint32_t finite, bool infinity)
{
	__m512i magnitude = _mm512_and_si512(words, _mm512_set1_epi32((1 << (bits - 1)) - 1));
	__m512i sign = _mm512_slli_epi32(_mm512_srli_epi32(words, bits - 1), 31);
	struct pack_sixteen x = pack_fp32_sixteen(_mm512_or_si512(_mm512_sll_epi32(magnitude,
						  _mm_cvtsi32_si128(up)), sign));
	__mmask16 over = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32((int)finite));
	__mmask16 nan = infinity ? _mm512_cmpgt_epi32_mask(magnitude,
							   _mm512_set1_epi32((int)finite + 1)) : over;
	const __m512d inf = _mm512_set1_pd((double)INFINITY), quiet = _mm512_set1_pd((double)NAN);

	x.first = _mm512_mul_pd(x.first, _mm512_set1_pd(power));
	x.second = _mm512_mul_pd(x.second, _mm512_set1_pd(power));
	x.first = _mm512_mask_mul_pd(x.first, (__mmask8)over, x.first, inf);
	x.second = _mm512_mask_mul_pd(x.second, (__mmask8)(over >> 8), x.second, inf);
	x.first = _mm512_mask_mov_pd(x.first, (__mmask8)nan, quiet);
	x.second = _mm512_mask_mov_pd(x.second, (__mmask8)(nan >> 8), quiet);
	return x;
}

/* Up to sixteen contiguous elements as words; those beyond count are 0. */
static inline __m512i pack_load_words(uint32_t format, const uint8_t *data, uint32_t count)
{
	const __mmask16 mask = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
	const uint32_t bits = QUIRE_FORMAT_BITS(format);

	if (bits <= 8)
		return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, data));
	if (bits <= 16)
		return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, data));
	return _mm512_maskz_loadu_epi32(mask, data);
}

/* The numbers of such words, of MXFP8 without their scales. */
static inline __attribute__((always_inline)) struct pack_sixteen
pack_decode_words(uint32_t format, __m512i words)
{
	const uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_BF16:
		return pack_fp32_sixteen(_mm512_slli_epi32(words, 16));
	case QUIRE_FORMAT_FP32:
		return pack_fp32_sixteen(words);
	case QUIRE_FORMAT_FP16:
		return pack_small_sixteen(words, 16, 13, 0x1p112, 0x7bff, true);
	case QUIRE_FORMAT_E5M2:
		return pack_small_sixteen(words, 8, 21, 0x1p112, 0x7b, true);
	case QUIRE_FORMAT_E4M3:
	case QUIRE_FORMAT_MXFP8:
		return pack_small_sixteen(words, 8, 20, 0x1p120, 0x7e, false);
	case QUIRE_FORMAT_INT8:
		words = _mm512_srai_epi32(_mm512_slli_epi32(words, 24), 24);
		return (struct pack_sixteen){
			_mm512_cvtepi32_pd(_mm512_castsi512_si256(words)),
			_mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(words, 1)) };
	}
	return pack_posit_sixteen(_mm512_sll_epi32(words, _mm_cvtsi32_si128((int)(32 - bits))));
}

/*
 * Up to sixteen elements of a row from element first on, a multiple of 16, or of 8 with at most
 * 8 of them, so that they lie in one block of MXFP8; its scale.  With count 0 nothing is read.
 */
static inline __attribute__((always_inline)) __m512i
pack_words_of_row(uint32_t format, const uint8_t *row, uint64_t first, uint32_t element,
		  uint32_t count, uint64_t *scale)
{
	const uint8_t *block;

	if (format != QUIRE_FORMAT_MXFP8)
		return pack_load_words(format, row + first * element, count);
	block = row + first / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;
	*scale = count ? gemm_mx_scale(block[0]) : 0;
	return pack_load_words(format, block + 1 + first % QUIRE_MX_ELEMENTS, count);
}

/* Their numbers. */
static inline __attribute__((always_inline)) struct pack_sixteen
pack_load_of_row(uint32_t format, const uint8_t *row, uint64_t first, uint32_t element, uint32_t count)
{
	uint64_t scale = 0;
	struct pack_sixteen x = pack_decode_words(format, pack_words_of_row(format, row, first, element,
									    count, &scale));

	if (format == QUIRE_FORMAT_MXFP8) {
		const __m512d by = _mm512_castsi512_pd(_mm512_set1_epi64((int64_t)scale));

		x.first = _mm512_mul_pd(x.first, by);
		x.second = _mm512_mul_pd(x.second, by);
	}
	return x;
}

/* struct pack_range of eight lanes; last is one less, so that of 0 is the largest. */
struct pack_eight {
	__m512i most, last;
	__m512d squares;
};

/*
 * The weight of the last set bit is x - (x & (x - 1)) on patterns.  For a power of
 * two, which has no fraction bit to clear, that takes a bit from the exponent and
 * yields half of it, or a little less than it: the pattern's exponent is then one
 * too low, which is as good a unit.  The elements' codes go to codes + at, unless
 * there are none.
 */
static inline __attribute__((always_inline)) void pack_see(struct pack_eight *range, __m512d x,
							   uint8_t *codes, size_t at)
{
	const __m512i less = _mm512_set1_epi64(-1);
	__m512i magnitude = _mm512_castpd_si512(_mm512_abs_pd(x));
	__m512i without = _mm512_and_si512(magnitude, _mm512_add_epi64(magnitude, less));
	__m512i last = _mm512_castpd_si512(_mm512_sub_pd(_mm512_castsi512_pd(magnitude),
							 _mm512_castsi512_pd(without)));

	range->most = _mm512_max_epu64(range->most, magnitude);
	last = _mm512_add_epi64(last, less);
	if (codes)
		cut_put_eight(codes + at, last);
	range->last = _mm512_min_epu64(range->last, last);
	range->squares = _mm512_fmadd_pd(x, x, range->squares);
}

/* The least pattern of a last bit, infinity if all numbers are 0. */
static inline __m512i pack_last(const struct pack_eight *range)
{
	__m512i last = _mm512_add_epi64(range->last, _mm512_set1_epi64(1));

	return _mm512_mask_mov_epi64(last, _mm512_testn_epi64_mask(last, last),
				     _mm512_set1_epi64(0x7ff0000000000000));
}

/* Words j and j + 4 of eight rows, at row[j]; words j + 4 and j + 8 from j = 4 on. */
static inline __attribute__((always_inline)) void pack_transpose(__m512i row[8])
{
	const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
	const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
	__m512i pair[8], quad[8];

#pragma GCC unroll 4
	for (int i = 0; i < 8; i += 2) {
		pair[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
		pair[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
	}
	/* quad[c] and quad[c + 4]: words c, c + 4, c + 8, c + 12 of rows 0..3 and 4..7 */
#pragma GCC unroll 2
	for (int i = 0; i < 8; i += 4) {
		quad[i] = _mm512_unpacklo_epi64(pair[i], pair[i + 2]);
		quad[i + 1] = _mm512_unpackhi_epi64(pair[i], pair[i + 2]);
		quad[i + 2] = _mm512_unpacklo_epi64(pair[i + 1], pair[i + 3]);
		quad[i + 3] = _mm512_unpackhi_epi64(pair[i + 1], pair[i + 3]);
	}
#pragma GCC unroll 4
	for (int c = 0; c < 4; c++) {
		row[c] = _mm512_permutex2var_epi64(quad[c], first, quad[c + 4]);
		row[c + 4] = _mm512_permutex2var_epi64(quad[c], second, quad[c + 4]);
	}
}

/* Eight lanes (used of them real) where k runs along memory, from k on; data: lane 0's row. */
static inline __attribute__((always_inline)) void
pack_eight_along_k(uint64_t *out, uint32_t lanes, const uint8_t *data, uint32_t format,
		   uint64_t pitch, const uint32_t *lane, uint32_t element, uint32_t used,
		   uint64_t k, uint32_t kc, struct pack_eight *range, uint8_t *codes)
{
	const uint32_t group = cut_group(lanes);
	const uint8_t *row[8];

	for (uint32_t l = 0; l < 8; l++)
		row[l] = data + lane[l < used ? l : 0] * pitch;
	for (uint32_t i = 0; i < kc; i += 16) {
		uint32_t count = kc - i < 16 ? kc - i : 16;
		_Alignas(64) uint64_t scale[8];
		__m512i words[8];

#pragma GCC unroll 8
		for (uint32_t l = 0; l < 8; l++)
			words[l] = pack_words_of_row(format, row[l], k + i, element,
						     l < used ? count : 0, &scale[l]);
		pack_transpose(words);
#pragma GCC unroll 8
		for (uint32_t j = 0; j < 8; j++) {
			struct pack_sixteen x = pack_decode_words(format, words[j]);
			const uint32_t step = j + (j & 4);
			uint64_t *to = out + (size_t)(i + step) * lanes;

			if (format == QUIRE_FORMAT_MXFP8) {
				x.first = _mm512_mul_pd(x.first, _mm512_load_pd((double *)scale));
				x.second = _mm512_mul_pd(x.second, _mm512_load_pd((double *)scale));
			}
			if (range && step < count)
				pack_see(range, x.first, codes, (size_t)(i + step) * group);
			if (range && step + 4 < count)
				pack_see(range, x.second, codes, (size_t)(i + step + 4) * group);
			if (step < count)
				_mm512_store_pd((double *)to, x.first);
			if (step + 4 < count)
				_mm512_store_pd((double *)(to + 4 * (size_t)lanes), x.second);
		}
	}
}

/* Sixteen lanes from lane on that lie side by side in memory; data: the first k's row. */
static inline __attribute__((always_inline)) void
pack_sixteen_across_k(uint64_t *out, uint32_t lanes, const uint8_t *data, uint32_t format,
		      uint64_t pitch, uint64_t lane, uint32_t element, uint32_t used, uint32_t kc,
		      struct pack_eight range[2], uint8_t *codes)
{
	for (uint32_t i = 0; i < kc; i++, data += pitch, out += lanes) {
		struct pack_sixteen x = pack_load_of_row(format, data, lane, element, used);

		pack_ask(data + lane * element, PACK_AHEAD * pitch);
		if (range) {
			pack_see(&range[0], x.first, codes, (size_t)i * 16);
			pack_see(&range[1], x.second, codes, (size_t)i * 16 + 8);
		}
		_mm512_store_pd((double *)out, x.first);
		_mm512_store_pd((double *)(out + 8), x.second);
	}
}

/* Eight lanes of the same, two k's at a time. */
static inline __attribute__((always_inline)) void
pack_eight_across_k(uint64_t *out, uint32_t lanes, const uint8_t *data, uint32_t format,
		    uint64_t pitch, uint64_t lane, uint32_t element, uint32_t used, uint32_t kc,
		    struct pack_eight *range, uint8_t *codes)
{
	for (uint32_t i = 0; i < kc; i += 2, data += 2 * pitch, out += 2 * (size_t)lanes) {
		const bool two = i + 1 < kc;
		uint64_t scale[2] = { 0, 0 };
		__m512i words = pack_words_of_row(format, data, lane, element, used, &scale[0]);
		__m512i next = pack_words_of_row(format, data + (two ? pitch : 0), lane, element,
						 two ? used : 0, &scale[1]);
		struct pack_sixteen x;

		pack_ask(data + lane * element, PACK_AHEAD * pitch);
		pack_ask(data + lane * element, (PACK_AHEAD + 1) * pitch);
		words = _mm512_inserti64x4(words, _mm512_castsi512_si256(next), 1);
		x = pack_decode_words(format, words);
		if (format == QUIRE_FORMAT_MXFP8) {
			x.first = _mm512_mul_pd(x.first, _mm512_castsi512_pd(_mm512_set1_epi64(
									(int64_t)scale[0])));
			x.second = _mm512_mul_pd(x.second, _mm512_castsi512_pd(_mm512_set1_epi64(
									(int64_t)scale[1])));
		}
		if (range) {
			pack_see(range, x.first, codes, (size_t)i * cut_group(lanes));
			pack_see(range, x.second, codes, (size_t)(i + 1) * cut_group(lanes));
		}
		_mm512_store_pd((double *)out, x.first);
		if (two)
			_mm512_store_pd((double *)(out + lanes), x.second);
	}
}

#endif /* QUIRE_PACK_AVX512_H */
