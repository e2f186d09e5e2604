// SPDX-License-Identifier: MIT
/*
 * quire-bench gemm: square products through the whole stack, and the same kernel
 * called in this process.  In a guest the latter runs under emulation and is no
 * peer: run "gemm --local" on the host (tools/quire-bench/gemm-ratio).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quirenum/gemm.h>
#include <quirenum/threads.h>

#include "bench.h"

#define SIZE_LIMIT 8192u

struct gemm_options {
	struct bench_options common;
	const char *formats;
	const char *sizes;
	unsigned int threads;
	bool local;	/* only in this process */
	bool peer;	/* there too */
};

/* One product D = A B, of size x size matrices of one format; of MXFP8 D is FP32. */
struct product {
	uint32_t format, size;
	quire_context *context;
	struct quire_matrix a, b, d;
	struct quire_packet_result result;
	struct quire_gemm gemm;		/* the same for libquirenum */
	struct quire_gemm_result local;
};

/* ---- Operands ---- */

/* Uniform in [-1, 1), the same on every machine (splitmix64). */
static float random_value(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return (float)(int32_t)(z >> 32) * 0x1p-31f;
}

static int fill(const struct quire_matrix *matrix, uint64_t seed)
{
	size_t count = (size_t)matrix->rows * matrix->columns;
	float *values = malloc(count * sizeof(*values));
	int error;

	if (!values)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		values[i] = random_value(&seed);
	error = quire_matrix_put_f32(matrix, values, matrix->columns);
	free(values);
	return error;
}

static void product_free(struct product *product)
{
	quire_context_unref(product->context);
}

static int product_create(quire_device *device, uint32_t format, uint32_t size,
			  struct product *product)
{
	int error;

	*product = (struct product){ .format = format, .size = size };
	error = quire_context_create(device, 0, &product->context);
	if (error)
		return error;
	error = quire_matrix_alloc(product->context, format, size, size, &product->a);
	if (!error)
		error = quire_matrix_alloc(product->context, format, size, size, &product->b);
	if (!error)
		error = quire_matrix_alloc(product->context,
					   format == QUIRE_FORMAT_MXFP8 ? QUIRE_FORMAT_FP32 : format,
					   size, size, &product->d);
	if (!error)
		error = fill(&product->a, 1);
	if (!error)
		error = fill(&product->b, 2);
	if (error)
		product_free(product);
	return error;
}

/* ---- Runs ---- */

static int run_device(void *argument)
{
	struct product *product = argument;
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;

	desc.a = &product->a;
	desc.b = &product->b;
	desc.d = &product->d;
	return quire_gemm_run(product->context, &desc, &product->result);
}

static int run_local(void *argument)
{
	struct product *product = argument;

	return quire_gemm(&product->gemm, &product->local);
}

static int map_operand(const struct quire_matrix *matrix, void **data)
{
	return quire_buffer_map(matrix->buffer, data);
}

/* Describe the product to libquirenum. Its memory must be the CPU's own. */
static int prepare_local(struct product *product, struct quire_threads *threads)
{
	struct quire_gemm *gemm = &product->gemm;
	void *a = NULL, *b = NULL, *d = NULL;
	int error = map_operand(&product->a, &a);

	if (!error)
		error = map_operand(&product->b, &b);
	if (!error)
		error = map_operand(&product->d, &d);
	*gemm = (struct quire_gemm){
		.m = product->size, .n = product->size, .k = product->size, .batch = 1,
		.a = { a, product->a.format, 0, product->a.leading_dimension, 0 },
		.b = { b, product->b.format, 0, product->b.leading_dimension, 0 },
		.d = { d, product->d.format, 0, product->d.leading_dimension, 0 },
		.alpha = 1, .threads = threads,
	};
	return error;
}

/* ---- Rows ---- */

static void add_row(json_object *report, const struct product *product, const char *where,
		    const struct bench_statistics *statistics, uint64_t digest)
{
	json_object *row = bench_report_row(report);
	double macs = (double)product->size * product->size * product->size;
	char text[20];

	bench_put_string(row, "where", where);
	bench_put_string(row, "format", quire_format_name(product->format));
	bench_put_integer(row, "size", product->size);
	bench_put_statistics(row, statistics);
	bench_put_number(row, "gmacs_per_s", macs / statistics->median * 1e-9);
	snprintf(text, sizeof(text), "%016llx", (unsigned long long)digest);
	bench_put_string(row, "digest", text);
}

static int measure_device(const struct gemm_options *options, json_object *report,
			  quire_device *device, struct product *product,
			  struct bench_statistics *statistics)
{
	struct quire_device_info info = { .size = sizeof(info) };
	int error = quire_device_get_info(device, &info);

	if (!error)
		error = bench_measure(options->common.seconds, run_device, product, statistics);
	if (!error)
		add_row(report, product, info.backend, statistics, product->result.digest);
	return error;
}

static int measure_local(const struct gemm_options *options, json_object *report,
			 quire_device *cpu, uint32_t format, uint32_t size,
			 struct quire_threads *threads, struct bench_statistics *statistics,
			 uint64_t *digest)
{
	struct product product;
	int error = product_create(cpu, format, size, &product);

	if (error)
		return error;
	error = prepare_local(&product, threads);
	if (!error)
		error = bench_measure(options->common.seconds, run_local, &product, statistics);
	if (!error)
		add_row(report, &product, "local", statistics, product.local.digest);
	*digest = product.local.digest;
	product_free(&product);
	return error;
}

struct bench_devices {
	quire_device *device;	/* NULL with --local */
	quire_device *cpu;	/* NULL without --local and --peer */
	struct quire_threads *threads;
};

