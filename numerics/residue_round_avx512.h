/* SPDX-License-Identifier: MIT */
/*
 * Sums of a tile from their residues to stored elements and their digest, without the
 * integers of residue_sums().  The Chinese remainder theorem as fractions: S / P is, but for an
 * integer, the sum of f / m over the moduli m, with f any number that is the residue times the
 * inverse of P / m, modulo m.  Fractions are taken modulo 1 in 64 bits, as that many are summed
 * by integer arithmetic alone, and become doubles.  Their error e has a bound:
 *
 *	whole	when e P is below a half, the nearest integer is the sum
 *	near	else S is between two doubles.  When no number half-way between two elements lies
 *		there, nor 0, both round to the same element, and so does S
 *
 * Sixteen sums of which one is in doubt are restored as integers.  Where lanes are cut (cut_avx512.h) the
 * rests are a part of the error, and what is in doubt is restored one by one, with them.
 */
#ifndef QUIRE_RESIDUE_ROUND_AVX512_H
#define QUIRE_RESIDUE_ROUND_AVX512_H

#include <immintrin.h>

#include "convert_avx512.h"
#include "residue_avx512.h"
#include "store_template.h"

/*
 * Fractions are wrong by less than this many units of 2^-64, see residue_fractions().  With six
 * moduli P is below 2^47.9 and S below 2^46.9: a double's last bit weighs less than 2^-5.
 */
#define RESIDUE_ERROR 2
#define RESIDUE_WHOLE 6		/* moduli */

/* What makes terms of fractions positive. */
#define RESIDUE_OFFSET (1 << 18)

/* A tile that had so many doubtful sixteens is taken for one whose sums often are. */
#define RESIDUE_DOUBTS 4

/* What all rows of a tile have in common. */
struct residue_tile_store {
	const struct gemm_store *store;
	const int32_t *sums;
	size_t tile;			/* sums from one modulus to the next */
	uint32_t moduli;
	uint64_t begin[2];		/* of upper and lower sums of fractions */
	const int32_t *exponent;	/* of columns */
	uint32_t bits, bytes;		/* of an element */
	bool overflows;
	uint32_t magnitude, infinity;	/* bits of an element; one that overflowed */
	double unit, error;		/* of a fraction of 2^-64; the unit has the factor's sign */
	uint64_t decisive;		/* bits of a double that all between two decisions share */
	uint32_t doubts;
	const __m512d *by_column;	/* powers of two */
	/* where to look again at what cut lanes leave in doubt, columns from first on */
	const struct gemm_panel *a, *b;
	uint32_t first;
	/* of columns in their units: sum of rests' magnitudes, and an element's largest */
	const __m512d *lost, *most;
};

/* The same of a row.  Each lane's sum of magnitudes times the other's largest bound what rests add. */
struct residue_rests {
	double lost, most;
};

/* What its elements add up to; exceptional ones are counted lane by lane. */
struct residue_tally {
	__m512i digest, exceptional;
};

/*
 * Fractions of 48 sums or less, eight columns to a vector, in units of 2^-64, from residues +
 * RESIDUE_BIAS.  f, below 2^17 in magnitude, is made positive by 2^18 and multiplied by upper and lower of
 * 1 / m on the 52-bit multiplier: f * upper modulo 2^52, which is modulo 1, and f * lower, which is
 * below 2^(19 + 33), to the bit.  Sums start with what 2^18 comes to, taken away.  1 / m is wrong by half a
 * unit of 2^-85, 15 terms by less than 15 * 2^(17 - 1 - 21) < 0.5 units of 2^-64; the lower sum loses less than
 * one more where it is cut to those.
 */
