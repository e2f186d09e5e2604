// SPDX-License-Identifier: MIT
/* DEV_QUERY: what is told of the card, and how sizes are negotiated. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

FIXTURE(query) {
	int fd;
};

FIXTURE_SETUP(query)
{
	self->fd = card_open_node(0);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(query)
{
	close(self->fd);
}

static int query(int fd, uint32_t type, void *out, uint32_t *size)
{
	struct drm_quire_dev_query args = { .type = type,
					    .size = *size,
					    .pointer = (uintptr_t)out };
	int ret = card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args);

	*size = args.size;
	return ret;
}

TEST_F(query, device_describes_the_card)
{
	struct drm_quire_device_info info;
	uint32_t size = sizeof(info);

	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_DEVICE, &info, &size));
	EXPECT_EQ(sizeof(info), size);
	EXPECT_EQ(QUIRE_HW_VERSION_VALUE, info.hw_version);
	EXPECT_EQ(QUIRE_QUEUES, info.queues);
	EXPECT_EQ(QUIRE_CONTEXTS, info.contexts);
	EXPECT_GE(info.engines, 1);
	EXPECT_EQ(QUIRE_INTERFACE_VERSION_MAX, info.interface_version);
	EXPECT_NE(0, info.fw_release);
	EXPECT_EQ(256ull << 20, info.card_memory);
	EXPECT_LT(info.va_start, info.va_end);
	EXPECT_LE(info.va_end, 1ull << QUIRE_VA_BITS);
}

TEST_F(query, null_pointer_tells_the_size)
{
	uint32_t size = 0;

	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_DEVICE, NULL, &size));
	EXPECT_EQ(sizeof(struct drm_quire_device_info), size);
}

TEST_F(query, short_buffer_gets_leading_bytes_only)
{
	uint8_t out[64];
	uint32_t size = 8, hw_version = QUIRE_HW_VERSION_VALUE;

	memset(out, 0xaa, sizeof(out));
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_DEVICE, out, &size));
	EXPECT_EQ(0, memcmp(out, &hw_version, 4));
	for (int i = 8; i < 64; i++)
		ASSERT_EQ(0xaa, out[i]);
}

TEST_F(query, long_buffer_ends_in_zeros)
{
	uint8_t out[256];
	uint32_t size = sizeof(out);

	memset(out, 0xaa, sizeof(out));
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_DEVICE, out, &size));
	for (unsigned int i = sizeof(struct drm_quire_device_info); i < sizeof(out); i++)
		ASSERT_EQ(0, out[i]);
}

TEST_F(query, memory_accounts_a_card_buffer)
{
	struct drm_quire_memory_info before, after;
	uint32_t size = sizeof(before), handle;

	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_MEMORY, &before, &size));
	EXPECT_GT(before.card_total, 200ull << 20);
	ASSERT_EQ(0, card_bo_create(self->fd, 8 << 20, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	size = sizeof(after);
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_MEMORY, &after, &size));
	EXPECT_GE(after.card_used, before.card_used + (8u << 20));
	card_close_handle(self->fd, handle);
}

TEST_F(query, telemetry_counts_jobs)
{
	struct drm_quire_telemetry_info before, after;
	struct quire_packet_header nop = { QUIRE_PACKET_NOP, sizeof(nop), 0, 0 };
	uint32_t size = sizeof(before);
	struct card card;

	ASSERT_EQ(0, card_setup(&card, 0));
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_TELEMETRY, &before, &size));
	ASSERT_EQ(0, card_run(&card, &nop, sizeof(nop)));
	size = sizeof(after);
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_TELEMETRY, &after, &size));
	EXPECT_GT(after.counters[QUIRE_COUNTER_JOBS], before.counters[QUIRE_COUNTER_JOBS]);
	EXPECT_GT(after.counters[QUIRE_COUNTER_PACKETS], before.counters[QUIRE_COUNTER_PACKETS]);
	card_teardown(&card);
}

TEST_F(query, telemetry_of_all_is_not_for_everybody)
{
	struct drm_quire_telemetry_info info;
	uint32_t size = sizeof(info);

	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(-EACCES, query(self->fd, DRM_QUIRE_QUERY_TELEMETRY, &info, &size));
	EXPECT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_TELEMETRY, NULL, &size));
	ASSERT_EQ(0, seteuid(0));
}

/* What others do could be read off each change. */
TEST_F(query, memory_of_all_is_exact_only_for_those_who_may_see_counters)
{
	struct drm_quire_memory_info exact, shown;
	uint32_t size = sizeof(exact), handle;
	uint64_t step;
	void *map;

	/* Mapped: a fresh buffer of system memory has no pages. */
	ASSERT_EQ(0, card_bo_create(self->fd, 123 * PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	ASSERT_EQ(0, card_bo_create(self->fd, 77 * PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
	ASSERT_EQ(0, card_bo_map(self->fd, handle, 77 * PAGE, &map));
	memset(map, 1, 77 * PAGE);
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_MEMORY, &exact, &size));
	ASSERT_EQ(0, seteuid(65534));
	size = sizeof(shown);
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_MEMORY, &shown, &size));
	ASSERT_EQ(0, seteuid(0));
	step = (256u << 20) / 64;
	EXPECT_NE(0, exact.card_used % step);
	EXPECT_EQ(exact.card_used / step * step, shown.card_used);
	EXPECT_EQ(exact.system_used / step * step, shown.system_used);
	munmap(map, 77 * PAGE);
}

