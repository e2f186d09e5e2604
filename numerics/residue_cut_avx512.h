/* SPDX-License-Identifier: MIT */
/*
 * Tiles of cut lanes (struct gemm_cut) to stored elements.  What the rests of two lanes add to a sum is
 * less than the sum of the magnitudes of each lane's rests times the other's largest number, which is a part of the
 * error of the fractions (residue_round_avx512.h).  Where that leaves a rounding in doubt the rests' products
 * are added: as doubles first, and exactly where these leave it in doubt as well.
 */
#ifndef QUIRE_RESIDUE_CUT_AVX512_H
#define QUIRE_RESIDUE_CUT_AVX512_H

#include <immintrin.h>

#include "pack_template.h"
#include "residue_round_avx512.h"

/* Where element k of a lane is. */
static inline const uint8_t *residue_element(const struct gemm_source *source, uint64_t lane, uint32_t k)
{
	return source->data + (lane * source->lane_stride + k * source->k_stride) * source->element;
}

/* The elements of a lane at the k's of count <= 8 rests. */
static inline __m512d residue_gather(const struct gemm_source *source, uint64_t lane,
				     const struct gemm_rest *rests, uint32_t count)
{
	_Alignas(64) uint64_t doubles[8] = { 0 };
	_Alignas(64) uint32_t words[16] = { 0 };
	uint32_t i;

	switch (source->format == QUIRE_FORMAT_MXFP8 ? 0 : source->element) {
	case 1:
		for (i = 0; i < count; i++)
			words[i] = *residue_element(source, lane, rests[i].k);
		break;
	case 2:
		for (i = 0; i < count; i++)
			words[i] = *(const uint16_t *)(const void *)residue_element(source, lane, rests[i].k);
		break;
	case 4:
		for (i = 0; i < count; i++)
			words[i] = *(const uint32_t *)(const void *)residue_element(source, lane, rests[i].k);
		break;
	default:
		for (i = 0; i < count; i++)
			pack_decode_source(source, lane, rests[i].k, 1, &doubles[i]);
		return _mm512_load_pd((double *)doubles);
	}
	return pack_decode_words(source->format, _mm512_load_si512(words)).first;
}

/* x less its multiple of 2^exponent, as it was packed. */
static inline __m512d residue_rest(__m512d x, int32_t exponent)
{
	const __m512d magic = _mm512_set1_pd(GEMM_MAGIC);
	__m512d v = _mm512_sub_pd(_mm512_fmadd_pd(x, residue_power(-exponent), magic), magic);

	return _mm512_fnmadd_pd(v, residue_power(exponent), x);
}

/* x / 2^exponent, at most 2^50 unless operands change meanwhile. */
static inline __m512i residue_integers(__m512d x, int32_t exponent)
{
	return _mm512_sub_epi64(_mm512_castpd_si512(_mm512_fmadd_pd(x, residue_power(-exponent),
								     _mm512_set1_pd(GEMM_MAGIC))),
				_mm512_set1_epi64((int64_t)GEMM_MAGIC_BITS));
}

/*
 * What rests add to a sum: where a = v_a + r_a and b = v_b + r_b, to v_a v_b the sums of r_a b
 * and of v_a r_b.
 */
struct residue_more {
	__m512d near;			/* as doubles, in eight parts */
	unsigned __int128 exact;	/* in whole units, modulo 2^128, in which the whole sum fits */
};

/* One lane of a panel and what its elements are. */
struct residue_lane {
	const struct gemm_source *source;
	const struct gemm_panel *panel;
	uint32_t l;
};

/* The rests of one lane times the other's numbers, or the integers that they became. */
static inline __attribute__((always_inline)) void
residue_add_rests(struct residue_more *more, struct residue_lane own, struct residue_lane other,
		  bool integers, bool exact)
{
	const struct gemm_rest *rests = own.panel->cut->rests[own.l];
	const uint32_t count = own.panel->cut->count[own.l];

	for (uint32_t i = 0; i < count; i += 8, rests += 8) {
		const uint32_t here = count - i < 8 ? count - i : 8;
		_Alignas(64) double rest[8] = { 0 };
		_Alignas(64) int64_t x[2][8];
		__m512d y = residue_gather(other.source, other.panel->lane[other.l], rests, here);

		for (uint32_t j = 0; j < here; j++)
			rest[j] = rests[j].rest;
		if (integers)
			y = _mm512_sub_pd(y, residue_rest(y, other.panel->units.exponent[other.l]));
		if (!exact) {
			more->near = _mm512_fmadd_pd(_mm512_load_pd(rest), y, more->near);
			continue;
		}
		_mm512_store_si512(x[0], residue_integers(_mm512_load_pd(rest),
							  own.panel->cut->whole.exponent[own.l]));
		_mm512_store_si512(x[1], residue_integers(y, other.panel->cut->whole.exponent[other.l]));
		for (uint32_t j = 0; j < 8; j++)
			more->exact += (unsigned __int128)x[0][j] * (unsigned __int128)x[1][j];
	}
}

