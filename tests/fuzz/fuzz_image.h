/* SPDX-License-Identifier: MIT */
/* Images of tiled matrices, made from any bytes. */
#ifndef QUIRE_TESTS_FUZZ_IMAGE_H
#define QUIRE_TESTS_FUZZ_IMAGE_H

#include <quirenum/tile.h>

#include "fuzz_input.h"

#define IMAGE_SIDE 320u		/* rows and columns are at most so many */

struct image {
	struct quire_tiled view;
	uint8_t *data;		/* exactly bytes: one too far is seen */
	uint64_t bytes;
};

/* A valid image: packed from numbers, or of any patterns, guards and checksums then being wrong. */
struct image take_image(struct input *in, uint32_t rows, uint32_t columns);
void drop_image(struct image *image);

/*
 * One thing wrong with a copy of it: quire_tiled_open() must name it.  Many things: it must
 * refuse the image or give a view of which everything can be decoded.
 */
void break_image(struct input *in, const struct image *image);

#endif /* QUIRE_TESTS_FUZZ_IMAGE_H */
