// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rows.h"

void row_put_string(json_object *row, const char *key, const char *value)
{
	json_object_object_add(row, key, value ? json_object_new_string(value) : NULL);
}

void row_put_integer(json_object *row, const char *key, uint64_t value)
{
	json_object_object_add(row, key, json_object_new_uint64(value));
}

void row_put_boolean(json_object *row, const char *key, bool value)
{
	json_object_object_add(row, key, json_object_new_boolean(value));
}

void row_put_number(json_object *row, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4g", value);
	json_object_object_add(row, key,
			       isfinite(value) ? json_object_new_double_s(value, text) : NULL);
}

void row_put_digest(json_object *row, const char *key, uint64_t digest)
{
	char text[20];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)digest);
	row_put_string(row, key, text);
}

static const char *text_of(json_object *value)
{
	if (!value)
		return "";
	if (json_object_is_type(value, json_type_boolean))
		return json_object_get_boolean(value) ? "yes" : "no";
	return json_object_get_string(value);
}

static void print_field(const char *text)
{
	if (!strpbrk(text, ",\"\n")) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

void rows_print_csv(json_object *rows)
{
	size_t count = json_object_array_length(rows);
	json_object *first = count ? json_object_array_get_idx(rows, 0) : NULL;

	for (size_t line = 0; first && line <= count; line++) {
		json_object *row = line ? json_object_array_get_idx(rows, line - 1) : NULL;
		int column = 0;

		json_object_object_foreach(first, key, unused) {
			json_object *value = row ? json_object_object_get(row, key) : NULL;

			(void)unused;
			if (column++)
				putchar(',');
			print_field(row ? text_of(value) : key);
		}
		putchar('\n');
	}
	fflush(stdout);
}

void report_print_json(json_object *report)
{
	puts(json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
}
