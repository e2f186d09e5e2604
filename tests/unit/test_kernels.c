// SPDX-License-Identifier: MIT
/*
 * Which kernel is taken: the tiles of "amx" have to be asked for, and Linux refuses them to a process one of
 * whose threads has an alternate signal stack that they do not fit.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <quire/format.h>
#include <quirenum/gemm.h>

#define SMALL 4096	/* MINSIGSTKSZ and more, but the tiles alone take 8192 */

static int take_small_stack(void)
{
	static char memory[SMALL];
	const stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };

	return sigaltstack(&stack, NULL);
}

/* What is right there is judged by its exit status, 0 or the line that is not. */
static int in_a_process_of_its_own(int (*what)(void))
{
	const pid_t child = fork();
	int status;

	if (!child)
		_exit(what());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int with_small_stack(void)
{
	const int8_t a[] = { 2, 3 }, b[] = { 5, 7 };
	int8_t d = 0;
	const struct quire_gemm g = {
		.m = 1, .n = 1, .k = 2, .batch = 1, .alpha = 1,
		.a = { a, QUIRE_FORMAT_INT8, 0, 2, 0 },
		.b = { b, QUIRE_FORMAT_INT8, 0, 1, 0 },
		.d = { &d, QUIRE_FORMAT_INT8, 0, 1, 0 },
	};

	if (take_small_stack())
		return __LINE__;
	if (quire_kernel_select("amx") != -ENOTSUP)
		return __LINE__;
	if (quire_kernel_select(NULL) || !strcmp(quire_kernel_name(), "amx"))
		return __LINE__;
	if (quire_gemm(&g, NULL) || d != 31)
		return __LINE__;
	return 0;
}

/* Before this process asks: children inherit what it was granted. */
static void refused_where_a_signal_stack_is_too_small(void **state)
{
	(void)state;
	assert_int_equal(in_a_process_of_its_own(with_small_stack), 0);
}

static int small_stack_is_refused(void)
{
	return take_small_stack() && errno == ENOMEM ? 0 : __LINE__;
}

static void small_signal_stacks_are_refused_afterwards(void **state)
{
	(void)state;
	/* Nothing to see on a processor without tiles. */
	if (quire_kernel_select("amx"))
		return;
	assert_string_equal(quire_kernel_name(), "amx");
	assert_int_equal(in_a_process_of_its_own(small_stack_is_refused), 0);
	quire_kernel_select(NULL);
	assert_string_equal(quire_kernel_name(), "amx");
}

static void names(void **state)
{
	(void)state;
	assert_int_equal(quire_kernel_select("tiles"), -EINVAL);
	assert_int_equal(quire_kernel_select("plain"), 0);
	assert_string_equal(quire_kernel_name(), "plain");
	assert_int_equal(quire_kernel_select("generic"), 0);
	assert_string_equal(quire_kernel_name(), "generic");
	quire_kernel_select(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_where_a_signal_stack_is_too_small),
		cmocka_unit_test(small_signal_stacks_are_refused_afterwards),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
