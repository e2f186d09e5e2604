// SPDX-License-Identifier: MIT
/*
 * Products whose B is too large to be kept by an engine, or not kept at all, on the card's core with its real
 * firmware, under the sanitizers: cut into windows of columns and bands of rows they are bit
 * for bit what they are in one piece, and so are their digests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quirenum/gemm.h>

#include "machine.h"

/*
 * 4096 times 384 columns is what an engine keeps, of longer sums nothing; 192 rows of 288
 * columns are a band.
 */
#define M 230u
#define N 800u
#define WINDOWS 3u		/* 288, 288 and 224 columns */
#define ROW_BANDS 2u
#define ROW_BANDS_MX 4u		/* of numbers that may be far apart: half the products, 64 rows */
#define LEADING (N + 13)	/* of C and D */
#define BATCH 2u

#define RESULT 0x8000u	/* offsets in the data */
#define BIAS 0x9000u
#define A 0x10000u
#define D 0x200000u
#define B 0x400000u
#define DATA_BYTES 0x800000u

static uint8_t *data_of(struct machine *machine, uint32_t offset)
{
	return machine->memory + CARD_DATA + offset;
}

static struct machine *create(unsigned int engines)
{
	const char *error;
	struct machine *machine = machine_create(engines, 1, &error);

	assert_non_null(machine);
	card_boot(&machine->card);
	for (uint32_t offset = 0; offset < DATA_BYTES; offset += QUIRE_BLOCK_BYTES)
		card_map(&machine->card, 0, CARD_VIRTUAL + offset,
			 (CARD_DATA + offset) | QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_BLOCK);
	card_start_queue(&machine->card, 0, 0);
	return machine;
}

/* Numbers of INT8; as MXFP8 they are finite: 2^-7 to 2^-1 as a scale. */
static void fill(struct machine *machine)
{
	uint8_t *bytes = data_of(machine, 0);
	uint64_t x = 0x853c49e6748fea9bull;

	for (uint32_t i = BIAS; i < DATA_BYTES; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		bytes[i] = (uint8_t)(0x78 + (x >> 61) % 7);
		if (i % 33 && x >> 60 & 1)
			bytes[i] ^= 0xff;
	}
	for (uint32_t i = 0; i < BATCH * M * LEADING; i++) {
		float c = (float)(i * 7919u % 100001u) - 50000;

		memcpy(data_of(machine, D + 4 * i), &c, sizeof(c));
	}
}

static struct quire_packet_gemm describe(uint32_t k, uint32_t format, uint32_t flags)
{
	bool at = flags & QUIRE_GEMM_TRANSPOSE_A, bt = flags & QUIRE_GEMM_TRANSPOSE_B;
	const struct quire_operand d = { CARD_VIRTUAL + D, M * LEADING, QUIRE_FORMAT_FP32, LEADING };

	return (struct quire_packet_gemm){
		.header = { QUIRE_PACKET_GEMM, sizeof(struct quire_packet_gemm), 0, CARD_VIRTUAL + RESULT },
		.m = M, .n = N, .k = k, .batch = BATCH, .gemm_flags = flags,
		.alpha = 0x3f800000, .beta = 0x3f800000,
		/* both of a batch have the same A and B but differ in C */
		.a = { CARD_VIRTUAL + A, 0, QUIRE_FORMAT_INT8, at ? M : k },
		.b = { CARD_VIRTUAL + B, 0, format, bt ? k : N },
		.c = d, .d = d,
		.bias_address = CARD_VIRTUAL + BIAS, .bias_format = QUIRE_FORMAT_INT8,
	};
}

/* The same, whole, by the library, with D elsewhere. */
static uint64_t in_one_piece(struct machine *machine, const struct quire_packet_gemm *p, float *d)
{
	struct quire_gemm g = {
		.m = M, .n = N, .k = p->k, .batch = BATCH, .alpha = 1, .beta = 1,
		.a = { data_of(machine, A), p->a.format, !!(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A),
		       p->a.leading_dimension, 0 },
		.b = { data_of(machine, B), p->b.format, !!(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B),
		       p->b.leading_dimension, 0 },
		.c = { d, QUIRE_FORMAT_FP32, 0, LEADING, M * LEADING },
		.d = { d, QUIRE_FORMAT_FP32, 0, LEADING, M * LEADING },
		.bias = data_of(machine, BIAS), .bias_format = QUIRE_FORMAT_INT8,
		.bias_kind = p->gemm_flags & QUIRE_GEMM_BIAS_ROW ? QUIRE_GEMM_BIAS_PER_ROW :
								   QUIRE_GEMM_BIAS_PER_COLUMN,
	};
	struct quire_gemm_result result;

	memcpy(d, data_of(machine, D), 4 * BATCH * M * LEADING);
	assert_int_equal(0, quire_gemm(&g, &result));
	return result.digest;
}

