/* SPDX-License-Identifier: MIT */
/*
 * Elements to elements of another format with AVX-512, sixteen at a time and a piece of
 * 1024 at a time, which stays in the first-level cache between its steps:
 *
 *	words	FP32 patterns: sources that FP32 holds exactly (all but FP64, MXFP8 and posits
 *		of more than 28 bits, which have more than 24 significant bits) without a factor
 *	doubles	all others.  Rounded "to odd" to FP32, with its last bit set when anything
 *		was lost, for formats of at most 11 significant bits: no decision of theirs
 *		lies on an odd pattern, so the second rounding decides as one alone would.
 */
#ifndef QUIRE_CONVERT_AVX512_H
#define QUIRE_CONVERT_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#include "gemm_internal.h"
#include "pack_avx512.h"
#include "tally_avx512.h"

#define CONVERT_PIECE 1024u
#define CONVERT_NAN 0x7fc00000
#define CONVERT_INLINE static inline __attribute__((always_inline))

/* ---- Containers ---- */

CONVERT_INLINE __m512i convert_load(const uint8_t *at, uint32_t bytes, uint32_t count)
{
	const __mmask16 mask = (__mmask16)((1u << count) - 1);

	if (bytes == 1)
		return _mm512_cvtepu8_epi32(count == 16 ? _mm_loadu_si128((const __m128i_u *)at) :
							  _mm_maskz_loadu_epi8(mask, at));
	if (bytes == 2)
		return _mm512_cvtepu16_epi32(count == 16 ? _mm256_loadu_si256((const __m256i_u *)at) :
							   _mm256_maskz_loadu_epi16(mask, at));
	return count == 16 ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi32(mask, at);
}

CONVERT_INLINE void convert_store(uint8_t *at, uint32_t bytes, __m512i x, uint32_t count)
{
	const __mmask16 mask = (__mmask16)((1u << count) - 1);

	if (bytes == 1) {
		__m128i y = _mm512_cvtepi32_epi8(x);

		if (count == 16)
			_mm_storeu_si128((__m128i_u *)at, y);
		else
			_mm_mask_storeu_epi8(at, mask, y);
	} else if (bytes == 2) {
		__m256i y = _mm512_cvtepi32_epi16(x);

		if (count == 16)
			_mm256_storeu_si256((__m256i_u *)at, y);
		else
			_mm256_mask_storeu_epi16(at, mask, y);
	} else if (count == 16) {
		_mm512_storeu_si512(at, x);
	} else {
		_mm512_mask_storeu_epi32(at, mask, x);
	}
}

CONVERT_INLINE void convert_store_doubles(uint8_t *at, __m512d low, __m512d high, uint32_t count)
{
	const __mmask16 mask = (__mmask16)((1u << count) - 1);

	_mm512_mask_storeu_pd(at, (__mmask8)mask, low);
	_mm512_mask_storeu_pd(at + 64, (__mmask8)(mask >> 8), high);
}

/* ---- To FP32 patterns ---- */

CONVERT_INLINE __m512i convert_quiet(__m512i x)
{
	const __m512 f = _mm512_castsi512_ps(x);

	return _mm512_mask_mov_epi32(x, _mm512_cmp_ps_mask(f, f, _CMP_UNORD_Q),
				     _mm512_set1_epi32(CONVERT_NAN));
}

/*
 * Posits in the low bits, see pack_posit().  The regime's run is that of leading zeros once the
 * sign is shifted out and a run of ones inverted; 32 for zero and NaR, which are put right at
 * the end.  Behind it are two exponent and up to 27 fraction bits: rest >> 7 has them in FP32's
 * place.  Posits of more than 28 bits round, to nearest even; a carry moves on into the exponent.
 * The range of posits lies within FP32's normal one.
 */
