// SPDX-License-Identifier: MIT
/*
 * Many of two things at a time: what is done for each of the one does not look at all of the other.
 * Times are compared with the same call where there are few of the other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "shared.h"

#define QUEUES 512
#define BUFFERS 30000
#define LARGE_BYTES (32ull << 20)
#define LARGE_BUFFERS 6 /* kernels that check DMA complain of more than 7 mappings of a page */
#define PAGES 200u
#define PAGES_BYTES (PAGES * PAGE)
#define HUGE (2ull << 20)
#define TRIES 3
/* Short calls: on a busy machine few of them are undisturbed. */
#define SHORT_TRIES 15

/* Jobs of many queues of one address space; they wait for a long one of another queue. */
struct crowd {
	struct card card;
	uint32_t syncobj;
	uint32_t gate;
	uint32_t bytes; /* of a long stream */
	uint32_t queues[QUEUES];
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

/* One job that waits for the syncobj, or signals it. */
static int crowd_submit(struct crowd *crowd, uint32_t queue, uint32_t flags, uint32_t bytes)
{
	struct drm_quire_sync sync = { .flags = flags, .handle = crowd->syncobj };
	struct drm_quire_job job = { .stream_va = bytes ? crowd->card.stream.va : 0,
				     .stream_bytes = bytes,
				     .syncs = { sizeof(sync), 1, (uintptr_t)&sync } };
	struct drm_quire_submit args = { .queue_id = queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };

	return card_ioctl(crowd->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

/* Jobs of all queues wait. */
static int crowd_gather(struct crowd *crowd)
{
	int ret = card_syncobj_create(crowd->card.fd, &crowd->syncobj);

	if (!ret)
		ret = card_queue_create(crowd->card.fd, crowd->card.vm, 60000, &crowd->gate);
	if (!ret)
		ret = card_long_stream(&crowd->card, &crowd->bytes);
	if (!ret)
		ret = crowd_submit(crowd, crowd->gate, DRM_QUIRE_SYNC_SIGNAL, crowd->bytes);
	for (int i = 0; i < QUEUES && !ret; i++) {
		ret = card_queue_create(crowd->card.fd, crowd->card.vm, 0, &crowd->queues[i]);
		if (!ret)
			ret = crowd_submit(crowd, crowd->queues[i], 0, 0);
	}
	return ret;
}

/* They have all ended.  Nothing is submitted there afterwards, so their fences stay. */
static int crowd_end(struct crowd *crowd)
{
	int ret = card_queue_destroy(crowd->card.fd, crowd->gate);

	for (int i = 0; i < QUEUES && !ret; i++) {
		struct drm_quire_queue_query state;

		do {
			ret = card_queue_state(crowd->card.fd, crowd->queues[i], &state);
		} while (!ret && state.completed < state.submitted && !usleep(1000));
	}
	return ret;
}

FIXTURE(many) {
	struct crowd crowd;
};

FIXTURE_SETUP(many)
{
	ASSERT_EQ(0, card_setup_limit(&self->crowd.card, 0, 60000));
}

FIXTURE_TEARDOWN(many)
{
	card_teardown(&self->crowd.card);
}

/* The best of some, as a loaded machine adds to each. */
static int64_t fdinfo_us(int fd)
{
	int64_t best = INT64_MAX;
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	for (int i = 0; i < TRIES; i++) {
		int64_t start = now_us(), took;
		int file = open(path, O_RDONLY);

		if (read(file, text, sizeof(text)) <= 0)
			return -1;
		close(file);
		took = now_us() - start;
		if (took < best)
			best = took;
	}
	return best;
}

/* All of them, in parts. */
static int64_t close_us(int fd, const uint32_t *handles, unsigned int count)
{
	int64_t best = INT64_MAX;

	for (unsigned int part = 0; part < SHORT_TRIES; part++) {
		int64_t start = now_us(), took;

		for (unsigned int i = part; i < count; i += SHORT_TRIES)
			card_close_handle(fd, handles[i]);
		took = now_us() - start;
		if (took < best)
			best = took;
	}
	return best;
}

TEST_F_TIMEOUT(many, fences_are_not_looked_at_for_each_private_buffer, 90)
{
	struct crowd *crowd = &self->crowd;
	int64_t few, many, closed;
	uint32_t *handles = calloc(BUFFERS, sizeof(*handles));

	ASSERT_NE(NULL, handles);
	for (int i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, card_bo_create(crowd->card.fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM,
					    crowd->card.vm, &handles[i]));
	few = fdinfo_us(crowd->card.fd);
	closed = close_us(crowd->card.fd, handles, BUFFERS / 2);
	ASSERT_EQ(0, crowd_gather(crowd));
	ASSERT_EQ(0, crowd_end(crowd));
	many = fdinfo_us(crowd->card.fd);
	EXPECT_LT(many, 3 * few + 50000)
		TH_LOG("fdinfo: %lld us, %lld us", (long long)few, (long long)many);
	many = close_us(crowd->card.fd, handles + BUFFERS / 2, BUFFERS / 2);
	EXPECT_LT(many, 2 * closed)
		TH_LOG("closing: %lld us, %lld us", (long long)closed, (long long)many);
	free(handles);
}

static uint32_t where(int fd, uint32_t handle)
{
	struct drm_quire_bo_info info = { .handle = handle };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info) ? ~0u : info.resident;
}

/* Card memory is full of private buffers, small ones where none else has room. */
static int fill_card(struct crowd *crowd)
{
	static const uint64_t sizes[] = { 16 << 20, PAGE };
	uint32_t handle;
	int ret = 0;

	for (unsigned int i = 0; i < 2 && !ret; i++) {
		do {
			ret = card_bo_create(crowd->card.fd, sizes[i], DRM_QUIRE_PLACEMENT_CARD,
					     crowd->card.vm, &handle);
		} while (!ret && where(crowd->card.fd, handle) == DRM_QUIRE_PLACEMENT_CARD);
		card_close_handle(crowd->card.fd, handle);
	}
	return ret;
}

/* Another's new buffer, for which there is no room. */
static int64_t create_us(struct card *card)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		int64_t start = now_us(), took;
		uint32_t handle;

		if (card_bo_create(card->fd, 1 << 20, DRM_QUIRE_PLACEMENT_CARD, 0, &handle))
			return -1;
		took = now_us() - start;
		if (where(card->fd, handle) != DRM_QUIRE_PLACEMENT_SYSTEM)
			return -1;
		card_close_handle(card->fd, handle);
		if (took < best)
			best = took;
	}
	return best;
}

