// SPDX-License-Identifier: MIT
/*
 * Sums that a few small elements decide: without them each is half-way between two elements of D,
 * or 0, and with them above, below or still there.  A kernel that takes small elements roughly has
 * to see all of these.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <quirenum/threads.h>

#include "gemm_jobs.h"
#include "gemm_judge.h"

/*
 * Row i of A and column j of B, with p to w any of -1, 0 and 1 for each of them:
 *
 *	k		row		column
 *	NUMBER...	parts of a number	sign
 *	SMALL_A		s small		1
 *	SMALL_B		1		r small
 *	SMALL_BOTH	q small		p small
 *	SMALL_ZERO	small		0
 *	ZERO_SMALL	0		small
 *	LOW_BIT_A	1 + t low	1
 *	LESS_A		-1		1
 *	LOW_BIT_B	1		1 + u low
 *	LESS_B		1		-1
 *	LOW_BITS	1 + v low	1 + w low
 *	LESS_BOTH	-1		1
 *	MANY...		s small, 1	1, r small	s and r any at each k
 *	then pairs	y, -y		z, z
 *
 * The sum is sign number + (s + r) small + q p small^2 + (t + u + v + w) low + v w low^2.
 */
#define PARTS 8
enum place {
	NUMBER, SMALL_A = PARTS, SMALL_B, SMALL_BOTH, SMALL_ZERO, ZERO_SMALL, LOW_BIT_A, LESS_A, LOW_BIT_B,
	LESS_B, LOW_BITS, LESS_BOTH, MANY,
};

/* How many sums are at a decision before the small ones come. */
enum ties { EVERY, SOME_ROWS, ONE };

/* What a product is made from; numbers are times 2^a_scale in A and times 2^b_scale in B. */
struct doubt {
	uint32_t d_format, m, n, k;
	uint32_t a_format, b_format;
	int a_scale, b_scale;
	uint32_t many;			/* k's of MANY */
	int grid;			/* ordinary numbers are odd multiples of 2^grid; 0: normal ones */
	double small, low;
	enum ties ties;
	bool zeros;			/* sums are 0 */
	bool scattered;			/* rows are of many sizes */
	uint32_t places;		/* bit mask of those that are not 0 */
};

static double random_sign(void)
{
	return (double)(rnd() % 3) - 1;
}

static double ordinary(const struct doubt *d)
{
	double x = -6;

	if (d->grid)
		return ldexp((double)(2 * (rnd() % (1ull << -d->grid)) + 1), d->grid) * (rnd() % 2 ? 1 : -1);
	for (int u = 0; u < 12; u++)
		x += (double)(rnd() >> 11) * 0x1p-53;
	return x;
}

/* x as a sum of numbers of a format; false: it is not. */
static bool split(uint32_t format, double x, double part[PARTS])
{
	for (int i = 0; i < PARTS; i++) {
		part[i] = x == 0 ? 0 : nearest(format, x);
		x -= part[i];
	}
	return x == 0;
}

/* Parts of a number near 2^scale that is at a decision when multiplied by 2^shift. */
static void make_number(const struct doubt *d, int shift, int scale, double part[PARTS])
{
	bool done = false;
	mpz_t number;

	mpz_init(number);
	for (int tries = 0; !done; tries++) {
		assert_true(tries < 100000);
		decision(d->d_format, shift + scale, 7, number);
		done = split(d->a_format, ldexp(mpz_get_d(number), -UNIT - shift + d->a_scale), part);
	}
	mpz_clear(number);
}

/* Do both formats have it at their scales? */
static bool is_common(const struct doubt *d, double x)
{
	const double in_a = ldexp(x, d->a_scale), in_b = ldexp(x, d->b_scale);

	return nearest(d->a_format, in_a) == in_a && nearest(d->b_format, in_b) == in_b;
}

/* A number of at most three significant bits near 2^-depth, or what is nearest to it and common. */
static double small_number(const struct doubt *d, uint32_t depth)
{
	for (int tries = 0;; tries++) {
		const double x = ldexp((double)(1 + rnd() % 7), -(int)(depth + rnd() % 5));

		if (is_common(d, x))
			return x;
		if (tries % 8 == 7)
			depth = depth > 1 ? depth - 1 : 1;
	}
}

/* The last bit of a number near 1 that both formats have. */
static double low_bit(const struct doubt *d)
{
	double low = 0.5;

	while (is_common(d, 1 + low / 2))
		low /= 2;
	return low;
}

static bool has(const struct doubt *d, enum place place)
{
	return d->places >> place & 1;
}

