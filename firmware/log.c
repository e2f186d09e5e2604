// SPDX-License-Identifier: GPL-2.0-only
/* Lines for whoever looks after the card. */
#include "firmware.h"
#include "io.h"

#define LINES_A_SECOND 8
#define SECOND 1000000000ull

void log_text(const char *text)
{
	while (*text)
		io_write(QUIRE_IO_LOG, (uint8_t)*text++);
}

void log_decimal(const char *name, uint32_t value)
{
	char digits[11];
	char *at = &digits[10];

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	log_text(name);
	log_text(at);
}

void log_hex(const char *name, uint64_t value)
{
	char digits[17];
	char *at = &digits[16];

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	log_text(name);
	log_text("0x");
	log_text(at);
}

void log_end(void)
{
	io_write(QUIRE_IO_LOG, '\n');
}

/* A queue that fails again and again must not push everything else out of the window. */
bool log_queue(uint32_t number)
{
	static uint64_t second;
	static uint32_t lines, left_out;
	uint64_t now = io_time();

	if (now - second >= SECOND) {
		second = now;
		lines = 0;
	}
	if (lines == LINES_A_SECOND) {
		left_out++;
		return false;
	}
	lines++;
	if (left_out) {
		log_decimal("lines left out: ", left_out);
		log_end();
		left_out = 0;
	}
	log_decimal("queue ", number);
	log_text(": ");
	return true;
}
