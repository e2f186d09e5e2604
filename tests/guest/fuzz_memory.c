// SPDX-License-Identifier: MIT
/* Calls for buffers: made, mapped, shared with others and given back. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_calls.h"

static uint8_t *fuzz_user_memory;

void fuzz_close_bo(struct file *file, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	fuzz_once(file, DRM_IOCTL_GEM_CLOSE, &args);
}

static void remember_bo(struct file *file, struct rng *rng, uint32_t handle)
{
	fuzz_close_bo(file, KEEP(rng, file->bo, handle));
}

int fuzz_bo_create(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_create args = {
		.size = (uint64_t)PAGE << (3 + rng_below(rng, rng_once_in(rng, 20) ? 11 : 6)),
		.placement = 1 + rng_below(rng, 2),
		.vm_id = rng_once_in(rng, 2) ? 0 : PICK(rng, file->vm),
	};
	int ret;

	if (rng_once_in(rng, 3))
		args.size += rng_below(rng, PAGE);
	ret = fuzz_call(file, rng, DRM_IOCTL_QUIRE_BO_CREATE, &args, sizeof(args));
	if (!ret)
		remember_bo(file, rng, args.handle);
	return ret;
}

int fuzz_userptr(struct file *file, struct rng *rng)
{
	uint32_t pages = USER_BYTES / PAGE, first = rng_below(rng, pages);
	struct drm_quire_userptr args = {
		.address = (uintptr_t)fuzz_user_memory + (uint64_t)first * PAGE,
		.size = (1ull + rng_below(rng, rng_once_in(rng, 8) ? 2 * pages : pages - first)) * PAGE,
		.flags = rng_below(rng, 2),
	};
	int ret;

	if (rng_once_in(rng, 7))
		rng_mutate(rng, &args, sizeof(args));
	args.address = fuzz_harmless(args.address, fuzz_user_memory, USER_BYTES);
	ret = fuzz_send(file, rng, DRM_IOCTL_QUIRE_USERPTR, &args, sizeof(args));
	if (!ret)
		remember_bo(file, rng, args.handle);
	return ret;
}

int fuzz_gem_close(struct file *file, struct rng *rng)
{
	struct drm_gem_close args = { .handle = DROP(rng, file->bo) };

	return fuzz_call(file, rng, DRM_IOCTL_GEM_CLOSE, &args, sizeof(args));
}

int fuzz_bo_info(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_info args = { .handle = PICK(rng, file->bo) };

	return fuzz_call(file, rng, DRM_IOCTL_QUIRE_BO_INFO, &args, sizeof(args));
}

int fuzz_mmap_offset(struct file *file, struct rng *rng)
{
	struct drm_quire_bo_mmap_offset args = { .handle = PICK(rng, file->bo) };
	int ret = fuzz_call(file, rng, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &args, sizeof(args));

	if (!ret)
		*SOME(rng, file->offset) = args.offset;
	return ret;
}

int fuzz_map_and_touch(struct file *file, struct rng *rng)
{
	uint64_t bytes = (uint64_t)PAGE << rng_below(rng, 6);
	struct drm_quire_bo_mmap_offset args = { .handle = PICK(rng, file->bo) };
	uint64_t offset = *SOME(rng, file->offset);
	int protection = rng_once_in(rng, 4) ? PROT_READ : PROT_READ | PROT_WRITE;
	uint8_t *map;

	if (!fuzz_once(file, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &args))
		offset = args.offset;
	if (rng_once_in(rng, 10))
		offset = rng_odd_value(rng) & ~(uint64_t)(PAGE - 1);
	map = mmap(NULL, bytes, protection, rng_once_in(rng, 10) ? MAP_PRIVATE : MAP_SHARED,
		   file->fd, (off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	if (protection & PROT_WRITE)
		fuzz_touch(rng, map, bytes);
	if (rng_once_in(rng, 8))
		madvise(map, bytes, MADV_DONTNEED);
	if (rng_once_in(rng, 8))
		mprotect(map, PAGE, PROT_NONE);
	munmap(map, bytes);
	return 0;
}

/* The pages of userptr buffers change hands, are split, protected, and come back. */
int fuzz_user_pages(struct file *file, struct rng *rng)
{
	uint32_t first = rng_below(rng, USER_BYTES / PAGE);
	uint32_t count = 1 + rng_below(rng, USER_BYTES / PAGE - first);
	uint8_t *at = fuzz_user_memory + (size_t)first * PAGE;
	size_t bytes = (size_t)count * PAGE;

	(void)file;
	switch (rng_below(rng, 4)) {
	case 0:
		return madvise(at, bytes, MADV_DONTNEED) ? -errno : 0;
	case 1:
		if (mprotect(at, bytes, PROT_READ))
			return -errno;
		return mprotect(at, bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
	case 2:
		return mmap(at, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -errno : 0;
	default:
		fuzz_touch(rng, at, bytes);
		return 0;
	}
}

int fuzz_prime_export(struct file *file, struct rng *rng)
{
	struct drm_prime_handle args = { .handle = PICK(rng, file->bo),
					 .flags = DRM_CLOEXEC | (rng_once_in(rng, 2) ? DRM_RDWR : 0) };
	int ret = fuzz_call(file, rng, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args, sizeof(args));

	if (!ret)
		close(atomic_exchange(SOME(rng, file->shared), args.fd));
	return ret;
}

/* Of this file or the other: the same buffer, or one of a neighbour. */
int fuzz_prime_import(struct file *file, struct rng *rng)
{
	struct drm_prime_handle args = { .fd = *SOME(rng, fuzz_files[rng_below(rng, FUZZ_FILES)].shared) };
	int ret = fuzz_call(file, rng, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args, sizeof(args));

	if (!ret)
		remember_bo(file, rng, args.handle);
	return ret;
}

int fuzz_map_shared(struct file *file, struct rng *rng)
{
	uint8_t *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *SOME(rng, file->shared), 0);

	if (map == MAP_FAILED)
		return -errno;
	fuzz_touch(rng, map, PAGE);
	munmap(map, PAGE);
	return 0;
}

/* Buffers may be asked for that end behind it: nothing of ours is there that jobs could change. */
int fuzz_memory_init(void)
{
	fuzz_user_memory = mmap(NULL, 4 * USER_BYTES, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fuzz_user_memory == MAP_FAILED)
		return -errno;
	return mprotect(fuzz_user_memory, USER_BYTES, PROT_READ | PROT_WRITE) ? -errno : 0;
}
