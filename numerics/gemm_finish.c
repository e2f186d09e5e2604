// SPDX-License-Identifier: MIT
/*
 * From the exact sum to the element of D: alpha, beta * C, bias, the rounding,
 * the activation, the store and the digest.
 */
#include <math.h>
#include <string.h>

#include "gemm_internal.h"
#include "round_template.h"

/*
 * Where alpha * sum + beta * C + bias is exact whatever they are.  Two's
 * complement, unit 2^-447.  alpha and beta are multiples of 2^-149 below 2^128, a
 * sum or an image a multiple of 2^-298 below 2^341: each term is a multiple of
 * 2^-447 below 2^469, three of them below 2^471, which takes 919 bits.
 */
#define WIDE_LIMBS 16
#define WIDE_UNIT (-447)

struct wide {
	uint64_t limb[WIDE_LIMBS];
	uint32_t special;
};

static void wide_special(struct wide *wide, uint32_t special)
{
	struct gemm_sum s = { .special = wide->special };

	gemm_sum_special(&s, special);
	wide->special = s.special;
}

/* wide += (-1)^negative * x * 2^exponent, x of count limbs, count < WIDE_LIMBS */
static void wide_add(struct wide *wide, bool negative, const uint64_t *x, uint32_t count,
		     int32_t exponent)
{
	uint32_t shift = (uint32_t)(exponent - WIDE_UNIT);
	uint32_t limb = shift / 64, bit = shift % 64;
	uint64_t below = 0;
	unsigned char carry = 0;

	for (uint32_t i = limb; i < WIDE_LIMBS; i++) {
		uint64_t here = i - limb < count ? x[i - limb] : 0;
		uint64_t add = here << bit | (bit ? below >> (64 - bit) : 0);
		uint64_t t;

		below = here;
		if (negative)
			carry = __builtin_sub_overflow(wide->limb[i], add, &t) |
				__builtin_sub_overflow(t, carry, &wide->limb[i]);
		else
			carry = __builtin_add_overflow(wide->limb[i], add, &t) |
				__builtin_add_overflow(t, carry, &wide->limb[i]);
	}
}

/* A finite float as (-1)^negative * significand * 2^exponent. */
static struct gemm_number factor_of(float f)
{
	return gemm_load(QUIRE_FORMAT_FP32, &f, 0);
}

static void wide_add_number(struct wide *wide, struct gemm_number factor, struct gemm_number x)
{
	uint64_t product;
	int32_t zeros;

	if (x.special) {
		if (x.special != GEMM_NAN && factor.negative)
			x.special = x.special == GEMM_PLUS_INF ? GEMM_MINUS_INF : GEMM_PLUS_INF;
		wide_special(wide, x.special);
		return;
	}
	product = factor.significand * x.significand;	/* 24 and 31 bits */
	if (!product)
		return;
	zeros = __builtin_ctzll(product);
	product >>= zeros;
	wide_add(wide, factor.negative ^ x.negative, &product, 1,
		 factor.exponent + x.exponent + zeros);
}

static void wide_add_sum(struct wide *wide, struct gemm_number factor, const struct gemm_sum *sum)
{
	bool negative = sum->limb[QUIRE_IMAGE_LIMBS - 1] >> 63;
	uint64_t x[QUIRE_IMAGE_LIMBS + 1];
	unsigned __int128 carry;
	uint32_t i;

	if (sum->special) {
		wide_add_number(wide, factor, (struct gemm_number){
			.special = (uint8_t)sum->special });
		return;
	}
	carry = negative;
	for (i = 0; i < QUIRE_IMAGE_LIMBS; i++) {
		carry += negative ? ~sum->limb[i] : sum->limb[i];
		x[i] = (uint64_t)carry;
		carry >>= 64;
	}
	carry = 0;
	for (i = 0; i < QUIRE_IMAGE_LIMBS; i++) {
		carry += (unsigned __int128)x[i] * factor.significand;
		x[i] = (uint64_t)carry;
		carry >>= 64;
	}
	x[i] = (uint64_t)carry;
	wide_add(wide, negative ^ factor.negative, x, QUIRE_IMAGE_LIMBS + 1,
		 factor.exponent + QUIRE_IMAGE_LSB_EXPONENT);
}

