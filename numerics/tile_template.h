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

static inline uint64_t tile_checksum(const uint64_t *patterns, uint32_t count, uint64_t index)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += quire_digest_word(index + i, (uint32_t)patterns[i]);
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
	row->digest += round_digest(row->format, count, bits, row->index);
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

/*
 * Rounding to posits, seen on the double's own pattern.  Without the bias of the exponent
 * it is the number t = E * 2^52 + fraction, E = 4r + e, and posit<n> keeps of its lower 54
 * bits (e and fraction) what the regime leaves: m = n - 1 - length(r).  Rounding the
 * posit's string to nearest even is rounding t so, a carry moving on into the regime as
 * it does in the string; only when m = 0 the last bit kept is the regime's own end, 0 for
 * r >= 0 and 1 below.  Where not even that fits the result is the largest or the
 * smallest posit, which the limits at the end give.
 *
 * Sums are kept in eight lanes on every CPU, so that they are the same.
 */
#define MEASURE_LANES 8
typedef int64_t measure_words __attribute__((vector_size(64)));
typedef double measure_doubles __attribute__((vector_size(64)));

#define MEASURE_BIAS (1023ll << 52)

/* |x| / 2^scale, its t, and how many of t's bits a posit of 0 bits would drop */
static void measure_prepare(const struct tile_measure *m, int32_t scale, double *x, int64_t *t,
			    int64_t *drop)
{
	const double by = pack_power(-scale);

	for (uint32_t i = 0; i < m->elements; i++) {
		double scaled = m->x[i] * by;
		int64_t word = (int64_t)(pack_bits(scaled) & PACK_ABS), regime, length;

		x[i] = pack_double((uint64_t)word);
		t[i] = word - MEASURE_BIAS;
		regime = t[i] >> 54;
		length = regime >= 0 ? regime + 2 : 1 - regime;
		drop[i] = 54 + 1 + length;
	}
}

static double measure_width(const struct tile_measure *m, uint32_t bits, const double *x,
			    const int64_t *t, const int64_t *drop)
{
	const measure_words zero = { 0 };
	const measure_words limit = zero + ((4 * (int64_t)bits - 8) << 52);
	const measure_words one = zero + 1, regime_end = zero + 54;
	measure_doubles sum = { 0 };
	double total = 0;

	for (uint32_t i = 0; i < m->elements; i += MEASURE_LANES) {
		measure_words word = *(const measure_words *)(const void *)(t + i);
		measure_words shift = *(const measure_words *)(const void *)(drop + i) - (int64_t)bits;
		measure_doubles d = *(const measure_doubles *)(const void *)(x + i);
		measure_words odd, beyond, value, unit;

		beyond = shift >= regime_end;
		shift = (beyond & regime_end) | (~beyond & shift);
		/* at least 55 + 2 - 32 bits are dropped */
		unit = one << shift;
		odd = (beyond & (word < 0)) | (~beyond & ((word & unit) != 0));
		/* odd is all ones or 0: half - 1 + (1 when odd) */
		value = (word + (unit >> 1) - 1 - odd) & -unit;
		beyond = value > limit;
		value = (beyond & limit) | (~beyond & value);
		beyond = value < -limit;
		value = (beyond & -limit) | (~beyond & value);
		value += MEASURE_BIAS;
		d -= (measure_doubles)value;
		sum += *(const measure_doubles *)(const void *)(m->weight + i) * d * d;
	}
	for (int l = 0; l < MEASURE_LANES; l++)
		total += sum[l];
	return total;
}

/* What tile_measure() works on, prepared for one scale. */
struct measure_state {
	int32_t scale;
	_Alignas(64) double x[TILE_ELEMENTS_MAX];
	_Alignas(64) int64_t t[TILE_ELEMENTS_MAX], drop[TILE_ELEMENTS_MAX];
};

static double measure_one(struct tile_measure *m, struct measure_state *state, uint32_t n)
{
	int32_t scale = quire_tile_clamp_scale(n, m->scale);

	if (!__builtin_isinf(m->error[n]))
		return m->error[n];
	if (scale != state->scale)
		measure_prepare(m, scale, state->x, state->t, state->drop);
	state->scale = scale;
	m->error[n] = measure_width(m, n, state->x, state->t, state->drop) * pack_power(scale) *
		      pack_power(scale);
	return m->error[n];
}

