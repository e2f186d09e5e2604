// SPDX-License-Identifier: MIT
/*
 * Memory shared with other devices: two cards as exporter and importer, other drivers on either
 * side.  What is shared moves, and each side may go at any time.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "kselftest_harness.h"

#define DRIVER "/sys/bus/pci/drivers/quire/"
#define PAGES_LIMIT "/sys/module/ttm/parameters/pages_limit"
#define MIB (1ull << 20)
#define VA 0x4000000000ull
#define N 256u /* of a product, posit8 */
#define MATRIX ((uint64_t)N * N)
#define BIG 1024u

/* PCI addresses of the two cards. */
static int find_cards(char bdf[2][16])
{
	DIR *directory = opendir(DRIVER);
	struct dirent *entry;
	int found = 0;

	while (directory && (entry = readdir(directory)))
		if (strchr(entry->d_name, ':') && found < 2)
			snprintf(bdf[found++], sizeof(bdf[0]), "%.15s", entry->d_name);
	if (directory)
		closedir(directory);
	return found;
}

/* Number of a card's node. */
static int node(const char *bdf)
{
	char path[64];
	int index = -1;

	snprintf(path, sizeof(path), DRIVER "%s/accel", bdf);
	for (int tries = 0; tries < 100 && index < 0; tries++) {
		DIR *directory = opendir(path);
		struct dirent *entry;

		while (directory && (entry = readdir(directory)))
			sscanf(entry->d_name, "accel%d", &index);
		if (directory)
			closedir(directory);
		if (index < 0)
			usleep(50000);
	}
	return index;
}

FIXTURE(dmabuf) {
	char bdf[2][16];
	struct card a; /* exports */
	struct card b; /* imports */
};

FIXTURE_SETUP(dmabuf)
{
	ASSERT_EQ(2, find_cards(self->bdf));
	ASSERT_EQ(0, card_setup(&self->a, (unsigned int)node(self->bdf[0])));
	ASSERT_EQ(0, card_setup(&self->b, (unsigned int)node(self->bdf[1])));
}

FIXTURE_TEARDOWN(dmabuf)
{
	card_teardown(&self->a);
	card_teardown(&self->b);
}

static int export(int fd, uint32_t handle)
{
	struct drm_prime_handle args = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int ret = card_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	return ret ? ret : args.fd;
}

static int import(int fd, int buffer, uint32_t *handle)
{
	struct drm_prime_handle args = { .fd = buffer };
	int ret = card_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	*handle = args.handle;
	return ret;
}

/* A buffer of A, bound and mapped, that B has a handle of. */
struct shared {
	struct bo bo;
	uint32_t theirs;
};

static int share(struct card *a, struct card *b, uint64_t size, uint32_t placement,
		 struct shared *shared)
{
	struct bo *bo = &shared->bo;
	int buffer, ret;

	*bo = (struct bo){ .size = size, .va = a->next_va };
	a->next_va += (size + 4 * MIB) & ~(2 * MIB - 1);
	ret = card_bo_create(a->fd, size, placement, 0, &bo->handle);
	if (!ret)
		ret = card_bo_map(a->fd, bo->handle, size, &bo->map);
	if (!ret)
		ret = card_bind(a->fd, a->vm, bo->handle, bo->va, size, 0);
	if (ret)
		return ret;
	buffer = export(a->fd, bo->handle);
	if (buffer < 0)
		return buffer;
	ret = import(b->fd, buffer, &shared->theirs);
	close(buffer);
	return ret;
}

static uint32_t resident(int fd, uint32_t handle)
{
	struct drm_quire_bo_info info = { .handle = handle };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info) ? 0 : info.resident;
}

static int fill(struct card *card, uint64_t va, uint64_t bytes, uint64_t pattern)
{
	struct quire_packet_fill packet;

	packet_fill(&packet, va, bytes, pattern);
	return card_run(card, &packet, sizeof(packet));
}

