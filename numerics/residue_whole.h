/* SPDX-License-Identifier: MIT */
/*
 * Residues of whole integers, which do not fit one part: more and smaller moduli than those of
 * residue_table.h.  All constants follow from them and are computed when first needed.
 */
#ifndef QUIRE_RESIDUE_WHOLE_H
#define QUIRE_RESIDUE_WHOLE_H

#include <stdint.h>

#include "gemm_internal.h"
#include "residue_table.h"

#define WHOLE_DIGIT_BITS 44
#define WHOLE_GROUP 3		/* moduli that integers are reduced by at once, see whole_pack() */
#define WHOLE_GROUPS (GEMM_WHOLE_MODULI / WHOLE_GROUP)
/* of 50 bits: numbers are multiples of 2^-149 below 2^136 */
#define WHOLE_PARTS 6

struct whole_modulus {
	float m, inverse;
	struct residue_modulus words;
};

/* The product M of a group, 1 / M, and the residues of least magnitude of 2^(50 q) modulo M. */
struct whole_group {
	double product, inverse, power[WHOLE_PARTS];
};

/*
 * Of residues back to an integer with the first moduli.  P is their product, C = P / m and I the inverse of
 * C modulo m, times 2^64 if m is odd (see residue_pack_narrow()).
 *	product, digit	P and C in digits of 44 bits, digits of them
 *	weights		the least residues of I * 2^0, I * 2^8, I * 2^16, I * 2^24 in a byte each
 *	start		that of -(I * 2^27)
 */
struct whole_system {
	uint32_t digits;
	uint64_t product[GEMM_WHOLE_DIGITS];
	struct whole_back {
		uint32_t weights;
		int32_t start;
		uint64_t digit[GEMM_WHOLE_DIGITS];
	} back[GEMM_WHOLE_MODULI];
};

extern struct whole_constants {
	struct whole_modulus modulus[GEMM_WHOLE_MODULI];
	struct whole_group group[WHOLE_GROUPS];
	struct whole_system system[GEMM_WHOLE_MODULI];
	double square[GEMM_WHOLE_MODULI];	/* of sums below P / 2 (1 - 2^-8) */
} gemm_whole_constants;

/* How many of them sums whose squares are at most square need; 0: there are not enough. */
uint32_t gemm_whole_moduli(double square);

#endif /* QUIRE_RESIDUE_WHOLE_H */
