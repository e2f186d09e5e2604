/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Registers, rings and records of the card: the contract between the driver and
 * the device (first part) and between the device and its firmware (second part).
 * docs/hardware.md explains each; this header only fixes names, places and sizes.
 *
 * Registers are 32 bits wide and little-endian; 64-bit values are two registers,
 * low word first.  Only aligned 4-byte accesses are defined: any other size
 * reads as all ones and is ignored on write.
 */
#ifndef QUIRE_HW_H
#define QUIRE_HW_H

#include "packet.h"

#define QUIRE_PCI_VENDOR_ID 0x1af4
#define QUIRE_PCI_DEVICE_ID 0x10f0
#define QUIRE_PCI_CLASS 0x120000	/* processing accelerator */
#define QUIRE_BAR_REGISTERS 0		/* 1 MiB, 64-bit, not prefetchable */
#define QUIRE_BAR_MEMORY 2		/* all of card memory, 64-bit, prefetchable */
#define QUIRE_BAR_MSIX 4
#define QUIRE_BAR_REGISTERS_BYTES 0x100000

#define QUIRE_QUEUES 64
#define QUIRE_CONTEXTS 32
#define QUIRE_MSIX_VECTORS (1 + QUIRE_QUEUES)	/* 0: events and faults, 1 + q: queue q */

/* --- Identity and capabilities (read-only) --- */
#define QUIRE_REG_ID 0x000
#define QUIRE_ID_VALUE 0x52495551u	/* "QUIR" */
#define QUIRE_REG_HW_VERSION 0x004	/* major << 16 | minor */
/*
 * The major number counts what results mean, too: 2 is the digest of quire/format.h.  3 has
 * flushes that drain, queues that can be parked, and records of 128 bytes with times.
 */
#define QUIRE_HW_VERSION_VALUE 0x00030000u
#define QUIRE_REG_CAP_QUEUES 0x008	/* contexts << 16 | queues */
#define QUIRE_REG_CAP_ENGINES 0x00c
#define QUIRE_REG_MEMORY_LO 0x010	/* bytes of card memory */
#define QUIRE_REG_MEMORY_HI 0x014
#define QUIRE_REG_SERIAL_LO 0x018
#define QUIRE_REG_SERIAL_HI 0x01c
#define QUIRE_REG_SRAM_BYTES 0x020

/* --- Control processor: load, boot, health --- */
#define QUIRE_REG_FW_ADDRESS_LO 0x040	/* of the image in card memory, 4 KiB aligned */
#define QUIRE_REG_FW_ADDRESS_HI 0x044
#define QUIRE_REG_FW_BYTES 0x048	/* of the image, header included */
#define QUIRE_REG_MCU_CONTROL 0x04c
#define QUIRE_MCU_START 0x1u		/* check the image, copy it, run it */
#define QUIRE_MCU_RESET 0x2u		/* stop MCU and engines, forget all queues; contexts stay */
#define QUIRE_REG_BOOT_STATUS 0x050	/* enum quire_boot_status */
#define QUIRE_REG_BOOT_DETAIL 0x054	/* what was found, for the error named by BOOT_STATUS */
#define QUIRE_REG_HEARTBEAT 0x058	/* counts while the firmware's main loop turns */
#define QUIRE_REG_DRIVER_VERSIONS 0x05c	/* written by the driver before START: min << 16 | max */
#define QUIRE_REG_FW_VERSIONS 0x060	/* written by the firmware: min << 16 | max */
#define QUIRE_REG_NEGOTIATED 0x064	/* highest version both speak; 0 = none */
#define QUIRE_REG_FW_RELEASE 0x068	/* major << 16 | minor << 8 | patch of the firmware */
#define QUIRE_REG_PANIC_PC 0x070	/* of the last unrecoverable firmware trap */
#define QUIRE_REG_PANIC_CAUSE 0x074	/* RISC-V mcause */
#define QUIRE_REG_PANIC_VALUE 0x078	/* RISC-V mtval */

/*
 * Log of the firmware: the newest QUIRE_LOG_BYTES characters.  LOG_WRITTEN counts all since
 * the function was reset (a boot keeps them); character i is byte i % QUIRE_LOG_BYTES of the
 * window, and lines end with a newline.
 */
