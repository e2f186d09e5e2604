/* SPDX-License-Identifier: MIT */
/* Matrices made from a formula: covariances of scattered points, kernels of images. */
#ifndef QUIRE_TOOLS_COVARIANCE_H
#define QUIRE_TOOLS_COVARIANCE_H

#include "matrix.h"

/*
 * struct matern - covariance of points on the unit square
 *
 * points = 4^p points, one in each cell of a square grid, away from its middle by
 * a uniform jitter of at most 0.4 of a cell in each direction, in Morton order.
 * With d the distance and r = d / beta the covariance is
 *	exp(-r)			for twice_nu = 1 (exponential)
 *	(1 + r) exp(-r)		for twice_nu = 3
 * plus nugget on the diagonal.  All zero stands for points 1024, twice_nu 1, beta
 * 0.03, nugget 1e-4, seed 7.
 */
struct matern {
	uint32_t points;
	uint32_t twice_nu;
	double beta;
	double nugget;
	uint64_t seed;
};

/* Read "points=1024,nu=1/2,beta=0.03,nugget=1e-4,seed=7"; what is not named is the default. */
int matern_parse(const char *text, struct matern *matern, char *error);

/* x and y of point i at place[2 i] and place[2 i + 1]; room for 2 * points. */
void matern_places(const struct matern *matern, double *place);

/* FP64, points x points. */
int matern_covariance(const struct matern *matern, struct matrix *matrix, char *error);

/*
 * FP64, 1024 x 1024: exp(-|x_i - x_j|^2 / 2) of the first 1024 images of
 * digits.csv.gz, pixels divided by 16, sorted by label.
 */
int rbf_kernel(const char *path, struct matrix *matrix, char *error);

/*
 * Gaussian likelihood.  gaussian_sample() draws z = L w with C = L L^T and w
 * independent normal numbers; gaussian_log_likelihood() is
 * -(n log(2 pi) + log det C + z^T C^-1 z) / 2.  Both by an FP64 Cholesky factor of
 * the lower triangle.  0; 1: the matrix is not positive definite in FP64; -1: no
 * memory, or not square.
 */
int gaussian_sample(const struct matrix *covariance, uint64_t seed, double *z);
int gaussian_log_likelihood(const struct matrix *covariance, const double *z, double *value);

#endif
