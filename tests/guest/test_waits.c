// SPDX-License-Identifier: MIT
/*
 * VM_BIND that waits for the jobs of another card, because it imports what they use: it takes as
 * long as the exporter makes it wait, and nobody else does.  Three cards: the exporter's, the
 * importer's and one that has nothing to do with it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "dumps.h"
#include "harness.h"
#include "shared.h"

#define MIB (1ull << 20)
#define VA 0x4000000000ull
#define NOWHERE 0x654321000ull
#define LIMIT_MS 600000
#define JOBS 40

FIXTURE(waits) {
	struct card a; /* exports */
	struct card b; /* imports */
	uint32_t theirs; /* handle of B */
	pthread_t thread;
	atomic_int bound; /* 1: the call has come back */
	int answer;
};

/* Jobs of many minutes on A, which may use what B imports. */
FIXTURE_SETUP(waits)
{
	uint64_t point;
	uint32_t bytes;
	struct shared s;

	if (*dump_kept())
		json_object_put(dump_take());
	ASSERT_EQ(0, card_setup_limit(&self->a, 0, LIMIT_MS));
	ASSERT_EQ(0, card_setup(&self->b, 1));
	ASSERT_EQ(0, card_long_stream(&self->a, &bytes));
	ASSERT_EQ(0, shared_make(&self->a, &self->b, MIB, DRM_QUIRE_PLACEMENT_CARD, &s));
	self->theirs = s.theirs;
	for (int i = 0; i < JOBS; i++)
		ASSERT_EQ(0, card_submit(&self->a, self->a.stream.va, bytes, &point));
}

FIXTURE_TEARDOWN(waits)
{
	card_teardown(&self->a);
	card_teardown(&self->b);
}

static void *bind_import(void *argument)
{
	FIXTURE_DATA(waits) *self = argument;

	self->answer = card_bind(self->b.fd, self->b.vm, self->theirs, VA, MIB, 0);
	atomic_store(&self->bound, 1);
	return NULL;
}

/* A job of B that faults, behind one that takes a moment. */
static int fault_soon(struct card *card)
{
	struct quire_packet_fill *bad;
	uint64_t point;
	struct bo bo;
	uint32_t bytes;
	int ret = card_long_stream(card, &bytes) ?:
		  card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &bo);

	if (ret)
		return ret;
	bad = bo.map;
	packet_fill(bad, NOWHERE, 64, 1);
	return card_submit(card, card->stream.va, 4 * sizeof(struct quire_packet_gemm), &point) ?:
	       card_submit(card, bo.va, sizeof(*bad), &point);
}

TEST_F_TIMEOUT(waits, core_dump_does_not_wait_for_a_call, 60)
{
	json_object *dump;

	ASSERT_EQ(0, fault_soon(&self->b));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, bind_import, self));
	dump = dump_take();
	EXPECT_EQ(0, atomic_load(&self->bound));
	EXPECT_STREQ("1", dump_word(dump, "/reason"));
	EXPECT_STREQ("true", dump_word(dump, "/cause/mappings_held"));
	EXPECT_STREQ("", dump_word(dump, "/mappings"));
	json_object_put(dump);
	pthread_join(self->thread, NULL);
}

TEST_HARNESS_MAIN
