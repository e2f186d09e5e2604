// SPDX-License-Identifier: GPL-2.0-only
/* Commands of the driver, and doorbells. */
#include "bits.h"
#include "firmware.h"
#include "io.h"

static uint32_t stop_sequence;	/* of the QUEUE_STOP in progress, 0 = none */
static uint32_t answered;	/* sequence of the last command answered */
static bool waiting;		/* a command came while a QUEUE_STOP was in progress */

static void answer(uint32_t sequence, uint32_t result)
{
	answered = sequence;
	io_write(QUIRE_IO_MAILBOX_RESULT, result);
	io_write(QUIRE_IO_MAILBOX_DONE, sequence);
	io_write(QUIRE_IO_POST_EVENT, QUIRE_EVENT_MAILBOX);
}

static uint64_t address_register(uint32_t queue_io, uint32_t offset)
{
	return io_read(queue_io + offset) | (uint64_t)io_read(queue_io + offset + 4) << 32;
}

/* One that came before the queue was started was not meant for it. */
static void forget_doorbell(uint32_t number)
{
	io_write(number < 32 ? QUIRE_IO_DOORBELLS_LO : QUIRE_IO_DOORBELLS_HI, 1u << (number & 31));
}

static uint32_t queue_start(uint32_t number)
{
	uint32_t registers = QUIRE_IO_QUEUE(number);
	uint32_t log2, context, priority, whose, group, owner, resume;
	struct queue *q;

	if (number >= QUIRE_QUEUES || (queues[number].state != QUIRE_QUEUE_OFF &&
				       queues[number].state != QUIRE_QUEUE_PARKED))
		return QUIRE_MAILBOX_BAD_QUEUE;
	q = &queues[number];
	q->ring = address_register(registers, QUIRE_QUEUE_RING_LO);
	q->records = address_register(registers, QUIRE_QUEUE_RECORD_LO);
	log2 = io_read(registers + QUIRE_QUEUE_ENTRIES_LOG2);
	context = io_read(registers + QUIRE_QUEUE_CONTEXT);
	whose = io_read(registers + QUIRE_QUEUE_PRIORITY);
	group = (whose & ~QUIRE_QUEUE_GROUP_NEW) >> QUIRE_QUEUE_GROUP_SHIFT & 0xff;
	owner = (whose & ~QUIRE_QUEUE_OWNER_NEW) >> QUIRE_QUEUE_OWNER_SHIFT;
	priority = whose & 0xff;
	q->save = address_register(registers, QUIRE_QUEUE_SAVE_LO);
	resume = io_read(registers + QUIRE_QUEUE_RESUME);
	if ((q->ring | q->records | q->save) & (QUIRE_PAGE_BYTES - 1) || !q->ring || !q->records ||
	    resume > 1 || (resume && !q->save) ||
	    log2 < QUIRE_QUEUE_ENTRIES_LOG2_MIN || log2 > QUIRE_QUEUE_ENTRIES_LOG2_MAX ||
	    context >= QUIRE_CONTEXTS || priority > QUIRE_QUEUE_PRIORITY_URGENT ||
	    group >= QUIRE_QUEUE_OWNERS || owner >= QUIRE_QUEUE_OWNERS)
		return QUIRE_MAILBOX_BAD_CONFIG;
	q->entries = 1u << log2;
	q->context = (uint8_t)context;
	if (whose & QUIRE_QUEUE_OWNER_NEW)
		sched_forget_owner(owner);
	if (whose & QUIRE_QUEUE_GROUP_NEW)
		sched_forget_group(group);
	sched_join(number, (uint8_t)priority, (uint8_t)group, (uint8_t)owner);
	q->sequence = 1;
	q->cached = 0;
	q->in_job = false;
	q->in_packet = false;
	q->failed = false;
	q->told = true;
	if (resume && !park_restore(number)) {
		q->in_job = false;
		return QUIRE_MAILBOX_BAD_CONFIG;
	}
	/* Jobs behind the one in progress are there when the doorbell says so. */
	q->tail = (uint32_t)q->sequence - !q->in_job;
	/* Whoever has answered this command may count the time of this queue next. */
	q->busy_since = io_time();
	forget_doorbell(number);
	q->state = QUIRE_QUEUE_ACTIVE;
	io_write(registers + QUIRE_QUEUE_COMPLETED, (uint32_t)q->sequence - 1);
	/* What the last queue on this ring has left there is not this one's. */
	if (q->in_job)
		progress_show(number);
	else
		progress_hide(number);
	io_write(registers + QUIRE_QUEUE_STATE, QUIRE_QUEUE_ACTIVE);
	sched_update(q);
	return QUIRE_MAILBOX_OK;
}

