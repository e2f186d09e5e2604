// SPDX-License-Identifier: GPL-2.0-only
/* One card: its resources, in the order they come and go. */
#include <linux/dma-mapping.h>

#include <drm/drm_managed.h>

#include "quire_coredump.h"
#include "quire_device.h"
#include "quire_dmabuf.h"
#include "quire_gem.h"
#include "quire_migrate.h"
#include "quire_mmu.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_reach.h"

static int quire_device_map_bars(struct quire_device *qdev)
{
	struct pci_dev *pdev = qdev->pdev;
	int ret;

	if (pci_resource_len(pdev, QUIRE_BAR_REGISTERS) < QUIRE_BAR_REGISTERS_BYTES)
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR %d has %llu bytes, need %u\n",
				     QUIRE_BAR_REGISTERS,
				     (u64)pci_resource_len(pdev, QUIRE_BAR_REGISTERS),
				     QUIRE_BAR_REGISTERS_BYTES);
	ret = pcim_request_all_regions(pdev, DRM_QUIRE_DRIVER_NAME);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "BARs are in use\n");
	qdev->regs = devm_ioremap(&pdev->dev, pci_resource_start(pdev, QUIRE_BAR_REGISTERS),
				  QUIRE_BAR_REGISTERS_BYTES);
	if (!qdev->regs)
		return -ENOMEM;
	return 0;
}

static int quire_device_identify(struct quire_device *qdev)
{
	struct device *dev = &qdev->pdev->dev;
	u64 bar = pci_resource_len(qdev->pdev, QUIRE_BAR_MEMORY);
	u32 id, caps;

	id = quire_read(qdev, QUIRE_REG_ID);
	if (id != QUIRE_ID_VALUE)
		return dev_err_probe(dev, -ENODEV, "register ID is 0x%08x, expected 0x%08x\n", id,
				     QUIRE_ID_VALUE);
	qdev->hw_version = quire_read(qdev, QUIRE_REG_HW_VERSION);
	if (qdev->hw_version >> 16 != QUIRE_HW_VERSION_VALUE >> 16)
		return dev_err_probe(dev, -ENODEV, "hardware version %u.%u, this driver knows %u\n",
				     qdev->hw_version >> 16, qdev->hw_version & 0xffff,
				     QUIRE_HW_VERSION_VALUE >> 16);
	caps = quire_read(qdev, QUIRE_REG_CAP_QUEUES);
	qdev->queues_total = min(caps & 0xffff, (u32)QUIRE_QUEUES);
	qdev->contexts_total = min(caps >> 16, (u32)QUIRE_CONTEXTS);
	qdev->engines = quire_read(qdev, QUIRE_REG_CAP_ENGINES);
	qdev->serial = quire_read64(qdev, QUIRE_REG_SERIAL_LO);
	qdev->memory_bytes = quire_read64(qdev, QUIRE_REG_MEMORY_LO);
	/* One of each is the kernel's and is not lent. */
	if (qdev->queues_total < 2 || qdev->contexts_total < 2 || !qdev->engines)
		return dev_err_probe(dev, -ENODEV,
				     "%u queues, %u contexts, %u engines, need 2, 2 and 1\n",
				     qdev->queues_total, qdev->contexts_total, qdev->engines);
	if (qdev->memory_bytes > bar || qdev->memory_bytes <= QUIRE_CARD_RESERVED_BYTES ||
	    !IS_ALIGNED(qdev->memory_bytes, QUIRE_PAGE_BYTES))
		return dev_err_probe(dev, -ENODEV, "card memory: 0x%llx bytes in a BAR of 0x%llx\n",
				     qdev->memory_bytes, bar);

	qdev->memory_bus = pci_resource_start(qdev->pdev, QUIRE_BAR_MEMORY);
	qdev->memory = devm_ioremap_wc(dev, qdev->memory_bus, qdev->memory_bytes);
	return qdev->memory ? 0 : -ENOMEM;
}

/*
 * Everything that touches the card ends, in the order jobs, firmware, page tables, DMA.
 * In probe's error path nobody but us knows the card; in remove open files stay, but
 * drm_dev_unplug() keeps them off.
 */
static void quire_device_end(void *data)
{
	struct quire_device *qdev = data;

	/* From here on no reset asks for the next rung of the ladder, which power_fini() ends. */
	quire_queues_end(qdev);
	quire_power_fini(qdev);
	quire_migrate_fini(qdev);
	quire_queues_fini(qdev);
	quire_fw_fini(qdev);
	quire_reset_fini(qdev);
	quire_irq_fini(qdev);
	quire_coredump_fini(qdev);
	pci_clear_master(qdev->pdev);
	quire_reach_unplug(qdev);
	quire_imports_unplug(qdev);
	quire_tables_unplug(qdev);
	quire_dma_unplug(qdev);
}

/* What only takes memory comes first: quire_device_end() finds all of it. */
static int quire_device_start(struct quire_device *qdev)
{
	int ret;

	ret = quire_irq_init(qdev);
	if (!ret)
		ret = quire_mailbox_init(qdev);
	if (!ret)
		ret = quire_reset_init(qdev);
	if (!ret)
		ret = quire_queues_init(qdev);
	if (!ret)
		ret = quire_fw_init(qdev);
	if (!ret)
		ret = quire_irq_request_events(qdev);
	if (!ret)
		ret = quire_power_init(qdev);
	if (!ret)
		ret = devm_add_action_or_reset(qdev->drm.dev, quire_device_end, qdev);
	if (!ret)
		ret = quire_migrate_init(qdev);
	if (!ret)
		ret = quire_fw_boot(qdev);
	if (!ret)
		ret = quire_error_remember(qdev);
	if (!ret)
		ret = quire_gem_flush_first(qdev);
	/* Until here the card was probe's: a firmware that crashes is its error, not a reset. */
	return ret ?: quire_queues_resume(qdev);
}

int quire_device_init(struct quire_device *qdev, struct pci_dev *pdev)
{
	struct drm_device *drm = &qdev->drm;
	int ret;

	qdev->pdev = pdev;
	pci_set_drvdata(pdev, qdev);
	spin_lock_init(&qdev->tables_lock);
	INIT_LIST_HEAD(&qdev->tables);
	quire_imports_init(qdev);
	ret = drmm_mutex_init(drm, &qdev->mmu_lock);
	if (!ret)
		ret = drmm_mutex_init(drm, &qdev->imports_lock);
	if (ret)
		return ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "cannot enable\n");
	/* What an entry of a page table can hold. */
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(QUIRE_DMA_BITS));
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "no DMA of %u bits\n", QUIRE_DMA_BITS);
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	ret = quire_dma_check(qdev);
	if (ret)
		return ret;
	ret = quire_device_map_bars(qdev);
	if (ret)
		return ret;
	ret = quire_device_identify(qdev);
	if (ret)
		return ret;
	ret = quire_fw_quiet(qdev);
	if (ret)
		return ret;

	ret = quire_reach_init(qdev);
	if (ret)
		return ret;
	ret = quire_rescue_init(qdev);
	if (ret)
		return ret;
	ret = quire_gem_init(qdev);
	if (ret)
		return ret;
	ret = quire_coredump_init(qdev);
	if (ret)
		return ret;
	return quire_device_start(qdev);
}

/*
 * The card goes, by unbind or because somebody has pulled it.  Its jobs end before
 * drm_dev_unplug() waits for calls, because a call may wait for a job.
 */
void quire_device_unplug(struct quire_device *qdev)
{
	quire_queues_end(qdev);
	drm_dev_unplug(&qdev->drm);
	devm_release_action(qdev->drm.dev, quire_device_end, qdev);
}
