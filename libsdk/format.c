// SPDX-License-Identifier: MIT
/* Names and sizes of formats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static const struct {
	const char *name;
	uint32_t format;
} others[] = {
	{ "bf16", QUIRE_FORMAT_BF16 }, { "fp16", QUIRE_FORMAT_FP16 },
	{ "fp32", QUIRE_FORMAT_FP32 }, { "fp64", QUIRE_FORMAT_FP64 },
	{ "e4m3", QUIRE_FORMAT_E4M3 }, { "e5m2", QUIRE_FORMAT_E5M2 },
	{ "int8", QUIRE_FORMAT_INT8 }, { "quire", QUIRE_FORMAT_QUIRE },
	{ "mxfp8", QUIRE_FORMAT_MXFP8 }, { "tiled", QUIRE_FORMAT_TILED },
};

static const char *const posits[] = {
	[3] = "posit3", [4] = "posit4", [5] = "posit5", [6] = "posit6", [7] = "posit7",
	[8] = "posit8", [9] = "posit9", [10] = "posit10", [11] = "posit11", [12] = "posit12",
	[13] = "posit13", [14] = "posit14", [15] = "posit15", [16] = "posit16",
	[17] = "posit17", [18] = "posit18", [19] = "posit19", [20] = "posit20",
	[21] = "posit21", [22] = "posit22", [23] = "posit23", [24] = "posit24",
	[25] = "posit25", [26] = "posit26", [27] = "posit27", [28] = "posit28",
	[29] = "posit29", [30] = "posit30", [31] = "posit31", [32] = "posit32",
};

static bool is_posit(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	return bits >= 3 && bits <= 32 && format == QUIRE_FORMAT_POSIT(bits);
}

const char *quire_format_name(uint32_t format)
{
	if (is_posit(format))
		return posits[QUIRE_FORMAT_BITS(format)];
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].format == format)
			return others[i].name;
	return "unknown";
}

uint32_t quire_format_parse(const char *name)
{
	if (!name)
		return QUIRE_FORMAT_NONE;
	for (uint32_t n = 3; n <= 32; n++)
		if (!strcmp(posits[n], name))
			return QUIRE_FORMAT_POSIT(n);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(others[i].name, name))
			return others[i].format;
	return QUIRE_FORMAT_NONE;
}

size_t quire_format_bytes(uint32_t format)
{
	if (is_posit(format))
		return QUIRE_FORMAT_BITS(format) <= 8 ? 1 : QUIRE_FORMAT_BITS(format) <= 16 ? 2 : 4;
	if (format == QUIRE_FORMAT_QUIRE)
		return QUIRE_IMAGE_BYTES;
	if (format == QUIRE_FORMAT_MXFP8)
		return 0;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].format == format)
			return QUIRE_FORMAT_BITS(format) / 8;
	return 0;
}
