// SPDX-License-Identifier: MIT
/*
 * The card breaks in the middle of work, in every way it can be made to: what was on it
 * ends with the documented error, what was not goes on, and nobody reloads the module.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "breaking.h"
#include "harness.h"
#include "monitor.h"

#define PCI_DEVICE "/sys/class/accel/accel0/device/"

FIXTURE(recovery) {
	struct card guilty;	/* its job is on the card when it breaks */
	struct card innocent;
	uint32_t resets;
	uint64_t point;		/* of the guilty job */
};

FIXTURE_SETUP(recovery)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, breaking_setup(&self->guilty, &self->innocent));
	self->resets = breaking_resets(self->innocent.fd);
}

FIXTURE_TEARDOWN(recovery)
{
	breaking_teardown(&self->guilty, &self->innocent);
	monitor_close();
}

TEST_F_TIMEOUT(recovery, engine_that_hangs_costs_only_the_job_on_it, 60)
{
	struct drm_quire_queue_query state;
	pid_t healer;

	/* One of two engines: the other does everybody's work. */
	ASSERT_EQ(0, monitor_inject("engine-hang", 1));
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_let_begin(&self->guilty));
	healer = breaking_heal_after(&self->guilty, self->point, "engine-hang");
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, card_answers(&self->innocent));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 10000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(QUIRE_STATUS_CANCELLED, state.fault_status);
	ASSERT_EQ(0, breaking_healed(healer));
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_EQ(self->resets, breaking_resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, queue_alone_on_a_processor_that_stands_still_is_guilty, 60)
{
	struct drm_quire_queue_query state;
	uint32_t queue;
	uint64_t behind;

	/* A queue with the default limit: the heartbeat is what tells. */
	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 0, &queue));
	self->guilty.queue = queue;
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_begun(&self->guilty));
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
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_EQ(self->resets + 1, breaking_resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, queue_alone_on_firmware_that_crashes_is_guilty, 60)
{
	struct drm_quire_queue_query state;
	uint64_t behind;

	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_begun(&self->guilty));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	EXPECT_EQ(-ECANCELED, card_submit(&self->guilty, 0, 0, &behind));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(QUIRE_STATUS_FIRMWARE, state.fault_status);
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_EQ(self->resets + 1, breaking_resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, jobs_that_can_be_begun_again_are_and_others_end_with_eio, 60)
{
	struct drm_quire_queue_query state;
	uint64_t other, digest, behind, lost;
	struct card waiting;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, breaking_start_other(&self->innocent, DRM_QUIRE_JOB_RESTARTABLE, &other));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	digest = breaking_digest(&self->innocent);
	breaking_forget_digest(&self->innocent);
	/* However slow the machine: no job here comes to its limit. */
	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000,
				       &self->guilty.queue));
	/* Two jobs are in progress: nobody knows whose fault it is. */
	ASSERT_EQ(0, breaking_start_other(&self->innocent, DRM_QUIRE_JOB_RESTARTABLE, &other));
	ASSERT_EQ(0, card_submit(&self->innocent, 0, 0, &behind));
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	/* Behind it, more than a ring holds. */
	waiting = self->guilty;
	ASSERT_EQ(0, card_syncobj_create(waiting.fd, &waiting.syncobj));
	for (int i = 0; i < 200; i++)
		ASSERT_EQ(0, card_submit(&waiting, 0, 0, &lost));
	ASSERT_EQ(0, breaking_begun(&self->innocent));
	ASSERT_EQ(0, breaking_begun(&self->guilty));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_wait(waiting.fd, waiting.syncobj, lost, 20000 * MS));
	EXPECT_EQ(-EIO, card_fence_error(waiting.fd, waiting.syncobj, lost));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_INNOCENT, state.reset);
	EXPECT_EQ(0, state.rerun);
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, behind, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
	EXPECT_EQ(digest, breaking_digest(&self->innocent));
	ASSERT_EQ(0, card_queue_state(self->innocent.fd, self->innocent.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_INNOCENT, state.reset);
	EXPECT_EQ(2, state.rerun);
	/* The queue lives; alone with the card, as all are now, it is guilty the second time. */
	ASSERT_EQ(0, card_run(&self->guilty, NULL, 0));
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_begun(&self->guilty));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_EQ(self->resets + 2, breaking_resets(self->innocent.fd));
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
	EXPECT_EQ(0, card_answers(&self->innocent));
}

TEST_F_TIMEOUT(recovery, lost_interrupts_only_cost_time, 60)
{
	uint32_t bytes;

	ASSERT_EQ(0, monitor_inject("drop-interrupts", 1));
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_EQ(0, card_answers(&self->innocent));
	/*
	 * A job that is not done when its doorbell returns needs the interrupt, or the watch.  It is of
	 * the queue with the long limit: on a busy machine the engines take their time.
	 */
	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, monitor_inject("drop-interrupts", 100));
	for (int i = 0; i < 2; i++) {
		uint64_t point;

		ASSERT_EQ(0, card_submit(&self->innocent, self->innocent.stream.va,
					 2 * sizeof(struct quire_packet_gemm), &point));
		ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, point, 20000 * MS));
		EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, point));
	}
	EXPECT_EQ(self->resets, breaking_resets(self->innocent.fd));
}

