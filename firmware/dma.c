// SPDX-License-Identifier: GPL-2.0-only
#include "firmware.h"
#include "io.h"

static uint32_t transfer(uint32_t context, uint64_t address, const void *sram, uint32_t bytes,
			 uint32_t command, uint64_t *fault_address)
{
	uint32_t fault;

	io_sram_barrier();
	io_write(QUIRE_IO_DMA_CONTEXT, context);
	io_write(QUIRE_IO_DMA_ADDRESS_LO, (uint32_t)address);
	io_write(QUIRE_IO_DMA_ADDRESS_HI, (uint32_t)(address >> 32));
	io_write(QUIRE_IO_DMA_SRAM, (uint32_t)(uintptr_t)sram);
	io_write(QUIRE_IO_DMA_BYTES, bytes);
	io_write(QUIRE_IO_DMA_COMMAND, command);
	io_sram_barrier();
	fault = io_read(QUIRE_IO_DMA_STATUS);
	if (fault)
		*fault_address = io_read(QUIRE_IO_DMA_FAULT_LO) |
				 (uint64_t)io_read(QUIRE_IO_DMA_FAULT_HI) << 32;
	return fault;
}

uint32_t dma_read(uint32_t context, uint64_t address, void *to, uint32_t bytes,
		  uint64_t *fault_address)
{
	return transfer(context, address, to, bytes, QUIRE_DMA_TO_SRAM, fault_address);
}

uint32_t dma_write(uint32_t context, uint64_t address, const void *from, uint32_t bytes,
		   uint64_t *fault_address)
{
	return transfer(context, address, from, bytes, QUIRE_DMA_FROM_SRAM, fault_address);
}

uint32_t dma_write_record(uint64_t address, const struct quire_fence_record *record)
{
	uint64_t fault_address;

	return transfer(QUIRE_DMA_BUS, address, record, sizeof(*record), QUIRE_DMA_RECORD,
			&fault_address);
}
