// SPDX-License-Identifier: MIT
/*
 * Validation of a job.  After it no address or index computed from the job can
 * wrap: every matrix was shown to end below the end of the address space.
 */
#include <errno.h>
#include <math.h>
#include <stddef.h>

#include "environment.h"
#include "gemm_internal.h"

/* Bytes a batch of matrices touches, seen as rows of width bytes. */
struct extent {
	uintptr_t start;
	uint64_t bytes;		/* from the first to behind the last */
	uint64_t width;		/* of a row */
	uint64_t pitch;		/* from row to row */
	uint64_t step;		/* from matrix to matrix, 0 when there is one */
};

static uint32_t alignment_of(uint32_t format)
{
	return format == QUIRE_FORMAT_QUIRE ? 8 : gemm_element_bytes(format);
}

static bool multiply_add(uint64_t a, uint64_t b, uint64_t c, uint64_t *out)
{
	return __builtin_mul_overflow(a, b, out) || __builtin_add_overflow(*out, c, out);
}

static int measure(const void *data, uint32_t format, uint64_t rows, uint64_t columns,
		   uint64_t leading_dimension, uint64_t batch, uint64_t stride,
		   struct extent *extent)
{
	uint64_t last, end;

	extent->start = (uintptr_t)data;
	extent->width = gemm_offset(format, columns);	/* below 2^31 * 80 */
	if (multiply_add(rows - 1, rows > 1 ? leading_dimension : 0, columns, &last) ||
	    multiply_add(batch - 1, batch > 1 ? stride : 0, last, &last) ||
	    !gemm_bytes_of(format, last, &extent->bytes) ||
	    __builtin_add_overflow((uint64_t)extent->start, extent->bytes, &end) ||
	    end > UINTPTR_MAX || extent->bytes > PTRDIFF_MAX)
		return -EOVERFLOW;
	/* neither product can wrap: with more than one row or matrix it is in bytes */
	extent->pitch = rows > 1 ? gemm_offset(format, leading_dimension) : 0;
	extent->step = batch > 1 ? gemm_offset(format, stride) : 0;
	return 0;
}

/*
 * Sub-matrices of one large matrix interleave in memory without overlap: same
 * pitch, different columns.
 */
static bool overlap(const struct extent *x, const struct extent *y)
{
	uint64_t pitch = x->pitch ? x->pitch : y->pitch, offset;

	if (x->start + x->bytes <= y->start || y->start + y->bytes <= x->start)
		return false;
	if (!pitch || (x->pitch && y->pitch && x->pitch != y->pitch) ||
	    x->step % pitch || y->step % pitch)
		return true;
	offset = y->start >= x->start ? (y->start - x->start) % pitch :
		 (pitch - (x->start - y->start) % pitch) % pitch;
	return offset < x->width || offset + y->width > pitch;
}

static int check_data(const void *data, uint32_t format)
{
	return data && (uintptr_t)data % alignment_of(format) == 0 ? 0 : -EINVAL;
}

#define FAIL(field, error)                                                     \
	do {                                                                   \
		*why = field;                                                  \
		return error;                                                  \
	} while (0)

static int check_values(const struct quire_gemm *g, const char **why)
{
	bool image = g->d.format == QUIRE_FORMAT_QUIRE;

	if (g->m > QUIRE_GEMM_DIMENSION_LIMIT)
		FAIL("m", -EOVERFLOW);
	if (g->n > QUIRE_GEMM_DIMENSION_LIMIT)
		FAIL("n", -EOVERFLOW);
	if (g->batch > QUIRE_GEMM_DIMENSION_LIMIT)
		FAIL("batch", -EOVERFLOW);
	if (g->k > QUIRE_PRODUCT_LIMIT)
		FAIL("k", -EOVERFLOW);
	if (g->arithmetic > QUIRE_GEMM_FP32)
		FAIL("arithmetic", -EINVAL);
	if ((!gemm_format_is_factor(g->a.format) && g->a.format != QUIRE_FORMAT_TILED) ||
	    (g->arithmetic == QUIRE_GEMM_FP32 && g->a.format != QUIRE_FORMAT_BF16))
		FAIL("a.format", -EINVAL);
	if ((!gemm_format_is_factor(g->b.format) && g->b.format != QUIRE_FORMAT_TILED) ||
	    (g->arithmetic == QUIRE_GEMM_FP32 && g->b.format != QUIRE_FORMAT_BF16))
		FAIL("b.format", -EINVAL);
	if (!gemm_format_is_operand(g->d.format) && !image && g->d.format != QUIRE_FORMAT_FP64)
		FAIL("d.format", -EINVAL);
	if (image && g->arithmetic == QUIRE_GEMM_FP32)
		FAIL("d.format", -EINVAL);
	if (g->d.reserved)
		FAIL("d.reserved", -EINVAL);
	if (!isfinite(g->alpha) || (image && fabsf(g->alpha) != 1 && g->alpha != 0))
		FAIL("alpha", -EINVAL);
	if (!isfinite(g->beta) || (image && fabsf(g->beta) != 1 && g->beta != 0))
		FAIL("beta", -EINVAL);
	if (g->bias_kind > QUIRE_GEMM_BIAS_PER_ROW)
		FAIL("bias_kind", -EINVAL);
	if (g->activation > QUIRE_GEMM_ACTIVATION_RELU || (image && g->activation))
		FAIL("activation", -EINVAL);
	if (g->a.transpose > 1)
		FAIL("a.transpose", -EINVAL);
	if (g->b.transpose > 1)
		FAIL("b.transpose", -EINVAL);
	return 0;
}

