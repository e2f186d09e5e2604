// SPDX-License-Identifier: MIT
/*
 * The card breaks in the middle of work, in every way it can be made to: what was on it
 * ends with the documented error, what was not goes on, and nobody reloads the module.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "kselftest_harness.h"
#include "monitor.h"

#define PCI_DEVICE "/sys/class/accel/accel0/device/"
#define LIMIT_MS 500
#define OTHER_PRODUCTS 40u
#define LONG_PRODUCTS 400u
/* In the stream's buffer, behind the products. */
#define OUTCOME 100000u
#define BEGUN 100352u

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
	static const char *const all[] = { "engine-hang",      "engine-deaf",	  "engine-stuck",
					   "mcu-halt",	       "crash-firmware",  "drop-interrupts",
					   "corrupt-firmware", "dma-errors" };

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		monitor_inject(all[i], 0);
	card_teardown(&self->guilty);
	card_teardown(&self->innocent);
	monitor_close();
}

/* Packets at the stream's beginning, one band each: @count sums of @k products. */
static int card_long_sums(struct card *card, uint32_t k, uint32_t count)
{
	struct quire_packet_gemm *packets = card->stream.map;
	struct bo operands, output;
	int ret = card_buffer(card, k, DRM_QUIRE_PLACEMENT_SYSTEM, &operands);

	if (!ret)
		ret = card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &output);
	if (ret)
		return ret;
	memset(operands.map, 0x43, k);
	for (uint32_t i = 0; i < count; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, 1, 1, k, operands.va, operands.va,
			    output.va);
	return 0;
}

/* A stream of products behind a fill that tells that it has begun: where, and how long. */
static uint64_t marked_stream(struct card *card, uint32_t products, uint32_t *bytes)
{
	uint32_t first = sizeof(struct quire_packet_gemm) - sizeof(struct quire_packet_fill);

	memset((char *)card->stream.map + BEGUN, 0, 64);
	packet_fill((struct quire_packet_fill *)((char *)card->stream.map + first),
		    card->stream.va + BEGUN, 64, 0xbe617);
	*bytes = sizeof(struct quire_packet_fill) +
		 products * (uint32_t)sizeof(struct quire_packet_gemm);
	return card->stream.va + first;
}

static int start_guilty(struct card *card, uint64_t *point)
{
	uint32_t bytes;
	uint64_t va = marked_stream(card, LONG_PRODUCTS, &bytes);

	return card_submit(card, va, bytes, point);
}

/* Waits until the card has begun to work on the job, however busy the machine is. */
static int begun(struct card *card)
{
	volatile uint64_t *mark = (uint64_t *)((char *)card->stream.map + BEGUN);

	for (int i = 0; i < 2000 && !*mark; i++)
		usleep(10000);
	return *mark ? 0 : -ETIME;
}

/* The same for a job on an engine that hangs, which cannot tell. */
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

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/*
 * What a hung queue costs: the end of its job past its limit, and the longest time that jobs of
 * another had to wait.  The bounds are for machines that do something else, too.
 */
TEST_F_TIMEOUT(recovery, a_hung_queue_is_ended_soon_and_others_hardly_wait, 90)
{
	static const char *const hangs[] = { "engine-hang", "engine-deaf" };

	for (int i = 0; i < 2; i++) {
		double start, end, longest = 0, last;
		uint32_t queue;
		pid_t child;

		ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, LIMIT_MS, &queue));
		self->guilty.queue = queue;
		ASSERT_EQ(0, monitor_inject(hangs[i], 1));
		start = now();
		ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
		/* The engine is well when it has been reset: others' jobs come to it next. */
		child = fork();
		if (!child) {
			card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 30000 * MS);
			_exit(monitor_inject(hangs[i], 0) != 0);
		}
		last = now();
		do {
			EXPECT_EQ(0, works(&self->innocent));
			end = now();
			longest = end - last > longest ? end - last : longest;
			last = end;
		} while (end < start + 30 && card_wait(self->guilty.fd, self->guilty.syncobj,
						       self->point, 0));
		ASSERT_EQ(child, waitpid(child, NULL, 0));
		EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj,
						   self->point));
		TH_LOG("{\"recovery\": \"%s\", \"limit_ms\": %d, \"past_limit_ms\": %.0f, "
		       "\"innocent_stopped_ms\": %.0f}", hangs[i], LIMIT_MS,
		       (end - start) * 1e3 - LIMIT_MS, longest * 1e3);
		EXPECT_GT(4.0, end - start - LIMIT_MS * 1e-3);
		EXPECT_GT(1.0, longest);
	}
}

