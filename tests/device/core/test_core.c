// SPDX-License-Identifier: MIT
/*
 * The core of the card without QEMU, built with the thread sanitizer and with the
 * address and undefined-behaviour sanitizers: many threads that ring, reset in
 * between, an end in mid-job, and a firmware that means harm.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "machine.h"
#include "sha256.h"

#define RINGERS 4

static struct machine *create(unsigned int engines, unsigned int threads)
{
	const char *error;
	struct machine *machine = machine_create(engines, threads, &error);

	assert_non_null(machine);
	return machine;
}

static void boot(struct machine *machine)
{
	card_boot(&machine->card);
	card_open_context(&machine->card, 0);
	for (unsigned int q = 0; q < RINGERS; q++)
		card_start_queue(&machine->card, q, 0);
}

static void sleep_ms(long ms)
{
	const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

static void wrong_configurations_are_named(void **state)
{
	static const struct { unsigned int engines, threads; const char *name; } cases[] = {
		{ 0, 1, "engines" }, { 17, 1, "engines" }, { 1, 65, "model-threads" },
	};
	const char *error;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_null(machine_create(cases[i].engines, cases[i].threads, &error));
		assert_non_null(strstr(error, cases[i].name));
	}
}

/* A product of m x 256 by 256 x 64 in BF16 that one engine thread takes some time for. */
static struct quire_packet_gemm product(uint32_t m, unsigned int queue)
{
	const uint64_t at = CARD_VIRTUAL + 0x100000;

	return (struct quire_packet_gemm){
		.header = { QUIRE_PACKET_GEMM, sizeof(struct quire_packet_gemm), 0, 0 },
		.m = m, .n = 64, .k = 256, .batch = 1,
		.alpha = 0x3f800000,
		.a = { at, 0, QUIRE_FORMAT_BF16, 256 },
		.b = { at + 0x80000, 0, QUIRE_FORMAT_BF16, 64 },
		.d = { at + 0x100000 + 0x40000 * queue, 0, QUIRE_FORMAT_FP32, 64 },
	};
}

struct ringer {
	struct machine *machine;
	unsigned int queue;
	atomic_bool *stop;
	unsigned int done, failed;
};

static void *ring(void *argument)
{
	struct ringer *r = argument;
	struct card *card = &r->machine->card;

	while (!*r->stop) {
		uint64_t sequence = card->sequence[r->queue];

		sequence = card_push(card, r->queue, CARD_VIRTUAL + 0x2000 * (3 * r->queue + sequence % 3),
				     sizeof(struct quire_packet_gemm));
		card_doorbell(card, r->queue);
		while (!*r->stop) {
			struct quire_fence_record record = card_record(card, r->queue, sequence);

			if (record.sequence == sequence) {
				r->done++;
				r->failed += record.status != QUIRE_STATUS_OK;
				break;
			}
			sched_yield();
		}
	}
	return NULL;
}

/* Streams of small, medium and long products for each queue, written once. */
static void write_streams(struct machine *machine)
{
	static const uint32_t sizes[3] = { 1, 4, 256 };

	for (unsigned int q = 0; q < RINGERS; q++)
		for (unsigned int i = 0; i < 3; i++) {
			struct quire_packet_gemm gemm = product(sizes[i], q);

			machine->card.access.memory_write(machine, CARD_DATA + 0x2000 * (3 * q + i), &gemm,
							  sizeof(gemm));
		}
}

