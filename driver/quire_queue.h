/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_QUEUE_H
#define QUIRE_QUEUE_H

#include <linux/dma-fence.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "quire_device.h"
#include "quire_sync.h"

#define QUIRE_RING_LOG2 8
#define QUIRE_RING_ENTRIES BIT(QUIRE_RING_LOG2)
#define QUIRE_RING_BYTES (QUIRE_RING_ENTRIES * sizeof(struct quire_ring_entry))
#define QUIRE_RECORDS_BYTES (QUIRE_RING_ENTRIES * sizeof(struct quire_fence_record))
#define QUIRE_TIME_LIMIT_DEFAULT_MS 10000

/** struct quire_job - one command stream on its way; owned by its fence */
struct quire_job {
	/** @fence: signals when the job has ended; holds the memory of the job */
	struct dma_fence fence;
	/** @fence_lock: of @fence */
	spinlock_t fence_lock;
	/** @queue: with a reference while the job is on a list of the queue */
	struct quire_queue *queue;
	/** @node: in queue->pending, then queue->running; under queue->lock */
	struct list_head node;
	/** @stream_va: address of the stream */
	u64 stream_va;
	/** @stream_bytes: length of the stream */
	u32 stream_bytes;
	/** @interrupt: somebody may wait for it: the card shall raise the vector */
	bool interrupt;
	/** @sequence: ring sequence number, once on the ring */
	u64 sequence;
	/** @error: to set when the fence signals */
	int error;
	/** @waits: fences waited for that have not signalled, plus one while armed */
	atomic_t waits;
	/** @syncs: fences to wait for and syncobjs to signal */
	struct quire_syncs syncs;
	/** @callbacks: one for each of syncs.wait */
	struct quire_job_wait *callbacks;
};

/** struct quire_job_wait - a job waits for a fence */
struct quire_job_wait {
	/** @callback: on the fence */
	struct dma_fence_cb callback;
	/** @job: that waits */
	struct quire_job *job;
};

/**
 * struct quire_queue - a queue and its hardware ring
 *
 * Lock order: @submit_lock, then reservations, then @lock.  Fences are signalled
 * outside @lock, because whoever waits for one may be another queue.
 */
struct quire_queue {
	/** @ref: file, jobs on the lists, ioctls in progress */
	struct kref ref;
	/** @qdev: card */
	struct quire_device *qdev;
	/** @vm: address space, with a reference */
	struct quire_vm *vm;
	/** @hw: number of the hardware queue */
	u32 hw;
	/** @priority: enum drm_quire_queue_priority */
	s32 priority;
	/** @pid: process that made it, as the initial name space counts */
	pid_t pid;
	/** @comm: its name then */
	char comm[TASK_COMM_LEN];
	/** @limit: longest time a job may run, in jiffies */
	unsigned long limit;
	/** @ring: struct quire_ring_entry, QUIRE_RING_ENTRIES of them */
	struct quire_ring_entry *ring;
	/** @records: struct quire_fence_record, as many */
	struct quire_fence_record *records;
	/** @ring_bus: bus address of @ring */
	dma_addr_t ring_bus;
	/** @records_bus: bus address of @records */
	dma_addr_t records_bus;
	/** @fence_context: of the jobs' fences */
	u64 fence_context;
	/** @irq: number of its interrupt while requested, else 0 */
	int irq;
	/** @on_card: the firmware has the ring; under queues->lock */
	bool on_card;
	/** @overdue: the oldest job is over its limit and could not be stopped; same lock */
	bool overdue;

	/** @submit_lock: jobs get their numbers and places in one order */
	struct mutex submit_lock;
	/** @submitted: jobs accepted, and fence number of the last; under @submit_lock */
	u64 submitted;

