// SPDX-License-Identifier: MIT
/*
 * The backends without a card.  cpu runs the packets where quire_queue_submit() is
 * called, so that every fence has passed when it returns; null only checks them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <quire/hw.h>
#include <quire/model.h>
#include <quirenum/threads.h>

#include "internal.h"

#define CPU_VA_START 0x1000ull
#define CPU_VA_END (1ull << 48)
#define CPU_QUEUES 64
#define CPU_CONTEXTS 32

static unsigned int processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (unsigned int)CPU_COUNT(&set);
}

int cpu_open(quire_device *device, const char *name)
{
	unsigned int count = processors();

	(void)name;
	device->va_start = CPU_VA_START;
	device->va_end = CPU_VA_END;
	device->info.queues = CPU_QUEUES;
	device->info.contexts = CPU_CONTEXTS;
	device->info.engines = 1;
	device->info.hw_version = QUIRE_HW_VERSION_VALUE;
	device->info.interface_version = QUIRE_INTERFACE_VERSION_MAX;
	if (count > 1)
		device->threads = quire_threads_create(count);
	return 0;
}

void cpu_close(quire_device *device)
{
	if (device->threads)
		quire_threads_destroy(device->threads);
}

int cpu_info(quire_device *device, struct quire_device_info *info)
{
	(void)device;
	(void)info;
	return 0;
}

int cpu_counters(quire_device *device, uint64_t *counters)
{
	pthread_mutex_lock(&device->lock);
	memcpy(counters, device->counters, sizeof(device->counters));
	pthread_mutex_unlock(&device->lock);
	return 0;
}

int cpu_usage(quire_device *device, struct quire_usage *usage)
{
	pthread_mutex_lock(&device->lock);
	*usage = device->usage;
	pthread_mutex_unlock(&device->lock);
	return 0;
}

int cpu_context_create(quire_context *context)
{
	(void)context;
	return 0;
}

void cpu_context_destroy(quire_context *context)
{
	(void)context;
}

int cpu_buffer_create(quire_buffer *buffer)
{
	void *memory = mmap(NULL, buffer->bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return fail(-ENOMEM, QUIRE_LAYER_KERNEL, "make it smaller",
			    "no memory for a buffer of %llu bytes",
			    (unsigned long long)buffer->bytes);
	atomic_store(&buffer->pointer, memory);
	return 0;
}

void cpu_buffer_destroy(quire_buffer *buffer)
{
	munmap(atomic_load(&buffer->pointer), buffer->bytes);
}

int cpu_buffer_map(quire_buffer *buffer, void **pointer)
{
	*pointer = atomic_load(&buffer->pointer);
	return 0;
}

int cpu_queue_create(quire_queue *queue, enum quire_priority priority, uint32_t limit_ms)
{
	(void)queue;
	(void)priority;
	(void)limit_ms;
	return 0;
}

void cpu_queue_destroy(quire_queue *queue)
{
	(void)queue;
}

int cpu_wait(quire_queue *queue, uint64_t point, int64_t deadline)
{
	(void)deadline;
	if (!queue->fault_point || point < queue->fault_point)
		return 0;
	if (point > queue->fault_point)
		return fail(-ECANCELED, QUIRE_LAYER_CARD, "make a new queue",
			    "an earlier job of the queue failed");
	return queue_job_error(queue, &queue->fault, queue->fault_job);
}

int cpu_fault(quire_queue *queue, struct quire_fault *fault)
{
	*fault = queue->fault;
	return 0;
}

int cpu_queue_info(quire_queue *queue, struct quire_queue_info *info)
{
	pthread_mutex_lock(&queue->lock);
	*info = queue->info;
	info->submitted = queue->jobs;
	pthread_mutex_unlock(&queue->lock);
	return 0;
}

int cpu_settle(quire_queue *queue, uint64_t point)
{
	(void)queue;
	(void)point;
	return 0;
}

static void count(quire_device *device, const void *packet,
		  const struct quire_packet_result *result, const uint64_t macs[3])
{
	const struct quire_packet_gemm *gemm = packet;

	pthread_mutex_lock(&device->lock);
	device->counters[QUIRE_COUNTER_PACKETS]++;
	device->counters[QUIRE_COUNTER_CYCLES] += result->cycles;
	device->counters[QUIRE_COUNTER_MODELLED_PJ] += result->modelled_pj;
	if (gemm->header.opcode == QUIRE_PACKET_GEMM && quire_packet_is_tiled(gemm))
		for (uint32_t width = 0; width < 3; width++)
			device->counters[quire_model_tiled(gemm, width).counter] += macs[width];
	else if (gemm->header.opcode == QUIRE_PACKET_GEMM)
		device->counters[quire_model_product(gemm->a.format, gemm->b.format, gemm->mode)
					 .counter] += result->macs;
	pthread_mutex_unlock(&device->lock);
}

static void count_job(quire_queue *queue, const struct quire_job_outcome *outcome)
{
	quire_device *device = queue->context->device;
	uint32_t status = outcome->status;

	queue->info.completed++;
	queue->info.busy_ns += outcome->busy_ns;
	queue->info.macs += outcome->macs;
	queue->info.cycles += outcome->cycles;
	queue->info.modelled_pj += outcome->modelled_pj;
	pthread_mutex_lock(&device->lock);
	if (status == QUIRE_STATUS_OK)
		device->counters[QUIRE_COUNTER_JOBS]++;
	else
		device->counters[status == QUIRE_STATUS_MMU_FAULT ? QUIRE_COUNTER_FAULTS :
								    QUIRE_COUNTER_ERRORS]++;
	device->usage.jobs++;
	device->usage.busy_ns += outcome->busy_ns;
	device->usage.macs += outcome->macs;
	device->usage.cycles += outcome->cycles;
	device->usage.modelled_pj += outcome->modelled_pj;
	pthread_mutex_unlock(&device->lock);
}

/* As the card adds up what its packets did. */
static void add_packet(struct quire_job_outcome *outcome, uint16_t opcode,
		       const struct quire_packet_result *result)
{
	outcome->macs += result->macs;
	outcome->cycles += result->cycles;
	outcome->modelled_pj += result->modelled_pj;
	if (opcode == QUIRE_PACKET_GEMM || opcode == QUIRE_PACKET_CONVERT ||
	    opcode == QUIRE_PACKET_PACK || opcode == QUIRE_PACKET_UNPACK)
		outcome->digest = outcome->digest * QUIRE_DIGEST_SEQUENCE + result->digest;
}

