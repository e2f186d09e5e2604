// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device core dumps: the half that may sleep and allocate.  No fence waits for it, so it takes
 * the locks of address spaces and reservations of buffers.  But the removal of the card does, and
 * a call of the application may hold them for as long as another card's jobs take; so they are
 * tried for a moment only.  What cannot be had, or is gone meanwhile because the application is
 * quick to clear up, is missing in the dump.
 */
#include <linux/delay.h>
#include <linux/devcoredump.h>
#include <linux/iosys-map.h>
#include <linux/sysfs.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>

#include <drm/ttm/ttm_bo.h>

#include "quire_coredump_write.h"
#include "quire_gem.h"
#include "quire_look.h"
#include "quire_power.h"
#include "quire_vm.h"

#define QUIRE_COREDUMP_MAPPINGS_MAX 16384
#define QUIRE_COREDUMP_QUEUES_MAX 4096
#define QUIRE_COREDUMP_SECTIONS_MAX 10
/* How long a dump waits in all for locks that calls hold, and how often it looks. */
#define QUIRE_COREDUMP_PATIENCE msecs_to_jiffies(500)
#define QUIRE_COREDUMP_LOOK_MS 5

/** struct quire_coredump_part - a section to be */
struct quire_coredump_part {
	/** @section: header of it */
	struct quire_dump_section section;
	/** @data: contents; to be freed if @owned */
	const void *data;
	/** @owned: made by us */
	bool owned;
};

/** struct quire_coredump_file - a dump in the making */
struct quire_coredump_file {
	/** @drm: the card's */
	struct drm_device *drm;
	/** @deadline: until when locks are tried, in jiffies */
	unsigned long deadline;
	/** @count: of @parts */
	unsigned int count;
	/** @parts: sections */
	struct quire_coredump_part parts[QUIRE_COREDUMP_SECTIONS_MAX];
};

/* False: whoever holds what the dump lacks has had the time he gets. */
static bool quire_coredump_may_wait(struct quire_coredump_file *file)
{
	if (drm_dev_is_unplugged(file->drm) || time_after(jiffies, file->deadline))
		return false;
	msleep(QUIRE_COREDUMP_LOOK_MS);
	return true;
}

/* Takes over @data if @owned; without data there is no section, and NULL is returned. */
static struct quire_dump_section *
quire_coredump_add(struct quire_coredump_file *file, u32 type, const void *data, u32 entry_bytes,
		   u64 entries, bool owned)
{
	struct quire_coredump_part *part = &file->parts[file->count];

	if (!data || !entries) {
		if (owned)
			kvfree(data);
		return NULL;
	}
	part->section.type = type;
	part->section.entry_bytes = entry_bytes;
	part->section.bytes = entry_bytes * entries;
	part->data = data;
	part->owned = owned;
	file->count++;
	return &part->section;
}

static void quire_coredump_add_card(struct quire_coredump_file *file, struct quire_device *qdev)
{
	struct quire_dump_card *card = kvzalloc(sizeof(*card), GFP_KERNEL);

	if (!card)
		return;
	strscpy(card->name, dev_name(qdev->drm.dev), sizeof(card->name));
	strscpy(card->kernel, init_utsname()->release, sizeof(card->kernel));
	if (THIS_MODULE->srcversion)
		strscpy(card->driver, THIS_MODULE->srcversion, sizeof(card->driver));
	card->serial = qdev->serial;
	card->card_memory = qdev->memory_bytes;
	card->hw_version = qdev->hw_version;
	card->fw_release = qdev->fw_release;
	card->interface_version = qdev->interface_version;
	card->engines = qdev->engines;
	card->queues = qdev->queues_total;
	card->contexts = qdev->contexts_total;
	card->resets = atomic_read(&qdev->resets);
	quire_coredump_add(file, QUIRE_DUMP_CARD, card, sizeof(*card), 1, true);
}

static void quire_coredump_fill_queue(struct quire_coredump *dump, struct quire_queue *queue,
				      struct quire_dump_queue *entry)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	entry->flags = (queue->banned ? QUIRE_DUMP_QUEUE_BANNED : 0) |
		       (queue->live ? QUIRE_DUMP_QUEUE_LIVE : 0) |
		       (queue == dump->queue ? QUIRE_DUMP_QUEUE_CAUSE : 0);
	entry->priority = queue->priority;
	entry->on_ring = queue->on_ring;
	entry->ring = queue->live ? queue->slot->hw : QUIRE_DUMP_NONE;
	entry->pid = queue->pid;
	strscpy(entry->command, queue->comm, sizeof(entry->command));
	entry->submitted = READ_ONCE(queue->submitted);
	entry->completed = queue->completed;
	entry->busy_ns = quire_queue_busy_ns(queue);
	entry->limit_ms = queue->limit_us / USEC_PER_MSEC;
	spin_unlock_irqrestore(&queue->lock, flags);
}

