// SPDX-License-Identifier: MIT
/*
 * quire-rates: every workload gives a row per mode with figures that agree with what
 * is known of the formats.
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

static json_object *rates(const char *arguments)
{
	char command[512];
	json_object *object;

	snprintf(command, sizeof(command), "cd $RATES_WORK && $T/quire-rates --backend cpu --json %s",
		 arguments);
	run(&r, command);
	if (r.status)
		fail_msg("%s: exit status %d: %s", command, r.status, r.err);
	object = run_json(&r);
	assert_true(is_string(object, "schema", "quire-rates/1"));
	assert_non_null(strstr(json_object_get_string(at(object, "source")), "not measurements"));
	return at(object, "results");
}

static json_object *row_of(json_object *rows, const char *mode)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		if (is_string(json_object_array_get_idx(rows, i), "mode", mode))
			return json_object_array_get_idx(rows, i);
	fail_msg("no row \"%s\"", mode);
	return NULL;
}

static double number(json_object *rows, const char *mode, const char *key)
{
	return json_object_get_double(at(row_of(rows, mode), key));
}

/* Exact sums repeat in any banding; FP32 sums in another order do not. */
static void only_sums_depend_on_order(json_object *rows)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i);
		bool sums = is_string(row, "mode", "fp32, fp32 sums");

		assert_true(is_string(row, "repeatable", sums ? "no" : "yes"));
	}
}

/* Dense jobs execute all products in their width, tiled ones those of stored tiles. */
static void macs_add_up(json_object *rows, double dense)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i);
		double macs = json_object_get_double(at(row, "macs"));
		bool tiles = !strncmp(json_object_get_string(at(row, "mode")), "tiles", 5);

		assert_true(macs == json_object_get_double(at(row, "macs_8_bits")) +
				    json_object_get_double(at(row, "macs_16_bits")) +
				    json_object_get_double(at(row, "macs_32_bits")));
		assert_true(tiles ? macs > 0 && macs <= dense : macs == dense);
		/* the host's sums are no job */
		assert_true(is_null(row, "digest") == is_string(row, "mode", "fp32, fp32 sums"));
	}
	assert_true(number(rows, "posit8", "macs_8_bits") == dense);
	assert_true(number(rows, "bf16 exact", "macs_16_bits") == dense);
}

/* Weights of the digits network in 16 x 16 tiles: bits fall and errors grow with tau. */
static void digits(void **state)
{
	json_object *rows = rates("digits --data $QUIRE_DATA/digits.csv.gz --seeds 1 --tau 0.05,0.1,0.2");
	double exact = number(rows, "fp32 exact", "accuracy");

	(void)state;
	only_sums_depend_on_order(rows);
	macs_add_up(rows, 500.0 * 17024);
	assert_true(exact > 0.95);
	assert_true(number(rows, "posit32", "logit_error") < number(rows, "fp32 exact", "logit_error"));
	assert_true(number(rows, "posit16", "logit_error") < number(rows, "bf16 exact", "logit_error"));
	assert_true(number(rows, "posit4", "accuracy") < exact);
	assert_true(number(rows, "tiles, tau 0.1", "accuracy") > exact - 0.01);
	assert_true(number(rows, "tiles, tau 0.1", "bits_per_weight") < 6.5);
	assert_true(number(rows, "tiles, tau 0.05", "bits_per_weight") >
		    number(rows, "tiles, tau 0.2", "bits_per_weight"));
	assert_true(number(rows, "tiles, tau 0.05", "logit_error") <
		    number(rows, "tiles, tau 0.2", "logit_error"));
	/* 17024 weights: of 4 bytes, and of 1. */
	assert_int_equal(number(rows, "fp32 exact", "weight_bytes"), 68096);
	assert_int_equal(number(rows, "posit8", "weight_bytes"), 17024);
	/* rows of 128, 64 and 10 in blocks of 32 elements and 33 bytes */
	assert_int_equal(number(rows, "mxfp8", "weight_bytes"), 33 * (64 * 4 + 128 * 2 + 64));
	assert_true(number(rows, "mxfp8", "macs_8_bits") == 500 * 17024);
	assert_true(number(rows, "mxfp8", "accuracy") > exact - 0.02);
}

/*
 * Rounding to BF16 is off by at most 2^-9 each, to FP16 by 2^-12; tiles keep what they
 * promise and stay definite when tau is small.
 */
