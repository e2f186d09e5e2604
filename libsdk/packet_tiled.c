// SPDX-License-Identifier: MIT
/* Tiled images without a card: refused as firmware and engines refuse them. */
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

/* The descriptors behind a header in memory, of which @h is a checked copy. */
static bool check_tiles(struct packet_run *run, const struct quire_tiled_header *h,
			const struct quire_tile *tiles, uint32_t unit, uint64_t *stored_bytes)
{
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

/* The image at @image, whose header and descriptors have been checked, as a view. */
static bool view_tiles(struct packet_run *run, const struct quire_tiled_header *h,
		       const struct quire_tiled_header *image, struct quire_tiled *view)
{
	if (!quire_tiled_view(h, (const struct quire_tile *)(image + 1), 0,
			      quire_tiled_grid(h->rows, h->tile_rows), image, h->image_bytes, view,
			      NULL))
		return true;
	run->status = QUIRE_STATUS_ENGINE_ERROR;
	run->fault->detail = EINVAL;
	return false;
}

static bool verify(struct packet_run *run, uint32_t unit, const struct quire_tiled *view)
{
	struct quire_tiled_error error;

	if (!quire_tiled_verify(view, run->context->device->threads, &error))
		return true;
	return wrong(run, unit, (uint64_t)error.tile_row << 32 | error.tile_column,
		     strcmp(error.field, "largest") ? offsetof(struct quire_tile, checksum) :
						      offsetof(struct quire_tile, largest));
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
	    !check_tiles(run, h, (const struct quire_tile *)(h + 1), unit, &stored_bytes) ||
	    !packet_memory(run, address, h->image_bytes, times * stored_bytes, false, unit))
		return false;
	return view_tiles(run, h, h, view) && verify(run, unit, view);
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

/* PACK: descriptors that lie behind each other, as the header says. */
static bool check_plan(struct packet_run *run, const struct quire_tiled_header *h,
		       const struct quire_tile *tiles, uint32_t unit, uint64_t *stored_bytes)
{
	uint32_t columns = quire_tiled_grid(h->columns, h->tile_columns), field;
	uint64_t end = quire_tiled_data_start(h->tiles), stored = 0;

	for (uint64_t i = 0; i < h->tiles; i++) {
		field = quire_tile_check_next(h, &tiles[i], &end);
		if (field != QUIRE_NO_FIELD)
			return wrong(run, unit, i / columns << 32 | i % columns, field);
		stored += tiles[i].bits != 0;
	}
	field = quire_tiled_check_sums(h, stored, end);
	*stored_bytes = end - quire_tiled_data_start(h->tiles);
	return field == QUIRE_NO_FIELD || wrong(run, unit, QUIRE_BAD_TILE_HEADER, field);
}

/*
 * The image of PACK or UNPACK as a view, its data verified for UNPACK; NULL with status
 * and fault recorded.
 */
static struct quire_tiled_header *open_pack(struct packet_run *run,
					    const struct quire_packet_pack *p,
					    struct quire_tiled *view)
{
	bool packs = quire_packet_is_pack(p);
	uint32_t unit = packs ? QUIRE_FAULT_UNIT_DESTINATION : QUIRE_FAULT_UNIT_SOURCE, field;
	uint64_t address = quire_pack_image(p)->address, tile_bytes, stored_bytes;
	struct quire_tiled_header *image, h;
	const struct quire_tile *tiles;

	image = packet_memory(run, address, sizeof(h), sizeof(h), false, unit);
	if (!image)
		return NULL;
	h = *image;
	field = quire_check_pack_header(p, &h);
	if (field != QUIRE_NO_FIELD) {
		wrong(run, unit, QUIRE_BAD_TILE_HEADER, field);
		return NULL;
	}
	tiles = (const struct quire_tile *)(image + 1);
	tile_bytes = h.tiles * sizeof(*tiles);
	if (!packet_memory(run, address, h.image_bytes, tile_bytes, false, unit) ||
	    !(packs ? check_plan(run, &h, tiles, unit, &stored_bytes) :
		      check_tiles(run, &h, tiles, unit, &stored_bytes)) ||
	    !packet_memory(run, address, h.image_bytes, stored_bytes + (packs ? tile_bytes : 0),
			   packs, unit) ||
	    !view_tiles(run, &h, image, view) || (!packs && !verify(run, unit, view)))
		return NULL;
	return image;
}

static int pack(struct packet_run *run, const struct quire_packet_pack *p,
		const struct quire_tiled *view, const void *source, struct quire_tiled_header *image)
{
	const struct quire_dense dense = { source, p->source.format, 0,
					   p->source.leading_dimension };
	struct quire_tile *tiles = (struct quire_tile *)(image + 1);
	uint64_t end = sizeof(*image) + image->tiles * sizeof(*tiles);
	int error;

	image->magic = QUIRE_TILED_PLAN;
	error = quire_tiled_pack_into(view, &dense, tiles, image, run->context->device->threads);
	if (error)
		return error;
	memset((uint8_t *)image + end, 0, quire_tiled_data_start(image->tiles) - end);
	image->magic = QUIRE_TILED_MAGIC;
	run->result->digest = quire_tiled_digest(image, 0, p->image_bytes);
	for (uint64_t i = 0; i < image->tiles; i++)
		run->result->exceptional += tiles[i].largest == QUIRE_TILE_LARGEST_NAR;
	return 0;
}

static int unpack(struct packet_run *run, const struct quire_packet_pack *p,
		  const struct quire_tiled *view, void *destination)
{
	const struct quire_tiled_output output = {
		.data = destination,
		.format = p->destination.format,
		.leading_dimension = p->destination.leading_dimension,
	};

	return quire_tiled_unpack(view, p->rows, p->columns, &output, run->context->device->threads,
				  &run->result->digest, &run->result->exceptional);
}

uint32_t packet_pack(struct packet_run *run, const struct quire_packet_pack *p)
{
	bool packs = quire_packet_is_pack(p);
	struct quire_tiled_header *image;
	struct quire_tiled view;
	void *dense;
	int error;

	image = open_pack(run, p, &view);
	if (!image)
		return run->status;
	dense = packet_operand(run, quire_pack_dense(p), p->rows, p->columns, 1, !packs,
			       packs ? QUIRE_FAULT_UNIT_SOURCE : QUIRE_FAULT_UNIT_DESTINATION);
	if (!dense)
		return QUIRE_STATUS_MMU_FAULT;
	error = packs ? pack(run, p, &view, dense, image) : unpack(run, p, &view, dense);
	if (error) {
		run->fault->detail = (uint32_t)-error;
		return QUIRE_STATUS_ENGINE_ERROR;
	}
	packet_model_move(run);
	return QUIRE_STATUS_OK;
}
