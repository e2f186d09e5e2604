// SPDX-License-Identifier: MIT
/*
 * The exact GEMM, bit for bit, against an oracle in GMP integers that shares no code
 * with the library: values are integers times 2^-600, rounding is a search over
 * the patterns of the format by their decoded values.
 */
#include <gmp.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/gemm.h>
#include <quirenum/threads.h>

#define UNIT 600

enum special { FINITE, NAN_, PINF, NINF };

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static uint32_t width_of(uint32_t f)
{
	return QUIRE_FORMAT_BITS(f);
}

static uint32_t bytes_of(uint32_t f)
{
	uint32_t w = width_of(f);

	return f == QUIRE_FORMAT_QUIRE ? 80 : w <= 8 ? 1 : w <= 16 ? 2 : w <= 32 ? 4 : 8;
}

static bool is_posit(uint32_t f)
{
	return QUIRE_FORMAT_KIND(f) == QUIRE_KIND_POSIT;
}

static void ieee_shape(uint32_t f, int *frac, int *expo)
{
	*frac = f == QUIRE_FORMAT_FP16 ? 10 : f == QUIRE_FORMAT_FP32 ? 23 : f == QUIRE_FORMAT_FP64 ? 52 :
		f == QUIRE_FORMAT_BF16 ? 7 : f == QUIRE_FORMAT_E4M3 ? 3 : 2;
	*expo = (int)width_of(f) - 1 - *frac;
}

/* v * 2^UNIT as an integer; FP64 patterns of tiny numbers are not asked for */
static enum special decode(uint32_t f, uint64_t bits, mpz_t v)
{
	uint32_t w = width_of(f);
	bool neg = bits >> (w - 1) & 1;
	int frac, expo;
	int64_t e;

	mpz_set_ui(v, 0);
	if (f == QUIRE_FORMAT_INT8) {
		mpz_set_si(v, (int8_t)bits);
		mpz_mul_2exp(v, v, UNIT);
		return FINITE;
	}
	if (is_posit(f)) {
		uint64_t m = neg ? -bits & ((1ull << w) - 1) : bits;
		int i = (int)w - 2, run = 0, first;

		if (bits == 0)
			return FINITE;
		if (bits == 1ull << (w - 1))
			return NAN_;
		first = m >> i & 1;
		while (i >= 0 && (int)(m >> i & 1) == first) {
			run++;
			i--;
		}
		i--;
		e = 4 * (first ? run - 1 : -run);
		for (int b = 2; b; b >>= 1, i--)
			if (i >= 0 && m >> i & 1)
				e += b;
		mpz_set_ui(v, 1);
		for (frac = 0; i >= 0; i--, frac++) {
			mpz_mul_2exp(v, v, 1);
			mpz_add_ui(v, v, m >> i & 1);
		}
		mpz_mul_2exp(v, v, (unsigned long)(UNIT + e - frac));
	} else {
		uint64_t field, m;

		ieee_shape(f, &frac, &expo);
		field = bits >> frac & ((1ull << expo) - 1);
		m = bits & ((1ull << frac) - 1);
		if (f == QUIRE_FORMAT_E4M3) {
			if ((bits & 0x7f) == 0x7f)
				return NAN_;
		} else if (field == (1ull << expo) - 1) {
			return m ? NAN_ : neg ? NINF : PINF;
		}
		e = (int64_t)(field ? field : 1) - ((1 << (expo - 1)) - 1) - frac;
		mpz_set_ui(v, m + (field ? 1ull << frac : 0));
		if (UNIT + e >= 0)
			mpz_mul_2exp(v, v, (unsigned long)(UNIT + e));
		else
			mpz_tdiv_q_2exp(v, v, (unsigned long)-(UNIT + e));
	}
	if (neg)
		mpz_neg(v, v);
	return FINITE;
}

static uint64_t nan_bits(uint32_t f)
{
	switch (f) {
	case QUIRE_FORMAT_FP16: return 0x7e00;
	case QUIRE_FORMAT_FP32: return 0x7fc00000;
	case QUIRE_FORMAT_FP64: return 0x7ff8000000000000;
	case QUIRE_FORMAT_BF16: return 0x7fc0;
	case QUIRE_FORMAT_E4M3: return 0x7f;
	case QUIRE_FORMAT_E5M2: return 0x7e;
	}
	return 1ull << (width_of(f) - 1);
}

/* Largest finite magnitude pattern. */
static uint64_t largest(uint32_t f)
{
	int frac, expo;

	if (is_posit(f) || f == QUIRE_FORMAT_INT8)
		return (1ull << (width_of(f) - 1)) - 1;
	if (f == QUIRE_FORMAT_E4M3)
		return 0x7e;
	ieee_shape(f, &frac, &expo);
	return (((1ull << expo) - 1) << frac) - 1;
}

