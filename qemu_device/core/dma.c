// SPDX-License-Identifier: MIT
/* Moving data by bus address and by virtual address. */
#include <string.h>

#include "internal.h"

bool dma_bus_read(struct quire_device *device, uint64_t address, void *to, size_t bytes)
{
	if (quire_device_in_reset(device) ||
	    device_injection_fires(device, QUIRE_INJECT_DMA_ERRORS))
		return false;
	return device->bus.read(device->bus.opaque, address, to, bytes);
}

bool dma_bus_write(struct quire_device *device, uint64_t address, const void *from, size_t bytes)
{
	if (quire_device_in_reset(device) ||
	    device_injection_fires(device, QUIRE_INJECT_DMA_ERRORS))
		return false;
	return device->bus.write(device->bus.opaque, address, from, bytes);
}

static bool bus_fault(struct quire_device *device, uint32_t context, uint64_t address, bool write,
		      struct fault *fault)
{
	fault->info = QUIRE_FAULT_BUS | (write ? QUIRE_FAULT_WRITE : 0);
	fault->address = address;
	mmu_report(device, context, fault);
	return false;
}

/* Small transfers: page by page, copied. */
bool dma_copy(struct quire_device *device, struct tlb *tlb, uint32_t context, uint64_t address,
	      void *local, uint64_t bytes, bool write, struct fault *fault)
{
	uint8_t *at = local;

	while (bytes) {
		uint64_t in_page = QUIRE_PAGE_BYTES - address % QUIRE_PAGE_BYTES;
		uint64_t count = bytes < in_page ? bytes : in_page;
		uint64_t entry, target;
		bool good = true;

		if (!mmu_translate(device, tlb, context, address, write, &entry, fault))
			return false;
		target = (entry & QUIRE_PTE_ADDRESS) + address % QUIRE_PAGE_BYTES;
		if (entry & QUIRE_PTE_SYSTEM) {
			good = write ? dma_bus_write(device, target, at, count) :
				       dma_bus_read(device, target, at, count);
		} else if (write) {
			memcpy(device->config.memory + target, at, count);
			device->bus.card_written(device->bus.opaque, target, count);
		} else {
			memcpy(at, device->config.memory + target, count);
		}
		if (!good)
			return bus_fault(device, context, address, write, fault);
		at += count;
		address += count;
		bytes -= count;
	}
	return true;
}

/* Bytes from address on, up to `bytes`, whose pages follow each other in one aperture. */
static uint64_t contiguous(struct quire_device *device, struct tlb *tlb, uint32_t context,
			   uint64_t address, uint64_t bytes, bool write, uint64_t first)
{
	uint64_t length = QUIRE_PAGE_BYTES - address % QUIRE_PAGE_BYTES;
	uint64_t entry;

	while (length < bytes) {
		/* Tables may go on for the whole of the address space. */
		if (tlb->engine && engine_stopped(tlb->engine))
			break;
		/* A fault further on is found, and reported, when its turn comes. */
		if (address + length >= 1ull << QUIRE_VA_BITS ||
		    !mmu_translate(device, tlb, context, address + length, write, &entry, NULL))
			break;
		if ((entry ^ first) & QUIRE_PTE_SYSTEM ||
		    (entry & QUIRE_PTE_ADDRESS) !=
			    (first & QUIRE_PTE_ADDRESS) + address % QUIRE_PAGE_BYTES + length)
			break;
		length += QUIRE_PAGE_BYTES + mmu_rest_of_block(tlb, context, address + length);
	}
	return length < bytes ? length : bytes;
}

bool segment_get(struct quire_device *device, struct tlb *tlb, uint32_t context,
		 uint64_t address, uint64_t bytes, bool write, struct segment *segment,
		 struct fault *fault)
{
	uint64_t entry, target;
	size_t mapped;

	if (!mmu_translate(device, tlb, context, address, write, &entry, fault))
		return false;
	bytes = contiguous(device, tlb, context, address, bytes, write, entry);
	target = (entry & QUIRE_PTE_ADDRESS) + address % QUIRE_PAGE_BYTES;
	segment->write = write;
	segment->system = entry & QUIRE_PTE_SYSTEM;
	segment->bytes = bytes;
	if (!segment->system) {
		segment->card_offset = target;
		segment->host = device->config.memory + target;
		return true;
	}
	if (quire_device_in_reset(device) ||
	    device_injection_fires(device, QUIRE_INJECT_DMA_ERRORS))
		return bus_fault(device, context, address, write, fault);
	mapped = bytes;
	segment->host = device->bus.map(device->bus.opaque, target, &mapped, write);
	if (!segment->host || !mapped)
		return bus_fault(device, context, address, write, fault);
	segment->bytes = mapped;
	return true;
}

void segment_put(struct quire_device *device, const struct segment *segment)
{
	if (segment->system)
		device->bus.unmap(device->bus.opaque, segment->host, segment->bytes, segment->write);
	else if (segment->write)
		device->bus.card_written(device->bus.opaque, segment->card_offset, segment->bytes);
}
