/* SPDX-License-Identifier: MIT */
/* A precision map as pmap.c and pmap_json.c know it. */
#ifndef QUIRE_PMAP_H
#define QUIRE_PMAP_H

#include "internal.h"

struct quire_pmap {
	atomic_uint references;
	struct quire_pmap_info info;
	struct quire_tile_choice choices[]; /* row-major over the grid */
};

#endif /* QUIRE_PMAP_H */
