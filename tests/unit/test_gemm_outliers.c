// SPDX-License-Identifier: MIT
/*
 * Rows and columns of which a few elements are much smaller than the others, so that their last
 * bits hang far below, or much larger, or at an end of the format's range.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/threads.h>

#include "gemm_jobs.h"
#include "gemm_judge.h"

#define RESULTS 10
static const uint32_t results[RESULTS] = {
	QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16,
	QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8, QUIRE_FORMAT_FP64,
};

#define FACTORS 6
static const uint32_t factors[FACTORS] = {
	QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP32,
	QUIRE_FORMAT_FP16,
};

/* ---- Lanes ---- */

enum lane {
	ORDINARY,
	SMALLER,		/* a few are */
	ALL_SMALLER,
	ZEROS,
	SMALL_IN_ZEROS,
	HUGE_ONE,
	ENDS,			/* a few are the least or the largest of the format */
	POWERS,			/* of two, a few much smaller */
	HALVES,			/* odd integers, a few with a half or quarters */
	LANES,
};

static double normal(void)
{
	double x = -6;	/* twelve uniforms: near enough to normal */

	for (int u = 0; u < 12; u++)
		x += (double)(rnd() >> 11) * 0x1p-53;
	return x;
}

static double smaller(void)
{
	return ldexp(1, -(int)(8 + rnd() % 53));
}

static double sign(void)
{
	return rnd() % 2 ? 1 : -1;
}

/* The largest, the least and those next to them, of all signs. */
static double end(uint32_t format)
{
	const uint64_t near = rnd() % 4;

	return sign() * number_of(format, rnd() % 2 ? 1 + near : largest(format) - near);
}

static double element(uint32_t format, enum lane lane, bool odd_one)
{
	switch (lane) {
	case SMALLER:
		return normal() * (odd_one ? smaller() : 1);
	case ZEROS:
		return 0;
	case SMALL_IN_ZEROS:
		return odd_one ? normal() * smaller() : 0;
	case HUGE_ONE:
		return normal() * (odd_one ? 1 / smaller() : 1);
	case ENDS:
		return odd_one ? end(format) : normal();
	case POWERS:
		return sign() * ldexp(odd_one ? smaller() : 1, (int)(rnd() % 6) - 3);
	case HALVES:
		return sign() * ((double)(2 * (rnd() % 64) + 1) + (odd_one ? (double)(1 + rnd() % 3) / 4 : 0));
	default:
		return normal();
	}
}

/* k numbers, few of them odd ones, at any places. */
static void make_lane(double *x, uint32_t k, uint32_t format, enum lane lane, uint32_t few)
{
	const double all = lane == ALL_SMALLER ? smaller() : lane == HALVES ? ldexp(1, (int)(rnd() % 9) - 6) : 1;
	const uint32_t first = (uint32_t)(rnd() % k);

	for (uint32_t i = 0; i < k; i++)
		x[i] = all * element(format, lane, false);
	for (uint32_t i = 0; i < few; i++)
		x[(first + i * (uint64_t)k / few) % k] = all * element(format, lane, true);
	/* larger than the largest would be infinity */
	for (uint32_t i = 0; i < k; i++) {
		const double most = number_of(format, largest(format));

		x[i] = x[i] > most ? most : x[i] < -most ? -most : x[i];
	}
}

static float random_alpha(void)
{
	static const float alpha[] = { 1, 1, 1, -1, 0x1p-7f, 2, -0x1p20f };

	return alpha[rnd() % 7];
}

/* ---- A few smaller ones ---- */

/* Which lanes have them. */
enum where { ONE_ROW, ONE_COLUMN, ONE_OF_EACH, ROWS, COLUMNS, EVERYWHERE, WHERE };

static void make_where(struct product *p, enum where where, uint32_t few)
{
	const struct quire_gemm *g = &p->g;
	const uint32_t row = (uint32_t)(rnd() % g->m), column = (uint32_t)(rnd() % g->n);

	for (uint32_t i = 0; i < g->m; i++) {
		bool some = where == ROWS || where == EVERYWHERE || (where % 2 == 0 && where < ROWS && i == row);

		make_lane(p->a + (size_t)i * g->k, g->k, g->a.format, SMALLER, some ? few : 0);
	}
	for (uint32_t j = 0; j < g->n; j++) {
		bool some = where == COLUMNS || where == EVERYWHERE ||
			    ((where == ONE_COLUMN || where == ONE_OF_EACH) && j == column);

		make_lane(p->b + (size_t)j * g->k, g->k, g->b.format, SMALLER, some ? few : 0);
	}
}

