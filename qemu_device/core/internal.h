/* SPDX-License-Identifier: MIT */
/*
 * State of the card, shared by the files of the core.
 *
 * Threads: register accesses come from the guest's processors, one at a time (the
 * caller's lock); the control processor runs in whichever thread holds mcu_lock;
 * each engine has a thread.  A register access never waits for mcu_lock, it only
 * tries: whoever holds it looks at all events before it lets go.  Words that
 * several threads touch are atomic; nothing here is locked while the bus is used.
 */
#ifndef QUIRE_CORE_INTERNAL_H
#define QUIRE_CORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/hw.h>
#include <quire/model.h>
#include <quire/packet_check.h>
#include <quirenum/tile.h>

#include "device.h"
#include "mcu.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the card's memory is little-endian, and the core uses it in place"
#endif

#define TLB_ENTRIES 64

struct engine;
#define LOG_LINE 120

struct quire_threads;

#define OPERATION_BUSY (1ull << 63)

/*
 * Translations one unit has seen; dropped when the flush count moved.  A unit is what has
 * operations of its own: an engine, or the control processor's transfers.
 */
struct tlb {
	const struct engine *engine;	/* whose it is; NULL: the control processor's */
	/*
	 * 0, or the operation under way: OPERATION_BUSY, its context << 32, and the number of
	 * that context's newest flush when it began.  Written by the unit.
	 */
	_Atomic uint64_t operation;
	uint64_t flushes;
	struct {
		uint64_t page;		/* virtual page number with the context above, + 1 */
		uint64_t entry;		/* of level 0, also for a part of a block */
	} slot[TLB_ENTRIES];
	uint64_t block;			/* the last number of 2 MiB walked to, with the context above, + 1 */
	uint64_t block_entry;		/* of level 1 */
};

struct fault {
	uint32_t info;			/* QUIRE_FAULT_REASON and QUIRE_FAULT_WRITE, 0 = none */
	uint64_t address;
};

/* A piece of virtual memory that is contiguous on the host. */
struct segment {
	uint8_t *host;
	uint64_t bytes;
	bool system;			/* mapped from the bus: segment_put() */
	bool write;
	uint64_t card_offset;
};

/* engine_tiled.c: the part of a tiled operand that a block needs, in private memory */
struct engine_tiled_part {
	const struct quire_operand *operand;
	uint32_t unit;			/* QUIRE_FAULT_UNIT_* */
	uint64_t batch;
	uint64_t row, rows, column, columns;	/* of the matrix as stored */
	/* of a product: the operand's shape, and D, which the image must not overlap */
	uint64_t matrix_rows, matrix_columns;
	struct quire_check_range output;
	const struct quire_packet_pack *pack;	/* of PACK and UNPACK instead, else NULL */
};

struct band_job;

struct engine_tiled {
	const struct band_job *job;
	uint32_t unit;
	uint64_t address;		/* of the image */
	struct quire_tiled_header header;
	uint64_t tile_row, tile_column;	/* of the window's first tile in the grid */
	struct quire_tile *tiles;
	uint8_t *data;
	struct quire_tiled view;	/* what the product reads */
	bool too_large;			/* nothing is loaded: a smaller part may do */
	uint64_t card_bytes, system_bytes;	/* moved */
	uint64_t written;			/* of them */
	struct engine_tiled_part part;		/* what was asked for */
	uint64_t flushes;			/* of the TLBs, before anything was read */
	bool verified;				/* all is loaded and right */
};

/* What an engine keeps of A and of B from band to band of one packet. */
struct engine_kept {
	uint32_t serial, context;	/* 0: nothing */
	struct engine_tiled tiled;
};

/*
 * A band and its packet in private memory: what runs is what was checked, whatever the
 * firmware writes meanwhile.  Its context and place in SRAM are its own affair.
 */
struct engine_work {
	struct quire_band band;
	union {
		struct quire_packet_header header;
		struct quire_packet_gemm gemm;
		struct quire_packet_copy copy;
		struct quire_packet_fill fill;
		struct quire_packet_convert convert;
		struct quire_packet_pack pack;
	} packet;
};

