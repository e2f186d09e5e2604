// SPDX-License-Identifier: MIT
/*
 * quire-bench memory: what the driver's calls for memory cost: binding and unbinding, making
 * and freeing buffers, and pushing one out of full card memory.  The kernel's shortest call
 * stands beside them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <drm/quire_drm.h>

#include "bench.h"

#define ADDRESS 0x4000000000ull
#define EVICTED_BYTES (64ull << 20)
#define FILL_MOST 1024		/* buffers that fill card memory: 64 GiB of them */

struct memory {
	int fd;
	uint32_t vm;
	uint32_t queue;
	uint32_t handle;	/* of what is bound */
	uint32_t placement;
	uint64_t bytes;
};

static int call(const struct memory *memory, unsigned long request, void *arguments)
{
	return ioctl(memory->fd, request, arguments) ? -errno : 0;
}

static int create(const struct memory *memory, uint32_t *handle)
{
	struct drm_quire_bo_create args = { .size = memory->bytes, .placement = memory->placement };
	int error = call(memory, DRM_IOCTL_QUIRE_BO_CREATE, &args);

	*handle = args.handle;
	return error;
}

static int destroy(const struct memory *memory, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	return call(memory, DRM_IOCTL_GEM_CLOSE, &args);
}

static int bind(const struct memory *memory, uint32_t type, uint32_t handle)
{
	struct drm_quire_vm_bind_op op = { .type = type, .handle = handle, .va = ADDRESS,
					   .size = memory->bytes };
	struct drm_quire_vm_bind args = { .vm_id = memory->vm,
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };

	return call(memory, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

/* Memory comes to a buffer with the first job that could use it. */
static int use(const struct memory *memory, uint32_t handle)
{
	struct drm_quire_job job = { 0 };
	struct drm_quire_submit args = { .queue_id = memory->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	int error = bind(memory, DRM_QUIRE_VM_BIND_MAP, handle);

	if (!error)
		error = call(memory, DRM_IOCTL_QUIRE_SUBMIT, &args);
	return error ? error : bind(memory, DRM_QUIRE_VM_BIND_UNMAP, 0);
}

static int run_null(void *argument)
{
	struct drm_get_cap args = { .capability = DRM_CAP_TIMESTAMP_MONOTONIC };

	return call(argument, DRM_IOCTL_GET_CAP, &args);
}

static int run_map_unmap(void *argument)
{
	const struct memory *memory = argument;
	int error = bind(memory, DRM_QUIRE_VM_BIND_MAP, memory->handle);

	return error ? error : bind(memory, DRM_QUIRE_VM_BIND_UNMAP, 0);
}

static int run_create_map_free(void *argument)
{
	const struct memory *memory = argument;
	uint32_t handle;
	int error = create(memory, &handle);

	if (!error)
		error = bind(memory, DRM_QUIRE_VM_BIND_MAP, handle);
	if (!error)
		error = bind(memory, DRM_QUIRE_VM_BIND_UNMAP, 0);
	return error ? error : destroy(memory, handle);
}

/* Where card memory is full, making one pushes another out: the one that came first. */
static int run_create_free(void *argument)
{
	const struct memory *memory = argument;
	uint32_t handle;
	int error = create(memory, &handle);

	return error ? error : destroy(memory, handle);
}

static json_object *add_row(json_object *report, const char *what, const struct memory *memory,
			    const struct bench_statistics *statistics)
{
	json_object *row = bench_report_row(report);

	bench_put_string(row, "what", what);
	bench_put_string(row, "placement",
			 memory->placement == DRM_QUIRE_PLACEMENT_CARD ? "card" : "system");
	bench_put_integer(row, "bytes", memory->bytes);
	bench_put_statistics(row, statistics);
	return row;
}

static int measure(double seconds, json_object *report, const char *what, struct memory *memory,
		   int (*once)(void *argument))
{
	struct bench_statistics statistics;
	int error = bench_measure(seconds, once, memory, &statistics);

	if (!error)
		add_row(report, what, memory, &statistics);
	return error;
}

static int measure_calls(double seconds, json_object *report, struct memory *memory)
{
	static const uint32_t placements[] = { DRM_QUIRE_PLACEMENT_CARD,
					       DRM_QUIRE_PLACEMENT_SYSTEM };
	static const uint64_t sizes[] = { 4096, 64ull << 20 };
	int error = 0;

	for (size_t p = 0; p < 2 && !error; p++) {
		memory->placement = placements[p];
		for (size_t s = 0; s < 2 && !error; s++) {
			memory->bytes = sizes[s];
			error = create(memory, &memory->handle);
			if (error)
				return error;
			error = use(memory, memory->handle);
			if (!error)
				error = measure(seconds, report, "map_unmap", memory,
						run_map_unmap);
			destroy(memory, memory->handle);
		}
		memory->bytes = 1 << 20;
		if (!error)
			error = measure(seconds, report, "create_map_free", memory,
					run_create_map_free);
	}
	return error;
}

/* Fill card memory; *count buffers are then there. */
static int fill(const struct memory *memory, uint32_t *handles, size_t *count)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					     .pointer = (uintptr_t)&info };
	int error = call(memory, DRM_IOCTL_QUIRE_DEV_QUERY, &query);

	*count = 0;
	for (uint64_t used = info.card_used; !error && *count < FILL_MOST &&
	     used + memory->bytes <= info.card_total; used += memory->bytes) {
		error = create(memory, &handles[*count]);
		if (error)
			break;
		error = use(memory, handles[(*count)++]);
	}
	return error;
}

/* As many system buffers once: memory that a virtual machine never had its host must find first. */
static int warm_up(struct memory *memory, size_t count)
{
	static uint32_t handles[FILL_MOST];
	size_t made = 0;
	int error = 0;

	memory->placement = DRM_QUIRE_PLACEMENT_SYSTEM;
	while (made < count && !error) {
		error = create(memory, &handles[made]);
		if (!error)
			error = use(memory, handles[made++]);
	}
	while (made)
		destroy(memory, handles[--made]);
	memory->placement = DRM_QUIRE_PLACEMENT_CARD;
	return error == -ENOMEM ? 0 : error;
}

/*
 * The rate of an eviction: what a new buffer takes longer where another has to leave for it.
 * Each new one stays, so that every run pushes out another.
 */
static int measure_eviction(json_object *report, struct memory *memory)
{
	static uint32_t handles[FILL_MOST];
	static double durations[FILL_MOST];
	struct bench_statistics fresh, evicting;
	size_t count, runs;
	uint32_t handle;
	int error;

	memory->placement = DRM_QUIRE_PLACEMENT_CARD;
	memory->bytes = EVICTED_BYTES;
	error = fill(memory, handles, &count);
	if (!error)
		error = warm_up(memory, count + 1);
	if (error || !count)
		return error;
	/* The last one once more and again: its place is free, and all of it has been used before. */
	destroy(memory, handles[--count]);
	error = bench_measure(0, run_create_free, memory, &fresh);
	if (!error)
		error = create(memory, &handles[count++]);
	for (runs = 0; runs < count && !error; runs++) {
		double start = bench_now();

		error = create(memory, &handle);
		durations[runs] = bench_now() - start;
		if (!error)
			error = use(memory, handle);
	}
	if (error)
		return error;
	bench_summarize(durations, runs, &evicting);
	add_row(report, "create_free", memory, &fresh);
	bench_put_number(add_row(report, "create_evicting", memory, &evicting), "gb_per_s",
			 (double)EVICTED_BYTES / (evicting.median - fresh.median) * 1e-9);
	return 0;
}

static int measure_all(const void *argument, json_object *report, quire_device *device)
{
	const struct bench_options *options = argument;
	struct quire_device_info info = { .size = sizeof(info) };
	struct drm_quire_queue_create queue = { 0 };
	struct drm_quire_vm_create vm = { 0 };
	struct memory memory = { .fd = -1 };
	int error = quire_device_get_info(device, &info);

	if (error)
		return error;
	if (*info.node)
		memory.fd = open(info.node, O_RDWR | O_CLOEXEC);
	if (memory.fd < 0) {
		fprintf(stderr, "quire-bench: memory measures the calls of the driver: it needs a card\n");
		return *info.node ? -errno : -ENODEV;
	}
	error = call(&memory, DRM_IOCTL_QUIRE_VM_CREATE, &vm);
	memory.vm = vm.vm_id;
	queue.vm_id = vm.vm_id;
	if (!error)
		error = call(&memory, DRM_IOCTL_QUIRE_QUEUE_CREATE, &queue);
	memory.queue = queue.queue_id;
	if (!error)
		error = measure(options->seconds, report, "null_ioctl", &memory, run_null);
	if (!error)
		error = measure_calls(options->seconds, report, &memory);
	if (!error)
		error = measure_eviction(report, &memory);
	close(memory.fd);
	return error;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	(void)value;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

int bench_memory(int argc, char **argv)
{
	static const struct argp_child children[] = { { &bench_options_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = { NULL, parse, NULL,
					  "Measure what the driver's calls for memory cost.", children,
					  NULL, NULL };
	struct bench_options options = BENCH_OPTIONS_INIT;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench_device("memory", &options, measure_all, &options);
}
