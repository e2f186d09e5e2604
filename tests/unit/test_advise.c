// SPDX-License-Identifier: MIT
/*
 * The advisor: certificates against GMP rationals, its figures on a covariance, and what
 * must hold for any matrix.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gmp.h>

#include <quirenum/advise.h>
#include <quirenum/gemm.h>
#include <quirenum/threads.h>

static uint64_t seed = 3;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static double uniform(void)
{
	return (double)(rnd() >> 11) * 0x1p-53;
}

/* Numbers whose tiles differ in size by a factor of 2^spread. */
static double *matrix_of(uint32_t rows, uint32_t columns, int spread, bool fp32)
{
	double *x = malloc((size_t)rows * columns * sizeof(*x));

	for (uint32_t i = 0; i < rows * columns; i++) {
		uint32_t tile = i / columns / 16 * 7 + i % columns / 16 * 3;

		x[i] = ldexp(uniform() + uniform() + uniform() - 1.5, -(int)(tile % (uint32_t)spread));
		if (fp32)
			x[i] = (float)x[i];
	}
	return x;
}

static void *pack(const struct quire_tiled_advise *q, const struct quire_tile_choice *choices,
		  struct quire_tiled *view)
{
	uint64_t bytes = quire_tiled_plan(&q->shape, choices);
	void *image = aligned_alloc(64, (bytes + 63) / 64 * 64);

	assert_true(bytes > 0);
	assert_int_equal(quire_tiled_pack(&q->shape, &q->matrix, choices, image, bytes, NULL), 0);
	assert_int_equal(quire_tiled_open(image, bytes, view, NULL), 0);
	return image;
}

/* sum w (a - a')^2 and sum w a^2 in rationals */
static void exact(const double *x, const struct quire_tiled *view, const float *weights, mpq_t error,
		  mpq_t norm)
{
	mpq_t a, b, w;

	mpq_inits(a, b, w, NULL);
	mpq_set_ui(error, 0, 1);
	mpq_set_ui(norm, 0, 1);
	for (uint32_t r = 0; r < view->shape.rows; r++)
		for (uint32_t c = 0; c < view->shape.columns; c++) {
			mpq_set_d(a, x[(uint64_t)r * view->shape.columns + c]);
			mpq_set_d(b, quire_tiled_element(view, r, c));
			mpq_set_d(w, weights ? weights[c] : 1);
			mpq_sub(b, a, b);
			mpq_mul(b, b, b);
			mpq_mul(b, b, w);
			mpq_add(error, error, b);
			mpq_mul(a, a, a);
			mpq_mul(a, a, w);
			mpq_add(norm, norm, a);
		}
	mpq_clears(a, b, w, NULL);
}

static bool within(const mpq_t error, const mpq_t norm, double tau)
{
	mpq_t t;
	bool holds;

	mpq_init(t);
	mpq_set_d(t, tau);
	mpq_mul(t, t, t);
	mpq_mul(t, t, norm);
	holds = mpq_cmp(error, t) <= 0;
	mpq_clear(t);
	return holds;
}

static void check_certificate(const double *x, const struct quire_tiled_advise *q,
			      const struct quire_tiled *view, struct quire_threads *threads)
{
	struct quire_certificate c;
	mpq_t error, norm, ratio;
	double estimate, tau;

	mpq_inits(error, norm, ratio, NULL);
	exact(x, view, q->weights, error, norm);
	assert_int_equal(quire_certify(&q->matrix, view, q->weights, 0.5, threads, &c), 0);
	assert_int_equal(c.holds, within(error, norm, 0.5));
	/* an upper bound, and a close one */
	if (mpq_sgn(error)) {
		assert_true(within(error, norm, c.error));
		assert_false(within(error, norm, c.error * (1 - 0x1p-40)));
		mpq_div(ratio, error, norm);
		estimate = sqrt(mpq_get_d(ratio));
		/* the verdict flips where the rationals say so, to the last bit of tau */
		tau = estimate;
		for (int i = 0; i < 40; i++)
			tau = nextafter(tau, 0);
		for (int i = 0; i < 80 && tau >= QUIRE_ADVISE_TAU_MIN && tau <= 1; i++) {
			assert_int_equal(quire_certify(&q->matrix, view, q->weights, tau, threads, &c),
					 0);
			assert_int_equal(c.holds, within(error, norm, tau));
			tau = nextafter(tau, 1);
		}
	} else {
		assert_true(c.error == 0);
	}
	assert_float_equal(c.norm, sqrt(mpq_get_d(norm)), 1e-12 * c.norm);
	mpq_clears(error, norm, ratio, NULL);
}

