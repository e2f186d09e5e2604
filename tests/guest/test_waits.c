// SPDX-License-Identifier: MIT
/*
 * VM_BIND that waits for the jobs of another card, because it imports what they use: it takes as
 * long as the exporter makes it wait, and nobody else does.  Three cards: the exporter's, the
 * importer's and one that has nothing to do with it.
 */
#include <errno.h>
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
#define FILES 300

FIXTURE(waits) {
	struct card a; /* exports */
	struct card b; /* imports */
	uint32_t theirs; /* handle of B */
	int buffer; /* the same as dma-buf */
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
	self->buffer = shared_export(self->a.fd, s.bo.handle);
	ASSERT_LE(0, self->buffer);
	for (int i = 0; i < JOBS; i++)
		ASSERT_EQ(0, card_submit(&self->a, self->a.stream.va, bytes, &point));
}

FIXTURE_TEARDOWN(waits)
{
	close(self->buffer);
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
	/* Long enough for a call to come before it, however slow the kernel. */
	bytes = 20 * (uint32_t)test_patience() * sizeof(struct quire_packet_gemm);
	return card_submit(card, card->stream.va, bytes, &point) ?:
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

/* Also not when buffers end meanwhile, which share a worker with memory of processes. */
TEST_F_TIMEOUT(waits, another_card_is_removed_while_a_call_waits, 60)
{
	char path[256] = "", *bdf;
	double begun;
	uint32_t handle;
	int files[FILES];

	ASSERT_LT(0, readlink("/sys/class/accel/accel2/device", path, sizeof(path) - 1));
	bdf = strrchr(path, '/') + 1;
	for (int i = 0; i < FILES; i++) {
		files[i] = card_open_node(1);
		ASSERT_LE(0, files[i]);
		ASSERT_EQ(0, shared_import(files[i], self->buffer, &handle));
	}
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, bind_import, self));
	usleep(500000);
	for (int i = 0; i < FILES; i++)
		close(files[i]);
	usleep(200000);
	begun = seconds_now();
	ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "unbind", bdf));
	EXPECT_EQ(0, atomic_load(&self->bound));
	EXPECT_GT(3 * test_patience(), seconds_now() - begun);
	ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf));
	pthread_join(self->thread, NULL);
	/* That is what the call says when it has waited for too long. */
	if (self->answer)
		EXPECT_EQ(-EBUSY, self->answer);
}

TEST_F_TIMEOUT(waits, queue_of_the_same_address_space_is_destroyed_while_a_call_waits, 60)
{
	uint32_t more;

	ASSERT_EQ(0, card_queue_create(self->b.fd, self->b.vm, 0, &more));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, bind_import, self));
	usleep(500000);
	ASSERT_EQ(0, card_queue_destroy(self->b.fd, more));
	EXPECT_EQ(0, atomic_load(&self->bound));
	pthread_join(self->thread, NULL);
}

/* A submission that needs the buffer waits for the call, but not longer than its process lives. */
TEST_F_TIMEOUT(waits, killed_process_does_not_wait_in_a_submission, 60)
{
	uint64_t point;
	pid_t child;
	int status;

	ASSERT_EQ(0, pthread_create(&self->thread, NULL, bind_import, self));
	usleep(500000);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(card_submit(&self->a, 0, 0, &point) ? 1 : 0);
	usleep(500000);
	/* Else it has not waited. */
	ASSERT_EQ(0, waitpid(child, &status, WNOHANG));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, atomic_load(&self->bound));
	pthread_join(self->thread, NULL);
}

static void *import_again(void *argument)
{
	FIXTURE_DATA(waits) *self = argument;
	int fd = card_open_node(1);
	uint32_t handle;
	long ret = fd < 0 ? fd : shared_import(fd, self->buffer, &handle);

	close(fd);
	return (void *)ret;
}

/* DRM has one lock for the handles of a card, and holds it while one is imported. */
TEST_F_TIMEOUT(waits, others_make_and_close_handles_while_a_call_waits, 60)
{
	int other = card_open_node(1);
	pthread_t importer;
	uint32_t handle;
	double begun;
	void *ret;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, bind_import, self));
	usleep(500000);
	ASSERT_EQ(0, pthread_create(&importer, NULL, import_again, self));
	usleep(500000);
	begun = seconds_now();
	ASSERT_EQ(0, card_bo_create(other, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle));
	card_close_handle(other, handle);
	EXPECT_EQ(0, atomic_load(&self->bound));
	EXPECT_GT(3 * test_patience(), seconds_now() - begun);
	pthread_join(self->thread, NULL);
	pthread_join(importer, &ret);
	EXPECT_EQ(NULL, ret);
	close(other);
}

TEST_HARNESS_MAIN
