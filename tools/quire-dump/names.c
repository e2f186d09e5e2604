// SPDX-License-Identifier: MIT
/* What the numbers of a dump mean. */
#include <string.h>

#include "dump.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const char *const *names, size_t count, uint32_t value)
{
	return value < count ? names[value] : NULL;
}

const char *dump_reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[QUIRE_DUMP_JOB_FAILED] = "job failed",
		[QUIRE_DUMP_JOB_TIMEOUT] = "job over its time limit",
		[QUIRE_DUMP_RESET] = "reset of the card",
	};

	return name_of(names, COUNT(names), reason);
}

const char *dump_status_name(uint32_t status)
{
	static const char *const names[] = {
		[QUIRE_STATUS_OK] = "OK",
		[QUIRE_STATUS_PENDING] = "PENDING",
		[QUIRE_STATUS_BAD_PACKET] = "BAD_PACKET",
		[QUIRE_STATUS_BAD_STREAM] = "BAD_STREAM",
		[QUIRE_STATUS_MMU_FAULT] = "MMU_FAULT",
		[QUIRE_STATUS_CANCELLED] = "CANCELLED",
		[QUIRE_STATUS_ENGINE_ERROR] = "ENGINE_ERROR",
		[QUIRE_STATUS_LIMIT] = "LIMIT",
		[QUIRE_STATUS_FIRMWARE] = "FIRMWARE",
		[QUIRE_STATUS_BAD_TILE] = "BAD_TILE",
	};

	return name_of(names, COUNT(names), status);
}

const char *dump_fault_name(uint32_t info)
{
	static const char *const names[] = {
		[QUIRE_FAULT_NONE] = "none",
		[QUIRE_FAULT_UNMAPPED] = "unmapped",
		[QUIRE_FAULT_PERMISSION] = "permission",
		[QUIRE_FAULT_ADDRESS] = "no 48-bit address",
		[QUIRE_FAULT_CONTEXT] = "context without root",
		[QUIRE_FAULT_TABLE] = "table or page outside of memory",
		[QUIRE_FAULT_BUS] = "refused by the bus",
	};

	return name_of(names, COUNT(names), info & QUIRE_FAULT_REASON);
}

const char *dump_unit_name(uint32_t info)
{
	static const char *const names[] = {
		[QUIRE_FAULT_UNIT_STREAM] = "stream",
		[QUIRE_FAULT_UNIT_RESULT] = "result",
		[QUIRE_FAULT_UNIT_A] = "A",
		[QUIRE_FAULT_UNIT_B] = "B",
		[QUIRE_FAULT_UNIT_C] = "C",
		[QUIRE_FAULT_UNIT_D] = "D",
		[QUIRE_FAULT_UNIT_BIAS] = "bias",
		[QUIRE_FAULT_UNIT_SOURCE] = "source",
		[QUIRE_FAULT_UNIT_DESTINATION] = "destination",
	};

	return name_of(names, COUNT(names), info >> QUIRE_FAULT_UNIT_SHIFT);
}

const char *dump_queue_state_name(uint32_t state)
{
	static const char *const names[] = {
		[QUIRE_QUEUE_OFF] = "off",
		[QUIRE_QUEUE_ACTIVE] = "active",
		[QUIRE_QUEUE_FAULTED] = "faulted",
		[QUIRE_QUEUE_PARKED] = "parked",
	};

	return name_of(names, COUNT(names), state);
}

struct register_name {
	uint32_t offset;
	const char *name;
};

#define REGISTER(name) { QUIRE_REG_##name, #name }
#define QUEUE_REGISTER(name) { QUIRE_QUEUE_##name, #name }

