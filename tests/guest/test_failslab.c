// SPDX-License-Identifier: MIT
/*
 * Every allocation of every call fails once: the call says -ENOMEM or does without, nothing has
 * changed after an error, and nothing is left behind.  Needs a kernel with fault injection
 * (make debug-kernel), whose fail-nth lets exactly the Nth allocation of the next call fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "shared.h"
#include "swap.h"

#define MIB (1ull << 20)
#define VA 0x6000000000ull
#define MOST 3000 /* allocations of one call */
#define MANY 600u

static int fail_nth = -1;

FIXTURE(failslab) {
	struct card card;
	unsigned int failed; /* calls that said so */
};

FIXTURE_SETUP(failslab)
{
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fail_nth < 0)
		SKIP(return, "this kernel has no fault injection");
	/* Allocations that may sleep are to fail as well, and quietly. */
	sysfs_write("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	sysfs_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	sysfs_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	sysfs_write("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	sysfs_write("/sys/kernel/debug/failslab/verbose", "0");
	sysfs_write("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	sysfs_write("/sys/kernel/debug/fail_usercopy/verbose", "0");
	ASSERT_EQ(0, card_setup(&self->card, 0));
	self->failed = 0;
}

FIXTURE_TEARDOWN(failslab)
{
	if (fail_nth >= 0) {
		card_teardown(&self->card);
		close(fail_nth);
	}
}

/* Lets the nth allocation from now on fail; 0: none. */
static void arm(unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	/* Also the copy of this very text can fail, and nothing is armed then. */
	if (pwrite(fail_nth, text, (size_t)length, 0) != length && errno != EFAULT)
		perror("fail-nth");
}

/* Whether the failure has happened; none is left to happen. */
static int disarm(void)
{
	char text[16] = "";
	int hit = 0;

	if (pread(fail_nth, text, sizeof(text) - 1, 0) > 0)
		hit = atoi(text) == 0;
	arm(0);
	return hit;
}

static int is_documented(int ret)
{
	/* Copies to and from the program fail the same way. */
	return ret == -ENOMEM || ret == -EFAULT;
}

/*
 * CALL is made with each of its failures; UNDO follows each success, SAME each error, and
 * must be true: what there was before is there.
 */
#define EACH_FAILURE(CALL, UNDO, SAME)                                                          \
	do {                                                                                    \
		unsigned int nth;                                                               \
		for (nth = 1; nth < MOST; nth++) {                                              \
			int ret, hit;                                                           \
			arm(nth);                                                               \
			ret = (CALL);                                                           \
			hit = disarm();                                                         \
			if (!ret) {                                                             \
				UNDO;                                                           \
			} else {                                                                \
				EXPECT_TRUE(hit);                                               \
				EXPECT_TRUE(is_documented(ret))                                 \
					TH_LOG("allocation %u: %d", nth, ret);                  \
				EXPECT_TRUE(SAME) TH_LOG("allocation %u", nth);                 \
				self->failed++;                                                 \
			}                                                                       \
			if (!hit)                                                               \
				break;                                                          \
		}                                                                               \
		EXPECT_LT(nth, MOST);                                                           \
		TH_LOG("%u failures, %u refused", nth - 1, self->failed);                       \
		EXPECT_GT(self->failed, 0);                                                     \
	} while (0)

static uint64_t used(int fd)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? 0 :
								  info.card_used + info.system_used;
}

/* A buffer that is gone may be freed a moment later. */
static int used_is(int fd, uint64_t bytes)
{
	for (int tries = 0; tries < 100 * test_patience() && used(fd) != bytes; tries++)
		usleep(20000);
	return used(fd) == bytes;
}

static int works(struct card *card)
{
	struct quire_packet_fill fill;

	packet_fill(&fill, card->stream.va + PAGE, 64, 0x77);
	return !card_run(card, &fill, sizeof(fill));
}

