/* SPDX-License-Identifier: MIT */
/*
 * Tests of the driver in C.  A program of tests holds fixtures, tests, and TEST_HARNESS_MAIN:
 *
 *	FIXTURE(lamp) { int fd; };
 *	FIXTURE_SETUP(lamp) { ASSERT_LE(0, self->fd = open("/dev/lamp", O_RDWR)); }
 *	FIXTURE_TEARDOWN(lamp) { close(self->fd); }
 *	TEST_F(lamp, shines) { EXPECT_EQ(1, shine(self->fd)) TH_LOG("the moon does"); }
 *	TEST_HARNESS_MAIN
 *
 * Each test runs in a process of its own, with setup before and teardown behind it, and is killed
 * with all its children when its time is over.  EXPECT_ says what was not so and goes on, ASSERT_
 * leaves the test; both also work in children of the test, whose own end they then are.  What is
 * said goes to stdout as TAP.  Arguments choose tests: see harness_main().
 */
#ifndef QUIRE_TESTS_HARNESS_H
#define QUIRE_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patience.h"

#define HARNESS_SECONDS 30 /* A test may take as long unless it says so itself. */

/* A fixture with other parameters: each of its tests runs once with each. */
struct harness_variant {
	const char *name;
	const void *data;
	int line;
	struct harness_variant *next;
};

struct harness_fixture {
	const char *name;
	void (*setup)(void *self, const void *variant);
	void (*teardown)(void *self, const void *variant);
	struct harness_variant *variants;
};

struct harness_test {
	const char *name;
	struct harness_fixture *fixture; /* Or NULL. */
	void (*body)(void *self, const void *variant);
	size_t self_size;
	unsigned int seconds;
	int line;
	struct harness_test *next;
};

/* Both keep the order of the lines they stand in; constructors come in any. */
void harness_add_test(struct harness_test *test);
void harness_add_variant(struct harness_fixture *fixture, struct harness_variant *variant);

int harness_main(int argc, char **argv);

/* A number or an address; a long double holds all of 64 bits exactly. */
struct harness_value {
	enum { HARNESS_WHOLE, HARNESS_REAL, HARNESS_ADDRESS } kind;
	long double number;
};

/* Count a failure of the test and say where, and what was not so.  Both return false. */
bool harness_not_so(const char *file, int line, const char *left, const char *relation,
		    const char *right, struct harness_value left_value,
		    struct harness_value right_value);
bool harness_text_not_so(const char *file, int line, const char *left, const char *relation,
			 const char *right, const char *left_text, const char *right_text);

/* End this test; in a child of it, the child. */
__attribute__((noreturn))
void harness_leave(void);

__attribute__((format(printf, 3, 4)))
void harness_log(const char *file, int line, const char *format, ...);
__attribute__((format(printf, 1, 2)))
void harness_skip(const char *format, ...);

/* After what there is to say about a failure. */
static inline bool harness_go_on(bool leave)
{
	if (leave)
		harness_leave();
	return true;
}

/* Text that is not there differs from all that is. */
static inline bool harness_differ(const char *left, const char *right)
{
	return left && right ? strcmp(left, right) : left != right;
}

static inline struct harness_value harness_signed(int64_t value)
{
	return (struct harness_value){ .kind = HARNESS_WHOLE, .number = value };
}

static inline struct harness_value harness_unsigned(uint64_t value)
{
	return (struct harness_value){ .kind = HARNESS_WHOLE, .number = value };
}

static inline struct harness_value harness_real(double value)
{
	return (struct harness_value){ .kind = HARNESS_REAL, .number = value };
}

static inline struct harness_value harness_address(const volatile void *value)
{
	return (struct harness_value){ .kind = HARNESS_ADDRESS, .number = (uintptr_t)value };
}

#define HARNESS_VALUE(x) _Generic((x), \
	char : harness_signed, signed char : harness_signed, short : harness_signed, \
	int : harness_signed, long : harness_signed, long long : harness_signed, \
	_Bool : harness_unsigned, unsigned char : harness_unsigned, \
	unsigned short : harness_unsigned, unsigned int : harness_unsigned, \
	unsigned long : harness_unsigned, unsigned long long : harness_unsigned, \
	float : harness_real, double : harness_real, default : harness_address)(x)

/* A loop of at most one turn, whose body may say more about what failed. */
#define HARNESS_CHECK(leave, left, relation, right, left_words, right_words) \
	for (bool harness_is_so = ({ \
		struct harness_value harness_left = HARNESS_VALUE(left); \
		struct harness_value harness_right = HARNESS_VALUE(right); \
		harness_left.number relation harness_right.number || \
			harness_not_so(__FILE__, __LINE__, left_words, #relation, right_words, \
				       harness_left, harness_right); }); \
	     !harness_is_so; harness_is_so = harness_go_on(leave))

#define HARNESS_CHECK_TEXT(leave, left, relation, right, left_words, right_words) \
	for (bool harness_is_so = ({ \
		const char *harness_left = (left), *harness_right = (right); \
		harness_differ(harness_left, harness_right) relation 0 || \
			harness_text_not_so(__FILE__, __LINE__, left_words, #relation, right_words, \
					    harness_left, harness_right); }); \
	     !harness_is_so; harness_is_so = harness_go_on(leave))

