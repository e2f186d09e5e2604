/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_ROOM_H
#define QUIRE_ROOM_H

#include <linux/types.h>

struct mem_cgroup;

/*
 * Whether the machine has @bytes to spare, and a control group (NULL: none) @bytes and what is left
 * to it.
 */
bool quire_room_in_machine(u64 bytes);
bool quire_room_in_group(struct mem_cgroup *memcg, u64 bytes);
/* That of this process. */
bool quire_room_in_own_group(u64 bytes);
/* Both, for a call of this process that is going to allocate @bytes and small things: -ENOMEM. */
int quire_room_check(u64 bytes);
/* For a call that work in progress makes again and again: more of the machine may be used. */
int quire_room_check_work(u64 bytes);

#endif /* QUIRE_ROOM_H */