/* How much larger than others a row can be, so that there are decisions for it. */
static int row_scale(const struct doubt *d, int shift)
{
	int scale;
	mpz_t number;

	mpz_init(number);
	scale = decision(d->d_format, shift, 25, number) - shift;
	mpz_clear(number);
	return d->scattered ? scale : 0;
}

static void make_row(const struct doubt *d, double *a, int shift, bool tie)
{
	const int scale = row_scale(d, shift);
	const double unit = ldexp(1, d->a_scale + scale);

	if (!d->zeros)
		make_number(d, shift, scale, a + NUMBER);
	if (!tie && !d->zeros) {
		a[NUMBER] *= 1 + (double)(rnd() % 1024) / 1024;
		a[NUMBER + 1] = 0;
	}
	a[SMALL_A] = random_sign() * d->small * unit;
	a[SMALL_B] = unit;
	a[SMALL_BOTH] = random_sign() * d->small * unit;
	a[SMALL_ZERO] = d->small * unit;
	a[LOW_BIT_A] = (1 + random_sign() * d->low) * unit;
	a[LESS_A] = -unit;
	a[LOW_BIT_B] = a[LESS_B] = unit;
	a[LOW_BITS] = (1 + random_sign() * d->low) * unit;
	a[LESS_BOTH] = -unit;
	for (uint32_t place = SMALL_A; place < MANY; place++)
		a[place] *= has(d, place);
	for (uint32_t k = MANY; k < MANY + d->many; k++)
		a[k] = k % 2 ? random_sign() * d->small * unit : unit;
	for (uint32_t k = MANY + d->many; k + 1 < d->k; k += 2) {
		a[k] = ordinary(d) * unit;
		a[k + 1] = -a[k];
	}
}

static void make_column(const struct doubt *d, double *b, bool tie)
{
	const double unit = ldexp(1, d->b_scale), sign = rnd() % 2 ? unit : -unit;

	for (int i = 0; i < PARTS; i++)
		b[NUMBER + i] = sign;
	if (!tie)
		b[NUMBER] *= 1 + (double)(rnd() % 8) / 8;
	b[SMALL_A] = unit;
	b[SMALL_B] = random_sign() * d->small * unit;
	b[SMALL_BOTH] = random_sign() * d->small * unit;
	b[ZERO_SMALL] = d->small * unit;
	b[LOW_BIT_A] = b[LESS_A] = unit;
	b[LOW_BIT_B] = (1 + random_sign() * d->low) * unit;
	b[LESS_B] = -unit;
	b[LOW_BITS] = (1 + random_sign() * d->low) * unit;
	b[LESS_BOTH] = unit;
	for (uint32_t place = SMALL_A; place < MANY; place++)
		b[place] *= has(d, place);
	for (uint32_t k = MANY; k < MANY + d->many; k++)
		b[k] = k % 2 ? unit : random_sign() * d->small * unit;
	for (uint32_t k = MANY + d->many; k + 1 < d->k; k += 2)
		b[k] = b[k + 1] = ordinary(d) * unit;
	if ((d->k - MANY - d->many) % 2)
		b[d->k - 1] = ordinary(d) * unit;	/* times 0 */
}

/* The same order of k in all lanes, any. */
static void shuffle(struct product *p)
{
	const uint32_t k = p->g.k;

	for (uint32_t i = k - 1; i > 0; i--) {
		const uint32_t j = (uint32_t)(rnd() % (i + 1));

		for (uint32_t l = 0; l < p->g.m + p->g.n; l++) {
			double *lane = l < p->g.m ? p->a + (size_t)l * k : p->b + (size_t)(l - p->g.m) * k;
			double x = lane[i];

			lane[i] = lane[j];
			lane[j] = x;
		}
	}
}

/* Returns the shift that alpha has to make up for. */
static int make_product(const struct doubt *d, struct product *p)
{
	static const int shifts[] = { 0, 0, 1, -1, 3, -3 };
	const int scale = d->a_scale + d->b_scale;
	const uint32_t row = (uint32_t)(rnd() % d->m), column = (uint32_t)(rnd() % d->n);
	mpz_t number;
	int shift;

	mpz_init(number);
	shift = decision(d->d_format, 0, 200, number) - 1 + shifts[rnd() % 6];
	mpz_clear(number);
	/* alpha is of FP32 */
	shift = shift > scale + 126 ? scale + 126 : shift < scale - 148 ? scale - 148 : shift;
	shift = shift > 125 ? 125 : shift < -148 ? -148 : shift;
	product_init(p, d->m, d->n, d->k, d->a_format, d->b_format);
	p->g.a.transpose = rnd() % 2;
	p->g.b.transpose = rnd() % 2;
	for (uint32_t i = 0; i < d->m; i++)
		make_row(d, p->a + (size_t)i * d->k, shift,
			 d->ties == EVERY || (d->ties == SOME_ROWS ? rnd() % 8 == 0 : i == row));
	for (uint32_t j = 0; j < d->n; j++)
		make_column(d, p->b + (size_t)j * d->k, d->ties != ONE || j == column);
	shuffle(p);
	product_seal(p);
	return shift;
}

