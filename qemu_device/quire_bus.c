/*
 * Quire accelerator card: memory, messages, time and threads for its core
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything here may be called by any thread of the core; quire_pci.c says
 * which locks it has.
 */

#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "hw/pci/msix.h"
#include "trace.h"
#include "quire_pci.h"

static const MemTxAttrs quire_dma_attrs = { .memory = 1 };

/*
 * An IOMMU that reports a fault interrupts the guest, which takes the big lock,
 * and none of them takes it by itself.  True: quire_bus_unlock().
 */
static bool quire_bus_lock(QuireState *s)
{
    if (!qatomic_read(&s->translated) || qemu_mutex_iothread_locked()) {
        return false;
    }
    qemu_mutex_lock_iothread();
    return true;
}

static void quire_bus_unlock(bool locked)
{
    if (locked) {
        qemu_mutex_unlock_iothread();
    }
}

static bool quire_bus_transfer(QuireState *s, uint64_t address, void *buffer,
                               size_t bytes, DMADirection direction)
{
    bool locked = quire_bus_lock(s), good;

    WITH_RCU_READ_LOCK_GUARD() {
        good = qatomic_read(&s->plugged) &&
               pci_dma_rw(PCI_DEVICE(s), address, buffer, bytes, direction,
                          quire_dma_attrs) == MEMTX_OK;
    }
    quire_bus_unlock(locked);
    return good;
}

static bool quire_bus_read(void *opaque, uint64_t address, void *to,
                           size_t bytes)
{
    return quire_bus_transfer(opaque, address, to, bytes,
                              DMA_DIRECTION_TO_DEVICE);
}

static bool quire_bus_write(void *opaque, uint64_t address, const void *from,
                            size_t bytes)
{
    return quire_bus_transfer(opaque, address, (void *)from, bytes,
                              DMA_DIRECTION_FROM_DEVICE);
}

/*
 * Only memory is mapped: for anything else dma_memory_map() would hand out a
 * bounce buffer, of which there is one in the whole machine.
 */
static void *quire_map(QuireState *s, uint64_t address, size_t *bytes,
                       bool write)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    hwaddr offset, length = *bytes;
    MemoryRegion *mr;
    dma_addr_t mapped;
    void *host;

    RCU_READ_LOCK_GUARD();

    if (!qatomic_read(&s->plugged)) {
        return NULL;
    }
    mr = address_space_translate(as, address, &offset, &length, write,
                                 quire_dma_attrs);
    if (!memory_access_is_direct(mr, write)) {
        return NULL;
    }
    mapped = length;
    host = dma_memory_map(as, address, &mapped,
                          write ? DMA_DIRECTION_FROM_DEVICE
                                : DMA_DIRECTION_TO_DEVICE,
                          quire_dma_attrs);
    /* The map may have changed since: no bounce buffer after all. */
    if (host && !memory_region_from_host(host, &offset)) {
        dma_memory_unmap(as, host, mapped, DMA_DIRECTION_TO_DEVICE, 0);
        return NULL;
    }
    *bytes = mapped;
    return host;
}

static void *quire_bus_map(void *opaque, uint64_t address, size_t *bytes,
                           bool write)
{
    QuireState *s = opaque;
    bool locked = quire_bus_lock(s);
    void *host = quire_map(s, address, bytes, write);

    quire_bus_unlock(locked);
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

    memory_region_set_dirty(s->ram, offset, bytes);
}

static void quire_bus_raise(void *opaque, unsigned vector)
{
    QuireState *s = opaque;

    qatomic_or(&s->vectors_pending[vector / 32], 1u << vector % 32);
    /* With the lock this is a register access, which sends what it caused. */
    if (!qemu_mutex_iothread_locked()) {
        qemu_bh_schedule(s->vectors_bh);
    }
}

void quire_bus_send_vectors(QuireState *s)
{
    for (unsigned i = 0; i < QUIRE_VECTOR_WORDS; i++) {
        uint32_t pending;

        if (!qatomic_read(&s->vectors_pending[i])) {
            continue;
        }
        pending = qatomic_xchg(&s->vectors_pending[i], 0);
        while (pending) {
            unsigned vector = 32 * i + ctz32(pending);

            pending &= pending - 1;
            /* A message may have been a reset, or the end, of the function. */
            if (!s->device || quire_device_in_reset(s->device)) {
                return;
            }
            trace_quire_raise_vector(s->serial, vector);
            s->sending = true;
            msix_notify(PCI_DEVICE(s), vector);
            s->sending = false;
        }
    }
}

