/* SPDX-License-Identifier: MIT */
/* Digest and count of exceptions of stored elements with AVX-512. */
#ifndef QUIRE_TALLY_AVX512_H
#define QUIRE_TALLY_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "gemm_internal.h"

/* See gemm_digest_mix(); at: (index + 1) * QUIRE_DIGEST_INDEX of eight elements. */
static inline __m512i tally_mix(__m512i x, __m512i at)
{
	const __m512i multiplier = _mm512_set1_epi64((int64_t)QUIRE_DIGEST_MULTIPLIER);

	x = _mm512_add_epi64(x, at);
	x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_srli_epi64(x, 32)), multiplier);
	x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_srli_epi64(x, 29)), multiplier);
	return _mm512_xor_si512(x, _mm512_srli_epi64(x, 32));
}

static inline uint64_t tally_total(__m512i x)
{
	x = _mm512_add_epi64(x, _mm512_shuffle_i64x2(x, x, 0x4e));
	x = _mm512_add_epi64(x, _mm512_shuffle_i64x2(x, x, 0xb1));
	x = _mm512_add_epi64(x, _mm512_unpackhi_epi64(x, x));
	return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(x));
}

/* (index + 1) * QUIRE_DIGEST_INDEX of eight elements, the first at index. */
static inline __m512i tally_places(uint64_t index)
{
	const uint64_t step = QUIRE_DIGEST_INDEX;
	const __m512i steps = _mm512_set_epi64((int64_t)(8 * step), (int64_t)(7 * step),
					       (int64_t)(6 * step), (int64_t)(5 * step),
					       (int64_t)(4 * step), (int64_t)(3 * step),
					       (int64_t)(2 * step), (int64_t)step);

	return _mm512_add_epi64(_mm512_set1_epi64((int64_t)(index * step)), steps);
}

/* What is added for the next eight. */
static inline __m512i tally_step(void)
{
	return _mm512_set1_epi64((int64_t)(8 * QUIRE_DIGEST_INDEX));
}

/* The digest of sixteen elements in two vectors. */
static inline uint64_t tally_sixteen(__m512i first, __m512i second, uint64_t index)
{
	const __m512i at = tally_places(index);

	return tally_total(_mm512_add_epi64(tally_mix(first, at),
					    tally_mix(second, _mm512_add_epi64(at, tally_step()))));
}

/* Elements of at most 32 bits that are NaR, NaN or infinite: (x & mask) - first <= span. */
struct tally_exceptional {
	uint32_t mask, first, span;
};

static struct tally_exceptional tally_exceptional_of(uint32_t format)
{
	const uint32_t sign = 1u << ((QUIRE_FORMAT_BITS(format) - 1) & 31);
	uint32_t infinity;

	switch (QUIRE_FORMAT_KIND(format)) {
	case QUIRE_KIND_POSIT:
		return (struct tally_exceptional){ sign | (sign - 1), sign, 0 };
	case QUIRE_KIND_INT:
		return (struct tally_exceptional){ 0, 1, 0 };
	case QUIRE_KIND_FP8_E4M3:
		return (struct tally_exceptional){ 0x7f, 0x7f, 0 };
	}
	infinity = (uint32_t)gemm_special_bits(format, GEMM_PLUS_INF);
	return (struct tally_exceptional){ sign - 1, infinity, sign - 1 - infinity };
}

static inline __mmask16 tally_find(struct tally_exceptional e, __m512i x)
{
	x = _mm512_and_si512(x, _mm512_set1_epi32((int)e.mask));
	x = _mm512_sub_epi32(x, _mm512_set1_epi32((int)e.first));
	return _mm512_cmple_epu32_mask(x, _mm512_set1_epi32((int)e.span));
}

static inline __mmask8 tally_find_double(__m512i x)
{
	const __m512i magnitude = _mm512_and_si512(x, _mm512_set1_epi64(0x7fffffffffffffffll));

	return _mm512_cmpge_epi64_mask(magnitude, _mm512_set1_epi64(0x7ff0000000000000ll));
}

/* What a run of elements adds up to. */
struct tally_run {
	__m512i at, sum;	/* places of the next eight; digests */
	uint64_t exceptional;
};

static inline __attribute__((always_inline)) __m512i tally_load(const uint8_t *at, uint32_t bytes,
								__mmask16 some)
{
	if (bytes == 1)
		return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, at));
	if (bytes == 2)
		return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, at));
	return _mm512_maskz_loadu_epi32(some, at);
}

/* Sixteen elements, or those of them that some says. */
static inline __attribute__((always_inline)) void
tally_add(struct tally_run *run, const uint8_t *stored, uint32_t bytes, __m512i own,
	  struct tally_exceptional exceptional, __mmask16 some)
{
	__m512i low, high;
	__mmask16 found;

	if (bytes == 8) {
		low = _mm512_maskz_loadu_epi64((__mmask8)some, stored);
		high = _mm512_maskz_loadu_epi64((__mmask8)(some >> 8), stored + 64);
		found = (__mmask16)(tally_find_double(low) | tally_find_double(high) << 8);
	} else {
		__m512i x = _mm512_and_si512(tally_load(stored, bytes, some), own);

		found = tally_find(exceptional, x);
		low = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(x));
		high = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(x, 1));
	}
	run->exceptional += (uint32_t)__builtin_popcount(found & some);
	run->sum = _mm512_mask_add_epi64(run->sum, (__mmask8)some, run->sum,
					 tally_mix(low, run->at));
	run->at = _mm512_add_epi64(run->at, tally_step());
	run->sum = _mm512_mask_add_epi64(run->sum, (__mmask8)(some >> 8), run->sum,
					 tally_mix(high, run->at));
	run->at = _mm512_add_epi64(run->at, tally_step());
}

static inline __attribute__((always_inline)) void
tally_of_width(uint32_t format, uint32_t bytes, uint32_t count, const uint8_t *stored,
	       uint64_t index, struct gemm_tally *tally)
{
	const uint64_t own_bits = (1ull << (QUIRE_FORMAT_BITS(format) & 63)) - 1;
	const __m512i own = _mm512_set1_epi32((int)(uint32_t)own_bits);
	const struct tally_exceptional exceptional = tally_exceptional_of(format);
	struct tally_run run = { tally_places(index), _mm512_setzero_si512(), 0 };
	uint32_t i = 0;

	for (; i + 16 <= count; i += 16)
		tally_add(&run, stored + (size_t)i * bytes, bytes, own, exceptional, 0xffff);
	if (i < count)
		tally_add(&run, stored + (size_t)i * bytes, bytes, own, exceptional,
			  (__mmask16)((1u << (count - i)) - 1));
	tally->digest += tally_total(run.sum);
	tally->exceptional += run.exceptional;
}

/* Stored elements, while they are in the first-level cache. */
static void tally_elements(uint32_t format, uint32_t count, const uint8_t *stored, uint64_t index,
			   struct gemm_tally *tally)
{
	switch (gemm_element_bytes(format)) {
	case 1:
		tally_of_width(format, 1, count, stored, index, tally);
		break;
	case 2:
		tally_of_width(format, 2, count, stored, index, tally);
		break;
	case 4:
		tally_of_width(format, 4, count, stored, index, tally);
		break;
	default:
		tally_of_width(format, 8, count, stored, index, tally);
		break;
	}
}

#endif /* QUIRE_TALLY_AVX512_H */
