// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts: vector 0 for events, one vector per queue. */
#include <linux/interrupt.h>

#include <drm/drm_managed.h>

#include "quire_queue.h"
#include "quire_reach.h"

#define QUIRE_EVENTS                                                           \
	(QUIRE_EVENT_BOOT | QUIRE_EVENT_MAILBOX | QUIRE_EVENT_CRASH | QUIRE_EVENT_DRAINED | \
	 QUIRE_EVENT_QUEUE_PARKED)

/* Events, the ring of the kernel's jobs, and one that is lent. */
#define QUIRE_IRQ_VECTORS_MIN 3

/** struct quire_irq - vectors of a card */
struct quire_irq {
	/** @vectors: allocated */
	u32 vectors;
};

static irqreturn_t quire_irq_event(int irq, void *data)
{
	struct quire_device *qdev = data;
	u32 status = quire_read(qdev, QUIRE_REG_EVENT_STATUS);

	/* All ones: the card has been pulled or sleeps. */
	if (!status || status == ~0u)
		return IRQ_NONE;
	quire_write(qdev, QUIRE_REG_EVENT_STATUS, status);
	if (status & QUIRE_EVENT_MAILBOX)
		quire_mailbox_wake(qdev);
	if (status & QUIRE_EVENT_BOOT)
		quire_fw_wake(qdev);
	if (status & QUIRE_EVENT_DRAINED)
		quire_reach_event(qdev);
	if (status & QUIRE_EVENT_QUEUE_PARKED)
		quire_slots_wake(qdev);
	if (status & QUIRE_EVENT_CRASH)
		quire_reset_schedule(qdev, "the firmware crashed");
	return IRQ_HANDLED;
}

static irqreturn_t quire_irq_slot(int irq, void *data)
{
	quire_slot_interrupt(data);
	return IRQ_HANDLED;
}

u32 quire_irq_queue_vectors(struct quire_device *qdev)
{
	return qdev->irq->vectors - 1;
}

/* Of all rings, whoever they will be lent to.  Where they go is left to the administrator. */
int quire_irq_request_slots(struct quire_device *qdev, struct quire_queues *queues)
{
	int ret = 0;

	for (u32 i = 0; i < queues->count && !ret; i++)
		ret = devm_request_irq(qdev->drm.dev, pci_irq_vector(qdev->pdev, 1 + i),
				       quire_irq_slot, 0, "quire-queue", &queues->slots[i]);
	return ret;
}

int quire_irq_init(struct quire_device *qdev)
{
	struct quire_irq *irq;
	int count;

	irq = drmm_kzalloc(&qdev->drm, sizeof(*irq), GFP_KERNEL);
	if (!irq)
		return -ENOMEM;
	/* pcim_enable_device() gives them back. */
	count = pci_alloc_irq_vectors(qdev->pdev, QUIRE_IRQ_VECTORS_MIN, QUIRE_MSIX_VECTORS,
				      PCI_IRQ_MSIX);
	if (count < 0) {
		drm_err(&qdev->drm, "no MSI-X vectors (%d), at least %d are needed\n", count,
			QUIRE_IRQ_VECTORS_MIN);
		return count;
	}
	irq->vectors = count;
	if (count < QUIRE_MSIX_VECTORS)
		drm_info(&qdev->drm, "%d of %u interrupt vectors: only %d queues\n", count,
			 QUIRE_MSIX_VECTORS, count - 1);
	qdev->irq = irq;
	return 0;
}

/* Events may come from here on: what they wake must exist. */
int quire_irq_request_events(struct quire_device *qdev)
{
	return devm_request_irq(qdev->drm.dev, pci_irq_vector(qdev->pdev, 0), quire_irq_event, 0,
				"quire", qdev);
}

/* Before each boot: a reset of the function forgets them. */
void quire_irq_enable_events(struct quire_device *qdev)
{
	quire_write(qdev, QUIRE_REG_EVENT_STATUS, ~0u);
	quire_write(qdev, QUIRE_REG_EVENT_ENABLE, QUIRE_EVENTS);
}

void quire_irq_fini(struct quire_device *qdev)
{
	quire_write(qdev, QUIRE_REG_EVENT_ENABLE, 0);
	synchronize_irq(pci_irq_vector(qdev->pdev, 0));
}
