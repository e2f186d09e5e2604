// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a job has been worked on: a band of it was on an engine, or the firmware was at
 * it.  What others take in between does not count.
 */
#include "firmware.h"
#include "io.h"

void progress_count(struct queue *q)
{
	uint64_t now = io_time();

	q->busy_ns += now - q->busy_since;
	q->busy_since = now;
}

/* A division of 64 bits takes hundreds of instructions. */
static uint32_t microseconds(uint64_t ns)
{
	uint64_t us;

	if (!(ns >> 32))
		return (uint32_t)ns / 1000;
	us = ns / 1000;
	return us >> 32 ? ~0u : (uint32_t)us;
}

void progress_name(uint32_t number)
{
	struct queue *q = &queues[number];
	uint32_t low = (uint32_t)q->sequence;

	io_write(QUIRE_IO_QUEUE(number) + QUIRE_QUEUE_JOB, low ? low : QUIRE_JOB_LOW_WORD_0);
	q->shown = true;
}

/* JOB is written last and cleared first: while it names a job the others are of that job. */
void progress_show(uint32_t number)
{
	struct queue *q = &queues[number];
	uint32_t registers = QUIRE_IO_QUEUE(number);

	io_write(registers + QUIRE_QUEUE_JOB_US, microseconds(q->busy_ns));
	io_write(registers + QUIRE_QUEUE_JOB_BANDS, q->running);
	if (!q->shown)
		progress_name(number);
}

void progress_hide(uint32_t number)
{
	struct queue *q = &queues[number];
	uint32_t registers = QUIRE_IO_QUEUE(number);

	io_write(registers + QUIRE_QUEUE_JOB, 0);
	io_write(registers + QUIRE_QUEUE_JOB_US, 0);
	io_write(registers + QUIRE_QUEUE_JOB_BANDS, 0);
	q->shown = false;
}

void progress_leave(struct queue *q)
{
	io_write(q->registers + QUIRE_QUEUE_JOB, 0);
	io_write(q->registers + QUIRE_QUEUE_JOB_US, q->in_job ? microseconds(q->busy_ns) : 0);
	io_write(q->registers + QUIRE_QUEUE_JOB_BANDS, 0);
	q->shown = false;
}

void progress_refresh(void)
{
	for (uint32_t number = 0; number < QUIRE_QUEUES; number++) {
		if (!queues[number].running)
			continue;
		progress_count(&queues[number]);
		progress_show(number);
	}
}
