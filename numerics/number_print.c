// SPDX-License-Identifier: MIT
/*
 * Numbers to text.  The decimal digits of a number are generated exactly, as of a
 * quotient of two integers; the shortest prefix of them, rounded down or up, that
 * reads back as the same word is printed.  (The free-format algorithm of Steele and
 * White, 1990, with the reading back in place of its bounds, because the bounds of
 * a posit's interval are its own.)
 */
#include <quirenum/number.h>

#include "bignum.h"
#include "number.h"

#define DIGITS_MOST 17		/* enough for FP64, the widest */

/* digit[0].digit[1] ... * 10^exponent, count digits */
struct digits {
	char digit[DIGITS_MOST + 1];
	int count;
	int exponent;
};

struct text {
	char *at;
	size_t size, length;
};

static void put(struct text *text, char c)
{
	if (text->length + 1 < text->size)
		text->at[text->length] = c;
	text->length++;
}

static void put_string(struct text *text, const char *s)
{
	while (*s)
		put(text, *s++);
}

static void put_integer(struct text *text, int value)
{
	char digit[12];
	int count = 0;

	if (value < 0) {
		put(text, '-');
		value = -value;
	}
	do {
		digit[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (count)
		put(text, digit[--count]);
}

/* The first count digits of |x|, rounded down; x is finite and not 0. */
static void generate(struct number x, int count, struct digits *out)
{
	struct bignum numerator, denominator;
	int zeros = __builtin_ctzll(x.significand);
	int exponent = x.top - 63 + zeros;	/* |x| = odd integer * 2^exponent */
	/* at or one below the decimal exponent: log10(2) = 0.30103 with an error
	 * below 1e-6, which 1100 powers of two do not bring to one */
	int ten = (int)(((int64_t)x.top * 30103 - 99999) / 100000);

	bignum_set(&numerator, x.significand >> zeros);
	bignum_set(&denominator, 1);
	bignum_shift_left(exponent < 0 ? &denominator : &numerator,
			  (uint32_t)(exponent < 0 ? -exponent : exponent));
	bignum_multiply_power_of_ten(ten < 0 ? &numerator : &denominator,
				     (uint32_t)(ten < 0 ? -ten : ten));
	for (;;) {
		struct bignum tenfold = denominator;

		bignum_multiply_add(&tenfold, 10, 0);
		if (bignum_less(&numerator, &tenfold))
			break;
		denominator = tenfold;
		ten++;
	}
	out->exponent = ten;
	out->count = count;
	for (int i = 0; i < count; i++) {
		out->digit[i] = '0';
		while (!bignum_less(&numerator, &denominator)) {
			bignum_subtract(&numerator, &denominator);
			out->digit[i]++;
		}
		bignum_multiply_add(&numerator, 10, 0);
	}
	/* what follows decides between down and up */
	bignum_multiply_add(&denominator, 5, 0);
	out->digit[count] = bignum_less(&numerator, &denominator) ? '0' : '5';
}

/* The first count digits of d, rounded up. */
static struct digits rounded_up(const struct digits *d, int count)
{
	struct digits up = *d;

	up.count = count;
	while (count && up.digit[count - 1] == '9')
		up.digit[--count] = '0';
	if (count) {
		up.digit[count - 1]++;
	} else {
		up.digit[0] = '1';	/* 9.99 to 10.0 */
		up.exponent++;
	}
	return up;
}

static void put_scientific(struct text *text, const struct digits *d, int count)
{
	put(text, d->digit[0]);
	if (count > 1)
		put(text, '.');
	for (int i = 1; i < count; i++)
		put(text, d->digit[i]);
	put(text, 'e');
	put_integer(text, d->exponent);
}

static void put_plain(struct text *text, const struct digits *d, int count)
{
	if (d->exponent < 0)
		put_string(text, "0.");
	for (int i = d->exponent + 1; i < 0; i++)
		put(text, '0');
	for (int i = 0; i < count; i++) {
		if (i && i == d->exponent + 1)
			put(text, '.');
		put(text, d->digit[i]);
	}
	for (int i = count; i <= d->exponent; i++)
		put(text, '0');
}

/* As JavaScript writes numbers. */
static void put_digits(struct text *text, const struct digits *d)
{
	int count = d->count;

	while (count > 1 && d->digit[count - 1] == '0')
		count--;
	if (d->exponent < -7 || d->exponent > 20)
		put_scientific(text, d, count);
	else
		put_plain(text, d, count);
}

/* Does d read back as word?  If so, print it. */
static bool try_digits(uint32_t format, uint64_t word, bool negative, const struct digits *d,
		       struct text *text)
{
	char buffer[QUIRE_NUMBER_TEXT_SIZE];
	struct text trial = { buffer, sizeof(buffer), 0 };
	uint64_t back;

	if (negative)
		put(&trial, '-');
	put_digits(&trial, d);
	buffer[trial.length] = 0;
	if (quire_number_parse(format, buffer, NULL, &back) || back != word)
		return false;
	put_string(text, buffer);
	return true;
}

/*
 * Is this the largest finite number of its format?  Then decimals far above it
 * read back as it too, where the format saturates.
 */
static bool is_largest(uint32_t format, struct number x)
{
	const struct number beyond = { 1ull << 63, 4000, x.negative, NUMBER_FINITE };

	return number_store(format, beyond) == number_store(format, x);
}

static void put_shortest(uint32_t format, struct number x, struct text *text)
{
	uint64_t word = number_store(format, x);
	bool largest = is_largest(format, x);
	struct digits all, prefix, up;

	generate(x, DIGITS_MOST, &all);
	for (int count = 1; count < DIGITS_MOST; count++) {
		bool nearer_up = all.digit[count] >= '5';

		prefix = all;
		prefix.count = count;
		up = rounded_up(&all, count);
		if (try_digits(format, word, x.negative, nearer_up ? &up : &prefix, text))
			return;
		if (!largest &&
		    try_digits(format, word, x.negative, nearer_up ? &prefix : &up, text))
			return;
	}
	/* 17 digits, rounded to nearest, are enough for every format */
	if (all.digit[DIGITS_MOST] >= '5')
		all = rounded_up(&all, DIGITS_MOST);
	try_digits(format, word, x.negative, &all, text);
}

/* 0x1.8p+3: the significand's leading bit, hexadecimal digits of the rest, the exponent. */
static void put_hex(struct number x, struct text *text)
{
	uint64_t rest = x.significand << 1;

	if (x.negative)
		put(text, '-');
	put_string(text, x.significand ? "0x1" : "0x0");
	if (rest)
		put(text, '.');
	for (; rest; rest <<= 4)
		put(text, "0123456789abcdef"[rest >> 60]);
	put(text, 'p');
	if (x.top >= 0)
		put(text, '+');
	put_integer(text, x.top);
}

static void put_number(uint32_t format, struct number x, enum quire_number_style style,
		       struct text *text)
{
	if (x.special == NUMBER_NAN) {
		put_string(text, QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT ? "NaR" : "nan");
	} else if (x.special) {
		put_string(text, x.negative ? "-inf" : "inf");
	} else if (style == QUIRE_NUMBER_HEX) {
		put_hex(x, text);
	} else if (!x.significand) {
		put_string(text, x.negative ? "-0" : "0");
	} else if (format == QUIRE_FORMAT_INT8) {
		put_integer(text, (x.negative ? -1 : 1) * (int)(x.significand >> (63 - x.top)));
	} else {
		put_shortest(format, x, text);
	}
}

size_t quire_number_print(uint32_t format, uint64_t word, enum quire_number_style style,
			  char *text, size_t size)
{
	struct text out = { text, size, 0 };

	put_number(format, number_load(format, word), style, &out);
	if (size)
		text[out.length < size ? out.length : size - 1] = 0;
	return out.length;
}
