/* SPDX-License-Identifier: MIT */
/* Device core dumps, read with quire-dump. */
#ifndef QUIRE_TESTS_DUMPS_H
#define QUIRE_TESTS_DUMPS_H

#include <json-c/json.h>

/* The file that the kernel keeps, or an empty path. */
const char *dump_kept(void);
/* What it says, once there is one, or NULL; the kernel forgets it. */
json_object *dump_take(void);
/* What stands at a path of it, or an empty text. */
const char *dump_word(json_object *dump, const char *path);

#endif
