// SPDX-License-Identifier: MIT
/* Calls that signals end: they have changed nothing. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define SIGNAL_VA 0x6000000000ull

FIXTURE(signals) {
	struct card card;
};

FIXTURE_SETUP(signals)
{
	ASSERT_EQ(0, card_setup(&self->card, 0));
}

FIXTURE_TEARDOWN(signals)
{
	card_teardown(&self->card);
}

static void interrupted(int signal)
{
	(void)signal;
}

/* Signals in quick succession, with and without calls being started again. */
static void send_signals(int flags, long interval_us)
{
	struct sigaction action = { .sa_handler = interrupted, .sa_flags = flags };
	struct itimerval timer = { { 0, interval_us }, { 0, interval_us } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* What a job reads where buffers are bound in turn. */
static uint64_t bound_there(struct card *card)
{
	uint64_t *word = (uint64_t *)((char *)card->stream.map + 2 * PAGE);
	struct quire_packet_copy copy;

	packet_copy(&copy, card->stream.va + 2 * PAGE, SIGNAL_VA, 8);
	return card_run(card, &copy, sizeof(copy)) ? ~0ull : *word;
}

TEST_F_TIMEOUT(signals, bind_that_a_signal_ends_has_changed_nothing, 60)
{
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .va = SIGNAL_VA,
					   .size = PAGE };
	struct drm_quire_vm_bind args = { .vm_id = self->card.vm,
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };
	struct drm_quire_vm_bind behind = args;
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, 0, 0 };
	uint32_t bytes, queue, first = self->card.queue, timeline;
	struct card *card = &self->card;
	uint64_t is = 0, gate;
	struct bo bo[2], far;

	ASSERT_EQ(0, card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_CARD, &far));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_CARD, &bo[i]));
		*(uint64_t *)bo[i].map = (uint64_t)i;
	}
	ASSERT_EQ(0, card_bind(card->fd, card->vm, bo[0].handle, SIGNAL_VA, PAGE, 0));
	ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 0, &queue));
	ASSERT_EQ(0, card_long_stream(card, &bytes));
	memmove((char *)card->stream.map + QUIRE_STREAM_MAX_BYTES, card->stream.map, bytes);
	for (int round = 0; round < 12; round++) {
		struct drm_quire_vm_bind_op other = { .type = DRM_QUIRE_VM_BIND_MAP,
						      .handle = far.handle,
						      .va = SIGNAL_VA + (64 << 20), .size = PAGE };
		int ret;

		/* An earlier call waits for a job; this one is done after it. */
		timeline = card->syncobj;
		card->queue = queue;
		ASSERT_EQ(0, card_submit(card, card->stream.va + QUIRE_STREAM_MAX_BYTES,
					 8 * sizeof(struct quire_packet_gemm), &gate));
		card->queue = first;
		sync.handle = timeline;
		sync.point = gate;
		behind.flags = DRM_QUIRE_VM_BIND_ASYNC;
		behind.ops.array = (uintptr_t)&other;
		behind.syncs = (struct drm_quire_obj_array){ sizeof(sync), 1, (uintptr_t)&sync };
		ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &behind));
		op.handle = bo[!is].handle;
		send_signals(round % 2 ? SA_RESTART : 0, 2000);
		ret = ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args) ? -errno : 0;
		send_signals(0, 0);
		EXPECT_TRUE(ret == 0 || ret == -EINTR) TH_LOG("%d", ret);
		ASSERT_EQ(0, card_wait(card->fd, timeline, gate, 20000 * MS));
		usleep(20000);
		is = ret ? is : !is;
		EXPECT_EQ(is, bound_there(card)) TH_LOG("round %d: %d", round, ret);
	}
}

TEST_F_TIMEOUT(signals, jobs_of_a_call_that_a_signal_ends_are_not_there, 60)
{
	struct drm_quire_job jobs[64] = { 0 };
	struct drm_quire_submit args = { .queue_id = self->card.queue,
					 .jobs = { sizeof(jobs[0]), 64, (uintptr_t)jobs } };
	struct drm_quire_queue_query state;
	uint64_t accepted = 0, point;

	for (int round = 0; round < 400; round++) {
		int ret;

		send_signals(round % 2 ? SA_RESTART : 0, 50 + round % 7 * 30);
		ret = ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args) ? -errno : 0;
		send_signals(0, 0);
		ASSERT_TRUE(ret == 0 || ret == -EINTR) TH_LOG("%d", ret);
		accepted += ret ? 0 : 64;
	}
	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 20000 * MS));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(accepted + 1, state.submitted);
	EXPECT_EQ(accepted + 1, state.completed);
}

TEST_HARNESS_MAIN
