/* SPDX-License-Identifier: MIT */
/*
 * Tiles to doubles, and tiled operands to panels.  Included by pack_template.h.
 */
#ifndef QUIRE_PACK_TILED_H
#define QUIRE_PACK_TILED_H

#include "tile_internal.h"

/*
 * Elements [first, first + count) of a tile to 32 bits, left-aligned.  An element takes
 * at most 32 bits from bit 0 to 7 of a byte on: eight bytes hold it.  Near the end of
 * the tile eight bytes would reach beyond it and fewer are read.
 */
static inline void tile_read(const uint8_t *data, uint32_t tile_bytes, uint32_t first,
			     uint32_t count, uint32_t bits, uint32_t *left)
{
	uint32_t safe = count, shift = 32 - bits;
	uint64_t word;

	/* (position >> 3) + 8 <= tile_bytes for all before; at most 21 elements are not */
	while (safe && ((first + safe - 1) * bits >> 3) + 8 > tile_bytes)
		safe--;
	for (uint32_t i = 0; i < safe; i++) {
		uint32_t position = (first + i) * bits;

		memcpy(&word, data + (position >> 3), 8);
		left[i] = (uint32_t)(word >> (position & 7)) << shift;
	}
	for (uint32_t i = safe; i < count; i++) {
		uint32_t position = (first + i) * bits, at = position >> 3;

		word = 0;
		memcpy(&word, data + at, tile_least(tile_bytes - at, 8));
		left[i] = (uint32_t)(word >> (position & 7)) << shift;
	}
}

static void tile_decode(const uint8_t *data, uint32_t tile_bytes, uint32_t first, uint32_t count,
			uint32_t bits, int32_t scale, uint64_t *x)
{
	_Alignas(64) uint32_t left[TILE_COLUMNS_MAX];
	const double unit = pack_power(scale);

	for (uint32_t i = 0; i < count; i += TILE_COLUMNS_MAX) {
		uint32_t part = tile_least(count - i, TILE_COLUMNS_MAX);

		tile_read(data, tile_bytes, first + i, part, bits, left);
		for (uint32_t j = 0; j < part; j++)
			x[i + j] = pack_bits(pack_double(pack_posit(left[j])) * unit);
	}
}

/* count elements of one row of the matrix, from whatever tiles hold them. */
static void pack_tiled_run(const struct quire_tiled *view, uint32_t row, uint32_t column,
			   uint32_t count, uint64_t *x)
{
	const struct quire_tiled_shape *s = &view->shape;
	const uint32_t shift = quire_tiled_shift(s->tile_columns), mask = s->tile_columns - 1;
	const struct quire_tile *tiles = view->tiles +
		(uint64_t)(row >> quire_tiled_shift(s->tile_rows)) * view->grid_columns;
	const uint32_t first = (row & (s->tile_rows - 1)) * s->tile_columns;

	while (count) {
		const struct quire_tile *tile = &tiles[column >> shift];
		uint32_t part = tile_least(s->tile_columns - (column & mask), count);

		if (tile->bits)
			tile_decode(tile_data(view, tile),
				    quire_tile_bytes(s->tile_rows, s->tile_columns, tile->bits),
				    first + (column & mask), part, tile->bits, tile->scale, x);
		else
			memset(x, 0, part * sizeof(*x));
		x += part;
		column += part;
		count -= part;
	}
}

/* A dense panel has every granule of k. */
static inline void pack_all_present(struct gemm_panel *panel, uint32_t kc)
{
	uint32_t granules = (kc + GEMM_GRANULE - 1) / GEMM_GRANULE;

	panel->kc = kc;
	for (uint32_t i = 0; i < GEMM_PRESENT_WORDS; i++) {
		uint32_t left = granules > 64 * i ? granules - 64 * i : 0;

		panel->present[i] = left >= 64 ? ~0ull : (1ull << left) - 1;
	}
}

/*
 * Which granules of k have a tile that is stored, for any of the lanes.  The window of
 * lanes and k starts at (row, column) of the matrix.
 */
