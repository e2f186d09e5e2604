// SPDX-License-Identifier: MIT
/* Boot, mailbox, queues, scheduling and packets: what the firmware does, on a faked card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

static void boots_and_negotiates(void **state)
{
	struct card *card = boot(1u << 16 | 7);

	(void)state;
	assert_int_equal(QUIRE_BOOT_READY, card->boot_status);
	assert_int_equal(1, card->negotiated);
	assert_int_equal(1u << 16 | 1, card->fw_versions);
	destroy(card);
}

static void refuses_a_driver_without_common_version(void **state)
{
	struct card *card = boot(2u << 16 | 9);

	(void)state;
	assert_int_equal(QUIRE_BOOT_BAD_VERSION, card->boot_status);
	assert_int_equal(0, card->negotiated);
	destroy(card);
}

static void mailbox_checks_its_commands(void **state)
{
	struct card *card = boot(0x10001);

	(void)state;
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(QUIRE_MAILBOX_BAD_COMMAND, mailbox(card, 99, 0));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 64));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 5));
	for (int wrong = 0; wrong < 5; wrong++) {
		static const uint32_t at[5] = { QUIRE_QUEUE_RING_LO, QUIRE_QUEUE_RECORD_LO,
						QUIRE_QUEUE_ENTRIES_LOG2, QUIRE_QUEUE_CONTEXT,
						QUIRE_QUEUE_PRIORITY };
		static const uint32_t value[5] = { 0x10040, 0x12001, 13, 32, 3 };

		configure_queue(card, 5, 1);
		card->queue[5][at[wrong] / 4] = value[wrong];
		assert_int_equal(QUIRE_MAILBOX_BAD_CONFIG, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 5));
	}
	start_queue(card, 5, 1);
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 5));
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 5));
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[5][QUIRE_QUEUE_STATE / 4]);
	start_queue(card, 5, 1);
	destroy(card);
}

static void empty_jobs_get_records_in_order(void **state)
{
	struct card *card = boot(0x10001);
	uint64_t before, single, batch;

	(void)state;
	start_queue(card, 63, 1);
	for (int i = 0; i < 100; i++) {
		push(card, 63, 0, 0);
		ring(card, 63);
		run(card);
		assert_int_equal(i + 1, record(card, 63, (uint64_t)i + 1).sequence);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 63, (uint64_t)i + 1).status);
		assert_int_equal(i + 1, card->vectors[64]);
		assert_int_equal(i + 1, card->queue[63][QUIRE_QUEUE_COMPLETED / 4]);
	}
	before = card->mcu.instructions;
	push(card, 63, 0, 0);
	ring(card, 63);
	run(card);
	single = card->mcu.instructions - before;
	for (int i = 0; i < 32; i++)
		push(card, 63, 0, 0);
	before = card->mcu.instructions;
	ring(card, 63);
	run(card);
	batch = (card->mcu.instructions - before) / 32;
	print_message("instructions for an empty job: %u, in a batch of 32: %u\n",
		      (unsigned int)single, (unsigned int)batch);
	assert_int_equal(133, card->jobs);
	assert_true(single < 800 && batch < 500);
	destroy(card);
}

static void late_interrupts_are_for_jobs_nobody_waits_for(void **state)
{
	static const struct { uint32_t serving, raised; } cases[] = {
		{ 5, 0 }, { 6, 1 }, { QUIRE_SERVING_NONE, 2 }, { 5, 2 },
	};
	struct card *card = boot(0x10001);

	(void)state;
	start_queue(card, 5, 1);
	card->ring_flags = QUIRE_RING_INTERRUPT | QUIRE_RING_LATE;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		card->serving = cases[i].serving;
		push(card, 5, 0, 0);
		ring(card, 5);
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 5, i + 1).status);
		assert_int_equal(cases[i].raised, card->vectors[6]);
	}
	/* a failure is never kept quiet, and LATE alone asks for nothing */
	push(card, 5, 4, 8);
	ring(card, 5);
	run(card);
	assert_int_equal(3, card->vectors[6]);
	start_queue(card, 7, 1);
	card->serving = QUIRE_SERVING_NONE;
	card->ring_flags = QUIRE_RING_LATE;
	push(card, 7, 0, 0);
	ring(card, 7);
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 7, 1).status);
	assert_int_equal(0, card->vectors[8]);
	destroy(card);
}