/* Row i and column j of the tile. */
static inline __attribute__((always_inline)) struct residue_more
residue_more_of(const struct residue_tile_store *s, uint32_t i, uint32_t j, bool exact)
{
	const struct residue_lane row = { s->store->a, s->a, i };
	const struct residue_lane column = { s->store->b, s->b, s->first + j };
	struct residue_more more = { _mm512_setzero_pd(), 0 };

	residue_add_rests(&more, row, column, false, exact);
	residue_add_rests(&more, column, row, true, exact);
	return more;
}

/* Ask for what the same will read. */
static inline void residue_ask(const struct residue_tile_store *s, uint32_t i, uint32_t j)
{
	const struct gemm_cut *row = s->a->cut, *column = s->b->cut;

	if (s->store->a->format != QUIRE_FORMAT_MXFP8)
		for (uint32_t r = 0; r < column->count[j]; r++)
			_mm_prefetch(residue_element(s->store->a, s->a->lane[i], column->rests[j][r].k), _MM_HINT_T0);
	if (s->store->b->format != QUIRE_FORMAT_MXFP8)
		for (uint32_t r = 0; r < row->count[i]; r++)
			_mm_prefetch(residue_element(s->store->b, s->b->lane[j], row->rests[i][r].k), _MM_HINT_T0);
}

/* Those elements of a row of a cut tile that are in doubt, exactly. */
static __attribute__((noinline)) void
residue_put_cut(const struct residue_tile_store *s, const int32_t *sums, uint32_t i, uint8_t *at,
		uint64_t index, uint64_t doubt, struct gemm_tally *tally)
{
	const int32_t *exponent = s->b->cut->whole.exponent + s->first;
	const int32_t row_up = s->a->units.exponent[i] - s->a->cut->whole.exponent[i];
	struct gemm_store store = *s->store;

	store.offset += s->a->cut->whole.exponent[i];
	for (; doubt; doubt &= doubt - 1) {
		const uint32_t j = (uint32_t)__builtin_ctzll(doubt);
		_Alignas(64) uint64_t low[16];
		_Alignas(64) int64_t high[16];
		unsigned __int128 sum;

		residue_sums(sums + j / 16 * 16, s->tile, s->moduli, low, s->moduli > 8 ? high : NULL);
		if (s->moduli <= 8)
			high[j % 16] = (int64_t)low[j % 16] >> 63;
		sum = (unsigned __int128)(uint64_t)high[j % 16] << 64 | low[j % 16];
		sum <<= row_up + s->exponent[j] - exponent[j];
		sum += residue_more_of(s, i, j, true).exact;
		low[0] = (uint64_t)sum;
		high[0] = (int64_t)(uint64_t)(sum >> 64);
		round_store(&store, 1, low, high, exponent + j, at + (size_t)j * s->bytes, index + j, tally);
	}
}

/* The bound of what the rests of row i add to a sum, see struct residue_rests. */
static inline struct residue_rests residue_rests_of_row(const struct residue_tile_store *s, uint32_t i)
{
	const double power = pack_power(s->store->offset);

	return (struct residue_rests){
		.lost = s->a->cut->lost[i] * power,
		.most = (s->a->cut->most[i] + s->a->cut->lost[i]) * power,
	};
}

/*
 * The same row once more, with the rests of what is in doubt as doubles.  They are sums of at most
 * 2 GEMM_RESTS_MAX terms whose magnitudes come to less than the bound of the rests, so that 2^-44 of that
 * bounds what is lost in the sums.
 */
static __attribute__((noinline)) uint64_t
residue_row_again(const struct residue_tile_store *s, const __m512i fraction[6], uint32_t i, uint64_t doubt,
		  __m512d x[6])
{
	const int32_t offset = s->store->offset, exponent = s->a->units.exponent[i] + offset;
	struct residue_rests row = residue_rests_of_row(s, i);
	_Alignas(64) double more[48] = { 0 };

	for (uint64_t left = doubt; left; left &= left - 1) {
		const uint32_t j = (uint32_t)__builtin_ctzll(left);

		more[j] = _mm512_reduce_add_pd(residue_more_of(s, i, j, false).near) *
			  pack_power(offset - s->exponent[j]);
		more[j] = s->store->negate ? -more[j] : more[j];
	}
	row.lost *= 0x1p-44;
	row.most *= 0x1p-44;
	return residue_row(s, fraction, 3, exponent, &row, more, x, NULL) & doubt;
}

/* A row of which something is in doubt until what its rests need has come. */
struct residue_later {
	__m512i fraction[6];
	uint64_t doubt;
	struct residue_line line;
};

