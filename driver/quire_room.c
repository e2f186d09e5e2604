// SPDX-License-Identifier: GPL-2.0-only
/*
 * Room that calls leave to others.  What the driver allocates cannot be reclaimed: a process that
 * fills its control group with it to the last page is killed at its next page fault, and one
 * that fills the machine has others killed, which frees nothing.  So an eighth of the machine
 * and a part of the control group are left, and a call that would need them fails.  What others
 * do with their memory must not stop work in progress: its calls leave of the machine only what
 * nobody can do without.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/page_counter.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "quire_device.h"
#include "quire_room.h"

/* What is left of a control group: an eighth up to this many pages, for the process's own. */
#define QUIRE_ROOM_GROUP_PAGES ((unsigned long)SZ_4M >> PAGE_SHIFT)
/* What work in progress leaves of the machine: with less, anything may have somebody killed. */
#define QUIRE_ROOM_LAST_PART 64
/* Pieces in which room is tried: the largest the kernel makes room for as for a page. */
#define QUIRE_ROOM_ORDER PAGE_ALLOC_COSTLY_ORDER

bool quire_room_in_machine(u64 bytes)
{
	u64 needed = PFN_UP(bytes) + totalram_pages() / 8;

	return global_zone_page_state(NR_FREE_PAGES) >= needed ||
	       si_mem_available() >= (long)needed;
}

#ifdef CONFIG_MEMCG
/* Pages to come and to be left, if one of the groups that are charged may lack them; or 0. */
static unsigned long quire_room_short(struct mem_cgroup *memcg, unsigned long pages)
{
	unsigned long needed = 0;

	for (; memcg; memcg = parent_mem_cgroup(memcg)) {
		unsigned long limit = READ_ONCE(memcg->memory.max);
		unsigned long wanted = pages + min(limit / 8, QUIRE_ROOM_GROUP_PAGES);

		if (page_counter_read(&memcg->memory) + wanted > limit)
			needed = max(needed, wanted);
	}
	return needed;
}

/* Page caches count, too, and give way to who needs the room: so it is tried. */
static bool quire_room_try(struct mem_cgroup *memcg, unsigned long pages)
{
	struct mem_cgroup *before = set_active_memcg(memcg);
	struct page *page, *next;
	bool room = true;
	LIST_HEAD(pieces);

	for (unsigned long done = 0; room && done < pages; done += 1ul << QUIRE_ROOM_ORDER) {
		page = fatal_signal_pending(current) ? NULL :
		       alloc_pages(QUIRE_GFP_CALL, QUIRE_ROOM_ORDER);
		if (page)
			list_add(&page->lru, &pieces);
		else
			room = false;
	}
	list_for_each_entry_safe(page, next, &pieces, lru)
		__free_pages(page, QUIRE_ROOM_ORDER);
	set_active_memcg(before);
	return room;
}

bool quire_room_in_group(struct mem_cgroup *memcg, u64 bytes)
{
	unsigned long needed = quire_room_short(memcg, PFN_UP(bytes));

	return !needed || quire_room_try(memcg, needed);
}
#else
bool quire_room_in_group(struct mem_cgroup *memcg, u64 bytes)
{
	return true;
}
#endif

bool quire_room_in_own_group(u64 bytes)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(current->mm);
	bool room = quire_room_in_group(memcg, bytes);

	mem_cgroup_put(memcg);
	return room;
}

int quire_room_check(u64 bytes)
{
	return quire_room_in_machine(bytes) && quire_room_in_own_group(0) ? 0 : -ENOMEM;
}

int quire_room_check_work(u64 bytes)
{
	long needed = PFN_UP(bytes) + totalram_pages() / QUIRE_ROOM_LAST_PART;

	/* With swap space, others may use all there is.  Free pages are known at once. */
	if ((long)global_zone_page_state(NR_FREE_PAGES) < needed &&
	    si_mem_available() + get_nr_swap_pages() < needed)
		return -ENOMEM;
	return quire_room_in_own_group(bytes) ? 0 : -ENOMEM;
}