#define QUIRE_REG_LOG_WRITTEN 0x06c
#define QUIRE_REG_LOG(i) (0x4000 + 4 * (i))	/* word i of the window, read-only */
#define QUIRE_LOG_BYTES 4096u

enum quire_boot_status {
	QUIRE_BOOT_OFF = 0,
	QUIRE_BOOT_RUNNING = 1,		/* ROM accepted the image, firmware not ready yet */
	QUIRE_BOOT_READY = 2,
	QUIRE_BOOT_BAD_ADDRESS = 16,	/* image not inside card memory, or not aligned */
	QUIRE_BOOT_BAD_MAGIC = 17,
	QUIRE_BOOT_BAD_SIZE = 18,	/* header and FW_BYTES disagree, or larger than SRAM */
	QUIRE_BOOT_BAD_DIGEST = 19,
	QUIRE_BOOT_BAD_VERSION = 20,	/* no common interface version; see *_VERSIONS */
	QUIRE_BOOT_CRASHED = 21,	/* see PANIC_* */
};

/* --- Interface version of this header, negotiated at boot --- */
#define QUIRE_INTERFACE_VERSION_MIN 2
#define QUIRE_INTERFACE_VERSION_MAX 2

/* --- Events: vector 0 is raised when a bit of STATUS & ENABLE becomes set --- */
#define QUIRE_REG_EVENT_STATUS 0x080	/* write 1 to clear */
#define QUIRE_REG_EVENT_ENABLE 0x084
#define QUIRE_EVENT_BOOT 0x1u		/* BOOT_STATUS changed */
#define QUIRE_EVENT_MAILBOX 0x2u	/* MAILBOX_DONE changed */
#define QUIRE_EVENT_QUEUE_FAULT 0x4u	/* a queue stopped on an error */
#define QUIRE_EVENT_CRASH 0x8u		/* the firmware trapped or halted */
#define QUIRE_EVENT_DRAINED 0x10u	/* DRAINED(c) of some context has moved */
#define QUIRE_EVENT_QUEUE_PARKED 0x20u	/* a queue has come to rest after QUEUE_PARK */

/* --- Mailbox: one command at a time from driver to firmware --- */
#define QUIRE_REG_MAILBOX_COMMAND 0x0a0	/* enum quire_mailbox_command */
#define QUIRE_REG_MAILBOX_ARGUMENT 0x0a4
#define QUIRE_REG_MAILBOX_SEND 0x0a8	/* write a sequence number, not 0: sends */
#define QUIRE_REG_MAILBOX_DONE 0x0ac	/* sequence number of the last command finished */
#define QUIRE_REG_MAILBOX_RESULT 0x0b0	/* enum quire_mailbox_result of that command */

enum quire_mailbox_command {
	QUIRE_MAILBOX_PING = 0,
	QUIRE_MAILBOX_QUEUE_START = 1,	/* argument: queue; its registers are set */
	QUIRE_MAILBOX_QUEUE_STOP = 2,	/* argument: queue; cancels what runs, done when nothing does */
	/*
	 * argument: queue.  No band of it is started any more; once none runs, what is needed to
	 * go on is written to SAVE, and STATE becomes PARKED or FAULTED with the event
	 * QUEUE_PARKED.  The command itself is answered at once.  A parked queue is ended by
	 * QUEUE_STOP, and can go on, on any ring, by QUEUE_START with RESUME.
	 */
	QUIRE_MAILBOX_QUEUE_PARK = 3,
};

enum quire_mailbox_result {
	QUIRE_MAILBOX_OK = 0,
	QUIRE_MAILBOX_BAD_COMMAND = 1,
	QUIRE_MAILBOX_BAD_QUEUE = 2,	/* no such queue, or in the wrong state */
	QUIRE_MAILBOX_BAD_CONFIG = 3,	/* ring, records, save, context, priority or resume is wrong */
	QUIRE_MAILBOX_ABORTED = 4,	/* the card's own: a stop of the firmware came before its answer */
};

