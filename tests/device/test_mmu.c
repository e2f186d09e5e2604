// SPDX-License-Identifier: MIT
/* Address translation: what is mapped, what faults, and what the fault says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"

#define HOLE 0x200000000000ull	/* nothing is mapped from here on */

struct setting {
	struct board *board;
	struct card *card;
	struct quire_packet_gemm gemm;
};

static struct setting ready(void)
{
	struct setting s = { .board = board_start(1, "") };

	s.card = &s.board->cards[0].card;
	card_boot(s.card);
	card_open_context(s.card, 0);
	card_start_queue(s.card, 0, 0);
	s.gemm = card_small_gemm(s.card);
	return s;
}

/* Run the product; it must fault so. */
static void expect_fault(struct setting *s, uint32_t reason, uint32_t unit, bool write,
			 uint64_t address)
{
	struct quire_fence_record record = card_run(s->card, 0, 0, &s->gemm, sizeof(s->gemm));
	uint32_t info = reason | (write ? QUIRE_FAULT_WRITE : 0);

	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record.status);
	assert_int_equal(info | unit << QUIRE_FAULT_UNIT_SHIFT, record.fault_info);
	assert_true(record.fault_address == address);
	assert_int_equal(0, record.packet);
	/* the registers show the last fault, without the unit */
	assert_int_equal(0, card_read(s->card, QUIRE_REG_FAULT_CONTEXT));
	assert_true(card_read64(s->card, QUIRE_REG_FAULT_ADDRESS_LO) == address);
	assert_int_equal(info, card_read(s->card, QUIRE_REG_FAULT_INFO));
	/* and make the queue new for the next */
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(s->card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	card_start_queue(s->card, 0, 0);
	s->gemm = card_small_gemm(s->card);
}

static void expect_success(struct setting *s)
{
	struct quire_fence_record record = card_run(s->card, 0, 0, &s->gemm, sizeof(s->gemm));

	card_check_small_gemm(s->card, &record);
}

static void each_operand_tells_its_unit(void **state)
{
	struct setting s = ready();
	struct quire_fence_record record;

	(void)state;
	s.gemm.a.address = HOLE;
	expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_A, false, HOLE);
	s.gemm.b.address = HOLE + 0x1230;
	expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_B, false, HOLE + 0x1230);
	s.gemm.d.address = HOLE;
	expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_D, true, HOLE);
	s.gemm.beta = 0x3f800000;
	s.gemm.c = (struct quire_operand){ HOLE, 0, QUIRE_FORMAT_FP32, 2 };
	expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_C, false, HOLE);
	s.gemm.gemm_flags = QUIRE_GEMM_BIAS_ROW;
	s.gemm.bias_address = HOLE;
	s.gemm.bias_format = QUIRE_FORMAT_FP32;
	expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_BIAS, false, HOLE);
	s.gemm.header.result = HOLE;
	expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_RESULT, true, HOLE);
	assert_int_equal(6, card_read64(s.card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_FAULTS)));
	/* the stream itself */
	card_push(s.card, 0, HOLE, 16);
	card_doorbell(s.card, 0);
	record = card_wait_record(s.card, 0, 1);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record.status);
	assert_int_equal(QUIRE_FAULT_UNMAPPED | QUIRE_FAULT_UNIT_STREAM << QUIRE_FAULT_UNIT_SHIFT,
			 record.fault_info);
	board_stop(s.board);
}

