// SPDX-License-Identifier: GPL-2.0-only
/* Queues: creation, destruction, and what can be asked of them. */
#include <linux/capability.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>

#include "quire_queue.h"
#include "quire_vm.h"

static void quire_queue_release(struct kref *ref)
{
	struct quire_queue *queue = container_of(ref, struct quire_queue, ref);

	quire_vm_put(queue->vm);
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

static void quire_queue_free_rings(struct quire_queue *queue)
{
	struct device *dev = queue->qdev->drm.dev;

	if (queue->ring)
		dma_free_coherent(dev, QUIRE_RING_BYTES, queue->ring, queue->ring_bus);
	if (queue->records)
		dma_free_coherent(dev, QUIRE_RECORDS_BYTES, queue->records, queue->records_bus);
	queue->ring = NULL;
	queue->records = NULL;
}

static int quire_queue_alloc_rings(struct quire_queue *queue)
{
	struct device *dev = queue->qdev->drm.dev;

	queue->ring = dma_alloc_coherent(dev, QUIRE_RING_BYTES, &queue->ring_bus, GFP_KERNEL);
	queue->records = dma_alloc_coherent(dev, QUIRE_RECORDS_BYTES, &queue->records_bus,
					    GFP_KERNEL);
	if (queue->ring && queue->records)
		return 0;
	quire_queue_free_rings(queue);
	return -ENOMEM;
}

/* A free hardware queue becomes ours. */
static int quire_queue_take_hw(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	int ret = 0;

	mutex_lock(&queues->lock);
	for (queue->hw = 0; queue->hw < queues->count; queue->hw++)
		if (!queues->table[queue->hw])
			break;
	if (queues->ended)
		ret = -ENODEV;
	else if (queue->qdev->wedged)
		ret = -EIO;
	else if (queue->hw == queues->count)
		ret = -ENOSPC;
	else
		queues->table[queue->hw] = queue;
	mutex_unlock(&queues->lock);
	return ret;
}

/* Inside drm_dev_enter().  Requesting the vector allocates: not under queues->lock. */
static int quire_queue_start(struct quire_queue *queue)
{
	struct quire_queues *queues = queue->qdev->queues;
	int ret;

	ret = quire_queue_take_hw(queue);
	if (ret)
		return ret;
	ret = quire_irq_request_queue(queue);
	mutex_lock(&queues->lock);
	if (!ret && queues->ended)
		ret = -ENODEV;
	if (!ret && queue->qdev->wedged)
		ret = -EIO;
	if (!ret)
		ret = quire_ring_start(queue);
	if (ret) {
		quire_irq_free_queue(queue);
		queues->table[queue->hw] = NULL;
	}
	mutex_unlock(&queues->lock);
	return ret;
}

/*
 * End a queue for good: when this returns the card does nothing for it, its jobs
 * have ended, and only references are left.
 */
static void quire_queue_close(struct quire_queue *queue)
{
	struct quire_device *qdev = queue->qdev;
	struct quire_queues *queues = qdev->queues;
	unsigned long flags;
	bool signalling;

	/* No call is between its look at banned and its jobs' arrival. */
	mutex_lock(&queue->submit_lock);
	spin_lock_irqsave(&queue->lock, flags);
	queue->banned = true;
	spin_unlock_irqrestore(&queue->lock, flags);
	mutex_unlock(&queue->submit_lock);

	/* Once the queue is stopped its jobs end here and nowhere else. */
	signalling = dma_fence_begin_signalling();
	mutex_lock(&queues->lock);
	/*
	 * Still in the table: unplug, if it has begun, has not come to the queues yet
	 * and waits for the lock, so the card may run this one and can be touched.  Vector
	 * and rings go before it gets the lock, because they are the device's.
	 */
	if (queues->table[queue->hw] == queue) {
		/* A card that does not stop a queue is stopped as a whole. */
		if (quire_ring_stop(queue)) {
			quire_fw_stop(qdev);
			quire_reset_schedule(qdev, "a queue could not be stopped");
		}
		quire_irq_free_queue(queue);
		quire_ring_reap(queue);
		quire_ring_abort(queue, -ECANCELED, -ECANCELED, false);
		quire_queue_free_rings(queue);
		queues->table[queue->hw] = NULL;
	}
	mutex_unlock(&queues->lock);
	/* The works signal, too: lockdep does not let one such path wait for another. */
	dma_fence_end_signalling(signalling);
	cancel_delayed_work_sync(&queue->timeout);
	cancel_work_sync(&queue->push);
	quire_ring_abort(queue, -ECANCELED, -ECANCELED, true);
	cancel_work_sync(&queue->push);
	quire_vm_detach_queue(queue->vm);
	quire_queue_put(queue);
}

static struct quire_queue *quire_queue_new(struct quire_device *qdev, struct quire_vm *vm,
					   const struct drm_quire_queue_create *args)
{
	u32 limit = args->time_limit_ms ?: QUIRE_TIME_LIMIT_DEFAULT_MS;
	struct quire_queue *queue = kzalloc(sizeof(*queue), GFP_KERNEL);

	if (!queue)
		return NULL;
	kref_init(&queue->ref);
	queue->qdev = qdev;
	queue->vm = quire_vm_get(vm);
	queue->priority = args->priority;
	queue->pid = task_tgid_nr(current);
	get_task_comm(queue->comm, current->group_leader);
	queue->limit = msecs_to_jiffies(limit);
	queue->fence_context = dma_fence_context_alloc(1);
	mutex_init(&queue->submit_lock);
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->pending);
	INIT_LIST_HEAD(&queue->running);
	INIT_DELAYED_WORK(&queue->timeout, quire_ring_timeout);
	INIT_WORK(&queue->push, quire_ring_push_work);
	return queue;
}

