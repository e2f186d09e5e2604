// SPDX-License-Identifier: MIT
/*
 * Would a covariance stay positive definite?  Cholesky factorisation in FP64, and the
 * condition number by power iteration and inverse iteration.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "advise_tiles.h"
#include "environment.h"

#define ITERATIONS 60

/* Sums in eight lanes, the same on every CPU. */
static double dot(const double *x, const double *y, uint32_t count)
{
	double lane[8] = { 0 };
	uint32_t i;

	for (i = 0; i + 8 <= count; i += 8)
		for (uint32_t l = 0; l < 8; l++)
			lane[l] += x[i + l] * y[i + l];
	for (; i < count; i++)
		lane[0] += x[i] * y[i];
	return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* The lower triangle becomes L with L L^T = A; n, or the row of the first bad pivot. */
static uint32_t factorise(double *a, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double *row = a + (size_t)i * n, pivot;

		for (uint32_t j = 0; j < i; j++) {
			const double *other = a + (size_t)j * n;

			row[j] = (row[j] - dot(row, other, j)) / other[j];
		}
		pivot = row[i] - dot(row, row, i);
		if (!(pivot > 0))
			return i;
		row[i] = sqrt(pivot);
	}
	return n;
}

/* x = A^-1 x from the factor: L, then its transpose, row by row. */
static void solve(const double *l, uint32_t n, double *x)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] = (x[i] - dot(l + (size_t)i * n, x, i)) / l[(size_t)i * n + i];
	for (uint32_t i = n; i-- > 0;) {
		const double *row = l + (size_t)i * n;

		x[i] /= row[i];
		for (uint32_t j = 0; j < i; j++)
			x[j] -= row[j] * x[i];
	}
}

static double normalise(double *x, uint32_t n)
{
	double norm = sqrt(dot(x, x, n));

	for (uint32_t i = 0; norm > 0 && i < n; i++)
		x[i] /= norm;
	return norm;
}

/* A start that is orthogonal to no likely eigenvector. */
static void start_vector(double *x, uint32_t n)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	for (uint32_t i = 0; i < n; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		x[i] = 0.5 + (double)(seed >> 11) * 0x1p-53;
	}
	normalise(x, n);
}

/* a: the matrix, l: its factor; x, y: n each */
static double condition(const double *a, const double *l, uint32_t n, double *x, double *y)
{
	double largest = 0, inverse = 0;

	start_vector(x, n);
	for (int t = 0; t < ITERATIONS; t++) {
		for (uint32_t i = 0; i < n; i++)
			y[i] = dot(a + (size_t)i * n, x, n);
		memcpy(x, y, n * sizeof(*x));
		largest = normalise(x, n);
	}
	start_vector(x, n);
	for (int t = 0; t < ITERATIONS; t++) {
		solve(l, n, x);
		inverse = normalise(x, n);
	}
	return largest * inverse;
}

/* The matrix as doubles; false when an element is not finite. */
static bool load(const struct quire_dense *matrix, uint32_t n, double *a)
{
	const struct tile_kernel *kernel = tile_kernel_current();
	const uint32_t element = gemm_element_bytes(matrix->format);
	bool finite = true;

	for (uint32_t i = 0; i < n; i++) {
		double *row = a + (size_t)i * n;

		kernel->load(matrix->format,
			     (const uint8_t *)matrix->data + i * matrix->leading_dimension * element, n,
			     (uint64_t *)(void *)row);
		for (uint32_t j = 0; j < n; j++)
			finite &= isfinite(row[j]) != 0;
	}
	return finite;
}

static bool symmetric(const double *a, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < i; j++)
			if (a[(size_t)i * n + j] != a[(size_t)j * n + i])
				return false;
	return true;
}

static int examine(const struct quire_dense *matrix, uint32_t n, const struct quire_tiled *view,
		   double *a, double *l, double *x, struct quire_definiteness *r)
{
	const struct quire_tiled_output out = { .data = l, .format = QUIRE_FORMAT_FP64,
						.leading_dimension = n };

	if (!load(matrix, n, a))
		return -EDOM;
	r->symmetric = symmetric(a, n);
	if (!r->symmetric)
		return 0;
	memcpy(l, a, (size_t)n * n * sizeof(*a));
	r->definite = factorise(l, n) == n;
	r->condition = r->definite ? condition(a, l, n, x, x + n) : INFINITY;
	r->tau_advised = r->definite ? 0.1 / (r->condition * sqrt(n)) : 0;
	if (!view)
		return 0;
	if (quire_tiled_unpack(view, n, n, &out, NULL, NULL, NULL))
		return -EINVAL;
	r->pivot = factorise(l, n);
	r->image_definite = r->pivot == n;
	return 0;
}

static ENVIRONMENT_OWN int definite(const struct quire_dense *matrix, uint32_t n,
				    const struct quire_tiled *view,
				    struct quire_definiteness *result)
{
	double *a, *l, *x;
	int error = -ENOMEM;

	if (!matrix || !matrix->data || !tile_format_is_number(matrix->format) || !n ||
	    n > QUIRE_TILED_MAX_DIMENSION || matrix->leading_dimension < n || !result ||
	    (view && (view->shape.rows != n || view->shape.columns != n)))
		return -EINVAL;
	memset(result, 0, sizeof(*result));
	a = malloc((size_t)n * n * sizeof(*a));
	l = malloc((size_t)n * n * sizeof(*l));
	x = malloc(2 * (size_t)n * sizeof(*x));
	if (a && l && x)
		error = examine(matrix, n, view, a, l, x, result);
	free(a);
	free(l);
	free(x);
	return error;
}

int quire_definite(const struct quire_dense *matrix, uint32_t n, const struct quire_tiled *view,
		   struct quire_definiteness *result)
{
	fenv_t saved;
	int error;

	environment_enter(&saved);
	error = definite(matrix, n, view, result);
	environment_leave(&saved);
	return error;
}