/* --- MMU --- */
#define QUIRE_REG_TLB_FLUSH 0x100	/* write a context number, or QUIRE_TLB_FLUSH_ALL */
#define QUIRE_TLB_FLUSH_ALL 0xffffffffu
#define QUIRE_REG_FAULT_CONTEXT 0x104	/* last MMU fault, informative */
#define QUIRE_REG_FAULT_ADDRESS_LO 0x108
#define QUIRE_REG_FAULT_ADDRESS_HI 0x10c
#define QUIRE_REG_FAULT_INFO 0x110	/* QUIRE_FAULT_* */

/*
 * A flush that drains.  FLUSHED(c) counts the flushes of context c, those of all contexts
 * included.  DRAINED(c) is the number of the newest flush for which nothing of context c runs
 * that began before it: no engine's band, no transfer of the control processor.  So whoever
 * has flushed reads FLUSHED, and once DRAINED has reached that number (both wrap around) the
 * card touches neither page nor table that only old translations reached.  Both are equal
 * where nothing runs.
 */
#define QUIRE_REG_FLUSHED(c) (0x1100 + 8 * (c))
#define QUIRE_REG_DRAINED(c) (0x1104 + 8 * (c))

/*
 * Context c: root of its page table.  Same layout as a table entry: address,
 * aperture and valid.  Writing the low word takes effect after a TLB flush.
 */
#define QUIRE_REG_CONTEXT_ROOT_LO(c) (0x1000 + 8 * (c))
#define QUIRE_REG_CONTEXT_ROOT_HI(c) (0x1004 + 8 * (c))

/*
 * Page tables: 48-bit virtual addresses, four levels of 512 entries of 64 bits,
 * 9 address bits each; levels count down from 3 (root) to 0.  An entry of level
 * 0 maps 4 KiB; an entry of level 1 with QUIRE_PTE_BLOCK maps 2 MiB.  In an entry
 * that points to a table only VALID, APERTURE_SYSTEM and the address count.
 */
#define QUIRE_PTE_VALID 0x1ull
#define QUIRE_PTE_READ 0x2ull
#define QUIRE_PTE_WRITE 0x4ull
#define QUIRE_PTE_SYSTEM 0x8ull		/* address is a bus address; else an offset in card memory */
#define QUIRE_PTE_BLOCK 0x10ull
#define QUIRE_PTE_ADDRESS 0x000ffffffffff000ull
#define QUIRE_VA_BITS 48
#define QUIRE_PAGE_BYTES 4096
#define QUIRE_BLOCK_BYTES (2u << 20)

#define QUIRE_FAULT_REASON 0xffu	/* enum quire_fault_reason */
#define QUIRE_FAULT_WRITE 0x100u	/* the access was a write */
#define QUIRE_FAULT_UNIT_SHIFT 16	/* who: QUIRE_FAULT_UNIT_* */
#define QUIRE_FAULT_UNIT_STREAM 0u	/* fetching the command stream */
#define QUIRE_FAULT_UNIT_RESULT 1u	/* writing a packet result */
#define QUIRE_FAULT_UNIT_A 2u
#define QUIRE_FAULT_UNIT_B 3u
#define QUIRE_FAULT_UNIT_C 4u
#define QUIRE_FAULT_UNIT_D 5u
#define QUIRE_FAULT_UNIT_BIAS 6u
#define QUIRE_FAULT_UNIT_SOURCE 7u
#define QUIRE_FAULT_UNIT_DESTINATION 8u

enum quire_fault_reason {
	QUIRE_FAULT_NONE = 0,
	QUIRE_FAULT_UNMAPPED = 1,	/* no valid entry */
	QUIRE_FAULT_PERMISSION = 2,
	QUIRE_FAULT_ADDRESS = 3,	/* not a 48-bit address, or past its end */
	QUIRE_FAULT_CONTEXT = 4,	/* context has no valid root */
	QUIRE_FAULT_TABLE = 5,		/* a table or page lies outside card or system memory */
	QUIRE_FAULT_BUS = 6,		/* the bus refused the access */
};

