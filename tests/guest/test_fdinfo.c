// SPDX-License-Identifier: MIT
/* fdinfo: the keys of drm-usage-stats, and that they follow what the file does. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

FIXTURE(fdinfo) {
	struct card card;
};

FIXTURE_SETUP(fdinfo)
{
	ASSERT_EQ(0, card_setup(&self->card, 0));
}

FIXTURE_TEARDOWN(fdinfo)
{
	card_teardown(&self->card);
}

/* The value behind "key:", without leading blanks; empty if there is no such line. */
static const char *value(int fd, const char *key)
{
	static char line[256];
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		size_t length = strlen(key);

		if (strncmp(line, key, length) || line[length] != ':')
			continue;
		fclose(file);
		line[strcspn(line, "\n")] = '\0';
		return line + length + 1 + strspn(line + length + 1, " \t");
	}
	if (file)
		fclose(file);
	return "";
}

/* A size in bytes; the kernel prints "N", "N KiB" or "N MiB". */
static unsigned long long bytes(int fd, const char *key)
{
	const char *text = value(fd, key);
	unsigned long long number = strtoull(text, NULL, 10);

	if (!*text)
		return ~0ull;
	if (strstr(text, "KiB"))
		number <<= 10;
	if (strstr(text, "MiB"))
		number <<= 20;
	return number;
}

TEST_F(fdinfo, names_driver_client_and_card)
{
	int other = card_open_node(0);
	char client[64];
	unsigned int domain, bus, slot, function;

	EXPECT_STREQ("quire", value(self->card.fd, "drm-driver"));
	EXPECT_EQ(4, sscanf(value(self->card.fd, "drm-pdev"), "%x:%x:%x.%x", &domain, &bus, &slot,
			    &function));
	snprintf(client, sizeof(client), "%s", value(self->card.fd, "drm-client-id"));
	EXPECT_STRNE("", client);
	EXPECT_STRNE(client, value(other, "drm-client-id"));
	close(other);
}

