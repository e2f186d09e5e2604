// SPDX-License-Identifier: MIT
/* Birth, reset and end of a card. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define MODEL_THREADS_MOST 4

/* Registers the driver owns go to their reset values; needs mcu_lock. */
static void reset_registers(struct quire_device *device)
{
	device->fw_address[0] = 0;
	device->fw_address[1] = 0;
	device->fw_bytes = 0;
	device->boot_detail = 0;
	device->heartbeat = 0;
	device->driver_versions = 0;
	device->fw_versions = 0;
	device->fw_release = 0;
	device->event_enable = 0;
	device->event_status = 0;
	device->mailbox_command = 0;
	device->mailbox_argument = 0;
	device->mailbox_sequence = 0;
	device->mailbox_seen = 0;
	device->mailbox_done = 0;
	device->mailbox_result = 0;
	device->fault_context = 0;
	device->fault_address[0] = 0;
	device->fault_address[1] = 0;
	device->fault_info = 0;
	for (int i = 0; i < 3; i++)
		device->panic[i] = 0;
	for (int c = 0; c < QUIRE_CONTEXTS; c++)
		device->context_root[c][0] = device->context_root[c][1] = 0;
	for (int q = 0; q < QUIRE_QUEUES; q++)
		for (int i = 0; i < 16; i++)
			device->queue[q][i] = 0;
	for (int i = 0; i < QUIRE_COUNTERS; i++)
		device->counter[i] = 0;
	atomic_fetch_add(&device->tlb_flushes, 1);
	for (int c = 0; c < QUIRE_CONTEXTS; c++)
		device->flushed[c] = device->drained[c] = 0;
	log_clear(device);
}

void quire_device_reset(struct quire_device *device)
{
	mcu_request_stop(&device->mcu, true);
	device->bus.wait_begin(device->bus.opaque);
	/* Whoever holds the lock may wait for an engine that nothing else ends. */
	atomic_store(&device->function_resets, true);
	pthread_mutex_lock(&device->mcu_lock);
	device->event_enable = 0;
	device->reset_requested = false;
	device->start_requested = false;
	boot_reset(device);
	reset_registers(device);
	atomic_store(&device->function_resets, false);
	pthread_mutex_unlock(&device->mcu_lock);
	device->bus.wait_end(device->bus.opaque);
	energy_restart(device);
	mcu_request_stop(&device->mcu, false);
}

void quire_device_forget(struct quire_device *device)
{
	if (!device_injection_fires(device, QUIRE_INJECT_FORGET_MEMORY))
		return;
	memset(device->config.memory, 0xa5, device->config.memory_bytes);
	device->bus.card_written(device->bus.opaque, 0, device->config.memory_bytes);
}

static const char *check(const struct quire_device_config *config)
{
	if (config->engines < 1 || config->engines > QUIRE_ENGINES_MAX)
		return "engines must be 1 to 16";
	if (!config->memory_bytes || config->memory_bytes % QUIRE_PAGE_BYTES)
		return "card memory must be a multiple of 4 KiB";
	if (config->model_threads > 64)
		return "model-threads must be 0 to 64";
	return NULL;
}

struct quire_device *quire_device_create(const struct quire_device_config *config,
					 const char **error)
{
	struct quire_device *device;
	unsigned int started;

	*error = check(config);
	if (*error)
		return NULL;
	*error = "out of memory or threads";
	device = calloc(1, sizeof(*device));
	if (!device)
		return NULL;
	device->config = *config;
	device->bus = config->bus;
	if (!config->model_threads) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		device->config.model_threads = cpus < 1 ? 1 :
			cpus > MODEL_THREADS_MOST ? MODEL_THREADS_MOST : (uint32_t)cpus;
	}
	if (processor_init(device)) {
		free(device);
		return NULL;
	}
	for (started = 0; started < config->engines; started++)
		if (engine_init(&device->engine[started], device, started))
			break;
	energy_restart(device);
	if (started == config->engines)
		return device;
	processor_stop(device);
	while (started--)
		engine_destroy(&device->engine[started]);
	processor_destroy(device);
	free(device);
	return NULL;
}

void quire_device_destroy(struct quire_device *device)
{
	quire_device_reset(device);
	processor_stop(device);
	device->bus.wait_begin(device->bus.opaque);
	atomic_store(&device->stopped, true);
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_destroy(&device->engine[i]);
	device->bus.wait_end(device->bus.opaque);
	processor_destroy(device);
	free(device);
}