/* --- Queues: set by the driver before QUEUE_START, state kept by firmware --- */
#define QUIRE_REG_QUEUE(q) (0x2000 + 64 * (q))
#define QUIRE_QUEUE_RING_LO 0x00	/* bus address of the ring, 4 KiB aligned */
#define QUIRE_QUEUE_RING_HI 0x04
#define QUIRE_QUEUE_RECORD_LO 0x08	/* bus address of the fence records, 4 KiB aligned */
#define QUIRE_QUEUE_RECORD_HI 0x0c
#define QUIRE_QUEUE_ENTRIES_LOG2 0x10	/* of ring and records: 4 to 12 */
#define QUIRE_QUEUE_CONTEXT 0x14
/* enum quire_queue_priority, and from these bits on whose the queue is: fair shares of engines */
#define QUIRE_QUEUE_PRIORITY 0x18
#define QUIRE_QUEUE_GROUP_SHIFT 8	/* 0 to 63: a part of the owner */
#define QUIRE_QUEUE_OWNER_SHIFT 16	/* 0 to 63 */
#define QUIRE_QUEUE_OWNERS 64
/* Somebody else has this number now, who owes nothing of what was used under it. */
#define QUIRE_QUEUE_GROUP_NEW 0x8000u
#define QUIRE_QUEUE_OWNER_NEW 0x80000000u
#define QUIRE_QUEUE_STATE 0x1c		/* enum quire_queue_state, read-only to the driver */
#define QUIRE_QUEUE_COMPLETED 0x20	/* low word of the last sequence number finished, read-only */
#define QUIRE_QUEUE_TAIL 0x24		/* last doorbell value, read-only */
#define QUIRE_QUEUE_SAVE_LO 0x28	/* bus address of a page of QUIRE_SAVE_BYTES, or 0: no PARK */
#define QUIRE_QUEUE_SAVE_HI 0x2c
#define QUIRE_QUEUE_RESUME 0x30		/* 1: QUEUE_START goes on with what SAVE holds; else 0 */
/*
 * Read-only, of the job in progress: low word of its sequence number (0: none; a low word that
 * is 0 is shown as QUIRE_JOB_LOW_WORD_0), the time in microseconds in which a band of it was on
 * an engine or the firmware worked on it, up to 50 ms old while a band runs, and its bands on
 * engines now.  JOB, JOB_US, STATE and COMPLETED stay as they are when the card is RESET, until
 * it is STARTed.  JOB_US of a queue that has been stopped or parked in the middle of a job is the
 * time of that job, until the QUEUE_START that follows.
 */
#define QUIRE_QUEUE_JOB 0x34
#define QUIRE_JOB_LOW_WORD_0 0xffffffffu
#define QUIRE_QUEUE_JOB_US 0x38
#define QUIRE_QUEUE_JOB_BANDS 0x3c
#define QUIRE_SAVE_BYTES 4096u

#define QUIRE_QUEUE_ENTRIES_LOG2_MIN 4
#define QUIRE_QUEUE_ENTRIES_LOG2_MAX 12

enum quire_queue_priority {
	QUIRE_QUEUE_PRIORITY_LOW = 0,
	QUIRE_QUEUE_PRIORITY_NORMAL = 1,
	QUIRE_QUEUE_PRIORITY_HIGH = 2,
	QUIRE_QUEUE_PRIORITY_URGENT = 3,	/* others' time, see quire_ring_entry.whose */
};

enum quire_queue_state {
	QUIRE_QUEUE_OFF = 0,
	QUIRE_QUEUE_ACTIVE = 1,
	QUIRE_QUEUE_FAULTED = 2,	/* stopped itself on the first failed job */
	QUIRE_QUEUE_PARKED = 3,		/* at rest, to go on later */
};

/*
 * Doorbell of queue q, one 4 KiB page each: write the low 32 bits of the
 * sequence number of the newest ring entry.  Sequence numbers start at 1 after
 * QUEUE_START; entry s lies in slot s % entries, and so does its fence record.
 * More than `entries` outstanding entries fault the queue.
 */
#define QUIRE_REG_DOORBELL(q) (0x40000 + 0x1000 * (q))

