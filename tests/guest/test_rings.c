// SPDX-License-Identifier: MIT
/* Rings change hands all the time: there are far fewer than queues that have a job now and then. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "card.h"
#include "harness.h"
#include "patience.h"

#define THREADS 4
#define QUEUES 40 /* of each thread: more than the card has rings, in all */
#define SECONDS 8

/* One thread: a file, an address space and queues of its own. */
struct user {
	pthread_t thread;
	unsigned int seed;
	uint64_t jobs;
	int ret;
};

static int user_run(struct user *user, struct card *card, uint32_t *queues)
{
	double end = seconds_now() + SECONDS;
	uint64_t point;
	int ret = 0;

	for (int i = 0; i < QUEUES && !ret; i++)
		ret = card_queue_create(card->fd, card->vm, 0, &queues[i]);
	while (!ret && seconds_now() < end) {
		card->queue = queues[rand_r(&user->seed) % QUEUES];
		ret = card_submit(card, 0, 0, &point);
		if (!ret)
			ret = card_wait(card->fd, card->syncobj, point, 10000 * MS);
		user->jobs++;
	}
	return ret;
}

static void *user_thread(void *data)
{
	struct user *user = data;
	uint32_t queues[QUEUES];
	struct card card;

	user->ret = card_setup(&card, 0);
	if (!user->ret)
		user->ret = user_run(user, &card, queues);
	card_teardown(&card);
	return NULL;
}

/* A job may come just when its idle queue loses the ring: it has to wait for another. */
TEST(no_job_is_lost_while_rings_change_hands)
{
	struct user users[THREADS] = { 0 };
	uint64_t jobs = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		users[i].seed = i + 1;
		ASSERT_EQ(0, pthread_create(&users[i].thread, NULL, user_thread, &users[i]));
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(users[i].thread, NULL));
		EXPECT_EQ(0, users[i].ret);
		jobs += users[i].jobs;
	}
	TH_LOG("%llu jobs", (unsigned long long)jobs);
}

TEST_HARNESS_MAIN
