// SPDX-License-Identifier: MIT
/*
 * The card goes away and comes back: it sleeps when nobody uses it, its function or its bus is
 * reset, an error of the bus hits it, the whole machine sleeps.  Jobs go on and card memory
 * keeps its content, or both are declared lost; what a program sees is never anything else.
 *
 * Linked statically: "sleep" runs in a guest without a file system of the host, which would not
 * survive that.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "monitor.h"

#define PCI_DEVICE "/sys/class/accel/accel0/device/"
#define BYTES (4u << 20)
#define N 1024u
/* Time for a job to be in the middle of, and the longest that one may take. */
#define JOB_MS 1500
#define JOB_LIMIT_MS 60000
/* From a submission to a sleeping card to the end of the job, and a multiple for loaded hosts. */
#define WAKE_MS 20
#define WAKE_MS_LOADED 200

static int file_says(const char *path, const char *expected)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		perror(path);
	close(fd);
	return !strncmp(text, expected, strlen(expected));
}

static int wait_for(const char *path, const char *expected)
{
	for (int tries = 0; tries < 1000; tries++) {
		if (file_says(path, expected))
			return 1;
		usleep(10000);
	}
	return 0;
}

static int falls_asleep(void)
{
	return wait_for(PCI_DEVICE "power/runtime_status", "suspended") &&
	       file_says(PCI_DEVICE "quire/state", "asleep");
}

static int is_awake(void)
{
	return file_says(PCI_DEVICE "power/runtime_status", "active");
}

/* What a program has: buffers it can see, and a job whose result it knows. */
struct work {
	struct card card;
	struct bo memory;	/* card memory with a pattern */
	struct bo operands;	/* A, B and D in card memory */
	uint8_t *expected;	/* D */
	uint32_t packets;	/* of the job */
	uint64_t point;		/* of the job, while it runs */
};

static void fill_pattern(uint32_t *words)
{
	for (uint32_t i = 0; i < BYTES / 4; i++)
		words[i] = i * 2654435761u;
}

static uint32_t wrong_words(const volatile uint32_t *words)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < BYTES / 4; i++)
		wrong += words[i] != i * 2654435761u;
	return wrong;
}

static int start_job(struct work *work, uint32_t packets)
{
	struct quire_packet_gemm *stream = work->card.stream.map;

	for (uint32_t i = 0; i < packets; i++)
		packet_gemm(&stream[i], QUIRE_FORMAT_POSIT8, N, N, N, work->operands.va,
			    work->operands.va + N * N, work->operands.va + 2 * N * N);
	memset((uint8_t *)work->operands.map + 2 * N * N, 0, N * N);
	return card_submit(&work->card, work->card.stream.va,
			   packets * (uint32_t)sizeof(*stream), &work->point);
}

static int end_job(struct work *work)
{
	int ret = card_wait(work->card.fd, work->card.syncobj, work->point, JOB_LIMIT_MS * MS);

	return ret ?: card_fence_error(work->card.fd, work->card.syncobj, work->point);
}

static int job_is_right(struct work *work)
{
	return !memcmp((uint8_t *)work->operands.map + 2 * N * N, work->expected, N * N);
}

static uint8_t operand(uint32_t i)
{
	return (uint8_t)((i * 2654435761u >> 24) & 0x7f);
}

static int work_setup(struct work *work)
{
	uint8_t *operands;
	double start;
	int ret = card_setup_limit(&work->card, 0, JOB_LIMIT_MS);

	if (!ret)
		ret = card_buffer(&work->card, BYTES, DRM_QUIRE_PLACEMENT_CARD, &work->memory);
	if (!ret)
		ret = card_buffer(&work->card, 3 * N * N, DRM_QUIRE_PLACEMENT_CARD,
				  &work->operands);
	if (ret)
		return ret;
	fill_pattern(work->memory.map);
	operands = work->operands.map;
	for (uint32_t i = 0; i < 2 * N * N; i++)
		operands[i] = operand(i);
	start = seconds_now();
	ret = start_job(work, 1) ?: end_job(work);
	work->packets = 2 + (uint32_t)(JOB_MS * 1e-3 / (seconds_now() - start));
	work->expected = malloc(N * N);
	memcpy(work->expected, operands + 2 * N * N, N * N);
	return ret;
}

