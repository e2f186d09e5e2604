// SPDX-License-Identifier: MIT
/*
 * Shapes and plans of tiled matrices, validation of images, single elements.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tile_internal.h"

uint64_t quire_tiled_count(const struct quire_tiled_shape *s)
{
	if (!s || !s->rows || s->rows > QUIRE_TILED_MAX_DIMENSION || !s->columns ||
	    s->columns > QUIRE_TILED_MAX_DIMENSION ||
	    !quire_tiled_shape_valid(s->tile_rows, s->tile_columns))
		return 0;
	return (uint64_t)quire_tiled_grid(s->rows, s->tile_rows) *
	       quire_tiled_grid(s->columns, s->tile_columns);
}

static bool choice_valid(struct quire_tile_choice choice)
{
	if (!choice.bits)
		return !choice.scale;
	return choice.bits >= QUIRE_TILE_MIN_BITS && choice.bits <= QUIRE_TILE_MAX_BITS &&
	       quire_tile_scale_valid(choice.bits, choice.scale);
}

uint64_t quire_tiled_plan(const struct quire_tiled_shape *shape,
			  const struct quire_tile_choice *choices)
{
	uint64_t count = quire_tiled_count(shape), bytes;

	/* 2^37 bytes hold 2^33 descriptors; so many tiles of 16 KiB stay below 2^47 */
	if (!count || !choices || count > QUIRE_TILED_MAX_BYTES / sizeof(struct quire_tile))
		return 0;
	bytes = quire_tiled_data_start(count);
	for (uint64_t i = 0; i < count; i++) {
		if (!choice_valid(choices[i]))
			return 0;
		bytes += quire_tile_bytes(shape->tile_rows, shape->tile_columns, choices[i].bits);
	}
	return bytes <= QUIRE_TILED_MAX_BYTES ? bytes : 0;
}

int8_t quire_tile_clamp_scale(uint32_t bits, int32_t scale)
{
	int32_t reach = 4 * (int32_t)bits - 8, least = reach - 149, most = 127 - reach;

	/* -145 .. 123 for 3 bits: the descriptor's own range is narrower below */
	if (least < INT8_MIN)
		least = INT8_MIN;
	return (int8_t)(scale < least ? least : scale > most ? most : scale);
}

static int refuse(struct quire_tiled_error *error, const char *field)
{
	if (error)
		*error = (struct quire_tiled_error){ .field = field };
	return -EINVAL;
}

static const char *header_field(uint32_t offset)
{
	switch (offset) {
	case offsetof(struct quire_tiled_header, magic): return "magic";
	case offsetof(struct quire_tiled_header, version): return "version";
	case offsetof(struct quire_tiled_header, rows): return "rows";
	case offsetof(struct quire_tiled_header, columns): return "columns";
	case offsetof(struct quire_tiled_header, tile_rows): return "tile_rows";
	case offsetof(struct quire_tiled_header, tile_columns): return "tile_columns";
	case offsetof(struct quire_tiled_header, tiles): return "tiles";
	case offsetof(struct quire_tiled_header, stored_tiles): return "stored_tiles";
	case offsetof(struct quire_tiled_header, image_bytes): return "image_bytes";
	default: return "reserved";
	}
}

static const char *tile_field(uint32_t offset)
{
	switch (offset) {
	case offsetof(struct quire_tile, bits): return "bits";
	case offsetof(struct quire_tile, scale): return "scale";
	case offsetof(struct quire_tile, largest): return "largest";
	case offsetof(struct quire_tile, offset): return "offset";
	default: return "checksum";
	}
}

static int refuse_tile(struct quire_tiled_error *error, uint32_t field, uint64_t index,
		       uint32_t grid_columns)
{
	if (error)
		*error = (struct quire_tiled_error){
			.field = tile_field(field),
			.in_tile = 1,
			.tile_row = (uint32_t)(index / grid_columns),
			.tile_column = (uint32_t)(index % grid_columns),
		};
	return -EINVAL;
}

