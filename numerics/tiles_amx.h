/* SPDX-License-Identifier: MIT */
/*
 * Register tiles of 16 or 32 rows and 48 columns by the tile unit (AMX-INT8): one instruction makes
 * 16 x 16 x 64 products modulo one modulus.  Its left operand is 16 rows of 64 k's, which is what panels of
 * A in rows are made of, its right one [k / 4][column][4] as the VNNI has it: panels of B are the same for both.
 */
#ifndef QUIRE_TILES_AMX_H
#define QUIRE_TILES_AMX_H

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tiles_avx512.h"

#define AMX_MR 16
#define AMX_TILE (AMX_MR * NR)
#define AMX_STEPS 64		/* k's of one instruction */
#define AMX_XTILEDATA 18	/* number of the state component (Intel SDM volume 1, 13.1) */

/*
 * The kernel saves the tiles, 8 KiB, only for processes that have asked; others die at the first use.  It
 * refuses when a thread has an alternate signal stack too small for them.
 */
static bool amx_supported(void)
{
	return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
	       !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, AMX_XTILEDATA);
}

/* All eight tiles 16 rows of 64 bytes; the tiles are the thread's until amx_end(). */
static void amx_begin(void)
{
	static const struct {
		uint8_t palette, start_row, reserved[14];
		uint16_t bytes[16];
		uint8_t rows[16];
	} config = {
		.palette = 1,
		.bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
		.rows = { 16, 16, 16, 16, 16, 16, 16, 16 },
	};

	/* loads of tiles do not tell the compiler what they read */
	__asm__ volatile("" ::: "memory");
	_tile_loadconfig(&config);
}

/* Context switches are cheaper without them. */
static void amx_end(void)
{
	_tile_release();
}

/*
 * Sums of one modulus, see residue_tile(): of one or two panels of A, from a and further from there, and
 * 16 * vectors columns.  Tiles 0 to 2 are the first panel's, 3 to 5 the other's; 6 holds A, 7 B.
 */
static inline __attribute__((always_inline)) void
amx_sums(uint32_t steps, const uint8_t *a, const uint8_t *other, const uint8_t *b, int panels, int vectors,
	 int32_t *out, int32_t *other_out)
{
	static const _Alignas(64) int32_t bias[16] = {
		RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS,
		RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS,
		RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS,
	};

	/* all rows are the same */
	_tile_loadd(0, bias, 0);
	_tile_loadd(1, bias, 0);
	_tile_loadd(2, bias, 0);
	_tile_loadd(3, bias, 0);
	_tile_loadd(4, bias, 0);
	_tile_loadd(5, bias, 0);
	for (uint32_t k = 0; k < steps; k++) {
		_tile_loadd(6, a, 64);
		_tile_loadd(7, b, NR * 4);
		_tile_dpbsud(0, 6, 7);
		if (vectors > 1) {
			_tile_loadd(7, b + 64, NR * 4);
			_tile_dpbsud(1, 6, 7);
		}
		if (vectors > 2) {
			_tile_loadd(7, b + 128, NR * 4);
			_tile_dpbsud(2, 6, 7);
		}
		if (panels > 1) {
			/* back again: the last columns of B are there */
			_tile_loadd(6, other, 64);
			if (vectors > 2) {
				_tile_dpbsud(5, 6, 7);
				_tile_loadd(7, b + 64, NR * 4);
			}
			if (vectors > 1) {
				_tile_dpbsud(4, 6, 7);
				_tile_loadd(7, b, NR * 4);
			}
			_tile_dpbsud(3, 6, 7);
		}
		a += AMX_MR * AMX_STEPS;
		other += AMX_MR * AMX_STEPS;
		b += (size_t)NR * AMX_STEPS;
	}
	_tile_stored(0, out, NR * 4);
	if (vectors > 1)
		_tile_stored(1, out + 16, NR * 4);
	if (vectors > 2)
		_tile_stored(2, out + 32, NR * 4);
	if (panels > 1) {
		_tile_stored(3, other_out, NR * 4);
		if (vectors > 1)
			_tile_stored(4, other_out + 16, NR * 4);
		if (vectors > 2)
			_tile_stored(5, other_out + 32, NR * 4);
	}
}

