// SPDX-License-Identifier: MIT
/*
 * Sums with infinities, see gemm_special.h.  A product with one is infinite, or NaN if the other
 * element is zero; of those with two signs the sum is NaN.
 */
#include "gemm_block.h"
#include "gemm_special.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

#define PIECE 32u		/* bits of a word; a block of MXFP8, too */
#define WORDS(count) (((count) + PIECE - 1) / PIECE)

/* A bit for each k of a run; a lane has each of them, words apart. */
enum map { INFINITE, ZERO, NEGATIVE, MAPS };

_Static_assert(PIECE == QUIRE_MX_ELEMENTS, "a piece has one scale");

/* Which of a format's patterns are what. */
struct look {
	uint32_t magnitude;		/* all bits but the sign, and it, too, where 0 has none */
	uint32_t infinity;		/* magnitude of one; 0: there is none */
	uint32_t sign;			/* number of its bit */
};

static struct look look_of(uint32_t format)
{
	const uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_FP32:
		return (struct look){ 0x7fffffff, 0x7f800000, 31 };
	case QUIRE_FORMAT_BF16:
		return (struct look){ 0x7fff, 0x7f80, 15 };
	case QUIRE_FORMAT_FP16:
		return (struct look){ 0x7fff, 0x7c00, 15 };
	case QUIRE_FORMAT_E5M2:
		return (struct look){ 0x7f, 0x7c, 7 };
	case QUIRE_FORMAT_E4M3:
	case QUIRE_FORMAT_MXFP8:
		return (struct look){ 0x7f, 0, 7 };
	default:
		return (struct look){ ~0u >> (32 - bits), 0, bits - 1 };	/* INT8, posits */
	}
}

static ALWAYS_INLINE void look_at(struct look look, const uint8_t *from, uint64_t step,
				  uint32_t count, uint32_t bytes, uint32_t *maps, uint32_t words)
{
	uint32_t infinite = 0, zero = 0, negative = 0;

	for (uint32_t i = 0; i < count; i++, from += step) {
		const uint32_t word = gemm_word(from, bytes), magnitude = word & look.magnitude;

		infinite |= (uint32_t)(magnitude == look.infinity) << i;
		zero |= (uint32_t)(magnitude == 0) << i;
		negative |= (word >> look.sign & 1) << i;
	}
	maps[INFINITE * words] = look.infinity ? infinite : 0;
	maps[ZERO * words] = zero;
	maps[NEGATIVE * words] = negative;
}

/* Those of tiled matrices have no infinities. */
static void look_at_tiled(const struct gemm_source *source, uint64_t lane, uint64_t k,
			  uint32_t count, uint32_t *maps, uint32_t words)
{
	uint32_t zero = 0, negative = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct gemm_number x = gemm_load_source(source, lane, k + i);

		zero |= (uint32_t)!x.significand << i;
		negative |= (uint32_t)x.negative << i;
	}
	maps[INFINITE * words] = 0;
	maps[ZERO * words] = zero;
	maps[NEGATIVE * words] = negative;
}

/* k is a multiple of PIECE, and count no more: the piece's word of each of the lane's maps. */
static void map_piece(const struct gemm_source *source, uint64_t lane, uint64_t k, uint32_t count,
		      uint32_t *maps, uint32_t words)
{
	const uint64_t index = lane * source->lane_stride + k * source->k_stride;
	const uint64_t step = source->k_stride * source->element;
	const uint8_t *from;
	struct look look;

	/* No rows of one format that could be looked at. */
	if (source->tiled) {
		look_at_tiled(source, lane, k, count, maps, words);
		return;
	}
	look = look_of(source->format);
	from = source->data + index * source->element;
	if (source->format == QUIRE_FORMAT_MXFP8)
		look_at(look, source->data + index / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES + 1 +
				index % QUIRE_MX_ELEMENTS,
			step == 1 ? 1 : gemm_offset(source->format, step), count, 1, maps, words);
	else if (source->element == 1)
		look_at(look, from, step, count, 1, maps, words);
	else if (source->element == 2)
		look_at(look, from, step, count, 2, maps, words);
	else
		look_at(look, from, step, count, 4, maps, words);
}

