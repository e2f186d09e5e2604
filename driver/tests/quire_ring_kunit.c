// SPDX-License-Identifier: GPL-2.0-only
/*
 * Jobs on and off a ring whose firmware is the test itself: it reads entries and the doorbell,
 * and writes records.
 */
#include <linux/dma-fence.h>

#include "quire_kunit.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_resv.h"
#include "quire_vm.h"

#define RING 5

/* struct quire_ring_test - a queue with a ring, and the fences of its jobs in order */
struct quire_ring_test {
	struct quire_device *qdev;
	struct quire_queue *queue;
	struct quire_slot *slot;
	u64 submitted;
	/* Numbers of the jobs whose fences have signalled, in that order. */
	u64 signalled[8 * QUIRE_RING_ENTRIES];
	unsigned int signalled_count;
};

/* struct quire_ring_test_job - a fence that is watched */
struct quire_ring_test_job {
	struct dma_fence_cb callback;
	struct quire_ring_test *t;
	struct quire_job *job;
	u64 number;
};

static void quire_ring_test_work(struct work_struct *work)
{
}

static void quire_ring_test_destroy_wq(void *wq)
{
	destroy_workqueue(wq);
}

static void quire_ring_test_cancel(void *work)
{
	cancel_delayed_work_sync(work);
}

static struct quire_queues *quire_ring_test_queues(struct kunit *test)
{
	struct quire_queues *queues = kunit_kzalloc(test, sizeof(*queues), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, queues);
	queues->wq = alloc_workqueue("quire-kunit", WQ_UNBOUND, 0);
	KUNIT_ASSERT_NOT_NULL(test, queues->wq);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, quire_ring_test_destroy_wq,
							   queues->wq));
	/* The test flushes the works, so one will do. */
	queues->ends = queues->wq;
	mutex_init(&queues->lock);
	INIT_DELAYED_WORK(&queues->watch, quire_ring_test_work);
	INIT_DELAYED_WORK(&queues->lend, quire_ring_test_work);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, quire_ring_test_cancel,
							   &queues->watch));
	return queues;
}

static void quire_ring_test_end_hold(void *hold)
{
	quire_hold_fini(hold);
}

static int quire_ring_test_init(struct kunit *test)
{
	struct quire_ring_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct quire_queue *queue = kunit_kzalloc(test, sizeof(*queue), GFP_KERNEL);
	struct quire_slot *slot = kunit_kzalloc(test, sizeof(*slot), GFP_KERNEL);
	struct quire_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	struct quire_resv *resv = kunit_kzalloc(test, sizeof(*resv), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	KUNIT_ASSERT_NOT_NULL(test, queue);
	KUNIT_ASSERT_NOT_NULL(test, slot);
	KUNIT_ASSERT_NOT_NULL(test, vm);
	KUNIT_ASSERT_NOT_NULL(test, resv);
	vm->base.r_obj = &resv->base;
	t->qdev = quire_kunit_card(test);
	t->qdev->queues = quire_ring_test_queues(test);
	slot->qdev = t->qdev;
	slot->hw = RING;
	queue->ring = kunit_kzalloc(test, QUIRE_RING_BYTES, GFP_KERNEL);
	queue->records = kunit_kzalloc(test, QUIRE_RECORDS_BYTES, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, queue->ring);
	KUNIT_ASSERT_NOT_NULL(test, queue->records);
	/* The test's own: it never goes to zero. */
	kref_init(&queue->ref);
	queue->qdev = t->qdev;
	KUNIT_ASSERT_EQ(test, 0, quire_hold_init(&vm->hold));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, quire_ring_test_end_hold,
							   &vm->hold));
	queue->vm = vm;
	queue->slot = slot;
	queue->live = true;
	queue->fence_context = dma_fence_context_alloc(1);
	mutex_init(&queue->end_lock);
	quire_ring_init(queue);
	t->queue = queue;
	t->slot = slot;
	test->priv = t;
	return 0;
}

static void quire_ring_test_exit(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;

	if (!t)
		return;
	quire_ring_abort(t->queue, -ECANCELED);
	flush_work(&t->queue->end);
	KUNIT_EXPECT_EQ(test, t->submitted, t->signalled_count);
	KUNIT_EXPECT_EQ(test, 1, kref_read(&t->queue->ref));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&t->qdev->power->users));
}

