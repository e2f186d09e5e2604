// SPDX-License-Identifier: MIT
/* Reports: JSON, and tables made of the same rows. */
#define _GNU_SOURCE
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "../table.h"
#include "bench.h"

#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

/* First line of a file, or "unknown". */
static json_object *first_line(const char *path)
{
	char line[64] = "unknown";
	FILE *file = fopen(path, "r");

	if (file) {
		if (fgets(line, sizeof(line), file))
			line[strcspn(line, "\n")] = '\0';
		fclose(file);
	}
	return json_object_new_string(line);
}

/* "model name" of the first CPU, where /proc/cpuinfo has that line. */
static json_object *cpu_model(void)
{
	char line[256], model[sizeof(line)] = "unknown";
	FILE *file = fopen("/proc/cpuinfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "model name : %255[^\n]", model) == 1)
			break;
	if (file)
		fclose(file);
	return json_object_new_string(model);
}

static json_object *describe_machine(void)
{
	json_object *machine = json_object_new_object();
	cpu_set_t set;
	int processors = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	json_object_object_add(machine, "cpu", cpu_model());
	json_object_object_add(machine, "processors", json_object_new_int(processors));
	json_object_object_add(machine, "clocksource", first_line(CLOCKSOURCE));
	return machine;
}

static json_object *describe_device(quire_device *device)
{
	struct quire_device_info info = { .size = sizeof(info) };
	json_object *object;

	if (!device || quire_device_get_info(device, &info))
		return NULL;
	object = json_object_new_object();
	bench_put_string(object, "backend", info.backend);
	bench_put_integer(object, "serial", info.serial);
	bench_put_integer(object, "engines", info.engines);
	bench_put_integer(object, "card_memory_bytes", info.card_memory);
	return object;
}

json_object *bench_report_create(const char *command, quire_device *device)
{
	json_object *report = json_object_new_object();

	bench_put_string(report, "schema", "quire-bench/1");
	bench_put_string(report, "version", quire_version());
	bench_put_string(report, "command", command);
	json_object_object_add(report, "device", describe_device(device));
	json_object_object_add(report, "machine", describe_machine());
	json_object_object_add(report, "results", json_object_new_array());
	return report;
}

json_object *bench_report_row(json_object *report)
{
	json_object *row = json_object_new_object();

	json_object_array_add(json_object_object_get(report, "results"), row);
	return row;
}

void bench_put_string(json_object *row, const char *key, const char *value)
{
	json_object_object_add(row, key, json_object_new_string(value));
}

void bench_put_integer(json_object *row, const char *key, uint64_t value)
{
	json_object_object_add(row, key, json_object_new_uint64(value));
}

void bench_put_number(json_object *row, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.5g", value);
	json_object_object_add(row, key, 
			       isfinite(value) ? json_object_new_double_s(value, text) : NULL);
}

void bench_put_statistics(json_object *row, const struct bench_statistics *statistics)
{
	bench_put_integer(row, "runs", statistics->count);
	bench_put_number(row, "minimum_us", statistics->minimum * 1e6);
	bench_put_number(row, "median_us", statistics->median * 1e6);
	bench_put_number(row, "p99_us", statistics->p99 * 1e6);
}

static void print_text(json_object *report)
{
	json_object *device = json_object_object_get(report, "device");

	if (device)
		printf("backend %s, ", json_object_get_string(
					       json_object_object_get(device, "backend")));
	json_object_object_foreach(json_object_object_get(report, "machine"), key, value)
		printf("%s %s, ", key, json_object_get_string(value));
	printf("peak resident %s KiB\n",
	       json_object_get_string(json_object_object_get(report, "peak_resident_kib")));
	putchar('\n');
	table_print(json_object_object_get(report, "results"));
}

int bench_report_print(json_object *report, const struct bench_options *options)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	bench_put_integer(report, "peak_resident_kib", (uint64_t)usage.ru_maxrss);
	if (options->json)
		puts(json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_text(report);
	json_object_put(report);
	return STATUS_OK;
}

int bench_device(const char *command, const struct bench_options *options,
		 int (*measure)(const void *argument, json_object *report, quire_device *device),
		 const void *argument)
{
	quire_device *device;
	json_object *report;
	int error, status = bench_open(options, &device);

	if (status)
		return status;
	report = bench_report_create(command, device);
	error = measure(argument, report, device);
	if (error) {
		status = bench_error(error);
		json_object_put(report);
	} else {
		status = bench_report_print(report, options);
	}
	quire_device_unref(device);
	return status;
}
