// SPDX-License-Identifier: MIT
/*
 * Threaded interpreter.  Each word of SRAM is decoded once, into an array beside
 * the SRAM; a store into decoded words makes them undecoded again.  The budget
 * and stop requests are looked at on jumps and taken branches only, since every
 * loop has one, and instructions are counted there.  Behind the last word stands one
 * that is never decoded: whoever runs into it has left the SRAM.
 */
#include <stdlib.h>
#include <string.h>

#include <quire/hw.h>

#include "mcu.h"
#include "mcu_decode.h"

#define MCU_IO_BYTES 0x10000u
#define MCU_WORDS (QUIRE_SRAM_BYTES / 4)

#define MSTATUS_MIE 0x8u
#define MSTATUS_MPIE 0x80u
#define MSTATUS_MPP 0x1800u	/* always 3: machine mode is the only one */

enum csr {
	CSR_MSTATUS = 0x300,
	CSR_MISA = 0x301,
	CSR_MIE = 0x304,
	CSR_MTVEC = 0x305,
	CSR_MSCRATCH = 0x340,
	CSR_MEPC = 0x341,
	CSR_MCAUSE = 0x342,
	CSR_MTVAL = 0x343,
	CSR_MIP = 0x344,
	CSR_MCYCLE = 0xb00,
	CSR_MINSTRET = 0xb02,
	CSR_MCYCLEH = 0xb80,
	CSR_MINSTRETH = 0xb82,
	CSR_MVENDORID = 0xf11,
	CSR_MARCHID = 0xf12,
	CSR_MIMPID = 0xf13,
	CSR_MHARTID = 0xf14,
};

#define MISA_RV32IM (1u << 30 | 1u << ('I' - 'A') | 1u << ('M' - 'A'))

int mcu_init(struct mcu *mcu, const struct mcu_bus *bus)
{
	memset(mcu, 0, sizeof(*mcu));
	mcu->bus = *bus;
	mcu->sram = calloc(1, QUIRE_SRAM_BYTES);
	mcu->decoded = calloc(MCU_WORDS + 1, sizeof(*mcu->decoded));
	mcu->halted = true;
	if (mcu->sram && mcu->decoded) {
		mcu->decoded[MCU_WORDS].operation = MCU_OP_OUTSIDE;
		return 0;
	}
	mcu_destroy(mcu);
	return -1;
}

void mcu_destroy(struct mcu *mcu)
{
	free(mcu->sram);
	free(mcu->decoded);
	mcu->sram = NULL;
	mcu->decoded = NULL;
}

void mcu_forget_decoded(struct mcu *mcu)
{
	memset(mcu->decoded, 0, mcu->decoded_end / 4 * sizeof(*mcu->decoded));
	mcu->decoded_end = 0;
}

void mcu_reset(struct mcu *mcu, uint32_t entry)
{
	mcu_forget_decoded(mcu);
	memset(mcu->x, 0, sizeof(mcu->x));
	mcu->pc = entry;
	mcu->mstatus = MSTATUS_MPP;
	mcu->mtvec = 0;
	mcu->mscratch = 0;
	mcu->mepc = 0;
	mcu->mcause = 0;
	mcu->mtval = 0;
	mcu->halted = false;
	mcu->trapped = false;
}

void mcu_halt(struct mcu *mcu)
{
	mcu->halted = true;
}

void mcu_request_stop(struct mcu *mcu, bool stop)
{
	atomic_store(&mcu->stop_requested, stop);
}

static void take_trap(struct mcu *mcu, uint32_t pc, uint32_t cause, uint32_t value)
{
	/* The handler itself cannot be fetched: nothing can run any more. */
	if (cause <= MCU_FETCH_FAULT && pc == (mcu->mtvec & ~3u)) {
		mcu->halted = true;
		mcu->trapped = true;
	}
	mcu->mepc = pc & ~3u;
	mcu->mcause = cause;
	mcu->mtval = value;
	mcu->mstatus = MSTATUS_MPP | (mcu->mstatus & MSTATUS_MIE ? MSTATUS_MPIE : 0);
	mcu->pc = mcu->mtvec & ~3u;
}