static void work_teardown(struct work *work)
{
	free(work->expected);
	munmap(work->memory.map, work->memory.size);
	munmap(work->operands.map, work->operands.size);
	card_teardown(&work->card);
}

FIXTURE(power) {
	struct work work;
	struct drm_quire_device_info before;
};

FIXTURE_SETUP(power)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, work_setup(&self->work));
	self->before = card_info(self->work.card.fd);
}

FIXTURE_TEARDOWN(power)
{
	monitor_inject("forget-memory", 0);
	work_teardown(&self->work);
	monitor_close();
}

TEST_F_TIMEOUT(power, idle_card_sleeps_and_a_job_wakes_it, 60)
{
	double best = 1e9, start;
	uint64_t point;

	for (int round = 0; round < 3; round++) {
		ASSERT_TRUE(falls_asleep());
		start = seconds_now();
		ASSERT_EQ(0, card_submit(&self->work.card, 0, 0, &point));
		ASSERT_EQ(0, card_wait(self->work.card.fd, self->work.card.syncobj, point,
				       5000 * MS));
		if ((seconds_now() - start) * 1e3 < best)
			best = (seconds_now() - start) * 1e3;
		EXPECT_EQ(0, card_fence_error(self->work.card.fd, self->work.card.syncobj, point));
		EXPECT_TRUE(is_awake());
	}
	TH_LOG("first job of a sleeping card: %.1f ms, of %d", best, WAKE_MS);
	EXPECT_LT(best, WAKE_MS_LOADED);
	EXPECT_EQ(0, wrong_words(self->work.memory.map));
	EXPECT_EQ(self->before.resets, card_info(self->work.card.fd).resets);
}

TEST_F_TIMEOUT(power, card_memory_keeps_its_content_in_sleep_and_a_look_at_it_wakes, 60)
{
	ASSERT_TRUE(falls_asleep());
	/* The mapping of before. */
	EXPECT_EQ(0, wrong_words(self->work.memory.map));
	EXPECT_TRUE(is_awake());
	ASSERT_TRUE(falls_asleep());
	ASSERT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
	EXPECT_TRUE(job_is_right(&self->work));
	EXPECT_EQ(0, card_info(self->work.card.fd).vram_lost);
}

TEST_F_TIMEOUT(power, sysfs_does_not_wake_and_close_works_asleep, 60)
{
	struct work other;

	ASSERT_EQ(0, work_setup(&other));
	ASSERT_TRUE(falls_asleep());
	EXPECT_TRUE(file_says(PCI_DEVICE "quire/card_memory", "268435456"));
	EXPECT_FALSE(is_awake());
	work_teardown(&other);
	EXPECT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
	EXPECT_TRUE(job_is_right(&self->work));
}

/* Resets of the function and its bus, each with a job in the middle. */
static struct drm_quire_telemetry_info telemetry(int fd)
{
	struct drm_quire_telemetry_info info = {};
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_TELEMETRY,
					    .size = sizeof(info), .pointer = (uintptr_t)&info };

	if (card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args))
		memset(&info, 0, sizeof(info));
	return info;
}

/* The card's own registers begin at 0 each time. */
TEST_F_TIMEOUT(power, counters_go_on_over_sleep_and_resets, 60)
{
	struct drm_quire_telemetry_info before, after;

	ASSERT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
	before = telemetry(self->work.card.fd);
	ASSERT_GT(before.counters[QUIRE_COUNTER_JOBS], 0);
	for (int round = 0; round < 4; round++) {
		if (round % 2)
			ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
		else
			ASSERT_TRUE(falls_asleep());
		after = telemetry(self->work.card.fd);
		for (int i = 0; i < QUIRE_COUNTERS; i++)
			if (i != QUIRE_COUNTER_TEMPERATURE)
				EXPECT_LE(before.counters[i], after.counters[i])
					TH_LOG("round %d, counter %d", round, i);
		ASSERT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
		before = telemetry(self->work.card.fd);
		/* exactly this one, and not once more what was counted before */
		EXPECT_EQ(after.counters[QUIRE_COUNTER_MACS_POSIT8] + 1ull * N * N * N,
			  before.counters[QUIRE_COUNTER_MACS_POSIT8]);
	}
}

