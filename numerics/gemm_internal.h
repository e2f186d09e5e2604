/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the GEMM.  How the parts fit:
 *
 *	gemm.c          the loops over blocks, threads, K blocks
 *	gemm_check.c    validation of a job
 *	gemm_element.h  elements and their sums, one by one
 *	gemm_number.c   single elements, and the reference: one accumulator per element
 *	gemm_finish.c   alpha, C, bias, activation, store, digest
 *	gemm_fp32.c     BF16 with FP32 accumulation
 *	gemm_tiles.c    tiles of a block
 *	gemm_direct.c   ... without panels, product by product
 *	gemm_special.c  ... with infinities: what those make of a sum
 *	gemm_panel.c    memory of panels and how they are packed
 *	gemm_tiled.c    tiled operands: which parts of k two panels share
 *	convert.c       conversion of matrices
 *	pack_template.h operands to panels of integers
 *	round_template.h exact sums to elements
 *	store_template.h ... and to memory, with their digest
 *	convert_template.h elements to elements
 *	convert_mx.h    ... to blocks of MXFP8
 *	fp32_template.h panels of the FP32 mode
 *	residue_*.h     sums modulo small numbers, and from there to memory
 *	residue_whole*  ... of integers that do not fit one part
 *	cut_avx512.h    lanes in a unit that few of their elements are too small for
 *	*_avx512.h      what has a way of its own there
 *	workspace.c     memory kept from job to job
 *	tiles_*.h       ... by VNNI and by the tile unit, in tiles and blocks of them
 *	kernel_*.c      the micro-kernels of one kind of CPU, with the
 *	                templates compiled for it
 *	cpu.c           choice of the kernel
 */
#ifndef QUIRE_GEMM_INTERNAL_H
#define QUIRE_GEMM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/format.h>
#include <quirenum/gemm.h>
#include <quirenum/threads.h>

#include "gemm_element.h"

#define GEMM_NR_MAX 48
#define GEMM_LANES_MAX 48
#define GEMM_TILE_MAX (16 * 48)
#define GEMM_STRIP 8		/* tiles of one column of tiles, computed together */
#define GEMM_BLOCK_A 16		/* panels of a block of tiles, computed together */
#define GEMM_BLOCK_B 5

/* Longest run of k of one panel; the bounds of every kernel are built on it. */
#define GEMM_KC 4096

/*
 * A panel is mr rows of op(A) or nr columns of op(B), "lanes", over a run of k,
 * as integers.  Lane l of part q at k is the integer v[q][k][l], and the lane's
 * numbers are sum over q of v[q][k][l] * 2^(exponent[l] + q * part_bits), if it is not cut.
 * A double x becomes the nearest integer as the pattern of x + (2^52 + 2^51), less
 * that number's own pattern: exact for |x| < 2^51.
 */
#define GEMM_MAGIC 6755399441055744.0		/* 2^52 + 2^51 */
#define GEMM_MAGIC_BITS 0x4338000000000000ull

/*
 * weight bounds, for each lane, the sum of the squares of its integers.  By Cauchy and
 * Schwarz the square of a sum of products is at most the product of two weights, and
 * each of its terms' too: with less than 2^124 a sum is below 2^62 in magnitude and may be
 * taken in 64-bit arithmetic.  The weight has a relative error below 2^-15; the limits leave
 * 2^-6.
 */
#define GEMM_SQUARE_64 0x1.fp123

/*
 * A panel of a tiled operand leaves out granules of k in which it has no stored tile.
 * Which ones it has is a bitmap; a dense panel has all.
 */
#define GEMM_GRANULE 16
#define GEMM_PRESENT_WORDS (GEMM_KC / GEMM_GRANULE / 64)

#define GEMM_PARTS_MAX 12	/* 277 bits of FP32 in parts of 26, see pack_template.h */

/*
 * Sums of products of integers that do not fit one part, from their residues modulo up to so many
 * moduli: digits of 44 bits, the last one of them signed.
 */
#define GEMM_WHOLE_MODULI 45
#define GEMM_WHOLE_DIGITS 8
#define GEMM_WHOLE_BITS 44
#define GEMM_WHOLE_PANELS 4	/* of A, multiplied together */

struct gemm_whole {
	_Alignas(64) int64_t digit[GEMM_WHOLE_DIGITS][GEMM_TILE_MAX];
	uint32_t digits;
};

