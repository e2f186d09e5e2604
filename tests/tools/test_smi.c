// SPDX-License-Identifier: MIT
/*
 * quire-smi.  SMI_CARDS says how many cards there are (none without it): their
 * serial numbers are 1, 2, ..., as quire-vm gives them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"

static struct run r;

static size_t cards(void)
{
	const char *count = getenv("SMI_CARDS");

	return count ? strtoul(count, NULL, 10) : 0;
}

static json_object *report(const char *command)
{
	json_object *object;

	run(&r, command);
	if (r.status)
		fail_msg("%s: exit status %d: %s", command, r.status, r.err);
	object = run_json(&r);
	assert_true(is_string(object, "schema", "quire-smi/2"));
	return object;
}

/* ---- Without a card ---- */

static void no_card_exits_3_and_names_the_remedy(void **state)
{
	static const char *const commands[] = { "", "list", "info", "counters", "ps" };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		char command[64];

		snprintf(command, sizeof(command), "$T/quire-smi %s", commands[i]);
		run(&r, command);
		assert_int_equal(r.status, 3);
		assert_non_null(strstr(r.err, "quire-smi doctor"));
		assert_string_equal(r.out, "");
	}
}

static void json_without_a_card_is_an_empty_list(void **state)
{
	json_object *object;

	(void)state;
	run(&r, "$T/quire-smi --json");
	assert_int_equal(r.status, 3);
	object = run_json(&r);
	assert_true(is_string(object, "schema", "quire-smi/2"));
	assert_int_equal(json_object_array_length(at(object, "cards")), 0);
	json_object_put(object);
}

static void doctor_names_the_missing_card_first(void **state)
{
	json_object *object;

	(void)state;
	run(&r, "$T/quire-smi doctor --json");
	assert_int_equal(r.status, 3);
	object = run_json(&r);
	assert_int_equal(json_object_array_length(at(object, "checks")), 1);
	assert_true(is_string(object, "checks.0.check", "card"));
	assert_true(is_string(object, "checks.0.outcome", "failed"));
	assert_non_null(strstr(json_object_get_string(at(object, "checks.0.fix")), "-device quire"));
	json_object_put(object);
}

static void wrong_options_exit_2_and_say_why(void **state)
{
	(void)state;
	run(&r, "$T/quire-smi lst");
	assert_int_equal(r.status, 2);
	assert_non_null(strstr(r.err, "no command \"lst\""));
	run(&r, "$T/quire-smi list info");
	assert_int_equal(r.status, 2);
	run(&r, "$T/quire-smi --colour");
	assert_int_equal(r.status, 2);
}

static void help_and_version_exit_0(void **state)
{
	(void)state;
	run(&r, "$T/quire-smi --help");
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "doctor"));
	run(&r, "$T/quire-smi --version");
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "quire-smi 0.1.0\n");
}

/* ---- With cards ---- */

static bool is_integer(json_object *object, const char *path, int64_t value)
{
	json_object *found = at(object, path);

	return json_object_is_type(found, json_type_int) && json_object_get_int64(found) == value;
}

/* A card that nobody uses sleeps. */
static bool is_well(json_object *card)
{
	return is_string(card, "state", "ready") || is_string(card, "state", "asleep");
}

/* While a card sleeps nobody can tell, and one that nobody uses may fall asleep at any time. */
static bool is_warm_or_asleep(json_object *card)
{
	return is_null(card, "modelled_celsius") ||
	       json_object_get_double(at(card, "modelled_celsius")) > 0;
}

static void list_shows_every_card(void **state)
{
	json_object *object = report("$T/quire-smi list --json"), *rows = at(object, "cards");

	(void)state;
	assert_int_equal(json_object_array_length(rows), cards());
	for (size_t i = 0; i < cards(); i++) {
		json_object *row = json_object_array_get_idx(rows, i);
		char node[48];

		snprintf(node, sizeof(node), "/dev/accel/accel%zu", i);
		assert_true(is_integer(row, "index", (int64_t)i));
		assert_true(is_integer(row, "serial", (int64_t)i + 1));
		assert_true(is_integer(row, "card_memory_bytes", 256 << 20));
		assert_true(is_integer(row, "resets", 0));
		assert_true(is_string(row, "node", node));
		assert_true(is_well(row));
		assert_true(is_string(row, "firmware", "2.0.0"));
		assert_true(is_warm_or_asleep(row));
	}
	json_object_put(object);
}

