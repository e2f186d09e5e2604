/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Number formats of the Quire card, shared by every room.
 *
 * A format is one 32-bit code that a packet, a descriptor or a file carries:
 *
 *   bits  7:0   kind (enum quire_format_kind)
 *   bits 15:8   width of one element in bits (of one value, not of its
 *               container); 80 bytes are coded as 0 for the quire image
 *   bits 23:16  exponent bits (es) of a posit; 0 otherwise
 *   bits 31:24  longest regime of a posit, 0 = unbounded; must be 0 today
 *
 * es and the regime bound are carried so that bounded posits can be added
 * without a new field.  Values are never reused.
 *
 * An element of posit<n> lives in the smallest of 8, 16 or 32 bits that holds
 * n bits, in the low n bits.  Readers ignore the bits above, writers extend the
 * sign into them, so that the container compares as a signed integer.
 * Matrices are row-major and little-endian; a leading dimension counts elements.
 */
#ifndef QUIRE_FORMAT_H
#define QUIRE_FORMAT_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

enum quire_format_kind {
	QUIRE_KIND_NONE = 0,
	QUIRE_KIND_POSIT = 1,		/* Posit Standard 2022, es = 2 */
	QUIRE_KIND_IEEE = 2,		/* binary16, binary32, binary64 by width */
	QUIRE_KIND_BFLOAT = 3,		/* bfloat16 */
	QUIRE_KIND_FP8_E4M3 = 4,	/* OCP 8-bit floating point, S.1111.111 = NaN, no Inf */
	QUIRE_KIND_FP8_E5M2 = 5,	/* OCP 8-bit floating point, IEEE-like Inf and NaN */
	QUIRE_KIND_MXFP8 = 6,		/* OCP MX: 32 E4M3 elements share one E8M0 scale */
	QUIRE_KIND_INT = 7,		/* two's complement integer times a scale */
	QUIRE_KIND_QUIRE = 8,		/* exact accumulator image, see below */
	QUIRE_KIND_TILED = 9,		/* tiles of posit<n> * 2^s, n and s per tile: tiled.h */
};

#define QUIRE_FORMAT(kind, bits, es)                                           \
	((uint32_t)(kind) | (uint32_t)(bits) << 8 | (uint32_t)(es) << 16)

#define QUIRE_FORMAT_NONE 0u
#define QUIRE_FORMAT_POSIT(n) QUIRE_FORMAT(QUIRE_KIND_POSIT, (n), 2)
#define QUIRE_FORMAT_POSIT8 QUIRE_FORMAT_POSIT(8)
#define QUIRE_FORMAT_POSIT16 QUIRE_FORMAT_POSIT(16)
#define QUIRE_FORMAT_POSIT32 QUIRE_FORMAT_POSIT(32)
#define QUIRE_FORMAT_FP16 QUIRE_FORMAT(QUIRE_KIND_IEEE, 16, 0)
#define QUIRE_FORMAT_FP32 QUIRE_FORMAT(QUIRE_KIND_IEEE, 32, 0)
#define QUIRE_FORMAT_FP64 QUIRE_FORMAT(QUIRE_KIND_IEEE, 64, 0)
#define QUIRE_FORMAT_BF16 QUIRE_FORMAT(QUIRE_KIND_BFLOAT, 16, 0)
#define QUIRE_FORMAT_E4M3 QUIRE_FORMAT(QUIRE_KIND_FP8_E4M3, 8, 0)
#define QUIRE_FORMAT_E5M2 QUIRE_FORMAT(QUIRE_KIND_FP8_E5M2, 8, 0)
#define QUIRE_FORMAT_MXFP8 QUIRE_FORMAT(QUIRE_KIND_MXFP8, 8, 0)
#define QUIRE_FORMAT_INT8 QUIRE_FORMAT(QUIRE_KIND_INT, 8, 0)
#define QUIRE_FORMAT_QUIRE QUIRE_FORMAT(QUIRE_KIND_QUIRE, 0, 0)
#define QUIRE_FORMAT_TILED QUIRE_FORMAT(QUIRE_KIND_TILED, 0, 0)

#define QUIRE_FORMAT_KIND(format) ((format) & 0xffu)
#define QUIRE_FORMAT_BITS(format) (((format) >> 8) & 0xffu)
#define QUIRE_FORMAT_ES(format) (((format) >> 16) & 0xffu)

