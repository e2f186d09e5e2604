/*
 * Quire accelerator card: the PCI function's state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_QUIRE_PCI_H
#define HW_MISC_QUIRE_PCI_H

#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "hw/pci/pci.h"
#include "qom/object.h"
#include "sysemu/hostmem.h"
#include "sysemu/runstate.h"

#include <quire/hw.h>
#include "device.h"

#define TYPE_QUIRE "quire"
OBJECT_DECLARE_SIMPLE_TYPE(QuireState, QUIRE)

#define QUIRE_EXPRESS_OFFSET 0x80
#define QUIRE_PM_OFFSET 0x60
#define QUIRE_AER_OFFSET 0x100
#define QUIRE_VECTOR_WORDS DIV_ROUND_UP(QUIRE_MSIX_VECTORS, 32)
#define QUIRE_MEMORY_LEAST (16 * MiB)

struct QuireState {
    PCIDevice parent_obj;

    MemoryRegion registers;
    MemoryRegion memory;            /* unless memdev is given */
    MemoryRegion *ram;              /* card memory */
    QEMUBH *vectors_bh;
    QEMUTimer *alarm;
    VMChangeStateEntry *run_state;
    /* Raised and not yet sent; atomic. */
    uint32_t vectors_pending[QUIRE_VECTOR_WORDS];
    /* The rest is under the big lock. */
    struct quire_device *device;    /* NULL before realize and from exit on */
    struct quire_device *retired;   /* it, from exit on; the reaper's */
    bool powered;                   /* D0; in D3hot nothing but config answers */
    bool sending;                   /* a message: whoever gets it is called */
    bool waking;                    /* from D3hot: memory has been refreshed */
    Error *migration_blocker;
    QemuCond rest;                  /* nobody signals it: waits for it end by time */

    /*
     * The function is plugged in.  Written under the big lock, read by the
     * core's threads, which use the function's address space in a read side of
     * RCU that began before: the PCI core takes it away a grace period later.
     */
    bool plugged;
    bool translated;                /* behind an IOMMU; as plugged, but no RCU */

    /* properties */
    uint64_t memory_bytes;
    HostMemoryBackend *memdev;
    uint32_t engines;
    uint32_t model_threads;
    uint64_t serial;
};

/*
 * quire_bus.c: the machine as the core sees it, with BH and timer of its own,
 * and the messages that the core has raised.
 */
void quire_bus_init(QuireState *s, struct quire_bus *bus);
/* Once nothing of the core runs any more. */
void quire_bus_fini(QuireState *s);
/* Under the big lock.  A message may be a reset, or the end, of the function. */
void quire_bus_send_vectors(QuireState *s);

#endif /* HW_MISC_QUIRE_PCI_H */