static bool csr_read(const struct mcu *mcu, uint32_t csr, uint64_t instructions, uint32_t *value)
{
	switch (csr) {
	case CSR_MSTATUS:
		*value = mcu->mstatus;
		return true;
	case CSR_MISA:
		*value = MISA_RV32IM;
		return true;
	case CSR_MTVEC:
		*value = mcu->mtvec;
		return true;
	case CSR_MSCRATCH:
		*value = mcu->mscratch;
		return true;
	case CSR_MEPC:
		*value = mcu->mepc;
		return true;
	case CSR_MCAUSE:
		*value = mcu->mcause;
		return true;
	case CSR_MTVAL:
		*value = mcu->mtval;
		return true;
	case CSR_MCYCLE:
	case CSR_MINSTRET:
		*value = (uint32_t)instructions;
		return true;
	case CSR_MCYCLEH:
	case CSR_MINSTRETH:
		*value = (uint32_t)(instructions >> 32);
		return true;
	case CSR_MIE:
	case CSR_MIP:
	case CSR_MVENDORID:
	case CSR_MARCHID:
	case CSR_MIMPID:
	case CSR_MHARTID:
		*value = 0;
		return true;
	}
	return false;
}

/* Read-only and unknown registers were sorted out before. */
static void csr_write(struct mcu *mcu, uint32_t csr, uint32_t value)
{
	switch (csr) {
	case CSR_MSTATUS:
		mcu->mstatus = MSTATUS_MPP | (value & (MSTATUS_MIE | MSTATUS_MPIE));
		break;
	case CSR_MTVEC:
		mcu->mtvec = value & ~3u;
		break;
	case CSR_MSCRATCH:
		mcu->mscratch = value;
		break;
	case CSR_MEPC:
		mcu->mepc = value & ~3u;
		break;
	case CSR_MCAUSE:
		mcu->mcause = value;
		break;
	case CSR_MTVAL:
		mcu->mtval = value;
		break;
	}
}

/* One of the six CSR operations; false when it is illegal. */
static bool csr_operate(struct mcu *mcu, const struct mcu_instruction *in, uint64_t instructions,
			uint32_t *old)
{
	uint32_t csr = (uint32_t)in->immediate;
	bool immediate = in->operation >= MCU_OP_CSRRWI;
	uint32_t operand = immediate ? in->rs1 : mcu->x[in->rs1];
	uint32_t kind = in->operation - (immediate ? MCU_OP_CSRRWI : MCU_OP_CSRRW);
	bool writes = kind == 0 || in->rs1 != 0;
	uint32_t value = operand;

	if (!csr_read(mcu, csr, instructions, old))
		return false;
	if (!writes)
		return true;
	if (csr >> 10 == 3)	/* read-only by its number */
		return false;
	if (kind == 1)
		value = *old | operand;
	else if (kind == 2)
		value = *old & ~operand;
	csr_write(mcu, csr, value);
	return true;
}

static int32_t divide(int32_t a, int32_t b)
{
	if (b == 0)
		return -1;
	if (a == INT32_MIN && b == -1)
		return a;
	return a / b;
}

static int32_t remainder_of(int32_t a, int32_t b)
{
	if (b == 0)
		return a;
	if (a == INT32_MIN && b == -1)
		return 0;
	return a % b;
}

/* Of the host's time, in instructions: all that is decoded is dropped. */
#define FENCE_I_COST 1500

