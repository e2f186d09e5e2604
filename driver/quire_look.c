// SPDX-License-Identifier: GPL-2.0-only
/* Registers by name and the log of the firmware, for debugfs, hwmon and dumps. */
#include "quire_look.h"

#define QUIRE_REGISTER(name) { QUIRE_REG_##name, #name }
#define QUIRE_QUEUE_REGISTER(name) { QUIRE_QUEUE_##name, #name }

const struct quire_register quire_card_registers[] = {
	QUIRE_REGISTER(ID),
	QUIRE_REGISTER(HW_VERSION),
	QUIRE_REGISTER(CAP_QUEUES),
	QUIRE_REGISTER(CAP_ENGINES),
	QUIRE_REGISTER(MEMORY_LO),
	QUIRE_REGISTER(MEMORY_HI),
	QUIRE_REGISTER(SERIAL_LO),
	QUIRE_REGISTER(SERIAL_HI),
	QUIRE_REGISTER(SRAM_BYTES),
	QUIRE_REGISTER(FW_ADDRESS_LO),
	QUIRE_REGISTER(FW_ADDRESS_HI),
	QUIRE_REGISTER(FW_BYTES),
	QUIRE_REGISTER(MCU_CONTROL),
	QUIRE_REGISTER(BOOT_STATUS),
	QUIRE_REGISTER(BOOT_DETAIL),
	QUIRE_REGISTER(HEARTBEAT),
	QUIRE_REGISTER(DRIVER_VERSIONS),
	QUIRE_REGISTER(FW_VERSIONS),
	QUIRE_REGISTER(NEGOTIATED),
	QUIRE_REGISTER(FW_RELEASE),
	QUIRE_REGISTER(LOG_WRITTEN),
	QUIRE_REGISTER(PANIC_PC),
	QUIRE_REGISTER(PANIC_CAUSE),
	QUIRE_REGISTER(PANIC_VALUE),
	QUIRE_REGISTER(EVENT_STATUS),
	QUIRE_REGISTER(EVENT_ENABLE),
	QUIRE_REGISTER(MAILBOX_COMMAND),
	QUIRE_REGISTER(MAILBOX_ARGUMENT),
	QUIRE_REGISTER(MAILBOX_SEND),
	QUIRE_REGISTER(MAILBOX_DONE),
	QUIRE_REGISTER(MAILBOX_RESULT),
	QUIRE_REGISTER(FAULT_CONTEXT),
	QUIRE_REGISTER(FAULT_ADDRESS_LO),
	QUIRE_REGISTER(FAULT_ADDRESS_HI),
	QUIRE_REGISTER(FAULT_INFO),
};

const unsigned int quire_card_registers_count = ARRAY_SIZE(quire_card_registers);

const struct quire_register quire_queue_registers[] = {
	QUIRE_QUEUE_REGISTER(RING_LO),
	QUIRE_QUEUE_REGISTER(RING_HI),
	QUIRE_QUEUE_REGISTER(RECORD_LO),
	QUIRE_QUEUE_REGISTER(RECORD_HI),
	QUIRE_QUEUE_REGISTER(ENTRIES_LOG2),
	QUIRE_QUEUE_REGISTER(CONTEXT),
	QUIRE_QUEUE_REGISTER(PRIORITY),
	QUIRE_QUEUE_REGISTER(STATE),
	QUIRE_QUEUE_REGISTER(COMPLETED),
	QUIRE_QUEUE_REGISTER(TAIL),
	QUIRE_QUEUE_REGISTER(SAVE_LO),
	QUIRE_QUEUE_REGISTER(SAVE_HI),
	QUIRE_QUEUE_REGISTER(RESUME),
	QUIRE_QUEUE_REGISTER(JOB),
	QUIRE_QUEUE_REGISTER(JOB_US),
	QUIRE_QUEUE_REGISTER(JOB_BANDS),
};

const unsigned int quire_queue_registers_count = ARRAY_SIZE(quire_queue_registers);

/* The window is a ring of bytes, of which the firmware overwrites some while we read. */
u32 quire_look_log(struct quire_device *qdev, char text[QUIRE_LOG_BYTES], u32 *written)
{
	u32 end = quire_read(qdev, QUIRE_REG_LOG_WRITTEN);
	u32 start = end > QUIRE_LOG_BYTES ? end - QUIRE_LOG_BYTES : 0;
	u32 length = end - start, overwritten = 0, now;

	for (u32 i = start; i != end;) {
		u32 at = i % QUIRE_LOG_BYTES;
		u32 word = quire_read(qdev, QUIRE_REG_LOG(at / 4));

		do {
			text[i - start] = word >> 8 * (i % 4);
			i++;
		} while (i != end && i % 4);
	}
	now = quire_read(qdev, QUIRE_REG_LOG_WRITTEN);
	if (now - start > QUIRE_LOG_BYTES)
		overwritten = min(now - start - QUIRE_LOG_BYTES, length);
	memmove(text, text + overwritten, length - overwritten);
	*written = end;
	return length - overwritten;
}
