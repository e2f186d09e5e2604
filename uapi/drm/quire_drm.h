/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Application interface of the quire driver (/dev/accel/accelN).
 *
 * Rules every structure here obeys:
 *  - sizes are multiples of 8 bytes, fields are naturally aligned, padding is
 *    explicit and must be zero; so must every bit no flag is defined for;
 *  - arrays are passed as struct drm_quire_obj_array, whose stride lets elements
 *    grow: bytes the kernel does not know must be zero (-E2BIG), bytes
 *    userspace does not know read as zero;
 *  - enum values and ioctl numbers are never reused, flags are only added, and
 *    each addition raises the minor version of the driver;
 *  - handles and ids belong to the open file.  0 is never a valid one.
 *
 * Errors common to all: -EINVAL (a field is wrong; drm.debug names it), -ENOENT
 * (no such handle or id), -EFAULT, -ENOMEM, -ENODEV (card unplugged), -E2BIG
 * (bytes behind what the kernel knows are not zero).  Calls may be made from any
 * thread; calls on one queue are ordered by when they take the queue's lock.
 *
 * Fences are DRM's syncobjs (DRM_IOCTL_SYNCOBJ_*), binary and timeline; buffers
 * are shared by DRM's PRIME ioctls.  A job that fails signals its fence with an
 * error: -EFAULT bad packet, stream or address, -ETIME time limit, or an engine
 * kept while memory waited, -ECANCELED after another job of its queue failed or
 * the queue was destroyed, -ERANGE accumulator limit, -EIO engine or card
 * failure, -ENODEV card unplugged.
 */
#ifndef QUIRE_DRM_H
#define QUIRE_DRM_H

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define DRM_QUIRE_DRIVER_NAME "quire"
#define DRM_QUIRE_DRIVER_MAJOR 1
#define DRM_QUIRE_DRIVER_MINOR 0

#define DRM_QUIRE_DEV_QUERY 0x00
#define DRM_QUIRE_VM_CREATE 0x01
#define DRM_QUIRE_VM_DESTROY 0x02
#define DRM_QUIRE_BO_CREATE 0x03
#define DRM_QUIRE_BO_MMAP_OFFSET 0x04
#define DRM_QUIRE_BO_INFO 0x05
#define DRM_QUIRE_USERPTR 0x06
#define DRM_QUIRE_VM_BIND 0x07
#define DRM_QUIRE_QUEUE_CREATE 0x08
#define DRM_QUIRE_QUEUE_DESTROY 0x09
#define DRM_QUIRE_QUEUE_QUERY 0x0a
#define DRM_QUIRE_SUBMIT 0x0b

/**
 * struct drm_quire_obj_array - array of structures
 * @stride: size of one element as userspace knows it
 * @count:  number of elements
 * @array:  user pointer to the first; 0 if @count is 0
 */
struct drm_quire_obj_array {
	__u32 stride;
	__u32 count;
	__u64 array;
};

/* Syncs of one call, of all its jobs together: -EINVAL if there are more. */
#define DRM_QUIRE_MAX_SYNCS 1024

/**
 * struct drm_quire_sync - something to wait for or to signal
 *
 * What is waited for has a fence when the call is made (-EINVAL): a binary syncobj's, or one of
 * the point or behind it.  It is waited for its end, not its success: errors do not pass on.
 * Syncobjs to signal have got their fences when the call returns 0.  A process that is killed in
 * the call may leave some without.
 */
#define DRM_QUIRE_SYNC_WAIT (0u << 31)
#define DRM_QUIRE_SYNC_SIGNAL (1u << 31)
#define DRM_QUIRE_SYNC_TIMELINE (1u << 0)
struct drm_quire_sync {
	/** @flags: DRM_QUIRE_SYNC_* */
	__u32 flags;
	/** @handle: syncobj handle */
	__u32 handle;
	/** @point: timeline point, not 0; must be 0 for a binary syncobj */
	__u64 point;
};

