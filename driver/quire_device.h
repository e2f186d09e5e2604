/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_DEVICE_H
#define QUIRE_DEVICE_H

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>
#include <drm/ttm/ttm_device.h>
#include <drm/quire_drm.h>
#include <quire/hw.h>

#include "quire_counter.h"

struct quire_coredumps;
struct quire_fw;
struct quire_irq;
struct quire_mailbox;
struct quire_debts;
struct quire_migrate;
struct quire_mmu;
struct quire_power;
struct quire_queues;
struct quire_reach;
struct quire_rescue;
struct quire_reset;
struct quire_vm;

/* The end of card memory belongs to the driver: the firmware image lies there. */
#define QUIRE_CARD_RESERVED_BYTES SZ_1M

/* Bits of a bus address: an entry of a page table (QUIRE_PTE_ADDRESS) has no more. */
#define QUIRE_DMA_BITS 52

/*
 * What a call allocates is charged to the caller's control group, and where there is too little
 * the call fails: nobody is killed for it.
 */
#define QUIRE_GFP_CALL (GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* A signal has ended the wait for a lock: nothing has happened yet, and the call is made again. */
static inline int quire_restart(int ret)
{
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

/* The shortest and the longest time limit a queue may ask for. */
#define QUIRE_TIME_LIMIT_MIN_MS 10
#define QUIRE_TIME_LIMIT_MAX_MS 600000

/**
 * struct quire_device - one card
 *
 * Lives until the last open file is closed, which may be long after the card has
 * gone.  What needs the card (registers, card memory, DMA) is touched between drm_dev_enter()
 * and drm_dev_exit(), or under a lock that its end takes, too: quire_queues.lock while it has not
 * ended, quire_reach.lock while the card runs, a slot's lock while its queue is live.
 */
struct quire_device {
	/** @drm: base */
	struct drm_device drm;
	/** @pdev: the function; only its name may be used once unplugged */
	struct pci_dev *pdev;
	/** @regs: BAR 0 */
	void __iomem *regs;
	/** @memory: BAR 2, all of card memory, write-combined */
	void __iomem *memory;
	/** @memory_bus: CPU physical address of BAR 2 */
	resource_size_t memory_bus;
	/** @memory_bytes: of card memory, the reserved end included */
	u64 memory_bytes;

	/** @hw_version: register HW_VERSION */
	u32 hw_version;
	/** @queues_total: hardware queues */
	u32 queues_total;
	/** @contexts_total: hardware address spaces */
	u32 contexts_total;
	/** @engines: of the card */
	u32 engines;
	/** @serial: of the card */
	u64 serial;

	/** @ttm: buffer placement */
	struct ttm_device ttm;
	/** @system: place TTM_PL_TT of @ttm */
	struct ttm_resource_manager system;
	/** @foreign_most: bytes of memory of processes and other devices that a user may have */
	u64 foreign_most;
	/** @dma_lock: protects @dma_list */
	struct mutex dma_lock;
	/** @dma_list: live DMA mappings (struct quire_dma), ended at unplug */
	struct list_head dma_list;

	/** @imports_lock: protects @imports, for moments */
	struct mutex imports_lock;
	/** @imports: memory of other devices (struct quire_import), given back at unplug */
	struct list_head imports;
	/** @imports_gone: buffers of such memory that nobody has any more */
	struct llist_head imports_gone;
	/** @imports_end: ends these */
	struct delayed_work imports_end;

	/** @mmu_lock: protects @mmus; nothing is allocated under it */
	struct mutex mmu_lock;
	/** @mmus: the page tables that have a context, by context, else NULL */
	struct quire_mmu *mmus[QUIRE_CONTEXTS];
	/** @tables_lock: protects @tables */
	spinlock_t tables_lock;
	/** @tables: page tables that the card can address (struct quire_table) */
	struct list_head tables;

	/** @fw_release: written by firmware boot */
	u32 fw_release;
	/** @interface_version: written by firmware boot */
	u32 interface_version;
	/** @counters: telemetry since probe */
	struct quire_counters counters;

	/** @resets: card resets since probe */
	atomic_t resets;
	/** @vram_lost: times since probe that card memory lost its content */
	atomic_t vram_lost;
	/** @resetting: the firmware is being booted anew (quire_reset.c); to be shown only */
	bool resetting;
	/** @wedged: all resets failed; jobs and queues are refused with -EIO */
	bool wedged;

	/** @reach: what the card may still reach (quire_reach.c) */
	struct quire_reach *reach;
	/** @fw: firmware image and health (quire_fw.c) */
	struct quire_fw *fw;
	/** @irq: interrupt vectors (quire_irq.c) */
	struct quire_irq *irq;
	/** @mailbox: commands to the firmware (quire_mailbox.c) */
	struct quire_mailbox *mailbox;
	/** @coredumps: memory set aside for dumps (quire_coredump.c) */
	struct quire_coredumps *coredumps;
	/** @queues: hardware queues (quire_queue.c) */
	struct quire_queues *queues;
	/** @migrate: moves of contents by the engines (quire_migrate.c) */
	struct quire_migrate *migrate;
	/** @debts: what users owe for that (quire_debt.c) */
	struct quire_debts *debts;
	/** @reset: recovery (quire_reset.c) */
	struct quire_reset *reset;
	/** @power: whether the card is there (quire_power.c) */
	struct quire_power *power;
	/** @rescue: what lay in its memory (quire_rescue.c) */
	struct quire_rescue *rescue;
};

/** struct quire_usage - what jobs have used */
struct quire_usage {
	/** @jobs: ended */
	u64 jobs;
	/** @busy_ns: the card worked on them */
	u64 busy_ns;
	/** @macs: multiply-accumulates */
	u64 macs;
	/** @cycles: modelled */
	u64 cycles;
	/** @modelled_pj: energy */
	u64 modelled_pj;
};

/*
 * Ids of a file's objects.  The 0 is left out here, too, because XA_FLAGS_ALLOC1 alone does not
 * keep it out: erasing it, as a call that names 0 does, marks it as free.
 */
#define QUIRE_ID_LIMIT XA_LIMIT(1, INT_MAX)

/** struct quire_file - one open file */
struct quire_file {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @drm: the file, until DRM has it closed */
	struct drm_file *drm;
	/** @vms: struct quire_vm by id */
	struct xarray vms;
	/** @queues: struct quire_queue by id */
	struct xarray queues;
	/** @vm_count: address spaces that exist or are being made */
	atomic_t vm_count;
	/** @queue_count: queues that exist or are being made */
	atomic_t queue_count;
	/** @past: of queues that are not in @queues any more; under its lock */
	struct quire_usage past;
	/** @opener: process that has opened it */
	struct pid *opener;
	/** @close: ends it where another has closed it, who does not wait */
	struct work_struct close;
};

static inline struct quire_device *to_quire_device(struct drm_device *drm)
{
	return container_of(drm, struct quire_device, drm);
}

/* Registers: see struct quire_device. */
static inline u32 quire_read(struct quire_device *qdev, u32 reg)
{
	return readl(qdev->regs + reg);
}

static inline void quire_write(struct quire_device *qdev, u32 reg, u32 value)
{
	writel(value, qdev->regs + reg);
}

/* Pulled out, or nobody lets its registers through: they read as ones or zeros. */
static inline bool quire_card_is_gone(struct quire_device *qdev)
{
	return quire_read(qdev, QUIRE_REG_ID) != QUIRE_ID_VALUE;
}

/* Low word first: it latches the high one where the card counts. */
static inline u64 quire_read64(struct quire_device *qdev, u32 reg)
{
	u32 low = quire_read(qdev, reg);

	return low | (u64)quire_read(qdev, reg + 4) << 32;
}

/* High word first: writing the low one takes effect. */
static inline void quire_write64(struct quire_device *qdev, u32 reg, u64 value)
{
	quire_write(qdev, reg + 4, upper_32_bits(value));
	quire_write(qdev, reg, lower_32_bits(value));
}

/* An argument of a call is wrong: say which, to those who ask with drm.debug. */
#define quire_inval(drm, fmt, ...) \
	({ drm_dbg(drm, fmt "\n", ##__VA_ARGS__); -EINVAL; })

/* What anybody can bring about must not fill the log. */
#define quire_warn_ratelimited(drm, fmt, ...) \
	dev_warn_ratelimited((drm)->dev, "[drm] " fmt, ##__VA_ARGS__)

int quire_device_init(struct quire_device *qdev, struct pci_dev *pdev);
void quire_device_unplug(struct quire_device *qdev);

/* quire_sysfs.c: what anybody may read */
extern const struct attribute_group quire_attribute_group;

int quire_dev_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
void quire_show_fdinfo(struct drm_printer *p, struct drm_file *file);

/*
 * Firmware and queues.  The init functions run in this order in probe; what they allocate
 * is managed.  The fini functions run in the reverse order when the card goes and leave
 * nothing that touches it: every job has ended with -ENODEV, the card has stopped.
 */
int quire_irq_init(struct quire_device *qdev);
int quire_mailbox_init(struct quire_device *qdev);
/* A firmware has been booted, which answers. */
void quire_mailbox_booted(struct quire_device *qdev);
int quire_reset_init(struct quire_device *qdev);
int quire_queues_init(struct quire_device *qdev);
int quire_fw_init(struct quire_device *qdev);
int quire_irq_request_events(struct quire_device *qdev);
void quire_queues_fini(struct quire_device *qdev);
void quire_fw_fini(struct quire_device *qdev);
void quire_reset_fini(struct quire_device *qdev);
void quire_irq_fini(struct quire_device *qdev);

/* The card stops, all jobs end with -ENODEV, and so does every later one. */
void quire_queues_end(struct quire_device *qdev);

/* Stop what the card may still run for somebody before us, before it gets the bus. */
int quire_fw_quiet(struct quire_device *qdev);

/*
 * Before the card leaves (quire_power.c): what runs is parked, within @timeout_ms, and keeps its
 * fence; from here on nobody speaks to the firmware.  -EBUSY: it does not come to rest, and
 * quire_queues_cut_off() is to end it; or with a timeout of 0 something runs, and goes on.
 */
int quire_queues_suspend(struct quire_device *qdev, unsigned int timeout_ms);
/*
 * Instead, and if it has been stopped: what was on it ends with -EIO; with @memory all jobs
 * there are, because what they were to work on is lost.
 */
void quire_queues_cut_off(struct quire_device *qdev, bool memory);
/* The card is back, the firmware runs: so do queues. */
int quire_queues_resume(struct quire_device *qdev);

/* Ends all queues of a file; returns when none of them runs a job any more. */
void quire_queues_close_file(struct quire_file *qfile);
/* What all queues a file has and had have used. */
void quire_queues_usage(struct quire_file *qfile, struct quire_usage *usage);
/* Rings that can be used. */
u32 quire_queues_count(struct quire_device *qdev);
void quire_queues_show_fdinfo(struct drm_printer *p, struct quire_file *qfile);

int quire_queue_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_queue_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_queue_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int quire_submit_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* QUIRE_DEVICE_H */