static uint64_t encode(uint32_t f, enum special s, const mpz_t value)
{
	uint32_t w = width_of(f);
	uint64_t sign = 1ull << (w - 1), lo = 0, hi = largest(f), top = hi, r;
	mpz_t mag, mid, v;
	int c;

	if (s == NAN_)
		return nan_bits(f);
	if (s != FINITE) {
		if (is_posit(f))
			return nan_bits(f);
		if (f == QUIRE_FORMAT_INT8)
			return s == PINF ? 0x7f : 0x80;
		r = f == QUIRE_FORMAT_E4M3 ? top : top + 1;
		return s == PINF ? r : r | sign;
	}
	if (mpz_sgn(value) == 0)
		return 0;
	mpz_inits(mag, mid, v, NULL);
	mpz_abs(mag, value);
	while (lo < hi) {	/* largest pattern not above mag */
		uint64_t m = lo + (hi - lo + 1) / 2;

		decode(f, m, v);
		if (mpz_cmp(v, mag) <= 0)
			lo = m;
		else
			hi = m - 1;
	}
	r = lo;
	decode(f, lo, v);
	if (mpz_cmp(v, mag) != 0) {
		if (is_posit(f)) {
			if (lo == 0) {
				r = 1;
			} else if (lo < top) {
				decode(QUIRE_FORMAT_POSIT(w + 1), lo << 1 | 1, mid);
				c = mpz_cmp(mag, mid);
				r = lo + (c > 0 || (c == 0 && lo & 1));
			}
		} else {
			/* the next value: beyond the largest, as if the range went on */
			if (lo < top) {
				decode(f, lo + 1, mid);
				mpz_add(mid, mid, v);
			} else {
				mpz_t below;

				mpz_init(below);
				decode(f, lo - 1, below);
				mpz_mul_ui(mid, v, 3);
				mpz_sub(mid, mid, below);
				mpz_clear(below);
			}
			mpz_mul_ui(mag, mag, 2);
			c = mpz_cmp(mag, mid);
			r = lo + (c > 0 || (c == 0 && lo & 1));
			if ((f == QUIRE_FORMAT_E4M3 || f == QUIRE_FORMAT_INT8) && r > top)
				r = top;
			if (f == QUIRE_FORMAT_INT8 && mpz_sgn(value) < 0) {
				mpz_set_ui(mid, 255);
				mpz_mul_2exp(mid, mid, UNIT);
				if (mpz_cmp(mag, mid) >= 0)	/* 2 * 127.5, even is 128 */
					r = 128;
			}
		}
	}
	if (mpz_sgn(value) < 0) {
		if (is_posit(f) || f == QUIRE_FORMAT_INT8)
			r = -r & (sign | (sign - 1));
		else
			r |= sign;
	}
	mpz_clears(mag, mid, v, NULL);
	return r;
}

static uint64_t load(uint32_t f, const void *data, uint64_t index)
{
	uint64_t bits = 0;

	memcpy(&bits, (const uint8_t *)data + index * bytes_of(f), bytes_of(f));
	return width_of(f) == 64 ? bits : bits & ((1ull << width_of(f)) - 1);
}

static enum special join(enum special x, enum special y)
{
	if (x == FINITE)
		return y;
	return y == FINITE || x == y ? x : NAN_;
}

static enum special negate(enum special s, bool yes)
{
	return !yes ? s : s == PINF ? NINF : s == NINF ? PINF : s;
}

/* v is in units 2^-UNIT; the sum in units 2^-2*UNIT */
static enum special add_term(mpz_t sum, float factor, enum special s, const mpz_t v)
{
	uint32_t word;
	mpz_t f;

	if (factor == 0)
		return FINITE;
	if (s != FINITE)
		return negate(s, factor < 0);
	memcpy(&word, &factor, 4);
	mpz_init(f);
	decode(QUIRE_FORMAT_FP32, word, f);
	mpz_addmul(sum, f, v);
	mpz_clear(f);
	return FINITE;
}

static enum special dot(const struct quire_gemm *g, uint64_t b, uint64_t i, uint64_t j, mpz_t sum)
{
	enum special all = FINITE, s, t;
	mpz_t x, y;

	mpz_inits(x, y, NULL);
	mpz_set_ui(sum, 0);
	for (uint64_t k = 0; k < g->k; k++) {
		s = decode(g->a.format, load(g->a.format, g->a.data, b * g->a.batch_stride +
			(g->a.transpose ? k * g->a.leading_dimension + i :
					  i * g->a.leading_dimension + k)), x);
		t = decode(g->b.format, load(g->b.format, g->b.data, b * g->b.batch_stride +
			(g->b.transpose ? j * g->b.leading_dimension + k :
					  k * g->b.leading_dimension + j)), y);
		if (s == NAN_ || t == NAN_)
			all = NAN_;
		else if (s || t) {
			bool zero = (!s && !mpz_sgn(x)) || (!t && !mpz_sgn(y));
			bool neg = (s ? s == NINF : mpz_sgn(x) < 0) ^ (t ? t == NINF : mpz_sgn(y) < 0);

			all = join(all, zero ? NAN_ : neg ? NINF : PINF);
		} else {
			mpz_addmul(sum, x, y);
		}
	}
	/* a product of FP32 is a multiple of 2^-298: nothing is lost */
	mpz_fdiv_q_2exp(sum, sum, UNIT);
	mpz_clears(x, y, NULL);
	return all;
}

static enum special fp32_chain(const struct quire_gemm *g, uint64_t i, uint64_t j, mpz_t sum)
{
	float s = 0;
	uint32_t word;

