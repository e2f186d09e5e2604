// SPDX-License-Identifier: MIT
/* What runs the tests of one program: see harness.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "harness.h"

/* Seconds that killed processes get to come out of the kernel. */
#define SECONDS_TO_DIE 10

/* What a test, its children and who started it know of each other. */
struct run {
	char name[256];
	pid_t test;
	unsigned int failures;
	bool skipped;
	bool ended;
	char part[16];	  /* setup, test or teardown */
	char reason[200]; /* why it was skipped */
};

static struct harness_test *tests;
static struct run *run;
static jmp_buf way_out;

void harness_add_test(struct harness_test *test)
{
	struct harness_test **place = &tests;

	while (*place && (*place)->line < test->line)
		place = &(*place)->next;
	test->next = *place;
	*place = test;
}

void harness_add_variant(struct harness_fixture *fixture, struct harness_variant *variant)
{
	struct harness_variant **place = &fixture->variants;

	while (*place && (*place)->line < variant->line)
		place = &(*place)->next;
	variant->next = *place;
	*place = variant;
}

/* Say something at a place, in one line that no other process's can tear. */
void harness_log(const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	char text[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# %s:%d: %s\n", base ? base + 1 : file, line, text);
	fflush(stdout);
}

void harness_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->reason, sizeof(run->reason), format, args);
	va_end(args);
	run->skipped = true;
}

/* Only the first thread of the test's own process has a way out. */
void harness_leave(void)
{
	if (getpid() != run->test || gettid() != run->test)
		_exit(1);
	longjmp(way_out, 1);
}

/* A negative number may be one of an error; of a large one the bits say more. */
static void print_value(struct harness_value value, char *text, size_t room)
{
	const char *error = value.number < 0 && value.number > -4096 ?
		strerrorname_np(-(int)value.number) : NULL;

	if (value.kind == HARNESS_REAL)
		snprintf(text, room, "%Lg", value.number);
	else if (value.kind == HARNESS_ADDRESS || value.number > 65535)
		snprintf(text, room, "%.0Lf (0x%llx)", value.number,
			 (unsigned long long)value.number);
	else
		snprintf(text, room, "%.0Lf%s%s", value.number, error ? " -" : "",
			 error ? error : "");
}

bool harness_not_so(const char *file, int line, const char *left, const char *relation,
		    const char *right, struct harness_value left_value,
		    struct harness_value right_value)
{
	char left_text[64], right_text[64];

	__atomic_fetch_add(&run->failures, 1, __ATOMIC_SEQ_CST);
	print_value(left_value, left_text, sizeof(left_text));
	print_value(right_value, right_text, sizeof(right_text));
	harness_log(file, line, "%s: not so: %s %s %s; they are %s and %s", run->name, left,
		    relation, right, left_text, right_text);
	return false;
}

bool harness_text_not_so(const char *file, int line, const char *left, const char *relation,
			 const char *right, const char *left_text, const char *right_text)
{
	__atomic_fetch_add(&run->failures, 1, __ATOMIC_SEQ_CST);
	harness_log(file, line, "%s: not so: %s %s %s; they are \"%s\" and \"%s\"", run->name, left,
		    relation, right, left_text ? left_text : "(none)",
		    right_text ? right_text : "(none)");
	return false;
}

static void run_part(const char *part, void (*function)(void *self, const void *variant),
		     void *self, const void *variant)
{
	snprintf(run->part, sizeof(run->part), "%s", part);
	if (!setjmp(way_out))
		function(self, variant);
	/* A child of the test that came here has nothing left to do. */
	if (getpid() != run->test)
		_exit(0);
}

/* What failed to be set up is neither tested nor torn down. */
static void run_here(const struct harness_test *test, const struct harness_variant *variant)
{
	void *self = calloc(1, test->self_size + 1);
	const void *data = variant ? variant->data : NULL;

	run->test = getpid();
	if (test->fixture)
		run_part("setup", test->fixture->setup, self, data);
	if (!run->failures && !run->skipped) {
		run_part("test", test->body, self, data);
		if (test->fixture)
			run_part("teardown", test->fixture->teardown, self, data);
	}
	run->ended = true;
	fflush(stdout);
	_exit(0);
}

/* Wait for one process, or with a negative number for one of a group, at most until then. */
static pid_t wait_until(pid_t pid, int *status, int64_t deadline_ms)
{
	sigset_t child;
	struct timespec now;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		pid_t ended = waitpid(pid, status, WNOHANG);
		int64_t left;

		if (ended > 0 || (ended < 0 && errno != EINTR))
			return ended;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = deadline_ms - now.tv_sec * 1000 - now.tv_nsec / 1000000;
		if (left <= 0)
			return 0;
		now.tv_sec = left / 1000;
		now.tv_nsec = left % 1000 * 1000000;
		sigtimedwait(&child, NULL, &now);
	}
}

static int64_t deadline_in(unsigned int seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec + (int64_t)seconds * test_patience()) * 1000 + now.tv_nsec / 1000000;
}

