/* SPDX-License-Identifier: MIT */
/* Running a tool as a user does, and looking at what it says. */
#ifndef QUIRE_TEST_RUN_H
#define QUIRE_TEST_RUN_H

#include <stdbool.h>

#include <json-c/json.h>

/*
 * struct run - what a command did
 * @status: its exit status, -1 when it was killed
 * @out, @err: what it printed
 */
struct run {
	int status;
	char out[65536];
	char err[65536];
};

/* Run a command line of sh, in which $T is the directory of the tools. */
void run(struct run *run, const char *command);

/* What it printed as one JSON object; fails the test if it is none. */
json_object *run_json(const struct run *run);

/* Follow keys such as "device.backend" or "cards.0.index"; fails the test if there is none. */
json_object *at(json_object *object, const char *path);
bool is_string(json_object *object, const char *path, const char *value);
bool is_null(json_object *object, const char *path);

#endif /* QUIRE_TEST_RUN_H */
