// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "shared.h"
#include "swap.h"
#include "patience.h"

#define MIB (1ull << 20)

int shared_find_cards(char bdf[2][16])
{
	DIR *directory = opendir(SHARED_DRIVER);
	struct dirent *entry;
	int found = 0;

	while (directory && (entry = readdir(directory)))
		if (strchr(entry->d_name, ':') && found < 2)
			snprintf(bdf[found++], sizeof(bdf[0]), "%.15s", entry->d_name);
	if (directory)
		closedir(directory);
	return found;
}

int shared_node(const char *bdf)
{
	char path[64];
	int index = -1;

	snprintf(path, sizeof(path), SHARED_DRIVER "%s/accel", bdf);
	for (int tries = 0; tries < 100 * test_patience() && index < 0; tries++) {
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

int shared_setup(char bdf[2][16], struct card *a, struct card *b, int *swap)
{
	int ret = swap_on();

	if (ret && ret != -ENOENT)
		return ret;
	*swap = !ret;
	if (shared_find_cards(bdf) != 2)
		return -ENODEV;
	ret = card_setup(a, (unsigned int)shared_node(bdf[0]));
	return ret ? ret : card_setup(b, (unsigned int)shared_node(bdf[1]));
}

int shared_teardown(struct card *a, struct card *b, int swap)
{
	card_teardown(a);
	card_teardown(b);
	return swap ? swap_off() : 0;
}

int shared_vgem(void)
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

int shared_export(int fd, uint32_t handle)
{
	struct drm_prime_handle args = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int ret = card_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	return ret ? ret : args.fd;
}

int shared_import(int fd, int buffer, uint32_t *handle)
{
	struct drm_prime_handle args = { .fd = buffer };
	int ret = card_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	*handle = args.handle;
	return ret;
}

int shared_udmabuf(uint64_t size, int *memfd)
{
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), buffer = -1;
	int pages = memfd_create("dmabuf", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	struct udmabuf_create args = { .memfd = (uint32_t)pages, .size = size };

	if (device >= 0 && !ftruncate(pages, (off_t)size) &&
	    !fcntl(pages, F_ADD_SEALS, F_SEAL_SHRINK))
		buffer = ioctl(device, UDMABUF_CREATE, &args);
	buffer = buffer < 0 ? -errno : buffer;
	close(device);
	if (memfd)
		*memfd = pages;
	else
		close(pages);
	return buffer;
}

int shared_make(struct card *a, struct card *b, uint64_t size, uint32_t placement,
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
	buffer = shared_export(a->fd, bo->handle);
	if (buffer < 0)
		return buffer;
	ret = shared_import(b->fd, buffer, &shared->theirs);
	close(buffer);
	return ret;
}

uint32_t shared_resident(int fd, uint32_t handle)
{
	struct drm_quire_bo_info info = { .handle = handle };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info) ? 0 : info.resident;
}

int shared_fill(struct card *card, uint64_t va, uint64_t bytes, uint64_t pattern)
{
	struct quire_packet_fill packet;

	packet_fill(&packet, va, bytes, pattern);
	return card_run(card, &packet, sizeof(packet));
}

/* An empty job: brings back what may come back. */
int shared_touch(struct card *card)
{
	uint64_t point;
	int ret = card_submit(card, 0, 0, &point);

	return ret ? ret : card_wait(card->fd, card->syncobj, point, 10000 * MS);
}

/* "key: N unit" of fdinfo in bytes. */
unsigned long long shared_usage(int fd, const char *key)
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

/* Whatever is on the card and can leave it does. */
void shared_squeeze(struct card *card)
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

/* Many products of 1024^3, the first of which go to an own buffer, the others to @result. */
int shared_long_job(struct card *card, uint64_t result, unsigned int own, unsigned int count,
		    uint64_t *point)
{
	struct quire_packet_gemm *packets = card->stream.map;
	struct bo bo;
	int ret = card_buffer(card, 3ull * SHARED_BIG * SHARED_BIG, DRM_QUIRE_PLACEMENT_CARD, &bo);

	if (ret)
		return ret;
	memset(bo.map, 0x43, 2ull * SHARED_BIG * SHARED_BIG);
	for (unsigned int i = 0; i < count; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, SHARED_BIG, SHARED_BIG, SHARED_BIG,
			    bo.va, bo.va + SHARED_BIG * SHARED_BIG,
			    i < own ? bo.va + 2 * SHARED_BIG * SHARED_BIG : result);
	return card_submit(card, card->stream.va, count * (uint32_t)sizeof(*packets), point);
}

/* Until the job has written the first byte, or is over. */
int shared_wait_begun(struct card *card, const void *map, uint64_t point)
{
	while (!*(const volatile uint8_t *)map)
		if (!card_wait(card->fd, card->syncobj, point, MS))
			return 0;
	return 1;
}

/* The configuration the kernel was built with; NULL: nobody has left it anywhere. */
static FILE *shared_kernel_config(void)
{
	static const char *const names[] = { "boot/config-%s", "usr/lib/modules/%s/config" };
	char line[2048] = "", path[512], name[128], *kit;
	FILE *file = fopen("/proc/cmdline", "r");
	struct utsname kernel;

	if (file && !fgets(line, sizeof(line), file))
		line[0] = 0;
	if (file)
		fclose(file);
	file = NULL;
	kit = strstr(line, "guest_kit=");
	if (!kit || uname(&kernel) || sscanf(kit, "guest_kit=%255s", line) != 1)
		return NULL;
	for (int i = 0; i < 2 && !file; i++) {
		snprintf(name, sizeof(name), names[i], kernel.release);
		snprintf(path, sizeof(path), "%.255s/%s", line, name);
		file = fopen(path, "r");
	}
	return file;
}

int shared_memory_moves(void)
{
	FILE *file = shared_kernel_config();
	char line[256];
	int moves = 1;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "# CONFIG_DMABUF_MOVE_NOTIFY is not set", 38))
			moves = 0;
	fclose(file);
	return moves;
}
