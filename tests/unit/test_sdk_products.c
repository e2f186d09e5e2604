// SPDX-License-Identifier: MIT
/*
 * Numbers that quire.h computes, on the backend that QUIRE_BACKEND names: cpu and null
 * on the host, the card in the guest.  Operands are multiples of 1/8 below 2, factors
 * small, so that all sums are multiples of 1/256 far below 2^40: double holds them
 * exactly and is the oracle; one rounding to the output's format remains, done here by
 * search and by hand.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../oracle/digest.h"
#include "sdk.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- The oracle ---- */

static double posit16_value(uint16_t bits)
{
	uint32_t m = bits & 0x8000 ? (uint16_t)-bits : bits;
	int i = 14, run = 0, first = m >> 14 & 1, e;
	double value = 1, weight = 0.5;

	if (!bits)
		return 0;
	for (; i >= 0 && (int)(m >> i & 1) == first; i--)
		run++;
	i--;
	e = 4 * (first ? run - 1 : -run);
	for (int b = 2; b; b >>= 1, i--)
		if (i >= 0 && m >> i & 1)
			e += b;
	for (; i >= 0; i--, weight /= 2)
		if (m >> i & 1)
			value += weight;
	value = ldexp(value, e);
	return bits & 0x8000 ? -value : value;
}

/*
 * Nearest posit, ties to the even pattern: so it is where there are fraction bits.
 * Values rise with their patterns.
 */
static uint16_t posit16_round(double x)
{
	static double values[0x8000];
	uint32_t low = 0, high = 0x7fff;
	double below, above;

	if (!values[1])
		for (uint32_t p = 0; p < 0x8000; p++)
			values[p] = posit16_value((uint16_t)p);
	while (high - low > 1) {
		uint32_t middle = (low + high) / 2;

		if (values[middle] <= fabs(x))
			low = middle;
		else
			high = middle;
	}
	below = fabs(x) - values[low];
	above = values[high] - fabs(x);
	if (above < below || (above == below && low & 1))
		low = high;
	return x < 0 ? (uint16_t)-low : (uint16_t)low;
}

static uint16_t bf16_round(double x)
{
	float f = (float)x;	/* exact: multiples of 1/256 below 2^16 */
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* The bits of x in a format, as memory holds them. */
static uint64_t encode(uint32_t format, double x)
{
	float f = (float)x;
	uint64_t bits = 0;

	switch (format) {
	case QUIRE_FORMAT_POSIT16: return posit16_round(x);
	case QUIRE_FORMAT_BF16: return bf16_round(x);
	case QUIRE_FORMAT_FP32: memcpy(&bits, &f, 4); return bits;
	case QUIRE_FORMAT_FP64: memcpy(&bits, &x, 8); return bits;
	}
	fail();
	return 0;
}

/* ---- Matrices of known values ---- */

struct values {
	struct quire_matrix matrix;
	double x[32 * 32];	/* rows * columns, dense */
};

/* A matrix in a buffer with room around it, or a view into one with a wider row. */
static void make(struct values *v, uint32_t format, uint32_t rows, uint32_t columns)
{
	uint32_t leading = columns + rnd(3);
	size_t bytes = quire_format_bytes(format);
	uint8_t *memory;

	assert_int_equal(quire_matrix_alloc(context, format, rows + 1, leading, &v->matrix), 0);
	v->matrix.rows = rows;
	v->matrix.columns = columns;
	v->matrix.offset = rnd(2) * leading * bytes;
	assert_int_equal(quire_buffer_map(v->matrix.buffer, (void **)&memory), 0);
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t j = 0; j < columns; j++) {
			double x = ((int)rnd(31) - 15) / 8.0;
			uint64_t bits = encode(format, x);

			v->x[i * columns + j] = x;
			memcpy(memory + v->matrix.offset + (i * (uint64_t)leading + j) * bytes, &bits,
			       bytes);
		}
}

static double element(const struct values *v, bool transposed, uint32_t i, uint32_t j)
{
	return transposed ? v->x[j * v->matrix.columns + i] : v->x[i * v->matrix.columns + j];
}