enum mcu_stop mcu_run(struct mcu *mcu, uint64_t budget)
{
	static const void *const labels[] = {
#define MCU_LABEL(name) &&do_##name,
		MCU_OPERATIONS(MCU_LABEL)
#undef MCU_LABEL
	};
	uint32_t x[33];
	uint8_t *const sram = mcu->sram;
	struct mcu_instruction *const decoded = mcu->decoded;
	const struct mcu_instruction *in = decoded, *block = decoded;
	/* Of the blocks that have ended; the one in progress began at block. */
	uint64_t count = mcu->instructions;
	uint64_t limit = count + budget;
	enum mcu_stop stop;
	uint32_t target;	/* offset from the start of SRAM, so that one compare checks it */
	uint32_t address, cause, value, cost;

#define MCU_SPILL()                                                            \
	do {                                                                   \
		memcpy(mcu->x, x, sizeof(mcu->x));                             \
		mcu->instructions = count;                                     \
	} while (0)
#define OFFSET ((uint32_t)(in - decoded) * 4)
#define PC (OFFSET + QUIRE_SRAM_BASE)
/* Instructions of this block, the present one included. */
#define EXECUTED ((uint64_t)(in - block) + 1)
#define NEXT()                                                                 \
	do {                                                                   \
		in++;                                                          \
		goto *labels[in->operation];                                   \
	} while (0)
#define JUMP(to)                                                               \
	do {                                                                   \
		target = (to);                                                 \
		count += EXECUTED;                                             \
		if (count >= limit || target >= QUIRE_SRAM_BYTES ||            \
		    atomic_load_explicit(&mcu->stop_requested, memory_order_relaxed)) \
			goto jumped;                                           \
		in = block = &decoded[target >> 2];                            \
		goto *labels[in->operation];                                   \
	} while (0)
#define RD x[in->rd]
#define RS1 x[in->rs1]
#define RS2 x[in->rs2]
#define IMMEDIATE in->immediate
#define TRAP(c, v)                                                             \
	do {                                                                   \
		cause = (c);                                                   \
		value = (v);                                                   \
		goto trap;                                                     \
	} while (0)

	memcpy(x, mcu->x, sizeof(mcu->x));
	x[0] = 0;
	x[32] = 0;
	target = mcu->pc - QUIRE_SRAM_BASE;

