// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"

static void read_back(FILE *file, char *text, size_t room)
{
	size_t got;

	rewind(file);
	got = fread(text, 1, room - 1, file);
	text[got] = '\0';
	fclose(file);
}

void run(struct run *run, const char *command)
{
	FILE *out = tmpfile(), *err = tmpfile();
	int status;
	pid_t child;

	assert_non_null(out);
	assert_non_null(err);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		setenv("T", QUIRE_TOOLS, 1);
		dup2(fileno(out), 1);
		dup2(fileno(err), 2);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	run->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	read_back(out, run->out, sizeof(run->out));
	read_back(err, run->err, sizeof(run->err));
}

json_object *run_json(const struct run *run)
{
	enum json_tokener_error error;
	json_object *object = json_tokener_parse_verbose(run->out, &error);

	if (error != json_tokener_success)
		fail_msg("not JSON (%s): %s %s", json_tokener_error_desc(error), run->out,
			 run->err);
	return object;
}

json_object *at(json_object *object, const char *path)
{
	char key[64];

	while (*path) {
		size_t length = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		if (json_object_is_type(object, json_type_array)) {
			size_t index = strtoul(key, NULL, 10);

			assert_true(index < json_object_array_length(object));
			object = json_object_array_get_idx(object, index);
		} else if (!json_object_object_get_ex(object, key, &object)) {
			fail_msg("there is no \"%s\"", key);
		}
		path += length;
		path += *path == '.';
	}
	return object;
}

bool is_string(json_object *object, const char *path, const char *value)
{
	json_object *found = at(object, path);

	return json_object_is_type(found, json_type_string) &&
	       !strcmp(json_object_get_string(found), value);
}

bool is_null(json_object *object, const char *path)
{
	return !at(object, path);
}
