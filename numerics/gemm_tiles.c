// SPDX-License-Identifier: MIT
/*
 * Register tiles of a block of C: of sums that need rounding only in strips, the others one by one, by way
 * of 128 bits or of quire images.
 */
#include <string.h>

#include "gemm_block.h"
#include "gemm_direct.h"
#include "gemm_special.h"

/* mr x nr sums of products in 128 bits. */
static void multiply(const struct block *block, const struct gemm_panel *a, uint32_t p,
		     const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	if (!block->kernel->multiply(a->kc, a, p, b, q, low, high))
		for (uint32_t i = 0; i < block->kernel->mr * block->kernel->nr; i++)
			high[i] = (int64_t)low[i] >> 63;
}

/*
 * The top of a sum in 127 bits, what is below ORed into the last of them: more
 * than any rounding looks at.
 */
static void sum_top(const struct gemm_sum *sum, uint64_t *low, int64_t *high, int32_t *exponent)
{
	uint64_t sign = (uint64_t)((int64_t)sum->limb[QUIRE_IMAGE_LIMBS - 1] >> 63);
	uint64_t below = 0;
	int top = QUIRE_IMAGE_LIMBS - 1;

	/* limbs that only repeat the sign, as long as the next one has it too */
	while (top > 1 && sum->limb[top] == sign && (sum->limb[top - 1] ^ sign) >> 63 == 0)
		top--;
	for (int i = 0; i < top - 1; i++)
		below |= sum->limb[i];
	*high = (int64_t)sum->limb[top];
	*low = sum->limb[top - 1];
	*exponent = QUIRE_IMAGE_LSB_EXPONENT + 64 * (top - 1);
	/* two's complement: what is below adds to the number, whatever its sign; with
	 * top > 1 at least 62 bits of the number stand above the last */
	*low |= below != 0;
}

static bool is_direct(const struct block *block, const struct gemm_panel *a,
		      const struct gemm_panel *b)
{
	return !block->gather && gemm_direct_pays(block->kernel, a, b);
}

/* The sum where the tile has none: of lanes that are lost. */
static void sum_anew(const struct block *block, uint32_t row, uint32_t column, struct gemm_sum *sum)
{
	if (block->gather)
		gemm_plain_sum(&block->a, &block->b, row, column, block->gemm->k, sum);
	else
		gemm_direct_sums(block->gemm, &block->a, &block->b, row, column, 1, sum);
}

/* Rows of a tile from sums; some are infinite, or lost. */
static void finish_sums(const struct block *block, const struct gemm_panel *a, uint32_t row,
			uint32_t rows, uint32_t column, uint32_t columns, const struct gemm_sum *sums,
			uint32_t stride, struct gemm_tally *tally)
{
	for (uint32_t i = 0; i < rows; i++) {
		uint64_t low[GEMM_NR_MAX] = { 0 };
		int64_t high[GEMM_NR_MAX] = { 0 };
		int32_t exponent[GEMM_NR_MAX] = { 0 };
		uint8_t special[GEMM_NR_MAX];

		for (uint32_t j = 0; j < columns; j++) {
			uint32_t flags = block->row_flags[row + i] | block->column_flags[column + j];
			struct gemm_sum plain = { .special = GEMM_FINITE };
			const struct gemm_sum *sum = &sums[(size_t)i * stride + j];

			if (flags & GEMM_SPECIAL_NAN) {
				plain.special = GEMM_NAN;
				sum = &plain;
			} else if (flags & FLAG_LOST) {
				sum_anew(block, a->lane[i], block->column + column + j, &plain);
				sum = &plain;
			}
			if (block->finish.direct) {
				special[j] = (uint8_t)sum->special;
				sum_top(sum, &low[j], &high[j], &exponent[j]);
			} else {
				gemm_finish_sum(&block->finish, a->lane[i],
						block->column + column + j, sum, tally);
			}
		}
		if (block->finish.direct)
			gemm_finish_row(&block->finish, block->kernel, a->lane[i],
					block->column + column, columns, low, high, exponent,
					special, tally);
	}
}

