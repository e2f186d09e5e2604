// SPDX-License-Identifier: MIT
/* Bands of CONVERT: in place, or by way of staging memory where pages are scattered. */
#include <errno.h>

#include <quirenum/convert.h>

#include "engine_view.h"

/* Convert what the views show. */
static bool compute(const struct band_job *job, const struct view *source,
		    const struct view *destination)
{
	const struct quire_packet_convert *p = job->packet;
	const struct quire_convert convert = {
		.rows = source->rows,
		.columns = source->columns,
		.source = source->data,
		.destination = destination->data,
		.source_format = p->source.format,
		.destination_format = p->destination.format,
		.source_leading_dimension = source->leading_dimension,
		.destination_leading_dimension = destination->leading_dimension,
		.factor = 1,
		.digest_row = source->row,
		.digest_column = source->column,
		.digest_columns = p->columns,
		.cancel = &job->engine->cancel,
		.threads = job->engine->threads,
	};
	struct quire_convert_result result;
	int error = quire_convert(&convert, &result);

	if (error) {
		job->band->status = error == -ECANCELED ? QUIRE_STATUS_CANCELLED :
							  QUIRE_STATUS_ENGINE_ERROR;
		job->band->detail = error == -ECANCELED ? 0 : (uint32_t)-error;
		return false;
	}
	job->band->digest += result.digest;
	job->band->exceptional += result.exceptional;
	return true;
}

/* The views have been looked at. */
static void run(const struct band_job *job, struct view *source, struct view *destination)
{
	if ((!source->in_place && !view_stage(job, source, SLOT_A, true)) ||
	    (!destination->in_place && !view_stage(job, destination, SLOT_D, false)) ||
	    !compute(job, source, destination))
		return;
	view_charge(job, source, false);
	view_charge(job, destination, true);
	if (!destination->in_place)
		view_transfer(job, destination, true);
}

void engine_convert(const struct band_job *job)
{
	const struct quire_packet_convert *p = job->packet;
	struct quire_band *band = job->band;
	struct view source = view_of_band(job, &p->source, QUIRE_FAULT_UNIT_SOURCE, false);
	struct view destination = view_of_band(job, &p->destination, QUIRE_FAULT_UNIT_DESTINATION, true);

	if (view_try_in_place(job, &source) && view_try_in_place(job, &destination)) {
		if (view_fits(&source) && view_fits(&destination)) {
			run(job, &source, &destination);
		} else {
			band->status = QUIRE_STATUS_ENGINE_ERROR;
			band->detail = E2BIG;
		}
	}
	view_put(job, &source);
	view_put(job, &destination);
	band->cycles = (band->bytes_read + band->bytes_written + QUIRE_MODEL_BYTES_PER_CYCLE - 1) /
		       QUIRE_MODEL_BYTES_PER_CYCLE;
}

uint64_t engine_convert_work(const struct quire_packet_convert *p, const struct quire_band *band)
{
	return view_saturated(8.0 * band->rows * band->columns +
			      view_work(&p->source, band->rows) +
			      view_work(&p->destination, band->rows));
}
