// SPDX-License-Identifier: MIT
/*
 * AVX2 with FMA.  There is no wide multiplier, but a 32 x 32 -> 64 bit one as fast
 * as the floating-point one: sums must be narrow (GEMM_SQUARE_64), numbers
 * that need more than that are cut into parts of 26 bits.  Then |v| <= 2^25, the
 * squares of 4096 sum to at most 2^62, and with Cauchy and Schwarz every sum is at
 * most 2^62 in magnitude.  Intermediate sums may wrap: the arithmetic is modular.
 */
#include <immintrin.h>

#include "convert_template.h"
#include "fp32_template.h"
#include "pack_template.h"
#include "store_template.h"
#include "tile_template.h"

#define MR 4
#define NR 8

static bool avx2_multiply(uint32_t kc, const struct gemm_panel *panel_a, uint32_t p,
			  const struct gemm_panel *panel_b, uint32_t q, uint64_t *low, int64_t *high)
{
	const uint64_t *a = panel_a->part[p], *b = panel_b->part[q];
	__m256i t[MR][2];

	(void)high;

	for (int i = 0; i < MR; i++)
		t[i][0] = t[i][1] = _mm256_setzero_si256();
	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR) {
		__m256i b0 = _mm256_load_si256((const __m256i *)(const void *)b);
		__m256i b1 = _mm256_load_si256((const __m256i *)(const void *)(b + 4));

#pragma GCC unroll 4
		for (int i = 0; i < MR; i++) {
			__m256i x = _mm256_set1_epi64x((int64_t)a[i]);

			t[i][0] = _mm256_add_epi64(t[i][0], _mm256_mul_epi32(x, b0));
			t[i][1] = _mm256_add_epi64(t[i][1], _mm256_mul_epi32(x, b1));
		}
	}
	for (int i = 0; i < MR; i++)
		for (int j = 0; j < 2; j++)
			_mm256_store_si256((__m256i *)(void *)(low + i * NR + j * 4), t[i][j]);
	return false;
}

#define FP32_MR 6
#define FP32_NR 16

static void avx2_fp32(uint32_t kc, const float *a, const float *b, float *c, size_t stride,
		      bool first)
{
	const __m256 zero = _mm256_setzero_ps();
	__m256 t[FP32_MR][2];

#pragma GCC unroll 6
	for (int i = 0; i < FP32_MR; i++) {
		t[i][0] = first ? zero : _mm256_loadu_ps(c + i * stride);
		t[i][1] = first ? zero : _mm256_loadu_ps(c + i * stride + 8);
	}
	for (uint32_t k = 0; k < kc; k++, a += FP32_MR, b += FP32_NR) {
		__m256 b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + 8);

#pragma GCC unroll 6
		for (int i = 0; i < FP32_MR; i++) {
			__m256 x = _mm256_broadcast_ss(a + i);

			t[i][0] = _mm256_fmadd_ps(x, b0, t[i][0]);
			t[i][1] = _mm256_fmadd_ps(x, b1, t[i][1]);
		}
	}
#pragma GCC unroll 6
	for (int i = 0; i < FP32_MR; i++) {
		_mm256_storeu_ps(c + i * stride, _mm256_add_ps(t[i][0], zero));
		_mm256_storeu_ps(c + i * stride + 8, _mm256_add_ps(t[i][1], zero));
	}
}

static bool avx2_supported(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
	       __builtin_cpu_supports("lzcnt");
}

PACK_DEFINE(avx2_pack, &gemm_kernel_avx2, MR, NR)
TILE_DEFINE(tile_kernel_avx2);

const struct gemm_kernel gemm_kernel_avx2 = {
	.name = "avx2",
	.tile = &tile_kernel_avx2,
	.mr = MR,
	.nr = NR,
	.single_bits = 31,
	.part_bits = 26,
	.narrow_only = true,
	.pair_cost = 2,
	.group_bytes = 704 << 10,
	.group_panels = UINT32_MAX,
	.together = 1,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.supported = avx2_supported,
	.weigh = avx2_pack_weigh,
	.pack = avx2_pack,
	.multiply = avx2_multiply,
	.round = round_elements,
	.store = round_store,
	.convert = convert_elements,
	.fp32_pack = fp32_pack,
	.fp32 = avx2_fp32,
};
