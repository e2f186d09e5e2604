// SPDX-License-Identifier: MIT
/*
 * Thread pool: a task set is cut into shares, one for each worker, who helps the others when he
 * is through with his own.
 *
 * Threads that sleep take long to wake, often as long as a short set, and some kernels let them
 * wake on the very processor that the caller needs.  So nobody waits for a thread that has not
 * begun: a worker joins a set, which the caller closes when there is nothing left to take.  And
 * who has nothing to do looks out for the next set, or for the end of this one, for a while
 * before he sleeps, unless he would take a processor from the others by it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quirenum/threads.h>

/*
 * The state of the set, in one word so that nobody joins but an open one: its number, whether it
 * is closed, and how many threads beside the caller are at it.
 */
#define STATE_MEMBERS UINT64_C(0x7ff)	/* below QUIRE_THREADS_LIMIT */
#define STATE_CLOSED UINT64_C(0x800)
#define STATE_NUMBER UINT64_C(0x1000)	/* of one set */

#define SPIN_NS 100000u			/* a few times what waking costs */

/* Indices from next to end - 1 are still to be taken. */
struct share {
	_Alignas(64) atomic_uint next;
	unsigned int end;
};

struct quire_threads {
	unsigned int count;		/* workers, the caller included */
	pthread_t *ids;			/* count - 1 of them */
	bool spin;			/* there is a processor for each */
	pthread_mutex_t turn;		/* held by the caller whose set is running */
	pthread_mutex_t lock;		/* to sleep and to wake; born */
	pthread_cond_t start;
	pthread_cond_t done;
	unsigned int born;		/* worker numbers given out */
	/*
	 * In sequential consistency with state: who sleeps says so before he looks at the state
	 * again, who changes the state looks for sleepers after it.
	 */
	atomic_uint sleepers;
	atomic_bool caller_sleeps;
	atomic_bool stop;
	atomic_int caller_cpu;
	atomic_bool crowded;		/* a member runs on the caller's processor */
	_Alignas(64) _Atomic uint64_t state;
	/* the set under way, written while it is closed and has no members */
	void (*task)(void *argument, unsigned int index, unsigned int worker);
	void *argument;
	struct share *shares;		/* one per worker: what he takes before others' */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A fraction of a microsecond in which a sibling of the processor can work. */
static void relax(void)
{
	for (int i = 0; i < 16; i++) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#else
		atomic_signal_fence(memory_order_seq_cst);
#endif
	}
}

/*
 * A worker begins with his own share, so that what he touches tends to be in his cache from set
 * to set, and goes on with the others'.
 */
static void take_tasks(struct quire_threads *threads, unsigned int worker)
{
	for (unsigned int i = 0; i < threads->count; i++) {
		struct share *share = &threads->shares[(worker + i) % threads->count];

		for (;;) {
			unsigned int index = atomic_fetch_add_explicit(&share->next, 1,
								       memory_order_relaxed);

			/* next cannot wrap: it passes end by at most one per worker */
			if (index >= share->end)
				break;
			threads->task(threads->argument, index, worker);
		}
	}
}

static bool same_set(struct quire_threads *threads, uint64_t seen)
{
	return atomic_load(&threads->state) / STATE_NUMBER == seen && !atomic_load(&threads->stop);
}

static bool with_caller(struct quire_threads *threads)
{
	return sched_getcpu() == atomic_load_explicit(&threads->caller_cpu, memory_order_relaxed);
}

/*
 * Leave the processor of the caller, who could not work meanwhile, for any other one.  The kernel
 * would see to it as well, but only milliseconds later.
 */
static void move_away(struct quire_threads *threads)
{
	int cpu = sched_getcpu();
	cpu_set_t all, others;

	if (!threads->spin || cpu < 0 || cpu >= CPU_SETSIZE || !with_caller(threads) ||
	    sched_getaffinity(0, sizeof(all), &all))
		return;
	others = all;
	CPU_CLR(cpu, &others);
	if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof(others), &others))
		sched_setaffinity(0, sizeof(all), &all);
}

/* Until there is another set than the one seen, or none any more. */
static void await_set(struct quire_threads *threads, uint64_t seen)
{
	if (threads->spin && !with_caller(threads)) {
		uint64_t end = now_ns() + SPIN_NS;

		while (same_set(threads, seen) && now_ns() < end)
			relax();
	}
	if (!same_set(threads, seen))
		return;
	pthread_mutex_lock(&threads->lock);
	atomic_fetch_add(&threads->sleepers, 1);
	while (same_set(threads, seen))
		pthread_cond_wait(&threads->start, &threads->lock);
	atomic_fetch_sub(&threads->sleepers, 1);
	pthread_mutex_unlock(&threads->lock);
	move_away(threads);
}

/* Become a member of the set that is open, if one is; its number. */
static bool join_set(struct quire_threads *threads, uint64_t *number)
{
	uint64_t state = atomic_load(&threads->state);

	do {
		*number = state / STATE_NUMBER;
		if (state & STATE_CLOSED)
			return false;
	} while (!atomic_compare_exchange_weak(&threads->state, &state, state + 1));
	return true;
}