static void image_load(struct gemm_sum *sum, const uint8_t *at)
{
	memcpy(sum->limb, at, sizeof(sum->limb));
	sum->special = GEMM_FINITE;
	if (sum->limb[QUIRE_IMAGE_LIMBS - 1] != 1ull << 63)
		return;
	for (uint32_t i = 1; i < QUIRE_IMAGE_LIMBS - 1; i++)
		if (sum->limb[i])
			return;
	if (sum->limb[0] <= 2)
		sum->special = sum->limb[0] == 0 ? GEMM_NAN :
			       sum->limb[0] == 1 ? GEMM_PLUS_INF : GEMM_MINUS_INF;
}

uint64_t gemm_nan_bits(uint32_t format)
{
	switch (format) {
	case QUIRE_FORMAT_FP16:
		return 0x7e00;
	case QUIRE_FORMAT_FP32:
		return 0x7fc00000;
	case QUIRE_FORMAT_FP64:
		return 0x7ff8000000000000ull;
	case QUIRE_FORMAT_BF16:
		return 0x7fc0;
	case QUIRE_FORMAT_E4M3:
		return 0x7f;
	case QUIRE_FORMAT_E5M2:
		return 0x7e;
	case QUIRE_FORMAT_QUIRE:
		return 0;
	default:
		return 1ull << (QUIRE_FORMAT_BITS(format) - 1);	/* NaR, INT8 minimum */
	}
}

uint64_t gemm_special_bits(uint32_t format, uint32_t special)
{
	if (special == GEMM_NAN)
		return gemm_nan_bits(format);
	switch (format) {
	case QUIRE_FORMAT_FP16:
		return special == GEMM_PLUS_INF ? 0x7c00 : 0xfc00;
	case QUIRE_FORMAT_FP32:
		return special == GEMM_PLUS_INF ? 0x7f800000 : 0xff800000;
	case QUIRE_FORMAT_FP64:
		return special == GEMM_PLUS_INF ? 0x7ff0000000000000ull : 0xfff0000000000000ull;
	case QUIRE_FORMAT_BF16:
		return special == GEMM_PLUS_INF ? 0x7f80 : 0xff80;
	case QUIRE_FORMAT_E4M3:
		return special == GEMM_PLUS_INF ? 0x7e : 0xfe;
	case QUIRE_FORMAT_E5M2:
		return special == GEMM_PLUS_INF ? 0x7c : 0xfc;
	case QUIRE_FORMAT_INT8:
		return special == GEMM_PLUS_INF ? 0x7f : 0x80;
	default:
		return gemm_nan_bits(format);	/* a posit has NaR only */
	}
}

static uint64_t wide_round(const struct wide *wide, uint32_t format)
{
	uint64_t x[WIDE_LIMBS], low[ROUND_RUN] = { 0 }, bits[ROUND_RUN];
	int64_t high[ROUND_RUN] = { 0 };
	int32_t exponent[ROUND_RUN] = { 0 };
	bool negative = wide->limb[WIDE_LIMBS - 1] >> 63;
	unsigned char carry = negative;
	uint64_t sticky = 0, lower;
	int top = -1;

	if (wide->special)
		return gemm_special_bits(format, wide->special);
	for (int i = 0; i < WIDE_LIMBS; i++) {
		carry = __builtin_add_overflow(negative ? ~wide->limb[i] : wide->limb[i],
					       (uint64_t)carry, &x[i]);
		if (x[i])
			top = i;
	}
	if (top < 0)
		return 0;
	/* limbs top and top - 1 as the sum, all below ORed into its last bit;
	 * x[top] is below 2^63 by the bound above or becomes so by one shift */
	for (int i = 0; i < top - 1; i++)
		sticky |= x[i];
	lower = top ? x[top - 1] : 0;
	sticky |= lower & 1;
	low[0] = x[top] << 63 | lower >> 1 | (sticky != 0);
	high[0] = (int64_t)(x[top] >> 1);
	exponent[0] = WIDE_UNIT + 64 * (top - 1) + 1;
	if (negative) {
		low[0] = -low[0];
		high[0] = ~high[0] + (low[0] == 0);
	}
	round_elements(format, 1, low, high, exponent, bits);
	return bits[0];
}

static uint64_t digest_index(const struct gemm_finish *finish, uint32_t row, uint32_t column)
{
	const struct quire_gemm *g = finish->gemm;
	uint64_t rows = g->digest_rows ? g->digest_rows : g->m;
	uint64_t columns = g->digest_columns ? g->digest_columns : g->n;

	return (finish->batch * rows + g->digest_row + row) * columns + g->digest_column + column;
}

