// SPDX-License-Identifier: MIT
/* The pool of threads: every task once, one at a time for each worker, whatever sleeps meanwhile. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <quirenum/threads.h>

#define TASKS_MOST 300u
#define WORKERS_MOST 16u

/*
 * What tasks leave behind: plain memory, as that of users is, which the pool alone keeps from
 * being touched by two at once.
 */
struct set {
	unsigned int workers;
	uint32_t done[TASKS_MOST];		/* written by its task */
	uint32_t by[WORKERS_MOST];		/* counted by each worker */
	atomic_uint at_work[WORKERS_MOST];
	atomic_uint faults;
	unsigned int rest_us;			/* how long a task takes beside */
};

static void rest(unsigned int us)
{
	struct timespec time = { 0, (long)us * 1000 };

	if (us)
		nanosleep(&time, NULL);
}

static void task(void *argument, unsigned int index, unsigned int worker)
{
	struct set *set = argument;

	if (worker >= set->workers || index >= TASKS_MOST) {
		atomic_fetch_add(&set->faults, 1);
		return;
	}
	if (atomic_fetch_add(&set->at_work[worker], 1))
		atomic_fetch_add(&set->faults, 1);
	set->done[index]++;
	set->by[worker]++;
	rest(set->rest_us);
	atomic_fetch_sub(&set->at_work[worker], 1);
}

static void run(struct quire_threads *threads, unsigned int count, unsigned int rest_us)
{
	struct set set = { .workers = quire_threads_count(threads), .rest_us = rest_us };
	uint32_t total = 0;

	quire_threads_run(threads, count, task, &set);
	assert_int_equal(atomic_load(&set.faults), 0);
	for (unsigned int i = 0; i < TASKS_MOST; i++)
		assert_int_equal(set.done[i], i < count);
	for (unsigned int w = 0; w < WORKERS_MOST; w++)
		total += set.by[w];
	assert_int_equal(total, count);
}

static void every_task_once(void **state)
{
	static const unsigned int counts[] = { 0, 1, 2, 3, 7, 64, TASKS_MOST };

	(void)state;
	for (unsigned int t = 0; t <= WORKERS_MOST; t++) {
		struct quire_threads *threads = t ? quire_threads_create(t) : NULL;

		assert_int_equal(quire_threads_count(threads), t ? t : 1);
		for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
			run(threads, counts[c], 0);
		quire_threads_destroy(threads);
	}
}

/* Sets that end while threads still wake up for them, and begin while they go to sleep. */
static void short_sets(void **state)
{
	(void)state;
	for (unsigned int t = 2; t <= 4; t++) {
		struct quire_threads *threads = quire_threads_create(t);

		assert_non_null(threads);
		for (unsigned int i = 0; i < 2000; i++) {
			run(threads, i % 9, 0);
			/* around the time after which idle threads sleep, now and then */
			if (i % 40 == 0)
				rest(i / 40 * 5);
		}
		quire_threads_destroy(threads);
	}
}

static void long_tasks(void **state)
{
	struct quire_threads *threads = quire_threads_create(4);

	(void)state;
	assert_non_null(threads);
	for (unsigned int i = 0; i < 20; i++)
		run(threads, 1 + i % 6, 400);
	quire_threads_destroy(threads);
}

/* Threads wake for a set; its tasks, which sleep, leave the processor to them. */
static void all_workers_take_part(void **state)
{
	struct quire_threads *threads = quire_threads_create(3);
	struct set set = { .workers = 3, .rest_us = 5000 };

	(void)state;
	assert_non_null(threads);
	rest(20000);
	quire_threads_run(threads, 100, task, &set);
	for (unsigned int w = 0; w < 3; w++)
		assert_true(set.by[w] > 0);
	quire_threads_destroy(threads);
}

static void *call_often(void *threads)
{
	for (unsigned int i = 0; i < 300; i++)
		run(threads, 1 + i % 20, 0);
	return NULL;
}

static void callers_take_turns(void **state)
{
	struct quire_threads *threads = quire_threads_create(3);
	pthread_t callers[4];

	(void)state;
	assert_non_null(threads);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, call_often, threads), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(callers[i], NULL);
	quire_threads_destroy(threads);
}

static void pools_come_and_go(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		struct quire_threads *threads = quire_threads_create(1 + i % 5);

		assert_non_null(threads);
		if (i % 3)
			run(threads, i % 11, 0);
		quire_threads_destroy(threads);
	}
}

/* Threads that have nothing to do take no processor. */
static void idle_threads_sleep(void **state)
{
	struct quire_threads *threads = quire_threads_create(2);
	struct timespec before, after;
	double used;

	(void)state;
	assert_non_null(threads);
	run(threads, TASKS_MOST, 100);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	rest(500000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	used = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
	assert_true(used < 0.1);
	quire_threads_destroy(threads);
}

static void too_many(void **state)
{
	(void)state;
	errno = 0;
	assert_null(quire_threads_create(QUIRE_THREADS_LIMIT + 1));
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_task_once),
		cmocka_unit_test(short_sets),
		cmocka_unit_test(long_tasks),
		cmocka_unit_test(all_workers_take_part),
		cmocka_unit_test(callers_take_turns),
		cmocka_unit_test(pools_come_and_go),
		cmocka_unit_test(idle_threads_sleep),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
