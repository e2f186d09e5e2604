// SPDX-License-Identifier: MIT
/*
 * More address spaces and queues than the card has contexts and rings: all work, nobody
 * is kept out, and what was parked in the middle of a job gives the same as if it had not.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "patience.h"

#define N 512u
#define PRODUCTS 6u	/* of a job: more than its share of a slot */

FIXTURE(slots) {
	struct card card;
	struct bo operands;
};

FIXTURE_SETUP(slots)
{
	ASSERT_EQ(0, card_setup(&self->card, 0));
	ASSERT_EQ(0, card_buffer(&self->card, 2 * N * N, DRM_QUIRE_PLACEMENT_CARD,
				 &self->operands));
	for (unsigned int i = 0; i < 2 * N * N; i++)
		((uint8_t *)self->operands.map)[i] = (uint8_t)(i * 2654435761u >> 24);
}

FIXTURE_TEARDOWN(slots)
{
	card_teardown(&self->card);
}

/* A job of PRODUCTS products of the operands, with its outcome behind the stream. */
static int submit_products(struct card *card, const struct bo *operands, const struct bo *output,
			   uint32_t queue, uint64_t point)
{
	struct quire_packet_gemm *gemm = output->map;
	struct quire_job_outcome *outcome =
		(struct quire_job_outcome *)((char *)output->map + PAGE - 256);
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
				       card->syncobj, point };
	struct drm_quire_job job = { .stream_va = output->va,
				     .stream_bytes = PRODUCTS * sizeof(*gemm),
				     .outcome_va = output->va + PAGE - 256,
				     .syncs = { sizeof(sync), 1, (uintptr_t)&sync } };
	struct drm_quire_submit args = { .queue_id = queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };

	memset(outcome, 0, sizeof(*outcome));
	outcome->status = QUIRE_STATUS_PENDING;
	for (unsigned int i = 0; i < PRODUCTS; i++)
		packet_gemm(&gemm[i], QUIRE_FORMAT_POSIT8, N, N, N, operands->va,
			    operands->va + N * N, output->va + PAGE);
	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

static const struct quire_job_outcome *outcome_of(const struct bo *output)
{
	return (const void *)((char *)output->map + PAGE - 256);
}

TEST_F_TIMEOUT(slots, address_spaces_beyond_the_contexts_of_the_card, 60)
{
	enum { SPACES = 200 };
	static struct card cards[SPACES];
	struct quire_packet_fill fill;

	for (unsigned int i = 0; i < SPACES; i++)
		ASSERT_EQ(0, card_setup(&cards[i], 0));
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < SPACES; i++) {
			struct card *card = &cards[i];

			packet_fill(&fill, card->stream.va + PAGE, 64, i + 1000 * round);
			ASSERT_EQ(0, card_run(card, &fill, sizeof(fill)));
			ASSERT_EQ(i + 1000 * round, ((uint64_t *)card->stream.map)[PAGE / 8]);
		}
	}
	for (unsigned int i = 0; i < SPACES; i++)
		card_teardown(&cards[i]);
}

TEST_F_TIMEOUT(slots, busy_queues_beyond_the_rings_take_turns_and_compute_the_same, 120)
{
	enum { QUEUES = 90 };
	static struct bo output[QUEUES];
	uint32_t queue[QUEUES];
	uint64_t digest;

	for (unsigned int i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &queue[i]));
		ASSERT_EQ(0, card_buffer(&self->card, PAGE + N * N, DRM_QUIRE_PLACEMENT_SYSTEM,
					 &output[i]));
	}
	/* Alone. */
	ASSERT_EQ(0, submit_products(&self->card, &self->operands, &output[0], queue[0], 1));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, 1, 30000 * MS));
	digest = outcome_of(&output[0])->digest;
	ASSERT_NE(0, digest);
	for (unsigned int i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, submit_products(&self->card, &self->operands, &output[i], queue[i],
					     2 + i));
	for (unsigned int i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, 2 + i, 100000 * MS));
	for (unsigned int i = 0; i < QUEUES; i++) {
		EXPECT_EQ(QUIRE_STATUS_OK, outcome_of(&output[i])->status);
		EXPECT_EQ(digest, outcome_of(&output[i])->digest) TH_LOG("queue %u", i);
		EXPECT_EQ(0, memcmp((char *)output[0].map + PAGE, (char *)output[i].map + PAGE,
				    N * N));
	}
}

