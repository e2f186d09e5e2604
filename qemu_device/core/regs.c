// SPDX-License-Identifier: MIT
/* Registers as the driver sees them: BAR 0. */
#include "internal.h"

void device_raise(struct quire_device *device, unsigned int vector)
{
	if (vector >= QUIRE_MSIX_VECTORS || quire_device_in_reset(device) ||
	    device_injection_fires(device, QUIRE_INJECT_DROP_INTERRUPTS))
		return;
	device->bus.raise(device->bus.opaque, vector);
}

void device_post_event(struct quire_device *device, uint32_t bits)
{
	uint32_t old = atomic_fetch_or(&device->event_status, bits);

	if (bits & ~old & atomic_load(&device->event_enable))
		device_raise(device, 0);
}

static uint32_t read_counter(struct quire_device *device, uint64_t offset)
{
	uint32_t index = (uint32_t)(offset - QUIRE_REG_COUNTER_LO(0)) / 8;
	uint64_t value;

	if (offset & 4)
		return device->counter_high;
	if (index == QUIRE_COUNTER_TEMPERATURE)
		value = energy_temperature(device);
	else
		value = atomic_load(&device->counter[index]);
	device->counter_high = (uint32_t)(value >> 32);
	return (uint32_t)value;
}

static uint32_t read_flushes(struct quire_device *device, uint64_t offset)
{
	uint32_t context = (uint32_t)(offset - QUIRE_REG_FLUSHED(0)) / 8;

	return offset & 4 ? drain_drained(device, context) : device->flushed[context];
}

static uint32_t read_log(struct quire_device *device, uint64_t offset)
{
	uint32_t at = (uint32_t)(offset - QUIRE_REG_LOG(0)), word = 0;

	for (unsigned int i = 0; i < 4; i++)
		word |= (uint32_t)device->log[at + i] << 8 * i;
	return word;
}

static uint32_t read_register(struct quire_device *device, uint64_t offset)
{
	switch (offset) {
	case QUIRE_REG_ID: return QUIRE_ID_VALUE;
	case QUIRE_REG_HW_VERSION: return QUIRE_HW_VERSION_VALUE;
	case QUIRE_REG_CAP_QUEUES: return QUIRE_CONTEXTS << 16 | QUIRE_QUEUES;
	case QUIRE_REG_CAP_ENGINES: return device->config.engines;
	case QUIRE_REG_MEMORY_LO: return (uint32_t)device->config.memory_bytes;
	case QUIRE_REG_MEMORY_HI: return (uint32_t)(device->config.memory_bytes >> 32);
	case QUIRE_REG_SERIAL_LO: return (uint32_t)device->config.serial;
	case QUIRE_REG_SERIAL_HI: return (uint32_t)(device->config.serial >> 32);
	case QUIRE_REG_SRAM_BYTES: return QUIRE_SRAM_BYTES;
	case QUIRE_REG_FW_ADDRESS_LO: return device->fw_address[0];
	case QUIRE_REG_FW_ADDRESS_HI: return device->fw_address[1];
	case QUIRE_REG_FW_BYTES: return device->fw_bytes;
	case QUIRE_REG_BOOT_STATUS: return device->boot_status;
	case QUIRE_REG_BOOT_DETAIL: return device->boot_detail;
	case QUIRE_REG_HEARTBEAT: return device->heartbeat;
	case QUIRE_REG_DRIVER_VERSIONS: return device->driver_versions;
	case QUIRE_REG_FW_VERSIONS: return device->fw_versions;
	case QUIRE_REG_NEGOTIATED: return device->negotiated;
	case QUIRE_REG_FW_RELEASE: return device->fw_release;
	case QUIRE_REG_LOG_WRITTEN: return device->log_written;
	case QUIRE_REG_PANIC_PC: return device->panic[0];
	case QUIRE_REG_PANIC_CAUSE: return device->panic[1];
	case QUIRE_REG_PANIC_VALUE: return device->panic[2];
	case QUIRE_REG_EVENT_STATUS: return device->event_status;
	case QUIRE_REG_EVENT_ENABLE: return device->event_enable;
	case QUIRE_REG_MAILBOX_COMMAND: return device->mailbox_command;
	case QUIRE_REG_MAILBOX_ARGUMENT: return device->mailbox_argument;
	case QUIRE_REG_MAILBOX_DONE: return device->mailbox_done;
	case QUIRE_REG_MAILBOX_RESULT: return device->mailbox_result;
	case QUIRE_REG_FAULT_CONTEXT: return device->fault_context;
	case QUIRE_REG_FAULT_ADDRESS_LO: return device->fault_address[0];
	case QUIRE_REG_FAULT_ADDRESS_HI: return device->fault_address[1];
	case QUIRE_REG_FAULT_INFO: return device->fault_info;
	}
	if (offset >= QUIRE_REG_CONTEXT_ROOT_LO(0) && offset < QUIRE_REG_CONTEXT_ROOT_LO(QUIRE_CONTEXTS))
		return device->context_root[(offset - QUIRE_REG_CONTEXT_ROOT_LO(0)) / 8][offset / 4 & 1];
	if (offset >= QUIRE_REG_QUEUE(0) && offset < QUIRE_REG_QUEUE(QUIRE_QUEUES))
		return device->queue[(offset - QUIRE_REG_QUEUE(0)) / 64][offset / 4 & 15];
	if (offset >= QUIRE_REG_FLUSHED(0) && offset < QUIRE_REG_FLUSHED(QUIRE_CONTEXTS))
		return read_flushes(device, offset);
	if (offset >= QUIRE_REG_COUNTER_LO(0) && offset < QUIRE_REG_COUNTER_LO(QUIRE_COUNTERS))
		return read_counter(device, offset);
	if (offset >= QUIRE_REG_LOG(0) && offset < QUIRE_REG_LOG(QUIRE_LOG_BYTES / 4))
		return read_log(device, offset);
	return 0;
}