/* An empty job: brings back what may come back. */
static int touch(struct card *card)
{
	uint64_t point;
	int ret = card_submit(card, 0, 0, &point);

	return ret ? ret : card_wait(card->fd, card->syncobj, point, 10000 * MS);
}

/* "key: N unit" of fdinfo in bytes. */
static unsigned long long usage(int fd, const char *key)
{
	char line[256], unit[8] = "";
	unsigned long long number = ~0ull;
	size_t length = strlen(key);
	FILE *file;

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	file = fopen(line, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, length) && line[length] == ':')
			sscanf(line + length + 1, "%llu %7s", &number, unit);
	if (file)
		fclose(file);
	return number << (!strcmp(unit, "KiB") ? 10 : !strcmp(unit, "MiB") ? 20 : 0);
}

/* A page more, and TTM may have next to none: pages of whatever is idle leave memory. */
static int swap_out(int fd)
{
	char before[32] = "";
	FILE *file = fopen(PAGES_LIMIT, "r");
	uint32_t handle;
	uint8_t *map;
	int ret;

	if (!file || !fgets(before, sizeof(before), file))
		return -ENOENT;
	fclose(file);
	ret = sysfs_write(PAGES_LIMIT, "1");
	if (ret)
		return ret;
	ret = card_bo_create(fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);
	if (!ret)
		ret = card_bo_map(fd, handle, PAGE, (void **)&map);
	if (!ret) {
		/* Pages come with the first touch. */
		*(volatile uint8_t *)map = 1;
		munmap(map, PAGE);
		card_close_handle(fd, handle);
	}
	sysfs_write(PAGES_LIMIT, before);
	return ret;
}

/* Whatever is on the card and can leave it does. */
static void squeeze(struct card *card)
{
	uint32_t handle[4];
	int fd, count = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", card->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	while (count < 4 &&
	       !card_bo_create(fd, 96 * MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &handle[count]))
		count++;
	while (count)
		card_close_handle(fd, handle[--count]);
	close(fd);
}

TEST_F(dmabuf, buffer_that_another_device_only_holds_stays_on_the_card)
{
	struct shared s;

	ASSERT_EQ(0, share(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_CARD, &s));
	EXPECT_EQ(0, fill(&self->a, s.bo.va, MIB, 0x1111));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0, usage(self->b.fd, "drm-shared-card"));
	EXPECT_LE(MIB, usage(self->b.fd, "drm-shared-memory"));
	/* It goes where both reach it, as long as both use it. */
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0, fill(&self->b, VA, PAGE, 0x2222));
	EXPECT_EQ(0, fill(&self->a, s.bo.va + PAGE, PAGE, 0x3333));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0x2222, ((uint64_t *)s.bo.map)[0]);
	EXPECT_EQ(0x3333, ((uint64_t *)s.bo.map)[PAGE / 8]);
	/* And back. */
	ASSERT_EQ(0, card_unbind(self->b.fd, self->b.vm, VA, MIB));
	for (int tries = 0; tries < 100; tries++) {
		ASSERT_EQ(0, touch(&self->a));
		if (resident(self->a.fd, s.bo.handle) == DRM_QUIRE_PLACEMENT_CARD)
			break;
		usleep(10000);
	}
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(self->a.fd, s.bo.handle));
	EXPECT_EQ(0x2222, ((uint64_t *)s.bo.map)[0]);
	EXPECT_EQ(0x3333, ((uint64_t *)s.bo.map)[PAGE / 8]);
	EXPECT_EQ(0x1111, ((uint64_t *)s.bo.map)[2 * PAGE / 8]);
}

TEST_F(dmabuf, resident_is_what_is_mapped)
{
	unsigned long long before = usage(self->b.fd, "drm-resident-memory");
	struct shared s;

	ASSERT_EQ(0, share(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_SYSTEM, &s));
	EXPECT_EQ(before, usage(self->b.fd, "drm-resident-memory"));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	EXPECT_EQ(before + MIB, usage(self->b.fd, "drm-resident-memory"));
	ASSERT_EQ(0, card_unbind(self->b.fd, self->b.vm, VA, MIB));
	for (int tries = 0; tries < 100; tries++) {
		if (usage(self->b.fd, "drm-resident-memory") == before)
			break;
		usleep(10000);
	}
	EXPECT_EQ(before, usage(self->b.fd, "drm-resident-memory"));
	EXPECT_EQ(0, fill(&self->a, s.bo.va, MIB, 1));
}

