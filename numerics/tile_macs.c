// SPDX-License-Identifier: MIT
/* Multiply-accumulates of products with tiled operands, counted by width. */
#include <string.h>

#include "tile_internal.h"

/* An operand as lanes (rows of A, columns of B) over k. */
struct lanes {
	const struct quire_tiled *view;
	bool k_is_column;
	uint32_t lanes;
	uint32_t extent;		/* of a tile along k, 0: dense */
	uint32_t start;			/* of the window along k */
};

static struct lanes lanes_of(const struct quire_tiled *view, bool k_is_column, uint32_t count)
{
	struct lanes x = { .view = view, .k_is_column = k_is_column, .lanes = count };

	if (view) {
		x.extent = k_is_column ? view->shape.tile_columns : view->shape.tile_rows;
		x.start = k_is_column ? view->column : view->row;
	}
	return x;
}

static uint32_t class_of(uint32_t bits)
{
	return bits <= 8 ? 0 : bits <= 16 ? 1 : 2;
}

/* How many lanes have a stored tile at k, by width. */
static void count_lanes(const struct lanes *x, uint32_t k, uint64_t count[3])
{
	const struct quire_tiled *v = x->view;
	uint32_t extent, start, tile_k;

	memset(count, 0, 3 * sizeof(*count));
	if (!v) {
		count[0] = x->lanes;
		return;
	}
	extent = x->k_is_column ? v->shape.tile_rows : v->shape.tile_columns;
	start = x->k_is_column ? v->row : v->column;
	tile_k = (x->start + k) / x->extent;
	for (uint32_t l = 0, part; l < x->lanes; l += part) {
		uint32_t tile_l = (start + l) / extent, r = x->k_is_column ? tile_l : tile_k;
		uint32_t c = x->k_is_column ? tile_k : tile_l;
		uint32_t bits = v->tiles[(uint64_t)r * v->grid_columns + c].bits;

		part = tile_least(extent - (start + l) % extent, x->lanes - l);
		if (bits)
			count[class_of(bits)] += part;
	}
}

/* k of the next border of x's tiles behind k. */
static uint32_t next_border(const struct lanes *x, uint32_t k, uint32_t end)
{
	return x->extent ? tile_least(end, k + x->extent - (x->start + k) % x->extent) : end;
}

void quire_tiled_macs(const struct quire_tiled *a, int transpose_a, const struct quire_tiled *b,
		      int transpose_b, uint32_t m, uint32_t n, uint32_t k, uint64_t macs[3])
{
	const struct lanes rows = lanes_of(a, !transpose_a, m), columns = lanes_of(b, transpose_b, n);
	uint64_t of_a[3], of_b[3];

	memset(macs, 0, 3 * sizeof(*macs));
	for (uint32_t at = 0, next; at < k; at = next) {
		next = tile_least(next_border(&rows, at, k), next_border(&columns, at, k));
		count_lanes(&rows, at, of_a);
		count_lanes(&columns, at, of_b);
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 3; j++)
				macs[i > j ? i : j] += of_a[i] * of_b[j] * (next - at);
	}
}
