/* SPDX-License-Identifier: MIT */
/*
 * Matrices as the tools take them: from files and from generators.
 *
 * What a name may be:
 *	FILE			.npy, .csv, .csv.gz, PGM or PPM, told apart by their contents
 *	matern[:KEY=VALUE,...]	covariance of scattered points, see covariance.h
 *	rbf:DIGITS.CSV.GZ	kernel exp(-d^2 / 2) of 1024 handwritten digits
 *
 * Functions that can fail return 0, or -1 with one line at error, which has room for
 * MATRIX_ERROR_BYTES, that says what is wrong.
 */
#ifndef QUIRE_TOOLS_MATRIX_H
#define QUIRE_TOOLS_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MATRIX_ERROR_BYTES 256

enum matrix_type {
	MATRIX_F32 = 4,		/* the value is the size of an element in bytes */
	MATRIX_F64 = 8,
};

/*
 * struct matrix - row-major, without gaps
 * @type:   of the elements
 * @rows, @columns: shape, each at least 1
 * @data:   elements; in a mapped file, or in @memory
 * @memory: what matrix_free() frees, or NULL
 * @map, @map_bytes: what matrix_free() unmaps, or NULL
 */
struct matrix {
	enum matrix_type type;
	uint64_t rows, columns;
	const void *data;
	void *memory;
	void *map;
	size_t map_bytes;
};

/* The matrix of a name as above. */
int matrix_load(const char *name, struct matrix *matrix, char *error);

/* A matrix of zeros, in matrix->memory. */
int matrix_alloc(struct matrix *matrix, enum matrix_type type, uint64_t rows, uint64_t columns,
		 char *error);

/* A matrix of zeros, loaded or not, is fine. */
void matrix_free(struct matrix *matrix);

static inline double matrix_at(const struct matrix *matrix, uint64_t row, uint64_t column)
{
	uint64_t at = row * matrix->columns + column;

	return matrix->type == MATRIX_F32 ? (double)((const float *)matrix->data)[at] :
					    ((const double *)matrix->data)[at];
}

/* Square, and equal to its transpose bit for bit. */
bool matrix_is_symmetric(const struct matrix *matrix);

/*
 * One format each.  bytes stays the caller's and must outlive the matrix: the
 * elements are used in place where their layout allows it (npy).  text of
 * csv_parse() ends with a NUL that size does not count.
 */
int npy_parse(const uint8_t *bytes, size_t size, struct matrix *matrix, char *error);
int csv_parse(const char *text, size_t size, struct matrix *matrix, char *error);
int pnm_parse(const uint8_t *bytes, size_t size, struct matrix *matrix, char *error);

#endif
