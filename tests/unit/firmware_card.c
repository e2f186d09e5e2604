// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

static uint8_t *sram(struct card *card, uint32_t address)
{
	assert_true(address - QUIRE_SRAM_BASE < QUIRE_SRAM_BYTES);
	return card->mcu.sram + (address - QUIRE_SRAM_BASE);
}

static uint32_t events(struct card *card)
{
	uint32_t pending = 0;

	if (card->doorbells)
		pending |= QUIRE_IO_EVENT_DOORBELL;
	if (card->engine_done)
		pending |= QUIRE_IO_EVENT_ENGINE;
	if (card->mailbox_sequence != card->mailbox_seen)
		pending |= QUIRE_IO_EVENT_MAILBOX;
	if (card->timer)
		pending |= QUIRE_IO_EVENT_TIMER;
	return pending;
}

static bool events_pending(void *opaque)
{
	return events(opaque) != 0;
}

void end_band(struct card *card, unsigned int engine, uint32_t status)
{
	struct quire_band band;
	uint8_t *at = sram(card, card->engine_band[engine]);

	memcpy(&band, at, sizeof(band));
	band.status = status;
	band.detail = 0;
	band.digest = (uint64_t)band.rows * band.columns * band.batches;
	band.macs = band.digest;
	band.cycles = 10;
	band.modelled_pj = 100;
	band.bytes_read = 1;
	band.bytes_written = 2;
	band.exceptional = 0;
	if (status == QUIRE_STATUS_MMU_FAULT) {
		band.fault_info = QUIRE_FAULT_UNMAPPED | QUIRE_FAULT_UNIT_B << QUIRE_FAULT_UNIT_SHIFT;
		band.fault_address = 0xabc000;
	}
	memcpy(at, &band, sizeof(band));
	card->engine_band[engine] = 0;
	card->engine_done |= 1u << engine;
}

static void start_band(struct card *card, unsigned int engine, uint32_t address)
{
	assert_true(engine < ENGINES);
	assert_int_equal(0, card->engine_band[engine]);
	assert_true(card->bands < HISTORY);
	memcpy(&card->history[card->bands].band, sram(card, address), sizeof(struct quire_band));
	memcpy(&card->history[card->bands].packet,
	       sram(card, card->history[card->bands].band.packet), sizeof(struct quire_packet_gemm));
	card->history[card->bands++].engine = engine;
	card->engine_band[engine] = address;
	if (card->engines_inline ||
	    (card->fills_inline &&
	     card->history[card->bands - 1].packet.header.opcode == QUIRE_PACKET_FILL))
		end_band(card, engine, QUIRE_STATUS_OK);
}

static void dma(struct card *card, uint32_t command)
{
	uint64_t address = card->dma[1] | (uint64_t)card->dma[2] << 32;
	uint32_t bytes = card->dma[4];
	uint64_t limit = card->dma[0] == QUIRE_DMA_BUS ? BUS_BYTES : card->unmapped_from;

	if (card->on_dma)
		card->on_dma(card);
	assert_true(bytes > 0 && bytes <= QUIRE_DMA_MAX_BYTES);
	assert_int_equal(0, card->dma[3] % 4);
	if (address + bytes > limit) {
		card->dma_status = QUIRE_FAULT_UNMAPPED;
		card->dma_fault = address > limit ? address : limit;
		return;
	}
	card->dma_status = 0;
	if (command == QUIRE_DMA_TO_SRAM)
		memcpy(sram(card, card->dma[3]), card->bus + address, bytes);
	else
		memcpy(card->bus + address, sram(card, card->dma[3]), bytes);
}

static uint32_t io_read(void *opaque, uint32_t offset)
{
	struct card *card = opaque;

	if (offset >= QUIRE_IO_QUEUE(0) && offset < QUIRE_IO_QUEUE(QUIRE_QUEUES))
		return card->queue[(offset - QUIRE_IO_QUEUE(0)) / 64][offset % 64 / 4];
	switch (offset) {
	case QUIRE_IO_EVENTS:
		if (card->on_look)
			card->on_look(card);
		return events(card);
	case QUIRE_IO_TIME_LO:
		card->time += TICK;
		card->time_high = (uint32_t)(card->time >> 32);
		return (uint32_t)card->time;
	case QUIRE_IO_TIME_HI: return card->time_high;
	case QUIRE_IO_NEGOTIATED: return card->negotiated;
	case QUIRE_IO_DRIVER_VERSIONS: return card->driver_versions;
	case QUIRE_IO_MAILBOX_COMMAND: return card->mailbox_command;
	case QUIRE_IO_MAILBOX_ARGUMENT: return card->mailbox_argument;
	case QUIRE_IO_MAILBOX_SEQUENCE: return card->mailbox_seen = card->mailbox_sequence;
	case QUIRE_IO_ENGINES: return ENGINES;
	case QUIRE_IO_SERVING: return card->serving;
	case QUIRE_IO_BAND_MACS: return BAND_MACS >> 10;
	case QUIRE_IO_KEPT_B: return KEPT_B >> 10;
	case QUIRE_IO_DOORBELLS_LO: return (uint32_t)card->doorbells;
	case QUIRE_IO_DOORBELLS_HI: return (uint32_t)(card->doorbells >> 32);
	case QUIRE_IO_DMA_STATUS: return card->dma_status;
	case QUIRE_IO_DMA_FAULT_LO: return (uint32_t)card->dma_fault;
	case QUIRE_IO_DMA_FAULT_HI: return (uint32_t)(card->dma_fault >> 32);
	case QUIRE_IO_ENGINE_DONE: return card->engine_done;
	}
	fail_msg("read of register %#x", offset);
	return 0;
}

