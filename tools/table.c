// SPDX-License-Identifier: MIT
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

static const char *text_of(json_object *value)
{
	return value ? json_object_get_string(value) : "N/A";
}

/* Rows belong to one table when they have the same keys. */
static bool same_keys(json_object *a, json_object *b)
{
	if (json_object_object_length(a) != json_object_object_length(b))
		return false;
	json_object_object_foreach(a, key, value) {
		(void)value;
		if (!json_object_object_get_ex(b, key, NULL))
			return false;
	}
	return true;
}

/* Width and side of the column of @key in rows @first to @end - 1. */
static void measure_column(json_object *rows, size_t first, size_t end, const char *key,
			   int *width, bool *words)
{
	*width = (int)strlen(key);
	*words = false;
	for (size_t i = first; i < end; i++) {
		json_object *row = json_object_array_get_idx(rows, i), *value;
		int needed;

		value = json_object_object_get(row, key);
		needed = (int)strlen(text_of(value));
		*width = needed > *width ? needed : *width;
		*words |= json_object_is_type(value, json_type_string);
	}
}

static void print_line(json_object *rows, size_t first, size_t end, json_object *row)
{
	json_object_object_foreach(json_object_array_get_idx(rows, first), key, value) {
		const char *text = row ? text_of(json_object_object_get(row, key)) : key;
		bool words;
		int width;

		(void)value;
		measure_column(rows, first, end, key, &width, &words);
		printf(words ? "%-*s  " : "%*s  ", width, text);
	}
	putchar('\n');
}

void table_print(json_object *rows)
{
	size_t count = json_object_array_length(rows), first = 0;

	while (first < count) {
		size_t end = first + 1;

		while (end < count && same_keys(json_object_array_get_idx(rows, first),
						json_object_array_get_idx(rows, end)))
			end++;
		if (first)
			putchar('\n');
		print_line(rows, first, end, NULL);
		for (size_t i = first; i < end; i++)
			print_line(rows, first, end, json_object_array_get_idx(rows, i));
		first = end;
	}
}
