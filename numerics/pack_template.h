/* SPDX-License-Identifier: MIT */
/*
 * Operands to panels of integers (struct gemm_panel).  Included by each
 * kernel_*.c so that the compiler vectorises the loops for that CPU.
 *
 * Every element of every operand format is exactly a double: at most 28
 * significant bits and an exponent within -149..135.  Weighing decodes to doubles, some k's
 * at a time in scratch memory, which stays in the cache, and finds for each lane the unit of
 * its last set bit 2^e and of its first 2^h.  Packing decodes once more, which is cheaper
 * than to keep the doubles, and turns them into integers of one or more parts, or into their
 * residues, as the panels of the other operand demand.
 */
#ifndef QUIRE_PACK_TEMPLATE_H
#define QUIRE_PACK_TEMPLATE_H

#include <stdlib.h>
#include <string.h>

#include "gemm_internal.h"

#define PACK_RUN 256			/* elements decoded at a time */
#define PACK_STEPS 64			/* k's treated at a time; a multiple of 16 */
#define PACK_INF 0x7ff0000000000000ull
#define PACK_NAN 0x7ff8000000000000ull
#define PACK_ABS 0x7fffffffffffffffull

static inline double pack_double(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, 8);
	return d;
}

static inline uint64_t pack_bits(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, 8);
	return bits;
}

/*
 * Posit left-aligned in 32 bits to the pattern of its double.  The length of the
 * regime's run is read off the exponent of a conversion to double, which every
 * vector unit has and which is exact for 32 bits.
 */
static inline uint64_t pack_posit(uint32_t left)
{
	uint32_t s = (uint32_t)((int32_t)left >> 31);
	uint32_t magnitude = (left ^ s) - s;
	uint32_t ones = (uint32_t)((int32_t)(magnitude << 1) >> 31);
	/* the run becomes leading zeros below bit 31; bit 30 is one of them, the 1
	 * put below stops a run that fills the word: below 2^31, 1 at least */
	uint32_t y = (magnitude ^ ones) << 1 | 1;
	uint64_t d = pack_bits((double)(int32_t)(y & 0x7fffffff));
	int32_t run = 1054 - (int32_t)(d >> 52);	/* highest bit of y is 31 - run */
	int32_t regime = ones ? run - 1 : -run;
	uint32_t rest = magnitude << 2 << run;
	uint64_t bits = ((uint64_t)(uint32_t)(1023 + 4 * regime) << 52) + ((uint64_t)rest << 22);

	bits |= (uint64_t)(s & 1) << 63;
	bits = left == 0 ? 0 : bits;
	return left == 0x80000000u ? PACK_NAN : bits;
}

/* Patterns of FP32 to patterns of double; the conversion is exact. */
static inline uint64_t pack_fp32(uint32_t word)
{
	float f;

	memcpy(&f, &word, 4);
	return pack_bits((double)f);
}

/*
 * binary16 in the upper half of its exponent range: moved into FP32's field it is
 * too small by 2^112, also when subnormal; Inf and NaN are put right by hand.
 */
static inline uint64_t pack_fp16(uint32_t word)
{
	uint64_t bits = pack_fp32((word & 0x7fff) << 13);
	uint64_t scaled = pack_bits(pack_double(bits) * 0x1p112);
	uint64_t special = (word & 0x3ff) ? PACK_NAN : PACK_INF;

	scaled = (word & 0x7c00) == 0x7c00 ? special : scaled;
	return scaled | (uint64_t)(word >> 15 & 1) << 63;
}

static inline uint64_t pack_e4m3(uint32_t word)
{
	/* FP32's field with the exponent 120 too small */
	uint64_t scaled = pack_bits(pack_double(pack_fp32((word & 0x7f) << 20)) * 0x1p120);

	scaled = (word & 0x7f) == 0x7f ? PACK_NAN : scaled;
	return scaled | (uint64_t)(word >> 7 & 1) << 63;
}

/* Elements first to first + count of blocks; row is at a scale. */
static inline void pack_decode_mx(const uint8_t *row, uint64_t first, uint32_t count,
				  uint64_t *out)
{
	while (count) {
		const uint8_t *block = row + first / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;
		uint32_t skip = first % QUIRE_MX_ELEMENTS, here = QUIRE_MX_ELEMENTS - skip;
		double scale = pack_double(gemm_mx_scale(block[0]));

		here = here < count ? here : count;
		for (uint32_t i = 0; i < here; i++)
			out[i] = pack_bits(pack_double(pack_e4m3(block[1 + skip + i])) * scale);
		first += here;
		count -= here;
		out += here;
	}
}

