/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_DMABUF_H
#define QUIRE_DMABUF_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mutex.h>

#include "quire_segments.h"

struct dma_buf;
struct dma_buf_attachment;
struct drm_device;
struct drm_file;
struct drm_gem_object;
struct iosys_map;
struct quire_bo;
struct quire_device;
struct sg_table;
struct ttm_operation_ctx;

/**
 * struct quire_import - memory of another device as that of a buffer
 *
 * Nothing is pinned.  The card is attached when a buffer is bound first.  Addresses are asked for
 * when an address space needs them, and given back when the exporter moves the memory or no
 * address space has the buffer any more.
 *
 * The reservation of @dmabuf is that of the buffer.
 */
struct quire_import {
	/** @ref: held by the buffer, and by quire_device.imports while @node is there */
	struct kref ref;
	/** @bo: buffer, or NULL once it goes; under @lock and the reservation */
	struct quire_bo *bo;
	/** @dmabuf: the memory, with a reference */
	struct dma_buf *dmabuf;
	/** @lock: the card is attached and detached under it, outside of the reservation */
	struct mutex lock;
	/**
	 * @attach: of the card, or NULL: not bound yet, or the card has gone; changes under @lock,
	 * and becomes NULL under the reservation, too
	 */
	struct dma_buf_attachment *attach;
	/** @sgt: bus addresses, or NULL; changes under the reservation */
	struct sg_table *sgt;
	/** @segments: of @sgt, while there are any; the same */
	struct quire_segments segments;
	/** @node: in quire_device.imports, under its lock */
	struct list_head node;
	/** @gone: in quire_device.imports_gone */
	struct llist_node gone;
};

/*
 * Import: drm_driver.prime_fd_to_handle, and gem_prime_import, which DRM calls with a lock held
 * that all handles of the card need: -EAGAIN, the reservation is somebody's.
 */
int quire_import_handle(struct drm_device *drm, struct drm_file *file, int fd, u32 *handle);
struct drm_gem_object *quire_import(struct drm_device *drm, struct dma_buf *dmabuf);
/*
 * Before a buffer is bound, with no reservation held.  -ENODEV: the card has gone; -ENXIO: the
 * exporter's; and whatever else the exporter says.
 */
int quire_import_attach(struct quire_bo *bo);
/*
 * The reservation is held: there are addresses when this returns 0.  -ENXIO: the exporter's
 * device has gone; -EBUSY: its jobs use the memory for too long; and whatever else it says.
 */
int quire_import_map(struct quire_bo *bo);
/* So that a submission gives up and can be tried again; else jobs do without the buffer. */
bool quire_import_failed_for_now(int error);
/* The reservation is held: give back the addresses if no address space has the buffer. */
void quire_import_idle(struct quire_bo *bo);
/* A buffer that was not made has none. */
void quire_import_put(struct quire_import *import);
/* The buffer goes: quire_bo_end() is called from a worker, when nobody has the reservation. */
void quire_import_detach(struct quire_bo *bo);
void quire_imports_init(struct quire_device *qdev);
/* All buffers have gone, and what quire_imports_unplug() left; no locks held. */
void quire_imports_fini(struct quire_device *qdev);
/* The card goes: nothing of anybody else's is mapped for it any more. */
void quire_imports_unplug(struct quire_device *qdev);

/* Export: functions of the GEM object. */
struct dma_buf *quire_export(struct drm_gem_object *object, int flags);
bool quire_export_is_of(const struct dma_buf *dmabuf, const struct drm_device *drm);
int quire_export_vmap(struct drm_gem_object *object, struct iosys_map *map);
void quire_export_vunmap(struct drm_gem_object *object, struct iosys_map *map);
/*
 * The pages of a buffer are going to move: other devices have forgotten them when this
 * returns 0.  The reservation is held.
 */
int quire_export_forget(struct quire_bo *bo, struct ttm_operation_ctx *ctx);

#endif /* QUIRE_DMABUF_H */
