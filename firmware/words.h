/* SPDX-License-Identifier: GPL-2.0-only */
/* Clearing and copying whole words; there is no library. */
#ifndef QUIRE_FW_WORDS_H
#define QUIRE_FW_WORDS_H

#include <stdint.h>

static inline void clear_words(void *at, uint32_t bytes)
{
	uint32_t *word = at;

	for (uint32_t i = 0; i < bytes / 4; i++)
		word[i] = 0;
}

static inline void copy_words(void *to, const void *from, uint32_t bytes)
{
	uint32_t *out = to;
	const uint32_t *in = from;

	for (uint32_t i = 0; i < bytes / 4; i++)
		out[i] = in[i];
}

#endif
