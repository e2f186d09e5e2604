// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "qtest.h"

#define ARGUMENTS_MOST 64
#define ANSWER_SECONDS 30	/* QEMU hangs when an answer takes longer */
#define PIECE_BYTES 2048u	/* of memory in one command */

struct stream {
	int fd;
	FILE *file;
	char *line;
	size_t line_bytes;
};

struct qtest {
	pid_t pid;
	struct stream qtest, qmp;
	char events[16][64];	/* names of events not waited for yet */
	unsigned int event_count;
};

static const char *const machine[] = {
	"-L", "/usr/share/qemu", "-L", "/usr/share/seabios", "-machine", "q35", "-accel", "qtest", "-m", "64M", "-nodefaults", "-display", "none",
	/* Slots of root ports in the card's own way, not through ACPI tables nobody reads. */
	"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
};

bool qtest_available(void)
{
	const char *path = getenv("QUIRE_QEMU");

	if (path && !access(path, X_OK))
		return true;
	printf("1..0 # SKIP QUIRE_QEMU does not name a QEMU with the card\n");
	return false;
}

static unsigned int collect_arguments(const char *list[], const char *const more[])
{
	unsigned int count = 0;

	list[count++] = getenv("QUIRE_QEMU");
	for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]); i++)
		list[count++] = machine[i];
	for (; *more; more++) {
		assert_true(count < ARGUMENTS_MOST - 16);
		list[count++] = *more;
	}
	list[count] = NULL;
	return count;
}

static void become(const char *const list[])
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(list[0], (char *const *)list);
	perror(list[0]);
	_exit(127);
}

static void stream_open(struct stream *stream, int fd)
{
	struct timeval limit = { ANSWER_SECONDS, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	stream->fd = fd;
	stream->file = fdopen(fd, "r");
	assert_non_null(stream->file);
}

static void stream_close(struct stream *stream)
{
	fclose(stream->file);
	free(stream->line);
}

static void stream_send(struct stream *stream, const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t sent = send(stream->fd, text, bytes, MSG_NOSIGNAL);

		if (sent <= 0)
			fail_msg("QEMU is gone");
		text += sent;
		bytes -= (size_t)sent;
	}
}

static char *stream_line(struct stream *stream)
{
	if (getline(&stream->line, &stream->line_bytes, stream->file) <= 0)
		fail_msg("QEMU does not answer within %d s, or is gone", ANSWER_SECONDS);
	return stream->line;
}

struct qtest *qtest_start(const char *const arguments[])
{
	const char *list[ARGUMENTS_MOST], *sockets[11];
	char qtest_socket[64], qmp_socket[64], errors[256];
	struct qtest *qtest = calloc(1, sizeof(*qtest));
	int qtest_pair[2], qmp_pair[2];
	unsigned int count = collect_arguments(list, arguments);

	assert_non_null(qtest);
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qtest_pair));
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp_pair));
	qtest->pid = fork();
	assert_true(qtest->pid >= 0);
	if (qtest->pid == 0) {
		int inherited[2] = { dup(qtest_pair[1]), dup(qmp_pair[1]) };

		snprintf(qtest_socket, sizeof(qtest_socket), "socket,id=qtest,fd=%d", inherited[0]);
		snprintf(qmp_socket, sizeof(qmp_socket), "socket,id=qmp,fd=%d", inherited[1]);
		sockets[0] = "-chardev";
		sockets[1] = qtest_socket;
		sockets[2] = "-qtest";
		sockets[3] = "chardev:qtest";
		sockets[4] = "-chardev";
		sockets[5] = qmp_socket;
		sockets[6] = "-mon";
		sockets[7] = "chardev=qmp,mode=control";
		sockets[8] = "-qtest-log";
		sockets[9] = "/dev/null";
		sockets[10] = NULL;
		memcpy(list + count, sockets, sizeof(sockets));
		become(list);
	}
	close(qtest_pair[1]);
	close(qmp_pair[1]);
	stream_open(&qtest->qtest, qtest_pair[0]);
	stream_open(&qtest->qmp, qmp_pair[0]);
	stream_line(&qtest->qmp);	/* greeting */
	assert_true(qtest_command(qtest, "{\"execute\": \"qmp_capabilities\"}", errors, sizeof(errors)));
	return qtest;
}

void qtest_stop(struct qtest *qtest)
{
	int status;

	stream_send(&qtest->qmp, "{\"execute\": \"quit\"}\n", 20);
	/* A hang in the end of the device shows here. */
	while (getline(&qtest->qmp.line, &qtest->qmp.line_bytes, qtest->qmp.file) > 0)
		;
	for (int i = 0; waitpid(qtest->pid, &status, WNOHANG) == 0; i++) {
		if (i == 5000)
			kill(qtest->pid, SIGKILL);
		usleep(2000);
	}
	stream_close(&qtest->qtest);
	stream_close(&qtest->qmp);
	free(qtest);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("QEMU ended with wait status %#x", (unsigned int)status);
}