	for (uint64_t k = 0; k < g->k; k++) {
		uint32_t x = (uint32_t)load(g->a.format, g->a.data, g->a.transpose ?
			k * g->a.leading_dimension + i : i * g->a.leading_dimension + k) << 16;
		uint32_t y = (uint32_t)load(g->b.format, g->b.data, g->b.transpose ?
			j * g->b.leading_dimension + k : k * g->b.leading_dimension + j) << 16;
		float p, q;

		memcpy(&p, &x, 4);
		memcpy(&q, &y, 4);
		s = fmaf(p, q, s);
	}
	memcpy(&word, &s, 4);
	return decode(QUIRE_FORMAT_FP32, word, sum);
}

static uint64_t mix(uint64_t index, uint64_t bits)
{
	uint64_t x = bits + (index + 1) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
	x = (x ^ x >> 29) * 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

/* Element (i, j): its pattern, or for an image its ten words. */
static void expect(const struct quire_gemm *g, const void *c, uint64_t b, uint64_t i, uint64_t j,
		   uint64_t *out)
{
	enum special all = FINITE, s;
	mpz_t sum, total;

	mpz_inits(sum, total, NULL);
	if (g->alpha != 0) {
		s = g->arithmetic ? fp32_chain(g, i, j, sum) : dot(g, b, i, j, sum);
		all = join(all, add_term(total, g->alpha, s, sum));
	}
	if (g->beta != 0) {
		uint64_t at = b * g->c.batch_stride + i * g->c.leading_dimension + j;

		if (g->c.format == QUIRE_FORMAT_QUIRE) {
			uint64_t w[10];
			bool neg;

			memcpy(w, (const uint8_t *)c + at * 80, 80);
			neg = w[9] >> 63;
			s = FINITE;
			if (w[9] == 1ull << 63 && w[0] <= 2 && !(w[1] | w[8]))
				s = w[0] == 0 ? NAN_ : w[0] == 1 ? PINF : NINF;
			mpz_import(sum, 10, -1, 8, 0, 0, w);
			if (neg) {
				mpz_t full;

				mpz_init_set_ui(full, 1);
				mpz_mul_2exp(full, full, 640);
				mpz_sub(sum, sum, full);
				mpz_clear(full);
			}
			mpz_mul_2exp(sum, sum, UNIT - 298);
		} else {
			s = decode(g->c.format, load(g->c.format, c, at), sum);
		}
		all = join(all, add_term(total, g->beta, s, sum));
	}
	if (g->bias_kind) {
		s = decode(g->bias_format, load(g->bias_format, g->bias, g->bias_kind ==
			QUIRE_GEMM_BIAS_PER_ROW ? i : j), sum);
		all = join(all, add_term(total, 1.0f, s, sum));
	}
	if (g->d.format == QUIRE_FORMAT_QUIRE) {
		memset(out, 0, 80);
		if (all) {
			out[9] = 1ull << 63;
			out[0] = all == NAN_ ? 0 : all == PINF ? 1 : 2;
		} else {
			mpz_fdiv_q_2exp(total, total, 2 * UNIT - 298);
			mpz_fdiv_r_2exp(total, total, 640);
			mpz_export(out, NULL, -1, 8, 0, 0, total);
		}
	} else {
		/* to 2^-UNIT with everything below in the last bit, doubled for room */
		mpz_fdiv_r_2exp(sum, total, UNIT);
		mpz_fdiv_q_2exp(total, total, UNIT);
		if (mpz_sgn(sum))
			mpz_setbit(total, 0);
		*out = encode(g->d.format, all, total);
		if (g->activation && *out >> (width_of(g->d.format) - 1) & 1 &&
		    !(is_posit(g->d.format) && *out == nan_bits(g->d.format)))
			*out = 0;
	}
	mpz_clears(sum, total, NULL);
}

static const uint32_t formats[] = {
	QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_BF16,
	QUIRE_FORMAT_FP16, QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2,
	QUIRE_FORMAT_INT8, QUIRE_FORMAT_POSIT(3), QUIRE_FORMAT_POSIT(5), QUIRE_FORMAT_POSIT(11),
	QUIRE_FORMAT_POSIT(17), QUIRE_FORMAT_POSIT(27), QUIRE_FORMAT_POSIT(31),
	QUIRE_FORMAT_FP64, QUIRE_FORMAT_QUIRE,
};
#define OPERANDS 15

enum fill { NEAR_ONE, PATTERNS, PATTERNS_FINITE, FEW };

/* Sum of twelve uniforms: near enough to normal. */
static void fill(uint32_t f, void *data, uint64_t count, enum fill how)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t bits = rnd() >> (64 - (width_of(f) ? width_of(f) : 64));
		enum special s;
		mpz_t v;

		if (f == QUIRE_FORMAT_QUIRE) {
			uint64_t w[10] = { rnd(), rnd(), rnd(), rnd(), rnd(), rnd() & 0xff };

			if (rnd() % 16 == 0)
				memset(w, 0xff, 80), w[0] = rnd();
			if (how == PATTERNS && rnd() % 16 == 0)
				memset(w, 0, 80), w[9] = 1ull << 63, w[0] = rnd() % 3;
			memcpy((uint8_t *)data + i * 80, w, 80);
			continue;
		}
		mpz_init(v);
		if (how == NEAR_ONE || (how == FEW && rnd() % 64)) {
			double x = -6;

			for (int u = 0; u < 12; u++)
				x += (double)(rnd() >> 11) * 0x1p-53;
			mpz_set_si(v, (long)(x * 0x1p40));
			mpz_mul_2exp(v, v, UNIT - 40);
			bits = encode(f, FINITE, v);
		}
		s = decode(f, bits, v);
		if (s != FINITE && (how == PATTERNS_FINITE || (how == PATTERNS && rnd() % 8)))
			bits = 1;
		mpz_clear(v);
		if (is_posit(f) && bits >> (width_of(f) - 1))
			bits |= ~0ull << width_of(f) * (width_of(f) < 64);
		memcpy((uint8_t *)data + i * bytes_of(f), &bits, bytes_of(f));
	}
}

