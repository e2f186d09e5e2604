// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "gemm_oracle.h"

/*
 * Numbers that are made once and kept, as most of the time under a sanitizer would go into making
 * them: one element is computed at a time, whichever thread of a test computes it.
 */
enum { MAGNITUDE, MIDDLE, NEXT, BELOW, FACTOR, LEFT, RIGHT, SUM, TOTAL, FULL, SCRATCHES };
static mpz_t scratch[SCRATCHES];

__attribute__((constructor)) static void make_scratch(void)
{
	for (int i = 0; i < SCRATCHES; i++)
		mpz_init(scratch[i]);
}

uint32_t width_of(uint32_t f)
{
	return QUIRE_FORMAT_BITS(f);
}

uint32_t bytes_of(uint32_t f)
{
	uint32_t w = width_of(f);

	return f == QUIRE_FORMAT_QUIRE ? 80 : w <= 8 ? 1 : w <= 16 ? 2 : w <= 32 ? 4 : 8;
}

bool is_posit(uint32_t f)
{
	return QUIRE_FORMAT_KIND(f) == QUIRE_KIND_POSIT;
}

static void ieee_shape(uint32_t f, int *frac, int *expo)
{
	*frac = f == QUIRE_FORMAT_FP16 ? 10 : f == QUIRE_FORMAT_FP32 ? 23 : f == QUIRE_FORMAT_FP64 ? 52 :
		f == QUIRE_FORMAT_BF16 ? 7 : f == QUIRE_FORMAT_E4M3 ? 3 : 2;
	*expo = (int)width_of(f) - 1 - *frac;
}

enum special decode(uint32_t f, uint64_t bits, mpz_t v)
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
		uint64_t m = neg ? -bits & ((1ull << w) - 1) : bits, significand = 1;
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
		for (frac = 0; i >= 0; i--, frac++)
			significand = significand << 1 | (m >> i & 1);
		mpz_set_ui(v, significand);
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

uint64_t largest(uint32_t f)
{
	int frac, expo;

	if (is_posit(f) || f == QUIRE_FORMAT_INT8)
		return (1ull << (width_of(f) - 1)) - 1;
	if (f == QUIRE_FORMAT_E4M3)
		return 0x7e;
	ieee_shape(f, &frac, &expo);
	return (((1ull << expo) - 1) << frac) - 1;
}

