// SPDX-License-Identifier: MIT
/*
 * One of two cards goes while processes compute with more memory than the card and nearly the
 * machine have: buffers are being moved, submissions wait, pages of processes come and go.  All is
 * over soon,
 * nothing is left behind, and the other card has not noticed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define PULLED 0u
#define OTHER 1u
#define WORKERS 6
#define BUFFERS 4			/* of a worker */
#define BYTES (12u << 20)
#define OWN_BYTES (4u << 20)		/* memory of the process */
#define OVER_MS 2000.0			/* how long it may take on a machine that has time */
#define OVER_MS_LOADED 5000.0
#define OVER_MS_WATCHED 60000.0		/* a kernel with lockdep and KASAN */
#define LEFT_KB 24576l			/* less memory afterwards than this is noise */

/* What the processes tell. */
struct shared {
	volatile int stop;		/* those of the other card */
	volatile unsigned int rounds[2];
	volatile unsigned int wrong;
	volatile int strange;		/* an error that is not documented for this */
};

FIXTURE(pull) {
	struct shared *shared;
	char device[300];		/* of the card, in sysfs */
	pid_t worker[2][WORKERS];
	long available;			/* memory of the machine, before */
};

static long available_kb(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %ld", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb;
}

/* Memory of the process that the card writes too, and which is given back and taken again. */
static int own_memory(struct card *card, uint64_t *va, volatile uint64_t **map)
{
	struct drm_quire_userptr args = { .size = OWN_BYTES };
	int ret;

	*map = mmap(NULL, OWN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*map == MAP_FAILED)
		return -ENOMEM;
	args.address = (uintptr_t)*map;
	*va = 0x7000000000ull;
	ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	return ret ?: card_bind(card->fd, card->vm, args.handle, *va, OWN_BYTES, 0);
}

static int wrong_words(const volatile uint64_t *words, uint64_t bytes, uint64_t pattern)
{
	int wrong = 0;

	for (uint64_t i = 0; i < bytes / 8; i += 511)
		wrong += words[i] != pattern;
	return wrong;
}

static uint32_t times_lost(int fd)
{
	struct drm_quire_device_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_DEVICE, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args);
	return info.vram_lost;
}

/* Memory of a card that has gone shows anything: whether it has, the next job tells. */
static int has_lost(struct card *card, uint32_t lost)
{
	return card_run(card, NULL, 0) || times_lost(card->fd) != lost;
}

/* Fills all it has with one number after the other, until it gets an error. */
static int work(unsigned int index, struct shared *shared)
{
	struct quire_packet_fill fills[BUFFERS + 1];
	struct bo bo[BUFFERS];
	volatile uint64_t *own;
	struct card card;
	int ret = card_setup_limit(&card, index, 60000), count;
	uint32_t lost = ret ? 0 : times_lost(card.fd);
	uint64_t own_va;

	if (!ret)
		ret = own_memory(&card, &own_va, &own);
	for (count = 0; count < BUFFERS && !ret; count++) {
		ret = card_buffer(&card, BYTES, count % 4 ? DRM_QUIRE_PLACEMENT_CARD :
				  DRM_QUIRE_PLACEMENT_SYSTEM, &bo[count]);
		if (ret == -ENOMEM && count) {
			ret = 0;
			break;
		}
	}
	for (uint64_t round = (uint64_t)getpid() << 32; !ret && !shared->stop; round++) {
		for (int i = 0; i < count; i++)
			packet_fill(&fills[i], bo[i].va, BYTES, round);
		packet_fill(&fills[count], own_va, OWN_BYTES, round);
		ret = card_run(&card, fills, (size_t)(count + 1) * sizeof(fills[0]));
		if (ret)
			break;
		for (int i = 0; i < count; i++)
			if (wrong_words(bo[i].map, BYTES, round) && !has_lost(&card, lost))
				shared->wrong++;
		if (wrong_words(own, OWN_BYTES, round))
			shared->wrong++;
		madvise((void *)own, OWN_BYTES, MADV_DONTNEED);
		shared->rounds[index]++;
	}
	card_teardown(&card);
	return ret;
}

static void start_workers(FIXTURE_DATA(pull) *self, unsigned int index, int count)
{
	for (int i = 0; i < count; i++) {
		int ret;

		self->worker[index][i] = fork();
		if (self->worker[index][i])
			continue;
		do
			ret = work(index, self->shared);
		while (ret == -ENOMEM && !self->shared->stop);
		/* It may have been found broken before it was found gone. */
		if (ret && ((ret != -ENODEV && ret != -EIO) || index == OTHER))
			self->shared->strange = ret;
		_exit(0);
	}
}

