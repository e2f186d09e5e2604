/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_LOOK_H
#define QUIRE_LOOK_H

#include "quire_device.h"

/** struct quire_register - a register that may be read at any time */
struct quire_register {
	/** @offset: in BAR 0 */
	u32 offset;
	/** @name: as in quire/hw.h, without the prefix */
	const char *name;
};

/* Of the card, and of each queue (offset within its block). */
extern const struct quire_register quire_card_registers[];
extern const unsigned int quire_card_registers_count;
extern const struct quire_register quire_queue_registers[];
extern const unsigned int quire_queue_registers_count;

/*
 * The newest characters of the firmware's log, not terminated; returns how many.
 * Inside quire_card_enter().
 */
u32 quire_look_log(struct quire_device *qdev, char text[QUIRE_LOG_BYTES], u32 *written);

#endif /* QUIRE_LOOK_H */
