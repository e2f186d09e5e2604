// SPDX-License-Identifier: MIT
/*
 * The advisor: errors of all widths are measured tile by tile, then the tiles compete
 * for the budget.
 */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <quire/model.h>

#include "advise_tiles.h"
#include "environment.h"

#define WIDTHS (QUIRE_TILE_MAX_BITS + 1)
/* A tile this far below its share of the allowed error needs no wider posit. */
#define NEGLIGIBLE 0x1p-8
/* Without a bound on the error: no wider than a double can tell. */
#define INVISIBLE 0x1p-100

struct advisor {
	const struct quire_tiled_advise *q;
	const struct tile_kernel *kernel;
	struct quire_tile_choice *choices;
	uint64_t count;
	uint32_t grid_columns;
	uint64_t widths;
	uint64_t cost[WIDTHS];			/* of one tile of each width: bytes or picojoule */
	double (*error)[WIDTHS];		/* of every tile */
	double *square;				/* of every tile: sum of w x^2 */
	int16_t *scale;				/* of every tile, before clamping */
	double total;				/* sum of square */
	double hopeless, enough;		/* see struct tile_measure */
	struct exact_sum *sums;			/* two per worker */
	_Atomic uint64_t not_finite;		/* first such element, row-major */
};

static bool weights_valid(const struct quire_tiled_advise *q)
{
	for (uint32_t i = 0; q->weights && i < q->shape.columns; i++)
		if (!(q->weights[i] >= 0) || !isfinite(q->weights[i]))
			return false;
	return true;
}

static int check(const struct quire_tiled_advise *q, const struct quire_tile_choice *choices,
		 const struct quire_advice *advice)
{
	if (!q || !choices || !advice || !quire_tiled_count(&q->shape) || !q->matrix.data ||
	    q->matrix.reserved || !tile_format_is_number(q->matrix.format) ||
	    (uintptr_t)q->matrix.data % gemm_element_bytes(q->matrix.format) ||
	    (q->shape.rows > 1 && q->matrix.leading_dimension < q->shape.columns) ||
	    q->budget > QUIRE_BUDGET_ENERGY || q->reserved || q->reserved2 ||
	    q->widths & ~QUIRE_WIDTHS_ALL || !weights_valid(q))
		return -EINVAL;
	if (q->budget == QUIRE_BUDGET_ERROR &&
	    (!(q->tau >= QUIRE_ADVISE_TAU_MIN) || q->tau > QUIRE_ADVISE_TAU_MAX))
		return -EINVAL;
	return 0;
}

static uint64_t energy_of(const struct quire_tiled_advise *q, uint32_t bits)
{
	uint64_t elements = (uint64_t)q->shape.tile_rows * q->shape.tile_columns;
	uint64_t columns = q->product_columns ? q->product_columns : 1;

	if (!bits)
		return 0;
	return quire_model_pj(quire_model_format(QUIRE_FORMAT_POSIT(bits), QUIRE_GEMM_MODE_EXACT),
			      elements * columns) +
	       elements / 8 * bits * QUIRE_MODEL_CARD_PJ_PER_BYTE;
}

/*
 * round(log2(rms)); sum is that of squares, in eight lanes.  Where it left the range of
 * a double it is taken again from numbers near 1.
 */
static int16_t scale_of(const struct quire_tiled_shape *s, const struct advise_tile *tile,
			double sum)
{
	double most = 0, by;
	int exponent = 0;

	if (!(sum > 1e-200 && sum < 1e200)) {
		for (uint32_t i = 0; i < s->tile_rows * s->tile_columns; i++)
			most = fabs(tile->x[i]) > most ? fabs(tile->x[i]) : most;
		if (most == 0)
			return 0;
		frexp(most, &exponent);
		exponent = exponent < -1000 ? -1000 : exponent;
		by = ldexp(1, -exponent);
		sum = 0;
		for (uint32_t i = 0; i < s->tile_rows * s->tile_columns; i++)
			sum += tile->x[i] * by * (tile->x[i] * by);
	}
	return (int16_t)(lround(0.5 * log2(sum / ((double)tile->rows * tile->columns))) + exponent);
}