static void quire_coredump_add_queues(struct quire_coredump_file *file,
				      struct quire_coredump *dump)
{
	struct drm_device *drm = &dump->all->qdev->drm;
	struct quire_dump_section *section;
	struct quire_dump_queue *queues;
	struct quire_queue *queue;
	struct drm_file *drm_file;
	unsigned long id;
	u64 count = 0, omitted = 0;

	queues = kvcalloc(QUIRE_COREDUMP_QUEUES_MAX, sizeof(*queues), GFP_KERNEL);
	if (!queues)
		return;
	mutex_lock(&drm->filelist_mutex);
	list_for_each_entry(drm_file, &drm->filelist, lhead) {
		struct quire_file *qfile = drm_file->driver_priv;

		xa_lock(&qfile->queues);
		xa_for_each(&qfile->queues, id, queue) {
			if (count == QUIRE_COREDUMP_QUEUES_MAX) {
				omitted++;
				continue;
			}
			queues[count].client = drm_file->client_id;
			queues[count].id = id;
			quire_coredump_fill_queue(dump, queue, &queues[count++]);
		}
		xa_unlock(&qfile->queues);
	}
	mutex_unlock(&drm->filelist_mutex);
	section = quire_coredump_add(file, QUIRE_DUMP_QUEUES, queues, sizeof(*queues), count, true);
	if (section)
		section->omitted = omitted;
}

static void quire_coredump_add_log(struct quire_coredump_file *file, struct quire_device *qdev)
{
	char *text = kvmalloc(QUIRE_LOG_BYTES, GFP_KERNEL);
	u32 written, length = 0;
	int index;

	if (text && quire_card_enter(qdev, &index)) {
		length = quire_look_log(qdev, text, &written);
		quire_card_exit(qdev, index);
	}
	quire_coredump_add(file, QUIRE_DUMP_LOG, text, 1, length, true);
}

static void quire_coredump_fill_mapping(struct drm_gpuva *va, struct quire_dump_mapping *entry)
{
	struct quire_bo *bo = to_quire_bo(va->gem.obj);

	entry->address = va->va.addr;
	entry->bytes = va->va.range;
	entry->offset = va->gem.offset;
	entry->buffer_bytes = va->gem.obj->size;
	if (to_quire_va(va)->flags & DRM_QUIRE_VM_BIND_READ_ONLY)
		entry->flags |= QUIRE_DUMP_MAPPING_READ_ONLY;
	if (READ_ONCE(bo->on_card))
		entry->flags |= QUIRE_DUMP_MAPPING_ON_CARD;
	if (bo->placement == DRM_QUIRE_PLACEMENT_CARD)
		entry->flags |= QUIRE_DUMP_MAPPING_CARD;
	if (bo->info & DRM_QUIRE_BO_INFO_USERPTR)
		entry->flags |= QUIRE_DUMP_MAPPING_USERPTR;
	if (bo->info & DRM_QUIRE_BO_INFO_IMPORTED)
		entry->flags |= QUIRE_DUMP_MAPPING_IMPORTED;
}

static void quire_coredump_add_mappings(struct quire_coredump_file *file, struct quire_vm *vm)
{
	struct drm_gpuva *va, *reserved = &vm->base.kernel_alloc_node;
	struct quire_dump_mapping *mappings = NULL;
	struct quire_dump_section *section;
	u64 count = 0, total = 0;

	lockdep_assert_held(&vm->lock);
	drm_gpuvm_for_each_va(va, &vm->base)
		total += va != reserved;
	count = min_t(u64, total, QUIRE_COREDUMP_MAPPINGS_MAX);
	if (count)
		mappings = kvcalloc(count, sizeof(*mappings), GFP_KERNEL);
	if (!mappings)
		return;
	count = 0;
	drm_gpuvm_for_each_va(va, &vm->base) {
		if (va == reserved)
			continue;
		if (count == QUIRE_COREDUMP_MAPPINGS_MAX)
			break;
		quire_coredump_fill_mapping(va, &mappings[count++]);
	}
	section = quire_coredump_add(file, QUIRE_DUMP_MAPPINGS, mappings, sizeof(*mappings), count,
				     true);
	if (section)
		section->omitted = total - count;
}