TEST_F(dmabuf, own_buffer_comes_back_as_itself)
{
	uint32_t theirs, again;
	struct shared s;
	int buffer;

	ASSERT_EQ(0, share(&self->a, &self->b, PAGE, DRM_QUIRE_PLACEMENT_CARD, &s));
	buffer = export(self->b.fd, s.theirs);
	ASSERT_GE(buffer, 0);
	ASSERT_EQ(0, import(self->a.fd, buffer, &again));
	EXPECT_EQ(s.bo.handle, again);
	ASSERT_EQ(0, import(self->b.fd, buffer, &theirs));
	EXPECT_EQ(s.theirs, theirs);
	close(buffer);
}

/* The product of what both matrices of @from have, in the third. */
static int product(struct card *card, uint64_t va)
{
	struct quire_packet_gemm packet;

	packet_gemm(&packet, QUIRE_FORMAT_POSIT8, N, N, N, va, va + MATRIX, va + 2 * MATRIX);
	return card_run(card, &packet, sizeof(packet));
}

static void operands(uint8_t *map, unsigned int seed)
{
	for (uint64_t i = 0; i < 2 * MATRIX; i++)
		map[i] = (uint8_t)(0x38 + (i * 7 + i / N + seed) % 17);
	memset(map + 2 * MATRIX, 0, MATRIX);
}

TEST_F_TIMEOUT(dmabuf, products_are_right_while_the_buffer_moves, 120)
{
	uint8_t *right = malloc(MATRIX);
	unsigned int moved = 0;
	struct bo own;
	struct shared s;

	ASSERT_NE(NULL, right);
	ASSERT_EQ(0, card_buffer(&self->a, 3 * MATRIX, DRM_QUIRE_PLACEMENT_CARD, &own));
	ASSERT_EQ(0, share(&self->a, &self->b, 3 * MATRIX, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, 3 * MATRIX, 0));
	for (unsigned int round = 0; round < 12; round++) {
		unsigned long long before;

		operands(own.map, round);
		ASSERT_EQ(0, product(&self->a, own.va));
		memcpy(right, (uint8_t *)own.map + 2 * MATRIX, MATRIX);
		operands(s.bo.map, round);
		before = usage(self->b.fd, "drm-resident-memory");
		if (round % 2)
			ASSERT_EQ(0, swap_out(self->a.fd));
		moved += usage(self->b.fd, "drm-resident-memory") < before;
		if (round % 3)
			squeeze(&self->a);
		ASSERT_EQ(0, product(round % 4 == 3 ? &self->a : &self->b,
				     round % 4 == 3 ? s.bo.va : VA));
		EXPECT_EQ(0, memcmp(right, (uint8_t *)s.bo.map + 2 * MATRIX, MATRIX));
	}
	/* A kernel whose dma-bufs cannot move has pinned it. */
	TH_LOG("importer told %u times", moved);
	free(right);
}

/* The same all at once: one process computes, others push. */
TEST_F_TIMEOUT(dmabuf, products_are_right_while_others_push_the_buffer_out, 120)
{
	uint8_t *right = malloc(MATRIX);
	struct shared s;
	pid_t pid[2];

	ASSERT_NE(NULL, right);
	ASSERT_EQ(0, share(&self->a, &self->b, 3 * MATRIX, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, 3 * MATRIX, 0));
	operands(s.bo.map, 5);
	ASSERT_EQ(0, product(&self->a, s.bo.va));
	memcpy(right, (uint8_t *)s.bo.map + 2 * MATRIX, MATRIX);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (;;)
			if (i)
				squeeze(&self->a);
			else if (swap_out(self->a.fd))
				_exit(1);
	}
	for (unsigned int round = 0; round < 60; round++) {
		memset((uint8_t *)s.bo.map + 2 * MATRIX, 0, MATRIX);
		ASSERT_EQ(0, product(round & 1 ? &self->a : &self->b, round & 1 ? s.bo.va : VA));
		EXPECT_EQ(0, memcmp(right, (uint8_t *)s.bo.map + 2 * MATRIX, MATRIX));
	}
	for (int i = 0; i < 2; i++) {
		int status;

		kill(pid[i], SIGKILL);
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	/* Whoever was killed may have left it. */
	sysfs_write(PAGES_LIMIT, "131072");
	free(right);
}

