// SPDX-License-Identifier: MIT
/* hwmon and debugfs: there, readable by whom they should be, and true. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

#define DEVICE "/sys/class/accel/accel0/device"
#define HWMON DEVICE "/hwmon/"

FIXTURE(look) {
	struct card card;
	char hwmon[128];
	char debugfs[128];
};

FIXTURE_SETUP(look)
{
	DIR *directory = opendir(HWMON);
	struct dirent *entry;
	char link[256] = "";

	ASSERT_EQ(true, readlink(DEVICE, link, sizeof(link) - 1) > 0);
	snprintf(self->debugfs, sizeof(self->debugfs), "/sys/kernel/debug/accel/%.32s/",
		 strrchr(link, '/') + 1);
	ASSERT_EQ(0, card_setup(&self->card, 0));
	ASSERT_NE(NULL, directory);
	while ((entry = readdir(directory)))
		if (!strncmp(entry->d_name, "hwmon", 5))
			snprintf(self->hwmon, sizeof(self->hwmon), HWMON "%.32s/", entry->d_name);
	closedir(directory);
}

FIXTURE_TEARDOWN(look)
{
	card_teardown(&self->card);
}

/* Contents of a file, empty if it cannot be read. */
static const char *text(const char *directory, const char *name)
{
	static char contents[1 << 18];
	char path[256];
	ssize_t got;
	size_t length = 0;
	int fd;

	snprintf(path, sizeof(path), "%s%s", directory, name);
	fd = open(path, O_RDONLY);
	while (fd >= 0 && (got = read(fd, contents + length, sizeof(contents) - 1 - length)) > 0)
		length += got;
	contents[length] = '\0';
	close(fd);
	return contents;
}

static unsigned int mode(const char *directory, const char *name)
{
	struct stat status;
	char path[256];

	snprintf(path, sizeof(path), "%s%s", directory, name);
	return stat(path, &status) ? 0 : status.st_mode & 0777;
}

/* Products enough for the model to see energy. */
static void work(struct card *card)
{
	struct quire_packet_gemm gemm;
	struct bo a;

	ASSERT_EQ(0, card_buffer(card, 1 << 20, DRM_QUIRE_PLACEMENT_CARD, &a));
	memset(a.map, 0, a.size);
	packet_gemm(&gemm, QUIRE_FORMAT_BF16, 256, 256, 256, a.va, a.va + (256 << 10),
		    a.va + (512 << 10));
	ASSERT_EQ(0, card_run(card, &gemm, sizeof(gemm)));
}

TEST_F(look, hwmon_says_that_it_is_modelled)
{
	EXPECT_STREQ("quire\n", text(self->hwmon, "name"));
	EXPECT_STREQ("modelled temperature\n", text(self->hwmon, "temp1_label"));
	EXPECT_STREQ("modelled power\n", text(self->hwmon, "power1_label"));
	EXPECT_STREQ("modelled energy\n", text(self->hwmon, "energy1_label"));
}

TEST_F(look, temperature_is_plausible)
{
	long millidegrees = atol(text(self->hwmon, "temp1_input"));

	EXPECT_GT(millidegrees, 10000);
	EXPECT_LT(millidegrees, 120000);
}

TEST_F(look, energy_grows_with_work_and_is_for_root)
{
	unsigned long long before = strtoull(text(self->hwmon, "energy1_input"), NULL, 10), after;

	work(&self->card);
	after = strtoull(text(self->hwmon, "energy1_input"), NULL, 10);
	EXPECT_GT(after, before);
	EXPECT_EQ(0400, mode(self->hwmon, "energy1_input"));
	EXPECT_EQ(0400, mode(self->hwmon, "power1_average"));
	EXPECT_EQ(0444, mode(self->hwmon, "temp1_input"));
}

/* Work in an interval shows in its mean, and the interval after it has none. */
TEST_F(look, power_is_a_mean_of_at_least_a_second)
{
	unsigned long long before, after, power;

	usleep(1100000);
	text(self->hwmon, "power1_average");
	before = strtoull(text(self->hwmon, "energy1_input"), NULL, 10);
	work(&self->card);
	usleep(1100000);
	power = strtoull(text(self->hwmon, "power1_average"), NULL, 10);
	after = strtoull(text(self->hwmon, "energy1_input"), NULL, 10);
	EXPECT_GT(power, 0);
	EXPECT_LE(power, after - before + 1);
	/* Asked again at once it is the same. */
	EXPECT_EQ(power, strtoull(text(self->hwmon, "power1_average"), NULL, 10));
	usleep(1100000);
	EXPECT_EQ(0, strtoull(text(self->hwmon, "power1_average"), NULL, 10));
}

TEST_F(look, debugfs_is_for_root)
{
	static const char *const names[] = { "fw_log", "registers", "queues", "rings",
					     "address_spaces", "memory" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		EXPECT_EQ(0400, mode(self->debugfs, names[i]))
			TH_LOG("%s", names[i]);
	}
}

TEST_F(look, registers_have_names_and_values)
{
	const char *registers = text(self->debugfs, "registers");

	EXPECT_NE(NULL, strstr(registers, "00000 ID               52495551\n"));
	EXPECT_NE(NULL, strstr(registers, "BOOT_STATUS      00000002\n"));
	EXPECT_NE(NULL, strstr(registers, "context 31: "));
	EXPECT_NE(NULL, strstr(registers, "counter 15: "));
}

TEST_F(look, queues_name_their_process)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "%6u %6d test_look", self->card.queue, getpid());
	EXPECT_NE(NULL, strstr(text(self->debugfs, "queues"), wanted));
}

