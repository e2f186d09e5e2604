/* SPDX-License-Identifier: MIT */
/* Two cards and what they share: for tests of dma-buf. */
#ifndef QUIRE_TESTS_SHARED_H
#define QUIRE_TESTS_SHARED_H

#include "card.h"

#define SHARED_DRIVER "/sys/bus/pci/drivers/quire/"
#define SHARED_BIG 1024u /* of the products of a long job */

/* A buffer of A, bound and mapped, that B has a handle of. */
struct shared {
	struct bo bo;
	uint32_t theirs;
};

/* PCI addresses of one or two cards; how many there are. */
int shared_find_cards(char bdf[2][16]);
/* Both cards, and swap space if there can be: without it nothing others have mapped is moved. */
int shared_setup(char bdf[2][16], struct card *a, struct card *b, int *swap);
int shared_teardown(struct card *a, struct card *b, int swap);
/* Number of a card's node. */
int shared_node(const char *bdf);
int shared_export(int fd, uint32_t handle);
int shared_import(int fd, int buffer, uint32_t *handle);
/* A dma-buf of pages of a memfd: -ENOENT, the kernel has no udmabuf.  @memfd: or NULL. */
int shared_udmabuf(uint64_t size, int *memfd);
int shared_make(struct card *a, struct card *b, uint64_t size, uint32_t placement,
		struct shared *shared);
uint32_t shared_resident(int fd, uint32_t handle);
int shared_fill(struct card *card, uint64_t va, uint64_t bytes, uint64_t pattern);
/* A node of vgem, a driver without a device; -ENOENT: the kernel has none. */
int shared_vgem(void);
/* An empty job: brings back what may come back. */
int shared_touch(struct card *card);
/* "key: N unit" of fdinfo in bytes. */
unsigned long long shared_usage(int fd, const char *key);
/* Many products of 1024^3, the first of which go to an own buffer, the others to @result. */
int shared_long_job(struct card *card, uint64_t result, unsigned int own, unsigned int count,
		    uint64_t *point);
/* Until the job has written the first byte, or is over. */
int shared_wait_begun(struct card *card, const void *map, uint64_t point);
/* Whatever is on the card and can leave it does. */
void shared_squeeze(struct card *card);
/* Buffers may move while importers have them mapped: this kernel is known to allow it. */
int shared_memory_moves(void);

#endif
