// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "rates.h"

static const struct rate fixed[] = {
	{ "fp32, fp32 sums", RATE_SUMS, QUIRE_FORMAT_FP32, 0, 0, 0 },
	{ "fp32 exact", RATE_CARD, QUIRE_FORMAT_FP32, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "posit32", RATE_CARD, QUIRE_FORMAT_POSIT32, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "posit24", RATE_CARD, QUIRE_FORMAT_POSIT(24), QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "posit16", RATE_CARD, QUIRE_FORMAT_POSIT16, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "fp16 exact", RATE_CARD, QUIRE_FORMAT_FP16, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "bf16 exact", RATE_CARD, QUIRE_FORMAT_BF16, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "bf16 fp32 in order", RATE_CARD, QUIRE_FORMAT_BF16, QUIRE_GEMM_MODE_FP32, 0, 0 },
	{ "posit12", RATE_CARD, QUIRE_FORMAT_POSIT(12), QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "posit10", RATE_CARD, QUIRE_FORMAT_POSIT(10), QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "posit8", RATE_CARD, QUIRE_FORMAT_POSIT8, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "e4m3 exact", RATE_CARD, QUIRE_FORMAT_E4M3, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "e5m2 exact", RATE_CARD, QUIRE_FORMAT_E5M2, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "mxfp8", RATE_CARD, QUIRE_FORMAT_MXFP8, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "int8, scale per tensor", RATE_INT8, QUIRE_FORMAT_INT8, QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "posit6", RATE_CARD, QUIRE_FORMAT_POSIT(6), QUIRE_GEMM_MODE_EXACT, 0, 0 },
	{ "posit4", RATE_CARD, QUIRE_FORMAT_POSIT(4), QUIRE_GEMM_MODE_EXACT, 0, 0 },
};

uint32_t list_rates(struct rate *rates, uint32_t tile, const double *taus, uint32_t count)
{
	uint32_t all = sizeof(fixed) / sizeof(fixed[0]);

	memcpy(rates, fixed, sizeof(fixed));
	for (uint32_t i = 0; i < count && all < MOST_RATES; i++, all++) {
		rates[all] = (struct rate){ "", RATE_TILES, QUIRE_FORMAT_POSIT16,
					    QUIRE_GEMM_MODE_EXACT, taus[i], tile };
		snprintf(rates[all].name, sizeof(rates[all].name), "tiles, tau %g", taus[i]);
	}
	return all;
}

double rate_bits(const struct rate *rate)
{
	if (rate->format == QUIRE_FORMAT_MXFP8)
		return 8.0 * QUIRE_MX_BLOCK_BYTES / QUIRE_MX_ELEMENTS;
	return QUIRE_FORMAT_BITS(rate->format);
}
