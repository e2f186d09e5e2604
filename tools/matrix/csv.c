// SPDX-License-Identifier: MIT
/*
 * Numbers in lines: separated by comma, semicolon, tab or spaces.  Empty lines
 * and lines that begin with # are left out; so is a first line that does not
 * begin with a number, the names of the columns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

struct numbers {
	double *value;
	size_t count, room;
};

static bool append(struct numbers *numbers, double value)
{
	if (numbers->count == numbers->room) {
		size_t room = numbers->room ? 2 * numbers->room : 1024;
		double *more = realloc(numbers->value, room * sizeof(*more));

		if (!more)
			return false;
		numbers->value = more;
		numbers->room = room;
	}
	numbers->value[numbers->count++] = value;
	return true;
}

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r')
		at++;
	return at;
}

/* 1: a line of numbers; 0: something else; -1: no memory. Stays within the line. */
static int parse_line(const char *at, const char *end, struct numbers *numbers)
{
	size_t before = numbers->count;

	for (;;) {
		char *stop;
		double value;

		at = skip_blanks(at);
		if (at >= end || *at == '\n')
			break;
		value = strtod(at, &stop);
		if (stop == at || stop > end || (*stop && !strchr(",; \t\r\n", *stop)) ||
		    (!*stop && stop != end)) {
			numbers->count = before;
			return 0;
		}
		if (!append(numbers, value))
			return -1;
		at = skip_blanks(stop);
		if (at < end && (*at == ',' || *at == ';'))
			at++;
	}
	return 1;
}

static int describe(char *error, unsigned long line, const char *text)
{
	snprintf(error, MATRIX_ERROR_BYTES, "line %lu %s", line, text);
	return -1;
}

static int parse_lines(const char *text, size_t size, struct numbers *numbers,
		       struct matrix *matrix, char *error)
{
	const char *at = text, *all = text + size;
	unsigned long line = 0;

	while (at < all) {
		const char *end = memchr(at, '\n', (size_t)(all - at));
		size_t before = numbers->count;
		const char *first = skip_blanks(at);
		int kind;

		end = end ? end : all;
		line++;
		kind = first >= end || *first == '#' ? 1 : parse_line(at, end, numbers);
		at = end + 1;
		if (kind < 0)
			return describe(error, line, "is more than fits into memory");
		if (!kind && line > 1)
			return describe(error, line, "is not a line of numbers");
		if (numbers->count == before)
			continue;
		if (!matrix->rows)
			matrix->columns = numbers->count - before;
		else if (numbers->count - before != matrix->columns)
			return describe(error, line, "has more or fewer numbers than the lines before");
		matrix->rows++;
	}
	if (!matrix->rows)
		return snprintf(error, MATRIX_ERROR_BYTES, "there are no numbers in it"), -1;
	return 0;
}

int csv_parse(const char *text, size_t size, struct matrix *matrix, char *error)
{
	struct numbers numbers = { NULL, 0, 0 };

	memset(matrix, 0, sizeof(*matrix));
	matrix->type = MATRIX_F64;
	if (parse_lines(text, size, &numbers, matrix, error)) {
		free(numbers.value);
		memset(matrix, 0, sizeof(*matrix));
		return -1;
	}
	matrix->memory = numbers.value;
	matrix->data = numbers.value;
	return 0;
}
