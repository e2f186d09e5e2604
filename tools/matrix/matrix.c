// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "covariance.h"
#include "matrix.h"

int matrix_alloc(struct matrix *matrix, enum matrix_type type, uint64_t rows, uint64_t columns,
		 char *error)
{
	uint64_t count;

	memset(matrix, 0, sizeof(*matrix));
	if (__builtin_mul_overflow(rows, columns, &count) || count > SIZE_MAX / sizeof(double) ||
	    !(matrix->memory = calloc(count, type))) {
		snprintf(error, MATRIX_ERROR_BYTES, "no memory for %llu x %llu elements",
			 (unsigned long long)rows, (unsigned long long)columns);
		return -1;
	}
	matrix->type = type;
	matrix->rows = rows;
	matrix->columns = columns;
	matrix->data = matrix->memory;
	return 0;
}

void matrix_free(struct matrix *matrix)
{
	free(matrix->memory);
	if (matrix->map)
		munmap(matrix->map, matrix->map_bytes);
	memset(matrix, 0, sizeof(*matrix));
}

bool matrix_is_symmetric(const struct matrix *matrix)
{
	if (matrix->rows != matrix->columns)
		return false;
	for (uint64_t r = 1; r < matrix->rows; r++)
		for (uint64_t c = 0; c < r; c++)
			if (matrix_at(matrix, r, c) != matrix_at(matrix, c, r))
				return false;
	return true;
}

/* The text of a file, unpacked if it was packed; NULL with error set. */
static char *read_text(const char *path, size_t *size, char *error)
{
	gzFile file = gzopen(path, "rb");
	size_t room = 1 << 16;
	char *text = malloc(room);
	int got = 1;

	*size = 0;
	while (file && text && got > 0) {
		if (room - *size < 2) {
			char *more = realloc(text, room *= 2);

			if (!more)
				break;
			text = more;
		}
		/* One byte is kept for the NUL. */
		got = gzread(file, text + *size,
			     (unsigned int)(room - *size - 1 < 1 << 20 ? room - *size - 1 : 1 << 20));
		*size += got > 0 ? (size_t)got : 0;
	}
	if (file && gzclose(file) == Z_OK && text && got == 0) {
		text[*size] = '\0';
		return text;
	}
	snprintf(error, MATRIX_ERROR_BYTES, "%s",
		 got ? "the packed text is damaged, cut off or larger than memory" : strerror(errno));
	free(text);
	return NULL;
}

static int load_text(const char *path, struct matrix *matrix, char *error)
{
	size_t size;
	char *text = read_text(path, &size, error);
	int result = text ? csv_parse(text, size, matrix, error) : -1;

	free(text);
	return result;
}

/* Map the file and parse it in place; the mapping goes when nothing points to it. */
static int load_mapped(const char *path, struct matrix *matrix, char *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	uint8_t *bytes = MAP_FAILED;
	size_t size = 0;
	int result;

	if (fd >= 0 && !fstat(fd, &stat)) {
		errno = S_ISREG(stat.st_mode) ? EINVAL : EISDIR; /* an empty file is no matrix */
		size = (size_t)stat.st_size;
		if (S_ISREG(stat.st_mode) && size)
			bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	if (bytes == MAP_FAILED)
		snprintf(error, MATRIX_ERROR_BYTES, "%s",
			 errno == EINVAL ? "the file is empty" : strerror(errno));
	if (fd >= 0)
		close(fd);
	if (bytes == MAP_FAILED)
		return -1;
	if (bytes[0] == 'P' && size > 1 && bytes[1] >= '1' && bytes[1] <= '7')
		result = pnm_parse(bytes, size, matrix, error);
	else if (bytes[0] == 0x93)
		result = npy_parse(bytes, size, matrix, error);
	else
		result = load_text(path, matrix, error);
	if (!result && !matrix->memory) {
		matrix->map = bytes;
		matrix->map_bytes = size;
	} else {
		munmap(bytes, size);
	}
	return result;
}

int matrix_load(const char *name, struct matrix *matrix, char *error)
{
	char what[MATRIX_ERROR_BYTES];
	struct matern matern;
	int result;

	memset(matrix, 0, sizeof(*matrix));
	if (!strncmp(name, "matern", 6) && (!name[6] || name[6] == ':'))
		result = matern_parse(name + 6 + !!name[6], &matern, what) ||
			 matern_covariance(&matern, matrix, what);
	else if (!strncmp(name, "rbf:", 4))
		result = rbf_kernel(name + 4, matrix, what);
	else
		result = load_mapped(name, matrix, what);
	if (!result)
		return 0;
	snprintf(error, MATRIX_ERROR_BYTES, "%.80s: %.170s", name, what);
	return -1;
}
