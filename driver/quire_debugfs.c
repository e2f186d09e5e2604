// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs, for root: what the driver thinks and what the card says, while it runs.
 * Reading disturbs neither: a sleeping card is not woken.
 */
#include <linux/debugfs.h>
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

/* Calls @show for each open file; it stays open meanwhile. */
static void quire_debugfs_each_file(struct seq_file *m,
				    void (*show)(struct seq_file *m, struct quire_file *qfile))
{
	struct quire_device *qdev = m->private;
	struct drm_file *file;

	mutex_lock(&qdev->drm.filelist_mutex);
	list_for_each_entry(file, &qdev->drm.filelist, lhead)
		show(m, file->driver_priv);
	mutex_unlock(&qdev->drm.filelist_mutex);
}

static void quire_debugfs_show_queue(struct seq_file *m, u32 id, struct quire_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	seq_printf(m, "%6u %6u %-16s %4d %-6s %10llu %10llu %5u %6u %14llu\n", id, queue->pid,
		   queue->comm, queue->priority,
		   queue->banned ? "banned" : queue->live ? "live" : "idle",
		   READ_ONCE(queue->submitted), queue->completed, queue->on_ring,
		   (u32)(queue->limit_us / USEC_PER_MSEC), quire_queue_busy_ns(queue));
	spin_unlock_irqrestore(&queue->lock, flags);
}

static void quire_debugfs_show_file_queues(struct seq_file *m, struct quire_file *qfile)
{
	struct quire_queue *queue;
	unsigned long id;

	seq_printf(m, "client %llu\n", qfile->drm->client_id);
	xa_lock(&qfile->queues);
	xa_for_each(&qfile->queues, id, queue)
		quire_debugfs_show_queue(m, id, queue);
	xa_unlock(&qfile->queues);
}

static int quire_debugfs_queues_show(struct seq_file *m, void *unused)
{
	seq_puts(m, " queue    pid command          prio state   submitted  completed  ring  limit        busy_ns\n");
	quire_debugfs_each_file(m, quire_debugfs_show_file_queues);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(quire_debugfs_queues);

static void quire_debugfs_show_ring(struct seq_file *m, u32 id, struct quire_queue *queue)
{
	u64 first;

	seq_printf(m, "queue %u (%s[%d]): tail %llu\n", id, queue->comm, queue->pid, queue->tail);
	first = queue->tail > QUIRE_RING_ENTRIES ? queue->tail - QUIRE_RING_ENTRIES + 1 : 1;
	for (u64 s = first; s <= queue->tail; s++) {
		const struct quire_ring_entry *entry = &queue->ring[s % QUIRE_RING_ENTRIES];
		const struct quire_fence_record *record = &queue->records[s % QUIRE_RING_ENTRIES];

		seq_printf(m, "%10llu stream %012llx+%05x flags %x", entry->sequence,
			   entry->stream_address, entry->stream_bytes, entry->flags);
		if (READ_ONCE(record->sequence) == s)
			seq_printf(m, " status %u busy_ns %llu", record->status, record->busy_ns);
		seq_putc(m, '\n');
	}
}

/*
 * The ring of a queue that its file still has goes only with the card: a queue that is being
 * destroyed leaves the file first.
 */
static void quire_debugfs_show_file_rings(struct seq_file *m, struct quire_file *qfile)
{
	struct quire_queue *queue;
	unsigned long flags, id;
	int index;

	if (!drm_dev_enter(&qfile->qdev->drm, &index))
		return;
	xa_lock(&qfile->queues);
	xa_for_each(&qfile->queues, id, queue) {
		spin_lock_irqsave(&queue->lock, flags);
		quire_debugfs_show_ring(m, id, queue);
		spin_unlock_irqrestore(&queue->lock, flags);
	}
	xa_unlock(&qfile->queues);
	drm_dev_exit(index);
}

static int quire_debugfs_rings_show(struct seq_file *m, void *unused)
{
	quire_debugfs_each_file(m, quire_debugfs_show_file_rings);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(quire_debugfs_rings);

static void quire_debugfs_show_vm(struct seq_file *m, u32 id, struct quire_vm *vm)
{
	struct drm_gpuva *va, *reserved = &vm->base.kernel_alloc_node;

	mutex_lock(&vm->lock);
	seq_printf(m, "address space %u: %u queues\n", id, vm->queues);
	drm_gpuvm_for_each_va(va, &vm->base) {
		struct quire_bo *bo;

		if (va == reserved)
			continue;
		bo = to_quire_bo(va->gem.obj);
		seq_printf(m, "%012llx-%012llx %s %-6s offset %llx of %zx%s\n", va->va.addr,
			   va->va.addr + va->va.range - 1,
			   to_quire_va(va)->flags & DRM_QUIRE_VM_BIND_READ_ONLY ? "r-" : "rw",
			   READ_ONCE(bo->on_card) ? "card" : "system", va->gem.offset,
			   va->gem.obj->size,
			   bo->info & DRM_QUIRE_BO_INFO_USERPTR ? " userptr" :
			   bo->info & DRM_QUIRE_BO_INFO_IMPORTED ? " imported" : "");
	}
	mutex_unlock(&vm->lock);
}

static void quire_debugfs_show_file_vms(struct seq_file *m, struct quire_file *qfile)
{
	struct quire_vm *vm;
	unsigned long id;

	seq_printf(m, "client %llu\n", qfile->drm->client_id);
	xa_for_each(&qfile->vms, id, vm) {
		vm = quire_vm_lookup(qfile, id);
		if (!vm)
			continue;
		quire_debugfs_show_vm(m, id, vm);
		quire_vm_put(vm);
	}
}

static int quire_debugfs_vms_show(struct seq_file *m, void *unused)
{
	quire_debugfs_each_file(m, quire_debugfs_show_file_vms);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(quire_debugfs_vms);

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