static void info_tells_more(void **state)
{
	json_object *object = report("$T/quire-smi info --json"), *rows = at(object, "cards");

	(void)state;
	assert_int_equal(json_object_array_length(rows), cards());
	assert_true(is_integer(rows, "0.queues", 64));
	assert_true(is_integer(rows, "0.contexts", 32));
	assert_true(is_integer(rows, "0.interface_version", 2));
	assert_int_equal(!access("/sys/class/accel/accel0/device/iommu_group", F_OK),
			 !is_null(rows, "0.iommu_group"));
	assert_non_null(at(rows, "0.pci_link_speed"));
	json_object_put(object);
}

static void a_card_has_three_names(void **state)
{
	json_object *all = report("$T/quire-smi --json"), *object;
	size_t last = cards() - 1;
	char names[3][40], path[32], command[160];

	(void)state;
	snprintf(path, sizeof(path), "cards.%zu.pci_address", last);
	snprintf(names[0], sizeof(names[0]), "%zu", last);
	snprintf(names[1], sizeof(names[1]), "%s", json_object_get_string(at(all, path)));
	snprintf(names[2], sizeof(names[2]), "serial:%zu", last + 1);
	for (int i = 0; i < 3; i++) {
		snprintf(command, sizeof(command), "$T/quire-smi --json -d %s", names[i]);
		object = report(command);
		assert_int_equal(json_object_array_length(at(object, "cards")), 1);
		assert_true(is_integer(object, "cards.0.index", (int64_t)last));
		json_object_put(object);
	}
	run(&r, "$T/quire-smi -d 99");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.err, "\"99\""));
	json_object_put(all);
}

static void counters_count_a_product(void **state)
{
	json_object *before = report("$T/quire-smi counters --json -d 0"), *after;
	int64_t jobs, macs;

	(void)state;
	/* At least 3 runs of 16 x 16 x 16. */
	run(&r, "QUIRE_DEVICE=0 $T/quire-bench gemm -t 0 -f posit16 -s 16");
	assert_int_equal(r.status, 0);
	after = report("$T/quire-smi counters --json -d 0");
	jobs = json_object_get_int64(at(after, "cards.0.jobs")) -
	       json_object_get_int64(at(before, "cards.0.jobs"));
	macs = json_object_get_int64(at(after, "cards.0.macs_posit16")) -
	       json_object_get_int64(at(before, "cards.0.macs_posit16"));
	/* The driver's own jobs count, too: buffers are cleared by the card. */
	assert_true(macs >= 3 * 16 * 16 * 16);
	assert_int_equal(macs % (16 * 16 * 16), 0);
	assert_true(jobs >= macs / (16 * 16 * 16));
	assert_true(json_object_get_int64(at(after, "cards.0.modelled_pj")) >
		    json_object_get_int64(at(before, "cards.0.modelled_pj")));
	assert_true(is_integer(after, "cards.0.errors", 0));
	json_object_put(before);
	json_object_put(after);
}

/* Two descriptors of one open file in two processes are one user of the card. */
static void ps_shows_each_client_once(void **state)
{
	json_object *object = report("exec 3<>/dev/accel/accel0 4<&3; $T/quire-smi ps --json");

	(void)state;
	assert_int_equal(json_object_array_length(at(object, "processes")), 1);
	assert_true(is_integer(object, "processes.0.card", 0));
	assert_true(is_integer(object, "processes.0.jobs", 0));
	assert_true(is_integer(object, "processes.0.memory_bytes", 0));
	assert_true(json_object_get_int64(at(object, "processes.0.pid")) > 1);
	json_object_put(object);
	object = report("$T/quire-smi ps --json");
	assert_int_equal(json_object_array_length(at(object, "processes")), 0);
	json_object_put(object);
}

/* Nothing asked here waits for the engines: a job that takes seconds is on all of them. */
static void a_busy_card_answers(void **state)
{
	json_object *object;

	(void)state;
	/* longer where the kernel checks each access */
	run(&r, "limit=2; [ ! -e /proc/lockdep_stats ] || limit=20; "
		"QUIRE_DEVICE=0 $T/quire-bench gemm -t 10 -f posit16 -s 2048 >/dev/null & "
		"until timeout $limit $T/quire-smi ps | grep -q quire-bench; do sleep 0.2; done; sleep 2;"
		"timeout $limit $T/quire-smi info >/dev/null && timeout $limit $T/quire-smi ps --json;"
		"status=$?; kill $!; wait; exit $status");
	assert_int_equal(r.status, 0);
	object = run_json(&r);
	assert_true(is_string(object, "processes.0.command", "quire-bench"));
	/* Three matrices of 16-bit elements. */
	assert_true(json_object_get_int64(at(object, "processes.0.memory_bytes")) >=
		    3 * 2048 * 2048 * 2);
	json_object_put(object);
}

