// SPDX-License-Identifier: MIT
/*
 * Who runs the control processor.  A doorbell or a mailbox command runs it right
 * there, for a bounded time: a hand-over to another thread costs ten times what a
 * short job does.  So does an engine's thread that has finished a band, which is awake
 * already and may get the next band from it.  What is left over, and what the alarm
 * wakes, is done by a thread of its own.
 */
#include "internal.h"

/* About 20 us and 2 ms of the interpreter. */
#define INLINE_BUDGET 5000
#define THREAD_BUDGET 500000

void processor_set_alarm(struct quire_device *device, uint32_t us)
{
	uint64_t when = us ? device->bus.clock(device->bus.opaque) + us * 1000ull : 0;

	atomic_store(&device->alarm, when);
	device->bus.alarm(device->bus.opaque, when);
}

bool processor_alarm_is_due(struct quire_device *device)
{
	uint64_t alarm = atomic_load(&device->alarm);

	return alarm && device->bus.clock(device->bus.opaque) >= alarm;
}

bool processor_events_pending(void *opaque)
{
	struct quire_device *device = opaque;

	return atomic_load(&device->doorbells) || atomic_load(&device->engine_done) ||
	       atomic_load(&device->mailbox_sequence) != atomic_load(&device->mailbox_seen) ||
	       processor_alarm_is_due(device);
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

	if (atomic_load(&device->injected[QUIRE_INJECT_MCU_HALT]) ||
	    quire_device_in_reset(device) || atomic_load(&device->paused))
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
	while (quire_device_in_reset(device) && !atomic_load(&device->quit))
		device_end_reset(device);
	if (atomic_load(&device->paused))
		return;
	if (atomic_exchange(&device->reset_requested, false))
		boot_reset(device);
	if (atomic_exchange(&device->start_requested, false))
		boot_start(device);
}

static void sleep_until_kicked(struct quire_device *device)
{
	pthread_mutex_lock(&device->wake_lock);
	while (!device->kicked && !atomic_load(&device->quit))
		pthread_cond_wait(&device->wake, &device->wake_lock);
	device->kicked = false;
	pthread_mutex_unlock(&device->wake_lock);
}

static void *processor_thread(void *opaque)
{
	struct quire_device *device = opaque;

	for (;;) {
		bool more;

		pthread_mutex_lock(&device->mcu_lock);
		mcu_request_stop(&device->mcu, false);
		serve_requests(device);
		more = run(device, THREAD_BUDGET);
		pthread_mutex_unlock(&device->mcu_lock);

		if (atomic_load(&device->quit))
			return NULL;
		/*
		 * An event that came while we held the lock was followed by a kick, so
		 * none is lost here.
		 */
		if (!more)
			sleep_until_kicked(device);
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

	if (mcu_init(&device->mcu, &bus))
		return -1;
	device->serving = QUIRE_SERVING_NONE;
	pthread_mutex_init(&device->mcu_lock, NULL);
	pthread_mutex_init(&device->wake_lock, NULL);
	pthread_cond_init(&device->wake, NULL);
	device->mcu_thread = device_thread_start(device, "processor", processor_thread, device);
	if (device->mcu_thread)
		return 0;
	destroy_locks(device);
	mcu_destroy(&device->mcu);
	return -1;
}

void processor_quit(struct quire_device *device)
{
	mcu_request_stop(&device->mcu, true);
	pthread_mutex_lock(&device->wake_lock);
	atomic_store(&device->quit, true);
	pthread_cond_signal(&device->wake);
	pthread_mutex_unlock(&device->wake_lock);
}

void processor_stop(struct quire_device *device)
{
	device_thread_join(device, device->mcu_thread);
	/* An engine's thread may run it still; those that come later see quit. */
	pthread_mutex_lock(&device->mcu_lock);
	pthread_mutex_unlock(&device->mcu_lock);
}

void processor_destroy(struct quire_device *device)
{
	mcu_destroy(&device->mcu);
	destroy_locks(device);
}