/* The same modulo m[t] of columns 16 * first to 16 * (first + vectors). */
static void amx_columns(const struct gemm_panel *const *a, uint32_t panels, const struct gemm_panel *b,
			uint32_t t, uint32_t first, uint32_t vectors, int32_t (*rest)[RESIDUE_MODULI][AMX_TILE])
{
	const uint32_t last = panels - 1, steps = (a[0]->kc + AMX_STEPS - 1) / AMX_STEPS;
	const uint8_t *from = a[0]->residues + t * a[0]->plane, *other = a[last]->residues + t * a[last]->plane;
	const uint8_t *columns = b->residues + t * b->plane + first * 64;
	int32_t *out = rest[0][t] + first * 16, *other_out = rest[last][t] + first * 16;

	switch (panels * 4 + vectors) {
	case 4 + 1:
		amx_sums(steps, from, other, columns, 1, 1, out, other_out);
		break;
	case 4 + 2:
		amx_sums(steps, from, other, columns, 1, 2, out, other_out);
		break;
	case 4 + 3:
		amx_sums(steps, from, other, columns, 1, 3, out, other_out);
		break;
	case 8 + 1:
		amx_sums(steps, from, other, columns, 2, 1, out, other_out);
		break;
	case 8 + 2:
		amx_sums(steps, from, other, columns, 2, 2, out, other_out);
		break;
	default:
		amx_sums(steps, from, other, columns, 2, 3, out, other_out);
	}
}

static bool amx_multiply(uint32_t kc, const struct gemm_panel *a, uint32_t p,
			 const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	_Alignas(64) int32_t rest[1][RESIDUE_MODULI][AMX_TILE];
	const uint32_t moduli = gemm_moduli(&gemm_kernel_amx, a, b);

	if (!moduli) {
		wide_tile(kc, a, p, AMX_MR, b, q, low, high);
		return true;
	}
	amx_begin();
	for (uint32_t t = 0; t < moduli; t++)
		amx_columns(&a, 1, b, t, 0, vectors_of(b), rest);
	amx_end();
	return restore(AMX_MR, b, moduli, rest[0][0], AMX_TILE, low, high);
}

/* Two panels modulo m[t]: together, so that a tile of B is loaded for both, as far as both take it. */
static void amx_pair(const struct gemm_panel *const *a, const struct gemm_panel *b, const struct need *need,
		     uint32_t t, int32_t (*rest)[RESIDUE_MODULI][AMX_TILE])
{
	if (t >= need[1].most) {
		const struct need_columns c = need_columns(&need[0], t);

		amx_columns(a, 1, b, t, c.first, c.count, rest);
	} else if (t >= need[0].most) {
		const struct need_columns c = need_columns(&need[1], t);

		amx_columns(a + 1, 1, b, t, c.first, c.count, rest + 1);
	} else {
		const struct need_columns c = need_columns(&need[0], t), d = need_columns(&need[1], t);
		const uint32_t first = c.first < d.first ? c.first : d.first;
		const uint32_t end = c.first + c.count > d.first + d.count ? c.first + c.count :
									     d.first + d.count;

		amx_columns(a, 2, b, t, first, end - first, rest);
	}
}

static void amx_strip(const struct gemm_store *store, uint32_t kc, const struct gemm_panel *const *a,
		      uint32_t count, const struct gemm_panel *b, const struct gemm_place *place,
		      struct gemm_tally *tally)
{
	_Alignas(64) int32_t rest[2][RESIDUE_MODULI][AMX_TILE];

	(void)kc;
	amx_begin();
	for (uint32_t i = 0; i < count; i += 2) {
		const uint32_t panels = count - i < 2 ? count - i : 2;
		struct need need[2] = { need_of(a[i]->weight, b), { .most = 0 } };

		if (panels > 1)
			need[1] = need_of(a[i + 1]->weight, b);
		for (uint32_t t = 0; t < need[0].most || t < need[1].most; t++)
			amx_pair(a + i, b, need, t, rest);
		for (uint32_t p = 0; p < panels; p++)
			store_columns(store, &need[p], rest[p][0], AMX_TILE, a[i + p], b, place, tally);
	}
	amx_end();
}

#endif /* QUIRE_TILES_AMX_H */