static void certificates_hold_in_rationals(void **state)
{
	static const uint32_t tiles[][2] = { { 32, 32 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };
	struct quire_threads *threads = quire_threads_create(2);

	(void)state;
	for (int t = 0; t < 8; t++) {
		const uint32_t rows = 40, columns = 50;
		double *x = matrix_of(rows, columns, 1 + t * 3, t & 1);
		float weights[50];
		struct quire_tiled_advise q = {
			.shape = { rows, columns, tiles[t % 4][0], tiles[t % 4][1] },
			.matrix = { x, QUIRE_FORMAT_FP64, 0, columns },
			.tau = ldexp(1 + uniform(), -2 - 3 * t),
			.weights = t >= 4 ? weights : NULL,
			.threads = t & 2 ? threads : NULL,
		};
		struct quire_tile_choice choices[64];
		struct quire_advice advice;
		struct quire_tiled view;
		mpq_t error, norm;
		void *image;

		for (uint32_t c = 0; c < columns; c++)
			weights[c] = c % 7 ? (float)uniform() * 3 : 0;
		/* numbers far away from the others: the exact sums' long way */
		if (t >= 6) {
			x[3] = 0x1.23456789abcdfp-900;
			x[60] = -0x1p-1070;
		}
		assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
		assert_int_equal(advice.certified, 1);
		image = pack(&q, choices, &view);
		mpq_inits(error, norm, NULL);
		exact(x, &view, q.weights, error, norm);
		assert_true(within(error, norm, q.tau));
		check_certificate(x, &q, &view, q.threads);
		free(image);
		/* with bytes given, the error that comes of them is a bound, and a close one */
		q.budget = QUIRE_BUDGET_BYTES;
		q.image_bytes = advice.image_bytes * 3 / 4;
		assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
		image = pack(&q, choices, &view);
		exact(x, &view, q.weights, error, norm);
		assert_true(advice.certified && within(error, norm, advice.error));
		assert_false(within(error, norm, advice.error * (1 - 0x1p-39)));
		mpq_clears(error, norm, NULL);
		free(image);
		free(x);
	}
	quire_threads_destroy(threads);
}

/* With one width allowed there is nothing to choose: the measured error is the real one. */
static void measured_errors_are_real_at_every_width(void **state)
{
	static const char *const kernels[] = { "generic", "avx2", "ifma" };
	const uint32_t rows = 48, columns = 64;
	double *x = matrix_of(rows, columns, 40, false);

	(void)state;
	/* ties and ends: powers of two and their halves, in every direction */
	for (uint32_t i = 0; i < columns * 16; i++)
		x[i] = ldexp(1 + 0.5 * (i % 3 == 1), (int)(i % 61) - 30) * (i % 5 ? 1 : -1);
	for (size_t k = 0; k < 3; k++) {
		if (quire_kernel_select(kernels[k]))
			continue;
		for (uint32_t n = 3; n <= 32; n++) {
			struct quire_tiled_advise q = {
				.shape = { rows, columns, 16, 16 },
				.matrix = { x, QUIRE_FORMAT_FP64, 0, columns },
				.budget = QUIRE_BUDGET_BYTES, .image_bytes = 1 << 20,
				.widths = QUIRE_WIDTH(n),
			};
			struct quire_tile_choice choices[12];
			struct quire_certificate c;
			struct quire_advice advice;
			struct quire_tiled view;
			void *image;

			assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
			assert_int_equal(advice.tiles[n], 12);
			image = pack(&q, choices, &view);
			assert_int_equal(quire_certify(&q.matrix, &view, NULL, 1, NULL, &c), 0);
			assert_float_equal(advice.error, c.error, 1e-9 * c.error);
			free(image);
		}
	}
	quire_kernel_select(NULL);
	free(x);
}

static void more_budget_never_costs_more_error(void **state)
{
	const uint32_t rows = 96, columns = 96;

	(void)state;
	for (int t = 0; t < 3; t++) {
		double *x = matrix_of(rows, columns, 1 + 12 * t, false);
		struct quire_tiled_advise q = {
			.shape = { rows, columns, 16, 16 },
			.matrix = { x, QUIRE_FORMAT_FP64, 0, columns },
			.product_columns = 64,
		};
		struct quire_tile_choice choices[36];
		struct quire_advice advice;
		uint64_t bytes_before = 0;
		double before = 2;

		q.budget = QUIRE_BUDGET_BYTES;
		for (q.image_bytes = 640; q.image_bytes < 40000; q.image_bytes += 96) {
			assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
			assert_true(advice.certified && advice.image_bytes <= q.image_bytes);
			assert_int_equal(advice.image_bytes, quire_tiled_plan(&q.shape, choices));
			assert_true(advice.error <= before);
			before = advice.error;
		}
		q.budget = QUIRE_BUDGET_ENERGY;
		before = 2;
		for (q.modelled_pj = 0; q.modelled_pj < 3000000; q.modelled_pj += 30011) {
			assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
			assert_true(advice.modelled_pj <= q.modelled_pj);
			assert_true(advice.error <= before);
			before = advice.error;
		}
		q.budget = QUIRE_BUDGET_ERROR;
		for (q.tau = 0.9; q.tau > 1e-7; q.tau *= 0.7) {
			assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
			assert_true(advice.certified && advice.error <= q.tau * (1 + 1e-9));
			assert_true(advice.image_bytes >= bytes_before);
			bytes_before = advice.image_bytes;
		}
		free(x);
	}
}

/* sum (a - a')^2 of one tile, in rationals */
static void exact_of_tile(const double *x, uint32_t columns, uint32_t row, uint32_t column,
			  struct quire_tile_choice choice, mpq_t error)
{
	const struct quire_tiled_shape shape = { 16, 16, 16, 16 };
	struct quire_tiled_advise q = { .shape = shape, .matrix = { x + row * columns + column,
								    QUIRE_FORMAT_FP64, 0, columns } };
	double tile[16 * 16];
	struct quire_tiled view;
	mpq_t norm;
	void *image = pack(&q, &choice, &view);

	for (uint32_t i = 0; i < 16 * 16; i++)
		tile[i] = x[(row + i / 16) * columns + column + i % 16];
	mpq_init(norm);
	exact(tile, &view, NULL, error, norm);
	mpq_clear(norm);
	free(image);
}

/* With every larger budget a tile that got other bits got more of them, and lost error. */
static void an_upgrade_never_raises_the_error(void **state)
{
	enum { ROWS = 64, COLUMNS = 80, TILES = 4 * 5 };
	double *x = matrix_of(ROWS, COLUMNS, 17, false);
	struct quire_tiled_advise q = {
		.shape = { ROWS, COLUMNS, 16, 16 },
		.matrix = { x, QUIRE_FORMAT_FP64, 0, COLUMNS },
		.budget = QUIRE_BUDGET_ERROR,
	};
	struct quire_tile_choice before[TILES] = { { 0, 0 } }, now[TILES];
	int upgrades = 0;
	mpq_t error[TILES], fresh;

	(void)state;
	mpq_init(fresh);
	for (uint32_t t = 0; t < TILES; t++) {
		mpq_init(error[t]);
		exact_of_tile(x, COLUMNS, t / 5 * 16, t % 5 * 16, before[t], error[t]);
	}
	for (q.tau = 0.7; q.tau > 1e-6; q.tau *= 0.8) {
		struct quire_advice advice;

		assert_int_equal(quire_tiled_advise(&q, now, &advice), 0);
		for (uint32_t t = 0; t < TILES; t++) {
			if (now[t].bits == before[t].bits)
				continue;
			assert_true(now[t].bits > before[t].bits);
			exact_of_tile(x, COLUMNS, t / 5 * 16, t % 5 * 16, now[t], fresh);
			assert_true(mpq_cmp(fresh, error[t]) < 0);
			mpq_set(error[t], fresh);
			before[t] = now[t];
			upgrades++;
		}
	}
	assert_true(upgrades > 5 * TILES);
	for (uint32_t t = 0; t < TILES; t++)
		mpq_clear(error[t]);
	mpq_clear(fresh);
	free(x);
}

static void advice_depends_on_neither_cpu_nor_threads(void **state)
{
	static const char *const kernels[] = { "generic", "avx2", "ifma" };
	double *x = matrix_of(200, 150, 20, false);
	struct quire_threads *threads = quire_threads_create(3);
	struct quire_tiled_advise q = { .shape = { 200, 150, 32, 32 },
				  .matrix = { x, QUIRE_FORMAT_FP64, 0, 150 }, .tau = 1e-3 };
	struct quire_tile_choice first[35], other[35];
	struct quire_advice a, b;

	(void)state;
	quire_kernel_select("generic");
	assert_int_equal(quire_tiled_advise(&q, first, &a), 0);
	for (size_t k = 0; k < 3; k++) {
		quire_kernel_select(kernels[k]);
		q.threads = k ? threads : NULL;
		assert_int_equal(quire_tiled_advise(&q, other, &b), 0);
		assert_memory_equal(first, other, sizeof(first));
		assert_memory_equal(&a, &b, sizeof(a));
	}
	quire_kernel_select(NULL);
	quire_threads_destroy(threads);
	free(x);
}

static int stop_at_once(void *argument, double done)
{
	(void)done;
	return ++*(int *)argument;
}

static void wrong_questions_get_clear_answers(void **state)
{
	double *x = matrix_of(40, 40, 3, false);
	float weights[40] = { 0 };
	struct quire_tiled_advise q = { .shape = { 40, 40, 16, 16 },
				  .matrix = { x, QUIRE_FORMAT_FP64, 0, 40 }, .tau = 1e-3 };
	struct quire_tile_choice choices[9];
	struct quire_advice advice;
	int calls = 0;

	(void)state;
	q.tau = 0;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -EINVAL);
	q.tau = 1.5;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -EINVAL);
	q.tau = NAN;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -EINVAL);
	q.tau = 1e-3;
	q.widths = 2;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -EINVAL);
	q.widths = QUIRE_WIDTH(0) | QUIRE_WIDTH(8);	/* not enough for tau */
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -ERANGE);
	assert_true(advice.error > 1e-3 && advice.error < 1);
	q.widths = 0;
	weights[1] = -1;
	q.weights = weights;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -EINVAL);
	q.weights = NULL;
	x[40 * 33 + 17] = INFINITY;
	x[40 * 34 + 2] = NAN;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -EDOM);
	assert_int_equal(advice.row, 33);
	assert_int_equal(advice.column, 17);
	x[40 * 33 + 17] = x[40 * 34 + 2] = 1;
	q.budget = QUIRE_BUDGET_BYTES;
	q.image_bytes = 100;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -ERANGE);
	q.budget = QUIRE_BUDGET_ERROR;
	q.progress = stop_at_once;
	q.progress_argument = &calls;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), -ECANCELED);
	assert_int_equal(calls, 1);
	q.progress = NULL;
	memset(x, 0, 40 * 40 * sizeof(*x));
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
	assert_int_equal(advice.tiles[0], 9);
	assert_true(advice.certified && advice.error == 0);
	free(x);
}

