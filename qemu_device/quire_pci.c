/*
 * Quire accelerator card
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The card itself is in core/, which knows nothing of QEMU.  This file gives it
 * a PCI Express function: BARs, MSI-X, reset and properties; quire_bus.c is
 * the machine as the core sees it.
 *
 * Specification: docs/hardware.md of the Quire project.
 *
 * Locking: register accesses arrive with the big lock held.  The core's own
 * threads use the bus without it, but behind an IOMMU (and are refused where
 * DMA would end in a device).  Interrupts are collected in a bitmap, because
 * the message may be addressed to anything, this function's own reset
 * included: it is sent by the register access that caused it when the core is
 * done, or by a bottom half.
 *
 * Nobody who holds the big lock waits for the core's threads: they may want it
 * before they come to rest, as an IOMMU does that reports a fault.  So a reset
 * only begins here and the core ends it, and an unplugged function leaves its
 * core to a thread that joins the others, and holds a reference until then.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "migration/vmstate.h"
#include "sysemu/replay.h"
#include "trace.h"
#include "quire_pci.h"

/* --- Registers --- */

/* A message that is addressed to this function's own registers goes nowhere. */
static bool quire_answers(const QuireState *s)
{
    return s->device && s->powered && !s->sending;
}

static uint64_t quire_register_read(void *opaque, hwaddr offset, unsigned size)
{
    QuireState *s = opaque;
    uint64_t value = UINT64_MAX;

    if (quire_answers(s)) {
        value = quire_device_read(s->device, offset, size);
    }
    trace_quire_register_read(s->serial, offset, size, value);
    return value;
}

static void quire_register_write(void *opaque, hwaddr offset, uint64_t value,
                                 unsigned size)
{
    QuireState *s = opaque;

    trace_quire_register_write(s->serial, offset, size, value);
    if (quire_answers(s)) {
        quire_device_write(s->device, offset, value, size);
        quire_bus_send_vectors(s);
    }
}

