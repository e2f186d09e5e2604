/* SPDX-License-Identifier: MIT */
/*
 * Elements to blocks of MXFP8 with AVX-512, see convert_mx.h: half a block at a time, from
 * FP32 patterns where those hold the source exactly and there is no factor, else from doubles.
 *
 * Over the scale a number is below 2^9 (of FP32) or as large as it likes (of doubles, where E8M0
 * ends); what falls below the range of either type is far below half of the smallest element.
 */
#ifndef QUIRE_CONVERT_MX_AVX512_H
#define QUIRE_CONVERT_MX_AVX512_H

#include "convert_avx512.h"

/* FP32 patterns of 16 numbers over the scale, and which of them are finite, to elements. */
CONVERT_INLINE void convert_mx_store(__m512i words, __mmask16 finite, uint8_t *at)
{
	const __m512i nan = _mm512_set1_epi32(0x7f);
	__m512i q = convert_number_to_small(words, 3, -6, 8, 0x7e);

	convert_store(at, 1, _mm512_mask_mov_epi32(nan, finite, q), 16);
}

CONVERT_INLINE __m512i convert_mx_over(__m512i words, __m512i inverse)
{
	return _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(words),
						 _mm512_castsi512_ps(inverse)));
}

/* The largest of sixteen words, in each of them: where the scale is worked out as well. */
CONVERT_INLINE __m512i convert_mx_most(__m512i x)
{
	x = _mm512_max_epu32(x, _mm512_shuffle_i64x2(x, x, 0x4e));
	x = _mm512_max_epu32(x, _mm512_shuffle_i64x2(x, x, 0xb1));
	x = _mm512_max_epu32(x, _mm512_shuffle_epi32(x, _MM_PERM_BADC));
	return _mm512_max_epu32(x, _mm512_shuffle_epi32(x, _MM_PERM_CDAB));
}

/* Up to 32 words to a block; how many of them are not finite. */
CONVERT_INLINE uint32_t convert_mx_words(const uint8_t *words, uint32_t count, uint8_t *block)
{
	const __m512i infinity = _mm512_set1_epi32(0x7f800000), own = _mm512_set1_epi32(0x7fffffff);
	const uint32_t half = count < 16 ? count : 16;
	__m512i first = convert_load(words, 4, half), second = convert_load(words + 64, 4, count - half);
	__m512i low = _mm512_and_si512(first, own), high = _mm512_and_si512(second, own);
	__mmask16 low_finite = _mm512_cmplt_epi32_mask(low, infinity);
	__mmask16 high_finite = _mm512_cmplt_epi32_mask(high, infinity);
	__m512i scale, inverse;

	/* gemm_mx_scale_of() of FP32's exponents: at most 246 */
	scale = convert_mx_most(_mm512_max_epu32(_mm512_maskz_mov_epi32(low_finite, low),
						 _mm512_maskz_mov_epi32(high_finite, high)));
	scale = _mm512_max_epu32(_mm512_srli_epi32(scale, 23), _mm512_set1_epi32(8));
	scale = _mm512_sub_epi32(scale, _mm512_set1_epi32(8));
	inverse = _mm512_sub_epi32(_mm512_set1_epi32(2 * QUIRE_MX_SCALE_BIAS), scale);
	inverse = _mm512_slli_epi32(inverse, 23);
	block[0] = (uint8_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(scale));
	convert_mx_store(convert_mx_over(first, inverse), low_finite, block + 1);
	convert_mx_store(convert_mx_over(second, inverse), high_finite, block + 17);
	return 32 - (uint32_t)__builtin_popcount(low_finite | (uint32_t)high_finite << 16);
}

struct convert_mx_half {
	struct pack_sixteen x;
	__m512i most;		/* finite magnitude in each lane */
	__mmask16 finite;
};

CONVERT_INLINE struct convert_mx_half convert_mx_load(const uint8_t *doubles, uint32_t count)
{
	const __m512i infinity = _mm512_set1_epi64(0x7ff0000000000000ll);
	struct convert_mx_half half = { .x = convert_load_doubles(doubles, count) };
	__m512i low = _mm512_castpd_si512(_mm512_abs_pd(half.x.first));
	__m512i high = _mm512_castpd_si512(_mm512_abs_pd(half.x.second));
	__mmask8 low_finite = _mm512_cmplt_epi64_mask(low, infinity);
	__mmask8 high_finite = _mm512_cmplt_epi64_mask(high, infinity);

	half.finite = (__mmask16)(low_finite | high_finite << 8);
	half.most = _mm512_max_epu64(_mm512_maskz_mov_epi64(low_finite, low),
				     _mm512_maskz_mov_epi64(high_finite, high));
	return half;
}