/* Two digits at a time: below 2^88 but for the last ones, which are signed, and exact in 128 bits. */
static void add_digits(struct gemm_sum *sum, const struct gemm_whole *whole, uint32_t at, int32_t exponent)
{
	for (uint32_t p = 0; p < whole->digits; p += 2) {
		__int128 x = whole->digit[p][at];

		if (p + 1 < whole->digits)
			x += (__int128)whole->digit[p + 1][at] * ((__int128)1 << GEMM_WHOLE_BITS);
		if (x)
			gemm_sum_add(sum, (uint64_t)x, (int64_t)(x >> 64),
				     exponent + (int32_t)(p * GEMM_WHOLE_BITS));
	}
}

static uint8_t *room_of(const struct block *block, unsigned int worker)
{
	return block->room + worker * gemm_room_bytes(block->kernel);
}

/* GEMM_WHOLE_PANELS of them. */
static struct gemm_whole *whole_of(const struct block *block, unsigned int worker)
{
	return (struct gemm_whole *)(void *)(room_of(block, worker) + block->kernel->room_bytes);
}

static void add_whole_tile(const struct block *block, const struct gemm_panel *a, uint32_t rows,
			   const struct gemm_panel *b, uint32_t columns, struct gemm_sum *sums,
			   uint32_t stride, unsigned int worker)
{
	struct gemm_whole *whole = whole_of(block, worker);

	block->kernel->whole(&a, 1, b, whole, room_of(block, worker));
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t j = 0; j < columns; j++)
			add_digits(&sums[(size_t)i * stride + j], whole, i * block->kernel->nr + j,
				   a->units.exponent[i] + b->units.exponent[j]);
}

static double *scratch_of(const struct block *block, unsigned int worker)
{
	return block->scratch + worker * block->scratch_stride;
}

static uint32_t tile_flags(const struct block *block, uint32_t row, uint32_t rows, uint32_t column,
			   uint32_t columns)
{
	return flags_of(block->row_flags + row, rows) |
	       flags_of(block->column_flags + column, columns);
}

static void add_specials(const struct block *block, const struct gemm_panel *a, uint32_t row,
			 uint32_t rows, uint32_t column, uint32_t columns, struct gemm_sum *sums,
			 uint32_t stride, unsigned int worker)
{
	uint8_t special[GEMM_TILE_MAX];

	gemm_special_tile(block, a, row, rows, column, columns, scratch_of(block, worker), special);
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t j = 0; j < columns; j++)
			gemm_sum_special(&sums[(size_t)i * stride + j],
					 special[i * block->kernel->nr + j]);
}

static void add_tile(const struct block *block, const struct gemm_panel *a, uint32_t row,
		     uint32_t rows, const struct gemm_panel *b, uint32_t column, uint32_t columns,
		     struct gemm_sum *sums, uint32_t stride, unsigned int worker)
{
	_Alignas(64) uint64_t low[GEMM_TILE_MAX];
	_Alignas(64) int64_t high[GEMM_TILE_MAX];
	const uint32_t nr = block->kernel->nr, bits = block->kernel->part_bits;

	if (tile_flags(block, row, rows, column, columns) & GEMM_SPECIAL_INF)
		add_specials(block, a, row, rows, column, columns, sums, stride, worker);
	if (is_direct(block, a, b)) {
		gemm_direct_tile(&block->a, a, &block->b, b, block->k, scratch_of(block, worker),
				 sums, stride);
		return;
	}
	if (a->lost || b->lost)
		return;
	if (gemm_whole_planes(block->kernel, a, b)) {
		add_whole_tile(block, a, rows, b, columns, sums, stride, worker);
		return;
	}
	for (uint32_t p = 0; p < a->parts; p++)
		for (uint32_t q = 0; q < b->parts; q++) {
			multiply(block, a, p, b, q, low, high);
			for (uint32_t i = 0; i < rows; i++)
				for (uint32_t j = 0; j < columns; j++) {
					uint64_t l = low[i * nr + j];
					int64_t h = high[i * nr + j];

					if (l | (uint64_t)h)
						gemm_sum_add(&sums[(size_t)i * stride + j], l, h,
							     a->units.exponent[i] + b->units.exponent[j] +
							     (int32_t)((p + q) * bits));
				}
		}
}

