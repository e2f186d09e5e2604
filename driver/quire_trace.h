/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM quire

#if !defined(QUIRE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define QUIRE_TRACE_H

#include <linux/tracepoint.h>

#include "quire_bind.h"
#include "quire_queue.h"

/*
 * Every event names the card; those of a queue name the process that made it, because many
 * happen in an interrupt or a worker.  A ring of -1 is none.
 */

DECLARE_EVENT_CLASS(quire_job,
	TP_PROTO(struct quire_job *job),
	TP_ARGS(job),
	TP_STRUCT__entry(
		__string(dev, dev_name(job->queue->qdev->drm.dev))
		__string(comm, job->queue->comm)
		__field(pid_t, pid)
		__field(int, ring)
		__field(u64, number)
		__field(u64, sequence)
		__field(u64, stream)
		__field(u32, bytes)
	),
	TP_fast_assign(
		struct quire_slot *slot = READ_ONCE(job->queue->slot);

		__assign_str(dev);
		__assign_str(comm);
		__entry->pid = job->queue->pid;
		__entry->ring = slot ? slot->hw : -1;
		__entry->number = job->fence.seqno;
		__entry->sequence = job->sequence;
		__entry->stream = job->stream_va;
		__entry->bytes = job->stream_bytes;
	),
	TP_printk("%s %s[%d] ring=%d job=%llu sequence=%llu stream=%#llx+%u", __get_str(dev),
		  __get_str(comm), __entry->pid, __entry->ring, __entry->number,
		  __entry->sequence, __entry->stream, __entry->bytes)
);

DEFINE_EVENT(quire_job, quire_job_submit, TP_PROTO(struct quire_job *job), TP_ARGS(job));
DEFINE_EVENT(quire_job, quire_job_ring, TP_PROTO(struct quire_job *job), TP_ARGS(job));

TRACE_EVENT(quire_job_done,
	TP_PROTO(struct quire_job *job),
	TP_ARGS(job),
	TP_STRUCT__entry(
		__string(dev, dev_name(job->queue->qdev->drm.dev))
		__string(comm, job->queue->comm)
		__field(pid_t, pid)
		__field(u64, number)
		__field(u64, sequence)
		__field(u64, busy_ns)
		__field(int, error)
	),
	TP_fast_assign(
		__assign_str(dev);
		__assign_str(comm);
		__entry->pid = job->queue->pid;
		__entry->number = job->fence.seqno;
		__entry->sequence = job->sequence;
		__entry->busy_ns = job->busy_ns;
		__entry->error = job->error;
	),
	TP_printk("%s %s[%d] job=%llu sequence=%llu busy_ns=%llu error=%d", __get_str(dev),
		  __get_str(comm), __entry->pid, __entry->number, __entry->sequence,
		  __entry->busy_ns, __entry->error)
);

TRACE_EVENT(quire_fault,
	TP_PROTO(struct quire_queue *queue, u64 number, const struct quire_fence_record *record),
	TP_ARGS(queue, number, record),
	TP_STRUCT__entry(
		__string(dev, dev_name(queue->qdev->drm.dev))
		__string(comm, queue->comm)
		__field(pid_t, pid)
		__field(int, ring)
		__field(u64, number)
		__field(u32, status)
		__field(u32, packet)
		__field(u32, detail)
		__field(u32, info)
		__field(u64, address)
	),
	TP_fast_assign(
		__assign_str(dev);
		__assign_str(comm);
		__entry->pid = queue->pid;
		__entry->ring = queue->slot ? queue->slot->hw : -1;
		__entry->number = number;
		__entry->status = record->status;
		__entry->packet = record->packet;
		__entry->detail = record->detail;
		__entry->info = record->fault_info;
		__entry->address = record->fault_address;
	),
	TP_printk("%s %s[%d] ring=%d job=%llu status=%u packet=%u detail=%u info=%#x address=%#llx",
		  __get_str(dev), __get_str(comm), __entry->pid, __entry->ring, __entry->number,
		  __entry->status, __entry->packet, __entry->detail, __entry->info,
		  __entry->address)
);

DECLARE_EVENT_CLASS(quire_slot,
	TP_PROTO(struct quire_slot *slot, struct quire_queue *queue),
	TP_ARGS(slot, queue),
	TP_STRUCT__entry(
		__string(dev, dev_name(slot->qdev->drm.dev))
		__string(comm, queue->comm)
		__field(pid_t, pid)
		__field(u32, ring)
		__field(int, context)
		__field(bool, parked)
	),
	TP_fast_assign(
		__assign_str(dev);
		__assign_str(comm);
		__entry->pid = queue->pid;
		__entry->ring = slot->hw;
		__entry->context = queue->vm->mmu.context;
		__entry->parked = queue->parked;
	),
	TP_printk("%s %s[%d] ring=%u context=%d parked=%d", __get_str(dev), __get_str(comm),
		  __entry->pid, __entry->ring, __entry->context, __entry->parked)
);

/* A ring is lent to a queue, which goes on with a job in progress if it was parked. */
DEFINE_EVENT(quire_slot, quire_slot_lend,
	TP_PROTO(struct quire_slot *slot, struct quire_queue *queue), TP_ARGS(slot, queue));
