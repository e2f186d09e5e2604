// SPDX-License-Identifier: MIT
/*
 * Pages of a process that go, or become others', while a job writes them: by calls on the file they
 * are of, and by what the kernel does with memory of its own accord.  What is not the process's any
 * more is not written, and nothing written is lost.  The job goes on where there is memory, as a
 * thread of the process would, and else ends with -EFAULT.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "swap.h"

#define VA 0x4000000000ull
#define PAGES 64
#define SIZE (PAGES * PAGE)
#define WORDS (SIZE / 8)
#define PATTERN 0x1122334455667700ull
#define FILLS (QUIRE_STREAM_MAX_BYTES / sizeof(struct quire_packet_fill))
#define HUGE_BYTES (2u << 20)

FIXTURE(userpages) {
	struct card card;
	int file;
	uint64_t *memory;
	uint64_t point;
};

FIXTURE_SETUP(userpages)
{
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 60000));
	self->file = memfd_create("userpages", 0);
	ASSERT_GE(self->file, 0);
	ASSERT_EQ(0, ftruncate(self->file, SIZE));
}

FIXTURE_TEARDOWN(userpages)
{
	card_teardown(&self->card);
	close(self->file);
}

static int bind_memory(FIXTURE_DATA(userpages) *self, void *memory)
{
	struct drm_quire_userptr args = { .address = (uintptr_t)memory, .size = SIZE };
	int ret;

	self->memory = memory;
	if (memory == MAP_FAILED)
		return -errno;
	ret = card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	return ret ? ret : card_bind(self->card.fd, self->card.vm, args.handle, VA, SIZE, 0);
}

static void *anonymous(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A job that writes all of the memory again and again, another number each time; it has begun. */
static int start(FIXTURE_DATA(userpages) *self)
{
	struct quire_packet_fill *packets = self->card.stream.map;
	int ret;

	for (unsigned int i = 0; i < FILLS; i++)
		packet_fill(&packets[i], VA, SIZE, PATTERN + (i + 1) % 256);
	*self->memory = 0;
	ret = card_submit(&self->card, self->card.stream.va, FILLS * sizeof(*packets),
			  &self->point);
	while (!ret && !*(volatile uint64_t *)self->memory)
		if (!card_wait(self->card.fd, self->card.syncobj, self->point, MS))
			break;
	return ret;
}

static int end(FIXTURE_DATA(userpages) *self)
{
	int ret = card_wait(self->card.fd, self->card.syncobj, self->point, 60000 * MS);

	return ret ? ret : card_fence_error(self->card.fd, self->card.syncobj, self->point);
}

/* A queue whose job has failed takes no others. */
static int renew_queue(FIXTURE_DATA(userpages) *self)
{
	card_queue_destroy(self->card.fd, self->card.queue);
	return card_queue_create(self->card.fd, self->card.vm, 60000, &self->card.queue);
}

static int fill(FIXTURE_DATA(userpages) *self, uint64_t pattern)
{
	struct quire_packet_fill packet;

	packet_fill(&packet, VA, SIZE, pattern);
	return card_run(&self->card, &packet, sizeof(packet));
}

/* Words that are not @value. */
static unsigned int others(const uint64_t *memory, uint64_t value)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		count += ((const volatile uint64_t *)memory)[i] != value;
	return count;
}

#define LAST (PATTERN + FILLS % 256)

TEST_F_TIMEOUT(userpages, file_that_is_cut_off, 60)
{
	uint64_t *again;

	ASSERT_EQ(0, bind_memory(self, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
					    self->file, 0)));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, ftruncate(self->file, 0));
	EXPECT_EQ(-EFAULT, end(self));
	ASSERT_EQ(0, ftruncate(self->file, SIZE));
	again = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, again);
	EXPECT_EQ(0, others(again, 0));
	/* What is there now is the process's. */
	ASSERT_EQ(0, renew_queue(self));
	ASSERT_EQ(0, fill(self, 5));
	EXPECT_EQ(0, others(again, 5));
	ASSERT_EQ(0, ftruncate(self->file, 0));
	EXPECT_EQ(-EFAULT, fill(self, 6));
}

TEST_F_TIMEOUT(userpages, hole_in_a_file, 60)
{
	uint64_t word = 0;

	ASSERT_EQ(0, bind_memory(self, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
					    self->file, 0)));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, fallocate(self->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * PAGE,
			       PAGE));
	EXPECT_EQ(0, end(self));
	/* The page that the file has now. */
	EXPECT_EQ(0, others(self->memory, LAST));
	ASSERT_EQ(sizeof(word), pread(self->file, &word, sizeof(word), 8 * PAGE));
	EXPECT_EQ(LAST, word);
	ASSERT_EQ(0, fill(self, 5));
	EXPECT_EQ(0, others(self->memory, 5));
}

TEST_F_TIMEOUT(userpages, private_mapping_of_a_file_leaves_the_file_alone, 60)
{
	uint64_t *file = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0);

	ASSERT_NE(MAP_FAILED, file);
	ASSERT_EQ(0, bind_memory(self, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
					    self->file, 0)));
	ASSERT_EQ(0, start(self));
	/* Back to what the file has, for a moment. */
	ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, end(self));
	EXPECT_EQ(0, others(self->memory, LAST));
	ASSERT_EQ(0, fill(self, 5));
	EXPECT_EQ(0, others(self->memory, 5));
	EXPECT_EQ(0, others(file, 0));
}