/* A job of a second queue that takes some seconds; its result is known from a run before. */
static int start_other(struct card *card, uint32_t flags, uint64_t *point)
{
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
				       card->syncobj, card->point + 1 };
	struct drm_quire_job job = { .flags = flags,
				     .outcome_va = card->stream.va + OUTCOME,
				     .syncs = { sizeof(sync), 1, (uintptr_t)&sync } };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	int ret;

	job.stream_va = marked_stream(card, OTHER_PRODUCTS, &job.stream_bytes);
	ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	if (!ret)
		*point = ++card->point;
	return ret;
}

static uint64_t digest_of(struct card *card)
{
	return ((struct quire_job_outcome *)((char *)card->stream.map + OUTCOME))->digest;
}

/* A page that the card can reach comes and goes: it has to drain that. */
static int bind_and_unbind(struct card *card)
{
	uint32_t handle;
	void *map;
	int ret = card_bo_create(card->fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);

	if (ret)
		return ret;
	ret = card_bo_map(card->fd, handle, PAGE, &map);
	if (!ret) {
		/* Without pages it would be mapped for the next job only. */
		*(volatile char *)map = 0;
		ret = card_bind(card->fd, card->vm, handle, 0x700000000ull, PAGE, 0);
		munmap(map, PAGE);
	}
	if (!ret)
		ret = card_unbind(card->fd, card->vm, 0x700000000ull, PAGE);
	card_close_handle(card->fd, handle);
	return ret;
}

/*
 * A job that may take ten minutes keeps an engine, and memory of its address space waits.  It says
 * that it may be begun again, which used to make it innocent of each reset there was.
 */
static void keep_memory(struct __test_metadata *_metadata, FIXTURE_DATA(recovery) *self,
			const char *hang, uint32_t expected)
{
	struct drm_quire_queue_query state;
	uint64_t kept;
	double start;

	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000,
				       &self->guilty.queue));
	ASSERT_EQ(0, monitor_inject(hang, 1));
	ASSERT_EQ(0, start_other(&self->guilty, DRM_QUIRE_JOB_RESTARTABLE, &kept));
	let_begin();
	start = now();
	while (card_wait(self->guilty.fd, self->guilty.syncobj, kept, 0) && now() < start + 75) {
		ASSERT_EQ(0, bind_and_unbind(&self->guilty));
		EXPECT_EQ(0, works(&self->innocent));
		usleep(200000);
	}
	TH_LOG("{\"recovery\": \"undrained %s\", \"seconds\": %.1f, \"resets\": %u}", hang,
	       now() - start, resets(self->innocent.fd) - self->resets);
	ASSERT_EQ(0, monitor_inject(hang, 0));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, kept, 0));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, kept));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(0, state.rerun);
	/* Others complained, too, and one answer was enough for all. */
	sleep(2);
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(self->resets + expected, resets(self->innocent.fd));
}

TEST_F_TIMEOUT(recovery, job_that_keeps_memory_from_being_given_back_is_ended, 150)
{
	keep_memory(_metadata, self, "engine-hang", 0);
}

TEST_F_TIMEOUT(recovery, memory_on_an_engine_that_is_deaf_costs_one_reset, 150)
{
	keep_memory(_metadata, self, "engine-deaf", 1);
}

TEST_F_TIMEOUT(recovery, engine_that_ignores_the_cancel_costs_others_nothing, 60)
{
	struct drm_quire_queue_query state;
	uint64_t refused, other, digest;
	uint32_t bytes;

	/* On a busy machine the job takes longer than the usual limit. */
	ASSERT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 600000,
				       &self->innocent.queue));
	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	ASSERT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
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

