/* SPDX-License-Identifier: MIT */
/*
 * Operands to doubles with AVX-512, part of pack_template.h.  A panel takes a few cache lines of each row
 * of lanes that lie side by side in memory, often a page from one to the next.
 */
#ifndef QUIRE_PACK_DOUBLES_AVX512_H
#define QUIRE_PACK_DOUBLES_AVX512_H

#include "pack_avx512.h"

/*
 * The elements of lanes that lie side by side in memory, used of them real, from (lane, k) on: row
 * behind row, and up to 63 bytes more.
 */
static inline struct gemm_source pack_gather(const struct gemm_source *source, uint8_t *to,
					     uint32_t lanes, uint64_t lane, uint32_t used, uint64_t k,
					     uint32_t kc)
{
	const uint32_t element = source->element, bytes = used * element, row = lanes * element;
	const uint8_t *from = source->data + (lane + k * source->k_stride) * element;
	const struct gemm_source near = {
		.data = to, .format = source->format, .element = element, .lane_stride = 1, .k_stride = lanes,
	};

	for (uint32_t i = 0; i < kc; i++, from += source->k_stride * element, to += row)
		for (uint32_t at = 0; at < row; at += 64)
			_mm512_storeu_si512(to + at, pack_row_bytes(from, bytes, at));
	return near;
}

/* lanes is a multiple of eight, format that of source */
static inline __attribute__((always_inline)) void
pack_doubles_of(uint32_t format, uint64_t *out, uint32_t lanes, const struct gemm_source *source,
		const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc,
		const struct pack_codes *codes, struct pack_range *range)
{
	const uint32_t element = source->element;

	for (uint32_t l = 0; l < lanes; l += 8) {
		const struct pack_eight none = { _mm512_setzero_si512(), _mm512_set1_epi64(-1),
						 _mm512_setzero_pd() };
		struct pack_eight eight[2] = { none, none };
		uint32_t left = used > l ? used - l : 0, groups = 1;
		uint8_t *code = range ? cut_codes_at(codes->all, lanes, codes->kc, l, codes->k) : NULL;

		if (source->k_stride == 1) {
			const uint64_t pitch = gemm_offset(format, source->lane_stride);

			pack_eight_along_k(out + l, lanes, source->data, format, pitch, lane + l,
					   element, left < 8 ? left : 8, k, kc,
					   range ? &eight[0] : NULL, code);
		} else {
			const uint64_t pitch = gemm_offset(format, source->k_stride);

			groups = l + 16 <= lanes ? 2 : 1;
			if (groups == 2)
				pack_sixteen_across_k(out + l, lanes, source->data + k * pitch, format, pitch,
						      lane[0] + l, element, left < 16 ? left : 16, kc,
						      range ? eight : NULL, code);
			else
				pack_eight_across_k(out + l, lanes, source->data + k * pitch, format, pitch,
						    lane[0] + l, element, left < 8 ? left : 8, kc,
						    range ? eight : NULL, code);
		}
		for (uint32_t g = 0; range && g < groups; g++) {
			_mm512_storeu_si512(range->most + l + 8 * g, eight[g].most);
			_mm512_storeu_si512(range->last + l + 8 * g, pack_last(&eight[g]));
			_mm512_storeu_pd(range->squares + l + 8 * g, eight[g].squares);
		}
		l += 8 * (groups - 1);
	}
}

/*
 * posit32 has a loop of its own; other common formats go by pack_float_avx512.h.  Rows of several cache
 * lines, which may be a page apart, are gathered first: then each is read as a whole, and many at once.
 */
static inline __attribute__((always_inline)) void
pack_doubles(uint64_t *out, uint32_t lanes, const struct gemm_source *source,
	     const uint32_t *lane, uint32_t used, uint64_t k, uint32_t kc,
	     const struct pack_codes *codes, struct pack_range *range)
{
	_Alignas(64) uint8_t rows[PACK_STEPS * GEMM_LANES_MAX * 4 + 64];
	static const uint32_t first = 0;
	struct gemm_source near;

	if (lanes > 16 && source->k_stride != 1 && source->format != QUIRE_FORMAT_MXFP8 &&
	    kc * source->element <= PACK_STEPS * 4) {
		near = pack_gather(source, rows, lanes, lane[0], used, k, kc);
		source = &near;
		lane = &first;
		k = 0;
	}
	if (source->format == QUIRE_FORMAT_POSIT32)
		pack_doubles_of(QUIRE_FORMAT_POSIT32, out, lanes, source, lane, used, k, kc, codes, range);
	else
		pack_doubles_of(source->format, out, lanes, source, lane, used, k, kc, codes, range);
}

#endif /* QUIRE_PACK_DOUBLES_AVX512_H */
