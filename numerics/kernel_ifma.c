// SPDX-License-Identifier: MIT
/*
 * AVX-512 with the 52-bit integer multiply-add.  The operands are u = v + 2^51,
 * unsigned in the low 52 bits of a word; two instructions give eight products of
 * 104 bits, in halves.  A half adds less than 2^52 per step and kc <= 2^12: the
 * sums of halves stay below 2^64.  Then
 *
 *	sum u_a u_b = sum v_a v_b + 2^51 (sum v_a + sum v_b) + kc 2^102
 *
 * and |sum v_a v_b| <= 2^112.  Sums of v are below 2^62, so their sum fits a word.
 * Narrow parts take one 32-bit multiplication and an addition instead, which is
 * as many products per cycle as floating point has.
 */
#include <immintrin.h>

#include "pack_template.h"
#include "round_template.h"
#include "tile_template.h"

#define MR 6
#define NR 16

static void ifma_wide(uint32_t kc, const uint64_t *a, const uint64_t *b, const int64_t *sum_a,
		      const int64_t *sum_b, uint64_t *low, int64_t *high)
{
	__m512i lo[MR][2], hi[MR][2];

	for (int i = 0; i < MR; i++) {
		lo[i][0] = lo[i][1] = _mm512_setzero_si512();
		hi[i][0] = hi[i][1] = _mm512_setzero_si512();
	}
	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR) {
		__m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 8);

#pragma GCC unroll 6
		for (int i = 0; i < MR; i++) {
			__m512i x = _mm512_set1_epi64((int64_t)a[i]);

			lo[i][0] = _mm512_madd52lo_epu64(lo[i][0], x, b0);
			hi[i][0] = _mm512_madd52hi_epu64(hi[i][0], x, b0);
			lo[i][1] = _mm512_madd52lo_epu64(lo[i][1], x, b1);
			hi[i][1] = _mm512_madd52hi_epu64(hi[i][1], x, b1);
		}
	}
	for (int i = 0; i < MR; i++)
		for (int j = 0; j < 2; j++) {
			const __m512i one = _mm512_set1_epi64(1);
			__m512i s = _mm512_add_epi64(_mm512_set1_epi64(sum_a[i]),
						     _mm512_loadu_si512(sum_b + j * 8));
			__m512i l, h, part;
			__mmask8 carry;

			/* lo + hi 2^52 */
			l = _mm512_add_epi64(lo[i][j], _mm512_slli_epi64(hi[i][j], 52));
			carry = _mm512_cmplt_epu64_mask(l, lo[i][j]);
			h = _mm512_srli_epi64(hi[i][j], 12);
			h = _mm512_mask_add_epi64(h, carry, h, one);
			/* - s 2^51 */
			part = _mm512_slli_epi64(s, 51);
			carry = _mm512_cmplt_epu64_mask(l, part);
			l = _mm512_sub_epi64(l, part);
			h = _mm512_sub_epi64(h, _mm512_srai_epi64(s, 13));
			h = _mm512_mask_sub_epi64(h, carry, h, one);
			/* - kc 2^102 */
			h = _mm512_sub_epi64(h, _mm512_set1_epi64((int64_t)kc << 38));
			_mm512_store_si512(low + i * NR + j * 8, l);
			_mm512_store_si512(high + i * NR + j * 8, h);
		}
}

static void ifma_narrow(uint32_t kc, const uint64_t *a, const uint64_t *b, uint64_t *low,
			int64_t *high)
{
	__m512i t[MR][2];

	for (int i = 0; i < MR; i++)
		t[i][0] = t[i][1] = _mm512_setzero_si512();
	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR) {
		__m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 8);

#pragma GCC unroll 6
		for (int i = 0; i < MR; i++) {
			__m512i x = _mm512_set1_epi64((int64_t)a[i]);

			t[i][0] = _mm512_add_epi64(t[i][0], _mm512_mul_epi32(x, b0));
			t[i][1] = _mm512_add_epi64(t[i][1], _mm512_mul_epi32(x, b1));
		}
	}
	for (int i = 0; i < MR; i++)
		for (int j = 0; j < 2; j++) {
			_mm512_store_si512(low + i * NR + j * 8, t[i][j]);
			_mm512_store_si512(high + i * NR + j * 8, _mm512_srai_epi64(t[i][j], 63));
		}
}

#define FP32_MR 12
#define FP32_NR 32

static void ifma_fp32(uint32_t kc, const float *a, const float *b, float *c, size_t stride)
{
	__m512 t[FP32_MR][2];

#pragma GCC unroll 12
	for (int i = 0; i < FP32_MR; i++) {
		t[i][0] = _mm512_loadu_ps(c + i * stride);
		t[i][1] = _mm512_loadu_ps(c + i * stride + 16);
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
		_mm512_storeu_ps(c + i * stride, t[i][0]);
		_mm512_storeu_ps(c + i * stride + 16, t[i][1]);
	}
}

static bool ifma_supported(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma") &&
	       __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
	       __builtin_cpu_supports("lzcnt");
}

PACK_DEFINE(ifma_pack, &gemm_kernel_ifma, MR, NR)
TILE_DEFINE(tile_kernel_ifma);

const struct gemm_kernel gemm_kernel_ifma = {
	.name = "ifma",
	.tile = &tile_kernel_ifma,
	.mr = MR,
	.nr = NR,
	.single_bits = 50,
	.part_bits = 50,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.supported = ifma_supported,
	.pack = ifma_pack,
	.narrow = ifma_narrow,
	.wide = ifma_wide,
	.round = round_elements,
	.fp32 = ifma_fp32,
};
