// SPDX-License-Identifier: GPL-2.0-only
/* Cutting packets into bands, and the engines that run them. */
#include <quire/packet_check.h>

#include "firmware.h"
#include "io.h"

#define GRAIN 64u	/* bands are whole blocks of the engines' kernels, unless k is huge */
/*
 * A window's columns: whole panels of B and whole blocks of MXFP8.  A is read anew for each
 * window, so that a narrow one costs more than what it keeps.
 */
#define WINDOW_UNIT (2 * QUIRE_BAND_PANEL_COLUMNS)
#define WINDOW_LEAST (4 * WINDOW_UNIT)
#define SQUARE_ROWS 192u	/* of a band of which nothing is kept */
/*
 * What engines do beside the products, in products of ours: as if a band had so many rows and
 * columns more, and its sums were so much longer.  To pack an element of A costs like its
 * products with LANES columns, and an element of D, a row or a matrix is never for nothing.
 */
#define LANES 64u
#define SUMS 256u
#define SUMS_DEAR 512u	/* beside that, where sums are not only rounded, see is_dear() */
#define COST_MOST (1u << 29)	/* of a band: some 20 ms; what is mostly products stays below */
/*
 * To read a number for a long sum of few rows or columns costs like so many products that are taken
 * in tiles, and so does a product where so few sums are taken one by one.  Of more a tile is read,
 * the lanes it has not got included.
 */
#define READ 8u
#define FEW_SUMS 32u
#define TILE_ROWS 16u
#define TILE_COLUMNS 48u
#define TILE_LANES 256u	/* the longest side of a tile, which is read whole */
#define ROWS_MOST 8192u	/* of a band without products: a row costs some 0.3 us */

static struct quire_band bands[QUIRE_ENGINES_MAX];
uint8_t band_queue[QUIRE_ENGINES_MAX];
static uint64_t started[QUIRE_ENGINES_MAX];	/* when it was */
static uint32_t charged[QUIRE_ENGINES_MAX];	/* for it, in advance */
static uint32_t engines;			/* bit per engine of the card */
uint32_t band_idle;
static uint64_t band_macs;
static uint64_t kept_b;				/* elements of packed B, from band to band */
static uint32_t serials;			/* given so far to packets of several bands */

void band_init(void)
{
	uint32_t count = io_read(QUIRE_IO_ENGINES);

	if (count > QUIRE_ENGINES_MAX)
		count = QUIRE_ENGINES_MAX;
	engines = (1u << count) - 1;
	band_idle = engines;
	band_macs = (uint64_t)io_read(QUIRE_IO_BAND_MACS) << 10;
	kept_b = (uint64_t)io_read(QUIRE_IO_KEPT_B) << 10;
}

static void plan_whole(struct band_plan *plan, uint32_t rows, uint32_t columns, uint32_t batches)
{
	plan->rows = rows;
	plan->columns = columns;
	plan->batches = batches;
	plan->row_step = rows;
	plan->column_step = columns;
	plan->batch_step = batches;
	plan->row = 0;
	plan->column = 0;
	plan->batch = 0;
	plan->serial = 0;
	plan->rows_first = false;
	plan->more = true;
}

/* Bands of whole rows, or of a part of a row where a row is longer than column_step. */
void band_plan_rows(struct band_plan *plan, uint32_t rows, uint32_t columns, uint32_t row_step,
		    uint32_t column_step)
{
	plan_whole(plan, rows, columns, 1);
	if (row_step > ROWS_MOST)
		row_step = ROWS_MOST;
	if (row_step < rows)
		plan->row_step = row_step;
	if (column_step < columns)
		plan->column_step = column_step;
}

static uint64_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t divide_up(uint32_t x, uint32_t y)
{
	return x / y + (x % y != 0);
}

static uint32_t round_up(uint32_t x, uint32_t unit)
{
	return divide_up(x, unit) * unit;
}

/*
 * Columns of the windows that D is cut into, 0 without windows.  Where an engine keeps packed
 * B, it packs that of a window once and uses it for all bands of rows in it.  Where it does
 * not, with long sums and in FP32 mode, each band packs its part of A and of B, and is near a
 * square so that there is little of both.  Tiles are read whole: their bands stay long.
 */