static void packets_of_a_job_run_in_order(void **state)
{
	struct quire_packet_gemm packets[12];
	struct card *card = boot(0x10001);

	(void)state;
	start_queue(card, 0, 1);
	for (uint32_t i = 0; i < 12; i++)
		packets[i] = gemm(i + 1, 2, 3, 1);
	submit(card, 0, packets, sizeof(packets));
	run(card);
	assert_int_equal(12, card->bands);
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(i + 1, card->history[i].packet.m);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	assert_int_equal(120, record(card, 0, 1).cycles);
	assert_int_equal(12, card->packets);
	destroy(card);
}

/* What an engine may keep from band to band hangs on this number. */
static void bands_of_one_packet_share_a_serial_that_no_other_has(void **state)
{
	const struct quire_packet_gemm packets[4] = {
		gemm(1000, 1000, 1000, 1), gemm(2, 2, 2, 1), gemm(1000, 1000, 1000, 1),
		gemm(64, 64, 1024, 200),
	};
	uint32_t serial[4] = { 0 };
	struct card *card = boot(0x10001);

	(void)state;
	start_queue(card, 0, 1);
	submit(card, 0, packets, sizeof(packets));
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	for (unsigned int i = 0, packet = 0; i < card->bands; i++) {
		const struct quire_band *b = &card->history[i].band;

		if (i && !b->row && !b->column && !b->batch)
			packet++;
		if (!b->row && !b->column && !b->batch)
			serial[packet] = b->serial;
		assert_int_equal(serial[packet], b->serial);
	}
	assert_int_equal(0, serial[1]);
	assert_true(serial[0] && serial[2] && serial[3]);
	assert_true(serial[0] != serial[2] && serial[0] != serial[3] && serial[2] != serial[3]);
	destroy(card);
}

static void bands_tile_the_output_exactly(void **state)
{
	static const struct { uint32_t m, n, k, batch, most; } cases[] = {
		{ 64, 64, 64, 1, 1 },	   { 512, 512, 64, 1, 32 },    { 100, 300, 5000, 1, 200 },
		{ 1, 1, 1u << 30, 1, 1 },  { 7, 5, 3, 1000, 4 },       { 65, 1000, 1000, 3, 600 },
		{ 2000, 1, 2000, 1, 8 },   { 1, 2000, 2000, 1, 40 },   { 130, 70, 100000, 1, 2275 },
		{ 3, 5, 1 << 19, 1, 9 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct card *card = boot(0x10001);
		struct quire_packet_gemm p =
			gemm(cases[i].m, cases[i].n, cases[i].k, cases[i].batch);

		p.a.address = 0x1000;
		p.b.address = 0x400000000000ull;
		p.d.address = 0x800000000000ull;
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		check_tiling(card, cases[i].m, cases[i].n, cases[i].batch);
		assert_true(card->bands <= cases[i].most);
		/* the digest is the sum over bands */
		assert_int_equal((uint64_t)cases[i].m * cases[i].n * cases[i].batch,
				 record(card, 0, 1).digest);
		destroy(card);
	}
}

static void wrong_fields_are_named(void **state)
{
	struct card *card = boot(0x10001);
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
	struct card *card = boot(0x10001);
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
		struct card *card = boot(0x10001);

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
	for (int wrong = 0; wrong < 3; wrong++) {
		struct card *card = boot(0x10001);

		start_queue(card, 0, 1);
		entry = (struct quire_ring_entry){ .sequence = 1 };
		if (wrong == 0)
			entry.sequence = 2;
		else if (wrong == 1)
			entry.flags = 4;
		else
			entry.reserved[4] = 1;
		memcpy(card->bus + RING(0) + sizeof(entry), &entry, sizeof(entry));
		card->sequence[0] = 1;
		ring(card, 0);
		run(card);
		assert_int_equal(QUIRE_STATUS_FIRMWARE, record(card, 0, 1).status);
		destroy(card);
	}
}

static void a_doorbell_beyond_the_ring_faults_the_queue(void **state)
{
	struct card *card = boot(0x10001);

	(void)state;
	start_queue(card, 0, 1);
	card->sequence[0] = (1u << ENTRIES_LOG2) + 1;
	ring(card, 0);
	run(card);
	assert_int_equal(QUIRE_STATUS_FIRMWARE, record(card, 0, 1).status);
	assert_int_equal(QUIRE_QUEUE_FAULTED, card->queue[0][QUIRE_QUEUE_STATE / 4]);
	destroy(card);
}

static void an_engine_fault_ends_the_job_with_its_place(void **state)
{
	struct quire_packet_gemm packets[2] = { gemm(8, 8, 8, 1), gemm(512, 512, 64, 1) };
	struct card *card = boot(0x10001);
	struct quire_fence_record r;

	(void)state;
	start_queue(card, 0, 1);
	submit(card, 0, packets, sizeof(packets));
	card->engines_inline = false;
	run(card);
	end_band(card, 0, QUIRE_STATUS_OK);
	run(card);
	assert_int_equal(3, card->bands);	/* two bands of the second packet run */
	end_band(card, 0, QUIRE_STATUS_MMU_FAULT);
	run(card);
	/* The other band still uses the memory: cancelled, no record yet. */
	assert_int_equal(1u << 1, card->engine_cancelled);
	assert_int_equal(0, record(card, 0, 1).sequence);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	run(card);
	r = record(card, 0, 1);
	assert_int_equal(1, r.sequence);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, r.status);
	assert_int_equal(sizeof(packets[0]), r.packet);
	assert_int_equal(0xabc000, r.fault_address);
	assert_int_equal(QUIRE_FAULT_UNIT_B, r.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	assert_true(card->events_posted & QUIRE_EVENT_QUEUE_FAULT);
	assert_int_equal(1, card->errors);
	destroy(card);
}

static void stopping_a_queue_in_mid_job_cancels_and_gives_no_record(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(0x10001);

	(void)state;
	start_queue(card, 0, 1);
	start_queue(card, 1, 1);
	card->engines_inline = false;
	submit(card, 0, &p, sizeof(p));
	run(card);
	mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	assert_int_not_equal(card->mailbox_sequence, card->mailbox_done);
	assert_int_equal(3, card->engine_cancelled);
	end_band(card, 0, QUIRE_STATUS_CANCELLED);
	run(card);
	assert_int_not_equal(card->mailbox_sequence, card->mailbox_done);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	run(card);
	assert_int_equal(card->mailbox_sequence, card->mailbox_done);
	assert_int_equal(QUIRE_MAILBOX_OK, card->mailbox_result);
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[0][QUIRE_QUEUE_STATE / 4]);
	assert_int_equal(0, record(card, 0, 1).sequence);
	/* the neighbour goes on */
	push(card, 1, 0, 0);
	ring(card, 1);
	run(card);
	assert_int_equal(1, record(card, 1, 1).sequence);
	destroy(card);
}

