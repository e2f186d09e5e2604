/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_MIGRATE_H
#define QUIRE_MIGRATE_H

#include <linux/types.h>

struct quire_device;
struct quire_segments;

/** struct quire_extent - where the contents of a buffer lie, from its beginning */
struct quire_extent {
	/** @segments: pages of system memory, or NULL: one range of card memory */
	const struct quire_segments *segments;
	/** @card: offset of that range */
	u64 card;
};

/* In probe after quire_queues_init(); fini when nobody is in a call any more. */
int quire_migrate_init(struct quire_device *qdev);
void quire_migrate_fini(struct quire_device *qdev);

/*
 * The engines copy @bytes, or with @from NULL write zeros: nobody else reaches @to, and nothing
 * of the card reaches it through us when this returns.  May sleep until the card is back from
 * a reset.  -ERESTARTSYS: killed, between two pieces.  Other errors: the card did not do it, and
 * @to holds anything.
 */
int quire_migrate(struct quire_device *qdev, const struct quire_extent *to,
		  const struct quire_extent *from, u64 bytes);

#endif /* QUIRE_MIGRATE_H */
