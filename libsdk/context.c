// SPDX-License-Identifier: MIT
/* Address spaces: creation, the place of each buffer, and the end of it all. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int quire_context_create(quire_device *device, uint32_t flags, quire_context **out)
{
	quire_context *context;
	int error;

	if (!device || !out)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_context_create: %s is NULL",
			    device ? "context" : "device");
	if (flags)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_context_create: flags is %#x, must be 0", flags);
	context = calloc(1, sizeof(*context));
	if (!context)
		return fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory for a context");
	atomic_init(&context->references, 1);
	context->device = device;
	pthread_mutex_init(&context->lock, NULL);
	pthread_mutex_init(&context->sync_lock, NULL);
	error = device->backend->context_create(context);
	if (error) {
		pthread_mutex_destroy(&context->lock);
		pthread_mutex_destroy(&context->sync_lock);
		free(context);
		return error;
	}
	quire_device_ref(device);
	*out = context;
	return 0;
}

quire_context *quire_context_ref(quire_context *context)
{
	if (context)
		atomic_fetch_add(&context->references, 1);
	return context;
}

void quire_context_unref(quire_context *context)
{
	quire_device *device;

	if (!context || atomic_fetch_sub(&context->references, 1) != 1)
		return;
	device = context->device;
	/* Queues first: what still runs on them may use lists and buffers. */
	while (context->queues)
		quire_queue_free(context->queues);
	while (context->lists)
		quire_cmdlist_free(context->lists);
	while (context->buffers)
		quire_buffer_free(context->buffers);
	device->backend->context_destroy(context);
	pthread_mutex_destroy(&context->lock);
	pthread_mutex_destroy(&context->sync_lock);
	free(context);
	quire_device_unref(device);
}

/*
 * The first gap that holds the buffer, with an unmapped page behind each buffer
 * so that running over its end faults.  Large buffers start where the card's
 * large pages do.  Called with the context's lock; links the buffer in.
 */
static int place(quire_context *context, quire_buffer *buffer)
{
	uint64_t align = buffer->bytes >= LARGE_PAGE_BYTES ? LARGE_PAGE_BYTES : PAGE_BYTES;
	uint64_t at = context->device->va_start;
	quire_buffer **link = &context->buffers;

	for (;; link = &(*link)->next) {
		uint64_t end = *link ? (*link)->address : context->device->va_end;

		at = (at + align - 1) & ~(align - 1);
		if (at < end && end - at > buffer->bytes + PAGE_BYTES)
			break;
		if (!*link)
			return fail(-ENOSPC, QUIRE_LAYER_LIBRARY, "free buffers",
				    "no room for %llu bytes in the address space",
				    (unsigned long long)buffer->bytes);
		at = (*link)->address + (*link)->bytes + PAGE_BYTES;
	}
	buffer->address = at;
	buffer->next = *link;
	*link = buffer;
	return 0;
}

static void unlink_buffer(quire_context *context, quire_buffer *buffer)
{
	quire_buffer **link = &context->buffers;

	while (*link != buffer)
		link = &(*link)->next;
	*link = buffer->next;
}

int quire_buffer_create(quire_context *context, uint64_t bytes, enum quire_placement placement,
			quire_buffer **out)
{
	quire_buffer *buffer;
	int error;

	if (!context || !out)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_buffer_create: %s is NULL",
			    context ? "buffer" : "context");
	if (!bytes)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_buffer_create: bytes is 0");
	if (placement != QUIRE_PLACEMENT_CARD && placement != QUIRE_PLACEMENT_SYSTEM)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_buffer_create: placement is %d", (int)placement);
	if (bytes > context->device->va_end)
		return fail(-ENOSPC, QUIRE_LAYER_LIBRARY, "make it smaller",
			    "quire_buffer_create: %llu bytes do not fit into the address space",
			    (unsigned long long)bytes);
	buffer = calloc(1, sizeof(*buffer));
	if (!buffer)
		return fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory for a buffer");
	buffer->context = context;
	buffer->bytes = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	buffer->placement = placement;
	/* The place is taken under the lock; making the memory may take long. */
	pthread_mutex_lock(&context->lock);
	error = place(context, buffer);
	pthread_mutex_unlock(&context->lock);
	if (error) {
		free(buffer);
		return error;
	}
	error = context->device->backend->buffer_create(buffer);
	if (error) {
		pthread_mutex_lock(&context->lock);
		unlink_buffer(context, buffer);
		pthread_mutex_unlock(&context->lock);
		free(buffer);
		return error;
	}
	*out = buffer;
	return 0;
}

