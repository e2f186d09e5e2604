/* SPDX-License-Identifier: MIT */
/*
 * QEMU's machine protocol from inside of the guest: how a test breaks the card it
 * runs on.  Needs quire-vm --guest-monitor.
 */
#ifndef QUIRE_TESTS_MONITOR_H
#define QUIRE_TESTS_MONITOR_H

/* 0 or -errno; -ENODEV: the machine has no such port. */
int monitor_open(void);
void monitor_close(void);

/* Sends one command of the protocol, waits for its answer: 0, or -EIO if it was an error. */
int monitor_command(const char *json);

/* Sets the property "inject-NAME" of card 0 (docs/developing.md). */
int monitor_inject(const char *name, unsigned int value);

#endif
