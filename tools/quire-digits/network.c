// SPDX-License-Identifier: MIT
/*
 * Layer l computes A_l = relu(A_(l-1) W_l + b_l), the last one without relu.  With
 * G_l the gradient of its sum, the step is
 *
 *	V_l = momentum V_l + A_(l-1)^T G_l	one GEMM, exact, rounded once
 *	W_l = W_l - rate V_l			V_l times a unit matrix
 *	G_(l-1) = (G_l W_l^T) where A_(l-1) > 0
 *
 * and the same with a row of ones instead of A for the biases.  Nothing on the
 * host depends on the order of a sum or on a library's rounding, so the digest is
 * the same on every machine.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <portable_math.h>

#include "network.h"

#define MOMENTUM 0.9f
#define TILE 16

static const uint32_t width[LAYERS + 1] = { PIXELS, 128, 64, CLASSES };

struct layer {
	struct quire_matrix weight, bias;		/* as products read them */
	struct quire_matrix master, master_bias;	/* between updates */
	struct quire_matrix velocity, velocity_bias;	/* FP32 */
	struct quire_matrix out, gradient;		/* BATCH rows */
	struct quire_matrix test_out;			/* TEST rows */
	struct quire_matrix unit;			/* width x width */
	quire_pmap *pmap;				/* of the weights, with tau */
};

struct network {
	quire_context *context;
	quire_queue *queue;
	struct number_choice choice;
	struct layer layer[LAYERS];
	struct quire_matrix image, test_image;
	struct quire_matrix pixels;			/* FP32, system memory */
	struct quire_matrix test_pixels;
	struct quire_matrix error;			/* FP32: answer minus label */
	struct quire_matrix ones;			/* 1 x BATCH */
	quire_cmdlist *forward, *test;
	quire_cmdlist *backward[LAYERS];		/* of each layer */
	quire_cmdlist *update;				/* recorded anew for each rate */
	struct totals totals;
};

/* --- Jobs --- */

static void add_result(struct totals *totals, const struct quire_packet_result *result)
{
	totals->macs += result->macs;
	totals->bytes += result->bytes_read + result->bytes_written;
	totals->modelled_pj += result->modelled_pj;
	totals->digest = totals->digest * QUIRE_DIGEST_SEQUENCE + result->digest;
}

/* Submit a list of `commands` commands, wait, and add up what they did. */
static int run(struct network *n, quire_cmdlist *list, uint32_t commands)
{
	struct quire_packet_result result;
	struct quire_fence fence;
	int error = quire_queue_submit(n->queue, &list, 1, NULL, 0, &fence);

	if (!error)
		error = quire_fence_wait(fence, QUIRE_FOREVER);
	for (uint32_t i = 0; !error && i < commands; i++) {
		error = quire_cmdlist_result(list, i, &result);
		if (!error)
			add_result(&n->totals, &result);
	}
	n->totals.jobs++;
	return error;
}

static int gemm(quire_cmdlist *list, const struct quire_matrix *a, const struct quire_matrix *b,
		const struct quire_matrix *d, uint32_t flags, const struct quire_matrix *bias)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;

	desc.a = a;
	desc.b = b;
	desc.d = d;
	desc.flags = flags;
	desc.bias = bias;
	return quire_cmdlist_gemm(list, &desc);
}

/* D = alpha op(A) B + beta D */
static int gemm_add(quire_cmdlist *list, float alpha, const struct quire_matrix *a, uint32_t flags,
		    const struct quire_matrix *b, float beta, const struct quire_matrix *d)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;

	desc.a = a;
	desc.b = b;
	desc.c = d;
	desc.d = d;
	desc.alpha = alpha;
	desc.beta = beta;
	desc.flags = flags;
	return quire_cmdlist_gemm(list, &desc);
}

/* --- Creation --- */

static int alloc(struct network *n, uint32_t format, uint32_t rows, uint32_t columns,
		 struct quire_matrix *matrix)
{
	return quire_matrix_alloc(n->context, format, rows, columns, matrix);
}

static int fill_unit(const struct quire_matrix *unit)
{
	uint32_t size = unit->rows;
	float *values = calloc((size_t)size * size, sizeof(*values));
	int error = -1;

	if (values) {
		for (uint32_t i = 0; i < size; i++)
			values[(size_t)i * size + i] = 1;
		error = quire_matrix_put_f32(unit, values, size);
	}
	free(values);
	return error;
}

