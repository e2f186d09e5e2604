// SPDX-License-Identifier: MIT
/*
 * Tiled operands in the GEMM.  A panel of a tiled operand holds only the granules of
 * k in which one of its tiles is stored, one behind the other.  Two panels multiply
 * over the granules both have: where one has more, those that count are copied
 * together, which costs a small part of the multiplication.  What is left out is zero in
 * one of the two, so the exact sum is the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tile_internal.h"

struct gemm_gather {
	struct gemm_panel a, b;
	const struct gemm_panel *b_of;		/* panel that b was copied from, and ... */
	uint64_t b_present[GEMM_PRESENT_WORDS];	/* ... what of it; NULL: none */
	uint64_t *memory;
};

/* Room for all parts a panel can have; pages that are not used are never touched. */
struct gemm_gather *gemm_gather_create(const struct gemm_kernel *kernel, uint32_t workers)
{
	const size_t a_words = (size_t)GEMM_KC * kernel->mr, b_words = (size_t)GEMM_KC * kernel->nr;
	const uint32_t planes = kernel->residue_moduli;
	const size_t a_residues = gemm_plane_bytes(kernel, kernel->mr, GEMM_KC) * planes;
	const size_t b_residues = gemm_plane_bytes(kernel, kernel->nr, GEMM_KC) * planes;
	const size_t bytes = (a_words + b_words) * GEMM_PARTS_MAX * 8 + a_residues + b_residues;
	struct gemm_gather *gather = calloc(workers, sizeof(*gather));

	for (uint32_t i = 0; gather && i < workers; i++) {
		gather[i].memory = aligned_alloc(64, bytes);
		if (!gather[i].memory) {
			gemm_gather_destroy(gather, workers);
			return NULL;
		}
		for (uint32_t p = 0; p < GEMM_PARTS_MAX; p++) {
			gather[i].a.part[p] = gather[i].memory + p * (a_words + b_words);
			gather[i].b.part[p] = gather[i].a.part[p] + a_words;
		}
		gather[i].a.residues = (uint8_t *)(gather[i].memory + GEMM_PARTS_MAX * (a_words + b_words));
		gather[i].b.residues = gather[i].a.residues + a_residues;
	}
	return gather;
}

void gemm_gather_destroy(struct gemm_gather *gather, uint32_t workers)
{
	for (uint32_t i = 0; gather && i < workers; i++)
		free(gather[i].memory);
	free(gather);
}

void gemm_gather_forget(struct gemm_gather *gather, uint32_t workers)
{
	for (uint32_t i = 0; gather && i < workers; i++)
		gather[i].b_of = NULL;
}

struct gemm_gather *gemm_gather_of(struct gemm_gather *gather, uint32_t worker)
{
	return gather + worker;
}

/* One granule of a plane of lanes in rows, from step at to step to_step; behind the last k are zeros. */
static void copy_rows(uint8_t *to, uint32_t to_step, const uint8_t *from, uint32_t at, uint32_t lanes)
{
	to += to_step / 64 * 64 * lanes + to_step % 64;
	from += at / 64 * 64 * lanes + at % 64;
	for (uint32_t l = 0; l < lanes; l++)
		memcpy(to + l * 64, from + l * 64, GEMM_GRANULE);
}

/*
 * Steps [at, at + count) of a panel to step `to_step` of a copy: planes of residues, or words when
 * moduli is 0.  at is a multiple of 16, and so is count unless it is the last.
 */
static void copy_steps(struct gemm_panel *to, uint32_t to_step, const struct gemm_panel *from,
		       uint32_t at, uint32_t count, uint32_t lanes, bool rows, uint32_t moduli)
{
	const size_t row = (size_t)lanes;

	for (uint32_t t = 0; t < moduli; t++) {
		uint8_t *plane = to->residues + t * to->plane;
		const uint8_t *from_plane = from->residues + t * from->plane;

		if (rows)
			copy_rows(plane, to_step, from_plane, at, lanes);
		else
			memcpy(plane + to_step * row, from_plane + at * row, (count + 3) / 4 * 4 * row);
	}
	for (uint32_t p = 0; !moduli && p < from->parts; p++)
		memcpy(to->part[p] + to_step * row, from->part[p] + at * row, count * row * 8);
}

/* Planes in rows of so many k's, whole granules of which are there, end in zeros. */
static void clear_rows(struct gemm_panel *panel, uint32_t kc, uint32_t lanes, uint32_t moduli)
{
	uint32_t step = (kc + GEMM_GRANULE - 1) / GEMM_GRANULE * GEMM_GRANULE;

	for (; step % 64; step += GEMM_GRANULE)
		for (uint32_t t = 0; t < moduli; t++) {
			uint8_t *to = panel->residues + t * panel->plane + step / 64 * 64 * lanes + step % 64;

			for (uint32_t l = 0; l < lanes; l++)
				memset(to + l * 64, 0, GEMM_GRANULE);
		}
}

static void sum_words(struct gemm_panel *panel, uint32_t lanes)
{
	for (uint32_t p = 0; p < panel->parts; p++) {
		uint64_t sum[GEMM_LANES_MAX] = { 0 };
		const uint64_t *word = panel->part[p];

		for (uint32_t k = 0; k < panel->kc; k++, word += lanes)
			for (uint32_t l = 0; l < lanes; l++)
				sum[l] += word[l];
		for (uint32_t l = 0; l < lanes; l++)
			panel->sum[p][l] = sum[l];
	}
}

