// SPDX-License-Identifier: GPL-2.0-only
/* Queues: creation, destruction, and what can be asked of them. */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>

#include "quire_hold.h"
#include "quire_queue.h"
#include "quire_room.h"
#include "quire_vm.h"

/* A queue comes to rest within a band of its job, some milliseconds. */
#define QUIRE_QUEUE_STOP_MS 1000

static void quire_queue_release(struct kref *ref)
{
	struct quire_queue *queue = container_of(ref, struct quire_queue, ref);

	/* It holds no reference. */
	WARN_ON(work_pending(&queue->push));
	quire_vm_put(queue->vm);
	mutex_destroy(&queue->end_lock);
	mutex_destroy(&queue->submit_lock);
	kfree(queue);
}

/* The last reference goes in process context: interrupts and workers have ended before. */
void quire_queue_put(struct quire_queue *queue)
{
	kref_put(&queue->ref, quire_queue_release);
}

struct quire_queue *quire_queue_lookup(struct quire_file *qfile, u32 id)
{
	struct quire_queue *queue;

	xa_lock(&qfile->queues);
	queue = xa_load(&qfile->queues, id);
	if (queue)
		kref_get(&queue->ref);
	xa_unlock(&qfile->queues);
	return queue;
}

static void quire_queue_free_ring(struct quire_queue *queue)
{
	struct quire_ring_entry *ring;

	/* Somebody may look at it still. */
	spin_lock_irq(&queue->lock);
	ring = queue->ring;
	queue->ring = NULL;
	spin_unlock_irq(&queue->lock);
	if (ring)
		dma_free_coherent(queue->qdev->drm.dev, QUIRE_QUEUE_BYTES, ring, queue->ring_bus);
}

/* A process may be called anything: lines of logs and tables stay lines. */
static void quire_queue_take_name(struct quire_queue *queue)
{
	get_task_comm(queue->comm, current->group_leader);
	for (char *at = queue->comm; *at; at++)
		if (!isascii(*at) || !isgraph(*at))
			*at = '?';
}

struct quire_queue *quire_queue_new(struct quire_device *qdev, struct quire_vm *vm,
				    s32 priority, u32 limit_ms)
{
	struct quire_queue *queue = kzalloc(sizeof(*queue), QUIRE_GFP_CALL);

	if (!queue)
		return ERR_PTR(-ENOMEM);
	kref_init(&queue->ref);
	queue->qdev = qdev;
	queue->vm = quire_vm_get(vm);
	queue->priority = priority;
	queue->limit_us = (u64)limit_ms * USEC_PER_MSEC;
	queue->pid = task_tgid_nr(current);
	quire_queue_take_name(queue);
	queue->fence_context = dma_fence_context_alloc(1);
	mutex_init(&queue->submit_lock);
	mutex_init(&queue->end_lock);
	quire_ring_init(queue);
	INIT_LIST_HEAD(&queue->listed);
	INIT_LIST_HEAD(&queue->of_vm);
	INIT_LIST_HEAD(&queue->waiting);
	INIT_LIST_HEAD(&queue->started);
	queue->ring = dma_alloc_coherent(qdev->drm.dev, QUIRE_QUEUE_BYTES, &queue->ring_bus,
					 QUIRE_GFP_CALL);
	if (!queue->ring) {
		quire_queue_put(queue);
		return ERR_PTR(-ENOMEM);
	}
	queue->records = (void *)queue->ring + QUIRE_RING_BYTES;
	return queue;
}

/* Whoever has the card takes all rings before it leaves him: nobody speaks to it until then. */
static bool quire_queue_may_stop(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;

	lockdep_assert_held(&queues->lock);
	return !queues->blocked && !queues->ended && !queue->qdev->wedged;
}

static void quire_queue_await_slot(struct quire_queue *queue, unsigned long timeout)
{
	struct quire_queues *queues = queue->qdev->queues;

	mutex_unlock(&queues->lock);
	wait_event_timeout(queues->changed, !READ_ONCE(queue->slot), timeout);
	mutex_lock(&queues->lock);
}

