// SPDX-License-Identifier: MIT
/* Conversion of single numbers between any two formats, one rounding. */
#include <quirenum/number.h>

#include "number.h"

bool quire_number_format_valid(uint32_t format)
{
	return number_format_valid(format);
}

uint64_t quire_number_convert(uint32_t to, uint32_t from, uint64_t word)
{
	return number_store(to, number_load(from, word));
}
