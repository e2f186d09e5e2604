// SPDX-License-Identifier: MIT
/* The constants of residues of whole integers, all from the moduli, computed when first needed. */
#include <pthread.h>

#include "residue_whole.h"

/* From 256 down, what has no factor in common with any before it; their product is above 2^320. */
static const uint16_t moduli[GEMM_WHOLE_MODULI] = {
	256, 255, 253, 251, 247, 241, 239, 233, 229, 227, 223, 217, 211, 199, 197,
	193, 191, 181, 179, 173, 167, 163, 157, 151, 149, 139, 137, 131, 127, 113,
	109, 107, 103, 101, 97,	 89,  83,  79,	73,  71,  67,  61,  59,	 53,  47,
};

struct whole_constants gemm_whole_constants;

#define LIMBS 6			/* P < 2^322, in 64 bits each */

static void multiply(uint64_t *x, uint32_t by)
{
	unsigned __int128 carry = 0;

	for (int i = 0; i < LIMBS; i++) {
		carry += (unsigned __int128)x[i] * by;
		x[i] = (uint64_t)carry;
		carry >>= 64;
	}
}

/* The remainder; quotient NULL: nothing else. */
static uint32_t divide(const uint64_t *x, uint32_t by, uint64_t *quotient)
{
	unsigned __int128 rest = 0;

	for (int i = LIMBS; i-- > 0;) {
		rest = rest << 64 | x[i];
		if (quotient)
			quotient[i] = (uint64_t)(rest / by);
		rest %= by;
	}
	return (uint32_t)rest;
}

static void put_digits(const uint64_t *x, uint64_t *digit)
{
	for (uint32_t p = 0; p < GEMM_WHOLE_DIGITS; p++) {
		const uint32_t limb = p * WHOLE_DIGIT_BITS / 64, bit = p * WHOLE_DIGIT_BITS % 64;
		uint64_t bits = x[limb] >> bit;

		if (bit + WHOLE_DIGIT_BITS > 64 && limb + 1 < LIMBS)
			bits |= x[limb + 1] << (64 - bit);
		digit[p] = bits & ((1ull << WHOLE_DIGIT_BITS) - 1);
	}
}

/* The residue of least magnitude. */
static int64_t least(uint64_t x, uint64_t m)
{
	x %= m;
	return x > (m - 1) / 2 ? (int64_t)x - (int64_t)m : (int64_t)x;
}

static uint32_t inverse(uint32_t x, uint32_t m)
{
	uint32_t i = 1;

	while (x * i % m != 1)
		i++;
	return i;
}

static void prepare_system(struct whole_system *system, uint32_t count, const uint64_t *product)
{
	/* sums are within +-P / 2, and a window of the top has three digits */
	system->digits = 3;
	put_digits(product, system->product);
	for (uint32_t p = 3; p < GEMM_WHOLE_DIGITS; p++)
		if (system->product[p])
			system->digits = p + 1;
	for (uint32_t t = 0; t < count; t++) {
		struct whole_back *back = &system->back[t];
		const uint32_t m = moduli[t];
		uint64_t rest[LIMBS], i;

		(void)divide(product, m, rest);
		i = count == 1 ? 1 : inverse(divide(rest, m, NULL), m);
		for (uint32_t twos = 0; m % 2 && twos < 64; twos++)
			i = 2 * i % m;
		put_digits(rest, back->digit);
		for (uint32_t byte = 0; byte < 4; byte++)
			back->weights |= (uint32_t)(uint8_t)least(i << 8 * byte, m) << 8 * byte;
		back->start = (int32_t)least((m - (i << 27) % m), m);
	}
}

/* -1 / m modulo 2^32: each round doubles the bits that are right, of which m itself has three. */
static uint32_t minus_inverse(uint32_t m)
{
	uint32_t x = m;

	for (int i = 0; i < 4; i++)
		x *= 2 - m * x;
	return -x;
}

static struct whole_modulus modulus_of(uint32_t m)
{
	const uint32_t twice = 0x00010001;

	return (struct whole_modulus){
		.m = (float)m,
		.inverse = 1.0f / (float)m,
		.words = {
			.m = (int32_t)m,
			.inverse = minus_inverse(m),
			/* only narrow words take these */
			.more = { { 0, (0x8000 + m / 2) / m * twice }, { 0, 0x8000 * twice } },
			.lower = m * twice,
			.upper = (m << 8) * twice,
			.middle = m / 2 * 0x01010101u,
		},
	};
}

static void prepare_groups(struct whole_constants *constants)
{
	for (uint32_t g = 0; g < WHOLE_GROUPS; g++) {
		struct whole_group *group = &constants->group[g];
		uint64_t m = 1, power = 1;

		for (uint32_t t = g * WHOLE_GROUP; t < (g + 1) * WHOLE_GROUP; t++)
			m *= moduli[t];
		group->product = (double)m;
		group->inverse = 1 / (double)m;
		for (uint32_t q = 0; q < WHOLE_PARTS; q++) {
			group->power[q] = (double)least(power, m);
			/* 2^50: m is below 2^24 */
			power = ((power << 25) % m << 25) % m;
		}
	}
}

static void prepare(void)
{
	struct whole_constants *constants = &gemm_whole_constants;
	uint64_t product[LIMBS] = { 1 };
	double half = 0.5 * (1 - 0x1p-8);

	for (uint32_t t = 0; t < GEMM_WHOLE_MODULI; t++) {
		constants->modulus[t] = modulus_of(moduli[t]);
		multiply(product, moduli[t]);
		half *= moduli[t];
		constants->square[t] = half * half;
		prepare_system(&constants->system[t], t + 1, product);
	}
	prepare_groups(constants);
}

uint32_t gemm_whole_moduli(double square)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare);
	for (uint32_t t = 0; t < GEMM_WHOLE_MODULI; t++)
		if (square < gemm_whole_constants.square[t])
			return t + 1;
	return 0;
}
