/* SPDX-License-Identifier: MIT */
/*
 * Precision as a property of the data: which n and s each tile of a matrix needs.
 *
 *	quire_tiled_advise()	choose n and s per tile for a budget
 *	quire_certify()		the exact error of an image, against a bound
 *	quire_definite()	would a covariance stay positive definite?
 *
 * Method.  Per tile s = round(log2(rms)), within the limits of tiled.h.  For each
 * width n the error e_n = sum of w_k (A - A')^2 over the tile is measured, in one
 * pass over the data.  Every tile starts at the cheapest width; again and again the
 * tile and the width, among all wider ones, with the greatest drop of error per added
 * cost is upgraded, until the budget is met.  So an upgrade never raises the error, and
 * a larger budget never costs more of it.
 *
 * Guarantee.  Rounding to nearest posits has no constant unit roundoff, so errors are
 * measured, not bounded; the certificate then sums the exact squares of A - A' and of A
 * as integers and compares them as such.  A product of certified operands satisfies
 *
 *	||C' - A B||_F <= (tA + tB + tA tB) ||A||_F ||B||_F
 *
 * and one rounding of the output, for the accumulator adds nothing
 * (quire_product_bound()).
 *
 * Results depend on neither the CPU nor the number of threads.
 */
#ifndef QUIRENUM_ADVISE_H
#define QUIRENUM_ADVISE_H

#include <stdint.h>

#include <quirenum/tile.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is given, and what is to be as good as possible under it. */
enum quire_budget {
	QUIRE_BUDGET_ERROR = 0,		/* tau; least bytes */
	QUIRE_BUDGET_BYTES = 1,		/* image_bytes; least error */
	QUIRE_BUDGET_ENERGY = 2,	/* modelled_pj; least error */
};

#define QUIRE_WIDTH(n) (1ull << (n))
#define QUIRE_WIDTHS_ALL (QUIRE_WIDTH(0) | (((1ull << 30) - 1) << 3))

#define QUIRE_ADVISE_TAU_MIN 0x1p-90
#define QUIRE_ADVISE_TAU_MAX 1.0

/*
 * struct quire_tiled_advise - a question; all zero is a good start
 * @shape:   matrix and tiles
 * @matrix:  the numbers; infinities and NaN are refused.  The advisor is meant for
 *           FP32 and FP64, but takes what quire_tiled_pack() takes.
 * @budget:  enum quire_budget
 * @tau:     QUIRE_BUDGET_ERROR: bound of the relative error in the Frobenius norm,
 *           ||W^(1/2) (A - A')||_F <= tau ||W^(1/2) A||_F; 2^-90 .. 1
 * @image_bytes: QUIRE_BUDGET_BYTES: of the image, header and descriptors included
 * @modelled_pj: QUIRE_BUDGET_ENERGY: of a product with @product_columns columns, by
 *           the model of quire/model.h: multiply-accumulates by width, and the bytes
 *           of the tiles from card memory
 * @product_columns: 0 means 1
 * @weights: w_k >= 0, one for each column of the matrix, finite: the mean square of
 *           the activation that meets the column, from a calibration batch; NULL: 1
 * @widths:  which n may be used, QUIRE_WIDTH(n) | ...; 0 means all
 * @progress: called on the calling thread now and then with the part done, 0 .. 1;
 *           returns not 0 to give up (-ECANCELED); NULL: not called
 * @threads: pool, or NULL
 */
struct quire_tiled_advise {
	struct quire_tiled_shape shape;
	struct quire_dense matrix;
	uint32_t budget;
	uint32_t reserved;	/* 0 */
	double tau;
	uint64_t image_bytes;
	uint64_t modelled_pj;
	uint32_t product_columns;
	uint32_t reserved2;	/* 0 */
	const float *weights;
	uint64_t widths;
	int (*progress)(void *argument, double done);
	void *progress_argument;
	struct quire_threads *threads;
};

