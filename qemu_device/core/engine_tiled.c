// SPDX-License-Identifier: MIT
/*
 * Tiled operands.  The part of an image that a block needs is copied
 * into private memory, descriptors first, and only then looked at: whatever the guest
 * writes meanwhile, what has been checked is what is decoded.  The copy holds the
 * stored tiles without gaps; empty ones cost their descriptor and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DESCRIPTOR_BYTES (16u << 20)	/* most that one operand of a block may take */
#define DATA_BYTES (64u << 20)
#define KEPT_BYTES (16u << 20)		/* most that is kept of an operand between bands */
#define RUN_BYTES (1u << 20)		/* between two looks whether to stop */

bool engine_tiled_wrong_header(const struct engine_tiled *t, uint32_t field)
{
	struct quire_band *band = t->job->band;

	band->status = QUIRE_STATUS_BAD_TILE;
	band->detail = field;
	band->fault_info = t->unit << QUIRE_FAULT_UNIT_SHIFT;
	band->fault_address = QUIRE_BAD_TILE_HEADER;
	return false;
}

/* row and column of the tile in the window. */
static bool wrong_tile(const struct engine_tiled *t, uint32_t field, uint64_t row, uint64_t column)
{
	struct quire_band *band = t->job->band;

	band->status = QUIRE_STATUS_BAD_TILE;
	band->detail = field;
	band->fault_info = t->unit << QUIRE_FAULT_UNIT_SHIFT;
	band->fault_address = (t->tile_row + row) << 32 | (t->tile_column + column);
	return false;
}

static bool no_memory(const struct engine_tiled *t)
{
	t->job->band->status = QUIRE_STATUS_ENGINE_ERROR;
	t->job->band->detail = ENOMEM;
	return false;
}

/* Copy bytes of the image, counted from its start, into private memory or out of it. */
static bool move(struct engine_tiled *t, uint64_t offset, uint8_t *at, uint64_t bytes, bool write)
{
	struct engine *engine = t->job->engine;

	while (bytes) {
		uint64_t count = bytes < RUN_BYTES ? bytes : RUN_BYTES;
		struct segment segment;
		struct fault fault;

		if (engine_stopped(engine)) {
			t->job->band->status = QUIRE_STATUS_CANCELLED;
			return false;
		}
		if (!segment_get(engine->device, &engine->tlb, t->job->band->context,
				 t->address + offset, count, write, &segment, &fault)) {
			engine_fault(t->job, &fault, t->unit);
			return false;
		}
		if (write)
			memcpy(segment.host, at, segment.bytes);
		else
			memcpy(at, segment.host, segment.bytes);
		if (segment.system)
			t->system_bytes += segment.bytes;
		else
			t->card_bytes += segment.bytes;
		segment_put(engine->device, &segment);
		at += segment.bytes;
		offset += segment.bytes;
		bytes -= segment.bytes;
	}
	return true;
}

static bool fetch(struct engine_tiled *t, uint64_t offset, void *to, uint64_t bytes)
{
	return move(t, offset, to, bytes, false);
}

bool engine_tiled_store(struct engine_tiled *t, uint64_t offset, const void *from, uint64_t bytes)
{
	t->written += bytes;
	/* only read */
	return move(t, offset, (uint8_t *)(uintptr_t)from, bytes, true);
}

/* The header must be that of a matrix of the operand's shape, apart from D. */
static bool fetch_header(struct engine_tiled *t, const struct engine_tiled_part *part)
{
	struct quire_check_range image;
	uint32_t field;

	if (!fetch(t, 0, &t->header, sizeof(t->header)))
		return false;
	if (part->pack) {
		field = quire_check_pack_header(part->pack, &t->header);
		return field == QUIRE_NO_FIELD || engine_tiled_wrong_header(t, field);
	}
	field = quire_check_image_header(&t->header, t->address, (uint32_t)part->matrix_rows,
					 (uint32_t)part->matrix_columns, &image);
	if (field != QUIRE_NO_FIELD)
		return engine_tiled_wrong_header(t, field);
	if (quire_check_overlap(&image, &part->output)) {
		t->job->band->status = QUIRE_STATUS_BAD_PACKET;
		t->job->band->detail = QUIRE_CHECK_FIELD(gemm, d.address);
		return false;
	}
	return true;
}

