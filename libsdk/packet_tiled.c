// SPDX-License-Identifier: MIT
/* Tiled operands of products without a card: refused as the engines refuse them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quire/packet_check.h>
#include <quirenum/tile.h>

#include "packet_run.h"

static bool wrong(struct packet_run *run, uint32_t unit, uint64_t where, uint32_t field)
{
	run->status = QUIRE_STATUS_BAD_TILE;
	run->fault->address = where;
	run->fault->info = unit << QUIRE_FAULT_UNIT_SHIFT;
	run->fault->detail = field;
	return false;
}

static bool check_tiles(struct packet_run *run, const struct quire_tiled_header *h, uint32_t unit,
			uint64_t *stored_bytes)
{
	const struct quire_tile *tiles = (const struct quire_tile *)(h + 1);
	uint32_t columns = quire_tiled_grid(h->columns, h->tile_columns);

	*stored_bytes = 0;
	for (uint64_t i = 0; i < h->tiles; i++) {
		uint32_t field = quire_tile_check(h, &tiles[i]);

		if (field != QUIRE_NO_FIELD)
			return wrong(run, unit, i / columns << 32 | i % columns, field);
		*stored_bytes += quire_tile_bytes(h->tile_rows, h->tile_columns, tiles[i].bits);
	}
	return true;
}

/* One image of a batch to a view; its bytes count @times. */
static bool open_image(struct packet_run *run, const struct quire_packet_gemm *p,
		       const struct quire_operand *o, uint64_t batch, uint32_t unit, uint32_t rows,
		       uint32_t columns, uint64_t times, struct quire_tiled *view)
{
	const struct quire_check_range output = quire_check_output(p);
	uint64_t address = o->address + batch * o->batch_stride, stored_bytes;
	struct quire_check_range image;
	const struct quire_tiled_header *h;
	struct quire_tiled_error error;
	uint32_t field;

	h = packet_memory(run, address, sizeof(*h), times * sizeof(*h), false, unit);
	if (!h)
		return false;
	field = quire_check_image_header(h, address, rows, columns, &image);
	if (field != QUIRE_NO_FIELD)
		return wrong(run, unit, QUIRE_BAD_TILE_HEADER, field);
	if (quire_check_overlap(&image, &output)) {
		run->status = QUIRE_STATUS_BAD_PACKET;
		run->fault->detail = QUIRE_CHECK_FIELD(gemm, d.address);
		return false;
	}
	if (!packet_memory(run, address, h->image_bytes,
			   times * h->tiles * sizeof(struct quire_tile), false, unit) ||
	    !check_tiles(run, h, unit, &stored_bytes) ||
	    !packet_memory(run, address, h->image_bytes, times * stored_bytes, false, unit))
		return false;
	if (quire_tiled_view(h, (const struct quire_tile *)(h + 1), 0,
			     quire_tiled_grid(h->rows, h->tile_rows), h, h->image_bytes, view,
			     &error)) {
		run->status = QUIRE_STATUS_ENGINE_ERROR;
		run->fault->detail = EINVAL;
		return false;
	}
	if (!quire_tiled_verify(view, run->context->device->threads, &error))
		return true;
	return wrong(run, unit, (uint64_t)error.tile_row << 32 | error.tile_column,
		     strcmp(error.field, "largest") ? offsetof(struct quire_tile, checksum) :
						      offsetof(struct quire_tile, largest));
}

bool packet_open_tiled(struct packet_run *run, const struct quire_packet_gemm *p,
		       unsigned int which, struct quire_gemm_operand *to)
{
	const struct quire_operand *o = which ? &p->b : &p->a;
	bool k_is_row = which ? !(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B) :
				!!(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A);
	uint32_t lanes = which ? p->n : p->m;
	uint32_t unit = which ? QUIRE_FAULT_UNIT_B : QUIRE_FAULT_UNIT_A;
	uint32_t images = o->batch_stride ? p->batch : 1;
	struct quire_tiled *views = calloc(images, sizeof(*views));

	run->views[which] = views;
	if (!views) {
		run->status = QUIRE_STATUS_ENGINE_ERROR;
		run->fault->detail = ENOMEM;
		return false;
	}
	for (uint32_t i = 0; i < images; i++)
		if (!open_image(run, p, o, i, unit, k_is_row ? p->k : lanes,
				k_is_row ? lanes : p->k, p->batch / images, &views[i]))
			return false;
	to->data = views;
	to->batch_stride = images > 1;
	return true;
}
