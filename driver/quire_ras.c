// SPDX-License-Identifier: GPL-2.0-only
/*
 * Error counters of the card for the kernel's netlink family "drm-ras".  They count what went
 * wrong with the card: jobs that fail because they ask for nonsense do not belong here.
 */
#include <drm/drm_managed.h>

#include "quire_ras.h"

#if IS_ENABLED(CONFIG_DRM_RAS)

#include <drm/drm_ras.h>

enum {
	QUIRE_RAS_RESETS = 1,
	QUIRE_RAS_MEMORY_LOST = 2,
};

static int quire_ras_query(struct drm_ras_node *node, u32 error_id, const char **name, u32 *value)
{
	struct quire_device *qdev = node->priv;

	switch (error_id) {
	case QUIRE_RAS_RESETS:
		*name = "card-resets";
		*value = atomic_read(&qdev->resets);
		return 0;
	case QUIRE_RAS_MEMORY_LOST:
		*name = "card-memory-lost";
		*value = atomic_read(&qdev->vram_lost);
		return 0;
	default:
		return -ENOENT;
	}
}

static void quire_ras_unregister(void *node)
{
	drm_ras_node_unregister(node);
}

/* A card works without them.  The node lives longer than its place in the list of all nodes. */
void quire_ras_init(struct quire_device *qdev)
{
	struct drm_ras_node *node = drmm_kzalloc(&qdev->drm, sizeof(*node), GFP_KERNEL);
	int ret = -ENOMEM;

	if (node) {
		node->device_name = dev_name(qdev->drm.dev);
		node->node_name = DRM_QUIRE_DRIVER_NAME;
		node->type = DRM_RAS_NODE_TYPE_ERROR_COUNTER;
		node->error_counter_range.first = QUIRE_RAS_RESETS;
		node->error_counter_range.last = QUIRE_RAS_MEMORY_LOST;
		node->query_error_counter = quire_ras_query;
		node->priv = qdev;
		ret = drm_ras_node_register(node);
	}
	if (!ret)
		ret = devm_add_action_or_reset(qdev->drm.dev, quire_ras_unregister, node);
	if (ret)
		drm_warn(&qdev->drm, "no error counters in drm-ras (%d)\n", ret);
}

#endif
