// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs, for root: what the driver thinks and what the card says, while it runs.
 * Reading disturbs neither: a sleeping card is not woken.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

#include <drm/ttm/ttm_pool.h>
#include <drm/ttm/ttm_resource.h>

#include "quire_debugfs.h"
#include "quire_gem.h"
#include "quire_look.h"
#include "quire_power.h"
#include "quire_queue.h"
#include "quire_vm.h"

static int quire_debugfs_fw_log_show(struct seq_file *m, void *unused)
{
	struct quire_device *qdev = m->private;
	char *text = kmalloc(QUIRE_LOG_BYTES, GFP_KERNEL);
	u32 length, written;
	int index;

	if (!text)
		return -ENOMEM;
	if (!quire_card_enter(qdev, &index)) {
		kfree(text);
		return -ENODEV;
	}
	length = quire_look_log(qdev, text, &written);
	quire_card_exit(qdev, index);
	seq_write(m, text, length);
	kfree(text);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(quire_debugfs_fw_log);

static void quire_debugfs_show_registers(struct seq_file *m, struct quire_device *qdev, u32 base,
					 const struct quire_register *registers,
					 unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		u32 offset = base + registers[i].offset;

		seq_printf(m, "%05x %-16s %08x\n", offset, registers[i].name,
			   quire_read(qdev, offset));
	}
}

