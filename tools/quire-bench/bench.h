/* SPDX-License-Identifier: MIT */
/*
 * What the sub-commands of quire-bench share.  A sub-command is one file with one
 * function of type bench_command, and one line in the table of main.c.  It
 * parses its options with bench_options_argp as child, measures, adds rows to a
 * report, and returns bench_report_print(), or enum exit_status after a failure.
 */
#ifndef QUIRE_BENCH_H
#define QUIRE_BENCH_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <json-c/json.h>
#include <quire.h>

#include "../exit_status.h"

/* argv[0] is "quire-bench NAME"; returns the exit status. */
typedef int bench_command(int argc, char **argv);

bench_command bench_copy, bench_gemm, bench_memory, bench_numerics, bench_submit, bench_tiled;

/* ---- Options of all sub-commands (options.c) ---- */

struct bench_options {
	const char *device;
	double seconds;		/* time to spend on one figure */
	bool json;
};

#define BENCH_OPTIONS_INIT { NULL, 0.5, false }

/* A child of the sub-command's argp; its input is a struct bench_options. */
extern const struct argp bench_options_argp;

/*
 * Open what --device and --backend name; without either the card, never the CPU
 * in its place.  Returns 0, or prints the error and returns the exit status.
 */
int bench_open(const struct bench_options *options, quire_device **device);

/* Print quire_last_error() and return the exit status for @error. */
int bench_error(int error);

/* A size such as "4096", "64K" or "64M" from 1 to 1 TiB, or 0 if it is none. */
uint64_t bench_parse_size(const char *text);

/*
 * The next element of a list such as "256,512", which must have fewer than @room
 * characters.  Moves *@list on, to NULL behind the last.  False: it is too long or empty.
 */
bool bench_next_element(const char **list, char *element, size_t room);

/* ---- Measuring (statistics.c) ---- */

/* Seconds of CLOCK_MONOTONIC. */
double bench_now(void);

/* struct bench_statistics - durations of single runs, in seconds */
struct bench_statistics {
	uint64_t count;
	double minimum;
	double median;
	double p99;		/* 99 % of the runs took at most this */
	double mean;
};

/* Sorts @values, of which there is at least one. */
void bench_summarize(double *values, size_t count, struct bench_statistics *statistics);

/*
 * Run @once a few times unseen, then for @seconds, but at least 3 times, timing
 * each run.  Stops at the first error and returns it.  -ENOMEM.
 */
int bench_measure(double seconds, int (*once)(void *argument), void *argument,
		  struct bench_statistics *statistics);

/*
 * struct bench_contestant - one of several ways that are compared
 * @pause: seconds to rest after each run, for libraries whose threads spin on when they
 *         are through
 */
struct bench_contestant {
	int (*once)(void *argument);
	void *argument;
	double pause;
};

#define BENCH_CONTESTANTS_MAX 16

/*
 * Measure @count contestants in turns (A B C A B C ...), so that what else the machine does
 * moves all of them alike: for @seconds times @count, but at least 3 turns after an unseen
 * one.  @clock is CLOCK_THREAD_CPUTIME_ID where everything happens in the calling thread, or
 * CLOCK_MONOTONIC: then a turn is an unseen run, for which threads wake, and several timed
 * ones, as in a program that runs it again and again.  Stops at the first error and returns it.  -ENOMEM.
 */
int bench_race(double seconds, clockid_t clock, const struct bench_contestant *contestants,
	       size_t count, struct bench_statistics *statistics);

/* ---- Reports (report.c) ---- */

/*
 * A report: an object with "schema", "version", "command", "device", "machine"
 * and the array "results", whose elements are rows.  @device may be NULL.
 * Units are part of each key.
 */
json_object *bench_report_create(const char *command, quire_device *device);

/* A new empty row of the report, to be filled with bench_put_*(). */
json_object *bench_report_row(json_object *report);

void bench_put_string(json_object *row, const char *key, const char *value);
void bench_put_integer(json_object *row, const char *key, uint64_t value);
/* Five significant digits; what is not finite becomes null. */
void bench_put_number(json_object *row, const char *key, double value);
/* "runs", "minimum_us", "median_us", "p99_us". */
void bench_put_statistics(json_object *row, const struct bench_statistics *statistics);

/* The peak resident memory is taken here.  Prints, frees the report, returns STATUS_OK. */
int bench_report_print(json_object *report, const struct bench_options *options);

/*
 * A sub-command that measures one device: open it, let @measure add rows to a report, and
 * print that.  Returns the exit status; an error of @measure is one of libquire.
 */
int bench_device(const char *command, const struct bench_options *options,
		 int (*measure)(const void *argument, json_object *report, quire_device *device),
		 const void *argument);

#endif /* QUIRE_BENCH_H */