struct product {
	struct quire_gemm_desc desc;
	struct values a, b, c, d, bias;
};

static uint32_t some_format(void)
{
	static const uint32_t formats[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_BF16,
					    QUIRE_FORMAT_POSIT16 };

	return formats[rnd(LENGTH(formats))];
}

static void some_product(struct product *p, uint32_t out)
{
	uint32_t m = 1 + rnd(20), n = 1 + rnd(20), k = 1 + rnd(30), flags = rnd(4);

	memset(p, 0, sizeof(*p));
	if (rnd(2))
		flags |= rnd(2) ? QUIRE_GEMM_BIAS_COLUMN : QUIRE_GEMM_BIAS_ROW;
	if (rnd(2))
		flags |= QUIRE_GEMM_RELU;
	p->desc = (struct quire_gemm_desc)QUIRE_GEMM_DESC_INIT;
	p->desc.flags = flags;
	p->desc.alpha = (float)(1 + (int)rnd(3)) / 2;
	make(&p->a, some_format(), flags & QUIRE_GEMM_TRANSPOSE_A ? k : m,
	     flags & QUIRE_GEMM_TRANSPOSE_A ? m : k);
	make(&p->b, some_format(), flags & QUIRE_GEMM_TRANSPOSE_B ? n : k,
	     flags & QUIRE_GEMM_TRANSPOSE_B ? k : n);
	make(&p->d, out, m, n);
	p->desc.a = &p->a.matrix;
	p->desc.b = &p->b.matrix;
	p->desc.d = &p->d.matrix;
	if (rnd(2)) {
		make(&p->c, some_format(), m, n);
		p->desc.c = &p->c.matrix;
		p->desc.beta = -1.5f;
	}
	if (flags & (QUIRE_GEMM_BIAS_COLUMN | QUIRE_GEMM_BIAS_ROW)) {
		make(&p->bias, some_format(), 1, flags & QUIRE_GEMM_BIAS_ROW ? m : n);
		p->desc.bias = &p->bias.matrix;
	}
}

static double exact(const struct product *p, uint32_t i, uint32_t j)
{
	bool at = p->desc.flags & QUIRE_GEMM_TRANSPOSE_A, bt = p->desc.flags & QUIRE_GEMM_TRANSPOSE_B;
	uint32_t k = at ? p->a.matrix.rows : p->a.matrix.columns;
	double sum = 0;

	for (uint32_t l = 0; l < k; l++)
		sum += element(&p->a, at, i, l) * element(&p->b, bt, l, j);
	sum *= p->desc.alpha;
	if (p->desc.c)
		sum += p->desc.beta * element(&p->c, false, i, j);
	if (p->desc.bias)
		sum += p->bias.x[p->desc.flags & QUIRE_GEMM_BIAS_ROW ? i : j];
	return p->desc.flags & QUIRE_GEMM_RELU && sum < 0 ? 0 : sum;
}

static void free_product(struct product *p)
{
	quire_matrix_free(&p->a.matrix);
	quire_matrix_free(&p->b.matrix);
	quire_matrix_free(&p->c.matrix);
	quire_matrix_free(&p->d.matrix);
	quire_matrix_free(&p->bias.matrix);
}

static void products_are_exact_sums_rounded_once(void **state)
{
	static const uint32_t outs[] = { QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP64, QUIRE_FORMAT_BF16,
					 QUIRE_FORMAT_POSIT16 };
	static struct product p;

	(void)state;
	for (int round = 0; round < 120; round++) {
		uint32_t out = outs[round % LENGTH(outs)];
		size_t bytes = quire_format_bytes(out);
		struct quire_packet_result result;
		uint64_t digest = 0;
		uint8_t *memory;

		some_product(&p, out);
		assert_int_equal(quire_gemm_run(context, &p.desc, &result), 0);
		assert_int_equal(quire_buffer_map(p.d.matrix.buffer, (void **)&memory), 0);
		for (uint32_t i = 0; sdk_computes && i < p.d.matrix.rows; i++)
			for (uint32_t j = 0; j < p.d.matrix.columns; j++) {
				uint64_t want = encode(out, exact(&p, i, j)), got = 0;

				memcpy(&got, memory + p.d.matrix.offset +
				       (i * (uint64_t)p.d.matrix.leading_dimension + j) * bytes, bytes);
				if (got != want)
					fail_msg("round %d: d[%u][%u] is %#llx, must be %#llx", round, i, j,
						 (unsigned long long)got, (unsigned long long)want);
				digest += oracle_digest_element(
					(uint32_t)bytes, i * (uint64_t)p.d.matrix.columns + j, want);
			}
		if (sdk_computes) {
			assert_int_equal(result.digest, digest);
			assert_int_equal(result.status, QUIRE_STATUS_OK);
			assert_int_equal(result.exceptional, 0);
		}
		free_product(&p);
	}
}