static void quire_ring_test_signalled(struct dma_fence *fence, struct dma_fence_cb *callback)
{
	struct quire_ring_test_job *watch =
		container_of(callback, struct quire_ring_test_job, callback);

	watch->t->signalled[watch->t->signalled_count++] = watch->number;
}

/* A job in the queue, not kicked yet; with a reference that the test gives back at its end. */
static void quire_ring_test_put_fence(void *fence)
{
	dma_fence_put(fence);
}

static struct quire_job *quire_ring_test_add(struct kunit *test)
{
	struct quire_ring_test_job *watch = kunit_kzalloc(test, sizeof(*watch), GFP_KERNEL);
	struct quire_ring_test *t = test->priv;
	struct quire_job *job = quire_job_alloc(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, watch);
	KUNIT_ASSERT_NOT_NULL(test, job);
	job->stream_va = 0x1000 * ++t->submitted;
	job->stream_bytes = 8;
	job->interrupt = true;
	quire_job_init_fence(job, t->queue, t->submitted);
	quire_job_arm(job);
	quire_power_get_job(t->qdev);
	dma_fence_get(&job->fence);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, quire_ring_test_put_fence,
							   &job->fence));
	watch->t = t;
	watch->number = t->submitted;
	dma_fence_add_callback(&job->fence, &watch->callback, quire_ring_test_signalled);
	spin_lock_irq(&t->queue->lock);
	list_add_tail(&job->node, &t->queue->pending);
	spin_unlock_irq(&t->queue->lock);
	return job;
}

static u32 quire_ring_test_doorbell(struct quire_ring_test *t)
{
	return quire_read(t->qdev, QUIRE_REG_DOORBELL(RING));
}

/* The card ends the job with this sequence number. */
static void quire_ring_test_end(struct quire_ring_test *t, u64 sequence, u32 status)
{
	struct quire_fence_record *record =
		&t->queue->records[sequence % QUIRE_RING_ENTRIES];

	record->status = status;
	record->busy_ns = 10;
	record->macs = sequence;
	record->sequence = sequence;
}

/* One job at a time, three times around the ring. */
static void quire_ring_test_wraps(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;
	struct quire_queue *queue = t->queue;
	u64 macs = 0;

	for (u64 s = 1; s <= 3 * QUIRE_RING_ENTRIES + 5; s++) {
		struct quire_job *job = quire_ring_test_add(test);
		const struct quire_ring_entry *entry = &queue->ring[s % QUIRE_RING_ENTRIES];

		quire_ring_kick(queue);
		KUNIT_ASSERT_EQ(test, s, job->sequence);
		KUNIT_ASSERT_EQ(test, s, entry->sequence);
		KUNIT_ASSERT_EQ(test, job->stream_va, entry->stream_address);
		KUNIT_ASSERT_EQ(test, s, quire_ring_test_doorbell(t));
		/* The record of one lap before is still there and is not this job's. */
		quire_ring_reap(queue);
		KUNIT_ASSERT_FALSE(test, dma_fence_is_signaled(&job->fence));
		quire_ring_test_end(t, s, QUIRE_STATUS_OK);
		quire_ring_reap(queue);
		KUNIT_ASSERT_TRUE(test, dma_fence_is_signaled(&job->fence));
		KUNIT_ASSERT_EQ(test, 0, queue->on_ring);
		macs += s;
	}
	KUNIT_EXPECT_EQ(test, macs, queue->usage.macs);
	KUNIT_EXPECT_EQ(test, t->submitted, queue->completed);
	KUNIT_EXPECT_EQ(test, 10 * t->submitted, queue->usage.busy_ns);
}

