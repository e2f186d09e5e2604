// SPDX-License-Identifier: MIT
/*
 * quire-bench: what its reports contain and how it fails.  BENCH_BACKEND is the
 * backend to run on; figures themselves are not looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run.h"

static struct run r;

static const char *backend(void)
{
	const char *name = getenv("BENCH_BACKEND");

	return name ? name : "cpu";
}

static json_object *report(const char *arguments)
{
	char command[256];
	json_object *object;

	snprintf(command, sizeof(command), "$T/quire-bench %s --json --seconds 0 --backend %s",
		 arguments, backend());
	run(&r, command);
	if (r.status)
		fail_msg("%s: exit status %d: %s", command, r.status, r.err);
	object = run_json(&r);
	assert_true(is_string(object, "schema", "quire-bench/1"));
	assert_true(json_object_get_int64(at(object, "peak_resident_kib")) > 0);
	assert_true(json_object_get_int64(at(object, "machine.processors")) > 0);
	at(object, "machine.clocksource");
	return object;
}

static void check_statistics(json_object *row)
{
	double minimum = json_object_get_double(at(row, "minimum_us"));
	double median = json_object_get_double(at(row, "median_us"));
	double p99 = json_object_get_double(at(row, "p99_us"));

	assert_true(json_object_get_int64(at(row, "runs")) >= 3);
	assert_true(minimum >= 0);
	assert_true(minimum <= median);
	assert_true(median <= p99);
}

static void gemm_reports_each_format_and_size(void **state)
{
	json_object *object = report("gemm --formats posit16,bf16 --sizes 8,16"), *rows;

	(void)state;
	assert_true(is_string(object, "command", "gemm"));
	assert_true(is_string(object, "device.backend", backend()));
	rows = at(object, "results");
	assert_int_equal(json_object_array_length(rows), 4);
	for (size_t i = 0; i < 4; i++) {
		json_object *row = json_object_array_get_idx(rows, i);

		check_statistics(row);
		assert_true(json_object_get_double(at(row, "gmacs_per_s")) > 0);
		assert_int_equal(strlen(json_object_get_string(at(row, "digest"))), 16);
		assert_int_equal(json_object_get_int64(at(row, "size")), i % 2 ? 16 : 8);
		assert_true(is_string(row, "format", i < 2 ? "posit16" : "bf16"));
	}
	json_object_put(object);
}

static void gemm_peer_gives_the_same_digest(void **state)
{
	json_object *object, *rows;
	const char *digest;

	(void)state;
	if (!strcmp(backend(), "null"))
		return;	/* see a_wrong_digest_exits_7() */
	object = report("gemm --formats posit16 --sizes 16 --peer");
	rows = at(object, "results");
	assert_int_equal(json_object_array_length(rows), 3);
	digest = json_object_get_string(at(rows, "0.digest"));
	assert_true(is_string(rows, "1.where", "local"));
	assert_true(is_string(rows, "1.digest", digest));
	assert_true(json_object_get_double(at(rows, "2.ratio_to_local")) > 0);
	json_object_put(object);
}

/* The backend null computes nothing: a device whose results are wrong. */
static void a_wrong_digest_exits_7(void **state)
{
	(void)state;
	run(&r, "$T/quire-bench gemm -b null -f posit16 -s 16 -t 0 --peer");
	assert_int_equal(r.status, 7);
	assert_non_null(strstr(r.err, "digests differ"));
	assert_string_equal(r.out, "");
}

static void gemm_local_needs_no_device(void **state)
{
	json_object *object;

	(void)state;
	run(&r, "$T/quire-bench gemm --local --formats fp32 --sizes 8 --seconds 0 --json");
	assert_int_equal(r.status, 0);
	object = run_json(&r);
	assert_true(is_null(object, "device"));
	assert_true(is_string(object, "results.0.where", "local"));
	json_object_put(object);
}