/* Uniform in +-sqrt(6 / inputs), the usual start for relu layers. */
static int fill_weights(const struct layer *layer, uint64_t *random)
{
	uint32_t rows = layer->master.rows, columns = layer->master.columns;
	float *values = malloc((size_t)rows * columns * sizeof(*values));
	double range = sqrt(6.0 / rows);
	int error = -1;

	if (values) {
		for (size_t i = 0; i < (size_t)rows * columns; i++)
			values[i] = (float)((2 * random_unit(random) - 1) * range);
		error = quire_matrix_put_f32(&layer->master, values, columns);
	}
	free(values);
	return error;
}

static int create_layer(struct network *n, uint32_t l, uint64_t *random)
{
	struct layer *layer = &n->layer[l];
	uint32_t in = width[l], out = width[l + 1];
	uint32_t compute = n->choice.compute, master = n->choice.master;
	/* Logits are read by the host. */
	uint32_t result = l == LAYERS - 1 ? QUIRE_FORMAT_FP32 : compute;
	/* Weights in tiles are packed when there is advice. */
	int error = n->choice.tau > 0 ? 0 : alloc(n, compute, in, out, &layer->weight);

	error = error ? error : alloc(n, compute, 1, out, &layer->bias);
	error = error ? error : alloc(n, master, in, out, &layer->master);
	error = error ? error : alloc(n, master, 1, out, &layer->master_bias);
	error = error ? error : alloc(n, QUIRE_FORMAT_FP32, in, out, &layer->velocity);
	error = error ? error : alloc(n, QUIRE_FORMAT_FP32, 1, out, &layer->velocity_bias);
	error = error ? error : alloc(n, result, BATCH, out, &layer->out);
	error = error ? error : alloc(n, compute, BATCH, out, &layer->gradient);
	error = error ? error : alloc(n, result, TEST, out, &layer->test_out);
	error = error ? error : alloc(n, master, out, out, &layer->unit);
	error = error ? error : fill_unit(&layer->unit);
	return error ? error : fill_weights(layer, random);
}

static int record_forward(struct network *n, quire_cmdlist *list, const struct quire_matrix *pixels,
			  const struct quire_matrix *image, bool test)
{
	const struct quire_matrix *in = image;
	int error = quire_cmdlist_convert(list, image, pixels);

	for (uint32_t l = 0; error >= 0 && l < LAYERS; l++) {
		const struct layer *layer = &n->layer[l];
		const struct quire_matrix *out = test ? &layer->test_out : &layer->out;
		uint32_t relu = l < LAYERS - 1 ? QUIRE_GEMM_RELU : 0;

		error = gemm(list, in, &layer->weight, out, QUIRE_GEMM_BIAS_COLUMN | relu,
			     &layer->bias);
		in = out;
	}
	return error < 0 ? error : 0;
}

/* What layer l does when its gradient is there: velocities, and the gradient below. */
static int record_backward(struct network *n, uint32_t l)
{
	struct layer *layer = &n->layer[l];
	const struct quire_matrix *in = l ? &n->layer[l - 1].out : &n->image;
	quire_cmdlist *list = n->backward[l];
	int error = 0;

	if (l == LAYERS - 1)
		error = quire_cmdlist_convert(list, &layer->gradient, &n->error);
	if (error >= 0)
		error = gemm_add(list, 1, in, QUIRE_GEMM_TRANSPOSE_A, &layer->gradient, MOMENTUM,
				 &layer->velocity);
	if (error >= 0)
		error = gemm_add(list, 1, &n->ones, 0, &layer->gradient, MOMENTUM,
				 &layer->velocity_bias);
	if (error >= 0 && l)
		error = gemm(list, &layer->gradient, &layer->weight, &n->layer[l - 1].gradient,
			     QUIRE_GEMM_TRANSPOSE_B, NULL);
	return error < 0 ? error : 0;
}

/* W = W - rate V, and the copy that products read. */
static int record_update(struct network *n, float rate)
{
	int error = 0;

	quire_cmdlist_reset(n->update);
	for (uint32_t l = 0; error >= 0 && l < LAYERS; l++) {
		struct layer *layer = &n->layer[l];

		error = gemm_add(n->update, -rate, &layer->velocity, 0, &layer->unit, 1,
				 &layer->master);
		if (error >= 0)
			error = gemm_add(n->update, -rate, &layer->velocity_bias, 0, &layer->unit, 1,
					 &layer->master_bias);
		if (error >= 0 && !(n->choice.tau > 0))
			error = quire_cmdlist_convert(n->update, &layer->weight, &layer->master);
		if (error >= 0)
			error = quire_cmdlist_convert(n->update, &layer->bias, &layer->master_bias);
	}
	return error < 0 ? error : 0;
}

/* W = W - rate V for all layers. */
static int update(struct network *n, float rate)
{
	int error = record_update(n, rate);

	return error ? error : run(n, n->update, (n->choice.tau > 0 ? 3 : 4) * LAYERS);
}

