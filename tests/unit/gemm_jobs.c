// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../oracle/digest.h"
#include "gemm_jobs.h"

static uint64_t seed = 1;

/* Lanes are cut in large products only (numerics/gemm_internal.h): in those of tests, too. */
extern uint32_t gemm_cut_least;

__attribute__((constructor)) static void cut_lanes_of_small_products(void)
{
	gemm_cut_least = 0;
}

uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

const uint32_t formats[FORMATS] = {
	QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_BF16,
	QUIRE_FORMAT_FP16, QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2,
	QUIRE_FORMAT_INT8, QUIRE_FORMAT_POSIT(3), QUIRE_FORMAT_POSIT(5), QUIRE_FORMAT_POSIT(11),
	QUIRE_FORMAT_POSIT(17), QUIRE_FORMAT_POSIT(27), QUIRE_FORMAT_POSIT(31),
	QUIRE_FORMAT_FP64, QUIRE_FORMAT_QUIRE,
};

void fill(uint32_t f, void *data, uint64_t count, enum fill how)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t bits = rnd() >> (64 - (width_of(f) ? width_of(f) : 64));
		enum special s;
		mpz_t v;

		if (f == QUIRE_FORMAT_QUIRE) {
			uint64_t w[10] = { rnd(), rnd(), rnd(), rnd(), rnd(), rnd() & 0xff };

			if (rnd() % 16 == 0)
				memset(w, 0xff, 80), w[0] = rnd();
			if (how == PATTERNS && rnd() % 16 == 0)
				memset(w, 0, 80), w[9] = 1ull << 63, w[0] = rnd() % 3;
			memcpy((uint8_t *)data + i * 80, w, 80);
			continue;
		}
		mpz_init(v);
		if (how == NEAR_ONE || (how == FEW && rnd() % 64)) {
			double x = -6;	/* twelve uniforms: near enough to normal */

			for (int u = 0; u < 12; u++)
				x += (double)(rnd() >> 11) * 0x1p-53;
			mpz_set_si(v, (long)(x * 0x1p40));
			mpz_mul_2exp(v, v, UNIT - 40);
			bits = encode(f, FINITE, v);
		}
		s = decode(f, bits, v);
		if (s != FINITE && (how == PATTERNS_FINITE || (how == PATTERNS && rnd() % 8)))
			bits = 1;
		mpz_clear(v);
		if (is_posit(f) && bits >> (width_of(f) - 1))
			bits |= ~0ull << width_of(f) * (width_of(f) < 64);
		memcpy((uint8_t *)data + i * bytes_of(f), &bits, bytes_of(f));
	}
}

/* Any pattern, or one near 0 or the largest. */
static uint64_t positive_pattern(uint32_t f)
{
	const uint64_t bits = rnd() >> (65 - width_of(f)), few = bits >> rnd() % width_of(f);

	switch (rnd() % 4) {
	case 0:
		return few;
	case 1:
		return largest(f) - (few < largest(f) ? few : 0);
	}
	return bits < largest(f) ? bits : largest(f);
}

int decision(uint32_t f, int near, int far, mpz_t middle)
{
	mpz_t other;
	int at;

	mpz_init(other);
	do {
		const uint64_t bits = positive_pattern(f);
		const bool last = bits == largest(f);

		if (is_posit(f)) {
			decode(QUIRE_FORMAT_POSIT(width_of(f) + 1), 2 * bits + 1, middle);
		} else {
			decode(f, bits, middle);
			decode(f, last ? bits - 1 : bits + 1, other);
			/* as if the range went on */
			if (last) {
				mpz_mul_ui(middle, middle, 3);
				mpz_sub(middle, middle, other);
			} else {
				mpz_add(middle, middle, other);
			}
			mpz_tdiv_q_2exp(middle, middle, 1);
		}
		at = (int)mpz_sizeinbase(middle, 2) - UNIT;
	} while (at <= near - far || at >= near + far);
	mpz_clear(other);
	return at;
}

static float random_factor(bool image)
{
	static const float few[] = { 1, 1, -1, 0, 2, -0.25f, 0.1f, -3.75f, 0x1p-149f, 0x1.fffffep127f };

	return few[rnd() % (image ? 4 : sizeof(few) / sizeof(few[0]))];
}

static void *matrix(uint32_t f, uint64_t rows, uint64_t ld, uint64_t batch, uint64_t *stride,
		    enum fill how)
{
	uint64_t count;
	void *data;

	*stride = rows * ld + rnd() % 3;
	count = *stride * batch + ld + 1;
	data = aligned_alloc(64, (count * bytes_of(f) + 127) & ~63ull);
	assert_non_null(data);
	fill(f, data, count, how);
	return data;
}

