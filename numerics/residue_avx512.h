/* SPDX-License-Identifier: MIT */
/*
 * Exact sums of products by 8-bit dot products, in a residue number system: integers are
 * kept modulo some pairwise coprime moduli m <= 256, their sums of products are taken modulo
 * each, and the Chinese remainder theorem gives the sum back.  One operation of 512 bits
 * makes 64 products modulo one m; a sum S takes as many moduli as make their product P
 * exceed 2 |S|, which Cauchy and Schwarz bound before it is computed.  (The idea of "Ozaki
 * scheme II", Ozaki, Uchino, Imamura, 2025.)
 */
#ifndef QUIRE_RESIDUE_AVX512_H
#define QUIRE_RESIDUE_AVX512_H

#include <immintrin.h>

#include "gemm_internal.h"
#include "residue_table.h"

/* A word added to the mantissa of this float, within +-2^22, is added to the float. */
#define RESIDUE_MAGIC 12582912.0f		/* 2^23 + 2^22 */
#define RESIDUE_MAGIC_BITS 0x4b400000

/*
 * Sums start here, so that they are never negative: k <= 4096 products of 0..255 and
 * -128..127 make less than 2^27, in magnitude.
 */
#define RESIDUE_BIAS (1 << 27)

/*
 * How many moduli a sum S with S^2 <= square needs: |S| <= P / 2 (1 - 2^-8), in which the
 * relative error of the weights (gemm_internal.h) drowns.  Sums of 4096 products of integers of
 * 50 bits are below 2^112: all moduli are enough for them.
 */
static inline uint32_t residue_moduli(double square)
{
	double half = 0.5 * (1 - 0x1p-8);

	for (uint32_t t = 0; t < RESIDUE_MODULI - 1; t++) {
		half *= residue_modulus[t].m;
		if (square < half * half)
			return t + 1;
	}
	return RESIDUE_MODULI;
}

/*
 * words, sums of bytes times weights added to RESIDUE_MAGIC_BITS, as floats, less a multiple
 * of m: 0..m, still on top of RESIDUE_MAGIC.  The sums are below 4 * 255 * 128 + 128 < 2^18.
 * The quotient, f / m in a single rounding to an integer, has an error below 2^18 / m * 2^-24 before
 * it is rounded.  Distances of f / m from an integer are multiples of 1 / m >= 2^-8: so it is
 * rounded to the right side, but that an exact f = q m may give q - 1, hence m.
 */
static inline __attribute__((always_inline)) __m512i
residue_reduce(__m512i words, __m512 m, __m512 inverse)
{
	const __m512 magic = _mm512_set1_ps(RESIDUE_MAGIC);
	__m512 sum = _mm512_castsi512_ps(words), f = _mm512_sub_ps(sum, magic);
	__m512 q = _mm512_fmadd_round_ps(f, inverse, magic, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);

	return _mm512_castps_si512(_mm512_fnmadd_ps(_mm512_sub_ps(q, magic), m, sum));
}

/*
 * Four steps of 16 lanes.  Steps 0 and 2, and 1 and 3, share words of 32 bits: the first's
 * in the lower half.
 */
struct residue_words {
	__m512i even, odd;
};

/* The upper halves of words of four steps, or the lower ones. */
static inline __attribute__((always_inline)) struct residue_words
residue_halves(const __m512i x[4], bool upper)
{
	const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	/* word 2 * lane of the one beside word 32 + 2 * lane of the other */
	__m512i index = _mm512_or_si512(_mm512_slli_epi32(lane, 17), _mm512_add_epi32(lane, lane));

	index = _mm512_add_epi32(index, _mm512_set1_epi32(upper ? 0x00210001 : 0x00200000));
	return (struct residue_words){ _mm512_permutex2var_epi16(x[0], index, x[2]),
				       _mm512_permutex2var_epi16(x[1], index, x[3]) };
}

/* Their lower bytes and these' upper ones. */
static inline __m512i residue_bytes(__m512i lower, __m512i upper)
{
	return _mm512_mask_mov_epi8(lower, 0xaaaaaaaaaaaaaaaa, upper);
}

