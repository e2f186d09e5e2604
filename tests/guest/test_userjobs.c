// SPDX-License-Identifier: MIT
/*
 * Jobs of seconds on a process's own memory that the kernel moves, cleans or swaps out meanwhile:
 * they go on, and compute what they would have computed.  Nobody waits for them: neither who takes
 * the memory, nor the process itself.  And they end, whatever becomes of the memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "swap.h"

#define VA 0x4000000000ull
#define N 512u
#define MATRIX ((size_t)N * N)
#define SIZE (3 * MATRIX)
#define POSIT8_ONE 0x40
#define MOST_PRODUCTS (QUIRE_STREAM_MAX_BYTES / sizeof(struct quire_packet_gemm))
#define JOB_SECONDS 4
#define DIRECTORY "/tmp/userjobs"

/*
 * The first matrix, by turns in its place and that of the second, is multiplied by the third, which
 * moves its columns one to the right.  Whatever a job loses or reads where it is not is lost for
 * good.
 */
FIXTURE(userjobs) {
	struct card card;
	uint8_t *memory;
	uint8_t *before;
	unsigned int products;
	uint64_t point;
	int file;
	bool mounted;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void write_matrices(FIXTURE_DATA(userjobs) *self)
{
	uint8_t *shift = self->memory + 2 * MATRIX;

	srand(1);
	for (size_t i = 0; i < MATRIX; i++)
		self->memory[i] = (uint8_t)(rand() % 127 + 1);
	memset(self->memory + MATRIX, 0, MATRIX);
	memset(shift, 0, MATRIX);
	for (size_t k = 0; k < N; k++)
		shift[k * N + (k + 1) % N] = POSIT8_ONE;
	memcpy(self->before, self->memory, MATRIX);
}

static int submit(FIXTURE_DATA(userjobs) *self, unsigned int products)
{
	struct quire_packet_gemm *packets = self->card.stream.map;

	for (unsigned int i = 0; i < products; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, N, N, N, VA + i % 2 * MATRIX,
			    VA + 2 * MATRIX, VA + (i + 1) % 2 * MATRIX);
	return card_submit(&self->card, self->card.stream.va, (uint32_t)(products * sizeof(*packets)),
			   &self->point);
}

static bool running(FIXTURE_DATA(userjobs) *self)
{
	return card_wait(self->card.fd, self->card.syncobj, self->point, 0) == -ETIME;
}

static int end(FIXTURE_DATA(userjobs) *self, unsigned int seconds)
{
	int ret = card_wait(self->card.fd, self->card.syncobj, self->point, seconds * 1000 * MS);

	return ret ? ret : card_fence_error(self->card.fd, self->card.syncobj, self->point);
}

/* Elements that are not what they should be. */
static size_t count_wrong(FIXTURE_DATA(userjobs) *self)
{
	const uint8_t *last = self->memory + self->products % 2 * MATRIX;
	size_t wrong = 0;

	for (size_t i = 0; i < N; i++)
		for (size_t j = 0; j < N; j++)
			wrong += last[i * N + (j + self->products) % N] != self->before[i * N + j];
	return wrong;
}

static int bind_memory(FIXTURE_DATA(userjobs) *self, void *memory)
{
	struct drm_quire_userptr args = { .address = (uintptr_t)memory, .size = SIZE };
	double shortest = 1;
	int ret;

	if (memory == MAP_FAILED)
		return -errno;
	self->memory = memory;
	write_matrices(self);
	ret = card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	if (!ret)
		ret = card_bind(self->card.fd, self->card.vm, args.handle, VA, SIZE, 0);
	/* How many products take some seconds. */
	for (int i = 0; i < 3 && !ret; i++) {
		double start = now();

		ret = submit(self, 8);
		if (!ret)
			ret = end(self, 60);
		if (now() - start < shortest)
			shortest = now() - start;
	}
	self->products = (unsigned int)(8 * JOB_SECONDS / shortest) + 1;
	if (self->products > MOST_PRODUCTS)
		self->products = MOST_PRODUCTS;
	write_matrices(self);
	return ret;
}

static void *anonymous(void)
{
	return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A file of a file system that writes back; -ENODEV: the guest has none. */
static int map_file(FIXTURE_DATA(userjobs) *self, void **memory)
{
	mkdir(DIRECTORY, 0755);
	if (system("kit=$(sed 's/.*guest_kit=\\([^ ]*\\).*/\\1/' /proc/cmdline) &&"
		   "modprobe -d $kit brd rd_nr=1 rd_size=32768 && modprobe -d $kit ext4 &&"
		   "mkfs.ext4 -q /dev/ram0") || mount("/dev/ram0", DIRECTORY, "ext4", 0, NULL))
		return -ENODEV;
	self->mounted = true;
	self->file = open(DIRECTORY "/file", O_RDWR | O_CREAT, 0600);
	if (self->file < 0 || ftruncate(self->file, SIZE))
		return -errno;
	*memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0);
	return *memory == MAP_FAILED ? -errno : 0;
}

FIXTURE_SETUP(userjobs)
{
	self->file = -1;
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 600000));
	self->before = malloc(MATRIX);
	ASSERT_NE(NULL, self->before);
}

