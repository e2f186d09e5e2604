// SPDX-License-Identifier: MIT
/*
 * Exact sums product by product.  A product of two significands is added to the accumulator of its
 * exponent: no shift, no carry to walk.  A run's accumulators, one for each exponent there is, are
 * added to the quire image at its end.
 */
#include <string.h>

#include "gemm_direct.h"
#include "gemm_special.h"
#include "number.h"

/* Exponents of split numbers begin with that of FP32's least. */
#define BIAS 149
/* MXFP8's largest, 2^(127 + 8), has 4 bits; posit32's, 2^120, has 28. */
#define FINITE_END 288u			/* exponents of finite numbers are below */
/* An exponent of two numbers is below; a multiple of GROUP. */
#define EXPONENTS 608u
#define GROUP 32u			/* accumulators added to the image together */
#define TURNS 2				/* accumulators of an exponent, of products by turns */

_Static_assert(EXPONENTS % GROUP == 0 && EXPONENTS >= 2 * (FINITE_END + 4),
	       "exponents are in bounds");

#define ALWAYS_INLINE inline __attribute__((always_inline))

/*
 * What a run costs beside the products themselves, in products: to split a number, to add a sum's
 * accumulators to its image.
 */
#define SPLIT_COST 4
#define SUM_COST 800

/* A panel takes as long with few lanes as with all. */
static uint32_t few_sums(const struct gemm_kernel *kernel)
{
	const uint32_t few = kernel->mr * kernel->nr / 24;

	return few > GEMM_DIRECT_SUMS ? few : GEMM_DIRECT_SUMS;
}

bool gemm_direct_always(const struct gemm_kernel *kernel, const struct quire_gemm *gemm)
{
	return (uint64_t)gemm->m * gemm->n <= few_sums(kernel) && gemm->k >= GEMM_DIRECT_LEAST &&
	       gemm->a.format != QUIRE_FORMAT_TILED && gemm->b.format != QUIRE_FORMAT_TILED;
}

/* What a k of two panels costs, in products. */
static uint32_t tile_cost(const struct gemm_kernel *kernel, const struct gemm_panel *a,
			  const struct gemm_panel *b)
{
	uint32_t moduli = 0;

	if (kernel->whole_moduli)
		moduli = kernel->whole_moduli(gemm_whole_weight(a) * gemm_whole_weight(b));
	return moduli ? moduli * kernel->modulus_cost : a->parts * b->parts * kernel->pair_cost;
}

bool gemm_direct_pays(const struct gemm_kernel *kernel, const struct gemm_panel *a,
		      const struct gemm_panel *b)
{
	const uint32_t sums = a->used * b->used;

	if (a->parts == 1 && b->parts == 1)
		return false;
	return (uint64_t)(sums + SPLIT_COST * (a->used + b->used)) * a->kc +
		       (uint64_t)sums * SUM_COST <
	       (uint64_t)tile_cost(kernel, a, b) * a->kc;
}

/* ---- Numbers ---- */

/* Numbers split: significand * 2^(at - BIAS). */
struct split {
	int32_t *significand;
	uint32_t *at;
};

static ALWAYS_INLINE void put(const struct split *out, uint32_t i, bool negative,
			      uint32_t significand, uint32_t at)
{
	out->significand[i] = negative ? -(int32_t)significand : (int32_t)significand;
	out->at[i] = at;
}

/* See load_ieee() of gemm_number.c. */
static ALWAYS_INLINE void split_ieee(const struct split *out, const uint8_t *from, uint64_t step,
				     uint32_t count, uint32_t bytes, int fraction, int exponent,
				     bool finite_only)
{
	const uint32_t base = (uint32_t)(BIAS - ((1 << (exponent - 1)) - 1) - fraction);
	const uint32_t top = (1u << exponent) - 1;

	for (uint32_t i = 0; i < count; i++, from += step) {
		const uint32_t word = gemm_word(from, bytes);
		const uint32_t f = word & ((1u << fraction) - 1), field = word >> fraction & top;
		const bool negative = word >> (fraction + exponent) & 1;
		const bool nan = finite_only ? (word & 0x7f) == 0x7f : field == top && f;
		const bool special = nan || (!finite_only && field == top);
		const uint32_t kind = nan ? GEMM_NAN : negative ? GEMM_MINUS_INF : GEMM_PLUS_INF;

		put(out, i, negative, special ? 0 : f | (uint32_t)(field != 0) << fraction,
		    special ? FINITE_END + kind : base + (field ? field : 1));
	}
}

