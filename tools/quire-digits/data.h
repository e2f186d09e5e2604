/* SPDX-License-Identifier: MIT */
/* The UCI handwritten digits: 1797 images of 8 x 8 pixels, 0 to 16, and their labels. */
#ifndef QUIRE_DIGITS_DATA_H
#define QUIRE_DIGITS_DATA_H

#include <stdint.h>

#define PIXELS 64
#define CLASSES 10
#define IMAGES 1797
#define TRAIN 1297
#define TEST (IMAGES - TRAIN)

struct digits {
	float pixel[IMAGES][PIXELS];	/* 0 to 1 */
	uint8_t label[IMAGES];
};

/*
 * Read digits.csv.gz and put the images into an order that depends on seed alone: the
 * first TRAIN are for training.  0, or -1 with a message on standard error.
 */
int digits_load(const char *path, uint64_t seed, struct digits *digits);

#endif
