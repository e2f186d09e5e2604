// SPDX-License-Identifier: MIT
/* What the driver leaves when a job fails or the card is reset, read with quire-dump. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "card.h"
#include "dumps.h"
#include "harness.h"
#include "monitor.h"

#define NOWHERE 0x654321000ull
#define LIMIT_MS 500

FIXTURE(coredump) {
	struct card card;
	json_object *dump;
};

/* Value of the register with this name. */
static unsigned long long reg(json_object *dump, const char *name)
{
	json_object *registers = json_object_object_get(dump, "registers");

	for (size_t i = 0; i < json_object_array_length(registers); i++) {
		json_object *entry = json_object_array_get_idx(registers, i);

		if (!strcmp(dump_word(entry, "/name"), name))
			return strtoull(dump_word(entry, "/value"), NULL, 16);
	}
	return ~0ull;
}

FIXTURE_SETUP(coredump)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, LIMIT_MS));
	/* One a second at most. */
	usleep(1100000);
	if (*dump_kept())
		json_object_put(dump_take());
	ASSERT_STREQ("", dump_kept());
	self->dump = NULL;
}

FIXTURE_TEARDOWN(coredump)
{
	json_object_put(self->dump);
	card_teardown(&self->card);
	monitor_close();
}

/* A job whose second packet reads where nothing is. */
static void fault(struct card *card)
{
	struct {
		struct quire_packet_fill fill;
		struct quire_packet_copy copy;
	} stream;

	packet_fill(&stream.fill, card->stream.va + 2 * PAGE, 64, 1);
	packet_copy(&stream.copy, card->stream.va + PAGE, NOWHERE, 64);
	ASSERT_NE(0, card_run(card, &stream, sizeof(stream)));
}

TEST_F(coredump, fault_tells_job_process_and_packet)
{
	char text[32];

	fault(&self->card);
	self->dump = dump_take();
	ASSERT_NE(NULL, self->dump);
	EXPECT_STREQ("1", dump_word(self->dump, "/reason"));
	EXPECT_STREQ("MMU_FAULT", dump_word(self->dump, "/cause/status_name"));
	EXPECT_STREQ("unmapped", dump_word(self->dump, "/cause/fault_reason"));
	EXPECT_STREQ("source", dump_word(self->dump, "/cause/fault_unit"));
	EXPECT_STREQ("0x654321000", dump_word(self->dump, "/cause/fault_address"));
	EXPECT_STREQ("1", dump_word(self->dump, "/cause/job"));
	EXPECT_STREQ("test_coredump", dump_word(self->dump, "/cause/command"));
	snprintf(text, sizeof(text), "%d", getpid());
	EXPECT_STREQ(text, dump_word(self->dump, "/cause/pid"));
	EXPECT_STREQ("FILL", dump_word(self->dump, "/packets/0/name"));
	EXPECT_STREQ("false", dump_word(self->dump, "/packets/0/failed"));
	EXPECT_STREQ("COPY", dump_word(self->dump, "/packets/1/name"));
	EXPECT_STREQ("true", dump_word(self->dump, "/packets/1/failed"));
	EXPECT_STREQ("0x654321000", dump_word(self->dump, "/packets/1/source"));
}

TEST_F(coredump, fault_tells_mappings_walk_ring_and_queues)
{
	struct bo bo;
	char text[32];

	ASSERT_EQ(0, card_buffer(&self->card, 3 * PAGE, DRM_QUIRE_PLACEMENT_CARD, &bo));
	fault(&self->card);
	self->dump = dump_take();
	ASSERT_NE(NULL, self->dump);
	snprintf(text, sizeof(text), "%#llx", (unsigned long long)bo.va);
	EXPECT_STREQ(text, dump_word(self->dump, "/mappings/1/address"));
	EXPECT_STREQ("12288", dump_word(self->dump, "/mappings/1/bytes"));
	EXPECT_STREQ("true", dump_word(self->dump, "/mappings/1/on_card"));
	EXPECT_STREQ("false", dump_word(self->dump, "/mappings/0/on_card"));
	EXPECT_STREQ("3", dump_word(self->dump, "/walk/0/level"));
	EXPECT_STREQ("table in system memory", dump_word(self->dump, "/walk/0/flags"));
	EXPECT_STREQ("1", dump_word(self->dump, "/ring/0/sequence"));
	EXPECT_STREQ("MMU_FAULT", dump_word(self->dump, "/records/0/status_name"));
	EXPECT_STREQ("true", dump_word(self->dump, "/queues/0/cause"));
	EXPECT_STREQ("true", dump_word(self->dump, "/queues/0/banned"));
	EXPECT_EQ(QUIRE_ID_VALUE, reg(self->dump, "ID"));
	EXPECT_EQ(QUIRE_BOOT_READY, reg(self->dump, "BOOT_STATUS"));
}

