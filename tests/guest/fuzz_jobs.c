// SPDX-License-Identifier: MIT
/* Calls for address spaces, queues and jobs. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "fuzz_calls.h"
#include "fuzz_stream.h"

int fuzz_vm_create(struct file *file, struct rng *rng)
{
	struct drm_quire_vm_create args = { 0 };
	int ret = fuzz_call(file, rng, DRM_IOCTL_QUIRE_VM_CREATE, &args, sizeof(args));

	if (!ret) {
		struct drm_quire_vm_destroy old = { .vm_id = KEEP(rng, file->vm, args.vm_id) };

		fuzz_once(file, DRM_IOCTL_QUIRE_VM_DESTROY, &old);
		fuzz_bind_stream(file, rng);
	}
	return ret;
}

int fuzz_vm_destroy(struct file *file, struct rng *rng)
{
	struct drm_quire_vm_destroy args = { .vm_id = DROP(rng, file->vm) };

	return fuzz_call(file, rng, DRM_IOCTL_QUIRE_VM_DESTROY, &args, sizeof(args));
}

/* The stream buffer of a file: bound in each of its address spaces. */
int fuzz_bind_stream(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_create args = { .size = STREAM_BYTES + DATA_BYTES,
					    .placement = 1 + rng_below(rng, 2) };
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .va = STREAM_VA,
					   .size = STREAM_BYTES + DATA_BYTES };
	struct drm_quire_vm_bind call = { .vm_id = *SOME(rng, file->vm),
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };
	struct drm_quire_bo_mmap_offset offset = { 0 };
	uint8_t *map, *at = file->stream;
	int ret = fuzz_once(file, DRM_IOCTL_QUIRE_BO_CREATE, &args);

	if (ret)
		return ret;
	op.handle = offset.handle = args.handle;
	ret = fuzz_once(file, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &offset);
	map = ret ? MAP_FAILED : mmap(at, STREAM_BYTES, PROT_READ | PROT_WRITE,
				      MAP_SHARED | (at ? MAP_FIXED : 0), file->fd,
				      (off_t)offset.offset);
	if (map != MAP_FAILED && !at)
		file->stream = map;
	if (!ret)
		ret = fuzz_once(file, DRM_IOCTL_QUIRE_VM_BIND, &call);
	fuzz_close_bo(file, args.handle);
	return ret;
}

int fuzz_bind(struct file *file, struct rng *rng)
{
	struct drm_quire_vm_bind_op ops[8];
	struct drm_quire_sync syncs[4];
	struct drm_quire_vm_bind args = { .vm_id = PICK(rng, file->vm) };
	uint32_t count = 1 + rng_below(rng, rng_once_in(rng, 4) ? 8 : 2);

	for (uint32_t i = 0; i < count; i++) {
		int map = !rng_once_in(rng, 3);
		uint64_t unit = rng_once_in(rng, 3) ? 2u << 20 : PAGE;

		ops[i] = (struct drm_quire_vm_bind_op){
			.type = map ? DRM_QUIRE_VM_BIND_MAP : DRM_QUIRE_VM_BIND_UNMAP,
			.flags = map && rng_once_in(rng, 5) ? DRM_QUIRE_VM_BIND_READ_ONLY : 0,
			.handle = map ? PICK(rng, file->bo) : 0,
			.bo_offset = map && rng_once_in(rng, 8) ? PAGE * rng_below(rng, 8) : 0,
			.va = VA_BASE + rng_next(rng) % VA_SPAN / unit * unit,
			.size = (uint64_t)PAGE << rng_below(rng, rng_once_in(rng, 10) ? 10 : 4),
		};
		if (rng_once_in(rng, 40))
			rng_mutate(rng, &ops[i], sizeof(ops[i]));
	}
	args.ops = (struct drm_quire_obj_array){ sizeof(ops[0]), count, (uintptr_t)ops };
	if (rng_once_in(rng, 60))
		args.ops.array = (uintptr_t)fuzz_make_late(rng, ops, sizeof(ops));
	if (rng_once_in(rng, 2)) {
		args.flags = DRM_QUIRE_VM_BIND_ASYNC;
		args.syncs = (struct drm_quire_obj_array){ sizeof(syncs[0]), 0, (uintptr_t)syncs };
		args.syncs.count = fuzz_some_syncs(file, rng, syncs, 4);
		if (!args.syncs.count)
			args.syncs.array = 0;
	}
	return fuzz_call(file, rng, DRM_IOCTL_QUIRE_VM_BIND, &args, sizeof(args));
}

