// SPDX-License-Identifier: MIT
/* What the engines do for calls, as to clear buffers, is time of those who call. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define CLEARER 2000
#define CLEARED (32u << 20)
#define SECONDS 5
#define TRACING "/sys/kernel/debug/tracing/"

/* How far each has come. */
struct counts {
	volatile uint64_t jobs, cleared;
};

FIXTURE(clearing) {
	struct counts *counts;
};

FIXTURE_SETUP(clearing)
{
	self->counts = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->counts);
}

FIXTURE_TEARDOWN(clearing)
{
	munmap(self->counts, PAGE);
}

/* Jobs of some bands each, two at a time so that there always is one, of a user. */
static int work_as(uid_t user, struct counts *counts)
{
	struct quire_packet_gemm *gemm;
	struct card card;
	uint32_t bytes;
	uint64_t point;

	/* Whose queue it is does not decide what he may open. */
	if (setresuid(user, 0, 0) || card_setup_limit(&card, 0, 600000) ||
	    card_long_stream(&card, &bytes))
		return 1;
	gemm = card.stream.map;
	for (unsigned int i = 0; i < 4; i++)
		gemm[i].m = 128;
	if (card_submit(&card, card.stream.va, 4 * sizeof(*gemm), &point))
		return 1;
	for (;; counts->jobs++)
		if (card_submit(&card, card.stream.va, 4 * sizeof(*gemm), &point) ||
		    card_wait(card.fd, card.syncobj, point - 1, 60000 * MS) ||
		    card_fence_error(card.fd, card.syncobj, point - 1))
			return 1;
}

static int work(struct counts *counts)
{
	return work_as(0, counts);
}

static int work_beside(struct counts *counts)
{
	return work_as(CLEARER, counts + 1);
}

/* New card memory all the time. */
static int clear(struct counts *counts)
{
	uint32_t handle;
	void *map;
	int fd = card_open_node(0);

	if (fd < 0 || setuid(CLEARER))
		return 1;
	for (;; counts->cleared++) {
		if (card_bo_create(fd, CLEARED, DRM_QUIRE_PLACEMENT_CARD, 0, &handle) ||
		    card_bo_map(fd, handle, CLEARED, &map))
			return 1;
		*(volatile uint8_t *)map;
		munmap(map, CLEARED);
		card_close_handle(fd, handle);
	}
}

static pid_t start(int (*run)(struct counts *counts), struct counts *counts)
{
	pid_t parent = getpid(), child = fork();

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(getppid() == parent ? run(counts) : 1);
}

/* Engine time of jobs that have ended: of a process, of others, and of the kernel's queue. */
struct times {
	uint64_t ours_us, others_us, kernels_us;
};

static int read_times(pid_t ours, struct times *times)
{
	FILE *trace = fopen(TRACING "trace", "r");
	char line[512], wanted[64], *time;

	memset(times, 0, sizeof(*times));
	if (!trace)
		return -1;
	snprintf(wanted, sizeof(wanted), " test_clearing[%d]", ours);
	while (fgets(line, sizeof(line), trace)) {
		time = strstr(line, "quire_job_done:") ? strstr(line, "busy_ns=") : NULL;
		if (time)
			*(strstr(line, wanted) ? &times->ours_us :
			  strstr(line, " test_clearing[") ? &times->others_us :
			  &times->kernels_us) += strtoull(time + 8, NULL, 10) / 1000;
	}
	return fclose(trace);
}

/* Forget what was traced before. */
static int empty_trace(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC);

	return fd < 0 ? -errno : close(fd);
}

/* What a worker of ours gets beside a user who clears, and a job of his or none. */
static int share_card(struct counts *counts, bool his_job, struct times *times)
{
	pid_t worker = start(work, counts), others[3];
	unsigned int count = 0;
	int ret;

	if (his_job)
		others[count++] = start(work_beside, counts);
	for (int tries = 0; tries < 6000 * test_patience() &&
	     (!counts[0].jobs || (his_job && !counts[1].jobs)); tries++)
		usleep(10000);
	for (unsigned int i = 0; i < 2; i++)
		others[count++] = start(clear, counts);
	ret = empty_trace() ?:
	      sysfs_write(TRACING "events/quire/quire_job_done/enable", "1");
	sleep(SECONDS);
	if (!ret && waitpid(-1, NULL, WNOHANG))
		ret = -ECHILD;
	ret = ret ?: sysfs_write(TRACING "events/quire/quire_job_done/enable", "0");
	ret = ret ?: read_times(worker, times);
	kill(worker, SIGKILL);
	for (unsigned int i = 0; i < count; i++)
		kill(others[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	TH_LOG("jobs of ours %llu us, of others %llu us, %llu buffers cleared in %llu us",
	       (unsigned long long)times->ours_us, (unsigned long long)times->others_us,
	       (unsigned long long)counts->cleared, (unsigned long long)times->kernels_us);
	return ret;
}

TEST_F_TIMEOUT(clearing, user_who_clears_gets_no_more_than_his_share, 120)
{
	struct times times;

	ASSERT_EQ(0, share_card(self->counts, false, &times));
	EXPECT_LT(0, self->counts->cleared);
	EXPECT_LT(0, times.kernels_us);
	EXPECT_EQ(0, times.others_us);
	/* Each as much as the other: a job counts when it has ended, and waits for one before it. */
	EXPECT_LT(times.kernels_us, 2 * times.ours_us);
}

/* What is cleared for him is time of his, also if it is done beside jobs of his. */
TEST_F_TIMEOUT(clearing, user_who_clears_and_computes_gets_one_share_for_both, 120)
{
	struct times times;

	ASSERT_EQ(0, share_card(self->counts, true, &times));
	EXPECT_LT(0, self->counts->cleared);
	EXPECT_LT(0, times.kernels_us);
	/* His jobs get less than ours by that, but for what one of each that has begun is worth. */
	EXPECT_LT(times.others_us + times.kernels_us / 2, times.ours_us);
}

TEST_HARNESS_MAIN
