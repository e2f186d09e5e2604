/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Tiled matrices: each tile stored as posit<n> times 2^s with its own n and s.
 * The contract between whoever packs, the firmware that walks the descriptors,
 * the engines and the .qtn file.
 *
 * A tiled matrix is one contiguous image, little-endian, its start aligned to 64
 * bytes in memory:
 *
 *	struct quire_tiled_header
 *	struct quire_tile[tiles]	row-major over the grid of tiles
 *	zeros up to a multiple of 64 bytes
 *	data of the tiles, in the same order, without gaps
 *
 * A tile of n bits holds tile_rows * tile_columns elements, row-major, element i
 * in bits [i * n, i * n + n) of its data: bit b is bit b % 8 of byte b / 8.  So
 * every 8 elements take n bytes, a 32 x 32 tile 128 * n bytes, and every row of a
 * tile starts at a byte.  Rows and columns beyond the matrix are zero.  n is 3 to
 * 32, or 0: an empty tile is all zero, stores nothing and takes part in no
 * multiplication.
 *
 * Limits of n and s keep every value a multiple of 2^-149 below 2^128, like FP32:
 * products of tiled matrices with each other and with any format fit the
 * accumulator of format.h, and every value is exactly a double.
 */
#ifndef QUIRE_TILED_H
#define QUIRE_TILED_H

#include "format.h"

#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif

#define QUIRE_TILED_MAGIC 0x314d5451u	/* "QTM1" */
#define QUIRE_TILED_PLAN 0x31505451u	/* "QTP1": header and descriptors await a PACK */
#define QUIRE_TILED_VERSION 2u
#define QUIRE_TILED_ALIGN 64u		/* of the image in memory and of the first tile's data */
#define QUIRE_TILED_UNIT 32u		/* offsets of tiles count units of this many bytes */
#define QUIRE_TILED_MAX_DIMENSION (1u << 24)
#define QUIRE_TILED_MAX_BYTES (1ull << 37)	/* 2^32 units */
#define QUIRE_TILE_MIN_BITS 3u
#define QUIRE_TILE_MAX_BITS 32u
#define QUIRE_TILE_LARGEST_NAR 0x8000u

/*
 * struct quire_tiled_header - start of an image
 * @magic, @version: QUIRE_TILED_MAGIC, QUIRE_TILED_VERSION; with QUIRE_TILED_PLAN data and
 *                   guards are not there yet, and only PACK (packet.h) takes it
 * @rows, @columns:  of the matrix, 1 .. QUIRE_TILED_MAX_DIMENSION
 * @tile_rows, @tile_columns: 32 x 32, 16 x 16, 64 x 64 or 1 x 256
 * @tiles:           ceil(rows / tile_rows) * ceil(columns / tile_columns)
 * @stored_tiles:    how many of them are not empty
 * @image_bytes:     of the whole image
 * @reserved:        0
 */
struct quire_tiled_header {
	uint32_t magic;
	uint32_t version;
	uint32_t rows;
	uint32_t columns;
	uint32_t tile_rows;
	uint32_t tile_columns;
	uint64_t tiles;
	uint64_t stored_tiles;
	uint64_t image_bytes;
	uint64_t reserved[2];
};

/*
 * struct quire_tile - descriptor of one tile; all zero for an empty one
 * @bits:     n
 * @scale:    s: an element is its posit times 2^s;
 *            s - (4n - 8) >= -149 and s + (4n - 8) <= 127
 * @largest:  range guard: the largest of the elements' magnitudes as an n-bit
 *            pattern, moved up to 32 bits, its upper 16; QUIRE_TILE_LARGEST_NAR
 *            when an element is NaR
 * @offset:   of the data from the start of the image, in units of
 *            QUIRE_TILED_UNIT bytes
 * @checksum: sum modulo 2^64 of quire_digest_word(i, n-bit pattern of element i), see
 *            format.h, over all elements of the tile, padding included
 */
struct quire_tile {
	uint8_t bits;
	int8_t scale;
	uint16_t largest;
	uint32_t offset;
	uint64_t checksum;
};

