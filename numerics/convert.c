// SPDX-License-Identifier: MIT
/*
 * Conversion of matrices: checks, the cut into tasks, the way of quire images.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/convert.h>

#include "environment.h"
#include "gemm_internal.h"

/* of one task, or so: some tens of microseconds; whole blocks of MXFP8 */
#define TASK_ELEMENTS 65536u

struct job {
	const struct quire_convert *convert;
	const struct gemm_kernel *kernel;
	struct gemm_convert formats;
	uint64_t pieces;		/* tasks per row */
	uint64_t rows;			/* of one task, when pieces is 1 */
	struct gemm_tally *tally;	/* one per worker; NULL: not asked for */
};

#define FAIL(field, error)                                                     \
	do {                                                                   \
		*why = field;                                                  \
		return error;                                                  \
	} while (0)

static bool is_format(uint32_t format)
{
	return gemm_format_is_factor(format) || format == QUIRE_FORMAT_FP64 ||
	       format == QUIRE_FORMAT_QUIRE;
}

static bool misaligned(const void *data, uint32_t format)
{
	uint64_t bytes = format == QUIRE_FORMAT_QUIRE ? 8 : gemm_element_bytes(format);

	return !data || (uintptr_t)data % bytes;
}

/*
 * Images are converted by way of a product that has nothing but C: what C cannot be does not
 * become an image, and what D cannot be does not come from one.
 */
static bool lacks_image_way(uint32_t from, uint32_t to)
{
	if (to == QUIRE_FORMAT_QUIRE)
		return from == QUIRE_FORMAT_FP64 || from == QUIRE_FORMAT_MXFP8;
	return from == QUIRE_FORMAT_QUIRE && to == QUIRE_FORMAT_MXFP8;
}

static bool bad_leading_dimension(const struct quire_convert *c, uint32_t format,
				  uint64_t leading_dimension)
{
	if (c->rows == 1)
		return false;
	return leading_dimension < c->columns ||
	       (format == QUIRE_FORMAT_MXFP8 && leading_dimension % QUIRE_MX_ELEMENTS);
}

/* Whether a part of a larger destination begins or ends within a block of it. */
static bool part_cuts_blocks(const struct quire_convert *c)
{
	return c->destination_format == QUIRE_FORMAT_MXFP8 && c->digest_columns &&
	       (c->digest_column % QUIRE_MX_ELEMENTS ||
		(c->columns % QUIRE_MX_ELEMENTS &&
		 c->digest_column + c->columns != c->digest_columns));
}

/* Bytes from the first element to behind the last; false when they do not fit. */
static bool extent_of(const struct quire_convert *c, const void *data, uint32_t format,
		      uint64_t leading_dimension, uint64_t *bytes)
{
	uint64_t end;

	return !__builtin_mul_overflow(c->rows - 1, c->rows > 1 ? leading_dimension : 0, bytes) &&
	       !__builtin_add_overflow(*bytes, c->columns, bytes) &&
	       gemm_bytes_of(format, *bytes, bytes) &&
	       *bytes <= PTRDIFF_MAX &&
	       !__builtin_add_overflow((uint64_t)(uintptr_t)data, *bytes, &end);
}

