// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/sync_file.h>

#include "card.h"
#include "patience.h"

#define FP32_ONE 0x3f800000u
#define STREAM_BYTES (2 * QUIRE_STREAM_MAX_BYTES)

int sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int card_open_node(unsigned int index)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/accel/accel%u", index);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int card_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do
		ret = ioctl(fd, request, arg);
	while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

int card_vm_create(int fd, uint32_t *vm)
{
	struct drm_quire_vm_create args = { 0 };
	int ret = card_ioctl(fd, DRM_IOCTL_QUIRE_VM_CREATE, &args);

	*vm = args.vm_id;
	return ret;
}

int card_queue_create(int fd, uint32_t vm, uint32_t limit_ms, uint32_t *queue)
{
	struct drm_quire_queue_create args = {
		.vm_id = vm,
		.priority = DRM_QUIRE_QUEUE_PRIORITY_NORMAL,
		.time_limit_ms = limit_ms,
	};
	int ret = card_ioctl(fd, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args);

	*queue = args.queue_id;
	return ret;
}

int card_queue_destroy(int fd, uint32_t queue)
{
	struct drm_quire_queue_destroy args = { .queue_id = queue };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &args);
}

int card_bo_create(int fd, uint64_t size, uint32_t placement, uint32_t vm, uint32_t *handle)
{
	struct drm_quire_bo_create args = { .size = size, .placement = placement, .vm_id = vm };
	int ret = card_ioctl(fd, DRM_IOCTL_QUIRE_BO_CREATE, &args);

	*handle = args.handle;
	return ret;
}

int card_bo_map(int fd, uint32_t handle, uint64_t size, void **map)
{
	struct drm_quire_bo_mmap_offset args = { .handle = handle };
	int ret = card_ioctl(fd, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &args);

	if (ret)
		return ret;
	*map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)args.offset);
	return *map == MAP_FAILED ? -errno : 0;
}

static int bind_op(int fd, uint32_t vm, struct drm_quire_vm_bind_op op)
{
	struct drm_quire_vm_bind args = {
		.vm_id = vm,
		.ops = { .stride = sizeof(op), .count = 1, .array = (uintptr_t)&op },
	};

	return card_ioctl(fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

int card_bind(int fd, uint32_t vm, uint32_t handle, uint64_t va, uint64_t size, uint32_t flags)
{
	return bind_op(fd, vm,
		       (struct drm_quire_vm_bind_op){ .type = DRM_QUIRE_VM_BIND_MAP,
						      .flags = flags,
						      .handle = handle,
						      .va = va,
						      .size = size });
}

int card_unbind(int fd, uint32_t vm, uint64_t va, uint64_t size)
{
	return bind_op(fd, vm,
		       (struct drm_quire_vm_bind_op){
			       .type = DRM_QUIRE_VM_BIND_UNMAP, .va = va, .size = size });
}

void card_close_handle(int fd, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	card_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &args);
}

int card_syncobj_create(int fd, uint32_t *handle)
{
	struct drm_syncobj_create args = { 0 };
	int ret = card_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &args);

	*handle = args.handle;
	return ret;
}

static int64_t deadline(int64_t timeout_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec + timeout_ns;
}

int card_wait(int fd, uint32_t syncobj, uint64_t point, int64_t timeout_ns)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = (uintptr_t)&syncobj,
		.points = (uintptr_t)&point,
		.timeout_nsec = deadline(timeout_ns * test_patience()),
		.count_handles = 1,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};

	return card_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

/* A sync file made from the point tells the error its fence carries. */
int card_fence_error(int fd, uint32_t syncobj, uint64_t point)
{
	struct drm_syncobj_handle export = { .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
					     .fd = -1 };
	struct drm_syncobj_transfer transfer = { .src_handle = syncobj, .src_point = point };
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { 0 };
	struct drm_syncobj_destroy destroy;
	int ret;

	ret = card_syncobj_create(fd, &transfer.dst_handle);
	if (ret)
		return ret;
	ret = card_ioctl(fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer);
	export.handle = transfer.dst_handle;
	if (!ret)
		ret = card_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export);
	if (!ret) {
		info.num_fences = 1;
		info.sync_fence_info = (uintptr_t)&fence;
		ret = card_ioctl(export.fd, SYNC_IOC_FILE_INFO, &info);
		close(export.fd);
		if (!ret && info.status < 0)
			ret = info.status;
	}
	destroy = (struct drm_syncobj_destroy){ .handle = transfer.dst_handle };
	card_ioctl(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy);
	return ret;
}

int card_setup_limit(struct card *card, unsigned int index, uint32_t limit_ms)
{
	int ret;

	memset(card, 0, sizeof(*card));
	card->fd = card_open_node(index);
	if (card->fd < 0)
		return card->fd;
	card->next_va = 0x100000000ull;
	ret = card_vm_create(card->fd, &card->vm);
	if (!ret)
		ret = card_queue_create(card->fd, card->vm, limit_ms, &card->queue);
	if (!ret)
		ret = card_syncobj_create(card->fd, &card->syncobj);
	if (!ret)
		ret = card_buffer(card, STREAM_BYTES, DRM_QUIRE_PLACEMENT_SYSTEM, &card->stream);
	return ret;
}

int card_setup(struct card *card, unsigned int index)
{
	return card_setup_limit(card, index, 0);
}

