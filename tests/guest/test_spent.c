// SPDX-License-Identifier: MIT
/*
 * What the card has spent on jobs that do not end by themselves is shown, once: in QUEUE_QUERY, in
 * the file's usage and in fdinfo.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "breaking.h"
#include "harness.h"
#include "monitor.h"

#define LIMIT_MS 500
#define PRODUCTS 40u

FIXTURE(spent) {
	struct card card;
	struct card other;	/* its job is in progress, too, when the firmware crashes */
};

FIXTURE_SETUP(spent)
{
	uint32_t bytes;

	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 600000));
	ASSERT_EQ(0, card_setup_limit(&self->other, 0, 600000));
	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, card_long_stream(&self->other, &bytes));
}

FIXTURE_TEARDOWN(spent)
{
	monitor_inject("crash-firmware", 0);
	card_teardown(&self->card);
	card_teardown(&self->other);
	monitor_close();
}

static uint64_t queue_ns(struct card *card)
{
	struct drm_quire_queue_query state;

	return card_queue_state(card->fd, card->queue, &state) ? 0 : state.busy_ns;
}

static uint64_t usage_ns(int fd)
{
	struct drm_quire_usage_info usage = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_USAGE, .size = sizeof(usage),
					    .pointer = (uintptr_t)&usage };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? 0 : usage.busy_ns;
}

static uint64_t fdinfo_ns(int fd)
{
	char path[64], line[256];
	uint64_t ns = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "drm-engine-compute:", 19))
			ns = strtoull(line + 19, NULL, 10);
	if (file)
		fclose(file);
	return ns;
}

/* Until the queue has come so far; the job is one of minutes. */
static int reach(struct card *card, uint64_t ns)
{
	for (int i = 0; i < 2000 && queue_ns(card) < ns; i++)
		usleep(10000);
	return queue_ns(card) < ns ? -1 : 0;
}

TEST_F_TIMEOUT(spent, job_over_its_limit_counts, 90)
{
	uint64_t point;

	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, LIMIT_MS, &self->card.queue));
	ASSERT_EQ(0, breaking_start(&self->card, 0, 400, &point));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 60000 * MS));
	ASSERT_GT(0, card_fence_error(self->card.fd, self->card.syncobj, point));
	EXPECT_LE(LIMIT_MS * MS, queue_ns(&self->card));
	EXPECT_EQ(queue_ns(&self->card), usage_ns(self->card.fd));
	EXPECT_EQ(queue_ns(&self->card), fdinfo_ns(self->card.fd));
}

TEST_F_TIMEOUT(spent, job_in_progress_shows_and_counts_once_when_it_has_ended, 120)
{
	uint64_t point, before;

	ASSERT_EQ(0, breaking_start(&self->card, 0, 3 * PRODUCTS, &point));
	ASSERT_EQ(0, breaking_begun(&self->card));
	EXPECT_EQ(0, reach(&self->card, 1));
	EXPECT_EQ(-ETIME, card_wait(self->card.fd, self->card.syncobj, point, 0));
	before = queue_ns(&self->card);
	/* At rest while the function is reset; then it goes on. */
	ASSERT_EQ(0, sysfs_write("/sys/class/accel/accel0/device/reset", "1"));
	EXPECT_LE(before, queue_ns(&self->card));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 90000 * MS));
	ASSERT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, point));
	EXPECT_EQ(breaking_outcome(&self->card)->busy_ns, queue_ns(&self->card));
	EXPECT_EQ(breaking_outcome(&self->card)->busy_ns, usage_ns(self->card.fd));
}

/* Each is gone before the card has told anything of it while it ran. */
TEST_F_TIMEOUT(spent, jobs_whose_queues_are_destroyed_count, 120)
{
	uint64_t least = 0, point;

	for (int i = 0; i < 20; i++) {
		uint64_t before = usage_ns(self->card.fd);

		ASSERT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 600000,
					       &self->card.queue));
		ASSERT_EQ(0, breaking_start(&self->card, 0, 400, &point));
		ASSERT_EQ(0, breaking_begun(&self->card));
		usleep(10000);
		ASSERT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));
		ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 10000 * MS));
		EXPECT_LT(before, usage_ns(self->card.fd));
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &self->card.queue));
		least += 5 * MS;
	}
	EXPECT_LE(least, usage_ns(self->card.fd));
	EXPECT_EQ(usage_ns(self->card.fd), fdinfo_ns(self->card.fd));
}

/* Two are in progress: one may be begun again, and what both runs took counts. */
TEST_F_TIMEOUT(spent, jobs_that_a_crash_interrupts_count, 120)
{
	uint64_t again, lost, before, behind;

	ASSERT_EQ(0, breaking_start(&self->card, DRM_QUIRE_JOB_RESTARTABLE, PRODUCTS, &again));
	ASSERT_EQ(0, breaking_start(&self->other, 0, 400, &lost));
	ASSERT_EQ(0, reach(&self->card, 200 * MS));
	ASSERT_EQ(0, reach(&self->other, 200 * MS));
	before = queue_ns(&self->card);
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->other.fd, self->other.syncobj, lost, 60000 * MS));
	ASSERT_GT(0, card_fence_error(self->other.fd, self->other.syncobj, lost));
	EXPECT_LE(200 * MS, queue_ns(&self->other));
	EXPECT_EQ(queue_ns(&self->other), usage_ns(self->other.fd));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, again, 90000 * MS));
	ASSERT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, again));
	EXPECT_LE(breaking_outcome(&self->card)->busy_ns + before, queue_ns(&self->card));
	/* What came of the first run is not counted again with a later job. */
	before = queue_ns(&self->card);
	ASSERT_EQ(0, breaking_start(&self->card, 0, 1, &behind));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, behind, 60000 * MS));
	EXPECT_EQ(before + breaking_outcome(&self->card)->busy_ns, queue_ns(&self->card));
}

TEST_F_TIMEOUT(spent, job_that_is_guilty_of_a_crash_counts, 90)
{
	uint64_t point;

	ASSERT_EQ(0, breaking_start(&self->card, 0, 400, &point));
	ASSERT_EQ(0, breaking_begun(&self->card));
	usleep(300000);
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 60000 * MS));
	ASSERT_GT(0, card_fence_error(self->card.fd, self->card.syncobj, point));
	EXPECT_LE(100 * MS, queue_ns(&self->card));
	EXPECT_EQ(queue_ns(&self->card), usage_ns(self->card.fd));
}

TEST_HARNESS_MAIN
