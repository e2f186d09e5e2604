// SPDX-License-Identifier: MIT
/*
 * Text to numbers.  A decimal becomes a quotient of two integers, of which the
 * first 64 bits and a sticky bit are taken; rounding that to the format is the only
 * rounding.
 *
 * Of a long decimal DIGITS_MOST digits are kept and the rest is ORed into the
 * sticky bit.  That is exact: a rounding can go wrong only if a decision point lies
 * between what is kept and one unit of its last digit more.  Decision points are
 * multiples of 2^-1075 (FP64 has the finest) below 2^1024, and those below 1 have
 * at most 768 significant digits, so one that is in that gap is its lower end.
 */
#include <errno.h>

#include <quirenum/number.h>

#include "bignum.h"
#include "number.h"

#define DIGITS_MOST 800
/*
 * No format reaches 10^310, and every format rounds what is below 10^-400 as it does
 * 10^-400: decimals are taken to lie between these two bounds.
 */
#define DECIMAL_HIGHEST 400
#define DECIMAL_LOWEST (-400)
/* The same for powers of two. */
#define BINARY_HIGHEST 4000
#define BINARY_LOWEST (-4000)

/* An explicit exponent is cut off here; no text is long enough to make up for it. */
#define EXPONENT_MOST (INT64_MAX / 4)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* text behind word, in any case of letters, or NULL; word is in lower case */
static const char *match(const char *text, const char *word)
{
	for (; *word; word++, text++)
		if ((*text | 0x20) != *word)
			return NULL;
	return text;
}

/* An exponent after its letter, if there is one: else text stays where it is. */
static const char *parse_exponent(const char *text, char letter, int64_t *exponent)
{
	const char *at = text;
	bool negative;
	int64_t e = 0;

	if ((*at | 0x20) != letter)
		return text;
	at++;
	negative = *at == '-';
	if (*at == '-' || *at == '+')
		at++;
	if (!is_digit(*at))
		return text;
	for (; is_digit(*at); at++)
		if (e < EXPONENT_MOST / 10)
			e = 10 * e + (*at - '0');
	*exponent += negative ? -e : e;
	return at;
}

/* numerator / denominator in 64 bits and sticky; neither is 0. */
static struct number divide(struct bignum *numerator, struct bignum *denominator)
{
	int32_t top = (int32_t)bignum_bits(numerator) - (int32_t)bignum_bits(denominator);
	struct number x = { .top = top };

	bignum_shift_left(top < 0 ? numerator : denominator, (uint32_t)(top < 0 ? -top : top));
	if (bignum_less(numerator, denominator)) {
		bignum_shift_left(numerator, 1);
		x.top--;
	}
	/* 1 <= quotient < 2: a bit for each step */
	for (int i = 0; i < 64; i++) {
		x.significand <<= 1;
		if (!bignum_less(numerator, denominator)) {
			bignum_subtract(numerator, denominator);
			x.significand |= 1;
		}
		bignum_shift_left(numerator, 1);
	}
	x.significand |= numerator->count != 0;
	return x;
}

/* The decimal point seen so far and the digits: value = kept * 10^exponent, and more. */
struct decimal {
	struct bignum kept;
	uint32_t digits;	/* of kept */
	uint32_t pending, pending_factor;	/* digits not yet in kept, and 10^their number */
	int64_t exponent;
	bool more;		/* a digit that is not 0 was left out */
};

static void flush_digits(struct decimal *d)
{
	bignum_multiply_add(&d->kept, d->pending_factor, d->pending);
	d->pending = 0;
	d->pending_factor = 1;
}

static void add_digit(struct decimal *d, uint32_t digit, bool fraction)
{
	if (d->digits == DIGITS_MOST) {
		d->more |= digit != 0;
		d->exponent += !fraction;
		return;
	}
	d->exponent -= fraction;
	if (!d->digits && !digit)
		return;			/* leading zeros */
	d->digits++;
	d->pending = 10 * d->pending + digit;
	d->pending_factor *= 10;
	if (d->pending_factor == 1000000000)
		flush_digits(d);
}

