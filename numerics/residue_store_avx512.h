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
 * Sixteen sums of which one is in doubt are restored as integers.
 */
#ifndef QUIRE_RESIDUE_STORE_AVX512_H
#define QUIRE_RESIDUE_STORE_AVX512_H

#include <immintrin.h>

#include "convert_avx512.h"
#include "residue_avx512.h"
#include "store_template.h"

/*
 * Fractions are wrong by less than this many units of 2^-64, see residue_fractions().  With six
 * moduli P is below 2^47.9 and S below 2^46.9: a double's last bit weighs less than 2^-5.
 */
#define RESIDUE_ERROR 4
#define RESIDUE_WHOLE 6		/* moduli */

/* A tile that had so many doubtful sixteens is taken for one whose sums often are. */
#define RESIDUE_DOUBTS 4

/* What all rows of a tile have in common. */
struct residue_tile_store {
	const struct gemm_store *store;
	size_t tile;			/* sums from one modulus to the next */
	uint32_t moduli;
	const int32_t *exponent;	/* of columns */
	uint32_t bits, bytes;		/* of an element */
	bool overflows;
	uint32_t magnitude, infinity;	/* bits of an element; one that overflowed */
	double unit, error;		/* of a fraction of 2^-64; the unit has the factor's sign */
	uint64_t decisive;		/* bits of a double that all between two decisions share */
	uint32_t doubts;
	const __m512d *by_column;	/* powers of two */
};

/* What its elements add up to; exceptional ones are counted lane by lane. */
struct residue_tally {
	__m512i digest, exceptional;
};

/*
 * Fractions of 48 sums or less, eight columns to a vector, in units of 2^-64, from residues +
 * RESIDUE_BIAS.  Words f + RESIDUE_MAGIC_BITS, |f| < 2^17, are multiplied by c, which is 2^64 / m
 * to an integer, modulo 2^64: those of odd columns shifted down, those of even ones with the odd one
 * above, which adds 2^32 times the odd one's sum.  As floats, which they also are, they
 * give what is lost with c.  Terms are below 2^23.6 * 0.64, in an order that keeps their sums
 * below 2^23, so that an addition is wrong by at most a quarter.  The worst case over all
 * numbers of moduli, with the table's last bits, is 3.2 before the conversion to an integer adds a half.
 */
static inline __attribute__((always_inline)) void
residue_fractions(const struct residue_tile_store *s, const int32_t *sums, int vectors,
		  __m512i out[6])
{
	const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
	const __m512i second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
	const struct residue_system *system = &residue_system[s->moduli - 1];
	/* what RESIDUE_MAGIC_BITS and RESIDUE_MAGIC come to, taken away again */
	const uint64_t begin = residue_fraction[s->moduli - 1].begin;
	const __m512 lost_begin = _mm512_set1_ps(residue_fraction[s->moduli - 1].lost_begin);
	__m512i odd[3], even[3];
	__m512 lost[3];

#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		odd[v] = _mm512_set1_epi64((int64_t)begin);
		even[v] = _mm512_set1_epi64((int64_t)(begin + (begin << 32)));
		lost[v] = lost_begin;
	}
	for (uint32_t t = 0; t < s->moduli; t++, sums += s->tile) {
		const struct residue_back *back = &system->back[t];
		const __m512i start = _mm512_set1_epi32(RESIDUE_MAGIC_BITS + back->start);
		const __m512i weights = _mm512_set1_epi32((int)back->weights);
		const __m512i c = _mm512_set1_epi64((int64_t)residue_fraction[t].c);
		const __m512 rest = _mm512_set1_ps(residue_fraction[t].lost);

#pragma GCC unroll 3
		for (int v = 0; v < vectors; v++) {
			__m512i f = _mm512_dpbusd_epi32(start, _mm512_load_si512(sums + v * 16), weights);

			even[v] = _mm512_add_epi64(even[v], _mm512_mullo_epi64(f, c));
			odd[v] = _mm512_add_epi64(odd[v], _mm512_mullo_epi64(_mm512_srli_epi64(f, 32), c));
			lost[v] = _mm512_fmadd_ps(_mm512_castsi512_ps(f), rest, lost[v]);
		}
	}
