// SPDX-License-Identifier: MIT
/* Matrices: allocation, checks, and conversion from and to floats. */
#include <errno.h>
#include <string.h>

#include <quire/packet_check.h>
#include <quirenum/convert.h>

#include "internal.h"

uint64_t matrix_address(const struct quire_matrix *matrix)
{
	return quire_buffer_address(matrix->buffer) + matrix->offset;
}

/* What is known of a tiled matrix without its header. */
static int check_tiled(const struct quire_matrix *m, const char *name)
{
	uint64_t room = m->offset <= m->buffer->bytes ? m->buffer->bytes - m->offset : 0;

	if (!m->rows || !m->columns || !m->batch)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s.%s is 0", name,
			    !m->rows ? "rows" : !m->columns ? "columns" : "batch");
	if (m->leading_dimension)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "set it to 0",
			    "%s.leading_dimension is %u, but a tiled matrix has none", name,
			    m->leading_dimension);
	if (m->offset % QUIRE_TILED_ALIGN || m->batch_stride % QUIRE_TILED_ALIGN)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s.%s is no multiple of 64, as that of a tiled matrix", name,
			    m->offset % QUIRE_TILED_ALIGN ? "offset" : "batch_stride");
	if (room < sizeof(struct quire_tiled_header) ||
	    (m->batch > 1 && (room - sizeof(struct quire_tiled_header)) / (m->batch - 1) <
				     m->batch_stride))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s lies outside of its buffer of %llu bytes", name,
			    (unsigned long long)m->buffer->bytes);
	return 0;
}

/* What rows are made of: single elements, or blocks; bytes 0: no format of such a matrix. */
struct unit {
	uint32_t elements, bytes, align;
};

static struct unit unit_of(uint32_t format)
{
	uint32_t element = (uint32_t)quire_format_bytes(format);

	if (format == QUIRE_FORMAT_MXFP8)
		return (struct unit){ QUIRE_MX_ELEMENTS, QUIRE_MX_BLOCK_BYTES, 1 };
	return (struct unit){ 1, element, element == QUIRE_IMAGE_BYTES ? 8 : element };
}

static uint64_t units(uint64_t elements, struct unit unit)
{
	return (elements + unit.elements - 1) / unit.elements;
}

uint64_t matrix_bytes(const struct quire_matrix *m)
{
	struct unit unit = unit_of(m->format);
	uint64_t count;

	if (m->format == QUIRE_FORMAT_TILED || !unit.bytes)
		return 0;
	count = units((uint64_t)(m->rows - 1) * m->leading_dimension + m->columns, unit);
	return (count + (m->batch - 1) * units(m->batch_stride, unit)) * unit.bytes;
}

int matrix_check(const struct quire_matrix *m, const char *name)
{
	struct unit unit;
	uint64_t count, room;

	if (!m->buffer)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s.buffer is NULL", name);
	if (m->format == QUIRE_FORMAT_TILED)
		return check_tiled(m, name);
	unit = unit_of(m->format);
	if (!unit.bytes)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "use a QUIRE_FORMAT_* of quire/format.h",
			    "%s.format is %#x, which is no format", name, m->format);
	if (!m->rows || !m->columns || !m->batch)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s.%s is 0", name,
			    !m->rows ? "rows" : !m->columns ? "columns" : "batch");
	if (m->leading_dimension < m->columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s.leading_dimension is %u, less than its %u columns", name,
			    m->leading_dimension, m->columns);
	if (m->leading_dimension % unit.elements || m->batch_stride % unit.elements)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "let rows start with a block",
			    "%s.%s is no multiple of %u, as that of an %s matrix", name,
			    m->leading_dimension % unit.elements ? "leading_dimension" : "batch_stride",
			    unit.elements, quire_format_name(m->format));
	if (m->offset % unit.align)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s.offset %llu is no multiple of its elements' size", name,
			    (unsigned long long)m->offset);
	/* Each factor is below 2^32 and the room below 2^48: no overflow before the test. */
	room = m->offset <= m->buffer->bytes ? (m->buffer->bytes - m->offset) / unit.bytes : 0;
	count = units((uint64_t)(m->rows - 1) * m->leading_dimension + m->columns, unit);
	if (count <= room && m->batch > 1 &&
	    (room - count) / (m->batch - 1) < units(m->batch_stride, unit))
		count = room + 1;
	if (count > room)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s lies outside of its buffer of %llu bytes", name,
			    (unsigned long long)m->buffer->bytes);
	return 0;
}

int quire_matrix_alloc_batch(quire_context *context, uint32_t format, uint32_t rows,
			     uint32_t columns, uint32_t batch, enum quire_placement placement,
			     struct quire_matrix *matrix)
{
	const struct unit unit = unit_of(format);
	uint64_t leading = units(columns, unit) * unit.elements, bytes;
	quire_buffer *buffer;
	int error;