CONVERT_INLINE __m512i convert_posit_to_word(__m512i x, uint32_t bits, bool round)
{
	const __m512i sign = _mm512_set1_epi32((int)0x80000000u), one = _mm512_set1_epi32(1);
	const __m512i left = _mm512_sll_epi32(x, _mm_cvtsi32_si128((int)(32 - bits)));
	const __m512i magnitude = _mm512_abs_epi32(left), body = _mm512_add_epi32(magnitude, magnitude);
	const __m512i ones = _mm512_srai_epi32(body, 31);
	const __m512i run = _mm512_lzcnt_epi32(_mm512_xor_si512(body, ones));
	/* run - 1 for ones, -run = ~(run - 1) for zeros: 0xc3 is not (a xor b) */
	const __m512i regime = _mm512_ternarylogic_epi32(_mm512_sub_epi32(run, one), ones, ones, 0xc3);
	const __m512i rest = _mm512_sllv_epi32(_mm512_slli_epi32(magnitude, 2), run);
	__m512i word = _mm512_add_epi32(_mm512_slli_epi32(regime, 25), _mm512_srli_epi32(rest, 7));

	if (round) {
		__m512i odd = _mm512_and_si512(_mm512_srli_epi32(rest, 7), one);
		__m512i lost = _mm512_and_si512(rest, _mm512_set1_epi32(0x7f));
		__mmask16 up = _mm512_cmpgt_epi32_mask(_mm512_add_epi32(lost, odd),
						       _mm512_set1_epi32(0x40));

		word = _mm512_mask_add_epi32(word, up, word, one);
	}
	word = _mm512_maskz_add_epi32(_mm512_test_epi32_mask(left, left), word,
				      _mm512_set1_epi32(127 << 23));
	/* 0xf8 is a or (b and c) */
	word = _mm512_ternarylogic_epi32(word, left, sign, 0xf8);
	return _mm512_mask_mov_epi32(word, _mm512_cmpeq_epi32_mask(left, sign),
				     _mm512_set1_epi32(CONVERT_NAN));
}

CONVERT_INLINE __m512i convert_e4m3_to_word(__m512i x)
{
	const __m512i magnitude = _mm512_and_si512(x, _mm512_set1_epi32(0x7f));
	/* in FP32's fields the exponent is 120 too small, also of a subnormal */
	const __m512 small = _mm512_castsi512_ps(_mm512_slli_epi32(magnitude, 20));
	__m512i word = _mm512_castps_si512(_mm512_mul_ps(small, _mm512_set1_ps(0x1p120f)));

	word = _mm512_ternarylogic_epi32(word, _mm512_slli_epi32(x, 24),
					 _mm512_set1_epi32((int)0x80000000u), 0xf8);
	return _mm512_mask_mov_epi32(word, _mm512_cmpeq_epi32_mask(magnitude, _mm512_set1_epi32(0x7f)),
				     _mm512_set1_epi32(CONVERT_NAN));
}

/* kind: a format, or QUIRE_FORMAT_POSIT32 for posits that round */
CONVERT_INLINE __m512i convert_to_word(uint32_t kind, __m512i x, uint32_t bits)
{
	switch (kind) {
	case QUIRE_FORMAT_BF16:
		return convert_quiet(_mm512_slli_epi32(x, 16));
	case QUIRE_FORMAT_FP16:
		return convert_quiet(_mm512_castps_si512(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(x))));
	case QUIRE_FORMAT_E5M2:
		return convert_quiet(_mm512_castps_si512(
			_mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_slli_epi32(x, 8)))));
	case QUIRE_FORMAT_E4M3:
		return convert_e4m3_to_word(x);
	case QUIRE_FORMAT_INT8:
		return _mm512_castps_si512(_mm512_cvtepi32_ps(
			_mm512_srai_epi32(_mm512_slli_epi32(x, 24), 24)));
	case QUIRE_FORMAT_FP32:
		return convert_quiet(x);
	}
	return convert_posit_to_word(x, bits, kind == QUIRE_FORMAT_POSIT32);
}

CONVERT_INLINE void convert_run_to_words(uint32_t kind, uint32_t bytes, uint32_t bits,
					 const uint8_t *in, uint32_t count, uint8_t *words)
{
	uint32_t i = 0;

	for (; i + 16 <= count; i += 16)
		convert_store(words + (size_t)i * 4, 4,
			      convert_to_word(kind, convert_load(in + (size_t)i * bytes, bytes, 16), bits),
			      16);
	if (i < count)
		convert_store(words + (size_t)i * 4, 4,
			      convert_to_word(kind, convert_load(in + (size_t)i * bytes, bytes, count - i),
					      bits),
			      count - i);
}

