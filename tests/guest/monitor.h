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

/*
 * After a sleep of the machine, 0 or -errno: all its virtio-serial ports begin anew, and one that
 * was open is open again.  Linux 7.3 asks whether a port is open at the other end before it
 * gives room for the answer when it wakes, and lets writers wait for it without end.
 */
int monitor_wake(void);

/* Sends one command of the protocol, waits for its answer: 0, or -EIO if it was an error. */
int monitor_command(const char *json);

/* Sets the property "inject-NAME" of card 0 (docs/developing.md). */
int monitor_inject(const char *name, unsigned int value);

#endif