enum drm_quire_dev_query_type {
	/** @DRM_QUIRE_QUERY_DEVICE: struct drm_quire_device_info */
	DRM_QUIRE_QUERY_DEVICE = 0,
	/** @DRM_QUIRE_QUERY_MEMORY: struct drm_quire_memory_info */
	DRM_QUIRE_QUERY_MEMORY = 1,
	/**
	 * @DRM_QUIRE_QUERY_TELEMETRY: struct drm_quire_telemetry_info, of all processes:
	 * -EACCES without CAP_PERFMON
	 */
	DRM_QUIRE_QUERY_TELEMETRY = 2,
	/** @DRM_QUIRE_QUERY_USAGE: struct drm_quire_usage_info, of this open file */
	DRM_QUIRE_QUERY_USAGE = 3,
};

/**
 * struct drm_quire_dev_query - ask for an information structure
 * @type:    enum drm_quire_dev_query_type
 * @size:    in: bytes at @pointer; out: bytes the kernel knows of this type.
 *           A shorter buffer gets the leading bytes, a longer one, of up to 4096 bytes
 *           (-EINVAL, also without @pointer), zeros behind.
 * @pointer: user pointer, or 0 to learn only @size
 */
struct drm_quire_dev_query {
	__u32 type;
	__u32 size;
	__u64 pointer;
};

struct drm_quire_device_info {
	/** @hw_version: major << 16 | minor */
	__u32 hw_version;
	/** @fw_release: major << 16 | minor << 8 | patch */
	__u32 fw_release;
	/** @interface_version: negotiated between driver and firmware */
	__u32 interface_version;
	/** @queues: hardware queues: one the driver's own, others lent to whoever has work */
	__u32 queues;
	/** @contexts: hardware address spaces of the card, lent likewise */
	__u32 contexts;
	/** @engines: engines of the card */
	__u32 engines;
	/** @serial: serial number of the card */
	__u64 serial;
	/** @card_memory: bytes of card memory */
	__u64 card_memory;
	/** @va_start: first address VM_BIND accepts */
	__u64 va_start;
	/** @va_end: one past the last address VM_BIND accepts */
	__u64 va_end;
	/** @max_time_limit_ms: longest time limit a queue may ask for */
	__u32 max_time_limit_ms;
	/** @resets: card resets since the driver was bound */
	__u32 resets;
	/**
	 * @vram_lost: times since then that buffers lying in card memory lost their contents
	 * (a fatal error of the bus, a reset without memory to save them in).  They are zeros then.
	 */
	__u32 vram_lost;
	/** @pad: reads as 0 */
	__u32 pad;
};

struct drm_quire_memory_info {
	/** @card_total: bytes of card memory that buffers can use */
	__u64 card_total;
	/**
	 * @card_used: bytes in use now, by all files; without CAP_PERFMON in steps of a 64th of
	 * the card's memory
	 */
	__u64 card_used;
	/**
	 * @system_used: bytes of buffers that do not lie on the card, with pages or without, by
	 * all files; in the same steps
	 */
	__u64 system_used;
	/** @pad: reads as 0 */
	__u64 pad;
};

struct drm_quire_usage_info {
	/** @jobs: ended, of all queues this file has and had */
	__u64 jobs;
	/** @busy_ns: time the card worked on jobs of the file, ended or not, of its clock */
	__u64 busy_ns;
	/** @macs: multiply-accumulates */
	__u64 macs;
	/** @cycles: modelled */
	__u64 cycles;
	/** @modelled_pj: modelled energy, picojoule */
	__u64 modelled_pj;
	/** @pad: reads as 0 */
	__u64 pad;
};

#define DRM_QUIRE_TELEMETRY_COUNTERS 16
struct drm_quire_telemetry_info {
	/**
	 * @counters: index is enum quire_counter of quire/hw.h; since the driver was bound, over
	 * resets and sleep of the card
	 */
	__u64 counters[DRM_QUIRE_TELEMETRY_COUNTERS];
};

/**
 * struct drm_quire_vm_create - create an address space
 * @flags: must be 0
 * @vm_id: out
 * -EMFILE: the file has DRM_QUIRE_FILE_MAX_VMS of them
 */
#define DRM_QUIRE_FILE_MAX_VMS 1024
struct drm_quire_vm_create {
	__u32 flags;
	__u32 vm_id;
};

/**
 * struct drm_quire_vm_destroy - destroy an address space
 * -EBUSY: a queue still uses it; -EINTR: it waited for another call, and nothing has happened
 */
struct drm_quire_vm_destroy {
	__u32 vm_id;
	__u32 pad;
};

enum drm_quire_placement {
	DRM_QUIRE_PLACEMENT_SYSTEM = 1,
	DRM_QUIRE_PLACEMENT_CARD = 2,
};

