/* SPDX-License-Identifier: MIT */
/* Rows of JSON as a table for people. */
#ifndef QUIRE_TABLE_H
#define QUIRE_TABLE_H

#include <json-c/json.h>

/*
 * Print an array of objects: keys as headings, words to the left, numbers to the
 * right, null as N/A.  Where the keys change a new table begins.
 */
void table_print(json_object *rows);

#endif /* QUIRE_TABLE_H */
