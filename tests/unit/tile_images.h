/* SPDX-License-Identifier: MIT */
/*
 * What tests of tiled matrices share: images of known numbers, and an oracle of its own.  Posit
 * values are put together bit by bit as doubles, which hold every one of up to 33 bits exactly;
 * rounding is a search over them with the standard's decision point; the image is read bit by
 * bit as quire/tiled.h lays it out.
 */
#ifndef QUIRE_TESTS_TILE_IMAGES_H
#define QUIRE_TESTS_TILE_IMAGES_H

#include <stdbool.h>
#include <stdint.h>

#include <quirenum/gemm.h>
#include <quirenum/tile.h>

#define SHAPES 4
extern const uint32_t shapes[SHAPES][2];	/* of tiles */

/* Pseudo-random, the same on every run. */
uint64_t rnd(void);
/* A number whose exponent is anywhere within +-spread. */
double number(int spread);

/* Value of an n-bit pattern; n up to 33. */
double posit_value(uint64_t pattern, uint32_t n);
uint64_t posit_round(double x, uint32_t n);

uint64_t read_bits(const uint8_t *data, uint64_t position, uint32_t n);
/* Pattern of an element of an image, by the header's text alone. */
uint64_t pattern_at(const void *image, uint32_t row, uint32_t column);

struct image {
	struct quire_tiled_shape shape;
	struct quire_tile_choice *choices;
	uint64_t bytes;
	uint8_t *data;
};

/* x has the shape's rows, ld apart. */
struct image make(struct quire_tiled_shape shape, const double *x, uint32_t ld,
		  struct quire_tile_choice (*choose)(uint64_t tile),
		  struct quire_threads *threads);
void drop(struct image *im);

/* All tiles alike, or of many widths and empty ones. */
extern uint32_t fixed_bits;
extern int32_t fixed_scale;
struct quire_tile_choice choose_fixed(uint64_t tile);
struct quire_tile_choice choose_mixed(uint64_t tile);

/* The best kernel where the CPU lacks this one. */
void select_kernel(const char *name);

#endif /* QUIRE_TESTS_TILE_IMAGES_H */