static int64_t element(struct machine *machine, uint32_t offset, uint64_t index)
{
	return (int8_t)*data_of(machine, offset + (uint32_t)index);
}

/* Some elements of D with INT8, summed up in integers; what C was is in `before`. */
static void check_elements(struct machine *machine, const struct quire_packet_gemm *p,
			   const float *before)
{
	bool at = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A, bt = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B;

	for (uint32_t i = 0; i < BATCH * M * N; i += 797) {
		uint32_t z = i / (M * N), row = i / N % M, column = i % N;
		uint32_t place = (z * M + row) * LEADING + column;
		int64_t sum = (int64_t)before[place] +
			      element(machine, BIAS, p->gemm_flags & QUIRE_GEMM_BIAS_ROW ? row : column);
		float want, got;

		for (uint64_t k = 0; k < p->k; k++)
			sum += element(machine, A, at ? k * M + row : row * p->k + k) *
			       element(machine, B, bt ? column * p->k + k : k * N + column);
		want = (float)sum;
		memcpy(&got, data_of(machine, D + 4 * place), sizeof(got));
		assert_true(want == got);
	}
}

static void windows_change_no_bit(void **state)
{
	static const struct { uint32_t k, format, flags, engines; } cases[] = {
		{ 4096, QUIRE_FORMAT_INT8, QUIRE_GEMM_BIAS_COLUMN, 1 },
		{ 4096, QUIRE_FORMAT_INT8, QUIRE_GEMM_BIAS_ROW | QUIRE_GEMM_TRANSPOSE_B, 2 },
		{ 4096, QUIRE_FORMAT_INT8, QUIRE_GEMM_BIAS_COLUMN | QUIRE_GEMM_TRANSPOSE_A, 3 },
		{ 4096, QUIRE_FORMAT_MXFP8, QUIRE_GEMM_BIAS_COLUMN, 2 },
		{ 4096, QUIRE_FORMAT_MXFP8, QUIRE_GEMM_BIAS_ROW | QUIRE_GEMM_TRANSPOSE_B, 1 },
		{ 4160, QUIRE_FORMAT_INT8, QUIRE_GEMM_BIAS_COLUMN, 2 },
	};
	static float want[BATCH * M * LEADING], before[BATCH * M * LEADING];

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct quire_packet_gemm p = describe(cases[i].k, cases[i].format, cases[i].flags);
		const bool mx = cases[i].format == QUIRE_FORMAT_MXFP8;
		const uint64_t b_bytes = mx ? N * p.k / 32 * 33 : N * p.k;
		const uint32_t row_bands = mx ? ROW_BANDS_MX : ROW_BANDS;
		struct machine *machine = create(cases[i].engines);
		struct quire_packet_result result;
		uint64_t digest;

		fill(machine);
		memcpy(before, data_of(machine, D), sizeof(before));
		digest = in_one_piece(machine, &p, want);
		assert_int_equal(QUIRE_STATUS_OK, card_run(&machine->card, 0, 0, &p, sizeof(p)).status);
		memcpy(&result, data_of(machine, RESULT), sizeof(result));
		/* what lies between the rows of D as well */
		assert_memory_equal(want, data_of(machine, D), sizeof(want));
		assert_int_equal(digest, result.digest);
		assert_int_equal((uint64_t)BATCH * M * N * p.k, result.macs);
		if (!mx)
			check_elements(machine, &p, before);
		/* it has been cut: A once per window, B once per band of rows */
		assert_int_equal(BATCH * (WINDOWS * M * p.k + row_bands * b_bytes + M * N * 4 +
					  (p.gemm_flags & QUIRE_GEMM_BIAS_ROW ? WINDOWS * M : row_bands * N)),
				 result.bytes_read);
		assert_int_equal(BATCH * M * N * 4, result.bytes_written);
		machine_destroy(machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_change_no_bit),
	};

	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