static float random_factor(bool image)
{
	static const float few[] = { 1, 1, -1, 0, 2, -0.25f, 0.1f, -3.75f, 0x1p-149f, 0x1.fffffep127f };

	return few[rnd() % (image ? 4 : sizeof(few) / sizeof(few[0]))];
}

struct job {
	struct quire_gemm g;
	void *memory[5];
	void *c_before;
	uint64_t d_bytes;
};

static void *matrix(uint32_t f, uint64_t rows, uint64_t ld, uint64_t batch, uint64_t *stride,
		    enum fill how)
{
	uint64_t count;
	void *data;

	*stride = rows * ld + rnd() % 3;
	count = *stride * batch + ld + 1;
	data = aligned_alloc(64, (count * bytes_of(f) + 127) & ~63ull);
	assert_non_null(data);
	fill(f, data, count, how);
	return data;
}

static void make(struct job *job, uint32_t m, uint32_t n, uint32_t k, uint32_t batch, uint32_t fa,
		 uint32_t fb, uint32_t fd, bool extras, enum fill how)
{
	struct quire_gemm *g = &job->g;
	bool image = fd == QUIRE_FORMAT_QUIRE;

	memset(job, 0, sizeof(*job));
	g->m = m, g->n = n, g->k = k, g->batch = batch;
	g->alpha = 1;
	g->a.format = fa, g->b.format = fb, g->d.format = fd;
	g->a.transpose = rnd() % 2, g->b.transpose = rnd() % 2;
	g->a.leading_dimension = (g->a.transpose ? m : k) + rnd() % 4;
	g->b.leading_dimension = (g->b.transpose ? k : n) + rnd() % 4;
	g->d.leading_dimension = n + rnd() % 4;
	job->memory[0] = matrix(fa, g->a.transpose ? k : m, g->a.leading_dimension, batch,
				&g->a.batch_stride, how);
	job->memory[1] = matrix(fb, g->b.transpose ? n : k, g->b.leading_dimension, batch,
				&g->b.batch_stride, how);
	job->memory[2] = matrix(fd, m, g->d.leading_dimension, batch, &g->d.batch_stride, NEAR_ONE);
	g->a.data = job->memory[0], g->b.data = job->memory[1], g->d.data = job->memory[2];
	if (!extras)
		return;
	g->alpha = random_factor(image);
	g->beta = random_factor(image);
	g->activation = !image && rnd() % 2;
	g->bias_kind = rnd() % 3;
	g->bias_format = formats[rnd() % OPERANDS];
	uint64_t ignored;
	job->memory[3] = matrix(g->bias_format, 1, m > n ? m : n, 1, &ignored, how);
	g->bias = job->memory[3];
	if (fd != QUIRE_FORMAT_FP64 && rnd() % 2) {
		g->c.format = fd;
		g->c.data = g->d.data;
		g->c.leading_dimension = g->d.leading_dimension;
		g->c.batch_stride = g->d.batch_stride;
		fill(fd, g->d.data, (batch - 1) * g->d.batch_stride + m * g->d.leading_dimension, how);
	} else {
		g->c.format = rnd() % 4 ? formats[rnd() % OPERANDS] : QUIRE_FORMAT_QUIRE;
		g->c.leading_dimension = n + rnd() % 4;
		job->memory[4] = matrix(g->c.format, m, g->c.leading_dimension, batch,
					&g->c.batch_stride, how);
		g->c.data = job->memory[4];
	}
}

static void drop(struct job *job)
{
	for (int i = 0; i < 5; i++)
		free(job->memory[i]);
}

static const char *const kernels[] = { "ifma", "avx2", "generic", "plain" };

/*
 * Run with every kernel of this machine from the same start; all must equal the
 * oracle, leave what lies between the rows alone and give the oracle's digest.
 */
