/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_HWMON_H
#define QUIRE_HWMON_H

#include "quire_device.h"

/* In probe, when the card works. */
#if IS_REACHABLE(CONFIG_HWMON)
void quire_hwmon_init(struct quire_device *qdev);
#else
static inline void quire_hwmon_init(struct quire_device *qdev) { }
#endif

#endif /* QUIRE_HWMON_H */
