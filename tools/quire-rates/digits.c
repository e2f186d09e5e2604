// SPDX-License-Identifier: MIT
/*
 * Networks that were trained in FP64 answer the test images in every way.  Weights
 * and what layers pass on are in the format, biases in FP32, logits come out rounded
 * once to FP64.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../progress.h"
#include "../rows.h"
#include "rates.h"
#include "train.h"

#define EPOCHS 30
#define DATA_SEED 7
#define CALIBRATION_IMAGES 256
#define TILE 16

/* struct subject - a trained network and what it says in FP64 */
struct subject {
	const struct digits *digits;
	struct trained network;
	float bias[NETWORK_LAYERS][NETWORK_WIDEST];
	float scale[NETWORK_LAYERS];	/* of INT8 outputs, from training images */
	double pixels[TEST * PIXELS];
	double logits[TEST * CLASSES];
	uint8_t answer[TEST];
};

/* struct score - of one rate, summed over the seeds; @answer_pj: of one image alone */
struct score {
	double bits, error, accuracy, flips, bytes, answer_pj;
	bool repeatable;
	struct work work;
};

static uint8_t largest(const double *logits)
{
	uint8_t best = 0;

	for (uint8_t c = 1; c < CLASSES; c++)
		if (logits[c] > logits[best])
			best = c;
	return best;
}

/* Largest output of each layer over some training images, for INT8. */
static void calibrate(struct subject *s)
{
	static double in[CALIBRATION_IMAGES * NETWORK_WIDEST], out[CALIBRATION_IMAGES * NETWORK_WIDEST];

	for (size_t i = 0; i < CALIBRATION_IMAGES; i++)
		for (size_t p = 0; p < PIXELS; p++)
			in[i * PIXELS + p] = s->digits->pixel[i][p];
	for (uint32_t l = 0; l < NETWORK_LAYERS; l++) {
		double most = 0;

		network_layer(&s->network, l, in, CALIBRATION_IMAGES, out);
		for (size_t i = 0; i < (size_t)CALIBRATION_IMAGES * network_width[l + 1]; i++)
			most = fabs(out[i]) > most ? fabs(out[i]) : most;
		s->scale[l] = most > 0 ? (float)(most / 127) : 1;
		memcpy(in, out, sizeof(in));
	}
}

static void create_subject(struct subject *s, const struct digits *digits, uint64_t seed)
{
	static double in[TEST * NETWORK_WIDEST], out[TEST * NETWORK_WIDEST];

	s->digits = digits;
	train_network(digits, seed, EPOCHS, &s->network);
	for (size_t i = 0; i < TEST; i++)
		for (size_t p = 0; p < PIXELS; p++)
			s->pixels[i * PIXELS + p] = digits->pixel[TRAIN + i][p];
	memcpy(in, s->pixels, sizeof(s->pixels));
	for (uint32_t l = 0; l < NETWORK_LAYERS; l++) {
		for (uint32_t j = 0; j < network_width[l + 1]; j++)
			s->bias[l][j] = (float)s->network.bias[l][j];
		network_layer(&s->network, l, in, TEST, out);
		memcpy(in, out, sizeof(in));
	}
	memcpy(s->logits, out, sizeof(s->logits));
	for (uint32_t i = 0; i < TEST; i++)
		s->answer[i] = largest(s->logits + i * CLASSES);
	calibrate(s);
}

/* struct inference - the first images of the test set through all layers */
struct inference {
	const struct subject *subject;
	const struct rate *rate;
	uint32_t images;
	bool other_way;
	double *out;		/* with room for the widest layer */
};

/* Adds to what the weights take, and to *work; both may be NULL. */
static int infer(quire_context *context, const struct inference *run, struct score *score,
		 struct work *work)
{
	const struct subject *s = run->subject;
	struct tensor in, weight;
	int error = tensor_round(context, &in, run->rate, ROUND_AS_INPUT, s->pixels, run->images,
				 PIXELS, 0);

