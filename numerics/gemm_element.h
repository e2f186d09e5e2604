/* SPDX-License-Identifier: MIT */
/*
 * Elements of a product one by one: as numbers, their exact sums, their share of the digest, how
 * many bytes they take.
 */
#ifndef QUIRE_GEMM_ELEMENT_H
#define QUIRE_GEMM_ELEMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <quire/format.h>

/* Exact sum of products of one element: the quire image's number, or special. */
struct gemm_sum {
	uint64_t limb[QUIRE_IMAGE_LIMBS];
	uint32_t special;		/* 0, or one of enum gemm_value */
};

/* The values of enum number_special. */
enum gemm_value {
	GEMM_FINITE = 0,
	GEMM_NAN = 1,
	GEMM_PLUS_INF = 2,
	GEMM_MINUS_INF = 3,
};

/* A number significand * 2^exponent, or special. */
struct gemm_number {
	uint64_t significand;
	int32_t exponent;
	uint8_t negative;
	uint8_t special;		/* enum gemm_value */
};

/*
 * The shared scale of a block of MXFP8 as the pattern of a double.  The product of such a
 * double and an E4M3 element, 4 significant bits within 2^-136..2^136, is exact.
 */
static inline uint64_t gemm_mx_scale(uint8_t scale)
{
	return scale == QUIRE_MX_SCALE_NAN ? 0x7ff8000000000000ull :
	       (uint64_t)(scale + 1023 - QUIRE_MX_SCALE_BIAS) << 52;
}

/*
 * The scale of a block whose largest finite magnitude lies within [2^e, 2^(e + 1)): that power
 * of two over E4M3's largest, 2^8, as near as E8M0 has it (OCP Microscaling Formats 1.0,
 * section 6.3).  A block of zeros has an e far below.
 */
static inline uint8_t gemm_mx_scale_of(int32_t e)
{
	int32_t scale = e - 8 + QUIRE_MX_SCALE_BIAS;

	scale = scale < 0 ? 0 : scale;
	return (uint8_t)(scale < (int32_t)QUIRE_MX_SCALE_NAN ? scale : (int32_t)QUIRE_MX_SCALE_NAN - 1);
}

/* The share of 64 bits in the digest, two words of it; see quire/format.h. */
static inline uint64_t gemm_digest_pair(uint64_t index, uint64_t bits)
{
	return quire_digest_word(2 * index, (uint32_t)bits) +
	       quire_digest_word(2 * index + 1, (uint32_t)(bits >> 32));
}

/* The share of one element. */
static inline uint64_t gemm_digest_element(uint32_t format, uint64_t index, uint64_t bits)
{
	return QUIRE_FORMAT_BITS(format) > 32 ? gemm_digest_pair(index, bits) :
						quire_digest_word(index, (uint32_t)bits);
}

/*
 * Significant bits behind the first of a number half-way between two elements of a format, where
 * the rounding changes; at most.
 */
uint32_t gemm_decision_bits(uint32_t format);
uint64_t gemm_special_bits(uint32_t format, uint32_t special);
uint64_t gemm_count_exceptional(uint32_t format, const uint64_t *bits, uint32_t count);

bool gemm_format_is_operand(uint32_t format);
/* The same and MXFP8: what A and B may be beside tiled matrices. */
bool gemm_format_is_factor(uint32_t format);
uint32_t gemm_element_bytes(uint32_t format);

/*
 * Bytes of a run of elements that starts a row; the offset of an element, too, if
 * elements is a multiple of 32 or the format has no blocks.  False: more than 64 bits.
 */
static inline bool gemm_bytes_of(uint32_t format, uint64_t elements, uint64_t *bytes)
{
	if (format == QUIRE_FORMAT_MXFP8)
		return !__builtin_mul_overflow(elements / QUIRE_MX_ELEMENTS +
					       (elements % QUIRE_MX_ELEMENTS != 0),
					       (uint64_t)QUIRE_MX_BLOCK_BYTES, bytes);
	return !__builtin_mul_overflow(elements, (uint64_t)gemm_element_bytes(format), bytes);
}

/* The same where a check has shown that it fits. */
static inline uint64_t gemm_offset(uint32_t format, uint64_t elements)
{
	uint64_t bytes = 0;

	(void)gemm_bytes_of(format, elements, &bytes);
	return bytes;
}

/* An element of 1, 2 or 4 bytes. */
static inline uint32_t gemm_word(const uint8_t *at, uint32_t bytes)
{
	uint32_t word;
	uint16_t half;

	if (bytes == 1)
		return *at;
	if (bytes == 2) {
		memcpy(&half, at, 2);
		return half;
	}
	memcpy(&word, at, 4);
	return word;
}

struct gemm_number gemm_load(uint32_t format, const void *data, uint64_t index);
void gemm_sum_add(struct gemm_sum *sum, uint64_t low, int64_t high, int32_t exponent);
void gemm_sum_special(struct gemm_sum *sum, uint32_t special);

#endif /* QUIRE_GEMM_ELEMENT_H */