/* Else all of these tests would be skipped where they are meant to run. */
TEST(kernel_with_failing_allocations_lets_them_fail_by_number)
{
	EXPECT_EQ(access("/sys/kernel/debug/failslab", F_OK), access("/proc/self/fail-nth", F_OK));
}

TEST_F_TIMEOUT(failslab, open, 300)
{
	int fd = -1;

	EACH_FAILURE((fd = card_open_node(0)) < 0 ? fd : 0, close(fd), works(&self->card));
}

static int try_vm_create(int fd, uint32_t *vm)
{
	struct drm_quire_vm_create args = { 0 };
	int ret = card_ioctl(fd, DRM_IOCTL_QUIRE_VM_CREATE, &args);

	*vm = args.vm_id;
	return ret;
}

static void vm_destroy(int fd, uint32_t vm)
{
	struct drm_quire_vm_destroy args = { .vm_id = vm };

	card_ioctl(fd, DRM_IOCTL_QUIRE_VM_DESTROY, &args);
}

TEST_F_TIMEOUT(failslab, vm_create, 300)
{
	uint32_t vm;

	EACH_FAILURE(try_vm_create(self->card.fd, &vm), vm_destroy(self->card.fd, vm),
		     works(&self->card));
}

FIXTURE(failslab_bo) {
	struct card card;
	unsigned int failed;
};

FIXTURE_VARIANT(failslab_bo) {
	uint32_t placement;
	int private;
};

FIXTURE_VARIANT_ADD(failslab_bo, card) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
};

FIXTURE_VARIANT_ADD(failslab_bo, system) {
	.placement = DRM_QUIRE_PLACEMENT_SYSTEM,
};

FIXTURE_VARIANT_ADD(failslab_bo, card_private) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
	.private = 1,
};

FIXTURE_SETUP(failslab_bo)
{
	failslab_setup((FIXTURE_DATA(failslab) *)self, NULL);
}

FIXTURE_TEARDOWN(failslab_bo)
{
	if (fail_nth >= 0) {
		card_teardown(&self->card);
		close(fail_nth);
	}
}

TEST_F_TIMEOUT(failslab_bo, create, 300)
{
	int fd = self->card.fd;
	uint32_t handle, vm = variant->private ? self->card.vm : 0;
	uint64_t before = used(fd);

	EACH_FAILURE(card_bo_create(fd, 256 << 10, variant->placement, vm, &handle),
		     card_close_handle(fd, handle),
		     /* A handle that could not be told stays, as with every driver of DRM. */
		     ret == -EFAULT ? (before = used(fd), 1) : used_is(fd, before));
	EXPECT_TRUE(used_is(fd, before));
}

TEST_F_TIMEOUT(failslab, userptr, 300)
{
	struct drm_quire_userptr args = { .size = MIB };
	int fd = self->card.fd;

	args.address = (uintptr_t)mmap(NULL, MIB, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	EACH_FAILURE(card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args),
		     card_close_handle(fd, args.handle), works(&self->card));
}

TEST_F_TIMEOUT(failslab, queue_create, 300)
{
	uint32_t queue;

	EACH_FAILURE(card_queue_create(self->card.fd, self->card.vm, 0, &queue),
		     card_queue_destroy(self->card.fd, queue), works(&self->card));
}

/* What a job reads at VA. */
static uint64_t seen(struct card *card)
{
	uint64_t *word = (uint64_t *)((char *)card->stream.map + 2 * PAGE);
	struct quire_packet_copy copy;

	*word = 0;
	packet_copy(&copy, card->stream.va + 2 * PAGE, VA + 16 * PAGE, 8);
	return card_run(card, &copy, sizeof(copy)) ? ~0ull : *word;
}

static int two_buffers(struct card *card, uint64_t bytes, uint32_t handle[2])
{
	int ret = 0;

	for (uint64_t i = 0; i < 2 && !ret; i++) {
		uint64_t *map;

		ret = card_bo_create(card->fd, bytes, DRM_QUIRE_PLACEMENT_CARD, 0, &handle[i]);
		if (!ret)
			ret = card_bo_map(card->fd, handle[i], bytes, (void **)&map);
		if (ret)
			break;
		for (uint64_t page = 0; page < bytes / PAGE; page++)
			map[page * PAGE / 8] = i + 1;
		munmap(map, bytes);
	}
	return ret;
}

