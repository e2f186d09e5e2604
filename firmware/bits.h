/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_FW_BITS_H
#define QUIRE_FW_BITS_H

#include <stdint.h>

/*
 * Number of the lowest bit that is set; word is not 0.  RV32IM has no instruction
 * for it: a de Bruijn sequence puts a different number in the top five bits for
 * each power of two.  Source: Leiserson, Prokop, Randall, "Using de Bruijn
 * Sequences to Index a 1 in a Computer Word", 1998.
 */
static inline uint32_t lowest_bit(uint32_t word)
{
	static const uint8_t number[32] = { 0,	1,  28, 2,  29, 14, 24, 3,  30, 22, 20,
					    15, 25, 17, 4,  8,	31, 27, 13, 23, 21, 19,
					    16, 7,  26, 12, 18, 6,  11, 5,  10, 9 };

	return number[(word & -word) * 0x077cb531u >> 27];
}

#endif
