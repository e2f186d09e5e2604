/* SPDX-License-Identifier: MIT */
/*
 * Panels of the FP32 mode from BF16.  Included by the kernel_*.c that have no packing of
 * their own, so that the compiler makes it for that CPU.
 */
#ifndef QUIRE_FP32_TEMPLATE_H
#define QUIRE_FP32_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t fp32_halves4 __attribute__((vector_size(8)));
typedef uint16_t fp32_halves8 __attribute__((vector_size(16)));
typedef uint32_t fp32_words4 __attribute__((vector_size(16)));

static inline float fp32_widen(uint16_t x)
{
	uint32_t bits = (uint32_t)x << 16;
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

static inline void fp32_widen_eight(const uint16_t *data, float *out)
{
	const fp32_halves8 zero = { 0 };
	fp32_halves8 x, y;

	memcpy(&x, data, sizeof(x));
	/* a half above a zero: a float, in the byte order of the machine */
	y = __builtin_shufflevector(zero, x, 0, 8, 1, 9, 2, 10, 3, 11);
	memcpy(out, &y, sizeof(y));
	y = __builtin_shufflevector(zero, x, 4, 12, 5, 13, 6, 14, 7, 15);
	memcpy(out + 4, &y, sizeof(y));
}

/* Four rows of four elements to four columns. */
static inline void fp32_widen_transposed(const uint16_t *data, uint64_t pitch, float *out,
					 uint32_t stride)
{
	fp32_words4 x[4], a, b, c, d;

	for (int j = 0; j < 4; j++) {
		fp32_halves4 h;

		memcpy(&h, data + j * pitch, sizeof(h));
		x[j] = __builtin_convertvector(h, fp32_words4) << 16;
	}
	a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5);
	b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5);
	c = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
	d = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
	x[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
	x[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
	x[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
	x[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
	for (int i = 0; i < 4; i++)
		memcpy(out + (size_t)i * stride, &x[i], sizeof(x[i]));
}

/* Lanes that lie side by side in memory. */
static inline void fp32_pack_across_k(float *restrict out, uint32_t lanes,
				      const uint16_t *restrict data, uint64_t pitch, uint32_t used,
				      uint32_t kc)
{
	for (uint32_t i = 0; i < kc; i++, data += pitch, out += lanes) {
		uint32_t l = 0;

		for (; l + 8 <= used; l += 8)
			fp32_widen_eight(data + l, out + l);
		for (; l < used; l++)
			out[l] = fp32_widen(data[l]);
	}
}

/* Lanes along which k runs: four of them, and four k, at a time. */
static inline void fp32_pack_along_k(float *restrict out, uint32_t lanes,
				     const uint16_t *restrict data, uint64_t pitch, uint32_t used,
				     uint32_t kc)
{
	uint32_t l = 0;

	for (; l + 4 <= used; l += 4, data += 4 * pitch) {
		uint32_t i = 0;

		for (; i + 4 <= kc; i += 4)
			fp32_widen_transposed(data + i, pitch, out + (size_t)i * lanes + l, lanes);
		for (; i < kc; i++)
			for (uint32_t j = 0; j < 4; j++)
				out[(size_t)i * lanes + l + j] = fp32_widen(data[j * pitch + i]);
	}
	for (; l < used; l++, data += pitch)
		for (uint32_t i = 0; i < kc; i++)
			out[(size_t)i * lanes + l] = fp32_widen(data[i]);
}

/* See struct gemm_kernel. */
static void fp32_pack(float *out, uint32_t lanes, const uint16_t *data, uint64_t lane_stride,
		      uint64_t k_stride, uint32_t used, uint32_t kc)
{
	if (used < lanes)
		memset(out, 0, (size_t)lanes * kc * sizeof(*out));
	if (k_stride == 1)
		fp32_pack_along_k(out, lanes, data, lane_stride, used, kc);
	else
		fp32_pack_across_k(out, lanes, data, k_stride, used, kc);
}

#endif /* QUIRE_FP32_TEMPLATE_H */