/* What two lanes' products with an infinity are, together. */
static uint32_t special_of(const uint32_t *x, const uint32_t *y, uint32_t words)
{
	uint32_t nan = 0, plus = 0, minus = 0;

	for (uint32_t w = 0; w < words; w++) {
		const uint32_t x_infinite = x[INFINITE * words + w];
		const uint32_t y_infinite = y[INFINITE * words + w];
		const uint32_t infinite = x_infinite | y_infinite;
		const uint32_t sign = x[NEGATIVE * words + w] ^ y[NEGATIVE * words + w];

		nan |= (x_infinite & y[ZERO * words + w]) | (y_infinite & x[ZERO * words + w]);
		plus |= infinite & ~sign;
		minus |= infinite & sign;
	}
	if (nan || (plus && minus))
		return GEMM_NAN;
	return plus ? GEMM_PLUS_INF : minus ? GEMM_MINUS_INF : GEMM_FINITE;
}

uint32_t gemm_special_sum(const struct gemm_source *a, uint64_t row, const struct gemm_source *b,
			  uint64_t column, uint64_t k, uint32_t count)
{
	uint32_t maps[2][MAPS * WORDS(GEMM_KC)];
	const uint32_t words = WORDS(count);

	for (uint32_t w = 0; w < words; w++) {
		const uint32_t first = w * PIECE, here = least(PIECE, count - first);

		map_piece(a, row, k + first, here, maps[0] + w, words);
		map_piece(b, column, k + first, here, maps[1] + w, words);
	}
	return special_of(maps[0], maps[1], words);
}

/* A tile's rows or columns. */
struct side {
	const uint8_t *flags;
	uint32_t count;
	uint32_t *maps;			/* of each; not those of lanes that do not matter */
};

static bool is_infinite(uint32_t flags)
{
	return (flags & (GEMM_SPECIAL_NAN | GEMM_SPECIAL_INF)) == GEMM_SPECIAL_INF;
}

static bool has_infinite(const struct side *side)
{
	for (uint32_t l = 0; l < side->count; l++)
		if (is_infinite(side->flags[l]))
			return true;
	return false;
}

/* A piece of all lanes before the next: where they lie side by side they share its cache lines. */
static void map_side(const struct block *block, const struct side *side,
		     const struct gemm_source *source, const uint32_t *lane, bool all)
{
	const uint32_t words = WORDS(block->kc);

	for (uint32_t w = 0; w < words; w++)
		for (uint32_t l = 0; l < side->count; l++) {
			const uint32_t flags = side->flags[l], first = w * PIECE;
			const uint32_t here = least(PIECE, block->kc - first);

			if (is_infinite(flags) || (all && !(flags & GEMM_SPECIAL_NAN)))
				map_piece(source, lane[l], block->k + first, here,
					  side->maps + l * MAPS * words + w, words);
		}
}

void gemm_special_tile(const struct block *block, const struct gemm_panel *a, uint32_t row,
		       uint32_t rows, uint32_t column, uint32_t columns, void *room,
		       uint8_t *special)
{
	const uint32_t words = WORDS(block->kc), nr = block->kernel->nr;
	const struct side x = { block->row_flags + row, rows, room };
	const struct side y = { block->column_flags + column, columns,
				x.maps + rows * MAPS * words };
	const bool x_infinite = has_infinite(&x), y_infinite = has_infinite(&y);
	uint32_t lane[GEMM_LANES_MAX];

	for (uint32_t j = 0; j < columns; j++)
		lane[j] = block->column + column + j;
	if (x_infinite || y_infinite) {
		map_side(block, &x, &block->a, a->lane, y_infinite);
		map_side(block, &y, &block->b, lane, x_infinite);
	}
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t j = 0; j < columns; j++) {
			const uint32_t flags = x.flags[i] | y.flags[j];

			uint32_t value = flags & GEMM_SPECIAL_NAN ? GEMM_NAN : GEMM_FINITE;

			if (is_infinite(flags))
				value = special_of(x.maps + i * MAPS * words,
						   y.maps + j * MAPS * words, words);
			special[i * nr + j] = (uint8_t)value;
		}
}
