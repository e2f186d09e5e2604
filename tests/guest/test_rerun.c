// SPDX-License-Identifier: MIT
/*
 * Jobs of the SDK that a crash of the firmware interrupts, and whose fault it is nobody knows: they
 * are run again and give the same, but for those that add to what they find.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <quire.h>

#include "card.h"
#include "harness.h"
#include "monitor.h"

#define N 1024u
#define PRODUCTS 24u

struct side {
	quire_context *context;
	quire_queue *queue;
	quire_cmdlist *list;
	quire_buffer *mark;
	struct quire_matrix a, b, d;
	struct quire_fence fence;
	volatile uint64_t *begun;
};

FIXTURE(rerun) {
	quire_device *device;
	struct side side[2];
};

static int make(quire_device *device, struct side *side)
{
	static float values[N * N];
	void *map;
	int error = quire_context_create(device, 0, &side->context);

	for (uint32_t i = 0; i < N * N; i++)
		values[i] = (float)((int)(i * 2654435761u >> 28) - 8) / 4.0f;
	if (!error)
		error = quire_queue_create(side->context, QUIRE_PRIORITY_NORMAL, 600000, &side->queue);
	if (!error)
		error = quire_matrix_alloc(side->context, QUIRE_FORMAT_POSIT8, N, N, &side->a);
	if (!error)
		error = quire_matrix_alloc(side->context, QUIRE_FORMAT_POSIT8, N, N, &side->b);
	if (!error)
		error = quire_matrix_alloc(side->context, QUIRE_FORMAT_POSIT8, N, N, &side->d);
	if (!error)
		error = quire_matrix_put_f32(&side->a, values, N);
	if (!error)
		error = quire_matrix_put_f32(&side->b, values, N);
	if (!error)
		error = quire_buffer_create(side->context, 4096, QUIRE_PLACEMENT_SYSTEM, &side->mark);
	if (!error)
		error = quire_buffer_map(side->mark, &map);
	if (!error)
		error = quire_cmdlist_create(side->context, 32768, &side->list);
	if (!error)
		side->begun = map;
	return error;
}

/* A list that tells when it has begun, and takes a while. */
static int record(struct side *side, int adds)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	int number;

	desc.a = &side->a;
	desc.b = &side->b;
	desc.d = &side->d;
	if (adds) {
		desc.beta = 1.0f;
		desc.c = &side->d;
	}
	quire_cmdlist_reset(side->list);
	number = quire_cmdlist_fill(side->list, side->mark, 0, 64, 0xbe617);
	for (uint32_t i = 0; i < PRODUCTS && number >= 0; i++)
		number = quire_cmdlist_gemm(side->list, &desc);
	return number < 0 ? number : 0;
}

static int start(struct side *side)
{
	*side->begun = 0;
	return quire_queue_submit(side->queue, &side->list, 1, NULL, 0, &side->fence);
}

static int begun(const struct side *side)
{
	for (int i = 0; i < 2000 * test_patience() && !*side->begun; i++)
		usleep(10000);
	return *side->begun ? 0 : -ETIME;
}

static uint64_t digest(const struct side *side)
{
	struct quire_job_outcome outcome = { 0 };

	return quire_cmdlist_outcome(side->list, &outcome) ? 0 : outcome.digest;
}

/* A driver that knows of no crash: it has several queues on the card at once. */
static int bind_anew(void)
{
	char path[256];
	ssize_t length = readlink("/sys/class/accel/accel0/device", path, sizeof(path) - 1);
	const char *address;
	int error;

	if (length < 0)
		return -errno;
	path[length] = '\0';
	address = strrchr(path, '/') + 1;
	error = sysfs_write("/sys/bus/pci/drivers/quire/unbind", address);
	return error ? error : sysfs_write("/sys/bus/pci/drivers/quire/bind", address);
}

FIXTURE_SETUP(rerun)
{
	ASSERT_EQ(0, bind_anew());
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, quire_open(NULL, &self->device));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, make(self->device, &self->side[i])) TH_LOG("%s", quire_last_error());
}

FIXTURE_TEARDOWN(rerun)
{
	monitor_inject("lose-resumes", 0);
	for (int i = 0; i < 2; i++)
		quire_context_unref(self->side[i].context);
	quire_device_unref(self->device);
	monitor_close();
}

TEST_F_TIMEOUT(rerun, products_that_a_crash_interrupts_give_the_same, 90)
{
	struct quire_queue_info info = { .size = sizeof(info) };
	uint64_t before[2];

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, record(&self->side[i], 0));
		ASSERT_EQ(0, start(&self->side[i]));
		ASSERT_EQ(0, quire_fence_wait(self->side[i].fence, QUIRE_FOREVER));
		before[i] = digest(&self->side[i]);
		ASSERT_NE(0, before[i]);
	}
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, start(&self->side[i]));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, begun(&self->side[i]));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, quire_fence_wait(self->side[i].fence, QUIRE_FOREVER));
		EXPECT_EQ(before[i], digest(&self->side[i]));
		ASSERT_EQ(0, quire_queue_get_info(self->side[i].queue, &info));
		EXPECT_EQ(QUIRE_QUEUE_RESET_INNOCENT, info.reset);
		EXPECT_EQ(1, info.rerun);
	}
}

TEST_F_TIMEOUT(rerun, products_that_add_to_what_they_find_are_not_run_twice, 90)
{
	struct quire_queue_info info = { .size = sizeof(info) };

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, record(&self->side[i], i));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, start(&self->side[i]));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, begun(&self->side[i]));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	EXPECT_EQ(0, quire_fence_wait(self->side[0].fence, QUIRE_FOREVER));
	EXPECT_EQ(-EIO, quire_fence_wait(self->side[1].fence, QUIRE_FOREVER));
	ASSERT_EQ(0, quire_queue_get_info(self->side[1].queue, &info));
	EXPECT_EQ(QUIRE_QUEUE_RESET_INNOCENT, info.reset);
	EXPECT_EQ(0, info.rerun);
}

/* Its digest after it has begun with zeros; @lost: the card goes on with it and nobody is told. */
static int sum_with_a_pause(struct side *side, int lost, uint64_t *sum)
{
	static float zeros[N * N];
	int error = quire_matrix_put_f32(&side->d, zeros, N);

	if (!error)
		error = start(side);
	if (!error)
		error = begun(side);
	if (!error && lost)
		error = monitor_inject("lose-resumes", 1);
	if (!error)
		error = sysfs_write("/sys/class/accel/accel0/device/reset", "1");
	if (!error)
		error = quire_fence_wait(side->fence, QUIRE_FOREVER);
	*sum = digest(side);
	return error;
}

/* What the card does while the driver waits for its answer is not done again. */
TEST_F_TIMEOUT(rerun, job_that_goes_on_without_an_answer_is_not_done_twice, 150)
{
	struct quire_queue_info info = { .size = sizeof(info) };
	uint64_t sum, again;
	int error;

	ASSERT_EQ(0, record(&self->side[0], 1));
	ASSERT_EQ(0, sum_with_a_pause(&self->side[0], 0, &sum));
	ASSERT_NE(0, sum);
	error = sum_with_a_pause(&self->side[0], 1, &again);
	/* The reset that follows waits 100 ms for the band on the engine, no longer. */
	ASSERT_TRUE(!error || error == -EIO) TH_LOG("error %d", error);
	if (!error)
		EXPECT_EQ(sum, again);
	ASSERT_EQ(0, quire_queue_get_info(self->side[0].queue, &info));
	EXPECT_EQ(0, info.rerun);
}

TEST_HARNESS_MAIN
