/* SPDX-License-Identifier: MIT */
/*
 * What fuzz targets take from their input.  Behind its end lie pseudo-random bytes that hang on
 * those before: zeros would make most jobs alike, and most of their numbers zero.
 */
#ifndef QUIRE_TESTS_FUZZ_INPUT_H
#define QUIRE_TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct input {
	const uint8_t *at;
	size_t left;
	uint64_t state;
};

static inline struct input input_of(const uint8_t *data, size_t size)
{
	struct input in = { data, size, 0x9e3779b97f4a7c15ull };

	for (size_t i = 0; i < size; i++)
		in.state = (in.state ^ data[i]) * 0x100000001b3ull;
	in.state |= !in.state;
	return in;
}

static inline void must(bool condition)
{
	if (!condition)
		abort();
}

static inline uint8_t take_byte(struct input *in)
{
	if (in->left) {
		in->left--;
		return *in->at++;
	}
	in->state ^= in->state << 13;
	in->state ^= in->state >> 7;
	in->state ^= in->state << 17;
	return (uint8_t)(in->state * 0x2545f4914f6cdd1dull >> 56);
}

static inline uint64_t take(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)take_byte(in) << 8 * i;
	return value;
}

static inline uint32_t take_below(struct input *in, uint32_t limit)
{
	return (uint32_t)take(in, 2) % limit;
}

static inline void fill(struct input *in, uint8_t *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = take_byte(in);
}

#endif /* QUIRE_TESTS_FUZZ_INPUT_H */
