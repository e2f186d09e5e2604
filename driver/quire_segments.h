/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_SEGMENTS_H
#define QUIRE_SEGMENTS_H

#include <linux/scatterlist.h>
#include <linux/types.h>

/** struct quire_segment_mark - where a segment begins */
struct quire_segment_mark {
	/** @sg: the segment */
	struct scatterlist *sg;
	/** @offset: bytes before it */
	u64 offset;
};

/**
 * struct quire_segments - memory as the card addresses it, segments one after the other
 *
 * Pages that lie anywhere are as many segments, and a buffer may be mapped page by page: so a
 * page is found without a walk over all that is before it.
 */
struct quire_segments {
	/** @sgt: bus addresses */
	struct sg_table *sgt;
	/** @marks: of the segments 0, QUIRE_SEGMENTS_STEP and so on; NULL if there are no more */
	struct quire_segment_mark *marks;
	/** @count: of @marks */
	unsigned int count;
};

/** struct quire_segment - a place in them */
struct quire_segment {
	/** @sg: the segment, if @left is not 0 */
	struct scatterlist *sg;
	/** @left: segments from this one to the last */
	unsigned int left;
	/** @offset: in the segment */
	u64 offset;
};

/* @sgt has bus addresses; -ENOMEM. */
int quire_segments_init(struct quire_segments *segments, struct sg_table *sgt);
void quire_segments_fini(struct quire_segments *segments);

/* The segment that holds byte @offset, or none: @offset lies behind them all. */
struct quire_segment quire_segments_find(const struct quire_segments *segments, u64 offset);

#endif /* QUIRE_SEGMENTS_H */