/* A driver that does not wait for the answer gets both, and the firmware sleeps meanwhile. */
static void a_command_during_a_stop_is_answered_after_it(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(0x10001);

	(void)state;
	start_queue(card, 0, 1);
	configure_queue(card, 1, 1);
	card->engines_inline = false;
	submit(card, 0, &p, sizeof(p));
	run(card);
	card->mailbox_command = QUIRE_MAILBOX_QUEUE_STOP;
	card->mailbox_argument = 0;
	card->mailbox_sequence++;
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	card->mailbox_command = QUIRE_MAILBOX_QUEUE_START;
	card->mailbox_argument = 1;
	card->mailbox_sequence++;
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[1][QUIRE_QUEUE_STATE / 4]);
	end_band(card, 0, QUIRE_STATUS_CANCELLED);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[0][QUIRE_QUEUE_STATE / 4]);
	assert_int_equal(card->mailbox_sequence, card->mailbox_done);
	assert_int_equal(QUIRE_MAILBOX_OK, card->mailbox_result);
	assert_int_equal(QUIRE_QUEUE_ACTIVE, card->queue[1][QUIRE_QUEUE_STATE / 4]);
	destroy(card);
}

static void doorbells_of_queues_that_are_off_are_forgotten(void **state)
{
	struct card *card = boot(0x10001);

	(void)state;
	card->queue[9][QUIRE_QUEUE_TAIL / 4] = 5;
	card->doorbells = 1ull << 9 | 1ull << 63;
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(0, card->doorbells);
	start_queue(card, 9, 1);
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(0, record(card, 9, 1).sequence);
	assert_int_equal(QUIRE_QUEUE_ACTIVE, card->queue[9][QUIRE_QUEUE_STATE / 4]);
	destroy(card);
}

