// SPDX-License-Identifier: MIT
/*
 * Buffers leave the machine's memory for swap space, and come back: with what was in them, while
 * jobs use them, while signals and the end of their process interrupt it, and when the swap space
 * itself goes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "gate.h"
#include "harness.h"
#include "patience.h"
#include "swap.h"

#define MIB (1ull << 20)
#define VA 0x6000000000ull
#define BUFFERS 6
#define BYTES (8 * MIB)
#define WORDS (BYTES / 8)
/* Looks at each page, at another place of each. */
#define STEP 509
/* Small buffers that come back while calls map them, each in so many places. */
#define SMALL 40
#define PLACES 24 /* with all buffers as many as may wait, nearly */
#define SMALL_VA (VA + BUFFERS * 64 * MIB)
#define ROUNDS 40

/* Where each access is checked, fewer: all must be made before the gate opens by itself. */
static unsigned int places(void)
{
	return test_patience() > 1 ? PLACES / 8 : PLACES;
}

static unsigned int calls(void)
{
	return SMALL * places();
}

static uint64_t word(uint64_t round, unsigned int buffer, uint64_t at)
{
	return round << 48 ^ (uint64_t)buffer << 40 ^ at;
}

FIXTURE(swap) {
	struct card card;
	struct bo bo[BUFFERS];
};

FIXTURE_VARIANT(swap) {
	uint32_t placement;
	int private;
};

FIXTURE_VARIANT_ADD(swap, system_private) {
	.placement = DRM_QUIRE_PLACEMENT_SYSTEM,
	.private = 1,
};

FIXTURE_VARIANT_ADD(swap, card_shareable) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
};

/* More than TTM may have is no size; somebody in swap_out_buffers() lets it have a page. */
static int make_buffers(struct card *card, struct bo *bo, uint32_t placement, int private)
{
	int ret = 0;

	for (unsigned int i = 0; i < BUFFERS && !ret; i++) {
		bo[i] = (struct bo){ .va = VA + i * 64 * MIB, .size = BYTES };
		do
			ret = card_bo_create(card->fd, BYTES, placement, private ? card->vm : 0,
					     &bo[i].handle);
		while (ret == -ENOSPC);
		if (!ret)
			ret = card_bo_map(card->fd, bo[i].handle, BYTES, &bo[i].map);
		if (!ret)
			ret = card_bind(card->fd, card->vm, bo[i].handle, bo[i].va, BYTES, 0);
	}
	return ret;
}

/* What does not lie in system memory cannot be swapped out. */
static void leave_card(void)
{
	uint32_t handle[4];
	int count = 0, fd = card_open_node(0);

	while (count < 4 &&
	       !card_bo_create(fd, 64 * MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &handle[count]))
		count++;
	close(fd);
}

static uint64_t system_used(int fd)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? 0 : info.system_used;
}

FIXTURE_SETUP(swap)
{
	int ret = swap_on();

	if (ret == -ENOENT)
		SKIP(return, "this kernel has no swap space in memory");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, swap_group_enter());
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 60000));
	ASSERT_EQ(0, make_buffers(&self->card, self->bo, variant->placement, variant->private));
}

FIXTURE_TEARDOWN(swap)
{
	card_teardown(&self->card);
	EXPECT_EQ(0, swap_off());
	swap_group_remove();
}

static void write_all(struct bo *bo, uint64_t round)
{
	for (unsigned int i = 0; i < BUFFERS; i++)
		for (uint64_t at = 0; at < WORDS; at += STEP)
			((volatile uint64_t *)bo[i].map)[at] = word(round, i, at);
}

/* How many words are not what was written. */
static uint64_t wrong_words(const struct bo *bo, unsigned int first, uint64_t round)
{
	uint64_t wrong = 0;

	for (unsigned int i = first; i < BUFFERS; i++)
		for (uint64_t at = 0; at < WORDS; at += STEP)
			wrong += ((volatile uint64_t *)bo[i].map)[at] != word(round, i, at);
	return wrong;
}

/* To shared memory, and from there to swap space. */
static void push_out(FIXTURE_DATA(swap) *self)
{
	long long before = swap_used();

	leave_card();
	ASSERT_EQ(0, swap_out_buffers(self->card.fd));
	ASSERT_EQ(0, swap_push());
	ASSERT_GT(swap_used(), before);
}

