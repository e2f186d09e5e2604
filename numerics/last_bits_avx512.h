/* SPDX-License-Identifier: MIT */
/*
 * While a panel is weighed, a byte for the weight of each element's last set bit is kept in
 * scratch memory, from which cut_avx512.h chooses units.
 */
#ifndef QUIRE_LAST_BITS_AVX512_H
#define QUIRE_LAST_BITS_AVX512_H

#include <immintrin.h>

#include "gemm_internal.h"

/* Codes are exponents on top of 1, that of the least being 2^-149's; 255: none, or 2^106 and above. */
#define CUT_CODE_OF_1 149
#define CUT_CODE_NONE 255

/*
 * Codes of one group of lanes, eight or sixteen: [k][lane].  From group to group it is
 * gemm_codes_bytes() times that many.
 */
static inline uint32_t cut_group(uint32_t lanes)
{
	return lanes == 8 ? 8 : 16;
}

/* Behind the doubles of scratch memory. */
static inline uint8_t *cut_codes(double *scratch, uint32_t lanes, uint32_t kc)
{
	return (uint8_t *)(scratch + (size_t)lanes * ((kc + 7) / 8 * 8));
}

/* Where codes of lane, a multiple of eight, from k on are, if there are any. */
static inline uint8_t *cut_codes_at(uint8_t *codes, uint32_t lanes, uint32_t kc, uint32_t lane, uint32_t k)
{
	const uint32_t group = cut_group(lanes);

	if (!codes)
		return NULL;
	return codes + lane / group * group * gemm_codes_bytes(kc) + (size_t)k * group + lane % group;
}

/* Of eight doubles from patterns of the weights of last bits, less 1 (pack_see()). */
static inline void cut_put_eight(uint8_t *at, __m512i last)
{
	const __m512i bias = _mm512_set1_epi64(1023 - CUT_CODE_OF_1);

	/* of 0, which has no last bit, all bits are set */
	last = _mm512_sub_epi64(_mm512_srli_epi64(last, 52), bias);
	/* that of a power of two is one place too low: 2^-149 would come out below all codes */
	last = _mm512_max_epi64(last, _mm512_setzero_si512());
	_mm_storel_epi64((__m128i *)(void *)at, _mm512_cvtusepi64_epi8(last));
}

/* Of sixteen FP32 numbers, from the patterns themselves. */
static inline __m128i cut_sixteen(__m512i last)
{
	return _mm512_cvtusepi32_epi8(_mm512_add_epi32(_mm512_srli_epi32(last, 23),
						       _mm512_set1_epi32(CUT_CODE_OF_1 - 127)));
}

#endif /* QUIRE_LAST_BITS_AVX512_H */