enum gemm_special {
	GEMM_SPECIAL_NAN = 1,	/* a NaR or NaN in this row or column */
	GEMM_SPECIAL_INF = 2,
};

/* Lanes as integers: in which unit, and what the integers are then. */
struct gemm_units {
	int32_t exponent[GEMM_LANES_MAX];
	double weights[GEMM_LANES_MAX];		/* of each lane, when there is one part */
	uint8_t widths[GEMM_LANES_MAX];		/* they are at most 2^width */
};

/* What an integer leaves out of the element at k. */
struct gemm_rest {
	double rest;
	uint32_t k;
};

#define GEMM_RESTS_MAX 32	/* of a lane */

/*
 * Lanes can be cut: taken in a unit so large that some elements, few and small, are no
 * multiples of it.  Their integers are rounded to nearest, and what that leaves out, their rests, half a
 * unit each at most, is made good where a sum is rounded (residue_cut_avx512.h).
 */
struct gemm_cut {
	struct gemm_units whole, units;		/* uncut, and cut */
	double most[GEMM_LANES_MAX];		/* largest magnitude */
	double lost[GEMM_LANES_MAX];		/* no less than the sum of the rests' magnitudes */
	uint32_t count[GEMM_LANES_MAX];		/* of rests; 0: the lane is whole */
	/* of each lane; in this panel's room or another's */
	const struct gemm_rest *rests[GEMM_LANES_MAX];
	struct gemm_rest room[];		/* for GEMM_RESTS_MAX of each lane */
};

struct gemm_panel {
	uint64_t *part[GEMM_PARTS_MAX];		/* integers, written when words */
	uint64_t *extra;			/* allocation behind part[1]..., or NULL */
	uint8_t *residues;			/* the planes of residue_avx512.h, or NULL */
	uint8_t *whole;				/* an allocation: those of residue_whole_avx512.h, or NULL */
	uint32_t whole_room;			/* for so many of them */
	size_t plane;				/* bytes from one modulus to the next */
	uint64_t present[GEMM_PRESENT_WORDS];	/* granules of k the panel has */
	uint32_t kc;				/* k's in them */
	uint32_t used;				/* lanes; those behind are 0 */
	uint32_t parts;
	uint32_t width;				/* every number is below 2^width units */
	double weight;				/* of the heaviest lane of any part */
	double whole_weight;			/* of the heaviest lane whose integers are not cut into parts */
	struct gemm_units units;		/* those of cut that are in use, or of many parts */
	struct gemm_cut *cut;			/* when there is one part and a precision */
	bool is_cut;
	/* significant bits of a decision of D's format, for which lanes may be cut; 0: none are */
	uint32_t precision;
	uint32_t lane[GEMM_LANES_MAX];		/* which one of the operand it is */
	/* what tiles will ask for, and whether it is still to be packed */
	uint32_t moduli, whole_moduli;
	bool words, stale;
	bool lost;				/* no memory for the parts: use the plain path */
	uint64_t sum[GEMM_PARTS_MAX][GEMM_LANES_MAX];	/* of v over k, two's complement */
	uint8_t special[GEMM_LANES_MAX];	/* enum gemm_special; such elements are 0 in v */
};

/* A byte for each k, a multiple of 64. */
static inline size_t gemm_codes_bytes(uint32_t kc)
{
	return ((size_t)kc + 63) & ~(size_t)63;
}

struct quire_tiled;

/* Where a panel comes from; one of the strides is 1 or the other extent is. */
struct gemm_source {
	const uint8_t *data;
	uint32_t format;
	uint32_t element;		/* bytes */
	uint64_t lane_stride;		/* elements */
	uint64_t k_stride;
	const struct quire_tiled *tiled;	/* instead of data; k_stride 1: k runs along its rows */
};

/* Where an element goes and its index of the digest, and from row to row. */
struct gemm_place {
	uint8_t *at;
	size_t row_bytes;
	uint64_t index, row_index;
};

/* How a run of sums becomes elements. */
struct gemm_store {
	uint32_t format;		/* not the quire image */
	int32_t offset;			/* of the exponents */
	bool negate;
	bool relu;
	const struct gemm_source *a, *b;	/* of strips, to look again at what was cut */
};

/* Counted by each worker on its own. */
struct gemm_tally {
	uint64_t digest;
	uint64_t exceptional;
};

/* How elements become elements of another format. */
struct gemm_convert {
	uint32_t source_format, destination_format;	/* not the quire image */
	double factor;			/* a float; 1 with FP64 */
};

