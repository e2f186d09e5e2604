/* SPDX-License-Identifier: MIT */
/*
 * Weighing and packing (pack_template.h) of posit8, posit16 and BF16 as FP32, which holds them:
 * sixteen numbers to a vector.  When the integers of a panel are below 2^30 they go from
 * memory to residues in registers.
 */
#ifndef QUIRE_PACK_FLOAT_AVX512_H
#define QUIRE_PACK_FLOAT_AVX512_H

#include "pack_avx512.h"
#include "residue_avx512.h"

/*
 * A lane's squares are summed in FP32 when its numbers and their last bits are within these:
 * a square is within 2^-124..2^114 and 256 of them are below 2^122, with a relative error below
 * 2^-16.  All posits but NaR are.
 */
#define PACK_FLOAT_LEAST 0x20800000	/* 2^-62 */
#define PACK_FLOAT_MOST 0x5c000000	/* 2^57 */

#define PACK_FLOAT_INFINITY 0x7f800000

#define PACK_FLOAT_STEPS 256		/* k's weighed at a time */
#define PACK_FLOAT_BLOCK 16		/* k's loaded at a time */

/*
 * Patterns of the magnitudes of posits left-aligned in 32 bits, as pack_posit_sixteen() with
 * 23 fraction bits and the exponent field of FP32.  That of 0 and of NaR is 2^-124.
 */
#define PACK_FLOAT_NOTHING 0x01800000	/* 2^-124 */

static inline __attribute__((always_inline)) __m512i pack_posit_magnitudes(__m512i left)
{
	const struct pack_regime r = pack_posit_regime(left);

	return _mm512_add_epi32(_mm512_shldi_epi32(r.regime, r.rest, 25), _mm512_set1_epi32(127 << 23));
}

/* Words of a format so that the sign is the highest bit. */
static inline __m512i pack_aligned(uint32_t format, __m512i words)
{
	return _mm512_slli_epi32(words, 32 - QUIRE_FORMAT_BITS(format));
}

/* Magnitudes from aligned words, as patterns of FP32. */
static inline __attribute__((always_inline)) __m512i pack_magnitudes(uint32_t format, __m512i left)
{
	return format == QUIRE_FORMAT_BF16 ? _mm512_and_si512(left, _mm512_set1_epi32(0x7fffffff)) :
					     pack_posit_magnitudes(left);
}

/* count <= 16 elements of 8 or 16 bits */
static inline __attribute__((always_inline)) __m512i pack_load_small(const uint8_t *data, uint32_t element,
								      __mmask16 mask)
{
	return element == 1 ? _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, data)) :
			      _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, data));
}

/*
 * Where sixteen or eight lanes, used of them real, and 16 k's, count of them real, are.  data:
 * lane 0 where k runs along memory, else lane[0].
 */
struct pack_block {
	const uint8_t *data;
	const uint32_t *lane;
	uint64_t pitch;
	uint32_t used, count;
};

/* Eight rows where k runs along memory, transposed. */
static inline __attribute__((always_inline)) void
pack_block_along_k(const struct pack_block *b, uint32_t first, uint32_t element, bool whole,
		   __m512i rows[8])
{
	const __mmask16 mask = (__mmask16)((1u << b->count) - 1);

#pragma GCC unroll 8
	for (uint32_t l = 0; l < 8; l++) {
		const bool real = whole || first + l < b->used;

		rows[l] = pack_load_small(b->data + b->lane[real ? first + l : 0] * b->pitch, element,
					  whole ? 0xffff : real ? mask : 0);
	}
	pack_transpose(rows);
}

static inline __attribute__((always_inline)) __m512i
pack_block_step(const struct pack_block *b, uint32_t step, uint32_t element, bool whole, __mmask16 mask)
{
	const bool real = whole || step < b->count;

	return pack_load_small(b->data + (real ? step * b->pitch : 0), element, real ? mask : 0);
}

/*
 * The words of a block, 0 where it is not real.  Of sixteen lanes: a vector for each k.  Of
 * eight: w[0] to w[3] are the first four k's and the next four, w[4] to w[7] the rest.
 */
