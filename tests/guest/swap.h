/* SPDX-License-Identifier: MIT */
/* Swap space for guest tests, and what makes the kernel use it for buffers. */
#ifndef QUIRE_TESTS_SWAP_H
#define QUIRE_TESTS_SWAP_H

/* A compressed disk in memory, for all processes; -ENOENT: the kernel has none. */
int swap_on(void);
/* What lies there comes back to memory; 0 or -errno, also if there is no swap space. */
int swap_off(void);
/* Bytes in use, or -1. */
long long swap_used(void);

/*
 * TTM may have next to no memory for a moment: what is idle goes to shared memory, which the
 * kernel can swap out.  Nothing happens without swap space.  @fd is of any card.
 */
int swap_out_buffers(int fd);
/* TTM may have what it has for good.  For who killed a process that was in swap_out_buffers(). */
void swap_limit_restore(void);

/*
 * The process and its children to be: what they use can be pushed out by itself.  Their shared
 * memory goes to swap space in swap_push(), as far as it can.
 */
int swap_group_enter(void);
int swap_push(void);
/* Once its processes have ended. */
void swap_group_remove(void);

#endif
