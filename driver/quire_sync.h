/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_SYNC_H
#define QUIRE_SYNC_H

#include <linux/dma-fence.h>
#include <linux/list.h>

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

struct quire_syncs;

/** struct quire_wait - a fence to wait for */
struct quire_wait {
	/** @fence: with a reference */
	struct dma_fence *fence;
	/** @callback: on it, while armed */
	struct dma_fence_cb callback;
	/** @syncs: that have it */
	struct quire_syncs *syncs;
};

/**
 * struct quire_syncs - what a job waits for
 *
 * From quire_syncs_arm() on the fences' callbacks have its address.
 */
struct quire_syncs {
	/** @count: number of @wait */
	u32 count;
	/** @left: fences that have not signalled, plus one while they are being armed */
	atomic_t left;
	/** @over: called under the lock of the last fence that signals; NULL: not armed */
	void (*over)(struct quire_syncs *syncs);
	/** @wait: fences */
	struct quire_wait *wait;
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
/* Disarms them, too. */
void quire_syncs_put(struct quire_syncs *syncs);

/*
 * @over wakes whoever goes on when nothing is left to wait for, unless that was so at once: look
 * with quire_syncs_waiting() when he can find the job.  Allocates nothing.
 */
void quire_syncs_arm(struct quire_syncs *syncs, void (*over)(struct quire_syncs *syncs));
/* Nothing is waited for any more, and no callback touches it: they run under locks taken here. */
void quire_syncs_disarm(struct quire_syncs *syncs);

static inline bool quire_syncs_waiting(struct quire_syncs *syncs)
{
	return atomic_read(&syncs->left);
}

/*
 * Cannot fail; once only, with no lock held.  Where the process is killed meanwhile the rest is
 * left as it was, as if it had been killed before the call.
 */
void quire_signals_give(struct quire_signals *signals);
/* With the fence, which may be all that holds @signals. */
void quire_signals_put(struct quire_signals *signals);

#endif /* QUIRE_SYNC_H */