struct gemm_kernel {
	const char *name;
	const struct tile_kernel *tile;	/* loops of tiled matrices, tile_internal.h */
	uint32_t mr, nr;
	/* integers of one part: at most 2^single_bits when there is only one ... */
	uint32_t single_bits;
	/* ... and at most 2^(part_bits - 1) when there are more */
	uint32_t part_bits;
	bool narrow_only;		/* sums must be below 2^62 and integers below 2^31 */
	uint32_t residue_moduli;	/* the most planes of residues of a panel */
	/*
	 * Planes are [k / 4][lane][4] for a multiple of plane_steps k's.  rows: A's are [k / 64][lane][64],
	 * plane_steps is 64, and those behind the last k are 0.
	 */
	uint32_t plane_steps;
	bool rows;
	/*
	 * How many planes, of both panels of one part, sums whose squares are at most square need.
	 * NULL: words of both.
	 */
	uint32_t (*moduli)(double square);
	/*
	 * The same where a panel has more parts, of its whole integers; 0: more than there are, words
	 * then.  NULL: words always.
	 */
	uint32_t (*whole_moduli)(double square);
	/*
	 * What a k of a tile costs for a pair of parts, and for a modulus of whole integers; in products
	 * that are taken one by one (gemm_direct.h).
	 */
	uint32_t pair_cost, modulus_cost;
	/*
	 * Panels of A that are walked again for each panel of B, so that L2 holds them: at most so many bytes and
	 * panels, a multiple of those that are multiplied together.
	 */
	uint32_t group_bytes, group_panels, together;
	/*
	 * Where that were too few, one modulus of A and B of a block of tiles: of L2 as well.  0: there are
	 * no blocks.
	 */
	uint32_t block_bytes;
	uint32_t fp32_mr, fp32_nr;
	bool (*supported)(void);
	/*
	 * What a panel of lanes, used of them real, has to be: all of it but its integers.  Its precision
	 * is set.  scratch has gemm_scratch_bytes(); with keep the panel's doubles may stay there, for
	 * pack() to come next: true.
	 */
	bool (*weigh)(struct gemm_panel *panel, double *scratch, uint32_t lanes,
		      const struct gemm_source *source, uint64_t lane, uint32_t used, uint64_t k,
		      uint32_t kc, bool keep);
	/*
	 * The integers, in the ways that moduli and words say, after weigh() with the same; where k
	 * runs along memory of the lanes that the panel names then, in any order.  source NULL: from
	 * the doubles that weigh() has left in scratch.
	 */
	void (*pack)(struct gemm_panel *panel, double *scratch, uint32_t lanes,
		     const struct gemm_source *source, uint64_t lane, uint32_t used, uint64_t k,
		     uint32_t kc);
	/*
	 * mr x nr sums of products of part p of a and part q of b, row-major.  True: as two's
	 * complement numbers of 128 bits; false: high is not written, low is 64-bit ones.
	 */
	bool (*multiply)(uint32_t kc, const struct gemm_panel *a, uint32_t p,
			 const struct gemm_panel *b, uint32_t q, uint64_t *low, int64_t *high);
	/*
	 * Memory of each worker for sums of tiles that are computed together, the room of whole and strips: too
	 * much for a stack.
	 */
	size_t room_bytes;
	/*
	 * All parts at once of up to GEMM_WHOLE_PANELS a's with b, when they have planes of whole integers
	 * enough.
	 */
	void (*whole)(const struct gemm_panel *const *a, uint32_t count, const struct gemm_panel *b,
		      struct gemm_whole *sums, void *room);
	/*
	 * The top of such sums, mr x nr numbers (high:low) * 2^exponent below 2^126, what is below ORed
	 * into their last bits: they have 80 bits then, more than any rounding looks at.  Sums below 2^124
	 * are exact.
	 */
	void (*whole_top)(const struct gemm_whole *sums, const struct gemm_panel *b, uint64_t *low,
			  int64_t *high, int32_t *exponent);
	/*
	 * Tiles of a_count panels of one part with b_count of B from b on, in the order that is best for
	 * the caches, stored, see store(), in the rows of D that the panels' lanes are.  place is that
	 * of row 0 and of b's first column.  At most a strip, GEMM_STRIP by 1, or when there are block_bytes
	 * a block, GEMM_BLOCK_A by GEMM_BLOCK_B.  NULL: one by one will do.
	 */
	void (*strips)(const struct gemm_store *store, uint32_t kc, const struct gemm_panel *const *a,
		       uint32_t a_count, const struct gemm_panel *b, uint32_t b_count,
		       const struct gemm_place *place, void *room, struct gemm_tally *tally);
	/* elements of format from count numbers (high:low) * 2^exponent */
	void (*round)(uint32_t format, uint32_t count, const uint64_t *low, const int64_t *high,
		      const int32_t *exponent, uint64_t *bits);
	/*
	 * The same, stored: the whole way of a sum that needs nothing added.  high NULL: low
	 * is 64-bit numbers.  Exponents are exponent[i] + store->offset.
	 */
	void (*store)(const struct gemm_store *store, uint32_t count, const uint64_t *low,
		      const int64_t *high, const int32_t *exponent, uint8_t *at, uint64_t index,
		      struct gemm_tally *tally);
	/*
	 * count contiguous elements of one format to another; of MXFP8 in and out are at a scale.
	 * tally, when not NULL, takes their digest, the first one (of MXFP8 the scale) being at
	 * index, and how many are exceptional.
	 */
	void (*convert)(const struct gemm_convert *convert, uint32_t count, const uint8_t *in,
			uint8_t *out, uint64_t index, struct gemm_tally *tally);
	/*
	 * A panel of the FP32 mode, kc x lanes, from BF16: element (lane, k) of it is at
	 * data[lane * lane_stride + k * k_stride], one of the strides is 1; lanes from used on are 0.
	 */
	void (*fp32_pack)(float *out, uint32_t lanes, const uint16_t *data, uint64_t lane_stride,
			  uint64_t k_stride, uint32_t used, uint32_t kc);
	/*
	 * c = a b, or c + a b unless first, in FP32, k in order; a is kc x fp32_mr, b is
	 * kc x fp32_nr.  A zero comes out as +0, which changes no later sum but for its sign.
	 */
	void (*fp32)(uint32_t kc, const float *a, const float *b, float *c, size_t c_stride,
		     bool first);
};

