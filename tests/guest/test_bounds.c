// SPDX-License-Identifier: MIT
/*
 * What one call may take: calls at the edge of what the interface allows end soon, hold up nobody
 * meanwhile, and end when their process is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "patience.h"
#include "shared.h"

#define MIB (1ull << 20)
#define VA 0x6000000000ull
#define SYNCS DRM_QUIRE_MAX_SYNCS
#define USER 1000

FIXTURE(bounds) {
	struct card card;
	struct drm_quire_sync *syncs;
};

FIXTURE_SETUP(bounds)
{
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 60000));
	self->syncs = calloc(SYNCS + 1, sizeof(*self->syncs));
	ASSERT_NE(NULL, self->syncs);
}

FIXTURE_TEARDOWN(bounds)
{
	free(self->syncs);
	card_teardown(&self->card);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

TEST_F(bounds, syncs_of_a_call_are_limited_as_a_whole)
{
	struct drm_quire_job jobs[2] = { 0 };
	struct drm_quire_submit args = { .queue_id = self->card.queue,
					 .jobs = { sizeof(jobs[0]), 2, (uintptr_t)jobs } };
	struct drm_quire_vm_bind bind = { .vm_id = self->card.vm,
					  .flags = DRM_QUIRE_VM_BIND_ASYNC };

	for (int i = 0; i <= SYNCS; i++) {
		self->syncs[i].flags = DRM_QUIRE_SYNC_SIGNAL;
		ASSERT_EQ(0, i ? 0 : card_syncobj_create(self->card.fd, &self->syncs[0].handle));
		self->syncs[i].handle = self->syncs[0].handle;
	}
	for (int i = 0; i < 2; i++)
		jobs[i].syncs = (struct drm_quire_obj_array){ sizeof(self->syncs[0]), SYNCS / 2,
							      (uintptr_t)self->syncs };
	EXPECT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	jobs[1].syncs.count++;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	jobs[0].syncs.count--;
	EXPECT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	bind.syncs = jobs[0].syncs;
	bind.syncs.count = SYNCS;
	EXPECT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &bind));
	bind.syncs.count++;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &bind));
}

/* Points of a timeline that stay as they are until a long job has ended. */
struct timeline {
	struct card *card;
	struct drm_quire_sync *syncs;
	uint32_t syncobj;
	uint32_t queue; /* its jobs wait */
	uint64_t last;
};

/* One call that gives as many points as it may. */
static int timeline_grow(struct timeline *line)
{
	struct drm_quire_job job = { .syncs = { sizeof(line->syncs[0]), SYNCS,
						(uintptr_t)line->syncs } };
	struct drm_quire_submit args = { .queue_id = line->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };

	for (int i = 0; i < SYNCS; i++)
		line->syncs[i] = (struct drm_quire_sync){
			DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, line->syncobj,
			++line->last };
	return card_ioctl(line->card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

static int timeline_make(struct timeline *line, unsigned int calls)
{
	struct card *card = line->card;
	uint32_t bytes;
	uint64_t point;
	int ret;

	ret = card_queue_create(card->fd, card->vm, 60000, &line->queue);
	if (!ret)
		ret = card_syncobj_create(card->fd, &line->syncobj);
	if (!ret)
		ret = card_long_stream(card, &bytes);
	if (!ret) {
		struct card behind = *card;

		behind.queue = line->queue;
		/* Long together, each far from its limit. */
		bytes = bytes / 8 / sizeof(struct quire_packet_gemm) *
			sizeof(struct quire_packet_gemm);
		for (int i = 0; i < 64 * test_patience() && !ret; i++)
			ret = card_submit(&behind, card->stream.va, bytes, &point);
		card->point = behind.point;
	}
	while (!ret && calls--)
		ret = timeline_grow(line);
	return ret;
}

/* Another thread's calls on another queue of the same address space. */
struct neighbour {
	struct card card;
	atomic_bool stop;
	int ret;
	int64_t longest;
};

static void *neighbour_main(void *argument)
{
	struct neighbour *other = argument;
	uint64_t point;

	while (!other->stop && !other->ret) {
		int64_t start = now_us(), took;

		other->ret = card_submit(&other->card, 0, 0, &point);
		took = now_us() - start;
		if (took > other->longest)
			other->longest = took;
		usleep(500);
	}
	return NULL;
}

TEST_F_TIMEOUT(bounds, points_on_a_long_timeline_hold_up_nobody_else, 90)
{
	struct timeline line = { .card = &self->card, .syncs = self->syncs };
	struct neighbour other = { .card = self->card };
	int64_t took;
	pthread_t id;

	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &other.card.syncobj));
	other.card.point = 0;
	/* To go through a timeline takes a hundred times as long on a slow kernel. */
	ASSERT_EQ(0, timeline_make(&line, 3 / test_patience()));
	ASSERT_EQ(0, pthread_create(&id, NULL, neighbour_main, &other));
	usleep(50000);
	other.longest = 0;
	took = now_us();
	EXPECT_EQ(0, timeline_grow(&line));
	took = now_us() - took;
	other.stop = true;
	ASSERT_EQ(0, pthread_join(id, NULL));
	EXPECT_EQ(0, other.ret);
	/* Only points that were there until the end say something. */
	EXPECT_EQ(-ETIME, card_wait(self->card.fd, line.syncobj, 1, 0));
	EXPECT_LT(other.longest, took / 3)
		TH_LOG("%lld us of %lld us", (long long)other.longest, (long long)took);
}