static void write_queue(struct quire_device *device, uint64_t offset, uint32_t value)
{
	uint32_t field = offset % 64;

	/* STATE, COMPLETED, TAIL and what follows RESUME belong to the card. */
	if (field <= QUIRE_QUEUE_PRIORITY ||
	    (field >= QUIRE_QUEUE_SAVE_LO && field <= QUIRE_QUEUE_RESUME))
		device->queue[(offset - QUIRE_REG_QUEUE(0)) / 64][offset / 4 & 15] = value;
}

static void ring_doorbell(struct quire_device *device, uint64_t offset, uint32_t value)
{
	unsigned int queue = (unsigned int)(offset - QUIRE_REG_DOORBELL(0)) / 0x1000;

	if (offset & 0xfff)
		return;
	/* The tail first: the firmware clears the bit and then reads the tail. */
	atomic_store(&device->queue[queue][QUIRE_QUEUE_TAIL / 4], value);
	atomic_fetch_or(&device->doorbells, 1ull << queue);
	processor_kick_inline(device, queue);
}

/* Events that are pending already raise the vector when they are enabled. */
static void enable_events(struct quire_device *device, uint32_t value)
{
	uint32_t old = atomic_exchange(&device->event_enable, value);

	if (value & ~old & atomic_load(&device->event_status))
		device_raise(device, 0);
}

/* The processor's thread serves a reset before a start: a reset takes an earlier start back. */
static void control(struct quire_device *device, uint32_t value)
{
	if (value & QUIRE_MCU_RESET) {
		atomic_store(&device->start_requested, false);
		atomic_store(&device->reset_requested, true);
	}
	if (value & QUIRE_MCU_START)
		boot_request(device);
	if (value & (QUIRE_MCU_RESET | QUIRE_MCU_START)) {
		mcu_request_stop(&device->mcu, true);
		processor_kick(device);
	}
}

static void write_register(struct quire_device *device, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case QUIRE_REG_FW_ADDRESS_LO: device->fw_address[0] = value; return;
	case QUIRE_REG_FW_ADDRESS_HI: device->fw_address[1] = value; return;
	case QUIRE_REG_FW_BYTES: device->fw_bytes = value; return;
	case QUIRE_REG_MCU_CONTROL: control(device, value); return;
	case QUIRE_REG_DRIVER_VERSIONS: device->driver_versions = value; return;
	case QUIRE_REG_EVENT_STATUS: atomic_fetch_and(&device->event_status, ~value); return;
	case QUIRE_REG_EVENT_ENABLE: enable_events(device, value); return;
	case QUIRE_REG_MAILBOX_COMMAND: device->mailbox_command = value; return;
	case QUIRE_REG_MAILBOX_ARGUMENT: device->mailbox_argument = value; return;
	case QUIRE_REG_MAILBOX_SEND:
		device->mailbox_sequence = value;
		processor_kick_inline(device, QUIRE_SERVING_NONE);
		return;
	case QUIRE_REG_TLB_FLUSH: drain_flush(device, value); return;
	}
	if (offset >= QUIRE_REG_CONTEXT_ROOT_LO(0) && offset < QUIRE_REG_CONTEXT_ROOT_LO(QUIRE_CONTEXTS))
		device->context_root[(offset - QUIRE_REG_CONTEXT_ROOT_LO(0)) / 8][offset / 4 & 1] = value;
	else if (offset >= QUIRE_REG_QUEUE(0) && offset < QUIRE_REG_QUEUE(QUIRE_QUEUES))
		write_queue(device, offset, value);
	else if (offset >= QUIRE_REG_DOORBELL(0) && offset < QUIRE_REG_DOORBELL(QUIRE_QUEUES))
		ring_doorbell(device, offset, value);
}

uint64_t quire_device_read(struct quire_device *device, uint64_t offset, unsigned int bytes)
{
	if (bytes != 4 || offset & 3 || quire_device_in_reset(device))
		return ~0ull;
	return read_register(device, offset);
}

void quire_device_write(struct quire_device *device, uint64_t offset, uint64_t value,
			unsigned int bytes)
{
	if (bytes == 4 && !(offset & 3) && !quire_device_in_reset(device))
		write_register(device, offset, (uint32_t)value);
}
