// SPDX-License-Identifier: MIT
/*
 * What is left when the card does not come back by itself: the reset of its function, that of its
 * bus, and the word that it is wedged.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaking.h"
#include "harness.h"
#include "monitor.h"

#define PCI_DEVICE "/sys/class/accel/accel0/device/"

FIXTURE(ladder) {
	struct card guilty;	/* its job is on the card when it breaks */
	struct card innocent;
	uint32_t resets;
	uint32_t vram_lost;
	uint64_t point;		/* of the guilty job */
};

FIXTURE_SETUP(ladder)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, breaking_setup(&self->guilty, &self->innocent));
	self->resets = breaking_resets(self->innocent.fd);
	self->vram_lost = card_info(self->innocent.fd).vram_lost;
}

FIXTURE_TEARDOWN(ladder)
{
	breaking_teardown(&self->guilty, &self->innocent);
	monitor_close();
}

TEST_F_TIMEOUT(ladder, reset_of_the_function_is_a_pause_for_jobs, 60)
{
	uint64_t other, digest;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, breaking_start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	digest = breaking_digest(&self->innocent);
	breaking_forget_digest(&self->innocent);
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, breaking_begun(&self->innocent));
	EXPECT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
	EXPECT_EQ(digest, breaking_digest(&self->innocent));
	/* Also what was over its limit before and after it, taken together. */
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	EXPECT_EQ(self->resets + 1, breaking_resets(self->innocent.fd));
}

#define EDGE 512u

/* Short jobs, one after the other, with a pause between in which the queue has nothing to do. */
struct visitor {
	struct card card;
	struct bo bo;
	atomic_bool stop;
	int ret;
};

static void *visitor_main(void *argument)
{
	struct visitor *visitor = argument;
	uint64_t va = visitor->bo.va;
	struct quire_packet_gemm product;

	packet_gemm(&product, QUIRE_FORMAT_POSIT8, EDGE, EDGE, EDGE, va, va + EDGE * EDGE,
		    va + 2 * EDGE * EDGE);
	while (!visitor->stop && !visitor->ret) {
		visitor->ret = card_run(&visitor->card, &product, sizeof(product));
		usleep(2000);
	}
	return NULL;
}

TEST_F_TIMEOUT(ladder, reset_of_the_function_costs_nobody_what_he_submits_meanwhile, 90)
{
	struct visitor visitor = { 0 };
	uint32_t bytes;
	pthread_t id;

	ASSERT_EQ(0, card_setup_limit(&visitor.card, 0, 60000));
	ASSERT_EQ(0, card_buffer(&visitor.card, 3 * EDGE * EDGE, DRM_QUIRE_PLACEMENT_SYSTEM,
				 &visitor.bo));
	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000,
				       &self->guilty.queue));
	ASSERT_EQ(0, card_long_stream(&self->guilty, &bytes));
	/* Enough for all of them, however fast the card and slow the kernel. */
	for (int i = 0; i < 8 * test_patience(); i++)
		ASSERT_EQ(0, card_submit(&self->guilty, self->guilty.stream.va, bytes,
					 &self->point));
	ASSERT_EQ(0, pthread_create(&id, NULL, visitor_main, &visitor));
	for (int i = 0; i < 24; i++) {
		usleep(50000 + 3000 * i);
		ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	}
	visitor.stop = true;
	ASSERT_EQ(0, pthread_join(id, NULL));
	EXPECT_EQ(0, visitor.ret);
	EXPECT_EQ(-ETIME, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 0));
	ASSERT_EQ(0, card_queue_destroy(self->guilty.fd, self->guilty.queue));
	card_teardown(&visitor.card);
}

/* Asks for the card's counters all the time. */
struct watcher {
	int fd;
	atomic_bool stop;
	atomic_uint answers;
	atomic_uint wrong;	/* no card is at 0 degrees */
};

static void *watcher_main(void *argument)
{
	struct watcher *watcher = argument;

	while (!watcher->stop) {
		struct drm_quire_telemetry_info info = { 0 };
		struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_TELEMETRY,
						    .size = sizeof(info),
						    .pointer = (uintptr_t)&info };
		uint64_t degrees;

		if (card_ioctl(watcher->fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args))
			continue;
		degrees = info.counters[QUIRE_COUNTER_TEMPERATURE];
		watcher->answers++;
		watcher->wrong += !degrees || degrees > 1000000;
	}
	return NULL;
}

TEST_F_TIMEOUT(ladder, counters_are_not_those_of_a_card_that_is_away, 60)
{
	struct watcher watcher = { .fd = self->innocent.fd };
	pthread_t id;

	ASSERT_EQ(0, pthread_create(&id, NULL, watcher_main, &watcher));
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	watcher.stop = true;
	ASSERT_EQ(0, pthread_join(id, NULL));
	EXPECT_LT(0, watcher.answers);
	EXPECT_EQ(0, watcher.wrong) TH_LOG("%u of %u", watcher.wrong, watcher.answers);
}

