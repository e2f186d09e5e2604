// SPDX-License-Identifier: GPL-2.0-only
/* What the KUnit tests share. */
#include <linux/dma-mapping.h>

#include "quire_kunit.h"
#include "quire_power.h"

static void quire_kunit_put_device(void *data)
{
	put_device(data);
}

/* The memory is the test's. */
static void quire_kunit_release(struct device *dev)
{
}

struct quire_device *quire_kunit_card(struct kunit *test)
{
	struct quire_device *qdev = kunit_kzalloc(test, sizeof(*qdev), GFP_KERNEL);
	struct pci_dev *pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	void *registers;

	KUNIT_ASSERT_NOT_NULL(test, qdev);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	device_initialize(&pdev->dev);
	pdev->dev.release = quire_kunit_release;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, quire_kunit_put_device,
							   &pdev->dev));
	KUNIT_ASSERT_EQ(test, 0, dev_set_name(&pdev->dev, "quire-kunit"));
	pdev->dma_mask = DMA_BIT_MASK(QUIRE_DMA_BITS);
	pdev->dev.dma_mask = &pdev->dma_mask;
	pdev->dev.coherent_dma_mask = pdev->dma_mask;

	qdev->pdev = pdev;
	qdev->drm.dev = &pdev->dev;
	registers = kunit_kzalloc(test, QUIRE_BAR_REGISTERS_BYTES, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, registers);
	qdev->regs = (void __iomem __force *)registers;
	qdev->power = kunit_kzalloc(test, sizeof(*qdev->power), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, qdev->power);
	/* The test's own: the card is awake, and runtime PM is never asked. */
	atomic_set(&qdev->power->users, 1);
	quire_counters_init(qdev);
	spin_lock_init(&qdev->tables_lock);
	INIT_LIST_HEAD(&qdev->tables);
	mutex_init(&qdev->mmu_lock);
	return qdev;
}