/* All columns are stored, and counted those that some says. */
static inline __attribute__((always_inline)) void
residue_put_words(const struct residue_tile_store *s, const struct residue_line *line, int vectors,
		  const __m512i word[3], uint64_t some, struct residue_tally *run)
{
#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		const uint32_t j = (uint32_t)v * 16;

		residue_put(s, word[v], line->at + (size_t)j * s->bytes, tally_places(line->index + j),
			    line->columns - j < 16 ? line->columns - j : 16, (__mmask16)(some >> j), run);
	}
}

static void residue_put_later(const struct residue_tile_store *s, const struct residue_later *later,
			      struct residue_tally *run, struct gemm_tally *tally)
{
	const struct residue_line *line = &later->line;
	__m512i word[3];
	uint64_t doubt;
	__m512d x[6];

	doubt = residue_row_again(s, later->fraction, line->i, later->doubt, x);
	residue_to_format(s, true, x, 3, word);
	if (line->columns > 32)
		residue_put_words(s, line, 3, word, later->doubt & ~doubt, run);
	else
		residue_put_words(s, line, line->columns > 16 ? 2 : 1, word, later->doubt & ~doubt, run);
	if (doubt)
		residue_put_cut(s, line->sums, line->i, line->at, line->index, doubt, tally);
}

/*
 * Which bounds round apart: residue_decisive() is for the numbers with the most bits of a format, and
 * takes elements for decisions.
 */
static __attribute__((noinline)) uint64_t
residue_differ(const struct residue_tile_store *s, const __m512d below[6], const __m512d above[6])
{
	__m512i low[3], high[3];
	uint64_t differ = 0;

	residue_to_format(s, true, below, 3, low);
	residue_to_format(s, true, above, 3, high);
#pragma GCC unroll 3
	for (int v = 0; v < 3; v++)
		differ |= (uint64_t)_mm512_cmpneq_epi32_mask(low[v], high[v]) << (16 * v);
	return differ;
}

/* A row of a cut tile; true: there is something for later. */
static inline __attribute__((always_inline)) bool
residue_put_cut_row(const struct residue_tile_store *s, const struct residue_line *line, int vectors,
		    struct residue_later *later, struct residue_tally *run)
{
	const uint64_t all = residue_columns(line->columns);
	const int32_t exponent = s->a->units.exponent[line->i] + s->store->offset;
	const struct residue_rests row = residue_rests_of_row(s, line->i);
	__m512d x[6], above[6];
	__m512i word[3];

	residue_fractions(s, line->sums, vectors, later->fraction);
	for (int v = 2 * vectors; v < 6; v++) {
		later->fraction[v] = _mm512_setzero_si512();
		x[v] = above[v] = _mm512_setzero_pd();
	}
	later->doubt = residue_row(s, later->fraction, vectors, exponent, &row, NULL, x, above) & all;
	if (later->doubt)
		later->doubt &= residue_differ(s, x, above);
	later->line = *line;
	for (uint64_t left = later->doubt; left; left &= left - 1)
		residue_ask(s, line->i, s->first + (uint32_t)__builtin_ctzll(left));
	residue_to_format(s, true, x, vectors, word);
	residue_put_words(s, line, vectors, word, all & ~later->doubt, run);
	return later->doubt;
}

/* See struct residue_tile_store. */
static inline void residue_rests_of_columns(const struct gemm_panel *b, __m512d lost[6], __m512d most[6])
{
	for (uint32_t v = 0; v < 6; v++) {
		_Alignas(64) double power[8];

		for (uint32_t l = 0; l < 8; l++)
			power[l] = pack_power(-b->units.exponent[8 * v + l]);
		lost[v] = _mm512_mul_pd(_mm512_loadu_pd(b->cut->lost + 8 * v), _mm512_load_pd(power));
		most[v] = _mm512_mul_pd(_mm512_loadu_pd(b->cut->most + 8 * v), _mm512_load_pd(power));
	}
}

/* The rows of a cut tile. */
static inline void residue_put_cut_tile(struct residue_tile_store *s, struct residue_line *line,
					const struct gemm_place *place, struct residue_tally *run,
					struct gemm_tally *tally)
{
	struct residue_later later[RESIDUE_ROWS];
	uint32_t count = 0;

	for (; line->i < s->a->used; residue_line_at(s, line, place, line->i + 1)) {
		bool more;

		if (s->doubts >= RESIDUE_DOUBTS) {
			residue_put_cut(s, line->sums, line->i, line->at, line->index,
					residue_columns(line->columns), tally);
			continue;
		}
		if (line->columns > 32)
			more = residue_put_cut_row(s, line, 3, &later[count], run);
		else if (line->columns > 16)
			more = residue_put_cut_row(s, line, 2, &later[count], run);
		else
			more = residue_put_cut_row(s, line, 1, &later[count], run);
		count += more;
	}
	for (uint32_t i = 0; i < count; i++)
		residue_put_later(s, &later[i], run, tally);
}

#endif /* QUIRE_RESIDUE_CUT_AVX512_H */
