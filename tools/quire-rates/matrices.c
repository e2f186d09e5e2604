// SPDX-License-Identifier: MIT
/* A covariance with its Gaussian likelihood, and the product of a user's two matrices. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <covariance.h>

#include "../progress.h"
#include "../rows.h"
#include "rates.h"

#define TILE 32
#define SAMPLE_SEED 11
#define WORK_LIMIT (1ull << 33)		/* multiply-accumulates of the reference on the host */

static int load_doubles(const char *name, struct matrix *matrix, double **values)
{
	char error[MATRIX_ERROR_BYTES];
	size_t count;

	*values = NULL;
	if (matrix_load(name, matrix, error))
		return complain(-EINVAL, "%s", error);
	count = matrix->rows * matrix->columns;
	*values = malloc(count * sizeof(**values));
	if (!*values)
		return complain(-ENOMEM, "not enough memory");
	for (size_t i = 0; i < count; i++) {
		(*values)[i] = matrix_at(matrix, i / matrix->columns, i % matrix->columns);
		if (!isfinite((*values)[i]))
			return complain(-EINVAL, "%s: element (%zu, %zu) is not a finite number", name,
					i / (size_t)matrix->columns, i % (size_t)matrix->columns);
	}
	return 0;
}

static double relative(const double *values, const double *exact, size_t count)
{
	double difference = 0, norm = 0;

	for (size_t i = 0; i < count; i++) {
		difference += (values[i] - exact[i]) * (values[i] - exact[i]);
		norm += exact[i] * exact[i];
	}
	return norm > 0 ? sqrt(difference / norm) : 0;
}

/* A (m x k) times B (k x n) in FP64: an error of about k 2^-53. */
static void multiply(const double *a, const double *b, size_t m, size_t k, size_t n, double *out)
{
	memset(out, 0, m * n * sizeof(*out));
	for (size_t i = 0; i < m; i++)
		for (size_t l = 0; l < k; l++)
			for (size_t j = 0; j < n; j++)
				out[i * n + j] += a[i * k + l] * b[l * n + j];
}

/* ---- One product in every way ---- */

/* struct pair - operands and their product in FP64; @work: room for two results */
struct pair {
	uint32_t m, k, n;
	double *a, *b, *exact, *work;
	enum rounding rounding_b;
};

/* struct outcome - of a pair in one way; @a stays for whoever looks further */
struct outcome {
	struct tensor a;
	double bits, error;
	uint64_t bytes;
	bool repeatable;
	struct work work;
};

static int run_pair(quire_context *context, const struct pair *pair, const struct rate *rate,
		    struct outcome *outcome)
{
	size_t count = (size_t)pair->m * pair->n;
	double elements_a = (double)pair->m * pair->k, elements_b = (double)pair->k * pair->n;
	struct tensor b = { .value = NULL };
	struct product product = { .rate = rate, .a = &outcome->a, .b = &b, .out = pair->work };
	int error;

	outcome->work = (struct work){ 0 };
	error = tensor_round(context, &outcome->a, rate, ROUND_AS_STORED, pair->a, pair->m, pair->k,
			     0);
	error = error ? error : tensor_round(context, &b, rate, pair->rounding_b, pair->b, pair->k,
					     pair->n, 0);
	error = error ? error : product_run(context, &product, &outcome->work);
	product.other_way = true;
	product.out = pair->work + count;
	error = error ? error : product_run(context, &product, NULL);
	if (!error) {
		outcome->error = relative(pair->work, pair->exact, count);
		outcome->repeatable = !memcmp(pair->work, pair->work + count, count * sizeof(double));
		outcome->bits = (outcome->a.bits * elements_a + b.bits * elements_b) /
				(elements_a + elements_b);
		outcome->bytes = outcome->a.bytes + b.bytes;
	}
	tensor_free(&b);
	return error;
}

static uint32_t rates_of(const struct options *options, struct rate *rates, const double *taus,
			 uint32_t count)
{
	return options->tau_count ? list_rates(rates, TILE, options->taus, options->tau_count) :
				    list_rates(rates, TILE, taus, count);
}

/* ---- Covariance ---- */

static void add_covariance_row(json_object *rows, const struct rate *rate, const struct pair *pair,
			       const struct outcome *outcome, const double *z, double likelihood)
{
	struct matrix rounded = { .type = MATRIX_F64, .rows = pair->m, .columns = pair->m,
				  .data = outcome->a.value };
	json_object *row = json_object_new_object();
	double value;
	bool definite = !gaussian_log_likelihood(&rounded, z, &value);

	row_put_string(row, "mode", rate->name);
	row_put_number(row, "bits_per_element", outcome->a.bits);
	row_put_number(row, "relative_error",
		       relative(outcome->a.value, pair->a, (size_t)pair->m * pair->k));
	row_put_number(row, "product_error", outcome->error);
	row_put_number(row, "log_likelihood_error", definite ? fabs(value - likelihood) : NAN);
	row_put_string(row, "definite", definite ? "yes" : "NO");
	row_put_string(row, "repeatable", outcome->repeatable ? "yes" : "no");
	row_put_number(row, "modelled_uj_per_product", outcome->work.pj / 1e6);
	row_put_integer(row, "bytes", outcome->a.bytes);
	put_work(row, &outcome->work, (double)pair->m * pair->k);
	json_object_array_add(rows, row);
}

