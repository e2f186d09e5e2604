// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "machine.h"

#define GUARD 65536u

static uint8_t *allocate(size_t bytes)
{
	uint8_t *all = mmap(NULL, bytes + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (all == MAP_FAILED || mprotect(all + GUARD, bytes, PROT_READ | PROT_WRITE))
		abort();
	return all + GUARD;
}

static void release(uint8_t *memory, size_t bytes)
{
	munmap(memory - GUARD, bytes + 2 * GUARD);
}

/* --- What the core calls --- */

static uint8_t *at_bus(struct machine *machine, uint64_t address, size_t bytes)
{
	if (address < MACHINE_SYSTEM || address - MACHINE_SYSTEM > MACHINE_SYSTEM_BYTES ||
	    bytes > MACHINE_SYSTEM_BYTES - (address - MACHINE_SYSTEM))
		return NULL;
	return machine->system + (address - MACHINE_SYSTEM);
}

static bool bus_read(void *opaque, uint64_t address, void *to, size_t bytes)
{
	struct machine *machine = opaque;
	uint8_t *from = at_bus(machine, address, bytes);

	if (!from)
		return false;
	pthread_mutex_lock(&machine->bus_lock);
	memcpy(to, from, bytes);
	pthread_mutex_unlock(&machine->bus_lock);
	return true;
}

static bool bus_write(void *opaque, uint64_t address, const void *from, size_t bytes)
{
	struct machine *machine = opaque;
	uint8_t *to = at_bus(machine, address, bytes);

	if (!to)
		return false;
	pthread_mutex_lock(&machine->bus_lock);
	memcpy(to, from, bytes);
	pthread_mutex_unlock(&machine->bus_lock);
	return true;
}

static void *bus_map(void *opaque, uint64_t address, size_t *bytes, bool write)
{
	uint8_t *host = at_bus(opaque, address, 1);

	(void)write;
	if (host && *bytes > MACHINE_SYSTEM_BYTES - (address - MACHINE_SYSTEM))
		*bytes = MACHINE_SYSTEM_BYTES - (address - MACHINE_SYSTEM);
	return host;
}

static void bus_unmap(void *opaque, void *host, size_t bytes, bool written)
{
	(void)opaque;
	(void)host;
	(void)bytes;
	(void)written;
}

static void card_written(void *opaque, uint64_t offset, uint64_t bytes)
{
	(void)opaque;
	if (offset > MACHINE_MEMORY_BYTES || bytes > MACHINE_MEMORY_BYTES - offset)
		abort();
}

static void raise_vector(void *opaque, unsigned int vector)
{
	struct machine *machine = opaque;

	if (vector >= QUIRE_MSIX_VECTORS)
		abort();
	machine->vectors[vector]++;
}

static uint64_t clock_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void alarm_at(void *opaque, uint64_t ns)
{
	((struct machine *)opaque)->alarm = ns;
}

/* The clock's interrupt. */
static void *tick(void *opaque)
{
	struct machine *machine = opaque;

	while (!machine->ends) {
		uint64_t alarm = machine->alarm;

		if (alarm && clock_ns(machine) >= alarm &&
		    atomic_compare_exchange_strong(&machine->alarm, &alarm, 0))
			quire_device_alarm(machine->device);
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	return NULL;
}

static void log_line(void *opaque, const char *line)
{
	(void)opaque;
	if (strlen(line) > 200)
		abort();
}

static void trace(void *opaque, enum quire_trace what, uint32_t subject, uint64_t value,
		  uint32_t detail)
{
	struct machine *machine = opaque;

	(void)what;
	(void)subject;
	(void)value;
	(void)detail;
	machine->traces++;
}

static void at_rest(void *opaque)
{
	struct machine *machine = opaque;

	for (unsigned int i = 0; i < QUIRE_MSIX_VECTORS; i++)
		machine->vectors[i] = 0;
}

static void *thread_start(void *opaque, const char *name, void *(*run)(void *argument),
			  void *argument)
{
	pthread_t *thread = malloc(sizeof(*thread));

	(void)opaque;
	(void)name;
	if (thread && !pthread_create(thread, NULL, run, argument))
		return thread;
	free(thread);
	return NULL;
}

static void thread_join(void *opaque, void *thread)
{
	(void)opaque;
	pthread_join(*(pthread_t *)thread, NULL);
	free(thread);
}

/* --- What the tests call --- */

static uint32_t read_register(void *opaque, uint32_t offset)
{
	struct machine *machine = opaque;
	uint32_t value;

	pthread_mutex_lock(&machine->lock);
	value = (uint32_t)quire_device_read(machine->device, offset, 4);
	pthread_mutex_unlock(&machine->lock);
	return value;
}

static void write_register(void *opaque, uint32_t offset, uint32_t value)
{
	struct machine *machine = opaque;

	pthread_mutex_lock(&machine->lock);
	quire_device_write(machine->device, offset, value, 4);
	pthread_mutex_unlock(&machine->lock);
}

static void system_read(void *opaque, uint64_t address, void *to, size_t bytes)
{
	if (!bus_read(opaque, address, to, bytes))
		abort();
}

static void system_write(void *opaque, uint64_t address, const void *from, size_t bytes)
{
	if (!bus_write(opaque, address, from, bytes))
		abort();
}

static void memory_read(void *opaque, uint64_t offset, void *to, size_t bytes)
{
	memcpy(to, ((struct machine *)opaque)->memory + offset, bytes);
}

static void memory_write(void *opaque, uint64_t offset, const void *from, size_t bytes)
{
	memcpy(((struct machine *)opaque)->memory + offset, from, bytes);
}

struct machine *machine_create(unsigned int engines, unsigned int threads, const char **error)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	const struct card_access access = { machine,	  read_register, write_register, system_read,
					    system_write, memory_read,	 memory_write };
	struct quire_device_config config = {
		.bus = { machine, bus_read, bus_write, bus_map, bus_unmap, card_written,
			 raise_vector, clock_ns, alarm_at, log_line, trace, at_rest,
			 thread_start, thread_join },
		.memory_bytes = MACHINE_MEMORY_BYTES,
		.engines = engines,
		.model_threads = threads,
		.serial = 1,
	};

	if (!machine)
		abort();
	machine->memory = config.memory = allocate(MACHINE_MEMORY_BYTES);
	machine->system = allocate(MACHINE_SYSTEM_BYTES);
	pthread_mutex_init(&machine->lock, NULL);
	pthread_mutex_init(&machine->bus_lock, NULL);
	card_init(&machine->card, &access, MACHINE_SYSTEM);
	machine->device = quire_device_create(&config, error);
	if (machine->device && !pthread_create(&machine->ticker, NULL, tick, machine))
		return machine;
	machine_destroy(machine);
	return NULL;
}

void machine_reset(struct machine *machine)
{
	const struct card_access access = machine->card.access;

	pthread_mutex_lock(&machine->lock);
	quire_device_reset(machine->device, true);
	pthread_mutex_unlock(&machine->lock);
	while (quire_device_in_reset(machine->device))
		nanosleep(&(struct timespec){ 0, 10000 }, NULL);
	card_init(&machine->card, &access, MACHINE_SYSTEM);
}

void machine_destroy(struct machine *machine)
{
	if (machine->device) {
		machine->ends = true;
		pthread_join(machine->ticker, NULL);
		pthread_mutex_lock(&machine->lock);
		quire_device_retire(machine->device);
		pthread_mutex_unlock(&machine->lock);
		quire_device_destroy(machine->device);
	}
	release(machine->memory, MACHINE_MEMORY_BYTES);
	release(machine->system, MACHINE_SYSTEM_BYTES);
	pthread_mutex_destroy(&machine->lock);
	pthread_mutex_destroy(&machine->bus_lock);
	free(machine);
}
