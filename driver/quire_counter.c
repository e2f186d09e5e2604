// SPDX-License-Identifier: GPL-2.0-only
/*
 * Telemetry counters go on where the card begins anew: with each reset of the function, so with
 * each time it has slept.  What it has counted is asked for before it goes, and when it is back
 * before it runs anything: a count that is less than the last one began at 0.
 */
#include "quire_counter.h"
#include "quire_device.h"

static u64 quire_counter_locked(struct quire_device *qdev, u32 i)
{
	struct quire_counters *counters = &qdev->counters;
	u64 value;

	lockdep_assert_held(&counters->lock);
	value = quire_read64(qdev, QUIRE_REG_COUNTER_LO(i));
	if (i == QUIRE_COUNTER_TEMPERATURE)
		return value;
	/* All ones: it has been pulled, or is in reset, perhaps between the two words. */
	if (upper_32_bits(value) == ~0u)
		return counters->total[i];
	if (value < counters->last[i])
		counters->last[i] = 0;
	counters->total[i] += value - counters->last[i];
	counters->last[i] = value;
	return counters->total[i];
}

u64 quire_counter(struct quire_device *qdev, u32 i)
{
	unsigned long flags;
	u64 value;

	spin_lock_irqsave(&qdev->counters.lock, flags);
	value = quire_counter_locked(qdev, i);
	spin_unlock_irqrestore(&qdev->counters.lock, flags);
	return value;
}

u64 quire_counter_kept(struct quire_device *qdev, u32 i)
{
	unsigned long flags;
	u64 value;

	spin_lock_irqsave(&qdev->counters.lock, flags);
	value = qdev->counters.total[i];
	spin_unlock_irqrestore(&qdev->counters.lock, flags);
	return value;
}

void quire_counters_keep(struct quire_device *qdev)
{
	for (u32 i = 0; i < QUIRE_COUNTERS; i++)
		quire_counter(qdev, i);
}

void quire_counters_init(struct quire_device *qdev)
{
	struct quire_counters *counters = &qdev->counters;

	spin_lock_init(&counters->lock);
	quire_counters_keep(qdev);
	/* Of before is nobody here. */
	memset(counters->total, 0, sizeof(counters->total));
}