TEST_F(dmabuf, importer_goes_on_when_the_exporter_has_closed_everything)
{
	struct shared s;
	uint64_t *map;
	int buffer;

	ASSERT_EQ(0, share(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, fill(&self->a, s.bo.va, MIB, 0x77));
	munmap(s.bo.map, MIB);
	buffer = export(self->b.fd, s.theirs);
	ASSERT_GE(buffer, 0);
	card_teardown(&self->a);
	self->a.fd = -1;
	self->a.stream.map = NULL;
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, map);
	close(buffer);
	EXPECT_EQ(0x77, map[1]);
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	EXPECT_EQ(0, swap_out(self->b.fd));
	EXPECT_EQ(0, fill(&self->b, VA, PAGE, 0x88));
	EXPECT_EQ(0x88, map[1]);
	EXPECT_EQ(0x77, map[PAGE / 8]);
	/* It has no handle any more, and its users are told all the same. */
	EXPECT_EQ(0, swap_out(self->b.fd));
	EXPECT_EQ(0, fill(&self->b, VA + PAGE, PAGE, 0x99));
	EXPECT_EQ(0x99, map[PAGE / 8]);
	munmap(map, MIB);
}

/* Many products of 1024^3, the first of which go to an own buffer, the others to @result. */
static int long_job(struct card *card, uint64_t result, unsigned int own, unsigned int count,
		    uint64_t *point)
{
	struct quire_packet_gemm *packets = card->stream.map;
	struct bo bo;
	int ret = card_buffer(card, 3ull * BIG * BIG, DRM_QUIRE_PLACEMENT_CARD, &bo);

	if (ret)
		return ret;
	memset(bo.map, 0x43, 2ull * BIG * BIG);
	for (unsigned int i = 0; i < count; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, BIG, BIG, BIG, bo.va,
			    bo.va + BIG * BIG, i < own ? bo.va + 2 * BIG * BIG : result);
	return card_submit(card, card->stream.va, count * (uint32_t)sizeof(*packets), point);
}

/* Until the job has written the first byte, or is over. */
static int wait_begun(struct card *card, const void *map, uint64_t point)
{
	while (!*(const volatile uint8_t *)map)
		if (!card_wait(card->fd, card->syncobj, point, MS))
			return 0;
	return 1;
}

static int rebind(struct __test_metadata *_metadata, const char *bdf, struct card *card)
{
	EXPECT_EQ(0, sysfs_write(DRIVER "bind", bdf));
	return card_setup(card, (unsigned int)node(bdf));
}

TEST_F_TIMEOUT(dmabuf, importer_unplugged_while_its_job_uses_the_buffer, 60)
{
	const uint64_t size = (uint64_t)BIG * BIG;
	struct shared s;
	uint64_t point;

	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(0, share(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &s));
		ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
		ASSERT_EQ(0, long_job(&self->b, VA, 0, 60, &point));
		ASSERT_EQ(1, wait_begun(&self->b, s.bo.map, point));
		ASSERT_EQ(0, sysfs_write(DRIVER "unbind", self->bdf[1]));
		EXPECT_EQ(-ENODEV, touch(&self->b));
		EXPECT_EQ(-ENODEV, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
		/* Nothing of the card that has gone holds it. */
		squeeze(&self->a);
		ASSERT_EQ(0, fill(&self->a, s.bo.va, size, 0x5a5a));
		EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(self->a.fd, s.bo.handle));
		EXPECT_EQ(0x5a5a, ((uint64_t *)s.bo.map)[size / 8 - 1]);
		if (round & 1)
			card_close_handle(self->b.fd, s.theirs);
		card_teardown(&self->b);
		ASSERT_EQ(0, rebind(_metadata, self->bdf[1], &self->b));
	}
	EXPECT_EQ(0, fill(&self->b, self->b.stream.va + PAGE, 64, 1));
}

