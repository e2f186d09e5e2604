// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contents of buffers are moved and cleared by the engines of the card, as jobs of the
 * kernel's queue (quire_kernel_queue.c).  Its address space shows all of card memory for good,
 * and in a window the pages of the one buffer that is being moved.
 *
 * One piece is on its way at a time, and the caller sleeps for it: its pages, its stream and
 * the window are free again when its fence has signalled and the card has drained the flush
 * that closed the window.  A piece cannot be interrupted, because the card may still write.
 * It depends on nothing but the card: the kernel's queue has its slot for good, and a
 * reset ends it or runs it again from its beginning, which gives the same.  In whose call it is
 * done pays for it afterwards (quire_debt.c).
 */
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>

#include "quire_debt.h"
#include "quire_gem.h"
#include "quire_kernel_queue.h"
#include "quire_migrate.h"
#include "quire_power.h"
#include "quire_trace.h"
#include "quire_vm.h"

/* Where the address space shows card memory, the pages of a buffer, and the stream. */
#define QUIRE_MIGRATE_CARD BIT_ULL(40)
#define QUIRE_MIGRATE_WINDOW BIT_ULL(44)
#define QUIRE_MIGRATE_STREAM BIT_ULL(45)

/* Its tables are among those that quire_mmu.spare keeps: pieces after the first allocate none. */
#define QUIRE_MIGRATE_PIECE SZ_64M

/** struct quire_migrate - moves of a card */
struct quire_migrate {
	/** @qdev: card */
	struct quire_device *qdev;
	/**
	 * @lock: one piece at a time: protects window and stream.  Inside reservations.  Whoever
	 * moves or clears a buffer waits for it, and so nothing is allocated under it: reclaim may
	 * wait for anybody's job.
	 */
	struct mutex lock;
	/** @vm: the kernel's address space, with a reference */
	struct quire_vm *vm;
	/** @queue: the kernel's queue */
	struct quire_queue *queue;
	/** @stream: one packet, in a page of system memory */
	void *stream;
	/** @stream_bus: its bus address */
	dma_addr_t stream_bus;
};

static struct quire_table_plan quire_migrate_plan(u64 va, u64 bytes)
{
	struct quire_table_plan plan = {};

	quire_plan_add(&plan, va, bytes, true);
	return plan;
}

/* With @segments, @address is an offset into it. */
static int quire_migrate_map(struct quire_migrate *migrate, u64 va, u64 bytes,
			     const struct quire_segments *segments, u64 address, u64 bits)
{
	struct quire_mmu *mmu = &migrate->vm->mmu;
	struct quire_table_plan plan = quire_migrate_plan(va, bytes);
	struct quire_table_pool pool;
	int ret;

	quire_pool_init(&pool);
	ret = quire_mmu_reserve(mmu, &pool, &plan);
	if (!ret) {
		mutex_lock(&mmu->lock);
		if (segments)
			quire_mmu_map_system(mmu, &pool, va, bytes, segments, address, bits);
		else
			quire_mmu_map_card(mmu, &pool, va, bytes, address, bits);
		quire_mmu_flush(mmu);
		mutex_unlock(&mmu->lock);
	}
	quire_mmu_unreserve(mmu, &pool);
	return ret;
}

/* The card does not reach the pages any more when this returns. */
static void quire_migrate_close_window(struct quire_migrate *migrate, u64 bytes)
{
	struct quire_mmu *mmu = &migrate->vm->mmu;
	struct quire_ticket oldest = { .context = QUIRE_NO_CONTEXT, .since = jiffies };
	struct quire_ticket ticket;

	lockdep_assert_held(&migrate->lock);
	mutex_lock(&mmu->lock);
	quire_mmu_unmap(mmu, NULL, QUIRE_MIGRATE_WINDOW, bytes);
	ticket = quire_mmu_flush(mmu);
	mutex_unlock(&mmu->lock);
	quire_reach_wait(migrate->qdev, ticket, false);
	quire_mmu_tidy(mmu, &oldest);
}

static u32 quire_migrate_write_copy(struct quire_migrate *migrate, u64 to, u64 from, u64 bytes)
{
	struct quire_packet_copy *packet = migrate->stream;

	*packet = (struct quire_packet_copy){
		.header.opcode = QUIRE_PACKET_COPY,
		.header.bytes = sizeof(*packet),
		.source = from,
		.destination = to,
		.row_bytes = bytes,
		.source_stride = bytes,
		.destination_stride = bytes,
		.rows = 1,
	};
	return sizeof(*packet);
}