/* count contiguous elements from data to patterns of double */
static inline void pack_decode(uint32_t format, const uint8_t *data, uint32_t count,
			       uint64_t *out)
{
	const uint8_t *x8 = data;
	const uint16_t *x16 = (const uint16_t *)(const void *)data;
	const uint32_t *x32 = (const uint32_t *)(const void *)data;
	const uint32_t bits = QUIRE_FORMAT_BITS(format);
	uint32_t i;

	switch (format) {
	case QUIRE_FORMAT_MXFP8:
		pack_decode_mx(data, 0, count, out);
		return;
	case QUIRE_FORMAT_BF16:
		for (i = 0; i < count; i++)
			out[i] = pack_fp32((uint32_t)x16[i] << 16);
		return;
	case QUIRE_FORMAT_FP16:
		for (i = 0; i < count; i++)
			out[i] = pack_fp16(x16[i]);
		return;
	case QUIRE_FORMAT_FP32:
		for (i = 0; i < count; i++)
			out[i] = pack_fp32(x32[i]);
		return;
	case QUIRE_FORMAT_E4M3:
		for (i = 0; i < count; i++)
			out[i] = pack_e4m3(x8[i]);
		return;
	case QUIRE_FORMAT_E5M2:
		for (i = 0; i < count; i++)
			out[i] = pack_fp16((uint32_t)x8[i] << 8);
		return;
	case QUIRE_FORMAT_INT8:
		for (i = 0; i < count; i++)
			out[i] = pack_bits((double)(int8_t)x8[i]);
		return;
	}
	if (bits <= 8)
		for (i = 0; i < count; i++)
			out[i] = pack_posit((uint32_t)x8[i] << (32 - bits));
	else if (bits <= 16)
		for (i = 0; i < count; i++)
			out[i] = pack_posit((uint32_t)x16[i] << (32 - bits));
	else
		for (i = 0; i < count; i++)
			out[i] = pack_posit(x32[i] << (32 - bits));
}

/* 2^exponent, exponent within -1022..1023 */
static inline double pack_power(int32_t exponent)
{
	return pack_double((uint64_t)(exponent + 1023) << 52);
}

/* What pass one learns of a lane. */
struct pack_range {
	uint64_t most[GEMM_LANES_MAX];	/* largest pattern of |x| */
	uint64_t last[GEMM_LANES_MAX];	/* least pattern of the last set bit's weight */
	double squares[GEMM_LANES_MAX];
};

/* Where codes of what is measured go (last_bits_avx512.h), if to anywhere: from k on of a panel of kc. */
struct pack_codes {
	uint8_t *all;
	uint32_t k, kc;
};

/* The pattern of the weight of x's last set bit, infinity for zero. */
static inline uint64_t pack_last_bit(uint64_t bits)
{
	uint64_t magnitude = bits & PACK_ABS;
	uint64_t without = magnitude & (magnitude - 1);
	/* exact: the difference is one bit of the double's own precision */
	uint64_t last = pack_bits(pack_double(magnitude) - pack_double(without));

	/* a power of two has no fraction bit to take away */
	last = magnitude & 0xfffffffffffffull ? last : magnitude;
	return magnitude ? last : PACK_INF;
}

/* Signed comparison: patterns without sign are below 2^63. */
static inline uint64_t pack_max(uint64_t x, uint64_t y)
{
	return (int64_t)x > (int64_t)y ? x : y;
}

static inline uint64_t pack_min(uint64_t x, uint64_t y)
{
	return (int64_t)x < (int64_t)y ? x : y;
}

/* Elements of a source from (lane, k) on, in the order of memory. */
static inline void pack_decode_source(const struct gemm_source *source, uint64_t lane, uint64_t k,
				      uint32_t count, uint64_t *out)
{
	const bool along_k = source->k_stride == 1;

	if (source->format == QUIRE_FORMAT_MXFP8)
		pack_decode_mx(source->data + gemm_offset(source->format,
				along_k ? lane * source->lane_stride : k * source->k_stride),
			       along_k ? k : lane, count, out);
	else
		pack_decode(source->format, source->data +
			    (lane * source->lane_stride + k * source->k_stride) * source->element,
			    count, out);
}

