// SPDX-License-Identifier: MIT
/* One product on every place: whole, in bands, in parts along k, permuted; and over threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <portable_math.h>
#include <quirenum/gemm.h>
#include <quirenum/threads.h>

#include "repro.h"

#define MOST_PARTS 16

/* BF16 gives FP32 results, so that every bit of a sum shows. */
const struct arithmetic arithmetics[4] = {
	{ "posit16 exact", QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT16, QUIRE_GEMM_MODE_EXACT, true },
	{ "posit32 exact", QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_POSIT32, QUIRE_GEMM_MODE_EXACT, true },
	{ "bf16 exact", QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP32, QUIRE_GEMM_MODE_EXACT, true },
	{ "bf16 fp32, order as specified", QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP32,
	  QUIRE_GEMM_MODE_FP32, false },
};

struct job {
	const struct arithmetic *arithmetic;
	const struct workload *workload;
	struct place *places;
	uint32_t count;
	struct mode *mode;
	uint32_t *result;	/* of one run, an element per word */
	uint64_t *partial;	/* MOST_PARTS images of the whole result */
};

/* Rows [row, row + rows) and columns [column, column + columns) of a matrix. */
static struct quire_matrix part_of(const struct quire_matrix *matrix, uint32_t row, uint32_t rows,
				   uint32_t column, uint32_t columns)
{
	struct quire_matrix part = *matrix;

	part.offset += ((uint64_t)row * matrix->leading_dimension + column) *
		       quire_format_bytes(matrix->format);
	part.rows = rows;
	part.columns = columns;
	return part;
}

/* Elements of D, one to a word, zeros above them as the digest wants it. */
static int fetch(const struct job *job, struct place *place)
{
	uint32_t count = job->workload->m * job->workload->n;
	size_t bytes = quire_format_bytes(job->arithmetic->out);
	int error = quire_buffer_read(place->d.buffer, 0, job->result, count * bytes);

	/* From the last to the first: halves move into words behind them. */
	for (uint32_t i = count; !error && bytes == 2 && i-- > 0;)
		job->result[i] = ((const uint16_t *)job->result)[i];
	return error;
}

static int multiply(const struct job *job, struct place *place, const struct quire_matrix *a,
		    const struct quire_matrix *b, const struct quire_matrix *c,
		    const struct quire_matrix *d)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;

	desc.mode = job->arithmetic->gemm_mode;
	desc.a = a;
	desc.b = b;
	desc.c = c;
	desc.beta = c ? 1 : 0;
	desc.d = d;
	return quire_gemm_run(place->context, &desc, NULL);
}

/* In bands of so many rows and columns. */
static int run_bands(const struct job *job, struct place *place, uint32_t rows, uint32_t columns)
{
	const struct workload *w = job->workload;
	int error = 0;

	for (uint32_t row = 0; !error && row < w->m; row += rows) {
		uint32_t height = w->m - row < rows ? w->m - row : rows;
		struct quire_matrix a = part_of(&place->a, row, height, 0, w->k);

		for (uint32_t column = 0; !error && column < w->n; column += columns) {
			uint32_t width = w->n - column < columns ? w->n - column : columns;
			struct quire_matrix b = part_of(&place->b, 0, w->k, column, width);
			struct quire_matrix d = part_of(&place->d, row, height, column, width);

			error = multiply(job, place, &a, &b, NULL, &d);
		}
	}
	error = error ? error : fetch(job, place);
	return error ? error : mode_add(job->mode, job->result, "%s, bands of %u x %u", place->name,
					rows, columns);
}

/* Where part p of `parts` of k begins. */
static uint32_t cut(const struct job *job, uint32_t p, uint32_t parts)
{
	return (uint32_t)((uint64_t)job->workload->k * p / parts);
}

/* Parts along k, each added to the image of those before; order is a permutation. */
static int run_chain(const struct job *job, struct place *place, const uint32_t *order,
		     uint32_t parts, const char *name)
{
	const struct workload *w = job->workload;
	int error = 0;

	for (uint32_t i = 0; !error && i < parts; i++) {
		uint32_t from = cut(job, order[i], parts), to = cut(job, order[i] + 1, parts);
		struct quire_matrix a = part_of(&place->a, 0, w->m, from, to - from);
		struct quire_matrix b = part_of(&place->b, from, to - from, 0, w->n);

		error = multiply(job, place, &a, &b, i ? &place->image : NULL,
				 i + 1 < parts ? &place->image : &place->d);
	}
	error = error ? error : fetch(job, place);
	return error ? error : mode_add(job->mode, job->result, "%s, %u parts of k chained, %s",
					place->name, parts, name);
}