static void check(struct job *job)
{
	struct quire_gemm *g = &job->g;
	uint32_t fd = g->d.format, size = bytes_of(fd), words = size == 80 ? 10 : 1;
	uint64_t bytes = ((g->batch - 1) * g->d.batch_stride + g->m * g->d.leading_dimension) * size;
	uint8_t *before = malloc(bytes), *good = malloc(bytes);
	uint64_t digest = 0;

	memcpy(before, g->d.data, bytes);
	memcpy(good, before, bytes);
	for (uint64_t b = 0; b < g->batch; b++)
		for (uint64_t i = 0; i < g->m; i++)
			for (uint64_t j = 0; j < g->n; j++) {
				uint64_t at = b * g->d.batch_stride + i * g->d.leading_dimension + j;
				uint64_t index = (b * g->m + i) * g->n + j, out[10];

				expect(g, g->c.data == g->d.data ? before : g->c.data, b, i, j, out);
				for (uint32_t w = 0; w < words; w++)
					digest += mix(index * words + w, out[w]);
				if (is_posit(fd) && out[0] >> (width_of(fd) - 1))
					out[0] |= ~0ull << width_of(fd);
				memcpy(good + at * size, out, size);
			}
	for (size_t x = 0; x < sizeof(kernels) / sizeof(kernels[0]); x++) {
		struct quire_gemm_result r;

		if (quire_kernel_select(kernels[x]))
			continue;
		memcpy(g->d.data, before, bytes);
		assert_int_equal(quire_gemm(g, &r), 0);
		for (uint64_t at = 0; at < bytes; at++)
			if (((uint8_t *)g->d.data)[at] != good[at])
				fail_msg("%s: m %u n %u k %u formats %x %x %x alpha %a beta %a byte %llu is %02x not %02x",
					 kernels[x], g->m, g->n, g->k, g->a.format, g->b.format, fd,
					 g->alpha, g->beta, (unsigned long long)at,
					 ((uint8_t *)g->d.data)[at], good[at]);
		assert_int_equal(r.digest, digest);
		assert_int_equal(r.macs, (uint64_t)g->m * g->n * g->k * g->batch);
	}
	quire_kernel_select(NULL);
	free(before);
	free(good);
}

static void one(uint32_t m, uint32_t n, uint32_t k, uint32_t fa, uint32_t fb, uint32_t fd,
		bool extras, enum fill how)
{
	struct job job;

	make(&job, m, n, k, 1, fa, fb, fd, extras, how);
	check(&job);
	drop(&job);
}

/*
 * The AVX-512 kernel computes modulo as many of these as the product of the lanes' norms asks
 * for: their product is more than twice that.
 */
static const uint32_t moduli[] = { 256, 255, 253, 251, 247, 241, 239, 233, 229, 227, 223, 217 };

/*
 * Rows and columns of equal elements, but for a 1 that fixes the unit: the sums are as large as
 * their bound, up to the rounding of the elements, and lie right below and above each border.
 */
static void sums_at_borders_of_moduli(void **state)
{
	static const double factor[] = { 0.2501, 0.4978, 0.4982, 0.4999, 0.5001, 0.99, 1.01 };
	enum { M = 9, N = 50, K = 61 };
	double product = 1;

	(void)state;
	for (size_t p = 0; p < sizeof(moduli) / sizeof(moduli[0]); p++) {
		product *= moduli[p];
		for (size_t x = 0; x < sizeof(factor) / sizeof(factor[0]); x++) {
			const float element = (float)sqrt(product * factor[x] / K);
			float a[M * K], b[K * N];
			double d[M * N];
			struct job job = { .g = { .m = M, .n = N, .k = K, .batch = 1, .alpha = 1 } };

			for (int i = 0; i < M; i++)
				for (int k = 0; k < K; k++)
					a[i * K + k] = i % 3 == 1 || (i % 3 == 2 && k % 2) ? -element : element;
			for (int k = 0; k < K; k++)
				for (int j = 0; j < N; j++)
					b[k * N + j] = j % 4 == 3 && k % 3 ? -element : element;
			for (int i = 0; i < M; i++)
				a[i * K + (int)(rnd() % K)] = 1;
			for (int j = 0; j < N; j++)
				b[(int)(rnd() % K) * N + j] = 1;
			memset(d, 0, sizeof(d));
			job.g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_FP32, 0, K, 0 };
			job.g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_FP32, 0, N, 0 };
			job.g.d = (struct quire_gemm_output){ d, QUIRE_FORMAT_FP64, 0, N, 0 };
			check(&job);
		}
	}
}

/* The last rows of many weigh much more, so that panels of B lack what they need. */
static void heavy_rows_at_the_end(void **state)
{
	enum { M = 264, N = 3, K = 4096 };
	uint16_t *a = malloc(M * K * 2), *b = malloc(K * N * 2);
	double d[M * N];
	struct job job = { .g = { .m = M, .n = N, .k = K, .batch = 1, .alpha = 1 } };

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	/* BF16: 1 to 2, and 2^40 times as much beside a 1 */
	for (int i = 0; i < M * K; i++)
		a[i] = (uint16_t)((rnd() & 0x807f) + (i >= (M - 2) * K && i % 5 ? 167 << 7 : 127 << 7));
	for (int i = 0; i < K * N; i++)
		b[i] = (uint16_t)((rnd() & 0x807f) + (127 << 7));
	memset(d, 0, sizeof(d));
	job.g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_BF16, 0, K, 0 };
	job.g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_BF16, 0, N, 0 };
	job.g.d = (struct quire_gemm_output){ d, QUIRE_FORMAT_FP64, 0, N, 0 };
	check(&job);
	free(a);
	free(b);
}

/*
 * Bands of rows with one B in a workspace: the digest is that of the whole; B that changed is
 * seen when its version is another, or when anything else about it is.
 */
