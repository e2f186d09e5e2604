// SPDX-License-Identifier: MIT
/*
 * Operands that somebody writes while a product runs, as a guest may do with card memory: the
 * product is garbage then, but nothing outside of D is written, nothing outside of the operands
 * is read, and the job ends.  Operands have exactly the bytes that are read, so that the
 * sanitized run sees one too far.  The writer races on purpose; it has no place in a run under
 * the thread sanitizer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/threads.h>
#include <quirenum/tile.h>

#include "gemm_jobs.h"

#define GUARD 64			/* bytes before and behind D */
#define CONTENTS 8			/* that follow each other in memory */

/* Memory that changes: its contents are one of these, or some of two. */
struct unsteady {
	uint8_t *memory;
	size_t bytes;
	uint8_t *contents[CONTENTS];
};

/* ---- The one who writes ---- */

#define AREAS 4

struct writer {
	struct unsteady area[AREAS];
	size_t areas;
	uint32_t stop;
	pthread_t thread;
};

/* Byte by byte or all at once, as a guest's stores come. */
static void *write_until_stopped(void *argument)
{
	struct writer *w = argument;

	for (uint32_t turn = 0; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); turn++)
		for (size_t i = 0; i < w->areas; i++) {
			struct unsteady *u = &w->area[i];
			const uint8_t *from = u->contents[turn / 2 % CONTENTS];
			volatile uint8_t *to = u->memory;

			if (turn % 2)
				memcpy(u->memory, from, u->bytes);
			for (size_t at = turn % 7; turn % 2 == 0 && at < u->bytes; at += 7)
				to[at] = from[at];
		}
	return NULL;
}

static void start(struct writer *w)
{
	assert_int_equal(pthread_create(&w->thread, NULL, write_until_stopped, w), 0);
}

static void stop(struct writer *w)
{
	__atomic_store_n(&w->stop, 1, __ATOMIC_RELAXED);
	pthread_join(w->thread, NULL);
}

/* Numbers of one size, of all sizes, zeros, NaN and NaR, the largest and the least. */
static void add_area(struct writer *w, uint32_t format, uint8_t *memory, size_t bytes)
{
	struct unsteady *u = &w->area[w->areas++];

	u->memory = memory;
	u->bytes = bytes;
	for (int i = 0; i < CONTENTS; i++) {
		u->contents[i] = malloc(bytes);
		assert_non_null(u->contents[i]);
		for (size_t at = 0; at < bytes; at++)
			u->contents[i][at] = (uint8_t)rnd();
	}
	if (format != QUIRE_FORMAT_TILED && format != QUIRE_FORMAT_MXFP8) {
		uint64_t few[64];
		size_t period = sizeof(few) / 8 * bytes_of(format);

		fill(format, few, sizeof(few) / 8, NEAR_ONE);
		for (size_t at = 0; at < bytes; at++)
			u->contents[0][at] = ((const uint8_t *)few)[at % period];
	}
	memset(u->contents[1], 0, bytes);
	memset(u->contents[3], 0x7f, bytes);
	memset(u->contents[5], 0x01, bytes);
	for (size_t at = 0; at < bytes; at++)
		u->contents[6][at] = at % 4 == 3 ? 0x80 : 0;
	memcpy(memory, u->contents[0], bytes);
}

static void drop_areas(struct writer *w)
{
	for (size_t i = 0; i < w->areas; i++) {
		for (int j = 0; j < CONTENTS; j++)
			free(w->area[i].contents[j]);
		free(w->area[i].memory);
	}
}

/* ---- Operands ---- */

struct operand {
	uint8_t *memory;
	size_t bytes;
	struct quire_tile *tiles;	/* a private copy: the only way to be safe */
	struct quire_tiled view;
};

static size_t extent(uint32_t format, uint32_t rows, uint32_t columns, uint64_t leading)
{
	size_t elements = (rows - 1) * leading + columns;

	return format == QUIRE_FORMAT_MXFP8 ?
	       (elements + QUIRE_MX_ELEMENTS - 1) / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES :
	       elements * bytes_of(format);
}

