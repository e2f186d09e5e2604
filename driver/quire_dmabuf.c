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
#include "quire_vm.h"

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

/* As drm_prime_pages_to_sg(), but charged to who maps it, and in pieces that his device takes. */
static struct sg_table *quire_export_list(struct quire_bo *bo, struct device *dev)
{
	struct sg_table *sgt = kzalloc(sizeof(*sgt), QUIRE_GFP_CALL);
	struct ttm_tt *tt = bo->base.ttm;
	int ret;

	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table_from_pages_segment(sgt, tt->pages, tt->num_pages, 0,
						bo->base.base.size, dma_get_max_seg_size(dev),
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
	sgt = quire_export_list(bo, attach->dev);
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

bool quire_export_is_of(const struct dma_buf *dmabuf, const struct drm_device *drm)
{
	const struct drm_gem_object *object = dmabuf->priv;

	return dmabuf->ops == &quire_export_ops && object->dev == drm;
}