TEST_F(look, name_of_a_process_makes_no_line_of_its_own)
{
	struct card card;

	ASSERT_EQ(0, prctl(PR_SET_NAME, "a\n0 b\033[31m\tc"));
	ASSERT_EQ(0, card_setup(&card, 0));
	EXPECT_NE(NULL, strstr(text(self->debugfs, "queues"), "a?0?b?[31m?c"));
	card_teardown(&card);
}

TEST_F(look, rings_show_jobs_and_their_records)
{
	char wanted[64];

	work(&self->card);
	snprintf(wanted, sizeof(wanted), "stream %012llx+", (unsigned long long)self->card.stream.va);
	EXPECT_NE(NULL, strstr(text(self->debugfs, "rings"), wanted));
	EXPECT_NE(NULL, strstr(text(self->debugfs, "rings"), " status 0 "));
}

TEST_F(look, address_spaces_show_mappings)
{
	char wanted[64];
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 64 << 10, DRM_QUIRE_PLACEMENT_CARD, &bo));
	snprintf(wanted, sizeof(wanted), "%012llx-%012llx rw card ", (unsigned long long)bo.va,
		 (unsigned long long)(bo.va + bo.size - 1));
	EXPECT_NE(NULL, strstr(text(self->debugfs, "address_spaces"), wanted));
}

TEST_F(look, memory_shows_each_place)
{
	const char *memory = text(self->debugfs, "memory");

	EXPECT_NE(NULL, strstr(memory, "card:\n"));
	EXPECT_NE(NULL, strstr(memory, "system:\n"));
}

TEST_F(look, firmware_log_has_lines_of_the_boot)
{
	const char *log = text(self->debugfs, "fw_log");

	EXPECT_NE(NULL, strchr(log, '\n'));
	EXPECT_EQ(strlen(log), strspn(log, "\n\t !\"#$%&'()*+,-./0123456789:;<=>?@"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"));
}

#define TRACING "/sys/kernel/debug/tracing/"

static void write_text(const char *path, const char *words)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, words, strlen(words)) < 0)
		perror(path);
	close(fd);
}

/* Each event names the card, and those of jobs the process. */
TEST_F(look, trace_names_card_process_and_times)
{
	const char *card = strrchr(self->debugfs, '0') - 11, *trace, *line;
	char wanted[96];
	struct bo bo;

	if (access(TRACING "events/quire/enable", W_OK))
		SKIP(return, "this kernel has no tracing");
	write_text(TRACING "trace", "");
	write_text(TRACING "events/quire/enable", "1");
	ASSERT_EQ(0, card_buffer(&self->card, 64 << 10, DRM_QUIRE_PLACEMENT_CARD, &bo));
	work(&self->card);
	write_text(TRACING "events/quire/enable", "0");
	trace = text(TRACING, "trace");
	snprintf(wanted, sizeof(wanted), "quire_job_submit: %.12s test_look[%d] ", card, getpid());
	EXPECT_NE(NULL, strstr(trace, wanted));
	snprintf(wanted, sizeof(wanted), "quire_job_done: %.12s test_look[%d] job=1 ", card, getpid());
	line = strstr(trace, wanted);
	ASSERT_NE(NULL, line);
	line = strstr(line, "busy_ns=");
	ASSERT_NE(NULL, line);
	EXPECT_GT(atoll(line + 8), 0);
	snprintf(wanted, sizeof(wanted), "quire_slot_lend: %.12s test_look[%d] ", card, getpid());
	EXPECT_NE(NULL, strstr(trace, wanted));
	snprintf(wanted, sizeof(wanted), "quire_bind_run: %.12s ", card);
	EXPECT_NE(NULL, strstr(trace, wanted));
	snprintf(wanted, sizeof(wanted), "quire_move: %.12s bytes=65536 from=-1 to=2 evict=0 result=0",
		 card);
	EXPECT_NE(NULL, strstr(trace, wanted));
	snprintf(wanted, sizeof(wanted), "quire_mailbox: %.12s command=1 ", card);
	EXPECT_NE(NULL, strstr(trace, wanted));
}

static int error_of(const char *directory, const char *name)
{
	char path[256], byte;
	int fd, error;

	snprintf(path, sizeof(path), "%s%s", directory, name);
	fd = open(path, O_RDONLY);
	error = fd < 0 || read(fd, &byte, 1) < 0 ? errno : 0;
	close(fd);
	return error;
}

/* A card without work sleeps after a moment; reading neither wakes it nor gets all ones. */
TEST_F(look, sleeping_card_is_left_asleep)
{
	for (int i = 0; i < 100 * test_patience() &&
	     strcmp("asleep\n", text(DEVICE, "/quire/state")); i++)
		usleep(100000);
	ASSERT_STREQ("asleep\n", text(DEVICE, "/quire/state"));
	EXPECT_EQ(ENODEV, error_of(self->debugfs, "registers"));
	EXPECT_EQ(ENODEV, error_of(self->debugfs, "fw_log"));
	EXPECT_EQ(0, error_of(self->debugfs, "queues"));
	EXPECT_EQ(ENODATA, error_of(self->hwmon, "temp1_input"));
	EXPECT_EQ(0, error_of(self->hwmon, "energy1_input"));
	EXPECT_EQ(0, error_of(self->hwmon, "power1_average"));
	EXPECT_STREQ("asleep\n", text(DEVICE, "/quire/state"));
	work(&self->card);
	EXPECT_EQ(0, error_of(self->debugfs, "registers"));
}

TEST_HARNESS_MAIN