static u32 quire_migrate_write_clear(struct quire_migrate *migrate, u64 to, u64 bytes)
{
	struct quire_packet_fill *packet = migrate->stream;

	*packet = (struct quire_packet_fill){
		.header.opcode = QUIRE_PACKET_FILL,
		.header.bytes = sizeof(*packet),
		.destination = to,
		.bytes = bytes,
	};
	return sizeof(*packet);
}

/* Whose time the job takes, and how many others have jobs on rings now. */
static unsigned int quire_migrate_look(struct quire_migrate *migrate, struct quire_job *job)
{
	struct quire_queues *queues = migrate->qdev->queues;

	guard(mutex)(&queues->lock);
	if (job)
		job->whose = quire_share_whose(queues);
	return quire_share_others(queues);
}

/* Takes the job over, which has ended when this returns. */
static int quire_migrate_run(struct quire_migrate *migrate, struct quire_job *job,
			     u32 stream_bytes)
{
	unsigned int others;
	struct dma_fence *fence;
	int ret;

	lockdep_assert_held(&migrate->lock);
	others = quire_migrate_look(migrate, job);
	fence = quire_kernel_job_submit(migrate->queue, job, QUIRE_MIGRATE_STREAM, stream_bytes);
	dma_fence_wait(fence, false);
	ret = min(dma_fence_get_status(fence), 0);
	/* Those who have waited for it, or were interrupted. */
	others = max(others, quire_migrate_look(migrate, NULL));
	quire_debt_add(migrate->qdev, job->busy_ns, others);
	dma_fence_put(fence);
	return ret;
}

/* Where the card finds a piece; with pages of system memory the window shows them. */
static u64 quire_migrate_address(const struct quire_extent *extent, u64 offset)
{
	return extent->segments ? QUIRE_MIGRATE_WINDOW : QUIRE_MIGRATE_CARD + extent->card + offset;
}

/* Takes the job over. */
static int quire_migrate_piece(struct quire_migrate *migrate, struct quire_job *job,
			       const struct quire_extent *to, const struct quire_extent *from,
			       u64 offset, u64 bytes)
{
	u64 destination = quire_migrate_address(to, offset);
	const struct quire_segments *segments = to->segments;
	u64 bits = QUIRE_PTE_WRITE;
	u32 stream_bytes;
	int ret = 0;

	lockdep_assert_held(&migrate->lock);
	if (!segments && from) {
		segments = from->segments;
		bits = QUIRE_PTE_READ;
	}
	if (segments)
		ret = quire_migrate_map(migrate, QUIRE_MIGRATE_WINDOW, bytes, segments, offset,
					bits);
	if (ret) {
		kfree(job);
		return ret;
	}
	if (from)
		stream_bytes = quire_migrate_write_copy(migrate, destination,
							quire_migrate_address(from, offset),
							bytes);
	else
		stream_bytes = quire_migrate_write_clear(migrate, destination, bytes);
	ret = quire_migrate_run(migrate, job, stream_bytes);
	if (segments)
		quire_migrate_close_window(migrate, bytes);
	return ret;
}

/* The card is awake, and unplug waits for us. */
static int quire_migrate_pieces(struct quire_migrate *migrate, const struct quire_extent *to,
				const struct quire_extent *from, u64 bytes)
{
	struct quire_job *job;
	u64 piece;
	int ret = 0;

	for (u64 offset = 0; offset < bytes && !ret; offset += piece) {
		piece = min_t(u64, bytes - offset, QUIRE_MIGRATE_PIECE);
		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
		/* Who does it himself waits for the card so that he can be killed. */
		if (READ_ONCE(migrate->qdev->power->away) != QUIRE_HERE)
			return -EAGAIN;
		job = quire_job_alloc(GFP_KERNEL);
		if (!job)
			return -ENOMEM;
		mutex_lock(&migrate->lock);
		/* To clear is no work for the card while others want it more. */
		if (!from && quire_debt_owes(migrate->qdev)) {
			kfree(job);
			ret = -EBUSY;
		} else {
			ret = quire_migrate_piece(migrate, job, to, from, offset, piece);
		}
		mutex_unlock(&migrate->lock);
	}
	return ret;
}

