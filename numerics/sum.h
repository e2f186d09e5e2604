/* SPDX-License-Identifier: MIT */
/* The limbs of the exact sum (quire/format.h), and special values of sums. */
#ifndef QUIRE_SUM_H
#define QUIRE_SUM_H

#include <stdint.h>

#include <quire/format.h>

#include "number.h"

/*
 * sum += (high:low) * 2^(shift - 298).  The caller sees to it that the number and
 * the sum stay inside the image: fewer than 2^31 products, each below 2^272, stay
 * below 2^303 and the image holds 2^341.
 */
static inline void sum_add(uint64_t *limb, uint64_t low, int64_t high, uint32_t shift)
{
	uint32_t first = shift / 64, bit = shift % 64;
	uint64_t sign = (uint64_t)(high >> 63);
	uint64_t word[3];
	unsigned char carry = 0;

	word[0] = low << bit;
	word[1] = (uint64_t)high << bit | (bit ? low >> (64 - bit) : 0);
	word[2] = bit ? (uint64_t)(high >> (64 - bit)) : sign;
	for (uint32_t i = first; i < QUIRE_IMAGE_LIMBS; i++) {
		uint64_t add = i - first < 3 ? word[i - first] : sign;
		uint64_t t;

		/* beyond the number, sign and carry cancel out or are both 0 */
		if (i - first >= 3 && add + carry == 0)
			break;
		carry = __builtin_add_overflow(limb[i], add, &t) |
			__builtin_add_overflow(t, carry, &limb[i]);
	}
}

/* +inf and -inf together are NaN; NaN stays. */
static inline uint32_t sum_special(uint32_t x, uint32_t y)
{
	if (x == NUMBER_FINITE || x == y)
		return y;
	return y == NUMBER_FINITE ? x : NUMBER_NAN;
}

#endif /* QUIRE_SUM_H */