/*
 * More jobs than a ring holds, which have often ended before anybody looks: those behind them wait
 * for the interrupt of the one that filled the ring.
 */
TEST_F_TIMEOUT(recovery, jobs_behind_a_full_ring_outlast_lost_interrupts, 120)
{
	struct card *card = &self->innocent;
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
				       card->syncobj, 0 };
	struct drm_quire_job jobs[256] = { 0 };

	ASSERT_EQ(0, monitor_inject("drop-interrupts", 10000000));
	for (unsigned int i = 0; i < 60; i++) {
		unsigned int count = 200 + i % 57;
		struct drm_quire_submit args = { .queue_id = card->queue,
						 .jobs = { sizeof(jobs[0]), count,
							   (uintptr_t)jobs } };

		sync.point = ++card->point;
		for (unsigned int j = 0; j < count; j++)
			jobs[j] = (struct drm_quire_job){ .stream_va = card->stream.va };
		jobs[count - 1].syncs.stride = sizeof(sync);
		jobs[count - 1].syncs.count = 1;
		jobs[count - 1].syncs.array = (uintptr_t)&sync;
		usleep(i * 37 % 500);
		ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
		ASSERT_EQ(0, card_wait(card->fd, card->syncobj, card->point, 20000 * MS));
	}
}

TEST_F_TIMEOUT(recovery, refused_bus_accesses_are_errors_never_results, 60)
{
	for (unsigned int errors = 1; errors <= 5; errors++) {
		uint32_t queue;
		int ret;

		ASSERT_EQ(0, monitor_inject("dma-errors", errors));
		ret = card_answers(&self->innocent);
		/* 0 is right if the result is; card_answers() has looked. */
		EXPECT_TRUE(ret == 0 || ret == -EFAULT || ret == -EIO || ret == -ETIME ||
			    ret == -ECANCELED)
			TH_LOG("errors %u: %d", errors, ret);
		ASSERT_EQ(0, monitor_inject("dma-errors", 0));
		card_queue_destroy(self->innocent.fd, self->innocent.queue);
		ASSERT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 200, &queue));
		self->innocent.queue = queue;
		EXPECT_EQ(0, card_answers(&self->innocent));
	}
}

/* Nobody has a job on the card: it is the making of a queue that meets the dead firmware. */
TEST_F_TIMEOUT(recovery, queues_can_be_made_after_the_firmware_stood_still, 90)
{
	struct card fresh;
	uint32_t queue;
	int ret;

	ASSERT_EQ(0, monitor_inject("mcu-halt", 1));
	for (int i = 0; i < 2; i++) {
		ret = card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue);
		EXPECT_TRUE(ret == 0 || ret == -EIO) TH_LOG("%d", ret);
	}
	ASSERT_EQ(0, monitor_inject("mcu-halt", 0));
	for (int i = 0; i < 100; i++) {
		ret = card_setup(&fresh, 0);
		if (!ret)
			ret = card_answers(&fresh);
		card_teardown(&fresh);
		if (!ret)
			break;
		usleep(100000);
	}
	EXPECT_EQ(0, ret);
	EXPECT_TRUE(card_is("ready"));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue));
}

/* A queue whose jobs crash the firmware costs others time, whatever number of times it does. */
TEST_F_TIMEOUT(recovery, second_crash_right_after_the_first_does_not_end_the_card, 90)
{
	struct quire_packet_fill fill;
	uint64_t point[4];

	packet_fill(&fill, self->innocent.stream.va + 8 * PAGE, 64, 0x1dea);
	memcpy(self->innocent.stream.map, &fill, sizeof(fill));
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 2));
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, card_submit(&self->innocent, self->innocent.stream.va, sizeof(fill),
					 &point[i]));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 40000 * MS));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, point[3], 40000 * MS));
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_TRUE(card_is("ready"));
	EXPECT_LE(self->resets + 1, breaking_resets(self->innocent.fd));
}

static int share_point(int from, uint32_t syncobj, int to, uint32_t *shared)
{
	struct drm_syncobj_handle out = { .handle = syncobj }, in = { 0 };
	int ret = card_ioctl(from, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &out);

	in.fd = out.fd;
	if (!ret)
		ret = card_ioctl(to, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &in);
	*shared = in.handle;
	return ret;
}

