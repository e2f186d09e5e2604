// SPDX-License-Identifier: MIT
/*
 * Memory of a process that comes slowly, and nobody waits for it any more: who has asked for it is
 * killed, or its jobs have gone, or the machine goes to sleep.  While processes are frozen nobody
 * asks for it.  An image of the machine says which pages lie in swap space and which
 * blocks of a file system are in use; what is taken from there afterwards is wrong when it wakes.
 * Needs a slow disk, /dev/vda.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "patience.h"

#define DISK "/dev/vda"
#define VA 0x4000000000ull
#define SMALL_VA 0x5000000000ull
#define BYTES (24u << 20)
#define READS_MOST 24u /* what is asked for at a time, and until processes are frozen */

FIXTURE(asleep) {
	struct card card;
	char *slow;
	uint32_t slow_handle;
	char *small;
	uint64_t point;
};

static int make_userptr(const struct card *card, void *memory, uint64_t size, uint32_t *handle)
{
	struct drm_quire_userptr args = {
		.address = (uintptr_t)memory, .size = size, .flags = DRM_QUIRE_USERPTR_READ_ONLY,
	};
	int ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);

	*handle = args.handle;
	return ret;
}

static int bind_userptr(const struct card *card, uint32_t handle, uint64_t va, uint64_t size)
{
	return card_bind(card->fd, card->vm, handle, va, size, DRM_QUIRE_VM_BIND_READ_ONLY);
}

/* Requests that the disk has answered, or -1. */
static long count_reads(void)
{
	FILE *file = fopen("/sys/block/vda/stat", "r");
	long reads = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &reads) != 1)
		reads = -1;
	fclose(file);
	return reads;
}

/* In large pieces, though the disk be slow. */
static int read_disk(void)
{
	static char buffer[1 << 20];
	int ret = sysfs_write("/sys/block/vda/queue/read_ahead_kb", "8192");
	int file = open(DISK, O_RDONLY);

	for (unsigned int at = 0; at < BYTES && !ret; at += sizeof(buffer))
		if (pread(file, buffer, sizeof(buffer), at) != sizeof(buffer))
			ret = -EIO;
	close(file);
	return ret ? ret : sysfs_write("/sys/block/vda/queue/read_ahead_kb", "128");
}

static bool have_disk(void)
{
	return !system("modprobe -q -d $(sed 's/.*guest_kit=\\([^ ]*\\).*/\\1/' /proc/cmdline) "
		       "virtio_blk") && !access(DISK, R_OK);
}

FIXTURE_SETUP(asleep)
{
	uint32_t handle;
	int file;

	if (!have_disk())
		SKIP(return, "no slow disk");
	ASSERT_EQ(0, read_disk());
	file = open(DISK, O_RDONLY);
	ASSERT_LE(0, file);
	self->slow = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, file, 0);
	self->small = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->slow);
	ASSERT_NE(MAP_FAILED, self->small);
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 600000));
	ASSERT_EQ(0, make_userptr(&self->card, self->small, PAGE, &handle));
	ASSERT_EQ(0, bind_userptr(&self->card, handle, SMALL_VA, PAGE));
	/* It is there once, as it must be, and gone again. */
	ASSERT_EQ(0, make_userptr(&self->card, self->slow, BYTES, &self->slow_handle));
	ASSERT_EQ(0, madvise(self->slow, BYTES, MADV_DONTNEED));
	ASSERT_EQ(0, posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
	close(file);
}

FIXTURE_TEARDOWN(asleep)
{
	sysfs_write("/sys/power/pm_test", "none");
	card_teardown(&self->card);
}

/* A job runs, and its hold's work asks for all memory of its address space, which takes long. */
static int start_hold(FIXTURE_DATA(asleep) *self)
{
	uint32_t bytes;
	int ret = card_long_stream(&self->card, &bytes);

	if (!ret)
		ret = card_submit(&self->card, self->card.stream.va, bytes, &self->point);
	if (!ret)
		ret = bind_userptr(&self->card, self->slow_handle, VA, BYTES);
	if (!ret && madvise(self->small, PAGE, MADV_DONTNEED))
		ret = -errno;
	return ret;
}

TEST_F_TIMEOUT(asleep, no_memory_is_asked_for_while_processes_are_frozen, 120)
{
	long before, after;

	ASSERT_EQ(0, sysfs_write("/sys/power/pm_test", "freezer"));
	ASSERT_EQ(0, start_hold(self));
	before = count_reads();
	ASSERT_EQ(0, sysfs_write("/sys/power/state", "mem"));
	after = count_reads();
	TH_LOG("%ld reads before, %ld after", before, after);
	EXPECT_GE(READS_MOST, after - before);
	/* And it comes when they go on. */
	EXPECT_EQ(0, card_wait(self->card.fd, self->card.syncobj, self->point, 60000 * MS));
	EXPECT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, self->point));
	EXPECT_LT(after, count_reads());
}

/* All of it would take five seconds. */
TEST_F_TIMEOUT(asleep, who_is_killed_while_he_asks_for_memory_is_gone_soon, 60)
{
	double start;
	pid_t child;

	child = fork();
	if (!child) {
		uint32_t handle;

		_exit(-make_userptr(&self->card, self->slow, BYTES, &handle));
	}
	ASSERT_LT(0, child);
	usleep(500000);
	ASSERT_EQ(0, waitpid(child, NULL, WNOHANG));
	start = seconds_now();
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	EXPECT_GT(2.5 * test_patience(), seconds_now() - start);
}

TEST_F_TIMEOUT(asleep, memory_of_jobs_that_have_gone_is_not_asked_for, 60)
{
	long before, after;

	ASSERT_EQ(0, start_hold(self));
	usleep(500000);
	before = count_reads();
	ASSERT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));
	sleep(4);
	after = count_reads();
	TH_LOG("%ld reads before, %ld after", before, after);
	EXPECT_GE(READS_MOST, after - before);
}

TEST_HARNESS_MAIN
