// SPDX-License-Identifier: MIT
/*
 * The quire as an object.  What keeps it exact is one invariant: a finite value is
 * below products * 2^272 in magnitude, because every product of two operands is
 * below 2^272 (FP32: 2^128 squared; MXFP8, in images of matrix products: 2^136 squared)
 * and so is every single operand.  With at most 2^31 - 1 products that is 2^303, far inside
 * the 2^341 of the limbs.
 */
#include <errno.h>
#include <string.h>

#include <quirenum/accumulator.h>

#include "number.h"
#include "sum.h"

#define LAST (QUIRE_IMAGE_LIMBS - 1)
#define PRODUCT_BIT (272 - QUIRE_IMAGE_LSB_EXPONENT)	/* where 2^272 lies in the limbs */

static bool is_operand(uint32_t format)
{
	return number_format_valid(format) && format != QUIRE_FORMAT_FP64;
}

static void become(struct quire_accumulator *q, uint32_t special)
{
	memset(q->limb, 0, sizeof(q->limb));
	q->special = special;
}

/* Count; false, and the value is NaR, when that is beyond the limit. */
static bool count_products(struct quire_accumulator *q, uint64_t products)
{
	if (products > QUIRE_PRODUCT_LIMIT - q->products) {
		become(q, NUMBER_NAN);
		return false;
	}
	q->products += (uint32_t)products;
	return true;
}

static void join(struct quire_accumulator *q, uint32_t special)
{
	if (special != NUMBER_FINITE || q->special != NUMBER_FINITE)
		become(q, sum_special(q->special, special));
}

/* limb = -limb; the value 2^639 that has no negative is never reached. */
static void negate_limbs(uint64_t *limb)
{
	unsigned char carry = 1;

	for (int i = 0; i < QUIRE_IMAGE_LIMBS; i++)
		carry = __builtin_add_overflow(~limb[i], (uint64_t)carry, &limb[i]);
}

static uint32_t opposite(uint32_t special)
{
	return special == NUMBER_PLUS_INF ? NUMBER_MINUS_INF :
	       special == NUMBER_MINUS_INF ? NUMBER_PLUS_INF : special;
}

/* What the product of two numbers is when one of them is special. */
static uint32_t special_product(struct number x, struct number y)
{
	if (x.special == NUMBER_NAN || y.special == NUMBER_NAN)
		return NUMBER_NAN;
	if ((!x.special && !x.significand) || (!y.special && !y.significand))
		return NUMBER_NAN;		/* infinity times zero */
	return x.negative ^ y.negative ? NUMBER_MINUS_INF : NUMBER_PLUS_INF;
}

static void add_product(struct quire_accumulator *q, struct number x, struct number y)
{
	bool negative = x.negative ^ y.negative;
	uint64_t product;
	int32_t exponent, zeros;

	if (x.special || y.special) {
		join(q, special_product(x, y));
		return;
	}
	if (q->special || !x.significand || !y.significand)
		return;
	/* an operand has at most 31 bits, so two make 62 */
	product = (x.significand >> 33) * (y.significand >> 33);
	zeros = __builtin_ctzll(product);
	product >>= zeros;
	/* the last bit set weighs 2^-298 or more: each operand is a multiple of 2^-149 */
	exponent = x.top - 30 + y.top - 30 + zeros;
	sum_add(q->limb, negative ? -product : product, negative ? -1 : 0,
		(uint32_t)(exponent - QUIRE_IMAGE_LSB_EXPONENT));
}

static struct number signed_load(bool negate, uint32_t format, uint32_t word)
{
	struct number x = number_load(format, word);

	x.negative ^= negate;
	if (negate)
		x.special = (uint8_t)opposite(x.special);
	return x;
}

static int accumulate_product(struct quire_accumulator *q, bool negate, uint32_t format_a,
			      uint32_t a, uint32_t format_b, uint32_t b)
{
	if (!is_operand(format_a) || !is_operand(format_b))
		return -EINVAL;
	if (!count_products(q, 1))
		return -EOVERFLOW;
	add_product(q, signed_load(negate, format_a, a), number_load(format_b, b));
	return 0;
}

static int accumulate(struct quire_accumulator *q, bool negate, uint32_t format, uint32_t a)
{
	/* a = a * 1 */
	return accumulate_product(q, negate, format, a, QUIRE_FORMAT_INT8, 1);
}

static int accumulate_accumulator(struct quire_accumulator *q, bool negate,
				  const struct quire_accumulator *p)
{
	struct quire_accumulator addend = *p;
	unsigned char carry = 0;

	if (negate)
		quire_accumulator_negate(&addend);
	if (!count_products(q, addend.products))
		return -EOVERFLOW;
	join(q, addend.special);
	if (q->special)
		return 0;
	for (int i = 0; i < QUIRE_IMAGE_LIMBS; i++) {
		uint64_t t;

		carry = __builtin_add_overflow(q->limb[i], addend.limb[i], &t) |
			__builtin_add_overflow(t, (uint64_t)carry, &q->limb[i]);
	}
	return 0;
}

void quire_accumulator_clear(struct quire_accumulator *q)
{
	memset(q, 0, sizeof(*q));
}

int quire_accumulator_add_product(struct quire_accumulator *q, uint32_t format_a, uint32_t a,
				  uint32_t format_b, uint32_t b)
{
	return accumulate_product(q, false, format_a, a, format_b, b);
}

