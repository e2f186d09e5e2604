// SPDX-License-Identifier: GPL-2.0-only
/* Arrays from userspace, and the fences jobs wait for and signal. */
#include <linux/dma-fence-chain.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_syncobj.h>

#include "quire_device.h"
#include "quire_sync.h"

#define QUIRE_SYNCS_FEW 4

int quire_copy_short_array(struct drm_device *drm, const char *name,
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
	if (array->stride > PAGE_SIZE)
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

int quire_copy_array(struct drm_device *drm, const char *name,
		     const struct drm_quire_obj_array *array, size_t element,
		     u32 max_count, void **out)
{
	return quire_copy_short_array(drm, name, array, element, max_count, NULL, 0, out);
}

static int quire_sync_get(struct drm_device *drm, struct drm_file *file,
			  const struct drm_quire_sync *sync, struct quire_syncs *syncs)
{
	bool timeline = sync->flags & DRM_QUIRE_SYNC_TIMELINE;
	struct quire_sync_signal *signal;

	if (sync->flags & ~(DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE))
		return quire_inval(drm, "syncs.flags %#x must be known", sync->flags);
	if (timeline != !!sync->point)
		return quire_inval(drm, "syncs.point %llu must be there with TIMELINE only",
				   sync->point);

	if (!(sync->flags & DRM_QUIRE_SYNC_SIGNAL)) {
		int ret = drm_syncobj_find_fence(file, sync->handle, sync->point, 0,
						 &syncs->wait[syncs->waits]);

		if (ret) {
			drm_dbg(drm, "syncs: handle %u has no fence to wait for (%d)\n",
				sync->handle, ret);
			return ret;
		}
		syncs->waits++;
		return 0;
	}

	signal = &syncs->signal[syncs->signals];
	signal->point = sync->point;
	signal->syncobj = drm_syncobj_find(file, sync->handle);
	if (!signal->syncobj)
		return -ENOENT;
	syncs->signals++;
	if (timeline) {
		signal->chain = dma_fence_chain_alloc();
		if (!signal->chain)
			return -ENOMEM;
	}
	return 0;
}

static int quire_syncs_alloc(struct quire_syncs *syncs, const struct drm_quire_sync *sync,
			     u32 count)
{
	u32 signals = 0, waits;

	for (u32 i = 0; i < count; i++)
		signals += !!(sync[i].flags & DRM_QUIRE_SYNC_SIGNAL);
	waits = count - signals;
	syncs->wait = &syncs->one_wait;
	syncs->signal = &syncs->one_signal;
	if (waits > 1)
		syncs->wait = kvcalloc(waits, sizeof(*syncs->wait), QUIRE_GFP_CALL);
	if (signals > 1)
		syncs->signal = kvcalloc(signals, sizeof(*syncs->signal), QUIRE_GFP_CALL);
	return syncs->wait && syncs->signal ? 0 : -ENOMEM;
}

int quire_syncs_get(struct drm_device *drm, struct drm_file *file,
		    const struct drm_quire_obj_array *array, struct quire_syncs *syncs)
{
	struct drm_quire_sync few[QUIRE_SYNCS_FEW], *sync;
	void *copy;
	int ret;

	memset(syncs, 0, sizeof(*syncs));
	if (!array->count && !array->array)
		return 0;
	ret = quire_copy_short_array(drm, "syncs", array, sizeof(*sync), QUIRE_SYNCS_MAX, few,
				     sizeof(few), &copy);
	if (ret)
		return ret;
	sync = copy;
	ret = quire_syncs_alloc(syncs, sync, array->count);
	for (u32 i = 0; i < array->count && !ret; i++)
		ret = quire_sync_get(drm, file, &sync[i], syncs);
	if (sync != few)
		kvfree(sync);
	if (ret)
		quire_syncs_put(syncs);
	return ret;
}

void quire_syncs_signal(struct quire_syncs *syncs, struct dma_fence *fence)
{
	u32 i;

	for (i = 0; i < syncs->signals; i++) {
		struct quire_sync_signal *signal = &syncs->signal[i];

		if (signal->chain) {
			/* The chain belongs to the syncobj from here on. */
			drm_syncobj_add_point(signal->syncobj, signal->chain, fence,
					      signal->point);
			signal->chain = NULL;
		} else {
			drm_syncobj_replace_fence(signal->syncobj, fence);
		}
	}
}

void quire_syncs_put_signals(struct quire_syncs *syncs)
{
	u32 i;

	for (i = 0; i < syncs->signals; i++) {
		dma_fence_chain_free(syncs->signal[i].chain);
		drm_syncobj_put(syncs->signal[i].syncobj);
	}
	if (syncs->signal != &syncs->one_signal)
		kvfree(syncs->signal);
	syncs->signal = NULL;
	syncs->signals = 0;
}

void quire_syncs_put(struct quire_syncs *syncs)
{
	u32 i;

	quire_syncs_put_signals(syncs);
	for (i = 0; i < syncs->waits; i++)
		dma_fence_put(syncs->wait[i]);
	if (syncs->wait != &syncs->one_wait)
		kvfree(syncs->wait);
	syncs->wait = NULL;
	syncs->waits = 0;
}