static void quire_coredump_add_walk(struct quire_coredump_file *file, struct quire_coredump *dump)
{
	struct quire_dump_step *steps;
	unsigned int count;

	if (dump->cause.status != QUIRE_STATUS_MMU_FAULT)
		return;
	steps = kvcalloc(QUIRE_MMU_LEVELS, sizeof(*steps), GFP_KERNEL);
	if (!steps)
		return;
	count = quire_mmu_walk(&dump->queue->vm->mmu, dump->cause.fault_address, steps);
	quire_coredump_add(file, QUIRE_DUMP_WALK, steps, sizeof(*steps), count, true);
}

/* Nothing is allocated while the card is kept here: its memory is mapped already. */
static bool quire_coredump_read_card(struct quire_device *qdev, struct quire_bo *bo, u64 offset,
				     void *to, u64 bytes)
{
	struct iosys_map from;
	int index;

	if (!quire_card_enter(qdev, &index))
		return false;
	iosys_map_set_vaddr_iomem(&from, qdev->memory +
				  ((u64)bo->base.resource->start << PAGE_SHIFT));
	iosys_map_memcpy_from(to, &from, offset, bytes);
	quire_card_exit(qdev, index);
	return true;
}

static bool quire_coredump_read_system(struct quire_bo *bo, u64 offset, void *to, u64 bytes)
{
	struct iosys_map from;

	if (ttm_bo_vmap(&bo->base, &from))
		return false;
	iosys_map_memcpy_from(to, &from, offset, bytes);
	ttm_bo_vunmap(&bo->base, &from);
	return true;
}

/* Up to @bytes of what is mapped from @address on; how many could be read, or -EBUSY. */
static s64 quire_coredump_read_buffer(struct quire_coredump_file *file, struct drm_gpuva *va,
				      u64 address, void *to, u64 bytes)
{
	struct quire_device *qdev = to_quire_device(va->gem.obj->dev);
	struct quire_bo *bo = to_quire_bo(va->gem.obj);
	u64 offset = address - va->va.addr;
	bool got = false;

	/* Pages that are not ours to map. */
	if (bo->info)
		return 0;
	bytes = min(bytes, va->va.range - offset);
	offset += va->gem.offset;
	while (!dma_resv_trylock(bo->base.base.resv))
		if (!quire_coredump_may_wait(file))
			return -EBUSY;
	/* What nobody has seen yet is not shown here either. */
	if (bo->base.resource && bo->base.resource->mem_type == TTM_PL_VRAM)
		got = !bo->uncleared && quire_coredump_read_card(qdev, bo, offset, to, bytes);
	else if (bo->base.resource)
		got = quire_coredump_read_system(bo, offset, to, bytes);
	dma_resv_unlock(bo->base.base.resv);
	return got ? bytes : 0;
}

static void quire_coredump_add_stream(struct quire_coredump_file *file,
				      struct quire_coredump *dump, struct quire_vm *vm)
{
	u64 address = dump->cause.stream_address, left = dump->cause.stream_bytes;
	struct drm_gpuva *va;
	s64 got = 0;
	u8 *stream;

	lockdep_assert_held(&vm->lock);
	if (!left)
		return;
	stream = kvzalloc(left, GFP_KERNEL);
	if (!stream)
		return;
	while (left) {
		va = drm_gpuva_find_first(&vm->base, address, 1);
		got = va ? quire_coredump_read_buffer(file, va, address,
						      stream + dump->cause.stream_bytes - left,
						      left) : 0;
		if (got <= 0)
			break;
		address += got;
		left -= got;
	}
	if (got < 0)
		dump->cause.held |= QUIRE_DUMP_HELD_STREAM;
	quire_coredump_add(file, QUIRE_DUMP_STREAM, stream, 1, dump->cause.stream_bytes - left,
			   true);
}