/* Activation, store and digest of elements that lie side by side. */
static void store_row(const struct gemm_finish *finish, uint32_t row, uint32_t column,
		      uint32_t count, uint64_t *bits, struct gemm_tally *tally)
{
	const struct quire_gemm *g = finish->gemm;
	uint32_t width = QUIRE_FORMAT_BITS(g->d.format);
	bool posit = QUIRE_FORMAT_KIND(g->d.format) == QUIRE_KIND_POSIT;
	uint8_t *at = finish->d + ((uint64_t)row * g->d.leading_dimension + column) * finish->element;
	uint64_t index = digest_index(finish, row, column);
	uint64_t keep = posit ? 1ull << (width - 1) : 0;

	if (g->activation == QUIRE_GEMM_ACTIVATION_RELU)
		for (uint32_t i = 0; i < count; i++)
			if (bits[i] >> (width - 1) & 1 && !(posit && bits[i] == keep))
				bits[i] = 0;
	tally->digest += round_digest(g->d.format, count, bits, index);
	round_write(g->d.format, count, bits, at);
}

/* The bits of a special value or of an overflow to infinity are exceptional. */
uint64_t gemm_count_exceptional(uint32_t format, const uint64_t *bits, uint32_t count)
{
	uint64_t inf = gemm_special_bits(format, GEMM_PLUS_INF);
	uint64_t sign = 1ull << (QUIRE_FORMAT_BITS(format) - 1);
	uint64_t found = 0;

	switch (QUIRE_FORMAT_KIND(format)) {
	case QUIRE_KIND_POSIT:
		for (uint32_t i = 0; i < count; i++)
			found += bits[i] == sign;
		break;
	case QUIRE_KIND_FP8_E4M3:
		for (uint32_t i = 0; i < count; i++)
			found += (bits[i] & ~sign) == 0x7f;
		break;
	case QUIRE_KIND_INT:
		break;
	default:
		for (uint32_t i = 0; i < count; i++)
			found += (bits[i] & ~sign) >= inf;
		break;
	}
	return found;
}

static void image_store(const struct gemm_finish *finish, uint32_t row, uint32_t column,
			const struct wide *wide, struct gemm_tally *tally)
{
	const struct quire_gemm *g = finish->gemm;
	uint8_t *at = finish->d + ((uint64_t)row * g->d.leading_dimension + column) *
		      QUIRE_IMAGE_BYTES;
	uint64_t index = digest_index(finish, row, column) * QUIRE_IMAGE_LIMBS;
	uint64_t limb[QUIRE_IMAGE_LIMBS] = { 0 };
	/* the image's unit is 2^-298, 149 bits above the wide one's */
	const uint32_t skip = (QUIRE_IMAGE_LSB_EXPONENT - WIDE_UNIT) / 64;
	const uint32_t bit = (QUIRE_IMAGE_LSB_EXPONENT - WIDE_UNIT) % 64;

	if (wide->special) {
		limb[QUIRE_IMAGE_LIMBS - 1] = 1ull << 63;
		limb[0] = wide->special == GEMM_NAN ? 0 : wide->special == GEMM_PLUS_INF ? 1 : 2;
		tally->exceptional++;
	} else {
		for (uint32_t i = 0; i < QUIRE_IMAGE_LIMBS; i++)
			limb[i] = wide->limb[i + skip] >> bit |
				  wide->limb[i + skip + 1] << (64 - bit);
	}
	memcpy(at, limb, sizeof(limb));
	for (uint32_t i = 0; i < QUIRE_IMAGE_LIMBS; i++)
		tally->digest += gemm_digest_pair(index + i, limb[i]);
}

/* Adds beta * C and bias. */
static void wide_add_rest(const struct gemm_finish *finish, uint32_t row, uint32_t column,
			  struct wide *wide)
{
	const struct quire_gemm *g = finish->gemm;

