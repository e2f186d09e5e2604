// SPDX-License-Identifier: MIT
/*
 * Fuzzer of the driver's calls that knows their structures.  Several processes with several
 * threads each make calls that are right, or right but for one field, on a few files they
 * share; objects are used while others close them, streams change while the card reads
 * them, and signals interrupt the calls.  It looks whether each call comes back, whether the
 * card works afterwards, and whether memory is given back; the rest is the kernel's own checks.
 *
 * usage: fuzz_ioctl [--calls N] [--seconds N] [--seed N] [--processes N] [--threads N] [--trace]
 *        (--seconds: an end before all calls are done, for slow machines)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "fuzz_random.h"
#include "fuzz_stream.h"

#define WORKERS_MAX 64
#define FILES 2
#define SLOTS 12
#define USER_BYTES (1u << 20)
#define STREAM_BYTES (64u << 10)
#define DATA_BYTES (1u << 20) /* behind the streams, bound with them */
#define VA_BASE 0x40000000ull
#define VA_SPAN (48ull << 20)
#define STREAM_VA 0x30000000ull
#define HANG_S 40

/* A file of a process, and what its threads remember of what they made there. */
struct file {
	_Atomic int fd;
	_Atomic uint32_t vm[4], bo[SLOTS], queue[6], syncobj[SLOTS];
	_Atomic uint64_t offset[SLOTS]; /* of mappings */
	_Atomic int shared[SLOTS];	/* dma-bufs, sync files, syncobj files */
	uint8_t *stream;
};

struct call {
	const char *name;
	uint32_t weight;
	int (*make)(struct file *file, struct rng *rng);
};

/* Shared by all processes. */
struct worker {
	_Atomic int64_t since; /* of the call in progress, milliseconds; 0: none */
	_Atomic int call;
};

static struct shared {
	_Atomic uint64_t calls;
	_Atomic int stop;
	struct worker worker[WORKERS_MAX];
	struct {
		_Atomic uint64_t right, wrong;
		_Atomic uint64_t slowest_us;
	} call[64];
} *shared;

static struct file files[FILES];
static uint8_t *user_memory;
static uint8_t *guarded; /* a page, and one behind it that is not there */
static int trace;
static __thread sigjmp_buf *escape;

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

/* One try, as a signal may end it; 0 or -errno. */
static int once(struct file *file, unsigned long request, void *args)
{
	return ioctl(file->fd, request, args) ? -errno : 0;
}

static int maybe_wrong(struct file *file, struct rng *rng, unsigned long request, void *args,
		       size_t bytes)
{
	if (rng_once_in(rng, 7))
		rng_mutate(rng, args, bytes);
	if (rng_once_in(rng, 200))
		args = (void *)(uintptr_t)rng_odd_value(rng);
	return once(file, request, args);
}

/* Mostly an id of ours, but also one that is gone, or none. */
static uint32_t pick(struct rng *rng, _Atomic uint32_t *slots, uint32_t count)
{
	uint32_t id = 0;

	if (rng_once_in(rng, 40))
		return rng_once_in(rng, 2) ? rng_below(rng, 40) : (uint32_t)rng_odd_value(rng);
	for (int tries = 0; tries < 8 && !id; tries++)
		id = slots[rng_below(rng, count)];
	return id;
}

/* One to be destroyed.  Now and then it is remembered all the same. */
static uint32_t drop(struct rng *rng, _Atomic uint32_t *slots, uint32_t count)
{
	_Atomic uint32_t *place = &slots[rng_below(rng, count)];

	return rng_once_in(rng, 30) ? pick(rng, slots, count) : atomic_exchange(place, 0);
}

/* Remembers an id; the one that has to make room, unless the kernel has given it out again. */
static uint32_t keep(struct rng *rng, _Atomic uint32_t *slots, uint32_t count, uint32_t id)
{
	uint32_t place = rng_below(rng, count), old;

	for (uint32_t i = 0; i < count; i++)
		if (!slots[i])
			place = i;
	old = atomic_exchange(&slots[place], id);
	for (uint32_t i = 0; i < count; i++)
		if (slots[i] == old)
			return 0;
	return old;
}

#define COUNT(slots) (sizeof(slots) / sizeof((slots)[0]))
#define PICK(rng, slots) pick(rng, slots, COUNT(slots))
#define DROP(rng, slots) drop(rng, slots, COUNT(slots))
#define KEEP(rng, slots, id) keep(rng, slots, COUNT(slots), id)
#define SOME(rng, slots) (&(slots)[rng_below(rng, COUNT(slots))])

