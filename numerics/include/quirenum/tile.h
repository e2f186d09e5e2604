/* SPDX-License-Identifier: MIT */
/*
 * Tiled matrices: images as quire/tiled.h defines them, where every tile is
 * posit<n> times 2^s with its own n and s.
 *
 *	quire_tiled_plan()	size of the image that a choice of n and s gives
 *	quire_tiled_pack()	dense numbers to an image, rounded once
 *	quire_tiled_open()	an image of unknown origin to a view, all checked
 *	quire_tiled_verify()	checksums, range guards and padding of a view
 *	quire_tiled_unpack()	a view, or a part of it, to dense numbers
 *
 * and quire_gemm() takes views as operands (format QUIRE_FORMAT_TILED).
 *
 * All functions may be called from many threads at once.  A pool given as
 * @threads shares the work; NULL is the calling thread alone.  The bits of images
 * and results depend on neither threads nor the CPU.
 */
#ifndef QUIRENUM_TILE_H
#define QUIRENUM_TILE_H

#include <stdint.h>

#include <quire/tiled.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_threads;

/*
 * struct quire_tiled_shape - a matrix and its tiles
 * @rows, @columns: 1 .. QUIRE_TILED_MAX_DIMENSION
 * @tile_rows, @tile_columns: 32 x 32, 16 x 16, 64 x 64 or 1 x 256
 */
struct quire_tiled_shape {
	uint32_t rows, columns;
	uint32_t tile_rows, tile_columns;
};

/*
 * struct quire_dense - a dense matrix that is packed
 * @data:   element (0, 0), aligned to its container
 * @format: posit<n>, BF16, FP16, FP32, FP64, E4M3, E5M2 or INT8
 * @leading_dimension: elements from one row to the next, >= columns
 */
struct quire_dense {
	const void *data;
	uint32_t format;
	uint32_t reserved;	/* 0 */
	uint64_t leading_dimension;
};

/*
 * struct quire_tiled - a view of an image, or of a window of it
 * @tiles: descriptors, row-major, grid_columns in each row.  A copy that nobody
 *         changes makes the view safe on memory that somebody else writes:
 *         offsets are followed without a further check.
 * @image: what offsets count from
 * @row, @column: place of the window's element (0, 0) in the matrix
 * The rest is that of the whole matrix.  Made by quire_tiled_open() or
 * quire_tiled_view(); windows by raising row and column.
 */
struct quire_tiled {
	const struct quire_tile *tiles;
	const uint8_t *image;
	struct quire_tiled_shape shape;
	uint32_t grid_rows, grid_columns;
	uint32_t row, column;
};

/*
 * struct quire_tiled_error - what is wrong with an image
 * @field: "magic", "tiles", "bits", "checksum", ...: a field of the header, or of
 *         a descriptor when @in_tile is not 0; NULL when nothing is
 * @tile_row, @tile_column: of the descriptor in the grid
 */
struct quire_tiled_error {
	const char *field;
	uint32_t in_tile;
	uint32_t tile_row, tile_column;
};

/* Number of tiles of a shape, or 0 when the shape is not allowed. */
uint64_t quire_tiled_count(const struct quire_tiled_shape *shape);

/*
 * Size in bytes of the image with the given choices (one per tile, row-major), or
 * 0 when shape or a choice is not allowed or the image would be larger than
 * QUIRE_TILED_MAX_BYTES.
 */
uint64_t quire_tiled_plan(const struct quire_tiled_shape *shape,
			  const struct quire_tile_choice *choices);

/* Nearest s that the limits of tiled.h allow with n bits. */
int8_t quire_tile_clamp_scale(uint32_t bits, int32_t scale);

/*
 * Write the image of a dense matrix.  Every element is divided by 2^s and rounded
 * to posit<n> once, as docs/numerics.md says; infinities and NaN become NaR.
 * @image is aligned to 64 bytes and has room for @bytes = quire_tiled_plan().
 * Returns 0 or -EINVAL.
 */
int quire_tiled_pack(const struct quire_tiled_shape *shape, const struct quire_dense *dense,
		     const struct quire_tile_choice *choices, void *image, uint64_t bytes,
		     struct quire_threads *threads);

