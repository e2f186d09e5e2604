/* SPDX-License-Identifier: MIT */
/*
 * Exact sums product by product, into an accumulator per exponent: the way for few sums, and for
 * numbers so far apart that panels of integers would have many parts.  What a product costs does
 * not depend on the numbers.
 */
#ifndef QUIRE_GEMM_DIRECT_H
#define QUIRE_GEMM_DIRECT_H

#include "gemm_internal.h"

/*
 * So many sums, with large panels more, are taken so without a look at the operands, when k is no
 * less.
 */
#define GEMM_DIRECT_SUMS 4
#define GEMM_DIRECT_LEAST 512

/* Are sums of the job's own size taken so, whatever the numbers are? */
bool gemm_direct_always(const struct gemm_kernel *kernel, const struct quire_gemm *gemm);

/*
 * Is the tile of two panels that are weighed taken so?  It depends on nothing that is planned for
 * them or packed.
 */
bool gemm_direct_pays(const struct gemm_kernel *kernel, const struct gemm_panel *a,
		      const struct gemm_panel *b);

/*
 * sums += products of k's of the panels' run, which starts at k; room is gemm_scratch_bytes().
 * Special sums, and those of lanes that the panels say to hold a special, are left as they are.
 */
void gemm_direct_tile(const struct gemm_source *a, const struct gemm_panel *panel_a,
		      const struct gemm_source *b, const struct gemm_panel *panel_b, uint64_t k,
		      void *room, struct gemm_sum *sums, uint32_t stride);

/*
 * The sums over all k of elements of one row of two dense operands' product, as gemm_plain_sum();
 * less when it is cancelled.
 */
void gemm_direct_sums(const struct quire_gemm *gemm, const struct gemm_source *a,
		      const struct gemm_source *b, uint64_t row, uint64_t column, uint32_t columns,
		      struct gemm_sum *sums);

#endif /* QUIRE_GEMM_DIRECT_H */
