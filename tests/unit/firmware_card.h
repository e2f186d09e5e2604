/* SPDX-License-Identifier: MIT */
/*
 * The real firmware image on the real interpreter, with everything around it faked:
 * registers, memory and engines that only take notes.
 */
#ifndef QUIRE_TESTS_FIRMWARE_CARD_H
#define QUIRE_TESTS_FIRMWARE_CARD_H

#include <stdbool.h>
#include <stdint.h>

#include <quire/hw.h>

#include "mcu.h"

#define BUS_BYTES (1u << 20)	/* memory, at bus and virtual address 0 */
/* The interface version that driver and firmware of this tree speak, alone. */
#define VERSIONS (QUIRE_INTERFACE_VERSION_MAX << 16 | QUIRE_INTERFACE_VERSION_MAX)
#define RING(q) (0x10000u + 0x4000u * (q))
#define RECORDS(q) (0x12000u + 0x4000u * (q))
#define SAVE(q) (0x13000u + 0x4000u * (q))
#define STREAM 0x80000u
#define ENTRIES_LOG2 5
#define ENGINES 2
#define BAND_MACS (1u << 20)	/* products worth a band */
#define KEPT_B 6144u		/* elements of B that an engine keeps packed */
#define HISTORY 4096
#define TICK 100u

struct card {
	struct mcu mcu;
	uint8_t bus[BUS_BYTES];
	uint32_t queue[QUIRE_QUEUES][16];
	uint64_t doorbells;
	uint32_t driver_versions, fw_versions, negotiated, boot_status;
	uint32_t mailbox_command, mailbox_argument, mailbox_sequence, mailbox_result, mailbox_done;
	uint32_t mailbox_seen;
	uint32_t dma[5], dma_status;
	uint64_t dma_fault;
	uint64_t unmapped_from;		/* virtual addresses from here on fault */
	uint32_t events_posted;
	uint32_t vectors[1 + QUIRE_QUEUES];
	uint32_t serving;		/* as QUIRE_IO_SERVING reads */
	uint32_t ring_flags;		/* of the entries that push() writes */
	uint32_t whose[QUIRE_QUEUES];	/* and whose time their jobs are */
	uint32_t panic;
	uint64_t time;			/* nanoseconds; goes on by TICK with each look */
	uint32_t time_high;
	bool timer;			/* the alarm has gone off */
	uint64_t alarm;			/* when it is to, 0 = never; a test that waits for it looks */
	void (*on_dma)(struct card *card);	/* before each transfer, or NULL */
	void (*on_look)(struct card *card);	/* before each look at the events, or NULL */
	char log[8192];
	uint32_t log_length;
	bool engines_inline, fills_inline;
	uint32_t engine_band[ENGINES];	/* SRAM address while busy */
	uint32_t engine_done, engine_cancelled;
	uint32_t jobs, packets, errors;
	struct {
		struct quire_band band;
		struct quire_packet_gemm packet;
		uint32_t engine;
	} history[HISTORY];
	unsigned int bands;
	uint64_t sequence[QUIRE_QUEUES];
};

/* What an engine writes when its band has ended: a digest that counts the elements of D. */
void end_band(struct card *card, unsigned int engine, uint32_t status);
/* Until the processor sleeps, or for a while; the firmware must not trap. */
enum mcu_stop run(struct card *card);
/* The image of $QUIRE_FIRMWARE, up to its first sleep, with the driver's versions. */
struct card *boot(uint32_t driver_versions);
void destroy(struct card *card);
/* The result of a command. */
uint32_t mailbox(struct card *card, uint32_t command, uint32_t argument);
/* Registers of a queue; queues q and q + 8 have one ring. */
void configure_queue(struct card *card, unsigned int q, uint32_t priority);
void start_queue(struct card *card, unsigned int q, uint32_t priority);
/* The next ring entry, without a doorbell. */
void push(struct card *card, unsigned int q, uint64_t stream, uint32_t bytes);
void ring(struct card *card, unsigned int q);
struct quire_fence_record record(struct card *card, unsigned int q, uint64_t sequence);
/* A product of posit16 matrices that nobody reads. */
struct quire_packet_gemm gemm(uint32_t m, uint32_t n, uint32_t k, uint32_t batch);
/* Packets to the stream of the queue, its ring entry and the doorbell. */
void submit(struct card *card, unsigned int q, const void *packets, uint32_t bytes);
/* A command that the firmware finds when it looks next. */
void send(struct card *card, uint32_t command, uint32_t argument);
/* The alarm goes off, and what follows. */
void alarm_goes_off(struct card *card);
/* The bands so far cover D once. */
void check_tiling(struct card *card, uint32_t m, uint32_t n, uint32_t batch);

#endif /* QUIRE_TESTS_FIRMWARE_CARD_H */