/* Ask for the ring back, and see that the card obeys. */
static void quire_queue_stop(struct quire_queue *queue)
{
	struct quire_device *qdev = queue->qdev;

	lockdep_assert_held(&qdev->queues->lock);
	if (!quire_ring_busy(queue)) {
		if (quire_slot_stop(queue->slot, QUIRE_QUEUE_STOP_MS))
			quire_reset_stubborn(qdev, "a queue could not be stopped");
		return;
	}
	quire_slot_park(queue->slot);
	quire_queue_await_slot(queue, msecs_to_jiffies(QUIRE_QUEUE_STOP_MS));
	if (queue->slot && quire_queue_may_stop(queue))
		quire_slots_collect(qdev);
	if (queue->slot)
		quire_reset_stubborn(qdev, "a queue could not be stopped");
}

/* Nothing of the queue runs when this returns, and its ring is somebody else's. */
static void quire_queue_leave_card(struct quire_queue *queue)
{
	lockdep_assert_held(&queue->qdev->queues->lock);
	quire_share_unwait(queue);
	while (queue->slot) {
		if (quire_queue_may_stop(queue))
			quire_queue_stop(queue);
		else
			quire_queue_await_slot(queue, MAX_SCHEDULE_TIMEOUT);
	}
}

/* No call is between its look at banned and its jobs' arrival when this returns. */
static void quire_queue_ban(struct quire_queue *queue)
{
	unsigned long flags;

	mutex_lock(&queue->submit_lock);
	spin_lock_irqsave(&queue->lock, flags);
	queue->banned = true;
	spin_unlock_irqrestore(&queue->lock, flags);
	mutex_unlock(&queue->submit_lock);
}

/* The queue is going to be closed: it begins nothing, and what runs of it comes to rest. */
static void quire_queue_begin_close(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	bool signalling;

	quire_queue_ban(queue);
	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	if (queue->slot && quire_queue_may_stop(queue) && quire_ring_busy(queue))
		quire_slot_park(queue->slot);
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
}

/*
 * End a queue for good: when this returns the card does nothing for it, its jobs
 * have ended, and only references are left.
 */
void quire_queue_close(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	bool signalling;

	quire_queue_ban(queue);
	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	quire_queue_leave_card(queue);
	list_del_init(&queue->of_vm);
	list_del_init(&queue->listed);
	queues->closing++;
	quire_slot_forget_vm(queue);
	mutex_unlock(&queues->lock);
	quire_ring_abort(queue, QUIRE_JOB_DROPPED);
	dma_fence_end_signalling(signalling);
	quire_end_all(queue);
	cancel_work_sync(&queue->push);
	quire_queue_free_ring(queue);
	mutex_lock(&queues->lock);
	queues->closing--;
	wake_up_all(&queues->changed);
	mutex_unlock(&queues->lock);
	quire_share_put(queue);
	quire_queue_put(queue);
}

/* The queue exists for the card from here on. */
static int quire_queue_open(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	int ret;

	ret = quire_share_get(queue);
	if (ret)
		return ret;
	mutex_lock(&queues->lock);
	if (queues->ended)
		ret = -ENODEV;
	else if (queue->qdev->wedged)
		ret = -EIO;
	else
		list_add_tail(&queue->listed, &queues->all);
	if (!ret)
		list_add_tail(&queue->of_vm, &queue->vm->open);
	mutex_unlock(&queues->lock);
	return ret;
}

static int quire_queue_check(struct drm_device *drm, const struct drm_quire_queue_create *args)
{
	if (args->flags)
		return quire_inval(drm, "queue_create.flags %#x must be 0", args->flags);
	if (args->pad)
		return quire_inval(drm, "queue_create.pad must be 0");
	if (args->priority < DRM_QUIRE_QUEUE_PRIORITY_LOW ||
	    args->priority > DRM_QUIRE_QUEUE_PRIORITY_HIGH)
		return quire_inval(drm, "queue_create.priority %d must be %d to %d", args->priority,
				   DRM_QUIRE_QUEUE_PRIORITY_LOW, DRM_QUIRE_QUEUE_PRIORITY_HIGH);
	if (args->time_limit_ms && (args->time_limit_ms < QUIRE_TIME_LIMIT_MIN_MS ||
				    args->time_limit_ms > QUIRE_TIME_LIMIT_MAX_MS))
		return quire_inval(drm, "queue_create.time_limit_ms %u must be 0 or %u to %u",
				   args->time_limit_ms, QUIRE_TIME_LIMIT_MIN_MS,
				   QUIRE_TIME_LIMIT_MAX_MS);
	if (args->priority == DRM_QUIRE_QUEUE_PRIORITY_HIGH && !capable(CAP_SYS_NICE))
		return -EACCES;
	return 0;
}