/* No queue is left out and none is served twice, the last number included. */
static void round_robin_reaches_every_queue(void **state)
{
	static const unsigned int queues[] = { 0, 1, 31, 32, 62, 63 };
	struct card *card = boot(0x10001);
	unsigned int served[QUIRE_QUEUES] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		configure_queue(card, queues[i], 1);
		card->queue[queues[i]][QUIRE_QUEUE_RING_LO / 4] = RING(i);
		card->queue[queues[i]][QUIRE_QUEUE_RECORD_LO / 4] = RECORDS(i);
		assert_int_equal(QUIRE_MAILBOX_OK,
				 mailbox(card, QUIRE_MAILBOX_QUEUE_START, queues[i]));
	}
	card->engines_inline = false;
	for (unsigned int i = 0; i < 6; i++) {
		struct quire_packet_gemm p = gemm(80000 + queues[i], 1000, 1000, 1);
		struct quire_ring_entry entry = { .sequence = 1, .stream_bytes = sizeof(p),
						  .stream_address = STREAM + 0x1000 * i };

		memcpy(card->bus + entry.stream_address, &p, sizeof(p));
		memcpy(card->bus + RING(i) + sizeof(entry), &entry, sizeof(entry));
		card->queue[queues[i]][QUIRE_QUEUE_TAIL / 4] = 1;
		card->doorbells |= 1ull << queues[i];
	}
	for (unsigned int round = 0; round < 150; round++) {
		run(card);
		for (unsigned int e = 0; e < ENGINES; e++)
			if (card->engine_band[e])
				end_band(card, e, QUIRE_STATUS_OK);
	}
	for (unsigned int i = 0; i < card->bands; i++)
		served[card->history[i].packet.m - 80000]++;
	for (unsigned int i = 0; i < 6; i++)
		assert_in_range(served[queues[i]], card->bands / 6 - 1, card->bands / 6 + 1);
	destroy(card);
}

/* One row of many bytes, a matrix with long rows: cut as well. */
static void long_rows_are_cut(void **state)
{
	struct quire_packet_copy copy = { { QUIRE_PACKET_COPY, sizeof(copy), 0, 0 },
					  0, 1ull << 40, (20u << 20) + 1, 0, 0, 1, 0 };
	struct quire_packet_convert convert = {
		{ QUIRE_PACKET_CONVERT, sizeof(convert), 0, 0 }, 2, 3 << 20, 0,
		{ 0, 0, QUIRE_FORMAT_FP32, 3 << 20 }, { 1ull << 40, 0, QUIRE_FORMAT_POSIT8, 3 << 20 } };
	struct card *card = boot(0x10001);
	uint64_t pieces = 0;

	(void)state;
	start_queue(card, 0, 1);
	submit(card, 0, &copy, sizeof(copy));
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	assert_int_equal(3, card->bands);	/* 8 MiB each */
	for (unsigned int i = 0; i < card->bands; i++) {
		assert_int_equal(pieces, card->history[i].band.column);
		assert_int_equal(1, card->history[i].band.rows);
		pieces += card->history[i].band.columns;
	}
	assert_int_equal(321, pieces);		/* of 64 KiB */
	card->bands = 0;
	submit(card, 0, &convert, sizeof(convert));
	run(card);
	assert_int_equal(6, card->bands);
	check_tiling(card, 2, 3 << 20, 1);
	destroy(card);
}

/* Serve engines for a while and count whose bands they get. */
static void serve(struct card *card, unsigned int rounds, unsigned int count[8])
{
	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int first = card->bands;

		for (unsigned int e = 0; e < ENGINES; e++)
			if (card->engine_band[e])
				end_band(card, e, QUIRE_STATUS_OK);
		run(card);
		for (; first < card->bands; first++)
			count[card->history[first].packet.m % 8]++;
	}
}

static void long_jobs_share_and_short_ones_do_not_wait(void **state)
{
	struct card *card = boot(0x10001);
	unsigned int count[8] = { 0 };
	struct quire_packet_gemm p;

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 2; q++) {
		start_queue(card, q, 1);
		p = gemm(80000 + q, 1000, 1000, 1);
		submit(card, q, &p, sizeof(p));
	}
	serve(card, 100, count);
	assert_in_range(count[0], 90, 110);
	assert_in_range(count[1], 90, 110);
	/* A short job arrives: it is served within the next bands. */
	start_queue(card, 2, 1);
	p = gemm(10, 1, 1, 1);
	submit(card, 2, &p, sizeof(p));
	serve(card, 3, count);
	assert_int_equal(1, record(card, 2, 1).sequence);
	destroy(card);
}

static void high_priority_comes_first_and_low_does_not_starve(void **state)
{
	struct card *card = boot(0x10001);
	unsigned int count[8] = { 0 };

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 3; q++) {
		struct quire_packet_gemm p = gemm(80000 + q, 1000, 1000, 1);

		start_queue(card, q, q);
		submit(card, q, &p, sizeof(p));
	}
	serve(card, 400, count);
	assert_true(count[2] > 8 * (count[0] + count[1]) / 2);
	assert_true(count[0] >= 20 && count[1] >= 20);
	destroy(card);
}

