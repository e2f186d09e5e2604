/* SPDX-License-Identifier: MIT */
/*
 * Sums that need nothing added to stored elements, their digest and their count of
 * exceptions, while they are in the vector unit's reach.  Included by each kernel_*.c.
 */
#ifndef QUIRE_STORE_TEMPLATE_H
#define QUIRE_STORE_TEMPLATE_H

#include "round_template.h"

/* Activation: what is negative, -0 too, becomes +0; NaR and NaN stay. */
static inline void round_relu(uint32_t format, uint64_t *bits)
{
	const uint32_t top = QUIRE_FORMAT_BITS(format) - 1;
	const uint64_t keep = QUIRE_FORMAT_KIND(format) == QUIRE_KIND_POSIT ? 1ull << top : 0;

	for (int i = 0; i < ROUND_RUN; i++)
		bits[i] = bits[i] >> top & 1 && !(keep && bits[i] == keep) ? 0 : bits[i];
}

/*
 * Finite sums are exceptional only where the format overflows to infinity: FP16, FP32, FP64,
 * BF16 and E5M2.
 */
static inline bool round_overflows(uint32_t format)
{
	return QUIRE_FORMAT_KIND(format) != QUIRE_KIND_POSIT && format != QUIRE_FORMAT_E4M3 &&
	       format != QUIRE_FORMAT_INT8;
}

/* See struct gemm_kernel. */
static void round_store(const struct gemm_store *store, uint32_t count, const uint64_t *low,
			const int64_t *high, const int32_t *exponent, uint8_t *at, uint64_t index,
			struct gemm_tally *tally)
{
	const uint32_t format = store->format, width = QUIRE_FORMAT_BITS(format);
	const uint32_t element = width <= 8 ? 1 : width <= 16 ? 2 : width <= 32 ? 4 : 8;
	const uint64_t inf = gemm_special_bits(format, GEMM_PLUS_INF);
	const bool overflows = round_overflows(format);
	_Alignas(64) uint64_t sig[ROUND_RUN], neg[ROUND_RUN], bits[ROUND_RUN];
	_Alignas(64) int64_t top[ROUND_RUN];
	const struct round_run run = { sig, neg, top };

	for (uint32_t i = 0; i < count; i += ROUND_RUN, at += ROUND_RUN * element) {
		uint32_t here = count - i < ROUND_RUN ? count - i : ROUND_RUN;

		if (high)
			round_normalise(run, low + i, high + i, exponent + i);
		else
			round_normalise_64(run, low + i, exponent + i);
		for (uint32_t j = 0; j < ROUND_RUN; j += ROUND_LANES)
			*(round_signed *)(top + j) += (int64_t)store->offset;
		if (store->negate)
			for (uint32_t j = 0; j < ROUND_RUN; j += ROUND_LANES)
				*(round_lanes *)(neg + j) = ~*(round_lanes *)(neg + j);
		round_run_to(format, run, bits);
		if (overflows)
			for (uint32_t j = 0; j < here; j++)
				tally->exceptional += (bits[j] & ~(1ull << (width - 1))) == inf;
		if (store->relu)
			round_relu(format, bits);
		if (here == ROUND_RUN) {
			tally->digest += round_digest_run(format, bits, index + i);
			round_write_run(format, bits, at);
		} else {
			tally->digest += round_digest(format, here, bits, index + i);
			round_write(format, here, bits, at);
		}
	}
}

#endif /* QUIRE_STORE_TEMPLATE_H */
