// SPDX-License-Identifier: MIT
/* Processes do not see, hurt or delay one another. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define SECRET 0x5ec2e75ec2e75ec2ull

/* The child binds a secret at va, reports through the pipe and stays until killed. */
static pid_t keep_secret(uint64_t *va, int *out)
{
	int pipes[2];
	pid_t pid;

	if (pipe(pipes))
		return -1;
	pid = fork();
	if (!pid) {
		struct card card;
		struct bo bo;

		if (card_setup(&card, 0) ||
		    card_buffer(&card, 1 << 20, DRM_QUIRE_PLACEMENT_CARD, &bo))
			_exit(1);
		for (unsigned int i = 0; i < (1 << 20) / 8; i++)
			((uint64_t *)bo.map)[i] = SECRET;
		if (write(pipes[1], &bo.va, sizeof(bo.va)) != sizeof(bo.va))
			_exit(1);
		pause();
		_exit(0);
	}
	close(pipes[1]);
	*out = pipes[0];
	if (read(pipes[0], va, sizeof(*va)) != sizeof(*va))
		return -1;
	return pid;
}

TEST(another_process_address_is_unmapped_here)
{
	struct drm_quire_queue_query state;
	struct quire_packet_copy copy;
	struct card card;
	uint64_t va;
	int out;
	pid_t pid = keep_secret(&va, &out);

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, card_setup(&card, 0));
	/* The same address as the other's, unless it is one of ours; use a later page of it. */
	va += 512 << 10;
	packet_copy(&copy, card.stream.va + 8192, va, 64);
	EXPECT_EQ(-EFAULT, card_run(&card, &copy, sizeof(copy)));
	ASSERT_EQ(0, card_queue_state(card.fd, card.queue, &state));
	EXPECT_EQ(QUIRE_STATUS_MMU_FAULT, state.fault_status);
	EXPECT_EQ(va, state.fault_address);
	EXPECT_NE(SECRET, *(uint64_t *)((char *)card.stream.map + 8192));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	card_teardown(&card);
}

TEST(handles_of_another_file_are_unknown)
{
	struct drm_quire_bo_info info = { 0 };
	struct card mine, other;
	uint64_t point;
	uint32_t queue;

	ASSERT_EQ(0, card_setup(&mine, 0));
	ASSERT_EQ(0, card_setup(&other, 0));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, card_queue_create(other.fd, other.vm, 0, &queue));
	info.handle = other.stream.handle + 7;
	EXPECT_EQ(-ENOENT, card_ioctl(mine.fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
	mine.queue = queue;
	EXPECT_EQ(-ENOENT, card_submit(&mine, 0, 0, &point));
	card_teardown(&mine);
	card_teardown(&other);
}

TEST(mmap_of_another_file_offset_is_refused)
{
	struct drm_quire_bo_mmap_offset offset = { 0 };
	int mine = card_open_node(0), other = card_open_node(0);
	void *map;

	ASSERT_EQ(0, card_bo_create(other, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &offset.handle));
	ASSERT_EQ(0, card_ioctl(other, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &offset));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, mine, (off_t)offset.offset);
	EXPECT_EQ(MAP_FAILED, map);
	close(mine);
	close(other);
}

/* Calls made for displays look at things that an accelerator's file has not. */
TEST(calls_that_drm_has_for_displays_are_refused)
{
	struct drm_gem_flink flink = { 0 };
	struct drm_gem_open open = { .name = 1 };
	struct drm_unique unique = { 0 };
	struct drm_auth auth = { 0 };
	uint64_t zeros[32] = { 0 };
	int fd = card_open_node(0);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, card_bo_create(fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &flink.handle));
	EXPECT_EQ(-EACCES, card_ioctl(fd, DRM_IOCTL_GET_MAGIC, &auth));
	EXPECT_EQ(-EACCES, card_ioctl(fd, DRM_IOCTL_GET_UNIQUE, &unique));
	EXPECT_EQ(-EACCES, card_ioctl(fd, DRM_IOCTL_GEM_FLINK, &flink));
	EXPECT_EQ(-EACCES, card_ioctl(fd, DRM_IOCTL_GEM_OPEN, &open));
	/* Whatever there is, and will be: the kernel must not warn. */
	for (unsigned int nr = 0; nr < 256; nr++)
		for (unsigned int bytes = 0; bytes <= sizeof(zeros); bytes += 8)
			ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, DRM_IOCTL_BASE, nr, bytes), zeros);
	close(fd);
}