/* In the midst of another mapping, which falls into two. */
TEST_F_TIMEOUT(failslab, vm_bind_that_replaces, 600)
{
	struct card *card = &self->card;
	uint32_t handle[2];

	ASSERT_EQ(0, two_buffers(card, 4 * MIB, handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle[0], VA, 4 * MIB, 0));
	EACH_FAILURE(card_bind(card->fd, card->vm, handle[1], VA + 16 * PAGE, MIB, 0),
		     EXPECT_EQ(2, seen(card));
		     EXPECT_EQ(0, card_bind(card->fd, card->vm, handle[0], VA, 4 * MIB, 0)),
		     seen(card) == 1);
}

/* Of pages of a large one: the table has to be split. */
TEST_F_TIMEOUT(failslab, vm_bind_that_unmaps, 600)
{
	struct card *card = &self->card;
	uint32_t handle[2];

	ASSERT_EQ(0, two_buffers(card, 4 * MIB, handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle[0], VA, 4 * MIB, 0));
	EACH_FAILURE(card_unbind(card->fd, card->vm, VA + PAGE, PAGE),
		     EXPECT_EQ(0, card_bind(card->fd, card->vm, handle[0], VA, 4 * MIB, 0)),
		     seen(card) == 1);
}

static int bind_async(struct card *card, uint32_t handle, uint64_t bytes, uint32_t done,
		      uint64_t point)
{
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, card->point },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done, point },
	};
	struct drm_quire_vm_bind_op ops[2] = {
		{ .type = DRM_QUIRE_VM_BIND_MAP, .handle = handle, .va = VA, .size = bytes },
		{ .type = DRM_QUIRE_VM_BIND_UNMAP, .va = VA + 64 * MIB, .size = MIB },
	};
	struct drm_quire_vm_bind args = { .vm_id = card->vm, .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(ops[0]), 2, (uintptr_t)ops },
					  .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

TEST_F_TIMEOUT(failslab, vm_bind_that_waits, 600)
{
	struct card *card = &self->card;
	uint32_t handle[2], done;
	uint64_t point = 1;

	ASSERT_EQ(0, two_buffers(card, MIB, handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle[0], VA, MIB, 0));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &done));
	ASSERT_TRUE(works(card));
	EACH_FAILURE(bind_async(card, handle[1], MIB, done, point),
		     EXPECT_EQ(0, card_wait(card->fd, done, point++, 20000 * MS));
		     EXPECT_EQ(2, seen(card));
		     EXPECT_EQ(0, card_bind(card->fd, card->vm, handle[0], VA, MIB, 0)),
		     seen(card) == 1);
}

/* Jobs that signal and wait, binary and timeline. */
static int submit_two(struct card *card, uint32_t binary, uint64_t point)
{
	struct drm_quire_sync first[2] = {
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, point },
		{ DRM_QUIRE_SYNC_SIGNAL, binary, 0 },
	};
	struct drm_quire_sync second[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, point - 1 },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, point + 1 },
	};
	struct drm_quire_job jobs[2] = {
		{ .syncs = { sizeof(first[0]), 2, (uintptr_t)first } },
		{ .syncs = { sizeof(second[0]), 2, (uintptr_t)second } },
	};
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(jobs[0]), 2, (uintptr_t)jobs } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

static uint64_t submitted(struct card *card)
{
	struct drm_quire_queue_query state;

	return card_queue_state(card->fd, card->queue, &state) ? ~0ull : state.submitted;
}