/* V/64 as an image: V * 2^292 in 640 bits of two's complement. */
static void image_of(double x, uint64_t limbs[QUIRE_IMAGE_LIMBS])
{
	int64_t v = (int64_t)(x * 64);

	memset(limbs, v < 0 ? 0xff : 0, QUIRE_IMAGE_BYTES);
	memset(limbs, 0, 4 * sizeof(*limbs));
	limbs[4] = (uint64_t)v << 36;
	limbs[5] = (uint64_t)(v >> 28);
}

static void parts_of_a_sum_add_up_to_the_same_image(void **state)
{
	enum { M = 3, N = 5, K = 40, CUT = 13 };
	struct quire_matrix a, b, whole, parts, a1, a2, b1, b2;
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	static float x[M * K], y[K * N];
	uint64_t want[QUIRE_IMAGE_LIMBS], *one, *two;

	(void)state;
	for (int i = 0; i < M * K; i++)
		x[i] = (float)((int)rnd(31) - 15) / 8;
	for (int i = 0; i < K * N; i++)
		y[i] = (float)((int)rnd(31) - 15) / 8;
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, M, K, &a), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_BF16, K, N, &b), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_QUIRE, M, N, &whole), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_QUIRE, M, N, &parts), 0);
	assert_int_equal(quire_matrix_put_f32(&a, x, K), 0);
	assert_int_equal(quire_matrix_put_f32(&b, y, N), 0);
	assert_int_equal(quire_matmul(context, &a, &b, &whole), 0);
	/* The second part first, then the first on top of it. */
	a1 = a2 = a;
	b1 = b2 = b;
	a1.columns = b1.rows = CUT;
	a2.columns = b2.rows = K - CUT;
	a2.offset += CUT * 2;
	b2.offset += CUT * N * 2;
	assert_int_equal(quire_matmul(context, &a2, &b2, &parts), 0);
	desc.a = &a1;
	desc.b = &b1;
	desc.c = desc.d = &parts;
	desc.beta = 1;
	assert_int_equal(quire_gemm_run(context, &desc, NULL), 0);
	assert_int_equal(quire_buffer_map(whole.buffer, (void **)&one), 0);
	assert_int_equal(quire_buffer_map(parts.buffer, (void **)&two), 0);
	for (int i = 0; i < M; i++)
		for (int j = 0; j < N; j++) {
			double sum = 0;

			for (int k = 0; k < K; k++)
				sum += (double)x[i * K + k] * y[k * N + j];
			image_of(sum, want);
			assert_memory_equal(one + (i * N + j) * QUIRE_IMAGE_LIMBS, want, sizeof(want));
			assert_memory_equal(two + (i * N + j) * QUIRE_IMAGE_LIMBS, want, sizeof(want));
		}
	quire_matrix_free(&a);
	quire_matrix_free(&b);
	quire_matrix_free(&whole);
	quire_matrix_free(&parts);
}

