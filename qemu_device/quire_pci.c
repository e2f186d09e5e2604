/*
 * Quire accelerator card
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The card itself is in core/, which knows nothing of QEMU.  This file gives it
 * a PCI Express function: BARs, MSI-X, DMA, reset and properties.
 *
 * Specification: docs/hardware.md of the Quire project.
 *
 * Locking: register accesses arrive with the big lock held.  The core's own
 * threads never take it: DMA goes without (and is refused where it would end in
 * a device), and interrupts raised outside of it are collected in a bitmap that
 * a bottom half delivers.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "qom/object.h"
#include "trace.h"

#include <quire/hw.h>
#include "device.h"

#define TYPE_QUIRE "quire"
OBJECT_DECLARE_SIMPLE_TYPE(QuireState, QUIRE)

#define QUIRE_EXPRESS_OFFSET 0x80
#define QUIRE_PM_OFFSET 0x60
#define QUIRE_VECTOR_WORDS DIV_ROUND_UP(QUIRE_MSIX_VECTORS, 32)

struct QuireState {
    PCIDevice parent_obj;

    MemoryRegion registers;
    MemoryRegion memory;
    QEMUBH *vectors_bh;
    /* Raised outside the big lock, waiting for vectors_bh. */
    uint32_t vectors_pending[QUIRE_VECTOR_WORDS];
    struct quire_device *device;
    Error *migration_blocker;

    /* properties */
    uint64_t memory_bytes;
    uint32_t engines;
    uint32_t model_threads;
    uint64_t serial;
    uint64_t card_seed;
};

/* --- The core's bus --- */

static const MemTxAttrs quire_dma_attrs = { .memory = 1 };

static bool quire_bus_read(void *opaque, uint64_t address, void *to,
                           size_t bytes)
{
    QuireState *s = opaque;

    return pci_dma_rw(PCI_DEVICE(s), address, to, bytes,
                      DMA_DIRECTION_TO_DEVICE, quire_dma_attrs) == MEMTX_OK;
}

static bool quire_bus_write(void *opaque, uint64_t address, const void *from,
                            size_t bytes)
{
    QuireState *s = opaque;

    return pci_dma_rw(PCI_DEVICE(s), address, (void *)from, bytes,
                      DMA_DIRECTION_FROM_DEVICE, quire_dma_attrs) == MEMTX_OK;
}

/*
 * Only memory is mapped: for anything else dma_memory_map() would hand out a
 * bounce buffer, of which there is one in the whole machine.
 */
static void *quire_bus_map(void *opaque, uint64_t address, size_t *bytes,
                           bool write)
{
    QuireState *s = opaque;
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    hwaddr offset, length = *bytes;
    MemoryRegion *mr;
    void *host = NULL;

    WITH_RCU_READ_LOCK_GUARD() {
        mr = address_space_translate(as, address, &offset, &length, write,
                                     quire_dma_attrs);
        if (memory_access_is_direct(mr, write)) {
            dma_addr_t mapped = length;

            host = dma_memory_map(as, address, &mapped,
                                  write ? DMA_DIRECTION_FROM_DEVICE
                                        : DMA_DIRECTION_TO_DEVICE,
                                  quire_dma_attrs);
            *bytes = mapped;
        }
    }
    return host;
}

static void quire_bus_unmap(void *opaque, void *host, size_t bytes,
                            bool written)
{
    QuireState *s = opaque;

    dma_memory_unmap(pci_get_address_space(PCI_DEVICE(s)), host, bytes,
                     written ? DMA_DIRECTION_FROM_DEVICE
                             : DMA_DIRECTION_TO_DEVICE,
                     written ? bytes : 0);
}

static void quire_bus_card_written(void *opaque, uint64_t offset,
                                   uint64_t bytes)
{
    QuireState *s = opaque;

    memory_region_set_dirty(&s->memory, offset, bytes);
}

static void quire_notify(QuireState *s, unsigned vector, bool inlined)
{
    trace_quire_raise_vector(s->serial, vector, inlined);
    msix_notify(PCI_DEVICE(s), vector);
}

static void quire_bus_raise(void *opaque, unsigned vector)
{
    QuireState *s = opaque;

    if (qemu_mutex_iothread_locked()) {
        quire_notify(s, vector, true);
        return;
    }
    qatomic_or(&s->vectors_pending[vector / 32], 1u << vector % 32);
    qemu_bh_schedule(s->vectors_bh);
}

