// SPDX-License-Identifier: GPL-2.0-only
/* Arrays from userspace, and the fences jobs wait for and signal. */
#include <linux/dma-fence-chain.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_syncobj.h>

#include "quire_device.h"
#include "quire_sync.h"

#define QUIRE_SYNCS_FEW 4

int quire_copy_array(struct drm_device *drm, const char *name,
		     const struct drm_quire_obj_array *array, size_t element,
		     u32 max_count, void *room, size_t room_bytes, void **out)
{
	u8 __user *from = u64_to_user_ptr(array->array);
	int ret = 0;
	u32 i;
	u8 *to;

	*out = NULL;
	if (!array->count)
		return array->array ?
			quire_inval(drm, "%s.array must be 0 without count", name) : 0;
	if (array->count > max_count)
		return quire_inval(drm, "%s.count %u must be at most %u", name, array->count,
				   max_count);
	if (array->stride < element)
		return quire_inval(drm, "%s.stride %u must be at least %zu", name, array->stride,
				   element);
	if (array->stride > SZ_4K)
		return -E2BIG;

	to = room;
	if (array->count * element > room_bytes)
		to = kvmalloc_array(array->count, element, QUIRE_GFP_CALL);
	if (!to)
		return -ENOMEM;
	if (array->stride == element) {
		if (copy_from_user(to, from, array->count * element))
			ret = -EFAULT;
	} else {
		for (i = 0; i < array->count && !ret; i++)
			ret = copy_struct_from_user(to + i * element, element,
						    from + (size_t)i * array->stride,
						    array->stride);
		if (ret == -E2BIG)
			drm_dbg(drm, "%s: bytes unknown to this driver are not 0\n", name);
	}
	if (ret) {
		if (to != room)
			kvfree(to);
		return ret;
	}
	*out = to;
	return 0;
}

/*
 * Fences of one context signal in order, and are one wait.  Not points of timelines: a point that
 * was put on two of them lends its context to what follows on either.
 */
static int quire_wait_compare(struct rb_node *a, const struct rb_node *b)
{
	const struct dma_fence *first = rb_entry(a, struct quire_wait, node)->fence;
	const struct dma_fence *second = rb_entry(b, struct quire_wait, node)->fence;

	if (first->context == second->context && dma_fence_is_chain((struct dma_fence *)first))
		return first < second ? -1 : first > second;
	return first->context < second->context ? -1 : first->context > second->context;
}

/* Of two that are one wait the later is enough. */
static void quire_syncs_add(struct quire_syncs *syncs, struct quire_wait *wait)
{
	struct rb_node *node = rb_find_add(&wait->node, &syncs->seen, quire_wait_compare);
	struct quire_wait *other;

	if (!node) {
		syncs->count++;
		return;
	}
	other = rb_entry(node, struct quire_wait, node);
	if (dma_fence_is_later(wait->fence, other->fence))
		swap(wait->fence, other->fence);
	dma_fence_put(wait->fence);
}

static int quire_sync_get_wait(struct drm_device *drm, struct drm_file *file,
			       const struct drm_quire_sync *sync, struct quire_syncs *syncs)
{
	struct quire_wait *wait = &syncs->wait[syncs->count];
	int ret = drm_syncobj_find_fence(file, sync->handle, sync->point, 0, &wait->fence);

	if (ret)
		drm_dbg(drm, "syncs: handle %u has no fence to wait for (%d)\n", sync->handle, ret);
	else
		quire_syncs_add(syncs, wait);
	return ret;
}

static int quire_sync_get_signal(struct drm_file *file, const struct drm_quire_sync *sync,
				 struct quire_signals *signals)
{
	struct quire_sync_signal *signal = &signals->signal[signals->count];

	signal->point = sync->point;
	signal->syncobj = drm_syncobj_find(file, sync->handle);
	if (!signal->syncobj)
		return -ENOENT;
	signals->count++;
	if (!sync->point)
		return 0;
	/* As dma_fence_chain_alloc() does, but charged to who wants it. */
	signal->chain = kmalloc(sizeof(*signal->chain), QUIRE_GFP_CALL);
	return signal->chain ? 0 : -ENOMEM;
}

