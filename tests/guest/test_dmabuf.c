// SPDX-License-Identifier: MIT
/*
 * Memory that two cards share, one as exporter, one as importer: it moves, and each of them may go
 * at any time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "shared.h"
#include "swap.h"

#define MIB (1ull << 20)
#define VA 0x4000000000ull
#define N 256u /* of a product, posit8 */
#define MATRIX ((uint64_t)N * N)

FIXTURE(dmabuf) {
	char bdf[2][16];
	struct card a; /* exports */
	struct card b; /* imports */
	int swap;
};

FIXTURE_SETUP(dmabuf)
{
	ASSERT_EQ(0, shared_setup(self->bdf, &self->a, &self->b, &self->swap));
}

FIXTURE_TEARDOWN(dmabuf)
{
	EXPECT_EQ(0, shared_teardown(&self->a, &self->b, self->swap));
}

TEST_F(dmabuf, buffer_that_another_device_only_holds_stays_on_the_card)
{
	struct shared s;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_CARD, &s));
	EXPECT_EQ(0, shared_fill(&self->a, s.bo.va, MIB, 0x1111));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, shared_resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0, shared_usage(self->b.fd, "drm-shared-card"));
	EXPECT_LE(MIB, shared_usage(self->b.fd, "drm-shared-memory"));
	/* It goes where both reach it, as long as both use it. */
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, shared_resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0, shared_fill(&self->b, VA, PAGE, 0x2222));
	EXPECT_EQ(0, shared_fill(&self->a, s.bo.va + PAGE, PAGE, 0x3333));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, shared_resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0x2222, ((uint64_t *)s.bo.map)[0]);
	EXPECT_EQ(0x3333, ((uint64_t *)s.bo.map)[PAGE / 8]);
	/* And back. */
	ASSERT_EQ(0, card_unbind(self->b.fd, self->b.vm, VA, MIB));
	for (int tries = 0; tries < 100; tries++) {
		ASSERT_EQ(0, shared_touch(&self->a));
		if (shared_resident(self->a.fd, s.bo.handle) == DRM_QUIRE_PLACEMENT_CARD)
			break;
		usleep(10000);
	}
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, shared_resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0x2222, ((uint64_t *)s.bo.map)[0]);
	EXPECT_EQ(0x3333, ((uint64_t *)s.bo.map)[PAGE / 8]);
	EXPECT_EQ(0x1111, ((uint64_t *)s.bo.map)[2 * PAGE / 8]);
}

TEST_F(dmabuf, resident_is_what_is_mapped)
{
	unsigned long long before = shared_usage(self->b.fd, "drm-resident-memory");
	struct shared s;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_SYSTEM, &s));
	EXPECT_EQ(before, shared_usage(self->b.fd, "drm-resident-memory"));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	EXPECT_EQ(before + MIB, shared_usage(self->b.fd, "drm-resident-memory"));
	ASSERT_EQ(0, card_unbind(self->b.fd, self->b.vm, VA, MIB));
	for (int tries = 0; tries < 100; tries++) {
		if (shared_usage(self->b.fd, "drm-resident-memory") == before)
			break;
		usleep(10000);
	}
	EXPECT_EQ(before, shared_usage(self->b.fd, "drm-resident-memory"));
	EXPECT_EQ(0, shared_fill(&self->a, s.bo.va, MIB, 1));
}

TEST_F(dmabuf, own_buffer_comes_back_as_itself)
{
	uint32_t theirs, again;
	struct shared s;
	int buffer;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, PAGE, DRM_QUIRE_PLACEMENT_CARD, &s));
	buffer = shared_export(self->b.fd, s.theirs);
	ASSERT_GE(buffer, 0);
	ASSERT_EQ(0, shared_import(self->a.fd, buffer, &again));
	EXPECT_EQ(s.bo.handle, again);
	ASSERT_EQ(0, shared_import(self->b.fd, buffer, &theirs));
	EXPECT_EQ(s.theirs, theirs);
	close(buffer);
}

/* The product of what both matrices of @from have, in the third. */
static int product(struct card *card, uint64_t va)
{
	struct quire_packet_gemm packet;

	packet_gemm(&packet, QUIRE_FORMAT_POSIT8, N, N, N, va, va + MATRIX, va + 2 * MATRIX);
	return card_run(card, &packet, sizeof(packet));
}