	if (g->beta != 0) {
		uint64_t at = (uint64_t)row * g->c.leading_dimension + column;

		if (g->c.format == QUIRE_FORMAT_QUIRE) {
			struct gemm_sum c;

			image_load(&c, finish->c + at * QUIRE_IMAGE_BYTES);
			wide_add_sum(wide, factor_of(g->beta), &c);
		} else {
			wide_add_number(wide, factor_of(g->beta),
					gemm_load(g->c.format, finish->c, at));
		}
	}
	if (g->bias_kind)
		wide_add_number(wide, factor_of(1.0f),
				gemm_load(g->bias_format, g->bias,
					  g->bias_kind == QUIRE_GEMM_BIAS_PER_ROW ? row : column));
}

/* Adds the rest to one element, and out with it. */
static void finish_wide(const struct gemm_finish *finish, uint32_t row, uint32_t column,
			struct wide *wide, struct gemm_tally *tally)
{
	const uint32_t format = finish->gemm->d.format;
	uint64_t bits;

	wide_add_rest(finish, row, column, wide);
	if (format == QUIRE_FORMAT_QUIRE) {
		image_store(finish, row, column, wide, tally);
		return;
	}
	bits = wide_round(wide, format);
	tally->exceptional += gemm_count_exceptional(format, &bits, 1);
	store_row(finish, row, column, 1, &bits, tally);
}

void gemm_finish_sum(const struct gemm_finish *finish, uint32_t row, uint32_t column,
		     const struct gemm_sum *sum, struct gemm_tally *tally)
{
	struct wide wide = { 0 };

	if (finish->gemm->alpha != 0)
		wide_add_sum(&wide, factor_of(finish->gemm->alpha), sum);
	finish_wide(finish, row, column, &wide, tally);
}

/* alpha times a sum (high:low) * 2^exponent, or a special value. */
static void wide_from_run(const struct gemm_finish *finish, struct wide *wide, uint64_t low,
			  int64_t high, int32_t exponent, uint32_t special)
{
	struct gemm_number alpha = factor_of(finish->gemm->alpha);
	bool negative = high < 0;
	uint64_t x[3];

	memset(wide, 0, sizeof(*wide));
	if (special) {
		wide_add_number(wide, alpha, (struct gemm_number){ .special = (uint8_t)special });
	} else if (alpha.significand && (low | (uint64_t)high)) {
		unsigned __int128 t = (unsigned __int128)(uint64_t)high << 64 | low, p;

		t = negative ? -t : t;
		p = (unsigned __int128)(uint64_t)t * alpha.significand;
		x[0] = (uint64_t)p;
		p = (p >> 64) + (unsigned __int128)(uint64_t)(t >> 64) * alpha.significand;
		x[1] = (uint64_t)p;
		x[2] = (uint64_t)(p >> 64);
		/* a unit is that of a product, 2^-298 or above, so the shift is not negative */
		wide_add(wide, negative ^ alpha.negative, x, 3, exponent + alpha.exponent);
	}
}

/* (-1)^negative * magnitude * 2^exponent */
struct term {
	unsigned __int128 magnitude;
	int32_t exponent;
	bool negative;
};

#define TERM_BITS 124

static int32_t term_width(unsigned __int128 x)
{
	uint64_t upper = (uint64_t)(x >> 64);

	return upper ? 128 - __builtin_clzll(upper) : 64 - __builtin_clzll((uint64_t)x | 1);
}

/*
 * The exact sum of three terms in 128 bits, if it fits: in units of the smallest
 * exponent each stays below 2^124, so that the sum stays below 2^126.  Ordinary
 * numbers do; what does not takes the wide path.
 */
static bool sum_terms(const struct term term[3], uint64_t *low, int64_t *high, int32_t *exponent)
{
	unsigned __int128 sum = 0;
	int32_t unit = INT32_MAX;

	for (int i = 0; i < 3; i++)
		if (term[i].magnitude && term[i].exponent < unit)
			unit = term[i].exponent;
	for (int i = 0; i < 3; i++) {
		int32_t shift;

		if (!term[i].magnitude)
			continue;
		shift = term[i].exponent - unit;
		if (term_width(term[i].magnitude) + shift > TERM_BITS)
			return false;
		sum += term[i].negative ? -(term[i].magnitude << shift) : term[i].magnitude << shift;
	}
	*low = (uint64_t)sum;
	*high = (int64_t)(uint64_t)(sum >> 64);
	*exponent = unit == INT32_MAX ? 0 : unit;
	return true;
}

