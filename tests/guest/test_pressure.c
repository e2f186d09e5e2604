// SPDX-License-Identifier: MIT
/*
 * Too little memory, and neighbours who want it all: buffers leave the card and the machine's
 * memory while jobs use them.  Results stay right, nobody waits for somebody else's job, and
 * an episode that is over costs nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "swap.h"

#define MIB (1ull << 20)
#define PIECE (16 * MIB)
#define PIECES 64
#define VA 0x6000000000ull
#define WAITING_CALLS 1024 /* that an address space may have */

/* Buffers somebody else fills the card, or the machine's memory, with. */
struct pressure {
	int fd;
	unsigned int count;
	uint32_t handle[PIECES];
};

FIXTURE(pressure) {
	struct card card;
	struct pressure other;
};

FIXTURE_SETUP(pressure)
{
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 60000));
	self->other.fd = card_open_node(0);
	ASSERT_GE(self->other.fd, 0);
	self->other.count = 0;
}

FIXTURE_TEARDOWN(pressure)
{
	close(self->other.fd);
	card_teardown(&self->card);
}

/* Memory comes at the first use. */
static void touch(int fd, uint32_t handle)
{
	void *map;

	if (card_bo_map(fd, handle, PIECE, &map))
		return;
	*(volatile char *)map = 1;
	munmap(map, PIECE);
}

/* More than the card has, so that whatever was there before must go. */
static void squeeze(struct pressure *other, uint32_t placement, uint64_t bytes)
{
	while (other->count < PIECES && bytes >= PIECE &&
	       !card_bo_create(other->fd, PIECE, placement, 0, &other->handle[other->count])) {
		touch(other->fd, other->handle[other->count]);
		other->count++;
		bytes -= PIECE;
	}
}

static void relax(struct pressure *other)
{
	while (other->count)
		card_close_handle(other->fd, other->handle[--other->count]);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

static uint32_t resident(int fd, uint32_t handle)
{
	struct drm_quire_bo_info info = { .handle = handle };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info) ? 0 : info.resident;
}

static uint64_t card_used(int fd)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY,
					    .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? ~0ull : info.card_used;
}

/* The best of many: submission of an empty job, microseconds. */
static int64_t submission_us(struct card *card)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 400; i++) {
		int64_t start = now_us(), took;
		uint64_t point;

		if (card_submit(card, 0, 0, &point))
			return INT64_MAX;
		took = now_us() - start;
		if (card_wait(card->fd, card->syncobj, point, 10000 * MS))
			return INT64_MAX;
		if (took < best)
			best = took;
	}
	return best;
}

TEST_F_TIMEOUT(pressure, an_episode_that_is_over_costs_submissions_nothing, 60)
{
	struct drm_quire_bo_create args = { .size = 64 * MIB,
					    .placement = DRM_QUIRE_PLACEMENT_CARD };
	struct card *card = &self->card;
	int64_t before, after;

	ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, args.handle, VA, args.size, 0));
	before = submission_us(card);
	squeeze(&self->other, DRM_QUIRE_PLACEMENT_CARD, 384 * MIB);
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(card->fd, args.handle));
	relax(&self->other);
	/* The first one may bring the buffer back. */
	for (int i = 0; i < 20; i++)
		submission_us(card);
	after = submission_us(card);
	EXPECT_LE(after, 3 * before + 20) TH_LOG("%lld us before, %lld us after",
						 (long long)before, (long long)after);
}

/* Jobs of the same address space on another queue run on, seconds each. */
static int busy_queue(struct card *card, int jobs, uint64_t *point)
{
	uint32_t queue, first = card->queue, bytes;
	int ret;

	ret = card_queue_create(card->fd, card->vm, 60000, &queue);
	if (!ret)
		ret = card_long_stream(card, &bytes);
	card->queue = queue;
	for (int i = 0; i < jobs && !ret; i++)
		ret = card_submit(card, card->stream.va, bytes, point);
	card->queue = first;
	return ret;
}

