// SPDX-License-Identifier: MIT
/*
 * Who runs the control processor.  A doorbell or a mailbox command runs it right
 * there, for a bounded time: a hand-over to another thread costs ten times what a
 * short job does.  So does an engine's thread that has finished a band, which is awake
 * already and may get the next band from it.  What is left over, and what the alarm
 * wakes, is done by a thread of its own.
 */
#include <errno.h>
#include <time.h>

#include "internal.h"

/* About 20 us and 2 ms of the interpreter. */
#define INLINE_BUDGET 5000
#define THREAD_BUDGET 500000

bool processor_events_pending(void *opaque)
{
	struct quire_device *device = opaque;
	uint64_t alarm = atomic_load(&device->alarm);

	return atomic_load(&device->doorbells) || atomic_load(&device->engine_done) ||
	       atomic_load(&device->mailbox_sequence) != atomic_load(&device->mailbox_seen) ||
	       (alarm && device_host_ns() >= alarm);
}

void processor_kick(struct quire_device *device)
{
	pthread_mutex_lock(&device->wake_lock);
	device->kicked = true;
	pthread_cond_signal(&device->wake);
	pthread_mutex_unlock(&device->wake_lock);
}

/* Under mcu_lock.  True when the processor wants to go on. */
static bool run(struct quire_device *device, uint64_t budget)
{
	uint64_t before = device->mcu.instructions;
	bool was_halted = device->mcu.halted;
	enum mcu_stop stop;

	if (atomic_load(&device->injected[QUIRE_INJECT_MCU_HALT]))
		return false;
	/* The next fetch traps, and the firmware's handler reports it. */
	if (!was_halted && device_injection_fires(device, QUIRE_INJECT_CRASH_FIRMWARE))
		device->mcu.pc = 0;
	stop = mcu_run(&device->mcu, budget);
	device_count(device, QUIRE_COUNTER_INSTRUCTIONS, device->mcu.instructions - before);
	if (stop == MCU_STOP_HALTED && !was_halted)
		boot_crashed(device);
	return stop == MCU_STOP_BUDGET;
}

void processor_kick_inline(struct quire_device *device, uint32_t queue)
{
	bool more;

	/* Taken: whoever has it looks at the events before it sleeps, see processor_thread(). */
	if (pthread_mutex_trylock(&device->mcu_lock)) {
		processor_kick(device);
		return;
	}
	device->serving = queue;
	/* Engines finish while the card is taken apart: they must not start others then. */
	more = !atomic_load(&device->quit) && run(device, INLINE_BUDGET);
	device->serving = QUIRE_SERVING_NONE;
	pthread_mutex_unlock(&device->mcu_lock);
	if (more)
		processor_kick(device);
}

/* Under mcu_lock, from the processor's thread. */
static void serve_requests(struct quire_device *device)
{
	if (atomic_exchange(&device->reset_requested, false))
		boot_reset(device);
	if (atomic_exchange(&device->start_requested, false))
		boot_start(device);
}

/* alarm: when to wake without a kick, 0 = never. */
static void sleep_until_kicked(struct quire_device *device, uint64_t alarm)
{
	pthread_mutex_lock(&device->wake_lock);
	while (!device->kicked && !atomic_load(&device->quit)) {
		struct timespec until = { (time_t)(alarm / 1000000000u),
					  (long)(alarm % 1000000000u) };

		if (!alarm)
			pthread_cond_wait(&device->wake, &device->wake_lock);
		else if (pthread_cond_timedwait(&device->wake, &device->wake_lock, &until) ==
			 ETIMEDOUT)
			break;
	}
	device->kicked = false;
	pthread_mutex_unlock(&device->wake_lock);
}

static void *processor_thread(void *opaque)
{
	struct quire_device *device = opaque;

	for (;;) {
		uint64_t alarm;
		bool more;

		pthread_mutex_lock(&device->mcu_lock);
		mcu_request_stop(&device->mcu, false);
		serve_requests(device);
		more = run(device, THREAD_BUDGET);
		/* A processor that stands still does not see its alarm: it must not wake us. */
		alarm = device->mcu.halted || atomic_load(&device->injected[QUIRE_INJECT_MCU_HALT]) ?
				0 : atomic_load(&device->alarm);
		pthread_mutex_unlock(&device->mcu_lock);

		if (atomic_load(&device->quit))
			return NULL;
		/*
		 * An event that came while we held the lock was followed by a kick, so
		 * none is lost here.
		 */
		if (!more)
			sleep_until_kicked(device, alarm);
	}
}

static void destroy_locks(struct quire_device *device)
{
	pthread_cond_destroy(&device->wake);
	pthread_mutex_destroy(&device->wake_lock);
	pthread_mutex_destroy(&device->mcu_lock);
}

int processor_init(struct quire_device *device)
{
	struct mcu_bus bus = { device, mcu_io_read, mcu_io_write, processor_events_pending };
	pthread_condattr_t attributes;

	if (mcu_init(&device->mcu, &bus))
		return -1;
	device->serving = QUIRE_SERVING_NONE;
	pthread_mutex_init(&device->mcu_lock, NULL);
	pthread_mutex_init(&device->wake_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&device->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (!pthread_create(&device->mcu_thread, NULL, processor_thread, device))
		return 0;
	destroy_locks(device);
	mcu_destroy(&device->mcu);
	return -1;
}

void processor_stop(struct quire_device *device)
{
	mcu_request_stop(&device->mcu, true);
	pthread_mutex_lock(&device->wake_lock);
	atomic_store(&device->quit, true);
	pthread_cond_signal(&device->wake);
	pthread_mutex_unlock(&device->wake_lock);
	device->bus.wait_begin(device->bus.opaque);
	pthread_join(device->mcu_thread, NULL);
	/* An engine's thread may run it still; those that come later see quit. */
	pthread_mutex_lock(&device->mcu_lock);
	pthread_mutex_unlock(&device->mcu_lock);
	device->bus.wait_end(device->bus.opaque);
}

void processor_destroy(struct quire_device *device)
{
	mcu_destroy(&device->mcu);
	destroy_locks(device);
}
