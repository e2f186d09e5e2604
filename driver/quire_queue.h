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
#include "quire_hold.h"
#include "quire_reach.h"
#include "quire_sync.h"

struct quire_share;
struct quire_slot;

#define QUIRE_RING_LOG2 7
#define QUIRE_RING_ENTRIES BIT(QUIRE_RING_LOG2)
#define QUIRE_RING_BYTES (QUIRE_RING_ENTRIES * sizeof(struct quire_ring_entry))
#define QUIRE_RECORDS_BYTES (QUIRE_RING_ENTRIES * sizeof(struct quire_fence_record))
#define QUIRE_QUEUE_BYTES (QUIRE_RING_BYTES + QUIRE_RECORDS_BYTES + QUIRE_SAVE_BYTES)
#define QUIRE_TIME_LIMIT_DEFAULT_MS 10000
/* So long the firmware may take to stop a queue: nothing of it has to end first. */
#define QUIRE_SLOT_STOP_MS 2000
#define QUIRE_PRIORITIES (DRM_QUIRE_QUEUE_PRIORITY_HIGH - DRM_QUIRE_QUEUE_PRIORITY_LOW + 1)
#define QUIRE_SHARE_BITS 8
#define QUIRE_RESTS_BITS 8
/* Ring and context of the kernel's own jobs; these are not lent. */
#define QUIRE_KERNEL_RING 0
#define QUIRE_KERNEL_CONTEXT 0

/* Error of a job that does not run, unless another is known. */
#define QUIRE_JOB_DROPPED (-ECANCELED)

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
	/** @outcome_va: where the card writes what became of it, or 0 */
	u64 outcome_va;
	/** @stream_bytes: length of the stream */
	u32 stream_bytes;
	/** @interrupt: somebody may wait for it: the card shall raise the vector */
	bool interrupt;
	/** @whose: of the kernel's queue: who pays for it, as in quire_ring_entry, or 0 */
	u32 whose;
	/** @restartable: gives the same when begun again, wherever it was stopped */
	bool restartable;
	/** @begun: resets, for which nobody was found guilty, that interrupted it */
	u8 begun;
	/** @sequence: ring sequence number, once on the ring */
	u64 sequence;
	/** @error: to set when the fence signals: QUIRE_JOB_DROPPED until the card tells */
	int error;
	/** @busy_ns: time the card worked on it, in all its runs, once they have ended */
	u64 busy_ns;
	/** @syncs: fences to wait for */
	struct quire_syncs syncs;
	/** @signals: syncobjs, of the call that submits it alone */
	struct quire_signals signals;
};

/**
 * struct quire_queue - a queue: what its users see
 *
 * It exists without the card.  While it has work, a slot (a ring of the card, and a
 * context for its address space) is lent to it: quire_slot.c.
 *
 * Locks: docs/driver.md.  Fences are signalled outside @lock, because whoever waits for one may
 * be another queue.
 */
struct quire_queue {
	/** @ref: file, jobs on the lists, ioctls in progress */
	struct kref ref;
	/** @qdev: card */
	struct quire_device *qdev;
	/** @vm: address space, with a reference */
	struct quire_vm *vm;
	/** @priority: enum drm_quire_queue_priority */
	s32 priority;
	/** @limit_us: longest time the card may work on a job */
	u64 limit_us;
	/** @kernel: of the kernel's own jobs: has its ring for good, and is never banned */
	bool kernel;
	/** @pid: of the process that made it, for messages */
	pid_t pid;
	/** @comm: its name then */
	char comm[TASK_COMM_LEN];
	/** @fence_context: of the jobs' fences */
	u64 fence_context;

	/** @ring: struct quire_ring_entry, QUIRE_RING_ENTRIES of them; one allocation with */
	struct quire_ring_entry *ring;
	/** @records: struct quire_fence_record, as many, and the page for QUEUE_PARK */
	struct quire_fence_record *records;
	/** @ring_bus: bus address of @ring */
	dma_addr_t ring_bus;

