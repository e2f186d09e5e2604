/* SPDX-License-Identifier: MIT */
/*
 * What register tiles of 48 columns have in common, whatever multiplies them: how many moduli they take,
 * the way back from residues, and panels of more than one part.
 */
#ifndef QUIRE_TILES_AVX512_H
#define QUIRE_TILES_AVX512_H

#include <assert.h>
#include <immintrin.h>

#include "gemm_internal.h"
#include "residue_avx512.h"
#include "residue_store_avx512.h"
#include "residue_whole_avx512.h"

#define NR 48
#define VECTORS (NR / 16)

/*
 * Eight rows, of a panel of A with so many, and eight columns by the 52-bit multipliers.  The operands
 * are u = v + 2^51, unsigned in the low 52 bits of a word; two instructions give eight products of
 * 104 bits, in halves.  A half adds less than 2^52 per step and kc <= 2^12: the sums of halves stay below
 * 2^64.  Then
 *
 *	sum u_a u_b = sum v_a v_b + 2^51 (sum v_a + sum v_b) + kc 2^102
 *
 * and |sum v_a v_b| <= 2^112.  Sums of v are below 2^62, so their sum fits a word.
 */
static void
eight_columns(uint32_t kc, const struct gemm_panel *a, uint32_t p, uint32_t rows, uint32_t row,
	      const struct gemm_panel *b, uint32_t q, uint32_t column, uint64_t *low, int64_t *high)
{
	const __m512i bias = _mm512_set1_epi64(1ll << 51), one = _mm512_set1_epi64(1);
	const uint64_t *from_a = a->part[p] + row, *from_b = b->part[q] + column;
	__m512i lo[8], hi[8];

#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
		lo[i] = hi[i] = _mm512_setzero_si512();
	for (size_t k = 0; k < kc; k++) {
		__m512i y = _mm512_add_epi64(_mm512_load_si512(from_b + k * NR), bias);

#pragma GCC unroll 8
		for (int i = 0; i < 8; i++) {
			__m512i x = _mm512_set1_epi64((int64_t)from_a[k * rows + (size_t)i]);

			x = _mm512_add_epi64(x, bias);
			lo[i] = _mm512_madd52lo_epu64(lo[i], x, y);
			hi[i] = _mm512_madd52hi_epu64(hi[i], x, y);
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++) {
		__m512i s = _mm512_add_epi64(_mm512_set1_epi64((int64_t)a->sum[p][row + (uint32_t)i]),
					     _mm512_loadu_si512(b->sum[q] + column));
		__m512i l, h, part;
		__mmask8 carry;

		/* lo + hi 2^52 */
		l = _mm512_add_epi64(lo[i], _mm512_slli_epi64(hi[i], 52));
		carry = _mm512_cmplt_epu64_mask(l, lo[i]);
		h = _mm512_srli_epi64(hi[i], 12);
		h = _mm512_mask_add_epi64(h, carry, h, one);
		/* - s 2^51 */
		part = _mm512_slli_epi64(s, 51);
		carry = _mm512_cmplt_epu64_mask(l, part);
		l = _mm512_sub_epi64(l, part);
		h = _mm512_sub_epi64(h, _mm512_srai_epi64(s, 13));
		h = _mm512_mask_sub_epi64(h, carry, h, one);
		/* - kc 2^102 */
		h = _mm512_sub_epi64(h, _mm512_set1_epi64((int64_t)kc << 38));
		_mm512_store_si512(low + i * NR, l);
		_mm512_store_si512(high + i * NR, h);
	}
}

static void wide_tile(uint32_t kc, const struct gemm_panel *a, uint32_t p, uint32_t rows,
		      const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	for (uint32_t i = 0; i < rows; i += 8)
		for (uint32_t j = 0; j < NR; j += 8)
			eight_columns(kc, a, p, rows, i, b, q, j, low + i * NR + j, high + i * NR + j);
}

/* Vectors of a tile in which there are columns. */
static uint32_t vectors_of(const struct gemm_panel *b)
{
	return (b->used + 15) / 16;
}

/*
 * Sums of so many rows from their residues: those modulo m[0] at rest, those of the next modulus tile words
 * further.  True: of 128 bits.
 */
static bool restore(uint32_t rows, const struct gemm_panel *b, uint32_t moduli, const int32_t *rest,
		    uint32_t tile, uint64_t *low, int64_t *high)
{
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t v = 0; v < vectors_of(b); v++) {
			uint32_t at = i * NR + v * 16;

			residue_sums(rest + at, tile, moduli, low + at,
				     moduli > 8 ? high + at : NULL);
		}
	return moduli > 8;
}

