/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM quire

#if !defined(QUIRE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define QUIRE_TRACE_H

#include <linux/tracepoint.h>

#include "quire_queue.h"

DECLARE_EVENT_CLASS(quire_job,
	TP_PROTO(struct quire_job *job),
	TP_ARGS(job),
	TP_STRUCT__entry(
		__field(int, hw)
		__field(u64, number)
		__field(u64, sequence)
		__field(u64, stream)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->hw = job->queue->slot ? job->queue->slot->hw : -1;
		__entry->number = job->fence.seqno;
		__entry->sequence = job->sequence;
		__entry->stream = job->stream_va;
		__entry->error = job->error;
	),
	TP_printk("ring=%d job=%llu sequence=%llu stream=%#llx error=%d", __entry->hw,
		  __entry->number, __entry->sequence, __entry->stream, __entry->error)
);

DEFINE_EVENT(quire_job, quire_job_submit, TP_PROTO(struct quire_job *job), TP_ARGS(job));
DEFINE_EVENT(quire_job, quire_job_ring, TP_PROTO(struct quire_job *job), TP_ARGS(job));
DEFINE_EVENT(quire_job, quire_job_done, TP_PROTO(struct quire_job *job), TP_ARGS(job));

TRACE_EVENT(quire_fault,
	TP_PROTO(int hw, const struct quire_fence_record *record),
	TP_ARGS(hw, record),
	TP_STRUCT__entry(
		__field(int, hw)
		__field(u32, status)
		__field(u32, packet)
		__field(u32, detail)
		__field(u32, info)
		__field(u64, address)
	),
	TP_fast_assign(
		__entry->hw = hw;
		__entry->status = record->status;
		__entry->packet = record->packet;
		__entry->detail = record->detail;
		__entry->info = record->fault_info;
		__entry->address = record->fault_address;
	),
	TP_printk("ring=%d status=%u packet=%u detail=%u info=%#x address=%#llx", __entry->hw,
		  __entry->status, __entry->packet, __entry->detail, __entry->info,
		  __entry->address)
);

TRACE_EVENT(quire_mailbox,
	TP_PROTO(u32 command, u32 argument, int result),
	TP_ARGS(command, argument, result),
	TP_STRUCT__entry(
		__field(u32, command)
		__field(u32, argument)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->command = command;
		__entry->argument = argument;
		__entry->result = result;
	),
	TP_printk("command=%u argument=%u result=%d", __entry->command, __entry->argument,
		  __entry->result)
);

TRACE_EVENT(quire_reset,
	TP_PROTO(const char *why, int result),
	TP_ARGS(why, result),
	TP_STRUCT__entry(
		__string(why, why)
		__field(int, result)
	),
	TP_fast_assign(
		__assign_str(why);
		__entry->result = result;
	),
	TP_printk("why=%s result=%d", __get_str(why), __entry->result)
);

#endif /* QUIRE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE quire_trace
#include <trace/define_trace.h>
