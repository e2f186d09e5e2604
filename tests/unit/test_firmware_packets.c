// SPDX-License-Identifier: MIT
/* What the firmware refuses in streams, ring entries and packets, and how it names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

static void wrong_fields_are_named(void **state)
{
	struct card *card = boot(VERSIONS);
	struct quire_packet_gemm p;

	(void)state;
#define WRONG(field, value)                                                                    \
	do {                                                                                    \
		struct quire_fence_record r;                                                    \
		start_queue(card, 0, 1);                                                        \
		p = gemm(8, 8, 8, 2);                                                           \
		p.field = (value);                                                              \
		submit(card, 0, &p, sizeof(p));                                                 \
		run(card);                                                                      \
		r = record(card, 0, 1);                                                         \
		assert_int_equal(1, r.sequence);                                                \
		assert_int_equal(QUIRE_STATUS_BAD_PACKET, r.status);                            \
		assert_int_equal(offsetof(struct quire_packet_gemm, field), r.detail);          \
		assert_int_equal(QUIRE_QUEUE_FAULTED, card->queue[0][QUIRE_QUEUE_STATE / 4]);   \
		mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0);                                     \
	} while (0)
	WRONG(header.opcode, QUIRE_PACKET_UNPACK + 1);
	WRONG(header.bytes, 152);
	WRONG(header.flags, 1);
	WRONG(header.result, 4);
	WRONG(header.result, 0xffffffffffff8);
	WRONG(m, 0);
	WRONG(m, (1u << 24) + 1);
	WRONG(n, 0);
	WRONG(n, 0xffffffff);
	WRONG(batch, 0);
	WRONG(batch, (1u << 24) + 1);
	WRONG(mode, 2);
	WRONG(mode, QUIRE_GEMM_MODE_FP32);
	WRONG(gemm_flags, 32);
	WRONG(gemm_flags, QUIRE_GEMM_BIAS_ROW | QUIRE_GEMM_BIAS_COLUMN);
	WRONG(alpha, 0x7f800000);
	WRONG(alpha, 0xffc00000);
	WRONG(beta, 0x7f800001);
	WRONG(a.format, 0);
	WRONG(a.format, QUIRE_FORMAT_POSIT(2));
	WRONG(a.format, QUIRE_FORMAT_POSIT(33));
	WRONG(a.format, QUIRE_FORMAT(QUIRE_KIND_POSIT, 16, 1));
	WRONG(a.format, QUIRE_FORMAT_QUIRE);
	WRONG(a.format, QUIRE_FORMAT_FP64);
	WRONG(b.format, QUIRE_FORMAT(QUIRE_KIND_MXFP8, 8, 1));
	WRONG(d.format, QUIRE_FORMAT_MXFP8);
	WRONG(d.format, 0x01010101);
	WRONG(a.leading_dimension, 7);
	WRONG(b.leading_dimension, 0);
	WRONG(d.leading_dimension, 7);
	WRONG(a.address, 0x100000001ull);
	WRONG(a.address, 1ull << 48);
	WRONG(a.address, (1ull << 48) - 128);
	WRONG(b.batch_stride, 1ull << 40);
	WRONG(b.batch_stride, ~0ull);
	WRONG(d.batch_stride, 63);
	WRONG(d.address, 0x100000000ull);
	WRONG(d.address, 0x200000000ull + 2 * 128 - 2);
	WRONG(c.address, 8);
	WRONG(c.format, QUIRE_FORMAT_POSIT8);
	WRONG(c.leading_dimension, 8);
	WRONG(bias_address, 8);
	WRONG(bias_format, QUIRE_FORMAT_POSIT8);
	WRONG(reserved, 1);
#undef WRONG
	destroy(card);
}

static void too_many_products_is_a_limit(void **state)
{
	struct card *card = boot(VERSIONS);
	struct quire_packet_gemm p = gemm(1, 1, 1, 1);

	(void)state;
	p.k = 0x80000000;
	start_queue(card, 0, 1);
	submit(card, 0, &p, sizeof(p));
	run(card);
	assert_int_equal(QUIRE_STATUS_LIMIT, record(card, 0, 1).status);
	destroy(card);
}

static void streams_and_entries_are_checked(void **state)
{
	static const struct { uint64_t address; uint32_t bytes, status; } cases[] = {
		{ STREAM + 4, 16, QUIRE_STATUS_BAD_STREAM },
		{ STREAM, 12, QUIRE_STATUS_BAD_STREAM },
		{ STREAM, QUIRE_STREAM_MAX_BYTES + 8, QUIRE_STATUS_BAD_STREAM },
		{ (1ull << 48) - 8, 16, QUIRE_STATUS_BAD_STREAM },
		{ STREAM, 8, QUIRE_STATUS_BAD_STREAM },	/* no room for a header */
		{ BUS_BYTES, 16, QUIRE_STATUS_MMU_FAULT },
		{ STREAM, 152, QUIRE_STATUS_BAD_STREAM }, /* the packet is longer */
	};
	struct quire_packet_gemm p = gemm(8, 8, 8, 1);
	struct quire_ring_entry entry = { .sequence = 2 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct card *card = boot(VERSIONS);

		memcpy(card->bus + STREAM, &p, sizeof(p));
		start_queue(card, 0, 1);
		push(card, 0, cases[i].address, cases[i].bytes);
		ring(card, 0);
		run(card);
		assert_int_equal(cases[i].status, record(card, 0, 1).status);
		assert_int_equal(1, card->vectors[1]);
		assert_int_equal(0, card->bands);
		destroy(card);
	}
	for (int wrong = 0; wrong < 6; wrong++) {
		struct card *card = boot(VERSIONS);

		start_queue(card, 0, wrong < 4 ? 1 : QUIRE_QUEUE_PRIORITY_URGENT);
		entry = (struct quire_ring_entry){ .sequence = 1 };
		if (wrong == 0)
			entry.sequence = 2;
		else if (wrong == 1)
			entry.flags = 4;
		else if (wrong == 3)
			entry.whose = 1u << QUIRE_QUEUE_OWNER_SHIFT;
		else if (wrong == 4)
			entry.whose = QUIRE_QUEUE_OWNERS << QUIRE_QUEUE_OWNER_SHIFT;
		else if (wrong == 5)
			entry.whose = 1;
		else
			entry.reserved[1] = 1;
		memcpy(card->bus + RING(0) + sizeof(entry), &entry, sizeof(entry));
		card->sequence[0] = 1;
		ring(card, 0);
		run(card);
		assert_int_equal(QUIRE_STATUS_FIRMWARE, record(card, 0, 1).status);
		destroy(card);
	}
}

