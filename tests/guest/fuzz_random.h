/* SPDX-License-Identifier: MIT */
/* Random numbers that like the values at which programs break. */
#ifndef QUIRE_TESTS_FUZZ_RANDOM_H
#define QUIRE_TESTS_FUZZ_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint32_t rng_below(struct rng *rng, uint32_t end)
{
	return (uint32_t)((rng_next(rng) >> 32) * end >> 32);
}

/* True once in @n times. */
static inline int rng_once_in(struct rng *rng, uint32_t n)
{
	return rng_below(rng, n) == 0;
}

static inline uint64_t rng_odd_value(struct rng *rng)
{
	static const uint64_t odd[] = { 0, 1, 2, 3, 7, 8, 0xff, 0xfff, 0x1000, 0x1001, 0x1fffff,
					0x200000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
					0xfffffffff000, 0x1000000000000, 0x7ffffffffffff000,
					0x8000000000000000, 0xfffffffffffff000, ~0ull };

	switch (rng_below(rng, 4)) {
	case 0:
		return (1ull << rng_below(rng, 64)) + rng_below(rng, 3) - 1;
	case 1:
		return rng_next(rng);
	default:
		return odd[rng_below(rng, sizeof(odd) / sizeof(odd[0]))];
	}
}

/* Changes one field of something that was right before. */
static inline void rng_mutate(struct rng *rng, void *what, size_t bytes)
{
	uint8_t *at = what;
	uint64_t value = rng_odd_value(rng);
	size_t width = (size_t)1 << rng_below(rng, 4), place;

	if (width > bytes)
		width = bytes;
	place = rng_below(rng, (uint32_t)(bytes / width)) * width;
	if (rng_once_in(rng, 3))
		at[place] ^= (uint8_t)(1u << rng_below(rng, 8));
	else
		__builtin_memcpy(at + place, &value, width);
}

#endif
