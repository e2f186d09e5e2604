// SPDX-License-Identifier: GPL-2.0-only
#include "firmware.h"
#include "io.h"

void log_line(const char *text)
{
	while (*text)
		io_write(QUIRE_IO_LOG, (uint8_t)*text++);
	io_write(QUIRE_IO_LOG, '\n');
}

void fault_panic(uint32_t pc, uint32_t cause, uint32_t value)
{
	io_write(QUIRE_IO_PANIC_PC, pc);
	io_write(QUIRE_IO_PANIC_CAUSE, cause);
	io_write(QUIRE_IO_PANIC_VALUE, value);	/* halts */
	for (;;)
		;
}
