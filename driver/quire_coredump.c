// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device core dumps: the half that runs where fences wait.  It copies registers, the cause, and
 * ring and records of its queue; quire_coredump_write.c makes a file of it.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include <drm/drm_managed.h>

#include "quire_coredump.h"
#include "quire_coredump_write.h"
#include "quire_look.h"
#include "quire_queue.h"
#include "quire_vm.h"

/* A storm of faults makes no storm of dumps, which would be thrown away anyhow. */
#define QUIRE_COREDUMP_INTERVAL msecs_to_jiffies(1000)

static void quire_coredump_add_register(struct quire_coredump *dump, u32 offset)
{
	struct quire_dump_register *entry = &dump->registers[dump->registers_count++];

	entry->offset = offset;
	entry->value = quire_read(dump->all->qdev, offset);
}

static void quire_coredump_add_ring_registers(struct quire_coredump *dump, u32 ring)
{
	for (unsigned int i = 0; i < quire_queue_registers_count; i++)
		quire_coredump_add_register(dump, QUIRE_REG_QUEUE(ring) +
					    quire_queue_registers[i].offset);
}

static void quire_coredump_add_context_registers(struct quire_coredump *dump, u32 context)
{
	quire_coredump_add_register(dump, QUIRE_REG_CONTEXT_ROOT_LO(context));
	quire_coredump_add_register(dump, QUIRE_REG_CONTEXT_ROOT_HI(context));
	quire_coredump_add_register(dump, QUIRE_REG_FLUSHED(context));
	quire_coredump_add_register(dump, QUIRE_REG_DRAINED(context));
}

static void quire_coredump_add_card_registers(struct quire_coredump *dump)
{
	for (unsigned int i = 0; i < quire_card_registers_count; i++)
		quire_coredump_add_register(dump, quire_card_registers[i].offset);
}

/* False: one of its kind is being made, or a job's was just now. */
static bool quire_coredump_take(struct quire_coredump *dump, u32 reason)
{
	if (atomic_cmpxchg(&dump->busy, 0, 1))
		return false;
	if (dump->made && reason != QUIRE_DUMP_RESET &&
	    time_before(jiffies, dump->made_at + QUIRE_COREDUMP_INTERVAL)) {
		atomic_set_release(&dump->busy, 0);
		return false;
	}
	dump->reason = reason;
	dump->realtime = ktime_get_real_ns();
	dump->boottime = ktime_get_boottime_ns();
	dump->registers_count = 0;
	dump->queue = NULL;
	memset(&dump->cause, 0, sizeof(dump->cause));
	dump->cause.ring = QUIRE_DUMP_NONE;
	dump->cause.context = QUIRE_DUMP_NONE;
	return true;
}

static void quire_coredump_take_queue(struct quire_coredump *dump, struct quire_queue *queue,
				      const struct quire_job *job)
{
	struct quire_dump_cause *cause = &dump->cause;

	lockdep_assert_held(&queue->lock);
	kref_get(&queue->ref);
	dump->queue = queue;
	cause->pid = queue->pid;
	strscpy(cause->command, queue->comm, sizeof(cause->command));
	if (queue->live) {
		cause->ring = queue->slot->hw;
		cause->context = queue->vm->mmu.context;
	}
	if (job) {
		cause->job = job->fence.seqno;
		cause->sequence = job->sequence;
		cause->stream_address = job->stream_va;
		cause->stream_bytes = job->stream_bytes;
	}
	memcpy(dump->ring, queue->ring, QUIRE_RING_BYTES);
	memcpy(dump->records, queue->records, QUIRE_RECORDS_BYTES);
}