static void convert_to_words(uint32_t format, const uint8_t *in, uint32_t count, uint8_t *words)
{
	const uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_BF16:
		convert_run_to_words(QUIRE_FORMAT_BF16, 2, 16, in, count, words);
		return;
	case QUIRE_FORMAT_FP16:
		convert_run_to_words(QUIRE_FORMAT_FP16, 2, 16, in, count, words);
		return;
	case QUIRE_FORMAT_FP32:
		convert_run_to_words(QUIRE_FORMAT_FP32, 4, 32, in, count, words);
		return;
	case QUIRE_FORMAT_E4M3:
		convert_run_to_words(QUIRE_FORMAT_E4M3, 1, 8, in, count, words);
		return;
	case QUIRE_FORMAT_E5M2:
		convert_run_to_words(QUIRE_FORMAT_E5M2, 1, 8, in, count, words);
		return;
	case QUIRE_FORMAT_INT8:
		convert_run_to_words(QUIRE_FORMAT_INT8, 1, 8, in, count, words);
		return;
	}
	if (bits <= 8)
		convert_run_to_words(QUIRE_FORMAT_POSIT8, 1, bits, in, count, words);
	else if (bits <= 16)
		convert_run_to_words(QUIRE_FORMAT_POSIT16, 2, bits, in, count, words);
	else if (bits <= 28)
		convert_run_to_words(QUIRE_FORMAT_POSIT(28), 4, bits, in, count, words);
	else
		convert_run_to_words(QUIRE_FORMAT_POSIT32, 4, bits, in, count, words);
}

/* ---- From FP32 patterns ---- */

/*
 * Posits from magnitudes, see round_posit().  u holds 4 * regime + exponent + a multiple of
 * 128 above the lowest fraction_bits bits, with bit 30 set when the regime is not negative;
 * string is "e f" in the lower 30 bits with anything above; lost tells of bits below it.
 * Magnitudes lie between the smallest and the largest posit, so neither the rounding nor a shift
 * (of at most 30) goes too far: the largest one's string is q ones and zeros, and what is lost
 * behind it is less than a half.
 */
CONVERT_INLINE __m512i convert_round_posit(__m512i u, uint32_t fraction_bits, __m512i string,
					   __mmask16 lost, uint32_t bits)
{
	const __m512i one = _mm512_set1_epi32(1);
	const __m128i drop = _mm_cvtsi32_si128((int)(33 - bits));
	const __m512i large = _mm512_srai_epi32(_mm512_add_epi32(u, u), 31);
	/* r, or -r - 1 = ~r when r is negative: 0x82 is not (a xor b), and c */
	const __m512i shift = _mm512_ternarylogic_epi32(_mm512_srli_epi32(u, fraction_bits + 2), large,
							_mm512_set1_epi32(31), 0x82);
	__m512i moved, odd, q;

	/* "01 e f", or "10 e f" whose ones spread: 0xea is (a and b) or c */
	string = _mm512_ternarylogic_epi32(string, _mm512_set1_epi32(0x3fffffff),
					   _mm512_set1_epi32(0x40000000), 0xea);
	string = _mm512_xor_si512(string, _mm512_and_si512(large, _mm512_set1_epi32((int)0xc0000000u)));
	moved = _mm512_srav_epi32(string, shift);
	lost |= _mm512_cmpneq_epi32_mask(_mm512_sllv_epi32(moved, shift), string);
	/* up when the rest is above a half, or is a half and bits are lost or q is odd */
	odd = _mm512_and_si512(_mm512_srl_epi32(moved, drop), one);
	odd = _mm512_mask_mov_epi32(odd, lost, one);
	q = _mm512_add_epi32(moved, _mm512_set1_epi32((int)((1u << (32 - bits)) - 1)));
	return _mm512_srl_epi32(_mm512_add_epi32(q, odd), drop);
}

/* Signs, zeros and NaR to magnitudes of posits. */
CONVERT_INLINE __m512i convert_finish_posit(__m512i q, __mmask16 negative, __mmask16 some,
					    __mmask16 nar, uint32_t bits)
{
	q = _mm512_mask_sub_epi32(q, negative, _mm512_setzero_si512(), q);
	q = _mm512_maskz_mov_epi32(some, q);
	return _mm512_mask_mov_epi32(q, nar, _mm512_set1_epi32((int)(0xffffffffu << (bits - 1))));
}

