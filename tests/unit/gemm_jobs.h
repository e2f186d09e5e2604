/* SPDX-License-Identifier: MIT */
/* What tests of matrix products share: random jobs, run by every kernel against the oracle. */
#ifndef QUIRE_TESTS_GEMM_JOBS_H
#define QUIRE_TESTS_GEMM_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include <quirenum/gemm.h>

#include "gemm_oracle.h"

/* Pseudo-random, the same on every run. */
uint64_t rnd(void);

/* Formats of results; the first OPERANDS of them, those of operands. */
#define OPERANDS 15
#define FORMATS 17
extern const uint32_t formats[FORMATS];

/* The best first; quire_kernel_select() says which this machine has. */
#define KERNELS 5
extern const char *const kernels[KERNELS];

enum fill {
	NEAR_ONE,		/* near enough to normal */
	PATTERNS,		/* any, NaN and infinities rarely */
	PATTERNS_FINITE,
	FEW,			/* near one, a few any */
};
void fill(uint32_t f, void *data, uint64_t count, enum fill how);

/*
 * A number between two positive results next to each other, from which on the upper one is right,
 * also between the largest and infinity; in units of 2^-UNIT.  Its exponent is nearer to near than
 * far, and returned.
 */
int decision(uint32_t f, int near, int far, mpz_t middle);

struct job {
	struct quire_gemm g;
	void *memory[5];
};

/* A job with random strides and transposes; extras: also factors, C, a bias and an activation. */
void make(struct job *job, uint32_t m, uint32_t n, uint32_t k, uint32_t batch, uint32_t fa,
	  uint32_t fb, uint32_t fd, bool extras, enum fill how);
void drop(struct job *job);

/*
 * Run with every kernel of this machine from the same start; all must equal the
 * oracle, leave what lies between the rows alone and give the oracle's digest.
 */
void check(struct job *job);
/* make(), check(), drop() */
void one(uint32_t m, uint32_t n, uint32_t k, uint32_t fa, uint32_t fb, uint32_t fd, bool extras,
	 enum fill how);

#endif /* QUIRE_TESTS_GEMM_JOBS_H */
