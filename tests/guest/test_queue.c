// SPDX-License-Identifier: MIT
/* Queues: limits, state, banning, and every documented error. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define LEAST_LIMIT_MS 10
/* Empty jobs of a call, so that it spends its time with the queue. */
#define BATCH 8

FIXTURE(queue) {
	struct card card;
};

FIXTURE_SETUP(queue)
{
	ASSERT_EQ(0, card_setup(&self->card, 0));
}

FIXTURE_TEARDOWN(queue)
{
	card_teardown(&self->card);
}

TEST_F(queue, counts_what_it_ran)
{
	struct quire_packet_header nop = { QUIRE_PACKET_NOP, sizeof(nop), 0, 0 };
	struct drm_quire_queue_query state;

	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, card_run(&self->card, &nop, sizeof(nop)));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
	EXPECT_EQ(5, state.submitted);
	EXPECT_EQ(5, state.completed);
	EXPECT_EQ(0, state.fault_job);
}

TEST_F(queue, a_failed_job_bans_it_and_says_which_and_why)
{
	struct {
		struct quire_packet_header nop;
		struct quire_packet_fill fill;
	} stream = { .nop = { QUIRE_PACKET_NOP, sizeof(stream.nop), 0, 0 } };
	struct drm_quire_queue_query state;
	uint64_t point;

	ASSERT_EQ(0, card_run(&self->card, &stream.nop, sizeof(stream.nop)));
	packet_fill(&stream.fill, 0x5550000000ull, 64, 1);
	EXPECT_EQ(-EFAULT, card_run(&self->card, &stream, sizeof(stream)));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(2, state.fault_job);
	EXPECT_EQ(QUIRE_STATUS_MMU_FAULT, state.fault_status);
	EXPECT_EQ(offsetof(typeof(stream), fill), state.fault_packet);
	EXPECT_EQ(QUIRE_FAULT_UNMAPPED, state.fault_info & QUIRE_FAULT_REASON);
	EXPECT_EQ(0x5550000000ull, state.fault_address);
	EXPECT_EQ(-ECANCELED, card_submit(&self->card, self->card.stream.va, 16, &point));
}

TEST_F(queue, another_queue_of_the_same_vm_is_not_hurt)
{
	struct quire_packet_fill fill;
	uint32_t other;

	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &other));
	packet_fill(&fill, 0x5550000000ull, 64, 1);
	EXPECT_EQ(-EFAULT, card_run(&self->card, &fill, sizeof(fill)));
	self->card.queue = other;
	packet_fill(&fill, self->card.stream.va + PAGE, 64, 1);
	EXPECT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
}

TEST_F(queue, each_field_of_create_is_checked)
{
	struct drm_quire_queue_create good = { .vm_id = self->card.vm, .priority = 1 }, args;

	args = good, args.vm_id = 4711;
	EXPECT_EQ(-ENOENT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	args = good, args.priority = 2;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	args = good, args.priority = -2;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	args = good, args.flags = 1;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	args = good, args.pad = 1;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	args = good, args.time_limit_ms = 9;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	args = good, args.time_limit_ms = 0xffffffff;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
}

TEST_F(queue, high_priority_needs_the_right)
{
	struct drm_quire_queue_create args = { .vm_id = self->card.vm,
					       .priority = DRM_QUIRE_QUEUE_PRIORITY_HIGH };

	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(-EACCES, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args));
	ASSERT_EQ(0, seteuid(0));
}

TEST_F(queue, destroy_and_query_errors)
{
	struct drm_quire_queue_destroy destroy = { .queue_id = 4711 };
	struct drm_quire_queue_query state;

	EXPECT_EQ(-ENOENT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &destroy));
	EXPECT_EQ(-ENOENT, card_queue_state(self->card.fd, 4711, &state));
	destroy = (struct drm_quire_queue_destroy){ .queue_id = self->card.queue, .pad = 1 };
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &destroy));
	EXPECT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));
	EXPECT_EQ(-ENOENT, card_queue_destroy(self->card.fd, self->card.queue));
}

TEST_F(queue, a_file_has_so_many_and_no_more)
{
	uint32_t queue, last = self->card.queue;
	unsigned int count = 1;
	int ret;

	while (!(ret = card_queue_create(self->card.fd, self->card.vm, 0, &queue))) {
		ASSERT_LT(count++, DRM_QUIRE_FILE_MAX_QUEUES);
		last = queue;
	}
	EXPECT_EQ(-EMFILE, ret);
	EXPECT_EQ(DRM_QUIRE_FILE_MAX_QUEUES, count);
	ASSERT_EQ(0, card_queue_destroy(self->card.fd, last));
	EXPECT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &queue));
}