/* A program made for a later kernel learns that this one lacks what it asks for. */
TEST_F(query, unknown_end_of_a_structure_is_not_ignored)
{
	struct {
		struct drm_quire_bo_create known;
		uint64_t more[4];
	} args = { .known = { .size = PAGE, .placement = DRM_QUIRE_PLACEMENT_SYSTEM } };
	unsigned long command = _IOC(_IOC_READ | _IOC_WRITE, DRM_IOCTL_BASE,
				     _IOC_NR(DRM_IOCTL_QUIRE_BO_CREATE), sizeof(args));

	EXPECT_EQ(0, card_ioctl(self->fd, command, &args));
	card_close_handle(self->fd, args.known.handle);
	args.more[3] = 1;
	args.known.handle = 0;
	EXPECT_EQ(-E2BIG, card_ioctl(self->fd, command, &args));
	EXPECT_EQ(0, args.known.handle);
}

/* Counters that only jobs change, of which there are none meanwhile. */
struct reader {
	pthread_t thread;
	int fd;
	const struct drm_quire_telemetry_info *right;
	atomic_bool *stop;
	unsigned long reads;
	unsigned long wrong;
};

static uint64_t high_word(const struct drm_quire_telemetry_info *info, unsigned int counter)
{
	return info->counters[counter] >> 32;
}

static void *read_counters(void *argument)
{
	struct reader *reader = argument;

	for (; !atomic_load(reader->stop); reader->reads++) {
		struct drm_quire_telemetry_info info = { 0 };
		uint32_t size = sizeof(info);

		query(reader->fd, DRM_QUIRE_QUERY_TELEMETRY, &info, &size);
		for (unsigned int i = QUIRE_COUNTER_JOBS; i <= QUIRE_COUNTER_ERRORS; i++)
			reader->wrong += high_word(&info, i) != high_word(reader->right, i);
	}
	return NULL;
}

/* Energy in picojoule is what needs more than 32 bits soonest. */
static void spend_energy(struct card *card, struct drm_quire_telemetry_info *info)
{
	struct quire_packet_fill fill;
	uint32_t size = sizeof(*info);
	struct bo bo;

	ASSERT_EQ(0, card_buffer(card, 16 << 20, DRM_QUIRE_PLACEMENT_CARD, &bo));
	packet_fill(&fill, bo.va, bo.size, 0x5a5a);
	do {
		ASSERT_EQ(0, card_run(card, &fill, sizeof(fill)));
		ASSERT_EQ(0, query(card->fd, DRM_QUIRE_QUERY_TELEMETRY, info, &size));
	} while (!high_word(info, QUIRE_COUNTER_MODELLED_PJ));
}

/* The card latches one high word: readers must not get each other's. */
TEST_F(query, telemetry_is_right_with_two_readers)
{
	struct drm_quire_telemetry_info info;
	struct reader readers[2];
	atomic_bool stop = false;
	struct card card;

	ASSERT_EQ(0, card_setup(&card, 0));
	spend_energy(&card, &info);
	ASSERT_EQ(0, high_word(&info, QUIRE_COUNTER_JOBS));
	ASSERT_NE(0, high_word(&info, QUIRE_COUNTER_MODELLED_PJ));
	for (int i = 0; i < 2; i++) {
		readers[i] = (struct reader){
			.fd = self->fd, .right = &info, .stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_counters, &readers[i]));
	}
	sleep(6);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(readers[i].thread, NULL));
		EXPECT_LT(0, readers[i].reads);
		EXPECT_EQ(0, readers[i].wrong) TH_LOG("of %lu", readers[i].reads);
	}
	card_teardown(&card);
}

TEST_F(query, usage_is_of_this_file_and_keeps_what_destroyed_queues_did)
{
	struct drm_quire_usage_info none, usage;
	struct quire_packet_gemm gemm;
	uint32_t size = sizeof(usage);
	struct card card;
	struct bo bo;

	ASSERT_EQ(0, card_setup(&card, 0));
	ASSERT_EQ(0, card_buffer(&card, 1 << 16, DRM_QUIRE_PLACEMENT_CARD, &bo));
	packet_gemm(&gemm, QUIRE_FORMAT_POSIT16, 8, 8, 8, bo.va, bo.va + 4096, bo.va + 8192);
	ASSERT_EQ(0, card_run(&card, &gemm, sizeof(gemm)));
	ASSERT_EQ(0, card_run(&card, &gemm, sizeof(gemm)));
	ASSERT_EQ(0, card_queue_destroy(card.fd, card.queue));
	ASSERT_EQ(0, query(card.fd, DRM_QUIRE_QUERY_USAGE, &usage, &size));
	EXPECT_EQ(sizeof(usage), size);
	EXPECT_EQ(2, usage.jobs);
	EXPECT_EQ(1024, usage.macs);
	EXPECT_NE(0, usage.busy_ns);
	EXPECT_NE(0, usage.cycles);
	EXPECT_NE(0, usage.modelled_pj);
	ASSERT_EQ(0, query(self->fd, DRM_QUIRE_QUERY_USAGE, &none, &size));
	EXPECT_EQ(0, none.jobs);
	card_teardown(&card);
}

TEST_F(query, unknown_type_is_einval)
{
	uint32_t size = 8;
	uint64_t out;

	EXPECT_EQ(-EINVAL, query(self->fd, 77, &out, &size));
}

TEST_F(query, bad_pointer_is_efault)
{
	uint32_t size = sizeof(struct drm_quire_device_info);

	EXPECT_EQ(-EFAULT, query(self->fd, DRM_QUIRE_QUERY_DEVICE, (void *)16, &size));
}

TEST_HARNESS_MAIN
