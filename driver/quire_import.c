// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of other devices (dma-buf) as buffers.  Who exports it may wait for jobs while he is asked
 * for addresses, with the reservation held.  So nothing that others need is held while we ask or
 * wait for that reservation: no lock of DRM's, no drm_dev_enter(), no worker.
 */
#include <linux/dma-buf.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_prime.h>

#include "quire_compat.h"
#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_userptr.h"
#include "quire_vm.h"

/* How long a buffer that has gone waits when somebody has its reservation. */
#define QUIRE_IMPORT_LOOK msecs_to_jiffies(100)

static void quire_import_free(struct kref *ref)
{
	struct quire_import *import = container_of(ref, struct quire_import, ref);

	dma_buf_put(import->dmabuf);
	kfree(import);
}

void quire_import_put(struct quire_import *import)
{
	kref_put(&import->ref, quire_import_free);
}

/* The card does not reach the addresses any more. */
static void quire_import_drop(struct quire_import *import)
{
	dma_resv_assert_held(import->dmabuf->resv);
	if (!import->sgt)
		return;
	quire_segments_fini(&import->segments);
	dma_buf_unmap_attachment(import->attach, import->sgt, DMA_BIDIRECTIONAL);
	WRITE_ONCE(import->sgt, NULL);
}

static void quire_import_moved(struct dma_buf_attachment *attach)
{
	struct quire_import *import = attach->importer_priv;

	dma_resv_assert_held(import->dmabuf->resv);
	if (!import->sgt)
		return;
	/* Jobs that may use it end first; the exporter may not have waited for them. */
	dma_resv_wait_timeout(import->dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	quire_vm_forget_bo(import->bo, false, false);
	quire_import_drop(import);
}

static const struct dma_buf_attach_ops quire_import_ops = {
	.QUIRE_DMA_BUF_MOVED = quire_import_moved,
};

static bool quire_import_covers(struct sg_table *sgt, u64 bytes)
{
	struct scatterlist *sg;
	unsigned int i;
	u64 sum = 0;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (!PAGE_ALIGNED(sg_dma_address(sg) | sg_dma_len(sg)))
			return false;
		sum += sg_dma_len(sg);
	}
	return sum >= bytes;
}

static int quire_import_ask(struct quire_import *import)
{
	struct sg_table *sgt = dma_buf_map_attachment(import->attach, DMA_BIDIRECTIONAL);
	long left;

	/* What -ENODEV and -EAGAIN mean here, an exporter does not know. */
	if (IS_ERR(sgt) && PTR_ERR(sgt) == -ENODEV)
		return -ENXIO;
	if (IS_ERR(sgt))
		return PTR_ERR(sgt) == -EAGAIN ? -EBUSY : PTR_ERR(sgt);
	import->sgt = sgt;
	/* The exporter may still be bringing the contents there. */
	left = dma_resv_wait_timeout(import->dmabuf->resv, DMA_RESV_USAGE_KERNEL, true,
				     MAX_SCHEDULE_TIMEOUT);
	if (left >= 0)
		left = quire_import_covers(sgt, import->dmabuf->size) ?
		       quire_segments_init(&import->segments, sgt) : -ENXIO;
	if (left)
		quire_import_drop(import);
	return left;
}

/*
 * Not inside drm_dev_enter(): the exporter may wait for jobs, and with us the removal of any DRM
 * device would.  Whoever removes the card takes the reservation for each import, and so finds
 * addresses that came meanwhile.
 */
int quire_import_map(struct quire_bo *bo)
{
	struct quire_import *import = bo->import;

	dma_resv_assert_held(import->dmabuf->resv);
	if (import->sgt)
		return 0;
	if (drm_dev_is_unplugged(bo->base.base.dev) || !import->attach)
		return -ENODEV;
	return quire_import_ask(import);
}

bool quire_import_failed_for_now(int error)
{
	switch (error) {
	case -ENODEV: /* our own card's */
	case -EBUSY: /* the exporter's jobs */
	case -ENOMEM:
	case -EINTR:
	case -ERESTARTSYS:
		return true;
	default:
		return false;
	}
}

void quire_import_idle(struct quire_bo *bo)
{
	dma_resv_assert_held(bo->base.base.resv);
	if (list_empty(&bo->base.base.gpuva.list))
		quire_import_drop(bo->import);
}

