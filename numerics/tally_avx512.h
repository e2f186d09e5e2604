/* SPDX-License-Identifier: MIT */
/* Digest and count of exceptions of stored elements with AVX-512. */
#ifndef QUIRE_TALLY_AVX512_H
#define QUIRE_TALLY_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "gemm_internal.h"

/* Places of sixteen words, the first at index; see quire_digest_word(). */
static inline __m512i tally_places(uint64_t index)
{
	const uint32_t low = (uint32_t)(index + 1), high = (uint32_t)((index + 1) >> 32);
	const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	const __m512i steps = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)QUIRE_DIGEST_PLACE));
	const uint32_t first = low * QUIRE_DIGEST_PLACE + high * QUIRE_DIGEST_PLACE_HIGH;
	__m512i at = _mm512_add_epi32(_mm512_set1_epi32((int)first), steps);

	/* the upper half is one more from lane -low on */
	if (__builtin_expect(low > UINT32_MAX - 15, 0))
		at = _mm512_mask_add_epi32(at, (__mmask16)(0xffff << -low), at,
					   _mm512_set1_epi32((int)QUIRE_DIGEST_PLACE_HIGH));
	return at;
}

/*
 * A sum and the shares of sixteen words, those that some says, in the digest.  Words below 2^16
 * are as they are after the first step.
 */
static inline __attribute__((always_inline)) __m512i
tally_words(__m512i sum, __m512i word, __m512i places, bool wide, __mmask16 some)
{
	__m512i x = word, odd;

	if (wide)
		x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
	x = _mm512_mullo_epi32(_mm512_add_epi32(x, places),
			       _mm512_set1_epi32((int)QUIRE_DIGEST_MULTIPLIER));
	x = _mm512_maskz_xor_epi32(some, x, _mm512_srli_epi32(x, 15));
	odd = _mm512_srli_epi64(x, 32);
	sum = _mm512_add_epi64(sum, _mm512_mul_epu32(x, x));
	return _mm512_add_epi64(sum, _mm512_mul_epu32(odd, odd));
}

static inline uint64_t tally_total(__m512i x)
{
	x = _mm512_add_epi64(x, _mm512_shuffle_i64x2(x, x, 0x4e));
	x = _mm512_add_epi64(x, _mm512_shuffle_i64x2(x, x, 0xb1));
	x = _mm512_add_epi64(x, _mm512_unpackhi_epi64(x, x));
	return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(x));
}

/* The digest of sixteen elements in two vectors. */
static inline uint64_t tally_sixteen(uint32_t format, __m512i first, __m512i second, uint64_t index)
{
	const __m512i none = _mm512_setzero_si512();
	__m512i words, sum;

	if (QUIRE_FORMAT_BITS(format) > 32) {
		sum = tally_words(none, first, tally_places(2 * index), true, 0xffff);
		sum = tally_words(sum, second, tally_places(2 * index + 16), true, 0xffff);
	} else {
		words = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(first)),
					   _mm512_cvtepi64_epi32(second), 1);
		sum = tally_words(none, words, tally_places(index), true, 0xffff);
	}
	return tally_total(sum);
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
	__m512i digest;
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

/* count elements, at most sixteen; of 8 bytes at most eight. */
static inline __attribute__((always_inline)) void
tally_add(struct tally_run *run, const uint8_t *stored, uint32_t bytes, __m512i own,
	  struct tally_exceptional exceptional, uint64_t index, uint32_t count)
{
	const __mmask16 some = (__mmask16)((1u << count) - 1);
	__mmask16 found;
	__m512i x;

	if (bytes == 8) {
		x = _mm512_maskz_loadu_epi64((__mmask8)some, stored);
		found = tally_find_double(x);
		run->digest = tally_words(run->digest, x, tally_places(2 * index), true,
					  (__mmask16)((1u << 2 * count) - 1));
	} else {
		x = _mm512_and_si512(tally_load(stored, bytes, some), own);
		found = tally_find(exceptional, x);
		run->digest = tally_words(run->digest, x, tally_places(index), bytes == 4, some);
	}
	run->exceptional += (uint32_t)__builtin_popcount(found & some);
}

static inline __attribute__((always_inline)) void
tally_of_width(uint32_t format, uint32_t bytes, uint32_t count, const uint8_t *stored,
	       uint64_t index, struct gemm_tally *tally)
{
	const uint64_t own_bits = (1ull << (QUIRE_FORMAT_BITS(format) & 63)) - 1;
	const __m512i own = _mm512_set1_epi32((int)(uint32_t)own_bits);
	const struct tally_exceptional exceptional = tally_exceptional_of(format);
	const uint32_t step = bytes == 8 ? 8 : 16;
	struct tally_run run = { _mm512_setzero_si512(), 0 };
	uint32_t i = 0;

	for (; i + step <= count; i += step)
		tally_add(&run, stored + (size_t)i * bytes, bytes, own, exceptional, index + i, step);
	if (i < count)
		tally_add(&run, stored + (size_t)i * bytes, bytes, own, exceptional, index + i,
			  count - i);
	tally->digest += tally_total(run.digest);
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