/* count elements of lane l */
static inline void pack_measure(const uint64_t *x, uint32_t count, uint32_t l,
				struct pack_range *range)
{
	uint64_t most = range->most[l], last = range->last[l];
	double part[8] = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		most = pack_max(most, x[i] & PACK_ABS);
		last = pack_min(last, pack_last_bit(x[i]));
	}
	for (uint32_t i = 0; i + 8 <= count; i += 8)
		for (uint32_t v = 0; v < 8; v++)
			part[v] += pack_double(x[i + v]) * pack_double(x[i + v]);
	for (uint32_t i = count & ~7u; i < count; i++)
		part[0] += pack_double(x[i]) * pack_double(x[i]);
	for (uint32_t v = 0; v < 8; v++)
		range->squares[l] += part[v];
	range->most[l] = most;
	range->last[l] = last;
}

#ifndef __AVX512F__
/* Doubles where k runs along memory: lane by lane, of any.  range NULL: nothing is measured. */
static inline void pack_along_k(uint64_t *out, uint32_t lanes, const struct gemm_source *source,
				const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc,
				struct pack_range *range)
{
	uint64_t run[PACK_RUN];

	for (uint32_t l = 0; l < used; l++) {
		for (uint32_t i = 0; i < kc; i += PACK_RUN) {
			uint32_t count = kc - i < PACK_RUN ? kc - i : PACK_RUN;
			uint64_t *to = out + (size_t)i * lanes + l;

			pack_decode_source(source, lane[l], k + i, count, run);
			if (range)
				pack_measure(run, count, l, range);
			for (uint32_t j = 0; j < count; j++)
				to[(size_t)j * lanes] = run[j];
		}
	}
	for (uint32_t l = used; l < lanes; l++)
		for (uint32_t i = 0; i < kc; i++)
			out[(size_t)i * lanes + l] = 0;
}

/* The same where lanes lie side by side in memory. */
static inline void pack_across_k(uint64_t *out, uint32_t lanes, const struct gemm_source *source,
				 uint64_t lane, uint32_t used, uint64_t k, uint32_t kc,
				 struct pack_range *range)
{
	for (uint32_t i = 0; i < kc; i++) {
		uint64_t *to = out + (size_t)i * lanes;

		if (used == lanes) {
			pack_decode_source(source, lane, k + i, lanes, to);
		} else {
			pack_decode_source(source, lane, k + i, used, to);
			for (uint32_t l = used; l < lanes; l++)
				to[l] = 0;
		}
		for (uint32_t l = 0; range && l < lanes; l++) {
			range->most[l] = pack_max(range->most[l], to[l] & PACK_ABS);
			range->last[l] = pack_min(range->last[l], pack_last_bit(to[l]));
			range->squares[l] += pack_double(to[l]) * pack_double(to[l]);
		}
	}
}

#endif

#ifdef __AVX512F__
#include "pack_doubles_avx512.h"
#else
static inline void pack_doubles(uint64_t *out, uint32_t lanes, const struct gemm_source *source,
				const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc,
				const struct pack_codes *codes, struct pack_range *range)
{
	(void)codes;
	if (source->k_stride == 1)
		pack_along_k(out, lanes, source, lane, used, k, kc, range);
	else
		pack_across_k(out, lanes, source, lane[0], used, k, kc, range);
}
#endif

/* NaN and infinity of a lane's doubles become 0; which there were. */
static inline uint8_t pack_clear_specials(double *from, uint32_t lanes, uint32_t l, uint32_t kc)
{
	uint64_t *at = (uint64_t *)(void *)from + l;
	uint8_t special = 0;

	for (uint32_t i = 0; i < kc; i++, at += lanes) {
		uint64_t magnitude = *at & PACK_ABS;

		if (magnitude < PACK_INF)
			continue;
		special |= magnitude == PACK_INF ? GEMM_SPECIAL_INF : GEMM_SPECIAL_NAN;
		*at = 0;
	}
	return special;
}

/* A lane with NaN or infinity: note it, treat the elements as 0, measure again. */
static void pack_sanitise(struct gemm_panel *panel, double *from, uint32_t lanes, uint32_t l,
			  uint32_t kc, struct pack_range *range)
{
	const uint64_t *at = (const uint64_t *)(const void *)from + l;

	panel->special[l] |= pack_clear_specials(from, lanes, l, kc);
	range->most[l] = 0;
	range->last[l] = PACK_INF;
	range->squares[l] = 0;
	for (uint32_t i = 0; i < kc; i++, at += lanes)
		pack_measure(at, 1, l, range);
}

