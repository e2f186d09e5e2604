/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_SYNC_H
#define QUIRE_SYNC_H

#include <linux/types.h>

struct dma_fence;
struct dma_fence_chain;
struct drm_device;
struct drm_file;
struct drm_quire_obj_array;
struct drm_syncobj;

#define QUIRE_SYNCS_MAX 1024

/** struct quire_sync_signal - a syncobj to get a fence */
struct quire_sync_signal {
	/** @syncobj: with a reference */
	struct drm_syncobj *syncobj;
	/** @chain: link for a timeline, or NULL for a binary syncobj */
	struct dma_fence_chain *chain;
	/** @point: on the timeline */
	u64 point;
};

/** struct quire_syncs - what a job waits for and what it signals */
struct quire_syncs {
	/** @waits: number of @wait */
	u32 waits;
	/** @signals: number of @signal */
	u32 signals;
	/** @wait: fences, with references */
	struct dma_fence **wait;
	/** @signal: syncobjs */
	struct quire_sync_signal *signal;
	/** @one_wait: room for one that @wait needs not be allocated for */
	struct dma_fence *one_wait;
	/** @one_signal: and for one of @signal */
	struct quire_sync_signal one_signal;
};

/* Copies an array by the stride rules; *@out is NULL if it is empty, else kvfree() it. */
int quire_copy_array(struct drm_device *drm, const char *name,
		     const struct drm_quire_obj_array *array, size_t element,
		     u32 max_count, void **out);

/* The same, into @room where it is enough: then *@out is @room, and not to be freed. */
int quire_copy_short_array(struct drm_device *drm, const char *name,
			   const struct drm_quire_obj_array *array, size_t element,
			   u32 max_count, void *room, size_t room_bytes, void **out);

/* All lookups and allocations; on failure nothing is held. */
int quire_syncs_get(struct drm_device *drm, struct drm_file *file,
		    const struct drm_quire_obj_array *array, struct quire_syncs *syncs);
/* Cannot fail; once only. */
void quire_syncs_signal(struct quire_syncs *syncs, struct dma_fence *fence);
/* Only the syncobjs: the rest may be put in an interrupt. */
void quire_syncs_put_signals(struct quire_syncs *syncs);
void quire_syncs_put(struct quire_syncs *syncs);

#endif /* QUIRE_SYNC_H */
