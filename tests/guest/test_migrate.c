// SPDX-License-Identifier: MIT
/*
 * Buffers are cleared and moved by the card's engines: what is in them is right whatever
 * becomes of the card meanwhile, and nobody sees what others left in its memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "monitor.h"

#define MIB (1ull << 20)
#define PIECE (32 * MIB)
#define PIECES 16
#define VA 0x6000000000ull
#define SECRET 0x5ec2e75ec2e75ec2ull
#define TRACING "/sys/kernel/debug/tracing/"
#define RESET "/sys/class/accel/accel0/device/reset"

FIXTURE(migrate) {
	struct card card;
	struct card other;
	unsigned int count;	/* of handles of other */
	uint32_t handle[PIECES];
};

static const char *const injections[] = { "engine-hang", "crash-firmware", "dma-errors",
					  "drop-interrupts" };

FIXTURE_SETUP(migrate)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 60000));
	ASSERT_EQ(0, card_setup_limit(&self->other, 0, 60000));
	self->count = 0;
}

FIXTURE_TEARDOWN(migrate)
{
	for (size_t i = 0; i < sizeof(injections) / sizeof(injections[0]); i++)
		monitor_inject(injections[i], 0);
	card_teardown(&self->card);
	card_teardown(&self->other);
	monitor_close();
}

/* Buffers that fill the card, with nothing or with the pattern in them. */
static int fill_card(FIXTURE_DATA(migrate) *self, uint64_t pattern)
{
	struct card *card = &self->other;
	int ret = 0;

	while (self->count < 8 && !ret) {
		struct quire_packet_fill fill;
		uint32_t *handle = &self->handle[self->count];

		ret = card_bo_create(card->fd, PIECE, DRM_QUIRE_PLACEMENT_CARD, 0, handle);
		if (ret)
			break;
		self->count++;
		if (!pattern)
			continue;
		ret = card_bind(card->fd, card->vm, *handle, VA, PIECE, 0);
		packet_fill(&fill, VA, PIECE, pattern);
		if (!ret)
			ret = card_run(card, &fill, sizeof(fill));
		if (!ret)
			ret = card_unbind(card->fd, card->vm, VA, PIECE);
	}
	return ret;
}

static void empty_card(FIXTURE_DATA(migrate) *self)
{
	while (self->count)
		card_close_handle(self->other.fd, self->handle[--self->count]);
}

/* Words of the buffer that are not what they should be. */
static unsigned int wrong_words(int fd, uint32_t handle, uint64_t bytes, uint64_t expected)
{
	unsigned int wrong = 0;
	void *map;

	if (card_bo_map(fd, handle, bytes, &map))
		return ~0u;
	for (uint64_t i = 0; i < bytes / 8; i += 64)
		wrong += ((volatile uint64_t *)map)[i] != expected + (expected ? i / 4096 : 0);
	munmap(map, bytes);
	return wrong;
}

/* A buffer with something different in each piece of 32 KiB. */
static int write_words(int fd, uint64_t bytes, uint64_t base, uint32_t *handle)
{
	void *map;
	int ret = card_bo_create(fd, bytes, DRM_QUIRE_PLACEMENT_CARD, 0, handle);

	if (!ret)
		ret = card_bo_map(fd, *handle, bytes, &map);
	if (ret)
		return ret;
	for (uint64_t i = 0; i < bytes / 8; i += 64)
		((volatile uint64_t *)map)[i] = base + i / 4096;
	munmap(map, bytes);
	return 0;
}

static uint32_t resident(int fd, uint32_t handle)
{
	struct drm_quire_bo_info info = { .handle = handle };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info) ? 0 : info.resident;
}

/* An empty job of the buffer's address space: what was pushed out comes back, if it can. */
static int come_back(struct card *card)
{
	uint64_t point;
	int ret = card_submit(card, 0, 0, &point);

	return ret ? ret : card_wait(card->fd, card->syncobj, point, 20000 * MS);
}

/* Moves by the engines that the trace tells of, with this result. */
static unsigned int moves_by_engines(const char *result)
{
	static char text[1 << 20];
	unsigned int count = 0;
	FILE *trace = fopen(TRACING "trace", "r");
	size_t bytes = trace ? fread(text, 1, sizeof(text) - 1, trace) : 0;

	if (trace)
		fclose(trace);
	text[bytes] = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		count += strstr(line, "quire_migrate:") && strstr(line, result);
	return count;
}