/**
 * struct drm_quire_bo_create - create a zeroed buffer object
 * @size:      bytes, rounded up to pages of card and CPU; out: the rounded size
 * @placement: enum drm_quire_placement
 * @flags:     must be 0
 * @vm_id:     bind only in this address space and never share (cheaper to
 *             submit with), or 0
 * @handle:    out: GEM handle
 *
 * Memory counts to the caller's control group: system memory and page tables to memcg, card
 * memory to dmem where the kernel has it.  A CARD buffer pushes others out to system memory, in
 * the order in which they came to the card, but for those that jobs use; where that does not make
 * room, it lies in system memory itself.  What was pushed out works from there and comes back with
 * a submission that finds it idle and room for it.  System memory, and the zeros, come with the
 * first submission that could use the buffer, its mmap(), or another device that maps it.
 * -ENOSPC: larger than what the placement can ever hold: the card's memory, half of the machine's;
 * -ENOMEM: no memory, or not within the caller's limits
 */
struct drm_quire_bo_create {
	__u64 size;
	__u32 placement;
	__u32 flags;
	__u32 vm_id;
	__u32 handle;
};

/**
 * struct drm_quire_bo_mmap_offset - offset for mmap() of the device node
 * -EINVAL: memory of the process itself, or of another device, which maps it
 */
struct drm_quire_bo_mmap_offset {
	__u32 handle;
	__u32 pad;
	/** @offset: out */
	__u64 offset;
};

/** struct drm_quire_bo_info - what is known of a buffer object */
struct drm_quire_bo_info {
	__u32 handle;
	__u32 pad;
	/** @size: out: bytes */
	__u64 size;
	/** @placement: out: as created; memory of the process, or imported: SYSTEM */
	__u32 placement;
	/** @resident: out: where it is now, or will be when it gets its memory */
	__u32 resident;
	/** @vm_id: out: as created; that address space may be gone, and another have its id */
	__u32 vm_id;
	/** @flags: out: DRM_QUIRE_BO_INFO_* */
	__u32 flags;
};

#define DRM_QUIRE_BO_INFO_USERPTR (1u << 0)
#define DRM_QUIRE_BO_INFO_IMPORTED (1u << 1)

/**
 * struct drm_quire_userptr - make a buffer object of the caller's own memory
 * @address: multiple of the CPU's page size
 * @size:    multiple of the CPU's page size
 * @flags:   DRM_QUIRE_USERPTR_*
 * @handle:  out: GEM handle
 *
 * Pages are not pinned and no limit of locked memory counts: the process may unmap, protect or
 * fork as it likes.  Jobs see the memory as its threads do: while the kernel takes pages away or
 * exchanges them, those of the address space rest, for 5 s at the most (30 s while the machine
 * goes to sleep), and then go on.  What is unmapped while they run (munmap, mremap) is gone for
 * them.
 * Where nothing lies that the card may use, jobs fault, on all of the buffer if one page of it
 * is missing.  An address space has memory of one process at a time.
 * -EFAULT: no memory there now, or not writable without READ_ONLY; -ENOMEM, also where all such and
 * imported buffers of the user are more than eight times the machine's memory, or a 32nd of what
 * addresses an IOMMU has for the card; -EMFILE: they are 65536; -EBUSY: the process has dropped
 * or changed pages all the time for a second (SUBMIT goes on until they stay, or a signal comes)
 */
#define DRM_QUIRE_USERPTR_READ_ONLY (1u << 0)
struct drm_quire_userptr {
	__u64 address;
	__u64 size;
	__u32 flags;
	__u32 handle;
};

enum drm_quire_vm_bind_op_type {
	DRM_QUIRE_VM_BIND_MAP = 1,
	DRM_QUIRE_VM_BIND_UNMAP = 2,
};

#define DRM_QUIRE_VM_BIND_READ_ONLY (1u << 0)

/**
 * struct drm_quire_vm_bind_op - one change of an address space
 * @type:      enum drm_quire_vm_bind_op_type
 * @flags:     DRM_QUIRE_VM_BIND_* (MAP only)
 * @handle:    GEM handle (MAP); 0 for UNMAP
 * @pad:       must be 0
 * @bo_offset: multiple of 4 KiB; 0 for UNMAP
 * @va:        multiple of 4 KiB; a MAP replaces what was mapped there
 * @size:      multiple of 4 KiB, not 0
 */