TEST_F_TIMEOUT(dmabuf, exporter_unplugged_while_the_importers_job_runs, 60)
{
	const uint64_t size = (uint64_t)BIG * BIG;
	struct quire_packet_copy copy;
	struct shared s, held;
	uint64_t point;
	int buffer;

	ASSERT_EQ(0, share(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, share(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &held));
	buffer = export(self->a.fd, held.bo.handle);
	ASSERT_GE(buffer, 0);
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
	ASSERT_EQ(0, long_job(&self->b, VA, 0, 12, &point));
	ASSERT_EQ(1, wait_begun(&self->b, s.bo.map, point));
	ASSERT_EQ(0, sysfs_write(DRIVER "unbind", self->bdf[0]));
	EXPECT_EQ(0, card_wait(self->b.fd, self->b.syncobj, point, 30000 * MS));
	EXPECT_EQ(0, card_fence_error(self->b.fd, self->b.syncobj, point));
	/* What lies in the machine's memory is still there, for devices. */
	EXPECT_EQ(0, fill(&self->b, VA, PAGE, 0x1234));
	packet_copy(&copy, self->b.stream.va + PAGE, VA, PAGE);
	EXPECT_EQ(0, card_run(&self->b, &copy, sizeof(copy)));
	EXPECT_EQ(0x1234, ((uint64_t *)self->b.stream.map)[PAGE / 8]);
	EXPECT_EQ(0, *(volatile uint64_t *)s.bo.map);
	/* What lay on the card is not, and says so; other jobs do not suffer. */
	EXPECT_EQ(-ENXIO, card_bind(self->b.fd, self->b.vm, held.theirs, VA + 16 * MIB, size, 0));
	EXPECT_EQ(0, touch(&self->b));
	munmap(s.bo.map, size);
	munmap(held.bo.map, size);
	close(buffer);
	card_teardown(&self->a);
	EXPECT_EQ(0, fill(&self->b, VA, PAGE, 0x4321));
	card_close_handle(self->b.fd, held.theirs);
	ASSERT_EQ(0, rebind(_metadata, self->bdf[0], &self->a));
	EXPECT_EQ(0, fill(&self->a, self->a.stream.va + PAGE, 64, 1));
}

static int udmabuf_create(uint64_t size, int *memfd)
{
	struct udmabuf_create args = { .size = size };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), buffer;

	if (device < 0)
		return -errno;
	*memfd = memfd_create("dmabuf", MFD_ALLOW_SEALING);
	if (*memfd < 0 || ftruncate(*memfd, (off_t)size) || fcntl(*memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -errno;
	args.memfd = (uint32_t)*memfd;
	buffer = ioctl(device, UDMABUF_CREATE, &args);
	buffer = buffer < 0 ? -errno : buffer;
	close(device);
	return buffer;
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
static void use_foreign(struct __test_metadata *_metadata, FIXTURE_DATA(dmabuf) *self, int buffer,
			uint64_t *map, uint64_t size)
{
	uint32_t a, b;

	ASSERT_EQ(0, import(self->a.fd, buffer, &a));
	ASSERT_EQ(0, import(self->b.fd, buffer, &b));
	ASSERT_EQ(0, card_bind(self->a.fd, self->a.vm, a, VA, size, 0));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, b, VA, size, 0));
	for (uint64_t round = 1; round < 20; round++) {
		EXPECT_EQ(0, fill(round & 1 ? &self->a : &self->b, VA, size, round));
		EXPECT_EQ(round, map[0]);
		EXPECT_EQ(round, map[size / 8 - 1]);
	}
	/* Not ours to move. */
	EXPECT_EQ(0, swap_out(self->a.fd));
	EXPECT_EQ(0, fill(&self->a, VA, size, 55));
	EXPECT_EQ(55, map[size / 8 - 1]);
	card_close_handle(self->a.fd, a);
	EXPECT_EQ(0, card_unbind(self->a.fd, self->a.vm, VA, size));
	/* Its handle is gone, its mapping not. */
	card_close_handle(self->b.fd, b);
	EXPECT_EQ(0, fill(&self->b, VA, size, 66));
	EXPECT_EQ(66, map[size / 8 - 1]);
}

TEST_F(dmabuf, memory_of_udmabuf)
{
	uint64_t *map;
	int buffer, memfd;

	buffer = udmabuf_create(MIB, &memfd);
	if (buffer == -ENOENT)
		SKIP(return, "this kernel has no udmabuf");
	ASSERT_GE(buffer, 0);
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_NE(MAP_FAILED, map);
	use_foreign(_metadata, self, buffer, map, MIB);
	close(buffer);
	close(memfd);
	munmap(map, MIB);
}

TEST_F(dmabuf, memory_of_the_system_heap)
{
	int buffer = heap_create(MIB);
	uint64_t *map;

	if (buffer == -ENOENT)
		SKIP(return, "this kernel has no heaps");
	ASSERT_GE(buffer, 0);
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, map);
	use_foreign(_metadata, self, buffer, map, MIB);
	close(buffer);
	munmap(map, MIB);
}

