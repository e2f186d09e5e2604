/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_DMABUF_H
#define QUIRE_DMABUF_H

#include <linux/kref.h>
#include <linux/list.h>

#include "quire_segments.h"

struct dma_buf;
struct dma_buf_attachment;
struct drm_device;
struct drm_gem_object;
struct iosys_map;
struct quire_bo;
struct quire_device;
struct sg_table;
struct ttm_operation_ctx;

/**
 * struct quire_import - memory of another device as that of a buffer
 *
 * Nothing is pinned.  Addresses are asked for when an address space needs them, and given back
 * when the exporter moves the memory or no address space has the buffer any more.
 *
 * The reservation of @dmabuf is that of the buffer.
 */
struct quire_import {
	/** @ref: held by the buffer, and by quire_device.imports while @node is there */
	struct kref ref;
	/** @bo: buffer, or NULL once it goes; under the reservation */
	struct quire_bo *bo;
	/** @dmabuf: the memory, with a reference */
	struct dma_buf *dmabuf;
	/** @attach: of the card, or NULL once that has gone; under the reservation */
	struct dma_buf_attachment *attach;
	/** @sgt: bus addresses, or NULL; changes under the reservation */
	struct sg_table *sgt;
	/** @segments: of @sgt, while there are any; the same */
	struct quire_segments segments;
	/** @node: in quire_device.imports, under its lock */
	struct list_head node;
	/** @end: ends the buffer */
	struct work_struct end;
};

/* Import: drm_driver.gem_prime_import. */
struct drm_gem_object *quire_import(struct drm_device *drm, struct dma_buf *dmabuf);
/*
 * The reservation is held: there are addresses when this returns 0.  -ENXIO: the exporter's
 * device has gone; and whatever else the exporter says.
 */
int quire_import_map(struct quire_bo *bo);
/* So that a submission gives up and can be tried again; else jobs do without the buffer. */
bool quire_import_failed_for_now(int error);
/* The reservation is held: give back the addresses if no address space has the buffer. */
void quire_import_idle(struct quire_bo *bo);
/* The buffer goes: quire_bo_end() is called from a worker, which may have to wait for others. */
void quire_import_detach(struct quire_bo *bo);
/* The card goes: nothing of anybody else's is mapped for it any more. */
void quire_imports_unplug(struct quire_device *qdev);

/* Export: functions of the GEM object. */
struct dma_buf *quire_export(struct drm_gem_object *object, int flags);
int quire_export_vmap(struct drm_gem_object *object, struct iosys_map *map);
void quire_export_vunmap(struct drm_gem_object *object, struct iosys_map *map);
/*
 * The pages of a buffer are going to move: other devices have forgotten them when this
 * returns 0.  The reservation is held.
 */
int quire_export_forget(struct quire_bo *bo, struct ttm_operation_ctx *ctx);

#endif /* QUIRE_DMABUF_H */