/*
 * struct quire_ring_entry - one job, written by the driver
 * @sequence:       of this job; the firmware refuses any other than the next
 * @stream_address: of the command stream in the queue's context; 8-byte aligned
 * @stream_bytes:   0 (nothing but a fence) .. QUIRE_STREAM_MAX_BYTES
 * @flags:          QUIRE_RING_*
 * @outcome:        where in the queue's context to write a struct quire_job_outcome
 *                  (packet.h) before the record, 8-byte aligned, or 0
 * @number:         the job's number, for that outcome
 * @whose:          of a job in a queue of priority URGENT, group and owner whose the time of
 *                  the job is, as in QUIRE_QUEUE_PRIORITY; 0: nobody's, and in other queues
 */
struct quire_ring_entry {
	uint64_t sequence;
	uint64_t stream_address;
	uint32_t stream_bytes;
	uint32_t flags;
	uint64_t outcome;
	uint64_t number;
	uint64_t whose;
	uint64_t reserved[2];
};

#define QUIRE_RING_INTERRUPT 0x1u	/* raise the queue's vector; a failed job always does */
#define QUIRE_RING_LATE 0x2u		/* INTERRUPT only if the record comes after the doorbell */
#define QUIRE_RING_FLAGS 0x3u

/*
 * struct quire_fence_record - outcome of one job, written by the firmware.
 * @sequence is written last: once it equals the job's, the rest is valid.
 * @status:        enum quire_status
 * @packet:        byte offset in the stream of the packet that failed
 * @detail:        see enum quire_status
 * @fault_info:    QUIRE_FAULT_* of an MMU fault
 * @fault_address: of an MMU fault
 * @cycles, @modelled_pj, @macs: sums over the packets executed
 * @digest:        over the packets with a digest, in order:
 *                 digest = digest * QUIRE_DIGEST_SEQUENCE + packet digest
 * @started, @ended: when the firmware began and ended the job, nanoseconds of the card's clock
 * @busy_ns:       of that, the time in which a band was on an engine or the firmware worked
 */
struct quire_fence_record {
	uint64_t sequence;
	uint32_t status;
	uint32_t packet;
	uint32_t detail;
	uint32_t fault_info;
	uint64_t fault_address;
	uint64_t cycles;
	uint64_t modelled_pj;
	uint64_t digest;
	uint64_t macs;
	uint64_t started;
	uint64_t ended;
	uint64_t busy_ns;
	uint64_t reserved[5];
};

/*
 * Telemetry counters, 64 bits each, count since device reset, read-only.
 * Reading the low word latches the high word.
 */
#define QUIRE_REG_COUNTER_LO(i) (0x3000 + 8 * (i))
#define QUIRE_REG_COUNTER_HI(i) (0x3004 + 8 * (i))

enum quire_counter {
	QUIRE_COUNTER_CYCLES = 0,
	QUIRE_COUNTER_JOBS = 1,
	QUIRE_COUNTER_PACKETS = 2,
	QUIRE_COUNTER_MACS_POSIT8 = 3,	/* posit<n> up to 8 bits */
	QUIRE_COUNTER_MACS_POSIT16 = 4,	/* posit<n> of 9 to 16 bits */
	QUIRE_COUNTER_MACS_POSIT32 = 5,
	QUIRE_COUNTER_MACS_BF16 = 6,
	QUIRE_COUNTER_MACS_FP32 = 7,
	QUIRE_COUNTER_MACS_OTHER = 8,	/* FP16, FP8, INT8 */
	QUIRE_COUNTER_BYTES_CARD = 9,	/* moved from or to card memory by engines */
	QUIRE_COUNTER_BYTES_SYSTEM = 10, /* moved from or to system memory by engines */
	QUIRE_COUNTER_MODELLED_PJ = 11,
	QUIRE_COUNTER_FAULTS = 12,	/* MMU faults */
	QUIRE_COUNTER_ERRORS = 13,	/* jobs that ended with any other error */
	QUIRE_COUNTER_TEMPERATURE = 14,	/* modelled, millidegrees Celsius; a level, not a count */
	QUIRE_COUNTER_INSTRUCTIONS = 15, /* executed by the control processor */
	QUIRE_COUNTERS = 16,
};

/*
 * Firmware image in card memory: this header, then @image_bytes - sizeof(header)
 * bytes that the boot ROM copies to the start of SRAM.
 */