static void digests_equal_those_of_the_cpu_backend(void **state)
{
	static const uint32_t formats[] = {
		QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_BF16,
		QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP16, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_QUIRE,
		QUIRE_FORMAT_POSIT(11),
	};
	const char *backend = getenv("QUIRE_BACKEND");
	quire_context *contexts[2] = { context };
	quire_device *cpu;
	char saved[16];

	(void)state;
	snprintf(saved, sizeof(saved), "%s", backend ? backend : "auto");
	setenv("QUIRE_BACKEND", "cpu", 1);
	assert_int_equal(quire_open(NULL, &cpu), 0);
	setenv("QUIRE_BACKEND", saved, 1);
	assert_int_equal(quire_context_create(cpu, 0, &contexts[1]), 0);
	for (int round = 0; round < 60; round++) {
		uint32_t m = 1 + rnd(70), n = 1 + rnd(70), k = 1 + rnd(200), flags = rnd(4);
		uint32_t fa = formats[rnd(7)], fb = formats[rnd(7)];
		uint32_t fd = formats[rnd(LENGTH(formats))];
		struct quire_packet_result results[2];
		uint64_t start = rnd_state;

		if (rnd(2))
			flags |= QUIRE_GEMM_RELU;
		for (int side = 0; side < 2; side++) {
			struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
			bool at = flags & QUIRE_GEMM_TRANSPOSE_A, bt = flags & QUIRE_GEMM_TRANSPOSE_B;
			struct quire_matrix a, b, d;
			uint8_t *memory;

			rnd_state = start;	/* the same bits, NaR and NaN among them, on both sides */
			assert_int_equal(quire_matrix_alloc(contexts[side], fa, at ? k : m, at ? m : k,
							    &a), 0);
			assert_int_equal(quire_matrix_alloc(contexts[side], fb, bt ? n : k, bt ? k : n,
							    &b), 0);
			assert_int_equal(quire_matrix_alloc(contexts[side], fd, m, n, &d), 0);
			assert_int_equal(quire_buffer_map(a.buffer, (void **)&memory), 0);
			for (uint64_t i = 0; i < (uint64_t)m * k * quire_format_bytes(fa); i++)
				memory[i] = (uint8_t)rnd(256);
			assert_int_equal(quire_buffer_map(b.buffer, (void **)&memory), 0);
			for (uint64_t i = 0; i < (uint64_t)n * k * quire_format_bytes(fb); i++)
				memory[i] = (uint8_t)rnd(256);
			desc.flags = fd == QUIRE_FORMAT_QUIRE ? flags & 3 : flags;
			desc.a = &a;
			desc.b = &b;
			desc.d = &d;
			if (quire_gemm_run(contexts[side], &desc, &results[side]))
				fail_msg("round %d: %s", round, quire_last_error());
			quire_matrix_free(&a);
			quire_matrix_free(&b);
			quire_matrix_free(&d);
		}
		/* Not only digest: MACs, modelled cycles and energy, bytes, exceptional values. */
		assert_memory_equal(&results[0], &results[1], sizeof(results[0]));
	}
	quire_context_unref(contexts[1]);
	quire_device_unref(cpu);
}

/* ---- Conversions ---- */

static void floats_convert_with_one_rounding(void **state)
{
	/* Ties at the 13th fraction bit of [1, 2), NaN, extremes. */
	static const float in[6] = { 1 + 1 / 4096.0f, 1 + 3 / 4096.0f, -0.3f, NAN, 1e30f, 0 };
	static const uint16_t want[6] = { 0x4000, 0x4002, 0, 0x8000, 0x7fff, 0 };
	struct quire_matrix matrix;
	uint16_t bits[6];
	float out[6];

	(void)state;
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 2, 3, &matrix), 0);
	assert_int_equal(quire_matrix_put_f32(&matrix, in, 3), 0);
	assert_int_equal(quire_buffer_read(matrix.buffer, 0, bits, sizeof(bits)), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(bits[i], i == 2 ? posit16_round(in[2]) : want[i]);
	assert_int_equal(quire_matrix_get_f32(&matrix, out, 3), 0);
	assert_true(out[0] == 1 && out[1] == 1 + 2 / 2048.0f && isnan(out[3]));
	assert_true(out[2] == (float)posit16_value(bits[2]));
	assert_int_equal(quire_matrix_put_f32(&matrix, in, 2), -EINVAL);
	says("leading_dimension");
	quire_matrix_free(&matrix);
}