TEST_F_TIMEOUT(power, reset_of_a_card_that_works_costs_a_pause_only, 90)
{
	static const char *const methods[] = { "flr", "pm", "bus" };

	for (unsigned int i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		int ret;

		if (sysfs_write(PCI_DEVICE "reset_method", methods[i])) {
			TH_LOG("no reset method %s", methods[i]);
			continue;
		}
		ASSERT_EQ(0, monitor_inject("forget-memory", 1));
		ASSERT_EQ(0, start_job(&self->work, self->work.packets));
		usleep(200000);
		ret = sysfs_write(PCI_DEVICE "reset", "1");
		/* QEMU's port does not tell that its link is up again: reset it was. */
		EXPECT_TRUE(ret == 0 || (ret == -ENOTTY && !strcmp(methods[i], "bus")));
		EXPECT_TRUE(file_says(PCI_DEVICE "quire/state", "ready"));
		EXPECT_EQ(0, wrong_words(self->work.memory.map));
		EXPECT_EQ(0, end_job(&self->work)) TH_LOG("method %s", methods[i]);
		EXPECT_TRUE(job_is_right(&self->work));
		EXPECT_EQ(self->before.vram_lost, card_info(self->work.card.fd).vram_lost);
	}
	sysfs_write(PCI_DEVICE "reset_method", "default");
}

struct toucher {
	struct card *card;
	volatile uint64_t *map;
	atomic_int stop;
	atomic_int wrong;
};

/* Writes card memory and reads it again, and makes buffers there. */
static void *touch(void *data)
{
	struct toucher *toucher = data;

	for (uint64_t i = 1; !toucher->stop; i++) {
		uint32_t handle;

		toucher->map[i % 4096] = i;
		toucher->wrong += toucher->map[i % 4096] != i;
		if (i % 64)
			continue;
		if (card_bo_create(toucher->card->fd, 1 << 20, DRM_QUIRE_PLACEMENT_CARD, 0,
				   &handle)) {
			toucher->wrong++;
		} else {
			void *map;

			if (!card_bo_map(toucher->card->fd, handle, 1 << 20, &map)) {
				for (uint32_t at = 0; at < (1 << 20) / 8; at += 512)
					toucher->wrong += ((volatile uint64_t *)map)[at] != 0;
				munmap(map, 1 << 20);
			}
			card_close_handle(toucher->card->fd, handle);
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(power, nobody_touches_card_memory_while_the_function_is_reset, 60)
{
	struct toucher toucher = { .card = &self->work.card };
	pthread_t thread;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->work.card, BYTES, DRM_QUIRE_PLACEMENT_CARD, &bo));
	toucher.map = bo.map;
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch, &toucher));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, monitor_inject("forget-memory", 1));
		ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
		usleep(100000);
	}
	toucher.stop = 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, toucher.wrong);
	EXPECT_EQ(0, wrong_words(self->work.memory.map));
	EXPECT_EQ(self->before.vram_lost, card_info(self->work.card.fd).vram_lost);
}

static int inject_bus_error(const char *error)
{
	char json[160];

	snprintf(json, sizeof(json),
		 "{\"execute\":\"human-monitor-command\",\"arguments\":"
		 "{\"command-line\":\"pcie_aer_inject_error quire0 %s\"}}", error);
	return monitor_command(json);
}