TEST_F_TIMEOUT(bounds, process_that_gives_points_can_be_killed, 90)
{
	struct timeline line = { .card = &self->card, .syncs = self->syncs };
	int64_t took, killed;
	int status;
	pid_t pid;

	/* To go through a timeline takes a hundred times as long on a slow kernel. */
	ASSERT_EQ(0, timeline_make(&line, 3 / test_patience()));
	took = now_us();
	EXPECT_EQ(0, timeline_grow(&line));
	took = now_us() - took;
	pid = fork();
	if (!pid)
		_exit(!!timeline_grow(&line));
	usleep((useconds_t)(took / 8));
	killed = now_us();
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	killed = now_us() - killed;
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(-ETIME, card_wait(self->card.fd, line.syncobj, 1, 0));
	EXPECT_LT(killed, took / 2)
		TH_LOG("%lld us of %lld us", (long long)killed, (long long)took);
}

/* Operations of one call, all the same but for what map_all() says. */
struct operations {
	struct card *card;
	struct drm_quire_vm_bind_op op[DRM_QUIRE_VM_BIND_MAX_OPS];
};

static int operations_do(struct operations *ops, uint32_t count, int64_t *us)
{
	struct drm_quire_vm_bind args = { .vm_id = ops->card->vm,
					  .ops = { sizeof(ops->op[0]), count,
						   (uintptr_t)ops->op } };
	int64_t start = now_us();
	int ret = card_ioctl(ops->card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args);

	*us = now_us() - start;
	return ret;
}

/* One page, many times, with a page between. */
static int map_all(struct operations *ops, uint32_t handle, unsigned int calls)
{
	int64_t us;
	int ret = 0;

	for (unsigned int call = 0; call < calls && !ret; call++) {
		for (uint64_t i = 0; i < DRM_QUIRE_VM_BIND_MAX_OPS; i++)
			ops->op[i] = (struct drm_quire_vm_bind_op){
				.type = DRM_QUIRE_VM_BIND_MAP, .handle = handle, .size = PAGE,
				.va = VA + (call * DRM_QUIRE_VM_BIND_MAX_OPS + i) * 2 * PAGE };
		ret = operations_do(ops, DRM_QUIRE_VM_BIND_MAX_OPS, &us);
	}
	return ret;
}

static void unmap_all(struct operations *ops, uint64_t bytes)
{
	for (int i = 0; i < DRM_QUIRE_VM_BIND_MAX_OPS; i++)
		ops->op[i] = (struct drm_quire_vm_bind_op){
			.type = DRM_QUIRE_VM_BIND_UNMAP, .va = VA, .size = bytes };
}