int fuzz_queue_create(struct file *file, struct rng *rng)
{
	struct drm_quire_queue_create args = {
		.vm_id = PICK(rng, file->vm),
		.priority = (int)rng_below(rng, 3) - 1,
		.time_limit_ms = rng_once_in(rng, 3) ? 1 + rng_below(rng, 50) : 300,
	};
	int ret = fuzz_call(file, rng, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args, sizeof(args));

	if (!ret) {
		struct drm_quire_queue_destroy old = {
			.queue_id = KEEP(rng, file->queue, args.queue_id)
		};

		fuzz_once(file, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &old);
	}
	return ret;
}

int fuzz_queue_destroy(struct file *file, struct rng *rng)
{
	struct drm_quire_queue_destroy args = { .queue_id = DROP(rng, file->queue) };

	return fuzz_call(file, rng, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &args, sizeof(args));
}

int fuzz_queue_query(struct file *file, struct rng *rng)
{
	struct drm_quire_queue_query args = { .queue_id = PICK(rng, file->queue) };

	return fuzz_call(file, rng, DRM_IOCTL_QUIRE_QUEUE_QUERY, &args, sizeof(args));
}

/* A queue that is banned makes room for one that works, in an address space with streams. */
static void renew_queue(struct file *file, struct rng *rng, uint32_t banned)
{
	struct drm_quire_queue_destroy old = { .queue_id = banned };
	struct drm_quire_queue_create args = { .vm_id = PICK(rng, file->vm),
					       .time_limit_ms = 100 + rng_below(rng, 1000) };

	for (unsigned int i = 0; i < COUNT(file->queue); i++)
		if (file->queue[i] == banned)
			file->queue[i] = 0;
	fuzz_once(file, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &old);
	if (!fuzz_once(file, DRM_IOCTL_QUIRE_QUEUE_CREATE, &args)) {
		old.queue_id = KEEP(rng, file->queue, args.queue_id);
		fuzz_once(file, DRM_IOCTL_QUIRE_QUEUE_DESTROY, &old);
	}
}

int fuzz_submit(struct file *file, struct rng *rng)
{
	struct drm_quire_job jobs[6];
	struct drm_quire_sync syncs[6][3];
	uint32_t count = 1 + rng_below(rng, rng_once_in(rng, 4) ? 6 : 2);
	uint32_t queue = PICK(rng, file->queue);
	struct drm_quire_submit args = {
		.queue_id = queue,
		.jobs = { sizeof(jobs[0]), count, (uintptr_t)jobs },
	};
	int ret;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = rng_below(rng, STREAM_BYTES / 1024) * 1024;
		uint8_t packets[1024];
		size_t bytes = rng_once_in(rng, 3) ?
			fuzz_stream(rng, packets, sizeof(packets), VA_BASE, VA_SPAN) :
			fuzz_stream(rng, packets, sizeof(packets), STREAM_VA + STREAM_BYTES,
				    DATA_BYTES);

		fuzz_put(file->stream + at, packets, bytes);
		jobs[i] = (struct drm_quire_job){ .stream_va = STREAM_VA + at,
						  .stream_bytes = (uint32_t)bytes };
		if (rng_once_in(rng, 3))
			jobs[i].stream_bytes = 0;
		if (rng_once_in(rng, 4))
			jobs[i].outcome_va = STREAM_VA + rng_below(rng, STREAM_BYTES / 8) * 8;
		jobs[i].syncs.count = fuzz_some_syncs(file, rng, syncs[i], 3);
		jobs[i].syncs.stride = sizeof(syncs[0][0]);
		jobs[i].syncs.array = jobs[i].syncs.count ? (uintptr_t)syncs[i] : 0;
		if (rng_once_in(rng, 40))
			rng_mutate(rng, &jobs[i], sizeof(jobs[i]));
	}
	if (rng_once_in(rng, 60))
		args.jobs.array = (uintptr_t)fuzz_make_late(rng, jobs, sizeof(jobs));
	ret = fuzz_call(file, rng, DRM_IOCTL_QUIRE_SUBMIT, &args, sizeof(args));
	if (!queue || ret == -ECANCELED)
		renew_queue(file, rng, queue);
	return ret;
}