/* Bits 0, 2, 4, ... of x together. */
static uint32_t even_bits(uint32_t x)
{
	uint32_t r = 0;

	for (int i = 0; i < 5; i++)
		r |= (x >> 2 * i & 1) << i;
	return r;
}

/* Exponential covariance of n = 1024 points of a jittered grid in Morton order. */
static double *covariance(double beta, double nugget)
{
	enum { N = 1024 };
	double *a = malloc(N * N * sizeof(*a)), x[N], y[N];

	for (uint32_t i = 0; i < N; i++) {
		x[i] = (even_bits(i) + 0.5 + 0.4 * (2 * uniform() - 1)) / 32;
		y[i] = (even_bits(i >> 1) + 0.5 + 0.4 * (2 * uniform() - 1)) / 32;
	}
	for (uint32_t i = 0; i < N; i++)
		for (uint32_t j = 0; j < N; j++)
			a[i * N + j] = exp(-hypot(x[i] - x[j], y[i] - y[j]) / beta) +
				       (i == j ? nugget : 0);
	return a;
}

static void a_covariance_takes_few_bytes(void **state)
{
	static const double limits[][2] = { { 1e-2, 0.24 }, { 1e-4, 0.62 } };
	double *a = covariance(0.03, 1e-4);
	struct quire_tile_choice *choices = malloc(1024 * sizeof(*choices));

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct quire_tiled_advise q = { .shape = { 1024, 1024, 32, 32 },
					  .matrix = { a, QUIRE_FORMAT_FP64, 0, 1024 },
					  .tau = limits[i][0] };
		struct quire_certificate c;
		struct quire_advice advice;
		struct quire_tiled view;
		void *image;

		assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
		image = pack(&q, choices, &view);
		assert_int_equal(quire_certify(&q.matrix, &view, NULL, q.tau, NULL, &c), 0);
		assert_int_equal(c.holds, 1);
		assert_true((double)advice.image_bytes <= limits[i][1] * 1024 * 1024);
		free(image);
	}
	free(choices);
	free(a);
}

