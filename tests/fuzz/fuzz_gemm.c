// SPDX-License-Identifier: MIT
/*
 * Any bytes as a matrix product.  A job that quire_gemm_check() refuses is refused by
 * quire_gemm(), which then touches nothing: its pointers lead nowhere here.  One that
 * passes and is small gets operands of exactly the bytes that it may touch, and every
 * kernel must give the result and the digest of the plain loop, with a workspace as well.  Elements
 * of A and B are any bytes, or numbers of one size and a few outliers.
 * Tiled operands are valid images (fuzz_image.c) behind views that may be wrong.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include <quirenum/gemm.h>
#include <quirenum/number.h>

#include "fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lanes are cut in large products only (numerics/gemm_internal.h): here in small ones, too. */
extern uint32_t gemm_cut_least;

#define BYTES_MOST 65536
#define MACS_MOST 20000
#define VIEWS_MOST 8

enum { A, B, C, D, BIAS, MATRICES };

/* A or B as tiles. */
struct tiled {
	struct image image;
	struct quire_tiled views[VIEWS_MOST];
};

/* Mostly small, sometimes a few hundred, sometimes anything. */
static uint64_t take_size(struct input *in)
{
	uint8_t kind = (uint8_t)take(in, 1);

	return kind < 224 ? kind % 24 : kind < 248 ? 24 + take(in, 1) : take(in, kind % 8 + 1);
}

/* Of the roles that a matrix can have, which formats are right. */
#define OPERANDS 12
static const uint32_t formats[] = {
	QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT(3),
	QUIRE_FORMAT_POSIT(13), QUIRE_FORMAT_POSIT(31), QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16,
	QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
	QUIRE_FORMAT_MXFP8,	/* A and B as well */
	QUIRE_FORMAT_QUIRE,	/* C and D */
	QUIRE_FORMAT_FP64,	/* D */
};

/* Mostly one of the first count; views of tiles are structures, take_tiled() makes them. */
static uint32_t take_format(struct input *in, uint32_t count, bool image)
{
	uint8_t kind = (uint8_t)take(in, 1);
	uint32_t format;

	if (kind < 240) {
		format = formats[kind % count];
		return format == QUIRE_FORMAT_MXFP8 && image ? QUIRE_FORMAT_QUIRE : format;
	}
	format = kind < 252 ? formats[kind % 15] : (uint32_t)take(in, 4);
	return format == QUIRE_FORMAT_TILED ? QUIRE_FORMAT_NONE : format;
}

static float take_factor(struct input *in)
{
	static const float few[] = { 0, 1, -1, 2, -0.5f, 0x1p-149f, 0x1.fffffep127f, INFINITY };
	uint8_t kind = (uint8_t)take(in, 1);
	uint32_t word;
	float f;

	if (kind < 200)
		return few[kind % 8];
	word = (uint32_t)take(in, 4);
	memcpy(&f, &word, sizeof(f));
	return f;
}

/* Mostly as it must be for stored rows and columns. */
static void take_strides(struct input *in, uint32_t format, uint32_t rows, uint32_t columns,
			 uint64_t *leading_dimension, uint64_t *batch_stride)
{
	uint32_t unit = format == QUIRE_FORMAT_MXFP8 ? QUIRE_MX_ELEMENTS : 1;
	uint8_t kind = (uint8_t)take(in, 1);

	*leading_dimension = ((uint64_t)columns + kind % 4 + unit - 1) / unit * unit;
	*batch_stride = *leading_dimension * rows + kind / 4 % 4 * unit;
	if (kind >= 224)
		*leading_dimension = take_size(in);
	if (kind % 16 == 0)
		*batch_stride = take_size(in);
}

static struct quire_gemm_operand take_operand(struct input *in, uint32_t format, uint32_t rows,
					      uint32_t columns)
{
	struct quire_gemm_operand x = { .data = (const void *)(uintptr_t)0x10000, .format = format };
	uint8_t kind = (uint8_t)take(in, 1);

	x.transpose = kind < 240 ? kind % 2 : (uint32_t)take(in, 4);
	take_strides(in, format, kind % 2 ? columns : rows, kind % 2 ? rows : columns,
		     &x.leading_dimension, &x.batch_stride);
	return x;
}

