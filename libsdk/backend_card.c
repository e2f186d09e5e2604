// SPDX-License-Identifier: MIT
/* The card, through the driver's ioctls. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xf86drm.h>

#include <drm/quire_drm.h>
#include <quire/hw.h>

#include "internal.h"

#define SYSFS "/sys/class/accel"
/* Looks at the result before asking the kernel to wait: a few microseconds. */
#define SPINS 200
/* Submissions of up to so many jobs and fences allocate nothing. */
#define FEW 4

/* ---- Finding a card ---- */

static int is_quire(const struct dirent *entry)
{
	char path[300], target[300];
	ssize_t length;

	if (strncmp(entry->d_name, "accel", 5))
		return 0;
	snprintf(path, sizeof(path), SYSFS "/%s/device/driver", entry->d_name);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return 0;
	target[length] = '\0';
	return !strcmp(basename(target), DRM_QUIRE_DRIVER_NAME);
}

static void describe(struct quire_card_name *name, const char *entry)
{
	char path[300], target[300];
	ssize_t length;

	memset(name, 0, sizeof(*name));
	name->index = (uint32_t)strtoul(entry + 5, NULL, 10);
	snprintf(name->node, sizeof(name->node), "/dev/accel/accel%u", name->index);
	snprintf(path, sizeof(path), SYSFS "/%s/device", entry);
	length = readlink(path, target, sizeof(target) - 1);
	if (length > 0) {
		target[length] = '\0';
		snprintf(name->bdf, sizeof(name->bdf), "%.19s", basename(target));
	}
}

