// SPDX-License-Identifier: GPL-2.0-only
/* Bus addresses of a buffer, and where among them a page is. */
#include <linux/mm.h>
#include <linux/slab.h>

#include "quire_device.h"
#include "quire_segments.h"

/* Pieces from one mark to the next: a quarter of a byte for a page that is one. */
#define QUIRE_SEGMENTS_STEP 64

int quire_segments_init(struct quire_segments *segments, struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;
	u64 offset = 0;

	segments->sgt = sgt;
	segments->marks = NULL;
	segments->count = 0;
	if (sgt->nents <= QUIRE_SEGMENTS_STEP)
		return 0;
	segments->marks = kvmalloc_array(DIV_ROUND_UP(sgt->nents, QUIRE_SEGMENTS_STEP),
					 sizeof(*segments->marks), QUIRE_GFP_CALL);
	if (!segments->marks)
		return -ENOMEM;
	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (i % QUIRE_SEGMENTS_STEP == 0)
			segments->marks[segments->count++] =
				(struct quire_segment_mark){ .sg = sg, .offset = offset };
		offset += sg_dma_len(sg);
	}
	return 0;
}

void quire_segments_fini(struct quire_segments *segments)
{
	kvfree(segments->marks);
	memset(segments, 0, sizeof(*segments));
}

/* The last mark that is not behind @offset; there is one at 0. */
static unsigned int quire_segments_mark(const struct quire_segments *segments, u64 offset)
{
	unsigned int first = 0, end = segments->count;

	while (end - first > 1) {
		unsigned int middle = first + (end - first) / 2;

		if (segments->marks[middle].offset <= offset)
			first = middle;
		else
			end = middle;
	}
	return first;
}

struct quire_segment quire_segments_find(const struct quire_segments *segments, u64 offset)
{
	struct quire_segment at = { .sg = segments->sgt->sgl, .left = segments->sgt->nents };

	if (segments->count) {
		unsigned int mark = quire_segments_mark(segments, offset);

		at.sg = segments->marks[mark].sg;
		at.left -= mark * QUIRE_SEGMENTS_STEP;
		offset -= segments->marks[mark].offset;
	}
	for (; at.left && offset >= sg_dma_len(at.sg); at.left--, at.sg = sg_next(at.sg))
		offset -= sg_dma_len(at.sg);
	at.offset = offset;
	return at;
}