static void other_packets_are_checked(void **state)
{
	struct quire_packet_copy copy = { { QUIRE_PACKET_COPY, sizeof(copy), 0, 0 },
					  0x10000, 0x20000, 256, 256, 256, 4, 0 };
	struct quire_packet_fill fill = { { QUIRE_PACKET_FILL, sizeof(fill), 0, 0 },
					  0x10000, 1 << 24, 7, 0 };
	struct quire_packet_convert convert = {
		{ QUIRE_PACKET_CONVERT, sizeof(convert), 0, 0 }, 4, 4, 0,
		{ 0x10000, 0, QUIRE_FORMAT_FP32, 4 }, { 0x20000, 0, QUIRE_FORMAT_POSIT8, 4 } };
	struct card *card = boot(VERSIONS);

	(void)state;
#define CASE(packet, field, value, expected)                                                   \
	do {                                                                                    \
		__typeof__(packet) p_ = (packet);                                               \
		p_.field = (value);                                                             \
		start_queue(card, 0, 1);                                                        \
		submit(card, 0, &p_, sizeof(p_));                                               \
		run(card);                                                                      \
		assert_int_equal(expected, record(card, 0, 1).status);                          \
		if (expected != QUIRE_STATUS_OK)                                                \
			assert_int_equal(offsetof(__typeof__(p_), field),                       \
					 record(card, 0, 1).detail);                            \
		mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0);                                     \
	} while (0)
