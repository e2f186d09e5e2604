// SPDX-License-Identifier: MIT
/*
 * The card breaks in the middle of work, in every way it can be made to: what was on it
 * ends with the documented error, what was not goes on, and nobody reloads the module.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "card.h"
#include "kselftest_harness.h"
#include "monitor.h"

#define PCI_DEVICE "/sys/class/accel/accel0/device/"
#define LIMIT_MS 500
#define OTHER_PRODUCTS 40u
#define OUTCOME 100000u	/* in the stream's buffer */

FIXTURE(recovery) {
	struct card guilty;	/* its job is on the card when it breaks */
	struct card innocent;
	uint32_t resets;
	uint64_t point;		/* of the guilty job */
};

static struct drm_quire_device_info card_info(int fd)
{
	struct drm_quire_device_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_DEVICE, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args);
	return info;
}

static uint32_t resets(int fd)
{
	return card_info(fd).resets;
}

static uint32_t vram_lost(int fd)
{
	return card_info(fd).vram_lost;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

static int is_state(const char *expected)
{
	char state[16] = "";
	int fd = open(PCI_DEVICE "quire/state", O_RDONLY);

	if (fd >= 0 && read(fd, state, sizeof(state) - 1) < 0)
		perror("state");
	close(fd);
	return !strncmp(state, expected, strlen(expected));
}

/* A small job on the innocent queue: its result is looked at. */
static int works(struct card *card)
{
	static uint64_t pattern = 0x1000;
	struct quire_packet_fill fill;
	int ret;

	packet_fill(&fill, card->stream.va + PAGE, 64, ++pattern);
	ret = card_run(card, &fill, sizeof(fill));
	if (!ret && ((uint64_t *)card->stream.map)[PAGE / 8 + 7] != pattern)
		ret = -EILSEQ;
	return ret;
}

FIXTURE_SETUP(recovery)
{
	uint32_t bytes;

	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, card_setup_limit(&self->guilty, 0, LIMIT_MS));
	ASSERT_EQ(0, card_setup(&self->innocent, 0));
	ASSERT_EQ(0, card_long_stream(&self->guilty, &bytes));
	ASSERT_EQ(0, works(&self->innocent));
	self->resets = resets(self->innocent.fd);
}

FIXTURE_TEARDOWN(recovery)
{
	static const char *const all[] = { "engine-hang",	 "engine-deaf",	     "mcu-halt",
					   "crash-firmware",	 "drop-interrupts", "corrupt-firmware",
					   "dma-errors" };

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		monitor_inject(all[i], 0);
	card_teardown(&self->guilty);
	card_teardown(&self->innocent);
	monitor_close();
}

static int start_guilty(struct card *card, uint64_t *point)
{
	return card_submit(card, card->stream.va, QUIRE_STREAM_MAX_BYTES / 160 * 160, point);
}

/* Waits until the card has begun to work on a job of each. */
static void let_begin(void)
{
	usleep(100000);
}

TEST_F_TIMEOUT(recovery, engine_that_hangs_costs_only_the_job_on_it, 60)
{
	struct drm_quire_queue_query state;

	/* One of two engines: the other does everybody's work. */
	ASSERT_EQ(0, monitor_inject("engine-hang", 1));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	let_begin();
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, works(&self->innocent));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 10000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(QUIRE_STATUS_CANCELLED, state.fault_status);
	ASSERT_EQ(0, monitor_inject("engine-hang", 0));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(self->resets, resets(self->innocent.fd));
}

/* A job of a second queue that takes some seconds; its result is known from a run before. */
static int start_other(struct card *card, uint32_t flags, uint64_t *point)
{
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
				       card->syncobj, card->point + 1 };
	struct drm_quire_job job = { .stream_va = card->stream.va,
				     .stream_bytes = OTHER_PRODUCTS * sizeof(struct quire_packet_gemm),
				     .flags = flags,
				     .outcome_va = card->stream.va + OUTCOME,
				     .syncs = { sizeof(sync), 1, (uintptr_t)&sync } };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	int ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);

	if (!ret)
		*point = ++card->point;
	return ret;
}

