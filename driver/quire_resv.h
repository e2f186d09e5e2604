/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_RESV_H
#define QUIRE_RESV_H

#include <drm/drm_gem.h>

#include "quire_gem.h"

/**
 * struct quire_resv - the reservation that an address space shares with its private buffers
 *
 * It has a fence of each queue of the address space, and private buffers there may be as many as
 * one likes: whoever looks at many of these buffers must not look at all fences for each.
 */
struct quire_resv {
	/** @base: has the reservation; may outlive the address space */
	struct drm_gem_object base;
	/** @jobs: that may use the buffers, of all queues of the address space */
	atomic_t jobs;
};

static inline struct quire_resv *to_quire_resv(struct drm_gem_object *object)
{
	return container_of(object, struct quire_resv, base);
}

/* The object that has the reservation, with a reference, or NULL. */
struct drm_gem_object *quire_resv_new(struct quire_device *qdev);

/* A fence is on its way to a reservation; it is about to signal. */
void quire_resv_begin_job(struct drm_gem_object *object);
void quire_resv_end_job(struct drm_gem_object *object);

/* Jobs may use the buffer. */
bool quire_bo_busy(struct quire_bo *bo);

/* A private buffer that its address space does not reach any more has nothing to do with jobs. */
void quire_bo_leave_resv(struct quire_bo *bo);

#endif /* QUIRE_RESV_H */