/* Sums of x^2 and of w x^2 in eight lanes, the same on every CPU. */
static void square_sums(const struct quire_tiled_shape *s, const struct advise_tile *tile,
			const float *weights, double *plain, double *weighted)
{
	double lane[8] = { 0 }, heavy[8] = { 0 }, w[TILE_COLUMNS_MAX] = { 0 };

	for (uint32_t c = 0; weights && c < tile->columns; c++)
		w[c] = weights[tile->column + c];
	for (uint32_t r = 0; r < tile->rows; r++) {
		const double *x = tile->x + r * s->tile_columns;

		for (uint32_t c = 0; c < s->tile_columns; c += 8)
			for (uint32_t l = 0; l < 8; l++)
				lane[l] += x[c + l] * x[c + l];
		for (uint32_t c = 0; weights && c < s->tile_columns; c += 8)
			for (uint32_t l = 0; l < 8; l++)
				heavy[l] += w[c + l] * x[c + l] * x[c + l];
	}
	*plain = *weighted = 0;
	for (uint32_t l = 0; l < 8; l++) {
		*plain += lane[l];
		*weighted += heavy[l];
	}
	if (!weights)
		*weighted = *plain;
}

static void note_not_finite(struct advisor *a, const struct advise_tile *tile)
{
	const struct quire_tiled_shape *s = &a->q->shape;

	for (uint32_t r = 0; r < tile->rows; r++)
		for (uint32_t c = 0; c < tile->columns; c++) {
			uint64_t at = (uint64_t)(tile->row + r) * s->columns + tile->column + c;
			uint64_t first = atomic_load(&a->not_finite);

			if (isfinite(tile->x[r * s->tile_columns + c]))
				continue;
			while (at < first && !atomic_compare_exchange_weak(&a->not_finite, &first, at))
				;
		}
}

/* First pass: what there is to lose, and the scales. */
static void norm_row(void *argument, unsigned int row, unsigned int worker)
{
	struct advisor *a = argument;
	const struct quire_tiled_shape *s = &a->q->shape;
	struct advise_tile tile;
	fenv_t saved;

	(void)worker;
	environment_enter(&saved);
	for (uint32_t t = 0; t < a->grid_columns; t++) {
		uint64_t index = (uint64_t)row * a->grid_columns + t;
		double plain;

		advise_load(s, &a->q->matrix, a->kernel, index, &tile);
		square_sums(s, &tile, a->q->weights, &plain, &a->square[index]);
		if (!isfinite(plain))
			note_not_finite(a, &tile);
		a->scale[index] = isnan(plain) ? 0 : scale_of(s, &tile, plain);
	}
	environment_leave(&saved);
}

static void measure_row(void *argument, unsigned int row, unsigned int worker)
{
	struct advisor *a = argument;
	const struct quire_tiled_shape *s = &a->q->shape;
	_Alignas(64) double weight[TILE_ELEMENTS_MAX];
	struct advise_tile tile;
	struct tile_measure m = { .x = tile.x, .weight = weight,
				  .elements = s->tile_rows * s->tile_columns,
				  .widths = a->widths, .hopeless = a->hopeless,
				  .enough = a->enough };
	fenv_t saved;

	(void)worker;
	environment_enter(&saved);
	for (uint32_t t = 0; t < a->grid_columns; t++) {
		uint64_t index = (uint64_t)row * a->grid_columns + t;

		/* most empty tiles show by their norm alone */
		if (a->widths & 1 && a->square[index] <= a->enough) {
			for (uint32_t n = 0; n < WIDTHS; n++)
				a->error[index][n] = n ? INFINITY : a->square[index];
			continue;
		}
		advise_load(s, &a->q->matrix, a->kernel, index, &tile);
		for (uint32_t i = 0; i < m.elements; i++) {
			uint32_t c = tile_least(i & (s->tile_columns - 1), tile.columns - 1);

			weight[i] = tile.x[i] == 0 ? 0 :
				    a->q->weights ? a->q->weights[tile.column + c] : 1;
		}
		m.scale = a->scale[index];
		a->kernel->measure(&m);
		memcpy(a->error[index], m.error, sizeof(m.error));
	}
	environment_leave(&saved);
}