TEST_F_TIMEOUT(many, fences_are_not_looked_at_for_each_buffer_in_the_way, 90)
{
	struct crowd *crowd = &self->crowd;
	struct card other;
	int64_t few, many;
	uint64_t point;

	ASSERT_EQ(0, card_setup(&other, 0));
	ASSERT_EQ(0, crowd_gather(crowd));
	/* Its fence is the last in the list, and does not signal. */
	for (int i = 0; i < 40; i++)
		ASSERT_EQ(0, card_submit(&crowd->card, crowd->card.stream.va, crowd->bytes,
					 &point));
	ASSERT_EQ(0, fill_card(crowd));
	few = create_us(&other);
	ASSERT_EQ(0, crowd_end(crowd));
	many = create_us(&other);
	ASSERT_LT(0, few);
	ASSERT_LT(0, many);
	EXPECT_EQ(-ETIME, card_wait(crowd->card.fd, crowd->card.syncobj, point, 0));
	EXPECT_LT(many, 3 * few + 50000)
		TH_LOG("BO_CREATE: %lld us, %lld us", (long long)few, (long long)many);
	card_teardown(&other);
}

#define FILES 4
#define SPACES 1000 /* of each */
#define OPERATIONS DRM_QUIRE_VM_BIND_MAX_OPS
#define VA 0x6000000000ull