static int quire_queue_create(struct quire_file *qfile, struct quire_vm *vm,
			      struct drm_quire_queue_create *args)
{
	u32 limit_ms = args->time_limit_ms ?: QUIRE_TIME_LIMIT_DEFAULT_MS;
	struct quire_queue *queue;
	int ret;

	queue = quire_queue_new(qfile->qdev, vm, args->priority, limit_ms);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	ret = quire_queue_open(queue);
	/* From here on another thread may destroy it. */
	if (!ret)
		ret = xa_alloc(&qfile->queues, &args->queue_id, queue, QUIRE_ID_LIMIT,
			       QUIRE_GFP_CALL);
	if (ret)
		quire_queue_close(queue);
	return ret;
}

/* The address space knows of it, and so does the file's count. */
static int quire_queue_attach(struct quire_file *qfile, struct quire_vm *vm,
			      struct drm_quire_queue_create *args)
{
	int ret = -EMFILE, index;

	if (!atomic_add_unless(&qfile->queue_count, 1, DRM_QUIRE_FILE_MAX_QUEUES))
		return ret;
	/* Who has the address space may wait for others' jobs: not inside drm_dev_enter(). */
	ret = quire_vm_attach_queue(vm);
	if (!ret) {
		ret = -ENODEV;
		if (drm_dev_enter(&qfile->qdev->drm, &index)) {
			ret = quire_queue_create(qfile, vm, args);
			drm_dev_exit(index);
		}
		if (!ret)
			return 0;
		quire_vm_detach_queue(vm);
	}
	atomic_dec(&qfile->queue_count);
	return ret;
}

int quire_queue_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_queue_create *args = data;
	struct quire_file *qfile = file->driver_priv;
	struct quire_vm *vm;
	int ret;

	ret = quire_queue_check(drm, args);
	if (!ret)
		ret = quire_room_check(0);
	if (ret)
		return ret;
	vm = quire_vm_lookup(qfile, args->vm_id);
	ret = vm ? quire_queue_attach(qfile, vm, args) : -ENOENT;
	quire_vm_put(vm);
	return ret;
}

static void quire_usage_add(struct quire_usage *to, const struct quire_usage *from)
{
	to->jobs += from->jobs;
	to->busy_ns += from->busy_ns;
	to->macs += from->macs;
	to->cycles += from->cycles;
	to->modelled_pj += from->modelled_pj;
}

static struct quire_usage quire_queue_usage(struct quire_queue *queue)
{
	struct quire_usage usage;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	usage = queue->usage;
	usage.jobs = queue->completed;
	usage.busy_ns = quire_queue_busy_ns(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	return usage;
}

/*
 * Take a queue out of its file and end it.  What it used is added to the file's
 * past when it leaves and again, as far as it grew, when its last job has ended: what
 * fdinfo tells never goes back.
 */
static bool quire_queue_retire(struct quire_file *qfile, u32 id)
{
	struct quire_usage left, ended;
	struct quire_queue *queue;
	struct quire_vm *vm;

	xa_lock(&qfile->queues);
	queue = __xa_erase(&qfile->queues, id);
	if (queue) {
		left = quire_queue_usage(queue);
		quire_usage_add(&qfile->past, &left);
		kref_get(&queue->ref);
	}
	xa_unlock(&qfile->queues);
	if (!queue)
		return false;
	vm = quire_vm_get(queue->vm);
	quire_queue_close(queue);
	ended = quire_queue_usage(queue);
	ended.jobs -= left.jobs;
	ended.busy_ns -= left.busy_ns;
	ended.macs -= left.macs;
	ended.cycles -= left.cycles;
	ended.modelled_pj -= left.modelled_pj;
	xa_lock(&qfile->queues);
	quire_usage_add(&qfile->past, &ended);
	xa_unlock(&qfile->queues);
	quire_queue_put(queue);
	quire_vm_detach_queue(vm);
	quire_vm_put(vm);
	atomic_dec(&qfile->queue_count);
	return true;
}

int quire_queue_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_quire_queue_destroy *args = data;
	struct quire_file *qfile = file->driver_priv;