TEST_F(fdinfo, counts_memory_by_region)
{
	int fd = self->card.fd;
	unsigned long long card = bytes(fd, "drm-total-card"), system = bytes(fd, "drm-total-memory");
	unsigned long long there = bytes(fd, "drm-resident-card");
	uint32_t handle;
	void *map;

	ASSERT_NE(~0ull, card);
	ASSERT_NE(~0ull, system);
	ASSERT_EQ(0, card_bo_create(fd, 4 << 20, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	EXPECT_EQ(card + (4 << 20), bytes(fd, "drm-total-card"));
	EXPECT_EQ(there + (4 << 20), bytes(fd, "drm-resident-card"));
	EXPECT_EQ(system, bytes(fd, "drm-total-memory"));
	card_close_handle(fd, handle);
	EXPECT_EQ(card, bytes(fd, "drm-total-card"));
	ASSERT_EQ(0, card_bo_create(fd, 4 << 20, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
	EXPECT_EQ(system + (4 << 20), bytes(fd, "drm-total-memory"));
	/* Its pages come when somebody wants them. */
	EXPECT_EQ(system, bytes(fd, "drm-resident-memory"));
	ASSERT_EQ(0, card_bo_map(fd, handle, 4 << 20, &map));
	EXPECT_EQ(system + (4 << 20), bytes(fd, "drm-resident-memory"));
}

static unsigned long long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

TEST_F(fdinfo, engine_capacity_is_the_number_of_engines)
{
	struct drm_quire_device_info info;
	struct drm_quire_dev_query query = {
		.type = DRM_QUIRE_QUERY_DEVICE, .size = sizeof(info), .pointer = (uintptr_t)&info,
	};

	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query));
	EXPECT_EQ(info.engines, strtoull(value(self->card.fd, "drm-engine-capacity-compute"), NULL, 10));
}

/* Keys of the kernel's document, and ours, which begin with the driver's name; each once. */
TEST_F(fdinfo, has_only_keys_of_the_standard_and_its_own)
{
	static const char *const keys[] = {
		"drm-driver", "drm-client-id", "drm-client-name", "drm-pdev", "drm-engine-compute",
		"drm-engine-capacity-compute", "drm-total-memory", "drm-shared-memory",
		"drm-active-memory", "drm-resident-memory", "drm-total-card", "drm-shared-card",
		"drm-active-card", "drm-resident-card",
	};
	char path[64], line[256], seen[64][64];
	unsigned int lines = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->card.fd);
	file = fopen(path, "r");
	ASSERT_NE(NULL, file);
	while (fgets(line, sizeof(line), file) && lines < 64) {
		bool known = false;

		line[strcspn(line, ":")] = '\0';
		if (strncmp(line, "drm-", 4))
			continue;
		for (unsigned int i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			known |= !strcmp(line, keys[i]);
		EXPECT_TRUE(known)
			TH_LOG("key %s", line);
		for (unsigned int i = 0; i < lines; i++)
			EXPECT_STRNE(line, seen[i]);
		snprintf(seen[lines++], sizeof(seen[0]), "%.63s", line);
	}
	fclose(file);
	EXPECT_GE(lines, 13); /* the name is newer than the others */
}

TEST_F(fdinfo, a_buffer_with_two_handles_is_shared)
{
	unsigned long long shared = bytes(self->card.fd, "drm-shared-memory");
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC };
	int other = card_open_node(0);

	ASSERT_EQ(0, card_bo_create(self->card.fd, 1 << 20, DRM_QUIRE_PLACEMENT_SYSTEM, 0,
				    &prime.handle));
	EXPECT_EQ(shared, bytes(self->card.fd, "drm-shared-memory"));
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	ASSERT_EQ(0, card_ioctl(other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
	EXPECT_EQ(shared + (1 << 20), bytes(self->card.fd, "drm-shared-memory"));
	EXPECT_EQ(1 << 20, bytes(other, "drm-shared-memory"));
	close(prime.fd);
	close(other);
}

TEST_F(fdinfo, engine_time_grows_and_never_goes_back)
{
	struct quire_packet_fill fill;
	unsigned long long before, after, jobs, start = nanoseconds();

	packet_fill(&fill, self->card.stream.va + PAGE, 4 * PAGE, 1);
	ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	before = strtoull(value(self->card.fd, "drm-engine-compute"), NULL, 10);
	EXPECT_NE(NULL, strstr(value(self->card.fd, "drm-engine-compute"), " ns"));
	EXPECT_GT(before, 0);
	EXPECT_NE(0, strtoull(value(self->card.fd, "quire-modelled-cycles"), NULL, 10));
	ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	after = strtoull(value(self->card.fd, "drm-engine-compute"), NULL, 10);
	EXPECT_GT(after, before);
	EXPECT_LE(after, nanoseconds() - start);
	EXPECT_NE(0, strtoull(value(self->card.fd, "quire-modelled-energy"), NULL, 10));
	jobs = strtoull(value(self->card.fd, "quire-jobs"), NULL, 10);
	EXPECT_EQ(2, jobs);
	/* The queue goes, what it did stays. */
	ASSERT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));
	EXPECT_EQ(after, strtoull(value(self->card.fd, "drm-engine-compute"), NULL, 10));
	EXPECT_EQ(jobs, strtoull(value(self->card.fd, "quire-jobs"), NULL, 10));
}

TEST_F(fdinfo, a_buffer_in_use_counts_as_active)
{
	uint64_t point;
	uint32_t length;

	EXPECT_EQ(0, bytes(self->card.fd, "drm-active-card"));
	ASSERT_EQ(0, card_long_stream(&self->card, &length));
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, length, &point));
	EXPECT_GE(bytes(self->card.fd, "drm-active-card"), 3 << 20);
	EXPECT_LE(bytes(self->card.fd, "drm-active-card"), 4 << 20);
}

TEST_HARNESS_MAIN
