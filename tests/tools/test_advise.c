// SPDX-License-Identifier: MIT
/*
 * quire-advise as a user runs it: the figures it must reach, budgets, maps, errors.
 * That its certificate is right is tested with rationals in tests/unit.
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

static json_object *advise(const char *arguments)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && $T/quire-advise --json %s", getenv("ADVISE_WORK"),
		 arguments);
	run(&r, command);
	if (r.status)
		fail_msg("%s: exit status %d: %s", command, r.status, r.err);
	return run_json(&r);
}

static double number(json_object *object, const char *path)
{
	return json_object_get_double(at(object, path));
}

/* Issue 4: at most these bytes per element, descriptors included, certified. */
static void figures(void **state)
{
	static const struct { const char *arguments; double bytes; } wanted[] = {
		{ "matern --tau 1e-2", 0.24 },
		{ "matern --tau 1e-4", 0.62 },
		{ "rbf:$QUIRE_DATA/digits.csv.gz --tau 1e-2", 1.04 },
		{ "rbf:$QUIRE_DATA/digits.csv.gz --tau 1e-4", 1.92 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		json_object *object = advise(wanted[i].arguments);

		assert_true(is_string(object, "schema", "quire-advise/1"));
		assert_true(json_object_get_boolean(at(object, "certified")));
		assert_true(number(object, "relative_error") <= number(object, "budget_value"));
		if (number(object, "bytes_per_element_with_descriptors") > wanted[i].bytes)
			fail_msg("%s: %g bytes per element", wanted[i].arguments,
				 number(object, "bytes_per_element_with_descriptors"));
		assert_true(json_object_get_boolean(at(object, "covariance.definite")));
		json_object_put(object);
	}
}

/* 64 x 64 numbers: top left tile large, top right small, the rest zero. */
static void write_blocks(void)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/blocks.csv", getenv("ADVISE_WORK"));
	file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 64 * 64; i++) {
		int row = i / 64, column = i % 64;
		double value = row >= 32 ? 0 : (column < 32 ? 1000 : 0.001) * (1 + i % 7 / 10.0);

		fprintf(file, "%g%c", value, column == 63 ? '\n' : ',');
	}
	fclose(file);
}

static void empty_tiles_are_not_stored(void **state)
{
	json_object *object;

	(void)state;
	write_blocks();
	object = advise("blocks.csv --tau 1e-3");
	assert_int_equal(number(object, "widths.0.bits"), 0);
	assert_int_equal(number(object, "widths.0.tiles"), 3);
	assert_int_equal(json_object_array_length(at(object, "widths")), 2);
	assert_true(is_null(object, "covariance"));
	json_object_put(object);
}

static void calibration_moves_bits_to_columns_that_matter(void **state)
{
	char path[512];
	json_object *object;
	FILE *file;

	(void)state;
	write_blocks();
	snprintf(path, sizeof(path), "%s/inputs.csv", getenv("ADVISE_WORK"));
	file = fopen(path, "w");
	assert_non_null(file);
	for (int column = 0; column < 64; column++)
		fprintf(file, "%s%c", column < 32 ? "0" : "1", column == 63 ? '\n' : ',');
	fclose(file);
	/* Now the small tile is all that counts. */
	object = advise("blocks.csv --tau 1e-3 --calibration inputs.csv");
	assert_int_equal(number(object, "widths.0.tiles"), 3);
	assert_true(number(object, "norm") < 100);
	json_object_put(object);
	run(&r, "cd $ADVISE_WORK && $T/quire-advise matern --tau 0.1 -c inputs.csv");
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "inputs.csv: has 64 columns, the matrix 1024"));
}

static void budgets_are_kept(void **state)
{
	json_object *few = advise("matern --bytes 200K"), *many = advise("matern --bytes 400K");
	json_object *energy = advise("matern --energy 5e6");

	(void)state;
	assert_true(number(few, "image_bytes") <= 200 * 1024);
	assert_true(number(many, "image_bytes") <= 400 * 1024);
	assert_true(number(many, "relative_error") < number(few, "relative_error"));
	assert_true(number(energy, "modelled_pj") <= 5e6);
	assert_true(json_object_get_boolean(at(energy, "certified")));
	json_object_put(few);
	json_object_put(many);
	json_object_put(energy);
}

/* What was packed with tau is read back, and needs no second error. */
static void a_tiled_file_is_written_and_read(void **state)
{
	json_object *first = advise("matern:points=256 --tau 1e-3 --output m.qtn");
	json_object *second = advise("m.qtn --tau 1e-9");

	(void)state;
	assert_int_equal(number(second, "rows"), 256);
	assert_true(number(second, "image_bytes") <= 4 * number(first, "image_bytes"));
	run(&r, "cd $ADVISE_WORK && head -c 2000 m.qtn >cut.qtn && $T/quire-advise cut.qtn --tau 0.1");
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "cut.qtn: "));
	json_object_put(first);
	json_object_put(second);
}