void card_teardown(struct card *card)
{
	if (card->stream.map)
		munmap(card->stream.map, card->stream.size);
	if (card->fd >= 0)
		close(card->fd);
}

struct drm_quire_device_info card_info(int fd)
{
	struct drm_quire_device_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_DEVICE, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args);
	return info;
}

int card_is(const char *expected)
{
	char state[16] = "";
	int fd = open("/sys/class/accel/accel0/device/quire/state", O_RDONLY);

	if (fd >= 0 && read(fd, state, sizeof(state) - 1) < 0)
		perror("state");
	close(fd);
	return !strncmp(state, expected, strlen(expected));
}

int card_answers(struct card *card)
{
	static uint64_t pattern = 0x1000;
	struct quire_packet_fill fill;
	int ret;

	packet_fill(&fill, card->stream.va + PAGE, 64, ++pattern);
	ret = card_run(card, &fill, sizeof(fill));
	if (!ret && ((uint64_t *)card->stream.map)[PAGE / 8 + 7] != pattern)
		ret = -EILSEQ;
	return ret;
}

int card_buffer(struct card *card, uint64_t size, uint32_t placement, struct bo *bo)
{
	int ret;

	bo->size = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	bo->va = card->next_va;
	/* Room between buffers, so that an overrun faults instead of hitting a neighbour. */
	card->next_va += (bo->size + (4u << 20)) & ~(uint64_t)((2u << 20) - 1);
	ret = card_bo_create(card->fd, bo->size, placement, card->vm, &bo->handle);
	if (!ret)
		ret = card_bo_map(card->fd, bo->handle, bo->size, &bo->map);
	if (!ret)
		ret = card_bind(card->fd, card->vm, bo->handle, bo->va, bo->size, 0);
	return ret;
}

int card_submit(struct card *card, uint64_t va, uint32_t bytes, uint64_t *point)
{
	struct drm_quire_sync sync = {
		.flags = DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
		.handle = card->syncobj,
		.point = card->point + 1,
	};
	struct drm_quire_job job = {
		.stream_va = va,
		.stream_bytes = bytes,
		.syncs = { .stride = sizeof(sync), .count = 1, .array = (uintptr_t)&sync },
	};
	struct drm_quire_submit args = {
		.queue_id = card->queue,
		.jobs = { .stride = sizeof(job), .count = 1, .array = (uintptr_t)&job },
	};
	int ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);

	if (!ret)
		*point = ++card->point;
	return ret;
}

int card_run(struct card *card, const void *packets, size_t bytes)
{
	uint64_t point;
	int ret;

	memcpy(card->stream.map, packets, bytes);
	ret = card_submit(card, card->stream.va, (uint32_t)bytes, &point);
	if (!ret)
		ret = card_wait(card->fd, card->syncobj, point, 60000 * MS);
	if (!ret)
		ret = card_fence_error(card->fd, card->syncobj, point);
	return ret;
}

int card_long_stream(struct card *card, uint32_t *bytes)
{
	const uint32_t n = 1024, count = QUIRE_STREAM_MAX_BYTES / sizeof(struct quire_packet_gemm);
	struct quire_packet_gemm *packets = card->stream.map;
	struct bo bo;
	int ret = card_buffer(card, 3ull * n * n, DRM_QUIRE_PLACEMENT_CARD, &bo);

	if (ret)
		return ret;
	memset(bo.map, 0x43, 2ull * n * n);
	for (uint32_t i = 0; i < count; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, n, n, n, bo.va, bo.va + n * n,
			    bo.va + 2 * n * n);
	*bytes = (uint32_t)(count * sizeof(*packets));
	return 0;
}

int card_queue_state(int fd, uint32_t queue, struct drm_quire_queue_query *state)
{
	memset(state, 0, sizeof(*state));
	state->queue_id = queue;
	return card_ioctl(fd, DRM_IOCTL_QUIRE_QUEUE_QUERY, state);
}

void packet_fill(struct quire_packet_fill *p, uint64_t va, uint64_t bytes, uint64_t pattern)
{
	*p = (struct quire_packet_fill){ .header = { QUIRE_PACKET_FILL, sizeof(*p), 0, 0 },
					 .destination = va,
					 .bytes = bytes,
					 .pattern = pattern };
}

void packet_copy(struct quire_packet_copy *p, uint64_t to, uint64_t from, uint64_t bytes)
{
	*p = (struct quire_packet_copy){ .header = { QUIRE_PACKET_COPY, sizeof(*p), 0, 0 },
					 .source = from,
					 .destination = to,
					 .row_bytes = bytes,
					 .rows = 1 };
}

void packet_gemm(struct quire_packet_gemm *p, uint32_t format, uint32_t m, uint32_t n, uint32_t k,
		 uint64_t a, uint64_t b, uint64_t d)
{
	*p = (struct quire_packet_gemm){
		.header = { QUIRE_PACKET_GEMM, sizeof(*p), 0, 0 },
		.m = m,
		.n = n,
		.k = k,
		.batch = 1,
		.alpha = FP32_ONE,
		.a = { .address = a, .format = format, .leading_dimension = k },
		.b = { .address = b, .format = format, .leading_dimension = n },
		.d = { .address = d, .format = format, .leading_dimension = n },
	};
}