/*
 * Bytes of one modulus of a panel.  An odd number of cache lines, so that one step of all moduli does
 * not fall into one set of a cache.
 */
static inline size_t gemm_plane_bytes(const struct gemm_kernel *kernel, uint32_t lanes, uint32_t kc)
{
	const uint32_t steps = kernel->plane_steps;

	if (!kernel->moduli)
		return 0;
	return ((size_t)((kc + steps - 1) / steps) * steps * lanes + 63) / 128 * 128 + 64;
}

/* How many planes of residues the products of two panels take; 0: words, for parts. */
static inline uint32_t gemm_moduli(const struct gemm_kernel *kernel, const struct gemm_panel *a,
				   const struct gemm_panel *b)
{
	return kernel->moduli && a->parts == 1 && b->parts == 1 ?
	       kernel->moduli(a->weight * b->weight) : 0;
}

static inline double gemm_whole_weight(const struct gemm_panel *panel)
{
	return panel->parts == 1 ? panel->weight : panel->whole_weight;
}

/* How many planes of whole integers they take; 0: words. */
static inline uint32_t gemm_whole_planes(const struct gemm_kernel *kernel, const struct gemm_panel *a,
					 const struct gemm_panel *b)
{
	uint32_t moduli;

	if (!kernel->whole_moduli || (a->parts == 1 && b->parts == 1))
		return 0;
	moduli = kernel->whole_moduli(gemm_whole_weight(a) * gemm_whole_weight(b));
	return moduli <= a->whole_moduli && moduli <= b->whole_moduli ? moduli : 0;
}

/* What weighing learns of a lane. */
struct gemm_lane {
	double weight, most, lost;
	const struct gemm_rest *rests;
	uint32_t lane, count;
	int32_t exponent;
	int32_t whole;			/* exponent when it is not cut */
	uint8_t special, width;
};

/* gemm_panel.c: memory of panels, and in which ways their integers are needed */
struct gemm_panel *gemm_panels_place(const struct gemm_kernel *kernel, uint32_t count,
				     uint32_t lanes, uint32_t kc, uint8_t **memory);
size_t gemm_panels_bytes(const struct gemm_kernel *kernel, uint32_t count, uint32_t lanes,
			 uint32_t kc);
