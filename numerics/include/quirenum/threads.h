/* SPDX-License-Identifier: MIT */
/*
 * A pool of threads given to the library by its caller.  The library itself
 * never starts a thread.
 */
#ifndef QUIRENUM_THREADS_H
#define QUIRENUM_THREADS_H

#ifdef __cplusplus
extern "C" {
#endif

struct quire_threads;

#define QUIRE_THREADS_LIMIT 1024u

/*
 * A pool in which count threads work, the caller of quire_threads_run() being
 * one of them: count - 1 are started.  count 0 means one for each CPU the
 * process may run on.  NULL with errno set when that fails.
 *
 * When there is a CPU for each of them, a thread that is through with a set of
 * tasks looks out for the next one for 0.1 ms before it sleeps, and one that
 * wakes on the caller's CPU moves to another one that it may run on.
 */
struct quire_threads *quire_threads_create(unsigned int count);

/* Ends the threads; no quire_threads_run() may be under way. NULL is fine. */
void quire_threads_destroy(struct quire_threads *threads);

/* Threads that work, the caller included; 1 for NULL. */
unsigned int quire_threads_count(const struct quire_threads *threads);

/*
 * Call task(argument, index, worker) once for every index below count, in any
 * order, on the pool's threads and the calling one, and return when all are
 * done; threads that are slow to wake are not waited for.  worker is below
 * quire_threads_count() and no two tasks run at once with the same worker.  With
 * NULL the calling thread does them all in order.  Calls from several threads
 * take turns.  A task must not run its own pool.
 */
void quire_threads_run(struct quire_threads *threads, unsigned int count,
		       void (*task)(void *argument, unsigned int index, unsigned int worker),
		       void *argument);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_THREADS_H */
