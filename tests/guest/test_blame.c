// SPDX-License-Identifier: MIT
/*
 * Who crashes the firmware again and again, with a queue and a process that are new each time, is
 * guilty from the second time on; whose jobs are in progress all the while is not, and everybody
 * gets on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaking.h"
#include "harness.h"
#include "monitor.h"

#define PRODUCTS 300u
#define SHORT_PRODUCTS 8u
#define SUMS 4u
#define K (1u << 23)

FIXTURE(blame) {
	struct card card;
};

FIXTURE_SETUP(blame)
{
	uint32_t bytes;

	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 600000));
	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
}

FIXTURE_TEARDOWN(blame)
{
	monitor_inject("crash-firmware", 0);
	card_teardown(&self->card);
	monitor_close();
}

/* Runs in a process of its own: what its reset says, or a negative error. */
static int crash(void)
{
	struct quire_packet_gemm *packets;
	struct drm_quire_queue_query state;
	struct bo operands, output;
	struct card card;
	uint64_t point;
	int ret = card_setup_limit(&card, 0, 600000);

	if (!ret)
		ret = card_buffer(&card, K, DRM_QUIRE_PLACEMENT_SYSTEM, &operands);
	if (!ret)
		ret = card_buffer(&card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &output);
	if (ret)
		return ret;
	memset(operands.map, 0x43, K);
	packets = card.stream.map;
	/* Sums that are never cut: until one has ended nobody else can have the card. */
	for (uint32_t i = 0; i <= SUMS; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, 1, 1, K, operands.va, operands.va,
			    output.va);
	ret = breaking_start(&card, 0, SUMS, &point);
	if (!ret)
		ret = breaking_begun(&card);
	if (!ret)
		ret = monitor_inject("crash-firmware", 1);
	if (!ret)
		ret = card_wait(card.fd, card.syncobj, point, 60000 * MS);
	if (!ret && card_fence_error(card.fd, card.syncobj, point) != -EIO)
		ret = -EPROTO;
	if (!ret)
		ret = card_queue_state(card.fd, card.queue, &state);
	return ret ?: (int)state.reset;
}

/* Exit status of crash() in another process. */
static int crash_elsewhere(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(crash() & 0xff);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F_TIMEOUT(blame, who_crashes_with_new_queues_is_guilty_and_others_are_not, 240)
{
	struct drm_quire_queue_query state;
	struct card *card = &self->card;
	uint64_t point, digest;

	ASSERT_EQ(0, breaking_start(card, DRM_QUIRE_JOB_RESTARTABLE, PRODUCTS, &point));
	ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 120000 * MS));
	ASSERT_EQ(0, card_fence_error(card->fd, card->syncobj, point));
	digest = breaking_digest(card);
	breaking_forget_digest(card);
	ASSERT_EQ(0, breaking_start(card, DRM_QUIRE_JOB_RESTARTABLE, PRODUCTS, &point));
	ASSERT_EQ(0, breaking_begun(card));
	/* Nobody knows whose fault the first is. */
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_INNOCENT, crash_elsewhere());
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, crash_elsewhere());
	EXPECT_EQ(-ETIME, card_wait(card->fd, card->syncobj, point, 0));
	ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 120000 * MS));
	EXPECT_EQ(0, card_fence_error(card->fd, card->syncobj, point));
	EXPECT_EQ(digest, breaking_digest(card));
	ASSERT_EQ(0, card_queue_state(card->fd, card->queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_INNOCENT, state.reset);
	EXPECT_EQ(1, state.rerun);
}

static int queue_of(struct card *card, int32_t priority)
{
	struct drm_quire_queue_create args = { .vm_id = card->vm, .priority = priority,
					       .time_limit_ms = 600000 };
	int ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args);

	card->queue = args.queue_id;
	return ret;
}

static uint64_t busy_ns(struct card *card)
{
	struct drm_quire_queue_query state;

	return card_queue_state(card->fd, card->queue, &state) ? 0 : state.busy_ns;
}

/*
 * Long jobs of two, one of a low priority, and short ones that come and go.  There are two engines,
 * and the two long jobs have no more time than there is of one.
 */
TEST_F_TIMEOUT(blame, everybody_gets_on_while_queues_have_the_card_one_at_a_time, 240)
{
	struct card other, low, quick;
	uint64_t point, behind, slow, point_quick, busy;
	uint32_t bytes;
	double start;
	int reset;

	ASSERT_EQ(0, card_setup_limit(&other, 0, 600000));
	ASSERT_EQ(0, card_setup_limit(&low, 0, 600000));
	ASSERT_EQ(0, card_setup(&quick, 0));
	ASSERT_EQ(0, queue_of(&low, DRM_QUIRE_QUEUE_PRIORITY_LOW));
	ASSERT_EQ(0, card_long_stream(&other, &bytes));
	ASSERT_EQ(0, card_long_stream(&low, &bytes));
	ASSERT_EQ(0, breaking_start(&self->card, DRM_QUIRE_JOB_RESTARTABLE, 400, &point));
	ASSERT_EQ(0, breaking_begun(&self->card));
	/* Behind the other test it is known whose fault this is. */
	reset = crash_elsewhere();
	ASSERT_TRUE(reset == DRM_QUIRE_QUEUE_RESET_INNOCENT ||
		    reset == DRM_QUIRE_QUEUE_RESET_GUILTY) TH_LOG("%d", reset);
	ASSERT_EQ(0, breaking_start(&other, 0, 400, &behind));
	ASSERT_EQ(0, breaking_start(&low, 0, SHORT_PRODUCTS, &slow));
	start = seconds_now();
	busy = busy_ns(&self->card) + busy_ns(&other);
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, card_submit(&quick, 0, 0, &point_quick));
		ASSERT_EQ(0, card_wait(quick.fd, quick.syncobj, point_quick, 10000 * MS));
		ASSERT_EQ(0, card_fence_error(quick.fd, quick.syncobj, point_quick));
	}
	/* Those of normal priority want the card all the time. */
	ASSERT_EQ(0, card_wait(low.fd, low.syncobj, slow, 120000 * MS));
	EXPECT_EQ(0, card_fence_error(low.fd, low.syncobj, slow));
	EXPECT_EQ(-ETIME, card_wait(self->card.fd, self->card.syncobj, point, 0));
	EXPECT_EQ(-ETIME, card_wait(other.fd, other.syncobj, behind, 0));
	busy = busy_ns(&self->card) + busy_ns(&other) - busy;
	TH_LOG("%.3f s of two jobs in %.3f s", busy * 1e-9, seconds_now() - start);
	EXPECT_LT(busy * 1e-9, (seconds_now() - start) * 1.25);
	EXPECT_GT(busy * 1e-9, (seconds_now() - start) * 0.25);
	card_teardown(&other);
	card_teardown(&low);
	card_teardown(&quick);
}

TEST_HARNESS_MAIN