int quire_accumulator_subtract_product(struct quire_accumulator *q, uint32_t format_a,
				       uint32_t a, uint32_t format_b, uint32_t b)
{
	return accumulate_product(q, true, format_a, a, format_b, b);
}

int quire_accumulator_add(struct quire_accumulator *q, uint32_t format, uint32_t a)
{
	return accumulate(q, false, format, a);
}

int quire_accumulator_subtract(struct quire_accumulator *q, uint32_t format, uint32_t a)
{
	return accumulate(q, true, format, a);
}

static uint32_t element(uint32_t format, const void *data, size_t index)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	return bits <= 8 ? ((const uint8_t *)data)[index] :
	       bits <= 16 ? ((const uint16_t *)data)[index] : ((const uint32_t *)data)[index];
}

int quire_accumulator_add_dot(struct quire_accumulator *q, uint32_t format_a, const void *a,
			      uint32_t format_b, const void *b, size_t count)
{
	if (!is_operand(format_a) || !is_operand(format_b))
		return -EINVAL;
	if (!count_products(q, count))
		return -EOVERFLOW;
	for (size_t i = 0; i < count; i++)
		add_product(q, number_load(format_a, element(format_a, a, i)),
			    number_load(format_b, element(format_b, b, i)));
	return 0;
}

int quire_accumulator_add_accumulator(struct quire_accumulator *q,
				      const struct quire_accumulator *p)
{
	return accumulate_accumulator(q, false, p);
}

int quire_accumulator_subtract_accumulator(struct quire_accumulator *q,
					   const struct quire_accumulator *p)
{
	return accumulate_accumulator(q, true, p);
}

void quire_accumulator_negate(struct quire_accumulator *q)
{
	q->special = opposite(q->special);
	negate_limbs(q->limb);
}

void quire_accumulator_abs(struct quire_accumulator *q)
{
	if (quire_accumulator_sign(q) < 0)
		quire_accumulator_negate(q);
}

int quire_accumulator_sign(const struct quire_accumulator *q)
{
	uint64_t any = 0;

	if (q->special)
		return q->special == NUMBER_PLUS_INF ? 1 : q->special == NUMBER_MINUS_INF ? -1 : 0;
	if (q->limb[LAST] >> 63)
		return -1;
	for (int i = 0; i < QUIRE_IMAGE_LIMBS; i++)
		any |= q->limb[i];
	return any != 0;
}

bool quire_accumulator_is_nar(const struct quire_accumulator *q)
{
	return q->special == NUMBER_NAN;
}

/* The highest 64 bits, what is below ORed into the last. */
static struct number top_of(const struct quire_accumulator *q)
{
	bool negative = q->limb[LAST] >> 63;
	uint64_t limb[QUIRE_IMAGE_LIMBS], below = 0;
	unsigned __int128 two;
	struct number x;
	int top = LAST;

	memcpy(limb, q->limb, sizeof(limb));
	if (negative)
		negate_limbs(limb);
	while (top > 0 && !limb[top])
		top--;
	if (!limb[top])
		return (struct number){ 0 };
	two = (unsigned __int128)limb[top] << 64 | (top ? limb[top - 1] : 0);
	for (int i = 0; i < top - 1; i++)
		below |= limb[i];
	/* two / 2^128 * 2^(64 (top + 1)) units */
	x = number_of_128(negative, two, QUIRE_IMAGE_LSB_EXPONENT + 64 * (top + 1));
	x.significand |= below != 0;
	return x;
}

uint64_t quire_accumulator_round(const struct quire_accumulator *q, uint32_t format)
{
	return number_store(format, q->special ? number_special(q->special) : top_of(q));
}

void quire_accumulator_write(const struct quire_accumulator *q, uint64_t image[QUIRE_IMAGE_LIMBS])
{
	memcpy(image, q->limb, sizeof(q->limb));
	if (q->special) {
		memset(image, 0, sizeof(q->limb));
		image[LAST] = 1ull << 63;
		image[0] = q->special - NUMBER_NAN;	/* 0 NaR, 1 +infinity, 2 -infinity */
	}
}

static uint32_t special_of_image(const uint64_t image[QUIRE_IMAGE_LIMBS])
{
	uint64_t between = 0;

	for (int i = 1; i < LAST; i++)
		between |= image[i];
	if (image[LAST] != 1ull << 63 || between || image[0] > 2)
		return NUMBER_FINITE;
	return NUMBER_NAN + (uint32_t)image[0];
}

/* The invariant above: |value| < products * 2^272. */
static bool is_possible(const struct quire_accumulator *q)
{
	struct quire_accumulator x = *q;
	unsigned __int128 whole;

	quire_accumulator_abs(&x);
	if (!q->products)
		return quire_accumulator_sign(q) == 0;
	/* the multiples of 2^272: 70 bits of the two highest limbs */
	whole = ((unsigned __int128)x.limb[LAST] << 64 | x.limb[LAST - 1]) >>
		(PRODUCT_BIT - 64 * (LAST - 1));
	return whole < q->products;
}

int quire_accumulator_read(struct quire_accumulator *q, const uint64_t image[QUIRE_IMAGE_LIMBS],
			   uint32_t products)
{
	quire_accumulator_clear(q);
	if (!count_products(q, products))
		return -EOVERFLOW;
	q->special = special_of_image(image);
	if (q->special)
		return 0;
	memcpy(q->limb, image, sizeof(q->limb));
	if (is_possible(q))
		return 0;
	become(q, NUMBER_NAN);
	return -EOVERFLOW;
}
