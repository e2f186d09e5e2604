// SPDX-License-Identifier: MIT
/* What jobs and calls wait for: each waits for all it names, however often that is named. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define LIMIT_MS 600000
#define VA 0x4000000000ull
#define NAMES 1024u /* of one fence, in one call */
#define CALLS 4096u
#define STILL_MS 300
#define TRIES 3

FIXTURE(fences) {
	struct card card;
	struct card late; /* a queue beside, whose jobs wait */
	uint32_t bytes;
};

/* Another queue of the same address space, with a timeline of its own. */
static int add_queue(const struct card *card, struct card *other)
{
	*other = *card;
	other->point = 0;
	return card_queue_create(card->fd, card->vm, LIMIT_MS, &other->queue) ?:
	       card_syncobj_create(card->fd, &other->syncobj);
}

FIXTURE_SETUP(fences)
{
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, LIMIT_MS));
	ASSERT_EQ(0, card_long_stream(&self->card, &self->bytes));
	ASSERT_EQ(0, add_queue(&self->card, &self->late));
}

FIXTURE_TEARDOWN(fences)
{
	card_teardown(&self->card);
}

/* A job of some of the long products. */
static int submit_products(struct card *card, uint32_t count, uint64_t *point)
{
	return card_submit(card, card->stream.va, count * sizeof(struct quire_packet_gemm), point);
}

static struct drm_quire_sync wait_for(const struct card *card, uint64_t point)
{
	return (struct drm_quire_sync){ DRM_QUIRE_SYNC_TIMELINE, card->syncobj, point };
}

/* An empty job that waits for these, and signals the next point. */
static int submit_waiting(struct card *card, const struct drm_quire_sync *waits, uint32_t count,
			  uint64_t *point)
{
	struct drm_quire_sync syncs[NAMES + 1];
	struct drm_quire_job job = { .syncs = { sizeof(syncs[0]), count + 1, (uintptr_t)syncs } };
	struct drm_quire_submit submit = { .queue_id = card->queue,
					   .jobs = { sizeof(job), 1, (uintptr_t)&job } };

	*point = ++card->point;
	memcpy(syncs, waits, count * sizeof(syncs[0]));
	syncs[count] = wait_for(card, *point);
	syncs[count].flags |= DRM_QUIRE_SYNC_SIGNAL;
	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &submit);
}

static int over(const struct card *card, uint64_t point)
{
	return !card_wait(card->fd, card->syncobj, point, 0);
}

static int ends(const struct card *card, uint64_t point)
{
	return card_wait(card->fd, card->syncobj, point, 60000 * MS);
}

TEST_F(fences, of_two_of_one_queue_the_later_is_waited_for)
{
	struct drm_quire_sync waits[4];
	uint64_t first, second, point;

	ASSERT_EQ(0, submit_products(&self->card, 1, &first));
	ASSERT_EQ(0, submit_products(&self->card, 12, &second));
	for (int i = 0; i < 4; i++)
		waits[i] = wait_for(&self->card, i == 1 ? second : first);
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 4, &point));
	ASSERT_EQ(0, ends(&self->card, first));
	usleep(50000);
	if (!over(&self->card, second))
		EXPECT_FALSE(over(&self->late, point) && !over(&self->card, second));
	ASSERT_EQ(0, ends(&self->late, point));
	EXPECT_TRUE(over(&self->card, second));
}

/* Each job of a queue names what the one before named, and something else. */
TEST_F(fences, jobs_behind_each_other_wait_for_all_they_name)
{
	struct card other;
	struct drm_quire_sync waits[2];
	uint64_t quick, slow, points[4];

	ASSERT_EQ(0, add_queue(&self->card, &other));
	ASSERT_EQ(0, submit_products(&self->card, 1, &quick));
	ASSERT_EQ(0, submit_products(&other, 12, &slow));
	waits[0] = wait_for(&self->card, quick);
	waits[1] = wait_for(&other, slow);
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 1, &points[0]));
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 1, &points[1]));
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 2, &points[2]));
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 1, &points[3]));
	ASSERT_EQ(0, ends(&self->late, points[1]));
	EXPECT_TRUE(over(&self->card, quick));
	ASSERT_EQ(0, ends(&self->late, points[2]));
	EXPECT_TRUE(over(&other, slow));
	ASSERT_EQ(0, ends(&self->late, points[3]));
	/* And when all of that is over. */
	ASSERT_EQ(0, submit_products(&self->card, 2, &quick));
	waits[0] = wait_for(&self->card, quick);
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 2, &points[0]));
	ASSERT_EQ(0, ends(&self->late, points[0]));
	EXPECT_TRUE(over(&self->card, quick));
}

/* A point is put on another timeline, too: what follows on either has one fence context. */
static int part_timelines(struct card *card, struct card *other)
{
	struct drm_syncobj_transfer transfer = { .src_handle = card->syncobj,
						 .dst_handle = other->syncobj };
	uint64_t point;
	int ret = card_submit(card, 0, 0, &point);

	other->point = card->point;
	if (!ret)
		ret = ends(card, point);
	transfer.src_point = point;
	return ret ? ret : card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer);
}

