/* SPDX-License-Identifier: MIT */
/*
 * The control processor: an interpreter for RV32IM with Zicsr in machine mode.
 *
 * Source: The RISC-V Instruction Set Manual, volume I (20191213), chapters 2, 5,
 * 7 and 9, and volume II (20211203), chapter 3.  No compressed instructions and
 * no interrupts: mie and mip read 0, and WFI waits for the card's own events.
 *
 * Memory is the SRAM and a block of 32-bit I/O registers; every other address
 * traps with an access fault, as does I/O that is not an aligned 32-bit access.
 * Misaligned accesses trap.  A trap whose handler cannot be fetched halts.
 *
 * One thread runs it at a time; who may is decided outside.
 */
#ifndef QUIRE_CORE_MCU_H
#define QUIRE_CORE_MCU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* mcause of the exceptions this processor can raise */
enum mcu_cause {
	MCU_FETCH_MISALIGNED = 0,
	MCU_FETCH_FAULT = 1,
	MCU_ILLEGAL = 2,
	MCU_BREAKPOINT = 3,
	MCU_LOAD_MISALIGNED = 4,
	MCU_LOAD_FAULT = 5,
	MCU_STORE_MISALIGNED = 6,
	MCU_STORE_FAULT = 7,
	MCU_ECALL = 11,
};

enum mcu_stop {
	MCU_STOP_BUDGET,	/* the instructions granted are used up */
	MCU_STOP_SLEEP,		/* WFI, and no event is pending */
	MCU_STOP_HALTED,	/* mcu_halt(), or a trap in the trap handler's fetch */
	MCU_STOP_REQUEST,	/* mcu_request_stop() */
};

/* What the processor is connected to. */
struct mcu_bus {
	void *opaque;
	/* offset from QUIRE_MCU_IO_BASE, a multiple of 4, below 64 KiB */
	uint32_t (*io_read)(void *opaque, uint32_t offset);
	/* What it costs beside the instruction, in instructions. */
	uint32_t (*io_write)(void *opaque, uint32_t offset, uint32_t value);
	bool (*events_pending)(void *opaque);
};

struct mcu_instruction;	/* a decoded word of SRAM */

struct mcu {
	struct mcu_bus bus;
	uint8_t *sram;			/* QUIRE_SRAM_BYTES, at QUIRE_SRAM_BASE */
	struct mcu_instruction *decoded;
	uint32_t decoded_end;		/* no word at or behind this offset is decoded */
	atomic_bool stop_requested;

	/* Architectural state; all that a saved machine needs beside the SRAM. */
	uint32_t x[32];
	uint32_t pc;
	uint32_t mstatus, mtvec, mscratch, mepc, mcause, mtval;
	uint64_t instructions;		/* minstret and mcycle */
	bool halted;
	bool trapped;			/* halted by a trap whose handler cannot be fetched */
};

/* 0, or -1 without memory.  The SRAM starts zeroed, the processor halted. */
int mcu_init(struct mcu *mcu, const struct mcu_bus *bus);
void mcu_destroy(struct mcu *mcu);

/* Start over at entry; the SRAM stays.  Decoded instructions are forgotten. */
void mcu_reset(struct mcu *mcu, uint32_t entry);

/* After the SRAM was written from outside. */
void mcu_forget_decoded(struct mcu *mcu);

void mcu_halt(struct mcu *mcu);

/* From any thread: mcu_run() returns soon, and at once until this is cleared. */
void mcu_request_stop(struct mcu *mcu, bool stop);

/*
 * Run at most about `budget` instructions, what they cost elsewhere included.  It, and a request
 * to stop, are looked at on jumps and behind what may cost more than an instruction; so SRAM
 * without either is run to its end, some 65 000 instructions.
 */
enum mcu_stop mcu_run(struct mcu *mcu, uint64_t budget);

#endif /* QUIRE_CORE_MCU_H */
