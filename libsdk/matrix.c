// SPDX-License-Identifier: MIT
/* Matrices: allocation, checks, and conversion from and to floats. */
#include <errno.h>
#include <string.h>

#include <quirenum/gemm.h>

#include "internal.h"

uint64_t matrix_address(const struct quire_matrix *matrix)
{
	return quire_buffer_address(matrix->buffer) + matrix->offset;
}

int matrix_check(const struct quire_matrix *m, const char *name)
{
	uint64_t element, elements, room;

	if (!m->buffer)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s.buffer is NULL", name);
	element = quire_format_bytes(m->format);
	if (!element)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "use a QUIRE_FORMAT_* of quire/format.h",
			    "%s.format is %#x, which is no format", name, m->format);
	if (!m->rows || !m->columns || !m->batch)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s.%s is 0", name,
			    !m->rows ? "rows" : !m->columns ? "columns" : "batch");
	if (m->leading_dimension < m->columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s.leading_dimension is %u, less than its %u columns", name,
			    m->leading_dimension, m->columns);
	if (m->offset % (element == QUIRE_IMAGE_BYTES ? 8 : element))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s.offset %llu is no multiple of its elements' size", name,
			    (unsigned long long)m->offset);
	/* Each factor is below 2^32 and the room below 2^48: no overflow before the test. */
	room = m->offset <= m->buffer->bytes ? (m->buffer->bytes - m->offset) / element : 0;
	elements = (uint64_t)(m->rows - 1) * m->leading_dimension + m->columns;
	if (elements <= room && m->batch > 1 &&
	    (room - elements) / (m->batch - 1) < m->batch_stride)
		elements = room + 1;
	if (elements > room)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s lies outside of its buffer of %llu bytes", name,
			    (unsigned long long)m->buffer->bytes);
	return 0;
}

int quire_matrix_alloc_batch(quire_context *context, uint32_t format, uint32_t rows,
			     uint32_t columns, uint32_t batch, enum quire_placement placement,
			     struct quire_matrix *matrix)
{
	uint64_t element = quire_format_bytes(format), bytes;
	quire_buffer *buffer;
	int error;

	if (!context || !matrix)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_alloc: %s is NULL",
			    context ? "matrix" : "context");
	if (!element)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "use a QUIRE_FORMAT_* of quire/format.h",
			    "quire_matrix_alloc: format %#x is unknown", format);
	if (!rows || !columns || !batch)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_alloc: %s is 0",
			    !rows ? "rows" : !columns ? "columns" : "batch");
	if (__builtin_mul_overflow((uint64_t)rows * columns, (uint64_t)batch, &bytes) ||
	    __builtin_mul_overflow(bytes, element, &bytes))
		return fail(-ENOSPC, QUIRE_LAYER_LIBRARY, "make it smaller",
			    "quire_matrix_alloc: %u x %u x %u elements are too many", batch, rows,
			    columns);
	error = quire_buffer_create(context, bytes, placement, &buffer);
	if (error)
		return error;
	*matrix = (struct quire_matrix){
		.buffer = buffer,
		.format = format,
		.rows = rows,
		.columns = columns,
		.leading_dimension = columns,
		.batch = batch,
		.batch_stride = batch > 1 ? (uint64_t)rows * columns : 0,
	};
	return 0;
}

int quire_matrix_alloc(quire_context *context, uint32_t format, uint32_t rows, uint32_t columns,
		       struct quire_matrix *matrix)
{
	return quire_matrix_alloc_batch(context, format, rows, columns, 1, QUIRE_PLACEMENT_CARD,
					matrix);
}

void quire_matrix_free(struct quire_matrix *matrix)
{
	if (!matrix)
		return;
	quire_buffer_free(matrix->buffer);
	memset(matrix, 0, sizeof(*matrix));
}

/* A conversion is a product without products: D = round(1 * C). */
static int convert(void *out, uint32_t out_format, uint64_t out_leading, uint64_t out_stride,
		   const void *in, uint32_t in_format, uint64_t in_leading, uint64_t in_stride,
		   const struct quire_matrix *shape)
{
	struct quire_gemm job = {
		.m = shape->rows, .n = shape->columns, .batch = shape->batch, .beta = 1,
		.a.format = QUIRE_FORMAT_POSIT8, .b.format = QUIRE_FORMAT_POSIT8,
		.c = { in, in_format, 0, in_leading, in_stride },
		.d = { out, out_format, 0, out_leading, out_stride },
		.threads = shape->buffer->context->device->threads,
	};
	const char *why = NULL;
	int error = quire_gemm_check(&job, &why);

	if (!error)
		error = quire_gemm(&job, NULL);
	if (error)
		return fail(error, QUIRE_LAYER_LIBRARY, NULL, "the conversion failed%s%s",
			    why ? ": " : "", why ? why : "");
	return 0;
}

static int check_floats(const struct quire_matrix *matrix, const void *x,
			uint64_t leading_dimension, const char *function, uint8_t **at)
{
	void *mapped;
	int error;

	if (!matrix || !x)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: %s is NULL", function,
			    matrix ? "x" : "matrix");
	error = matrix_check(matrix, "matrix");
	if (error)
		return error;
	if (matrix->format == QUIRE_FORMAT_QUIRE || matrix->format == QUIRE_FORMAT_FP64)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "read the buffer itself",
			    "%s: a %s matrix cannot be converted", function,
			    quire_format_name(matrix->format));
	if (leading_dimension < matrix->columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s: leading_dimension is %llu, less than the %u columns", function,
			    (unsigned long long)leading_dimension, matrix->columns);
	error = quire_buffer_map(matrix->buffer, &mapped);
	if (!error)
		*at = (uint8_t *)mapped + matrix->offset;
	return error;
}

int quire_matrix_put_f32(const struct quire_matrix *matrix, const float *x,
			 uint64_t leading_dimension)
{
	uint8_t *at = NULL;
	int error = check_floats(matrix, x, leading_dimension, "quire_matrix_put_f32", &at);

	if (error)
		return error;
	return convert(at, matrix->format, matrix->leading_dimension, matrix->batch_stride, x,
		       QUIRE_FORMAT_FP32, leading_dimension, leading_dimension * matrix->rows,
		       matrix);
}

int quire_matrix_get_f32(const struct quire_matrix *matrix, float *x, uint64_t leading_dimension)
{
	uint8_t *at = NULL;
	int error = check_floats(matrix, x, leading_dimension, "quire_matrix_get_f32", &at);

	if (error)
		return error;
	return convert(x, QUIRE_FORMAT_FP32, leading_dimension, leading_dimension * matrix->rows, at,
		       matrix->format, matrix->leading_dimension, matrix->batch_stride, matrix);
}
