// SPDX-License-Identifier: MIT
/* A process's own memory as a buffer: the process may do with it whatever it likes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

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
		EXPECT_EQ(-EFAULT, card_fence_error(self->card.fd, self->card.syncobj, point));
		EXPECT_EQ(0, self->memory[0]);
		card_queue_destroy(self->card.fd, self->card.queue);
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0,
					       &self->card.queue));
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

#define BESIDE_LIMIT_MS 5000

struct binding {
	int fd;
	uint32_t vm;
};

static void *unbind_soon(void *data)
{
	struct binding *binding = data;

	usleep(300000);
	card_unbind(binding->fd, binding->vm, VA, SIZE);
	return NULL;
}

/* Unmaps a buffer's memory beside a job that ends at its limit only, and the buffer, too. */
static void unmap_beside_a_long_job(_Atomic int *stage)
{
	struct drm_quire_userptr args = { .size = SIZE };
	struct binding binding;
	struct card card;
	pthread_t thread;
	uint32_t bytes;
	uint64_t point;

	args.address = (uintptr_t)mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (card_setup_limit(&card, 0, BESIDE_LIMIT_MS) || card_long_stream(&card, &bytes) ||
	    card_ioctl(card.fd, DRM_IOCTL_QUIRE_USERPTR, &args) ||
	    card_bind(card.fd, card.vm, args.handle, VA, SIZE, 0) ||
	    card_submit(&card, card.stream.va, bytes, &point))
		_exit(1);
	binding = (struct binding){ card.fd, card.vm };
	if (pthread_create(&thread, NULL, unbind_soon, &binding))
		_exit(1);
	*stage = 1;
	munmap((void *)(uintptr_t)args.address, SIZE);
	*stage = 2;
	pthread_join(thread, NULL);
	card_teardown(&card);
	_exit(0);
}

static uint64_t card_used(int fd)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_MEMORY,
					     .size = sizeof(info),
					     .pointer = (uintptr_t)&info };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query) ? 0 : info.card_used;
}

/* Memory of others goes back meanwhile: nobody waits for jobs that are not his. */
TEST_F_TIMEOUT(userptr, memory_goes_beside_a_long_job_and_others_get_theirs_back, 60)
{
	_Atomic int *stage = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				  -1, 0);
	uint64_t before, point;
	uint32_t handle, bytes;
	struct card card;
	int status;
	pid_t child;

	ASSERT_NE(MAP_FAILED, stage);
	/* With a job of its own, so that nothing is out of the card's reach at once. */
	ASSERT_EQ(0, card_setup(&card, 0));
	ASSERT_EQ(0, card_long_stream(&card, &bytes));
	ASSERT_EQ(0, card_submit(&card, card.stream.va, bytes, &point));
	child = fork();
	if (!child)
		unmap_beside_a_long_job(stage);
	ASSERT_GT(child, 0);
	for (int i = 0; i < 1000 * test_patience() && !*stage; i++)
		usleep(10000);
	ASSERT_NE(0, *stage);
	usleep(800000);
	before = card_used(card.fd);
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, card_bo_create(card.fd, SIZE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
		ASSERT_EQ(0, card_bind(card.fd, card.vm, handle, 3 * VA, SIZE, 0));
		ASSERT_EQ(0, card_unbind(card.fd, card.vm, 3 * VA, SIZE));
		card_close_handle(card.fd, handle);
	}
	for (int i = 0; i < 1000 * test_patience() && card_used(card.fd) > before; i++)
		usleep(1000);
	EXPECT_GE(before, card_used(card.fd));
	card_teardown(&card);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(2, *stage);
}

/* Pages in the middle of a huge one that only the card has written are not thrown away. */
TEST_F(userptr, pages_of_a_large_folio_that_a_job_wrote_are_kept)
{
	const char *enabled = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	const size_t huge = 2 << 20;
	struct drm_quire_userptr args = { .size = SIZE };
	int file = memfd_create("userptr", 0);
	struct quire_packet_fill packet;
	uint8_t *memory;

	if (sysfs_write(enabled, "always"))
		SKIP(return, "no large folios of shared memory");
	ASSERT_EQ(0, ftruncate(file, huge));
	memory = mmap(NULL, 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	memory += huge - (uintptr_t)memory % huge;
	ASSERT_EQ(memory, mmap(memory, huge, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
			       0));
	/* There by being read, and so clean. */
	EXPECT_EQ(0, *(volatile uint8_t *)memory);
	args.address = (uintptr_t)memory + 3 * PAGE;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, args.handle, 2 * VA, SIZE, 0));
	packet_fill(&packet, 2 * VA, SIZE, PATTERN);
	ASSERT_EQ(0, card_run(&self->card, &packet, sizeof(packet)));
	madvise(memory, huge, MADV_PAGEOUT);
	EXPECT_EQ(PATTERN, *(volatile uint64_t *)(memory + 3 * PAGE));
	EXPECT_EQ(PATTERN, *(volatile uint64_t *)(memory + 3 * PAGE + SIZE - 8));
	EXPECT_EQ(0, sysfs_write(enabled, "never"));
	close(file);
}