	if (!context || !matrix)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_alloc: %s is NULL",
			    context ? "matrix" : "context");
	if (!unit.bytes)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "use a QUIRE_FORMAT_* of quire/format.h",
			    "quire_matrix_alloc: format %#x is unknown", format);
	if (!rows || !columns || !batch)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_alloc: %s is 0",
			    !rows ? "rows" : !columns ? "columns" : "batch");
	if (leading > UINT32_MAX ||
	    __builtin_mul_overflow(rows * units(columns, unit), (uint64_t)batch, &bytes) ||
	    __builtin_mul_overflow(bytes, (uint64_t)unit.bytes, &bytes))
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
		.leading_dimension = (uint32_t)leading,
		.batch = batch,
		.batch_stride = batch > 1 ? rows * leading : 0,
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

/* A matrix in memory; one of a batch after the other. */
struct place {
	uint8_t *data;
	uint32_t format;
	uint64_t leading_dimension, batch_stride;	/* elements */
};

static int convert(const struct place *to, const struct place *from,
		   const struct quire_matrix *shape)
{
	for (uint64_t i = 0; i < shape->batch; i++) {
		const struct quire_convert job = {
			.rows = shape->rows, .columns = shape->columns,
			.source = from->data + quire_check_bytes(from->format, i * from->batch_stride),
			.destination = to->data + quire_check_bytes(to->format, i * to->batch_stride),
			.source_format = from->format, .destination_format = to->format,
			.source_leading_dimension = from->leading_dimension,
			.destination_leading_dimension = to->leading_dimension,
			.factor = 1,
			.threads = shape->buffer->context->device->threads,
		};
		const char *why = NULL;
		int error = quire_convert_check(&job, &why);

		if (!error)
			error = quire_convert(&job, NULL);
		if (error)
			return fail(error, QUIRE_LAYER_LIBRARY, NULL, "the conversion failed%s%s",
				    why ? ": " : "", why ? why : "");
	}
	return 0;
}

/* Check the arguments of a conversion; the matrix's place in memory. */
static int check_floats(const struct quire_matrix *matrix, const void *x,
			uint64_t leading_dimension, const char *function, struct place *place)
{
	void *mapped;
	int error;

	if (!matrix || !x)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: %s is NULL", function,
			    matrix ? "x" : "matrix");
	error = matrix_check(matrix, "matrix");
	if (error)
		return error;
	if (matrix->format == QUIRE_FORMAT_QUIRE)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "read the buffer itself",
			    "%s: a %s matrix cannot be converted", function,
			    quire_format_name(matrix->format));
	if (leading_dimension < matrix->columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s: leading_dimension is %llu, less than the %u columns", function,
			    (unsigned long long)leading_dimension, matrix->columns);
	error = quire_buffer_map(matrix->buffer, &mapped);
	if (!error)
		*place = (struct place){ (uint8_t *)mapped + matrix->offset, matrix->format,
					 matrix->leading_dimension, matrix->batch_stride };
	return error;
}

static int put(const struct quire_matrix *matrix, const void *x, uint32_t format,
	       uint64_t leading_dimension, const char *function)
{
	struct place to;
	int error = check_floats(matrix, x, leading_dimension, function, &to);

	if (error)
		return error;
	if (matrix->format == QUIRE_FORMAT_TILED)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "make one with quire_matrix_pack_f32()",
			    "%s: a tiled matrix keeps the numbers it was packed with", function);
	/* only read */
	return convert(&to, &(struct place){ (uint8_t *)(uintptr_t)x, format, leading_dimension,
					     leading_dimension * matrix->rows }, matrix);
}

static int get(const struct quire_matrix *matrix, void *x, uint32_t format,
	       uint64_t leading_dimension, const char *function)
{
	struct place from;
	int error = check_floats(matrix, x, leading_dimension, function, &from);

	if (error)
		return error;
	if (matrix->format == QUIRE_FORMAT_TILED)
		return tiled_get(matrix, from.data, x, format, leading_dimension);
	return convert(&(struct place){ x, format, leading_dimension,
					leading_dimension * matrix->rows }, &from, matrix);
}

int quire_matrix_put_f32(const struct quire_matrix *matrix, const float *x,
			 uint64_t leading_dimension)
{
	return put(matrix, x, QUIRE_FORMAT_FP32, leading_dimension, "quire_matrix_put_f32");
}

int quire_matrix_get_f32(const struct quire_matrix *matrix, float *x, uint64_t leading_dimension)
{
	return get(matrix, x, QUIRE_FORMAT_FP32, leading_dimension, "quire_matrix_get_f32");
}

int quire_matrix_put_f64(const struct quire_matrix *matrix, const double *x,
			 uint64_t leading_dimension)
{
	return put(matrix, x, QUIRE_FORMAT_FP64, leading_dimension, "quire_matrix_put_f64");
}

int quire_matrix_get_f64(const struct quire_matrix *matrix, double *x, uint64_t leading_dimension)
{
	return get(matrix, x, QUIRE_FORMAT_FP64, leading_dimension, "quire_matrix_get_f64");
}
