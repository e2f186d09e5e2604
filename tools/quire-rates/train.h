/* SPDX-License-Identifier: MIT */
/* The digit classifier 64-128-64-10, trained in FP64 on the host. */
#ifndef QUIRE_RATES_TRAIN_H
#define QUIRE_RATES_TRAIN_H

#include <stdint.h>

#include "../quire-digits/data.h"

#define NETWORK_LAYERS 3
#define NETWORK_WIDEST 128
#define NETWORK_WEIGHTS (64 * 128 + 128 * 64 + 64 * 10)

extern const uint32_t network_width[NETWORK_LAYERS + 1];

/* Row-major, inputs x outputs. */
struct trained {
	double weight[NETWORK_LAYERS][128 * NETWORK_WIDEST];
	double bias[NETWORK_LAYERS][NETWORK_WIDEST];
};

/*
 * Stochastic gradient descent with momentum 0.9, batches of 32, the rate falling from
 * 0.1 to 0.  Made of IEEE operations in a fixed order: the same weights on every host.
 */
void train_network(const struct digits *digits, uint64_t seed, uint32_t epochs,
		   struct trained *network);

/*
 * Outputs of a layer for count inputs, in FP64: relu but for the last one.  in has the
 * layer's inputs, out its outputs for each.
 */
void network_layer(const struct trained *network, uint32_t layer, const double *in, uint32_t count,
		   double *out);

#endif
