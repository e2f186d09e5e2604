// SPDX-License-Identifier: GPL-2.0-only
/* What userspace may ask of a card. */
#include <linux/capability.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <drm/ttm/ttm_resource.h>

#include "quire_gem.h"
#include "quire_power.h"
#include "quire_vm.h"

/* A structure that is larger is none of ours. */
#define QUIRE_QUERY_MAX_BYTES SZ_4K

static void quire_query_device(struct quire_device *qdev, struct drm_quire_device_info *info)
{
	*info = (struct drm_quire_device_info) {
		.hw_version = qdev->hw_version,
		.fw_release = qdev->fw_release,
		.interface_version = qdev->interface_version,
		.queues = quire_queues_count(qdev),
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

static void quire_query_memory(struct quire_device *qdev, struct drm_quire_memory_info *info)
{
	u64 card = quire_gem_usage(qdev, TTM_PL_VRAM);
	u64 system = quire_gem_usage(qdev, TTM_PL_TT) + quire_gem_usage(qdev, TTM_PL_SYSTEM);

	*info = (struct drm_quire_memory_info) {
		.card_total = quire_gem_card_bytes(qdev),
		.card_used = quire_gem_usage_shown(qdev, card),
		.system_used = quire_gem_usage_shown(qdev, system),
	};
}

/* Of all processes: what they count tells what others do. */
static int quire_query_telemetry(struct quire_device *qdev, struct drm_quire_telemetry_info *info)
{
	int ret, index;

	if (!perfmon_capable())
		return -EACCES;
	/* One that a reset keeps away has no counters meanwhile. */
	ret = quire_restart(quire_card_enter_memory(qdev, true, &index));
	if (ret)
		return ret;
	for (u32 i = 0; i < DRM_QUIRE_TELEMETRY_COUNTERS; i++)
		info->counters[i] = quire_counter(qdev, i);
	quire_card_exit_memory(qdev, index);
	return 0;
}

static void quire_query_usage(struct quire_file *qfile, struct drm_quire_usage_info *info)
{
	struct quire_usage usage;

	quire_queues_usage(qfile, &usage);
	*info = (struct drm_quire_usage_info) {
		.jobs = usage.jobs,
		.busy_ns = usage.busy_ns,
		.macs = usage.macs,
		.cycles = usage.cycles,
		.modelled_pj = usage.modelled_pj,
	};
}

union quire_query_info {
	struct drm_quire_device_info device;
	struct drm_quire_memory_info memory;
	struct drm_quire_telemetry_info telemetry;
	struct drm_quire_usage_info usage;
};

/* Fills @info, if there is one, and tells its size; or an error. */
static int quire_query(struct drm_device *drm, struct quire_file *qfile, u32 type,
		       union quire_query_info *info)
{
	struct quire_device *qdev = to_quire_device(drm);
	int ret = 0;

	switch (type) {
	case DRM_QUIRE_QUERY_DEVICE:
		if (info)
			quire_query_device(qdev, &info->device);
		return sizeof(info->device);
	case DRM_QUIRE_QUERY_MEMORY:
		if (info)
			quire_query_memory(qdev, &info->memory);
		return sizeof(info->memory);
	case DRM_QUIRE_QUERY_TELEMETRY:
		if (info)
			ret = quire_query_telemetry(qdev, &info->telemetry);
		return ret ?: sizeof(info->telemetry);
	case DRM_QUIRE_QUERY_USAGE:
		if (info)
			quire_query_usage(qfile, &info->usage);
		return sizeof(info->usage);
	default:
		return quire_inval(drm, "dev_query.type %u must be one of drm_quire_dev_query_type",
				   type);
	}
}

int quire_dev_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_dev_query *args = data;
	u8 __user *to = u64_to_user_ptr(args->pointer);
	union quire_query_info info;
	u32 given = args->size;
	int known;

	if (given > QUIRE_QUERY_MAX_BYTES)
		return quire_inval(drm, "dev_query.size %u must be at most %u", given,
				   QUIRE_QUERY_MAX_BYTES);
	known = quire_query(drm, file->driver_priv, args->type, args->pointer ? &info : NULL);
	if (known < 0)
		return known;
	args->size = known;
	if (!args->pointer)
		return 0;
	if (copy_to_user(to, &info, min_t(u32, given, known)))
		return -EFAULT;
	if (given > known && clear_user(to + known, given - known))
		return -EFAULT;
	return 0;
}

void quire_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	quire_gem_show_fdinfo(p, file);
	quire_queues_show_fdinfo(p, file->driver_priv);
}