/* The queue is asked to come to rest. */
DEFINE_EVENT(quire_slot, quire_slot_park,
	TP_PROTO(struct quire_slot *slot, struct quire_queue *queue), TP_ARGS(slot, queue));
/* The ring is free again. */
DEFINE_EVENT(quire_slot, quire_slot_return,
	TP_PROTO(struct quire_slot *slot, struct quire_queue *queue), TP_ARGS(slot, queue));

DECLARE_EVENT_CLASS(quire_bind,
	TP_PROTO(struct quire_bind_job *job),
	TP_ARGS(job),
	TP_STRUCT__entry(
		__string(dev, dev_name(job->vm->qdev->drm.dev))
		__field(int, context)
		__field(u64, number)
		__field(u32, count)
		__field(u64, va)
		__field(int, error)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->context = READ_ONCE(job->vm->mmu.context);
		__entry->number = job->number;
		__entry->count = job->count;
		__entry->va = job->count ? job->ops[0].va : 0;
		__entry->error = job->error;
	),
	TP_printk("%s context=%d call=%llu operations=%u first=%#llx error=%d", __get_str(dev),
		  __entry->context, __entry->number, __entry->count, __entry->va,
		  __entry->error)
);

/* A VM_BIND call waits for fences or for calls before it. */
DEFINE_EVENT(quire_bind, quire_bind_queued, TP_PROTO(struct quire_bind_job *job), TP_ARGS(job));
/* The page tables show it. */
DEFINE_EVENT(quire_bind, quire_bind_run, TP_PROTO(struct quire_bind_job *job), TP_ARGS(job));

/* Places are TTM's: 0 waits to be swapped out, 1 system memory, 2 card memory; -1 is none. */
TRACE_EVENT(quire_move,
	TP_PROTO(struct quire_device *qdev, u64 size, int from, int to, bool evict, int result),
	TP_ARGS(qdev, size, from, to, evict, result),
	TP_STRUCT__entry(
		__string(dev, dev_name(qdev->drm.dev))
		__field(u64, size)
		__field(int, from)
		__field(int, to)
		__field(bool, evict)
		__field(int, result)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->size = size;
		__entry->from = from;
		__entry->to = to;
		__entry->evict = evict;
		__entry->result = result;
	),
	TP_printk("%s bytes=%llu from=%d to=%d evict=%d result=%d", __get_str(dev), __entry->size,
		  __entry->from, __entry->to, __entry->evict, __entry->result)
);

/* What the engines did of it; -1 as the place it comes from means zeros. */
TRACE_EVENT(quire_migrate,
	TP_PROTO(struct quire_device *qdev, u64 size, int from, int to, int result),
	TP_ARGS(qdev, size, from, to, result),
	TP_STRUCT__entry(
		__string(dev, dev_name(qdev->drm.dev))
		__field(u64, size)
		__field(int, from)
		__field(int, to)
		__field(int, result)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->size = size;
		__entry->from = from;
		__entry->to = to;
		__entry->result = result;
	),
	TP_printk("%s bytes=%llu from=%d to=%d result=%d", __get_str(dev), __entry->size,
		  __entry->from, __entry->to, __entry->result)
);

TRACE_EVENT(quire_mailbox,
	TP_PROTO(struct quire_device *qdev, u32 command, u32 argument, int result),
	TP_ARGS(qdev, command, argument, result),
	TP_STRUCT__entry(
		__string(dev, dev_name(qdev->drm.dev))
		__field(u32, command)
		__field(u32, argument)
		__field(int, result)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->command = command;
		__entry->argument = argument;
		__entry->result = result;
	),
	TP_printk("%s command=%u argument=%u result=%d", __get_str(dev), __entry->command,
		  __entry->argument, __entry->result)
);

DECLARE_EVENT_CLASS(quire_reset,
	TP_PROTO(struct quire_device *qdev, const char *what, int result),
	TP_ARGS(qdev, what, result),
	TP_STRUCT__entry(
		__string(dev, dev_name(qdev->drm.dev))
		__string(what, what)
		__field(int, result)
	),
	TP_fast_assign(
		__assign_str(dev);
		__assign_str(what);
		__entry->result = result;
	),
	TP_printk("%s %s result=%d", __get_str(dev), __get_str(what), __entry->result)
);

/* A step of a reset, and its end, which says why there was one. */
DEFINE_EVENT(quire_reset, quire_reset_step,
	TP_PROTO(struct quire_device *qdev, const char *what, int result),
	TP_ARGS(qdev, what, result));
DEFINE_EVENT(quire_reset, quire_reset,
	TP_PROTO(struct quire_device *qdev, const char *what, int result),
	TP_ARGS(qdev, what, result));

/* Whether the card is there: enum quire_away. */
TRACE_EVENT(quire_power,
	TP_PROTO(struct quire_device *qdev, int away),
	TP_ARGS(qdev, away),
	TP_STRUCT__entry(
		__string(dev, dev_name(qdev->drm.dev))
		__field(int, away)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->away = away;
	),
	TP_printk("%s %s", __get_str(dev),
		  __print_symbolic(__entry->away, { 0, "here" }, { 1, "asleep" },
				   { 2, "suspended" }, { 3, "resetting" }))
);

#endif /* QUIRE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE quire_trace
#include <trace/define_trace.h>
