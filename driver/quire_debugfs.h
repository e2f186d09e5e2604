/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_DEBUGFS_H
#define QUIRE_DEBUGFS_H

#include <linux/kconfig.h>

struct quire_device;

/* Before drm_dev_register(); DRM removes the files. */
#if IS_ENABLED(CONFIG_DEBUG_FS)
void quire_debugfs_init(struct quire_device *qdev);
#else
static inline void quire_debugfs_init(struct quire_device *qdev) { }
#endif

#endif /* QUIRE_DEBUGFS_H */
