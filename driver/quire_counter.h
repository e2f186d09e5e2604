/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_COUNTER_H
#define QUIRE_COUNTER_H

#include <linux/spinlock.h>
#include <linux/types.h>

#include <quire/hw.h>

struct quire_device;

/** struct quire_counters - telemetry counters, which a reset of the function clears on the card */
struct quire_counters {
	/** @lock: protects all below; the card latches the high word of one counter at a time */
	spinlock_t lock;
	/** @total: since probe, up to @last */
	u64 total[QUIRE_COUNTERS];
	/** @last: what the card has told last */
	u64 last[QUIRE_COUNTERS];
};

/* Before anything else here; the card may count already. */
void quire_counters_init(struct quire_device *qdev);

/*
 * Counter @i (enum quire_counter) since probe, over all resets; the temperature is a level.
 * Inside quire_card_enter(); any context.
 */
u64 quire_counter(struct quire_device *qdev, u32 i);
/* The same up to when the card was asked last: without touching it. */
u64 quire_counter_kept(struct quire_device *qdev, u32 i);

/* Whoever takes the card away, before, and whoever brings it back, before firmware runs. */
void quire_counters_keep(struct quire_device *qdev);

#endif