	/** @listed: in quire_queues.all; under quire_queues.lock, as all up to @submit_lock */
	struct list_head listed;
	/** @of_vm: in quire_vm.open, unless it is the kernel's */
	struct list_head of_vm;
	/** @waiting: in the list of its process while it waits for a slot (quire_share.c) */
	struct list_head waiting;
	/** @tried: quire_queues.searches that found no slot for it; under that lock */
	u64 tried;
	/** @started: in a list of queues whose doorbells are to be rung */
	struct list_head started;
	/** @process: whose turn it is, among processes */
	struct quire_share *process;
	/** @user: and among users */
	struct quire_share *user;
	/** @slot: lent to it, or NULL; written under slot->lock, too */
	struct quire_slot *slot;
	/** @parked: its page holds the job in progress */
	bool parked;
	/** @overdue: sequence number of a job that is over its limit or keeps memory, or 0 */
	u64 overdue;
	/** @keeps: memory has waited too long for @overdue, which is on an engine */
	bool keeps;
	/** @reset: enum drm_quire_queue_reset */
	u32 reset;

	/** @submit_lock: jobs get their numbers and places in one order */
	struct mutex submit_lock;
	/** @submitted: jobs accepted, and fence number of the last; under @submit_lock */
	u64 submitted;
	/** @waits: what jobs that have not ended wait for; added to under @submit_lock */
	struct quire_waits waits;

	/**
	 * @order: who takes jobs off the ring signals their fences before anybody else does so:
	 * they signal in order; taken in the interrupt handler
	 */
	spinlock_t order;
	/** @lock: protects all below; taken in the interrupt handler */
	spinlock_t lock;
	/** @live: the ring takes entries */
	bool live;
	/** @banned: a job failed, or the queue is being destroyed */
	bool banned;
	/** @pending: accepted, not on the ring yet, oldest first */
	struct list_head pending;
	/** @running: on the ring, oldest first */
	struct list_head running;
	/** @dropped: never to run or failed, not ended yet, oldest first */
	struct list_head dropped;
	/** @aborted: number of the last of these to end with @abort_error, unless it failed */
	u64 aborted;
	/** @abort_error: an error */
	int abort_error;
	/** @dropping: some of these have not ended: nothing goes to the ring before */
	bool dropping;
	/** @spent: ended, and what they waited for is to be given back */
	struct list_head spent;
	/** @on_ring: length of @running */
	u32 on_ring;
	/** @tail: sequence number of the newest entry of the ring */
	u64 tail;
	/** @completed: jobs ended */
	u64 completed;
	/** @rerun: jobs that were run again after a reset */
	u32 rerun;
	/** @fault: record of the job that failed; status 0 = none */
	struct quire_fence_record fault;
	/** @fault_job: its number */
	u64 fault_job;
	/** @usage: of all jobs, but for their number */
	struct quire_usage usage;
	/** @job_ns: of the oldest job on the ring, as far as it is known; not yet in @usage */
	u64 job_ns;

	/** @push: moves pending jobs to the ring, after a wait has ended */
	struct work_struct push;
	/** @end: ends jobs in @dropped, releases those in @spent; holds the queue */
	struct work_struct end;
	/**
	 * @end_lock: who does so, one at a time: fences signal in order; and who looks at the queue
	 * otherwise, so that whoever closes it waits for him
	 */
	struct mutex end_lock;
};

/**
 * struct quire_number - a number that a user or a process has for the card
 *
 * It stays his when he has no ring any more, as long as nobody else needs one: what he has used
 * more than others is written down under it.  All under quire_queues.lock.
 */
