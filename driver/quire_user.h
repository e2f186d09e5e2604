/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_USER_H
#define QUIRE_USER_H

#include <linux/uidgid.h>

struct quire_hold;
struct quire_user;

/* Others wait for bands of a user a twentieth of the time at the most. */
#define QUIRE_USER_PATIENCE_PART 20

/*
 * The caller's user, who has one more address space, or buffer of foreign memory; NULL: no memory.
 * And one less.
 */
struct quire_user *quire_user_get(void);
void quire_user_put(struct quire_user *user);

/*
 * He has a buffer of foreign memory of so many bytes; all his have @most together.  -EMFILE: he has
 * as many as there may be; -ENOMEM.  And he has it no more.
 */
int quire_user_take_foreign(struct quire_user *user, u64 bytes, u64 most);
void quire_user_give_foreign(struct quire_user *user, u64 bytes);

kuid_t quire_user_uid(const struct quire_user *user);

/* How long others wait for bands of his, in jiffies; less than nothing if they have too often. */
long quire_user_left(const struct quire_user *user);
/* Somebody has waited for them; nothing if he has no address space any more. */
void quire_user_charge(kuid_t uid, unsigned long waited);
/* All his address spaces with memory of processes rest for so long, in jiffies. */
void quire_user_rest(kuid_t uid, unsigned long least);
bool quire_user_rests(const struct quire_user *user);

/* The hold's work, now or when the user has less.  False: one that has not begun is there. */
bool quire_restore_begin(struct quire_hold *hold);
/*
 * From that work, which cannot be a loop: its workqueue may be about to be frozen.  False: another
 * is there, or will be, and this one is over.
 */
bool quire_restore_again(struct quire_hold *hold);
/* The work is over: the next of this user's. */
void quire_restore_end(struct quire_hold *hold);

int quire_user_module_init(void);
/* All cards have gone: their works end. */
void quire_user_module_drain(void);
/* All address spaces have. */
void quire_user_module_exit(void);

#endif /* QUIRE_USER_H */