static int quire_debugfs_registers_show(struct seq_file *m, void *unused)
{
	struct quire_device *qdev = m->private;
	int index;

	if (!quire_card_enter(qdev, &index))
		return -ENODEV;
	quire_debugfs_show_registers(m, qdev, 0, quire_card_registers,
				     quire_card_registers_count);
	for (u32 c = 0; c < qdev->contexts_total; c++)
		seq_printf(m, "context %u: root %016llx flushed %u drained %u\n", c,
			   quire_read64(qdev, QUIRE_REG_CONTEXT_ROOT_LO(c)),
			   quire_read(qdev, QUIRE_REG_FLUSHED(c)),
			   quire_read(qdev, QUIRE_REG_DRAINED(c)));
	for (u32 q = 0; q < qdev->queues_total; q++) {
		u32 base = QUIRE_REG_QUEUE(q);

		if (quire_read(qdev, base + QUIRE_QUEUE_STATE) == QUIRE_QUEUE_OFF)
			continue;
		seq_printf(m, "queue %u:\n", q);
		quire_debugfs_show_registers(m, qdev, base, quire_queue_registers,
					     quire_queue_registers_count);
	}
	for (u32 i = 0; i < QUIRE_COUNTERS; i++)
		seq_printf(m, "counter %u: %llu\n", i, quire_counter(qdev, i));
	quire_card_exit(qdev, index);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(quire_debugfs_registers);

/* Mappings are shown in parts of so many, with nothing held from one to the next. */
#define QUIRE_DEBUGFS_MAPPINGS 64
/* Milliseconds for its lock: VM_BIND may hold that while it waits for jobs. */
#define QUIRE_DEBUGFS_TRY_MS 20

/** struct quire_debugfs_entry - what a file had when debugfs was read first */
struct quire_debugfs_entry {
	/** @client: number of the file */
	u64 client;
	/** @id: in it */
	u32 id;
	/** @vm: address space, with a reference, or NULL */
	struct quire_vm *vm;
	/** @queue: queue, with a reference, or NULL */
	struct quire_queue *queue;
};

/** struct quire_debugfs_list - one reader of queues, rings or address_spaces */
struct quire_debugfs_list {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @add: adds what a file has */
	void (*add)(struct quire_debugfs_list *all, struct quire_file *qfile);
	/** @count: of @entries */
	size_t count;
	/** @room: for so many */
	size_t room;
	/** @at: of @entries, the one whose turn it is */
	size_t at;
	/** @va: where in an address space the next part begins; 0: at its headline */
	u64 va;
	/** @next: where the part after that begins, or 0: in the next entry */
	u64 next;
	/** @entries: in the order of files */
	struct quire_debugfs_entry *entries;
	/** @ring: of the queue that is shown: entries and records */
	struct quire_ring_entry ring[QUIRE_RING_ENTRIES];
	/** @records: and these */
	struct quire_fence_record records[QUIRE_RING_ENTRIES];
};

static void quire_debugfs_add_vms(struct quire_debugfs_list *all, struct quire_file *qfile)
{
	struct quire_vm *vm;
	unsigned long id;

	xa_lock(&qfile->vms);
	xa_for_each(&qfile->vms, id, vm) {
		if (all->count < all->room)
			all->entries[all->count] = (struct quire_debugfs_entry){
				.client = qfile->drm->client_id, .id = id, .vm = quire_vm_get(vm),
			};
		all->count++;
	}
	xa_unlock(&qfile->vms);
}

static void quire_debugfs_add_queues(struct quire_debugfs_list *all, struct quire_file *qfile)
{
	struct quire_queue *queue;
	unsigned long id;

	xa_lock(&qfile->queues);
	xa_for_each(&qfile->queues, id, queue) {
		if (all->count < all->room) {
			kref_get(&queue->ref);
			all->entries[all->count] = (struct quire_debugfs_entry){
				.client = qfile->drm->client_id, .id = id, .queue = queue,
			};
		}
		all->count++;
	}
	xa_unlock(&qfile->queues);
}

static void quire_debugfs_let_go(struct quire_debugfs_list *all)
{
	for (size_t i = 0; i < min(all->count, all->room); i++) {
		quire_vm_put(all->entries[i].vm);
		if (all->entries[i].queue)
			quire_queue_put(all->entries[i].queue);
		cond_resched();
	}
	kvfree(all->entries);
	all->entries = NULL;
}

/* Opening and closing the card waits for the lock, so nothing but counting happens under it. */
static int quire_debugfs_collect(struct quire_debugfs_list *all)
{
	struct drm_device *drm = &all->qdev->drm;
	struct drm_file *file;

	for (;;) {
		all->count = 0;
		mutex_lock(&drm->filelist_mutex);
		list_for_each_entry(file, &drm->filelist, lhead)
			all->add(all, file->driver_priv);
		mutex_unlock(&drm->filelist_mutex);
		if (all->count <= all->room)
			return 0;
		quire_debugfs_let_go(all);
		/* Others may come meanwhile. */
		all->room = all->count + all->count / 8 + 64;
		all->entries = kvcalloc(all->room, sizeof(*all->entries), GFP_KERNEL);
		if (!all->entries) {
			all->room = 0;
			return -ENOMEM;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

static void *quire_debugfs_list_start(struct seq_file *m, loff_t *pos)
{
	struct quire_debugfs_list *all = m->private;

	if (!*pos) {
		all->at = 0;
		all->va = 0;
	}
	return all->at < all->count ? all : NULL;
}

static void *quire_debugfs_list_next(struct seq_file *m, void *unused, loff_t *pos)
{
	struct quire_debugfs_list *all = m->private;

	++*pos;
	all->va = all->next;
	if (!all->va)
		all->at++;
	return all->at < all->count ? all : NULL;
}

static void quire_debugfs_list_stop(struct seq_file *m, void *unused)
{
}

static int quire_debugfs_queues_show(struct seq_file *m, void *unused)
{
	struct quire_debugfs_list *all = m->private;
	struct quire_debugfs_entry *entry = &all->entries[all->at];
	struct quire_queue *queue = entry->queue;
	unsigned long flags;

	if (!all->at)
		seq_puts(m, " queue    pid command          prio state   submitted  completed  ring  limit        busy_ns\n");
	if (!all->at || entry[-1].client != entry->client)
		seq_printf(m, "client %llu\n", entry->client);
	spin_lock_irqsave(&queue->lock, flags);
	seq_printf(m, "%6u %6u %-16s %4d %-6s %10llu %10llu %5u %6u %14llu\n", entry->id,
		   queue->pid, queue->comm, queue->priority,
		   queue->banned ? "banned" : queue->live ? "live" : "idle",
		   READ_ONCE(queue->submitted), queue->completed, queue->on_ring,
		   (u32)(queue->limit_us / USEC_PER_MSEC), quire_queue_busy_ns(queue));
	spin_unlock_irqrestore(&queue->lock, flags);
	return 0;
}

/* The newest entry of the ring as it is now, or 0: there are none, or the queue has gone. */
static u64 quire_debugfs_copy_ring(struct quire_debugfs_list *all, struct quire_queue *queue)
{
	unsigned long flags;
	u64 tail = 0;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->ring) {
		tail = queue->tail;
		memcpy(all->ring, queue->ring, QUIRE_RING_BYTES);
		memcpy(all->records, queue->records, QUIRE_RECORDS_BYTES);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return tail;
}

static int quire_debugfs_rings_show(struct seq_file *m, void *unused)
{
	struct quire_debugfs_list *all = m->private;
	struct quire_debugfs_entry *entry = &all->entries[all->at];
	u64 tail = quire_debugfs_copy_ring(all, entry->queue);
	u64 first = tail > QUIRE_RING_ENTRIES ? tail - QUIRE_RING_ENTRIES + 1 : 1;

	seq_printf(m, "queue %u (%s[%d]): tail %llu\n", entry->id, entry->queue->comm,
		   entry->queue->pid, tail);
	for (u64 s = first; s <= tail; s++) {
		const struct quire_ring_entry *at = &all->ring[s % QUIRE_RING_ENTRIES];
		const struct quire_fence_record *record = &all->records[s % QUIRE_RING_ENTRIES];

		seq_printf(m, "%10llu stream %012llx+%05x flags %x", at->sequence,
			   at->stream_address, at->stream_bytes, at->flags);
		if (record->sequence == s)
			seq_printf(m, " status %u busy_ns %llu", record->status, record->busy_ns);
		seq_putc(m, '\n');
	}
	return 0;
}

static void quire_debugfs_show_mapping(struct seq_file *m, struct drm_gpuva *va)
{
	struct quire_bo *bo = to_quire_bo(va->gem.obj);

	seq_printf(m, "%012llx-%012llx %s %-6s offset %llx of %zx%s\n", va->va.addr,
		   va->va.addr + va->va.range - 1,
		   to_quire_va(va)->flags & DRM_QUIRE_VM_BIND_READ_ONLY ? "r-" : "rw",
		   READ_ONCE(bo->on_card) ? "card" : "system", va->gem.offset,
		   va->gem.obj->size,
		   bo->info & DRM_QUIRE_BO_INFO_USERPTR ? " userptr" :
		   bo->info & DRM_QUIRE_BO_INFO_IMPORTED ? " imported" : "");
}

/* Mappings at @from and behind it; the address of the first that is not shown, or 0. */
static u64 quire_debugfs_show_part(struct seq_file *m, struct quire_vm *vm, u64 from)
{
	struct drm_gpuva *va, *reserved = &vm->base.kernel_alloc_node;
	unsigned int count = 0;

	lockdep_assert_held(&vm->lock);
	drm_gpuvm_for_each_va_range(va, &vm->base, from, QUIRE_VA_END) {
		if (va == reserved)
			continue;
		if (count++ == QUIRE_DEBUGFS_MAPPINGS)
			return va->va.addr;
		quire_debugfs_show_mapping(m, va);
	}
	return 0;
}

static int quire_debugfs_vms_show(struct seq_file *m, void *unused)
{
	struct quire_debugfs_list *all = m->private;
	struct quire_debugfs_entry *entry = &all->entries[all->at];
	struct quire_vm *vm = entry->vm;
	unsigned int tries = 0;

	all->next = 0;
	while (!mutex_trylock(&vm->lock)) {
		if (++tries == QUIRE_DEBUGFS_TRY_MS || fatal_signal_pending(current)) {
			seq_printf(m, "address space %u of client %llu: busy\n", entry->id,
				   entry->client);
			return 0;
		}
		fsleep(USEC_PER_MSEC);
	}
	if (!all->va)
		seq_printf(m, "address space %u of client %llu: %u queues\n", entry->id,
			   entry->client, atomic_read(&vm->queues));
	all->next = quire_debugfs_show_part(m, vm, all->va ?: QUIRE_VA_START);
	mutex_unlock(&vm->lock);
	return 0;
}

static int quire_debugfs_list_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;
	struct quire_debugfs_list *all = m->private;

	quire_debugfs_let_go(all);
	m->private = NULL;
	kvfree(all);
	return seq_release(inode, file);
}

static int quire_debugfs_list_open(struct inode *inode, struct file *file,
				   const struct seq_operations *ops,
				   void (*add)(struct quire_debugfs_list *all,
					       struct quire_file *qfile))
{
	struct quire_debugfs_list *all = kvzalloc(sizeof(*all), GFP_KERNEL);
	int ret;

	if (!all)
		return -ENOMEM;
	all->qdev = inode->i_private;
	all->add = add;
	ret = quire_debugfs_collect(all);
	if (!ret)
		ret = seq_open(file, ops);
	if (ret) {
		quire_debugfs_let_go(all);
		kvfree(all);
		return ret;
	}
	((struct seq_file *)file->private_data)->private = all;
	return 0;
}

#define QUIRE_DEBUGFS_LIST(name, what)							\
static const struct seq_operations quire_debugfs_##name##_ops = {			\
	.start = quire_debugfs_list_start,						\
	.next = quire_debugfs_list_next,						\
	.stop = quire_debugfs_list_stop,						\
	.show = quire_debugfs_##name##_show,						\
};											\
											\
static int quire_debugfs_##name##_open(struct inode *inode, struct file *file)		\
{											\
	return quire_debugfs_list_open(inode, file, &quire_debugfs_##name##_ops,		\
				       quire_debugfs_add_##what);				\
}											\
											\
static const struct file_operations quire_debugfs_##name##_fops = {			\
	.owner = THIS_MODULE,								\
	.open = quire_debugfs_##name##_open,						\
	.read = seq_read,								\
	.llseek = seq_lseek,								\
	.release = quire_debugfs_list_release,						\
}

QUIRE_DEBUGFS_LIST(queues, queues);
QUIRE_DEBUGFS_LIST(rings, queues);
QUIRE_DEBUGFS_LIST(vms, vms);

static int quire_debugfs_memory_show(struct seq_file *m, void *unused)
{
	static const struct {
		int type;
		const char *name;
	} places[] = {
		{ TTM_PL_VRAM, "card" },
		{ TTM_PL_TT, "system" },
		{ TTM_PL_SYSTEM, "idle" },
	};
	struct drm_printer p = drm_seq_file_printer(m);
	struct quire_device *qdev = m->private;

	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		seq_printf(m, "%s:\n", places[i].name);
		ttm_resource_manager_debug(ttm_manager_type(&qdev->ttm, places[i].type), &p);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(quire_debugfs_memory);

static const struct {
	const char *name;
	const struct file_operations *fops;
} quire_debugfs_files[] = {
	{ "fw_log", &quire_debugfs_fw_log_fops },
	{ "registers", &quire_debugfs_registers_fops },
	{ "queues", &quire_debugfs_queues_fops },
	{ "rings", &quire_debugfs_rings_fops },
	{ "address_spaces", &quire_debugfs_vms_fops },
	{ "memory", &quire_debugfs_memory_fops },
};

void quire_debugfs_init(struct quire_device *qdev)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(quire_debugfs_files); i++)
		debugfs_create_file(quire_debugfs_files[i].name, 0400, qdev->drm.debugfs_root, qdev,
				    quire_debugfs_files[i].fops);
}
