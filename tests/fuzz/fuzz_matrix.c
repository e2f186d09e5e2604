// SPDX-License-Identifier: MIT
/* Any bytes as npy, CSV and picture: refused or a matrix whose elements can all be read. */
#include <stdlib.h>
#include <string.h>

#include <matrix.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct matrix *matrix)
{
	volatile double sum = 0;

	if (!matrix->rows || !matrix->columns)
		abort();
	for (uint64_t r = 0; r < matrix->rows; r++)
		for (uint64_t c = 0; c < matrix->columns; c++)
			sum += matrix_at(matrix, r, c);
	matrix_free(matrix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[MATRIX_ERROR_BYTES];
	char *text = malloc(size + 1);
	struct matrix matrix;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!npy_parse((const uint8_t *)text, size, &matrix, error))
		read_all(&matrix);
	if (!pnm_parse(data, size, &matrix, error))
		read_all(&matrix);
	if (!csv_parse(text, size, &matrix, error))
		read_all(&matrix);
	free(text);
	return 0;
}
