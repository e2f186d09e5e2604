// SPDX-License-Identifier: MIT
/*
 * Jobs at the moments when a ring changes hands, or is taken from a queue that has failed: each
 * ends, soon, and costs others nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "monitor.h"

#define RINGS 63u	/* that are lent */
#define LIMIT_MS 600000u

FIXTURE(handover) {
	struct card card;
};

FIXTURE_SETUP(handover)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, LIMIT_MS));
}

FIXTURE_TEARDOWN(handover)
{
	monitor_inject("mcu-halt", 0);
	monitor_inject("engine-hang", 0);
	card_teardown(&self->card);
	monitor_close();
}

/* Another queue of the same file, with a timeline of its own. */
static int add_queue(const struct card *card, struct card *other)
{
	*other = *card;
	other->point = 0;
	return card_queue_create(card->fd, card->vm, LIMIT_MS, &other->queue) ?:
	       card_syncobj_create(card->fd, &other->syncobj);
}

static int ends(const struct card *card, uint64_t point)
{
	return card_wait(card->fd, card->syncobj, point, 30000 * MS);
}

/*
 * The kernel's workers that sleep for a lock get it before any other thread.  The rest of what
 * sleeps so has nothing to do with it.
 */
static void let_sleepers_go_first(void)
{
	struct sched_param param = { .sched_priority = 60 };

	for (pid_t pid = 2; pid < 5000; pid++) {
		char path[32], line[256] = "";
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, line, sizeof(line) - 1) > 0 && strstr(line, "(kworker/") &&
		    strstr(line, ") D "))
			sched_setscheduler(pid, SCHED_FIFO, &param);
		close(fd);
	}
}

/*
 * Somebody's submission takes an idle ring back, and the firmware does not answer; its owner has
 * a job meanwhile.
 */
TEST_F_TIMEOUT(handover, job_for_a_ring_that_cannot_be_taken_back_ends, 90)
{
	static struct card idle[RINGS];
	struct card other;
	pid_t child, ended = 0;
	uint64_t point;
	int error, status;

	for (unsigned int i = 0; i < RINGS; i++) {
		ASSERT_EQ(0, add_queue(&self->card, &idle[i]));
		ASSERT_EQ(0, card_run(&idle[i], NULL, 0));
	}
	/* In another address space: submissions to one wait for each other. */
	ASSERT_EQ(0, card_setup(&other, 0));
	ASSERT_EQ(0, monitor_inject("mcu-halt", 1));
	child = fork();
	if (!child)
		_exit(-card_submit(&other, 0, 0, &point));
	/* It is given two seconds. */
	usleep(700000);
	ASSERT_EQ(0, card_submit(&idle[0], 0, 0, &point));
	usleep(100000);
	let_sleepers_go_first();
	/* A slow machine may let it wait for the reset, which needs the firmware within 10 s. */
	for (int i = 0; i < 600 && !(ended = waitpid(child, &status, WNOHANG)); i++)
		usleep(10000);
	ASSERT_EQ(0, monitor_inject("mcu-halt", 0));
	if (!ended)
		ended = waitpid(child, &status, 0);
	ASSERT_EQ(child, ended);
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, ends(&other, 1));
	ASSERT_EQ(0, ends(&idle[0], point));
	error = card_fence_error(self->card.fd, idle[0].syncobj, point);
	EXPECT_TRUE(error == 0 || error == -EIO) TH_LOG("%d", error);
	EXPECT_EQ(0, card_run(&self->card, NULL, 0));
	card_teardown(&other);
}

/*
 * The doorbell that lets a parked queue go on does its short jobs, and they do not interrupt.  If
 * the machine is busy, the queue may have been parked before the long job had begun: once more.
 */
TEST_F_TIMEOUT(handover, job_behind_one_that_was_parked_is_noticed_at_once, 120)
{
	const uint32_t k = 1u << 21;
	bool was_between = false;
	uint64_t sum, behind;
	struct bo operands;

	ASSERT_EQ(0, card_buffer(&self->card, k, DRM_QUIRE_PLACEMENT_SYSTEM, &operands));
	memset(operands.map, 0x43, k);
	/* One band: when the queue comes to rest it is between jobs. */
	packet_gemm(self->card.stream.map, QUIRE_FORMAT_POSIT8, 1, 1, k, operands.va, operands.va,
		    self->card.stream.va + PAGE);
	for (int i = 0; i < 10 && !was_between; i++) {
		ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va,
					 sizeof(struct quire_packet_gemm), &sum));
		ASSERT_EQ(0, card_submit(&self->card, 0, 0, &behind));
		ASSERT_EQ(0, sysfs_write("/sys/class/accel/accel0/device/reset", "1"));
		/* The card is back: the first has ended before, or takes a while. */
		was_between = !card_wait(self->card.fd, self->card.syncobj, sum, 0);
		if (was_between)
			EXPECT_EQ(0, card_wait(self->card.fd, self->card.syncobj, behind, 0));
		ASSERT_EQ(0, ends(&self->card, behind));
		EXPECT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, behind));
	}
	EXPECT_TRUE(was_between);
}