CONVERT_INLINE __m512i convert_word_to_posit(__m512i x, uint32_t bits)
{
	const __m512i magnitude = _mm512_and_si512(x, _mm512_set1_epi32(0x7fffffff));
	const int most = 4 * (int)bits - 8;
	/* the field's bias is 3 modulo 4: with one more, a multiple of four */
	__m512i u = _mm512_add_epi32(magnitude, _mm512_set1_epi32(1 << 23));

	u = _mm512_min_epu32(u, _mm512_set1_epi32((128 + most) << 23));
	u = _mm512_max_epu32(u, _mm512_set1_epi32((128 - most) << 23));
	return convert_finish_posit(convert_round_posit(u, 23, _mm512_slli_epi32(u, 5), 0, bits),
				    _mm512_movepi32_mask(x),
				    _mm512_test_epi32_mask(magnitude, magnitude),
				    _mm512_cmpge_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000)),
				    bits);
}

/*
 * A format of few bits: normal numbers are rounded as integers; below 2^lowest, adding a
 * number whose last bit weighs as much as the subnormals' rounds them.  Patterns beyond limit
 * become limit.
 */
CONVERT_INLINE __m512i convert_number_to_small(__m512i x, int fraction, int lowest, int width, int limit)
{
	const __m512i magnitude = _mm512_and_si512(x, _mm512_set1_epi32(0x7fffffff));
	const __m512i add = _mm512_set1_epi32((23 - fraction + lowest + 127) << 23);
	const int drop = 23 - fraction;
	__m512i odd = _mm512_and_si512(_mm512_srli_epi32(magnitude, (unsigned int)drop),
				       _mm512_set1_epi32(1));
	/* the rounding's half and the other bias of the exponent at once */
	__m512i q = _mm512_add_epi32(magnitude, _mm512_set1_epi32((1 << (drop - 1)) - 1 -
								  ((lowest + 126) << 23)));
	__m512i subnormal;

	q = _mm512_srai_epi32(_mm512_add_epi32(q, odd), (unsigned int)drop);
	subnormal = _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(magnitude),
						      _mm512_castsi512_ps(add)));
	q = _mm512_mask_sub_epi32(q, _mm512_cmplt_epi32_mask(magnitude,
							     _mm512_set1_epi32((lowest + 127) << 23)),
				  subnormal, add);
	q = _mm512_min_epu32(q, _mm512_set1_epi32(limit));
	/* 0xf8 is a or (b and c) */
	return _mm512_ternarylogic_epi32(q, _mm512_srli_epi32(x, (unsigned int)(32 - width)),
					 _mm512_set1_epi32(1 << (width - 1)), 0xf8);
}

CONVERT_INLINE __m512i convert_word_to_small(__m512i x, int fraction, int lowest, int width,
					     int limit, int nan)
{
	const __m512 f = _mm512_castsi512_ps(x);

	return _mm512_mask_mov_epi32(convert_number_to_small(x, fraction, lowest, width, limit),
				     _mm512_cmp_ps_mask(f, f, _CMP_UNORD_Q), _mm512_set1_epi32(nan));
}

CONVERT_INLINE __m512i convert_word_to_bf16(__m512i x)
{
	const __m512 f = _mm512_castsi512_ps(x);
	__m512i odd = _mm512_and_si512(_mm512_srli_epi32(x, 16), _mm512_set1_epi32(1));
	__m512i q = _mm512_add_epi32(x, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));

	return _mm512_mask_mov_epi32(_mm512_srli_epi32(q, 16), _mm512_cmp_ps_mask(f, f, _CMP_UNORD_Q),
				     _mm512_set1_epi32(CONVERT_NAN >> 16));
}

CONVERT_INLINE __m512i convert_word_to_fp16(__m512i x)
{
	const __m512 f = _mm512_castsi512_ps(x);
	__m512i q = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT |
							     _MM_FROUND_NO_EXC));

	return _mm512_mask_mov_epi32(q, _mm512_cmp_ps_mask(f, f, _CMP_UNORD_Q),
				     _mm512_set1_epi32(0x7e00));
}