static void one_doubt(const struct doubt *d, struct quire_threads *threads)
{
	struct product p;
	int shift = make_product(d, &p) - d->a_scale - d->b_scale;
	float alpha = ldexpf(rnd() % 2 ? 1 : -1, shift);

	p.g.threads = threads;
	product_judge(&p, d->d_format, alpha, rnd() % 4 == 0);
	product_free(&p);
}

#define RESULTS 9
static const uint32_t results[RESULTS] = {
	QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16,
	QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
};

/* Those with the numbers that the decisions are made from. */
static uint32_t operand_format(uint32_t d_format)
{
	static const uint32_t few[] = { QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP32, QUIRE_FORMAT_POSIT16,
					QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16, QUIRE_FORMAT_POSIT8 };

	return few[rnd() % (width_of(d_format) > 16 ? 4 : width_of(d_format) > 8 ? 5 : 6)];
}

static bool is_wide(uint32_t format)
{
	return format == QUIRE_FORMAT_FP32 || format == QUIRE_FORMAT_BF16;
}

static struct doubt random_doubt(uint32_t d_format)
{
	static const uint32_t pairs[] = { 4, 24, 24, 60, 130 };
	struct doubt d = { .d_format = d_format };

	d.a_format = operand_format(d_format);
	d.b_format = rnd() % 2 ? d.a_format : operand_format(d_format);
	d.m = 1 + (uint32_t)(rnd() % 20);
	d.n = 1 + (uint32_t)(rnd() % 60);
	d.k = MANY + 2 * pairs[rnd() % 5] + (uint32_t)(rnd() % 9);
	if (is_wide(d.a_format) && rnd() % 3 == 0)
		d.a_scale = (int)(rnd() % 60) - 30;
	if (is_wide(d.b_format) && rnd() % 3 == 0)
		d.b_scale = (int)(rnd() % 60) - 30;
	d.scattered = is_wide(d.a_format) && rnd() % 3 == 0;
	d.grid = rnd() % 2 ? -(int)(1 + rnd() % 12) : 0;
	d.small = small_number(&d, (uint32_t)(8 + rnd() % 53));
	d.low = low_bit(&d);
	d.ties = (enum ties)(rnd() % 3);
	d.zeros = rnd() % 5 == 0;
	/* all, or some */
	d.places = rnd() % 3 ? (uint32_t)(rnd() & rnd()) : ~0u;
	for (uint32_t place = LOW_BIT_A; place < MANY; place += 2)
		d.places = (d.places & ~(2u << place)) | (d.places & 1u << place) << 1;
	return d;
}

static void decided_by_small_elements(void **state)
{
	struct quire_threads *threads = quire_threads_create(3);

	(void)state;
	assert_non_null(threads);
	for (int f = 0; f < RESULTS; f++)
		for (int i = 0; i < 60; i++) {
			const struct doubt d = random_doubt(results[f]);

			one_doubt(&d, i % 4 ? NULL : threads);
		}
	quire_threads_destroy(threads);
}

/* One place alone: what could be lost is one term, of both when both are small. */
static void decided_by_one_element(void **state)
{
	static const uint32_t places[] = {
		1u << SMALL_A, 1u << SMALL_B, 1u << SMALL_BOTH, 1u << LOW_BIT_A | 1u << LESS_A,
		1u << LOW_BIT_B | 1u << LESS_B, 1u << LOW_BITS | 1u << LESS_BOTH,
	};

	(void)state;
	for (int f = 0; f < RESULTS; f++)
		for (int i = 0; i < 36; i++) {
			struct doubt d = random_doubt(results[f]);

			d.places = places[i % 6];
			d.zeros = i / 6 % 3 == 0;
			one_doubt(&d, NULL);
		}
}

