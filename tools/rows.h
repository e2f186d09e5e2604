/* SPDX-License-Identifier: MIT */
/*
 * Rows of a report: JSON objects with the same keys.  table.h prints them for
 * people, the functions here make them and print them for programs.
 */
#ifndef QUIRE_TOOLS_ROWS_H
#define QUIRE_TOOLS_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

void row_put_string(json_object *row, const char *key, const char *value);
void row_put_integer(json_object *row, const char *key, uint64_t value);
void row_put_boolean(json_object *row, const char *key, bool value);
/* Four significant digits; what is not finite becomes null. */
void row_put_number(json_object *row, const char *key, double value);
void row_put_digest(json_object *row, const char *key, uint64_t digest);

/* RFC 4180 but for plain newlines; the first line names the columns, null is empty. */
void rows_print_csv(json_object *rows);
/* A whole report as JSON. */
void report_print_json(json_object *report);

#endif
