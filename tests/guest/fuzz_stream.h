/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_TESTS_FUZZ_STREAM_H
#define QUIRE_TESTS_FUZZ_STREAM_H

#include "fuzz_random.h"

/*
 * Packets at @out, at most @room bytes of them, whose addresses are from @va on and lie in
 * @span bytes: most are right, some are not.  Bytes written.
 */
size_t fuzz_stream(struct rng *rng, void *out, size_t room, uint64_t va, uint64_t span);

#endif