/* One list; QUIRE_STATUS_OK or the status of the packet that failed, described in fault. */
static uint32_t run_list(quire_context *context, const quire_cmdlist *list, bool execute,
			 struct quire_fault *fault, struct quire_job_outcome *outcome)
{
	for (uint32_t offset = 0; offset < list->bytes;) {
		const struct quire_packet_header *header = (const void *)(list->stream + offset);
		struct quire_packet_result result = { 0 };
		uint64_t macs[3] = { 0 };
		uint32_t status;

		fault->packet = offset;
		status = packet_check(header, list->bytes - offset, &fault->detail);
		if (status == QUIRE_STATUS_OK && execute)
			status = packet_execute(context, header, &result, macs, fault);
		if (status != QUIRE_STATUS_OK)
			return status;
		if (execute)
			count(context->device, header, &result, macs);
		if (header->result) {
			uint64_t where;
			bool system;
			void *at = context_translate(context, header->result, sizeof(result),
						     &where, &system);

			if (!at) {
				fault->address = where;
				fault->info = QUIRE_FAULT_UNMAPPED | QUIRE_FAULT_WRITE |
					      QUIRE_FAULT_UNIT_RESULT << QUIRE_FAULT_UNIT_SHIFT;
				return QUIRE_STATUS_MMU_FAULT;
			}
			memcpy(at, &result, sizeof(result));
		}
		add_packet(outcome, header->opcode, &result);
		offset += header->bytes;
	}
	return QUIRE_STATUS_OK;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int cpu_run(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count, bool execute)
{
	for (uint32_t i = 0; i < count; i++)
		lists[i]->outcome->status = QUIRE_STATUS_PENDING;
	for (uint32_t i = 0; i < count && !queue->fault_point; i++) {
		struct quire_fault fault = { 0 };
		struct quire_job_outcome outcome = { .number = queue->jobs + i + 1,
						     .started = now_ns() };

		outcome.status = run_list(queue->context, lists[i], execute, &fault, &outcome);
		outcome.ended = now_ns();
		outcome.busy_ns = outcome.ended - outcome.started;
		if (outcome.status != QUIRE_STATUS_OK) {
			outcome.packet = fault.packet;
			outcome.detail = fault.detail;
			outcome.fault_info = fault.info;
			outcome.fault_address = fault.address;
		}
		*lists[i]->outcome = outcome;
		count_job(queue, &outcome);
		if (outcome.status == QUIRE_STATUS_OK)
			continue;
		fault.status = outcome.status;
		queue->fault = fault;
		queue->fault_job = queue->jobs + i + 1;
		queue->fault_point = queue->point + 1;
	}
	return 0;
}

static int cpu_submit(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count,
		      const struct quire_fence *waits, uint32_t wait_count)
{
	/* All fences there are have passed: jobs run where they are submitted. */
	(void)waits;
	(void)wait_count;
	return cpu_run(queue, lists, count, true);
}

static int null_submit(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count,
		       const struct quire_fence *waits, uint32_t wait_count)
{
	(void)waits;
	(void)wait_count;
	return cpu_run(queue, lists, count, false);
}

#define WITHOUT_CARD                                                                               \
	.open = cpu_open, .close = cpu_close, .info = cpu_info, .counters = cpu_counters,          \
	.usage = cpu_usage, .queue_info = cpu_queue_info, .settle = cpu_settle,                    \
	.context_create = cpu_context_create, .context_destroy = cpu_context_destroy,              \
	.buffer_create = cpu_buffer_create, .buffer_destroy = cpu_buffer_destroy,                  \
	.buffer_map = cpu_buffer_map, .queue_create = cpu_queue_create,                            \
	.queue_destroy = cpu_queue_destroy, .wait = cpu_wait, .fault = cpu_fault

const struct backend quire_backend_cpu = { .name = "cpu", WITHOUT_CARD, .submit = cpu_submit };
const struct backend quire_backend_null = { .name = "null", WITHOUT_CARD, .submit = null_submit };
