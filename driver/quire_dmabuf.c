// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory shared with other devices (dma-buf), in both directions dynamic: whoever uses it is
 * told before it moves, and asks where it is afterwards.
 *
 * What others reach lies in system memory.  Card memory goes away with sleep, resets and
 * unplug, and none of these can wait for the jobs of another device; so a buffer leaves the
 * card when another device maps it, and comes back once none does.  The card in turn reaches
 * memory only, no other device.
 *
 * Exporter and importers share one reservation.  A move: the fences in it have signalled, our
 * address spaces forget the buffer, importers are told (and their cards drain), pages move.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_prime.h>
#include <drm/ttm/ttm_tt.h>

#include "quire_compat.h"
#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_userptr.h"
#include "quire_vm.h"

/* How long a buffer that has gone waits when somebody has its reservation. */
#define QUIRE_IMPORT_LOOK msecs_to_jiffies(100)

/** struct quire_peer - another device that is attached to a buffer of ours */
struct quire_peer {
	/** @attach: as it is known to dma-buf */
	struct dma_buf_attachment *attach;
	/** @maps: mappings it has; under the reservation */
	unsigned int maps;
	/** @node: in quire_bo.peers while there are @maps */
	struct list_head node;
};

static struct quire_bo *quire_export_bo(struct dma_buf_attachment *attach)
{
	return to_quire_bo(attach->dmabuf->priv);
}

static int quire_export_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct quire_peer *peer = kzalloc(sizeof(*peer), QUIRE_GFP_CALL);

	if (!peer)
		return -ENOMEM;
	INIT_LIST_HEAD(&peer->node);
	peer->attach = attach;
	attach->priv = peer;
	attach->peer2peer = false;
	return 0;
}

static void quire_export_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct quire_peer *peer = attach->priv;

	WARN_ON(peer->maps);
	kfree(peer);
}

/* For who cannot be told of a move.  Nothing is pending in the pages when this returns. */
static int quire_export_hold(struct quire_bo *bo)
{
	long left;
	int ret;

	dma_resv_assert_held(bo->base.base.resv);
	if (!bo->base.pin_count) {
		ret = quire_bo_to_system(bo);
		if (ret)
			return ret;
	}
	left = dma_resv_wait_timeout(bo->base.base.resv, DMA_RESV_USAGE_KERNEL, true,
				     MAX_SCHEDULE_TIMEOUT);
	if (left < 0)
		return left;
	ttm_bo_pin(&bo->base);
	return 0;
}

static int quire_export_pin(struct dma_buf_attachment *attach)
{
	return quire_export_hold(quire_export_bo(attach));
}

static void quire_export_unpin(struct dma_buf_attachment *attach)
{
	ttm_bo_unpin(&quire_export_bo(attach)->base);
}

/* As drm_prime_pages_to_sg(), but charged to who maps it. */
static struct sg_table *quire_export_list(struct quire_bo *bo)
{
	struct sg_table *sgt = kzalloc(sizeof(*sgt), QUIRE_GFP_CALL);
	struct ttm_tt *tt = bo->base.ttm;
	int ret;

	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table_from_pages(sgt, tt->pages, tt->num_pages, 0, bo->base.base.size,
					QUIRE_GFP_CALL);
	if (ret) {
		kfree(sgt);
		return ERR_PTR(ret);
	}
	return sgt;
}

static struct sg_table *quire_export_map(struct dma_buf_attachment *attach,
					 enum dma_data_direction direction)
{
	struct quire_bo *bo = quire_export_bo(attach);
	struct quire_peer *peer = attach->priv;
	struct sg_table *sgt;
	int ret = 0;