FIXTURE_TEARDOWN(userjobs)
{
	card_teardown(&self->card);
	if (self->memory)
		munmap(self->memory, SIZE);
	if (self->file >= 0)
		close(self->file);
	if (self->mounted)
		EXPECT_EQ(0, umount(DIRECTORY));
	free(self->before);
}

TEST_F_TIMEOUT(userjobs, go_on_while_their_memory_is_paged_out, 120)
{
	unsigned int count = 0;
	int swap = swap_on();

	if (swap == -ENOENT)
		SKIP(return, "this kernel has no swap space in memory");
	ASSERT_EQ(0, swap);
	ASSERT_EQ(0, bind_memory(self, anonymous()));
	ASSERT_EQ(0, submit(self, self->products));
	for (; running(self); count++) {
		ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_PAGEOUT));
		usleep(400000);
	}
	TH_LOG("%u products, paged out %u times", self->products, count);
	EXPECT_EQ(0, end(self, 60));
	EXPECT_EQ(0, count_wrong(self));
	EXPECT_LE(3, count);
	EXPECT_EQ(0, swap_off());
}

TEST_F_TIMEOUT(userjobs, go_on_while_their_process_forks_and_waits_for_none_of_them, 120)
{
	unsigned int count = 0;
	double longest = 0;

	ASSERT_EQ(0, bind_memory(self, anonymous()));
	ASSERT_EQ(0, submit(self, self->products));
	for (; running(self); count++) {
		double start = now(), took;
		pid_t child = fork();
		int status;

		if (!child)
			_exit(0);
		ASSERT_GT(child, 0);
		took = now() - start;
		longest = took > longest ? took : longest;
		ASSERT_EQ(child, waitpid(child, &status, 0));
		usleep(400000);
	}
	TH_LOG("%u products, %u forks, of %.3f s at the most", self->products, count, longest);
	EXPECT_EQ(0, end(self, 60));
	EXPECT_EQ(0, count_wrong(self));
	EXPECT_LE(3, count);
	EXPECT_GT(2, longest);
}

TEST_F_TIMEOUT(userjobs, go_on_while_the_kernel_moves_their_pages, 120)
{
	unsigned int count = 0;

	ASSERT_EQ(0, bind_memory(self, anonymous()));
	if (sysfs_write("/proc/sys/vm/compact_memory", "1"))
		SKIP(return, "this kernel compacts no memory");
	ASSERT_EQ(0, submit(self, self->products));
	for (; running(self); count++) {
		sysfs_write("/proc/sys/vm/compact_memory", "1");
		usleep(100000);
	}
	TH_LOG("%u products, compacted %u times", self->products, count);
	EXPECT_EQ(0, end(self, 60));
	EXPECT_EQ(0, count_wrong(self));
}

TEST_F_TIMEOUT(userjobs, go_on_while_their_file_is_written_back, 120)
{
	unsigned int count = 0;
	double longest = 0;
	void *memory;
	int ret = map_file(self, &memory);

	if (ret == -ENODEV)
		SKIP(return, "no disk with a file system");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, bind_memory(self, memory));
	ASSERT_EQ(0, submit(self, self->products));
	for (; running(self); count++) {
		double start = now(), took;

		ASSERT_EQ(0, fsync(self->file));
		took = now() - start;
		longest = took > longest ? took : longest;
		usleep(400000);
	}
	TH_LOG("%u products, %u times written back, in %.3f s at the most", self->products, count,
	       longest);
	EXPECT_EQ(0, end(self, 60));
	EXPECT_EQ(0, count_wrong(self));
	EXPECT_LE(3, count);
}

