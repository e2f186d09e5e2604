// SPDX-License-Identifier: MIT
/*
 * Memory shared with other drivers, that know less than ours: udmabuf, heaps and vgem as exporters,
 * vgem as importer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "shared.h"
#include "swap.h"

#define MIB (1ull << 20)
#define VA 0x4000000000ull

FIXTURE(foreign) {
	char bdf[2][16];
	struct card a; /* exports */
	struct card b; /* imports */
	int swap;
};

FIXTURE_SETUP(foreign)
{
	ASSERT_EQ(0, shared_setup(self->bdf, &self->a, &self->b, &self->swap));
}

FIXTURE_TEARDOWN(foreign)
{
	EXPECT_EQ(0, shared_teardown(&self->a, &self->b, self->swap));
}

static int heap_create(uint64_t size)
{
	struct dma_heap_allocation_data args = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC), ret;

	if (heap < 0)
		return -errno;
	ret = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &args) ? -errno : (int)args.fd;
	close(heap);
	return ret;
}

/* Both cards work on it, in turns. */
static void use_foreign(FIXTURE_DATA(foreign) *self, int buffer,
			uint64_t *map, uint64_t size)
{
	uint32_t a, b;

	ASSERT_EQ(0, shared_import(self->a.fd, buffer, &a));
	ASSERT_EQ(0, shared_import(self->b.fd, buffer, &b));
	ASSERT_EQ(0, card_bind(self->a.fd, self->a.vm, a, VA, size, 0));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, b, VA, size, 0));
	for (uint64_t round = 1; round < 20; round++) {
		EXPECT_EQ(0, shared_fill(round & 1 ? &self->a : &self->b, VA, size, round));
		EXPECT_EQ(round, map[0]);
		EXPECT_EQ(round, map[size / 8 - 1]);
	}
	/* Not ours to move. */
	EXPECT_EQ(0, swap_out_buffers(self->a.fd));
	EXPECT_EQ(0, shared_fill(&self->a, VA, size, 55));
	EXPECT_EQ(55, map[size / 8 - 1]);
	card_close_handle(self->a.fd, a);
	EXPECT_EQ(0, card_unbind(self->a.fd, self->a.vm, VA, size));
	/* Its handle is gone, its mapping not. */
	card_close_handle(self->b.fd, b);
	EXPECT_EQ(0, shared_fill(&self->b, VA, size, 66));
	EXPECT_EQ(66, map[size / 8 - 1]);
}

TEST_F(foreign, memory_of_udmabuf)
{
	uint64_t *map;
	int buffer, memfd = -1;

	buffer = shared_udmabuf(MIB, &memfd);
	if (buffer == -ENOENT)
		SKIP(return, "this kernel has no udmabuf");
	ASSERT_GE(buffer, 0);
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_NE(MAP_FAILED, map);
	use_foreign(self, buffer, map, MIB);
	close(buffer);
	close(memfd);
	munmap(map, MIB);
}

TEST_F(foreign, memory_of_the_system_heap)
{
	int buffer = heap_create(MIB);
	uint64_t *map;

	if (buffer == -ENOENT)
		SKIP(return, "this kernel has no heaps");
	ASSERT_GE(buffer, 0);
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, map);
	use_foreign(self, buffer, map, MIB);
	close(buffer);
	munmap(map, MIB);
}

/* vgem does not know moves, so what it imports is pinned. */
TEST_F(foreign, importer_that_knows_no_moves_holds_the_buffer_in_memory)
{
	uint32_t handle, theirs;
	int fd = shared_vgem(), buffer;
	uint64_t *map = NULL;
	struct bo bo;

	if (fd < 0)
		SKIP(return, "this kernel has no vgem");
	ASSERT_EQ(0, card_bo_create(self->a.fd, MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	bo.va = VA;
	ASSERT_EQ(0, card_bind(self->a.fd, self->a.vm, handle, bo.va, MIB, 0));
	ASSERT_EQ(0, shared_fill(&self->a, bo.va, MIB, 0x11));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, shared_resident(self->a.fd, handle));
	buffer = shared_export(self->a.fd, handle);
	ASSERT_GE(buffer, 0);
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0x11, map[0]);
	ASSERT_EQ(0, shared_import(fd, buffer, &theirs));
	/* GEM's helpers for memory in pages map an import only for who asks since 6.17. */
	if (shared_resident(self->a.fd, handle) == DRM_QUIRE_PLACEMENT_CARD)
		SKIP(return, "this kernel's vgem does not map what it imports");
	EXPECT_EQ(0x11, map[MIB / 8 - 1]);
	EXPECT_EQ(0, swap_out_buffers(self->b.fd));
	ASSERT_EQ(0, shared_fill(&self->a, bo.va, MIB, 0x22));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, shared_resident(self->a.fd, handle));
	EXPECT_EQ(0x22, map[MIB / 8 - 1]);
	close(buffer);
	close(fd);
	/* Pushed out once, it comes back with the next job. */
	ASSERT_EQ(0, swap_out_buffers(self->b.fd));
	ASSERT_EQ(0, shared_fill(&self->a, bo.va, PAGE, 0x33));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, shared_resident(self->a.fd, handle));
	EXPECT_EQ(0x33, map[0]);
	EXPECT_EQ(0x22, map[MIB / 8 - 1]);
	munmap(map, MIB);
}

static int vgem_create(int fd, uint64_t size, uint64_t **map)
{
	struct drm_mode_create_dumb create = { .height = 1, .width = (uint32_t)(size / 4), .bpp = 32 };
	struct drm_mode_map_dumb offset = { 0 };
	int ret = card_ioctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create);

	if (ret)
		return ret;
	offset.handle = create.handle;
	ret = card_ioctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &offset);
	if (ret)
		return ret;
	*map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset.offset);
	return *map == MAP_FAILED ? -errno : shared_export(fd, create.handle);
}

TEST_F(foreign, memory_of_vgem)
{
	int fd = shared_vgem(), buffer;
	uint64_t *map = NULL;

	if (fd < 0)
		SKIP(return, "this kernel has no vgem");
	buffer = vgem_create(fd, MIB, &map);
	ASSERT_GE(buffer, 0);
	use_foreign(self, buffer, map, MIB);
	close(buffer);
	munmap(map, MIB);
	close(fd);
}

TEST_HARNESS_MAIN