static inline __attribute__((always_inline)) void
residue_fractions(const struct residue_tile_store *s, const int32_t *sums, int vectors,
		  __m512i out[6])
{
	const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
	const __m512i second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
	const __m512i lower_half = _mm512_set1_epi64(UINT32_MAX);
	const struct residue_system *system = &residue_system[s->moduli - 1];
	/* of even columns and of odd ones */
	__m512i upper[3][2], lower[3][2];

#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		upper[v][0] = upper[v][1] = _mm512_set1_epi64((int64_t)s->begin[0]);
		lower[v][0] = lower[v][1] = _mm512_set1_epi64((int64_t)s->begin[1]);
	}
	for (uint32_t t = 0; t < s->moduli; t++, sums += s->tile) {
		const struct residue_back *back = &system->back[t];
		const __m512i start = _mm512_set1_epi32(RESIDUE_OFFSET + back->start);
		const __m512i weights = _mm512_set1_epi32((int)back->weights);
		const __m512i c = _mm512_set1_epi64((int64_t)residue_fraction[t].upper);
		const __m512i rest = _mm512_set1_epi64((int64_t)residue_fraction[t].lower);

#pragma GCC unroll 3
		for (int v = 0; v < vectors; v++) {
			__m512i f = _mm512_dpbusd_epi32(start, _mm512_load_si512(sums + v * 16), weights);
			const __m512i even = _mm512_and_si512(f, lower_half), odd = _mm512_srli_epi64(f, 32);

			upper[v][0] = _mm512_madd52lo_epu64(upper[v][0], even, c);
			upper[v][1] = _mm512_madd52lo_epu64(upper[v][1], odd, c);
			lower[v][0] = _mm512_madd52lo_epu64(lower[v][0], even, rest);
			lower[v][1] = _mm512_madd52lo_epu64(lower[v][1], odd, rest);
		}
	}
#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		__m512i x[2];

#pragma GCC unroll 2
		for (int h = 0; h < 2; h++)
			x[h] = _mm512_add_epi64(_mm512_slli_epi64(upper[v][h], 12),
						_mm512_srai_epi64(lower[v][h], 21));
		out[2 * v] = _mm512_permutex2var_epi64(x[0], first, x[1]);
		out[2 * v + 1] = _mm512_permutex2var_epi64(x[0], second, x[1]);
	}
}

static inline __m512d residue_power(int32_t e)
{
	return _mm512_castsi512_pd(_mm512_set1_epi64((int64_t)(1023 + e) << 52));
}

/*
 * Sums of a row as doubles times powers of two, whole ones exactly: a 0 becomes +0.  Near ones are
 * any number between the bounds.  Conversion, product and unit of a fraction, and the bounds' own
 * arithmetic, have relative errors of 2^-53 each, for which the bounds leave 2^-50.  Which
 * of the 48 are in doubt.
 */
static inline __attribute__((always_inline)) uint64_t
residue_row(const struct residue_tile_store *s, const __m512i fraction[6], int vectors, int32_t exponent,
	    const struct residue_rests *row, const double *more, __m512d x[6], __m512d above[6])
{
	const bool is_near = row || s->moduli > RESIDUE_WHOLE;
	const __m512d power = residue_power(exponent), sign = _mm512_set1_pd(-0.0);
	const __m512d unit = _mm512_mul_pd(power, _mm512_set1_pd(s->unit));
	const __m512d magic = _mm512_mul_pd(power, _mm512_set1_pd(GEMM_MAGIC));
	const __m512d error = _mm512_mul_pd(power, _mm512_set1_pd(s->error));
	const __m512i decisive = _mm512_set1_epi64((int64_t)s->decisive);
	uint64_t doubt = 0;

#pragma GCC unroll 6
	for (int v = 0; v < 2 * vectors; v++) {
		__m512d low, high = _mm512_setzero_pd(), near;
		__m512i differ;

		x[v] = _mm512_cvtepi64_pd(fraction[v]);
		if (!is_near) {
			low = _mm512_sub_pd(_mm512_fmadd_pd(x[v], unit, magic), magic);
		} else {
			x[v] = _mm512_mul_pd(x[v], unit);
			if (more)
				x[v] = _mm512_add_pd(x[v], _mm512_load_pd(more + 8 * v));
			near = error;
			if (row) {
				near = _mm512_fmadd_pd(_mm512_set1_pd(row->lost), s->most[v], near);
				near = _mm512_fmadd_pd(_mm512_set1_pd(row->most), s->lost[v], near);
			}
			/* the error with the sign of x: 0xf8 is a or (b and c) */
			near = _mm512_castsi512_pd(_mm512_ternarylogic_epi64(
				_mm512_castpd_si512(near), _mm512_castpd_si512(x[v]),
				_mm512_castpd_si512(sign), 0xf8));
			low = _mm512_fmsub_pd(x[v], _mm512_set1_pd(1 - 0x1p-49), near);
			high = _mm512_fmadd_pd(x[v], _mm512_set1_pd(1 + 0x1p-49), near);
			differ = _mm512_xor_si512(_mm512_castpd_si512(low), _mm512_castpd_si512(high));
			doubt |= (uint64_t)_mm512_test_epi64_mask(differ, decisive) << (8 * v);
		}
		x[v] = _mm512_mul_pd(low, s->by_column[v]);
		if (above)
			above[v] = _mm512_mul_pd(high, s->by_column[v]);
	}
	return doubt;
}