TEST_F_TIMEOUT(swap, buffers_come_back_with_what_was_in_them, 60)
{
	struct card *card = &self->card;
	struct quire_packet_copy copy[BUFFERS - 1];

	for (uint64_t round = 1; round < 4; round++) {
		write_all(self->bo, round);
		push_out(self);
		EXPECT_GT(swap_used(), (long long)(BUFFERS * BYTES / 2));
		/* The process is first to look at one, jobs at the others. */
		EXPECT_EQ(0, wrong_words(self->bo, BUFFERS - 1, round));
		for (unsigned int i = 0; i < BUFFERS - 1; i++)
			packet_copy(&copy[i], self->bo[BUFFERS - 1].va + i * MIB, self->bo[i].va,
				    MIB);
		ASSERT_EQ(0, card_run(card, copy, sizeof(copy)));
		for (unsigned int i = 0; i < BUFFERS - 1; i++)
			for (uint64_t at = 0; at < MIB / 8; at += STEP)
				ASSERT_EQ(word(round, i, at),
					  ((uint64_t *)self->bo[BUFFERS - 1].map)[i * MIB / 8 + at]);
		write_all(self->bo, round);
		EXPECT_EQ(0, wrong_words(self->bo, 0, round));
	}
}

TEST_F_TIMEOUT(swap, debugger_reads_what_is_swapped_out, 60)
{
	int memory = open("/proc/self/mem", O_RDWR);
	uint64_t value;

	ASSERT_GE(memory, 0);
	write_all(self->bo, 1);
	push_out(self);
	for (unsigned int i = 0; i < BUFFERS; i++) {
		off_t at = (off_t)(uintptr_t)self->bo[i].map + STEP * 8;

		ASSERT_EQ(8, pread(memory, &value, 8, at));
		EXPECT_EQ(word(1, i, STEP), value);
		value = 5;
		ASSERT_EQ(8, pwrite(memory, &value, 8, at));
		EXPECT_EQ(5, ((uint64_t *)self->bo[i].map)[STEP]);
		((uint64_t *)self->bo[i].map)[STEP] = word(1, i, STEP);
	}
	EXPECT_EQ(0, wrong_words(self->bo, 0, 1));
	close(memory);
}

TEST_F_TIMEOUT(swap, swap_space_goes_while_buffers_lie_there, 60)
{
	struct quire_packet_fill fill[BUFFERS];

	write_all(self->bo, 7);
	push_out(self);
	ASSERT_EQ(0, swap_off());
	EXPECT_EQ(0, swap_used());
	/* Those that have no room elsewhere stay in shared memory; nothing more is swapped out. */
	ASSERT_EQ(0, swap_out_buffers(self->card.fd));
	EXPECT_EQ(0, wrong_words(self->bo, 0, 7));
	for (unsigned int i = 0; i < BUFFERS; i++)
		packet_fill(&fill[i], self->bo[i].va, PAGE, i);
	ASSERT_EQ(0, card_run(&self->card, fill, sizeof(fill)));
	for (unsigned int i = 0; i < BUFFERS; i++)
		EXPECT_EQ(i, ((uint64_t *)self->bo[i].map)[1]);
	ASSERT_EQ(0, swap_on());
}

/* Each look may bring a whole buffer back. */
static unsigned int wrong_fills(const struct bo *bo, uint64_t round)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < BUFFERS; i++)
		for (uint64_t at = i; at < WORDS; at += WORDS / 12)
			wrong += ((volatile uint64_t *)bo[i].map)[at] != word(round, i, 0);
	return wrong;
}

/* Swaps all that is idle out, again and again; others have as long to get some back. */
static pid_t start_swapper(int push)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (int fd = card_open_node(0);;) {
		double start = seconds_now();

		if (swap_out_buffers(fd))
			_exit(1);
		if (push && swap_push())
			_exit(2);
		usleep(5000 + (useconds_t)(1e6 * (seconds_now() - start)));
	}
}

static int stop(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	/* A timer of the test may still be to come. */
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -errno;
	swap_limit_restore();
	return WIFSIGNALED(status) ? 0 : status;
}