struct engine {
	struct quire_device *device;
	unsigned int number;
	void *thread;
	pthread_mutex_t lock;		/* protects band, work, busy, working and quit */
	pthread_cond_t wake;
	uint32_t band;			/* SRAM offset, valid while busy */
	struct engine_work work;	/* valid while busy */
	bool busy;
	bool working;			/* not hanging, nor waiting for the machine to go on */
	bool quit;
	uint32_t cancel;		/* relaxed atomic accesses only; the kernels look at it */
	struct tlb tlb;
	struct quire_threads *threads;
	struct quire_gemm_workspace *workspace;	/* of the band that runs; keeps its packed B */
	uint8_t *staging[3];		/* A, B, C and D when their pages are scattered */
	struct engine_kept kept[2];	/* tiled A and B; whoever runs a band, stop() when none runs */
};

struct quire_device {
	struct quire_device_config config;
	struct quire_bus bus;

	/* --- control processor --- */
	pthread_mutex_t mcu_lock;	/* who runs it; also protects what only it uses */
	struct mcu mcu;
	struct tlb mcu_tlb;
	char log_line[LOG_LINE];	/* under mcu_lock */
	unsigned int log_length;
	uint32_t dma[5];		/* under mcu_lock */
	struct fault dma_fault;		/* under mcu_lock */
	uint32_t time_high;		/* under mcu_lock */
	uint32_t serving;		/* QUIRE_IO_SERVING, under mcu_lock */
	uint32_t boots;			/* written under mcu_lock while no engine works */
	void *mcu_thread;
	pthread_mutex_t wake_lock;	/* protects kicked, start_requested and the sleep of mcu_thread */
	pthread_cond_t wake;
	bool kicked;
	_Atomic bool quit;		/* written under wake_lock */
	atomic_bool reset_requested, start_requested;
	atomic_bool stopped;		/* the whole card is being reset: engines give up */
	/*
	 * Resets of the function: while they differ, registers are silent, the bus is closed and
	 * injected hangs end, whatever they are.  The first counts under the lock of register
	 * accesses, the second under mcu_lock.
	 */
	_Atomic uint32_t resets_wanted, resets_done;
	atomic_bool paused;		/* with the machine; written under the lock of register accesses */
	atomic_bool forgets;		/* the reset under way loses card memory */
	_Atomic uint64_t alarm;		/* of the bus's clock, 0 = off */

	/* --- registers --- */
	_Atomic uint32_t fw_address[2], fw_bytes;
	_Atomic uint32_t boot_status, boot_detail, heartbeat;
	_Atomic uint32_t driver_versions, fw_versions, negotiated, fw_release;
	_Atomic uint32_t panic[3];
	_Atomic uint32_t event_status, event_enable;
	_Atomic uint32_t mailbox_command, mailbox_argument, mailbox_sequence;
	_Atomic uint32_t mailbox_done, mailbox_result;
	_Atomic uint32_t mailbox_seen;	/* sequence number the firmware has read */
	/* drain.c; tlb_flushes counts those of all contexts */
	_Atomic uint64_t tlb_flushes;
	_Atomic uint32_t flushed[QUIRE_CONTEXTS], drained[QUIRE_CONTEXTS];
	_Atomic uint32_t fault_context, fault_address[2], fault_info;
	_Atomic uint32_t context_root[QUIRE_CONTEXTS][2];
	_Atomic uint32_t queue[QUIRE_QUEUES][16];
	_Atomic uint64_t doorbells;
	_Atomic uint64_t counter[QUIRE_COUNTERS];
	uint32_t counter_high;		/* register accesses only */
	/* Written under mcu_lock, the character before the count. */
	_Atomic uint8_t log[QUIRE_LOG_BYTES];
	_Atomic uint32_t log_written;

	/* --- engines --- */
	struct engine engine[QUIRE_ENGINES_MAX];
	_Atomic uint32_t engine_done, engine_busy;

	/*
	 * --- temperature model: register accesses only, and the end of a reset, while there
	 * are none; so the caller's lock protects it ---
	 */
	uint64_t heat_time, heat_pj;
	double temperature;