/*
 * Nobody is guilty of a reset that an administrator asks for, but a job that does not come to rest
 * costs others one only so often.
 */
TEST_F_TIMEOUT(ladder, job_that_resets_interrupt_is_run_again_three_times, 150)
{
	volatile uint64_t *mark = breaking_mark(&self->guilty);
	struct drm_quire_queue_query state = { 0 };

	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000,
				       &self->guilty.queue));
	ASSERT_EQ(0, breaking_start_other(&self->guilty, DRM_QUIRE_JOB_RESTARTABLE, &self->point));
	/* On a busy machine it may be between two bands once, and goes on: that does not count. */
	for (int i = 0; i < 12 && state.state != DRM_QUIRE_QUEUE_STATE_BANNED; i++) {
		uint32_t rerun = state.rerun;

		ASSERT_EQ(0, breaking_begun(&self->guilty));
		ASSERT_EQ(-ETIME, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 0));
		*mark = 0;
		ASSERT_EQ(0, monitor_inject("engine-hang", 3));
		/* The band on the engine ends, and the next one does not. */
		usleep(100000);
		ASSERT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
		ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
		if (state.rerun == rerun)
			*mark = 1;
		ASSERT_EQ(0, monitor_inject("engine-hang", 0));
	}
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(3, state.rerun);
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	EXPECT_EQ(0, card_answers(&self->innocent));
}

/* The rungs above a reset of the card: so many boots fail, and nobody has to do anything. */
TEST_F_TIMEOUT(ladder, card_that_does_not_boot_is_reset_with_its_function_or_its_bus, 90)
{
	for (unsigned int boots = 1; boots <= 2; boots++) {
		uint32_t queue;

		ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 0, &queue));
		self->guilty.queue = queue;
		ASSERT_EQ(0, monitor_inject("corrupt-firmware", boots));
		ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
		ASSERT_EQ(0, breaking_begun(&self->guilty));
		ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
		ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point,
				       30000 * MS));
		EXPECT_EQ(-EIO, card_fence_error(self->guilty.fd, self->guilty.syncobj,
						 self->point));
		EXPECT_EQ(0, card_answers(&self->innocent));
		EXPECT_TRUE(card_is("ready"));
		EXPECT_EQ(self->vram_lost, card_info(self->innocent.fd).vram_lost);
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

/* Where a buffer is that was asked for in card memory, or an error. */
static int fresh_buffer_lies_in(int fd)
{
	struct drm_quire_bo_info args = { 0 };
	int ret = card_bo_create(fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &args.handle);

	if (!ret)
		ret = card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &args);
	card_close_handle(fd, args.handle);
	return ret ? ret : (int)args.resident;
}

TEST_F_TIMEOUT(ladder, card_whose_reset_fails_says_so_and_comes_back_with_the_function, 60)
{
	static const char *const wedged[] = { "ACTION=change", "SUBSYSTEM=accel",
					      "DEVNAME=accel/accel0", "WEDGED=rebind,bus-reset" };
	int events = uevents_open(), told = 0;
	uint32_t queue;
	uint64_t point;

	ASSERT_GE(events, 0);

	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	/* The card's reset, the function's and the bus's. */
	ASSERT_EQ(0, monitor_inject("corrupt-firmware", 3));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0xffff));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	for (int i = 0; i < 500 * test_patience() && !card_is("wedged"); i++)
		usleep(20000);
	EXPECT_TRUE(card_is("wedged"));
	/* It follows when the jobs have ended. */
	for (int i = 0; i < 500 && !told; i++) {
		told = uevent_has(events, wedged, sizeof(wedged) / sizeof(wedged[0]));
		usleep(20000);
	}
	EXPECT_TRUE(told);
	close(events);
	EXPECT_EQ(-EIO, card_submit(&self->innocent, 0, 0, &point));
	/* It may not have stopped: what it writes to is nobody else's. */
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, fresh_buffer_lies_in(self->innocent.fd));
	EXPECT_EQ(-EIO, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
	EXPECT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	EXPECT_TRUE(card_is("ready"));
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 0, &queue));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, fresh_buffer_lies_in(self->innocent.fd));
}

static bool comes_to(const char *state)
{
	for (int i = 0; i < 1000 * test_patience() && !card_is(state); i++)
		usleep(20000);
	return card_is(state);
}

