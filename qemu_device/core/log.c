// SPDX-License-Identifier: MIT
/* The firmware's log: a window for the driver, and whole lines for whoever runs the card. */
#include "internal.h"

static void put(struct quire_device *device, char c)
{
	uint32_t written = atomic_load(&device->log_written);

	atomic_store(&device->log[written % QUIRE_LOG_BYTES], (uint8_t)c);
	atomic_store(&device->log_written, written + 1);
}

void log_end_line(struct quire_device *device)
{
	if (!device->log_length)
		return;
	put(device, '\n');
	device->log_line[device->log_length] = '\0';
	device->log_length = 0;
	device->bus.log(device->bus.opaque, device->log_line);
}

void log_character(struct quire_device *device, char c)
{
	if (c == '\n' || device->log_length == LOG_LINE - 1)
		log_end_line(device);
	if (c == '\n')
		return;
	if (c < ' ' || c > '~')
		c = '?';
	device->log_line[device->log_length++] = c;
	put(device, c);
}

void log_clear(struct quire_device *device)
{
	device->log_length = 0;
	atomic_store(&device->log_written, 0);
	for (unsigned int i = 0; i < QUIRE_LOG_BYTES; i++)
		atomic_store(&device->log[i], 0);
}
