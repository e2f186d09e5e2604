// SPDX-License-Identifier: MIT
/* Queues and fences. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quire/hw.h>

#include "internal.h"

#define SUBMIT_MAX 256

int quire_queue_create(quire_context *context, enum quire_priority priority,
		       uint32_t time_limit_ms, quire_queue **out)
{
	quire_queue *queue;
	int error;

	if (!context || !out)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_queue_create: %s is NULL",
			    context ? "queue" : "context");
	if ((unsigned int)priority > QUIRE_PRIORITY_HIGH)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_queue_create: priority is %d",
			    (int)priority);
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory for a queue");
	queue->context = context;
	pthread_mutex_init(&queue->lock, NULL);
	error = context->device->backend->queue_create(queue, priority, time_limit_ms);
	if (error) {
		pthread_mutex_destroy(&queue->lock);
		free(queue);
		return error;
	}
	pthread_mutex_lock(&context->lock);
	queue->next = context->queues;
	context->queues = queue;
	pthread_mutex_unlock(&context->lock);
	*out = queue;
	return 0;
}

void quire_queue_free(quire_queue *queue)
{
	quire_queue **link;

	if (!queue)
		return;
	pthread_mutex_lock(&queue->context->lock);
	for (link = &queue->context->queues; *link != queue; link = &(*link)->next)
		;
	*link = queue->next;
	for (quire_cmdlist *list = queue->context->lists; list; list = list->next)
		if (list->last_queue == queue)
			list->last_queue = NULL;
	pthread_mutex_unlock(&queue->context->lock);
	queue->context->device->backend->queue_destroy(queue);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static int check_submission(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count,
			    const struct quire_fence *waits, uint32_t wait_count)
{
	const char *function = "quire_queue_submit";

	if (!queue || !lists || (!waits && wait_count))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: %s is NULL", function,
			    !queue ? "queue" : !lists ? "lists" : "waits");
	if (!count || count > SUBMIT_MAX)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: count is %u, must be 1 to %d",
			    function, count, SUBMIT_MAX);
	for (uint32_t i = 0; i < count; i++) {
		if (!lists[i])
			return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: lists[%u] is NULL",
				    function, i);
		if (lists[i]->context != queue->context)
			return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "record it in the queue's context",
				    "%s: lists[%u] belongs to another context", function, i);
	}
	for (uint32_t i = 0; i < wait_count; i++)
		if (waits[i].queue && waits[i].queue->context->device != queue->context->device)
			return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "wait for it with quire_fence_wait()",
				    "%s: waits[%u] is of another device", function, i);
	return 0;
}

int quire_queue_submit(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count,
		       const struct quire_fence *waits, uint32_t wait_count,
		       struct quire_fence *fence)
{
	int error = check_submission(queue, lists, count, waits, wait_count);

	if (error)
		return error;
	pthread_mutex_lock(&queue->lock);
	if (queue->fault_point)
		error = fail(-ECANCELED, QUIRE_LAYER_CARD, "make a new queue",
			     "an earlier job of the queue failed");
	else
		error = queue->context->device->backend->submit(queue, lists, count, waits,
								wait_count);
	if (!error) {
		queue->point++;
		for (uint32_t i = 0; i < count; i++) {
			lists[i]->last_queue = queue;
			lists[i]->last_job = ++queue->jobs;
			lists[i]->last_point = queue->point;
		}
		if (fence)
			*fence = (struct quire_fence){ queue, queue->point };
	}
	pthread_mutex_unlock(&queue->lock);
	return error;
}

int64_t quire_deadline(int64_t nanoseconds)
{
	struct timespec now;
	int64_t at;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (__builtin_add_overflow((int64_t)now.tv_sec * 1000000000 + now.tv_nsec, nanoseconds, &at))
		return QUIRE_FOREVER;
	return at;
}

int quire_fence_wait(struct quire_fence fence, int64_t deadline)
{
	if (!fence.queue)
		return 0;
	return fence.queue->context->device->backend->wait(fence.queue, fence.point, deadline);
}

int quire_fence_status(struct quire_fence fence)
{
	int status = quire_fence_wait(fence, 0);

	return status == -ETIME ? -EBUSY : status;
}

int quire_queue_get_fault(quire_queue *queue, struct quire_fault *fault)
{
	if (!queue || !fault)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_queue_get_fault: %s is NULL",
			    queue ? "fault" : "queue");
	return queue->context->device->backend->fault(queue, fault);
}

int quire_queue_get_info(quire_queue *queue, struct quire_queue_info *info)
{
	struct quire_queue_info now = { 0 };
	int error;

	if (!queue || !info)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_queue_get_info: %s is NULL",
			    queue ? "info" : "queue");
	error = queue->context->device->backend->queue_info(queue, &now);
	return error ? error : info_out(info, info->size, &now, sizeof(now), "quire_queue_get_info");
}

static const char *unit_name(uint32_t info)
{
	static const char *const names[] = {
		"the command list", "the result", "A", "B", "C", "D", "the bias", "the source",
		"the destination",
	};
	uint32_t unit = info >> QUIRE_FAULT_UNIT_SHIFT;

	return unit < sizeof(names) / sizeof(names[0]) ? names[unit] : "an operand";
}

static const char *reason_name(uint32_t info)
{
	static const char *const names[] = {
		"no reason", "nothing is mapped there", "the mapping does not allow it",
		"no valid address", "no address space", "a page table is broken",
		"the bus refused it",
	};
	uint32_t reason = info & QUIRE_FAULT_REASON;

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "unknown reason";
}

/* Name of the field a packet of a job has wrong, or NULL if its list is not what it was. */
static const char *wrong_field(quire_queue *queue, const struct quire_fault *fault, uint64_t job)
{
	const char *name = NULL;

	pthread_mutex_lock(&queue->context->lock);
	for (quire_cmdlist *list = queue->context->lists; list && !name; list = list->next) {
		struct quire_packet_header header;

		if (list->last_queue != queue || list->last_job != job ||
		    list->bytes < sizeof(header) || fault->packet > list->bytes - sizeof(header))
			continue;
		memcpy(&header, list->stream + fault->packet, sizeof(header));
		name = packet_field(header.opcode, fault->detail);
	}
	pthread_mutex_unlock(&queue->context->lock);
	return name;
}

