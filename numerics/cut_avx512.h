/* SPDX-License-Identifier: MIT */
/*
 * Cut lanes (struct gemm_cut).  The unit of a lane's last set bit is that of its smallest elements, of
 * which a lane of ordinary data has few: with normal numbers and k = 1024 every other lane has a posit32
 * whose bits begin ten places further down than those of nearly all others, and each place costs all
 * products of the lane.  So a lane may be taken in a larger unit u, in which its rests are
 * known to be less than what a rounding of its sums can tell:
 *
 *	(sum of their magnitudes) * 2^(precision + 10) <= the lane's norm
 *
 * A sum of products is of the order of norm * norm / sqrt(k), its last bits 2^-precision of it; the rests of
 * a lane come to at most their sum times the other lane's largest number, some norms / sqrt(k).  So one
 * rounding of some hundred is in doubt on account of the rests.
 * Which unit is good is decided when a panel is weighed and its norms are known, from the codes of
 * last_bits_avx512.h.
 */
#ifndef QUIRE_CUT_AVX512_H
#define QUIRE_CUT_AVX512_H

#include <immintrin.h>
#include <math.h>

#include "last_bits_avx512.h"
#include "residue_avx512.h"

#define CUT_BITS 10
#define CUT_SAMPLE 64		/* k's from which the first choice is made */

/* The same limit for each lane of a group, at all places of a vector of codes. */
static inline __m512i cut_spread(const uint8_t *limit, uint32_t group)
{
	const __m128i some = group == 8 ? _mm_loadl_epi64((const __m128i *)(const void *)limit) :
					  _mm_loadu_si128((const __m128i *)(const void *)limit);

	return group == 8 ? _mm512_broadcastq_epi64(some) : _mm512_broadcast_i32x4(some);
}

/* How many codes of a run of a group's k's are below their lanes' limits. */
static inline uint32_t cut_count(const uint8_t *codes, uint32_t group, uint32_t kc, const uint8_t *limit)
{
	const __m512i limits = cut_spread(limit, group);
	uint32_t count = 0;

	for (size_t i = 0; i < gemm_codes_bytes(kc) * group; i += 64)
		count += (uint32_t)__builtin_popcountll(_mm512_cmplt_epu8_mask(_mm512_load_si512(codes + i),
									       limits));
	return count;
}

static inline int32_t cut_exponent(double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return (int32_t)(bits >> 52 & 0x7ff) - 1023;
}

/* The power of two next to the root of a mean square, log2 rounded; those of 0 are far below. */
static inline int32_t cut_magnitude(double square)
{
	const int32_t e = cut_exponent(square) + 1;

	return (e - (e & 1)) / 2;
}

/* Limits of codes of lanes whose units are to be 2^-down of their magnitudes. */
static inline void cut_limits(const int32_t *magnitude, uint32_t lanes, int32_t down, uint8_t *limit)
{
	for (uint32_t l = 0; l < lanes; l++) {
		int32_t code = magnitude[l] - down + CUT_CODE_OF_1;

		limit[l] = (uint8_t)(code < 0 ? 0 : code < CUT_CODE_NONE ? code : CUT_CODE_NONE);
	}
}

/* Moduli that two such panels take, with some room. */
static inline uint32_t cut_moduli(uint32_t kc, int32_t down)
{
	const double weight = 1.2 * kc * ldexp(1, 2 * down);

	return residue_moduli(weight * weight);
}

/*
 * Where to cut: the largest unit for which a sample promises few rests, and from there the smallest with
 * which a product of two such panels takes no more moduli.
 */
static inline int32_t cut_down(const struct gemm_panel *panel, const uint8_t *codes, uint32_t lanes,
			       uint32_t kc, const int32_t *magnitude)
{
	const uint32_t group = cut_group(lanes), sample = kc < CUT_SAMPLE ? kc : CUT_SAMPLE;
	const int32_t first = (int32_t)panel->precision + 2;
	int32_t down = first;
	uint32_t moduli;

	for (; down < first + 10; down++) {
		uint8_t limit[GEMM_LANES_MAX];
		uint32_t total = 0;

		cut_limits(magnitude, lanes, down, limit);
		for (uint32_t l = 0; l < lanes; l += group)
			total += cut_count(codes + l * gemm_codes_bytes(kc), group, sample, limit + l);
		/* half of what is allowed, and one more than were seen */
		if ((total + 1.0) / panel->used * kc / sample <=
		    ldexp(sqrt(kc), down - (int32_t)panel->precision - CUT_BITS))
			break;
	}
	moduli = cut_moduli(kc, down);
	while (cut_moduli(kc, down + 1) == moduli && down < first + 20)
		down++;
	return down;
}