TEST_F_TIMEOUT(bounds, operations_over_the_same_mappings_do_not_multiply, 90)
{
	enum { CALLS = 8 };
	const uint64_t bytes = (uint64_t)CALLS * DRM_QUIRE_VM_BIND_MAX_OPS * 2 * PAGE;
	struct operations *ops = calloc(1, sizeof(*ops));
	int64_t one, none, many;
	uint32_t handle;

	ASSERT_NE(NULL, ops);
	ops->card = &self->card;
	ASSERT_EQ(0, card_bo_create(self->card.fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, self->card.vm,
				    &handle));
	ASSERT_EQ(0, map_all(ops, handle, CALLS));
	unmap_all(ops, bytes);
	ASSERT_EQ(0, operations_do(ops, 1, &one));
	ASSERT_EQ(0, operations_do(ops, DRM_QUIRE_VM_BIND_MAX_OPS, &none));
	ASSERT_EQ(0, map_all(ops, handle, CALLS));
	unmap_all(ops, bytes);
	ASSERT_EQ(0, operations_do(ops, DRM_QUIRE_VM_BIND_MAX_OPS, &many));
	EXPECT_LT(many, 2 * (one + none) + 500000)
		TH_LOG("all: %lld us, none: %lld us, all in many: %lld us", (long long)one,
		       (long long)none, (long long)many);
	free(ops);
}

/* Memory of our own whose pages follow each other nowhere. */
static void *scattered_map(uint64_t bytes)
{
	uint64_t pages = bytes / PAGE;
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || madvise(at, bytes, MADV_NOHUGEPAGE))
		return NULL;
	/* The number of pages is a power of two. */
	for (uint64_t i = 0; i < pages; i++)
		at[i * 12289 % pages * PAGE] = 1;
	return at;
}

static int scattered_buffer(int fd, void *at, uint64_t bytes, uint32_t *handle)
{
	struct drm_quire_userptr args = { .address = (uintptr_t)at, .size = bytes };
	int ret = card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args);

	*handle = args.handle;
	return ret;
}

/* One page of a buffer in all operations of a call. */
static int map_page(struct operations *ops, uint32_t handle, uint64_t offset, int64_t *us)
{
	for (uint64_t i = 0; i < DRM_QUIRE_VM_BIND_MAX_OPS; i++)
		ops->op[i] = (struct drm_quire_vm_bind_op){
			.type = DRM_QUIRE_VM_BIND_MAP, .handle = handle, .size = PAGE,
			.bo_offset = offset, .va = VA + i * PAGE };
	return operations_do(ops, DRM_QUIRE_VM_BIND_MAX_OPS, us);
}

TEST_F_TIMEOUT(bounds, mapping_costs_its_own_pages_wherever_they_are_in_a_buffer, 90)
{
	const uint64_t bytes = 128 << 20;
	struct operations *ops = calloc(1, sizeof(*ops));
	void *at = scattered_map(bytes);
	int64_t first, last, again;
	uint64_t point;
	uint32_t handle;

	ASSERT_NE(NULL, ops);
	ASSERT_NE(NULL, at);
	ops->card = &self->card;
	ASSERT_EQ(0, scattered_buffer(self->card.fd, at, bytes, &handle));
	ASSERT_EQ(0, map_page(ops, handle, 0, &first));
	ASSERT_EQ(0, map_page(ops, handle, bytes - PAGE, &last));
	EXPECT_LT(last, 3 * first + 200000)
		TH_LOG("last page: %lld us, first: %lld us", (long long)last, (long long)first);
	/* A submission shows them all again once a page has gone. */
	ASSERT_EQ(0, madvise(at, PAGE, MADV_DONTNEED));
	again = now_us();
	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
	again = now_us() - again;
	EXPECT_LT(again, 10 * first + 500000)
		TH_LOG("submission: %lld us, a call: %lld us", (long long)again, (long long)first);
	free(ops);
}