/* Precision of one tile: n = 0 or 3 .. 32, and s (0 where n is 0). */
struct quire_tile_choice {
	uint8_t bits;
	int8_t scale;
};

/*
 * struct quire_qtn_header - start of a .qtn file; the image follows it
 * @magic, @version: QUIRE_QTN_MAGIC, QUIRE_QTN_VERSION
 * @file_bytes:   of the whole file: this header and the image
 * @digest:       sum modulo 2^64 of quire_digest_word(i, word i), see format.h, over the
 *                image as 32-bit words
 * @reserved:     0
 */
struct quire_qtn_header {
	uint32_t magic;
	uint32_t version;
	uint64_t file_bytes;
	uint64_t digest;
	uint64_t reserved[5];
};

#define QUIRE_QTN_MAGIC 0x314e5451u	/* "QTN1" */
#define QUIRE_QTN_VERSION 2u

QUIRE_ASSERT_LAYOUT(sizeof(struct quire_qtn_header) == 64, "qtn header");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_tiled_header) == 64, "tiled header");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_tile) == 16, "tile");

static inline int quire_tiled_shape_valid(uint32_t tile_rows, uint32_t tile_columns)
{
	return (tile_rows == tile_columns &&
		(tile_rows == 16 || tile_rows == 32 || tile_rows == 64)) ||
	       (tile_rows == 1 && tile_columns == 256);
}

/* Tile extents are powers of two: no division, which the firmware is slow at. */
static inline uint32_t quire_tiled_shift(uint32_t tile_extent)
{
	return tile_extent == 1 ? 0u : tile_extent == 16 ? 4u : tile_extent == 32 ? 5u :
	       tile_extent == 64 ? 6u : 8u;
}

static inline uint32_t quire_tiled_grid(uint32_t extent, uint32_t tile_extent)
{
	return (extent + tile_extent - 1) >> quire_tiled_shift(tile_extent);
}

/* Of the first tile's data from the start of the image; tiles below 2^60. */
static inline uint64_t quire_tiled_data_start(uint64_t tiles)
{
	return (sizeof(struct quire_tiled_header) + tiles * sizeof(struct quire_tile) +
		QUIRE_TILED_ALIGN - 1) & ~(uint64_t)(QUIRE_TILED_ALIGN - 1);
}

/* Bytes of a tile of n bits: a multiple of QUIRE_TILED_UNIT, at most 16 KiB. */
static inline uint32_t quire_tile_bytes(uint32_t tile_rows, uint32_t tile_columns, uint32_t bits)
{
	return tile_rows * tile_columns / 8 * bits;
}

/* Is posit<bits> * 2^scale within the limits? */
static inline int quire_tile_scale_valid(uint32_t bits, int32_t scale)
{
	int32_t reach = 4 * (int32_t)bits - 8;

	return scale - reach >= -149 && scale + reach <= 127;
}

/*
 * The header of an image in a place of `bytes` bytes.  After it grid extents are
 * at most 2^24, and the image ends within the place.
 */