/* A private buffer left the card while nothing ran.  Bringing it back is nobody's burden. */
TEST_F_TIMEOUT(pressure, submission_does_not_wait_for_jobs_of_another_queue, 90)
{
	struct drm_quire_bo_create args = { .size = 32 * MIB,
					    .placement = DRM_QUIRE_PLACEMENT_CARD,
					    .vm_id = self->card.vm };
	struct card *card = &self->card;
	uint64_t busy, point;

	ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	squeeze(&self->other, DRM_QUIRE_PLACEMENT_CARD, 384 * MIB);
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(card->fd, args.handle));
	relax(&self->other);
	ASSERT_EQ(0, busy_queue(card, 2, &busy));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, args.handle, VA, args.size, 0));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &card->syncobj));
	for (int i = 0; i < 3; i++) {
		int64_t start = now_us(), took;

		ASSERT_EQ(0, card_submit(card, 0, 0, &point));
		took = now_us() - start;
		EXPECT_LT(took, 1500000 * test_patience()) TH_LOG("%lld us", (long long)took);
	}
}

/*
 * The card is full of what somebody's long job may use.  Others get memory at once, elsewhere; he
 * submits as before; and theirs comes to the card when there is room.
 */
TEST_F_TIMEOUT(pressure, who_wants_card_memory_does_not_wait_for_jobs_nor_holds_up_submissions, 90)
{
	enum { FULL = 15, WANTED = 2 };
	struct card *card = &self->card, other;
	uint32_t own[FULL], bytes;
	struct bo wanted[WANTED];
	uint64_t busy, point;
	int64_t start;

	ASSERT_EQ(0, card_setup(&other, 0));
	for (int i = 0; i < FULL; i++)
		ASSERT_EQ(0, card_bo_create(card->fd, PIECE, DRM_QUIRE_PLACEMENT_CARD, card->vm,
					    &own[i]));
	ASSERT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(card->fd, own[0]));
	ASSERT_EQ(0, card_long_stream(card, &bytes));
	ASSERT_EQ(0, card_submit(card, card->stream.va, bytes, &busy));
	start = now_us();
	for (int i = 0; i < WANTED; i++) {
		ASSERT_EQ(0, card_buffer(&other, PIECE, DRM_QUIRE_PLACEMENT_CARD, &wanted[i]));
		memset(wanted[i].map, 0x40 + i, PIECE);
	}
	EXPECT_LT(now_us() - start, 3000000 * test_patience());
	start = now_us();
	ASSERT_EQ(0, card_submit(card, 0, 0, &point));
	EXPECT_LT(now_us() - start, 1500000 * test_patience());
	ASSERT_EQ(-ETIME, card_wait(card->fd, card->syncobj, busy, 0));
	for (int i = 0; i < FULL; i++)
		EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(card->fd, own[i]));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(other.fd, wanted[WANTED - 1].handle));

	ASSERT_EQ(0, card_queue_destroy(card->fd, card->queue));
	for (int i = 0; i < FULL; i++)
		card_close_handle(card->fd, own[i]);
	for (int i = 0; i < 500 * test_patience() && card_used(card->fd) > FULL * PIECE / 2; i++)
		usleep(20000);
	ASSERT_EQ(0, card_submit(&other, 0, 0, &point));
	for (int i = 0; i < WANTED; i++) {
		EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(other.fd, wanted[i].handle));
		EXPECT_EQ(0x40 + i, ((uint8_t *)wanted[i].map)[PIECE - 1]);
	}
	card_teardown(&other);
}