static void quire_vectors_bh(void *opaque)
{
    QuireState *s = opaque;

    for (unsigned i = 0; i < QUIRE_VECTOR_WORDS; i++) {
        uint32_t pending = qatomic_xchg(&s->vectors_pending[i], 0);

        while (pending) {
            unsigned bit = ctz32(pending);

            pending &= pending - 1;
            quire_notify(s, 32 * i + bit, false);
        }
    }
}

static uint64_t quire_bus_clock(void *opaque)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static void quire_bus_log(void *opaque, const char *line)
{
    QuireState *s = opaque;

    trace_quire_log(s->serial, line);
}

/* The core waits for its threads, and behind an IOMMU those may want the lock. */
static void quire_bus_wait_begin(void *opaque)
{
    qemu_mutex_unlock_iothread();
}

static void quire_bus_wait_end(void *opaque)
{
    qemu_mutex_lock_iothread();
}

/* --- Registers --- */

static uint64_t quire_register_read(void *opaque, hwaddr offset, unsigned size)
{
    QuireState *s = opaque;
    uint64_t value = quire_device_read(s->device, offset, size);

    trace_quire_register_read(s->serial, offset, value);
    return value;
}

static void quire_register_write(void *opaque, hwaddr offset, uint64_t value,
                                 unsigned size)
{
    QuireState *s = opaque;

    trace_quire_register_write(s->serial, offset, value);
    quire_device_write(s->device, offset, value, size);
}