/* An empty job that waits for the last point of another queue. */
static int submit_behind(struct card *card, const struct card *before)
{
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, before->syncobj, before->point },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, ++card->point },
	};
	struct drm_quire_job job = { .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

/* Its memory cannot be read any more: all is lost, and everybody is told. */
TEST_F_TIMEOUT(power, fatal_error_of_the_bus_loses_jobs_and_memory, 60)
{
	const volatile uint64_t *words = self->work.memory.map;
	struct drm_quire_device_info after;
	struct drm_quire_queue_query state;
	struct card waits[2] = { self->work.card, self->work.card };
	uint32_t left = 0;

	if (access(PCI_DEVICE "aer_dev_fatal", F_OK))
		SKIP(return, "the kernel has no AER");
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, card_queue_create(waits[i].fd, waits[i].vm, 0, &waits[i].queue));
		ASSERT_EQ(0, card_syncobj_create(waits[i].fd, &waits[i].syncobj));
		waits[i].point = 0;
	}
	ASSERT_EQ(0, start_job(&self->work, self->work.packets));
	/* Of queues that have nothing on the card: one waits for the job, one for that. */
	ASSERT_EQ(0, submit_behind(&waits[1], &self->work.card));
	ASSERT_EQ(0, submit_behind(&waits[0], &waits[1]));
	ASSERT_EQ(0, monitor_inject("forget-memory", 2));
	ASSERT_EQ(0, inject_bus_error("DLP"));
	EXPECT_EQ(-EIO, end_job(&self->work));
	/* Whoever sees it end finds both counted. */
	after = card_info(self->work.card.fd);
	EXPECT_EQ(self->before.vram_lost + 1, after.vram_lost);
	EXPECT_EQ(self->before.resets + 1, after.resets);
	for (int tries = 0; tries < 2000; tries++) {
		after = card_info(self->work.card.fd);
		if (after.vram_lost != self->before.vram_lost &&
		    file_says(PCI_DEVICE "quire/state", "ready"))
			break;
		usleep(10000);
	}
	EXPECT_EQ(self->before.vram_lost + 1, after.vram_lost);
	EXPECT_EQ(self->before.resets + 1, after.resets);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, card_wait(waits[i].fd, waits[i].syncobj, 1, 10000 * MS));
		EXPECT_EQ(-EIO, card_fence_error(waits[i].fd, waits[i].syncobj, 1));
		ASSERT_EQ(0, card_queue_state(waits[i].fd, waits[i].queue, &state));
		EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_INNOCENT, state.reset) TH_LOG("queue %d", i);
		EXPECT_EQ(state.submitted, state.completed);
	}
	/* Nobody's data. */
	for (uint32_t i = 0; i < BYTES / 8; i++)
		left += words[i] != 0;
	EXPECT_EQ(0, left);
	memset(self->work.operands.map, 0, 2 * N * N);
	EXPECT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
}

TEST_F_TIMEOUT(power, error_of_the_bus_that_is_not_fatal_costs_nothing, 60)
{
	ASSERT_EQ(0, start_job(&self->work, self->work.packets));
	ASSERT_EQ(0, inject_bus_error("COMP_TIME"));
	EXPECT_EQ(0, end_job(&self->work));
	EXPECT_TRUE(job_is_right(&self->work));
	EXPECT_EQ(0, wrong_words(self->work.memory.map));
	EXPECT_EQ(self->before.resets, card_info(self->work.card.fd).resets);
}

/*
 * Behind a port that tells its link is up again after a reset, as real ones do and QEMU's of
 * 16 GT/s
 * does not: the PCI core brings the card back itself.
 */
FIXTURE(errors) {
	struct work work;
	struct drm_quire_device_info before;
	int log;		/* of the kernel, from now on */
};

FIXTURE_SETUP(errors)
{
	if (access(PCI_DEVICE "aer_dev_fatal", F_OK))
		SKIP(return, "the kernel has no AER");
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, work_setup(&self->work));
	self->before = card_info(self->work.card.fd);
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_GE(self->log, 0);
	ASSERT_EQ(0, lseek(self->log, 0, SEEK_END));
}

FIXTURE_TEARDOWN(errors)
{
	close(self->log);
	monitor_inject("forget-memory", 0);
	work_teardown(&self->work);
	monitor_close();
}

/* One of two texts in what the kernel says from now on; 0 if it says neither within 20 s. */
static int kernel_says(int log, const char *first, const char *second)
{
	char line[1024];

	for (int tries = 0; tries < 2000; tries++) {
		ssize_t bytes = read(log, line, sizeof(line) - 1);

		if (bytes < 0) {
			usleep(10000);
			continue;
		}
		line[bytes] = '\0';
		if (strstr(line, first))
			return 1;
		if (strstr(line, second))
			return 2;
	}
	return 0;
}