static ENVIRONMENT_OWN int check(const struct quire_convert *c, const char **why)
{
	uint64_t from, to;
	const char *ignored;

	if (!why)
		why = &ignored;
	*why = NULL;
	if (!c)
		FAIL("convert", -EINVAL);
	if (!is_format(c->source_format))
		FAIL("source_format", -EINVAL);
	if (!is_format(c->destination_format))
		FAIL("destination_format", -EINVAL);
	if (!isfinite(c->factor) || c->factor == 0)
		FAIL("factor", -EINVAL);
	if (c->factor != 1 && (c->source_format == QUIRE_FORMAT_FP64 ||
			       c->destination_format == QUIRE_FORMAT_FP64 ||
			       c->source_format == QUIRE_FORMAT_QUIRE ||
			       c->destination_format == QUIRE_FORMAT_QUIRE))
		FAIL("factor", -EINVAL);
	if (lacks_image_way(c->source_format, c->destination_format))
		FAIL("destination_format", -EINVAL);
	if (c->reserved)
		FAIL("reserved", -EINVAL);
	if (!c->rows || !c->columns)
		return 0;
	if (misaligned(c->source, c->source_format))
		FAIL("source", -EINVAL);
	if (misaligned(c->destination, c->destination_format))
		FAIL("destination", -EINVAL);
	if (bad_leading_dimension(c, c->source_format, c->source_leading_dimension))
		FAIL("source_leading_dimension", -EINVAL);
	if (bad_leading_dimension(c, c->destination_format, c->destination_leading_dimension))
		FAIL("destination_leading_dimension", -EINVAL);
	if (!extent_of(c, c->source, c->source_format, c->source_leading_dimension, &from))
		FAIL("source_leading_dimension", -EOVERFLOW);
	if (!extent_of(c, c->destination, c->destination_format, c->destination_leading_dimension,
		       &to))
		FAIL("destination_leading_dimension", -EOVERFLOW);
	if ((uintptr_t)c->source + from > (uintptr_t)c->destination &&
	    (uintptr_t)c->destination + to > (uintptr_t)c->source)
		FAIL("destination", -EINVAL);
	if (part_cuts_blocks(c))
		FAIL("digest_column", -EINVAL);
	return 0;
}

int quire_convert_check(const struct quire_convert *c, const char **why)
{
	fenv_t saved;
	int error;

	environment_enter(&saved);
	error = check(c, why);
	environment_leave(&saved);
	return error;
}

/* As quire/format.h defines it; of MXFP8 that of a scale. */
static uint64_t digest_index(uint32_t format, uint64_t row, uint64_t column, uint64_t columns)
{
	if (format == QUIRE_FORMAT_MXFP8)
		return row * gemm_offset(format, columns) + gemm_offset(format, column);
	return row * columns + column;
}

static void run(const struct job *job, uint64_t row, uint64_t column, uint64_t count,
		struct gemm_tally *tally)
{
	const struct quire_convert *c = job->convert;
	const uint8_t *in = (const uint8_t *)c->source +
			    gemm_offset(c->source_format, row * c->source_leading_dimension + column);
	uint8_t *out = (uint8_t *)c->destination +
		       gemm_offset(c->destination_format,
				   row * c->destination_leading_dimension + column);
	uint64_t columns = c->digest_columns ? c->digest_columns : c->columns;
	uint64_t index = digest_index(c->destination_format, c->digest_row + row,
				      c->digest_column + column, columns);

	job->kernel->convert(&job->formats, (uint32_t)count, in, out, index,
			     job->tally ? tally : NULL);
}

/* Some rows, or a piece of one. */
static void task(void *argument, unsigned int index, unsigned int worker)
{
	const struct job *job = argument;
	const struct quire_convert *c = job->convert;
	uint64_t row = index / job->pieces * job->rows;
	uint64_t column = index % job->pieces * TASK_ELEMENTS;
	uint64_t count = job->pieces == 1 ? c->columns : c->columns - column;
	struct gemm_tally tally = { 0, 0 };
	fenv_t saved;

	if (job->pieces > 1 && count > TASK_ELEMENTS)
		count = TASK_ELEMENTS;
	environment_enter(&saved);
	for (uint64_t i = row; i < row + job->rows && i < c->rows; i++) {
		if (c->cancel && *c->cancel)
			break;
		run(job, i, column, count, &tally);
	}
	environment_leave(&saved);
	if (job->tally) {
		job->tally[worker * GEMM_TALLY_STRIDE].digest += tally.digest;
		job->tally[worker * GEMM_TALLY_STRIDE].exceptional += tally.exceptional;
	}
}

