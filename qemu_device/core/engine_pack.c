// SPDX-License-Identifier: MIT
/*
 * Bands of PACK and UNPACK.  Tiles are packed into private memory by a private copy of
 * their descriptors, then data and descriptors are written, so that nothing the guest
 * writes meanwhile leads anybody out of the image.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_view.h"

static struct engine_tiled_part part_of(const struct band_job *job, uint32_t unit)
{
	const struct quire_packet_pack *p = job->packet;
	const struct quire_band *band = job->band;

	return (struct engine_tiled_part){
		.operand = quire_pack_image(p), .unit = unit, .row = band->row, .rows = band->rows,
		.column = band->column, .columns = band->columns, .pack = p,
	};
}

static bool give_up(const struct band_job *job, int error)
{
	job->band->status = QUIRE_STATUS_ENGINE_ERROR;
	job->band->detail = (uint32_t)error;
	return false;
}

static void set_cycles(struct quire_band *band)
{
	band->cycles = (band->bytes_read + band->bytes_written + QUIRE_MODEL_BYTES_PER_CYCLE - 1) /
		       QUIRE_MODEL_BYTES_PER_CYCLE;
}

static uint64_t bytes_of(const struct engine_tiled *t, const struct quire_tile *tile)
{
	return quire_tile_bytes(t->header.tile_rows, t->header.tile_columns, tile->bits);
}

/* A band of whole tiles: a header that changed behind the firmware's back may have others. */
static bool is_whole(const struct engine_tiled *t, const struct quire_band *band)
{
	return t->view.row == 0 && t->view.column == 0 && t->view.shape.rows == band->rows &&
	       t->view.shape.columns == band->columns;
}

/* Pack the band's tiles into data, one behind the other, and complete the descriptors. */
static bool pack_tiles(const struct band_job *job, struct engine_tiled *t, const struct view *source)
{
	const struct quire_packet_pack *p = job->packet;
	const struct quire_dense dense = { source->data, p->source.format, 0,
					   source->leading_dimension };
	uint64_t count = (uint64_t)t->view.grid_rows * t->view.grid_columns, at = 0;
	struct quire_tile *packed = malloc(count * sizeof(*packed));
	int error = packed ? 0 : ENOMEM;

	if (packed) {
		memcpy(packed, t->tiles, count * sizeof(*packed));
		for (uint64_t i = 0; i < count; i++) {
			/* at most 64 MiB */
			packed[i].offset = (uint32_t)(at / QUIRE_TILED_UNIT);
			at += bytes_of(t, &packed[i]);
		}
		error = -quire_tiled_pack_into(&t->view, &dense, packed, t->data,
					       job->engine->threads);
	}
	for (uint64_t i = 0; !error && i < count; i++) {
		t->tiles[i].largest = packed[i].largest;
		t->tiles[i].checksum = packed[i].checksum;
		job->band->exceptional += packed[i].largest == QUIRE_TILE_LARGEST_NAR;
	}
	free(packed);
	return !error || give_up(job, error);
}

/* Bytes of the image that are the band's to write: into memory, and into the digest. */
static bool put(const struct band_job *job, struct engine_tiled *t, uint64_t offset,
		const void *from, uint64_t bytes)
{
	job->band->digest += quire_tiled_digest(from, offset, bytes);
	return engine_tiled_store(t, offset, from, bytes);
}

/* One row of tiles of the band, whose data lie at `from`: they lie together in the image. */
static bool put_row(const struct band_job *job, struct engine_tiled *t, uint64_t row,
		    const uint8_t *from, uint64_t *bytes)
{
	uint64_t columns = t->view.grid_columns, first = 0;
	const struct quire_tile *tiles = t->tiles + row * columns;
	uint64_t in_grid = (t->tile_row + row) *
				   quire_tiled_grid(t->header.columns, t->header.tile_columns) +
			   t->tile_column;

	*bytes = 0;
	for (uint64_t c = 0; c < columns; c++) {
		if (tiles[c].bits && !*bytes)
			first = (uint64_t)tiles[c].offset * QUIRE_TILED_UNIT;
		*bytes += bytes_of(t, &tiles[c]);
	}
	return put(job, t, first, from, *bytes) &&
	       put(job, t, sizeof(t->header) + in_grid * sizeof(*tiles), tiles,
		   columns * sizeof(*tiles));
}

