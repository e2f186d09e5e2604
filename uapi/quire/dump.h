/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The file that the driver leaves when a job fails or the card is reset: the contract between
 * driver and decoder (quire-dump).  Linux offers it once, for root, as
 * /sys/class/devcoredump/devcdN/data; the first dump of a card is kept until somebody has read
 * and released it, or for five minutes; only a reset's takes the place of one of a job.
 *
 * A header, then sections, each a struct quire_dump_section and its contents, padded with
 * zeros to a multiple of 8 bytes.  All is little-endian.  Each type occurs at most once, in any
 * order; a section that could not be had is missing.  Readers pass over types they do not
 * know, and over the rest of entries longer than they know; what an older writer did not know
 * reads as 0.  Anything else changes the version.
 *
 * No dump has contents of buffers but the command stream of the job that failed.
 */
#ifndef QUIRE_DUMP_H
#define QUIRE_DUMP_H

#include "hw.h"

#define QUIRE_DUMP_MAGIC 0x504d554452495551ull	/* "QUIRDUMP" */
#define QUIRE_DUMP_VERSION 1u

enum quire_dump_reason {
	QUIRE_DUMP_JOB_FAILED = 1,	/* see the status of struct quire_dump_cause */
	QUIRE_DUMP_JOB_TIMEOUT = 2,	/* over its time limit, still running */
	QUIRE_DUMP_RESET = 3,		/* the card is about to be reset; see text of the cause */
};

/*
 * struct quire_dump_header - start of a dump
 * @header_bytes: where the first section begins
 * @bytes:        of the whole dump
 * @sections:     how many
 * @reason:       enum quire_dump_reason
 * @realtime:     when, nanoseconds since 1970
 * @boottime:     when, nanoseconds since the host booted
 */
struct quire_dump_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint64_t bytes;
	uint32_t sections;
	uint32_t reason;
	uint64_t realtime;
	uint64_t boottime;
};

enum quire_dump_type {
	QUIRE_DUMP_CARD = 1,		/* struct quire_dump_card */
	QUIRE_DUMP_CAUSE = 2,		/* struct quire_dump_cause */
	QUIRE_DUMP_REGISTERS = 3,	/* struct quire_dump_register, many; when it happened */
	QUIRE_DUMP_QUEUES = 4,		/* struct quire_dump_queue, many; soon afterwards */
	QUIRE_DUMP_RING = 5,		/* struct quire_ring_entry (hw.h), all slots of the cause's queue */
	QUIRE_DUMP_RECORDS = 6,		/* struct quire_fence_record (hw.h), likewise */
	QUIRE_DUMP_LOG = 7,		/* characters: newest of the firmware's log */
	QUIRE_DUMP_MAPPINGS = 8,	/* struct quire_dump_mapping, many; of the cause's address space */
	QUIRE_DUMP_WALK = 9,		/* struct quire_dump_step, up to 4, root first: to the fault address */
	QUIRE_DUMP_STREAM = 10,		/* bytes: command stream of the cause's job (packet.h) */
};

/*
 * struct quire_dump_section - before the contents of each section
 * @type:        enum quire_dump_type
 * @entry_bytes: of one entry; 1 where the contents are bytes
 * @bytes:       of the contents, a multiple of @entry_bytes, without padding
 * @omitted:     entries left out because there were too many
 */
struct quire_dump_section {
	uint32_t type;
	uint32_t entry_bytes;
	uint64_t bytes;
	uint64_t omitted;
};

/*
 * struct quire_dump_card - card, driver and kernel; texts end with a zero
 * @name:       of the device: its PCI address
 * @kernel:     release of the kernel
 * @driver:     of the module: srcversion, or empty
 * @others:     as in struct drm_quire_device_info
 * @reserved:   0
 */
struct quire_dump_card {
	char name[32];
	char kernel[64];
	char driver[32];
	uint64_t serial;
	uint64_t card_memory;
	uint32_t hw_version;
	uint32_t fw_release;
	uint32_t interface_version;
	uint32_t engines;
	uint32_t queues;
	uint32_t contexts;
	uint32_t resets;
	uint32_t reserved;
};

