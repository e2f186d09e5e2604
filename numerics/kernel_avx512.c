// SPDX-License-Identifier: MIT
/*
 * AVX-512 with 8-bit dot products and the 52-bit integer multiply-add.  Sums of products
 * of two panels' lanes are bounded by Cauchy and Schwarz: |sum|^2 <= weight_a * weight_b.
 * Sums of panels of one part are taken modulo as many small moduli as they need
 * (residue_avx512.h), an eighth of an operation of 512 bits on the two multipliers of a core
 * each for eight products, or far less on a tile unit (AMX-INT8), which makes it another kernel; those of parts
 * as 104-bit products in halves, two operations.
 */
#include <immintrin.h>
#include <math.h>

#include "convert_mx_avx512.h"
#include "fp32_avx512.h"
#include "pack_avx512.h"
#include "residue_avx512.h"
#include "residue_store_avx512.h"
#include "pack_template.h"
#include "store_template.h"
#include "tile_template.h"
#include "tiles_amx.h"
#include "tiles_vnni.h"

static bool ifma_supported(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma") &&
	       __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi2") &&
	       __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
	       __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt");
}

static bool amx_kernel_supported(void)
{
	return ifma_supported() && amx_supported();
}

PACK_DEFINE(ifma_pack, &gemm_kernel_ifma, VNNI_MR, NR)
TILE_DEFINE(tile_kernel_ifma);

const struct gemm_kernel gemm_kernel_ifma = {
	.name = "ifma",
	.tile = &tile_kernel_ifma,
	.mr = VNNI_MR,
	.nr = NR,
	.single_bits = 50,
	.part_bits = 50,
	.residue_moduli = RESIDUE_MODULI,
	.moduli = residue_moduli,
	.plane_steps = 8,
	.whole_moduli = gemm_whole_moduli,
	.pair_cost = 48,
	.modulus_cost = 8,
	.group_bytes = 704 << 10,
	.group_panels = UINT32_MAX,
	.together = 1,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.supported = ifma_supported,
	.weigh = ifma_pack_weigh,
	.pack = ifma_pack,
	.multiply = vnni_multiply,
	.whole = vnni_whole,
	.whole_top = vnni_whole_top,
	.strips = vnni_strips,
	.room_bytes = VNNI_ROOM,
	.round = round_elements,
	.store = round_store,
	.convert = convert_any,
	.fp32_pack = fp32_pack,
	.fp32 = fp32_tile,
};

PACK_DEFINE(amx_pack, &gemm_kernel_amx, AMX_MR, NR)

/* All but the multiplication of residues is as above. */
const struct gemm_kernel gemm_kernel_amx = {
	.name = "amx",
	.tile = &tile_kernel_ifma,
	.mr = AMX_MR,
	.nr = NR,
	.single_bits = 50,
	.part_bits = 50,
	.residue_moduli = RESIDUE_MODULI,
	.moduli = residue_moduli,
	.plane_steps = AMX_STEPS,
	.rows = true,
	.whole_moduli = gemm_whole_moduli,
	.pair_cost = 48,
	.modulus_cost = 8,
	.group_bytes = 1088 << 10,
	.group_panels = GEMM_STRIP,
	.together = 2,
	.block_bytes = 1536 << 10,
	.fp32_mr = FP32_MR,
	.fp32_nr = FP32_NR,
	.supported = amx_kernel_supported,
	.weigh = amx_pack_weigh,
	.pack = amx_pack,
	.multiply = amx_multiply,
	.whole = amx_whole,
	.whole_top = amx_whole_top,
	.strips = amx_strips,
	.room_bytes = AMX_ROOM,
	.round = round_elements,
	.store = round_store,
	.convert = convert_any,
	.fp32_pack = fp32_pack,
	.fp32 = fp32_tile,
};
