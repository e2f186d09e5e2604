// SPDX-License-Identifier: MIT
/*
 * Portable kernel: 64-bit integers, 128-bit sums.  |v| <= 2^50, so a product is at
 * most 2^100 and the sum of 4096 of them at most 2^112.
 */
#include "pack_template.h"
#include "round_template.h"
#include "tile_template.h"

#define MR 4
#define NR 4

static inline int64_t value_of(uint64_t word)
{
	return (int64_t)(word - GEMM_MAGIC_BITS);
}

static void generic_wide(uint32_t kc, const uint64_t *a, const uint64_t *b, const int64_t *sum_a,
			 const int64_t *sum_b, uint64_t *low, int64_t *high)
{
	__int128 t[MR][NR] = { { 0 } };

	(void)sum_a;
	(void)sum_b;
	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR)
		for (int i = 0; i < MR; i++)
			for (int j = 0; j < NR; j++)
				t[i][j] += (__int128)value_of(a[i]) * value_of(b[j]);
	for (int i = 0; i < MR; i++)
		for (int j = 0; j < NR; j++) {
			low[i * NR + j] = (uint64_t)t[i][j];
			high[i * NR + j] = (int64_t)(t[i][j] >> 64);
		}
}

static void generic_narrow(uint32_t kc, const uint64_t *a, const uint64_t *b, uint64_t *low,
			   int64_t *high)
{
	int64_t t[MR][NR] = { { 0 } };

	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR)
		for (int i = 0; i < MR; i++)
			for (int j = 0; j < NR; j++)
				/* modulo 2^64, see GEMM_NARROW_LIMIT */
				t[i][j] = (int64_t)((uint64_t)t[i][j] +
						    (uint64_t)((int64_t)(int32_t)a[i] *
							       (int32_t)b[j]));
	for (int i = 0; i < MR; i++)
		for (int j = 0; j < NR; j++) {
			low[i * NR + j] = (uint64_t)t[i][j];
			high[i * NR + j] = t[i][j] >> 63;
		}
}

#define FP32_MR 4
#define FP32_NR 8

static void generic_fp32(uint32_t kc, const float *a, const float *b, float *c, size_t stride)
{
	for (uint32_t k = 0; k < kc; k++, a += FP32_MR, b += FP32_NR)
		for (int i = 0; i < FP32_MR; i++)
			for (int j = 0; j < FP32_NR; j++)
				c[i * stride + j] = __builtin_fmaf(a[i], b[j], c[i * stride + j]);
}

PACK_DEFINE(generic_pack, &gemm_kernel_generic, MR, NR)
TILE_DEFINE(tile_kernel_generic);

const struct gemm_kernel gemm_kernel_generic = {
	.name = "generic",
	.tile = &tile_kernel_generic,
	.mr = MR,
	.nr = NR,
	.single_bits = 50,
	.part_bits = 50,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.pack = generic_pack,
	.narrow = generic_narrow,
	.wide = generic_wide,
	.round = round_elements,
	.fp32 = generic_fp32,
};
