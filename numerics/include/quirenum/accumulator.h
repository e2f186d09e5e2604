/* SPDX-License-Identifier: MIT */
/*
 * The quire: an accumulator in which sums and sums of products are exact.
 *
 * 640 bits, two's complement, unit 2^-298 (docs/numerics.md, section 4).  It holds
 * products of any two formats that a matrix product takes - posit<n> with n = 3..32,
 * BF16, FP16, FP32, E4M3, E5M2, INT8, also mixed - so it is wider than the 16 n
 * bits of the Posit Standard (2022), sections 3.2 and 5.11, whose functions these
 * are.  The order of additions never matters.
 *
 * The limit: 2^31 - 1 products.  Every addition of a number counts as a product, the
 * addition of an accumulator or an image as the products in it.  Beyond the limit the
 * value becomes NaR, and the call returns -EOVERFLOW: nothing ever wraps.
 *
 * Special values (quire/format.h): NaR or NaN, and infinity times zero, make the
 * value NaR, which stays.  Infinities of the IEEE-like formats stay with their sign;
 * +infinity and -infinity together are NaR.
 *
 * Functions on different accumulators may run at once; one accumulator belongs to
 * one thread at a time.  No allocation, no floating-point environment.
 */
#ifndef QUIRENUM_ACCUMULATOR_H
#define QUIRENUM_ACCUMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/format.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * struct quire_accumulator - all zero is the value 0; fields are the library's own
 * @limb: the sum, least significant limb first; 0 when @special is set
 * @special: 0 finite, 1 NaR, 2 +infinity, 3 -infinity
 * @products: counted against QUIRE_PRODUCT_LIMIT
 */
struct quire_accumulator {
	uint64_t limb[QUIRE_IMAGE_LIMBS];
	uint32_t special;
	uint32_t products;
};

/* Set to 0, and the count of products too. */
void quire_accumulator_clear(struct quire_accumulator *q);

/*
 * Add or subtract the product of a word of one format and a word of another (qMulAdd,
 * qMulSub), or a single word (qAddP, qSubP).  Returns 0, -EINVAL (a format is not
 * an operand of products, nothing done; FP64 is not one) or -EOVERFLOW (the limit of
 * products: the value is NaR now).
 */
int quire_accumulator_add_product(struct quire_accumulator *q, uint32_t format_a, uint32_t a,
				  uint32_t format_b, uint32_t b);
int quire_accumulator_subtract_product(struct quire_accumulator *q, uint32_t format_a,
				       uint32_t a, uint32_t format_b, uint32_t b);
int quire_accumulator_add(struct quire_accumulator *q, uint32_t format, uint32_t a);
int quire_accumulator_subtract(struct quire_accumulator *q, uint32_t format, uint32_t a);

/*
 * Add the dot product of two vectors in memory, of @count elements next to each
 * other in their containers, aligned to them.  Errors as above.
 */
int quire_accumulator_add_dot(struct quire_accumulator *q, uint32_t format_a, const void *a,
			      uint32_t format_b, const void *b, size_t count);

/* q += p and q -= p (qAddQ, qSubQ).  0 or -EOVERFLOW; q and p may be the same. */
int quire_accumulator_add_accumulator(struct quire_accumulator *q,
				      const struct quire_accumulator *p);
int quire_accumulator_subtract_accumulator(struct quire_accumulator *q,
					   const struct quire_accumulator *p);

/* qNegate, qAbs; NaR stays. */
void quire_accumulator_negate(struct quire_accumulator *q);
void quire_accumulator_abs(struct quire_accumulator *q);

/* -1, 0 or 1; 0 also for NaR, ask that first. */
int quire_accumulator_sign(const struct quire_accumulator *q);
bool quire_accumulator_is_nar(const struct quire_accumulator *q);

/*
 * The value in a format, rounded once (qToP): posit<n>, BF16, FP16, FP32, FP64, E4M3,
 * E5M2 or INT8; exactly what quire_gemm() stores for the same
 * sum.  Returns a word as <quirenum/number.h> describes; @format must be valid.
 */
uint64_t quire_accumulator_round(const struct quire_accumulator *q, uint32_t format);

/*
 * The image in memory that quire_gemm() reads as C and writes as D.  An image does
 * not carry its count of products: the reader says how many went into it at most
 * (a product over k: k, and one for each number added).  Returns 0, or -EOVERFLOW
 * when that is beyond the limit or the sum in the image larger than so many products
 * can make it; the value is NaR then.
 */
void quire_accumulator_write(const struct quire_accumulator *q,
			     uint64_t image[QUIRE_IMAGE_LIMBS]);
int quire_accumulator_read(struct quire_accumulator *q, const uint64_t image[QUIRE_IMAGE_LIMBS],
			   uint32_t products);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_ACCUMULATOR_H */