#define QUIRE_DUMP_NONE 0xffffffffu	/* no ring or context */

/* Parts that are missing, or end early, because a call of the process held them for too long. */
#define QUIRE_DUMP_HELD_MAPPINGS 0x1u	/* and with them the stream */
#define QUIRE_DUMP_HELD_STREAM 0x2u

/*
 * struct quire_dump_cause - the job that failed; of a reset, the oldest of the queue that is
 * thought guilty, or none (@job 0)
 * @job:            its number in its queue, counted from 1
 * @sequence:       its sequence number on the ring
 * @stream_address, @stream_bytes: its command stream
 * @ring:           the queue's ring, or QUIRE_DUMP_NONE
 * @context:        the queue's context, or QUIRE_DUMP_NONE
 * @pid:            process that made the queue
 * @status .. @fault_address: as in struct quire_fence_record; 0 where the card wrote none
 * @command:        name of that process
 * @text:           why the card is reset, or empty
 * @held:           QUIRE_DUMP_HELD_*
 * @reserved:       0
 */
struct quire_dump_cause {
	uint64_t job;
	uint64_t sequence;
	uint64_t stream_address;
	uint32_t stream_bytes;
	uint32_t ring;
	uint32_t context;
	uint32_t pid;
	uint32_t status;
	uint32_t packet;
	uint32_t detail;
	uint32_t fault_info;
	uint64_t fault_address;
	char command[16];
	char text[64];
	uint32_t held;
	uint32_t reserved;
};

/* struct quire_dump_register - @offset in BAR 0 */
struct quire_dump_register {
	uint32_t offset;
	uint32_t value;
};

#define QUIRE_DUMP_QUEUE_BANNED 0x1u	/* takes no more jobs */
#define QUIRE_DUMP_QUEUE_LIVE 0x2u	/* its ring was the card's */
#define QUIRE_DUMP_QUEUE_CAUSE 0x4u	/* the queue of the cause */

/*
 * struct quire_dump_queue - a queue as the driver sees it
 * @client:    drm-client-id of its file
 * @id:        in its file
 * @flags:     QUIRE_DUMP_QUEUE_*
 * @priority:  enum drm_quire_queue_priority
 * @on_ring:   jobs on the ring
 * @pid, @command: process that made it
 * @ring:      or QUIRE_DUMP_NONE
 * @limit_ms:  time limit of a job
 * @submitted, @completed: jobs
 * @busy_ns:   time the card worked on its jobs
 */
struct quire_dump_queue {
	uint64_t client;
	uint32_t id;
	uint32_t flags;
	int32_t priority;
	uint32_t on_ring;
	uint32_t pid;
	uint32_t ring;
	char command[16];
	uint64_t submitted;
	uint64_t completed;
	uint64_t busy_ns;
	uint32_t limit_ms;
	uint32_t reserved;
};

#define QUIRE_DUMP_MAPPING_READ_ONLY 0x1u
#define QUIRE_DUMP_MAPPING_ON_CARD 0x2u		/* lies in card memory now */
#define QUIRE_DUMP_MAPPING_CARD 0x4u		/* asked for card memory */
#define QUIRE_DUMP_MAPPING_USERPTR 0x8u
#define QUIRE_DUMP_MAPPING_IMPORTED 0x10u

/* struct quire_dump_mapping - @bytes at @address show a buffer of @buffer_bytes from @offset on */
struct quire_dump_mapping {
	uint64_t address;
	uint64_t bytes;
	uint64_t offset;
	uint64_t buffer_bytes;
	uint32_t flags;
	uint32_t reserved;
};

/* struct quire_dump_step - entry @index of a table of @level; it ends where one is not valid */
struct quire_dump_step {
	uint32_t level;
	uint32_t index;
	uint64_t entry;
};

QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_header) == 48, "dump header");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_section) == 24, "dump section");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_card) == 176, "dump card");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_cause) == 152, "dump cause");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_register) == 8, "dump register");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_queue) == 80, "dump queue");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_mapping) == 40, "dump mapping");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_dump_step) == 16, "dump step");

#endif /* QUIRE_DUMP_H */