	/* count is right here, and no block has begun. */
jumped:
	mcu->pc = target + QUIRE_SRAM_BASE;
	if (mcu->halted) {
		stop = MCU_STOP_HALTED;
		goto out;
	}
	if (count >= limit) {
		stop = MCU_STOP_BUDGET;
		goto out;
	}
	if (atomic_load_explicit(&mcu->stop_requested, memory_order_relaxed)) {
		stop = MCU_STOP_REQUEST;
		goto out;
	}
	if (target & 3 || target >= QUIRE_SRAM_BYTES) {
		cause = target & 3 ? MCU_FETCH_MISALIGNED : MCU_FETCH_FAULT;
		take_trap(mcu, mcu->pc, cause, mcu->pc);
		target = mcu->pc - QUIRE_SRAM_BASE;
		goto jumped;
	}
	in = block = &decoded[target >> 2];
	goto *labels[in->operation];

trap:
	count += EXECUTED;
	take_trap(mcu, PC, cause, value);
	target = mcu->pc - QUIRE_SRAM_BASE;
	goto jumped;

do_OUTSIDE:
	count += EXECUTED - 1;
	target = QUIRE_SRAM_BYTES;
	goto jumped;

do_UNDECODED:
	{
		uint32_t word, offset = OFFSET;

		memcpy(&word, sram + offset, 4);
		decoded[offset / 4] = mcu_decode(word);
		if (mcu->decoded_end < offset + 4)
			mcu->decoded_end = offset + 4;
		goto *labels[in->operation];
	}
do_ILLEGAL_OP:
	TRAP(MCU_ILLEGAL, (uint32_t)IMMEDIATE);

do_LUI:
	RD = (uint32_t)IMMEDIATE;
	NEXT();
do_AUIPC:
	RD = PC + (uint32_t)IMMEDIATE;
	NEXT();
do_JAL:
	if (IMMEDIATE & 3)
		TRAP(MCU_FETCH_MISALIGNED, PC + (uint32_t)IMMEDIATE);
	RD = PC + 4;
	JUMP(OFFSET + (uint32_t)IMMEDIATE);
do_JALR:
	address = (RS1 + (uint32_t)IMMEDIATE) & ~1u;
	if (address & 3)
		TRAP(MCU_FETCH_MISALIGNED, address);
	RD = PC + 4;
	JUMP(address - QUIRE_SRAM_BASE);

#define BRANCH(condition)                                                      \
	do {                                                                   \
		if (condition) {                                               \
			if (IMMEDIATE & 3)                                     \
				TRAP(MCU_FETCH_MISALIGNED, PC + (uint32_t)IMMEDIATE); \
			JUMP(OFFSET + (uint32_t)IMMEDIATE);                    \
		}                                                              \
		NEXT();                                                        \
	} while (0)
do_BEQ:
	BRANCH(RS1 == RS2);
do_BNE:
	BRANCH(RS1 != RS2);
do_BLT:
	BRANCH((int32_t)RS1 < (int32_t)RS2);
do_BGE:
	BRANCH((int32_t)RS1 >= (int32_t)RS2);
do_BLTU:
	BRANCH(RS1 < RS2);
do_BGEU:
	BRANCH(RS1 >= RS2);

#define LOAD(type)                                                             \
	do {                                                                   \
		type datum;                                                    \
									       \
		address = RS1 + (uint32_t)IMMEDIATE;                           \
		if (address & (sizeof(type) - 1))                              \
			TRAP(MCU_LOAD_MISALIGNED, address);                    \
		if (address - QUIRE_SRAM_BASE >= QUIRE_SRAM_BYTES)             \
			goto load_outside;                                     \
		memcpy(&datum, sram + (address - QUIRE_SRAM_BASE), sizeof(datum)); \
		RD = (uint32_t)(int32_t)datum;                                 \
		NEXT();                                                        \
	} while (0)
do_LB:
	LOAD(int8_t);
do_LH:
	LOAD(int16_t);
do_LW:
	LOAD(int32_t);
do_LBU:
	LOAD(uint8_t);
do_LHU:
	LOAD(uint16_t);

load_outside:
	if (in->operation != MCU_OP_LW || address - QUIRE_MCU_IO_BASE >= MCU_IO_BYTES)
		TRAP(MCU_LOAD_FAULT, address);
	RD = mcu->bus.io_read(mcu->bus.opaque, address - QUIRE_MCU_IO_BASE);
	NEXT();

#define STORE(type)                                                            \
	do {                                                                   \
		type datum = (type)RS2;                                        \
									       \
		address = RS1 + (uint32_t)IMMEDIATE;                           \
		if (address & (sizeof(type) - 1))                              \
			TRAP(MCU_STORE_MISALIGNED, address);                   \
		if (address - QUIRE_SRAM_BASE >= QUIRE_SRAM_BYTES)             \
			goto store_outside;                                    \
		memcpy(sram + (address - QUIRE_SRAM_BASE), &datum, sizeof(datum)); \
		if (address - QUIRE_SRAM_BASE < mcu->decoded_end)              \
			decoded[(address - QUIRE_SRAM_BASE) >> 2].operation =  \
				MCU_OP_UNDECODED;                              \
		NEXT();                                                        \
	} while (0)
do_SB:
	STORE(uint8_t);
do_SH:
	STORE(uint16_t);
do_SW:
	STORE(uint32_t);

store_outside:
	if (in->operation != MCU_OP_SW || address - QUIRE_MCU_IO_BASE >= MCU_IO_BYTES)
		TRAP(MCU_STORE_FAULT, address);
	/* The write may halt us, or move data into the SRAM. */
	cost = mcu->bus.io_write(mcu->bus.opaque, address - QUIRE_MCU_IO_BASE, RS2);
	goto charge;