	/** @lock: protects all below; taken in the interrupt handler */
	spinlock_t lock;
	/** @live: the hardware queue takes entries */
	bool live;
	/** @banned: a job failed, or the queue is being destroyed */
	bool banned;
	/** @pending: accepted, not on the ring yet, oldest first */
	struct list_head pending;
	/** @running: on the ring, oldest first */
	struct list_head running;
	/** @on_ring: length of @running */
	u32 on_ring;
	/** @tail: sequence number of the newest entry of the ring */
	u64 tail;
	/** @started: when the oldest running job became the oldest */
	unsigned long started;
	/** @completed: jobs ended */
	u64 completed;
	/** @fault: record of the job that failed; status 0 = none */
	struct quire_fence_record fault;
	/** @fault_job: its number */
	u64 fault_job;
	/** @cycles: modelled, of all jobs */
	u64 cycles;
	/** @modelled_pj: of all jobs */
	u64 modelled_pj;
	/** @macs: of all jobs */
	u64 macs;
	/** @busy_ns: time the card worked on them, of its clock */
	u64 busy_ns;

	/** @timeout: looks whether the oldest job is over its limit */
	struct delayed_work timeout;
	/** @push: moves pending jobs to the ring, after a wait has ended */
	struct work_struct push;
};

/** struct quire_queues - hardware queues of a card */
struct quire_queues {
	/**
	 * @lock: protects @table and starting and stopping of hardware queues.
	 * Fences wait for those who take it: nothing is allocated under it.
	 */
	struct mutex lock;
	/** @table: by hardware number */
	struct quire_queue *table[QUIRE_QUEUES];
	/**
	 * @in_reset: the PCI core resets the function: nobody speaks to the firmware, and
	 * queues marked on_card are started at the end; under @lock
	 */
	bool in_reset;
	/** @ended: the card is going or gone; set under @lock, never cleared */
	bool ended;
	/** @count: that have an interrupt vector */
	u32 count;
	/** @wq: time limits and delayed pushes */
	struct workqueue_struct *wq;
};

/* NULL or a reference, by id of the file */
struct quire_queue *quire_queue_lookup(struct quire_file *qfile, u32 id);
void quire_queue_put(struct quire_queue *queue);

/* quire_ring.c */
void quire_ring_kick(struct quire_queue *queue);
void quire_ring_reap(struct quire_queue *queue);
void quire_ring_timeout(struct work_struct *work);
void quire_ring_push_work(struct work_struct *work);
void quire_ring_abort(struct quire_queue *queue, int error, int error_behind, bool pending);
int quire_ring_start(struct quire_queue *queue);
int quire_ring_stop(struct quire_queue *queue);
bool quire_ring_expel(struct quire_queue *queue);
void quire_ring_end_job(struct quire_job *job);

/* quire_fence.c */
struct quire_job *quire_job_alloc(void);
void quire_job_free(struct quire_job *job);
/* Room for the callbacks of quire_job_arm(); -ENOMEM. */
int quire_job_prepare_waits(struct quire_job *job);
void quire_job_arm(struct quire_job *job);
void quire_job_disarm(struct quire_job *job);
void quire_job_init_fence(struct quire_job *job, struct quire_queue *queue, u64 number);

/* quire_irq.c */
void quire_irq_enable_events(struct quire_device *qdev);
int quire_irq_request_queue(struct quire_queue *queue);
void quire_irq_free_queue(struct quire_queue *queue);
u32 quire_irq_queue_vectors(struct quire_device *qdev);

/* quire_mailbox.c: 0, or -EIO when the firmware refused or did not answer */
int quire_mailbox_send(struct quire_device *qdev, u32 command, u32 argument);
void quire_mailbox_wake(struct quire_device *qdev);

/* quire_fw.c */
int quire_fw_boot(struct quire_device *qdev);
int quire_fw_stop(struct quire_device *qdev);
void quire_fw_wake(struct quire_device *qdev);

/* quire_reset.c */
void quire_reset_schedule(struct quire_device *qdev, const char *why);
void quire_reset_watch(struct quire_device *qdev);

#endif /* QUIRE_QUEUE_H */
