// SPDX-License-Identifier: MIT
/*
 * The card's core and its real firmware against random register writes, rings,
 * page tables and packets.  An input is a list of steps; each step takes the bytes
 * it needs, and zeros when there are none left.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <quire/tiled.h>

#include "../device/core/machine.h"

#define STEPS_MOST 64
#define QUEUE_COUNT 3

struct input {
	const uint8_t *at;
	size_t left;
};

static struct machine *machine;

static uint64_t take(struct input *in, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes && in->left; i++, in->at++, in->left--)
		value |= (uint64_t)*in->at << 8 * i;
	return value;
}

static void fill(struct input *in, void *to, size_t bytes)
{
	uint8_t *out = to;

	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)take(in, 1);
}

/* An image, or the plan of one, that is right but for a few bytes; its size. */
static uint64_t put_image(struct input *in, uint64_t offset, uint32_t rows, uint32_t columns)
{
	struct {
		struct quire_tiled_header header;
		struct quire_tile tiles[9];
	} image = { .header = { take(in, 1) & 1 ? QUIRE_TILED_MAGIC : QUIRE_TILED_PLAN,
				QUIRE_TILED_VERSION, rows, columns, 16, 16, 0, 0, 0, { 0 } } };
	uint8_t *bytes = (uint8_t *)&image;
	uint64_t end;

	image.header.tiles = (rows + 15ull) / 16 * ((columns + 15) / 16);
	end = quire_tiled_data_start(image.header.tiles);
	for (uint64_t i = 0; i < image.header.tiles; i++) {
		uint32_t bits = (uint32_t)take(in, 1) % 34;

		if (bits < QUIRE_TILE_MIN_BITS)
			continue;
		image.tiles[i] = (struct quire_tile){ .bits = (uint8_t)bits,
						      .offset = (uint32_t)(end / QUIRE_TILED_UNIT) };
		end += quire_tile_bytes(16, 16, bits);
		image.header.stored_tiles++;
	}
	image.header.image_bytes = end;
	for (uint64_t changes = take(in, 1) & 1; changes; changes--)
		fill(in, bytes + take(in, 1) % (sizeof(image) - 4), 1 + take(in, 1) % 4);
	machine->card.access.memory_write(machine, CARD_DATA + offset, &image, sizeof(image));
	return end;
}

/* A packet that is right but for a few bytes. */
static void put_packet(struct input *in, uint64_t offset)
{
	union {
		struct quire_packet_gemm gemm;
		struct quire_packet_copy copy;
		struct quire_packet_fill fill;
		struct quire_packet_convert convert;
		struct quire_packet_pack pack;
		uint8_t bytes[sizeof(struct quire_packet_gemm)];
	} p = { 0 };
	const uint64_t at = CARD_VIRTUAL + 0x10000;
	uint32_t size = sizeof(p);

	switch (take(in, 1) & 7) {
	case 0:
	case 1:
	case 2:
		p.gemm = (struct quire_packet_gemm){
			.header = { QUIRE_PACKET_GEMM, sizeof(p.gemm), 0, at + 0x80000 },
			.m = 1 + take(in, 1) % 40, .n = 1 + take(in, 1) % 40, .k = take(in, 1) % 40,
			.batch = 1, .alpha = 0x3f800000,
			.a = { at, 0, QUIRE_FORMAT_POSIT16, 40 },
			.b = { at + 0x4000, 0, QUIRE_FORMAT_FP32, 40 },
			.d = { at + 0x8000, 0, QUIRE_FORMAT_BF16, 40 },
		};
		break;
	case 3:
	case 4:
		p.copy = (struct quire_packet_copy){ { QUIRE_PACKET_COPY, sizeof(p.copy), 0, 0 }, at,
						     at + 0x20000, take(in, 2) % 0x4000 + 1, 0x4000,
						     0x4000, 1 + take(in, 1) % 4, 0 };
		break;
	case 5:
		p.fill = (struct quire_packet_fill){ { QUIRE_PACKET_FILL, sizeof(p.fill), 0, 0 }, at,
						     8 + 8 * take(in, 2), take(in, 8), 0 };
		break;
	case 6:
		p.pack = (struct quire_packet_pack){
			{ QUIRE_PACKET_PACK, sizeof(p.pack), 0, at + 0x80000 }, 1 + take(in, 1) % 40,
			1 + take(in, 1) % 40, 0, { at, 0, QUIRE_FORMAT_FP32, 40 },
			{ at + 0x30000, 0, QUIRE_FORMAT_TILED, 0 } };
		p.pack.image_bytes = put_image(in, 0x40000, p.pack.rows, p.pack.columns);
		if (take(in, 1) & 1) {
			p.pack.header.opcode = QUIRE_PACKET_UNPACK;
			p.pack.source = p.pack.destination;
			p.pack.destination = (struct quire_operand){ at, 0, QUIRE_FORMAT_BF16, 40 };
		}
		break;
	default:
		p.convert = (struct quire_packet_convert){
			{ QUIRE_PACKET_CONVERT, sizeof(p.convert), 0, 0 }, 3, 40, 0,
			{ at, 0, QUIRE_FORMAT_FP32, 40 }, { at + 0x8000, 0, QUIRE_FORMAT_POSIT8, 40 } };
	}
	for (uint64_t changes = take(in, 1) & 3; changes; changes--)
		fill(in, p.bytes + take(in, 1) % (sizeof(p.bytes) - 4), 1 + take(in, 1) % 4);
	machine->card.access.memory_write(machine, CARD_DATA + offset, &p, size);
}

