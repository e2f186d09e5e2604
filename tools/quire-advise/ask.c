// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quirenum/qtn.h>
#include <quirenum/threads.h>

#include "../exit_status.h"
#include "../progress.h"
#include "advise.h"

/* A definiteness test of this many rows takes about ten seconds. */
#define COVARIANCE_LIMIT 4096

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("quire-advise: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return STATUS_FAILED;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The mean square of each column of a batch. */
static int load_weights(const char *name, uint64_t columns, float **weights)
{
	char error[MATRIX_ERROR_BYTES];
	struct matrix batch;

	*weights = NULL;
	if (!name)
		return 0;
	if (matrix_load(name, &batch, error))
		return complain("%s", error);
	if (batch.columns != columns) {
		uint64_t have = batch.columns;

		matrix_free(&batch);
		return complain("%s: has %llu columns, the matrix %llu", name,
				(unsigned long long)have, (unsigned long long)columns);
	}
	*weights = malloc(columns * sizeof(**weights));
	for (uint64_t c = 0; *weights && c < columns; c++) {
		double sum = 0;

		for (uint64_t r = 0; r < batch.rows; r++)
			sum += matrix_at(&batch, r, c) * matrix_at(&batch, r, c);
		(*weights)[c] = (float)(sum / (double)batch.rows);
	}
	matrix_free(&batch);
	return *weights ? 0 : complain("not enough memory");
}

static struct quire_dense dense_of(const struct matrix *matrix)
{
	return (struct quire_dense){
		.data = matrix->data,
		.format = matrix->type == MATRIX_F32 ? QUIRE_FORMAT_FP32 : QUIRE_FORMAT_FP64,
		.leading_dimension = matrix->columns,
	};
}

static int show(void *argument, double done)
{
	progress_show(argument, done);
	return 0;
}

static int explain(const struct request *request, const struct answer *answer, int error)
{
	const struct quire_advice *advice = &answer->advice;

	switch (error) {
	case -EDOM:
		return complain("%s: element (%u, %u) is not a finite number", request->name,
				advice->row, advice->column);
	case -ERANGE:
		if (request->budget == QUIRE_BUDGET_ERROR)
			return complain("%s: tau %g cannot be met; the best with these widths is %.4g",
					request->name, request->tau, advice->error);
		return complain("%s: the budget is below what the cheapest choice takes", request->name);
	case -ENOMEM:
		return complain("not enough memory");
	}
	return complain("%s: the advisor refused the question: %s", request->name, strerror(-error));
}

static int take_advice(const struct request *request, struct answer *answer, const float *weights,
		       struct quire_threads *threads)
{
	struct quire_tiled_advise question = {
		.shape = answer->shape,
		.matrix = dense_of(&answer->matrix),
		.budget = request->budget,
		.tau = request->tau,
		.image_bytes = request->image_bytes,
		.modelled_pj = request->modelled_pj,
		.product_columns = request->product_columns,
		.weights = weights,
		.widths = request->widths,
		.progress = progress_wanted() ? show : NULL,
		.progress_argument = (void *)(uintptr_t)"advise",
		.threads = threads,
	};
	double start = seconds_now();
	int error = quire_tiled_advise(&question, answer->choices, &answer->advice);

	answer->seconds = seconds_now() - start;
	if (question.progress)
		progress_show("advise", 1);
	return error ? explain(request, answer, error) : 0;
}

/* The image is packed and compared with the matrix anew: the advice is not taken on trust. */
static int certify(const struct request *request, struct answer *answer, const float *weights,
		   struct quire_threads *threads)
{
	uint64_t bytes = quire_tiled_plan(&answer->shape, answer->choices);
	struct quire_dense dense = dense_of(&answer->matrix);
	double tau = request->tau;
	int error;

	answer->image = bytes ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
	if (!answer->image)
		return complain("no memory for an image of %llu bytes", (unsigned long long)bytes);
	error = quire_tiled_pack(&answer->shape, &dense, answer->choices, answer->image, bytes, threads);
	error = error ? error : quire_tiled_open(answer->image, bytes, &answer->view, NULL);
	if (request->budget != QUIRE_BUDGET_ERROR) /* what was reached, with room for its rounding */
		tau = fmin(1, fmax(QUIRE_ADVISE_TAU_MIN, answer->advice.error * (1 + 0x1p-30)));
	error = error ? error : quire_certify(&dense, &answer->view, weights, tau, threads,
					      &answer->certificate);
	return error ? complain("packing failed: %s", strerror(-error)) : 0;
}

static int look_at_covariance(const struct request *request, struct answer *answer)
{
	struct quire_dense dense = dense_of(&answer->matrix);
	uint64_t n = answer->matrix.rows;
	int error;

	if (n != answer->matrix.columns && request->covariance == COVARIANCE_YES)
		return complain("%s: a covariance is square", request->name);
	if (request->covariance == COVARIANCE_NO || n != answer->matrix.columns ||
	    (request->covariance == COVARIANCE_AUTO &&
	     (n > COVARIANCE_LIMIT || !matrix_is_symmetric(&answer->matrix))))
		return 0;
	error = quire_definite(&dense, (uint32_t)n, &answer->view, &answer->definite);
	if (error)
		return complain("the test for definiteness failed: %s", strerror(-error));
	answer->looked_at_definite = true;
	return 0;
}

static int is_qtn(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && !strcmp(name + length - 4, ".qtn");
}

/* The numbers of a tiled file, which are doubles exactly. */
static int load_tiled(const char *name, struct matrix *matrix)
{
	char no_memory[MATRIX_ERROR_BYTES];
	struct quire_qtn_error wrong;
	struct quire_qtn file;
	int error = quire_qtn_open(name, &file, NULL, &wrong);

	if (error)
		return complain("%s: %s", name, wrong.text);
	error = matrix_alloc(matrix, MATRIX_F64, file.view.shape.rows, file.view.shape.columns,
			     no_memory);
	for (uint32_t r = 0; !error && r < file.view.shape.rows; r++)
		for (uint32_t c = 0; c < file.view.shape.columns; c++)
			((double *)matrix->memory)[(size_t)r * file.view.shape.columns + c] =
				quire_tiled_element(&file.view, r, c);
	quire_qtn_close(&file);
	return error ? complain("%s: %s", name, no_memory) : 0;
}

static int write_image(const struct request *request, const struct answer *answer)
{
	struct quire_qtn_error wrong;

	if (!request->image)
		return 0;
	if (!answer->certificate.holds)
		return complain("%s: not written, the exact check of the error failed", request->image);
	if (quire_qtn_write(request->image, answer->image, answer->advice.image_bytes, NULL, &wrong))
		return complain("%s: %s", request->image, wrong.text);
	return 0;
}

static int prepare(const struct request *request, struct answer *answer)
{
	char error[MATRIX_ERROR_BYTES];

	if (is_qtn(request->name)) {
		if (load_tiled(request->name, &answer->matrix))
			return STATUS_FAILED;
	} else if (matrix_load(request->name, &answer->matrix, error)) {
		return complain("%s", error);
	}
	if (request->detail && take_means(&answer->matrix, request->tile_rows, request->tile_columns,
					  error))
		return complain("%s", error);
	if (answer->matrix.rows > QUIRE_TILED_MAX_DIMENSION ||
	    answer->matrix.columns > QUIRE_TILED_MAX_DIMENSION)
		return complain("%s: %llu x %llu is larger than the 2^24 a side may have",
				request->name, (unsigned long long)answer->matrix.rows,
				(unsigned long long)answer->matrix.columns);
	answer->shape = (struct quire_tiled_shape){
		(uint32_t)answer->matrix.rows, (uint32_t)answer->matrix.columns,
		request->tile_rows, request->tile_columns,
	};
	answer->grid_rows = quire_tiled_grid(answer->shape.rows, request->tile_rows);
	answer->grid_columns = quire_tiled_grid(answer->shape.columns, request->tile_columns);
	answer->choices = malloc(quire_tiled_count(&answer->shape) * sizeof(*answer->choices));
	return answer->choices ? 0 : complain("not enough memory");
}

int ask(const struct request *request, struct answer *answer)
{
	struct quire_threads *threads = NULL;
	float *weights = NULL;
	int status;

	memset(answer, 0, sizeof(*answer));
	status = prepare(request, answer);
	if (!status)
		status = load_weights(request->calibration, answer->matrix.columns, &weights);
	if (!status && request->threads != 1) {
		threads = quire_threads_create(request->threads);
		if (!threads)
			status = complain("cannot start threads: %s", strerror(errno));
	}
	status = status ? status : take_advice(request, answer, weights, threads);
	status = status ? status : certify(request, answer, weights, threads);
	status = status ? status : look_at_covariance(request, answer);
	status = status ? status : write_image(request, answer);
	quire_threads_destroy(threads);
	free(weights);
	return status;
}

void answer_free(struct answer *answer)
{
	matrix_free(&answer->matrix);
	free(answer->choices);
	free(answer->image);
}