	if (args->pad)
		return quire_inval(drm, "queue_destroy.pad must be 0");
	return quire_queue_retire(qfile, args->queue_id) ? 0 : -ENOENT;
}

/* Whoever closes the queue waits until what we find ended has been given back. */
static void quire_queue_look(struct quire_queue *queue)
{
	bool signalling = dma_fence_begin_signalling();

	mutex_lock(&queue->end_lock);
	quire_ring_reap(queue);
	mutex_unlock(&queue->end_lock);
	dma_fence_end_signalling(signalling);
}

int quire_queue_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_queue_query *args = data;
	u32 id = args->queue_id;
	struct quire_queue *queue = quire_queue_lookup(file->driver_priv, id);
	unsigned long flags;

	if (!queue)
		return -ENOENT;
	quire_queue_look(queue);
	memset(args, 0, sizeof(*args));
	args->queue_id = id;
	spin_lock_irqsave(&queue->lock, flags);
	args->state = queue->banned ? DRM_QUIRE_QUEUE_STATE_BANNED : DRM_QUIRE_QUEUE_STATE_ACTIVE;
	/* A job is counted there before it comes under this lock. */
	args->submitted = READ_ONCE(queue->submitted);
	args->completed = queue->completed;
	args->fault_job = queue->fault_job;
	args->fault_status = queue->fault.status;
	args->fault_packet = queue->fault.packet;
	args->fault_detail = queue->fault.detail;
	args->fault_info = queue->fault.fault_info;
	args->fault_address = queue->fault.fault_address;
	args->cycles = queue->usage.cycles;
	args->modelled_pj = queue->usage.modelled_pj;
	args->macs = queue->usage.macs;
	args->busy_ns = quire_queue_busy_ns(queue);
	args->reset = READ_ONCE(queue->reset);
	args->rerun = queue->rerun;
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_queue_put(queue);
	return 0;
}

void quire_queues_close_file(struct quire_file *qfile)
{
	struct quire_queue *queue;
	unsigned long id;

	/* All together: a band that does not end would be waited for once for each. */
	xa_for_each(&qfile->queues, id, queue)
		quire_queue_begin_close(queue);
	xa_for_each(&qfile->queues, id, queue)
		quire_queue_retire(qfile, id);
}

void quire_queues_usage(struct quire_file *qfile, struct quire_usage *usage)
{
	struct quire_queue *queue;
	unsigned long id;

	xa_lock(&qfile->queues);
	*usage = qfile->past;
	xa_for_each(&qfile->queues, id, queue) {
		struct quire_usage one = quire_queue_usage(queue);

		quire_usage_add(usage, &one);
	}
	xa_unlock(&qfile->queues);
}

/*
 * A job counts once, however many engines it is spread over.  The cycles are the model's, so
 * they are none that drm-cycles- means.
 */
void quire_queues_show_fdinfo(struct drm_printer *p, struct quire_file *qfile)
{
	struct quire_usage usage;

	quire_queues_usage(qfile, &usage);
	drm_printf(p, "drm-engine-compute:\t%llu ns\n", usage.busy_ns);
	drm_printf(p, "drm-engine-capacity-compute:\t%u\n", qfile->qdev->engines);
	drm_printf(p, "quire-jobs:\t%llu\n", usage.jobs);
	drm_printf(p, "quire-modelled-cycles:\t%llu\n", usage.cycles);
	drm_printf(p, "quire-modelled-energy:\t%llu pJ\n", usage.modelled_pj);
}

static void quire_queues_release(struct drm_device *drm, void *data)
{
	struct quire_queues *queues = data;

	if (queues->ends)
		destroy_workqueue(queues->ends);
	destroy_workqueue(queues->wq);
}