#define QUIRE_FW_MAGIC 0x31574651u	/* "QFW1" */
#define QUIRE_FW_NAME "quire/fw-v1.bin"
struct quire_fw_header {
	uint32_t magic;
	uint32_t header_bytes;		/* sizeof(struct quire_fw_header) */
	uint32_t image_bytes;		/* header included, multiple of 4 */
	uint32_t interface_versions;	/* min << 16 | max */
	uint32_t release;		/* major << 16 | minor << 8 | patch */
	uint32_t entry;			/* address in SRAM of the first instruction */
	uint32_t bss_bytes;		/* zeroed behind the image in SRAM */
	uint32_t reserved;
	uint8_t sha256[32];		/* of all bytes behind the header */
};

/* ------------------------------------------------------------------------ */
/* Seen by the firmware only: address space of the control processor (RV32IM) */
/* ------------------------------------------------------------------------ */
#define QUIRE_SRAM_BASE 0x20000000u
#define QUIRE_SRAM_BYTES 0x40000u
#define QUIRE_MCU_IO_BASE 0x40000000u

/*
 * EVENTS is the OR of everything that wants the firmware; WFI returns when it is
 * not 0.  DOORBELL follows the doorbell bitmap, ENGINE the engines' done bits,
 * MAILBOX a sent command whose sequence number has not been read, TIMER the alarm.
 */
#define QUIRE_IO_EVENTS 0x000
#define QUIRE_IO_EVENT_DOORBELL 0x1u
#define QUIRE_IO_EVENT_ENGINE 0x2u
#define QUIRE_IO_EVENT_MAILBOX 0x4u
#define QUIRE_IO_EVENT_TIMER 0x8u
#define QUIRE_IO_TIME_LO 0x008		/* nanoseconds; reading LO latches HI */
#define QUIRE_IO_TIME_HI 0x00c
#define QUIRE_IO_ALARM 0x010		/* write: microseconds of TIME from now, 0 = off; clears TIMER */
#define QUIRE_IO_RAISE_VECTOR 0x014	/* write an MSI-X vector */
#define QUIRE_IO_POST_EVENT 0x018	/* set bits of EVENT_STATUS, raises vector 0 */
#define QUIRE_IO_LOG 0x01c		/* write one character of the firmware's log */
#define QUIRE_IO_HEARTBEAT 0x020
#define QUIRE_IO_BOOT_STATUS 0x024	/* READY or BAD_VERSION */
#define QUIRE_IO_DRIVER_VERSIONS 0x028	/* read-only */
#define QUIRE_IO_FW_VERSIONS 0x02c
#define QUIRE_IO_NEGOTIATED 0x030
#define QUIRE_IO_FW_RELEASE 0x034
#define QUIRE_IO_PANIC_PC 0x038
#define QUIRE_IO_PANIC_CAUSE 0x03c
#define QUIRE_IO_PANIC_VALUE 0x040	/* writing it halts the MCU: BOOT_CRASHED */
#define QUIRE_IO_MAILBOX_COMMAND 0x044	/* read-only */
#define QUIRE_IO_MAILBOX_ARGUMENT 0x048	/* read-only */
#define QUIRE_IO_MAILBOX_SEQUENCE 0x04c	/* read-only */
#define QUIRE_IO_MAILBOX_RESULT 0x050
#define QUIRE_IO_MAILBOX_DONE 0x054	/* write the sequence: command finished */
#define QUIRE_IO_ENGINES 0x058		/* number of engines, read-only */
#define QUIRE_IO_BAND_MACS 0x05c	/* MACs worth one band (a few ms), in units of 2^10, read-only */
#define QUIRE_IO_COUNT_JOBS 0x060	/* write n: add to the counters of the same name */
#define QUIRE_IO_COUNT_PACKETS 0x064
#define QUIRE_IO_COUNT_ERRORS 0x068
#define QUIRE_IO_SERVING 0x06c		/* queue whose doorbell write waits for us, read-only */
#define QUIRE_SERVING_NONE 0xffffffffu
/*
 * Elements of B, in units of 2^10, that an engine can keep packed from one band to the next of
 * a packet (k times the band's columns, these in whole panels), read-only; 0: none.
 */
