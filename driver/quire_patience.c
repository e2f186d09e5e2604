// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long others wait for jobs before they take the memory away under them.  A bound for each
 * wait would not do: whoever maps a file a thousand times has its owner wait a thousand times.
 */
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>

#include "quire_patience.h"

#define QUIRE_PATIENCE_BITS 10

/*
 * Nobody can multiply users, and what one has spent must not come back because he closes what
 * it was spent on.  Hence a table for good; few are so unlucky as to share a place.
 */
static struct quire_patience quire_patience_users[BIT(QUIRE_PATIENCE_BITS)];

void quire_patience_init(struct quire_patience *patience, unsigned long most)
{
	spin_lock_init(&patience->lock);
	patience->most = most;
	patience->empty = jiffies - most;
}

unsigned long quire_patience_left(struct quire_patience *patience)
{
	unsigned long left, now = jiffies;

	spin_lock(&patience->lock);
	left = min(now - patience->empty, patience->most);
	/* Jiffies wrap around. */
	patience->empty = now - left;
	spin_unlock(&patience->lock);
	return left;
}

/* Waits at the same time count once. */
void quire_patience_spend(struct quire_patience *patience, unsigned long start,
			  unsigned long left)
{
	unsigned long now = jiffies;
	unsigned long empty = now - (left - min(now - start, left));

	spin_lock(&patience->lock);
	if (time_after(empty, patience->empty))
		patience->empty = empty;
	spin_unlock(&patience->lock);
}

struct quire_patience *quire_patience_of_user(kuid_t uid)
{
	return &quire_patience_users[hash_32(__kuid_val(uid), QUIRE_PATIENCE_BITS)];
}

void quire_patience_module_init(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(quire_patience_users); i++)
		quire_patience_init(&quire_patience_users[i], QUIRE_PATIENCE_STRANGERS);
}