/* Pages of two buffers in turn, each mapped by an operation of its own. */
static int64_t bind_us(int fd, uint32_t vm, const uint32_t *handles,
		       struct drm_quire_vm_bind_op *ops)
{
	struct drm_quire_vm_bind args = { .vm_id = vm,
					  .ops = { sizeof(*ops), OPERATIONS, (uintptr_t)ops } };
	int64_t best = INT64_MAX;

	for (uint64_t i = 0; i < OPERATIONS; i++)
		ops[i] = (struct drm_quire_vm_bind_op){ .type = DRM_QUIRE_VM_BIND_MAP,
							.handle = handles[i % 2], .size = PAGE,
							.va = VA + i * PAGE };
	for (int i = 0; i < SHORT_TRIES; i++) {
		int64_t start = now_us(), took;

		if (card_ioctl(fd, DRM_IOCTL_QUIRE_VM_BIND, &args))
			return -1;
		took = now_us() - start;
		if (took < best)
			best = took;
	}
	return best;
}

TEST_F_TIMEOUT(many, address_spaces_are_not_looked_at_for_each_operation, 90)
{
	struct drm_quire_vm_bind_op *ops = calloc(OPERATIONS, sizeof(*ops));
	int made = self->crowd.card.fd, shared[2], fd[FILES];
	uint32_t handles[2], first = 0, last;
	int64_t few, many;

	ASSERT_NE(NULL, ops);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, card_bo_create(made, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &handles[i]));
		shared[i] = shared_export(made, handles[i]);
		ASSERT_LE(0, shared[i]);
	}
	for (int file = 0; file < FILES; file++) {
		fd[file] = card_open_node(0);
		ASSERT_LE(0, fd[file]);
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, shared_import(fd[file], shared[i], &handles[i]));
		for (int i = 0; i < SPACES; i++) {
			ASSERT_EQ(0, card_vm_create(fd[file], &last));
			for (int j = 0; j < 2; j++)
				ASSERT_EQ(0, card_bind(fd[file], last, handles[j], VA + j * PAGE,
						       PAGE, 0));
			first = first ? first : last;
		}
	}
	many = bind_us(fd[FILES - 1], last, handles, ops);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, shared_import(fd[0], shared[i], &handles[i]));
	few = bind_us(fd[0], first, handles, ops);
	ASSERT_LT(0, few);
	ASSERT_LT(0, many);
	EXPECT_LT(many, 2 * few + 20000)
		TH_LOG("VM_BIND: %lld us, %lld us", (long long)few, (long long)many);
	for (int file = 0; file < FILES; file++)
		close(fd[file]);
	for (int i = 0; i < 2; i++)
		close(shared[i]);
	free(ops);
}

#define CALLS 20