static uint32_t io_write(void *opaque, uint32_t offset, uint32_t value)
{
	struct card *card = opaque;

	if (offset >= QUIRE_IO_QUEUE(0) && offset < QUIRE_IO_QUEUE(QUIRE_QUEUES)) {
		card->queue[(offset - QUIRE_IO_QUEUE(0)) / 64][offset % 64 / 4] = value;
		return 0;
	}
	if (offset >= QUIRE_IO_DMA_CONTEXT && offset <= QUIRE_IO_DMA_BYTES) {
		card->dma[(offset - QUIRE_IO_DMA_CONTEXT) / 4] = value;
		return 0;
	}
	if (offset >= QUIRE_IO_ENGINE_START(0) && offset < QUIRE_IO_ENGINE_START(ENGINES)) {
		start_band(card, (offset - QUIRE_IO_ENGINE_START(0)) / 4, value);
		return 0;
	}
	switch (offset) {
	case QUIRE_IO_ALARM:
		card->timer = false;
		card->alarm = value ? card->time + value * 1000ull : 0;
		break;
	case QUIRE_IO_LOG:
		assert_true(card->log_length < sizeof(card->log) - 1);
		card->log[card->log_length++] = (char)value;
		break;
	case QUIRE_IO_HEARTBEAT:
	case QUIRE_IO_FW_RELEASE: break;
	case QUIRE_IO_RAISE_VECTOR: card->vectors[value]++; break;
	case QUIRE_IO_POST_EVENT: card->events_posted |= value; break;
	case QUIRE_IO_BOOT_STATUS: card->boot_status = value; break;
	case QUIRE_IO_FW_VERSIONS: card->fw_versions = value; break;
	case QUIRE_IO_NEGOTIATED: card->negotiated = value; break;
	case QUIRE_IO_PANIC_VALUE: mcu_halt(&card->mcu); card->panic++; break;
	case QUIRE_IO_PANIC_PC:
	case QUIRE_IO_PANIC_CAUSE: break;
	case QUIRE_IO_MAILBOX_RESULT: card->mailbox_result = value; break;
	case QUIRE_IO_MAILBOX_DONE: card->mailbox_done = value; break;
	case QUIRE_IO_COUNT_JOBS: card->jobs += value; break;
	case QUIRE_IO_COUNT_PACKETS: card->packets += value; break;
	case QUIRE_IO_COUNT_ERRORS: card->errors += value; break;
	case QUIRE_IO_DOORBELLS_LO: card->doorbells &= ~(uint64_t)value; break;
	case QUIRE_IO_DOORBELLS_HI: card->doorbells &= ~((uint64_t)value << 32); break;
	case QUIRE_IO_DMA_COMMAND: dma(card, value); break;
	case QUIRE_IO_ENGINE_DONE: card->engine_done &= ~value; break;
	case QUIRE_IO_ENGINE_CANCEL: card->engine_cancelled |= value; break;
	default: fail_msg("write of register %#x", offset);
	}
	return 0;
}

enum mcu_stop run(struct card *card)
{
	enum mcu_stop stop = mcu_run(&card->mcu, 2000000);

	assert_int_equal(0, card->panic);
	return stop;
}

struct card *boot(uint32_t driver_versions)
{
	struct card *card = calloc(1, sizeof(*card));
	struct mcu_bus bus = { card, io_read, io_write, events_pending };
	const char *path = getenv("QUIRE_FIRMWARE");
	struct quire_fw_header header;
	FILE *file = fopen(path ? path : "fw-v1.bin", "rb");

	assert_non_null(file);
	assert_int_equal(0, mcu_init(&card->mcu, &bus));
	assert_int_equal(1, fread(&header, sizeof(header), 1, file));
	assert_int_equal(QUIRE_FW_MAGIC, header.magic);
	assert_int_equal(header.image_bytes - sizeof(header),
			 fread(card->mcu.sram, 1, QUIRE_SRAM_BYTES, file));
	fclose(file);
	card->driver_versions = driver_versions;
	card->unmapped_from = BUS_BYTES;
	card->engines_inline = true;
	card->serving = QUIRE_SERVING_NONE;
	card->ring_flags = QUIRE_RING_INTERRUPT;
	mcu_reset(&card->mcu, header.entry);
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	return card;
}