static int quire_queue_check(struct drm_device *drm, const struct drm_quire_queue_create *args)
{
	if (args->flags)
		return quire_inval(drm, "queue_create.flags %#x must be 0", args->flags);
	if (args->pad)
		return quire_inval(drm, "queue_create.pad must be 0");
	if (args->priority < DRM_QUIRE_QUEUE_PRIORITY_LOW ||
	    args->priority > DRM_QUIRE_QUEUE_PRIORITY_HIGH)
		return quire_inval(drm, "queue_create.priority %d is unknown", args->priority);
	if (args->time_limit_ms > QUIRE_TIME_LIMIT_MAX_MS)
		return quire_inval(drm, "queue_create.time_limit_ms %u is over %u",
				   args->time_limit_ms, QUIRE_TIME_LIMIT_MAX_MS);
	if (args->priority == DRM_QUIRE_QUEUE_PRIORITY_HIGH && !capable(CAP_SYS_NICE))
		return -EACCES;
	return 0;
}

static int quire_queue_create(struct quire_file *qfile, struct quire_vm *vm,
			      struct drm_quire_queue_create *args)
{
	struct quire_queue *queue;
	int ret;

	ret = quire_vm_attach_queue(vm);
	if (ret)
		return ret;
	queue = quire_queue_new(qfile->qdev, vm, args);
	if (!queue) {
		quire_vm_detach_queue(vm);
		return -ENOMEM;
	}
	ret = quire_queue_alloc_rings(queue);
	if (!ret)
		ret = quire_queue_start(queue);
	if (ret) {
		quire_queue_free_rings(queue);
		quire_vm_detach_queue(vm);
		quire_queue_put(queue);
		return ret;
	}
	/* From here on another thread may destroy it. */
	ret = xa_alloc(&qfile->queues, &args->queue_id, queue, xa_limit_31b, GFP_KERNEL);
	if (ret)
		quire_queue_close(queue);
	return ret;
}

int quire_queue_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_queue_create *args = data;
	struct quire_file *qfile = file->driver_priv;
	struct quire_vm *vm;
	int ret, index;

	ret = quire_queue_check(drm, args);
	if (ret)
		return ret;
	if (!drm_dev_enter(drm, &index))
		return -ENODEV;
	vm = quire_vm_lookup(qfile, args->vm_id);
	if (vm)
		ret = quire_queue_create(qfile, vm, args);
	else
		ret = -ENOENT;
	quire_vm_put(vm);
	drm_dev_exit(index);
	return ret;
}

static void quire_queue_add_usage(struct quire_queue *queue, struct quire_usage *usage)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	usage->cycles += queue->cycles;
	usage->jobs += queue->completed;
	usage->modelled_pj += queue->modelled_pj;
	usage->busy_ns += queue->busy_ns;
	spin_unlock_irqrestore(&queue->lock, flags);
}

/*
 * Take a queue out of its file and end it.  What it used is added to the file's
 * past when it leaves and again, as far as it grew, when its last job has ended: what
 * fdinfo tells never goes back.
 */