static uint32_t window_columns(const struct quire_packet_gemm *p, uint64_t products, uint64_t macs)
{
	uint64_t kept = kept_b / (p->k ? p->k : 1), limit = kept;

	if (p->b.format == QUIRE_FORMAT_TILED)
		return 0;
	if (p->mode == QUIRE_GEMM_MODE_FP32 || kept < WINDOW_LEAST) {
		if (p->a.format == QUIRE_FORMAT_TILED)
			return 0;
		limit = macs / (least(SQUARE_ROWS, p->m) * products);
	} else if (p->n <= kept - kept % QUIRE_BAND_PANEL_COLUMNS) {
		return 0;
	}
	limit -= limit % WINDOW_UNIT;
	if (!limit || p->n <= limit)
		return 0;
	/* All about the same; limit < n <= 2^24. */
	return round_up(divide_up(p->n, divide_up(p->n, (uint32_t)limit)), WINDOW_UNIT);
}

/* How many of m rows of row_products each make a band: all, or whole grains. */
static uint64_t rows_of_band(uint32_t m, uint64_t row_products, uint32_t grain, uint64_t macs)
{
	uint64_t rows = macs / row_products;

	if (rows >= m)
		return m;
	rows &= ~(uint64_t)(grain - 1);
	return rows < grain ? grain : rows;
}

/*
 * How much dearer products are when the numbers are far apart, which nobody knows beforehand, as a
 * power of two: exact sums are then taken product by product.  Formats that hold such numbers but
 * are mostly used for others are cut less.
 */
static uint32_t far_shift(const struct quire_packet_gemm *p)
{
	uint32_t shift = 0;

	if (p->mode == QUIRE_GEMM_MODE_FP32)
		return 0;
	for (int i = 0; i < 2; i++) {
		uint32_t format = i ? p->b.format : p->a.format;

		if (format == QUIRE_FORMAT_FP32 || (QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT &&
						    QUIRE_FORMAT_BITS(format) > 16))
			shift = 2;
		else if (!shift && (format == QUIRE_FORMAT_BF16 || format == QUIRE_FORMAT_MXFP8))
			shift = 1;
	}
	return shift;
}

/*
 * Is more done with each sum than to round it?  A factor that is a power of two costs nothing: its
 * fraction is 0, a subnormal's aside.
 */
static bool is_dear(const struct quire_packet_gemm *p)
{
	return p->alpha << 9 || p->beta << 1 || p->bias_format || p->d.format == QUIRE_FORMAT_QUIRE;
}

/* What a sum of so many products costs, in products of those that are not far apart. */
static uint64_t sum_cost(const struct quire_packet_gemm *p, uint32_t products)
{
	return (uint64_t)products + (SUMS << far_shift(p)) + (is_dear(p) ? SUMS_DEAR : 0);
}

/* In products.  All that is above the bound of a band by far is the same. */
static uint64_t cost_of(uint32_t rows, uint32_t columns, uint64_t sum)
{
	uint64_t row = (columns + LANES) * sum;

	return row > COST_MOST ? ~0ull : row * (rows + LANES);
}

static uint32_t halve(uint32_t step, uint32_t unit)
{
	return round_up(divide_up(step, 2), unit);
}

/*
 * Cut by cost what has been cut by products, where these are the least of it: few columns, short
 * sums, many small matrices.  Of less than a block the cost is mostly that of the sums' length,
 * which no cut changes.
 */
static void limit_cost(struct band_plan *plan, const struct quire_packet_gemm *p,
		       uint32_t products)
{
	bool tiled = p->a.format == QUIRE_FORMAT_TILED || p->b.format == QUIRE_FORMAT_TILED;
	uint32_t unit = tiled ? TILE_LANES : LANES, batches;
	uint64_t cost, sum = sum_cost(p, products);

	while ((cost = cost_of(plan->row_step, plan->column_step, sum)) > COST_MOST) {
		plan->batch_step = 1;
		if (plan->row_step > unit)
			plan->row_step = halve(plan->row_step, unit);
		else if (plan->column_step > unit)
			plan->column_step = halve(plan->column_step, unit);
		else
			return;
	}
	if (plan->batch_step == 1)
		return;
	batches = COST_MOST / (uint32_t)cost;
	if (batches < plan->batch_step)
		plan->batch_step = batches;
}