struct drm_quire_vm_bind_op {
	__u32 type;
	__u32 flags;
	__u32 handle;
	__u32 pad;
	__u64 bo_offset;
	__u64 va;
	__u64 size;
};

/**
 * struct drm_quire_vm_bind - change an address space
 * @vm_id: address space
 * @flags: DRM_QUIRE_VM_BIND_ASYNC, otherwise done when the call returns and
 *         @syncs must be empty
 * @ops:   array of struct drm_quire_vm_bind_op, done in order; at most
 *         DRM_QUIRE_VM_BIND_MAX_OPS
 * @syncs: array of struct drm_quire_sync; at most DRM_QUIRE_MAX_SYNCS
 *
 * All operations are checked before the first is done: after an error nothing has changed.
 * Calls of one address space are done in the order of their places.  An asynchronous one takes
 * its place when it is made, a synchronous one when no asynchronous one waits any more, those of
 * other threads included that were made while it waited; before that -EINTR or a restart find
 * nothing done.  An address space that is destroyed, or whose file is closed, gives up calls that
 * wait: their fences carry -ECANCELED, and synchronous ones give -ENOENT.
 *
 * A job may use what was mapped when it was submitted, and what calls made before that map.
 * Unmapping and replacing are safe at any time: a job that uses what is gone faults, and memory
 * goes to others when the card cannot reach it any more.  A closed handle leaves mappings as
 * they are: they keep the buffer.
 *
 * -E2BIG, -EFAULT, -EINVAL, -ENOENT: @ops or @syncs; -ENOMEM, also if there is no room for all
 * the page tables that the operations, taken one by one, may need;
 * -EXDEV: memory (USERPTR) of another process than what the address space has already, or had a
 * moment ago; make another address space for it;
 * -ENXIO and others: imported memory, whose device has gone, or whose driver says so;
 * -EBUSY: ASYNC, and 1024 calls of this address space wait already; or jobs of the device whose
 * memory is imported use it for too long (15 s where it is a card of this driver): try again
 */
#define DRM_QUIRE_VM_BIND_ASYNC (1u << 0)
#define DRM_QUIRE_VM_BIND_MAX_OPS 4096
struct drm_quire_vm_bind {
	__u32 vm_id;
	__u32 flags;
	struct drm_quire_obj_array ops;
	struct drm_quire_obj_array syncs;
};

/** enum drm_quire_queue_priority - HIGH needs CAP_SYS_NICE (-EACCES) */
enum drm_quire_queue_priority {
	DRM_QUIRE_QUEUE_PRIORITY_LOW = -1,
	DRM_QUIRE_QUEUE_PRIORITY_NORMAL = 0,
	DRM_QUIRE_QUEUE_PRIORITY_HIGH = 1,
};

/**
 * struct drm_quire_queue_create - create a queue
 * @vm_id:         address space its jobs run in
 * @priority:      enum drm_quire_queue_priority
 * @time_limit_ms: longest time the card may work on one job, 0 = default of 10 s, else 10
 *                 to max_time_limit_ms; time in which it works on others does not count
 * @flags:         must be 0
 * @queue_id:      out
 * @pad:           must be 0
 * -EMFILE: the file has DRM_QUIRE_FILE_MAX_QUEUES of them; -EIO: the card is wedged, no reset
 * has helped
 */
#define DRM_QUIRE_FILE_MAX_QUEUES 1024
struct drm_quire_queue_create {
	__u32 vm_id;
	__s32 priority;
	__u32 time_limit_ms;
	__u32 flags;
	__u32 queue_id;
	__u32 pad;
};

/**
 * struct drm_quire_queue_destroy - end a queue
 * The job in progress is stopped, its output half written, and it and those behind it end with
 * -ECANCELED.
 */
struct drm_quire_queue_destroy {
	__u32 queue_id;
	__u32 pad;
};

enum drm_quire_queue_state {
	DRM_QUIRE_QUEUE_STATE_ACTIVE = 1,
	/** @DRM_QUIRE_QUEUE_STATE_BANNED: a job failed; SUBMIT gives -ECANCELED */
	DRM_QUIRE_QUEUE_STATE_BANNED = 2,
};