struct quire_number {
	/** @uid: the user */
	kuid_t uid;
	/** @tgid: the process, or 0 */
	pid_t tgid;
	/** @given: it is that of @uid and @tgid; else nobody has had it */
	bool given;
	/** @held: he has rings */
	bool held;
	/** @fresh: the card has not been told yet that it is somebody else's now */
	bool fresh;
	/** @used: when he gave the last ring back, in jiffies */
	unsigned long used;
	/** @had: by priority, time of the card while others waited (quire_turn.c), in ns */
	u64 had[QUIRE_PRIORITIES];
	/** @reached: of a user: @had of his process that had the last turn, when it began */
	u64 reached[QUIRE_PRIORITIES];
};

/** struct quire_share - a process or a user who has queues; under quire_queues.lock */
struct quire_share {
	/** @node: in quire_queues.shares */
	struct hlist_node node;
	/** @queues: of it */
	unsigned int queues;
	/** @uid: the user */
	kuid_t uid;
	/** @tgid: the process, or 0: all of the user */
	pid_t tgid;
	/** @search: quire_queues.searches for which @busy is right */
	u64 search;
	/** @busy: slots with work */
	unsigned int busy;
	/** @slots: lent to its queues */
	unsigned int slots;
	/** @number: for the card; it may have become another's while @slots is 0 */
	unsigned int number;
	/** @waiting: by priority, its waiting queues, or processes that have some; oldest first */
	struct list_head waiting[QUIRE_PRIORITIES];
	/** @waits: by priority, in the list above of its user, or in quire_queues.waiting */
	struct list_head waits[QUIRE_PRIORITIES];
	/** @waiters: by priority, its queues that wait */
	unsigned int waiters[QUIRE_PRIORITIES];
	/** @tried: of these, for which search @search found no slot */
	unsigned int tried[QUIRE_PRIORITIES];
};

/**
 * struct quire_slot - a ring of the card, with its interrupt
 *
 * All but what @lock protects is under quire_queues.lock.
 */
struct quire_slot {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @hw: number of the ring */
	u32 hw;
	/** @lock: protects @queue; taken in the interrupt handler */
	spinlock_t lock;
	/** @queue: it is lent to, or NULL; written under quire_queues.lock, too */
	struct quire_queue *queue;
	/** @since: when it was lent, in jiffies */
	unsigned long since;
	/** @used: when it got a job or a search found it with one, in jiffies; no lock */
	unsigned long used;
	/** @parking: QUEUE_PARK was sent and the queue has not come to rest */
	bool parking;
	/** @parked_at: when it was sent, in jiffies */
	unsigned long parked_at;
	/** @doubt: QUEUE_START was not answered: nobody knows whether the queue runs */
	bool doubt;
	/** @busy: there were jobs on it when the last search began */
	bool busy;
	/** @job: at a reset: register JOB of the stopped card, or all ones */
	u32 job;
	/** @job_us: and its register JOB_US, or all ones */
	u32 job_us;
	/** @state: and its register STATE, or OFF */
	u32 state;
	/** @completed: and its register COMPLETED */
	u32 completed;
};

/** struct quire_context - a context of the card; under quire_queues.lock */
struct quire_context {
	/** @vm: address space it is lent to, or NULL; that has queues, which hold it */
	struct quire_vm *vm;
	/** @rings: lent to queues of @vm */
	unsigned int rings;
	/** @busy: of these, with jobs when the last search began, and lent since */
	unsigned int busy;
	/** @used: when the last ring was lent or came back, in jiffies */
	unsigned long used;
	/** @leaving: its rings are taken back for who has no context: @vm gets no other before */
	bool leaving;
};