static void make_image(struct operand *o, uint32_t rows, uint32_t columns)
{
	const struct quire_tiled_shape shape = { rows, columns, 16, 16 };
	uint64_t count = quire_tiled_count(&shape);
	struct quire_tile_choice *choices = calloc(count, sizeof(*choices));
	void *memory = NULL;

	assert_non_null(choices);
	for (uint64_t i = 0; i < count; i++)
		if (rnd() % 4) {
			choices[i].bits = (uint8_t)(3 + rnd() % 30);
			choices[i].scale = quire_tile_clamp_scale(choices[i].bits, (int)(rnd() % 64) - 32);
		}
	o->bytes = quire_tiled_plan(&shape, choices);
	assert_int_equal(posix_memalign(&memory, QUIRE_TILED_ALIGN, o->bytes), 0);
	assert_int_equal(quire_tiled_layout(&shape, choices, memory, o->bytes), 0);
	assert_int_equal(quire_tiled_open(memory, o->bytes, &o->view, NULL), 0);
	o->memory = memory;
	o->tiles = malloc(count * sizeof(*o->tiles));
	assert_non_null(o->tiles);
	memcpy(o->tiles, o->view.tiles, count * sizeof(*o->tiles));
	o->view.tiles = o->tiles;
	free(choices);
}

/* rows and columns of op(X) */
static struct quire_gemm_operand make_operand(struct operand *o, uint32_t format, bool transpose,
					      uint32_t rows, uint32_t columns)
{
	struct quire_gemm_operand x = { .format = format, .transpose = transpose };
	uint32_t stored_rows = transpose ? columns : rows, stored_columns = transpose ? rows : columns;

	*o = (struct operand){ .memory = NULL };
	if (format == QUIRE_FORMAT_TILED) {
		make_image(o, stored_rows, stored_columns);
		x.data = &o->view;
		return x;
	}
	x.leading_dimension = format == QUIRE_FORMAT_MXFP8 ? (stored_columns + 31) / 32 * 32 :
							     stored_columns;
	o->bytes = extent(format, stored_rows, stored_columns, x.leading_dimension);
	o->memory = malloc(o->bytes);
	assert_non_null(o->memory);
	x.data = o->memory;
	return x;
}

/* ---- The products ---- */

struct output {
	uint8_t *memory;
	size_t bytes;			/* of D */
};

static struct output make_output(size_t bytes)
{
	struct output out = { malloc(bytes + 2 * GUARD), bytes };

	assert_non_null(out.memory);
	memset(out.memory, 0xa5, bytes + 2 * GUARD);
	return out;
}

static void check_guards(const struct output *out)
{
	for (int i = 0; i < GUARD; i++) {
		assert_int_equal(out->memory[i], 0xa5);
		assert_int_equal(out->memory[GUARD + out->bytes + i], 0xa5);
	}
}

/*
 * One job again and again, the writer beside it; how many gave another digest than the one
 * before.  With version the workspace holds a B that is no longer there.
 */
static uint32_t multiply(struct quire_gemm *g, struct writer *w, uint32_t times, bool version)
{
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	struct output out = make_output((size_t)g->m * g->n * bytes_of(g->d.format));
	struct quire_gemm_result result;
	uint32_t changed = 0;
	uint64_t digest = 0;

	assert_non_null(workspace);
	g->d.data = out.memory + GUARD;
	g->workspace = workspace;
	g->b_version = version;
	start(w);
	for (uint32_t i = 0; i < times; i++) {
		assert_int_equal(quire_gemm(g, &result), 0);
		assert_true(result.exceptional <= (uint64_t)g->m * g->n);
		changed += i && result.digest != digest;
		digest = result.digest;
		check_guards(&out);
	}
	stop(w);
	quire_gemm_workspace_destroy(workspace);
	free(out.memory);
	return changed;
}

struct product {
	uint32_t a, b, c, d;		/* formats; c none: not added */
	uint32_t arithmetic;
	bool version;
};

static uint32_t times(uint32_t most)
{
	const char *divisor = getenv("QUIRE_TEST_DIVISOR");

	return divisor ? most / (uint32_t)atoi(divisor) + 2 : most;
}

