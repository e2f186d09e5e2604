// SPDX-License-Identifier: MIT
/*
 * Buffers that are closed while jobs run.  What the card does not reach any more goes at once, for
 * whatever else jobs of the address space, or fences that somebody has put there, are waited for;
 * and no thread of the kernel that others' buffers need waits for it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "shared.h"

#define MIB (1ull << 20)
#define VA 0x7000000000ull
#define BUFFERS 24u /* more than TTM has threads */

FIXTURE(closing) {
	struct card card;
	uint64_t point; /* of jobs of many seconds each */
	uint64_t before; /* memory in use */
};

FIXTURE_VARIANT(closing) {
	uint32_t placement;
};

FIXTURE_VARIANT_ADD(closing, card) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
};

FIXTURE_VARIANT_ADD(closing, system) {
	.placement = DRM_QUIRE_PLACEMENT_SYSTEM,
};

static uint64_t used(int fd, uint32_t placement)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					     .pointer = (uintptr_t)&info };

	if (card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query))
		return UINT64_MAX;
	return placement == DRM_QUIRE_PLACEMENT_CARD ? info.card_used : info.system_used;
}

static bool comes_back(int fd, uint32_t placement, uint64_t before)
{
	for (int i = 0; i < 150 * test_patience() && used(fd, placement) > before; i++)
		usleep(20000);
	return used(fd, placement) <= before;
}

/* Threads of the kernel that delete a buffer and wait; -1: the kernel does not tell. */
static int deleters(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	int count = -1;

	while (processes && (entry = readdir(processes))) {
		char path[300], stack[2048];
		ssize_t got;
		int fd;

		snprintf(path, sizeof(path), "/proc/%s/stack", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		got = read(fd, stack, sizeof(stack) - 1);
		close(fd);
		if (got < 0)
			continue;
		stack[got] = '\0';
		count += (count < 0) + !!strstr(stack, "ttm_bo_delayed_delete");
	}
	if (processes)
		closedir(processes);
	return count;
}

static bool no_deleter_waits(void)
{
	/* Until the card has drained what it had begun. */
	usleep(300000);
	for (int i = 0; i < 50 * test_patience() && deleters() > 0; i++)
		usleep(20000);
	return deleters() <= 0;
}

FIXTURE_SETUP(closing)
{
	struct card *card = &self->card;
	uint32_t bytes;

	ASSERT_EQ(0, card_setup_limit(card, 0, 60000));
	ASSERT_EQ(0, card_long_stream(card, &bytes));
	self->before = used(card->fd, variant->placement);
	ASSERT_NE(UINT64_MAX, self->before);
	for (int i = 0; i < 20; i++)
		ASSERT_EQ(0, card_submit(card, card->stream.va, bytes, &self->point));
}

FIXTURE_TEARDOWN(closing)
{
	/* All of it took place while the jobs ran. */
	EXPECT_EQ(-ETIME, card_wait(self->card.fd, self->card.syncobj, self->point, 0));
	card_teardown(&self->card);
}

/* A job is accepted while it is bound; then it is no more, and closed. */
static int pass_by(struct card *card, uint32_t handle, uint64_t size)
{
	uint64_t point;
	int ret;

	ret = card_bind(card->fd, card->vm, handle, VA, size, 0);
	if (!ret)
		ret = card_submit(card, card->stream.va, sizeof(struct quire_packet_gemm), &point);
	if (!ret)
		ret = card_unbind(card->fd, card->vm, VA, size);
	card_close_handle(card->fd, handle);
	return ret;
}

TEST_F_TIMEOUT(closing, private_buffers_go_while_jobs_of_their_address_space_run, 60)
{
	struct card *card = &self->card;
	uint32_t handle;

	for (unsigned int i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, card_bo_create(card->fd, MIB, variant->placement, card->vm, &handle));
		ASSERT_EQ(0, pass_by(card, handle, MIB));
	}
	/* Nor need it have been bound. */
	ASSERT_EQ(0, card_bo_create(card->fd, MIB, variant->placement, card->vm, &handle));
	card_close_handle(card->fd, handle);
	EXPECT_TRUE(comes_back(card->fd, variant->placement, self->before));
	EXPECT_TRUE(no_deleter_waits());
}

TEST_F_TIMEOUT(closing, buffers_with_a_reservation_of_their_own_go_while_jobs_run, 60)
{
	struct card *card = &self->card;
	uint32_t handle;

	for (unsigned int i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, card_bo_create(card->fd, MIB, variant->placement, 0, &handle));
		ASSERT_EQ(0, pass_by(card, handle, MIB));
	}
	EXPECT_TRUE(comes_back(card->fd, variant->placement, self->before));
	EXPECT_TRUE(no_deleter_waits());
}

/* What is left of it when the last mapping goes is not more. */
TEST_F_TIMEOUT(closing, mapping_that_is_the_last_of_a_buffer_waits_for_nothing, 60)
{
	struct card *card = &self->card;
	void *map[BUFFERS];
	uint32_t handle;

	for (unsigned int i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, card_bo_create(card->fd, MIB, variant->placement, card->vm, &handle));
		ASSERT_EQ(0, card_bo_map(card->fd, handle, MIB, &map[i]));
		ASSERT_EQ(0, pass_by(card, handle, MIB));
	}
	usleep(200000);
	for (unsigned int i = 0; i < BUFFERS; i++)
		munmap(map[i], MIB);
	EXPECT_TRUE(comes_back(card->fd, variant->placement, self->before));
	EXPECT_TRUE(no_deleter_waits());
}

TEST_F_TIMEOUT(closing, user_memory_goes_while_jobs_run, 60)
{
	struct drm_quire_userptr args = { .size = MIB };
	struct card *card = &self->card;
	uint8_t *pages;

	if (variant->placement != DRM_QUIRE_PLACEMENT_SYSTEM)
		SKIP(return, "lies in memory");
	if (deleters() < 0)
		SKIP(return, "this kernel shows no stacks");
	pages = mmap(NULL, BUFFERS * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	ASSERT_NE(MAP_FAILED, pages);
	for (unsigned int i = 0; i < BUFFERS; i++) {
		args.address = (uintptr_t)pages + i * MIB;
		ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args));
		ASSERT_EQ(0, pass_by(card, args.handle, MIB));
	}
	EXPECT_TRUE(no_deleter_waits());
}

/* The exporter still has it, and fences of jobs are in its reservation. */
TEST_F_TIMEOUT(closing, imported_memory_goes_while_jobs_run, 60)
{
	struct card *card = &self->card;
	int buffer[BUFFERS];
	uint32_t handle;

	if (variant->placement != DRM_QUIRE_PLACEMENT_SYSTEM)
		SKIP(return, "lies in memory");
	if (deleters() < 0)
		SKIP(return, "this kernel shows no stacks");
	for (unsigned int i = 0; i < BUFFERS; i++) {
		buffer[i] = shared_udmabuf(MIB, NULL);
		if (buffer[i] == -ENOENT)
			SKIP(return, "this kernel has no udmabuf");
		ASSERT_LE(0, buffer[i]);
		ASSERT_EQ(0, shared_import(card->fd, buffer[i], &handle));
		ASSERT_EQ(0, pass_by(card, handle, MIB));
	}
	EXPECT_TRUE(no_deleter_waits());
	for (unsigned int i = 0; i < BUFFERS; i++)
		close(buffer[i]);
}

TEST_HARNESS_MAIN
