/* SPDX-License-Identifier: MIT */
/*
 * What is right, in exact GMP arithmetic, written apart from the library: words are
 * read bit by bit as the standards draw them, and a result is judged, not computed.
 * It is right when the exact value lies between its two decision points.
 */
#ifndef QUIRE_TESTS_ORACLE_H
#define QUIRE_TESTS_ORACLE_H

#include <gmp.h>
#include <stdbool.h>
#include <stdint.h>

#include <quire/format.h>

enum oracle_special { ORACLE_FINITE, ORACLE_NAN, ORACLE_PLUS_INF, ORACLE_MINUS_INF };

/* m * 2^e */
struct dyadic {
	mpz_t m;
	long e;
};

void dyadic_init(struct dyadic *x);
void dyadic_clear(struct dyadic *x);
void dyadic_set(struct dyadic *x, const struct dyadic *a);
void dyadic_add(struct dyadic *x, const struct dyadic *a, const struct dyadic *b);
void dyadic_multiply(struct dyadic *x, const struct dyadic *a, const struct dyadic *b);
int dyadic_compare(const struct dyadic *a, const struct dyadic *b);
int dyadic_sign(const struct dyadic *a);

/* The value of a word: posit<3..33>, the IEEE-like formats, INT8. */
enum oracle_special oracle_value(uint32_t format, uint64_t word, struct dyadic *x);

/* The word a not-finite result must be. */
uint64_t oracle_special_word(uint32_t format, enum oracle_special special);

/* The largest finite word above zero. */
uint64_t oracle_largest(uint32_t format);

/*
 * Is word (low bits of the format) the rounding of a finite value x?  compare says
 * how x compares with a dyadic number: -1 below it, 0 equal, 1 above.  For the
 * IEEE-like formats a zero must have the sign of x; an exact 0 must be +0.
 */
typedef int oracle_compare(const void *x, const struct dyadic *d);
bool oracle_is_rounding_of(uint32_t format, uint64_t word, oracle_compare *compare,
			   const void *x);
bool oracle_is_rounding(uint32_t format, uint64_t word, const struct dyadic *x);

/* Random words: uniform patterns, or patterns near the ends of the ranges and near 1. */
uint64_t oracle_random(void);
uint64_t oracle_random_word(uint32_t format);

#endif /* QUIRE_TESTS_ORACLE_H */