/* All rows of one format and size; returns the exit status. */
static int measure(const struct gemm_options *options, json_object *report,
		   const struct bench_devices *devices, uint32_t format, uint32_t size)
{
	struct bench_statistics here, there;
	struct product product;
	uint64_t digest;
	int error;

	if (!devices->device) {
		error = measure_local(options, report, devices->cpu, format, size,
				      devices->threads, &here, &digest);
		return error ? bench_error(error) : 0;
	}
	error = product_create(devices->device, format, size, &product);
	if (error)
		return bench_error(error);
	error = measure_device(options, report, devices->device, &product, &there);
	if (!error && devices->cpu) {
		error = measure_local(options, report, devices->cpu, format, size,
				      devices->threads, &here, &digest);
		if (!error && digest != product.result.digest) {
			fprintf(stderr, "quire-bench: %s %u: the digests differ\n",
				quire_format_name(format), size);
			product_free(&product);
			return STATUS_MISMATCH;
		}
		if (!error) {
			json_object *row = bench_report_row(report);

			bench_put_string(row, "format", quire_format_name(format));
			bench_put_integer(row, "size", size);
			bench_put_number(row, "ratio_to_local", there.median / here.median);
		}
	}
	product_free(&product);
	return error ? bench_error(error) : 0;
}

static int measure_sizes(const struct gemm_options *options, json_object *report,
			 const struct bench_devices *devices, uint32_t format)
{
	const char *sizes = options->sizes;
	char size[16];
	int status = 0;

	while (!status && sizes) {
		bench_next_element(&sizes, size, sizeof(size));
		status = measure(options, report, devices, format,
				 (uint32_t)bench_parse_size(size));
	}
	return status;
}

static int measure_all(const struct gemm_options *options, json_object *report,
		       const struct bench_devices *devices)
{
	const char *formats = options->formats;
	char format[16];
	int status = 0;

	while (!status && formats) {
		bench_next_element(&formats, format, sizeof(format));
		status = measure_sizes(options, report, devices, quire_format_parse(format));
	}
	return status;
}

/* ---- Options ---- */

static const struct argp_option gemm_options[] = {
	{ "formats", 'f', "LIST", 0, "of operands and result (posit8,posit16,bf16,fp32)", 0 },
	{ "sizes", 's', "LIST", 0, "rows and columns of the matrices (128,512)", 0 },
	{ "local", 'l', NULL, 0, "only the kernel in this process, without a card", 0 },
	{ "peer", 'p', NULL, 0, "the kernel in this process too, and the ratio", 0 },
	{ "threads", 'n', "N", 0, "threads of the kernel in this process (1; 0: all CPUs)", 0 },
	{ 0 },
};

static void check_lists(const struct gemm_options *options, struct argp_state *state)
{
	const char *formats = options->formats, *sizes = options->sizes;
	char element[16];

	while (formats) {
		uint32_t format = bench_next_element(&formats, element, sizeof(element)) ?
					  quire_format_parse(element) : QUIRE_FORMAT_NONE;

		if (format == QUIRE_FORMAT_NONE || format == QUIRE_FORMAT_QUIRE)
			argp_error(state, "unknown format in --formats %s", options->formats);
	}
	while (sizes) {
		uint64_t size = bench_next_element(&sizes, element, sizeof(element)) ?
					bench_parse_size(element) : 0;

		if (!size || size > SIZE_LIMIT)
			argp_error(state, "--sizes is \"%s\", must be numbers from 1 to %u",
				   options->sizes, SIZE_LIMIT);
	}
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct gemm_options *options = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &options->common; break;
	case 'f': options->formats = value; break;
	case 's': options->sizes = value; break;
	case 'l': options->local = true; break;
	case 'p': options->peer = true; break;
	case 'n':
		options->threads = (unsigned int)strtoul(value, &end, 10);
		if (*end || options->threads > QUIRE_THREADS_LIMIT)
			argp_error(state, "--threads is \"%s\", must be 0 to %u", value,
				   QUIRE_THREADS_LIMIT);
		break;
	case ARGP_KEY_END: check_lists(options, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int open_devices(const struct gemm_options *options, struct bench_devices *devices)
{
	int error, status = options->local ? 0 : bench_open(&options->common, &devices->device);

	if (status || !(options->local || options->peer))
		return status;
	/* Memory for the kernel in this process is that of the cpu backend. */
	setenv("QUIRE_BACKEND", "cpu", 1);
	error = quire_open(NULL, &devices->cpu);
	if (error)
		return bench_error(error);
	if (options->threads != 1) {
		devices->threads = quire_threads_create(options->threads);
		if (!devices->threads) {
			fprintf(stderr, "quire-bench: cannot start threads: %s\n",
				strerror(errno));
			return STATUS_FAILED;
		}
	}
	return 0;
}

int bench_gemm(int argc, char **argv)
{
	static const struct argp_child children[] = { { &bench_options_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = { gemm_options, parse, NULL,
					  "Measure products of square matrices.", children, NULL,
					  NULL };
	struct gemm_options options = { BENCH_OPTIONS_INIT, "posit8,posit16,bf16,fp32", "128,512",
					1, false, false };
	struct bench_devices devices = { 0 };
	json_object *report;
	int status;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = open_devices(&options, &devices);
	if (!status) {
		report = bench_report_create("gemm", devices.device);
		bench_put_string(report, "kernel", quire_kernel_name());
		bench_put_integer(report, "local_threads", quire_threads_count(devices.threads));
		status = measure_all(&options, report, &devices);
		if (status)
			json_object_put(report);
		else
			status = bench_report_print(report, &options.common);
	}
	quire_threads_destroy(devices.threads);
	quire_device_unref(devices.cpu);
	quire_device_unref(devices.device);
	return status;
}
