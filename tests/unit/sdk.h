/* SPDX-License-Identifier: MIT */
/* What tests of the SDK share: one device and context on the backend that QUIRE_BACKEND names. */
#ifndef QUIRE_TESTS_SDK_H
#define QUIRE_TESTS_SDK_H

#include <stdbool.h>
#include <stdint.h>

#include <quire.h>

extern quire_device *device;
extern quire_context *context;
extern bool sdk_computes;	/* null checks commands and leaves memory alone */

/* Set-up and tear-down of a cmocka group. */
int sdk_open(void **state);
int sdk_close(void **state);

/* Pseudo-random, the same on every run: 0 .. below - 1. An old state gives the same again. */
extern uint64_t rnd_state;
uint32_t rnd(uint32_t below);

/* The last error must hold these words. */
void says(const char *words);

#endif /* QUIRE_TESTS_SDK_H */