static void tiled_sets_each_product_beside_the_dense_one(void **state)
{
	json_object *object, *rows;
	unsigned int ratios = 0, rates = 0;

	(void)state;
	if (!strcmp(backend(), "null"))
		return;	/* it packs nothing, so that nothing can be read */
	object = report("tiled --sizes 64 --tau 1e-2");
	rows = at(object, "results");
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i);

		check_statistics(row);
		assert_int_equal(json_object_get_int64(at(row, "size")), 64);
		ratios += json_object_object_get_ex(row, "ratio_to_dense", NULL);
		rates += json_object_object_get_ex(row, "gb_per_s_of_fp32", NULL);
	}
	assert_int_equal(ratios, 4);
	assert_int_equal(rates, 4);
	assert_true(json_object_get_double(at(rows, "0.ratio_to_dense")) == 1);
	json_object_put(object);
}

static void copy_reports_each_direction(void **state)
{
	static const char *const directions[] = {
		"system_to_card", "card_to_system", "card_to_card",
		"system_to_card", "card_to_system", "system_to_system",
	};
	json_object *object = report("copy --sizes 4K"), *rows;

	(void)state;
	rows = at(object, "results");
	assert_int_equal(json_object_array_length(rows), 6);
	for (size_t i = 0; i < 6; i++) {
		json_object *row = json_object_array_get_idx(rows, i);

		check_statistics(row);
		assert_true(is_string(row, "by", i < 3 ? backend() : "map"));
		assert_true(is_string(row, "direction", directions[i]));
		assert_int_equal(json_object_get_int64(at(row, "bytes")), 4096);
		assert_true(json_object_get_double(at(row, "gb_per_s")) > 0);
	}
	json_object_put(object);
}

static void submit_reports_jobs_and_calls(void **state)
{
	static const char *const what[] = {
		"empty_job", "fill_job", "empty_job_batch_32", "empty_job_depth_1",
		"empty_job_depth_4", "empty_job_depth_32", "info_ioctl", "null_ioctl", "getppid",
	};
	bool card = !strcmp(backend(), "card");
	json_object *object = report("submit"), *rows;
	size_t row = 0;

	(void)state;
	rows = at(object, "results");
	for (size_t i = 0; i < 9; i++) {
		json_object *found;

		if (!card && (i == 6 || i == 7))
			continue;	/* no driver to call */
		found = json_object_array_get_idx(rows, row++);
		assert_true(is_string(found, "what", what[i]));
		check_statistics(found);
		assert_true(json_object_get_double(at(found, "per_s")) > 0);
	}
	assert_int_equal(json_object_array_length(rows), row);
	json_object_put(object);
}

static void memory_reports_the_calls_of_the_driver(void **state)
{
	static const char *const what[] = {
		"null_ioctl", "map_unmap", "map_unmap", "create_map_free", "map_unmap",
		"map_unmap", "create_map_free", "create_free", "create_evicting",
	};
	json_object *object, *rows;

	(void)state;
	if (strcmp(backend(), "card"))
		return;		/* no driver to call */
	object = report("memory");
	rows = at(object, "results");
	assert_int_equal(json_object_array_length(rows), 9);
	for (size_t i = 0; i < 9; i++) {
		json_object *row = json_object_array_get_idx(rows, i);

		assert_true(is_string(row, "what", what[i]));
		check_statistics(row);
	}
	json_object_put(object);
}

/* The rows whose "what" is ; each must have the keys, separated by spaces. */
static size_t count_rows(json_object *rows, const char *what, const char *keys)
{
	size_t count = 0;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i);
		char list[256], *key, *rest = list;

		if (!is_string(row, "what", what))
			continue;
		snprintf(list, sizeof(list), "%s", keys);
		while ((key = strtok_r(rest, " ", &rest)))
			at(row, key);
		count++;
	}
	return count;
}

