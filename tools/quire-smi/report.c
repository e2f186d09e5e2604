// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "smi.h"

void smi_put_string(json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, value ? json_object_new_string(value) : NULL);
}

void smi_put_integer(json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void smi_put_number(json_object *object, const char *key, double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.10g", value);
	json_object_object_add(object, key, json_object_new_double_s(value, text));
}

void smi_put_release(json_object *object, const char *key, uint32_t release)
{
	char text[24];

	snprintf(text, sizeof(text), "%u.%u.%u", release >> 16, release >> 8 & 0xff,
		 release & 0xff);
	smi_put_string(object, key, text);
}

json_object *smi_report_create(const char *command)
{
	json_object *report = json_object_new_object();
	char text[32];
	time_t now = time(NULL);
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	smi_put_string(report, "schema", "quire-smi/2");
	smi_put_string(report, "version", quire_version());
	smi_put_string(report, "command", command);
	smi_put_string(report, "time", text);
	return report;
}

void smi_report_print(json_object *report)
{
	puts(json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(report);
}

static void print_object(json_object *object)
{
	json_object_object_foreach(object, key, value)
		printf("%-26s %s\n", key, value ? json_object_get_string(value) : "N/A");
}

void smi_print_objects(json_object *objects)
{
	for (size_t i = 0; i < json_object_array_length(objects); i++) {
		if (i)
			putchar('\n');
		print_object(json_object_array_get_idx(objects, i));
	}
}
