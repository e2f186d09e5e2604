// SPDX-License-Identifier: MIT
/*
 * AVX-512 with the 52-bit integer multiply-add.  Sums of products of two panels' lanes
 * are bounded by Cauchy and Schwarz: |sum|^2 <= weight_a * weight_b.  By that bound they
 * are taken in one of three ways, cheapest first (operations of 512 bits per eight
 * products on the two multipliers of a core):
 *
 *	narrow	 1	below 2^62: 64-bit arithmetic
 *	residue	 1.5	below 2^94: modulo 2^64 and four small moduli (residue_avx512.h)
 *	wide	 2	any: 104-bit products in halves
 */
#include <immintrin.h>
#include <math.h>

#include "convert_mx_avx512.h"
#include "fp32_avx512.h"
#include "pack_avx512.h"
#include "residue_avx512.h"
#include "pack_template.h"
#include "store_template.h"
#include "tile_template.h"

#define MR 8
#define NR 16
#define TILE (MR * NR)

/*
 * k of one visit to the first-level cache: this much of a panel of B, 32 KiB, stays
 * there while one panel of A after the other passes by.
 */
#define VISIT 256
#define RESIDUE_VISIT 1024

/*
 * Panels of integers below 2^31 are packed in 32 bits (pack_template.h): half the way to
 * memory.  Eight lanes of A as they are; of B's, lanes j and j + 8 in the lower and upper
 * half of word j.
 */
static inline __attribute__((always_inline)) __m512i load_columns(const void *b, size_t k, int half,
								  bool small)
{
	__m512i x;

	if (!small)
		return _mm512_load_si512((const uint64_t *)b + k * NR + half * 8);
	x = _mm512_load_si512((const uint32_t *)b + k * NR);
	return half ? _mm512_srai_epi64(x, 32) : _mm512_srai_epi64(_mm512_slli_epi64(x, 32), 32);
}

static inline __attribute__((always_inline)) __m512i load_row(const void *a, size_t k, int i,
							      bool small)
{
	return _mm512_set1_epi64(small ? ((const int32_t *)a)[k * MR + (size_t)i] :
					 ((const int64_t *)a)[k * MR + (size_t)i]);
}