/*
 * All pairs of parts in one 128-bit sum, in the unit of the lowest: it is below
 * 2^(width_a + width_b + 12), see direct_fits().
 */
static void multiply_parts(const struct block *block, const struct gemm_panel *a,
			   const struct gemm_panel *b, uint64_t *low, int64_t *high)
{
	_Alignas(64) uint64_t l[GEMM_TILE_MAX];
	_Alignas(64) int64_t h[GEMM_TILE_MAX];
	const uint32_t count = block->kernel->mr * block->kernel->nr;

	multiply(block, a, 0, b, 0, low, high);
	for (uint32_t p = 0; p < a->parts; p++)
		for (uint32_t q = p ? 0 : 1; q < b->parts; q++) {
			const uint32_t shift = (p + q) * block->kernel->part_bits;

			multiply(block, a, p, b, q, l, h);
			/* modulo 2^128: only the whole sum must fit */
			for (uint32_t i = 0; i < count; i++) {
				unsigned __int128 t = (unsigned __int128)(uint64_t)high[i] << 64 | low[i];

				t += ((unsigned __int128)(uint64_t)h[i] << 64 | l[i]) << shift;
				low[i] = (uint64_t)t;
				high[i] = (int64_t)(t >> 64);
			}
		}
}

static bool direct_fits(const struct gemm_panel *a, const struct gemm_panel *b)
{
	return (a->parts == 1 && b->parts == 1) || a->width + b->width + 12 <= 126;
}

/* Rows of a tile from sums in 128 bits, in units of 2^exponent times those of the lanes. */
static void finish_direct(const struct block *block, const struct gemm_panel *a, uint32_t row, uint32_t rows,
			  const struct gemm_panel *b, uint32_t column, uint32_t columns, uint32_t flags,
			  uint64_t *low, int64_t *high, int32_t *exponent, unsigned int worker,
			  struct gemm_tally *tally)
{
	const uint32_t nr = block->kernel->nr;
	uint8_t special[GEMM_TILE_MAX];

	if (flags)
		gemm_special_tile(block, a, row, rows, column, columns, scratch_of(block, worker),
				  special);
	for (uint32_t i = 0; i < rows; i++) {
		for (uint32_t j = 0; j < columns; j++)
			exponent[i * nr + j] += a->units.exponent[i] + b->units.exponent[j];
		gemm_finish_row(&block->finish, block->kernel, a->lane[i],
				block->column + column, columns, low + i * nr, high + i * nr,
				exponent + i * nr, flags ? special + i * nr : NULL, tally);
	}
}

/* Sums that fit 128 bits, with something to add to them or with NaNs and infinities. */
static void direct_tile(const struct block *block, const struct gemm_panel *a, uint32_t row,
			uint32_t rows, const struct gemm_panel *b, uint32_t column,
			uint32_t columns, uint32_t flags, unsigned int worker,
			struct gemm_tally *tally)
{
	_Alignas(64) uint64_t low[GEMM_TILE_MAX];
	_Alignas(64) int64_t high[GEMM_TILE_MAX];
	_Alignas(64) int32_t exponent[GEMM_TILE_MAX] = { 0 };

	multiply_parts(block, a, b, low, high);
	finish_direct(block, a, row, rows, b, column, columns, flags, low, high, exponent, worker,
		      tally);
}

/*
 * Can the tops of sums of whole integers be finished?  They are all of a sum below 2^124, and otherwise enough to
 * round it.
 */