/*
 * struct quire_advice - the answer
 * @image_bytes:  of the image, header and descriptors included: quire_tiled_plan()
 * @data_bytes:   of the tiles' data alone
 * @modelled_pj:  as above
 * @error:        relative error (weighted when weights were given): an upper bound from
 *                exact sums, within 2^-40 of it and at most tau
 * @norm:         ||W^(1/2) A||_F, rounded
 * @bits_per_element: of the data, per element of the matrix
 * @certified:    1: @error is such a bound; 0: it is an estimate, after -ERANGE
 * @tiles:        how many tiles got each width; [0] are empty
 * @row, @column: of the first NaN or infinity, when quire_tiled_advise() gave -EDOM
 */
struct quire_advice {
	uint64_t image_bytes;
	uint64_t data_bytes;
	uint64_t modelled_pj;
	double error;
	double norm;
	double bits_per_element;
	uint32_t certified;
	uint32_t row, column;
	uint32_t reserved;
	uint64_t tiles[33];
};

/*
 * Answer a question: fill choices (quire_tiled_count() of them, row-major) and *advice.
 * Returns 0, or
 *	-EINVAL		shape, matrix, budget, weights or widths are not allowed
 *	-EDOM		the matrix has an infinity or a NaN: advice->row, ->column
 *	-ERANGE		the budget cannot be met: tau with these widths (advice->error is
 *			the best there is), or less than the cheapest choice takes
 *	-ENOMEM, -ECANCELED
 */
int quire_tiled_advise(const struct quire_tiled_advise *question, struct quire_tile_choice *choices,
		       struct quire_advice *advice);

/*
 * struct quire_certificate - the error of an image, checked exactly
 * @holds:      1: sum w (A - A')^2 <= tau^2 sum w A^2, as rationals
 * @error:      an upper bound of the relative error, within 2^-40 of it
 * @norm:       ||W^(1/2) A||_F, rounded
 */
struct quire_certificate {
	uint32_t holds;
	uint32_t reserved;
	double error;
	double norm;
};

/*
 * Compare a matrix with its image.  weights as above, or NULL.  Returns 0; -EINVAL when
 * the matrix is not as large as the view, or tau not 2^-90 .. 1; -EDOM when one of
 * them has NaN, NaR or infinity; -ENOMEM.
 */
int quire_certify(const struct quire_dense *matrix, const struct quire_tiled *view,
		  const float *weights, double tau, struct quire_threads *threads,
		  struct quire_certificate *certificate);

/* tA + tB + tA tB: bound of a product's error relative to ||A||_F ||B||_F. */
double quire_product_bound(double error_a, double error_b);

/*
 * struct quire_definiteness - of a symmetric matrix and its image
 * @symmetric: 1: A equals its transpose, element by element; else nothing else is set
 * @definite:  1: the Cholesky factorisation of A in FP64 succeeds
 * @image_definite: 1: that of the decoded image does
 * @pivot:     row at which the image's failed
 * @condition: estimate of A's 2-norm condition number (power and inverse iteration),
 *             infinite when A is not definite
 * @tau_advised: 0.1 / (condition * sqrt(n)): below it the image of a definite matrix stays
 *             definite, since ||A - A'||_2 <= ||A - A'||_F <= tau ||A||_F and
 *             ||A||_F <= sqrt(n) ||A||_2; 0 when A is not definite
 */
struct quire_definiteness {
	uint32_t symmetric;
	uint32_t definite;
	uint32_t image_definite;
	uint32_t pivot;
	double condition;
	double tau_advised;
};

/*
 * Look whether a square matrix is a covariance that its image spoils.  Takes
 * n^3 / 3 operations and 16 n^2 bytes.  view may be NULL: A alone.  Returns 0, -EINVAL,
 * -EDOM, -ENOMEM.
 */
int quire_definite(const struct quire_dense *matrix, uint32_t n, const struct quire_tiled *view,
		   struct quire_definiteness *result);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_ADVISE_H */
