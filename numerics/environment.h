/* SPDX-License-Identifier: MIT */
/*
 * The floating-point environment of this library: rounding to nearest, subnormals kept (MXCSR has
 * neither FTZ nor DAZ), no traps.  A caller may have any other.  So every public function that
 * compares, rounds or plans with floating-point numbers does so between these two, and so does
 * every task of a pool, whose threads have the environment of whoever created them.  What lies
 * between is a function of its own, never inlined: compilers move arithmetic across these calls,
 * as they do not know that it depends on them.
 */
#ifndef QUIRE_ENVIRONMENT_H
#define QUIRE_ENVIRONMENT_H

#include <fenv.h>

#define ENVIRONMENT_OWN __attribute__((noinline))

static inline void environment_enter(fenv_t *saved)
{
	fegetenv(saved);
	fesetenv(FE_DFL_ENV);
}

static inline void environment_leave(const fenv_t *saved)
{
	fesetenv(saved);
}

#endif /* QUIRE_ENVIRONMENT_H */