static void leave_set(struct quire_threads *threads)
{
	uint64_t state = atomic_fetch_sub(&threads->state, 1);

	if ((state & (STATE_CLOSED | STATE_MEMBERS)) == (STATE_CLOSED | 1) &&
	    atomic_load(&threads->caller_sleeps)) {
		pthread_mutex_lock(&threads->lock);
		pthread_cond_signal(&threads->done);
		pthread_mutex_unlock(&threads->lock);
	}
}

static void *worker_main(void *argument)
{
	struct quire_threads *threads = argument;
	uint64_t seen = 0;
	unsigned int worker;

	pthread_mutex_lock(&threads->lock);
	worker = ++threads->born;
	pthread_mutex_unlock(&threads->lock);
	for (;;) {
		await_set(threads, seen);
		if (atomic_load(&threads->stop))
			return NULL;
		if (!join_set(threads, &seen))
			continue;
		if (with_caller(threads))
			atomic_store_explicit(&threads->crowded, true, memory_order_relaxed);
		take_tasks(threads, worker);
		leave_set(threads);
	}
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
	threads = aligned_alloc(_Alignof(struct quire_threads), sizeof(*threads));
	if (!threads)
		return NULL;
	memset(threads, 0, sizeof(*threads));
	atomic_init(&threads->state, STATE_CLOSED);
	threads->ids = calloc(count, sizeof(*threads->ids));
	threads->shares = aligned_alloc(64, count * sizeof(*threads->shares));
	if (!threads->ids || !threads->shares) {
		free(threads->ids);
		free(threads->shares);
		free(threads);
		return NULL;
	}
	pthread_mutex_init(&threads->turn, NULL);
	pthread_mutex_init(&threads->lock, NULL);
	pthread_cond_init(&threads->start, NULL);
	pthread_cond_init(&threads->done, NULL);
	threads->spin = count <= usable_cpus();
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
	atomic_store(&threads->stop, true);
	pthread_cond_broadcast(&threads->start);
	pthread_mutex_unlock(&threads->lock);
	for (i = 1; i < threads->count; i++)
		pthread_join(threads->ids[i - 1], NULL);
	pthread_cond_destroy(&threads->done);
	pthread_cond_destroy(&threads->start);
	pthread_mutex_destroy(&threads->lock);
	pthread_mutex_destroy(&threads->turn);
	free(threads->shares);
	free(threads->ids);
	free(threads);
}

unsigned int quire_threads_count(const struct quire_threads *threads)
{
	return threads ? threads->count : 1;
}

/* Let the threads have the set that has been written. */
static void open_set(struct quire_threads *threads)
{
	uint64_t number = atomic_load(&threads->state) / STATE_NUMBER;

	atomic_store_explicit(&threads->crowded, false, memory_order_relaxed);
	atomic_store_explicit(&threads->caller_cpu, sched_getcpu(), memory_order_relaxed);
	atomic_store(&threads->state, (number + 1) * STATE_NUMBER);
	if (atomic_load(&threads->sleepers)) {
		pthread_mutex_lock(&threads->lock);
		pthread_cond_broadcast(&threads->start);
		pthread_mutex_unlock(&threads->lock);
	}
}

static bool has_members(struct quire_threads *threads)
{
	return atomic_load(&threads->state) & STATE_MEMBERS;
}

/* Nothing is left to take: when those who are still at it are done, so is the set. */
static void close_set(struct quire_threads *threads)
{
	atomic_fetch_or(&threads->state, STATE_CLOSED);
	if (threads->spin && !atomic_load_explicit(&threads->crowded, memory_order_relaxed)) {
		uint64_t end = now_ns() + SPIN_NS;

		while (has_members(threads) && now_ns() < end)
			relax();
	}
	if (!has_members(threads))
		return;
	pthread_mutex_lock(&threads->lock);
	atomic_store(&threads->caller_sleeps, true);
	while (has_members(threads))
		pthread_cond_wait(&threads->done, &threads->lock);
	atomic_store(&threads->caller_sleeps, false);
	pthread_mutex_unlock(&threads->lock);
}

static void deal(struct quire_threads *threads, unsigned int count)
{
	for (unsigned int i = 0; i < threads->count; i++) {
		uint64_t first = (uint64_t)count * i / threads->count;
		uint64_t end = (uint64_t)count * (i + 1) / threads->count;

		atomic_store_explicit(&threads->shares[i].next, (unsigned int)first,
				      memory_order_relaxed);
		threads->shares[i].end = (unsigned int)end;
	}
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
	threads->task = task;
	threads->argument = argument;
	deal(threads, count);
	/* nobody need wake for one */
	if (count > 1)
		open_set(threads);
	take_tasks(threads, 0);
	close_set(threads);
	pthread_mutex_unlock(&threads->turn);
}