static bool quire_queue_retire(struct quire_file *qfile, u32 id)
{
	struct quire_usage left = {}, ended = {};
	struct quire_queue *queue;

	xa_lock(&qfile->queues);
	queue = __xa_erase(&qfile->queues, id);
	if (queue) {
		kref_get(&queue->ref);
		quire_queue_add_usage(queue, &left);
		qfile->past.cycles += left.cycles;
		qfile->past.jobs += left.jobs;
		qfile->past.modelled_pj += left.modelled_pj;
		qfile->past.busy_ns += left.busy_ns;
	}
	xa_unlock(&qfile->queues);
	if (!queue)
		return false;
	quire_queue_close(queue);
	quire_queue_add_usage(queue, &ended);
	xa_lock(&qfile->queues);
	qfile->past.cycles += ended.cycles - left.cycles;
	qfile->past.jobs += ended.jobs - left.jobs;
	qfile->past.modelled_pj += ended.modelled_pj - left.modelled_pj;
	qfile->past.busy_ns += ended.busy_ns - left.busy_ns;
	xa_unlock(&qfile->queues);
	quire_queue_put(queue);
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

int quire_queue_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_quire_queue_query *args = data;
	u32 id = args->queue_id;
	struct quire_queue *queue = quire_queue_lookup(file->driver_priv, id);
	unsigned long flags;

	if (!queue)
		return -ENOENT;
	quire_ring_reap(queue);
	memset(args, 0, sizeof(*args));
	args->queue_id = id;
	args->submitted = READ_ONCE(queue->submitted);
	spin_lock_irqsave(&queue->lock, flags);
	args->state = queue->banned ? DRM_QUIRE_QUEUE_STATE_BANNED : DRM_QUIRE_QUEUE_STATE_ACTIVE;
	args->completed = queue->completed;
	args->fault_job = queue->fault_job;
	args->fault_status = queue->fault.status;
	args->fault_packet = queue->fault.packet;
	args->fault_detail = queue->fault.detail;
	args->fault_info = queue->fault.fault_info;
	args->fault_address = queue->fault.fault_address;
	args->cycles = queue->cycles;
	args->modelled_pj = queue->modelled_pj;
	args->macs = queue->macs;
	spin_unlock_irqrestore(&queue->lock, flags);
	quire_queue_put(queue);
	return 0;
}

void quire_queues_close_file(struct quire_file *qfile)
{
	struct quire_queue *queue;
	unsigned long id;

	xa_for_each(&qfile->queues, id, queue)
		quire_queue_retire(qfile, id);
}

/*
 * A job counts once, however many engines it is spread over.  The cycles are the model's, so
 * they are none that drm-cycles- means.
 */
void quire_queues_show_fdinfo(struct drm_printer *p, struct quire_file *qfile)
{
	struct quire_queue *queue;
	struct quire_usage usage;
	unsigned long id;

	xa_lock(&qfile->queues);
	usage = qfile->past;
	xa_for_each(&qfile->queues, id, queue)
		quire_queue_add_usage(queue, &usage);
	xa_unlock(&qfile->queues);
	drm_printf(p, "drm-engine-compute:\t%llu ns\n", usage.busy_ns);
	drm_printf(p, "drm-engine-capacity-compute:\t%u\n", qfile->qdev->engines);
	drm_printf(p, "quire-jobs:\t%llu\n", usage.jobs);
	drm_printf(p, "quire-modelled-cycles:\t%llu\n", usage.cycles);
	drm_printf(p, "quire-modelled-energy:\t%llu pJ\n", usage.modelled_pj);
}

static void quire_queues_release(struct drm_device *drm, void *data)
{
	struct quire_queues *queues = data;

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
	queues->wq = alloc_workqueue("quire-queues", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!queues->wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(&qdev->drm, quire_queues_release, queues);
	if (ret)
		return ret;
	queues->count = min(qdev->queues_total, quire_irq_queue_vectors(qdev));
	qdev->queues = queues;
	return 0;
}

/*
 * The card is going away, or has gone: every job ends now, so that nobody waits for one,
 * and nobody gets new queues.  Calls may be in progress.
 */
void quire_queues_end(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;
	bool signalling = dma_fence_begin_signalling();

	mutex_lock(&queues->lock);
	WRITE_ONCE(queues->ended, true);
	quire_fw_stop(qdev);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_queue *queue = queues->table[i];
		unsigned long flags;

		if (!queue)
			continue;
		spin_lock_irqsave(&queue->lock, flags);
		queue->live = false;
		queue->banned = true;
		spin_unlock_irqrestore(&queue->lock, flags);
		quire_ring_reap(queue);
		quire_ring_abort(queue, -ENODEV, -ENODEV, true);
	}
	mutex_unlock(&queues->lock);
	dma_fence_end_signalling(signalling);
}

/* Calls are over: interrupts and rings, which are the device's memory, go. */
void quire_queues_fini(struct quire_device *qdev)
{
	struct quire_queues *queues = qdev->queues;

	quire_queues_end(qdev);
	mutex_lock(&queues->lock);
	for (u32 i = 0; i < queues->count; i++) {
		struct quire_queue *queue = queues->table[i];

		if (!queue)
			continue;
		quire_irq_free_queue(queue);
		quire_queue_free_rings(queue);
		queues->table[i] = NULL;
	}
	mutex_unlock(&queues->lock);
	flush_workqueue(queues->wq);
}
