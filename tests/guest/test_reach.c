// SPDX-License-Identifier: MIT
/*
 * Memory that is given back is out of the card's reach.  A hostile program has buffers that its
 * running job writes taken away in every way there is; whoever gets the memory next looks for
 * what the job wrote.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "patience.h"

#define N 1024u				/* of a product, posit8 */
#define LATE_BYTES ((uint64_t)N * N)
#define LATE_VA 0x5000000000ull
/* Write an own buffer, while the other is being bound. */
#define OWN_PACKETS (6u * (unsigned int)test_patience())
#define LATE_PACKETS 60u		/* write at LATE_VA */
#define GATE_PACKETS 15u		/* of another job, which writes an own buffer only */
#define GATE_OFFSET QUIRE_STREAM_MAX_BYTES
#define VICTIMS 4u
#define FILLED 0x43			/* operands; no product of them is 0 or FRESH */
#define FRESH 0xa5

/* A program with a job of many products, the later of which write at LATE_VA. */
struct attacker {
	struct card card;
	struct bo operands; /* A, B, and D of the first products */
	struct bo results;
	uint32_t late;
	void *late_map;
	uint64_t point;
};

/* Who gets the memory: buffers of another file, or pages of the process. */
struct victim {
	int fd;
	uint32_t handle[VICTIMS];
	uint8_t *map[VICTIMS];
};

FIXTURE(reach) {
	struct attacker attacker;
	struct victim victim;
};

FIXTURE_VARIANT(reach) {
	uint32_t placement; /* 0: the process's own memory */
};

FIXTURE_VARIANT_ADD(reach, card) {
	.placement = DRM_QUIRE_PLACEMENT_CARD,
};

FIXTURE_VARIANT_ADD(reach, system) {
	.placement = DRM_QUIRE_PLACEMENT_SYSTEM,
};

FIXTURE_VARIANT_ADD(reach, userptr) {
	.placement = 0,
};

static int attacker_open(struct attacker *attacker, uint32_t placement)
{
	struct card *card = &attacker->card;
	struct quire_packet_gemm *packets;
	int ret;

	memset(attacker, 0, sizeof(*attacker));
	ret = card_setup(card, 0);
	if (!ret)
		ret = card_buffer(card, 3 * LATE_BYTES, placement, &attacker->operands);
	if (!ret)
		ret = card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &attacker->results);
	if (ret)
		return ret;
	memset(attacker->operands.map, FILLED, 2 * LATE_BYTES);
	packets = card->stream.map;
	for (unsigned int i = 0; i < OWN_PACKETS + LATE_PACKETS; i++) {
		uint64_t a = attacker->operands.va, own = a + 2 * LATE_BYTES;

		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, N, N, N, a, a + LATE_BYTES,
			    i < OWN_PACKETS ? own : LATE_VA);
	}
	packets[OWN_PACKETS - 1].header.result = attacker->results.va;
	for (unsigned int i = 0; i < GATE_PACKETS; i++)
		memcpy((char *)card->stream.map + GATE_OFFSET + i * sizeof(*packets), packets,
		       sizeof(*packets));
	return 0;
}

static int attacker_submit(struct attacker *attacker)
{
	memset(attacker->results.map, 0, PAGE);
	return card_submit(&attacker->card, attacker->card.stream.va,
			   (OWN_PACKETS + LATE_PACKETS) * sizeof(struct quire_packet_gemm),
			   &attacker->point);
}

