// SPDX-License-Identifier: MIT
/*
 * Thread pool: a task set is a counter that every worker takes indices from.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <quirenum/threads.h>

struct quire_threads {
	unsigned int count;		/* workers, the caller included */
	pthread_t *ids;			/* count - 1 of them */
	pthread_mutex_t turn;		/* held by the caller whose set is running */
	pthread_mutex_t lock;		/* generation, busy, stop */
	pthread_cond_t start;
	pthread_cond_t done;
	unsigned long generation;	/* one more for each set */
	unsigned int busy;		/* started threads not yet through with the set */
	unsigned int born;		/* worker numbers given out */
	int stop;
	/* the set under way; written before generation, under lock */
	void (*task)(void *argument, unsigned int index, unsigned int worker);
	void *argument;
	unsigned int tasks;
	atomic_uint next;
};

static void take_tasks(struct quire_threads *threads, unsigned int worker)
{
	for (;;) {
		unsigned int index = atomic_fetch_add_explicit(&threads->next, 1,
							       memory_order_relaxed);

		/* next cannot wrap: it passes tasks by at most one per worker */
		if (index >= threads->tasks)
			return;
		threads->task(threads->argument, index, worker);
	}
}

static void *worker_main(void *argument)
{
	struct quire_threads *threads = argument;
	unsigned long seen = 0;
	unsigned int worker;

	pthread_mutex_lock(&threads->lock);
	worker = ++threads->born;
	for (;;) {
		while (threads->generation == seen && !threads->stop)
			pthread_cond_wait(&threads->start, &threads->lock);
		if (threads->stop)
			break;
		seen = threads->generation;
		pthread_mutex_unlock(&threads->lock);
		take_tasks(threads, worker);
		pthread_mutex_lock(&threads->lock);
		if (--threads->busy == 0)
			pthread_cond_signal(&threads->done);
	}
	pthread_mutex_unlock(&threads->lock);
	return NULL;
}

static unsigned int usable_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (unsigned int)CPU_COUNT(&set);
}

struct quire_threads *quire_threads_create(unsigned int count)
{
	struct quire_threads *threads;
	unsigned int i;
	int error;

	if (!count)
		count = usable_cpus();
	if (count > QUIRE_THREADS_LIMIT) {
		errno = EINVAL;
		return NULL;
	}
	threads = calloc(1, sizeof(*threads));
	if (!threads)
		return NULL;
	threads->ids = calloc(count, sizeof(*threads->ids));
	if (!threads->ids) {
		free(threads);
		return NULL;
	}
	pthread_mutex_init(&threads->turn, NULL);
	pthread_mutex_init(&threads->lock, NULL);
	pthread_cond_init(&threads->start, NULL);
	pthread_cond_init(&threads->done, NULL);
	for (i = 1; i < count; i++) {
		error = pthread_create(&threads->ids[i - 1], NULL, worker_main, threads);
		if (error) {
			threads->count = i;
			quire_threads_destroy(threads);
			errno = error;
			return NULL;
		}
	}
	threads->count = count;
	return threads;
}

void quire_threads_destroy(struct quire_threads *threads)
{
	unsigned int i;

	if (!threads)
		return;
	pthread_mutex_lock(&threads->lock);
	threads->stop = 1;
	pthread_cond_broadcast(&threads->start);
	pthread_mutex_unlock(&threads->lock);
	for (i = 1; i < threads->count; i++)
		pthread_join(threads->ids[i - 1], NULL);
	pthread_cond_destroy(&threads->done);
	pthread_cond_destroy(&threads->start);
	pthread_mutex_destroy(&threads->lock);
	pthread_mutex_destroy(&threads->turn);
	free(threads->ids);
	free(threads);
}

unsigned int quire_threads_count(const struct quire_threads *threads)
{
	return threads ? threads->count : 1;
}

void quire_threads_run(struct quire_threads *threads, unsigned int count,
		       void (*task)(void *argument, unsigned int index, unsigned int worker),
		       void *argument)
{
	unsigned int i;

	if (!threads) {
		for (i = 0; i < count; i++)
			task(argument, i, 0);
		return;
	}
	pthread_mutex_lock(&threads->turn);
	pthread_mutex_lock(&threads->lock);
	threads->task = task;
	threads->argument = argument;
	threads->tasks = count;
	atomic_store_explicit(&threads->next, 0, memory_order_relaxed);
	threads->busy = threads->count - 1;
	threads->generation++;
	pthread_cond_broadcast(&threads->start);
	pthread_mutex_unlock(&threads->lock);

	take_tasks(threads, 0);

	pthread_mutex_lock(&threads->lock);
	while (threads->busy)
		pthread_cond_wait(&threads->done, &threads->lock);
	pthread_mutex_unlock(&threads->lock);
	pthread_mutex_unlock(&threads->turn);
}
