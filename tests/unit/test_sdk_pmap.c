// SPDX-License-Identifier: MIT
/*
 * Precision maps through quire.h, on cpu and on the card: what a map promises of error,
 * bytes and energy is computed anew here, the error in rationals.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gmp.h>
#include <json-c/json.h>

#include "sdk.h"

#define ROWS 70
#define COLUMNS 90

static double numbers[ROWS * COLUMNS];
static float floats[ROWS * COLUMNS];
static float weights[COLUMNS];

/* Tiles whose sizes differ by up to 2^20. */
static void make_numbers(void)
{
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
		uint32_t place = i / COLUMNS / 16 * 5 + i % COLUMNS / 16 * 3;

		numbers[i] = ldexp((double)rnd(1 << 30) - (1 << 29), -29 - (int)(place % 20));
		floats[i] = (float)numbers[i];
	}
	for (uint32_t c = 0; c < COLUMNS; c++)
		weights[c] = c % 7 ? (float)rnd(1000) / 300 : 0;
}

static struct quire_advise_desc question(uint32_t goal)
{
	return (struct quire_advise_desc){
		.size = sizeof(struct quire_advise_desc),
		.goal = goal,
		.x = numbers,
		.format = QUIRE_FORMAT_FP64,
		.rows = ROWS,
		.columns = COLUMNS,
		.leading_dimension = COLUMNS,
	};
}

static quire_pmap *advise(const struct quire_advise_desc *desc, struct quire_pmap_info *info)
{
	quire_pmap *pmap = NULL;

	if (quire_advise(device, desc, &pmap))
		fail_msg("%s", quire_last_error());
	info->size = sizeof(*info);
	assert_int_equal(0, quire_pmap_get_info(pmap, info));
	return pmap;
}

/* sum w (a - b)^2, in rationals; b NULL: 0 */
static void exact_sum(const double *a, const double *b, const float *w, mpq_t sum)
{
	mpq_t x, y;

	mpq_inits(x, y, NULL);
	mpq_set_ui(sum, 0, 1);
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
		mpq_set_d(x, a[i]);
		mpq_set_d(y, b ? b[i] : 0);
		mpq_sub(x, x, y);
		mpq_mul(x, x, x);
		mpq_set_d(y, w ? w[i % COLUMNS] : 1);
		mpq_mul(x, x, y);
		mpq_add(sum, sum, x);
	}
	mpq_clears(x, y, NULL);
}

/* error <= bound * norm? */
static bool within(const mpq_t error, double bound, const mpq_t norm)
{
	mpq_t limit;
	bool holds;

	mpq_init(limit);
	mpq_set_d(limit, bound);
	mpq_mul(limit, limit, limit);
	mpq_mul(limit, limit, norm);
	holds = mpq_cmp(error, limit) <= 0;
	mpq_clear(limit);
	return holds;
}

static void check_error(const quire_pmap *pmap, const struct quire_pmap_info *info, const double *x,
			const float *w)
{
	double *packed = malloc(sizeof(numbers));
	struct quire_matrix matrix;
	mpq_t error, norm;

	assert_int_equal(0, quire_matrix_pack_pmap_f64(context, pmap, x, COLUMNS, &matrix));
	assert_int_equal(0, quire_matrix_get_f64(&matrix, packed, COLUMNS));
	mpq_inits(error, norm, NULL);
	exact_sum(x, packed, w, error);
	exact_sum(x, NULL, w, norm);
	assert_true(within(error, info->error, norm));
	assert_false(mpq_sgn(error) && within(error, info->error * (1 - 0x1p-39), norm));
	assert_float_equal(info->norm, sqrt(mpq_get_d(norm)), 1e-12 * info->norm);
	mpq_clears(error, norm, NULL);
	quire_matrix_free(&matrix);
	free(packed);
}

