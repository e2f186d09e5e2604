/* SPDX-License-Identifier: MIT */
/*
 * Single numbers of any format: conversion, printing, parsing.
 *
 * A format is a code of quire/format.h: posit<n> with n = 3..32, BF16, FP16, FP32,
 * FP64, E4M3, E5M2 or INT8.  A word is the pattern of one number in the low bits;
 * bits above the format's width are ignored when read.  A word that is returned has
 * a posit's sign extended to 32 bits, so that it may be stored to a container of 8,
 * 16 or 32 bits by a cast, and zeros above any other format's width.
 *
 * All functions are pure: no allocation, no global state, no locale, no
 * floating-point environment.  Any number of threads may call them.
 */
#ifndef QUIRENUM_NUMBER_H
#define QUIRENUM_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/format.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Is this a format that the functions below take? */
bool quire_number_format_valid(uint32_t format);

/*
 * quire_number_convert - the number of one format nearest to one of another
 * @to, @from: formats; they must be valid
 * @word: pattern in format @from
 *
 * Rounds once, from the exact value (docs/numerics.md, section 2):
 * to a posit as the Posit Standard (2022), section 4.1, has it: never to zero and
 * never to NaR, infinities and NaN to NaR; to the IEEE-like formats to nearest
 * even with subnormals, overflow to infinity (E4M3: to 448), NaR and NaN to the
 * canonical quiet NaN, the sign of a zero kept; to INT8 to nearest even, saturating, NaR
 * and NaN to -128.
 */
uint64_t quire_number_convert(uint32_t to, uint32_t from, uint64_t word);

enum quire_number_style {
	/*
	 * The decimal with the fewest digits that reads back as the same word, of
	 * those the one nearest to the number: 0.1, -123.5, 1e-7.  INT8: all
	 * digits.
	 */
	QUIRE_NUMBER_DECIMAL = 0,
	/* The exact value as C's printf("%a") writes it: -0x1.edp+6. */
	QUIRE_NUMBER_HEX = 1,
};

#define QUIRE_NUMBER_TEXT_SIZE 32	/* holds every text and its terminating 0 */

/*
 * quire_number_print - write a number as text
 * @format, @word: the number
 * @style: enum quire_number_style
 * @text, @size: where to; cut off and terminated when @size is too small, not
 *	touched when it is 0
 *
 * Not numbers are "NaR" (posit), "nan", "inf" and "-inf".  The decimal point is a
 * point in every locale; finite numbers are valid JSON in the decimal style.
 * Returns the length of the whole text without the terminating 0.  (Posit Standard,
 * section 6.3.)
 */
size_t quire_number_print(uint32_t format, uint64_t word, enum quire_number_style style,
			  char *text, size_t size);

/*
 * quire_number_parse - read a number from text
 * @format: of the result
 * @text: an optional sign and a decimal number ("12", "-.5", "1.25e-7") of any
 *	length, a hexadecimal one as in C ("0x1.8p3"), or "NaR", "nan", "inf" or
 *	"infinity" in any case; no space before it
 * @end: when not NULL, receives the first character behind the number; when NULL
 *	nothing may follow
 * @word: receives the number nearest to the exact value of the text, rounded once
 *	as quire_number_convert() does
 *
 * Returns 0, or -EINVAL when @format is not valid, when @text does not start with a
 * number, or when something follows that must not; then @word is not written, and
 * @end, when not NULL, is @text.
 */
int quire_number_parse(uint32_t format, const char *text, const char **end, uint64_t *word);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_NUMBER_H */