/* The same, and the buffer had to leave the machine's memory as well. */
TEST_F_TIMEOUT(pressure, submission_with_swapped_buffers_does_not_wait_either, 90)
{
	struct drm_quire_bo_create args = { .size = 32 * MIB,
					    .placement = DRM_QUIRE_PLACEMENT_CARD,
					    .vm_id = self->card.vm };
	struct card *card = &self->card;
	struct pressure more = { .fd = self->other.fd };
	uint64_t busy, point;
	struct sysinfo info;
	uint64_t *map;
	int swap = swap_on();

	ASSERT_TRUE(swap == 0 || swap == -ENOENT);
	ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	ASSERT_EQ(0, card_bo_map(card->fd, args.handle, args.size, (void **)&map));
	for (uint64_t i = 0; i < args.size / 8; i += 512)
		map[i] = i ^ 0x5eed;
	squeeze(&self->other, DRM_QUIRE_PLACEMENT_CARD, 384 * MIB);
	sysinfo(&info);
	/* What TTM lets all buffers together have is half of the memory. */
	squeeze(&more, DRM_QUIRE_PLACEMENT_SYSTEM, info.totalram * info.mem_unit * 2 / 5);
	relax(&more);
	relax(&self->other);
	EXPECT_EQ(0, swap_out_buffers(self->other.fd));
	ASSERT_EQ(0, busy_queue(card, 2, &busy));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, args.handle, VA, args.size, 0));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &card->syncobj));
	for (int i = 0; i < 3; i++) {
		int64_t start = now_us(), took;

		ASSERT_EQ(0, card_submit(card, 0, 0, &point));
		took = now_us() - start;
		EXPECT_LT(took, 1500000 * test_patience()) TH_LOG("%lld us", (long long)took);
	}
	for (uint64_t i = 0; i < args.size / 8; i += 512)
		ASSERT_EQ(i ^ 0x5eed, map[i]);
	munmap(map, args.size);
	if (!swap)
		EXPECT_EQ(0, swap_off());
}

static int bind_after(struct card *card, uint32_t handle, uint64_t bytes, uint64_t point,
		      uint32_t done)
{
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, point },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done, 1 },
	};
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .handle = handle,
					   .va = VA, .size = bytes };
	struct drm_quire_vm_bind args = { .vm_id = card->vm, .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(op), 1, (uintptr_t)&op },
					  .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

/* What a job sees at VA now. */
static uint64_t seen(struct card *card)
{
	uint64_t *words = card->stream.map, point;
	struct quire_packet_copy copy;
	const uint64_t at = QUIRE_STREAM_MAX_BYTES;

	words[at / 8 + 32] = 0;
	packet_copy(&copy, card->stream.va + at + 256, VA + 4096, 8);
	memcpy((char *)card->stream.map + at, &copy, sizeof(copy));
	if (card_submit(card, card->stream.va + at, sizeof(copy), &point) ||
	    card_wait(card->fd, card->syncobj, point, 20000 * MS))
		return ~0ull;
	return words[at / 8 + 32];
}

/*
 * A mapping that waits for its fence is not there before, whatever happens to its buffer:
 * a job in between sees what was mapped until then.
 */
TEST_F_TIMEOUT(pressure, a_mapping_that_waits_is_not_made_early_by_an_eviction, 90)
{
	enum { BYTES = 1 << 20 };
	struct card *card = &self->card;
	uint32_t old_handle, new_handle, done, timeline = card->syncobj;
	uint64_t *map, gate;

	ASSERT_EQ(0, card_bo_create(card->fd, BYTES, DRM_QUIRE_PLACEMENT_CARD, 0, &old_handle));
	ASSERT_EQ(0, card_bo_create(card->fd, BYTES, DRM_QUIRE_PLACEMENT_CARD, 0, &new_handle));
	ASSERT_EQ(0, card_bo_map(card->fd, old_handle, BYTES, (void **)&map));
	map[512] = 1;
	munmap(map, BYTES);
	ASSERT_EQ(0, card_bo_map(card->fd, new_handle, BYTES, (void **)&map));
	map[512] = 2;
	munmap(map, BYTES);
	/* The new buffer has been moved once, under a mapping it had elsewhere. */
	ASSERT_EQ(0, card_bind(card->fd, card->vm, new_handle, VA + BYTES, BYTES, 0));
	squeeze(&self->other, DRM_QUIRE_PLACEMENT_CARD, 384 * MIB);
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(card->fd, new_handle));
	relax(&self->other);
	ASSERT_EQ(0, card_bind(card->fd, card->vm, old_handle, VA, BYTES, 0));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &done));
	ASSERT_EQ(0, busy_queue(card, 1, &gate));
	ASSERT_EQ(0, bind_after(card, new_handle, BYTES, gate, done));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &card->syncobj));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(1, seen(card));
	/* Only a look that came before the gate opened says something. */
	EXPECT_EQ(-ETIME, card_wait(card->fd, timeline, gate, 0));
	ASSERT_EQ(0, card_wait(card->fd, done, 1, 60000 * MS));
	EXPECT_EQ(2, seen(card));
}

