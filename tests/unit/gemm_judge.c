// SPDX-License-Identifier: MIT
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/convert.h>
#include <quirenum/number.h>

#include "../oracle/digest.h"
#include "gemm_jobs.h"
#include "gemm_judge.h"

#define OPERAND_UNIT 149		/* operands are multiples of 2^-149 */
#define GAP 3				/* elements between the rows of D */

double number_of(uint32_t format, uint64_t word)
{
	struct dyadic x;
	double value;

	dyadic_init(&x);
	assert_int_equal(oracle_value(format, word, &x), ORACLE_FINITE);
	value = ldexp(mpz_get_d(x.m), (int)x.e);
	dyadic_clear(&x);
	return value;
}

static uint64_t word_of(uint32_t format, double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return quire_number_convert(format, QUIRE_FORMAT_FP64, bits);
}

double nearest(uint32_t format, double x)
{
	uint64_t bits = quire_number_convert(QUIRE_FORMAT_FP64, format, word_of(format, x));

	memcpy(&x, &bits, sizeof(x));
	return x;
}

void product_init(struct product *p, uint32_t m, uint32_t n, uint32_t k, uint32_t a_format, uint32_t b_format)
{
	memset(p, 0, sizeof(*p));
	p->g.m = m, p->g.n = n, p->g.k = k, p->g.batch = 1;
	p->g.a.format = a_format;
	p->g.b.format = b_format;
	p->a = calloc((size_t)m * k, sizeof(*p->a));
	p->b = calloc((size_t)n * k, sizeof(*p->b));
	p->sums = calloc((size_t)m * n, sizeof(*p->sums));
	assert_non_null(p->a);
	assert_non_null(p->b);
	assert_non_null(p->sums);
}

/* Rows of numbers in a format; the leading dimension is chosen here. */
static void *store_words(struct quire_gemm_operand *x, uint32_t rows, uint32_t columns, const double *from)
{
	const uint32_t bytes = bytes_of(x->format);
	uint8_t *memory;

	x->leading_dimension = columns + rnd() % 4;
	memory = calloc(rows * x->leading_dimension, bytes);
	assert_non_null(memory);
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t c = 0; c < columns; c++) {
			const uint64_t word = word_of(x->format, from[(size_t)r * columns + c]);

			memcpy(memory + (r * x->leading_dimension + c) * bytes, &word, bytes);
		}
	return memory;
}

static void *store_blocks(struct quire_gemm_operand *x, uint32_t rows, uint32_t columns, const double *from)
{
	float *floats = malloc((size_t)rows * columns * sizeof(*floats));
	struct quire_convert convert = {
		.rows = rows, .columns = columns, .source = floats, .source_format = QUIRE_FORMAT_FP32,
		.source_leading_dimension = columns, .destination_format = QUIRE_FORMAT_MXFP8, .factor = 1,
	};

	assert_non_null(floats);
	for (size_t i = 0; i < (size_t)rows * columns; i++)
		floats[i] = (float)from[i];
	x->leading_dimension = (columns + QUIRE_MX_ELEMENTS - 1) / QUIRE_MX_ELEMENTS * QUIRE_MX_ELEMENTS;
	convert.destination_leading_dimension = x->leading_dimension;
	convert.destination = calloc(rows * x->leading_dimension / QUIRE_MX_ELEMENTS, QUIRE_MX_BLOCK_BYTES);
	assert_non_null(convert.destination);
	assert_int_equal(quire_convert(&convert, NULL), 0);
	free(floats);
	return convert.destination;
}

/* The element in a stored row and column. */
static void read_element(const struct quire_gemm_operand *x, uint64_t row, uint64_t column, struct dyadic *value)
{
	const uint64_t at = row * x->leading_dimension + column;
	const uint8_t *block = (const uint8_t *)x->data + at / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;

	if (x->format != QUIRE_FORMAT_MXFP8) {
		assert_int_equal(oracle_value(x->format, load(x->format, x->data, at), value), ORACLE_FINITE);
		return;
	}
	assert_int_equal(oracle_value(QUIRE_FORMAT_E4M3, block[1 + at % QUIRE_MX_ELEMENTS], value), ORACLE_FINITE);
	value->e += block[0] - QUIRE_MX_SCALE_BIAS;
}

/* Lanes as a matrix in memory, k along its rows or across, and as integers in units of 2^-149. */
static void *seal_operand(struct quire_gemm_operand *x, bool along, uint32_t lanes, uint32_t k,
			  const double *from, mpz_t *integers)
{
	const uint32_t rows = along ? lanes : k, columns = along ? k : lanes;
	double *stored = malloc((size_t)lanes * k * sizeof(*stored));
	struct dyadic value;
	void *memory;

	assert_non_null(stored);
	for (size_t r = 0; r < rows; r++)
		for (size_t c = 0; c < columns; c++)
			stored[r * columns + c] = along ? from[r * k + c] : from[c * k + r];
	memory = (x->format == QUIRE_FORMAT_MXFP8 ? store_blocks : store_words)(x, rows, columns, stored);
	free(stored);
	x->data = memory;
	dyadic_init(&value);
	for (uint32_t l = 0; l < lanes; l++)
		for (uint32_t i = 0; i < k; i++) {
			mpz_t *integer = &integers[(size_t)l * k + i];

			read_element(x, along ? l : i, along ? i : l, &value);
			mpz_init(*integer);
			if (mpz_sgn(value.m) == 0)
				continue;
			assert_true(value.e >= -OPERAND_UNIT);
			mpz_mul_2exp(*integer, value.m, (mp_bitcnt_t)(value.e + OPERAND_UNIT));
		}
	dyadic_clear(&value);
	return memory;
}

