/* SPDX-License-Identifier: MIT */
/*
 * The loops over a tile's elements.  Included by each kernel_*.c, after the other
 * two templates, so that the compiler vectorises them for that CPU.
 */
#ifndef QUIRE_TILE_TEMPLATE_H
#define QUIRE_TILE_TEMPLATE_H

#include "tile_internal.h"

static void tile_load(uint32_t format, const uint8_t *data, uint32_t count, uint64_t *x)
{
	if (format == QUIRE_FORMAT_FP64)
		memcpy(x, data, (size_t)count * 8);
	else
		pack_decode(format, data, count, x);
}

/*
 * A double is (-1)^neg * sig / 2^63 * 2^top.  Subnormals of FP64 lie below 2^-1022,
 * far below the smallest posit of any tile: any exponent down there rounds the
 * same.  Exponents stay within -1200 .. 1200.
 */
static void tile_encode(const uint64_t *x, uint32_t count, uint32_t bits, int32_t scale,
			uint64_t *patterns)
{
	_Alignas(64) uint64_t sig[ROUND_RUN], neg[ROUND_RUN], special[ROUND_RUN];
	_Alignas(64) int64_t top[ROUND_RUN];
	_Alignas(64) uint64_t out[ROUND_RUN];
	const struct round_run run = { sig, neg, top };
	const uint64_t nar = 1ull << (bits - 1);

	for (uint32_t i = 0; i < count; i += ROUND_RUN) {
		for (uint32_t j = 0; j < ROUND_RUN; j++) {
			uint64_t word = x[i + j], magnitude = word & PACK_ABS;

			sig[j] = magnitude ? word << 11 | 1ull << 63 : 0;
			neg[j] = (uint64_t)((int64_t)word >> 63);
			top[j] = (int64_t)(magnitude >> 52) - 1023 - scale;
			special[j] = magnitude >= PACK_INF ? ~0ull : 0;
		}
		round_posit(run, bits, out);
		for (uint32_t j = 0; j < ROUND_RUN; j++)
			patterns[i + j] = special[j] ? nar : out[j];
	}
}

static void tile_value(const uint64_t *patterns, uint32_t count, uint32_t bits, int32_t scale,
		       double *x)
{
	const double unit = pack_power(scale);

	for (uint32_t i = 0; i < count; i++)
		x[i] = pack_double(pack_posit((uint32_t)patterns[i] << (32 - bits))) * unit;
}

/* The digest of format.h, one element. */
static inline uint64_t tile_mix(uint64_t index, uint64_t bits)
{
	uint64_t x = bits + (index + 1) * QUIRE_DIGEST_INDEX;

	x = (x ^ x >> 32) * QUIRE_DIGEST_MULTIPLIER;
	x = (x ^ x >> 29) * QUIRE_DIGEST_MULTIPLIER;
	return x ^ x >> 32;
}

static inline uint64_t tile_checksum(const uint64_t *patterns, uint32_t count, uint64_t index)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += tile_mix(index + i, patterns[i]);
	return sum;
}

/* Largest magnitude, left-aligned in 32 bits; NaR is above all others. */
static inline uint32_t tile_largest(const uint64_t *patterns, uint32_t count, uint32_t bits)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t left = (uint32_t)patterns[i] << (32 - bits);
		uint32_t s = (uint32_t)((int32_t)left >> 31);
		uint32_t magnitude = (left ^ s) - s;

		most = magnitude > most ? magnitude : most;
	}
	return most;
}

/* Bits not yet written: fewer than 32 between rows, 63 at most within. */
struct tile_writer {
	uint8_t *at;
	uint64_t pending;
	uint32_t fill;
};

static inline void tile_write(struct tile_writer *writer, const uint64_t *patterns, uint32_t count,
			      uint32_t bits)
{
	uint64_t pending = writer->pending;
	uint32_t fill = writer->fill;
	uint8_t *at = writer->at;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t word;

		pending |= patterns[i] << fill;
		fill += bits;
		word = (uint32_t)pending;
		/* written whether whole or not: the next write corrects it, and the last
		 * of a tile is whole, for a tile is a multiple of 32 bytes */
		memcpy(at, &word, 4);
		at += fill >> 5 << 2;
		pending = fill & 32 ? pending >> 32 : pending;
		fill &= 31;
	}
	writer->at = at;
	writer->pending = pending;
	writer->fill = fill;
}

static void tile_pack(const struct tile_job *job)
{
	_Alignas(64) uint64_t x[TILE_COLUMNS_MAX], patterns[TILE_COLUMNS_MAX];
	const uint32_t bits = job->tile->bits, columns = job->tile_columns;
	struct tile_writer writer = { job->out, 0, 0 };
	uint64_t checksum = 0;
	uint32_t most = 0;

	memset(x, 0, sizeof(x));
	for (uint32_t r = 0; r < job->tile_rows; r++) {
		if (r < job->rows) {
			tile_load(job->format, job->data + r * job->pitch, job->columns, x);
			tile_encode(x, columns, bits, job->tile->scale, patterns);
		} else if (r == job->rows) {
			memset(patterns, 0, sizeof(patterns));
		}
		if (r < job->rows) {
			uint32_t largest = tile_largest(patterns, columns, bits);

			most = largest > most ? largest : most;
		}
		checksum += tile_checksum(patterns, columns, r * columns);
		tile_write(&writer, patterns, columns, bits);
	}
	job->tile->largest = (uint16_t)(most >> 16);
	job->tile->checksum = checksum;
}

