// SPDX-License-Identifier: MIT
#include <math.h>

#include "portable_math.h"

/* 2^n times a Taylor series of degree 13 on |r| <= ln(2) / 2: the rest is below 4e-18. */
double portable_exp(double x)
{
	const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
	double n, r, sum = 1;

	if (x < -700)
		return 0;
	n = floor(x * 0x1.71547652b82fep+0 + 0.5);
	r = x - n * ln2_high - n * ln2_low;
	for (int i = 13; i > 0; i--)
		sum = 1 + sum * r / i;
	return ldexp(sum, (int)n);
}

/*
 * log(2^e f) = e ln 2 + 2 atanh((f - 1) / (f + 1)) with sqrt(1/2) <= f < sqrt(2), so that
 * |t| < 0.172 and the terms after t^21 are below 1e-18 of the first.
 */
double portable_log(double x)
{
	const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
	int e;
	double f = frexp(x, &e), t, square, sum = 0;

	if (f < 0x1.6a09e667f3bcdp-1) {
		f *= 2;
		e--;
	}
	t = (f - 1) / (f + 1);
	square = t * t;
	for (int i = 21; i > 1; i -= 2)
		sum = (sum + 1.0 / i) * square;
	return e * ln2_high + (2 * t + (2 * t * sum + e * ln2_low));
}

/* Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014. */
uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

double random_unit(uint64_t *state)
{
	return (double)(next_random(state) >> 11) * 0x1p-53;
}

/* Source: Marsaglia, Bray, "A Convenient Method for Generating Normal Variables", 1964. */
double random_normal(uint64_t *state)
{
	double u, v, s;

	do {
		u = 2 * random_unit(state) - 1;
		v = 2 * random_unit(state) - 1;
		s = u * u + v * v;
	} while (s >= 1 || s == 0);
	return u * sqrt(-2 * portable_log(s) / s);
}

void shuffle(uint32_t *numbers, uint32_t count, uint64_t *state)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = (uint32_t)(next_random(state) % i);
		uint32_t t = numbers[i - 1];

		numbers[i - 1] = numbers[j];
		numbers[j] = t;
	}
}
