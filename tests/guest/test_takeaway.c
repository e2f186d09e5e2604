// SPDX-License-Identifier: MIT
/*
 * Whoever takes memory away that jobs use does not wait for bands that do not end, here because
 * engines hang: neither once for each address space or buffer, nor again and again.  The job that
 * has both is the one that ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaking.h"
#include "harness.h"
#include "monitor.h"
#include "patience.h"

#define PAGES_VA 0x4000000000ull
#define WORK_VA 0x5000000000ull
#define WORK_BYTES (16 * PAGE)
#define SIDE 64u /* of a small product */
#define QUEUES_MOST 32
#define WAITING_JOBS (32768u / (unsigned int)test_patience())
#define JOBS_OF_CALL 256u
#define BOTH 3u /* engines */
#define FILE_PATH "/tmp/takeaway-file"

/* What became of the queues of an owner. */
struct outcome {
	uint32_t banned;
	uint32_t guilty;	/* of these, found guilty */
	uint32_t blamed;	/* and of the others */
	uint32_t decoys;	/* on engines that work, and not banned */
	double waited;		/* by himself, to drop his pages */
};

enum ask { QUERY, DROP_PAGES, CLOSE_FILE };

/* A process with jobs that may use memory: its own, or a file's. */
struct owner {
	pid_t pid;
	int ask;		/* a byte, of what it is to do */
	int answer;		/* struct outcome */
	uid_t user;		/* 0: a new one, with whom others have all their patience */
	/* What it is to have: */
	uint32_t spaces;
	uint32_t queues;	/* in each of them */
	uint32_t decoys;	/* the last so many begin when the others' bands hang */
	uint32_t pages;		/* in each, a buffer of its own each */
	uint32_t waiting;	/* queues before all those, with as many jobs as there may be */
	bool file;
};

FIXTURE(takeaway) {
	int file;
	struct owner owner;
};

FIXTURE_SETUP(takeaway)
{
	ASSERT_EQ(0, monitor_open());
	self->file = open(FILE_PATH, O_RDWR | O_CREAT | O_TRUNC, 0644);
	ASSERT_GE(self->file, 0);
}

FIXTURE_TEARDOWN(takeaway)
{
	if (self->owner.pid > 0)
		kill(self->owner.pid, SIGKILL);
	monitor_inject("engine-hang", 0);
	monitor_close();
	close(self->file);
	unlink(FILE_PATH);
}

/* For all address spaces of the file. */
static int make_buffer(struct card *card, uint64_t size, uint32_t placement, struct bo *bo)
{
	bo->size = size;
	return card_bo_create(card->fd, size, placement, 0, &bo->handle) ?:
	       card_bo_map(card->fd, bo->handle, size, &bo->map);
}

/* A stream of small products, and what they work on. */
static int make_work(struct card *card, struct bo *work)
{
	struct quire_packet_gemm *packets;
	int ret = make_buffer(card, WORK_BYTES, DRM_QUIRE_PLACEMENT_SYSTEM, work);

	if (ret)
		return ret;
	packets = work->map;
	for (uint32_t i = 0; i < 8; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, SIDE, SIDE, SIDE, WORK_VA + 4 * PAGE,
			    WORK_VA + 4 * PAGE, WORK_VA + 8 * PAGE);
	return 0;
}

static int fill_space(struct card *card, const struct owner *owner, const struct bo *work,
		      char *memory)
{
	int ret = card_bind(card->fd, card->vm, work->handle, WORK_VA, work->size, 0);

	for (uint32_t i = 0; i < owner->pages && !ret; i++) {
		struct drm_quire_userptr args = {
			.address = (uintptr_t)memory + i * PAGE, .size = PAGE,
			.flags = owner->file ? DRM_QUIRE_USERPTR_READ_ONLY : 0,
		};

		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
		ret = ret ?: card_bind(card->fd, card->vm, args.handle, PAGES_VA + i * PAGE, PAGE,
				       owner->file ? DRM_QUIRE_VM_BIND_READ_ONLY : 0);
	}
	return ret;
}

static struct outcome query(struct card *card, const struct owner *owner, const uint32_t *queues)
{
	struct drm_quire_queue_query state;
	struct outcome outcome = { 0 };

