// SPDX-License-Identifier: MIT
/*
 * Single elements, and the exact sum of one: what the fast path falls back to.
 */
#include <string.h>

#include "gemm_internal.h"
#include "number.h"
#include "sum.h"

uint32_t gemm_element_bytes(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	if (format == QUIRE_FORMAT_QUIRE)
		return QUIRE_IMAGE_BYTES;
	return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

uint32_t gemm_decision_bits(uint32_t format)
{
	const uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_FP64:
		return 53;
	case QUIRE_FORMAT_FP32:
		return 24;
	case QUIRE_FORMAT_FP16:
		return 11;
	case QUIRE_FORMAT_BF16:
	case QUIRE_FORMAT_INT8:
		return 8;
	case QUIRE_FORMAT_E4M3:
	case QUIRE_FORMAT_E5M2:
		return 4;
	}
	/* posit<bits + 1> */
	return bits > 4 ? bits - 4 : 0;
}

bool gemm_format_is_operand(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_BF16:
	case QUIRE_FORMAT_FP16:
	case QUIRE_FORMAT_FP32:
	case QUIRE_FORMAT_E4M3:
	case QUIRE_FORMAT_E5M2:
	case QUIRE_FORMAT_INT8:
		return true;
	}
	return format == QUIRE_FORMAT_POSIT(bits) && bits >= 3 && bits <= 32;
}

bool gemm_format_is_factor(uint32_t format)
{
	return gemm_format_is_operand(format) || format == QUIRE_FORMAT_MXFP8;
}

static struct gemm_number load_posit(uint32_t word, uint32_t bits)
{
	struct number x = number_of_posit(bits, word);

	/* a posit has at most 31 bits */
	return (struct gemm_number){ x.significand >> 33, x.significand ? x.top - 30 : 0, x.negative,
				     x.special };
}

/* fraction bits, exponent bits; top exponent is Inf and NaN unless finite_only */
static struct gemm_number load_ieee(uint32_t word, int fraction, int exponent, bool finite_only)
{
	struct gemm_number x = { 0 };
	uint32_t f = word & ((1u << fraction) - 1);
	uint32_t field = word >> fraction & ((1u << exponent) - 1);
	int32_t bias = (1 << (exponent - 1)) - 1;

	x.negative = word >> (fraction + exponent) & 1;
	if (!finite_only && field == (1u << exponent) - 1) {
		x.special = f ? GEMM_NAN : x.negative ? GEMM_MINUS_INF : GEMM_PLUS_INF;
		return x;
	}
	if (finite_only && (word & 0x7f) == 0x7f) {
		x.special = GEMM_NAN;
		return x;
	}
	x.significand = f | (field ? 1u << fraction : 0);
	x.exponent = (int32_t)(field ? field : 1) - bias - fraction;
	return x;
}

/* Element index of blocks, data at a scale. */
static struct gemm_number load_mx(const void *data, uint64_t index)
{
	const uint8_t *block = (const uint8_t *)data +
			       index / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;
	struct gemm_number x = load_ieee(block[1 + index % QUIRE_MX_ELEMENTS], 3, 4, true);

	if (block[0] == QUIRE_MX_SCALE_NAN)
		return (struct gemm_number){ .special = GEMM_NAN };
	x.exponent += block[0] - QUIRE_MX_SCALE_BIAS;
	return x;
}

struct gemm_number gemm_load(uint32_t format, const void *data, uint64_t index)
{
	const uint8_t *at = (const uint8_t *)data + index * gemm_element_bytes(format);
	struct gemm_number x = { 0 };
	uint32_t word;

	if (format == QUIRE_FORMAT_MXFP8)
		return load_mx(data, index);
	word = gemm_word(at, gemm_element_bytes(format));
	switch (format) {
	case QUIRE_FORMAT_BF16:
		return load_ieee(word, 7, 8, false);
	case QUIRE_FORMAT_FP16:
		return load_ieee(word, 10, 5, false);
	case QUIRE_FORMAT_FP32:
		return load_ieee(word, 23, 8, false);
	case QUIRE_FORMAT_E4M3:
		return load_ieee(word, 3, 4, true);
	case QUIRE_FORMAT_E5M2:
		return load_ieee(word, 2, 5, false);
	case QUIRE_FORMAT_INT8:
		x.negative = word >> 7;
		x.significand = x.negative ? 256 - word : word;
		return x;
	default:
		return load_posit(word, QUIRE_FORMAT_BITS(format));
	}
}

/* The smallest unit is that of two FP32 subnormals, 2^-298, the image's own. */
void gemm_sum_add(struct gemm_sum *sum, uint64_t low, int64_t high, int32_t exponent)
{
	sum_add(sum->limb, low, high, (uint32_t)(exponent - QUIRE_IMAGE_LSB_EXPONENT));
}

void gemm_sum_special(struct gemm_sum *sum, uint32_t special)
{
	sum->special = sum_special(sum->special, special);
}

static void add_product(struct gemm_sum *sum, struct gemm_number x, struct gemm_number y)
{
	bool negative = x.negative ^ y.negative;

	if (x.special || y.special) {
		if (x.special == GEMM_NAN || y.special == GEMM_NAN)
			gemm_sum_special(sum, GEMM_NAN);
		else if ((!x.special && !x.significand) || (!y.special && !y.significand))
			gemm_sum_special(sum, GEMM_NAN);	/* infinity times zero */
		else
			gemm_sum_special(sum, negative ? GEMM_MINUS_INF : GEMM_PLUS_INF);
		return;
	}
	if (x.significand && y.significand) {
		/* at most 31 bits each */
		uint64_t p = x.significand * y.significand;
		int32_t e = x.exponent + y.exponent;
		int32_t zeros = __builtin_ctzll(p);

		/* a posit's significand carries zeros below its last bit */
		gemm_sum_add(sum, negative ? -(p >> zeros) : p >> zeros, negative ? -1 : 0,
			     e + zeros);
	}
}

void gemm_plain_sum(const struct gemm_source *a, const struct gemm_source *b, uint64_t row,
		    uint64_t column, uint32_t k, struct gemm_sum *sum)
{
	for (uint64_t i = 0; i < k; i++)
		add_product(sum, gemm_load_source(a, row, i), gemm_load_source(b, column, i));
}