static int quire_sync_get(struct drm_device *drm, struct drm_file *file,
			  const struct drm_quire_sync *sync, struct quire_syncs *syncs,
			  struct quire_signals *signals)
{
	bool timeline = sync->flags & DRM_QUIRE_SYNC_TIMELINE;

	if (sync->flags & ~(DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE))
		return quire_inval(drm, "syncs.flags %#x must be known", sync->flags);
	if (timeline != !!sync->point)
		return quire_inval(drm, "syncs.point %llu must be there with TIMELINE only",
				   sync->point);
	/* To find a point takes as long as the timeline is. */
	cond_resched();
	if (fatal_signal_pending(current))
		return -ERESTARTSYS;
	if (sync->flags & DRM_QUIRE_SYNC_SIGNAL)
		return quire_sync_get_signal(file, sync, signals);
	return quire_sync_get_wait(drm, file, sync, syncs);
}

static int quire_syncs_alloc(const struct drm_quire_sync *sync, u32 count, u32 *waits,
			     struct quire_syncs *syncs, struct quire_signals *signals)
{
	u32 signal_count = 0;

	for (u32 i = 0; i < count; i++)
		signal_count += !!(sync[i].flags & DRM_QUIRE_SYNC_SIGNAL);
	*waits = count - signal_count;
	if (*waits)
		syncs->wait = kvcalloc(*waits, sizeof(*syncs->wait), QUIRE_GFP_CALL);
	signals->signal = &signals->one_signal;
	if (signal_count > 1)
		signals->signal = kvcalloc(signal_count, sizeof(*signals->signal),
					   QUIRE_GFP_CALL);
	return (syncs->wait || !*waits) && signals->signal ? 0 : -ENOMEM;
}

/* Many names of few fences: what was looked up moves to where it has just the room it needs. */
static void quire_syncs_trim(struct quire_syncs *syncs, u32 room)
{
	struct quire_wait *wait = syncs->wait;

	if (syncs->count > room / 2)
		return;
	wait = kvmalloc_array(syncs->count, sizeof(*wait), QUIRE_GFP_CALL);
	if (!wait)
		return;
	memcpy(wait, syncs->wait, syncs->count * sizeof(*wait));
	kvfree(syncs->wait);
	syncs->wait = wait;
}

int quire_syncs_get(struct drm_device *drm, struct drm_file *file,
		    const struct drm_quire_obj_array *array, u32 *left,
		    struct quire_syncs *syncs, struct quire_signals *signals)
{
	struct drm_quire_sync few[QUIRE_SYNCS_FEW], *sync;
	u32 waits = 0;
	void *copy;
	int ret;

	memset(syncs, 0, sizeof(*syncs));
	memset(signals, 0, sizeof(*signals));
	INIT_LIST_HEAD(&signals->node);
	if (!array->count && !array->array)
		return 0;
	if (array->count > *left)
		return quire_inval(drm, "syncs.count %u must be at most %u: a call has %u",
				   array->count, *left, DRM_QUIRE_MAX_SYNCS);
	ret = quire_copy_array(drm, "syncs", array, sizeof(*sync), DRM_QUIRE_MAX_SYNCS, few,
			       sizeof(few), &copy);
	if (ret)
		return ret;
	sync = copy;
	ret = quire_syncs_alloc(sync, array->count, &waits, syncs, signals);
	for (u32 i = 0; i < array->count && !ret; i++)
		ret = quire_sync_get(drm, file, &sync[i], syncs, signals);
	if (sync != few)
		kvfree(sync);
	if (ret) {
		quire_syncs_put(syncs);
		quire_signals_put(signals);
		return ret;
	}
	if (waits > 1)
		quire_syncs_trim(syncs, waits);
	*left -= array->count;
	return 0;
}

void quire_waits_init(struct quire_waits *waits)
{
	spin_lock_init(&waits->lock);
	waits->newest = RB_ROOT;
}

void quire_waits_forget(struct quire_waits *waits)
{
	unsigned long flags;

	spin_lock_irqsave(&waits->lock, flags);
	waits->newest = RB_ROOT;
	waits->epoch++;
	spin_unlock_irqrestore(&waits->lock, flags);
}