static void threads_ring_while_the_card_is_reset(void **state)
{
	struct machine *machine = create(2, 2);
	unsigned int done = 0, failed = 0;

	(void)state;
	for (int round = 0; round < 12; round++) {
		struct ringer ringers[RINGERS];
		pthread_t threads[RINGERS];
		atomic_bool stop = false;

		boot(machine);
		write_streams(machine);
		for (unsigned int i = 0; i < RINGERS; i++) {
			ringers[i] = (struct ringer){ machine, i, &stop, 0, 0 };
			assert_int_equal(0, pthread_create(&threads[i], NULL, ring, &ringers[i]));
		}
		sleep_ms(40);
		/* telemetry is read while things run */
		for (uint32_t i = 0; i < QUIRE_COUNTERS; i++)
			card_read64(&machine->card, QUIRE_REG_COUNTER_LO(i));
		if (round % 3 == 0) {
			pthread_mutex_lock(&machine->lock);
			quire_device_reset(machine->device, true);
			pthread_mutex_unlock(&machine->lock);
		} else if (round % 3 == 1) {
			card_write(&machine->card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
			card_wait(&machine->card, QUIRE_REG_BOOT_STATUS, QUIRE_BOOT_OFF);
		} else {
			card_write(&machine->card, QUIRE_REG_TLB_FLUSH, QUIRE_TLB_FLUSH_ALL);
			sleep_ms(10);
		}
		stop = true;
		for (unsigned int i = 0; i < RINGERS; i++) {
			pthread_join(threads[i], NULL);
			done += ringers[i].done;
			failed += ringers[i].failed;
		}
		machine_reset(machine);
	}
	assert_true(done > 0);
	assert_int_equal(0, failed);
	machine_destroy(machine);
}

static void the_card_may_end_in_mid_job(void **state)
{
	(void)state;
	for (int deaf = 0; deaf < 2; deaf++) {
		struct machine *machine = create(2, 2);

		boot(machine);
		write_streams(machine);
		quire_device_inject(machine->device,
				    deaf ? QUIRE_INJECT_ENGINE_DEAF : QUIRE_INJECT_ENGINE_HANG, 1);
		for (unsigned int q = 0; q < RINGERS; q++) {
			card_push(&machine->card, q, CARD_VIRTUAL + 0x2000 * (3 * q + 2),
				  sizeof(struct quire_packet_gemm));
			card_doorbell(&machine->card, q);
		}
		machine_destroy(machine);
	}
}

/* CPU time of the process over a while in which the card has nothing to do. */
static double busy_share(long ms)
{
	struct timespec before, after;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	sleep_ms(ms);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	return ((double)(after.tv_sec - before.tv_sec) * 1e3 +
		(double)(after.tv_nsec - before.tv_nsec) * 1e-6) / (double)ms;
}

static void a_card_that_waits_costs_the_host_nothing(void **state)
{
	struct machine *machine = create(1, 1);
	struct card *card = &machine->card;

	(void)state;
	boot(machine);
	write_streams(machine);
	assert_true(busy_share(300) < 0.3);
	/* a stop that waits for a deaf engine */
	quire_device_inject(machine->device, QUIRE_INJECT_ENGINE_DEAF, 1);
	card_push(card, 0, CARD_VIRTUAL, sizeof(struct quire_packet_gemm));
	card_doorbell(card, 0);
	card_write(card, QUIRE_REG_MAILBOX_COMMAND, QUIRE_MAILBOX_QUEUE_STOP);
	card_write(card, QUIRE_REG_MAILBOX_ARGUMENT, 0);
	card_write(card, QUIRE_REG_MAILBOX_SEND, ++card->mailbox);
	assert_true(busy_share(300) < 0.5);
	quire_device_inject(machine->device, QUIRE_INJECT_ENGINE_DEAF, 0);
	card_wait(card, QUIRE_REG_MAILBOX_DONE, card->mailbox);
	/* a processor that stands still, with its alarm long past */
	quire_device_inject(machine->device, QUIRE_INJECT_MCU_HALT, 1);
	sleep_ms(100);
	assert_true(busy_share(300) < 0.3);
	machine_destroy(machine);
}

static void the_temperature_stays_sane_over_resets(void **state)
{
	struct machine *machine = create(1, 1);

	(void)state;
	for (int i = 0; i < 20; i++) {
		boot(machine);
		write_streams(machine);
		card_push(&machine->card, 0, CARD_VIRTUAL, sizeof(struct quire_packet_gemm));
		card_doorbell(&machine->card, 0);
		card_wait_record(&machine->card, 0, 1);
		assert_in_range(card_read(&machine->card, QUIRE_REG_COUNTER_LO(QUIRE_COUNTER_TEMPERATURE)),
				35000, 100000);
		machine_reset(machine);
	}
	machine_destroy(machine);
}

/* --- A firmware that hands whatever we like to an engine --- */

#define BAND 0x200u	/* offsets in SRAM */
#define PACKET 0x300u
#define IMAGE 0x400u

/*
 * lui x5, I/O; lui x6, SRAM; addi x7, x6, BAND; lui x28, ENGINE_START(0); sw x7, 0(x28);
 * wait for ENGINE_DONE; lw x30, status(x7); sw x30, FW_RELEASE; BOOT_STATUS = READY; sleep
 */
static const uint32_t program[] = {
	0x400002b7, 0x20000337, 0x20030393, 0x40001e37, 0x007e2023, 0x1802ae83, 0x001efe93,
	0xfe0e8ce3, 0x0243af03, 0x03e2aa23, 0x00200f93, 0x03f2a223, 0x10500073, 0xffdff06f,
};

/* The status the engine gives for a band and a packet. */
static uint32_t hand_to_engine(struct machine *machine, const struct quire_band *band,
			       const void *packet, size_t bytes)
{
	struct {
		struct quire_fw_header header;
		uint8_t body[IMAGE];
	} image = { .header = { .magic = QUIRE_FW_MAGIC, .header_bytes = 64, .image_bytes = sizeof(image),
				.entry = QUIRE_SRAM_BASE } };

	memcpy(image.body, program, sizeof(program));
	memcpy(image.body + BAND, band, sizeof(*band));
	memcpy(image.body + PACKET, packet, bytes);
	quire_sha256(image.body, sizeof(image.body), image.header.sha256);
	memcpy(machine->memory, &image, sizeof(image));
	card_write(&machine->card, QUIRE_REG_FW_BYTES, sizeof(image));
	assert_int_equal(QUIRE_BOOT_READY, card_start(&machine->card));
	return card_read(&machine->card, QUIRE_REG_FW_RELEASE);
}

static void no_firmware_leads_an_engine_astray(void **state)
{
	struct machine *machine = create(1, 1);
	const struct quire_band whole = { .packet = QUIRE_SRAM_BASE + PACKET, .rows = 2, .columns = 2,
					  .batches = 1 };
	const struct quire_packet_copy copy = { { QUIRE_PACKET_COPY, sizeof(copy), 0, 0 },
						CARD_VIRTUAL, CARD_VIRTUAL + 0x1000, 64, 64, 64, 2, 0 };
	struct quire_packet_gemm gemm, wrong;
	struct quire_band band;

	(void)state;
	card_open_context(&machine->card, 0);
	gemm = card_small_gemm(&machine->card);
	assert_int_equal(QUIRE_STATUS_OK, hand_to_engine(machine, &whole, &gemm, sizeof(gemm)));
#define ASTRAY(field, value)                                                                   \
	do {                                                                                    \
		band = whole;                                                                   \
		band.field = (value);                                                           \
		assert_int_equal(QUIRE_STATUS_ENGINE_ERROR,                                     \
				 hand_to_engine(machine, &band, &gemm, sizeof(gemm)));          \
	} while (0)
	ASTRAY(packet, 0);
	ASTRAY(packet, QUIRE_SRAM_BASE + PACKET + 4);
	ASTRAY(packet, QUIRE_SRAM_BASE + QUIRE_SRAM_BYTES - 8);
	ASTRAY(context, 32);
	ASTRAY(context, 1u << 24);
	ASTRAY(row, 1);
	ASTRAY(row, 0xffffffff);
	ASTRAY(rows, 0);
	ASTRAY(rows, 3);
	ASTRAY(column, 2);
	ASTRAY(columns, 0);
	ASTRAY(columns, 0xffffffff);
	ASTRAY(batch, 1);
	ASTRAY(batches, 0);
	ASTRAY(batches, 2);
#undef ASTRAY
	/* C at the place of D but with larger elements would read beyond D */
	wrong = gemm;
	wrong.beta = 0x3f800000;
	wrong.c = (struct quire_operand){ gemm.d.address, 0, QUIRE_FORMAT_QUIRE, 2 };
	assert_int_equal(QUIRE_STATUS_ENGINE_ERROR, hand_to_engine(machine, &whole, &wrong, sizeof(wrong)));
	wrong = gemm;
	wrong.a.leading_dimension = 1;
	assert_int_equal(QUIRE_STATUS_ENGINE_ERROR, hand_to_engine(machine, &whole, &wrong, sizeof(wrong)));
	wrong = gemm;
	wrong.header.opcode = QUIRE_PACKET_NOP;
	assert_int_equal(QUIRE_STATUS_ENGINE_ERROR, hand_to_engine(machine, &whole, &wrong, sizeof(wrong)));
	band = whole;
	band.columns = 1;
	assert_int_equal(QUIRE_STATUS_OK, hand_to_engine(machine, &band, &copy, sizeof(copy)));
	band.rows = 0;
	assert_int_equal(QUIRE_STATUS_ENGINE_ERROR, hand_to_engine(machine, &band, &copy, sizeof(copy)));
	machine_destroy(machine);
}

/* What an engine keeps of B belongs to one packet, whatever number the next firmware gives its own. */
static void a_new_firmware_gets_no_operand_of_the_last(void **state)
{
	static const float identity[4] = { 1, 0, 0, 1 }, a[4] = { 1, 2, 3, 4 };
	const struct quire_band band = { .packet = QUIRE_SRAM_BASE + PACKET, .rows = 2, .columns = 2,
					 .batches = 1, .serial = 7 };
	struct machine *machine = create(1, 1);
	struct card *card = &machine->card;
	struct quire_packet_gemm gemm;
	float d[4];

	(void)state;
	card_open_context(card, 0);
	gemm = card_small_gemm(card);
	assert_int_equal(QUIRE_STATUS_OK, hand_to_engine(machine, &band, &gemm, sizeof(gemm)));
	card->access.memory_write(machine, CARD_DATA + 0x2000, identity, sizeof(identity));
	assert_int_equal(QUIRE_STATUS_OK, hand_to_engine(machine, &band, &gemm, sizeof(gemm)));
	card->access.memory_read(machine, CARD_DATA + 0x3000, d, sizeof(d));
	assert_memory_equal(a, d, sizeof(d));
	machine_destroy(machine);
}

/* Bands that begin within a block of MXFP8, or write a part of one. */
static void engines_refuse_to_cut_blocks(void **state)
{
	struct machine *machine = create(1, 1);
	struct card *card = &machine->card;
	const struct quire_band whole = { .packet = QUIRE_SRAM_BASE + PACKET, .rows = 64, .columns = 64,
					  .batches = 1 };
	const struct quire_operand mx = { CARD_VIRTUAL + 0x10001, 0, QUIRE_FORMAT_MXFP8, 64 };
	const struct quire_operand fp32 = { CARD_VIRTUAL + 0x20000, 0, QUIRE_FORMAT_FP32, 64 };
	struct quire_packet_gemm gemm = {
		.header = { QUIRE_PACKET_GEMM, sizeof(gemm), 0, 0 }, .m = 64, .n = 64, .k = 64,
		.batch = 1, .alpha = 0x3f800000, .a = mx, .b = mx, .d = fp32 };
	struct quire_packet_convert convert = { { QUIRE_PACKET_CONVERT, sizeof(convert), 0, 0 }, 64, 64,
						0, fp32, mx };
	struct quire_band band;

	(void)state;
	card_open_context(card, 0);
#define HANDS(packet, field, value, expected)                                                  \
	do {                                                                                    \
		band = whole;                                                                   \
		band.field = (value);                                                           \
		band.rows = 64 - band.row < band.rows ? 64 - band.row : band.rows;              \
		band.columns = 64 - band.column < band.columns ? 64 - band.column : band.columns; \
		assert_int_equal(expected, hand_to_engine(machine, &band, &packet, sizeof(packet))); \
	} while (0)
	HANDS(gemm, row, 3, QUIRE_STATUS_OK);
	HANDS(gemm, column, 32, QUIRE_STATUS_OK);
	HANDS(gemm, column, 16, QUIRE_STATUS_ENGINE_ERROR);
	gemm.gemm_flags = QUIRE_GEMM_TRANSPOSE_A | QUIRE_GEMM_TRANSPOSE_B;
	HANDS(gemm, row, 3, QUIRE_STATUS_ENGINE_ERROR);
	HANDS(gemm, row, 32, QUIRE_STATUS_OK);
	HANDS(gemm, column, 3, QUIRE_STATUS_OK);
	HANDS(convert, row, 3, QUIRE_STATUS_OK);
	HANDS(convert, columns, 32, QUIRE_STATUS_OK);
	HANDS(convert, columns, 33, QUIRE_STATUS_ENGINE_ERROR);
	HANDS(convert, column, 31, QUIRE_STATUS_ENGINE_ERROR);
#undef HANDS
	machine_destroy(machine);
}

/* A firmware that ends while its engine works must not be answered by that engine. */
static void an_engine_does_not_outlive_its_firmware(void **state)
{
	struct machine *machine = create(1, 1);
	struct card *card = &machine->card;
	const struct quire_band whole = { .packet = QUIRE_SRAM_BASE + PACKET, .rows = 2, .columns = 2,
					  .batches = 1 };
	uint32_t crash[8];
	struct {
		struct quire_fw_header header;
		uint8_t body[IMAGE];
	} image = { .header = { .magic = QUIRE_FW_MAGIC, .header_bytes = 64, .image_bytes = sizeof(image),
				.entry = QUIRE_SRAM_BASE } };
	struct quire_packet_gemm gemm;

	(void)state;
	card_open_context(card, 0);
	gemm = card_small_gemm(card);
	quire_device_inject(machine->device, QUIRE_INJECT_ENGINE_HANG, 1);
	memcpy(crash, program, 5 * sizeof(program[0]));
	crash[5] = 0;	/* illegal, and no handler: mtvec is 0 */
	memcpy(image.body, crash, sizeof(crash));
	memcpy(image.body + BAND, &whole, sizeof(whole));
	memcpy(image.body + PACKET, &gemm, sizeof(gemm));
	quire_sha256(image.body, sizeof(image.body), image.header.sha256);
	memcpy(machine->memory, &image, sizeof(image));
	card_write(card, QUIRE_REG_FW_BYTES, sizeof(image));
	assert_int_equal(QUIRE_BOOT_CRASHED, card_start(card));
	assert_true(card_read(card, QUIRE_REG_EVENT_STATUS) & QUIRE_EVENT_CRASH);
	/* the trap that could not be handled: the fetch of address 0 */
	assert_int_equal(1, card_read(card, QUIRE_REG_PANIC_CAUSE));
	assert_int_equal(0, card_read(card, QUIRE_REG_PANIC_PC));
	/* The new firmware finds its engine idle although nobody asked for a reset. */
	quire_device_inject(machine->device, QUIRE_INJECT_ENGINE_HANG, 1);
	card_boot(card);
	quire_device_inject(machine->device, QUIRE_INJECT_ENGINE_HANG, 0);
	card_start_queue(card, 0, 0);
	{
		struct quire_fence_record record = card_run(card, 0, 0, &gemm, sizeof(gemm));

		card_check_small_gemm(card, &record);
	}
	machine_destroy(machine);
}

/* FP64 to FP32 by way of pages in a wrong order, and the same in one piece. */
static void conversions_gather_scattered_pages(void **state)
{
	enum { ROWS = 9, COLUMNS = 150, COUNT = ROWS * COLUMNS };
	const uint64_t scattered = 0x7fff00000000ull, pages[] = { 0x30000, 0x10000, 0x40000, 0x20000 };
	const uint64_t result_at[] = { 0x50000, 0x50100 };
	struct machine *machine = create(1, 1);
	struct card *card = &machine->card;
	struct quire_packet_result results[2];
	static double in[2048];
	static float out[2][2048];

	(void)state;
	boot(machine);
	for (int i = 0; i < COUNT; i++)
		in[i] = i % 7 ? i / 3.0 : -0.0;
	for (uint64_t i = 0; i < 4; i++) {
		card_map(card, 0, scattered + i * 4096, (CARD_DATA + pages[i]) | QUIRE_PTE_READ);
		card_map(card, 0, scattered + 0x100000 + i * 4096,
			 (CARD_DATA + pages[i] + 0x1000) | QUIRE_PTE_READ | QUIRE_PTE_WRITE);
		card->access.memory_write(machine, CARD_DATA + pages[i], &in[i * 512], 4096);
	}
	card->access.memory_write(machine, CARD_DATA + 0x60000, in, sizeof(in));
	for (int way = 0; way < 2; way++) {
		const struct quire_packet_convert convert = {
			{ QUIRE_PACKET_CONVERT, sizeof(convert), 0, CARD_VIRTUAL + result_at[way] },
			ROWS, COLUMNS, 0,
			{ way ? CARD_VIRTUAL + 0x60000 : scattered, 0, QUIRE_FORMAT_FP64, COLUMNS },
			{ way ? CARD_VIRTUAL + 0x70000 : scattered + 0x100000, 0, QUIRE_FORMAT_FP32,
			  COLUMNS } };

		assert_int_equal(QUIRE_STATUS_OK, card_run(card, 0, 0, &convert, sizeof(convert)).status);
		card->access.memory_read(machine, CARD_DATA + result_at[way], &results[way],
					 sizeof(results[way]));
	}
	for (uint64_t i = 0; i < 2; i++)
		card->access.memory_read(machine, CARD_DATA + pages[i] + 0x1000, &out[0][i * 1024], 4096);
	card->access.memory_read(machine, CARD_DATA + 0x70000, out[1], sizeof(out[1]));
	for (int way = 0; way < 2; way++) {
		for (int i = 0; i < COUNT; i++) {
			const float want = (float)in[i];

			assert_memory_equal(&out[way][i], &want, sizeof(want));
		}
		assert_int_equal(results[way].bytes_read, COUNT * sizeof(double));
		assert_int_equal(results[way].bytes_written, COUNT * sizeof(float));
	}
	assert_true(results[0].digest == results[1].digest && results[0].digest);
	machine_destroy(machine);
}

/*
 * FP64 to MXFP8, and its transpose times it, by way of pages in a wrong order and in one piece:
 * blocks lie across pages.
 */
static void blocks_are_gathered_from_scattered_pages(void **state)
{
	enum { ROWS = 9, COLUMNS = 150, COUNT = ROWS * COLUMNS, LEADING = 160 + 32 * 20 };
	const uint64_t scattered = 0x7fff00000000ull, pages[] = { 0x30000, 0x10000, 0x40000, 0x20000 };
	const uint64_t result_at[] = { 0x50000, 0x50100 };
	struct machine *machine = create(1, 1);
	struct card *card = &machine->card;
	struct quire_packet_result results[2][2];
	static double in[2048];
	static uint8_t blocks[2][4 * 4096];
	static float d[2][COLUMNS * COLUMNS];

	(void)state;
	boot(machine);
	for (int i = 0; i < COUNT; i++)
		in[i] = i % 7 ? i / 3.0 - 200 : -0.0;
	for (uint64_t i = 0; i < 4; i++) {
		card_map(card, 0, scattered + i * 4096, (CARD_DATA + pages[i]) | QUIRE_PTE_READ);
		card_map(card, 0, scattered + 0x100000 + i * 4096,
			 (CARD_DATA + pages[i] + 0x1000) | QUIRE_PTE_READ | QUIRE_PTE_WRITE);
		card->access.memory_write(machine, CARD_DATA + pages[i], &in[i * 512], 4096);
	}
	card->access.memory_write(machine, CARD_DATA + 0x60000, in, sizeof(in));
	for (int way = 0; way < 2; way++) {
		const uint64_t mx = way ? CARD_VIRTUAL + 0x70000 : scattered + 0x100000;
		const uint64_t result = CARD_VIRTUAL + result_at[way];
		const struct quire_packet_convert convert = {
			{ QUIRE_PACKET_CONVERT, sizeof(convert), 0, result }, ROWS, COLUMNS, 0,
			{ way ? CARD_VIRTUAL + 0x60000 : scattered, 0, QUIRE_FORMAT_FP64, COLUMNS },
			{ mx + 1, 0, QUIRE_FORMAT_MXFP8, LEADING } };
		const struct quire_packet_gemm gemm = {
			.header = { QUIRE_PACKET_GEMM, sizeof(gemm), 0, result + 64 },
			.m = COLUMNS, .n = COLUMNS, .k = ROWS, .batch = 1,
			.gemm_flags = QUIRE_GEMM_TRANSPOSE_A, .alpha = 0x3f800000,
			.a = { mx + 1, 0, QUIRE_FORMAT_MXFP8, LEADING },
			.b = { mx + 1, 0, QUIRE_FORMAT_MXFP8, LEADING },
			.d = { CARD_VIRTUAL + 0x80000, 0, QUIRE_FORMAT_FP32, COLUMNS } };

		assert_int_equal(QUIRE_STATUS_OK, card_run(card, 0, 0, &convert, sizeof(convert)).status);
		assert_int_equal(QUIRE_STATUS_OK, card_run(card, 0, 0, &gemm, sizeof(gemm)).status);
		card->access.memory_read(machine, CARD_DATA + result_at[way], results[way],
					 sizeof(results[way]));
		card->access.memory_read(machine, CARD_DATA + 0x80000, d[way], sizeof(d[way]));
	}
	for (uint64_t i = 0; i < 4; i++)
		card->access.memory_read(machine, CARD_DATA + pages[i] + 0x1000, &blocks[0][i * 4096], 4096);
	card->access.memory_read(machine, CARD_DATA + 0x70000, blocks[1], sizeof(blocks[1]));
	assert_memory_equal(blocks[0], blocks[1], sizeof(blocks[0]));
	assert_memory_equal(d[0], d[1], sizeof(d[0]));
	for (int way = 0; way < 2; way++) {
		assert_int_equal(results[way][0].bytes_read, COUNT * sizeof(double));
		assert_int_equal(results[way][0].bytes_written, ROWS * 5 * 33);
		assert_int_equal(results[way][1].bytes_read, 2 * ROWS * 5 * 33);
		assert_int_equal(results[way][0].digest, results[0][0].digest);
		assert_int_equal(results[way][1].digest, results[0][1].digest);
	}
	/* the first block of row 1 begins at 150 / 3 - 200 = -150, its largest: 2^7 over 2^8 */
	assert_int_equal(blocks[0][1 + LEADING / 32 * 33], 126);
	assert_int_equal(blocks[0][1 + LEADING / 32 * 33 + 1], 0xf9);	/* -288 * 2^-1 = -144 */
	machine_destroy(machine);
}

/*
 * 300000 columns of A, transposed, on 4836 pages that stand for sixteen: gathered in parts, which begin at
 * blocks.  Any byte is 256 to 448 as an element and 2^-7 to 2^-1 as a scale: sums are exact.
 */
static void large_operands_are_gathered_in_blocks(void **state)
{
	enum { ROWS = 64, COLUMNS = 300000, PAGES = 16, BYTES = ROWS * (COLUMNS / 32) * 33 };
	const uint64_t scattered = 0x7fff00000000ull;
	struct machine *machine = create(1, 1);
	struct card *card = &machine->card;
	const struct quire_packet_gemm gemm = {
		.header = { QUIRE_PACKET_GEMM, sizeof(gemm), 0, 0 },
		.m = COLUMNS, .n = 1, .k = ROWS, .batch = 1,
		.gemm_flags = QUIRE_GEMM_TRANSPOSE_A, .alpha = 0x3f800000,
		.a = { scattered, 0, QUIRE_FORMAT_MXFP8, COLUMNS },
		.b = { CARD_VIRTUAL + 0x20000, 0, QUIRE_FORMAT_E4M3, 1 },
		.d = { CARD_VIRTUAL + 0x100000, 0, QUIRE_FORMAT_FP32, 1 } };
	static uint8_t pages[PAGES][4096], ones[ROWS];
	static float d[COLUMNS];

	(void)state;
	boot(machine);
	for (int i = 0; i < PAGES * 4096; i++)
		pages[i / 4096][i % 4096] = (uint8_t)(0x78 + (uint64_t)i * i / 7 % 7);
	memset(ones, 0x38, sizeof(ones));
	card->access.memory_write(machine, CARD_DATA + 0x30000, pages, sizeof(pages));
	card->access.memory_write(machine, CARD_DATA + 0x20000, ones, sizeof(ones));
	for (uint64_t i = 0; i < (BYTES + 4095) / 4096; i++)
		card_map(card, 0, scattered + i * 4096,
			 (CARD_DATA + 0x30000 + i * 5 % PAGES * 4096) | QUIRE_PTE_READ);
	assert_int_equal(QUIRE_STATUS_OK, card_run(card, 0, 0, &gemm, sizeof(gemm)).status);
	card->access.memory_read(machine, CARD_DATA + 0x100000, d, sizeof(d));
	for (uint32_t j = 0; j < COLUMNS; j++) {
		float sum = 0;

		for (uint32_t row = 0; row < ROWS; row++) {
			uint32_t block = (row * (COLUMNS / 32) + j / 32) * 33, at = block + 1 + j % 32;
			uint8_t scale = pages[block / 4096 * 5 % PAGES][block % 4096];
			uint8_t element = pages[at / 4096 * 5 % PAGES][at % 4096];

			sum += (float)((element - 0x70) * 32 << (scale - 0x78)) / 128;
		}
		assert_true(d[j] == sum);
	}
	machine_destroy(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_configurations_are_named),
		cmocka_unit_test(threads_ring_while_the_card_is_reset),
		cmocka_unit_test(the_card_may_end_in_mid_job),
		cmocka_unit_test(a_card_that_waits_costs_the_host_nothing),
		cmocka_unit_test(the_temperature_stays_sane_over_resets),
		cmocka_unit_test(no_firmware_leads_an_engine_astray),
		cmocka_unit_test(a_new_firmware_gets_no_operand_of_the_last),
		cmocka_unit_test(an_engine_does_not_outlive_its_firmware),
		cmocka_unit_test(conversions_gather_scattered_pages),
		cmocka_unit_test(blocks_are_gathered_from_scattered_pages),
		cmocka_unit_test(large_operands_are_gathered_in_blocks),
		cmocka_unit_test(engines_refuse_to_cut_blocks),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