	for (uint32_t l = 0; !error && l < NETWORK_LAYERS; l++) {
		uint32_t rows = network_width[l], columns = network_width[l + 1];
		bool last = l + 1 == NETWORK_LAYERS;
		struct product product = { .rate = run->rate, .a = &in, .b = &weight,
					   .bias = s->bias[l], .relu = !last, .keep = !last,
					   .out_scale = s->scale[l], .other_way = run->other_way,
					   .out = run->out };

		error = tensor_round(context, &weight, run->rate, ROUND_AS_STORED,
				     s->network.weight[l], rows, columns, 0);
		error = error ? error : product_run(context, &product, work);
		if (!error && score) {
			score->bits += weight.bits * rows * columns / NETWORK_WEIGHTS;
			score->bytes += (double)weight.bytes;
		}
		tensor_free(&in);
		tensor_free(&weight);
		if (!error && !last)
			error = tensor_round(context, &in, run->rate, ROUND_AS_INPUT, run->out,
					     run->images, columns, s->scale[l]);
	}
	tensor_free(&in);
	return error;
}

static int score_rate(quire_context *context, const struct subject *s, const struct rate *rate,
		      struct score *score)
{
	static double logits[TEST * NETWORK_WIDEST], again[TEST * NETWORK_WIDEST];
	struct inference run = { .subject = s, .rate = rate, .images = TEST, .out = logits };
	double difference = 0, norm = 0;
	struct work one = { 0 };
	int error = infer(context, &run, score, &score->work);

	run.out = again;
	run.other_way = true;
	error = error ? error : infer(context, &run, NULL, NULL);
	if (error)
		return error;
	score->repeatable &= !memcmp(logits, again, TEST * CLASSES * sizeof(*logits));
	for (uint32_t i = 0; i < TEST * CLASSES; i++) {
		difference += (logits[i] - s->logits[i]) * (logits[i] - s->logits[i]);
		norm += s->logits[i] * s->logits[i];
	}
	score->error += sqrt(difference / norm);
	for (uint32_t i = 0; i < TEST; i++) {
		uint8_t answer = largest(logits + i * CLASSES);

		score->accuracy += (answer == s->digits->label[TRAIN + i]) / (double)TEST;
		score->flips += (answer != s->answer[i]) / (double)TEST;
	}
	run.other_way = false;
	run.images = 1;
	error = infer(context, &run, NULL, &one);
	score->answer_pj += one.pj;
	return error;
}

static void add_row(json_object *rows, const struct rate *rate, const struct score *sum,
		    uint32_t seeds)
{
	json_object *row = json_object_new_object();

	row_put_string(row, "mode", rate->name);
	row_put_number(row, "bits_per_weight", sum->bits / seeds);
	row_put_number(row, "logit_error", sum->error / seeds);
	row_put_number(row, "accuracy", sum->accuracy / seeds);
	row_put_number(row, "label_flips", sum->flips / seeds);
	row_put_string(row, "repeatable", sum->repeatable ? "yes" : "no");
	row_put_number(row, "modelled_nj_per_answer", sum->answer_pj / seeds / 1000);
	row_put_integer(row, "weight_bytes", (uint64_t)(sum->bytes / seeds));
	put_work(row, &sum->work, (double)NETWORK_WEIGHTS * TEST * seeds);
	json_object_array_add(rows, row);
}

int rate_digits(quire_context *context, const struct options *options, json_object *rows)
{
	static const double taus[] = { 0.05, 0.105, 0.15, 0.2, 0.3 };
	struct digits *digits = malloc(sizeof(*digits));
	struct subject *subject = malloc(sizeof(*subject));
	static struct score scores[MOST_RATES];
	static struct rate rates[MOST_RATES];
	uint32_t count = options->tau_count ? list_rates(rates, TILE, options->taus, options->tau_count) :
					      list_rates(rates, TILE, taus, 5);
	int error = digits && subject ? 0 : complain(-ENOMEM, "not enough memory");

	if (!error && digits_load(options->data, DATA_SEED, digits))
		error = -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		scores[i].repeatable = true;
	for (uint32_t seed = 0; !error && seed < options->seeds; seed++) {
		create_subject(subject, digits, seed + 1);
		for (uint32_t i = 0; !error && i < count; i++) {
			error = score_rate(context, subject, &rates[i], &scores[i]);
			if (options->progress)
				progress_show("digits", (seed + (i + 1.0) / count) / options->seeds);
		}
	}
	for (uint32_t i = 0; !error && i < count; i++)
		add_row(rows, &rates[i], &scores[i], options->seeds);
	free(digits);
	free(subject);
	return error;
}
