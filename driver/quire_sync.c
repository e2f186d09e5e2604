// SPDX-License-Identifier: GPL-2.0-only
/* Arrays from userspace, and the fences jobs wait for and signal. */
#include <linux/dma-fence-chain.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_syncobj.h>

#include "quire_device.h"
#include "quire_sync.h"

int quire_copy_array(struct drm_device *drm, const char *name,
		     const struct drm_quire_obj_array *array, size_t element,
		     u32 max_count, void **out)
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
		kvfree(to);
		return ret;
	}
	*out = to;
	return 0;
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

int quire_syncs_get(struct drm_device *drm, struct drm_file *file,
		    const struct drm_quire_obj_array *array, struct quire_syncs *syncs)
{
	struct drm_quire_sync *sync;
	u32 i, signals = 0;
	void *copy;
	int ret;

	memset(syncs, 0, sizeof(*syncs));
	if (!array->count && !array->array)
		return 0;
	ret = quire_copy_array(drm, "syncs", array, sizeof(*sync), QUIRE_SYNCS_MAX, &copy);
	if (ret)
		return ret;
	sync = copy;
	for (i = 0; i < array->count; i++)
		signals += !!(sync[i].flags & DRM_QUIRE_SYNC_SIGNAL);

	ret = -ENOMEM;
	if (signals < array->count) {
		syncs->wait = kvcalloc(array->count - signals, sizeof(*syncs->wait),
				       QUIRE_GFP_CALL);
		if (!syncs->wait)
			goto out;
	}
	if (signals) {
		syncs->signal = kvcalloc(signals, sizeof(*syncs->signal), QUIRE_GFP_CALL);
		if (!syncs->signal)
			goto out;
	}
	ret = 0;
	for (i = 0; i < array->count && !ret; i++)
		ret = quire_sync_get(drm, file, &sync[i], syncs);
out:
	kvfree(copy);
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
	kvfree(syncs->wait);
	memset(syncs, 0, sizeof(*syncs));
}