TEST_F(fences, points_of_two_timelines_are_two_waits_though_they_have_one_context)
{
	struct card other;
	struct drm_quire_sync waits[2];
	uint64_t quick, slow, points[3];

	ASSERT_EQ(0, add_queue(&self->card, &other));
	ASSERT_EQ(0, part_timelines(&self->card, &other));
	ASSERT_EQ(0, submit_products(&other, 12, &slow));
	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &quick));
	ASSERT_EQ(0, ends(&self->card, quick));
	waits[0] = wait_for(&self->card, quick);
	waits[1] = wait_for(&other, slow);
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 1, &points[0]));
	ASSERT_EQ(0, submit_waiting(&self->late, waits, 2, &points[1]));
	ASSERT_EQ(0, submit_waiting(&self->late, &waits[1], 1, &points[2]));
	ASSERT_EQ(0, ends(&self->late, points[1]));
	EXPECT_TRUE(over(&other, slow));
	ASSERT_EQ(0, ends(&self->late, points[2]));
}

static int bind_waiting(const struct card *card, uint32_t handle, uint64_t va,
			const struct drm_quire_sync *waits, uint32_t count, uint64_t point)
{
	struct drm_quire_sync syncs[NAMES + 1];
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .handle = handle,
					   .va = va, .size = PAGE };
	struct drm_quire_vm_bind bind = { .vm_id = card->vm, .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(op), 1, (uintptr_t)&op },
					  .syncs = { sizeof(syncs[0]), count + 1,
						     (uintptr_t)syncs } };

	memcpy(syncs, waits, count * sizeof(syncs[0]));
	syncs[count] = wait_for(card, point);
	syncs[count].flags |= DRM_QUIRE_SYNC_SIGNAL;
	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &bind);
}