static void quire_coredump_add_queue(struct quire_coredump_file *file, struct quire_coredump *dump)
{
	struct quire_vm *vm = dump->queue->vm;

	quire_coredump_add(file, QUIRE_DUMP_RING, dump->ring, sizeof(dump->ring[0]),
			   QUIRE_RING_ENTRIES, false);
	quire_coredump_add(file, QUIRE_DUMP_RECORDS, dump->records, sizeof(dump->records[0]),
			   QUIRE_RING_ENTRIES, false);
	quire_coredump_add_walk(file, dump);
	while (!mutex_trylock(&vm->lock))
		if (!quire_coredump_may_wait(file)) {
			dump->cause.held |= QUIRE_DUMP_HELD_MAPPINGS;
			return;
		}
	quire_coredump_add_mappings(file, vm);
	quire_coredump_add_stream(file, dump, vm);
	mutex_unlock(&vm->lock);
}

static void *quire_coredump_join(struct quire_coredump_file *file, struct quire_coredump *dump,
				 size_t *bytes)
{
	struct quire_dump_header header = {
		.magic = QUIRE_DUMP_MAGIC,
		.version = QUIRE_DUMP_VERSION,
		.header_bytes = sizeof(header),
		.bytes = sizeof(header),
		.sections = file->count,
		.reason = dump->reason,
		.realtime = dump->realtime,
		.boottime = dump->boottime,
	};
	u8 *whole, *at;

	for (unsigned int i = 0; i < file->count; i++)
		header.bytes += sizeof(struct quire_dump_section) +
				ALIGN(file->parts[i].section.bytes, 8);
	whole = vzalloc(header.bytes);
	if (!whole)
		return NULL;
	memcpy(whole, &header, sizeof(header));
	at = whole + sizeof(header);
	for (unsigned int i = 0; i < file->count; i++) {
		struct quire_coredump_part *part = &file->parts[i];

		memcpy(at, &part->section, sizeof(part->section));
		at += sizeof(part->section);
		memcpy(at, part->data, part->section.bytes);
		at += ALIGN(part->section.bytes, 8);
	}
	*bytes = header.bytes;
	return whole;
}

/* The kernel has a dump of the card, or its reader has not let go of it yet. */
static bool quire_coredump_is_kept(struct device *dev)
{
	struct kernfs_node *link = sysfs_get_dirent(dev->kobj.sd, "devcoredump");

	sysfs_put(link);
	return link;
}

/*
 * The kernel keeps the first and throws away what comes while that is there.  Of a job that may be
 * anybody's, who would hide with it why the card was reset.
 */
static void quire_coredump_hand_over(struct quire_coredump *dump, void *whole, size_t bytes)
{
	struct quire_coredumps *all = dump->all;
	struct device *dev = all->qdev->drm.dev;
	bool replaces;

	guard(mutex)(&all->lock);
	replaces = dump->reason == QUIRE_DUMP_RESET && all->kept != QUIRE_DUMP_RESET;
	if (replaces) {
		dev_coredump_put(dev);
	} else if (quire_coredump_is_kept(dev)) {
		/* Once for each that is kept: a process makes one a second. */
		if (!all->refused)
			drm_info(&all->qdev->drm, "core dump dropped, as all are until the one kept is released\n");
		all->refused = true;
		vfree(whole);
		return;
	}
	all->kept = dump->reason;
	all->refused = false;
	drm_info(&all->qdev->drm, "core dump of a %s left in /sys/class/devcoredump\n",
		 dump->reason == QUIRE_DUMP_RESET ? "reset" : "job that failed");
	dev_coredumpv(dev, whole, bytes, GFP_KERNEL);
}

void quire_coredump_write(struct quire_coredump *dump)
{
	struct quire_coredump_file *file = kvzalloc(sizeof(*file), GFP_KERNEL);
	struct quire_device *qdev = dump->all->qdev;
	void *whole;
	size_t bytes;

	if (!file)
		return;
	file->drm = &qdev->drm;
	file->deadline = jiffies + QUIRE_COREDUMP_PATIENCE;
	quire_coredump_add_card(file, qdev);
	quire_coredump_add(file, QUIRE_DUMP_CAUSE, &dump->cause, sizeof(dump->cause), 1, false);
	quire_coredump_add(file, QUIRE_DUMP_REGISTERS, dump->registers, sizeof(dump->registers[0]),
			   dump->registers_count, false);
	quire_coredump_add_log(file, qdev);
	quire_coredump_add_queues(file, dump);
	if (dump->queue)
		quire_coredump_add_queue(file, dump);
	whole = quire_coredump_join(file, dump, &bytes);
	for (unsigned int i = 0; i < file->count; i++)
		if (file->parts[i].owned)
			kvfree(file->parts[i].data);
	kvfree(file);
	if (whole)
		quire_coredump_hand_over(dump, whole, bytes);
}