static void put_entry(struct input *in, struct card *card, unsigned int queue)
{
	uint64_t sequence = card_push(card, queue, CARD_VIRTUAL + 0x100 * (take(in, 1) % 8),
				      (uint32_t)take(in, 1) % 2 ? 160 : (uint32_t)take(in, 2));

	if (take(in, 1) % 8 == 0) {
		uint64_t noise = take(in, 8);

		card->access.system_write(machine, card_ring(card, queue) +
					  sequence % CARD_ENTRIES * 64 + take(in, 1) % 8 * 8, &noise, 8);
	}
	card_write(card, QUIRE_REG_DOORBELL(queue),
		   take(in, 1) % 8 ? (uint32_t)sequence : (uint32_t)take(in, 4));
}

/* The page of a parked queue, with a few words changed under a right checksum. */
static void put_page(struct input *in, struct card *card, unsigned int queue)
{
	uint32_t page[QUIRE_SAVE_BYTES / 4], sum = 0x811c9dc5u;

	card->access.system_read(machine, card_save(card, queue), page, sizeof(page));
	for (uint64_t changes = take(in, 1) & 3; changes; changes--)
		page[take(in, 1)] = (uint32_t)take(in, 1 + take(in, 1) % 4);
	page[2] = 0;
	for (uint32_t i = 0; i < page[1] / 4 && i < QUIRE_SAVE_BYTES / 4; i++)
		sum = (sum ^ page[i]) * 0x01000193u;
	page[2] = sum;
	card->access.system_write(machine, card_save(card, queue), page, sizeof(page));
}

static void step(struct input *in)
{
	struct card *card = &machine->card;
	unsigned int queue = (unsigned int)take(in, 1) % QUEUE_COUNT;
	uint64_t word;

	switch (take(in, 1) % 10) {
	case 0:
	case 1: put_packet(in, 0x100 * (take(in, 1) % 8)); break;
	case 2:
	case 3: put_entry(in, card, queue); break;
	case 4:	/* any register; the image stays where it is */
		word = take(in, 3) & 0xfffff;
		if (word < QUIRE_REG_FW_ADDRESS_LO || word > QUIRE_REG_MCU_CONTROL)
			quire_device_write(machine->device, word, take(in, 4), 1u << take(in, 1) % 4);
		quire_device_read(machine->device, word, 1u << take(in, 1) % 4);
		break;
	case 5:	/* somewhere in the page tables */
		word = take(in, 8);
		card->access.memory_write(machine, CARD_TABLES + take(in, 2) % 0x5000 / 8 * 8, &word, 8);
		card_write(card, QUIRE_REG_TLB_FLUSH, QUIRE_TLB_FLUSH_ALL);
		break;
	case 6:	/* mailbox, without waiting */
		card_write(card, QUIRE_REG_MAILBOX_COMMAND, (uint32_t)take(in, 1) % 4);
		card_write(card, QUIRE_REG_MAILBOX_ARGUMENT, (uint32_t)take(in, 1) % 66);
		card_write(card, QUIRE_REG_MAILBOX_SEND, ++card->mailbox);
		break;
	case 7:
		card_write(card, QUIRE_REG_MCU_CONTROL, (uint32_t)take(in, 1) & 3);
		break;
	case 8:	/* a queue is parked, and resumed with the next start, maybe on another ring */
		card_write(card, QUIRE_REG_MAILBOX_COMMAND, QUIRE_MAILBOX_QUEUE_PARK);
		card_write(card, QUIRE_REG_MAILBOX_ARGUMENT, queue);
		card_write(card, QUIRE_REG_MAILBOX_SEND, ++card->mailbox);
		queue = (unsigned int)take(in, 1) % QUEUE_COUNT;
		card_write(card, QUIRE_REG_QUEUE(queue) + QUIRE_QUEUE_SAVE_LO,
			   (uint32_t)card_save(card, (unsigned int)take(in, 1) % QUEUE_COUNT));
		card_write(card, QUIRE_REG_QUEUE(queue) + QUIRE_QUEUE_RESUME, 1);
		break;
	case 9: put_page(in, card, queue); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	const char *error;

	if (!machine)
		machine = machine_create(2, 1, &error);
	if (!machine)
		abort();
	card_boot(&machine->card);
	card_open_context(&machine->card, 0);
	for (unsigned int q = 0; q < QUEUE_COUNT; q++)
		card_start_queue(&machine->card, q, 0);
	for (unsigned int i = 0; i < STEPS_MOST && in.left; i++)
		step(&in);
	/* Whatever happened, a reset ends it, and the firmware never broke. */
	if (card_read(&machine->card, QUIRE_REG_BOOT_STATUS) == QUIRE_BOOT_CRASHED)
		abort();
	machine_reset(machine);
	return 0;
}