TEST_F_TIMEOUT(swap, jobs_are_right_while_their_buffers_are_swapped_out, 120)
{
	struct quire_packet_fill fill[BUFFERS];
	pid_t swapper = start_swapper(1);

	for (uint64_t round = 1; round < 12; round++) {
		for (unsigned int i = 0; i < BUFFERS; i++)
			packet_fill(&fill[i], self->bo[i].va, BYTES, word(round, i, 0));
		ASSERT_EQ(0, card_run(&self->card, fill, sizeof(fill)));
		ASSERT_EQ(0, wrong_fills(self->bo, round));
	}
	EXPECT_EQ(0, stop(swapper));
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A signal ends a call without a trace, also one that brings buffers back. */
TEST_F_TIMEOUT(swap, signals_while_buffers_come_back, 120)
{
	struct itimerval once = { .it_value = { 0, 500 } };
	struct sigaction action = { .sa_handler = on_alarm };
	struct quire_packet_fill fill[BUFFERS];
	pid_t swapper = start_swapper(0);
	uint64_t point;

	sigaction(SIGALRM, &action, NULL);
	for (uint64_t round = 1; round < 10; round++) {
		for (unsigned int i = 0; i < BUFFERS; i++)
			packet_fill(&fill[i], self->bo[i].va, BYTES, word(round, i, 0));
		memcpy(self->card.stream.map, fill, sizeof(fill));
		for (unsigned int i = 0; i < 4; i++) {
			setitimer(ITIMER_REAL, &once, NULL);
			ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, self->bo[i].handle,
					       self->bo[i].va, BYTES, 0));
		}
		/* card_ioctl() tries again. */
		setitimer(ITIMER_REAL, &once, NULL);
		ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, sizeof(fill), &point));
		ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 30000 * MS));
		ASSERT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, point));
		ASSERT_EQ(0, wrong_fills(self->bo, round));
	}
	EXPECT_EQ(0, stop(swapper));
}

/* A process of its own, until it is killed. */
static void work_for_ever(uint32_t placement, int private)
{
	struct quire_packet_fill fill[BUFFERS];
	struct bo bo[BUFFERS];
	struct card card;
	int ret;

	while ((ret = card_setup_limit(&card, 0, 60000)) == -ENOSPC)
		card_teardown(&card);
	if (ret || make_buffers(&card, bo, placement, private))
		_exit(1);
	for (uint64_t round = 0;; round++) {
		for (unsigned int i = 0; i < BUFFERS; i++)
			packet_fill(&fill[i], bo[i].va, BYTES, round);
		if (card_run(&card, fill, sizeof(fill)))
			_exit(2);
		for (unsigned int i = 0; i < BUFFERS; i++)
			if (((volatile uint64_t *)bo[i].map)[WORDS - 1] != round)
				_exit(3);
	}
}

TEST_F_TIMEOUT(swap, killed_processes_leave_nothing_in_swap_space, 120)
{
	uint64_t before = system_used(self->card.fd);
	pid_t swapper = start_swapper(1);

	for (int round = 0; round < 6; round++) {
		pid_t pid = fork();

		if (!pid)
			work_for_ever(variant->placement, variant->private);
		usleep(100000 + round * 37000);
		EXPECT_EQ(0, stop(pid));
	}
	EXPECT_EQ(0, stop(swapper));
	/* With the test's own, too, nothing is left there; what remains is other programs'. */
	for (unsigned int i = 0; i < BUFFERS; i++) {
		munmap(self->bo[i].map, BYTES);
		ASSERT_EQ(0, card_unbind(self->card.fd, self->card.vm, self->bo[i].va, BYTES));
		card_close_handle(self->card.fd, self->bo[i].handle);
	}
	for (int tries = 0; tries < 100; tries++) {
		if (swap_used() < (long long)(2 * BYTES) && system_used(self->card.fd) <= before)
			break;
		usleep(50000);
	}
	EXPECT_GE(before, system_used(self->card.fd));
	EXPECT_LT(swap_used(), (long long)(2 * BYTES));
}

FIXTURE(small) {
	struct card card;
	struct bo bo[SMALL];
};

FIXTURE_VARIANT(small) {
	uint32_t placement;
	int private;
};

FIXTURE_VARIANT_ADD(small, system_private) {
	.placement = DRM_QUIRE_PLACEMENT_SYSTEM,
	.private = 1,
};

FIXTURE_VARIANT_ADD(small, card_shareable) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
};

FIXTURE_SETUP(small)
{
	int ret = swap_on();

	if (ret == -ENOENT)
		SKIP(return, "this kernel has no swap space in memory");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 60000));
	for (unsigned int i = 0; i < SMALL; i++) {
		struct bo *bo = &self->bo[i];

		ASSERT_EQ(0, card_bo_create(self->card.fd, PAGE, variant->placement,
					    variant->private ? self->card.vm : 0, &bo->handle));
		ASSERT_EQ(0, card_bo_map(self->card.fd, bo->handle, PAGE, &bo->map));
	}
}

FIXTURE_TEARDOWN(small)
{
	card_teardown(&self->card);
	EXPECT_EQ(0, swap_off());
}