TEST_F_TIMEOUT(errors, the_core_recovers_a_card_with_a_job_in_the_middle, 90)
{
	for (uint32_t round = 1; round <= 3; round++) {
		struct drm_quire_device_info after;

		ASSERT_EQ(0, start_job(&self->work, self->work.packets));
		usleep(200000);
		ASSERT_EQ(0, monitor_inject("forget-memory", 2));
		ASSERT_EQ(0, inject_bus_error("DLP"));
		EXPECT_EQ(-EIO, end_job(&self->work));
		/* The ladder would have come 5 s later. */
		EXPECT_EQ(1, kernel_says(self->log, "device recovery successful", "resetting the"));
		EXPECT_TRUE(file_says(PCI_DEVICE "quire/state", "ready"));
		after = card_info(self->work.card.fd);
		EXPECT_EQ(self->before.vram_lost + round, after.vram_lost);
		EXPECT_EQ(self->before.resets + round, after.resets);
		/* Nobody's data, and a card that counts right. */
		EXPECT_EQ(0, *(volatile uint64_t *)self->work.memory.map);
		for (uint32_t i = 0; i < 2 * N * N; i++)
			((uint8_t *)self->work.operands.map)[i] = operand(i);
		EXPECT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
		EXPECT_TRUE(job_is_right(&self->work));
	}
}

TEST_F_TIMEOUT(errors, the_core_recovers_a_card_that_sleeps, 60)
{
	ASSERT_TRUE(falls_asleep());
	ASSERT_EQ(0, inject_bus_error("DLP"));
	EXPECT_EQ(1, kernel_says(self->log, "device recovery successful", "resetting the"));
	EXPECT_TRUE(falls_asleep());
	EXPECT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
}

TEST_F_TIMEOUT(errors, driver_may_leave_the_card_in_the_middle_of_its_recovery, 60)
{
	char card[256];
	ssize_t length = readlink("/sys/class/accel/accel0/device", card, sizeof(card) - 1);
	char path[300];
	int ret;

	ASSERT_GT(length, 0);
	card[length] = '\0';
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", strrchr(card, '/') + 1);
	ASSERT_EQ(0, start_job(&self->work, self->work.packets));
	ASSERT_EQ(0, inject_bus_error("DLP"));
	ASSERT_EQ(0, sysfs_write("/sys/bus/pci/drivers/quire/unbind", strrchr(card, '/') + 1));
	ret = end_job(&self->work);
	EXPECT_TRUE(ret == -EIO || ret == -ENODEV) TH_LOG("%d", ret);
	EXPECT_EQ(-ENODEV, start_job(&self->work, 1));
	/* It fails if the driver had left before it began: there was nobody to ask. */
	EXPECT_EQ(1, kernel_says(self->log, "device recovery ", "resetting the"));
	/* Its node keeps its number if nobody has the old one open. */
	work_teardown(&self->work);
	/* Reset without a driver that would have given them back, it has no addresses. */
	ASSERT_EQ(0, sysfs_write(path, "1"));
	ASSERT_EQ(0, sysfs_write("/sys/bus/pci/rescan", "1"));
	for (int tries = 0; tries < 500 * test_patience() &&
	     access("/dev/accel/accel0", F_OK); tries++)
		usleep(10000);
	ASSERT_EQ(0, work_setup(&self->work));
}

FIXTURE(sleep) {
	struct work work;
	struct drm_quire_device_info before;
};

FIXTURE_SETUP(sleep)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, work_setup(&self->work));
	self->before = card_info(self->work.card.fd);
	/* Else the kernel waits five seconds between going to sleep and waking. */
	sysfs_write("/sys/module/suspend/parameters/pm_test_delay", "1");
}

FIXTURE_TEARDOWN(sleep)
{
	sysfs_write("/sys/power/pm_test", "none");
	work_teardown(&self->work);
	monitor_close();
}

static int machine_sleeps(const char *state)
{
	int ret = sysfs_write("/sys/power/state", state);

	return monitor_wake() ?: ret;
}

static void expect_nothing_happened(FIXTURE_DATA(sleep) *self)
{
	struct drm_quire_device_info after = card_info(self->work.card.fd);

	EXPECT_TRUE(file_says(PCI_DEVICE "quire/state", "ready"));
	EXPECT_EQ(0, end_job(&self->work));
	EXPECT_TRUE(job_is_right(&self->work));
	EXPECT_EQ(0, wrong_words(self->work.memory.map));
	EXPECT_EQ(self->before.vram_lost, after.vram_lost);
	EXPECT_EQ(self->before.resets, after.resets);
}

TEST_F_TIMEOUT(sleep, devices_suspend_and_resume_with_a_job_in_the_middle, 90)
{
	/* Idle, to memory, to disk: each takes other ways through the driver. */
	static const char *const states[] = { "freeze", "mem", "disk" };

	ASSERT_EQ(0, sysfs_write("/sys/power/pm_test", "devices"));
	for (unsigned int i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		ASSERT_EQ(0, start_job(&self->work, self->work.packets));
		usleep(200000);
		ASSERT_EQ(0, machine_sleeps(states[i])) TH_LOG("%s", states[i]);
		expect_nothing_happened(self);
	}
}