/* Tiles of the window; false with too_large set, or with an error in the band. */
static bool fetch_descriptors(struct engine_tiled *t, const struct engine_tiled_part *part)
{
	const struct quire_tiled_header *h = &t->header;
	uint32_t row_shift = quire_tiled_shift(h->tile_rows);
	uint32_t column_shift = quire_tiled_shift(h->tile_columns);
	uint64_t grid_columns = quire_tiled_grid(h->columns, h->tile_columns), rows, columns;

	t->tile_row = part->row >> row_shift;
	t->tile_column = part->column >> column_shift;
	rows = ((part->row + part->rows - 1) >> row_shift) - t->tile_row + 1;
	columns = ((part->column + part->columns - 1) >> column_shift) - t->tile_column + 1;
	/* both are at most 2^24 */
	if (rows * columns > DESCRIPTOR_BYTES / sizeof(*t->tiles)) {
		t->too_large = true;
		return false;
	}
	t->tiles = malloc(rows * columns * sizeof(*t->tiles));
	if (!t->tiles)
		return no_memory(t);
	for (uint64_t r = 0; r < rows; r++) {
		uint64_t first = (t->tile_row + r) * grid_columns + t->tile_column;

		if (!fetch(t, sizeof(*h) + first * sizeof(*t->tiles), t->tiles + r * columns,
			   columns * sizeof(*t->tiles)))
			return false;
	}
	t->view = (struct quire_tiled){
		.tiles = t->tiles,
		/* What of the matrix the window's tiles hold: the rest of them is padding. */
		.shape = { h->rows - (uint32_t)(t->tile_row << row_shift),
			   h->columns - (uint32_t)(t->tile_column << column_shift),
			   h->tile_rows, h->tile_columns },
		.grid_rows = (uint32_t)rows,
		.grid_columns = (uint32_t)columns,
		.row = (uint32_t)part->row & (h->tile_rows - 1),
		.column = (uint32_t)part->column & (h->tile_columns - 1),
	};
	if (t->view.shape.rows > rows << row_shift)
		t->view.shape.rows = (uint32_t)(rows << row_shift);
	if (t->view.shape.columns > columns << column_shift)
		t->view.shape.columns = (uint32_t)(columns << column_shift);
	return true;
}

static uint64_t bytes_of(const struct engine_tiled *t, uint64_t tile)
{
	return quire_tile_bytes(t->header.tile_rows, t->header.tile_columns, t->tiles[tile].bits);
}

/* Each descriptor by itself, and the room that all data take. */
static bool check_descriptors(struct engine_tiled *t, uint64_t *bytes)
{
	uint64_t columns = t->view.grid_columns, count = columns * t->view.grid_rows;

	*bytes = 0;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t field = quire_tile_check(&t->header, &t->tiles[i]);

		if (field != QUIRE_NO_FIELD)
			return wrong_tile(t, field, i / columns, i % columns);
		/* at most 2^20 tiles of 16 KiB */
		*bytes += bytes_of(t, i);
	}
	t->too_large = *bytes > DATA_BYTES;
	return !t->too_large;
}

/* Gather the data, what lies together at once; offsets then count from the gathered. */
static bool fetch_data(struct engine_tiled *t, uint64_t bytes)
{
	uint64_t count = (uint64_t)t->view.grid_columns * t->view.grid_rows, at = 0;

	/* Tiles are whole units of 32 bytes, and so is what is added for aligned_alloc(). */
	t->data = aligned_alloc(QUIRE_TILED_ALIGN, bytes ? bytes + bytes % QUIRE_TILED_ALIGN :
							   QUIRE_TILED_ALIGN);
	if (!t->data)
		return no_memory(t);
	t->view.image = t->data;
	for (uint64_t i = 0; i < count;) {
		uint64_t start = (uint64_t)t->tiles[i].offset * QUIRE_TILED_UNIT, run = 0;

		if (!t->tiles[i].bits) {
			i++;
			continue;
		}
		for (; i < count; i++) {
			if (!t->tiles[i].bits)
				continue;
			if ((uint64_t)t->tiles[i].offset * QUIRE_TILED_UNIT != start + run)
				break;
			t->tiles[i].offset = (uint32_t)((at + run) / QUIRE_TILED_UNIT);
			run += bytes_of(t, i);
		}
		if (!fetch(t, start, t->data + at, run))
			return false;
		at += run;
	}
	return true;
}

static void start(const struct band_job *job, const struct engine_tiled_part *part,
		  struct engine_tiled *t)
{
	const struct quire_operand *o = part->operand;

	*t = (struct engine_tiled){ .job = job, .unit = part->unit, .part = *part,
				    .address = o->address + part->batch * o->batch_stride,
				    .flushes = atomic_load(&job->engine->device->tlb_flushes) };
}

bool engine_tiled_load_plan(const struct band_job *job, const struct engine_tiled_part *part,
			    struct engine_tiled *t, uint64_t *bytes)
{
	uint64_t columns;