static void packed_b_kept_between_jobs(void **state)
{
	enum { M = 40, N = 53, K = 70 };
	static const uint32_t columns[] = { N, N, 20, N };
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	uint32_t a[M * K], b[N * N + K * N], changed[K * N], d[M * N], good[M * N];

	(void)state;
	assert_non_null(workspace);
	for (size_t x = 0; x < sizeof(kernels) / sizeof(kernels[0]); x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		for (int how = 0; how < 3; how++)
			for (int version = 0; version < 3; version++) {
				fill(QUIRE_FORMAT_FP32, a, M * K, NEAR_ONE);
				fill(QUIRE_FORMAT_FP32, b, N * N + K * N, (enum fill)how);
				memcpy(changed, b, sizeof(changed));
				for (int turn = 0; turn < 12; turn++) {
					uint32_t n = columns[turn % 4], band = turn * 7 % M;
					struct quire_gemm g = { .m = M - band, .n = n, .k = K, .batch = 1,
								.alpha = 1 };

					if (turn == 6)
						fill(QUIRE_FORMAT_FP32, a, M * K, FEW);
					g.a = (struct quire_gemm_operand){ a + band * K, QUIRE_FORMAT_FP32, 0, K, 0 };
					g.b = (struct quire_gemm_operand){ turn == 9 ? changed : b,
						QUIRE_FORMAT_FP32, turn == 8, turn == 8 ? K : N, 0 };
					g.d = (struct quire_gemm_output){ good, QUIRE_FORMAT_FP32, 0, N, 0 };
					assert_int_equal(quire_gemm(&g, NULL), 0);
					g.d.data = d;
					g.workspace = workspace;
					g.b_version = version ? 100 * x + 10 * how + version : 0;
					assert_int_equal(quire_gemm(&g, NULL), 0);
					for (uint32_t i = 0; i < g.m; i++)
						assert_memory_equal(d + i * N, good + i * N, n * 4);
				}
			}
	}
	quire_kernel_select(NULL);
	quire_gemm_workspace_destroy(workspace);
}

static void every_pair_of_formats(void **state)
{
	(void)state;
	for (int a = 0; a < OPERANDS; a++)
		for (int b = 0; b < OPERANDS; b++)
			for (int how = 0; how < 4; how++)
				one(1 + rnd() % 13, 1 + rnd() % 35, 1 + rnd() % 40, formats[a],
				    formats[b], formats[rnd() % 17], false, how);
}

static void every_output_with_extras(void **state)
{
	(void)state;
	for (int d = 0; d < 17; d++)
		for (int i = 0; i < 40; i++)
			one(1 + rnd() % 9, 1 + rnd() % 20, rnd() % 20, formats[rnd() % OPERANDS],
			    formats[rnd() % OPERANDS], formats[d], true, i % 4);
}

static void shapes(void **state)
{
	static const uint32_t shape[][3] = { { 1, 1, 1 }, { 1, 1, 500 }, { 1, 70, 9 }, { 70, 1, 9 },
		{ 6, 16, 8 }, { 7, 17, 33 }, { 65, 3, 257 }, { 3, 65, 300 }, { 48, 48, 48 } };

	(void)state;
	for (size_t s = 0; s < sizeof(shape) / sizeof(shape[0]); s++)
		for (int f = 0; f < 4; f++)
			for (int how = 0; how < 3; how++)
				one(shape[s][0], shape[s][1], shape[s][2], formats[f], formats[f],
				    formats[f], false, how);
}

static void long_sums(void **state)
{
	(void)state;
	for (int f = 0; f < 6; f++) {
		one(3, 5, 4095 + rnd() % 3, formats[f], formats[f], formats[f], false, NEAR_ONE);
		one(2, 3, 4097 + rnd() % 5000, formats[f], formats[f], formats[f], true, FEW);
		one(2, 2, 9000, formats[f], formats[f], QUIRE_FORMAT_QUIRE, false, PATTERNS_FINITE);
	}
}

static void empty_sums(void **state)
{
	(void)state;
	for (int i = 0; i < 40; i++)
		one(1 + rnd() % 4, 1 + rnd() % 20, 0, formats[rnd() % OPERANDS],
		    formats[rnd() % OPERANDS], formats[rnd() % 17], true, i % 4);
}

static void batches_and_threads(void **state)
{
	(void)state;
	for (unsigned int t = 1; t <= 8; t++) {
		struct quire_threads *threads = quire_threads_create(t);
		struct job job;

		assert_non_null(threads);
		assert_int_equal(quire_threads_count(threads), t);
		make(&job, 40, 50, 30, 3, formats[t % 6], formats[(t + 1) % 6], formats[t], true, FEW);
		job.g.threads = threads;
		check(&job);
		drop(&job);
		quire_threads_destroy(threads);
	}
}

static void fp32_arithmetic(void **state)
{
	(void)state;
	for (int i = 0; i < 120; i++) {
		struct job job;

		make(&job, 1 + rnd() % 30, 1 + rnd() % 60, rnd() % 600, 1, QUIRE_FORMAT_BF16,
		     QUIRE_FORMAT_BF16, formats[rnd() % 16], i % 2, i % 4);
		job.g.arithmetic = QUIRE_GEMM_FP32;
		check(&job);
		drop(&job);
	}
}