/* The card lets go of the memory; what is returned is to be detached without the reservation. */
static struct dma_buf_attachment *quire_import_leave(struct quire_import *import)
{
	struct dma_buf_attachment *attach = import->attach;

	lockdep_assert_held(&import->lock);
	dma_resv_assert_held(import->dmabuf->resv);
	/* Without addresses no address space has it, and it may be on its way out. */
	if (import->bo && import->sgt)
		quire_vm_forget_bo(import->bo, false, false);
	quire_import_drop(import);
	import->attach = NULL;
	return attach;
}

/* Takes it off quire_device.imports, and drops the reference of that. */
static void quire_import_unlist(struct quire_device *qdev, struct quire_import *import)
{
	bool listed;

	mutex_lock(&qdev->imports_lock);
	listed = !list_empty(&import->node);
	list_del_init(&import->node);
	mutex_unlock(&qdev->imports_lock);
	if (listed)
		quire_import_put(import);
}

/* False: somebody has the reservation, perhaps while he waits for jobs. */
static bool quire_import_try_detach(struct quire_import *import)
{
	struct dma_buf_attachment *attach;

	lockdep_assert_held(&import->lock);
	if (!import->attach)
		return true;
	if (!dma_resv_trylock(import->dmabuf->resv))
		return false;
	attach = quire_import_leave(import);
	import->bo = NULL;
	dma_resv_unlock(import->dmabuf->resv);
	dma_buf_detach(import->dmabuf, attach);
	return true;
}

/* Nobody has the buffer any more.  The card is off the list last: unplug waits for us there. */
static bool quire_import_try_end(struct quire_device *qdev, struct quire_import *import)
{
	struct quire_bo *bo;
	bool over;

	if (!mutex_trylock(&import->lock))
		return false;
	bo = import->bo;
	over = quire_import_try_detach(import);
	if (over)
		import->bo = NULL;
	mutex_unlock(&import->lock);
	if (!over)
		return false;
	quire_import_unlist(qdev, import);
	quire_import_put(import);
	quire_bo_end(bo);
	return true;
}

static void quire_imports_end_work(struct work_struct *work)
{
	struct quire_device *qdev = container_of(work, struct quire_device, imports_end.work);
	struct quire_import *import, *next;
	bool busy = false;

	llist_for_each_entry_safe(import, next, llist_del_all(&qdev->imports_gone), gone) {
		if (!quire_import_try_end(qdev, import)) {
			llist_add(&import->gone, &qdev->imports_gone);
			busy = true;
		}
		cond_resched();
	}
	if (busy)
		queue_delayed_work(quire_userptr_wq, &qdev->imports_end, QUIRE_IMPORT_LOOK);
}

/* Not here, in TTM's worker: the reservation is others', who may wait for jobs with it. */
void quire_import_detach(struct quire_bo *bo)
{
	struct quire_device *qdev = to_quire_device(bo->base.base.dev);

	if (llist_add(&bo->import->gone, &qdev->imports_gone))
		mod_delayed_work(quire_userptr_wq, &qdev->imports_end, 0);
}

void quire_imports_init(struct quire_device *qdev)
{
	INIT_LIST_HEAD(&qdev->imports);
	init_llist_head(&qdev->imports_gone);
	INIT_DELAYED_WORK(&qdev->imports_end, quire_imports_end_work);
}

void quire_imports_fini(struct quire_device *qdev)
{
	while (!llist_empty(&qdev->imports_gone)) {
		flush_delayed_work(&qdev->imports_end);
		/* Somebody has a reservation, which he will give back. */
		schedule_timeout_uninterruptible(1);
	}
	flush_delayed_work(&qdev->imports_end);
}

static void quire_import_unplug(struct quire_import *import)
{
	struct dma_buf_attachment *attach;

	/* Whoever is just attaching or detaching the card comes first. */
	mutex_lock(&import->lock);
	if (import->attach) {
		dma_resv_lock(import->dmabuf->resv, NULL);
		attach = quire_import_leave(import);
		dma_resv_unlock(import->dmabuf->resv);
		dma_buf_detach(import->dmabuf, attach);
	}
	mutex_unlock(&import->lock);
}

void quire_imports_unplug(struct quire_device *qdev)
{
	struct quire_import *import;

	for (;;) {
		mutex_lock(&qdev->imports_lock);
		import = list_first_entry_or_null(&qdev->imports, struct quire_import, node);
		if (import)
			list_del_init(&import->node);
		mutex_unlock(&qdev->imports_lock);
		if (!import)
			return;
		quire_import_unplug(import);
		quire_import_put(import);
	}
}

