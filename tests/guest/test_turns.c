// SPDX-License-Identifier: MIT
/*
 * While queues have the card one at a time, because the firmware failed and nobody knows by whose
 * job, its time is shared as ever: among users, and among processes of a user, however long their
 * bands are and however many queues they have, and whoever submits and waits has his part, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "monitor.h"
#include "patience.h"

#define K (1u << 23)
#define SUMS 300u
#define QUEUES 4u	/* of the greedy: two have jobs in progress in any case */
#define AHEAD 9u
#define LIMIT_MS 600000u
#define SECONDS 12

/* Somebody who uses the card: time that it has worked on his jobs. */
struct user {
	uid_t uid;
	int32_t priority;
	uint64_t ahead; /* jobs that he has submitted when he waits for one */
	volatile uint64_t busy_ns;
};

FIXTURE(turns) {
	struct user *modest, *greedy;
	pid_t child[2];
};

FIXTURE_SETUP(turns)
{
	ASSERT_EQ(0, monitor_open());
	self->modest = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->modest);
	self->greedy = self->modest + 1;
	self->modest->uid = 1000;
	self->modest->ahead = AHEAD;
	self->greedy->uid = 2000;
}

FIXTURE_TEARDOWN(turns)
{
	for (int i = 0; i < 2; i++) {
		if (self->child[i] <= 0)
			continue;
		kill(self->child[i], SIGKILL);
		waitpid(self->child[i], NULL, 0);
	}
	monitor_inject("crash-firmware", 0);
	monitor_close();
	munmap(self->modest, PAGE);
}

static uint64_t busy_ns(const struct card *card, uint32_t queue)
{
	struct drm_quire_queue_query state;

	return card_queue_state(card->fd, queue, &state) ? 0 : state.busy_ns;
}

/* A job has failed: it goes on with another queue if this one is banned. */
static int go_on(struct card *card, int error)
{
	struct drm_quire_queue_query state;

	if (error != -EIO && error != -ECANCELED)
		return error;
	error = card_queue_state(card->fd, card->queue, &state);
	if (!error && state.state == DRM_QUIRE_QUEUE_STATE_BANNED)
		error = card_queue_create(card->fd, card->vm, LIMIT_MS, &card->queue);
	return error;
}

/* Short jobs, one after the other.  The one that a crash interrupts may be taken for its reason. */
static int be_modest(struct user *user)
{
	struct quire_packet_gemm *gemm;
	struct card card;
	uint32_t bytes;
	uint64_t point;
	int error;

	if (card_setup_limit(&card, 0, LIMIT_MS) || card_long_stream(&card, &bytes))
		return 1;
	gemm = card.stream.map;
	for (unsigned int i = 0; i < 2; i++)
		gemm[i].m = 256;
	for (;; user->busy_ns = busy_ns(&card, card.queue)) {
		error = card_submit(&card, card.stream.va, 2 * sizeof(*gemm), &point);
		if (!error && point > user->ahead)
			error = card_wait(card.fd, card.syncobj, point - user->ahead, 100000 * MS) ?:
				card_fence_error(card.fd, card.syncobj, point - user->ahead);
		if (error && go_on(&card, error))
			return 1;
	}
}

