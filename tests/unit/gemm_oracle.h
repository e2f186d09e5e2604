/* SPDX-License-Identifier: MIT */
/*
 * What products of matrices must be, in GMP integers, sharing no code with the library:
 * values are integers times 2^-600, rounding is a search over the patterns of the format by
 * their decoded values.
 */
#ifndef QUIRE_TESTS_GEMM_ORACLE_H
#define QUIRE_TESTS_GEMM_ORACLE_H

#include <gmp.h>
#include <stdbool.h>
#include <stdint.h>

#include <quirenum/gemm.h>

#define UNIT 600

enum special { FINITE, NAN_, PINF, NINF };

uint32_t width_of(uint32_t f);
uint32_t bytes_of(uint32_t f);
bool is_posit(uint32_t f);

/* v = value * 2^UNIT; FP64 patterns of tiny numbers are not asked for. */
enum special decode(uint32_t f, uint64_t bits, mpz_t v);
/* The pattern of the largest finite number. */
uint64_t largest(uint32_t f);
/* The pattern of such a value, rounded once. */
uint64_t encode(uint32_t f, enum special s, const mpz_t value);
/* The pattern of element index. */
uint64_t load(uint32_t f, const void *data, uint64_t index);

/*
 * Element (i, j) of product b of a job whose C is at c: its pattern, or for an image its ten
 * words.
 */
void expect(const struct quire_gemm *g, const void *c, uint64_t b, uint64_t i, uint64_t j,
	    uint64_t *out);

#endif /* QUIRE_TESTS_GEMM_ORACLE_H */