/* Not attached yet; a buffer that cannot be made takes the import with it. */
static struct quire_bo *quire_import_new(struct quire_device *qdev, struct dma_buf *dmabuf)
{
	struct quire_import *import = kzalloc(sizeof(*import), QUIRE_GFP_CALL);
	struct quire_bo *bo = kzalloc(sizeof(*bo), QUIRE_GFP_CALL);

	if (!import || !bo) {
		kfree(import);
		kfree(bo);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&import->ref);
	mutex_init(&import->lock);
	INIT_LIST_HEAD(&import->node);
	get_dma_buf(dmabuf);
	import->dmabuf = dmabuf;
	import->bo = bo;
	bo->import = import;
	bo->placement = DRM_QUIRE_PLACEMENT_SYSTEM;
	bo->info = DRM_QUIRE_BO_INFO_IMPORTED;
	if (!dma_resv_trylock(dmabuf->resv)) {
		quire_import_put(import);
		kfree(bo);
		return ERR_PTR(-EAGAIN);
	}
	bo = quire_bo_new(qdev, bo, dmabuf->size, ttm_bo_type_sg, NULL, dmabuf->resv);
	dma_resv_unlock(dmabuf->resv);
	return bo;
}

/* Until nobody has the reservation, or a signal comes. */
static int quire_import_wait(struct dma_buf *dmabuf)
{
	int ret = quire_restart(dma_resv_lock_interruptible(dmabuf->resv, NULL));

	if (!ret)
		dma_resv_unlock(dmabuf->resv);
	return ret;
}

/* From here on unplug detaches the card, and waits for who is attaching it. */
static int quire_import_list(struct quire_device *qdev, struct quire_import *import)
{
	int idx;

	if (!drm_dev_enter(&qdev->drm, &idx))
		return -ENODEV;
	mutex_lock(&qdev->imports_lock);
	if (list_empty(&import->node)) {
		list_add(&import->node, &qdev->imports);
		kref_get(&import->ref);
	}
	mutex_unlock(&qdev->imports_lock);
	drm_dev_exit(idx);
	return 0;
}

int quire_import_attach(struct quire_bo *bo)
{
	struct quire_device *qdev = to_quire_device(bo->base.base.dev);
	struct quire_import *import = bo->import;
	struct dma_buf_attachment *attach;
	int ret;

	if (READ_ONCE(import->attach))
		return 0;
	/* dma-buf takes the reservation and cannot be interrupted. */
	ret = quire_import_wait(import->dmabuf) ?:
	      quire_restart(mutex_lock_interruptible(&import->lock));
	if (ret)
		return ret;
	if (!import->attach)
		ret = quire_import_list(qdev, import);
	if (!import->attach && !ret) {
		attach = dma_buf_dynamic_attach(import->dmabuf, qdev->drm.dev, &quire_import_ops,
						import);
		if (!IS_ERR(attach))
			WRITE_ONCE(import->attach, attach);
		else
			ret = PTR_ERR(attach) == -ENODEV ? -ENXIO : PTR_ERR(attach);
	}
	mutex_unlock(&import->lock);
	return ret;
}

struct drm_gem_object *quire_import(struct drm_device *drm, struct dma_buf *dmabuf)
{
	struct drm_gem_object *object = dmabuf->priv;
	struct quire_bo *bo;

	if (quire_export_is_of(dmabuf, drm)) {
		drm_gem_object_get(object);
		return object;
	}
	/* GEM has whole pages only. */
	if (!dmabuf->size || !PAGE_ALIGNED(dmabuf->size))
		return ERR_PTR(-EINVAL);
	bo = quire_import_new(to_quire_device(drm), dmabuf);
	return IS_ERR(bo) ? ERR_CAST(bo) : &bo->base.base;
}

int quire_import_handle(struct drm_device *drm, struct drm_file *file, int fd, u32 *handle)
{
	int ret = drm_gem_prime_fd_to_handle(drm, file, fd, handle);

	while (ret == -EAGAIN) {
		struct dma_buf *dmabuf = dma_buf_get(fd);

		if (IS_ERR(dmabuf))
			return PTR_ERR(dmabuf);
		ret = quire_import_wait(dmabuf);
		dma_buf_put(dmabuf);
		if (!ret)
			ret = drm_gem_prime_fd_to_handle(drm, file, fd, handle);
	}
	return ret;
}