static inline void pack_tiled_present(struct gemm_panel *panel, const struct gemm_source *source,
				      uint32_t row, uint32_t column, uint32_t used, uint32_t kc)
{
	const struct quire_tiled *view = source->tiled;
	const struct quire_tiled_shape *s = &view->shape;
	const bool k_is_column = source->k_stride == 1;
	const uint32_t row_shift = quire_tiled_shift(s->tile_rows);
	const uint32_t column_shift = quire_tiled_shift(s->tile_columns);
	const uint32_t rows = k_is_column ? used : kc, columns = k_is_column ? kc : used;
	const uint32_t k_shift = k_is_column ? column_shift : row_shift;
	const uint32_t k_start = k_is_column ? column : row;

	memset(panel->present, 0, sizeof(panel->present));
	for (uint32_t r = row >> row_shift; r <= (row + rows - 1) >> row_shift; r++)
		for (uint32_t c = column >> column_shift;
		     c <= (column + columns - 1) >> column_shift; c++) {
			uint32_t t = k_is_column ? c : r, from, to;

			if (!view->tiles[(uint64_t)r * view->grid_columns + c].bits)
				continue;
			from = t << k_shift > k_start ? (t << k_shift) - k_start : 0;
			to = tile_least(((t + 1) << k_shift) - k_start, kc) - 1;
			for (uint32_t g = from / GEMM_GRANULE; g <= to / GEMM_GRANULE; g++)
				panel->present[g / 64] |= 1ull << g % 64;
		}
}

/*
 * A tiled operand: doubles of the granules that are present, one behind the other.
 * Returns how many k that is; the panel's present is set.  range NULL: nothing is measured.
 */
static inline uint32_t pack_tiled(struct gemm_panel *panel, uint64_t *out, uint32_t lanes,
				  const struct gemm_source *source, uint64_t lane, uint32_t used,
				  uint64_t k, uint32_t kc, struct pack_range *range)
{
	const struct quire_tiled *view = source->tiled;
	const bool k_is_column = source->k_stride == 1;
	const uint32_t row = view->row + (uint32_t)(k_is_column ? lane : k);
	const uint32_t column = view->column + (uint32_t)(k_is_column ? k : lane);
	uint64_t x[TILE_COLUMNS_MAX];
	uint32_t stored = 0;

	pack_tiled_present(panel, source, row, column, used, kc);
	for (uint32_t from = 0, to; from < kc; from = to) {
		const bool present = panel->present[from / GEMM_GRANULE / 64] >>
				     from / GEMM_GRANULE % 64 & 1;

		/* a run of granules that are alike, as long as the buffer */
		for (to = from + GEMM_GRANULE; to < kc && to - from < TILE_COLUMNS_MAX;
		     to += GEMM_GRANULE)
			if ((panel->present[to / GEMM_GRANULE / 64] >> to / GEMM_GRANULE % 64 & 1) !=
			    present)
				break;
		to = tile_least(to, kc);
		if (!present)
			continue;
		for (uint32_t l = 0; k_is_column && l < used; l++) {
			pack_tiled_run(view, row + l, column + from, to - from, x);
			if (range)
				pack_measure(x, to - from, l, range);
			for (uint32_t i = 0; i < to - from; i++)
				out[(size_t)(stored + i) * lanes + l] = x[i];
		}
		for (uint32_t i = from; !k_is_column && i < to; i++) {
			uint64_t *at = out + (size_t)(stored + i - from) * lanes;

			pack_tiled_run(view, row + i, column, used, at);
			for (uint32_t l = 0; range && l < used; l++) {
				range->most[l] = pack_max(range->most[l], at[l] & PACK_ABS);
				range->last[l] = pack_min(range->last[l], pack_last_bit(at[l]));
				range->squares[l] += pack_double(at[l]) * pack_double(at[l]);
			}
		}
		stored += to - from;
	}
	for (uint32_t i = 0; used < lanes && i < stored; i++)
		for (uint32_t l = used; l < lanes; l++)
			out[(size_t)i * lanes + l] = 0;
	return stored;
}

#endif /* QUIRE_PACK_TILED_H */