static void numerics_reports_every_comparison(void **state)
{
	json_object *object = report("numerics --quick"), *rows = at(object, "results"), *row;
	size_t products = count_rows(rows, "product", "format mode data kernel threads n clock "
				     "peer peer_core peer_gmacs_per_s ratio_to_peer asked_ratio");

	(void)state;
	assert_true(is_string(object, "command", "numerics"));
	at(object, "openblas");
	at(object, "kernel");
	at(object, "machine.cpu");
	/* six kinds, on one thread and on all; five by the AVX2 kernel where there is one */
	assert_true(products == 12 || products == 17);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		if (!is_string(row, "what", "product"))
			continue;
		check_statistics(row);
		assert_true(json_object_get_double(at(row, "gmacs_per_s")) > 0);
	}
	assert_int_equal(count_rows(rows, "patterns_to_normal", "format ratio_to_normal"), 2);
	assert_int_equal(count_rows(rows, "scaling", "format threads efficiency"), 4);
	assert_int_equal(count_rows(rows, "plain_loop", "format ratio_to_plain"), 4);
	assert_int_equal(count_rows(rows, "shares", "format packing_share"), 4);
	assert_int_equal(count_rows(rows, "conversion", "from to ratio_to_memcpy"), 6);
	assert_int_equal(count_rows(rows, "memory", "format growth_bytes ratio_to_packed"), 1);
	json_object_put(object);
}

static void numerics_pairs_reports_every_pair(void **state)
{
	json_object *object = report("numerics --pairs --seconds 0"), *rows = at(object, "results");

	(void)state;
	/* thirteen formats */
	assert_int_equal(count_rows(rows, "conversion_pair", "from to kernel ns_per_element"), 169);
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		check_statistics(json_object_array_get_idx(rows, i));
	json_object_put(object);
}

static void text_is_a_table_of_the_same_rows(void **state)
{
	(void)state;
	run(&r, "$T/quire-bench gemm --local --formats fp32 --sizes 8 --seconds 0");
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "median_us"));
	assert_non_null(strstr(r.out, "local"));
}

static void wrong_options_exit_2_and_say_why(void **state)
{
	static const char *const wrong[][2] = {
		{ "$T/quire-bench", "a command is needed" },
		{ "$T/quire-bench gem", "no command \"gem\"" },
		{ "$T/quire-bench gemm --sizes 0", "--sizes is \"0\"" },
		{ "$T/quire-bench gemm --sizes 64,,64", "--sizes" },
		{ "$T/quire-bench gemm --formats posit17b", "unknown format" },
		{ "$T/quire-bench tiled --sizes 100", "--sizes is \"100\"" },
		{ "$T/quire-bench tiled --tau 0", "--tau is \"0\"" },
		{ "$T/quire-bench copy --sizes 4X", "--sizes is \"4X\"" },
		{ "$T/quire-bench submit --seconds -1", "--seconds is \"-1\"" },
		{ "$T/quire-bench numerics --threads x", "--threads is \"x\"" },
		{ "$T/quire-bench submit more", "unexpected \"more\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		run(&r, wrong[i][0]);
		if (r.status != 2 || !strstr(r.err, wrong[i][1]))
			fail_msg("%s: exit status %d: %s", wrong[i][0], r.status, r.err);
	}
}

static void a_missing_card_exits_3(void **state)
{
	(void)state;
	run(&r, "env -u QUIRE_BACKEND $T/quire-bench submit --device 77");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.err, "no Quire card"));
	assert_string_equal(r.out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gemm_reports_each_format_and_size),
		cmocka_unit_test(gemm_peer_gives_the_same_digest),
		cmocka_unit_test(a_wrong_digest_exits_7),
		cmocka_unit_test(gemm_local_needs_no_device),
		cmocka_unit_test(tiled_sets_each_product_beside_the_dense_one),
		cmocka_unit_test(copy_reports_each_direction),
		cmocka_unit_test(submit_reports_jobs_and_calls),
		cmocka_unit_test(memory_reports_the_calls_of_the_driver),
		cmocka_unit_test(numerics_reports_every_comparison),
		cmocka_unit_test(numerics_pairs_reports_every_pair),
		cmocka_unit_test(text_is_a_table_of_the_same_rows),
		cmocka_unit_test(wrong_options_exit_2_and_say_why),
		cmocka_unit_test(a_missing_card_exits_3),
	};

	return cmocka_run_group_tests_name("quire-bench", tests, NULL, NULL);
}