static inline uint32_t quire_tiled_check_header(const struct quire_tiled_header *h, uint64_t bytes)
{
#define QUIRE_TILED_FIELD(field) ((uint32_t)offsetof(struct quire_tiled_header, field))
	uint64_t start;

	if (bytes < sizeof(*h) || h->magic != QUIRE_TILED_MAGIC)
		return QUIRE_TILED_FIELD(magic);
	if (h->version != QUIRE_TILED_VERSION)
		return QUIRE_TILED_FIELD(version);
	if (h->rows == 0 || h->rows > QUIRE_TILED_MAX_DIMENSION)
		return QUIRE_TILED_FIELD(rows);
	if (h->columns == 0 || h->columns > QUIRE_TILED_MAX_DIMENSION)
		return QUIRE_TILED_FIELD(columns);
	if (!quire_tiled_shape_valid(h->tile_rows, h->tile_columns))
		return h->tile_rows == 1 || h->tile_rows == 16 || h->tile_rows == 32 ||
		       h->tile_rows == 64 ? QUIRE_TILED_FIELD(tile_columns) :
					    QUIRE_TILED_FIELD(tile_rows);
	if (h->tiles != (uint64_t)quire_tiled_grid(h->rows, h->tile_rows) *
				quire_tiled_grid(h->columns, h->tile_columns))
		return QUIRE_TILED_FIELD(tiles);
	if (h->stored_tiles > h->tiles)
		return QUIRE_TILED_FIELD(stored_tiles);
	start = quire_tiled_data_start(h->tiles);
	if (h->image_bytes < start || h->image_bytes > bytes ||
	    h->image_bytes > QUIRE_TILED_MAX_BYTES || h->image_bytes & (QUIRE_TILED_UNIT - 1))
		return QUIRE_TILED_FIELD(image_bytes);
	if (h->reserved[0] || h->reserved[1])
		return QUIRE_TILED_FIELD(reserved);
	return QUIRE_NO_FIELD;
#undef QUIRE_TILED_FIELD
}

/*
 * One descriptor by itself, its data inside the image of a checked header.  What
 * passes can be decoded without leaving the image, whatever other descriptors say.
 */
static inline uint32_t quire_tile_check(const struct quire_tiled_header *h,
					const struct quire_tile *tile)
{
#define QUIRE_TILE_FIELD(field) ((uint32_t)offsetof(struct quire_tile, field))
	uint64_t offset = (uint64_t)tile->offset * QUIRE_TILED_UNIT;
	uint32_t bytes;

	if (tile->bits == 0) {
		if (tile->scale)
			return QUIRE_TILE_FIELD(scale);
		if (tile->largest)
			return QUIRE_TILE_FIELD(largest);
		if (tile->offset)
			return QUIRE_TILE_FIELD(offset);
		return tile->checksum ? QUIRE_TILE_FIELD(checksum) : QUIRE_NO_FIELD;
	}
	if (tile->bits < QUIRE_TILE_MIN_BITS || tile->bits > QUIRE_TILE_MAX_BITS)
		return QUIRE_TILE_FIELD(bits);
	if (!quire_tile_scale_valid(tile->bits, tile->scale))
		return QUIRE_TILE_FIELD(scale);
	if (tile->largest > QUIRE_TILE_LARGEST_NAR)
		return QUIRE_TILE_FIELD(largest);
	bytes = quire_tile_bytes(h->tile_rows, h->tile_columns, tile->bits);
	if (offset < quire_tiled_data_start(h->tiles) || offset > h->image_bytes ||
	    bytes > h->image_bytes - offset)
		return QUIRE_TILE_FIELD(offset);
	return QUIRE_NO_FIELD;
#undef QUIRE_TILE_FIELD
}

/*
 * The same for descriptors met one after the other, from *end = quire_tiled_data_start()
 * on: the data must lie right behind those of the tiles before, which end at *end.
 */
static inline uint32_t quire_tile_check_next(const struct quire_tiled_header *h,
					     const struct quire_tile *tile, uint64_t *end)
{
	uint32_t field = quire_tile_check(h, tile);

	if (field != QUIRE_NO_FIELD || tile->bits == 0)
		return field;
	if ((uint64_t)tile->offset * QUIRE_TILED_UNIT != *end)
		return (uint32_t)offsetof(struct quire_tile, offset);
	*end += quire_tile_bytes(h->tile_rows, h->tile_columns, tile->bits);
	return QUIRE_NO_FIELD;
}

/* Behind the last of them: the header's own sums. */
static inline uint32_t quire_tiled_check_sums(const struct quire_tiled_header *h,
					      uint64_t stored_tiles, uint64_t end)
{
	if (h->stored_tiles != stored_tiles)
		return (uint32_t)offsetof(struct quire_tiled_header, stored_tiles);
	if (h->image_bytes != end)
		return (uint32_t)offsetof(struct quire_tiled_header, image_bytes);
	return QUIRE_NO_FIELD;
}

#endif /* QUIRE_TILED_H */
