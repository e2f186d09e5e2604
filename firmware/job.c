// SPDX-License-Identifier: GPL-2.0-only
/*
 * Jobs from ring entry to fence record: fetch the entry, walk its stream packet by
 * packet, hand bands to engines, add up what they report, write the record.
 */
#include <quire/packet_check.h>

#include "firmware.h"
#include "io.h"
#include "words.h"

#define VA_LIMIT (1ull << QUIRE_VA_BITS)
/* Group and owner, below QUIRE_QUEUE_OWNERS. */
#define WHOSE_BITS ((QUIRE_QUEUE_OWNERS - 1ull) << QUIRE_QUEUE_GROUP_SHIFT | \
		    (QUIRE_QUEUE_OWNERS - 1ull) << QUIRE_QUEUE_OWNER_SHIFT)
#define UNIT(unit) ((uint32_t)(unit) << QUIRE_FAULT_UNIT_SHIFT)
#define FAULT_KEEP (QUIRE_FAULT_REASON | QUIRE_FAULT_WRITE)
/* Packets without bands that are executed before other queues and the mailbox have a turn. */
#define PACKETS_AT_ONCE 16

/*
 * What a job did, at the address its entry names.  Where that cannot be written the job
 * has failed, unless it had failed before.
 */
static __attribute__((noinline)) void write_outcome(struct queue *q)
{
	struct quire_fence_record *record = &q->record;
	struct quire_job_outcome outcome = {
		.number = q->entry->number,
		.status = record->status,
		.packet = record->packet,
		.detail = record->detail,
		.fault_info = record->fault_info,
		.fault_address = record->fault_address,
		.macs = record->macs,
		.cycles = record->cycles,
		.modelled_pj = record->modelled_pj,
		.digest = record->digest,
		.started = record->started,
		.ended = record->ended,
		.busy_ns = record->busy_ns,
	};
	uint64_t fault_address;
	uint32_t fault = dma_write(q->context, q->entry->outcome, &outcome, sizeof(outcome),
				   &fault_address);

	if (!fault || record->status != QUIRE_STATUS_OK)
		return;
	q->told = true;
	record->status = QUIRE_STATUS_MMU_FAULT;
	record->packet = q->offset;
	record->fault_info = (fault & FAULT_KEEP) | QUIRE_FAULT_WRITE |
			     UNIT(QUIRE_FAULT_UNIT_RESULT);
	record->fault_address = fault_address;
}

static void log_failure(uint32_t number, const struct quire_fence_record *record)
{
	if (!log_queue(number))
		return;
	log_decimal("job ", (uint32_t)record->sequence);
	log_decimal(" failed: status ", record->status);
	log_decimal(" packet ", record->packet);
	log_decimal(" detail ", record->detail);
	log_hex(" fault ", record->fault_info);
	log_hex(" at ", record->fault_address);
	log_end();
}

/* The job has failed: no other of this queue is run. */
static __attribute__((noinline)) void stop_on_failure(struct queue *q)
{
	uint32_t events = QUIRE_EVENT_QUEUE_FAULT, number = q->number;

	if (q->parking)
		events |= QUIRE_EVENT_QUEUE_PARKED;
	q->parking = false;
	q->state = QUIRE_QUEUE_FAULTED;
	io_write(QUIRE_IO_COUNT_ERRORS, 1);
	io_write(q->registers + QUIRE_QUEUE_STATE, QUIRE_QUEUE_FAULTED);
	io_write(QUIRE_IO_RAISE_VECTOR, 1 + number);
	io_write(QUIRE_IO_POST_EVENT, events);
	log_failure(number, &q->record);
}

/*
 * The bus has refused the record, of a job that has ended: nobody learns how.  COMPLETED does
 * not count it, and JOB goes on naming it, so that it is not taken for one without effects.
 */
static __attribute__((noinline)) void lose_record(struct queue *q, uint32_t fault)
{
	q->record.fault_info = fault;
	q->in_job = false;
	q->in_packet = false;
	if (!q->shown)
		progress_show(q->number);
	stop_on_failure(q);
}