/** enum drm_quire_queue_reset - what resets of the card meant for a queue */
enum drm_quire_queue_reset {
	/** @DRM_QUIRE_QUEUE_RESET_NONE: nothing: it had no jobs on the card, or they went on */
	DRM_QUIRE_QUEUE_RESET_NONE = 0,
	/**
	 * @DRM_QUIRE_QUEUE_RESET_INNOCENT: it had jobs on the card, and no part in the reset.
	 * They were run again from the beginning; or, where one of them had begun and is not
	 * DRM_QUIRE_JOB_RESTARTABLE, all it had accepted ended with -EIO; as all end that the
	 * queues have, on the card or not, where card memory is lost or the card is wedged.
	 */
	DRM_QUIRE_QUEUE_RESET_INNOCENT = 1,
	/**
	 * @DRM_QUIRE_QUEUE_RESET_GUILTY: a job of it was the reason, or kept an engine for so long
	 * that it would have been; it is banned
	 */
	DRM_QUIRE_QUEUE_RESET_GUILTY = 2,
};

/** struct drm_quire_queue_query - state of a queue; @fault_*: of the job that failed */
struct drm_quire_queue_query {
	__u32 queue_id;
	/** @state: out: enum drm_quire_queue_state */
	__u32 state;
	/** @submitted: out: jobs accepted */
	__u64 submitted;
	/** @completed: out: jobs finished, with or without error */
	__u64 completed;
	/** @fault_job: out: number of the failed job, counted from 1; 0 = none */
	__u64 fault_job;
	/** @fault_status: out: enum quire_status of quire/packet.h */
	__u32 fault_status;
	/** @fault_packet: out: byte offset of the packet in its stream, or the end: its outcome */
	__u32 fault_packet;
	/** @fault_detail: out: see enum quire_status */
	__u32 fault_detail;
	/** @fault_info: out: QUIRE_FAULT_* of quire/hw.h */
	__u32 fault_info;
	/** @fault_address: out: virtual address of an MMU fault */
	__u64 fault_address;
	/** @cycles: out: modelled cycles of all jobs */
	__u64 cycles;
	/** @modelled_pj: out: modelled energy of all jobs, picojoule */
	__u64 modelled_pj;
	/** @macs: out: multiply-accumulates of all jobs */
	__u64 macs;
	/** @busy_ns: out: time the card worked on its jobs, ended or not, of the card's clock */
	__u64 busy_ns;
	/** @reset: out: enum drm_quire_queue_reset */
	__u32 reset;
	/** @rerun: out: jobs that the card had been given when a reset had them run (again) */
	__u32 rerun;
};

/**
 * struct drm_quire_job - one command stream
 * @stream_va:    8-byte aligned address in the queue's address space
 * @stream_bytes: multiple of 8, up to QUIRE_STREAM_MAX_BYTES; 0 = only the fence
 * @flags:        DRM_QUIRE_JOB_*
 * @outcome_va:   where in the queue's address space the card writes a struct
 *                quire_job_outcome (quire/packet.h), 8-byte aligned, or 0.  A job whose
 *                outcome cannot be written fails with an MMU fault of unit RESULT.
 * @syncs:        array of struct drm_quire_sync; those of all jobs of a call are at most
 *                DRM_QUIRE_MAX_SYNCS
 */

/**
 * DRM_QUIRE_JOB_RESTARTABLE: what the job writes is the same when it is begun again after
 * part of it was done, because it does not read what it has written (as D = C with beta
 * in place does).  After a reset such a job is run again even if it had begun.
 */
#define DRM_QUIRE_JOB_RESTARTABLE (1u << 0)
struct drm_quire_job {
	__u64 stream_va;
	__u32 stream_bytes;
	__u32 flags;
	__u64 outcome_va;
	struct drm_quire_obj_array syncs;
};

#define DRM_QUIRE_SUBMIT_MAX_JOBS 256
/* Jobs of one queue that have not ended. */
#define DRM_QUIRE_QUEUE_MAX_JOBS 32768

/**
 * struct drm_quire_submit - run jobs, in order
 * @queue_id: queue
 * @flags:    must be 0
 * @jobs:     array of struct drm_quire_job, 1 .. DRM_QUIRE_SUBMIT_MAX_JOBS
 *
 * Jobs of one queue start in order.  All is checked before the first is queued: after an error none
 * is.  -ECANCELED: the queue is banned, or being destroyed.  -EIO: the card is wedged.  -ENOBUFS:
 * DRM_QUIRE_QUEUE_MAX_JOBS jobs of the queue have not ended, wait for one.  -EINTR: a signal came
 * while others had the locks, while buffers were brought back, or while a reset kept the card away;
 * no job is queued.
 */