/* False: a job before waits for that fence already, or for a later one. */
static bool quire_waits_add(struct quire_waits *waits, struct quire_wait *wait)
{
	struct rb_node *node;
	unsigned long flags;
	bool newer = true;

	spin_lock_irqsave(&waits->lock, flags);
	wait->epoch = waits->epoch;
	node = rb_find_add(&wait->node, &waits->newest, quire_wait_compare);
	if (node) {
		newer = dma_fence_is_later(wait->fence,
					   rb_entry(node, struct quire_wait, node)->fence);
		if (newer)
			rb_replace_node(node, &wait->node, &waits->newest);
		RB_CLEAR_NODE(newer ? node : &wait->node);
	}
	spin_unlock_irqrestore(&waits->lock, flags);
	return newer;
}

static void quire_waits_remove(struct quire_waits *waits, struct quire_wait *wait)
{
	unsigned long flags;

	spin_lock_irqsave(&waits->lock, flags);
	if (wait->epoch == waits->epoch && !RB_EMPTY_NODE(&wait->node))
		rb_erase(&wait->node, &waits->newest);
	spin_unlock_irqrestore(&waits->lock, flags);
}

/* Nothing is waited for any more, and no callback touches it: they run under locks taken here. */
static void quire_syncs_disarm(struct quire_syncs *syncs)
{
	if (!syncs->over)
		return;
	for (u32 i = 0; i < syncs->count; i++)
		dma_fence_remove_callback(syncs->wait[i].fence, &syncs->wait[i].callback);
	atomic_set(&syncs->left, 0);
	syncs->over = NULL;
}

void quire_syncs_put(struct quire_syncs *syncs)
{
	quire_syncs_disarm(syncs);
	for (u32 i = 0; i < syncs->count; i++) {
		if (syncs->waits)
			quire_waits_remove(syncs->waits, &syncs->wait[i]);
		dma_fence_put(syncs->wait[i].fence);
	}
	kvfree(syncs->wait);
	syncs->wait = NULL;
	syncs->count = 0;
}

/* Runs under the lock of the fence waited for: only wakes a worker. */
static void quire_sync_signalled(struct dma_fence *fence, struct dma_fence_cb *callback)
{
	struct quire_syncs *syncs = container_of(callback, struct quire_wait, callback)->syncs;

	if (atomic_dec_and_test(&syncs->left))
		syncs->over(syncs);
}

void quire_syncs_arm(struct quire_syncs *syncs, struct quire_waits *waits,
		     void (*over)(struct quire_syncs *syncs))
{
	syncs->waits = waits;
	syncs->over = over;
	/* One more, so that @over is not called from here. */
	atomic_set(&syncs->left, 1 + syncs->count);
	for (u32 i = 0; i < syncs->count; i++) {
		struct quire_wait *wait = &syncs->wait[i];

		wait->syncs = syncs;
		INIT_LIST_HEAD(&wait->callback.node);
		if (!quire_waits_add(waits, wait) ||
		    dma_fence_add_callback(wait->fence, &wait->callback, quire_sync_signalled))
			atomic_dec(&syncs->left);
	}
	atomic_dec(&syncs->left);
}

void quire_signals_give(struct quire_signals *signals)
{
	might_sleep();
	for (u32 i = 0; i < signals->count && !fatal_signal_pending(current); i++) {
		struct quire_sync_signal *signal = &signals->signal[i];

		if (signal->chain) {
			/* The chain belongs to the syncobj from here on. */
			drm_syncobj_add_point(signal->syncobj, signal->chain, signals->fence,
					      signal->point);
			signal->chain = NULL;
		} else {
			drm_syncobj_replace_fence(signal->syncobj, signals->fence);
		}
		cond_resched();
	}
}

void quire_signals_put(struct quire_signals *signals)
{
	struct dma_fence *fence = signals->fence;

	for (u32 i = 0; i < signals->count; i++) {
		dma_fence_chain_free(signals->signal[i].chain);
		drm_syncobj_put(signals->signal[i].syncobj);
	}
	if (signals->signal != &signals->one_signal)
		kvfree(signals->signal);
	signals->signal = NULL;
	signals->count = 0;
	signals->fence = NULL;
	dma_fence_put(fence);
}