/** struct quire_queues - queues and slots of a card */
struct quire_queues {
	/**
	 * @lock: protects all below, and speaking to the firmware about queues.
	 * Fences wait for those who take it: nothing is allocated under it.
	 */
	struct mutex lock;
	/** @all: queues that are not closed */
	struct list_head all;
	/** @rests: processes whose jobs were waited for a moment ago, by hash of the mm */
	struct quire_rest rests[BIT(QUIRE_RESTS_BITS)];
	/** @held: address spaces (quire_vm.hold) whose queues get no ring */
	struct list_head held;
	/** @sleepy: the machine is about to sleep, or has slept; no lock to read it */
	bool sleepy;
	/** @frozen: processes were frozen for that when holds were looked at; under @lock */
	bool frozen;
	/** @frozen_at: since when, in jiffies */
	unsigned long frozen_at;
	/** @takings: whose memory goes now (struct quire_taking): they are held for as long */
	struct list_head takings;
	/** @kernel: the kernel's queue, or NULL */
	struct quire_queue *kernel;
	/** @waiting: by priority, users whose queues have work and no slot, oldest first */
	struct list_head waiting[QUIRE_PRIORITIES];
	/** @waiters: those queues */
	unsigned int waiters;
	/** @shares: processes and users that have queues, by hash */
	struct hlist_head shares[BIT(QUIRE_SHARE_BITS)];
	/** @owners: numbers of users; 0 is the kernel's */
	struct quire_number owners[QUIRE_QUEUE_OWNERS];
	/** @groups: and of processes */
	struct quire_number groups[QUIRE_QUEUE_OWNERS];
	/** @slots: by ring */
	struct quire_slot slots[QUIRE_QUEUES];
	/** @contexts: by number */
	struct quire_context contexts[QUIRE_CONTEXTS];
	/** @searches: done for a slot */
	u64 searches;
	/** @blocked: somebody else has the card (function reset, suspend): nothing is lent */
	bool blocked;
	/** @ailing: a reset is on its way: nothing is lent before it */
	bool ailing;
	/** @crashed: when the firmware failed and nobody knows by whose job, in jiffies, or 0 */
	unsigned long crashed;
	/** @turn: while queues have the card one at a time, who has it, or NULL */
	struct quire_queue *turn;
	/** @counted: up to when that time has been counted, in ns of ktime_get_ns() */
	u64 counted;
	/** @reached: by priority, quire_number.had of the user whose turn was last, as it began */
	u64 reached[QUIRE_PRIORITIES];
	/** @credit: by priority, time of those above it, less what it has used meanwhile, in ns */
	s64 credit[QUIRE_PRIORITIES];
	/** @ended: the card goes away, or has gone; no lock to read it */
	bool ended;
	/** @closing: queues that are off @all and still have DMA memory */
	unsigned int closing;
	/** @changed: woken when a slot came back or @closing fell */
	wait_queue_head_t changed;

	/** @count: rings that have an interrupt vector; constant */
	u32 count;
	/** @progressed: a job ended well since the last reset; no lock */
	bool progressed;
	/** @wq: what is below, and pushes of queues; constant */
	struct workqueue_struct *wq;
	/** @ends: ends of jobs; constant */
	struct workqueue_struct *ends;
	/** @lend: lends and takes back slots */
	struct delayed_work lend;
	/** @watch: looks at time limits and at the heartbeat while jobs are on rings */
	struct delayed_work watch;
	/** @heartbeat: last value seen by @watch; only there */
	u32 heartbeat;
	/** @beaten: when it was seen to move, in jiffies; only there */
	unsigned long beaten;
};

/* What the register JOB shows of a job on the ring. */
static inline u32 quire_job_register(u64 sequence)
{
	return lower_32_bits(sequence) ?: QUIRE_JOB_LOW_WORD_0;
}

/* Its priority, as the index of an array. */
static inline u32 quire_queue_level(const struct quire_queue *queue)
{
	return queue->priority - DRM_QUIRE_QUEUE_PRIORITY_LOW;
}

/* No job of it is to be ended before its time; under quire_queues.lock. */
static inline void quire_queue_forgive(struct quire_queue *queue)
{
	queue->overdue = 0;
	queue->keeps = false;
}

/* Time the card has worked on its jobs; under quire_queue.lock. */
static inline u64 quire_queue_busy_ns(const struct quire_queue *queue)
{
	return queue->usage.busy_ns + queue->job_ns;
}