static void covariance(void **state)
{
	json_object *rows = rates("covariance matern:points=256,beta=0.05 --tau 1e-1,1e-3,1e-5");

	(void)state;
	only_sums_depend_on_order(rows);
	macs_add_up(rows, 256.0 * 256);
	/* empty tiles are skipped: fewer products, and less energy than the dense posit8 */
	assert_true(number(rows, "tiles, tau 0.1", "macs") < 256 * 256 / 2);
	assert_true(number(rows, "tiles, tau 0.1", "modelled_uj_per_product") <
		    number(rows, "posit8", "modelled_uj_per_product"));
	/* 40 pJ for each byte of matrix, vector and FP64 result, 750 fJ for each product */
	assert_float_equal(number(rows, "posit16", "modelled_uj_per_product"),
			   (40 * (2 * 256 * 256 + 2 * 256 + 8 * 256) + 0.75 * 256 * 256) * 1e-6,
			   1e-3);
	assert_true(number(rows, "bf16 exact", "relative_error") < 0x1p-9);
	assert_true(number(rows, "bf16 exact", "relative_error") > 0x1p-12);
	/* four significand bits */
	assert_true(number(rows, "mxfp8", "relative_error") < 0x1p-4);
	assert_true(number(rows, "mxfp8", "relative_error") > 0x1p-8);
	assert_true(number(rows, "tiles, tau 0.1", "relative_error") <= 0.1);
	assert_true(number(rows, "tiles, tau 0.001", "relative_error") <= 0.001);
	assert_true(number(rows, "tiles, tau 1e-05", "log_likelihood_error") < 1e-2);
	assert_true(is_string(row_of(rows, "tiles, tau 1e-05"), "definite", "yes"));
	assert_int_equal(number(rows, "posit16", "bytes"), 256 * 256 * 2);
}

/* Small integers: exact in every format that holds them, whatever it is. */
static void a_pair_of_matrices(void **state)
{
	static const char *const exact[] = { "fp32 exact", "posit32", "posit16", "fp16 exact",
					     "bf16 exact", "posit8", "e4m3 exact" };
	json_object *rows;

	(void)state;
	run(&r, "cd $RATES_WORK && printf '1,2,3\\n4,-5,6\\n' >a.csv && "
		"printf '1,0\\n-2,1\\n3,0.5\\n' >b.csv");
	rows = rates("pair a.csv b.csv");
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
		assert_true(number(rows, exact[i], "product_error") == 0);
	assert_true(number(rows, "posit4", "product_error") > 0);
	run(&r, "cd $RATES_WORK && $T/quire-rates -b cpu pair a.csv a.csv");
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "must have 3 rows"));
}

static void csv_text_and_plot(void **state)
{
	(void)state;
	run(&r, "cd $RATES_WORK && $T/quire-rates -b cpu covariance matern:points=64 --csv --plot p.svg && "
		"mv p.svg q.svg && $T/quire-rates -b cpu covariance matern:points=64 --plot p.svg && "
		"cmp p.svg q.svg");
	assert_int_equal(r.status, 0);
	assert_memory_equal(r.out, "mode,bits_per_element,relative_error,", 37);
	assert_non_null(strstr(r.out, "\n\"fp32, fp32 sums\",32,"));
	assert_non_null(strstr(r.out, "modelled figures are arithmetic"));
}

/* Weights in tiles, advised anew each epoch, still learn: at 7 bits or fewer. */
static void training_with_tiles(void **state)
{
	json_object *object;

	(void)state;
	run(&r, "$T/quire-digits -b cpu -d $QUIRE_DATA/digits.csv.gz -f tiles --tiles 0.1 -e 3 --json");
	assert_int_equal(r.status, 0);
	object = run_json(&r);
	assert_true(json_object_get_double(at(object, "results.0.bits_per_weight")) <= 7);
	assert_true(json_object_get_double(at(object, "results.0.bits_per_weight")) > 4);
	assert_true(json_object_get_double(at(object, "results.0.bits_per_weight_at_end")) <= 7);
	assert_true(json_object_get_double(at(object, "results.0.accuracy")) > 0.9);
	json_object_put(object);
	run(&r, "$T/quire-digits -b cpu -d $QUIRE_DATA/digits.csv.gz -f tiles");
	assert_int_equal(r.status, 2);
	assert_non_null(strstr(r.err, "needs --tiles"));
}

static void wrong_options_exit_2_and_say_why(void **state)
{
	static const char *const wrong[][2] = {
		{ "$T/quire-rates", "a workload is needed" },
		{ "$T/quire-rates words", "unknown workload \"words\"" },
		{ "$T/quire-rates digits", "digits needs --data" },
		{ "$T/quire-rates pair a.npy", "pair needs two" },
		{ "$T/quire-rates covariance a b", "unexpected \"b\"" },
		{ "$T/quire-rates covariance --tau 0.1,x", "--tau is" },
		{ "$T/quire-rates covariance --plot a.pdf", "--plot is \"a.pdf\"" },
		{ "$T/quire-rates covariance --backend null", "--backend is \"null\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		run(&r, wrong[i][0]);
		if (r.status != 2 || !strstr(r.err, wrong[i][1]))
			fail_msg("%s: exit status %d: %s", wrong[i][0], r.status, r.err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits),
		cmocka_unit_test(covariance),
		cmocka_unit_test(a_pair_of_matrices),
		cmocka_unit_test(csv_text_and_plot),
		cmocka_unit_test(training_with_tiles),
		cmocka_unit_test(wrong_options_exit_2_and_say_why),
	};
	char work[] = "/tmp/quire-rates-XXXXXX", command[64];
	int failed;

	if (!mkdtemp(work))
		return 1;
	setenv("RATES_WORK", work, 1);
	failed = cmocka_run_group_tests_name("quire-rates", tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", work);
	return system(command) ? 1 : failed;
}
