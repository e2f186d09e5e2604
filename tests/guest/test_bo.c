// SPDX-License-Identifier: MIT
/* Buffer objects: creation, placement, mapping, sharing, userptr, and every documented error. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

FIXTURE(bo) {
	int fd;
};

FIXTURE_SETUP(bo)
{
	self->fd = card_open_node(0);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(bo)
{
	close(self->fd);
}

FIXTURE_VARIANT(bo) {
	uint32_t placement;
};

FIXTURE_VARIANT_ADD(bo, system) {
	.placement = DRM_QUIRE_PLACEMENT_SYSTEM,
};

FIXTURE_VARIANT_ADD(bo, card) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
};

TEST_F(bo, starts_zeroed_and_keeps_what_is_written)
{
	uint64_t size = 3 << 20;
	uint32_t handle;
	uint32_t *map;

	ASSERT_EQ(0, card_bo_create(self->fd, size, variant->placement, 0, &handle));
	ASSERT_EQ(0, card_bo_map(self->fd, handle, size, (void **)&map));
	for (uint64_t i = 0; i < size / 4; i += 97)
		ASSERT_EQ(0, map[i]);
	for (uint64_t i = 0; i < size / 4; i += 97)
		map[i] = (uint32_t)i ^ 0x5aa5;
	munmap(map, size);
	ASSERT_EQ(0, card_bo_map(self->fd, handle, size, (void **)&map));
	for (uint64_t i = 0; i < size / 4; i += 97)
		ASSERT_EQ((uint32_t)i ^ 0x5aa5, map[i]);
	munmap(map, size);
}

/* Its memory is looked at as a debugger does, through the kernel, across pages and to the end. */
TEST_F(bo, debuggers_read_and_write_it)
{
	const uint64_t size = 64 * PAGE, at = 3 * PAGE - 20;
	int memory = open("/proc/self/mem", O_RDWR);
	uint32_t handle;
	uint8_t *map, seen[PAGE + 40];

	ASSERT_GE(memory, 0);
	ASSERT_EQ(0, card_bo_create(self->fd, size, variant->placement, 0, &handle));
	ASSERT_EQ(0, card_bo_map(self->fd, handle, size, (void **)&map));
	memset(map, 0x5a, size);
	memset(map + at, 0xa5, sizeof(seen));
	ASSERT_EQ((ssize_t)sizeof(seen), pread(memory, seen, sizeof(seen), (uintptr_t)map + at));
	for (size_t i = 0; i < sizeof(seen); i++)
		ASSERT_EQ(0xa5, seen[i]);
	memset(seen, 0x3c, sizeof(seen));
	ASSERT_EQ((ssize_t)sizeof(seen), pwrite(memory, seen, sizeof(seen), (uintptr_t)map + at));
	EXPECT_EQ(0x5a, map[at - 1]);
	EXPECT_EQ(0x3c, map[at]);
	EXPECT_EQ(0x3c, map[at + sizeof(seen) - 1]);
	EXPECT_EQ(0x5a, map[at + sizeof(seen)]);
	EXPECT_EQ(16, pread(memory, seen, 16, (uintptr_t)map + size - 16));
	EXPECT_EQ(0x5a, seen[15]);
	munmap(map, size);
	close(memory);
}

TEST_F(bo, memory_of_a_freed_buffer_is_not_seen_by_the_next)
{
	uint64_t size = 64 << 20;
	uint32_t handle;
	uint32_t *map;

	ASSERT_EQ(0, card_bo_create(self->fd, size, variant->placement, 0, &handle));
	ASSERT_EQ(0, card_bo_map(self->fd, handle, size, (void **)&map));
	memset(map, 0x77, size);
	munmap(map, size);
	card_close_handle(self->fd, handle);
	ASSERT_EQ(0, card_bo_create(self->fd, size, variant->placement, 0, &handle));
	ASSERT_EQ(0, card_bo_map(self->fd, handle, size, (void **)&map));
	for (uint64_t i = 0; i < size / 4; i += 512)
		ASSERT_EQ(0, map[i]);
	munmap(map, size);
}

