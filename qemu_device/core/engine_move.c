// SPDX-License-Identifier: MIT
/* Bands of COPY and FILL. */
#include <string.h>

#include "internal.h"

static void charge(const struct band_job *job, uint64_t card, uint64_t system)
{
	struct quire_device *device = job->engine->device;

	device_count(device, QUIRE_COUNTER_BYTES_CARD, card);
	device_count(device, QUIRE_COUNTER_BYTES_SYSTEM, system);
	job->band->cycles += (card + system + QUIRE_MODEL_BYTES_PER_CYCLE - 1) / QUIRE_MODEL_BYTES_PER_CYCLE;
	job->band->modelled_pj += energy_of_bytes(card, system);
}

/* Copy one row; false with the band's status set. */
static bool copy_row(const struct band_job *job, uint64_t from, uint64_t to, uint64_t bytes)
{
	struct quire_device *device = job->engine->device;
	struct tlb *tlb = &job->engine->tlb;
	uint32_t context = job->band->context;

	while (bytes) {
		uint64_t want = bytes < QUIRE_BLOCK_BYTES ? bytes : QUIRE_BLOCK_BYTES;
		struct segment in, out;
		struct fault fault;
		uint64_t count;

		if (engine_stopped(job->engine)) {
			job->band->status = QUIRE_STATUS_CANCELLED;
			return false;
		}
		if (!segment_get(device, tlb, context, from, want, false, &in, &fault)) {
			engine_fault(job, &fault, QUIRE_FAULT_UNIT_SOURCE);
			return false;
		}
		if (!segment_get(device, tlb, context, to, in.bytes, true, &out, &fault)) {
			segment_put(device, &in);
			engine_fault(job, &fault, QUIRE_FAULT_UNIT_DESTINATION);
			return false;
		}
		count = out.bytes < in.bytes ? out.bytes : in.bytes;
		memmove(out.host, in.host, count);
		segment_put(device, &out);
		segment_put(device, &in);
		charge(job, (in.system ? 0 : count) + (out.system ? 0 : count),
		       (in.system ? count : 0) + (out.system ? count : 0));
		from += count;
		to += count;
		bytes -= count;
	}
	return true;
}

void engine_copy(const struct band_job *job)
{
	const struct quire_packet_copy *p = job->packet;
	struct quire_band *band = job->band;

	/* The window lies inside the packet: pieces are below 2^32, bytes below 2^48. */
	uint64_t start = (uint64_t)band->column * QUIRE_BAND_PIECE_BYTES;
	uint64_t bytes = (uint64_t)band->columns * QUIRE_BAND_PIECE_BYTES;

	if (bytes > p->row_bytes - start)
		bytes = p->row_bytes - start;
	for (uint32_t i = 0; i < band->rows; i++) {
		uint64_t row = (uint64_t)band->row + i;

		if (!copy_row(job, p->source + row * p->source_stride + start,
			      p->destination + row * p->destination_stride + start, bytes))
			return;
		band->bytes_read += bytes;
		band->bytes_written += bytes;
	}
}

void engine_fill(const struct band_job *job)
{
	const struct quire_packet_fill *p = job->packet;
	struct quire_device *device = job->engine->device;
	struct quire_band *band = job->band;
	uint64_t start = (uint64_t)band->row * QUIRE_BAND_PIECE_BYTES;
	uint64_t end = start + (uint64_t)band->rows * QUIRE_BAND_PIECE_BYTES;

	if (end > p->bytes)
		end = p->bytes;
	while (start < end) {
		uint64_t want = end - start < QUIRE_BLOCK_BYTES ? end - start : QUIRE_BLOCK_BYTES;
		struct segment out;
		struct fault fault;

		if (engine_stopped(job->engine)) {
			band->status = QUIRE_STATUS_CANCELLED;
			return;
		}
		if (!segment_get(device, &job->engine->tlb, band->context, p->destination + start,
				 want, true, &out, &fault)) {
			engine_fault(job, &fault, QUIRE_FAULT_UNIT_DESTINATION);
			return;
		}
		/* Addresses and lengths are multiples of 8, and pages keep them so. */
		for (uint64_t i = 0; i < out.bytes; i += sizeof(p->pattern))
			memcpy(out.host + i, &p->pattern, sizeof(p->pattern));
		segment_put(device, &out);
		charge(job, out.system ? 0 : out.bytes, out.system ? out.bytes : 0);
		band->bytes_written += out.bytes;
		start += out.bytes;
	}
}
