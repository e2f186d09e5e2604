/* SPDX-License-Identifier: MIT */
/*
 * Exact sums of weighted squares of doubles: what certificates are made of.
 */
#ifndef QUIRE_EXACT_SUM_H
#define QUIRE_EXACT_SUM_H

#include <stdbool.h>
#include <stdint.h>

struct tile_kernel;

/*
 * Two's complement, unit 2^-2304.  A square of doubles is a multiple of 2^-2148 below
 * 2^2048, a float weight one of 2^-149 below 2^128, and fewer than 2^48 elements are
 * summed: multiples of 2^-2297 below 2^2224, which takes 4528 bits and a sign.
 */
#define EXACT_LIMBS 72
#define EXACT_UNIT (-2304)

struct exact_sum {
	uint64_t limb[EXACT_LIMBS];
};

void exact_add(struct exact_sum *sum, const struct exact_sum *more);

/*
 * sum += weight_c * (x_i - y_i)^2 over rows x columns elements with pitch from row to
 * row; weight NULL: 1; y NULL: 0.  All numbers finite, weights not negative.
 */
void exact_add_squares(struct exact_sum *sum, const struct tile_kernel *kernel, const double *x,
		       const double *y, uint32_t rows, uint32_t columns, uint32_t pitch,
		       const float *weight);

/* error <= tau^2 * norm?  tau within 2^-90 .. 1 */
bool exact_within(const struct exact_sum *error, const struct exact_sum *norm, double tau);

/* sqrt(error / norm), never less and at most 2^-40 more; 0 / 0 is 0 */
double exact_ratio(const struct exact_sum *error, const struct exact_sum *norm);
/* sqrt(sum), rounded; infinite beyond a double's range */
double exact_root(const struct exact_sum *sum);

#endif /* QUIRE_EXACT_SUM_H */
