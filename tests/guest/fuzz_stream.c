// SPDX-License-Identifier: MIT
#include <string.h>

#include <quire/hw.h>

#include "fuzz_stream.h"

#define FP32_ONE 0x3f800000u

struct place {
	uint64_t va;
	uint64_t span;
};

static uint64_t address(struct rng *rng, const struct place *place, uint32_t align)
{
	return place->va + rng_next(rng) % place->span / align * align;
}

static uint32_t format(struct rng *rng)
{
	static const uint32_t formats[] = { QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16,
					    QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_BF16,
					    QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP16,
					    QUIRE_FORMAT_INT8, QUIRE_FORMAT_MXFP8 };

	return formats[rng_below(rng, sizeof(formats) / sizeof(formats[0]))];
}

static struct quire_operand operand(struct rng *rng, const struct place *place, uint32_t kind,
				    uint32_t columns)
{
	return (struct quire_operand){ .address = address(rng, place, 64), .format = kind,
				       .leading_dimension = (columns + 31) / 32 * 32 };
}

static size_t gemm(struct rng *rng, const struct place *place, void *out)
{
	struct quire_packet_gemm *p = out;
	uint32_t most = rng_once_in(rng, 20) ? 512 : 48, kind = format(rng);
	uint32_t m = 1 + rng_below(rng, most), n = 1 + rng_below(rng, most);
	uint32_t k = rng_below(rng, most);

	*p = (struct quire_packet_gemm){ .header = { QUIRE_PACKET_GEMM, sizeof(*p), 0, 0 },
					 .m = m, .n = n, .k = k, .batch = 1 + rng_once_in(rng, 8),
					 .alpha = FP32_ONE,
					 .a = operand(rng, place, kind, k + 1),
					 .b = operand(rng, place, kind, n),
					 .d = operand(rng, place, rng_once_in(rng, 3) ? format(rng) : kind, n) };
	if (rng_once_in(rng, 4)) {
		p->beta = FP32_ONE;
		p->c = operand(rng, place, kind, n);
	}
	if (rng_once_in(rng, 4))
		p->gemm_flags = rng_below(rng, 2 * QUIRE_GEMM_FLAGS);
	return sizeof(*p);
}

static size_t copy(struct rng *rng, const struct place *place, void *out)
{
	struct quire_packet_copy *p = out;
	uint64_t bytes = 1 + rng_below(rng, rng_once_in(rng, 8) ? 1u << 20 : 1u << 12);

	*p = (struct quire_packet_copy){ .header = { QUIRE_PACKET_COPY, sizeof(*p), 0, 0 },
					 .source = address(rng, place, 1),
					 .destination = address(rng, place, 1),
					 .row_bytes = bytes, .source_stride = bytes + 64,
					 .destination_stride = bytes,
					 .rows = 1 + rng_below(rng, 4) };
	return sizeof(*p);
}

static size_t fill(struct rng *rng, const struct place *place, void *out)
{
	struct quire_packet_fill *p = out;

	*p = (struct quire_packet_fill){ .header = { QUIRE_PACKET_FILL, sizeof(*p), 0, 0 },
					 .destination = address(rng, place, 8),
					 .bytes = 8ull << rng_below(rng, 18),
					 .pattern = rng_next(rng) };
	return sizeof(*p);
}

static size_t convert(struct rng *rng, const struct place *place, void *out)
{
	struct quire_packet_convert *p = out;
	uint32_t rows = 1 + rng_below(rng, 64), columns = 1 + rng_below(rng, 64);

	*p = (struct quire_packet_convert){ .header = { QUIRE_PACKET_CONVERT, sizeof(*p), 0, 0 },
					    .rows = rows, .columns = columns,
					    .source = operand(rng, place, format(rng), columns),
					    .destination = operand(rng, place, format(rng), columns) };
	return sizeof(*p);
}

static size_t pack(struct rng *rng, const struct place *place, void *out)
{
	struct quire_packet_pack *p = out;
	int back = rng_once_in(rng, 2);
	struct quire_operand dense = operand(rng, place, QUIRE_FORMAT_FP32, 64), tiled = dense;

	tiled.format = QUIRE_FORMAT_TILED;
	tiled.leading_dimension = 0;
	tiled.address = address(rng, place, 64);
	*p = (struct quire_packet_pack){
		.header = { back ? QUIRE_PACKET_UNPACK : QUIRE_PACKET_PACK, sizeof(*p), 0, 0 },
		.rows = 1 + rng_below(rng, 64), .columns = 1 + rng_below(rng, 64),
		.image_bytes = 64ull << rng_below(rng, 12),
		.source = back ? tiled : dense, .destination = back ? dense : tiled };
	return sizeof(*p);
}

static size_t nop(struct rng *rng, const struct place *place, void *out)
{
	struct quire_packet_header *p = out;

	(void)rng;
	(void)place;
	*p = (struct quire_packet_header){ QUIRE_PACKET_NOP, sizeof(*p), 0, 0 };
	return sizeof(*p);
}

size_t fuzz_stream(struct rng *rng, void *out, size_t room, uint64_t va, uint64_t span)
{
	static size_t (*const kinds[])(struct rng *, const struct place *, void *) = {
		nop, gemm, gemm, copy, fill, fill, convert, pack,
	};
	const struct place place = { va, span };
	uint32_t count = 1 + rng_below(rng, 6);
	size_t used = 0;

	while (count-- && room - used >= QUIRE_PACKET_MAX_BYTES) {
		uint8_t packet[QUIRE_PACKET_MAX_BYTES];
		size_t bytes = kinds[rng_below(rng, sizeof(kinds) / sizeof(kinds[0]))](rng, &place,
										      packet);

		if (rng_once_in(rng, 6))
			((struct quire_packet_header *)packet)->result = address(rng, &place, 8);
		if (rng_once_in(rng, 8))
			rng_mutate(rng, packet, bytes);
		memcpy((char *)out + used, packet, bytes);
		used += bytes;
	}
	return used;
}
