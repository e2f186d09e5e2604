// SPDX-License-Identifier: MIT
/* A process's own memory as a buffer: the process may do with it whatever it likes. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "kselftest_harness.h"

#define VA 0x4000000000ull
#define SIZE (64 * PAGE)
#define PATTERN 0x1122334455667788ull

FIXTURE(userptr) {
	struct card card;
	uint64_t *memory;
	uint32_t handle;
};

FIXTURE_SETUP(userptr)
{
	struct drm_quire_userptr args = { .size = SIZE };

	ASSERT_EQ(0, card_setup(&self->card, 0));
	self->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	args.address = (uintptr_t)self->memory;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	self->handle = args.handle;
	ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, self->handle, VA, SIZE, 0));
}

FIXTURE_TEARDOWN(userptr)
{
	card_teardown(&self->card);
	munmap(self->memory, SIZE);
}

static int fill(FIXTURE_DATA(userptr) *self, uint64_t pattern)
{
	struct quire_packet_fill packet;

	packet_fill(&packet, VA, SIZE, pattern);
	return card_run(&self->card, &packet, sizeof(packet));
}

TEST_F(userptr, jobs_write_the_memory_there_is_now)
{
	ASSERT_EQ(0, fill(self, PATTERN));
	EXPECT_EQ(PATTERN, self->memory[SIZE / 8 - 1]);
	for (int round = 0; round < 20; round++) {
		ASSERT_EQ(0, munmap(self->memory, SIZE));
		ASSERT_EQ(self->memory, mmap(self->memory, SIZE, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		EXPECT_EQ(0, self->memory[0]);
		ASSERT_EQ(0, fill(self, PATTERN + round));
		EXPECT_EQ(PATTERN + round, self->memory[0]);
		EXPECT_EQ(PATTERN + round, self->memory[SIZE / 8 - 1]);
	}
}

TEST_F(userptr, pages_that_are_dropped_are_zeros_again)
{
	ASSERT_EQ(0, fill(self, PATTERN));
	ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, self->memory[1]);
	ASSERT_EQ(0, fill(self, PATTERN + 1));
	EXPECT_EQ(PATTERN + 1, self->memory[1]);
}

TEST_F(userptr, what_is_unmapped_faults_and_hurts_no_other_job)
{
	struct drm_quire_queue_query state = { 0 };
	uint64_t point;

	ASSERT_EQ(0, munmap(self->memory, SIZE));
	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
	EXPECT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 5000 * MS));
	EXPECT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, point));
	EXPECT_EQ(-EFAULT, fill(self, PATTERN));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(QUIRE_STATUS_MMU_FAULT, state.fault_status);
}

TEST_F(userptr, memory_made_read_only_is_not_written)
{
	self->memory[3] = 7;
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ));
	EXPECT_EQ(-EFAULT, fill(self, PATTERN));
	EXPECT_EQ(7, self->memory[3]);
}

TEST_F(userptr, after_fork_each_has_its_own)
{
	int status;
	pid_t child;

	self->memory[0] = 5;
	child = fork();
	if (!child) {
		usleep(300000);
		_exit(self->memory[0] == 5 && self->memory[SIZE / 8 - 1] == 0 ? 0 : 1);
	}
	ASSERT_GT(child, 0);
	ASSERT_EQ(0, fill(self, PATTERN));
	EXPECT_EQ(PATTERN, self->memory[0]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* munmap() returns when the card cannot reach the pages any more. */
TEST_F_TIMEOUT(userptr, memory_goes_in_the_middle_of_a_job, 60)
{
	struct quire_packet_fill *packets = self->card.stream.map;
	uint32_t count = QUIRE_STREAM_MAX_BYTES / sizeof(*packets);
	uint64_t point;

	for (uint32_t i = 0; i < count; i++)
		packet_fill(&packets[i], VA, SIZE, PATTERN);
	for (int round = 0; round < 10; round++) {
		ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va,
					 count * sizeof(*packets), &point));
		ASSERT_EQ(0, munmap(self->memory, SIZE));
		ASSERT_EQ(self->memory, mmap(self->memory, SIZE, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		for (unsigned int i = 0; i < SIZE / 8; i += PAGE / 8)
			EXPECT_EQ(0, self->memory[i]);
		ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 30000 * MS));
		EXPECT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, point));
		EXPECT_EQ(0, self->memory[0]);
	}
}

TEST_F(userptr, memory_of_a_file_and_no_limit_of_locked_memory)
{
	struct rlimit limit = { 64 * 1024, 64 * 1024 };
	struct drm_quire_userptr args = { .size = 4 << 20 };
	int file = memfd_create("userptr", 0);
	uint64_t *memory, word = 0;
	struct quire_packet_fill packet;

	ASSERT_GE(file, 0);
	ASSERT_EQ(0, ftruncate(file, args.size));
	memory = mmap(NULL, args.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, seteuid(65534));
	args.address = (uintptr_t)memory;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, args.handle, 2 * VA, args.size, 0));
	packet_fill(&packet, 2 * VA, args.size, PATTERN);
	ASSERT_EQ(0, card_run(&self->card, &packet, sizeof(packet)));
	ASSERT_EQ(sizeof(word), pread(file, &word, sizeof(word), args.size - sizeof(word)));
	EXPECT_EQ(PATTERN, word);
	munmap(memory, args.size);
	close(file);
}

TEST_F(userptr, the_same_memory_may_be_two_buffers)
{
	struct drm_quire_userptr args = { .size = SIZE / 2, .address = (uintptr_t)self->memory };
	struct quire_packet_fill packet;

	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, args.handle, 2 * VA, args.size, 0));
	ASSERT_EQ(0, fill(self, PATTERN));
	packet_fill(&packet, 2 * VA, args.size, PATTERN + 1);
	ASSERT_EQ(0, card_run(&self->card, &packet, sizeof(packet)));
	EXPECT_EQ(PATTERN + 1, self->memory[0]);
	EXPECT_EQ(PATTERN, self->memory[SIZE / 8 - 1]);
}

/* The process ends with a job on its memory, and with the mapping gone before the file. */
TEST_F(userptr, a_process_may_die_at_any_moment)
{
	for (int round = 0; round < 5; round++) {
		int status;
		pid_t child = fork();

		if (!child) {
			struct drm_quire_userptr args = { .size = SIZE };
			struct quire_packet_fill *packets;
			struct card card;
			uint64_t point;

			args.address = (uintptr_t)mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
						       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (card_setup(&card, 0) ||
			    card_ioctl(card.fd, DRM_IOCTL_QUIRE_USERPTR, &args) ||
			    card_bind(card.fd, card.vm, args.handle, VA, SIZE, 0))
				_exit(1);
			packets = card.stream.map;
			for (uint32_t i = 0; i < 500; i++)
				packet_fill(&packets[i], VA, SIZE, PATTERN);
			card_submit(&card, card.stream.va, 500 * sizeof(*packets), &point);
			if (round & 1)
				kill(getpid(), SIGKILL);
			_exit(0);
		}
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(round & 1 ? SIGKILL : 0, status);
	}
}

TEST_HARNESS_MAIN