/* A thread that drops pages all the time, for so long. */
struct dropper {
	void *memory;
	size_t bytes;
	time_t seconds;
	pthread_t id;
};

static void *dropper_main(void *argument)
{
	struct dropper *dropper = argument;
	struct timespec end, now;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += dropper->seconds;
	do {
		madvise(dropper->memory, dropper->bytes, MADV_DONTNEED);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec ||
		 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	return NULL;
}

TEST_F_TIMEOUT(userptr, pages_that_go_all_the_time_give_an_error_that_is_documented, 60)
{
	enum { BYTES = 32 << 20 };
	struct dropper dropper = { .bytes = BYTES, .seconds = 5 };
	struct card *card = &self->card;
	struct drm_quire_userptr args;
	uint64_t point;
	int ret = 0;

	dropper.memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
	ASSERT_NE(MAP_FAILED, dropper.memory);
	args = (struct drm_quire_userptr){ .address = (uintptr_t)dropper.memory, .size = BYTES };
	ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, args.handle, VA + SIZE, BYTES, 0));
	ASSERT_EQ(0, pthread_create(&dropper.id, NULL, dropper_main, &dropper));
	for (int i = 0; i < 10 && !ret; i++) {
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
		if (!ret)
			card_close_handle(card->fd, args.handle);
	}
	EXPECT_TRUE(ret == 0 || ret == -EBUSY) TH_LOG("%d", ret);
	/* It goes on trying until they stay. */
	EXPECT_EQ(0, card_submit(card, 0, 0, &point));
	EXPECT_EQ(0, card_wait(card->fd, card->syncobj, point, 10000 * MS));
	ASSERT_EQ(0, pthread_join(dropper.id, NULL));
	munmap(dropper.memory, BYTES);
}

