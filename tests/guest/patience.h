/* SPDX-License-Identifier: MIT */
/* How much longer than on an ordinary kernel a test may take: what checks each access and lock. */
#ifndef QUIRE_TESTS_PATIENCE_H
#define QUIRE_TESTS_PATIENCE_H

#include <unistd.h>

/* A factor for limits of time, 1 on an ordinary kernel. */
static inline int test_patience(void)
{
	static int patience;

	if (!patience)
		patience = access("/proc/lockdep_stats", F_OK) ? 1 : 10;
	return patience;
}

#endif