TEST_F_TIMEOUT(userpages, child_does_not_see_what_is_written_after_fork, 60)
{
	pid_t child;
	int status;

	ASSERT_EQ(0, bind_memory(self, anonymous(SIZE)));
	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(0, start(self));
		child = fork();
		if (!child) {
			uint64_t *before = anonymous(SIZE);

			memcpy(before, self->memory, SIZE);
			usleep(300000);
			_exit(memcmp(before, self->memory, SIZE) != 0);
		}
		ASSERT_GT(child, 0);
		EXPECT_EQ(0, end(self));
		EXPECT_EQ(0, others(self->memory, LAST));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
}

TEST_F_TIMEOUT(userpages, memory_that_moves_to_another_address, 60)
{
	uint64_t *moved = anonymous(SIZE), *before = malloc(SIZE);

	ASSERT_EQ(0, bind_memory(self, anonymous(SIZE)));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(moved, mremap(self->memory, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	memcpy(before, moved, SIZE);
	EXPECT_EQ(-EFAULT, end(self));
	EXPECT_EQ(0, memcmp(before, moved, SIZE));
	ASSERT_EQ(0, renew_queue(self));
	EXPECT_EQ(-EFAULT, fill(self, 5));
	EXPECT_EQ(0, memcmp(before, moved, SIZE));
	free(before);
}

TEST_F_TIMEOUT(userpages, memory_made_read_only, 60)
{
	uint64_t *before = malloc(SIZE);

	ASSERT_EQ(0, bind_memory(self, anonymous(SIZE)));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ));
	memcpy(before, self->memory, SIZE);
	EXPECT_EQ(-EFAULT, end(self));
	EXPECT_EQ(0, memcmp(before, self->memory, SIZE));
	ASSERT_EQ(0, renew_queue(self));
	EXPECT_EQ(-EFAULT, fill(self, 5));
	EXPECT_EQ(0, memcmp(before, self->memory, SIZE));
	free(before);
}

/* The kernel may drop what was given free and is clean; what a job has written is not. */
TEST_F_TIMEOUT(userpages, memory_given_free_and_written_again, 60)
{
	ASSERT_EQ(0, bind_memory(self, anonymous(SIZE)));
	memset(self->memory, 1, SIZE);
	for (uint64_t round = 1; round < 4; round++) {
		ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_FREE));
		ASSERT_EQ(0, fill(self, round));
		madvise(self->memory, SIZE, MADV_PAGEOUT);
		EXPECT_EQ(0, others(self->memory, round));
	}
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_FREE));
	madvise(self->memory, SIZE, MADV_PAGEOUT);
	EXPECT_EQ(0, end(self));
	/* The job had written all before. */
	EXPECT_EQ(0, self->memory[0] && self->memory[0] != LAST);
}

/* Also to swap space, in the middle of a job. */
TEST_F_TIMEOUT(userpages, memory_that_is_paged_out, 90)
{
	int swap = swap_on();

	if (swap == -ENOENT)
		SKIP(return, "this kernel has no swap space in memory");
	ASSERT_EQ(0, swap);
	ASSERT_EQ(0, bind_memory(self, anonymous(SIZE)));
	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(0, start(self));
		ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_PAGEOUT));
		EXPECT_EQ(0, end(self));
		madvise(self->memory, SIZE, MADV_PAGEOUT);
		EXPECT_EQ(0, others(self->memory, LAST));
	}
	EXPECT_EQ(0, swap_off());
}

TEST_F_TIMEOUT(userpages, huge_page_that_is_split, 60)
{
	uint8_t *memory = anonymous(2 * HUGE_BYTES);
	uint64_t *middle;

	ASSERT_NE(MAP_FAILED, memory);
	memory += HUGE_BYTES - (uintptr_t)memory % HUGE_BYTES;
	madvise(memory, HUGE_BYTES, MADV_HUGEPAGE);
	memset(memory, 1, HUGE_BYTES);
	ASSERT_EQ(0, bind_memory(self, memory + HUGE_BYTES / 2));
	middle = self->memory + WORDS / 2;
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, madvise(memory, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(middle, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, end(self));
	EXPECT_EQ(0, others(self->memory, LAST));
	EXPECT_EQ(1, memory[HUGE_BYTES - 1]);
	ASSERT_EQ(0, fill(self, 5));
	EXPECT_EQ(0, others(self->memory, 5));
}

/* Equal pages become one, which jobs must not write. */
TEST_F_TIMEOUT(userpages, equal_pages_that_are_merged, 90)
{
	uint64_t *twin = anonymous(SIZE);

	ASSERT_EQ(0, bind_memory(self, anonymous(SIZE)));
	if (madvise(twin, SIZE, MADV_MERGEABLE))
		SKIP(return, "this kernel does not merge pages");
	ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_MERGEABLE));
	sysfs_write("/sys/kernel/mm/ksm/sleep_millisecs", "5");
	sysfs_write("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	ASSERT_EQ(0, sysfs_write("/sys/kernel/mm/ksm/run", "1"));
	for (uint64_t round = 1; round < 8; round++) {
		for (unsigned int i = 0; i < WORDS; i++)
			twin[i] = round;
		ASSERT_EQ(0, fill(self, round));
		usleep(300000);
		ASSERT_EQ(0, start(self));
		EXPECT_EQ(0, others(twin, round));
		EXPECT_EQ(0, end(self));
		EXPECT_EQ(0, others(twin, round));
		EXPECT_EQ(0, others(self->memory, LAST));
	}
	EXPECT_EQ(0, sysfs_write("/sys/kernel/mm/ksm/run", "2"));
}

TEST_HARNESS_MAIN