/* The same page at as many places as one likes. */
static int map_pages(struct crowd *crowd, unsigned int calls)
{
	struct drm_quire_vm_bind_op *ops = calloc(OPERATIONS, sizeof(*ops));
	struct drm_quire_vm_bind args = { .vm_id = crowd->card.vm,
					  .ops = { sizeof(*ops), OPERATIONS, (uintptr_t)ops } };
	uint32_t handle;
	int ret;

	if (!ops)
		return -ENOMEM;
	ret = card_bo_create(crowd->card.fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, crowd->card.vm,
			     &handle);
	for (uint64_t call = 0; call < calls && !ret; call++) {
		for (uint64_t i = 0; i < OPERATIONS; i++)
			ops[i] = (struct drm_quire_vm_bind_op){
				.type = DRM_QUIRE_VM_BIND_MAP, .handle = handle, .size = PAGE,
				.va = VA + (call * OPERATIONS + i) * PAGE };
		ret = card_ioctl(crowd->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
	}
	free(ops);
	return ret;
}

/* All that a file of debugfs shows, and how long others wait for the card's node meanwhile. */
struct look {
	char path[128];
	atomic_bool stop;
	size_t lines;
	int64_t longest;
};

static int read_lines(struct look *look)
{
	char line[256];
	FILE *file = fopen(look->path, "r");

	if (!file)
		return -errno;
	for (look->lines = 0; fgets(line, sizeof(line), file); look->lines++)
		continue;
	fclose(file);
	return 0;
}

static void *open_and_close(void *argument)
{
	struct look *look = argument;

	while (!look->stop) {
		int64_t start = now_us(), took;
		int fd = card_open_node(0);

		close(fd);
		took = now_us() - start;
		if (took > look->longest)
			look->longest = took;
		usleep(500);
	}
	return NULL;
}

/* A file has so many lines, and while it is read others open and close the card. */
static int look_beside_others(const char *name, size_t lines)
{
	struct look look = { .lines = 0 };
	char link[256] = "";
	int64_t took;
	pthread_t id;
	int ret;

	if (readlink("/sys/class/accel/accel0/device", link, sizeof(link) - 1) <= 0)
		return -errno;
	snprintf(look.path, sizeof(look.path), "/sys/kernel/debug/accel/%.32s/%.32s",
		 strrchr(link, '/') + 1, name);
	ret = -pthread_create(&id, NULL, open_and_close, &look);
	if (ret)
		return ret;
	usleep(50000);
	look.longest = 0;
	took = now_us();
	ret = read_lines(&look);
	took = now_us() - took;
	look.stop = true;
	pthread_join(id, NULL);
	TH_LOG("%s: %zu lines, open: %lld us of %lld us", name, look.lines,
	       (long long)look.longest, (long long)took);
	if (!ret && look.lines < lines)
		ret = -ENODATA;
	return ret ?: look.longest < took / 5 ? 0 : -ETIME;
}

TEST_F_TIMEOUT(many, card_is_opened_while_debugfs_shows_mappings, 90)
{
	ASSERT_EQ(0, map_pages(&self->crowd, CALLS));
	EXPECT_EQ(0, look_beside_others("address_spaces", (size_t)CALLS * OPERATIONS));
}

#define RING_JOBS 127

/* Jobs that have ended are on the rings until the queue has another job. */
static int fill_rings(struct crowd *crowd)
{
	struct drm_quire_job jobs[RING_JOBS] = { 0 };
	struct drm_quire_submit args = { .jobs = { sizeof(jobs[0]), RING_JOBS, (uintptr_t)jobs } };
	int ret = 0;

	for (int i = 0; i < QUEUES && !ret; i++) {
		ret = card_queue_create(crowd->card.fd, crowd->card.vm, 0, &args.queue_id);
		if (!ret)
			ret = card_ioctl(crowd->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	}
	return ret;
}

TEST_F_TIMEOUT(many, card_is_opened_while_debugfs_shows_rings, 90)
{
	ASSERT_EQ(0, fill_rings(&self->crowd));
	EXPECT_EQ(0, look_beside_others("rings", (size_t)QUEUES * RING_JOBS));
}

/* A buffer for each of the pages, in the card's address space from @va on. */
static int show_pages(const struct card *card, const char *pages, uint64_t va)
{
	int ret = 0;

	for (unsigned int i = 0; i < PAGES && !ret; i++) {
		struct drm_quire_userptr args = { .address = (uintptr_t)pages + i * PAGE,
						  .size = PAGE };

		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
		if (!ret)
			ret = card_bind(card->fd, card->vm, args.handle, va + i * PAGE, PAGE, 0);
	}
	return ret;
}

/* How long it takes to give pages away, which no job uses at that time. */
static int64_t drop_us(struct card *card, char *pages, size_t bytes)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < SHORT_TRIES; i++) {
		int64_t start, took;
		uint64_t point;

		memset(pages, 1, bytes);
		if (card_submit(card, 0, 0, &point) ||
		    card_wait(card->fd, card->syncobj, point, 10000 * MS))
			return -1;
		start = now_us();
		if (madvise(pages, bytes, MADV_DONTNEED))
			return -1;
		took = now_us() - start;
		if (took < best)
			best = took;
	}
	return best;
}

