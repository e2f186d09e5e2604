/* SPDX-License-Identifier: MIT */
/* Decoding of RV32IM and Zicsr into what mcu.c executes. */
#ifndef QUIRE_CORE_MCU_DECODE_H
#define QUIRE_CORE_MCU_DECODE_H

#include <stdint.h>

/* One line per operation: the interpreter has a label of the same name for each. */
#define MCU_OPERATIONS(_)                                                      \
	_(UNDECODED) _(OUTSIDE) _(ILLEGAL_OP)                                  \
	_(LUI) _(AUIPC) _(JAL) _(JALR)                                         \
	_(BEQ) _(BNE) _(BLT) _(BGE) _(BLTU) _(BGEU)                            \
	_(LB) _(LH) _(LW) _(LBU) _(LHU) _(SB) _(SH) _(SW)                      \
	_(ADDI) _(SLTI) _(SLTIU) _(XORI) _(ORI) _(ANDI) _(SLLI) _(SRLI) _(SRAI) \
	_(ADD) _(SUB) _(SLL) _(SLT) _(SLTU) _(XOR) _(SRL) _(SRA) _(OR) _(AND)  \
	_(MUL) _(MULH) _(MULHSU) _(MULHU) _(DIV) _(DIVU) _(REM) _(REMU)        \
	_(FENCE) _(FENCE_I) _(ECALL) _(EBREAK) _(MRET) _(WFI)                  \
	_(CSRRW) _(CSRRS) _(CSRRC) _(CSRRWI) _(CSRRSI) _(CSRRCI)

enum mcu_operation {
#define MCU_ENUM(name) MCU_OP_##name,
	MCU_OPERATIONS(MCU_ENUM)
#undef MCU_ENUM
};

/*
 * rd is 32 for a destination of x0: a register nobody reads, so that writes need
 * no test.  immediate holds the CSR number for CSR operations, the raw word for
 * illegal ones.
 */
struct mcu_instruction {
	uint8_t operation;
	uint8_t rd, rs1, rs2;
	int32_t immediate;
};

struct mcu_instruction mcu_decode(uint32_t word);

#endif /* QUIRE_CORE_MCU_DECODE_H */
