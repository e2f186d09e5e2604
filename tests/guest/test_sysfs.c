// SPDX-License-Identifier: MIT
/* What anybody may read of a card without the right to open it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define DIRECTORY "/sys/class/accel/accel0/device/quire/"

FIXTURE(sysfs) {
	int fd;
	struct drm_quire_device_info info;
};

FIXTURE_SETUP(sysfs)
{
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_DEVICE,
					    .size = sizeof(self->info),
					    .pointer = (uintptr_t)&self->info };

	self->fd = card_open_node(0);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, card_ioctl(self->fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args));
	/* All reading is done as somebody who may not open the card. */
	ASSERT_EQ(0, seteuid(65534));
	ASSERT_EQ(-EACCES, card_open_node(0));
}

FIXTURE_TEARDOWN(sysfs)
{
	close(self->fd);
}

/* Contents of a file without the newline, which must be there. */
static const char *text(const char *name)
{
	static char line[64];
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), DIRECTORY "%s", name);
	file = fopen(path, "r");
	if (!file || !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	if (line[0] && line[strlen(line) - 1] == '\n')
		line[strlen(line) - 1] = '\0';
	return line;
}

static unsigned long long number(const char *name)
{
	const char *value = text(name);

	return *value ? strtoull(value, NULL, 10) : ~0ull;
}

TEST_F(sysfs, says_the_same_as_the_query)
{
	char version[32];

	EXPECT_EQ(self->info.serial, number("serial"));
	EXPECT_EQ(self->info.interface_version, number("interface_version"));
	EXPECT_EQ(self->info.engines, number("engines"));
	EXPECT_EQ(self->info.queues, number("queues"));
	EXPECT_EQ(self->info.contexts, number("contexts"));
	EXPECT_EQ(self->info.card_memory, number("card_memory"));
	EXPECT_EQ(self->info.resets, number("resets"));
	snprintf(version, sizeof(version), "%u.%u", self->info.hw_version >> 16,
		 self->info.hw_version & 0xffff);
	EXPECT_STREQ(version, text("hw_version"));
	snprintf(version, sizeof(version), "%u.%u.%u", self->info.fw_release >> 16,
		 self->info.fw_release >> 8 & 0xff, self->info.fw_release & 0xff);
	EXPECT_STREQ(version, text("fw_release"));
	EXPECT_STREQ("ready", text("state"));
}

/* As wide as an entry of a page table: an IOMMU may have more. */
TEST_F(sysfs, card_has_addresses_of_52_bits)
{
	char bits[8] = "";
	int file = open("/sys/class/accel/accel0/device/dma_mask_bits", O_RDONLY);

	ASSERT_GE(file, 0);
	EXPECT_LT(0, read(file, bits, sizeof(bits) - 1));
	EXPECT_STREQ("52\n", bits);
	close(file);
}

TEST_F(sysfs, counts_card_memory_in_use)
{
	unsigned long long before = number("card_memory_used");
	uint32_t handle;

	ASSERT_EQ(0, card_bo_create(self->fd, 8 << 20, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	EXPECT_EQ(before + (8 << 20), number("card_memory_used"));
}

TEST_F(sysfs, files_are_read_only_for_everybody)
{
	static const char *const names[] = { "serial", "state", "resets", "fw_release" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat status;
		char path[128];

		snprintf(path, sizeof(path), DIRECTORY "%s", names[i]);
		ASSERT_EQ(0, stat(path, &status));
		EXPECT_EQ(0444, status.st_mode & 0777);
	}
}

TEST_HARNESS_MAIN