/* Bytes by quire/tiled.h and picojoule by quire/model.h, tile by tile. */
static void check_costs(const quire_pmap *pmap, const struct quire_pmap_info *info)
{
	uint64_t tiles = (uint64_t)info->grid_rows * info->grid_columns, data = 0, count[33] = { 0 };
	uint64_t elements = (uint64_t)info->tile_rows * info->tile_columns;
	double pj = 0;

	for (uint32_t r = 0; r < info->grid_rows; r++)
		for (uint32_t c = 0; c < info->grid_columns; c++) {
			struct quire_tile_choice choice;
			double fj;

			assert_int_equal(0, quire_pmap_get_tile(pmap, r, c, &choice));
			count[choice.bits]++;
			data += elements * choice.bits / 8;
			fj = choice.bits == 0  ? 0 :
			     choice.bits <= 8  ? 230 :
			     choice.bits <= 16 ? 750 :
						 2700;
			pj += fj / 1000 * (double)(elements * info->product_columns);
		}
	pj += 40.0 * (double)data;
	assert_memory_equal(count, info->tiles, sizeof(count));
	assert_int_equal(data, info->data_bytes);
	assert_int_equal((64 + 16 * tiles + 63) / 64 * 64 + data, info->image_bytes);
	assert_float_equal(info->bits_per_element, 8.0 * (double)data / (ROWS * COLUMNS), 1e-9);
	assert_float_equal((double)info->modelled_pj, pj, (double)tiles);
}

static void a_map_keeps_what_it_promises(void **state)
{
	static const uint32_t shapes[][2] = { { 0, 0 }, { 16, 16 }, { 64, 64 }, { 1, 256 } };

	(void)state;
	for (uint32_t trial = 0; trial < 24; trial++) {
		struct quire_advise_desc desc = question(trial % 3);
		struct quire_pmap_info info;
		quire_pmap *pmap;

		desc.tile_rows = shapes[trial / 3 % 4][0];
		desc.tile_columns = shapes[trial / 3 % 4][1];
		desc.tau = ldexp(1, -2 - (int)trial);
		desc.image_bytes = 12000 + 500 * trial;
		desc.product_columns = trial % 5;
		desc.modelled_pj = 300000 + 20000 * trial;
		desc.weights = trial >= 12 ? weights : NULL;
		pmap = advise(&desc, &info);
		assert_int_equal(info.tile_rows, desc.tile_rows ? desc.tile_rows : 32);
		assert_int_equal(info.tile_columns, desc.tile_rows ? desc.tile_columns : 32);
		if (desc.goal == QUIRE_GOAL_ERROR)
			assert_true(info.error <= desc.tau);
		else if (desc.goal == QUIRE_GOAL_BYTES)
			assert_true(info.image_bytes <= desc.image_bytes);
		else
			assert_true(info.modelled_pj <= desc.modelled_pj);
		check_costs(pmap, &info);
		check_error(pmap, &info, numbers, desc.weights);
		quire_pmap_unref(pmap);
	}
}

/* Energy buys error: with more of it there is never more error, and none is wasted. */
static void more_energy_never_costs_more_error(void **state)
{
	double before = 2;

	(void)state;
	for (uint64_t pj = 0; pj < 1200000; pj += 40009) {
		struct quire_advise_desc desc = question(QUIRE_GOAL_ENERGY);
		struct quire_pmap_info info;

		desc.modelled_pj = pj;
		quire_pmap_unref(advise(&desc, &info));
		assert_true(info.error <= before);
		before = info.error;
	}
	assert_true(before < 1e-3);
}

static bool same_tiles(const quire_pmap *a, const quire_pmap *b, const struct quire_pmap_info *info)
{
	for (uint32_t r = 0; r < info->grid_rows; r++)
		for (uint32_t c = 0; c < info->grid_columns; c++) {
			struct quire_tile_choice x, y;

			assert_int_equal(0, quire_pmap_get_tile(a, r, c, &x));
			assert_int_equal(0, quire_pmap_get_tile(b, r, c, &y));
			if (x.bits != y.bits || x.scale != y.scale)
				return false;
		}
	return true;
}