TEST_F_TIMEOUT(migrate, engines_move_out_and_back_and_go_on_after_resets_and_sleep, 90)
{
	static const char *const between[] = { "nothing", "a reset of the function",
					       "a crash of the firmware" };
	struct card *card = &self->card;
	uint32_t handle;

	ASSERT_EQ(0, write_words(card->fd, PIECE, 0x1000, &handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle, VA, PIECE, 0));
	sysfs_write(TRACING "events/quire/quire_migrate/enable", "1");
	for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
		if (i == 1)
			sysfs_write(RESET, "1");
		if (i == 2)
			ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
		sysfs_write(TRACING "trace", "");
		ASSERT_EQ(0, come_back(card));
		ASSERT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(card->fd, handle));
		ASSERT_EQ(0, fill_card(self, SECRET));
		EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(card->fd, handle));
		EXPECT_EQ(0, wrong_words(card->fd, handle, PIECE, 0x1000));
		empty_card(self);
		ASSERT_EQ(0, come_back(card));
		EXPECT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(card->fd, handle));
		EXPECT_EQ(0, wrong_words(card->fd, handle, PIECE, 0x1000));
		EXPECT_LE(2, moves_by_engines("from=2 to=1 result=0") +
			     moves_by_engines("from=1 to=2 result=0"))
			TH_LOG("after %s", between[i]);
	}
	sysfs_write(TRACING "events/quire/quire_migrate/enable", "0");
}

/* Whatever breaks while the buffer moves, out or back: its contents do not. */
TEST_F_TIMEOUT(migrate, contents_survive_a_card_that_breaks_while_they_move, 120)
{
	static const char *const breaks[] = { "engine-hang", "crash-firmware", "dma-errors",
					      "drop-interrupts" };
	struct card *card = &self->card;
	uint32_t handle;

	ASSERT_EQ(0, write_words(card->fd, PIECE, 0x2000, &handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle, VA, PIECE, 0));
	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		unsigned int value = !strcmp(breaks[i], "engine-hang") ? ~0u : 1;

		ASSERT_EQ(0, come_back(card));
		ASSERT_EQ(0, fill_card(self, 0));
		empty_card(self);
		ASSERT_EQ(0, come_back(card));
		ASSERT_EQ(DRM_QUIRE_PLACEMENT_CARD, resident(card->fd, handle));
		/* Out. */
		ASSERT_EQ(0, monitor_inject(breaks[i], value));
		ASSERT_EQ(0, fill_card(self, 0));
		EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(card->fd, handle));
		ASSERT_EQ(0, monitor_inject(breaks[i], 0));
		EXPECT_EQ(0, wrong_words(card->fd, handle, PIECE, 0x2000))
			TH_LOG("%s on the way out", breaks[i]);
		empty_card(self);
		/* And back. */
		ASSERT_EQ(0, monitor_inject(breaks[i], value));
		card_submit(card, 0, 0, &card->point);
		ASSERT_EQ(0, monitor_inject(breaks[i], 0));
		EXPECT_EQ(0, wrong_words(card->fd, handle, PIECE, 0x2000))
			TH_LOG("%s on the way back", breaks[i]);
		/* A crash with a job of ours on the card may have cost the queue. */
		card_queue_destroy(card->fd, card->queue);
		ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 0, &card->queue));
	}
}

/* Card memory full of secrets, given back; a fresh buffer has none of them. */
static int leave_secrets(FIXTURE_DATA(migrate) *self)
{
	int ret = fill_card(self, SECRET);

	empty_card(self);
	return ret;
}