static const struct register_name card[] = {
	REGISTER(ID), REGISTER(HW_VERSION), REGISTER(CAP_QUEUES), REGISTER(CAP_ENGINES),
	REGISTER(MEMORY_LO), REGISTER(MEMORY_HI), REGISTER(SERIAL_LO), REGISTER(SERIAL_HI),
	REGISTER(SRAM_BYTES), REGISTER(FW_ADDRESS_LO), REGISTER(FW_ADDRESS_HI),
	REGISTER(FW_BYTES), REGISTER(MCU_CONTROL), REGISTER(BOOT_STATUS), REGISTER(BOOT_DETAIL),
	REGISTER(HEARTBEAT), REGISTER(DRIVER_VERSIONS), REGISTER(FW_VERSIONS),
	REGISTER(NEGOTIATED), REGISTER(FW_RELEASE), REGISTER(LOG_WRITTEN), REGISTER(PANIC_PC),
	REGISTER(PANIC_CAUSE), REGISTER(PANIC_VALUE), REGISTER(EVENT_STATUS),
	REGISTER(EVENT_ENABLE), REGISTER(MAILBOX_COMMAND), REGISTER(MAILBOX_ARGUMENT),
	REGISTER(MAILBOX_SEND), REGISTER(MAILBOX_DONE), REGISTER(MAILBOX_RESULT),
	REGISTER(TLB_FLUSH), REGISTER(FAULT_CONTEXT), REGISTER(FAULT_ADDRESS_LO),
	REGISTER(FAULT_ADDRESS_HI), REGISTER(FAULT_INFO),
};

static const struct register_name queue[] = {
	QUEUE_REGISTER(RING_LO), QUEUE_REGISTER(RING_HI), QUEUE_REGISTER(RECORD_LO),
	QUEUE_REGISTER(RECORD_HI), QUEUE_REGISTER(ENTRIES_LOG2), QUEUE_REGISTER(CONTEXT),
	QUEUE_REGISTER(PRIORITY), QUEUE_REGISTER(STATE), QUEUE_REGISTER(COMPLETED),
	QUEUE_REGISTER(TAIL), QUEUE_REGISTER(SAVE_LO), QUEUE_REGISTER(SAVE_HI),
	QUEUE_REGISTER(RESUME), QUEUE_REGISTER(JOB), QUEUE_REGISTER(JOB_US),
	QUEUE_REGISTER(JOB_BANDS),
};

static const char *find(const struct register_name *names, size_t count, uint32_t offset)
{
	for (size_t i = 0; i < count; i++)
		if (names[i].offset == offset)
			return names[i].name;
	return NULL;
}

void dump_register_name(uint32_t offset, char name[32])
{
	static const char *const roots[] = { "ROOT_LO", "ROOT_HI" };
	static const char *const flushes[] = { "FLUSHED", "DRAINED" };
	const char *known = find(card, COUNT(card), offset);
	uint32_t i;

	strcpy(name, "?");
	if (known) {
		snprintf(name, 32, "%s", known);
	} else if (offset >= QUIRE_REG_QUEUE(0) && offset < QUIRE_REG_QUEUE(QUIRE_QUEUES)) {
		i = offset - QUIRE_REG_QUEUE(0);
		known = find(queue, COUNT(queue), i % 64);
		snprintf(name, 32, "QUEUE[%u].%s", i / 64, known ? known : "?");
	} else if (offset >= QUIRE_REG_CONTEXT_ROOT_LO(0) &&
		   offset < QUIRE_REG_CONTEXT_ROOT_LO(QUIRE_CONTEXTS) && offset % 4 == 0) {
		i = offset - QUIRE_REG_CONTEXT_ROOT_LO(0);
		snprintf(name, 32, "CONTEXT[%u].%s", i / 8, roots[i / 4 % 2]);
	} else if (offset >= QUIRE_REG_FLUSHED(0) && offset < QUIRE_REG_FLUSHED(QUIRE_CONTEXTS) &&
		   offset % 4 == 0) {
		i = offset - QUIRE_REG_FLUSHED(0);
		snprintf(name, 32, "CONTEXT[%u].%s", i / 8, flushes[i / 4 % 2]);
	}
}

void dump_entry_flags(const struct quire_dump_step *step, char text[48])
{
	const char *where = step->entry & QUIRE_PTE_SYSTEM ? "system memory" : "card memory";
	bool block = step->level == 1 && step->entry & QUIRE_PTE_BLOCK;

	if (!(step->entry & QUIRE_PTE_VALID))
		strcpy(text, "not valid");
	else if (step->level && !block)
		snprintf(text, 48, "table in %s", where);
	else
		snprintf(text, 48, "%s of %s, %c%c", block ? "2 MiB" : "page", where,
			 step->entry & QUIRE_PTE_READ ? 'r' : '-',
			 step->entry & QUIRE_PTE_WRITE ? 'w' : '-');
}

void dump_text(const char *from, size_t size, char *to)
{
	size_t i;

	for (i = 0; i < size && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}