	dma_resv_assert_held(bo->base.base.resv);
	if (!bo->base.pin_count)
		ret = quire_bo_to_system(bo);
	if (ret)
		return ERR_PTR(ret);
	sgt = quire_export_list(bo);
	if (IS_ERR(sgt))
		return sgt;
	ret = dma_map_sgtable(attach->dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
	if (ret) {
		sg_free_table(sgt);
		kfree(sgt);
		return ERR_PTR(ret);
	}
	if (!peer->maps++)
		list_add(&peer->node, &bo->peers);
	return sgt;
}

/* Nobody else has it mapped: the next submission may bring it back to the card. */
static void quire_export_return(struct quire_bo *bo)
{
	struct drm_gpuvm_bo *vm_bo;

	dma_resv_assert_held(bo->base.base.resv);
	if (bo->placement == DRM_QUIRE_PLACEMENT_CARD)
		drm_gem_for_each_gpuvm_bo(vm_bo, &bo->base.base)
			drm_gpuvm_bo_evict(vm_bo, true);
}

static void quire_export_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			       enum dma_data_direction direction)
{
	struct quire_bo *bo = quire_export_bo(attach);
	struct quire_peer *peer = attach->priv;

	dma_resv_assert_held(bo->base.base.resv);
	dma_unmap_sgtable(attach->dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(sgt);
	kfree(sgt);
	if (--peer->maps)
		return;
	list_del_init(&peer->node);
	if (list_empty(&bo->peers))
		quire_export_return(bo);
}

int quire_export_forget(struct quire_bo *bo, struct ttm_operation_ctx *ctx)
{
	struct quire_peer *peer;
	LIST_HEAD(told);

	dma_resv_assert_held(bo->base.base.resv);
	if (list_empty(&bo->peers))
		return 0;
	/* Importers wait until their devices come to rest. */
	if (ctx->no_wait_gpu)
		return -EBUSY;
	/*
	 * Each leaves the list as it unmaps, at once or soon after.  The GEM object does not know
	 * all its dma-bufs: it forgets one with its last handle.
	 */
	list_splice_init(&bo->peers, &told);
	while ((peer = list_first_entry_or_null(&told, struct quire_peer, node))) {
		list_move(&peer->node, &bo->peers);
		quire_dma_buf_move_notify(peer->attach->dmabuf);
	}
	/* What an importer could not stop at once it has put there as a fence. */
	return ttm_bo_wait_ctx(&bo->base, ctx);
}

int quire_export_vmap(struct drm_gem_object *object, struct iosys_map *map)
{
	struct quire_bo *bo = to_quire_bo(object);
	int ret;

	if (bo->info)
		return -EINVAL;
	ret = quire_export_hold(bo);
	if (ret)
		return ret;
	ret = ttm_bo_vmap(&bo->base, map);
	if (ret)
		ttm_bo_unpin(&bo->base);
	return ret;
}

void quire_export_vunmap(struct drm_gem_object *object, struct iosys_map *map)
{
	struct quire_bo *bo = to_quire_bo(object);

	dma_resv_assert_held(object->resv);
	ttm_bo_vunmap(&bo->base, map);
	ttm_bo_unpin(&bo->base);
}

static const struct dma_buf_ops quire_export_ops = {
	.attach = quire_export_attach,
	.detach = quire_export_detach,
	.pin = quire_export_pin,
	.unpin = quire_export_unpin,
	.map_dma_buf = quire_export_map,
	.unmap_dma_buf = quire_export_unmap,
	.release = drm_gem_dmabuf_release,
	.mmap = drm_gem_dmabuf_mmap,
	.vmap = drm_gem_dmabuf_vmap,
	.vunmap = drm_gem_dmabuf_vunmap,
};

struct dma_buf *quire_export(struct drm_gem_object *object, int flags)
{
	struct quire_bo *bo = to_quire_bo(object);
	struct dma_buf *dmabuf;

	if (bo->vm_object || bo->userptr) {
		drm_dbg(object->dev, "prime: a private buffer or user memory cannot be shared\n");
		return ERR_PTR(-EPERM);
	}
	/* Whoever gets it attaches to where the memory is. */
	if (bo->import) {
		get_dma_buf(bo->import->dmabuf);
		return bo->import->dmabuf;
	}
	dmabuf = drm_gem_prime_export(object, flags);
	if (!IS_ERR(dmabuf))
		dmabuf->ops = &quire_export_ops;
	return dmabuf;
}

static void quire_import_free(struct kref *ref)
{
	struct quire_import *import = container_of(ref, struct quire_import, ref);

	dma_buf_put(import->dmabuf);
	kfree(import);
}

static void quire_import_put(struct quire_import *import)
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

	if (IS_ERR(sgt))
		return PTR_ERR(sgt) == -ENODEV ? -ENXIO : PTR_ERR(sgt);
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
	while (!llist_empty(&qdev->imports_gone))
		flush_delayed_work(&qdev->imports_end);
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

	if (dmabuf->ops == &quire_export_ops && object->dev == drm) {
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