static void copies_tell_source_and_destination(void **state)
{
	struct setting s = ready();
	struct quire_packet_copy copy = { { QUIRE_PACKET_COPY, sizeof(copy), 0, 0 },
					  HOLE, CARD_VIRTUAL, 64, 64, 64, 1, 0 };
	struct quire_fence_record record;

	(void)state;
	record = card_run(s.card, 0, 0x8000, &copy, sizeof(copy));
	assert_int_equal(QUIRE_FAULT_UNMAPPED | QUIRE_FAULT_UNIT_SOURCE << QUIRE_FAULT_UNIT_SHIFT,
			 record.fault_info);
	card_mailbox(s.card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	card_start_queue(s.card, 0, 0);
	copy.source = CARD_VIRTUAL;
	copy.destination = HOLE;
	record = card_run(s.card, 0, 0x8000, &copy, sizeof(copy));
	assert_int_equal(QUIRE_FAULT_UNMAPPED | QUIRE_FAULT_WRITE |
				 QUIRE_FAULT_UNIT_DESTINATION << QUIRE_FAULT_UNIT_SHIFT,
			 record.fault_info);
	assert_true(record.fault_address == HOLE);
	board_stop(s.board);
}

static void permissions_are_kept(void **state)
{
	const uint64_t page = CARD_DATA + 0x3000;
	struct setting s = ready();

	(void)state;
	card_map(s.card, 0, HOLE, page | QUIRE_PTE_READ);
	s.gemm.d.address = HOLE;
	expect_fault(&s, QUIRE_FAULT_PERMISSION, QUIRE_FAULT_UNIT_D, true, HOLE);
	/* reading it is allowed */
	card_map(s.card, 0, HOLE, (page - 0x2000) | QUIRE_PTE_READ);
	s.gemm.a.address = HOLE;
	expect_success(&s);
	card_map(s.card, 0, HOLE, (page - 0x2000) | QUIRE_PTE_WRITE);
	s.gemm.a.address = HOLE;
	expect_fault(&s, QUIRE_FAULT_PERMISSION, QUIRE_FAULT_UNIT_A, false, HOLE);
	board_stop(s.board);
}

static void small_and_large_pages_are_mapped(void **state)
{
	struct setting s = ready();
	float a[2] = { 1, 2 }, b[2] = { 3, 4 };

	(void)state;
	/* the last 8 bytes of one page and the first 8 of the next, far apart in memory */
	card_map(s.card, 0, HOLE, (CARD_DATA + 0x20000) | QUIRE_PTE_READ);
	card_map(s.card, 0, HOLE + 0x1000, (CARD_DATA + 0x12000) | QUIRE_PTE_READ);
	s.card->access.memory_write(s.card->access.opaque, CARD_DATA + 0x20ff8, a, sizeof(a));
	s.card->access.memory_write(s.card->access.opaque, CARD_DATA + 0x12000, b, sizeof(b));
	s.gemm.a.address = HOLE + 0xff8;
	expect_success(&s);
	/* a block whose address has bits below 2 MiB set: they are the offset's */
	card_map(s.card, 0, 2 * HOLE, (CARD_DATA + 0x1000) | QUIRE_PTE_READ | QUIRE_PTE_BLOCK);
	s.gemm = card_small_gemm(s.card);
	s.gemm.a.address = 2 * HOLE + 0x1000;
	expect_success(&s);
	s.gemm.d.address = 2 * HOLE + 0x3000;
	expect_fault(&s, QUIRE_FAULT_PERMISSION, QUIRE_FAULT_UNIT_D, true, 2 * HOLE + 0x3000);
	board_stop(s.board);
}

/* The operands at `address` and in the two pages behind it, in the order A, B, D. */
static void move_operands(struct setting *s, uint64_t address)
{
	for (uint64_t page = 0; page < 0x3000; page += 0x1000)
		card_map(s->card, 0, address + page,
			 (CARD_DATA + 0x1000 + page) | QUIRE_PTE_READ | QUIRE_PTE_WRITE);
	s->gemm.a.address = address;
	s->gemm.b.address = address + 0x1000;
	s->gemm.d.address = address + 0x2000;
}

/* Nothing but these pages is looked at in between: what a unit remembers of them must go. */
static void an_entry_of_any_level_may_be_missing(void **state)
{
	struct setting s = ready();
	const uint64_t nothing = 0;

	(void)state;
	for (int level = 0; level < 4; level++) {
		uint64_t address = HOLE + ((uint64_t)level << 39);
		struct quire_packet_gemm moved;

		move_operands(&s, address);
		moved = s.gemm;
		expect_success(&s);
		s.card->access.memory_write(s.card->access.opaque, card_entry(s.card, 0, address, level),
					    &nothing, sizeof(nothing));
		card_write(s.card, QUIRE_REG_TLB_FLUSH, QUIRE_TLB_FLUSH_ALL);
		s.gemm = moved;
		expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_A, false, address);
	}
	board_stop(s.board);
}