FIXTURE_SETUP(pull)
{
	char link[256];
	ssize_t length = readlink("/sys/class/accel/accel0/device", link, sizeof(link) - 1);

	ASSERT_GT(length, 0);
	link[length] = '\0';
	snprintf(self->device, sizeof(self->device), "/sys/bus/pci/devices%s", strrchr(link, '/'));
	self->shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	self->available = available_kb();
	start_workers(self, PULLED, WORKERS);
	start_workers(self, OTHER, 1);
	for (int tries = 0; tries < 2000 * test_patience() &&
	     self->shared->rounds[PULLED] < 2 * WORKERS; tries++)
		usleep(10000);
	ASSERT_GE(self->shared->rounds[PULLED], 2 * WORKERS);
}

FIXTURE_TEARDOWN(pull)
{
	munmap(self->shared, PAGE);
}

static void expect_all_is_over(FIXTURE_DATA(pull) *self)
{
	double over = access("/proc/lockdep_stats", F_OK) ? OVER_MS_LOADED : OVER_MS_WATCHED;
	double start = seconds_now() * 1e3, removed;
	unsigned int rounds;
	char path[320];
	long left;

	snprintf(path, sizeof(path), "%s/remove", self->device);
	ASSERT_EQ(0, sysfs_write(path, "1"));
	removed = seconds_now() * 1e3;
	for (int i = 0; i < WORKERS; i++)
		EXPECT_EQ(self->worker[PULLED][i], waitpid(self->worker[PULLED][i], NULL, 0));
	TH_LOG("%u rounds; the card was gone after %.0f ms, all that used it after %.0f",
	       self->shared->rounds[PULLED], removed - start, seconds_now() * 1e3 - start);
	EXPECT_LT(seconds_now() * 1e3 - start, over) TH_LOG("asked: %.0f ms", OVER_MS);
	/* The other one. */
	rounds = self->shared->rounds[OTHER];
	for (int tries = 0; tries < 1000 * test_patience() &&
	     self->shared->rounds[OTHER] < rounds + 2; tries++)
		usleep(10000);
	EXPECT_GE(self->shared->rounds[OTHER], rounds + 2);
	self->shared->stop = 1;
	waitpid(self->worker[OTHER][0], NULL, 0);
	EXPECT_EQ(0, self->shared->wrong);
	EXPECT_EQ(0, self->shared->strange);
	/* Nothing is left: tidying up goes on for a moment. */
	for (int tries = 0; tries < 300; tries++) {
		left = self->available - available_kb();
		if (left < LEFT_KB)
			break;
		usleep(10000);
	}
	EXPECT_LT(left, LEFT_KB);
	ASSERT_EQ(0, sysfs_write("/sys/bus/pci/rescan", "1"));
	for (int tries = 0; tries < 1000 * test_patience() &&
	     access("/dev/accel/accel0", F_OK); tries++)
		usleep(10000);
	self->shared->stop = 0;
	self->shared->rounds[PULLED] = 0;
	start_workers(self, PULLED, 1);
	for (int tries = 0; tries < 1000 * test_patience() &&
	     !self->shared->rounds[PULLED]; tries++)
		usleep(10000);
	EXPECT_GE(self->shared->rounds[PULLED], 1);
	self->shared->stop = 1;
	waitpid(self->worker[PULLED][0], NULL, 0);
	EXPECT_EQ(0, self->shared->wrong);
	EXPECT_EQ(0, self->shared->strange);
}

TEST_F_TIMEOUT(pull, card_is_let_go_under_pressure, 90)
{
	expect_all_is_over(self);
}

/* Its registers read as ones from one moment to the next, and nothing it writes arrives. */
static int take_away(const char *device)
{
	char path[320];
	int file, ret;

	snprintf(path, sizeof(path), "%s/config", device);
	file = open(path, O_WRONLY);
	ret = pwrite(file, "\0\0", 2, 4) == 2; /* no memory, no bus */
	close(file);
	return ret;
}

TEST_F_TIMEOUT(pull, card_has_gone_before_anybody_knows, 90)
{
	ASSERT_TRUE(take_away(self->device));
	usleep(100000);
	expect_all_is_over(self);
}

/* The ladder has begun to bring it back, under the same pressure. */
TEST_F_TIMEOUT(pull, card_has_gone_long_before_anybody_says_so, 90)
{
	ASSERT_TRUE(take_away(self->device));
	sleep(3);
	expect_all_is_over(self);
}

TEST_HARNESS_MAIN
