// SPDX-License-Identifier: MIT
/* Where the elements of a view lie, and what moving them costs: see engine_view.h. */
#include <errno.h>
#include <stdlib.h>

#include "engine_view.h"

struct view view_of_band(const struct band_job *job, const struct quire_operand *o, uint32_t unit,
			 bool write)
{
	const struct quire_band *band = job->band;

	return (struct view){
		.operand = o, .unit = unit, .row = band->row, .rows = band->rows,
		.column = band->column, .columns = band->columns, .write = write,
	};
}

bool view_fits(const struct view *view)
{
	return view->in_place || view->rows <= STAGING_BYTES / view_row_bytes(view);
}

static uint64_t view_address(const struct view *view, uint64_t row)
{
	const struct quire_operand *o = view->operand;

	return o->address + quire_check_bytes(o->format,
			view->batch * o->batch_stride + (view->row + row) * o->leading_dimension +
			view->column);
}

uint64_t view_row_bytes(const struct view *view)
{
	return quire_check_bytes(view->operand->format, view->columns);
}

uint64_t view_bytes(const struct view *view)
{
	return view->rows * view_row_bytes(view);
}

bool view_try_in_place(const struct band_job *job, struct view *view)
{
	struct quire_device *device = job->engine->device;
	uint64_t span, start = view_address(view, 0);
	struct fault fault;

	view->leading_dimension = view->operand->leading_dimension;
	view->in_place = false;
	span = quire_check_bytes(view->operand->format,
				 (view->rows - 1) * view->leading_dimension + view->columns);
	if (!segment_get(device, &job->engine->tlb, job->band->context, start, span, view->write,
			 &view->segment, &fault)) {
		engine_fault(job, &fault, view->unit);
		return false;
	}
	view->system = view->segment.system;
	if (view->segment.bytes == span) {
		view->in_place = true;
		view->data = view->segment.host;
	} else {
		/* Nothing was written through it. */
		view->segment.write = false;
		segment_put(device, &view->segment);
	}
	return true;
}

void view_put(const struct band_job *job, struct view *view)
{
	if (view->in_place)
		segment_put(job->engine->device, &view->segment);
	view->in_place = false;
}

bool view_transfer(const struct band_job *job, struct view *view, bool write)
{
	uint64_t row_bytes = view_row_bytes(view);
	struct fault fault;

	for (uint64_t row = 0; row < view->rows; row++) {
		if (row % 1024 == 1023 && engine_stopped(job->engine)) {
			job->band->status = QUIRE_STATUS_CANCELLED;
			return false;
		}
		if (!dma_copy(job->engine->device, &job->engine->tlb, job->band->context,
			      view_address(view, row), view->data + row * row_bytes, row_bytes,
			      write, &fault)) {
			engine_fault(job, &fault, view->unit);
			return false;
		}
	}
	return true;
}

bool view_stage(const struct band_job *job, struct view *view, unsigned int slot, bool load)
{
	struct engine *engine = job->engine;

	if (!engine->staging[slot]) {
		engine->staging[slot] = malloc(STAGING_BYTES);
		if (!engine->staging[slot]) {
			job->band->status = QUIRE_STATUS_ENGINE_ERROR;
			job->band->detail = ENOMEM;
			return false;
		}
	}
	view->data = engine->staging[slot];
	view->leading_dimension = view->columns;
	if (view->operand->format == QUIRE_FORMAT_MXFP8)
		view->leading_dimension = (view->columns + QUIRE_MX_ELEMENTS - 1) /
					  QUIRE_MX_ELEMENTS * QUIRE_MX_ELEMENTS;
	return !load || view_transfer(job, view, false);
}

void view_charge(const struct band_job *job, const struct view *view, bool write)
{
	struct quire_device *device = job->engine->device;
	uint64_t bytes = view_bytes(view);

	if (write)
		job->band->bytes_written += bytes;
	else
		job->band->bytes_read += bytes;
	device_count(device, view->system ? QUIRE_COUNTER_BYTES_SYSTEM : QUIRE_COUNTER_BYTES_CARD,
		     bytes);
	job->band->modelled_pj += view->system ? energy_of_bytes(0, bytes) : energy_of_bytes(bytes, 0);
}

/* A row and a page to translate each cost as much as some products. */
#define WORK_PER_ROW 32
#define WORK_PER_PAGE 32

double view_work(const struct quire_operand *o, double rows)
{
	double pages = rows * quire_check_bytes(o->format, o->leading_dimension) / QUIRE_PAGE_BYTES;

	return rows * WORK_PER_ROW + pages * WORK_PER_PAGE;
}

uint64_t view_saturated(double work)
{
	return work > 1e18 ? (uint64_t)1e18 : (uint64_t)work;
}
