/* SPDX-License-Identifier: MIT */
/*
 * Sums with infinities.  The products with an infinity alone settle what such a sum is, and they
 * are known from which elements are infinite, zero and negative: bitmaps of a lane, 32 k's of two
 * lanes at a time.
 */
#ifndef QUIRE_GEMM_SPECIAL_H
#define QUIRE_GEMM_SPECIAL_H

#include "gemm_internal.h"

struct block;

/*
 * What its infinities make of the sum over a run of two lanes without a NaN, at most GEMM_KC long:
 * enum gemm_value.
 */
uint32_t gemm_special_sum(const struct gemm_source *a, uint64_t row, const struct gemm_source *b,
			  uint64_t column, uint64_t k, uint32_t count);

/*
 * What infinities and NaNs of the block's run of k make of each sum of a tile: mr x nr of enum
 * gemm_value, the first rows and columns of which are written.  room has gemm_scratch_bytes().
 */
void gemm_special_tile(const struct block *block, const struct gemm_panel *a, uint32_t row,
		       uint32_t rows, uint32_t column, uint32_t columns, void *room,
		       uint8_t *special);

#endif /* QUIRE_GEMM_SPECIAL_H */
