// SPDX-License-Identifier: MIT
/* Tiled matrices: packed here into buffers, read back, and in .qtn files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/qtn.h>

#include "internal.h"

/* A buffer with an image, as a matrix of the shape that the image's header tells. */
static int place(quire_context *context, const void *image, uint64_t bytes,
		 struct quire_matrix *matrix)
{
	const struct quire_tiled_header *h = image;
	quire_buffer *buffer;
	int error = quire_buffer_create(context, bytes, QUIRE_PLACEMENT_CARD, &buffer);

	if (error)
		return error;
	error = quire_buffer_write(buffer, 0, image, bytes);
	if (error) {
		quire_buffer_free(buffer);
		return error;
	}
	*matrix = (struct quire_matrix){ .buffer = buffer, .format = QUIRE_FORMAT_TILED,
					 .rows = h->rows, .columns = h->columns, .batch = 1 };
	return 0;
}

/* Check a shape and the choices of its tiles, for @function; the size of the image. */
static int plan(const struct quire_tiled_shape *shape, const struct quire_tile_choice *choices,
		const char *function, uint64_t *bytes)
{
	uint64_t tiles = quire_tiled_count(shape);
	uint32_t grid_columns;

	if (!tiles)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY,
			    "tiles are 32 x 32, 16 x 16, 64 x 64 or 1 x 256",
			    "%s: %u x %u in tiles of %u x %u is not allowed", function,
			    shape->rows, shape->columns, shape->tile_rows, shape->tile_columns);
	grid_columns = quire_tiled_grid(shape->columns, shape->tile_columns);
	for (uint64_t i = 0; i < tiles; i++) {
		uint32_t bits = choices[i].bits;

		if (bits ? bits < QUIRE_TILE_MIN_BITS || bits > QUIRE_TILE_MAX_BITS ||
				   !quire_tile_scale_valid(bits, choices[i].scale) :
			   choices[i].scale != 0)
			return fail(-EINVAL, QUIRE_LAYER_LIBRARY,
				    "bits are 0 (scale 0) or 3 to 32, scales as in quire/tiled.h",
				    "%s: tile (%llu, %llu) cannot have %u bits and scale %d", function,
				    (unsigned long long)(i / grid_columns),
				    (unsigned long long)(i % grid_columns), bits, choices[i].scale);
	}
	*bytes = quire_tiled_plan(shape, choices);
	if (!*bytes)
		return fail(-ENOSPC, QUIRE_LAYER_LIBRARY, "use fewer bits",
			    "%s: the image would be larger than 2^37 bytes", function);
	return 0;
}

/* Memory for an image, to be filled here: card memory may be slow to read back. */
static void *alloc_image(uint64_t bytes)
{
	return aligned_alloc(QUIRE_TILED_ALIGN,
			     (bytes + QUIRE_TILED_ALIGN - 1) / QUIRE_TILED_ALIGN * QUIRE_TILED_ALIGN);
}

int tiled_pack(quire_context *context, const struct quire_tiled_shape *shape,
	       const struct quire_dense *dense, const struct quire_tile_choice *choices,
	       const char *function, struct quire_matrix *matrix)
{
	uint64_t bytes;
	void *image;
	int error;

	if (dense->leading_dimension < shape->columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s: leading_dimension is %llu, less than the %u columns", function,
			    (unsigned long long)dense->leading_dimension, shape->columns);
	error = plan(shape, choices, function, &bytes);
	if (error)
		return error;
	image = alloc_image(bytes);
	if (!image)
		return fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory to pack a matrix");
	error = quire_tiled_pack(shape, dense, choices, image, bytes, context->device->threads);
	if (error)
		error = fail(error, QUIRE_LAYER_LIBRARY, NULL, "%s: the matrix cannot be packed",
			     function);
	else
		error = place(context, image, bytes, matrix);
	free(image);
	return error;
}

int quire_matrix_alloc_tiled(quire_context *context, uint32_t rows, uint32_t columns,
			     uint32_t tile_rows, uint32_t tile_columns,
			     const struct quire_tile_choice *choices, struct quire_matrix *matrix)
{
	const struct quire_tiled_shape shape = { rows, columns, tile_rows, tile_columns };
	uint64_t bytes, start;
	quire_buffer *buffer;
	void *image;
	int error;

	if (!context || !choices || !matrix)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_alloc_tiled: %s is NULL",
			    !context ? "context" : !choices ? "choices" : "matrix");
	error = plan(&shape, choices, "quire_matrix_alloc_tiled", &bytes);
	if (error)
		return error;
	error = quire_buffer_create(context, bytes, QUIRE_PLACEMENT_CARD, &buffer);
	if (error)
		return error;
	start = quire_tiled_data_start(quire_tiled_count(&shape));
	image = alloc_image(start);
	error = image ? quire_tiled_layout(&shape, choices, image, bytes) : -ENOMEM;
	if (error) {
		error = fail(error, QUIRE_LAYER_LIBRARY, NULL, "no memory to plan a matrix");
	} else {
		((struct quire_tiled_header *)image)->magic = QUIRE_TILED_PLAN;
		error = quire_buffer_write(buffer, 0, image, start);
	}
	free(image);
	if (error) {
		quire_buffer_free(buffer);
		return error;
	}
	*matrix = (struct quire_matrix){ .buffer = buffer, .format = QUIRE_FORMAT_TILED,
					 .rows = rows, .columns = columns, .batch = 1 };
	return 0;
}

struct pair {
	const struct quire_matrix *destination, *source;
};

static int record_pack(quire_cmdlist *list, const void *what)
{
	const struct pair *pair = what;

	return quire_cmdlist_pack(list, pair->destination, pair->source);
}