CONVERT_INLINE __m512i convert_mx_narrow(struct pack_sixteen x, __m512d inverse)
{
	x.first = _mm512_mul_pd(x.first, inverse);
	x.second = _mm512_mul_pd(x.second, inverse);
	return convert_narrow_to_odd(x);
}

/* The same of up to 32 doubles. */
CONVERT_INLINE uint32_t convert_mx_doubles(const uint8_t *doubles, uint32_t count, uint8_t *block)
{
	const uint32_t half = count < 16 ? count : 16;
	struct convert_mx_half first = convert_mx_load(doubles, half);
	struct convert_mx_half second = convert_mx_load(doubles + 128, count - half);
	uint64_t most = _mm512_reduce_max_epu64(_mm512_max_epu64(first.most, second.most));
	__m512d inverse;

	block[0] = gemm_mx_scale_of((int32_t)(most >> 52) - 1023);
	inverse = _mm512_castsi512_pd(
		_mm512_set1_epi64((int64_t)(1023 + QUIRE_MX_SCALE_BIAS - block[0]) << 52));
	convert_mx_store(convert_mx_narrow(first.x, inverse), first.finite, block + 1);
	convert_mx_store(convert_mx_narrow(second.x, inverse), second.finite, block + 17);
	return 32 - (uint32_t)__builtin_popcount(first.finite | (uint32_t)second.finite << 16);
}

/* Up to CONVERT_PIECE elements to blocks; how many are not finite. */
static uint32_t convert_mx_piece(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
				 uint8_t *out)
{
	const bool doubles = convert_needs_doubles(c);
	_Alignas(64) uint8_t middle[CONVERT_PIECE * 8];
	uint32_t found = 0;

	if (c->source_format == QUIRE_FORMAT_FP64 || (c->source_format == QUIRE_FORMAT_FP32 && !doubles)) {
		/* as they are */
	} else if (doubles) {
		convert_to_doubles(c, in, count, middle);
		in = middle;
	} else {
		convert_to_words(c->source_format, in, count, middle);
		in = middle;
	}
	for (; count >= QUIRE_MX_ELEMENTS; count -= QUIRE_MX_ELEMENTS, out += QUIRE_MX_BLOCK_BYTES) {
		found += doubles ? convert_mx_doubles(in, QUIRE_MX_ELEMENTS, out) :
				   convert_mx_words(in, QUIRE_MX_ELEMENTS, out);
		in += QUIRE_MX_ELEMENTS * (doubles ? 8 : 4);
	}
	if (count)
		found += doubles ? convert_mx_doubles(in, count, out) : convert_mx_words(in, count, out);
	return found;
}

/* See struct gemm_kernel, convert: to MXFP8. */
static void convert_to_mx(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
			  uint8_t *out, uint64_t index, struct gemm_tally *tally)
{
	for (uint32_t i = 0; i < count; i += CONVERT_PIECE) {
		uint32_t here = count - i < CONVERT_PIECE ? count - i : CONVERT_PIECE;
		uint64_t bytes = gemm_offset(QUIRE_FORMAT_MXFP8, here);
		uint32_t found = convert_mx_piece(c, here, in + gemm_offset(c->source_format, i), out);

		if (tally) {
			/* scales and elements follow each other in the digest as they do in memory */
			tally_elements(QUIRE_FORMAT_INT8, (uint32_t)bytes, out, index, tally);
			tally->exceptional += found;
		}
		out += bytes;
		index += bytes;
	}
}

/* See struct gemm_kernel. */
static void convert_any(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
			uint8_t *out, uint64_t index, struct gemm_tally *tally)
{
	if (c->destination_format == QUIRE_FORMAT_MXFP8)
		convert_to_mx(c, count, in, out, index, tally);
	else
		convert_elements(c, count, in, out, index, tally);
}

#endif /* QUIRE_CONVERT_MX_AVX512_H */