static uint64_t digest_of(struct card *card)
{
	return ((struct quire_job_outcome *)((char *)card->stream.map + OUTCOME))->digest;
}

TEST_F_TIMEOUT(recovery, engine_that_ignores_the_cancel_costs_others_nothing, 60)
{
	struct drm_quire_queue_query state;
	uint64_t refused, other, digest;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	digest = digest_of(&self->innocent);
	ASSERT_NE(0, digest);
	/* One of two engines is deaf; what the other computes goes on after the reset. */
	ASSERT_EQ(0, monitor_inject("engine-deaf", 1));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	let_begin();
	memset((char *)self->innocent.stream.map + OUTCOME, 0, sizeof(struct quire_job_outcome));
	ASSERT_EQ(0, start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(-ECANCELED, card_submit(&self->guilty, 0, 0, &refused));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
	EXPECT_EQ(digest, digest_of(&self->innocent));
	ASSERT_EQ(0, card_queue_state(self->innocent.fd, self->innocent.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
	EXPECT_EQ(0, state.rerun);
	EXPECT_EQ(self->resets + 1, resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, queue_alone_on_a_processor_that_stands_still_is_guilty, 60)
{
	struct drm_quire_queue_query state;
	uint32_t queue;
	uint64_t behind;

	/* A queue with the default limit: the heartbeat is what tells. */
	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 0, &queue));
	self->guilty.queue = queue;
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	let_begin();
	ASSERT_EQ(0, monitor_inject("mcu-halt", 1));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	ASSERT_EQ(0, monitor_inject("mcu-halt", 0));
	EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	/* Another queue, made while the card boots: it runs as soon as it can. */
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 0, &self->guilty.queue));
	ASSERT_EQ(0, card_submit(&self->guilty, 0, 0, &behind));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, behind, 15000 * MS));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(self->resets + 1, resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, queue_alone_on_firmware_that_crashes_is_guilty, 60)
{
	struct drm_quire_queue_query state;
	uint64_t behind;

	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	let_begin();
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	EXPECT_EQ(-ECANCELED, card_submit(&self->guilty, 0, 0, &behind));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(QUIRE_STATUS_FIRMWARE, state.fault_status);
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(self->resets + 1, resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, jobs_that_can_be_begun_again_are_and_others_end_with_eio, 60)
{
	struct drm_quire_queue_query state;
	uint64_t other, digest, behind;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, start_other(&self->innocent, DRM_QUIRE_JOB_RESTARTABLE, &other));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	digest = digest_of(&self->innocent);
	memset((char *)self->innocent.stream.map + OUTCOME, 0, sizeof(struct quire_job_outcome));
	/* Two jobs are in progress: nobody knows whose fault it is. */
	ASSERT_EQ(0, start_other(&self->innocent, DRM_QUIRE_JOB_RESTARTABLE, &other));
	ASSERT_EQ(0, card_submit(&self->innocent, 0, 0, &behind));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	let_begin();
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_INNOCENT, state.reset);
	EXPECT_EQ(0, state.rerun);
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, behind, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
	EXPECT_EQ(digest, digest_of(&self->innocent));
	ASSERT_EQ(0, card_queue_state(self->innocent.fd, self->innocent.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_INNOCENT, state.reset);
	EXPECT_EQ(2, state.rerun);
	/* The queue lives; a second time within a minute it is taken for guilty. */
	ASSERT_EQ(0, card_run(&self->guilty, NULL, 0));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	let_begin();
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(self->resets + 2, resets(self->innocent.fd));
}

/* Neither needs the firmware, and a job on a card that stands still is what asks for a reset. */
TEST_F_TIMEOUT(recovery, queues_come_and_go_while_the_firmware_stands_still, 60)
{
	uint32_t queue[4];

	ASSERT_EQ(0, monitor_inject("mcu-halt", 1));
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue[i]));
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(0, card_queue_destroy(self->innocent.fd, queue[i]));
	self->innocent.queue = queue[3];
	ASSERT_EQ(0, card_submit(&self->innocent, 0, 0, &self->point));
	usleep(500000);
	ASSERT_EQ(0, monitor_inject("mcu-halt", 0));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, self->point));
	EXPECT_EQ(0, works(&self->innocent));
}