/* More small elements than anybody would keep apart, each of which may decide. */
static void decided_by_many_elements(void **state)
{
	(void)state;
	for (int f = 0; f < RESULTS; f++)
		for (int i = 0; i < 20; i++) {
			struct doubt d = random_doubt(results[f]);

			d.many = 2 + (uint32_t)(rnd() % 150);
			d.k = MANY + d.many + 150 + (uint32_t)(rnd() % 100);
			d.m = 1 + (uint32_t)(rnd() % 9);
			one_doubt(&d, NULL);
		}
}

/*
 * Ordinary numbers that are odd multiples of a unit, of any exponent, and small ones that are a half
 * of it, a quarter or three: ties of the rounding to the unit, and what comes next to them.
 */
static void halves_of_any_unit(void **state)
{
	static const uint32_t wide[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_BF16 };

	(void)state;
	for (int scale = -60; scale <= 60; scale++) {
		struct doubt d = random_doubt(results[(uint32_t)(scale + 60) % RESULTS]);

		d.a_format = wide[rnd() % 2];
		d.b_format = wide[rnd() % 2];
		d.scattered = false;
		d.a_scale = scale;
		d.b_scale = rnd() % 2 ? scale : -scale;
		d.k = MANY + 2 * (uint32_t)(20 + rnd() % 30);
		d.grid = -(int)(1 + rnd() % 7);
		d.low = ldexp(1, d.grid < -6 ? -7 : d.grid - 1);
		d.small = ldexp((double)(1 + 2 * (rnd() % 2)), d.grid - 1 - (int)(rnd() % 2));
		one_doubt(&d, NULL);
	}
}

/*
 * One operand near the largest numbers of its format, the other near the least, so that sums are
 * ordinary ones: units of lanes that are taken roughly lie anywhere in the range of exponents.
 */
static void decided_at_the_ends_of_the_range(void **state)
{
	static const uint32_t wide[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_BF16 };

	(void)state;
	for (int f = 0; f < RESULTS; f++)
		for (int i = 0; i < 60; i++) {
			struct doubt d = random_doubt(results[f]);
			const int scale = 124 - i % 12, other = -scale + (int)(rnd() % 30);

			d.a_format = wide[rnd() % 2];
			d.b_format = wide[rnd() % 2];
			d.scattered = false;
			d.grid = 0;
			d.a_scale = rnd() % 2 ? scale : other;
			d.b_scale = d.a_scale == scale ? other : scale;
			d.zeros = d.a_scale > 119 || d.a_scale < 0 || rnd() % 2;
			d.small = small_number(&d, (uint32_t)(4 + rnd() % 20));
			d.low = low_bit(&d);
			d.k = MANY + 2 * (uint32_t)(60 + rnd() % 100);
			one_doubt(&d, NULL);
		}
}

/* The least number of FP32 decides, in lanes that are taken in units of a few times it and more. */
static void decided_by_the_least_number(void **state)
{
	(void)state;
	for (int f = 0; f < RESULTS; f++)
		for (int scale = -140; scale < -100; scale++) {
			struct doubt d = random_doubt(results[f]);

			d.a_format = d.b_format = QUIRE_FORMAT_FP32;
			d.scattered = false;
			d.grid = scale < -130 ? 0 : -(int)(1 + rnd() % 4);
			d.a_scale = 100;
			d.b_scale = scale;
			d.small = ldexp(1, -149 - scale);
			d.places = 1u << SMALL_B;
			d.zeros = rnd() % 2;
			d.k = MANY + 2 * (uint32_t)(60 + rnd() % 100);
			one_doubt(&d, NULL);
		}
}

/* As few k's and as many as there can be in one sum. */
static void shortest_and_longest(void **state)
{
	static const uint32_t depth[] = { MANY, MANY + 1, 64, 65, 255, 1000, 1024, 4096, 4097 };

	(void)state;
	for (int f = 0; f < RESULTS; f++)
		for (size_t i = 0; i < sizeof(depth) / sizeof(depth[0]); i++) {
			struct doubt d = random_doubt(results[f]);

			d.k = depth[i];
			d.m = 1 + (uint32_t)(rnd() % (d.k > 1000 ? 3 : 9));
			d.n = 1 + (uint32_t)(rnd() % (d.k > 1000 ? 9 : 60));
			one_doubt(&d, NULL);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decided_by_small_elements),
		cmocka_unit_test(decided_by_one_element),
		cmocka_unit_test(decided_by_many_elements),
		cmocka_unit_test(halves_of_any_unit),
		cmocka_unit_test(decided_at_the_ends_of_the_range),
		cmocka_unit_test(decided_by_the_least_number),
		cmocka_unit_test(shortest_and_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
