// SPDX-License-Identifier: MIT
/*
 * quire-bench submit: what it costs to hand the card a job and to hear that it
 * is done, alone, in batches and with several under way; and what calls cost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <drm/quire_drm.h>

#include "bench.h"
#include "peer.h"
#include "processes.h"

#define BATCH 32
#define DEPTH_MOST 32
#define PROCESSES_MOST 1000

struct submit_options {
	struct bench_options common;
	bool peer;
	unsigned int processes;
};

struct jobs {
	quire_context *context;
	quire_queue *queue;
	quire_cmdlist *empty, *fill;
	struct quire_fence pending[DEPTH_MOST];	/* a ring of depth fences */
	unsigned int depth, next;
};

/* ---- Jobs ---- */

static int jobs_create(quire_device *device, struct jobs *jobs)
{
	quire_buffer *buffer;
	int error;

	*jobs = (struct jobs){ 0 };
	error = quire_context_create(device, 0, &jobs->context);
	if (error)
		return error;
	error = quire_queue_create(jobs->context, QUIRE_PRIORITY_NORMAL, 0, &jobs->queue);
	if (!error)
		error = quire_cmdlist_create(jobs->context, 0, &jobs->empty);
	if (!error)
		error = quire_cmdlist_create(jobs->context, 0, &jobs->fill);
	if (!error)
		error = quire_buffer_create(jobs->context, 4096, QUIRE_PLACEMENT_CARD, &buffer);
	if (!error) {
		error = quire_cmdlist_fill(jobs->fill, buffer, 0, 64, 0);
		error = error < 0 ? error : 0;
	}
	if (error)
		quire_context_unref(jobs->context);
	return error;
}

static int submit_and_wait(struct jobs *jobs, quire_cmdlist *list)
{
	struct quire_fence fence;
	int error = quire_queue_submit(jobs->queue, &list, 1, NULL, 0, &fence);

	return error ? error : quire_fence_wait(fence, QUIRE_FOREVER);
}

static int run_empty(void *argument)
{
	struct jobs *jobs = argument;

	return submit_and_wait(jobs, jobs->empty);
}

static int run_fill(void *argument)
{
	struct jobs *jobs = argument;

	return submit_and_wait(jobs, jobs->fill);
}

static int run_batch(void *argument)
{
	struct jobs *jobs = argument;
	quire_cmdlist *lists[BATCH];
	struct quire_fence fence;
	int error;

	for (int i = 0; i < BATCH; i++)
		lists[i] = jobs->empty;
	error = quire_queue_submit(jobs->queue, lists, BATCH, NULL, 0, &fence);
	return error ? error : quire_fence_wait(fence, QUIRE_FOREVER);
}

/* Wait for the oldest of depth jobs and put a new one behind the others. */
static int run_depth(void *argument)
{
	struct jobs *jobs = argument;
	struct quire_fence *slot = &jobs->pending[jobs->next];
	int error = quire_fence_wait(*slot, QUIRE_FOREVER);

	jobs->next = (jobs->next + 1) % jobs->depth;
	return error ? error : quire_queue_submit(jobs->queue, &jobs->empty, 1, NULL, 0, slot);
}

/* ---- Calls ---- */

static int run_getppid(void *argument)
{
	(void)argument;
	getppid();
	return 0;
}

/* The shortest way through DRM's dispatcher: copies nothing but the arguments. */
static int run_null_ioctl(void *argument)
{
	struct drm_get_cap args = { .capability = DRM_CAP_TIMESTAMP_MONOTONIC };

	return ioctl(*(const int *)argument, DRM_IOCTL_GET_CAP, &args) ? -errno : 0;
}

