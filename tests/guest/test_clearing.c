// SPDX-License-Identifier: MIT
/* What the engines do for calls, as to clear buffers, is time of those who call. */
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

/* Jobs of some bands each, one after the other. */
static int work(struct counts *counts)
{
	struct quire_packet_gemm *gemm;
	struct card card;
	uint32_t bytes;
	uint64_t point;

	if (card_setup_limit(&card, 0, 600000) || card_long_stream(&card, &bytes))
		return 1;
	gemm = card.stream.map;
	for (unsigned int i = 0; i < 4; i++)
		gemm[i].m = 512;
	for (;; counts->jobs++)
		if (card_submit(&card, card.stream.va, 4 * sizeof(*gemm), &point) ||
		    card_wait(card.fd, card.syncobj, point, 60000 * MS) ||
		    card_fence_error(card.fd, card.syncobj, point))
			return 1;
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

/* Engine time of jobs that have ended, in microseconds: ours, and those of the kernel's queue. */
static int read_times(uint64_t *ours, uint64_t *kernels)
{
	FILE *trace = fopen(TRACING "trace", "r");
	char line[512], *time;

	if (!trace)
		return -1;
	while (fgets(line, sizeof(line), trace)) {
		time = strstr(line, "quire_job_done:") ? strstr(line, "busy_ns=") : NULL;
		if (time)
			*(strstr(line, " test_clearing[") ? ours : kernels) +=
				strtoull(time + 8, NULL, 10) / 1000;
	}
	return fclose(trace);
}

TEST_F_TIMEOUT(clearing, user_who_clears_gets_no_more_than_his_share, 120)
{
	pid_t worker = start(work, self->counts), clearers[2];
	uint64_t ours = 0, kernels = 0, jobs;

	for (unsigned int tries = 0; !self->counts->jobs && tries < 6000; tries++)
		usleep(10000);
	for (unsigned int i = 0; i < 2; i++)
		clearers[i] = start(clear, self->counts);
	ASSERT_EQ(0, sysfs_write(TRACING "trace", "\n"));
	ASSERT_EQ(0, sysfs_write(TRACING "events/quire/quire_job_done/enable", "1"));
	jobs = self->counts->jobs;
	sleep(SECONDS);
	EXPECT_EQ(0, waitpid(-1, NULL, WNOHANG));
	ASSERT_EQ(0, sysfs_write(TRACING "events/quire/quire_job_done/enable", "0"));
	ASSERT_EQ(0, read_times(&ours, &kernels));
	TH_LOG("%llu jobs of %llu us, %llu buffers cleared in %llu us",
	       (unsigned long long)(self->counts->jobs - jobs), (unsigned long long)ours,
	       (unsigned long long)self->counts->cleared, (unsigned long long)kernels);
	kill(worker, SIGKILL);
	for (unsigned int i = 0; i < 2; i++)
		kill(clearers[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	EXPECT_LT(0, self->counts->cleared);
	EXPECT_LT(0, kernels);
	/* Each as much as the other: a job counts when it has ended, and waits for one before it. */
	EXPECT_LT(kernels, 2 * ours);
}

TEST_HARNESS_MAIN