/*
 * Residues modulo one m of four steps of words v, |v| <= 0.494 * 2^32, after Montgomery:
 * with t = -v / m modulo 2^32, N = (v + t m) / 2^32 is an integer and v 2^-32 modulo m.  The
 * upper half T of t determines it:
 *
 *	(T + 2^15 / m) m / 2^16 = N + 1/2 - v / 2^32 - d
 *
 * d is due to the lower half of t and to the rounding of 2^15 / m, and less than
 * 1.5 m 2^-16 < 0.006 in magnitude: what is on the right of N is within 0..1 and the product's
 * integer is N.  T counts modulo 2^16, which is m in the product: so it is within
 * 0..m - 1.  With T + 2^15 it is N + (m - 1) / 2 modulo m, so that N within +-(m - 1) / 2 follows.
 * Unless narrow, T is too large by the bias.
 */
static inline __attribute__((always_inline)) __m512i
residue_of_words(const __m512i v[4], const struct residue_modulus *r, bool is_signed, bool narrow)
{
	const __m512i inverse = _mm512_set1_epi32((int)r->inverse);
	const __m512i more = _mm512_set1_epi32((int)r->more[is_signed][narrow]);
	__m512i t[4];
	struct residue_words w;

#pragma GCC unroll 4
	for (int j = 0; j < 4; j++)
		t[j] = _mm512_mullo_epi32(v[j], inverse);
	w = residue_halves(t, true);
	w.even = _mm512_mulhi_epu16(_mm512_add_epi16(w.even, more), _mm512_set1_epi32((int)r->lower));
	/* times 2^8: in the upper byte */
	w.odd = _mm512_mulhi_epu16(_mm512_add_epi16(w.odd, more), _mm512_set1_epi32((int)r->upper));
	w.even = residue_bytes(w.even, w.odd);
	return is_signed ? _mm512_sub_epi8(w.even, _mm512_set1_epi32((int)r->middle)) : w.even;
}

/*
 * Integers v of four steps of 16 lanes, |v| < 2^30, to a word of four residues each, the first step's
 * in the lowest byte, at plane t of out.  They are those of v 2^-32, but v itself modulo 256:
 * the way back takes the 2^-64 out of sums of products.
 */
static inline __attribute__((always_inline)) void
residue_pack_narrow(const __m512i v[4], uint8_t *out, size_t plane, uint32_t moduli, bool is_signed)
{
	const struct residue_words w = residue_halves(v, false);

	_mm512_store_si512(out, residue_bytes(w.even, _mm512_slli_epi16(w.odd, 8)));
	for (uint32_t t = 1; t < moduli; t++)
		_mm512_store_si512(out + t * plane,
				   residue_of_words(v, &residue_modulus[t], is_signed, true));
}

/*
 * The same of |v| < 2^50, patterns of v + GEMM_MAGIC, x[j][0] and x[j][1] being step j of the first
 * and last eight lanes.  A multiple q M of the moduli of a group is taken from v first.  The
 * pattern's bits from 20 on are floor(v / 2^20) + 2^31; the floor, the conversion and the
 * inverse make an error of q M, before q is rounded to nearest, below
 *
 *	2^20 + 2^50 (2^-24 + 2^-24.5) < 0.027 * 2^32,
 *
 * so that |v - q M| < M / 2 + 0.027 * 2^32 < 0.494 * 2^32, the largest M being 0.932 * 2^32.  q is
 * on top of RESIDUE_MAGIC_BITS: this times -M is the bias.
 */
static inline __attribute__((always_inline)) void
residue_pack_wide(const __m512i x[4][2], uint8_t *out, size_t plane, uint32_t moduli, bool is_signed)
{
	const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6,
					      4, 2, 0);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	__m512i lower[4];
	__m512 top[4];

#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		__m512i upper = _mm512_permutex2var_epi32(x[j][0], odd, x[j][1]);

		lower[j] = _mm512_permutex2var_epi32(x[j][0], even, x[j][1]);
		upper = _mm512_or_si512(_mm512_slli_epi32(upper, 12), _mm512_srli_epi32(lower[j], 20));
		upper = _mm512_xor_si512(upper, _mm512_set1_epi32((int)0x80000000u));
		top[j] = _mm512_cvtepi32_ps(upper);
	}
	residue_pack_narrow(lower, out, plane, 1, is_signed);
	for (uint32_t g = 0, t = 1; t < moduli; g++) {
		const struct residue_group *group = &residue_group[g];
		const uint32_t end = group->end > moduli ? moduli : group->end;
		const __m512 inverse = _mm512_set1_ps(group->inverse);
		const __m512i less = _mm512_set1_epi32(-(int)group->multiple);
		__m512i v[4];

#pragma GCC unroll 4
		for (int j = 0; j < 4; j++) {
			__m512 q = _mm512_fmadd_ps(top[j], inverse, _mm512_set1_ps(RESIDUE_MAGIC));

			v[j] = _mm512_add_epi32(lower[j], _mm512_mullo_epi32(_mm512_castps_si512(q), less));
		}
		for (; t < end; t++)
			_mm512_store_si512(out + t * plane,
					   residue_of_words(v, &residue_modulus[t], is_signed, false));
	}
}

