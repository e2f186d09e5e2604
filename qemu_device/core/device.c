// SPDX-License-Identifier: MIT
/* Birth, reset and end of a card. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/*
 * Pages that were never touched have nothing to lose; to touch all would take longer than a
 * reset may.
 */
static void forget_memory(struct quire_device *device)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned char there[256];

	for (uint64_t at = 0; at < device->config.memory_bytes; at += page * sizeof(there)) {
		uint8_t *memory = device->config.memory + at;
		uint64_t bytes = device->config.memory_bytes - at;

		if (bytes > page * sizeof(there))
			bytes = page * sizeof(there);
		if (mincore(memory, bytes, there))
			memset(there, 1, sizeof(there));
		for (uint64_t i = 0; i < bytes; i += page)
			if (there[i / page] & 1)
				memset(memory + i, 0xa5, page);
	}
	device->bus.card_written(device->bus.opaque, 0, device->config.memory_bytes);
}

bool quire_device_in_reset(const struct quire_device *device)
{
	return atomic_load(&device->resets_wanted) != atomic_load(&device->resets_done);
}

void device_end_reset(struct quire_device *device)
{
	/* One that comes meanwhile finds the same silence, and is served next. */
	uint32_t wanted = atomic_load(&device->resets_wanted);

	device->event_enable = 0;
	device->reset_requested = false;
	device->start_requested = false;
	boot_reset(device);
	reset_registers(device);
	energy_restart(device);
	if (atomic_exchange(&device->forgets, false))
		forget_memory(device);
	device->bus.at_rest(device->bus.opaque);
	mcu_request_stop(&device->mcu, false);
	atomic_store(&device->resets_done, wanted);
}

static void begin_reset(struct quire_device *device)
{
	atomic_fetch_add(&device->resets_wanted, 1);
	mcu_request_stop(&device->mcu, true);
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_cancel(&device->engine[i]);
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_go_on(&device->engine[i]);
}

static bool engines_are_idle(struct quire_device *device)
{
	bool idle = true;

	for (unsigned int i = 0; i < device->config.engines; i++)
		idle = engine_is_idle(&device->engine[i]) && idle;
	return idle;
}

void quire_device_reset(struct quire_device *device, bool refreshed)
{
	bool forgets = !refreshed && device_injection_fires(device, QUIRE_INJECT_FORGET_MEMORY);

	if (forgets)
		atomic_store(&device->forgets, true);
	begin_reset(device);
	/* A card at rest, the common case, is done at once. */
	if (!forgets && !pthread_mutex_trylock(&device->mcu_lock)) {
		if (engines_are_idle(device))
			device_end_reset(device);
		pthread_mutex_unlock(&device->mcu_lock);
	}
	if (quire_device_in_reset(device))
		processor_kick(device);
}

void quire_device_pause(struct quire_device *device, bool paused)
{
	atomic_store(&device->paused, paused);
	if (paused) {
		mcu_request_stop(&device->mcu, true);
		return;
	}
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_go_on(&device->engine[i]);
	processor_kick(device);
}

bool quire_device_at_rest(struct quire_device *device)
{
	bool rests = true;

	if (pthread_mutex_trylock(&device->mcu_lock))
		return false;
	pthread_mutex_unlock(&device->mcu_lock);
	for (unsigned int i = 0; i < device->config.engines; i++)
		rests = engine_rests(&device->engine[i]) && rests;
	return rests && !quire_device_in_reset(device);
}

void quire_device_alarm(struct quire_device *device)
{
	processor_kick(device);
}

static const char *check(const struct quire_device_config *config)
{
	if (config->engines < 1 || config->engines > QUIRE_ENGINES_MAX)
		return "engines must be 1 to 16";
	/* so that a block which begins in it ends in it */
	if (!config->memory_bytes || config->memory_bytes % QUIRE_BLOCK_BYTES)
		return "card memory must be a multiple of 2 MiB";
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
	processor_quit(device);
	processor_stop(device);
	while (started--)
		engine_destroy(&device->engine[started]);
	processor_destroy(device);
	free(device);
	return NULL;
}

void quire_device_retire(struct quire_device *device)
{
	begin_reset(device);
	processor_quit(device);
}

void quire_device_destroy(struct quire_device *device)
{
	processor_stop(device);
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_destroy(&device->engine[i]);
	processor_destroy(device);
	free(device);
}
