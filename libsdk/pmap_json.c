// SPDX-License-Identifier: MIT
/* A precision map as JSON, whatever the locale. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <quirenum/number.h>

#include "pmap.h"

/* Text of any length, of which the first bytes - 1 characters are kept. */
struct text {
	char *at;
	size_t bytes, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
	size_t used = text->length < text->bytes ? text->length : text->bytes;
	va_list arguments;

	va_start(arguments, format);
	text->length += (size_t)vsnprintf(text->bytes > used ? text->at + used : NULL,
					  text->bytes - used, format, arguments);
	va_end(arguments);
}

static void put_number(struct text *text, const char *name, double value)
{
	char number[QUIRE_NUMBER_TEXT_SIZE];
	uint64_t word;

	memcpy(&word, &value, sizeof(word));
	quire_number_print(QUIRE_FORMAT_FP64, word, QUIRE_NUMBER_DECIMAL, number, sizeof(number));
	put(text, ",\"%s\":%s", name, number);
}

static void put_integer(struct text *text, const char *name, uint64_t value)
{
	put(text, ",\"%s\":%llu", name, (unsigned long long)value);
}

/* bits or scale of the tiles, an array for each row of the grid */
static void put_grid(struct text *text, const char *name, const quire_pmap *pmap, bool scale)
{
	const struct quire_tile_choice *choice = pmap->choices;

	put(text, ",\"%s\":[", name);
	for (uint32_t row = 0; row < pmap->info.grid_rows; row++) {
		for (uint32_t column = 0; column < pmap->info.grid_columns; column++, choice++)
			put(text, "%s%d",
			    column ? ","
			    : row  ? ",["
				   : "[",
			    scale ? choice->scale : choice->bits);
		put(text, "]");
	}
	put(text, "]");
}

size_t quire_pmap_json(const quire_pmap *pmap, char *out, size_t bytes)
{
	static const char *const goals[] = { "error", "bytes", "energy" };
	struct text text = { out, out ? bytes : 0, 0 };
	const struct quire_pmap_info *info;

	if (!pmap)
		return 0;
	info = &pmap->info;
	put(&text, "{\"schema\":\"quire-pmap/1\",\"goal\":\"%s\"", goals[info->goal]);
	put_integer(&text, "rows", info->rows);
	put_integer(&text, "columns", info->columns);
	put_integer(&text, "tile_rows", info->tile_rows);
	put_integer(&text, "tile_columns", info->tile_columns);
	put_integer(&text, "grid_rows", info->grid_rows);
	put_integer(&text, "grid_columns", info->grid_columns);
	put_integer(&text, "product_columns", info->product_columns);
	put_number(&text, "error", info->error);
	put_number(&text, "norm", info->norm);
	put_number(&text, "bits_per_element", info->bits_per_element);
	put_integer(&text, "image_bytes", info->image_bytes);
	put_integer(&text, "data_bytes", info->data_bytes);
	put_integer(&text, "modelled_pj", info->modelled_pj);
	put(&text, ",\"tiles\":[");
	for (int n = 0; n <= 32; n++)
		put(&text, "%s%llu", n ? "," : "", (unsigned long long)info->tiles[n]);
	put(&text, "]");
	put_grid(&text, "bits", pmap, false);
	put_grid(&text, "scale", pmap, true);
	put(&text, "}");
	return text.length;
}
