// SPDX-License-Identifier: MIT
/*
 * How long changes of memory take, beside a null ioctl of the same guest.  The bounds are wide:
 * they find a change of order, not of percent, on a machine that does other things, too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "kselftest_harness.h"

#define MIB (1024ull * 1024)
#define VA 0x4000000000ull
#define ROUNDS 200

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static double median(double *times, unsigned int count)
{
	qsort(times, count, sizeof(*times), compare);
	return times[count / 2];
}

FIXTURE(rates) {
	int fd;
	uint32_t vm;
	double times[ROUNDS];
};

FIXTURE_SETUP(rates)
{
	self->fd = card_open_node(0);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, card_vm_create(self->fd, &self->vm));
}

FIXTURE_TEARDOWN(rates)
{
	close(self->fd);
}

static double bind_us(struct __test_metadata *_metadata, FIXTURE_DATA(rates) *self,
		      uint32_t placement, uint64_t size, unsigned int rounds)
{
	uint32_t handle;

	ASSERT_EQ(0, card_bo_create(self->fd, size, placement, 0, &handle));
	for (unsigned int i = 0; i < rounds; i++) {
		double start = now_us();

		ASSERT_EQ(0, card_bind(self->fd, self->vm, handle, VA, size, 0));
		ASSERT_EQ(0, card_unbind(self->fd, self->vm, VA, size));
		self->times[i] = now_us() - start;
	}
	card_close_handle(self->fd, handle);
	return median(self->times, rounds);
}

TEST_F_TIMEOUT(rates, map_and_unmap, 60)
{
	double null_us, us;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_DEVICE };
		double start = now_us();

		ASSERT_EQ(0, card_ioctl(self->fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query));
		self->times[i] = now_us() - start;
	}
	null_us = median(self->times, ROUNDS);
	TH_LOG("null ioctl %.1f us", null_us);
	us = bind_us(_metadata, self, DRM_QUIRE_PLACEMENT_SYSTEM, PAGE, ROUNDS);
	TH_LOG("map + unmap of 4 KiB: %.1f us", us);
	EXPECT_LT(us, 1000);
	us = bind_us(_metadata, self, DRM_QUIRE_PLACEMENT_CARD, 64 * MIB, ROUNDS);
	TH_LOG("map + unmap of 64 MiB of card memory: %.1f us", us);
	EXPECT_LT(us, 10000);
	us = bind_us(_metadata, self, DRM_QUIRE_PLACEMENT_SYSTEM, 64 * MIB, ROUNDS);
	TH_LOG("map + unmap of 64 MiB of system memory: %.1f us", us);
	EXPECT_LT(us, 10000);
}

TEST_F_TIMEOUT(rates, create_map_and_free, 60)
{
	static const uint32_t placements[] = { DRM_QUIRE_PLACEMENT_CARD, DRM_QUIRE_PLACEMENT_SYSTEM };

	for (unsigned int p = 0; p < 2; p++) {
		double us;

		for (unsigned int i = 0; i < ROUNDS; i++) {
			double start = now_us();
			uint32_t handle;

			ASSERT_EQ(0, card_bo_create(self->fd, MIB, placements[p], 0, &handle));
			ASSERT_EQ(0, card_bind(self->fd, self->vm, handle, VA, MIB, 0));
			ASSERT_EQ(0, card_unbind(self->fd, self->vm, VA, MIB));
			card_close_handle(self->fd, handle);
			self->times[i] = now_us() - start;
		}
		us = median(self->times, ROUNDS);
		TH_LOG("create + map + free of 1 MiB of %s memory: %.1f us", p ? "system" : "card", us);
		EXPECT_LT(us, 30000);
	}
}

/* Card memory is full; each new buffer pushes an old one out. */
TEST_F_TIMEOUT(rates, eviction, 120)
{
	struct drm_quire_memory_info memory;
	struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(memory),
					     .pointer = (uintptr_t)&memory };
	uint64_t size = 64 * MIB;
	uint32_t handle;
	double start, fresh, full;

	ASSERT_EQ(0, card_ioctl(self->fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query));
	for (uint64_t used = 0; used + size <= memory.card_total; used += size)
		ASSERT_EQ(0, card_bo_create(self->fd, size, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	/* The emulator's host has given all of card memory by now. */
	for (unsigned int i = 0; i < 3; i++) {
		card_close_handle(self->fd, handle);
		start = now_us();
		ASSERT_EQ(0, card_bo_create(self->fd, size, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
		self->times[i] = now_us() - start;
	}
	fresh = median(self->times, 3);
	for (unsigned int i = 0; i < 3; i++) {
		start = now_us();
		ASSERT_EQ(0, card_bo_create(self->fd, size, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
		self->times[i] = now_us() - start;
	}
	full = median(self->times, 3);
	TH_LOG("a buffer of 64 MiB: %.0f us, with an eviction %.0f us", fresh, full);
	EXPECT_LT(full, 10e6);
}

TEST_HARNESS_MAIN