/* What is shared is shared by file descriptors; nothing else leads from one file to another. */
TEST(handles_for_sharing_belong_to_one_file)
{
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	struct drm_syncobj_handle point = { 0 };
	struct drm_syncobj_destroy destroy = { 0 };
	struct drm_gem_close closed = { 0 };
	struct card mine, other;
	int memfd = memfd_create("isolation", 0);

	ASSERT_EQ(0, card_setup(&mine, 0));
	ASSERT_EQ(0, card_setup(&other, 0));
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, card_bo_create(other.fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0,
					    &prime.handle));
		ASSERT_EQ(0, card_syncobj_create(other.fd, &point.handle));
	}
	closed.handle = prime.handle;
	destroy.handle = point.handle;
	EXPECT_EQ(-ENOENT, card_ioctl(mine.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	EXPECT_EQ(-EINVAL, card_ioctl(mine.fd, DRM_IOCTL_GEM_CLOSE, &closed));
	EXPECT_EQ(-EINVAL, card_ioctl(mine.fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &point));
	EXPECT_EQ(-EINVAL, card_ioctl(mine.fd, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy));
	EXPECT_EQ(-ENOENT, card_wait(mine.fd, point.handle, 1, 0));
	/* A descriptor of one kind is not one of another. */
	for (int i = 0; i < 3; i++) {
		int fds[] = { mine.fd, other.fd, memfd };

		prime.fd = fds[i];
		EXPECT_EQ(-EINVAL, card_ioctl(mine.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
		point.fd = fds[i];
		EXPECT_EQ(-EINVAL, card_ioctl(mine.fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &point));
	}
	prime.handle = closed.handle;
	ASSERT_EQ(0, card_ioctl(other.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	point.fd = prime.fd;
	EXPECT_EQ(-EINVAL, card_ioctl(mine.fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &point));
	close(prime.fd);
	close(memfd);
	card_teardown(&mine);
	card_teardown(&other);
}

/* What a file has used is its process's business. */
TEST(fdinfo_of_another_user_cannot_be_read)
{
	int fd = card_open_node(0), status;
	char path[64];
	pid_t pid;

	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getpid(), fd);
	EXPECT_EQ(0, access(path, R_OK));
	pid = fork();
	if (!pid) {
		int file;

		if (setgid(65534) || setuid(65534))
			_exit(1);
		file = open(path, O_RDONLY);
		_exit(file >= 0 ? 2 : errno == EACCES || errno == ENOENT ? 0 : 3);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
}

static uint64_t used(int fd)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? 0 :
								  info.card_used + info.system_used;
}

TEST(sharing_leaves_nothing_behind)
{
	int fd = card_open_node(0), other = card_open_node(0);
	uint64_t before = used(fd);

	for (int round = 0; round < 500; round++) {
		struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
		struct drm_syncobj_handle point = { 0 };
		struct drm_syncobj_destroy destroy;

		ASSERT_EQ(0, card_bo_create(fd, 1 << 20, DRM_QUIRE_PLACEMENT_CARD, 0,
					    &prime.handle));
		ASSERT_EQ(0, card_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
		card_close_handle(fd, prime.handle);
		ASSERT_EQ(0, card_ioctl(other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
		close(prime.fd);
		card_close_handle(other, prime.handle);
		ASSERT_EQ(0, card_syncobj_create(fd, &point.handle));
		ASSERT_EQ(0, card_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &point));
		destroy = (struct drm_syncobj_destroy){ .handle = point.handle };
		ASSERT_EQ(0, card_ioctl(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy));
		ASSERT_EQ(0, card_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &point));
		close(point.fd);
		destroy = (struct drm_syncobj_destroy){ .handle = point.handle };
		ASSERT_EQ(0, card_ioctl(other, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy));
	}
	for (int tries = 0; tries < 100 * test_patience() && used(fd) != before; tries++)
		usleep(20000);
	EXPECT_EQ(before, used(fd));
	close(fd);
	close(other);
}

TEST(killed_in_mid_job_leaves_the_card_usable)
{
	struct quire_packet_fill fill;
	struct card card;

	for (int round = 0; round < 5; round++) {
		int pipes[2];
		char ready;
		pid_t pid;

		ASSERT_EQ(0, pipe(pipes));
		pid = fork();
		if (!pid) {
			struct card child;
			uint64_t point;
			uint32_t bytes;

			if (card_setup(&child, 0) || card_long_stream(&child, &bytes) ||
			    card_submit(&child, child.stream.va, bytes, &point) ||
			    card_submit(&child, child.stream.va, bytes, &point) ||
			    write(pipes[1], "r", 1) != 1)
				_exit(1);
			pause();
		}
		close(pipes[1]);
		ASSERT_EQ(1, read(pipes[0], &ready, 1));
		close(pipes[0]);
		usleep(20000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		ASSERT_EQ(0, card_setup(&card, 0));
		packet_fill(&fill, card.stream.va + PAGE, 64, 1);
		ASSERT_EQ(0, card_run(&card, &fill, sizeof(fill)));
		card_teardown(&card);
	}
}

TEST(many_killed_in_mid_job_leave_the_card_usable)
{
	enum { PROCESSES = 12 };
	struct quire_packet_fill fill;
	pid_t pid[PROCESSES];
	struct card card;
	int pipes[2];
	char ready;

	ASSERT_EQ(0, pipe(pipes));
	for (int p = 0; p < PROCESSES; p++) {
		pid[p] = fork();
		if (!pid[p]) {
			struct card child;
			uint64_t point;
			uint32_t bytes;

			if (card_setup(&child, 0) || card_long_stream(&child, &bytes))
				_exit(1);
			for (int i = 0; i < 1 + p % 3; i++)
				if (card_submit(&child, child.stream.va, bytes, &point))
					_exit(1);
			if (write(pipes[1], "r", 1) != 1)
				_exit(1);
			pause();
		}
	}
	for (int p = 0; p < PROCESSES; p++)
		ASSERT_EQ(1, read(pipes[0], &ready, 1));
	for (int p = 0; p < PROCESSES; p++)
		kill(pid[p], SIGKILL);
	for (int p = 0; p < PROCESSES; p++)
		ASSERT_EQ(pid[p], waitpid(pid[p], NULL, 0));
	ASSERT_EQ(0, card_setup(&card, 0));
	packet_fill(&fill, card.stream.va + PAGE, 64, 1);
	EXPECT_EQ(0, card_run(&card, &fill, sizeof(fill)));
	card_teardown(&card);
}

TEST(card_memory_comes_back_after_a_kill)
{
	struct drm_quire_memory_info before, after;
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(before) };
	int fd = card_open_node(0), out, tries = 50;
	uint64_t va;
	pid_t pid;

	ASSERT_GE(fd, 0);
	args.pointer = (uintptr_t)&before;
	ASSERT_EQ(0, card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args));
	pid = keep_secret(&va, &out);
	ASSERT_GT(pid, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	args.pointer = (uintptr_t)&after;
	do {
		usleep(20000);
		ASSERT_EQ(0, card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args));
	} while (after.card_used > before.card_used && tries--);
	EXPECT_EQ(before.card_used, after.card_used);
	close(fd);
}

TEST(processes_run_at_the_same_time)
{
	enum { PROCESSES = 8 };
	pid_t pid[PROCESSES];

	for (int p = 0; p < PROCESSES; p++) {
		pid[p] = fork();
		if (!pid[p]) {
			struct quire_packet_fill fill;
			struct card card;

			if (card_setup(&card, 0))
				_exit(1);
			for (uint64_t i = 0; i < 200; i++) {
				packet_fill(&fill, card.stream.va + PAGE, 64, i << 8 | (uint64_t)p);
				if (card_run(&card, &fill, sizeof(fill)) ||
				    ((uint64_t *)card.stream.map)[PAGE / 8] != (i << 8 | (uint64_t)p))
					_exit(2);
			}
			_exit(0);
		}
	}
	for (int p = 0; p < PROCESSES; p++) {
		int status;

		ASSERT_EQ(pid[p], waitpid(pid[p], &status, 0));
		EXPECT_EQ(0, status);
	}
}

TEST_HARNESS_MAIN