/* vgem's node: it does not know moves, so what it imports is pinned. */
static int vgem_open(void)
{
	char path[64];

	if (system("modprobe -q vgem"))
		return -ENOENT;
	for (unsigned int i = 0; i < 8; i++) {
		struct drm_version version = { .name_len = 8, .name = (char[8]){ "" } };
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%u", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && !ioctl(fd, DRM_IOCTL_VERSION, &version) &&
		    !strncmp(version.name, "vgem", 4))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

TEST_F(dmabuf, importer_that_knows_no_moves_holds_the_buffer_in_memory)
{
	uint32_t handle, theirs;
	int fd = vgem_open(), buffer;
	uint64_t *map;
	struct bo bo;

	if (fd < 0)
		SKIP(return, "this kernel has no vgem");
	ASSERT_EQ(0, card_bo_create(self->a.fd, MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	bo.va = VA;
	ASSERT_EQ(0, card_bind(self->a.fd, self->a.vm, handle, bo.va, MIB, 0));
	ASSERT_EQ(0, fill(&self->a, bo.va, MIB, 0x11));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(self->a.fd, handle));
	buffer = export(self->a.fd, handle);
	ASSERT_GE(buffer, 0);
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0x11, map[0]);
	ASSERT_EQ(0, import(fd, buffer, &theirs));
	/* GEM's helpers for memory in pages map an import only for who asks since 6.17. */
	if (resident(self->a.fd, handle) == DRM_QUIRE_PLACEMENT_CARD)
		SKIP(return, "this kernel's vgem does not map what it imports");
	EXPECT_EQ(0x11, map[MIB / 8 - 1]);
	EXPECT_EQ(0, swap_out(self->b.fd));
	ASSERT_EQ(0, fill(&self->a, bo.va, MIB, 0x22));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(self->a.fd, handle));
	EXPECT_EQ(0x22, map[MIB / 8 - 1]);
	close(buffer);
	close(fd);
	/* Pushed out once, it comes back with the next job. */
	ASSERT_EQ(0, swap_out(self->b.fd));
	ASSERT_EQ(0, fill(&self->a, bo.va, PAGE, 0x33));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(self->a.fd, handle));
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
	return *map == MAP_FAILED ? -errno : export(fd, create.handle);
}

TEST_F(dmabuf, memory_of_vgem)
{
	int fd = vgem_open(), buffer;
	uint64_t *map;

	if (fd < 0)
		SKIP(return, "this kernel has no vgem");
	buffer = vgem_create(fd, MIB, &map);
	ASSERT_GE(buffer, 0);
	use_foreign(_metadata, self, buffer, map, MIB);
	close(buffer);
	munmap(map, MIB);
	close(fd);
}

