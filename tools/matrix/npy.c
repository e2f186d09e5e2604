// SPDX-License-Identifier: MIT
/*
 * Arrays of NumPy, file format versions 1 to 3: a Python dictionary of descr,
 * fortran_order and shape, then the elements.  Source: numpy.lib.format.
 * One dimension is a row; more than two are a matrix of as many rows as all
 * dimensions but the last have together.
 */
#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

#define DIMENSIONS 8

struct npy_header {
	char descr[24];
	bool fortran;
	unsigned int dimensions;
	uint64_t shape[DIMENSIONS];
	bool seen_descr, seen_order, seen_shape;
};

/* What is left of the dictionary. */
struct cursor {
	const char *at, *end;
};

static int fail(char *error, const char *text)
{
	snprintf(error, MATRIX_ERROR_BYTES, "%s", text);
	return -1;
}

static void skip_space(struct cursor *c)
{
	while (c->at < c->end && strchr(" \t\r\n", *c->at) && *c->at)
		c->at++;
}

static bool take(struct cursor *c, char wanted)
{
	skip_space(c);
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t length = strlen(word);

	skip_space(c);
	if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length))
		return false;
	c->at += length;
	return true;
}

static bool take_string(struct cursor *c, char *text, size_t room)
{
	size_t length = 0;
	char quote;

	skip_space(c);
	if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
		return false;
	quote = *c->at++;
	while (c->at < c->end && *c->at != quote) {
		if (length + 1 == room)
			return false;
		text[length++] = *c->at++;
	}
	text[length] = '\0';
	return take(c, quote);
}

static bool take_shape(struct cursor *c, struct npy_header *h)
{
	if (!take(c, '('))
		return false;
	while (!take(c, ')')) {
		uint64_t size = 0;

		skip_space(c);
		if (h->dimensions == DIMENSIONS || c->at == c->end || *c->at < '0' || *c->at > '9')
			return false;
		for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
			if (size > UINT64_MAX / 16)
				return false;
			size = size * 10 + (uint64_t)(*c->at - '0');
		}
		take(c, 'L'); /* of Python 2 */
		h->shape[h->dimensions++] = size;
		if (!take(c, ',')) {
			if (!take(c, ')'))
				return false;
			break;
		}
	}
	return true;
}

static int parse_header(struct cursor *c, struct npy_header *h, char *error)
{
	if (!take(c, '{'))
		return fail(error, "the npy header is not a dictionary");
	while (!take(c, '}')) {
		char key[24];
		bool good = take_string(c, key, sizeof(key)) && take(c, ':');

		if (good && !strcmp(key, "descr")) {
			h->seen_descr = true;
			skip_space(c);
			if (c->at < c->end && *c->at == '[')
				return fail(error, "the npy array has fields (a structured type); save one of them");
			good = take_string(c, h->descr, sizeof(h->descr));
		} else if (good && !strcmp(key, "fortran_order")) {
			h->seen_order = true;
			h->fortran = take_word(c, "True");
			good = h->fortran || take_word(c, "False");
		} else if (good && !strcmp(key, "shape")) {
			good = !h->seen_shape;
			h->seen_shape = true;
			good = good && take_shape(c, h);
		} else if (good) {
			return fail(error, "the npy header has an unknown key");
		}
		if (!good)
			return fail(error, "the npy header is damaged");
		if (!take(c, ',')) {
			if (!take(c, '}'))
				return fail(error, "the npy header does not end");
			break;
		}
	}
	if (!h->seen_descr || !h->seen_order || !h->seen_shape)
		return fail(error, "the npy header lacks descr, fortran_order or shape");
	return 0;
}

struct element_type {
	char kind;		/* 'f', 'i', 'u', 'b' */
	unsigned int bytes;
	bool swapped;
};

static int parse_type(const char *descr, struct element_type *type, char *error)
{
	static const char *const known[] = { "f2", "f4", "f8", "i1", "i2", "i4", "i8",
					     "u1", "u2", "u4", "u8", "b1" };
	bool big = *descr == '>' || (*descr == '=' && BYTE_ORDER == BIG_ENDIAN);
	const char *name = *descr && strchr("<>=|", *descr) ? descr + 1 : descr;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i]))
			continue;
		type->kind = name[0];
		type->bytes = (unsigned int)(name[1] - '0');
		type->swapped = big != (BYTE_ORDER == BIG_ENDIAN);
		return 0;
	}
	snprintf(error, MATRIX_ERROR_BYTES,
		 "npy elements of type \"%s\" are not real numbers this tool knows; save them as float32 or float64",
		 descr);
	return -1;
}

static double half_value(uint16_t bits)
{
	int exponent = bits >> 10 & 31, fraction = bits & 1023;
	double magnitude;

	if (exponent == 31)
		magnitude = fraction ? NAN : INFINITY;
	else
		magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
	return bits >> 15 ? -magnitude : magnitude;
}

