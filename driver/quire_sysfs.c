// SPDX-License-Identifier: GPL-2.0-only
/*
 * What anybody may read of a card, without the right to open it: the directory
 * "quire" of the PCI device.  Nothing here takes a lock or touches the card, so
 * that it answers while the card hangs.  The files are there before the node is, and
 * go, with their readers, before struct quire_device does.
 */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "quire_device.h"
#include "quire_gem.h"
#include "quire_power.h"

static struct quire_device *quire_from_dev(struct device *dev)
{
	return pci_get_drvdata(to_pci_dev(dev));
}

static ssize_t serial_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", quire_from_dev(dev)->serial);
}
static DEVICE_ATTR_RO(serial);

static ssize_t hw_version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 version = quire_from_dev(dev)->hw_version;

	return sysfs_emit(buf, "%u.%u\n", version >> 16, version & 0xffff);
}
static DEVICE_ATTR_RO(hw_version);

static ssize_t fw_release_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 release = quire_from_dev(dev)->fw_release;

	return sysfs_emit(buf, "%u.%u.%u\n", release >> 16, release >> 8 & 0xff, release & 0xff);
}
static DEVICE_ATTR_RO(fw_release);

static ssize_t interface_version_show(struct device *dev, struct device_attribute *attr,
				      char *buf)
{
	return sysfs_emit(buf, "%u\n", quire_from_dev(dev)->interface_version);
}
static DEVICE_ATTR_RO(interface_version);

static ssize_t engines_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", quire_from_dev(dev)->engines);
}
static DEVICE_ATTR_RO(engines);

static ssize_t queues_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", quire_queues_count(quire_from_dev(dev)));
}
static DEVICE_ATTR_RO(queues);

static ssize_t contexts_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", quire_from_dev(dev)->contexts_total);
}
static DEVICE_ATTR_RO(contexts);

static ssize_t card_memory_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", quire_from_dev(dev)->memory_bytes);
}
static DEVICE_ATTR_RO(card_memory);

static ssize_t card_memory_used_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct quire_device *qdev = quire_from_dev(dev);

	return sysfs_emit(buf, "%llu\n",
			  quire_gem_usage_shown(qdev, quire_gem_usage(qdev, TTM_PL_VRAM)));
}
static DEVICE_ATTR_RO(card_memory_used);

static ssize_t resets_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&quire_from_dev(dev)->resets));
}
static DEVICE_ATTR_RO(resets);

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", quire_power_state(quire_from_dev(dev)));
}
static DEVICE_ATTR_RO(state);

static struct attribute *quire_attributes[] = {
	&dev_attr_serial.attr,
	&dev_attr_hw_version.attr,
	&dev_attr_fw_release.attr,
	&dev_attr_interface_version.attr,
	&dev_attr_engines.attr,
	&dev_attr_queues.attr,
	&dev_attr_contexts.attr,
	&dev_attr_card_memory.attr,
	&dev_attr_card_memory_used.attr,
	&dev_attr_resets.attr,
	&dev_attr_state.attr,
	NULL
};

const struct attribute_group quire_attribute_group = {
	.name = DRM_QUIRE_DRIVER_NAME,
	.attrs = quire_attributes,
};
