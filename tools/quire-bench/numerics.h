/* SPDX-License-Identifier: MIT */
/*
 * What the parts of quire-bench numerics share:
 *
 *	numerics.c           options, what is measured in which order and process
 *	numerics_operands.c  matrices, products and their memory
 *	numerics_gemm.c      rows about products
 *	numerics_convert.c   rows about conversions
 */
#ifndef QUIRE_BENCH_NUMERICS_H
#define QUIRE_BENCH_NUMERICS_H

#include <quirenum/gemm.h>
#include <quirenum/threads.h>

#include "bench.h"
#include "openblas.h"

/* ---- Operands (numerics_operands.c) ---- */

enum numerics_data {
	NUMERICS_NORMAL,	/* N(0,1), rounded to the format */
	NUMERICS_PATTERNS,	/* every bit random */
};

/* What a product is of. */
struct numerics_case {
	const char *format_name;
	uint32_t format;
	uint32_t arithmetic;	/* enum quire_gemm_arithmetic */
	enum numerics_data data;
};

/* One product D = A B with its memory. */
struct numerics_product {
	const struct numerics_case *kind;
	struct quire_gemm gemm;
	void *a, *b, *d;
};

/* The same product for OpenBLAS, in one of two types; the other is NULL. */
struct numerics_peer {
	const struct openblas *openblas;
	int n;
	double *a, *b, *c;
	float *a_single, *b_single, *c_single;
};

/* N(0,1), and random bits: the same numbers in every run. */
void numerics_fill_normal(float *values, size_t count, uint64_t seed);
void numerics_fill_patterns(void *words, size_t bytes, uint64_t seed);

/* m x n x k.  0, -ENOMEM. */
int numerics_product_create(struct numerics_product *product, const struct numerics_case *kind,
			    uint32_t m, uint32_t n, uint32_t k, struct quire_threads *threads);
void numerics_product_free(struct numerics_product *product);
int numerics_product_run(void *product);

int numerics_peer_create(struct numerics_peer *peer, const struct openblas *openblas, uint32_t n,
			 bool single);
void numerics_peer_free(struct numerics_peer *peer);
int numerics_peer_run(void *peer);

/* ---- Measuring ---- */

/*
 * struct numerics - where and how to measure
 * @report: takes the rows
 * @openblas: NULL when it is not installed
 * @threads: pool of all CPUs
 */
struct numerics {
	json_object *report;
	double seconds;
	bool quick;
	const struct openblas *openblas;
	struct quire_threads *threads;
};

/* Products of n x n x n by the kernel in use, beside OpenBLAS. */
int numerics_measure_products(const struct numerics *numerics, uint32_t n,
			      struct quire_threads *threads);
/* The same by the AVX2 kernel. */
int numerics_measure_avx2(const struct numerics *numerics, uint32_t n);
int numerics_measure_scaling(const struct numerics *numerics, uint32_t n);
int numerics_measure_plain(const struct numerics *numerics, uint32_t n);
int numerics_measure_shares(const struct numerics *numerics, uint32_t n);
/* One of n x n x k of a format of the exact cases, in a process that did no product before. */
int numerics_measure_memory(const struct numerics *numerics, uint32_t format, uint32_t n,
			    uint32_t k);

int numerics_measure_conversions(const struct numerics *numerics, uint64_t elements,
				 struct quire_threads *threads);
/* Every pair of formats on one thread. */
int numerics_measure_pairs(const struct numerics *numerics);

#endif /* QUIRE_BENCH_NUMERICS_H */
