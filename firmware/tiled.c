// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tiled operands before the engines see them: headers and descriptors are walked, a
 * piece at a time so that other queues and the mailbox wait for no large image.  What is
 * wrong ends the job before D is touched; what is stored tells how much work there is,
 * because empty tiles are none.  The engines trust nothing of this and check again.
 */
#include <quire/packet_check.h>

#include "firmware.h"

#define PIECE (QUIRE_DMA_MAX_BYTES / sizeof(struct quire_tile))

static struct quire_tile piece[PIECE];	/* within one step */

static const struct quire_operand *operand_of(const struct queue *q)
{
	return q->walk.operand == TILED_WALK_A ? &q->packet.gemm.a : &q->packet.gemm.b;
}

static uint32_t unit_of(const struct queue *q)
{
	return (q->walk.operand == TILED_WALK_A ? QUIRE_FAULT_UNIT_A : QUIRE_FAULT_UNIT_B)
	       << QUIRE_FAULT_UNIT_SHIFT;
}

static bool fail_tile(struct queue *q, uint64_t where, uint32_t field)
{
	q->record.fault_info = unit_of(q);
	q->record.fault_address = where;
	job_fail(q, QUIRE_STATUS_BAD_TILE, field);
	return false;
}

/* Of the image that is walked. */
static uint64_t address_of(const struct queue *q)
{
	const struct quire_operand *o = operand_of(q);

	return o->address + q->walk.image * o->batch_stride;
}

static bool read(struct queue *q, uint64_t offset, void *to, uint32_t bytes)
{
	uint64_t fault_address;
	uint32_t fault = dma_read(q->context, address_of(q) + offset, to, bytes, &fault_address);

	if (fault)
		job_fail_fault(q, fault, unit_of(q), fault_address);
	return !fault;
}

/* The next tiled operand behind this one; with none left the bands are planned. */
static void next_operand(struct queue *q)
{
	const struct quire_packet_gemm *p = &q->packet.gemm;
	struct tiled_walk *walk = &q->walk;

	do
		walk->operand++;
	while (walk->operand < TILED_WALK_DONE && operand_of(q)->format != QUIRE_FORMAT_TILED);
	walk->image = 0;
	walk->most = 0;
	walk->in_image = false;
	if (walk->operand == TILED_WALK_DONE)
		band_plan_gemm(&q->plan, p, walk->k);
}

void tiled_walk_start(struct queue *q)
{
	q->walk.operand = 0;
	q->walk.k = q->packet.gemm.k;
	q->plan.more = true;
	next_operand(q);
}

/* The mean of what one row of op(A), or column of op(B), has stored is its part of k. */
static void end_image(struct queue *q)
{
	const struct quire_packet_gemm *p = &q->packet.gemm;
	struct tiled_walk *walk = &q->walk;
	uint64_t k;

	if (walk->stored > walk->most)
		walk->most = walk->stored;
	walk->in_image = false;
	walk->image++;
	if (operand_of(q)->batch_stride && walk->image < p->batch)
		return;
	k = walk->most / (walk->operand == TILED_WALK_A ? p->m : p->n) + 1;
	if (k < walk->k)
		walk->k = (uint32_t)k;
	next_operand(q);
}

static bool start_image(struct queue *q)
{
	const struct quire_packet_gemm *p = &q->packet.gemm;
	bool is_a = q->walk.operand == TILED_WALK_A;
	bool k_is_row = is_a ? p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A :
			       !(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B);
	uint32_t lanes = is_a ? p->m : p->n;
	struct quire_check_range output = quire_check_output(p), image;
	uint32_t field;

	if (!read(q, 0, &q->walk.header, sizeof(q->walk.header)))
		return false;
	field = quire_check_image_header(&q->walk.header, address_of(q), k_is_row ? p->k : lanes,
					 k_is_row ? lanes : p->k, &image);
	if (field != QUIRE_NO_FIELD)
		return fail_tile(q, QUIRE_BAD_TILE_HEADER, field);
	if (quire_check_overlap(&image, &output)) {
		job_fail(q, QUIRE_STATUS_BAD_PACKET, QUIRE_CHECK_FIELD(gemm, d.address));
		return false;
	}
	q->walk.in_image = true;
	q->walk.tile = 0;
	q->walk.row = 0;
	q->walk.column = 0;
	q->walk.stored = 0;
	return true;
}

/* One piece of the walk; the job may fail. */
void tiled_walk_step(struct queue *q)
{
	struct tiled_walk *walk = &q->walk;
	const struct quire_tiled_header *h = &walk->header;
	uint32_t columns, count = PIECE;

	if (!walk->in_image && !start_image(q))
		return;
	columns = quire_tiled_grid(h->columns, h->tile_columns);
	if (h->tiles - walk->tile < count)
		count = (uint32_t)(h->tiles - walk->tile);
	if (!read(q, sizeof(*h) + walk->tile * sizeof(piece[0]), piece, count * sizeof(piece[0])))
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t field = quire_tile_check(h, &piece[i]);

		if (field != QUIRE_NO_FIELD) {
			fail_tile(q, (uint64_t)walk->row << 32 | walk->column, field);
			return;
		}
		/* at most 2^48 elements and their padding */
		if (piece[i].bits)
			walk->stored += h->tile_rows * h->tile_columns;
		if (++walk->column == columns) {
			walk->column = 0;
			walk->row++;
		}
	}
	walk->tile += count;
	if (walk->tile == h->tiles)
		end_image(q);
}
