/* SPDX-License-Identifier: MIT */
/*
 * A perceptron 64-128-64-10 trained on the card.  Products, momentum and the update
 * of the weights are GEMM jobs; the host does the softmax and the mask of ReLU.
 */
#ifndef QUIRE_DIGITS_NETWORK_H
#define QUIRE_DIGITS_NETWORK_H

#include <quire.h>

#include "data.h"

#define LAYERS 3
#define BATCH 32

struct number_choice {
	const char *name;
	uint32_t compute;		/* operands of products */
	uint32_t master;		/* weights between updates */
	double tau;			/* error budget of weights in tiles, 0: none */
};

/* What a run did, summed over all commands. */
struct totals {
	uint64_t jobs;
	uint64_t macs;
	uint64_t bytes;
	uint64_t modelled_pj;
	uint64_t digest;
};

struct network;

/* NULL with quire_last_error() on failure. */
struct network *network_create(quire_context *context, const struct number_choice *choice,
			       uint64_t seed);
void network_destroy(struct network *network);

/* One step on BATCH images given by number; 0 or a negative error of libquire. */
int network_train(struct network *network, const struct digits *digits, const uint32_t *images,
		  float rate);

/*
 * With tau: choose the bits of each tile anew for the weights as they are now, and
 * keep them so until the next call; *bits is the mean per weight.
 */
int network_advise(struct network *network, double *bits);

/* Answers for the TEST images. */
int network_test(struct network *network, const struct digits *digits, uint8_t answer[TEST]);

const struct totals *network_totals(const struct network *network);

#endif
