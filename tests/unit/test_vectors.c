// SPDX-License-Identifier: MIT
/*
 * Every row of tests/vectors/posit_es2.tsv, a table of results computed with exact
 * rationals by another program.  A row that is not understood is a failure.
 */
#include <gmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/accumulator.h>
#include <quirenum/posit.h>

#define ROWS 105
#define WORDS 16

static uint32_t low_bits(unsigned int bits, uint32_t word)
{
	return bits == 32 ? word : word & ((1u << bits) - 1);
}

/* "0x40 = 1", "0x01=2^-24 0x7F=2^24 0x0", "0x41 / 0x40": the words that start with 0x */
static size_t hex_words(const char *text, uint32_t *words)
{
	size_t count = 0;

	for (text = strstr(text, "0x"); text && count < WORDS; text = strstr(text + 2, "0x"))
		words[count++] = (uint32_t)strtoul(text, NULL, 16);
	return count;
}

/* "17/16", "1e30", "minPos", "NaR": rounded to posit<bits> */
static uint32_t posit_of(unsigned int bits, const char *text)
{
	const char *slash = strchr(text, '/');
	uint32_t word = 0;

	if (slash)	/* exact in double, but for 1/3, which is far from a decision point */
		return quire_posit_from_double(bits, strtod(text, NULL) / strtod(slash + 1, NULL));
	if (!strcmp(text, "minPos"))
		return 1;
	if (!strcmp(text, "maxPos"))
		return quire_posit_max(bits);
	assert_int_equal(quire_posit_parse(bits, text, NULL, &word), 0);
	return word;
}

/* A: "p8 1, -1, 2" or B: "p8 RNE(17/16)" */
static bool row_values(const char *op, const char *result)
{
	char list[100], *item, *save;
	uint32_t words[WORDS];
	unsigned int bits;
	size_t count = hex_words(result, words), i = 0;

	if (sscanf(op, "p%u RNE(%99[^)])", &bits, list) != 2 &&
	    sscanf(op, "p%u %99[^\n]", &bits, list) != 2)
		return false;
	for (item = strtok_r(list, ", ", &save); item; item = strtok_r(NULL, ", ", &save)) {
		assert_true(i < count);
		assert_int_equal(low_bits(bits, posit_of(bits, item)), words[i++]);
	}
	return i > 0;
}

static uint32_t format_of(const char *name)
{
	unsigned int bits;

	if (!strcmp(name, "f32"))
		return QUIRE_FORMAT_FP32;
	if (!strcmp(name, "bf16"))
		return QUIRE_FORMAT_BF16;
	assert_int_equal(sscanf(name, "p%u", &bits), 1);
	return QUIRE_FORMAT_POSIT(bits);
}

/* C, F: "bf16 3F81 (1+2^-7) -> p16, p8"; "p32 0x40800001 -> p8 direct / via p16" */
static bool row_conversion(const char *op, const char *result)
{
	char from[8], targets[100], *item, *save;
	uint32_t words[WORDS], word;
	const char *arrow = strstr(op, "-> ");
	size_t count = hex_words(result, words), i = 0;

	if (!arrow || sscanf(op, "%7s %x", from, &word) != 2 ||
	    sscanf(arrow, "-> %99[^\n]", targets) != 1)
		return false;
	if (strstr(targets, "via")) {
		uint32_t by_way = quire_posit_convert(16, 32, word);

		return count == 2 && quire_posit_convert(8, 32, word) == words[0] &&
		       quire_posit_convert(8, 16, by_way) == words[1];
	}
	for (item = strtok_r(targets, ", ", &save); item; item = strtok_r(NULL, ", ", &save)) {
		uint32_t to = format_of(item);
		uint64_t got = quire_number_convert(to, format_of(from), word);

		assert_true(i < count);
		assert_int_equal(low_bits(QUIRE_FORMAT_BITS(to), (uint32_t)got), words[i++]);
	}
	return i > 0;
}

/* D: "p8 0x40 + 0x40" */
static bool row_operation(const char *op, const char *result)
{
	uint32_t a, b, words[WORDS], got;
	unsigned int bits;
	char sign;

	if (sscanf(op, "p%u %x %c %x", &bits, &a, &sign, &b) != 4 || hex_words(result, words) != 1)
		return false;
	got = sign == '+' ? quire_posit_add(bits, a, b) : sign == '-' ? quire_posit_sub(bits, a, b) :
	      sign == '*' ? quire_posit_mul(bits, a, b) : quire_posit_div(bits, a, b);
	assert_int_equal(low_bits(bits, got), words[0]);
	return true;
}