/* factor * x; false for a special value. */
static bool term_of_number(struct term *term, struct gemm_number factor, struct gemm_number x)
{
	if (x.special)
		return false;
	term->magnitude = factor.significand * x.significand;	/* 24 and 31 bits */
	term->exponent = factor.exponent + x.exponent;
	term->negative = factor.negative ^ x.negative;
	return true;
}

/* A factor in lowest terms: for 1 the significand is 1, which costs no width. */
static struct gemm_number reduced_factor(float f)
{
	struct gemm_number x = factor_of(f);

	if (x.significand) {
		int zeros = __builtin_ctzll(x.significand);

		x.significand >>= zeros;
		x.exponent += zeros;
	}
	return x;
}

/* What finishing a run needs again and again. */
struct epilogue {
	struct gemm_number alpha, beta, one;
	bool c, bias;
};

/* Replace one sum of a run by alpha * sum + beta * C + bias; false if it does not fit. */
static bool finish_narrow(const struct gemm_finish *finish, const struct epilogue *e, uint32_t row,
			  uint32_t column, uint64_t *low, int64_t *high, int32_t *exponent)
{
	const struct quire_gemm *g = finish->gemm;
	unsigned __int128 t = (unsigned __int128)(uint64_t)*high << 64 | *low;
	struct term term[3] = { 0 };

	term[0].negative = (*high < 0) ^ e->alpha.negative;
	t = *high < 0 ? -t : t;
	if (e->alpha.significand != 1 && term_width(t) > TERM_BITS - 24)
		return false;
	term[0].magnitude = t * e->alpha.significand;
	term[0].exponent = *exponent + e->alpha.exponent;
	if (e->c && !term_of_number(&term[1], e->beta,
				    gemm_load(g->c.format, finish->c,
					      (uint64_t)row * g->c.leading_dimension + column)))
		return false;
	if (e->bias &&
	    !term_of_number(&term[2], e->one,
			    gemm_load(g->bias_format, g->bias,
				      g->bias_kind == QUIRE_GEMM_BIAS_PER_ROW ? row : column)))
		return false;
	return sum_terms(term, low, high, exponent);
}

/* A run with alpha, C or bias: in 128 bits where that is exact, else one by one. */
static void finish_run(const struct gemm_finish *finish, const struct gemm_kernel *kernel,
		       uint32_t row, uint32_t column, uint32_t count, uint64_t *low, int64_t *high,
		       int32_t *exponent, const uint8_t *special, struct gemm_tally *tally)
{
	const struct quire_gemm *g = finish->gemm;
	const struct epilogue e = { reduced_factor(g->alpha), reduced_factor(g->beta),
				    reduced_factor(1.0f), g->beta != 0, g->bias_kind != 0 };
	bool narrow = g->d.format != QUIRE_FORMAT_QUIRE && g->c.format != QUIRE_FORMAT_QUIRE;
	uint64_t bits[GEMM_NR_MAX], slow_bits[GEMM_NR_MAX];
	bool slow[GEMM_NR_MAX];
	struct wide wide;

	for (uint32_t i = 0; i < count; i++) {
		slow[i] = !narrow || (special && special[i]) ||
			  !finish_narrow(finish, &e, row, column + i, &low[i], &high[i],
					 &exponent[i]);
		if (!slow[i])
			continue;
		wide_from_run(finish, &wide, low[i], high[i], exponent[i],
			      special ? special[i] : 0);
		if (g->d.format == QUIRE_FORMAT_QUIRE) {
			finish_wide(finish, row, column + i, &wide, tally);
			continue;
		}
		wide_add_rest(finish, row, column + i, &wide);
		slow_bits[i] = wide_round(&wide, g->d.format);
	}
	if (g->d.format == QUIRE_FORMAT_QUIRE)
		return;
	kernel->round(g->d.format, count, low, high, exponent, bits);
	for (uint32_t i = 0; i < count; i++)
		if (slow[i])
			bits[i] = slow_bits[i];
	tally->exceptional += gemm_count_exceptional(g->d.format, bits, count);
	store_row(finish, row, column, count, bits, tally);
}

void gemm_finish_row(const struct gemm_finish *finish, const struct gemm_kernel *kernel,
		     uint32_t row, uint32_t column, uint32_t count, uint64_t *low,
		     int64_t *high, int32_t *exponent, const uint8_t *special,
		     struct gemm_tally *tally)
{
	const uint32_t format = finish->gemm->d.format;
	uint64_t bits[GEMM_NR_MAX];

