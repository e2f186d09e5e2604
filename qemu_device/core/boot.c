// SPDX-License-Identifier: MIT
/* The boot ROM and resets; docs/hardware.md section 3.  All under mcu_lock. */
#include <string.h>

#include "internal.h"
#include "sha256.h"

static void announce(struct quire_device *device, uint32_t status, uint32_t detail)
{
	device_trace(device, QUIRE_TRACE_BOOT, status, 0, detail);
	device_post_event(device, QUIRE_EVENT_BOOT);
}

void boot_set_status(struct quire_device *device, uint32_t status, uint32_t detail)
{
	atomic_store(&device->boot_detail, detail);
	atomic_store(&device->boot_status, status);
	announce(device, status, detail);
}

void boot_crashed(struct quire_device *device)
{
	/* A version mismatch halts too, but has said why already. */
	if (atomic_load(&device->boot_status) >= QUIRE_BOOT_BAD_ADDRESS)
		return;
	/* A trap whose handler cannot be fetched: nobody has told yet. */
	if (device->mcu.trapped) {
		device->panic[0] = device->mcu.mepc;
		device->panic[1] = device->mcu.mcause;
		device->panic[2] = device->mcu.mtval;
	}
	boot_set_status(device, QUIRE_BOOT_CRASHED, device->panic[1]);
	device_post_event(device, QUIRE_EVENT_CRASH);
}

/* Size of the image in SRAM, or 0 with the status set. */
static uint32_t check_image(struct quire_device *device, const uint8_t *image, uint64_t bytes,
			    struct quire_fw_header *header)
{
	uint32_t body;
	uint8_t digest[32];
	uint32_t word;

	if (bytes < sizeof(*header)) {
		boot_set_status(device, QUIRE_BOOT_BAD_SIZE, (uint32_t)bytes);
		return 0;
	}
	memcpy(header, image, sizeof(*header));
	if (header->magic != QUIRE_FW_MAGIC || header->header_bytes != sizeof(*header)) {
		boot_set_status(device, QUIRE_BOOT_BAD_MAGIC, header->magic);
		return 0;
	}
	body = header->image_bytes - (uint32_t)sizeof(*header);
	if (header->image_bytes != bytes || header->image_bytes & 3 || body > QUIRE_SRAM_BYTES ||
	    header->bss_bytes > QUIRE_SRAM_BYTES - body ||
	    header->entry - QUIRE_SRAM_BASE >= body || header->reserved) {
		boot_set_status(device, QUIRE_BOOT_BAD_SIZE, header->image_bytes);
		return 0;
	}
	/* Checked in SRAM, where the driver cannot change it any more. */
	memcpy(device->mcu.sram, image + sizeof(*header), body);
	if (device_injection_fires(device, QUIRE_INJECT_CORRUPT_FIRMWARE))
		device->mcu.sram[body / 2] ^= 1;
	quire_sha256(device->mcu.sram, body, digest);
	if (memcmp(digest, header->sha256, sizeof(digest))) {
		memcpy(&word, digest, sizeof(word));
		boot_set_status(device, QUIRE_BOOT_BAD_DIGEST, word);
		return 0;
	}
	return body;
}

/* A command that the firmware has not answered: nobody else will. */
static void abort_mailbox(struct quire_device *device)
{
	uint32_t sequence = atomic_load(&device->mailbox_sequence);

	atomic_store(&device->mailbox_seen, sequence);
	if (atomic_load(&device->mailbox_done) == sequence)
		return;
	atomic_store(&device->mailbox_result, QUIRE_MAILBOX_ABORTED);
	atomic_store(&device->mailbox_done, sequence);
	device_post_event(device, QUIRE_EVENT_MAILBOX);
}

/*
 * Nothing of the card runs when this returns.  Engines may work for a firmware
 * that has halted since, so this is not only for a firmware that runs.
 */
static void stop(struct quire_device *device)
{
	mcu_halt(&device->mcu);
	atomic_store(&device->stopped, true);
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_cancel(&device->engine[i]);
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_wait_idle(&device->engine[i]);
	/* The next firmware counts its packets from 1 again. */
	for (unsigned int i = 0; i < device->config.engines; i++)
		engine_tiled_forget(&device->engine[i]);
	atomic_store(&device->stopped, false);
	atomic_store(&device->engine_done, 0);
	atomic_store(&device->doorbells, 0);
	processor_set_alarm(device, 0);
	abort_mailbox(device);
	atomic_store(&device->negotiated, 0);
	for (unsigned int q = 0; q < QUIRE_QUEUES; q++) {
		atomic_store(&device->queue[q][QUIRE_QUEUE_TAIL / 4], 0);
		atomic_store(&device->queue[q][QUIRE_QUEUE_JOB_BANDS / 4], 0);
	}
	log_end_line(device);
}

/* Until here they tell what was in progress and what was at rest when the card stopped. */
static void forget_queues(struct quire_device *device)
{
	for (unsigned int q = 0; q < QUIRE_QUEUES; q++) {
		atomic_store(&device->queue[q][QUIRE_QUEUE_STATE / 4], QUIRE_QUEUE_OFF);
		atomic_store(&device->queue[q][QUIRE_QUEUE_COMPLETED / 4], 0);
		atomic_store(&device->queue[q][QUIRE_QUEUE_JOB / 4], 0);
		atomic_store(&device->queue[q][QUIRE_QUEUE_JOB_US / 4], 0);
	}
}

void boot_start(struct quire_device *device)
{
	uint64_t address = device->fw_address[0] | (uint64_t)device->fw_address[1] << 32;
	uint64_t bytes = device->fw_bytes;
	struct quire_fw_header header;
	uint32_t body;

	stop(device);
	forget_queues(device);
	mcu_forget_decoded(&device->mcu);
	if (address & (QUIRE_PAGE_BYTES - 1) || address > device->config.memory_bytes ||
	    bytes > device->config.memory_bytes - address) {
		boot_set_status(device, QUIRE_BOOT_BAD_ADDRESS, (uint32_t)address);
		return;
	}
	body = check_image(device, device->config.memory + address, bytes, &header);
	if (!body)
		return;
	memset(device->mcu.sram + body, 0, QUIRE_SRAM_BYTES - body);
	for (int i = 0; i < 3; i++)
		atomic_store(&device->panic[i], 0);
	boot_set_status(device, QUIRE_BOOT_RUNNING, 0);
	/* This firmware's serial numbers of packets start anew. */
	device->boots++;
	mcu_reset(&device->mcu, header.entry);
}

/* From here on, until a reset has ended, BOOT_STATUS is not OFF: something runs, or will. */
void boot_request(struct quire_device *device)
{
	pthread_mutex_lock(&device->wake_lock);
	atomic_store(&device->boot_status, QUIRE_BOOT_RUNNING);
	atomic_store(&device->start_requested, true);
	pthread_mutex_unlock(&device->wake_lock);
}

/* Stop the processor and the engines and forget all queues. */
void boot_reset(struct quire_device *device)
{
	bool off;

	stop(device);
	pthread_mutex_lock(&device->wake_lock);
	off = !atomic_load(&device->start_requested);
	if (off) {
		atomic_store(&device->boot_detail, 0);
		atomic_store(&device->boot_status, QUIRE_BOOT_OFF);
	}
	pthread_mutex_unlock(&device->wake_lock);
	if (off)
		announce(device, QUIRE_BOOT_OFF, 0);
}