/* A tile's best upgrade: the heap is ordered by gain, then by index, so that it is defined. */
struct move {
	double gain;			/* error per cost */
	uint64_t tile;
	uint32_t to;
};

static bool before(const struct move *x, const struct move *y)
{
	return x->gain > y->gain || (x->gain == y->gain && x->tile < y->tile);
}

struct heap {
	struct move *move;
	uint64_t count;
};

static void heap_sink(struct heap *h, uint64_t at)
{
	struct move moving = h->move[at];

	for (;;) {
		uint64_t child = 2 * at + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count && before(&h->move[child + 1], &h->move[child]))
			child++;
		if (!before(&h->move[child], &moving))
			break;
		h->move[at] = h->move[child];
		at = child;
	}
	h->move[at] = moving;
}

/* The wider width with the most error lost per cost; false when none loses any. */
static bool best_move(const struct advisor *a, uint64_t tile, uint64_t room, struct move *move)
{
	uint32_t from = a->choices[tile].bits;

	*move = (struct move){ .tile = tile };
	for (uint32_t n = from + 1; n < WIDTHS; n++) {
		double drop = a->error[tile][from] - a->error[tile][n], gain;

		/* the cheapest may be unmeasured: then anything is better */
		if (!isfinite(a->error[tile][n]) || !(drop > 0) || a->cost[n] - a->cost[from] > room)
			continue;
		gain = drop / (double)(a->cost[n] - a->cost[from]);
		if (gain > move->gain) {
			move->gain = gain;
			move->to = n;
		}
	}
	return move->to;
}

static double error_sum(const struct advisor *a)
{
	double sum = 0;

	for (uint64_t i = 0; i < a->count; i++)
		sum += a->error[i][a->choices[i].bits];
	return sum;
}

/* Every tile at its cheapest measured width; the cost. */
static uint64_t start_cheapest(struct advisor *a)
{
	uint64_t cost = 0;

	for (uint64_t i = 0; i < a->count; i++) {
		uint32_t n = 0;

		while (n < QUIRE_TILE_MAX_BITS && !isfinite(a->error[i][n]))
			n++;
		a->choices[i].bits = (uint8_t)n;
		cost += a->cost[n];
	}
	return cost;
}

/*
 * Upgrade until the error is at most target, or the budget is spent; *left is then the
 * error.  -ERANGE: even the cheapest choice is dearer than the budget.
 */
static int compete(struct advisor *a, double target, uint64_t budget, double *left)
{
	struct heap heap = { .move = malloc(a->count * sizeof(*heap.move)) };
	uint64_t spent = start_cheapest(a);
	double error = error_sum(a);

	if (!heap.move)
		return -ENOMEM;
	if (spent > budget) {
		free(heap.move);
		return -ERANGE;
	}
	for (uint64_t i = 0; i < a->count; i++)
		heap.count += best_move(a, i, budget - spent, &heap.move[heap.count]);
	for (uint64_t i = heap.count / 2; i-- > 0;)
		heap_sink(&heap, i);
	while (heap.count && error > target) {
		struct move *top = &heap.move[0];
		uint32_t from = a->choices[top->tile].bits;

		/* what was affordable when it was entered may be no more */
		if (a->cost[top->to] - a->cost[from] <= budget - spent) {
			error -= a->error[top->tile][from] - a->error[top->tile][top->to];
			spent += a->cost[top->to] - a->cost[from];
			a->choices[top->tile].bits = (uint8_t)top->to;
		}
		if (!best_move(a, top->tile, budget - spent, top))
			*top = heap.move[--heap.count];
		if (heap.count)
			heap_sink(&heap, 0);
		/* differences lose digits where a sum of large errors becomes a small one */
		if (error <= target)
			error = error_sum(a);
	}
	free(heap.move);
	/* the same when all tiles are as wide as helps */
	if (error > target)
		error = error_sum(a);
	for (uint64_t i = 0; i < a->count; i++)
		a->choices[i].scale = a->choices[i].bits ?
			quire_tile_clamp_scale(a->choices[i].bits, a->scale[i]) : 0;
	*left = error;
	return 0;
}

