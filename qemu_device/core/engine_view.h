/* SPDX-License-Identifier: MIT */
/*
 * Matrices as engines see them: in place when their pages follow each other in memory,
 * else gathered into staging memory of bounded size.
 */
#ifndef QUIRE_ENGINE_VIEW_H
#define QUIRE_ENGINE_VIEW_H

#include "internal.h"

#define STAGING_BYTES (16u << 20)	/* of each slot */

enum { SLOT_A, SLOT_B, SLOT_D };

/* A matrix operand, or the part of it one block needs. */
struct view {
	const struct quire_operand *operand;
	uint32_t unit;			/* QUIRE_FAULT_UNIT_* */
	uint64_t batch;
	uint64_t row, rows, column, columns;	/* of the matrix as stored; column starts a block */
	bool write;
	/* filled in */
	uint8_t *data;			/* element (row, column) */
	uint64_t leading_dimension;
	struct segment segment;		/* when used in place */
	bool in_place;
	bool system;
};

/* The band's window of a matrix that is not of a batch. */
struct view view_of_band(const struct band_job *job, const struct quire_operand *o, uint32_t unit,
			 bool write);

/*
 * After view_try_in_place(): in place or small enough for a slot.  The firmware cuts its
 * bands to 2^20 elements, half of a slot; other firmware may not.
 */
bool view_fits(const struct view *view);

/* Look whether the view lies in one piece; false on a fault.  Undone by view_put(). */
bool view_try_in_place(const struct band_job *job, struct view *view);
void view_put(const struct band_job *job, struct view *view);

/* Bytes of one row of the view, and of all, put together. */
uint64_t view_row_bytes(const struct view *view);
uint64_t view_bytes(const struct view *view);

/* Give a scattered view a dense copy in a slot, with load filled from its pages. */
bool view_stage(const struct band_job *job, struct view *view, unsigned int slot, bool load);
/* Move a view between its pages and the dense copy. */
bool view_transfer(const struct band_job *job, struct view *view, bool write);

/* Account for the view's bytes: counters, energy, the band's result. */
void view_charge(const struct band_job *job, const struct view *view, bool write);

/*
 * Rough cost of reaching an operand, in multiply-accumulates, to tell short bands from
 * long; a cost as an integer.
 */
double view_work(const struct quire_operand *o, double rows);
uint64_t view_saturated(double work);

#endif /* QUIRE_ENGINE_VIEW_H */
