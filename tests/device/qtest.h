/* SPDX-License-Identifier: MIT */
/*
 * QEMU without a guest: a test is the processor.  The client speaks QEMU's qtest
 * protocol (docs/devel/qtest.rst of QEMU) for memory and I/O ports and QMP for
 * everything else, both over socket pairs that QEMU inherits.
 *
 * A command that fails, and a QEMU that dies, fail the running cmocka test.
 */
#ifndef QUIRE_TESTS_QTEST_H
#define QUIRE_TESTS_QTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qtest;

/* False, with a plan for TAP that skips everything, when $QUIRE_QEMU names no program. */
bool qtest_available(void);

/* Start $QUIRE_QEMU, a q35 with 64 MiB and nothing else but `arguments` (NULL-terminated). */
struct qtest *qtest_start(const char *const arguments[]);
void qtest_stop(struct qtest *qtest);

/* Run QEMU to its end: its exit status, and what it wrote to standard error. */
int qtest_run(const char *const arguments[], char *errors, size_t bytes);

/* The machine's clock, which stands still otherwise. */
void qtest_clock_step(struct qtest *qtest, uint64_t ns);
void qtest_out32(struct qtest *qtest, uint16_t port, uint32_t value);
/* One access of 1, 2, 4 or 8 bytes at a physical address. */
uint64_t qtest_read(struct qtest *qtest, uint64_t address, unsigned int bytes);
void qtest_write(struct qtest *qtest, uint64_t address, uint64_t value, unsigned int bytes);
/* Memory of any length. */
void qtest_memory_read(struct qtest *qtest, uint64_t address, void *to, size_t bytes);
void qtest_memory_write(struct qtest *qtest, uint64_t address, const void *from, size_t bytes);

/* One QMP command, as JSON.  True when it returned, false on an error, whose text is in errors. */
bool qtest_command(struct qtest *qtest, const char *json, char *errors, size_t bytes);
/* Wait for an event of this name; those that came before the call count. */
void qtest_wait_event(struct qtest *qtest, const char *name);
void qtest_set_property(struct qtest *qtest, const char *device, const char *property,
			uint32_t value);

#endif /* QUIRE_TESTS_QTEST_H */
