/* SPDX-License-Identifier: MIT */
/* OpenBLAS as peer of the exact products.  Loaded at run time: it may be missing. */
#ifndef QUIRE_BENCH_OPENBLAS_H
#define QUIRE_BENCH_OPENBLAS_H

#include <stdbool.h>

/*
 * struct openblas - the library
 * @core: the kind of CPU it computes for
 * @dgemm, @sgemm: of cblas.h
 */
struct openblas {
	void *library;
	const char *core;
	void (*set_threads)(int threads);
	void (*dgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha,
		      const double *a, int lda, const double *b, int ldb, double beta, double *c,
		      int ldc);
	void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
		      const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
};

/* enum CBLAS_ORDER and CBLAS_TRANSPOSE of cblas.h */
enum { OPENBLAS_ROW_MAJOR = 101, OPENBLAS_NO_TRANSPOSE = 111 };

/*
 * Its threads spin for 2^26 cycles and more when they have nothing to do: with 60 ms they still
 * took a processor from the next contestant.  After this they sleep.
 */
#define OPENBLAS_SPIN_SECONDS 0.3

/*
 * Load it for the CPU named @core ("Haswell", "SkylakeX" ...), NULL: the one it finds.
 * Changes the environment, which it reads when it is loaded: call this once in a process
 * and before any thread.  What the user's environment says of cores and caches does not
 * count.  False: it is not installed.
 */
bool openblas_load(struct openblas *openblas, const char *core);

#endif /* QUIRE_BENCH_OPENBLAS_H */