TEST_F(bo, info_tells_size_and_placement)
{
	struct drm_quire_bo_info info = { 0 };

	ASSERT_EQ(0, card_bo_create(self->fd, 5000, variant->placement, 0, &info.handle));
	ASSERT_EQ(0, card_ioctl(self->fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
	EXPECT_EQ(8192, info.size);
	EXPECT_EQ(variant->placement, info.placement);
	EXPECT_EQ(0, info.vm_id);
	EXPECT_EQ(0, info.flags);
}

TEST_F(bo, prime_shares_with_another_file)
{
	struct drm_prime_handle export = { .flags = DRM_CLOEXEC | DRM_RDWR }, import = { 0 };
	int other = card_open_node(0);
	uint32_t *mine, *theirs;

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, card_bo_create(self->fd, PAGE, variant->placement, 0, &export.handle));
	ASSERT_EQ(0, card_bo_map(self->fd, export.handle, PAGE, (void **)&mine));
	mine[5] = 12345;
	ASSERT_EQ(0, card_ioctl(self->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &export));
	import.fd = export.fd;
	ASSERT_EQ(0, card_ioctl(other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import));
	ASSERT_EQ(0, card_bo_map(other, import.handle, PAGE, (void **)&theirs));
	EXPECT_EQ(12345, theirs[5]);
	theirs[6] = 678;
	EXPECT_EQ(678, mine[6]);
	munmap(mine, PAGE);
	munmap(theirs, PAGE);
	close(export.fd);
	close(other);
}

TEST_F(bo, private_buffer_cannot_be_shared)
{
	struct drm_prime_handle export = { .flags = DRM_CLOEXEC };
	uint32_t vm;

	ASSERT_EQ(0, card_vm_create(self->fd, &vm));
	ASSERT_EQ(0, card_bo_create(self->fd, PAGE, variant->placement, vm, &export.handle));
	EXPECT_EQ(-EPERM, card_ioctl(self->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &export));
}

TEST_F(bo, bad_create_arguments)
{
	struct drm_quire_bo_create good = { .size = PAGE, .placement = variant->placement }, args;

	args = good, args.size = 0;
	EXPECT_EQ(-EINVAL, card_ioctl(self->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	args = good, args.size = ~0ull;
	EXPECT_EQ(-ENOSPC, card_ioctl(self->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	args = good, args.placement = 0;
	EXPECT_EQ(-EINVAL, card_ioctl(self->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	args = good, args.placement = 9;
	EXPECT_EQ(-EINVAL, card_ioctl(self->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	args = good, args.flags = 1;
	EXPECT_EQ(-EINVAL, card_ioctl(self->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
	args = good, args.vm_id = 4711;
	EXPECT_EQ(-ENOENT, card_ioctl(self->fd, DRM_IOCTL_QUIRE_BO_CREATE, &args));
}

TEST(card_buffer_larger_than_the_card_is_enospc)
{
	int fd = card_open_node(0);
	uint32_t handle;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-ENOSPC, card_bo_create(fd, 1ull << 40, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	close(fd);
}

TEST(eviction_keeps_the_content_when_card_memory_is_oversubscribed)
{
	enum { COUNT = 6, SIZE = 64 << 20 }; /* 384 MiB on a card of 256 */
	uint32_t handle[COUNT];
	int fd = card_open_node(0);

	ASSERT_GE(fd, 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t *map;

		ASSERT_EQ(0, card_bo_create(fd, SIZE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle[i]));
		ASSERT_EQ(0, card_bo_map(fd, handle[i], SIZE, (void **)&map));
		for (uint32_t j = 0; j < SIZE / 4; j += 1024)
			map[j] = i * 1000003 + j;
		munmap(map, SIZE);
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t *map;

		ASSERT_EQ(0, card_bo_map(fd, handle[i], SIZE, (void **)&map));
		for (uint32_t j = 0; j < SIZE / 4; j += 1024)
			ASSERT_EQ(i * 1000003 + j, map[j]);
		munmap(map, SIZE);
	}
	close(fd);
}

TEST(unknown_handles_are_enoent)
{
	struct drm_quire_bo_mmap_offset offset = { .handle = 4711 };
	struct drm_quire_bo_info info = { .handle = 4711 };
	int fd = card_open_node(0);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-ENOENT, card_ioctl(fd, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &offset));
	EXPECT_EQ(-ENOENT, card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
	close(fd);
}

TEST(padding_must_be_zero)
{
	struct drm_quire_bo_mmap_offset offset = { .pad = 1 };
	struct drm_quire_bo_info info = { .pad = 1 };
	int fd = card_open_node(0);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, card_bo_create(fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &info.handle));
	offset.handle = info.handle;
	EXPECT_EQ(-EINVAL, card_ioctl(fd, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &offset));
	EXPECT_EQ(-EINVAL, card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
	close(fd);
}

TEST(userptr_lets_the_card_use_own_memory)
{
	struct drm_quire_userptr args = { .size = 4 * PAGE };
	struct drm_quire_bo_info info = { 0 };
	struct quire_packet_fill fill;
	struct card card;
	uint64_t *memory;

	ASSERT_EQ(0, card_setup(&card, 0));
	memory = aligned_alloc(PAGE, args.size);
	memset(memory, 0, args.size);
	args.address = (uintptr_t)memory;
	ASSERT_EQ(0, card_ioctl(card.fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	info.handle = args.handle;
	ASSERT_EQ(0, card_ioctl(card.fd, DRM_IOCTL_QUIRE_BO_INFO, &info));
	EXPECT_EQ(DRM_QUIRE_BO_INFO_USERPTR, info.flags);
	ASSERT_EQ(0, card_bind(card.fd, card.vm, args.handle, 0x40000000, args.size, 0));
	packet_fill(&fill, 0x40000000 + PAGE, 2 * PAGE, 0x1122334455667788ull);
	ASSERT_EQ(0, card_run(&card, &fill, sizeof(fill)));
	EXPECT_EQ(0, memory[PAGE / 8 - 1]);
	EXPECT_EQ(0x1122334455667788ull, memory[PAGE / 8]);
	EXPECT_EQ(0x1122334455667788ull, memory[3 * PAGE / 8 - 1]);
	EXPECT_EQ(0, memory[3 * PAGE / 8]);
	card_teardown(&card);
	free(memory);
}

TEST(read_only_userptr_cannot_be_written_by_the_card)
{
	struct drm_quire_userptr args = { .size = PAGE, .flags = DRM_QUIRE_USERPTR_READ_ONLY };
	struct quire_packet_fill fill;
	struct card card;

	ASSERT_EQ(0, card_setup(&card, 0));
	args.address = (uintptr_t)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, card_ioctl(card.fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	EXPECT_EQ(-EINVAL, card_bind(card.fd, card.vm, args.handle, 0x40000000, PAGE, 0));
	ASSERT_EQ(0, card_bind(card.fd, card.vm, args.handle, 0x40000000, PAGE,
			       DRM_QUIRE_VM_BIND_READ_ONLY));
	packet_fill(&fill, 0x40000000, PAGE, 1);
	EXPECT_EQ(-EFAULT, card_run(&card, &fill, sizeof(fill)));
	card_teardown(&card);
}

TEST(user_memory_has_no_offset_and_cannot_be_shared)
{
	struct drm_quire_userptr args = { .size = PAGE };
	struct drm_quire_bo_mmap_offset offset = { 0 };
	struct drm_prime_handle export = { .flags = DRM_CLOEXEC };
	int fd = card_open_node(0);

	ASSERT_GE(fd, 0);
	args.address = (uintptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	offset.handle = args.handle;
	EXPECT_EQ(-EINVAL, card_ioctl(fd, DRM_IOCTL_QUIRE_BO_MMAP_OFFSET, &offset));
	export.handle = args.handle;
	EXPECT_EQ(-EPERM, card_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &export));
	close(fd);
}

TEST(userptr_errors)
{
	struct drm_quire_userptr args = { .address = 0x1000 + 8, .size = PAGE };
	int fd = card_open_node(0);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EINVAL, card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	args = (struct drm_quire_userptr){ .address = PAGE, .size = 100 };
	EXPECT_EQ(-EINVAL, card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	args = (struct drm_quire_userptr){ .address = PAGE, .size = 0 };
	EXPECT_EQ(-EINVAL, card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	args = (struct drm_quire_userptr){ .address = PAGE, .size = PAGE, .flags = 2 };
	EXPECT_EQ(-EINVAL, card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	args = (struct drm_quire_userptr){ .address = PAGE, .size = PAGE };
	EXPECT_EQ(-EFAULT, card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args));
	close(fd);
}

TEST_HARNESS_MAIN