/* The map of a matrix of the device is that of its numbers, dense or tiled. */
static void matrices_of_the_device_are_advised(void **state)
{
	struct quire_advise_desc desc = question(QUIRE_GOAL_ERROR), of_device;
	double *decoded = malloc(sizeof(numbers));
	struct quire_matrix dense, tiled, *matrices[] = { &dense, &tiled };
	struct quire_pmap_info info, again;
	quire_pmap *map;

	(void)state;
	desc.tau = 1e-3;
	map = advise(&desc, &info);
	assert_int_equal(0, quire_matrix_pack_pmap_f32(context, map, floats, COLUMNS, &tiled));
	quire_pmap_unref(map);
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, ROWS, COLUMNS, &dense));
	assert_int_equal(0, quire_matrix_put_f64(&dense, numbers, COLUMNS));
	for (int i = 0; i < 2; i++) {
		quire_pmap *of_host, *of_matrix;

		assert_int_equal(0, quire_matrix_get_f64(matrices[i], decoded, COLUMNS));
		desc.x = decoded;
		desc.tau = 3e-3;
		of_host = advise(&desc, &info);
		of_device = (struct quire_advise_desc){ .size = sizeof(of_device), .tau = 3e-3,
							.matrix = matrices[i] };
		of_matrix = advise(&of_device, &again);
		assert_memory_equal(&info, &again, sizeof(info));
		assert_true(same_tiles(of_host, of_matrix, &info));
		/* nobody's threads, and a reference held twice */
		quire_pmap_unref(quire_pmap_ref(of_matrix));
		quire_pmap_unref(of_matrix);
		assert_int_equal(0, quire_advise(NULL, &of_device, &of_matrix));
		assert_true(same_tiles(of_host, of_matrix, &info));
		quire_pmap_unref(of_host);
		quire_pmap_unref(of_matrix);
	}
	quire_matrix_free(&dense);
	quire_matrix_free(&tiled);
	free(decoded);
}

static double json_number(json_object *object, const char *name)
{
	json_object *found = NULL;

	if (!json_object_object_get_ex(object, name, &found))
		fail_msg("there is no \"%s\"", name);
	return json_object_get_double(found);
}

static int64_t json_cell(json_object *object, const char *name, uint32_t row, uint32_t column)
{
	json_object *rows = json_object_object_get(object, name);

	return json_object_get_int64(json_object_array_get_idx(
		json_object_array_get_idx(rows, row), column));
}

static void json_says_what_the_map_says(void **state)
{
	struct quire_advise_desc desc = question(QUIRE_GOAL_BYTES);
	struct quire_pmap_info info;
	quire_pmap *pmap;
	json_object *object;
	char *text, part[100];
	size_t length;

	(void)state;
	desc.image_bytes = 9000;
	pmap = advise(&desc, &info);
	length = quire_pmap_json(pmap, NULL, 0);
	text = malloc(length + 1);
	assert_int_equal(length, quire_pmap_json(pmap, text, length + 1));
	assert_int_equal(length, strlen(text));
	memset(part, 'x', sizeof(part));
	assert_int_equal(length, quire_pmap_json(pmap, part, 50));
	assert_memory_equal(part, text, 49);
	assert_true(part[49] == '\0' && part[50] == 'x');
	object = json_tokener_parse(text);
	assert_non_null(object);
	assert_string_equal(json_object_get_string(json_object_object_get(object, "schema")),
			    "quire-pmap/1");
	assert_string_equal(json_object_get_string(json_object_object_get(object, "goal")), "bytes");
	assert_true(json_number(object, "error") == info.error);
	assert_true(json_number(object, "norm") == info.norm);
	assert_true(json_number(object, "bits_per_element") == info.bits_per_element);
	assert_true(json_number(object, "image_bytes") == (double)info.image_bytes);
	assert_true(json_number(object, "modelled_pj") == (double)info.modelled_pj);
	assert_true(json_number(object, "grid_columns") == info.grid_columns);
	for (uint32_t r = 0; r < info.grid_rows; r++)
		for (uint32_t c = 0; c < info.grid_columns; c++) {
			struct quire_tile_choice choice;

			assert_int_equal(0, quire_pmap_get_tile(pmap, r, c, &choice));
			assert_int_equal(json_cell(object, "bits", r, c), choice.bits);
			assert_int_equal(json_cell(object, "scale", r, c), choice.scale);
		}
	assert_int_equal(0, quire_pmap_json(NULL, NULL, 0));
	json_object_put(object);
	free(text);
	quire_pmap_unref(pmap);
}

static int give_up(void *argument, double done)
{
	(void)done;
	++*(int *)argument;
	return 1;
}

static void refused(const struct quire_advise_desc *desc, int error, const char *words)
{
	quire_pmap *pmap = NULL;

	assert_int_equal(error, quire_advise(device, desc, &pmap));
	says(words);
	assert_null(pmap);
}