/*
 * Bands of the innocent take about as long as the driver waits for them: whether they end before
 * or after it has given up, what has begun is not begun again.
 */
TEST_F_TIMEOUT(recovery, queue_that_comes_to_rest_too_late_is_not_run_twice, 120)
{
	struct drm_quire_queue_query state;
	volatile uint64_t *mark;
	uint64_t other;
	uint32_t bytes;

	mark = (uint64_t *)((char *)self->innocent.stream.map + BEGUN);
	for (unsigned int i = 0; i < 8; i++) {
		uint64_t va;
		int error;

		ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, LIMIT_MS,
					       &self->guilty.queue));
		ASSERT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 600000,
					       &self->innocent.queue));
		ASSERT_EQ(0, card_long_sums(&self->innocent, 1u << 20, 31));
		va = marked_stream(&self->innocent, 30, &bytes);
		ASSERT_EQ(0, monitor_inject("engine-deaf", 1));
		ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
		usleep(100000 + i * 30000);
		ASSERT_EQ(0, card_submit(&self->innocent, va, bytes, &other));
		ASSERT_EQ(0, begun(&self->innocent));
		*mark = 0;
		ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point,
				       20000 * MS));
		ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
		ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other,
				       60000 * MS));
		error = card_fence_error(self->innocent.fd, self->innocent.syncobj, other);
		EXPECT_TRUE(!error || error == -EIO) TH_LOG("error %d", error);
		EXPECT_EQ(0, *mark) TH_LOG("begun twice, error %d", error);
		ASSERT_EQ(0, card_queue_state(self->innocent.fd, self->innocent.queue, &state));
		EXPECT_EQ(0, state.rerun);
		if (!error)
			EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_NONE, state.reset);
	}
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
	ASSERT_EQ(0, begun(&self->guilty));
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
	ASSERT_EQ(0, begun(&self->guilty));
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
	/* However slow the machine: no job here comes to its limit. */
	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000,
				       &self->guilty.queue));
	/* Two jobs are in progress: nobody knows whose fault it is. */
	ASSERT_EQ(0, start_other(&self->innocent, DRM_QUIRE_JOB_RESTARTABLE, &other));
	ASSERT_EQ(0, card_submit(&self->innocent, 0, 0, &behind));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, begun(&self->innocent));
	ASSERT_EQ(0, begun(&self->guilty));
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
	ASSERT_EQ(0, begun(&self->guilty));
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
	uint32_t bytes;

	ASSERT_EQ(0, monitor_inject("drop-interrupts", 1));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(0, works(&self->innocent));
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
	EXPECT_EQ(self->resets, resets(self->innocent.fd));
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
	ASSERT_EQ(0, begun(&self->innocent));
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
		ASSERT_EQ(0, begun(&self->guilty));
		ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
		ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 30000 * MS));
		EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
		EXPECT_EQ(0, works(&self->innocent));
		EXPECT_TRUE(is_state("ready"));
		EXPECT_EQ(0, vram_lost(self->innocent.fd));
	}
}

/* What udev would hear: the kernel's events of devices. */
static int uevents_open(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			    NETLINK_KOBJECT_UEVENT);

	if (events >= 0 && bind(events, (struct sockaddr *)&address, sizeof(address))) {
		close(events);
		events = -1;
	}
	return events;
}

/* Whether one of them, "change@..." and then strings, has all of these. */
static int uevent_has(int events, const char *const strings[], int count)
{
	char event[4096];
	ssize_t bytes;

	while ((bytes = recv(events, event, sizeof(event) - 1, 0)) > 0) {
		int found = 0;

		event[bytes] = '\0';
		for (const char *at = event; at < event + bytes; at += strlen(at) + 1)
			for (int i = 0; i < count; i++)
				found += !strcmp(at, strings[i]);
		if (found == count)
			return 1;
	}
	return 0;
}