/* A strongly correlated covariance, rounded too coarsely, is none any more. */
static void a_spoilt_covariance_is_reported(void **state)
{
	json_object *object = advise("matern:beta=0.5,nu=3/2,nugget=1e-6 --tau 1e-2");

	(void)state;
	assert_true(json_object_get_boolean(at(object, "covariance.definite")));
	assert_false(json_object_get_boolean(at(object, "covariance.image_definite")));
	assert_non_null(strstr(r.out, "not positive definite"));
	assert_true(number(object, "covariance.tau_advised") < 1e-4);
	json_object_put(object);
}

static void maps_are_drawn_the_same_each_time(void **state)
{
	(void)state;
	run(&r, "cd $ADVISE_WORK && $T/quire-advise matern:points=256 -t 0.1 -m a.svg && mv a.svg b.svg && "
		"$T/quire-advise matern:points=256 -t 0.1 -m a.svg && cmp a.svg b.svg && grep -c '<svg' a.svg");
	assert_int_equal(r.status, 0);
	run(&r, "cd $ADVISE_WORK && $T/quire-advise matern:points=256 -t 0.1 -m a.png && "
		"head -c 4 a.png | tail -c 3");
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "PNG"));
}

/* The sky of china.jpg is flat, its temple is not. */
static void a_photograph_has_empty_and_full_tiles(void **state)
{
	json_object *object;
	double stored = 0;

	(void)state;
	object = advise("$QUIRE_DATA/china.ppm --detail --tile 16x16 --tau 0.1");
	assert_int_equal(number(object, "widths.0.bits"), 0);
	for (size_t i = 1; i < json_object_array_length(at(object, "widths")); i++) {
		char path[64];

		snprintf(path, sizeof(path), "widths.%zu.tiles", i);
		stored += number(object, path);
	}
	assert_true(number(object, "widths.0.tiles") > 200);
	assert_true(stored > 200);
	json_object_put(object);
}

static void text_says_what_matters(void **state)
{
	(void)state;
	run(&r, "QUIRE_PROGRESS=always $T/quire-advise matern -t 1e-2");
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "certified exactly"));
	assert_non_null(strstr(r.out, "not stored"));
	assert_non_null(strstr(r.out, "product bound"));
	assert_non_null(strstr(r.err, "["));
	run(&r, "QUIRE_PROGRESS=never $T/quire-advise matern -t 1e-2");
	assert_string_equal(r.err, "");
}

static void wrong_options_exit_2_and_say_why(void **state)
{
	static const char *const wrong[][2] = {
		{ "$T/quire-advise matern", "a budget is needed" },
		{ "$T/quire-advise --tau 1e-2", "a matrix is needed" },
		{ "$T/quire-advise matern --tau 2", "--tau is \"2\"" },
		{ "$T/quire-advise matern --tau 0.1 --bytes 1M", "only one of" },
		{ "$T/quire-advise matern --bytes 1T", "--bytes is \"1T\"" },
		{ "$T/quire-advise matern --tau 0.1 --tile 8x8", "--tile is \"8x8\"" },
		{ "$T/quire-advise matern --tau 0.1 --widths 0,2", "--widths is \"0,2\"" },
		{ "$T/quire-advise matern --tau 0.1 --map a.jpg", "--map is \"a.jpg\"" },
		{ "$T/quire-advise matern rbf:x --tau 0.1", "second one" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		run(&r, wrong[i][0]);
		if (r.status != 2 || !strstr(r.err, wrong[i][1]))
			fail_msg("%s: exit status %d: %s", wrong[i][0], r.status, r.err);
	}
}

static void failures_exit_1_and_say_why(void **state)
{
	static const char *const wrong[][2] = {
		{ "$T/quire-advise /does/not/exist -t 0.1", "No such file" },
		{ "printf '1,2\\n3,nan\\n' >$ADVISE_WORK/nan.csv; $T/quire-advise $ADVISE_WORK/nan.csv -t 0.1",
		  "element (1, 1) is not a finite number" },
		{ "$T/quire-advise matern -t 1e-9 -w 0,8", "cannot be met" },
		{ "$T/quire-advise matern --bytes 100", "below what the cheapest" },
		{ "$T/quire-advise matern -t 0.1 -m /does/not/exist.svg", "exist.svg: No such file" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		run(&r, wrong[i][0]);
		if (r.status != 1 || !strstr(r.err, wrong[i][1]))
			fail_msg("%s: exit status %d: %s", wrong[i][0], r.status, r.err);
		assert_string_equal(r.out, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures),
		cmocka_unit_test(empty_tiles_are_not_stored),
		cmocka_unit_test(calibration_moves_bits_to_columns_that_matter),
		cmocka_unit_test(budgets_are_kept),
		cmocka_unit_test(a_tiled_file_is_written_and_read),
		cmocka_unit_test(a_spoilt_covariance_is_reported),
		cmocka_unit_test(maps_are_drawn_the_same_each_time),
		cmocka_unit_test(a_photograph_has_empty_and_full_tiles),
		cmocka_unit_test(text_says_what_matters),
		cmocka_unit_test(wrong_options_exit_2_and_say_why),
		cmocka_unit_test(failures_exit_1_and_say_why),
	};
	char work[] = "/tmp/quire-advise-XXXXXX", command[64];
	int failed;

	if (!mkdtemp(work))
		return 1;
	setenv("ADVISE_WORK", work, 1);
	failed = cmocka_run_group_tests_name("quire-advise", tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", work);
	return system(command) ? 1 : failed;
}