TEST_F_TIMEOUT(failslab, submit, 300)
{
	struct card *card = &self->card;
	uint64_t point, before;
	uint32_t binary;

	ASSERT_EQ(0, card_syncobj_create(card->fd, &binary));
	ASSERT_TRUE(works(card));
	point = card->point + 1;
	before = submitted(card);
	EACH_FAILURE(submit_two(card, binary, point),
		     EXPECT_EQ(0, card_wait(card->fd, card->syncobj, point + 1, 20000 * MS));
		     point += 2; before += 2,
		     submitted(card) == before);
	EXPECT_EQ(before, submitted(card));
}

/* Its buffers have to come back to the card before the job can run. */
TEST_F_TIMEOUT(failslab, submit_after_an_eviction, 600)
{
	struct card *card = &self->card;
	uint32_t handle[2], filler[4];
	uint64_t point;
	int other = card_open_node(0);

	ASSERT_EQ(0, two_buffers(card, MIB, handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle[0], VA, MIB, 0));
	for (unsigned int nth = 1; nth < 60; nth++) {
		int ret;

		for (int i = 0; i < 4; i++)
			if (card_bo_create(other, 72 * MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &filler[i]))
				filler[i] = 0;
		for (int i = 0; i < 4; i++)
			card_close_handle(other, filler[i]);
		arm(nth);
		ret = card_submit(card, 0, 0, &point);
		disarm();
		EXPECT_TRUE(!ret || is_documented(ret)) TH_LOG("allocation %u: %d", nth, ret);
		EXPECT_EQ(1, seen(card));
		self->failed += !!ret;
	}
	close(other);
}

static int export(int fd, uint32_t handle, int *out)
{
	struct drm_prime_handle args = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int ret = card_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	*out = args.fd;
	return ret;
}

static int import(int fd, int buffer, uint32_t *handle)
{
	struct drm_prime_handle args = { .fd = buffer };
	int ret = card_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	*handle = args.handle;
	return ret;
}