static void operands(uint8_t *map, unsigned int seed)
{
	for (uint64_t i = 0; i < 2 * MATRIX; i++)
		map[i] = (uint8_t)(0x38 + (i * 7 + i / N + seed) % 17);
	memset(map + 2 * MATRIX, 0, MATRIX);
}

TEST_F_TIMEOUT(dmabuf, products_are_right_while_the_buffer_moves, 120)
{
	uint8_t *right = malloc(MATRIX);
	unsigned int moved = 0;
	struct bo own;
	struct shared s;

	ASSERT_NE(NULL, right);
	ASSERT_EQ(0, card_buffer(&self->a, 3 * MATRIX, DRM_QUIRE_PLACEMENT_CARD, &own));
	ASSERT_EQ(0, shared_make(&self->a, &self->b, 3 * MATRIX, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, 3 * MATRIX, 0));
	for (unsigned int round = 0; round < 12; round++) {
		unsigned long long before;

		operands(own.map, round);
		ASSERT_EQ(0, product(&self->a, own.va));
		memcpy(right, (uint8_t *)own.map + 2 * MATRIX, MATRIX);
		operands(s.bo.map, round);
		before = shared_usage(self->b.fd, "drm-resident-memory");
		if (round % 2)
			ASSERT_EQ(0, swap_out_buffers(self->a.fd));
		moved += shared_usage(self->b.fd, "drm-resident-memory") < before;
		if (round % 3)
			shared_squeeze(&self->a);
		ASSERT_EQ(0, product(round % 4 == 3 ? &self->a : &self->b,
				     round % 4 == 3 ? s.bo.va : VA));
		EXPECT_EQ(0, memcmp(right, (uint8_t *)s.bo.map + 2 * MATRIX, MATRIX));
	}
	/* A kernel whose dma-bufs cannot move has pinned it. */
	TH_LOG("importer told %u times", moved);
	if (shared_memory_moves())
		EXPECT_GE(moved, 4);
	free(right);
}

/* The same all at once: one process computes, others push. */
TEST_F_TIMEOUT(dmabuf, products_are_right_while_others_push_the_buffer_out, 120)
{
	uint8_t *right = malloc(MATRIX);
	struct shared s;
	pid_t pid[2];

	ASSERT_NE(NULL, right);
	ASSERT_EQ(0, shared_make(&self->a, &self->b, 3 * MATRIX, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, 3 * MATRIX, 0));
	operands(s.bo.map, 5);
	ASSERT_EQ(0, product(&self->a, s.bo.va));
	memcpy(right, (uint8_t *)s.bo.map + 2 * MATRIX, MATRIX);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (;;)
			if (i)
				shared_squeeze(&self->a);
			else if (swap_out_buffers(self->a.fd))
				_exit(1);
	}
	for (unsigned int round = 0; round < 60; round++) {
		memset((uint8_t *)s.bo.map + 2 * MATRIX, 0, MATRIX);
		ASSERT_EQ(0, product(round & 1 ? &self->a : &self->b, round & 1 ? s.bo.va : VA));
		EXPECT_EQ(0, memcmp(right, (uint8_t *)s.bo.map + 2 * MATRIX, MATRIX));
	}
	for (int i = 0; i < 2; i++) {
		int status;

		kill(pid[i], SIGKILL);
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	swap_limit_restore();
	free(right);
}

/* Work for longer than anybody waits for it, that may use all buffers of the address space. */
static int start_long_jobs(struct card *card)
{
	uint32_t bytes;
	uint64_t point;
	int ret = card_long_stream(card, &bytes);

	for (int i = 0; i < 8 && !ret; i++)
		ret = card_submit(card, card->stream.va, bytes, &point);
	return ret;
}

/* It is not the fault of a job that the exporter needs its memory for long. */
TEST_F_TIMEOUT(dmabuf, submission_that_the_exporter_keeps_waiting_fails_and_can_be_tried_again, 150)
{
	struct shared s;
	uint64_t point;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	ASSERT_EQ(0, shared_fill(&self->b, VA, MIB, 0x4444));
	if (!shared_memory_moves() || self->swap < 0 || swap_out_buffers(self->a.fd))
		SKIP(return, "buffers that another device has mapped do not move");
	ASSERT_EQ(0, start_long_jobs(&self->a));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, shared_resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(-EBUSY, card_submit(&self->b, 0, 0, &point));
	ASSERT_EQ(0, card_queue_destroy(self->a.fd, self->a.queue));
	ASSERT_EQ(0, card_queue_create(self->a.fd, self->a.vm, 600000, &self->a.queue));
	EXPECT_EQ(0, shared_fill(&self->b, VA, PAGE, 0x5555));
	EXPECT_EQ(0x5555, ((uint64_t *)s.bo.map)[0]);
	EXPECT_EQ(0x4444, ((uint64_t *)s.bo.map)[PAGE / 8]);
}

