/* SPDX-License-Identifier: MIT */
/*
 * quire-repro computes one matrix product in many ways and counts how many distinct
 * results each mode of arithmetic gives.
 */
#ifndef QUIRE_REPRO_H
#define QUIRE_REPRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire.h>

/*
 * struct workload - an m x k matrix times a k x n one
 * @a, @b: elements, independent normal numbers
 * @permutation: of 0 .. k - 1
 */
struct workload {
	uint32_t m, k, n;
	uint64_t seed;
	float *a, *b;
	uint32_t *permutation;
};

/* ---- Results (results.c) ---- */

/* struct run - one way of computing: its result's digest, and elements unlike the first run's */
struct run {
	char what[80];
	uint64_t digest;
	uint32_t differing;
};

/*
 * struct mode - an arithmetic and all runs of it
 * @name:   for people, "posit16 exact"
 * @exact:  whether all runs must give the same bits
 * @elements: of a result; @first is that of the first run, an element per word
 */
struct mode {
	const char *name;
	bool exact;
	uint32_t elements;
	uint32_t *first;
	struct run *runs;
	uint32_t count, room;
};

int mode_create(struct mode *mode, const char *name, bool exact, uint32_t elements);
void mode_destroy(struct mode *mode);

/*
 * Count a result; what is a format of printf.  0, or -ENOMEM.
 */
int mode_add(struct mode *mode, const uint32_t *result, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

/* Distinct results among the runs, and the largest share of elements unlike the first run. */
uint32_t mode_distinct(const struct mode *mode);
double mode_differing(const struct mode *mode);

/* ---- Places that compute (places.c) ---- */

/*
 * struct place - a device with the operands in one format on it
 * @name: "cpu", "card 0"
 */
struct place {
	char name[40];
	quire_device *device;
	uint32_t engines;
	quire_context *context;
	struct quire_matrix a, b, permuted_a, permuted_b, d, image;
};

/* Open "cpu" or a card's index.  Returns 0 or an error of libquire. */
int place_open(struct place *place, const char *name);
void place_close(struct place *place);

/* Bring the operands to the place in @format, room for results in @result. */
int place_fill(struct place *place, const struct workload *workload, uint32_t format,
	       uint32_t result);
void place_empty(struct place *place);

/* ---- Modes on places (exact.c), and on the host in plain FP32 (sums.c) ---- */

/*
 * struct arithmetic - a mode of the card
 * @in, @out: formats; @gemm_mode: QUIRE_GEMM_MODE_*
 * @split: whether parts along k may be added (quire images)
 */
struct arithmetic {
	const char *name;
	uint32_t in, out;
	uint32_t gemm_mode;
	bool split;
};

extern const struct arithmetic arithmetics[4];

/*
 * All runs of an arithmetic on all places: whole, in bands, split along k, k permuted
 * where that is exact, and with libquirenum in this process over threads and
 * kernels.  Returns 0 or a negative error.
 */
int run_arithmetic(const struct arithmetic *arithmetic, const struct workload *workload,
		   struct place *places, uint32_t count, struct mode *mode);

/* BF16 mode fp32 with k permuted: another order, and so another result. */
int run_permuted(const struct workload *workload, struct place *places, uint32_t count,
		 struct mode *mode);

/*
 * The same BF16 operands summed in FP32 on the host in several orders; rounded holds the
 * same results rounded to BF16.
 */
int run_sums(const struct workload *workload, struct mode *mode, struct mode *rounded);

/* OpenBLAS over threads and bands.  1 when the library is not installed. */
int run_openblas(const struct workload *workload, struct mode *mode);

#endif