/* What is nobody's tile: the header, which the firmware writes, and the zeros. */
static bool put_rest(const struct band_job *job, struct engine_tiled *t)
{
	static const uint64_t zeros[QUIRE_TILED_ALIGN / sizeof(uint64_t)];
	uint64_t from = sizeof(t->header) + t->header.tiles * sizeof(*t->tiles);

	job->band->digest += quire_tiled_digest(&t->header, 0, sizeof(t->header));
	return put(job, t, from, zeros, quire_tiled_data_start(t->header.tiles) - from);
}

static bool put_image(const struct band_job *job, struct engine_tiled *t)
{
	const uint8_t *from = t->data;
	uint64_t bytes;

	for (uint64_t r = 0; r < t->view.grid_rows; r++, from += bytes)
		if (!put_row(job, t, r, from, &bytes))
			return false;
	return job->band->row || job->band->column || put_rest(job, t);
}

static bool pack(const struct band_job *job, struct engine_tiled *t, struct view *source)
{
	const struct engine_tiled_part part = part_of(job, QUIRE_FAULT_UNIT_DESTINATION);
	uint64_t bytes;

	if (!engine_tiled_load_plan(job, &part, t, &bytes) || !view_try_in_place(job, source))
		return false;
	if (t->too_large || !view_fits(source))
		return give_up(job, E2BIG);
	if (!is_whole(t, job->band))
		return engine_tiled_wrong_header(t, offsetof(struct quire_tiled_header, tile_rows));
	t->data = malloc(bytes ? bytes : 1);
	if (!t->data)
		return give_up(job, ENOMEM);
	if ((!source->in_place && !view_stage(job, source, SLOT_A, true)) ||
	    !pack_tiles(job, t, source) || !put_image(job, t))
		return false;
	view_charge(job, source, false);
	engine_tiled_charge(t);
	return true;
}

void engine_pack(const struct band_job *job)
{
	const struct quire_packet_pack *p = job->packet;
	struct view source = view_of_band(job, &p->source, QUIRE_FAULT_UNIT_SOURCE, false);
	struct engine_tiled t = { 0 };

	if (pack(job, &t, &source))
		set_cycles(job->band);
	view_put(job, &source);
	engine_tiled_free(&t);
}

static bool unpack(const struct band_job *job, struct engine_tiled *t, struct view *destination)
{
	const struct quire_packet_pack *p = job->packet;
	const struct engine_tiled_part part = part_of(job, QUIRE_FAULT_UNIT_SOURCE);
	struct quire_tiled_output output = {
		.format = p->destination.format,
		.digest_row = job->band->row,
		.digest_column = job->band->column,
		.digest_columns = p->columns,
	};
	int error;

	if (!engine_tiled_load(job, &part, t) || !view_try_in_place(job, destination))
		return false;
	if (t->too_large || !view_fits(destination))
		return give_up(job, E2BIG);
	if (!destination->in_place && !view_stage(job, destination, SLOT_D, false))
		return false;
	output.data = destination->data;
	output.leading_dimension = destination->leading_dimension;
	error = quire_tiled_unpack(&t->view, job->band->rows, job->band->columns, &output,
				   job->engine->threads, &job->band->digest,
				   &job->band->exceptional);
	if (error)
		return give_up(job, -error);
	engine_tiled_charge(t);
	view_charge(job, destination, true);
	return destination->in_place || view_transfer(job, destination, true);
}

void engine_unpack(const struct band_job *job)
{
	const struct quire_packet_pack *p = job->packet;
	struct view destination = view_of_band(job, &p->destination,
					       QUIRE_FAULT_UNIT_DESTINATION, true);
	struct engine_tiled t = { 0 };

	if (unpack(job, &t, &destination))
		set_cycles(job->band);
	view_put(job, &destination);
	engine_tiled_free(&t);
}

/* Tiles are whole even where the matrix is not: about half of one more. */
uint64_t engine_pack_work(const struct quire_packet_pack *p, const struct quire_band *band)
{
	return view_saturated(8.0 * (band->rows + 31.0) * (band->columns + 31.0) +
			      view_work(quire_pack_dense(p), band->rows));
}