/* --- Files and what belongs to DRM --- */

static int query(struct file *file, struct rng *rng)
{
	struct drm_quire_dev_query args = { .type = rng_below(rng, 5), .size = rng_below(rng, 512) };

	/* Ends where nothing is mapped: a size that is wrong must not hit ourselves. */
	if (!rng_once_in(rng, 6))
		args.pointer = (uintptr_t)guarded + PAGE - rng_below(rng, PAGE);
	return maybe_wrong(file, rng, DRM_IOCTL_QUIRE_DEV_QUERY, &args, sizeof(args));
}

static int bind_stream(struct file *file, struct rng *rng);

static int vm_create(struct file *file, struct rng *rng)
{
	struct drm_quire_vm_create args = { 0 };
	int ret = maybe_wrong(file, rng, DRM_IOCTL_QUIRE_VM_CREATE, &args, sizeof(args));

	if (!ret) {
		struct drm_quire_vm_destroy old = { .vm_id = KEEP(rng, file->vm, args.vm_id) };

		once(file, DRM_IOCTL_QUIRE_VM_DESTROY, &old);
		bind_stream(file, rng);
	}
	return ret;
}

static int vm_destroy(struct file *file, struct rng *rng)
{
	struct drm_quire_vm_destroy args = { .vm_id = DROP(rng, file->vm) };

	return maybe_wrong(file, rng, DRM_IOCTL_QUIRE_VM_DESTROY, &args, sizeof(args));
}

static void close_bo(struct file *file, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	once(file, DRM_IOCTL_GEM_CLOSE, &args);
}

static void remember_bo(struct file *file, struct rng *rng, uint32_t handle)
{
	close_bo(file, KEEP(rng, file->bo, handle));
}

static int bo_create(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_create args = {
		.size = (uint64_t)PAGE << (3 + rng_below(rng, rng_once_in(rng, 20) ? 11 : 6)),
		.placement = 1 + rng_below(rng, 2),
		.vm_id = rng_once_in(rng, 2) ? 0 : PICK(rng, file->vm),
	};
	int ret;

	if (rng_once_in(rng, 3))
		args.size += rng_below(rng, PAGE);
	ret = maybe_wrong(file, rng, DRM_IOCTL_QUIRE_BO_CREATE, &args, sizeof(args));
	if (!ret)
		remember_bo(file, rng, args.handle);
	return ret;
}

static int userptr(struct file *file, struct rng *rng)
{
	uint32_t pages = USER_BYTES / PAGE, first = rng_below(rng, pages);
	struct drm_quire_userptr args = {
		.address = (uintptr_t)user_memory + (uint64_t)first * PAGE,
		.size = (1ull + rng_below(rng, rng_once_in(rng, 8) ? 2 * pages : pages - first)) * PAGE,
		.flags = rng_below(rng, 2),
	};
	int ret = maybe_wrong(file, rng, DRM_IOCTL_QUIRE_USERPTR, &args, sizeof(args));

	if (!ret)
		remember_bo(file, rng, args.handle);
	return ret;
}

static int gem_close(struct file *file, struct rng *rng)
{
	struct drm_gem_close args = { .handle = DROP(rng, file->bo) };

	return maybe_wrong(file, rng, DRM_IOCTL_GEM_CLOSE, &args, sizeof(args));
}

static int bo_info(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_info args = { .handle = PICK(rng, file->bo) };

	return maybe_wrong(file, rng, DRM_IOCTL_QUIRE_BO_INFO, &args, sizeof(args));
}

static int mmap_offset(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_mmap_offset args = { .handle = PICK(rng, file->bo) };
	int ret = maybe_wrong(file, rng, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &args, sizeof(args));

	if (!ret)
		*SOME(rng, file->offset) = args.offset;
	return ret;
}

/* Writes to what may not be there. */
static void put(uint8_t *to, const uint8_t *from, size_t bytes)
{
	sigjmp_buf here;

	escape = &here;
	if (!sigsetjmp(here, 1))
		memcpy(to, from, bytes);
	escape = NULL;
}

