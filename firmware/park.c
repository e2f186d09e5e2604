// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues at rest.  At a band boundary everything that a queue needs to go on is a few
 * numbers, its packet and sums: they are written to a page of the driver, and read
 * from there when the queue is started again, maybe by another firmware on another ring.
 * What is read is checked as if a stranger had written it: the ring entry and the packet
 * as when they came, and the plan of the bands is made anew, so that only places in it
 * are taken over.
 */
#include <quire/packet_check.h>

#include "firmware.h"
#include "io.h"
#include "words.h"

#define PARK_MAGIC 0x32515051u		/* "QPQ2" */
#define PARK_IN_JOB 1u
#define PARK_IN_PACKET 2u

/* A queue between jobs has no more than the first part, one between packets the first two. */
static struct park_image {
	uint32_t magic;
	uint32_t bytes;			/* of the parts that are there */
	uint32_t checksum;		/* of them, with 0 in this place */
	uint32_t parts;			/* PARK_* */
	uint64_t sequence;

	struct quire_ring_entry entry;
	uint64_t busy_ns, started;
	uint64_t cycles, modelled_pj, digest, macs;
	uint32_t offset;

	uint32_t row, column, batch;	/* of the next band */
	struct quire_packet_result sums;
	struct tiled_walk walk;
	uint8_t packet[QUIRE_PACKET_MAX_BYTES];
} image;

_Static_assert(sizeof(image) <= QUIRE_SAVE_BYTES && sizeof(image) <= QUIRE_DMA_MAX_BYTES,
	       "a queue does not fit into its page");

static uint32_t bytes_of(uint32_t parts)
{
	return parts & PARK_IN_PACKET ? sizeof(image) :
	       parts & PARK_IN_JOB    ? offsetof(struct park_image, row) :
					offsetof(struct park_image, entry);
}

/* FNV-1a by words: finds pages that were given by mistake or written over. */
static uint32_t checksum(void)
{
	const uint32_t *word = (const uint32_t *)&image;
	uint32_t sum = 0x811c9dc5u;

	for (uint32_t i = 0; i < image.bytes / 4; i++)
		sum = (sum ^ word[i]) * 0x01000193u;
	return sum;
}

static void fill_image(const struct queue *q)
{
	const struct quire_fence_record *record = &q->record;

	image.magic = PARK_MAGIC;
	image.parts = (q->in_job ? PARK_IN_JOB : 0) | (q->in_packet ? PARK_IN_PACKET : 0);
	image.bytes = bytes_of(image.parts);
	image.checksum = 0;
	image.sequence = q->sequence;
	if (q->in_job) {
		copy_words(&image.entry, q->entry, sizeof(image.entry));
		image.busy_ns = q->busy_ns;
		image.started = record->started;
		image.cycles = record->cycles;
		image.modelled_pj = record->modelled_pj;
		image.digest = record->digest;
		image.macs = record->macs;
		image.offset = q->offset;
	}
	if (q->in_packet) {
		image.row = q->plan.row;
		image.column = q->plan.column;
		image.batch = q->plan.batch;
		copy_words(&image.sums, &q->sums, sizeof(image.sums));
		copy_words(&image.walk, &q->walk, sizeof(image.walk));
		copy_words(image.packet, &q->packet, sizeof(image.packet));
	}
	image.checksum = checksum();
}

static void rest(struct queue *q, uint32_t number, uint32_t state)
{
	uint32_t events = QUIRE_EVENT_QUEUE_PARKED;

	if (state == QUIRE_QUEUE_FAULTED)
		events |= QUIRE_EVENT_QUEUE_FAULT;
	q->parking = false;
	q->state = (uint8_t)state;
	/* In this order, see job_finish(): a queue in a job has it named until it is at rest. */
	io_write(QUIRE_IO_QUEUE(number) + QUIRE_QUEUE_STATE, state);
	progress_leave(q);
	q->in_job = false;
	q->in_packet = false;
	io_write(QUIRE_IO_POST_EVENT, events);
}

/* Its job, if it is in one, fails: where it stood cannot be told. */
static void refuse(struct queue *q, uint32_t number)
{
	if (log_queue(number)) {
		log_text("park failed: the page cannot be written");
		log_end();
	}
	if (q->in_job)
		job_fail(q, QUIRE_STATUS_FIRMWARE, 0);
	else
		rest(q, number, QUIRE_QUEUE_FAULTED);
}

