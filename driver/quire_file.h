/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_FILE_H
#define QUIRE_FILE_H

struct drm_device;
struct drm_file;

/* As DRM calls them: with the first and without the last use of a file. */
int quire_file_open(struct drm_device *drm, struct drm_file *file);
void quire_file_close(struct drm_device *drm, struct drm_file *file);

int quire_file_module_init(void);
/* No file is open: those that threads of the kernel have closed end. */
void quire_file_module_exit(void);

#endif /* QUIRE_FILE_H */