/* The minimum is the second operand when that is NaN; NaN and what is far below become INT_MIN. */
CONVERT_INLINE __m512i convert_word_to_int8(__m512i x)
{
	__m512 f = _mm512_min_ps(_mm512_set1_ps(127), _mm512_castsi512_ps(x));

	return _mm512_max_epi32(_mm512_cvtps_epi32(f), _mm512_set1_epi32(-128));
}

CONVERT_INLINE __m512i convert_from_word(uint32_t kind, __m512i x, uint32_t bits)
{
	switch (kind) {
	case QUIRE_FORMAT_BF16:
		return convert_word_to_bf16(x);
	case QUIRE_FORMAT_FP16:
		return convert_word_to_fp16(x);
	case QUIRE_FORMAT_E5M2:
		return convert_word_to_small(x, 2, -14, 8, 0x7c, 0x7e);
	case QUIRE_FORMAT_E4M3:
		return convert_word_to_small(x, 3, -6, 8, 0x7e, 0x7f);
	case QUIRE_FORMAT_INT8:
		return convert_word_to_int8(x);
	}
	return convert_word_to_posit(x, bits);
}

CONVERT_INLINE void convert_run_from_words(uint32_t kind, uint32_t bytes, uint32_t bits,
					   const uint8_t *words, uint32_t count, uint8_t *out)
{
	uint32_t i = 0;

	for (; i + 16 <= count; i += 16)
		convert_store(out + (size_t)i * bytes, bytes,
			      convert_from_word(kind, convert_load(words + (size_t)i * 4, 4, 16), bits),
			      16);
	if (i < count)
		convert_store(out + (size_t)i * bytes, bytes,
			      convert_from_word(kind, convert_load(words + (size_t)i * 4, 4, count - i),
						bits),
			      count - i);
}

static void convert_words_to_doubles(const uint8_t *words, uint32_t count, uint8_t *out)
{
	for (uint32_t i = 0; i < count; i += 16) {
		uint32_t here = count - i < 16 ? count - i : 16;
		struct pack_sixteen x = pack_fp32_sixteen(
			convert_quiet(convert_load(words + (size_t)i * 4, 4, here)));

		convert_store_doubles(out + (size_t)i * 8, x.first, x.second, here);
	}
}

static void convert_from_words(uint32_t format, const uint8_t *words, uint32_t count, uint8_t *out)
{
	const uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_BF16:
		convert_run_from_words(QUIRE_FORMAT_BF16, 2, 16, words, count, out);
		return;
	case QUIRE_FORMAT_FP16:
		convert_run_from_words(QUIRE_FORMAT_FP16, 2, 16, words, count, out);
		return;
	case QUIRE_FORMAT_FP64:
		convert_words_to_doubles(words, count, out);
		return;
	case QUIRE_FORMAT_E4M3:
		convert_run_from_words(QUIRE_FORMAT_E4M3, 1, 8, words, count, out);
		return;
	case QUIRE_FORMAT_E5M2:
		convert_run_from_words(QUIRE_FORMAT_E5M2, 1, 8, words, count, out);
		return;
	case QUIRE_FORMAT_INT8:
		convert_run_from_words(QUIRE_FORMAT_INT8, 1, 8, words, count, out);
		return;
	}
	if (bits <= 8)
		convert_run_from_words(QUIRE_FORMAT_POSIT8, 1, bits, words, count, out);
	else if (bits <= 16)
		convert_run_from_words(QUIRE_FORMAT_POSIT16, 2, bits, words, count, out);
	else
		convert_run_from_words(QUIRE_FORMAT_POSIT32, 4, bits, words, count, out);
}

/* ---- By way of doubles ---- */

/*
 * The product with a factor is exact: at most 28 and 24 significant bits, exponents within
 * -149..135 and -149..128.
 */
static void convert_to_doubles(const struct gemm_convert *c, const uint8_t *in, uint32_t count,
			       uint8_t *out)
{
	const uint32_t bytes = gemm_element_bytes(c->source_format);
	const __m512d factor = _mm512_set1_pd(c->factor);

	for (uint32_t i = 0; i < count; i += 16) {
		uint32_t here = count - i < 16 ? count - i : 16;
		struct pack_sixteen x = pack_load_of_row(c->source_format, in, i, bytes, here);

		convert_store_doubles(out + (size_t)i * 8, _mm512_mul_pd(x.first, factor),
				      _mm512_mul_pd(x.second, factor), here);
	}
}

