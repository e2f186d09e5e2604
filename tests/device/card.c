// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../oracle/digest.h"
#include "card.h"

#define WAIT_ROUNDS 10000	/* of 2 ms */
#define QUEUE_BYTES 0x4000u	/* of ring, records and saved state, a page each */

static void pause_a_little(void)
{
	const struct timespec pause = { 0, 2000000 };

	nanosleep(&pause, NULL);
}

void card_init(struct card *card, const struct card_access *access, uint64_t system)
{
	memset(card, 0, sizeof(*card));
	card->access = *access;
	card->system = system;
	card->next_table = CARD_TABLES;
}

uint32_t card_read(struct card *card, uint32_t offset)
{
	return card->access.read(card->access.opaque, offset);
}

void card_write(struct card *card, uint32_t offset, uint32_t value)
{
	card->access.write(card->access.opaque, offset, value);
}

uint64_t card_read64(struct card *card, uint32_t low)
{
	uint64_t value = card_read(card, low);

	return value | (uint64_t)card_read(card, low + 4) << 32;
}

void card_wait(struct card *card, uint32_t offset, uint32_t value)
{
	uint32_t found = 0;

	for (int i = 0; i < WAIT_ROUNDS; i++) {
		found = card_read(card, offset);
		if (found == value)
			return;
		pause_a_little();
	}
	fail_msg("register %#x stays %#x, expected %#x", offset, found, value);
}

uint32_t card_load_firmware(struct card *card)
{
	const char *path = getenv("QUIRE_FIRMWARE");
	static uint8_t image[QUIRE_SRAM_BYTES];
	FILE *file = fopen(path ? path : "fw-v1.bin", "rb");
	size_t bytes;

	assert_non_null(file);
	bytes = fread(image, 1, sizeof(image), file);
	fclose(file);
	assert_true(bytes > sizeof(struct quire_fw_header) && bytes < sizeof(image));
	card->access.memory_write(card->access.opaque, 0, image, bytes);
	card_write(card, QUIRE_REG_FW_ADDRESS_LO, 0);
	card_write(card, QUIRE_REG_FW_ADDRESS_HI, 0);
	card_write(card, QUIRE_REG_FW_BYTES, (uint32_t)bytes);
	return (uint32_t)bytes;
}

uint32_t card_start(struct card *card)
{
	card_write(card, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_START);
	for (int i = 0; i < WAIT_ROUNDS; i++) {
		uint32_t status = card_read(card, QUIRE_REG_BOOT_STATUS);

		if (status >= QUIRE_BOOT_READY)
			return status;
		pause_a_little();
	}
	fail_msg("the boot does not end");
	return 0;
}

void card_boot(struct card *card)
{
	card_load_firmware(card);
	card_write(card, QUIRE_REG_DRIVER_VERSIONS,
		   QUIRE_INTERFACE_VERSION_MIN << 16 | QUIRE_INTERFACE_VERSION_MAX);
	assert_int_equal(QUIRE_BOOT_READY, card_start(card));
}

uint32_t card_mailbox(struct card *card, uint32_t command, uint32_t argument)
{
	card_write(card, QUIRE_REG_MAILBOX_COMMAND, command);
	card_write(card, QUIRE_REG_MAILBOX_ARGUMENT, argument);
	card_write(card, QUIRE_REG_MAILBOX_SEND, ++card->mailbox);
	card_wait(card, QUIRE_REG_MAILBOX_DONE, card->mailbox);
	return card_read(card, QUIRE_REG_MAILBOX_RESULT);
}

uint64_t card_ring(const struct card *card, unsigned int queue)
{
	return card->system + QUEUE_BYTES * queue;
}

uint64_t card_records(const struct card *card, unsigned int queue)
{
	return card_ring(card, queue) + 0x1000;
}

uint64_t card_save(const struct card *card, unsigned int queue)
{
	return card_ring(card, queue) + 0x2000;
}