/* Where in the kernel each thread of a process is. */
static void print_stacks_of(pid_t pid)
{
	char path[64 + sizeof(((struct dirent *)0)->d_name)], line[200];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		FILE *stack;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stack", pid, entry->d_name);
		stack = fopen(path, "r");
		printf("# process %d, thread %s:\n", pid, entry->d_name);
		while (stack && fgets(line, sizeof(line), stack))
			printf("#   %s", line);
		if (stack)
			fclose(stack);
	}
	if (threads)
		closedir(threads);
}

static void print_stacks(pid_t group)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && getpgid(pid) == group)
			print_stacks_of(pid);
	}
	if (processes)
		closedir(processes);
}

/* Nothing of a test is left when the next one starts: its children, too, were given to us. */
static bool end_group(pid_t group)
{
	int64_t deadline = deadline_in(SECONDS_TO_DIE);
	pid_t ended;

	kill(-group, SIGKILL);
	do
		ended = wait_until(-group, NULL, deadline);
	while (ended > 0);
	return ended < 0;
}

/* Returns whether it passed or was skipped, and says why not. */
static bool judge(const struct harness_test *test, pid_t pid)
{
	int status = 0;
	bool in_time = wait_until(pid, &status, deadline_in(test->seconds)) == pid;

	if (!in_time) {
		printf("# %s: killed in its %s, after its limit of %u seconds\n", run->name,
		       run->part, test->seconds * test_patience());
		print_stacks(pid);
	}
	if (!end_group(pid)) {
		printf("# %s: %d seconds after SIGKILL there still are processes of it\n",
		       run->name, SECONDS_TO_DIE * test_patience());
		print_stacks(pid);
		return false;
	}
	if (!in_time)
		return false;
	if (WIFSIGNALED(status)) {
		printf("# %s: SIG%s ended it in its %s\n", run->name,
		       sigabbrev_np(WTERMSIG(status)), run->part);
		return false;
	}
	if (!run->ended)
		printf("# %s: it left with exit(%d) in its %s\n", run->name, WEXITSTATUS(status),
		       run->part);
	return run->ended && !run->failures;
}

static bool run_apart(const struct harness_test *test, const struct harness_variant *variant)
{
	sigset_t child, before;
	pid_t pid;

	printf("# RUN %s\n", run->name);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		sigprocmask(SIG_SETMASK, &before, NULL);
		run_here(test, variant);
	}
	if (pid < 0) {
		printf("# %s: fork: %s\n", run->name, strerror(errno));
		return false;
	}
	setpgid(pid, pid);
	return judge(test, pid);
}

/* Whether an argument names the test, or none names any. */
static bool is_chosen(int argc, char **argv, const struct harness_test *test,
		      const struct harness_variant *variant)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i][1] == 't' ? test->name :
			argv[i][1] == 'v' ? (variant ? variant->name : NULL) :
			test->fixture ? test->fixture->name : NULL;

		if (name && !strcmp(name, argv[i + 1]))
			return true;
	}
	return argc == 1;
}

static bool run_and_report(unsigned int number, const struct harness_test *test,
			   const struct harness_variant *variant)
{
	bool good;

	memset(run, 0, sizeof(*run));
	snprintf(run->name, sizeof(run->name), "%s%s%s%s%s",
		 test->fixture ? test->fixture->name : "", test->fixture ? "." : "",
		 variant ? variant->name : "", variant ? "." : "", test->name);
	good = run_apart(test, variant);
	printf("%sok %u %s%s%s\n", good ? "" : "not ", number, run->name,
	       good && run->skipped ? " # SKIP " : "", good && run->skipped ? run->reason : "");
	return good;
}

/* Go through the chosen tests, each with all variants of its fixture: run them, or only count. */
static unsigned int go_through(int argc, char **argv, unsigned int *failed)
{
	unsigned int number = 0;

	for (struct harness_test *test = tests; test; test = test->next) {
		struct harness_variant *variant = test->fixture ? test->fixture->variants : NULL;

		do {
			if (is_chosen(argc, argv, test, variant)) {
				number++;
				if (failed)
					*failed += !run_and_report(number, test, variant);
			}
			variant = variant ? variant->next : NULL;
		} while (variant);
	}
	return number;
}

/* -t TEST, -f FIXTURE, -v VARIANT: only these, as many as are named; without any all tests. */
int harness_main(int argc, char **argv)
{
	unsigned int count, failed = 0;

	for (int i = 1; i < argc; i += 2) {
		if (argv[i][0] != '-' || !argv[i][1] || !strchr("tfv", argv[i][1]) || argv[i][2] ||
		    i + 1 == argc) {
			fprintf(stderr, "usage: %s [-t TEST | -f FIXTURE | -v VARIANT]...\n",
				argv[0]);
			return 2;
		}
	}
	count = go_through(argc, argv, NULL);
	if (!count) {
		fprintf(stderr, "%s: no test is named so\n", argv[0]);
		return 2;
	}
	run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1)) {
		perror(argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%u\n", count);
	go_through(argc, argv, &failed);
	printf("# %u of %u failed\n", failed, count);
	return failed ? 1 : 0;
}