int quire_queues_init(struct quire_device *qdev)
{
	struct quire_queues *queues;
	int ret;

	queues = drmm_kzalloc(&qdev->drm, sizeof(*queues), GFP_KERNEL);
	if (!queues)
		return -ENOMEM;
	ret = drmm_mutex_init(&qdev->drm, &queues->lock);
	if (ret)
		return ret;
	INIT_LIST_HEAD(&queues->all);
	INIT_LIST_HEAD(&queues->held);
	INIT_LIST_HEAD(&queues->takings);
	quire_share_init(queues);
	init_waitqueue_head(&queues->changed);
	INIT_DELAYED_WORK(&queues->lend, quire_slots_lend_work);
	INIT_DELAYED_WORK(&queues->watch, quire_limit_work);
	for (u32 i = 0; i < QUIRE_QUEUES; i++) {
		queues->slots[i].qdev = qdev;
		queues->slots[i].hw = i;
		spin_lock_init(&queues->slots[i].lock);
	}
	queues->wq = alloc_workqueue("quire-queues", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!queues->wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(&qdev->drm, quire_queues_release, queues);
	if (ret)
		return ret;
	/*
	 * As many jobs as somebody has submitted: not before others' processes, nor before @wq, nor
	 * by more threads than there are processors.
	 */
	queues->ends = alloc_workqueue("quire-ends", WQ_UNBOUND | WQ_MEM_RECLAIM,
				       num_possible_cpus());
	if (!queues->ends)
		return -ENOMEM;
	queues->count = min(qdev->queues_total, quire_irq_queue_vectors(qdev));
	/* The card is probe's until it has booted. */
	queues->blocked = true;
	ret = quire_irq_request_slots(qdev, queues);
	if (ret)
		return ret;
	qdev->queues = queues;
	return 0;
}

u32 quire_queues_count(struct quire_device *qdev)
{
	return qdev->queues->count;
}

static bool quire_queues_end_jobs(struct quire_queues *queues)
{
	struct quire_queue *queue;
	bool more = false;

	mutex_lock(&queues->lock);
	list_for_each_entry(queue, &queues->all, listed) {
		more = quire_end_is_due(queue);
		if (more)
			break;
	}
	mutex_unlock(&queues->lock);
	return more;
}

/*
 * What pushes jobs to rings, and what ends them: it may have some to end from the former.  Who
 * closes a queue waits for its jobs himself.
 */
static void quire_queues_flush(struct quire_queues *queues)
{
	do {
		flush_workqueue(queues->wq);
		flush_workqueue(queues->ends);
	} while (quire_queues_end_jobs(queues));
}

void quire_queues_end(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_queue *queue;
	bool signalling;

	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	if (!queues->ended) {
		WRITE_ONCE(queues->ended, true);
		quire_fw_stop(qdev);
		/* Stopped, or without the bus: whoever waits for it to drain holds up unplug. */
		quire_reach_end(qdev);
		for (u32 i = 0; i < queues->count; i++)
			if (queues->slots[i].queue)
				quire_slot_detach(&queues->slots[i]);
		quire_hold_end_all(queues);
		list_for_each_entry(queue, &queues->all, listed) {
			quire_share_unwait(queue);
			/* Records written before the end are results all the same. */
			quire_ring_reap(queue);
			quire_ring_abort(queue, -ENODEV);
		}
	}
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
	/* All jobs have ended when we return. */
	quire_queues_flush(queues);
}

/* Nobody is in a call any more: what belongs to the device of the system goes. */
void quire_queues_fini(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	struct quire_queue *queue;

	quire_queues_end(qdev);
	cancel_delayed_work_sync(&queues->watch);
	cancel_delayed_work_sync(&queues->lend);
	quire_queues_flush(queues);
	mutex_lock(&queues->lock);
	list_for_each_entry(queue, &queues->all, listed)
		quire_queue_free_ring(queue);
	for (u32 i = 0; i < QUIRE_CONTEXTS; i++) {
		struct quire_context *context = &queues->contexts[i];

		if (context->vm)
			quire_mmu_take_back(&context->vm->mmu);
		context->vm = NULL;
	}
	mutex_unlock(&queues->lock);
	wait_event(queues->changed, !READ_ONCE(queues->closing));
}
