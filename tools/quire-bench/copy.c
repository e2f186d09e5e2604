// SPDX-License-Identifier: MIT
/*
 * quire-bench copy: bytes between system and card memory, moved by the card, and
 * by the CPU through its mapping of card memory.  Copies of the CPU within system
 * memory stand beside them as peer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct copy_options {
	struct bench_options common;
	const char *sizes;
};

struct copy {
	quire_context *context;
	quire_queue *queue;
	quire_buffer *system[2], *card[2];
	quire_cmdlist *list;
	uint64_t bytes;
	void *from, *to;	/* of the CPU's copy */
	char backend[8];
};

static void copy_free(struct copy *copy)
{
	quire_context_unref(copy->context);
}

static int create_buffers(struct copy *copy)
{
	int error = 0;

	for (int i = 0; i < 2 && !error; i++) {
		error = quire_buffer_create(copy->context, copy->bytes, QUIRE_PLACEMENT_SYSTEM,
					    &copy->system[i]);
		if (!error)
			error = quire_buffer_create(copy->context, copy->bytes,
						    QUIRE_PLACEMENT_CARD, &copy->card[i]);
	}
	return error;
}

static int copy_create(quire_device *device, uint64_t bytes, struct copy *copy)
{
	struct quire_device_info info = { .size = sizeof(info) };
	int error = quire_device_get_info(device, &info);

	*copy = (struct copy){ .bytes = bytes };
	memcpy(copy->backend, info.backend, sizeof(copy->backend));
	if (!error)
		error = quire_context_create(device, 0, &copy->context);
	if (error)
		return error;
	error = quire_queue_create(copy->context, QUIRE_PRIORITY_NORMAL, 0, &copy->queue);
	if (!error)
		error = create_buffers(copy);
	if (!error)
		error = quire_cmdlist_create(copy->context, 0, &copy->list);
	if (error)
		copy_free(copy);
	return error;
}

static int run_card(void *argument)
{
	struct copy *copy = argument;
	struct quire_fence fence;
	int error = quire_queue_submit(copy->queue, &copy->list, 1, NULL, 0, &fence);

	return error ? error : quire_fence_wait(fence, QUIRE_FOREVER);
}

static int run_cpu(void *argument)
{
	struct copy *copy = argument;

	memcpy(copy->to, copy->from, copy->bytes);
	return 0;
}

static void add_row(json_object *report, const struct copy *copy, const char *by,
		    const char *direction, const struct bench_statistics *statistics)
{
	json_object *row = bench_report_row(report);

	bench_put_string(row, "by", by);
	bench_put_string(row, "direction", direction);
	bench_put_integer(row, "bytes", copy->bytes);
	bench_put_statistics(row, statistics);
	bench_put_number(row, "gb_per_s", (double)copy->bytes / statistics->median * 1e-9);
}

static int measure_card(const struct copy_options *options, json_object *report,
			struct copy *copy, const char *direction, quire_buffer *to,
			quire_buffer *from)
{
	struct bench_statistics statistics;
	int error;

	quire_cmdlist_reset(copy->list);
	error = quire_cmdlist_copy(copy->list, to, 0, from, 0, copy->bytes);
	if (error >= 0)
		error = bench_measure(options->common.seconds, run_card, copy, &statistics);
	if (!error)
		add_row(report, copy, copy->backend, direction, &statistics);
	return error;
}

static int measure_cpu(const struct copy_options *options, json_object *report, struct copy *copy,
		       const char *direction, quire_buffer *to, quire_buffer *from)
{
	struct bench_statistics statistics;
	int error = quire_buffer_map(to, &copy->to);

	if (!error)
		error = quire_buffer_map(from, &copy->from);
	if (!error)
		error = bench_measure(options->common.seconds, run_cpu, copy, &statistics);
	if (!error)
		add_row(report, copy, "map", direction, &statistics);
	return error;
}

static int measure_directions(const struct copy_options *options, json_object *report,
			      struct copy *copy)
{
	int error = measure_card(options, report, copy, "system_to_card", copy->card[0],
				 copy->system[0]);

	if (!error)
		error = measure_card(options, report, copy, "card_to_system", copy->system[0],
				     copy->card[0]);
	if (!error)
		error = measure_card(options, report, copy, "card_to_card", copy->card[1],
				     copy->card[0]);
	if (!error)
		error = measure_cpu(options, report, copy, "system_to_card", copy->card[0],
				    copy->system[0]);
	if (!error)
		error = measure_cpu(options, report, copy, "card_to_system", copy->system[0],
				    copy->card[0]);
	if (!error)
		error = measure_cpu(options, report, copy, "system_to_system", copy->system[1],
				    copy->system[0]);
	return error;
}

static int measure_sizes(const void *argument, json_object *report, quire_device *device)
{
	const struct copy_options *options = argument;
	const char *sizes = options->sizes;
	char size[16];
	int error = 0;

	while (!error && sizes) {
		struct copy copy;

		bench_next_element(&sizes, size, sizeof(size));
		error = copy_create(device, bench_parse_size(size), &copy);
		if (error)
			break;
		error = measure_directions(options, report, &copy);
		copy_free(&copy);
	}
	return error;
}

static const struct argp_option copy_options[] = {
	{ "sizes", 's', "LIST", 0, "bytes to copy, with K, M or G (4K,64K,1M,16M,64M)", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct copy_options *options = state->input;
	const char *sizes;
	char size[16];

	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &options->common; break;
	case 's':
		options->sizes = value;
		for (sizes = value; sizes;)
			if (!bench_next_element(&sizes, size, sizeof(size)) ||
			    !bench_parse_size(size))
				argp_error(state, "--sizes is \"%s\", must be sizes such as 64K,1M",
					   value);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int bench_copy(int argc, char **argv)
{
	static const struct argp_child children[] = { { &bench_options_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = { copy_options, parse, NULL,
					  "Measure copies between system and card memory.", children,
					  NULL, NULL };
	struct copy_options options = { BENCH_OPTIONS_INIT, "4K,64K,1M,16M,64M" };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench_device("copy", &options.common, measure_sizes, &options);
}
