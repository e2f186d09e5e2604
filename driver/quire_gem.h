/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_GEM_H
#define QUIRE_GEM_H

#include <linux/scatterlist.h>

#include <drm/drm_gem.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_resource.h>

#include "quire_device.h"
#include "quire_segments.h"

struct drm_gpuvm_bo;
struct mem_cgroup;
struct quire_import;
struct quire_userptr;

/* Buffers are whole pages of both sides. */
#define QUIRE_BO_ALIGN max_t(size_t, PAGE_SIZE, QUIRE_PAGE_BYTES)

/** struct quire_dma - pages as the card addresses them */
struct quire_dma {
	/** @node: in quire_device.dma_list while @mapped, under its lock */
	struct list_head node;
	/** @sgt: pages and bus addresses */
	struct sg_table sgt;
	/** @segments: of @sgt */
	struct quire_segments segments;
	/** @direction: of the mapping */
	enum dma_data_direction direction;
	/** @mapped: the card can reach the pages, under quire_device.dma_lock */
	bool mapped;
};

/**
 * struct quire_bo - a buffer object; constant after creation but for @base, @on_card,
 * @backed, @uncleared, @peers, @tie, @blank
 */
struct quire_bo {
	/** @base: placement and reservation; the GEM object is @base.base */
	struct ttm_buffer_object base;
	/** @placement: enum drm_quire_placement */
	u32 placement;
	/** @vm_id: as created */
	u32 vm_id;
	/** @on_card: lies in card memory; written under the reservation, read anywhere */
	bool on_card;
	/** @backed: has pages of system memory of its own; the same */
	bool backed;
	/**
	 * @uncleared: lies in card memory and holds what others left there: it is cleared before
	 * anybody sees it (quire_bo_clear()); under the reservation
	 */
	bool uncleared;
	/** @info: DRM_QUIRE_BO_INFO_* */
	u32 info;
	/** @read_only: the card may only read it */
	bool read_only;
	/** @vm_object: holds the reservation of its address space, or NULL */
	struct drm_gem_object *vm_object;
	/** @memcg: whom its system memory is charged to, with a reference, or NULL */
	struct mem_cgroup *memcg;
	/** @user: who has it, if it is memory of a process or of another device, or NULL */
	struct quire_user *user;
	/** @userptr: a process's own memory, or NULL */
	struct quire_userptr *userptr;
	/** @import: memory of another device, or NULL */
	struct quire_import *import;
	/** @peers: other devices that have it mapped (quire_dmabuf.c); under the reservation */
	struct list_head peers;
	/** @tie: found by a VM_BIND call, as long as it looks; under the reservation */
	struct drm_gpuvm_bo *tie;
	/** @blank: what processes see once the card has gone, or NULL; under the reservation */
	struct page *blank;
};

static inline struct quire_bo *to_quire_bo(struct drm_gem_object *object)
{
	return container_of(object, struct quire_bo, base.base);
}

int quire_gem_init(struct quire_device *qdev);
/*
 * Last of all in probe: when the device ends, buffers that outlive their file end before anything
 * of it does that they, or whoever takes their pages away, may need.
 */
int quire_gem_flush_first(struct quire_device *qdev);
u64 quire_gem_card_bytes(struct quire_device *qdev);
/* Bytes in use in a placement (TTM_PL_*), by all files. */
u64 quire_gem_usage(struct quire_device *qdev, int placement);
/* As the caller may know it: without CAP_PERFMON in steps of a 64th of the card's memory. */
u64 quire_gem_usage_shown(struct quire_device *qdev, u64 bytes);

/* quire_dma.c: mappings of pages for the card; -EOPNOTSUPP if it cannot have any. */
int quire_dma_check(struct quire_device *qdev);
/* Bytes that all buffers of foreign memory of a user may have together. */
u64 quire_dma_foreign_most(struct quire_device *qdev);
int quire_dma_map(struct quire_device *qdev, struct quire_dma *dma, struct page **pages,
		  unsigned long count, enum dma_data_direction direction);
void quire_dma_unmap(struct quire_device *qdev, struct quire_dma *dma);
/* @from is none any more. */
void quire_dma_move(struct quire_device *qdev, struct quire_dma *to, struct quire_dma *from);
void quire_dma_unplug(struct quire_device *qdev);

/* quire_tt.c: pages of system memory. */
/* System memory as a place: what lies there is counted; TTM bounds it. */
void quire_tt_manager_init(struct quire_device *qdev);
void quire_tt_manager_fini(struct quire_device *qdev);
struct ttm_tt *quire_tt_create(struct ttm_buffer_object *base, u32 page_flags);
int quire_tt_populate(struct ttm_device *ttm, struct ttm_tt *tt, struct ttm_operation_ctx *ctx);
void quire_tt_unpopulate(struct ttm_device *ttm, struct ttm_tt *tt);
void quire_tt_destroy(struct ttm_device *ttm, struct ttm_tt *tt);
const struct quire_segments *quire_tt_segments(struct ttm_tt *tt);

/* quire_move.c: places.  The reservation is held. */
struct ttm_placement *quire_bo_placement(struct quire_bo *bo);
/* Where a buffer is made. */
struct ttm_placement *quire_bo_first_placement(struct quire_bo *bo, enum ttm_bo_type type);
void quire_evict_flags(struct ttm_buffer_object *bo, struct ttm_placement *placement);
int quire_move(struct ttm_buffer_object *bo, bool evict, struct ttm_operation_ctx *ctx,
	       struct ttm_resource *new, struct ttm_place *hop);
/* Whether the card can be told where the buffer lies. */
bool quire_bo_resident(struct quire_bo *bo);
/* It lies in system memory for want of room only.  Under the reservation. */
bool quire_bo_wants_card(struct quire_bo *bo);
int quire_bo_make_resident(struct quire_bo *bo);
/* Where it needs neither a wait nor pages, the buffer becomes resident. */
void quire_bo_become_resident(struct quire_bo *bo);
int quire_bo_to_system(struct quire_bo *bo);
/*
 * Somebody is about to see the contents: what others left there goes.  Not inside
 * quire_card_enter() and the like.
 */
int quire_bo_clear(struct quire_bo *bo, bool interruptible);

/* Bus addresses of a buffer in system memory, or NULL. */
const struct quire_segments *quire_bo_segments(struct quire_bo *bo);

void quire_gem_show_fdinfo(struct drm_printer *p, struct drm_file *file);

int quire_bo_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_bo_mmap_offset_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_bo_info_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_userptr_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

/* quire_bo.c: a buffer object of a kind, with a reference. */
struct quire_bo *quire_bo_new(struct quire_device *qdev, struct quire_bo *bo, u64 size,
			      enum ttm_bo_type type, struct sg_table *sgt,
			      struct dma_resv *resv);
/* Nobody uses it any more. */
void quire_bo_end(struct quire_bo *bo);
extern const struct drm_gem_object_funcs quire_gem_funcs;

#endif /* QUIRE_GEM_H */