/* What a thread that wants to run each millisecond sees of its processor. */
struct watcher {
	pthread_t thread;
	int processor;
	volatile int *stop;
	volatile int64_t longest_ns;	/* that it could not run */
};

static int64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static void *watch(void *arg)
{
	/* Before the workers that let_sleepers_go_first() has found. */
	struct sched_param param = { .sched_priority = 90 };
	struct timespec millisecond = { 0, 1000000 };
	struct watcher *watcher = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(watcher->processor, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, SCHED_FIFO, &param))
		watcher->longest_ns = INT64_MAX;
	while (!*watcher->stop) {
		int64_t start = now_ns(), took;

		nanosleep(&millisecond, NULL);
		took = now_ns() - start;
		if (took > watcher->longest_ns)
			watcher->longest_ns = took;
	}
	return NULL;
}

/* @jobs jobs without a stream behind each other, each waiting so many times for a point. */
static int submit_waiting(struct card *card, const struct card *holder, uint64_t point,
			  unsigned int jobs, unsigned int waits)
{
	struct drm_quire_sync syncs[64];
	struct drm_quire_job array[16];
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(array[0]), 16, (uintptr_t)array } };
	int ret = 0;

	for (unsigned int i = 0; i < waits; i++)
		syncs[i] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
						    holder->syncobj, point };
	for (unsigned int i = 0; i < 16; i++)
		array[i] = (struct drm_quire_job){ .syncs = { sizeof(syncs[0]), waits,
							      (uintptr_t)syncs } };
	for (unsigned int i = 0; i < jobs && !ret; i += 16)
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	return ret;
}

/* A queue may have 32768 jobs, and any of them may fail. */
TEST_F_TIMEOUT(handover, jobs_behind_a_failed_one_do_not_stop_a_processor, 150)
{
	enum { JOBS = 32000, WAITS = 64 };
	struct watcher watchers[16] = { 0 };
	struct drm_quire_queue_query state;
	struct card failing, holder, behind;
	uint64_t failed, held, last;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	volatile int stop = 0;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, add_queue(&self->card, &failing));
	ASSERT_EQ(0, add_queue(&self->card, &holder));
	/* The last packet of the job that fails is none. */
	((struct quire_packet_gemm *)self->card.stream.map)[1].header.opcode = 0xffff;
	ASSERT_EQ(0, monitor_inject("engine-hang", 3));
	ASSERT_EQ(0, card_submit(&failing, self->card.stream.va,
				 2 * sizeof(struct quire_packet_gemm), &failed));
	/* The last of these is waited for, until the end. */
	for (int i = 0; i < test_patience(); i++)
		ASSERT_EQ(0, card_submit(&holder, self->card.stream.va +
					 2 * sizeof(struct quire_packet_gemm),
					 bytes - 2 * (uint32_t)sizeof(struct quire_packet_gemm),
					 &held));
	ASSERT_EQ(0, submit_waiting(&failing, &holder, held, JOBS, WAITS));
	behind = failing;
	behind.point = 0;
	ASSERT_EQ(0, card_syncobj_create(behind.fd, &behind.syncobj));
	ASSERT_EQ(0, card_submit(&behind, 0, 0, &last));
	for (int i = 0; i < processors && i < 16; i++) {
		watchers[i].processor = i;
		watchers[i].stop = &stop;
		ASSERT_EQ(0, pthread_create(&watchers[i].thread, NULL, watch, &watchers[i]));
	}
	ASSERT_EQ(0, monitor_inject("engine-hang", 0));
	ASSERT_EQ(0, ends(&behind, last));
	stop = 1;
	for (int i = 0; i < processors && i < 16; i++) {
		pthread_join(watchers[i].thread, NULL);
		TH_LOG("processor %d: at most %lld ms without a turn", i,
		       (long long)(watchers[i].longest_ns / MS));
		/* Much more than a busy machine does to its guests. */
		EXPECT_GT(1000 * MS * test_patience(), watchers[i].longest_ns);
	}
	EXPECT_EQ(-ETIME, card_wait(holder.fd, holder.syncobj, held, 0));
	EXPECT_EQ(-EFAULT, card_fence_error(failing.fd, failing.syncobj, failed));
	EXPECT_EQ(-ECANCELED, card_fence_error(behind.fd, behind.syncobj, last));
	ASSERT_EQ(0, card_queue_state(failing.fd, failing.queue, &state));
	EXPECT_EQ(JOBS + 2, state.submitted);
	EXPECT_EQ(JOBS + 2, state.completed);
	EXPECT_EQ(1, state.fault_job);
}

TEST_HARNESS_MAIN
