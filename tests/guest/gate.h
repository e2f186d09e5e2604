/* SPDX-License-Identifier: MIT */
/*
 * A fence that the test itself signals, at the moment it likes and without work for a card: vgem,
 * a driver without a device, lends one.
 */
#ifndef QUIRE_TESTS_GATE_H
#define QUIRE_TESTS_GATE_H

#include <stdint.h>

struct gate {
	int fd; /* of vgem */
	int buffer; /* a dma-buf, whose fence it is */
	uint32_t handle;
	uint32_t fence;
};

/* -ENOENT: the kernel has no vgem. */
int gate_make(struct gate *gate);
void gate_end(struct gate *gate);
/* The binary syncobj of the file gets a fence; vgem signals it after ten seconds at the latest. */
int gate_shut(struct gate *gate, int fd, uint32_t syncobj);
/* -ETIMEDOUT: it was open already. */
int gate_open(struct gate *gate);

#endif
