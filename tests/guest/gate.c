// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <errno.h>
#include <linux/dma-buf.h>
#include <unistd.h>

#include "card.h"
#include "gate.h"
#include "shared.h"

/* As vgem_drm.h of the kernel has them, which no package installs. */
struct vgem_fence_attach {
	uint32_t handle;
	uint32_t flags;
	uint32_t out_fence;
	uint32_t pad;
};

struct vgem_fence_signal {
	uint32_t fence;
	uint32_t flags;
};

#define VGEM_FENCE_WRITE 1
#define VGEM_FENCE_ATTACH DRM_IOWR(DRM_COMMAND_BASE + 1, struct vgem_fence_attach)
#define VGEM_FENCE_SIGNAL DRM_IOW(DRM_COMMAND_BASE + 2, struct vgem_fence_signal)

int gate_make(struct gate *gate)
{
	struct drm_mode_create_dumb create = { .height = 1, .width = PAGE / 4, .bpp = 32 };
	int ret;

	gate->buffer = -1;
	gate->fd = shared_vgem();
	if (gate->fd < 0)
		return gate->fd;
	ret = card_ioctl(gate->fd, DRM_IOCTL_MODE_CREATE_DUMB, &create);
	gate->handle = create.handle;
	if (!ret)
		gate->buffer = shared_export(gate->fd, gate->handle);
	return ret ? ret : gate->buffer < 0 ? gate->buffer : 0;
}

void gate_end(struct gate *gate)
{
	if (gate->buffer >= 0)
		close(gate->buffer);
	if (gate->fd >= 0)
		close(gate->fd);
}

int gate_shut(struct gate *gate, int fd, uint32_t syncobj)
{
	struct vgem_fence_attach attach = { .handle = gate->handle, .flags = VGEM_FENCE_WRITE };
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_READ, .fd = -1 };
	struct drm_syncobj_handle import = {
		.handle = syncobj,
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE,
	};
	int ret = card_ioctl(gate->fd, VGEM_FENCE_ATTACH, &attach);

	if (ret)
		return ret;
	gate->fence = attach.out_fence;
	ret = card_ioctl(gate->buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export);
	if (ret)
		return ret;
	import.fd = export.fd;
	ret = card_ioctl(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import);
	close(export.fd);
	return ret;
}

int gate_open(struct gate *gate)
{
	struct vgem_fence_signal signal = { .fence = gate->fence };

	return card_ioctl(gate->fd, VGEM_FENCE_SIGNAL, &signal);
}
