// SPDX-License-Identifier: GPL-2.0-only
/* Checking packets, and planning how they are cut. */
#include <quire/packet_check.h>

#include "firmware.h"

#define BAND_BYTES (8u << 20)
#define BAND_ELEMENTS (1u << 20)		/* whole blocks of MXFP8 */

static uint32_t pieces(uint64_t bytes)
{
	return (uint32_t)((bytes + QUIRE_BAND_PIECE_BYTES - 1) / QUIRE_BAND_PIECE_BYTES);
}

static uint32_t step_of(uint64_t unit, uint32_t budget)
{
	return unit >= budget ? 1 : budget / (uint32_t)unit;
}

static bool reads_tiles(const struct quire_packet_gemm *p)
{
	return (p->a.format == QUIRE_FORMAT_TILED || p->b.format == QUIRE_FORMAT_TILED) &&
	       !quire_check_is_zero(p->alpha) && p->k;
}

/* In bands of whole tiles. */
static void plan_tiles(struct queue *q)
{
	const struct quire_packet_pack *p = &q->packet.pack;
	uint32_t tile_rows = q->walk.header.tile_rows, tile_columns = q->walk.header.tile_columns;
	uint32_t columns = quire_tiled_grid(p->columns, tile_columns) * tile_columns;

	/* rows of tiles have at most 2^30 elements; tiles are powers of two */
	band_plan_rows(&q->plan, p->rows, p->columns,
		       step_of(columns * tile_rows, BAND_ELEMENTS) * tile_rows,
		       BAND_ELEMENTS / tile_rows);
}

void packet_plan(struct queue *q)
{
	struct band_plan *plan = &q->plan;

	switch (q->packet.header.opcode) {
	case QUIRE_PACKET_GEMM:
		band_plan_gemm(plan, &q->packet.gemm,
			       reads_tiles(&q->packet.gemm) ? q->walk.k : q->packet.gemm.k);
		break;
	case QUIRE_PACKET_COPY:
		band_plan_rows(plan, q->packet.copy.rows, pieces(q->packet.copy.row_bytes),
			       step_of(q->packet.copy.row_bytes, BAND_BYTES),
			       BAND_BYTES / QUIRE_BAND_PIECE_BYTES);
		break;
	case QUIRE_PACKET_FILL:
		band_plan_rows(plan, pieces(q->packet.fill.bytes), 1,
			       BAND_BYTES / QUIRE_BAND_PIECE_BYTES, 1);
		break;
	case QUIRE_PACKET_CONVERT:
		band_plan_rows(plan, q->packet.convert.rows, q->packet.convert.columns,
			       step_of(q->packet.convert.columns, BAND_ELEMENTS), BAND_ELEMENTS);
		break;
	case QUIRE_PACKET_PACK:
	case QUIRE_PACKET_UNPACK:
		plan_tiles(q);
		break;
	default:	/* NOP: no bands */
		plan->more = false;
	}
}

static bool needs_walk(const struct queue *q)
{
	uint32_t opcode = q->packet.header.opcode;

	return opcode == QUIRE_PACKET_PACK || opcode == QUIRE_PACKET_UNPACK ||
	       (opcode == QUIRE_PACKET_GEMM && reads_tiles(&q->packet.gemm));
}

uint32_t packet_check(struct queue *q, uint32_t *status)
{
	uint32_t field = quire_packet_check(&q->packet, status);

	if (field != QUIRE_NO_FIELD)
		return field;
	q->walk.operand = TILED_WALK_DONE;
	if (needs_walk(q))
		tiled_walk_start(q);
	else
		packet_plan(q);
	return QUIRE_NO_FIELD;
}