static inline __attribute__((always_inline)) void
pack_block_words(const struct pack_block *b, uint32_t lanes, uint32_t element, bool along_k,
		 bool whole, __m512i *w)
{
	__mmask16 mask = (__mmask16)((1u << (whole ? lanes : b->used)) - 1);
	__m512i rows[2][8];

	if (along_k && lanes == 8) {
		pack_block_along_k(b, 0, element, whole, w);
	} else if (along_k) {
		pack_block_along_k(b, 0, element, whole, rows[0]);
		pack_block_along_k(b, 8, element, whole, rows[1]);
#pragma GCC unroll 8
		for (uint32_t j = 0; j < 8; j++) {
			const uint32_t s = j + (j & 4);

			w[s] = _mm512_shuffle_i64x2(rows[0][j], rows[1][j], 0x44);
			w[s + 4] = _mm512_shuffle_i64x2(rows[0][j], rows[1][j], 0xee);
		}
	} else if (lanes == 8) {
#pragma GCC unroll 8
		for (uint32_t j = 0; j < 8; j++) {
			const uint32_t s = j + (j & 4);
			__m512i more = pack_block_step(b, s + 4, element, whole, mask);

			w[j] = _mm512_inserti64x4(pack_block_step(b, s, element, whole, mask),
						  _mm512_castsi512_si256(more), 1);
		}
	} else {
#pragma GCC unroll 16
		for (uint32_t j = 0; j < 16; j++)
			w[j] = pack_block_step(b, j, element, whole, mask);
	}
}

/* One copy of each way: decoding is repeated for each format, this is not. */
#define PACK_BLOCK(name, lanes, element, along_k)                                          \
	static __attribute__((noinline)) void name(const struct pack_block *b, __m512i *w) \
	{                                                                                  \
		if (b->count == PACK_FLOAT_BLOCK && b->used == (lanes))                    \
			pack_block_words(b, lanes, element, along_k, true, w);             \
		else                                                                       \
			pack_block_words(b, lanes, element, along_k, false, w);            \
	}
PACK_BLOCK(pack_block_8_1_across, 8, 1, false)
PACK_BLOCK(pack_block_8_1_along, 8, 1, true)
PACK_BLOCK(pack_block_8_2_across, 8, 2, false)
PACK_BLOCK(pack_block_8_2_along, 8, 2, true)
PACK_BLOCK(pack_block_16_1_across, 16, 1, false)
PACK_BLOCK(pack_block_16_1_along, 16, 1, true)
PACK_BLOCK(pack_block_16_2_across, 16, 2, false)
PACK_BLOCK(pack_block_16_2_along, 16, 2, true)

/* k's from k on. */
static inline __attribute__((always_inline)) void
pack_float_block(uint32_t format, const struct gemm_source *source, uint32_t lanes, const uint32_t *lane,
		 uint32_t used, uint64_t k, uint32_t left, __m512i *w)
{
	const uint32_t element = QUIRE_FORMAT_BITS(format) / 8;
	const bool along_k = source->k_stride == 1;
	const uint64_t pitch = (along_k ? source->lane_stride : source->k_stride) * element;
	const struct pack_block b = {
		source->data + (along_k ? k * element : k * pitch + lane[0] * element),
		lane, pitch, used, left < PACK_FLOAT_BLOCK ? left : PACK_FLOAT_BLOCK,
	};

	if (lanes == 8 && element == 1)
		(along_k ? pack_block_8_1_along : pack_block_8_1_across)(&b, w);
	else if (lanes == 8)
		(along_k ? pack_block_8_2_along : pack_block_8_2_across)(&b, w);
	else if (element == 1)
		(along_k ? pack_block_16_1_along : pack_block_16_1_across)(&b, w);
	else
		(along_k ? pack_block_16_2_along : pack_block_16_2_across)(&b, w);
}

/* The other half of a vector. */
static inline __m512i pack_swap(__m512i x)
{
	return _mm512_shuffle_i64x2(x, x, 0x4e);
}

/* Patterns of eight floats to those of doubles. */
static inline __m512i pack_widen(__m256i x)
{
	return _mm512_castpd_si512(_mm512_cvtps_pd(_mm256_castsi256_ps(x)));
}

/* Codes of vector j of a block, see pack_block_words(). */
static inline __attribute__((always_inline)) void pack_float_codes(uint8_t *codes, uint32_t j, uint32_t lanes,
								     __m512i last)
{
	const __m128i x = cut_sixteen(last);
	const uint32_t k = j + (j & 4);

	if (lanes == 16) {
		_mm_storeu_si128((__m128i *)(void *)(codes + (size_t)j * 16), x);
		return;
	}
	_mm_storel_epi64((__m128i *)(void *)(codes + (size_t)k * 8), x);
	_mm_storel_epi64((__m128i *)(void *)(codes + (size_t)(k + 4) * 8), _mm_unpackhi_epi64(x, x));
}

/* What is seen of sixteen numbers at a time: patterns of magnitudes and of last bits, and squares. */
struct pack_float_seen {
	__m512i large, small;
	__m512 sum;
};

static inline struct pack_float_seen pack_float_nothing(void)
{
	return (struct pack_float_seen){ _mm512_setzero_si512(), _mm512_set1_epi32(-1), _mm512_setzero_ps() };
}