/* Several queues with sums that are never cut. */
static int be_greedy(struct user *user)
{
	struct drm_quire_job job = { .stream_bytes = SUMS * sizeof(struct quire_packet_gemm),
				     .flags = DRM_QUIRE_JOB_RESTARTABLE };
	struct drm_quire_queue_create create = { .priority = user->priority,
						 .time_limit_ms = LIMIT_MS };
	struct drm_quire_submit submit = { .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	struct bo operands, output;
	uint32_t queue[QUEUES];
	struct card card;

	if (card_setup_limit(&card, 0, LIMIT_MS) ||
	    card_buffer(&card, K, DRM_QUIRE_PLACEMENT_SYSTEM, &operands) ||
	    card_buffer(&card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &output))
		return 1;
	memset(operands.map, 0x43, K);
	for (uint32_t i = 0; i < SUMS; i++)
		packet_gemm((struct quire_packet_gemm *)card.stream.map + i, QUIRE_FORMAT_POSIT8, 1,
			    1, K, operands.va, operands.va, output.va);
	create.vm_id = card.vm;
	job.stream_va = card.stream.va;
	for (unsigned int i = 0; i < QUEUES; i++) {
		if (card_ioctl(card.fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &create))
			return 1;
		submit.queue_id = queue[i] = create.queue_id;
		if (card_ioctl(card.fd, DRM_IOCTL_QUIRE_SUBMIT, &submit))
			return 1;
	}
	for (;; usleep(5000)) {
		uint64_t sum = 0;

		for (unsigned int i = 0; i < QUEUES; i++)
			sum += busy_ns(&card, queue[i]);
		user->busy_ns = sum;
	}
}

static pid_t start(int (*be)(struct user *user), struct user *user)
{
	pid_t parent = getpid(), child = fork();

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Whose queue it is does not decide what he may open. */
	_exit(getppid() == parent && !setresuid(user->uid, 0, 0) ? be(user) : 1);
}

/* Both work, the firmware crashes: what each had of the card then. */
static int share(struct user *modest, struct user *greedy, pid_t child[2], double had[2])
{
	uint64_t before[2];
	int ret;

	child[0] = start(be_modest, modest);
	child[1] = start(be_greedy, greedy);
	while (!modest->busy_ns || !greedy->busy_ns) {
		if (waitpid(-1, NULL, WNOHANG))
			return -ECHILD;
		usleep(10000);
	}
	ret = monitor_inject("crash-firmware", 1);
	if (ret)
		return ret;
	usleep(1000000);
	ret = monitor_inject("crash-firmware", 0);
	/* They have begun to take turns. */
	sleep(2);
	before[0] = modest->busy_ns;
	before[1] = greedy->busy_ns;
	sleep(SECONDS);
	had[0] = (double)(modest->busy_ns - before[0]) * 1e-9;
	had[1] = (double)(greedy->busy_ns - before[1]) * 1e-9;
	TH_LOG("%.2f s of the modest, %.2f s of the greedy", had[0], had[1]);
	return ret ?: waitpid(-1, NULL, WNOHANG) ? -ECHILD : 0;
}

TEST_F_TIMEOUT(turns, long_bands_of_a_user_take_no_more_than_his_share, 120)
{
	double had[2];

	ASSERT_EQ(0, share(self->modest, self->greedy, self->child, had));
	EXPECT_GT(had[0] + had[1], SECONDS / 4.);
	EXPECT_LT(had[1], 4 * had[0]);
	EXPECT_LT(had[0], 4 * had[1]);
}

/* On a busy machine he often loses a turn, because a moment is longer than the card waits for. */
TEST_F_TIMEOUT(turns, who_submits_and_waits_does_not_lose_each_turn, 120)
{
	double had[2];

	if (test_patience() == 1)
		self->modest->ahead = 0;
	ASSERT_EQ(0, share(self->modest, self->greedy, self->child, had));
	EXPECT_LT(had[1], 8 * had[0]);
}

TEST_F_TIMEOUT(turns, long_bands_of_a_process_take_no_more_than_its_share, 120)
{
	double had[2];

	self->greedy->uid = self->modest->uid;
	ASSERT_EQ(0, share(self->modest, self->greedy, self->child, had));
	EXPECT_LT(had[1], 4 * had[0]);
	EXPECT_LT(had[0], 4 * had[1]);
}

/* A sixteenth, and more when nobody else wants anything for a moment. */
TEST_F_TIMEOUT(turns, long_bands_of_a_low_priority_take_no_more_than_its_part, 120)
{
	double had[2];

	self->greedy->priority = DRM_QUIRE_QUEUE_PRIORITY_LOW;
	/* Who takes long to submit wants nothing for a moment. */
	self->modest->ahead *= test_patience();
	ASSERT_EQ(0, share(self->modest, self->greedy, self->child, had));
	EXPECT_LT(4 * had[1], had[0]);
}

TEST_HARNESS_MAIN