/* A quire image on either side: a product without products, D = round(1 * C). */
static int convert_images(const struct quire_convert *c, struct quire_convert_result *result)
{
	struct quire_gemm_result sums = { 0 };
	uint64_t most = QUIRE_GEMM_DIMENSION_LIMIT;

	for (uint64_t i = 0; i < c->rows; i += most)
		for (uint64_t j = 0; j < c->columns; j += most) {
			uint64_t from = i * c->source_leading_dimension + j;
			uint64_t to = i * c->destination_leading_dimension + j;
			struct quire_gemm job = {
				.m = (uint32_t)(c->rows - i < most ? c->rows - i : most),
				.n = (uint32_t)(c->columns - j < most ? c->columns - j : most),
				.batch = 1, .beta = 1,
				.a.format = QUIRE_FORMAT_POSIT8, .b.format = QUIRE_FORMAT_POSIT8,
				.c = { (const uint8_t *)c->source +
				       from * gemm_element_bytes(c->source_format),
				       c->source_format, 0, c->source_leading_dimension, 0 },
				.d = { (uint8_t *)c->destination +
				       to * gemm_element_bytes(c->destination_format),
				       c->destination_format, 0, c->destination_leading_dimension, 0 },
				.digest_row = c->digest_row + i, .digest_column = c->digest_column + j,
				.digest_columns = c->digest_columns ? c->digest_columns : c->columns,
				.cancel = c->cancel, .threads = c->threads,
			};
			struct quire_gemm_result part;
			int error = quire_gemm(&job, &part);

			if (error)
				return error;
			sums.digest += part.digest;
			sums.exceptional += part.exceptional;
		}
	if (result)
		*result = (struct quire_convert_result){ sums.digest, sums.exceptional };
	return 0;
}

static int convert_all(struct job *job)
{
	const struct quire_convert *c = job->convert;
	uint64_t sets;

	/* a matrix in memory has fewer than 2^47 elements: fewer than 2^32 tasks */
	job->pieces = (c->columns + TASK_ELEMENTS - 1) / TASK_ELEMENTS;
	job->rows = job->pieces > 1 ? 1 : (TASK_ELEMENTS + c->columns - 1) / c->columns;
	sets = (c->rows + job->rows - 1) / job->rows;
	quire_threads_run(c->threads, (unsigned int)(job->pieces * sets), task, job);
	return c->cancel && *c->cancel ? -ECANCELED : 0;
}

static ENVIRONMENT_OWN int convert(const struct quire_convert *c, struct quire_convert_result *result)
{
	uint32_t workers;
	struct job job = { .convert = c };
	int error = quire_convert_check(c, NULL);

	if (error)
		return error;
	if (result)
		*result = (struct quire_convert_result){ 0, 0 };
	if (!c->rows || !c->columns)
		return 0;
	if (c->source_format == QUIRE_FORMAT_QUIRE || c->destination_format == QUIRE_FORMAT_QUIRE)
		return convert_images(c, result);
	workers = quire_threads_count(c->threads);
	if (result) {
		job.tally = calloc((size_t)workers * GEMM_TALLY_STRIDE, sizeof(*job.tally));
		if (!job.tally)
			return -ENOMEM;
	}
	job.kernel = gemm_kernel_current();
	if (!job.kernel)
		job.kernel = &gemm_kernel_generic;
	job.formats = (struct gemm_convert){ c->source_format, c->destination_format, c->factor };
	error = convert_all(&job);
	for (uint32_t i = 0; result && !error && i < workers; i++) {
		result->digest += job.tally[i * GEMM_TALLY_STRIDE].digest;
		result->exceptional += job.tally[i * GEMM_TALLY_STRIDE].exceptional;
	}
	free(job.tally);
	return error;
}

int quire_convert(const struct quire_convert *c, struct quire_convert_result *result)
{
	fenv_t saved;
	int error;

	environment_enter(&saved);
	error = convert(c, result);
	environment_leave(&saved);
	return error;
}