CONVERT_INLINE struct pack_sixteen convert_load_doubles(const uint8_t *at, uint32_t count)
{
	const __mmask16 mask = (__mmask16)((1u << count) - 1);

	return (struct pack_sixteen){ _mm512_maskz_loadu_pd((__mmask8)mask, at),
				      _mm512_maskz_loadu_pd((__mmask8)(mask >> 8), at + 64) };
}

CONVERT_INLINE __m512i convert_join(__m256 low, __m256 high)
{
	return _mm512_castps_si512(_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
}

CONVERT_INLINE __m512i convert_narrow(struct pack_sixteen x)
{
	return convert_quiet(convert_join(_mm512_cvtpd_ps(x.first), _mm512_cvtpd_ps(x.second)));
}

/* What is beyond FP32's largest number becomes that, an odd pattern; infinities stay. */
CONVERT_INLINE __m512i convert_narrow_to_odd(struct pack_sixteen x)
{
	const int truncate = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
	__m256 low = _mm512_cvt_roundpd_ps(x.first, truncate);
	__m256 high = _mm512_cvt_roundpd_ps(x.second, truncate);
	__mmask8 low_lost = _mm512_cmp_pd_mask(_mm512_cvtps_pd(low), x.first, _CMP_NEQ_OQ);
	__mmask8 high_lost = _mm512_cmp_pd_mask(_mm512_cvtps_pd(high), x.second, _CMP_NEQ_OQ);
	__m512i word = convert_join(low, high);

	return _mm512_mask_or_epi32(word, (__mmask16)(low_lost | high_lost << 8), word,
				    _mm512_set1_epi32(1));
}

/*
 * From both halves of the patterns: the upper has 20 bits of the fraction, the lower gives 8
 * more and the lost ones.
 */
CONVERT_INLINE __m512i convert_doubles_to_posit(struct pack_sixteen x, uint32_t bits)
{
	const __m512i first = _mm512_castpd_si512(x.first), second = _mm512_castpd_si512(x.second);
	const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
	const __m512i lower = _mm512_permutex2var_epi32(first, even, second);
	const __m512i upper = _mm512_permutex2var_epi32(
		first, _mm512_add_epi32(even, _mm512_set1_epi32(1)), second);
	const __m512i magnitude = _mm512_and_si512(upper, _mm512_set1_epi32(0x7fffffff));
	const __mmask16 nar = _mm512_cmpge_epi32_mask(magnitude, _mm512_set1_epi32(0x7ff00000));
	const int most = 4 * (int)bits - 8;
	__m512i u = _mm512_add_epi32(magnitude, _mm512_set1_epi32(1 << 20)), string, q;

	u = _mm512_min_epu32(u, _mm512_set1_epi32((1024 + most) << 20));
	u = _mm512_max_epu32(u, _mm512_set1_epi32((1024 - most) << 20));
	string = _mm512_or_si512(_mm512_slli_epi32(u, 8), _mm512_srli_epi32(lower, 24));
	q = convert_round_posit(u, 20, string,
				_mm512_test_epi32_mask(lower, _mm512_set1_epi32(0xffffff)), bits);
	return convert_finish_posit(q, _mm512_movepi32_mask(upper),
				    _mm512_test_epi32_mask(magnitude, magnitude) |
				    _mm512_test_epi32_mask(lower, lower), nar, bits);
}

CONVERT_INLINE __m512d convert_quiet_double(__m512d x)
{
	return _mm512_mask_mov_pd(x, _mm512_cmp_pd_mask(x, x, _CMP_UNORD_Q),
				  _mm512_castsi512_pd(_mm512_set1_epi64(0x7ff8000000000000ll)));
}

static void convert_from_doubles(uint32_t format, const uint8_t *doubles, uint32_t count,
				 uint8_t *out)
{
	const uint32_t bits = QUIRE_FORMAT_BITS(format), bytes = gemm_element_bytes(format);
	const bool posit = QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT;
	_Alignas(64) uint8_t words[CONVERT_PIECE * 4];

	for (uint32_t i = 0; i < count; i += 16) {
		uint32_t here = count - i < 16 ? count - i : 16;
		struct pack_sixteen x = convert_load_doubles(doubles + (size_t)i * 8, here);
		uint8_t *at = out + (size_t)i * bytes;

		if (format == QUIRE_FORMAT_FP64)
			convert_store_doubles(at, convert_quiet_double(x.first),
					      convert_quiet_double(x.second), here);
		else if (format == QUIRE_FORMAT_FP32)
			convert_store(at, 4, convert_narrow(x), here);
		else if (posit)
			convert_store(at, bytes, convert_doubles_to_posit(x, bits), here);
		else
			convert_store(words + (size_t)i * 4, 4, convert_narrow_to_odd(x), 16);
	}
	if (format != QUIRE_FORMAT_FP64 && format != QUIRE_FORMAT_FP32 && !posit)
		convert_from_words(format, words, count, out);
}

/*
 * A row of blocks of MXFP8 to FP32 patterns.  A product with the scale, 4 significant bits
 * from 2^-136 on, is exact in FP32 or overflows to infinity, which is its rounding.
 */
static void convert_mx_to_words(const uint8_t *in, uint32_t count, uint8_t *words)
{
	for (uint32_t i = 0; i < count; i += 16, words += 64) {
		const uint8_t *block = in + i / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;
		/* 2^-127, a subnormal number, is that of scale 0; NaN is as in any other format */
		const int scale = block[0] == QUIRE_MX_SCALE_NAN ? CONVERT_NAN :
				  block[0] ? block[0] << 23 : 1 << 22;
		__m512i x = convert_e4m3_to_word(convert_load(block + 1 + i % QUIRE_MX_ELEMENTS, 1, 16));

		x = _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(x),
						      _mm512_castsi512_ps(_mm512_set1_epi32(scale))));
		convert_store(words, 4, x, count - i < 16 ? count - i : 16);
	}
}