/* A tile modulo 2^64, added to low unless it is the first run of k. */
static inline __attribute__((always_inline)) void
tile_64(uint32_t kc, const void *a, const void *b, uint64_t *low, bool first, bool small_a,
	bool small_b)
{
	__m512i t[MR][2];

#pragma GCC unroll 8
	for (int i = 0; i < MR; i++) {
		t[i][0] = first ? _mm512_setzero_si512() : _mm512_load_si512(low + i * NR);
		t[i][1] = first ? _mm512_setzero_si512() : _mm512_load_si512(low + i * NR + 8);
	}
	for (size_t k = 0; k < kc; k++) {
		__m512i b0 = load_columns(b, k, 0, small_b), b1 = load_columns(b, k, 1, small_b);

#pragma GCC unroll 8
		for (int i = 0; i < MR; i++) {
			__m512i x = load_row(a, k, i, small_a);

			t[i][0] = _mm512_add_epi64(t[i][0], _mm512_mullo_epi64(x, b0));
			t[i][1] = _mm512_add_epi64(t[i][1], _mm512_mullo_epi64(x, b1));
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < MR; i++) {
		_mm512_store_si512(low + i * NR, t[i][0]);
		_mm512_store_si512(low + i * NR + 8, t[i][1]);
	}
}

/*
 * The same with both in 32 bits, by the multiplier that looks at the lower half of each word
 * only and is one operation on every CPU.
 */
static void tile_32(uint32_t kc, const int32_t *a, const int32_t *b, uint64_t *low, bool first)
{
	__m512i t[MR][2];

#pragma GCC unroll 8
	for (int i = 0; i < MR; i++) {
		t[i][0] = first ? _mm512_setzero_si512() : _mm512_load_si512(low + i * NR);
		t[i][1] = first ? _mm512_setzero_si512() : _mm512_load_si512(low + i * NR + 8);
	}
	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR) {
		__m512i b0 = _mm512_load_si512(b), b1 = _mm512_srli_epi64(b0, 32);

#pragma GCC unroll 8
		for (int i = 0; i < MR; i++) {
			__m512i x = _mm512_set1_epi32(a[i]);

			t[i][0] = _mm512_add_epi64(t[i][0], _mm512_mul_epi32(x, b0));
			t[i][1] = _mm512_add_epi64(t[i][1], _mm512_mul_epi32(x, b1));
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < MR; i++) {
		_mm512_store_si512(low + i * NR, t[i][0]);
		_mm512_store_si512(low + i * NR + 8, t[i][1]);
	}
}

static const void *word_at(const struct gemm_panel *panel, uint32_t part, size_t index)
{
	return panel->small ? (const void *)((const uint32_t *)panel->part[part] + index) :
			      (const void *)(panel->part[part] + index);
}

static void sum_64(uint32_t k, uint32_t kc, const struct gemm_panel *a, uint32_t p,
		   const struct gemm_panel *b, uint32_t q, uint64_t *low)
{
	const void *from_a = word_at(a, p, (size_t)k * MR), *from_b = word_at(b, q, (size_t)k * NR);
	bool first = k == 0;

	if (a->small && b->small)
		tile_32(kc, from_a, from_b, low, first);
	else if (a->small)
		tile_64(kc, from_a, from_b, low, first, true, false);
	else if (b->small)
		tile_64(kc, from_a, from_b, low, first, false, true);
	else
		tile_64(kc, from_a, from_b, low, first, false, false);
}

/* Sums of residues of two moduli: at most 4096 * 127 * 254 < 2^27. */
static void sum_residues(uint32_t fours, const uint8_t *const a[2], const uint8_t *const b[2],
			 int32_t (*out)[TILE], bool first)
{
	__m512i t[MR][2];

#pragma GCC unroll 8
	for (int i = 0; i < MR; i++)
		for (int m = 0; m < 2; m++)
			t[i][m] = first ? _mm512_setzero_si512() :
					  _mm512_load_si512(out[m] + i * NR);
	for (size_t k = 0; k < fours; k++) {
		__m512i b0 = _mm512_load_si512(b[0] + k * NR * 4);
		__m512i b1 = _mm512_load_si512(b[1] + k * NR * 4);
		const int32_t *a0 = (const int32_t *)(const void *)(a[0] + k * MR * 4);
		const int32_t *a1 = (const int32_t *)(const void *)(a[1] + k * MR * 4);

#pragma GCC unroll 8
		for (int i = 0; i < MR; i++) {
			t[i][0] = _mm512_dpbusd_epi32(t[i][0], b0, _mm512_set1_epi32(a0[i]));
			t[i][1] = _mm512_dpbusd_epi32(t[i][1], b1, _mm512_set1_epi32(a1[i]));
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < MR; i++)
		for (int m = 0; m < 2; m++)
			_mm512_store_si512(out[m] + i * NR, t[i][m]);
}

/* Two moduli, from t on, of the tiles of a strip that are taken by residues. */
static void strip_residues(uint32_t kc, int t, const struct gemm_panel *const *a, uint32_t count,
			   const struct gemm_panel *b, const bool *by_residues,
			   int32_t (*rest)[RESIDUE_MODULI][TILE])
{
	const size_t plane_a = residue_plane(MR, kc), plane_b = residue_plane(NR, kc);
	const uint32_t fours = (kc + 3) / 4;

	for (uint32_t k = 0; k < fours; k += RESIDUE_VISIT / 4) {
		uint32_t now = fours - k < RESIDUE_VISIT / 4 ? fours - k : RESIDUE_VISIT / 4;
		const uint8_t *from_b = b->residues + t * plane_b + (size_t)k * NR * 4;

		for (uint32_t i = 0; i < count; i++) {
			const uint8_t *from_a = a[i]->residues + t * plane_a + (size_t)k * MR * 4;

			if (by_residues[i])
				sum_residues(now, (const uint8_t *const[]){ from_a, from_a + plane_a },
					     (const uint8_t *const[]){ from_b, from_b + plane_b },
					     &rest[i][t], k == 0);
		}
	}
}

/*
 * Eight columns by the 52-bit multipliers.  The operands are u = v + 2^51, unsigned in the
 * low 52 bits of a word; two instructions give eight products of 104 bits, in halves.
 * A half adds less than 2^52 per step and kc <= 2^12: the sums of halves stay below
 * 2^64.  Then
 *
 *	sum u_a u_b = sum v_a v_b + 2^51 (sum v_a + sum v_b) + kc 2^102
 *
 * and |sum v_a v_b| <= 2^112.  Sums of v are below 2^62, so their sum fits a word.
 */
static inline __attribute__((always_inline)) void
eight_columns(uint32_t kc, const struct gemm_panel *a, uint32_t p, const struct gemm_panel *b,
	      uint32_t q, int half, uint64_t *low, int64_t *high, bool small_a, bool small_b)
{
	const __m512i bias = _mm512_set1_epi64(1ll << 51), one = _mm512_set1_epi64(1);
	__m512i lo[MR], hi[MR];

#pragma GCC unroll 8
	for (int i = 0; i < MR; i++)
		lo[i] = hi[i] = _mm512_setzero_si512();
	for (size_t k = 0; k < kc; k++) {
		__m512i y = _mm512_add_epi64(load_columns(b->part[q], k, half, small_b), bias);

#pragma GCC unroll 8
		for (int i = 0; i < MR; i++) {
			__m512i x = _mm512_add_epi64(load_row(a->part[p], k, i, small_a), bias);

			lo[i] = _mm512_madd52lo_epu64(lo[i], x, y);
			hi[i] = _mm512_madd52hi_epu64(hi[i], x, y);
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < MR; i++) {
		__m512i s = _mm512_add_epi64(_mm512_set1_epi64(a->sum[p][i]),
					     _mm512_loadu_si512(b->sum[q] + half * 8));
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

static void wide_tile(uint32_t kc, const struct gemm_panel *a, uint32_t p,
		      const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	for (int half = 0; half < 2; half++, low += 8, high += 8)
		if (a->small)
			eight_columns(kc, a, p, b, q, half, low, high, true, false);
		else if (b->small)
			eight_columns(kc, a, p, b, q, half, low, high, false, true);
		else
			eight_columns(kc, a, p, b, q, half, low, high, false, false);
}

static bool ifma_multiply(uint32_t kc, const struct gemm_panel *a, uint32_t p,
			  const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	if (a->weight * b->weight < GEMM_SQUARE_64) {
		sum_64(0, kc, a, p, b, q, low);
		return false;
	}
	wide_tile(kc, a, p, b, q, low, high);
	return true;
}

static void ifma_strip(uint32_t kc, const struct gemm_panel *const *a, uint32_t count,
		       const struct gemm_panel *b, struct gemm_strip *strip)
{
	_Alignas(64) int32_t rest[GEMM_STRIP][RESIDUE_MODULI][TILE];
	bool by_residues[GEMM_STRIP], any = false;

	for (uint32_t i = 0; i < count; i++) {
		double square = a[i]->weight * b->weight;

		strip->wide[i] = !(square < GEMM_SQUARE_64);
		by_residues[i] = strip->wide[i] && square < GEMM_SQUARE_RESIDUE &&
				 a[i]->residues && b->residues;
		any |= by_residues[i];
		if (strip->wide[i] && !by_residues[i])
			wide_tile(kc, a[i], 0, b, 0, strip->low[i], strip->high[i]);
	}
	for (uint32_t k = 0; k < kc; k += VISIT)
		for (uint32_t i = 0; i < count; i++)
			if (!strip->wide[i] || by_residues[i])
				sum_64(k, kc - k < VISIT ? kc - k : VISIT, a[i], 0, b, 0,
				       strip->low[i]);
	if (!any)
		return;
	for (int t = 0; t < RESIDUE_MODULI; t += 2)
		strip_residues(kc, t, a, count, b, by_residues, rest);
	for (uint32_t i = 0; i < count; i++)
		for (int j = 0; by_residues[i] && j < TILE; j += 8) {
			__m256i r[RESIDUE_MODULI];

			for (int t = 0; t < RESIDUE_MODULI; t++)
				r[t] = _mm256_load_si256((const __m256i *)(const void *)&rest[i][t][j]);
			_mm512_store_si512(&strip->high[i][j],
					   residue_high(_mm512_load_si512(&strip->low[i][j]), r));
		}
}

static bool ifma_supported(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma") &&
	       __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
	       __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt");
}

PACK_DEFINE(ifma_pack, &gemm_kernel_ifma, MR, NR)
TILE_DEFINE(tile_kernel_ifma);

const struct gemm_kernel gemm_kernel_ifma = {
	.name = "ifma",
	.tile = &tile_kernel_ifma,
	.mr = MR,
	.nr = NR,
	.single_bits = 50,
	.part_bits = 50,
	.residue_moduli = RESIDUE_MODULI,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.supported = ifma_supported,
	.pack = ifma_pack,
	.multiply = ifma_multiply,
	.strip = ifma_strip,
	.round = round_elements,
	.store = round_store,
	.convert = convert_any,
	.fp32_pack = fp32_pack,
	.fp32 = fp32_tile,
};