void park_save(uint32_t number)
{
	struct queue *q = &queues[number];
	uint64_t fault_address;

	q->busy_since = io_time();
	/* A job that has nothing left to do is not kept waiting for its record. */
	if (q->in_job && !q->in_packet && q->offset == q->entry->stream_bytes)
		job_finish(q);
	if (q->state != QUIRE_QUEUE_ACTIVE)
		return;
	fill_image(q);
	if (dma_write(QUIRE_DMA_BUS, q->save, &image, image.bytes, &fault_address))
		refuse(q, number);
	else
		rest(q, number, QUIRE_QUEUE_PARKED);
}

uint32_t park_request(uint32_t number)
{
	struct queue *q;

	if (number >= QUIRE_QUEUES || queues[number].state != QUIRE_QUEUE_ACTIVE ||
	    queues[number].parking)
		return QUIRE_MAILBOX_BAD_QUEUE;
	q = &queues[number];
	if (!q->save)
		return QUIRE_MAILBOX_BAD_CONFIG;
	q->parking = true;
	if (!q->running)
		park_save(number);
	sched_update(q);
	return QUIRE_MAILBOX_OK;
}

static const char *restore_job(struct queue *q)
{
	struct quire_fence_record *record = &q->record;

	copy_words(&q->cache[0], &image.entry, sizeof(image.entry));
	q->entry = &q->cache[0];
	if (job_check_entry(q) != QUIRE_STATUS_OK)
		return "ring entry";
	if (image.offset > q->entry->stream_bytes || image.offset & (QUIRE_STREAM_ALIGN - 1))
		return "offset";
	if (q->priority == QUIRE_QUEUE_PRIORITY_URGENT)
		sched_pays(q, (uint32_t)q->entry->whose);
	clear_words(record, sizeof(*record));
	record->sequence = q->sequence;
	record->started = image.started;
	record->cycles = image.cycles;
	record->modelled_pj = image.modelled_pj;
	record->digest = image.digest;
	record->macs = image.macs;
	q->busy_ns = image.busy_ns;
	q->offset = image.offset;
	q->window_bytes = 0;
	q->in_job = true;
	return NULL;
}

static const char *restore_packet(struct queue *q)
{
	uint32_t status;

	copy_words(&q->packet, image.packet, sizeof(q->packet));
	if (quire_packet_check_header(&q->packet.header) != QUIRE_NO_FIELD ||
	    q->packet.header.bytes > q->entry->stream_bytes - q->offset ||
	    packet_check(q, &status) != QUIRE_NO_FIELD)
		return "packet";
	if (q->walk.operand != TILED_WALK_DONE ? !tiled_walk_restore(q, &image.walk) :
						 image.walk.operand != TILED_WALK_DONE)
		return "tiles";
	/* Only a packet that has bands to start is left in the middle. */
	if (!q->plan.more || (q->walk.operand == TILED_WALK_DONE &&
			      !band_plan_seek(&q->plan, image.row, image.column, image.batch)))
		return "band";
	copy_words(&q->sums, &image.sums, sizeof(q->sums));
	q->in_packet = true;
	return NULL;
}

/* What is wrong, or NULL. */
static const char *restore(struct queue *q)
{
	uint64_t fault_address;
	const char *wrong = NULL;
	uint32_t sum;

	if (dma_read(QUIRE_DMA_BUS, q->save, &image, sizeof(image), &fault_address))
		return "unreadable";
	if (image.magic != PARK_MAGIC)
		return "magic";
	if (image.parts != 0 && image.parts != PARK_IN_JOB &&
	    image.parts != (PARK_IN_JOB | PARK_IN_PACKET))
		return "parts";
	if (image.bytes != bytes_of(image.parts))
		return "bytes";
	sum = image.checksum;
	image.checksum = 0;
	if (sum != checksum())
		return "checksum";
	if (!image.sequence)
		return "sequence";
	q->sequence = image.sequence;
	if (image.parts & PARK_IN_JOB)
		wrong = restore_job(q);
	if (!wrong && image.parts & PARK_IN_PACKET)
		wrong = restore_packet(q);
	return wrong;
}

bool park_restore(uint32_t number)
{
	const char *wrong = restore(&queues[number]);

	if (wrong && log_queue(number)) {
		log_text("resume refused: ");
		log_text(wrong);
		log_end();
	}
	return !wrong;
}