/* The accumulator in units of 2^(16 - 8 bits), as the standard's quire. */
static void assert_quire(const struct quire_accumulator *q, unsigned int bits, const char *text)
{
	uint64_t image[QUIRE_IMAGE_LIMBS];
	mpz_t value, good;

	if (!strncmp(text, "NaR", 3)) {
		assert_true(quire_accumulator_is_nar(q));
		return;
	}
	quire_accumulator_write(q, image);
	assert_false(image[QUIRE_IMAGE_LIMBS - 1] >> 63);
	mpz_inits(value, good, NULL);
	mpz_import(value, QUIRE_IMAGE_LIMBS, -1, 8, 0, 0, image);
	if (!strncmp(text, "2^", 2)) {
		mpz_set_ui(good, 1);
		mpz_mul_2exp(good, good, strtoul(text + 2, NULL, 10));
	} else {
		char digits[100];

		assert_int_equal(sscanf(text, "%99[0-9]", digits), 1);
		mpz_set_str(good, digits, 10);
	}
	mpz_mul_2exp(good, good, 298 + 16 - 8 * bits);
	assert_int_equal(mpz_cmp(value, good), 0);
	mpz_clears(value, good, NULL);
}

/* E: "fdp p16 [0x7800,0x4000].[0x4000,0x3800] -> p8" */
static bool row_dot_product(const char *op, const char *result)
{
	struct quire_accumulator q = { 0 };
	unsigned int bits, to;
	char left[100], right[100];
	uint32_t a[WORDS], b[WORDS], words[WORDS];
	int fields = sscanf(op, "fdp p%u [%99[^]]].[%99[^]]] -> p%u", &bits, left, right, &to);
	size_t count;

	if (fields < 3 || hex_words(strchr(result, ';'), words) != 1)
		return false;
	count = hex_words(left, a);
	assert_int_equal(hex_words(right, b), count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(quire_accumulator_add_product(&q, QUIRE_FORMAT_POSIT(bits), a[i],
							       QUIRE_FORMAT_POSIT(bits), b[i]), 0);
	assert_quire(&q, bits, strchr(result, '=') + 1);
	to = fields == 4 ? to : bits;
	assert_int_equal(low_bits(to, (uint32_t)quire_accumulator_round(&q, QUIRE_FORMAT_POSIT(to))),
			 words[0]);
	return true;
}

/* G: "p16 0x4A00 (5/2) -> i32", "i32 -1 -> p8", several with semicolons */
static bool row_integer(const char *op, const char *result)
{
	char ops[200], results[200], *item, *save, *good, *save_good;

	snprintf(ops, sizeof(ops), "%s", op);
	snprintf(results, sizeof(results), "%s", result);
	good = strtok_r(results, ";", &save_good);
	for (item = strtok_r(ops, ";", &save); item; item = strtok_r(NULL, ";", &save)) {
		char value[40];
		unsigned int bits;
		int32_t integer;

		assert_non_null(good);
		if (sscanf(item, " p%u %39s", &bits, value) == 2) {
			uint32_t word = !strncmp(value, "0x", 2) ? (uint32_t)strtoul(value, NULL, 16) :
						posit_of(bits, value);

			assert_int_equal(quire_posit_to_int32(bits, word), atol(good));
		} else if (sscanf(item, " i32 %d -> p%u", &integer, &bits) == 2) {
			assert_int_equal(low_bits(bits, quire_posit_from_int32(bits, integer)),
					 strtoul(good, NULL, 16));
		} else {
			return false;
		}
		good = strtok_r(NULL, ";", &save_good);
	}
	return true;
}

/* H: "order of p8 0x80,0x81,0xFF,0x00,0x01,0x7F" */
static bool row_order(const char *op)
{
	uint32_t words[WORDS];
	unsigned int bits;
	size_t count = hex_words(op, words);

	if (sscanf(op, "order of p%u", &bits) != 1)
		return false;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++)
			assert_int_equal(quire_posit_compare(bits, words[i], words[j]),
					 (i > j) - (i < j));
	return count > 1;
}

static void every_row(void **state)
{
	FILE *file = fopen(getenv("QUIRE_VECTORS"), "r");
	char line[400], group[4], op[200], result[200];
	int rows = 0;

	(void)state;
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));	/* headings */
	while (fgets(line, sizeof(line), file)) {
		bool understood = false;

		assert_int_equal(sscanf(line, "%3[^\t]\t%199[^\t]\t%199[^\t\n]", group, op, result), 3);
		switch (group[0]) {
		case 'A':
		case 'B':
			understood = row_values(op, result);
			break;
		case 'C':
		case 'F':
			understood = row_conversion(op, result);
			break;
		case 'D':
			understood = row_operation(op, result);
			break;
		case 'E':
			understood = row_dot_product(op, result);
			break;
		case 'G':
			understood = row_integer(op, result);
			break;
		case 'H':
			understood = row_order(op);
			break;
		}
		if (!understood)
			fail_msg("%s", line);
		rows++;
	}
	fclose(file);
	assert_int_equal(rows, ROWS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