/*
 * One part of kc k's from k on: v = x / unit is an integer of at most single_bits <= 50
 * bits, so magic + v is exact.  The sum of 2^12 of them stays below 2^62.
 */
static inline void pack_single(struct gemm_panel *panel, const double *from, uint32_t lanes,
			       uint32_t k, uint32_t kc, const double *scale)
{
	uint64_t sum[GEMM_LANES_MAX] = { 0 };
	uint64_t *at = panel->part[0] + (size_t)k * lanes;

	for (uint32_t i = 0; i < kc; i++, at += lanes, from += lanes)
		for (uint32_t l = 0; l < lanes; l++) {
			at[l] = pack_bits(from[l] * scale[l] + GEMM_MAGIC) - GEMM_MAGIC_BITS;
			sum[l] += at[l];
		}
	for (uint32_t l = 0; l < lanes; l++)
		panel->sum[0][l] += sum[l];
}

/*
 * Many parts of the same, from the top: v = x / 2^(e + q * part_bits) rounded to
 * the nearest integer by the addition of the magic number (one rounding, of a
 * fused multiply-add or of an exact product: the scale is a power of two), and
 * x becomes the rest, which is exact, a multiple of 2^e and at most half this
 * part's unit.  So each v of a lower part is at most 2^(part_bits - 1), and so is
 * the top one because parts were chosen for width <= parts * part_bits - 1.
 */
static inline void pack_parts(struct gemm_panel *panel, double *rest, uint32_t lanes, uint32_t k,
			      uint32_t kc, const struct gemm_kernel *kernel)
{
	for (uint32_t q = panel->parts; q-- > 0;) {
		uint64_t *out = panel->part[q] + (size_t)k * lanes;
		uint64_t sum[GEMM_LANES_MAX] = { 0 };
		double scale[GEMM_LANES_MAX], unit[GEMM_LANES_MAX];

		for (uint32_t l = 0; l < lanes; l++) {
			int32_t e = panel->units.exponent[l] + (int32_t)(q * kernel->part_bits);

			scale[l] = pack_power(-e);
			unit[l] = pack_power(e);
		}
		for (uint32_t i = 0; i < kc; i++)
			for (uint32_t l = 0; l < lanes; l++) {
				size_t at = (size_t)i * lanes + l;
				double v = rest[at] * scale[l] + GEMM_MAGIC;

				rest[at] -= (v - GEMM_MAGIC) * unit[l];
				out[at] = pack_bits(v) - GEMM_MAGIC_BITS;
				sum[l] += out[at];
			}
		for (uint32_t l = 0; l < lanes; l++)
			panel->sum[q][l] += sum[l];
	}
}

/* Is there a part for each of parts - 1 beyond the first? */
static inline bool pack_make_room(struct gemm_panel *panel, uint32_t lanes, uint32_t kc)
{
	size_t bytes = (((size_t)lanes * kc * 8) + 63) & ~(size_t)63;

	free(panel->extra);
	panel->extra = NULL;
	free(panel->whole);
	panel->whole = NULL;
	panel->whole_room = 0;
	if (panel->parts == 1)
		return true;
	panel->extra = aligned_alloc(64, bytes * (panel->parts - 1));
	if (!panel->extra)
		return false;
	for (uint32_t q = 1; q < panel->parts; q++)
		panel->part[q] = panel->extra + (q - 1) * (bytes / 8);
	return true;
}

#include "pack_tiled.h"
#ifdef __AVX512F__
#include "cut_avx512.h"
#include "pack_float_avx512.h"
#include "residue_whole_avx512.h"
#endif

static inline void pack_nothing_seen(struct pack_range *range, uint32_t lanes)
{
	for (uint32_t l = 0; l < lanes; l++) {
		range->most[l] = 0;
		range->last[l] = PACK_INF;
		range->squares[l] = 0;
	}
}

#ifdef __AVX512F__
#include "pack_rows_avx512.h"
#endif

static inline void pack_add_range(struct pack_range *range, const struct pack_range *some,
				  uint32_t lanes)
{
	for (uint32_t l = 0; l < lanes; l++) {
		range->most[l] = pack_max(range->most[l], some->most[l]);
		range->last[l] = pack_min(range->last[l], some->last[l]);
		range->squares[l] += some->squares[l];
	}
}

/*
 * Measure all of a panel's lanes.  keep: their doubles stay, but for formats that FP32 holds, which are
 * decoded in less time than doubles are read; whether they did.
 */
