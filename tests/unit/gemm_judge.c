// SPDX-License-Identifier: MIT
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/number.h>

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

/* Lanes as a matrix in memory, k along its rows or across, and as integers in units of 2^-149. */
static void *seal_operand(struct quire_gemm_operand *x, bool along, uint32_t lanes, uint32_t k,
			  const double *from, mpz_t *integers)
{
	const uint32_t rows = along ? lanes : k, columns = along ? k : lanes, bytes = bytes_of(x->format);
	struct dyadic value;
	uint8_t *memory;

	x->leading_dimension = columns + rnd() % 4;
	memory = calloc(rows * x->leading_dimension, bytes);
	assert_non_null(memory);
	x->data = memory;
	dyadic_init(&value);
	for (uint32_t l = 0; l < lanes; l++)
		for (uint32_t i = 0; i < k; i++) {
			const size_t at = (size_t)l * k + i;
			const uint64_t place = along ? l * x->leading_dimension + i :
						       i * x->leading_dimension + l;
			uint64_t word = word_of(x->format, from[at]);

			memcpy(memory + place * bytes, &word, bytes);
			assert_int_equal(oracle_value(x->format, word, &value), ORACLE_FINITE);
			mpz_init(integers[at]);
			if (mpz_sgn(value.m) == 0)
				continue;
			assert_true(value.e >= -OPERAND_UNIT);
			mpz_mul_2exp(integers[at], value.m, (mp_bitcnt_t)(value.e + OPERAND_UNIT));
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
			digest += mix(at, word);
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

	for (size_t x = 0; x < KERNELS && (all || !done); x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		product_judge_selected(p, d_format, alpha, relu);
		done = true;
	}
	quire_kernel_select(NULL);
}