/* Queues of the card's address space, and address spaces that have another page. */
static int add_queues_and_spaces(struct card *card, const void *page)
{
	struct drm_quire_userptr args = { .address = (uintptr_t)page, .size = PAGE };
	int ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);

	for (int i = 0; i < QUEUES && !ret; i++) {
		uint32_t vm, queue;

		ret = card_queue_create(card->fd, card->vm, 0, &queue);
		if (!ret)
			ret = card_vm_create(card->fd, &vm);
		if (!ret)
			ret = card_bind(card->fd, vm, args.handle, 1ull << 32, PAGE, 0);
	}
	return ret;
}

TEST_F_TIMEOUT(many, queues_and_address_spaces_are_not_looked_at_for_each_buffer_that_goes, 90)
{
	struct card *card = &self->crowd.card;
	int64_t few, many;
	char *pages;

	pages = mmap(NULL, PAGES_BYTES + PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, madvise(pages, PAGES_BYTES + PAGE, MADV_NOHUGEPAGE));
	memset(pages, 1, PAGES_BYTES + PAGE);
	ASSERT_EQ(0, show_pages(card, pages, 1ull << 40));
	few = drop_us(card, pages, PAGES_BYTES);
	ASSERT_EQ(0, add_queues_and_spaces(card, pages + PAGES_BYTES));
	many = drop_us(card, pages, PAGES_BYTES);
	TH_LOG("%lld us with few, %lld us with many", (long long)few, (long long)many);
	ASSERT_LE(0, few);
	ASSERT_LE(0, many);
	EXPECT_GE(2 * few, many);
}

/* Buffers of large pieces of memory, of which a page goes: how long that takes. */
static int64_t drop_of_large_us(struct card *card, char *memory, uint64_t va, uint32_t flags)
{
	for (int i = 0; i < LARGE_BUFFERS; i++) {
		struct drm_quire_userptr args = { .address = (uintptr_t)memory,
						  .size = LARGE_BYTES, .flags = flags };

		if (card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args) ||
		    card_bind(card->fd, card->vm, args.handle, va + i * LARGE_BYTES, LARGE_BYTES,
			      flags ? DRM_QUIRE_VM_BIND_READ_ONLY : 0))
			return -1;
	}
	return drop_us(card, memory + LARGE_BYTES - PAGE, PAGE);
}

/* What a card may have written is marked; what it may only have read is not. */
TEST_F_TIMEOUT(many, pages_are_not_looked_at_one_by_one_when_one_of_them_goes, 90)
{
	int64_t read_only, writable;
	char *memory, *other;

	memory = mmap(NULL, 3 * LARGE_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	memory = (char *)(((uintptr_t)memory + HUGE - 1) & -HUGE);
	other = memory + LARGE_BYTES;
	if (madvise(memory, 2 * LARGE_BYTES, MADV_HUGEPAGE))
		SKIP(return, "no huge pages");
	memset(memory, 1, 2 * LARGE_BYTES);
	read_only = drop_of_large_us(&self->crowd.card, memory, 1ull << 40,
				     DRM_QUIRE_USERPTR_READ_ONLY);
	writable = drop_of_large_us(&self->crowd.card, other, 2ull << 40, 0);
	TH_LOG("%lld us if read only, %lld us if not", (long long)read_only, (long long)writable);
	ASSERT_LE(0, read_only);
	ASSERT_LE(0, writable);
	EXPECT_GE(3 * read_only, writable);
}

TEST_HARNESS_MAIN