/* Rests on their way: GEMM_RESTS_MAX for each lane, behind the codes of scratch memory. */
static inline struct gemm_rest *cut_rests(double *scratch, uint32_t lanes, uint32_t kc)
{
	return (struct gemm_rest *)(void *)(cut_codes(scratch, lanes, kc) + gemm_codes_bytes(kc) * lanes);
}

/* An element's rest for a lane that is taken in units of 2^exponent, behind those that room has. */
static inline void cut_add(struct gemm_cut *cut, struct gemm_rest *room, uint32_t l, uint32_t k, double x,
			   int32_t exponent)
{
	const double v = x * pack_power(-exponent) + GEMM_MAGIC;
	const double rest = x - (v - GEMM_MAGIC) * pack_power(exponent);

	if (rest == 0 || cut->count[l] >= GEMM_RESTS_MAX)
		return;
	room[l * GEMM_RESTS_MAX + cut->count[l]++] = (struct gemm_rest){ rest, k };
	cut->lost[l] += fabs(rest);
}

/* The rests of a group's lanes, those of each in order of k. */
static inline void cut_collect(struct gemm_panel *panel, const uint8_t *codes, uint32_t lanes, uint32_t kc,
			       uint32_t first, const uint8_t *limit, const int32_t *exponent,
			       const struct gemm_source *source, uint64_t k, struct gemm_rest *room)
{
	const uint32_t group = cut_group(lanes);
	const __m512i limits = cut_spread(limit + first, group);

	for (size_t i = 0; i < gemm_codes_bytes(kc) * group; i += 64) {
		uint64_t below = _mm512_cmplt_epu8_mask(_mm512_load_si512(codes + i), limits);

		for (; below; below &= below - 1) {
			const uint32_t at = (uint32_t)i + (uint32_t)__builtin_ctzll(below);
			const uint32_t l = first + at % group;
			uint64_t bits;

			pack_decode_source(source, panel->lane[l], k + at / group, 1, &bits);
			cut_add(panel->cut, room, l, at / group, pack_double(bits), exponent[l]);
		}
	}
}

/*
 * The cut units of a panel that is weighed, which range tells of; codes are behind
 * its doubles in scratch.
 */
static inline void cut_panel(struct gemm_panel *panel, double *scratch, uint32_t lanes, uint32_t kc,
			     const struct pack_range *range, const struct gemm_source *source, uint64_t k)
{
	struct gemm_cut *cut = panel->cut;
	uint8_t *codes = cut_codes(scratch, lanes, kc);
	struct gemm_rest *room = cut_rests(scratch, lanes, kc), *to = cut->room;
	const uint32_t group = cut_group(lanes);
	const size_t all = gemm_codes_bytes(kc);
	int32_t exponent[GEMM_LANES_MAX], down;
	uint8_t limit[GEMM_LANES_MAX];

	cut->whole = panel->units;
	cut->units = panel->units;
	for (uint32_t l = 0; l < lanes; l++) {
		cut->most[l] = pack_double(range->most[l]);
		cut->lost[l] = 0;
		cut->count[l] = 0;
		exponent[l] = cut_magnitude(range->squares[l] / kc);
	}
	for (uint32_t l = 0; l < lanes; l += group)
		memset(codes + l * all + (size_t)kc * group, CUT_CODE_NONE, (all - kc) * group);
	down = cut_down(panel, codes, lanes, kc, exponent);
	cut_limits(exponent, lanes, down, limit);
	for (uint32_t l = 0; l < lanes; l++)
		exponent[l] -= down;
	for (uint32_t l = 0; l < lanes; l += group)
		cut_collect(panel, codes + l * all, lanes, kc, l, limit, exponent, source, k, room);
	for (uint32_t l = 0; l < lanes; l++) {
		const int32_t e = exponent[l], more = e - cut->whole.exponent[l];
		const double norm = sqrt(range->squares[l]);

		cut->rests[l] = to;
		/* rests are known by codes below the limit, which ends where codes do */
		if (more <= 0 || e + CUT_CODE_OF_1 >= CUT_CODE_NONE || cut->count[l] == GEMM_RESTS_MAX ||
		    cut->lost[l] * ldexp(1, (int32_t)panel->precision + CUT_BITS) > norm) {
			cut->lost[l] = 0;
			cut->count[l] = 0;
			continue;
		}
		/* close together, for the caches */
		memcpy(to, room + l * GEMM_RESTS_MAX, cut->count[l] * sizeof(*to));
		to += cut->count[l];
		/* a little more, for the roundings of sums */
		cut->lost[l] *= 1 + 0x1p-20;
		cut->units.exponent[l] = e;
		cut->units.weights[l] = (norm + cut->lost[l]) * ldexp(1, -e);
		cut->units.weights[l] *= cut->units.weights[l];
		cut->units.widths[l] = (uint8_t)(more < cut->whole.widths[l] ? cut->whole.widths[l] - more + 1 : 1);
	}
}

#endif /* QUIRE_CUT_AVX512_H */