/*
 * Quire image: the accumulator as stored in memory.  640 bits in ten
 * little-endian 64-bit limbs, least significant limb first, two's complement,
 * the least significant bit weighs 2^-298 (the square of the smallest FP32
 * subnormal).  Wide enough for 2^31 - 1 products of any two supported formats.
 *
 * (MXFP8 has the largest products, below 2^272, and none has finer ones than FP32.)
 *
 * Special values use patterns that no sum can reach; only the top limb is set,
 * except for the low bits of limb 0:
 *   NaR or NaN   limb 9 = 2^63, all others 0
 *   +infinity    limb 9 = 2^63, limb 0 = 1
 *   -infinity    limb 9 = 2^63, limb 0 = 2
 * Adding NaR to anything is NaR; +inf + -inf is NaR; otherwise infinity stays.
 */
#define QUIRE_IMAGE_LIMBS 10
#define QUIRE_IMAGE_BYTES 80
#define QUIRE_IMAGE_LSB_EXPONENT (-298)
#define QUIRE_PRODUCT_LIMIT 0x7fffffffu

/*
 * MXFP8 (OCP Microscaling Formats 1.0, E4M3 elements): a row is a run of blocks of 33
 * bytes, the shared scale and then 32 elements.  The scale is an E8M0 byte; the value of an
 * element is that of its E4M3 byte times 2^(scale - 127).  Scale 0xff makes all 32 values NaN.
 * A row of columns elements takes ceil(columns / 32) blocks; what is left of the last one
 * is ignored by readers and zero when written.  Leading dimensions and batch strides
 * count elements and are multiples of 32, so that every row starts with a scale.
 */
#define QUIRE_MX_ELEMENTS 32
#define QUIRE_MX_BLOCK_BYTES 33
#define QUIRE_MX_SCALE_NAN 0xffu
#define QUIRE_MX_SCALE_BIAS 127

/*
 * Digest of a matrix: the sum modulo 2^64 of quire_digest_word(index, word) over all
 * elements, with index = (batch * rows + row) * columns + column and word the element as
 * stored, extended with zeros to 32 bits (posit<n>: the low n bits).  Wider elements are words
 * in the order of memory: FP64 two, with index 2 * index + word, a quire image twenty, with
 * index 20 * index + word.  MXFP8 counts as 33 words of one byte for each block, the scale first,
 * with index 33 * ((batch * rows + row) * blocks + block) + byte.  Addition makes it
 * independent of tiling and order.  Modulo 2^32, but for the square:
 *
 *   place = low(index + 1) * QUIRE_DIGEST_PLACE + high(index + 1) * QUIRE_DIGEST_PLACE_HIGH
 *   x = ((word ^ word >> 16) + place) * QUIRE_DIGEST_MULTIPLIER
 *   x = x ^ x >> 15
 *   quire_digest_word = x * x                 (64 bits)
 *
 * with low and high the halves of 64 bits.  Each step from word to x can be undone, and no two
 * numbers below 2^32 have the same square: a change within one word always changes the
 * digest.  What several changes together do is in docs/numerics.md.
 */
#define QUIRE_DIGEST_PLACE 0x9e377311u
#define QUIRE_DIGEST_PLACE_HIGH 0x7f4a7c15u
#define QUIRE_DIGEST_MULTIPLIER 0x7feb352du

static inline uint64_t quire_digest_word(uint64_t index, uint32_t word)
{
	uint32_t place = (uint32_t)(index + 1) * QUIRE_DIGEST_PLACE +
			 (uint32_t)((index + 1) >> 32) * QUIRE_DIGEST_PLACE_HIGH;
	uint32_t x = ((word ^ word >> 16) + place) * QUIRE_DIGEST_MULTIPLIER;

	x ^= x >> 15;
	return (uint64_t)x * x;
}

/* Digests in an order that matters: digest = digest * QUIRE_DIGEST_SEQUENCE + next. */
#define QUIRE_DIGEST_SEQUENCE 0x9e3779b97f4a7c15ull

/* Layouts are asserted in C and C++. */
#ifndef __cplusplus
#define QUIRE_ASSERT_LAYOUT(what, text) _Static_assert(what, text)
#else
#define QUIRE_ASSERT_LAYOUT(what, text) static_assert(what, text)
#endif

/* Checks of the contracts give this, or the byte offset of the first wrong field. */
#define QUIRE_NO_FIELD 0xffffffffu

#endif /* QUIRE_FORMAT_H */