/* x += y, images of `count` elements: no sum here comes near the special patterns. */
static void add_images(uint64_t *x, const uint64_t *y, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		unsigned int carry = 0;

		for (int limb = 0; limb < QUIRE_IMAGE_LIMBS; limb++, x++, y++) {
			uint64_t sum = *x + *y;
			unsigned int over = sum < *x;

			*x = sum + carry;
			carry = over | (*x < sum);
		}
	}
}

/* The image of one part, computed on one place, in this process's memory. */
static int fetch_part(const struct job *job, struct place *place, uint32_t p, uint32_t parts,
		      uint64_t *image)
{
	const struct workload *w = job->workload;
	uint32_t from = cut(job, p, parts), to = cut(job, p + 1, parts);
	struct quire_matrix a = part_of(&place->a, 0, w->m, from, to - from);
	struct quire_matrix b = part_of(&place->b, from, to - from, 0, w->n);
	int error = multiply(job, place, &a, &b, NULL, &place->image);

	return error ? error : quire_buffer_read(place->image.buffer, 0, image,
						 (uint64_t)w->m * w->n * QUIRE_IMAGE_BYTES);
}

/* Parts on all places in turn, added in a tree on the host, rounded on the first place. */
static int run_tree(const struct job *job, uint32_t parts)
{
	struct place *last = &job->places[parts % job->count];
	const struct workload *w = job->workload;
	size_t limbs = (size_t)w->m * w->n * QUIRE_IMAGE_LIMBS;
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	int error = 0;

	for (uint32_t p = 0; !error && p < parts; p++)
		error = fetch_part(job, &job->places[p % job->count], p, parts,
				   job->partial + p * limbs);
	for (uint32_t step = 1; step < parts; step *= 2)
		for (uint32_t p = 0; p + step < parts; p += 2 * step)
			add_images(job->partial + p * limbs, job->partial + (p + step) * limbs,
				   w->m * w->n);
	error = error ? error : quire_buffer_write(last->image.buffer, 0, job->partial,
						   limbs * sizeof(*job->partial));
	/* alpha 0: D is C, rounded. */
	desc.alpha = 0;
	desc.beta = 1;
	desc.a = &last->a;
	desc.b = &last->b;
	desc.c = &last->image;
	desc.d = &last->d;
	error = error ? error : quire_gemm_run(last->context, &desc, NULL);
	error = error ? error : fetch(job, last);
	return error ? error : mode_add(job->mode, job->result,
					"%u places, %u parts of k reduced in a tree", job->count, parts);
}

static int run_splits(const struct job *job, struct place *place)
{
	static const uint32_t counts[] = { 2, 3, 7, MOST_PARTS };
	uint64_t random = job->workload->seed;
	int error = 0;

	for (size_t c = 0; !error && c < sizeof(counts) / sizeof(counts[0]); c++) {
		uint32_t order[MOST_PARTS], reverse[MOST_PARTS], parts = counts[c];

		if (parts > job->workload->k)
			break;
		for (uint32_t i = 0; i < parts; i++) {
			order[i] = i;
			reverse[i] = parts - 1 - i;
		}
		error = run_chain(job, place, order, parts, "in order");
		error = error ? error : run_chain(job, place, reverse, parts, "reverse");
		shuffle(order, parts, &random);
		error = error ? error : run_chain(job, place, order, parts, "shuffled");
	}
	return error;
}

static int run_place(const struct job *job, struct place *place)
{
	uint32_t m = job->workload->m, n = job->workload->n;
	struct quire_packet_result told;
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	int error;

	desc.mode = job->arithmetic->gemm_mode;
	desc.a = &place->a;
	desc.b = &place->b;
	desc.d = &place->d;
	error = quire_gemm_run(place->context, &desc, &told);
	error = error ? error : fetch(job, place);
	error = error ? error : mode_add(job->mode, job->result, "%s, whole", place->name);
	/* The digest that the device tells must be that of the elements it wrote. */
	if (!error && told.digest != job->mode->runs[job->mode->count - 1].digest)
		return -EBADMSG;
	error = error ? error : run_bands(job, place, 1, n);
	error = error ? error : run_bands(job, place, 7, n);
	error = error ? error : run_bands(job, place, m, 5);
	error = error ? error : run_bands(job, place, 16, 16);
	if (error || !job->arithmetic->split)
		return error;
	error = multiply(job, place, &place->permuted_a, &place->permuted_b, NULL, &place->d);
	error = error ? error : fetch(job, place);
	error = error ? error : mode_add(job->mode, job->result, "%s, k permuted", place->name);
	return error ? error : run_splits(job, place);
}