/* NULL or a reference, by id of the file */
struct quire_queue *quire_queue_lookup(struct quire_file *qfile, u32 id);
void quire_queue_put(struct quire_queue *queue);
/* Without a place in a file and without users; ERR_PTR. */
struct quire_queue *quire_queue_new(struct quire_device *qdev, struct quire_vm *vm,
				    s32 priority, u32 limit_ms);
void quire_queue_close(struct quire_queue *queue);

/* quire_ring.c */
void quire_ring_kick(struct quire_queue *queue);
void quire_ring_reap(struct quire_queue *queue);
void quire_ring_init(struct quire_queue *queue);
void quire_ring_abort(struct quire_queue *queue, int error);
bool quire_ring_expel(struct quire_queue *queue, u64 sequence, u32 status, int error, bool guilty);
void quire_ring_rerun(struct quire_queue *queue);
/* The registers JOB and JOB_US, which are of one job. */
void quire_ring_worked(struct quire_queue *queue, u32 job, u32 job_us);
void quire_ring_leave(struct quire_queue *queue, u32 job_us);
int quire_ring_start(struct quire_queue *queue);
/* Under quire_queue.lock; @late: an error, and quire_end_later() follows. */
void quire_ring_add(struct quire_queue *queue, struct quire_job *job, int late);
bool quire_ring_has_jobs(struct quire_queue *queue);
/* The same, without a lock: what comes now may be missed. */
bool quire_ring_is_empty(const struct quire_queue *queue);
/* Whether jobs are on the ring, or could be. */
bool quire_ring_busy(struct quire_queue *queue);
bool quire_ring_wants(struct quire_queue *queue);
/* Number of the oldest job that has not ended, or that is to come. */
u64 quire_ring_oldest_job(struct quire_queue *queue);

/* quire_end.c */
void quire_end_later(struct quire_queue *queue);
/*
 * Jobs that the card has ended, at most those that a ring holds: their fences signal, under
 * quire_queue.order, and then, without it, what they held is given back.  With @failed there are
 * others behind them, as many as the queue may have: they are not for the interrupt.
 */
void quire_end_signal_jobs(struct quire_queue *queue, struct list_head *ended);
void quire_end_release_jobs(struct quire_queue *queue, struct list_head *ended, bool failed);
void quire_end_work(struct work_struct *work);
/* Whether there are some that have been dropped, and have not ended. */
bool quire_end_is_due(struct quire_queue *queue);
/* They end now, by the caller, who waits for nobody else's. */
void quire_end_all(struct quire_queue *queue);

/* quire_slot.c */
void quire_slot_request(struct quire_queue *queue);
void quire_slot_request_now(struct quire_queue *queue);
void quire_slot_interrupt(struct quire_slot *slot);
void quire_slots_wake(struct quire_device *qdev);
void quire_slots_lend_work(struct work_struct *work);
/* Under quire_queues.lock: */
void quire_slots_serve(struct quire_device *qdev);
/* Takes what records there are and the time of a ring that the card has stopped with. */
void quire_slot_leave(struct quire_slot *slot);
int quire_slot_stop(struct quire_slot *slot, unsigned int timeout_ms);
void quire_slot_detach(struct quire_slot *slot);
bool quire_slot_take_idle(struct quire_slot *slot, bool stop);
void quire_slot_want(struct quire_queue *queue);
bool quire_slot_lend(struct quire_queue *queue);
int quire_slot_start_kernel(struct quire_queue *queue);
void quire_slot_forget_vm(struct quire_queue *queue);
void quire_slot_ailing(struct quire_device *qdev, const char *why);

/* quire_park.c; under quire_queues.lock */
void quire_slot_park(struct quire_slot *slot);
void quire_slots_collect(struct quire_device *qdev);
bool quire_slots_park(struct quire_device *qdev, unsigned int timeout_ms);
u32 quire_slots_count_parking(struct quire_queues *queues);