	for (uint32_t i = 0; i < owner->spaces * owner->queues; i++) {
		bool banned, guilty;

		if (card_queue_state(card->fd, queues[i], &state))
			_exit(1);
		banned = state.state == DRM_QUIRE_QUEUE_STATE_BANNED;
		guilty = state.reset == DRM_QUIRE_QUEUE_RESET_GUILTY;
		outcome.banned += banned;
		outcome.guilty += banned && guilty;
		outcome.blamed += !banned && guilty;
		outcome.decoys += i + owner->decoys >= owner->spaces * owner->queues && !banned &&
				  !guilty;
	}
	return outcome;
}

/* Now and then one, while jobs go on in between: the seconds it took. */
static double drop_pages(char *memory, uint32_t pages)
{
	double waited = 0;

	for (uint32_t i = 0; i < pages; i++) {
		double start = seconds_now();

		madvise(memory + i * PAGE, PAGE, MADV_DONTNEED);
		waited += seconds_now() - start;
		usleep(500000);
	}
	return waited;
}

/* Jobs that wait for the point, and take long to end when the file is closed. */
static int fill_queue(struct card *card, uint32_t queue, uint64_t point)
{
	static struct drm_quire_job jobs[JOBS_OF_CALL];
	struct drm_quire_sync wait = {
		.flags = DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
		.handle = card->syncobj, .point = point,
	};
	struct drm_quire_submit args = {
		.queue_id = queue, .jobs = { sizeof(jobs[0]), JOBS_OF_CALL, (uintptr_t)jobs },
	};
	int ret = 0;

	jobs[0].syncs = (struct drm_quire_obj_array){ sizeof(wait), 1, (uintptr_t)&wait };
	for (uint32_t n = 0; n + JOBS_OF_CALL <= WAITING_JOBS && !ret; n += JOBS_OF_CALL)
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	return ret;
}

static int owner_main(const struct owner *owner, int ask, int answer)
{
	size_t bytes = owner->pages * PAGE;
	uint32_t queues[QUEUES_MOST], waiting[QUEUES_MOST], decoy_bytes = 0, n = 0;
	struct bo work;
	struct outcome outcome;
	uint64_t point;
	struct card card;
	char *memory, byte;

	memory = mmap(NULL, bytes, owner->file ? PROT_READ : PROT_READ | PROT_WRITE,
		      owner->file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
		      owner->file ? open(FILE_PATH, O_RDONLY) : -1, 0);
	if (memory == MAP_FAILED || setresuid(owner->user, 0, 0) || card_setup_limit(&card, 0, 600000) ||
	    make_work(&card, &work) ||
	    (owner->decoys && card_long_stream(&card, &decoy_bytes)))
		return 1;
	/* The queue that card_setup made is older. */
	for (uint32_t i = 0; i < owner->waiting; i++)
		if (card_queue_create(card.fd, card.vm, 600000, &waiting[i]))
			return 6;
	for (uint32_t i = 0; i < owner->spaces; i++) {
		if ((i && card_vm_create(card.fd, &card.vm)) ||
		    fill_space(&card, owner, &work, memory))
			return 2;
		for (uint32_t k = 0; k < owner->queues; k++)
			if (card_queue_create(card.fd, card.vm, 600000, &queues[n++]))
				return 3;
	}
	for (uint32_t i = 0; i < n; i++) {
		bool decoy = i + owner->decoys >= n;

		/* Or they would be on the engines that hang. */
		if (decoy && breaking_let_begin(&card))
			return 5;
		card.queue = queues[i];
		if (card_submit(&card, decoy ? card.stream.va : WORK_VA,
				decoy ? decoy_bytes : 8 * sizeof(struct quire_packet_gemm), &point))
			return 4;
	}
	for (uint32_t i = 0; i < owner->waiting; i++)
		if (fill_queue(&card, waiting[i], point))
			return 7;
	while (write(answer, &outcome, sizeof(outcome)) == sizeof(outcome) &&
	       read(ask, &byte, 1) == 1) {
		if (byte == CLOSE_FILE) {
			munmap(card.stream.map, card.stream.size);
			munmap(work.map, work.size);
			close(card.fd);
			continue;
		}
		double waited = byte == DROP_PAGES ? drop_pages(memory, owner->pages) : 0;

		outcome = query(&card, owner, queues);
		outcome.waited = waited;
	}
	return 0;
}