void job_finish(struct queue *q)
{
	struct quire_fence_record *record = &q->record;
	uint32_t flags = q->entry->flags;
	uint32_t slot = (uint32_t)record->sequence & (q->entries - 1);
	bool interrupt = flags & QUIRE_RING_INTERRUPT;
	uint32_t fault;

	progress_count(q);
	record->ended = q->busy_since;
	record->busy_ns = q->busy_ns;
	/* An entry that was refused says nothing that can be relied on. */
	if (q->entry->outcome && record->status != QUIRE_STATUS_FIRMWARE)
		write_outcome(q);
	fault = dma_write_record(q->records + slot * (uint32_t)sizeof(*record), record);
	if (fault) {
		lose_record(q, fault);
		return;
	}
	/* Whoever rang the doorbell still waits for it, and looks at the record next. */
	if (flags & QUIRE_RING_LATE && io_read(QUIRE_IO_SERVING) == q->number)
		interrupt = false;
	io_write(q->registers + QUIRE_QUEUE_COMPLETED, (uint32_t)record->sequence);
	/*
	 * Not before the record is there: a job that JOB does not name and that has no record
	 * counts as one that has had no effect, and is run again after a reset.
	 */
	if (q->shown)
		progress_hide(q->number);
	q->in_job = false;
	q->in_packet = false;
	q->failed = false;
	q->sequence++;
	if (record->status != QUIRE_STATUS_OK) {
		stop_on_failure(q);
		return;
	}
	io_write(QUIRE_IO_COUNT_JOBS, 1);
	if (interrupt)
		io_write(QUIRE_IO_RAISE_VECTOR, 1 + q->number);
}

/*
 * End the job with an error.  Bands of the packet may still run: they are
 * cancelled, and the record is written when the last has ended, because until
 * then the job's memory is in use.
 */
void job_fail(struct queue *q, uint32_t status, uint32_t detail)
{
	if (!q->failed) {
		q->failed = true;
		q->told = true;
		q->record.status = status;
		q->record.detail = detail;
		q->record.packet = q->offset;
		if (q->running)
			band_cancel(q->number);
	}
	if (!q->running)
		job_finish(q);
}

void job_fail_fault(struct queue *q, uint32_t fault, uint32_t unit, uint64_t address)
{
	q->record.fault_info = (fault & FAULT_KEEP) | unit;
	q->record.fault_address = address;
	job_fail(q, QUIRE_STATUS_MMU_FAULT, 0);
}

/* From q->sequence on; false when the bus refused to give them. */
static __attribute__((noinline)) bool fetch_entries(struct queue *q)
{
	uint32_t slot = (uint32_t)q->sequence & (q->entries - 1);
	uint32_t count = q->tail - (uint32_t)q->sequence + 1;
	uint64_t fault_address;

	if (count > RING_CACHE)
		count = RING_CACHE;
	if (count > q->entries - slot)
		count = q->entries - slot;
	q->cached = 0;
	q->entry = &q->cache[0];
	if (dma_read(QUIRE_DMA_BUS, q->ring + slot * (uint32_t)sizeof(*q->entry), q->cache,
		     count * sizeof(*q->entry), &fault_address)) {
		q->cache[0].flags = 0;
		q->cache[0].outcome = 0;
		return false;
	}
	q->cached = count;
	q->cached_sequence = q->sequence;
	return true;
}

/* Make q->entry the entry of q->sequence; false when the bus refused to give it. */
static inline bool fetch_entry(struct queue *q)
{
	uint32_t behind = (uint32_t)(q->sequence - q->cached_sequence);

	if (behind >= q->cached)
		return fetch_entries(q);
	q->entry = &q->cache[behind];
	return true;
}

uint32_t job_check_entry(const struct queue *q)
{
	const struct quire_ring_entry *e = q->entry;

	if (e->sequence != q->sequence || e->flags & ~QUIRE_RING_FLAGS ||
	    (uint32_t)e->outcome & 7 || e->reserved[0] | e->reserved[1])
		return QUIRE_STATUS_FIRMWARE;
	if (e->whose && (e->whose & ~WHOSE_BITS || q->priority != QUIRE_QUEUE_PRIORITY_URGENT))
		return QUIRE_STATUS_FIRMWARE;
	/* Nothing but a fence. */
	if (!(e->stream_bytes | (uint32_t)e->stream_address))
		return QUIRE_STATUS_OK;
	if (e->stream_bytes & (QUIRE_STREAM_ALIGN - 1) ||
	    e->stream_bytes > QUIRE_STREAM_MAX_BYTES ||
	    (uint32_t)e->stream_address & (QUIRE_STREAM_ALIGN - 1))
		return QUIRE_STATUS_BAD_STREAM;
	if (e->stream_bytes && e->stream_address > VA_LIMIT - e->stream_bytes)
		return QUIRE_STATUS_BAD_STREAM;
	return QUIRE_STATUS_OK;
}

