// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tiled operands before the engines see them: headers and descriptors are walked, a
 * piece at a time so that other queues and the mailbox wait for no large image.  What is
 * wrong ends the job before its output is touched; what is stored tells how much work a
 * product is, because empty tiles are none.  Only here a whole plan is seen, so that the
 * data of two tiles cannot lie in one place.  The engines trust nothing of this and check
 * again.
 */
#include <quire/packet_check.h>

#include "firmware.h"
#include "words.h"

#define PIECE (QUIRE_DMA_MAX_BYTES / sizeof(struct quire_tile))

static struct quire_tile piece[PIECE];	/* within one step */

static const struct quire_operand *operand_of(const struct queue *q)
{
	switch (q->walk.operand) {
	case TILED_WALK_A: return &q->packet.gemm.a;
	case TILED_WALK_B: return &q->packet.gemm.b;
	default: return quire_pack_image(&q->packet.pack);
	}
}

static bool is_pack(const struct queue *q)
{
	return q->packet.header.opcode == QUIRE_PACKET_PACK;
}

static uint32_t unit_of(const struct queue *q)
{
	uint32_t unit = q->walk.operand == TILED_WALK_A ? QUIRE_FAULT_UNIT_A :
			q->walk.operand == TILED_WALK_B ? QUIRE_FAULT_UNIT_B :
			is_pack(q)			? QUIRE_FAULT_UNIT_DESTINATION :
							  QUIRE_FAULT_UNIT_SOURCE;

	return unit << QUIRE_FAULT_UNIT_SHIFT;
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

/* The next tiled operand of a product; with none left the bands are planned. */
static void next_operand(struct queue *q)
{
	struct tiled_walk *walk = &q->walk;

	do {
		if (walk->operand == TILED_WALK_B) {
			walk->operand = TILED_WALK_DONE;
			packet_plan(q);
			return;
		}
		walk->operand++;
	} while (operand_of(q)->format != QUIRE_FORMAT_TILED);
	walk->image = 0;
	walk->most = 0;
	walk->in_image = false;
}

void tiled_walk_start(struct queue *q)
{
	q->plan.more = true;
	q->walk.in_image = false;
	if (q->packet.header.opcode != QUIRE_PACKET_GEMM) {
		q->walk.operand = TILED_WALK_IMAGE;
		q->walk.image = 0;
		return;
	}
	q->walk.operand = TILED_WALK_DONE;
	q->walk.k = q->packet.gemm.k;
	next_operand(q);
}

uint32_t tiled_set_magic(const struct queue *q, uint32_t magic, uint64_t *fault_address)
{
	return dma_write(q->context, q->packet.pack.destination.address, &magic, sizeof(magic),
			 fault_address);
}

/* PACK: the plan is good.  From here on the image is none until all of it is packed. */
static bool open_plan(struct queue *q)
{
	const struct quire_tiled_header *h = &q->walk.header;
	uint32_t shift = quire_tiled_shift(h->tile_rows) + quire_tiled_shift(h->tile_columns);
	uint32_t field = quire_tiled_check_sums(h, q->walk.stored >> shift, q->walk.end), fault;
	uint64_t fault_address;

	if (field != QUIRE_NO_FIELD)
		return fail_tile(q, QUIRE_BAD_TILE_HEADER, field);
	fault = tiled_set_magic(q, QUIRE_TILED_PLAN, &fault_address);
	if (fault)
		job_fail_fault(q, fault | QUIRE_FAULT_WRITE, unit_of(q), fault_address);
	return !fault;
}

/* The mean of what one row of op(A), or column of op(B), has stored is its part of k. */
static void end_image(struct queue *q)
{
	const struct quire_packet_gemm *p = &q->packet.gemm;
	struct tiled_walk *walk = &q->walk;
	uint64_t k;

	if (walk->operand == TILED_WALK_IMAGE) {
		if (is_pack(q) && !open_plan(q))
			return;
		walk->operand = TILED_WALK_DONE;
		packet_plan(q);
		return;
	}
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

/* The first wrong field of the header of a product's operand, or of the packet. */
static uint32_t check_factor(struct queue *q, uint32_t *status)
{
	const struct quire_packet_gemm *p = &q->packet.gemm;
	bool is_a = q->walk.operand == TILED_WALK_A;
	bool k_is_row = is_a ? p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A :
			       !(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B);
	uint32_t lanes = is_a ? p->m : p->n;
	struct quire_check_range output = quire_check_output(p), image;
	uint32_t field;

	field = quire_check_image_header(&q->walk.header, address_of(q), k_is_row ? p->k : lanes,
					 k_is_row ? lanes : p->k, &image);
	if (field == QUIRE_NO_FIELD && quire_check_overlap(&image, &output)) {
		*status = QUIRE_STATUS_BAD_PACKET;
		return QUIRE_CHECK_FIELD(gemm, d.address);
	}
	return field;
}

static uint32_t check_header(struct queue *q, uint32_t *status)
{
	*status = QUIRE_STATUS_BAD_TILE;
	return q->packet.header.opcode == QUIRE_PACKET_GEMM ?
		       check_factor(q, status) :
		       quire_check_pack_header(&q->packet.pack, &q->walk.header);
}

static bool start_image(struct queue *q)
{
	struct tiled_walk *walk = &q->walk;
	uint32_t status, field;

	if (!read(q, 0, &walk->header, sizeof(walk->header)))
		return false;
	field = check_header(q, &status);
	if (field != QUIRE_NO_FIELD && status == QUIRE_STATUS_BAD_TILE)
		return fail_tile(q, QUIRE_BAD_TILE_HEADER, field);
	if (field != QUIRE_NO_FIELD) {
		job_fail(q, status, field);
		return false;
	}
	walk->in_image = true;
	walk->tile = 0;
	walk->row = 0;
	walk->column = 0;
	walk->stored = 0;
	walk->end = quire_tiled_data_start(walk->header.tiles);
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
		uint32_t field = is_pack(q) ? quire_tile_check_next(h, &piece[i], &walk->end) :
					      quire_tile_check(h, &piece[i]);

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

/* What a saved walk says of its place in an image. */
static bool is_in_image(struct queue *q)
{
	const struct tiled_walk *walk = &q->walk;
	const struct quire_tiled_header *h = &walk->header;
	uint32_t columns, status;

	if (check_header(q, &status) != QUIRE_NO_FIELD || walk->tile >= h->tiles)
		return false;
	columns = quire_tiled_grid(h->columns, h->tile_columns);
	return walk->column < columns && (uint64_t)walk->row * columns + walk->column == walk->tile;
}

bool tiled_walk_restore(struct queue *q, const struct tiled_walk *saved)
{
	const struct quire_packet_gemm *p = &q->packet.gemm;
	struct tiled_walk *walk = &q->walk;
	bool is_product = q->packet.header.opcode == QUIRE_PACKET_GEMM;
	uint32_t status;

	copy_words(walk, saved, sizeof(*walk));
	if (is_product && (!walk->k || walk->k > p->k))
		return false;
	if (walk->operand == TILED_WALK_DONE) {
		if (!is_product && check_header(q, &status) != QUIRE_NO_FIELD)
			return false;
		packet_plan(q);
		return true;
	}
	if (is_product ? walk->operand > TILED_WALK_B || walk->image >= p->batch :
			 walk->operand != TILED_WALK_IMAGE || walk->image)
		return false;
	if (operand_of(q)->format != QUIRE_FORMAT_TILED)
		return false;
	return !walk->in_image || is_in_image(q);
}