void card_configure_queue(struct card *card, unsigned int queue, uint32_t context,
			  uint32_t priority)
{
	uint32_t at = QUIRE_REG_QUEUE(queue);
	static const uint8_t nothing[0x2000];

	card->access.system_write(card->access.opaque, card_ring(card, queue), nothing,
				  sizeof(nothing));
	card_write(card, at + QUIRE_QUEUE_RING_LO, (uint32_t)card_ring(card, queue));
	card_write(card, at + QUIRE_QUEUE_RING_HI, (uint32_t)(card_ring(card, queue) >> 32));
	card_write(card, at + QUIRE_QUEUE_RECORD_LO, (uint32_t)card_records(card, queue));
	card_write(card, at + QUIRE_QUEUE_RECORD_HI, (uint32_t)(card_records(card, queue) >> 32));
	card_write(card, at + QUIRE_QUEUE_ENTRIES_LOG2, CARD_ENTRIES_LOG2);
	card_write(card, at + QUIRE_QUEUE_CONTEXT, context);
	card_write(card, at + QUIRE_QUEUE_PRIORITY, priority);
	card_write(card, at + QUIRE_QUEUE_SAVE_LO, (uint32_t)card_save(card, queue));
	card_write(card, at + QUIRE_QUEUE_SAVE_HI, (uint32_t)(card_save(card, queue) >> 32));
	card_write(card, at + QUIRE_QUEUE_RESUME, 0);
}

void card_start_queue(struct card *card, unsigned int queue, uint32_t context)
{
	card_configure_queue(card, queue, context, QUIRE_QUEUE_PRIORITY_NORMAL);
	assert_int_equal(QUIRE_MAILBOX_OK, card_mailbox(card, QUIRE_MAILBOX_QUEUE_START, queue));
	assert_int_equal(QUIRE_QUEUE_ACTIVE,
			 card_read(card, QUIRE_REG_QUEUE(queue) + QUIRE_QUEUE_STATE));
	card->sequence[queue] = 0;
}

static uint64_t new_table(struct card *card)
{
	static const uint8_t nothing[QUIRE_PAGE_BYTES];
	uint64_t table = card->next_table;

	assert_true(table + QUIRE_PAGE_BYTES <= CARD_DATA);
	card->next_table += QUIRE_PAGE_BYTES;
	card->access.memory_write(card->access.opaque, table, nothing, sizeof(nothing));
	return table;
}

static uint64_t entry_offset(uint64_t table, uint64_t virtual, int level)
{
	return (table & QUIRE_PTE_ADDRESS) + 8 * (virtual >> (12 + 9 * level) & 511);
}

uint64_t card_entry(struct card *card, uint32_t context, uint64_t virtual, int level)
{
	uint64_t table = card->root[context];

	for (int l = 3; l > level; l--)
		card->access.memory_read(card->access.opaque, entry_offset(table, virtual, l), &table,
					 sizeof(table));
	return entry_offset(table, virtual, level);
}

void card_map(struct card *card, uint32_t context, uint64_t virtual, uint64_t target)
{
	int last = target & QUIRE_PTE_BLOCK ? 1 : 0;
	uint64_t table, entry;

	if (!card->root[context]) {
		card->root[context] = new_table(card);
		card_write(card, QUIRE_REG_CONTEXT_ROOT_HI(context), 0);
		card_write(card, QUIRE_REG_CONTEXT_ROOT_LO(context),
			   (uint32_t)(card->root[context] | QUIRE_PTE_VALID));
	}
	table = card->root[context];
	for (int level = 3; level > last; level--) {
		uint64_t at = entry_offset(table, virtual, level);

		card->access.memory_read(card->access.opaque, at, &entry, sizeof(entry));
		if (!(entry & QUIRE_PTE_VALID)) {
			entry = new_table(card) | QUIRE_PTE_VALID;
			card->access.memory_write(card->access.opaque, at, &entry, sizeof(entry));
		}
		table = entry;
	}
	entry = target | QUIRE_PTE_VALID;
	card->access.memory_write(card->access.opaque, entry_offset(table, virtual, last), &entry,
				  sizeof(entry));
	card_write(card, QUIRE_REG_TLB_FLUSH, context);
}

