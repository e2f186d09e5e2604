/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_COREDUMP_H
#define QUIRE_COREDUMP_H

#include "quire_device.h"

struct quire_job;
struct quire_queue;

/*
 * What a card was about when a job failed or it had to be reset, as a device core dump
 * (quire/dump.h).  All but init and fini may be called where fences wait: they copy what is
 * about to change to memory set aside, and leave the rest to a worker.  One for a job and one
 * for a reset can be made at a time: what else happens meanwhile has none.
 */

/* @job of @queue has ended with @record.  Under queue->lock. */
void quire_coredump_job(struct quire_queue *queue, struct quire_job *job,
			const struct quire_fence_record *record);
/* The oldest job on the ring of @queue is over its limit, and still runs. */
void quire_coredump_overdue(struct quire_queue *queue);
/* The card is about to be stopped; @guilty, if not NULL, is thought the reason. */
void quire_coredump_reset(struct quire_device *qdev, struct quire_queue *guilty, const char *why);

int quire_coredump_init(struct quire_device *qdev);
/* After drm_dev_unplug(), no locks held. */
void quire_coredump_fini(struct quire_device *qdev);

#endif /* QUIRE_COREDUMP_H */