#define QUIRE_IO_KEPT_B 0x070
#define QUIRE_BAND_PANEL_COLUMNS 48u

/* Doorbells rung since last cleared, 64 bits; write 1 to clear, then read TAIL. */
#define QUIRE_IO_DOORBELLS_LO 0x080
#define QUIRE_IO_DOORBELLS_HI 0x084

/* Queue registers as the driver sees them; STATE and COMPLETED writable. */
#define QUIRE_IO_QUEUE(q) (0x2000 + 64 * (q))

/*
 * DMA unit: one transfer between SRAM and memory, done when the write to COMMAND
 * returns.  At most QUIRE_DMA_MAX_BYTES; SRAM address 4-byte aligned.
 */
#define QUIRE_IO_DMA_CONTEXT 0x100	/* a context, or QUIRE_DMA_BUS: address is a bus address */
#define QUIRE_DMA_BUS 0xffffffffu
#define QUIRE_IO_DMA_ADDRESS_LO 0x104
#define QUIRE_IO_DMA_ADDRESS_HI 0x108
#define QUIRE_IO_DMA_SRAM 0x10c
#define QUIRE_IO_DMA_BYTES 0x110
#define QUIRE_IO_DMA_COMMAND 0x114
#define QUIRE_DMA_TO_SRAM 1u
#define QUIRE_DMA_FROM_SRAM 2u
#define QUIRE_DMA_RECORD 3u		/* from SRAM, first 8 bytes written last, after a barrier */
#define QUIRE_IO_DMA_STATUS 0x118	/* 0 or QUIRE_FAULT_* of the fault */
#define QUIRE_IO_DMA_FAULT_LO 0x11c
#define QUIRE_IO_DMA_FAULT_HI 0x120
#define QUIRE_DMA_MAX_BYTES 4096u

/*
 * Engines.  START takes the SRAM address of a struct quire_band, which belongs
 * to the engine until its bit in DONE is set; short bands are done when the
 * write to START returns.  CANCEL makes a running band end soon, with status
 * CANCELLED unless it finished first; its DONE bit is set as always.
 */
#define QUIRE_IO_ENGINE_DONE 0x180	/* bit per engine; write 1 to clear */
#define QUIRE_IO_ENGINE_BUSY 0x184	/* bit per engine, read-only */
#define QUIRE_IO_ENGINE_CANCEL 0x188	/* write a bitmap of engines */
#define QUIRE_IO_ENGINE_START(e) (0x1000 + 4 * (e))
#define QUIRE_ENGINES_MAX 16

/*
 * struct quire_band - a piece of a packet for one engine
 * @packet:   SRAM address of the packet (unchanged while the band runs)
 * @context:  address space of the packet
 * @row, @rows, @column, @columns: window of D (GEMM) or of the destination
 *            (CONVERT).  COPY: columns count pieces of QUIRE_BAND_PIECE_BYTES of a
 *            row, FILL: rows count such pieces and column, columns are 0, 1.
 *            A window that is empty or leaves the packet is ENGINE_ERROR.
 * @batch, @batches: window of the batch (GEMM), else 0, 1
 * @serial:   0, or a number that all bands of this packet have and that no other packet
 *            has had since the firmware started: the engine may keep what it made of
 *            an operand from one of these bands to the next
 * @status .. @exceptional: written by the engine; digest is the window's share
 *            of the digest of the whole output
 */
#define QUIRE_BAND_PIECE_BYTES 65536u

struct quire_band {
	uint32_t packet;
	uint32_t context;
	uint32_t row, rows;
	uint32_t column, columns;
	uint32_t batch, batches;
	uint32_t serial;
	uint32_t status;
	uint32_t detail;
	uint32_t fault_info;
	uint64_t fault_address;
	uint64_t digest;
	uint64_t macs;
	uint64_t cycles;
	uint64_t modelled_pj;
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t exceptional;
};

QUIRE_ASSERT_LAYOUT(sizeof(struct quire_ring_entry) == 64, "ring entry");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_fence_record) == 128, "fence record");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_fw_header) == 64, "firmware header");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_band) == 112, "band");

#endif /* QUIRE_HW_H */