/* One element; *exact becomes false for an integer beyond 2^53 that FP64 rounds. */
static double element_value(const uint8_t *at, const struct element_type *type, bool *exact)
{
	union { uint8_t byte[8]; uint16_t u2; uint32_t u4; uint64_t u8; int8_t i1; int16_t i2;
		int32_t i4; int64_t i8; float f4; double f8; } value = { .u8 = 0 };

	for (unsigned int i = 0; i < type->bytes; i++)
		value.byte[type->swapped ? type->bytes - 1 - i : i] = at[i];
	switch (type->kind) {
	case 'f':
		return type->bytes == 2 ? half_value(value.u2) :
		       type->bytes == 4 ? (double)value.f4 : value.f8;
	case 'i':
		if (type->bytes == 8 && (value.i8 > 1ll << 53 || value.i8 < -(1ll << 53)))
			*exact = false;
		return type->bytes == 1 ? value.i1 : type->bytes == 2 ? value.i2 :
		       type->bytes == 4 ? value.i4 : (double)value.i8;
	default:
		if (type->bytes == 8 && value.u8 > 1ull << 53)
			*exact = false;
		return type->bytes == 1 ? value.byte[0] : type->bytes == 2 ? value.u2 :
		       type->bytes == 4 ? value.u4 : (double)value.u8;
	}
}

/* FP32 holds all values of FP16, FP32 and integers of 16 bits; the others go to FP64. */
static int convert(const uint8_t *elements, const struct npy_header *h,
		   const struct element_type *type, struct matrix *matrix, char *error)
{
	bool single = type->bytes <= 2 || (type->kind == 'f' && type->bytes == 4);
	uint64_t rows = matrix->rows, columns = matrix->columns;
	bool exact = true;

	if (matrix_alloc(matrix, single ? MATRIX_F32 : MATRIX_F64, rows, columns, error))
		return -1;
	for (uint64_t r = 0; r < rows; r++) {
		for (uint64_t c = 0; c < columns; c++) {
			uint64_t from = h->fortran ? c * rows + r : r * columns + c;
			double value = element_value(elements + from * type->bytes, type, &exact);

			if (single)
				((float *)matrix->memory)[r * columns + c] = (float)value;
			else
				((double *)matrix->memory)[r * columns + c] = value;
		}
	}
	if (exact)
		return 0;
	matrix_free(matrix);
	return fail(error, "an integer beyond 2^53 cannot be taken exactly; save the array as float64");
}

static int shape_of(const struct npy_header *h, struct matrix *matrix, uint64_t *count, char *error)
{
	matrix->rows = 1;
	matrix->columns = h->dimensions ? h->shape[h->dimensions - 1] : 1;
	*count = matrix->columns;
	for (unsigned int i = 0; i + 1 < h->dimensions; i++) {
		if (__builtin_mul_overflow(*count, h->shape[i], count))
			return fail(error, "the npy array's shape is larger than any file");
		matrix->rows *= h->shape[i];
	}
	if (!*count)
		return fail(error, "the npy array has no elements");
	if (h->fortran && h->dimensions > 2)
		return fail(error, "an npy array of more than two dimensions must be in C order (numpy.ascontiguousarray)");
	return 0;
}

int npy_parse(const uint8_t *bytes, size_t size, struct matrix *matrix, char *error)
{
	struct element_type type = { 0 };
	struct npy_header h = { .fortran = false };
	size_t start, length;
	uint64_t count, left;
	struct cursor c;

	memset(matrix, 0, sizeof(*matrix));
	if (size < 12 || memcmp(bytes, "\x93NUMPY", 6))
		return fail(error, "this is no npy file, or it is cut off");
	if (bytes[6] < 1 || bytes[6] > 3) {
		snprintf(error, MATRIX_ERROR_BYTES, "npy version %u is unknown; 1 to 3 are known",
			 bytes[6]);
		return -1;
	}
	start = bytes[6] == 1 ? 10 : 12;
	length = bytes[8] | (size_t)bytes[9] << 8;
	if (bytes[6] > 1)
		length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
	if (length > size - start)
		return fail(error, "the npy file is cut off in its header");
	c.at = (const char *)bytes + start;
	c.end = c.at + length;
	if (parse_header(&c, &h, error) || parse_type(h.descr, &type, error) ||
	    shape_of(&h, matrix, &count, error))
		return -1;
	bytes += start + length;
	left = size - start - length;
	if (count > left / type.bytes || count * type.bytes != left) {
		snprintf(error, MATRIX_ERROR_BYTES,
			 "the npy header says %llu elements of %u bytes, but %llu bytes follow it",
			 (unsigned long long)count, type.bytes, (unsigned long long)left);
		return -1;
	}
	/* A single row or column is the same in both orders. */
	if (type.kind == 'f' && type.bytes >= 4 && !type.swapped &&
	    (!h.fortran || matrix->rows == 1 || matrix->columns == 1) &&
	    (uintptr_t)bytes % type.bytes == 0) {
		matrix->type = type.bytes == 4 ? MATRIX_F32 : MATRIX_F64;
		matrix->data = bytes;
		return 0;
	}
	return convert(bytes, &h, &type, matrix, error);
}