static void queue_off(uint32_t number)
{
	struct queue *q = &queues[number];

	q->state = QUIRE_QUEUE_OFF;
	q->stopping = false;
	q->parking = false;
	io_write(QUIRE_IO_QUEUE(number) + QUIRE_QUEUE_STATE, QUIRE_QUEUE_OFF);
	progress_leave(q);
	q->in_job = false;
	q->in_packet = false;
	sched_update(q);
	answer(stop_sequence, QUIRE_MAILBOX_OK);
	stop_sequence = 0;
	if (waiting) {
		waiting = false;
		mailbox_handle();
	}
}

/* The last band of a queue that is being stopped has ended. */
void mailbox_queue_stopped(uint32_t number)
{
	progress_count(&queues[number]);
	queue_off(number);
}

static void queue_stop(uint32_t number, uint32_t sequence)
{
	struct queue *q;

	if (number >= QUIRE_QUEUES || queues[number].state == QUIRE_QUEUE_OFF) {
		answer(sequence, QUIRE_MAILBOX_BAD_QUEUE);
		return;
	}
	q = &queues[number];
	stop_sequence = sequence;
	q->stopping = true;
	sched_update(q);
	if (q->running)
		band_cancel(number);
	else
		queue_off(number);
}

void mailbox_handle(void)
{
	uint32_t sequence = io_read(QUIRE_IO_MAILBOX_SEQUENCE);
	uint32_t argument = io_read(QUIRE_IO_MAILBOX_ARGUMENT);

	/* A stop in progress is answered first; its end comes back here. */
	if (stop_sequence) {
		waiting = true;
		return;
	}
	/* It may have been answered since the caller looked at the events. */
	if (sequence == answered)
		return;
	switch (io_read(QUIRE_IO_MAILBOX_COMMAND)) {
	case QUIRE_MAILBOX_PING:
		answer(sequence, QUIRE_MAILBOX_OK);
		break;
	case QUIRE_MAILBOX_QUEUE_START:
		answer(sequence, queue_start(argument));
		break;
	case QUIRE_MAILBOX_QUEUE_STOP:
		queue_stop(argument, sequence);
		break;
	case QUIRE_MAILBOX_QUEUE_PARK:
		answer(sequence, park_request(argument));
		break;
	default:
		answer(sequence, QUIRE_MAILBOX_BAD_COMMAND);
	}
}

static void doorbells_of(uint32_t bits, uint32_t number)
{
	for (; bits; bits &= bits - 1) {
		struct queue *q = &queues[number + lowest_bit(bits)];

		q->tail = io_read(q->registers + QUIRE_QUEUE_TAIL);
		sched_update(q);
	}
}

/* Clear first, then read the tails: a doorbell in between is seen again. */
static __attribute__((noinline)) void several_doorbells(uint32_t low, uint32_t high)
{
	if (low) {
		io_write(QUIRE_IO_DOORBELLS_LO, low);
		doorbells_of(low, 0);
	}
	if (high) {
		io_write(QUIRE_IO_DOORBELLS_HI, high);
		doorbells_of(high, 32);
	}
}

void doorbells_handle(void)
{
	uint32_t low = io_read(QUIRE_IO_DOORBELLS_LO);
	uint32_t high = io_read(QUIRE_IO_DOORBELLS_HI);
	struct queue *q;

	if (high || low & (low - 1)) {
		several_doorbells(low, high);
		return;
	}
	if (!low)
		return;
	io_write(QUIRE_IO_DOORBELLS_LO, low);
	q = &queues[lowest_bit(low)];
	q->tail = io_read(q->registers + QUIRE_QUEUE_TAIL);
	sched_update(q);
}
