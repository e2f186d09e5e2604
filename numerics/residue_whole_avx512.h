/* SPDX-License-Identifier: MIT */
/*
 * Exact sums of products of integers that do not fit one part, in the residue number system of
 * residue_avx512.h with more moduli.  Parts are multiplied by twos, each pair modulo as many moduli as its
 * sums need; whole integers only once: of three parts by three, that takes a quarter of the products.
 */
#ifndef QUIRE_RESIDUE_WHOLE_AVX512_H
#define QUIRE_RESIDUE_WHOLE_AVX512_H

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "residue_avx512.h"
#include "residue_whole.h"

/* Room for the planes that are asked for. */
static bool whole_make_room(struct gemm_panel *panel)
{
	if (panel->whole_moduli <= panel->whole_room)
		return true;
	free(panel->whole);
	panel->whole = aligned_alloc(64, panel->plane * panel->whole_moduli);
	panel->whole_room = panel->whole ? panel->whole_moduli : 0;
	return panel->whole;
}

/* Four bytes for each of sixteen words, as struct residue_words has them: the words are lanes or steps. */
struct whole_block {
	__m512d part[WHOLE_PARTS][4][2];	/* integers, see pack_parts() */
};

/* Doubles in units of 2^lowest: halves of a step may differ in these. */
static inline __attribute__((always_inline)) void
whole_split(struct whole_block *block, const __m512d from[4][2], const __m512i lowest[2], uint32_t parts)
{
	const __m512d magic = _mm512_set1_pd(GEMM_MAGIC);
	const __m512i bias = _mm512_set1_epi64(1023);
	__m512d rest[4][2];

	memcpy(rest, from, sizeof(rest));
	for (uint32_t q = parts; q-- > 0;)
#pragma GCC unroll 2
		for (int h = 0; h < 2; h++) {
			const __m512i e = _mm512_add_epi64(lowest[h], _mm512_set1_epi64(50 * q));
			const __m512d unit = _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_add_epi64(bias, e), 52));
			const __m512d scale = _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_sub_epi64(bias, e), 52));

#pragma GCC unroll 4
			for (int j = 0; j < 4; j++) {
				__m512d v = _mm512_sub_pd(_mm512_fmadd_pd(rest[j][h], scale, magic), magic);

				rest[j][h] = _mm512_fnmadd_pd(v, unit, rest[j][h]);
				block->part[q][j][h] = v;
			}
		}
}

/*
 * v less a multiple of M, the product of a group, for integers below 2^50: the quotient is wrong by less than 2^-3
 * before it is rounded, and so a rest is at most 5/8 M in magnitude.  All is exact but for that.
 */
static inline __attribute__((always_inline)) __m512d whole_rest(__m512d v, const struct whole_group *group)
{
	const __m512d magic = _mm512_set1_pd(GEMM_MAGIC);
	__m512d q = _mm512_sub_pd(_mm512_fmadd_pd(v, _mm512_set1_pd(group->inverse), magic), magic);

	return _mm512_fnmadd_pd(q, _mm512_set1_pd(group->product), v);
}

/*
 * Words below 2^24 that are congruent to them modulo M, which is below 2^24.  Products of a part's rest, at
 * most 5/8 M, and a power's, at most M / 2, are below 2^46.4; five of them and a part, at most 2^49, are below
 * 2^50, and so is a single part.
 */
static inline __attribute__((always_inline)) void
whole_reduce(const struct whole_block *block, uint32_t parts, const struct whole_group *group, __m512i words[4])
{
	const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
	const __m512d magic = _mm512_set1_pd(GEMM_MAGIC);

#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		__m512d v[2] = { block->part[0][j][0], block->part[0][j][1] };

		for (uint32_t q = 1; q < parts; q++) {
			const __m512d power = _mm512_set1_pd(group->power[q]);

			v[0] = _mm512_fmadd_pd(whole_rest(block->part[q][j][0], group), power, v[0]);
			v[1] = _mm512_fmadd_pd(whole_rest(block->part[q][j][1], group), power, v[1]);
		}
		/* the lower half of the pattern is the integer */
		v[0] = _mm512_add_pd(whole_rest(v[0], group), magic);
		v[1] = _mm512_add_pd(whole_rest(v[1], group), magic);
		words[j] = _mm512_permutex2var_epi32(_mm512_castpd_si512(v[0]), even, _mm512_castpd_si512(v[1]));
	}
}

/* Their residues, as residue_pack_narrow() has them, at plane t of to. */
static inline __attribute__((always_inline)) void
whole_put(const struct gemm_panel *panel, const struct whole_block *block, uint8_t *to, bool is_signed)
{
	const struct whole_constants *constants = &gemm_whole_constants;

	for (uint32_t t = 0; t < panel->whole_moduli;) {
		const uint32_t left = panel->whole_moduli - t, end = t + (left < WHOLE_GROUP ? left : WHOLE_GROUP);
		__m512i words[4];

		whole_reduce(block, panel->parts, &constants->group[t / WHOLE_GROUP], words);
		if (t == 0) {
			residue_pack_narrow(words, to, panel->plane, 1, is_signed);
			t++;
		}
		for (; t < end; t++)
			_mm512_store_si512(to + t * panel->plane,
					   residue_of_words(words, &constants->modulus[t].words, is_signed, true));
	}
}

