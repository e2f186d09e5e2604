// SPDX-License-Identifier: MIT
/* What tests do when they go wrong; harness.sh looks what the harness makes of each. */
#include <signal.h>

#include "harness.h"

FIXTURE(cases) {
	int number;
	pid_t child;
};

FIXTURE_SETUP(cases)
{
	EXPECT_EQ(0, self->number);
	self->number = 5;
}

FIXTURE_TEARDOWN(cases)
{
	TH_LOG("torn down: %d", self->number);
}

TEST_F(cases, pass)
{
	EXPECT_EQ(5, self->number);
	EXPECT_LT(-1, 0xffffffffu);
	EXPECT_GT(~0ull, ~0ull - 1);
	EXPECT_NE(NULL, self);
	EXPECT_STREQ("a", "a");
	EXPECT_STRNE("a", NULL);
	if (self->number)
		EXPECT_TRUE(self->number == 5);
	else
		EXPECT_FALSE(self->number);
}

TEST_F(cases, expectation)
{
	EXPECT_EQ(0, -62) TH_LOG("and more");
	self->number = 6;
}

TEST_F(cases, assertion)
{
	ASSERT_EQ(0x123456, self->number);
	self->number = 7;
}

TEST_F(cases, child)
{
	self->child = fork();
	if (!self->child) {
		ASSERT_STREQ("a", "b");
		self->number = 8;
	}
	waitpid(self->child, NULL, 0);
}

TEST_F(cases, child_that_comes_back)
{
	self->child = fork();
	if (self->child)
		waitpid(self->child, NULL, 0);
}

TEST_F(cases, crash)
{
	raise(SIGSEGV);
}

TEST_F(cases, leave)
{
	exit(3);
}

TEST_F_TIMEOUT(cases, hang, 1)
{
	fork();
	for (;;)
		pause();
}

/* Holds standard output open as long as it lives. */
TEST_F(cases, child_left_behind)
{
	if (!fork())
		for (;;)
			pause();
}

TEST_F(cases, skip)
{
	SKIP(return, "no %s", "moon");
}

FIXTURE(without) {
};

FIXTURE_VARIANT(without) {
	int number;
};

FIXTURE_VARIANT_ADD(without, one) {
	.number = 1,
};

FIXTURE_VARIANT_ADD(without, two) {
	.number = 2,
};

FIXTURE_SETUP(without)
{
	ASSERT_EQ(1, variant->number);
}

FIXTURE_TEARDOWN(without)
{
}

TEST_F(without, half)
{
	TH_LOG("with %d", variant->number);
}

TEST(alone)
{
	EXPECT_NE(0, getpid());
}

TEST_HARNESS_MAIN
