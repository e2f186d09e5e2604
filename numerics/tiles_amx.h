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
#define AMX_VISIT 4		/* steps of a visit: 12 KiB of a plane of B, 8 KiB of A's of two panels */
/* of a block; a strip and tiles of whole integers have fewer */
#define AMX_ROOM sizeof(int32_t[GEMM_BLOCK_A * GEMM_BLOCK_B][RESIDUE_MODULI][AMX_TILE])
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

/* What of B's next plane is asked for meanwhile, so many cache lines for each step: a prefetch never faults. */
struct amx_ahead {
	const uint8_t *b;
	uint32_t lines;
};

/*
 * Sums of one modulus, see residue_tile(): of one or two panels of A, from a and further from there, and
 * 16 * vectors columns.  Tiles 0 to 2 are the first panel's, 3 to 5 the other's; 6 holds A, 7 B.
 */
static inline __attribute__((always_inline)) void
amx_sums(uint32_t steps, const uint8_t *a, const uint8_t *other, const uint8_t *b, int panels, int vectors,
	 int32_t *out, int32_t *other_out, bool first, const struct amx_ahead *ahead)
{
	static const _Alignas(64) int32_t bias[16] = {
		RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS,
		RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS,
		RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS, RESIDUE_BIAS,
	};
	/* at first all rows are the same */
	const size_t stride = first ? 0 : NR * 4, next = first ? 0 : 16;
	const int32_t *sums = first ? bias : out, *other_sums = first ? bias : other_out;
	const uint8_t *asked = ahead->b;

	_tile_loadd(0, sums, stride);
	if (vectors > 1)
		_tile_loadd(1, sums + next, stride);
	if (vectors > 2)
		_tile_loadd(2, sums + 2 * next, stride);
	if (panels > 1) {
		_tile_loadd(3, other_sums, stride);
		if (vectors > 1)
			_tile_loadd(4, other_sums + next, stride);
		if (vectors > 2)
			_tile_loadd(5, other_sums + 2 * next, stride);
	}
	for (uint32_t k = 0; k < steps; k++) {
		for (uint32_t i = 0; i < ahead->lines; i++, asked += 64)
			_mm_prefetch(asked, _MM_HINT_T1);
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

/* A visit: so many steps from step k on. */
struct amx_visit {
	uint32_t k, steps;
	struct amx_ahead ahead;
};

/*
 * Planes of panels of A that are multiplied together and of one of B, and tiles of sums: the next modulus' is
 * AMX_TILE words further.
 */
struct amx_operands {
	const uint8_t *a[GEMM_BLOCK_A], *b;
	size_t a_plane, b_plane;
	const uint8_t *behind;		/* what is read next, when the last modulus is through */
	int32_t *rest[GEMM_BLOCK_A];
	struct need need[GEMM_BLOCK_A + 1];
	uint32_t count, steps;
};

/* Sums modulo m[t] of so many panels of A from i on, of columns 16 * first to 16 * (first + vectors). */
static inline __attribute__((always_inline)) void
amx_columns(const struct amx_operands *x, uint32_t i, uint32_t panels, uint32_t t, const struct amx_visit *visit,
	    struct need_columns c)
{
	const uint32_t last = i + panels - 1;
	const size_t at = (size_t)visit->k * AMX_STEPS, from_a = t * x->a_plane + at * AMX_MR;
	const uint8_t *from = x->a[i] + from_a, *other = x->a[last] + from_a;
	const uint8_t *columns = x->b + t * x->b_plane + at * NR + c.first * 64;
	int32_t *out = x->rest[i] + t * AMX_TILE + c.first * 16;
	int32_t *other_out = x->rest[last] + t * AMX_TILE + c.first * 16;

#define AMX_SUMS(panels, vectors)                                                                     \
	amx_sums(visit->steps, from, other, columns, panels, vectors, out, other_out, visit->k == 0, \
		 &visit->ahead)
	if (panels == 1 && c.count == 1)
		AMX_SUMS(1, 1);
	else if (panels == 1 && c.count == 2)
		AMX_SUMS(1, 2);
	else if (panels == 1)
		AMX_SUMS(1, 3);
	else if (c.count == 1)
		AMX_SUMS(2, 1);
	else if (c.count == 2)
		AMX_SUMS(2, 2);
	else
		AMX_SUMS(2, 3);
#undef AMX_SUMS
}

static uint32_t amx_steps(uint32_t kc)
{
	return (kc + AMX_STEPS - 1) / AMX_STEPS;
}

/* Two panels modulo m[t]: together, so that a tile of B is loaded for both, as far as both take it. */
static inline __attribute__((always_inline)) void
amx_pair(const struct amx_operands *x, uint32_t i, uint32_t t, const struct amx_visit *visit)
{
	const struct need *need = &x->need[i];
	struct need_columns c, d;
	uint32_t first, end;

	if (t >= need[0].most && t >= need[1].most)
		return;
	if (t >= need[1].most) {
		amx_columns(x, i, 1, t, visit, need_columns(&need[0], t));
		return;
	}
	if (t >= need[0].most) {
		amx_columns(x, i + 1, 1, t, visit, need_columns(&need[1], t));
		return;
	}
	c = need_columns(&need[0], t);
	d = need_columns(&need[1], t);
	first = c.first < d.first ? c.first : d.first;
	end = c.first + c.count > d.first + d.count ? c.first + c.count : d.first + d.count;
	amx_columns(x, i, 2, t, visit, (struct need_columns){ first, end - first });
}

/* All panels modulo m[t].  In a visit L1 holds the part of a plane of B that they have in common. */
static inline __attribute__((always_inline)) void
amx_modulus(const struct amx_operands *x, uint32_t t, const uint8_t *next)
{
	const uint32_t pairs = (x->count + 1) / 2, lines = (NR + pairs - 1) / pairs;

	for (uint32_t k = 0; k < x->steps; k += AMX_VISIT)
		for (uint32_t i = 0; i < x->count; i += 2) {
			const uint32_t now = x->steps - k < AMX_VISIT ? x->steps - k : AMX_VISIT;
			const struct amx_visit visit = {
				k, now, { next + ((size_t)k * pairs + i / 2 * now) * lines * 64, lines },
			};

			amx_pair(x, i, t, &visit);
		}
}

/*
 * One modulus after the other, of the same panels of A with some of B, one an x: so that L2 holds what tiles have
 * in common.
 */
static inline __attribute__((always_inline)) void amx_all(struct amx_operands *x, uint32_t count)
{
	uint32_t most = 0;

	for (uint32_t j = 0; j < count; j++) {
		for (uint32_t i = 0; i < x[j].count; i++)
			most = x[j].need[i].most > most ? x[j].need[i].most : most;
		/* of a pair there may be one only */
		x[j].need[x[j].count].most = 0;
	}
	amx_begin();
	for (uint32_t t = 0; t < most; t++)
		for (uint32_t j = 0; j < count; j++) {
			const uint8_t *next = x[j].behind;

			if (j + 1 < count)
				next = x[j + 1].b + t * x[j + 1].b_plane;
			else if (t + 1 < most)
				next = x[0].b + (t + 1) * x[0].b_plane;
			amx_modulus(&x[j], t, next);
		}
	amx_end();
}

static bool amx_multiply(uint32_t kc, const struct gemm_panel *a, uint32_t p,
			 const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high)
{
	_Alignas(64) int32_t rest[RESIDUE_MODULI][AMX_TILE];
	const uint32_t moduli = gemm_moduli(&gemm_kernel_amx, a, b);
	const struct amx_operands x = { { a->residues }, b->residues, a->plane, b->plane, .rest = { rest[0] } };
	const struct amx_visit all = { .k = 0, .steps = amx_steps(kc) };

	if (!moduli) {
		wide_tile(kc, a, p, AMX_MR, b, q, low, high);
		return true;
	}
	amx_begin();
	for (uint32_t t = 0; t < moduli; t++)
		amx_columns(&x, 0, 1, t, &all, (struct need_columns){ 0, vectors_of(b) });
	amx_end();
	return restore(AMX_MR, b, moduli, rest[0], AMX_TILE, low, high);
}

static void amx_whole(const struct gemm_panel *const *a, uint32_t count, const struct gemm_panel *b,
		      struct gemm_whole *sums, void *room)
{
	int32_t (*rest)[GEMM_WHOLE_MODULI][AMX_TILE] = room;
	struct amx_operands x = {
		.b = b->whole, .a_plane = a[0]->plane, .b_plane = b->plane, .behind = b->whole,
		.count = count, .steps = amx_steps(b->kc),
	};

	for (uint32_t i = 0; i < count; i++) {
		x.a[i] = a[i]->whole;
		x.rest[i] = rest[i][0];
		x.need[i] = whole_need_of(a[i], b);
	}
	amx_all(&x, 1);
	for (uint32_t i = 0; i < count; i++)
		restore_whole(AMX_MR, b, &x.need[i], rest[i][0], AMX_TILE, &sums[i]);
}

static void amx_whole_top(const struct gemm_whole *sums, const struct gemm_panel *b, uint64_t *low, int64_t *high,
			  int32_t *exponent)
{
	whole_top(AMX_MR, sums, b, low, high, exponent);
}

static void amx_strips(const struct gemm_store *store, uint32_t kc, const struct gemm_panel *const *a,
		       uint32_t a_count, const struct gemm_panel *b, uint32_t b_count,
		       const struct gemm_place *place, void *room, struct gemm_tally *tally)
{
	/* of each panel of A for the first of B, and so on */
	int32_t (*rest)[RESIDUE_MODULI][AMX_TILE] = room;
	struct amx_operands x[GEMM_BLOCK_B];

	for (uint32_t j = 0; j < b_count; j++) {
		x[j].b = b[j].residues;
		x[j].a_plane = a[0]->plane;
		x[j].b_plane = b[j].plane;
		/* the next panel's first: see gemm_panels_place() */
		x[j].behind = b[j].residues + RESIDUE_MODULI * b[j].plane;
		x[j].count = a_count;
		x[j].steps = amx_steps(kc);
		for (uint32_t i = 0; i < a_count; i++) {
			x[j].a[i] = a[i]->residues;
			x[j].rest[i] = rest[j * a_count + i][0];
			x[j].need[i] = need_of(a[i], &b[j]);
		}
	}
	amx_all(x, b_count);
	for (uint32_t j = 0; j < b_count; j++) {
		const struct gemm_place there = place_of(place, store, j);

		for (uint32_t i = 0; i < a_count; i++)
			store_columns(store, &x[j].need[i], x[j].rest[i], AMX_TILE, a[i], &b[j], &there, tally);
	}
}

#endif /* QUIRE_TILES_AMX_H */