static inline __m512i whole_lowest(const int32_t *exponent)
{
	return _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)exponent));
}

/* kc steps of a panel in rows, see residue_pack_rows(). */
static inline __attribute__((always_inline)) void
whole_pack_rows(const struct gemm_panel *panel, const double *from, uint32_t k, uint32_t kc)
{
	__m512d row[RESIDUE_ROWS][8];

	for (uint32_t i = 0; i < kc; i += 64, from += 64 * RESIDUE_ROWS) {
		uint8_t *to = panel->whole + (size_t)(k + i) * RESIDUE_ROWS;

		residue_rows(from, row);
		for (uint32_t l = 0; l < RESIDUE_ROWS; l++) {
			const __m512i lowest = _mm512_set1_epi64(panel->units.exponent[l]);
			struct whole_block block;

			whole_split(&block, (const __m512d(*)[2])row[l], (const __m512i[2]){ lowest, lowest },
				    panel->parts);
			whole_put(panel, &block, to + l * 64, true);
		}
	}
}

/* The same of 8 or a multiple of 16 lanes, see residue_pack(). */
static inline __attribute__((always_inline)) void
whole_pack(const struct gemm_panel *panel, const double *from, uint32_t lanes, uint32_t k, uint32_t kc)
{
	const uint32_t steps = lanes == 8 ? 8 : 4;

	if (lanes == RESIDUE_ROWS) {
		whole_pack_rows(panel, from, k, kc);
		return;
	}
	for (uint32_t i = 0; i < kc; i += steps)
		for (uint32_t l = 0; l < lanes; l += 16) {
			const int32_t *exponent = panel->units.exponent + l;
			const __m512i lowest[2] = { whole_lowest(exponent),
						    whole_lowest(exponent + (lanes == 8 ? 0 : 8)) };
			struct whole_block block;
			__m512d x[4][2];

#pragma GCC unroll 4
			for (uint32_t j = 0; j < 4; j++)
				for (uint32_t h = 0; h < 2; h++)
					x[j][h] = _mm512_load_pd(from + (lanes == 8 ?
						(size_t)(i + 4 * h + j) * 8 : (size_t)(i + j) * lanes + l + 8 * h));
			whole_split(&block, x, lowest, panel->parts);
			whole_put(panel, &block, panel->whole + (size_t)(k + i) * lanes + l * 4,
				  residue_is_signed(lanes));
		}
}

/*
 * Sixteen sums from their residues, with so many digits: S = sum of c C - q P, see
 * residue_sums_of_parts().  c <= m and digits are below 2^44: the 52-bit multiplier takes them and sums of 45
 * products stay below 2^58.  q is the sum of all c / m to nearest: S is at least 2^-9 P away from where q would
 * change, and the sum, below 64 in 45 steps, each wrong by less than 2^-19 in FP32, by less than 2^-13.
 */
static inline __attribute__((always_inline)) void
whole_sums_of_digits(const int32_t *from, size_t stride, uint32_t moduli, int digits, struct gemm_whole *to,
		     uint32_t at)
{
	const struct whole_system *system = &gemm_whole_constants.system[moduli - 1];
	const __m512i mask = _mm512_set1_epi64((1ll << WHOLE_DIGIT_BITS) - 1);
	__m512i sum[GEMM_WHOLE_DIGITS][2], carry[2], q[2];
	__m512 quotient = _mm512_setzero_ps();

#pragma GCC unroll 8
	for (int p = 0; p < digits; p++)
		sum[p][0] = sum[p][1] = _mm512_setzero_si512();
	for (uint32_t t = 0; t < moduli; t++) {
		const struct whole_back *back = &system->back[t];
		const float m = gemm_whole_constants.modulus[t].m, inverse = gemm_whole_constants.modulus[t].inverse;
		__m512i c = _mm512_dpbusd_epi32(_mm512_set1_epi32(RESIDUE_MAGIC_BITS + back->start),
						_mm512_load_si512(from + t * stride),
						_mm512_set1_epi32((int)back->weights));
		__m512i half[2];

		c = residue_reduce(c, _mm512_set1_ps(m), _mm512_set1_ps(inverse));
		quotient = _mm512_fmadd_ps(_mm512_sub_ps(_mm512_castsi512_ps(c), _mm512_set1_ps(RESIDUE_MAGIC)),
					   _mm512_set1_ps(inverse), quotient);
		c = _mm512_and_si512(c, _mm512_set1_epi32(0x1ff));
		half[0] = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(c));
		half[1] = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(c, 1));
#pragma GCC unroll 8
		for (int p = 0; p < digits; p++) {
			const __m512i digit = _mm512_set1_epi64((int64_t)back->digit[p]);

			sum[p][0] = _mm512_madd52lo_epu64(sum[p][0], half[0], digit);
			sum[p][1] = _mm512_madd52lo_epu64(sum[p][1], half[1], digit);
		}
	}
	carry[0] = carry[1] = _mm512_setzero_si512();
	q[0] = _mm512_cvtps_epi64(_mm512_castps512_ps256(quotient));
	q[1] = _mm512_cvtps_epi64(_mm512_extractf32x8_ps(quotient, 1));
