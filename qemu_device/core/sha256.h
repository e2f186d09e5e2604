/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_CORE_SHA256_H
#define QUIRE_CORE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256 of bytes at data, FIPS 180-4. */
void quire_sha256(const void *data, size_t bytes, uint8_t digest[32]);

#endif