/* Bound buffers come and go under the jobs that use them; each result is looked at. */
static int work_under_pressure(uint32_t placement, uint32_t rounds, int private)
{
	enum { BUFFERS = 6 };
	const uint64_t bytes = 8 * MIB;
	struct quire_packet_fill fills[BUFFERS];
	struct bo bo[BUFFERS];
	struct card card;
	int ret = card_setup_limit(&card, 0, 60000);

	for (int i = 0; i < BUFFERS && !ret; i++) {
		uint32_t vm = card.vm;

		if (private) {
			ret = card_buffer(&card, bytes, placement, &bo[i]);
			continue;
		}
		bo[i].va = VA + (uint64_t)i * 64 * MIB;
		ret = card_bo_create(card.fd, bytes, placement, 0, &bo[i].handle);
		if (!ret)
			ret = card_bo_map(card.fd, bo[i].handle, bytes, &bo[i].map);
		if (!ret)
			ret = card_bind(card.fd, vm, bo[i].handle, bo[i].va, bytes, 0);
	}
	for (uint32_t round = 1; round <= rounds && !ret; round++) {
		for (int i = 0; i < BUFFERS; i++)
			packet_fill(&fills[i], bo[i].va, bytes, (uint64_t)round << 32 | (uint32_t)i);
		ret = card_run(&card, fills, sizeof(fills));
		for (int i = 0; i < BUFFERS && !ret; i++)
			for (uint64_t at = 0; at < bytes / 8 && !ret; at += 4096 + 511)
				if (((volatile uint64_t *)bo[i].map)[at] !=
				    ((uint64_t)round << 32 | (uint32_t)i))
					ret = -EILSEQ;
	}
	card_teardown(&card);
	return ret;
}

FIXTURE(evicted) {
	int unused;
};

FIXTURE_SETUP(evicted)
{
	self->unused = 0;
}

FIXTURE_TEARDOWN(evicted)
{
}

FIXTURE_VARIANT(evicted) {
	uint32_t placement;
	int private;
};

FIXTURE_VARIANT_ADD(evicted, card_private) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
	.private = 1,
};

FIXTURE_VARIANT_ADD(evicted, card_shareable) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
};

FIXTURE_VARIANT_ADD(evicted, system_private) {
	.placement = DRM_QUIRE_PLACEMENT_SYSTEM,
	.private = 1,
};

