/* SPDX-License-Identifier: MIT */
/* A block of C on its way: what the loops of gemm.c and the tiles of gemm_tiles.c share. */
#ifndef QUIRE_GEMM_BLOCK_H
#define QUIRE_GEMM_BLOCK_H

#include "gemm_internal.h"

#define FLAG_LOST 4			/* beside enum gemm_special: no memory, use plain */

struct block {
	const struct quire_gemm *gemm;
	const struct gemm_kernel *kernel;
	struct gemm_source a, b;
	struct gemm_finish finish;
	struct gemm_tally *tally;	/* one per worker, a cache line apart */
	struct gemm_panel *a_panels, *b_panels;
	double *scratch;		/* of the packing, scratch_stride of them per worker */
	size_t scratch_stride;
	uint8_t *room;			/* gemm_room_bytes() per worker */
	uint8_t *row_flags, *column_flags;	/* of A's and B's lanes, in panels' order */
	struct gemm_lane *lanes;	/* room to sort A's */
	struct gemm_sum *sums;		/* NULL with a single run of k */
	struct gemm_gather *gather;	/* one per worker when an operand is tiled, else NULL */
	uint32_t row, rows, column, columns;
	uint32_t k, kc;			/* a run of k */
	uint32_t a_count, b_count;	/* panels there are */
	uint32_t a_group, b_group;	/* panels of one task */
	bool blocks;			/* the tiles of a task are a block, if they are all plain */
	bool keep_b;			/* its panels are weighed already */
	bool last;			/* run of k */
	uint32_t precision;		/* for panels, see there */
};

static inline uint32_t divide_up(uint32_t x, uint32_t y)
{
	return x / y + (x % y != 0);
}

static inline uint32_t least(uint64_t x, uint64_t y)
{
	return (uint32_t)(x < y ? x : y);
}

static inline uint32_t flags_of(const uint8_t *flags, uint32_t count)
{
	uint32_t all = 0;

	for (uint32_t i = 0; i < count; i++)
		all |= flags[i];
	return all;
}

/* Those of A from ia to before a_end with those of B from jb to before b_end as a block; false: strips must do. */
bool gemm_block_of_tiles(struct block *block, uint32_t ia, uint32_t a_end, uint32_t jb, uint32_t b_end,
			 unsigned int worker, struct gemm_tally *tally);

/* One panel of B with those of A from ia to before a_end. */
void gemm_column_of_tiles(struct block *block, uint32_t ia, uint32_t a_end, uint32_t jb,
			  unsigned int worker, struct gemm_tally *tally);

#endif /* QUIRE_GEMM_BLOCK_H */