void card_open_context(struct card *card, uint32_t context)
{
	for (uint32_t offset = 0; offset < 2 * QUIRE_BLOCK_BYTES; offset += QUIRE_BLOCK_BYTES)
		card_map(card, context, CARD_VIRTUAL + offset,
			 (CARD_DATA + offset) | QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_BLOCK);
}

uint64_t card_push(struct card *card, unsigned int queue, uint64_t stream, uint32_t bytes)
{
	const struct quire_ring_entry entry = {
		.sequence = ++card->sequence[queue],
		.stream_address = stream,
		.stream_bytes = bytes,
		.flags = QUIRE_RING_INTERRUPT,
	};

	card->access.system_write(card->access.opaque,
				  card_ring(card, queue) + entry.sequence % CARD_ENTRIES * sizeof(entry),
				  &entry, sizeof(entry));
	return entry.sequence;
}

void card_doorbell(struct card *card, unsigned int queue)
{
	card_write(card, QUIRE_REG_DOORBELL(queue), (uint32_t)card->sequence[queue]);
}

struct quire_fence_record card_record(struct card *card, unsigned int queue, uint64_t sequence)
{
	struct quire_fence_record record;

	card->access.system_read(card->access.opaque,
				 card_records(card, queue) + sequence % CARD_ENTRIES * sizeof(record),
				 &record, sizeof(record));
	return record;
}

struct quire_fence_record card_wait_record(struct card *card, unsigned int queue,
					   uint64_t sequence)
{
	struct quire_fence_record record = { 0 };

	for (int i = 0; i < WAIT_ROUNDS; i++) {
		record = card_record(card, queue, sequence);
		if (record.sequence == sequence)
			return record;
		pause_a_little();
	}
	fail_msg("no record of job %llu of queue %u", (unsigned long long)sequence, queue);
	return record;
}

struct quire_fence_record card_run(struct card *card, unsigned int queue, uint32_t place,
				   const void *packets, uint32_t bytes)
{
	uint64_t sequence;

	card->access.memory_write(card->access.opaque, CARD_DATA + place, packets, bytes);
	sequence = card_push(card, queue, CARD_VIRTUAL + place, bytes);
	card_doorbell(card, queue);
	return card_wait_record(card, queue, sequence);
}

struct quire_packet_gemm card_small_gemm(struct card *card)
{
	static const float a[4] = { 1, 2, 3, 4 }, b[4] = { 5, 6, 7, 8 }, d[4] = { -1, -1, -1, -1 };
	const uint64_t at = CARD_VIRTUAL + 0x1000;

	card->access.memory_write(card->access.opaque, CARD_DATA + 0x1000, a, sizeof(a));
	card->access.memory_write(card->access.opaque, CARD_DATA + 0x2000, b, sizeof(b));
	card->access.memory_write(card->access.opaque, CARD_DATA + 0x3000, d, sizeof(d));
	return (struct quire_packet_gemm){
		.header = { QUIRE_PACKET_GEMM, sizeof(struct quire_packet_gemm), 0, 0 },
		.m = 2, .n = 2, .k = 2, .batch = 1,
		.alpha = 0x3f800000,
		.a = { at, 0, QUIRE_FORMAT_FP32, 2 },
		.b = { at + 0x1000, 0, QUIRE_FORMAT_FP32, 2 },
		.d = { at + 0x2000, 0, QUIRE_FORMAT_FP32, 2 },
	};
}

void card_check_small_gemm(struct card *card, const struct quire_fence_record *record)
{
	/* 1*5 + 2*7, 1*6 + 2*8, 3*5 + 4*7, 3*6 + 4*8: 19, 22, 43, 50 in FP32 */
	static const uint32_t expected[4] = { 0x41980000, 0x41b00000, 0x422c0000, 0x42480000 };
	uint64_t digest = 0;
	uint32_t found[4];

	assert_int_equal(QUIRE_STATUS_OK, record->status);
	assert_int_equal(8, record->macs);
	for (uint64_t i = 0; i < 4; i++)
		digest += oracle_digest_word(i, expected[i]);
	assert_int_equal(digest, record->digest);
	card->access.memory_read(card->access.opaque, CARD_DATA + 0x3000, found, sizeof(found));
	assert_memory_equal(expected, found, sizeof(found));
}