static int sync_file(struct card *card, uint64_t point)
{
	struct drm_syncobj_handle export = {
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE
	};
	struct drm_syncobj_transfer transfer = { .src_handle = card->syncobj, .src_point = point };
	int ret = card_syncobj_create(card->fd, &transfer.dst_handle);

	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer);
	export.handle = transfer.dst_handle;
	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export);
	return ret ? ret : export.fd;
}

/* A job of @card that begins when the sync file signals. */
static int fill_after(struct card *card, int file, uint64_t va, uint64_t pattern, uint64_t *point)
{
	struct drm_syncobj_handle import = {
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE, .fd = file
	};
	struct drm_quire_sync syncs[2] = {
		{ .flags = DRM_QUIRE_SYNC_WAIT },
		{ .flags = DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
		  .handle = card->syncobj, .point = card->point + 1 },
	};
	struct drm_quire_job job = {
		.stream_va = card->stream.va,
		.stream_bytes = sizeof(struct quire_packet_fill),
		.syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs },
	};
	struct drm_quire_submit args = {
		.queue_id = card->queue, .jobs = { sizeof(job), 1, (uintptr_t)&job },
	};
	int ret = card_syncobj_create(card->fd, &import.handle);

	packet_fill(card->stream.map, va, PAGE, pattern);
	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import);
	syncs[0].handle = import.handle;
	if (!ret)
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	if (!ret)
		*point = ++card->point;
	return ret;
}

/* Order between devices through the buffer itself: what they call implicit. */
TEST_F_TIMEOUT(dmabuf, fences_travel_with_the_buffer, 60)
{
	const uint64_t size = (uint64_t)BIG * BIG;
	struct dma_buf_export_sync_file out = { .flags = DMA_BUF_SYNC_WRITE };
	struct dma_buf_import_sync_file in = { .flags = DMA_BUF_SYNC_WRITE };
	uint64_t first, second;
	struct shared s;
	int buffer;

	ASSERT_EQ(0, share(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_CARD, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
	buffer = export(self->b.fd, s.theirs);
	ASSERT_GE(buffer, 0);
	ASSERT_EQ(0, long_job(&self->a, s.bo.va, 0, 8, &first));
	in.fd = sync_file(&self->a, first);
	ASSERT_GE(in.fd, 0);
	ASSERT_EQ(0, ioctl(buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in));
	ASSERT_EQ(0, ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &out));
	ASSERT_EQ(0, fill_after(&self->b, out.fd, VA, 0x600d, &second));
	EXPECT_EQ(-ETIME, card_wait(self->b.fd, self->b.syncobj, second, MS));
	ASSERT_EQ(0, card_wait(self->b.fd, self->b.syncobj, second, 30000 * MS));
	EXPECT_EQ(0, card_wait(self->a.fd, self->a.syncobj, first, 0));
	EXPECT_EQ(0x600d, *(uint64_t *)s.bo.map);
	close(in.fd);
	close(out.fd);
	close(buffer);
}

#define VICTIMS 64u

/* Memory of other programs that is still what they have there. */
static unsigned int victims_hurt(uint8_t *map[VICTIMS], uint64_t size)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < VICTIMS; i++)
		for (uint64_t at = 0; at < size; at += 512)
			wrong += map[i][at] != 0;
	return wrong;
}

/* A stream on the card: who makes room in the machine's memory does not wait for its jobs. */
static int move_stream(struct card *card)
{
	struct bo old = card->stream;
	int ret = card_buffer(card, QUIRE_STREAM_MAX_BYTES, DRM_QUIRE_PLACEMENT_CARD,
			      &card->stream);

	munmap(old.map, old.size);
	if (!ret)
		ret = card_unbind(card->fd, card->vm, old.va, old.size);
	card_close_handle(card->fd, old.handle);
	return ret;
}