void make(struct job *job, uint32_t m, uint32_t n, uint32_t k, uint32_t batch, uint32_t fa,
		 uint32_t fb, uint32_t fd, bool extras, enum fill how)
{
	struct quire_gemm *g = &job->g;
	bool image = fd == QUIRE_FORMAT_QUIRE;

	memset(job, 0, sizeof(*job));
	g->m = m, g->n = n, g->k = k, g->batch = batch;
	g->alpha = 1;
	g->a.format = fa, g->b.format = fb, g->d.format = fd;
	g->a.transpose = rnd() % 2, g->b.transpose = rnd() % 2;
	g->a.leading_dimension = (g->a.transpose ? m : k) + rnd() % 4;
	g->b.leading_dimension = (g->b.transpose ? k : n) + rnd() % 4;
	g->d.leading_dimension = n + rnd() % 4;
	job->memory[0] = matrix(fa, g->a.transpose ? k : m, g->a.leading_dimension, batch,
				&g->a.batch_stride, how);
	job->memory[1] = matrix(fb, g->b.transpose ? n : k, g->b.leading_dimension, batch,
				&g->b.batch_stride, how);
	job->memory[2] = matrix(fd, m, g->d.leading_dimension, batch, &g->d.batch_stride, NEAR_ONE);
	g->a.data = job->memory[0], g->b.data = job->memory[1], g->d.data = job->memory[2];
	if (!extras)
		return;
	g->alpha = random_factor(image);
	g->beta = random_factor(image);
	g->activation = !image && rnd() % 2;
	g->bias_kind = rnd() % 3;
	g->bias_format = formats[rnd() % OPERANDS];
	uint64_t ignored;
	job->memory[3] = matrix(g->bias_format, 1, m > n ? m : n, 1, &ignored, how);
	g->bias = job->memory[3];
	if (fd != QUIRE_FORMAT_FP64 && rnd() % 2) {
		g->c.format = fd;
		g->c.data = g->d.data;
		g->c.leading_dimension = g->d.leading_dimension;
		g->c.batch_stride = g->d.batch_stride;
		fill(fd, g->d.data, (batch - 1) * g->d.batch_stride + m * g->d.leading_dimension, how);
	} else {
		g->c.format = rnd() % 4 ? formats[rnd() % OPERANDS] : QUIRE_FORMAT_QUIRE;
		g->c.leading_dimension = n + rnd() % 4;
		job->memory[4] = matrix(g->c.format, m, g->c.leading_dimension, batch,
					&g->c.batch_stride, how);
		g->c.data = job->memory[4];
	}
}

void drop(struct job *job)
{
	for (int i = 0; i < 5; i++)
		free(job->memory[i]);
}

const char *const kernels[KERNELS] = { "amx", "ifma", "avx2", "generic", "plain" };

void check(struct job *job)
{
	struct quire_gemm *g = &job->g;
	uint32_t fd = g->d.format, size = bytes_of(fd), words = size == 80 ? 10 : 1;
	uint64_t bytes = ((g->batch - 1) * g->d.batch_stride + g->m * g->d.leading_dimension) * size;
	uint8_t *before = malloc(bytes), *good = malloc(bytes);
	uint64_t digest = 0;

	memcpy(before, g->d.data, bytes);
	memcpy(good, before, bytes);
	for (uint64_t b = 0; b < g->batch; b++)
		for (uint64_t i = 0; i < g->m; i++)
			for (uint64_t j = 0; j < g->n; j++) {
				uint64_t at = b * g->d.batch_stride + i * g->d.leading_dimension + j;
				uint64_t index = (b * g->m + i) * g->n + j, out[10];

				expect(g, g->c.data == g->d.data ? before : g->c.data, b, i, j, out);
				for (uint32_t w = 0; w < words; w++)
					digest += size < 8 ? oracle_digest_word(index, out[w]) :
							     oracle_digest_pair(index * words + w, out[w]);
				if (is_posit(fd) && out[0] >> (width_of(fd) - 1))
					out[0] |= ~0ull << width_of(fd);
				memcpy(good + at * size, out, size);
			}
	for (size_t x = 0; x < KERNELS; x++) {
		struct quire_gemm_result r;

		if (quire_kernel_select(kernels[x]))
			continue;
		memcpy(g->d.data, before, bytes);
		assert_int_equal(quire_gemm(g, &r), 0);
		for (uint64_t at = 0; at < bytes; at++)
			if (((uint8_t *)g->d.data)[at] != good[at])
				fail_msg("%s: m %u n %u k %u formats %x %x %x alpha %a beta %a byte %llu is %02x not %02x",
					 kernels[x], g->m, g->n, g->k, g->a.format, g->b.format, fd,
					 g->alpha, g->beta, (unsigned long long)at,
					 ((uint8_t *)g->d.data)[at], good[at]);
		assert_int_equal(r.digest, digest);
		assert_int_equal(r.macs, (uint64_t)g->m * g->n * g->k * g->batch);
	}
	quire_kernel_select(NULL);
	free(before);
	free(good);
}

void one(uint32_t m, uint32_t n, uint32_t k, uint32_t fa, uint32_t fb, uint32_t fd,
		bool extras, enum fill how)
{
	struct job job;

	make(&job, m, n, k, 1, fa, fb, fd, extras, how);
	check(&job);
	drop(&job);
}
