// SPDX-License-Identifier: MIT
/*
 * quire-repro: exact modes have one result, sums in FP32 have several, and the report
 * counts them rightly.  With REPRO_CARDS (a number) it must have run on so many cards.
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

static unsigned int cards(void)
{
	const char *number = getenv("REPRO_CARDS");

	return number ? (unsigned int)atoi(number) : 0;
}

/* One report for all that look at it. */
static json_object *report(void)
{
	static json_object *object;

	if (object)
		return object;
	run(&r, cards() ? "$T/quire-repro --shape 20x300x12 --json" :
			  "$T/quire-repro --shape 20x300x12 --json --backend cpu");
	if (r.status)
		fail_msg("exit status %d: %s", r.status, r.err);
	object = run_json(&r);
	return object;
}

/* Distinct digests among the runs of a mode, counted here. */
static size_t count_distinct(json_object *runs, const char *mode, size_t *all)
{
	const char *seen[256];
	size_t distinct = 0;

	*all = 0;
	for (size_t i = 0; i < json_object_array_length(runs); i++) {
		json_object *run = json_object_array_get_idx(runs, i);
		const char *digest = json_object_get_string(at(run, "digest"));
		size_t earlier = 0;

		if (!is_string(run, "mode", mode))
			continue;
		++*all;
		while (earlier < distinct && strcmp(seen[earlier], digest))
			earlier++;
		if (earlier == distinct)
			seen[distinct++] = digest;
	}
	return distinct;
}

static void exact_modes_have_one_result(void **state)
{
	static const char *const exact[] = { "posit16 exact", "posit32 exact", "bf16 exact",
					     "bf16 fp32, order as specified" };
	json_object *object = report(), *rows = at(object, "results");

	(void)state;
	assert_true(is_string(object, "schema", "quire-repro/1"));
	assert_int_equal(json_object_array_length(at(object, "devices")), cards() + 1);
	for (size_t i = 0; i < 4; i++) {
		json_object *row = json_object_array_get_idx(rows, i);
		size_t all;

		assert_true(is_string(row, "mode", exact[i]));
		assert_int_equal(json_object_get_int64(at(row, "distinct")), 1);
		assert_int_equal(count_distinct(at(object, "runs"), exact[i], &all), 1);
		assert_int_equal(json_object_get_int64(at(row, "runs")), all);
		/* Six threadings and kernels at least, and five ways on every device. */
		assert_true(all >= 6 + 5 * (cards() + 1));
	}
}

static void sums_in_fp32_have_several(void **state)
{
	static const char *const ordered[] = { "bf16 fp32, k permuted", "FP32 sums on the host" };
	json_object *object = report(), *rows = at(object, "results");

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		json_object *row = json_object_array_get_idx(rows, 4 + i);
		size_t all, distinct = count_distinct(at(object, "runs"), ordered[i], &all);

		assert_true(is_string(row, "mode", ordered[i]));
		assert_true(distinct > 1);
		assert_int_equal(json_object_get_int64(at(row, "distinct")), distinct);
		assert_true(json_object_get_double(at(row, "differing_percent")) > 20);
	}
}

/*
 * The specified order of mode fp32 is the sequential one, and products of BF16 are
 * exact in FP32: the card must give what a plain loop on the host gives.
 */
static void specified_order_is_the_sequential_one(void **state)
{
	json_object *object = report(), *runs = at(object, "runs");
	const char *specified = NULL, *sequential = NULL;

	(void)state;
	for (size_t i = 0; i < json_object_array_length(runs); i++) {
		json_object *run = json_object_array_get_idx(runs, i);

		if (is_string(run, "mode", "bf16 fp32, order as specified"))
			specified = json_object_get_string(at(run, "digest"));
		if (is_string(run, "run", "FP32, sequential"))
			sequential = json_object_get_string(at(run, "digest"));
	}
	assert_non_null(specified);
	assert_non_null(sequential);
	assert_string_equal(specified, sequential);
}

static void text_and_csv_have_the_same_rows(void **state)
{
	unsigned int lines = 0;

	(void)state;
	run(&r, "$T/quire-repro --shape 5x33x3 --csv --backend cpu");
	assert_int_equal(r.status, 0);
	assert_memory_equal(r.out, "mode,runs,distinct,differing_percent,verdict,digest\n", 52);
	assert_non_null(strstr(r.out, "\n\"bf16 fp32, order as specified\","));
	for (const char *c = r.out; *c; c++)
		lines += *c == '\n';
	assert_in_range(lines, 8, 9);
	run(&r, "$T/quire-repro --shape 5x33x3 --backend cpu");
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "posit16 exact"));
	assert_non_null(strstr(r.out, "depends on order"));
	run(&r, "$T/quire-repro --shape 5x33x3 --backend cpu --runs");
	assert_non_null(strstr(r.out, "cpu, 7 parts of k chained, shuffled"));
}

static void wrong_options_exit_2_and_say_why(void **state)
{
	static const char *const wrong[][2] = {
		{ "$T/quire-repro --shape 64x64", "--shape is \"64x64\"" },
		{ "$T/quire-repro --shape 0x1x1", "--shape" },
		{ "$T/quire-repro --shape 1024x1x1024", "2^18" },
		{ "$T/quire-repro --backend null", "must be auto, card or cpu" },
		{ "$T/quire-repro --seed x", "--seed is \"x\"" },
		{ "$T/quire-repro more", "unexpected \"more\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		run(&r, wrong[i][0]);
		if (r.status != 2 || !strstr(r.err, wrong[i][1]))
			fail_msg("%s: exit status %d: %s", wrong[i][0], r.status, r.err);
	}
}

static void missing_cards_exit_3(void **state)
{
	(void)state;
	if (cards())
		return; /* they are there */
	run(&r, "$T/quire-repro --backend card --shape 1x1x1");
	assert_int_equal(r.status, 3);
	assert_string_equal(r.out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_modes_have_one_result),
		cmocka_unit_test(sums_in_fp32_have_several),
		cmocka_unit_test(specified_order_is_the_sequential_one),
		cmocka_unit_test(text_and_csv_have_the_same_rows),
		cmocka_unit_test(wrong_options_exit_2_and_say_why),
		cmocka_unit_test(missing_cards_exit_3),
	};

	return cmocka_run_group_tests_name("quire-repro", tests, NULL, NULL);
}