/* Truncated, and the last bit set when bits are lost or odd says so; of numbers of 2^-126 and up. */
static inline __attribute__((always_inline)) __m512i
residue_narrow_to_odd(struct pack_sixteen x, bool odd)
{
	const int truncate = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
	const __m512i lost = _mm512_set1_epi64((1 << 29) - 1), one = _mm512_set1_epi32(1);
	__m512i word = convert_join(_mm512_cvt_roundpd_ps(x.first, truncate),
				    _mm512_cvt_roundpd_ps(x.second, truncate));
	__mmask8 first, second;

	if (odd)
		return _mm512_or_si512(word, one);
	first = _mm512_test_epi64_mask(_mm512_castpd_si512(x.first), lost);
	second = _mm512_test_epi64_mask(_mm512_castpd_si512(x.second), lost);
	return _mm512_mask_or_epi32(word, (__mmask16)(first | second << 8), word, one);
}

/* The last bit set: no decision is so, and of near ones none is in between. */
static inline __attribute__((always_inline)) struct pack_sixteen
residue_odd(struct pack_sixteen x)
{
	const __m512i one = _mm512_set1_epi64(1);

	return (struct pack_sixteen){
		_mm512_castsi512_pd(_mm512_or_si512(_mm512_castpd_si512(x.first), one)),
		_mm512_castsi512_pd(_mm512_or_si512(_mm512_castpd_si512(x.second), one)) };
}

/* Numbers of a row, none of them NaN, to elements in the lower bits of words. */
static inline __attribute__((always_inline)) void
residue_to_elements(uint32_t kind, const struct residue_tile_store *s, bool near, const __m512d x[6],
		    int vectors, __m512i word[3])
{
#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		struct pack_sixteen y = { x[2 * v], x[2 * v + 1] };

		if (kind == QUIRE_FORMAT_POSIT32)
			word[v] = convert_doubles_to_posit(near ? residue_odd(y) : y, s->bits);
		else if (kind == QUIRE_FORMAT_FP32)
			word[v] = convert_narrow(near ? residue_odd(y) : y);
		else
			word[v] = convert_from_word(kind, residue_narrow_to_odd(y, near), s->bits);
	}
}

static inline __attribute__((always_inline)) void
residue_to_format(const struct residue_tile_store *s, bool near, const __m512d x[6], int vectors,
		  __m512i word[3])
{
	switch (s->store->format) {
	case QUIRE_FORMAT_FP32:
		residue_to_elements(QUIRE_FORMAT_FP32, s, near, x, vectors, word);
		break;
	case QUIRE_FORMAT_BF16:
		residue_to_elements(QUIRE_FORMAT_BF16, s, near, x, vectors, word);
		break;
	case QUIRE_FORMAT_FP16:
		residue_to_elements(QUIRE_FORMAT_FP16, s, near, x, vectors, word);
		break;
	case QUIRE_FORMAT_E4M3:
		residue_to_elements(QUIRE_FORMAT_E4M3, s, near, x, vectors, word);
		break;
	case QUIRE_FORMAT_E5M2:
		residue_to_elements(QUIRE_FORMAT_E5M2, s, near, x, vectors, word);
		break;
	case QUIRE_FORMAT_INT8:
		residue_to_elements(QUIRE_FORMAT_INT8, s, near, x, vectors, word);
		break;
	default:
		if (s->bits > 16)
			residue_to_elements(QUIRE_FORMAT_POSIT32, s, near, x, vectors, word);
		else
			residue_to_elements(QUIRE_FORMAT_POSIT16, s, near, x, vectors, word);
		break;
	}
}

