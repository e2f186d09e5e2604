/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernels from 6.12 on name differently.  configure-features.sh asks the headers;
 * the rest of the driver calls these and knows one kernel.
 */
#ifndef QUIRE_COMPAT_H
#define QUIRE_COMPAT_H

#include "quire_features.h"

#ifdef QUIRE_HAVE_CGROUP_DMEM_INIT
#include <linux/cgroup_dmem.h>
#endif
#include <linux/dma-buf.h>
#include <linux/module.h>

#include <drm/drm_drv.h>
#include <drm/drm_gpuvm.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_resource.h>

/* Later kernels take the feature for granted. */
#ifdef QUIRE_HAVE_DRIVER_GEM_GPUVA
#define QUIRE_DRIVER_GEM_GPUVA DRIVER_GEM_GPUVA
#else
#define QUIRE_DRIVER_GEM_GPUVA 0
#endif

/* Since 6.15 fdinfo has to be told that buffers in use are counted; before, they always were. */
#ifdef QUIRE_HAVE_GEM_OBJECT_ACTIVE
#define QUIRE_GEM_OBJECT_ACTIVE DRM_GEM_OBJECT_ACTIVE
#else
#define QUIRE_GEM_OBJECT_ACTIVE 0
#endif

/* Since 6.13 the name space is a string. */
#ifdef QUIRE_HAVE_NAMESPACE_STRING
#define QUIRE_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#else
#define QUIRE_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#endif

/* What importers are told of a move has two names. */
#ifdef QUIRE_HAVE_DMA_BUF_INVALIDATE_MAPPINGS
#define QUIRE_DMA_BUF_MOVED invalidate_mappings
#define quire_dma_buf_move_notify(dmabuf) dma_buf_invalidate_mappings(dmabuf)
#else
#define QUIRE_DMA_BUF_MOVED move_notify
#define quire_dma_buf_move_notify(dmabuf) dma_buf_move_notify(dmabuf)
#endif

/* Pages need neither coherent memory nor the low 4 GiB. */
static inline int quire_ttm_device_init(struct ttm_device *bdev,
					const struct ttm_device_funcs *funcs,
					struct drm_device *drm)
{
#ifdef QUIRE_HAVE_TTM_ALLOCATION_FLAGS
	return ttm_device_init(bdev, funcs, drm->dev, drm->anon_inode->i_mapping,
			       drm->vma_offset_manager, 0);
#else
	return ttm_device_init(bdev, funcs, drm->dev, drm->anon_inode->i_mapping,
			       drm->vma_offset_manager, false, false);
#endif
}

/* The last reference of the GEM object is gone; later kernels have no second count in TTM. */
static inline void quire_ttm_bo_free(struct ttm_buffer_object *bo)
{
#ifdef QUIRE_HAVE_TTM_BO_FINI
	ttm_bo_fini(bo);
#else
	ttm_bo_put(bo);
#endif
}

/* A page fault asks for pages, which later kernels do not tell apart. */
static inline bool quire_ttm_must_alloc(const struct ttm_operation_ctx *ctx)
{
#ifdef QUIRE_HAVE_TTM_FORCE_ALLOC
	return ctx->force_alloc;
#else
	return false;
#endif
}

/* Card memory counts to control groups (dmem) where there are such. */
static inline int quire_ttm_charge_region(struct ttm_resource_manager *man,
					  struct drm_device *drm, const char *name, u64 bytes)
{
#ifdef QUIRE_HAVE_CGROUP_DMEM
	struct dmem_cgroup_region *region;

#ifdef QUIRE_HAVE_CGROUP_DMEM_INIT
	region = drmm_cgroup_register_region(drm, name,
					     &(struct dmem_cgroup_init){ .size = bytes });
#else
	region = drmm_cgroup_register_region(drm, name, bytes);
#endif
	if (IS_ERR(region))
		return PTR_ERR(region);
	man->cg = region;
#endif
	return 0;
}

/* The caller holds the reservation of the object. */
static inline struct drm_gpuvm_bo *quire_gpuvm_bo_obtain(struct drm_gpuvm *gpuvm,
							 struct drm_gem_object *object)
{
	dma_resv_assert_held(object->resv);
#ifdef QUIRE_HAVE_GPUVM_BO_OBTAIN_LOCKED
	return drm_gpuvm_bo_obtain_locked(gpuvm, object);
#else
	return drm_gpuvm_bo_obtain(gpuvm, object);
#endif
}

static inline int quire_gpuvm_sm_map(struct drm_gpuvm *gpuvm, void *priv, u64 va, u64 size,
				     struct drm_gem_object *object, u64 offset)
{
#ifdef QUIRE_HAVE_GPUVM_MAP_REQ
	struct drm_gpuvm_map_req req = {
		.map.va.addr = va,
		.map.va.range = size,
		.map.gem.obj = object,
		.map.gem.offset = offset,
	};

	return drm_gpuvm_sm_map(gpuvm, priv, &req);
#else
	return drm_gpuvm_sm_map(gpuvm, priv, va, size, object, offset);
#endif
}

#endif /* QUIRE_COMPAT_H */