static const MemoryRegionOps quire_register_ops = {
    .read = quire_register_read,
    .write = quire_register_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

/* --- Configuration space and reset --- */

/*
 * In D3hot the function answers nothing but configuration accesses and sends
 * nothing: registers read all ones, card memory and the bus are out of reach.
 */
static void quire_set_power(QuireState *s, bool powered, bool master)
{
    PCIDevice *pci = PCI_DEVICE(s);

    s->powered = powered;
    memory_region_set_enabled(s->ram, powered);
    memory_region_set_enabled(&pci->msix_exclusive_bar, powered);
    memory_region_set_enabled(&pci->bus_master_enable_region,
                              powered && master);
}

/*
 * The caller, the PCI core, resets the header and MSI-X afterwards, but leaves the
 * bus open although it clears the command register.
 */
static void quire_reset(DeviceState *dev)
{
    QuireState *s = QUIRE(dev);
    PCIDevice *pci = PCI_DEVICE(dev);

    trace_quire_reset(s->serial);
    /* A function is reset before it is used, and after the machine is done. */
    qatomic_set(&s->translated,
                pci_device_iommu_address_space(pci) != &address_space_memory);
    if (s->device) {
        quire_device_reset(s->device, s->waking);
    }
    pci_word_test_and_clear_mask(pci->config + QUIRE_PM_OFFSET + PCI_PM_CTRL,
                                 PCI_PM_CTRL_STATE_MASK);
    pcie_cap_deverr_reset(pci);
    quire_set_power(s, true, false);
}

static unsigned quire_power_state(PCIDevice *pci)
{
    return pci_get_word(pci->config + QUIRE_PM_OFFSET + PCI_PM_CTRL) &
           PCI_PM_CTRL_STATE_MASK;
}

static void quire_config_write(PCIDevice *pci, uint32_t address,
                               uint32_t value, int length)
{
    QuireState *s = QUIRE(pci);
    unsigned before = quire_power_state(pci), after;

    pci_default_write_config(pci, address, value, length);
    after = quire_power_state(pci);
    if (after != 0 && after != 3) {
        /* D1 and D2 are not supported: the write of the state is dropped. */
        pci_set_word_by_mask(pci->config + QUIRE_PM_OFFSET + PCI_PM_CTRL,
                             PCI_PM_CTRL_STATE_MASK, before);
        after = before;
    }
    if (before == 3 && after == 0) {
        /* No_Soft_Reset is clear: the function starts over. */
        s->waking = true;
        pci_device_reset(pci);
        s->waking = false;
        return;
    }
    /* The command register may have let the bus in again. */
    quire_set_power(s, after == 0, pci_get_word(pci->config + PCI_COMMAND) &
                                   PCI_COMMAND_MASTER);
    pcie_cap_flr_write_config(pci, address, value, length);
}

/*
 * The processors have stopped before, and as for them the big lock is dropped
 * while we wait: a band that is run to its end may want it.
 */
static void quire_run_state(void *opaque, bool running, RunState state)
{
    QuireState *s = opaque;

    quire_device_pause(s->device, !running);
    while (!running && s->device && !quire_device_at_rest(s->device)) {
        qemu_cond_timedwait_iothread(&s->rest, 1);
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
        .memory = memory_region_get_ram_ptr(s->ram),
        .memory_bytes = s->memory_bytes,
        .engines = s->engines,
        .model_threads = s->model_threads,
        .serial = s->serial,
    };
    const char *reason;

    quire_bus_init(s, &config.bus);
    s->device = quire_device_create(&config, &reason);
    if (!s->device) {
        quire_bus_fini(s);
        error_setg(errp, "quire: %s", reason);
        return false;
    }
    return true;
}

static bool quire_init_blocker(QuireState *s, Error **errp)
{
    error_setg(&s->migration_blocker,
               "quire: the state of running engines cannot be migrated");
    if (migrate_add_blocker(s->migration_blocker, errp) < 0) {
        error_free(s->migration_blocker);
        s->migration_blocker = NULL;
        return false;
    }
    return true;
}

/* Its own, or what the user has chosen: huge pages, a NUMA node, a file. */
static bool quire_init_memory(QuireState *s, Error **errp)
{
    Error *error = NULL;

    if (!s->memdev) {
        memory_region_init_ram(&s->memory, OBJECT(s), "quire-memory",
                               s->memory_bytes, &error);
        if (error) {
            error_propagate_prepend(errp, error, "quire: memory: ");
            return false;
        }
        s->ram = &s->memory;
        return true;
    }
    if (host_memory_backend_is_mapped(s->memdev)) {
        error_setg(errp, "quire: memdev '%s' is in use already",
                   object_get_canonical_path_component(OBJECT(s->memdev)));
        return false;
    }
    s->ram = host_memory_backend_get_memory(s->memdev);
    if (memory_region_size(s->ram) != s->memory_bytes) {
        error_setg(errp, "quire: memdev has %" PRIu64 " bytes, memory has %"
                         PRIu64 ": give both the same size",
                   memory_region_size(s->ram), s->memory_bytes);
        s->ram = NULL;
        return false;
    }
    vmstate_register_ram(s->ram, DEVICE(s));
    host_memory_backend_set_mapped(s->memdev, true);
    return true;
}

/* Its threads have ended. */
static void quire_free_memory(QuireState *s)
{
    if (s->memdev && s->ram) {
        host_memory_backend_set_mapped(s->memdev, false);
    }
}

static bool quire_init_bars(QuireState *s, Error **errp)
{
    PCIDevice *pci = PCI_DEVICE(s);

    memory_region_init_io(&s->registers, OBJECT(s), &quire_register_ops, s,
                          "quire-registers", QUIRE_BAR_REGISTERS_BYTES);
    if (!quire_init_memory(s, errp)) {
        return false;
    }
    pci_register_bar(pci, QUIRE_BAR_REGISTERS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->registers);
    pci_register_bar(pci, QUIRE_BAR_MEMORY,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, s->ram);
    if (msix_init_exclusive_bar(pci, QUIRE_MSIX_VECTORS, QUIRE_BAR_MSIX,
                                errp) < 0) {
        return false;
    }
    for (unsigned i = 0; i < QUIRE_MSIX_VECTORS; i++) {
        msix_vector_use(pci, i);
    }
    return true;
}

static bool quire_init_capabilities(PCIDevice *pci, Error **errp)
{
    if (!quire_init_pm(pci, errp)) {
        return false;
    }
    if (pcie_endpoint_cap_init(pci, QUIRE_EXPRESS_OFFSET) < 0) {
        error_setg(errp, "quire: no room for the PCI Express capability");
        return false;
    }
    pcie_cap_flr_init(pci);
    pcie_cap_deverr_init(pci);
    return pcie_aer_init(pci, PCI_ERR_VER, QUIRE_AER_OFFSET, PCI_ERR_SIZEOF,
                         errp) == 0;
}

/* Nothing of the core runs any more: the last reference goes, in the main loop. */
static void quire_reaped_bh(void *opaque)
{
    QuireState *s = opaque;

    quire_bus_fini(s);
    quire_free_memory(s);
    object_unref(OBJECT(s));
}

static void *quire_reaper(void *opaque)
{
    QuireState *s = opaque;

    quire_device_destroy(s->retired);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), quire_reaped_bh, s);
    return NULL;
}