TEST_F(dmabuf, importer_goes_on_when_the_exporter_has_closed_everything)
{
	struct shared s;
	uint64_t *map;
	int buffer;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, shared_fill(&self->a, s.bo.va, MIB, 0x77));
	munmap(s.bo.map, MIB);
	buffer = shared_export(self->b.fd, s.theirs);
	ASSERT_GE(buffer, 0);
	card_teardown(&self->a);
	self->a.fd = -1;
	self->a.stream.map = NULL;
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, map);
	close(buffer);
	EXPECT_EQ(0x77, map[1]);
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	EXPECT_EQ(0, swap_out_buffers(self->b.fd));
	EXPECT_EQ(0, shared_fill(&self->b, VA, PAGE, 0x88));
	EXPECT_EQ(0x88, map[1]);
	EXPECT_EQ(0x77, map[PAGE / 8]);
	/* It has no handle any more, and its users are told all the same. */
	EXPECT_EQ(0, swap_out_buffers(self->b.fd));
	EXPECT_EQ(0, shared_fill(&self->b, VA + PAGE, PAGE, 0x99));
	EXPECT_EQ(0x99, map[PAGE / 8]);
	munmap(map, MIB);
}

static int rebind(const char *bdf, struct card *card)
{
	EXPECT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf));
	return card_setup(card, (unsigned int)shared_node(bdf));
}

TEST_F_TIMEOUT(dmabuf, importer_unplugged_while_its_job_uses_the_buffer, 60)
{
	const uint64_t size = (uint64_t)SHARED_BIG * SHARED_BIG;
	struct shared s;
	uint64_t point;

	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(0, shared_make(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &s));
		ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
		ASSERT_EQ(0, shared_long_job(&self->b, VA, 0, 60, &point));
		ASSERT_EQ(1, shared_wait_begun(&self->b, s.bo.map, point));
		ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "unbind", self->bdf[1]));
		EXPECT_EQ(-ENODEV, shared_touch(&self->b));
		EXPECT_EQ(-ENODEV, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
		/* Nothing of the card that has gone holds it. */
		shared_squeeze(&self->a);
		ASSERT_EQ(0, shared_fill(&self->a, s.bo.va, size, 0x5a5a));
		EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, shared_resident(self->a.fd, s.bo.handle));
		EXPECT_EQ(0x5a5a, ((uint64_t *)s.bo.map)[size / 8 - 1]);
		if (round & 1)
			card_close_handle(self->b.fd, s.theirs);
		card_teardown(&self->b);
		ASSERT_EQ(0, rebind(self->bdf[1], &self->b));
	}
	EXPECT_EQ(0, shared_fill(&self->b, self->b.stream.va + PAGE, 64, 1));
}

TEST_F_TIMEOUT(dmabuf, exporter_unplugged_while_the_importers_job_runs, 60)
{
	const uint64_t size = (uint64_t)SHARED_BIG * SHARED_BIG;
	struct quire_packet_copy copy;
	struct shared s, held;
	uint64_t point;
	int buffer;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, shared_make(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &held));
	buffer = shared_export(self->a.fd, held.bo.handle);
	ASSERT_GE(buffer, 0);
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
	ASSERT_EQ(0, shared_long_job(&self->b, VA, 0, 12, &point));
	ASSERT_EQ(1, shared_wait_begun(&self->b, s.bo.map, point));
	ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "unbind", self->bdf[0]));
	EXPECT_EQ(0, card_wait(self->b.fd, self->b.syncobj, point, 30000 * MS));
	EXPECT_EQ(0, card_fence_error(self->b.fd, self->b.syncobj, point));
	/* What lies in the machine's memory is still there, for devices. */
	EXPECT_EQ(0, shared_fill(&self->b, VA, PAGE, 0x1234));
	packet_copy(&copy, self->b.stream.va + PAGE, VA, PAGE);
	EXPECT_EQ(0, card_run(&self->b, &copy, sizeof(copy)));
	EXPECT_EQ(0x1234, ((uint64_t *)self->b.stream.map)[PAGE / 8]);
	EXPECT_EQ(0, *(volatile uint64_t *)s.bo.map);
	/* What lay on the card is not, and says so; other jobs do not suffer. */
	EXPECT_EQ(-ENXIO, card_bind(self->b.fd, self->b.vm, held.theirs, VA + 16 * MIB, size, 0));
	EXPECT_EQ(0, shared_touch(&self->b));
	munmap(s.bo.map, size);
	munmap(held.bo.map, size);
	close(buffer);
	card_teardown(&self->a);
	EXPECT_EQ(0, shared_fill(&self->b, VA, PAGE, 0x4321));
	card_close_handle(self->b.fd, held.theirs);
	ASSERT_EQ(0, rebind(self->bdf[0], &self->a));
	EXPECT_EQ(0, shared_fill(&self->a, self->a.stream.va + PAGE, 64, 1));
}