static inline bool pack_range_of(struct gemm_panel *panel, double *scratch, uint32_t lanes,
				 const struct gemm_source *source, uint64_t lane, uint32_t used,
				 uint64_t k, uint32_t kc, bool keep, struct pack_range *range)
{
	uint32_t steps = source->tiled ? kc : PACK_STEPS;
	struct pack_codes codes = { .kc = kc };

#ifdef __AVX512F__
	if (lanes == RESIDUE_ROWS && !panel->precision && pack_rows_weigh(range, panel, source, used, k, kc))
		return false;
	if (pack_is_float(source->format)) {
		steps = PACK_FLOAT_STEPS;
		keep = false;
	}
	if (panel->precision)
		codes.all = cut_codes(scratch, lanes, kc);
#endif
	pack_nothing_seen(range, lanes);
	for (uint32_t i = 0; i < kc; i += steps) {
		uint32_t count = kc - i < steps ? kc - i : steps;
		double *doubles = scratch + (keep ? (size_t)i * lanes : 0);
		uint64_t *patterns = (uint64_t *)(void *)doubles;
		struct pack_range some;

		codes.k = i;

#ifdef __AVX512F__
		if (pack_floats_weigh(&some, source, lanes, panel->lane, used, k + i, count, &codes)) {
			pack_add_range(range, &some, lanes);
			continue;
		}
#endif
		pack_nothing_seen(&some, lanes);
		if (source->tiled)
			count = panel->kc = pack_tiled(panel, patterns, lanes, source, lane, used, k, kc,
						       &some);
		else
			pack_doubles(patterns, lanes, source, panel->lane, used, k + i, count, &codes,
				     &some);
		for (uint32_t l = 0; l < lanes; l++)
			if (some.most[l] >= PACK_INF)
				pack_sanitise(panel, doubles, lanes, l, count, &some);
		pack_add_range(range, &some, lanes);
	}
	return keep;
}

/* The units of a panel's lanes; the width of the widest. */
static inline int32_t pack_units(const struct pack_range *range, uint32_t lanes, struct gemm_units *units)
{
	int32_t widest = 0;

	for (uint32_t l = 0; l < lanes; l++) {
		int32_t e, width;

		units->weights[l] = 0;
		units->widths[l] = 0;
		units->exponent[l] = 0;
		if (!range->most[l])
			continue;
		/* every format's numbers are multiples of 2^-149 */
		e = (int32_t)(range->last[l] >> 52) - 1023;
		e = e < -149 ? -149 : e;
		width = (int32_t)(range->most[l] >> 52) - 1023 - e + 1;
		widest = width > widest ? width : widest;
		units->exponent[l] = e;
		units->weights[l] = range->squares[l] * pack_power(-e) * pack_power(-e);
		units->widths[l] = (uint8_t)(width < 255 ? width : 255);
	}
	return widest;
}

static inline bool pack_weigh(const struct gemm_kernel *kernel, struct gemm_panel *panel,
			      double *scratch, uint32_t lanes, const struct gemm_source *source,
			      uint64_t lane, uint32_t used, uint64_t k, uint32_t kc, bool keep)
{
	struct pack_range range;
	double heaviest = 0, half;
	int32_t widest;
	bool single;

	memset(panel->special, 0, sizeof(panel->special));
	pack_all_present(panel, kc);
	for (uint32_t l = 0; l < lanes; l++)
		panel->lane[l] = (uint32_t)lane + l;
	keep = pack_range_of(panel, scratch, lanes, source, lane, used, k, kc, keep, &range);
	widest = pack_units(&range, lanes, &panel->units);
	for (uint32_t l = 0; l < lanes; l++)
		heaviest = panel->units.weights[l] > heaviest ? panel->units.weights[l] : heaviest;
	single = widest <= (int32_t)kernel->single_bits &&
		 !(kernel->narrow_only && heaviest * heaviest >= GEMM_SQUARE_64);
	panel->used = used;
	panel->parts = single ? 1 : (uint32_t)widest / kernel->part_bits + 1;
	panel->width = (uint32_t)widest;
	/* integers of parts are at most 2^(part_bits - 1) */
	half = pack_power((int32_t)kernel->part_bits - 1);
	panel->weight = single ? heaviest : kc * half * half;
	panel->whole_weight = heaviest;
	panel->plane = gemm_plane_bytes(kernel, lanes, panel->kc);
	panel->moduli = panel->whole_moduli = 0;
	panel->words = false;
	panel->is_cut = false;
#ifdef __AVX512F__
	if (single && panel->precision)
		cut_panel(panel, scratch, lanes, kc, &range, source, k);
#endif
	panel->lost = !pack_make_room(panel, lanes, kc);
	return keep;
}