static int check_output(const struct quire_gemm *g, const char **why, struct extent *d)
{
	uint64_t ld = g->d.leading_dimension, stride = g->d.batch_stride, whole;
	int error;

	if (check_data(g->d.data, g->d.format))
		FAIL("d.data", -EINVAL);
	if (g->m > 1 && ld < g->n)
		FAIL("d.leading_dimension", -EINVAL);
	error = measure(g->d.data, g->d.format, g->m, g->n, ld, g->batch, stride, d);
	if (error)
		FAIL("d.leading_dimension", error);
	if (g->batch == 1)
		return 0;
	/* one below the other, or side by side within the rows of one matrix */
	whole = (g->m > 1 ? (g->m - 1) * ld : 0) + g->n;
	if (stride < g->n || (stride < whole && (g->batch - 1) * stride + g->n > ld))
		FAIL("d.batch_stride", -EINVAL);
	return 0;
}

static int check_operand(const struct quire_gemm *g, const struct quire_gemm_operand *x,
			 uint32_t rows, uint32_t columns, const char *const names[3],
			 const char **why, struct extent *extent)
{
	int error;

	if (x->format == QUIRE_FORMAT_TILED) {
		*extent = (struct extent){ 0 };
		if (!gemm_tiled_fits(x, rows, columns, g->batch))
			FAIL(names[0], -EINVAL);
		return 0;
	}
	if (check_data(x->data, x->format))
		FAIL(names[0], -EINVAL);
	if (rows > 1 && x->leading_dimension < columns)
		FAIL(names[1], -EINVAL);
	if (x->format == QUIRE_FORMAT_MXFP8) {
		if (rows > 1 && x->leading_dimension % QUIRE_MX_ELEMENTS)
			FAIL(names[1], -EINVAL);
		if (g->batch > 1 && x->batch_stride % QUIRE_MX_ELEMENTS)
			FAIL(names[2], -EINVAL);
	}
	error = measure(x->data, x->format, rows, columns, x->leading_dimension, g->batch,
			x->batch_stride, extent);
	if (error)
		FAIL(names[1], error);
	return 0;
}

static bool same_place(const struct quire_gemm *g)
{
	return g->c.data == g->d.data && g->c.format == g->d.format &&
	       (g->m == 1 || g->c.leading_dimension == g->d.leading_dimension) &&
	       (g->batch == 1 || g->c.batch_stride == g->d.batch_stride);
}

static ENVIRONMENT_OWN int check(const struct quire_gemm *g, const char **why)
{
	static const char *const a_names[] = { "a.data", "a.leading_dimension", "a.batch_stride" };
	static const char *const b_names[] = { "b.data", "b.leading_dimension", "b.batch_stride" };
	static const char *const c_names[] = { "c.data", "c.leading_dimension", "c.batch_stride" };
	struct extent d, x;
	const char *ignored;
	int error;

	if (!why)
		why = &ignored;
	*why = NULL;
	if (!g)
		FAIL("gemm", -EINVAL);
	error = check_values(g, why);
	if (error)
		return error;
	if (g->beta != 0 && ((!gemm_format_is_operand(g->c.format) &&
			      g->c.format != QUIRE_FORMAT_QUIRE)))
		FAIL("c.format", -EINVAL);
	if (g->beta != 0 && g->c.transpose)
		FAIL("c.transpose", -EINVAL);
	if (g->bias_kind && !gemm_format_is_operand(g->bias_format))
		FAIL("bias_format", -EINVAL);
	if (!g->m || !g->n || !g->batch)
		return 0;
	error = check_output(g, why, &d);
	if (error)
		return error;
	if (g->alpha != 0 && g->k) {
		error = check_operand(g, &g->a, g->a.transpose ? g->k : g->m,
				      g->a.transpose ? g->m : g->k, a_names, why, &x);
		if (error)
			return error;
		if (overlap(&d, &x))
			FAIL("a.data", -EINVAL);
		error = check_operand(g, &g->b, g->b.transpose ? g->n : g->k,
				      g->b.transpose ? g->k : g->n, b_names, why, &x);
		if (error)
			return error;
		if (overlap(&d, &x))
			FAIL("b.data", -EINVAL);
	}
	if (g->beta != 0) {
		error = check_operand(g, &g->c, g->m, g->n, c_names, why, &x);
		if (error)
			return error;
		if (!same_place(g) && overlap(&d, &x))
			FAIL("c.data", -EINVAL);
	}
	if (g->bias_kind) {
		if (check_data(g->bias, g->bias_format))
			FAIL("bias", -EINVAL);
		error = measure(g->bias, g->bias_format, 1,
				g->bias_kind == QUIRE_GEMM_BIAS_PER_ROW ? g->m : g->n,
				0, 1, 0, &x);
		if (error || overlap(&d, &x))
			FAIL("bias", error ? error : -EINVAL);
	}
	return 0;
}

int quire_gemm_check(const struct quire_gemm *g, const char **why)
{
	fenv_t saved;
	int error;

	environment_enter(&saved);
	error = check(g, why);
	environment_leave(&saved);
	return error;
}
