// SPDX-License-Identifier: MIT
/*
 * Memory of packed panels, and in which ways they are packed.  Words of a panel lie apart from
 * residues: most products need one of them only, and pages that are never touched take no
 * memory.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_direct.h"

static size_t round_up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static size_t words_bytes(uint32_t lanes, uint32_t kc)
{
	return round_up((size_t)lanes * kc * 8);
}

static size_t rests_bytes(uint32_t lanes)
{
	return lanes * GEMM_RESTS_MAX * sizeof(struct gemm_rest);
}

static size_t cut_bytes(const struct gemm_kernel *kernel, uint32_t lanes)
{
	return kernel->moduli ? round_up(sizeof(struct gemm_cut) + rests_bytes(lanes)) : 0;
}

static size_t residues_bytes(const struct gemm_kernel *kernel, uint32_t lanes, uint32_t kc)
{
	return round_up(gemm_plane_bytes(kernel, lanes, kc) * kernel->residue_moduli);
}

/* Of count panels with room for one part of words each. */
size_t gemm_panels_bytes(const struct gemm_kernel *kernel, uint32_t count, uint32_t lanes,
			 uint32_t kc)
{
	return round_up(count * sizeof(struct gemm_panel)) +
	       count * (words_bytes(lanes, kc) + residues_bytes(kernel, lanes, kc) +
			cut_bytes(kernel, lanes));
}

struct gemm_panel *gemm_panels_place(const struct gemm_kernel *kernel, uint32_t count,
				     uint32_t lanes, uint32_t kc, uint8_t **memory)
{
	struct gemm_panel *panels = (struct gemm_panel *)(void *)*memory;
	const size_t words = words_bytes(lanes, kc);
	const size_t residues = residues_bytes(kernel, lanes, kc);
	uint8_t *at = *memory + round_up(count * sizeof(*panels));

	memset(panels, 0, count * sizeof(*panels));
	for (uint32_t i = 0; i < count; i++, at += residues)
		panels[i].residues = at;
	for (uint32_t i = 0; i < count; i++, at += words)
		panels[i].part[0] = (uint64_t *)(void *)at;
	for (uint32_t i = 0; i < count; i++, at += cut_bytes(kernel, lanes))
		panels[i].cut = (struct gemm_cut *)(void *)at;
	*memory = at;
	return panels;
}

void gemm_panels_free_extras(struct gemm_panel *panels, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		free(panels[i].extra);
		panels[i].extra = NULL;
		free(panels[i].whole);
		panels[i].whole = NULL;
		panels[i].whole_room = panels[i].whole_moduli = 0;
	}
}

bool gemm_panels_can_stay(const struct gemm_panel *panels, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (panels[i].parts != 1 || panels[i].lost)
			return false;
	return true;
}

uint64_t gemm_panels_packed_bytes(const struct gemm_panel *panels, uint32_t count)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct gemm_panel *panel = &panels[i];
		uint32_t element = panel->moduli + panel->whole_moduli +
				   (panel->words ? 8 * panel->parts : 0);

		if (!panel->lost)
			bytes += (uint64_t)panel->used * panel->kc * element;
	}
	return bytes;
}

size_t gemm_scratch_bytes(const struct gemm_kernel *kernel, uint32_t kc)
{
	const uint32_t lanes = kernel->mr > kernel->nr ? kernel->mr : kernel->nr;

	return words_bytes(lanes, (kc + 63) / 64 * 64) + gemm_codes_bytes(kc) * lanes +
	       rests_bytes(lanes);
}

/* The weights of some panels' whole integers, of the lightest and the heaviest. */
struct whole_range {
	double least, most;
};

/* Of an operand's panels. */
struct side {
	double heaviest;		/* weight of those of one part */
	bool parts;			/* there are some of more */
	struct whole_range of_parts, of_all;
};

static void widen(struct whole_range *range, double weight)
{
	range->least = weight < range->least ? weight : range->least;
	range->most = weight > range->most ? weight : range->most;
}

static struct side side_of(const struct gemm_panel *panels, uint32_t count)
{
	struct side side = { .of_parts = { INFINITY, 0 }, .of_all = { INFINITY, 0 } };

	for (uint32_t i = 0; i < count; i++) {
		const double whole = gemm_whole_weight(&panels[i]);

		widen(&side.of_all, whole);
		if (panels[i].parts > 1) {
			side.parts = true;
			widen(&side.of_parts, whole);
		} else if (panels[i].weight > side.heaviest) {
			side.heaviest = panels[i].weight;
		}
	}
	return side;
}

