/* SPDX-License-Identifier: MIT */
/*
 * Weighing and packing (pack_template.h) of panels in rows (RESIDUE_ROWS) where k runs along memory: a
 * vector is sixteen k's of one lane from memory to residues, and nothing is transposed.
 */
#ifndef QUIRE_PACK_ROWS_AVX512_H
#define QUIRE_PACK_ROWS_AVX512_H

#include "pack_avx512.h"
#include "pack_float_avx512.h"
#include "residue_avx512.h"

/* Those whose words come out of a row of 64 elements aligned. */
static inline bool pack_has_rows(const struct gemm_source *source)
{
	return !source->tiled && source->k_stride == 1 &&
	       (pack_is_float(source->format) || source->format == QUIRE_FORMAT_POSIT32 ||
		source->format == QUIRE_FORMAT_FP32);
}

static inline const uint8_t *pack_row(const struct gemm_source *source, uint32_t lane, uint64_t k)
{
	return source->data + (lane * source->lane_stride + k) * source->element;
}

/* Words 0, 2, 4 ... of two vectors, or 1, 3, 5 ... */
static inline __m512i pack_every_other(__m512i x, __m512i y, int first)
{
	const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);

	return _mm512_permutex2var_epi32(x, first ? _mm512_add_epi32(even, _mm512_set1_epi32(1)) : even, y);
}

/*
 * Up to 64 elements of a row, 0 behind them, as words with the sign at the top: number 4 i + j is word i of
 * left[j], as residue_pack_narrow() wants it to have bytes in the order of k.
 */
static inline __attribute__((always_inline)) void pack_row_words(const uint8_t *data, uint32_t element,
								  uint32_t count, __m512i left[4])
{
	const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
	const __m512i first = pack_row_bytes(data, count * element, 0);
	__m512i x[4];

	if (element == 1) {
		const __m512i top = _mm512_set1_epi32((int)0xff000000u);

		left[0] = _mm512_slli_epi32(first, 24);
		left[1] = _mm512_and_si512(_mm512_slli_epi32(first, 16), top);
		left[2] = _mm512_and_si512(_mm512_slli_epi32(first, 8), top);
		left[3] = _mm512_and_si512(first, top);
		return;
	}
	x[0] = first;
	x[1] = pack_row_bytes(data, count * element, 64);
	if (element == 2) {
		const __m512i even = pack_every_other(x[0], x[1], 0), odd = pack_every_other(x[0], x[1], 1);

		left[0] = _mm512_slli_epi32(even, 16);
		left[1] = _mm512_and_si512(even, upper);
		left[2] = _mm512_slli_epi32(odd, 16);
		left[3] = _mm512_and_si512(odd, upper);
		return;
	}
	x[2] = pack_row_bytes(data, count * element, 128);
	x[3] = pack_row_bytes(data, count * element, 192);
	for (int j = 0; j < 2; j++) {
		const __m512i lower = pack_every_other(x[0], x[1], j), higher = pack_every_other(x[2], x[3], j);

		left[j] = pack_every_other(lower, higher, 0);
		left[j + 2] = pack_every_other(lower, higher, 1);
	}
}

/* Of such words of four or fewer bytes. */
static inline __attribute__((always_inline)) struct pack_sixteen pack_row_numbers(uint32_t format, __m512i left)
{
	return format == QUIRE_FORMAT_FP32 || format == QUIRE_FORMAT_BF16 ? pack_fp32_sixteen(left) :
									     pack_posit_sixteen(left);
}

/* A row as doubles into range l. */
static inline __attribute__((always_inline)) void
pack_row_see(uint32_t format, const uint8_t *data, uint32_t kc, struct pack_range *range, uint32_t l)
{
	struct pack_eight eight = { _mm512_setzero_si512(), _mm512_set1_epi64(-1), _mm512_setzero_pd() };

	for (uint32_t i = 0; i < kc; i += 64, data += 64 * 4) {
		__m512i left[4];

		pack_row_words(data, 4, kc - i < 64 ? kc - i : 64, left);
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++) {
			const struct pack_sixteen x = pack_row_numbers(format, left[j]);

			pack_see(&eight, x.first, NULL, 0);
			pack_see(&eight, x.second, NULL, 0);
		}
	}
	range->most[l] = _mm512_reduce_max_epu64(eight.most);
	range->last[l] = _mm512_reduce_min_epu64(pack_last(&eight));
	range->squares[l] = _mm512_reduce_add_pd(eight.squares);
}

static inline float pack_float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/*
 * A row as FP32; false as pack_float_see().  Of kc <= 4096 k's no more than 256 squares go to one sum of
 * sixteen.
 */
static inline __attribute__((always_inline)) bool
pack_row_see_floats(uint32_t format, const uint8_t *data, uint32_t element, uint32_t kc,
		    struct pack_range *range, uint32_t l)
{
	struct pack_float_seen see = pack_float_nothing();
	uint32_t large, small;
	__m512d sum;

	for (uint32_t i = 0; i < kc; i += 64, data += 64 * element) {
		__m512i left[4];

		pack_row_words(data, element, kc - i < 64 ? kc - i : 64, left);
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++)
			(void)pack_float_add(format, &see, left[j]);
	}
	if (!pack_float_fits(&see))
		return false;
	large = _mm512_reduce_max_epu32(see.large);
	small = _mm512_reduce_min_epu32(see.small);
	sum = _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(see.sum)),
			    _mm512_cvtps_pd(_mm512_extractf32x8_ps(see.sum, 1)));
	range->most[l] = large > PACK_FLOAT_NOTHING ? pack_bits((double)pack_float_of(large)) : 0;
	range->last[l] = small == UINT32_MAX ? PACK_INF : pack_bits((double)pack_float_of(small));
	range->squares[l] = _mm512_reduce_add_pd(sum);
	return true;
}