TEST_F(fences, calls_of_an_address_space_wait_for_all_they_name)
{
	struct card other = self->late;
	struct drm_quire_sync waits[2];
	uint64_t slow, slower;
	uint32_t handle;

	ASSERT_EQ(0, card_syncobj_create(other.fd, &other.syncobj));
	ASSERT_EQ(0, card_bo_create(other.fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
	ASSERT_EQ(0, submit_products(&self->card, 2, &slow));
	ASSERT_EQ(0, submit_products(&self->late, 8, &slower));
	waits[0] = wait_for(&self->card, slow);
	waits[1] = wait_for(&self->late, slower);
	ASSERT_EQ(0, bind_waiting(&other, handle, VA, waits, 1, 1));
	ASSERT_EQ(0, bind_waiting(&other, handle, VA + PAGE, waits, 1, 2));
	ASSERT_EQ(0, bind_waiting(&other, handle, VA + 2 * PAGE, waits, 2, 3));
	ASSERT_EQ(0, ends(&other, 2));
	EXPECT_TRUE(over(&self->card, slow));
	ASSERT_EQ(0, ends(&other, 3));
	EXPECT_TRUE(over(&self->late, slower));
}

/* struct watcher - a thread that has a processor for itself, and sees how long it stands still */
struct watcher {
	pthread_t thread;
	int processor;
	atomic_int *stop;
	long long longest_ns;
};

static void *watch(void *argument)
{
	struct watcher *watcher = argument;
	struct sched_param param = { .sched_priority = 50 };
	double last;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(watcher->processor, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sched_setscheduler(0, SCHED_FIFO, &param);
	last = seconds_now();
	while (!atomic_load(watcher->stop)) {
		double now = seconds_now();

		if ((now - last) * 1e9 > watcher->longest_ns)
			watcher->longest_ns = (now - last) * 1e9;
		last = now;
		usleep(1000);
	}
	return NULL;
}

/* The long job ends while as many calls as can be name its fence: how long processors stand. */
static long long still_ns(const struct card *card)
{
	static struct drm_quire_sync waits[NAMES - 1];
	struct watcher watchers[16] = { 0 };
	/* all of them would outlast the job where each access is checked */
	const unsigned int calls = CALLS / test_patience();
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct card slow, late;
	uint64_t held, point;
	atomic_int stop = 0;
	long long longest = 0;

	EXPECT_EQ(0, add_queue(card, &slow));
	EXPECT_EQ(0, add_queue(card, &late));
	for (int i = 0; i < 8 * test_patience(); i++)
		EXPECT_EQ(0, submit_products(&slow, 400, &held));
	for (unsigned int i = 0; i < NAMES - 1; i++)
		waits[i] = wait_for(&slow, held);
	for (unsigned int i = 0; i < calls; i++)
		if (submit_waiting(&late, waits, NAMES - 1, &point))
			break;
	EXPECT_EQ(calls, late.point);
	EXPECT_FALSE(over(&slow, held));
	for (int i = 0; i < processors && i < 16; i++) {
		watchers[i].processor = i;
		watchers[i].stop = &stop;
		EXPECT_EQ(0, pthread_create(&watchers[i].thread, NULL, watch, &watchers[i]));
	}
	EXPECT_EQ(0, card_queue_destroy(slow.fd, slow.queue));
	EXPECT_EQ(0, ends(&late, calls));
	atomic_store(&stop, 1);
	for (int i = 0; i < processors && i < 16; i++) {
		pthread_join(watchers[i].thread, NULL);
		if (watchers[i].longest_ns > longest)
			longest = watchers[i].longest_ns;
	}
	EXPECT_EQ(0, card_queue_destroy(late.fd, late.queue));
	TH_LOG("a processor stood still for %lld ms", longest / MS);
	return longest;
}

/* Who signals a fence runs all callbacks of those who wait for it, with interrupts off. */
#define ORDERED 32u
#define ASKING 1

/* Jobs of one queue, a binary fence each, and who looks at these meanwhile. */
struct orderly {
	struct card *card;
	uint32_t fences[ORDERED];
	atomic_uint round;	/* that the watcher is to look at */
	atomic_uint watched;	/* up to this one he has */
	atomic_uint wrong;	/* fences that signalled before an earlier one */
	atomic_bool stop;
};

static bool has_signalled(const struct card *card, uint32_t fence)
{
	struct drm_syncobj_wait args = { .handles = (uintptr_t)&fence, .count_handles = 1 };

	return !card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_WAIT, &args);
}

/* From the last to the first: who sees one that has signalled finds that those before it have. */
static void *orderly_watch(void *argument)
{
	struct orderly *all = argument;
	bool over;

	while (!all->stop) {
		unsigned int round = all->round;

		if (round == all->watched)
			continue;
		do {
			uint32_t last = ORDERED;

			while (last && !has_signalled(all->card, all->fences[last - 1]))
				last--;
			for (uint32_t i = 0; i + 1 < last; i++)
				all->wrong += !has_signalled(all->card, all->fences[i]);
			over = last == ORDERED;
		} while (!over && !all->stop);
		all->watched = round;
	}
	return NULL;
}

/* Each question ends jobs whose records are there. */
static void *orderly_ask(void *argument)
{
	struct orderly *all = argument;
	struct drm_quire_queue_query state;

	while (!all->stop)
		card_queue_state(all->card->fd, all->card->queue, &state);
	return NULL;
}

/* Short jobs that have no fence yet, submitted together. */
static int orderly_submit(struct orderly *all)
{
	struct drm_quire_sync signals[ORDERED];
	struct drm_quire_job jobs[ORDERED];
	struct drm_syncobj_array reset = { (uintptr_t)all->fences, ORDERED, 0 };
	struct drm_quire_submit args = {
		.queue_id = all->card->queue, .jobs = { sizeof(jobs[0]), ORDERED, (uintptr_t)jobs },
	};
	int ret = card_ioctl(all->card->fd, DRM_IOCTL_SYNCOBJ_RESET, &reset);

	for (uint32_t i = 0; i < ORDERED; i++) {
		signals[i] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL, all->fences[i], 0 };
		jobs[i] = (struct drm_quire_job){
			.syncs = { sizeof(signals[i]), 1, (uintptr_t)&signals[i] } };
	}
	all->round++;
	return ret ? ret : card_ioctl(all->card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

TEST_F_TIMEOUT(fences, those_of_a_queue_signal_in_order, 60)
{
	struct orderly all = { .card = &self->card };
	double end = seconds_now() + 8;
	pthread_t watcher, asking[ASKING];
	int ret = 0;

	for (uint32_t i = 0; i < ORDERED; i++)
		ASSERT_EQ(0, card_syncobj_create(self->card.fd, &all.fences[i]));
	ASSERT_EQ(0, pthread_create(&watcher, NULL, orderly_watch, &all));
	for (int i = 0; i < ASKING; i++)
		ASSERT_EQ(0, pthread_create(&asking[i], NULL, orderly_ask, &all));
	while (!ret && seconds_now() < end) {
		ret = orderly_submit(&all);
		while (!ret && all.watched != all.round)
			sched_yield();
	}
	all.stop = true;
	ASSERT_EQ(0, pthread_join(watcher, NULL));
	for (int i = 0; i < ASKING; i++)
		ASSERT_EQ(0, pthread_join(asking[i], NULL));
	EXPECT_EQ(0, ret);
	TH_LOG("%u rounds", all.round);
	EXPECT_EQ(0, all.wrong);
}

TEST_F_TIMEOUT(fences, one_that_millions_name_stops_no_processor, 180)
{
	long long least = ~0ull >> 1;

	/* A busy machine lets its guests stand still, too, but not each time. */
	for (int i = 0; i < TRIES && least > STILL_MS * MS; i++) {
		long long took = still_ns(&self->card);

		if (took < least)
			least = took;
	}
	EXPECT_GT(STILL_MS * MS, least);
}

TEST_HARNESS_MAIN