#define MAPPINGS 256
#define SCATTERED_BYTES (64ull << 20)

/* Zeros, which take no memory. */
static int zeros_buffer(int fd, uint64_t bytes, void **at, uint32_t *handle)
{
	struct drm_quire_userptr args = { .size = bytes, .flags = DRM_QUIRE_USERPTR_READ_ONLY };
	int ret;

	*at = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	args.address = (uintptr_t)*at;
	ret = *at == MAP_FAILED ? -ENOMEM : card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	*handle = args.handle;
	return ret;
}

TEST_F_TIMEOUT(bounds, buffer_bound_page_by_page_comes_back, 90)
{
	enum { CALLS = 16 };
	const uint64_t bytes = (uint64_t)CALLS * DRM_QUIRE_VM_BIND_MAX_OPS * PAGE;
	struct operations *ops = calloc(1, sizeof(*ops));
	uint64_t point;
	uint32_t handle;
	int64_t us;
	void *at;

	ASSERT_NE(NULL, ops);
	ops->card = &self->card;
	ASSERT_EQ(0, zeros_buffer(self->card.fd, bytes, &at, &handle));
	for (uint64_t offset = 0; offset < bytes; offset += DRM_QUIRE_VM_BIND_MAX_OPS * PAGE) {
		for (uint64_t i = 0; i < DRM_QUIRE_VM_BIND_MAX_OPS; i++)
			ops->op[i] = (struct drm_quire_vm_bind_op){
				.type = DRM_QUIRE_VM_BIND_MAP,
				.flags = DRM_QUIRE_VM_BIND_READ_ONLY, .handle = handle,
				.size = PAGE, .bo_offset = offset + i * PAGE,
				.va = VA + offset + i * PAGE };
		ASSERT_EQ(0, operations_do(ops, DRM_QUIRE_VM_BIND_MAX_OPS, &us));
	}
	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
	/* All its mappings are made anew, in tables that they share: not in three for each. */
	ASSERT_EQ(0, madvise(at, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, card_submit(&self->card, 0, 0, &point));
	EXPECT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 10000ll * MS));
	free(ops);
}

/* A buffer many times in one call, from a thread. */
struct binder {
	struct operations ops;
	int64_t us;
	int ret;
};

static void *binder_main(void *argument)
{
	struct binder *binder = argument;

	binder->ret = operations_do(&binder->ops, MAPPINGS, &binder->us);
	return NULL;
}