static ALWAYS_INLINE void split_posit(const struct split *out, const uint8_t *from, uint64_t step,
				      uint32_t count, uint32_t bytes, uint32_t bits)
{
	/* all that a significand has, and no more, see bits_of() */
	const int kept = bytes == 4 ? 28 : 12;

	/* number_of_posit() without a branch: signs and regimes cannot be foretold */
	for (uint32_t i = 0; i < count; i++, from += step) {
		const uint32_t left = gemm_word(from, bytes) << (32 - bits), sign = -(left >> 31);
		const uint32_t magnitude = (left ^ sign) - sign, large = -(magnitude >> 30 & 1);
		const uint32_t run = (uint32_t)__builtin_clz((magnitude ^ large) << 1 | 1);
		const uint32_t regime = (large & (run - 1)) | (~large & -run);
		const uint32_t rest = magnitude << 2 << run, any = -(uint32_t)((left << 1) != 0);
		const uint32_t significand = (1u << 31 | (rest & 0x3fffffff) << 1) >> (32 - kept);
		const uint32_t at = 4 * regime + (rest >> 30) + (uint32_t)(BIAS + 1 - kept);

		/* neither 0 nor NaR */
		out->significand[i] = (int32_t)(((significand ^ sign) - sign) & any);
		out->at[i] = (at & any) | (~any & sign & (FINITE_END + GEMM_NAN));
	}
}

static void split_int8(const struct split *out, const uint8_t *from, uint64_t step, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, from += step) {
		out->significand[i] = (int8_t)*from;
		out->at[i] = BIAS;
	}
}

/* Elements index, index + step ... of blocks, data at a scale: see split_ieee(). */
static void split_mx(const struct split *out, const uint8_t *data, uint64_t index, uint64_t step,
		     uint32_t count)
{
	const uint32_t base = BIAS - 7 - 3 - QUIRE_MX_SCALE_BIAS;

	for (uint32_t i = 0; i < count; i++, index += step) {
		const uint8_t *block = data + index / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;
		const uint32_t word = block[1 + index % QUIRE_MX_ELEMENTS];
		const uint32_t f = word & 7, field = word >> 3 & 15;
		const bool nan = (word & 0x7f) == 0x7f || block[0] == QUIRE_MX_SCALE_NAN;

		put(out, i, word >> 7, nan ? 0 : f | (uint32_t)(field != 0) << 3,
		    nan ? FINITE_END + GEMM_NAN : base + block[0] + (field ? field : 1));
	}
}

static void split_lane(const struct split *out, const struct gemm_source *source, uint64_t lane,
		       uint64_t k, uint32_t count)
{
	const uint32_t format = source->format, bits = QUIRE_FORMAT_BITS(format);
	const uint32_t bytes = source->element;
	const uint64_t index = lane * source->lane_stride + k * source->k_stride;
	const uint64_t step = source->k_stride * bytes;
	const uint8_t *from = source->data + index * bytes;

	if (format == QUIRE_FORMAT_FP32)
		split_ieee(out, from, step, count, 4, 23, 8, false);
	else if (format == QUIRE_FORMAT_BF16)
		split_ieee(out, from, step, count, 2, 7, 8, false);
	else if (format == QUIRE_FORMAT_FP16)
		split_ieee(out, from, step, count, 2, 10, 5, false);
	else if (format == QUIRE_FORMAT_E4M3)
		split_ieee(out, from, step, count, 1, 3, 4, true);
	else if (format == QUIRE_FORMAT_E5M2)
		split_ieee(out, from, step, count, 1, 2, 5, false);
	else if (format == QUIRE_FORMAT_INT8)
		split_int8(out, from, step, count);
	else if (format == QUIRE_FORMAT_MXFP8)
		split_mx(out, source->data, index, step, count);
	else if (bytes == 1)
		split_posit(out, from, step, count, 1, bits);
	else if (bytes == 2)
		split_posit(out, from, step, count, 2, bits);
	else
		split_posit(out, from, step, count, 4, bits);
}

/* A significand's bits, at most. */
static uint32_t bits_of(uint32_t format)
{
	if (format == QUIRE_FORMAT_FP32)
		return 24;
	if (QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT && gemm_element_bytes(format) == 4)
		return 28;
	return 12;
}

/* ---- Sums ---- */

/*
 * Accumulators are at most 2^59 in magnitude with products of 48 bits, 2^68 with those of 56, and a
 * group of them, each a bit higher than the one before, fits 128 bits.
 */
static ALWAYS_INLINE void add_group(struct gemm_sum *sum, __int128 group, uint32_t first)
{
	if (group)
		gemm_sum_add(sum, (uint64_t)group, (int64_t)(group >> 64),
			     (int32_t)first - 2 * BIAS);
}