static void touch(struct rng *rng, volatile uint8_t *at, uint64_t bytes)
{
	sigjmp_buf here;

	escape = &here;
	if (!sigsetjmp(here, 1))
		for (int i = 0; i < 8; i++) {
			uint64_t place = rng_next(rng) % bytes;

			if (rng_once_in(rng, 2))
				at[place] = (uint8_t)place;
			else
				(void)at[place];
		}
	escape = NULL;
}

static int map_and_touch(struct file *file, struct rng *rng)
{
	uint64_t bytes = (uint64_t)PAGE << rng_below(rng, 6);
	struct drm_quire_bo_mmap_offset args = { .handle = PICK(rng, file->bo) };
	uint64_t offset = *SOME(rng, file->offset);
	int protection = rng_once_in(rng, 4) ? PROT_READ : PROT_READ | PROT_WRITE;
	uint8_t *map;

	if (!once(file, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &args))
		offset = args.offset;
	if (rng_once_in(rng, 10))
		offset = rng_odd_value(rng) & ~(uint64_t)(PAGE - 1);
	map = mmap(NULL, bytes, protection, rng_once_in(rng, 10) ? MAP_PRIVATE : MAP_SHARED,
		   file->fd, (off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	if (protection & PROT_WRITE)
		touch(rng, map, bytes);
	if (rng_once_in(rng, 8))
		madvise(map, bytes, MADV_DONTNEED);
	if (rng_once_in(rng, 8))
		mprotect(map, PAGE, PROT_NONE);
	munmap(map, bytes);
	return 0;
}

/* The pages of userptr buffers change hands, are split, protected, and come back. */
static int user_pages(struct file *file, struct rng *rng)
{
	uint32_t first = rng_below(rng, USER_BYTES / PAGE);
	uint32_t count = 1 + rng_below(rng, USER_BYTES / PAGE - first);
	uint8_t *at = user_memory + (size_t)first * PAGE;
	size_t bytes = (size_t)count * PAGE;

	(void)file;
	switch (rng_below(rng, 4)) {
	case 0:
		return madvise(at, bytes, MADV_DONTNEED) ? -errno : 0;
	case 1:
		if (mprotect(at, bytes, PROT_READ))
			return -errno;
		return mprotect(at, bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
	case 2:
		return mmap(at, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -errno : 0;
	default:
		touch(rng, at, bytes);
		return 0;
	}
}

static int prime_export(struct file *file, struct rng *rng)
{
	struct drm_prime_handle args = { .handle = PICK(rng, file->bo),
					 .flags = DRM_CLOEXEC | (rng_once_in(rng, 2) ? DRM_RDWR : 0) };
	int ret = maybe_wrong(file, rng, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args, sizeof(args));

	if (!ret)
		close(atomic_exchange(SOME(rng, file->shared), args.fd));
	return ret;
}

/* Of this file or the other: the same buffer, or one of a neighbour. */
static int prime_import(struct file *file, struct rng *rng)
{
	struct drm_prime_handle args = { .fd = *SOME(rng, files[rng_below(rng, FILES)].shared) };
	int ret = maybe_wrong(file, rng, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args, sizeof(args));

	if (!ret)
		remember_bo(file, rng, args.handle);
	return ret;
}

static int map_shared(struct file *file, struct rng *rng)
{
	uint8_t *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *SOME(rng, file->shared), 0);

	if (map == MAP_FAILED)
		return -errno;
	touch(rng, map, PAGE);
	munmap(map, PAGE);
	return 0;
}

/* --- Syncobjs --- */

static uint64_t point(struct rng *rng)
{
	return rng_once_in(rng, 30) ? rng_odd_value(rng) : rng_below(rng, 6);
}

static int sync_create(struct file *file, struct rng *rng)
{
	struct drm_syncobj_create args = { .flags = rng_below(rng, 2) };
	int ret = maybe_wrong(file, rng, DRM_IOCTL_SYNCOBJ_CREATE, &args, sizeof(args));

	if (!ret) {
		struct drm_syncobj_destroy old = {
			.handle = KEEP(rng, file->syncobj, args.handle)
		};

		once(file, DRM_IOCTL_SYNCOBJ_DESTROY, &old);
	}
	return ret;
}

static int sync_destroy(struct file *file, struct rng *rng)
{
	struct drm_syncobj_destroy args = { .handle = DROP(rng, file->syncobj) };

	return maybe_wrong(file, rng, DRM_IOCTL_SYNCOBJ_DESTROY, &args, sizeof(args));
}

static int sync_wait(struct file *file, struct rng *rng)
{
	uint32_t handle = PICK(rng, file->syncobj);
	uint64_t at = point(rng);
	struct drm_syncobj_timeline_wait args = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&at, .count_handles = 1,
		.timeout_nsec = (now_us() + rng_below(rng, 3000)) * 1000,
		.flags = rng_below(rng, 8),
	};

	return once(file, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

static int sync_change(struct file *file, struct rng *rng)
{
	uint32_t handle = PICK(rng, file->syncobj);
	uint64_t at = point(rng);
	struct drm_syncobj_timeline_array timeline = { .handles = (uintptr_t)&handle,
						       .points = (uintptr_t)&at,
						       .count_handles = 1 };
	struct drm_syncobj_array array = { .handles = (uintptr_t)&handle, .count_handles = 1 };
	struct drm_syncobj_transfer transfer = { .src_handle = handle, .src_point = at,
						 .dst_handle = PICK(rng, file->syncobj),
						 .dst_point = point(rng) };

	/* The counts of these four stay: DRM allocates whatever they say and warns. */
	switch (rng_below(rng, 5)) {
	case 0:
		return once(file, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &timeline);
	case 1:
		return once(file, DRM_IOCTL_SYNCOBJ_QUERY, &timeline);
	case 2:
		return once(file, DRM_IOCTL_SYNCOBJ_RESET, &array);
	case 3:
		return once(file, DRM_IOCTL_SYNCOBJ_SIGNAL, &array);
	default:
		return maybe_wrong(file, rng, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer, sizeof(transfer));
	}
}

static int sync_share(struct file *file, struct rng *rng)
{
	struct drm_syncobj_handle args = { .handle = PICK(rng, file->syncobj),
					   .flags = rng_below(rng, 2) };
	int ret;

	if (rng_once_in(rng, 2)) {
		ret = maybe_wrong(file, rng, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args, sizeof(args));
		if (!ret)
			close(atomic_exchange(SOME(rng, file->shared), args.fd));
		return ret;
	}
	args.fd = *SOME(rng, files[rng_below(rng, FILES)].shared);
	ret = maybe_wrong(file, rng, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args, sizeof(args));
	if (!ret && !args.flags)
		KEEP(rng, file->syncobj, args.handle);
	return ret;
}

static uint32_t some_syncs(struct file *file, struct rng *rng, struct drm_quire_sync *syncs,
			   uint32_t most)
{
	uint32_t count = rng_once_in(rng, 2) ? 0 : rng_below(rng, most + 1);

	for (uint32_t i = 0; i < count; i++) {
		syncs[i] = (struct drm_quire_sync){
			.flags = rng_once_in(rng, 6) ? DRM_QUIRE_SYNC_WAIT : DRM_QUIRE_SYNC_SIGNAL,
			.handle = PICK(rng, file->syncobj),
			.point = point(rng),
		};
		if (syncs[i].point)
			syncs[i].flags |= DRM_QUIRE_SYNC_TIMELINE;
		if (rng_once_in(rng, 40))
			rng_mutate(rng, &syncs[i], sizeof(syncs[i]));
	}
	return count;
}

/* --- Address spaces, queues, jobs --- */

static int bind(struct file *file, struct rng *rng)
{
	struct drm_quire_vm_bind_op ops[8];
	struct drm_quire_sync syncs[4];
	struct drm_quire_vm_bind args = { .vm_id = PICK(rng, file->vm) };
	uint32_t count = 1 + rng_below(rng, rng_once_in(rng, 4) ? 8 : 2);

	for (uint32_t i = 0; i < count; i++) {
		int map = !rng_once_in(rng, 3);
		uint64_t unit = rng_once_in(rng, 3) ? 2u << 20 : PAGE;

		ops[i] = (struct drm_quire_vm_bind_op){
			.type = map ? DRM_QUIRE_VM_BIND_MAP : DRM_QUIRE_VM_BIND_UNMAP,
			.flags = map && rng_once_in(rng, 5) ? DRM_QUIRE_VM_BIND_READ_ONLY : 0,
			.handle = map ? PICK(rng, file->bo) : 0,
			.bo_offset = map && rng_once_in(rng, 8) ? PAGE * rng_below(rng, 8) : 0,
			.va = VA_BASE + rng_next(rng) % VA_SPAN / unit * unit,
			.size = (uint64_t)PAGE << rng_below(rng, rng_once_in(rng, 10) ? 10 : 4),
		};
		if (rng_once_in(rng, 40))
			rng_mutate(rng, &ops[i], sizeof(ops[i]));
	}
	args.ops = (struct drm_quire_obj_array){ sizeof(ops[0]), count, (uintptr_t)ops };
	if (rng_once_in(rng, 2)) {
		args.flags = DRM_QUIRE_VM_BIND_ASYNC;
		args.syncs = (struct drm_quire_obj_array){ sizeof(syncs[0]), 0, (uintptr_t)syncs };
		args.syncs.count = some_syncs(file, rng, syncs, 4);
		if (!args.syncs.count)
			args.syncs.array = 0;
	}
	return maybe_wrong(file, rng, DRM_IOCTL_QUIRE_VM_BIND, &args, sizeof(args));
}

static int queue_create(struct file *file, struct rng *rng)
{
	struct drm_quire_queue_create args = {
		.vm_id = PICK(rng, file->vm),
		.priority = (int)rng_below(rng, 3) - 1,
		.time_limit_ms = rng_once_in(rng, 3) ? 1 + rng_below(rng, 50) : 300,
	};
	int ret = maybe_wrong(file, rng, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args, sizeof(args));

	if (!ret) {
		struct drm_quire_queue_destroy old = {
			.queue_id = KEEP(rng, file->queue, args.queue_id)
		};

		once(file, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &old);
	}
	return ret;
}

static int queue_destroy(struct file *file, struct rng *rng)
{
	struct drm_quire_queue_destroy args = { .queue_id = DROP(rng, file->queue) };

	return maybe_wrong(file, rng, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &args, sizeof(args));
}

static int queue_query(struct file *file, struct rng *rng)
{
	struct drm_quire_queue_query args = { .queue_id = PICK(rng, file->queue) };

	return maybe_wrong(file, rng, DRM_IOCTL_QUIRE_QUEUE_QUERY, &args, sizeof(args));
}

/* A queue that is banned makes room for one that works, in an address space with streams. */
static void renew_queue(struct file *file, struct rng *rng, uint32_t banned)
{
	struct drm_quire_queue_destroy old = { .queue_id = banned };
	struct drm_quire_queue_create args = { .vm_id = PICK(rng, file->vm),
					       .time_limit_ms = 100 + rng_below(rng, 1000) };

	for (unsigned int i = 0; i < COUNT(file->queue); i++)
		if (file->queue[i] == banned)
			file->queue[i] = 0;
	once(file, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &old);
	if (!once(file, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args)) {
		old.queue_id = KEEP(rng, file->queue, args.queue_id);
		once(file, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &old);
	}
}

static int submit(struct file *file, struct rng *rng)
{
	struct drm_quire_job jobs[6];
	struct drm_quire_sync syncs[6][3];
	uint32_t count = 1 + rng_below(rng, rng_once_in(rng, 4) ? 6 : 2);
	uint32_t queue = PICK(rng, file->queue);
	struct drm_quire_submit args = {
		.queue_id = queue,
		.jobs = { sizeof(jobs[0]), count, (uintptr_t)jobs },
	};
	int ret;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = rng_below(rng, STREAM_BYTES / 1024) * 1024;
		uint8_t packets[1024];
		size_t bytes = rng_once_in(rng, 3) ?
			fuzz_stream(rng, packets, sizeof(packets), VA_BASE, VA_SPAN) :
			fuzz_stream(rng, packets, sizeof(packets), STREAM_VA + STREAM_BYTES,
				    DATA_BYTES);

		put(file->stream + at, packets, bytes);
		jobs[i] = (struct drm_quire_job){ .stream_va = STREAM_VA + at,
						  .stream_bytes = (uint32_t)bytes };
		if (rng_once_in(rng, 3))
			jobs[i].stream_bytes = 0;
		if (rng_once_in(rng, 4))
			jobs[i].outcome_va = STREAM_VA + rng_below(rng, STREAM_BYTES / 8) * 8;
		jobs[i].syncs.count = some_syncs(file, rng, syncs[i], 3);
		jobs[i].syncs.stride = sizeof(syncs[0][0]);
		jobs[i].syncs.array = jobs[i].syncs.count ? (uintptr_t)syncs[i] : 0;
		if (rng_once_in(rng, 40))
			rng_mutate(rng, &jobs[i], sizeof(jobs[i]));
	}
	ret = maybe_wrong(file, rng, DRM_IOCTL_QUIRE_SUBMIT, &args, sizeof(args));
	if (!queue || ret == -ECANCELED)
		renew_queue(file, rng, queue);
	return ret;
}

/* Any number, any size: also calls that do not exist. */
static int any_call(struct file *file, struct rng *rng)
{
	uint64_t args[32];

	for (unsigned int i = 0; i < 32; i++)
		args[i] = rng_once_in(rng, 2) ? 0 : rng_odd_value(rng);
	return once(file, _IOC(rng_below(rng, 4), 'd', DRM_COMMAND_BASE + rng_below(rng, 20),
			       rng_below(rng, sizeof(args))), args);
}

static int read_procfs(struct file *file, struct rng *rng)
{
	char path[64], text[4096];
	int fd, ret;

	(void)rng;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", file->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = read(fd, text, sizeof(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* The stream buffer of a file: bound in each of its address spaces. */
static int bind_stream(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_create args = { .size = STREAM_BYTES + DATA_BYTES,
					    .placement = 1 + rng_below(rng, 2) };
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .va = STREAM_VA,
					   .size = STREAM_BYTES + DATA_BYTES };
	struct drm_quire_vm_bind call = { .vm_id = *SOME(rng, file->vm),
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };
	struct drm_quire_bo_mmap_offset offset = { 0 };
	uint8_t *map, *at = file->stream;
	int ret = once(file, DRM_IOCTL_QUIRE_BO_CREATE, &args);

	if (ret)
		return ret;
	op.handle = offset.handle = args.handle;
	ret = once(file, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &offset);
	map = ret ? MAP_FAILED : mmap(at, STREAM_BYTES, PROT_READ | PROT_WRITE,
				      MAP_SHARED | (at ? MAP_FIXED : 0), file->fd,
				      (off_t)offset.offset);
	if (map != MAP_FAILED && !at)
		file->stream = map;
	if (!ret)
		ret = once(file, DRM_IOCTL_QUIRE_VM_BIND, &call);
	close_bo(file, args.handle);
	return ret;
}

/* Something of each kind; a mapping of the stream stays, whatever becomes of the buffer. */
static void populate(struct file *file, struct rng *rng)
{
	for (int i = 0; i < 4; i++) {
		struct drm_quire_vm_create args = { 0 };

		if (!once(file, DRM_IOCTL_QUIRE_VM_CREATE, &args))
			KEEP(rng, file->vm, args.vm_id);
		bind_stream(file, rng);
	}
	for (int i = 0; i < SLOTS; i++) {
		sync_create(file, rng);
		bo_create(file, rng);
		bind(file, rng);
		queue_create(file, rng);
	}
}

/* Everything goes at once, under the threads that use it. */
static int reopen(struct file *file, struct rng *rng)
{
	int fd = open("/dev/accel/accel0", O_RDWR | O_CLOEXEC), old;

	if (fd < 0)
		return -errno;
	old = atomic_exchange(&file->fd, fd);
	close(old);
	for (int i = 0; i < SLOTS; i++) {
		file->bo[i] = file->syncobj[i] = 0;
		file->vm[i % COUNT(file->vm)] = file->queue[i % COUNT(file->queue)] = 0;
	}
	populate(file, rng);
	return 0;
}

static const struct call calls[] = {
	{ "dev_query", 3, query },
	{ "vm_create", 2, vm_create },
	{ "vm_destroy", 1, vm_destroy },
	{ "bo_create", 10, bo_create },
	{ "bo_mmap_offset", 4, mmap_offset },
	{ "bo_info", 3, bo_info },
	{ "userptr", 5, userptr },
	{ "vm_bind", 16, bind },
	{ "vm_bind stream", 2, bind_stream },
	{ "queue_create", 3, queue_create },
	{ "queue_destroy", 1, queue_destroy },
	{ "queue_query", 4, queue_query },
	{ "submit", 24, submit },
	{ "gem_close", 3, gem_close },
	{ "prime export", 2, prime_export },
	{ "prime import", 3, prime_import },
	{ "syncobj create", 4, sync_create },
	{ "syncobj destroy", 1, sync_destroy },
	{ "syncobj wait", 4, sync_wait },
	{ "syncobj change", 6, sync_change },
	{ "syncobj share", 3, sync_share },
	{ "mmap", 5, map_and_touch },
	{ "mmap dma-buf", 1, map_shared },
	{ "user pages", 3, user_pages },
	{ "any ioctl", 2, any_call },
	{ "fdinfo", 1, read_procfs },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void on_fault(int signal)
{
	if (!escape) {
		static const char text[] = "# fuzz_ioctl: a fault of its own\n";

		(void)!write(1, text, sizeof(text) - 1);
		_exit(99);
	}
	(void)signal;
	siglongjmp(*escape, 1);
}

static void on_interrupt(int signal)
{
	(void)signal;
}

static void note(unsigned int call, int ret, int64_t took)
{
	uint64_t slowest = shared->call[call].slowest_us;

	atomic_fetch_add(ret ? &shared->call[call].wrong : &shared->call[call].right, 1);
	while (slowest < (uint64_t)took &&
	       !atomic_compare_exchange_weak(&shared->call[call].slowest_us, &slowest, (uint64_t)took))
		;
}

static void work(unsigned int index, uint64_t seed, uint64_t most)
{
	struct rng rng = { seed };
	struct worker *worker = &shared->worker[index];
	uint32_t weights = 0;

	for (unsigned int i = 0; i < CALLS; i++)
		weights += calls[i].weight;
	while (!shared->stop && atomic_fetch_add(&shared->calls, 1) < most) {
		struct file *file = &files[rng_below(&rng, FILES)];
		uint32_t choice = rng_below(&rng, weights), call = 0;
		int64_t start = now_us();
		int ret;

		while (choice >= calls[call].weight)
			choice -= calls[call++].weight;
		worker->call = (int)call;
		worker->since = start / 1000;
		if (rng_once_in(&rng, 3000))
			ret = reopen(file, &rng);
		else
			ret = calls[call].make(file, &rng);
		worker->since = 0;
		note(call, ret, now_us() - start);
		if (trace)
			fprintf(stderr, "%u %s %d\n", index, calls[call].name, ret);
	}
}

struct thread {
	unsigned int index;
	uint64_t seed;
	uint64_t most;
	pthread_t id;
};

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	work(thread->index, thread->seed, thread->most);
	return NULL;
}

static void process_main(unsigned int first, unsigned int threads, uint64_t seed, uint64_t most)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	struct sigaction interrupt = { .sa_handler = on_interrupt,
				       .sa_flags = first % 2 ? SA_RESTART : 0 };
	struct thread thread[WORKERS_MAX];
	struct rng rng = { seed };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &interrupt, NULL);
	user_memory = mmap(NULL, USER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	guarded = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(guarded + PAGE, PAGE, PROT_NONE);
	for (int i = 0; i < FILES; i++) {
		files[i].fd = open("/dev/accel/accel0", O_RDWR | O_CLOEXEC);
		if (files[i].fd < 0)
			_exit(2);
		for (int j = 0; j < SLOTS; j++)
			files[i].shared[j] = -1;
		while (!files[i].stream)
			populate(&files[i], &rng);
	}
	for (unsigned int i = 0; i < threads; i++) {
		thread[i] = (struct thread){ .index = first + i, .seed = seed + i * 7919,
					     .most = most };
		if (pthread_create(&thread[i].id, NULL, thread_main, &thread[i]))
			_exit(3);
	}
	/* Now and then a signal, until all threads have done their part. */
	for (unsigned int i = 0; i < threads;) {
		if (!pthread_tryjoin_np(thread[i].id, NULL)) {
			i++;
			continue;
		}
		usleep(2000 + rng_below(&rng, 20000));
		pthread_kill(thread[i + rng_below(&rng, threads - i)].id, SIGUSR1);
	}
	_exit(0);
}

static uint64_t memory_used(int fd)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? 0 : info.card_used + info.system_used;
}

static int card_works(void)
{
	struct quire_packet_fill fill;
	struct card card;
	int ret = card_setup(&card, 0);

	for (uint64_t i = 1; i <= 20 && !ret; i++) {
		packet_fill(&fill, card.stream.va + PAGE, 64, i);
		ret = card_run(&card, &fill, sizeof(fill));
		if (!ret && ((uint64_t *)card.stream.map)[PAGE / 8 + 7] != i)
			ret = -EILSEQ;
	}
	card_teardown(&card);
	return ret;
}

/* Waits for the processes; the call that does not come back, or NULL. */
static const char *supervise(pid_t *pid, unsigned int processes, unsigned int workers,
			     int64_t end, int *bad)
{
	unsigned int left = processes;

	while (left) {
		int64_t now = now_us() / 1000;
		int status;

		if (now > end)
			shared->stop = 1;
		for (unsigned int i = 0; i < workers; i++) {
			int64_t since = shared->worker[i].since;

			if (since && now - since > HANG_S * 1000)
				return calls[shared->worker[i].call].name;
		}
		for (unsigned int i = 0; i < processes; i++) {
			if (!pid[i] || waitpid(pid[i], &status, WNOHANG) != pid[i])
				continue;
			if (status) {
				printf("# process %u ended with status %#x\n", i, status);
				*bad = 1;
			}
			pid[i] = 0;
			left--;
		}
		usleep(20000);
	}
	return NULL;
}

static unsigned int report(int ok, const char *what)
{
	static unsigned int number;

	printf("%s %u %s\n", ok ? "ok" : "not ok", ++number, what);
	return ok ? 0 : 1;
}

int main(int count, char **argument)
{
	uint64_t most = 200000, seed = 0, before, after, done, seconds = 1000000;
	unsigned int processes = 3, threads = 3, failed = 0, never = 0;
	struct rlimit memory = { 1u << 30, 1u << 30 };
	pid_t pid[WORKERS_MAX];
	const char *stuck;
	int bad = 0, fd;
	int64_t start;

	for (int i = 1; i < count; i++) {
		if (!strcmp(argument[i], "--trace"))
			trace = 1;
		else if (i + 1 < count && !strcmp(argument[i], "--calls"))
			most = strtoull(argument[++i], NULL, 0);
		else if (i + 1 < count && !strcmp(argument[i], "--seconds"))
			seconds = strtoull(argument[++i], NULL, 0);
		else if (i + 1 < count && !strcmp(argument[i], "--seed"))
			seed = strtoull(argument[++i], NULL, 0);
		else if (i + 1 < count && !strcmp(argument[i], "--processes"))
			processes = (unsigned int)atoi(argument[++i]);
		else if (i + 1 < count && !strcmp(argument[i], "--threads"))
			threads = (unsigned int)atoi(argument[++i]);
		else
			return fprintf(stderr, "fuzz_ioctl: unknown option %s\n", argument[i]), 2;
	}
	if (!processes || !threads || processes * threads > WORKERS_MAX)
		return fprintf(stderr, "fuzz_ioctl: at most %u threads\n", WORKERS_MAX), 2;
	if (!seed && getrandom(&seed, 4, 0) != 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_MEMLOCK, &memory);
	printf("1..5\n# seed %llu, %u processes of %u threads\n", (unsigned long long)seed,
	       processes, threads);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	fd = card_open_node(0);
	before = memory_used(fd);
	start = now_us();
	for (unsigned int i = 0; i < processes; i++) {
		pid[i] = fork();
		if (!pid[i])
			process_main(i * threads, threads, seed + i * 1000003, most);
	}
	stuck = supervise(pid, processes, processes * threads,
			  start / 1000 + (int64_t)seconds * 1000, &bad);
	shared->stop = 1;
	start = now_us() - start;
	done = shared->calls < most ? (uint64_t)shared->calls : most;
	printf("# %llu calls in %.1f s, %.0f calls/s\n", (unsigned long long)done,
	       (double)start / 1e6, (double)done * 1e6 / (double)start);
	for (unsigned int i = 0; i < CALLS; i++) {
		printf("# %-16s %8llu done %8llu refused, slowest %llu us\n", calls[i].name,
		       (unsigned long long)shared->call[i].right,
		       (unsigned long long)shared->call[i].wrong,
		       (unsigned long long)shared->call[i].slowest_us);
		never += !shared->call[i].right;
	}
	if (stuck)
		printf("# no answer for %u s: %s\n", HANG_S, stuck);
	failed += report(!stuck, "every call comes back");
	failed += report(!bad, "no process of the fuzzer dies");
	failed += report(!never, "each kind of call was done at least once");
	if (stuck)
		_exit(1);
	failed += report(!card_works(), "the card works afterwards");
	for (int tries = 0; tries < 100 && (after = memory_used(fd)) > before; tries++)
		usleep(100000);
	after = memory_used(fd);
	if (after != before)
		printf("# %llu bytes before, %llu after\n", (unsigned long long)before,
		       (unsigned long long)after);
	failed += report(after <= before, "all buffers are given back");
	close(fd);
	return failed ? 1 : 0;
}