TEST_F(queue, a_job_over_its_time_limit_ends_with_etime_and_others_run_on)
{
	struct quire_packet_fill fill;
	struct drm_quire_queue_query state;
	struct card limited;
	uint32_t bytes, slow_syncobj;
	uint64_t slow, behind;

	ASSERT_EQ(0, card_setup_limit(&limited, 0, 500));
	ASSERT_EQ(0, card_long_stream(&limited, &bytes));
	ASSERT_EQ(0, card_submit(&limited, limited.stream.va, bytes, &slow));
	/* A timeline forgets the errors of points before its last one: take another. */
	slow_syncobj = limited.syncobj;
	ASSERT_EQ(0, card_syncobj_create(limited.fd, &limited.syncobj));
	ASSERT_EQ(0, card_submit(&limited, limited.stream.va, bytes, &behind));
	/* A small job of somebody else does not wait behind it. */
	packet_fill(&fill, self->card.stream.va + PAGE, 64, 1);
	memcpy(self->card.stream.map, &fill, sizeof(fill));
	for (int i = 0; i < 20; i++) {
		uint64_t point;

		ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, sizeof(fill), &point));
		ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 400 * MS));
	}
	ASSERT_EQ(0, card_wait(limited.fd, slow_syncobj, slow, 10000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(limited.fd, slow_syncobj, slow));
	ASSERT_EQ(0, card_wait(limited.fd, limited.syncobj, behind, 10000 * MS));
	EXPECT_EQ(-ECANCELED, card_fence_error(limited.fd, limited.syncobj, behind));
	ASSERT_EQ(0, card_queue_state(limited.fd, limited.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(1, state.fault_job);
	EXPECT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	card_teardown(&limited);
}

/* Empty jobs, one call after the other, until the queue takes no more. */
struct behind {
	const struct card *card;
	uint32_t last; /* binary syncobj, of the last one that was taken */
	unsigned int taken;
	int ret;
};

static void *submit_on(void *argument)
{
	struct behind *behind = argument;
	/* A timeline would take longer with each point. */
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL, behind->last, 0 };
	struct drm_quire_job jobs[BATCH] = { 0 };
	struct drm_quire_submit args = { .queue_id = behind->card->queue,
					 .jobs = { sizeof(jobs[0]), BATCH, (uintptr_t)jobs } };

	jobs[BATCH - 1].syncs = (struct drm_quire_obj_array){ sizeof(sync), 1, (uintptr_t)&sync };
	do {
		behind->ret = card_ioctl(behind->card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
		behind->taken += !behind->ret;
	} while (!behind->ret || behind->ret == -ENOBUFS);
	return NULL;
}

/*
 * One that is over its limit, with others coming all the time: each has the error of its own.
 * True if some of the others came before it was stopped.
 */
static bool exceed_limit(struct card *card, uint32_t bytes)
{
	struct behind behind = { .card = card };
	uint64_t guilty;
	pthread_t thread;

	ASSERT_EQ(0, card_queue_create(card->fd, card->vm, LEAST_LIMIT_MS, &card->queue));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &behind.last));
	ASSERT_EQ(0, card_submit(card, card->stream.va, bytes, &guilty));
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_on, &behind));
	ASSERT_EQ(0, card_wait(card->fd, card->syncobj, guilty, 20000 * MS));
	EXPECT_EQ(-ETIME, card_fence_error(card->fd, card->syncobj, guilty));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-ECANCELED, behind.ret);
	if (behind.taken) {
		ASSERT_EQ(0, card_wait(card->fd, behind.last, 0, 20000 * MS));
		EXPECT_EQ(-ECANCELED, card_fence_error(card->fd, behind.last, 0));
	}
	EXPECT_EQ(0, card_queue_destroy(card->fd, card->queue));
	return behind.taken;
}

TEST_F_TIMEOUT(queue, who_is_over_the_limit_is_told_so_while_others_come, 60)
{
	int crowded = 0;
	uint32_t bytes;

	EXPECT_EQ(-EINVAL, card_queue_create(self->card.fd, self->card.vm, LEAST_LIMIT_MS - 1,
					     &self->card.queue));
	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	for (int round = 0; round < 30; round++)
		crowded += exceed_limit(&self->card, bytes);
	EXPECT_LT(0, crowded);
}

TEST_F(queue, destroying_it_in_mid_job_cancels_the_job)
{
	uint64_t point;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
	usleep(50000);
	ASSERT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 10000 * MS));
	EXPECT_EQ(-ECANCELED, card_fence_error(self->card.fd, self->card.syncobj, point));
}

TEST_F(queue, zero_never_becomes_the_id_of_anything)
{
	struct drm_quire_vm_destroy nothing = { 0 };
	uint32_t id;

	EXPECT_EQ(-ENOENT, card_queue_destroy(self->card.fd, 0));
	EXPECT_EQ(-ENOENT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_DESTROY, &nothing));
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &id));
	EXPECT_NE(0, id);
	ASSERT_EQ(0, card_vm_create(self->card.fd, &id));
	EXPECT_NE(0, id);
}

TEST_HARNESS_MAIN
