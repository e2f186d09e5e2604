/* SPDX-License-Identifier: MIT */
/*
 * Sums of products beyond 64 bits from two cheap halves: the sum modulo 2^64, by
 * 64-bit multiplications, and modulo four small numbers, by 8-bit dot products.
 * Together they fix the sum modulo 2^64 M, M = 255 * 253 * 251 * 247 > 2^31.8, the
 * five factors having no divisor in common.  With a sum S = L + 2^64 h, 0 <= L < 2^64
 * and |S| < 2^94, h lies within -2^30..2^30 and M / 2 > 2^30.8: h is the number of
 * least magnitude with its residues.  (Chinese remainder theorem; the same idea serves
 * in "Ozaki scheme II", Ozaki, Uchino, Imamura, 2025.)
 *
 * Eight operations of 512 bits give 64 products of 64 + 31.8 bits this way where the
 * 52-bit multiplier needs 16 for 64 products of 104 bits.
 */
#ifndef QUIRE_RESIDUE_AVX512_H
#define QUIRE_RESIDUE_AVX512_H

#include <immintrin.h>

#include "gemm_internal.h"

#define RESIDUE_MODULI 4

/*
 * power32: 2^32 modulo m.  back: what takes T - L modulo m, T the sum's residue, to the
 * factor of M / m in the sum that yields h: the inverse of 2^64 times that of M / m,
 * modulo m.
 */
static const struct residue_modulus {
	uint32_t m, power32, back;
	double cofactor;		/* M / m */
} residue_modulus[RESIDUE_MODULI] = {
	{ 255, 1, 251, 253.0 * 251 * 247 },
	{ 253, 81, 142, 255.0 * 251 * 247 },
	{ 251, 123, 64, 255.0 * 253 * 247 },
	{ 247, 139, 166, 255.0 * 253 * 251 },
};
#define RESIDUE_PRODUCT (255.0 * 253 * 251 * 247)

/* Bytes of one modulus of a panel: [k / 4][lane][4]. */
static inline size_t residue_plane(uint32_t lanes, uint32_t kc)
{
	return (size_t)((kc + 3) / 4) * lanes * 4;
}

/*
 * Four k of eight lanes of integers of at most 2^50, as doubles, to 32 bytes of residues of
 * each modulus.  The quotient is below 2^42.1 and off by less than 2^-9.9 before it is
 * rounded; the rest, an exact integer, would have to be 128 / 255 = 1/2 + 2^-9 of 255 or
 * more to leave -127..127.
 */
static inline void residue_pack_four(const __m512d v[4], uint8_t *out, size_t plane, bool is_signed)
{
	for (int t = 0; t < RESIDUE_MODULI; t++) {
		const __m512d m = _mm512_set1_pd(residue_modulus[t].m);
		const __m512d inverse = _mm512_set1_pd(1.0 / residue_modulus[t].m);
		/* a negative byte in two's complement, or the residue above 0 */
		const __m512d lift = is_signed ? _mm512_set1_pd(256) : m;
		__m512d r[4], word;

#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			__m512d q = _mm512_roundscale_pd(_mm512_mul_pd(v[i], inverse), 0);

			r[i] = _mm512_fnmadd_pd(q, m, v[i]);
			r[i] = _mm512_mask_add_pd(r[i], _mm512_movepi64_mask(_mm512_castpd_si512(r[i])),
						  r[i], lift);
		}
		/* exact, below 2^32 */
		word = _mm512_fmadd_pd(r[3], _mm512_set1_pd(256), r[2]);
		word = _mm512_fmadd_pd(word, _mm512_set1_pd(256), r[1]);
		word = _mm512_fmadd_pd(word, _mm512_set1_pd(256), r[0]);
		_mm256_store_si256((__m256i *)(void *)(out + t * plane), _mm512_cvtpd_epu32(word));
	}
}

/*
 * h of eight sums with low halves L and residues rest[t] (any representative of fewer
 * than 31 bits).  L modulo m is (upper * 2^32 + lower) with upper's factor reduced:
 * below 2^41; less the residue and times back, it is below 2^50 and exact in double.
 */
static inline __m512i residue_high(__m512i low, const __m256i rest[RESIDUE_MODULI])
{
	const __m512i upper = _mm512_srli_epi64(low, 32);
	const __m512i lower = _mm512_and_si512(low, _mm512_set1_epi64(0xffffffff));
	__m512d h = _mm512_setzero_pd();

#pragma GCC unroll 4
	for (int t = 0; t < RESIDUE_MODULI; t++) {
		const struct residue_modulus *r = &residue_modulus[t];
		__m512i l = _mm512_add_epi64(lower, _mm512_mul_epu32(upper,
						     _mm512_set1_epi64(r->power32)));
		__m512d x = _mm512_cvtepi64_pd(_mm512_sub_epi64(_mm512_cvtepi32_epi64(rest[t]), l));
		__m512d q;

		x = _mm512_mul_pd(x, _mm512_set1_pd(r->back));
		q = _mm512_roundscale_pd(_mm512_mul_pd(x, _mm512_set1_pd(1.0 / r->m)), 0);
		x = _mm512_fnmadd_pd(q, _mm512_set1_pd(r->m), x);
		/* |x| < 192, so four terms stay below 2^35 */
		h = _mm512_fmadd_pd(x, _mm512_set1_pd(r->cofactor), h);
	}
	h = _mm512_fnmadd_pd(_mm512_roundscale_pd(_mm512_mul_pd(h,
			_mm512_set1_pd(1.0 / RESIDUE_PRODUCT)), 0), _mm512_set1_pd(RESIDUE_PRODUCT), h);
	return _mm512_cvtpd_epi64(h);
}

#endif /* QUIRE_RESIDUE_AVX512_H */
