// SPDX-License-Identifier: MIT
/* Two cards in one machine. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

FIXTURE(cards) {
	struct card card[2];
};

FIXTURE_SETUP(cards)
{
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, card_setup(&self->card[i], i));
}

FIXTURE_TEARDOWN(cards)
{
	for (unsigned int i = 0; i < 2; i++)
		card_teardown(&self->card[i]);
}

static int fill(struct card *card, uint64_t va, uint64_t pattern)
{
	struct quire_packet_fill packet;

	packet_fill(&packet, va, 64, pattern);
	return card_run(card, &packet, sizeof(packet));
}

TEST_F(cards, each_has_its_own_serial_number)
{
	struct drm_quire_device_info info[2];

	for (unsigned int i = 0; i < 2; i++) {
		struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_DEVICE,
						    .size = sizeof(info[i]),
						    .pointer = (uintptr_t)&info[i] };

		ASSERT_EQ(0, card_ioctl(self->card[i].fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args));
	}
	EXPECT_NE(info[0].serial, info[1].serial);
}

TEST_F(cards, both_work_at_the_same_time)
{
	uint32_t bytes;
	uint64_t point;

	ASSERT_EQ(0, card_long_stream(&self->card[0], &bytes));
	ASSERT_EQ(0, card_submit(&self->card[0], self->card[0].stream.va, bytes, &point));
	for (uint64_t i = 0; i < 100; i++) {
		ASSERT_EQ(0, fill(&self->card[1], self->card[1].stream.va + PAGE, i));
		ASSERT_EQ(i, ((uint64_t *)self->card[1].stream.map)[PAGE / 8]);
	}
	EXPECT_EQ(-ETIME, card_wait(self->card[0].fd, self->card[0].syncobj, point, 0));
}

TEST_F(cards, buffers_and_queues_of_one_are_unknown_to_the_other)
{
	struct drm_quire_bo_info info = { 0 };
	uint64_t point;
	uint32_t queue;
	struct bo bo;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, card_buffer(&self->card[0], PAGE, DRM_QUIRE_PLACEMENT_CARD, &bo));
		ASSERT_EQ(0, card_queue_create(self->card[0].fd, self->card[0].vm, 0, &queue));
	}
	info.handle = bo.handle;
	EXPECT_EQ(-ENOENT, card_ioctl(self->card[1].fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
	EXPECT_EQ(-EFAULT, fill(&self->card[1], bo.va, 1));
	self->card[1].queue = queue;
	EXPECT_EQ(-ENOENT, card_submit(&self->card[1], 0, 0, &point));
	EXPECT_EQ(0, ((uint64_t *)bo.map)[0]);
}

TEST_F(cards, a_fault_on_one_does_not_touch_the_other)
{
	EXPECT_EQ(-EFAULT, fill(&self->card[0], 0x5550000000ull, 1));
	EXPECT_EQ(0, fill(&self->card[1], self->card[1].stream.va + PAGE, 1));
}

TEST_F(cards, a_buffer_shared_between_them_is_one_memory)
{
	struct drm_prime_handle export = { .flags = DRM_CLOEXEC | DRM_RDWR }, import = { 0 };
	struct drm_quire_bo_info info = { 0 };
	uint64_t *map, va = 0x40000000;

	ASSERT_EQ(0, card_bo_create(self->card[0].fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0,
				    &export.handle));
	ASSERT_EQ(0, card_bo_map(self->card[0].fd, export.handle, PAGE, (void **)&map));
	ASSERT_EQ(0, card_bind(self->card[0].fd, self->card[0].vm, export.handle, va, PAGE, 0));
	ASSERT_EQ(0, fill(&self->card[0], va, 11));
	ASSERT_EQ(0, card_ioctl(self->card[0].fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &export));
	import.fd = export.fd;
	ASSERT_EQ(0, card_ioctl(self->card[1].fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import));
	ASSERT_EQ(0, card_bind(self->card[1].fd, self->card[1].vm, import.handle, va, PAGE, 0));
	EXPECT_EQ(11, map[1]);
	/* The other card writes, the first one sees it, and can still use its buffer. */
	ASSERT_EQ(0, fill(&self->card[1], va + 64, 22));
	EXPECT_EQ(22, map[8]);
	ASSERT_EQ(0, fill(&self->card[0], va + 128, 33));
	EXPECT_EQ(11, map[1]);
	EXPECT_EQ(22, map[9]);
	EXPECT_EQ(33, map[17]);
	info.handle = import.handle;
	ASSERT_EQ(0, card_ioctl(self->card[1].fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
	EXPECT_EQ(DRM_QUIRE_BO_INFO_IMPORTED, info.flags);
	munmap(map, PAGE);
	close(export.fd);
}

TEST_HARNESS_MAIN