static bool whole_fits(const struct block *block, uint32_t ia, uint32_t jb)
{
	const struct gemm_kernel *kernel = block->kernel;
	const struct gemm_panel *a = &block->a_panels[ia], *b = &block->b_panels[jb];
	const uint32_t row = ia * kernel->mr, column = jb * kernel->nr;

	return !block->sums && !is_direct(block, a, b) && gemm_whole_planes(kernel, a, b) &&
	       (block->finish.direct || a->width + b->width + 12 <= 124) &&
	       !(tile_flags(block, row, least(kernel->mr, block->rows - row), column,
			    least(kernel->nr, block->columns - column)) & FLAG_LOST);
}

/* As many tiles from ia on as can be made so together, of one column; how many they are. */
static uint32_t whole_tiles(const struct block *block, uint32_t ia, uint32_t a_end, uint32_t jb,
			    unsigned int worker, struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	const uint32_t column = jb * kernel->nr, columns = least(kernel->nr, block->columns - column);
	const struct gemm_panel *a[GEMM_WHOLE_PANELS], *b = &block->b_panels[jb];
	struct gemm_whole *sums = whole_of(block, worker);
	uint32_t count = 0;

	while (count < GEMM_WHOLE_PANELS && ia + count < a_end && whole_fits(block, ia + count, jb)) {
		a[count] = &block->a_panels[ia + count];
		count++;
	}
	if (count)
		kernel->whole(a, count, b, sums, room_of(block, worker));
	for (uint32_t i = 0; i < count; i++) {
		_Alignas(64) uint64_t low[GEMM_TILE_MAX];
		_Alignas(64) int64_t high[GEMM_TILE_MAX];
		_Alignas(64) int32_t exponent[GEMM_TILE_MAX];
		const uint32_t row = (ia + i) * kernel->mr, rows = least(kernel->mr, block->rows - row);
		const uint32_t flags = tile_flags(block, row, rows, column, columns);

		kernel->whole_top(&sums[i], b, low, high, exponent);
		finish_direct(block, a[i], row, rows, b, column, columns, flags, low, high,
			      exponent, worker, tally);
	}
	return count;
}

static void tile(struct block *block, uint32_t ia, uint32_t jb, unsigned int worker,
		 struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	const struct gemm_panel *a = &block->a_panels[ia], *b = &block->b_panels[jb];
	uint32_t row = ia * kernel->mr, column = jb * kernel->nr, flags;
	uint32_t rows = least(kernel->mr, block->rows - row);
	uint32_t columns = least(kernel->nr, block->columns - column);

	if (block->gather)
		gemm_gather_pair(gemm_gather_of(block->gather, worker), kernel, &a, &b);
	if (block->sums) {
		struct gemm_sum *sums = block->sums + (size_t)row * block->columns + column;

		add_tile(block, a, row, rows, b, column, columns, sums, block->columns, worker);
		if (block->last)
			finish_sums(block, a, row, rows, column, columns, sums, block->columns, tally);
		return;
	}
	flags = tile_flags(block, row, rows, column, columns);
	if (!is_direct(block, a, b) && direct_fits(a, b) && !gemm_whole_planes(kernel, a, b) &&
	    !(flags & FLAG_LOST)) {
		direct_tile(block, a, row, rows, b, column, columns, flags, worker, tally);
	} else {
		struct gemm_sum sums[GEMM_TILE_MAX];

		memset(sums, 0, sizeof(sums));
		add_tile(block, a, row, rows, b, column, columns, sums, kernel->nr, worker);
		finish_sums(block, a, row, rows, column, columns, sums, kernel->nr, tally);
	}
}