static int attacker_late(struct attacker *attacker, uint32_t placement)
{
	struct drm_quire_userptr args = { .size = LATE_BYTES };
	int fd = attacker->card.fd, ret;

	if (placement) {
		ret = card_bo_create(fd, LATE_BYTES, placement, 0, &attacker->late);
		if (!ret)
			ret = card_bo_map(fd, attacker->late, LATE_BYTES, &attacker->late_map);
		/* A fresh buffer would be bound for jobs submitted later only. */
		if (!ret)
			*(volatile char *)attacker->late_map = 0;
		return ret;
	}
	attacker->late_map = mmap(NULL, LATE_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (attacker->late_map == MAP_FAILED)
		return -ENOMEM;
	args.address = (uintptr_t)attacker->late_map;
	ret = card_ioctl(fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	attacker->late = args.handle;
	return ret;
}

static int attacker_bind(struct attacker *attacker, uint32_t handle)
{
	return card_bind(attacker->card.fd, attacker->card.vm, handle, LATE_VA, LATE_BYTES, 0);
}

/* Until the products that write the late buffer have begun; false if the job is over. */
static int attacker_in_the_midst(struct attacker *attacker)
{
	const volatile struct quire_packet_result *result = attacker->results.map;
	const volatile uint8_t *first = attacker->late_map;

	while (!result->macs || !*first)
		if (!card_wait(attacker->card.fd, attacker->card.syncobj, attacker->point, MS))
			return 0;
	return 1;
}

static void attacker_close(struct attacker *attacker)
{
	munmap(attacker->operands.map, attacker->operands.size);
	munmap(attacker->results.map, attacker->results.size);
	card_teardown(&attacker->card);
}

/* As much as there was late memory, several times, so that some of it is the same. */
static int victim_take(struct victim *victim, uint32_t placement)
{
	int ret = 0;

	for (unsigned int i = 0; i < VICTIMS && !ret; i++) {
		if (placement) {
			ret = card_bo_create(victim->fd, LATE_BYTES, placement, 0,
					     &victim->handle[i]);
			if (!ret)
				ret = card_bo_map(victim->fd, victim->handle[i], LATE_BYTES,
						  (void **)&victim->map[i]);
		} else {
			/* The driver's worker lets go of them in a moment. */
			usleep(500);
			victim->map[i] = mmap(NULL, 8 * LATE_BYTES, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			memset(victim->map[i], FRESH, 8 * LATE_BYTES);
		}
	}
	return ret;
}

/* Bytes that are not what the victim has there. */
static unsigned int victim_look(struct victim *victim, uint32_t placement)
{
	uint64_t bytes = placement ? LATE_BYTES : 8 * LATE_BYTES;
	uint8_t expected = placement ? 0 : FRESH;
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < VICTIMS; i++)
		for (uint64_t at = 0; at < bytes; at += 512)
			wrong += victim->map[i][at] != expected;
	return wrong;
}

static void victim_give(struct victim *victim, uint32_t placement)
{
	for (unsigned int i = 0; i < VICTIMS; i++) {
		munmap(victim->map[i], placement ? LATE_BYTES : 8 * LATE_BYTES);
		if (placement)
			card_close_handle(victim->fd, victim->handle[i]);
	}
}

FIXTURE_SETUP(reach)
{
	self->victim.fd = card_open_node(0);
	ASSERT_GE(self->victim.fd, 0);
}

FIXTURE_TEARDOWN(reach)
{
	close(self->victim.fd);
}

enum route { UNBIND, REPLACE, CLOSE_ONLY };

/* Bind late, have it written, take it away, and look: wrong bytes found, or -1 - error. */
static int late_buffer(struct attacker *attacker, struct victim *victim, uint32_t placement,
		       enum route route, unsigned int delay_us, unsigned int *tried)
{
	uint32_t other = 0;
	int wrong, ret;

	ret = attacker_open(attacker, DRM_QUIRE_PLACEMENT_CARD);
	if (!ret && route == REPLACE)
		ret = card_bo_create(attacker->card.fd, LATE_BYTES, DRM_QUIRE_PLACEMENT_SYSTEM, 0,
				     &other);
	if (!ret)
		ret = attacker_submit(attacker);
	if (!ret)
		ret = attacker_late(attacker, placement);
	if (!ret)
		ret = attacker_bind(attacker, attacker->late);
	if (ret)
		return -1 + ret;
	*tried += attacker_in_the_midst(attacker);
	usleep(delay_us);
	munmap(attacker->late_map, LATE_BYTES);
	if (route == UNBIND)
		ret = card_unbind(attacker->card.fd, attacker->card.vm, LATE_VA, LATE_BYTES);
	else if (route == REPLACE)
		ret = attacker_bind(attacker, other);
	card_close_handle(attacker->card.fd, attacker->late);
	if (!ret)
		ret = victim_take(victim, placement);
	if (ret)
		return -1 + ret;
	/* What the card began it has ended when the queue is gone. */
	usleep(30000);
	wrong = (int)victim_look(victim, placement);
	card_queue_destroy(attacker->card.fd, attacker->card.queue);
	wrong += (int)victim_look(victim, placement);
	victim_give(victim, placement);
	attacker_close(attacker);
	return wrong;
}

TEST_F_TIMEOUT(reach, buffer_bound_after_submit_is_not_written_once_unbound_and_closed, 60)
{
	unsigned int tried = 0;

	for (unsigned int round = 0; round < 10; round++)
		ASSERT_EQ(0, late_buffer(&self->attacker, &self->victim, variant->placement, UNBIND,
					 round * 1300, &tried));
	EXPECT_GT(tried, 2);
}

TEST_F_TIMEOUT(reach, buffer_bound_after_submit_is_not_written_once_replaced_and_closed, 60)
{
	unsigned int tried = 0;

	for (unsigned int round = 0; round < 6; round++)
		ASSERT_EQ(0, late_buffer(&self->attacker, &self->victim, variant->placement,
					 REPLACE, round * 1700, &tried));
	EXPECT_GT(tried, 2);
}

/* The handle alone: the mapping keeps the buffer, so nobody else gets it and the job goes on. */
TEST_F_TIMEOUT(reach, closed_handle_of_a_mapped_buffer_is_nobody_elses, 60)
{
	unsigned int tried = 0;

	for (unsigned int round = 0; round < 3; round++)
		ASSERT_EQ(0, late_buffer(&self->attacker, &self->victim, variant->placement,
					 CLOSE_ONLY, round * 1700, &tried));
	EXPECT_GT(tried, 0);
}

/* Unmaps what is late once the point is there, and signals @done:1. */
static int unbind_after(struct card *card, uint64_t point, uint32_t done)
{
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, point },
		{ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done, 1 },
	};
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_UNMAP, .va = LATE_VA,
					   .size = LATE_BYTES };
	struct drm_quire_vm_bind args = { .vm_id = card->vm, .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(op), 1, (uintptr_t)&op },
					  .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

