// SPDX-License-Identifier: MIT
/*
 * Engines: take a band from the firmware, run it here when it is short and on the
 * engine's thread when it is not, and report in the band.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quirenum/threads.h>

#include "internal.h"

/* Below about 20 us of the host: cheaper than waking a thread. */
#define INLINE_MACS 65536u
#define INLINE_BYTES 131072u

bool engine_stopped(const struct engine *engine)
{
	return engine->cancel || atomic_load(&engine->device->stopped);
}

void engine_fault(const struct band_job *job, const struct fault *fault, uint32_t unit)
{
	job->band->status = QUIRE_STATUS_MMU_FAULT;
	job->band->fault_info = fault->info | unit << QUIRE_FAULT_UNIT_SHIFT;
	job->band->fault_address = fault->address;
}

/* Injected hang: only a cancel, or for a deaf engine a reset, ends it. */
static bool hang(struct engine *engine)
{
	struct quire_device *device = engine->device;
	const struct timespec pause = { 0, 1000000 };
	bool hung = false;

	for (;;) {
		uint32_t deaf = atomic_load(&device->injected[QUIRE_INJECT_ENGINE_DEAF]);
		uint32_t hangs = atomic_load(&device->injected[QUIRE_INJECT_ENGINE_HANG]);

		if (atomic_load(&device->stopped) || !((deaf | hangs) >> engine->number & 1) ||
		    (engine->cancel && !(deaf >> engine->number & 1)))
			return hung;
		hung = true;
		nanosleep(&pause, NULL);
	}
}

static bool hangs(const struct engine *engine)
{
	return (atomic_load(&engine->device->injected[QUIRE_INJECT_ENGINE_HANG]) |
		atomic_load(&engine->device->injected[QUIRE_INJECT_ENGINE_DEAF])) >>
	       engine->number & 1;
}

/* A copy of the band and its packet: what the firmware does to them is its own affair. */
struct work {
	struct quire_band band;
	union {
		struct quire_packet_header header;
		struct quire_packet_gemm gemm;
		struct quire_packet_copy copy;
		struct quire_packet_fill fill;
		struct quire_packet_convert convert;
	} packet;
};

/* False when the band or the packet is not in SRAM; the status is then set. */
static bool fetch(struct engine *engine, uint32_t offset, struct work *work)
{
	const uint8_t *sram = engine->device->mcu.sram;
	uint32_t packet;

	memcpy(&work->band, sram + offset, sizeof(work->band));
	packet = work->band.packet - QUIRE_SRAM_BASE;
	if (packet > QUIRE_SRAM_BYTES - sizeof(work->packet) || packet & 7) {
		work->band.status = QUIRE_STATUS_ENGINE_ERROR;
		return false;
	}
	memcpy(&work->packet, sram + packet, sizeof(work->packet));
	memset(&work->band.status, 0,
	       sizeof(work->band) - offsetof(struct quire_band, status));
	return true;
}

static bool is_short(const struct work *work)
{
	const struct quire_band *band = &work->band;

	switch (work->packet.header.opcode) {
	case QUIRE_PACKET_GEMM:
		return engine_gemm_work(&work->packet.gemm, band) <= INLINE_MACS;
	case QUIRE_PACKET_CONVERT:
		return (uint64_t)band->rows * band->columns <= INLINE_BYTES / 16;
	case QUIRE_PACKET_COPY:
		return work->packet.copy.row_bytes <= INLINE_BYTES / band->rows;
	case QUIRE_PACKET_FILL:
		return work->packet.fill.bytes <= INLINE_BYTES;
	}
	return true;
}

static void account(struct quire_device *device, const struct work *work)
{
	const struct quire_band *band = &work->band;

	if (work->packet.header.opcode == QUIRE_PACKET_GEMM)
		device_count(device,
			     quire_model_product(work->packet.gemm.a.format,
						 work->packet.gemm.b.format, work->packet.gemm.mode)
				     .counter,
			     band->macs);
	device_count(device, QUIRE_COUNTER_CYCLES, band->cycles);
	device_count(device, QUIRE_COUNTER_MODELLED_PJ, band->modelled_pj);
}