/* More than one block of rows, columns and k: samples of each kernel's result. */
static void fp32_blocks(void **state)
{
	struct quire_threads *threads = quire_threads_create(3);
	struct job job;
	uint64_t digest = 0;

	(void)state;
	assert_non_null(threads);
	make(&job, 530, 1050, 300, 1, QUIRE_FORMAT_BF16, QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP32, false,
	     FEW);
	job.g.arithmetic = QUIRE_GEMM_FP32;
	for (size_t x = 0; x < 3; x++) {
		struct quire_gemm_result r;

		/* as in many_blocks() */
		if (quire_kernel_select(kernels[x]) || (x == 2 && digest))
			continue;
		for (int t = 0; t < 2; t++) {
			job.g.threads = t ? threads : NULL;
			assert_int_equal(quire_gemm(&job.g, &r), 0);
			assert_true(!digest || digest == r.digest);
			digest = r.digest;
		}
		for (int sample = 0; sample < 300; sample++) {
			uint64_t i = rnd() % job.g.m, j = rnd() % job.g.n, good[QUIRE_IMAGE_LIMBS];

			expect(&job.g, NULL, 0, i, j, good);
			assert_int_equal(load(QUIRE_FORMAT_FP32, job.g.d.data,
					      i * job.g.d.leading_dimension + j), good[0]);
		}
	}
	drop(&job);
	quire_kernel_select(NULL);
	quire_threads_destroy(threads);
}

/* A sum that underflowed to -0 is an exact zero, +0; subnormal sums are kept. */
static void fp32_small_sums(void **state)
{
	static const uint16_t a[2] = { 0x0380, 0x1f80 }, b[2] = { 0x8380, 0x1f80 };
	struct quire_gemm g = { .m = 1, .n = 1, .batch = 1, .alpha = 1,
				.arithmetic = QUIRE_GEMM_FP32 };
	uint32_t d;

	(void)state;
	/* 2^-120 and -2^-120; 2^-64 twice */
	g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_BF16, 0, 2, 0 };
	g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_BF16, 0, 1, 0 };
	g.d = (struct quire_gemm_output){ &d, QUIRE_FORMAT_FP32, 0, 1, 0 };
	for (size_t x = 0; x < sizeof(kernels) / sizeof(kernels[0]); x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		g.k = 1;
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 0);
		g.k = 2;
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 1u << 21);
	}
	quire_kernel_select(NULL);
}

/* More than one block of rows, columns and k: samples of each result. */
static void many_blocks(void **state)
{
	static const uint32_t shape[][3] = { { 300, 600, 4000 }, { 400, 530, 4100 } };
	struct quire_threads *threads = quire_threads_create(4);

	(void)state;
	assert_non_null(threads);
	for (size_t s = 0; s < 2; s++) {
		uint64_t digest = 0;
		struct job job;

		make(&job, shape[s][0], shape[s][1], shape[s][2], 1, QUIRE_FORMAT_POSIT16,
		     QUIRE_FORMAT_BF16, QUIRE_FORMAT_POSIT32, false, PATTERNS_FINITE);
		job.g.threads = threads;
		for (size_t x = 0; x < 3; x++) {
			struct quire_gemm_result r;

			/* the portable kernel takes long; alone when there is no other */
			if (quire_kernel_select(kernels[x]) || (x == 2 && digest))
				continue;
			assert_int_equal(quire_gemm(&job.g, &r), 0);
			assert_true(!digest || digest == r.digest);
			digest = r.digest;
		}
		for (int sample = 0; sample < 80; sample++) {
			uint64_t i = rnd() % job.g.m, j = rnd() % job.g.n;
			uint64_t good[QUIRE_IMAGE_LIMBS];

			expect(&job.g, NULL, 0, i, j, good);
			assert_int_equal(load(QUIRE_FORMAT_POSIT32, job.g.d.data,
					      i * job.g.d.leading_dimension + j), good[0]);
		}
		drop(&job);
	}
	quire_kernel_select(NULL);
	quire_threads_destroy(threads);
}

/* 1 + 2^-4 is half-way between two posit8; 2^-240 more or less decides. */
static void tie_broken_from_afar(void **state)
{
	const uint32_t a[3] = { 0x40000000, 0x30000000, 1 }, b[3] = { 0x40000000, 0x30000000, 1 };
	const uint32_t less[3] = { 0x40000000, 0x30000000, 0xffffffff };
	struct quire_gemm g = { .m = 1, .n = 1, .k = 3, .batch = 1, .alpha = 1 };
	uint8_t d;

	(void)state;
	g.a = (struct quire_gemm_operand){ a, QUIRE_FORMAT_POSIT32, 0, 3, 0 };
	g.d = (struct quire_gemm_output){ &d, QUIRE_FORMAT_POSIT8, 0, 1, 0 };
	for (size_t x = 0; x < sizeof(kernels) / sizeof(kernels[0]); x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		g.b = (struct quire_gemm_operand){ b, QUIRE_FORMAT_POSIT32, 0, 1, 0 };
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 0x41);
		g.b.data = less;
		assert_int_equal(quire_gemm(&g, NULL), 0);
		assert_int_equal(d, 0x40);
	}
	quire_kernel_select(NULL);
}