/* ---- A piece ---- */

/* Whether factor * source is more than FP32 holds exactly. */
static bool convert_needs_doubles(const struct gemm_convert *c)
{
	const uint32_t from = c->source_format;

	return c->factor != 1 || from == QUIRE_FORMAT_FP64 || from == QUIRE_FORMAT_MXFP8 ||
	       (QUIRE_FORMAT_KIND(from) == QUIRE_KIND_POSIT && QUIRE_FORMAT_BITS(from) > 28);
}

static void convert_piece(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
			  uint8_t *out)
{
	const uint32_t from = c->source_format, to = c->destination_format;
	/* convert_to_words() rounds posits to FP32 */
	const bool rounds = QUIRE_FORMAT_KIND(from) == QUIRE_KIND_POSIT && to == QUIRE_FORMAT_FP32;
	_Alignas(64) uint8_t middle[CONVERT_PIECE * 8];

	if (from == QUIRE_FORMAT_MXFP8 && to == QUIRE_FORMAT_FP32 && c->factor == 1) {
		convert_mx_to_words(in, count, out);
	} else if (convert_needs_doubles(c) && !(rounds && c->factor == 1)) {
		if (from != QUIRE_FORMAT_FP64)
			convert_to_doubles(c, in, count, middle);
		convert_from_doubles(to, from == QUIRE_FORMAT_FP64 ? in : middle, count, out);
	} else if (to == QUIRE_FORMAT_FP32) {
		convert_to_words(from, in, count, out);
	} else {
		if (from != QUIRE_FORMAT_FP32)
			convert_to_words(from, in, count, middle);
		convert_from_words(to, from == QUIRE_FORMAT_FP32 ? in : middle, count, out);
	}
}

/* See struct gemm_kernel. */
static void convert_elements(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
			     uint8_t *out, uint64_t index, struct gemm_tally *tally)
{
	const uint32_t to = gemm_element_bytes(c->destination_format);

	for (uint32_t i = 0; i < count; i += CONVERT_PIECE) {
		uint32_t here = count - i < CONVERT_PIECE ? count - i : CONVERT_PIECE;
		uint8_t *at = out + (size_t)i * to;

		convert_piece(c, here, in + gemm_offset(c->source_format, i), at);
		if (tally)
			tally_elements(c->destination_format, here, at, index + i, tally);
	}
}

#endif /* QUIRE_CONVERT_AVX512_H */