/* Aligned words; their last bits, found as in pack_see(). */
static inline __attribute__((always_inline)) __m512i pack_float_add(uint32_t format,
								     struct pack_float_seen *see, __m512i left)
{
	const __m512i less = _mm512_set1_epi32(-1);
	__m512i x = pack_magnitudes(format, left);
	__m512i without = _mm512_and_si512(x, _mm512_add_epi32(x, less));
	__m512i bit = _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(without)));

	/* 0 has no last bit */
	bit = _mm512_mask_mov_epi32(less, _mm512_test_epi32_mask(left, left), bit);
	see->small = _mm512_min_epu32(see->small, bit);
	see->large = _mm512_max_epu32(see->large, x);
	see->sum = _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(x), see->sum);
	return bit;
}

/* Are all within the limits above? */
static inline bool pack_float_fits(const struct pack_float_seen *see)
{
	return !_mm512_cmpgt_epu32_mask(see->large, _mm512_set1_epi32(PACK_FLOAT_MOST)) &&
	       !_mm512_cmplt_epu32_mask(see->small, _mm512_set1_epi32(PACK_FLOAT_LEAST));
}

/*
 * struct pack_range of 16 or 8 lanes over at most PACK_FLOAT_STEPS k's.  False: some are not within the limits
 * above, or NaN or infinite, or NaR, which looks like 2^-124.
 */
static inline __attribute__((always_inline)) bool
pack_float_see(uint32_t format, const struct gemm_source *source, uint32_t lanes, const uint32_t *lane,
	       uint32_t used, uint64_t k, uint32_t kc, uint64_t *most, uint64_t *last, double *squares,
	       uint8_t *codes)
{
	const __m512i least = _mm512_set1_epi32(PACK_FLOAT_NOTHING);
	struct pack_float_seen see = pack_float_nothing();
	__m512i large, small;
	__m512 sum;

	for (uint32_t i = 0; i < kc; i += PACK_FLOAT_BLOCK) {
		__m512i w[PACK_FLOAT_BLOCK];

		pack_float_block(format, source, lanes, lane, used, k + i, kc - i, w);
#pragma GCC unroll 16
		for (uint32_t j = 0; j < lanes; j++) {
			__m512i bit = pack_float_add(format, &see, pack_aligned(format, w[j]));

			if (codes)
				pack_float_codes(codes + (size_t)i * lanes, j, lanes, bit);
		}
	}
	large = see.large;
	small = see.small;
	sum = see.sum;
	if (lanes == 8) {
		large = _mm512_max_epu32(large, pack_swap(large));
		small = _mm512_min_epu32(small, pack_swap(small));
		sum = _mm512_add_ps(sum, _mm512_castsi512_ps(pack_swap(_mm512_castps_si512(sum))));
	}
	if (!pack_float_fits(&see))
		return false;
	large = _mm512_maskz_mov_epi32(_mm512_cmpgt_epu32_mask(large, least), large);
	small = _mm512_mask_mov_epi32(small, _mm512_cmpeq_epi32_mask(small, _mm512_set1_epi32(-1)),
				      _mm512_set1_epi32(PACK_FLOAT_INFINITY));
#pragma GCC unroll 2
	for (uint32_t h = 0; h < lanes / 8; h++) {
		__m256i half = h ? _mm512_extracti64x4_epi64(small, 1) : _mm512_castsi512_si256(small);

		_mm512_storeu_si512(last + 8 * h, pack_widen(half));
		half = h ? _mm512_extracti64x4_epi64(large, 1) : _mm512_castsi512_si256(large);
		_mm512_storeu_si512(most + 8 * h, pack_widen(half));
		_mm512_storeu_pd(squares + 8 * h,
				 _mm512_cvtps_pd(h ? _mm512_extractf32x8_ps(sum, 1) :
						     _mm512_castps512_ps256(sum)));
	}
	return true;
}

/* Aligned words times 2^-e.  The numbers that stand for 0 vanish: they are below 2^-124 * 2^120. */
static inline __attribute__((always_inline)) __m512i pack_integers(uint32_t format, __m512i left,
								       __m512 by)
{
	const __m512i sign = _mm512_set1_epi32((int)0x80000000u);
	__m512i x = format == QUIRE_FORMAT_BF16 ? left :
		    _mm512_ternarylogic_epi32(pack_posit_magnitudes(left), left, sign, 0xf8);

	return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_castsi512_ps(x), by));
}