#define WITH(goal, ...) \
	({ struct quire_advise_desc d_ = question(goal); d_.tau = 0.1; __VA_ARGS__; d_; })

static void wrong_questions_are_named(void **state)
{
	struct quire_advise_desc desc;
	struct quire_tile_choice choice;
	struct quire_pmap_info info;
	struct quire_matrix matrix;
	quire_pmap *pmap;
	int calls = 0;

	(void)state;
	assert_int_equal(-EINVAL, quire_advise(device, NULL, &pmap));
	says("desc is NULL");
	desc = WITH(QUIRE_GOAL_ERROR, d_.size = 8);
	refused(&desc, -EINVAL, "desc.size");
	desc = WITH(QUIRE_GOAL_ERROR, d_.x = NULL);
	refused(&desc, -EINVAL, "both NULL");
	desc = WITH(3, );
	refused(&desc, -EINVAL, "desc.goal");
	desc = WITH(QUIRE_GOAL_ERROR, d_.tau = NAN);
	refused(&desc, -EINVAL, "desc.tau");
	desc = WITH(QUIRE_GOAL_ERROR, d_.widths = 2);
	refused(&desc, -EINVAL, "desc.widths");
	desc = WITH(QUIRE_GOAL_ERROR, d_.format = QUIRE_FORMAT_POSIT16);
	refused(&desc, -EINVAL, "desc.format");
	desc = WITH(QUIRE_GOAL_ERROR, d_.leading_dimension = COLUMNS - 1);
	refused(&desc, -EINVAL, "desc.leading_dimension");
	desc = WITH(QUIRE_GOAL_ERROR, d_.tile_rows = 32);
	refused(&desc, -EINVAL, "tiles of 32 x 0");
	desc = WITH(QUIRE_GOAL_ERROR, d_.rows = 0);
	refused(&desc, -EINVAL, "0 x 90");
	desc = WITH(QUIRE_GOAL_ERROR, d_.progress = give_up; d_.argument = &calls);
	refused(&desc, -ECANCELED, "given up");
	assert_int_equal(calls, 1);
	desc = WITH(QUIRE_GOAL_ERROR, d_.widths = 1 << 3; d_.tau = 1e-6);
	refused(&desc, -ERANGE, "cannot be met");
	desc = WITH(QUIRE_GOAL_BYTES, d_.image_bytes = 100);
	refused(&desc, -ERANGE, "more than is given");
	weights[4] = -1;
	desc = WITH(QUIRE_GOAL_ERROR, d_.weights = weights);
	refused(&desc, -EINVAL, "weights[4]");
	weights[4] = 1;
	numbers[3 * COLUMNS + 5] = INFINITY;
	desc = WITH(QUIRE_GOAL_ERROR, );
	refused(&desc, -EDOM, "(3, 5)");
	numbers[3 * COLUMNS + 5] = 1;
	assert_int_equal(0, quire_matrix_alloc(context, QUIRE_FORMAT_QUIRE, 4, 4, &matrix));
	desc = (struct quire_advise_desc){ .size = sizeof(desc), .tau = 0.1, .matrix = &matrix };
	refused(&desc, -EINVAL, "quire images");
	desc.rows = 4;
	refused(&desc, -EINVAL, "its own shape");
	quire_matrix_free(&matrix);
	desc = question(QUIRE_GOAL_ERROR);
	desc.tau = 0.5;
	pmap = advise(&desc, &info);
	assert_int_equal(-EINVAL, quire_pmap_get_tile(pmap, info.grid_rows, 0, &choice));
	says("no tile (3, 0)");
	assert_int_equal(-EINVAL,
			 quire_matrix_pack_pmap_f32(context, pmap, floats, COLUMNS - 1, &matrix));
	says("leading_dimension");
	info.size = 0;
	assert_int_equal(-EINVAL, quire_pmap_get_info(pmap, &info));
	says("info.size");
	quire_pmap_unref(pmap);
	quire_pmap_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_keeps_what_it_promises),
		cmocka_unit_test(more_energy_never_costs_more_error),
		cmocka_unit_test(matrices_of_the_device_are_advised),
		cmocka_unit_test(json_says_what_the_map_says),
		cmocka_unit_test(wrong_questions_are_named),
	};

	make_numbers();
	return cmocka_run_group_tests(tests, sdk_open, sdk_close);
}
