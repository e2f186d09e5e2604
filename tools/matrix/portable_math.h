/* SPDX-License-Identifier: MIT */
/*
 * Functions and random numbers made of IEEE operations only, with the same bits
 * on every host, which libm does not promise.
 */
#ifndef QUIRE_TOOLS_PORTABLE_MATH_H
#define QUIRE_TOOLS_PORTABLE_MATH_H

#include <stdint.h>

/* exp(x) for x <= 0 to a few units in the last place; 0 below -700. */
double portable_exp(double x);

/* Natural logarithm of a positive normal number, to a few units in the last place. */
double portable_log(double x);

/* A fixed sequence of numbers (splitmix64), the same everywhere. */
uint64_t next_random(uint64_t *state);

/* In [0, 1), a multiple of 2^-53. */
double random_unit(uint64_t *state);

/* Normal with mean 0 and variance 1. */
double random_normal(uint64_t *state);

/* Shuffle count numbers. */
void shuffle(uint32_t *numbers, uint32_t count, uint64_t *state);

#endif
