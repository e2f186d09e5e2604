/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_RESTORER_H
#define QUIRE_RESTORER_H

#include <linux/uidgid.h>

struct quire_hold;
struct quire_restorer;

/* Others wait for bands of a user a twentieth of the time at the most. */
#define QUIRE_RESTORER_PATIENCE_PART 20

/* The caller's user, who has one more address space; NULL: no memory.  And one less. */
struct quire_restorer *quire_restorer_get(void);
void quire_restorer_put(struct quire_restorer *restorer);

kuid_t quire_restorer_uid(const struct quire_restorer *restorer);

/* How long others wait for bands of his, in jiffies; less than nothing if they have too often. */
long quire_restorer_left(const struct quire_restorer *restorer);
/* Somebody has waited for them; nothing if he has no address space any more. */
void quire_restorer_charge(kuid_t uid, unsigned long waited);
/* All his address spaces with memory of processes rest for so long, in jiffies. */
void quire_restorer_rest(kuid_t uid, unsigned long least);
bool quire_restorer_rests(const struct quire_restorer *restorer);

/* The hold's work, now or when the user has less.  False: one that has not begun is there. */
bool quire_restore_begin(struct quire_hold *hold);
/*
 * From that work, which cannot be a loop: its workqueue may be about to be frozen.  False: another
 * is there, or will be, and this one is over.
 */
bool quire_restore_again(struct quire_hold *hold);
/* The work is over: the next of this user's. */
void quire_restore_end(struct quire_hold *hold);

int quire_restorer_module_init(void);
/* All cards have gone: their works end. */
void quire_restorer_module_drain(void);
/* All address spaces have. */
void quire_restorer_module_exit(void);

#endif /* QUIRE_RESTORER_H */