/* Its bands are on the engines (bits) and hang when this returns. */
static bool owner_start(struct owner *owner, unsigned int engines)
{
	struct outcome nothing;
	int ask[2], answer[2];

	if (pipe(ask) || pipe(answer) || monitor_inject("engine-hang", engines))
		return false;
	if (!owner->user)
		owner->user = 10000 + (uid_t)getpid();
	owner->pid = fork();
	if (!owner->pid) {
		close(ask[1]);
		close(answer[0]);
		_exit(owner_main(owner, ask[0], answer[1]));
	}
	close(ask[0]);
	close(answer[1]);
	owner->ask = ask[1];
	owner->answer = answer[0];
	if (owner->pid < 0 || read(owner->answer, &nothing, sizeof(nothing)) != sizeof(nothing))
		return false;
	sleep(1);
	return true;
}

static bool owner_ask(struct owner *owner, enum ask ask)
{
	char byte = (char)ask;

	return write(owner->ask, &byte, 1) == 1;
}

static bool owner_query(struct owner *owner, bool drop, struct outcome *outcome)
{
	return owner_ask(owner, drop ? DROP_PAGES : QUERY) &&
	       read(owner->answer, outcome, sizeof(*outcome)) == sizeof(*outcome);
}

static double owner_kill(struct owner *owner)
{
	double start = seconds_now();

	kill(owner->pid, SIGKILL);
	waitpid(owner->pid, NULL, 0);
	owner->pid = 0;
	TH_LOG("gone after %.1f s", seconds_now() - start);
	return seconds_now() - start;
}

/* One page, and many address spaces: each would have its bands on an engine when its turn came. */
TEST_F_TIMEOUT(takeaway, who_truncates_a_file_waits_once_for_all_address_spaces, 120)
{
	struct outcome outcome;
	double start, took;

	ASSERT_EQ(0, ftruncate(self->file, PAGE));
	self->owner = (struct owner){ .spaces = 12, .queues = 1, .pages = 1, .file = true };
	ASSERT_TRUE(owner_start(&self->owner, BOTH));
	start = seconds_now();
	ASSERT_EQ(0, ftruncate(self->file, 0));
	took = seconds_now() - start;
	ASSERT_TRUE(owner_query(&self->owner, false, &outcome));
	TH_LOG("truncate took %.1f s, %u queues banned", took, outcome.banned);
	EXPECT_GT(6 * test_patience(), took);
	EXPECT_LE(1, outcome.banned);
	EXPECT_EQ(outcome.guilty, outcome.banned);
	EXPECT_EQ(0, outcome.blamed);
	/* Who had nothing on an engine loses nothing. */
	EXPECT_GT(self->owner.spaces, outcome.banned);
	EXPECT_GT(10 * test_patience(), owner_kill(&self->owner));
}

static double owner_truncate(struct owner *owner, int file)
{
	double start;

	if (ftruncate(file, PAGE) || !owner_start(owner, BOTH))
		return HUGE_VAL;
	start = seconds_now();
	if (ftruncate(file, 0))
		return HUGE_VAL;
	return seconds_now() - start;
}

/* What others have waited for a user counts when he comes back. */
TEST_F_TIMEOUT(takeaway, who_ends_and_comes_again_is_not_waited_for_as_long_again, 120)
{
	struct owner *owner = &self->owner;
	double first, again;

	*owner = (struct owner){ .spaces = 1, .queues = 2, .pages = 1, .file = true };
	first = owner_truncate(owner, self->file);
	ASSERT_GT(HUGE_VAL, first);
	owner_kill(owner);
	again = owner_truncate(owner, self->file);
	TH_LOG("waited %.1f s, and %.1f s again", first, again);
	EXPECT_GT(first - 0.5, again);
}