static struct number decimal_value(struct decimal *d)
{
	struct bignum one;
	struct number x;
	int64_t places;

	flush_digits(d);
	if (!d->digits)
		return (struct number){ 0 };
	/* value lies in [10^(places - 1), 10^places) */
	places = d->exponent + d->digits;
	if (places > DECIMAL_HIGHEST)
		return (struct number){ .significand = 1ull << 63, .top = BINARY_HIGHEST };
	if (places < DECIMAL_LOWEST)
		return (struct number){ .significand = 1ull << 63, .top = BINARY_LOWEST };
	bignum_set(&one, 1);
	if (d->exponent >= 0)
		bignum_multiply_power_of_ten(&d->kept, (uint32_t)d->exponent);
	else
		bignum_multiply_power_of_ten(&one, (uint32_t)-d->exponent);
	x = divide(&d->kept, &one);
	x.significand |= d->more;
	return x;
}

static const char *parse_decimal(const char *text, struct number *x)
{
	struct decimal d = { .pending_factor = 1 };
	bool any = false, fraction = false;

	for (;; text++) {
		if (is_digit(*text)) {
			any = true;
			add_digit(&d, (uint32_t)(*text - '0'), fraction);
		} else if (*text == '.' && !fraction && (any || is_digit(text[1]))) {
			fraction = true;
		} else {
			break;
		}
	}
	if (!any)
		return NULL;
	text = parse_exponent(text, 'e', &d.exponent);
	*x = decimal_value(&d);
	return text;
}

/* text is behind "0x" */
static const char *parse_hex(const char *text, struct number *x)
{
	bool any = false, fraction = false, more = false;
	uint64_t significand = 0;
	int64_t exponent = 0, top;

	for (;; text++) {
		int digit = hex_digit(*text);

		if (digit >= 0) {
			any = true;
			if (significand >> 60) {
				more |= digit != 0;
				exponent += fraction ? 0 : 4;
			} else {
				significand = significand << 4 | (uint64_t)digit;
				exponent -= fraction ? 4 : 0;
			}
		} else if (*text == '.' && !fraction && (any || hex_digit(text[1]) >= 0)) {
			fraction = true;
		} else {
			break;
		}
	}
	if (!any)
		return NULL;
	text = parse_exponent(text, 'p', &exponent);
	*x = number_scaled(false, significand, 0);
	if (significand) {
		x->significand |= more;
		top = exponent + x->top;
		x->top = top > BINARY_HIGHEST ? BINARY_HIGHEST :
			 top < BINARY_LOWEST ? BINARY_LOWEST : (int32_t)top;
	}
	return text;
}

static const char *parse_special(const char *text, bool negative, struct number *x)
{
	const char *behind, *longer;

	behind = match(text, "nan");
	if (!behind)
		behind = match(text, "nar");
	if (behind) {
		*x = number_special(NUMBER_NAN);
		return behind;
	}
	behind = match(text, "inf");
	if (!behind)
		return NULL;
	longer = match(behind, "inity");
	*x = number_special(negative ? NUMBER_MINUS_INF : NUMBER_PLUS_INF);
	return longer ? longer : behind;
}

static const char *parse_magnitude(const char *text, bool negative, struct number *x)
{
	const char *behind = NULL;

	if (text[0] == '0' && (text[1] | 0x20) == 'x')
		behind = parse_hex(text + 2, x);
	if (!behind)
		behind = parse_decimal(text, x);
	if (behind)
		x->negative = negative;
	else
		behind = parse_special(text, negative, x);
	return behind;
}

int quire_number_parse(uint32_t format, const char *text, const char **end, uint64_t *word)
{
	const bool negative = *text == '-';
	const char *behind = NULL;
	struct number x;

	if (number_format_valid(format))
		behind = parse_magnitude(text + (*text == '-' || *text == '+'), negative, &x);
	if (end)
		*end = behind ? behind : text;
	if (!behind || (!end && *behind))
		return -EINVAL;
	*word = number_store(format, x);
	return 0;
}