/* The doubles of count k's from k on, of kc, NaN and infinity as 0. */
static inline void pack_decode_again(struct gemm_panel *panel, double *out, uint32_t lanes,
				     const struct gemm_source *source, uint64_t lane, uint32_t used,
				     uint64_t k, uint32_t count, uint32_t kc)
{
	uint64_t *patterns = (uint64_t *)(void *)out;

	if (source->tiled)
		(void)pack_tiled(panel, patterns, lanes, source, lane, used, k, kc, NULL);
	else
		pack_doubles(patterns, lanes, source, panel->lane, used, k, count, NULL, NULL);
	for (uint32_t l = 0; l < used; l++)
		if (panel->special[l])
			(void)pack_clear_specials(out, lanes, l, count);
}

/* source NULL: the doubles are in scratch. */
static inline void pack_any(const struct gemm_kernel *kernel, struct gemm_panel *panel,
			    double *scratch, uint32_t lanes, const struct gemm_source *source,
			    uint64_t lane, uint32_t used, uint64_t k, uint32_t kc)
{
	const uint32_t steps = source && source->tiled ? kc : PACK_STEPS;
	double scale[GEMM_LANES_MAX];

#ifdef __AVX512F__
	const bool whole = panel->whole_moduli;

	if (!whole_make_room(panel)) {
		panel->lost = true;
		return;
	}
	if (source && !whole && lanes == RESIDUE_ROWS && pack_rows_pack(panel, source, used, k, kc))
		return;
	if (source && !whole && pack_floats_pack(panel, source, lanes, panel->lane, used, k, kc))
		return;
#endif
	for (uint32_t l = 0; l < lanes; l++)
		scale[l] = pack_power(-panel->units.exponent[l]);
	memset(panel->sum, 0, panel->parts * sizeof(panel->sum[0]));
	for (uint32_t i = 0; i < panel->kc; i += steps) {
		uint32_t count = panel->kc - i < steps ? panel->kc - i : steps, padded;
		double *doubles = scratch + (source ? 0 : (size_t)i * lanes);

		if (source)
			pack_decode_again(panel, doubles, lanes, source, lane, used, k + i, count, kc);
		padded = kernel->moduli ? (count + kernel->plane_steps - 1) / kernel->plane_steps *
						  kernel->plane_steps : count;
		/* not with 0 bytes: memset() may then touch a page that is not there, which is slow */
		if (padded > count)
			memset(doubles + (size_t)count * lanes, 0,
			       (size_t)(padded - count) * lanes * sizeof(*doubles));
#ifdef __AVX512F__
		if (panel->moduli)
			residue_pack(panel, doubles, lanes, i, count, scale);
		if (whole)
			whole_pack(panel, doubles, lanes, i, count);
#endif
		if (panel->words && panel->parts == 1)
			pack_single(panel, doubles, lanes, i, count, scale);
		else if (panel->words)
			pack_parts(panel, doubles, lanes, i, count, kernel);
	}
}

/*
 * One copy per number of lanes, so that the loops over lanes have a fixed length.
 */
#define PACK_DEFINE(name, kernel, mr, nr)                                                  \
	static bool name##_weigh(struct gemm_panel *panel, double *scratch, uint32_t lanes, \
				 const struct gemm_source *source, uint64_t lane,          \
				 uint32_t used, uint64_t k, uint32_t kc, bool keep)        \
	{                                                                                  \
		return lanes == (mr) ?                                                     \
			pack_weigh(kernel, panel, scratch, mr, source, lane, used, k, kc, keep) : \
			pack_weigh(kernel, panel, scratch, nr, source, lane, used, k, kc, keep); \
	}                                                                                  \
	static void name(struct gemm_panel *panel, double *scratch, uint32_t lanes,        \
			 const struct gemm_source *source, uint64_t lane, uint32_t used,   \
			 uint64_t k, uint32_t kc)                                          \
	{                                                                                  \
		if (lanes == (mr))                                                         \
			pack_any(kernel, panel, scratch, mr, source, lane, used, k, kc);   \
		else                                                                       \
			pack_any(kernel, panel, scratch, nr, source, lane, used, k, kc);   \
	}

#endif /* QUIRE_PACK_TEMPLATE_H */