/* A job of an address space that has no context, and that waits for @syncobj. */
static int waiting_job(struct card *card, uint32_t syncobj)
{
	struct drm_quire_sync wait = { .handle = syncobj };
	struct drm_quire_job job = { .syncs = { sizeof(wait), 1, (uintptr_t)&wait } };
	struct drm_quire_submit args = { .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	int ret = card_vm_create(card->fd, &card->vm);

	if (!ret)
		ret = card_queue_create(card->fd, card->vm, 0, &args.queue_id);
	return ret ? ret : card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

/* How long an empty job of @card takes at most, on a new queue each time, until @stop. */
static void *fresh_queues_main(void *argument)
{
	struct neighbour *other = argument;
	uint64_t point;

	while (!other->stop && !other->ret) {
		int64_t start = now_us(), took;

		other->ret = card_queue_create(other->card.fd, other->card.vm, 0,
					       &other->card.queue);
		if (!other->ret)
			other->ret = card_submit(&other->card, 0, 0, &point);
		if (!other->ret)
			other->ret = card_wait(other->card.fd, other->card.syncobj, point,
					       60000ll * MS);
		took = now_us() - start;
		if (took > other->longest)
			other->longest = took;
		if (!other->ret)
			other->ret = card_queue_destroy(other->card.fd, other->card.queue);
		usleep(1000);
	}
	return NULL;
}

/*
 * The job that an address space waits for ends after a part (in tenths) of the time that a change
 * of its page tables takes: it is lent a context meanwhile.
 */
static int lend_while_binding(struct card *card, struct binder *binder, int64_t tenths)
{
	struct drm_quire_sync signal = { .flags = DRM_QUIRE_SYNC_SIGNAL };
	struct drm_quire_job job = { .stream_va = card->stream.va,
				     .syncs = { sizeof(signal), 1, (uintptr_t)&signal } };
	struct drm_quire_submit args = { .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	int64_t usual = binder->us;
	struct card fresh = *card;
	pthread_t binding;
	int ret;

	ret = card_long_stream(card, &job.stream_bytes);
	if (!ret)
		ret = card_syncobj_create(card->fd, &signal.handle);
	if (!ret)
		ret = card_queue_create(card->fd, card->vm, 60000, &args.queue_id);
	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	if (!ret)
		ret = waiting_job(&fresh, signal.handle);
	if (ret)
		return ret;
	binder->ops.card = &fresh;
	ret = -pthread_create(&binding, NULL, binder_main, binder);
	if (ret)
		return ret;
	usleep((useconds_t)(usual * tenths / 10));
	ret = card_queue_destroy(card->fd, args.queue_id);
	pthread_join(binding, NULL);
	if (!ret)
		ret = binder->ret;
	return ret ? ret : card_unbind(fresh.fd, fresh.vm, VA, MAPPINGS * SCATTERED_BYTES);
}

TEST_F_TIMEOUT(bounds, nobody_waits_for_a_context_while_page_tables_of_others_change, 90)
{
	struct binder *binder = calloc(1, sizeof(*binder));
	void *at = scattered_map(SCATTERED_BYTES);
	struct neighbour other = { 0 };
	pthread_t running;
	uint32_t handle;

	ASSERT_NE(NULL, binder);
	ASSERT_NE(NULL, at);
	ASSERT_EQ(0, card_setup(&other.card, 0));
	ASSERT_EQ(0, scattered_buffer(self->card.fd, at, SCATTERED_BYTES, &handle));
	for (uint64_t i = 0; i < MAPPINGS; i++)
		binder->ops.op[i] = (struct drm_quire_vm_bind_op){
			.type = DRM_QUIRE_VM_BIND_MAP, .handle = handle, .size = SCATTERED_BYTES,
			.va = VA + i * SCATTERED_BYTES };
	ASSERT_EQ(0, pthread_create(&running, NULL, fresh_queues_main, &other));
	/* The first time tells how long it takes; tables are made before they are filled. */
	for (int64_t tenths = 0; tenths < 9; tenths += tenths ? 1 : 3) {
		other.longest = 0;
		ASSERT_EQ(0, lend_while_binding(&self->card, binder, tenths));
		EXPECT_LT(other.longest, binder->us / 8 + 150000)
			TH_LOG("after %lld tenths: %lld us of %lld us", (long long)tenths,
			       (long long)other.longest, (long long)binder->us);
	}
	other.stop = true;
	ASSERT_EQ(0, pthread_join(running, NULL));
	EXPECT_EQ(0, other.ret);
	card_teardown(&other.card);
	free(binder);
}

/* The largest there may be, and how many are 1.25 TiB: they have no pages before they are used. */
TEST_F_TIMEOUT(bounds, buffers_without_pages_leave_room_for_those_of_others, 60)
{
	uint64_t size = 1ull << 40, all;
	uint32_t handle;
	int other, ret;

	do {
		size /= 2;
		ret = card_bo_create(self->card.fd, size, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);
	} while (ret == -ENOSPC);
	for (all = size; !ret && all < 1280ull << 30; all += size)
		ret = card_bo_create(self->card.fd, size, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);
	EXPECT_EQ(0, ret) TH_LOG("after %llu GiB", (unsigned long long)all >> 30);
	other = card_open_node(0);
	EXPECT_EQ(0, card_bo_create(other, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	EXPECT_EQ(0, card_bo_create(other, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
	close(other);
}

static int make_userptr(int fd, void *memory, uint64_t size)
{
	struct drm_quire_userptr args = { .address = (uintptr_t)memory, .size = size,
					  .flags = DRM_QUIRE_USERPTR_READ_ONLY };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args);
}

/* The same pages, of zeros, in as many buffers as there may be; bytes of all of them. */
static uint64_t fill_with_userptrs(int fd, int *why)
{
	const uint64_t size = 16 * MIB;
	void *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t all = 0;

	while (!(*why = make_userptr(fd, memory, size)))
		all += size;
	return all;
}

TEST_F_TIMEOUT(bounds, memory_of_processes_is_limited_for_each_user, 120)
{
	uint64_t most = 8ull * sysconf(_SC_PHYS_PAGES) * PAGE, all;
	int why, status, other, to[2];
	uint32_t queue;
	pid_t child;
	char *page;

	if (test_patience() > 1)
		SKIP(return, "a kernel that checks DMA complains of many mappings of a page");
	ASSERT_EQ(0, pipe(to));
	child = fork();
	if (!child) {
		if (setgid(USER) || setuid(USER))
			_exit(1);
		all = fill_with_userptrs(self->card.fd, &why);
		if (write(to[1], &all, sizeof(all)) != sizeof(all))
			_exit(2);
		_exit(why == -ENOMEM ? 0 : 3);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* The file, and so its buffers, are still there. */
	ASSERT_EQ(sizeof(all), read(to[0], &all, sizeof(all)));
	EXPECT_LE(all, most);
	EXPECT_LT(0, all);
	other = card_open_node(0);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	EXPECT_EQ(0, make_userptr(other, page, PAGE));
	EXPECT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &queue));
	close(other);
}

/* Buffers that drivers share, or -1. */
static int count_dmabufs(void)
{
	FILE *file = fopen("/sys/kernel/debug/dma_buf/bufinfo", "r");
	char line[1024];
	int count = -1;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "Total %d objects", &count);
	if (file)
		fclose(file);
	return count;
}

/* Who has all the memory of others that he may have imports more: 0, or what went wrong. */
static int import_too_much(int fd)
{
	int ret, why, buffer;
	uint32_t handle;

	if (chmod("/dev/udmabuf", 0666))
		return ENOENT;
	if (setgid(USER) || setuid(USER))
		return EPERM;
	fill_with_userptrs(fd, &why);
	for (int i = 0; i < 4; i++) {
		buffer = shared_udmabuf(16 * MIB, NULL);
		ret = buffer < 0 ? buffer : shared_import(fd, buffer, &handle);
		close(buffer);
		if (ret != -ENOMEM)
			return ret ? -ret : EEXIST;
	}
	return 0;
}

TEST_F_TIMEOUT(bounds, an_import_that_is_refused_keeps_nothing, 120)
{
	int before = count_dmabufs(), status, fd;
	pid_t child;

	if (test_patience() > 1)
		SKIP(return, "a kernel that checks DMA complains of many mappings of a page");
	if (before < 0)
		SKIP(return, "this kernel does not tell of dma-bufs");
	fd = card_open_node(0);
	child = fork();
	if (!child)
		_exit(import_too_much(fd));
	close(fd);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	if (WEXITSTATUS(status) == ENOENT)
		SKIP(return, "this kernel has no udmabuf");
	EXPECT_EQ(0, status);
	EXPECT_EQ(before, count_dmabufs());
}

/* As many as a user may have, of one page each. */
TEST_F_TIMEOUT(bounds, buffers_of_processes_are_counted_for_each_user, 120)
{
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int count = 0;
	int status, ret;
	pid_t child;

	if (test_patience() > 1)
		SKIP(return, "a kernel that checks DMA complains of many mappings of a page");
	ASSERT_NE(MAP_FAILED, page);
	child = fork();
	if (!child) {
		int fd = card_open_node(0);

		while (!(ret = make_userptr(fd, page, PAGE)))
			count++;
		_exit(ret == -EMFILE && count == 65536 ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