TEST_F(coredump, the_first_is_kept_until_it_is_released)
{
	struct quire_packet_fill bad;
	struct card other;

	fault(&self->card);
	ASSERT_EQ(0, card_setup(&other, 0));
	usleep(1100000);
	packet_fill(&bad, other.stream.va + PAGE, 64, 1);
	bad.bytes = 3;
	ASSERT_NE(0, card_run(&other, &bad, sizeof(bad)));
	usleep(300000);
	self->dump = dump_take();
	EXPECT_STREQ("MMU_FAULT", dump_word(self->dump, "/cause/status_name"));
	card_teardown(&other);

	ASSERT_EQ(0, card_setup(&other, 0));
	usleep(1100000);
	packet_fill(&bad, other.stream.va + PAGE, 64, 1);
	bad.bytes = 3;
	ASSERT_NE(0, card_run(&other, &bad, sizeof(bad)));
	json_object_put(self->dump);
	self->dump = dump_take();
	EXPECT_STREQ("BAD_PACKET", dump_word(self->dump, "/cause/status_name"));
	EXPECT_STREQ("bytes", dump_word(self->dump, "/packets/0/wrong_field"));
	card_teardown(&other);
}

TEST_F(coredump, only_root_reads_it)
{
	struct stat status;

	fault(&self->card);
	for (int i = 0; i < 100 * test_patience() && !*dump_kept(); i++)
		usleep(100000);
	ASSERT_EQ(0, stat(dump_kept(), &status));
	EXPECT_EQ(0600, status.st_mode & 0777);
	EXPECT_EQ(0, status.st_uid);
}

TEST_F(coredump, job_over_its_limit_leaves_one)
{
	uint64_t point;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 20000 * MS));
	self->dump = dump_take();
	ASSERT_NE(NULL, self->dump);
	EXPECT_STREQ("2", dump_word(self->dump, "/reason"));
	EXPECT_STREQ("CANCELLED", dump_word(self->dump, "/cause/status_name"));
	EXPECT_STREQ("GEMM", dump_word(self->dump, "/packets/0/name"));
}

TEST_F(coredump, crash_of_the_firmware_leaves_one)
{
	uint64_t point;
	uint32_t bytes;

	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 60000 * MS));
	self->dump = dump_take();
	ASSERT_NE(NULL, self->dump);
	EXPECT_STREQ("3", dump_word(self->dump, "/reason"));
	EXPECT_STREQ("the firmware crashed", dump_word(self->dump, "/cause/text"));
	EXPECT_EQ(QUIRE_BOOT_CRASHED, reg(self->dump, "BOOT_STATUS"));
	EXPECT_NE(0, reg(self->dump, "PANIC_CAUSE"));
}

/* Lines of the kernel's log since the last look that say so. */
static unsigned int logged(int log, const char *text)
{
	unsigned int lines = 0;
	char line[1024];

	for (ssize_t got; (got = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE;) {
		line[got > 0 ? got : 0] = '\0';
		lines += strstr(line, text) != NULL;
	}
	return lines;
}

/* Any process may have a job fail; why the card was reset is seen all the same. */
TEST_F(coredump, dump_of_a_reset_takes_the_place_of_one_of_a_job)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	struct card other;
	char first[128];
	uint64_t point;
	uint32_t bytes;

	ASSERT_GE(log, 0);
	logged(log, "");
	ASSERT_EQ(0, card_setup(&other, 0));
	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	fault(&other);
	for (int i = 0; i < 100 * test_patience() && !*dump_kept(); i++)
		usleep(100000);
	snprintf(first, sizeof(first), "%s", dump_kept());
	ASSERT_STRNE("", first);
	EXPECT_EQ(1, logged(log, "core dump of a job that failed left"));

	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
	ASSERT_EQ(0, monitor_inject("crash-firmware", 1));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 60000 * MS));
	for (int i = 0; i < 30 * test_patience() && !strcmp(first, dump_kept()); i++)
		usleep(100000);
	EXPECT_EQ(1, logged(log, "core dump of a reset left"));

	/* And stays. */
	usleep(1100000);
	card_teardown(&other);
	ASSERT_EQ(0, card_setup(&other, 0));
	fault(&other);
	usleep(500000);
	EXPECT_EQ(1, logged(log, "core dump dropped"));
	self->dump = dump_take();
	ASSERT_NE(NULL, self->dump);
	EXPECT_STREQ("3", dump_word(self->dump, "/reason"));
	card_teardown(&other);
	close(log);
}

TEST_HARNESS_MAIN
