// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <portable_math.h>

#include "train.h"

#define BATCH 32
#define MOMENTUM 0.9
#define RATE 0.1

const uint32_t network_width[NETWORK_LAYERS + 1] = { PIXELS, 128, 64, CLASSES };

/* What one step needs beside the weights. */
struct step {
	struct trained velocity;
	double out[NETWORK_LAYERS + 1][BATCH * NETWORK_WIDEST];
	double gradient[NETWORK_LAYERS + 1][BATCH * NETWORK_WIDEST];
};

void network_layer(const struct trained *network, uint32_t layer, const double *in, uint32_t count,
		   double *out)
{
	uint32_t inputs = network_width[layer], outputs = network_width[layer + 1];

	for (uint32_t i = 0; i < count; i++, in += inputs, out += outputs) {
		memcpy(out, network->bias[layer], outputs * sizeof(*out));
		for (uint32_t k = 0; k < inputs; k++) {
			const double *weight = network->weight[layer] + (size_t)k * outputs;
			double x = in[k];

			/* Half of all pixels and outputs are 0. */
			for (uint32_t j = 0; x != 0 && j < outputs; j++)
				out[j] += x * weight[j];
		}
		for (uint32_t j = 0; layer + 1 < NETWORK_LAYERS && j < outputs; j++)
			out[j] = out[j] > 0 ? out[j] : 0;
	}
}

/* gradient of the logits = softmax - label */
static void loss_gradient(const double *logits, uint8_t label, double *gradient)
{
	double sum = 0, most = logits[0];

	for (int c = 1; c < CLASSES; c++)
		most = logits[c] > most ? logits[c] : most;
	for (int c = 0; c < CLASSES; c++)
		sum += gradient[c] = portable_exp(logits[c] - most);
	for (int c = 0; c < CLASSES; c++)
		gradient[c] = gradient[c] / sum - (c == label);
}

/* Add a layer's gradients to its velocity and pass them down. */
static void backward(const struct trained *network, struct step *step, uint32_t layer)
{
	uint32_t inputs = network_width[layer], outputs = network_width[layer + 1];

	for (uint32_t i = 0; i < BATCH; i++) {
		const double *in = step->out[layer] + (size_t)i * inputs;
		const double *gradient = step->gradient[layer + 1] + (size_t)i * outputs;
		double *below = step->gradient[layer] + (size_t)i * inputs;

		for (uint32_t j = 0; j < outputs; j++)
			step->velocity.bias[layer][j] += gradient[j];
		for (uint32_t k = 0; k < inputs; k++) {
			const double *weight = network->weight[layer] + (size_t)k * outputs;
			double *velocity = step->velocity.weight[layer] + (size_t)k * outputs;
			double sum = 0;

			below[k] = 0;
			if (in[k] == 0)
				continue; /* relu passes nothing, and pixels need nothing */
			for (uint32_t j = 0; j < outputs; j++) {
				velocity[j] += in[k] * gradient[j];
				sum += gradient[j] * weight[j];
			}
			below[k] = sum;
		}
	}
}

static void scale(double *values, size_t count, double factor)
{
	for (size_t i = 0; i < count; i++)
		values[i] *= factor;
}

static void train_batch(struct trained *network, struct step *step, const struct digits *digits,
			const uint32_t *images, double rate)
{
	for (uint32_t i = 0; i < BATCH; i++)
		for (uint32_t p = 0; p < PIXELS; p++)
			step->out[0][i * PIXELS + p] = digits->pixel[images[i]][p];
	for (uint32_t l = 0; l < NETWORK_LAYERS; l++)
		network_layer(network, l, step->out[l], BATCH, step->out[l + 1]);
	for (uint32_t i = 0; i < BATCH; i++)
		loss_gradient(step->out[NETWORK_LAYERS] + i * CLASSES, digits->label[images[i]],
			      step->gradient[NETWORK_LAYERS] + i * CLASSES);
	for (uint32_t l = NETWORK_LAYERS; l-- > 0;) {
		size_t weights = (size_t)network_width[l] * network_width[l + 1];

		scale(step->velocity.weight[l], weights, MOMENTUM);
		scale(step->velocity.bias[l], network_width[l + 1], MOMENTUM);
		backward(network, step, l);
	}
	for (uint32_t l = 0; l < NETWORK_LAYERS; l++) {
		for (size_t i = 0; i < (size_t)network_width[l] * network_width[l + 1]; i++)
			network->weight[l][i] -= rate / BATCH * step->velocity.weight[l][i];
		for (size_t i = 0; i < network_width[l + 1]; i++)
			network->bias[l][i] -= rate / BATCH * step->velocity.bias[l][i];
	}
}

/* Uniform in +-sqrt(6 / inputs), the usual start for relu layers. */
static void start_network(struct trained *network, uint64_t *random)
{
	memset(network, 0, sizeof(*network));
	for (uint32_t l = 0; l < NETWORK_LAYERS; l++) {
		double range = sqrt(6.0 / network_width[l]);

		for (size_t i = 0; i < (size_t)network_width[l] * network_width[l + 1]; i++)
			network->weight[l][i] = (2 * random_unit(random) - 1) * range;
	}
}

void train_network(const struct digits *digits, uint64_t seed, uint32_t epochs,
		   struct trained *network)
{
	static struct step step;
	static uint32_t order[TRAIN];
	uint32_t steps = TRAIN / BATCH, all = epochs * steps, done = 0;

	memset(&step, 0, sizeof(step));
	start_network(network, &seed);
	for (uint32_t i = 0; i < TRAIN; i++)
		order[i] = i;
	for (uint32_t epoch = 0; epoch < epochs; epoch++) {
		shuffle(order, TRAIN, &seed);
		for (uint32_t s = 0; s < steps; s++, done++)
			train_batch(network, &step, digits, order + s * BATCH,
				    RATE * (all - done) / all);
	}
}