/* Panels of A have 8 lanes, or 16, which are in rows; those of B have more. */
#define RESIDUE_ROWS 16

/* -128..127, else 0..255: one operand of a dot product of bytes is signed, the other one is not. */
static inline bool residue_is_signed(uint32_t lanes)
{
	return lanes <= RESIDUE_ROWS;
}

/* Transpose eight vectors of eight words of 64 bits. */
static inline __attribute__((always_inline)) void residue_transpose(__m512i x[8])
{
	const __m512i lower = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
	const __m512i upper = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
	__m512i pair[8], quad[8];

	/* pair[2 i + p]: columns p, p + 2, p + 4, p + 6 of rows 2 i and 2 i + 1 */
#pragma GCC unroll 4
	for (int i = 0; i < 8; i += 2) {
		pair[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
		pair[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
	}
	/* quad[4 i + p], quad[4 i + 2 + p]: columns p, p + 4 and p + 2, p + 6 of rows 4 i .. 4 i + 3 */
#pragma GCC unroll 2
	for (int i = 0; i < 8; i += 4)
#pragma GCC unroll 2
		for (int p = 0; p < 2; p++) {
			quad[i + p] = _mm512_permutex2var_epi64(pair[i + p], lower, pair[i + 2 + p]);
			quad[i + 2 + p] = _mm512_permutex2var_epi64(pair[i + p], upper, pair[i + 2 + p]);
		}
#pragma GCC unroll 4
	for (int c = 0; c < 4; c++) {
		x[c] = _mm512_shuffle_i64x2(quad[c], quad[c + 4], 0x44);
		x[c + 4] = _mm512_shuffle_i64x2(quad[c], quad[c + 4], 0xee);
	}
}

/*
 * 64 steps of 16 lanes, lane by lane.  Vector 2 j + h of a lane holds k's j, j + 4, ... j + 28 from 32 h on,
 * from which residue_pack_narrow() makes bytes in the order of k.
 */
static inline __attribute__((always_inline)) void residue_rows(const double *from, __m512d row[RESIDUE_ROWS][8])
{
	for (uint32_t v = 0; v < 16; v++) {
		const uint32_t first = v / 8 * 8, step = v % 2 * 32 + v % 8 / 2;
		__m512i x[8];

#pragma GCC unroll 8
		for (uint32_t j = 0; j < 8; j++)
			x[j] = _mm512_load_si512(from + (size_t)(step + 4 * j) * RESIDUE_ROWS + first);
		residue_transpose(x);
#pragma GCC unroll 8
		for (uint32_t j = 0; j < 8; j++)
			row[first + j][v % 8] = _mm512_castsi512_pd(x[j]);
	}
}

/* kc steps of a panel in rows, see residue_pack(). */
static inline __attribute__((always_inline)) void
residue_pack_rows(const struct gemm_panel *panel, const double *from, uint32_t k, uint32_t kc,
		  const double *scale)
{
	const __m512d magic = _mm512_set1_pd(GEMM_MAGIC);
	__m512d row[RESIDUE_ROWS][8];

	for (uint32_t i = 0; i < kc; i += 64, from += 64 * RESIDUE_ROWS) {
		uint8_t *to = panel->residues + (size_t)(k + i) * RESIDUE_ROWS;

		residue_rows(from, row);
		for (uint32_t l = 0; l < RESIDUE_ROWS; l++, to += 64) {
			const __m512d by = _mm512_set1_pd(scale[l]);
			__m512i x[4][2];

#pragma GCC unroll 8
			for (uint32_t v = 0; v < 8; v++)
				x[v / 2][v % 2] = _mm512_castpd_si512(_mm512_fmadd_pd(row[l][v], by, magic));
			residue_pack_wide((const __m512i(*)[2])x, to, panel->plane, panel->moduli, true);
		}
	}
}

/*
 * kc steps of 8 or a multiple of 16 lanes, doubles that times scale are integers, to residues
 * of a panel from k on.  Steps behind kc up to a multiple of 8, of a panel in rows of 64, are
 * read as they are.
 */
static inline __attribute__((always_inline)) void
residue_pack(const struct gemm_panel *panel, const double *from, uint32_t lanes, uint32_t k,
	     uint32_t kc, const double *scale)
{
	const __m512d magic = _mm512_set1_pd(GEMM_MAGIC);
	const uint32_t steps = lanes == 8 ? 8 : 4;

	if (lanes == RESIDUE_ROWS) {
		residue_pack_rows(panel, from, k, kc, scale);
		return;
	}
	for (uint32_t i = 0; i < kc; i += steps)
		for (uint32_t l = 0; l < lanes; l += 16) {
			const __m512d by[2] = { _mm512_loadu_pd(scale + l),
						_mm512_loadu_pd(scale + (lanes == 8 ? 0 : l + 8)) };
			__m512i x[4][2];

#pragma GCC unroll 4
			for (uint32_t j = 0; j < 4; j++)
				for (uint32_t h = 0; h < 2; h++) {
					size_t at = lanes == 8 ? (size_t)(i + 4 * h + j) * 8 :
								 (size_t)(i + j) * lanes + l + 8 * h;

					x[j][h] = _mm512_castpd_si512(_mm512_fmadd_pd(
						_mm512_load_pd(from + at), by[h], magic));
				}
			residue_pack_wide(x, panel->residues + (size_t)(k + i) * lanes + l * 4,
					  panel->plane, panel->moduli, residue_is_signed(lanes));
		}
}

/* What the tiles that come next will read, asked for in time: prefetches never fault. */
struct residue_ahead {
	const uint8_t *a;		/* the next tile's, as many bytes as this one's */
	const uint8_t *b;		/* the share of this tile in the next visit's ... */
	uint32_t b_step;		/* ... bytes per four k's, at most 64 */
};

/*
 * Sums of the products of eight rows and 16 * vectors columns of a panel of lanes.  A tile
 * reads two pages of A and a few of B, and the hardware's own prefetch starts anew at each:
 * without the software's the multipliers wait a tenth of the time.
 */
static inline __attribute__((always_inline)) void
residue_tile(uint32_t fours, const uint8_t *a, const uint8_t *b, uint32_t lanes, int vectors,
	     int32_t *out, bool first, const struct residue_ahead *ahead)
{
	const uint8_t *next_a = ahead->a, *next_b = ahead->b;
	__m512i t[8][3];

#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
#pragma GCC unroll 3
		for (int v = 0; v < vectors; v++)
			t[i][v] = first ? _mm512_set1_epi32(RESIDUE_BIAS) :
					  _mm512_load_si512(out + i * lanes + v * 16);
	for (size_t k = 0; k < fours; k++, a += 32, b += (size_t)lanes * 4) {
		__m512i y[3];

		_mm_prefetch(next_a, _MM_HINT_T0);
		_mm_prefetch(next_b, _MM_HINT_T1);
		next_a += 32;
		next_b += ahead->b_step;
#pragma GCC unroll 3
		for (int v = 0; v < vectors; v++)
			y[v] = _mm512_load_si512(b + v * 64);
#pragma GCC unroll 8
		for (int i = 0; i < 8; i++) {
			const __m512i x = _mm512_set1_epi32(((const int32_t *)(const void *)a)[i]);

			/* with the intrinsic GCC 12 copies the 24 sums around in each step */
#pragma GCC unroll 3
			for (int v = 0; v < vectors; v++)
				__asm__("vpdpbusd %2, %1, %0" : "+v"(t[i][v]) : "v"(y[v]), "v"(x));
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
#pragma GCC unroll 3
		for (int v = 0; v < vectors; v++)
			_mm512_store_si512(out + i * lanes + v * 16, t[i][v]);
}

static inline double residue_product(const struct residue_system *s)
{
	return ((double)s->product[2] * 0x1p44 + (double)s->product[1]) * 0x1p44 + (double)s->product[0];
}

/* Sixteen terms c C of one modulus' sums, see residue_sums(), added to the first parts of sum. */
static inline __attribute__((always_inline)) void
residue_term(const int32_t *from, const struct residue_back *back, int32_t m, int parts,
	     __m512i sum[3][2])
{
	const __m512i byte = _mm512_set1_epi32(0xff);
	__m512i c = _mm512_dpbusd_epi32(_mm512_set1_epi32(RESIDUE_MAGIC_BITS + back->start),
					_mm512_load_si512(from),
					_mm512_set1_epi32((int)back->weights));
	__m512i half[2];

	c = residue_reduce(c, _mm512_set1_ps((float)m), _mm512_set1_ps(1.0f / (float)m));
	c = _mm512_and_si512(c, byte);
	half[0] = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(c));
	half[1] = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(c, 1));
#pragma GCC unroll 3
	for (int p = 0; p < parts; p++) {
		const __m512i part = _mm512_set1_epi64((int64_t)back->part[p]);

#pragma GCC unroll 2
		for (int h = 0; h < 2; h++)
			sum[p][h] = _mm512_madd52lo_epu64(sum[p][h], half[h], part);
	}
}

/*
 * Sixteen sums S from their residues, of which C = P / m has so many parts.  S = sum of c C - q P,
 * where c is the residue times the inverse of C, modulo m, for each m.  c <= 255 and parts of C are
 * below 2^44, so that the 52-bit multiplier takes them and sums of 15 stay below 2^56.  |S| is
 * below P / 2 (1 - 2^-8), so q is sum of c C / P, below 15, to nearest: the arithmetic in doubles is
 * wrong by less than 2^-46.  A sum of 8 moduli is below 2^63, of 15 below 2^117.
 */
static inline __attribute__((always_inline)) void
residue_sums_of_parts(const int32_t *from, size_t stride, uint32_t moduli, int parts, uint64_t *low,
		      int64_t *high)
{
	const struct residue_system *s = &residue_system[moduli - 1];
	const double product = residue_product(s);
	static const double weight[3] = { 1, 0x1p44, 0x1p88 };
	__m512i sum[3][2];

#pragma GCC unroll 3
	for (int p = 0; p < 3; p++)
		sum[p][0] = sum[p][1] = _mm512_setzero_si512();
	for (uint32_t t = 0; t < moduli; t++)
		residue_term(from + t * stride, &s->back[t], residue_modulus[t].m, parts, sum);
#pragma GCC unroll 2
	for (int h = 0; h < 2; h++) {
		__m512d quotient = _mm512_setzero_pd();
		__m512i q, upper, both;

#pragma GCC unroll 3
		for (int p = 0; p < parts; p++)
			quotient = _mm512_fmadd_pd(_mm512_cvtepu64_pd(sum[p][h]),
						   _mm512_set1_pd(weight[p] / product), quotient);
		q = _mm512_cvtpd_epi64(quotient);
#pragma GCC unroll 3
		for (int p = 0; p < 3; p++)
			sum[p][h] = _mm512_sub_epi64(sum[p][h], _mm512_mullo_epi64(
				q, _mm512_set1_epi64((int64_t)s->product[p])));
		/* part 0 + part 1 * 2^44 + part 2 * 2^88 */
		both = _mm512_add_epi64(sum[0][h], _mm512_slli_epi64(sum[1][h], 44));
		_mm512_store_si512(low + 8 * h, both);
		if (high) {
			__mmask8 carry = _mm512_cmplt_epu64_mask(both, sum[0][h]);

			upper = _mm512_add_epi64(_mm512_srai_epi64(sum[1][h], 20),
						 _mm512_srai_epi64(sum[0][h], 63));
			upper = _mm512_add_epi64(upper, _mm512_slli_epi64(sum[2][h], 24));
			_mm512_store_si512(high + 8 * h, _mm512_mask_add_epi64(upper, carry, upper,
								_mm512_set1_epi64(1)));
		}
	}
}

/* high NULL: of up to 8 moduli. */
static inline __attribute__((always_inline)) void
residue_sums(const int32_t *from, size_t stride, uint32_t moduli, uint64_t *low, int64_t *high)
{
	/* with six moduli C is below 2^41, with 12 below 2^88 */
	if (moduli <= 6)
		residue_sums_of_parts(from, stride, moduli, 1, low, high);
	else if (moduli <= 12)
		residue_sums_of_parts(from, stride, moduli, 2, low, high);
	else
		residue_sums_of_parts(from, stride, moduli, 3, low, high);
}

#endif /* QUIRE_RESIDUE_AVX512_H */
