/* SPDX-License-Identifier: MIT */
/*
 * Register tiles of 8 rows and 48 columns by dot products of four bytes (VNNI): one instruction of 512 bits
 * makes 64 products modulo one modulus.
 */
#ifndef QUIRE_TILES_VNNI_H
#define QUIRE_TILES_VNNI_H

#include "tiles_avx512.h"

#define VNNI_MR 8
#define VNNI_TILE (VNNI_MR * NR)

/*
 * k of one visit: this much of a modulus of a panel of B, 48 KiB, passes by for one panel of A
 * after the other.
 */
#define VNNI_VISIT 1024

/* of whole integers; a strip has fewer */
#define VNNI_ROOM sizeof(int32_t[GEMM_WHOLE_PANELS][GEMM_WHOLE_MODULI][VNNI_TILE])

/* Residues of a panel modulo m[t], from the four k's number k on. */
static const uint8_t *residues_at(const struct gemm_panel *panel, uint32_t lanes, uint32_t t, uint32_t k)
{
	return panel->residues + t * panel->plane + (size_t)k * lanes * 4;
}

/* Columns 16 * first to 16 * (first + count) of a tile modulo one m, see residue_tile(). */
static void sum_columns(uint32_t fours, const uint8_t *a, const uint8_t *b, uint32_t first, uint32_t count,
			int32_t *out, bool from_0, const struct residue_ahead *ahead)
{
	b += (size_t)first * 64;
	out += first * 16;
	if (count == 3)
		residue_tile(fours, a, b, NR, 3, out, from_0, ahead);
	else if (count == 2)
		residue_tile(fours, a, b, NR, 2, out, from_0, ahead);
	else
		residue_tile(fours, a, b, NR, 1, out, from_0, ahead);
}

/* The same modulo m[t], from step k on. */
static void sum_residues(uint32_t k, uint32_t fours, const struct gemm_panel *a,
			 const struct gemm_panel *b, uint32_t t, uint32_t first, uint32_t count,
			 int32_t *out, const struct residue_ahead *ahead)
{
	sum_columns(fours, residues_at(a, VNNI_MR, t, k), residues_at(b, NR, t, k), first, count, out, k == 0,
		    ahead);
}

static bool vnni_multiply(uint32_t kc, const struct gemm_panel *a, uint32_t p,
			  const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	const uint32_t moduli = gemm_moduli(&gemm_kernel_ifma, a, b), fours = (kc + 3) / 4;
	_Alignas(64) int32_t rest[RESIDUE_MODULI][VNNI_TILE];

	if (!moduli) {
		wide_tile(kc, a, p, VNNI_MR, b, q, low, high);
		return true;
	}
	for (uint32_t t = 0; t < moduli; t++) {
		const struct residue_ahead ahead = { residues_at(a, VNNI_MR, t + 1, 0),
						     residues_at(b, NR, t + 1, 0), 64 };

		sum_residues(0, fours, a, b, t, 0, vectors_of(b), rest[t], &ahead);
	}
	return restore(VNNI_MR, b, moduli, rest[0], VNNI_TILE, low, high);
}

static void vnni_whole(const struct gemm_panel *const *a, uint32_t count, const struct gemm_panel *b,
		       struct gemm_whole *sums, void *room)
{
	int32_t (*rest)[GEMM_WHOLE_MODULI][VNNI_TILE] = room;
	struct need need[GEMM_WHOLE_PANELS];
	uint32_t most = 0;

	for (uint32_t p = 0; p < count; p++) {
		need[p] = whole_need_of(a[p], b);
		most = need[p].most > most ? need[p].most : most;
	}
	for (uint32_t t = 0; t < most; t++)
		for (uint32_t p = 0; p < count; p++) {
			const uint8_t *from_a = a[p]->whole + t * a[p]->plane, *from_b = b->whole + t * b->plane;
			const struct residue_ahead ahead = { from_a + a[p]->plane, from_b + b->plane, 64 };
			struct need_columns c;

			if (t >= need[p].most)
				continue;
			c = need_columns(&need[p], t);
			sum_columns((a[p]->kc + 3) / 4, from_a, from_b, c.first, c.count, rest[p][t], true,
				    &ahead);
		}
	for (uint32_t p = 0; p < count; p++)
		restore_whole(VNNI_MR, b, &need[p], rest[p][0], VNNI_TILE, &sums[p]);
}

static void vnni_whole_top(const struct gemm_whole *sums, const struct gemm_panel *b, uint64_t *low,
			   int64_t *high, int32_t *exponent)
{
	whole_top(VNNI_MR, sums, b, low, high, exponent);
}

/*
 * VNNI_VISIT k's modulo m[t] of those columns of a strip that take so many moduli; each tile asks for
 * the next one's A and a part of what the next visit needs of B, which behind the last
 * modulus is the next panel's first: see gemm_panels_place().
 */
static void visit(uint32_t k, uint32_t fours, const struct gemm_panel *const *a,
		  const struct need *need, uint32_t count, const struct gemm_panel *b, uint32_t t,
		  uint32_t most, int32_t (*rest)[RESIDUE_MODULI][VNNI_TILE])
{
	const uint32_t now = fours - k < VNNI_VISIT / 4 ? fours - k : VNNI_VISIT / 4;
	const bool more = k + now < fours;
	const uint32_t next_k = more ? k + now : 0, next_t = more ? t : t + 1;
	const uint8_t *next_b = residues_at(b, NR, next_t < most ? next_t : RESIDUE_MODULI, next_k);
	const uint32_t step = NR * 4 / count < 64 ? NR * 4 / count : 64;

	for (uint32_t i = 0; i < count; i++) {
		const struct residue_ahead ahead = {
			i + 1 < count ? residues_at(a[i + 1], VNNI_MR, t, k) :
					residues_at(a[0], VNNI_MR, next_t < most ? next_t : 0, next_k),
			next_b + (size_t)i * now * step, step,
		};
		struct need_columns c;

		if (t >= need[i].most)
			continue;
		c = need_columns(&need[i], t);
		sum_residues(k, now, a[i], b, t, c.first, c.count, rest[i][t], &ahead);
	}
}

static void vnni_strip(const struct gemm_store *store, uint32_t kc, const struct gemm_panel *const *a,
		       uint32_t count, const struct gemm_panel *b, const struct gemm_place *place,
		       int32_t (*rest)[RESIDUE_MODULI][VNNI_TILE], struct gemm_tally *tally)
{
	const uint32_t fours = (kc + 3) / 4;
	struct need need[GEMM_STRIP];
	uint32_t most = 0;

	for (uint32_t i = 0; i < count; i++) {
		need[i] = need_of(a[i], b);
		most = need[i].most > most ? need[i].most : most;
	}
	for (uint32_t t = 0; t < most; t++)
		for (uint32_t k = 0; k < fours; k += VNNI_VISIT / 4)
			visit(k, fours, a, need, count, b, t, most, rest);
	for (uint32_t i = 0; i < count; i++)
		store_columns(store, &need[i], rest[i][0], VNNI_TILE, a[i], b, place, tally);
}

static void vnni_strips(const struct gemm_store *store, uint32_t kc, const struct gemm_panel *const *a,
			uint32_t a_count, const struct gemm_panel *b, uint32_t b_count,
			const struct gemm_place *place, void *room, struct gemm_tally *tally)
{
	for (uint32_t j = 0; j < b_count; j++) {
		const struct gemm_place there = place_of(place, store, j);

		vnni_strip(store, kc, a, a_count, &b[j], &there, room, tally);
	}
}

#endif /* QUIRE_TILES_VNNI_H */