/* The first count of sixteen elements stored, and those counted that some says. */
static inline __attribute__((always_inline)) void
residue_put(const struct residue_tile_store *s, __m512i x, uint8_t *at, __m512i places, uint32_t count,
	    __mmask16 some, struct residue_tally *tally)
{
	const __m512i own = _mm512_set1_epi32((int)(uint32_t)((1ull << s->bits) - 1));

	if (s->overflows)
		tally->exceptional = _mm512_mask_sub_epi32(
			tally->exceptional,
			_mm512_mask_cmpeq_epi32_mask(
				some, _mm512_and_si512(x, _mm512_set1_epi32((int)s->magnitude)),
				_mm512_set1_epi32((int)s->infinity)),
			tally->exceptional, _mm512_set1_epi32(-1));
	if (s->store->relu)
		x = _mm512_maskz_mov_epi32(~_mm512_movepi32_mask(_mm512_sll_epi32(
			x, _mm_cvtsi32_si128((int)(32 - s->bits)))), x);
	convert_store(at, s->bytes, x, count);
	x = _mm512_and_si512(x, own);
	tally->digest = tally_words(tally->digest, x, places, s->bytes == 4, some);
}

/* Sixteen sums or less by way of integers. */
static __attribute__((noinline)) void
residue_put_exact(const struct residue_tile_store *s, const int32_t *sums, int32_t row_exponent,
		  const int32_t *exponent, uint8_t *at, uint64_t index, uint32_t count,
		  struct gemm_tally *tally)
{
	struct gemm_store store = *s->store;
	_Alignas(64) uint64_t low[ROUND_RUN];
	_Alignas(64) int64_t high[ROUND_RUN];
	const bool wide = s->moduli > 8;

	store.offset += row_exponent;
	residue_sums(sums, s->tile, s->moduli, low, wide ? high : NULL);
	round_store(&store, count, low, wide ? high : NULL, exponent, at, index, tally);
}

/* Those sixteens of a row that have any in doubt. */
static void residue_put_doubtful(struct residue_tile_store *s, const int32_t *sums, int32_t row_exponent,
				 uint8_t *at, uint64_t index, uint32_t columns, uint64_t doubt,
				 struct gemm_tally *tally)
{
	for (uint32_t j = 0; j < columns; j += 16)
		if (doubt >> j & 0xffff) {
			residue_put_exact(s, sums + j, row_exponent, s->exponent + j,
					  at + (size_t)j * s->bytes, index + j,
					  columns - j < 16 ? columns - j : 16, tally);
			s->doubts++;
		}
}

/* Where a row goes, and its sums. */
struct residue_line {
	const int32_t *sums;
	uint8_t *at;
	uint64_t index;
	uint32_t i, columns;
};

static inline uint64_t residue_columns(uint32_t columns)
{
	return (1ull << columns) - 1;
}

/* Row i of a tile, or the next one. */
static inline void residue_line_at(const struct residue_tile_store *s, struct residue_line *line,
				   const struct gemm_place *place, uint32_t i)
{
	const uint32_t row = s->a->lane[i < s->a->used ? i : 0];

	line->i = i;
	line->sums = s->sums + i * 48 + s->first;
	line->at = place->at + row * place->row_bytes + (size_t)s->first * s->bytes;
	line->index = place->index + row * place->row_index + s->first;
}

#endif /* QUIRE_RESIDUE_ROUND_AVX512_H */