/* A page fault waits for a file system that is frozen, until it is not any more. */
static int freeze(unsigned int milliseconds)
{
	int directory = open(DIRECTORY, O_RDONLY), ret;

	ret = ioctl(directory, FIFREEZE, 0) ? -errno : 0;
	usleep(milliseconds * 1000);
	if (!ret && ioctl(directory, FITHAW, 0))
		ret = -errno;
	close(directory);
	return ret;
}

TEST_F_TIMEOUT(userjobs, go_on_when_memory_is_back_after_a_second, 120)
{
	void *memory;
	int ret = map_file(self, &memory);

	if (ret == -ENODEV)
		SKIP(return, "no disk with a file system");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, bind_memory(self, memory));
	ASSERT_EQ(0, submit(self, self->products));
	usleep(500000);
	ASSERT_EQ(0, freeze(1000));
	EXPECT_TRUE(running(self));
	EXPECT_EQ(0, end(self, 60));
	EXPECT_EQ(0, count_wrong(self));
}

/* What fences wait for may need memory: they do not wait for it for ever. */
TEST_F_TIMEOUT(userjobs, end_if_memory_does_not_come_back, 120)
{
	pid_t child;
	void *memory;
	double start;
	int status, ret = map_file(self, &memory);

	if (ret == -ENODEV)
		SKIP(return, "no disk with a file system");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, bind_memory(self, memory));
	ASSERT_EQ(0, submit(self, self->products));
	usleep(500000);
	start = now();
	child = fork();
	if (!child)
		_exit(freeze(20000) ? 1 : 0);
	ASSERT_GT(child, 0);
	EXPECT_EQ(-EFAULT, end(self, 15));
	TH_LOG("after %.3f s", now() - start);
	EXPECT_LT(3, now() - start);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

struct dropper {
	void *memory;
	_Atomic bool stop;
};

static void *drop_pages(void *argument)
{
	struct dropper *dropper = argument;

	while (!dropper->stop)
		madvise(dropper->memory, SIZE, MADV_DONTNEED);
	return NULL;
}

TEST_F_TIMEOUT(userjobs, end_if_memory_goes_all_the_time, 120)
{
	struct dropper dropper = { 0 };
	pthread_t thread;
	double start;
	int ret;

	ASSERT_EQ(0, bind_memory(self, anonymous()));
	dropper.memory = self->memory;
	ASSERT_EQ(0, submit(self, self->products));
	ASSERT_EQ(0, pthread_create(&thread, NULL, drop_pages, &dropper));
	start = now();
	ret = end(self, 40);
	TH_LOG("%d after %.3f s", ret, now() - start);
	EXPECT_TRUE(ret == 0 || ret == -EFAULT);
	dropper.stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_F_TIMEOUT(userjobs, end_at_once_if_their_process_unmaps_what_they_use, 120)
{
	double start;

	ASSERT_EQ(0, bind_memory(self, anonymous()));
	ASSERT_EQ(0, submit(self, self->products));
	usleep(500000);
	start = now();
	ASSERT_EQ(0, munmap(self->memory, SIZE));
	EXPECT_GT(2, now() - start);
	self->memory = NULL;
	EXPECT_EQ(-EFAULT, end(self, 2));
	TH_LOG("after %.3f s", now() - start);
}

TEST_F_TIMEOUT(userjobs, end_at_once_if_their_memory_may_not_be_written, 120)
{
	double start;

	ASSERT_EQ(0, bind_memory(self, anonymous()));
	ASSERT_EQ(0, submit(self, self->products));
	usleep(500000);
	start = now();
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ));
	memcpy(self->before, self->memory, MATRIX);
	EXPECT_EQ(-EFAULT, end(self, 2));
	EXPECT_EQ(0, memcmp(self->before, self->memory, MATRIX));
	TH_LOG("after %.3f s", now() - start);
}

TEST_HARNESS_MAIN