static uint32_t one_product(const struct product *p, uint32_t shape, struct quire_threads *threads)
{
	static const uint32_t shapes[][3] = { { 40, 100, 130 }, { 9, 49, 300 }, { 3, 5, 4200 } };
	struct quire_gemm g = { .m = shapes[shape][0], .n = shapes[shape][1], .k = shapes[shape][2],
				.batch = 1, .alpha = 1, .arithmetic = p->arithmetic, .threads = threads };
	struct writer w = { .areas = 0 };
	struct operand a, b, c;
	uint32_t changed;

	g.a = make_operand(&a, p->a, rnd() % 2, g.m, g.k);
	g.b = make_operand(&b, p->b, rnd() % 2, g.k, g.n);
	add_area(&w, p->a, a.memory, a.bytes);
	add_area(&w, p->b, b.memory, b.bytes);
	if (p->c != QUIRE_FORMAT_NONE) {
		g.beta = -1;
		g.c = make_operand(&c, p->c, false, g.m, g.n);
		add_area(&w, p->c, c.memory, c.bytes);
	}
	g.d.format = p->d;
	g.d.leading_dimension = g.n;
	changed = multiply(&g, &w, times(shape == 2 ? 6 : 30), p->version);
	drop_areas(&w);
	free(a.tiles);
	free(b.tiles);
	return changed;
}

/*
 * Every kernel, one thread and three.  At least some of the products must have met other numbers
 * than the one before, or nothing was shown.
 */
static void run_products(const struct product *products, size_t count)
{
	struct quire_threads *threads = quire_threads_create(3);
	uint32_t changed = 0;

	assert_non_null(threads);
	for (int x = 0; x < KERNELS; x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		/* the plain one reads an element at a time */
		for (size_t i = 0; i < count && strcmp(kernels[x], "plain"); i++)
			for (uint32_t shape = 0; shape < 3; shape++)
				changed += one_product(&products[i], shape, (i + shape) % 2 ? threads : NULL);
	}
	assert_true(changed > 0);
	quire_kernel_select(NULL);
	quire_threads_destroy(threads);
}

static void operands_of_every_format(void **state)
{
	static const struct product mxfp8 = { QUIRE_FORMAT_MXFP8, QUIRE_FORMAT_MXFP8, QUIRE_FORMAT_NONE,
					      QUIRE_FORMAT_FP32, 0, false };
	struct product products[OPERANDS + 1];

	(void)state;
	for (int i = 0; i < OPERANDS; i++)
		products[i] = (struct product){ formats[i], formats[(i + i / 3) % OPERANDS],
						i % 4 ? QUIRE_FORMAT_NONE : formats[i],
						formats[i % 2 ? i : FORMATS - 1 - i / 2 % 2], 0, false };
	products[OPERANDS] = mxfp8;
	run_products(products, OPERANDS + 1);
}

static void tiles(void **state)
{
	static const struct product products[] = {
		{ QUIRE_FORMAT_TILED, QUIRE_FORMAT_TILED, QUIRE_FORMAT_NONE, QUIRE_FORMAT_FP32, 0, false },
		{ QUIRE_FORMAT_TILED, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_NONE, QUIRE_FORMAT_POSIT16, 0, false },
		{ QUIRE_FORMAT_FP32, QUIRE_FORMAT_TILED, QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT8, 0, false },
	};

	(void)state;
	run_products(products, sizeof(products) / sizeof(products[0]));
}

static void fp32_sums(void **state)
{
	static const struct product products[] = {
		{ QUIRE_FORMAT_BF16, QUIRE_FORMAT_BF16, QUIRE_FORMAT_NONE, QUIRE_FORMAT_BF16, QUIRE_GEMM_FP32,
		  false },
	};

	(void)state;
	run_products(products, 1);
}

/* A and B change, and B's version does not. */
static void packed_b_of_numbers_that_are_gone(void **state)
{
	static const struct product products[] = {
		{ QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_NONE, QUIRE_FORMAT_POSIT32, 0, true },
		{ QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_NONE, QUIRE_FORMAT_FP64, 0, true },
		{ QUIRE_FORMAT_BF16, QUIRE_FORMAT_BF16, QUIRE_FORMAT_NONE, QUIRE_FORMAT_BF16, 0, true },
	};

	(void)state;
	run_products(products, sizeof(products) / sizeof(products[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_of_every_format),
		cmocka_unit_test(tiles),
		cmocka_unit_test(fp32_sums),
		cmocka_unit_test(packed_b_of_numbers_that_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