TEST_F_TIMEOUT(recovery, lost_interrupts_only_cost_time, 60)
{
	ASSERT_EQ(0, monitor_inject("drop-interrupts", 1));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(0, works(&self->innocent));
	/* A job that is not done when its doorbell returns needs the interrupt, or the watch. */
	ASSERT_EQ(0, monitor_inject("drop-interrupts", 100));
	for (int i = 0; i < 2; i++) {
		uint64_t point;

		ASSERT_EQ(0, card_submit(&self->guilty, self->guilty.stream.va,
					 2 * sizeof(struct quire_packet_gemm), &point));
		ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, point, 5000 * MS));
		EXPECT_EQ(0, card_fence_error(self->guilty.fd, self->guilty.syncobj, point));
	}
	EXPECT_EQ(self->resets, resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, refused_bus_accesses_are_errors_never_results, 60)
{
	for (unsigned int errors = 1; errors <= 5; errors++) {
		uint32_t queue;
		int ret;

		ASSERT_EQ(0, monitor_inject("dma-errors", errors));
		ret = works(&self->innocent);
		/* 0 is right if the result is; works() has looked. */
		EXPECT_TRUE(ret == 0 || ret == -EFAULT || ret == -EIO || ret == -ETIME ||
			    ret == -ECANCELED)
			TH_LOG("errors %u: %d", errors, ret);
		ASSERT_EQ(0, monitor_inject("dma-errors", 0));
		card_queue_destroy(self->innocent.fd, self->innocent.queue);
		ASSERT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 200, &queue));
		self->innocent.queue = queue;
		EXPECT_EQ(0, works(&self->innocent));
	}
}

TEST_F_TIMEOUT(recovery, reset_of_the_function_is_a_pause_for_jobs, 60)
{
	uint64_t other, digest;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	digest = digest_of(&self->innocent);
	memset((char *)self->innocent.stream.map + OUTCOME, 0, sizeof(struct quire_job_outcome));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, start_other(&self->innocent, 0, &other));
	let_begin();
	write_file(PCI_DEVICE "reset", "1");
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
	EXPECT_EQ(digest, digest_of(&self->innocent));
	/* Also what was over its limit before and after it, taken together. */
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	EXPECT_EQ(self->resets + 1, resets(self->innocent.fd));
}

/* The rungs above a reset of the card: so many boots fail, and nobody has to do anything. */
TEST_F_TIMEOUT(recovery, card_that_does_not_boot_is_reset_with_its_function_or_its_bus, 90)
{
	for (unsigned int boots = 1; boots <= 2; boots++) {
		uint32_t queue;

		ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 0, &queue));
		self->guilty.queue = queue;
		ASSERT_EQ(0, monitor_inject("corrupt-firmware", boots));
		ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
		let_begin();
		ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
		ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 30000 * MS));
		EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
		EXPECT_EQ(0, works(&self->innocent));
		EXPECT_TRUE(is_state("ready"));
		EXPECT_EQ(0, vram_lost(self->innocent.fd));
	}
}

TEST_F_TIMEOUT(recovery, card_whose_reset_fails_says_so_and_comes_back_with_the_function, 60)
{
	uint32_t queue;
	uint64_t point;

	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	/* The card's reset, the function's and the bus's. */
	ASSERT_EQ(0, monitor_inject("corrupt-firmware", 3));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0xffff));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	for (int i = 0; i < 500 && !is_state("wedged"); i++)
		usleep(20000);
	EXPECT_TRUE(is_state("wedged"));
	EXPECT_EQ(-EIO, card_submit(&self->innocent, 0, 0, &point));
	EXPECT_EQ(-EIO, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
	write_file(PCI_DEVICE "reset", "1");
	EXPECT_TRUE(is_state("ready"));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue));
}

TEST_HARNESS_MAIN