int quire_enumerate(struct quire_card_name *names, uint32_t count)
{
	struct dirent **entries;
	int found;

	if (!names && count)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_enumerate: names is NULL");
	found = scandir(SYSFS, &entries, is_quire, versionsort);
	if (found < 0)
		return 0;	/* a kernel without accelerators */
	for (int i = 0; i < found; i++) {
		if ((uint32_t)i < count)
			describe(&names[i], entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return found;
}

static int query(int fd, uint32_t type, void *out, uint32_t size)
{
	struct drm_quire_dev_query args = { .type = type, .size = size,
					    .pointer = (uintptr_t)out };

	memset(out, 0, size);
	if (drmIoctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args))
		return fail(-errno, QUIRE_LAYER_KERNEL, NULL, "cannot query the card: %s",
			    strerror(errno));
	return 0;
}

static int no_permission(const char *node)
{
	char hint[200] = "ask the administrator for access";
	struct stat status;
	struct group *group;

	if (stat(node, &status))
		return fail(-EACCES, QUIRE_LAYER_KERNEL, hint, "%s: permission denied", node);
	group = getgrgid(status.st_gid);
	if (status.st_mode & S_IRGRP && status.st_gid && group)
		snprintf(hint, sizeof(hint), "join its group: adduser $USER %s, and log in again",
			 group->gr_name);
	else
		snprintf(hint, sizeof(hint),
			 "only root may use it: install a udev rule that gives it to group render");
	return fail(-EACCES, QUIRE_LAYER_KERNEL, hint, "%s: permission denied (uid %u, gid %u, mode %04o)",
		    node, status.st_uid, status.st_gid, status.st_mode & 07777);
}

static int open_node(const char *node, int *fd)
{
	*fd = open(node, O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return no_permission(node);
	return fail(-errno, QUIRE_LAYER_KERNEL, NULL, "%s: %s", node, strerror(errno));
}

/* Whether the name, already split, means this card; opens it for its serial number. */
static bool matches(const struct quire_card_name *card, const char *name)
{
	struct drm_quire_device_info info;
	char *end;
	bool same;
	int fd;

	if (!strncmp(name, "serial:", 7)) {
		uint64_t serial = strtoull(name + 7, &end, 0);

		if (!name[7] || *end || open_node(card->node, &fd))
			return false;
		same = !query(fd, DRM_QUIRE_QUERY_DEVICE, &info, sizeof(info)) &&
		       info.serial == serial;
		close(fd);
		return same;
	}
	return !strcmp(name, card->bdf) ||
	       (*name && strtoul(name, &end, 10) == card->index && !*end);
}

static int find_card(const char *name, char *node, size_t room)
{
	struct quire_card_name cards[16];
	int count = quire_enumerate(cards, 16);

	if (count <= 0)
		return fail(-ENODEV, QUIRE_LAYER_LIBRARY,
			    "load the driver (modprobe quire), or use QUIRE_BACKEND=cpu",
			    "no Quire card: nothing in " SYSFS " is driven by quire");
	for (int i = 0; i < count && i < 16; i++) {
		if (name && !matches(&cards[i], name))
			continue;
		snprintf(node, room, "%s", cards[i].node);
		return 0;
	}
	return fail(-ENODEV, QUIRE_LAYER_LIBRARY, "quire-smi list shows the cards there are",
		    "no Quire card is called \"%.60s\"", name);
}

static int check_driver(quire_device *device)
{
	drmVersionPtr version = drmGetVersion(device->fd);
	bool ours = version && !strcmp(version->name, DRM_QUIRE_DRIVER_NAME);
	int major = ours ? version->version_major : 0;

	drmFreeVersion(version);
	if (!ours)
		return fail(-EPROTO, QUIRE_LAYER_KERNEL, NULL, "%s is not a Quire card",
			    device->node);
	if (major != DRM_QUIRE_DRIVER_MAJOR)
		return fail(-EPROTO, QUIRE_LAYER_KERNEL, "install driver and library of one release",
			    "the driver's interface is version %d, the library knows %d", major,
			    DRM_QUIRE_DRIVER_MAJOR);
	return 0;
}

static int card_info(quire_device *device, struct quire_device_info *out)
{
	struct drm_quire_device_info info;
	struct drm_quire_memory_info memory;
	int error = query(device->fd, DRM_QUIRE_QUERY_DEVICE, &info, sizeof(info));

	if (!error)
		error = query(device->fd, DRM_QUIRE_QUERY_MEMORY, &memory, sizeof(memory));
	if (error)
		return error;
	out->queues = info.queues;
	out->contexts = info.contexts;
	out->engines = info.engines;
	out->serial = info.serial;
	out->card_memory = info.card_memory;
	out->card_used = memory.card_used;
	out->system_used = memory.system_used;
	out->hw_version = info.hw_version;
	out->fw_release = info.fw_release;
	out->interface_version = info.interface_version;
	out->resets = info.resets;
	out->vram_lost = info.vram_lost;
	device->va_start = info.va_start;
	device->va_end = info.va_end;
	return 0;
}

/* A card whose digests are others would look as if it lost bits. */
static int check_card(const quire_device *device)
{
	const uint32_t version = device->info.hw_version;

	if (version >> 16 == QUIRE_HW_VERSION_VALUE >> 16)
		return 0;
	return fail(-EPROTO, QUIRE_LAYER_CARD, "use the library of the card's release",
		    "the card's hardware version is %u.%u, the library knows %u", version >> 16,
		    version & 0xffff, QUIRE_HW_VERSION_VALUE >> 16);
}

static int card_open(quire_device *device, const char *name)
{
	bool mine = device->fd < 0;
	int error = 0;

	snprintf(device->node, sizeof(device->node), "file descriptor %d", device->fd);
	if (mine) {
		error = find_card(name, device->node, sizeof(device->node));
		if (!error)
			error = open_node(device->node, &device->fd);
		if (error)
			return error;
		memcpy(device->info.node, device->node, sizeof(device->info.node));
	}
	error = check_driver(device);
	if (!error)
		error = card_info(device, &device->info);
	if (!error)
		error = check_card(device);
	if (error && mine)
		close(device->fd);
	return error;
}

static void card_close(quire_device *device)
{
	close(device->fd);
}

static int card_counters(quire_device *device, uint64_t *counters)
{
	struct drm_quire_telemetry_info info;
	int error = query(device->fd, DRM_QUIRE_QUERY_TELEMETRY, &info, sizeof(info));

	if (!error)
		memcpy(counters, info.counters, sizeof(info.counters));
	if (error == -EACCES)
		return fail(error, QUIRE_LAYER_KERNEL,
			    "run as root or with CAP_PERFMON; quire_device_get_usage() is for "
			    "everybody",
			    "the counters of a card tell what all its users do");
	return error;
}

static int card_usage(quire_device *device, struct quire_usage *usage)
{
	struct drm_quire_usage_info info;
	int error = query(device->fd, DRM_QUIRE_QUERY_USAGE, &info, sizeof(info));

	if (!error)
		*usage = (struct quire_usage){ .jobs = info.jobs, .busy_ns = info.busy_ns,
					       .macs = info.macs, .cycles = info.cycles,
					       .modelled_pj = info.modelled_pj };
	return error;
}

/* ---- Address spaces and buffers ---- */

static int card_context_create(quire_context *context)
{
	struct drm_quire_vm_create args = { 0 };

	if (drmIoctl(context->device->fd, DRM_IOCTL_QUIRE_VM_CREATE, &args))
		return fail(-errno, QUIRE_LAYER_KERNEL,
			    errno == EMFILE ? "free contexts" : NULL,
			    "cannot create a context: %s",
			    errno == EMFILE ? "this program has too many" : strerror(errno));
	context->vm_id = args.vm_id;
	return 0;
}

static void card_context_destroy(quire_context *context)
{
	struct drm_quire_vm_destroy args = { .vm_id = context->vm_id };

	drmIoctl(context->device->fd, DRM_IOCTL_QUIRE_VM_DESTROY, &args);
}

static int bind(const quire_buffer *buffer, uint32_t type)
{
	struct drm_quire_vm_bind_op op = {
		.type = type,
		.handle = type == DRM_QUIRE_VM_BIND_MAP ? buffer->handle : 0,
		.va = buffer->address,
		.size = buffer->bytes,
	};
	struct drm_quire_vm_bind args = {
		.vm_id = buffer->context->vm_id,
		.ops = { sizeof(op), 1, (uintptr_t)&op },
	};

	return drmIoctl(buffer->context->device->fd, DRM_IOCTL_QUIRE_VM_BIND, &args) ? -errno : 0;
}

static void close_handle(const quire_buffer *buffer)
{
	struct drm_gem_close args = { .handle = buffer->handle };

	drmIoctl(buffer->context->device->fd, DRM_IOCTL_GEM_CLOSE, &args);
}

static int card_buffer_create(quire_buffer *buffer)
{
	struct drm_quire_bo_create args = {
		.size = buffer->bytes,
		.placement = buffer->placement == QUIRE_PLACEMENT_CARD ?
				     DRM_QUIRE_PLACEMENT_CARD : DRM_QUIRE_PLACEMENT_SYSTEM,
		.vm_id = buffer->context->vm_id,
	};
	int error;

	if (drmIoctl(buffer->context->device->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args))
		return fail(-errno, QUIRE_LAYER_KERNEL, "make it smaller, or free buffers",
			    "cannot create a buffer of %llu bytes: %s",
			    (unsigned long long)buffer->bytes,
			    errno == ENOSPC ? "more than the card has" : strerror(errno));
	buffer->handle = args.handle;
	error = bind(buffer, DRM_QUIRE_VM_BIND_MAP);
	if (error) {
		close_handle(buffer);
		return fail(error, QUIRE_LAYER_KERNEL, NULL, "cannot map a buffer for the card: %s",
			    strerror(-error));
	}
	return 0;
}

static void card_buffer_destroy(quire_buffer *buffer)
{
	void *pointer = atomic_load(&buffer->pointer);

	if (pointer)
		munmap(pointer, buffer->bytes);
	bind(buffer, DRM_QUIRE_VM_BIND_UNMAP);
	close_handle(buffer);
}

static int card_buffer_map(quire_buffer *buffer, void **pointer)
{
	struct drm_quire_bo_mmap_offset args = { .handle = buffer->handle };
	int fd = buffer->context->device->fd;

	if (drmIoctl(fd, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &args))
		return fail(-errno, QUIRE_LAYER_KERNEL, NULL, "cannot map a buffer: %s",
			    strerror(errno));
	*pointer = mmap(NULL, buffer->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			(off_t)args.offset);
	if (*pointer == MAP_FAILED)
		return fail(-errno, QUIRE_LAYER_KERNEL, NULL, "cannot map a buffer: %s",
			    strerror(errno));
	/* A child must not touch what its parent's jobs use. */
	madvise(*pointer, buffer->bytes, MADV_DONTFORK);
	return 0;
}

/* ---- Queues ---- */

static int card_queue_create(quire_queue *queue, enum quire_priority priority, uint32_t limit_ms)
{
	static const int32_t priorities[] = {
		[QUIRE_PRIORITY_NORMAL] = DRM_QUIRE_QUEUE_PRIORITY_NORMAL,
		[QUIRE_PRIORITY_LOW] = DRM_QUIRE_QUEUE_PRIORITY_LOW,
		[QUIRE_PRIORITY_HIGH] = DRM_QUIRE_QUEUE_PRIORITY_HIGH,
	};
	struct drm_quire_queue_create args = { .vm_id = queue->context->vm_id,
					       .priority = priorities[priority],
					       .time_limit_ms = limit_ms };
	int fd = queue->context->device->fd;

	if (drmIoctl(fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args))
		return fail(-errno, QUIRE_LAYER_KERNEL,
			    errno == EACCES ? "high priority needs CAP_SYS_NICE" :
			    errno == EMFILE ? "free queues" : NULL,
			    "cannot create a queue: %s",
			    errno == EMFILE ? "this program has too many" : strerror(errno));
	queue->id = args.queue_id;
	if (drmSyncobjCreate(fd, 0, &queue->syncobj)) {
		struct drm_quire_queue_destroy destroy = { .queue_id = queue->id };
		int error = -errno;

		drmIoctl(fd, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &destroy);
		return fail(error, QUIRE_LAYER_KERNEL, NULL, "cannot create a syncobj: %s",
			    strerror(-error));
	}
	return 0;
}

static void card_queue_destroy(quire_queue *queue)
{
	struct drm_quire_queue_destroy args = { .queue_id = queue->id };
	int fd = queue->context->device->fd;

	drmIoctl(fd, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &args);
	drmSyncobjDestroy(fd, queue->syncobj);
}

static int query_queue(quire_queue *queue, struct drm_quire_queue_query *state)
{
	memset(state, 0, sizeof(*state));
	state->queue_id = queue->id;
	if (drmIoctl(queue->context->device->fd, DRM_IOCTL_QUIRE_QUEUE_QUERY, state))
		return fail(-errno, QUIRE_LAYER_KERNEL, NULL, "cannot query the queue: %s",
			    strerror(errno));
	return 0;
}

/* Set the last result of each list to pending, and remember where the newest shows. */
static void expect(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count)
{
	struct submission *s = &queue->submissions[(queue->point + 1) % SUBMISSIONS_KEPT];
	quire_cmdlist *last = lists[count - 1];

	for (uint32_t i = 0; i < count; i++) {
		lists[i]->outcome->status = QUIRE_STATUS_PENDING;
		if (lists[i]->commands)
			lists[i]->results[lists[i]->commands - 1].status = QUIRE_STATUS_PENDING;
	}
	s->point = queue->point + 1;
	s->list = last;
	s->last_job = queue->jobs + count;
	s->status = last->commands ? &last->results[last->commands - 1].status : NULL;
}

static int card_submit(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count,
		       const struct quire_fence *waits, uint32_t wait_count)
{
	struct drm_quire_sync few_syncs[FEW] = { 0 };
	struct drm_quire_job few_jobs[FEW] = { 0 };
	struct drm_quire_sync *syncs =
		wait_count < FEW ? few_syncs : calloc(wait_count + 1u, sizeof(*syncs));
	struct drm_quire_job *jobs = count <= FEW ? few_jobs : calloc(count, sizeof(*jobs));
	struct drm_quire_submit args = { .queue_id = queue->id,
					 .jobs = { sizeof(*jobs), count, (uintptr_t)jobs } };
	uint32_t used = 0;
	int error = 0;

	if (!syncs || !jobs) {
		error = fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory for a submission");
		goto out;
	}
	/* The last element signals, those before it are waited for. */
	for (uint32_t i = 0; i < wait_count; i++)
		if (waits[i].queue && waits[i].point)
			syncs[used++] = (struct drm_quire_sync){
				DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
				waits[i].queue->syncobj, waits[i].point };
	syncs[used] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
					       queue->syncobj, queue->point + 1 };
	for (uint32_t i = 0; i < count; i++) {
		jobs[i].stream_va = lists[i]->bytes ? quire_buffer_address(lists[i]->memory) : 0;
		jobs[i].stream_bytes = lists[i]->bytes;
		if (!lists[i]->once)
			jobs[i].flags = DRM_QUIRE_JOB_RESTARTABLE;
		/* It takes the card a microsecond, which an empty job should not cost. */
		if (lists[i]->bytes)
			jobs[i].outcome_va = cmdlist_outcome_address(lists[i]);
	}
	if (used)
		jobs[0].syncs = (struct drm_quire_obj_array){ sizeof(*syncs), used,
							      (uintptr_t)syncs };
	/* A single job does both. */
	if (count == 1)
		jobs[0].syncs = (struct drm_quire_obj_array){ sizeof(*syncs), used + 1,
							      (uintptr_t)syncs };
	else
		jobs[count - 1].syncs = (struct drm_quire_obj_array){ sizeof(*syncs), 1,
								      (uintptr_t)&syncs[used] };
	expect(queue, lists, count);
	if (drmIoctl(queue->context->device->fd, DRM_IOCTL_QUIRE_SUBMIT, &args))
		error = fail(-errno, QUIRE_LAYER_KERNEL,
			     errno == ECANCELED ? "make a new queue" : NULL, "cannot submit: %s",
			     errno == ECANCELED ? "an earlier job of the queue failed" :
						  strerror(errno));
out:
	if (syncs != few_syncs)
		free(syncs);
	if (jobs != few_jobs)
		free(jobs);
	return error;
}

/* What became of the jobs up to last_job, all of which have ended. */
static int outcome(quire_queue *queue, uint64_t first_job, uint64_t last_job)
{
	struct drm_quire_queue_query state;
	struct quire_fault fault;
	int error = query_queue(queue, &state);

	if (error)
		return error;
	if (!state.fault_job || state.fault_job > last_job)
		return 0;
	if (state.fault_job < first_job)
		return fail(-ECANCELED, QUIRE_LAYER_CARD, "make a new queue",
			    "an earlier job of the queue failed");
	fault = (struct quire_fault){ state.fault_status, state.fault_packet, state.fault_detail,
				      state.fault_info, state.fault_address };
	return queue_job_error(queue, &fault, state.fault_job);
}

/* The list's result is then that of a later run, perhaps one not finished. */
static bool submitted_again(quire_queue *queue, const struct submission *seen)
{
	bool again = false;

	pthread_mutex_lock(&queue->lock);
	for (unsigned int i = 0; i < SUBMISSIONS_KEPT && !again; i++)
		again = queue->submissions[i].list == seen->list &&
			queue->submissions[i].point > seen->point;
	pthread_mutex_unlock(&queue->lock);
	return again;
}

/*
 * Whether the queue has already done @job without a failure: this call costs half
 * of one that waits for a syncobj.
 */
static bool is_done(quire_queue *queue, uint64_t job)
{
	struct drm_quire_queue_query state;

	return !query_queue(queue, &state) && state.completed >= job && !state.fault_job;
}

static int card_wait(quire_queue *queue, uint64_t point, int64_t deadline)
{
	struct submission seen = { 0 };
	uint64_t first_job = 1;
	uint32_t status;
	int ret;

	pthread_mutex_lock(&queue->lock);
	if (queue->submissions[point % SUBMISSIONS_KEPT].point == point)
		seen = queue->submissions[point % SUBMISSIONS_KEPT];
	if (point > 1 && queue->submissions[(point - 1) % SUBMISSIONS_KEPT].point == point - 1)
		first_job = queue->submissions[(point - 1) % SUBMISSIONS_KEPT].last_job + 1;
	pthread_mutex_unlock(&queue->lock);
	/* The last command's result appears before its fence: no call is needed then. */
	for (int i = 0; seen.status && i < (deadline ? SPINS : 1); i++) {
		status = __atomic_load_n(seen.status, __ATOMIC_ACQUIRE);
		if (status == QUIRE_STATUS_OK)
			return 0;
	}
	/* An empty list has no result to look at, but most likely it has ended by now. */
	if (seen.point && !seen.status && is_done(queue, seen.last_job))
		return 0;
	for (;;) {
		ret = drmSyncobjTimelineWait(queue->context->device->fd, &queue->syncobj, &point, 1,
					     deadline, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, NULL);
		if (!ret)
			break;
		if (ret == -ETIME)
			return fail(-ETIME, QUIRE_LAYER_LIBRARY, NULL,
				    "the fence has not passed at the deadline");
		if (ret != -EINTR)
			return fail(ret, QUIRE_LAYER_KERNEL, NULL, "cannot wait: %s",
				    strerror(-ret));
	}
	if (seen.status && __atomic_load_n(seen.status, __ATOMIC_ACQUIRE) == QUIRE_STATUS_OK)
		return 0;
	ret = outcome(queue, first_job, seen.point ? seen.last_job : UINT64_MAX);
	if (!ret && seen.status && !submitted_again(queue, &seen))
		return fail(-EIO, QUIRE_LAYER_CARD, "run it again",
			    "the card was reset while the job was on it");
	return ret;
}

static int card_fault(quire_queue *queue, struct quire_fault *fault)
{
	struct drm_quire_queue_query state;
	int error = query_queue(queue, &state);

	if (!error)
		*fault = (struct quire_fault){ state.fault_status, state.fault_packet,
					       state.fault_detail, state.fault_info,
					       state.fault_address };
	return error;
}

static int card_queue_info(quire_queue *queue, struct quire_queue_info *info)
{
	struct drm_quire_queue_query state;
	int error = query_queue(queue, &state);

	if (!error)
		*info = (struct quire_queue_info){
			.reset = state.reset, .submitted = state.submitted,
			.completed = state.completed, .busy_ns = state.busy_ns,
			.macs = state.macs, .cycles = state.cycles,
			.modelled_pj = state.modelled_pj, .rerun = state.rerun,
		};
	return error;
}

/*
 * The result of the last command, which quire_fence_wait() looks at, is there before the
 * outcome: then the fence is about to pass.
 */
static int card_settle(quire_queue *queue, uint64_t point)
{
	int64_t deadline = 0;
	int ret;

	if (!card_wait(queue, point, 0))
		deadline = QUIRE_FOREVER;
	do {
		ret = drmSyncobjTimelineWait(queue->context->device->fd, &queue->syncobj, &point, 1,
					     deadline, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, NULL);
	} while (ret == -EINTR);
	if (ret == -ETIME)
		return fail(-EBUSY, QUIRE_LAYER_LIBRARY, "wait for its fence",
			    "the job has not ended");
	return ret ? fail(ret, QUIRE_LAYER_KERNEL, NULL, "cannot wait: %s", strerror(-ret)) : 0;
}

const struct backend quire_backend_card = {
	.name = "card",
	.open = card_open,
	.close = card_close,
	.info = card_info,
	.counters = card_counters,
	.usage = card_usage,
	.context_create = card_context_create,
	.context_destroy = card_context_destroy,
	.buffer_create = card_buffer_create,
	.buffer_destroy = card_buffer_destroy,
	.buffer_map = card_buffer_map,
	.queue_create = card_queue_create,
	.queue_destroy = card_queue_destroy,
	.submit = card_submit,
	.wait = card_wait,
	.fault = card_fault,
	.queue_info = card_queue_info,
	.settle = card_settle,
};
