/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_PATIENCE_H
#define QUIRE_PATIENCE_H

#include <linux/cred.h>
#include <linux/spinlock.h>

/* All waits of strangers for one user's jobs: well below what makes a hung task. */
#define QUIRE_PATIENCE_STRANGERS HZ

/**
 * struct quire_patience - how long one may wait for somebody's jobs, all waits together
 *
 * What a wait takes is gone, and comes back as time passes without one.
 */
struct quire_patience {
	/** @lock: protects @empty */
	spinlock_t lock;
	/** @empty: there was none left, in jiffies; what has passed since is there */
	unsigned long empty;
	/** @most: there may be */
	unsigned long most;
};

void quire_patience_init(struct quire_patience *patience, unsigned long most);
unsigned long quire_patience_left(struct quire_patience *patience);
/* A wait that began at @start, when there was @left, is over. */
void quire_patience_spend(struct quire_patience *patience, unsigned long start,
			  unsigned long left);

/* What strangers have with the jobs of a user. */
struct quire_patience *quire_patience_of_user(kuid_t uid);
void quire_patience_module_init(void);

#endif /* QUIRE_PATIENCE_H */