/* The granules `present` of a panel that has those and more, in moduli planes or in words. */
static void copy_panel(struct gemm_panel *to, const struct gemm_panel *from, uint32_t lanes, bool rows,
		       const uint64_t *present, uint32_t moduli)
{
	uint32_t at = 0, stored = 0;

	to->plane = from->plane;
	for (uint32_t g = 0; g < GEMM_PRESENT_WORDS * 64; g++) {
		uint32_t count;

		if (!(from->present[g / 64] >> g % 64 & 1))
			continue;
		count = tile_least(GEMM_GRANULE, from->kc - at);
		if (present[g / 64] >> g % 64 & 1) {
			copy_steps(to, stored, from, at, count, lanes, rows, moduli);
			stored += count;
		}
		at += count;
	}
	if (rows)
		clear_rows(to, stored, lanes, moduli);
	memcpy(to->present, present, sizeof(to->present));
	memcpy(to->units.exponent, from->units.exponent, sizeof(to->units.exponent));
	memcpy(to->lane, from->lane, sizeof(to->lane));
	to->kc = stored;
	to->used = from->used;
	to->parts = from->parts;
	to->width = from->width;
	to->weight = from->weight;
	to->moduli = moduli;
	if (!moduli)
		sum_words(to, lanes);
}

void gemm_gather_pair(struct gemm_gather *gather, const struct gemm_kernel *kernel,
		      const struct gemm_panel **a, const struct gemm_panel **b)
{
	const struct gemm_panel *pa = *a, *pb = *b;
	uint64_t common[GEMM_PRESENT_WORDS];
	bool a_more = false, b_more = false;
	uint32_t moduli;

	if (pa->lost || pb->lost)
		return;
	moduli = gemm_moduli(kernel, pa, pb);
	for (uint32_t i = 0; i < GEMM_PRESENT_WORDS; i++) {
		common[i] = pa->present[i] & pb->present[i];
		a_more |= pa->present[i] != common[i];
		b_more |= pb->present[i] != common[i];
	}
	if (a_more) {
		copy_panel(&gather->a, pa, kernel->mr, kernel->rows, common, moduli);
		*a = &gather->a;
	}
	if (!b_more)
		return;
	/* panels of A in the same row of tiles want the same of B */
	if (gather->b_of != pb || gather->b.moduli < moduli || (!moduli && gather->b.moduli) ||
	    memcmp(gather->b_present, common, sizeof(common))) {
		copy_panel(&gather->b, pb, kernel->nr, false, common, moduli);
		gather->b_of = pb;
		memcpy(gather->b_present, common, sizeof(common));
	}
	*b = &gather->b;
}

static int32_t exponent_of(double x, uint64_t *significand)
{
	uint64_t word, field;

	memcpy(&word, &x, 8);
	field = word >> 52 & 0x7ff;
	/* at most 28 significant bits, never subnormal: the lower 22 are 0 */
	*significand = ((word & 0xfffffffffffffull) | 1ull << 52) >> 22;
	return (int32_t)field - 1023 - 30;
}

struct gemm_number gemm_load_source(const struct gemm_source *source, uint64_t lane, uint64_t k)
{
	struct gemm_number number = { 0 };
	bool k_is_column = source->k_stride == 1;
	double x;

	if (!source->tiled)
		return gemm_load(source->format, source->data,
				 lane * source->lane_stride + k * source->k_stride);
	x = quire_tiled_element(source->tiled, (uint32_t)(k_is_column ? lane : k),
				(uint32_t)(k_is_column ? k : lane));
	if (x != x) {
		number.special = GEMM_NAN;
	} else if (x != 0) {
		number.negative = x < 0;
		number.exponent = exponent_of(x, &number.significand);
	}
	return number;
}

/* Is the part that a product reads inside every view of the batch? */
bool gemm_tiled_fits(const struct quire_gemm_operand *x, uint32_t rows, uint32_t columns,
		     uint32_t batch)
{
	const struct quire_tiled *view = x->data;

	if (!view || (uintptr_t)view % _Alignof(struct quire_tiled) || x->batch_stride > 1)
		return false;
	for (uint32_t i = 0; i < (x->batch_stride ? batch : 1); i++)
		if (!view[i].tiles || !view[i].image || view[i].row > view[i].shape.rows ||
		    rows > view[i].shape.rows - view[i].row ||
		    view[i].column > view[i].shape.columns ||
		    columns > view[i].shape.columns - view[i].column)
			return false;
	return true;
}

/* Multiply-accumulates of a job, all batches; false when no operand is tiled. */
bool gemm_tiled_macs(const struct quire_gemm *g, uint64_t macs[3])
{
	const struct quire_tiled *a = g->a.format == QUIRE_FORMAT_TILED ? g->a.data : NULL;
	const struct quire_tiled *b = g->b.format == QUIRE_FORMAT_TILED ? g->b.data : NULL;

	macs[0] = macs[1] = macs[2] = 0;
	if (!a && !b)
		return false;
	for (uint32_t i = 0; i < g->batch; i++) {
		uint64_t one[3];

		quire_tiled_macs(a ? a + i * g->a.batch_stride : NULL, (int)g->a.transpose,
				 b ? b + i * g->b.batch_stride : NULL, (int)g->b.transpose, g->m,
				 g->n, g->k, one);
		for (int c = 0; c < 3; c++)
			macs[c] += one[c];
	}
	return true;
}