	_Atomic uint32_t injected[QUIRE_INJECTIONS];
};

/* regs.c */
void device_post_event(struct quire_device *device, uint32_t bits);
void device_raise(struct quire_device *device, unsigned int vector);

/* device.c: under mcu_lock, with engines told to give up */
void device_end_reset(struct quire_device *device);

/* processor.c: who runs the control processor, and when */
int processor_init(struct quire_device *device);
/*
 * Three steps.  The first waits for nobody.  Once the processor is stopped nobody starts
 * engines, but the threads of engines still kick it and write into its SRAM until they have
 * ended.
 */
void processor_quit(struct quire_device *device);
void processor_stop(struct quire_device *device);
void processor_destroy(struct quire_device *device);
void processor_kick(struct quire_device *device);		/* from any thread */
/*
 * From a register access, with the queue whose doorbell it is or QUIRE_SERVING_NONE, or
 * from an engine's thread that holds no lock.
 */
void processor_kick_inline(struct quire_device *device, uint32_t queue);
bool processor_events_pending(void *opaque);
/* Microseconds from now, 0: off.  Under mcu_lock. */
void processor_set_alarm(struct quire_device *device, uint32_t us);
bool processor_alarm_is_due(struct quire_device *device);

/* boot.c: under mcu_lock */
void boot_set_status(struct quire_device *device, uint32_t status, uint32_t detail);
void boot_request(struct quire_device *device);
void boot_start(struct quire_device *device);
void boot_reset(struct quire_device *device);
void boot_crashed(struct quire_device *device);

/* mcu_io.c */
uint32_t mcu_io_read(void *opaque, uint32_t offset);
uint32_t mcu_io_write(void *opaque, uint32_t offset, uint32_t value);

/* mmu.c: true, or false with *fault filled; without fault nothing is counted either */
bool mmu_translate(struct quire_device *device, struct tlb *tlb, uint32_t context,
		   uint64_t address, bool write, uint64_t *entry, struct fault *fault);
/* What follows the page at address, translated last, in the block that it is a part of; or 0. */
uint64_t mmu_rest_of_block(const struct tlb *tlb, uint32_t context, uint64_t address);
/* A fault goes into the registers and the counter; the bus's are reported by dma.c. */
void mmu_report(struct quire_device *device, uint32_t context, const struct fault *fault);

/* drain.c: which flushes have drained */
void drain_flush(struct quire_device *device, uint32_t context);	/* or QUIRE_TLB_FLUSH_ALL */
/* An operation of a unit begins, before its first translation, and has ended. */
void drain_begin(struct quire_device *device, struct tlb *tlb, uint32_t context);
void drain_end(struct quire_device *device, struct tlb *tlb);
uint32_t drain_drained(struct quire_device *device, uint32_t context);

/* log.c: under mcu_lock */
void log_character(struct quire_device *device, char c);
void log_end_line(struct quire_device *device);		/* if one has begun */
void log_clear(struct quire_device *device);

/* dma.c */
bool dma_bus_read(struct quire_device *device, uint64_t address, void *to, size_t bytes);
bool dma_bus_write(struct quire_device *device, uint64_t address, const void *from, size_t bytes);
bool dma_copy(struct quire_device *device, struct tlb *tlb, uint32_t context, uint64_t address,
	      void *local, uint64_t bytes, bool write, struct fault *fault);
/* At most `bytes` from address on; released with segment_put(). */
bool segment_get(struct quire_device *device, struct tlb *tlb, uint32_t context,
		 uint64_t address, uint64_t bytes, bool write, struct segment *segment,
		 struct fault *fault);
void segment_put(struct quire_device *device, const struct segment *segment);

/* engine.c */
int engine_init(struct engine *engine, struct quire_device *device, unsigned int number);
void engine_destroy(struct engine *engine);
/* Returns what it cost whoever called, in instructions. */
uint32_t engine_start(struct engine *engine, uint32_t sram_address);
void engine_cancel(struct engine *engine);
void engine_wait_idle(struct engine *engine);
bool engine_is_idle(struct engine *engine);
bool engine_rests(struct engine *engine);
void engine_go_on(struct engine *engine);	/* the machine does */
bool engine_stopped(const struct engine *engine);

