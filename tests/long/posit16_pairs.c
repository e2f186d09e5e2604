// SPDX-License-Identifier: MIT
/*
 * All 2^32 pairs of posit16, added and multiplied.  The exact result is compared with
 * the two decision points of the word that the library gives.  Both are exact in
 * plain arithmetic, so the oracle costs a few nanoseconds:
 *	a product has at most 24 bits and an exponent within +-112: a double;
 *	a sum is a multiple of 2^-56 below 2^58, a decision point (a posit of 17
 *	bits) a multiple of 2^-60 below 2^60: a 128-bit integer in units of 2^-60.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include <quirenum/posit.h>

#include "oracle.h"

#define WORDS 65536
#define NAR 0x8000
#define WORKERS_MOST 64

typedef __int128 fixed;

#define FIXED_INFINITY ((fixed)1 << 125)

/* Of each word: its value and the decision points below and above it. */
static struct {
	double value, low, high;
} real[WORDS];
static struct {
	fixed value, low, high;
} whole[WORDS];

static _Atomic uint32_t next_row;
static _Atomic uint64_t wrong, checked;

static double real_of(const struct dyadic *d)
{
	return ldexp(mpz_get_d(d->m), (int)d->e);
}

static fixed fixed_of(const struct dyadic *d)
{
	return (fixed)mpz_get_si(d->m) << (d->e + 60);
}

static void decision(int32_t word, struct dyadic *d, double *x, fixed *y)
{
	oracle_value(QUIRE_FORMAT_POSIT(17), (uint64_t)(uint32_t)word & 0x1ffff, d);
	*x = real_of(d);
	*y = fixed_of(d);
}

static void fill_tables(void)
{
	struct dyadic d;

	dyadic_init(&d);
	for (int32_t s = -32767; s <= 32767; s++) {
		uint32_t word = (uint32_t)s & 0xffff;

		oracle_value(QUIRE_FORMAT_POSIT16, word, &d);
		real[word].value = real_of(&d);
		whole[word].value = fixed_of(&d);
		if (s == 0)
			continue;	/* only 0 itself */
		/* next to 0 the decision point is 0, and never reached: 1 and -1 are odd */
		if (s != 1)
			decision(2 * s - 1, &d, &real[word].low, &whole[word].low);
		if (s != -1)
			decision(2 * s + 1, &d, &real[word].high, &whole[word].high);
	}
	real[0x7fff].high = INFINITY;
	whole[0x7fff].high = FIXED_INFINITY;
	real[0x8001].low = -INFINITY;
	whole[0x8001].low = -FIXED_INFINITY;
	dyadic_clear(&d);
}

static bool product_is_right(uint32_t a, uint32_t b, uint32_t word)
{
	double exact = real[a].value * real[b].value;

	return word % 2 ? exact > real[word].low && exact < real[word].high :
			  exact >= real[word].low && exact <= real[word].high;
}

static bool sum_is_right(uint32_t a, uint32_t b, uint32_t word)
{
	fixed exact = whole[a].value + whole[b].value;

	return word % 2 ? exact > whole[word].low && exact < whole[word].high :
			  exact >= whole[word].low && exact <= whole[word].high;
}

static uint64_t check_row(uint32_t a, uint32_t (*operation)(unsigned int, uint32_t, uint32_t),
			  bool (*is_right)(uint32_t, uint32_t, uint32_t))
{
	uint64_t bad = 0;

	for (uint32_t b = 0; b < WORDS; b++) {
		uint32_t got = operation(16, a, b) & 0xffff;
		bool right = a == NAR || b == NAR ? got == NAR : got != NAR && is_right(a, b, got);

		if (!right && !bad++)
			fprintf(stderr, "%#x and %#x do not give %#x\n", a, b, got);
	}
	return bad;
}

static void *products(void *argument)
{
	uint32_t a;

	(void)argument;
	while ((a = atomic_fetch_add(&next_row, 1)) < WORDS) {
		wrong += check_row(a, quire_posit_mul, product_is_right);
		checked += WORDS;
	}
	return NULL;
}

static void *sums(void *argument)
{
	uint32_t a;

	(void)argument;
	while ((a = atomic_fetch_add(&next_row, 1)) < WORDS) {
		wrong += check_row(a, quire_posit_add, sum_is_right);
		checked += WORDS;
	}
	return NULL;
}

static void run(void *(*work)(void *))
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t worker[WORKERS_MOST];

	if (count < 1 || count > WORKERS_MOST)
		count = count < 1 ? 1 : WORKERS_MOST;
	next_row = 0;
	wrong = 0;
	checked = 0;
	for (long i = 0; i < count; i++)
		assert_int_equal(pthread_create(&worker[i], NULL, work, NULL), 0);
	for (long i = 0; i < count; i++)
		pthread_join(worker[i], NULL);
	assert_int_equal(checked, 1ull << 32);
	assert_int_equal(wrong, 0);
}

static void all_products(void **state)
{
	(void)state;
	run(products);
}

static void all_sums(void **state)
{
	(void)state;
	run(sums);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_products),
		cmocka_unit_test(all_sums),
	};

	fill_tables();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