/* quire_share.c */
int quire_share_get(struct quire_queue *queue);
void quire_share_put(struct quire_queue *queue);
void quire_share_init(struct quire_queues *queues);
/* Under quire_queues.lock: */
void quire_share_wait(struct quire_queue *queue);
void quire_share_unwait(struct quire_queue *queue);
void quire_share_take(struct quire_queue *queue);
void quire_share_give(struct quire_queue *queue);
u32 quire_share_register(struct quire_queue *queue);
/* Group and owner of the caller, or 0: the card does not know him. */
u32 quire_share_whose(struct quire_queues *queues);
/* Users beside the caller with jobs on rings. */
unsigned int quire_share_others(struct quire_queues *queues);
void quire_share_told(struct quire_queue *queue);
void quire_share_count(struct quire_queues *queues);
void quire_share_served(struct quire_queue *queue);
void quire_share_tried(struct quire_queue *queue);
struct quire_queue *quire_share_next(struct quire_queues *queues);
bool quire_share_had_enough(const struct quire_slot *slot, const struct quire_queue *queue);
struct quire_slot *quire_share_victim(struct quire_queues *queues, struct quire_queue *queue);

/* What the card knows him by, also if he has no ring; NULL: it does not. */
struct quire_number *quire_share_number_of(struct quire_number *numbers,
					   const struct quire_share *share);

/* quire_turn.c; under quire_queues.lock.  Whether queues have the card one at a time: */
bool quire_turn_by_turn(struct quire_queues *queues);
/* The first waits now. */
void quire_turn_wanted(struct quire_queues *queues);
/* A queue gives its ring back. */
void quire_turn_end(struct quire_queue *queue);
void quire_turn_search(struct quire_queues *queues, struct list_head *started);

/* quire_limit.c */
/* Sequence number of the oldest job on the ring, or 0. */
u64 quire_limit_oldest(struct quire_queue *queue);
void quire_limit_watch(struct quire_device *qdev);
void quire_limit_work(struct work_struct *work);

/* quire_fence.c */
struct quire_job *quire_job_alloc(gfp_t gfp);
void quire_job_free(struct quire_job *job);
/* It waits for its fences, and then has its queue pushed. */
void quire_job_arm(struct quire_job *job);
void quire_job_init_fence(struct quire_job *job, struct quire_queue *queue, u64 number);

/* quire_irq.c */
void quire_irq_enable_events(struct quire_device *qdev);
int quire_irq_request_slots(struct quire_device *qdev, struct quire_queues *queues);
u32 quire_irq_queue_vectors(struct quire_device *qdev);

/* quire_mailbox.c: 0, -EPROTO: the firmware refused, -EIO: it did not answer in time */
int quire_mailbox_send(struct quire_device *qdev, u32 command, u32 argument);
int quire_mailbox_send_within(struct quire_device *qdev, u32 command, u32 argument,
			      unsigned int timeout_ms);
void quire_mailbox_wake(struct quire_device *qdev);

/* quire_fw.c */
int quire_fw_boot(struct quire_device *qdev);
int quire_fw_stop(struct quire_device *qdev);
void quire_fw_wake(struct quire_device *qdev);

/* quire_settle.c; under quire_queues.lock */
bool quire_settle_all(struct quire_device *qdev, bool crashed);

/* quire_reset.c */
void quire_reset_schedule(struct quire_device *qdev, const char *why);
/*
 * Off the card: the job that was to go has ended by itself, and another was cut off, which is
 * innocent.  Under quire_queues.lock.
 */
void quire_reset_spare(struct quire_queue *queue);
/*
 * Memory has waited too long for a flush to be drained.  Whoever has bands in its context has to
 * come to rest within @patience (jiffies).  To be said again until it is.
 */
void quire_reset_undrained(struct quire_device *qdev, struct quire_ticket ticket,
			   unsigned long patience);
/* Under quire_queues.lock: */
void quire_reset_stubborn(struct quire_device *qdev, const char *why);

#endif /* QUIRE_QUEUE_H */
