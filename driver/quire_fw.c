// SPDX-License-Identifier: GPL-2.0-only
/* Firmware: load, boot, stop.  The image is kept for boots after a reset. */
#include <linux/delay.h>
#include <linux/firmware.h>
#include <linux/unaligned.h>

#include <drm/drm_managed.h>

#include "quire_queue.h"

#define QUIRE_FW_BOOT_TIMEOUT msecs_to_jiffies(10000)
#define QUIRE_FW_STOP_TIMEOUT msecs_to_jiffies(2000)

/** struct quire_fw - the firmware of a card */
struct quire_fw {
	/** @image: as loaded */
	const struct firmware *image;
	/** @changed: woken when BOOT_STATUS has changed */
	wait_queue_head_t changed;
};

void quire_fw_wake(struct quire_device *qdev)
{
	wake_up_all(&qdev->fw->changed);
}

static bool quire_fw_booted(struct quire_device *qdev)
{
	u32 status = quire_read(qdev, QUIRE_REG_BOOT_STATUS);

	return status == QUIRE_BOOT_READY || status >= QUIRE_BOOT_BAD_ADDRESS ||
	       quire_card_is_gone(qdev);
}

static bool quire_fw_off(struct quire_device *qdev)
{
	return quire_read(qdev, QUIRE_REG_BOOT_STATUS) == QUIRE_BOOT_OFF ||
	       quire_card_is_gone(qdev);
}

/* Waits with a look now and then, should the event not come. */
static bool quire_fw_wait(struct quire_device *qdev, bool (*reached)(struct quire_device *),
			  unsigned long timeout)
{
	unsigned long deadline = jiffies + timeout;

	while (!reached(qdev)) {
		if (time_after(jiffies, deadline))
			return false;
		wait_event_timeout(qdev->fw->changed, reached(qdev), msecs_to_jiffies(10));
	}
	return true;
}

static void quire_fw_report_versions(struct quire_device *qdev, u32 versions)
{
	drm_err(&qdev->drm,
		"firmware %s speaks interface versions %u to %u, this driver %u to %u; install a matching pair\n",
		QUIRE_FW_NAME, versions >> 16, versions & 0xffff, QUIRE_INTERFACE_VERSION_MIN,
		QUIRE_INTERFACE_VERSION_MAX);
}

static int quire_fw_report(struct quire_device *qdev, u32 status)
{
	const struct firmware *image = qdev->fw->image;
	u32 detail = quire_read(qdev, QUIRE_REG_BOOT_DETAIL);
	struct drm_device *drm = &qdev->drm;

	switch (status) {
	case QUIRE_BOOT_READY:
		return 0;
	case QUIRE_BOOT_BAD_MAGIC:
		drm_err(drm, "firmware %s: magic %#x expected, %#x found; not a Quire image\n",
			QUIRE_FW_NAME, QUIRE_FW_MAGIC, detail);
		break;
	case QUIRE_BOOT_BAD_SIZE:
		drm_err(drm, "firmware %s: header tells %u bytes, file has %zu; truncated or too large\n",
			QUIRE_FW_NAME, detail, image->size);
		break;
	case QUIRE_BOOT_BAD_DIGEST:
		drm_err(drm, "firmware %s: SHA-256 does not match (found %08x...); corrupt, install it again\n",
			QUIRE_FW_NAME, detail);
		break;
	case QUIRE_BOOT_BAD_VERSION:
		quire_fw_report_versions(qdev, quire_read(qdev, QUIRE_REG_FW_VERSIONS));
		break;
	case QUIRE_BOOT_CRASHED:
		drm_err(drm, "firmware %s crashed: pc %#x cause %u value %#x\n", QUIRE_FW_NAME,
			quire_read(qdev, QUIRE_REG_PANIC_PC),
			quire_read(qdev, QUIRE_REG_PANIC_CAUSE),
			quire_read(qdev, QUIRE_REG_PANIC_VALUE));
		break;
	default:
		drm_err(drm, "firmware %s: boot status %u, detail %#x\n", QUIRE_FW_NAME, status,
			detail);
	}
	return -EIO;
}

/* Put the image into card memory and start it; returns when it is ready. */
int quire_fw_boot(struct quire_device *qdev)
{
	const struct firmware *image = qdev->fw->image;
	u64 offset = qdev->memory_bytes - QUIRE_CARD_RESERVED_BYTES;
	int ret;

	pci_set_master(qdev->pdev);
	quire_irq_enable_events(qdev);
	memcpy_toio(qdev->memory + offset, image->data, image->size);
	/* The copy is write-combined: it must have left before the card reads it. */
	wmb();
	quire_write64(qdev, QUIRE_REG_FW_ADDRESS_LO, offset);
	quire_write(qdev, QUIRE_REG_FW_BYTES, image->size);
	quire_write(qdev, QUIRE_REG_DRIVER_VERSIONS,
		    QUIRE_INTERFACE_VERSION_MIN << 16 | QUIRE_INTERFACE_VERSION_MAX);
	quire_write(qdev, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_START);
	if (!quire_fw_wait(qdev, quire_fw_booted, QUIRE_FW_BOOT_TIMEOUT)) {
		drm_err(&qdev->drm, "firmware %s was not ready after %u ms (boot status %u)\n",
			QUIRE_FW_NAME, jiffies_to_msecs(QUIRE_FW_BOOT_TIMEOUT),
			quire_read(qdev, QUIRE_REG_BOOT_STATUS));
		return -EIO;
	}
	if (quire_card_is_gone(qdev)) {
		drm_err(&qdev->drm, "the card does not answer\n");
		return -EIO;
	}
	ret = quire_fw_report(qdev, quire_read(qdev, QUIRE_REG_BOOT_STATUS));
	if (ret)
		return ret;
	quire_mailbox_booted(qdev);
	qdev->fw_release = quire_read(qdev, QUIRE_REG_FW_RELEASE);
	qdev->interface_version = quire_read(qdev, QUIRE_REG_NEGOTIATED);
	return 0;
}