/* What was looked for in vain is not remembered. */
static void an_entry_that_becomes_valid_needs_no_flush(void **state)
{
	struct setting s = ready();
	const uint64_t nothing = 0;

	(void)state;
	for (int level = 0; level < 4; level++) {
		uint64_t address = HOLE + ((uint64_t)level << 39), at, entry;
		struct quire_packet_gemm moved;

		move_operands(&s, address);
		moved = s.gemm;
		at = card_entry(s.card, 0, address, level);
		s.card->access.memory_read(s.card->access.opaque, at, &entry, sizeof(entry));
		s.card->access.memory_write(s.card->access.opaque, at, &nothing, sizeof(nothing));
		card_write(s.card, QUIRE_REG_TLB_FLUSH, QUIRE_TLB_FLUSH_ALL);
		expect_fault(&s, QUIRE_FAULT_UNMAPPED, QUIRE_FAULT_UNIT_A, false, address);
		s.card->access.memory_write(s.card->access.opaque, at, &entry, sizeof(entry));
		s.gemm = moved;
		expect_success(&s);
	}
	board_stop(s.board);
}

static void tables_and_pages_outside_memory_fault(void **state)
{
	static const uint64_t bad[] = {
		(16u << 20) | QUIRE_PTE_VALID,				/* behind card memory */
		0x000ffffffffff000ull | QUIRE_PTE_VALID,
		0x000ffffffffff000ull | QUIRE_PTE_VALID | QUIRE_PTE_SYSTEM, /* no such memory */
	};
	struct setting s = ready();

	(void)state;
	card_map(s.card, 0, HOLE, (CARD_DATA + 0x1000) | QUIRE_PTE_READ);
	for (int level = 1; level < 4; level++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			uint64_t at = card_entry(s.card, 0, HOLE, level), good;

			s.card->access.memory_read(s.card->access.opaque, at, &good, sizeof(good));
			s.card->access.memory_write(s.card->access.opaque, at, &bad[i], sizeof(bad[i]));
			card_write(s.card, QUIRE_REG_TLB_FLUSH, 0);
			s.gemm.a.address = HOLE;
			expect_fault(&s, QUIRE_FAULT_TABLE, QUIRE_FAULT_UNIT_A, false, HOLE);
			s.card->access.memory_write(s.card->access.opaque, at, &good, sizeof(good));
		}
	}
	card_map(s.card, 0, HOLE, (16u << 20) | QUIRE_PTE_READ);
	s.gemm.a.address = HOLE;
	expect_fault(&s, QUIRE_FAULT_TABLE, QUIRE_FAULT_UNIT_A, false, HOLE);
	card_map(s.card, 0, HOLE, 0xfff0000000000ull | QUIRE_PTE_READ | QUIRE_PTE_SYSTEM);
	s.gemm.a.address = HOLE;
	expect_fault(&s, QUIRE_FAULT_BUS, QUIRE_FAULT_UNIT_A, false, HOLE);
	board_stop(s.board);
}

static void registers_of_devices_are_no_memory(void **state)
{
	struct setting s = ready();

	(void)state;
	/* the card's own registers */
	card_map(s.card, 0, HOLE,
		 BOARD_REGISTERS(0) | QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_SYSTEM);
	s.gemm.d.address = HOLE + QUIRE_REG_FW_ADDRESS_LO;
	expect_fault(&s, QUIRE_FAULT_BUS, QUIRE_FAULT_UNIT_D, true, HOLE + QUIRE_REG_FW_ADDRESS_LO);
	s.gemm.header.result = HOLE + QUIRE_REG_FW_ADDRESS_LO;
	expect_fault(&s, QUIRE_FAULT_BUS, QUIRE_FAULT_UNIT_RESULT, true, HOLE + QUIRE_REG_FW_ADDRESS_LO);
	assert_int_equal(0, card_read(s.card, QUIRE_REG_FW_ADDRESS_LO));
	board_stop(s.board);
}

static void a_context_needs_a_root(void **state)
{
	struct setting s = ready();
	struct quire_fence_record record;

	(void)state;
	card_start_queue(s.card, 1, 9);
	card_push(s.card, 1, CARD_VIRTUAL, 16);
	card_doorbell(s.card, 1);
	record = card_wait_record(s.card, 1, 1);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record.status);
	assert_int_equal(QUIRE_FAULT_CONTEXT, record.fault_info & QUIRE_FAULT_REASON);
	assert_int_equal(9, card_read(s.card, QUIRE_REG_FAULT_CONTEXT));
	board_stop(s.board);
}

