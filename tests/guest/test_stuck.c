// SPDX-License-Identifier: MIT
/*
 * A card that nothing can stop: it ignores its own reset, and neither its function nor its bus can
 * be reset, for it stands on the root bus.  It has lost the bus, so whoever waits for it to let go
 * of his memory gets that back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "monitor.h"

#define PCI_DEVICE "/sys/class/accel/accel0/device/"
#define LIMIT_MS 500
#define VA 0x4000000000ull
#define K (1u << 20)

FIXTURE(stuck) {
	struct card card;
};

FIXTURE_SETUP(stuck)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, LIMIT_MS));
	ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset_method", "\n"));
}

FIXTURE_TEARDOWN(stuck)
{
	monitor_inject("engine-stuck", 0);
	sysfs_write(PCI_DEVICE "reset_method", "default");
	card_teardown(&self->card);
	monitor_close();
}

/* A job on an engine that is stuck reads this process's own memory. */
static int job_on_own_memory(struct card *card, uint64_t *point)
{
	void *memory = mmap(NULL, K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct drm_quire_userptr args = { .address = (uintptr_t)memory, .size = K };
	struct bo output;
	int ret;

	if (memory == MAP_FAILED)
		return -errno;
	memset(memory, 0x43, K);
	ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	if (!ret)
		ret = card_bind(card->fd, card->vm, args.handle, VA, K, 0);
	if (!ret)
		ret = card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &output);
	if (ret)
		return ret;
	packet_gemm(card->stream.map, QUIRE_FORMAT_POSIT8, 1, 1, K, VA, VA, output.va);
	return card_submit(card, card->stream.va, sizeof(struct quire_packet_gemm), point);
}

TEST_F_TIMEOUT(stuck, card_that_nothing_can_stop_gives_memory_back, 90)
{
	struct card other;
	uint64_t point;
	pid_t child, gone = 0;
	int status;

	ASSERT_EQ(0, monitor_inject("engine-stuck", 0xffff));
	child = fork();
	if (!child) {
		if (card_setup_limit(&other, 0, LIMIT_MS) || job_on_own_memory(&other, &point))
			_exit(1);
		card_wait(other.fd, other.syncobj, point, 60000 * MS);
		/* And goes with what it mapped: the kernel waits for the card here. */
		_exit(card_fence_error(other.fd, other.syncobj, point) < 0 ? 0 : 2);
	}
	for (int i = 0; i < 2500 * test_patience() && !gone; i++) {
		usleep(20000);
		gone = waitpid(child, &status, WNOHANG);
	}
	EXPECT_TRUE(card_is("wedged"));
	ASSERT_EQ(child, gone);
	EXPECT_EQ(0, status);
	/* Whoever finds a way to reset it has it back. */
	ASSERT_EQ(0, monitor_inject("engine-stuck", 0));
	ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset_method", "default"));
	ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	EXPECT_TRUE(card_is("ready"));
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &self->card.queue));
	packet_fill(self->card.stream.map, self->card.stream.va + PAGE, 64, 77);
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va,
				 sizeof(struct quire_packet_fill), &point));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, point));
}

TEST_HARNESS_MAIN