void gemm_panels_free_extras(struct gemm_panel *panels, uint32_t count);
/* Do they need nothing but the memory they were placed in? */
bool gemm_panels_can_stay(const struct gemm_panel *panels, uint32_t count);
/* Bytes of their elements in the ways they are packed. */
uint64_t gemm_panels_packed_bytes(const struct gemm_panel *panels, uint32_t count);
/*
 * Lanes are looked at for cutting when each element takes part in so many products, on the
 * average.  Tests, which do with smaller matrices, set it to 0.
 */
extern uint32_t gemm_cut_least;

/* Panels cut, when all were weighed for this precision and that saves residues, or whole. */
void gemm_panels_cut(const struct gemm_kernel *kernel, struct gemm_panel *a, uint32_t a_count,
		     struct gemm_panel *b, uint32_t b_count, uint32_t precision);
/* Lanes in another order, the heaviest first: panels that are weighed, all of one part. */
void gemm_panels_sort(struct gemm_panel *panels, uint32_t count, uint32_t lanes,
		      struct gemm_lane *room);
/*
 * Bytes of scratch memory of one worker: room for the doubles of a panel, k rounded up to a multiple of 64,
 * and of gemm_codes_bytes() and GEMM_RESTS_MAX rests for each lane.
 */
size_t gemm_scratch_bytes(const struct gemm_kernel *kernel, uint32_t kc);
/* Bytes of one worker: the kernel's room, and behind it sums of GEMM_WHOLE_PANELS tiles. */
static inline size_t gemm_room_bytes(const struct gemm_kernel *kernel)
{
	return kernel->room_bytes + (kernel->whole ? GEMM_WHOLE_PANELS * sizeof(struct gemm_whole) : 0);
}

/*
 * When all are weighed: what each has to be packed as, and whether it is not yet.  tiled: one of the
 * operands is, and pairs of many parts meet as words.
 */
void gemm_panels_plan(const struct gemm_kernel *kernel, struct gemm_panel *a, uint32_t a_count,
		      struct gemm_panel *b, uint32_t b_count, bool tiled);

/*
 * The same of one panel of B that is weighed, when A is: cut if that were good for it alone.  Should
 * gemm_panels_cut() decide otherwise when all are weighed, it has to be packed again.
 */
void gemm_panel_plan(const struct gemm_kernel *kernel, const struct gemm_panel *a, uint32_t a_count,
		     struct gemm_panel *b, uint32_t precision, bool tiled);

extern const struct gemm_kernel gemm_kernel_generic;
extern const struct gemm_kernel gemm_kernel_avx2;
extern const struct gemm_kernel gemm_kernel_ifma;
extern const struct gemm_kernel gemm_kernel_amx;

/* NULL stands for the plain path. */
const struct gemm_kernel *gemm_kernel_current(void);

struct gemm_source gemm_source_of(const struct quire_gemm_operand *x, bool lanes_are_rows,
				  uint32_t batch);

/* The sum over all k of element (row, column) of one matrix of the batch. */
void gemm_plain_sum(const struct gemm_source *a, const struct gemm_source *b, uint64_t row,
		    uint64_t column, uint32_t k, struct gemm_sum *sum);

/* One matrix of the batch on its way out. */
struct gemm_finish {
	const struct quire_gemm *gemm;
	const uint8_t *c;
	uint8_t *d;
	uint64_t batch;			/* of the digest */
	bool direct;			/* D = act(round(2^shift * sum)), sign of alpha included */
	bool negate;
	int32_t shift;
	uint32_t element;		/* bytes of D */
};

#define GEMM_TALLY_STRIDE 8	/* from worker to worker: 128 bytes, no cache line shared */

/* The canonical NaN or NaR of a format; how many of count elements are exceptional. */
uint64_t gemm_nan_bits(uint32_t format);
uint64_t gemm_count_exceptional(uint32_t format, const uint64_t *bits, uint32_t count);

void gemm_finish_init(struct gemm_finish *finish, const struct quire_gemm *gemm,
		      uint32_t batch);

/* How sums are stored that are the whole way (finish->direct) and finite, and where. */
struct gemm_store gemm_finish_store(const struct gemm_finish *finish);
struct gemm_place gemm_finish_place(const struct gemm_finish *finish, uint32_t row,
				    uint32_t column);

/* Store a run of one row of such sums. */
void gemm_finish_direct(const struct gemm_finish *finish, const struct gemm_kernel *kernel,
			uint32_t row, uint32_t column, uint32_t count, const uint64_t *low,
			const int64_t *high, const int32_t *exponent, int32_t offset,
			struct gemm_tally *tally);