uint64_t encode(uint32_t f, enum special s, const mpz_t value)
{
	uint32_t w = width_of(f);
	uint64_t sign = 1ull << (w - 1), lo = 0, hi = largest(f), top = hi, r;
	mpz_t *mag = &scratch[MAGNITUDE], *mid = &scratch[MIDDLE], *v = &scratch[NEXT];
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
	mpz_abs(*mag, value);
	while (lo < hi) {	/* largest pattern not above mag */
		uint64_t m = lo + (hi - lo + 1) / 2;

		decode(f, m, *v);
		if (mpz_cmp(*v, *mag) <= 0)
			lo = m;
		else
			hi = m - 1;
	}
	r = lo;
	decode(f, lo, *v);
	if (mpz_cmp(*v, *mag) != 0) {
		if (is_posit(f)) {
			if (lo == 0) {
				r = 1;
			} else if (lo < top) {
				decode(QUIRE_FORMAT_POSIT(w + 1), lo << 1 | 1, *mid);
				c = mpz_cmp(*mag, *mid);
				r = lo + (c > 0 || (c == 0 && lo & 1));
			}
		} else {
			/* the next value: beyond the largest, as if the range went on */
			if (lo < top) {
				decode(f, lo + 1, *mid);
				mpz_add(*mid, *mid, *v);
			} else {
				mpz_t *below = &scratch[BELOW];

				decode(f, lo - 1, *below);
				mpz_mul_ui(*mid, *v, 3);
				mpz_sub(*mid, *mid, *below);
			}
			mpz_mul_ui(*mag, *mag, 2);
			c = mpz_cmp(*mag, *mid);
			r = lo + (c > 0 || (c == 0 && lo & 1));
			if ((f == QUIRE_FORMAT_E4M3 || f == QUIRE_FORMAT_INT8) && r > top)
				r = top;
			if (f == QUIRE_FORMAT_INT8 && mpz_sgn(value) < 0) {
				mpz_set_ui(*mid, 255);
				mpz_mul_2exp(*mid, *mid, UNIT);
				if (mpz_cmp(*mag, *mid) >= 0)	/* 2 * 127.5, even is 128 */
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
	return r;
}

uint64_t load(uint32_t f, const void *data, uint64_t index)
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
	mpz_t *f = &scratch[FACTOR];
	uint32_t word;

	if (factor == 0)
		return FINITE;
	if (s != FINITE)
		return negate(s, factor < 0);
	memcpy(&word, &factor, 4);
	decode(QUIRE_FORMAT_FP32, word, *f);
	mpz_addmul(sum, *f, v);
	return FINITE;
}

static enum special dot(const struct quire_gemm *g, uint64_t b, uint64_t i, uint64_t j, mpz_t sum)
{
	enum special all = FINITE, s, t;
	mpz_t *x = &scratch[LEFT], *y = &scratch[RIGHT];

	mpz_set_ui(sum, 0);
	for (uint64_t k = 0; k < g->k; k++) {
		s = decode(g->a.format, load(g->a.format, g->a.data, b * g->a.batch_stride +
			(g->a.transpose ? k * g->a.leading_dimension + i :
					  i * g->a.leading_dimension + k)), *x);
		t = decode(g->b.format, load(g->b.format, g->b.data, b * g->b.batch_stride +
			(g->b.transpose ? j * g->b.leading_dimension + k :
					  k * g->b.leading_dimension + j)), *y);
		if (s == NAN_ || t == NAN_)
			all = NAN_;
		else if (s || t) {
			bool zero = (!s && !mpz_sgn(*x)) || (!t && !mpz_sgn(*y));
			bool neg = (s ? s == NINF : mpz_sgn(*x) < 0) ^ (t ? t == NINF : mpz_sgn(*y) < 0);

			all = join(all, zero ? NAN_ : neg ? NINF : PINF);
		} else {
			mpz_addmul(sum, *x, *y);
		}
	}
	/* a product of FP32 is a multiple of 2^-298: nothing is lost */
	mpz_fdiv_q_2exp(sum, sum, UNIT);
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

void expect(const struct quire_gemm *g, const void *c, uint64_t b, uint64_t i, uint64_t j,
		   uint64_t *out)
{
	enum special all = FINITE, s;
	mpz_t *sum = &scratch[SUM], *total = &scratch[TOTAL];

	mpz_set_ui(*total, 0);
	if (g->alpha != 0) {
		s = g->arithmetic ? fp32_chain(g, i, j, *sum) : dot(g, b, i, j, *sum);
		all = join(all, add_term(*total, g->alpha, s, *sum));
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
			mpz_import(*sum, 10, -1, 8, 0, 0, w);
			if (neg) {
				mpz_t *full = &scratch[FULL];

				mpz_set_ui(*full, 1);
				mpz_mul_2exp(*full, *full, 640);
				mpz_sub(*sum, *sum, *full);
			}
			mpz_mul_2exp(*sum, *sum, UNIT - 298);
		} else {
			s = decode(g->c.format, load(g->c.format, c, at), *sum);
		}
		all = join(all, add_term(*total, g->beta, s, *sum));
	}
	if (g->bias_kind) {
		s = decode(g->bias_format, load(g->bias_format, g->bias, g->bias_kind ==
			QUIRE_GEMM_BIAS_PER_ROW ? i : j), *sum);
		all = join(all, add_term(*total, 1.0f, s, *sum));
	}
	if (g->d.format == QUIRE_FORMAT_QUIRE) {
		memset(out, 0, 80);
		if (all) {
			out[9] = 1ull << 63;
			out[0] = all == NAN_ ? 0 : all == PINF ? 1 : 2;
		} else {
			mpz_fdiv_q_2exp(*total, *total, 2 * UNIT - 298);
			mpz_fdiv_r_2exp(*total, *total, 640);
			mpz_export(out, NULL, -1, 8, 0, 0, *total);
		}
	} else {
		/* to 2^-UNIT with everything below in the last bit, doubled for room */
		mpz_fdiv_r_2exp(*sum, *total, UNIT);
		mpz_fdiv_q_2exp(*total, *total, UNIT);
		if (mpz_sgn(*sum))
			mpz_setbit(*total, 0);
		*out = encode(g->d.format, all, *total);
		if (g->activation && *out >> (width_of(g->d.format) - 1) & 1 &&
		    !(is_posit(g->d.format) && *out == nan_bits(g->d.format)))
			*out = 0;
	}
}