TEST_F_TIMEOUT(evicted, bound_buffers_give_right_results_while_others_take_their_memory, 100)
{
	enum { PROCESSES = 3 };
	pid_t workers[PROCESSES], squeezer;
	int status;

	squeezer = fork();
	if (!squeezer) {
		struct pressure other = { .fd = card_open_node(0) };
		struct sysinfo info;
		uint64_t bytes = 200 * MIB;

		sysinfo(&info);
		if (variant->placement == DRM_QUIRE_PLACEMENT_SYSTEM)
			bytes = info.totalram * info.mem_unit * 2 / 5;
		for (;;) {
			squeeze(&other, variant->placement, bytes);
			relax(&other);
		}
	}
	for (int i = 0; i < PROCESSES; i++) {
		workers[i] = fork();
		if (!workers[i])
			_exit(-work_under_pressure(variant->placement, 12, variant->private));
	}
	for (int i = 0; i < PROCESSES; i++) {
		ASSERT_EQ(workers[i], waitpid(workers[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	kill(squeezer, SIGKILL);
	ASSERT_EQ(squeezer, waitpid(squeezer, &status, 0));
}

static uint64_t memory_available(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

/* The least memory that was available since it was started. */
struct watch {
	atomic_bool stop;
	uint64_t least;
	pthread_t id;
};

static void *watch_main(void *argument)
{
	struct watch *watch = argument;

	while (!watch->stop) {
		uint64_t now = memory_available();

		if (now < watch->least)
			watch->least = now;
		usleep(1000);
	}
	return NULL;
}

/* One call whose page tables alone would be twice the machine's memory. */
TEST_F_TIMEOUT(pressure, one_call_of_vm_bind_cannot_take_the_machines_memory, 60)
{
	const uint64_t bytes = 256 * MIB;
	struct drm_quire_bo_create create = { .size = bytes,
					      .placement = DRM_QUIRE_PLACEMENT_SYSTEM };
	struct drm_quire_vm_bind_op *ops = calloc(DRM_QUIRE_VM_BIND_MAX_OPS, sizeof(*ops));
	struct card *card = &self->card;
	struct watch watch = { .least = memory_available() };
	uint64_t before = watch.least;
	uint32_t count = DRM_QUIRE_VM_BIND_MAX_OPS;
	struct sysinfo info;

	struct drm_quire_vm_bind args = { .vm_id = card->vm,
					  .ops = { sizeof(*ops), count, (uintptr_t)ops } };

	ASSERT_NE(NULL, ops);
	ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_BO_CREATE, &create));
	for (uint32_t i = 0; i < count; i++)
		ops[i] = (struct drm_quire_vm_bind_op){ .type = DRM_QUIRE_VM_BIND_MAP,
							.handle = create.handle,
							.va = VA + i * bytes, .size = bytes };
	sysinfo(&info);
	/* 8 bytes for each page of 4 KiB. */
	ASSERT_GT(count * (bytes / 512), info.totalram * info.mem_unit);
	ASSERT_EQ(0, pthread_create(&watch.id, NULL, watch_main, &watch));
	EXPECT_EQ(-ENOMEM, card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	watch.stop = true;
	ASSERT_EQ(0, pthread_join(watch.id, NULL));
	EXPECT_LT(before - watch.least, 64 * MIB)
		TH_LOG("%llu of %llu MiB", (unsigned long long)((before - watch.least) / MIB),
		       (unsigned long long)(before / MIB));
	/* What is there room for is done. */
	args.ops.count = 4;
	EXPECT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	free(ops);
}

/* Jobs that wait take memory: there is an end to it, and it is an error, not a killed process. */
TEST_F_TIMEOUT(pressure, waiting_jobs_are_limited, 60)
{
	enum { BATCHES = 2048 }; /* half a million jobs */
	struct drm_quire_job *jobs = calloc(DRM_QUIRE_SUBMIT_MAX_JOBS, sizeof(*jobs));
	struct card *card = &self->card;
	uint32_t syncobj = card->syncobj;
	int ret = 0, batches = 0;
	uint64_t gate, point;

	struct drm_quire_sync wait = { DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, syncobj, 0 };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(*jobs), DRM_QUIRE_SUBMIT_MAX_JOBS,
						   (uintptr_t)jobs } };

	ASSERT_EQ(0, busy_queue(card, test_patience(), &gate));
	wait.point = gate;
	jobs[0].syncs = (struct drm_quire_obj_array){ sizeof(wait), 1, (uintptr_t)&wait };
	while (!ret && batches < BATCHES) {
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
		batches += !ret;
	}
	EXPECT_LT(batches, BATCHES);
	EXPECT_EQ(-ENOBUFS, ret);
	/* It is the queue that is full; the address space and the card go on. */
	ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 0, &card->queue));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &card->syncobj));
	ASSERT_EQ(0, card_submit(card, 0, 0, &point));
	EXPECT_EQ(0, card_wait(card->fd, card->syncobj, point, 10000 * MS));
	free(jobs);
}

/* A page is mapped when the gate has opened: call @number of many. */
static int bind_page_after(struct card *card, uint32_t handle, uint64_t gate, uint32_t done,
			   unsigned int number)
{
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, gate },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done, number + 1 },
	};
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .handle = handle,
					   .va = VA + (uint64_t)number * PAGE, .size = PAGE };
	struct drm_quire_vm_bind args = { .vm_id = card->vm, .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(op), 1, (uintptr_t)&op },
					  .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

