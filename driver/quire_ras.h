/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_RAS_H
#define QUIRE_RAS_H

#include "quire_device.h"

/* Registered in probe once the card works; the counters go with the driver's binding. */
#if IS_ENABLED(CONFIG_DRM_RAS)
void quire_ras_init(struct quire_device *qdev);
#else
static inline void quire_ras_init(struct quire_device *qdev) { }
#endif

#endif /* QUIRE_RAS_H */
