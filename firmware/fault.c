// SPDX-License-Identifier: GPL-2.0-only
#include "firmware.h"
#include "io.h"

void fault_panic(uint32_t pc, uint32_t cause, uint32_t value)
{
	/* The trap may have come in the middle of a line. */
	log_end();
	log_hex("panic: pc ", pc);
	log_hex(" cause ", cause);
	log_hex(" value ", value);
	log_end();
	io_write(QUIRE_IO_PANIC_PC, pc);
	io_write(QUIRE_IO_PANIC_CAUSE, cause);
	io_write(QUIRE_IO_PANIC_VALUE, value);	/* halts */
	for (;;)
		;
}