/*
 * The importer binds a buffer after its job was submitted, so that no fence speaks of it, and
 * both sides take it away in mid-job.  Whoever gets the pages next finds nothing written.
 */
static void take_away(struct __test_metadata *_metadata, FIXTURE_DATA(dmabuf) *self, bool swap,
		      unsigned int delay_us, unsigned int *tried)
{
	const uint64_t size = (uint64_t)BIG * BIG;
	uint8_t *map[VICTIMS];
	struct shared s;
	uint64_t point;
	int fd = card_open_node((unsigned int)node(self->bdf[0]));

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, share(&self->a, &self->b, size, DRM_QUIRE_PLACEMENT_SYSTEM, &s));
	ASSERT_EQ(0, move_stream(&self->b));
	ASSERT_EQ(0, long_job(&self->b, VA, 6, 200, &point));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, size, 0));
	*tried += (unsigned int)wait_begun(&self->b, s.bo.map, point);
	usleep(delay_us);
	if (swap) {
		EXPECT_EQ(0, swap_out(fd));
	} else {
		EXPECT_EQ(0, card_unbind(self->b.fd, self->b.vm, VA, size));
	}
	munmap(s.bo.map, size);
	ASSERT_EQ(0, card_unbind(self->a.fd, self->a.vm, s.bo.va, size));
	card_close_handle(self->b.fd, s.theirs);
	card_close_handle(self->a.fd, s.bo.handle);
	for (unsigned int i = 0; i < VICTIMS; i++) {
		uint32_t handle;

		ASSERT_EQ(0, card_bo_create(fd, size, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
		ASSERT_EQ(0, card_bo_map(fd, handle, size, (void **)&map[i]));
		/* Pages come with the first touch. */
		memset(map[i], 0, size);
	}
	usleep(30000);
	EXPECT_EQ(0, victims_hurt(map, size));
	card_teardown(&self->b);
	EXPECT_EQ(0, victims_hurt(map, size));
	for (unsigned int i = 0; i < VICTIMS; i++)
		munmap(map[i], size);
	close(fd);
	ASSERT_EQ(0, card_setup(&self->b, (unsigned int)node(self->bdf[1])));
}

TEST_F_TIMEOUT(dmabuf, pages_are_not_freed_while_the_importers_job_may_reach_them, 120)
{
	unsigned int tried = 0;

	for (unsigned int round = 0; round < 12; round++)
		take_away(_metadata, self, round & 1, round * 1100, &tried);
	EXPECT_GT(tried, 3);
}

TEST_F(dmabuf, looking_at_imported_buffers)
{
	char path[64], text[4096];
	struct quire_packet_gemm bad;
	bool imported = false;
	struct shared s;
	FILE *file;

	ASSERT_EQ(0, share(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_SYSTEM, &s));
	ASSERT_EQ(0, card_bind(self->b.fd, self->b.vm, s.theirs, VA, MIB, 0));
	for (int round = 0; round < 2; round++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/address_spaces",
			 self->bdf[1]);
		file = fopen(path, "r");
		ASSERT_NE(NULL, file);
		while (fgets(text, sizeof(text), file))
			imported |= strstr(text, " imported") != NULL;
		fclose(file);
		EXPECT_TRUE(imported);
		/* Mapped or not. */
		ASSERT_EQ(0, swap_out(self->a.fd));
	}
	/* A stream in foreign memory that is wrong: the dump does without it. */
	memset(&bad, 0xff, sizeof(bad));
	memcpy(s.bo.map, &bad, sizeof(bad));
	{
		uint64_t point;

		ASSERT_EQ(0, card_submit(&self->b, VA, sizeof(bad), &point));
		ASSERT_EQ(0, card_wait(self->b.fd, self->b.syncobj, point, 10000 * MS));
		EXPECT_EQ(-EFAULT, card_fence_error(self->b.fd, self->b.syncobj, point));
	}
	system("for dump in /sys/class/devcoredump/devcd*/data; do sleep 0.2; cat $dump >/dev/null; "
	       "echo 1 >$dump; done 2>/dev/null");
}

TEST_HARNESS_MAIN