void quire_buffer_free(quire_buffer *buffer)
{
	quire_context *context;

	if (!buffer)
		return;
	context = buffer->context;
	/* The memory goes before the place, which could be given out again. */
	context->device->backend->buffer_destroy(buffer);
	pthread_mutex_lock(&context->lock);
	unlink_buffer(context, buffer);
	pthread_mutex_unlock(&context->lock);
	free(buffer);
}

uint64_t quire_buffer_address(const quire_buffer *buffer)
{
	return buffer ? buffer->address : 0;
}

uint64_t quire_buffer_bytes(const quire_buffer *buffer)
{
	return buffer ? buffer->bytes : 0;
}

int quire_buffer_map(quire_buffer *buffer, void **pointer)
{
	void *mapped;
	int error = 0;

	if (!buffer || !pointer)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_buffer_map: %s is NULL",
			    buffer ? "pointer" : "buffer");
	mapped = atomic_load(&buffer->pointer);
	if (!mapped) {
		pthread_mutex_lock(&buffer->context->lock);
		mapped = atomic_load(&buffer->pointer);
		if (!mapped) {
			error = buffer->context->device->backend->buffer_map(buffer, &mapped);
			if (!error)
				atomic_store(&buffer->pointer, mapped);
		}
		pthread_mutex_unlock(&buffer->context->lock);
	}
	if (!error)
		*pointer = mapped;
	return error;
}

static int access_range(quire_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes,
			const char *function, uint8_t **at)
{
	void *mapped;
	int error;

	if (!buffer || (!data && bytes))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: %s is NULL", function,
			    buffer ? "data" : "buffer");
	if (offset > buffer->bytes || bytes > buffer->bytes - offset)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s: offset %llu + bytes %llu lies outside the buffer of %llu bytes",
			    function, (unsigned long long)offset, (unsigned long long)bytes,
			    (unsigned long long)buffer->bytes);
	error = quire_buffer_map(buffer, &mapped);
	if (!error)
		*at = (uint8_t *)mapped + offset;
	return error;
}

int quire_buffer_read(quire_buffer *buffer, uint64_t offset, void *data, uint64_t bytes)
{
	uint8_t *at = NULL;
	int error = access_range(buffer, offset, data, bytes, "quire_buffer_read", &at);

	if (!error && bytes)
		memcpy(data, at, bytes);
	return error;
}

int quire_buffer_write(quire_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes)
{
	uint8_t *at = NULL;
	int error = access_range(buffer, offset, data, bytes, "quire_buffer_write", &at);

	if (!error && bytes)
		memcpy(at, data, bytes);
	return error;
}

void *context_translate(quire_context *context, uint64_t address, uint64_t bytes, uint64_t *fault,
			bool *system)
{
	quire_buffer *buffer;
	void *pointer = NULL;

	pthread_mutex_lock(&context->lock);
	for (buffer = context->buffers; buffer && buffer->address <= address; buffer = buffer->next) {
		if (address - buffer->address >= buffer->bytes)
			continue;
		if (bytes > buffer->bytes - (address - buffer->address)) {
			*fault = buffer->address + buffer->bytes;
			break;
		}
		pointer = (uint8_t *)atomic_load(&buffer->pointer) + (address - buffer->address);
		*system = buffer->placement == QUIRE_PLACEMENT_SYSTEM;
		break;
	}
	if (!pointer && (!buffer || buffer->address > address))
		*fault = address;
	pthread_mutex_unlock(&context->lock);
	return pointer;
}
