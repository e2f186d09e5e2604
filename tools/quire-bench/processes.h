/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_BENCH_PROCESSES_H
#define QUIRE_BENCH_PROCESSES_H

#include "bench.h"

/* Measures, prints the report, and returns the exit status. */
int bench_processes(const struct bench_options *options, unsigned int count);

#endif