/*
 * The unmapping is asked for before the job is there and done while it runs: the job is not
 * among those that the buffer knew when the call was made.
 */
TEST_F_TIMEOUT(reach, buffer_whose_unmapping_waited_is_not_written_once_it_is_done, 60)
{
	struct attacker *attacker = &self->attacker;
	struct card *card = &attacker->card;

	for (unsigned int round = 0; round < 8; round++) {
		uint32_t queue, first, done;
		uint64_t gate;

		ASSERT_EQ(0, attacker_open(attacker, DRM_QUIRE_PLACEMENT_CARD));
		ASSERT_EQ(0, attacker_late(attacker, variant->placement));
		ASSERT_EQ(0, attacker_bind(attacker, attacker->late));
		/* A second queue works for a while; its end lets the unmapping go. */
		ASSERT_EQ(0, card_queue_create(card->fd, card->vm, 0, &queue));
		ASSERT_EQ(0, card_syncobj_create(card->fd, &done));
		first = card->queue;
		card->queue = queue;
		ASSERT_EQ(0, card_submit(card, card->stream.va + GATE_OFFSET,
					 GATE_PACKETS * sizeof(struct quire_packet_gemm), &gate));
		card->queue = first;
		ASSERT_EQ(0, unbind_after(card, gate, done));
		/* On a timeline of its own, whose points do not wait for the gate. */
		ASSERT_EQ(0, card_syncobj_create(card->fd, &card->syncobj));
		ASSERT_EQ(0, attacker_submit(attacker));
		card_close_handle(card->fd, attacker->late);
		munmap(attacker->late_map, LATE_BYTES);
		ASSERT_EQ(0, card_wait(card->fd, done, 1, 20000 * MS));
		ASSERT_EQ(0, victim_take(&self->victim, variant->placement));
		usleep(30000);
		EXPECT_EQ(0, victim_look(&self->victim, variant->placement));
		card_queue_destroy(card->fd, card->queue);
		EXPECT_EQ(0, victim_look(&self->victim, variant->placement));
		victim_give(&self->victim, variant->placement);
		attacker_close(attacker);
	}
}

static uint32_t resident(int fd, uint32_t handle)
{
	struct drm_quire_bo_info info = { .handle = handle };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_BO_INFO, &info) ? 0 : info.resident;
}

/* A buffer's bytes that are not 0, one of each page; the buffer goes. */
static unsigned int look_and_close(int fd, uint32_t handle, uint64_t bytes)
{
	unsigned int wrong = 0;
	uint8_t *map;

	if (card_bo_map(fd, handle, bytes, (void **)&map))
		return 1;
	for (uint64_t at = 0; at < bytes; at += PAGE)
		wrong += map[at] != 0;
	munmap(map, bytes);
	card_close_handle(fd, handle);
	return wrong;
}

/* A buffer somebody uses at once: what others left there is cleared now, and not when we look. */
static int create_and_use(int fd, uint64_t bytes, uint32_t *handle)
{
	volatile uint8_t *map;
	int ret = card_bo_create(fd, bytes, DRM_QUIRE_PLACEMENT_CARD, 0, handle);

	if (!ret)
		ret = card_bo_map(fd, *handle, bytes, (void **)&map);
	if (!ret) {
		ret = map[0] ? -EILSEQ : 0;
		munmap((void *)map, bytes);
	}
	return ret;
}

