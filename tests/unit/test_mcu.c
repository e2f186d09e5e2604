// SPDX-License-Identifier: MIT
/*
 * The interpreter against Unicorn: random instruction sequences must leave the
 * same registers and memory.  Traps, which Unicorn hands to its caller instead of a
 * handler, are tested one by one against the privileged specification.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <unicorn/unicorn.h>

#include <quire/hw.h>

#include "mcu.h"

#define SEQUENCES 20000
#define BODY 48			/* instructions of a sequence */
#define LENGTH (BODY + 3)	/* with those that run it again */
#define CODE QUIRE_SRAM_BASE
#define DATA (QUIRE_SRAM_BASE + 0x8000u)
#define DATA_BYTES 0x1000u
/* Never written by random instructions: the middle of the data, the start of the code ... */
#define BASE_REGISTER 8
#define CODE_REGISTER 18
#define ROUNDS_REGISTER 9	/* ... and how often the sequence still runs */

static uint64_t seed = 42;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed * 0x2545f4914f6cdd1dull >> 32);
}

static uint32_t below(uint32_t limit)
{
	return rnd() % limit;
}

/* --- Instruction formats --- */

static uint32_t r_type(uint32_t funct7, uint32_t rs2, uint32_t rs1, uint32_t funct3, uint32_t rd,
		       uint32_t opcode)
{
	return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t i_type(uint32_t immediate, uint32_t rs1, uint32_t funct3, uint32_t rd,
		       uint32_t opcode)
{
	return immediate << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t s_type(uint32_t immediate, uint32_t rs2, uint32_t rs1, uint32_t funct3)
{
	return (immediate >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 |
	       (immediate & 31) << 7 | 0x23;
}

static uint32_t b_type(uint32_t offset, uint32_t rs2, uint32_t rs1, uint32_t funct3)
{
	return (offset >> 12 & 1) << 31 | (offset >> 5 & 0x3f) << 25 | rs2 << 20 | rs1 << 15 |
	       funct3 << 12 | (offset >> 1 & 15) << 8 | (offset >> 11 & 1) << 7 | 0x63;
}

static uint32_t j_type(uint32_t offset, uint32_t rd)
{
	return (offset >> 20 & 1) << 31 | (offset >> 1 & 0x3ff) << 21 | (offset >> 11 & 1) << 20 |
	       (offset >> 12 & 0xff) << 12 | rd << 7 | 0x6f;
}

static uint32_t destination(void)
{
	uint32_t rd = below(32);

	return rd == BASE_REGISTER || rd == CODE_REGISTER || rd == ROUNDS_REGISTER ? 0 : rd;
}

/* A load or store inside the data, aligned. */
static uint32_t memory_access(void)
{
	static const uint32_t loads[5] = { 0, 1, 2, 4, 5 };
	static const uint32_t sizes[8] = { 1, 2, 4, 0, 1, 2, 0, 0 };
	uint32_t kind, offset;

	if (below(2)) {
		kind = loads[below(5)];
		offset = (below(DATA_BYTES / 2) - DATA_BYTES / 4) & ~(sizes[kind] - 1);
		return i_type(offset & 0xfff, BASE_REGISTER, kind, destination(), 0x03);
	}
	kind = below(3);
	offset = (below(DATA_BYTES / 2) - DATA_BYTES / 4) & ~(sizes[kind] - 1);
	return s_type(offset & 0xfff, below(32), BASE_REGISTER, kind);
}

static uint32_t csr_access(void)
{
	static const uint32_t csrs[3] = { 0x340, 0x341, 0x342 }; /* mscratch, mepc, mcause */
	uint32_t funct3 = 1 + below(3) + 4 * below(2);

	/* mepc keeps its low bits 0 here and only bit 0 there: stay with scratch and cause */
	return i_type(csrs[below(2) ? 0 : 2], below(32), funct3, destination(), 0x73);
}

/* jalr clears bit 0 of its target. */
static uint32_t jump_to(uint32_t place)
{
	return i_type(4 * place + below(2), CODE_REGISTER, 0, destination(), 0x67);
}

/* One instruction at place i of BODY; jumps go forward, at most to what follows the body. */
static uint32_t random_instruction(uint32_t i)
{
	static const uint32_t branches[6] = { 0, 1, 4, 5, 6, 7 };
	uint32_t forward = 4 * (1 + below(BODY - i < 8 ? BODY - i : 8));
	uint32_t funct3 = below(8);

	switch (below(12)) {
	case 0: return (rnd() & 0xfffff000) | destination() << 7 | 0x37;
	case 1: return (rnd() & 0xfffff000) | destination() << 7 | 0x17;
	case 2: return b_type(forward, below(32), below(32), branches[below(6)]);
	case 3:
		if (below(2))
			return b_type(forward, below(32), below(32), branches[below(6)]);
		return below(2) ? j_type(forward, destination()) : jump_to(i + forward / 4);
	case 4:
	case 5: return memory_access();
	case 6: return csr_access();
	case 7: return r_type(1, below(32), below(32), funct3, destination(), 0x33);
	case 8: return r_type(1, below(32), below(32), 4 + below(4), destination(), 0x33);
	case 9:
		if (funct3 == 1 || funct3 == 5)
			return i_type(below(32) | (funct3 == 5 && below(2) ? 0x400 : 0), below(32),
				      funct3, destination(), 0x13);
		return i_type(rnd() & 0xfff, below(32), funct3, destination(), 0x13);
	default:
		return r_type((funct3 == 0 || funct3 == 5) && below(2) ? 0x20 : 0, below(32),
			      below(32), funct3, destination(), 0x33);
	}
}

/* Behind the body: one round less, and back to a random place unless it was the last. */
static void random_repetition(uint32_t words[LENGTH - BODY])
{
	uint32_t target = below(BODY), back = 4 * (target - (LENGTH - 1));

	words[0] = i_type(0xfff, ROUNDS_REGISTER, 0, ROUNDS_REGISTER, 0x13);
	words[1] = b_type(8, 0, ROUNDS_REGISTER, 0);
	switch (below(3)) {
	case 0: words[2] = b_type(back, 0, ROUNDS_REGISTER, 1); break;
	case 1: words[2] = j_type(back, destination()); break;
	default: words[2] = jump_to(target);
	}
}

/* --- Our side --- */

static uint32_t io_values[4];

static uint32_t io_read(void *opaque, uint32_t offset)
{
	(void)opaque;
	return offset < sizeof(io_values) ? io_values[offset / 4] : 0;
}

/* What each write costs beside its instruction; the write after which a stop is requested. */
static uint32_t io_cost, io_writes, io_stop;
static struct mcu *io_stopped;

static uint32_t io_write(void *opaque, uint32_t offset, uint32_t value)
{
	(void)opaque;
	if (offset < sizeof(io_values))
		io_values[offset / 4] = value;
	if (++io_writes == io_stop)
		mcu_request_stop(io_stopped, true);
	return io_cost;
}

static bool no_events(void *opaque)
{
	(void)opaque;
	return false;
}

static void start(struct mcu *mcu)
{
	const struct mcu_bus bus = { NULL, io_read, io_write, no_events };

	assert_int_equal(0, mcu_init(mcu, &bus));
	mcu_reset(mcu, CODE);
}

static void poke(struct mcu *mcu, uint32_t offset, uint32_t word)
{
	memcpy(mcu->sram + offset, &word, sizeof(word));
}

#define WFI 0x10500073u

static uint32_t interesting(void)
{
	static const uint32_t values[] = { 0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 31, 32 };

	return below(3) ? rnd() : values[below(8)];
}

static void random_sequences_agree_with_unicorn(void **state)
{
	struct mcu mcu;
	uc_engine *uc;

	(void)state;
	start(&mcu);
	assert_int_equal(UC_ERR_OK, uc_open(UC_ARCH_RISCV, UC_MODE_RISCV32, &uc));
	assert_int_equal(UC_ERR_OK, uc_mem_map(uc, CODE, QUIRE_SRAM_BYTES, UC_PROT_ALL));
	for (int sequence = 0; sequence < SEQUENCES; sequence++) {
		/* Fresh code addresses, so that Unicorn translates anew. */
		uint32_t at = (uint32_t)(sequence % 64) * 256;
		uint32_t theirs[32] = { 0 }, zero = 0, repetition[LENGTH - BODY];
		static uint8_t data[DATA_BYTES];

		mcu_reset(&mcu, CODE + at);
		for (uint32_t i = 0; i < BODY; i++)
			poke(&mcu, at + 4 * i, random_instruction(i));
		random_repetition(repetition);
		for (uint32_t i = BODY; i < LENGTH; i++)
			poke(&mcu, at + 4 * i, repetition[i - BODY]);
		poke(&mcu, at + 4 * LENGTH, WFI);
		for (uint32_t i = 0; i < DATA_BYTES; i += 4)
			poke(&mcu, DATA - CODE + i, rnd());
		for (int i = 1; i < 32; i++)
			mcu.x[i] = interesting();
		mcu.x[BASE_REGISTER] = DATA + DATA_BYTES / 2;
		mcu.x[CODE_REGISTER] = CODE + at;
		mcu.x[ROUNDS_REGISTER] = 1 + below(4);
		uc_ctl_remove_cache(uc, CODE, CODE + 0x8000);
		assert_int_equal(UC_ERR_OK, uc_mem_write(uc, CODE + at, mcu.sram + at, 256));
		assert_int_equal(UC_ERR_OK,
				 uc_mem_write(uc, DATA, mcu.sram + (DATA - CODE), DATA_BYTES));
		for (int i = 1; i < 32; i++)
			uc_reg_write(uc, UC_RISCV_REG_X0 + i, &mcu.x[i]);
		uc_reg_write(uc, UC_RISCV_REG_MSCRATCH, &zero);
		uc_reg_write(uc, UC_RISCV_REG_MCAUSE, &zero);

		assert_int_equal(UC_ERR_OK, uc_emu_start(uc, CODE + at, CODE + at + 4 * LENGTH, 0, 0));
		assert_int_equal(MCU_STOP_SLEEP, mcu_run(&mcu, 1000));
		assert_int_equal(CODE + at + 4 * LENGTH + 4, mcu.pc);
		for (int i = 0; i < 32; i++) {
			uc_reg_read(uc, UC_RISCV_REG_X0 + i, &theirs[i]);
			if (theirs[i] != mcu.x[i])
				fail_msg("sequence %d: x%d is %08x, Unicorn has %08x", sequence, i,
					 mcu.x[i], theirs[i]);
		}
		uc_mem_read(uc, DATA, data, DATA_BYTES);
		assert_memory_equal(data, mcu.sram + (DATA - CODE), DATA_BYTES);
	}
	uc_close(uc);
	mcu_destroy(&mcu);
}

/* --- Traps --- */

#define HANDLER 0x400u
#define NO_TRAP 99u

/* Run one instruction with x5 and x6 set; the handler sleeps. */
static void trap(struct mcu *mcu, uint32_t word, uint32_t x5, uint32_t x6)
{
	start(mcu);
	poke(mcu, 0, word);
	poke(mcu, 4, WFI);
	poke(mcu, HANDLER, WFI);
	mcu->x[5] = x5;
	mcu->x[6] = x6;
	mcu->mtvec = CODE + HANDLER;
	mcu->mstatus |= 8;	/* MIE */
	assert_int_equal(MCU_STOP_SLEEP, mcu_run(mcu, 100));
	mcu_destroy(mcu);
}

static void traps_tell_cause_value_and_place(void **state)
{
	static const struct { uint32_t word, x5, cause, value; } cases[] = {
		{ 0x00000000, 0, MCU_ILLEGAL, 0 },
		{ 0xffffffff, 0, MCU_ILLEGAL, 0xffffffff },
		{ 0x0000707f, 0, MCU_ILLEGAL, 0x0000707f },
		{ 0xc0002573, 0, MCU_ILLEGAL, 0xc0002573 },	/* cycle: not there */
		{ 0x30500073 | 5 << 15 | 1 << 12, 0, NO_TRAP, 0 },	/* mtvec can be written */
		{ 0xf1401073 | 5 << 15, 0, MCU_ILLEGAL, 0xf1401073 | 5 << 15 }, /* mhartid cannot */
		{ 0x00000073, 0, MCU_ECALL, 0 },
		{ 0x00100073, 0, MCU_BREAKPOINT, CODE },
		{ 0x0002a303, DATA + 2, MCU_LOAD_MISALIGNED, DATA + 2 },	/* lw x6, 0(x5) */
		{ 0x00029303, DATA + 1, MCU_LOAD_MISALIGNED, DATA + 1 },	/* lh */
		{ 0x0002a303, 0, MCU_LOAD_FAULT, 0 },
		{ 0x0002a303, QUIRE_SRAM_BASE + QUIRE_SRAM_BYTES, MCU_LOAD_FAULT,
		  QUIRE_SRAM_BASE + QUIRE_SRAM_BYTES },
		{ 0x00028303, QUIRE_MCU_IO_BASE, MCU_LOAD_FAULT, QUIRE_MCU_IO_BASE }, /* lb of I/O */
		{ 0x0062a023, DATA + 1, MCU_STORE_MISALIGNED, DATA + 1 },	/* sw x6, 0(x5) */
		{ 0x0062a023, 16, MCU_STORE_FAULT, 16 },
		{ 0x00628023, QUIRE_MCU_IO_BASE, MCU_STORE_FAULT, QUIRE_MCU_IO_BASE },
		{ 0x00028067, DATA + 2, MCU_FETCH_MISALIGNED, DATA + 2 },	/* jalr x0, 0(x5) */
	};
	struct mcu mcu;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		trap(&mcu, cases[i].word, cases[i].x5, 0);
		if (cases[i].cause == NO_TRAP) {
			assert_int_equal(CODE + 8, mcu.pc);
			continue;
		}
		assert_int_equal(CODE + HANDLER + 4, mcu.pc);
		assert_int_equal(cases[i].cause, mcu.mcause);
		assert_int_equal(cases[i].value, mcu.mtval);
		assert_int_equal(CODE, mcu.mepc);
		assert_int_equal(0x1880, mcu.mstatus);	/* MPP = 3, MPIE = MIE before, MIE = 0 */
	}
}

static void a_fetch_outside_memory_faults_at_its_target(void **state)
{
	struct mcu mcu;

	(void)state;
	trap(&mcu, 0x00028067, 0x1000, 0);
	assert_int_equal(MCU_FETCH_FAULT, mcu.mcause);
	assert_int_equal(0x1000, mcu.mepc);
	assert_int_equal(0x1000, mcu.mtval);
}

static void a_trap_without_a_handler_halts(void **state)
{
	struct mcu mcu;

	(void)state;
	start(&mcu);
	poke(&mcu, 0, 0);
	assert_int_equal(MCU_STOP_HALTED, mcu_run(&mcu, 100));
	assert_true(mcu.halted);
	mcu_destroy(&mcu);
}

static void mret_returns_and_restores(void **state)
{
	struct mcu mcu;

	(void)state;
	start(&mcu);
	poke(&mcu, 0, 0x30200073);
	poke(&mcu, 0x80, WFI);
	mcu.mepc = CODE + 0x80;
	mcu.mstatus = 0x1880;
	assert_int_equal(MCU_STOP_SLEEP, mcu_run(&mcu, 100));
	assert_int_equal(CODE + 0x84, mcu.pc);
	assert_int_equal(0x1888, mcu.mstatus);
	mcu_destroy(&mcu);
}

static void stores_into_code_take_effect(void **state)
{
	struct mcu mcu;

	(void)state;
	start(&mcu);
	/* loop once: the second pass runs the instruction that the first pass stored */
	poke(&mcu, 0, 0x00150513);			/* addi x10, x10, 1 */
	poke(&mcu, 4, s_type(0, 6, 5, 2));		/* sw x6, 0(x5) */
	poke(&mcu, 8, 0xfff38393);			/* addi x7, x7, -1 */
	poke(&mcu, 12, b_type((uint32_t)-12, 0, 7, 1));	/* bne x7, x0, -12 */
	poke(&mcu, 16, WFI);
	mcu.x[5] = CODE;
	mcu.x[6] = 0x06450513;				/* addi x10, x10, 100 */
	mcu.x[7] = 3;
	assert_int_equal(MCU_STOP_SLEEP, mcu_run(&mcu, 100));
	assert_int_equal(201, mcu.x[10]);
	mcu_destroy(&mcu);
}

static void io_is_read_and_written_in_words(void **state)
{
	struct mcu mcu;

	(void)state;
	start(&mcu);
	poke(&mcu, 0, 0x0042a303);	/* lw x6, 4(x5) */
	poke(&mcu, 4, 0x0062a423);	/* sw x6, 8(x5) */
	poke(&mcu, 8, WFI);
	mcu.x[5] = QUIRE_MCU_IO_BASE;
	io_values[1] = 0xcafe;
	assert_int_equal(MCU_STOP_SLEEP, mcu_run(&mcu, 100));
	assert_int_equal(0xcafe, io_values[2]);
	mcu_destroy(&mcu);
}

static void budget_and_requests_end_an_endless_loop(void **state)
{
	struct mcu mcu;

	(void)state;
	start(&mcu);
	poke(&mcu, 0, j_type(0, 0));
	assert_int_equal(MCU_STOP_BUDGET, mcu_run(&mcu, 1000));
	assert_in_range(mcu.instructions, 1000, 1001);
	mcu_request_stop(&mcu, true);
	assert_int_equal(MCU_STOP_REQUEST, mcu_run(&mcu, UINT64_MAX / 2));
	mcu_destroy(&mcu);
}

#define LINE 1000u

/* As many times the same instruction, without a jump. */
static void straight_line(struct mcu *mcu, uint32_t word)
{
	start(mcu);
	for (uint32_t i = 0; i < LINE; i++)
		poke(mcu, 4 * i, word);
	poke(mcu, 4 * LINE, WFI);
	mcu->x[5] = QUIRE_MCU_IO_BASE;
	io_writes = 0;
}

static void a_straight_line_of_costly_instructions_keeps_to_the_budget(void **state)
{
	const uint32_t store = 0x0062a423, fence_i = 0x0000100f;	/* sw x6, 8(x5) */
	uint32_t runs = 1;
	struct mcu mcu;

	(void)state;
	straight_line(&mcu, store);
	io_cost = 500;
	assert_int_equal(MCU_STOP_BUDGET, mcu_run(&mcu, 5000));
	assert_in_range(io_writes, 9, 10);
	/* what was not run is run later, and nothing twice */
	assert_int_equal(io_writes, mcu.instructions);
	assert_int_equal(CODE + 4 * io_writes, mcu.pc);
	while (mcu_run(&mcu, 5000) == MCU_STOP_BUDGET)
		runs++;
	assert_int_equal(LINE, io_writes);
	assert_int_equal(LINE + 1, mcu.instructions);
	assert_in_range(runs, LINE / 10, LINE / 9 + 1);
	mcu_destroy(&mcu);
	io_cost = 0;

	straight_line(&mcu, fence_i);
	assert_int_equal(MCU_STOP_BUDGET, mcu_run(&mcu, 5000));
	assert_in_range(mcu.instructions, 1, 10);
	mcu_destroy(&mcu);
}

static void a_request_ends_a_straight_line_of_writes(void **state)
{
	struct mcu mcu;

	(void)state;
	straight_line(&mcu, 0x0062a423);
	io_stop = 7;
	io_stopped = &mcu;
	assert_int_equal(MCU_STOP_REQUEST, mcu_run(&mcu, 1000000));
	assert_int_equal(7, io_writes);
	mcu_request_stop(&mcu, false);
	assert_int_equal(MCU_STOP_SLEEP, mcu_run(&mcu, 1000000));
	assert_int_equal(LINE, io_writes);
	io_stop = 0;
	mcu_destroy(&mcu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sequences_agree_with_unicorn),
		cmocka_unit_test(traps_tell_cause_value_and_place),
		cmocka_unit_test(a_fetch_outside_memory_faults_at_its_target),
		cmocka_unit_test(a_trap_without_a_handler_halts),
		cmocka_unit_test(mret_returns_and_restores),
		cmocka_unit_test(stores_into_code_take_effect),
		cmocka_unit_test(io_is_read_and_written_in_words),
		cmocka_unit_test(budget_and_requests_end_an_endless_loop),
		cmocka_unit_test(a_straight_line_of_costly_instructions_keeps_to_the_budget),
		cmocka_unit_test(a_request_ends_a_straight_line_of_writes),
	};

	return cmocka_run_group_tests_name("mcu", tests, NULL, NULL);
}
