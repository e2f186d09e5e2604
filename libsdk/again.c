// SPDX-License-Identifier: MIT
/*
 * Whether a command list can be begun again when a reset of the card has interrupted it: it gives
 * the same unless it writes what it has read before.  What a list reads counts but where it has
 * written all of it first.
 */
#include "internal.h"

static bool overlap(const struct list_span *a, const struct list_span *b)
{
	return a->start < b->end && b->start < a->end;
}

static bool inside(const struct list_span *part, const struct list_span *spans, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (spans[i].start <= part->start && part->end <= spans[i].end)
			return true;
	return false;
}

/* More than a list remembers: it is not begun again. */
static void keep(quire_cmdlist *list, struct list_span *spans, uint32_t *count,
		 const struct list_span *span)
{
	if (inside(span, spans, *count))
		return;
	if (*count == LIST_SPANS)
		list->once = true;
	else
		spans[(*count)++] = *span;
}

void list_reads(quire_cmdlist *list, struct list_span span)
{
	if (!inside(&span, list->written, list->written_count))
		keep(list, list->read, &list->read_count, &span);
}

void list_writes(quire_cmdlist *list, struct list_span span, bool whole)
{
	for (uint32_t i = 0; i < list->read_count; i++)
		if (overlap(&list->read[i], &span))
			list->once = true;
	if (whole)
		keep(list, list->written, &list->written_count, &span);
}

/* From the first element to the end of the buffer: no matrix is longer. */
static struct list_span rest_of(const struct quire_matrix *m)
{
	return (struct list_span){ matrix_address(m),
				   quire_buffer_address(m->buffer) + m->buffer->bytes };
}

static struct list_span span_of(const struct quire_matrix *m)
{
	uint64_t bytes = matrix_bytes(m);
	struct list_span span = rest_of(m);

	if (bytes)
		span.end = span.start + bytes;
	return span;
}

void list_reads_matrix(quire_cmdlist *list, const struct quire_matrix *m)
{
	list_reads(list, span_of(m));
}

/* A tiled image is written as a whole; other matrices may have gaps. */
void list_writes_matrix(quire_cmdlist *list, const struct quire_matrix *m)
{
	bool whole = m->format == QUIRE_FORMAT_TILED ||
		     ((m->leading_dimension == m->columns || m->rows == 1) &&
		      (m->batch == 1 ||
		       m->batch_stride == (uint64_t)m->rows * m->leading_dimension));

	list_writes(list, span_of(m), whole);
}

void list_begins_anew(quire_cmdlist *list)
{
	list->once = false;
	list->read_count = 0;
	list->written_count = 0;
}