/* Others need card memory: the late buffer moves to system memory while it is being written. */
TEST_F_TIMEOUT(reach, card_memory_of_an_evicted_buffer_is_not_written_by_the_job_that_had_it, 60)
{
	enum { SMALL = 96 };
	const uint64_t bytes = 200u << 20; /* of 256 MiB */
	struct attacker *attacker = &self->attacker;
	int fd = self->victim.fd;
	uint32_t large, small[SMALL];
	unsigned int moved = 0;

	if (variant->placement != DRM_QUIRE_PLACEMENT_CARD)
		SKIP(return, "only card memory is evicted");
	for (unsigned int round = 0; round < 5; round++) {
		unsigned int count = 0;

		/* All but the late buffer is out of the way, and it is the oldest. */
		ASSERT_EQ(0, attacker_open(attacker, DRM_QUIRE_PLACEMENT_SYSTEM));
		ASSERT_EQ(0, attacker_late(attacker, variant->placement));
		ASSERT_EQ(0, card_bo_create(fd, bytes, DRM_QUIRE_PLACEMENT_CARD, 0, &large));
		while (count < 40)
			ASSERT_EQ(0, card_bo_create(fd, LATE_BYTES, DRM_QUIRE_PLACEMENT_CARD, 0,
						    &small[count++]));
		ASSERT_EQ(0, attacker_submit(attacker));
		ASSERT_EQ(0, attacker_bind(attacker, attacker->late));
		attacker_in_the_midst(attacker);
		while (count < SMALL && resident(attacker->card.fd, attacker->late) ==
						DRM_QUIRE_PLACEMENT_CARD)
			ASSERT_EQ(0, create_and_use(fd, LATE_BYTES, &small[count++]));
		moved += resident(attacker->card.fd, attacker->late) != DRM_QUIRE_PLACEMENT_CARD;
		usleep(30000);
		card_queue_destroy(attacker->card.fd, attacker->card.queue);
		EXPECT_EQ(0, look_and_close(fd, large, bytes));
		while (count)
			EXPECT_EQ(0, look_and_close(fd, small[--count], LATE_BYTES));
		munmap(attacker->late_map, LATE_BYTES);
		attacker_close(attacker);
	}
	EXPECT_GT(moved, 0);
}

/* The process gives its pages back without a word to the driver. */
TEST_F_TIMEOUT(reach, pages_of_a_process_are_not_written_once_it_has_unmapped_them, 60)
{
	struct attacker *attacker = &self->attacker;

	if (variant->placement)
		SKIP(return, "of the process's own memory");
	for (unsigned int round = 0; round < 6; round++) {
		ASSERT_EQ(0, attacker_open(attacker, DRM_QUIRE_PLACEMENT_CARD));
		ASSERT_EQ(0, attacker_submit(attacker));
		ASSERT_EQ(0, attacker_late(attacker, 0));
		ASSERT_EQ(0, attacker_bind(attacker, attacker->late));
		attacker_in_the_midst(attacker);
		usleep(round * 1500);
		if (round % 2)
			ASSERT_EQ(0, madvise(attacker->late_map, LATE_BYTES, MADV_DONTNEED));
		munmap(attacker->late_map, LATE_BYTES);
		ASSERT_EQ(0, victim_take(&self->victim, 0));
		usleep(30000);
		EXPECT_EQ(0, victim_look(&self->victim, 0));
		card_queue_destroy(attacker->card.fd, attacker->card.queue);
		EXPECT_EQ(0, victim_look(&self->victim, 0));
		victim_give(&self->victim, 0);
		attacker_close(attacker);
	}
}

/*
 * The same of a file, of which another mapping stays: what the card still writes would be seen in
 * it, whoever gets the pages.
 */
