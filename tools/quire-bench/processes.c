// SPDX-License-Identifier: MIT
/*
 * quire-bench submit --processes: as many processes with a queue each, all submitting empty
 * jobs one by one, which is more than the card has rings: how long a job takes then, and
 * whether everybody gets his turn.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "processes.h"

#define JOBS_MOST 65536	/* of one process */

/* struct worker - what one process tells, in memory shared with its parent */
struct worker {
	int status;		/* enum exit_status */
	size_t jobs;
	double durations[JOBS_MOST];
};

static int submit_and_wait(quire_queue *queue, quire_cmdlist *list)
{
	struct quire_fence fence;
	int error = quire_queue_submit(queue, &list, 1, NULL, 0, &fence);

	return error ? error : quire_fence_wait(fence, QUIRE_FOREVER);
}

/* Jobs from the byte that the parent sends until the end of the time. */
static int run_jobs(struct worker *worker, double seconds, int start, quire_context *context)
{
	quire_cmdlist *list;
	quire_queue *queue;
	double end, before, after;
	char byte;
	int error = quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue);

	if (!error)
		error = quire_cmdlist_create(context, 0, &list);
	if (!error)
		error = submit_and_wait(queue, list);
	if (!error && read(start, &byte, 1) < 0)
		error = -errno;
	before = bench_now();
	end = before + seconds;
	while (!error && before < end && worker->jobs < JOBS_MOST) {
		error = submit_and_wait(queue, list);
		after = bench_now();
		if (!error)
			worker->durations[worker->jobs++] = after - before;
		before = after;
	}
	return error;
}

static int work(struct worker *worker, const struct bench_options *options, int start)
{
	quire_context *context;
	quire_device *device;
	int error, status = bench_open(options, &device);

	if (status)
		return status;
	error = quire_context_create(device, 0, &context);
	if (!error) {
		error = run_jobs(worker, options->seconds, start, context);
		quire_context_unref(context);
	}
	quire_device_unref(device);
	return error ? bench_error(error) : STATUS_OK;
}

/* All workers have begun once the last has closed its end. */
static int run_workers(struct worker *workers, unsigned int count,
		       const struct bench_options *options)
{
	int start[2], status = STATUS_OK;

	if (pipe(start))
		return STATUS_FAILED;
	for (unsigned int i = 0; i < count; i++) {
		pid_t child = fork();

		if (child < 0)
			status = STATUS_FAILED;
		if (child)
			continue;
		close(start[1]);
		workers[i].status = work(&workers[i], options, start[0]);
		_exit(0);
	}
	close(start[0]);
	/* Half of the time to get ready; who comes later has only less of it. */
	usleep((useconds_t)(options->seconds * 0.5e6));
	close(start[1]);
	while (wait(NULL) >= 0 || errno == EINTR)
		;
	for (unsigned int i = 0; i < count && !status; i++)
		status = workers[i].status;
	return status;
}

static int report_workers(const struct worker *workers, unsigned int count,
			  const struct bench_options *options)
{
	double *durations = calloc((size_t)count * JOBS_MOST, sizeof(*durations));
	size_t total = 0, fewest = JOBS_MOST, most = 0;
	struct bench_statistics statistics = { 0 };
	json_object *report, *row;

	if (!durations)
		return STATUS_FAILED;
	for (unsigned int i = 0; i < count; i++) {
		size_t jobs = workers[i].jobs;

		memcpy(durations + total, workers[i].durations, jobs * sizeof(*durations));
		total += jobs;
		fewest = jobs < fewest ? jobs : fewest;
		most = jobs > most ? jobs : most;
	}
	if (total)
		bench_summarize(durations, total, &statistics);
	report = bench_report_create("submit", NULL);
	row = bench_report_row(report);
	bench_put_string(row, "what", "empty_job_of_processes");
	bench_put_integer(row, "processes", count);
	bench_put_statistics(row, &statistics);
	bench_put_number(row, "maximum_us", total ? durations[total - 1] * 1e6 : 0);
	bench_put_integer(row, "fewest_jobs", fewest);
	bench_put_integer(row, "most_jobs", most);
	bench_put_number(row, "per_s", (double)total / options->seconds);
	free(durations);
	return bench_report_print(report, options);
}

int bench_processes(const struct bench_options *options, unsigned int count)
{
	struct worker *workers = mmap(NULL, count * sizeof(*workers), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (workers == MAP_FAILED)
		return STATUS_FAILED;
	status = run_workers(workers, count, options);
	if (!status)
		status = report_workers(workers, count, options);
	munmap(workers, count * sizeof(*workers));
	return status;
}