#define NOBODY "chmod 755 /root; setpriv --reuid 65534 --regid 65534 --clear-groups "

static void anybody_may_list_but_not_read_counters(void **state)
{
	json_object *object;

	(void)state;
	object = report("chmod 600 /dev/accel/accel0; " NOBODY "$T/quire-smi --json -d serial:1");
	assert_int_equal(json_object_array_length(at(object, "cards")), 1);
	assert_true(is_integer(object, "cards.0.serial", 1));
	assert_true(is_well(at(object, "cards.0")));
	/* On a busy machine the card has gone to sleep meanwhile, and is not woken for that. */
	assert_true(is_string(object, "cards.0.state", "asleep") ||
		    json_object_get_double(at(object, "cards.0.modelled_celsius")) > 0);
	json_object_put(object);
	run(&r, NOBODY "$T/quire-smi counters --json -d 0");
	assert_int_equal(r.status, 4);
	assert_non_null(strstr(r.err, "/dev/accel/accel0: permission denied"));
	object = run_json(&r);
	assert_true(is_null(object, "cards.0.jobs"));
	json_object_put(object);
	/* who may open the card still sees nothing of others */
	run(&r, "chmod 666 /dev/accel/accel0;" NOBODY "$T/quire-smi counters --json -d 0");
	assert_int_equal(r.status, 4);
	assert_non_null(strstr(r.err, "CAP_PERFMON"));
	object = run_json(&r);
	assert_true(is_null(object, "cards.0.jobs"));
	json_object_put(object);
	object = report(NOBODY "$T/quire-smi info --json -d 0");
	assert_true(is_integer(object, "cards.0.memory_losses", 0));
	json_object_put(object);
	run(&r, "chmod 600 /dev/accel/accel0;" NOBODY "$T/quire-smi doctor");
	assert_int_equal(r.status, 4);
	assert_non_null(strstr(r.out, "60-quire.rules"));
}

static void doctor_finds_nothing_wrong(void **state)
{
	json_object *object = report("$T/quire-smi doctor --json");

	(void)state;
	assert_int_equal(json_object_array_length(at(object, "checks")), 9);
	for (size_t i = 0; i < 8; i++)
		assert_true(is_string(json_object_array_get_idx(at(object, "checks"), i), "outcome",
				      "ok"));
	json_object_put(object);
}

static void doctor_finds_what_is_missing(void **state)
{
	(void)state;
	run(&r, "rmmod quire; $T/quire-smi doctor");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.out, "modprobe quire"));
	run(&r, "cd /lib/firmware/quire; mv fw-v1.bin away; modprobe quire; $T/quire-smi doctor");
	assert_int_equal(r.status, 5);
	assert_non_null(strstr(r.out, "fw-v1.bin: No such file"));
	run(&r, "cd /lib/firmware/quire; head -c 1000 away >fw-v1.bin; $T/quire-smi doctor");
	assert_int_equal(r.status, 5);
	assert_non_null(strstr(r.out, "truncated"));
	run(&r, "mv /lib/firmware/quire/away /lib/firmware/quire/fw-v1.bin;"
		"echo 0000:01:00.0 >/sys/bus/pci/drivers/quire/unbind; $T/quire-smi doctor");
	assert_int_equal(r.status, 5);
	assert_non_null(strstr(r.out, "does not drive"));
	run(&r, "modprobe -r quire; modprobe quire; $T/quire-smi doctor");
	assert_int_equal(r.status, 0);
}

int main(void)
{
	const struct CMUnitTest without[] = {
		cmocka_unit_test(no_card_exits_3_and_names_the_remedy),
		cmocka_unit_test(json_without_a_card_is_an_empty_list),
		cmocka_unit_test(doctor_names_the_missing_card_first),
		cmocka_unit_test(wrong_options_exit_2_and_say_why),
		cmocka_unit_test(help_and_version_exit_0),
	};
	const struct CMUnitTest with[] = {
		cmocka_unit_test(list_shows_every_card),
		cmocka_unit_test(info_tells_more),
		cmocka_unit_test(a_card_has_three_names),
		cmocka_unit_test(counters_count_a_product),
		cmocka_unit_test(ps_shows_each_client_once),
		cmocka_unit_test(a_busy_card_answers),
		cmocka_unit_test(anybody_may_list_but_not_read_counters),
		cmocka_unit_test(doctor_finds_nothing_wrong),
		cmocka_unit_test(doctor_finds_what_is_missing),
	};

	if (cards())
		return cmocka_run_group_tests_name("quire-smi, cards", with, NULL, NULL);
	return cmocka_run_group_tests_name("quire-smi, no card", without, NULL, NULL);
}