static void a_covariance_that_is_spoiled_is_noticed(void **state)
{
	enum { N = 1024 };
	double *a = covariance(0.5, 1e-5);
	struct quire_tile_choice *choices = malloc(1024 * sizeof(*choices));
	struct quire_tiled_advise q = { .shape = { N, N, 32, 32 },
				  .matrix = { a, QUIRE_FORMAT_FP64, 0, N }, .tau = 1e-2 };
	struct quire_definiteness d;
	struct quire_advice advice;
	struct quire_tiled view;
	void *image;

	(void)state;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
	image = pack(&q, choices, &view);
	assert_int_equal(quire_definite(&q.matrix, N, &view, &d), 0);
	assert_true(d.symmetric && d.definite && !d.image_definite && d.pivot < N);
	assert_true(d.condition > 1e3 && d.tau_advised < 1e-5 && d.tau_advised > 0);
	free(image);
	/* what it advises is enough */
	q.tau = d.tau_advised;
	assert_int_equal(quire_tiled_advise(&q, choices, &advice), 0);
	image = pack(&q, choices, &view);
	assert_int_equal(quire_definite(&q.matrix, N, &view, &d), 0);
	assert_true(d.image_definite && d.pivot == N);
	free(image);
	a[5] += 1;
	assert_int_equal(quire_definite(&q.matrix, N, NULL, &d), 0);
	assert_false(d.symmetric);
	free(choices);
	free(a);
}