static void tile_check(const uint8_t *data, uint32_t elements, uint32_t bits, uint64_t *checksum,
		       uint16_t *largest)
{
	_Alignas(64) uint32_t left[TILE_COLUMNS_MAX];
	_Alignas(64) uint64_t patterns[TILE_COLUMNS_MAX];
	uint32_t most = 0, bytes = elements / 8 * bits;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < elements; i += TILE_COLUMNS_MAX) {
		uint32_t part;

		tile_read(data, bytes, i, TILE_COLUMNS_MAX, bits, left);
		for (uint32_t j = 0; j < TILE_COLUMNS_MAX; j++)
			patterns[j] = left[j] >> (32 - bits);
		sum += tile_checksum(patterns, TILE_COLUMNS_MAX, i);
		part = tile_largest(patterns, TILE_COLUMNS_MAX, bits);
		most = part > most ? part : most;
	}
	*checksum = sum;
	*largest = (uint16_t)(most >> 16);
}

/* Doubles as sums of the rounding template: 53 bits and an exponent. */
static inline void tile_round(const uint64_t *x, uint32_t count, uint32_t format, uint64_t nan_bits,
			      uint64_t *bits)
{
	for (uint32_t i = 0; i < count; i += ROUND_RUN) {
		_Alignas(64) uint64_t low[ROUND_RUN];
		_Alignas(64) int64_t high[ROUND_RUN];
		_Alignas(64) int32_t exponent[ROUND_RUN];

		for (uint32_t j = 0; j < ROUND_RUN; j++) {
			uint64_t word = i + j < count ? x[i + j] : 0, field = word >> 52 & 0x7ff;
			uint64_t s = (uint64_t)((int64_t)word >> 63);
			uint64_t sig = (word & 0xfffffffffffffull) | (field ? 1ull << 52 : 0);

			sig = field == 0x7ff ? 0 : sig;
			low[j] = (sig ^ s) - s;
			high[j] = (int64_t)low[j] >> 63;
			exponent[j] = (int32_t)field - 1075;
		}
		round_elements(format, ROUND_RUN, low, high, exponent, bits + i);
	}
	for (uint32_t i = 0; i < count; i++)
		bits[i] = (x[i] & PACK_ABS) >= PACK_INF ? nan_bits : bits[i];
}

static void tile_store(const uint64_t *x, uint32_t count, struct tile_row *row)
{
	_Alignas(64) uint64_t bits[TILE_COLUMNS_MAX];
	const uint32_t width = QUIRE_FORMAT_BITS(row->format);
	const uint64_t extend = QUIRE_FORMAT_KIND(row->format) == QUIRE_KIND_POSIT ?
				1ull << (width - 1) : 0;

	if (row->format == QUIRE_FORMAT_FP64) {
		memcpy(bits, x, (size_t)count * 8);
	} else if (row->format == QUIRE_FORMAT_FP32) {
		/* the conversion rounds to nearest even, subnormals included */
		for (uint32_t i = 0; i < count; i++) {
			float f = (float)pack_double(x[i]);
			uint32_t word;

			memcpy(&word, &f, 4);
			bits[i] = word;
		}
	} else {
		tile_round(x, count, row->format, row->nan_bits, bits);
	}
	row->digest += tile_checksum(bits, count, row->index);
	row->exceptional += gemm_count_exceptional(row->format, bits, count);
	switch (width <= 8 ? 1 : width <= 16 ? 2 : width <= 32 ? 4 : 8) {
	case 1:
		for (uint32_t i = 0; i < count; i++)
			((uint8_t *)row->data)[i] = (uint8_t)((bits[i] ^ extend) - extend);
		break;
	case 2:
		for (uint32_t i = 0; i < count; i++)
			((uint16_t *)row->data)[i] = (uint16_t)((bits[i] ^ extend) - extend);
		break;
	case 4:
		for (uint32_t i = 0; i < count; i++)
			((uint32_t *)row->data)[i] = (uint32_t)((bits[i] ^ extend) - extend);
		break;
	default:
		memcpy(row->data, bits, (size_t)count * 8);
		break;
	}
}

#define TILE_DEFINE(name)                                                      \
	const struct tile_kernel name = {                                      \
		.load = tile_load,                                             \
		.encode = tile_encode,                                         \
		.value = tile_value,                                           \
		.pack = tile_pack,                                             \
		.decode = tile_decode,                                         \
		.check = tile_check,                                           \
		.store = tile_store,                                           \
	}

#endif /* QUIRE_TILE_TEMPLATE_H */