/* op(X) is rows x columns, more or less. */
static void take_tiled(struct input *in, struct quire_gemm_operand *x, uint32_t rows, uint32_t columns,
		       uint32_t batch, struct tiled *tiled)
{
	uint32_t stored_rows = x->transpose ? columns : rows, stored_columns = x->transpose ? rows : columns;
	uint32_t more_rows = take_below(in, 40), more_columns = take_below(in, 40);

	/* mostly as large as needed */
	stored_rows = stored_rows + more_rows <= IMAGE_SIDE ? stored_rows + more_rows : 1 + more_rows;
	stored_columns = stored_columns + more_columns <= IMAGE_SIDE ? stored_columns + more_columns :
								      1 + more_columns;
	tiled->image = take_image(in, stored_rows ? stored_rows : 1, stored_columns ? stored_columns : 1);
	for (uint32_t i = 0; i < VIEWS_MOST; i++) {
		tiled->views[i] = tiled->image.view;
		tiled->views[i].row = take_below(in, more_rows + 1);
		tiled->views[i].column = take_below(in, more_columns + 1);
	}
	if (take(in, 1) % 32 == 0)
		tiled->views[take_below(in, VIEWS_MOST)].row = (uint32_t)take(in, 4);
	x->data = tiled->views;
	x->format = QUIRE_FORMAT_TILED;
	x->batch_stride = take(in, 1) % 2;
	if (batch > VIEWS_MOST)
		x->batch_stride = 0;
	break_image(in, &tiled->image);
}

static struct quire_gemm take_job(struct input *in, struct tiled tiled[2])
{
	uint8_t kind = (uint8_t)take(in, 1);
	const bool a_tiled = kind % 4 == 0, b_tiled = kind / 4 % 4 == 0;
	struct quire_gemm g = { 0 };

	g.m = (uint32_t)take_size(in);
	g.n = (uint32_t)take_size(in);
	g.k = (uint32_t)take_size(in);
	if ((a_tiled || b_tiled) && kind / 16 % 4) {	/* several tiles along k */
		g.m %= 16;
		g.n %= 16;
		g.k = 16 + take_below(in, 120);
	} else if (kind / 16 % 4 == 1) {	/* few sums, long ones */
		g.m %= 12;
		g.n %= 12;
		g.k = 64 + take_below(in, 400);
	}
	g.batch = take(in, 1) % 4 ? 1 : (uint32_t)take_size(in);
	g.a = take_operand(in, take_format(in, OPERANDS + 1, false), g.m, g.k);
	g.b = take_operand(in, take_format(in, OPERANDS + 1, false), g.k, g.n);
	g.c = take_operand(in, take_format(in, OPERANDS + 1, true), g.m, g.n);
	if (take(in, 1) % 16)
		g.c.transpose = 0;
	g.d.format = take_format(in, OPERANDS + 3, true);
	take_strides(in, g.d.format, g.m, g.n, &g.d.leading_dimension, &g.d.batch_stride);
	g.alpha = take_factor(in);
	g.beta = take_factor(in);
	kind = (uint8_t)take(in, 1);
	g.bias_kind = kind < 240 ? kind % 3 : kind;
	g.bias_format = take_format(in, OPERANDS, false);
	kind = (uint8_t)take(in, 1);
	g.activation = kind < 240 ? kind % 2 : kind;
	kind = (uint8_t)take(in, 1);
	g.arithmetic = kind < 192 ? QUIRE_GEMM_EXACT : kind < 252 ? QUIRE_GEMM_FP32 : kind;
	if (kind >= 192 && kind < 244)		/* what it takes */
		g.a.format = g.b.format = QUIRE_FORMAT_BF16;
	if (take(in, 1) % 2) {			/* products that are only rounded */
		g.beta = 0;
		g.bias_kind = QUIRE_GEMM_BIAS_NONE;
	}
	g.digest_row = take_size(in);
	/* far from each other, so that nothing overlaps */
	g.b.data = (const void *)(uintptr_t)0x100000000000;
	if (a_tiled && g.arithmetic == QUIRE_GEMM_EXACT)
		take_tiled(in, &g.a, g.m, g.k, g.batch, &tiled[A]);
	if (b_tiled && g.arithmetic == QUIRE_GEMM_EXACT)
		take_tiled(in, &g.b, g.k, g.n, g.batch, &tiled[B]);
	g.c.data = (const void *)(uintptr_t)0x200000000000;
	g.d.data = (void *)(uintptr_t)0x300000000000;
	g.bias = (const void *)(uintptr_t)0x400000000000;
	return g;
}