TEST_F_TIMEOUT(migrate, fresh_buffer_holds_zeros_for_whoever_looks_first, 60)
{
	struct card *card = &self->card;
	struct quire_packet_copy copy;
	struct bo seen, fresh;
	uint32_t handle;

	/* A job. */
	ASSERT_EQ(0, card_buffer(card, PIECE, DRM_QUIRE_PLACEMENT_SYSTEM, &seen));
	memset(seen.map, 0xff, PIECE);
	ASSERT_EQ(0, leave_secrets(self));
	ASSERT_EQ(0, card_buffer(card, PIECE, DRM_QUIRE_PLACEMENT_CARD, &fresh));
	packet_copy(&copy, seen.va, fresh.va, PIECE);
	ASSERT_EQ(0, card_run(card, &copy, sizeof(copy)));
	EXPECT_EQ(0, wrong_words(card->fd, seen.handle, PIECE, 0));
	card_close_handle(card->fd, fresh.handle);
	/* The CPU. */
	ASSERT_EQ(0, card_bo_create(card->fd, PIECE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	EXPECT_EQ(0, wrong_words(card->fd, handle, PIECE, 0));
	card_close_handle(card->fd, handle);
	/* The CPU, after it was pushed out unseen. */
	ASSERT_EQ(0, leave_secrets(self));
	ASSERT_EQ(0, card_bo_create(card->fd, PIECE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	ASSERT_EQ(0, fill_card(self, SECRET));
	EXPECT_EQ(DRM_QUIRE_PLACEMENT_SYSTEM, resident(card->fd, handle));
	EXPECT_EQ(0, wrong_words(card->fd, handle, PIECE, 0));
}

/* Whoever maps a fresh buffer under a job that runs shows that job nothing of others. */
TEST_F_TIMEOUT(migrate, running_job_does_not_see_what_a_fresh_buffer_will_be_cleared_of, 60)
{
	enum { COPIES = 64 };
	struct quire_packet_copy copies[COPIES];
	struct card *card = &self->card;
	struct bo busy, seen;
	uint64_t secrets = 0, point;
	uint32_t handle;

	ASSERT_EQ(0, card_buffer(card, PIECE, DRM_QUIRE_PLACEMENT_SYSTEM, &busy));
	ASSERT_EQ(0, card_buffer(card, PIECE, DRM_QUIRE_PLACEMENT_SYSTEM, &seen));
	memset(busy.map, 1, PIECE);
	memset(seen.map, 1, PIECE);
	ASSERT_EQ(0, leave_secrets(self));
	for (int i = 0; i < COPIES; i++)
		packet_copy(&copies[i], seen.va, i < COPIES / 2 ? busy.va : VA, PIECE);
	memcpy(card->stream.map, copies, sizeof(copies));
	ASSERT_EQ(0, card_submit(card, card->stream.va, sizeof(copies), &point));
	ASSERT_EQ(0, card_bo_create(card->fd, PIECE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle, VA, PIECE, 0));
	EXPECT_EQ(-ETIME, card_wait(card->fd, card->syncobj, point, 0));
	ASSERT_EQ(0, card_wait(card->fd, card->syncobj, point, 20000 * MS));
	for (uint64_t i = 0; i < PIECE / 8; i++)
		secrets += ((volatile uint64_t *)seen.map)[i] == SECRET;
	EXPECT_EQ(0, secrets);
}

TEST_F_TIMEOUT(migrate, fresh_buffer_holds_zeros_also_if_the_card_breaks_while_it_is_cleared, 120)
{
	struct card *card = &self->card;

	for (size_t i = 0; i < sizeof(injections) / sizeof(injections[0]) + 1; i++) {
		uint32_t handle;
		pid_t reset = 0;

		ASSERT_EQ(0, leave_secrets(self));
		ASSERT_EQ(0, card_bo_create(card->fd, PIECE, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
		if (i < sizeof(injections) / sizeof(injections[0])) {
			ASSERT_EQ(0, monitor_inject(injections[i],
						    strcmp(injections[i], "engine-hang") ? 1 : ~0u));
		} else {
			reset = fork();
			if (!reset) {
				sysfs_write(RESET, "1");
				_exit(0);
			}
		}
		EXPECT_EQ(0, wrong_words(card->fd, handle, PIECE, 0))
			TH_LOG("injection %zu", i);
		if (reset)
			waitpid(reset, NULL, 0);
		else
			ASSERT_EQ(0, monitor_inject(injections[i], 0));
		card_close_handle(card->fd, handle);
		ASSERT_EQ(0, come_back(card));
	}
}

TEST_HARNESS_MAIN