static void certify_choices(void *argument, unsigned int row, unsigned int worker)
{
	struct advisor *a = argument;
	const struct quire_tiled_shape *s = &a->q->shape;
	struct advise_tile tile;
	fenv_t saved;

	environment_enter(&saved);
	for (uint32_t t = 0; t < a->grid_columns; t++) {
		uint64_t index = (uint64_t)row * a->grid_columns + t;

		advise_load(s, &a->q->matrix, a->kernel, index, &tile);
		certify_tile(s, a->kernel, &tile, a->choices[index], a->q->weights,
			     &a->sums[2 * worker]);
		exact_add_squares(&a->sums[2 * worker + 1], a->kernel, tile.x, NULL, tile.rows,
				  tile.columns, s->tile_columns,
				  a->q->weights ? a->q->weights + tile.column : NULL);
	}
	environment_leave(&saved);
}

/* The exact sums of the choice: of its error, and of the matrix. */
static int certify_all(struct advisor *a)
{
	const struct quire_tiled_advise *q = a->q;
	uint32_t workers = quire_threads_count(q->threads);
	int error;

	memset(a->sums, 0, 2 * (size_t)workers * sizeof(*a->sums));
	error = advise_rows(&q->shape, q->threads, certify_choices, a, q->progress,
			    q->progress_argument, 0.6, 1.0);
	for (uint32_t i = 1; i < workers; i++) {
		exact_add(&a->sums[0], &a->sums[2 * i]);
		exact_add(&a->sums[1], &a->sums[2 * i + 1]);
	}
	return error;
}

/* For an error: the choice for a target a hair lower until it is certified. */
static int choose_for_error(struct advisor *a)
{
	double slack = 0;

	for (int attempt = 0; attempt < 8; attempt++) {
		double target = a->q->tau * a->q->tau * a->total * (1 - slack), left;
		int error = compete(a, target, UINT64_MAX, &left);

		if (!error && left > target)
			return -ERANGE;
		error = error ? error : certify_all(a);
		if (error || exact_within(&a->sums[0], &a->sums[1], a->q->tau))
			return error;
		slack = slack ? slack * 8 : 0x1p-30;
	}
	return -ERANGE;
}

static int choose_for_cost(struct advisor *a, uint64_t budget)
{
	double left;
	int error = compete(a, 0, budget, &left);

	return error ? error : certify_all(a);
}

static void fill_advice(const struct advisor *a, struct quire_advice *advice)
{
	const struct quire_tiled_shape *s = &a->q->shape;

	for (uint64_t i = 0; i < a->count; i++) {
		uint32_t n = a->choices[i].bits;

		advice->tiles[n]++;
		advice->data_bytes += quire_tile_bytes(s->tile_rows, s->tile_columns, n);
		advice->modelled_pj += energy_of(a->q, n);
	}
	advice->image_bytes = quire_tiled_plan(s, a->choices);
	advice->bits_per_element = 8.0 * (double)advice->data_bytes / ((double)s->rows * s->columns);
	if (!advice->certified) {
		advice->norm = sqrt(a->total);
		advice->error = a->total > 0 ? sqrt(error_sum(a) / a->total) : 0;
		return;
	}
	advice->norm = exact_root(&a->sums[1]);
	advice->error = exact_ratio(&a->sums[0], &a->sums[1]);
	/* the exact comparison allows what the bound's last digits would not */
	if (a->q->budget == QUIRE_BUDGET_ERROR && advice->error > a->q->tau)
		advice->error = a->q->tau;
}

