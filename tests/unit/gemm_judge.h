/* SPDX-License-Identifier: MIT */
/*
 * Products of numbers that a test chooses, judged.  Their sums are taken once, in GMP integers,
 * from the words of the operands as tests/oracle reads them; D is right in a format when every
 * sum times alpha lies between the decision points of its element.
 */
#ifndef QUIRE_TESTS_GEMM_JUDGE_H
#define QUIRE_TESTS_GEMM_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include <oracle.h>
#include <quirenum/gemm.h>

/* The number of a format that is nearest; x is not NaN. */
double nearest(uint32_t format, double x);
/* The number of a finite word. */
double number_of(uint32_t format, uint64_t word);

struct product {
	struct quire_gemm g;		/* all but D, alpha and the activation */
	double *a, *b;			/* k numbers of each row of op(A), of each column of op(B) */
	void *memory[2];		/* A, B */
	mpz_t *sums;			/* m x n, in units of 2^-298 */
};

/* Without transposes; a and b are 0. */
void product_init(struct product *p, uint32_t m, uint32_t n, uint32_t k, uint32_t a_format, uint32_t b_format);
/*
 * Once a, b and transposes are there: the operands, rounded to their formats, and the sums.  MXFP8
 * takes its blocks' scales from the numbers, which are rounded to FP32 first.
 */
void product_seal(struct product *p);
/*
 * Run with the best kernel of this machine, and now and then with every one; fails unless D, what
 * lies between its rows, the digest and the count of exceptional elements are right.
 */
void product_judge(const struct product *p, uint32_t d_format, float alpha, bool relu);
/* The same of one kernel, the one that is selected. */
void product_judge_selected(const struct product *p, uint32_t d_format, float alpha, bool relu);
void product_free(struct product *p);

#endif /* QUIRE_TESTS_GEMM_JUDGE_H */