#pragma GCC unroll 8
	for (int p = 0; p < digits; p++)
#pragma GCC unroll 2
		for (int h = 0; h < 2; h++) {
			__m512i less = _mm512_madd52lo_epu64(_mm512_setzero_si512(), q[h],
							     _mm512_set1_epi64((int64_t)system->product[p]));
			__m512i s = _mm512_add_epi64(_mm512_sub_epi64(sum[p][h], less), carry[h]);

			carry[h] = _mm512_srai_epi64(s, WHOLE_DIGIT_BITS);
			if (p < digits - 1)
				s = _mm512_and_si512(s, mask);
			_mm512_store_si512(to->digit[p] + at + 8 * h, s);
		}
}

/* The same with as many digits as to has. */
static void whole_sums(const int32_t *from, size_t stride, uint32_t moduli, struct gemm_whole *to, uint32_t at)
{
	switch (to->digits) {
	case 3:
		whole_sums_of_digits(from, stride, moduli, 3, to, at);
		break;
	case 4:
		whole_sums_of_digits(from, stride, moduli, 4, to, at);
		break;
	case 5:
		whole_sums_of_digits(from, stride, moduli, 5, to, at);
		break;
	case 6:
		whole_sums_of_digits(from, stride, moduli, 6, to, at);
		break;
	case 7:
		whole_sums_of_digits(from, stride, moduli, 7, to, at);
		break;
	default:
		whole_sums_of_digits(from, stride, moduli, 8, to, at);
	}
}

/*
 * The top of eight sums.  A first digit of 0 or -1 goes into the next one, which is within +-2^44 then; three
 * digits stay.  Of one that is not 0 or -1 they have 89 bits or more, the last 8 of which are not needed; a
 * small number, of which nothing is below, keeps all.
 */
static inline __attribute__((always_inline)) void
whole_top_of_eight(const struct gemm_whole *sums, uint32_t at, uint64_t *low, int64_t *high, int32_t *exponent)
{
	const __m512i one = _mm512_set1_epi64(1), zero = _mm512_setzero_si512();
	const int last = (int)sums->digits - 1;
	__m512i first = _mm512_load_si512(sums->digit[last] + at);
	__m512i second = _mm512_load_si512(sums->digit[last - 1] + at);
	__m512i third = _mm512_load_si512(sums->digit[last - 2] + at);
	__m512i e = _mm512_set1_epi64((last - 2) * WHOLE_DIGIT_BITS), below = zero, drop, lost;
	__mmask8 sticky;

	for (int p = last - 2; p-- > 0;) {
		const __m512i next = _mm512_load_si512(sums->digit[p] + at);
		/* first + 1 is 0 or 1 */
		const __mmask8 empty = _mm512_cmple_epu64_mask(_mm512_add_epi64(first, one), one);

		below = _mm512_mask_or_epi64(below, _knot_mask8(empty), below, next);
		first = _mm512_mask_add_epi64(first, empty, second,
					      _mm512_slli_epi64(first, WHOLE_DIGIT_BITS));
		second = _mm512_mask_mov_epi64(second, empty, third);
		third = _mm512_mask_mov_epi64(third, empty, next);
		e = _mm512_mask_sub_epi64(e, empty, e, _mm512_set1_epi64(WHOLE_DIGIT_BITS));
	}
	/* 2^36 + first is within 0..2^37 - 1 */
	sticky = _mm512_cmpneq_epi64_mask(e, zero) |
		 _mm512_cmpge_epu64_mask(_mm512_add_epi64(first, _mm512_set1_epi64(1ll << 36)),
					 _mm512_set1_epi64(1ll << 37));
	drop = _mm512_maskz_mov_epi64(sticky, _mm512_set1_epi64(8));
	lost = _mm512_or_si512(below, _mm512_maskz_and_epi64(sticky, third, _mm512_set1_epi64(0xff)));
	third = _mm512_srlv_epi64(third, drop);
	third = _mm512_mask_or_epi64(third, _mm512_test_epi64_mask(lost, lost), third, one);
	third = _mm512_or_si512(third, _mm512_sllv_epi64(second, _mm512_sub_epi64(_mm512_set1_epi64(44), drop)));
	second = _mm512_srlv_epi64(second, _mm512_add_epi64(_mm512_set1_epi64(20), drop));
	first = _mm512_sllv_epi64(first, _mm512_sub_epi64(_mm512_set1_epi64(24), drop));
	_mm512_store_si512(low + at, third);
	_mm512_store_si512(high + at, _mm512_or_si512(first, second));
	_mm256_store_si256((__m256i *)(void *)(exponent + at), _mm512_cvtepi64_epi32(_mm512_add_epi64(e, drop)));
}

#endif /* QUIRE_RESIDUE_WHOLE_AVX512_H */