#define MEASURE_STRIDE 4	/* of the search for the first width that is not hopeless */

static void tile_measure(struct tile_measure *m)
{
	struct measure_state state;
	uint32_t first = QUIRE_TILE_MIN_BITS;
	double all = 0;

	state.scale = INT32_MAX;
	for (uint32_t n = 0; n <= QUIRE_TILE_MAX_BITS; n++)
		m->error[n] = __builtin_inf();
	for (uint32_t i = 0; i < m->elements; i++)
		all += m->weight[i] * m->x[i] * m->x[i];
	if (m->widths & 1 || all == 0)
		m->error[0] = all;
	if (m->error[0] <= m->enough)
		return;
	for (uint32_t n = first + MEASURE_STRIDE; n < QUIRE_TILE_MAX_BITS; n += MEASURE_STRIDE) {
		if (m->widths >> n & 1 && measure_one(m, &state, n) <= m->hopeless)
			break;
		if (m->widths >> n & 1)
			first = n;
	}
	for (uint32_t n = first; n <= QUIRE_TILE_MAX_BITS; n++)
		if (m->widths >> n & 1 && measure_one(m, &state, n) <= m->enough)
			return;
}

static bool tile_differences(const double *x, const double *y, uint32_t count, double *d,
			     int64_t *most, int64_t *last)
{
	const measure_words zero = { 0 }, fraction = zero + 0xfffffffffffffll;
	measure_words lost = zero, top = zero + *most, low = zero + *last;

	for (uint32_t i = 0; i < count; i += MEASURE_LANES) {
		measure_doubles a = *(const measure_doubles *)(const void *)(x + i);
		measure_doubles b = *(const measure_doubles *)(const void *)(y + i);
		measure_doubles s = a - b, t = s - a;
		measure_words word = (measure_words)s & (zero + (int64_t)PACK_ABS), bit, select;

		/* TwoSum: the sum of s and this is a - b exactly */
		lost |= (measure_words)((a - (s - t)) + (-b - t)) << 1;
		*(measure_doubles *)(void *)(d + i) = s;
		/* the last bit of the fraction, or 2^exponent where it is zero */
		bit = (measure_words)((measure_doubles)word - (measure_doubles)(word & (word - 1)));
		select = (word & fraction) == 0;
		bit = (select & word) | (~select & bit);
		/* zeros have no last bit */
		bit |= (word == 0) & INT64_MAX;
		select = word > top;
		top = (select & word) | (~select & top);
		select = bit < low;
		low = (select & bit) | (~select & low);
	}
	for (int i = 0; i < MEASURE_LANES; i++) {
		*most = top[i] > *most ? top[i] : *most;
		*last = low[i] < *last ? low[i] : *last;
		lost[0] |= lost[i];
	}
	return !lost[0];
}

/*
 * In halves of 29 bits, h 2^29 + l: 32 squares in a lane stay below 2^61, products h l
 * within +-2^62 and squares of l below 2^63.
 */
static unsigned __int128 tile_squares(const double *d, uint32_t count, int32_t unit)
{
	const double by = pack_power(-unit);
	measure_words high = { 0 }, middle = { 0 }, low = { 0 };
	unsigned __int128 sum = 0;

	for (uint32_t i = 0; i < count; i += MEASURE_LANES) {
		measure_doubles whole = *(const measure_doubles *)(const void *)(d + i) * by;
		measure_words v = __builtin_convertvector(whole, measure_words);
		measure_words h = v >> 29, l = v & ((1 << 29) - 1);

		high += h * h;
		middle += h * l;
		low += l * l;
	}
	for (int i = 0; i < MEASURE_LANES; i++)
		sum += ((unsigned __int128)(uint64_t)high[i] << 58) +
		       ((unsigned __int128)(__int128)middle[i] << 30) + (uint64_t)low[i];
	return sum;
}

#define TILE_DEFINE(name)                                                      \
	const struct tile_kernel name = {                                      \
		.load = tile_load,                                             \
		.encode = tile_encode,                                         \
		.value = tile_value,                                           \
		.pack = tile_pack,                                             \
		.decode = tile_decode,                                         \
		.check = tile_check,                                           \
		.measure = tile_measure,                                       \
		.differences = tile_differences,                               \
		.squares = tile_squares,                                       \
		.store = tile_store,                                           \
	}

#endif /* QUIRE_TILE_TEMPLATE_H */
