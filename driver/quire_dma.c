// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the card reads and writes in place: mappings, which end with the card, and a
 * look at probe whether the platform has them at all.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/iommu.h>

#include <drm/drm_drv.h>

#include "quire_gem.h"

/*
 * Memory is reached in place and coherently, or quire_dma_check() refuses: there is nothing to
 * synchronise.  So the same pages may also be those of several buffers.
 */
#define QUIRE_DMA_ATTRS DMA_ATTR_SKIP_CPU_SYNC
/* Cards of a machine. */
#define QUIRE_DMA_CARDS 8
/* So many users there may be who have as many addresses behind an IOMMU as each may. */
#define QUIRE_DMA_USERS 32

int quire_dma_map(struct quire_device *qdev, struct quire_dma *dma, struct page **pages,
		  unsigned long count, enum dma_data_direction direction)
{
	int ret, idx;

	ret = sg_alloc_table_from_pages(&dma->sgt, pages, count, 0, (u64)count << PAGE_SHIFT,
					QUIRE_GFP_CALL);
	if (ret)
		return ret;
	ret = -ENODEV;
	if (drm_dev_enter(&qdev->drm, &idx)) {
		ret = dma_map_sgtable(&qdev->pdev->dev, &dma->sgt, direction,
				      QUIRE_DMA_ATTRS);
		if (!ret) {
			mutex_lock(&qdev->dma_lock);
			dma->direction = direction;
			dma->mapped = true;
			list_add(&dma->node, &qdev->dma_list);
			mutex_unlock(&qdev->dma_lock);
		}
		drm_dev_exit(idx);
	}
	if (!ret) {
		ret = quire_segments_init(&dma->segments, &dma->sgt);
		if (ret)
			quire_dma_unmap(qdev, dma);
	} else {
		sg_free_table(&dma->sgt);
	}
	return ret;
}

static void quire_dma_end(struct quire_device *qdev, struct quire_dma *dma)
{
	dma_unmap_sgtable(&qdev->pdev->dev, &dma->sgt, dma->direction, QUIRE_DMA_ATTRS);
	list_del(&dma->node);
	dma->mapped = false;
}

void quire_dma_unmap(struct quire_device *qdev, struct quire_dma *dma)
{
	mutex_lock(&qdev->dma_lock);
	if (dma->mapped)
		quire_dma_end(qdev, dma);
	mutex_unlock(&qdev->dma_lock);
	quire_segments_fini(&dma->segments);
	sg_free_table(&dma->sgt);
}

void quire_dma_move(struct quire_device *qdev, struct quire_dma *to, struct quire_dma *from)
{
	mutex_lock(&qdev->dma_lock);
	to->sgt = from->sgt;
	to->segments = from->segments;
	to->segments.sgt = &to->sgt;
	to->direction = from->direction;
	to->mapped = from->mapped;
	if (from->mapped)
		list_replace(&from->node, &to->node);
	mutex_unlock(&qdev->dma_lock);
}

void quire_dma_unplug(struct quire_device *qdev)
{
	struct quire_dma *dma, *next;

	mutex_lock(&qdev->dma_lock);
	list_for_each_entry_safe(dma, next, &qdev->dma_list, node)
		quire_dma_end(qdev, dma);
	mutex_unlock(&qdev->dma_lock);
}

u64 quire_dma_foreign_most(struct quire_device *qdev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&qdev->pdev->dev);
	/* As many cards as a machine has may have all memory of a process. */
	u64 most = QUIRE_DMA_CARDS * ((u64)totalram_pages() << PAGE_SHIFT);

	if (domain && domain->type & __IOMMU_DOMAIN_PAGING)
		most = min_t(u64, most, domain->geometry.aperture_end / QUIRE_DMA_USERS);
	return most;
}

/* The memory behind a bus address, or 0. */
static phys_addr_t quire_dma_phys(struct device *dev, dma_addr_t bus)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain ? iommu_iova_to_phys(domain, bus) : dma_to_phys(dev, bus);
}

/*
 * Jobs run for long on memory that the CPU reads and writes meanwhile.  Where the kernel
 * copies pages for the card (swiotlb, as in confidential virtual machines), or caches do not
 * follow it, they would compute with stale data and drop results without an error.
 */
int quire_dma_check(struct quire_device *qdev)
{
	struct device *dev = &qdev->pdev->dev;
	struct page *page = alloc_page(GFP_KERNEL);
	bool in_place;
	dma_addr_t bus;

	if (!page)
		return -ENOMEM;
	bus = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, bus)) {
		__free_page(page);
		return -ENOMEM;
	}
	in_place = quire_dma_phys(dev, bus) == page_to_phys(page);
	dma_unmap_page(dev, bus, PAGE_SIZE, DMA_BIDIRECTIONAL);
	__free_page(page);
	if (!in_place)
		return dev_err_probe(dev, -EOPNOTSUPP,
				     "DMA goes through bounce buffers (swiotlb); the card needs memory in place\n");
	if (!dev_is_dma_coherent(dev))
		return dev_err_probe(dev, -EOPNOTSUPP,
				     "DMA is not coherent with the caches; the card needs it\n");
	return 0;
}