static int sync_file(struct card *card, uint64_t point)
{
	struct drm_syncobj_handle export = {
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE
	};
	struct drm_syncobj_transfer transfer = { .src_handle = card->syncobj, .src_point = point };
	int ret = card_syncobj_create(card->fd, &transfer.dst_handle);

	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer);
	export.handle = transfer.dst_handle;
	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export);
	return ret ? ret : export.fd;
}

/* A job of @card that begins when the sync file signals. */
static int fill_after(struct card *card, int file, uint64_t va, uint64_t pattern, uint64_t *point)
{
	struct drm_syncobj_handle import = {
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE, .fd = file
	};
	struct drm_quire_sync syncs[2] = {
		{ .flags = DRM_QUIRE_SYNC_WAIT },
		{ .flags = DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
		  .handle = card->syncobj, .point = card->point + 1 },
	};
	struct drm_quire_job job = {
		.stream_va = card->stream.va,
		.stream_bytes = sizeof(struct quire_packet_fill),
		.syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs },
	};
	struct drm_quire_submit args = {
		.queue_id = card->queue, .jobs = { sizeof(job), 1, (uintptr_t)&job },
	};
	int ret = card_syncobj_create(card->fd, &import.handle);

	packet_fill(card->stream.map, va, PAGE, pattern);
	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import);
	syncs[0].handle = import.handle;
	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	if (!ret)
		*point = ++card->point;
	return ret;
}

/* Order between devices through the buffer itself: what they call implicit. */
TEST_F_TIMEOUT(dmabuf, fences_travel_with_the_buffer, 60)
{
	const uint64_t size = (uint64_t)SHARED_BIG * SHARED_BIG;
	struct dma_buf_export_sync_file out = { .flags = DMA_BUF_SYNC_WRITE };
	struct dma_buf_import_sync_file in = { .flags = DMA_BUF_SYNC_WRITE };
	uint64_t first, second = 0;
	struct shared s;
	int buffer;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
	buffer = shared_export(self->b.fd, s.theirs);
	ASSERT_GE(buffer, 0);
	ASSERT_EQ(0, shared_long_job(&self->a, s.bo.va, 0, 8, &first));
	in.fd = sync_file(&self->a, first);
	ASSERT_GE(in.fd, 0);
	ASSERT_EQ(0, ioctl(buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in));
	ASSERT_EQ(0, ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &out));
	ASSERT_EQ(0, fill_after(&self->b, out.fd, VA, 0x600d, &second));
	EXPECT_EQ(-ETIME, card_wait(self->b.fd, self->b.syncobj, second, MS));
	ASSERT_EQ(0, card_wait(self->b.fd, self->b.syncobj, second, 30000 * MS));
	EXPECT_EQ(0, card_wait(self->a.fd, self->a.syncobj, first, 0));
	EXPECT_EQ(0x600d, *(uint64_t *)s.bo.map);
	close(in.fd);
	close(out.fd);
	close(buffer);
}

#define VICTIMS 64u

/* Memory of other programs that is still what they have there. */
static unsigned int victims_hurt(uint8_t *map[VICTIMS], uint64_t size)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < VICTIMS; i++)
		for (uint64_t at = 0; at < size; at += 512)
			wrong += map[i][at] != 0;
	return wrong;
}