TEST_F_TIMEOUT(sleep, machine_sleeps_with_a_job_in_the_middle_and_the_card_forgets_all, 90)
{
	char alarm[16];

	/* An alarm before the machine sleeps wakes nobody. */
	snprintf(alarm, sizeof(alarm), "+%d", 3 * test_patience());
	ASSERT_EQ(0, monitor_inject("forget-memory", 100));
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, start_job(&self->work, self->work.packets));
		usleep(200000);
		sysfs_write("/sys/class/rtc/rtc0/wakealarm", "0");
		ASSERT_EQ(0, sysfs_write("/sys/class/rtc/rtc0/wakealarm", alarm));
		ASSERT_EQ(0, machine_sleeps("mem"));
		expect_nothing_happened(self);
	}
	ASSERT_EQ(0, monitor_inject("forget-memory", 0));
}

/* The card crashes, and does not boot at once, while the machine goes to sleep or is about to. */
TEST_F_TIMEOUT(sleep, machine_that_sleeps_while_a_reset_fails_keeps_card_memory, 120)
{
	ASSERT_EQ(0, sysfs_write("/sys/power/pm_test", "devices"));
	for (unsigned int i = 0; i < 6; i++) {
		int ret;

		ASSERT_EQ(0, start_job(&self->work, self->work.packets));
		usleep(100000);
		ASSERT_EQ(0, monitor_inject("corrupt-firmware", 1));
		ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
		usleep(i * 100000);
		ret = machine_sleeps("mem");
		EXPECT_TRUE(!ret || ret == -EBUSY) TH_LOG("round %u: %d", i, ret);
		end_job(&self->work);
		/* Whoever touches the memory waits for the card. */
		ASSERT_EQ(0, wrong_words(self->work.memory.map)) TH_LOG("round %u: %d", i, ret);
		/* The job was alone: it is guilty. */
		ASSERT_EQ(0, card_queue_create(self->work.card.fd, self->work.card.vm,
					       JOB_LIMIT_MS, &self->work.card.queue));
		ASSERT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
	}
}

TEST_F_TIMEOUT(sleep, sleeping_card_sleeps_through_it, 60)
{
	ASSERT_TRUE(falls_asleep());
	ASSERT_EQ(0, sysfs_write("/sys/power/pm_test", "devices"));
	ASSERT_EQ(0, machine_sleeps("mem"));
	ASSERT_EQ(0, start_job(&self->work, 1));
	expect_nothing_happened(self);
	ASSERT_TRUE(falls_asleep());
}

FIXTURE(hibernate) {
	struct work work;
	struct drm_quire_device_info before;
};

FIXTURE_SETUP(hibernate)
{
	ASSERT_EQ(0, work_setup(&self->work));
	self->before = card_info(self->work.card.fd);
}

FIXTURE_TEARDOWN(hibernate)
{
	work_teardown(&self->work);
}

/* The machine goes off: hibernate.sh starts another, whose card knows nothing. */
TEST_F_TIMEOUT(hibernate, job_goes_on_in_another_machine, 120)
{
	struct drm_quire_device_info after;

	ASSERT_EQ(0, sysfs_write("/sys/power/disk", "shutdown"));
	ASSERT_EQ(0, start_job(&self->work, 2 * self->work.packets));
	usleep(200000);
	ASSERT_EQ(0, machine_sleeps("disk"));
	after = card_info(self->work.card.fd);
	EXPECT_TRUE(file_says(PCI_DEVICE "quire/state", "ready"));
	EXPECT_EQ(0, end_job(&self->work));
	EXPECT_TRUE(job_is_right(&self->work));
	EXPECT_EQ(0, wrong_words(self->work.memory.map));
	EXPECT_EQ(self->before.vram_lost, after.vram_lost);
	EXPECT_EQ(self->before.resets, after.resets);
	/* And whatever comes next. */
	EXPECT_EQ(0, start_job(&self->work, 1) ?: end_job(&self->work));
	EXPECT_TRUE(job_is_right(&self->work));
}

TEST_HARNESS_MAIN
