// SPDX-License-Identifier: MIT
/* Registers as the control processor sees them.  All under mcu_lock. */
#include <string.h>

#include <quirenum/gemm.h>

#include "internal.h"

/*
 * What one band may cost: a few milliseconds of the host, so that nobody waits
 * long behind one.
 */
#define BAND_KIBI_MACS (256u << 10)

/* A transfer's part of the host's time, in instructions: of the call, and of so many bytes. */
#define DMA_COST 100
#define DMA_COST_BYTES 16

static uint32_t events(struct quire_device *device)
{
	uint32_t bits = 0;

	if (atomic_load(&device->doorbells))
		bits |= QUIRE_IO_EVENT_DOORBELL;
	if (atomic_load(&device->engine_done))
		bits |= QUIRE_IO_EVENT_ENGINE;
	if (atomic_load(&device->mailbox_sequence) != atomic_load(&device->mailbox_seen))
		bits |= QUIRE_IO_EVENT_MAILBOX;
	if (processor_alarm_is_due(device))
		bits |= QUIRE_IO_EVENT_TIMER;
	return bits;
}

static uint32_t read_time(struct quire_device *device)
{
	uint64_t now = device->bus.clock(device->bus.opaque);

	device->time_high = (uint32_t)(now >> 32);
	return (uint32_t)now;
}

static uint32_t read_mailbox_sequence(struct quire_device *device)
{
	uint32_t sequence = atomic_load(&device->mailbox_sequence);

	atomic_store(&device->mailbox_seen, sequence);
	return sequence;
}

uint32_t mcu_io_read(void *opaque, uint32_t offset)
{
	struct quire_device *device = opaque;

	if (offset >= QUIRE_IO_QUEUE(0) && offset < QUIRE_IO_QUEUE(QUIRE_QUEUES))
		return device->queue[(offset - QUIRE_IO_QUEUE(0)) / 64][offset / 4 & 15];
	switch (offset) {
	case QUIRE_IO_EVENTS: return events(device);
	case QUIRE_IO_TIME_LO: return read_time(device);
	case QUIRE_IO_TIME_HI: return device->time_high;
	case QUIRE_IO_HEARTBEAT: return device->heartbeat;
	case QUIRE_IO_BOOT_STATUS: return device->boot_status;
	case QUIRE_IO_DRIVER_VERSIONS: return device->driver_versions;
	case QUIRE_IO_FW_VERSIONS: return device->fw_versions;
	case QUIRE_IO_NEGOTIATED: return device->negotiated;
	case QUIRE_IO_MAILBOX_COMMAND: return device->mailbox_command;
	case QUIRE_IO_MAILBOX_ARGUMENT: return device->mailbox_argument;
	case QUIRE_IO_MAILBOX_SEQUENCE: return read_mailbox_sequence(device);
	case QUIRE_IO_ENGINES: return device->config.engines;
	case QUIRE_IO_SERVING: return device->serving;
	case QUIRE_IO_BAND_MACS: return BAND_KIBI_MACS;
	case QUIRE_IO_KEPT_B: return QUIRE_GEMM_KEPT_ELEMENTS >> 10;
	case QUIRE_IO_DOORBELLS_LO: return (uint32_t)device->doorbells;
	case QUIRE_IO_DOORBELLS_HI: return (uint32_t)(device->doorbells >> 32);
	case QUIRE_IO_DMA_STATUS: return device->dma_fault.info;
	case QUIRE_IO_DMA_FAULT_LO: return (uint32_t)device->dma_fault.address;
	case QUIRE_IO_DMA_FAULT_HI: return (uint32_t)(device->dma_fault.address >> 32);
	case QUIRE_IO_ENGINE_DONE: return device->engine_done;
	case QUIRE_IO_ENGINE_BUSY: return device->engine_busy;
	}
	return 0;
}

/* One transfer is one operation: a flush that comes meanwhile drains with its end. */
static void dma_virtual(struct quire_device *device, uint64_t address, void *sram, uint32_t bytes,
			bool write)
{
	uint32_t context = device->dma[0];

	if (context < QUIRE_CONTEXTS)
		drain_begin(device, &device->mcu_tlb, context);
	dma_copy(device, &device->mcu_tlb, context, address, sram, bytes, write,
		 &device->dma_fault);
	drain_end(device, &device->mcu_tlb);
}

static void dma_command(struct quire_device *device, uint32_t command)
{
	uint64_t address = device->dma[1] | (uint64_t)device->dma[2] << 32;
	uint32_t offset = device->dma[3] - QUIRE_SRAM_BASE;
	uint32_t bytes = device->dma[4];
	uint8_t *sram = device->mcu.sram + offset;
	bool to_sram = command == QUIRE_DMA_TO_SRAM;
	bool good;

	device->dma_fault = (struct fault){ 0, address };
	if (command < QUIRE_DMA_TO_SRAM || command > QUIRE_DMA_RECORD || offset & 3 ||
	    bytes > QUIRE_DMA_MAX_BYTES || offset > QUIRE_SRAM_BYTES ||
	    bytes > QUIRE_SRAM_BYTES - offset) {
		device->dma_fault.info = QUIRE_FAULT_ADDRESS;
		return;
	}
	if (device->dma[0] != QUIRE_DMA_BUS) {
		dma_virtual(device, address, sram, bytes, !to_sram);
		return;
	}
	if (to_sram) {
		good = dma_bus_read(device, address, sram, bytes);
	} else if (command == QUIRE_DMA_RECORD && bytes > 8) {
		good = dma_bus_write(device, address + 8, sram + 8, bytes - 8);
		/* The sequence number tells the driver that the rest is there. */
		atomic_thread_fence(memory_order_seq_cst);
		good = good && dma_bus_write(device, address, sram, 8);
	} else {
		good = dma_bus_write(device, address, sram, bytes);
	}
	if (!good)
		device->dma_fault.info = QUIRE_FAULT_BUS | (to_sram ? 0 : QUIRE_FAULT_WRITE);
}