/* More jobs than entries: the rest wait, and one follows for each that ends. */
static void quire_ring_test_is_full(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;
	struct quire_queue *queue = t->queue;
	const struct quire_ring_entry *last = &queue->ring[0];

	for (unsigned int i = 0; i < QUIRE_RING_ENTRIES + 10; i++)
		quire_ring_test_add(test);
	quire_ring_kick(queue);
	KUNIT_EXPECT_EQ(test, (u32)QUIRE_RING_ENTRIES, queue->on_ring);
	KUNIT_EXPECT_EQ(test, (u32)QUIRE_RING_ENTRIES, quire_ring_test_doorbell(t));
	KUNIT_EXPECT_EQ(test, 10, list_count_nodes(&queue->pending));
	/* Whoever waits for room is woken: the entry that fills the ring interrupts in any case. */
	KUNIT_EXPECT_EQ(test, (u64)QUIRE_RING_ENTRIES, last->sequence);
	KUNIT_EXPECT_EQ(test, QUIRE_RING_INTERRUPT, last->flags);
	KUNIT_EXPECT_EQ(test, QUIRE_RING_INTERRUPT | QUIRE_RING_LATE, queue->ring[1].flags);
	for (u64 s = 1; s <= QUIRE_RING_ENTRIES + 10; s++) {
		quire_ring_test_end(t, s, QUIRE_STATUS_OK);
		quire_ring_reap(queue);
		KUNIT_ASSERT_EQ(test, s, queue->completed);
		KUNIT_ASSERT_EQ(test, (u32)min_t(u64, s + QUIRE_RING_ENTRIES,
						 QUIRE_RING_ENTRIES + 10),
				quire_ring_test_doorbell(t));
	}
	KUNIT_EXPECT_TRUE(test, list_empty(&queue->running));
}

/* Records may be seen late and several at once; fences signal in order, each once. */
static void quire_ring_test_signals_in_order(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;

	for (unsigned int i = 0; i < 6; i++)
		quire_ring_test_add(test);
	quire_ring_kick(t->queue);
	quire_ring_test_end(t, 3, QUIRE_STATUS_OK);
	quire_ring_test_end(t, 2, QUIRE_STATUS_OK);
	quire_ring_reap(t->queue);
	KUNIT_EXPECT_EQ(test, 0, t->signalled_count);
	quire_ring_test_end(t, 1, QUIRE_STATUS_OK);
	quire_ring_reap(t->queue);
	KUNIT_EXPECT_EQ(test, 3, t->signalled_count);
	for (u64 s = 4; s <= 6; s++)
		quire_ring_test_end(t, s, QUIRE_STATUS_OK);
	quire_ring_reap(t->queue);
	quire_ring_reap(t->queue);
	KUNIT_ASSERT_EQ(test, 6, t->signalled_count);
	for (unsigned int i = 0; i < 6; i++)
		KUNIT_EXPECT_EQ(test, i + 1, t->signalled[i]);
}

/* A job that waits for a fence holds back those behind it. */
static void quire_ring_test_keeps_its_order(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;
	struct quire_job *second;

	quire_ring_test_add(test);
	second = quire_ring_test_add(test);
	atomic_inc(&second->syncs.left);
	quire_ring_test_add(test);
	quire_ring_kick(t->queue);
	KUNIT_EXPECT_EQ(test, 1, quire_ring_test_doorbell(t));
	KUNIT_EXPECT_EQ(test, 1, t->queue->on_ring);
	atomic_dec(&second->syncs.left);
	quire_ring_kick(t->queue);
	KUNIT_EXPECT_EQ(test, 3, quire_ring_test_doorbell(t));
	KUNIT_EXPECT_EQ(test, 2, second->sequence);
}

/* After a failure nothing runs: what is behind it is cancelled, in order. */
static void quire_ring_test_fails(struct kunit *test)
{
	static const int errors[] = { 0, -EFAULT, -ECANCELED, -ECANCELED, -ECANCELED };
	struct quire_ring_test *t = test->priv;
	struct quire_job *jobs[ARRAY_SIZE(errors)];

	for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++)
		jobs[i] = quire_ring_test_add(test);
	/* The last one has not come to the ring yet. */
	atomic_inc(&jobs[4]->syncs.left);
	quire_ring_kick(t->queue);
	quire_ring_test_end(t, 1, QUIRE_STATUS_OK);
	quire_ring_test_end(t, 2, QUIRE_STATUS_MMU_FAULT);
	/* What the card should not have done does not count. */
	quire_ring_test_end(t, 3, QUIRE_STATUS_OK);
	quire_ring_reap(t->queue);
	flush_work(&t->queue->end);
	KUNIT_ASSERT_EQ(test, ARRAY_SIZE(jobs), t->signalled_count);
	for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++) {
		KUNIT_EXPECT_EQ(test, i + 1, t->signalled[i]);
		KUNIT_EXPECT_EQ(test, errors[i], jobs[i]->fence.error);
	}
	KUNIT_EXPECT_TRUE(test, t->queue->banned);
	KUNIT_EXPECT_EQ(test, 2, t->queue->fault_job);
	KUNIT_EXPECT_EQ(test, (u32)QUIRE_STATUS_MMU_FAULT, t->queue->fault.status);
}