/*
 * Planes of a panel's whole integers, for all of the other panels that it meets so; as many as there
 * are when only some of them are light enough, and words for the others then.
 */
static uint32_t plan_whole(const struct gemm_kernel *kernel, const struct gemm_panel *panel,
			   const struct side *other, bool *words)
{
	const struct whole_range *range = panel->parts == 1 ? &other->of_parts : &other->of_all;
	const double weight = gemm_whole_weight(panel);
	const uint32_t moduli = kernel->whole_moduli(weight * range->most);

	*words = !moduli;
	if (moduli)
		return moduli;
	return kernel->whole_moduli(weight * range->least) ? GEMM_WHOLE_MODULI : 0;
}

/* The other operand's panels. */
struct partners {
	const struct gemm_panel *panels;
	uint32_t count;
	bool are_a;
};

/* Are all its sums taken without its integers? */
static bool is_direct(const struct gemm_kernel *kernel, const struct gemm_panel *panel,
		      const struct partners *partners)
{
	for (uint32_t i = 0; i < partners->count; i++) {
		const struct gemm_panel *other = &partners->panels[i];

		if (!gemm_direct_pays(kernel, partners->are_a ? other : panel,
				      partners->are_a ? panel : other))
			return false;
	}
	return true;
}

/*
 * The need of a tile grows with both weights: planes enough for the heaviest of the other
 * panels are enough for all.
 */
static void plan(const struct gemm_kernel *kernel, struct gemm_panel *panels, uint32_t count,
		 const struct side *other, const struct partners *partners, bool tiled)
{
	for (uint32_t i = 0; i < count; i++) {
		struct gemm_panel *panel = &panels[i];
		uint32_t moduli = 0, whole = 0;
		bool words = true;

		panel->stale = false;
		if (!tiled && is_direct(kernel, panel, partners))
			continue;
		if (kernel->moduli && panel->parts == 1) {
			moduli = kernel->moduli(panel->weight * other->heaviest);
			words = other->parts;
		}
		if (words && kernel->whole_moduli && !tiled)
			whole = plan_whole(kernel, panel, other, &words);
		panel->stale = moduli > panel->moduli || whole > panel->whole_moduli ||
			       (words && !panel->words);
		if (panel->stale) {
			panel->moduli = moduli > panel->moduli ? moduli : panel->moduli;
			panel->whole_moduli = whole > panel->whole_moduli ? whole : panel->whole_moduli;
			panel->words |= words;
		}
	}
}

void gemm_panels_plan(const struct gemm_kernel *kernel, struct gemm_panel *a, uint32_t a_count,
		      struct gemm_panel *b, uint32_t b_count, bool tiled)
{
	const struct side of_a = side_of(a, a_count), of_b = side_of(b, b_count);
	const struct partners all_a = { a, a_count, true }, all_b = { b, b_count, false };

	plan(kernel, a, a_count, &of_b, &all_b, tiled);
	plan(kernel, b, b_count, &of_a, &all_a, tiled);
}

/* The heaviest lane of any panel. */
static double heaviest(const struct gemm_panel *panels, uint32_t count, uint32_t lanes, bool cut)
{
	double most = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct gemm_units *units = cut ? &panels[i].cut->units : &panels[i].cut->whole;

		for (uint32_t l = 0; l < lanes; l++)
			most = units->weights[l] > most ? units->weights[l] : most;
	}
	return most;
}

static void take_units(struct gemm_panel *panel, uint32_t lanes, bool cut)
{
	if (panel->is_cut == cut)
		return;
	panel->is_cut = cut;
	panel->units = cut ? panel->cut->units : panel->cut->whole;
	panel->weight = 0;
	panel->width = 0;
	panel->moduli = panel->whole_moduli = 0;
	panel->words = false;
	for (uint32_t l = 0; l < lanes; l++) {
		if (panel->units.weights[l] > panel->weight)
			panel->weight = panel->units.weights[l];
		if (panel->units.widths[l] > panel->width)
			panel->width = panel->units.widths[l];
	}
}

static bool can_cut(const struct gemm_panel *panels, uint32_t count, uint32_t precision)
{
	for (uint32_t i = 0; i < count; i++)
		if (panels[i].parts != 1 || panels[i].precision != precision)
			return false;
	return true;
}