static const MemoryRegionOps quire_register_ops = {
    .read = quire_register_read,
    .write = quire_register_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

/* --- Configuration space and reset --- */

static void quire_reset(DeviceState *dev)
{
    QuireState *s = QUIRE(dev);

    trace_quire_reset(s->serial);
    quire_device_reset(s->device);
    memset(s->vectors_pending, 0, sizeof(s->vectors_pending));
    msix_reset(PCI_DEVICE(s));
}

static void quire_config_write(PCIDevice *pci, uint32_t address,
                               uint32_t value, int length)
{
    uint32_t control = QUIRE_PM_OFFSET + PCI_PM_CTRL;
    uint16_t before = pci_get_word(pci->config + control) &
                      PCI_PM_CTRL_STATE_MASK;
    uint16_t after;

    pci_default_write_config(pci, address, value, length);
    pcie_cap_flr_write_config(pci, address, value, length);
    after = pci_get_word(pci->config + control) & PCI_PM_CTRL_STATE_MASK;
    /* D3hot to D0 resets the function: No_Soft_Reset is clear. */
    if (before == 3 && after == 0) {
        quire_reset(DEVICE(pci));
    }
}

static bool quire_init_pm(PCIDevice *pci, Error **errp)
{
    int offset = pci_add_capability(pci, PCI_CAP_ID_PM, QUIRE_PM_OFFSET,
                                    PCI_PM_SIZEOF, errp);

    if (offset < 0) {
        return false;
    }
    pci_set_word(pci->config + offset + PCI_PM_PMC, 3);
    pci_set_word(pci->wmask + offset + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
    return true;
}

static bool quire_init_core(QuireState *s, Error **errp)
{
    struct quire_device_config config = {
        .bus = {
            .opaque = s,
            .read = quire_bus_read,
            .write = quire_bus_write,
            .map = quire_bus_map,
            .unmap = quire_bus_unmap,
            .card_written = quire_bus_card_written,
            .raise = quire_bus_raise,
            .clock = quire_bus_clock,
            .log = quire_bus_log,
            .wait_begin = quire_bus_wait_begin,
            .wait_end = quire_bus_wait_end,
        },
        .memory = memory_region_get_ram_ptr(&s->memory),
        .memory_bytes = s->memory_bytes,
        .engines = s->engines,
        .model_threads = s->model_threads,
        .serial = s->serial,
    };
    const char *reason;

    s->device = quire_device_create(&config, &reason);
    if (!s->device) {
        error_setg(errp, "quire: %s", reason);
        return false;
    }
    return true;
}

static void quire_realize(PCIDevice *pci, Error **errp)
{
    QuireState *s = QUIRE(pci);
    Error *error = NULL;

    if (!is_power_of_2(s->memory_bytes) || s->memory_bytes < 16 * MiB) {
        error_setg(errp, "quire: memory must be a power of two and at least "
                         "16 MiB");
        return;
    }
    error_setg(&s->migration_blocker,
               "quire: the state of running engines cannot be migrated");
    if (migrate_add_blocker(s->migration_blocker, errp) < 0) {
        error_free(s->migration_blocker);
        s->migration_blocker = NULL;
        return;
    }

    memory_region_init_io(&s->registers, OBJECT(s), &quire_register_ops, s,
                          "quire-registers", QUIRE_BAR_REGISTERS_BYTES);
    memory_region_init_ram(&s->memory, OBJECT(s), "quire-memory",
                           s->memory_bytes, &error);
    if (error) {
        error_propagate(errp, error);
        return;
    }
    pci_register_bar(pci, QUIRE_BAR_REGISTERS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->registers);
    pci_register_bar(pci, QUIRE_BAR_MEMORY,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->memory);
    if (msix_init_exclusive_bar(pci, QUIRE_MSIX_VECTORS, QUIRE_BAR_MSIX,
                                errp) < 0) {
        return;
    }
    for (unsigned i = 0; i < QUIRE_MSIX_VECTORS; i++) {
        msix_vector_use(pci, i);
    }
    if (!quire_init_pm(pci, errp) ||
        pcie_endpoint_cap_init(pci, QUIRE_EXPRESS_OFFSET) < 0) {
        return;
    }
    pcie_cap_flr_init(pci);
    if (pcie_aer_init(pci, PCI_ERR_VER, 0x100, PCI_ERR_SIZEOF, errp) < 0) {
        return;
    }
    s->vectors_bh = qemu_bh_new(quire_vectors_bh, s);
    quire_init_core(s, errp);
}

static void quire_exit(PCIDevice *pci)
{
    QuireState *s = QUIRE(pci);

    if (s->device) {
        quire_device_destroy(s->device);
        s->device = NULL;
    }
    if (s->vectors_bh) {
        qemu_bh_delete(s->vectors_bh);
        s->vectors_bh = NULL;
    }
    pcie_aer_exit(pci);
    pcie_cap_exit(pci);
    msix_uninit_exclusive_bar(pci);
    if (s->migration_blocker) {
        migrate_del_blocker(s->migration_blocker);
        error_free(s->migration_blocker);
        s->migration_blocker = NULL;
    }
}

/* --- Properties --- */

static void quire_get_injection(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    QuireState *s = QUIRE(obj);
    uint32_t value = s->device ?
        quire_device_injected(s->device, GPOINTER_TO_UINT(opaque)) : 0;

    visit_type_uint32(v, name, &value, errp);
}

static void quire_set_injection(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    QuireState *s = QUIRE(obj);
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (!s->device) {
        error_setg(errp, "quire: faults can be injected once the card is "
                         "realized");
        return;
    }
    quire_device_inject(s->device, GPOINTER_TO_UINT(opaque), value);
}

static Property quire_properties[] = {
    DEFINE_PROP_SIZE("memory", QuireState, memory_bytes, 256 * MiB),
    DEFINE_PROP_UINT32("engines", QuireState, engines, 2),
    DEFINE_PROP_UINT32("model-threads", QuireState, model_threads, 0),
    DEFINE_PROP_UINT64("serial", QuireState, serial, 1),
    DEFINE_PROP_UINT64("card-seed", QuireState, card_seed, 0),
    DEFINE_PROP_END_OF_LIST(),
};

static void quire_class_init(ObjectClass *class, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(class);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(class);

    k->realize = quire_realize;
    k->exit = quire_exit;
    k->config_write = quire_config_write;
    k->vendor_id = QUIRE_PCI_VENDOR_ID;
    k->device_id = QUIRE_PCI_DEVICE_ID;
    k->revision = 1;
    k->class_id = QUIRE_PCI_CLASS >> 8;
    dc->desc = "Quire exact-arithmetic accelerator";
    dc->reset = quire_reset;
    device_class_set_props(dc, quire_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    object_class_property_set_description(class, "memory",
        "bytes of card memory, a power of two");
    object_class_property_set_description(class, "engines",
        "engines that run bands at the same time");
    object_class_property_set_description(class, "model-threads",
        "host threads per engine; 0 takes up to four");
    object_class_property_set_description(class, "serial", "serial number");
    object_class_property_set_description(class, "card-seed",
        "seed of what differs from card to card");
    for (unsigned i = 0; i < QUIRE_INJECTIONS; i++) {
        g_autofree char *name = g_strdup_printf("inject-%s",
                                                quire_injection_name(i));

        object_class_property_add(class, name, "uint32", quire_get_injection,
                                  quire_set_injection, NULL,
                                  GUINT_TO_POINTER(i));
    }
}

static const TypeInfo quire_info = {
    .name = TYPE_QUIRE,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(QuireState),
    .class_init = quire_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { },
    },
};

static void quire_register_types(void)
{
    type_register_static(&quire_info);
}

type_init(quire_register_types)