/* What reads the weights, where they are now. */
static int record_products(struct network *n)
{
	int error;

	quire_cmdlist_reset(n->forward);
	quire_cmdlist_reset(n->test);
	error = record_forward(n, n->forward, &n->pixels, &n->image, false);
	error = error ? error : record_forward(n, n->test, &n->test_pixels, &n->test_image, true);
	for (uint32_t l = 0; !error && l < LAYERS; l++) {
		quire_cmdlist_reset(n->backward[l]);
		error = record_backward(n, l);
	}
	return error;
}

static int create_lists(struct network *n)
{
	int error = quire_cmdlist_create(n->context, 0, &n->forward);

	error = error ? error : quire_cmdlist_create(n->context, 0, &n->test);
	error = error ? error : quire_cmdlist_create(n->context, 0, &n->update);
	for (uint32_t l = 0; !error && l < LAYERS; l++)
		error = quire_cmdlist_create(n->context, 0, &n->backward[l]);
	return error || n->choice.tau > 0 ? error : record_products(n);
}

static int create_inputs(struct network *n)
{
	static const float one[BATCH] = {
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	};
	int error = alloc(n, n->choice.compute, BATCH, PIXELS, &n->image);

	error = error ? error : alloc(n, n->choice.compute, TEST, PIXELS, &n->test_image);
	error = error ? error : alloc(n, n->choice.compute, 1, BATCH, &n->ones);
	error = error ? error :
		quire_matrix_alloc_batch(n->context, QUIRE_FORMAT_FP32, BATCH, PIXELS, 1,
					 QUIRE_PLACEMENT_SYSTEM, &n->pixels);
	error = error ? error :
		quire_matrix_alloc_batch(n->context, QUIRE_FORMAT_FP32, TEST, PIXELS, 1,
					 QUIRE_PLACEMENT_SYSTEM, &n->test_pixels);
	error = error ? error :
		quire_matrix_alloc_batch(n->context, QUIRE_FORMAT_FP32, BATCH, CLASSES, 1,
					 QUIRE_PLACEMENT_SYSTEM, &n->error);
	return error ? error : quire_matrix_put_f32(&n->ones, one, BATCH);
}

struct network *network_create(quire_context *context, const struct number_choice *choice,
			       uint64_t seed)
{
	struct network *n = calloc(1, sizeof(*n));
	int error;

	if (!n)
		return NULL;
	n->context = context;
	n->choice = *choice;
	error = quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &n->queue);
	error = error ? error : create_inputs(n);
	for (uint32_t l = 0; !error && l < LAYERS; l++)
		error = create_layer(n, l, &seed);
	error = error ? error : create_lists(n);
	/* A rate of 0 changes nothing but copies the masters to where products read. */
	error = error ? error : update(n, 0);
	if (!error)
		return n;
	network_destroy(n);
	return NULL;
}

/* Buffers and lists belong to the context, which goes with the network's run. */
void network_destroy(struct network *n)
{
	for (uint32_t l = 0; n && l < LAYERS; l++)
		quire_pmap_unref(n->layer[l].pmap);
	if (n)
		quire_queue_free(n->queue);
	free(n);
}

/* --- The host's part --- */

/* error = softmax(logits) - label */
static void softmax_error(const float *logits, uint8_t label, float *error)
{
	double e[CLASSES], sum = 0;
	float most = logits[0];

	for (int c = 1; c < CLASSES; c++)
		most = logits[c] > most ? logits[c] : most;
	for (int c = 0; c < CLASSES; c++) {
		e[c] = portable_exp((double)logits[c] - (double)most);
		sum += e[c];
	}
	for (int c = 0; c < CLASSES; c++)
		error[c] = (float)(e[c] / sum - (c == label));
}

/* ReLU passes no gradient where it gave zero; zero is the pattern 0 in all formats. */
static int mask(const struct quire_matrix *out, const struct quire_matrix *gradient)
{
	size_t bytes = quire_format_bytes(out->format);
	size_t count = (size_t)out->rows * out->columns;
	void *o, *g;
	int error = quire_buffer_map(out->buffer, &o);

	error = error ? error : quire_buffer_map(gradient->buffer, &g);
	if (error)
		return error;
	for (size_t i = 0; i < count; i++) {
		if (bytes == 1 && !((uint8_t *)o)[i])
			((uint8_t *)g)[i] = 0;
		else if (bytes == 2 && !((uint16_t *)o)[i])
			((uint16_t *)g)[i] = 0;
		else if (bytes == 4 && !((uint32_t *)o)[i])
			((uint32_t *)g)[i] = 0;
	}
	return 0;
}