static int advise(struct advisor *a, struct quire_advice *advice)
{
	const struct quire_tiled_advise *q = a->q;
	uint64_t overhead = quire_tiled_data_start(a->count);
	int error;

	error = advise_rows(&q->shape, q->threads, norm_row, a, q->progress, q->progress_argument, 0,
			    0.2);
	if (error)
		return error;
	if (a->not_finite != UINT64_MAX) {
		advice->row = (uint32_t)(a->not_finite / q->shape.columns);
		advice->column = (uint32_t)(a->not_finite % q->shape.columns);
		return -EDOM;
	}
	for (uint64_t i = 0; i < a->count; i++)
		a->total += a->square[i];
	if (!isfinite(a->total))
		return -ERANGE;
	a->enough = a->total / (double)a->count *
		    (q->budget == QUIRE_BUDGET_ERROR ? q->tau * q->tau * NEGLIGIBLE : INVISIBLE);
	/* one tile may not have more error than all together */
	a->hopeless = q->budget == QUIRE_BUDGET_ERROR ? q->tau * q->tau * a->total : INFINITY;
	error = advise_rows(&q->shape, q->threads, measure_row, a, q->progress, q->progress_argument,
			    0.2, 0.6);
	if (error)
		return error;
	if (q->budget == QUIRE_BUDGET_ERROR)
		error = choose_for_error(a);
	else if (q->budget == QUIRE_BUDGET_ENERGY)
		error = choose_for_cost(a, q->modelled_pj);
	else
		error = q->image_bytes < overhead ? -ERANGE :
						    choose_for_cost(a, q->image_bytes - overhead);
	advice->certified = !error;
	if (!error || error == -ERANGE)
		fill_advice(a, advice);
	return error;
}

static ENVIRONMENT_OWN int advise_tiled(const struct quire_tiled_advise *q,
					struct quire_tile_choice *choices,
					struct quire_advice *advice)
{
	struct advisor a = { .q = q, .choices = choices, .kernel = tile_kernel_current() };
	int error = check(q, choices, advice);

	if (error)
		return error;
	memset(advice, 0, sizeof(*advice));
	a.count = quire_tiled_count(&q->shape);
	a.grid_columns = quire_tiled_grid(q->shape.columns, q->shape.tile_columns);
	a.widths = q->widths ? q->widths : QUIRE_WIDTHS_ALL;
	atomic_store(&a.not_finite, UINT64_MAX);
	for (uint32_t n = 0; n < WIDTHS; n++)
		a.cost[n] = q->budget == QUIRE_BUDGET_ENERGY ? energy_of(q, n) :
			    quire_tile_bytes(q->shape.tile_rows, q->shape.tile_columns, n);
	memset(choices, 0, a.count * sizeof(*choices));
	a.error = malloc(a.count * sizeof(*a.error));
	a.square = malloc(a.count * sizeof(*a.square));
	a.scale = calloc(a.count, sizeof(*a.scale));
	a.sums = malloc(2 * (size_t)quire_threads_count(q->threads) * sizeof(*a.sums));
	error = a.error && a.square && a.scale && a.sums ? advise(&a, advice) : -ENOMEM;
	free(a.error);
	free(a.square);
	free(a.scale);
	free(a.sums);
	return error;
}

int quire_tiled_advise(const struct quire_tiled_advise *q, struct quire_tile_choice *choices,
		       struct quire_advice *advice)
{
	fenv_t saved;
	int error;

	environment_enter(&saved);
	error = advise_tiled(q, choices, advice);
	environment_leave(&saved);
	return error;
}
