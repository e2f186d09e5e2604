/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State and functions shared by the firmware's files.  There is one thread and
 * no interrupt, so nothing needs a lock; what the engines and the DMA unit read
 * or write is theirs until they say they are done.
 */
#ifndef QUIRE_FW_FIRMWARE_H
#define QUIRE_FW_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/hw.h>

#define FW_RELEASE 0x020000u		/* 2.0.0 */
#define RING_CACHE 8			/* ring entries fetched at once */
#define STREAM_WINDOW 1024u		/* bytes of the stream kept per queue */

/* How a packet is cut: extents of the whole and of one band, and the next band. */
struct band_plan {
	uint32_t rows, columns, batches;
	uint32_t row_step, column_step, batch_step;
	uint32_t row, column, batch;
	uint32_t serial;		/* of the packet; 0 with a single band */
	bool rows_first;		/* all rows of some columns, then the next columns */
	bool more;			/* bands are left to start */
};

/* The walk through the tiled operands of a packet, before its bands; IMAGE: (UN)PACK's. */
enum { TILED_WALK_DONE, TILED_WALK_A, TILED_WALK_B, TILED_WALK_IMAGE };

struct tiled_walk {
	uint8_t operand;		/* TILED_WALK_* */
	bool in_image;			/* header and what follows are of the image */
	uint32_t image;			/* of the batch */
	uint32_t k;			/* what is left of the product's k, on the average */
	uint32_t row, column;		/* of tile */
	uint64_t tile;			/* the next */
	uint64_t stored, most;		/* elements in stored tiles: of the image, of any so far */
	uint64_t end;			/* PACK: of the data of the tiles so far */
	struct quire_tiled_header header;
};

/* What every job needs comes first: the control processor reaches that by short offsets. */
struct queue {
	uint8_t state;			/* enum quire_queue_state */
	uint8_t context;
	uint8_t priority;
	uint8_t group, owner;		/* who shares the engines */
	uint8_t paying_group, paying_owner;	/* of an urgent queue: for its job */
	uint8_t running;		/* bands on engines */
	bool in_job;
	bool in_packet;
	bool failed;			/* the job has failed; wait for its bands, then report */
	bool stopping;			/* QUEUE_STOP waits for the bands */
	bool parking;			/* QUEUE_PARK waits for the bands */
	bool shown;			/* the registers JOB, JOB_US and JOB_BANDS show the job */
	bool told;			/* the record says more than when the job was taken up */
	uint32_t number;		/* of the queue */
	uint32_t registers;		/* where its registers are */
	uint32_t *wanting;		/* sched.c: the word that holds its bit */
	uint32_t bit;
	uint32_t entries;
	uint64_t ring, records, save;
	uint64_t sequence;		/* of the job in progress, or of the next one */
	uint32_t tail;			/* doorbell: low word of the newest sequence number */

	uint64_t cached_sequence;	/* of cache[0] */
	uint32_t cached;
	const struct quire_ring_entry *entry;

	/* Of the job: the time it was worked on up to busy_since, and since then if it is now. */
	uint64_t busy_ns, busy_since;

	uint32_t offset;		/* of the packet in the stream */
	uint32_t window_offset, window_bytes;
	struct band_plan plan;
	struct tiled_walk walk;
	struct quire_packet_result sums;	/* of the packet */
	struct quire_fence_record record;	/* of the job */

	union {
		struct quire_packet_header header;
		struct quire_packet_gemm gemm;
		struct quire_packet_copy copy;
		struct quire_packet_fill fill;
		struct quire_packet_convert convert;
		struct quire_packet_pack pack;
		uint8_t bytes[QUIRE_PACKET_MAX_BYTES];
	} packet;
	struct quire_ring_entry cache[RING_CACHE];
	uint8_t window[STREAM_WINDOW] __attribute__((aligned(8)));
};

extern struct queue queues[QUIRE_QUEUES];

/* fault.c */
void fault_panic(uint32_t pc, uint32_t cause, uint32_t value) __attribute__((noreturn));

/* log.c: a line is texts and numbers, each with its name before it, and an end. */
void log_text(const char *text);
void log_decimal(const char *name, uint32_t value);
void log_hex(const char *name, uint64_t value);
void log_end(void);
/* Begin a line about a queue; false when there have been too many in this second. */
bool log_queue(uint32_t number);

/* progress.c: how long a job has been worked on, and the registers that say so */
/* Count the time since busy_since, in which the job was worked on. */
void progress_count(struct queue *q);
/* Name a job whose other registers are 0. */
void progress_name(uint32_t number);
void progress_show(uint32_t number);
void progress_hide(uint32_t number);
/* The queue stops, and with it the job that it is in: its time stays to be read. */
void progress_leave(struct queue *q);
/* Of all jobs with bands on engines. */
void progress_refresh(void);

/* dma.c: 0, or QUIRE_FAULT_* with the address in *fault_address */
uint32_t dma_read(uint32_t context, uint64_t address, void *to, uint32_t bytes,
		  uint64_t *fault_address);