/* --- Weights in tiles --- */

/* The masters as floats, which hold them exactly; the caller frees them. */
static float *master_of(const struct layer *layer)
{
	float *master = malloc((size_t)layer->master.rows * layer->master.columns * sizeof(*master));

	if (master && quire_matrix_get_f32(&layer->master, master, layer->master.columns)) {
		free(master);
		return NULL;
	}
	return master;
}

/* Pack the masters as advised, and let products read them from there. */
static int store_tiles(struct network *n)
{
	int error = 0;

	for (uint32_t l = 0; !error && l < LAYERS; l++) {
		struct layer *layer = &n->layer[l];
		float *master = master_of(layer);

		quire_matrix_free(&layer->weight);
		error = master ? quire_matrix_pack_pmap_f32(n->context, layer->pmap, master,
							    layer->master.columns, &layer->weight) :
				 -ENOMEM;
		free(master);
	}
	return error ? error : record_products(n);
}

/* Advice for the master: bits chosen for weights that were rounded already would only fall. */
static int advise_layer(const struct network *n, struct layer *layer, double *bits)
{
	struct quire_pmap_info info = { .size = sizeof(info) };
	float *master = master_of(layer);
	const struct quire_advise_desc desc = {
		.size = sizeof(desc),
		.goal = QUIRE_GOAL_ERROR,
		.tau = n->choice.tau,
		.x = master,
		.format = QUIRE_FORMAT_FP32,
		.rows = layer->master.rows,
		.columns = layer->master.columns,
		.leading_dimension = layer->master.columns,
		.tile_rows = TILE,
		.tile_columns = TILE,
	};
	int error;

	quire_pmap_unref(layer->pmap);
	layer->pmap = NULL;
	error = master ? quire_advise(NULL, &desc, &layer->pmap) : -ENOMEM;
	free(master);
	error = error ? error : quire_pmap_get_info(layer->pmap, &info);
	*bits += info.bits_per_element * info.rows * info.columns;
	return error;
}

int network_advise(struct network *n, double *bits)
{
	double weights = 0;
	int error = 0;

	*bits = 0;
	for (uint32_t l = 0; !error && l < LAYERS; l++) {
		error = advise_layer(n, &n->layer[l], bits);
		weights += width[l] * width[l + 1];
	}
	*bits /= weights;
	return error ? error : store_tiles(n);
}

int network_train(struct network *n, const struct digits *digits, const uint32_t *images,
		  float rate)
{
	void *pixels, *logits, *errors;
	int error = quire_buffer_map(n->pixels.buffer, &pixels);

	error = error ? error : quire_buffer_map(n->layer[LAYERS - 1].out.buffer, &logits);
	error = error ? error : quire_buffer_map(n->error.buffer, &errors);
	if (error)
		return error;
	for (uint32_t i = 0; i < BATCH; i++)
		memcpy((float *)pixels + i * PIXELS, digits->pixel[images[i]],
		       sizeof(digits->pixel[0]));
	error = run(n, n->forward, 1 + LAYERS);
	if (error)
		return error;
	for (uint32_t i = 0; i < BATCH; i++)
		softmax_error((float *)logits + i * CLASSES, digits->label[images[i]],
			      (float *)errors + i * CLASSES);
	error = run(n, n->backward[2], 4);
	error = error ? error : mask(&n->layer[1].out, &n->layer[1].gradient);
	error = error ? error : run(n, n->backward[1], 3);
	error = error ? error : mask(&n->layer[0].out, &n->layer[0].gradient);
	error = error ? error : run(n, n->backward[0], 2);
	/* The error is that of the batch's sum; the rate is for its mean. */
	error = error ? error : update(n, rate / BATCH);
	return error || !(n->choice.tau > 0) ? error : store_tiles(n);
}

int network_test(struct network *n, const struct digits *digits, uint8_t answer[TEST])
{
	const struct quire_matrix *out = &n->layer[LAYERS - 1].test_out;
	void *pixels, *logits;
	int error = quire_buffer_map(n->test_pixels.buffer, &pixels);

	error = error ? error : quire_buffer_map(out->buffer, &logits);
	if (error)
		return error;
	memcpy(pixels, digits->pixel[TRAIN], sizeof(digits->pixel[0]) * TEST);
	error = run(n, n->test, 1 + LAYERS);
	for (uint32_t i = 0; !error && i < TEST; i++) {
		const float *row = (float *)logits + i * CLASSES;

		answer[i] = 0;
		for (uint8_t c = 1; c < CLASSES; c++)
			if (row[c] > row[answer[i]])
				answer[i] = c;
	}
	return error;
}

const struct totals *network_totals(const struct network *n)
{
	return &n->totals;
}