/* All of a panel's lanes; false: another way has to be taken. */
static inline bool pack_rows_weigh(struct pack_range *range, const struct gemm_panel *panel,
				   const struct gemm_source *source, uint32_t used, uint64_t k, uint32_t kc)
{
	if (!pack_has_rows(source))
		return false;
	pack_nothing_seen(range, RESIDUE_ROWS);
	for (uint32_t l = 0; l < used; l++) {
		const uint8_t *row = pack_row(source, panel->lane[l], k);
		bool seen = true;

		switch (source->format) {
		case QUIRE_FORMAT_POSIT32:
			pack_row_see(QUIRE_FORMAT_POSIT32, row, kc, range, l);
			break;
		case QUIRE_FORMAT_FP32:
			pack_row_see(QUIRE_FORMAT_FP32, row, kc, range, l);
			break;
		case QUIRE_FORMAT_POSIT16:
			seen = pack_row_see_floats(QUIRE_FORMAT_POSIT16, row, 2, kc, range, l);
			break;
		case QUIRE_FORMAT_POSIT8:
			seen = pack_row_see_floats(QUIRE_FORMAT_POSIT8, row, 1, kc, range, l);
			break;
		case QUIRE_FORMAT_BF16:
			seen = pack_row_see_floats(QUIRE_FORMAT_BF16, row, 2, kc, range, l);
			break;
		}
		if (!seen || range->most[l] >= PACK_INF)
			return false;
	}
	return true;
}

/* A row to residues, by way of FP32 (integers below 2^30) or of doubles. */
static inline __attribute__((always_inline)) void
pack_row_narrow(uint32_t format, const struct gemm_panel *panel, const uint8_t *data, uint32_t element,
		uint32_t l, uint32_t kc)
{
	const __m512 by = _mm512_set1_ps((float)pack_power(-panel->units.exponent[l]));
	uint8_t *to = panel->residues + (size_t)l * 64;

	for (uint32_t i = 0; i < kc; i += 64, data += 64 * element, to += 64 * RESIDUE_ROWS) {
		__m512i v[4];

		pack_row_words(data, element, kc - i < 64 ? kc - i : 64, v);
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++)
			v[j] = pack_integers(format, v[j], by);
		residue_pack_narrow(v, to, panel->plane, panel->moduli, true);
	}
}

static inline __attribute__((always_inline)) void
pack_row_wide(uint32_t format, const struct gemm_panel *panel, const uint8_t *data, uint32_t element,
	      uint32_t l, uint32_t kc)
{
	const __m512d magic = _mm512_set1_pd(GEMM_MAGIC);
	const __m512d by = _mm512_set1_pd(pack_power(-panel->units.exponent[l]));
	uint8_t *to = panel->residues + (size_t)l * 64;

	for (uint32_t i = 0; i < kc; i += 64, data += 64 * element, to += 64 * RESIDUE_ROWS) {
		__m512i left[4], x[4][2];

		pack_row_words(data, element, kc - i < 64 ? kc - i : 64, left);
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++) {
			const struct pack_sixteen d = pack_row_numbers(format, left[j]);

			x[j][0] = _mm512_castpd_si512(_mm512_fmadd_pd(d.first, by, magic));
			x[j][1] = _mm512_castpd_si512(_mm512_fmadd_pd(d.second, by, magic));
		}
		residue_pack_wide(x, to, panel->plane, panel->moduli, true);
	}
}

/* The one that will do; narrow: all of the panel's integers are below 2^30 and scales fit FP32. */
static inline __attribute__((always_inline)) void
pack_row_to_residues(uint32_t format, const struct gemm_panel *panel, const uint8_t *data, uint32_t l,
		     uint32_t kc, bool narrow)
{
	const uint32_t element = QUIRE_FORMAT_BITS(format) / 8;

	if (narrow)
		pack_row_narrow(format, panel, data, element, l, kc);
	else
		pack_row_wide(format, panel, data, element, l, kc);
}

/*
 * All of a panel; false: another way has to be taken.  What is in rows that no lane is at multiplies only
 * sums that nobody looks at.
 */
static inline bool pack_rows_pack(const struct gemm_panel *panel, const struct gemm_source *source,
				  uint32_t used, uint64_t k, uint32_t kc)
{
	const bool narrow = pack_floats_fit(panel, RESIDUE_ROWS);

	if (!pack_has_rows(source) || panel->words)
		return false;
	for (uint32_t l = 0; l < used; l++)
		if (panel->special[l])
			return false;
	for (uint32_t l = 0; l < used; l++) {
		const uint8_t *row = pack_row(source, panel->lane[l], k);

		switch (source->format) {
		case QUIRE_FORMAT_POSIT32:
			pack_row_to_residues(QUIRE_FORMAT_POSIT32, panel, row, l, kc, false);
			break;
		case QUIRE_FORMAT_FP32:
			pack_row_to_residues(QUIRE_FORMAT_FP32, panel, row, l, kc, false);
			break;
		case QUIRE_FORMAT_POSIT16:
			pack_row_to_residues(QUIRE_FORMAT_POSIT16, panel, row, l, kc, narrow);
			break;
		case QUIRE_FORMAT_POSIT8:
			pack_row_to_residues(QUIRE_FORMAT_POSIT8, panel, row, l, kc, narrow);
			break;
		case QUIRE_FORMAT_BF16:
			pack_row_to_residues(QUIRE_FORMAT_BF16, panel, row, l, kc, narrow);
			break;
		}
	}
	return true;
}

#endif /* QUIRE_PACK_ROWS_AVX512_H */
