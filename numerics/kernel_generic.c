// SPDX-License-Identifier: MIT
/*
 * Portable kernel: 64-bit integers, 128-bit sums.  |v| <= 2^50, so a product is at
 * most 2^100 and the sum of 4096 of them at most 2^112.
 */
#include "convert_template.h"
#include "fp32_template.h"
#include "pack_template.h"
#include "store_template.h"
#include "tile_template.h"

#define MR 4
#define NR 4

/* Modulo 2^128, which only numbers that changed after they were weighed come to. */
static void sum_128(uint32_t kc, const uint64_t *a, const uint64_t *b, uint64_t *low, int64_t *high)
{
	unsigned __int128 t[MR][NR] = { { 0 } };

	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR)
		for (int i = 0; i < MR; i++)
			for (int j = 0; j < NR; j++)
				t[i][j] += (unsigned __int128)((__int128)(int64_t)a[i] * (int64_t)b[j]);
	for (int i = 0; i < MR; i++)
		for (int j = 0; j < NR; j++) {
			low[i * NR + j] = (uint64_t)t[i][j];
			high[i * NR + j] = (int64_t)(t[i][j] >> 64);
		}
}

/* Modulo 2^64, see GEMM_SQUARE_64. */
static void sum_64(uint32_t kc, const uint64_t *a, const uint64_t *b, uint64_t *low)
{
	uint64_t t[MR][NR] = { { 0 } };

	for (uint32_t k = 0; k < kc; k++, a += MR, b += NR)
		for (int i = 0; i < MR; i++)
			for (int j = 0; j < NR; j++)
				t[i][j] += a[i] * b[j];
	memcpy(low, t, sizeof(t));
}

static bool generic_multiply(uint32_t kc, const struct gemm_panel *a, uint32_t p,
			     const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	if (a->weight * b->weight < GEMM_SQUARE_64) {
		sum_64(kc, a->part[p], b->part[q], low);
		return false;
	}
	sum_128(kc, a->part[p], b->part[q], low, high);
	return true;
}

#define FP32_MR 4
#define FP32_NR 8

static void generic_fp32(uint32_t kc, const float *a, const float *b, float *c, size_t stride,
			 bool first)
{
	float t[FP32_MR][FP32_NR] = { { 0 } };

	for (int i = 0; !first && i < FP32_MR; i++)
		memcpy(t[i], c + i * stride, sizeof(t[i]));
	for (uint32_t k = 0; k < kc; k++, a += FP32_MR, b += FP32_NR)
		for (int i = 0; i < FP32_MR; i++)
			for (int j = 0; j < FP32_NR; j++)
				t[i][j] = __builtin_fmaf(a[i], b[j], t[i][j]);
	for (int i = 0; i < FP32_MR; i++)
		for (int j = 0; j < FP32_NR; j++)
			c[i * stride + j] = t[i][j] + 0.0f;
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
	.pair_cost = 6,
	.group_bytes = 704 << 10,
	.group_panels = UINT32_MAX,
	.together = 1,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.weigh = generic_pack_weigh,
	.pack = generic_pack,
	.multiply = generic_multiply,
	.round = round_elements,
	.store = round_store,
	.convert = convert_elements,
	.fp32_pack = fp32_pack,
	.fp32 = generic_fp32,
};
