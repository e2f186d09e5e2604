// SPDX-License-Identifier: MIT
/* Gaussian likelihood in FP64, in an order of operations that is written down here. */
#include <math.h>
#include <stdlib.h>

#include "covariance.h"
#include "portable_math.h"

/*
 * Sum of products in eight interleaved partial sums, added pairwise: a fixed order
 * that compilers can run in vectors.
 */
static double dot(const double *a, const double *b, uint64_t count)
{
	double s[8] = { 0 };
	uint64_t k = 0;

	for (; k + 8 <= count; k += 8)
		for (int i = 0; i < 8; i++)
			s[i] += a[k + i] * b[k + i];
	for (int i = 0; k < count; k++, i++)
		s[i] += a[k] * b[k];
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* The lower Cholesky factor, row by row.  0; 1: not positive definite; -1: no memory. */
static int cholesky(const struct matrix *c, double **factor)
{
	uint64_t n = c->rows;
	double *l;

	*factor = NULL;
	if (c->rows != c->columns)
		return -1;
	l = calloc(n * n, sizeof(*l));
	if (!l)
		return -1;
	for (uint64_t i = 0; i < n; i++) {
		double *row = l + i * n, pivot;

		for (uint64_t j = 0; j < i; j++)
			row[j] = (matrix_at(c, i, j) - dot(row, l + j * n, j)) / l[j * n + j];
		pivot = matrix_at(c, i, i) - dot(row, row, i);
		if (!(pivot > 0) || isinf(pivot)) {
			free(l);
			return 1;
		}
		row[i] = sqrt(pivot);
	}
	*factor = l;
	return 0;
}

int gaussian_sample(const struct matrix *covariance, uint64_t seed, double *z)
{
	uint64_t n = covariance->rows;
	double *l, *w = malloc(n * sizeof(*w));
	int result = w ? cholesky(covariance, &l) : -1;

	if (!result) {
		for (uint64_t i = 0; i < n; i++)
			w[i] = random_normal(&seed);
		for (uint64_t i = 0; i < n; i++)
			z[i] = dot(l + i * n, w, i + 1);
		free(l);
	}
	free(w);
	return result;
}

int gaussian_log_likelihood(const struct matrix *covariance, const double *z, double *value)
{
	const double log_two_pi = 0x1.d67f1c864beb5p+0;
	uint64_t n = covariance->rows;
	double *l, *y = malloc(n * sizeof(*y)), log_det = 0;
	int result = y ? cholesky(covariance, &l) : -1;

	if (!result) {
		for (uint64_t i = 0; i < n; i++) {
			y[i] = (z[i] - dot(l + i * n, y, i)) / l[i * n + i];
			log_det += 2 * portable_log(l[i * n + i]);
		}
		*value = -0.5 * ((double)n * log_two_pi + log_det + dot(y, y, n));
		free(l);
	}
	free(y);
	return result;
}
