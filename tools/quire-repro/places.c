// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repro.h"

int place_open(struct place *place, const char *name)
{
	struct quire_device_info info = { .size = sizeof(info) };
	bool cpu = !strcmp(name, "cpu");
	int error;

	memset(place, 0, sizeof(*place));
	setenv("QUIRE_BACKEND", cpu ? "cpu" : "card", 1);
	error = quire_open(cpu ? NULL : name, &place->device);
	if (error)
		return error;
	error = quire_device_get_info(place->device, &info);
	error = error ? error : quire_context_create(place->device, 0, &place->context);
	if (error) {
		quire_device_unref(place->device);
		return error;
	}
	place->engines = info.engines;
	snprintf(place->name, sizeof(place->name), "%s%.30s", cpu ? "" : "card ", name);
	return 0;
}

void place_close(struct place *place)
{
	quire_context_unref(place->context);
	quire_device_unref(place->device);
}

/* Both operands in another order of k. */
static int put_permuted(struct place *place, const struct workload *w)
{
	float *a = malloc((size_t)w->m * w->k * sizeof(*a));
	float *b = malloc((size_t)w->k * w->n * sizeof(*b));
	int error = a && b ? 0 : -ENOMEM;

	for (uint32_t k = 0; !error && k < w->k; k++) {
		size_t from = w->permutation[k];

		for (size_t i = 0; i < w->m; i++)
			a[i * w->k + k] = w->a[i * w->k + from];
		memcpy(b + (size_t)k * w->n, w->b + from * w->n, w->n * sizeof(*b));
	}
	error = error ? error : quire_matrix_put_f32(&place->permuted_a, a, w->k);
	error = error ? error : quire_matrix_put_f32(&place->permuted_b, b, w->n);
	free(a);
	free(b);
	return error;
}

int place_fill(struct place *place, const struct workload *w, uint32_t format, uint32_t result)
{
	quire_context *context = place->context;
	int error = quire_matrix_alloc(context, format, w->m, w->k, &place->a);

	error = error ? error : quire_matrix_alloc(context, format, w->k, w->n, &place->b);
	error = error ? error : quire_matrix_alloc(context, format, w->m, w->k, &place->permuted_a);
	error = error ? error : quire_matrix_alloc(context, format, w->k, w->n, &place->permuted_b);
	error = error ? error : quire_matrix_alloc(context, result, w->m, w->n, &place->d);
	error = error ? error :
		quire_matrix_alloc(context, QUIRE_FORMAT_QUIRE, w->m, w->n, &place->image);
	error = error ? error : quire_matrix_put_f32(&place->a, w->a, w->k);
	error = error ? error : quire_matrix_put_f32(&place->b, w->b, w->n);
	return error ? error : put_permuted(place, w);
}

void place_empty(struct place *place)
{
	struct quire_matrix *all[] = { &place->a,	   &place->b, &place->permuted_a,
				       &place->permuted_b, &place->d, &place->image };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		quire_matrix_free(all[i]);
		memset(all[i], 0, sizeof(*all[i]));
	}
}