static void cancel_engines(struct quire_device *device, uint32_t mask)
{
	for (unsigned int i = 0; i < device->config.engines; i++)
		if (mask >> i & 1)
			engine_cancel(&device->engine[i]);
}

static void boot_status(struct quire_device *device, uint32_t status)
{
	if (status != QUIRE_BOOT_READY && status != QUIRE_BOOT_BAD_VERSION)
		return;
	if (status == QUIRE_BOOT_BAD_VERSION)
		mcu_halt(&device->mcu);
	boot_set_status(device, status,
			status == QUIRE_BOOT_BAD_VERSION ? device->driver_versions : 0);
}

static void write_queue(struct quire_device *device, unsigned int queue, uint32_t field,
			uint32_t value)
{
	switch (field) {
	case QUIRE_QUEUE_STATE:
	case QUIRE_QUEUE_COMPLETED:
	case QUIRE_QUEUE_JOB:
	case QUIRE_QUEUE_JOB_US:
	case QUIRE_QUEUE_JOB_BANDS:
		device->queue[queue][field / 4] = value;
	}
	if (field == QUIRE_QUEUE_STATE)
		device_trace(device, QUIRE_TRACE_QUEUE, queue, 0, value);
	else if (field == QUIRE_QUEUE_COMPLETED)
		device_trace(device, QUIRE_TRACE_JOB, queue, value, 0);
}

static bool is_resume(const struct quire_device *device)
{
	uint32_t queue = device->mailbox_argument;

	return device->mailbox_command == QUIRE_MAILBOX_QUEUE_START && queue < QUIRE_QUEUES &&
	       device->queue[queue][QUIRE_QUEUE_RESUME / 4];
}

static void answer_mailbox(struct quire_device *device, uint32_t sequence)
{
	if (!is_resume(device) || !device_injection_fires(device, QUIRE_INJECT_LOSE_RESUMES))
		device->mailbox_done = sequence;
}

uint32_t mcu_io_write(void *opaque, uint32_t offset, uint32_t value)
{
	struct quire_device *device = opaque;

	if (offset >= QUIRE_IO_QUEUE(0) && offset < QUIRE_IO_QUEUE(QUIRE_QUEUES)) {
		write_queue(device, (offset - QUIRE_IO_QUEUE(0)) / 64, offset % 64, value);
		return 0;
	}
	if (offset >= QUIRE_IO_DMA_CONTEXT && offset <= QUIRE_IO_DMA_BYTES) {
		device->dma[(offset - QUIRE_IO_DMA_CONTEXT) / 4] = value;
		return 0;
	}
	if (offset >= QUIRE_IO_ENGINE_START(0) &&
	    offset < QUIRE_IO_ENGINE_START(device->config.engines)) {
		return engine_start(&device->engine[(offset - QUIRE_IO_ENGINE_START(0)) / 4],
				    value);
	}
	switch (offset) {
	case QUIRE_IO_ALARM:
		processor_set_alarm(device, value);
		break;
	case QUIRE_IO_RAISE_VECTOR: device_raise(device, value); break;
	case QUIRE_IO_POST_EVENT: device_post_event(device, value); break;
	case QUIRE_IO_LOG: log_character(device, (char)value); break;
	case QUIRE_IO_HEARTBEAT: device->heartbeat = value; break;
	case QUIRE_IO_BOOT_STATUS: boot_status(device, value); break;
	case QUIRE_IO_FW_VERSIONS: device->fw_versions = value; break;
	case QUIRE_IO_NEGOTIATED: device->negotiated = value; break;
	case QUIRE_IO_FW_RELEASE: device->fw_release = value; break;
	case QUIRE_IO_PANIC_PC: device->panic[0] = value; break;
	case QUIRE_IO_PANIC_CAUSE: device->panic[1] = value; break;
	case QUIRE_IO_PANIC_VALUE:
		device->panic[2] = value;
		mcu_halt(&device->mcu);
		break;
	case QUIRE_IO_MAILBOX_RESULT: device->mailbox_result = value; break;
	case QUIRE_IO_MAILBOX_DONE: answer_mailbox(device, value); break;
	case QUIRE_IO_COUNT_JOBS: device_count(device, QUIRE_COUNTER_JOBS, value); break;
	case QUIRE_IO_COUNT_PACKETS: device_count(device, QUIRE_COUNTER_PACKETS, value); break;
	case QUIRE_IO_COUNT_ERRORS: device_count(device, QUIRE_COUNTER_ERRORS, value); break;
	case QUIRE_IO_DOORBELLS_LO: atomic_fetch_and(&device->doorbells, ~(uint64_t)value); break;
	case QUIRE_IO_DOORBELLS_HI:
		atomic_fetch_and(&device->doorbells, ~((uint64_t)value << 32));
		break;
	case QUIRE_IO_DMA_COMMAND:
		dma_command(device, value);
		return DMA_COST + device->dma[4] / DMA_COST_BYTES;
	case QUIRE_IO_ENGINE_DONE: atomic_fetch_and(&device->engine_done, ~value); break;
	case QUIRE_IO_ENGINE_CANCEL: cancel_engines(device, value); break;
	}	return 0;
}