/* What is read for each k, or takes as long. */
static uint64_t lanes_read(uint32_t rows, uint32_t columns)
{
	if ((uint64_t)rows * columns <= FEW_SUMS)
		return rows * (columns + 1);
	return (uint64_t)most(rows, TILE_ROWS) + most(columns, TILE_COLUMNS);
}

/* Long sums of few rows and columns: what they cost is to read numbers, and each row its own. */
static void limit_length(struct band_plan *plan, const struct quire_packet_gemm *p,
			 uint32_t products)
{
	uint32_t row_unit = quire_check_row_unit(p), column_unit = quire_check_column_unit(p);
	uint64_t length = (uint64_t)READ * products;

	if (p->a.format == QUIRE_FORMAT_TILED || p->b.format == QUIRE_FORMAT_TILED)
		return;
	while (lanes_read(plan->row_step, plan->column_step) * length > band_macs) {
		plan->batch_step = 1;
		if (plan->row_step > row_unit && (plan->row_step >= plan->column_step ||
						  plan->column_step <= column_unit))
			plan->row_step = halve(plan->row_step, row_unit);
		else if (plan->column_step > column_unit)
			plan->column_step = halve(plan->column_step, column_unit);
		else
			return;
	}
}

/*
 * Bands of about macs products; an element of D is the sum of `products` of them,
 * called k below.  m and n are at most 2^24 and k below 2^31, so that n * k stays below
 * 2^55; m * n * k is never formed unless it fits.
 */
static void cut_products(struct band_plan *plan, const struct quire_packet_gemm *p,
			 uint32_t products, uint64_t macs)
{
	uint64_t k = products ? products : 1;
	uint64_t per_row = p->n * k;
	uint64_t rows, columns, batches;
	uint32_t grain = GRAIN, row_grain, column_grain, window;

	rows = macs / per_row;
	if (rows >= p->m) {
		batches = rows / p->m;
		if (batches < p->batch)
			plan->batch_step = (uint32_t)batches;
		return;
	}
	plan->batch_step = 1;
	/* Even one block of a long sum may be too much: k alone is never cut. */
	while (grain > 1 && least(grain, p->m) * least(grain, p->n) * k > macs)
		grain /= 2;
	/* powers of two */
	row_grain = most(grain, quire_check_row_unit(p));
	column_grain = most(grain, quire_check_column_unit(p));
	rows = rows_of_band(p->m, per_row, row_grain, macs);
	window = rows < p->m ? window_columns(p, k, macs) : 0;
	if (window) {
		plan->rows_first = true;
		plan->column_step = window;
		rows = rows_of_band(p->m, window * k, row_grain, macs);
	}
	if (rows < p->m)
		plan->row_step = (uint32_t)rows;
	if (rows > row_grain || window)
		return;
	columns = macs / (least(row_grain, p->m) * k) & ~(uint64_t)(column_grain - 1);
	if (columns < column_grain)
		columns = column_grain;
	if (columns < p->n)
		plan->column_step = (uint32_t)columns;
}

void band_plan_gemm(struct band_plan *plan, const struct quire_packet_gemm *p, uint32_t products)
{
	uint64_t macs = band_macs >> far_shift(p);

	plan_whole(plan, p->m, p->n, p->batch);
	/* The common case, a small product, needs no division. */
	if (p->batch == 1 && cost_of(p->m, p->n, sum_cost(p, products)) <= macs)
		return;
	cut_products(plan, p, products, macs);
	limit_cost(plan, p, products);
	limit_length(plan, p, products);
}

static uint32_t extent(uint32_t total, uint32_t start, uint32_t step)
{
	return total - start < step ? total - start : step;
}

/* The next part of a whole; false after the last, and the first again. */
static bool next(uint32_t *at, uint32_t total, uint32_t step)
{
	*at += extent(total, *at, step);
	if (*at < total)
		return true;
	*at = 0;
	return false;
}

