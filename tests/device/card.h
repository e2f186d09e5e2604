/* SPDX-License-Identifier: MIT */
/*
 * A driver for tests, over any way to reach a card: through QEMU (board.h) or the
 * core alone (core/machine.h).  Every wait has a limit and fails the test behind it.
 */
#ifndef QUIRE_TESTS_CARD_H
#define QUIRE_TESTS_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/hw.h>

/* How to reach it: registers, memory of the system by bus address, card memory by offset. */
struct card_access {
	void *opaque;
	uint32_t (*read)(void *opaque, uint32_t offset);
	void (*write)(void *opaque, uint32_t offset, uint32_t value);
	void (*system_read)(void *opaque, uint64_t address, void *to, size_t bytes);
	void (*system_write)(void *opaque, uint64_t address, const void *from, size_t bytes);
	void (*memory_read)(void *opaque, uint64_t offset, void *to, size_t bytes);
	void (*memory_write)(void *opaque, uint64_t offset, const void *from, size_t bytes);
};

struct card {
	struct card_access access;
	uint64_t system;		/* first bus address that is ours: 15 MiB */
	uint64_t next_table;		/* offset in card memory */
	uint64_t root[QUIRE_CONTEXTS];	/* offset of the root table, 0 = none yet */
	uint64_t sequence[QUIRE_QUEUES];
	uint32_t mailbox;		/* sequence number of the last command */
};

/* The interface version that driver and firmware of this tree speak, alone. */
#define CARD_VERSIONS (QUIRE_INTERFACE_VERSION_MAX << 16 | QUIRE_INTERFACE_VERSION_MAX)
#define CARD_ENTRIES_LOG2 4
#define CARD_ENTRIES (1u << CARD_ENTRIES_LOG2)

/* Card memory: firmware at 0, then page tables, then data of the jobs. */
#define CARD_TABLES 0x100000u
#define CARD_DATA 0x400000u
/* Where card_open_context() maps the 4 MiB from CARD_DATA on. */
#define CARD_VIRTUAL 0x10000000ull

void card_init(struct card *card, const struct card_access *access, uint64_t system);

uint32_t card_read(struct card *card, uint32_t offset);
void card_write(struct card *card, uint32_t offset, uint32_t value);
uint64_t card_read64(struct card *card, uint32_t low);
/* Wait until a register has this value. */
void card_wait(struct card *card, uint32_t offset, uint32_t value);

/* The real image from $QUIRE_FIRMWARE into card memory; its size.  Starts nothing. */
uint32_t card_load_firmware(struct card *card);
/* START with what FW_ADDRESS and FW_BYTES say; the BOOT_STATUS it ends with. */
uint32_t card_start(struct card *card);
/* Both, with the driver's versions, and READY is insisted on. */
void card_boot(struct card *card);

/* enum quire_mailbox_result */
uint32_t card_mailbox(struct card *card, uint32_t command, uint32_t argument);
uint64_t card_ring(const struct card *card, unsigned int queue);
uint64_t card_records(const struct card *card, unsigned int queue);
/* The page of its state when it is parked. */
uint64_t card_save(const struct card *card, unsigned int queue);
void card_configure_queue(struct card *card, unsigned int queue, uint32_t context,
			  uint32_t priority);
/* Configured and started; in an order of its own when it was used before. */
void card_start_queue(struct card *card, unsigned int queue, uint32_t context);

/* Map one page, or with QUIRE_PTE_BLOCK 2 MiB; target is an entry without VALID. */
void card_map(struct card *card, uint32_t context, uint64_t virtual, uint64_t target);
void card_open_context(struct card *card, uint32_t context);
/* Entry of `virtual` at a level of the tables, as an offset in card memory. */
uint64_t card_entry(struct card *card, uint32_t context, uint64_t virtual, int level);

/* Write the next ring entry; its sequence number.  No doorbell. */
uint64_t card_push(struct card *card, unsigned int queue, uint64_t stream, uint32_t bytes);
void card_doorbell(struct card *card, unsigned int queue);
struct quire_fence_record card_record(struct card *card, unsigned int queue, uint64_t sequence);
/* The record of a job, waited for. */
struct quire_fence_record card_wait_record(struct card *card, unsigned int queue,
					   uint64_t sequence);
/* Put packets at `place` bytes into the data, submit them, and wait for the record. */
struct quire_fence_record card_run(struct card *card, unsigned int queue, uint32_t place,
				   const void *packets, uint32_t bytes);

/* A product of 2 x 2 matrices of FP32 at CARD_VIRTUAL + 0x1000: packet, operands, result. */
struct quire_packet_gemm card_small_gemm(struct card *card);
void card_check_small_gemm(struct card *card, const struct quire_fence_record *record);

#endif /* QUIRE_TESTS_CARD_H */
