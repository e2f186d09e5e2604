/* SPDX-License-Identifier: MIT */
/*
 * The FP32 mode of BF16 with AVX-512: panels and the tile.  24 sums of 16 columns, 12 rows
 * and a vector of B twice: a product takes both multipliers of a core all the time, for 14
 * loads in 12 cycles.
 */
#ifndef QUIRE_FP32_AVX512_H
#define QUIRE_FP32_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FP32_MR 12
#define FP32_NR 32

/* One bit for each of the lanes from first on, at most sixteen. */
static inline __mmask16 fp32_lanes(uint32_t first, uint32_t end)
{
	return end <= first ? 0 : end - first >= 16 ? 0xffff : (__mmask16)((1u << (end - first)) - 1);
}

/* Lanes that lie side by side in memory. */
static inline void fp32_pack_across_k(float *out, uint32_t lanes, const uint16_t *data,
				      uint64_t pitch, uint32_t used, uint32_t kc)
{
	for (uint32_t l = 0; l < lanes; l += 16) {
		const __mmask16 some = fp32_lanes(l, used), all = fp32_lanes(l, lanes);
		const uint16_t *from = data + l;
		float *to = out + l;

		for (uint32_t i = 0; i < kc; i++, from += pitch, to += lanes) {
			__m512i x = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, from));

			_mm512_mask_storeu_epi32(to, all, _mm512_slli_epi32(x, 16));
		}
	}
}

static inline void fp32_transpose(__m512i row[16])
{
	__m512i pair[16], quad[16], half[16];

#pragma GCC unroll 8
	for (int i = 0; i < 16; i += 2) {
		pair[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
		pair[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
	}
	/* quad[4 g + c] holds columns c, c + 4, c + 8 and c + 12 of rows 4 g to 4 g + 3 */
#pragma GCC unroll 4
	for (int g = 0; g < 16; g += 4) {
		quad[g] = _mm512_unpacklo_epi64(pair[g], pair[g + 2]);
		quad[g + 1] = _mm512_unpackhi_epi64(pair[g], pair[g + 2]);
		quad[g + 2] = _mm512_unpacklo_epi64(pair[g + 1], pair[g + 3]);
		quad[g + 3] = _mm512_unpackhi_epi64(pair[g + 1], pair[g + 3]);
	}
#pragma GCC unroll 4
	for (int c = 0; c < 4; c++) {
		half[c] = _mm512_shuffle_i32x4(quad[c], quad[4 + c], 0x88);
		half[4 + c] = _mm512_shuffle_i32x4(quad[c], quad[4 + c], 0xdd);
		half[8 + c] = _mm512_shuffle_i32x4(quad[8 + c], quad[12 + c], 0x88);
		half[12 + c] = _mm512_shuffle_i32x4(quad[8 + c], quad[12 + c], 0xdd);
	}
#pragma GCC unroll 4
	for (int c = 0; c < 4; c++) {
		row[c] = _mm512_shuffle_i32x4(half[c], half[8 + c], 0x88);
		row[8 + c] = _mm512_shuffle_i32x4(half[c], half[8 + c], 0xdd);
		row[4 + c] = _mm512_shuffle_i32x4(half[4 + c], half[12 + c], 0x88);
		row[12 + c] = _mm512_shuffle_i32x4(half[4 + c], half[12 + c], 0xdd);
	}
}

/* Lanes along which k runs: sixteen of them and sixteen pairs of k at a time. */
static inline void fp32_pack_along_k(float *out, uint32_t lanes, const uint16_t *data,
				     uint64_t pitch, uint32_t used, uint32_t kc)
{
	for (uint32_t l = 0; l < lanes; l += 16) {
		const __mmask16 all = fp32_lanes(l, lanes);

		for (uint32_t i = 0; i < kc; i += 32) {
			uint32_t count = kc - i < 32 ? kc - i : 32;
			const __mmask32 ks = count == 32 ? 0xffffffff : (1u << count) - 1;
			float *to = out + (size_t)i * lanes + l;
			__m512i x[16];

#pragma GCC unroll 16
			for (uint32_t j = 0; j < 16; j++)
				x[j] = l + j < used ?
					_mm512_maskz_loadu_epi16(ks, data + (l + j) * pitch + i) :
					_mm512_setzero_si512();
			fp32_transpose(x);
#pragma GCC unroll 16
			for (uint32_t j = 0; j < 16; j++, to += 2 * lanes) {
				if (2 * j < count)
					_mm512_mask_storeu_epi32(to, all, _mm512_slli_epi32(x[j], 16));
				if (2 * j + 1 < count)
					_mm512_mask_storeu_epi32(to + lanes, all,
						_mm512_and_si512(x[j], _mm512_set1_epi32(-65536)));
			}
		}
	}
}

/* See struct gemm_kernel. */
static void fp32_pack(float *out, uint32_t lanes, const uint16_t *data, uint64_t lane_stride,
		      uint64_t k_stride, uint32_t used, uint32_t kc)
{
	if (k_stride == 1)
		fp32_pack_along_k(out, lanes, data, lane_stride, used, kc);
	else
		fp32_pack_across_k(out, lanes, data, k_stride, used, kc);
}

/* See struct gemm_kernel. */
static void fp32_tile(uint32_t kc, const float *a, const float *b, float *c, size_t stride,
		      bool first)
{
	const __m512 zero = _mm512_setzero_ps();
	__m512 t[FP32_MR][2];

#pragma GCC unroll 12
	for (int i = 0; i < FP32_MR; i++) {
		t[i][0] = first ? zero : _mm512_loadu_ps(c + i * stride);
		t[i][1] = first ? zero : _mm512_loadu_ps(c + i * stride + 16);
	}
	for (uint32_t k = 0; k < kc; k++, a += FP32_MR, b += FP32_NR) {
		__m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);

#pragma GCC unroll 12
		for (int i = 0; i < FP32_MR; i++) {
			__m512 x = _mm512_set1_ps(a[i]);

			t[i][0] = _mm512_fmadd_ps(x, b0, t[i][0]);
			t[i][1] = _mm512_fmadd_ps(x, b1, t[i][1]);
		}
	}
#pragma GCC unroll 12
	for (int i = 0; i < FP32_MR; i++) {
		_mm512_storeu_ps(c + i * stride, _mm512_add_ps(t[i][0], zero));
		_mm512_storeu_ps(c + i * stride + 16, _mm512_add_ps(t[i][1], zero));
	}
}

#endif /* QUIRE_FP32_AVX512_H */