/* A run of k's, a multiple of 16 behind the panel's first, to residues. */
static inline __attribute__((always_inline)) void
pack_float_pack(uint32_t format, const struct gemm_panel *panel, const struct gemm_source *source,
		uint32_t lanes, const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc,
		const float *scale)
{
	const uint32_t wide = lanes == 8 ? 8 : 16, steps = lanes == 8 ? 8 : 4;

	for (uint32_t i = 0; i < kc; i += PACK_FLOAT_BLOCK)
		for (uint32_t l = 0; l < lanes; l += wide) {
			const __m512 by = lanes == 8 ? _mm512_broadcast_f32x8(_mm256_loadu_ps(scale)) :
						       _mm512_loadu_ps(scale + l);
			uint32_t left = used > l ? used - l : 0;
			__m512i w[PACK_FLOAT_BLOCK];

			pack_float_block(format, source, wide, lane + l, left < wide ? left : wide, k + i,
					 kc - i, w);
			/* planes are padded to multiples of 8 */
			for (uint32_t j = 0; j < PACK_FLOAT_BLOCK / steps && i + j * steps < (kc + 7) / 8 * 8;
			     j++) {
				__m512i v[4];

#pragma GCC unroll 4
				for (uint32_t s = 0; s < 4; s++)
					v[s] = pack_integers(format, pack_aligned(format, w[4 * j + s]),
								by);
				residue_pack_narrow(v, panel->residues + (size_t)(i + j * steps) * lanes + l * 4,
						    panel->plane, panel->moduli, residue_is_signed(lanes));
			}
		}
}

static inline bool pack_is_float(uint32_t format)
{
	return format == QUIRE_FORMAT_POSIT16 || format == QUIRE_FORMAT_POSIT8 ||
	       format == QUIRE_FORMAT_BF16;
}

/* What pack_doubles() finds, without the doubles; false: it has to be asked. */
static inline __attribute__((always_inline)) bool
pack_float_range(uint32_t format, struct pack_range *range, const struct gemm_source *source,
		 uint32_t lanes, const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc,
		 const struct pack_codes *codes)
{
	const uint32_t wide = lanes == 8 ? 8 : 16;

	for (uint32_t l = 0; l < lanes; l += wide) {
		uint32_t left = used > l ? used - l : 0;

		if (!pack_float_see(format, source, wide, lane + l, left < wide ? left : wide, k, kc,
				    range->most + l, range->last + l, range->squares + l,
				    cut_codes_at(codes->all, lanes, codes->kc, l, codes->k)))
			return false;
	}
	return true;
}

static inline __attribute__((always_inline)) bool
pack_floats_weigh(struct pack_range *range, const struct gemm_source *source, uint32_t lanes,
		  const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc,
		  const struct pack_codes *codes)
{
	switch (source->format) {
	case QUIRE_FORMAT_POSIT16:
		return pack_float_range(QUIRE_FORMAT_POSIT16, range, source, lanes, lane, used, k, kc, codes);
	case QUIRE_FORMAT_POSIT8:
		return pack_float_range(QUIRE_FORMAT_POSIT8, range, source, lanes, lane, used, k, kc, codes);
	case QUIRE_FORMAT_BF16:
		return pack_float_range(QUIRE_FORMAT_BF16, range, source, lanes, lane, used, k, kc, codes);
	}
	return false;
}

/*
 * Do scales fit FP32, and are integers below 2^30?  Then a product by a scale is exact, of at most 24
 * significant bits.
 */
static inline bool pack_floats_fit(const struct gemm_panel *panel, uint32_t lanes)
{
	if (panel->words || panel->width > 30)
		return false;
	for (uint32_t l = 0; l < lanes; l++)
		if (panel->special[l] || panel->units.exponent[l] < -120 || panel->units.exponent[l] > 120)
			return false;
	return true;
}

/* All of a panel; false: another way has to be taken. */
static inline __attribute__((always_inline)) bool
pack_floats_pack(const struct gemm_panel *panel, const struct gemm_source *source, uint32_t lanes,
		 const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc)
{
	float scale[GEMM_LANES_MAX];

	if (lanes == RESIDUE_ROWS || !pack_floats_fit(panel, lanes))
		return false;
	for (uint32_t l = 0; l < lanes; l++)
		scale[l] = (float)pack_power(-panel->units.exponent[l]);
	switch (source->format) {
	case QUIRE_FORMAT_POSIT16:
		pack_float_pack(QUIRE_FORMAT_POSIT16, panel, source, lanes, lane, used, k, kc, scale);
		return true;
	case QUIRE_FORMAT_POSIT8:
		pack_float_pack(QUIRE_FORMAT_POSIT8, panel, source, lanes, lane, used, k, kc, scale);
		return true;
	case QUIRE_FORMAT_BF16:
		pack_float_pack(QUIRE_FORMAT_BF16, panel, source, lanes, lane, used, k, kc, scale);
		return true;
	}
	return false;
}

#endif /* QUIRE_PACK_FLOAT_AVX512_H */