/* A process with a job of hours that may use @size bytes of its memory; -1. */
static pid_t start_hog(const char *path, size_t size, bool shared)
{
	struct drm_quire_userptr args = { .size = size };
	struct card card;
	uint32_t bytes;
	uint64_t point;
	int ready[2];
	char byte;
	pid_t pid;
	int file;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			pid = -1;
		close(ready[0]);
		return pid;
	}
	file = path ? open(path, shared ? O_RDWR : O_RDONLY) : -1;
	args.flags = path && !shared ? DRM_QUIRE_USERPTR_READ_ONLY : 0;
	args.address = (uintptr_t)mmap(NULL, size, args.flags ? PROT_READ : PROT_READ | PROT_WRITE,
				       path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
	if (!args.flags)
		memset((void *)(uintptr_t)args.address, 1, size);
	if (card_setup_limit(&card, 0, 600000) || card_long_stream(&card, &bytes) ||
	    card_ioctl(card.fd, DRM_IOCTL_QUIRE_USERPTR, &args) ||
	    card_bind(card.fd, card.vm, args.handle, VA, size,
		      args.flags ? DRM_QUIRE_VM_BIND_READ_ONLY : 0))
		_exit(1);
	for (int i = 0; i < 200; i++)
		if (card_submit(&card, card.stream.va, bytes, &point))
			_exit(1);
	if (write(ready[1], "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* Seconds until the process has gone, or @limit. */
static double wait_gone(pid_t pid, double limit)
{
	double waited = 0;
	int status;

	while (waited < limit && waitpid(pid, &status, WNOHANG) != pid) {
		usleep(20000);
		waited += 0.02;
	}
	return waited;
}

static long memory_free(void)
{
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");
	long kilobytes = -1;

	while (file && kilobytes < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "MemFree: %ld", &kilobytes);
	if (file)
		fclose(file);
	return kilobytes;
}

#define HOG_BYTES (256u << 20)

/* A killed process and its memory go at once, whatever jobs may still use it. */
TEST_F_TIMEOUT(userptr, who_is_killed_with_long_jobs_is_gone_with_his_memory, 60)
{
	pid_t hog = start_hog(NULL, HOG_BYTES, false);
	long before;

	ASSERT_GT(hog, 0);
	before = memory_free();
	ASSERT_EQ(0, kill(hog, SIGKILL));
	EXPECT_GT(5, wait_gone(hog, 20));
	for (int i = 0; i < 100 * test_patience() &&
	     memory_free() < before + HOG_BYTES / 1024 / 4 * 3; i++)
		usleep(20000);
	EXPECT_LT(before + HOG_BYTES / 1024 / 4 * 3, memory_free());
	EXPECT_EQ(0, fill(self, PATTERN));
}

static pid_t start_call(void (*call)(const char *path), const char *path)
{
	pid_t pid = fork();

	if (!pid) {
		call(path);
		_exit(0);
	}
	return pid;
}

static void truncate_it(const char *path)
{
	close(open(path, O_WRONLY | O_TRUNC));
}

static void sync_all(const char *path)
{
	(void)path;
	sync();
}

/* Whoever owns a file is not kept from it by jobs of somebody who may only read it. */
TEST_F_TIMEOUT(userptr, who_truncates_a_file_does_not_wait_for_a_strangers_jobs, 60)
{
	const char *path = "/tmp/userptr-file";
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	pid_t hog, other;

	ASSERT_GE(file, 0);
	ASSERT_EQ(0, ftruncate(file, SIZE));
	memset(self->memory, 3, SIZE);
	ASSERT_EQ(SIZE, pwrite(file, self->memory, SIZE, 0));
	hog = start_hog(path, SIZE, false);
	ASSERT_GT(hog, 0);
	other = start_call(truncate_it, path);
	ASSERT_GT(other, 0);
	EXPECT_GT(5, wait_gone(other, 10));
	kill(other, SIGKILL);
	kill(hog, SIGKILL);
	EXPECT_GT(5, wait_gone(hog, 20));
	close(file);
	unlink(path);
}

/* Dirty pages of a file are written back, be they shown to the card. */
TEST_F_TIMEOUT(userptr, sync_does_not_wait_for_a_strangers_jobs, 60)
{
	const char *directory = "/tmp/userptr-disk", *path = "/tmp/userptr-disk/file";
	pid_t hog, other;
	int file;

	mkdir(directory, 0755);
	/* The guest itself has few modules. */
	if (system("kit=$(sed 's/.*guest_kit=\\([^ ]*\\).*/\\1/' /proc/cmdline) &&"
		   "modprobe -d $kit brd rd_nr=1 rd_size=16384 && modprobe -d $kit ext4 &&"
		   "mkfs.ext4 -q /dev/ram0") || mount("/dev/ram0", directory, "ext4", 0, NULL))
		SKIP(return, "no disk with a file system");
	file = open(path, O_RDWR | O_CREAT, 0644);
	ASSERT_GE(file, 0);
	ASSERT_EQ(0, ftruncate(file, SIZE));
	hog = start_hog(path, SIZE, true);
	ASSERT_GT(hog, 0);
	other = start_call(sync_all, NULL);
	ASSERT_GT(other, 0);
	EXPECT_GT(8, wait_gone(other, 15));
	kill(other, SIGKILL);
	kill(hog, SIGKILL);
	EXPECT_GT(5, wait_gone(hog, 20));
	close(file);
	EXPECT_EQ(0, umount(directory));
}

/* Nor does a process for its own, with the lock of its mappings: who lists processes wants it. */
TEST_F_TIMEOUT(userptr, who_takes_memory_from_his_own_jobs_does_not_wait_for_them, 60)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		struct drm_quire_userptr args = { .size = SIZE };
		struct card card;
		uint32_t bytes;
		uint64_t point;

		args.address = (uintptr_t)mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (card_setup_limit(&card, 0, 600000) || card_long_stream(&card, &bytes) ||
		    card_ioctl(card.fd, DRM_IOCTL_QUIRE_USERPTR, &args) ||
		    card_bind(card.fd, card.vm, args.handle, VA, SIZE, 0) ||
		    card_submit(&card, card.stream.va, bytes, &point))
			_exit(1);
		munmap((void *)(uintptr_t)args.address, SIZE);
		_exit(2);
	}
	ASSERT_GT(child, 0);
	for (int i = 0; i < 250 && waitpid(child, &status, WNOHANG) != child; i++)
		usleep(20000);
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(2, WEXITSTATUS(status));
	kill(child, SIGKILL);
}

TEST_HARNESS_MAIN