	if (!finish->direct) {
		finish_run(finish, kernel, row, column, count, low, high, exponent, special,
			   tally);
		return;
	}
	if (!special) {
		gemm_finish_direct(finish, kernel, row, column, count, low, high, exponent, 0, tally);
		return;
	}
	if (finish->shift)
		for (uint32_t i = 0; i < count; i++)
			exponent[i] += finish->shift;
	if (finish->negate)
		for (uint32_t i = 0; i < count; i++) {
			low[i] = -low[i];
			high[i] = ~high[i] + (low[i] == 0);
		}
	kernel->round(format, count, low, high, exponent, bits);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t s = special[i];

		if (s > GEMM_NAN && finish->negate)
			s = s == GEMM_PLUS_INF ? GEMM_MINUS_INF : GEMM_PLUS_INF;
		if (s)
			bits[i] = gemm_special_bits(format, s);
	}
	tally->exceptional += gemm_count_exceptional(format, bits, count);
	store_row(finish, row, column, count, bits, tally);
}

struct gemm_store gemm_finish_store(const struct gemm_finish *finish)
{
	return (struct gemm_store){
		.format = finish->gemm->d.format,
		.offset = finish->shift,
		.negate = finish->negate,
		.relu = finish->gemm->activation == QUIRE_GEMM_ACTIVATION_RELU,
	};
}

struct gemm_place gemm_finish_place(const struct gemm_finish *finish, uint32_t row,
				    uint32_t column)
{
	const struct quire_gemm *g = finish->gemm;
	const uint64_t index = digest_index(finish, row, column);

	return (struct gemm_place){
		.at = finish->d + ((uint64_t)row * g->d.leading_dimension + column) * finish->element,
		.row_bytes = (size_t)g->d.leading_dimension * finish->element,
		.index = index,
		.row_index = digest_index(finish, row + 1, column) - index,
	};
}

void gemm_finish_direct(const struct gemm_finish *finish, const struct gemm_kernel *kernel,
			uint32_t row, uint32_t column, uint32_t count, const uint64_t *low,
			const int64_t *high, const int32_t *exponent, int32_t offset,
			struct gemm_tally *tally)
{
	const struct gemm_place place = gemm_finish_place(finish, row, column);
	struct gemm_store store = gemm_finish_store(finish);

	store.offset += offset;
	kernel->store(&store, count, low, high, exponent, place.at, place.index, tally);
}

bool gemm_finish_is_plain(const struct gemm_finish *finish)
{
	return finish->direct && finish->gemm->alpha == 1 &&
	       finish->gemm->activation != QUIRE_GEMM_ACTIVATION_RELU;
}

void gemm_finish_convert(const struct gemm_finish *finish, const struct gemm_kernel *kernel,
			 uint32_t row, uint32_t column, uint32_t count, const float *sums,
			 struct gemm_tally *tally)
{
	const struct quire_gemm *g = finish->gemm;
	const struct gemm_convert convert = { QUIRE_FORMAT_FP32, g->d.format, 1 };

	kernel->convert(&convert, count, (const uint8_t *)sums,
			finish->d + ((uint64_t)row * g->d.leading_dimension + column) * finish->element,
			digest_index(finish, row, column), tally);
}

void gemm_finish_init(struct gemm_finish *finish, const struct quire_gemm *gemm, uint32_t batch)
{
	int exponent;

	memset(finish, 0, sizeof(*finish));
	finish->gemm = gemm;
	finish->element = gemm_element_bytes(gemm->d.format);
	finish->d = (uint8_t *)gemm->d.data +
		    (batch ? batch * gemm->d.batch_stride * finish->element : 0);
	if (gemm->beta != 0)
		finish->c = (const uint8_t *)gemm->c.data +
			    (batch ? batch * gemm->c.batch_stride *
				     gemm_element_bytes(gemm->c.format) : 0);
	finish->batch = gemm->digest_batch + batch;
	finish->direct = gemm->d.format != QUIRE_FORMAT_QUIRE && gemm->beta == 0 &&
			 !gemm->bias_kind && fabsf(frexpf(gemm->alpha, &exponent)) == 0.5f;
	if (finish->direct) {
		finish->shift = exponent - 1;
		finish->negate = gemm->alpha < 0;
	}
}