static int tile_error(const struct quire_fault *fault)
{
	static const struct { uint32_t offset; const char *name; } header[] = {
		{ offsetof(struct quire_tiled_header, magic), "magic" },
		{ offsetof(struct quire_tiled_header, version), "version" },
		{ offsetof(struct quire_tiled_header, rows), "rows" },
		{ offsetof(struct quire_tiled_header, columns), "columns" },
		{ offsetof(struct quire_tiled_header, tile_rows), "tile_rows" },
		{ offsetof(struct quire_tiled_header, tile_columns), "tile_columns" },
		{ offsetof(struct quire_tiled_header, tiles), "tiles" },
		{ offsetof(struct quire_tiled_header, stored_tiles), "stored_tiles" },
		{ offsetof(struct quire_tiled_header, image_bytes), "image_bytes" },
		{ offsetof(struct quire_tiled_header, reserved), "reserved" },
	}, tile[] = {
		{ offsetof(struct quire_tile, bits), "bits" },
		{ offsetof(struct quire_tile, scale), "scale" },
		{ offsetof(struct quire_tile, largest), "largest" },
		{ offsetof(struct quire_tile, offset), "offset" },
		{ offsetof(struct quire_tile, checksum), "checksum" },
	};
	bool in_header = fault->address == QUIRE_BAD_TILE_HEADER;
	size_t count = in_header ? sizeof(header) / sizeof(header[0]) : sizeof(tile) / sizeof(tile[0]);
	const char *name = "a field";

	for (size_t i = 0; i < count; i++)
		if ((in_header ? header : tile)[i].offset == fault->detail)
			name = (in_header ? header : tile)[i].name;
	if (in_header)
		return fail(-EFAULT, QUIRE_LAYER_CARD,
			    "shape and image must be those of quire_matrix_pack_f32()",
			    "the packet at byte %u: the header of the tiled %s has a wrong %s",
			    fault->packet, unit_name(fault->info), name);
	return fail(-EFAULT, QUIRE_LAYER_CARD, "pack or load the matrix again",
		    "the packet at byte %u: tile (%u, %u) of %s has a wrong %s", fault->packet,
		    (uint32_t)(fault->address >> 32), (uint32_t)fault->address,
		    unit_name(fault->info), name);
}

int queue_job_error(quire_queue *queue, const struct quire_fault *fault, uint64_t job)
{
	const char *field;

	switch (fault->status) {
	case QUIRE_STATUS_BAD_PACKET:
		field = wrong_field(queue, fault, job);
		return fail(-EFAULT, QUIRE_LAYER_CARD, NULL,
			    "the packet at byte %u of the list has a wrong field at byte %u%s%s%s",
			    fault->packet, fault->detail, field ? " (" : "", field ? field : "",
			    field ? ")" : "");
	case QUIRE_STATUS_BAD_STREAM:
		return fail(-EFAULT, QUIRE_LAYER_CARD, NULL,
			    "the list is broken at byte %u: a packet does not fit into it",
			    fault->packet);
	case QUIRE_STATUS_MMU_FAULT:
		return fail(-EFAULT, QUIRE_LAYER_CARD, "free buffers only after the jobs' fences",
			    "the packet at byte %u %s %s at address %#llx: %s", fault->packet,
			    fault->info & QUIRE_FAULT_WRITE ? "writes" : "reads",
			    unit_name(fault->info), (unsigned long long)fault->address,
			    reason_name(fault->info));
	case QUIRE_STATUS_BAD_TILE:
		return tile_error(fault);
	case QUIRE_STATUS_LIMIT:
		return fail(-ERANGE, QUIRE_LAYER_CARD, "cut the sum and add the parts as quire images",
			    "the packet at byte %u has more than 2^31 - 1 products in one sum",
			    fault->packet);
	case QUIRE_STATUS_CANCELLED:
		return fail(-ETIMEDOUT, QUIRE_LAYER_CARD,
			    "give the queue a longer limit, or cut the job",
			    "the job was over the queue's time limit");
	}
	return fail(-EIO, QUIRE_LAYER_CARD, "see the kernel's log",
		    "the card failed with status %u, detail %u", fault->status, fault->detail);
}

void queue_forget(quire_queue *queue, const quire_cmdlist *list)
{
	pthread_mutex_lock(&queue->lock);
	for (unsigned int i = 0; i < SUBMISSIONS_KEPT; i++)
		if (queue->submissions[i].list == list)
			memset(&queue->submissions[i], 0, sizeof(queue->submissions[i]));
	pthread_mutex_unlock(&queue->lock);
}