static void fill_view(struct quire_tiled *view, const struct quire_tiled_header *h,
		      const struct quire_tile *tiles, const void *image)
{
	*view = (struct quire_tiled){
		.tiles = tiles,
		.image = image,
		.shape = { h->rows, h->columns, h->tile_rows, h->tile_columns },
		.grid_rows = quire_tiled_grid(h->rows, h->tile_rows),
		.grid_columns = quire_tiled_grid(h->columns, h->tile_columns),
	};
}

int quire_tiled_open(const void *image, uint64_t bytes, struct quire_tiled *view,
		     struct quire_tiled_error *error)
{
	const struct quire_tiled_header *h = image;
	const struct quire_tile *tiles;
	uint64_t expected, stored = 0;
	uint32_t field;

	if (error)
		memset(error, 0, sizeof(*error));
	if (!image || !view || (uintptr_t)image % QUIRE_TILED_ALIGN)
		return refuse(error, "image");
	field = quire_tiled_check_header(h, bytes);
	if (field != QUIRE_NO_FIELD)
		return refuse(error, header_field(field));
	fill_view(view, h, (const struct quire_tile *)(h + 1), image);
	tiles = view->tiles;
	expected = quire_tiled_data_start(h->tiles);
	for (uint64_t i = 0; i < h->tiles; i++) {
		field = quire_tile_check_next(h, &tiles[i], &expected);
		if (field != QUIRE_NO_FIELD)
			return refuse_tile(error, field, i, view->grid_columns);
		stored += tiles[i].bits != 0;
	}
	field = quire_tiled_check_sums(h, stored, expected);
	if (field != QUIRE_NO_FIELD)
		return refuse(error, header_field(field));
	return 0;
}

int quire_tiled_view(const struct quire_tiled_header *header, const struct quire_tile *tiles,
		     uint32_t first, uint32_t count, const void *image, uint64_t bytes,
		     struct quire_tiled *view, struct quire_tiled_error *error)
{
	uint32_t field = quire_tiled_check_header(header, bytes), rows;
	uint64_t grid_columns;

	if (error)
		memset(error, 0, sizeof(*error));
	if (field != QUIRE_NO_FIELD)
		return refuse(error, header_field(field));
	fill_view(view, header, tiles, image);
	if (!count || first >= view->grid_rows || count > view->grid_rows - first)
		return refuse(error, "rows");
	grid_columns = view->grid_columns;
	for (uint64_t i = 0; i < count * grid_columns; i++) {
		field = quire_tile_check(header, &tiles[i]);
		if (field != QUIRE_NO_FIELD)
			return refuse_tile(error, field, first * grid_columns + i,
					   view->grid_columns);
	}
	/* grid_rows * tile_rows is at most 2^24 + 63 */
	rows = header->rows - first * header->tile_rows;
	view->shape.rows = tile_least(rows, count * header->tile_rows);
	view->grid_rows = count;
	return 0;
}

uint64_t quire_tiled_digest(const void *part, uint64_t offset, uint64_t bytes)
{
	const uint32_t *word = part;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < bytes / 4; i++)
		sum += quire_digest_word(offset / 4 + i, word[i]);
	return sum;
}

double quire_tiled_element(const struct quire_tiled *view, uint32_t row, uint32_t column)
{
	const struct quire_tiled_shape *s = &view->shape;
	uint32_t r = view->row + row, c = view->column + column;
	const struct quire_tile *tile =
		&view->tiles[(uint64_t)(r >> quire_tiled_shift(s->tile_rows)) * view->grid_columns +
			     (c >> quire_tiled_shift(s->tile_columns))];
	uint32_t element = (r & (s->tile_rows - 1)) * s->tile_columns + (c & (s->tile_columns - 1));
	uint64_t bits;
	double x;

	if (!tile->bits)
		return 0;
	tile_kernel_generic.decode(tile_data(view, tile),
				   quire_tile_bytes(s->tile_rows, s->tile_columns, tile->bits),
				   element, 1, tile->bits, tile->scale, &bits);
	memcpy(&x, &bits, 8);
	return x;
}