/* As events name places. */
static int quire_migrate_place(const struct quire_extent *extent)
{
	if (!extent)
		return -1;
	return extent->segments ? TTM_PL_TT : TTM_PL_VRAM;
}

int quire_migrate(struct quire_device *qdev, const struct quire_extent *to,
		  const struct quire_extent *from, u64 bytes)
{
	int ret, idx;

	/* A card that has gone is not woken: the device may be another driver's by now. */
	if (drm_dev_is_unplugged(&qdev->drm))
		return -ENODEV;
	quire_power_get(qdev);
	ret = -ENODEV;
	if (drm_dev_enter(&qdev->drm, &idx)) {
		ret = quire_migrate_pieces(qdev->migrate, to, from, bytes);
		drm_dev_exit(idx);
	}
	quire_power_put(qdev);
	trace_quire_migrate(qdev, bytes, quire_migrate_place(from), quire_migrate_place(to), ret);
	return ret;
}

static int quire_migrate_map_stream(struct quire_migrate *migrate)
{
	migrate->stream = dma_alloc_coherent(migrate->qdev->drm.dev, PAGE_SIZE,
					     &migrate->stream_bus, GFP_KERNEL);
	if (!migrate->stream)
		return -ENOMEM;
	return quire_migrate_map(migrate, QUIRE_MIGRATE_STREAM, PAGE_SIZE, NULL,
				 migrate->stream_bus, QUIRE_PTE_SYSTEM | QUIRE_PTE_READ);
}

/* Tables of the window: the spare ones of an address space suffice, and come back to them. */
static int quire_migrate_set_aside(struct quire_migrate *migrate)
{
	struct quire_table_plan plan = quire_migrate_plan(QUIRE_MIGRATE_WINDOW,
							  QUIRE_MIGRATE_PIECE);
	struct quire_mmu *mmu = &migrate->vm->mmu;
	struct quire_table_pool pool;
	int ret;

	quire_pool_init(&pool);
	ret = quire_mmu_reserve(mmu, &pool, &plan);
	quire_mmu_unreserve(mmu, &pool);
	if (!ret)
		WARN_ON(mmu->spare.leaf_count < plan.leaves ||
			mmu->spare.directory_count < plan.directories);
	return ret;
}

static int quire_migrate_start(struct quire_migrate *migrate)
{
	struct quire_device *qdev = migrate->qdev;
	struct quire_queue *queue;
	struct quire_vm *vm;
	int ret;

	vm = quire_vm_new(qdev);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	migrate->vm = vm;
	ret = quire_migrate_map(migrate, QUIRE_MIGRATE_CARD, quire_gem_card_bytes(qdev), NULL, 0,
				QUIRE_PTE_READ | QUIRE_PTE_WRITE);
	if (!ret)
		ret = quire_migrate_map_stream(migrate);
	if (!ret)
		ret = quire_migrate_set_aside(migrate);
	if (ret)
		return ret;
	queue = quire_kernel_queue_create(qdev, vm);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	migrate->queue = queue;
	return 0;
}

int quire_migrate_init(struct quire_device *qdev)
{
	struct quire_migrate *migrate = drmm_kzalloc(&qdev->drm, sizeof(*migrate), GFP_KERNEL);
	int ret;

	if (!migrate)
		return -ENOMEM;
	migrate->qdev = qdev;
	ret = quire_debts_init(qdev);
	if (ret)
		return ret;
	ret = drmm_mutex_init(&qdev->drm, &migrate->lock);
	if (ret)
		return ret;
	/* Tell lockdep before it happens: see @lock. */
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(&migrate->lock);
	fs_reclaim_release(GFP_KERNEL);
	qdev->migrate = migrate;
	return quire_migrate_start(migrate);
}

void quire_migrate_fini(struct quire_device *qdev)
{
	struct quire_migrate *migrate = qdev->migrate;

	if (!migrate)
		return;
	quire_kernel_queue_destroy(migrate->queue);
	quire_vm_put(migrate->vm);
	if (migrate->stream)
		dma_free_coherent(qdev->drm.dev, PAGE_SIZE, migrate->stream, migrate->stream_bus);
}