/* Bands of a job have digests that add up to that of the whole. */
static void digests_of_bands(void **state)
{
	struct quire_gemm_result whole, part;
	struct quire_gemm band;
	uint64_t sum = 0;
	struct job job;

	(void)state;
	make(&job, 37, 29, 11, 1, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16,
	     false, NEAR_ONE);
	job.g.a.transpose = 0;
	job.g.a.leading_dimension = 11;
	assert_int_equal(quire_gemm(&job.g, &whole), 0);
	for (uint32_t row = 0; row < 37; row += 10) {
		band = job.g;
		band.m = row + 10 < 37 ? 10 : 37 - row;
		band.a.data = (const uint16_t *)job.g.a.data + row * 11;
		band.d.data = (uint16_t *)job.g.d.data + row * job.g.d.leading_dimension;
		band.digest_row = row;
		band.digest_rows = 37;
		assert_int_equal(quire_gemm(&band, &part), 0);
		sum += part.digest;
	}
	assert_int_equal(sum, whole.digest);
	drop(&job);
}

static void bad_jobs(void **state)
{
	const volatile uint32_t stop = 1;
	const struct { const char *field; int error; int which; } cases[] = {
		{ "a.data", -EINVAL, 0 }, { "b.data", -EINVAL, 1 }, { "d.data", -EINVAL, 2 },
		{ "a.leading_dimension", -EINVAL, 3 }, { "d.leading_dimension", -EINVAL, 4 },
		{ "a.format", -EINVAL, 5 }, { "d.format", -EINVAL, 6 }, { "alpha", -EINVAL, 7 },
		{ "k", -EOVERFLOW, 8 }, { "m", -EOVERFLOW, 9 }, { "b.data", -EINVAL, 10 },
		{ "a.leading_dimension", -EOVERFLOW, 11 }, { "c.data", -EINVAL, 12 },
		{ "bias", -EINVAL, 13 }, { "a.format", -EINVAL, 14 }, { "b.data", -EINVAL, 15 },
	};
	struct job job;

	(void)state;
	make(&job, 8, 8, 8, 1, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, false,
	     NEAR_ONE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quire_gemm g = job.g;
		uint16_t first = *(uint16_t *)g.d.data;
		const char *why = NULL;

		switch (cases[i].which) {
		case 0: g.a.data = NULL; break;
		case 1: g.b.data = (const char *)g.b.data + 1; break;
		case 2: g.d.data = NULL; break;
		case 3: g.a.leading_dimension = 7; break;
		case 4: g.d.leading_dimension = 7; break;
		case 5: g.a.format = QUIRE_FORMAT_POSIT(2); break;
		case 6: g.d.format = QUIRE_FORMAT_MXFP8; break;
		case 7: g.alpha = INFINITY; break;
		case 8: g.k = 0x80000000u; break;
		case 9: g.m = (1u << 24) + 1; break;
		case 10: g.b.data = g.d.data; break;
		case 11: g.a.leading_dimension = ~0ull / 4; break;
		case 12: g.beta = 1; g.c = g.a; g.c.transpose = 0; g.c.leading_dimension = 8;
			 g.c.data = (const uint16_t *)g.d.data + 1; break;
		case 13: g.bias_kind = QUIRE_GEMM_BIAS_PER_ROW; g.bias_format = QUIRE_FORMAT_BF16; break;
		case 14: g.arithmetic = QUIRE_GEMM_FP32; break;
		case 15: g.b.data = (const uint16_t *)g.d.data + 3; break;
		}
		assert_int_equal(quire_gemm_check(&g, &why), cases[i].error);
		assert_non_null(why);
		assert_string_equal(why, cases[i].field);
		assert_int_equal(quire_gemm(&g, NULL), cases[i].error);
		assert_int_equal(*(uint16_t *)job.g.d.data, first);
	}
	job.g.cancel = &stop;
	assert_int_equal(quire_gemm(&job.g, NULL), -ECANCELED);
	job.g.cancel = NULL;
	job.g.m = 0;
	assert_int_equal(quire_gemm(&job.g, NULL), 0);
	assert_int_equal(quire_kernel_select("none"), -EINVAL);
	drop(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_jobs),
		cmocka_unit_test(tie_broken_from_afar),
		cmocka_unit_test(shapes),
		cmocka_unit_test(sums_at_borders_of_moduli),
		cmocka_unit_test(heavy_rows_at_the_end),
		cmocka_unit_test(packed_b_kept_between_jobs),
		cmocka_unit_test(every_pair_of_formats),
		cmocka_unit_test(every_output_with_extras),
		cmocka_unit_test(empty_sums),
		cmocka_unit_test(long_sums),
		cmocka_unit_test(batches_and_threads),
		cmocka_unit_test(many_blocks),
		cmocka_unit_test(fp32_arithmetic),
		cmocka_unit_test(fp32_blocks),
		cmocka_unit_test(fp32_small_sums),
		cmocka_unit_test(digests_of_bands),
	};

	/* runs that slow everything down take fewer of these */
	cmocka_set_test_filter(getenv("QUIRE_TEST_ONLY"));
	cmocka_set_skip_filter(getenv("QUIRE_TEST_SKIP"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