/* engine_gemm.c, engine_convert.c, engine_pack.c, engine_move.c: run a band and fill in its results */
struct band_job {
	struct engine *engine;
	struct quire_band *band;
	const void *packet;
	uint64_t *macs_by_width;	/* of the tiles; macs_by_width[0] without tiled operands */
};
void engine_gemm(const struct band_job *job);
void engine_convert(const struct band_job *job);
void engine_pack(const struct band_job *job);
void engine_unpack(const struct band_job *job);
void engine_copy(const struct band_job *job);
void engine_fill(const struct band_job *job);
void engine_fault(const struct band_job *job, const struct fault *fault, uint32_t unit);
uint64_t engine_gemm_work(const struct quire_packet_gemm *p, const struct quire_band *band);
uint64_t engine_convert_work(const struct quire_packet_convert *p, const struct quire_band *band);
uint64_t engine_pack_work(const struct quire_packet_pack *p, const struct quire_band *band);

/* engine_tiled.c */
/* False with the error in the band.  engine_tiled_free() in any case. */
bool engine_tiled_load(const struct band_job *job, const struct engine_tiled_part *part,
		       struct engine_tiled *t);
/*
 * Header and descriptors of a plan alone, and the bytes that its tiles take.  Data of the
 * tiles of a row, as far as they are in the part, lie together.
 */
bool engine_tiled_load_plan(const struct band_job *job, const struct engine_tiled_part *part,
			    struct engine_tiled *t, uint64_t *bytes);
/* Write bytes of the image, counted from its start. */
bool engine_tiled_store(struct engine_tiled *t, uint64_t offset, const void *from, uint64_t bytes);
bool engine_tiled_wrong_header(const struct engine_tiled *t, uint32_t field);
void engine_tiled_free(struct engine_tiled *t);
/*
 * As engine_tiled_load() for A or B of a product; what an earlier band of the packet has
 * loaded and verified is taken as it was then, and costs nothing.  engine_tiled_keep()
 * in place of engine_tiled_free().
 */
bool engine_tiled_load_factor(const struct band_job *job, const struct engine_tiled_part *part,
			      struct engine_tiled *t);
void engine_tiled_keep(struct engine_tiled *t);
/* The packets are over. */
void engine_tiled_forget(struct engine *engine);
void engine_tiled_charge(const struct engine_tiled *t);
uint64_t engine_tiled_work(const struct quire_packet_gemm *p, const struct quire_band *band);

/* energy.c */
uint64_t energy_of_bytes(uint64_t card_bytes, uint64_t system_bytes);	/* picojoule */
uint32_t energy_temperature(struct quire_device *device);		/* millidegrees */
void energy_restart(struct quire_device *device);	/* the counters have been cleared */

static inline void *device_thread_start(struct quire_device *device, const char *name,
					void *(*run)(void *argument), void *argument)
{
	return device->bus.thread_start(device->bus.opaque, name, run, argument);
}

static inline void device_thread_join(struct quire_device *device, void *thread)
{
	device->bus.thread_join(device->bus.opaque, thread);
}

static inline void device_trace(struct quire_device *device, enum quire_trace what,
				uint32_t subject, uint64_t value, uint32_t detail)
{
	device->bus.trace(device->bus.opaque, what, subject, value, detail);
}

static inline void device_count(struct quire_device *device, enum quire_counter counter,
				uint64_t more)
{
	atomic_fetch_add_explicit(&device->counter[counter], more, memory_order_relaxed);
}

/* One shot of an injection that counts down. */
static inline bool device_injection_fires(struct quire_device *device, enum quire_injection which)
{
	uint32_t left = atomic_load(&device->injected[which]);

	while (left)
		if (atomic_compare_exchange_weak(&device->injected[which], &left, left - 1))
			return true;
	return false;
}

#endif /* QUIRE_CORE_INTERNAL_H */