/* Doubles through the queue: one rounding, and -0 where the format has it. */
static void doubles_convert_on_the_device(void **state)
{
	/* 1 + a bit over half of a place: not to be rounded to float first */
	static const double in[6] = { -0.0, 1 + 0x1p-12 + 0x1p-40, -1e300, -1e-310, NAN, 3 };
	static const uint16_t posit16[6] = { 0, 0x4001, 0x8001, 0xffff, 0x8000, 0x4c00 };
	static const uint16_t bf16[6] = { 0x8000, 0x3f80, 0xff80, 0x8000, 0x7fc0, 0x4040 };
	struct quire_matrix source, posits, floats;
	struct quire_packet_result result;
	struct quire_fence fence;
	quire_cmdlist *list;
	quire_queue *queue;
	uint16_t bits[6];
	double out[6];

	(void)state;
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_FP64, 2, 3, &source), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 2, 3, &posits), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_BF16, 2, 3, &floats), 0);
	assert_int_equal(quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue), 0);
	assert_int_equal(quire_cmdlist_create(context, 0, &list), 0);
	assert_int_equal(quire_matrix_put_f64(&source, in, 3), 0);
	assert_int_equal(quire_cmdlist_convert(list, &posits, &source), 0);
	assert_int_equal(quire_cmdlist_convert(list, &floats, &source), 1);
	assert_int_equal(quire_queue_submit(queue, &list, 1, NULL, 0, &fence), 0);
	assert_int_equal(quire_fence_wait(fence, QUIRE_FOREVER), 0);
	if (sdk_computes) {
		assert_int_equal(quire_buffer_read(posits.buffer, 0, bits, sizeof(bits)), 0);
		assert_memory_equal(bits, posit16, sizeof(bits));
		assert_int_equal(quire_cmdlist_result(list, 0, &result), 0);
		assert_int_equal(result.exceptional, 1);
		assert_int_equal(quire_buffer_read(floats.buffer, 0, bits, sizeof(bits)), 0);
		assert_memory_equal(bits, bf16, sizeof(bits));
		assert_int_equal(quire_cmdlist_result(list, 1, &result), 0);
		assert_int_equal(result.exceptional, 2);
		assert_int_equal(quire_matrix_get_f64(&posits, out, 3), 0);
		assert_true(out[1] == 1 + 0x1p-11 && out[2] == -0x1p56 && out[3] == -0x1p-56);
		assert_true(isnan(out[4]) && out[5] == 3);
	}
	assert_int_equal(quire_matrix_put_f64(&source, in, 2), -EINVAL);
	says("quire_matrix_put_f64: leading_dimension");
	quire_cmdlist_free(list);
	quire_queue_free(queue);
	quire_matrix_free(&source);
	quire_matrix_free(&posits);
	quire_matrix_free(&floats);
}

/* Null computes nothing: it has no results to judge. */
#define CONVERSION_TESTS                                                   \
	cmocka_unit_test(floats_convert_with_one_rounding),                \
	cmocka_unit_test(doubles_convert_on_the_device)

#define PRODUCT_TESTS                                                      \
	cmocka_unit_test(products_are_exact_sums_rounded_once),            \
	cmocka_unit_test(parts_of_a_sum_add_up_to_the_same_image)

int main(void)
{
	const struct CMUnitTest null[] = { CONVERSION_TESTS };
	const struct CMUnitTest cpu[] = { PRODUCT_TESTS, CONVERSION_TESTS };
	const struct CMUnitTest card[] = {
		PRODUCT_TESTS, CONVERSION_TESTS,
		cmocka_unit_test(digests_equal_those_of_the_cpu_backend),
	};
	const char *backend = getenv("QUIRE_BACKEND");

	if (backend && !strcmp(backend, "null"))
		return cmocka_run_group_tests_name("sdk products", null, sdk_open, sdk_close);
	if (backend && !strcmp(backend, "cpu"))
		return cmocka_run_group_tests_name("sdk products", cpu, sdk_open, sdk_close);
	return cmocka_run_group_tests_name("sdk products", card, sdk_open, sdk_close);
}