static void run(struct engine *engine, struct work *work)
{
	struct band_job job = { engine, &work->band, &work->packet };

	if (hangs(engine))
		hang(engine);
	if (engine_stopped(engine)) {
		work->band.status = QUIRE_STATUS_CANCELLED;
		return;
	}
	switch (work->packet.header.opcode) {
	case QUIRE_PACKET_GEMM: engine_gemm(&job); break;
	case QUIRE_PACKET_CONVERT: engine_convert(&job); break;
	case QUIRE_PACKET_COPY: engine_copy(&job); break;
	case QUIRE_PACKET_FILL: engine_fill(&job); break;
	default: work->band.status = QUIRE_STATUS_ENGINE_ERROR;
	}
	if (work->band.status == QUIRE_STATUS_OK)
		account(engine->device, work);
}

static void finish(struct engine *engine, uint32_t offset, const struct work *work)
{
	struct quire_device *device = engine->device;

	memcpy(device->mcu.sram + offset, &work->band, sizeof(work->band));
	atomic_fetch_and(&device->engine_busy, ~(1u << engine->number));
	atomic_fetch_or(&device->engine_done, 1u << engine->number);
}

void engine_start(struct engine *engine, uint32_t sram_address)
{
	uint32_t offset = sram_address - QUIRE_SRAM_BASE;
	struct work work;

	if (offset > QUIRE_SRAM_BYTES - sizeof(work.band) || offset & 7)
		return;
	/* One band at a time: a second START while busy is the firmware's mistake. */
	if (atomic_fetch_or(&engine->device->engine_busy, 1u << engine->number) >> engine->number & 1)
		return;
	engine->cancel = 0;
	if (!fetch(engine, offset, &work)) {
		finish(engine, offset, &work);
		return;
	}
	if (is_short(&work) && !hangs(engine)) {
		run(engine, &work);
		finish(engine, offset, &work);
		return;
	}
	pthread_mutex_lock(&engine->lock);
	engine->band = offset;
	engine->busy = true;
	pthread_cond_broadcast(&engine->wake);
	pthread_mutex_unlock(&engine->lock);
}

void engine_cancel(struct engine *engine)
{
	engine->cancel = 1;
}

void engine_wait_idle(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	while (engine->busy)
		pthread_cond_wait(&engine->wake, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
}

static void *engine_thread(void *opaque)
{
	struct engine *engine = opaque;
	struct work work;

	pthread_mutex_lock(&engine->lock);
	for (;;) {
		while (!engine->busy && !engine->quit)
			pthread_cond_wait(&engine->wake, &engine->lock);
		if (engine->quit)
			break;
		pthread_mutex_unlock(&engine->lock);
		if (fetch(engine, engine->band, &work))
			run(engine, &work);
		pthread_mutex_lock(&engine->lock);
		finish(engine, engine->band, &work);
		engine->busy = false;
		pthread_cond_broadcast(&engine->wake);
		pthread_mutex_unlock(&engine->lock);
		processor_kick(engine->device);
		pthread_mutex_lock(&engine->lock);
	}
	pthread_mutex_unlock(&engine->lock);
	return NULL;
}

int engine_init(struct engine *engine, struct quire_device *device, unsigned int number)
{
	engine->device = device;
	engine->number = number;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->wake, NULL);
	if (device->config.model_threads > 1) {
		engine->threads = quire_threads_create(device->config.model_threads);
		if (!engine->threads)
			return -1;
	}
	return pthread_create(&engine->thread, NULL, engine_thread, engine) ? -1 : 0;
}

void engine_destroy(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->quit = true;
	engine->cancel = 1;
	pthread_cond_broadcast(&engine->wake);
	pthread_mutex_unlock(&engine->lock);
	pthread_join(engine->thread, NULL);
	if (engine->threads)
		quire_threads_destroy(engine->threads);
	for (int i = 0; i < 3; i++)
		free(engine->staging[i]);
	pthread_cond_destroy(&engine->wake);
	pthread_mutex_destroy(&engine->lock);
}