static int sweep_covariance(quire_context *context, const struct options *options,
			    const struct matrix *matrix, struct pair *pair, json_object *rows)
{
	static const double taus[] = { 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6 };
	static struct rate rates[MOST_RATES];
	uint32_t count = rates_of(options, rates, taus, 6);
	double likelihood;
	int error = gaussian_sample(matrix, SAMPLE_SEED, pair->b);

	error = error ? error : gaussian_log_likelihood(matrix, pair->b, &likelihood);
	if (error)
		return complain(-EINVAL, "%s: not positive definite in FP64", options->name);
	multiply(pair->a, pair->b, pair->m, pair->k, 1, pair->exact);
	for (uint32_t i = 0; !error && i < count; i++) {
		struct outcome outcome;

		error = run_pair(context, pair, &rates[i], &outcome);
		if (!error)
			add_covariance_row(rows, &rates[i], pair, &outcome, pair->b, likelihood);
		tensor_free(&outcome.a);
		if (options->progress)
			progress_show("covariance", (i + 1.0) / count);
	}
	return error;
}

int rate_covariance(quire_context *context, const struct options *options, json_object *rows)
{
	struct pair pair = { .n = 1, .rounding_b = ROUND_AS_INPUT };
	struct matrix matrix;
	int error = load_doubles(options->name, &matrix, &pair.a);

	if (!error && (matrix.rows != matrix.columns || matrix.rows > 8192))
		error = complain(-EINVAL, "%s: a covariance is square, and at most 8192 wide here",
				 options->name);
	if (!error) {
		pair.m = pair.k = (uint32_t)matrix.rows;
		pair.b = malloc(pair.k * sizeof(double));
		pair.exact = malloc(pair.m * sizeof(double));
		pair.work = malloc(2 * pair.m * sizeof(double));
		error = pair.b && pair.exact && pair.work ?
				sweep_covariance(context, options, &matrix, &pair, rows) :
				complain(-ENOMEM, "not enough memory");
	}
	matrix_free(&matrix);
	free(pair.a);
	free(pair.b);
	free(pair.exact);
	free(pair.work);
	return error;
}

/* ---- A user's two matrices ---- */

static void add_pair_row(json_object *rows, const struct rate *rate, const struct pair *pair,
			 const struct outcome *outcome)
{
	json_object *row = json_object_new_object();

	row_put_string(row, "mode", rate->name);
	row_put_number(row, "bits_per_element", outcome->bits);
	row_put_number(row, "product_error", outcome->error);
	row_put_string(row, "repeatable", outcome->repeatable ? "yes" : "no");
	row_put_number(row, "modelled_uj_per_product", outcome->work.pj / 1e6);
	row_put_integer(row, "bytes", outcome->bytes);
	put_work(row, &outcome->work, (double)pair->m * pair->k * pair->n);
	json_object_array_add(rows, row);
}

static int check_shapes(const struct options *options, const struct matrix *a, const struct matrix *b)
{
	if (a->columns != b->rows)
		return complain(-EINVAL, "%s is %llu x %llu, so %s must have %llu rows, not %llu",
				options->name, (unsigned long long)a->rows,
				(unsigned long long)a->columns, options->second,
				(unsigned long long)a->columns, (unsigned long long)b->rows);
	if (a->rows > 1 << 20 || a->columns > 1 << 20 || b->columns > 1 << 20 ||
	    a->rows * a->columns > WORK_LIMIT / b->columns)
		return complain(-EINVAL, "the product takes more than 2^33 multiply-accumulates");
	return 0;
}

int rate_pair(quire_context *context, const struct options *options, json_object *rows)
{
	static const double taus[] = { 1e-1, 1e-2, 1e-3, 1e-4 };
	static struct rate rates[MOST_RATES];
	uint32_t count = rates_of(options, rates, taus, 4);
	struct pair pair = { .rounding_b = ROUND_AS_STORED };
	struct matrix a = { .data = NULL }, b = { .data = NULL };
	int error = load_doubles(options->name, &a, &pair.a);

	error = error ? error : load_doubles(options->second, &b, &pair.b);
	error = error ? error : check_shapes(options, &a, &b);
	if (!error) {
		pair.m = (uint32_t)a.rows;
		pair.k = (uint32_t)a.columns;
		pair.n = (uint32_t)b.columns;
		pair.exact = malloc((size_t)pair.m * pair.n * sizeof(double));
		pair.work = malloc(2 * (size_t)pair.m * pair.n * sizeof(double));
		error = pair.exact && pair.work ? 0 : complain(-ENOMEM, "not enough memory");
	}
	if (!error)
		multiply(pair.a, pair.b, pair.m, pair.k, pair.n, pair.exact);
	for (uint32_t i = 0; !error && i < count; i++) {
		struct outcome outcome;

		error = run_pair(context, &pair, &rates[i], &outcome);
		if (!error)
			add_pair_row(rows, &rates[i], &pair, &outcome);
		tensor_free(&outcome.a);
		if (options->progress)
			progress_show("pair", (i + 1.0) / count);
	}
	matrix_free(&a);
	matrix_free(&b);
	free(pair.a);
	free(pair.b);
	free(pair.exact);
	free(pair.work);
	return error;
}
