// SPDX-License-Identifier: MIT
#include "mcu_decode.h"

static int32_t immediate_i(uint32_t word)
{
	return (int32_t)word >> 20;
}

static int32_t immediate_s(uint32_t word)
{
	return ((int32_t)(word & 0xfe000000) >> 20) | (int32_t)(word >> 7 & 0x1f);
}

static int32_t immediate_b(uint32_t word)
{
	return ((int32_t)(word & 0x80000000) >> 19) | (int32_t)((word & 0x80) << 4) |
	       (int32_t)(word >> 20 & 0x7e0) | (int32_t)(word >> 7 & 0x1e);
}

static int32_t immediate_j(uint32_t word)
{
	return ((int32_t)(word & 0x80000000) >> 11) | (int32_t)(word & 0xff000) |
	       (int32_t)(word >> 9 & 0x800) | (int32_t)(word >> 20 & 0x7fe);
}

static uint8_t decode_branch(uint32_t funct3)
{
	static const uint8_t operations[8] = { MCU_OP_BEQ, MCU_OP_BNE, MCU_OP_ILLEGAL_OP,
					       MCU_OP_ILLEGAL_OP, MCU_OP_BLT, MCU_OP_BGE,
					       MCU_OP_BLTU, MCU_OP_BGEU };

	return operations[funct3];
}

static uint8_t decode_load(uint32_t funct3)
{
	static const uint8_t operations[8] = { MCU_OP_LB, MCU_OP_LH, MCU_OP_LW, MCU_OP_ILLEGAL_OP,
					       MCU_OP_LBU, MCU_OP_LHU, MCU_OP_ILLEGAL_OP,
					       MCU_OP_ILLEGAL_OP };

	return operations[funct3];
}

static uint8_t decode_register_immediate(uint32_t funct3, uint32_t funct7)
{
	static const uint8_t operations[8] = { MCU_OP_ADDI, MCU_OP_SLLI, MCU_OP_SLTI, MCU_OP_SLTIU,
					       MCU_OP_XORI, MCU_OP_SRLI, MCU_OP_ORI, MCU_OP_ANDI };

	if (funct3 == 1 && funct7 != 0)
		return MCU_OP_ILLEGAL_OP;
	if (funct3 == 5 && funct7 == 0x20)
		return MCU_OP_SRAI;
	if (funct3 == 5 && funct7 != 0)
		return MCU_OP_ILLEGAL_OP;
	return operations[funct3];
}

static uint8_t decode_register(uint32_t funct3, uint32_t funct7)
{
	static const uint8_t base[8] = { MCU_OP_ADD, MCU_OP_SLL, MCU_OP_SLT, MCU_OP_SLTU,
					 MCU_OP_XOR, MCU_OP_SRL, MCU_OP_OR, MCU_OP_AND };
	static const uint8_t multiply[8] = { MCU_OP_MUL, MCU_OP_MULH, MCU_OP_MULHSU, MCU_OP_MULHU,
					     MCU_OP_DIV, MCU_OP_DIVU, MCU_OP_REM, MCU_OP_REMU };

	switch (funct7) {
	case 0x00:
		return base[funct3];
	case 0x01:
		return multiply[funct3];
	case 0x20:
		if (funct3 == 0)
			return MCU_OP_SUB;
		if (funct3 == 5)
			return MCU_OP_SRA;
	}
	return MCU_OP_ILLEGAL_OP;
}

static uint8_t decode_system(uint32_t word, uint32_t funct3)
{
	static const uint8_t csr[8] = { MCU_OP_ILLEGAL_OP, MCU_OP_CSRRW, MCU_OP_CSRRS,
					MCU_OP_CSRRC, MCU_OP_ILLEGAL_OP, MCU_OP_CSRRWI,
					MCU_OP_CSRRSI, MCU_OP_CSRRCI };

	switch (word) {
	case 0x00000073:
		return MCU_OP_ECALL;
	case 0x00100073:
		return MCU_OP_EBREAK;
	case 0x30200073:
		return MCU_OP_MRET;
	case 0x10500073:
		return MCU_OP_WFI;
	}
	return csr[funct3];
}

struct mcu_instruction mcu_decode(uint32_t word)
{
	struct mcu_instruction in = { MCU_OP_ILLEGAL_OP, word >> 7 & 31, word >> 15 & 31,
				      word >> 20 & 31, immediate_i(word) };
	uint32_t funct3 = word >> 12 & 7;
	uint32_t funct7 = word >> 25;

	switch (word & 0x7f) {
	case 0x37:
	case 0x17:
		in.operation = (word & 0x7f) == 0x37 ? MCU_OP_LUI : MCU_OP_AUIPC;
		in.immediate = (int32_t)(word & 0xfffff000);
		break;
	case 0x6f:
		in.operation = MCU_OP_JAL;
		in.immediate = immediate_j(word);
		break;
	case 0x67:
		if (funct3 == 0)
			in.operation = MCU_OP_JALR;
		break;
	case 0x63:
		in.operation = decode_branch(funct3);
		in.immediate = immediate_b(word);
		break;
	case 0x03:
		in.operation = decode_load(funct3);
		break;
	case 0x23:
		if (funct3 <= 2)
			in.operation = (uint8_t)(MCU_OP_SB + funct3);
		in.immediate = immediate_s(word);
		break;
	case 0x13:
		in.operation = decode_register_immediate(funct3, funct7);
		if (funct3 == 1 || funct3 == 5)
			in.immediate &= 31;
		break;
	case 0x33:
		in.operation = decode_register(funct3, funct7);
		break;
	case 0x0f:
		if (funct3 <= 1)
			in.operation = funct3 ? MCU_OP_FENCE_I : MCU_OP_FENCE;
		break;
	case 0x73:
		in.operation = decode_system(word, funct3);
		in.immediate = (int32_t)(word >> 20);
		break;
	}
	if (in.operation == MCU_OP_ILLEGAL_OP)
		in.immediate = (int32_t)word;
	if (in.rd == 0)
		in.rd = 32;
	return in;
}