#define SUM_DEFINE(name, type)                                                              \
	static void name(struct gemm_sum *sum, const struct split *a, const struct split *b, \
			 uint32_t count)                                                    \
	{                                                                                   \
		type t[TURNS][EXPONENTS];                                                   \
                                                                                            \
		memset(t, 0, sizeof(t));                                                    \
		for (uint32_t i = 0; i < count; i++)                                        \
			t[i % TURNS][a->at[i] + b->at[i]] +=                                \
				(int64_t)a->significand[i] * b->significand[i];             \
		for (uint32_t first = 0; first < EXPONENTS; first += GROUP) {               \
			__int128 group = 0;                                                 \
                                                                                            \
			for (uint32_t e = first + GROUP; e-- > first;)                      \
				group = group * 2 + ((__int128)t[0][e] + t[1][e]);          \
			add_group(sum, group, first);                                       \
		}                                                                           \
	}

SUM_DEFINE(sum_narrow, int64_t)
SUM_DEFINE(sum_wide, __int128)

/* The specials of a lane: 0, or of enum gemm_special. */
static uint32_t specials_of(const struct split *x, uint32_t count)
{
	uint32_t most = 0, nan = 0;

	for (uint32_t i = 0; i < count; i++) {
		most = x->at[i] > most ? x->at[i] : most;
		nan |= x->at[i] == FINITE_END + GEMM_NAN;
	}
	return nan ? GEMM_SPECIAL_NAN : most > FINITE_END ? GEMM_SPECIAL_INF : 0;
}

static bool are_narrow(const struct gemm_source *a, const struct gemm_source *b)
{
	return bits_of(a->format) + bits_of(b->format) <= 48;
}

static void add_products(struct gemm_sum *sum, const struct split *a, const struct split *b,
			 uint32_t count, bool narrow)
{
	if (narrow)
		sum_narrow(sum, a, b, count);
	else
		sum_wide(sum, a, b, count);
}

/* Numbers of a lane, in room for count of each lane before it, too. */
static struct split split_of(void *room, uint32_t lane, uint32_t count)
{
	int32_t *numbers = (int32_t *)room + (size_t)lane * 2 * count;

	return (struct split){ numbers, (uint32_t *)numbers + count };
}

void gemm_direct_tile(const struct gemm_source *a, const struct gemm_panel *panel_a,
		      const struct gemm_source *b, const struct gemm_panel *panel_b, uint64_t k,
		      void *room, struct gemm_sum *sums, uint32_t stride)
{
	int32_t row[2 * GEMM_KC];
	const struct split of_row = split_of(row, 0, GEMM_KC);
	const uint32_t count = panel_a->kc, columns = panel_b->used;
	const bool narrow = are_narrow(a, b);

	for (uint32_t j = 0; j < columns; j++) {
		const struct split of_column = split_of(room, j, count);

		if (!panel_b->special[j])
			split_lane(&of_column, b, panel_b->lane[j], k, count);
	}
	for (uint32_t i = 0; i < panel_a->used; i++) {
		if (panel_a->special[i])
			continue;
		split_lane(&of_row, a, panel_a->lane[i], k, count);
		for (uint32_t j = 0; j < columns; j++) {
			const struct split of_column = split_of(room, j, count);
			struct gemm_sum *sum = &sums[(size_t)i * stride + j];

			if (!panel_b->special[j] && !sum->special)
				add_products(sum, &of_row, &of_column, count, narrow);
		}
	}
}

/* An operand's run of a lane. */
struct run {
	const struct gemm_source *source;
	uint64_t lane, k;
	uint32_t count, specials;
	struct split split;
};

static void split_run(struct run *run)
{
	split_lane(&run->split, run->source, run->lane, run->k, run->count);
	run->specials = specials_of(&run->split, run->count);
}

static void add_runs(struct gemm_sum *sum, const struct run *x, const struct run *y, bool narrow)
{
	const uint32_t specials = x->specials | y->specials;

	if (specials & GEMM_SPECIAL_NAN)
		gemm_sum_special(sum, GEMM_NAN);
	else if (specials)
		gemm_sum_special(sum, gemm_special_sum(x->source, x->lane, y->source, y->lane, x->k,
						       x->count));
	else if (!sum->special)
		add_products(sum, &x->split, &y->split, x->count, narrow);
}

void gemm_direct_sums(const struct quire_gemm *gemm, const struct gemm_source *a,
		      const struct gemm_source *b, uint64_t row, uint64_t column, uint32_t columns,
		      struct gemm_sum *sums)
{
	int32_t room[2][2 * GEMM_KC];
	struct run x = { .source = a, .lane = row, .split = split_of(room[0], 0, GEMM_KC) };
	struct run y = { .source = b, .split = split_of(room[1], 0, GEMM_KC) };
	const bool narrow = are_narrow(a, b);

	for (uint32_t k = 0; k < gemm->k && !gemm_cancelled(gemm); k += x.count) {
		x.k = y.k = k;
		x.count = y.count = gemm->k - k < GEMM_KC ? gemm->k - k : GEMM_KC;
		split_run(&x);
		for (uint32_t j = 0; j < columns; j++) {
			y.lane = column + j;
			split_run(&y);
			add_runs(&sums[j], &x, &y, narrow);
		}
	}
}
