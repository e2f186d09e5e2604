// SPDX-License-Identifier: MIT
/* Timing of runs, and what is said of many of them. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

#define UNSEEN_RUNS 2
#define LEAST_RUNS 3
#define TURN_SECONDS 5e-3	/* of runs with threads */
#define MOST_RUNS (1u << 22)	/* 32 MiB of durations */

static double read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double bench_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

struct durations {
	double *values;
	size_t count, room;
};

static int append(struct durations *durations, double value)
{
	if (durations->count == durations->room) {
		size_t room = durations->room ? 2 * durations->room : 1024;
		double *values = realloc(durations->values, room * sizeof(*values));

		if (!values)
			return -ENOMEM;
		durations->values = values;
		durations->room = room;
	}
	durations->values[durations->count++] = value;
	return 0;
}

static int compare(const void *left, const void *right)
{
	double l = *(const double *)left, r = *(const double *)right;

	return (l > r) - (l < r);
}

void bench_summarize(double *values, size_t count, struct bench_statistics *statistics)
{
	double sum = 0;

	qsort(values, count, sizeof(*values), compare);
	for (size_t i = 0; i < count; i++)
		sum += values[i];
	*statistics = (struct bench_statistics){
		.count = count,
		.minimum = values[0],
		.median = count % 2 ? values[count / 2] :
				      (values[count / 2 - 1] + values[count / 2]) / 2,
		/* The smallest duration that at least 99 % of the runs do not exceed. */
		.p99 = values[(count * 99 + 99) / 100 - 1],
		.mean = sum / (double)count,
	};
}

int bench_measure(double seconds, int (*once)(void *argument), void *argument,
		  struct bench_statistics *statistics)
{
	struct durations durations = { 0 };
	double end, before, after;
	int error = 0;

	for (int i = 0; i < UNSEEN_RUNS && !error; i++)
		error = once(argument);
	before = bench_now();
	end = before + seconds;
	while (!error && durations.count < MOST_RUNS &&
	       (durations.count < LEAST_RUNS || before < end)) {
		error = once(argument);
		after = bench_now();
		if (!error)
			error = append(&durations, after - before);
		before = bench_now();
	}
	if (!error)
		bench_summarize(durations.values, durations.count, statistics);
	free(durations.values);
	return error;
}

static void rest(double seconds)
{
	struct timespec time = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	if (seconds > 0)
		nanosleep(&time, NULL);
}

/* With threads a run unseen, for which they wake, and as many as there is time for. */
static int take_turn(clockid_t clock, const struct bench_contestant *contestant,
		     struct durations *durations)
{
	const bool threads = clock == CLOCK_MONOTONIC;
	int error = threads ? contestant->once(contestant->argument) : 0;
	double start = read_clock(clock), before, after;

	do {
		before = read_clock(clock);
		error = error ? error : contestant->once(contestant->argument);
		after = read_clock(clock);
		error = error ? error : append(durations, after - before);
	} while (!error && threads && after - start < TURN_SECONDS);
	rest(contestant->pause);
	return error;
}

int bench_race(double seconds, clockid_t clock, const struct bench_contestant *contestants,
	       size_t count, struct bench_statistics *statistics)
{
	struct durations durations[BENCH_CONTESTANTS_MAX] = { 0 };
	double end = 0;
	int error = 0;

	for (size_t turn = 0; !error && turn < MOST_RUNS; turn++) {
		if (turn == 1) {
			for (size_t i = 0; i < count; i++)
				durations[i].count = 0;
			end = bench_now() + seconds * (double)count;
		}
		if (turn > LEAST_RUNS && bench_now() >= end)
			break;
		for (size_t i = 0; i < count && !error; i++)
			error = take_turn(clock, &contestants[i], &durations[i]);
	}
	for (size_t i = 0; i < count; i++) {
		if (!error)
			bench_summarize(durations[i].values, durations[i].count, &statistics[i]);
		free(durations[i].values);
	}
	return error;
}
