/* SPDX-License-Identifier: MIT */
/* Cards that break in the middle of work: who breaks one, and who is there meanwhile. */
#ifndef QUIRE_TESTS_BREAKING_H
#define QUIRE_TESTS_BREAKING_H

#include <sys/types.h>

#include "card.h"

#define BREAKING_LIMIT_MS 500 /* of the guilty queue */

/* The guilty has a short limit and a long stream; the innocent has had an answer. */
int breaking_setup(struct card *guilty, struct card *innocent);
/* Takes all injections back, too. */
void breaking_teardown(struct card *guilty, struct card *innocent);

uint32_t breaking_resets(int fd);

/* A stream of products behind a fill that tells that it has begun: where, and how long. */
uint64_t breaking_marked(struct card *card, uint32_t products, uint32_t *bytes);
/* Where it tells that: not 0 once the stream has begun. */
volatile uint64_t *breaking_mark(struct card *card);
/* Waits until the card has begun to work on the job, however busy the machine is. */
int breaking_begun(struct card *card);
/* The same for the first job of a queue, on an engine that hangs: it cannot tell, but counts. */
int breaking_let_begin(struct card *card);

/*
 * A process that takes the injection back when the job has ended, which others' jobs wait for: the
 * next of them may come to the engine that was hanging.  It is the only one that may inject until
 * breaking_healed() has waited for it.
 */
pid_t breaking_heal_after(const struct card *card, uint64_t point, const char *injection);
int breaking_healed(pid_t healer);

/* A marked stream that is longer than the limit. */
int breaking_start_guilty(struct card *card, uint64_t *point);
/* The first so many packets of the stream, marked; the outcome is written behind them. */
int breaking_start(struct card *card, uint32_t flags, uint32_t products, uint64_t *point);
struct quire_job_outcome *breaking_outcome(struct card *card);
/* One that takes some seconds; its result is known from a run before. */
int breaking_start_other(struct card *card, uint32_t flags, uint64_t *point);
/* Of what the latter computed; 0: it has not ended. */
uint64_t breaking_digest(struct card *card);
void breaking_forget_digest(struct card *card);

#endif