static void quire_vectors_bh(void *opaque)
{
    quire_bus_send_vectors(opaque);
}

static uint64_t quire_bus_clock(void *opaque)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static void quire_alarm(void *opaque)
{
    QuireState *s = opaque;

    /* From exit on the core's threads end by themselves. */
    if (s->device) {
        quire_device_alarm(s->device);
    }
}

static void quire_bus_alarm(void *opaque, uint64_t ns)
{
    QuireState *s = opaque;

    if (ns) {
        timer_mod_ns(s->alarm, ns);
    } else {
        timer_del(s->alarm);
    }
}

static void quire_bus_log(void *opaque, const char *line)
{
    QuireState *s = opaque;

    trace_quire_log(s->serial, line);
}

static void quire_bus_trace(void *opaque, enum quire_trace what,
                            uint32_t subject, uint64_t value, uint32_t detail)
{
    QuireState *s = opaque;

    switch (what) {
    case QUIRE_TRACE_BOOT:
        trace_quire_boot(s->serial, subject, detail);
        break;
    case QUIRE_TRACE_QUEUE:
        trace_quire_queue(s->serial, subject, detail);
        break;
    case QUIRE_TRACE_JOB:
        trace_quire_job(s->serial, subject, value);
        break;
    case QUIRE_TRACE_BAND:
        trace_quire_band(s->serial, subject, value, detail);
        break;
    case QUIRE_TRACE_FAULT:
        trace_quire_fault(s->serial, subject, value, detail);
        break;
    }
}

static void quire_bus_at_rest(void *opaque)
{
    QuireState *s = opaque;

    for (unsigned i = 0; i < QUIRE_VECTOR_WORDS; i++) {
        qatomic_set(&s->vectors_pending[i], 0);
    }
}

/*
 * A thread of the core uses the machine's memory map, which goes away under
 * whoever RCU does not know.
 */
typedef struct QuireThread {
    QemuThread thread;
    void *(*run)(void *argument);
    void *argument;
} QuireThread;

static void *quire_thread(void *opaque)
{
    QuireThread *thread = opaque;

    rcu_register_thread();
    thread->run(thread->argument);
    rcu_unregister_thread();
    return NULL;
}

static void *quire_bus_thread_start(void *opaque, const char *name,
                                    void *(*run)(void *argument),
                                    void *argument)
{
    QuireThread *thread = g_new(QuireThread, 1);
    g_autofree char *full = g_strdup_printf("quire-%s", name);

    thread->run = run;
    thread->argument = argument;
    qemu_thread_create(&thread->thread, full, quire_thread, thread,
                       QEMU_THREAD_JOINABLE);
    return thread;
}

static void quire_bus_thread_join(void *opaque, void *opaque_thread)
{
    QuireThread *thread = opaque_thread;

    qemu_thread_join(&thread->thread);
    g_free(thread);
}

void quire_bus_init(QuireState *s, struct quire_bus *bus)
{
    *bus = (struct quire_bus) {
        .opaque = s,
        .read = quire_bus_read,
        .write = quire_bus_write,
        .map = quire_bus_map,
        .unmap = quire_bus_unmap,
        .card_written = quire_bus_card_written,
        .raise = quire_bus_raise,
        .clock = quire_bus_clock,
        .alarm = quire_bus_alarm,
        .log = quire_bus_log,
        .trace = quire_bus_trace,
        .at_rest = quire_bus_at_rest,
        .thread_start = quire_bus_thread_start,
        .thread_join = quire_bus_thread_join,
    };
    s->vectors_bh = qemu_bh_new(quire_vectors_bh, s);
    s->alarm = timer_new_ns(QEMU_CLOCK_VIRTUAL, quire_alarm, s);
}

void quire_bus_fini(QuireState *s)
{
    qemu_bh_delete(s->vectors_bh);
    timer_free(s->alarm);
}