uint32_t dma_write(uint32_t context, uint64_t address, const void *from, uint32_t bytes,
		   uint64_t *fault_address);
/* 0, or QUIRE_FAULT_*: the driver has no record. */
uint32_t dma_write_record(uint64_t address, const struct quire_fence_record *record);

/*
 * packet.c: check a packet, whose first bytes are in the queue's packet union.
 * Returns QUIRE_NO_FIELD and fills the plan, or the byte offset of the first wrong
 * field; *status is then QUIRE_STATUS_BAD_PACKET or _LIMIT.
 */
uint32_t packet_check(struct queue *q, uint32_t *status);
/* Plan the bands of a checked packet, whose walk is over. */
void packet_plan(struct queue *q);

/* tiled.c: a step is a piece of bounded size, and may fail the job */
void tiled_walk_start(struct queue *q);
void tiled_walk_step(struct queue *q);
/*
 * Go on with a saved walk where tiled_walk_start() has begun one; the bands are planned when it
 * was over.  False when it cannot be one of this packet.
 */
bool tiled_walk_restore(struct queue *q, const struct tiled_walk *saved);
/* PACK: set the magic of the image, 0 or QUIRE_FAULT_* with the address. */
uint32_t tiled_set_magic(const struct queue *q, uint32_t magic, uint64_t *fault_address);

/* band.c; products: of an element of D */
void band_plan_gemm(struct band_plan *plan, const struct quire_packet_gemm *p,
		    uint32_t products);
void band_plan_rows(struct band_plan *plan, uint32_t rows, uint32_t columns, uint32_t row_step,
		    uint32_t column_step);
/* Bit per engine without a band. */
extern uint32_t band_idle;
/* By engine: the queue of its last band. */
extern uint8_t band_queue[QUIRE_ENGINES_MAX];
void band_start(struct queue *q, uint32_t number);
void band_collect(void);
void band_cancel(uint32_t number);
void band_init(void);

/* False when no band of the plan starts there. */
bool band_plan_seek(struct band_plan *plan, uint32_t row, uint32_t column, uint32_t batch);

/* job.c */
void job_step(struct queue *q);
/* The job is left alone for now; what runs of it runs on. */
void job_leave(struct queue *q);
uint32_t job_check_entry(const struct queue *q);
/* All packets have been executed, or the job has failed and none of its bands runs. */
void job_finish(struct queue *q);
void job_band_done(uint32_t number, const struct quire_band *band);
void job_fail(struct queue *q, uint32_t status, uint32_t detail);
void job_fail_fault(struct queue *q, uint32_t fault, uint32_t unit, uint64_t address);

/* sched.c: which queues want the processor */
void sched_init(void);
void sched_update(struct queue *q);
/* Somebody else has this number now. */
void sched_forget_owner(uint32_t owner);
void sched_forget_group(uint32_t group);
/* Whose a queue is that is not active. */
void sched_join(uint32_t number, uint8_t priority, uint8_t group, uint8_t owner);
/* An urgent queue works for this group and owner from now on. */
void sched_pays(struct queue *q, uint32_t whose);
/* It has used the processor or an engine for so many nanoseconds, less than 2^31. */
void sched_charge(uint32_t number, uint32_t ns);
/* A band of it has been started: charge what it may take, and return that. */
uint32_t sched_charge_band(uint32_t number);
/* The band has ended. */
void sched_correct_band(uint32_t number, uint32_t charged, uint32_t ns);
/* Whether others wanted something, too, when the last queue was picked; not after a sleep. */
extern bool sched_shared;
/* The processor's time is the queue's; with sched_shared. */
void sched_begin_step(const struct queue *q);
void sched_end_step(const struct queue *q);
/* The queue to serve, or NULL. */
struct queue *sched_pick(void);

/* What @q has used more than its share beside @other, in nanoseconds; 0 or less: nothing. */
int64_t sched_debt(const struct queue *q, const struct queue *other);

/* keep.c: engines that are kept free for a moment for whoever had them last */
#define KEEP_MOST_NS 20000000u
#define KEEP_SEVERAL QUIRE_QUEUES
extern bool keep_some;		/* an engine may be kept for a queue */
extern uint32_t keep_sole;	/* only for this one, or KEEP_SEVERAL */
extern uint32_t keep_mask;	/* engines that the queue asked about last may have */
/* A band of the queue has ended. */
void keep_used(uint32_t number);
/* With keep_some: whether the queue may have an idle engine; there is one. */
bool keep_allows(const struct queue *q);
void keep_alarm(void);

/* mailbox.c */
void mailbox_handle(void);
void mailbox_queue_stopped(uint32_t number);
void doorbells_handle(void);

/* park.c */
uint32_t park_request(uint32_t number);		/* enum quire_mailbox_result */
/* No band of a queue that is being parked runs any more. */
void park_save(uint32_t number);
/* Fill a queue that is off with what its page holds; false when that makes no sense. */
bool park_restore(uint32_t number);

#endif