/* The last job's record said more than times, which are written when a job ends. */
static __attribute__((noinline)) void clear_record(struct queue *q)
{
	struct quire_fence_record *record = &q->record;

	q->told = false;
	record->status = QUIRE_STATUS_OK;
	record->packet = 0;
	record->detail = 0;
	record->fault_info = 0;
	record->fault_address = 0;
	record->cycles = 0;
	record->modelled_pj = 0;
	record->digest = 0;
	record->macs = 0;
}

static inline void open_record(struct queue *q)
{
	if (q->told)
		clear_record(q);
	q->record.sequence = q->sequence;
	q->record.started = q->busy_since;
	q->busy_ns = 0;
}

/* Begin the next job; false when it ended at once, with an error. */
static inline bool start_job(struct queue *q)
{
	uint32_t outstanding = q->tail - (uint32_t)q->sequence + 1;
	uint32_t status;

	open_record(q);
	q->in_job = true;
	q->offset = 0;
	q->window_bytes = 0;
	if (!fetch_entry(q) || outstanding > q->entries) {
		job_fail(q, QUIRE_STATUS_FIRMWARE, 0);
		return false;
	}
	status = job_check_entry(q);
	if (status != QUIRE_STATUS_OK) {
		job_fail(q, status, 0);
		return false;
	}
	if (q->priority == QUIRE_QUEUE_PRIORITY_URGENT)
		sched_pays(q, (uint32_t)q->entry->whose);
	return true;
}

/*
 * Have at least `bytes` of the stream at q->offset in the window.  More is read
 * ahead; if that faults, only what is needed is tried, so that a packet is not
 * blamed for what lies behind it.
 */
static bool fill_window(struct queue *q, uint32_t bytes)
{
	uint32_t rest = q->entry->stream_bytes - q->offset;
	uint64_t address = q->entry->stream_address + q->offset;
	uint64_t fault_address;
	uint32_t fault;

	if (q->window_bytes && q->offset + bytes <= q->window_offset + q->window_bytes)
		return true;
	if (rest > STREAM_WINDOW)
		rest = STREAM_WINDOW;
	fault = dma_read(q->context, address, q->window, rest, &fault_address);
	if (fault && rest > bytes) {
		rest = bytes;
		fault = dma_read(q->context, address, q->window, rest, &fault_address);
	}
	if (fault) {
		q->window_bytes = 0;
		job_fail_fault(q, fault, UNIT(QUIRE_FAULT_UNIT_STREAM), fault_address);
		return false;
	}
	q->window_offset = q->offset;
	q->window_bytes = rest;
	return true;
}

/* Copy the packet at q->offset out of the window and check it; false on error. */
static bool load_packet(struct queue *q)
{
	uint32_t rest = q->entry->stream_bytes - q->offset;
	const struct quire_packet_header *header;
	uint32_t field, status;

	if (rest < sizeof(*header)) {
		job_fail(q, QUIRE_STATUS_BAD_STREAM, 0);
		return false;
	}
	if (!fill_window(q, sizeof(*header)))
		return false;
	header = (const void *)(q->window + (q->offset - q->window_offset));
	field = quire_packet_check_header(header);
	if (field != QUIRE_NO_FIELD) {
		job_fail(q, QUIRE_STATUS_BAD_PACKET, field);
		return false;
	}
	if (header->bytes > rest) {
		job_fail(q, QUIRE_STATUS_BAD_STREAM, 0);
		return false;
	}
	if (!fill_window(q, header->bytes))
		return false;
	header = (const void *)(q->window + (q->offset - q->window_offset));
	copy_words(&q->packet, header, header->bytes);
	field = packet_check(q, &status);
	if (field != QUIRE_NO_FIELD) {
		job_fail(q, status, field);
		return false;
	}
	return true;
}