/* Its queues are closed one after the other, but what memory waits for ends before that. */
TEST_F_TIMEOUT(takeaway, band_of_a_file_that_is_being_closed_does_not_wait_for_its_queues, 180)
{
	struct owner *owner = &self->owner;
	struct outcome nothing;
	double start, took;

	*owner = (struct owner){ .spaces = 1, .queues = 2, .pages = 1, .file = true };
	/* There is little patience with this user from here on. */
	ASSERT_GT(HUGE_VAL, owner_truncate(owner, self->file));
	owner_kill(owner);
	owner->waiting = 12;
	ASSERT_EQ(0, ftruncate(self->file, PAGE));
	ASSERT_TRUE(owner_start(owner, BOTH));
	ASSERT_TRUE(owner_ask(owner, CLOSE_FILE));
	usleep(30000);
	start = seconds_now();
	ASSERT_EQ(0, ftruncate(self->file, 0));
	took = seconds_now() - start;
	EXPECT_EQ(sizeof(nothing), read(owner->answer, &nothing, sizeof(nothing)));
	TH_LOG("truncate took %.2f s, close %.2f s", took, seconds_now() - start);
	EXPECT_GT(0.6 * test_patience(), took);
}

/* Page after page, as memory is reclaimed: nobody waits for another's bands each time. */
TEST_F_TIMEOUT(takeaway, who_takes_page_after_page_waits_a_small_part_of_the_time, 120)
{
	enum { PAGES = 40 };
	struct outcome outcome;
	double start, took;

	ASSERT_EQ(0, ftruncate(self->file, PAGES * PAGE));
	self->owner = (struct owner){ .spaces = 1, .queues = 24, .pages = PAGES, .file = true };
	ASSERT_TRUE(owner_start(&self->owner, BOTH));
	start = seconds_now();
	for (int left = PAGES - 1; left >= 0; left--)
		ASSERT_EQ(0, ftruncate(self->file, left * PAGE));
	took = seconds_now() - start;
	ASSERT_TRUE(owner_query(&self->owner, false, &outcome));
	TH_LOG("%d pages took %.1f s, %u queues banned", PAGES, took, outcome.banned);
	EXPECT_GT(10 * test_patience(), took);
	EXPECT_LE(1, outcome.banned);
	EXPECT_EQ(outcome.guilty, outcome.banned);
	EXPECT_GT(10 * test_patience(), owner_kill(&self->owner));
}

/* Nor does he for his own bands: he may have a lock that others want. */
TEST_F_TIMEOUT(takeaway, who_drops_his_own_pages_waits_a_small_part_of_the_time, 120)
{
	struct outcome outcome;

	self->owner = (struct owner){ .spaces = 1, .queues = 24, .pages = 16 };
	ASSERT_TRUE(owner_start(&self->owner, BOTH));
	ASSERT_TRUE(owner_query(&self->owner, true, &outcome));
	TH_LOG("waited %.1f s for %u pages, %u queues banned", outcome.waited, self->owner.pages,
	       outcome.banned);
	EXPECT_GT(4 * test_patience(), outcome.waited);
	EXPECT_LE(1, outcome.banned);
	EXPECT_EQ(outcome.guilty, outcome.banned);
}

/* Queues of the same address space, whose jobs have used more of the card, but no long band. */
TEST_F_TIMEOUT(takeaway, a_band_is_no_fault_of_the_queues_beside_it, 120)
{
	struct outcome outcome;
	double start, took;

	ASSERT_EQ(0, ftruncate(self->file, PAGE));
	self->owner = (struct owner){ .spaces = 1, .queues = 2, .decoys = 1, .pages = 1,
				      .file = true };
	ASSERT_TRUE(owner_start(&self->owner, 1));
	start = seconds_now();
	ASSERT_EQ(0, ftruncate(self->file, 0));
	took = seconds_now() - start;
	ASSERT_TRUE(owner_query(&self->owner, false, &outcome));
	TH_LOG("truncate took %.1f s", took);
	EXPECT_GT(6 * test_patience(), took);
	EXPECT_EQ(1, outcome.banned);
	EXPECT_EQ(1, outcome.guilty);
	EXPECT_EQ(1, outcome.decoys);
}

/* Not a band for each of its buffers. */
TEST_F_TIMEOUT(takeaway, who_is_killed_is_gone_soon_whatever_his_bands, 120)
{
	double took;

	self->owner = (struct owner){ .spaces = 2, .queues = 4, .pages = 20 };
	ASSERT_TRUE(owner_start(&self->owner, BOTH));
	took = owner_kill(&self->owner);
	EXPECT_GT(8 * test_patience(), took);
}

TEST_HARNESS_MAIN
