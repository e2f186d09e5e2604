// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "card.h"
#include "swap.h"
#include "patience.h"

#define DISK "/dev/zram0"
#define DISK_BYTES "402653184"
#define PAGES_LIMIT "/sys/module/ttm/parameters/pages_limit"
#define GROUPS "/tmp/swap-groups"

int swap_on(void)
{
	int ret;

	if (system("modprobe -q zram") || access(DISK, F_OK))
		return -ENOENT;
	ret = sysfs_write("/sys/block/zram0/disksize", DISK_BYTES);
	/* Another process of the test may have made it. */
	if (ret)
		return ret == -EBUSY ? 0 : ret;
	if (system("mkswap " DISK " >/dev/null"))
		return -EIO;
	return swapon(DISK, 0) ? -errno : 0;
}

int swap_off(void)
{
	if (swapoff(DISK))
		return -errno;
	return sysfs_write("/sys/block/zram0/reset", "1");
}

long long swap_used(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return -1;
	return (long long)(info.totalswap - info.freeswap) * info.mem_unit;
}

void swap_limit_restore(void)
{
	struct sysinfo info;
	char text[32];

	/* TTM's own choice: half of the memory. */
	if (sysinfo(&info))
		return;
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)info.totalram * info.mem_unit / 2 / PAGE);
	sysfs_write(PAGES_LIMIT, text);
}

int swap_out_buffers(int fd)
{
	uint32_t handle;
	uint8_t *map;
	int ret = sysfs_write(PAGES_LIMIT, "1");

	if (!ret)
		ret = card_bo_create(fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);
	if (!ret) {
		/* The page comes with the mapping. */
		ret = card_bo_map(fd, handle, PAGE, (void **)&map);
		if (!ret)
			munmap(map, PAGE);
		card_close_handle(fd, handle);
	}
	swap_limit_restore();
	return ret;
}

int swap_group_enter(void)
{
	int ret;

	mkdir(GROUPS, 0755);
	if (mount("none", GROUPS, "cgroup2", 0, NULL) && errno != EBUSY)
		return -errno;
	ret = sysfs_write(GROUPS "/cgroup.subtree_control", "+memory");
	if (ret)
		return ret;
	mkdir(GROUPS "/pushed", 0755);
	return sysfs_write(GROUPS "/pushed/cgroup.procs", "0");
}

int swap_push(void)
{
	int ret = 0;

	/* It says when there is no more. */
	for (int i = 0; i < 64 && !ret; i++)
		ret = sysfs_write(GROUPS "/pushed/memory.reclaim", "16M");
	return ret == -EAGAIN ? 0 : ret;
}

void swap_group_remove(void)
{
	sysfs_write(GROUPS "/cgroup.procs", "0");
	for (int i = 0; i < 100 * test_patience() && rmdir(GROUPS "/pushed") && errno == EBUSY; i++)
		usleep(50000);
	umount(GROUPS);
	rmdir(GROUPS);
}