/* Any transposes; sums judged in some of the formats. */
static void judge_some(struct product *p, uint32_t formats_of_d)
{
	p->g.a.transpose = rnd() % 2;
	p->g.b.transpose = rnd() % 2;
	product_seal(p);
	for (uint32_t f = 0, first = (uint32_t)(rnd() % RESULTS); f < formats_of_d; f++)
		product_judge(p, results[(first + f) % RESULTS], random_alpha(), rnd() % 4 == 0);
	product_free(p);
}

static void few_smaller_elements(void **state)
{
	static const uint32_t depth[] = { 1, 7, 64, 65, 255, 1000, 1024, 4096 };
	static const uint32_t shape[][2] = { { 9, 50 }, { 13, 33 }, { 17, 61 }, { 5, 97 }, { 1, 70 }, { 23, 7 } };
	static const uint32_t small_shape[][2] = { { 5, 17 }, { 9, 3 }, { 1, 49 }, { 3, 13 } };
	struct quire_threads *threads = quire_threads_create(3);
	uint32_t index = 0;

	(void)state;
	assert_non_null(threads);
	for (size_t x = 0; x < sizeof(depth) / sizeof(depth[0]); x++) {
		const uint32_t k = depth[x], few[] = { 0, 1, 2, k / 100, k / 20, k / 2 };

		for (size_t y = 0; y < 2 * sizeof(few) / sizeof(few[0]); y++, index++) {
			const uint32_t *mn = k < 1000 ? shape[index % 6] : small_shape[index % 4];
			struct product p;

			product_init(&p, mn[0], mn[1], k, factors[index % FACTORS],
				     factors[index / FACTORS % 2 ? index % FACTORS : rnd() % FACTORS]);
			make_where(&p, (enum where)(rnd() % WHERE), few[y % 6] < k ? few[y % 6] : k);
			if (index % 3 == 0)
				p.g.threads = threads;
			judge_some(&p, 4);
		}
	}
	quire_threads_destroy(threads);
}

/*
 * So many that they are packed in several blocks, or many panels, of which some have smaller
 * elements and others do not.
 */
static void many_rows(void **state)
{
	static const uint32_t shape[][3] = { { 300, 3, 4096 }, { 90, 50, 100 }, { 3, 300, 300 } };

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		const uint32_t *s = shape[i % 3];
		const uint32_t format = i % 2 ? QUIRE_FORMAT_POSIT32 : QUIRE_FORMAT_FP32;
		struct product p;

		product_init(&p, s[0], s[1], s[2], format, format);
		for (uint32_t l = 0; l < p.g.m; l++)
			make_lane(p.a + (size_t)l * s[2], s[2], format, SMALLER, l / 64 % 2 == i / 3 % 2 ? l % 3 : 0);
		for (uint32_t l = 0; l < p.g.n; l++)
			make_lane(p.b + (size_t)l * s[2], s[2], format, SMALLER, l / 48 % 2 ? l % 3 : 0);
		judge_some(&p, 3);
	}
}

/*
 * Equal elements but for a few small ones: sums as large as their lanes' norms allow, of any
 * size.
 */
static void sums_as_large_as_norms(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 80; i++) {
		const uint32_t k = 64 + (uint32_t)(rnd() % (1u << (7 + rnd() % 4)));
		const double x = 0.5 + (double)(rnd() % 256 + 1) / 256, y = 0.5 + (double)(rnd() % 256 + 1) / 256;
		const double small = ldexp(1, -(int)(16 + rnd() % 30));
		const uint32_t format = i % 2 ? QUIRE_FORMAT_POSIT32 : QUIRE_FORMAT_FP32;
		struct product p;

		product_init(&p, 9, 17, k, format, format);
		for (uint32_t l = 0; l < p.g.m * k; l++)
			p.a[l] = l / k % 2 ? x : -x;
		for (uint32_t l = 0; l < p.g.n * k; l++)
			p.b[l] = l / k % 3 ? y : -y;
		for (uint32_t l = 0; l < p.g.m; l++)
			p.a[l * k + rnd() % k] = normal() * small;
		for (uint32_t l = 0; l < p.g.n; l++)
			p.b[l * k + rnd() % k] = normal() * small;
		judge_some(&p, 4);
	}
}

/* ---- Lanes of all kinds beside each other ---- */

static void lanes_of_all_kinds(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 25 * FACTORS; i++) {
		const uint32_t k = i % 5 ? 20 + (uint32_t)(rnd() % 130) : 1 + (uint32_t)(rnd() % 400);
		struct product p;

		product_init(&p, 1 + (uint32_t)(rnd() % 20), 1 + (uint32_t)(rnd() % 60), k, factors[i % FACTORS],
			     factors[rnd() % 2 ? i % FACTORS : rnd() % FACTORS]);
		for (uint32_t l = 0; l < p.g.m; l++)
			make_lane(p.a + (size_t)l * k, k, p.g.a.format, (enum lane)(rnd() % LANES),
				  (uint32_t)(rnd() % (1 + k / 20)));
		for (uint32_t l = 0; l < p.g.n; l++)
			make_lane(p.b + (size_t)l * k, k, p.g.b.format, (enum lane)(rnd() % LANES),
				  (uint32_t)(rnd() % (1 + k / 20)));
		judge_some(&p, 3);
	}
}