static int record_unpack(quire_cmdlist *list, const void *what)
{
	const struct pair *pair = what;

	return quire_cmdlist_unpack(list, pair->destination, pair->source);
}

int quire_matrix_pack(const struct quire_matrix *destination, const struct quire_matrix *source,
		      struct quire_packet_result *result)
{
	if (!destination || !destination->buffer)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_matrix_pack: destination%s is NULL", destination ? ".buffer" : "");
	return context_run(destination->buffer->context, record_pack,
			   &(struct pair){ destination, source }, result);
}

int quire_matrix_unpack(const struct quire_matrix *destination, const struct quire_matrix *source,
			struct quire_packet_result *result)
{
	if (!destination || !destination->buffer)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_matrix_unpack: destination%s is NULL", destination ? ".buffer" : "");
	return context_run(destination->buffer->context, record_unpack,
			   &(struct pair){ destination, source }, result);
}

int quire_matrix_pack_f32(quire_context *context, uint32_t rows, uint32_t columns,
			  uint32_t tile_rows, uint32_t tile_columns,
			  const struct quire_tile_choice *choices, const float *x,
			  uint64_t leading_dimension, struct quire_matrix *matrix)
{
	const struct quire_tiled_shape shape = { rows, columns, tile_rows, tile_columns };
	const struct quire_dense dense = { x, QUIRE_FORMAT_FP32, 0, leading_dimension };

	if (!context || !choices || !x || !matrix)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_pack_f32: %s is NULL",
			    !context ? "context" : !choices ? "choices" : !x ? "x" : "matrix");
	return tiled_pack(context, &shape, &dense, choices, "quire_matrix_pack_f32", matrix);
}

/* An image of a buffer, all of it checked; the matrix itself has been. */
static int open_image(const struct quire_matrix *matrix, const void *at, uint64_t room,
		      struct quire_tiled *view)
{
	struct quire_tiled_error error = { 0 };
	int code = quire_tiled_open(at, room, view, &error);

	if (!code)
		code = quire_tiled_verify(view, matrix->buffer->context->device->threads, &error);
	if (code && error.in_tile)
		return fail(code, QUIRE_LAYER_LIBRARY, "pack or load the matrix again",
			    "tile (%u, %u) of the matrix has a wrong %s", error.tile_row,
			    error.tile_column, error.field);
	if (code)
		return fail(code, QUIRE_LAYER_LIBRARY, "pack or load the matrix again",
			    "the header of the tiled matrix has a wrong %s", error.field);
	if (view->shape.rows != matrix->rows || view->shape.columns != matrix->columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "the matrix is %u x %u, but its image is %u x %u", matrix->rows,
			    matrix->columns, view->shape.rows, view->shape.columns);
	return 0;
}

int tiled_get(const struct quire_matrix *matrix, const void *at, void *x, uint32_t format,
	      uint64_t leading_dimension)
{
	for (uint32_t i = 0; i < matrix->batch; i++) {
		uint64_t offset = i * matrix->batch_stride;
		struct quire_tiled_output output = {
			.data = (uint8_t *)x + i * leading_dimension * matrix->rows *
						     quire_format_bytes(format),
			.format = format,
			.leading_dimension = leading_dimension,
		};
		struct quire_tiled view;
		int error = open_image(matrix, (const uint8_t *)at + offset,
				       matrix->buffer->bytes - matrix->offset - offset, &view);

		if (error)
			return error;
		error = quire_tiled_unpack(&view, matrix->rows, matrix->columns, &output,
					   matrix->buffer->context->device->threads, NULL, NULL);
		if (error)
			return fail(error, QUIRE_LAYER_LIBRARY, NULL, "the matrix cannot be unpacked");
	}
	return 0;
}

int quire_matrix_load_qtn(quire_context *context, const char *path, struct quire_matrix *matrix)
{
	struct quire_qtn_error why;
	struct quire_qtn file;
	int error;

	if (!context || !path || !matrix)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_load_qtn: %s is NULL",
			    !context ? "context" : !path ? "path" : "matrix");
	error = quire_qtn_open(path, &file, context->device->threads, &why);
	if (error)
		return fail(error, QUIRE_LAYER_LIBRARY, NULL, "%s: %s", path, why.text);
	error = place(context, file.image, file.image_bytes, matrix);
	quire_qtn_close(&file);
	return error;
}

int quire_matrix_save_qtn(const struct quire_matrix *matrix, const char *path)
{
	struct quire_qtn_error why;
	struct quire_tiled view;
	const uint8_t *image;
	void *mapped;
	int error;

	if (!matrix || !path)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_matrix_save_qtn: %s is NULL",
			    matrix ? "path" : "matrix");
	error = matrix_check(matrix, "matrix");
	if (error)
		return error;
	if (matrix->format != QUIRE_FORMAT_TILED || matrix->batch != 1)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "pack it with quire_matrix_pack_f32()",
			    "quire_matrix_save_qtn: only one tiled matrix can be saved");
	error = quire_buffer_map(matrix->buffer, &mapped);
	if (error)
		return error;
	image = (const uint8_t *)mapped + matrix->offset;
	error = open_image(matrix, image, matrix->buffer->bytes - matrix->offset, &view);
	if (error)
		return error;
	error = quire_qtn_write(path, image, ((const struct quire_tiled_header *)image)->image_bytes,
				matrix->buffer->context->device->threads, &why);
	if (error)
		return fail(error, QUIRE_LAYER_LIBRARY, NULL, "%s: %s", path, why.text);
	return 0;
}
