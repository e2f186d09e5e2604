/* SPDX-License-Identifier: MIT */
/* The digest of results as uapi/quire/format.h defines it, written once more, with remainders. */
#ifndef ORACLE_DIGEST_H
#define ORACLE_DIGEST_H

#include <stdint.h>

/* The share of a word below 2^32. */
static inline uint64_t oracle_digest_word(uint64_t index, uint64_t word)
{
	const uint64_t limit = 4294967296;
	uint64_t place = (index + 1) % limit * 2654434065 + (index + 1) / limit * 2135587861;
	uint64_t x = ((word ^ word / 65536) + place % limit) % limit * 2146121005 % limit;

	return (x ^ x / 32768) * (x ^ x / 32768);
}

/* The share of 64 bits: two words, the lower one first. */
static inline uint64_t oracle_digest_pair(uint64_t index, uint64_t bits)
{
	return oracle_digest_word(2 * index, bits % 4294967296) +
	       oracle_digest_word(2 * index + 1, bits / 4294967296);
}

/* The share of an element of at most 8 bytes. */
static inline uint64_t oracle_digest_element(uint32_t bytes, uint64_t index, uint64_t bits)
{
	return bytes == 8 ? oracle_digest_pair(index, bits) : oracle_digest_word(index, bits);
}

#endif /* ORACLE_DIGEST_H */
