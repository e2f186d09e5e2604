// SPDX-License-Identifier: MIT
/* Faults on purpose, for tests: docs/hardware.md section 10. */
#include "internal.h"

const char *quire_injection_name(enum quire_injection injection)
{
	static const char *const names[QUIRE_INJECTIONS] = {
		[QUIRE_INJECT_ENGINE_HANG] = "engine-hang",
		[QUIRE_INJECT_ENGINE_DEAF] = "engine-deaf",
		[QUIRE_INJECT_ENGINE_STUCK] = "engine-stuck",
		[QUIRE_INJECT_ENGINE_FROZEN] = "engine-frozen",
		[QUIRE_INJECT_MCU_HALT] = "mcu-halt",
		[QUIRE_INJECT_CRASH_FIRMWARE] = "crash-firmware",
		[QUIRE_INJECT_DROP_INTERRUPTS] = "drop-interrupts",
		[QUIRE_INJECT_CORRUPT_FIRMWARE] = "corrupt-firmware",
		[QUIRE_INJECT_DMA_ERRORS] = "dma-errors",
		[QUIRE_INJECT_FORGET_MEMORY] = "forget-memory",
		[QUIRE_INJECT_LOSE_RESUMES] = "lose-resumes",
	};

	return names[injection];
}

const char *quire_injection_description(enum quire_injection injection)
{
	static const char *const texts[QUIRE_INJECTIONS] = {
		[QUIRE_INJECT_ENGINE_HANG] = "bitmap of engines that never finish; cancel works",
		[QUIRE_INJECT_ENGINE_DEAF] = "bitmap of engines that hang and ignore cancel",
		[QUIRE_INJECT_ENGINE_STUCK] = "bitmap of engines that hang, ignore RESET, too",
		[QUIRE_INJECT_ENGINE_FROZEN] = "bitmap of engines that hang, whatever is reset",
		[QUIRE_INJECT_MCU_HALT] = "not 0: the control processor stands still",
		[QUIRE_INJECT_CRASH_FIRMWARE] = "so many times the processor jumps out of its memory",
		[QUIRE_INJECT_DROP_INTERRUPTS] = "so many interrupts get lost",
		[QUIRE_INJECT_CORRUPT_FIRMWARE] = "so many boots see a flipped bit in the image",
		[QUIRE_INJECT_DMA_ERRORS] = "so many accesses to the bus are refused",
		[QUIRE_INJECT_FORGET_MEMORY] = "so many resets of the function lose card memory",
		[QUIRE_INJECT_LOSE_RESUMES] = "so many queues go on and nobody is told",
	};

	return texts[injection];
}

void quire_device_inject(struct quire_device *device, enum quire_injection injection,
			 uint32_t value)
{
	atomic_store(&device->injected[injection], value);
	/* A processor that stood still has events to look at. */
	processor_kick(device);
}

uint32_t quire_device_injected(struct quire_device *device, enum quire_injection injection)
{
	return atomic_load(&device->injected[injection]);
}
