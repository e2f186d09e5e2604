// SPDX-License-Identifier: MIT
/* Calls for syncobjs, and syncs for those that take some. */
#include <stdatomic.h>
#include <unistd.h>

#include "fuzz_calls.h"

static uint64_t point(struct rng *rng)
{
	return rng_once_in(rng, 30) ? rng_odd_value(rng) : rng_below(rng, 6);
}

int fuzz_sync_create(struct file *file, struct rng *rng)
{
	struct drm_syncobj_create args = { .flags = rng_below(rng, 2) };
	int ret = fuzz_call(file, rng, DRM_IOCTL_SYNCOBJ_CREATE, &args, sizeof(args));

	if (!ret) {
		struct drm_syncobj_destroy old = {
			.handle = KEEP(rng, file->syncobj, args.handle)
		};

		fuzz_once(file, DRM_IOCTL_SYNCOBJ_DESTROY, &old);
	}
	return ret;
}

int fuzz_sync_destroy(struct file *file, struct rng *rng)
{
	struct drm_syncobj_destroy args = { .handle = DROP(rng, file->syncobj) };

	return fuzz_call(file, rng, DRM_IOCTL_SYNCOBJ_DESTROY, &args, sizeof(args));
}

int fuzz_sync_wait(struct file *file, struct rng *rng)
{
	uint32_t handle = PICK(rng, file->syncobj);
	uint64_t at = point(rng);
	struct drm_syncobj_timeline_wait args = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&at, .count_handles = 1,
		.timeout_nsec = (fuzz_now_us() + rng_below(rng, 3000)) * 1000,
		.flags = rng_below(rng, 8),
	};

	return fuzz_once(file, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

int fuzz_sync_change(struct file *file, struct rng *rng)
{
	uint32_t handle = PICK(rng, file->syncobj);
	uint64_t at = point(rng);
	struct drm_syncobj_timeline_array timeline = { .handles = (uintptr_t)&handle,
						       .points = (uintptr_t)&at,
						       .count_handles = 1 };
	struct drm_syncobj_array array = { .handles = (uintptr_t)&handle, .count_handles = 1 };
	struct drm_syncobj_transfer transfer = { .src_handle = handle, .src_point = at,
						 .dst_handle = PICK(rng, file->syncobj),
						 .dst_point = point(rng) };

	/* The counts of these four stay: DRM allocates whatever they say and warns. */
	switch (rng_below(rng, 5)) {
	case 0:
		return fuzz_once(file, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &timeline);
	case 1:
		return fuzz_once(file, DRM_IOCTL_SYNCOBJ_QUERY, &timeline);
	case 2:
		return fuzz_once(file, DRM_IOCTL_SYNCOBJ_RESET, &array);
	case 3:
		return fuzz_once(file, DRM_IOCTL_SYNCOBJ_SIGNAL, &array);
	default:
		return fuzz_call(file, rng, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer, sizeof(transfer));
	}
}

int fuzz_sync_share(struct file *file, struct rng *rng)
{
	struct drm_syncobj_handle args = { .handle = PICK(rng, file->syncobj),
					   .flags = rng_below(rng, 2) };
	int ret;

	if (rng_once_in(rng, 2)) {
		ret = fuzz_call(file, rng, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args, sizeof(args));
		if (!ret)
			close(atomic_exchange(SOME(rng, file->shared), args.fd));
		return ret;
	}
	args.fd = *SOME(rng, fuzz_files[rng_below(rng, FUZZ_FILES)].shared);
	ret = fuzz_call(file, rng, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args, sizeof(args));
	if (!ret && !args.flags)
		KEEP(rng, file->syncobj, args.handle);
	return ret;
}

uint32_t fuzz_some_syncs(struct file *file, struct rng *rng, struct drm_quire_sync *syncs,
			 uint32_t most)
{
	uint32_t count = rng_once_in(rng, 2) ? 0 : rng_below(rng, most + 1);

	for (uint32_t i = 0; i < count; i++) {
		syncs[i] = (struct drm_quire_sync){
			.flags = rng_once_in(rng, 6) ? DRM_QUIRE_SYNC_WAIT : DRM_QUIRE_SYNC_SIGNAL,
			.handle = PICK(rng, file->syncobj),
			.point = point(rng),
		};
		if (syncs[i].point)
			syncs[i].flags |= DRM_QUIRE_SYNC_TIMELINE;
		if (rng_once_in(rng, 40))
			rng_mutate(rng, &syncs[i], sizeof(syncs[i]));
	}
	return count;
}