static void contexts_are_apart(void **state)
{
	struct setting s = ready();
	struct quire_fence_record record;
	static const float other[4] = { 100, 100, 100, 100 };

	(void)state;
	/* the same virtual addresses in context 31 lead elsewhere */
	card_map(s.card, 31, CARD_VIRTUAL, (CARD_DATA + 2 * QUIRE_BLOCK_BYTES) | QUIRE_PTE_READ |
		 QUIRE_PTE_WRITE | QUIRE_PTE_BLOCK);
	s.card->access.memory_write(s.card->access.opaque, CARD_DATA + 2 * QUIRE_BLOCK_BYTES + 0x1000,
				    other, sizeof(other));
	s.card->access.memory_write(s.card->access.opaque, CARD_DATA + 2 * QUIRE_BLOCK_BYTES,
				    &s.gemm, sizeof(s.gemm));
	card_start_queue(s.card, 1, 31);
	expect_success(&s);
	card_push(s.card, 1, CARD_VIRTUAL, sizeof(s.gemm));
	card_doorbell(s.card, 1);
	record = card_wait_record(s.card, 1, 1);
	assert_int_equal(QUIRE_STATUS_OK, record.status);
	/* what context 0 computed is still there */
	s.gemm = card_small_gemm(s.card);
	expect_success(&s);
	board_stop(s.board);
}

static void a_flush_brings_new_tables_to_effect(void **state)
{
	struct setting s = ready();
	const uint64_t entry = (CARD_DATA + 0x5000) | QUIRE_PTE_READ | QUIRE_PTE_VALID;
	static const float zero[4];

	(void)state;
	card_map(s.card, 0, HOLE, (CARD_DATA + 0x1000) | QUIRE_PTE_READ);
	s.gemm.a.address = HOLE;
	expect_success(&s);
	/* the entry now leads to a page of zeros */
	s.card->access.memory_write(s.card->access.opaque, CARD_DATA + 0x5000, zero, sizeof(zero));
	s.card->access.memory_write(s.card->access.opaque, card_entry(s.card, 0, HOLE, 0), &entry,
				    sizeof(entry));
	card_write(s.card, QUIRE_REG_TLB_FLUSH, 0);
	card_run(s.card, 0, 0, &s.gemm, sizeof(s.gemm));
	{
		float d[4];

		s.card->access.memory_read(s.card->access.opaque, CARD_DATA + 0x3000, d, sizeof(d));
		assert_memory_equal(zero, d, sizeof(d));
	}
	board_stop(s.board);
}

static void a_job_that_faults_late_says_where(void **state)
{
	struct setting s = ready();
	struct quire_packet_fill fill = { { QUIRE_PACKET_FILL, sizeof(fill), 0, 0 },
					  CARD_VIRTUAL + 0x200000, 0x400000, 1, 0 };
	struct quire_fence_record record;

	(void)state;
	/* 2 MiB are mapped, then nothing: the fault is at the first byte behind */
	record = card_run(s.card, 0, 0x8000, &fill, sizeof(fill));
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record.status);
	assert_true(record.fault_address == CARD_VIRTUAL + 0x400000);
	/* later packets of a job that failed are not counted, nor is it a job done */
	assert_int_equal(0, record.macs);
	assert_int_equal(0, card_read64(s.card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_JOBS)));
	board_stop(s.board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operand_tells_its_unit),
		cmocka_unit_test(copies_tell_source_and_destination),
		cmocka_unit_test(permissions_are_kept),
		cmocka_unit_test(small_and_large_pages_are_mapped),
		cmocka_unit_test(an_entry_of_any_level_may_be_missing),
		cmocka_unit_test(an_entry_that_becomes_valid_needs_no_flush),
		cmocka_unit_test(tables_and_pages_outside_memory_fault),
		cmocka_unit_test(registers_of_devices_are_no_memory),
		cmocka_unit_test(a_context_needs_a_root),
		cmocka_unit_test(contexts_are_apart),
		cmocka_unit_test(a_flush_brings_new_tables_to_effect),
		cmocka_unit_test(a_job_that_faults_late_says_where),
	};

	if (!qtest_available())
		return 0;
	return cmocka_run_group_tests_name("mmu", tests, NULL, NULL);
}