static void results_are_written_and_their_faults_reported(void **state)
{
	struct quire_packet_gemm p = gemm(8, 8, 8, 2);
	struct quire_packet_result result;
	struct card *card = boot(0x10001);

	(void)state;
	start_queue(card, 0, 1);
	p.header.result = 0xf0000;
	submit(card, 0, &p, sizeof(p));
	run(card);
	memcpy(&result, card->bus + 0xf0000, sizeof(result));
	assert_int_equal(128, result.macs);
	assert_int_equal(128, result.digest);
	assert_int_equal(100, result.modelled_pj);
	assert_int_equal(QUIRE_STATUS_OK, result.status);
	card->unmapped_from = 0xf0000;
	submit(card, 0, &p, sizeof(p));
	run(card);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record(card, 0, 2).status);
	assert_int_equal(QUIRE_FAULT_UNIT_RESULT,
			 record(card, 0, 2).fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	assert_int_equal(0xf0000, record(card, 0, 2).fault_address);
	destroy(card);
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
	struct card *card = boot(0x10001);

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
	struct card *card = boot(0x10001);

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

/* Bands start at a block where blocks run along them, however long the sums are. */
static void bands_keep_blocks(void **state)
{
	const struct { uint32_t m, n, k, flags, row_unit, column_unit; } shapes[] = {
		{ 100, 100, 1 << 20, 0, 1, 32 },
		{ 100, 100, 1 << 20, QUIRE_GEMM_TRANSPOSE_A, 32, 32 },
		{ 100, 100, 1 << 20, QUIRE_GEMM_TRANSPOSE_A | QUIRE_GEMM_TRANSPOSE_B, 32, 1 },
		{ 300, 5000, 5000, QUIRE_GEMM_TRANSPOSE_A, 32, 32 },
		{ 70, 33, 1 << 29, QUIRE_GEMM_TRANSPOSE_A, 32, 32 },
	};
	struct card *card = boot(0x10001);

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct quire_packet_gemm p = gemm(shapes[i].m, shapes[i].n, shapes[i].k, 1);
		bool at = shapes[i].flags & QUIRE_GEMM_TRANSPOSE_A;
		bool bt = shapes[i].flags & QUIRE_GEMM_TRANSPOSE_B;

		p.gemm_flags = shapes[i].flags;
		p.a.address = 1ull << 45;
		p.a.format = QUIRE_FORMAT_MXFP8;
		p.a.leading_dimension = ((at ? p.m : p.k) + 31) / 32 * 32;
		p.b.address = 1ull << 46;
		p.b.format = QUIRE_FORMAT_MXFP8;
		p.b.leading_dimension = ((bt ? p.k : p.n) + 31) / 32 * 32;
		p.a.batch_stride = 0;
		p.b.batch_stride = 0;
		card->bands = 0;
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		assert_true(card->bands > 1);
		for (unsigned int band = 0; band < card->bands; band++) {
			assert_int_equal(card->history[band].band.row % shapes[i].row_unit, 0);
			assert_int_equal(card->history[band].band.column % shapes[i].column_unit, 0);
		}
		check_tiling(card, p.m, p.n, 1);
		mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	}
	destroy(card);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boots_and_negotiates),
		cmocka_unit_test(refuses_a_driver_without_common_version),
		cmocka_unit_test(mailbox_checks_its_commands),
		cmocka_unit_test(empty_jobs_get_records_in_order),
		cmocka_unit_test(late_interrupts_are_for_jobs_nobody_waits_for),
		cmocka_unit_test(packets_of_a_job_run_in_order),
		cmocka_unit_test(bands_of_one_packet_share_a_serial_that_no_other_has),
		cmocka_unit_test(bands_tile_the_output_exactly),
		cmocka_unit_test(wrong_fields_are_named),
		cmocka_unit_test(too_many_products_is_a_limit),
		cmocka_unit_test(streams_and_entries_are_checked),
		cmocka_unit_test(a_doorbell_beyond_the_ring_faults_the_queue),
		cmocka_unit_test(an_engine_fault_ends_the_job_with_its_place),
		cmocka_unit_test(stopping_a_queue_in_mid_job_cancels_and_gives_no_record),
		cmocka_unit_test(a_command_during_a_stop_is_answered_after_it),
		cmocka_unit_test(doorbells_of_queues_that_are_off_are_forgotten),
		cmocka_unit_test(round_robin_reaches_every_queue),
		cmocka_unit_test(long_rows_are_cut),
		cmocka_unit_test(long_jobs_share_and_short_ones_do_not_wait),
		cmocka_unit_test(high_priority_comes_first_and_low_does_not_starve),
		cmocka_unit_test(results_are_written_and_their_faults_reported),
		cmocka_unit_test(other_packets_are_checked),
		cmocka_unit_test(blocks_are_checked),
		cmocka_unit_test(bands_keep_blocks),
	};

	return cmocka_run_group_tests_name("firmware", tests, NULL, NULL);
}
