// SPDX-License-Identifier: MIT
/*
 * Flushes that drain: docs/hardware.md section 7.
 *
 * All accesses here are sequentially consistent, so there is one order of them.  A flush
 * makes old translations stale (tlb_flushes) and then counts (flushed).  A unit notes its
 * context and that count, and then looks at tlb_flushes before each translation.  Whoever
 * reads DRAINED after a flush either finds the note, and the count in it says whether the
 * operation is older; or the reading comes before the note, and then the flush comes before
 * the unit's look at tlb_flushes: the unit uses the new tables, although its note may have
 * an old count.  So what DRAINED has said once stays true, and it never goes back.
 * A unit that ends removes its note and then reads the count.  If it misses a flush there,
 * that flush comes later, and its issuer does not find the note any more.
 */
#include "internal.h"

void drain_flush(struct quire_device *device, uint32_t context)
{
	if (context >= QUIRE_CONTEXTS && context != QUIRE_TLB_FLUSH_ALL)
		return;
	atomic_fetch_add(&device->tlb_flushes, 1);
	for (uint32_t c = 0; c < QUIRE_CONTEXTS; c++)
		if (context == c || context == QUIRE_TLB_FLUSH_ALL)
			atomic_fetch_add(&device->flushed[c], 1);
}

void drain_begin(struct quire_device *device, struct tlb *tlb, uint32_t context)
{
	atomic_store(&tlb->operation, OPERATION_BUSY | (uint64_t)context << 32 |
					      atomic_load(&device->flushed[context]));
}

void drain_end(struct quire_device *device, struct tlb *tlb)
{
	uint64_t operation = atomic_exchange(&tlb->operation, 0);
	uint32_t context = operation >> 32 & (QUIRE_CONTEXTS - 1);

	if (operation && (uint32_t)operation != atomic_load(&device->flushed[context]))
		device_post_event(device, QUIRE_EVENT_DRAINED);
}

/* The older of two counts, which wrap around. */
static uint32_t older(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0 ? a : b;
}

static uint32_t oldest(const struct tlb *tlb, uint32_t context, uint32_t drained)
{
	uint64_t operation = atomic_load(&tlb->operation);

	if (!operation || (operation >> 32 & (QUIRE_CONTEXTS - 1)) != context)
		return drained;
	return older((uint32_t)operation, drained);
}

uint32_t drain_drained(struct quire_device *device, uint32_t context)
{
	uint32_t flushed = atomic_load(&device->flushed[context]);
	uint32_t drained = oldest(&device->mcu_tlb, context, flushed);
	uint32_t before = atomic_load(&device->drained[context]);

	for (unsigned int i = 0; i < device->config.engines; i++)
		drained = oldest(&device->engine[i].tlb, context, drained);
	do {
		/* A count ahead of the flushes is of the time before a reset of the function. */
		if (older(before, drained) == drained && older(before, flushed) == before)
			return before;
	} while (!atomic_compare_exchange_weak(&device->drained[context], &before, drained));
	return drained;
}