/* Jobs that come after others were dropped, but before these have ended, end behind them. */
static void quire_ring_test_waits_for_dropped(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;

	for (unsigned int i = 0; i < QUIRE_RING_ENTRIES + 10; i++)
		quire_ring_test_add(test);
	quire_ring_kick(t->queue);
	quire_ring_abort(t->queue, -EIO);
	quire_ring_test_add(test);
	quire_ring_kick(t->queue);
	flush_work(&t->queue->end);
	flush_work(&t->queue->push);
	KUNIT_EXPECT_FALSE(test, t->queue->dropping);
	KUNIT_EXPECT_EQ(test, QUIRE_RING_ENTRIES + 1, quire_ring_test_doorbell(t));
	quire_ring_test_end(t, QUIRE_RING_ENTRIES + 1, QUIRE_STATUS_OK);
	quire_ring_reap(t->queue);
	KUNIT_ASSERT_EQ(test, t->submitted, t->signalled_count);
	for (unsigned int i = 0; i < t->signalled_count; i++)
		KUNIT_ASSERT_EQ(test, i + 1, t->signalled[i]);
}

/* A card that is about to go: jobs that come too late end behind those that are still there. */
static void quire_ring_test_late(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;
	struct quire_job *first = quire_ring_test_add(test), *late;

	quire_ring_kick(t->queue);
	late = quire_ring_test_add(test);
	spin_lock_irq(&t->queue->lock);
	quire_ring_add(t->queue, late, -ENODEV);
	spin_unlock_irq(&t->queue->lock);
	quire_end_later(t->queue);
	flush_work(&t->queue->end);
	KUNIT_EXPECT_EQ(test, 0, t->signalled_count);
	quire_ring_abort(t->queue, -EIO);
	flush_work(&t->queue->end);
	KUNIT_ASSERT_EQ(test, 2, t->signalled_count);
	KUNIT_EXPECT_EQ(test, 1, t->signalled[0]);
	KUNIT_EXPECT_EQ(test, -EIO, first->fence.error);
	KUNIT_EXPECT_EQ(test, -ENODEV, late->fence.error);
}

/* Jobs that a reset took off the ring are run again, before those that came later. */
static void quire_ring_test_reruns(struct kunit *test)
{
	struct quire_ring_test *t = test->priv;
	struct quire_queue *queue = t->queue;

	for (unsigned int i = 0; i < 4; i++)
		quire_ring_test_add(test);
	quire_ring_kick(queue);
	quire_ring_test_end(t, 1, QUIRE_STATUS_OK);
	quire_ring_reap(queue);
	queue->live = false;
	quire_ring_rerun(queue);
	quire_ring_test_add(test);
	KUNIT_EXPECT_EQ(test, 3, queue->rerun);
	KUNIT_EXPECT_EQ(test, 0, queue->on_ring);
	memset(queue->records, 0, QUIRE_RECORDS_BYTES);
	queue->tail = 0;
	queue->live = true;
	quire_ring_kick(queue);
	KUNIT_EXPECT_EQ(test, 4, quire_ring_test_doorbell(t));
	for (u64 s = 1; s <= 4; s++) {
		KUNIT_EXPECT_EQ(test, 0x1000 * (s + 1), queue->ring[s].stream_address);
		quire_ring_test_end(t, s, QUIRE_STATUS_OK);
	}
	quire_ring_reap(queue);
	KUNIT_ASSERT_EQ(test, 5, t->signalled_count);
	for (unsigned int i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, i + 1, t->signalled[i]);
}

static struct kunit_case quire_ring_test_cases[] = {
	KUNIT_CASE(quire_ring_test_wraps),
	KUNIT_CASE(quire_ring_test_is_full),
	KUNIT_CASE(quire_ring_test_signals_in_order),
	KUNIT_CASE(quire_ring_test_keeps_its_order),
	KUNIT_CASE(quire_ring_test_fails),
	KUNIT_CASE(quire_ring_test_waits_for_dropped),
	KUNIT_CASE(quire_ring_test_late),
	KUNIT_CASE(quire_ring_test_reruns),
	{ }
};

static struct kunit_suite quire_ring_test_suite = {
	.name = "quire-ring",
	.init = quire_ring_test_init,
	.exit = quire_ring_test_exit,
	.test_cases = quire_ring_test_cases,
};
kunit_test_suite(quire_ring_test_suite);