/*
 * The two halves of quire_tiled_pack().  _layout() writes header and descriptors with
 * bits, scale and offset.  _pack_into() packs a dense matrix, the view's rows, into
 * @image, and completes @tiles, which are the view's descriptors or a copy of them.
 */
int quire_tiled_layout(const struct quire_tiled_shape *shape,
		       const struct quire_tile_choice *choices, void *image, uint64_t bytes);
int quire_tiled_pack_into(const struct quire_tiled *view, const struct quire_dense *dense,
			  struct quire_tile *tiles, void *image, struct quire_threads *threads);

/*
 * Check header and all descriptors of an image that is @bytes long or less (also
 * that data follow each other without gap or overlap), and make the view.  Data are
 * not read.  Returns 0, -EINVAL with *error filled (NULL allowed): an image or
 * descriptor that is wrong, or misaligned (field "image").
 */
int quire_tiled_open(const void *image, uint64_t bytes, struct quire_tiled *view,
		     struct quire_tiled_error *error);

/*
 * A view with descriptors apart from the image, for those who copied them out of
 * memory they do not own.  @header and every one of @tiles (its own copy; of the
 * tile rows [first, first + count) of the grid) are checked as far as they concern
 * decoding; the view is of these tile rows alone.  Errors as above; tile rows in
 * errors count from the whole grid.
 */
int quire_tiled_view(const struct quire_tiled_header *header, const struct quire_tile *tiles,
		     uint32_t first, uint32_t count, const void *image, uint64_t bytes,
		     struct quire_tiled *view, struct quire_tiled_error *error);

/*
 * Compare checksum, range guard and zero padding of every tile of the view with
 * its data.  Returns 0 or -EBADMSG with *error filled ("checksum", "largest" or
 * "padding") for the first wrong tile.
 */
int quire_tiled_verify(const struct quire_tiled *view, struct quire_threads *threads,
		       struct quire_tiled_error *error);

/*
 * struct quire_tiled_output - where numbers go
 * @data, @format, @leading_dimension: as struct quire_dense
 * @digest_row, @digest_column, @digest_columns: place of the first element in a
 *          larger result and that result's columns (0: of the rows alone)
 */
struct quire_tiled_output {
	void *data;
	uint32_t format;
	uint32_t reserved;	/* 0 */
	uint64_t leading_dimension;
	uint64_t digest_row, digest_column, digest_columns;
};

/*
 * Decode rows x columns elements of a view, from its row and column on, rounded
 * once to the output's format.  *digest, when not NULL, is the digest of the
 * output (format.h), *exceptional the number of its elements that are NaR, NaN or
 * infinite.  Returns 0 or -EINVAL: the window does not lie in the matrix, or the
 * output is wrong.
 */
int quire_tiled_unpack(const struct quire_tiled *view, uint32_t rows, uint32_t columns,
		       const struct quire_tiled_output *output, struct quire_threads *threads,
		       uint64_t *digest, uint64_t *exceptional);

/*
 * The share of an image's digest, that of a .qtn file (quire/tiled.h), of @bytes bytes
 * at byte @offset of the image: both multiples of 4, and @part aligned to 4.  Shares add
 * up modulo 2^64.
 */
uint64_t quire_tiled_digest(const void *part, uint64_t offset, uint64_t bytes);

/* Element (row, column) of the view's window as a double, which is exact; NaR is NaN. */
double quire_tiled_element(const struct quire_tiled *view, uint32_t row, uint32_t column);

/*
 * Multiply-accumulates of an m x n product over k with tiled operands, by width: [0]
 * up to 8 bits, [1] 9 to 16, [2] more; of two tiled operands the wider element counts.
 * Only pairs of elements whose tiles are both stored are counted: it is what the card
 * executes.  @a and @b are NULL for a dense operand, which has no width here; @a is
 * m x k (k x m when @transpose_a), @b k x n (n x k).
 */
void quire_tiled_macs(const struct quire_tiled *a, int transpose_a, const struct quire_tiled *b,
		      int transpose_b, uint32_t m, uint32_t n, uint32_t k, uint64_t macs[3]);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_TILE_H */