#define EXPECT_EQ(left, right) HARNESS_CHECK(false, left, ==, right, #left, #right)
#define EXPECT_NE(left, right) HARNESS_CHECK(false, left, !=, right, #left, #right)
#define EXPECT_LT(left, right) HARNESS_CHECK(false, left, <, right, #left, #right)
#define EXPECT_LE(left, right) HARNESS_CHECK(false, left, <=, right, #left, #right)
#define EXPECT_GT(left, right) HARNESS_CHECK(false, left, >, right, #left, #right)
#define EXPECT_GE(left, right) HARNESS_CHECK(false, left, >=, right, #left, #right)
#define EXPECT_TRUE(what) HARNESS_CHECK(false, false, !=, !!(what), "false", #what)
#define EXPECT_FALSE(what) HARNESS_CHECK(false, false, ==, !!(what), "false", #what)
#define EXPECT_STREQ(left, right) HARNESS_CHECK_TEXT(false, left, ==, right, #left, #right)
#define EXPECT_STRNE(left, right) HARNESS_CHECK_TEXT(false, left, !=, right, #left, #right)

#define ASSERT_EQ(left, right) HARNESS_CHECK(true, left, ==, right, #left, #right)
#define ASSERT_NE(left, right) HARNESS_CHECK(true, left, !=, right, #left, #right)
#define ASSERT_LT(left, right) HARNESS_CHECK(true, left, <, right, #left, #right)
#define ASSERT_LE(left, right) HARNESS_CHECK(true, left, <=, right, #left, #right)
#define ASSERT_GT(left, right) HARNESS_CHECK(true, left, >, right, #left, #right)
#define ASSERT_GE(left, right) HARNESS_CHECK(true, left, >=, right, #left, #right)
#define ASSERT_TRUE(what) HARNESS_CHECK(true, false, !=, !!(what), "false", #what)
#define ASSERT_FALSE(what) HARNESS_CHECK(true, false, ==, !!(what), "false", #what)
#define ASSERT_STREQ(left, right) HARNESS_CHECK_TEXT(true, left, ==, right, #left, #right)
#define ASSERT_STRNE(left, right) HARNESS_CHECK_TEXT(true, left, !=, right, #left, #right)

#define TH_LOG(...) harness_log(__FILE__, __LINE__, __VA_ARGS__)

/* The test is not for this machine; a failure before it still counts. */
#define SKIP(statement, ...) \
	do { \
		harness_skip(__VA_ARGS__); \
		statement; \
	} while (0)

#define FIXTURE_DATA(fixture) struct fixture##_data
#define FIXTURE_VARIANT(fixture) struct fixture##_variant

#define HARNESS_ARGUMENTS(fixture) \
	FIXTURE_DATA(fixture) *self __attribute__((unused)), \
	const FIXTURE_VARIANT(fixture) *variant __attribute__((unused))

#define FIXTURE(fixture) \
	FIXTURE_DATA(fixture); \
	FIXTURE_VARIANT(fixture); \
	static void fixture##_setup(HARNESS_ARGUMENTS(fixture)); \
	static void fixture##_teardown(HARNESS_ARGUMENTS(fixture)); \
	static void fixture##_setup_any(void *self, const void *variant) \
	{ \
		fixture##_setup(self, variant); \
	} \
	static void fixture##_teardown_any(void *self, const void *variant) \
	{ \
		fixture##_teardown(self, variant); \
	} \
	static struct harness_fixture fixture##_fixture = { \
		.name = #fixture, \
		.setup = fixture##_setup_any, \
		.teardown = fixture##_teardown_any, \
	}; \
	FIXTURE_DATA(fixture)

#define FIXTURE_SETUP(fixture) static void fixture##_setup(HARNESS_ARGUMENTS(fixture))
#define FIXTURE_TEARDOWN(fixture) static void fixture##_teardown(HARNESS_ARGUMENTS(fixture))

#define FIXTURE_VARIANT_ADD(fixture, which) \
	static const FIXTURE_VARIANT(fixture) fixture##_##which##_data; \
	static struct harness_variant fixture##_##which##_variant = { \
		.name = #which, \
		.data = &fixture##_##which##_data, \
		.line = __LINE__, \
	}; \
	__attribute__((constructor)) \
	static void fixture##_##which##_add(void) \
	{ \
		harness_add_variant(&fixture##_fixture, &fixture##_##which##_variant); \
	} \
	static const FIXTURE_VARIANT(fixture) fixture##_##which##_data =

#define HARNESS_ADD(function, title, of, size, limit) \
	static struct harness_test function##_test = { \
		.name = #title, \
		.fixture = of, \
		.body = function##_any, \
		.self_size = size, \
		.seconds = limit, \
		.line = __LINE__, \
	}; \
	__attribute__((constructor)) \
	static void function##_add(void) \
	{ \
		harness_add_test(&function##_test); \
	}

#define TEST_F_TIMEOUT(fixture, test, seconds) \
	static void fixture##_##test(HARNESS_ARGUMENTS(fixture)); \
	static void fixture##_##test##_any(void *self, const void *variant) \
	{ \
		fixture##_##test(self, variant); \
	} \
	HARNESS_ADD(fixture##_##test, test, &fixture##_fixture, sizeof(FIXTURE_DATA(fixture)), \
		    seconds) \
	static void fixture##_##test(HARNESS_ARGUMENTS(fixture))

#define TEST_F(fixture, test) TEST_F_TIMEOUT(fixture, test, HARNESS_SECONDS)

#define TEST(test) \
	static void alone_##test(void); \
	static void alone_##test##_any(void *self __attribute__((unused)), \
				       const void *variant __attribute__((unused))) \
	{ \
		alone_##test(); \
	} \
	HARNESS_ADD(alone_##test, test, NULL, 0, HARNESS_SECONDS) \
	static void alone_##test(void)

#define TEST_HARNESS_MAIN \
	int main(int argc, char **argv) \
	{ \
		return harness_main(argc, argv); \
	}

#endif