/* The core's threads give up, but nobody waits here for the moment they have. */
static void quire_retire(QuireState *s)
{
    QemuThread reaper;

    s->retired = s->device;
    s->device = NULL;
    qatomic_set(&s->plugged, false);
    quire_device_retire(s->retired);
    object_ref(OBJECT(s));
    qemu_thread_create(&reaper, "quire-reaper", quire_reaper, s,
                       QEMU_THREAD_DETACHED);
}

/* Also takes away what a realize that failed had set up. */
static void quire_exit(PCIDevice *pci)
{
    QuireState *s = QUIRE(pci);

    if (s->device) {
        qemu_del_vm_change_state_handler(s->run_state);
        quire_retire(s);
    } else {
        quire_free_memory(s);
    }
    qemu_cond_destroy(&s->rest);
    if (s->ram) {
        /* The next function in this slot has a memory of the same name. */
        vmstate_unregister_ram(s->ram, DEVICE(pci));
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

static void quire_realize(PCIDevice *pci, Error **errp)
{
    QuireState *s = QUIRE(pci);

    if (replay_mode != REPLAY_MODE_NONE) {
        error_setg(errp, "quire: the card's threads cannot be recorded or "
                         "replayed: leave out rr=");
        return;
    }
    if (!is_power_of_2(s->memory_bytes) ||
        s->memory_bytes < QUIRE_MEMORY_LEAST) {
        error_setg(errp, "quire: memory must be a power of two and at least "
                         "16 MiB");
        return;
    }
    s->powered = true;
    s->plugged = true;
    qemu_cond_init(&s->rest);
    if (quire_init_blocker(s, errp) && quire_init_bars(s, errp) &&
        quire_init_capabilities(pci, errp)) {
        if (quire_init_core(s, errp)) {
            s->run_state = qdev_add_vm_change_state_handler(DEVICE(s),
                                                            quire_run_state,
                                                            s);
            quire_device_pause(s->device, !runstate_is_running());
            return;
        }
    }
    quire_exit(pci);
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
    DEFINE_PROP_LINK("memdev", QuireState, memdev, TYPE_MEMORY_BACKEND,
                     HostMemoryBackend *),
    DEFINE_PROP_UINT32("engines", QuireState, engines, 2),
    DEFINE_PROP_UINT32("model-threads", QuireState, model_threads, 0),
    DEFINE_PROP_UINT64("serial", QuireState, serial, 1),
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
        "bytes of card memory, a power of two and at least 16 MiB");
    object_class_property_set_description(class, "memdev",
        "memory backend for card memory, of that size");
    object_class_property_set_description(class, "engines",
        "engines that run bands at the same time, 1 to 16");
    object_class_property_set_description(class, "model-threads",
        "host threads per engine, 0 to 64; 0 takes up to four");
    object_class_property_set_description(class, "serial", "serial number");
    for (unsigned i = 0; i < QUIRE_INJECTIONS; i++) {
        g_autofree char *name = g_strdup_printf("inject-%s",
                                                quire_injection_name(i));

        object_class_property_add(class, name, "uint32", quire_get_injection,
                                  quire_set_injection, NULL,
                                  GUINT_TO_POINTER(i));
        object_class_property_set_description(class, name,
            quire_injection_description(i));
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