	/* A straight line of costly instructions is no way past the budget, or a stop. */
charge:
	limit = cost < limit - count ? limit - cost : count;
	if (count + EXECUTED >= limit || mcu->halted ||
	    atomic_load_explicit(&mcu->stop_requested, memory_order_relaxed)) {
		target = OFFSET + 4;
		count += EXECUTED;
		goto jumped;
	}
	NEXT();

do_ADDI:
	RD = RS1 + (uint32_t)IMMEDIATE;
	NEXT();
do_SLTI:
	RD = (int32_t)RS1 < IMMEDIATE;
	NEXT();
do_SLTIU:
	RD = RS1 < (uint32_t)IMMEDIATE;
	NEXT();
do_XORI:
	RD = RS1 ^ (uint32_t)IMMEDIATE;
	NEXT();
do_ORI:
	RD = RS1 | (uint32_t)IMMEDIATE;
	NEXT();
do_ANDI:
	RD = RS1 & (uint32_t)IMMEDIATE;
	NEXT();
do_SLLI:
	RD = RS1 << IMMEDIATE;
	NEXT();
do_SRLI:
	RD = RS1 >> IMMEDIATE;
	NEXT();
do_SRAI:
	RD = (uint32_t)((int32_t)RS1 >> IMMEDIATE);
	NEXT();

do_ADD:
	RD = RS1 + RS2;
	NEXT();
do_SUB:
	RD = RS1 - RS2;
	NEXT();
do_SLL:
	RD = RS1 << (RS2 & 31);
	NEXT();
do_SLT:
	RD = (int32_t)RS1 < (int32_t)RS2;
	NEXT();
do_SLTU:
	RD = RS1 < RS2;
	NEXT();
do_XOR:
	RD = RS1 ^ RS2;
	NEXT();
do_SRL:
	RD = RS1 >> (RS2 & 31);
	NEXT();
do_SRA:
	RD = (uint32_t)((int32_t)RS1 >> (RS2 & 31));
	NEXT();
do_OR:
	RD = RS1 | RS2;
	NEXT();
do_AND:
	RD = RS1 & RS2;
	NEXT();

do_MUL:
	RD = RS1 * RS2;
	NEXT();
do_MULH:
	RD = (uint32_t)((int64_t)(int32_t)RS1 * (int32_t)RS2 >> 32);
	NEXT();
do_MULHSU:
	RD = (uint32_t)((int64_t)(int32_t)RS1 * (int64_t)(uint64_t)RS2 >> 32);
	NEXT();
do_MULHU:
	RD = (uint32_t)((uint64_t)RS1 * RS2 >> 32);
	NEXT();
do_DIV:
	RD = (uint32_t)divide((int32_t)RS1, (int32_t)RS2);
	NEXT();
do_DIVU:
	RD = RS2 ? RS1 / RS2 : ~0u;
	NEXT();
do_REM:
	RD = (uint32_t)remainder_of((int32_t)RS1, (int32_t)RS2);
	NEXT();
do_REMU:
	RD = RS2 ? RS1 % RS2 : RS1;
	NEXT();

do_FENCE:
	/* The bus functions order accesses to memory; there is nothing to hold back. */
	NEXT();
do_FENCE_I:
	mcu_forget_decoded(mcu);
	cost = FENCE_I_COST;
	goto charge;
do_ECALL:
	TRAP(MCU_ECALL, 0);
do_EBREAK:
	TRAP(MCU_BREAKPOINT, PC);
do_MRET:
	mcu->mstatus = MSTATUS_MPP | MSTATUS_MPIE |
		       (mcu->mstatus & MSTATUS_MPIE ? MSTATUS_MIE : 0);
	JUMP(mcu->mepc - QUIRE_SRAM_BASE);
do_WFI:
	if (mcu->bus.events_pending(mcu->bus.opaque))
		NEXT();
	/* Sleep behind the WFI: whoever wakes us has made an event pending. */
	mcu->pc = PC + 4;
	count += EXECUTED;
	stop = MCU_STOP_SLEEP;
	goto out;

do_CSRRW:
do_CSRRS:
do_CSRRC:
do_CSRRWI:
do_CSRRSI:
do_CSRRCI:
	MCU_SPILL();
	if (!csr_operate(mcu, in, count + EXECUTED, &value)) {
		uint32_t word;

		memcpy(&word, sram + OFFSET, 4);
		TRAP(MCU_ILLEGAL, word);
	}
	RD = value;
	NEXT();

out:
	MCU_SPILL();
	return stop;
}