/* How many moduli each sixteen columns of a tile take, and the most of them. */
struct need {
	uint32_t moduli[VECTORS], most;
};

static inline __attribute__((always_inline)) struct need
need_by(uint32_t (*moduli)(double square), double weight, const struct gemm_panel *b)
{
	struct need need = { .most = 0 };

	for (uint32_t v = 0; v < vectors_of(b); v++) {
		double heaviest = 0;

		for (uint32_t l = v * 16; l < v * 16 + 16; l++)
			heaviest = b->units.weights[l] > heaviest ? b->units.weights[l] : heaviest;
		need.moduli[v] = moduli(weight * heaviest);
		need.most = need.moduli[v] > need.most ? need.moduli[v] : need.most;
	}
	return need;
}

/* Planes beyond those that were planned were never packed. */
static struct need need_of(const struct gemm_panel *a, const struct gemm_panel *b)
{
	const struct need need = need_by(residue_moduli, a->weight, b);

	assert(need.most <= a->moduli && need.most <= b->moduli);
	return need;
}

/* Of whole integers. */
static struct need whole_need_of(const struct gemm_panel *a, const struct gemm_panel *b)
{
	const struct need need = need_by(gemm_whole_moduli, gemm_whole_weight(a), b);

	assert(need.most <= a->whole_moduli && need.most <= b->whole_moduli);
	return need;
}

/* Vectors of columns that take modulus t, of those that there are. */
struct need_columns {
	uint32_t first, count;
};

static struct need_columns need_columns(const struct need *need, uint32_t t)
{
	uint32_t first = 0, end = VECTORS;

	while (t >= need->moduli[first])
		first++;
	while (t >= need->moduli[end - 1])
		end--;
	return (struct need_columns){ first, end - first };
}

/* A tile from its residues, those columns together that take the same moduli. */
static void store_columns(const struct gemm_store *store, const struct need *need,
			  const int32_t *rest, uint32_t tile, const struct gemm_panel *a,
			  const struct gemm_panel *b, const struct gemm_place *place,
			  struct gemm_tally *tally)
{
	for (uint32_t first = 0, end; first < vectors_of(b); first = end) {
		for (end = first + 1; end < VECTORS && need->moduli[end] == need->moduli[first]; end++)
			;
		residue_store(store, need->moduli[first], rest, tile, a, b, place, first * 16, end * 16,
			      tally);
	}
}

/* Where the columns of panel j of B go, when place is that of panel 0. */
static struct gemm_place place_of(const struct gemm_place *place, const struct gemm_store *store, uint32_t j)
{
	struct gemm_place there = *place;

	there.at += (size_t)j * NR * gemm_element_bytes(store->format);
	there.index += j * NR;
	return there;
}

/* Sums of so many rows from the residues of whole integers, see restore(). */
static void restore_whole(uint32_t rows, const struct gemm_panel *b, const struct need *need, const int32_t *rest,
			  uint32_t tile, struct gemm_whole *sums)
{
	sums->digits = gemm_whole_constants.system[need->most - 1].digits;
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t v = 0; v < vectors_of(b); v++) {
			uint32_t at = i * NR + v * 16;

			whole_sums(rest + at, tile, need->moduli[v], sums, at);
		}
}

static void whole_top(uint32_t rows, const struct gemm_whole *sums, const struct gemm_panel *b, uint64_t *low,
		      int64_t *high, int32_t *exponent)
{
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t at = i * NR; at < i * NR + vectors_of(b) * 16; at += 8)
			whole_top_of_eight(sums, at, low, high, exponent);
}

#endif /* QUIRE_TILES_AVX512_H */