	start(job, part, t);
	if (!fetch_header(t, part) || !fetch_descriptors(t, part) || !check_descriptors(t, bytes))
		return t->too_large;
	columns = t->view.grid_columns;
	for (uint64_t r = 0; r < t->view.grid_rows; r++) {
		uint64_t end = 0;

		for (uint64_t c = 0; c < columns; c++) {
			const struct quire_tile *tile = &t->tiles[r * columns + c];
			uint64_t offset = (uint64_t)tile->offset * QUIRE_TILED_UNIT;

			if (!tile->bits)
				continue;
			if (end && offset != end)
				return wrong_tile(t, offsetof(struct quire_tile, offset), r, c);
			end = offset + bytes_of(t, r * columns + c);
		}
	}
	return true;
}

bool engine_tiled_load(const struct band_job *job, const struct engine_tiled_part *part,
		       struct engine_tiled *t)
{
	struct quire_tiled_error error;
	uint64_t bytes;

	start(job, part, t);
	if (!fetch_header(t, part) || !fetch_descriptors(t, part) ||
	    !check_descriptors(t, &bytes) || !fetch_data(t, bytes))
		return t->too_large;
	t->verified = !quire_tiled_verify(&t->view, job->engine->threads, &error);
	return t->verified ||
	       wrong_tile(t, strcmp(error.field, "largest") ? offsetof(struct quire_tile, checksum) :
							      offsetof(struct quire_tile, largest),
			  error.tile_row, error.tile_column);
}

void engine_tiled_free(struct engine_tiled *t)
{
	free(t->tiles);
	free(t->data);
	t->tiles = NULL;
	t->data = NULL;
}

static struct engine_kept *place_of(struct engine *engine, uint32_t unit)
{
	return &engine->kept[unit == QUIRE_FAULT_UNIT_B];
}

/* After a flush of the TLBs the same address may be another place. */
static bool is_kept(const struct band_job *job, const struct engine_tiled_part *part,
		    const struct engine_kept *kept)
{
	const struct engine_tiled_part *had = &kept->tiled.part;

	return kept->serial && kept->serial == job->band->serial &&
	       kept->context == job->band->context &&
	       kept->tiled.flushes == atomic_load(&job->engine->device->tlb_flushes) &&
	       kept->tiled.address == part->operand->address + part->batch * part->operand->batch_stride &&
	       had->row == part->row && had->rows == part->rows && had->column == part->column &&
	       had->columns == part->columns;
}

bool engine_tiled_load_factor(const struct band_job *job, const struct engine_tiled_part *part,
			      struct engine_tiled *t)
{
	struct engine_kept *kept = place_of(job->engine, part->unit);

	if (!is_kept(job, part, kept)) {
		engine_tiled_free(&kept->tiled);
		kept->serial = 0;
		return engine_tiled_load(job, part, t);
	}
	*t = kept->tiled;
	*kept = (struct engine_kept){ 0 };
	t->job = job;
	t->card_bytes = 0;
	t->system_bytes = 0;
	return true;
}

void engine_tiled_keep(struct engine_tiled *t)
{
	struct engine_kept *kept;
	uint64_t bytes = 0;

	for (uint64_t i = 0; t->verified && i < (uint64_t)t->view.grid_rows * t->view.grid_columns; i++)
		bytes += bytes_of(t, i) + sizeof(*t->tiles);
	if (!t->verified || !t->job->band->serial || bytes > KEPT_BYTES) {
		engine_tiled_free(t);
		return;
	}
	kept = place_of(t->job->engine, t->unit);
	engine_tiled_free(&kept->tiled);
	*kept = (struct engine_kept){ t->job->band->serial, t->job->band->context, *t };
	kept->tiled.job = NULL;
	kept->tiled.part.operand = NULL;
	t->tiles = NULL;
	t->data = NULL;
}

void engine_tiled_forget(struct engine *engine)
{
	for (int i = 0; i < 2; i++) {
		engine_tiled_free(&engine->kept[i].tiled);
		engine->kept[i] = (struct engine_kept){ 0 };
	}
}

void engine_tiled_charge(const struct engine_tiled *t)
{
	struct quire_device *device = t->job->engine->device;

	t->job->band->bytes_read += t->card_bytes + t->system_bytes - t->written;
	t->job->band->bytes_written += t->written;
	t->job->band->modelled_pj += energy_of_bytes(t->card_bytes, t->system_bytes);
	device_count(device, QUIRE_COUNTER_BYTES_CARD, t->card_bytes);
	device_count(device, QUIRE_COUNTER_BYTES_SYSTEM, t->system_bytes);
}

/* All tiles that a band touches are verified, whole. */
uint64_t engine_tiled_work(const struct quire_packet_gemm *p, const struct quire_band *band)
{
	double lanes = 0, k = (double)p->k + 255;

	if (p->a.format == QUIRE_FORMAT_TILED)
		lanes += (double)band->rows + 255;
	if (p->b.format == QUIRE_FORMAT_TILED)
		lanes += (double)band->columns + 255;
	/* at most 2^26 * 2^32 */
	return (uint64_t)(lanes * k);
}