int qtest_run(const char *const arguments[], char *errors, size_t bytes)
{
	const char *list[ARGUMENTS_MOST];
	size_t length = 0;
	int output[2], status;
	ssize_t got;
	pid_t pid;

	collect_arguments(list, arguments);
	assert_int_equal(0, pipe(output));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(output[1], STDERR_FILENO);
		close(output[0]);
		alarm(ANSWER_SECONDS);
		become(list);
	}
	close(output[1]);
	while (length < bytes - 1 && (got = read(output[0], errors + length, bytes - 1 - length)) > 0)
		length += (size_t)got;
	errors[length] = '\0';
	close(output[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Send a qtest command; what follows "OK ". */
static const char *ask(struct qtest *qtest, const char *command)
{
	const char *line;

	stream_send(&qtest->qtest, command, strlen(command));
	do {
		line = stream_line(&qtest->qtest);
	} while (!strncmp(line, "IRQ", 3));
	if (strncmp(line, "OK", 2))
		fail_msg("qtest: %.60s: %s", command, line);
	return line[2] == ' ' ? line + 3 : line + 2;
}

void qtest_out32(struct qtest *qtest, uint16_t port, uint32_t value)
{
	char command[64];

	snprintf(command, sizeof(command), "outl 0x%x 0x%" PRIx32 "\n", port, value);
	ask(qtest, command);
}

void qtest_clock_step(struct qtest *qtest, uint64_t ns)
{
	char command[64];

	snprintf(command, sizeof(command), "clock_step %" PRIu64 "\n", ns);
	ask(qtest, command);
}

static char letter(unsigned int bytes)
{
	return bytes == 1 ? 'b' : bytes == 2 ? 'w' : bytes == 4 ? 'l' : 'q';
}

uint64_t qtest_read(struct qtest *qtest, uint64_t address, unsigned int bytes)
{
	char command[64];

	snprintf(command, sizeof(command), "read%c 0x%" PRIx64 "\n", letter(bytes), address);
	return strtoull(ask(qtest, command), NULL, 16);
}

void qtest_write(struct qtest *qtest, uint64_t address, uint64_t value, unsigned int bytes)
{
	char command[96];

	snprintf(command, sizeof(command), "write%c 0x%" PRIx64 " 0x%" PRIx64 "\n", letter(bytes),
		 address, value);
	ask(qtest, command);
}

static unsigned int digit(char c)
{
	return c <= '9' ? (unsigned int)(c - '0') : (unsigned int)(c - 'a' + 10);
}

void qtest_memory_read(struct qtest *qtest, uint64_t address, void *to, size_t bytes)
{
	uint8_t *out = to;

	while (bytes) {
		size_t count = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
		const char *text;
		char command[64];

		snprintf(command, sizeof(command), "read 0x%" PRIx64 " 0x%zx\n", address, count);
		text = ask(qtest, command) + 2;
		for (size_t i = 0; i < count; i++)
			out[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
		out += count;
		address += count;
		bytes -= count;
	}
}

void qtest_memory_write(struct qtest *qtest, uint64_t address, const void *from, size_t bytes)
{
	const uint8_t *in = from;
	char command[64 + 2 * PIECE_BYTES];

	while (bytes) {
		size_t count = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
		int at = snprintf(command, sizeof(command), "write 0x%" PRIx64 " 0x%zx 0x", address,
				  count);

		for (size_t i = 0; i < count; i++)
			at += snprintf(command + at, sizeof(command) - (size_t)at, "%02x", in[i]);
		snprintf(command + at, sizeof(command) - (size_t)at, "\n");
		ask(qtest, command);
		in += count;
		address += count;
		bytes -= count;
	}
}

static bool note_event(struct qtest *qtest, const char *line)
{
	const char *name = strstr(line, "\"event\": \"");

	if (!name)
		return false;
	if (qtest->event_count < 16)
		sscanf(name + 10, "%63[A-Z_]", qtest->events[qtest->event_count++]);
	return true;
}

bool qtest_command(struct qtest *qtest, const char *json, char *errors, size_t bytes)
{
	const char *line;

	stream_send(&qtest->qmp, json, strlen(json));
	stream_send(&qtest->qmp, "\n", 1);
	do {
		line = stream_line(&qtest->qmp);
	} while (note_event(qtest, line));
	snprintf(errors, bytes, "%s", line);
	return strstr(line, "\"return\"") != NULL;
}

void qtest_wait_event(struct qtest *qtest, const char *name)
{
	for (unsigned int looked = 0;; looked++) {
		while (looked >= qtest->event_count)
			note_event(qtest, stream_line(&qtest->qmp));
		if (!strcmp(qtest->events[looked], name)) {
			qtest->event_count = 0;
			return;
		}
	}
}

void qtest_set_property(struct qtest *qtest, const char *device, const char *property,
			uint32_t value)
{
	char command[256], errors[256];

	snprintf(command, sizeof(command),
		 "{\"execute\": \"qom-set\", \"arguments\": {\"path\": \"/machine/peripheral/%s\","
		 " \"property\": \"%s\", \"value\": %u}}", device, property, value);
	if (!qtest_command(qtest, command, errors, sizeof(errors)))
		fail_msg("qom-set %s: %s", property, errors);
}