void quire_coredump_job(struct quire_queue *queue, struct quire_job *job,
			const struct quire_fence_record *record)
{
	bool timeout = record->status == QUIRE_STATUS_CANCELLED;
	struct quire_coredumps *all = queue->qdev->coredumps;
	struct quire_dump_cause *cause;
	struct quire_coredump *dump;

	if (!all)
		return;
	dump = &all->job;
	if (!quire_coredump_take(dump, timeout ? QUIRE_DUMP_JOB_TIMEOUT : QUIRE_DUMP_JOB_FAILED))
		return;
	quire_coredump_take_queue(dump, queue, job);
	cause = &dump->cause;
	cause->status = record->status;
	cause->packet = record->packet;
	cause->detail = record->detail;
	cause->fault_info = record->fault_info;
	cause->fault_address = record->fault_address;
	quire_coredump_add_card_registers(dump);
	if (cause->ring != QUIRE_DUMP_NONE) {
		quire_coredump_add_ring_registers(dump, cause->ring);
		quire_coredump_add_context_registers(dump, cause->context);
	}
	queue_work(system_long_wq, &dump->work);
}

void quire_coredump_overdue(struct quire_queue *queue)
{
	struct quire_fence_record record = { .status = QUIRE_STATUS_CANCELLED };
	struct quire_job *job;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	job = list_first_entry_or_null(&queue->running, struct quire_job, node);
	if (job)
		quire_coredump_job(queue, job, &record);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void quire_coredump_reset(struct quire_device *qdev, struct quire_queue *guilty, const char *why)
{
	struct quire_coredumps *all = qdev->coredumps;
	struct quire_coredump *dump;
	unsigned long flags;

	if (!all)
		return;
	dump = &all->reset;
	if (!quire_coredump_take(dump, QUIRE_DUMP_RESET))
		return;
	strscpy(dump->cause.text, why, sizeof(dump->cause.text));
	quire_coredump_add_card_registers(dump);
	for (u32 q = 0; q < qdev->queues_total; q++)
		if (quire_read(qdev, QUIRE_REG_QUEUE(q) + QUIRE_QUEUE_STATE) != QUIRE_QUEUE_OFF)
			quire_coredump_add_ring_registers(dump, q);
	for (u32 c = 0; c < qdev->contexts_total; c++)
		quire_coredump_add_context_registers(dump, c);
	if (guilty) {
		spin_lock_irqsave(&guilty->lock, flags);
		quire_coredump_take_queue(dump, guilty,
					  list_first_entry_or_null(&guilty->running,
								   struct quire_job, node));
		spin_unlock_irqrestore(&guilty->lock, flags);
	}
	queue_work(system_long_wq, &dump->work);
}

/* What is set aside is free for the next one. */
static void quire_coredump_release(struct quire_coredump *dump)
{
	if (dump->queue)
		quire_queue_put(dump->queue);
	dump->queue = NULL;
	dump->made = true;
	dump->made_at = jiffies;
	atomic_set_release(&dump->busy, 0);
}

static void quire_coredump_work(struct work_struct *work)
{
	struct quire_coredump *dump = container_of(work, struct quire_coredump, work);

	quire_coredump_write(dump);
	quire_coredump_release(dump);
}

static void quire_coredump_free(struct drm_device *drm, void *data)
{
	kvfree(data);
}

static void quire_coredump_set_aside(struct quire_coredumps *all, struct quire_coredump *dump)
{
	dump->all = all;
	INIT_WORK(&dump->work, quire_coredump_work);
}

int quire_coredump_init(struct quire_device *qdev)
{
	struct quire_coredumps *all = kvzalloc(sizeof(*all), GFP_KERNEL);
	int ret;

	if (!all)
		return -ENOMEM;
	all->qdev = qdev;
	quire_coredump_set_aside(all, &all->job);
	quire_coredump_set_aside(all, &all->reset);
	mutex_init(&all->lock);
	ret = drmm_add_action_or_reset(&qdev->drm, quire_coredump_free, all);
	if (!ret)
		qdev->coredumps = all;
	return ret;
}

void quire_coredump_fini(struct quire_device *qdev)
{
	struct quire_coredumps *all = qdev->coredumps;

	if (!all)
		return;
	/* One that has begun is made; the card itself is not needed for it. */
	flush_work(&all->job.work);
	flush_work(&all->reset.work);
}