TEST_F_TIMEOUT(recovery, card_whose_reset_fails_says_so_and_comes_back_with_the_function, 60)
{
	static const char *const wedged[] = { "ACTION=change", "SUBSYSTEM=accel",
					      "DEVNAME=accel/accel0", "WEDGED=rebind,bus-reset" };
	int events = uevents_open();
	uint32_t queue;
	uint64_t point;

	ASSERT_GE(events, 0);

	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	/* The card's reset, the function's and the bus's. */
	ASSERT_EQ(0, monitor_inject("corrupt-firmware", 3));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0xffff));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	for (int i = 0; i < 500 && !is_state("wedged"); i++)
		usleep(20000);
	EXPECT_TRUE(is_state("wedged"));
	EXPECT_TRUE(uevent_has(events, wedged, sizeof(wedged) / sizeof(wedged[0])));
	close(events);
	EXPECT_EQ(-EIO, card_submit(&self->innocent, 0, 0, &point));
	EXPECT_EQ(-EIO, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
	write_file(PCI_DEVICE "reset", "1");
	EXPECT_TRUE(is_state("ready"));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue));
}

/* A job that nothing but the reset of the function ends, and its queue goes in the middle of it. */
TEST_F_TIMEOUT(recovery, queue_closed_while_the_function_is_reset_stays_until_its_job_has_ended, 90)
{
	uint32_t queue;
	double start;
	pid_t child;

	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000, &queue));
	self->guilty.queue = queue;
	ASSERT_EQ(0, monitor_inject("engine-stuck", 3));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	let_begin();
	start = now();
	child = fork();
	if (!child) {
		write_file(PCI_DEVICE "reset", "1");
		_exit(0);
	}
	/* It is given two seconds to come to rest and two to stop, and then loses the bus. */
	usleep(2200000);
	ASSERT_EQ(0, card_queue_destroy(self->guilty.fd, queue));
	EXPECT_LT(3.9, now() - start);
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	ASSERT_EQ(0, monitor_inject("engine-stuck", 0));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_TRUE(is_state("ready"));
}

/* The rung between: the card does not stop, so it loses the bus, and its function is reset. */
TEST_F_TIMEOUT(recovery, card_that_does_not_stop_is_reset_with_its_function, 60)
{
	struct drm_quire_queue_query state;

	ASSERT_EQ(0, monitor_inject("engine-stuck", 1));
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 30000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	ASSERT_EQ(0, monitor_inject("engine-stuck", 0));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_TRUE(is_state("ready"));
	EXPECT_EQ(0, vram_lost(self->innocent.fd));
	EXPECT_LE(self->resets + 1, resets(self->innocent.fd));
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
			ret = works(&fresh);
		card_teardown(&fresh);
		if (!ret)
			break;
		usleep(100000);
	}
	EXPECT_EQ(0, ret);
	EXPECT_TRUE(is_state("ready"));
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
	ASSERT_EQ(0, start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 2));
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, card_submit(&self->innocent, self->innocent.stream.va, sizeof(fill),
					 &point[i]));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 40000 * MS));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, point[3], 40000 * MS));
	EXPECT_EQ(0, works(&self->innocent));
	EXPECT_TRUE(is_state("ready"));
	EXPECT_LE(self->resets + 1, resets(self->innocent.fd));
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
	if (!is_state("ready"))
		write_file(PCI_DEVICE "reset", "1");
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

static unsigned int kernel_lines(int log)
{
	unsigned int lines = 0;
	char line[1024];

	for (ssize_t got; (got = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE;) {
		line[got > 0 ? got : 0] = '\0';
		lines += strstr(line, "quire") != NULL;
	}
	return lines;
}

/* Whoever may use the card may not fill the log with it. */
TEST_F_TIMEOUT(recovery, jobs_over_their_limit_do_not_flood_the_log, 90)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	struct card *card = &self->guilty;
	time_t start = time(NULL);
	unsigned int lines;

	ASSERT_GE(log, 0);
	kernel_lines(log);
	for (int i = 0; i < 60; i++) {
		uint64_t point;

		card_queue_destroy(card->fd, card->queue);
		ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 10, &card->queue));
		ASSERT_EQ(0, start_guilty(card, &point));
		ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 20000 * MS));
	}
	lines = kernel_lines(log);
	EXPECT_LE(lines, 12 * (1 + (unsigned int)(time(NULL) - start) / 5));
	close(log);
}

TEST_HARNESS_MAIN