#define BAD(packet, field, value) CASE(packet, field, value, QUIRE_STATUS_BAD_PACKET)
	CASE(copy, rows, 4, QUIRE_STATUS_OK);
	BAD(copy, rows, 0);
	BAD(copy, row_bytes, 0);
	BAD(copy, source_stride, 255);
	BAD(copy, destination_stride, 1ull << 40);
	BAD(copy, source, (1ull << 48) - 1000);
	BAD(copy, destination, 0x10000 + 1023);
	CASE(copy, destination, 0x10000 + 1024, QUIRE_STATUS_OK);
	BAD(copy, reserved, 1);
	CASE(fill, pattern, 0, QUIRE_STATUS_OK);
	BAD(fill, bytes, 12);
	BAD(fill, bytes, 0);
	BAD(fill, destination, 4);
	BAD(fill, destination, 1ull << 48);
	BAD(fill, reserved, 1);
	CASE(convert, rows, 5, QUIRE_STATUS_OK);
	BAD(convert, rows, 0);
	BAD(convert, columns, 0);
	CASE(convert, source.format, QUIRE_FORMAT_FP64, QUIRE_STATUS_OK);
	BAD(convert, source.format, QUIRE_FORMAT_QUIRE);
	BAD(convert, destination.format, 1);
	BAD(convert, source.leading_dimension, 3);
	BAD(convert, source.batch_stride, 1);
	BAD(convert, destination.address, 0x10000);
	BAD(convert, reserved, 1);
	destroy(card);
}

/*
 * Where rows and matrices of MXFP8 start, and where they end: 8 x 40 by 40 x 8, two
 * blocks a row of A and one of B.
 */
static void blocks_are_checked(void **state)
{
	struct quire_packet_gemm good = gemm(8, 8, 40, 2);
	struct quire_packet_convert forth = {
		{ QUIRE_PACKET_CONVERT, sizeof(forth), 0, 0 }, 4, 40, 0,
		{ 0x10000, 0, QUIRE_FORMAT_FP32, 40 }, { 0x20001, 0, QUIRE_FORMAT_MXFP8, 64 } };
	struct quire_packet_convert back = {
		{ QUIRE_PACKET_CONVERT, sizeof(back), 0, 0 }, 4, 40, 0,
		{ 0x20001, 0, QUIRE_FORMAT_MXFP8, 64 }, { 0x10000, 0, QUIRE_FORMAT_MXFP8, 96 } };
	struct card *card = boot(VERSIONS);

	(void)state;
	good.a = (struct quire_operand){ 0x100000001ull, 8 * 64, QUIRE_FORMAT_MXFP8, 64 };
	good.b = (struct quire_operand){ 0x110000003ull, 40 * 32, QUIRE_FORMAT_MXFP8, 32 };
	CASE(good, gemm_flags, 0, QUIRE_STATUS_OK);
	BAD(good, a.leading_dimension, 40);
	BAD(good, a.leading_dimension, 32);
	BAD(good, b.leading_dimension, 33);
	BAD(good, b.leading_dimension, 0);
	BAD(good, a.batch_stride, 8 * 64 + 8);
	BAD(good, b.batch_stride, 1);
	BAD(good, a.address, 1ull << 48);
	/* the second A ends 16 * 64 elements, 1056 bytes, less a block and nothing behind it */
	BAD(good, a.address, (1ull << 48) - 1055);
	CASE(good, a.address, (1ull << 48) - 1056, QUIRE_STATUS_OK);
	BAD(good, d.address, 0x100000000ull + 1056);
	CASE(good, d.address, 0x100000000ull + 1058, QUIRE_STATUS_OK);
	CASE(forth, reserved, 0, QUIRE_STATUS_OK);
	BAD(forth, destination.leading_dimension, 40);
	BAD(forth, destination.leading_dimension, 65);
	BAD(forth, destination.address, 0x10000 + 4 * 40 * 4 - 1);
	CASE(forth, destination.address, 0x10000 + 4 * 40 * 4, QUIRE_STATUS_OK);
	/* 4 rows of 2 blocks end 264 bytes on */
	BAD(forth, destination.address, 0x10000 - 263);
	CASE(forth, destination.address, 0x10000 - 264, QUIRE_STATUS_OK);
	CASE(back, reserved, 0, QUIRE_STATUS_OK);
	BAD(back, source.leading_dimension, 48);
	BAD(back, destination.leading_dimension, 80);
	destroy(card);
}
#undef BAD
#undef CASE

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_fields_are_named),
		cmocka_unit_test(too_many_products_is_a_limit),
		cmocka_unit_test(streams_and_entries_are_checked),
		cmocka_unit_test(other_packets_are_checked),
		cmocka_unit_test(blocks_are_checked),
	};

	return cmocka_run_group_tests_name("firmware packets", tests, NULL, NULL);
}