static void clear(mpz_t *integers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mpz_clear(integers[i]);
	free(integers);
}

void product_seal(struct product *p)
{
	struct quire_gemm *g = &p->g;
	const size_t k = g->k;
	mpz_t *a = malloc(g->m * k * sizeof(*a)), *b = malloc(g->n * k * sizeof(*b));

	assert_non_null(a);
	assert_non_null(b);
	p->memory[0] = seal_operand(&g->a, !g->a.transpose, g->m, g->k, p->a, a);
	p->memory[1] = seal_operand(&g->b, g->b.transpose, g->n, g->k, p->b, b);
	for (size_t i = 0; i < g->m; i++)
		for (size_t j = 0; j < g->n; j++) {
			mpz_t *sum = &p->sums[i * g->n + j];

			mpz_init(*sum);
			for (size_t l = 0; l < k; l++)
				if (mpz_sgn(a[i * k + l]) && mpz_sgn(b[j * k + l]))
					mpz_addmul(*sum, a[i * k + l], b[j * k + l]);
		}
	clear(a, g->m * k);
	clear(b, g->n * k);
}

void product_free(struct product *p)
{
	clear(p->sums, (size_t)p->g.m * p->g.n);
	free(p->memory[0]);
	free(p->memory[1]);
	free(p->a);
	free(p->b);
}

static bool is_right(uint32_t format, uint64_t word, const struct dyadic *x, bool relu)
{
	if (relu && dyadic_sign(x) < 0)
		return word == 0;
	return oracle_is_rounding(format, word, x);
}

/* Is the element NaR, NaN or infinite, before the activation, when it is right? */
static bool is_exceptional(uint32_t format, uint64_t word, const struct dyadic *x, bool relu)
{
	struct dyadic value;
	bool special;

	if (relu && dyadic_sign(x) < 0)
		word = oracle_special_word(format, ORACLE_MINUS_INF);
	dyadic_init(&value);
	special = oracle_value(format, word, &value) != ORACLE_FINITE;
	dyadic_clear(&value);
	return special && oracle_is_rounding(format, word, x);
}

/* D of a product that was run, and what the run said of it. */
static void judge(const struct product *p, const struct quire_gemm *g, const struct quire_gemm_result *result)
{
	const uint32_t format = g->d.format, bytes = bytes_of(format);
	uint64_t digest = 0, exceptional = 0;
	struct dyadic x, alpha;

	dyadic_init(&x);
	dyadic_init(&alpha);
	mpz_set_d(alpha.m, ldexp(g->alpha, OPERAND_UNIT));
	alpha.e = -OPERAND_UNIT;
	for (uint64_t i = 0; i < g->m; i++) {
		const uint8_t *row = (const uint8_t *)g->d.data + i * g->d.leading_dimension * bytes;

		for (uint64_t j = 0; j < g->n; j++) {
			const uint64_t word = load(format, row, j), at = i * g->n + j;

			mpz_set(x.m, p->sums[at]);
			x.e = -2 * OPERAND_UNIT;
			dyadic_multiply(&x, &x, &alpha);
			if (!is_right(format, word, &x, g->activation))
				fail_msg("m %u n %u k %u formats %x %x %x transposes %u %u alpha %a relu %u: "
					 "%llu, %llu is %llx, the sum %a", g->m, g->n, g->k, g->a.format,
					 g->b.format, format, g->a.transpose, g->b.transpose, g->alpha,
					 g->activation, (unsigned long long)i, (unsigned long long)j,
					 (unsigned long long)word, ldexp(mpz_get_d(p->sums[at]),
									 -2 * OPERAND_UNIT));
			digest += oracle_digest_element(bytes, at, word);
			exceptional += is_exceptional(format, word, &x, g->activation);
		}
		for (uint64_t at = (uint64_t)g->n * bytes; at < g->d.leading_dimension * bytes; at++)
			assert_int_equal(row[at], 0xa5);
	}
	assert_int_equal(result->digest, digest);
	assert_int_equal(result->exceptional, exceptional);
	assert_int_equal(result->macs, (uint64_t)g->m * g->n * g->k);
	dyadic_clear(&x);
	dyadic_clear(&alpha);
}

void product_judge_selected(const struct product *p, uint32_t d_format, float alpha, bool relu)
{
	struct quire_gemm g = p->g;
	size_t bytes = (size_t)g.m * (g.n + GAP) * bytes_of(d_format);
	struct quire_gemm_result result;

	g.alpha = alpha;
	g.activation = relu;
	g.d = (struct quire_gemm_output){ malloc(bytes), d_format, 0, g.n + GAP, 0 };
	assert_non_null(g.d.data);
	memset(g.d.data, 0xa5, bytes);
	assert_int_equal(quire_gemm(&g, &result), 0);
	judge(p, &g, &result);
	free(g.d.data);
}

void product_judge(const struct product *p, uint32_t d_format, float alpha, bool relu)
{
	const bool all = rnd() % 16 == 0;
	bool done = false;

	/* of the two that multiply residues one or the other */
	for (size_t x = all ? 0 : rnd() % 2; x < KERNELS && (all || !done); x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		product_judge_selected(p, d_format, alpha, relu);
		done = true;
	}
	quire_kernel_select(NULL);
}