/* ---- libquirenum in this process ---- */

static int run_local(const struct job *job, unsigned int threads, const char *kernel)
{
	const struct workload *w = job->workload;
	struct place *place = &job->places[0];
	struct quire_threads *pool = threads > 1 ? quire_threads_create(threads) : NULL;
	struct quire_gemm gemm = { .m = w->m, .n = w->n, .k = w->k, .batch = 1, .alpha = 1,
				   .arithmetic = job->arithmetic->gemm_mode, .threads = pool };
	void *a, *b, *d;
	int error = quire_kernel_select(kernel);

	if (error == -ENOTSUP) {
		quire_threads_destroy(pool);
		return 0; /* not on this CPU */
	}
	error = error ? error : quire_buffer_map(place->a.buffer, &a);
	error = error ? error : quire_buffer_map(place->b.buffer, &b);
	error = error ? error : quire_buffer_map(place->d.buffer, &d);
	if (!error) {
		gemm.a = (struct quire_gemm_operand){ a, job->arithmetic->in, 0, w->k, 0 };
		gemm.b = (struct quire_gemm_operand){ b, job->arithmetic->in, 0, w->n, 0 };
		gemm.d = (struct quire_gemm_output){ d, job->arithmetic->out, 0, w->n, 0 };
		error = quire_gemm(&gemm, NULL);
	}
	quire_threads_destroy(pool);
	error = error ? error : fetch(job, place);
	return error ? error : mode_add(job->mode, job->result, "this process, %u threads, %s",
					threads, kernel ? kernel : "best kernel");
}

static int run_locals(const struct job *job)
{
	static const unsigned int threads[] = { 1, 2, 3, 4, 8 };
	static const char *const kernels[] = { "plain", "generic", "avx2", "ifma", "amx" };
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(threads) / sizeof(threads[0]); i++)
		error = run_local(job, threads[i], NULL);
	for (size_t i = 0; !error && i < sizeof(kernels) / sizeof(kernels[0]); i++)
		error = run_local(job, 1, kernels[i]);
	return error ? error : quire_kernel_select(NULL);
}

/* ---- All of it ---- */

static int prepare(struct job *job)
{
	const struct workload *w = job->workload;
	size_t elements = (size_t)w->m * w->n;
	int error = 0;

	job->result = malloc(elements * sizeof(*job->result));
	job->partial = malloc(MOST_PARTS * elements * QUIRE_IMAGE_BYTES);
	if (!job->result || !job->partial)
		return -ENOMEM;
	for (uint32_t i = 0; !error && i < job->count; i++)
		error = place_fill(&job->places[i], w, job->arithmetic->in, job->arithmetic->out);
	return error;
}

static void clean_up(struct job *job)
{
	for (uint32_t i = 0; i < job->count; i++)
		place_empty(&job->places[i]);
	free(job->result);
	free(job->partial);
}

int run_arithmetic(const struct arithmetic *arithmetic, const struct workload *workload,
		   struct place *places, uint32_t count, struct mode *mode)
{
	struct job job = { arithmetic, workload, places, count, mode, NULL, NULL };
	int error = prepare(&job);

	error = error ? error : run_locals(&job);
	for (uint32_t i = 0; !error && i < count; i++)
		error = run_place(&job, &places[i]);
	for (uint32_t parts = 2; !error && arithmetic->split && parts <= MOST_PARTS; parts = 2 * parts + 1)
		if (parts <= workload->k)
			error = run_tree(&job, parts);
	clean_up(&job);
	return error;
}

int run_permuted(const struct workload *workload, struct place *places, uint32_t count,
		 struct mode *mode)
{
	struct job job = { &arithmetics[3], workload, places, count, mode, NULL, NULL };
	int error = prepare(&job);

	for (uint32_t i = 0; !error && i < count; i++) {
		struct place *place = &places[i];

		error = multiply(&job, place, &place->a, &place->b, NULL, &place->d);
		error = error ? error : fetch(&job, place);
		error = error ? error : mode_add(mode, job.result, "%s, k in order", place->name);
		error = error ? error : multiply(&job, place, &place->permuted_a,
						 &place->permuted_b, NULL, &place->d);
		error = error ? error : fetch(&job, place);
		error = error ? error : mode_add(mode, job.result, "%s, k permuted", place->name);
	}
	clean_up(&job);
	return error;
}