/* All bands of the packet have ended well. */
static bool finish_packet(struct queue *q)
{
	const struct quire_packet_result *sums = &q->sums;
	uint16_t opcode = q->packet.header.opcode;
	uint64_t fault_address;
	uint32_t fault;

	if (opcode == QUIRE_PACKET_PACK) {
		fault = tiled_set_magic(q, QUIRE_TILED_MAGIC, &fault_address);
		if (fault) {
			job_fail_fault(q, fault | QUIRE_FAULT_WRITE,
				       UNIT(QUIRE_FAULT_UNIT_DESTINATION), fault_address);
			return false;
		}
	}
	if (q->packet.header.result) {
		fault = dma_write(q->context, q->packet.header.result, sums, sizeof(*sums),
				  &fault_address);
		if (fault) {
			job_fail_fault(q, fault | QUIRE_FAULT_WRITE, UNIT(QUIRE_FAULT_UNIT_RESULT),
				       fault_address);
			return false;
		}
	}
	q->told = true;
	q->record.cycles += sums->cycles;
	q->record.modelled_pj += sums->modelled_pj;
	q->record.macs += sums->macs;
	if (opcode == QUIRE_PACKET_GEMM || opcode == QUIRE_PACKET_CONVERT ||
	    opcode == QUIRE_PACKET_PACK || opcode == QUIRE_PACKET_UNPACK)
		q->record.digest = q->record.digest * QUIRE_DIGEST_SEQUENCE + sums->digest;
	q->offset += q->packet.header.bytes;
	q->in_packet = false;
	io_write(QUIRE_IO_COUNT_PACKETS, 1);
	return true;
}

void job_band_done(uint32_t number, const struct quire_band *band)
{
	struct queue *q = &queues[number];

	if (q->stopping) {
		if (!q->running)
			mailbox_queue_stopped(number);
		return;
	}
	if (q->failed) {
		if (!q->running)
			job_finish(q);
		return;
	}
	if (band->status != QUIRE_STATUS_OK) {
		q->record.fault_info = band->fault_info;
		q->record.fault_address = band->fault_address;
		job_fail(q, band->status, band->detail);
		return;
	}
	q->sums.digest += band->digest;
	q->sums.macs += band->macs;
	q->sums.cycles += band->cycles;
	q->sums.modelled_pj += band->modelled_pj;
	q->sums.bytes_read += band->bytes_read;
	q->sums.bytes_written += band->bytes_written;
	q->sums.exceptional += band->exceptional;
	if (!q->plan.more && !q->running)
		finish_packet(q);
}

static __attribute__((noinline)) void leave_in_job(struct queue *q)
{
	if (q->in_job) {
		progress_count(q);
		progress_show(q->number);
	}
	if (q->parking && !q->running)
		park_save(q->number);
	sched_update(q);
}

void job_leave(struct queue *q)
{
	if (q->in_job || q->parking)
		leave_in_job(q);
	else
		sched_update(q);
}

/*
 * Go on until a band has been started, a piece of a tiled operand walked, some packets
 * executed, or the job has ended.
 */
static __attribute__((noinline)) void work(struct queue *q)
{
	for (uint32_t packets = 0; packets < PACKETS_AT_ONCE; packets++) {
		if (!q->in_packet) {
			if (q->offset == q->entry->stream_bytes) {
				job_finish(q);
				return;
			}
			/*
			 * Before a job has any effect the driver can see which it is: should
			 * this firmware not survive it, that job is not run again.
			 */
			if (!q->shown)
				progress_name(q->number);
			if (!load_packet(q))
				return;
			q->in_packet = true;
			clear_words(&q->sums, sizeof(q->sums));
		}
		if (q->walk.operand != TILED_WALK_DONE) {
			tiled_walk_step(q);
			return;
		}
		if (q->plan.more) {
			band_start(q, q->number);
			return;
		}
		if (!finish_packet(q))
			return;
	}
}

/* Serve a queue once.  An engine is idle when this is called. */
void job_step(struct queue *q)
{
	if (!q->running)
		q->busy_since = io_time();
	if (sched_shared)
		sched_begin_step(q);
	if (q->in_job || start_job(q)) {
		/* A job that is nothing but a fence is over before its registers are set up. */
		if (q->in_packet || q->entry->stream_bytes)
			work(q);
		else
			job_finish(q);
	}
	job_leave(q);
	if (sched_shared)
		sched_end_step(q);
}