TEST_F_TIMEOUT(failslab, prime_export, 300)
{
	int fd = self->card.fd, buffer;
	uint32_t handle;

	/* The first export of a buffer makes most: each time another one. */
	ASSERT_EQ(0, card_bo_create(fd, MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
	EACH_FAILURE(export(fd, handle, &buffer),
		     close(buffer); card_close_handle(fd, handle);
		     EXPECT_EQ(0, card_bo_create(fd, MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &handle)),
		     works(&self->card));
}

/* A dma-buf of the process's own pages: of another driver, for the card to map. */
TEST_F_TIMEOUT(failslab, prime_import, 300)
{
	int fd = self->card.fd, buffer = shared_udmabuf(MIB, NULL);
	uint32_t handle;

	if (buffer == -ENOENT)
		SKIP(return, "this kernel has no udmabuf");
	ASSERT_GE(buffer, 0);
	EACH_FAILURE(import(fd, buffer, &handle), card_close_handle(fd, handle),
		     works(&self->card));
	close(buffer);
}

/* A buffer of another card, bound here: what the exporter has to allocate may fail as well. */
static int other_cards_buffer(int own, uint32_t *handle)
{
	int other = card_open_node(1), buffer, ret;
	uint32_t theirs;

	if (other < 0)
		return other;
	ret = card_bo_create(other, MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &theirs);
	if (!ret)
		ret = export(other, theirs, &buffer);
	if (!ret)
		ret = handle ? import(own, buffer, handle) : buffer;
	if (!ret)
		close(buffer);
	close(other);
	return ret;
}

TEST_F_TIMEOUT(failslab, prime_import_of_another_card, 300)
{
	int fd = self->card.fd, buffer = other_cards_buffer(fd, NULL);
	uint32_t handle;

	if (buffer == -ENOENT)
		SKIP(return, "there is one card only");
	ASSERT_GE(buffer, 0);
	EACH_FAILURE(import(fd, buffer, &handle), card_close_handle(fd, handle),
		     works(&self->card));
	close(buffer);
}

TEST_F_TIMEOUT(failslab, bind_of_an_imported_buffer, 300)
{
	struct card *card = &self->card;
	uint32_t handle;
	int ret = other_cards_buffer(card->fd, &handle);

	if (ret == -ENOENT)
		SKIP(return, "there is one card only");
	ASSERT_EQ(0, ret);
	EACH_FAILURE(card_bind(card->fd, card->vm, handle, VA, MIB, 0),
		     EXPECT_EQ(0, card_unbind(card->fd, card->vm, VA, MIB)), works(card));
}

TEST_F_TIMEOUT(failslab, submit_after_an_imported_buffer_moved, 300)
{
	struct card *card = &self->card;
	uint64_t point;
	uint32_t handle;
	int ret = other_cards_buffer(card->fd, &handle);

	if (ret == -ENOENT)
		SKIP(return, "there is one card only");
	ASSERT_EQ(0, ret);
	ret = swap_on();
	ASSERT_TRUE(ret == 0 || ret == -ENOENT);
	ASSERT_EQ(0, card_bind(card->fd, card->vm, handle, VA, MIB, 0));
	ASSERT_EQ(0, swap_out_buffers(card->fd));
	EACH_FAILURE(card_submit(card, 0, 0, &point), swap_out_buffers(card->fd), 1);
	EXPECT_TRUE(works(card));
	if (!ret)
		EXPECT_EQ(0, swap_off());
}

TEST_F_TIMEOUT(failslab, mmap, 300)
{
	struct drm_quire_bo_mmap_offset args = { 0 };
	int fd = self->card.fd;
	void *map = NULL;

	ASSERT_EQ(0, card_bo_create(fd, MIB, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &args.handle));
	EACH_FAILURE(card_bo_map(fd, args.handle, MIB, &map), munmap(map, MIB), works(&self->card));
}

/* So many shareable buffers that a list of their locks would not fit in the page it begins with. */
static int make_many(int fd, struct drm_quire_vm_bind_op *ops)
{
	int ret = 0;

	for (unsigned int i = 0; i < MANY && !ret; i++) {
		ops[i] = (struct drm_quire_vm_bind_op){ .type = DRM_QUIRE_VM_BIND_MAP,
							.va = VA + MIB + i * PAGE, .size = PAGE };
		ret = card_bo_create(fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &ops[i].handle);
	}
	return ret;
}

/* Calls that end something have nothing to say but that it has ended; copies may fail. */
TEST_F_TIMEOUT(failslab, what_ends_something_does_not_fail, 300)
{
	static struct drm_quire_vm_bind_op ops[MANY];
	struct drm_quire_vm_bind bind = { .ops = { sizeof(ops[0]), MANY, (uintptr_t)ops } };
	int fd = self->card.fd;

	ASSERT_EQ(0, make_many(fd, ops));
	for (unsigned int nth = 1; nth < 40; nth++) {
		uint32_t vm, queue, handle;

		ASSERT_EQ(0, card_vm_create(fd, &vm));
		ASSERT_EQ(0, card_queue_create(fd, vm, 0, &queue));
		ASSERT_EQ(0, card_bo_create(fd, MIB, DRM_QUIRE_PLACEMENT_CARD, 0, &handle));
		ASSERT_EQ(0, card_bind(fd, vm, handle, VA, MIB, 0));
		bind.vm_id = vm;
		/* Such a list would be one of the first things. */
		if (nth <= 8)
			ASSERT_EQ(0, card_ioctl(fd, DRM_IOCTL_QUIRE_VM_BIND, &bind));
		arm(nth);
		if (card_queue_destroy(fd, queue) == -EFAULT)
			EXPECT_EQ(0, card_queue_destroy(fd, queue));
		disarm();
		arm(nth);
		card_close_handle(fd, handle);
		disarm();
		arm(nth);
		vm_destroy(fd, vm);
		disarm();
		EXPECT_EQ(-ENOENT, card_queue_destroy(fd, queue));
	}
	EXPECT_TRUE(works(&self->card));
}

TEST_HARNESS_MAIN