void destroy(struct card *card)
{
	mcu_destroy(&card->mcu);
	free(card);
}

void send(struct card *card, uint32_t command, uint32_t argument)
{
	card->mailbox_command = command;
	card->mailbox_argument = argument;
	card->mailbox_sequence++;
}

uint32_t mailbox(struct card *card, uint32_t command, uint32_t argument)
{
	send(card, command, argument);
	run(card);
	return card->mailbox_result;
}

void configure_queue(struct card *card, unsigned int q, uint32_t priority)
{
	uint32_t *registers = card->queue[q];

	registers[QUIRE_QUEUE_RING_LO / 4] = RING(q % 8);
	registers[QUIRE_QUEUE_RECORD_LO / 4] = RECORDS(q % 8);
	registers[QUIRE_QUEUE_ENTRIES_LOG2 / 4] = ENTRIES_LOG2;
	registers[QUIRE_QUEUE_CONTEXT / 4] = 3;
	registers[QUIRE_QUEUE_PRIORITY / 4] = priority;
	registers[QUIRE_QUEUE_SAVE_LO / 4] = SAVE(q % 8);
	registers[QUIRE_QUEUE_RESUME / 4] = 0;
}

void start_queue(struct card *card, unsigned int q, uint32_t priority)
{
	configure_queue(card, q, priority);
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_START, q));
	assert_int_equal(QUIRE_QUEUE_ACTIVE, card->queue[q][QUIRE_QUEUE_STATE / 4]);
	card->sequence[q] = 0;
}

void push(struct card *card, unsigned int q, uint64_t stream, uint32_t bytes)
{
	struct quire_ring_entry entry = { .sequence = ++card->sequence[q],
					  .stream_address = stream,
					  .stream_bytes = bytes,
					  .flags = card->ring_flags,
					  .whose = card->whose[q] };
	unsigned int slot = entry.sequence % (1u << ENTRIES_LOG2);

	memcpy(card->bus + RING(q % 8) + slot * sizeof(entry), &entry, sizeof(entry));
}

void ring(struct card *card, unsigned int q)
{
	card->queue[q][QUIRE_QUEUE_TAIL / 4] = (uint32_t)card->sequence[q];
	card->doorbells |= 1ull << q;
}

struct quire_fence_record record(struct card *card, unsigned int q, uint64_t sequence)
{
	struct quire_fence_record r;

	memcpy(&r, card->bus + RECORDS(q % 8) + sequence % (1u << ENTRIES_LOG2) * sizeof(r), sizeof(r));
	return r;
}

void alarm_goes_off(struct card *card)
{
	card->timer = true;
	run(card);
}

struct quire_packet_gemm gemm(uint32_t m, uint32_t n, uint32_t k, uint32_t batch)
{
	return (struct quire_packet_gemm){
		.header = { QUIRE_PACKET_GEMM, sizeof(struct quire_packet_gemm), 0, 0 },
		.m = m, .n = n, .k = k, .batch = batch, .alpha = 0x3f800000,
		.a = { 0x100000000ull, (uint64_t)m * k, QUIRE_FORMAT_POSIT16, k },
		.b = { 0x200000000ull, (uint64_t)k * n, QUIRE_FORMAT_POSIT16, n },
		.d = { 0x300000000ull, (uint64_t)m * n, QUIRE_FORMAT_POSIT16, n },
	};
}

void submit(struct card *card, unsigned int q, const void *packets, uint32_t bytes)
{
	memcpy(card->bus + STREAM + 0x2000 * (q % 8), packets, bytes);
	push(card, q, STREAM + 0x2000 * (q % 8), bytes);
	ring(card, q);
}

/* Count how often each cell of D is covered; all must be exactly once. */
void check_tiling(struct card *card, uint32_t m, uint32_t n, uint32_t batch)
{
	uint8_t *seen = calloc((size_t)m * n, batch);
	uint64_t cells = 0;

	for (unsigned int i = 0; i < card->bands; i++) {
		const struct quire_band *b = &card->history[i].band;

		assert_int_equal(3, b->context);
		for (uint32_t z = b->batch; z < b->batch + b->batches; z++)
			for (uint32_t y = b->row; y < b->row + b->rows; y++)
				for (uint32_t x = b->column; x < b->column + b->columns; x++) {
					assert_true(z < batch && y < m && x < n);
					assert_int_equal(0, seen[((size_t)z * m + y) * n + x]++);
					cells++;
				}
	}
	assert_int_equal((uint64_t)m * n * batch, cells);
	free(seen);
}