static int run_info_ioctl(void *argument)
{
	struct drm_quire_device_info info;
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_DEVICE,
					    .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	return ioctl(*(const int *)argument, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? -errno : 0;
}

/* ---- Rows ---- */

/* @per_run: jobs, calls or reads in one run */
static int measure(const struct submit_options *options, json_object *report, const char *what,
		   unsigned int per_run, int (*once)(void *argument), void *argument)
{
	struct bench_statistics statistics;
	json_object *row;
	int error = bench_measure(options->common.seconds, once, argument, &statistics);

	if (error)
		return error;
	row = bench_report_row(report);
	bench_put_string(row, "what", what);
	bench_put_integer(row, "per_run", per_run);
	bench_put_statistics(row, &statistics);
	bench_put_number(row, "per_s", per_run / statistics.mean);
	return 0;
}

static int measure_depth(const struct submit_options *options, json_object *report,
			 struct jobs *jobs, const char *what, unsigned int depth)
{
	int error;

	memset(jobs->pending, 0, sizeof(jobs->pending));
	jobs->depth = depth;
	jobs->next = 0;
	error = measure(options, report, what, 1, run_depth, jobs);
	for (unsigned int i = 0; i < depth && !error; i++)
		error = quire_fence_wait(jobs->pending[i], QUIRE_FOREVER);
	return error;
}

static int measure_jobs(const struct submit_options *options, json_object *report,
			struct jobs *jobs)
{
	int error = measure(options, report, "empty_job", 1, run_empty, jobs);

	if (!error)
		error = measure(options, report, "fill_job", 1, run_fill, jobs);
	if (!error)
		error = measure(options, report, "empty_job_batch_32", BATCH, run_batch, jobs);
	if (!error)
		error = measure_depth(options, report, jobs, "empty_job_depth_1", 1);
	if (!error)
		error = measure_depth(options, report, jobs, "empty_job_depth_4", 4);
	if (!error)
		error = measure_depth(options, report, jobs, "empty_job_depth_32", 32);
	return error;
}

/* Calls of the driver, when there is one, and the system's cheapest call. */
static int measure_calls(const struct submit_options *options, json_object *report,
			 quire_device *device)
{
	struct quire_device_info info = { .size = sizeof(info) };
	int fd = -1, error = quire_device_get_info(device, &info);

	if (!error && *info.node) {
		fd = open(info.node, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		error = measure(options, report, "info_ioctl", 1, run_info_ioctl, &fd);
		if (!error)
			error = measure(options, report, "null_ioctl", 1, run_null_ioctl, &fd);
		close(fd);
	}
	if (!error)
		error = measure(options, report, "getppid", 1, run_getppid, NULL);
	return error;
}

/* QEMU's NVMe device in the same guest, backed by nothing (null-co). */
static int measure_peer(const struct submit_options *options, json_object *report)
{
	struct nvme_peer peer;
	int error = nvme_peer_open(&peer);

	if (error) {
		fprintf(stderr, "quire-bench: %s: %s; boot with --qemu -drive --qemu "
			"driver=null-co,size=1G,if=none,id=null --qemu -device --qemu "
			"nvme,drive=null,serial=1 and load the module nvme\n",
			NVME_NODE, strerror(-error));
		return 0;
	}
	error = measure(options, report, "nvme_read_4k", 1, nvme_peer_read, &peer);
	if (!error)
		error = measure(options, report, "nvme_read_4k_batch_32", NVME_BATCH,
				nvme_peer_read_batch, &peer);
	nvme_peer_close(&peer);
	return error;
}

static const struct argp_option submit_options[] = {
	{ "peer", 'p', NULL, 0, "reads of QEMU's NVMe device too, if " NVME_NODE " is there", 0 },
	{ "processes", 'n', "N", 0, "only empty jobs, of N processes at once", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct submit_options *options = state->input;
	unsigned long count;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &options->common; break;
	case 'p': options->peer = true; break;
	case 'n':
		count = strtoul(value, &end, 10);
		if (*end || !count || count > PROCESSES_MOST)
			argp_error(state, "--processes is \"%s\", must be 1 to %d", value,
				   PROCESSES_MOST);
		options->processes = (unsigned int)count;
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int measure_all(const void *argument, json_object *report, quire_device *device)
{
	const struct submit_options *options = argument;
	struct jobs jobs;
	int error = jobs_create(device, &jobs);

	if (error)
		return error;
	error = measure_jobs(options, report, &jobs);
	quire_context_unref(jobs.context);
	if (!error)
		error = measure_calls(options, report, device);
	if (!error && options->peer)
		error = measure_peer(options, report);
	return error;
}

int bench_submit(int argc, char **argv)
{
	static const struct argp_child children[] = { { &bench_options_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = { submit_options, parse, NULL,
					  "Measure latency and rate of jobs and calls.", children,
					  NULL, NULL };
	struct submit_options options = { BENCH_OPTIONS_INIT, false, 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.processes)
		return bench_processes(&options.common, options.processes);
	return bench_device("submit", &options.common, measure_all, &options);
}
