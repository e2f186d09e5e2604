// SPDX-License-Identifier: MIT
/*
 * AVX-512 with 8-bit dot products and the 52-bit integer multiply-add.  Sums of products
 * of two panels' lanes are bounded by Cauchy and Schwarz: |sum|^2 <= weight_a * weight_b.
 * Sums of panels of one part are taken modulo as many small moduli as they need
 * (residue_avx512.h), an eighth of an operation of 512 bits on the two multipliers of a core
 * each for eight products; those of parts as 104-bit products in halves, two operations.
 */
#include <immintrin.h>
#include <math.h>

#include "convert_mx_avx512.h"
#include "fp32_avx512.h"
#include "pack_avx512.h"
#include "residue_avx512.h"
#include "residue_store_avx512.h"
#include "pack_template.h"
#include "store_template.h"
#include "tile_template.h"

#define MR 8
#define NR 48
#define TILE (MR * NR)
#define VECTORS (NR / 16)

/*
 * k of one visit: this much of a modulus of a panel of B, 48 KiB, passes by for one panel of A
 * after the other.
 */
#define VISIT 1024

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
static void
eight_columns(uint32_t kc, const struct gemm_panel *a, uint32_t p, const struct gemm_panel *b,
	      uint32_t q, int eight, uint64_t *low, int64_t *high)
{
	const __m512i bias = _mm512_set1_epi64(1ll << 51), one = _mm512_set1_epi64(1);
	__m512i lo[MR], hi[MR];

#pragma GCC unroll 8
	for (int i = 0; i < MR; i++)
		lo[i] = hi[i] = _mm512_setzero_si512();
	for (size_t k = 0; k < kc; k++) {
		__m512i y = _mm512_add_epi64(_mm512_load_si512(b->part[q] + k * NR + eight * 8), bias);

#pragma GCC unroll 8
		for (int i = 0; i < MR; i++) {
			__m512i x = _mm512_set1_epi64((int64_t)a->part[p][k * MR + (size_t)i]);

			x = _mm512_add_epi64(x, bias);
			lo[i] = _mm512_madd52lo_epu64(lo[i], x, y);
			hi[i] = _mm512_madd52hi_epu64(hi[i], x, y);
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < MR; i++) {
		__m512i s = _mm512_add_epi64(_mm512_set1_epi64(a->sum[p][i]),
					     _mm512_loadu_si512(b->sum[q] + eight * 8));
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

/* Residues of a panel modulo m[t], from the four k's number k on. */
static const uint8_t *residues_at(const struct gemm_panel *panel, uint32_t lanes, uint32_t t, uint32_t k)
{
	return panel->residues + t * panel->plane + (size_t)k * lanes * 4;
}

/*
 * Columns 16 * first to 16 * (first + count) of a tile modulo m[t], from step k on.
 */
static void sum_residues(uint32_t k, uint32_t fours, const struct gemm_panel *a,
			 const struct gemm_panel *b, uint32_t t, uint32_t first, uint32_t count,
			 int32_t *out, const struct residue_ahead *ahead)
{
	const uint8_t *from_a = residues_at(a, MR, t, k);
	const uint8_t *from_b = residues_at(b, NR, t, k) + (size_t)first * 64;

	out += first * 16;
	if (count == 3)
		residue_tile(fours, from_a, from_b, NR, 3, out, k == 0, ahead);
	else if (count == 2)
		residue_tile(fours, from_a, from_b, NR, 2, out, k == 0, ahead);
	else
		residue_tile(fours, from_a, from_b, NR, 1, out, k == 0, ahead);
}

/* How many moduli each sixteen columns of a tile take, and the most of them. */
struct need {
	uint32_t moduli[VECTORS], most;
};

/* Vectors of a tile in which there are columns. */
static uint32_t vectors_of(const struct gemm_panel *b)
{
	return (b->used + 15) / 16;
}

/* Sums from their residues modulo m[t], at rest[t]; true: of 128 bits. */
static bool restore(const struct gemm_panel *b, uint32_t moduli, int32_t (*rest)[TILE], uint64_t *low,
		    int64_t *high)
{
	for (uint32_t i = 0; i < MR; i++)
		for (uint32_t v = 0; v < vectors_of(b); v++) {
			uint32_t at = i * NR + v * 16;

			residue_sums(&rest[0][at], TILE, moduli, low + at,
				     moduli > 8 ? high + at : NULL);
		}
	return moduli > 8;
}

static void wide_tile(uint32_t kc, const struct gemm_panel *a, uint32_t p,
		      const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	for (int eight = 0; eight < NR / 8; eight++)
		eight_columns(kc, a, p, b, q, eight, low + eight * 8, high + eight * 8);
}

static bool ifma_multiply(uint32_t kc, const struct gemm_panel *a, uint32_t p,
			  const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	const uint32_t moduli = gemm_moduli(&gemm_kernel_ifma, a, b), fours = (kc + 3) / 4;
	_Alignas(64) int32_t rest[RESIDUE_MODULI][TILE];

	if (!moduli) {
		wide_tile(kc, a, p, b, q, low, high);
		return true;
	}
	for (uint32_t t = 0; t < moduli; t++) {
		const struct residue_ahead ahead = { residues_at(a, MR, t + 1, 0),
						     residues_at(b, NR, t + 1, 0), 64 };

		sum_residues(0, fours, a, b, t, 0, vectors_of(b), rest[t], &ahead);
	}
	return restore(b, moduli, rest, low, high);
}

/*
 * VISIT k's modulo m[t] of those columns of a strip that take so many moduli; each tile asks for
 * the next one's A and a part of what the next visit needs of B, which behind the last
 * modulus is the next panel's first: see gemm_panels_place().
 */
static void visit(uint32_t k, uint32_t fours, const struct gemm_panel *const *a,
		  const struct need *need, uint32_t count, const struct gemm_panel *b, uint32_t t,
		  uint32_t most, int32_t (*rest)[RESIDUE_MODULI][TILE])
{
	const uint32_t now = fours - k < VISIT / 4 ? fours - k : VISIT / 4;
	const bool more = k + now < fours;
	const uint32_t next_k = more ? k + now : 0, next_t = more ? t : t + 1;
	const uint8_t *next_b = residues_at(b, NR, next_t < most ? next_t : RESIDUE_MODULI, next_k);
	const uint32_t step = NR * 4 / count < 64 ? NR * 4 / count : 64;

	for (uint32_t i = 0; i < count; i++) {
		const struct residue_ahead ahead = {
			i + 1 < count ? residues_at(a[i + 1], MR, t, k) :
					residues_at(a[0], MR, next_t < most ? next_t : 0, next_k),
			next_b + (size_t)i * now * step, step,
		};
		uint32_t first = 0, end = VECTORS;

		if (t >= need[i].most)
			continue;
		while (t >= need[i].moduli[first])
			first++;
		while (t >= need[i].moduli[end - 1])
			end--;
		sum_residues(k, now, a[i], b, t, first, end - first, rest[i][t], &ahead);
	}
}

static struct need need_of(const struct gemm_panel *a, const struct gemm_panel *b)
{
	struct need need = { .most = 0 };

	for (uint32_t v = 0; v < vectors_of(b); v++) {
		double heaviest = 0;

		for (uint32_t l = v * 16; l < v * 16 + 16; l++)
			heaviest = b->units.weights[l] > heaviest ? b->units.weights[l] : heaviest;
		need.moduli[v] = residue_moduli(a->weight * heaviest);
		need.most = need.moduli[v] > need.most ? need.moduli[v] : need.most;
	}
	return need;
}

/* A tile from its residues, those columns together that take the same moduli. */
static void store_columns(const struct gemm_store *store, const struct need *need,
			  int32_t (*rest)[TILE], const struct gemm_panel *a,
			  const struct gemm_panel *b, const struct gemm_place *place,
			  struct gemm_tally *tally)
{
	for (uint32_t first = 0, end; first < vectors_of(b); first = end) {
		for (end = first + 1; end < VECTORS && need->moduli[end] == need->moduli[first]; end++)
			;
		residue_store(store, need->moduli[first], rest[0], TILE, a, b, place, first * 16, end * 16,
			      tally);
	}
}

static void ifma_strip(const struct gemm_store *store, uint32_t kc, const struct gemm_panel *const *a,
		       uint32_t count, const struct gemm_panel *b, const struct gemm_place *place,
		       struct gemm_tally *tally)
{
	_Alignas(64) int32_t rest[GEMM_STRIP][RESIDUE_MODULI][TILE];
	const uint32_t fours = (kc + 3) / 4;
	struct need need[GEMM_STRIP];
	uint32_t most = 0;

	for (uint32_t i = 0; i < count; i++) {
		need[i] = need_of(a[i], b);
		most = need[i].most > most ? need[i].most : most;
	}
	for (uint32_t t = 0; t < most; t++)
		for (uint32_t k = 0; k < fours; k += VISIT / 4)
			visit(k, fours, a, need, count, b, t, most, rest);
	for (uint32_t i = 0; i < count; i++)
		store_columns(store, &need[i], rest[i], a[i], b, place, tally);
}

static bool ifma_supported(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma") &&
	       __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi2") &&
	       __builtin_cpu_supports("avx2") &&
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
	.moduli = residue_moduli,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.supported = ifma_supported,
	.weigh = ifma_pack_weigh,
	.pack = ifma_pack,
	.multiply = ifma_multiply,
	.strip = ifma_strip,
	.round = round_elements,
	.store = round_store,
	.convert = convert_any,
	.fp32_pack = fp32_pack,
	.fp32 = fp32_tile,
};