TEST_F_TIMEOUT(slots, busy_address_spaces_beyond_the_contexts_take_turns, 120)
{
	enum { SPACES = 45 };
	static struct card cards[SPACES];
	static struct bo operands[SPACES], output[SPACES];

	for (unsigned int i = 0; i < SPACES; i++) {
		ASSERT_EQ(0, card_setup(&cards[i], 0));
		ASSERT_EQ(0, card_buffer(&cards[i], 2 * N * N, DRM_QUIRE_PLACEMENT_SYSTEM,
					 &operands[i]));
		memcpy(operands[i].map, self->operands.map, 2 * N * N);
		ASSERT_EQ(0, card_buffer(&cards[i], PAGE + N * N, DRM_QUIRE_PLACEMENT_SYSTEM,
					 &output[i]));
	}
	for (unsigned int i = 0; i < SPACES; i++)
		ASSERT_EQ(0, submit_products(&cards[i], &operands[i], &output[i], cards[i].queue, 1));
	for (unsigned int i = 0; i < SPACES; i++)
		ASSERT_EQ(0, card_wait(cards[i].fd, cards[i].syncobj, 1, 100000 * MS));
	for (unsigned int i = 0; i < SPACES; i++)
		EXPECT_EQ(outcome_of(&output[0])->digest, outcome_of(&output[i])->digest);
	for (unsigned int i = 0; i < SPACES; i++)
		card_teardown(&cards[i]);
}

/* Fills all rings with work for as long as it lives. */
static void occupy(unsigned int queues, int ready)
{
	struct card card;
	uint32_t bytes, queue;
	uint64_t point;

	if (card_setup(&card, 0) || card_long_stream(&card, &bytes))
		_exit(1);
	for (unsigned int i = 0; i < queues; i++) {
		if (card_queue_create(card.fd, card.vm, 600000, &queue))
			_exit(1);
		card.queue = queue;
		if (card_submit(&card, card.stream.va, bytes, &point))
			_exit(1);
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	pause();
}

static pid_t start_occupant(unsigned int queues)
{
	int ready[2];
	pid_t child;
	char byte;

	if (pipe(ready))
		return -1;
	child = fork();
	if (!child)
		occupy(queues, ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		child = -1;
	close(ready[0]);
	return child;
}

TEST_F_TIMEOUT(slots, process_with_all_rings_busy_does_not_keep_out_others, 120)
{
	pid_t occupant = start_occupant(80);
	struct quire_packet_fill fill;
	double worst = 0;

	ASSERT_LT(0, occupant);
	packet_fill(&fill, self->card.stream.va + PAGE, 64, 1);
	for (unsigned int i = 0; i < 20; i++) {
		double start = seconds_now(), took;

		EXPECT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
		took = seconds_now() - start;
		worst = took > worst ? took : worst;
		/* Idle for a while: the slot is taken back. */
		usleep(50000);
	}
	TH_LOG("the worst of 20 jobs took %.0f ms", worst * 1e3);
	EXPECT_GT(2.0 * test_patience(), worst);
	kill(occupant, SIGKILL);
	ASSERT_EQ(occupant, waitpid(occupant, NULL, 0));
}

TEST_F_TIMEOUT(slots, time_limit_counts_the_work_on_the_job_and_not_the_others, 120)
{
	struct drm_quire_queue_query state;
	uint32_t alone, limited, limit_ms, others[20], bytes;
	uint64_t point;
	struct bo output;
	double start;

	ASSERT_EQ(0, card_buffer(&self->card, PAGE + N * N, DRM_QUIRE_PLACEMENT_SYSTEM, &output));
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &alone));
	ASSERT_EQ(0, submit_products(&self->card, &self->operands, &output, alone, 1));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, 1, 30000 * MS));
	ASSERT_EQ(0, card_queue_state(self->card.fd, alone, &state));
	limit_ms = (uint32_t)(state.busy_ns / 1000000 * 3) + 50;
	/* Of the same process: they share what one of them would have. */
	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &self->card.syncobj));
	for (unsigned int i = 0; i < 20; i++) {
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 600000, &others[i]));
		self->card.queue = others[i];
		ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
	}
	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &self->card.syncobj));
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, limit_ms, &limited));
	start = seconds_now();
	ASSERT_EQ(0, submit_products(&self->card, &self->operands, &output, limited, 2));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, 2, 60000 * MS));
	TH_LOG("limit %u ms, took %.0f ms", limit_ms, (seconds_now() - start) * 1e3);
	EXPECT_LT(limit_ms * 1e-3, seconds_now() - start);
	EXPECT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, 2));
	for (unsigned int i = 0; i < 20; i++)
		EXPECT_EQ(0, card_queue_destroy(self->card.fd, others[i]));
}

TEST_F_TIMEOUT(slots, queues_are_destroyed_in_every_state, 60)
{
	enum { QUEUES = 80 };
	uint32_t queue[QUEUES], bytes;
	uint64_t point;

	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	for (unsigned int i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &queue[i]));
		self->card.queue = queue[i];
		ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
	}
	/* Running, parked, being parked, and never started. */
	usleep(200000);
	for (unsigned int i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, card_queue_destroy(self->card.fd, queue[i]));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 1000 * MS));
	EXPECT_EQ(-ECANCELED, card_fence_error(self->card.fd, self->card.syncobj, point));
}