/* Neighbouring bands share their rows, or with windows their columns. */
static void plan_advance(struct band_plan *plan)
{
	if (plan->rows_first ? next(&plan->row, plan->rows, plan->row_step) ||
				       next(&plan->column, plan->columns, plan->column_step) :
			       next(&plan->column, plan->columns, plan->column_step) ||
				       next(&plan->row, plan->rows, plan->row_step))
		return;
	plan->more = next(&plan->batch, plan->batches, plan->batch_step);
}

bool band_plan_seek(struct band_plan *plan, uint32_t row, uint32_t column, uint32_t batch)
{
	if (row >= plan->rows || row % plan->row_step || column >= plan->columns ||
	    column % plan->column_step || batch >= plan->batches || batch % plan->batch_step)
		return false;
	plan->row = row;
	plan->column = column;
	plan->batch = batch;
	return true;
}

static void collect(uint32_t engine)
{
	uint32_t number = band_queue[engine];

	io_sram_barrier();
	band_idle |= 1u << engine;
	queues[number].running--;
	keep_used(number);
	job_band_done(number, &bands[engine]);
}

/* Start the queue's next band on an idle engine; the caller knows there is one. */
void band_start(struct queue *q, uint32_t number)
{
	struct band_plan *plan = &q->plan;
	struct quire_band *band;
	uint32_t engine = 0, free = band_idle;

	if (keep_some && keep_sole != number)
		free &= keep_mask;
	while (!(free >> engine & 1))
		engine++;
	band = &bands[engine];
	band->packet = (uint32_t)(uintptr_t)&q->packet;
	band->context = q->context;
	band->row = plan->row;
	band->rows = extent(plan->rows, plan->row, plan->row_step);
	band->column = plan->column;
	band->columns = extent(plan->columns, plan->column, plan->column_step);
	band->batch = plan->batch;
	band->batches = extent(plan->batches, plan->batch, plan->batch_step);
	band->status = QUIRE_STATUS_PENDING;
	plan_advance(plan);
	/* 2^32 packets of two bands of milliseconds each are a year. */
	if (plan->more && !plan->serial)
		plan->serial = ++serials ? serials : ++serials;
	band->serial = plan->serial;
	band_queue[engine] = (uint8_t)number;
	band_idle &= ~(1u << engine);
	q->running++;
	io_sram_barrier();
	io_write(QUIRE_IO_ENGINE_START(engine), (uint32_t)(uintptr_t)band);
	/* A short band is done when the write returns. */
	if (io_read(QUIRE_IO_ENGINE_DONE) >> engine & 1) {
		io_write(QUIRE_IO_ENGINE_DONE, 1u << engine);
		collect(engine);
		return;
	}
	started[engine] = io_time();
	charged[engine] = sched_charge_band(number);
}

/* A band that hung for longer has to be paid for by two seconds. */
static uint32_t time_between(uint64_t start, uint64_t end)
{
	return (end - start) >> 31 ? ~0u >> 1 : (uint32_t)(end - start);
}

void band_collect(void)
{
	uint32_t done = io_read(QUIRE_IO_ENGINE_DONE) & engines & ~band_idle;
	struct queue *q;
	uint64_t now;

	if (!done)
		return;
	now = io_time();
	io_write(QUIRE_IO_ENGINE_DONE, done);
	for (uint32_t engine = 0; done; engine++, done >>= 1) {
		if (!(done & 1))
			continue;
		sched_correct_band(band_queue[engine], charged[engine],
				   time_between(started[engine], now));
		collect(engine);
		q = &queues[band_queue[engine]];
		job_leave(q);
		/* So long has it taken to go on from there. */
		if (q->busy_since > now) {
			sched_charge(q->number, (uint32_t)(q->busy_since - now));
			now = q->busy_since;
		}
	}
}

void band_cancel(uint32_t number)
{
	uint32_t mask = 0;

	for (uint32_t engine = 0; engine < QUIRE_ENGINES_MAX; engine++)
		if (engines & ~band_idle & 1u << engine && band_queue[engine] == number)
			mask |= 1u << engine;
	io_write(QUIRE_IO_ENGINE_CANCEL, mask);
}