struct drm_quire_submit {
	__u32 queue_id;
	__u32 flags;
	struct drm_quire_obj_array jobs;
};

#define DRM_IOCTL_QUIRE_DEV_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_DEV_QUERY, struct drm_quire_dev_query)
#define DRM_IOCTL_QUIRE_VM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_VM_CREATE, struct drm_quire_vm_create)
#define DRM_IOCTL_QUIRE_VM_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_QUIRE_VM_DESTROY, struct drm_quire_vm_destroy)
#define DRM_IOCTL_QUIRE_BO_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_BO_CREATE, struct drm_quire_bo_create)
#define DRM_IOCTL_QUIRE_BO_MMAP_OFFSET \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_BO_MMAP_OFFSET, struct drm_quire_bo_mmap_offset)
#define DRM_IOCTL_QUIRE_BO_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_BO_INFO, struct drm_quire_bo_info)
#define DRM_IOCTL_QUIRE_USERPTR \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_USERPTR, struct drm_quire_userptr)
#define DRM_IOCTL_QUIRE_VM_BIND \
	DRM_IOW(DRM_COMMAND_BASE + DRM_QUIRE_VM_BIND, struct drm_quire_vm_bind)
#define DRM_IOCTL_QUIRE_QUEUE_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_QUEUE_CREATE, struct drm_quire_queue_create)
#define DRM_IOCTL_QUIRE_QUEUE_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_QUIRE_QUEUE_DESTROY, struct drm_quire_queue_destroy)
#define DRM_IOCTL_QUIRE_QUEUE_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QUIRE_QUEUE_QUERY, struct drm_quire_queue_query)
#define DRM_IOCTL_QUIRE_SUBMIT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_QUIRE_SUBMIT, struct drm_quire_submit)

#ifdef __cplusplus
#define DRM_QUIRE_ASSERT_SIZE(s, n) static_assert(sizeof(struct s) == (n), #s)
#else
#define DRM_QUIRE_ASSERT_SIZE(s, n) _Static_assert(sizeof(struct s) == (n), #s)
#endif
DRM_QUIRE_ASSERT_SIZE(drm_quire_obj_array, 16);
DRM_QUIRE_ASSERT_SIZE(drm_quire_sync, 16);
DRM_QUIRE_ASSERT_SIZE(drm_quire_dev_query, 16);
DRM_QUIRE_ASSERT_SIZE(drm_quire_device_info, 72);
DRM_QUIRE_ASSERT_SIZE(drm_quire_memory_info, 32);
DRM_QUIRE_ASSERT_SIZE(drm_quire_usage_info, 48);
DRM_QUIRE_ASSERT_SIZE(drm_quire_telemetry_info, 128);
DRM_QUIRE_ASSERT_SIZE(drm_quire_vm_create, 8);
DRM_QUIRE_ASSERT_SIZE(drm_quire_vm_destroy, 8);
DRM_QUIRE_ASSERT_SIZE(drm_quire_bo_create, 24);
DRM_QUIRE_ASSERT_SIZE(drm_quire_bo_mmap_offset, 16);
DRM_QUIRE_ASSERT_SIZE(drm_quire_bo_info, 32);
DRM_QUIRE_ASSERT_SIZE(drm_quire_userptr, 24);
DRM_QUIRE_ASSERT_SIZE(drm_quire_vm_bind_op, 40);
DRM_QUIRE_ASSERT_SIZE(drm_quire_vm_bind, 40);
DRM_QUIRE_ASSERT_SIZE(drm_quire_queue_create, 24);
DRM_QUIRE_ASSERT_SIZE(drm_quire_queue_destroy, 8);
DRM_QUIRE_ASSERT_SIZE(drm_quire_queue_query, 96);
DRM_QUIRE_ASSERT_SIZE(drm_quire_job, 40);
DRM_QUIRE_ASSERT_SIZE(drm_quire_submit, 24);

#if defined(__cplusplus)
}
#endif

#endif /* QUIRE_DRM_H */
