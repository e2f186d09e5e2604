// SPDX-License-Identifier: MIT
/* Address translation: docs/hardware.md section 7. */
#include <string.h>

#include "internal.h"

#define LEVELS 4
#define PAGE_BITS 12
#define INDEX_BITS 9
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
#define CACHED_BITS (QUIRE_PTE_VALID | QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_SYSTEM)

void mmu_report(struct quire_device *device, uint32_t context, const struct fault *fault)
{
	atomic_store(&device->fault_context, context);
	atomic_store(&device->fault_address[0], (uint32_t)fault->address);
	atomic_store(&device->fault_address[1], (uint32_t)(fault->address >> 32));
	atomic_store(&device->fault_info, fault->info);
	device_count(device, QUIRE_COUNTER_FAULTS, 1);
	device_trace(device, QUIRE_TRACE_FAULT, context, fault->address, fault->info);
}

/* Of a virtual page or block; never 0, which marks an empty place. */
static uint64_t tag_of(uint32_t context, uint64_t number)
{
	return (number | (uint64_t)context << 40) + 1;
}

/* One entry of a table; false when the table is not in memory. */
static bool read_entry(struct quire_device *device, uint64_t table, unsigned int index,
		       uint64_t *entry)
{
	uint64_t address = (table & QUIRE_PTE_ADDRESS) + 8 * index;

	if (table & QUIRE_PTE_SYSTEM)
		return dma_bus_read(device, address, entry, sizeof(*entry));
	if (address > device->config.memory_bytes - sizeof(*entry))
		return false;
	/* Whole, while the driver changes it, and before anything it leads to. */
	*entry = __atomic_load_n((const uint64_t *)(device->config.memory + address),
				 __ATOMIC_ACQUIRE);
	return true;
}

/* The entry of level 1 for address, or a reason. */
static enum quire_fault_reason walk_to_block(struct quire_device *device, uint32_t context,
					     uint64_t address, uint64_t *entry)
{
	*entry = device->context_root[context][0] |
		 (uint64_t)device->context_root[context][1] << 32;
	if (!(*entry & QUIRE_PTE_VALID))
		return QUIRE_FAULT_CONTEXT;
	for (int level = LEVELS - 1; level > 0; level--) {
		unsigned int shift = PAGE_BITS + INDEX_BITS * (unsigned int)level;

		if (!read_entry(device, *entry, address >> shift & INDEX_MASK, entry))
			return QUIRE_FAULT_TABLE;
		if (!(*entry & QUIRE_PTE_VALID))
			return QUIRE_FAULT_UNMAPPED;
	}
	return QUIRE_FAULT_NONE;
}

/*
 * The entry of the 4 KiB page at address, or a reason.  An operand is looked up page by
 * page: of each 2 MiB the upper levels are read once.
 */
static enum quire_fault_reason walk(struct quire_device *device, struct tlb *tlb, uint32_t context,
				    uint64_t address, uint64_t *result)
{
	uint64_t tag = tag_of(context, address / QUIRE_BLOCK_BYTES), entry;
	enum quire_fault_reason reason;

	if (tlb->block != tag) {
		reason = walk_to_block(device, context, address, &entry);
		if (reason != QUIRE_FAULT_NONE)
			return reason;
		tlb->block = tag;
		tlb->block_entry = entry;
	}
	entry = tlb->block_entry;
	if (entry & QUIRE_PTE_BLOCK) {
		uint64_t base = entry & QUIRE_PTE_ADDRESS & ~(uint64_t)(QUIRE_BLOCK_BYTES - 1);

		*result = (entry & CACHED_BITS) | base |
			  (address & (QUIRE_BLOCK_BYTES - 1) & QUIRE_PTE_ADDRESS);
	} else {
		if (!read_entry(device, entry, address >> PAGE_BITS & INDEX_MASK, &entry))
			return QUIRE_FAULT_TABLE;
		if (!(entry & QUIRE_PTE_VALID))
			return QUIRE_FAULT_UNMAPPED;
		*result = entry & (CACHED_BITS | QUIRE_PTE_ADDRESS);
	}
	if (!(*result & QUIRE_PTE_SYSTEM) &&
	    (*result & QUIRE_PTE_ADDRESS) > device->config.memory_bytes - QUIRE_PAGE_BYTES)
		return QUIRE_FAULT_TABLE;
	return QUIRE_FAULT_NONE;
}

uint64_t mmu_rest_of_block(const struct tlb *tlb, uint32_t context, uint64_t address)
{
	if (tlb->block != tag_of(context, address / QUIRE_BLOCK_BYTES) ||
	    !(tlb->block_entry & QUIRE_PTE_BLOCK))
		return 0;
	return QUIRE_BLOCK_BYTES - QUIRE_PAGE_BYTES -
	       (address & (QUIRE_BLOCK_BYTES - 1) & ~(uint64_t)(QUIRE_PAGE_BYTES - 1));
}

bool mmu_translate(struct quire_device *device, struct tlb *tlb, uint32_t context,
		   uint64_t address, bool write, uint64_t *entry, struct fault *fault)
{
	uint64_t page = address / QUIRE_PAGE_BYTES;
	uint64_t tag = tag_of(context, page);
	unsigned int slot = page % TLB_ENTRIES;
	uint64_t flushes = atomic_load(&device->tlb_flushes);
	uint32_t reason = QUIRE_FAULT_NONE;

	/*
	 * What is kept was read after the flush before: a walk that a new flush overtakes may
	 * use what an old table says, and keep it, but for this operation's next translation it
	 * is stale.  Operations that begin later have that flush behind them (drain.c).
	 */
	if (tlb->flushes != flushes) {
		memset(tlb->slot, 0, sizeof(tlb->slot));
		tlb->block = 0;
		tlb->flushes = flushes;
	}
	if (context >= QUIRE_CONTEXTS) {
		reason = QUIRE_FAULT_CONTEXT;
	} else if (address >> QUIRE_VA_BITS) {
		reason = QUIRE_FAULT_ADDRESS;
	} else if (tlb->slot[slot].page != tag) {
		reason = walk(device, tlb, context, address, entry);
		if (reason == QUIRE_FAULT_NONE) {
			tlb->slot[slot].page = tag;
			tlb->slot[slot].entry = *entry;
		}
	} else {
		*entry = tlb->slot[slot].entry;
	}
	if (reason == QUIRE_FAULT_NONE && !(*entry & (write ? QUIRE_PTE_WRITE : QUIRE_PTE_READ)))
		reason = QUIRE_FAULT_PERMISSION;
	if (reason == QUIRE_FAULT_NONE)
		return true;
	if (!fault)
		return false;
	fault->info = reason | (write ? QUIRE_FAULT_WRITE : 0);
	fault->address = address;
	mmu_report(device, context, fault);
	return false;
}