/* The job came to the card long after its call, when another card's job had ended. */
TEST_F_TIMEOUT(recovery, dead_firmware_is_noticed_by_a_job_that_waited_for_another_card, 200)
{
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, 0, 0 },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, self->innocent.syncobj, 1000 },
	};
	struct drm_quire_job job = { .stream_va = self->innocent.stream.va + 8 * PAGE,
				     .stream_bytes = sizeof(struct quire_packet_fill),
				     .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	struct drm_quire_submit args = { .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	struct card other;
	uint32_t bytes;
	uint64_t point;
	int error, ret;

	if (access("/dev/accel/accel1", F_OK))
		SKIP(return, "this machine has one card");
	ASSERT_EQ(0, card_setup_limit(&other, 1, 60000));
	ASSERT_EQ(0, card_long_stream(&other, &bytes));
	ASSERT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 300000, &args.queue_id));
	packet_fill((struct quire_packet_fill *)((char *)self->innocent.stream.map + 8 * PAGE),
		    self->innocent.stream.va + PAGE, 64, 1);
	ASSERT_EQ(0, card_submit(&other, other.stream.va, bytes, &point));
	syncs[0].point = point;
	ASSERT_EQ(0, share_point(other.fd, other.syncobj, self->innocent.fd, &syncs[0].handle));
	ASSERT_EQ(0, card_ioctl(self->innocent.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	/* By now nobody watches the first card any more. */
	usleep(2500000);
	ASSERT_EQ(0, monitor_inject("mcu-halt", 1));
	ASSERT_EQ(0, card_wait(other.fd, other.syncobj, syncs[0].point, 60000 * MS));
	ret = card_wait(self->innocent.fd, self->innocent.syncobj, 1000, 80000 * MS);
	ASSERT_EQ(0, monitor_inject("mcu-halt", 0));
	/* It never booted again, whatever was tried. */
	if (!card_is("ready"))
		EXPECT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	ASSERT_EQ(0, ret);
	error = card_fence_error(self->innocent.fd, self->innocent.syncobj, 1000);
	EXPECT_TRUE(error == 0 || error == -EIO) TH_LOG("%d", error);
	card_teardown(&other);
}

/* A job of a fifth of its limit is none over it because sixty other queues work, too. */
TEST_F_TIMEOUT(recovery, time_limit_counts_the_work_on_the_job_alone, 150)
{
	enum { OTHERS = 60 };
	struct card *card = &self->innocent;
	struct drm_quire_queue_query state;
	uint32_t bytes, packets = 4;
	uint64_t point, work_us = 0;

	ASSERT_EQ(0, card_long_stream(card, &bytes));
	/* How long is it alone? */
	for (; packets < 256 && work_us < 150000; packets *= 2) {
		struct timespec start, end;

		clock_gettime(CLOCK_MONOTONIC, &start);
		ASSERT_EQ(0, card_submit(card, card->stream.va,
					 packets * (uint32_t)sizeof(struct quire_packet_gemm),
					 &point));
		ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 30000 * MS));
		clock_gettime(CLOCK_MONOTONIC, &end);
		work_us = (uint64_t)((end.tv_sec - start.tv_sec) * 1000000 +
				     (end.tv_nsec - start.tv_nsec) / 1000);
	}
	packets /= 2;
	for (int i = 0; i < OTHERS; i++) {
		ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 600000, &card->queue));
		ASSERT_EQ(0, card_submit(card, card->stream.va, bytes, &point));
	}
	ASSERT_EQ(0, card_queue_create(card->fd, card->vm, (uint32_t)(work_us * 5 / 1000),
				       &card->queue));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &card->syncobj));
	ASSERT_EQ(0, card_submit(card, card->stream.va,
				 packets * (uint32_t)sizeof(struct quire_packet_gemm), &point));
	ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 120000 * MS));
	EXPECT_EQ(0, card_fence_error(card->fd, card->syncobj, point));
	ASSERT_EQ(0, card_queue_state(card->fd, card->queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
}

/* How many tell of the driver, and of these how many of a job over its limit, but not whose. */
static unsigned int kernel_lines(int log, unsigned int *nobodys)
{
	unsigned int lines = 0;
	char whose[64];
	char line[1024];

	snprintf(whose, sizeof(whose), "test_recovery[%d]: job 1 is over", getpid());
	*nobodys = 0;
	for (ssize_t got; (got = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE;) {
		line[got > 0 ? got : 0] = '\0';
		lines += strstr(line, "quire") != NULL;
		*nobodys += strstr(line, "over its limit") && !strstr(line, whose);
	}
	return lines;
}

/* Whoever may use the card may not fill the log with it. */
TEST_F_TIMEOUT(recovery, jobs_over_their_limit_do_not_flood_the_log, 90)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	struct card *card = &self->guilty;
	time_t start = time(NULL);
	unsigned int lines, nobodys;

	ASSERT_GE(log, 0);
	kernel_lines(log, &nobodys);
	for (int i = 0; i < 60; i++) {
		uint64_t point;

		card_queue_destroy(card->fd, card->queue);
		ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 10, &card->queue));
		ASSERT_EQ(0, breaking_start_guilty(card, &point));
		ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 20000 * MS));
	}
	lines = kernel_lines(log, &nobodys);
	EXPECT_LT(0, lines);
	EXPECT_EQ(0, nobodys);
	EXPECT_LE(lines, 12 * (1 + (unsigned int)(time(NULL) - start) / 5));
	close(log);
}

TEST_HARNESS_MAIN