/* Known eigenvalues: a diagonal matrix turned by a reflection. */
static void the_condition_is_estimated(void **state)
{
	enum { N = 60 };
	double a[N * N], v[N], norm = 0;
	const struct quire_dense dense = { a, QUIRE_FORMAT_FP64, 0, N };
	struct quire_definiteness d;

	(void)state;
	for (int i = 0; i < N; i++) {
		v[i] = uniform() - 0.5;
		norm += v[i] * v[i];
	}
	for (int i = 0; i < N; i++)
		for (int j = 0; j <= i; j++) {
			double sum = 0;

			for (int k = 0; k < N; k++)
				sum += ((i == k) - 2 * v[i] * v[k] / norm) * pow(10, -4.0 * k / (N - 1)) *
				       ((j == k) - 2 * v[j] * v[k] / norm);
			a[i * N + j] = a[j * N + i] = sum;
		}
	assert_int_equal(quire_definite(&dense, N, NULL, &d), 0);
	assert_true(d.definite && d.condition > 0.9e4 && d.condition < 1.1e4);
	a[0] = -1;
	assert_int_equal(quire_definite(&dense, N, NULL, &d), 0);
	assert_true(!d.definite && isinf(d.condition));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_hold_in_rationals),
		cmocka_unit_test(measured_errors_are_real_at_every_width),
		cmocka_unit_test(more_budget_never_costs_more_error),
		cmocka_unit_test(an_upgrade_never_raises_the_error),
		cmocka_unit_test(advice_depends_on_neither_cpu_nor_threads),
		cmocka_unit_test(wrong_questions_get_clear_answers),
		cmocka_unit_test(a_covariance_takes_few_bytes),
		cmocka_unit_test(a_covariance_that_is_spoiled_is_noticed),
		cmocka_unit_test(the_condition_is_estimated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