/* A tile of one part, finite, that needs rounding only. */
static void plain_tile(struct block *block, uint32_t ia, uint32_t jb, struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	const struct gemm_panel *a = &block->a_panels[ia], *b = &block->b_panels[jb];
	_Alignas(64) uint64_t low[GEMM_TILE_MAX];
	_Alignas(64) int64_t high[GEMM_TILE_MAX];
	bool wide = kernel->multiply(block->kc, a, 0, b, 0, low, high);

	for (uint32_t r = 0; r < a->used; r++)
		gemm_finish_direct(&block->finish, kernel, a->lane[r],
				   block->column + jb * kernel->nr, b->used, low + r * kernel->nr,
				   wide ? high + r * kernel->nr : NULL, b->units.exponent,
				   a->units.exponent[r], tally);
}

static bool is_plain_b(const struct block *block, uint32_t jb)
{
	const uint32_t column = jb * block->kernel->nr;

	return block->finish.direct && !block->sums && !block->gather && block->b_panels[jb].parts == 1 &&
	       !flags_of(block->column_flags + column, least(block->kernel->nr, block->columns - column));
}

static bool is_plain_a(const struct block *block, uint32_t ia)
{
	const uint32_t row = ia * block->kernel->mr;

	return block->a_panels[ia].parts == 1 &&
	       !flags_of(block->row_flags + row, least(block->kernel->mr, block->rows - row));
}

static struct gemm_store store_of(const struct block *block)
{
	struct gemm_store store = gemm_finish_store(&block->finish);

	store.a = &block->a;
	store.b = &block->b;
	return store;
}

/* The common case: many of them. */
static void strip_of_tiles(struct block *block, const uint32_t *index, uint32_t count, uint32_t jb,
			   unsigned int worker, struct gemm_tally *tally)
{
	const struct gemm_store store = store_of(block);
	const struct gemm_place place = gemm_finish_place(&block->finish, 0,
							  block->column + jb * block->kernel->nr);
	const struct gemm_panel *a[GEMM_STRIP];

	for (uint32_t i = 0; i < count; i++)
		a[i] = &block->a_panels[index[i]];
	block->kernel->strips(&store, block->kc, a, count, &block->b_panels[jb], 1, &place,
			      room_of(block, worker), tally);
}

bool gemm_block_of_tiles(struct block *block, uint32_t ia, uint32_t a_end, uint32_t jb, uint32_t b_end,
			 unsigned int worker, struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	const struct gemm_place place = gemm_finish_place(&block->finish, 0, block->column + jb * kernel->nr);
	const struct gemm_store store = store_of(block);
	const struct gemm_panel *a[GEMM_BLOCK_A];

	for (uint32_t i = ia; i < a_end; i++) {
		if (!is_plain_a(block, i))
			return false;
		a[i - ia] = &block->a_panels[i];
	}
	for (uint32_t j = jb; j < b_end; j++)
		if (!is_plain_b(block, j))
			return false;
	kernel->strips(&store, block->kc, a, a_end - ia, &block->b_panels[jb], b_end - jb, &place,
		       room_of(block, worker), tally);
	return true;
}

void gemm_column_of_tiles(struct block *block, uint32_t ia, uint32_t a_end, uint32_t jb,
			  unsigned int worker, struct gemm_tally *tally)
{
	const struct gemm_kernel *kernel = block->kernel;
	const bool plain = is_plain_b(block, jb);
	uint32_t index[GEMM_STRIP], count = 0;

	/* a tile that is taken product by product takes up to 10 ms */
	for (uint32_t i = ia; i < a_end && !gemm_cancelled(block->gemm); i++) {
		const uint32_t whole = whole_tiles(block, i, a_end, jb, worker, tally);

		if (whole) {
			i += whole - 1;
			continue;
		}
		if (!plain || !is_plain_a(block, i)) {
			tile(block, i, jb, worker, tally);
			continue;
		}
		if (!kernel->strips) {
			plain_tile(block, i, jb, tally);
			continue;
		}
		index[count++] = i;
		if (count == GEMM_STRIP) {
			strip_of_tiles(block, index, count, jb, worker, tally);
			count = 0;
		}
	}
	if (count)
		strip_of_tiles(block, index, count, jb, worker, tally);
}