static uint32_t element_bytes(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	return format == QUIRE_FORMAT_QUIRE ? QUIRE_IMAGE_BYTES :
	       bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

/* Bytes from the first element to behind the last; BYTES_MOST + 1 for too many. */
static size_t extent(uint32_t format, uint64_t rows, uint64_t columns, uint64_t leading,
		     uint64_t batch, uint64_t stride)
{
	long double elements = (long double)(rows - 1) * (rows > 1 ? leading : 0) + columns +
			       (long double)(batch - 1) * (batch > 1 ? stride : 0);
	long double bytes = format == QUIRE_FORMAT_MXFP8 ?
			    ceill(elements / QUIRE_MX_ELEMENTS) * QUIRE_MX_BLOCK_BYTES :
			    elements * element_bytes(format);

	return bytes > BYTES_MOST ? BYTES_MOST + 1 : (size_t)bytes;
}

static size_t operand_extent(const struct quire_gemm_operand *x, uint32_t rows, uint32_t columns,
			     uint32_t batch)
{
	if (x->format == QUIRE_FORMAT_TILED)
		return 0;
	return extent(x->format, x->transpose ? columns : rows, x->transpose ? rows : columns,
		      x->leading_dimension, batch, x->batch_stride);
}

/*
 * Numbers of one size and few bits, a few of them smaller or larger by a power of two, so that
 * many sums are half-way between two elements of D, or 0, but for the small ones.
 */
static void fill_outliers(struct input *in, uint32_t format, uint8_t *memory, size_t bytes)
{
	const uint32_t element = element_bytes(format), one_of = 1 + take_below(in, 100);
	const int bits = (int)(take(in, 1) % 16), shift = (int)(take(in, 1) % 128) - 96;

	for (size_t at = 0; at + element <= bytes; at += element) {
		const uint32_t raw = (uint32_t)take(in, 2);
		double x = ldexp((double)(raw >> (15 - bits)) - ldexp(1, bits), 2 - bits);
		uint64_t word;

		if (take_below(in, one_of) == 0)
			x = ldexp(x, shift);
		memcpy(&word, &x, sizeof(word));
		word = quire_number_convert(format, QUIRE_FORMAT_FP64, word);
		memcpy(memory + at, &word, element);
	}
}

/* A job with memory of its own, of exactly its sizes: a byte too far is seen. */
struct memory {
	uint8_t *at[MATRICES];
	size_t bytes[MATRICES];
	uint8_t *before, *good;			/* D untouched, and by the plain loop ... */
	struct quire_gemm_result result;	/* ... which gives this as well */
};

/* False: too much. */
static bool memory_of(struct quire_gemm *g, struct input *in, struct memory *m)
{
	bool product = g->alpha != 0 && g->k;

	*m = (struct memory){ .good = NULL };
	if (product) {
		m->bytes[A] = operand_extent(&g->a, g->m, g->k, g->batch);
		m->bytes[B] = operand_extent(&g->b, g->k, g->n, g->batch);
	}
	if (g->beta != 0)
		m->bytes[C] = operand_extent(&g->c, g->m, g->n, g->batch);
	m->bytes[D] = extent(g->d.format, g->m, g->n, g->d.leading_dimension, g->batch,
			     g->d.batch_stride);
	if (g->bias_kind)
		m->bytes[BIAS] = extent(g->bias_format, 1, g->bias_kind == QUIRE_GEMM_BIAS_PER_ROW ?
					g->m : g->n, 0, 1, 0);
	for (int i = 0; i < MATRICES; i++)
		if (m->bytes[i] > BYTES_MOST)
			return false;
	for (int i = 0; i < MATRICES; i++) {
		m->at[i] = malloc(m->bytes[i] ? m->bytes[i] : 1);
		must(m->at[i] != NULL);
		fill(in, m->at[i], m->bytes[i]);
	}
	if (m->bytes[A] && g->a.format != QUIRE_FORMAT_MXFP8 && take(in, 1) % 2)
		fill_outliers(in, g->a.format, m->at[A], m->bytes[A]);
	if (m->bytes[B] && g->b.format != QUIRE_FORMAT_MXFP8 && take(in, 1) % 2)
		fill_outliers(in, g->b.format, m->at[B], m->bytes[B]);
	m->before = malloc(m->bytes[D]);
	m->good = malloc(m->bytes[D]);
	must(m->before && m->good);
	memcpy(m->before, m->at[D], m->bytes[D]);
	if (g->a.format != QUIRE_FORMAT_TILED)
		g->a.data = m->at[A];
	if (g->b.format != QUIRE_FORMAT_TILED)
		g->b.data = m->at[B];
	g->c.data = m->at[C];
	g->d.data = m->at[D];
	g->bias = m->at[BIAS];
	return true;
}

static void drop_memory(struct memory *m)
{
	for (int i = 0; i < MATRICES; i++)
		free(m->at[i]);
	free(m->before);
	free(m->good);
}

static void run_plain(const struct quire_gemm *g, struct memory *m)
{
	memcpy(m->at[D], m->before, m->bytes[D]);
	must(quire_kernel_select("plain") == 0);
	must(quire_gemm(g, &m->result) == 0);
	memcpy(m->good, m->at[D], m->bytes[D]);
}

/* The same from a kernel. */
static void run_kernel(const struct quire_gemm *g, const char *kernel, const struct memory *m)
{
	struct quire_gemm_result result;

	memcpy(m->at[D], m->before, m->bytes[D]);
	must(quire_kernel_select(kernel) == 0);
	must(quire_gemm(g, &result) == 0);
	must(memcmp(m->good, m->at[D], m->bytes[D]) == 0);
	must(memcmp(&result, &m->result, sizeof(result)) == 0);
}

/*
 * Products with one workspace: B is found again as long as it has its version, and only then.
 * Whatever changes, the result is that of the plain loop.
 */
static void run_with_workspace(struct quire_gemm g, const char *kernel, struct memory *memory,
			       struct input *in)
{
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	const uint32_t m = g.m, n = g.n, k = g.k;
	const float alpha = g.alpha;

	must(workspace != NULL);
	g.workspace = workspace;
	g.b_version = take(in, 1) % 2;
	run_kernel(&g, kernel, memory);
	for (int turn = take(in, 1) % 4; turn >= 0; turn--) {
		uint8_t what = (uint8_t)take(in, 1);

		if (what & 1 && memory->bytes[B]) {
			memory->at[B][take(in, 2) % memory->bytes[B]] ^= (uint8_t)take(in, 1);
			g.b_version = g.b_version ? g.b_version + 1 : 0;
		}
		if (what & 2 && memory->bytes[A])
			memory->at[A][take(in, 2) % memory->bytes[A]] ^= (uint8_t)take(in, 1);
		g.n = n - (what & 4 && n > 1);
		g.k = k - (what & 8 && k > 1);
		g.m = m - (what & 16 && m > 1);
		g.workspace = what & 32 ? NULL : workspace;
		/* no power of two, nor what an image can have */
		g.alpha = what & 64 && alpha != 0 && g.d.format != QUIRE_FORMAT_QUIRE ? 3 : alpha;
		run_plain(&g, memory);
		run_kernel(&g, kernel, memory);
	}
	quire_gemm_workspace_destroy(workspace);
}

/* Views that are wrong in one way: refused by name, D as it was. */
static void run_wrong_views(const struct quire_gemm *good, bool of_a, struct input *in, struct memory *m)
{
	struct quire_gemm g = *good;
	struct quire_gemm_operand *x = of_a ? &g.a : &g.b;
	struct quire_tiled views[VIEWS_MOST];
	const uint32_t lanes = of_a ? g.m : g.n;
	const bool lanes_are_rows = of_a == !x->transpose;
	const uint32_t rows = lanes_are_rows ? lanes : g.k, columns = lanes_are_rows ? g.k : lanes;
	uint32_t which = x->batch_stride ? take_below(in, g.batch) : 0;
	const char *why;

	if (x->format != QUIRE_FORMAT_TILED || !g.k || g.alpha == 0)
		return;
	memcpy(views, x->data, sizeof(views));
	x->data = views;
	switch (take(in, 1) % 7) {
	case 0: views[which].tiles = NULL; break;
	case 1: views[which].image = NULL; break;
	case 2: views[which].row = views[which].shape.rows - rows + 1 + take_below(in, rows + 9); break;
	case 3:
		views[which].column = views[which].shape.columns - columns + 1 + take_below(in, columns + 9);
		break;
	case 4: x->batch_stride += 2 + take(in, 2); break;
	case 5: x->data = (const uint8_t *)views + 1 + take(in, 1) % 7; break;
	case 6: x->data = NULL; break;
	}
	memcpy(m->at[D], m->before, m->bytes[D]);
	must(quire_gemm_check(&g, &why) == -EINVAL && !strcmp(why, of_a ? "a.data" : "b.data"));
	must(quire_gemm(&g, NULL) == -EINVAL);
	must(memcmp(m->before, m->at[D], m->bytes[D]) == 0);
}

static bool stored(const struct quire_gemm_operand *x, uint32_t matrix, uint32_t row, uint32_t column)
{
	const struct quire_tiled *v = x->data;
	uint32_t r = x->transpose ? column : row, c = x->transpose ? row : column;

	if (x->format != QUIRE_FORMAT_TILED)
		return true;
	v += matrix * x->batch_stride;
	r += v->row;
	c += v->column;
	return v->tiles[r / v->shape.tile_rows * v->grid_columns + c / v->shape.tile_columns].bits;
}

/* Pairs of elements whose tiles are stored, counted one by one. */
static void check_macs(const struct quire_gemm *g, const struct quire_gemm_result *result)
{
	uint64_t macs = 0;

	for (uint32_t b = 0; b < g->batch; b++)
		for (uint32_t i = 0; i < g->m; i++)
			for (uint32_t j = 0; j < g->n; j++)
				for (uint32_t k = 0; k < g->k; k++)
					macs += g->alpha == 0 || (stored(&g->a, b, i, k) &&
								  stored(&g->b, b, k, j));
	must(result->macs == macs);
}

static void run(struct quire_gemm *g, struct input *in)
{
	static const char *const kernels[] = { "generic", "avx2", "ifma", "amx" };
	struct memory m;

	if (!memory_of(g, in, &m))
		return;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		if (quire_kernel_select(kernels[i]))
			continue;
		run_plain(g, &m);
		check_macs(g, &m.result);
		run_kernel(g, kernels[i], &m);
		run_with_workspace(*g, kernels[i], &m, in);
	}
	run_wrong_views(g, true, in, &m);
	run_wrong_views(g, false, in, &m);
	drop_memory(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	struct tiled tiled[2] = { { .image.data = NULL } };
	struct quire_gemm g = take_job(&in, tiled);
	const char *why = NULL;
	int error = quire_gemm_check(&g, &why);

	gemm_cut_least = 0;
	must((error != 0) == (why != NULL));
	if (error)
		must(quire_gemm(&g, NULL) == error);
	else if (g.m && g.n && g.batch &&
		 (long double)g.m * g.n * ((long double)g.k + 1) * g.batch <= MACS_MOST)
		run(&g, &in);
	drop_image(&tiled[A].image);
	drop_image(&tiled[B].image);
	return 0;
}