/* So do calls that wait: who has too many hurts only himself, and only as long as they wait. */
TEST_F_TIMEOUT(pressure, waiting_calls_are_limited, 60)
{
	struct card *card = &self->card;
	struct quire_packet_copy copy;
	uint32_t handle, done, vm;
	uint64_t gate, *map;
	uint32_t bytes;

	ASSERT_EQ(0, card_bo_create(card->fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
	ASSERT_EQ(0, card_bo_map(card->fd, handle, PAGE, (void **)&map));
	map[0] = 0x5eed;
	ASSERT_EQ(0, card_syncobj_create(card->fd, &done));
	ASSERT_EQ(0, card_long_stream(card, &bytes));
	for (int i = 0; i < test_patience(); i++)
		ASSERT_EQ(0, card_submit(card, card->stream.va, bytes, &gate));
	for (unsigned int i = 0; i < WAITING_CALLS; i++)
		ASSERT_EQ(0, bind_page_after(card, handle, gate, done, i)) TH_LOG("call %u", i);
	EXPECT_EQ(-EBUSY, bind_page_after(card, handle, gate, done, WAITING_CALLS));
	/* Only what was said before the gate opened says something. */
	ASSERT_EQ(-ETIME, card_wait(card->fd, card->syncobj, gate, 0));
	/* It is the address space that is full. */
	ASSERT_EQ(0, card_vm_create(card->fd, &vm));
	EXPECT_EQ(0, card_bind(card->fd, vm, handle, VA, PAGE, 0));
	EXPECT_EQ(0, bind_page_after(&(struct card){ .fd = card->fd, .vm = vm,
						     .syncobj = card->syncobj },
				     handle, gate, done, WAITING_CALLS));

	ASSERT_EQ(0, card_queue_destroy(card->fd, card->queue));
	ASSERT_EQ(0, card_wait(card->fd, done, WAITING_CALLS + 1, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(card->fd, done, WAITING_CALLS));
	EXPECT_EQ(0, bind_page_after(card, handle, gate, done, WAITING_CALLS + 1));
	ASSERT_EQ(0, card_wait(card->fd, done, WAITING_CALLS + 2, 20000 * MS));
	/* The first and the last, but not the one that there was no room for. */
	ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 0, &card->queue));
	for (unsigned int i = 0; i <= WAITING_CALLS; i += WAITING_CALLS - 1) {
		packet_copy(&copy, card->stream.va + 2 * PAGE, VA + (uint64_t)i * PAGE, 8);
		EXPECT_EQ(0, card_run(card, &copy, sizeof(copy)));
		EXPECT_EQ(0x5eed, ((uint64_t *)card->stream.map)[2 * PAGE / 8]);
		((uint64_t *)card->stream.map)[2 * PAGE / 8] = 0;
	}
	packet_copy(&copy, card->stream.va + 2 * PAGE, VA + WAITING_CALLS * (uint64_t)PAGE, 8);
	EXPECT_EQ(-EFAULT, card_run(card, &copy, sizeof(copy)));
	munmap(map, PAGE);
}

/* More address spaces and queues than the card has; each of them works, and so do others'. */
TEST_F_TIMEOUT(pressure, one_process_with_all_it_may_have_leaves_room_for_others, 90)
{
	enum { MANY = 200 };
	int fd = self->other.fd;
	struct card *card = &self->card, fresh;
	struct quire_packet_fill fill;
	uint64_t point;
	int ret = 0, vms = 0, queues = 0;

	for (int i = 0; i < MANY && !ret; i++) {
		uint32_t vm, queue;

		ret = card_vm_create(fd, &vm);
		vms += !ret;
		if (!ret)
			ret = card_queue_create(fd, vm, 0, &queue);
		queues += !ret;
		if (!ret) {
			struct card one = { .fd = fd, .vm = vm, .queue = queue };

			ret = card_syncobj_create(fd, &one.syncobj);
			if (!ret)
				ret = card_submit(&one, 0, 0, &point);
			if (!ret)
				ret = card_wait(fd, one.syncobj, point, 20000 * MS);
		}
	}
	EXPECT_EQ(0, ret);
	EXPECT_EQ(MANY, vms);
	EXPECT_EQ(MANY, queues);
	ASSERT_EQ(0, card_setup(&fresh, 0));
	packet_fill(&fill, fresh.stream.va + PAGE, 64, 0x1234);
	EXPECT_EQ(0, card_run(&fresh, &fill, sizeof(fill)));
	EXPECT_EQ(0x1234, ((uint64_t *)fresh.stream.map)[PAGE / 8]);
	card_teardown(&fresh);
	packet_fill(&fill, card->stream.va + PAGE, 64, 0x4321);
	EXPECT_EQ(0, card_run(card, &fill, sizeof(fill)));
}

TEST_HARNESS_MAIN
