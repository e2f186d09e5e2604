/* SPDX-License-Identifier: MIT */
/*
 * Natural numbers of up to 4096 bits on the stack: what printing and parsing need
 * to be exact.  The largest: 800 decimal digits times 10^400 (3987 bits), and 10^1200
 * (3987 bits) with one bit more while dividing.
 */
#ifndef QUIRE_BIGNUM_H
#define QUIRE_BIGNUM_H

#include <stdbool.h>
#include <stdint.h>

#define BIGNUM_LIMBS 128

struct bignum {
	uint32_t count;			/* of limbs; the highest is not 0 */
	uint32_t limb[BIGNUM_LIMBS];
};

static inline void bignum_set(struct bignum *x, uint64_t value)
{
	x->limb[0] = (uint32_t)value;
	x->limb[1] = (uint32_t)(value >> 32);
	x->count = x->limb[1] ? 2 : x->limb[0] ? 1 : 0;
}

/* x = x * factor + add */
static inline void bignum_multiply_add(struct bignum *x, uint32_t factor, uint32_t add)
{
	uint64_t carry = add;

	for (uint32_t i = 0; i < x->count; i++) {
		carry += (uint64_t)x->limb[i] * factor;	/* at most 2^64 - 1 */
		x->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry)
		x->limb[x->count++] = (uint32_t)carry;
}

static inline void bignum_multiply_power_of_ten(struct bignum *x, uint32_t power)
{
	uint32_t rest = 1;

	for (; power >= 9; power -= 9)
		bignum_multiply_add(x, 1000000000, 0);
	while (power--)
		rest *= 10;
	bignum_multiply_add(x, rest, 0);
}

static inline uint32_t bignum_bits(const struct bignum *x)
{
	return x->count ? 32 * x->count - (uint32_t)__builtin_clz(x->limb[x->count - 1]) : 0;
}

static inline void bignum_shift_left(struct bignum *x, uint32_t shift)
{
	uint32_t limbs = shift / 32, bit = shift % 32;

	if (!x->count)
		return;
	x->limb[x->count] = 0;
	for (uint32_t i = x->count + 1; i-- > 0;) {
		uint64_t pair = (uint64_t)x->limb[i] << 32 | (i ? x->limb[i - 1] : 0);

		x->limb[i + limbs] = (uint32_t)(pair << bit >> 32);
	}
	for (uint32_t i = 0; i < limbs; i++)
		x->limb[i] = 0;
	x->count += limbs + 1;
	x->count -= x->limb[x->count - 1] == 0;
}

static inline bool bignum_less(const struct bignum *x, const struct bignum *y)
{
	if (x->count != y->count)
		return x->count < y->count;
	for (uint32_t i = x->count; i-- > 0;)
		if (x->limb[i] != y->limb[i])
			return x->limb[i] < y->limb[i];
	return false;
}

/* x -= y, y <= x */
static inline void bignum_subtract(struct bignum *x, const struct bignum *y)
{
	int64_t borrow = 0;

	for (uint32_t i = 0; i < x->count; i++) {
		borrow += (int64_t)x->limb[i] - (i < y->count ? y->limb[i] : 0);
		x->limb[i] = (uint32_t)borrow;
		borrow >>= 32;
	}
	while (x->count && !x->limb[x->count - 1])
		x->count--;
}

#endif /* QUIRE_BIGNUM_H */
