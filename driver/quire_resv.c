// SPDX-License-Identifier: GPL-2.0-only
/* Whether jobs may use buffers: one answer for all that share a reservation. */
#include <linux/slab.h>

#include "quire_resv.h"

static void quire_resv_free(struct drm_gem_object *object)
{
	WARN_ON(atomic_read(&to_quire_resv(object)->jobs));
	drm_gem_object_release(object);
	kfree(to_quire_resv(object));
}

static const struct drm_gem_object_funcs quire_resv_funcs = {
	.free = quire_resv_free,
};

struct drm_gem_object *quire_resv_new(struct quire_device *qdev)
{
	struct quire_resv *resv = kzalloc(sizeof(*resv), QUIRE_GFP_CALL);

	if (!resv)
		return NULL;
	drm_gem_private_object_init(&qdev->drm, &resv->base, 0);
	resv->base.funcs = &quire_resv_funcs;
	return &resv->base;
}

void quire_resv_begin_job(struct drm_gem_object *object)
{
	atomic_inc(&to_quire_resv(object)->jobs);
}

void quire_resv_end_job(struct drm_gem_object *object)
{
	WARN_ON(atomic_dec_return(&to_quire_resv(object)->jobs) < 0);
}

bool quire_bo_busy(struct quire_bo *bo)
{
	struct drm_gem_object *object = &bo->base.base;
	struct dma_resv *resv = READ_ONCE(object->resv);

	if (bo->vm_object && resv != &object->_resv)
		return atomic_read(&to_quire_resv(bo->vm_object)->jobs);
	return !dma_resv_test_signaled(resv, DMA_RESV_USAGE_BOOKKEEP);
}

void quire_bo_leave_resv(struct quire_bo *bo)
{
	struct ttm_buffer_object *base = &bo->base;

	if (!bo->vm_object)
		return;
	/*
	 * Who finds the buffer in a list takes a reference under this lock, and with another one
	 * may hold the reservation.  TTM copies its fences then.
	 */
	spin_lock(&base->bdev->lru_lock);
	if (kref_read(&base->kref) == 1)
		base->base.resv = &base->base._resv;
	spin_unlock(&base->bdev->lru_lock);
}
