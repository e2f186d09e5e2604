/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_SYNC_H
#define QUIRE_SYNC_H

#include <linux/dma-fence.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>

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

/**
 * struct quire_waits - what jobs wait for that begin one after the other
 *
 * Who signals a fence runs the callbacks of all that wait for it, with interrupts off.  So a job
 * does not wait for what one before it waits for already, or for an earlier fence of the same
 * context: however many jobs name a fence, it has one callback for all of them.
 */
struct quire_waits {
	/** @lock: protects all below; taken in the interrupt handler */
	spinlock_t lock;
	/** @newest: of each context the newest wait of jobs that have not ended, by context */
	struct rb_root newest;
	/** @epoch: so often were these jobs given up, before what they wait for was over */
	u32 epoch;
};

/** struct quire_wait - a fence to wait for, the only one of its context */
struct quire_wait {
	/** @fence: with a reference */
	struct dma_fence *fence;
	/** @node: in quire_syncs.seen; once armed in quire_waits.newest or empty, under its lock */
	struct rb_node node;
	/** @epoch: quire_waits.epoch when it came there */
	u32 epoch;
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
	/** @seen: the same by context, while they are looked up */
	struct rb_root seen;
	/** @waits: those of the jobs before, from quire_syncs_arm() on */
	struct quire_waits *waits;
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

void quire_waits_init(struct quire_waits *waits);
/* All jobs so far are given up: those that come later wait for themselves. */
void quire_waits_forget(struct quire_waits *waits);

/*
 * @waits: of jobs that begin before this one; calls come in the same order.  Where they are given
 * up while the job is on its way to them, which changes the epoch, so must this one be.
 * @over wakes whoever goes on when nothing is left to wait for, unless that was so at once: look
 * with quire_syncs_waiting() when he can find the job.  Allocates nothing.
 */
void quire_syncs_arm(struct quire_syncs *syncs, struct quire_waits *waits,
		     void (*over)(struct quire_syncs *syncs));
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