TEST_F_TIMEOUT(reach, pages_of_a_file_are_not_written_once_it_is_unmapped, 60)
{
	struct drm_quire_userptr args = { .size = LATE_BYTES };
	struct attacker *attacker = &self->attacker;
	unsigned int wrong = 0, tried = 0;

	if (variant->placement)
		SKIP(return, "of the process's own memory");
	for (unsigned int round = 0; round < 12; round++) {
		int file = memfd_create("late", 0);
		uint8_t *kept;

		ASSERT_EQ(0, ftruncate(file, LATE_BYTES));
		attacker->late_map = NULL;
		ASSERT_EQ(0, attacker_open(attacker, DRM_QUIRE_PLACEMENT_CARD));
		kept = mmap(NULL, LATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			    file, 0);
		attacker->late_map = mmap(NULL, LATE_BYTES, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_POPULATE, file, 0);
		ASSERT_NE(MAP_FAILED, kept);
		ASSERT_NE(MAP_FAILED, attacker->late_map);
		args.address = (uintptr_t)attacker->late_map;
		ASSERT_EQ(0, card_ioctl(attacker->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args));
		ASSERT_EQ(0, attacker_submit(attacker));
		ASSERT_EQ(0, attacker_bind(attacker, args.handle));
		tried += attacker_in_the_midst(attacker);
		usleep(round * 900);
		munmap(attacker->late_map, LATE_BYTES);
		memset(kept, FRESH, LATE_BYTES);
		card_wait(attacker->card.fd, attacker->card.syncobj, attacker->point, 20000 * MS);
		for (uint64_t at = 0; at < LATE_BYTES; at += 64)
			wrong += kept[at] != FRESH;
		munmap(kept, LATE_BYTES);
		close(file);
		attacker_close(attacker);
	}
	EXPECT_EQ(0, wrong);
	EXPECT_GT(tried, 2);
}

/* Bus address of a page, as root without an IOMMU may know it; 0: unknown. */
static uint64_t page_frame(const void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, 8, (off_t)((uintptr_t)page / PAGE * 8)) != 8)
		entry = 0;
	close(fd);
	return entry >> 63 ? (entry & ((1ull << 55) - 1)) * PAGE : 0;
}

struct toggle {
	struct attacker *attacker;
	_Atomic int stop;
	int error;
	unsigned int times;
	uint32_t handle;
};

#define TOGGLE_BYTES (2u << 20)

/* Large page, small pages, large page: each time a table becomes superfluous. */
static void *toggle_tables(void *argument)
{
	struct toggle *toggle = argument;
	struct card *card = &toggle->attacker->card;

	while (!toggle->stop && !toggle->error) {
		toggle->error = card_bind(card->fd, card->vm, toggle->handle, LATE_VA,
					  TOGGLE_BYTES, 0);
		if (!toggle->error)
			toggle->error = card_unbind(card->fd, card->vm,
						    LATE_VA + TOGGLE_BYTES - PAGE, PAGE);
		toggle->times++;
	}
	return NULL;
}

/*
 * A table that is given back while the card walks it comes back as a page of ours, and what
 * stands there would be entries: of the very page that nobody bound.
 */
TEST_F_TIMEOUT(reach, page_tables_given_back_are_not_walked_any_more, 60)
{
	enum { SPRAY = 64 };
	struct toggle toggle = { .attacker = &self->attacker };
	uint64_t *target, frame, *spray, points = 0, submitted = 0;
	struct card *card = &self->attacker.card;
	pthread_t thread;

	if (variant->placement != DRM_QUIRE_PLACEMENT_CARD)
		SKIP(return, "tables are the same for all");
	target = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
	memset(target, FRESH, PAGE);
	frame = page_frame(target);
	ASSERT_EQ(0, attacker_open(&self->attacker, DRM_QUIRE_PLACEMENT_CARD));
	ASSERT_EQ(0, card_bo_create(card->fd, TOGGLE_BYTES, variant->placement, 0,
				    &toggle.handle));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, toggle.handle, LATE_VA, TOGGLE_BYTES, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, toggle_tables, &toggle));
	for (unsigned int round = 0; round < 40; round++) {
		if (points == submitted) {
			ASSERT_EQ(0, attacker_submit(&self->attacker));
			submitted = self->attacker.point;
		}
		spray = mmap(NULL, SPRAY * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (unsigned int i = 0; i < SPRAY * PAGE / 8; i++)
			spray[i] = frame | QUIRE_PTE_VALID | QUIRE_PTE_READ | QUIRE_PTE_WRITE |
				   QUIRE_PTE_SYSTEM;
		usleep(20000);
		munmap(spray, SPRAY * PAGE);
		if (!card_wait(card->fd, card->syncobj, submitted, 0))
			points = submitted;
	}
	toggle.stop = 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, toggle.error);
	EXPECT_GT(toggle.times, 20);
	card_queue_destroy(card->fd, card->queue);
	for (unsigned int i = 0; i < PAGE / 8; i++)
		ASSERT_EQ(0xa5a5a5a5a5a5a5a5ull, target[i]);
	attacker_close(&self->attacker);
}

TEST_HARNESS_MAIN