/* All rows of one kind and all columns of one, so that whole tiles are. */
static void tiles_of_every_kind(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < LANES * LANES; i++) {
		const uint32_t k = 100 + (uint32_t)(rnd() % 100);
		struct product p;

		product_init(&p, 9, 50, k, factors[rnd() % FACTORS], factors[rnd() % FACTORS]);
		for (uint32_t l = 0; l < p.g.m; l++)
			make_lane(p.a + (size_t)l * k, k, p.g.a.format, (enum lane)(i / LANES), 1 + l % 3);
		for (uint32_t l = 0; l < p.g.n; l++)
			make_lane(p.b + (size_t)l * k, k, p.g.b.format, (enum lane)(i % LANES), 1 + l % 3);
		judge_some(&p, 3);
	}
}

/* Elements that share the scale of a block, along k or across it, have few bits below the largest one. */
static void blocks_of_mxfp8(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8 * LANES; i++) {
		const uint32_t other = i % 3 ? QUIRE_FORMAT_MXFP8 : factors[rnd() % FACTORS];
		const uint32_t k = 64 + (uint32_t)(rnd() % 200);
		struct product p;

		product_init(&p, 1 + (uint32_t)(rnd() % 20), 1 + (uint32_t)(rnd() % 60), k,
			     i % 2 ? QUIRE_FORMAT_MXFP8 : other, i % 2 ? other : QUIRE_FORMAT_MXFP8);
		for (uint32_t l = 0; l < p.g.m; l++)
			make_lane(p.a + (size_t)l * k, k, i % 2 ? QUIRE_FORMAT_BF16 : QUIRE_FORMAT_FP16,
				  (enum lane)(i % LANES), (uint32_t)(rnd() % 3));
		for (uint32_t l = 0; l < p.g.n; l++)
			make_lane(p.b + (size_t)l * k, k, i % 2 ? QUIRE_FORMAT_FP16 : QUIRE_FORMAT_BF16,
				  i % 5 ? SMALLER : HALVES, (uint32_t)(rnd() % 3));
		judge_some(&p, 3);
	}
}

/* ---- One B in products of several kinds ---- */

enum kept { ROWS_OF_A = 19, COLUMNS_OF_B = 53, DEPTH = 120 };

/*
 * D as a product of all that can be in one, held against the oracle; the kernel and the workspace
 * are the caller's.
 */
static void is_right(struct quire_gemm g, uint32_t d_format, const void *c)
{
	uint64_t *d = calloc((size_t)g.m * g.n, bytes_of(d_format));
	uint64_t word[QUIRE_IMAGE_LIMBS];

	assert_non_null(d);
	g.d = (struct quire_gemm_output){ d, d_format, 0, g.n, 0 };
	g.c = (struct quire_gemm_operand){ c, QUIRE_FORMAT_FP32, 0, g.n, 0 };
	assert_int_equal(quire_gemm(&g, NULL), 0);
	for (uint64_t i = 0; i < g.m; i++)
		for (uint64_t j = 0; j < g.n; j++) {
			/* the oracle takes its time: all in the first rows, then every seventh */
			if (i > 1 && (i + j) % 7)
				continue;
			expect(&g, c, 0, i, j, word);
			if (d_format == QUIRE_FORMAT_QUIRE)
				assert_memory_equal(d + (i * g.n + j) * QUIRE_IMAGE_LIMBS, word, sizeof(word));
			else
				assert_int_equal(load(d_format, d, i * g.n + j), word[0]);
		}
	free(d);
}

