/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_SYNC_H
#define QUIRE_SYNC_H

#include <linux/list.h>
#include <linux/types.h>

struct dma_fence;
struct dma_fence_chain;
struct drm_device;
struct drm_file;
struct drm_quire_obj_array;
struct drm_syncobj;

/** struct quire_sync_signal - a syncobj to get a fence */
struct quire_sync_signal {
	/** @syncobj: with a reference */
	struct drm_syncobj *syncobj;
	/** @chain: link for a timeline, or NULL for a binary syncobj */
	struct dma_fence_chain *chain;
	/** @point: on the timeline */
	u64 point;
};

/** struct quire_syncs - what a job waits for */
struct quire_syncs {
	/** @waits: number of @wait */
	u32 waits;
	/** @wait: fences, with references */
	struct dma_fence **wait;
	/** @one_wait: room for one that @wait needs not be allocated for */
	struct dma_fence *one_wait;
};

/**
 * struct quire_signals - what a job signals
 *
 * They are given the fence when the call holds nothing any more: on a timeline each takes as long
 * as there are points that have not signalled, and nobody limits those.  All is the call's alone.
 */
struct quire_signals {
	/** @node: with those of other jobs of the call, once there is @fence */
	struct list_head node;
	/** @count: number of @signal */
	u32 count;
	/** @signal: syncobjs */
	struct quire_sync_signal *signal;
	/** @one_signal: room for one that @signal needs not be allocated for */
	struct quire_sync_signal one_signal;
	/** @fence: what they get, with a reference, or NULL */
	struct dma_fence *fence;
};

/*
 * Copies an array by the stride rules.  *@out is NULL if it is empty, and @room where that is
 * enough; else kvfree() it.
 */
int quire_copy_array(struct drm_device *drm, const char *name,
		     const struct drm_quire_obj_array *array, size_t element,
		     u32 max_count, void *room, size_t room_bytes, void **out);

/*
 * All lookups and allocations; on failure nothing is held.  @left is what the call may have, and
 * has left.
 */
int quire_syncs_get(struct drm_device *drm, struct drm_file *file,
		    const struct drm_quire_obj_array *array, u32 *left,
		    struct quire_syncs *syncs, struct quire_signals *signals);
void quire_syncs_put(struct quire_syncs *syncs);

/*
 * Cannot fail; once only, with no lock held.  Where the process is killed meanwhile the rest is
 * left as it was, as if it had been killed before the call.
 */
void quire_signals_give(struct quire_signals *signals);
/* With the fence, which may be all that holds @signals. */
void quire_signals_put(struct quire_signals *signals);

#endif /* QUIRE_SYNC_H */