/* The bus has lost it with all that lay there, and then it does not boot. */
TEST_F_TIMEOUT(ladder, what_is_written_to_a_wedged_card_is_kept_or_told_to_be_lost, 90)
{
	volatile uint64_t *words;
	uint32_t lost;
	struct bo bo;

	if (access(PCI_DEVICE "aer_dev_fatal", F_OK))
		SKIP(return, "the kernel has no AER");
	ASSERT_EQ(0, card_buffer(&self->innocent, PAGE, DRM_QUIRE_PLACEMENT_CARD, &bo));
	words = bo.map;
	words[0] = 1;
	ASSERT_EQ(0, monitor_inject("corrupt-firmware", 20));
	ASSERT_EQ(0, monitor_command("{\"execute\":\"human-monitor-command\",\"arguments\":"
				     "{\"command-line\":\"pcie_aer_inject_error quire0 DLP\"}}"));
	EXPECT_TRUE(comes_to("wedged"));
	lost = card_info(self->innocent.fd).vram_lost;
	EXPECT_EQ(self->vram_lost + 1, lost);
	EXPECT_EQ(0, words[0]);
	words[0] = 2;
	ASSERT_EQ(0, monitor_inject("corrupt-firmware", 0));
	EXPECT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	EXPECT_TRUE(comes_to("ready"));
	EXPECT_EQ(2, words[0]);
	EXPECT_EQ(lost, card_info(self->innocent.fd).vram_lost);
	EXPECT_EQ(0, card_answers(&self->innocent));
}

#define FILLER (16u << 20)
#define FILLERS 15

/* Whoever has just begun to make room on a card that is lost gets none, and nobody has to go. */
TEST_F_TIMEOUT(ladder, nobody_is_pushed_out_of_a_wedged_card, 90)
{
	struct bo fillers[FILLERS];
	int status, stayed = 0;
	pid_t child;

	for (int i = 0; i < FILLERS; i++) {
		ASSERT_EQ(0, card_buffer(&self->innocent, FILLER, DRM_QUIRE_PLACEMENT_CARD,
					 &fillers[i]));
		memset(fillers[i].map, i, FILLER);
	}
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_begun(&self->guilty));
	ASSERT_EQ(0, monitor_inject("corrupt-firmware", 3));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0xffff));
	child = fork();
	if (!child) {
		int fd = card_open_node(0);
		uint32_t handle;

		_exit(-card_bo_create(fd, 2 * FILLER, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	}
	EXPECT_TRUE(comes_to("wedged"));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	for (int i = 0; i < FILLERS; i++) {
		struct drm_quire_bo_info info = { .handle = fillers[i].handle };

		ASSERT_EQ(0, card_ioctl(self->innocent.fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
		stayed += info.resident == DRM_QUIRE_PLACEMENT_CARD;
	}
	TH_LOG("%d of %d stayed", stayed, FILLERS);
	/* All but what was on its way. */
	EXPECT_LE(FILLERS - 2, stayed);
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
	EXPECT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
	EXPECT_TRUE(comes_to("ready"));
	for (int i = 0; i < FILLERS; i++)
		EXPECT_EQ(i, ((volatile uint8_t *)fillers[i].map)[FILLER - 1]);
}

/* A job that nothing but the reset of the function ends, and its queue goes in the middle of it. */
TEST_F_TIMEOUT(ladder, queue_closed_while_the_function_is_reset_stays_until_its_job_has_ended, 90)
{
	uint32_t queue;
	double start;
	pid_t child;

	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000, &queue));
	self->guilty.queue = queue;
	ASSERT_EQ(0, monitor_inject("engine-stuck", 3));
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_let_begin(&self->guilty));
	start = seconds_now();
	child = fork();
	if (!child) {
		EXPECT_EQ(0, sysfs_write(PCI_DEVICE "reset", "1"));
		_exit(0);
	}
	/* It is given two seconds to come to rest and two to stop, and then loses the bus. */
	usleep(2200000);
	ASSERT_EQ(0, card_queue_destroy(self->guilty.fd, queue));
	EXPECT_LT(3.9, seconds_now() - start);
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	ASSERT_EQ(0, monitor_inject("engine-stuck", 0));
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_TRUE(card_is("ready"));
}

/* The rung between: the card does not stop, so it loses the bus, and its function is reset. */
TEST_F_TIMEOUT(ladder, card_that_does_not_stop_is_reset_with_its_function, 60)
{
	struct drm_quire_queue_query state;

	ASSERT_EQ(0, monitor_inject("engine-stuck", 1));
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 30000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	ASSERT_EQ(0, monitor_inject("engine-stuck", 0));
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_TRUE(card_is("ready"));
	EXPECT_EQ(self->vram_lost, card_info(self->innocent.fd).vram_lost);
	EXPECT_LE(self->resets + 1, breaking_resets(self->innocent.fd));
}

TEST_HARNESS_MAIN
