/* SPDX-License-Identifier: MIT */
/* A bar on standard error that shows how far a tool is. */
#ifndef QUIRE_PROGRESS_H
#define QUIRE_PROGRESS_H

#include <stdbool.h>

/* On a terminal, or as QUIRE_PROGRESS says: "always", "never". */
bool progress_wanted(void);

/* Draw the bar for a part done, 0 to 1; at 1 it is wiped away. */
void progress_show(const char *name, double done);

#endif /* QUIRE_PROGRESS_H */
