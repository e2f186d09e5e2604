/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of tiled matrices:
 *
 *	tile.c          shapes, plans, validation of images, single elements
 *	tile_pack.c     dense numbers to images
 *	tile_unpack.c   images to dense numbers; checksums
 *	tile_macs.c     multiply-accumulates by width
 *	tile_template.h the loops over elements, compiled by each kernel_*.c
 *	gemm_tiled.c    tiled operands in the GEMM
 */
#ifndef QUIRE_TILE_INTERNAL_H
#define QUIRE_TILE_INTERNAL_H

#include <stdbool.h>

#include <quirenum/tile.h>

#include "gemm_internal.h"

#define TILE_COLUMNS_MAX 256
#define TILE_ROWS_MAX 64
#define TILE_ELEMENTS_MAX 4096

/* One tile to be packed. */
struct tile_job {
	const uint8_t *data;		/* its first element in the dense matrix */
	uint64_t pitch;			/* bytes from row to row */
	uint32_t format;
	uint32_t rows, columns;		/* inside the matrix; beyond is padding */
	uint32_t tile_rows, tile_columns;
	uint8_t *out;
	struct quire_tile *tile;	/* bits and scale are set; largest and checksum are filled in */
};

/* Where unpacked elements go: one row of them. */
struct tile_row {
	void *data;
	uint32_t format;
	uint64_t index;			/* of the first element, for the digest */
	uint64_t nan_bits;
	uint64_t digest;		/* added to */
	uint64_t exceptional;		/* added to */
};

/* The error of one tile at every width. */
struct tile_measure {
	const double *x;		/* elements, 64-byte aligned; zeros beyond the matrix */
	const double *weight;		/* of each; 0 where x is */
	uint32_t elements;		/* a multiple of 8 */
	int32_t scale;			/* wanted: clamped for each width */
	uint64_t widths;		/* bit n: measure it */
	double hopeless;		/* widths with a greater error need not be measured */
	double enough;			/* stop behind the first error not above */
	double error[33];		/* sum of weight * (x - x')^2; infinite where not measured */
};

struct tile_kernel {
	/* count numbers of a format, or FP64, to patterns of double; exact */
	void (*load)(uint32_t format, const uint8_t *data, uint32_t count, uint64_t *x);
	/*
	 * count <= TILE_COLUMNS_MAX numbers divided by 2^scale and rounded to posit<bits>;
	 * both arrays have room for count rounded up to 16
	 */
	void (*encode)(const uint64_t *x, uint32_t count, uint32_t bits, int32_t scale,
		       uint64_t *patterns);
	/* posit<bits> patterns times 2^scale to doubles, exact */
	void (*value)(const uint64_t *patterns, uint32_t count, uint32_t bits, int32_t scale,
		      double *x);
	void (*pack)(const struct tile_job *job);
	/* elements [first, first + count) of a tile of tile_bytes bytes to doubles, exact */
	void (*decode)(const uint8_t *data, uint32_t tile_bytes, uint32_t first, uint32_t count,
		       uint32_t bits, int32_t scale, uint64_t *x);
	/* checksum and largest of a tile's data */
	void (*check)(const uint8_t *data, uint32_t elements, uint32_t bits, uint64_t *checksum,
		      uint16_t *largest);
	void (*measure)(struct tile_measure *measure);
	/*
	 * d = x - y, of count a multiple of 8 elements, all aligned to 64 bytes; whether each is
	 * exact.  *most rises to
	 * the largest |d|, *last falls to the weight of the lowest bit of any, both as
	 * patterns of doubles
	 */
	bool (*differences)(const double *x, const double *y, uint32_t count, double *d,
			    int64_t *most, int64_t *last);
	/*
	 * the sum of (d / 2^unit)^2, of count a multiple of 8, at most 256 elements that are
	 * whole numbers below 2^57 then; unit within -900 .. 900
	 */
	unsigned __int128 (*squares)(const double *d, uint32_t count, int32_t unit);
	/* count <= TILE_COLUMNS_MAX doubles to elements */
	void (*store)(const uint64_t *x, uint32_t count, struct tile_row *row);
};

extern const struct tile_kernel tile_kernel_ifma, tile_kernel_avx2, tile_kernel_generic;

/* Of the kernel in use. */
const struct tile_kernel *tile_kernel_current(void);

static inline const uint8_t *tile_data(const struct quire_tiled *view, const struct quire_tile *tile)
{
	return view->image + (uint64_t)tile->offset * QUIRE_TILED_UNIT;
}

static inline uint32_t tile_least(uint32_t x, uint32_t y)
{
	return x < y ? x : y;
}

static inline bool tile_format_is_number(uint32_t format)
{
	return gemm_format_is_operand(format) || format == QUIRE_FORMAT_FP64;
}

#endif /* QUIRE_TILE_INTERNAL_H */
