/* SPDX-License-Identifier: MIT */
/*
 * Elements to blocks of MXFP8.  Included by each kernel_*.c so that the compiler vectorises
 * the loops for that CPU.
 *
 * A block is written from 32 doubles, each exactly factor * source: the factor has 24
 * significant bits, the source 28 at most (FP64 comes with factor 1).
 */
#ifndef QUIRE_CONVERT_MX_H
#define QUIRE_CONVERT_MX_H

#include "pack_template.h"
#include "round_template.h"

#define CONVERT_MX_LARGEST 0x7e		/* 448 in E4M3 */
#define CONVERT_MX_NAN 0x7f

typedef double convert_mx_doubles __attribute__((vector_size(8 * ROUND_LANES), may_alias));

/* Elements first to first + count of a row to doubles' patterns, and +0 up to 32 of them. */
static inline void convert_mx_read(uint32_t format, const uint8_t *row, uint32_t first,
				   uint32_t count, uint64_t *patterns)
{
	const uint8_t *at = row + gemm_offset(format, first);

	if (count < QUIRE_MX_ELEMENTS)
		memset(patterns, 0, QUIRE_MX_ELEMENTS * sizeof(*patterns));
	if (format == QUIRE_FORMAT_FP64)
		memcpy(patterns, at, count * sizeof(*patterns));
	else if (count == QUIRE_MX_ELEMENTS)
		pack_decode(format, at, QUIRE_MX_ELEMENTS, patterns);
	else
		pack_decode(format, at, count, patterns);
}

/* Multiply 32 doubles; the pattern of the largest finite magnitude among the products. */
static inline uint64_t convert_mx_multiply(uint64_t *patterns, double factor)
{
	round_lanes most = { 0 };
	uint64_t largest = 0;

	for (int i = 0; i < QUIRE_MX_ELEMENTS; i += ROUND_LANES) {
		round_lanes x = (round_lanes)(*(const convert_mx_doubles *)(patterns + i) * factor);
		round_lanes magnitude = x & PACK_ABS;

		*(round_lanes *)(patterns + i) = x;
		/* patterns without sign compare as signed integers too, which every CPU can do */
		magnitude &= (round_lanes)((round_signed)magnitude < (int64_t)PACK_INF);
		most = ROUND_SELECT((round_signed)magnitude > (round_signed)most, magnitude, most);
	}
	for (int i = 0; i < ROUND_LANES; i++)
		largest = pack_max(largest, most[i]);
	return largest;
}

/*
 * 32 doubles over the scale to E4M3, to nearest even, saturating.  The division is exact
 * unless it leaves double's range, which is far below half of the smallest element.  Adding
 * 2^52 units in the last place, that of a normal number's own exponent or of the subnormals,
 * rounds to a multiple of the unit, and the low bits of the sum count the units: 8 to 16 of
 * a normal number, where the hidden bit stands for one step of the exponent.
 */
static inline void convert_mx_round(const uint64_t *patterns, uint8_t scale, uint64_t *bits)
{
	const double inverse = pack_power(QUIRE_MX_SCALE_BIAS - scale);
	const int64_t lowest = 1023 - 6;	/* exponent field of the smallest normal number */

	for (int i = 0; i < QUIRE_MX_ELEMENTS; i += ROUND_LANES) {
		round_lanes x = *(const round_lanes *)(patterns + i), magnitude = x & PACK_ABS;
		convert_mx_doubles y = (convert_mx_doubles)magnitude * inverse;
		round_signed field = (round_signed)y >> 52, zero = field - field;
		round_lanes none = (round_lanes)zero, units, q;

		field = ROUND_SELECT(field > lowest, field, zero + lowest);
		/* of infinities and NaN anything, which is put right at the end */
		units = (round_lanes)(field + (52 - 3)) << 52;
		q = (round_lanes)(y + (convert_mx_doubles)units) - units;
		q += (round_lanes)(field - lowest) << 3;
		q = ROUND_SELECT((round_signed)q > CONVERT_MX_LARGEST, none + CONVERT_MX_LARGEST, q);
		q |= x >> 63 << 7;
		q = ROUND_SELECT((round_signed)magnitude >= (int64_t)PACK_INF, none + CONVERT_MX_NAN, q);
		*(round_lanes *)(bits + i) = q;
	}
}

/* A block in the digest: 33 elements of 8 bits, the first one's index is given. */
static inline void convert_mx_tally(uint8_t scale, const uint64_t *bits, uint64_t index,
				    struct gemm_tally *tally)
{
	tally->exceptional += gemm_count_exceptional(QUIRE_FORMAT_E4M3, bits, QUIRE_MX_ELEMENTS);
	tally->digest += quire_digest_word(index, scale) +
			 round_digest_run(QUIRE_FORMAT_E4M3, bits, index + 1) +
			 round_digest_run(QUIRE_FORMAT_E4M3, bits + ROUND_RUN, index + 1 + ROUND_RUN);
}

/* See struct gemm_kernel, convert. */
static void convert_to_mx(const struct gemm_convert *c, uint32_t count, const uint8_t *in,
			  uint8_t *out, uint64_t index, struct gemm_tally *tally)
{
	for (uint32_t i = 0; i < count; i += QUIRE_MX_ELEMENTS) {
		_Alignas(64) uint64_t patterns[QUIRE_MX_ELEMENTS], bits[QUIRE_MX_ELEMENTS];
		uint32_t here = count - i < QUIRE_MX_ELEMENTS ? count - i : QUIRE_MX_ELEMENTS;

		convert_mx_read(c->source_format, in, i, here, patterns);
		out[0] = gemm_mx_scale_of((int32_t)(convert_mx_multiply(patterns, c->factor) >> 52) - 1023);
		convert_mx_round(patterns, out[0], bits);
		/* a factor below zero has made -0 of what is behind the end of the row */
		for (uint32_t j = here; j < QUIRE_MX_ELEMENTS; j++)
			bits[j] = 0;
		round_write_run(QUIRE_FORMAT_E4M3, bits, out + 1);
		round_write_run(QUIRE_FORMAT_E4M3, bits + ROUND_RUN, out + 1 + ROUND_RUN);
		if (tally)
			convert_mx_tally(out[0], bits, index, tally);
		out += QUIRE_MX_BLOCK_BYTES;
		index += QUIRE_MX_BLOCK_BYTES;
	}
}

#endif /* QUIRE_CONVERT_MX_H */
