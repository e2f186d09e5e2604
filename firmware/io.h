/* SPDX-License-Identifier: GPL-2.0-only */
/* Registers of the control processor. */
#ifndef QUIRE_FW_IO_H
#define QUIRE_FW_IO_H

#include <stdint.h>

#include <quire/hw.h>

static inline uint32_t io_read(uint32_t offset)
{
	return *(volatile uint32_t *)(QUIRE_MCU_IO_BASE + offset);
}

static inline void io_write(uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(QUIRE_MCU_IO_BASE + offset) = value;
}

static inline uint64_t io_time(void)
{
	uint32_t low = io_read(QUIRE_IO_TIME_LO);	/* latches the other */

	return low | (uint64_t)io_read(QUIRE_IO_TIME_HI) << 32;
}

/* Nothing the compiler keeps in registers crosses this: DMA and engines read SRAM. */
static inline void io_sram_barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

#endif