#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		__m512i n = _mm512_cvtps_epi32(lost[v]), x, y;

		x = _mm512_sub_epi64(even[v], _mm512_slli_epi64(odd[v], 32));
		x = _mm512_add_epi64(x, _mm512_srai_epi64(_mm512_slli_epi64(n, 32), 32));
		y = _mm512_add_epi64(odd[v], _mm512_srai_epi64(n, 32));
		out[2 * v] = _mm512_permutex2var_epi64(x, first, y);
		out[2 * v + 1] = _mm512_permutex2var_epi64(x, second, y);
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
	    __m512d x[6])
{
	const __m512d power = residue_power(exponent), sign = _mm512_set1_pd(-0.0);
	const __m512d unit = _mm512_mul_pd(power, _mm512_set1_pd(s->unit));
	const __m512d magic = _mm512_mul_pd(power, _mm512_set1_pd(GEMM_MAGIC));
	const __m512d error = _mm512_mul_pd(power, _mm512_set1_pd(s->error));
	const __m512i decisive = _mm512_set1_epi64((int64_t)s->decisive);
	uint64_t doubt = 0;

#pragma GCC unroll 6
	for (int v = 0; v < 2 * vectors; v++) {
		__m512d low, high, near;
		__m512i differ;

		x[v] = _mm512_cvtepi64_pd(fraction[v]);
		if (s->moduli <= RESIDUE_WHOLE) {
			low = _mm512_sub_pd(_mm512_fmadd_pd(x[v], unit, magic), magic);
		} else {
			x[v] = _mm512_mul_pd(x[v], unit);
			/* the error with the sign of x: 0xf8 is a or (b and c) */
			near = _mm512_castsi512_pd(_mm512_ternarylogic_epi64(
				_mm512_castpd_si512(error), _mm512_castpd_si512(x[v]),
				_mm512_castpd_si512(sign), 0xf8));
			low = _mm512_fmsub_pd(x[v], _mm512_set1_pd(1 - 0x1p-50), near);
			high = _mm512_fmadd_pd(x[v], _mm512_set1_pd(1 + 0x1p-50), near);
			differ = _mm512_xor_si512(_mm512_castpd_si512(low), _mm512_castpd_si512(high));
			doubt |= (uint64_t)_mm512_test_epi64_mask(differ, decisive) << (8 * v);
		}
		x[v] = _mm512_mul_pd(low, s->by_column[v]);
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
residue_to_elements(uint32_t kind, const struct residue_tile_store *s, const __m512d x[6], int vectors,
		    __m512i word[3])
{
	const bool near = s->moduli > RESIDUE_WHOLE;

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
residue_to_format(const struct residue_tile_store *s, const __m512d x[6], int vectors, __m512i word[3])
{
	switch (s->store->format) {
	case QUIRE_FORMAT_FP32:
		residue_to_elements(QUIRE_FORMAT_FP32, s, x, vectors, word);
		break;
	case QUIRE_FORMAT_BF16:
		residue_to_elements(QUIRE_FORMAT_BF16, s, x, vectors, word);
		break;
	case QUIRE_FORMAT_FP16:
		residue_to_elements(QUIRE_FORMAT_FP16, s, x, vectors, word);
		break;
	case QUIRE_FORMAT_E4M3:
		residue_to_elements(QUIRE_FORMAT_E4M3, s, x, vectors, word);
		break;
	case QUIRE_FORMAT_E5M2:
		residue_to_elements(QUIRE_FORMAT_E5M2, s, x, vectors, word);
		break;
	case QUIRE_FORMAT_INT8:
		residue_to_elements(QUIRE_FORMAT_INT8, s, x, vectors, word);
		break;
	default:
		if (s->bits > 16)
			residue_to_elements(QUIRE_FORMAT_POSIT32, s, x, vectors, word);
		else
			residue_to_elements(QUIRE_FORMAT_POSIT16, s, x, vectors, word);
		break;
	}
}

/* Sixteen elements stored and counted, those that some says. */
static inline __attribute__((always_inline)) void
residue_put(const struct residue_tile_store *s, __m512i x, uint8_t *at, __m512i places, __mmask16 some,
	    struct residue_tally *tally)
{
	const __m512i own = _mm512_set1_epi32((int)(uint32_t)((1ull << s->bits) - 1));
	const uint32_t count = (uint32_t)__builtin_popcount(some);

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

static inline __attribute__((always_inline)) void
residue_put_row(struct residue_tile_store *s, const int32_t *sums, int vectors,
		int32_t row_exponent, uint8_t *at, uint64_t index, uint32_t columns,
		struct residue_tally *run, struct gemm_tally *tally)
{
	const uint64_t all = (1ull << columns) - 1;
	__m512i fraction[6], word[3];
	uint64_t doubt;
	__m512d x[6];

	if (s->doubts >= RESIDUE_DOUBTS) {
		residue_put_doubtful(s, sums, row_exponent, at, index, columns, all, tally);
		return;
	}
	residue_fractions(s, sums, vectors, fraction);
	doubt = residue_row(s, fraction, vectors, row_exponent + s->store->offset, x) & all;
	residue_to_format(s, x, vectors, word);
#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		const uint32_t j = (uint32_t)v * 16;

		if ((doubt >> j & 0xffff) == 0)
			residue_put(s, word[v], at + (size_t)j * s->bytes, tally_places(index + j),
				    (__mmask16)(all >> j), run);
	}
	if (doubt)
		residue_put_doubtful(s, sums, row_exponent, at, index, columns, doubt, tally);
}

/* The highest bit that tells numbers apart on both sides of a half-way one, and all above. */
static inline uint64_t residue_decisive(uint32_t format, uint32_t bits)
{
	/* significant bits behind the first of a number half-way between two elements */
	int behind;

	switch (format) {
	case QUIRE_FORMAT_FP64:
		/* a double has no room for these: no bit tells */
		behind = 52;
		break;
	case QUIRE_FORMAT_FP32:
		behind = 24;
		break;
	case QUIRE_FORMAT_FP16:
		behind = 11;
		break;
	case QUIRE_FORMAT_BF16:
	case QUIRE_FORMAT_INT8:
		behind = 8;
		break;
	case QUIRE_FORMAT_E4M3:
	case QUIRE_FORMAT_E5M2:
		behind = 4;
		break;
	default:
		/* posit<bits + 1> */
		behind = bits > 4 ? (int)bits - 4 : 0;
		break;
	}
	return -(1ull << (52 - behind));
}

/* Powers of two of 48 columns; the least exponent of a unit of a tile's sums. */
static inline int32_t residue_powers(const struct gemm_store *store, const struct gemm_panel *a,
				     const struct gemm_panel *b, __m512d by_column[6])
{
	__m512i least = _mm512_set1_epi64(INT32_MAX);
	int32_t least_row = INT32_MAX;

	for (int v = 0; v < 6; v++) {
		__m512i e = _mm512_cvtepi32_epi64(_mm256_loadu_si256(
			(const __m256i *)(const void *)(b->exponent + 8 * v)));

		least = _mm512_min_epi64(least, e);
		by_column[v] = _mm512_castsi512_pd(_mm512_slli_epi64(
			_mm512_add_epi64(e, _mm512_set1_epi64(1023)), 52));
	}
	for (uint32_t i = 0; i < a->used; i++)
		least_row = a->exponent[i] < least_row ? a->exponent[i] : least_row;
	return least_row + (int32_t)_mm512_reduce_min_epi64(least) + store->offset;
}

/*
 * Columns first to end, multiples of 16, of a tile of 48 to where they belong; sums are its
 * residues modulo m[0], row by row, tile of them further the next.
 */
static void residue_store(const struct gemm_store *store, uint32_t moduli, const int32_t *sums,
			  size_t tile, const struct gemm_panel *a, const struct gemm_panel *b,
			  const struct gemm_place *place, uint32_t first, uint32_t end,
			  struct gemm_tally *tally)
{
	const uint32_t columns = (end < b->used ? end : b->used) - first;
	const struct residue_system *system = &residue_system[moduli - 1];
	const double product = residue_product(system);
	const uint32_t format = store->format, bits = QUIRE_FORMAT_BITS(format);
	__m512d by_column[6];
	struct residue_tile_store s = {
		.store = store,
		.tile = tile,
		.moduli = moduli,
		.exponent = b->exponent + first,
		.bits = bits,
		.bytes = gemm_element_bytes(format),
		.overflows = round_overflows(format),
		.magnitude = (1u << ((bits - 1) & 31)) - 1,
		.infinity = (uint32_t)gemm_special_bits(format, GEMM_PLUS_INF),
		.unit = product * (store->negate ? -0x1p-64 : 0x1p-64),
		.error = product * (RESIDUE_ERROR * 0x1p-64),
		.decisive = residue_decisive(format, bits),
		.by_column = by_column + first / 8,
		/* a double has no room for FP64's decisions */
		.doubts = format == QUIRE_FORMAT_FP64 ? RESIDUE_DOUBTS : 0,
	};
	struct residue_tally run = { _mm512_setzero_si512(), _mm512_setzero_si512() };

	if (residue_powers(store, a, b, by_column) < -126)
		s.doubts = RESIDUE_DOUBTS;
	for (uint32_t i = 0; i < a->used; i++) {
		uint8_t *at = place->at + a->lane[i] * place->row_bytes + (size_t)first * s.bytes;
		uint64_t index = place->index + a->lane[i] * place->row_index + first;
		const int32_t *from = sums + i * 48 + first;

		if (columns > 32)
			residue_put_row(&s, from, 3, a->exponent[i], at, index, columns, &run, tally);
		else if (columns > 16)
			residue_put_row(&s, from, 2, a->exponent[i], at, index, columns, &run, tally);
		else
			residue_put_row(&s, from, 1, a->exponent[i], at, index, columns, &run, tally);
	}
	tally->digest += tally_total(run.digest);
	/* a tile has fewer than 2^31 elements */
	tally->exceptional += (uint32_t)_mm512_reduce_add_epi32(run.exceptional);
}

#endif /* QUIRE_RESIDUE_STORE_AVX512_H */