/* Whether D = round(sum): no factor, nothing added, no activation. */
bool gemm_finish_is_plain(const struct gemm_finish *finish);
/* count elements of one row from FP32 sums, when it is so; a zero among them is +0. */
void gemm_finish_convert(const struct gemm_finish *finish, const struct gemm_kernel *kernel,
			 uint32_t row, uint32_t column, uint32_t count, const float *sums,
			 struct gemm_tally *tally);

/*
 * count elements of one row from sums (high:low) * 2^exponent.  special, when not
 * NULL, holds enum gemm_value for each.
 */
void gemm_finish_row(const struct gemm_finish *finish, const struct gemm_kernel *kernel,
		     uint32_t row, uint32_t column, uint32_t count, uint64_t *low,
		     int64_t *high, int32_t *exponent, const uint8_t *special,
		     struct gemm_tally *tally);
void gemm_finish_sum(const struct gemm_finish *finish, uint32_t row, uint32_t column,
		     const struct gemm_sum *sum, struct gemm_tally *tally);

/* gemm_tiled.c: memory of one worker, in which panels meet */
struct gemm_gather;
struct gemm_gather *gemm_gather_create(const struct gemm_kernel *kernel, uint32_t workers);
void gemm_gather_destroy(struct gemm_gather *gather, uint32_t workers);
struct gemm_gather *gemm_gather_of(struct gemm_gather *gather, uint32_t worker);
/* Panels have been packed anew. */
void gemm_gather_forget(struct gemm_gather *gather, uint32_t workers);
/* Make the two panels' k's the same; copies live until the worker's next pair. */
void gemm_gather_pair(struct gemm_gather *gather, const struct gemm_kernel *kernel,
		      const struct gemm_panel **a, const struct gemm_panel **b);
bool gemm_tiled_fits(const struct quire_gemm_operand *x, uint32_t rows, uint32_t columns,
		     uint32_t batch);
bool gemm_tiled_macs(const struct quire_gemm *gemm, uint64_t macs[3]);
struct gemm_number gemm_load_source(const struct gemm_source *source, uint64_t lane, uint64_t k);

enum gemm_room { GEMM_ROOM_A, GEMM_ROOM_B, GEMM_ROOMS };

struct gemm_memory {
	size_t bytes;
	uint8_t *memory;		/* aligned to 64 bytes */
};

/* All that panels of B depend on, version 0: there are none. */
struct gemm_packed_b {
	uint64_t version;
	const struct gemm_kernel *kernel;
	struct quire_gemm_operand b;
	uint32_t n, k;
};

struct quire_gemm_workspace {
	_Atomic bool busy;		/* the rest belongs to one job at a time */
	struct gemm_memory room[GEMM_ROOMS];
	struct gemm_packed_b packed;	/* at the start of room B */
	uint64_t packed_bytes;		/* of both operands, of the last job's last block */
};

/*
 * The workspace of a job, from the caller or shared.  -EBUSY: another job uses it; -ENOMEM.  It
 * is the job's own until it gives it back.
 */
int gemm_workspace_take(const struct quire_gemm *gemm, struct quire_gemm_workspace **workspace);
void gemm_workspace_keep(const struct quire_gemm *gemm, struct quire_gemm_workspace *workspace);
/*
 * Has it the panels of this job's B?  Either way it forgets them, until a job that has used or
 * packed all of B in panels of one part says so.
 */
bool gemm_workspace_use_b(struct quire_gemm_workspace *workspace, const struct quire_gemm *gemm,
			  const struct gemm_kernel *kernel);
void gemm_workspace_has_b(struct quire_gemm_workspace *workspace, const struct quire_gemm *gemm,
			  const struct gemm_kernel *kernel);
/* At least bytes, a multiple of 64; what was there stays only when that fits.  NULL: no memory. */
uint8_t *gemm_workspace_room(struct quire_gemm_workspace *workspace, enum gemm_room which,
			     size_t bytes);

int gemm_run_fp32(const struct quire_gemm *gemm, const struct gemm_kernel *kernel,
		  struct gemm_tally *tally);

static inline bool gemm_cancelled(const struct quire_gemm *gemm)
{
	return gemm->cancel && __atomic_load_n(gemm->cancel, __ATOMIC_RELAXED);
}

#endif /* QUIRE_GEMM_INTERNAL_H */
