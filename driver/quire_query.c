// SPDX-License-Identifier: GPL-2.0-only
/* What userspace may ask of a card.  Takes no lock. */
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <drm/ttm/ttm_resource.h>

#include "quire_gem.h"
#include "quire_vm.h"

static void query_device(struct quire_device *qdev, struct drm_quire_device_info *info)
{
	*info = (struct drm_quire_device_info) {
		.hw_version = qdev->hw_version,
		.fw_release = qdev->fw_release,
		.interface_version = qdev->interface_version,
		.queues = qdev->queues_total,
		.contexts = qdev->contexts_total,
		.engines = qdev->engines,
		.serial = qdev->serial,
		.card_memory = qdev->memory_bytes,
		.va_start = QUIRE_VA_START,
		.va_end = QUIRE_VA_END,
		.max_time_limit_ms = QUIRE_TIME_LIMIT_MAX_MS,
		.resets = atomic_read(&qdev->resets),
		.vram_lost = atomic_read(&qdev->vram_lost),
	};
}

static void query_memory(struct quire_device *qdev, struct drm_quire_memory_info *info)
{
	*info = (struct drm_quire_memory_info) {
		.card_total = quire_gem_card_bytes(qdev),
		.card_used = quire_gem_usage(qdev, TTM_PL_VRAM),
		.system_used = quire_gem_usage(qdev, TTM_PL_TT) +
			       quire_gem_usage(qdev, TTM_PL_SYSTEM),
	};
}

/* Two readers at once would get each other's high words. */
u64 quire_counter(struct quire_device *qdev, u32 i)
{
	unsigned long flags;
	u64 value;

	spin_lock_irqsave(&qdev->counter_lock, flags);
	value = quire_read64(qdev, QUIRE_REG_COUNTER_LO(i));
	spin_unlock_irqrestore(&qdev->counter_lock, flags);
	return value;
}

static int query_telemetry(struct quire_device *qdev, struct drm_quire_telemetry_info *info)
{
	unsigned int i;
	int idx;

	if (!drm_dev_enter(&qdev->drm, &idx))
		return -ENODEV;
	for (i = 0; i < DRM_QUIRE_TELEMETRY_COUNTERS; i++)
		info->counters[i] = quire_counter(qdev, i);
	drm_dev_exit(idx);
	return 0;
}

int quire_dev_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct quire_device *qdev = to_quire_device(drm);
	struct drm_quire_dev_query *args = data;
	u32 given = args->size;
	union {
		struct drm_quire_device_info device;
		struct drm_quire_memory_info memory;
		struct drm_quire_telemetry_info telemetry;
	} info;
	u32 known;
	int ret;

	switch (args->type) {
	case DRM_QUIRE_QUERY_DEVICE:
		known = sizeof(info.device);
		break;
	case DRM_QUIRE_QUERY_MEMORY:
		known = sizeof(info.memory);
		break;
	case DRM_QUIRE_QUERY_TELEMETRY:
		known = sizeof(info.telemetry);
		break;
	default:
		return quire_inval(drm, "dev_query: type %u", args->type);
	}
	args->size = known;
	if (!args->pointer)
		return 0;

	if (args->type == DRM_QUIRE_QUERY_DEVICE) {
		query_device(qdev, &info.device);
	} else if (args->type == DRM_QUIRE_QUERY_MEMORY) {
		query_memory(qdev, &info.memory);
	} else {
		ret = query_telemetry(qdev, &info.telemetry);
		if (ret)
			return ret;
	}
	if (copy_to_user(u64_to_user_ptr(args->pointer), &info, min(given, known)))
		return -EFAULT;
	if (given > known && clear_user(u64_to_user_ptr(args->pointer + known), given - known))
		return -EFAULT;
	return 0;
}

void quire_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	quire_gem_show_fdinfo(p, file);
	quire_queues_show_fdinfo(p, file->driver_priv);
}