/* Keep the queues of a user busy for so long; the products that were computed meanwhile. */
static uint64_t keep_busy(uid_t user, unsigned int queues, double seconds, int go)
{
	/* Jobs of each queue at any time: it has work also while this process waits for its turn. */
	enum { AHEAD = 16 };
	static struct card cards[64];
	struct drm_quire_usage_info usage = { 0 };
	struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_USAGE, .size = sizeof(usage),
					     .pointer = (uintptr_t)&usage };
	struct card card;
	uint32_t bytes;
	double end;
	char byte;

	if (card_setup(&card, 0) || card_long_stream(&card, &bytes) || setuid(user))
		return 0;
	/* A band for each engine: what many queues have begun counts only when it has ended. */
	((struct quire_packet_gemm *)card.stream.map)->m = 512;
	for (unsigned int i = 0; i < queues; i++) {
		cards[i] = card;
		cards[i].point = 0;
		if (card_queue_create(card.fd, card.vm, 600000, &cards[i].queue) ||
		    card_syncobj_create(card.fd, &cards[i].syncobj))
			return 0;
	}
	if (read(go, &byte, 1) != 1)
		return 0;
	for (end = seconds_now() + seconds; seconds_now() < end; usleep(1000)) {
		for (unsigned int i = 0; i < queues; i++) {
			struct card *c = &cards[i];
			uint64_t point;

			while (seconds_now() < end && (c->point < AHEAD ||
			       !card_wait(c->fd, c->syncobj, c->point - (AHEAD - 1), 0)))
				if (card_submit(c, c->stream.va,
						sizeof(struct quire_packet_gemm), &point))
					return 0;
		}
	}
	card_ioctl(card.fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query);
	return usage.macs;
}

/* Nobody can be more users than he is, but anybody can make queues. */
TEST_F_TIMEOUT(slots, engine_time_is_shared_by_users_and_not_by_queues, 120)
{
	static const unsigned int queues[2] = { 16, 1 };
	uint64_t done[2] = { 0 };
	int go[2], result[2][2];

	ASSERT_EQ(0, pipe(go));
	for (unsigned int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pipe(result[i]));
		if (!fork()) {
			done[i] = keep_busy(1000 + i, queues[i], 5, go[0]);
			_exit(write(result[i][1], &done[i], sizeof(done[i])) < 0);
		}
	}
	usleep(500000);
	ASSERT_EQ(2, write(go[1], "go", 2));
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ((ssize_t)sizeof(done[i]), read(result[i][0], &done[i], sizeof(done[i])));
	TH_LOG("16 queues of one: %llu Mi products, the queue of another: %llu Mi",
	       (unsigned long long)done[0] >> 20, (unsigned long long)done[1] >> 20);
	EXPECT_LT(0, done[0]);
	EXPECT_LT(done[0], 2 * done[1]);
	EXPECT_LT(done[1], 2 * done[0]);
}

/* A user with an address space and several queues of it, all with more work than can be done. */
static void work_as(uid_t user, int ready, int go, int result)
{
	enum { QUEUES = 6, JOBS = 60 };
	static struct drm_quire_job jobs[JOBS];
	struct drm_quire_submit args = { .jobs = { sizeof(jobs[0]), JOBS, (uintptr_t)jobs } };
	struct drm_quire_queue_query state;
	uint32_t queue[QUEUES], bytes;
	uint64_t done = 0;
	struct card card;
	char byte = 0;

	if (card_setup(&card, 0) || card_long_stream(&card, &bytes) || setuid(user))
		_exit(1);
	((struct quire_packet_gemm *)card.stream.map)->m = 512;
	for (unsigned int i = 0; i < JOBS; i++) {
		jobs[i].stream_va = card.stream.va;
		jobs[i].stream_bytes = sizeof(struct quire_packet_gemm);
	}
	for (unsigned int i = 0; i < QUEUES; i++)
		if (card_queue_create(card.fd, card.vm, 600000, &queue[i]))
			_exit(1);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		_exit(1);
	for (unsigned int i = 0; i < QUEUES; i++) {
		args.queue_id = queue[i];
		if (card_ioctl(card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args))
			_exit(1);
	}
	sleep(15);
	for (unsigned int i = 0; i < QUEUES; i++)
		if (!card_queue_state(card.fd, queue[i], &state))
			done += state.completed;
	_exit(write(result, &done, sizeof(done)) != sizeof(done));
}

/* Whoever has one of his queues served goes behind the others, though more of his wait. */
TEST_F_TIMEOUT(slots, users_with_many_queues_beyond_the_contexts_all_get_on, 120)
{
	enum { USERS = 36 };
	int ready[2], go[2], result[USERS][2];
	uint64_t done;
	char byte;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	for (unsigned int i = 0; i < USERS; i++) {
		ASSERT_EQ(0, pipe(result[i]));
		if (!fork())
			work_as(2000 + i, ready[1], go[0], result[i][1]);
		close(result[i][1]);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
	}
	for (unsigned int i = 0; i < USERS; i++) {
		ASSERT_EQ(1, write(go[1], "", 1));
		usleep(20000);
	}
	for (unsigned int i = 0; i < USERS; i++) {
		ASSERT_EQ((ssize_t)sizeof(done), read(result[i][0], &done, sizeof(done)));
		EXPECT_NE(0, done) TH_LOG("user %u", i);
		close(result[i][0]);
	}
}

TEST_HARNESS_MAIN