/* A stream on the card: who makes room in the machine's memory does not wait for its jobs. */
static int move_stream(struct card *card)
{
	struct bo old = card->stream;
	int ret = card_buffer(card, QUIRE_STREAM_MAX_BYTES, DRM_QUIRE_PLACEMENT_CARD,
			      &card->stream);

	munmap(old.map, old.size);
	if (!ret)
		ret = card_unbind(card->fd, card->vm, old.va, old.size);
	card_close_handle(card->fd, old.handle);
	return ret;
}

/*
 * The importer binds a buffer after its job was submitted, so that no fence speaks of it, and
 * both sides take it away in mid-job.  Whoever gets the pages next finds nothing written.
 */
static void take_away(FIXTURE_DATA(dmabuf) *self, bool swap,
		      unsigned int delay_us, unsigned int *tried)
{
	const uint64_t size = (uint64_t)SHARED_BIG * SHARED_BIG;
	uint8_t *map[VICTIMS];
	struct shared s;
	uint64_t point;
	int fd = card_open_node((unsigned int)shared_node(self->bdf[0]));

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, shared_make(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_SYSTEM, &s));
	ASSERT_EQ(0, move_stream(&self->b));
	ASSERT_EQ(0, shared_long_job(&self->b, VA, 6, 200, &point));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
	*tried += (unsigned int)shared_wait_begun(&self->b, s.bo.map, point);
	usleep(delay_us);
	if (swap) {
		EXPECT_EQ(0, swap_out_buffers(fd));
	} else {
		EXPECT_EQ(0, card_unbind(self->b.fd, self->b.vm, VA, size));
	}
	munmap(s.bo.map, size);
	ASSERT_EQ(0, card_unbind(self->a.fd, self->a.vm, s.bo.va, size));
	card_close_handle(self->b.fd, s.theirs);
	card_close_handle(self->a.fd, s.bo.handle);
	for (unsigned int i = 0; i < VICTIMS; i++) {
		uint32_t handle;

		ASSERT_EQ(0, card_bo_create(fd, size, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
		ASSERT_EQ(0, card_bo_map(fd, handle, size, (void **)&map[i]));
		/* Pages come with the first touch. */
		memset(map[i], 0, size);
	}
	usleep(30000);
	EXPECT_EQ(0, victims_hurt(map, size));
	card_teardown(&self->b);
	EXPECT_EQ(0, victims_hurt(map, size));
	for (unsigned int i = 0; i < VICTIMS; i++)
		munmap(map[i], size);
	close(fd);
	ASSERT_EQ(0, card_setup(&self->b, (unsigned int)shared_node(self->bdf[1])));
}

TEST_F_TIMEOUT(dmabuf, pages_are_not_freed_while_the_importers_job_may_reach_them, 120)
{
	unsigned int tried = 0;

	for (unsigned int round = 0; round < 12; round++)
		take_away(self, round & 1, round * 1100, &tried);
	EXPECT_GT(tried, 3);
}

TEST_F(dmabuf, looking_at_imported_buffers)
{
	char path[64], text[4096];
	struct quire_packet_gemm bad;
	bool imported = false;
	struct shared s;
	FILE *file;

	ASSERT_EQ(0, shared_make(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_SYSTEM, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	for (int round = 0; round < 2; round++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/address_spaces",
			 self->bdf[1]);
		file = fopen(path, "r");
		ASSERT_NE(NULL, file);
		while (fgets(text, sizeof(text), file))
			imported |= strstr(text, " imported") != NULL;
		fclose(file);
		EXPECT_TRUE(imported);
		/* Mapped or not. */
		ASSERT_EQ(0, swap_out_buffers(self->a.fd));
	}
	/* A stream in foreign memory that is wrong: the dump does without it. */
	memset(&bad, 0xff, sizeof(bad));
	memcpy(s.bo.map, &bad, sizeof(bad));
	{
		uint64_t point;

		ASSERT_EQ(0, card_submit(&self->b, VA, sizeof(bad), &point));
		ASSERT_EQ(0, card_wait(self->b.fd, self->b.syncobj, point, 10000 * MS));
		EXPECT_EQ(-EFAULT, card_fence_error(self->b.fd, self->b.syncobj, point));
	}
	system("for dump in /sys/class/devcoredump/devcd*/data; do sleep 0.2; cat $dump >/dev/null; "
	       "echo 1 >$dump; done 2>/dev/null");
}

TEST_HARNESS_MAIN