/* The ways that a B takes, one after the other, and back to the first. */
static void products_of_one_b(struct product *p, const float *c)
{
	static const struct { uint32_t d_format; float alpha, beta; bool relu, nan; } turns[] = {
		{ QUIRE_FORMAT_POSIT8, 1, 0, false, false }, { QUIRE_FORMAT_POSIT32, 1, 0, false, false },
		{ QUIRE_FORMAT_POSIT32, 3, 0, false, false }, { QUIRE_FORMAT_FP32, 1, -1, false, false },
		{ QUIRE_FORMAT_FP32, -1, 0, true, false }, { QUIRE_FORMAT_BF16, 1, 0, false, true },
		{ QUIRE_FORMAT_QUIRE, 1, 0, false, false }, { QUIRE_FORMAT_FP64, 1, 0, false, false },
		{ QUIRE_FORMAT_POSIT16, 0x1p-7f, 0, true, false }, { QUIRE_FORMAT_POSIT8, 1, 0.5f, false, true },
		{ QUIRE_FORMAT_POSIT8, 1, 0, false, false },
	};
	const uint32_t count = sizeof(turns) / sizeof(turns[0]);
	const uint32_t first = (uint32_t)(rnd() % count), step = rnd() % 2 ? 1 : count - 1;
	void *memory = p->memory[0];

	for (uint32_t i = 0, t = first; i <= count; i++, t = (t + step) % count) {
		struct quire_gemm g = p->g;
		size_t bytes = (g.a.transpose ? g.k : g.m) * g.a.leading_dimension * bytes_of(g.a.format);
		const uint64_t nan = encode(g.a.format, NAN_, NULL);
		uint8_t *a = malloc(bytes);

		assert_non_null(a);
		memcpy(a, memory, bytes);
		if (turns[t].nan)
			memcpy(a, &nan, bytes_of(g.a.format));
		g.a.data = a;
		g.alpha = turns[t].alpha;
		g.beta = turns[t].beta;
		g.activation = turns[t].relu;
		is_right(g, turns[t].d_format, c);
		free(a);
	}
}

static void kept_b_of_products_of_several_kinds(void **state)
{
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	float c[ROWS_OF_A * COLUMNS_OF_B];
	uint64_t version = 1;

	(void)state;
	assert_non_null(workspace);
	fill(QUIRE_FORMAT_FP32, c, ROWS_OF_A * COLUMNS_OF_B, NEAR_ONE);
	for (uint32_t i = 0; i < 2 * FACTORS; i++, version++) {
		struct product p;

		product_init(&p, ROWS_OF_A, COLUMNS_OF_B, DEPTH, factors[i % FACTORS], factors[i % FACTORS]);
		make_where(&p, i < FACTORS ? EVERYWHERE : COLUMNS, 2);
		product_seal(&p);
		p.g.workspace = i % 4 == 3 ? NULL : workspace;	/* none is kept then */
		p.g.b_version = version;
		/* the others keep B too, but have one way only */
		quire_kernel_select(NULL);
		if (i == 1)
			quire_kernel_select("avx2");
		products_of_one_b(&p, c);
		product_free(&p);
	}
	quire_kernel_select(NULL);
	quire_gemm_workspace_destroy(workspace);
}

/* Rows of another kind with the B of the first product, found again. */
static void judge_other_rows(const struct product *first, uint32_t format, enum lane lane)
{
	struct product p;

	product_init(&p, ROWS_OF_A, COLUMNS_OF_B, DEPTH, format, format);
	for (uint32_t i = 0; i < ROWS_OF_A; i++)
		make_lane(p.a + i * DEPTH, DEPTH, format, lane, 1 + i % 2);
	memcpy(p.b, first->b, sizeof(*p.b) * COLUMNS_OF_B * DEPTH);
	p.g.b.transpose = first->g.b.transpose;
	product_seal(&p);
	p.g.b = first->g.b;
	p.g.workspace = first->g.workspace;
	p.g.b_version = first->g.b_version;
	for (int i = 0; i < 2; i++)
		product_judge_selected(&p, results[rnd() % RESULTS], random_alpha(), false);
	product_free(&p);
}

/* Ordinary ones, then such that need more of its bits. */
static void kept_b_meets_other_rows(void **state)
{
	static const enum lane lanes[] = { ORDINARY, SMALLER, HUGE_ONE, ENDS, ZEROS, SMALL_IN_ZEROS, ORDINARY };
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();

	(void)state;
	assert_non_null(workspace);
	for (uint32_t i = 0; i < 4 * FACTORS; i++) {
		const uint32_t format = factors[i % FACTORS];
		struct product first;

		product_init(&first, ROWS_OF_A, COLUMNS_OF_B, DEPTH, format, format);
		make_where(&first, i % 2 ? EVERYWHERE : COLUMNS, 1 + i % 3);
		first.g.b.transpose = rnd() % 2;
		product_seal(&first);
		first.g.workspace = workspace;
		first.g.b_version = i + 1;
		product_judge_selected(&first, results[rnd() % RESULTS], 1, false);
		for (size_t x = 0; x < sizeof(lanes) / sizeof(lanes[0]); x++)
			judge_other_rows(&first, format, lanes[x]);
		product_free(&first);
	}
	quire_gemm_workspace_destroy(workspace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_smaller_elements),
		cmocka_unit_test(many_rows),
		cmocka_unit_test(sums_as_large_as_norms),
		cmocka_unit_test(lanes_of_all_kinds),
		cmocka_unit_test(tiles_of_every_kind),
		cmocka_unit_test(blocks_of_mxfp8),
		cmocka_unit_test(kept_b_of_products_of_several_kinds),
		cmocka_unit_test(kept_b_meets_other_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