/* Who opens the gate, so long after the main thread has begun its call. */
struct opener {
	pthread_barrier_t begin;
	struct gate gate;
	double delay;
	int ret;
};

static void *open_gate(void *argument)
{
	struct opener *opener = argument;
	double begun;

	pthread_barrier_wait(&opener->begin);
	begun = seconds_now();
	while (seconds_now() - begun < opener->delay)
		;
	opener->ret = gate_open(&opener->gate);
	return NULL;
}

/* Calls that are to map a buffer in one place each, one buffer after the other. */
static int bind_behind(FIXTURE_DATA(small) *self, uint32_t gate, uint32_t done)
{
	struct drm_quire_sync syncs[2] = { { DRM_QUIRE_SYNC_WAIT, gate, 0 },
					   { DRM_QUIRE_SYNC_SIGNAL, done, 0 } };
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .size = PAGE };
	struct drm_quire_vm_bind args = { .vm_id = self->card.vm,
					  .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(op), 1, (uintptr_t)&op },
					  .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	int ret = 0;

	for (unsigned int i = 0; i < calls() && !ret; i++) {
		op.handle = self->bo[i / places()].handle;
		op.va = SMALL_VA + (uint64_t)i * PAGE;
		ret = card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
	}
	return ret;
}

/* A job that reads a word in each place once the last call has been done. */
static int read_behind(FIXTURE_DATA(small) *self, uint32_t done, uint64_t *point)
{
	struct card *card = &self->card;
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT, done, 0 },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, card->point + 1 },
	};
	struct drm_quire_job job = { .stream_va = card->stream.va,
				     .stream_bytes = calls() * sizeof(struct quire_packet_copy),
				     .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };

	*point = ++card->point;
	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

static void prepare_round(FIXTURE_DATA(small) *self, uint64_t round)
{
	const uint64_t results = self->card.stream.va + QUIRE_STREAM_MAX_BYTES;
	struct quire_packet_copy *copy = self->card.stream.map;

	for (unsigned int i = 0; i < SMALL; i++)
		*(volatile uint64_t *)self->bo[i].map = word(round, i, 0);
	for (unsigned int i = 0; i < calls(); i++)
		packet_copy(&copy[i], results + i * 8, SMALL_VA + (uint64_t)i * PAGE, 8);
	memset((char *)self->card.stream.map + QUIRE_STREAM_MAX_BYTES, 0xff, calls() * 8);
	leave_card();
	ASSERT_EQ(0, swap_out_buffers(self->card.fd));
}

static unsigned int wrong_results(const struct card *card, uint64_t round)
{
	uint64_t *results = (uint64_t *)((char *)card->stream.map + QUIRE_STREAM_MAX_BYTES);
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < calls(); i++)
		wrong += results[i] != word(round, i / places(), 0);
	return wrong;
}

/*
 * Calls that waited are applied at the very moment at which a submission brings their buffers
 * back: whichever of the two comes to a buffer first, the job finds it mapped.
 */
TEST_F_TIMEOUT(small, buffers_are_mapped_while_they_come_back, 120)
{
	struct card *card = &self->card;
	struct opener opener = { 0 };
	double took = 0, begun;
	uint32_t shut, done;
	pthread_t thread;
	uint64_t point;
	int ret = gate_make(&opener.gate);

	if (ret == -ENOENT)
		SKIP(return, "this kernel has no vgem");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, card_syncobj_create(card->fd, &shut));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &done));
	ASSERT_EQ(0, pthread_barrier_init(&opener.begin, NULL, 2));
	for (uint64_t round = 0; round < ROUNDS; round++) {
		prepare_round(self, round);
		ASSERT_EQ(0, gate_shut(&opener.gate, card->fd, shut));
		ASSERT_EQ(0, bind_behind(self, shut, done));
		/* Somewhere within a call that takes as long as the last one. */
		opener.delay = took * (double)(round % 16) / 16;
		ASSERT_EQ(0, pthread_create(&thread, NULL, open_gate, &opener));
		pthread_barrier_wait(&opener.begin);
		begun = seconds_now();
		ASSERT_EQ(0, read_behind(self, done, &point));
		took = seconds_now() - begun;
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, opener.ret);
		ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 30000 * MS));
		ASSERT_EQ(0, card_fence_error(card->fd, card->syncobj, point));
		ASSERT_EQ(0, wrong_results(card, round));
		ASSERT_EQ(0, card_unbind(card->fd, card->vm, SMALL_VA, calls() * PAGE));
	}
	gate_end(&opener.gate);
}

TEST_HARNESS_MAIN
