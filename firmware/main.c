// SPDX-License-Identifier: GPL-2.0-only
#include "firmware.h"
#include "io.h"

/* The registers of jobs are at most 50 ms old. */
#define HEARTBEAT_US 40000

struct queue queues[QUIRE_QUEUES];

/* Agree on the highest interface version both sides know; false if there is none. */
static bool negotiate(void)
{
	uint32_t driver = io_read(QUIRE_IO_DRIVER_VERSIONS);
	uint32_t driver_min = driver >> 16, driver_max = driver & 0xffff;
	uint32_t version = QUIRE_INTERFACE_VERSION_MAX;

	io_write(QUIRE_IO_FW_RELEASE, FW_RELEASE);
	io_write(QUIRE_IO_FW_VERSIONS,
		 QUIRE_INTERFACE_VERSION_MIN << 16 | QUIRE_INTERFACE_VERSION_MAX);
	if (version > driver_max)
		version = driver_max;
	if (version < QUIRE_INTERFACE_VERSION_MIN || version < driver_min) {
		io_write(QUIRE_IO_BOOT_STATUS, QUIRE_BOOT_BAD_VERSION);
		return false;
	}
	io_write(QUIRE_IO_NEGOTIATED, version);
	return true;
}

void firmware_main(void)
{
	uint32_t heartbeat = 0;

	if (!negotiate())
		return;
	band_init();
	sched_init();
	io_write(QUIRE_IO_ALARM, HEARTBEAT_US);
	io_write(QUIRE_IO_BOOT_STATUS, QUIRE_BOOT_READY);
	log_text("quire firmware 2.0.0 ready:");
	log_decimal(" interface ", io_read(QUIRE_IO_NEGOTIATED));
	log_decimal(" engines ", io_read(QUIRE_IO_ENGINES));
	log_end();

	for (;;) {
		uint32_t events = io_read(QUIRE_IO_EVENTS);
		struct queue *q;

		io_write(QUIRE_IO_HEARTBEAT, ++heartbeat);
		if (events & QUIRE_IO_EVENT_TIMER) {
			io_write(QUIRE_IO_ALARM, HEARTBEAT_US);
			keep_alarm();
			progress_refresh();
		}
		if (events & QUIRE_IO_EVENT_ENGINE)
			band_collect();
		if (events & QUIRE_IO_EVENT_MAILBOX)
			mailbox_handle();
		if (events & QUIRE_IO_EVENT_DOORBELL)
			doorbells_handle();
		q = sched_pick();
		if (q) {
			job_step(q);
			continue;
		}
		sched_shared = false;
		__asm__ volatile("wfi");
	}
}