/* Are those panels that were weighed for this precision better cut? */
static bool cut_saves(const struct gemm_kernel *kernel, const struct gemm_panel *a, uint32_t a_count,
		      const struct gemm_panel *b, uint32_t b_count, uint32_t precision)
{
	if (!precision || !can_cut(a, a_count, precision) || !can_cut(b, b_count, precision))
		return false;
	return kernel->moduli(heaviest(a, a_count, kernel->mr, true) *
			      heaviest(b, b_count, kernel->nr, true)) <
	       kernel->moduli(heaviest(a, a_count, kernel->mr, false) *
			      heaviest(b, b_count, kernel->nr, false));
}

void gemm_panels_cut(const struct gemm_kernel *kernel, struct gemm_panel *a, uint32_t a_count,
		     struct gemm_panel *b, uint32_t b_count, uint32_t precision)
{
	const bool cut = cut_saves(kernel, a, a_count, b, b_count, precision);

	for (uint32_t i = 0; i < a_count; i++)
		take_units(&a[i], kernel->mr, cut);
	for (uint32_t i = 0; i < b_count; i++)
		take_units(&b[i], kernel->nr, cut);
}

void gemm_panel_plan(const struct gemm_kernel *kernel, const struct gemm_panel *a, uint32_t a_count,
		     struct gemm_panel *b, uint32_t precision, bool tiled)
{
	const bool cut = cut_saves(kernel, a, a_count, b, 1, precision);
	const struct partners all_a = { a, a_count, true };
	struct side of_a = side_of(a, a_count);

	take_units(b, kernel->nr, cut);
	if (cut)
		of_a.heaviest = heaviest(a, a_count, kernel->mr, true);
	plan(kernel, b, 1, &of_a, &all_a, tiled);
}

#define WEIGHT_CLASSES 512

/*
 * Weights in classes, four for each power of two.  The squares of 4096 integers of
 * at most 50 bits sum to at most 2^112.
 */
static uint32_t weight_class(double weight)
{
	uint64_t bits;

	memcpy(&bits, &weight, sizeof(bits));
	bits >>= 50;
	if (bits < 1023 * 4)
		return 0;
	return bits - 1023 * 4 < WEIGHT_CLASSES ? (uint32_t)(bits - 1023 * 4) : WEIGHT_CLASSES - 1;
}

static struct gemm_lane get_lane(const struct gemm_panel *panel, uint32_t l)
{
	struct gemm_lane lane = {
		.weight = panel->units.weights[l],
		.lane = panel->lane[l],
		.exponent = panel->units.exponent[l],
		.special = panel->special[l],
		.width = panel->units.widths[l],
	};

	if (panel->is_cut) {
		lane.whole = panel->cut->whole.exponent[l];
		lane.most = panel->cut->most[l];
		lane.lost = panel->cut->lost[l];
		lane.rests = panel->cut->rests[l];
		lane.count = panel->cut->count[l];
	}
	return lane;
}

static void put_lane(struct gemm_panel *panel, uint32_t l, const struct gemm_lane *lane)
{
	panel->lane[l] = lane->lane;
	panel->special[l] = lane->special;
	panel->units.exponent[l] = lane->exponent;
	panel->units.widths[l] = lane->width;
	panel->units.weights[l] = lane->weight;
	if (panel->is_cut) {
		panel->cut->whole.exponent[l] = lane->whole;
		panel->cut->most[l] = lane->most;
		panel->cut->lost[l] = lane->lost;
		panel->cut->rests[l] = lane->rests;
		panel->cut->count[l] = lane->count;
	}
	panel->width = lane->width > panel->width ? lane->width : panel->width;
	panel->weight = lane->weight > panel->weight ? lane->weight : panel->weight;
}

/*
 * A tile takes the moduli that its heaviest lanes ask for: so the heavy ones are put
 * together.
 */
void gemm_panels_sort(struct gemm_panel *panels, uint32_t count, uint32_t lanes,
		      struct gemm_lane *room)
{
	uint32_t start[WEIGHT_CLASSES] = { 0 }, total = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct gemm_panel *panel = &panels[i];

		for (uint32_t l = 0; l < panel->used; l++) {
			room[i * lanes + l] = get_lane(panel, l);
			start[weight_class(panel->units.weights[l])]++;
		}
		total += panel->used;
		panel->weight = 0;
		panel->width = 0;
	}
	for (uint32_t c = WEIGHT_CLASSES, before = 0; c-- > 0;) {
		before += start[c];
		start[c] = before - start[c];
	}
	for (uint32_t i = 0; i < total; i++) {
		uint32_t to = start[weight_class(room[i].weight)]++;

		put_lane(&panels[to / lanes], to % lanes, &room[i]);
	}
}
