/* SPDX-License-Identifier: MIT */
/* Tiles of residues to stored elements and their digest, see residue_round_avx512.h. */
#ifndef QUIRE_RESIDUE_STORE_AVX512_H
#define QUIRE_RESIDUE_STORE_AVX512_H

#include <immintrin.h>

#include "residue_cut_avx512.h"
#include "residue_round_avx512.h"

static inline __attribute__((always_inline)) void
residue_put_row(struct residue_tile_store *s, const struct residue_line *line, int vectors,
		struct residue_tally *run, struct gemm_tally *tally)
{
	const uint64_t all = residue_columns(line->columns);
	const int32_t exponent = s->a->units.exponent[line->i];
	__m512i fraction[6], word[3];
	uint64_t doubt;
	__m512d x[6];

	if (s->doubts >= RESIDUE_DOUBTS) {
		residue_put_doubtful(s, line->sums, exponent, line->at, line->index, line->columns, all, tally);
		return;
	}
	residue_fractions(s, line->sums, vectors, fraction);
	doubt = residue_row(s, fraction, vectors, exponent + s->store->offset, NULL, NULL, x, NULL) & all;
	residue_to_format(s, s->moduli > RESIDUE_WHOLE, x, vectors, word);
#pragma GCC unroll 3
	for (int v = 0; v < vectors; v++) {
		const uint32_t j = (uint32_t)v * 16;

		if ((doubt >> j & 0xffff) == 0)
			residue_put(s, word[v], line->at + (size_t)j * s->bytes, tally_places(line->index + j),
				    line->columns - j < 16 ? line->columns - j : 16, (__mmask16)(all >> j), run);
	}
	if (doubt)
		residue_put_doubtful(s, line->sums, exponent, line->at, line->index, line->columns, doubt, tally);
}

/*
 * The highest bit that tells numbers apart on both sides of a half-way one, and all above.  A double has
 * no room for FP64's: no bit tells.
 */
static inline uint64_t residue_decisive(uint32_t format)
{
	const uint32_t behind = gemm_decision_bits(format);

	return -(1ull << (52 - (behind < 52 ? behind : 52)));
}

/* Powers of two of 48 columns; the least exponent of a unit of a tile's sums. */
static inline int32_t residue_powers(const struct gemm_store *store, const struct gemm_panel *a,
				     const struct gemm_panel *b, __m512d by_column[6])
{
	__m512i least = _mm512_set1_epi64(INT32_MAX);
	int32_t least_row = INT32_MAX;

	for (int v = 0; v < 6; v++) {
		__m512i e = _mm512_cvtepi32_epi64(_mm256_loadu_si256(
			(const __m256i *)(const void *)(b->units.exponent + 8 * v)));

		least = _mm512_min_epi64(least, e);
		by_column[v] = _mm512_castsi512_pd(_mm512_slli_epi64(
			_mm512_add_epi64(e, _mm512_set1_epi64(1023)), 52));
	}
	for (uint32_t i = 0; i < a->used; i++)
		least_row = a->units.exponent[i] < least_row ? a->units.exponent[i] : least_row;
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
	/* from any column on there are six */
	__m512d by_column[10], lost[10], most[10];
	struct residue_tile_store s = {
		.store = store,
		.sums = sums,
		.tile = tile,
		.moduli = moduli,
		.exponent = b->units.exponent + first,
		.bits = bits,
		.bytes = gemm_element_bytes(format),
		.overflows = round_overflows(format),
		.magnitude = (1u << ((bits - 1) & 31)) - 1,
		.infinity = (uint32_t)gemm_special_bits(format, GEMM_PLUS_INF),
		.unit = product * (store->negate ? -0x1p-64 : 0x1p-64),
		.error = product * (RESIDUE_ERROR * 0x1p-64),
		.decisive = residue_decisive(format),
		.by_column = by_column + first / 8,
		.a = a,
		.b = b,
		.first = first,
		.lost = lost + first / 8,
		.most = most + first / 8,
		/* a double has no room for FP64's decisions */
		.doubts = format == QUIRE_FORMAT_FP64 ? RESIDUE_DOUBTS : 0,
	};
	struct residue_line line = { .columns = columns };
	struct residue_tally run = { _mm512_setzero_si512(), _mm512_setzero_si512() };

	for (uint32_t t = 0; t < moduli; t++) {
		s.begin[0] -= residue_fraction[t].upper * RESIDUE_OFFSET;
		s.begin[1] -= residue_fraction[t].lower * RESIDUE_OFFSET;
	}
	if (residue_powers(store, a, b, by_column) < -126)
		s.doubts = RESIDUE_DOUBTS;
	for (int v = 6; v < 10; v++)
		by_column[v] = lost[v] = most[v] = _mm512_setzero_pd();
	residue_line_at(&s, &line, place, 0);
	if (a->is_cut) {
		residue_rests_of_columns(b, lost, most);
		residue_put_cut_tile(&s, &line, place, &run, tally);
	} else {
		for (; line.i < a->used; residue_line_at(&s, &line, place, line.i + 1)) {
			if (columns > 32)
				residue_put_row(&s, &line, 3, &run, tally);
			else if (columns > 16)
				residue_put_row(&s, &line, 2, &run, tally);
			else
				residue_put_row(&s, &line, 1, &run, tally);
		}
	}
	tally->digest += tally_total(run.digest);
	/* a tile has fewer than 2^31 elements */
	tally->exceptional += (uint32_t)_mm512_reduce_add_epi32(run.exceptional);
}

#endif /* QUIRE_RESIDUE_STORE_AVX512_H */
