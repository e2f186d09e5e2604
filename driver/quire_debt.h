/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_DEBT_H
#define QUIRE_DEBT_H

#include <linux/types.h>

struct quire_device;

/* In probe. */
int quire_debts_init(struct quire_device *qdev);
/* Whether the caller's user owes time that the kernel's jobs have taken for him. */
bool quire_debt_owes(struct quire_device *qdev);
/* Sleep until he does not; -ERESTARTSYS.  Under no lock. */
int quire_debt_pay(struct quire_device *qdev);
/* The engines have worked so long on a job of the kernel for the caller, beside @others. */
void quire_debt_add(struct quire_device *qdev, u64 ns, unsigned int others);

#endif /* QUIRE_DEBT_H */