/* Stop processor and engines: afterwards the card touches no memory.  -EIO: only by force. */
int quire_fw_stop(struct quire_device *qdev)
{
	/* It did not when it had the bus: only a reset of the function helps. */
	unsigned long timeout = qdev->pdev->is_busmaster ? QUIRE_FW_STOP_TIMEOUT : 0;

	quire_write(qdev, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	if (quire_fw_wait(qdev, quire_fw_off, timeout))
		return 0;
	pci_clear_master(qdev->pdev);
	if (timeout)
		drm_err(&qdev->drm, "the card did not stop within %u ms: took the bus from it\n",
			jiffies_to_msecs(timeout));
	return -EIO;
}

static void quire_fw_release(struct drm_device *drm, void *data)
{
	struct quire_fw *fw = data;

	release_firmware(fw->image);
}

/* Card and firmware negotiate; what the header tells can be refused before that. */
static int quire_fw_check_versions(struct quire_device *qdev, const struct firmware *image)
{
	const struct quire_fw_header *header = (const void *)image->data;
	u32 versions = get_unaligned_le32(&header->interface_versions);

	if (get_unaligned_le32(&header->magic) != QUIRE_FW_MAGIC)
		return 0; /* the card names it */
	if (versions >> 16 <= QUIRE_INTERFACE_VERSION_MAX &&
	    (versions & 0xffff) >= QUIRE_INTERFACE_VERSION_MIN)
		return 0;
	quire_fw_report_versions(qdev, versions);
	return -EPROTO;
}

static int quire_fw_load(struct quire_device *qdev)
{
	struct quire_fw *fw = qdev->fw;
	/* From the file system only: nobody waits a minute for a helper of user space. */
	int ret = request_firmware_direct(&fw->image, QUIRE_FW_NAME, qdev->drm.dev);

	if (ret) {
		drm_err(&qdev->drm, "cannot load firmware %s (%d): install it below /lib/firmware\n",
			QUIRE_FW_NAME, ret);
		return ret;
	}
	ret = drmm_add_action_or_reset(&qdev->drm, quire_fw_release, fw);
	if (ret)
		return ret;
	if (fw->image->size < sizeof(struct quire_fw_header) ||
	    fw->image->size > QUIRE_CARD_RESERVED_BYTES) {
		drm_err(&qdev->drm, "firmware %s: %zu bytes; an image has %zu to %u\n",
			QUIRE_FW_NAME, fw->image->size, sizeof(struct quire_fw_header),
			QUIRE_CARD_RESERVED_BYTES);
		return -EINVAL;
	}
	return quire_fw_check_versions(qdev, fw->image);
}

int quire_fw_init(struct quire_device *qdev)
{
	struct quire_fw *fw;

	fw = drmm_kzalloc(&qdev->drm, sizeof(*fw), GFP_KERNEL);
	if (!fw)
		return -ENOMEM;
	init_waitqueue_head(&fw->changed);
	qdev->fw = fw;
	return quire_fw_load(qdev);
}

/* Before the interrupts go. */
void quire_fw_fini(struct quire_device *qdev)
{
	quire_fw_stop(qdev);
}

/*
 * The kernel before us may have left a firmware that runs jobs at its addresses; it has
 * no bus only because that kernel, or ours, has taken the bus-master bit away.
 */
int quire_fw_quiet(struct quire_device *qdev)
{
	struct pci_dev *pdev = qdev->pdev;
	unsigned long deadline = jiffies + QUIRE_FW_STOP_TIMEOUT;
	int ret;

	pci_clear_master(pdev);
	quire_write(qdev, QUIRE_REG_EVENT_ENABLE, 0);
	quire_write(qdev, QUIRE_REG_MCU_CONTROL, QUIRE_MCU_RESET);
	while (!quire_fw_off(qdev)) {
		if (time_before(jiffies, deadline)) {
			usleep_range(100, 1000);
			continue;
		}
		pci_save_state(pdev);
		ret = __pci_reset_function_locked(pdev);
		pci_restore_state(pdev);
		return ret ? dev_err_probe(&pdev->dev, ret, "the card does not stop\n") : 0;
	}
	return 0;
}

MODULE_FIRMWARE(QUIRE_FW_NAME);
